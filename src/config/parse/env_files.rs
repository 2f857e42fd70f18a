//! Checks the env files of programs for `supervisord --check`. The daemon reads them at each start of a program.

use std::sync::Arc;

use super::super::env_file::parse_env_file;
use super::super::lint::Rule;
use super::super::lookup::LookupError;
use super::super::spec::{EnvFileSpec, GroupSpec, IfMissing};
use super::ConfigReader;

/// Warns about env files that are missing or cannot be read, and about their bad lines.
pub(super) fn check_env_files(reader: &mut ConfigReader<'_>, groups: &[Arc<GroupSpec>]) {
    for group in groups {
        for program in &group.programs {
            let members = |name| program.members.contains(name);
            let processes = group.processes.iter().filter(|one| members(&one.name));
            let files = processes.filter_map(|process| process.env_files.clone());
            for file in files.flat_map(|files| files.files.clone()) {
                for text in problems(reader, &file) {
                    let key = match file.if_missing {
                        IfMissing::Warn => "envFiles",
                        IfMissing::Fail | IfMissing::Ignore => "environment_file",
                    };
                    // Several processes with the same file give one warning.
                    reader.warn_of_key(Rule::EnvFile, &program.template.section, key, text);
                }
            }
        }
    }
}

/// What is wrong with a file, or differs from the Go re-implementation.
fn problems(reader: &ConfigReader<'_>, file: &EnvFileSpec) -> Vec<String> {
    let path = &file.path;
    let text = match reader.lookup.env_file(path) {
        Ok(text) => text,
        Err(LookupError::Missing(_)) => {
            return match file.if_missing {
                IfMissing::Warn => vec![format!(
                    "env file {path} does not exist; the program starts without it"
                )],
                IfMissing::Fail => vec![format!(
                    "env file {path} does not exist; the program cannot start (-{path} makes it optional)"
                )],
                IfMissing::Ignore => Vec::new(),
            };
        }
        Err(LookupError::Unreadable(why)) => {
            return vec![format!(
                "env file {path} cannot be read: {why}; the program cannot start"
            )];
        }
    };
    match parse_env_file(&text) {
        Ok(file) => {
            let lines = file.cut_by_go.iter();
            lines
                .map(|line| {
                    format!("{path}:{line}: the value has a #, at which the Go supervisord cuts it")
                })
                .collect()
        }
        Err(error) => vec![format!(
            "{path}:{}: {}; the program cannot start",
            error.line, error.reason
        )],
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::load;
    use super::super::super::lookup::Fake;
    use super::super::super::options::DaemonOptions;

    #[test]
    fn g66_check_reports_env_files() {
        let text = "[supervisord]\n[program:a]\ncommand=c\nnumprocs=2\nprocess_name=%(process_num)d\n\
                    envFiles=~/good, /none, /etc/bad\nENVIRONMENT_FILE=/none,-/none,/tmp\n";
        let machine = Fake::default()
            .with("/home/me/good", "A=a#b\n")
            .with("/etc/bad", "A=1\nhidden\n")
            .with("/etc/s.conf", text);
        let warnings = |check| {
            let options = DaemonOptions {
                check,
                ..DaemonOptions::default()
            };
            let config = load("/etc/s.conf", &options, &machine).expect("valid");
            let warnings = config.warnings.iter();
            warnings.map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(warnings(false), [""; 0]);
        assert_eq!(
            warnings(true),
            [
                "/etc/s.conf:6:10: /home/me/good:1: the value has a #, at which the Go supervisord cuts it",
                "/etc/s.conf:6:10: env file /none does not exist; the program starts without it",
                "/etc/s.conf:6:10: /etc/bad:2: expected KEY=VALUE, and there is no =; the program cannot start",
                "/etc/s.conf:7:18: env file /none does not exist; the program cannot start (-/none makes it optional)",
                "/etc/s.conf:7:18: env file /tmp cannot be read: it is a directory; the program cannot start",
            ]
        );
    }
}
