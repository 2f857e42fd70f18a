//! Who the program is, and the variables that it has.

use super::super::form;
use super::super::words::{self, VariableValue, is_variable_name};
use super::{EnvironmentFile, SERVICE, Translation};

/// The variables of a program.
pub(super) struct ProgramVariables {
    /// Those whose values are known.
    known: Vec<(String, String)>,
    /// There are others, of which nothing is known.
    has_more: bool,
    /// Names of others.
    late: Vec<String>,
}

/// Set by systemd, and by whatever runs us.
const LATE: [&str; 5] = ["PATH", "LANG", "NOTIFY_SOCKET", "SHELL", "TERM"];

/// Directories that systemd makes: directive, where, the variable that names them.
const DIRECTORIES: [(&str, &str, &str, &str); 5] = [
    (
        "RuntimeDirectory",
        "RuntimeDirectoryMode",
        "/run",
        "RUNTIME_DIRECTORY",
    ),
    (
        "StateDirectory",
        "StateDirectoryMode",
        "/var/lib",
        "STATE_DIRECTORY",
    ),
    (
        "CacheDirectory",
        "CacheDirectoryMode",
        "/var/cache",
        "CACHE_DIRECTORY",
    ),
    (
        "LogsDirectory",
        "LogsDirectoryMode",
        "/var/log",
        "LOGS_DIRECTORY",
    ),
    (
        "ConfigurationDirectory",
        "ConfigurationDirectoryMode",
        "/etc",
        "CONFIGURATION_DIRECTORY",
    ),
];

impl ProgramVariables {
    fn set(&mut self, name: &str, value: String) {
        match self.known.iter_mut().find(|(known, _)| known == name) {
            Some((_, old)) => *old = value,
            None => self.known.push((name.to_owned(), value)),
        }
    }

    /// What is known of one. What a file that was not read may set is not known, whatever the unit says.
    pub(super) fn find(&self, name: &str) -> VariableValue {
        if !is_variable_name(name) {
            return VariableValue::Unset;
        }
        let found = self.known.iter().find(|(known, _)| known == name);
        let is_late = self.has_more
            || self.late.iter().any(|late| late == name)
            || found.is_none() && LATE.contains(&name);
        match found {
            _ if is_late => VariableValue::Late,
            Some((_, value)) => VariableValue::Known(value.clone()),
            None => VariableValue::Unset,
        }
    }
}

impl<'a> Translation<'a> {
    /// User and groups; answers the user's name.
    pub(super) fn ids(&mut self) -> Option<String> {
        let user = self.last_assignment("User");
        if let Some(user) = &user {
            self.text("user", "User", user);
            if user.parse::<u32>().is_err() && self.world.lookup.user(user).is_none() {
                self.section
                    .add_remark("User", user, "this user does not exist on this machine");
            }
        }
        if let Some(group) = self.last_assignment("Group") {
            self.text("group", "Group", &group);
        }
        let groups: Vec<String> = self
            .list_assignments(SERVICE, "SupplementaryGroups")
            .into_iter()
            .flat_map(|one| one.value.split_whitespace())
            .map(str::to_owned)
            .collect();
        if !groups.is_empty() {
            let groups = self.specified("SupplementaryGroups", &groups.join(","));
            self.text("extra_groups", "SupplementaryGroups", &groups);
        }
        user
    }

    /// The variables of the program; sets none yet, for some may need the command.
    pub(super) fn environment(&mut self, user: Option<&str>) -> ProgramVariables {
        let mut variables = ProgramVariables {
            known: Vec::new(),
            has_more: false,
            late: Vec::new(),
        };
        // As systemd does it, and Supervisor does not: the program is at home where its user is.
        if let Some(user) = user {
            let lookup = self.world.lookup;
            let found = match user.parse() {
                Ok(uid) => lookup.user_of(uid),
                Err(_) => lookup.user(user),
            };
            if let Some(found) = found {
                variables.set("HOME", found.home);
            }
            if user.parse::<u32>().is_err() {
                variables.set("LOGNAME", user.to_owned());
                variables.set("USER", user.to_owned());
            }
        }
        self.directories(user, &mut variables);
        for one in self.list_assignments(SERVICE, "Environment") {
            match words::list(&one.value) {
                Ok(list) => {
                    for word in list {
                        let word = self.specified("Environment", &word);
                        match word.split_once('=') {
                            Some((name, value)) if is_variable_name(name) => {
                                variables.set(name, value.to_owned());
                            }
                            _ => self
                                .section
                                .add_remark("Environment", &word, "is not a variable"),
                        }
                    }
                }
                Err(error) => self.section.add_remark(
                    "Environment",
                    &one.value,
                    &format!("is not a list of variables: {error}"),
                ),
            }
        }
        self.files(&mut variables);
        for one in self.list_assignments(SERVICE, "PassEnvironment") {
            variables
                .late
                .extend(one.value.split_whitespace().map(str::to_owned));
            self.section.add_remark(
                "PassEnvironment",
                &one.value,
                "programs inherit all variables of supervisord",
            );
        }
        for one in self.list_assignments(SERVICE, "UnsetEnvironment") {
            for word in one.value.split_whitespace() {
                variables
                    .known
                    .retain(|(name, value)| name != word && format!("{name}={value}") != word);
            }
            self.section.add_remark(
                "UnsetEnvironment",
                &one.value,
                "programs inherit the variables of supervisord; put /usr/bin/env -u NAME before the command",
            );
        }
        variables
    }

    fn files(&mut self, variables: &mut ProgramVariables) {
        for one in self.list_assignments(SERVICE, "EnvironmentFile") {
            let value = self.specified("EnvironmentFile", &one.value);
            let (path, is_optional) = match value.strip_prefix('-') {
                Some(path) => (path, true),
                None => (value.as_str(), false),
            };
            let found = if path.contains(['*', '?', '[']) {
                EnvironmentFile::Private
            } else {
                (self.world.environment_file)(path)
            };
            let text = match found {
                EnvironmentFile::Text(text) => {
                    for (name, value) in words::variables(&text) {
                        variables.set(&name, value);
                    }
                    "no equivalent: the current content of the file is copied to environment="
                }
                EnvironmentFile::Missing if is_optional => {
                    "no equivalent, and the file does not exist now"
                }
                EnvironmentFile::Missing => {
                    variables.has_more = true;
                    "no equivalent, and the file does not exist now: add its variables to environment="
                }
                EnvironmentFile::Private => {
                    variables.has_more = true;
                    "no equivalent, and the file is private: add its variables to environment= in a private configuration file"
                }
            };
            self.section.add_remark("EnvironmentFile", &one.value, text);
        }
    }

    fn directories(&mut self, user: Option<&str>, variables: &mut ProgramVariables) {
        for (name, mode, base, variable) in DIRECTORIES {
            let mode = self
                .last_assignment(mode)
                .unwrap_or_else(|| "0755".to_owned());
            let mut paths = Vec::new();
            for one in self.list_assignments(SERVICE, name) {
                let value = self.specified(name, &one.value);
                paths.extend(value.split_whitespace().map(|path| {
                    let path = path.split(':').next().unwrap_or_default();
                    format!("{base}/{path}")
                }));
            }
            if paths.is_empty() {
                continue;
            }
            let owner = user.unwrap_or("root");
            let group = self.section.get("group").unwrap_or(owner).to_owned();
            for path in &paths {
                self.section.add_remark(
                    name,
                    path.trim_start_matches(base).trim_start_matches('/'),
                    &format!("the directory is not created; use a line of tmpfiles.d(5): d {path} {mode} {owner} {group}"),
                );
            }
            variables.set(variable, paths.join(":"));
        }
    }

    /// Writes the variables; answers those that only the command can hold.
    pub(super) fn write(&mut self, variables: &ProgramVariables) -> Vec<String> {
        let mut pairs = Vec::new();
        let mut others = Vec::new();
        for (name, value) in &variables.known {
            match form::variable_pair(name, value) {
                Some(pair) => pairs.push(pair),
                None => others.push(format!("{name}={value}")),
            }
        }
        if !pairs.is_empty() {
            self.section.set("environment", pairs.join(","));
        }
        others
    }
}
