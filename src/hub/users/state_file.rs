//! The state directory: the files of users and sessions, which only the hub's user can read. A file is replaced whole, so
//! that a crash leaves the old one or the new one.

use std::fs::{File, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::sys::{self, GuardedFileError, SmallFileError};

/// Maximum size of a file, in bytes.
const FILE_BYTES_MAX: usize = 16 << 20;
/// Locked while a hub uses the directory.
const LOCK: &str = "hub.lock";
/// Mode of the files.
const MODE: u32 = 0o600;

/// Why the state cannot be read or written. The texts name the file.
#[derive(Debug, thiserror::Error)]
pub(in crate::hub) enum StateError {
    /// Another hub uses the directory.
    #[error("another hub uses the state directory {0} (give each its own state_directory)")]
    Busy(PathBuf),
    /// The system refuses.
    #[error("{0}: {1}")]
    Io(PathBuf, io::Error),
    /// A file cannot be read.
    #[error("{0}: {1}")]
    Unreadable(PathBuf, SmallFileError),
    /// A file is damaged.
    #[error("{0}: it is not a file of this hub: {1}")]
    Damaged(PathBuf, String),
    /// A file cannot be written.
    #[error("{0}: {1}")]
    Unwritable(PathBuf, GuardedFileError),
}

/// The directory, locked against other hubs.
#[derive(Debug)]
pub(in crate::hub) struct StateDirectory {
    path: PathBuf,
    _lock: Flock<File>,
}

impl StateDirectory {
    /// Opens the directory, and creates it if its parent exists.
    ///
    /// # Errors
    /// See [`StateError`].
    pub(in crate::hub) fn open(path: &Path) -> Result<Self, StateError> {
        let failed = |error| StateError::Io(path.to_owned(), error);
        match std::fs::create_dir(path) {
            Ok(()) => {
                std::fs::set_permissions(path, Permissions::from_mode(0o700)).map_err(failed)?
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(failed(error)),
        }
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(path.join(LOCK))
            .map_err(failed)?;
        file.set_permissions(Permissions::from_mode(MODE))
            .map_err(failed)?;
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => Ok(Self {
                path: path.to_owned(),
                _lock: lock,
            }),
            Err((_, nix::errno::Errno::EWOULDBLOCK)) => Err(StateError::Busy(path.to_owned())),
            Err((_, error)) => Err(failed(error.into())),
        }
    }

    /// Its path.
    pub(in crate::hub) fn path(&self) -> &Path {
        &self.path
    }

    /// The path of a file in it.
    pub(in crate::hub) fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }
}

/// Reads a file of the state. `None`: it does not exist.
///
/// # Errors
/// See [`StateError`].
pub(super) fn read_state<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, StateError> {
    let bytes = match sys::read_secret_file(path, FILE_BYTES_MAX, None) {
        Ok(read) => read.map(|(_, bytes)| bytes).unwrap_or_default(),
        Err(SmallFileError::Missing) => return Ok(None),
        Err(error) => return Err(StateError::Unreadable(path.to_owned(), error)),
    };
    // The error's own text may quote a hash.
    let read = serde_json::from_slice(&bytes).map_err(|error| {
        let place = format!("line {}, column {}", error.line(), error.column());
        StateError::Damaged(path.to_owned(), place)
    })?;
    Ok(Some(read))
}

/// Replaces a file of the state. Blocks until it is on the disk.
///
/// # Errors
/// See [`StateError`].
pub(super) fn write_state<T: Serialize>(path: &Path, value: &T) -> Result<(), StateError> {
    let bytes = serde_json::to_vec_pretty(value)
        .map_err(|error| StateError::Damaged(path.to_owned(), error.to_string()))?;
    let written = match sys::replace_file_if(path, FILE_BYTES_MAX, |_| true, &bytes) {
        Err(GuardedFileError::Missing) => sys::create_file(path, MODE, &bytes),
        other => other,
    };
    written.map_err(|error| StateError::Unwritable(path.to_owned(), error))
}
