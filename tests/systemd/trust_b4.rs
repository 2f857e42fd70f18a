//! B4: the daemon watches the fd holder. When the fd holder exits, another one gets everything. A stopped fd holder does
//! not leave programs with pipes that nobody reads.

use crate::service::{UNIT, install};
use crate::support::machine::{Machine, trial};
use crate::support::numbered::{WRITERS, complete, pids, programs};
use crate::support::runner::Trial;
use crate::support::{LIMIT, expect, wait_for};

/// The tests of this file.
pub(crate) fn tests() -> Vec<Trial> {
    type Test = fn(&Machine) -> Result<(), String>;
    let list: &[(&str, Test)] = &[
        (
            "a_killed_fd_holder_is_replaced_with_all_descriptors",
            killed,
        ),
        ("a_scope_stopped_by_hand_is_created_again", scope_ended),
        ("a_stopped_fd_holder_does_not_prevent_a_recovery", stopped),
    ];
    list.iter()
        .map(|&(name, test)| trial(format!("trust::b4_{name}"), test))
        .collect()
}

const SCOPE: &str = "supervisord-programs.scope";
const HOLDER: &str =
    "$(cat /sys/fs/cgroup/system.slice/supervisord-programs.scope/.hold/cgroup.procs)";

fn begin(machine: &Machine) -> Result<(), String> {
    machine.sh("rm -f /run/stop /run/die /var/log/w*.log* /var/log/supervisord.log")?;
    install(machine, "", &programs()?)?;
    machine.sh("systemctl start supervisord")?;
    machine.wait_property(UNIT, "StatusText", &format!("{0}/{0} running", WRITERS + 2))
}

fn wait_log(machine: &Machine, text: &str) -> Result<(), String> {
    wait_for(text, LIMIT, || {
        machine
            .sh("cat /var/log/supervisord.log")
            .is_ok_and(|log| log.contains(text))
    })
    .map_err(|why| format!("{why}: {}", machine.story(UNIT)))
}

fn kill_daemon(machine: &Machine, restarts: u32) -> Result<(), String> {
    machine.sh(&format!(
        "kill -9 $(systemctl show -p MainPID --value {UNIT})"
    ))?;
    machine.wait_property(UNIT, "NRestarts", &restarts.to_string())
}

fn same(
    machine: &Machine,
    before: &std::collections::BTreeMap<String, String>,
) -> Result<(), String> {
    wait_for("the same processes", LIMIT, || {
        pids(machine).is_ok_and(|after| &after == before)
    })
    .map_err(|why| format!("{why}: {}", machine.story(UNIT)))
}

fn killed(machine: &Machine) -> Result<(), String> {
    begin(machine)?;
    let before = pids(machine)?;
    for round in 1..=2 {
        machine.sh(&format!(": > /var/log/supervisord.log; kill -9 {HOLDER}"))?;
        wait_log(machine, "fd holder restarted with pid ")?;
        let status = machine.property(UNIT, "StatusText")?;
        expect(status.contains("fd holder") || round == 2, status)?;
        // From now on everything depends on the new one.
        kill_daemon(machine, round)?;
        same(machine, &before)?;
    }
    let lines = complete(machine, WRITERS)?;
    println!("{lines} lines, each once");
    machine.sh("systemctl stop supervisord").map(drop)
}

fn scope_ended(machine: &Machine) -> Result<(), String> {
    begin(machine)?;
    machine.sh(&format!("systemctl stop {SCOPE}"))?;
    wait_log(machine, "fd holder restarted with pid ")?;
    // All processes exited with the scope. Programs that restart run in the new scope, and outlive the daemon again.
    machine.ctl("start quiet").ok();
    let mut quiet = None;
    wait_for("quiet runs", LIMIT, || {
        quiet = pids(machine).ok().and_then(|all| all.get("quiet").cloned());
        quiet.is_some()
    })?;
    kill_daemon(machine, 1)?;
    wait_for("the same process", LIMIT, || {
        pids(machine).is_ok_and(|all| all.get("quiet") == quiet.as_ref())
    })
    .map_err(|why| format!("{why}: {}", machine.story(UNIT)))?;
    machine
        .sh("touch /run/stop; systemctl stop supervisord")
        .map(drop)
}

fn stopped(machine: &Machine) -> Result<(), String> {
    begin(machine)?;
    let before = pids(machine)?;
    machine.sh(&format!("kill -STOP {HOLDER}"))?;
    kill_daemon(machine, 1)?;
    same(machine, &before)?;
    let lines = complete(machine, WRITERS)?;
    println!("{lines} lines, each once");
    machine.sh("systemctl stop supervisord").map(drop)
}
