//! An upgrade of the daemon under systemd, which must see only a reload.

use crate::service::{SLEEPER, UNIT, ctl, drop_in, install, pid_of};
use crate::support::machine::{Machine, trial};
use crate::support::runner::Trial;
use crate::support::{LIMIT, expect, wait_for};

/// The tests of this file.
pub(crate) fn tests() -> Vec<Trial> {
    type Test = fn(&Machine) -> Result<(), String>;
    let list: &[(&str, Test)] = &[
        ("no_program_is_restarted", in_place),
        ("an_upgrade_does_not_wait_for_starting_programs", ready),
        ("passed_sockets_are_kept", sockets),
        ("journal_lines_appear_once", journal),
        ("a_new_daemon_that_dies_is_a_crash", crash),
    ];
    list.iter()
        .map(|&(name, test)| trial(format!("upgrade::{name}"), test))
        .collect()
}

fn upgrade(machine: &Machine) -> Result<(), String> {
    let said = ctl(machine, "upgrade")?;
    expect(
        said.starts_with("Upgraded supervisord, now "),
        format!("{said:?} {}", machine.story(UNIT)),
    )
}

fn in_place(machine: &Machine) -> Result<(), String> {
    let more = "[program:more]\ncommand=/bin/sleep infinity\nstartsecs=0\n";
    install(machine, "", &format!("{SLEEPER}{more}"))?;
    drop_in(machine, "WatchdogSec=2")?;
    machine.sh("systemctl start supervisord")?;
    machine.wait_property(UNIT, "StatusText", "2/2 running")?;
    let (daemon, web) = (machine.property(UNIT, "MainPID")?, pid_of(machine, "web")?);
    let begun = std::time::Instant::now();
    for _ in 0..5 {
        upgrade(machine)?;
        machine.wait_property(UNIT, "ActiveState", "active")?;
        machine.wait_property(UNIT, "StatusText", "2/2 running")?;
    }
    // Longer than the watchdog timeout, also after the last upgrade.
    let after = begun.elapsed().as_secs();
    wait_for("five seconds", LIMIT, || {
        begun.elapsed().as_secs() >= after + 5
    })?;
    expect(
        machine.property(UNIT, "MainPID")? == daemon && machine.property(UNIT, "NRestarts")? == "0",
        machine.story(UNIT),
    )?;
    expect(pid_of(machine, "web")? == web, "another program")?;
    let story = machine.story(UNIT);
    expect(!story.to_lowercase().contains("watchdog"), story)?;
    // It reloads and stops as before.
    machine.sh("systemctl reload supervisord")?;
    machine.sh("systemctl stop supervisord")?;
    expect(
        machine.property(UNIT, "Result")? == "success",
        machine.story(UNIT),
    )?;
    let left = machine.run(&["test", "-e", &format!("/proc/{web}")])?.code;
    expect(left != 0, "a program is left")
}

/// A daemon that was ready is ready again, even if a program starts that takes long.
fn ready(machine: &Machine) -> Result<(), String> {
    let slow = "[program:slow]\ncommand=/bin/sleep infinity\nstartsecs=1\n";
    install(machine, "ready_when=running", slow)?;
    machine.sh("systemctl start supervisord")?;
    machine.wait_property(UNIT, "ActiveState", "active")?;
    let longer = slow.replace("startsecs=1", "startsecs=3600");
    crate::service::configure(machine, "ready_when=running", &longer)?;
    ctl(machine, "update")?;
    let state = ctl(machine, "status slow")?;
    expect(state.contains("STARTING"), state)?;
    upgrade(machine)?;
    machine.wait_property(UNIT, "ActiveState", "active")?;
    machine.sh("systemctl stop supervisord").map(drop)
}

fn sockets(machine: &Machine) -> Result<(), String> {
    install(machine, "", SLEEPER)?;
    machine.sh("systemctl enable --now supervisord.socket")?;
    let socket = || machine.sh("stat -c '%i %a %U:%G' /run/supervisor/supervisor.sock");
    let before = socket()?;
    for _ in 0..2 {
        let status = ctl(machine, "status")?;
        expect(
            status.starts_with("web "),
            format!("{status:?} {}", machine.story(UNIT)),
        )?;
        upgrade(machine)?;
        upgrade(machine)?;
        expect(socket()? == before, "another socket after an upgrade")?;
        ctl(machine, "reload")?;
        machine.wait_property(UNIT, "StatusText", "1/1 running")?;
        upgrade(machine)?;
        machine.sh("systemctl stop supervisord.service 2>/dev/null")?;
        expect(socket()? == before, "another socket after a stop")?;
    }
    let log = machine.sh("cat /var/log/supervisord.log")?;
    expect(!log.contains("passed by systemd"), log)?;
    machine
        .sh("systemctl disable --now supervisord.socket")
        .map(drop)
}

/// Numbers in pieces that end anywhere, so that an incomplete line waits at each moment.
const NUMBERS: &str = "#!/bin/sh\nn=0\nwhile [ ! -e /tmp/up-stop ]; do printf 'number '; echo $n; n=$((n+1)); sleep 0.002; done\n\
                       echo number end; exec sleep infinity\n";

fn journal(machine: &Machine) -> Result<(), String> {
    machine.write("/usr/local/bin/up-numbers", NUMBERS)?;
    machine.sh("chmod 755 /usr/local/bin/up-numbers; rm -f /tmp/up-stop")?;
    install(
        machine,
        "",
        "[program:up-numbers]\ncommand=/usr/local/bin/up-numbers\nstartsecs=0\nstdout_logfile=journal\n",
    )?;
    machine.sh("systemctl start supervisord")?;
    machine.wait_property(UNIT, "StatusText", "1/1 running")?;
    for _ in 0..10 {
        upgrade(machine)?;
    }
    machine.sh("touch /tmp/up-stop")?;
    let mut text = String::new();
    wait_for("the last line", LIMIT, || {
        text = machine
            .sh("journalctl -q --no-pager -o cat SUPERVISOR_PROCESS=up-numbers SUPERVISOR_STREAM=stdout")
            .unwrap_or_default();
        text.contains("number end")
    })?;
    for (count, line) in text.lines().enumerate() {
        let is_next = line == format!("number {count}") || line == "number end";
        expect(is_next, format!("{line:?} where {count} should be"))?;
    }
    machine.sh("systemctl stop supervisord").map(drop)
}

/// systemd starts a next image that agrees and then exits again, as after any crash.
fn crash(machine: &Machine) -> Result<(), String> {
    install(machine, "", SLEEPER)?;
    machine.sh(
        "mkdir -p /usr/local/lib/up && cp -L /usr/bin/supervisord /usr/local/lib/up/supervisord",
    )?;
    let exec =
        machine.sh("sed -n 's/^ExecStart=[^ ]*//p' /etc/systemd/system/supervisord.service")?;
    drop_in(
        machine,
        &format!(
            "ExecStart=\nExecStart=/usr/local/lib/up/supervisord{}",
            exec.trim_end()
        ),
    )?;
    machine.sh("systemctl start supervisord")?;
    machine.wait_property(UNIT, "StatusText", "1/1 running")?;
    // The false binary replaces itself, so systemd then starts the real daemon.
    machine.write(
        "/usr/local/lib/up/liar",
        "#!/bin/sh\n[ \"$1\" = --approve-handover ] && echo agreed && exit 0\n\
         mv /usr/local/lib/up/good /usr/local/lib/up/supervisord\nexit 3\n",
    )?;
    machine.sh(
        "cd /usr/local/lib/up && chmod 755 liar && cp supervisord good && mv liar supervisord",
    )?;
    let done = machine.run(&[
        "supervisorctl",
        "-c",
        "/etc/supervisor/supervisord.conf",
        "upgrade",
    ])?;
    expect(
        done.code == 1 && done.stdout.starts_with("upgrade: ERROR ("),
        format!("{done:?}"),
    )?;
    machine.wait_property(UNIT, "NRestarts", "1")?;
    machine.wait_property(UNIT, "ActiveState", "active")?;
    machine.wait_property(UNIT, "StatusText", "1/1 running")?;
    upgrade(machine)?;
    machine
        .sh("systemctl stop supervisord; rm -r /usr/local/lib/up")
        .map(drop)
}
