//! The plan of a new process, prepared so that the cloned child only reads it. This module knows nothing of
//! configuration.

use std::ffi::{CString, c_char};
use std::fmt;

use super::limits::{Limit, Resource};

/// A string that contains a NUL byte, so it cannot be passed to the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("embedded null byte")]
pub struct NulByte;

/// A list of NUL-terminated strings in one allocation: an argv or an envp.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct CStrings {
    bytes: Vec<u8>,
    starts: Vec<usize>,
}

impl CStrings {
    /// Creates an empty list with capacity for `strings` strings of `bytes` bytes in total, without their
    /// terminators.
    #[must_use]
    pub fn with_capacity(strings: usize, bytes: usize) -> Self {
        Self {
            bytes: Vec::with_capacity(bytes + strings),
            starts: Vec::with_capacity(strings),
        }
    }

    /// Appends one string, given in parts.
    ///
    /// # Errors
    /// A part contains a NUL byte. Nothing is appended.
    pub fn push(&mut self, parts: &[&[u8]]) -> Result<(), NulByte> {
        if parts.iter().any(|part| part.contains(&0)) {
            return Err(NulByte);
        }
        self.starts.push(self.bytes.len());
        for part in parts {
            self.bytes.extend_from_slice(part);
        }
        self.bytes.push(0);
        Ok(())
    }

    /// Iterates over the strings, without their terminators.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.starts.iter().map(|&start| {
            let rest = self.bytes.get(start..).unwrap_or_default();
            rest.split(|&byte| byte == 0).next().unwrap_or_default()
        })
    }

    /// Pointers to the strings, followed by a null pointer. Valid as long as `self` is neither changed nor dropped.
    pub(super) fn pointers(&self) -> Vec<*const c_char> {
        let base = self.bytes.as_ptr();
        self.starts
            .iter()
            .map(|&start| base.wrapping_add(start).cast())
            .chain([std::ptr::null()])
            .collect()
    }
}

impl fmt::Debug for CStrings {
    /// Shows only the number of strings, because an environment may contain secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CStrings({})", self.starts.len())
    }
}

/// The user and groups of the new process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChildIds {
    /// The daemon's user and groups.
    Keep,
    /// The daemon's UID with this user's groups. If the kernel refuses (no CAP_SETGID, or groups that the user
    /// namespace does not map), the daemon's groups are kept, as in Supervisor.
    Groups {
        /// Primary GID.
        gid: u32,
        /// All GIDs, the primary one first.
        groups: Vec<u32>,
    },
    /// The daemon's UID with groups that the configuration names. If they cannot be set, the process is not executed.
    Joined {
        /// Primary GID. `None`: the daemon's.
        gid: Option<u32>,
        /// All GIDs. `None`: the daemon's.
        groups: Option<Vec<u32>>,
        /// The configured value, for the message "couldn't set …".
        text: String,
    },
    /// Another user.
    Become {
        /// Real, effective and saved UID.
        uid: u32,
        /// Real, effective and saved GID.
        gid: u32,
        /// All GIDs, the primary one first.
        groups: Vec<u32>,
    },
    /// The user is already known to be impossible. The child reports that and exits, as if it had tried.
    Refused {
        /// The user's UID.
        uid: u32,
        /// The end of the message "couldn't setuid to …: ".
        reason: String,
    },
}

/// A value of a system call, and the text that it was configured with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfiguredValue<T> {
    /// The value that the system call gets.
    pub value: T,
    /// The configured text, for the message "couldn't set …".
    pub text: String,
}

/// Limits and privileges of the new process, besides its user. By default nothing is changed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ChildBounds {
    /// Resource limits.
    pub limits: Vec<ConfiguredValue<(Resource, Limit)>>,
    /// Nice value. `None`: unchanged.
    pub nice: Option<ConfiguredValue<i8>>,
    /// OOM score adjustment, as the text written to the file. `None`: unchanged.
    pub oom_score_adj: Option<ConfiguredValue<String>>,
    /// The capability bounding set, one bit per capability. `None`: unchanged.
    pub bounding: Option<u64>,
    /// The ambient capability set, one bit per capability. `None`: unchanged.
    pub ambient: Option<u64>,
    /// Whether to set no_new_privs.
    pub no_new_privileges: bool,
    /// The PID of the daemon, with which the process dies. `None`: it does not.
    pub dies_with: Option<u32>,
}

/// The plan of a new process: plain data, made before the clone and only read after it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawPlan {
    /// The program file. Relative to `directory`, if that is set.
    pub path: CString,
    /// The arguments. Messages use the first as the program's name.
    pub argv: CStrings,
    /// The environment.
    pub envp: CStrings,
    /// Working directory, entered with the process's privileges. `None`: the daemon's.
    pub directory: Option<CString>,
    /// File mode creation mask. `None`: the daemon's.
    pub umask: Option<u32>,
    /// Resource limits that differ from the daemon's own.
    pub limits: Vec<(Resource, Limit)>,
    /// User and groups.
    pub ids: ChildIds,
    /// Further limits and privileges.
    pub bounds: ChildBounds,
    /// Whether it leads a new session without a controlling terminal, rather than only a process group.
    pub has_session: bool,
    /// Whether it gets a new, empty session keyring. Otherwise it shares the daemon's.
    pub has_keyring: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_stay_separate_and_nul_is_refused() {
        let mut strings = CStrings::default();
        strings.push(&[b"A", b"=", b"1"]).expect("plain");
        strings.push(&[]).expect("empty");
        strings.push(&[b"b"]).expect("plain");
        assert_eq!(strings.push(&[b"x\0"]), Err(NulByte));
        let list: Vec<&[u8]> = strings.iter().collect();
        assert_eq!(list, [&b"A=1"[..], b"", b"b"]);
        let pointers = strings.pointers();
        assert_eq!(pointers.len(), 4);
        assert!(pointers[3].is_null() && !pointers[2].is_null());
        assert_eq!(format!("{strings:?}"), "CStrings(3)");
    }
}
