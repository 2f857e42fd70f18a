//! When the end of a program ends the daemon: the keys `exit_when` of the daemon and `on_fatal` of programs.

use serde::{Deserialize, Serialize};

use super::python::strip;
use crate::domain::{Namespec, python_repr};

/// When the daemon exits by itself.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum ExitWhen {
    /// Never.
    #[default]
    Never,
    /// When every program has exited and none is due to restart.
    AllExited,
    /// When a process is FATAL.
    AnyFatal,
    /// When this process, or one of this group, has exited and does not restart.
    Ended(Namespec),
}

impl ExitWhen {
    /// Parses `never`, `all-exited` or `any-fatal` in any case, or a name.
    ///
    /// # Errors
    /// The text is empty.
    pub fn parse(text: &str) -> Result<Self, String> {
        let word = strip(text);
        match word.to_lowercase().as_str() {
            "" => Err(format!("invalid 'exit_when' value {}", python_repr(text))),
            "never" => Ok(Self::Never),
            "all-exited" => Ok(Self::AllExited),
            "any-fatal" => Ok(Self::AnyFatal),
            _ => Ok(Self::Ended(Namespec::parse(word))),
        }
    }

    /// Whether the value names this process.
    #[must_use]
    pub fn names(&self, group: &str, process: &str) -> bool {
        let Self::Ended(named) = self else {
            return false;
        };
        let is_group = match &named.process {
            None => true,
            // A single name is a group of one process or of several.
            Some(name) => *name == named.group,
        };
        named.group == group && (is_group || named.process.as_deref() == Some(process))
    }
}

/// What the daemon does when a process is FATAL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub enum OnFatal {
    /// Nothing.
    #[default]
    Nothing,
    /// It stops all programs and exits.
    Shutdown,
}

impl OnFatal {
    /// Whether this is the default.
    #[must_use]
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// Parses `none` or `shutdown`, in any case.
    ///
    /// # Errors
    /// Any other word.
    pub fn parse(text: &str) -> Result<Self, String> {
        match strip(text).to_lowercase().as_str() {
            "none" => Ok(Self::Nothing),
            "shutdown" => Ok(Self::Shutdown),
            _ => Err(format!("invalid 'on_fatal' value {}", python_repr(text))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t02_names_of_processes_and_groups() {
        let named = |text: &str, group: &str, process: &str| {
            ExitWhen::parse(text).expect(text).names(group, process)
        };
        assert!(named("web", "web", "web") && named("web", "web", "web_1"));
        assert!(named("g:web", "g", "web") && !named("g:web", "g", "db"));
        assert!(named("g:*", "g", "db") && !named("g:*", "h", "db"));
        assert!(!named("web", "g", "web"));
        assert!(!named("All-Exited", "all-exited", "all-exited"));
        assert!(ExitWhen::parse(" ").is_err());
        assert!(OnFatal::parse("exec:x").is_err());
    }
}
