//! B3: a daemon that has lost one thread aborts, because half a daemon is worse than none. This costs an idle daemon no
//! wake-ups.

use std::os::unix::process::ExitStatusExt;
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::host::Host;
use crate::support::daemon::wait_exit;
use crate::support::runner::{Outcome, Trial};
use crate::support::{LIMIT, expect, proc, thread, wait_for};

/// Each thread by its name in the kernel, and by its name in the log.
const THREADS: &[(&str, &str)] = &[
    ("main", "engine"),
    ("server", "server"),
    ("output", "output"),
    ("spawn", "spawn"),
    ("heartbeat", "heartbeat"),
];

pub(crate) fn tests() -> Vec<Trial> {
    let mut tests: Vec<Trial> = THREADS
        .iter()
        .map(|&(name, called)| {
            Trial::new(
                format!("trust::b3_a_daemon_whose_{called}_thread_ended_aborts"),
                move || ended(name, called),
            )
        })
        .collect();
    tests.push(Trial::new("trust::b3_an_idle_daemon_never_wakes_up", idle));
    tests
}

const PROGRAMS: &str =
    "[program:quiet]\ncommand=/bin/sleep 1000\nstartsecs=0\nstdout_logfile=NONE\n";

fn ended(name: &str, called: &str) -> Result<Outcome, String> {
    if cfg!(not(target_arch = "x86_64")) {
        return Ok(Outcome::Skipped("only written for x86_64".to_owned()));
    }
    let mut host = Host::start(PROGRAMS)?;
    host.daemon()?.wait_state("quiet", "RUNNING")?;
    let (daemon, program) = (host.daemon()?.pid(), host.daemon()?.pid_of("quiet"));
    thread::end(daemon, name)?;
    let child = &mut host.daemon.as_mut().ok_or("not started")?.child;
    let status = wait_exit(child, LIMIT)
        .map_err(|why| format!("{why}; threads {:?}", thread::all(daemon)))?;
    expect(
        status.signal() == Some(Signal::SIGABRT as i32),
        format!("ended with {status:?}"),
    )?;
    let said = format!("thread {called} has exited: aborting");
    for file in ["log", "err"] {
        let text = host.place.read(file);
        expect(text.contains(&said), format!("{file}: {text}"))?;
    }
    expect(host.place.read("log").contains(" CRIT "), "no CRIT line")?;
    expect(
        proc::stat(program, 3).is_some_and(|state| state != "Z"),
        "the program has ended with the daemon",
    )?;
    Ok(Outcome::Passed)
}

fn idle() -> Result<Outcome, String> {
    let host = Host::start(&format!("{PROGRAMS}[supervisord]\ndbus=off\n"))?;
    host.daemon()?.wait_state("quiet", "RUNNING")?;
    let pid = host.daemon()?.pid();
    let mut counts = (0, 0);
    // Work in progress ends first: an idle connection, a look at threads that were busy a moment ago.
    wait_for("three seconds without a switch", LIMIT, || {
        counts.0 = thread::switches(pid);
        std::thread::sleep(Duration::from_secs(3));
        counts.1 = thread::switches(pid);
        counts.0 == counts.1
    })
    .map_err(|why| format!("{why}: {counts:?} {:?}", thread::all(pid)))?;
    Ok(Outcome::Passed)
}
