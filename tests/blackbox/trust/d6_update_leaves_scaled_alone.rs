//! `update` of one program does not touch scaled groups. `update` of a scaled group keeps the processes that both have.

use crate::host::Host;
use crate::support::expect;
use crate::support::runner::{Outcome, Trial};

/// The tests of this file.
pub(crate) fn tests() -> Vec<Trial> {
    vec![Trial::new("trust::d6_update_keeps_scaled_programs", update)]
}

const WEB: &str = "[program:web]\ncommand={test_child} forever\nprocess_name=w%(process_num)d\nnumprocs=2\nstartsecs=0\n";
const OTHER: &str = "[program:other]\ncommand={test_child} forever\nstartsecs=0\n";

fn pids(host: &Host, count: usize) -> Result<Vec<i32>, String> {
    let mut pids = Vec::new();
    for number in 0..count {
        let name = format!("web:w{number}");
        host.daemon()?.wait_state(&name, "RUNNING")?;
        pids.push(host.daemon()?.pid_of(&name));
    }
    Ok(pids)
}

fn update() -> Result<Outcome, String> {
    let mut host = Host::start(&format!("{WEB}{OTHER}"))?;
    pids(&host, 2)?;
    host.expect_ctl(&["scale", "web", "4"], 0, &["web:w3: added"])?;
    let four = pids(&host, 4)?;
    // Another program changes: updated by its name, and with everything.
    host.configure(&format!("{WEB}{OTHER}priority=5\n"))?;
    host.expect_ctl(&["reread"], 0, &["other: changed\n"])?;
    host.expect_ctl(&["update", "other"], 0, &["other: updated process group\n"])?;
    expect(pids(&host, 4)? == four, "web was touched")?;
    host.configure(&format!("{WEB}{OTHER}priority=6\n"))?;
    host.expect_ctl(&["update"], 0, &["other: updated process group\n"])?;
    expect(pids(&host, 4)? == four, "web was touched")?;
    // Its own section changes: processes that both have keep running.
    host.configure(&format!("{}{OTHER}priority=6\n", WEB.replace("=2", "=3")))?;
    host.expect_ctl(
        &["update", "web"],
        0,
        &["web:w3: removed\nweb: updated process group\n"],
    )?;
    expect(
        pids(&host, 3)? == four[..3],
        "a process that both have was restarted",
    )?;
    // Scaled, and back to an unchanged section.
    host.expect_ctl(&["scale", "web", "5"], 0, &["web:w4: added"])?;
    host.expect_ctl(&["update", "web"], 0, &["web: updated process group\n"])?;
    expect(
        pids(&host, 3)? == four[..3],
        "a process that both have was restarted",
    )?;
    expect(
        host.daemon()?.state("web:w4").is_empty(),
        "w4 is still there",
    )?;
    host.expect_ctl(&["reread"], 0, &["No config updates to processes\n"])?;
    host.expect_well()?;
    Ok(Outcome::Passed)
}
