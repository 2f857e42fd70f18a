//! Calls about the configuration itself: the programs of its texts, and the server that it comes from.
//!
//! The core knows no texts, so these calls do not go to the engine. [`crate::control::ControlHandle`] passes them on.

use super::audit::AuditEntry;
use crate::domain::FOREIGN_CHARS_MAX;

/// One call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConfigCall {
    /// List the programs of all texts.
    ListPrograms,
    /// Return the text of one program.
    GetProgram(String),
    /// Change the programs of a text.
    EditProgram(ProgramEdit),
    /// Return the state of the source.
    SourceState,
    /// Return the settings of the server and the state of the item.
    GetSource,
    /// Save settings of the server.
    SaveSource(Vec<(String, String)>),
    /// Remove the saved settings.
    LeaveSource,
    /// Read an item with these settings, and change nothing.
    TestSource(Vec<(String, String)>),
    /// List earlier texts of the item.
    ListVersions,
    /// Return an earlier text of the item.
    GetVersion(String),
    /// List the hosts that use the item.
    ListListeners,
    /// Replace the text of the item by an earlier one.
    RestoreVersion {
        /// The earlier text.
        id: String,
        /// The MD5 of the text that is replaced. Empty: any.
        md5: String,
    },
}

/// A change of one program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProgramEdit {
    /// The name of the program. Empty for a new program: the name is in its text.
    pub name: String,
    /// What changes.
    pub change: ProgramChange,
    /// The MD5 of the text that the caller has seen. Empty: any.
    pub md5: String,
    /// Return what would change, and change nothing.
    pub dry_run: bool,
}

/// What changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProgramChange {
    /// Add a program with this section.
    Add(String),
    /// Replace its section.
    Replace(String),
    /// Set keys. An empty value removes the key.
    Set(Vec<(String, String)>),
    /// Remove it.
    Remove,
    /// Add a copy of it under this name. Empty: a name is chosen.
    Copy(String),
}

impl ProgramEdit {
    /// What the audit line names: the program, and for a new one without a name the name in the header of its text.
    fn target(&self) -> String {
        match &self.change {
            ProgramChange::Add(text) if self.name.is_empty() => {
                let mut names = text.lines().filter_map(|line| {
                    let line = line.trim().strip_prefix("[program:")?;
                    line.split(']').next()
                });
                names.next().unwrap_or_default().trim().to_owned()
            }
            _ => self.name.clone(),
        }
    }
}

impl ProgramChange {
    /// The word for audit lines.
    const fn verb(&self) -> &'static str {
        match self {
            Self::Add(_) => "add-program",
            Self::Replace(_) | Self::Set(_) => "change-program",
            Self::Remove => "remove-program",
            Self::Copy(_) => "copy-program",
        }
    }
}

impl ConfigCall {
    /// Returns what the audit line says of this call. `None`: the call changes nothing.
    #[must_use]
    pub fn audit_entry(&self) -> Option<AuditEntry> {
        let (verb, target) = match self {
            Self::ListPrograms
            | Self::GetProgram(_)
            | Self::SourceState
            | Self::GetSource
            | Self::TestSource(_)
            | Self::ListVersions
            | Self::GetVersion(_)
            | Self::ListListeners => return None,
            Self::EditProgram(edit) if edit.dry_run => return None,
            Self::EditProgram(edit) => (edit.change.verb(), edit.target()),
            Self::SaveSource(_) => ("save-nacos", String::new()),
            Self::LeaveSource => ("leave-nacos", String::new()),
            Self::RestoreVersion { id, .. } => ("restore-text", id.clone()),
        };
        let target = target.chars().filter(|c| !c.is_whitespace());
        Some(AuditEntry {
            verb,
            target: target.take(FOREIGN_CHARS_MAX + 1).collect(),
        })
    }
}
