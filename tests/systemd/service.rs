//! The shipped unit files, and one that people wrote for Supervisor.

use crate::support::machine::{Machine, trial};
use crate::support::runner::Trial;
use crate::support::{LIMIT, expect, wait_for};

/// The tests of this file.
pub(crate) fn tests() -> Vec<Trial> {
    type Test = fn(&Machine) -> Result<(), String>;
    let list: &[(&str, Test)] = &[
        ("the_unit_files_are_valid", verified),
        (
            "an_enabled_service_is_active_with_a_current_status",
            enabled,
        ),
        (
            "a_stop_is_in_order_and_extends_its_timeout",
            stopped_in_order,
        ),
        ("a_stuck_daemon_is_killed_and_restarted", watched),
        ("the_first_client_starts_the_daemon", activated),
        ("reload_applies_changes", reloaded),
        (
            "a_restart_of_the_daemon_in_place_is_a_reload",
            restarted_in_place,
        ),
        ("start_waits_with_ready_when_running", started_when_running),
        (
            "a_wrong_configuration_is_reported_and_a_fix_is_enough",
            wrong,
        ),
        ("u02_the_classic_unit_works", classic),
    ];
    list.iter()
        .map(|&(name, test)| trial(format!("service::{name}"), test))
        .collect()
}

pub(crate) const UNIT: &str = "supervisord.service";

const HEAD: &str = "\
[unix_http_server]
file=/run/supervisor/supervisor.sock
[supervisord]
logfile=/var/log/supervisord.log
pidfile=/run/supervisord.pid
childlogdir=/tmp
user=root
{keys}
[rpcinterface:supervisor]
supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface
[supervisorctl]
serverurl=unix:///run/supervisor/supervisor.sock
";

/// The machine as after an installation, with nothing started and this configuration.
pub(crate) fn install(machine: &Machine, keys: &str, programs: &str) -> Result<(), String> {
    machine.sh(
        "for unit in supervisord.socket supervisord.service classic.service; do
             systemctl disable --now $unit 2>/dev/null || true
         done
         rm -rf /etc/systemd/system/supervisord.* /etc/systemd/system/classic.* /tmp/order
         systemctl reset-failed",
    )?;
    for (path, text) in [
        (
            "/etc/systemd/system/supervisord.service",
            include_str!("../../systemd/supervisord.service"),
        ),
        (
            "/etc/systemd/system/supervisord.socket",
            include_str!("../../systemd/supervisord.socket"),
        ),
        (
            "/etc/sysusers.d/supervisord.conf",
            include_str!("../../packaging/supervisord.sysusers"),
        ),
        (
            "/etc/tmpfiles.d/supervisord.conf",
            include_str!("../../packaging/supervisord.tmpfiles"),
        ),
    ] {
        machine.write(path, text)?;
    }
    configure(machine, keys, programs)?;
    machine
        .sh("systemd-sysusers; systemd-tmpfiles --create supervisord.conf; systemctl daemon-reload")
        .map(drop)
}

pub(crate) fn configure(machine: &Machine, keys: &str, programs: &str) -> Result<(), String> {
    let text = HEAD.replace("{keys}", keys) + programs;
    machine.write("/etc/supervisor/supervisord.conf", &text)
}

/// Overrides settings of the unit.
pub(crate) fn drop_in(machine: &Machine, lines: &str) -> Result<(), String> {
    machine.write(
        "/etc/systemd/system/supervisord.service.d/test.conf",
        &format!("[Service]\n{lines}\n"),
    )?;
    machine.sh("systemctl daemon-reload").map(drop)
}

pub(crate) fn ctl(machine: &Machine, arguments: &str) -> Result<String, String> {
    machine.ctl(arguments)
}

pub(crate) fn pid_of(machine: &Machine, name: &str) -> Result<String, String> {
    Ok(ctl(machine, &format!("pid {name}"))?.trim().to_owned())
}

pub(crate) const SLEEPER: &str = "[program:web]\ncommand=/bin/sleep infinity\nstartsecs=0\n";

fn verified(machine: &Machine) -> Result<(), String> {
    install(machine, "", SLEEPER)?;
    let done = machine.run(&[
        "systemd-analyze",
        "verify",
        // The manual pages are not installed there.
        "--man=no",
        "/etc/systemd/system/supervisord.service",
        "/etc/systemd/system/supervisord.socket",
    ])?;
    expect(
        done.code == 0 && done.stdout.is_empty() && done.stderr.is_empty(),
        format!("{done:?}"),
    )
}

fn enabled(machine: &Machine) -> Result<(), String> {
    let programs = format!(
        "{SLEEPER}[program:job]\ncommand=/bin/sleep infinity\nstartsecs=0\n\
         [program:db]\ncommand=/no/such/program\nstartretries=100000\n"
    );
    install(machine, "", &programs)?;
    machine.sh("systemctl enable --now supervisord")?;
    expect(
        machine.property(UNIT, "ActiveState")? == "active",
        machine.story(UNIT),
    )?;
    machine.wait_property(UNIT, "StatusText", "2/3 running, backoff: db")?;
    ctl(machine, "stop job db")?;
    machine.wait_property(UNIT, "StatusText", "1/3 running")?;
    // Programs run with the same namespaces as without us.
    let pid = pid_of(machine, "web")?;
    let environment = machine.sh(&format!("tr '\\0' '\\n' < /proc/{pid}/environ"))?;
    for name in [
        "NOTIFY_SOCKET",
        "WATCHDOG_",
        "LISTEN_",
        "JOURNAL_STREAM",
        "INVOCATION_ID",
        "SYSTEMD_EXEC_PID",
        "FDSTORE",
    ] {
        expect(
            !environment.contains(name),
            format!("{name} in {environment}"),
        )?;
    }
    let limits = machine.sh(&format!("grep 'open files' /proc/{pid}/limits"))?;
    expect(
        limits.split_whitespace().nth(3) == Some("1024"),
        format!("limits of a program: {limits}"),
    )?;
    let own = machine.property(UNIT, "MainPID")?;
    expect(
        machine.sh("cat /run/supervisord.pid")?.trim() == own,
        "another main process",
    )?;
    machine.sh("systemctl disable --now supervisord")?;
    expect(
        machine.property(UNIT, "Result")? == "success",
        machine.story(UNIT),
    )?;
    expect(
        machine.run(&["test", "-e", &format!("/proc/{pid}")])?.code != 0,
        "a program is left",
    )
}

/// Prints a line when it is asked to stop, and takes three seconds to stop.
fn slow(name: &str, priority: u32) -> String {
    format!(
        "[program:{name}]\ncommand=/bin/sh -c 'trap \"echo {name} >> /tmp/order; sleep 3; echo {name} >> /tmp/order; exit 0\" TERM; \
         while :; do sleep 0.1; done'\nstartsecs=0\nstopwaitsecs=20\npriority={priority}\n"
    )
}

fn stopped_in_order(machine: &Machine) -> Result<(), String> {
    install(machine, "", &(slow("first", 1) + &slow("second", 2)))?;
    // Less time than either of them needs.
    drop_in(machine, "TimeoutStopSec=2")?;
    machine.sh("systemctl start supervisord")?;
    machine.wait_property(UNIT, "StatusText", "2/2 running")?;
    machine.sh("systemctl stop supervisord")?;
    let result = machine.property(UNIT, "Result")?;
    expect(
        result == "success",
        format!("{result}: {}", machine.story(UNIT)),
    )?;
    let order = machine.sh("cat /tmp/order")?;
    expect(
        order
            .split_whitespace()
            .eq(["second", "second", "first", "first"]),
        format!("stopped in this order: {order:?}"),
    )
}

fn watched(machine: &Machine) -> Result<(), String> {
    install(machine, "", SLEEPER)?;
    drop_in(machine, "WatchdogSec=2")?;
    machine.sh("systemctl start supervisord")?;
    machine.wait_property(UNIT, "StatusText", "1/1 running")?;
    // Longer than the watchdog timeout.
    let begun = std::time::Instant::now();
    wait_for("five seconds", LIMIT, || begun.elapsed().as_secs() >= 5)?;
    expect(
        machine.property(UNIT, "NRestarts")? == "0",
        machine.story(UNIT),
    )?;
    let (daemon, program) = (machine.property(UNIT, "MainPID")?, pid_of(machine, "web")?);
    machine.sh(&format!("kill -STOP {daemon}"))?;
    machine.wait_property(UNIT, "NRestarts", "1")?;
    machine.wait_property(UNIT, "ActiveState", "active")?;
    machine.wait_property(UNIT, "StatusText", "1/1 running")?;
    expect(
        machine.property(UNIT, "MainPID")? != daemon,
        "the same daemon",
    )?;
    expect(pid_of(machine, "web")? == program, "another program")?;
    machine.sh("systemctl stop supervisord").map(drop)
}

fn activated(machine: &Machine) -> Result<(), String> {
    install(machine, "", SLEEPER)?;
    machine.sh("systemctl enable --now supervisord.socket")?;
    expect(
        machine.property(UNIT, "ActiveState")? == "inactive",
        "started too early",
    )?;
    let socket = || machine.sh("stat -c '%i %a %U:%G' /run/supervisor/supervisor.sock");
    let before = socket()?;
    expect(before.ends_with(" 660 root:supervisor\n"), before.clone())?;
    for _ in 0..2 {
        let status = ctl(machine, "status")?;
        expect(
            status.starts_with("web "),
            format!("{status:?} {}", machine.story(UNIT)),
        )?;
        machine.wait_property(UNIT, "ActiveState", "active")?;
        ctl(machine, "reload")?;
        machine.wait_property(UNIT, "StatusText", "1/1 running")?;
        expect(socket()? == before, "another socket after a reload")?;
        machine.sh("systemctl stop supervisord.service 2>/dev/null")?;
        expect(socket()? == before, "another socket after a stop")?;
    }
    let log = machine.sh("cat /var/log/supervisord.log")?;
    expect(!log.contains("passed by systemd"), log)?;
    machine
        .sh("systemctl disable --now supervisord.socket")
        .map(drop)
}

fn reloaded(machine: &Machine) -> Result<(), String> {
    install(machine, "", SLEEPER)?;
    machine.sh("systemctl start supervisord")?;
    let (daemon, web) = (machine.property(UNIT, "MainPID")?, pid_of(machine, "web")?);
    let more = "[program:more]\ncommand=/bin/sleep infinity\nstartsecs=0\n";
    configure(machine, "", &format!("{SLEEPER}{more}"))?;
    machine.sh("systemctl reload supervisord")?;
    expect(
        machine.property(UNIT, "ActiveState")? == "active",
        machine.story(UNIT),
    )?;
    machine.wait_property(UNIT, "StatusText", "2/2 running")?;
    expect(
        pid_of(machine, "web")? == web,
        "what was not changed was restarted",
    )?;
    expect(
        machine.property(UNIT, "MainPID")? == daemon,
        "another daemon",
    )?;
    configure(machine, "loglevel=loud", SLEEPER)?;
    let done = machine.run(&["systemctl", "reload", "supervisord"])?;
    expect(
        done.code != 0,
        format!("a wrong file is no error: {done:?}"),
    )?;
    machine.wait_property(UNIT, "ActiveState", "active")?;
    configure(machine, "", SLEEPER)?;
    expect(
        pid_of(machine, "web")? == web,
        "a wrong file changed something",
    )?;
    machine.sh("systemctl stop supervisord").map(drop)
}

fn restarted_in_place(machine: &Machine) -> Result<(), String> {
    install(machine, "", &slow("slow", 1))?;
    machine.sh("systemctl start supervisord")?;
    let daemon = machine.property(UNIT, "MainPID")?;
    ctl(machine, "reload")?;
    machine.wait_property(UNIT, "ActiveState", "reloading")?;
    machine.wait_property(UNIT, "StatusText", "restarting, 1 still to stop: slow")?;
    machine.wait_property(UNIT, "ActiveState", "active")?;
    machine.wait_property(UNIT, "StatusText", "1/1 running")?;
    expect(
        machine.property(UNIT, "MainPID")? == daemon,
        "another daemon",
    )?;
    machine.sh("systemctl stop supervisord").map(drop)
}

fn started_when_running(machine: &Machine) -> Result<(), String> {
    let programs = "[program:web]\ncommand=/bin/sleep infinity\nstartsecs=4\n";
    install(machine, "ready_when=running", programs)?;
    // Less than the program needs.
    drop_in(machine, "TimeoutStartSec=2")?;
    machine.sh("systemctl start supervisord")?;
    let status = ctl(machine, "status web")?;
    expect(
        status.contains("RUNNING"),
        format!("{status} {}", machine.story(UNIT)),
    )?;
    machine.sh("systemctl stop supervisord").map(drop)
}

fn wrong(machine: &Machine) -> Result<(), String> {
    install(machine, "loglevel=loud", SLEEPER)?;
    let done = machine.run(&["systemctl", "start", "supervisord"])?;
    expect(done.code != 0, format!("{done:?}"))?;
    let story = machine.story(UNIT);
    expect(story.contains("bad logging level name"), story)?;
    configure(machine, "", SLEEPER)?;
    machine.wait_property(UNIT, "ActiveState", "active")?;
    machine.wait_property(UNIT, "StatusText", "1/1 running")?;
    // After a stop request it stays down.
    ctl(machine, "shutdown")?;
    machine.wait_property(UNIT, "ActiveState", "inactive")?;
    expect(
        machine.property(UNIT, "Result")? == "success",
        machine.story(UNIT),
    )
}

/// As in many tutorials.
const CLASSIC: &str = "\
[Unit]
Description=Supervisor Daemon

[Service]
User=tester
Group=tester
Type=forking
ExecStart=/usr/bin/supervisord -c /home/tester/supervisord.conf
ExecStop=/usr/bin/supervisorctl -c /home/tester/supervisord.conf shutdown
ExecReload=/usr/bin/supervisorctl -c /home/tester/supervisord.conf reload
KillMode=process
Restart=on-failure
RestartSec=1s

[Install]
WantedBy=multi-user.target
";

fn classic(machine: &Machine) -> Result<(), String> {
    const UNIT: &str = "classic.service";
    install(machine, "", "")?;
    let config = HEAD
        .replace("/run/supervisor/", "/home/tester/")
        .replace("/var/log/", "/home/tester/")
        .replace("/run/", "/home/tester/")
        .replace("user=root\n{keys}", "");
    machine.write(
        "/home/tester/supervisord.conf",
        &(config + &slow("slow", 1)),
    )?;
    machine.write("/etc/systemd/system/classic.service", CLASSIC)?;
    machine.sh("chown -R tester:tester /home/tester && systemctl daemon-reload && systemctl enable --now classic")?;
    expect(
        machine.property(UNIT, "ActiveState")? == "active",
        machine.story(UNIT),
    )?;
    let daemon = machine
        .sh("cat /home/tester/supervisord.pid")?
        .trim()
        .to_owned();
    expect(
        machine.property(UNIT, "MainPID")? == daemon,
        format!(
            "systemd takes another process for the daemon: {}",
            machine.story(UNIT)
        ),
    )?;
    let ctl = "supervisorctl -c /home/tester/supervisord.conf";
    let program = machine.sh(&format!("{ctl} pid slow"))?.trim().to_owned();
    machine.sh("systemctl reload classic")?;
    wait_for("the program of the next round", LIMIT, || {
        let found = machine.sh(&format!("{ctl} pid slow"));
        found.is_ok_and(|now| {
            now.trim().parse().is_ok_and(|pid: i32| pid > 0) && now.trim() != program
        })
    })?;
    expect(
        machine.property(UNIT, "MainPID")? == daemon,
        machine.story(UNIT),
    )?;
    let program = machine.sh(&format!("{ctl} pid slow"))?.trim().to_owned();
    machine.sh("rm -f /tmp/order; systemctl stop classic")?;
    machine.wait_property(UNIT, "ActiveState", "inactive")?;
    let result = machine.property(UNIT, "Result")?;
    expect(
        result == "success",
        format!("{result}: {}", machine.story(UNIT)),
    )?;
    let order = machine.sh("cat /tmp/order")?;
    expect(
        order.split_whitespace().eq(["slow", "slow"]),
        format!("not stopped in peace: {order:?}"),
    )?;
    expect(
        machine
            .run(&["test", "-e", &format!("/proc/{program}")])?
            .code
            != 0,
        "a program is left",
    )
}
