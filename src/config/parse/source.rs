//! Reads the settings of the source from all their origins: the keys of `[nacos]` or `[source]`.

use std::collections::BTreeMap;

use super::super::expand::{ExpandNames, ExpandValue, expand};
use super::super::ini::{Ini, universal_newlines};
use super::super::key::{ConfigKey, NacosValues, SectionKind, SectionValues, SourceValues};
use super::super::lookup::{Lookup, LookupError};
use super::super::nacos::NACOS_VARIABLE;
use super::super::options::DaemonOptions;
use super::super::path::{absolute, dirname, join};
use super::super::problem::ConfigErrors;
use super::super::saved_settings::{SETTINGS_FILE, parse_settings};
use super::super::source::SourceSettings;

/// One text of a key, and where it is.
struct OriginText {
    text: String,
    origin: String,
}

/// The texts of keys by their names.
type OriginTexts = BTreeMap<&'static str, OriginText>;

/// Reads the settings of the source: of a Nacos server from the command line, the environment, the file that the page
/// writes, and `[nacos]` in the file at `path`; of a command from the command line and `[source]`. The first of these that
/// has a key wins. `None`: the configuration is in local files only.
///
/// # Errors
/// A wrong value; only one of `server` and `dataid`; keys of `[source]` without `command`; two sources; a password file that
/// cannot be read or that others can read.
pub fn read_source_settings(
    path: Option<&str>,
    options: &DaemonOptions,
    lookup: &dyn Lookup,
) -> Result<Option<SourceSettings>, ConfigErrors> {
    let item = texts_by_origin(SectionKind::Nacos, path, options, lookup);
    let command = texts_by_origin(SectionKind::Source, path, options, lookup);
    let refuse = |message: String| Err(ConfigErrors::of_file(message, ""));
    let has_item = match (item.get("server"), item.get("dataid")) {
        (None, None) => false,
        (Some(_), Some(_)) => true,
        (Some(OriginText { origin, .. }), None) => {
            return refuse(format!("{origin} needs dataid too (--nacos-dataid=...)"));
        }
        (None, Some(OriginText { origin, .. })) => {
            return refuse(format!("{origin} needs server too (--nacos-server=...)"));
        }
    };
    match (has_item, command.get("command"), command.values().next()) {
        (true, Some(command), _) => refuse(format!(
            "{} and {} are two sources of the configuration, which has one (remove one of them)",
            item["server"].origin, command.origin
        )),
        (_, None, Some(OriginText { origin, .. })) => {
            refuse(format!("{origin} needs command too (--source-command=...)"))
        }
        (true, None, None) => nacos_settings(&item, lookup).map(Some),
        (false, Some(_), _) => command_settings(&command, lookup).map(Some),
        (false, None, None) => Ok(None),
    }
}

/// Parses the texts of the keys of `[source]`.
fn command_settings(
    texts: &OriginTexts,
    lookup: &dyn Lookup,
) -> Result<SourceSettings, ConfigErrors> {
    let values: SourceValues = values_of(SectionKind::Source, texts, lookup)?;
    Ok(values.into_settings())
}

/// Parses the texts of the keys of `[nacos]`.
fn nacos_settings(
    texts: &OriginTexts,
    lookup: &dyn Lookup,
) -> Result<SourceSettings, ConfigErrors> {
    let mut values: NacosValues = values_of(SectionKind::Nacos, texts, lookup)?;
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

/// The values of a section: the defaults of its rows, and then these texts.
fn values_of<V: SectionValues>(
    kind: SectionKind,
    texts: &OriginTexts,
    lookup: &dyn Lookup,
) -> Result<V, ConfigErrors> {
    let mut values = V::empty();
    for row in kind.rows() {
        if let (Some(set), Some(text)) = (V::setter(row.field), row.default) {
            set(&mut values, text, lookup).expect("the default of a row is valid");
        }
    }
    for (key, OriginText { text, origin }) in texts {
        let row = ConfigKey::find(kind, key);
        let Some(set) = row.and_then(|row| V::setter(row.field)) else {
            continue;
        };
        set(&mut values, text, lookup).map_err(|sentence| {
            let expected = row.map_or("a value", |row| row.kind.expected());
            ConfigErrors::of_file(format!("{origin}: {sentence}; {key} takes {expected}"), "")
        })?;
    }
    Ok(values)
}

/// Returns the text of each key of `[nacos]` that is set anywhere, as [`read_source_settings`] finds it.
#[must_use]
pub fn read_nacos_texts(
    path: Option<&str>,
    options: &DaemonOptions,
    lookup: &dyn Lookup,
) -> Vec<(&'static str, String)> {
    let texts = texts_by_origin(SectionKind::Nacos, path, options, lookup).into_iter();
    texts.map(|(key, origin)| (key, origin.text)).collect()
}

/// Makes settings from the texts of keys of `[nacos]`.
///
/// # Errors
/// As [`read_source_settings`], in one line; also if `server` or `dataid` is missing.
pub fn parse_nacos_keys(
    keys: &[(String, String)],
    lookup: &dyn Lookup,
) -> Result<SourceSettings, String> {
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
    nacos_settings(&texts, lookup).map_err(|errors| errors.first)
}

/// The text of each key of this section that is set anywhere.
fn texts_by_origin(
    kind: SectionKind,
    path: Option<&str>,
    options: &DaemonOptions,
    lookup: &dyn Lookup,
) -> OriginTexts {
    let mut texts = OriginTexts::new();
    let section = kind.prefix();
    let mut add = |key: &str, text: String, origin: String| {
        if let Some(row) = kind.rows().iter().find(|row| row.name == key) {
            texts.insert(row.name, OriginText { text, origin });
        }
    };
    // Later ones replace earlier ones.
    if let Some(path) = path {
        for (key, text) in section_of(kind, path, lookup) {
            add(&key, text, format!("[{section}] {key} in {path}"));
        }
    }
    if kind == SectionKind::Nacos {
        if let Some(path) = path {
            let saved = join(&absolute(dirname(path), lookup), SETTINGS_FILE);
            for (key, text) in saved_settings(&saved, lookup) {
                add(&key, text, format!("[{section}] {key} in {saved}"));
            }
        }
        for (name, text) in lookup.settings_env() {
            if let Some(key) = name.strip_prefix(NACOS_VARIABLE) {
                let origin = format!("the variable {name}");
                add(&key.to_ascii_lowercase(), text, origin);
            }
        }
    }
    for (given, key, text) in &options.source {
        if *given == kind {
            let dashed = key.replace('_', "-");
            add(key, text.clone(), format!("--{section}-{dashed}"));
        }
    }
    texts
}

/// The keys of the file that the page writes.
fn saved_settings(file: &str, lookup: &dyn Lookup) -> Vec<(String, String)> {
    let bytes = lookup.read(file).unwrap_or_default();
    parse_settings(&String::from_utf8_lossy(&bytes))
}

/// Returns the expanded keys of this section in a file. Empty: the file cannot be read or parsed, which reading the whole
/// configuration reports, or it has no such section.
fn section_of(kind: SectionKind, file: &str, lookup: &dyn Lookup) -> Vec<(String, String)> {
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
    let Some(section) = ini.section(kind.prefix()) else {
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
            let text = expand(&entry.value, &[&names], kind.prefix());
            (
                entry.key.to_string(),
                text.unwrap_or_else(|_| entry.value.clone()),
            )
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::super::lookup::Fake;
    use super::super::super::nacos::NacosSettings;
    use super::super::super::source::SourceOrigin;
    use super::*;

    const FILE: &str = "/etc/s.conf";

    fn settings(
        machine: &Fake,
        given: &[(&'static str, &str)],
    ) -> Result<Option<SourceSettings>, String> {
        read(machine, SectionKind::Nacos, given)
    }

    fn nacos(settings: &SourceSettings) -> &NacosSettings {
        settings.nacos().expect("a server")
    }

    fn read(
        machine: &Fake,
        kind: SectionKind,
        given: &[(&'static str, &str)],
    ) -> Result<Option<SourceSettings>, String> {
        let given = given
            .iter()
            .map(|(key, text)| (kind, *key, (*text).to_owned()));
        let options = DaemonOptions {
            source: given.collect(),
            ..DaemonOptions::default()
        };
        read_source_settings(Some(FILE), &options, machine).map_err(|errors| errors.first)
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
        let item = nacos(&read);
        assert_eq!(item.servers, ["http://a:8848/nacos"]);
        assert_eq!(
            (item.group.as_str(), item.username.as_deref()),
            ("line", Some("saved"))
        );
        assert_eq!((item.password.as_str(), read.rules.splay.0), ("p%w", 2));
        assert!(read.rules.not_use_cache && item.namespace.is_empty());
        let read = settings(&machine, &[]).expect("valid").expect("on");
        assert_eq!(nacos(&read).group, "variable");
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
        assert_eq!(nacos(&read).password, "first");
    }

    #[test]
    fn a_command_comes_from_the_command_line_or_the_file() {
        let text = "[supervisord]\n[source]\ncommand=git -C %(here)s show 'HEAD:a b'\ninterval=5\non_change=notify\n";
        let machine = Fake::default().with(FILE, text);
        let settings = read(&machine, SectionKind::Source, &[("interval", "7")]);
        let settings = settings.expect("valid").expect("on");
        let SourceOrigin::Command(command) = &settings.origin else {
            panic!("{settings:?}");
        };
        assert_eq!(command.argv, ["git", "-C", "/etc", "show", "HEAD:a b"]);
        assert_eq!((command.interval.0, command.timeout.0), (7, 10));
        assert_eq!(settings.display_name(), "command:git");
    }

    #[test]
    fn a_command_is_whole_and_the_only_source() {
        let empty = Fake::default().with(FILE, "[supervisord]\n");
        let wrong = |given: &[(&'static str, &str)]| read(&empty, SectionKind::Source, given);
        assert_eq!(
            wrong(&[("interval", "5")]),
            Err("--source-interval needs command too (--source-command=...)".to_owned())
        );
        for (given, error) in [
            (
                ("timeout", "0"),
                "--source-timeout: 0 is below lower bound (1)",
            ),
            (
                ("user", "nosuch"),
                "--source-user: Invalid user name nosuch",
            ),
            (
                ("maxbytes", "2MB"),
                "--source-maxbytes: 2097152 is not between",
            ),
        ] {
            let found = wrong(&[("command", "c"), given]).expect_err("wrong");
            assert!(found.starts_with(error), "{found}");
        }
        let both = Fake::default().with(FILE, "[nacos]\nserver=a\ndataid=d\n");
        assert_eq!(
            read(&both, SectionKind::Source, &[("command", "c")]),
            Err("[nacos] server in /etc/s.conf and --source-command are two sources of the configuration, which has one (remove one of them)".to_owned())
        );
    }
}
