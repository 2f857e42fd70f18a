//! All that reading a configuration may ask of the machine. Knows nothing of configuration.

use crate::domain::Resource;

/// An entry of the user database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserEntry {
    /// Its number.
    pub uid: u32,
    /// Its first group.
    pub gid: u32,
    /// Its home directory.
    pub home: String,
}

/// Why a file could not be read. Each reason is for people; empty: there is nothing to add.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LookupError {
    /// There is no such file, or it cannot even be looked at.
    Missing(String),
    /// It is there and cannot be read, or is a directory.
    Unreadable(String),
}

/// What the machine knows. Paths may be relative to [`Lookup::cwd`]; an empty path names nothing.
pub trait Lookup {
    /// The content of a file.
    ///
    /// # Errors
    /// It is missing or cannot be read.
    fn read(&self, path: &str) -> Result<Vec<u8>, LookupError>;
    /// There is something of this name; symbolic links are followed.
    fn exists(&self, path: &str) -> bool;
    /// There is something of this name, be it a symbolic link to nothing.
    fn is_entry(&self, path: &str) -> bool;
    /// It is a directory; symbolic links are followed.
    fn is_dir(&self, path: &str) -> bool;
    /// The names in a directory, in any order; empty if it cannot be listed.
    fn list(&self, path: &str) -> Vec<String>;
    /// The user of this name.
    fn user(&self, name: &str) -> Option<UserEntry>;
    /// The user of this number.
    fn user_of(&self, uid: u32) -> Option<UserEntry>;
    /// The number of the group of this name.
    fn group(&self, name: &str) -> Option<u32>;
    /// There is a group of this number.
    fn is_group(&self, gid: u32) -> bool;
    /// Our own user.
    fn uid(&self) -> u32;
    /// Our own hard limit, which what we make can exceed only with more rights; none if it does not matter.
    fn hard_limit(&self, _resource: Resource) -> Option<u64> {
        None
    }
    /// The working directory, absolute.
    fn cwd(&self) -> String;
    /// The home directory of a user, or our own.
    fn home(&self, user: Option<&str>) -> Option<String>;
    /// The directory for temporary files.
    fn tempdir(&self) -> String;
    /// The name of the machine, as the kernel knows it.
    fn hostname(&self) -> String;
    /// Who, besides root, could change what a root daemon reads here, in words that complete "… can be changed by others: ";
    /// none if nobody, or if we are not root, or run no commands.
    fn other_writer(&self, _path: &str) -> Option<String> {
        None
    }
    /// As [`Self::other_writer`], for a directory whose files are read: who could add one to it, or make it if it is missing.
    fn other_adder(&self, _directory: &str) -> Option<String> {
        None
    }
    /// Why programs cannot have cgroups on this host, or not with this controller (empty: none is needed); none: they can.
    fn no_cgroup(&self, _controller: &str) -> Option<String> {
        None
    }
    /// There is a file of this name that we may execute.
    fn is_program(&self, _path: &str) -> bool {
        false
    }
    /// The variables of our own environment. Bytes that are no UTF-8 are held as [`crate::domain::from_bytes`] does.
    fn env(&self) -> Vec<(String, String)>;
}

#[cfg(test)]
pub use fake::Fake;

#[cfg(test)]
mod fake {
    use std::collections::{BTreeMap, BTreeSet};

    use super::super::path::{dirname, join, normalize};
    use super::{Lookup, LookupError, Resource, UserEntry};

    /// A machine of the imagination for tests: /start is the working directory, `me` (1000) the user.
    #[derive(Debug, Clone)]
    pub struct Fake {
        /// Path and content.
        pub files: BTreeMap<String, Vec<u8>>,
        /// Directories besides.
        pub dirs: BTreeSet<String>,
        /// The environment.
        pub env: Vec<(String, String)>,
    }

    impl Default for Fake {
        fn default() -> Self {
            Self {
                files: BTreeMap::new(),
                dirs: ["/", "/etc", "/tmp", "/start", "/home/me", "/var/log"]
                    .map(str::to_owned)
                    .into(),
                env: vec![("HOME".to_owned(), "/home/me".to_owned())],
            }
        }
    }

    impl Fake {
        /// With a file more, and the directories above it.
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
            // Directories of a real machine have no order either.
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
            1000
        }

        fn hard_limit(&self, _resource: Resource) -> Option<u64> {
            Some(4096)
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

        fn env(&self) -> Vec<(String, String)> {
            self.env.clone()
        }
    }
}
