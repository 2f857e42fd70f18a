//! Applies `[program-default]`, the Go re-implementation's defaults for all programs.

use super::super::key::{ConfigKey, SectionKind};
use super::ConfigReader;

/// Copies the keys of `[program-default]` into each `[program:x]` and `[fcgi-program:x]` that lacks them. A key replaces
/// whole: a program with its own `environment` gets nothing from the one here. Event listeners get no key, as in the Go
/// re-implementation.
pub(super) fn apply_program_default(reader: &mut ConfigReader<'_>) {
    let is_program = |name: &str| {
        matches!(
            SectionKind::of(name),
            Some(SectionKind::Program | SectionKind::Fcgi)
        )
    };
    // An unknown key is reported once, where it is written.
    let is_known = |key: &str| ConfigKey::find(SectionKind::Program, key).is_some();
    let from = SectionKind::ProgramDefault.prefix();
    reader
        .ini
        .copy_missing(from, is_program, |entry| is_known(&entry.key));
}

#[cfg(test)]
mod tests {
    use super::super::super::load;
    use super::super::super::lookup::Fake;
    use super::super::super::options::DaemonOptions;
    use super::super::super::problem::ConfigErrors;
    use super::super::super::spec::Config;

    fn at(text: &str) -> Result<Config, ConfigErrors> {
        let machine = Fake::default().with("/etc/s.conf", text).with(
            "/etc/more/x.conf",
            "[program-default]\ndirectory=%(here)s\n",
        );
        load("/etc/s.conf", &DaemonOptions::default(), &machine)
    }

    fn process<'a>(config: &'a Config, name: &str) -> &'a crate::config::spec::ProcessSpec {
        let mut processes = config.groups.iter().flat_map(|group| &group.processes);
        processes
            .find(|process| process.name.as_str() == name)
            .expect("a process")
    }

    #[test]
    fn g32_missing_keys_are_filled_and_present_keys_untouched() {
        let config = at(
            "[supervisord]\n[program-default]\npriority=5\nStartSecs=7\nenvironment=A=1,B=2\n\
             stdout_logfile=/tmp/%(program_name)s.log\n[program:a]\ncommand=c\n\
             [program:b]\ncommand=c\nenvironment=B=3\npriority=6\n[fcgi-program:f]\ncommand=c\nsocket=unix:///x\n\
             [eventlistener:l]\ncommand=c\nevents=TICK_5\n[DEFAULT]\nstartsecs=9\n[include]\nfiles=more/*.conf\n",
        )
        .expect("valid");
        let shown = |name: &str| {
            let process = process(&config, name);
            let environment: Vec<String> = process
                .environment
                .iter()
                .map(|(name, value)| format!("{name}={value}"))
                .collect();
            let directory = process
                .directory
                .as_deref()
                .map(|path| path.display().to_string());
            format!(
                "{} {} {} {}",
                process.priority,
                process.startsecs.0,
                environment.join(","),
                directory.unwrap_or_default()
            )
        };
        assert_eq!(shown("a"), "5 7 A=1,B=2 /etc/more");
        assert_eq!(shown("b"), "6 7 B=3 /etc/more");
        assert_eq!(shown("f"), "5 7 A=1,B=2 /etc/more");
        assert_eq!(shown("l"), "999 9  ");
        let target = &process(&config, "a").stdout.target;
        assert!(format!("{target:?}").contains("/tmp/a.log"), "{target:?}");
        // The group of a single program has the program's priority.
        let group = config
            .groups
            .iter()
            .find(|group| group.name.as_str() == "a");
        assert_eq!(group.map(|group| group.priority), Some(5));
    }

    #[test]
    fn g32_problems_are_reported_where_the_key_is() {
        let config =
            at("[program-default]\nautostrt=no\n[program:a]\ncommand=c\n[program:b]\ncommand=c\n")
                .expect("valid");
        let notes: Vec<String> = config.notes.iter().map(ToString::to_string).collect();
        assert_eq!(
            notes[1..],
            [
                "/etc/s.conf:2:1: unknown key autostrt in [program-default] is ignored; did you mean autostart?"
            ]
        );
        let errors = at(
            "[supervisord]\n[program-default]\nstartsecs=x\n[program:a]\ncommand=c\n[program:b]\ncommand=c\n",
        )
        .expect_err("wrong");
        let shown: Vec<String> = errors.all.iter().map(ToString::to_string).collect();
        assert_eq!(shown.len(), 1, "{shown:?}");
        assert!(
            shown[0].starts_with("/etc/s.conf:3:11: invalid literal for int()"),
            "{shown:?}"
        );
    }
}
