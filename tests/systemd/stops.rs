//! Which command stops what: programs survive every restart of the daemon, and no stop of it.

use std::collections::BTreeMap;
use std::path::Path;

use crate::outages::{SCOPE, kill, log, logged, pids, returned, same, start};
use crate::service::{SLEEPER, UNIT, ctl, drop_in};
use crate::support::machine::{Machine, trial, trial_alone};
use crate::support::runner::Trial;
use crate::support::{LIMIT, expect, wait_for};

/// The tests of this file.
pub(crate) fn tests() -> Vec<Trial> {
    type Test = fn(&Machine) -> Result<(), String>;
    let list: &[(&str, Test)] = &[
        ("a_restart_of_a_required_unit_restarts_the_service", through),
        ("a_failed_service_is_stopped", failed),
        ("a_daemon_that_ignores_stop_signals_is_stopped", deaf),
        ("a_stop_overtakes_a_restart", overtaken),
        ("adopted_programs_are_stopped_in_order", in_order),
        ("a_stop_works_after_the_service_manager_re_executed", anew),
        ("a_stopped_scope_is_created_again", made_again),
        ("instances_do_not_affect_each_other", instances),
    ];
    let mut tests: Vec<Trial> = list
        .iter()
        .map(|&(name, test)| trial(format!("stops::{name}"), test))
        .collect();
    tests.push(trial_alone(
        "stops::a_machine_shutdown_stops_programs_in_order",
        powered_off,
    ));
    tests
}

/// Two programs.
const TWO: &str = "[program:web]\ncommand=/bin/sleep infinity\nstartsecs=0\n\
                   [program:other]\ncommand=/bin/sh -c 'while :; do sleep 0.05; done'\nstartsecs=0\n";

/// No process of ours remains.
fn gone(machine: &Machine, before: &BTreeMap<String, String>) -> Result<(), String> {
    machine.wait_property(SCOPE, "ActiveState", "inactive")?;
    for (name, pid) in before {
        let left = machine.run(&["test", "-e", &format!("/proc/{pid}")])?.code;
        expect(
            left != 0,
            format!("{name} is left: {}", machine.story(UNIT)),
        )?;
    }
    expect(
        machine.property(UNIT, "MainPID")? == "0"
            && machine.property(UNIT, "NFileDescriptorStore")? == "0",
        machine.story(UNIT),
    )
}

/// The service manager stops everything at once, and waits while the daemon stops its programs one after another. The
/// programs were started by a daemon that was killed.
fn powered_off(machine: &Machine, shared: &Path) -> Result<(), String> {
    let programs: String = [("a", 1), ("b", 2), ("c", 3)]
        .map(|(name, priority)| {
            format!(
                "[program:{name}]\npriority={priority}\nstartsecs=0\ncommand=/bin/sh -c 'trap \"echo {name} begins \
                 >>/shared/order; sleep 0.5; echo {name} ends >>/shared/order; exit 5\" TERM; while :; do sleep 0.05; done'\n"
            )
        })
        .concat();
    let log = "ExecStart=\nExecStart=/usr/bin/supervisord -n -l /shared/log -c /etc/supervisor/supervisord.conf";
    start(machine, log, &programs, 3)?;
    let (before, old) = (pids(machine)?, machine.property(UNIT, "MainPID")?);
    kill(machine)?;
    returned(machine, &old)?;
    same(machine, &before)?;
    machine.run(&["systemctl", "poweroff"])?;
    let read = |name: &str| std::fs::read_to_string(shared.join(name)).unwrap_or_default();
    let stopped = "stopped: a (exit status 5";
    let result = wait_for("the last program's end", LIMIT, || {
        read("log").contains(stopped)
    });
    let (order, log) = (read("order"), read("log"));
    result.map_err(|why| format!("{why}: {order} {log}"))?;
    expect(
        order == "c begins\nc ends\nb begins\nb ends\na begins\na ends\n",
        format!("{order} {log}"),
    )?;
    let asked = log.rfind("received SIGTERM indicating exit request");
    expect(asked.is_some() && asked < log.find("stopped: c"), log)
}

fn through(machine: &Machine) -> Result<(), String> {
    machine.write(
        "/etc/systemd/system/base.service",
        "[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/bin/true\n",
    )?;
    for tie in ["PartOf=base.service", "Requires=base.service"] {
        start(
            machine,
            &format!("[Unit]\n{tie}\nAfter=base.service\n[Service]"),
            TWO,
            2,
        )?;
        machine.sh("systemctl start base")?;
        let (before, old) = (pids(machine)?, machine.property(UNIT, "MainPID")?);
        machine.sh("systemctl restart base")?;
        returned(machine, &old)?;
        same(machine, &before)?;
        logged(machine, "detaching from all processes", 1)?;
        expect(!log(machine)?.contains("stopped: "), log(machine)?)?;
        // Its stop is tested elsewhere.
        machine.sh("systemctl stop base")?;
        machine.wait_property(UNIT, "ActiveState", "inactive")?;
        gone(machine, &before)?;
        logged(machine, "stopped: web (terminated by SIGTERM)", 1)?;
    }
    machine
        .sh("rm /etc/systemd/system/base.service; systemctl daemon-reload")
        .map(drop)
}

fn failed(machine: &Machine) -> Result<(), String> {
    start(machine, "Restart=no", TWO, 2)?;
    let before = pids(machine)?;
    kill(machine)?;
    machine.wait_property(UNIT, "ActiveState", "failed")?;
    for (name, pid) in &before {
        let lives = machine.run(&["test", "-e", &format!("/proc/{pid}")])?.code;
        expect(lives == 0, format!("{name} died with the daemon"))?;
    }
    machine.sh("systemctl stop supervisord")?;
    gone(machine, &before)
}

/// A daemon that ignores the signals of a stop and of a restart.
const DEAF: &str = "KillSignal=SIGWINCH\nRestartKillSignal=SIGWINCH\nTimeoutStopSec=1";

fn deaf(machine: &Machine) -> Result<(), String> {
    start(machine, DEAF, TWO, 2)?;
    let (before, old) = (pids(machine)?, machine.property(UNIT, "MainPID")?);
    // A restart kills the daemon, and only the daemon.
    machine.sh("systemctl restart supervisord")?;
    returned(machine, &old)?;
    same(machine, &before)?;
    machine.sh("systemctl stop supervisord")?;
    expect(
        machine.property(UNIT, "Result")? == "timeout",
        machine.story(UNIT),
    )?;
    gone(machine, &before)?;
    expect(
        !log(machine)?.contains("stopped: "),
        "the daemon did not ignore the signals",
    )
}

fn overtaken(machine: &Machine) -> Result<(), String> {
    start(machine, "", TWO, 2)?;
    let before = pids(machine)?;
    machine.sh("systemctl restart --no-block supervisord; systemctl stop supervisord")?;
    gone(machine, &before)?;
    // A daemon that hangs.
    start(
        machine,
        "RestartKillSignal=SIGWINCH\nTimeoutStopSec=2",
        TWO,
        2,
    )?;
    let before = pids(machine)?;
    machine.sh("systemctl restart --no-block supervisord")?;
    machine.wait_property(UNIT, "SubState", "stop-sigterm")?;
    machine.sh("systemctl stop supervisord")?;
    gone(machine, &before)?;
    // During an outage.
    start(machine, "RestartSec=1000", TWO, 2)?;
    let before = pids(machine)?;
    kill(machine)?;
    machine.wait_property(UNIT, "SubState", "auto-restart")?;
    machine.sh("systemctl stop supervisord")?;
    gone(machine, &before)?;
    // The next start begins with no program running.
    drop_in(machine, "")?;
    machine.sh("systemctl start supervisord")?;
    machine.wait_property(UNIT, "StatusText", "2/2 running")?;
    machine.sh("systemctl stop supervisord").map(drop)
}

/// Logs when it is asked to stop, and when it exits.
fn telling(name: &str, priority: u32) -> String {
    format!(
        "[program:{name}]\ncommand=/bin/sh -c 'trap \"echo {name} >> /run/t/order; sleep 0.3; echo {name} >> /run/t/order; exit 5\" TERM; \
         while :; do sleep 0.05; done'\nstartsecs=0\npriority={priority}\n"
    )
}

fn in_order(machine: &Machine) -> Result<(), String> {
    let programs = telling("a", 1) + &telling("c", 3) + &telling("b", 2);
    for way in ["kill -9 $old", "systemctl restart supervisord"] {
        start(machine, "", &programs, 3)?;
        let (before, old) = (pids(machine)?, machine.property(UNIT, "MainPID")?);
        machine.sh(&format!("old={old}; {way}"))?;
        returned(machine, &old)?;
        same(machine, &before)?;
        machine.sh("systemctl stop supervisord")?;
        let order = machine.sh("cat /run/t/order")?;
        expect(
            order.split_whitespace().eq(["c", "c", "b", "b", "a", "a"]),
            format!("after {way}: {order:?}"),
        )?;
        for name in ["a", "b", "c"] {
            logged(machine, &format!("stopped: {name} (exit status 5)"), 1)?;
        }
        gone(machine, &before)?;
    }
    Ok(())
}

fn anew(machine: &Machine) -> Result<(), String> {
    start(machine, "", TWO, 2)?;
    let before = pids(machine)?;
    for way in ["daemon-reload", "daemon-reexec"] {
        machine.sh(&format!("systemctl {way}"))?;
        let old = kill(machine)?;
        returned(machine, &old)?;
        same(machine, &before)?;
        let old = machine.property(UNIT, "MainPID")?;
        machine.sh("systemctl restart supervisord")?;
        returned(machine, &old)?;
        same(machine, &before)?;
    }
    machine.sh("systemctl stop supervisord")?;
    gone(machine, &before)
}

/// The fd holder exits with the scope. The next start makes both again.
fn made_again(machine: &Machine) -> Result<(), String> {
    start(machine, "", SLEEPER, 1)?;
    machine.sh(&format!("systemctl stop {SCOPE}"))?;
    wait_for("the program's end", LIMIT, || {
        ctl(machine, "status web").is_ok_and(|status| !status.contains("RUNNING"))
    })?;
    ctl(machine, "start web")?;
    // The fd holder exited with the scope. Another one exists, so a restart stops nothing.
    logged(machine, "fd holder restarted with pid", 1)?;
    wait_for("the program runs", LIMIT, || {
        let status = machine.property(UNIT, "StatusText");
        status.is_ok_and(|status| status.starts_with("1/1 running"))
    })?;
    let before = pids(machine)?;
    let old = machine.property(UNIT, "MainPID")?;
    machine.sh("systemctl restart supervisord")?;
    returned(machine, &old)?;
    same(machine, &before)?;
    let old = kill(machine)?;
    returned(machine, &old)?;
    same(machine, &before)?;
    machine.sh("systemctl stop supervisord")?;
    gone(machine, &before)
}

fn instances(machine: &Machine) -> Result<(), String> {
    start(machine, "", SLEEPER, 1)?;
    machine.sh(
        "cd /etc/systemd/system; systemctl stop supervisord
         sed 's,/etc/supervisor/supervisord.conf,/etc/supervisor/%i.conf,' supervisord.service > supervisord@.service
         for i in one two; do
             sed \"s,/run/supervisor/,/run/supervisor/$i-,; s,supervisord\\.\\(log\\|pid\\),$i.\\1,\" /etc/supervisor/supervisord.conf \
                 > /etc/supervisor/$i.conf
         done
         systemctl daemon-reload; systemctl start supervisord@one supervisord@two",
    )?;
    let pid = |name: &str| {
        let script = format!("supervisorctl -c /etc/supervisor/{name}.conf pid web");
        machine.sh(&script).map(|text| text.trim().to_owned())
    };
    let unit = |name: &str| format!("supervisord@{name}.service");
    let before = (pid("one")?, pid("two")?);
    let old = ["one", "two"].map(|name| machine.property(&unit(name), "MainPID"));
    for (name, old) in ["one", "two"].into_iter().zip(old) {
        machine.sh(&format!("kill -9 {}", old?))?;
        machine.wait_property(&unit(name), "NRestarts", "1")?;
        machine.wait_property(&unit(name), "ActiveState", "active")?;
    }
    let after = (pid("one")?, pid("two")?);
    expect(after == before, format!("{before:?} became {after:?}"))?;
    machine.sh("systemctl stop supervisord@one")?;
    let lives = |pid: &str| machine.run(&["test", "-e", &format!("/proc/{pid}")]);
    expect(
        lives(&before.0)?.code != 0 && lives(&before.1)?.code == 0,
        "the wrong one was stopped",
    )?;
    machine
        .sh(
            "systemctl stop supervisord@two; rm /etc/systemd/system/supervisord@.service; systemctl daemon-reload",
        )
        .map(drop)
}
