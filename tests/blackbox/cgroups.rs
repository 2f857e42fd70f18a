//! Programs with cgroups of their own where no service manager is, and keys that need one where there is none. What needs
//! controllers or a service manager is tried in `tests/systemd`.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::host::Host;
use crate::support::daemon::{Daemon, Side, program};
use crate::support::runner::{Outcome, Trial};
use crate::support::wire::Address;
use crate::support::{LIMIT, expect, is_root, wait_for};

/// All of them.
pub(crate) fn tests() -> Vec<Trial> {
    vec![
        Trial::new("cgroups::what_a_program_leaves_is_killed", tree),
        Trial::new("cgroups::what_a_restart_leaves_is_killed_first", restart),
        Trial::new("cgroups::left_overs_live_on_by_default", left_overs),
        Trial::new(
            "cgroups::a_program_may_do_as_it_likes_with_its_own",
            own_files,
        ),
        Trial::new("cgroups::one_without_limits_stays_between_lives", kept),
        Trial::new("cgroups::keys_without_effect_are_told", told),
        Trial::new("cgroups::a_tree_that_may_only_be_read_is_none", read_only),
    ]
}

/// Where cgroup2 is mounted, if directories can be made there and the daemon will use it: no systemd here.
fn top() -> Result<PathBuf, Outcome> {
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

/// Starts a process in a session of its own, out of every group, that ignores TERM, and says its number in a file.
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
    expect(!is_alive(&stray), "the stray lives")?;
    println!("stopped after {took:?}, of which stopwaitsecs is one second");
    expect(
        took >= Duration::from_secs(1),
        format!("killed before stopwaitsecs: after {took:?}"),
    )?;
    let directory = top.join(cgroup.trim_start_matches('/'));
    wait_for("the cgroup is gone", LIMIT, || !directory.exists())?;
    host.wait_file("log", "tree: killed ")?;
    host.expect_well()?;
    Ok(Outcome::Passed)
}

fn restart() -> Result<Outcome, String> {
    if let Err(skipped) = top() {
        return Ok(skipped);
    }
    // Each instance ends by itself and leaves one behind.
    let mut host = Host::start(&config(
        "kill_mode=control-group\nautorestart=true\nrestart_floor=0",
        "exit 1",
    ))?;
    wait_for("three lives", LIMIT, || strays(&host).len() >= 3)?;
    host.expect_ctl(&["stop", "tree"], 0, &[])?;
    for stray in strays(&host) {
        expect(!is_alive(&stray), format!("{stray} lives"))?;
    }
    host.expect_well()?;
    Ok(Outcome::Passed)
}

fn left_overs() -> Result<Outcome, String> {
    let top = top();
    // With a key that needs a cgroup where there are some, and without any key: the same.
    for keys in ["", "pids_max=infinity"] {
        let mut host = Host::start(&config(keys, STAYS))?;
        wait_for("a stray", LIMIT, || strays(&host).len() == 1)?;
        host.expect_ctl(&["stop", "tree"], 0, &["tree: stopped"])?;
        expect(is_alive(&strays(&host)[0]), "the stray is dead")?;
        // The next instance shares its cgroup with it.
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

/// It moves itself away, makes cgroups below its own, freezes and fills them: whatever it does, a stop ends in time.
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
            // A stop that waits for what does not end fails by the client's own limit.
            host.expect_ctl(&["stop", name], 0, &[&format!("{name}: stopped")])?;
            fs::remove_file(host.place.join(name)).map_err(|e| e.to_string())?;
        }
        host.expect_ctl(&["start", "all"], 0, &[])?;
    }
    host.expect_ctl(&["stop", "all"], 0, &[])?;
    // What the program had running there dies a moment after it.
    wait_for("the cgroup aside is free", LIMIT, || {
        fs::remove_dir(&aside).is_ok()
    })?;
    host.expect_well()?;
    Ok(Outcome::Passed)
}

/// A program without limits has one cgroup for all its instances, unless that is not as it was made. One with limits gets a new one
/// for each, in which nothing was counted.
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
    // The directory of the cgroup of a program's last instance, and which one it is: no two have the same number.
    let cgroup = |host: &Host, name: &str, lives: usize| {
        let mut pid = None;
        wait_for(&format!("life {lives} of {name}"), LIMIT, || {
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
                format!("{name}, life {lives}: {now:?} after {:?}", before[place]),
            )?;
            before[place] = now;
        }
    }
    host.expect_ctl(&["stop", "plain"], 0, &["plain: stopped"])?;
    expect(before[0].0.exists(), "it is gone with the process")?;
    host.expect_ctl(&["remove", "plain"], 0, &["plain: removed process group"])?;
    wait_for("the cgroup is gone", LIMIT, || !before[0].0.exists())?;
    host.expect_well()?;
    Ok(Outcome::Passed)
}

fn told() -> Result<Outcome, String> {
    let program = "[program:a]\ncommand=/bin/sleep 1000\nstartsecs=0\nstdout_logfile=NONE\nstderr_logfile=NONE\n";
    // Nobody asks for cgroups: nothing is said of them.
    let host = Host::start(program)?;
    host.daemon()?.wait_state("a", "RUNNING")?;
    expect(!host.place.read("log").contains("cgroup"), host.log_end())?;
    drop(host);
    let mut host = Host::start(&format!("{program}memory_max=1GB\ncpu_max=50%\n"))?;
    host.daemon()?.wait_state("a", "RUNNING")?;
    let log = host.place.read("log");
    let lines: Vec<&str> = log.lines().filter(|line| line.contains("cgroup")).collect();
    expect(lines.len() == 1, log.clone())?;
    // Where the controllers are, there is nothing to tell but the place.
    let is_told = lines[0].contains("keys without effect: cpu_max, memory_max");
    let has_all = lines[0].contains("programs run in cgroups below /")
        && !lines[0].contains("without effect");
    expect(is_told || has_all, log)?;
    host.expect_well()?;
    Ok(Outcome::Passed)
}

/// As most containers have it.
fn read_only() -> Result<Outcome, String> {
    let top = match top() {
        Ok(top) => top,
        Err(skipped) => return Ok(skipped),
    };
    if !is_root() {
        return Ok(Outcome::Skipped("a mount needs root".to_owned()));
    }
    let mut host = Host::new(&config("kill_mode=control-group", STAYS))?;
    // What a daemon before this one has left can be opened and locked, and still not be used.
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
    // Without cgroups it lives on, as it does with Supervisor.
    expect(is_alive(&strays(&host)[0]), "the stray is gone")?;
    host.expect_well()?;
    Ok(Outcome::Passed)
}
