//! Loads whole configurations with both programs.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use supervisord::cli::options::parse_options;
use supervisord::config::ctl::ctl_spec;
use supervisord::config::diff::diff;
use supervisord::config::key::{self, SectionKind, ValueKind};
use supervisord::config::lookup::{Lookup, LookupError, UserEntry};
use supervisord::config::options::DaemonOptions;
use supervisord::config::render::sample;
use supervisord::config::spec::{
    Config, GroupKind, GroupSpec, LogSpec, LogTarget, ProcessSpec, ServerAddress,
};
use supervisord::config::{load, normalize};
use supervisord::daemon::machine::Machine;

use super::cases::{self, CLIENT_CASES, Case};
use super::oracle::{ENV, Oracle};

/// This machine as the oracle sees it: with another working directory and another environment.
struct Seen {
    machine: Machine,
    cwd: String,
}

impl Seen {
    fn full(&self, path: &str) -> String {
        if path.starts_with('/') || path.is_empty() {
            path.to_owned()
        } else {
            format!("{}/{path}", self.cwd)
        }
    }
}

impl Lookup for Seen {
    fn read(&self, path: &str) -> Result<Vec<u8>, LookupError> {
        self.machine.read(&self.full(path))
    }
    fn exists(&self, path: &str) -> bool {
        self.machine.exists(&self.full(path))
    }
    fn is_entry(&self, path: &str) -> bool {
        self.machine.is_entry(&self.full(path))
    }
    fn is_dir(&self, path: &str) -> bool {
        self.machine.is_dir(&self.full(path))
    }
    fn list(&self, path: &str) -> Vec<String> {
        self.machine.list(&self.full(path))
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
    fn cwd(&self) -> String {
        self.cwd.clone()
    }
    fn home(&self, user: Option<&str>) -> Option<String> {
        match user {
            None => Some("/".to_owned()),
            user => self.machine.home(user),
        }
    }
    fn tempdir(&self) -> String {
        "/tmp".to_owned()
    }
    fn hostname(&self) -> String {
        self.machine.hostname()
    }
    fn env(&self) -> Vec<(String, String)> {
        ENV.iter()
            .map(|&(name, value)| (name.to_owned(), value.to_owned()))
            .collect()
    }
}

fn stream(spec: &LogSpec) -> Value {
    let target = match &spec.target {
        LogTarget::None => Value::Null,
        LogTarget::Empty => json!(""),
        LogTarget::Memory => json!("memory"),
        LogTarget::Auto => json!("AUTO"),
        LogTarget::File(path) => json!(path),
    };
    json!([
        target,
        spec.maxbytes.0,
        spec.backups,
        spec.capture_maxbytes.0,
        spec.events,
        spec.named.syslog
    ])
}

fn sorted(environment: &[(String, String)]) -> Vec<(String, String)> {
    let mut sorted = environment.to_vec();
    sorted.sort();
    sorted
}

fn process(spec: &ProcessSpec) -> Value {
    json!({
        "name": spec.name,
        "command": spec.command,
        "directory": spec.directory,
        "umask": spec.umask,
        "priority": spec.priority,
        "autostart": spec.autostart,
        "autorestart": format!("{:?}", spec.autorestart),
        "startsecs": spec.startsecs.0,
        "startretries": spec.startretries,
        "exitcodes": spec.exitcodes,
        "stopsignal": spec.stopsignal.number(),
        "stopwaitsecs": spec.stopwaitsecs.0,
        "stopasgroup": spec.stopasgroup,
        "killasgroup": spec.killasgroup,
        "uid": spec.user.as_ref().map(|user| user.uid),
        "redirect_stderr": spec.redirect_stderr,
        "environment": sorted(&spec.environment),
        "serverurl": spec.server_url,
        "streams": [stream(&spec.stdout), stream(&spec.stderr)],
    })
}

fn group(spec: &GroupSpec) -> Value {
    let mut answer = json!({
        "name": spec.name,
        "priority": spec.priority,
        "processes": spec.processes.iter().map(|spec| process(spec)).collect::<Vec<_>>(),
    });
    match &spec.kind {
        GroupKind::Programs => answer["kind"] = json!("ProcessGroupConfig"),
        GroupKind::Listeners {
            events,
            buffer_size,
            ..
        } => {
            let mut events = events.clone();
            events.sort();
            answer["kind"] = json!("EventListenerPoolConfig");
            answer["events"] = json!(events);
            answer["buffer_size"] = json!(buffer_size);
        }
        GroupKind::Fcgi(socket) => {
            answer["kind"] = json!("FastCGIGroupConfig");
            answer["socket"] = json!(socket.url);
            answer["backlog"] = json!(socket.backlog);
            if socket.url.starts_with("unix:") {
                answer["mode"] = json!(socket.mode);
                answer["owner"] = json!([socket.owner.0, socket.owner.1]);
            }
        }
    }
    answer
}

fn config(config: &Config) -> Value {
    let daemon = &config.daemon;
    let servers: Vec<Value> = config
        .servers
        .iter()
        .map(|server| {
            let address = match &server.address {
                ServerAddress::Inet { host, port } => json!([host, port]),
                ServerAddress::Unix {
                    path,
                    mode,
                    uid,
                    gid,
                } => json!([path, mode, uid, gid]),
            };
            let credentials = server
                .credentials
                .as_ref()
                .map(|given| json!([given.username, given.password]));
            json!({"section": server.section, "credentials": credentials, "address": address})
        })
        .collect();
    let notes: Vec<String> = config
        .notes
        .iter()
        .filter(|note| note.variant() != "OurConfigWarning")
        .map(ToString::to_string)
        .collect();
    json!({
        "daemon": {
            "logfile": daemon.logfile,
            "logfile_maxbytes": daemon.logfile_maxbytes.0,
            "logfile_backups": daemon.logfile_backups,
            "loglevel": daemon.loglevel as u8,
            "pidfile": daemon.pidfile,
            "umask": daemon.umask,
            "nodaemon": daemon.nodaemon,
            "silent": daemon.silent,
            "minfds": daemon.minfds,
            "minprocs": daemon.minprocs,
            "nocleanup": daemon.nocleanup,
            "childlogdir": daemon.childlogdir,
            "uid": daemon.user.as_ref().map(|user| user.uid),
            "directory": daemon.directory,
            "strip_ansi": daemon.strip_ansi,
            "environment": sorted(&daemon.environment),
            "identifier": daemon.identifier,
            "serverurl": daemon.server_url,
        },
        "interfaces": config.rpc_interfaces,
        "servers": servers,
        "groups": config.groups.iter().map(|spec| group(spec)).collect::<Vec<_>>(),
        "notes": notes,
    })
}

/// A directory for each case, removed on drop.
struct TempDir(PathBuf);

impl TempDir {
    fn new(tag: &str) -> Self {
        let path = std::env::temp_dir().join(format!("supervisord-{tag}-{}", std::process::id()));
        fs::create_dir_all(&path).expect("a directory for cases");
        Self(path)
    }

    fn lay(&self, number: usize, files: &[(&str, &str)]) -> String {
        let dir = self.0.join(number.to_string());
        for (name, text) in files {
            let path = dir.join(name);
            fs::create_dir_all(path.parent().expect("below the case")).expect("made");
            fs::write(path, text).expect("written");
        }
        dir.to_str().map(normalize).expect("UTF-8")
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn words(args: &str) -> Vec<String> {
    args.split_whitespace().map(str::to_owned).collect()
}

fn seen(cwd: &str) -> Seen {
    assert!(Path::new(cwd).is_dir());
    Seen {
        machine: Machine::new().expect("a working directory"),
        cwd: cwd.to_owned(),
    }
}

fn ours(cwd: &str, args: &str) -> Value {
    let lookup = seen(cwd);
    let options = match parse_options(&words(args), &lookup) {
        Ok(options) => options,
        Err(error) => return json!({"error": error}),
    };
    let path = options.config_path.clone().expect("every case has one");
    match load(&path, &options, &lookup) {
        Ok(loaded) => config(&loaded),
        Err(errors) => {
            assert!(!errors.all.is_empty());
            json!({"error": errors.first})
        }
    }
}

/// Compares the answers of both programs to all cases, and reports all differences together.
fn compare(tag: &str, cases: &[Case<'_>]) {
    let Some(mut oracle) = Oracle::start(tag) else {
        return;
    };
    let place = TempDir::new(tag);
    let dirs: Vec<String> = cases
        .iter()
        .enumerate()
        .map(|(number, case)| place.lay(number, &case.files))
        .collect();
    let asked: Vec<Value> = cases
        .iter()
        .zip(&dirs)
        .map(|(case, dir)| json!({"cwd": dir, "args": words(&case.args)}))
        .collect();
    let mut differences = Vec::new();
    let mut valid = 0;
    for ((case, dir), expected) in cases.iter().zip(&dirs).zip(oracle.ask("load", &asked)) {
        let given = ours(dir, &case.args);
        valid += usize::from(expected.get("daemon").is_some());
        // If the reference exits with a traceback, our program may do anything except panic.
        if expected.get("crash").is_none() && given != expected {
            differences.push(format!(
                "{}\n  files: {:?}\n  ours:   {given}\n  theirs: {expected}\n",
                case.name, case.files
            ));
        }
    }
    assert!(
        differences.is_empty(),
        "{} of {} cases differ:\n{}",
        differences.len(),
        cases.len(),
        differences.join("\n")
    );
    println!("{} cases, {valid} of them valid", cases.len());
    assert!(
        valid * 5 > cases.len(),
        "too few valid cases to prove anything"
    );
}

#[test]
fn cfg_04_to_65_whole_configurations_match_the_reference() {
    let cases = cases::all();
    assert!(cases.len() >= 150, "{}", cases.len());
    compare("whole", &cases);
}

/// Valid and invalid values for keys of each kind.
fn values(kind: ValueKind) -> &'static [&'static str] {
    match kind {
        ValueKind::Integer | ValueKind::ProcessCount | ValueKind::Seconds => {
            &["5", "-1", "+7", "1_0", "x", "1.5", "", "0x10", "65536", "0"]
        }
        ValueKind::Boolean => &[
            "yes", "TRUE", "On", "1", "no", "False", "off", "0", "2", "", "y",
        ],
        ValueKind::ByteSize => &[
            "1", "2KB", "3 mb", "1GB", "0", "-1", "", "KB", "1.5MB", "10K", "1_0kb",
        ],
        ValueKind::Octal => &["022", "0o27", "7_7", "9", "", "x"],
        ValueKind::Signals => &[
            "TERM", "sigusr1", "9", "0", "34", "35", "64", "65", "FOO", "", "RTMIN", "CLD",
        ],
        ValueKind::Retries => &["5", "-1", "+7", "1_0", "x", "1.5", "", "0x10", "65536", "0"],
        ValueKind::Jitter => &["0", "20%", "0.5", "", "x"],
        ValueKind::ExitCodes => &["0", "0,2", " 1 , 255", "256", "-1", "0,", "x", ""],
        ValueKind::Directory => &["/", "~", "/nosuch", "s.conf", "", "~root", "."],
        ValueKind::Path => &[
            "x",
            "/tmp/x",
            "~/x",
            "/nosuch/x",
            "",
            "NONE",
            "syslog",
            "../x",
            "a/b",
        ],
        ValueKind::Logfile => &[
            "NONE",
            "off",
            "Auto",
            "SYSLOG",
            "x.log",
            "/nosuch/x",
            "~/x",
            "",
            "%%x",
            "%%%%x",
        ],
        ValueKind::LogFormat => &["plain", "Raw", "prefix", "json", "xml", ""],
        ValueKind::LogRotation => &["size", "daily", "Weekly+size", "daily+weekly", ""],
        ValueKind::DateFormat => &["%%Y%%m%%d", "%%Y/%%m", "x", "%%!", ""],
        ValueKind::LogKeep => &["0", "5", "14d", "-1", "5m", ""],
        ValueKind::LogOwner => &["root", "0", "nosuch", "47110815", "-1", ""],
        ValueKind::LogZone => &["local", "UTC", "CET", ""],
        ValueKind::RateLimit => &["0", "5/30s", "", "x"],
        ValueKind::ReadyFd => &["3", "1023", "2", "1024", "", "x"],
        ValueKind::Memory => &["1GB", "infinity", "0", "", "x"],
        ValueKind::CpuMax => &["50%", "1000 2000", "max", "", "5"],
        ValueKind::Weight => &["1", "10001", "", "x"],
        ValueKind::PidsMax => &["5", "infinity", "0", ""],
        ValueKind::KillMode => &["process", "control-group", "mixed", ""],
        ValueKind::Cron => &["@daily", "x"],
        ValueKind::CronOverlap => &["skip", "x"],
        ValueKind::CronMissed => &["once", "x"],
        ValueKind::SyslogFacility => &["LOG_local0", "kern", "local8", ""],
        ValueKind::SyslogPriority => &["err", "LOG_Info", "loud", ""],
        ValueKind::SyslogFormat => &["rfc5424", "RFC3164", "json", ""],
        ValueKind::SyslogFraming => &["octet-counting", "Newline", "nul", ""],
        ValueKind::Diagnostics => &["off", "WARN,engine=trace", "loud", "info,engine", ""],
        ValueKind::Dependencies => &["p", "p:ready, nosuch", "a:b:c", ""],
        ValueKind::DependencyTargets => &["p", "p:*", ":", ""],
        ValueKind::WaitFor => &["p:running", "p:exited nosuch", "p:up", ""],
        ValueKind::Pattern => &["up", "*", "[a]* b", ""],
        ValueKind::Script => &[
            "check -a",
            "tcp://h:1",
            "http://h/",
            "https://h/",
            "",
            "a 'b",
        ],
        ValueKind::HealthAction => &["restart", "stop", "signal:HUP", "signal:x", ""],
        ValueKind::Level => &[
            "critical", "ERROR", "warn", "info", "debug", "trace", "blather", "warning", "",
        ],
        ValueKind::User => &["root", "0", "nosuch", "47110815", "-1", ""],
        ValueKind::UserGroup => &["root", "root:root", "0:0", "root:nosuch", "nosuch", ":", ""],
        ValueKind::Address => &[
            "9001",
            "*:9001",
            ":80",
            "LOCALHOST:1",
            "h:0",
            "h:65536",
            "x",
            "0",
            "",
            "h:",
            "h:x",
            "::1:80",
            "65536",
        ],
        ValueKind::ReadyWhen => &["started", "Running", "ready", ""],
        ValueKind::Conditions => &["fatal", "FATAL,exited", "dead", ""],
        ValueKind::ReportFormat => &["text", "json", "xml"],
        ValueKind::Flapping => &["5/10min", "1/s", ""],
        // Only keys of ours have these kinds.
        ValueKind::NacosServers | ValueKind::NacosApi | ValueKind::OnChange => &[""],
        ValueKind::OnFatal => &[
            "none",
            "Shutdown",
            "exec:x",
            "Exec: http://h/x",
            "exec:",
            "run:x",
            "",
        ],
        ValueKind::Rolling => &["off", "Off", "1", " 3 ", "0", "-1", "4294967296", "x", ""],
        ValueKind::ExitWhen => &["never", "All-Exited", "any-fatal", "nosuch", ""],
        ValueKind::Bus => &["auto", "System", "session", "off", "none", ""],
        ValueKind::AutoRestart => &["true", "0", "Unexpected", "maybe", ""],
        ValueKind::Name => &[
            "x",
            "a b",
            "a:b",
            "a/b",
            "",
            "%(process_num)s",
            "%(program_name)s_%(process_num)03d",
        ],
        ValueKind::List | ValueKind::Patterns => &[
            "p",
            "p, p",
            "nosuch",
            "p,",
            ",p",
            "",
            "TICK",
            "tick_5,PROCESS_STATE",
            "EVENT,event",
        ],
        ValueKind::Environment => &[
            "A=1",
            "A=1,B=\"x y\"",
            "A",
            "A=",
            "A=\"x",
            "A=%%h",
            "A=%%%%h",
            "A=\"%(ENV_FOO)s\"",
        ],
        ValueKind::Socket => &[
            "tcp://h:1",
            "tcp://H:70000",
            "tcp://h:0",
            "unix:///tmp/../x",
            "unix://x",
            "x",
            "tcp://h",
            "",
            "tcp://:1",
            "unix:///%(program_name)s",
            "tcp://a b:1",
        ],
        ValueKind::Callable => &[
            "supervisor.dispatchers:default_handler",
            "supervisor.rpcinterface:make_main_rpcinterface",
            FOREIGN,
            "no such:thing",
            "",
        ],
        // Only our keys accept these values, and the reference has none of our keys.
        ValueKind::Limit
        | ValueKind::ByteLimit
        | ValueKind::NiceLimit
        | ValueKind::Nice
        | ValueKind::OomScore
        | ValueKind::Group
        | ValueKind::Groups
        | ValueKind::Capabilities
        | ValueKind::CapabilityNames => &[],
        ValueKind::Text => &["x", "", "a b", "AUTO", "unix:///x"],
    }
}

/// Values for every key: names and invalid formats.
const ANY: &[&str] = &[
    "%(here)s",
    "%(ENV_FOO)s",
    "%(ENV_PERCENT)s",
    "%(nosuch)s",
    "%",
    "%(program_name)s",
    "%(process_num)02d",
    "%(numprocs)d",
    "%(group_name)s",
    "%(host_node_name)s",
    "%(ENV_OWN)s",
    "%(here)d",
    "100%%",
];

/// A name that Python would import. Our program only warns about it.
const FOREIGN: &str = "no.such:thing";

/// Whether our program differs on purpose, or the result of the reference is random.
fn is_different(key: &str, value: &str) -> bool {
    match key {
        // Our program also checks a name after its expansion.
        "process_name" => value == "%(here)s",
        // A word of the Go re-implementation.
        "loglevel" => value == "warning",
        // The reference names a random one of several unknown events.
        "events" => value == "p," || value == ",p",
        // The reference accepts any existing callable, and fails later.
        "result_handler" => value.starts_with("supervisor.rpcinterface") || value == FOREIGN,
        "supervisor.rpcinterface_factory" => {
            value.starts_with("supervisor.dispatchers") || value == FOREIGN
        }
        _ => false,
    }
}

#[test]
fn every_key_accepts_and_refuses_the_same_values_as_supervisor() {
    const MAIN: &str = "[supervisord]\nenvironment=D=1\n";
    const INTERFACE: &str = "[rpcinterface:supervisor]\nsupervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface\n";
    let mut texts: Vec<(String, String)> = Vec::new();
    for &(kind, key) in key::all() {
        let bodies: &[String] = &match kind {
            SectionKind::Daemon => vec![format!("[supervisord]\n@\n{INTERFACE}")],
            SectionKind::UnixServer => vec![format!("{MAIN}[unix_http_server]\nfile=/x\n@\n")],
            SectionKind::InetServer => vec![format!("{MAIN}[inet_http_server:a]\nport=1\n@\n")],
            SectionKind::Program => {
                let keys = "command=c\nenvironment=OWN=own\n@\n";
                vec![
                    format!("{MAIN}[program:p]\n{keys}"),
                    format!("{MAIN}[program:p]\n{keys}[group:g]\nprograms=p\n"),
                    format!("{MAIN}[eventlistener:p]\nevents=TICK\n{keys}"),
                    format!("{MAIN}[fcgi-program:p]\nsocket=unix:///x\n{keys}"),
                ]
            }
            SectionKind::Group => vec![format!("{MAIN}[program:p]\ncommand=c\n[group:g]\n@\n")],
            SectionKind::Listener => vec![format!(
                "{MAIN}[eventlistener:p]\ncommand=c\nevents=TICK\n@\n"
            )],
            SectionKind::Fcgi => vec![
                format!("{MAIN}[fcgi-program:p]\ncommand=c\nsocket=unix:///x\n@\n"),
                format!("{MAIN}[fcgi-program:p]\ncommand=c\nsocket=tcp://h:1\n@\n"),
            ],
            SectionKind::Include => vec![format!("{MAIN}[include]\n@\n")],
            SectionKind::RpcInterface => vec![format!("{MAIN}[rpcinterface:supervisor]\n@\n")],
            SectionKind::Notify => vec![format!("{MAIN}[notify:n]\ncommand=c\n@\n")],
            // It has no rows of its own, and the reference ignores it.
            SectionKind::ProgramDefault => continue,
            SectionKind::Client
            | SectionKind::CtlPlugin
            | SectionKind::Nacos
            | SectionKind::Source => continue,
        };
        for body in bodies {
            if key.ours {
                continue;
            }
            for value in values(key.kind).iter().chain(ANY) {
                if is_different(key.name, value) {
                    continue;
                }
                let text = body.replace('@', &format!("{}={value}", key.name));
                texts.push((format!("{kind:?} {}={value}", key.name), text));
            }
        }
    }
    let cases: Vec<Case<'_>> = texts
        .iter()
        .map(|(name, text)| Case {
            name: name.clone(),
            args: "-c s.conf".to_owned(),
            files: vec![("s.conf", text.as_str())],
        })
        .collect();
    assert!(cases.len() > 1000, "{}", cases.len());
    compare("keys", &cases);
}

#[test]
fn cfg_66_the_client_section_matches_the_reference() {
    let Some(mut oracle) = Oracle::start("client") else {
        return;
    };
    let place = TempDir::new("client");
    for (number, &(name, text)) in CLIENT_CASES.iter().enumerate() {
        let dir = place.lay(number, &[("s.conf", text)]);
        let asked = json!({"cwd": dir, "args": ["-c", "s.conf", "status"]});
        let expected = oracle.ask("client", &[asked]).remove(0);
        let given = match ctl_spec("s.conf", &seen(&dir), true) {
            Ok(spec) => json!({
                "serverurl": spec.serverurl,
                "username": spec.username,
                "password": spec.password,
                "prompt": spec.prompt,
                "history_file": spec.history_file,
            }),
            Err(errors) => json!({"error": errors.first}),
        };
        assert_eq!(given, expected, "{name}");
    }
}

#[test]
fn the_sample_configuration_is_valid_for_supervisor_too() {
    let text = sample();
    let case = Case {
        name: "sample".to_owned(),
        args: "-c s.conf".to_owned(),
        files: vec![("s.conf", &text)],
    };
    compare("sample", &[case]);
}

#[test]
fn groups_differ_as_in_supervisor() {
    let Some(mut oracle) = Oracle::start("differences") else {
        return;
    };
    const OTHERS: &str = "[program:z]\ncommand=z\npriority=1\n[program:y]\ncommand=y\n";
    let kinds = [
        ("[program:p]\ncommand=c\n", SectionKind::Program),
        (
            "[eventlistener:p]\ncommand=c\nevents=TICK\n",
            SectionKind::Listener,
        ),
        (
            "[fcgi-program:p]\ncommand=c\nsocket=unix:///x\n",
            SectionKind::Fcgi,
        ),
        (
            "[program:p]\ncommand=c\n[group:g]\nprograms=p\n",
            SectionKind::Group,
        ),
    ];
    let mut pairs = Vec::new();
    for (section, kind) in kinds {
        let base = format!("[supervisord]\n{section}");
        pairs.push((base.clone(), format!("[supervisord]\n{OTHERS}")));
        pairs.push((
            format!("{base}{OTHERS}"),
            format!("[supervisord]\nenvironment=A=1\n{section}"),
        ));
        for key in kind.keys().filter(|key| !key.ours) {
            for value in values(key.kind) {
                // Supervisor counts a member that is listed twice as two, but runs one. It also refuses a file with a
                // plug-in that it cannot import.
                if *value == "p, p" || *value == FOREIGN {
                    continue;
                }
                // Supervisor does not detect changes of a socket other than its address.
                if matches!(key.name, "socket_mode" | "socket_owner" | "socket_backlog") {
                    continue;
                }
                pairs.push((
                    base.clone(),
                    format!("{base}{}={value}\n{OTHERS}", key.name),
                ));
            }
        }
    }
    let place = TempDir::new("differences");
    let options = DaemonOptions::default();
    let mut compared = 0;
    for (number, (before, after)) in pairs.iter().enumerate() {
        for (number, a, b) in [(2 * number, before, after), (2 * number + 1, after, before)] {
            let dir = place.lay(number, &[("a.conf", a), ("b.conf", b)]);
            let lookup = seen(&dir);
            let (Ok(active), Ok(read)) = (
                load("a.conf", &options, &lookup),
                load("b.conf", &options, &lookup),
            ) else {
                // The tests above show that both programs refuse the same files.
                continue;
            };
            let given = diff(&active.groups, &read.groups);
            let given =
                json!({"added": given.added, "changed": given.changed, "removed": given.removed});
            let expected = oracle.ask("diff", &[json!({"cwd": dir})]).remove(0);
            assert_eq!(given, expected, "{a}\n→\n{b}");
            compared += 1;
        }
    }
    assert!(
        compared > 300,
        "too few differences to prove anything: {compared}"
    );
}
