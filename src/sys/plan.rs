//! What a new process is to be, laid out so that the cloned child only has to read it. Knows nothing of configuration.

use std::ffi::{CString, c_char};
use std::fmt;

use super::limits::{Limit, Resource};

/// A text that the kernel cannot be given, for it contains a NUL byte.
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
    /// An empty list with room for so many strings of so many bytes in all, without their terminators.
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
    /// A part contains a NUL byte; nothing was appended.
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

    /// The strings, without their terminators.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.starts.iter().map(|&start| {
            let rest = self.bytes.get(start..).unwrap_or_default();
            rest.split(|&byte| byte == 0).next().unwrap_or_default()
        })
    }

    /// Pointers to the strings and a null pointer, valid as long as `self` is neither changed nor dropped.
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
    /// The number of strings only: an environment may hold secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CStrings({})", self.starts.len())
    }
}

/// Whose rights the new process has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChildIds {
    /// The daemon's.
    Keep,
    /// The daemon's uid, but this user's groups. Where the kernel refuses (no CAP_SETGID, or groups that the user
    /// namespace does not know) the daemon's groups stay, as in Supervisor.
    Groups {
        /// Primary group.
        gid: u32,
        /// All groups, the primary one first.
        groups: Vec<u32>,
    },
    /// The daemon's uid, but groups that somebody asked for by name: those, or the process ends.
    Joined {
        /// Primary group; none: the daemon's.
        gid: Option<u32>,
        /// All groups; none: the daemon's.
        groups: Option<Vec<u32>>,
        /// As configured; completes "couldn't set …".
        text: String,
    },
    /// Another user's, in full.
    Become {
        /// Real, effective and saved user.
        uid: u32,
        /// Real, effective and saved group.
        gid: u32,
        /// All groups, the primary one first.
        groups: Vec<u32>,
    },
    /// None: it is known already that they cannot be had. The child says so and ends, as it would had it tried.
    Refused {
        /// The user.
        uid: u32,
        /// Completes "couldn't setuid to …: ".
        reason: String,
    },
}

/// A value for the kernel, and how it was configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfiguredValue<T> {
    /// For the kernel.
    pub value: T,
    /// As configured; completes "couldn't set …".
    pub text: String,
}

/// What the new process may use, and which rights it has besides those of its user. By default nothing is changed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ChildBounds {
    /// Limits.
    pub limits: Vec<ConfiguredValue<(Resource, Limit)>>,
    /// Its nice value.
    pub nice: Option<ConfiguredValue<i8>>,
    /// How readily the kernel kills it for want of memory; the value is what is written to the file.
    pub oom_score_adj: Option<ConfiguredValue<String>>,
    /// The capabilities that it, and whatever it executes, may ever have: a bit for each.
    pub bounding: Option<u64>,
    /// The capabilities that it has whoever it runs as: a bit for each.
    pub ambient: Option<u64>,
    /// Nothing that it executes gives it more rights.
    pub no_new_privileges: bool,
}

/// A process to be: plain data, made before the clone and only read after it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawPlan {
    /// What to execute; relative to `directory`, if there is one.
    pub path: CString,
    /// Its arguments; the first is also what messages call it.
    pub argv: CStrings,
    /// Its environment.
    pub envp: CStrings,
    /// Working directory, entered with the process's rights; none: the daemon's.
    pub directory: Option<CString>,
    /// File mode mask; none: the daemon's.
    pub umask: Option<u32>,
    /// Limits that differ from the daemon's own.
    pub limits: Vec<(Resource, Limit)>,
    /// Whose rights.
    pub ids: ChildIds,
    /// What it may use besides.
    pub bounds: ChildBounds,
    /// It leads a session of its own, without a controlling terminal; otherwise only a process group.
    pub has_session: bool,
    /// It gets a session keyring of its own, empty; otherwise it has the daemon's.
    pub has_keyring: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_kept_apart_and_nul_is_refused() {
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
