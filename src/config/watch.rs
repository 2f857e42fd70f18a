//! Watches of programs: which files are watched, and what follows when they change.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::lookup::Lookup;
use super::script::Script;
use super::shlex::shlex_split;
use super::value::stop_signals;
use super::{absolute, expand_user};
use crate::domain::{Seconds, Signal};

/// What is watched for a program. The processes of a program with equal values share one watch.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct WatchSpec {
    /// The executable.
    pub binary: Option<BinaryWatch>,
    /// A directory with everything below it.
    pub directory: Option<DirectoryWatch>,
    /// How long nothing must change before the reaction.
    pub delay: Seconds,
}

/// A watch of the executable.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct BinaryWatch {
    /// The first word of the command.
    pub file: String,
    /// What follows a change.
    pub reaction: ChangeReaction,
}

/// A watch of a directory.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct DirectoryWatch {
    /// An absolute path.
    pub path: String,
    /// Patterns of the names of files that count.
    pub patterns: Vec<String>,
    /// What follows a change.
    pub reaction: ChangeReaction,
}

/// What follows a change of a file.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ChangeReaction {
    /// This script runs.
    Script(Script),
    /// These signals are sent to the process groups, one after another.
    Signals(Vec<Signal>),
    /// The processes are stopped and started again.
    Restart,
}

impl ChangeReaction {
    fn of((script, signals): (Option<Script>, Vec<Signal>)) -> Self {
        match script {
            Some(script) => Self::Script(script),
            None if signals.is_empty() => Self::Restart,
            None => Self::Signals(signals),
        }
    }
}

/// The keys of a section, as far as they are set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::config) struct WatchValues {
    pub(in crate::config) binary: bool,
    pub(in crate::config) binary_script: Option<Script>,
    pub(in crate::config) binary_signals: Vec<Signal>,
    /// Empty: no directory is watched.
    pub(in crate::config) directory: String,
    pub(in crate::config) patterns: Vec<String>,
    pub(in crate::config) file_script: Option<Script>,
    pub(in crate::config) file_signals: Vec<Signal>,
    pub(in crate::config) delay: Seconds,
}

impl WatchValues {
    /// The watch of a process with this command. `None`: there is none.
    pub(in crate::config) fn into_spec(self, command: &str) -> Option<Arc<WatchSpec>> {
        let word = || shlex_split(command).ok()?.into_iter().next();
        let binary = self.binary.then(word).flatten().map(|file| BinaryWatch {
            file,
            reaction: ChangeReaction::of((self.binary_script, self.binary_signals)),
        });
        let directory = (!self.directory.is_empty()).then(|| DirectoryWatch {
            path: self.directory,
            patterns: self.patterns,
            reaction: ChangeReaction::of((self.file_script, self.file_signals)),
        });
        (binary.is_some() || directory.is_some()).then(|| {
            Arc::new(WatchSpec {
                binary,
                directory,
                delay: self.delay,
            })
        })
    }
}

/// Parses a script. An empty text is none.
pub(in crate::config) fn script(text: &str) -> Result<Option<Script>, String> {
    match text.trim() {
        "" => Ok(None),
        text => Script::parse(text).map(Some),
    }
}

/// Parses signals. An empty text is none.
pub(in crate::config) fn signals(text: &str) -> Result<Vec<Signal>, String> {
    if text.trim().is_empty() {
        return Ok(Vec::new());
    }
    let (first, later) = stop_signals(text)?;
    Ok(std::iter::once(first).chain(later).collect())
}

/// Makes the path of a directory absolute. An empty text is none.
pub(in crate::config) fn directory(text: &str, lookup: &dyn Lookup) -> Result<String, String> {
    match text.trim() {
        "" => Ok(String::new()),
        text => Ok(absolute(&expand_user(text, lookup), lookup)),
    }
}

/// Parses patterns that are separated by blanks or commas.
pub(in crate::config) fn patterns(text: &str) -> Result<Vec<String>, String> {
    let found: Vec<String> = text
        .split([' ', '\t', '\n', ','])
        .filter(|item| !item.is_empty())
        .map(str::to_owned)
        .collect();
    if let Some(path) = found.iter().find(|item| item.contains('/')) {
        return Err(format!(
            "{path} contains a slash (a pattern is compared with the name of a file, without its directory)"
        ));
    }
    match found.is_empty() {
        true => Err("there is no pattern (* means every file)".to_owned()),
        false => Ok(found),
    }
}
