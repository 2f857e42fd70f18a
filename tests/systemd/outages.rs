//! Events while no daemon runs, or while it exits or starts: programs exit with a status that is logged, write lines
//! that are logged, are started again as their sections say, and none of them runs twice.

use std::collections::BTreeMap;
use std::time::Instant;

use crate::service::{UNIT, ctl, drop_in, install};
use crate::support::machine::{BINARIES, Machine, trial};
use crate::support::runner::Trial;
use crate::support::{LIMIT, expect, wait_for};

/// The tests of this file.
pub(crate) fn tests() -> Vec<Trial> {
    type Test = fn(&Machine) -> Result<(), String>;
    let list: &[(&str, Test)] = &[
        ("exits_during_an_outage_are_reported", ended),
        ("two_hundred_exits_have_their_statuses", many_ends),
        ("a_kill_during_an_upgrade_loses_nothing", upgrades),
        ("kills_at_any_moment_lose_or_repeat_no_line", churn),
        ("twenty_crashes_leave_nothing_open", descriptors),
        ("a_thousand_programs_come_back", thousand),
        ("too_few_descriptors_are_reported", few),
    ];
    list.iter()
        .map(|&(name, test)| trial(format!("outages::{name}"), test))
        .collect()
}

pub(crate) const SCOPE: &str = "supervisord-programs.scope";
const LOG: &str = "/var/log/supervisord.log";

/// The test binary as a program inside the machine.
pub(crate) fn test_child() -> Result<String, String> {
    let own = std::env::current_exe().map_err(|error| error.to_string())?;
    let name = own.file_name().and_then(|name| name.to_str());
    Ok(format!(
        "{BINARIES}/deps/{} test_child",
        name.ok_or("no name of our own")?
    ))
}

/// Starts from nothing with this configuration and these lines in the unit's section `[Service]`. /run/t of the machine
/// exists and is empty.
pub(crate) fn begin(machine: &Machine, unit: &str, programs: &str) -> Result<(), String> {
    install(machine, "", programs)?;
    if !unit.is_empty() {
        drop_in(machine, unit)?;
    }
    machine
        .sh(&format!(
            "systemctl stop {SCOPE} 2>/dev/null || true
             rm -rf /run/t {LOG} /var/log/t-*; mkdir /run/t; systemctl start supervisord"
        ))
        .map(drop)
}

/// The same, and waits until this number of processes run.
pub(crate) fn start(
    machine: &Machine,
    unit: &str,
    programs: &str,
    count: usize,
) -> Result<(), String> {
    begin(machine, unit, programs)?;
    machine.wait_property(UNIT, "StatusText", &format!("{count}/{count} running"))
}

/// The PID of each running process, by name.
pub(crate) fn pids(machine: &Machine) -> Result<BTreeMap<String, String>, String> {
    let status = ctl(machine, "status")?;
    let pid = |line: &str| {
        let (name, rest) = line.split_once(' ')?;
        let (_, pid) = rest.split_once("pid ")?;
        Some((name.to_owned(), pid.split(',').next()?.to_owned()))
    };
    Ok(status.lines().filter_map(pid).collect())
}

/// Kills the daemon and returns its PID.
pub(crate) fn kill(machine: &Machine) -> Result<String, String> {
    let pid = machine.property(UNIT, "MainPID")?;
    machine.sh(&format!("kill -9 {pid}"))?;
    Ok(pid)
}

/// Waits for a daemon other than `old` that is ready.
pub(crate) fn returned(machine: &Machine, old: &str) -> Result<(), String> {
    wait_for("the next daemon", LIMIT, || {
        machine
            .property(UNIT, "MainPID")
            .is_ok_and(|pid| pid != old && pid != "0")
    })?;
    machine.wait_property(UNIT, "ActiveState", "active")
}

/// Waits until exactly these processes run. Returns early when one of them no longer can.
pub(crate) fn same(machine: &Machine, before: &BTreeMap<String, String>) -> Result<(), String> {
    let mut after = BTreeMap::new();
    wait_for("the same processes", LIMIT, || {
        after = pids(machine).unwrap_or_default();
        after.len() >= before.len()
    })
    .map_err(|why| format!("{why}: {after:?} {}", machine.story(UNIT)))?;
    expect(
        after == *before,
        format!("{before:?} became {after:?}: {}", machine.story(UNIT)),
    )
}

pub(crate) fn log(machine: &Machine) -> Result<String, String> {
    machine.sh(&format!("cat {LOG}"))
}

/// Waits until the log has a line this number of times, and never more often.
pub(crate) fn logged(machine: &Machine, wanted: &str, times: usize) -> Result<(), String> {
    let mut text = String::new();
    let found = wait_for(&format!("{times} times {wanted:?}"), LIMIT, || {
        text = log(machine).unwrap_or_default();
        text.matches(wanted).count() >= times
    });
    let count = text.matches(wanted).count();
    let tail: String = text
        .lines()
        .rev()
        .take(60)
        .map(|line| format!("{line}\n"))
        .collect();
    found.map_err(|why| format!("{why}, but {count}: (newest first)\n{tail}"))?;
    expect(
        count == times,
        format!("{count} times {wanted:?}, not {times}:\n{tail}"),
    )
}

/// Random numbers that are the same in each run of the tests.
struct Seeded(u64);

impl Seeded {
    /// A number below `bound`.
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

/// Runs `script` during an outage, and checks that the script ended before the outage did.
pub(crate) fn meanwhile(machine: &Machine, script: &str) -> Result<(), String> {
    let old = kill(machine)?;
    machine.sh(script)?;
    let state = machine.property(UNIT, "SubState")?;
    expect(
        state == "auto-restart",
        format!("the outage was over too early: {state}"),
    )?;
    returned(machine, &old)
}

/// Makes outages long enough for other things to happen in them.
pub(crate) const LONG: &str = "RestartSec=2";

fn ended(machine: &Machine) -> Result<(), String> {
    let test_child = test_child()?;
    let rest = "startsecs=0\nautorestart=false\nstdout_logfile=NONE\n";
    let programs = format!(
        "[program:exits]\ncommand={test_child} wait /run/t/go exit 42\n{rest}\
         [program:killed]\ncommand={test_child} wait /run/t/go kill KILL\n{rest}\
         [program:burst]\ncommand={test_child} wait /run/t/go numbers 0 5000 exit 0\nstartsecs=0\nautorestart=false\n\
         stdout_logfile=/var/log/t-burst\n\
         [program:expected]\ncommand={test_child} wait /run/t/go exit 3\nstartsecs=0\nautorestart=unexpected\nexitcodes=3\n\
         stdout_logfile=NONE\n\
         [program:again]\ncommand=/bin/sh -c 'echo $$; until [ -e /run/t/again ]; do sleep 0.02; done; rm /run/t/again; exit 7'\n\
         startsecs=0\nautorestart=true\nstdout_logfile=/var/log/t-again\n"
    );
    start(machine, LONG, &programs, 5)?;
    let before = pids(machine)?;
    let all: Vec<&str> = before.values().map(String::as_str).collect();
    meanwhile(
        machine,
        &format!(
            "touch /run/t/go /run/t/again; for pid in {}; do while [ -e /proc/$pid ]; do sleep 0.01; done; done",
            all.join(" ")
        ),
    )?;
    for wanted in [
        "exited: exits (exit status 42; not expected)",
        "exited: killed (terminated by SIGKILL; not expected)",
        "exited: burst (exit status 0; expected)",
        "exited: expected (exit status 3; expected)",
        "exited: again (exit status 7; not expected)",
    ] {
        logged(machine, wanted, 1)?;
    }
    let mut status = String::new();
    wait_for("again runs", LIMIT, || {
        status = ctl(machine, "status").unwrap_or_default();
        status.matches("EXITED").count() == 4 && status.matches("RUNNING").count() == 1
    })
    .map_err(|why| format!("{why}: {status}"))?;
    let now = pids(machine)?;
    let runs = machine.sh("cat /var/log/t-again")?;
    expect(
        runs.split_whitespace()
            .eq([before.get("again"), now.get("again")]
                .into_iter()
                .flatten()),
        format!("again ran as {runs:?}, not {before:?}, {now:?}"),
    )?;
    let lines = machine.sh("cat /var/log/t-burst")?;
    let expected: String = (0..5000).map(|n| format!("{n:08}\n")).collect();
    expect(
        lines == expected,
        format!("{} of {} bytes", lines.len(), expected.len()),
    )?;
    machine.sh("systemctl stop supervisord").map(drop)
}

/// All processes of a kind exit at once: during the outage, while the next daemon starts, and when it is ready.
fn many_ends(machine: &Machine) -> Result<(), String> {
    let kinds: String = ["a", "b", "c"]
        .map(|kind| {
            format!(
                "[program:{kind}]\ncommand=/bin/sh -c 'until [ -p /run/t/{kind} ]; do sleep 0.05; done; read x < /run/t/{kind}; exit 7'\n\
                 numprocs=67\nprocess_name=%(process_num)02d\nstartsecs=0\nautorestart=false\nstdout_logfile=NONE\n"
            )
        })
        .concat();
    start(machine, "", &kinds, 201)?;
    let all = machine.sh("mkfifo /run/t/a /run/t/b /run/t/c
         for n in $(seq 400); do
             [ $(grep -l wait_for_partner /proc/[0-9]*/wchan 2>/dev/null | wc -l) -ge 201 ] && break
             sleep 0.05
         done
         grep -l wait_for_partner /proc/[0-9]*/wchan 2>/dev/null | wc -l")?;
    println!("{} of 201 wait", all.trim());
    machine.sh(&format!(
        "main() {{ systemctl show -p MainPID --value {UNIT}; }}
         old=$(main); kill -9 $old; : > /run/t/a
         until now=$(main); [ $now != $old ] && [ $now != 0 ]; do :; done; : > /run/t/b
         until systemctl -q is-active {UNIT}; do :; done; : > /run/t/c"
    ))?;
    logged(machine, "(exit status 7; not expected)", 201)?;
    let text = log(machine)?;
    expect(!text.contains("exit status unknown"), text)?;
    machine.sh("systemctl stop supervisord").map(drop)
}

/// Some programs that number their lines.
fn writers() -> Result<String, String> {
    Ok(format!(
        "[program:w]\ncommand={} tell /run/t/stop 1000\nprocess_name=w%(process_num)d\nnumprocs=5\nstartsecs=0\nautorestart=false\n\
         stdout_logfile=/var/log/t-w%(process_num)d\n",
        test_child()?
    ))
}

/// Stops the [`writers`] and checks that the log has every line of each once.
fn complete(machine: &Machine) -> Result<(), String> {
    machine.sh("touch /run/t/stop")?;
    for n in 0..5 {
        let file = format!("/var/log/t-w{n}");
        let mut text = String::new();
        wait_for(&format!("the end of {file}"), LIMIT, || {
            text = machine.sh(&format!("cat {file}")).unwrap_or_default();
            text.ends_with("end\n")
        })?;
        let count = text.lines().count() - 1;
        for (place, line) in text.lines().take(count).enumerate() {
            expect(
                line == format!("{place:08}"),
                format!("{line:?} in place of {place} in {file}"),
            )?;
        }
        println!("{file}: {count} lines, each once");
    }
    Ok(())
}

fn upgrades(machine: &Machine) -> Result<(), String> {
    start(machine, "RestartSec=0", &writers()?, 5)?;
    let before = pids(machine)?;
    let mut seeded = Seeded(6);
    for round in 1..=8 {
        let old = machine.property(UNIT, "MainPID")?;
        let moment = seeded.below(150);
        machine.sh(&format!(
            "supervisorctl -c /etc/supervisor/supervisord.conf upgrade > /run/t/said 2>&1 & sleep 0.{moment:03}; kill -9 {old}; wait"
        ))?;
        returned(machine, &old)?;
        same(machine, &before)
            .map_err(|why| format!("round {round}, killed after {moment} ms: {why}"))?;
    }
    complete(machine)?;
    machine.sh("systemctl stop supervisord").map(drop)
}

/// Restarts all the time, and reports if it runs twice: the process with the lock is the only one, and the lock ends
/// with the process. The number it prints is counted after it was printed.
const SHORT: &str = "#!/bin/sh
exec 9> /run/t/lock.$1
flock -n 9 || { echo $1 >> /run/t/twice; exit 1; }
n=$(cat /run/t/number.$1 2>/dev/null || echo 0)
echo $((n + 1)) > /run/t/next.$1
mv /run/t/next.$1 /run/t/number.$1
echo $n
exec sleep 1.$1
";
/// Number of these programs. About as many exit and are started each second.
const SHORTS: usize = 60;

fn churn(machine: &Machine) -> Result<(), String> {
    machine.write("/usr/local/bin/t-short", SHORT)?;
    machine.sh("chmod 755 /usr/local/bin/t-short")?;
    begin(
        machine,
        "RestartSec=0",
        &format!(
            "[program:s]\ncommand=/usr/local/bin/t-short %(process_num)02d\nprocess_name=s%(process_num)02d\nnumprocs={SHORTS}\n\
             startsecs=0\nautorestart=true\nstdout_logfile=/var/log/t-s%(process_num)02d\n"
        ),
    )?;
    let mut seeded = Seeded(14);
    for round in 1..=20 {
        let old = machine.property(UNIT, "MainPID")?;
        let moment = 20 + seeded.below(250);
        machine.sh(&format!("sleep 0.{moment:03}; kill -9 {old}"))?;
        returned(machine, &old).map_err(|why| format!("round {round}, {moment} ms: {why}"))?;
    }
    ctl(machine, "stop all")?;
    let status = ctl(machine, "status")?;
    expect(
        status.matches("STOPPED").count() + status.matches("EXITED").count() == SHORTS,
        status,
    )?;
    // The daemon knows all processes.
    let left = machine.sh("pgrep -fa ^/bin/sh./usr/local/bin/t-short || true")?;
    expect(left.is_empty(), format!("left: {left}"))?;
    let twice = machine.sh("cat /run/t/twice 2>/dev/null || true")?;
    expect(twice.is_empty(), format!("ran twice: {twice}"))?;
    let mut runs = 0;
    for n in 0..SHORTS {
        let text = machine.sh(&format!("cat /var/log/t-s{n:02}"))?;
        let count: usize = machine
            .sh(&format!("cat /run/t/number.{n:02}"))?
            .trim()
            .parse()
            .map_err(|_| format!("no number of {n}"))?;
        runs += count;
        // The last one may have been stopped between counting and printing.
        let numbers: Vec<usize> = text.lines().filter_map(|line| line.parse().ok()).collect();
        let is_whole = numbers.iter().copied().eq(0..numbers.len());
        expect(
            is_whole && (numbers.len() == count || numbers.len() + 1 == count),
            format!(
                "s{n} ran {count} times, and said {numbers:?}\n{}",
                log(machine)?
            ),
        )?;
    }
    let text = log(machine)?;
    println!(
        "{runs} runs, strays killed {} times, {} ends are unknown",
        text.matches(": killed ").count(),
        text.matches("exit status unknown").count()
    );
    machine.sh("systemctl stop supervisord").map(drop)
}

fn descriptors(machine: &Machine) -> Result<(), String> {
    let programs = "[program:p]\ncommand=/bin/sleep infinity\nprocess_name=p%(process_num)d\nnumprocs=5\nstartsecs=0\n";
    start(machine, "RestartSec=0", programs, 5)?;
    let before = pids(machine)?;
    let count = |machine: &Machine| {
        machine.sh(&format!(
            "ls /proc/$(systemctl show -p MainPID --value {UNIT})/fd | wc -l
             ls /proc/$(cat /sys/fs/cgroup/system.slice/{SCOPE}/.hold/cgroup.procs)/fd | wc -l
             systemctl show -p NFileDescriptorStore --value {UNIT}"
        ))
    };
    let mut first = None;
    for round in 1..=20 {
        let old = kill(machine)?;
        returned(machine, &old)?;
        same(machine, &before)?;
        let mut now = count(machine)?;
        let first = first.get_or_insert_with(|| now.clone());
        // Descriptors of a connection may still be closing.
        wait_for("as many descriptors as before", LIMIT, || {
            now = count(machine).unwrap_or_default();
            now == *first
        })
        .map_err(|why| format!("{why}: in round {round} {now:?}, at first {first:?}"))?;
    }
    println!("daemon, fd holder, store: {first:?}");
    expect(
        first.is_some_and(|first| first.ends_with("\n1\n")),
        "not one descriptor in the store",
    )?;
    machine.sh("systemctl stop supervisord").map(drop)
}

fn thousand(machine: &Machine) -> Result<(), String> {
    let programs = "[program:p]\ncommand=/bin/sleep infinity\nprocess_name=p%(process_num)04d\nnumprocs=1000\nstartsecs=0\n";
    let begun = Instant::now();
    start(machine, "", programs, 1000)?;
    println!("started within {:?}", begun.elapsed());
    let before = pids(machine)?;
    let begun = Instant::now();
    let old = kill(machine)?;
    returned(machine, &old)?;
    println!("ready again after {:?}", begun.elapsed());
    same(machine, &before)?;
    machine.wait_property(UNIT, "StatusText", "1000/1000 running")?;
    println!("all back after {:?}", begun.elapsed());
    // Processes that the next daemon started have the limit that the first daemon had.
    ctl(machine, "restart p:p0000")?;
    let pid = pids(machine)?
        .remove("p:p0000")
        .ok_or("p0000 does not run")?;
    let limit = machine.sh(&format!("grep 'open files' /proc/{pid}/limits"))?;
    expect(
        limit.split_whitespace().nth(3) == Some("1024"),
        format!("limit of a program: {limit}"),
    )?;
    let begun = Instant::now();
    machine.sh("systemctl stop supervisord")?;
    println!("stopped within {:?}", begun.elapsed());
    Ok(())
}

/// With too small a limit of open files some programs cannot be started, which is logged. The others come back.
fn few(machine: &Machine) -> Result<(), String> {
    install(
        machine,
        "minfds=64",
        "[program:p]\ncommand=/bin/sleep infinity\nprocess_name=p%(process_num)02d\nnumprocs=60\nstartsecs=0\nstartretries=0\n",
    )?;
    drop_in(machine, "LimitNOFILE=128")?;
    machine.sh(&format!("rm -f {LOG}; systemctl start supervisord"))?;
    let mut status = String::new();
    wait_for("each runs or is given up on", LIMIT, || {
        status = ctl(machine, "status").unwrap_or_default();
        let up = status.matches("RUNNING").count();
        up > 0 && up < 60 && up + status.matches("FATAL").count() == 60
    })
    .map_err(|why| format!("{why}: {status}\n{}", machine.story(UNIT)))?;
    let given_up = status.matches("FATAL").count();
    println!("{} of 60 run", 60 - given_up);
    logged(machine, "spawnerr: too many open files to spawn", given_up)?;
    let before = pids(machine)?;
    for round in 1..=2 {
        let old = kill(machine)?;
        returned(machine, &old)?;
        same(machine, &before).map_err(|why| format!("{why} in round {round}"))?;
    }
    machine.sh("systemctl stop supervisord").map(drop)
}
