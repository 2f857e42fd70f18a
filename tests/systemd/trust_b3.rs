//! B3: the service manager restarts a daemon that loses a thread, and its programs keep running.

use crate::service::{UNIT, install};
use crate::support::machine::{Machine, trial};
use crate::support::numbered::{pids, test_child};
use crate::support::runner::Trial;
use crate::support::{LIMIT, expect, wait_for};

/// The tests of this file.
pub(crate) fn tests() -> Vec<Trial> {
    vec![trial(
        "trust::b3_systemd_restarts_a_daemon_that_lost_a_thread",
        restarted,
    )]
}

fn restarted(machine: &Machine) -> Result<(), String> {
    machine.sh("rm -f /var/log/supervisord.log")?;
    install(
        machine,
        "",
        "[program:quiet]\ncommand=/bin/sleep infinity\nstartsecs=0\n",
    )?;
    machine.sh("systemctl start supervisord")?;
    machine.wait_property(UNIT, "StatusText", "1/1 running")?;
    let before = pids(machine)?;
    let test_child = test_child()?;
    for (round, thread) in ["output", "spawn", "server", "main"].iter().enumerate() {
        machine.sh(&format!(
            "{test_child} end-thread $(systemctl show -p MainPID --value {UNIT}) {thread}"
        ))?;
        machine.wait_property(UNIT, "NRestarts", &(round + 1).to_string())?;
        wait_for("the same process", LIMIT, || {
            pids(machine).is_ok_and(|after| after == before)
        })
        .map_err(|why| format!("{thread}: {why}: {}", machine.story(UNIT)))?;
    }
    let log = machine.sh("cat /var/log/supervisord.log")?;
    expect(log.contains("thread output has exited: aborting"), log)?;
    machine.sh("systemctl stop supervisord").map(drop)
}
