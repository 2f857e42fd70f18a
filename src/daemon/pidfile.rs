//! The pidfile: written for others to read, never read to signal anything.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// A pidfile that this daemon wrote; dropping it removes the file, if it is still the same file.
#[derive(Debug)]
pub(super) struct Pidfile {
    path: PathBuf,
    device: u64,
    inode: u64,
}

impl Pidfile {
    /// Writes `pid` and a newline.
    ///
    /// The directory may be one that others can write to. So nothing is followed and nothing foreign is overwritten: a
    /// symlink, a device or pipe, a file with another owner or with other links to it is refused before a byte changes.
    ///
    /// # Errors
    /// The file cannot be created or written, or is refused.
    pub(super) fn write(path: &Path, pid: i32) -> io::Result<Self> {
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o666)
            .custom_flags(libc::O_NOFOLLOW | libc::O_NOCTTY | libc::O_NONBLOCK | libc::O_CLOEXEC)
            .open(path)?;
        let found = file.metadata()?;
        let own = crate::sys::effective_uid();
        if !found.file_type().is_file()
            || found.nlink() != 1
            || (found.uid() != own && found.uid() != 0)
        {
            return Err(io::Error::from_raw_os_error(libc::EPERM));
        }
        file.set_len(0)?;
        file.write_all(format!("{pid}\n").as_bytes())?;
        Ok(Self {
            path: path.to_owned(),
            device: found.dev(),
            inode: found.ino(),
        })
    }
}

impl Pidfile {
    /// Leaves the file where it is.
    pub(super) fn keep(self) {
        std::mem::forget(self);
    }
}

impl Drop for Pidfile {
    fn drop(&mut self) {
        let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_CLOEXEC;
        let same = OpenOptions::new()
            .read(true)
            .custom_flags(flags)
            .open(&self.path)
            .and_then(|file: File| file.metadata())
            .is_ok_and(|now| (now.dev(), now.ino()) == (self.device, self.inode));
        if same {
            // Whoever removed it in between did our work.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scratch(name: &str) -> PathBuf {
        let dir =
            std::env::temp_dir().join(format!("supervisord-pidfile-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&dir).expect("scratch directory");
        dir
    }

    #[test]
    fn dmn_24_pid_and_newline_and_only_our_own_file_is_removed() {
        let dir = scratch("own");
        let path = dir.join("pid");
        std::fs::write(&path, "an old and much longer content").expect("old file");
        let pidfile = Pidfile::write(&path, 42).expect("written");
        assert_eq!(std::fs::read_to_string(&path).expect("read"), "42\n");
        std::fs::rename(&path, dir.join("moved")).expect("moved away");
        std::fs::write(&path, "another's").expect("another daemon's");
        drop(pidfile);
        assert_eq!(
            std::fs::read_to_string(&path).expect("left alone"),
            "another's"
        );
        std::fs::remove_dir_all(dir).expect("cleaned");
    }

    #[test]
    fn a_symlink_a_second_link_and_a_pipe_are_refused_unharmed() {
        let dir = scratch("foreign");
        let victim = dir.join("victim");
        std::fs::write(&victim, "precious").expect("victim");
        let path = dir.join("pid");
        std::os::unix::fs::symlink(&victim, &path).expect("symlink");
        Pidfile::write(&path, 1).expect_err("symlink");
        std::fs::remove_file(&path).expect("removed");
        std::fs::hard_link(&victim, &path).expect("link");
        Pidfile::write(&path, 1).expect_err("second link");
        assert_eq!(std::fs::read_to_string(&victim).expect("read"), "precious");
        std::fs::remove_dir_all(dir).expect("cleaned");
    }
}
