//! Every row of KEYS has an effect, every field of a specification has a row, and `update` notices every row.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::ctl::ctl_spec;
use super::diff::diff;
use super::key::{ConfigKey, SectionKind, Topic, ValueKind, all};
use super::lookup::Fake;
use super::options::DaemonOptions;
use super::spec::Config;
use super::{load, read_source_settings};

/// Values to try: each kind of key accepts one of them, or the example of its row.
const VALUES: &[&str] = &[
    "true",
    "false",
    "7",
    "0",
    "/tmp/x",
    "/tmp",
    "/etc",
    "web",
    "A=1",
    "TICK_5",
    "INT",
    "TERM, INT",
    "running",
    "session",
    "debug",
    "p",
    "my.plugin:make",
];

/// The line that a key of a health check, of hooks or of a watch needs. Empty: it needs none.
fn check_of(key: &str) -> &'static str {
    match key {
        "liveness_check_script"
        | "health_http"
        | "health_tcp"
        | "health_command"
        | "health_log" => "",
        _ if key.starts_with("liveness_check_") => "liveness_check_script=check\n",
        _ if key.starts_with("health_") || key == "on_unhealthy" => "health_command=check\n",
        "restart_cmd_when_binary_changed" | "restart_signal_when_binary_changed" => {
            "restart_when_binary_changed=true\n"
        }
        "restart_file_pattern"
        | "restart_cmd_when_file_changed"
        | "restart_signal_when_file_changed"
        | "restart_change_delay" => "restart_directory_monitor=/srv\n",
        "pre_start_hook_required" | "hook_timeout" => "pre_start_hook=hook\n",
        _ => "",
    }
}

/// A file in which the key has an effect. `line`: the line of the key, or nothing.
fn file(kind: SectionKind, key: &ConfigKey, line: &str) -> String {
    let main = "[supervisord]\n[program:p]\ncommand=c\n[program:q]\ncommand=c\n";
    match kind {
        SectionKind::Daemon => format!("[supervisord]\n{line}\n[program:p]\ncommand=c\n"),
        SectionKind::Client => format!("[supervisorctl]\n{line}\n"),
        SectionKind::UnixServer => {
            format!("{main}[unix_http_server]\nfile=/y\nusername=u\npassword=p\n{line}\n")
        }
        SectionKind::InetServer => {
            format!("{main}[inet_http_server]\nport=1\nusername=u\npassword=p\n{line}\n")
        }
        SectionKind::Program => {
            let is_of_journal = key.kind == ValueKind::RateLimit;
            let logs = if is_of_journal { "journal" } else { "AUTO" };
            let check = check_of(key.name);
            let is_of_schedule = key.topic == Some(Topic::Schedule) && key.name != "cron";
            let cron = if is_of_schedule { "cron=@daily\n" } else { "" };
            // Only this way to be ready excludes the others.
            let notify = key.name != "ready_log";
            format!(
                "[supervisord]\n[program:a]\ncommand=c\nprocess_name=%(process_num)d\nnotify={notify}\nstdout_logfile={logs}\n\
                 stderr_logfile={logs}\n{check}{cron}{line}\n[program:p]\ncommand=c\n"
            )
        }
        SectionKind::ProgramDefault => format!("{main}[program-default]\n{line}\n"),
        SectionKind::Group => format!("{main}[group:g]\nprograms=q\n{line}\n"),
        SectionKind::Listener => {
            format!("{main}[eventlistener:l]\ncommand=c\nevents=EVENT\n{line}\n")
        }
        SectionKind::Fcgi => {
            format!("{main}[fcgi-program:f]\ncommand=c\nsocket=unix:///x\n{line}\n")
        }
        SectionKind::Include => format!("{main}[include]\nfiles=/tmp/*.ini\n{line}\n"),
        SectionKind::Notify => format!("{main}[notify:n]\ncommand=c\n{line}\n"),
        SectionKind::Nacos => format!("{main}[nacos]\nserver=h\ndataid=d\n{line}\n"),
        SectionKind::Source => format!("{main}[source]\ncommand=c\n{line}\n"),
        SectionKind::RpcInterface => {
            let factory = "supervisor.rpcinterface:make_main_rpcinterface";
            format!(
                "{main}[rpcinterface:supervisor]\nsupervisor.rpcinterface_factory={factory}\n{line}\n"
            )
        }
        SectionKind::CtlPlugin => {
            format!("[supervisorctl]\n[ctlplugin:x]\nsupervisor.ctl_factory=a:b\n{line}\n")
        }
    }
}

fn read(text: &str) -> Option<Config> {
    let machine = Fake::default()
        .with("/etc/s.conf", text)
        .with("/etc/supervisor/tokens", "");
    load("/etc/s.conf", &DaemonOptions::default(), &machine).ok()
}

/// The configuration that a file gives, without texts and messages. `None`: the file has an error.
fn meaning(kind: SectionKind, text: &str) -> Option<Value> {
    if matches!(kind, SectionKind::Client | SectionKind::CtlPlugin) {
        let machine = Fake::default().with("/etc/s.conf", text);
        let spec = ctl_spec("/etc/s.conf", &machine, true).ok()?;
        let password = spec.password.clone();
        return Some(json!([format!("{spec:?}"), password]));
    }
    if matches!(kind, SectionKind::Nacos | SectionKind::Source) {
        let machine = Fake::default()
            .with("/etc/s.conf", text)
            .with("/etc/supervisor/nacos.password", "secret\n");
        let options = DaemonOptions::default();
        let read = read_source_settings(Some("/etc/s.conf"), &options, &machine);
        return Some(json!(read.ok()?));
    }
    let mut config = read(text)?;
    config.notes.clear();
    for group in &mut config.groups {
        std::sync::Arc::make_mut(group).programs.clear();
    }
    Some(json!([config, config.listed]))
}

/// A line with a valid value of the key that changes the configuration. `None`: there is none.
fn changing_line(kind: SectionKind, key: &ConfigKey) -> Option<String> {
    changing_lines(kind, key).next()
}

/// All lines with a valid value of the key that change the configuration.
fn changing_lines(kind: SectionKind, key: &ConfigKey) -> impl Iterator<Item = String> {
    let before = meaning(kind, &file(kind, key, "")).expect("valid");
    let values = key.example.into_iter().chain(VALUES.iter().copied());
    values
        .map(|value| format!("{}={value}", key.name))
        .filter(move |line| {
            meaning(kind, &file(kind, key, line)).is_some_and(|after| after != before)
        })
}

#[test]
fn every_row_has_an_effect() {
    let without: Vec<&str> = all()
        .iter()
        .filter(|(kind, key)| changing_line(*kind, key).is_none())
        .map(|(_, key)| key.name)
        .collect();
    // Supervisor accepts this key and ignores it too.
    assert_eq!(without, ["profile_options"]);
}

/// The fields of a value. Fields of its parts have a dot in their names.
fn fields(value: &Value) -> BTreeMap<String, Value> {
    const PARTS: &[&str] = &[
        "stdout",
        "stderr",
        "notify",
        "confinement",
        "resources",
        "dependencies",
    ];
    let mut fields = BTreeMap::new();
    for (name, value) in value.as_object().expect("a struct") {
        match value.as_object().filter(|_| PARTS.contains(&&**name)) {
            Some(part) => fields.extend(
                part.iter()
                    .map(|(inner, value)| (format!("{name}.{inner}"), value.clone())),
            ),
            None => {
                fields.insert(name.clone(), value.clone());
            }
        }
    }
    fields
}

/// The fields that no row of these kinds changes. `of`: the part of a configuration.
fn unchanged(kinds: &[SectionKind], of: impl Fn(&Config) -> Value) -> BTreeSet<String> {
    let mut left: Option<BTreeSet<String>> = None;
    for &kind in kinds {
        for key in kind.rows() {
            let before = fields(&of(&read(&file(kind, key, "")).expect("valid")));
            let left = left.get_or_insert_with(|| before.keys().cloned().collect());
            for line in changing_lines(kind, key) {
                let after = fields(&of(&read(&file(kind, key, &line)).expect("valid")));
                // With numprocs=0 there is no process.
                left.retain(|name| after.is_empty() || before.get(name) == after.get(name));
            }
        }
    }
    left.unwrap_or_default()
}

#[test]
fn every_field_has_a_row() {
    let process = |config: &Config| {
        let group = config.groups.first().expect("a group");
        let process = group.processes.first();
        process.map_or_else(|| json!({}), |process| json!(process))
    };
    let left = unchanged(&[SectionKind::Program, SectionKind::Fcgi], process);
    // The section gives the group.
    assert_eq!(Vec::from_iter(left), ["group"]);
    let daemon = |config: &Config| json!(config.daemon);
    let left = unchanged(&[SectionKind::Daemon, SectionKind::UnixServer], daemon);
    assert_eq!(Vec::from_iter(left), [""; 0]);
}

#[test]
fn an_update_restarts_for_every_row_but_the_live_ones() {
    let kind = SectionKind::Program;
    for key in kind.rows() {
        let line = changing_line(kind, key).expect("a row with an effect");
        let before = read(&file(kind, key, "")).expect("valid");
        let after = read(&file(kind, key, &line)).expect("valid");
        let changed = diff(&before.groups, &after.groups).changed;
        assert_eq!(changed.len(), usize::from(!key.is_live), "{line}");
    }
}
