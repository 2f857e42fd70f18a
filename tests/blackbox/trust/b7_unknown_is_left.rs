//! UNKNOWN ends when the process exits (Supervisor#76, #445, #536, #839). The kernel refuses signals of a daemon
//! without privileges to a set-user-id program that has become root.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;

use crate::host::Host;
use crate::support::runner::{Outcome, Trial};
use crate::support::{LIMIT, expect, is_root, wait_for};

const NOBODY: u32 = 65534;

/// The tests of this file.
pub(crate) fn tests() -> Vec<Trial> {
    vec![Trial::new(
        "trust::b7_a_process_leaves_unknown_at_its_exit",
        left,
    )]
}

fn left() -> Result<Outcome, String> {
    if !is_root() {
        return Ok(Outcome::Skipped("needs root".to_owned()));
    }
    let mut host = Host::new(
        "[program:stopped]\ncommand={dir}/setpriv --reuid=0 --regid=0 --clear-groups {test_child} wait {dir}/go1 exit 3\n\
         startsecs=0\nautorestart=true\n\
         [program:signalled]\ncommand={dir}/setpriv --reuid=0 --regid=0 --clear-groups {test_child} wait {dir}/go2 exit 3\n\
         startsecs=0\nautorestart=true\n",
    )?;
    let tool = host.place.join("setpriv");
    fs::copy("/usr/bin/setpriv", &tool).map_err(|e| format!("setpriv: {e}"))?;
    fs::set_permissions(&tool, Permissions::from_mode(0o4755)).map_err(|e| e.to_string())?;
    chown(host.place.path(), Some(NOBODY), Some(NOBODY)).map_err(|e| e.to_string())?;
    host.go_with(|command| {
        command.uid(NOBODY).gid(NOBODY);
    })?;
    let daemon = host.daemon()?;
    for name in ["stopped", "signalled"] {
        daemon.wait_state(name, "RUNNING")?;
        let pid = daemon.pid_of(name);
        wait_for("it is root", LIMIT, || {
            crate::support::proc::status(pid, "Uid").is_some_and(|ids| ids.starts_with("0 0 0"))
        })?;
    }
    let before = daemon.pid_of("signalled");
    host.expect_ctl(
        &["stop", "stopped"],
        1,
        &["unknown problem killing stopped"],
    )?;
    host.expect_ctl(
        &["signal", "USR1", "signalled"],
        1,
        &["unknown problem sending sig signalled"],
    )?;
    for name in ["stopped", "signalled"] {
        let state = host.daemon()?.state(name);
        expect(state == "UNKNOWN", format!("{name} is {state}"))?;
    }
    // A process that was being stopped is STOPPED, and can be started.
    host.place.write("go1", "")?;
    host.daemon()?.wait_state("stopped", "STOPPED")?;
    fs::remove_file(host.place.join("go1")).map_err(|e| e.to_string())?;
    host.expect_ctl(&["start", "stopped"], 0, &["stopped: started"])?;
    // Another process restarts by itself.
    host.place.write("go2", "")?;
    wait_for("another process", LIMIT, || {
        host.daemon()
            .is_ok_and(|daemon| ![0, before].contains(&daemon.pid_of("signalled")))
    })?;
    host.expect_well()?;
    Ok(Outcome::Passed)
}
