//! Checks what the text of a source may do.

use std::sync::Arc;

use super::super::ini::IniEntry;
use super::super::key::{ConfigKey, SectionKind, ValueKind};
use super::super::problem::SourceSpan;
use super::super::source::RemoteText;
use super::super::spec::GroupSpec;
use super::{ConfigReader, SectionAt};

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
                "[{}] is not allowed in {} (allow_sections and pinned_users in [{}])",
                section.name,
                remote.name,
                settings.section()
            );
            problems.push((span, sentence));
        }
        if settings.rules.pinned_users.is_empty() {
            continue;
        }
        for entry in &section.entries {
            if entry.key_span().file == file
                && is_privileged(&section.name, &entry.key, &entry.value)
            {
                let sentence = format!(
                    "{} = {} is not allowed in {}, because it acts with the rights of the daemon (pinned_users in [{}])",
                    entry.key,
                    entry.value,
                    remote.name,
                    settings.section()
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
    let pinned = &remote.settings.rules.pinned_users;
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
                    "[{section}] of {} must have user= with one of: {} (pinned_users in [{}])",
                    remote.name,
                    pinned.join(", "),
                    remote.settings.section()
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

#[cfg(test)]
mod tests {
    use super::super::super::lookup::Fake;
    use super::super::super::options::DaemonOptions;
    use super::super::super::source::SourceSettings;
    use super::super::super::spec::Config;
    use super::super::{load, read_source_settings};
    use super::*;

    const FILE: &str = "/etc/s.conf";

    fn remote(text: &str, change: impl FnOnce(&mut SourceSettings)) -> DaemonOptions {
        let machine = Fake::default();
        let given = [("server", "a"), ("dataid", "d")];
        let given = given.map(|(key, text)| (SectionKind::Nacos, key, text.to_owned()));
        let options = DaemonOptions {
            source: given.into(),
            ..DaemonOptions::default()
        };
        let settings = read_source_settings(Some(FILE), &options, &machine);
        let mut settings = settings.expect("valid").expect("on");
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
        let pin =
            |settings: &mut SourceSettings| settings.rules.pinned_users = vec!["web".to_owned()];
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
        let only = |settings: &mut SourceSettings| {
            settings.rules.allow_sections = vec!["program:web-*".to_owned()];
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
