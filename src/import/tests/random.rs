//! Random units, arguments and variables.

use proptest::prelude::*;

use super::super::form;
use super::{argv, imported, read};
use crate::config::shlex;

/// Pieces of units, valid and invalid.
fn lines() -> impl Strategy<Value = String> {
    let names = prop::sample::select(vec![
        "ExecStart",
        "ExecStop",
        "ExecReload",
        "Environment",
        "EnvironmentFile",
        "Restart",
        "RestartSec",
        "Type",
        "PIDFile",
        "TimeoutStopSec",
        "KillSignal",
        "KillMode",
        "LimitNOFILE",
        "LimitCPU",
        "Nice",
        "CPUQuota",
        "CPUQuotaPeriodSec",
        "MemoryMax",
        "TasksMax",
        "CapabilityBoundingSet",
        "AmbientCapabilities",
        "UMask",
        "StandardOutput",
        "StandardError",
        "WorkingDirectory",
        "SuccessExitStatus",
        "WatchdogSec",
        "LogRateLimitBurst",
        "LogRateLimitIntervalSec",
        "Foo",
        "X-y",
        "RuntimeDirectory",
        "TimeoutStartSec",
        "IOWeight",
        "OOMScoreAdjust",
        "NoNewPrivileges",
        "UnsetEnvironment",
    ]);
    let values = prop_oneof![
        "[ -~]{0,20}",
        "(-|@|:|!)?/bin/[a-z]{1,3}( ([a-z$%{}'\"\\\\;#=]{1,6}|\\$A|\\$\\{A\\}|%i|%%|\\\\x4[0-9])){0,4}",
        "[0-9]{1,6}(s|min|ms|%|K|M|G)?",
        prop::sample::select(vec![
            "notify",
            "forking",
            "oneshot",
            "always",
            "on-failure",
            "on-abnormal",
            "no",
            "infinity",
            "0",
            "A=1",
            "A='b c' B=\"#\"",
            "/run/a.pid",
            "SIGINT",
            "mixed",
            "CAP_CHOWN",
            "~CAP_CHOWN",
            "inherit",
            "null",
            "append:/tmp/x",
            "file:/tmp/%n",
            "-/x",
            "~",
            "143 SIGTERM",
            "1:2",
            "",
        ])
        .prop_map(str::to_owned),
    ];
    (names, values).prop_map(|(name, value)| format!("{name}={value}\n"))
}

proptest! {
    #[test]
    fn any_text_is_read_without_a_panic(text in "(\\PC|[\\n\\r\\t=\\\\\\[\\];#%$'\"]){0,200}", name in "\\PC{0,12}") {
        let _ = imported(&name, &text);
        let _ = imported(&name, &format!("[Service]\nExecStart={text}"));
        let _ = imported(&name, &format!("[Service]\nExecStart=/a\nEnvironment={text}"));
    }

    #[test]
    fn every_imported_section_is_valid(given in prop::collection::vec(lines(), 0..12)) {
        let unit = format!("[Service]\nExecStart=/bin/a b\n{}", given.concat());
        if let Ok(section) = imported("a@b.service", &unit) {
            let spec = read(&section);
            prop_assert!(shlex::shlex_split(&spec.command).is_ok());
        }
    }

    #[test]
    fn imported_arguments_read_back_from_the_configuration(
        given in prop::collection::vec("([ -~]|[\\n\\té\u{a0}\u{2028}\\x0b\\x1c]|%\\(here\\)s| ;| #|\\n +;){0,12}", 1..5)
    ) {
        let command = form::command_value(&given).expect("sayable");
        let spec = read(&format!("[program:a]\ncommand={command}\n"));
        prop_assert_eq!(argv(&spec), given);
    }

    #[test]
    fn imported_variables_read_back_from_the_configuration(value in "([ -~]|[\\té]|%\\(here\\)s| ;| #){0,12}") {
        if let Some(pair) = form::variable_pair("X", &value) {
            let spec = read(&format!("[program:a]\ncommand=a\nenvironment={pair}\n"));
            prop_assert_eq!(&spec.environment[..], &[("X".to_owned(), value)][..]);
        }
    }
}
