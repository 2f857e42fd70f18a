//! A user with a rule of `allow=` learns about the processes of the rule, and about no others.

use std::path::Path;

use super::users::{Nobody, open, reachable};
use crate::support::expect;
use crate::support::is_root;
use crate::support::runner::{Outcome, Trial};

/// The tests of this file.
pub(crate) fn tests() -> Vec<Trial> {
    vec![
        Trial::new("trust::a5_results_name_only_visible_processes", results),
        Trial::new("trust::a5_an_invisible_process_does_not_exist", not_there),
        Trial::new("trust::a5_a_refused_clear_names_the_reason", clear),
    ]
}

const CONFIG: &str = "\
[unix_http_server]
allow=nobody control signal logs update shutdown configure on web g:a
      nobody status on g:b
[rpcinterface:twiddler]
supervisor.rpcinterface_factory=supervisor_twiddler.rpcinterface:make_twiddler_rpcinterface
[program:web]
command={test_child} forever
startsecs=0
[program:veiled]
command={test_child} forever
startsecs=0
[group:vault]
programs=abyssal
[program:abyssal]
command={test_child} forever
startsecs=0
[group:g]
programs=a,b,obscured
[program:a]
command={test_child} forever
startsecs=0
[program:b]
command={test_child} forever
startsecs=0
[program:obscured]
command={test_child} forever
startsecs=0
";

/// Names that the user nobody must not learn.
const UNSEEN: &[&str] = &["veiled", "vault", "abyssal", "obscured"];

fn skipped() -> Option<Outcome> {
    let why = "needs root, to be several users";
    (!is_root()).then(|| Outcome::Skipped(why.to_owned()))
}

fn results() -> Result<Outcome, String> {
    if let Some(skipped) = skipped() {
        return Ok(skipped);
    }
    let nobody = Nobody::find()?;
    let host = reachable(CONFIG)?;
    let daemon = host.daemon()?;
    for name in ["web", "veiled", "vault:abyssal", "g:a", "g:b", "g:obscured"] {
        daemon.wait_state(name, "RUNNING")?;
    }
    let tells_nothing = |what: &str, said: &str| {
        let found = UNSEEN.iter().find(|name| said.contains(**name));
        expect(
            found.is_none(),
            format!("{what} contains {found:?}: {said}"),
        )
    };
    for (method, texts, own) in [
        ("supervisor.getAllProcessInfo", &[][..], "g"),
        ("supervisor.getAllConfigInfo", &[], "g"),
        ("supervisor.signalAllProcesses", &["HUP2"], "web"),
        (
            "supervisor.signalProcessGroup",
            &["g", "HUP2"],
            "BAD_SIGNAL",
        ),
        ("supervisor.clearAllProcessLogs", &[], "web"),
        (
            "supervisord.rollingRestart",
            &["g:*"],
            "permission denied: g:b",
        ),
        (
            "supervisor.stopProcessGroup",
            &["g"],
            "permission denied: g:b",
        ),
        ("supervisor.stopAllProcesses", &[], "web"),
        ("supervisor.startProcessGroup", &["g"], "OK"),
        ("supervisor.startAllProcesses", &[], "web"),
        ("twiddler.getGroupNames", &[], "g"),
    ] {
        let said = nobody.call(&host, method, texts)?;
        expect(said.contains(own), format!("{method}: {said}"))?;
        tells_nothing(method, &said)?;
    }
    for args in [
        &["status"][..],
        &["stop", "all"],
        &["start", "all"],
        &["restart", "all"],
        &["signal", "HUP", "g:*"],
        &["clear", "all"],
        &["avail"],
        &["pid", "all"],
        &["update"],
        &["reread"],
    ] {
        let done = nobody.ctl(&host, args)?;
        tells_nothing(
            &format!("{args:?}"),
            &format!("{}{}", done.stdout, done.stderr),
        )?;
    }
    // Pages and streams over the same socket.
    for path in [
        "/",
        "/grouptail.html?group=g",
        "/grouptail.html?group=vault",
        "/events",
    ] {
        let said = get(&nobody, &host, path)?;
        let said = said
            .replace("group=vault", "")
            .replace("of group vault", "")
            .replace("Group vault", "");
        tells_nothing(path, &said)?;
    }
    // Hidden processes were not changed either.
    for name in ["veiled", "vault:abyssal", "g:obscured", "g:b"] {
        expect(
            daemon.state(name) == "RUNNING",
            format!("{name} is {}", daemon.state(name)),
        )?;
    }
    Ok(Outcome::Passed)
}

fn not_there() -> Result<Outcome, String> {
    if let Some(skipped) = skipped() {
        return Ok(skipped);
    }
    let nobody = Nobody::find()?;
    let host = reachable(CONFIG)?;
    let daemon = host.daemon()?;
    for name in ["veiled", "vault:abyssal", "g:obscured"] {
        daemon.wait_state(name, "RUNNING")?;
    }
    let methods: &[(&str, &[&str])] = &[
        ("supervisor.getProcessInfo", &["NAME"]),
        ("supervisor.startProcess", &["NAME"]),
        ("supervisor.stopProcess", &["NAME"]),
        ("supervisor.signalProcess", &["NAME", "HUP"]),
        ("supervisor.clearProcessLogs", &["NAME"]),
        ("supervisor.tailProcessStdoutLog", &["NAME", "0", "10"]),
        ("supervisor.readProcessStderrLog", &["NAME", "0", "10"]),
        ("supervisor.sendProcessStdin", &["NAME", "x"]),
        ("supervisor.stopProcessGroup", &["NAME"]),
        ("supervisor.startProcessGroup", &["NAME"]),
        ("supervisor.signalProcessGroup", &["NAME", "HUP"]),
        ("supervisor.addProcessGroup", &["NAME"]),
        ("supervisor.removeProcessGroup", &["NAME"]),
        ("supervisord.rollingRestart", &["NAME"]),
        ("supervisord.setNumprocs", &["NAME", "2"]),
        ("twiddler.removeProcessFromGroup", &["NAME", "abyssal"]),
    ];
    for (method, texts) in methods {
        let ask = |name: &str| -> Result<String, String> {
            let texts: Vec<&str> = texts
                .iter()
                .map(|text| if *text == "NAME" { name } else { text })
                .collect();
            let said = nobody.call(&host, method, &texts)?;
            // The length of the answer reveals nothing either.
            let said = said.split_once("<?xml").map_or("", |(_, body)| body);
            // A fault about a group contains only the group's name.
            let group = name.split(':').next().unwrap_or_default();
            Ok(said.replace(name, "NAME").replace(group, "NAME"))
        };
        let missing = ask("nosuch")?;
        expect(missing.contains("BAD_NAME"), format!("{method}: {missing}"))?;
        for name in ["veiled", "vault", "vault:abyssal", "vault:*"] {
            let like = if name.contains(':') {
                ask(&format!("nosuch{}", &name[5..]))?
            } else {
                missing.clone()
            };
            let said = ask(name)?;
            expect(said == like, format!("{method} {name}: {said}, not {like}"))?;
        }
        if *method != "twiddler.removeProcessFromGroup" {
            let (obscured, missing) = (ask("g:obscured")?, ask("g:nosuch")?);
            expect(
                obscured == missing,
                format!("{method} g:obscured: {obscured}, not {missing}"),
            )?;
        }
    }
    for path in [
        "/logtail/NAME",
        "/logtail/NAME/stderr",
        "/logfile?processname=NAME&channel=stderr",
        "/tail.html?processname=NAME",
    ] {
        let ask = |name: &str| -> Result<String, String> {
            let said = get(&nobody, &host, &path.replace("NAME", name))?;
            let lines = said
                .lines()
                .filter(|line| !line.starts_with("Date:") && !line.starts_with("Content-Length:"));
            Ok(lines.collect::<String>().replace(name, "NAME"))
        };
        let (veiled, missing) = (ask("veiled")?, ask("nosuch")?);
        expect(
            veiled == missing,
            format!("{path}: {veiled}, not {missing}"),
        )?;
    }
    // A visible process without permission says so.
    let said = nobody.call(&host, "supervisor.stopProcess", &["g:b"])?;
    expect(said.contains("FAILED: permission denied: g:b"), said)?;
    expect(daemon.state("veiled") == "RUNNING", "it was touched")?;
    Ok(Outcome::Passed)
}

fn clear() -> Result<Outcome, String> {
    // A directory is not a file, and cannot be unlinked.
    let host = crate::host::Host::start(
        "[program:web]\ncommand={test_child} forever\nstartsecs=0\nstdout_logfile={dir}/web.log\nstderr_logfile=NONE\n",
    )?;
    let daemon = host.daemon()?;
    daemon.wait_state("web", "RUNNING")?;
    let log = host.place.join("web.log");
    std::fs::remove_file(&log).map_err(|error| error.to_string())?;
    std::fs::create_dir(&log).map_err(|error| error.to_string())?;
    let web = crate::support::wire::Value::Text("web".to_owned());
    let Err(fault) = daemon.call("supervisor.clearProcessLogs", &[web]) else {
        return Err("it was cleared".to_owned());
    };
    let text = fault.to_string();
    expect(
        text.contains("FAILED: web: cannot clear its log: [Errno "),
        text,
    )?;
    Ok(Outcome::Passed)
}

/// Pages that the user nobody must not get.
fn get(nobody: &Nobody, host: &crate::host::Host, path: &str) -> Result<String, String> {
    let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    let file = host.place.join("request");
    std::fs::write(&file, request).map_err(|error| error.to_string())?;
    open(Path::new(&file), 0o644)?;
    nobody.exchange(host, "request")
}
