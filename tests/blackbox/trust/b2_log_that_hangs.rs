//! A log that hangs holds up only the program that writes there. strace delays each write to it, as a dead network file
//! system does.
//!
//! Supervisor#691, #942, alexsilva/supervisor#50.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::host::Host;
use crate::support::runner::{Outcome, Trial};
use crate::support::wire::{self, Value};
use crate::support::{LIMIT, expect, wait_for};

/// The tests of this file.
pub(crate) fn tests() -> Vec<Trial> {
    type Test = fn() -> Result<Outcome, String>;
    let list: &[(&str, Test)] = &[
        ("others_exit_and_start_in_time", others),
        ("logs_of_others_are_not_delayed", logs_of_others),
        ("a_dead_program_is_not_shown_as_running", own),
        ("no_output_is_lost_or_repeated", complete),
        ("many_hanging_logs_use_a_bounded_number_of_threads", many),
        ("a_stalled_activity_log_delays_nothing", activity),
        ("a_shutdown_does_not_wait_for_a_hanging_log", ending),
    ];
    list.iter()
        .map(|&(name, test)| Trial::new(format!("trust::b2_{name}"), test))
        .collect()
}

/// An operation that waits for a stalled write takes ten seconds or more. A shorter one did not wait. On an idle
/// machine it takes some hundredths of a second.
const HANG: Duration = Duration::from_secs(9);
/// How long strace may take to exit.
const STRACE_ENDS: Duration = Duration::from_secs(3);

/// Makes the daemon's writes to some files take an hour, until it drops.
pub(crate) struct Stall(Child);

impl Stall {
    /// `None`: this host does not let one process trace another.
    pub(crate) fn begin(host: &Host, files: &[PathBuf]) -> Result<Option<Self>, String> {
        let pid = host.daemon()?.pid();
        let mut command = Command::new("strace");
        command.args(["-f", "-qq", "-o", "/dev/null", "-e", "trace=write"]);
        command.args(["-e", "inject=write:delay_enter=3600000000"]);
        for file in files {
            command.arg("-P").arg(file);
        }
        command.args(["-p", &pid.to_string()]);
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let Ok(child) = child else { return Ok(None) };
        let mut stall = Self(child);
        let mut is_gone = false;
        wait_for("all threads are traced", LIMIT, || {
            is_gone = !matches!(stall.0.try_wait(), Ok(None));
            is_gone || is_traced(pid)
        })?;
        Ok((!is_gone).then_some(stall))
    }
}

impl Drop for Stall {
    fn drop(&mut self) {
        // strace detaches from its processes, and delayed threads continue. strace does not exit by itself if its
        // process is exiting too.
        let pid = nix::unistd::Pid::from_raw(i32::try_from(self.0.id()).unwrap_or(0));
        let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGINT);
        let has_ended = || !matches!(self.0.try_wait(), Ok(None));
        if wait_for("strace ends", STRACE_ENDS, has_ended).is_err() {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }
}

/// Every thread of this process is traced.
fn is_traced(pid: i32) -> bool {
    let Ok(threads) = std::fs::read_dir(format!("/proc/{pid}/task")) else {
        return false;
    };
    threads.flatten().all(|thread| {
        let status = std::fs::read_to_string(thread.path().join("status")).unwrap_or_default();
        let tracer = status
            .lines()
            .find_map(|line| line.strip_prefix("TracerPid:"));
        tracer.is_some_and(|tracer| tracer.trim() != "0")
    })
}

fn skipped() -> Result<Outcome, String> {
    Ok(Outcome::Skipped(
        "no strace, or no right to trace".to_owned(),
    ))
}

/// A program that writes a numbered line each hundredth of a second, until DIR/NAME.stop exists.
fn writer(name: &str, log: &str) -> String {
    format!(
        "[program:{name}]\ncommand={{test_child}} tell {{dir}}/{name}.stop 10000 forever\nstartsecs=0\nstdout_logfile={log}\n"
    )
}

fn sleeper(name: &str, log: &str) -> String {
    format!(
        "[program:{name}]\ncommand=/bin/sleep 1000\nstartsecs=0\nrestart_floor=0\nstdout_logfile={log}\nstderr_logfile={log}\n"
    )
}

/// Waits until the log of a writer no longer grows, which means that a write to it hangs.
fn wait_hung(host: &Host, name: &str) -> Result<(), String> {
    let size = || std::fs::metadata(host.place.join(name)).map_or(0, |meta| meta.len());
    let (mut last, mut since) = (size(), Instant::now());
    wait_for(&format!("the log of {name} no longer grows"), LIMIT, || {
        let now = size();
        if now != last {
            (last, since) = (now, Instant::now());
        }
        since.elapsed() > Duration::from_millis(200)
    })
}

/// Kills a program and returns how long its restart took.
fn kill_and_wait(host: &Host, name: &str) -> Result<Duration, String> {
    let daemon = host.daemon()?;
    let before = daemon.pid_of(name);
    let begun = Instant::now();
    nix::sys::signal::kill(
        nix::unistd::Pid::from_raw(before),
        nix::sys::signal::Signal::SIGKILL,
    )
    .map_err(|error| format!("cannot kill {name}, {before}: {error}"))?;
    wait_for(&format!("another {name}"), LIMIT, || {
        let pid = daemon.pid_of(name);
        pid != before && pid != 0
    })
    .map_err(|why| format!("{why}; log:\n{}", host.log_end()))?;
    Ok(begun.elapsed())
}

fn call(host: &Host, method: &str, name: &str) -> Result<(), String> {
    let name = Value::Text(name.to_owned());
    let answer = host.daemon()?.call(method, &[name]);
    answer
        .map(drop)
        .map_err(|error| format!("{method}: {error}"))
}

fn in_time(what: &str, took: Duration) -> Result<(), String> {
    println!("{what}: {} ms", took.as_millis());
    expect(took < HANG, format!("{what}: {took:?}"))
}

fn others() -> Result<Outcome, String> {
    let host = Host::start(&format!(
        "{}{}{}",
        writer("a", "{dir}/a.log"),
        sleeper("b", "AUTO"),
        sleeper("d", "NONE")
    ))?;
    host.wait_file("a.log", "00000010")?;
    let Some(_stall) = Stall::begin(&host, &[host.place.join("a.log")])? else {
        return skipped();
    };
    wait_hung(&host, "a.log")?;
    for name in ["d", "b"] {
        for _ in 0..3 {
            let took = kill_and_wait(&host, name)?;
            in_time(&format!("{name} was killed and has restarted"), took)?;
        }
        let begun = Instant::now();
        call(&host, "supervisor.stopProcess", name)?;
        call(&host, "supervisor.startProcess", name)?;
        in_time(&format!("{name} was stopped and started"), begun.elapsed())?;
    }
    host.wait_file("log", "a: writing a log has blocked for")?;
    Ok(Outcome::Passed)
}

fn logs_of_others() -> Result<Outcome, String> {
    let host = Host::start(&format!(
        "{}[program:b]\ncommand=/bin/cat\nstartsecs=0\nstdout_logfile={{dir}}/b.log\n",
        writer("a", "{dir}/a.log"),
    ))?;
    host.wait_file("a.log", "00000010")?;
    let Some(_stall) = Stall::begin(&host, &[host.place.join("a.log")])? else {
        return skipped();
    };
    let mut worst = Duration::ZERO;
    for number in 0..50 {
        let text = format!("line {number}\n");
        let arguments = [Value::Text("b".to_owned()), Value::Text(text.clone())];
        let begun = Instant::now();
        let sent = host
            .daemon()?
            .call("supervisor.sendProcessStdin", &arguments);
        sent.map_err(|error| error.to_string())?;
        host.wait_file("b.log", &text)?;
        worst = worst.max(begun.elapsed());
    }
    in_time("the latest of fifty lines", worst)?;
    wait_hung(&host, "a.log")?;
    Ok(Outcome::Passed)
}

fn own() -> Result<Outcome, String> {
    let host = Host::start(
        &writer("a", "{dir}/a.log").replace("startsecs=0", "startsecs=0\nautorestart=false"),
    )?;
    host.wait_file("a.log", "00000010")?;
    let Some(stall) = Stall::begin(&host, &[host.place.join("a.log")])? else {
        return skipped();
    };
    wait_hung(&host, "a.log")?;
    let daemon = host.daemon()?;
    let pid = daemon.pid_of("a");
    let begun = Instant::now();
    let killed = nix::sys::signal::kill(
        nix::unistd::Pid::from_raw(pid),
        nix::sys::signal::Signal::SIGKILL,
    );
    killed.map_err(|error| error.to_string())?;
    daemon.wait_state("a", "EXITED")?;
    in_time("the end of a was seen", begun.elapsed())?;
    host.wait_file("log", "exited: a (terminated by SIGKILL; not expected)")?;
    // The next instance waits for the log, and a stop calls it off. Another one begins when the log answers.
    let address = daemon.address.clone();
    let start = move || {
        let name = Value::Text("a".to_owned());
        let _ = wire::call(&address, "supervisor.startProcess", &[name]);
    };
    let called_off = std::thread::spawn(start.clone());
    daemon.wait_state("a", "STARTING")?;
    call(&host, "supervisor.stopProcess", "a")?;
    daemon.wait_state("a", "STOPPED")?;
    let wanted = std::thread::spawn(start);
    daemon.wait_state("a", "STARTING")?;
    drop(stall);
    daemon.wait_state("a", "RUNNING")?;
    for client in [called_off, wanted] {
        client.join().map_err(|_| "a client panicked".to_owned())?;
    }
    // All lines of the first instance come before those of the second.
    host.place.write("a.stop", "")?;
    host.wait_file("a.log", "end\n")?;
    let text = host.place.read("a.log");
    let numbers: Vec<u64> = text.lines().filter_map(|line| line.parse().ok()).collect();
    let begins = numbers.iter().filter(|&&number| number == 0).count();
    let steps = numbers
        .windows(2)
        .all(|pair| pair[1] == pair[0] + 1 || pair[1] == 0);
    expect(begins == 2 && steps, text)?;
    Ok(Outcome::Passed)
}

/// The log of a writer has every line once.
fn expect_complete(host: &Host, name: &str) -> Result<(), String> {
    host.place.write(&format!("{name}.stop"), "")?;
    host.wait_file(&format!("{name}.log"), "end\n")?;
    let text = host.place.read(&format!("{name}.log"));
    for (number, line) in text.lines().enumerate() {
        let expected = format!("{number:08}");
        expect(
            line == expected || line == "end",
            format!("{name}: {line} where {expected} should be"),
        )?;
    }
    Ok(())
}

fn complete() -> Result<Outcome, String> {
    let host = Host::start(&format!(
        "{}{}",
        writer("a", "{dir}/a.log"),
        writer("b", "{dir}/b.log")
    ))?;
    for round in 1..=3 {
        host.wait_file("a.log", &format!("{:08}", round * 50))?;
        let Some(stall) = Stall::begin(&host, &[host.place.join("a.log")])? else {
            return skipped();
        };
        wait_hung(&host, "a.log")?;
        drop(stall);
    }
    for name in ["a", "b"] {
        expect_complete(&host, name)?;
    }
    Ok(Outcome::Passed)
}

/// Number of threads of a process.
fn threads(pid: i32) -> usize {
    std::fs::read_dir(format!("/proc/{pid}/task")).map_or(0, Iterator::count)
}

fn many() -> Result<Outcome, String> {
    let shm = Path::new("/dev/shm");
    if !shm.is_dir() {
        return Ok(Outcome::Skipped("no second file system".to_owned()));
    }
    let other = shm.join(format!("supervisord-trust-b2-{}.log", std::process::id()));
    let log = other.display().to_string();
    let mut config = sleeper("d", "NONE")
        + &format!(
            "[program:c]\ncommand={{test_child}} tell {{dir}}/c.stop 10000 forever\nstartsecs=0\nstdout_logfile={log}\n"
        );
    let names: Vec<String> = (0..12).map(|number| format!("w{number}")).collect();
    for name in &names {
        config += &writer(name, &format!("{{dir}}/{name}.log"));
    }
    let host = Host::start(&config)?;
    for name in &names {
        host.wait_file(&format!("{name}.log"), "00000010")?;
    }
    let before = threads(host.daemon()?.pid());
    let files: Vec<PathBuf> = names
        .iter()
        .map(|name| host.place.join(&format!("{name}.log")))
        .collect();
    let Some(stall) = Stall::begin(&host, &files)? else {
        return skipped();
    };
    for name in &names {
        wait_hung(&host, &format!("{name}.log"))?;
    }
    let size = || std::fs::metadata(&other).map_or(0, |meta| meta.len());
    let then = size();
    wait_for("the other file system's log grows", LIMIT, || {
        size() > then + 100
    })?;
    let took = kill_and_wait(&host, "d")?;
    in_time("d was killed and is there again", took)?;
    let after = threads(host.daemon()?.pid());
    println!("{before} threads, then {after}");
    expect(after <= before + 6, format!("{after} threads"))?;
    let begun = Instant::now();
    let pid = host.daemon()?.pid_of("w11");
    call(&host, "supervisor.stopProcess", "w11")?;
    in_time("one of them was stopped", begun.elapsed())?;
    expect(!crate::support::proc::alive(pid), "it lives")?;
    drop(stall);
    for name in &names[..11] {
        expect_complete(&host, name)?;
    }
    drop(host);
    let _ = std::fs::remove_file(other);
    Ok(Outcome::Passed)
}

fn activity() -> Result<Outcome, String> {
    let host = Host::start(&format!(
        "{}{}",
        writer("a", "{dir}/a.log"),
        sleeper("d", "NONE")
    ))?;
    host.wait_file("a.log", "00000010")?;
    let Some(stall) = Stall::begin(&host, &[host.place.join("log")])? else {
        return skipped();
    };
    for _ in 0..5 {
        let took = kill_and_wait(&host, "d")?;
        in_time("d was killed and is there again", took)?;
    }
    let size = || std::fs::metadata(host.place.join("a.log")).map_or(0, |meta| meta.len());
    let then = size();
    wait_for("the log of a grows", LIMIT, || size() > then + 100)?;
    drop(stall);
    wait_for("every line is in the log", LIMIT, || {
        host.place.read("log").matches("exited: d").count() == 5
    })?;
    // In the order in which they were logged.
    let text = host.place.read("log");
    let said: Vec<&str> = text
        .lines()
        .filter_map(|line| {
            let words = ["spawned: 'd'", "exited: d"];
            words.into_iter().find(|word| line.contains(word))
        })
        .collect();
    let is_in_turn = said.windows(2).all(|pair| pair[0] != pair[1]);
    expect(is_in_turn && said.len() == 11, text)?;
    Ok(Outcome::Passed)
}

fn ending() -> Result<Outcome, String> {
    let mut host = Host::start(&format!(
        "{}{}",
        writer("a", "{dir}/a.log"),
        sleeper("d", "NONE")
    ))?;
    host.wait_file("a.log", "00000010")?;
    let Some(stall) = Stall::begin(&host, &[host.place.join("a.log")])? else {
        return skipped();
    };
    wait_hung(&host, "a.log")?;
    let begun = Instant::now();
    let daemon = host.daemon.as_mut().ok_or("not started")?;
    daemon.signal(nix::sys::signal::Signal::SIGTERM);
    host.wait_file("log", "a: writing a log still blocks at exit")?;
    wait_for("the pidfile is removed", LIMIT, || {
        !host.place.join("pid").exists()
    })?;
    in_time("a shutdown", begun.elapsed())?;
    // Only now: a process cannot exit while strace holds one of its threads.
    drop(stall);
    let daemon = host.daemon.as_mut().ok_or("not started")?;
    daemon.wait_exit(LIMIT).map(|_| Outcome::Passed)
}
