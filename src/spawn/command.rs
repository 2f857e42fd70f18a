//! A command's first word → the file to execute. Asks the file system, which may block: for the spawn thread only.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use nix::unistd::{AccessFlags, access};

use super::plan::Base;
use super::words;
use crate::config::spec::ProcessSpec;
use crate::domain::SpawnError;

/// Where to look when neither the program nor the daemon has a PATH.
const DEFAULT_PATH: &str = "/bin:/usr/bin:/usr/local/bin";

/// A command that can be executed, as far as the daemon can see.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Command {
    /// What to execute.
    pub(super) path: PathBuf,
    /// Its arguments, the first as written.
    pub(super) words: Vec<String>,
}

/// Splits the command and looks its file up with the daemon's rights, in the daemon's working directory.
pub(super) fn find(base: &Base, spec: &ProcessSpec) -> Result<Command, SpawnError> {
    let cannot_parse = |reason: String| SpawnError::CannotParse {
        command: spec.command.to_string(),
        reason,
    };
    let words = words::split(&spec.command).map_err(|error| cannot_parse(error.to_string()))?;
    let word = words.first().ok_or(SpawnError::Empty)?;
    if words.iter().any(|word| word.contains('\0')) {
        return Err(cannot_parse("embedded null byte".to_owned()));
    }
    let (path, metadata) = if word.contains('/') {
        (PathBuf::from(word), std::fs::metadata(word).ok())
    } else {
        search(&search_path(base, spec), word)
    };
    let shown = || path.to_string_lossy().into_owned();
    let metadata = metadata.ok_or_else(|| SpawnError::NotFound(shown()))?;
    if metadata.is_dir() {
        Err(SpawnError::Directory(shown()))
    } else if metadata.permissions().mode() & 0o111 == 0 {
        Err(SpawnError::NotExecutable(shown()))
    } else if access(&path, AccessFlags::X_OK).is_err() {
        Err(SpawnError::NoPermission(shown()))
    } else {
        Ok(Command { path, words })
    }
}

/// The PATH of the program's configuration even if it is empty, else the daemon's if it is not, else the default.
fn search_path(base: &Base, spec: &ProcessSpec) -> OsString {
    let configured = spec
        .environment
        .iter()
        .rev()
        .find(|(name, _)| name == "PATH");
    match configured {
        Some((_, value)) => value.into(),
        None => base.path().unwrap_or_else(|| DEFAULT_PATH.into()),
    }
}

/// The first directory that has the file wins, even if the file cannot be executed.
fn search(path: &OsStr, word: &str) -> (PathBuf, Option<std::fs::Metadata>) {
    path.as_bytes()
        .split(|&byte| byte == b':')
        .map(|directory| Path::new(OsStr::from_bytes(directory)).join(word))
        .find_map(|path| {
            std::fs::metadata(&path)
                .ok()
                .map(|found| (path, Some(found)))
        })
        .unwrap_or_else(|| (PathBuf::from(word), None))
}
