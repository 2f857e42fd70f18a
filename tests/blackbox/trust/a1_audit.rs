//! A user without permission cannot write arbitrary text into the log, nor an unlimited amount.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::sys::signal::Signal;

use super::users::{Nobody, open, reachable};
use crate::host::Host;
use crate::support::runner::{Outcome, Trial};
use crate::support::temp_dir::TempDir;
use crate::support::wire::Value;
use crate::support::{LIMIT, expect, is_root, wait_for};

type Result<T = ()> = std::result::Result<T, String>;

/// The tests of this file.
pub(crate) fn tests() -> Vec<Trial> {
    type Test = fn() -> Result;
    let list: &[(&str, &[&str], Test)] = &[
        (
            "names_over_xml_rpc_are_escaped_and_bounded",
            &[],
            names_over_xml_rpc,
        ),
        ("refusals_are_bounded_for_each_user", &[], bounded),
        ("malformed_requests_are_one_escaped_line", &[], garbage),
        ("client_log_messages_are_escaped_and_bounded", &[], said),
        (
            "names_over_d_bus_are_escaped_and_bounded",
            &["dbus-daemon", "busctl"],
            names_over_d_bus,
        ),
    ];
    list.iter()
        .map(|&(name, tools, run)| {
            Trial::new(format!("trust::a1_{name}"), move || {
                if !is_root() {
                    let why = "needs root, to be several users";
                    return Ok(Outcome::Skipped(why.to_owned()));
                }
                let path = std::env::var_os("PATH").unwrap_or_default();
                let is_there = |tool: &&&str| {
                    !std::env::split_paths(&path).any(|directory| directory.join(tool).exists())
                };
                match tools.iter().find(is_there) {
                    Some(tool) => Ok(Outcome::Skipped(format!("{tool} is not installed"))),
                    None => run().map(|()| Outcome::Passed),
                }
            })
        })
        .collect()
}

const PROGRAMS: &str = "\
[program:web]
command={test_child} forever
startsecs=0
";

/// Characters that mislead a reader or a terminal.
fn is_deceptive(c: char) -> bool {
    c.is_control()
        || "\u{2028}\u{2029}\u{61c}\u{200e}\u{200f}".contains(c)
        || ('\u{202a}'..='\u{202e}').contains(&c)
        || ('\u{2066}'..='\u{2069}').contains(&c)
}

/// Every line of the log is the daemon's own: it begins with the time, is short, and contains no misleading characters.
fn is_clean(host: &Host) -> Result {
    let log = host.place.read("log");
    for line in log.split('\n').filter(|line| !line.is_empty()) {
        let is_ours = line.starts_with("20") && line.as_bytes().get(4) == Some(&b'-');
        expect(
            is_ours && line.len() < 1000 && !line.contains(is_deceptive),
            format!("{:?}", line.chars().take(300).collect::<String>()),
        )?;
    }
    Ok(())
}

/// The audit lines of this UID, from the verb on.
fn audit(host: &Host, front: &str, uid: u32) -> Vec<String> {
    let begin = format!(" INFO audit: {front} uid={uid} pid=");
    let log = host.place.read("log");
    let lines = log.lines().filter_map(|line| {
        let (_, rest) = line.split_once(&begin)?;
        let rest = rest.split(' ').skip(1);
        let rest: Vec<&str> = rest.skip_while(|word| word.starts_with("name=:")).collect();
        Some(rest.join(" "))
    });
    lines.collect()
}

const FORGED: &str = "x\n2026-01-01 00:00:00,000 INFO audit: unix uid=0 pid=1 shutdown : accepted";

fn names_over_xml_rpc() -> Result {
    let nobody = Nobody::find()?;
    let host = reachable(&format!(
        "[unix_http_server]\nallow=nobody control status on web\n{PROGRAMS}"
    ))?;
    host.daemon()?.wait_state("web", "RUNNING")?;
    let long = "x".repeat(900_000);
    let mut expected = Vec::new();
    for (name, shown) in [
        (
            FORGED,
            "x\\u{a}2026-01-01\\u{20}00:00:00,000\\u{20}INFO\\u{20}audit:",
        ),
        ("a\u{9b}31m", "a\\u{9b}31m"),
        ("a\u{2028}b\u{202e}c", "a\\u{2028}b\\u{202e}c"),
        ("a\u{2066}b\u{200f}", "a\\u{2066}b\\u{200f}"),
        (&long, &long[..197]),
        (&long[..256], &long[..197]),
    ] {
        let answer = nobody.call(&host, "supervisor.stopProcess", &[name])?;
        expect(
            answer.contains("<string>BAD_NAME: ") && answer.len() < 1000,
            answer.chars().take(500).collect::<String>(),
        )?;
        expected.push(format!("stop {shown}"));
    }
    let found = audit(&host, "unix", nobody.uid);
    expect(found.len() == expected.len(), format!("{found:#?}"))?;
    for (found, expected) in found.iter().zip(&expected) {
        expect(
            found.starts_with(expected.as_str()) && found.ends_with(": BAD_NAME"),
            format!("{found:?} is not {expected:?}"),
        )?;
    }
    is_clean(&host)?;
    // Refused and accepted calls have the same form: the verb, the target, and the fault's name.
    for (method, name, line) in [
        ("supervisor.stopProcess", "web", "stop web: accepted"),
        ("supervisor.stopProcess", "web", "stop web: NOT_RUNNING"),
        ("supervisor.stopProcess", "nosuch", "stop nosuch: BAD_NAME"),
        ("supervisor.startProcess", "web:*", "start web:*: accepted"),
        (
            "supervisor.startProcess",
            "nosuch:*",
            "start nosuch:*: BAD_NAME",
        ),
        (
            "supervisor.addProcessGroup",
            "web",
            "add web: FAILED: permission denied: user ",
        ),
    ] {
        nobody.call(&host, method, &[name])?;
        let found = audit(&host, "unix", nobody.uid);
        let last = found.last().ok_or("no audit line")?;
        expect(last.starts_with(line), format!("{last:?} is not {line:?}"))?;
    }
    let size = host.place.read("log").len();
    println!("{size} bytes of log");
    expect(size < 20_000, format!("{size} bytes of log"))
}

fn bounded() -> Result {
    const CALLS: u32 = 2000;
    let nobody = Nobody::find()?;
    let mut host = reachable(&format!(
        "[unix_http_server]\nallow=nobody status\n{PROGRAMS}"
    ))?;
    let body = super::users::call("supervisor.stopProcess", &["web"]);
    let answers = nobody.post(&host, body.as_bytes(), CALLS)?;
    let refused = answers.matches("FAILED: permission denied").count();
    expect(refused == CALLS as usize, format!("{refused} refused"))?;
    // No line of another user is missing.
    let daemon = host.daemon.as_mut().ok_or("a daemon")?;
    drop(daemon.call(
        "supervisor.stopProcess",
        &[Value::Text("nosuch".to_owned())],
    ));
    daemon.signal(Signal::SIGTERM);
    daemon.wait_exit(LIMIT)?;
    let found = audit(&host, "unix", nobody.uid);
    expect(
        !found.is_empty() && found.len() < 100,
        format!("{} lines", found.len()),
    )?;
    expect(
        audit(&host, "unix", 0) == ["stop nosuch: BAD_NAME"],
        "root's own line",
    )?;
    // A line counts the lines that were left out, once per window and at the end.
    let log = host.place.read("log");
    let end = format!(" more refusals from uid {}", nobody.uid);
    let told: Vec<usize> = log
        .lines()
        .filter_map(|line| line.strip_suffix(&end)?.rsplit(' ').next()?.parse().ok())
        .collect();
    println!("{} lines and {told:?} suppressed", found.len());
    let sum: usize = told.iter().sum();
    expect(sum + found.len() == CALLS as usize, format!("{told:?}"))
}

fn garbage() -> Result {
    const CALLS: u32 = 500;
    let nobody = Nobody::find()?;
    let mut host = reachable(&format!(
        "[unix_http_server]\nallow=nobody status\n{PROGRAMS}"
    ))?;
    let body = format!("{FORGED}\u{9b}\u{202e}{}", "y".repeat(10_000));
    let answers = nobody.post(&host, body.as_bytes(), CALLS)?;
    expect(
        answers.matches("400 Bad Request").count() == CALLS as usize,
        answers,
    )?;
    let daemon = host.daemon.as_mut().ok_or("a daemon")?;
    daemon.signal(Signal::SIGTERM);
    daemon.wait_exit(LIMIT)?;
    is_clean(&host)?;
    let log = host.place.read("log");
    let found = log
        .matches(" ERRO XML-RPC request data 'x\\n2026-01-01")
        .count();
    expect(found > 0 && found < 100, log.clone())?;
    expect(
        log.contains(&format!(" more refusals from uid {}", nobody.uid)),
        log.clone(),
    )
}

fn said() -> Result {
    let host = Host::start(&format!(
        "[rpcinterface:twiddler]\nsupervisor.rpcinterface_factory=supervisor_twiddler.rpcinterface:make_twiddler_rpcinterface\n{PROGRAMS}"
    ))?;
    let text = format!("{FORGED}\u{2028}\u{202e}{}", "y".repeat(100_000));
    let daemon = host.daemon()?;
    daemon
        .call("twiddler.log", &[Value::Text(text)])
        .map_err(|error| error.to_string())?;
    host.wait_file(
        "log",
        " INFO x\\n2026-01-01 00:00:00,000 INFO audit: unix uid=0",
    )?;
    is_clean(&host)
}

/// A bus that admits everybody, like the system bus. There is no polkit, which means no.
struct Bus {
    daemon: Child,
    place: TempDir,
}

impl Bus {
    fn start() -> Result<Self> {
        let place = TempDir::new()?;
        open(place.path(), 0o755)?;
        place.write(
            "bus.conf",
            &format!(
                "<!DOCTYPE busconfig PUBLIC \"-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN\" \
                 \"http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd\">\n\
                 <busconfig><type>custom</type><listen>unix:path={}/bus</listen><auth>EXTERNAL</auth>\
                 <policy context=\"default\"><allow user=\"*\"/><allow own=\"*\"/>\
                 <allow send_destination=\"*\"/><allow receive_sender=\"*\"/></policy></busconfig>\n",
                place.text()
            ),
        )?;
        let daemon = Command::new("dbus-daemon")
            .arg(format!(
                "--config-file={}",
                place.join("bus.conf").display()
            ))
            .args(["--nofork", "--nopidfile"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| error.to_string())?;
        let bus = Self { daemon, place };
        wait_for("the bus listens", LIMIT, || {
            std::os::unix::net::UnixStream::connect(bus.place.join("bus")).is_ok()
        })?;
        open(&bus.place.join("bus"), 0o666)?;
        Ok(bus)
    }

    fn address(&self) -> String {
        format!("unix:path={}/bus", self.place.text())
    }

    /// A method call of the Manager by nobody, or by root. Returns the output.
    fn call(&self, user: Option<&Nobody>, arguments: &[&str]) -> Result<String> {
        let mut command = Command::new("busctl");
        if let Some(nobody) = user {
            nobody.becomes(&mut command);
        }
        let done = command
            .arg(format!("--address={}", self.address()))
            .arg("call")
            .arg("org.supervisord.Supervisor1")
            .arg("/org/supervisord/Supervisor1")
            .arg("org.supervisord.Supervisor1.Manager")
            .args(arguments)
            .output()
            .map_err(|error| error.to_string())?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ok(text(&done.stdout) + &text(&done.stderr))
    }
}

impl Drop for Bus {
    fn drop(&mut self) {
        let _ = self.daemon.kill();
        let _ = self.daemon.wait();
    }
}

fn names_over_d_bus() -> Result {
    let nobody = Nobody::find()?;
    let bus = Bus::start()?;
    let mut host = Host::new(&format!("[supervisord]\ndbus=system\n{PROGRAMS}"))?;
    let address = bus.address();
    host.go_with(|command| {
        command.env("DBUS_SYSTEM_BUS_ADDRESS", address);
    })?;
    host.wait_file("log", " INFO connected to the system D-Bus as ")?;
    let before = host.place.read("log").len();
    // The longest possible argument of a command.
    let long = "x".repeat(120_000);
    for name in [FORGED, "a\u{9b}31m", &long, &long[..256]] {
        let said = bus.call(Some(&nobody), &["StopProcess", "sb", name, "true"])?;
        // The daemon did not ask polkit, which would answer no.
        expect(
            said.contains("BAD_NAME: ") && said.len() < 1000,
            said.chars().take(500).collect::<String>(),
        )?;
    }
    for _ in 0..10 {
        let arguments = ["RollingRestart", "asu", "2", &long, &long[1..], "1"];
        bus.call(Some(&nobody), &arguments)?;
        bus.call(Some(&nobody), &["Update", "as", "1", &long])?;
        bus.call(Some(&nobody), &["SignalProcess", "ss", "web", &long])?;
    }
    is_clean(&host)?;
    let size = host.place.read("log").len() - before;
    println!("{size} bytes of log");
    expect(size < 20_000, format!("{size} bytes of log"))?;
    let found = audit(&host, "dbus", nobody.uid);
    expect(
        found.iter().all(|line| line.contains(": BAD_")),
        format!("{found:#?}"),
    )?;
    // Refused and accepted calls have the same form.
    wait_for(
        "the user may have lines again",
        Duration::from_secs(60),
        || {
            // The call is refused. busctl does not show the text of the error.
            let _ = bus.call(Some(&nobody), &["StopProcess", "sb", "web", "true"]);
            let found = audit(&host, "dbus", nobody.uid);
            let last = found.last();
            last.is_some_and(|line| line.starts_with("stop web: FAILED: permission denied"))
        },
    )
    .map_err(|why| format!("{why}\n{}", host.log_end()))?;
    bus.call(None, &["StopProcess", "sb", "web", "true"])?;
    expect(
        audit(&host, "dbus", 0) == ["stop web: accepted"],
        host.log_end(),
    )
}
