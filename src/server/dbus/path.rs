//! Object paths: names escaped so that they can be read back. It must not know whether anything stands behind a path.

use super::interface::ObjectKind;
use crate::domain::Namespec;

/// The object that stands for the daemon; all others are below it.
pub(super) const MANAGER: &str = "/org/supervisord/Supervisor1";
/// Below this are the groups, and their processes below them.
pub(super) const GROUPS: &str = "/org/supervisord/Supervisor1/group";

/// What a path stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum BusObject {
    Manager,
    /// A group's name.
    Group(String),
    /// Names of a group and of a process in it.
    Process(String, String),
}

impl BusObject {
    /// The object at this path; none: there can be none of ours.
    pub(super) fn from_path(path: &str) -> Option<Self> {
        if path == MANAGER {
            return Some(Self::Manager);
        }
        let below = path.strip_prefix(GROUPS)?.strip_prefix('/')?;
        match below.split_once('/') {
            None => unescaped(below).map(Self::Group),
            Some((group, process)) => Some(Self::Process(unescaped(group)?, unescaped(process)?)),
        }
    }

    /// Where it is.
    pub(super) fn path(&self) -> String {
        match self {
            Self::Manager => MANAGER.to_owned(),
            Self::Group(group) => format!("{GROUPS}/{}", escaped(group)),
            Self::Process(group, process) => {
                format!("{GROUPS}/{}/{}", escaped(group), escaped(process))
            }
        }
    }

    /// Its kind.
    pub(super) const fn kind(&self) -> ObjectKind {
        match self {
            Self::Manager => ObjectKind::Manager,
            Self::Group(_) => ObjectKind::Group,
            Self::Process(..) => ObjectKind::Process,
        }
    }

    /// The argument of methods that it stands for.
    pub(super) fn name(&self) -> Option<String> {
        match self {
            Self::Manager => None,
            Self::Group(group) => Some(group.clone()),
            // A list of names takes the one word for everything.
            Self::Process(group, process) if group == process && process == "all" => {
                Some("all:all".to_owned())
            }
            Self::Process(group, process) => Some(Namespec::print(group, process)),
        }
    }
}

/// An element of a path has letters, digits and underscores only, and at least one: everything else is `_` and two hex
/// digits for each byte, `_` itself too, and nothing at all is a single `_`.
///
/// # Source
/// D-Bus specification, "Valid Object Paths".
pub(super) fn escaped(name: &str) -> String {
    if name.is_empty() {
        return "_".to_owned();
    }
    let mut escaped = String::with_capacity(name.len());
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() {
            escaped.push(char::from(byte));
        } else {
            escaped.push_str(&format!("_{byte:02x}"));
        }
    }
    escaped
}

/// The name again; none: nothing is escaped like that.
fn unescaped(element: &str) -> Option<String> {
    if element == "_" {
        return Some(String::new());
    }
    let mut bytes = Vec::with_capacity(element.len());
    let mut rest = element.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'_' {
            let hex = [rest.next()?, rest.next()?];
            let hex = std::str::from_utf8(&hex).ok()?;
            bytes.push(u8::from_str_radix(hex, 16).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    let name = String::from_utf8(bytes).ok()?;
    // One name, one path: what would be written otherwise is somebody's guess.
    (!name.is_empty() && escaped(&name) == element).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn paths_are_read_back() {
        let table = [
            ("web", "web"),
            ("web_00", "web_5f00"),
            ("a-b.c", "a_2db_2ec"),
            ("é", "_c3_a9"),
            ("", "_"),
            ("*", "_2a"),
        ];
        for (name, element) in table {
            let group = BusObject::Group(name.to_owned());
            assert_eq!(group.path(), format!("{GROUPS}/{element}"));
            assert_eq!(BusObject::from_path(&group.path()), Some(group));
        }
        assert_eq!(BusObject::from_path(MANAGER), Some(BusObject::Manager));
    }

    #[test]
    fn other_paths_are_nobodys() {
        for path in [
            "/",
            "/org/supervisord/Supervisor",
            "/org/supervisord/Supervisor1/",
            "/org/supervisord/Supervisor1/group",
            "/org/supervisord/Supervisor1/group/",
            "/org/supervisord/Supervisor1/groups/a",
            "/org/supervisord/Supervisor1/group/a/b/c",
            "/org/supervisord/Supervisor1/group/_4",
            "/org/supervisord/Supervisor1/group/_zz",
            "/org/supervisord/Supervisor1/group/_61",
            "/org/supervisord/Supervisor1/group/_C3_A9",
            "/org/supervisord/Supervisor1/group/_ff",
            "/org/supervisord/Supervisor1/group/_+1",
        ] {
            assert_eq!(BusObject::from_path(path), None, "{path}");
        }
    }

    proptest! {
        #[test]
        fn any_two_names_lead_there_and_back(group in any::<String>(), process in any::<String>()) {
            let object = BusObject::Process(group, process);
            let path = object.path();
            let valid = path.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'/');
            prop_assert!(valid, "{path}");
            prop_assert_eq!(BusObject::from_path(&path), Some(object));
        }
    }
}
