//! Reads the keys of `[nacos]` from all their origins, and checks what a text from a Nacos server may do.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::super::expand::{ExpandNames, ExpandValue, expand};
use super::super::ini::{Ini, IniEntry, universal_newlines};
use super::super::key::{ConfigKey, NacosValues, SectionKind, SectionValues as _, ValueKind};
use super::super::lookup::{Lookup, LookupError};
use super::super::nacos::{NACOS_VARIABLE, NacosSettings, RemoteText};
use super::super::options::DaemonOptions;
use super::super::path::{absolute, dirname, join};
use super::super::problem::{ConfigErrors, SourceSpan};
use super::super::saved_settings::{SETTINGS_FILE, parse_settings};
use super::super::spec::GroupSpec;
use super::{ConfigReader, SectionAt};

/// One text of a key, and where it is.
struct OriginText {
    text: String,
    origin: String,
}

/// Reads the settings of the command line, the environment, the file that the page writes, and `[nacos]` in the file at
/// `path`; the first of these that has a key wins. `None`: the configuration does not come from a Nacos server.
///
/// # Errors
/// A wrong value; only one of `server` and `dataid`; a password file that cannot be read or that others can read.
pub fn read_nacos_settings(
    path: Option<&str>,
    options: &DaemonOptions,
    lookup: &dyn Lookup,
) -> Result<Option<NacosSettings>, ConfigErrors> {
    let texts = texts_by_origin(path, options, lookup);
    match (texts.contains_key("server"), texts.contains_key("dataid")) {
        (false, false) => return Ok(None),
        (true, true) => {}
        (has_server, _) => {
            let (has, lacks) = if has_server {
                ("server", "dataid")
            } else {
                ("dataid", "server")
            };
            let origin = &texts[has].origin;
            let message = format!("{origin} needs {lacks} too (--nacos-{lacks}=...)");
            return Err(ConfigErrors::of_file(message, ""));
        }
    }
    settings_of(&texts, lookup).map(Some)
}

/// Parses the texts of all keys.
fn settings_of(
    texts: &BTreeMap<&'static str, OriginText>,
    lookup: &dyn Lookup,
) -> Result<NacosSettings, ConfigErrors> {
    let mut values = NacosValues::defaults_of_rows(lookup);
    for (key, OriginText { text, origin }) in texts {
        let result = values.set_key(key, text, lookup);
        result.map_err(|sentence| {
            let row = ConfigKey::find(SectionKind::Nacos, key);
            let expected = row.map_or("a value", |row| row.kind.expected());
            ConfigErrors::of_file(format!("{origin}: {sentence}; {key} takes {expected}"), "")
        })?;
    }
    let password = match values.password_file.take() {
        None => None,
        Some(file) => {
            let file = absolute(&file, lookup);
            let text = lookup.secret_file(&file).map_err(|error| {
                let (LookupError::Missing(why) | LookupError::Unreadable(why)) = error;
                let why = if why.is_empty() {
                    "it does not exist"
                } else {
                    &why
                };
                ConfigErrors::of_file(format!("could not read password file {file}: {why}"), "")
            })?;
            let first = text.lines().next().unwrap_or_default();
            Some(first.trim_end_matches('\r').to_owned())
        }
    };
    Ok(values.into_settings(password))
}

/// Returns the text of each key that is set anywhere, as [`read_nacos_settings`] finds it.
#[must_use]
pub fn read_nacos_texts(
    path: Option<&str>,
    options: &DaemonOptions,
    lookup: &dyn Lookup,
) -> Vec<(&'static str, String)> {
    let texts = texts_by_origin(path, options, lookup).into_iter();
    texts.map(|(key, origin)| (key, origin.text)).collect()
}

/// Makes settings from the texts of keys.
///
/// # Errors
/// As [`read_nacos_settings`], in one line; also if `server` or `dataid` is missing.
pub fn parse_nacos_keys(
    keys: &[(String, String)],
    lookup: &dyn Lookup,
) -> Result<NacosSettings, String> {
    let mut texts = BTreeMap::new();
    for (key, text) in keys {
        let row = SectionKind::Nacos.rows().iter().find(|row| row.name == key);
        let row = row.ok_or_else(|| format!("no setting {key}"))?;
        let (text, origin) = (text.clone(), key.clone());
        texts.insert(row.name, OriginText { text, origin });
    }
    for key in ["server", "dataid"] {
        if !texts.contains_key(key) {
            return Err(format!("{key} is missing"));
        }
    }
    settings_of(&texts, lookup).map_err(|errors| errors.first)
}

/// The text of each key that is set anywhere.
fn texts_by_origin(
    path: Option<&str>,
    options: &DaemonOptions,
    lookup: &dyn Lookup,
) -> BTreeMap<&'static str, OriginText> {
    let mut texts: BTreeMap<&'static str, OriginText> = BTreeMap::new();
    let rows = SectionKind::Nacos.rows();
    if let Some(path) = path {
        let saved = join(&absolute(dirname(path), lookup), SETTINGS_FILE);
        // Later ones replace earlier ones.
        for (file, keys) in [
            (path, section_of(path, lookup)),
            (&saved, saved_settings(&saved, lookup)),
        ] {
            for (key, text) in keys {
                let Some(row) = rows.iter().find(|row| *row.name == *key) else {
                    continue;
                };
                let origin = format!("[nacos] {key} in {file}");
                texts.insert(row.name, OriginText { text, origin });
            }
        }
    }
    for (name, text) in lookup.settings_env() {
        let Some(key) = name.strip_prefix(NACOS_VARIABLE) else {
            continue;
        };
        if let Some(row) = rows.iter().find(|row| row.name.eq_ignore_ascii_case(key)) {
            let origin = format!("the variable {name}");
            texts.insert(row.name, OriginText { text, origin });
        }
    }
    for (key, text) in &options.nacos {
        let (text, dashed) = (text.clone(), key.replace('_', "-"));
        let origin = format!("--nacos-{dashed}");
        texts.insert(key, OriginText { text, origin });
    }
    texts
}

/// The keys of the file that the page writes.
fn saved_settings(file: &str, lookup: &dyn Lookup) -> Vec<(String, String)> {
    let bytes = lookup.read(file).unwrap_or_default();
    parse_settings(&String::from_utf8_lossy(&bytes))
}

/// Returns the expanded keys of `[nacos]` in a file. Empty: the file cannot be read or parsed, which reading the whole
/// configuration reports, or it has no such section.
fn section_of(file: &str, lookup: &dyn Lookup) -> Vec<(String, String)> {
    let Ok(bytes) = lookup.read(file) else {
        return Vec::new();
    };
    let mut ini = Ini::default();
    // The error is about another line, or `load` reports it.
    let _ = ini.read(
        file,
        0,
        &universal_newlines(&String::from_utf8_lossy(&bytes)),
    );
    let Some(section) = ini.section(SectionKind::Nacos.prefix()) else {
        return Vec::new();
    };
    let here = absolute(dirname(file), lookup);
    let mut names = ExpandNames::from([("here".to_owned(), ExpandValue::Text(here))]);
    for (name, value) in lookup.env() {
        let value = ExpandValue::Text(value);
        names.insert(format!("ENV_{name}"), value);
    }
    let entries = section.entries.iter();
    entries
        .map(|entry| {
            let text = expand(&entry.value, &[&names], "nacos");
            (
                entry.key.to_string(),
                text.unwrap_or_else(|_| entry.value.clone()),
            )
        })
        .collect()
}

/// Reports the sections of a remote text that its settings do not allow, and what its pinned users may not use.
/// `file`: the index of the text.
pub(super) fn check_remote_sections(
    reader: &mut ConfigReader<'_>,
    remote: &RemoteText,
    file: usize,
) {
    let settings = &remote.settings;
    let is_here = |span: &SourceSpan| span.file == file;
    let mut problems = Vec::new();
    let sections = reader.ini.sections().iter();
    for section in sections.chain([&reader.ini.defaults]) {
        let spans = section.entries.iter().map(IniEntry::key_span);
        let mut spans = section.places.iter().copied().chain(spans);
        let Some(span) = spans.find(is_here) else {
            continue;
        };
        if !settings.allows_section(&section.name) {
            let sentence = format!(
                "[{}] is not allowed in {} (allow_sections and pinned_users in [nacos])",
                section.name, remote.name
            );
            problems.push((span, sentence));
        }
        if settings.pinned_users.is_empty() {
            continue;
        }
        for entry in &section.entries {
            if entry.key_span().file == file
                && is_privileged(&section.name, &entry.key, &entry.value)
            {
                let sentence = format!(
                    "{} = {} is not allowed in {}, because it acts with the rights of the daemon (pinned_users in [nacos])",
                    entry.key, entry.value, remote.name
                );
                problems.push((entry.key_span(), sentence));
            }
        }
    }
    for (span, sentence) in problems {
        reader.report.add(span, &sentence, "");
    }
}

/// Reports programs of a remote text that run as another user than the pinned ones.
pub(super) fn check_pinned_users(
    reader: &mut ConfigReader<'_>,
    remote: &RemoteText,
    file: usize,
    groups: &[Arc<GroupSpec>],
) {
    let pinned = &remote.settings.pinned_users;
    if pinned.is_empty() {
        return;
    }
    let mut problems = Vec::new();
    for group in groups {
        for program in &group.programs {
            let section = &*program.template.section;
            let Some(found) = reader.ini.section(section) else {
                continue;
            };
            // A local program of which the text replaces one key runs what the text says, too.
            let place = found.places.iter().find(|span| span.file == file).copied();
            let entries = found.entries.iter();
            let place = place.or_else(|| {
                let mut spans = entries.map(IniEntry::key_span);
                spans.find(|span| span.file == file)
            });
            let Some(place) = place else { continue };
            let at = SectionAt::new(section, SectionKind::Program);
            let user = reader.raw(at, "user").unwrap_or_default();
            if !pinned.iter().any(|name| *name == user.trim()) {
                let sentence = format!(
                    "[{section}] of {} must have user= with one of: {} (pinned_users in [nacos])",
                    remote.name,
                    pinned.join(", ")
                );
                problems.push((place, sentence));
            }
        }
    }
    for (span, sentence) in problems {
        reader.report.add(span, &sentence, "");
    }
}

/// Whether the daemon would use its own rights for this key.
fn is_privileged(section: &str, key: &str, value: &str) -> bool {
    let kind = SectionKind::of(section).unwrap_or(SectionKind::Program);
    let Some(row) = ConfigKey::find(kind, key).filter(|row| row.is_privileged) else {
        return false;
    };
    row.kind != ValueKind::Logfile || !is_without_file(value)
}

/// Whether the value of a log key names no file that the daemon would create.
fn is_without_file(value: &str) -> bool {
    let targets = value.split(',').map(str::trim);
    let mut targets = targets.filter(|target| !target.starts_with("syslog"));
    targets.all(|target| {
        matches!(target, "/dev/stdout" | "/dev/stderr" | "/dev/null") || !target.contains('/')
    })
}

impl NacosValues {
    /// The defaults of the rows.
    fn defaults_of_rows(lookup: &dyn Lookup) -> Self {
        let mut values = Self::empty();
        for row in SectionKind::Nacos.rows() {
            if let (Some(set), Some(text)) = (Self::setter(row.field), row.default) {
                set(&mut values, text, lookup).expect("the default of a row is valid");
            }
        }
        values
    }

    /// Stores the text of a key.
    fn set_key(&mut self, key: &str, text: &str, lookup: &dyn Lookup) -> Result<(), String> {
        let row = ConfigKey::find(SectionKind::Nacos, key);
        match row.and_then(|row| Self::setter(row.field)) {
            Some(set) => set(self, text, lookup),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::lookup::Fake;
    use super::super::super::spec::Config;
    use super::super::load;
    use super::*;

    const FILE: &str = "/etc/s.conf";

    fn settings(
        machine: &Fake,
        given: &[(&'static str, &str)],
    ) -> Result<Option<NacosSettings>, String> {
        let options = DaemonOptions {
            nacos: given
                .iter()
                .map(|(key, text)| (*key, (*text).to_owned()))
                .collect(),
            ..DaemonOptions::default()
        };
        read_nacos_settings(Some(FILE), &options, machine).map_err(|errors| errors.first)
    }

    #[test]
    fn the_command_line_wins_over_the_environment_the_saved_settings_and_the_file() {
        let mut machine = Fake::default()
            .with(
                FILE,
                "[supervisord]\n[nacos]\nserver=a\ndataid=d\ngroup=file\nusername=file\npassword=%(ENV_SECRET)s\nsplay=1\n",
            )
            .with("/etc/supervisord.nacos.conf", "[nacos]\ngroup=saved\nusername=saved\nsplay=2\n");
        machine
            .env
            .push(("NACOS_GROUP".to_owned(), "variable".to_owned()));
        machine
            .env
            .push(("NACOS_NOT_USE_CACHE".to_owned(), "yes".to_owned()));
        machine.env.push(("SECRET".to_owned(), "p%w".to_owned()));
        let read = settings(&machine, &[("group", "line")])
            .expect("valid")
            .expect("on");
        assert_eq!(read.servers, ["http://a:8848/nacos"]);
        assert_eq!(
            (read.group.as_str(), read.username.as_deref()),
            ("line", Some("saved"))
        );
        assert_eq!((read.password.as_str(), read.splay.0), ("p%w", 2));
        assert!(read.not_use_cache && read.namespace.is_empty());
        let read = settings(&machine, &[]).expect("valid").expect("on");
        assert_eq!(read.group, "variable");
    }

    #[test]
    fn settings_are_whole_or_an_error_that_names_their_origin() {
        let empty = Fake::default().with(FILE, "[supervisord]\n");
        assert_eq!(settings(&empty, &[]), Ok(None));
        for (given, error) in [
            (
                &[("server", "a")][..],
                "--nacos-server needs dataid too (--nacos-dataid=...)",
            ),
            (
                &[("dataid", "d")],
                "--nacos-dataid needs server too (--nacos-server=...)",
            ),
            (
                &[("server", "a"), ("dataid", "d"), ("not_use_cache", "maybe")],
                "--nacos-not-use-cache: not a valid boolean value: 'maybe'; not_use_cache takes one of yes, true, on, 1, no, false, off, 0",
            ),
            (
                &[
                    ("server", "a"),
                    ("dataid", "d"),
                    ("password_file", "/nosuch"),
                ],
                "could not read password file /nosuch: it does not exist",
            ),
        ] {
            assert_eq!(settings(&empty, given), Err(error.to_owned()));
        }
        let machine = empty.with("/etc/p", "first\r\nsecond\n");
        let given = [
            ("server", "a"),
            ("dataid", "d"),
            ("password_file", "/etc/p"),
        ];
        let read = settings(&machine, &given).expect("valid").expect("on");
        assert_eq!(read.password, "first");
    }

    fn remote(text: &str, change: impl FnOnce(&mut NacosSettings)) -> DaemonOptions {
        let machine = Fake::default();
        let given = [("server", "a"), ("dataid", "d")];
        let mut settings = settings(&machine, &given).expect("valid").expect("on");
        change(&mut settings);
        let remote = RemoteText::new(Arc::new(settings), text, "m".to_owned(), String::new());
        DaemonOptions {
            remote: Some(Arc::new(remote)),
            ..DaemonOptions::default()
        }
    }

    fn errors(path: &str, machine: &Fake, options: &DaemonOptions) -> Vec<String> {
        let errors = load(path, options, machine).expect_err("wrong");
        errors.all.iter().map(ToString::to_string).collect()
    }

    fn names(config: &Config) -> Vec<&str> {
        config
            .groups
            .iter()
            .map(|group| group.name.as_str())
            .collect()
    }

    #[test]
    fn a_remote_text_replaces_keys_of_the_files() {
        let machine = Fake::default()
            .with(FILE, "[supervisord]\nloglevel=debug\n[include]\nfiles=conf.d/*.conf\n[program:a]\ncommand=/bin/a\npriority=5\n")
            .with("/etc/conf.d/b.conf", "[program:b]\ncommand=/bin/b\n");
        let text = "[program:a]\ncommand=%(here)s/a2\n[program:c]\ncommand=/bin/c\n[supervisord]\nloglevel=warn\n";
        let options = remote(text, |_| {});
        let config = load(FILE, &options, &machine).expect("valid");
        assert_eq!(names(&config), ["a", "b", "c"]);
        assert_eq!(&*config.groups[0].processes[0].command, "/etc/a2");
        assert_eq!(config.groups[0].priority, 5);
        assert_eq!(config.daemon.loglevel, crate::domain::Level::Warn);
        assert_eq!(config.remote, options.remote);
        let alone = load(
            "",
            &remote("[program:x]\ncommand=%(here)s/x\n", |_| {}),
            &machine,
        );
        let alone = alone.expect("valid");
        assert_eq!(&*alone.groups[0].processes[0].command, "/start/x");
    }

    #[test]
    fn an_include_of_a_remote_text_is_read() {
        let machine = Fake::default()
            .with(FILE, "[supervisord]\n")
            .with("/etc/more/b.conf", "[program:b]\ncommand=/bin/b\n");
        let options = remote("[include]\nfiles=more/*.conf\n", |_| {});
        assert_eq!(
            names(&load(FILE, &options, &machine).expect("valid")),
            ["b"]
        );
    }

    #[test]
    fn errors_name_the_item_and_the_line() {
        let machine = Fake::default().with(FILE, "[supervisord]\n");
        let options = remote("[program:a]\ncommand=/bin/a\nstartsecs=soon\n", |_| {});
        let errors = errors(FILE, &machine, &options);
        assert!(
            errors[0].starts_with("nacos:public/DEFAULT_GROUP/d:3:11: "),
            "{errors:?}"
        );
    }

    #[test]
    fn a_text_with_pinned_users_gets_no_rights_of_the_daemon() {
        let machine =
            Fake::default().with(FILE, "[supervisord]\n[program:old]\ncommand=/bin/old\n");
        let pin = |settings: &mut NacosSettings| settings.pinned_users = vec!["web".to_owned()];
        let good = "[program:a]\ncommand=/bin/a\nuser=web\nstdout_logfile=AUTO\nstderr_logfile=/dev/null\n[group:g]\nprograms=a\n";
        assert!(load(FILE, &remote(good, pin), &machine).is_ok());
        for bad in [
            "[program:a]\ncommand=/bin/a\nuser=root\n",
            "[program:a]\ncommand=/bin/a\n",
            "[program:old]\npriority=1\n",
            "[program:a]\ncommand=/bin/a\nuser=web\nstdout_logfile=/etc/cron.d/x\n",
            "[program:a]\ncommand=/bin/a\nuser=web\nstdout_logfile=journal, /etc/cron.d/x\n",
            "[program:a]\ncommand=/bin/a\nuser=web\nenvfiles=/etc/shadow\n",
            "[program:a]\ncommand=/bin/a\nuser=web\nambient_capabilities=cap_sys_admin\n",
            "[program:a]\ncommand=/bin/a\nuser=web\non_fatal=exec:/bin/x\n",
            "[program-default]\nstdout_logfile=/etc/x\n",
            "[program-default]\nuser=root\n[program:old]\n",
            "[DEFAULT]\nstdout_logfile=/etc/x\n[program:a]\ncommand=/bin/a\nuser=web\n",
            "[supervisord]\nuser=root\n",
            "[include]\nfiles=/etc/*\n",
            "[unix_http_server]\nfile=/tmp/s\n",
            "[notify:x]\ncommand=/bin/x\n",
            "[fcgi-program:x]\ncommand=/bin/x\nuser=web\nsocket=unix:///etc/x\n",
        ] {
            let errors = errors(FILE, &machine, &remote(bad, pin));
            assert!(
                errors.iter().any(|error| error.contains("[nacos]")),
                "{bad}: {errors:?}"
            );
        }
        let only = |settings: &mut NacosSettings| {
            settings.allow_sections = vec!["program:web-*".to_owned()];
        };
        let errors = errors(
            FILE,
            &machine,
            &remote("[program:db]\ncommand=/bin/x\n", only),
        );
        assert!(
            errors[0].contains("[program:db] is not allowed in"),
            "{errors:?}"
        );
        let fine = remote("[program:web-1]\ncommand=/bin/x\n", only);
        assert!(load(FILE, &fine, &machine).is_ok());
    }
}
