//! A machine on which some files have other texts: what a configuration would be after an edit.

use std::collections::BTreeMap;

use super::lookup::{FileFacts, Lookup, LookupError, UserEntry};
use super::path::{absolute, basename, dirname};
use crate::domain::{Capabilities, CronZone, Resource};

/// A machine with edited files. Everything else is that of the other machine.
pub struct EditedFiles<'a> {
    machine: &'a dyn Lookup,
    /// The texts by absolute path.
    files: BTreeMap<String, String>,
}

impl<'a> EditedFiles<'a> {
    /// `files`: texts by absolute path. They may be new files.
    #[must_use]
    pub const fn new(machine: &'a dyn Lookup, files: BTreeMap<String, String>) -> Self {
        Self { machine, files }
    }

    fn text(&self, path: &str) -> Option<&String> {
        self.files.get(&absolute(path, self.machine))
    }
}

impl Lookup for EditedFiles<'_> {
    fn read(&self, path: &str) -> Result<Vec<u8>, LookupError> {
        match self.text(path) {
            Some(text) => Ok(text.clone().into_bytes()),
            None => self.machine.read(path),
        }
    }

    fn exists(&self, path: &str) -> bool {
        self.text(path).is_some() || self.machine.exists(path)
    }

    fn is_entry(&self, path: &str) -> bool {
        self.text(path).is_some() || self.machine.is_entry(path)
    }

    fn is_dir(&self, path: &str) -> bool {
        self.text(path).is_none() && self.machine.is_dir(path)
    }

    fn list(&self, path: &str) -> Vec<String> {
        let mut names = self.machine.list(path);
        let directory = absolute(path, self.machine);
        for file in self.files.keys() {
            let name = basename(file);
            if dirname(file) == directory && !names.iter().any(|known| known == name) {
                names.push(name.to_owned());
            }
        }
        names
    }

    fn user(&self, name: &str) -> Option<UserEntry> {
        self.machine.user(name)
    }

    fn user_of(&self, uid: u32) -> Option<UserEntry> {
        self.machine.user_of(uid)
    }

    fn group(&self, name: &str) -> Option<u32> {
        self.machine.group(name)
    }

    fn is_group(&self, gid: u32) -> bool {
        self.machine.is_group(gid)
    }

    fn uid(&self) -> u32 {
        self.machine.uid()
    }

    fn capabilities(&self) -> Capabilities {
        self.machine.capabilities()
    }

    fn hard_limit(&self, resource: Resource) -> Option<u64> {
        self.machine.hard_limit(resource)
    }

    fn cpus(&self) -> i64 {
        self.machine.cpus()
    }

    fn cron_zone(&self, name: Option<&str>) -> Option<CronZone> {
        self.machine.cron_zone(name)
    }

    fn env_file(&self, path: &str) -> Result<String, LookupError> {
        self.machine.env_file(path)
    }

    fn secret_file(&self, path: &str) -> Result<String, LookupError> {
        self.machine.secret_file(path)
    }

    fn file_facts(&self, path: &str) -> Option<FileFacts> {
        self.machine.file_facts(path)
    }

    fn first_bytes(&self, path: &str) -> Option<Vec<u8>> {
        self.machine.first_bytes(path)
    }

    fn groups_of(&self, uid: u32) -> Vec<u32> {
        self.machine.groups_of(uid)
    }

    fn cwd(&self) -> String {
        self.machine.cwd()
    }

    fn home(&self, user: Option<&str>) -> Option<String> {
        self.machine.home(user)
    }

    fn tempdir(&self) -> String {
        self.machine.tempdir()
    }

    fn hostname(&self) -> String {
        self.machine.hostname()
    }

    fn other_writer(&self, path: &str) -> Option<String> {
        self.machine.other_writer(path)
    }

    fn other_adder(&self, directory: &str) -> Option<String> {
        self.machine.other_adder(directory)
    }

    fn no_cgroup(&self, controller: &str) -> Option<String> {
        self.machine.no_cgroup(controller)
    }

    fn is_program(&self, path: &str) -> bool {
        self.machine.is_program(path)
    }

    fn env(&self) -> Vec<(String, String)> {
        self.machine.env()
    }

    fn settings_env(&self) -> Vec<(String, String)> {
        self.machine.settings_env()
    }
}

#[cfg(test)]
mod tests {
    use super::super::load;
    use super::super::lookup::Fake;
    use super::super::options::DaemonOptions;
    use super::*;

    #[test]
    fn edited_and_new_files_are_read_instead() {
        let machine = Fake::default()
            .with("/etc/s.conf", "[supervisord]\n[include]\nfiles=d/*.conf\n")
            .with("/etc/d/a.conf", "[program:a]\ncommand=/bin/a\n");
        let files = BTreeMap::from([
            (
                "/etc/d/a.conf".to_owned(),
                "[program:a]\ncommand=/bin/other\n".to_owned(),
            ),
            (
                "/etc/d/b.conf".to_owned(),
                "[program:b]\ncommand=/bin/b\n".to_owned(),
            ),
        ]);
        let edited = EditedFiles::new(&machine, files);
        let config = load("/etc/s.conf", &DaemonOptions::default(), &edited).expect("valid");
        let commands: Vec<&str> = config
            .groups
            .iter()
            .map(|group| &*group.processes[0].command)
            .collect();
        assert_eq!(commands, ["/bin/other", "/bin/b"]);
    }
}
