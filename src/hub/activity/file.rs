//! The file of the activity log: appended to, rotated by size, cleared.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;

/// Mode of a new file: readable by the group, for those who collect logs.
const MODE: u32 = 0o640;

/// The file.
#[derive(Debug)]
pub(super) struct ActivityFile {
    path: PathBuf,
    /// Size at which it is rotated, in bytes.
    bytes_max: u64,
    /// `None`: it could not be opened at the last attempt.
    file: Option<(File, u64)>,
}

impl ActivityFile {
    pub(super) fn new(path: PathBuf, bytes_max: u64) -> Self {
        Self {
            path,
            bytes_max,
            file: None,
        }
    }

    /// The name of the file with the older records.
    fn rotated(&self) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(".1");
        name.into()
    }

    fn open(&mut self) -> io::Result<&mut (File, u64)> {
        let opened = match self.file.take() {
            Some(opened) => opened,
            None => open(&self.path)?,
        };
        Ok(self.file.insert(opened))
    }

    /// Appends a line. The line feed is part of it.
    ///
    /// # Errors
    /// Those of the file system. The next line is tried again.
    pub(super) fn append(&mut self, line: &str) -> io::Result<()> {
        let length = line.len() as u64;
        let is_full = self
            .file
            .as_ref()
            .is_some_and(|(_, size)| *size > 0 && size + length > self.bytes_max);
        if is_full {
            self.file = None;
            std::fs::rename(&self.path, self.rotated())?;
        }
        let written = self.open().and_then(|(file, size)| {
            file.write_all(line.as_bytes())?;
            *size += length;
            Ok(())
        });
        if written.is_err() {
            self.file = None;
        }
        written
    }

    /// Empties the file, and removes the one with the older records.
    ///
    /// # Errors
    /// Those of the file system.
    pub(super) fn clear(&mut self) -> io::Result<()> {
        match std::fs::remove_file(self.rotated()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let (file, size) = self.open()?;
        file.set_len(0)?;
        *size = 0;
        Ok(())
    }

    /// The last bytes of the file, from the beginning of a line. Empty: it cannot be read.
    pub(super) fn last(&self, bytes: u64) -> String {
        let read = || -> io::Result<Vec<u8>> {
            let (mut file, size) = open(&self.path)?;
            let skipped = size.saturating_sub(bytes);
            file.seek(SeekFrom::Start(skipped))?;
            let mut text = Vec::new();
            file.take(bytes).read_to_end(&mut text)?;
            let first = match skipped {
                0 => 0,
                _ => text
                    .iter()
                    .position(|&byte| byte == b'\n')
                    .map_or(0, |at| at + 1),
            };
            Ok(text.split_off(first))
        };
        String::from_utf8_lossy(&read().unwrap_or_default()).into_owned()
    }
}

/// Opens a regular file without waiting for the other end of a FIFO, and returns it with its size.
fn open(path: &Path) -> io::Result<(File, u64)> {
    let file = OpenOptions::new()
        .read(true)
        .append(true)
        .create(true)
        .mode(MODE)
        .custom_flags(OFlag::O_NONBLOCK.bits())
        .open(path)?;
    let metadata = file.metadata()?;
    match metadata.is_file() {
        true => Ok((file, metadata.len())),
        false => Err(io::Error::other("it is not a regular file")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_rotated_and_cleared() {
        let directory = std::env::temp_dir().join(format!("activity-{}", std::process::id()));
        std::fs::create_dir_all(&directory).expect("created");
        let path = directory.join("a.log");
        let mut file = ActivityFile::new(path.clone(), 25);
        for number in 0..5 {
            file.append(&format!("line {number}\n")).expect("written");
        }
        let read = |path: &Path| std::fs::read_to_string(path).expect("readable");
        assert_eq!(read(&path), "line 3\nline 4\n");
        assert_eq!(read(&file.rotated()), "line 0\nline 1\nline 2\n");
        assert_eq!(file.last(1000), "line 3\nline 4\n");
        assert_eq!(file.last(9), "line 4\n");
        file.clear().expect("cleared");
        assert!(!file.rotated().exists() && read(&path).is_empty());
        file.append("again\n").expect("written");
        assert_eq!(read(&path), "again\n");
        let mut other = ActivityFile::new(PathBuf::from("/dev/null"), 25);
        assert!(other.append("x\n").is_err());
        std::fs::remove_dir_all(&directory).expect("removed");
    }
}
