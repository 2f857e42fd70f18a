//! `supervisorctl logs`, and what dead instances wrote last to standard error.

use std::fs::File;
use std::io::Read as _;
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::host::{Host, free_port};
use crate::support::daemon::{Daemon, Side, oracle, program, wait_exit};
use crate::support::runner::{Outcome, Trial};
use crate::support::wire::{Address, Value};
use crate::support::{LIMIT, expect, wait_for};

/// The tests of this file.
pub(crate) fn tests() -> Vec<Trial> {
    vec![
        Trial::new("logs::the_ends_of_many_logs_are_shown", history),
        Trial::new("logs::lines_with_times_are_merged_and_selected", times),
        Trial::new("logs::many_logs_are_followed_over_unix_and_tcp", follow),
        Trial::new(
            "logs::following_goes_on_over_upgrades_and_rotations",
            followed_over_upgrades,
        ),
        Trial::new(
            "logs::a_stopped_terminal_loses_lines_and_knows_how_many",
            terminal,
        ),
        Trial::new("logs::the_original_daemon_can_be_followed", original),
        Trial::new("logs::t08_dead_instances_leave_their_last_stderr", dead),
        Trial::new("logs::the_last_stderr_survives_an_upgrade", upgrade),
    ]
}

const WEB: &str = "
[program:web]
command=/bin/sh -c 'seq 1 30; echo an error >&2; while read line; do echo $line; done; exec sleep 1000'
process_name=web_%(process_num)d
numprocs=2
startsecs=0
stdout_logfile={dir}/%(process_num)d.out
stderr_logfile={dir}/%(process_num)d.err
[program:quiet]
command=sleep 1000
startsecs=0
";

fn text_of(text: &str) -> Value {
    Value::Text(text.to_owned())
}

fn started(more: &str) -> Result<Host, String> {
    let host = Host::start(&format!("{WEB}{more}"))?;
    for file in ["0.err", "1.err"] {
        host.wait_file(file, "an error")?;
    }
    Ok(host)
}

fn history() -> Result<Outcome, String> {
    let host = started("")?;
    host.expect_ctl(
        &["logs", "-n", "2", "web:*"],
        0,
        &[
            "web:web_0        | 29\nweb:web_0        | 30\nweb:web_0 stderr | an error\nweb:web_1        | 29\n",
            "web:web_1        | 30\nweb:web_1 stderr | an error\n",
        ],
    )?;
    let got = host.ctl(&["logs", "web"])?;
    expect(
        got.code == 0 && got.stdout.lines().count() == 22 && !got.stdout.contains('\u{1b}'),
        format!("{got:?}"),
    )?;
    let got = host.ctl(&["logs", "--grep", "^2.$|an error", "-n3", "web:web_0"])?;
    expect(
        got.code == 0
            && got.stdout
                == "web:web_0        | 27\nweb:web_0        | 28\nweb:web_0        | 29\nweb:web_0 stderr | an error\n",
        format!("{got:?}"),
    )?;
    let got = host.ctl(&["logs", "--json", "-n", "1", "--grep=an error", "all"])?;
    let json = "{\"schema\":1,\"group\":\"web\",\"name\":\"web_0\",\"namespec\":\"web:web_0\",\"stream\":\"stderr\",\"line\":\"an error\"}\n";
    expect(
        got.code == 0 && got.stdout.starts_with(json) && got.stdout.lines().count() == 2,
        format!("{got:?}"),
    )?;
    // A log that is longer than the first part that is read.
    let long: String = (0..40_000)
        .map(|number| format!("line {number:06}\n"))
        .collect();
    host.place.write("0.out", &long)?;
    let got = host.ctl(&["logs", "-n", "30000", "web:web_0"])?;
    expect(
        got.code == 0
            && got.stdout.starts_with("web:web_0        | line 010000\n")
            && got.stdout.contains("| line 039999\n"),
        format!("{} lines", got.stdout.lines().count()),
    )?;
    let got = host.ctl(&["logs", "--grep", "line 000007", "web:web_0"])?;
    expect(
        got.stdout == "web:web_0        | line 000007\n",
        format!("{got:?}"),
    )?;
    for (args, code, text) in [
        (&["logs"][..], 2, "requires a process name"),
        (&["logs", "--grep", "(", "web"], 2, "bad pattern"),
        (&["logs", "-x", "web"], 2, "no option -x"),
        (&["logs", "-n", "many", "web"], 2, "number of lines"),
        (
            &["logs", "nope", "quiet"],
            1,
            "nope: ERROR (no such process)",
        ),
        // A log without times cannot be selected by time.
        (&["logs", "--since", "10m", "web:web_0"], 1, ""),
    ] {
        let got = host.ctl(args)?;
        expect(
            got.code == code && got.stdout.contains(text),
            format!("{args:?}: {got:?}"),
        )?;
    }
    let got = host.ctl(&["logs", "--since", "10m", "web:web_0"])?;
    expect(
        got.stdout.is_empty() && got.stderr.contains("the lines of the log have no time"),
        format!("{got:?}"),
    )?;
    Ok(Outcome::Passed)
}

fn times() -> Result<Outcome, String> {
    let host = started("")?;
    let now = std::time::SystemTime::now();
    let now = now
        .duration_since(std::time::UNIX_EPOCH)
        .map_err(|e| e.to_string())?
        .as_secs();
    let date = |ago: u64| {
        let args = [
            "-u",
            "-d",
            &format!("@{}", now - ago),
            "+%Y-%m-%dT%H:%M:%SZ",
        ]
        .map(str::to_owned);
        let text = std::process::Command::new("date")
            .args(args)
            .output()
            .map_err(|e| e.to_string())?;
        Ok::<_, String>(String::from_utf8_lossy(&text.stdout).trim().to_owned())
    };
    let (old, middle, new) = (date(7200)?, date(300)?, date(60)?);
    host.place
        .write("0.out", &format!("{old} a\n{new} d\n  more of d\n"))?;
    host.place.write("0.err", &format!("{middle} b\n"))?;
    host.place.write("1.out", &format!("{middle} c\n"))?;
    host.place.write("1.err", "")?;
    let shown = |args: &[&str], expected: &[&str]| {
        let got = host.ctl(args)?;
        let last = |line: &str| {
            line.rsplit(['Z', '|'])
                .next()
                .unwrap_or_default()
                .trim()
                .to_owned()
        };
        let lines: Vec<String> = got.stdout.lines().map(last).collect();
        expect(
            got.code == 0 && lines == expected,
            format!("{args:?}: {got:?}"),
        )
    };
    shown(&["logs", "web"], &["a", "b", "c", "d", "more of d"])?;
    shown(
        &["logs", "--since", "10m", "web"],
        &["b", "c", "d", "more of d"],
    )?;
    shown(&["logs", "--since", "2m", "web"], &["d", "more of d"])?;
    shown(
        &["logs", "--since", "1d", "-n", "1", "web"],
        &["b", "c", "more of d"],
    )?;
    Ok(Outcome::Passed)
}

/// A client that follows, with its output in a file.
struct Following {
    child: Child,
    name: &'static str,
}

impl Following {
    fn start(host: &Host, name: &'static str, args: &[&str]) -> Result<Self, String> {
        let mut command = host
            .marked
            .command(&program(Side::Ours, "supervisorctl")?, host.place.path());
        let file = File::create(host.place.join(name)).map_err(|e| e.to_string())?;
        let errors = file.try_clone().map_err(|e| e.to_string())?;
        command
            .args(args)
            .stdin(Stdio::null())
            .stdout(file)
            .stderr(errors);
        let child = command.spawn().map_err(|e| e.to_string())?;
        Ok(Self { child, name })
    }

    /// Interrupts the client and returns its output.
    fn interrupt(mut self, host: &Host) -> Result<(i32, String), String> {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).map_err(|e| e.to_string())?);
        kill(pid, Signal::SIGINT).map_err(|e| e.to_string())?;
        let status = wait_exit(&mut self.child, LIMIT)?;
        Ok((status.code().unwrap_or(-1), host.place.read(self.name)))
    }
}

fn follow() -> Result<Outcome, String> {
    let port = free_port()?;
    let host = started(&format!(
        "[inet_http_server]\nport=127.0.0.1:{port}\nusername=u\npassword=p\n"
    ))?;
    let url = format!("http://127.0.0.1:{port}");
    let names = [
        "logs",
        "-f",
        "-n",
        "1",
        "--grep",
        "^(?:[23]|an|say)",
        "web",
        "quiet",
    ];
    let unix = Following::start(&host, "unix", &[&["-c", "conf"], &names[..]].concat())?;
    let login = ["-s", &url, "-u", "u", "-p", "p"];
    let tcp = Following::start(&host, "tcp", &[&login[..], &names].concat())?;
    for name in ["unix", "tcp"] {
        host.wait_file(name, "web:web_1 stderr | an error\n")?;
    }
    for (process, text) in [
        ("web:web_1", "say one\n"),
        ("web:web_0", "say two\nnothing\n"),
    ] {
        let daemon = host.daemon()?;
        let params = [text_of(process), text_of(text)];
        daemon
            .call("supervisor.sendProcessStdin", &params)
            .map_err(|e| e.to_string())?;
        for name in ["unix", "tcp"] {
            let line = text.lines().next().unwrap_or_default();
            host.wait_file(name, &format!("{process}        | {line}\n"))?;
        }
    }
    for client in [unix, tcp] {
        let (code, text) = client.interrupt(&host)?;
        let one = text.find("say one").unwrap_or(usize::MAX);
        let is_right = code == 0
            && text.starts_with("web:web_0        | 30\nweb:web_0 stderr | an error\n")
            && one < text.find("say two").unwrap_or(0)
            && text.matches("say one").count() == 1
            && !text.contains("nothing");
        expect(is_right, format!("{code}: {text}"))?;
    }
    // The daemon ends, and so does the client.
    let mut last = Following::start(&host, "last", &["-c", "conf", "logs", "-f", "web"])?;
    host.wait_file("last", "an error\n")?;
    host.expect_ctl(&["shutdown"], 0, &["Shut down"])?;
    let status = wait_exit(&mut last.child, LIMIT)?;
    expect(status.code() == Some(1), format!("{status}"))?;
    host.wait_file("last", "the server closed the connection")?;
    Ok(Outcome::Passed)
}

/// Each line comes once although the daemon is upgraded several times and the log is rotated all the time.
fn followed_over_upgrades() -> Result<Outcome, String> {
    let host = Host::start(
        "[program:a]\ncommand={test_child} tell {dir}/stop 500 forever\nstartsecs=0\nstdout_logfile={dir}/a.out\n\
         stdout_logfile_maxbytes=20KB\nstdout_logfile_backups=50\nstderr_logfile=NONE\n",
    )?;
    let client = Following::start(
        &host,
        "followed",
        &["-c", "conf", "logs", "-f", "-n", "100000", "a"],
    )?;
    let shown = || -> Vec<u64> {
        let text = host.place.read("followed");
        let numbers = text
            .lines()
            .filter_map(|line| line.strip_prefix("a        | "));
        numbers.filter_map(|number| number.parse().ok()).collect()
    };
    let more = |count: usize| {
        let at = shown().len();
        wait_for("more lines", LIMIT, || shown().len() >= at + count)
            .map_err(|why| format!("{why}; {:?}", host.place.read("followed").lines().last()))
    };
    more(100)?;
    for _ in 0..3 {
        host.expect_ctl(&["upgrade"], 0, &["Upgraded supervisord"])?;
        more(2500)?;
    }
    host.place.write("stop", "")?;
    host.wait_file("followed", "a        | end\n")?;
    let (code, text) = client.interrupt(&host)?;
    expect(code == 0, format!("{code}"))?;
    for pair in shown().windows(2) {
        expect(pair[1] == pair[0] + 1, format!("{pair:?}"))?;
    }
    let told = "the connection to the server was lost: following goes on where it stopped";
    expect(text.contains(told), "nothing tells of the upgrades")?;
    Ok(Outcome::Passed)
}

fn terminal() -> Result<Outcome, String> {
    let host = Host::start(
        "[program:flood]\ncommand=/bin/sh -c 'echo ready; read go; seq 1000000 1400000; exec sleep 1000'\n\
         startsecs=0\nstdout_logfile={dir}/flood.out\nstdout_logfile_maxbytes=0\n",
    )?;
    let text = |error: std::io::Error| error.to_string();
    let terminal = nix::pty::openpty(None, None).map_err(|e| e.to_string())?;
    let end = || terminal.slave.try_clone().map_err(text);
    let binary = program(Side::Ours, "supervisorctl")?;
    let mut command = host.marked.command(&binary, host.place.path());
    command.args(["-c", "conf", "logs", "-f", "flood"]);
    command.stdin(end()?).stdout(end()?).stderr(end()?);
    let mut child = command.spawn().map_err(text)?;
    drop(command);
    drop(terminal.slave);
    let mut screen = File::from(terminal.master);
    let mut first = String::new();
    let mut piece = [0; 4096];
    // Everything after this line, which is history, is followed.
    while !first.contains("ready") {
        let count = screen.read(&mut piece).map_err(text)?;
        first.push_str(&String::from_utf8_lossy(&piece[..count]));
    }
    let params = [text_of("flood"), text_of("go\n")];
    host.daemon()?
        .call("supervisor.sendProcessStdin", &params)
        .map_err(|e| e.to_string())?;
    // The test reads the terminal only after the daemon has sent everything. The client must read from the daemon meanwhile.
    host.wait_file("flood.out", "\n1400000\n")?;
    let shown = Arc::new(Mutex::new(first));
    let read = Arc::clone(&shown);
    // The thread ends with the client, which has the other end of the terminal.
    std::thread::spawn(move || {
        let mut piece = [0; 65536];
        while let Ok(count @ 1..) = screen.read(&mut piece) {
            let text = String::from_utf8_lossy(&piece[..count]);
            read.lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push_str(&text);
        }
    });
    // How many lines were lost depends on the speed of this machine; each one is counted.
    let count = |line: &str| -> Option<u64> {
        line.strip_prefix("==> ")?
            .split_once(" line")?
            .0
            .parse()
            .ok()
    };
    let all = wait_for("each line is shown or counted", LIMIT, || {
        let shown = shown.lock().unwrap_or_else(PoisonError::into_inner);
        let dropped: u64 = shown.lines().filter_map(count).sum();
        let lines = shown
            .lines()
            .filter(|line| line.contains("flood        | "))
            .count() as u64;
        dropped > 0 && lines + dropped == 400_002
    });
    let pid = Pid::from_raw(i32::try_from(child.id()).map_err(|e| e.to_string())?);
    kill(pid, Signal::SIGINT).map_err(|e| e.to_string())?;
    let status = wait_exit(&mut child, LIMIT)?;
    let shown = shown.lock().unwrap_or_else(PoisonError::into_inner);
    let end = &shown[shown.len().saturating_sub(300)..];
    all.map_err(|why| format!("{why}: {end:?}"))?;
    expect(status.success(), format!("{status}"))?;
    expect(
        shown.contains("\u{1b}[36mflood"),
        "no colours on a terminal",
    )?;
    Ok(Outcome::Passed)
}

fn original() -> Result<Outcome, String> {
    let Some(venv) = oracle() else {
        return Ok(Outcome::Skipped("SUPERVISOR_ORACLE is not set".to_owned()));
    };
    let host = Host::new(WEB)?;
    let mut command = host
        .marked
        .command(&venv.join("bin/supervisord"), host.place.path());
    command.args(["-n", "-c", "conf"]);
    let address = Address::Unix(host.place.join("s"));
    let mut daemon = Daemon::spawn(command, host.place.path(), address)?;
    daemon.wait_ready(LIMIT)?;
    host.wait_file("1.err", "an error")?;
    host.wait_file("0.err", "an error")?;
    host.expect_ctl(
        &["logs", "-n", "2", "web"],
        0,
        &["web:web_0        | 29\nweb:web_0        | 30\nweb:web_0 stderr | an error\n"],
    )?;
    let client = Following::start(&host, "followed", &["-c", "conf", "logs", "-f", "web"])?;
    host.wait_file("followed", "web:web_1        | 30\n")?;
    host.wait_file("followed", "-n and --since have no effect")?;
    let params = [text_of("web:web_1"), text_of("hello\n")];
    daemon
        .call("supervisor.sendProcessStdin", &params)
        .map_err(|e| e.to_string())?;
    host.wait_file("followed", "web:web_1        | hello\n")?;
    let (code, text) = client.interrupt(&host)?;
    expect(code == 0, format!("{code}: {text}"))?;
    Ok(Outcome::Passed)
}

fn dead() -> Result<Outcome, String> {
    let host = Host::start(
        "[program:bad]\ncommand=/bin/sh -c 'echo fine; printf \"no \\033[1mport\\n\\n\" >&2; exit 3'\nstartretries=1\n\
         [program:common]\ncommand=/bin/sh -c 'seq 1 3000; echo both; echo the reason >&2; exit 4'\nredirect_stderr=true\n\
         startsecs=0\nautorestart=false\n\
         [program:quiet]\ncommand=true\nstartsecs=0\nautorestart=false\n",
    )?;
    let daemon = host.daemon()?;
    daemon.wait_state("bad", "FATAL")?;
    daemon.wait_state("common", "EXITED")?;
    daemon.wait_state("quiet", "EXITED")?;
    let got = host.ctl(&["status", "-v", "bad", "common", "quiet"])?;
    let has = |text: &str| expect(got.stdout.contains(text), format!("{text:?}: {got:?}"));
    has("    restarts: 1\n    last exit: exit status 3, too early")?;
    has("    last error: Exited too quickly")?;
    has("    last stderr, of pid ")?;
    has(" (exit status 3, ")?;
    has("      no \u{fffd}[1mport\n")?;
    has("      2999\n      3000\n      both\n      the reason\n")?;
    expect(
        !got.stdout.contains("fine") && got.stdout.matches("last stderr").count() == 2,
        format!("{got:?}"),
    )?;
    expect(
        !got.stdout.contains("      2990\n"),
        format!("more than ten lines: {got:?}"),
    )?;
    let got = host.ctl(&["status", "-v", "--json", "bad"])?;
    expect(
        got.stdout
            .matches("\"text\":\"no \u{fffd}[1mport\\n\\n\"")
            .count()
            == 2
            || got.stdout.matches("\"exit\":\"exit status 3\"").count() == 2,
        format!("{got:?}"),
    )?;
    let log = host.place.read("log");
    expect(
        log.contains("gave up: bad entered FATAL state")
            && log.contains("bad: last line of standard error: no \\u{1b}[1mport\n"),
        log,
    )?;
    // The end is 4 KiB.
    let answer = daemon.call(
        "supervisord.getLastStderr",
        &[text_of("common"), Value::Int(0)],
    );
    let answer = format!("{:?}", answer.map_err(|e| e.to_string())?);
    expect(
        answer.len() < 6000 && answer.contains("the reason"),
        format!("{} bytes", answer.len()),
    )?;
    Ok(Outcome::Passed)
}

fn upgrade() -> Result<Outcome, String> {
    let host = Host::start(
        "[program:bad]\ncommand=/bin/sh -c 'echo the reason >&2; exit 3'\nstartsecs=0\nautorestart=false\n\
         [program:later]\ncommand=/bin/sh -c 'echo before >&2; read line; exit 5'\nstartsecs=0\nautorestart=false\n\
         stderr_logfile={dir}/later.err\n",
    )?;
    let daemon = host.daemon()?;
    daemon.wait_state("bad", "EXITED")?;
    host.wait_file("later.err", "before")?;
    host.expect_ctl(&["upgrade"], 0, &[])?;
    host.expect_ctl(&["status", "-v", "bad"], 3, &["      the reason\n"])?;
    // What a running instance wrote before the upgrade counts too.
    let params = [text_of("later"), text_of("go\n")];
    daemon
        .call("supervisor.sendProcessStdin", &params)
        .map_err(|e| e.to_string())?;
    daemon.wait_state("later", "EXITED")?;
    wait_for("the end of stderr", LIMIT, || {
        host.ctl(&["status", "-v", "later"])
            .is_ok_and(|got| got.stdout.contains("      before\n"))
    })?;
    Ok(Outcome::Passed)
}
