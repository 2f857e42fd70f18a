//! Where a configuration comes from besides local files: an item of a Nacos server, or the output of a command; what its
//! text may do, and the text itself.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::nacos::NacosSettings;
use super::python::{integer, strip};
use super::shlex::shlex_split;
use super::spec::ConfiguredUser;
use super::value::list;
use crate::domain::{Seconds, python_repr};

/// Maximum size of the text of a source, in bytes.
pub const SOURCE_TEXT_BYTES_MAX: usize = 1 << 20;
/// The longest time that a command may take. A start and `reread` wait for it.
const TIMEOUT_MAX: i64 = 300;

/// A source and its rules.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceSettings {
    /// Where the text comes from.
    #[serde(flatten)]
    pub origin: SourceOrigin,
    /// What it may do, and when.
    #[serde(flatten)]
    pub rules: SourceRules,
}

/// Where the text comes from. Daemons tell the variants apart by their fields, because the first version had one only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum SourceOrigin {
    /// An item of a Nacos server.
    Nacos(NacosSettings),
    /// The output of a command.
    Command(CommandSettings),
}

/// What the text of a source may do, and when it is used. Both kinds of sources have these keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceRules {
    /// The snapshot is not used at start.
    pub not_use_cache: bool,
    /// How long the start waits for the text before it uses the snapshot.
    pub cache_wait: Seconds,
    /// How long the start waits for the text if there is no snapshot.
    pub start_timeout: Seconds,
    /// The directory of snapshots. `None`: the default.
    pub cache_dir: Option<String>,
    /// What a changed text does.
    pub on_change: OnChange,
    /// Whether a text may remove all programs.
    pub allow_empty: bool,
    /// Maximum random delay before a changed text is applied.
    pub splay: Seconds,
    /// Patterns of section names that the text may have. Empty: see [`SourceSettings::allows_section`].
    pub allow_sections: Vec<String>,
    /// The users that programs of the text may run as. Empty: all.
    pub pinned_users: Vec<String>,
}

/// A command that prints the configuration.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommandSettings {
    /// The program and its arguments. Never empty.
    pub argv: Vec<String>,
    /// The user that runs it. `None`: `nobody` if the daemon is root, else the user of the daemon.
    pub user: Option<ConfiguredUser>,
    /// Variables besides the few that it always has.
    pub environment: Vec<(String, String)>,
    /// From the end of one run to the beginning of the next.
    pub interval: Seconds,
    /// Maximum duration of a run.
    pub timeout: Seconds,
    /// Maximum size of the output in bytes, at most [`SOURCE_TEXT_BYTES_MAX`].
    pub maxbytes: usize,
}

/// What a changed text does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnChange {
    /// It is applied like `supervisorctl update`.
    #[default]
    Apply,
    /// It is reported. `supervisorctl update` applies it.
    Notify,
    /// Nothing until `supervisorctl update`.
    Ignore,
}

/// The sections that a text may have if its users are pinned and `allow_sections` is not set: those whose programs have a
/// user of their own. `[program-default]` would change local programs, whose users are not pinned.
const PINNED_SECTIONS: [&str; 3] = ["program:*", "group:*", "eventlistener:*"];

impl SourceSettings {
    /// The section that has the settings, without brackets. It is also how their options begin.
    #[must_use]
    pub const fn section(&self) -> &'static str {
        match self.origin {
            SourceOrigin::Nacos(_) => "nacos",
            SourceOrigin::Command(_) => "source",
        }
    }

    /// The kind of the source in one word.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self.origin {
            SourceOrigin::Nacos(_) => "nacos",
            SourceOrigin::Command(_) => "command",
        }
    }

    /// The name of the text in log lines: namespace, group and data ID, or the program.
    #[must_use]
    pub fn item_name(&self) -> String {
        match &self.origin {
            SourceOrigin::Nacos(nacos) => nacos.item_name(),
            SourceOrigin::Command(command) => command.display_name(),
        }
    }

    /// The name of the text in messages about a line of it.
    #[must_use]
    pub fn display_name(&self) -> String {
        match &self.origin {
            SourceOrigin::Nacos(nacos) => format!("nacos:{}", nacos.item_name()),
            SourceOrigin::Command(command) => command.display_name(),
        }
    }

    /// The source for people, as in "cannot read …".
    #[must_use]
    pub fn described(&self) -> String {
        match &self.origin {
            SourceOrigin::Nacos(nacos) => format!("nacos item {}", nacos.item_name()),
            SourceOrigin::Command(command) => command.display_name(),
        }
    }

    /// The item. `None`: the source is no Nacos server.
    #[must_use]
    pub const fn nacos(&self) -> Option<&NacosSettings> {
        match &self.origin {
            SourceOrigin::Nacos(nacos) => Some(nacos),
            SourceOrigin::Command(_) => None,
        }
    }

    /// Whether the text may have a section of this name.
    #[must_use]
    pub fn allows_section(&self, name: &str) -> bool {
        let SourceRules {
            allow_sections,
            pinned_users,
            ..
        } = &self.rules;
        let matches = |pattern: &str| super::matches_name(pattern, name);
        match (allow_sections.is_empty(), pinned_users.is_empty()) {
            (true, true) => true,
            (true, false) => PINNED_SECTIONS.into_iter().any(matches),
            (false, _) => allow_sections.iter().any(|pattern| matches(pattern)),
        }
    }
}

impl SourceRules {
    /// The rules before any row is read.
    pub(super) fn empty() -> Self {
        Self {
            not_use_cache: false,
            cache_wait: Seconds(0),
            start_timeout: Seconds(0),
            cache_dir: None,
            on_change: OnChange::Apply,
            allow_empty: false,
            splay: Seconds(0),
            allow_sections: Vec::new(),
            pinned_users: Vec::new(),
        }
    }
}

impl CommandSettings {
    /// The program as it is written. Never its arguments, which may contain secrets.
    #[must_use]
    pub fn program(&self) -> &str {
        self.argv.first().map_or("", String::as_str)
    }

    fn display_name(&self) -> String {
        let program = self.program();
        let name = program.rsplit('/').find(|part| !part.is_empty());
        format!("command:{}", name.unwrap_or(program))
    }
}

impl fmt::Debug for CommandSettings {
    /// Without arguments and environment, which must not get into diagnostics.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CommandSettings")
            .field("program", &self.program())
            .field("user", &self.user)
            .finish_non_exhaustive()
    }
}

/// A text that is read after the local files, whose keys it replaces.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemoteText {
    /// Its name in messages, such as `nacos:public/DEFAULT_GROUP/supervisord.conf`.
    pub name: String,
    /// The text.
    pub text: Arc<str>,
    /// The MD5 of the text in lower-case hexadecimal digits.
    pub md5: String,
    /// The server or the program that it came from. Empty: it came from a snapshot.
    pub server: String,
    /// What it may do.
    pub settings: Arc<SourceSettings>,
}

impl RemoteText {
    /// Creates the text of a source.
    #[must_use]
    pub fn new(settings: Arc<SourceSettings>, text: &str, md5: String, server: String) -> Self {
        Self {
            name: settings.display_name(),
            text: text.into(),
            md5,
            server,
            settings,
        }
    }
}

/// Parses what a changed text does.
pub(super) fn on_change(text: &str) -> Result<OnChange, String> {
    match strip(text).to_lowercase().as_str() {
        "apply" => Ok(OnChange::Apply),
        "notify" => Ok(OnChange::Notify),
        "ignore" => Ok(OnChange::Ignore),
        _ => Err(format!("invalid 'on_change' value {}", python_repr(text))),
    }
}

/// Parses names separated by commas.
pub(super) fn names(text: &str) -> Result<Vec<String>, String> {
    let names = list(text);
    Ok(names.into_iter().filter(|name| !name.is_empty()).collect())
}

/// Parses a command line. It is not run by a shell.
pub(super) fn command(text: &str) -> Result<Vec<String>, String> {
    let argv = shlex_split(text).map_err(|error| format!("invalid 'command' value: {error}"))?;
    match argv.first().map(String::as_str) {
        None | Some("") => Err(format!("invalid 'command' value {}", python_repr(text))),
        Some(_) => Ok(argv),
    }
}

/// Parses the time limit of a run.
pub(super) fn timeout(text: &str) -> Result<Seconds, String> {
    match integer(text)? {
        number if number < 1 => Err(format!("{number} is below lower bound (1)")),
        number if number > TIMEOUT_MAX => {
            Err(format!("{number} is above upper bound ({TIMEOUT_MAX})"))
        }
        number => Ok(Seconds(number)),
    }
}

/// Parses the maximum size of an output.
pub(super) fn maxbytes(text: &str) -> Result<usize, String> {
    let size = super::value::byte_size(text)?.0;
    match usize::try_from(size) {
        Ok(size) if (1..=SOURCE_TEXT_BYTES_MAX).contains(&size) => Ok(size),
        _ => Err(format!(
            "{size} is not between 1 and {SOURCE_TEXT_BYTES_MAX}"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_named_by_its_program_alone() {
        for (line, name) in [
            ("etcdctl get --print-value-only /conf", "command:etcdctl"),
            ("'/opt/my tools/fetch' --token s3cret", "command:fetch"),
            ("/", "command:/"),
        ] {
            let command = CommandSettings {
                argv: command(line).expect("valid"),
                user: None,
                environment: vec![("TOKEN".to_owned(), "hunter2".to_owned())],
                interval: Seconds(1),
                timeout: Seconds(1),
                maxbytes: 1,
            };
            assert_eq!(command.display_name(), name);
            let shown = format!("{command:?}");
            assert!(!shown.contains("s3cret") && !shown.contains("hunter2"));
        }
        for line in ["", "  ", "''", "a 'b"] {
            assert!(command(line).is_err(), "{line}");
        }
    }

    #[test]
    fn limits_have_bounds() {
        assert!(timeout("1").is_ok() && timeout("300").is_ok());
        assert!(timeout("0").is_err() && timeout("301").is_err());
        assert_eq!(maxbytes("1MB"), Ok(SOURCE_TEXT_BYTES_MAX));
        assert!(maxbytes("0").is_err() && maxbytes("2MB").is_err());
    }

    #[test]
    fn settings_of_the_first_version_are_read() {
        let stored = r#"{"servers":["http://h:8848/nacos"],"dataid":"d","namespace":"","group":"G","username":null,
            "password":"","not_use_cache":true,"api":"auto","poll_timeout":30,"poll_interval":5,"cache_wait":1,
            "start_timeout":30,"cache_dir":null,"on_change":"notify","allow_empty":false,"splay":0,"allow_sections":[],
            "pinned_users":["web"],"tls_ca":null}"#;
        let settings: SourceSettings = serde_json::from_str(stored).expect("compatible");
        assert_eq!(settings.item_name(), "public/G/d");
        assert_eq!(settings.rules.on_change, OnChange::Notify);
        let written = serde_json::to_string(&settings).expect("written");
        assert_eq!(
            serde_json::from_str::<SourceSettings>(&written).ok(),
            Some(settings)
        );
    }
}
