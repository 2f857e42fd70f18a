//! The pidfile. Other programs read it; the daemon never signals a PID from it. The running daemon holds a lock on the
//! file, so that a second daemon with the same configuration notices it. The kernel releases the lock when the daemon
//! exits in any way, so a stale pidfile prevents nothing.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;
use nix::sys::stat::{Mode, SFlag, lstat};

use crate::domain::Errno;
use crate::sys::safe_open::{self, FileId, SafePath};
use crate::sys::{self, LockKind};

/// A pidfile that this daemon wrote. Dropping it removes the file if it is still the same file.
#[derive(Debug)]
pub(super) struct Pidfile {
    path: PathBuf,
    id: FileId,
    /// Holds the lock.
    _file: File,
}

/// Why a pidfile cannot be written.
#[derive(Debug)]
pub(super) enum PidfileError {
    /// The daemon with this PID runs with the same configuration.
    Held(i32),
    /// The file cannot be created or written, or is refused. The text says why and what to do.
    Refused(String),
}

impl From<io::Error> for PidfileError {
    fn from(error: io::Error) -> Self {
        Self::Refused(Errno::from(error).description())
    }
}

/// Returns why the file at `path` could not be opened: the kind of the file if it is not a regular file, else the
/// kernel's reason.
fn refused(path: &Path, error: Errno) -> PidfileError {
    let kind = lstat(path).map_or(SFlag::S_IFREG, |stat| safe_open::kind(&stat));
    PidfileError::Refused(if kind == SFlag::S_IFREG {
        error.description()
    } else {
        let what = safe_open::describe_target(path, kind);
        format!("there is {what}, not a regular file (remove it, or change pidfile=)")
    })
}

/// Opens the file at `path` without following a symlink of another user and without blocking.
fn open(path: &Path, flags: OFlag) -> Result<File, Errno> {
    let flags = flags | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
    safe_open::safe_open(path, flags, Mode::from_bits_truncate(0o666)).map(File::from)
}

/// Returns the PID of the running daemon that holds this pidfile with the configuration file `config`. `None`: there is
/// none, or it cannot be determined.
pub(super) fn holder(path: &Path, config: &Path) -> Option<i32> {
    let file = open(path, OFlag::O_RDONLY).ok()?;
    file.metadata().ok()?.is_file().then_some(())?;
    live_holder(&file, config)
}

/// Returns the PID in the file if another running process holds the lock.
fn live_holder(file: &File, config: &Path) -> Option<i32> {
    if !sys::is_byte_locked(file, byte(config)).ok()? {
        return None;
    }
    let mut text = String::new();
    file.take(32).read_to_string(&mut text).ok()?;
    let pid = text.trim().parse().ok()?;
    // The lock may outlive the daemon in a child that was stopped before exec.
    (pid != own_pid() && sys::open_pidfd(pid).is_ok()).then_some(pid)
}

fn byte(config: &Path) -> i64 {
    sys::byte_of(config.as_os_str().as_encoded_bytes())
}

fn own_pid() -> i32 {
    i32::try_from(std::process::id()).unwrap_or(0)
}

impl Pidfile {
    /// Writes `pid` and a newline, and takes the lock for the configuration file `config`.
    ///
    /// Other users may be able to write to the directory. So a symlink, a device, a pipe, a file of another owner or a
    /// file with other hard links is refused before a byte is written.
    ///
    /// # Errors
    /// See [`PidfileError`].
    pub(super) fn write(path: &Path, pid: i32, config: &Path) -> Result<Self, PidfileError> {
        let file = open(path, OFlag::O_RDWR | OFlag::O_CREAT);
        let mut file = file.map_err(|error| refused(path, error))?;
        let found = file.metadata()?;
        let own = sys::effective_uid();
        if !found.file_type().is_file() {
            return Err(refused(path, Errno::EXIST));
        }
        if found.nlink() != 1 {
            let why = "the file has other hard links (remove it)";
            return Err(PidfileError::Refused(why.to_owned()));
        }
        if found.uid() != own && found.uid() != 0 {
            let why = format!("the file belongs to user {} (remove it)", found.uid());
            return Err(PidfileError::Refused(why));
        }
        // On a file system without locks, continue without the lock, as older versions did.
        let is_locked = sys::lock_byte(&file, byte(config), LockKind::Exclusive).unwrap_or(true);
        if !is_locked && let Some(pid) = live_holder(&file, config) {
            return Err(PidfileError::Held(pid));
        }
        file.set_len(0)?;
        io::Seek::rewind(&mut file)?;
        file.write_all(format!("{pid}\n").as_bytes())?;
        Ok(Self {
            path: path.to_owned(),
            id: FileId {
                device: found.dev(),
                inode: found.ino(),
            },
            _file: file,
        })
    }

    /// Leaves the file in place and releases the lock.
    pub(super) fn leave_in_place(mut self) {
        // An empty path names no file, so the drop removes nothing.
        self.path = PathBuf::new();
    }
}

impl Drop for Pidfile {
    fn drop(&mut self) {
        // If the file is gone or replaced, there is nothing to remove.
        if let Ok(place) = SafePath::resolve(&self.path) {
            place.unlink_if(self.id);
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
    fn dmn_24_a_pidfile_has_pid_and_newline_and_only_an_own_one_is_removed() {
        let dir = scratch("own");
        let path = dir.join("pid");
        std::fs::write(&path, "an old and much longer content").expect("old file");
        let pidfile = Pidfile::write(&path, 42, Path::new("/c")).expect("written");
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
    fn a_running_daemon_of_the_same_configuration_holds_the_pidfile() {
        let dir = scratch("held");
        let path = dir.join("pid");
        let (one, other) = (Path::new("/one"), Path::new("/other"));
        // Use the PID of another process, since the own PID never counts as a holder.
        let mut child = std::process::Command::new("sleep")
            .arg("1000")
            .spawn()
            .expect("spawned");
        let pid = i32::try_from(child.id()).expect("small");
        let pidfile = Pidfile::write(&path, pid, one).expect("written");
        assert_eq!(holder(&path, one), Some(pid));
        assert_eq!(holder(&path, other), None);
        Pidfile::write(&path, 1, one).expect_err("held");
        assert_eq!(
            std::fs::read_to_string(&path).expect("read"),
            format!("{pid}\n")
        );
        child.kill().expect("killed");
        child.wait().expect("reaped");
        assert_eq!(holder(&path, one), None);
        pidfile.leave_in_place();
        assert!(path.exists());
        std::fs::remove_dir_all(dir).expect("cleaned");
    }

    #[test]
    fn a_refusal_names_the_existing_file_and_the_remedy() {
        let dir = scratch("why");
        let path = dir.join("pid");
        let why = || match Pidfile::write(&path, 1, Path::new("/c")) {
            Err(PidfileError::Refused(why)) => why,
            other => format!("{other:?}"),
        };
        std::fs::create_dir(&path).expect("directory");
        let remedy = "not a regular file (remove it, or change pidfile=)";
        assert_eq!(why(), format!("there is a directory, {remedy}"));
        std::fs::remove_dir(&path).expect("removed");
        std::os::unix::fs::symlink("else", &path).expect("symlink");
        assert_eq!(why(), format!("there is a symbolic link to else, {remedy}"));
        std::fs::remove_file(&path).expect("removed");
        nix::unistd::mkfifo(&path, Mode::S_IRWXU).expect("FIFO");
        assert_eq!(why(), format!("there is a FIFO, {remedy}"));
        std::fs::remove_file(&path).expect("removed");
        std::fs::write(dir.join("victim"), "").expect("file");
        std::fs::hard_link(dir.join("victim"), &path).expect("link");
        assert_eq!(why(), "the file has other hard links (remove it)");
        std::fs::remove_dir_all(&dir).expect("cleaned");
        assert_eq!(why(), "No such file or directory");
    }

    #[test]
    fn a_symlink_a_second_link_and_a_pipe_are_refused_unharmed() {
        let dir = scratch("foreign");
        let victim = dir.join("victim");
        std::fs::write(&victim, "precious").expect("victim");
        let path = dir.join("pid");
        std::os::unix::fs::symlink(&victim, &path).expect("symlink");
        Pidfile::write(&path, 1, Path::new("/c")).expect_err("symlink");
        std::fs::remove_file(&path).expect("removed");
        std::fs::hard_link(&victim, &path).expect("link");
        Pidfile::write(&path, 1, Path::new("/c")).expect_err("second link");
        assert_eq!(std::fs::read_to_string(&victim).expect("read"), "precious");
        std::fs::remove_dir_all(dir).expect("cleaned");
    }
}
