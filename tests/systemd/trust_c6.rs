//! Lines about a process have its name in the journal, in every part of the daemon that writes them.

use crate::service::{install, pid_of};
use crate::support::machine::{Machine, trial};
use crate::support::runner::Trial;
use crate::support::{LIMIT, expect, wait_for};

/// The tests of this file.
pub(crate) fn tests() -> Vec<Trial> {
    vec![trial(
        "trust::c6_lines_about_orphans_name_their_process",
        left_behind,
    )]
}

/// A program that leaves a process behind which ignores every signal it can.
const PROGRAMS: &str = "[group:g]\nprograms=tree\n\
    [program:tree]\ncommand=/bin/sh -c 'trap \"\" TERM; (setsid sleep 1000 &); exec sleep 1000'\nstartsecs=0\n\
    stopwaitsecs=1\nkill_mode=control-group\n\
    [program:alone]\ncommand=/bin/sh -c 'trap \"\" TERM; (setsid sleep 1000 &); exec sleep 1000'\nstartsecs=0\n\
    stopwaitsecs=1\nkill_mode=control-group\n";

fn left_behind(machine: &Machine) -> Result<(), String> {
    install(machine, "logfile=journal\n", PROGRAMS)?;
    machine.sh("systemctl start supervisord")?;
    for (name, group, process) in [("g:tree", "g", "tree"), ("alone", "alone", "alone")] {
        pid_of(machine, name)?;
        machine.sh(&format!("supervisorctl stop {name}"))?;
        let filter = format!(
            "SUPERVISOR_LINE=LeftBehind SUPERVISOR_PROCESS={process} SUPERVISOR_GROUP={group}"
        );
        let mut found = String::new();
        wait_for("an entry of the process", LIMIT, || {
            found = machine
                .sh(&format!("journalctl -q -o cat --no-pager {filter}"))
                .unwrap_or_default();
            !found.is_empty()
        })
        .map_err(|why| format!("{why}: {}", machine.story("supervisord.service")))?;
        expect(found.contains(&format!("{name}: killed ")), found.clone())?;
    }
    Ok(())
}
