//! The order of `programs=` follows the reference. Changed sockets are detected, which the reference does not do.

use std::os::unix::fs::PermissionsExt as _;

use crate::host::Host;
use crate::support::LIMIT;
use crate::support::runner::{Outcome, Trial};
use crate::support::{expect, wait_for};

/// The tests of this file.
pub(crate) fn tests() -> Vec<Trial> {
    vec![
        Trial::new(
            "trust::c3_members_of_equal_priority_start_in_the_order_of_programs",
            order,
        ),
        Trial::new("trust::c3_reread_detects_a_changed_socket", sockets),
    ]
}

/// The programs in the order of their spawn lines in the log.
fn spawned(log: &str) -> Vec<String> {
    log.lines()
        .filter_map(|line| line.split_once("spawned: '")?.1.split('\'').next())
        .map(str::to_owned)
        .collect()
}

const ORDER: &str = "[program:api]\ncommand=/bin/sleep 1000\nstartsecs=0\n[program:db]\ncommand=/bin/sleep 1000\n\
                     startsecs=0\n[program:late]\ncommand=/bin/sleep 1000\nstartsecs=0\npriority=2000\n\
                     [group:site]\nprograms=late,db,api\n";

fn order() -> Result<Outcome, String> {
    let host = Host::start(ORDER)?;
    for name in ["api", "db", "late"] {
        host.daemon()?
            .wait_state(&format!("site:{name}"), "RUNNING")?;
    }
    let first = spawned(&host.place.read("log"));
    expect(first == ["db", "api", "late"], format!("{first:?}"))?;
    // A client that starts the group gets the same order.
    host.expect_ctl(&["stop", "site:*"], 0, &[])?;
    host.expect_ctl(&["start", "site:*"], 0, &[])?;
    let all = spawned(&host.place.read("log"));
    expect(all[3..] == ["db", "api", "late"], format!("{all:?}"))?;
    // Another order is no change that would restart anything.
    host.configure(&ORDER.replace("late,db,api", "api,db,late"))?;
    host.expect_ctl(&["reread"], 0, &["No config updates to processes"])?;
    Ok(Outcome::Passed)
}

fn sockets() -> Result<Outcome, String> {
    let program =
        "[fcgi-program:f]\ncommand=/bin/sleep 1000\nstartsecs=0\nsocket=unix://{dir}/f.sock\n";
    let host = Host::start(program)?;
    host.daemon()?.wait_state("f", "RUNNING")?;
    for line in ["socket_backlog=20", "socket_mode=0600", "socket_owner=0:0"] {
        if line.starts_with("socket_owner") && !crate::support::is_root() {
            continue;
        }
        host.configure(&format!("{program}{line}\n"))?;
        host.expect_ctl(&["reread"], 0, &["f: changed"])?;
        host.expect_ctl(&["update"], 0, &["f: updated process group"])?;
        host.expect_ctl(&["reread"], 0, &["No config updates to processes"])?;
        host.daemon()?.wait_state("f", "RUNNING")?;
        if line == "socket_mode=0600" {
            wait_for("the socket has its new mode", LIMIT, || {
                let meta = std::fs::metadata(host.place.join("f.sock"));
                meta.is_ok_and(|meta| meta.permissions().mode() & 0o7777 == 0o600)
            })?;
        }
    }
    Ok(Outcome::Passed)
}
