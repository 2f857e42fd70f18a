//! Programs outlive the daemon: it is killed, stopped by a signal, restarted and given up on, and takes over the same
//! processes. No line of their output is missing or doubled.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::service::{UNIT, ctl, drop_in, install};
use crate::support::machine::{BINARIES, Machine, trial, virtual_trial};
use crate::support::numbered::{self, WRITERS, complete, pids, test_child};
use crate::support::runner::Trial;
use crate::support::{LIMIT, expect, wait_for};

/// The tests of this file.
pub(crate) fn tests() -> Vec<Trial> {
    type Test = fn(&Machine) -> Result<(), String>;
    let list: &[(&str, Test)] = &[
        ("programs_survive_a_killed_daemon", killed),
        ("programs_survive_a_restarted_daemon", restarted),
        ("programs_survive_a_stuck_daemon", frozen),
        ("programs_survive_an_upgrade_to_another_binary", upgraded),
        ("programs_stop_with_the_service", stopped),
        ("g40_lists_of_files_survive_kills_and_upgrades", lists),
    ];
    let mut tests: Vec<Trial> = list
        .iter()
        .map(|&(name, test)| trial(format!("survival::{name}"), test))
        .collect();
    // A daemon whose manager has lost all descriptors finds the fd holder by pidfd_getfd, which containers may not
    // call.
    tests.push(virtual_trial(
        "survival::programs_survive_a_daemon_that_systemd_gave_up_on",
        given_up_on,
    ));
    tests
}

const SCOPE: &str = "supervisord-programs.scope";
fn begin(machine: &Machine) -> Result<BTreeMap<String, String>, String> {
    machine.sh("rm -f /run/stop /run/die /var/log/w*.log* /var/log/supervisord.log")?;
    install(machine, "", &numbered::programs()?)?;
    machine.sh("systemctl start supervisord")?;
    machine.wait_property(UNIT, "StatusText", &format!("{0}/{0} running", WRITERS + 2))?;
    pids(machine)
}

/// Waits until the daemon answers again, and all earlier processes run except those in `gone`. Returns how long it
/// took.
fn back(
    machine: &Machine,
    before: &BTreeMap<String, String>,
    gone: &[&str],
) -> Result<Duration, String> {
    let begun = Instant::now();
    let mut after = BTreeMap::new();
    let mut took = Duration::ZERO;
    let result = wait_for("the same processes", LIMIT, || {
        after = pids(machine).unwrap_or_default();
        took = begun.elapsed();
        after.len() + gone.len() >= before.len()
    });
    let wrong: Vec<_> = before
        .iter()
        .filter(|(name, pid)| !gone.contains(&name.as_str()) && after.get(*name) != Some(pid))
        .collect();
    if wrong.is_empty() {
        result.map(|()| took)
    } else {
        Err(format!("{wrong:?}: {}", machine.story(UNIT)))
    }
}

fn killed(machine: &Machine) -> Result<(), String> {
    let before = begin(machine)?;
    for round in 1..=3 {
        let die = if round == 2 { "touch /run/die" } else { ":" };
        machine.sh(&format!(
            "kill -9 $(systemctl show -p MainPID --value {UNIT}); {die}"
        ))?;
        let gone: &[&str] = if round >= 2 { &["dies"] } else { &[] };
        let took = back(machine, &before, gone)?;
        println!("killed, round {round}: back after {} ms", took.as_millis());
        machine.wait_property(UNIT, "NRestarts", &round.to_string())?;
    }
    let lines = complete(machine, WRITERS)?;
    println!("{lines} lines, each once");
    let log = machine.sh("cat /var/log/supervisord.log")?;
    for wanted in [
        "exited: dies (exit status 3; expected)",
        "of a daemon that was killed",
    ] {
        expect(log.contains(wanted), format!("{wanted:?} is not in {log}"))?;
    }
    machine.sh("systemctl stop supervisord").map(drop)
}

fn restarted(machine: &Machine) -> Result<(), String> {
    let before = begin(machine)?;
    for round in 1..=3 {
        machine.sh(if round == 2 {
            "systemctl try-restart supervisord"
        } else {
            "systemctl restart supervisord"
        })?;
        let took = back(machine, &before, &[])?;
        println!(
            "restarted, round {round}: back after {} ms",
            took.as_millis()
        );
    }
    expect(
        machine.property(UNIT, "Result")? == "success"
            && machine.property(UNIT, "NRestarts")? == "0",
        machine.story(UNIT),
    )?;
    let lines = complete(machine, WRITERS)?;
    println!("{lines} lines, each once");
    let log = machine.sh("cat /var/log/supervisord.log")?;
    expect(
        log.contains("detaching from all processes") && !log.contains("stopped: "),
        log,
    )?;
    machine.sh("systemctl stop supervisord").map(drop)
}

fn frozen(machine: &Machine) -> Result<(), String> {
    let before = begin(machine)?;
    machine.sh("systemctl stop supervisord")?;
    drop_in(machine, "WatchdogSec=2\nTimeoutAbortSec=1")?;
    machine.sh("rm -f /var/log/w*.log*; systemctl start supervisord")?;
    drop(before);
    machine.wait_property(UNIT, "StatusText", &format!("{0}/{0} running", WRITERS + 2))?;
    let before = pids(machine)?;
    machine.sh(&format!(
        "kill -STOP $(systemctl show -p MainPID --value {UNIT})"
    ))?;
    machine.wait_property(UNIT, "NRestarts", "1")?;
    back(machine, &before, &[])?;
    let lines = complete(machine, WRITERS)?;
    println!("{lines} lines, each once");
    machine.sh("systemctl stop supervisord").map(drop)
}

/// Replaces the binary under the running daemon, as a package does.
fn upgraded(machine: &Machine) -> Result<(), String> {
    machine.sh(&format!(
        "rm -rf /run/image; mkdir /run/image; cp {BINARIES}/supervisord /run/image"
    ))?;
    machine.sh("rm -f /run/stop /run/die /var/log/w*.log* /var/log/supervisord.log")?;
    install(machine, "", &numbered::programs()?)?;
    drop_in(
        machine,
        "ExecStart=\nExecStart=/run/image/supervisord -n -c /etc/supervisor/supervisord.conf",
    )?;
    machine.sh("systemctl start supervisord")?;
    machine.wait_property(UNIT, "StatusText", &format!("{0}/{0} running", WRITERS + 2))?;
    let (before, daemon) = (pids(machine)?, machine.property(UNIT, "MainPID")?);
    for round in 1..=3 {
        machine.sh("cd /run/image; cp supervisord new; echo another >> new; mv new supervisord")?;
        let said = ctl(machine, "upgrade")?;
        expect(said.starts_with("Upgraded supervisord"), said)?;
        let took = back(machine, &before, &[])?;
        println!(
            "upgraded, round {round}: back after {} ms",
            took.as_millis()
        );
    }
    let now = machine.property(UNIT, "MainPID")?;
    let runs = machine.sh(&format!(
        "readlink /proc/{now}/exe; cmp /proc/{now}/exe /run/image/supervisord"
    ))?;
    expect(
        now == daemon && runs.trim() == "/run/image/supervisord",
        format!("{daemon} {now} {runs}"),
    )?;
    let lines = complete(machine, WRITERS)?;
    println!("{lines} lines, each once");
    machine.sh("systemctl stop supervisord").map(drop)
}

/// The manager has no descriptors of a service that failed for good. Its programs keep running.
fn given_up_on(machine: &Machine) -> Result<(), String> {
    let test_child = test_child()?;
    let programs = format!(
        "[program:slow]
command={test_child} tell /run/stop 100000
startsecs=0
autorestart=false
stdout_logfile=/var/log/w00.log
[program:quiet]
command=/bin/sleep infinity
startsecs=0
[program:dies]
command={test_child} wait /run/die exit 3
startsecs=0
autorestart=false
"
    );
    machine.sh("rm -f /run/stop /run/die /var/log/w*.log* /var/log/supervisord.log")?;
    install(machine, "", &programs)?;
    drop_in(machine, "Restart=no")?;
    machine.sh("systemctl start supervisord")?;
    machine.wait_property(UNIT, "StatusText", "3/3 running")?;
    let before = pids(machine)?;
    machine.sh(&format!(
        "kill -9 $(systemctl show -p MainPID --value {UNIT})"
    ))?;
    machine.wait_property(UNIT, "ActiveState", "failed")?;
    machine.sh(&format!(
        "touch /run/die; while test -e /proc/{}; do sleep 0.1; done
         systemctl reset-failed supervisord; systemctl start supervisord",
        before["dies"]
    ))?;
    back(machine, &before, &["dies"])?;
    // This kernel does not report the exit status, and the daemon does not invent one.
    let log = machine.sh("cat /var/log/supervisord.log; uname -r")?;
    expect(
        log.contains("exited: dies (exit status unknown; not expected)"),
        log,
    )?;
    complete(machine, 1)?;
    machine.sh("systemctl stop supervisord").map(drop)
}

/// Number of writers whose targets are three files, one of them on another file system.
const LISTED: usize = 10;
/// The directories of the files besides /var/log.
const MORE_FILES: [&str; 2] = ["/var/log/second", "/run/third"];

/// Kills and upgrades the daemon under load. Each file of a list has each line once, also beside a target that hangs.
fn lists(machine: &Machine) -> Result<(), String> {
    let test_child = test_child()?;
    let [second, third] = MORE_FILES;
    // The last two have a FIFO that nobody reads: first, and between the files.
    let programs = format!(
        "[program:w]
command={test_child} tell /run/stop 500
process_name=w%(process_num)02d
numprocs={LISTED}
startsecs=0
autorestart=false
stdout_logfile=/var/log/w%(process_num)02d.log, {second}/w%(process_num)02d.log, {third}/w%(process_num)02d.log
stdout_logfile_maxbytes=100KB
stdout_logfile_backups=100
[program:h]
command={test_child} tell /run/stop 100
startsecs=0
autorestart=false
stdout_logfile={third}/fifo, /var/log/w90.log, {second}/w90.log
stdout_logfile_maxbytes=0
[program:i]
command={test_child} tell /run/stop 100
startsecs=0
autorestart=false
stdout_logfile=/var/log/w91.log, {third}/fifo, {second}/w91.log, memory, /dev/null
stdout_logfile_maxbytes=0
"
    );
    machine.sh(&format!(
        "rm -rf /run/stop /var/log/w*.log* /var/log/supervisord.log {second} {third}
         mkdir {second} {third}; mkfifo {third}/fifo
         systemd-run -q --unit=holder sh -c 'exec 3<> {third}/fifo; exec sleep infinity'"
    ))?;
    install(machine, "", &programs)?;
    machine.sh("systemctl start supervisord")?;
    let all = LISTED + 2;
    machine.wait_property(UNIT, "StatusText", &format!("{all}/{all} running"))?;
    let before = pids(machine)?;
    let dropping = || {
        machine
            .sh("grep -c ' too slowly: dropping output' /var/log/supervisord.log || true")
            .is_ok_and(|count| count.trim().parse().is_ok_and(|count: usize| count >= 2))
    };
    wait_for("both notice the target that hangs", LIMIT, dropping)?;
    for round in 1..=3 {
        machine.sh(&format!(
            "kill -9 $(systemctl show -p MainPID --value {UNIT})"
        ))?;
        machine.wait_property(UNIT, "NRestarts", &round.to_string())?;
        back(machine, &before, &[])?;
        let said = ctl(machine, "upgrade")?;
        expect(said.starts_with("Upgraded supervisord"), said)?;
        back(machine, &before, &[])?;
    }
    let lines = complete(machine, all)?;
    println!("{lines} lines, each once in each file");
    let same = machine.sh(&format!(
        "whole() {{ cat $(ls $1.* 2>/dev/null | sort -t. -k3,3 -rn) $1; }}
         for log in /var/log/w[0-9]*.log; do
             for more in {second} {third}; do
                 other=$more/${{log##*/}}
                 test -e $other || continue
                 whole $log > /run/one; whole $other > /run/two
                 cmp /run/one /run/two || echo $other
                 echo compared
             done
         done; systemctl stop holder"
    ))?;
    let lines: Vec<&str> = same.lines().collect();
    expect(
        lines == vec!["compared"; 2 * LISTED + 2],
        format!("{lines:?}"),
    )?;
    machine.sh("systemctl stop supervisord").map(drop)
}

fn stopped(machine: &Machine) -> Result<(), String> {
    let before = begin(machine)?;
    machine.sh("systemctl restart supervisord; systemctl stop supervisord")?;
    for (name, pid) in &before {
        let left = machine.run(&["test", "-e", &format!("/proc/{pid}")])?.code;
        expect(left != 0, format!("{name} is left"))?;
    }
    wait_for("the scope's end", LIMIT, || {
        machine
            .property(SCOPE, "ActiveState")
            .is_ok_and(|state| state == "inactive")
    })?;
    // With the cgroups of programs, which stay between instances.
    let tree = format!("/sys/fs/cgroup/system.slice/{SCOPE}");
    wait_for("the scope's directory is removed", LIMIT, || {
        machine
            .run(&["test", "-e", &tree])
            .is_ok_and(|done| done.code == 1)
    })?;
    let log = machine.sh("cat /var/log/supervisord.log")?;
    expect(log.contains("stopped: quiet (terminated by SIGTERM)"), log)?;
    // The next start begins with no program running.
    machine.sh("systemctl start supervisord")?;
    machine.wait_property(UNIT, "StatusText", &format!("{0}/{0} running", WRITERS + 2))?;
    let after = pids(machine)?;
    expect(
        before
            .iter()
            .all(|(name, pid)| after.get(name) != Some(pid)),
        "the same processes",
    )?;
    machine.sh("systemctl stop supervisord").map(drop)
}
