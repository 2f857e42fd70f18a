//! Every key that the Chinese README of the Go implementation lists, in the service.

use crate::service::{self, UNIT};
use crate::support::machine::{Machine, trial};
use crate::support::runner::Trial;
use crate::support::source_document::{
    DocumentHost, IDENTITY, LIMITS_BEFORE, check, config, prepare,
};
use crate::support::{LIMIT, expect, wait_for};

/// The tests of this file.
pub(crate) fn tests() -> Vec<Trial> {
    vec![trial(
        "source_document::g20_g21_g35_every_key_in_the_service",
        every_key,
    )]
}

const DIR: &str = "/srv/document";
const CONFIGURATION: &str = "/etc/supervisor/supervisord.conf";

impl DocumentHost for Machine {
    fn ctl(&self, arguments: &str) -> Result<(i32, String), String> {
        let script = format!("supervisorctl -c {CONFIGURATION} {arguments}");
        let done = self.run(&["/bin/sh", "-c", &script])?;
        Ok((done.code, done.stdout + &done.stderr))
    }

    fn sh(&self, script: &str) -> Result<String, String> {
        let done = self.run(&["/bin/sh", "-c", script])?;
        match done.code {
            0 => Ok(done.stdout),
            _ => Err(format!("{script}: {done:?}")),
        }
    }
}

fn every_key(machine: &Machine) -> Result<(), String> {
    service::install(machine, "", "")?;
    machine.sh(&prepare(DIR))?;
    let text = config(DIR, 9001, &format!("user={IDENTITY}"));
    machine.write(CONFIGURATION, &text)?;
    let (_, processes) = LIMITS_BEFORE;
    service::drop_in(machine, &format!("LimitNPROC={processes}:infinity"))?;
    machine.sh("systemctl start supervisord")?;
    let checked = check(machine, DIR, true);
    checked.map_err(|why| format!("{why}\n{}", machine.story(UNIT)))?;
    let (pid, main) = (
        machine.sh(&format!("cat {DIR}/pid"))?,
        machine.property(UNIT, "MainPID")?,
    );
    expect(pid.trim() == main, format!("pidfile {pid}, MainPID {main}"))?;
    machine.sh("systemctl stop supervisord")?;
    machine.wait_property(UNIT, "ActiveState", "inactive")?;
    wait_for("no program is left", LIMIT, || {
        machine
            .run(&["pgrep", "-f", DIR])
            .is_ok_and(|done| done.code == 1)
    })?;
    machine
        .sh(&format!("test ! -e {DIR}/pid; rm -rf {DIR}"))
        .map(drop)
}
