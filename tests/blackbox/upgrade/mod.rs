//! `supervisorctl upgrade`: the daemon is replaced in place, and its programs do not notice.

mod clients;
mod from_release;
mod programs;
mod refused;
mod streams;

use std::collections::BTreeMap;
use std::path::Path;

use crate::host::Host;
use crate::support::expect;
use crate::support::runner::Trial;
use crate::support::wire::Value;
use crate::support::{LIMIT, proc, wait_for};

/// The tests of all files.
pub(crate) fn tests() -> Vec<Trial> {
    let mut tests = programs::tests();
    tests.extend(streams::tests());
    tests.extend(clients::tests());
    tests.extend(refused::tests());
    tests.extend(from_release::tests());
    tests
}

/// Number of upgrades so far.
fn generation(host: &Host) -> Result<i64, String> {
    let answer = host
        .daemon()?
        .call("supervisord.getGeneration", &[])
        .map_err(|error| error.to_string())?;
    answer
        .get("generation")
        .and_then(Value::int)
        .ok_or_else(|| format!("{answer}"))
}

/// One upgrade, which must succeed.
fn upgrade(host: &Host) -> Result<(), String> {
    let before = generation(host)?;
    host.expect_ctl(&["upgrade"], 0, &["Upgraded supervisord, now "])
        .map_err(|why| format!("{why}; log:\n{}", host.log_end()))?;
    let after = generation(host)?;
    expect(
        after == before + 1,
        format!("generation {after} after {before}"),
    )
}

/// Every process and its PID.
fn pids(host: &Host) -> Result<BTreeMap<String, i64>, String> {
    let all = host
        .daemon()?
        .call("supervisor.getAllProcessInfo", &[])
        .map_err(|error| error.to_string())?;
    let Value::Array(all) = all else {
        return Err(format!("{all}"));
    };
    let pid_of = |info: &Value| {
        let name = info.get("name")?.text()?.to_owned();
        Some((name, info.get("pid")?.int()?))
    };
    Ok(all.iter().filter_map(pid_of).collect())
}

/// The same processes as before, all running.
fn expect_same(host: &Host, before: &BTreeMap<String, i64>) -> Result<(), String> {
    let now = pids(host)?;
    expect(now == *before, format!("{now:?} after {before:?}"))?;
    let dead: Vec<_> = before
        .iter()
        .filter(|(_, pid)| i32::try_from(**pid).is_ok_and(|pid| pid != 0 && !proc::alive(pid)))
        .collect();
    expect(dead.is_empty(), format!("dead: {dead:?}"))
}

/// Waits until the daemon's log has a whole line this number of times.
fn wait_lines(host: &Host, text: &str, count: usize) -> Result<(), String> {
    wait_for(&format!("{count} × {text:?} in the log"), LIMIT, || {
        host.place.read("log").matches(text).count() >= count
    })
    .map_err(|why| format!("{why}; log:\n{}", host.log_end()))
}

/// Copies a file without an open descriptor for writing in this process: a child of another thread could hold it a
/// moment longer, and then the file could not be executed.
fn copy(from: &Path, to: &Path) -> Result<(), String> {
    let done = std::process::Command::new("cp").arg(from).arg(to).status();
    expect(
        done.as_ref().is_ok_and(std::process::ExitStatus::success),
        format!("cp {} {}: {done:?}", from.display(), to.display()),
    )
}
