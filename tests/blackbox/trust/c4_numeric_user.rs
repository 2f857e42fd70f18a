//! `user=UID:GID` as numbers works without entries in passwd and group. A single unknown number is the reference's
//! error.

use crate::host::Host;
use crate::support::runner::{Outcome, Trial};
use crate::support::{expect, is_root, proc};

/// The tests of this file.
pub(crate) fn tests() -> Vec<Trial> {
    vec![
        Trial::new("trust::c4_uid_and_gid_need_no_passwd_entry", pair),
        Trial::new("trust::c4_a_lone_unknown_number_is_an_error", lone),
    ]
}

fn pair() -> Result<Outcome, String> {
    if !is_root() {
        return Ok(Outcome::Skipped("needs root".to_owned()));
    }
    let mut host = Host::start(
        "[program:a]\ncommand=/bin/sleep 1000\nuser=123456:234567\nstartsecs=0\nstdout_logfile=NONE\n\
         [program:b]\ncommand=/bin/sleep 1000\nuser=0:234567\nstartsecs=0\nstdout_logfile=NONE\n",
    )?;
    for (name, uid) in [("a", "123456"), ("b", "0")] {
        let daemon = host.daemon()?;
        daemon.wait_state(name, "RUNNING")?;
        let pid = daemon.pid_of(name);
        for (field, id) in [("Uid", uid), ("Gid", "234567")] {
            let found = proc::status(pid, field).unwrap_or_default();
            let found: Vec<&str> = found.split_whitespace().collect();
            expect(found == [id; 4], format!("{field} of {name} is {found:?}"))?;
        }
    }
    let pid = host.daemon()?.pid_of("a");
    let groups = proc::status(pid, "Groups").unwrap_or_default();
    expect(groups.trim() == "234567", format!("groups {groups:?}"))?;
    host.expect_well()?;
    Ok(Outcome::Passed)
}

fn lone() -> Result<Outcome, String> {
    for (user, text) in [
        ("123456", "Invalid user id 123456"),
        ("123456:nobody", "Invalid user name 123456:nobody"),
    ] {
        let host = Host::new(&format!("[program:a]\ncommand=/bin/cat\nuser={user}\n"))?;
        let ended = host.run(&["-n", "-c", "conf"])?;
        expect(
            ended.code == 2 && ended.stderr.contains(text),
            format!("{user}: {ended:?}"),
        )?;
    }
    Ok(Outcome::Passed)
}
