//! Names of processes and groups, which are valid once parsed, and namespecs as users type them.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// A name that Supervisor rejects. The text is Supervisor's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("Invalid name: '{name}' because of character: '{character}'")]
pub struct InvalidName {
    /// The trimmed name.
    pub name: String,
    /// The first invalid character.
    pub character: char,
}

/// Trims `text` and checks that it contains no space, colon or slash. An empty name is allowed, as in Supervisor.
fn checked(text: &str) -> Result<Arc<str>, InvalidName> {
    let name = text.trim();
    // Supervisor looks for the characters in this order and reports the first one found.
    match [' ', ':', '/'].into_iter().find(|&c| name.contains(c)) {
        Some(character) => Err(InvalidName {
            name: name.to_owned(),
            character,
        }),
        None => Ok(Arc::from(name)),
    }
}

macro_rules! name {
    ($(#[$doc:meta])* $Name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub struct $Name(Arc<str>);

        impl $Name {
            /// Trims and checks `text`.
            ///
            /// # Errors
            /// The name contains a space, `:` or `/`.
            pub fn parse(text: &str) -> Result<Self, InvalidName> {
                checked(text).map(Self)
            }

            /// Returns the name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $Name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl Borrow<str> for $Name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
    };
}

name!(
    /// The name of a process, unique within its group.
    ProcessName
);
name!(
    /// The name of a group.
    GroupName
);

impl ProcessName {
    /// Creates a name from an expanded `process_name` without trimming it.
    ///
    /// Supervisor checks and trims `process_name` only before its expansion, so spaces and colons are allowed here.
    ///
    /// # Errors
    /// The name contains a `/`, with which Supervisor cannot create logs, or a control character.
    pub fn expanded(text: &str) -> Result<Self, InvalidName> {
        match text.chars().find(|&c| c == '/' || c.is_control()) {
            Some(character) => Err(InvalidName {
                name: text.to_owned(),
                character,
            }),
            None => Ok(Self(Arc::from(text))),
        }
    }
}

impl From<&ProcessName> for GroupName {
    /// The group of a plain program has the name of the program.
    fn from(name: &ProcessName) -> Self {
        Self(name.0.clone())
    }
}

/// The name of a process with its group. `Display` writes a single name if both are equal, like [`Namespec::print`].
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct QualifiedName {
    /// The group.
    pub group: GroupName,
    /// The name within the group.
    pub process: ProcessName,
}

impl fmt::Display for QualifiedName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&Namespec::print(self.group.as_str(), self.process.as_str()))
    }
}

/// A process or group as a user typed it. Every text parses, but it may name nothing.
///
/// # Source
/// Supervisor's namespecs: `group:process`, `group:*`, `group:`, `name` (= `name:name`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Namespec {
    /// The name of the group.
    pub group: String,
    /// The process within the group. `None`: the whole group.
    pub process: Option<String>,
}

impl Namespec {
    /// Returns whether the name means this process. A single name means the group of that name, of one process or of several.
    #[must_use]
    pub fn covers(&self, group: &str, process: &str) -> bool {
        let is_group = self.process.as_ref().is_none_or(|name| *name == self.group);
        self.group == group && (is_group || self.process.as_deref() == Some(process))
    }

    /// Splits `text` at the first colon.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        match text.split_once(':') {
            None => Self {
                group: text.to_owned(),
                process: Some(text.to_owned()),
            },
            Some((group, "" | "*")) => Self {
                group: group.to_owned(),
                process: None,
            },
            Some((group, process)) => Self {
                group: group.to_owned(),
                process: Some(process.to_owned()),
            },
        }
    }

    /// Returns the printed form of a process: a single name if group and process have the same name.
    #[must_use]
    pub fn print(group: &str, process: &str) -> String {
        if group == process {
            process.to_owned()
        } else {
            format!("{group}:{process}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prc_31_namespecs_split_at_the_first_colon_and_collapse_when_printed() {
        let table = [
            ("cat", "cat", Some("cat")),
            ("g:p", "g", Some("p")),
            ("g:*", "g", None),
            ("g:", "g", None),
            ("g:p:q", "g", Some("p:q")),
            (":p", "", Some("p")),
            ("", "", Some("")),
        ];
        for (text, group, process) in table {
            let spec = Namespec::parse(text);
            assert_eq!(
                (spec.group.as_str(), spec.process.as_deref()),
                (group, process),
                "{text:?}"
            );
        }
        assert_eq!(Namespec::print("cat", "cat"), "cat");
        assert_eq!(Namespec::print("g", "cat"), "g:cat");
    }

    #[test]
    fn cfg_38_names_are_trimmed_and_forbid_blank_colon_and_slash() {
        assert_eq!(
            ProcessName::parse(" x\n").map(|n| n.as_str().to_owned()),
            Ok("x".to_owned())
        );
        assert!(ProcessName::parse("").is_ok());
        for (text, character) in [("a b", ' '), ("a:b", ':'), ("a/b", '/'), ("a/b:c", ':')] {
            let error = GroupName::parse(text).expect_err(text);
            assert_eq!(
                error.to_string(),
                format!("Invalid name: '{text}' because of character: '{character}'")
            );
        }
    }
}
