//! An upgrade from an older release, under load: no line is lost or doubled, and no program notices.
//!
//! `OLD_SUPERVISORD` names the supervisord of that release. Without it, this version is upgraded to itself with the
//! same checks.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::{copy, pids, upgrade};
use crate::host::Host;
use crate::support::daemon::{Side, program};
use crate::support::runner::{Outcome, Trial};
use crate::support::wire::Value;
use crate::support::{LIMIT, expect, proc, wait_for};

/// The tests of this file.
pub(super) fn tests() -> Vec<Trial> {
    vec![Trial::new("upgrade::from_a_release_under_load", under_load)]
}

/// Programs that write.
const WRITERS: usize = 50;
/// Lines that each of them writes before and after an upgrade, at least.
const LINES: usize = 500;
/// Number of a process's start time in /proc/PID/stat, see proc(5).
const START_TIME: usize = 22;

/// The binary of the older release.
fn old_program() -> Result<PathBuf, String> {
    match std::env::var_os("OLD_SUPERVISORD") {
        Some(path) => Ok(path.into()),
        None => {
            println!("OLD_SUPERVISORD is not set: this version is upgraded to itself");
            program(Side::Ours, "supervisord")
        }
    }
}

/// Replaces the binary of a running daemon, as a package manager does.
fn install(host: &Host, from: &Path, binary: &Path) -> Result<(), String> {
    let new = host.place.join("supervisord.new");
    copy(from, &new)?;
    fs::rename(&new, binary).map_err(|error| error.to_string())
}

/// The start time of each process by name. It differs if another process has the PID.
fn start_times(pids: &BTreeMap<String, i64>) -> BTreeMap<String, Option<String>> {
    let start_time = |pid: &i64| proc::stat(i32::try_from(*pid).ok()?, START_TIME);
    pids.iter()
        .map(|(name, pid)| (name.clone(), start_time(pid)))
        .collect()
}

/// The log of a writer with its backups, the oldest first.
fn written(host: &Host, number: usize) -> String {
    let mut text: String = (1..=50)
        .rev()
        .map(|backup| host.place.read(&format!("w{number:02}.{backup}")))
        .collect();
    text.push_str(&host.place.read(&format!("w{number:02}")));
    text
}

/// Waits until each writer has more than this number of lines in its log.
fn wait_lines(host: &Host, lines: usize) -> Result<(), String> {
    for number in 0..WRITERS {
        wait_for(&format!("{lines} lines of w{number:02}"), LIMIT, || {
            written(host, number).lines().count() > lines
        })
        .map_err(|why| format!("{why}; log:\n{}", host.log_end()))?;
    }
    Ok(())
}

/// The number of lines of a log that has every number once, in order, and then the end.
fn complete(text: &str) -> Result<usize, String> {
    let lines: Vec<&str> = text.lines().collect();
    let Some((&"end", numbers)) = lines.split_last() else {
        return Err(format!("the last line is {:?}", lines.last()));
    };
    for (number, line) in numbers.iter().enumerate() {
        expect(
            line.parse() == Ok(number),
            format!("{line:?} where {number} should be"),
        )?;
    }
    Ok(numbers.len())
}

fn under_load() -> Result<Outcome, String> {
    let mut host = Host::new(
        "[program:w]\ncommand={test_child} tell {dir}/stop 1000\nprocess_name=w%(process_num)02d\nnumprocs=50\n\
         startsecs=0\nautorestart=false\nstdout_logfile={dir}/w%(process_num)02d\nstdout_logfile_maxbytes=20000\n\
         stdout_logfile_backups=50\n\
         [program:notifies]\ncommand={test_child} notify 'READY=1\\nSTATUS=well' forever\nnotify=true\n\
         [program:starting]\ncommand={test_child} forever\nstartsecs=3600\n\
         [program:backoff]\ncommand={test_child} exit 1\nstartsecs=1\nstartretries=1000\n\
         [program:echo]\ncommand={test_child} wait {dir}/stop echo\nstartsecs=0\nautorestart=false\nstdout_logfile={dir}/echo\n\
         [program:capture]\ncommand={test_child} part <!--XSUPERVISOR:BEGIN-->in wait {dir}/stop part side<!--XSUPERVISOR:END-->\n\
         startsecs=0\nautorestart=false\nstdout_capture_maxbytes=1KB\n\
         [eventlistener:ear]\ncommand={test_child} listen {dir}/ear.events ok\nevents=PROCESS_COMMUNICATION\n",
    )?;
    let binary = host.place.join("supervisord");
    copy(&old_program()?, &binary)?;
    host.go_from(&binary, |_| {})?;
    let stay = |host: &Host| {
        let mut pids = pids(host)?;
        // It starts again all the time.
        pids.remove("backoff");
        Ok::<_, String>(pids)
    };
    wait_for("all run", LIMIT, || {
        stay(&host).is_ok_and(|pids| pids.len() == 55 && pids.values().all(|&pid| pid != 0))
    })
    .map_err(|why| format!("{why}; log:\n{}", host.log_end()))?;
    host.daemon()?.wait_state("notifies", "RUNNING")?;
    let params = ["echo", "waits\n"].map(|text| Value::Text(text.to_owned()));
    host.daemon()?
        .call("supervisor.sendProcessStdin", &params)
        .map_err(|error| error.to_string())?;
    let (own, before) = (host.daemon()?.pid(), stay(&host)?);
    let started = start_times(&before);
    let new = program(Side::Ours, "supervisord")?;
    // From the old release to this version, and from there to itself.
    for round in 1..=2 {
        wait_lines(&host, round * LINES)?;
        install(&host, &new, &binary)?;
        upgrade(&host)?;
        expect(
            stay(&host)? == before,
            format!("upgrade {round}: other PIDs"),
        )?;
        expect(
            start_times(&before) == started,
            format!("upgrade {round}: other processes"),
        )?;
        expect(
            host.daemon()?.pid() == own && proc::zombies(own) == 0,
            format!("upgrade {round}: the daemon has zombies"),
        )?;
    }
    let running = fs::read(format!("/proc/{own}/exe")).map_err(|error| error.to_string())?;
    let wanted = fs::read(&new).map_err(|error| error.to_string())?;
    expect(running == wanted, "another binary runs")?;
    wait_lines(&host, 3 * LINES)?;
    for (name, state) in [("notifies", "RUNNING"), ("starting", "STARTING")] {
        let found = host.daemon()?.state(name);
        expect(found == state, format!("{name} is {found}"))?;
    }
    host.expect_ctl(&["status", "notifies"], 0, &["RUNNING", "well"])?;
    host.place.write("stop", "")?;
    for number in 0..WRITERS {
        let name = format!("w:w{number:02}");
        host.daemon()?.wait_state(&name, "EXITED")?;
    }
    let mut lines = 0;
    for number in 0..WRITERS {
        lines += complete(&written(&host, number)).map_err(|why| format!("w{number:02}: {why}"))?;
    }
    println!("{lines} lines of {WRITERS} programs, each once");
    host.wait_file("echo", "waits\n")?;
    host.wait_file("ear.events", "inside")?;
    let log = host.place.read("log");
    for unwanted in ["SIGPIPE", "cannot adopt", "lost"] {
        expect(!log.contains(unwanted), format!("{unwanted:?} in {log}"))?;
    }
    let unexpected: Vec<&str> = log
        .lines()
        .filter(|line| line.contains("not expected") && !line.contains("exited: backoff"))
        .collect();
    expect(unexpected.is_empty(), format!("{unexpected:?}"))?;
    host.expect_well()?;
    Ok(Outcome::Passed)
}
