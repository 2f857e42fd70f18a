//! The command line of supervisorctl for people: the same actions at a real terminal and without one.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;

use serde_json::Value;

use crate::host::{Host, copy_program, free_port};
use crate::support::daemon::{Daemon, Finished, Side, program, run};
use crate::support::runner::{Outcome, Trial};
use crate::support::wire::{Address, Value as WireValue};
use crate::support::{LIMIT, expect, wait_for};
use crate::trust::terminal::Terminal;

/// The tests of this file.
pub(crate) fn tests() -> Vec<Trial> {
    vec![
        Trial::new("ctl_terminal::status_explains_each_state", status),
        Trial::new("ctl_terminal::status_without_programs_hints", nothing),
        Trial::new("ctl_terminal::watch_follows_until_ctrl_c", watch),
        Trial::new("ctl_terminal::misspelt_words_get_a_suggestion", suggestions),
        Trial::new(
            "ctl_terminal::an_unreachable_daemon_is_explained",
            unreachable,
        ),
        Trial::new("ctl_terminal::a_missing_permission_is_explained", denied),
        Trial::new("ctl_terminal::long_actions_show_progress", progress),
        Trial::new("ctl_terminal::failures_come_last_with_reasons", summary),
        Trial::new("ctl_terminal::every_action_prints_json", json),
        Trial::new("ctl_terminal::names_can_be_patterns", patterns),
        Trial::new("ctl_terminal::help_has_summaries_and_statuses", help),
        Trial::new("ctl_terminal::the_shell_asks_before_all", shell),
    ]
}

/// A program that ignores the stop signal.
const STUBBORN: &str = "
[program:stub]
command=sh -c 'trap \"\" TERM; echo ready $$; while :; do sleep 1000; done'
startsecs=0
stopwaitsecs=1000
stdout_logfile={dir}/stub.log
";

/// What a finished client printed at a terminal, and its exit status.
fn at_terminal(host: &Host, args: &[&str]) -> Result<(String, i32), String> {
    let mut terminal = Terminal::start(host, args)?;
    let code = terminal.end()?;
    Ok((terminal.screen_at_end(), code))
}

/// Checks the screen and the exit status of a client at a terminal.
fn expect_screen(host: &Host, args: &[&str], code: i32, parts: &[&str]) -> Result<String, String> {
    let (screen, got) = at_terminal(host, args)?;
    let missing: Vec<&&str> = parts
        .iter()
        .filter(|part| !screen.contains(**part))
        .collect();
    expect(
        got == code && missing.is_empty(),
        format!("{args:?}: expected {code} and {parts:?}, got {got} and {screen:?}"),
    )?;
    Ok(screen)
}

fn status() -> Result<Outcome, String> {
    let host = Host::start(&format!(
        "{STUBBORN}
[program:数据库]
command=sleep 1000
startsecs=0
[program:slow]
command=sleep 1000
startsecs=1000
[program:broken]
command=sh -c 'echo cannot bind >&2; exit 3'
startretries=0
[program:retry]
command=sh -c 'exit 4'
startretries=5
restart_delay=1000
[program:done]
command=sh -c 'exit 5'
startsecs=0
autorestart=false
[program:off]
command=sleep 1000
autostart=false
"
    ))?;
    let daemon = host.daemon()?;
    for (name, state) in [
        ("数据库", "RUNNING"),
        ("slow", "STARTING"),
        ("broken", "FATAL"),
        ("retry", "BACKOFF"),
        ("done", "EXITED"),
    ] {
        daemon.wait_state(name, state)?;
    }
    host.wait_file("stub.log", "ready")?;
    let screen = expect_screen(
        &host,
        &["status"],
        3,
        &[
            &format!("数据库{}\x1b[32mRUNNING\x1b[0m   pid ", " ".repeat(27)),
            " s of 1000 s",
            &format!(
                "broken{}\x1b[1;31mFATAL\x1b[0m     exit status 3, too early, stderr: cannot bind",
                " ".repeat(27)
            ),
            "exit status 4, too early, retry 1 of 5 in ",
            "exit status 5, ",
            " s ago)",
            "\x1b[2mSTOPPED\x1b[0m   Not started",
        ],
    )?;
    expect(!screen.contains("RUNNING   pid"), "no plain state")?;
    let params = [WireValue::Text("stub".to_owned()), WireValue::Bool(false)];
    daemon
        .call("supervisor.stopProcess", &params)
        .map_err(|e| e.to_string())?;
    expect_screen(
        &host,
        &["--color=never", "status", "stub"],
        0,
        &[&format!("stub{}STOPPING  SIGKILL in ", " ".repeat(29))],
    )?;
    let mut plain =
        Terminal::start_with(&host, &["status", "off"], &[("NO_COLOR", "1".to_owned())])?;
    plain.end()?;
    let off = format!("off{}STOPPED   Not started\r\n", " ".repeat(30));
    expect(
        plain.screen_at_end() == off,
        format!("{:?}", plain.screen_at_end()),
    )?;
    // Without a terminal, the output is that of Supervisor.
    let piped = host.ctl(&["status"])?;
    expect(
        !piped.stdout.contains('\x1b')
            && !piped.stdout.contains("SIGKILL")
            && piped
                .stdout
                .contains(&format!("slow{}STARTING  \n", " ".repeat(29)))
            && piped
                .stdout
                .contains(&format!("数据库{}RUNNING   pid ", " ".repeat(30))),
        format!("{piped:?}"),
    )?;
    let forced = host.ctl(&["--color", "always", "status", "off"])?;
    expect(
        forced.stdout.contains("\x1b[2mSTOPPED\x1b[0m"),
        format!("{forced:?}"),
    )?;
    let wrong = host.ctl(&["--color", "often", "status"])?;
    expect(
        wrong.code == 2 && wrong.stderr.contains("auto, always or never"),
        format!("{wrong:?}"),
    )?;
    Ok(Outcome::Passed)
}

fn nothing() -> Result<Outcome, String> {
    let host = Host::start("")?;
    expect_screen(
        &host,
        &["status"],
        0,
        &["No program is configured.", "supervisorctl update"],
    )?;
    let piped = host.ctl(&["status"])?;
    expect(
        piped.stdout.is_empty() && piped.stderr.is_empty(),
        format!("{piped:?}"),
    )?;
    Ok(Outcome::Passed)
}

fn watch() -> Result<Outcome, String> {
    let host = Host::start("[program:web]\ncommand=sleep 1000\nstartsecs=0\n")?;
    host.daemon()?.wait_state("web", "RUNNING")?;
    let mut terminal = Terminal::start(&host, &["status", "--watch", "web"])?;
    terminal.wait("RUNNING")?;
    host.expect_ctl(&["stop", "web"], 0, &["web: stopped"])?;
    terminal.wait("STOPPED")?;
    terminal.interrupt();
    expect(
        terminal.end()? == 0,
        format!("{:?}", terminal.screen_at_end()),
    )?;
    let piped = host.ctl(&["status", "--watch"])?;
    expect(
        piped.code == 2 && piped.stdout.contains("requires a terminal"),
        format!("{piped:?}"),
    )?;
    Ok(Outcome::Passed)
}

fn suggestions() -> Result<Outcome, String> {
    let host = Host::start(
        "[program:worker]\ncommand=sleep 1000\nprocess_name=%(program_name)s_%(process_num)02d\nnumprocs=2\nstartsecs=0\n",
    )?;
    for (args, code, hint) in [
        (
            &["stop", "worker_00"][..],
            1,
            "did you mean worker:worker_00?",
        ),
        (&["status", "wroker"], 4, "did you mean worker:*?"),
        (
            &["tail", "worker:worker_0"],
            1,
            "did you mean worker:worker_00?",
        ),
        (&["stat"], 1, "did you mean status?"),
        (&["ps"], 1, "did you mean status?"),
        (&["log", "x"], 1, "did you mean logs?"),
    ] {
        expect_screen(&host, args, code, &[hint])?;
        let piped = host.ctl(args)?;
        expect(
            piped.code == code && !piped.stdout.contains("did you mean") && piped.stderr.is_empty(),
            format!("{args:?}: {piped:?}"),
        )?;
    }
    Ok(Outcome::Passed)
}

fn unreachable() -> Result<Outcome, String> {
    let host = Host::new("[program:web]\ncommand=sleep 1000\n")?;
    expect_screen(
        &host,
        &["start", "web"],
        7,
        &[
            "cannot reach supervisord at unix://",
            "the socket does not exist (ENOENT)",
            "supervisorctl -c FILE",
        ],
    )?;
    let port = format!("http://me:secret@127.0.0.1:{}", free_port()?);
    let screen = expect_screen(
        &host,
        &["-s", &port, "status"],
        4,
        &["no process listens on the port (ECONNREFUSED)"],
    )?;
    expect(
        !screen.contains("secret") && !screen.contains("class"),
        screen,
    )?;
    // Without a terminal, the line is that of Supervisor.
    let piped = host.ctl(&["start", "web"])?;
    expect(
        piped.code == 7 && piped.stdout.ends_with("/s no such file\n") && piped.stderr.is_empty(),
        format!("{piped:?}"),
    )?;
    let failed = host.ctl(&["start", "web", "--json"])?;
    let value: Value = serde_json::from_str(&failed.stdout).map_err(|e| e.to_string())?;
    expect(
        failed.code == 7 && value["errors"][0]["code"] == "ENOENT",
        format!("{failed:?}"),
    )?;

    // A server that is no supervisord.
    let listener = TcpListener::bind("127.0.0.1:0").map_err(|e| e.to_string())?;
    let port = listener.local_addr().map_err(|e| e.to_string())?.port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { break };
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
        }
    });
    let own = format!("(PID {})", std::process::id());
    expect_screen(
        &host,
        &["-s", &format!("http://127.0.0.1:{port}"), "version"],
        1,
        &["HTTP status 404", "the address is held by ", &own],
    )?;

    let mut locked = Host::new("")?;
    locked.place.write(
        "conf",
        &locked.fill(
            "[unix_http_server]\nfile={dir}/s\nusername=me\npassword=right\n[supervisord]\nlogfile={dir}/log\n\
             pidfile={dir}/pid\n[rpcinterface:supervisor]\n\
             supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface\n\
             [supervisorctl]\nserverurl=unix://{dir}/s\n",
        ),
    )?;
    let mut command = locked
        .marked
        .command(&program(Side::Ours, "supervisord")?, locked.place.path());
    command.args(["-n", "-c", "conf"]);
    let address = Address::Unix(locked.place.join("s"));
    locked.daemon = Some(Daemon::spawn(command, locked.place.path(), address)?);
    wait_for("the daemon answers", LIMIT, || {
        let right = locked.ctl(&["-u", "me", "-p", "right", "pid"]);
        right.is_ok_and(|got| got.code == 0)
    })?;
    expect_screen(
        &locked,
        &["-u", "me", "-p", "wrong", "version"],
        1,
        &[
            "Server requires authentication",
            "the user name or the password is wrong",
        ],
    )?;
    expect_screen(&locked, &["-u", "me", "-p", "right", "version"], 0, &["5."])?;
    Ok(Outcome::Passed)
}

/// A user who may not use the socket learns who may.
fn denied() -> Result<Outcome, String> {
    const NOBODY: u32 = 65_534;
    if !nix::unistd::Uid::effective().is_root() {
        return Ok(Outcome::Skipped("needs root".to_owned()));
    }
    let host = Host::start("[unix_http_server]\nchmod=0700\n")?;
    let client = host.place.join("supervisorctl");
    copy_program(&program(Side::Ours, "supervisorctl")?, &client)?;
    for path in [host.place.path(), &client] {
        let mode = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(path, mode).map_err(|e| e.to_string())?;
    }
    let mut command = host.marked.command(&client, host.place.path());
    let url = format!("unix://{}", host.place.join("s").display());
    command.uid(NOBODY).gid(NOBODY).args(["-s", &url, "status"]);
    let mut terminal = Terminal::run(command)?;
    let code = terminal.end()?;
    let screen = terminal.screen_at_end();
    expect(
        code == 1
            && screen.contains("cannot reach supervisord at unix://")
            && screen.contains(" is open to root only (use sudo) (EACCES)"),
        format!("{code}: {screen:?}"),
    )?;
    Ok(Outcome::Passed)
}

fn progress() -> Result<Outcome, String> {
    let mut host = Host::start(&format!(
        "{STUBBORN}
[program:slow]
command=sleep 1000
startsecs=1000
autostart=false
"
    ))?;
    host.wait_file("stub.log", "ready")?;
    let mut start = Terminal::start(&host, &["start", "slow"])?;
    start.wait("starting 1 of 1, slow: for ")?;
    start.interrupt();
    expect(start.end()? == 130, start.screen_at_end())?;
    expect(
        start
            .screen_at_end()
            .contains("supervisord goes on starting slow"),
        start.screen_at_end(),
    )?;
    host.expect_ctl(&["stop", "slow"], 0, &["slow: stopped"])?;
    let mut stop = Terminal::start(&host, &["shutdown"])?;
    stop.wait("stopping 1 of 1, stub: SIGKILL in ")?;
    let log = host.place.read("stub.log");
    let pid = log
        .split_whitespace()
        .nth(1)
        .and_then(|pid| pid.parse().ok());
    let pid = nix::unistd::Pid::from_raw(pid.ok_or(log)?);
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).map_err(|e| e.to_string())?;
    expect(stop.end()? == 0, stop.screen_at_end())?;
    expect(
        stop.screen_at_end().ends_with("\r\x1b[KShut down\r\n"),
        stop.screen_at_end(),
    )?;
    host.daemon = None;
    Ok(Outcome::Passed)
}

fn summary() -> Result<Outcome, String> {
    let host = Host::start(
        "[program:broken]
command=sh -c 'echo cannot bind >&2; exit 3'
startretries=0
autostart=false
[program:web]
command=sleep 1000
autostart=false
startsecs=0
[program:api]
command=sleep 1000
autostart=false
startsecs=0
",
    )?;
    let screen = expect_screen(
        &host,
        &["start", "all"],
        7,
        &[
            "broken: ERROR (spawn error)\r\n  FATAL: exit status 3, too early, stderr: cannot bind\r\n2 started, 1 failed\r\n",
        ],
    )?;
    let at = |text: &str| screen.find(text).unwrap_or(usize::MAX);
    expect(
        at("web: started") < at("broken:") && at("api: started") < at("broken:"),
        screen,
    )?;
    expect_screen(&host, &["stop", "web"], 0, &["web: stopped\r\n"])?;
    let piped = host.ctl(&["start", "web", "broken"])?;
    expect(
        piped.code == 7 && piped.stdout == "web: started\nbroken: ERROR (spawn error)\n",
        format!("{piped:?}"),
    )?;
    Ok(Outcome::Passed)
}

/// The one JSON object that a client printed.
fn parsed(finished: &Finished) -> Result<Value, String> {
    let lines = finished.stdout.lines().count();
    let value: Value =
        serde_json::from_str(&finished.stdout).map_err(|error| format!("{error}: {finished:?}"))?;
    expect(lines == 1 && value["schema"] == 1, format!("{finished:?}"))?;
    Ok(value)
}

fn json() -> Result<Outcome, String> {
    let host = Host::start(
        "[program:web]
command=sleep 1000
startsecs=0
[program:worker]
command=sleep 1000
process_name=%(program_name)s_%(process_num)02d
numprocs=2
startsecs=0
",
    )?;
    host.daemon()?.wait_state("worker:worker_01", "RUNNING")?;
    // The line, its exit status, the number of results, and the first code.
    for (line, code, results, first) in [
        ("stop web", 0, 1, "SUCCESS"),
        ("stop web", 0, 1, "NOT_RUNNING"),
        ("start web nope", 1, 2, "SUCCESS"),
        ("start nope:*", 2, 1, "BAD_NAME"),
        ("restart worker:*", 0, 4, "SUCCESS"),
        ("signal CONT all", 0, 3, "SUCCESS"),
        ("signal BOGUS web", 1, 1, "BAD_SIGNAL"),
        ("clear web", 0, 1, "SUCCESS"),
        ("reload web", 1, 1, "FAILED"),
        ("remove worker", 1, 1, "STILL_RUNNING"),
        ("add web", 0, 1, "ALREADY_ADDED"),
        ("scale worker 3", 0, 1, "SUCCESS"),
        ("serialrestart web", 0, 1, "SUCCESS"),
        ("restart --rolling web", 0, 1, "SUCCESS"),
        ("update", 0, 0, ""),
        ("update nope", 1, 0, ""),
        ("stop", 1, 0, ""),
        ("tail web", 0, 0, ""),
        ("maintail", 0, 0, ""),
        ("tail nope", 1, 0, ""),
        ("critical-chain", 0, 0, ""),
        ("help", 0, 0, ""),
        ("fg web", 2, 0, ""),
        ("tail -f web", 2, 0, ""),
    ] {
        let mut words: Vec<&str> = line.split(' ').collect();
        words.extend(["-o", "json"]);
        let got = host.ctl(&words)?;
        let value = parsed(&got)?;
        let found = value["results"].as_array().map_or(0, Vec::len);
        let is_first = first.is_empty() || value["results"][0]["code"] == first;
        expect(
            got.code == code && found == results && is_first && value["action"] == words[0],
            format!("{line}: {got:?}"),
        )?;
        let has_errors = value["errors"]
            .as_array()
            .is_some_and(|all| !all.is_empty());
        expect(
            has_errors == (code != 0 && results == 0),
            format!("{line}: {got:?}"),
        )?;
    }
    // Those with members of their own.
    for (line, member) in [
        ("status web", "processes"),
        ("pid web", "pids"),
        ("avail", "configs"),
        ("reread", "added"),
        ("version", "version"),
        ("plan", "id"),
        ("graph", "processes"),
        ("next", "schedules"),
        ("source", "kind"),
    ] {
        for option in [&["--json"][..], &["-o", "json"]] {
            let words: Vec<&str> = line.split(' ').chain(option.iter().copied()).collect();
            let value = parsed(&host.ctl(&words)?)?;
            expect(!value[member].is_null(), format!("{words:?}: {value}"))?;
        }
    }
    let value = parsed(&host.ctl(&["status", "nope", "--json"])?)?;
    expect(value["errors"][0]["code"] == "BAD_NAME", value.to_string())?;
    let last = parsed(&host.ctl(&["shutdown", "--json"])?)?;
    expect(last["output"] == "Shut down\n", last.to_string())?;
    Ok(Outcome::Passed)
}

fn patterns() -> Result<Outcome, String> {
    let host = Host::start(
        "[program:web1]
command=sleep 1000
startsecs=0
[program:web2]
command=sleep 1000
startsecs=0
[program:api]
command=sleep 1000
startsecs=0
[program:mail]
command=sleep 1000
startsecs=0
[group:jobs]
programs=api,mail
",
    )?;
    for name in ["web1", "web2", "jobs:api", "jobs:mail"] {
        host.daemon()?.wait_state(name, "RUNNING")?;
    }
    for (args, code, stdout) in [
        (&["stop", "web*"][..], 0, "web1: stopped\nweb2: stopped\n"),
        (
            &["start", "web?", "x*"],
            1,
            "web1: started\nweb2: started\nx*: ERROR (no such process)\n",
        ),
        (&["signal", "CONT", "*:api"], 0, "jobs:api: signalled\n"),
        (&["clear", "jobs:m*"], 0, "jobs:mail: cleared\n"),
        (&["stop", "jo*:*"], 0, ""),
        (
            &["tail", "w*"],
            1,
            "w*: ERROR (matches 2 processes: web1, web2; tail takes one)\n",
        ),
        (&["tail", "*1"], 0, "\n"),
        (&["remove", "j*s"], 0, "jobs: removed process group\n"),
        (&["add", "jo*"], 0, "jobs: added process group\n"),
    ] {
        let got = host.ctl(args)?;
        // The members of a group stop in any order.
        let is_same = stdout.is_empty() || got.stdout == stdout;
        expect(got.code == code && is_same, format!("{args:?}: {got:?}"))?;
    }
    let got = host.ctl(&["logs", "w*", "x*", "-o", "json"])?;
    expect(
        got.code == 1 && got.stderr == "x*: ERROR (no such process)\n",
        format!("{got:?}"),
    )?;
    let pids = parsed(&host.ctl(&["pid", "w*", "--json"])?)?;
    expect(
        pids["pids"].as_array().map_or(0, Vec::len) == 2,
        pids.to_string(),
    )?;
    // A bare asterisk and, without a terminal, `group:*` where Supervisor takes no group stay what they were.
    host.expect_ctl(&["stop", "*"], 1, &["*: ERROR (no such process)"])?;
    host.expect_ctl(&["pid", "jobs:*"], 1, &["No such process jobs:*"])?;
    expect_screen(
        &host,
        &["clear", "jobs:*"],
        0,
        &["jobs:api: cleared", "2 cleared"],
    )?;
    Ok(Outcome::Passed)
}

fn help() -> Result<Outcome, String> {
    let host = Host::new("")?;
    expect_screen(
        &host,
        &["help"],
        0,
        &["  stop            Stop processes and wait until they have exited"],
    )?;
    for args in [&["help", "stop"][..], &["stop", "-h"], &["stop", "--help"]] {
        expect_screen(
            &host,
            args,
            0,
            &[
                "stop all",
                "--with-dependents",
                "--json",
                "Exit status:",
                "  1    unknown process or group, or no name",
            ],
        )?;
        let piped = host.ctl(args)?;
        expect(!piped.stdout.contains("Exit status"), format!("{piped:?}"))?;
    }
    let mut command = host
        .marked
        .command(&program(Side::Ours, "supervisorctl")?, host.place.path());
    command.arg("--version");
    let got = run(command, host.place.path(), None, LIMIT)?;
    expect(
        got.code == 0 && got.stdout.starts_with("supervisorctl 5."),
        format!("{got:?}"),
    )?;
    expect_screen(&host, &["-h"], 0, &["--color WHEN", "--version"])?;
    Ok(Outcome::Passed)
}

fn shell() -> Result<Outcome, String> {
    let host = Host::start("[program:web]\ncommand=sleep 1000\nstartsecs=0\n")?;
    host.daemon()?.wait_state("web", "RUNNING")?;
    let mut terminal = Terminal::start(&host, &[])?;
    terminal.wait("supervisor> ")?;
    terminal.press("stop all\r")?;
    terminal.wait("Really stop all processes y/N? ")?;
    terminal.press("n\r")?;
    wait_for("the second prompt", LIMIT, || {
        terminal.screen().matches("supervisor> ").count() >= 2
    })?;
    terminal.press("stat\r")?;
    terminal.wait("did you mean status?")?;
    host.daemon()?.wait_state("web", "RUNNING")?;
    terminal.press("stop all\r")?;
    wait_for("the question again", LIMIT, || {
        terminal
            .screen()
            .matches("Really stop all processes")
            .count()
            >= 2
    })?;
    terminal.press("y\r")?;
    host.daemon()?.wait_state("web", "STOPPED")?;
    terminal.press("exit\r")?;
    terminal.end()?;
    // Input that is no terminal is not asked.
    let piped = host.ctl(&["start", "all"])?;
    expect(piped.stdout == "web: started\n", format!("{piped:?}"))?;
    Ok(Outcome::Passed)
}
