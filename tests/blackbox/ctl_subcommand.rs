//! `supervisord ctl`, the command line of Go's users, against our daemon. The tests have the ids of the checklist.

use nix::sys::signal::Signal;

use crate::host::{Host, free_port};
use crate::support::daemon::{Finished, Side, program, run};
use crate::support::runner::{Outcome, Trial};
use crate::support::{LIMIT, expect, wait_for};

/// The tests of this file.
pub(crate) fn tests() -> Vec<Trial> {
    vec![
        Trial::new("ctl_subcommand::g08_each_verb_equals_supervisorctl", same),
        Trial::new(
            "ctl_subcommand::g09_the_address_is_searched_in_order",
            address,
        ),
        Trial::new("ctl_subcommand::g10_status_shows_the_named_ones", status),
        Trial::new("ctl_subcommand::g11_start_stop_and_restart", states),
        Trial::new(
            "ctl_subcommand::g12_groups_start_and_stop_as_a_whole",
            groups,
        ),
        Trial::new("ctl_subcommand::g13_reload_applies_changes", reload),
        Trial::new("ctl_subcommand::g14_shutdown_ends_the_daemon", shutdown),
        Trial::new("ctl_subcommand::g15_a_signal_reaches_all_processes", signal),
        Trial::new("ctl_subcommand::g16_pid_prints_the_running_pid", pid),
        Trial::new(
            "ctl_subcommand::g17_fg_shows_output_and_sends_lines",
            foreground,
        ),
        Trial::new("ctl_subcommand::g18_logtail_prints_the_last_bytes", logtail),
        Trial::new(
            "ctl_subcommand::g69_mistakes_are_errors_and_change_nothing",
            mistakes,
        ),
    ]
}

const PROGRAMS: &str = "
[program:a]
command=sleep 1000
startsecs=0
[program:b]
command=sleep 1000
startsecs=0
[program:c]
command=sleep 1000
startsecs=0
autostart=false
[group:g]
programs=b,c
";

/// Runs `supervisord ctl` without other arguments.
fn bare(host: &Host, args: &[&str]) -> Result<Finished, String> {
    let binary = program(Side::Ours, "supervisord")?;
    let mut command = host.marked.command(&binary, host.place.path());
    command.args(args);
    run(command, host.place.path(), None, LIMIT)
}

/// Runs `supervisord ctl -c conf`.
fn ctl(host: &Host, args: &[&str]) -> Result<Finished, String> {
    bare(host, &[&["ctl", "-c", "conf"], args].concat())
}

/// Runs `supervisord ctl` and checks its output and exit status.
fn expect_ctl(host: &Host, args: &[&str], code: i32, stdout: &str) -> Result<(), String> {
    let got = ctl(host, args)?;
    let is_right = got.code == code && got.stdout == stdout && got.stderr.is_empty();
    expect(
        is_right,
        format!("ctl {args:?}: expected {code} and {stdout:?}, got {got:?}"),
    )
}

fn started() -> Result<Host, String> {
    let host = Host::start(PROGRAMS)?;
    host.daemon()?.wait_state("a", "RUNNING")?;
    host.daemon()?.wait_state("g:b", "RUNNING")?;
    Ok(host)
}

/// The uptime of a status line changes meanwhile.
fn without_uptime(text: &str) -> String {
    let lines = text
        .lines()
        .map(|line| line.split(", uptime").next().unwrap_or_default());
    lines.collect::<Vec<_>>().join("\n")
}

fn same() -> Result<Outcome, String> {
    let host = started()?;
    for line in [
        "status",
        "status nope",
        "status a nope",
        "pid",
        "pid a",
        "pid nope",
        "pid g:c",
        "start nope",
        "start",
        "start a",
        "start g:c",
        "stop g:c",
        "stop g:c",
        "stop nope",
        "restart nope",
        "restart g:b",
        "signal BOGUS a",
        "signal CONT a",
        "signal CONT nope",
        "signal",
        "fg nope",
        "fg g:c",
        "tail nope",
        "avail",
        "version",
        "nosuchaction",
        "start --nosuch a",
    ] {
        let words: Vec<&str> = line.split_whitespace().collect();
        // The first one restarts a process, the other one too.
        let (got, known) = (ctl(&host, &words)?, host.ctl(&words)?);
        let is_restart = line == "start g:c" || line == "stop g:c";
        let is_same = got.code == known.code
            && without_uptime(&got.stdout) == without_uptime(&known.stdout)
            && got.stderr == known.stderr;
        if is_restart {
            expect(got.code == 0, format!("{line}: {got:?}"))?;
            continue;
        }
        expect(
            is_same,
            format!("{line}: {got:?}, and supervisorctl: {known:?}"),
        )?;
        expect(
            !got.stdout.contains('\u{1b}'),
            format!("{line}: colours in a pipe: {got:?}"),
        )?;
    }
    Ok(Outcome::Passed)
}

fn address() -> Result<Outcome, String> {
    let port = free_port()?;
    let host = Host::new(&format!(
        "{PROGRAMS}[inet_http_server]\nport=127.0.0.1:{port}\nusername=u\npassword=p\n"
    ))?;
    let mut host = host;
    host.go()?;
    let url = format!("http://127.0.0.1:{port}");
    let socket = format!("unix://{}/s", host.place.text());
    let shows = |args: &[&str], code: i32, text: &str| {
        let got = bare(&host, args)?;
        let is_right = got.code == code && (got.stdout.clone() + &got.stderr).contains(text);
        expect(
            is_right,
            format!("{args:?}: expected {code} and {text:?}, got {got:?}"),
        )
    };
    // The file names a socket; the option wins over it.
    shows(&["ctl", "-c", "conf", "pid", "a"], 0, "\n")?;
    shows(&["-c", "conf", "ctl", "pid", "a"], 0, "\n")?;
    shows(&["--configuration=conf", "ctl", "pid", "a"], 0, "\n")?;
    host.place.write(
        "elsewhere",
        &format!(
            "[supervisorctl]\nserverurl=unix://{}/nosuch\n",
            host.place.text()
        ),
    )?;
    shows(&["ctl", "-c", "elsewhere", "pid", "a"], 7, "no such file")?;
    shows(
        &["ctl", "-c", "elsewhere", "-s", &socket, "pid", "a"],
        0,
        "\n",
    )?;
    shows(
        &["ctl", "-c", "elsewhere", "pid", "a", "-s", &socket],
        0,
        "\n",
    )?;
    // Over TCP the server wants a password.
    let login = ["-u", "u", "-P", "p"];
    shows(
        &[&["ctl", "-s", &url], &login[..], &["-v", "pid", "a"]].concat(),
        0,
        "\n",
    )?;
    shows(
        &[&["ctl", "-s", &url, "pid", "a"], &login[..]].concat(),
        0,
        "\n",
    )?;
    shows(
        &[
            "ctl",
            &format!("--serverurl={url}"),
            "--user=u",
            "--password=p",
            "pid",
            "a",
        ],
        0,
        "\n",
    )?;
    shows(
        &["ctl", "-s", &url, "-u", "u", "-P", "wrong", "pid", "a"],
        1,
        "",
    )?;
    // A file without [supervisorctl], as Go accepts it: the default address, where nobody listens or another daemon.
    host.place
        .write("only-programs", "[program:x]\ncommand=cat\n")?;
    let got = bare(
        &host,
        &["ctl", "-c", "only-programs", "pid", "no-such-program"],
    )?;
    expect(
        got.code != 0 && !got.stderr.contains("supervisorctl section"),
        format!("without a section: {got:?}"),
    )?;
    // A name search finds the file in the working directory.
    host.place
        .write("supervisord.conf", &host.place.read("conf"))?;
    shows(&["ctl", "pid", "a"], 0, "\n")?;
    Ok(Outcome::Passed)
}

fn status() -> Result<Outcome, String> {
    let host = started()?;
    let names = |args: &[&str], code: i32, expected: &[&str]| {
        let got = ctl(&host, args)?;
        let lines = got.stdout.lines();
        let names: Vec<&str> = lines
            .filter_map(|line| line.split_whitespace().next())
            .collect();
        expect(
            got.code == code && names == expected,
            format!("{args:?}: expected {code} and {expected:?}, got {got:?}"),
        )
    };
    names(&["status"], 3, &["a", "g:b", "g:c"])?;
    names(&["status", "a", "g:c"], 3, &["a", "g:c"])?;
    names(&["status", "a"], 0, &["a"])?;
    names(&["status", "g:*"], 3, &["g:b", "g:c"])?;
    names(&["status", "g:b"], 0, &["g:b"])?;
    for args in [&["-v", "status", "a"], &["status", "-v", "a"]] {
        let got = ctl(&host, args)?;
        expect(
            got.stdout.contains("\n    restarts: 0\n"),
            format!("{args:?}: {got:?}"),
        )?;
    }
    Ok(Outcome::Passed)
}

fn states() -> Result<Outcome, String> {
    let host = started()?;
    let daemon = host.daemon()?;
    expect_ctl(
        &host,
        &["stop", "a", "g:b"],
        0,
        "a: stopped\ng:b: stopped\n",
    )?;
    expect(
        daemon.state("a") == "STOPPED" && daemon.state("g:b") == "STOPPED",
        "not stopped",
    )?;
    expect_ctl(&host, &["start", "g:*"], 0, "g:b: started\ng:c: started\n")?;
    expect(daemon.state("a") == "STOPPED", "a was started too")?;
    let got = ctl(&host, &["start", "a", "nope"])?;
    expect(
        got.code == 1 && got.stdout == "a: started\nnope: ERROR (no such process)\n",
        format!("{got:?}"),
    )?;
    let before = daemon.pid_of("a");
    expect_ctl(&host, &["restart", "a"], 0, "a: stopped\na: started\n")?;
    expect(daemon.pid_of("a") != before, "not restarted")?;
    let got = ctl(&host, &["stop", "all"])?;
    expect(
        got.code == 0
            && ["a", "g:b", "g:c"]
                .iter()
                .all(|name| got.stdout.contains(&format!("{name}: stopped\n"))),
        format!("{got:?}"),
    )?;
    let got = ctl(&host, &["start", "all"])?;
    expect(
        got.code == 0 && got.stdout.matches(": started\n").count() == 3,
        format!("{got:?}"),
    )?;
    Ok(Outcome::Passed)
}

fn groups() -> Result<Outcome, String> {
    let host = started()?;
    let daemon = host.daemon()?;
    let pid = daemon.pid_of("a");
    let got = ctl(&host, &["stop-group", "g"])?;
    expect(
        got.code == 0 && got.stdout == "g:b: stopped\n",
        format!("stop-group: {got:?}"),
    )?;
    expect_ctl(
        &host,
        &["start-group", "g"],
        0,
        "g:b: started\ng:c: started\n",
    )?;
    expect(daemon.pid_of("a") == pid, "a changed")?;
    for verb in ["start-group", "stop-group"] {
        for (words, text) in [
            (vec![verb], "requires a group name"),
            (vec![verb, "nope"], "nope: ERROR (no such group)"),
            (vec![verb, "g:b"], "g:b: ERROR (no such group)"),
        ] {
            let got = ctl(&host, &words)?;
            expect(
                got.code != 0 && got.stdout.contains(text),
                format!("{words:?}: {got:?}"),
            )?;
        }
    }
    expect(
        daemon.state("g:b") == "RUNNING",
        "a mistake stopped a process",
    )?;
    Ok(Outcome::Passed)
}

fn reload() -> Result<Outcome, String> {
    let host = started()?;
    let daemon = host.daemon()?;
    expect_ctl(&host, &["reload"], 0, "")?;
    expect_ctl(&host, &["stop", "a"], 0, "a: stopped\n")?;
    let kept = daemon.pid_of("g:b");
    host.configure(&format!(
        "{PROGRAMS}[program:new]\ncommand=sleep 1000\n[program:other]\ncommand=sleep 1000\n[program:late]\ncommand=sleep 1\n"
    ))?;
    expect_ctl(&host, &["reload"], 0, "Added Groups: late,new,other\n")?;
    host.configure(&format!(
        "{PROGRAMS}[program:new]\ncommand=sleep 2000\n[program:x]\ncommand=sleep 1000\n"
    ))?;
    expect_ctl(
        &host,
        &["reload"],
        0,
        "Added Groups: x\nChanged Groups: new\nRemoved Groups: late,other\n",
    )?;
    expect(
        daemon.state("a") == "STOPPED",
        "a program stopped by hand runs again",
    )?;
    expect(
        daemon.pid_of("g:b") == kept,
        "an unchanged program was restarted",
    )?;
    host.configure("[program:x]\nnonsense\n")?;
    // The client would refuse this file too, so it does not read it.
    let socket = format!("unix://{}/s", host.place.text());
    let got = bare(&host, &["ctl", "-s", &socket, "reload"])?;
    expect(
        got.code == 1 && got.stdout.contains("CANT_REREAD"),
        format!("a bad file: {got:?}"),
    )?;
    expect(daemon.pid_of("g:b") == kept, "a bad file changed something")?;
    // `restart` of the daemon itself is the meaning that supervisorctl has.
    let generation = daemon.pid();
    host.configure(PROGRAMS)?;
    let got = ctl(&host, &["reload"])?;
    expect(
        got.code == 0 && got.stdout == "Removed Groups: new,x\n" && daemon.pid() == generation,
        format!("{got:?}"),
    )?;
    Ok(Outcome::Passed)
}

fn shutdown() -> Result<Outcome, String> {
    let mut host = started()?;
    expect_ctl(&host, &["shutdown"], 0, "Shut down\n")?;
    let daemon = host.daemon.as_mut().ok_or("not started")?;
    let code = daemon.wait_exit(LIMIT)?;
    expect(code == 0, format!("the daemon exited with {code}"))?;
    let got = ctl(&host, &["shutdown"])?;
    expect(got.code != 0, format!("no daemon: {got:?}"))?;
    Ok(Outcome::Passed)
}

const TRAPS: &str = "
[program:t]
command=/bin/sh -c 'trap \"echo got USR1\" USR1; echo ready; while :; do sleep 0.05; done'
stdout_logfile={dir}/%(program_name)s_%(process_num)d.out
process_name=%(program_name)s_%(process_num)d
numprocs=2
startsecs=0
";

fn signal() -> Result<Outcome, String> {
    let host = Host::start(TRAPS)?;
    let daemon = host.daemon()?;
    for file in ["t_0.out", "t_1.out"] {
        host.wait_file(file, "ready")?;
    }
    let pids = [daemon.pid_of("t:t_0"), daemon.pid_of("t:t_1")];
    expect_ctl(
        &host,
        &["signal", "USR1", "all"],
        0,
        "t:t_0: signalled\nt:t_1: signalled\n",
    )?;
    for file in ["t_0.out", "t_1.out"] {
        host.wait_file(file, "got USR1")?;
    }
    for name in ["BOGUS", "", "TERMX", "-1", "999"] {
        for target in ["t:t_0", "t:*", "all"] {
            let got = ctl(&host, &["signal", name, target])?;
            expect(
                got.code != 0 && !got.stdout.contains("signalled"),
                format!("signal {name} {target}: {got:?}"),
            )?;
        }
    }
    expect(
        [daemon.pid_of("t:t_0"), daemon.pid_of("t:t_1")] == pids,
        "an unknown signal ended a process",
    )?;
    Ok(Outcome::Passed)
}

fn pid() -> Result<Outcome, String> {
    let host = started()?;
    let pid = host.daemon()?.pid_of("a");
    expect_ctl(&host, &["pid", "a"], 0, &format!("{pid}\n"))?;
    expect_ctl(&host, &["pid", "g:c"], 7, "0\n")?;
    expect_ctl(&host, &["pid"], 0, &format!("{}\n", host.daemon()?.pid()))?;
    expect_ctl(&host, &["pid", "nope"], 1, "No such process nope\n")?;
    Ok(Outcome::Passed)
}

fn foreground() -> Result<Outcome, String> {
    let host = Host::start(
        "[program:cat]\ncommand=/bin/sh -c 'echo on stderr >&2; exec cat'\nstartsecs=0\n\
         stdout_logfile={dir}/cat.out\nstderr_logfile={dir}/cat.err\n",
    )?;
    host.wait_file("cat.err", "on stderr")?;
    let binary = program(Side::Ours, "supervisord")?;
    let mut command = host.marked.command(&binary, host.place.path());
    let (out, input) = (host.place.join("fg.out"), host.place.join("fg.in"));
    nix::unistd::mkfifo(&input, nix::sys::stat::Mode::S_IRWXU).map_err(|e| e.to_string())?;
    let text = |error: std::io::Error| error.to_string();
    // Opened for both, so that neither side waits for the other one.
    let pipe = std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open(&input)
        .map_err(text)?;
    command
        .args(["ctl", "-c", "conf", "fg", "cat"])
        .stdin(pipe.try_clone().map_err(text)?)
        .stdout(std::fs::File::create(&out).map_err(text)?)
        .stderr(std::process::Stdio::null());
    let mut child = command.spawn().map_err(text)?;
    let sent = host.wait_file("fg.out", "on stderr").and_then(|()| {
        std::io::Write::write_all(&mut &pipe, b"a line\n").map_err(text)?;
        // Its program has it, and the client shows what the program answers.
        host.wait_file("cat.out", "a line")?;
        host.wait_file("fg.out", "a line")
    });
    let pid = nix::unistd::Pid::from_raw(i32::try_from(child.id()).map_err(|e| e.to_string())?);
    let _ = nix::sys::signal::kill(pid, Signal::SIGINT);
    let ended = crate::support::daemon::wait_exit(&mut child, LIMIT);
    sent?;
    let status = ended?;
    expect(status.success(), format!("an interrupt: {status}"))?;
    expect(
        host.daemon()?.state("cat") == "RUNNING",
        "the program ended with the client",
    )?;
    Ok(Outcome::Passed)
}

fn logtail() -> Result<Outcome, String> {
    let host = Host::start(
        "[program:p]\ncommand=/bin/sh -c 'seq 1 4000; seq 5001 9000 >&2; exec sleep 1000'\nstartsecs=0\n\
         stdout_logfile={dir}/p.out\nstderr_logfile={dir}/p.err\n",
    )?;
    host.wait_file("p.out", "\n4000\n")?;
    host.wait_file("p.err", "\n9000\n")?;
    for (args, file) in [
        (&["logtail", "p"][..], "p.out"),
        (&["logtail", "-t", "stdout", "p"], "p.out"),
        (&["logtail", "-t", "stderr", "p"], "p.err"),
        (&["logtail", "p", "-tstderr"], "p.err"),
    ] {
        let text = host.place.read(file);
        let last = &text[text.len() - 10240..];
        expect_ctl(&host, args, 0, &format!("{last}\n"))?;
    }
    for args in [
        &["logtail"][..],
        &["logtail", "-t", "both", "p"],
        &["logtail", "p", "p"],
    ] {
        let got = ctl(&host, args)?;
        expect(got.code == 2, format!("{args:?}: {got:?}"))?;
    }
    expect_ctl(
        &host,
        &["logtail", "nope"],
        1,
        "nope: ERROR (no such process name)\n",
    )?;
    Ok(Outcome::Passed)
}

fn mistakes() -> Result<Outcome, String> {
    let host = started()?;
    let daemon = host.daemon()?;
    let pids = [daemon.pid_of("a"), daemon.pid_of("g:b")];
    for (line, code) in [
        ("status nope", 4),
        ("start nope", 1),
        ("stop nope", 1),
        ("restart nope", 1),
        ("pid nope", 1),
        ("logtail nope", 1),
        ("fg nope", 1),
        ("signal HUP nope", 1),
        ("signal BOGUS a", 1),
        ("signal BOGUS all", 1),
        ("start-group nope", 2),
        ("stop-group nope", 1),
        ("start", 2),
        ("stop", 1),
        ("nosuch", 1),
        ("exit", 1),
        ("help nosuch", 1),
    ] {
        let words: Vec<&str> = line.split_whitespace().collect();
        let got = ctl(&host, &words)?;
        expect(
            got.code == code,
            format!("{line}: expected {code}, got {got:?}"),
        )?;
        for claim in [
            ": started",
            ": stopped",
            "Succeed",
            "signalled\n",
            ": restarted",
        ] {
            expect(
                !got.stdout.contains(claim),
                format!("{line} claims success: {got:?}"),
            )?;
        }
    }
    // A program that cannot start is no success of `start all`.
    host.configure(&format!(
        "{PROGRAMS}[program:gone]\ncommand=/nosuch/program\n"
    ))?;
    expect_ctl(&host, &["reload"], 0, "Added Groups: gone\n")?;
    wait_for("gone gives up", LIMIT, || {
        matches!(daemon.state("gone").as_str(), "BACKOFF" | "FATAL")
    })?;
    let got = ctl(&host, &["start", "all"])?;
    expect(
        !got.stdout.contains("gone: started") && !got.stdout.contains("gone: restarted"),
        format!("{got:?}"),
    )?;
    let got = ctl(&host, &["restart", "gone"])?;
    expect(
        got.code != 0 && got.stdout.contains("gone: ERROR"),
        format!("{got:?}"),
    )?;
    expect(
        [daemon.pid_of("a"), daemon.pid_of("g:b")] == pids,
        "a mistake changed a process",
    )?;
    // Mistakes of the command line itself.
    for args in [
        &["ctl"][..],
        &["ctl", "-c", "conf"],
        &["ctl", "-x", "status"],
        &["ctl", "-s", "nonsense", "status"],
        &["ctl", "-s"],
    ] {
        let got = bare(&host, args)?;
        expect(
            got.code == 2 && !got.stderr.is_empty(),
            format!("{args:?}: {got:?}"),
        )?;
    }
    let got = bare(&host, &["ctl", "-h"])?;
    expect(
        got.code == 0 && got.stdout.contains("start-group"),
        format!("{got:?}"),
    )?;
    for words in [&["help", "logtail"][..], &["logtail", "-h"]] {
        let got = ctl(&host, words)?;
        expect(
            got.code == 0 && got.stdout.contains("10240 bytes"),
            format!("{got:?}"),
        )?;
    }
    Ok(Outcome::Passed)
}
