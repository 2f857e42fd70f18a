//! What reading a configuration may ask of the machine.

use crate::domain::{Capabilities, CronZone, Resource};

/// An entry of the user database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserEntry {
    /// The uid.
    pub uid: u32,
    /// The primary gid.
    pub gid: u32,
    /// The home directory.
    pub home: String,
}

/// Why a file could not be read. Each text is a reason for people; empty: no further reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LookupError {
    /// The file does not exist, or cannot be examined.
    Missing(String),
    /// The file exists but cannot be read, or is a directory.
    Unreadable(String),
}

/// Maximum number of bytes that [`Lookup::first_bytes`] returns: more than the kernel reads of a `#!` line, and enough
/// for the settings at the beginning of a program's own configuration.
pub const FIRST_BYTES_MAX: usize = 64 << 10;

/// The kind of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileKind {
    /// A regular file.
    Regular,
    /// A directory.
    Directory,
    /// A device, a pipe or a socket.
    Special,
}

/// What a check asks about a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileFacts {
    /// Its kind.
    pub kind: FileKind,
    /// The permission bits, with the sticky bit.
    pub mode: u32,
    /// The uid of its owner.
    pub uid: u32,
    /// Its gid.
    pub gid: u32,
}

/// Queries to the machine. Paths may be relative to [`Lookup::cwd`]; an empty path names nothing.
pub trait Lookup {
    /// Reads a file.
    ///
    /// # Errors
    /// It is missing or cannot be read.
    fn read(&self, path: &str) -> Result<Vec<u8>, LookupError>;
    /// Whether the path exists. Follows symbolic links.
    fn exists(&self, path: &str) -> bool;
    /// Whether the path exists, even as a dangling symbolic link.
    fn is_entry(&self, path: &str) -> bool;
    /// Whether the path is a directory. Follows symbolic links.
    fn is_dir(&self, path: &str) -> bool;
    /// The names in a directory, in any order. Empty if it cannot be listed.
    fn list(&self, path: &str) -> Vec<String>;
    /// The user with this name.
    fn user(&self, name: &str) -> Option<UserEntry>;
    /// The user with this uid.
    fn user_of(&self, uid: u32) -> Option<UserEntry>;
    /// The gid of the group with this name.
    fn group(&self, name: &str) -> Option<u32>;
    /// Whether there is a group with this gid.
    fn is_group(&self, gid: u32) -> bool;
    /// The effective uid of this process.
    fn uid(&self) -> u32;
    /// The capabilities of this process.
    fn capabilities(&self) -> Capabilities {
        match self.uid() {
            0 => Capabilities::ALL,
            _ => Capabilities::NONE,
        }
    }
    /// This process's hard limit of a resource, which child processes cannot exceed without privileges. `None`: it does
    /// not matter.
    fn hard_limit(&self, _resource: Resource) -> Option<u64> {
        None
    }
    /// The number of CPUs that this process may use, at least 1.
    fn cpus(&self) -> i64 {
        1
    }
    /// The time zone with this name. `None` for `name`: the host's own. Returns `None` if it is unknown.
    fn cron_zone(&self, name: Option<&str>) -> Option<CronZone> {
        name.is_none_or(|name| name == "UTC")
            .then_some(CronZone::UTC)
    }
    /// Reads an env file, which must be a regular file of at most [`super::env_file::ENV_FILE_BYTES_MAX`] bytes. Bytes
    /// that are not UTF-8 are encoded by [`crate::domain::from_bytes`].
    ///
    /// # Errors
    /// It is missing or cannot be read.
    fn env_file(&self, path: &str) -> Result<String, LookupError> {
        self.read(path)
            .map(|bytes| crate::domain::from_bytes(&bytes))
    }
    /// Reads a file with secrets, which must be a regular file of at most [`super::tokens::TOKENS_BYTES_MAX`] bytes that
    /// nobody but its owner can read.
    ///
    /// # Errors
    /// It is missing, or cannot be trusted or read.
    fn secret_file(&self, path: &str) -> Result<String, LookupError> {
        self.read(path)
            .map(|bytes| crate::domain::from_bytes(&bytes))
    }
    /// The working directory, absolute.
    fn cwd(&self) -> String;
    /// The home directory of a user. `None` for `user`: of this process's user.
    fn home(&self, user: Option<&str>) -> Option<String>;
    /// The directory for temporary files.
    fn tempdir(&self) -> String;
    /// The host name, from the kernel.
    fn hostname(&self) -> String;
    /// The users, besides root, who could change what a root daemon reads at this path, as text that completes "… can
    /// be changed by others: ". `None`: no user; or this process is not root or runs no commands.
    fn other_writer(&self, _path: &str) -> Option<String> {
        None
    }
    /// Like [`Self::other_writer`], for a directory whose files are read: users who could add a file to it, or create
    /// it if it is missing.
    fn other_adder(&self, _directory: &str) -> Option<String> {
        None
    }
    /// Why programs cannot have cgroups on this host, or not with this controller (empty: no controller is needed).
    /// `None`: they can.
    fn no_cgroup(&self, _controller: &str) -> Option<String> {
        None
    }
    /// Whether the path is a file that this process may execute.
    fn is_program(&self, _path: &str) -> bool {
        false
    }
    /// The kind, mode and owner of a file. Follows symbolic links. `None`: it does not exist or cannot be examined.
    fn file_facts(&self, _path: &str) -> Option<FileFacts> {
        None
    }
    /// The first bytes of a regular file, at most [`FIRST_BYTES_MAX`]. `None`: it cannot be read.
    fn first_bytes(&self, _path: &str) -> Option<Vec<u8>> {
        None
    }
    /// The groups of a user, including the primary one. Empty: the user is not in the user database.
    fn groups_of(&self, _uid: u32) -> Vec<u32> {
        Vec::new()
    }
    /// The environment of this process. Bytes that are not UTF-8 are encoded by [`crate::domain::from_bytes`].
    fn env(&self) -> Vec<(String, String)>;
    /// The environment with the variables of settings, which may contain secrets and are not for programs.
    fn settings_env(&self) -> Vec<(String, String)> {
        self.env()
    }
}

#[cfg(test)]
pub use fake::Fake;

#[cfg(test)]
mod fake {
    use std::collections::{BTreeMap, BTreeSet};

    use super::super::path::{dirname, join, normalize};
    use super::{Capabilities, FileFacts, FileKind, Lookup, LookupError, Resource, UserEntry};

    /// A fake machine for tests: the working directory is /start, the user is `me` (1000).
    #[derive(Debug, Clone)]
    pub struct Fake {
        /// File contents by path.
        pub files: BTreeMap<String, Vec<u8>>,
        /// Further directories.
        pub dirs: BTreeSet<String>,
        /// The environment.
        pub env: Vec<(String, String)>,
        /// The effective uid.
        pub uid: u32,
        /// The capabilities.
        pub capabilities: Capabilities,
    }

    impl Default for Fake {
        fn default() -> Self {
            Self {
                files: BTreeMap::new(),
                dirs: [
                    "/", "/dev", "/etc", "/tmp", "/start", "/home/me", "/var/log",
                ]
                .map(str::to_owned)
                .into(),
                env: vec![("HOME".to_owned(), "/home/me".to_owned())],
                uid: 1000,
                capabilities: Capabilities::NONE,
            }
        }
    }

    impl Fake {
        /// Adds a file and the directories above it.
        pub fn with(mut self, path: &str, text: &str) -> Self {
            let mut dir = dirname(path);
            while !dir.is_empty() && self.dirs.insert(dir.to_owned()) {
                dir = dirname(dir);
            }
            self.files.insert(path.to_owned(), text.as_bytes().to_vec());
            self
        }

        fn full(path: &str) -> String {
            normalize(&join("/start", path))
        }
    }

    impl Lookup for Fake {
        fn read(&self, path: &str) -> Result<Vec<u8>, LookupError> {
            let path = Self::full(path);
            match self.files.get(&path) {
                Some(bytes) => Ok(bytes.clone()),
                None if self.dirs.contains(&path) => {
                    Err(LookupError::Unreadable("it is a directory".to_owned()))
                }
                None => Err(LookupError::Missing(String::new())),
            }
        }

        fn exists(&self, path: &str) -> bool {
            self.files.contains_key(&Self::full(path)) || self.is_dir(path)
        }

        fn is_entry(&self, path: &str) -> bool {
            self.exists(path)
        }

        fn is_dir(&self, path: &str) -> bool {
            !path.is_empty() && self.dirs.contains(&Self::full(path))
        }

        fn list(&self, path: &str) -> Vec<String> {
            let dir = Self::full(path);
            let mut names: Vec<String> = self
                .files
                .keys()
                .chain(&self.dirs)
                .filter(|entry| dirname(entry) == dir && **entry != dir)
                .map(|entry| {
                    entry[dirname(entry).len()..]
                        .trim_start_matches('/')
                        .to_owned()
                })
                .collect();
            // Real directories have no defined order either.
            names.reverse();
            names
        }

        fn user(&self, name: &str) -> Option<UserEntry> {
            let (uid, home) = match name {
                "root" => (0, "/root"),
                "me" => (1000, "/home/me"),
                "web" => (33, "/srv/web"),
                _ => return None,
            };
            Some(UserEntry {
                uid,
                gid: uid,
                home: home.to_owned(),
            })
        }

        fn user_of(&self, uid: u32) -> Option<UserEntry> {
            ["root", "me", "web"]
                .iter()
                .filter_map(|name| self.user(name))
                .find(|user| user.uid == uid)
        }

        fn group(&self, name: &str) -> Option<u32> {
            self.user(name).map(|user| user.gid)
        }

        fn is_group(&self, gid: u32) -> bool {
            self.user_of(gid).is_some()
        }

        fn uid(&self) -> u32 {
            self.uid
        }

        fn capabilities(&self) -> Capabilities {
            self.capabilities
        }

        fn hard_limit(&self, _resource: Resource) -> Option<u64> {
            Some(4096)
        }

        fn cpus(&self) -> i64 {
            3
        }

        fn cwd(&self) -> String {
            "/start".to_owned()
        }

        fn home(&self, user: Option<&str>) -> Option<String> {
            self.user(user.unwrap_or("me")).map(|user| user.home)
        }

        fn tempdir(&self) -> String {
            "/tmp".to_owned()
        }

        fn hostname(&self) -> String {
            "box".to_owned()
        }

        fn other_writer(&self, path: &str) -> Option<String> {
            path.contains("everybodys")
                .then(|| "it is writable by everybody".to_owned())
        }

        fn no_cgroup(&self, controller: &str) -> Option<String> {
            (controller == "io").then(|| "the kernel does not support it".to_owned())
        }

        fn other_adder(&self, directory: &str) -> Option<String> {
            self.other_writer(directory)
        }

        fn is_program(&self, path: &str) -> bool {
            self.files.contains_key(&Self::full(path))
        }

        /// Everything belongs to root and is executable, except names that end in `.txt`.
        fn file_facts(&self, path: &str) -> Option<FileFacts> {
            let kind = match () {
                () if self.is_dir(path) => FileKind::Directory,
                () if self.exists(path) => FileKind::Regular,
                () => return None,
            };
            let mode = if path.ends_with(".txt") { 0o644 } else { 0o755 };
            Some(FileFacts {
                kind,
                mode,
                uid: 0,
                gid: 0,
            })
        }

        fn first_bytes(&self, path: &str) -> Option<Vec<u8>> {
            self.read(path).ok()
        }

        fn env(&self) -> Vec<(String, String)> {
            self.env.clone()
        }
    }
}
