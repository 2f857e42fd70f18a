//! Programs with their own cgroups without a service manager, and keys that need a cgroup where there is none.
//! `tests/systemd` tests keys that need controllers or a service manager.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::host::Host;
use crate::support::daemon::{Daemon, Side, program};
use crate::support::runner::{Outcome, Trial};
use crate::support::wire::Address;
use crate::support::{LIMIT, expect, is_root, wait_for};

/// The tests of this file.
pub(crate) fn tests() -> Vec<Trial> {
    vec![
        Trial::new("cgroups::orphans_of_a_stopped_program_are_killed", tree),
        Trial::new("cgroups::orphans_are_killed_before_a_restart", restart),
        Trial::new("cgroups::orphans_keep_running_by_default", left_overs),
        Trial::new("cgroups::a_program_may_change_its_own_cgroup", own_files),
        Trial::new(
            "cgroups::a_cgroup_without_limits_stays_between_instances",
            kept,
        ),
        Trial::new("cgroups::keys_without_effect_are_logged", told),
        Trial::new("cgroups::a_read_only_cgroup_tree_is_not_used", read_only),
    ]
}

/// The mount point of cgroup2, if directories can be made there and the daemon will use it (no systemd here).
pub(crate) fn top() -> Result<PathBuf, Outcome> {
    let skipped = |why: &str| Err(Outcome::Skipped(why.to_owned()));
    if PathBuf::from("/run/systemd/system").is_dir() {
        return skipped("systemd arranges the cgroups of this machine");
    }
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let found = mounts.lines().find_map(|line| {
        let mut words = line.split(' ');
        let (point, kind) = (words.nth(1)?, words.next()?);
        (kind == "cgroup2").then(|| PathBuf::from(point))
    });
    let Some(top) = found else {
        return skipped("no cgroup2 is mounted");
    };
    let trial = top.join(format!("supervisord-trial-{}", std::process::id()));
    match fs::create_dir(&trial).and_then(|()| fs::remove_dir(&trial)) {
        Ok(()) => Ok(top),
        Err(_) => skipped("cgroup2 cannot be written"),
    }
}

/// The cgroup of a process.
fn cgroup_of(pid: i32) -> String {
    let text = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
    let own = text.lines().find_map(|line| line.strip_prefix("0::"));
    own.unwrap_or_default().to_owned()
}

fn is_alive(pid: &str) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| {
        !stat
            .rsplit(") ")
            .next()
            .unwrap_or_default()
            .starts_with('Z')
    })
}

/// Starts a process in its own session that ignores TERM and writes its PID to a file.
const STRAY: &str = "sh -c \"trap \\\"\\\" TERM HUP; (setsid sh -c \\\"echo \\\\$\\\\$ >> {dir}/strays; exec sleep 1000\\\" &) & wait\"";

fn strays(host: &Host) -> Vec<String> {
    let text = host.place.read("strays");
    text.split_whitespace().map(str::to_owned).collect()
}

fn config(keys: &str, then: &str) -> String {
    format!(
        "[program:tree]\ncommand=/bin/sh -c '{STRAY}; {then}'\nstartsecs=0\nstopwaitsecs=1\nstdout_logfile=NONE\n\
         stderr_logfile=NONE\n{keys}\n"
    )
}

const STAYS: &str = "trap \"\" TERM; while :; do sleep 1; done";

fn tree() -> Result<Outcome, String> {
    let top = match top() {
        Ok(top) => top,
        Err(skipped) => return Ok(skipped),
    };
    let mut host = Host::start(&config("kill_mode=control-group", STAYS))?;
    wait_for("a stray", LIMIT, || strays(&host).len() == 1)?;
    let stray = strays(&host).remove(0);
    let cgroup = cgroup_of(stray.parse().map_err(|_| stray.clone())?);
    expect(cgroup.ends_with("/tree:tree"), cgroup.clone())?;
    let begun = Instant::now();
    host.expect_ctl(&["stop", "tree"], 0, &["tree: stopped"])?;
    let took = begun.elapsed();
    expect(!is_alive(&stray), "the orphan runs")?;
    println!("stopped after {took:?}, of which stopwaitsecs is one second");
    expect(
        took >= Duration::from_secs(1),
        format!("killed before stopwaitsecs: after {took:?}"),
    )?;
    let directory = top.join(cgroup.trim_start_matches('/'));
    wait_for("the cgroup is removed", LIMIT, || !directory.exists())?;
    host.wait_file("log", "tree: killed ")?;
    host.expect_well()?;
    Ok(Outcome::Passed)
}

fn restart() -> Result<Outcome, String> {
    if let Err(skipped) = top() {
        return Ok(skipped);
    }
    // Each instance exits by itself and leaves one process behind.
    let mut host = Host::start(&config(
        "kill_mode=control-group\nautorestart=true\nrestart_floor=0",
        "exit 1",
    ))?;
    wait_for("three instances", LIMIT, || strays(&host).len() >= 3)?;
    host.expect_ctl(&["stop", "tree"], 0, &[])?;
    for stray in strays(&host) {
        expect(!is_alive(&stray), format!("{stray} runs"))?;
    }
    host.expect_well()?;
    Ok(Outcome::Passed)
}

fn left_overs() -> Result<Outcome, String> {
    let top = top();
    // With a key that needs a cgroup and some are available, and without any such key: the same.
    for keys in ["", "pids_max=infinity"] {
        let mut host = Host::start(&config(keys, STAYS))?;
        wait_for("a stray", LIMIT, || strays(&host).len() == 1)?;
        host.expect_ctl(&["stop", "tree"], 0, &["tree: stopped"])?;
        expect(is_alive(&strays(&host)[0]), "the stray is dead")?;
        // The next instance shares its cgroup with the remaining process.
        host.expect_ctl(&["start", "tree"], 0, &["tree: started"])?;
        wait_for("another stray", LIMIT, || strays(&host).len() == 2)?;
        let both = strays(&host);
        expect(is_alive(&both[0]), "the first stray is dead")?;
        if top.is_ok() && !keys.is_empty() {
            let of = |pid: &String| cgroup_of(pid.parse().unwrap_or(0));
            expect(of(&both[0]) == of(&both[1]), "they are not in one cgroup")?;
            expect(of(&both[1]).ends_with("/tree:tree"), of(&both[1]))?;
        }
        host.expect_well()?;
    }
    Ok(Outcome::Passed)
}

/// The program moves to another cgroup, makes cgroups below its own, freezes and fills them. A stop always ends in
/// time.
fn own_files() -> Result<Outcome, String> {
    let top = match top() {
        Ok(top) => top,
        Err(skipped) => return Ok(skipped),
    };
    let mine = format!("C={}$(sed -n s/^0:://p /proc/self/cgroup)", top.display());
    let aside = top.join(format!("supervisord-aside-{}", std::process::id()));
    let program = |name: &str, script: &str| {
        format!(
            "[program:{name}]\ncommand=/bin/sh -c '{mine}; {script}; touch {{dir}}/{name}; {STAYS}'\nstartsecs=0\nstopwaitsecs=1\n\
             stdout_logfile=NONE\nredirect_stderr=true\nkill_mode=control-group\n"
        )
    };
    let deep = "mkdir -p $C/a/b/c; sleep 1000 & echo $! > $C/a/b/c/cgroup.procs";
    let frozen =
        "mkdir $C/f; sleep 1000 & echo $! > $C/f/cgroup.procs; echo 1 > $C/f/cgroup.freeze";
    let away = format!("mkdir -p {0}; echo $$ > {0}/cgroup.procs", aside.display());
    let threaded = "mkdir $C/t; echo threaded > $C/t/cgroup.type";
    let mut host = Host::start(
        &(program("deep", deep)
            + &program("frozen", frozen)
            + &program("away", &away)
            + &program("threaded", threaded)),
    )?;
    let names = ["deep", "frozen", "away", "threaded"];
    for _ in 0..2 {
        for name in names {
            wait_for(&format!("{name} is done"), LIMIT, || {
                host.place.join(name).exists()
            })?;
        }
        for name in names {
            // A stop that never ends fails by the client's own time limit.
            host.expect_ctl(&["stop", name], 0, &[&format!("{name}: stopped")])?;
            fs::remove_file(host.place.join(name)).map_err(|e| e.to_string())?;
        }
        host.expect_ctl(&["start", "all"], 0, &[])?;
    }
    host.expect_ctl(&["stop", "all"], 0, &[])?;
    // Other processes of the program there exit a moment after it.
    wait_for("the cgroup aside is free", LIMIT, || {
        fs::remove_dir(&aside).is_ok()
    })?;
    host.expect_well()?;
    Ok(Outcome::Passed)
}

/// A program without limits has one cgroup for all its instances, unless the cgroup was changed. A program with limits
/// gets a new cgroup for each instance, with all counters at zero.
fn kept() -> Result<Outcome, String> {
    let top = match top() {
        Ok(top) => top,
        Err(skipped) => return Ok(skipped),
    };
    let mine = format!("C={}$(sed -n s/^0:://p /proc/self/cgroup)", top.display());
    let program = |name: &str, script: &str, keys: &str| {
        format!(
            "[program:{name}]\ncommand=/bin/sh -c '{mine}; {script}; echo $$ >> {{dir}}/{name}; exec sleep 1000'\n\
             startsecs=0\nstopwaitsecs=1\nstdout_logfile=NONE\nredirect_stderr=true\n{keys}\n"
        )
    };
    let mut host = Host::start(
        &(program("plain", ":", "")
            + &program("divides", "mkdir $C/below", "")
            + &program("frozen", ":", "")
            + &program("limited", ":", "kill_mode=control-group")),
    )?;
    // The directory of the cgroup of a program's last instance, and its inode: no two have the same number.
    let cgroup = |host: &Host, name: &str, lives: usize| {
        let mut pid = None;
        wait_for(&format!("instance {lives} of {name}"), LIMIT, || {
            let text = host.place.read(name);
            let pids: Vec<&str> = text.split_whitespace().collect();
            pid = pids.last().and_then(|pid| pid.parse().ok());
            pids.len() == lives
        })?;
        let cgroup = cgroup_of(pid.unwrap_or(0));
        expect(cgroup.ends_with(&format!("/{name}:{name}")), &cgroup)?;
        let directory = top.join(cgroup.trim_start_matches('/'));
        let number = fs::metadata(&directory).map_err(|e| format!("{cgroup}: {e}"))?;
        Ok::<_, String>((directory, number.ino()))
    };
    let names = ["plain", "divides", "frozen", "limited"];
    let mut before = Vec::new();
    for name in names {
        before.push(cgroup(&host, name, 1)?);
    }
    for lives in 2..=3 {
        fs::write(before[2].0.join("cgroup.freeze"), "1").map_err(|e| e.to_string())?;
        for (place, name) in names.into_iter().enumerate() {
            host.expect_ctl(&["restart", name], 0, &[&format!("{name}: started")])?;
            let now = cgroup(&host, name, lives)?;
            let is_same = now == before[place];
            expect(
                is_same == (name == "plain"),
                format!(
                    "{name}, instance {lives}: {now:?} after {:?}",
                    before[place]
                ),
            )?;
            before[place] = now;
        }
    }
    host.expect_ctl(&["stop", "plain"], 0, &["plain: stopped"])?;
    expect(
        before[0].0.exists(),
        "the cgroup was removed with the process",
    )?;
    host.expect_ctl(&["remove", "plain"], 0, &["plain: removed process group"])?;
    wait_for("the cgroup is removed", LIMIT, || !before[0].0.exists())?;
    host.expect_well()?;
    Ok(Outcome::Passed)
}

fn told() -> Result<Outcome, String> {
    let program = "[program:a]\ncommand=/bin/sleep 1000\nstartsecs=0\nstdout_logfile=NONE\nstderr_logfile=NONE\n";
    // No key needs cgroups, so the log does not mention them.
    let host = Host::start(program)?;
    host.daemon()?.wait_state("a", "RUNNING")?;
    expect(!host.place.read("log").contains("cgroup"), host.log_end())?;
    drop(host);
    let mut host = Host::start(&format!("{program}memory_max=1GB\ncpu_max=50%\n"))?;
    host.daemon()?.wait_state("a", "RUNNING")?;
    let log = host.place.read("log");
    let lines: Vec<&str> = log.lines().filter(|line| line.contains("cgroup")).collect();
    expect(lines.len() == 1, log.clone())?;
    // Where the controllers are available, the log names only the directory.
    let is_told = lines[0].contains("keys without effect: cpu_max, memory_max");
    let has_all = lines[0].contains("programs run in cgroups below /")
        && !lines[0].contains("without effect");
    expect(is_told || has_all, log)?;
    host.expect_well()?;
    Ok(Outcome::Passed)
}

/// As in most containers.
fn read_only() -> Result<Outcome, String> {
    let top = match top() {
        Ok(top) => top,
        Err(skipped) => return Ok(skipped),
    };
    if !is_root() {
        return Ok(Outcome::Skipped("a mount needs root".to_owned()));
    }
    let mut host = Host::new(&config("kill_mode=control-group", STAYS))?;
    // The directory of a previous daemon can be opened and locked, and still not be used.
    let left = top.join("supervisord");
    fs::create_dir_all(&left).map_err(|e| format!("{}: {e}", left.display()))?;
    let unshare = std::path::Path::new("/usr/bin/unshare");
    let mut command = host.marked.command(unshare, host.place.path());
    let script = format!(
        "mount -o remount,bind,ro {} && exec {} -n -c conf",
        top.display(),
        program(Side::Ours, "supervisord")?.display()
    );
    command.args(["-m", "/bin/sh", "-c", &script]);
    let address = Address::Unix(host.place.join("s"));
    let mut daemon = Daemon::spawn(command, host.place.path(), address)?;
    if let Some(code) = daemon.wait_ready(LIMIT)? {
        let why = host.place.read("err");
        if why.contains("unshare") || why.contains("mount:") {
            return Ok(Outcome::Skipped(format!("no mount of our own: {why}")));
        }
        return Err(format!("ended with {code}: {why}"));
    }
    host.daemon = Some(daemon);
    wait_for("a stray", LIMIT, || strays(&host).len() == 1)?;
    let log = host.place.read("log");
    let lines: Vec<&str> = log.lines().filter(|line| line.contains("cgroup")).collect();
    let told = "keys without effect: kill_mode=control-group";
    expect(lines.len() == 1 && lines[0].contains(told), log.clone())?;
    host.expect_ctl(&["stop", "tree"], 0, &["tree: stopped"])?;
    // Without cgroups the process keeps running, as with Supervisor.
    expect(is_alive(&strays(&host)[0]), "the orphan was killed")?;
    host.expect_well()?;
    Ok(Outcome::Passed)
}
