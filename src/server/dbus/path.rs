//! Object paths: names, escaped reversibly. This module does not know whether an object exists.

use super::interface::ObjectKind;
use crate::domain::Namespec;

/// The path of the daemon's object. All others are below it.
pub(super) const MANAGER: &str = "/org/supervisord/Supervisor1";
/// The parent path of the groups. Processes are below their group.
pub(super) const GROUPS: &str = "/org/supervisord/Supervisor1/group";

/// The object that a path names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum BusObject {
    Manager,
    /// A group, by name.
    Group(String),
    /// A process, by the names of its group and of itself.
    Process(String, String),
}

impl BusObject {
    /// Parses a path. `None`: not a path of our objects.
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

    /// The path of the object.
    pub(super) fn path(&self) -> String {
        match self {
            Self::Manager => MANAGER.to_owned(),
            Self::Group(group) => format!("{GROUPS}/{}", escaped(group)),
            Self::Process(group, process) => {
                format!("{GROUPS}/{}/{}", escaped(group), escaped(process))
            }
        }
    }

    /// The kind of the object.
    pub(super) const fn kind(&self) -> ObjectKind {
        match self {
            Self::Manager => ObjectKind::Manager,
            Self::Group(_) => ObjectKind::Group,
            Self::Process(..) => ObjectKind::Process,
        }
    }

    /// The method argument that the object supplies. `None`: the manager supplies none.
    pub(super) fn name(&self) -> Option<String> {
        match self {
            Self::Manager => None,
            Self::Group(group) => Some(group.clone()),
            // Methods with a list of targets treat the single word `all` as every process.
            Self::Process(group, process) if group == process && process == "all" => {
                Some("all:all".to_owned())
            }
            Self::Process(group, process) => Some(Namespec::print(group, process)),
        }
    }
}

/// Escapes a name for a path element, which may contain only letters, digits and underscores and must not be empty.
/// Every other byte, and `_` itself, becomes `_` and two hex digits. The empty name becomes `_`.
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

/// Reverses [`escaped`]. `None`: the element is not a result of it.
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
    // Accept only the one canonical spelling of each name.
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
    fn other_paths_name_no_object() {
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
        fn any_group_and_process_read_back_from_their_path(group in any::<String>(), process in any::<String>()) {
            let object = BusObject::Process(group, process);
            let path = object.path();
            let valid = path.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'/');
            prop_assert!(valid, "{path}");
            prop_assert_eq!(BusObject::from_path(&path), Some(object));
        }
    }
}
