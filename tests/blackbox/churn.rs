//! Counted churn: nothing is lost, and descriptors, memory and zombies do not grow.

use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::host::Host;
use crate::programs::{self, Program};
use crate::support::runner::{Outcome, Trial};
use crate::support::{LIMIT, expect, proc, wait_for};

struct Amounts {
    kills: usize,
    rotations: usize,
    rereads: usize,
    reloads: usize,
    reopens: usize,
}

fn amounts() -> Amounts {
    if std::env::var("CHURN").is_ok_and(|word| word == "full") {
        Amounts {
            kills: 2000,
            rotations: 200,
            rereads: 100,
            reloads: 20,
            reopens: 1000,
        }
    } else {
        Amounts {
            kills: 100,
            rotations: 30,
            rereads: 20,
            reloads: 4,
            reopens: 100,
        }
    }
}

/// The tests of this file.
pub(crate) fn tests() -> Vec<Trial> {
    vec![
        Trial::new("churn::nothing_is_lost_and_nothing_grows", churn),
        Trial::new("churn::reopening_leaks_nothing", reopen),
        Trial::new(
            "churn::a_shutdown_stops_many_programs_in_parallel",
            shutdown_of_many,
        ),
    ]
}

const PROGRAMS: &str = "\
[program:stream]
command={test_child} stream {dir}/number
stdout_logfile={dir}/stream.log
stdout_logfile_maxbytes=2KB
stdout_logfile_backups=5000
startsecs=0
restart_floor=0
[program:steady]
command={test_child} forever
startsecs=0
";

/// All programs. One of them changes in each pass.
fn config(real: &[Program], round: usize) -> String {
    let mut text = format!(
        "{PROGRAMS}[program:changing]\ncommand={{test_child}} forever\nstartsecs=0\npriority={}\n",
        round % 7 + 1
    );
    for program in real {
        text.push_str(&program.section);
        text.push_str("startsecs=0\nrestart_floor=0\n");
    }
    text
}

fn churn() -> Result<Outcome, String> {
    let amounts = amounts();
    let mut host = Host::new("")?;
    let real: Vec<Program> = [programs::redis, programs::nginx, programs::gunicorn]
        .into_iter()
        .filter_map(|lay_out| lay_out(&host).transpose())
        .collect::<Result<_, _>>()?;
    host.configure(&config(&real, 0))?;
    host.go()?;
    let pid = host.daemon()?.pid();
    host.daemon()?.wait_state("stream", "RUNNING")?;
    all_answer(&host, &real)?;
    // The first pass of each kind makes the allocations that happen once.
    for n in 0..20 {
        kill_once(&host, &real, n)?;
    }
    reread(&host, &real, 1)?;
    reload(&host)?;
    all_answer(&host, &real)?;
    let (fds, rss) = (proc::descriptors(pid), proc::resident_kib(pid));
    for n in 0..amounts.kills {
        kill_once(&host, &real, n)?;
        if n % (amounts.kills / amounts.rereads).max(1) == 0 {
            reread(&host, &real, n / (amounts.kills / amounts.rereads).max(1))?;
        }
        if n % (amounts.kills / amounts.reloads).max(1) == 1 {
            reload(&host)?;
        }
    }
    wait_for("enough rotations", Duration::from_secs(300), || {
        backups(&host) >= amounts.rotations
    })
    .map_err(|why| format!("{why}: {}", backups(&host)))?;
    all_answer(&host, &real)?;
    host.expect_ctl(&["stop", "stream"], 0, &["stream: stopped"])?;
    let (fds_after, rss_after) = (proc::descriptors(pid), proc::resident_kib(pid));
    expect(
        fds_after <= fds + 4 && rss_after <= rss + 6 * 1024,
        format!("descriptors {fds} → {fds_after}, resident {rss} → {rss_after} KiB"),
    )?;
    host.expect_well()?;
    unbroken(&host)?;
    Ok(Outcome::Passed)
}

fn backups(host: &Host) -> usize {
    fs::read_dir(host.place.path())
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| {
            entry
                .file_name()
                .to_string_lossy()
                .starts_with("stream.log.")
        })
        .count()
}

fn all_answer(host: &Host, real: &[Program]) -> Result<(), String> {
    for program in real {
        wait_for(&format!("{} answers", program.name), LIMIT, || {
            program.answers()
        })
        .map_err(|why| format!("{why}; log:\n{}", host.log_end()))?;
    }
    Ok(())
}

/// Kills one of the programs, in turn. It must restart, and answer if it is a server. Every twentieth kill hits each of
/// the real programs, because they take a while to start.
fn kill_once(host: &Host, real: &[Program], n: usize) -> Result<(), String> {
    let victim = real.get(n % 20);
    let name = victim.map_or(["stream", "steady"][n % 2], |program| program.name);
    let daemon = host.daemon()?;
    daemon.wait_state(name, "RUNNING")?;
    let old = daemon.pid_of(name);
    if old > 0 {
        let _ = kill(
            Pid::from_raw(old),
            victim.map_or(Signal::SIGKILL, |program| program.fatal),
        );
    }
    wait_for(&format!("{name} restarts"), LIMIT, || {
        let new = daemon.pid_of(name);
        new > 0 && new != old && victim.is_none_or(Program::answers)
    })
    .map_err(|why| format!("{why}; log:\n{}", host.log_end()))
}

fn reread(host: &Host, real: &[Program], round: usize) -> Result<(), String> {
    host.configure(&config(real, round))?;
    host.ctl(&["reread"])?;
    let got = host.ctl(&["update"])?;
    expect(got.code == 0, format!("{got:?}"))?;
    host.daemon()?.wait_state("changing", "RUNNING")
}

fn reload(host: &Host) -> Result<(), String> {
    let daemon = host.daemon()?;
    let old = daemon.pid_of("stream");
    daemon.signal(Signal::SIGHUP);
    wait_for(
        "the daemon restarted its programs",
        Duration::from_secs(60),
        || {
            let new = daemon.pid_of("stream");
            new > 0 && new != old
        },
    )
    .map_err(|why| format!("{why}; log:\n{}", host.log_end()))
}

/// Checks that the numbers in the log are consecutive. The program counts before it writes, in one write: a kill in
/// between skips the number that its next instance finds, and no other. No number is doubled or cut.
fn unbroken(host: &Host) -> Result<(), String> {
    let found = host.place.read("number.lives");
    let found: BTreeSet<u64> = found.lines().flat_map(str::parse).collect();
    let mut text = String::new();
    for n in (1..=5000).rev() {
        if let Ok(part) = fs::read_to_string(host.place.join(&format!("stream.log.{n}"))) {
            text.push_str(&part);
        }
    }
    text.push_str(&host.place.read("stream.log"));
    let mut last = 0u64;
    for line in text.lines() {
        let n: u64 = line
            .parse()
            .map_err(|_| format!("not a number: {line:?}"))?;
        let is_next = n > last && (last + 1..n).all(|missing| found.contains(&missing));
        expect(is_next, format!("{last} is followed by {n}"))?;
        last = n;
    }
    expect(last > 100, format!("only {last} lines"))
}

fn reopen() -> Result<Outcome, String> {
    let amounts = amounts();
    let mut host = Host::start(
        "[program:a]\ncommand={test_child} forever\nstartsecs=0\nstdout_logfile={dir}/a.log\nstderr_logfile={dir}/a.err\n",
    )?;
    host.daemon()?.wait_state("a", "RUNNING")?;
    let pid = host.daemon()?.pid();
    let fds = proc::descriptors(pid);
    for n in 0..amounts.reopens {
        drop(fs::remove_file(host.place.join("a.log")));
        host.daemon()?.signal(Signal::SIGUSR2);
        wait_for(&format!("reopened {n}"), LIMIT, || {
            host.place.join("a.log").exists()
        })?;
    }
    let after = proc::descriptors(pid);
    expect(after <= fds + 2, format!("descriptors {fds} → {after}"))?;
    let deleted = fs::read_dir(format!("/proc/{pid}/fd"))
        .map_err(|e| e.to_string())?
        .flatten()
        .filter_map(|entry| fs::read_link(entry.path()).ok())
        .filter(|link| link.to_string_lossy().ends_with("a.log (deleted)"))
        .count();
    expect(deleted == 0, format!("{deleted} deleted files are held"))?;
    host.expect_well()?;
    Ok(Outcome::Passed)
}

fn shutdown_of_many() -> Result<Outcome, String> {
    const COUNT: u32 = 60;
    // As many groups, with one priority: one after another they would need a minute, which is more than LIMIT.
    let programs: String = (0..COUNT)
        .map(|n| {
            format!(
                "[program:a{n:02}]\ncommand={{test_child}} on TERM sleep,1000,exit,0 forever\nstartsecs=0\n"
            )
        })
        .collect();
    let mut host = Host::start(&programs)?;
    for n in 0..COUNT {
        host.daemon()?.wait_state(&format!("a{n:02}"), "RUNNING")?;
    }
    host.daemon()?.signal(Signal::SIGTERM);
    let code = host.daemon.as_mut().ok_or("none")?.wait_exit(LIMIT)?;
    expect(code == 0, format!("exit status {code}"))?;
    Ok(Outcome::Passed)
}
