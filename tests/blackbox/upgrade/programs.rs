//! Programs, their states and their counters after an upgrade.

use std::collections::BTreeMap;
use std::fs;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::{expect_same, pids, upgrade, wait_lines};
use crate::host::Host;
use crate::support::numbered::json_lines;
use crate::support::runner::{Outcome, Trial};
use crate::support::wire::Value;
use crate::support::{LIMIT, expect, proc, wait_for};

/// The tests of this file.
pub(super) fn tests() -> Vec<Trial> {
    vec![
        Trial::new("upgrade::twenty_upgrades_lose_nothing", twenty),
        Trial::new("upgrade::exit_statuses_are_reported_exactly", exits),
        Trial::new("upgrade::deadlines_continue", deadlines),
        Trial::new("upgrade::retries_continue", retries),
        Trial::new("upgrade::exits_during_an_upgrade_are_noticed", short),
        Trial::new("upgrade::fcgi_sockets_stay", fcgi),
        Trial::new("upgrade::signals_in_the_gap_are_not_lost", signals),
        Trial::new(
            "upgrade::a_daemon_in_the_background_finds_its_files",
            background,
        ),
    ]
}

/// The daemon's open descriptors, by kind.
fn descriptors(pid: i32) -> BTreeMap<String, usize> {
    let mut kinds = BTreeMap::new();
    for entry in fs::read_dir(format!("/proc/{pid}/fd"))
        .into_iter()
        .flatten()
        .flatten()
    {
        let name = fs::read_link(entry.path()).unwrap_or_default();
        let name = name.display().to_string();
        // Pipes and sockets have their own inode numbers, and files are identified by name.
        let kind = match name.split_once(":[") {
            Some((kind, number)) if number.ends_with("]") => match kind {
                "anon_inode" => name.clone(),
                _ => kind.to_owned(),
            },
            _ => name,
        };
        *kinds.entry(kind).or_insert(0) += 1;
    }
    kinds
}

/// Every number once, in order, and then the end.
fn numbered(text: &str) -> Result<usize, String> {
    let mut count = 0;
    for line in text.lines() {
        if line == "end" {
            return Ok(count);
        }
        expect(
            line.parse() == Ok(count),
            format!("{line:?} where {count} should be"),
        )?;
        count += 1;
    }
    Err(format!("no end after {count} lines"))
}

fn twenty() -> Result<Outcome, String> {
    let mut host = Host::start(
        "[program:fast]\ncommand={test_child} count {dir}/stop 1000\nprocess_name=f%(process_num)d\nnumprocs=10\n\
         startsecs=0\nautorestart=false\nstdout_logfile={dir}/f%(process_num)d\nstdout_logfile_maxbytes=0\n\
         [program:slow]\ncommand={test_child} tell {dir}/stop 100000\nstartsecs=0\nautorestart=false\n\
         stdout_logfile={dir}/slow\nstdout_logfile_maxbytes=0\n\
         [program:json]\ncommand={test_child} tell {dir}/stop 500\nstartsecs=0\nautorestart=false\n\
         stdout_logfile={dir}/json\nstdout_logfile_maxbytes=0\nstdout_log_format=json\n",
    )?;
    wait_for("all run", LIMIT, || {
        pids(&host).is_ok_and(|pids| pids.len() == 12 && pids.values().all(|&pid| pid != 0))
    })?;
    let before = pids(&host)?;
    let own = host.daemon()?.pid();
    for _ in 0..2 {
        upgrade(&host)?;
    }
    let well = |host: &Host| {
        expect_same(host, &before)?;
        expect(proc::zombies(own) == 0, "there are zombies")
    };
    well(&host)?;
    let (open, memory) = (descriptors(own), proc::resident_kib(own));
    for _ in 2..20 {
        upgrade(&host)?;
    }
    well(&host)?;
    // A connection that is closing is one more for a moment, at the first look too.
    let has_no_more = || {
        let now = descriptors(own);
        now.iter()
            .all(|(kind, count)| open.get(kind).is_some_and(|before| count <= before))
    };
    wait_for("no more descriptors", LIMIT, has_no_more)
        .map_err(|why| format!("{why}: {open:?}, now {:?}", descriptors(own)))?;
    let grown = proc::resident_kib(own).saturating_sub(memory);
    expect(grown < 4096, format!("{grown} KiB more after {memory} KiB"))?;
    host.place.write("stop", "")?;
    wait_for("all end", LIMIT, || {
        pids(&host).is_ok_and(|pids| pids.values().all(|&pid| pid == 0))
    })?;
    for name in (0..10).map(|n| format!("f{n}")).chain(["slow".to_owned()]) {
        numbered(&host.place.read(&name)).map_err(|why| format!("{name}: {why}"))?;
    }
    let lines = json_lines(&host.place.read("json"))?;
    expect(lines > 100, format!("only {lines} JSON lines"))?;
    let pid = fs::read_to_string(host.place.join("pid")).unwrap_or_default();
    expect(pid.trim() == own.to_string(), format!("pidfile: {pid:?}"))?;
    host.expect_well()?;
    Ok(Outcome::Passed)
}

fn exits() -> Result<Outcome, String> {
    let mut host = Host::start(
        "[program:three]\ncommand={test_child} wait {dir}/go exit 3\nstartsecs=0\nautorestart=false\n\
         [program:killed]\ncommand={test_child} forever\nstartsecs=0\nautorestart=false\n\
         [program:again]\ncommand={test_child} forever\nstartsecs=0\nautorestart=unexpected\n\
         [program:expected]\ncommand={test_child} wait {dir}/go exit 5\nstartsecs=0\nautorestart=unexpected\nexitcodes=5\n",
    )?;
    for name in ["three", "killed", "again", "expected"] {
        host.daemon()?.wait_state(name, "RUNNING")?;
    }
    let start = |host: &Host| -> Result<Option<i64>, String> {
        let info = host.daemon()?.info("again").map_err(|e| e.to_string())?;
        Ok(info.get("start").and_then(Value::int))
    };
    let started = start(&host)?;
    upgrade(&host)?;
    expect(
        start(&host)? == started,
        "it seems to have started just now",
    )?;
    host.place.write("go", "")?;
    let kill = |name: &str| {
        let pid = Pid::from_raw(host.daemon()?.pid_of(name));
        kill(pid, Signal::SIGKILL).map_err(|error| error.to_string())
    };
    kill("killed")?;
    let before = host.daemon()?.pid_of("again");
    kill("again")?;
    for line in [
        "exited: three (exit status 3; not expected)",
        "exited: killed (terminated by SIGKILL; not expected)",
        "exited: again (terminated by SIGKILL; not expected)",
        "exited: expected (exit status 5; expected)",
    ] {
        wait_lines(&host, line, 1)?;
    }
    wait_for("it is started again", LIMIT, || {
        host.daemon()
            .is_ok_and(|daemon| ![0, before].contains(&daemon.pid_of("again")))
    })?;
    for (name, status) in [("three", 3), ("killed", -1), ("expected", 5)] {
        host.daemon()?.wait_state(name, "EXITED")?;
        let info = host.daemon()?.info(name).map_err(|e| e.to_string())?;
        let told = info.get("exitstatus").and_then(Value::int);
        expect(told == Some(status), format!("{name}: {told:?}"))?;
    }
    // A process that exited before is still known afterwards.
    upgrade(&host)?;
    let info = host.daemon()?.info("three").map_err(|e| e.to_string())?;
    let told = info.get("exitstatus").and_then(Value::int);
    expect(told == Some(3), format!("three, later: {told:?}"))?;
    host.expect_ctl(&["start", "three"], 0, &["three: started"])?;
    host.expect_well()?;
    Ok(Outcome::Passed)
}

/// `startsecs` and `stopwaitsecs` count from the start or stop, not from the upgrade: the process that began six
/// seconds before the upgrade finishes before the one that began after it and takes four seconds less. Counted from the
/// upgrade it would be the last.
fn deadlines() -> Result<Outcome, String> {
    const BEFORE: Duration = Duration::from_secs(6);
    const LASTS: Duration = Duration::from_secs(16);
    let mut host = Host::start(
        "[program:mule]\ncommand={test_child} ignore TERM forever\nstartsecs=0\nstopwaitsecs=16\n\
         [program:slow]\ncommand={test_child} forever\nstartsecs=16\nautostart=false\n\
         [program:later_mule]\ncommand={test_child} ignore TERM forever\nstartsecs=0\nstopwaitsecs=12\n\
         [program:later_slow]\ncommand={test_child} forever\nstartsecs=12\nautostart=false\n",
    )?;
    for name in ["mule", "later_mule"] {
        host.daemon()?.wait_state(name, "RUNNING")?;
    }
    let mule = host.daemon()?.pid_of("mule");
    let nowait = |method: &str, name: &str| {
        let params = [Value::Text(name.to_owned()), Value::Bool(false)];
        let answer = host.daemon()?.call(method, &params);
        answer.map(drop).map_err(|error| error.to_string())
    };
    let begun = Instant::now();
    nowait("supervisor.stopProcess", "mule")?;
    nowait("supervisor.startProcess", "slow")?;
    host.daemon()?.wait_state("mule", "STOPPING")?;
    host.daemon()?.wait_state("slow", "STARTING")?;
    let slow = host.daemon()?.pid_of("slow");
    wait_for("some of the time is over", LIMIT, || {
        begun.elapsed() >= BEFORE
    })?;
    upgrade(&host)?;
    expect(host.daemon()?.state("mule") == "STOPPING", "not stopping")?;
    expect(host.daemon()?.state("slow") == "STARTING", "not starting")?;
    expect(host.daemon()?.pid_of("slow") == slow, "another process")?;
    nowait("supervisor.stopProcess", "later_mule")?;
    nowait("supervisor.startProcess", "later_slow")?;
    wait_for("the mule is killed", LIMIT, || !proc::alive(mule))?;
    host.daemon()?.wait_state("slow", "RUNNING")?;
    expect(begun.elapsed() >= LASTS, "they were not given their time")?;
    for name in ["mule", "later_mule"] {
        host.daemon()?.wait_state(name, "STOPPED")?;
    }
    host.daemon()?.wait_state("later_slow", "RUNNING")?;
    // The log has the true order, independent of when this test looks.
    let log = host.place.read("log");
    let place = |line: &str| {
        log.find(line)
            .ok_or_else(|| format!("no {line:?} in {log}"))
    };
    for (first, second) in [
        ("killing 'mule'", "killing 'later_mule'"),
        (
            "success: slow entered RUNNING",
            "success: later_slow entered RUNNING",
        ),
    ] {
        expect(
            place(first)? < place(second)?,
            format!("{second} came before {first}: {log}"),
        )?;
    }
    host.expect_well()?;
    Ok(Outcome::Passed)
}

fn retries() -> Result<Outcome, String> {
    let mut host = Host::start(
        "[program:bad]\ncommand={test_child} exit 1\nstartsecs=1\nstartretries=3\nautostart=false\n\
         [program:none]\ncommand={dir}/nosuch\nstartsecs=1\nstartretries=3\n\
         [program:fatal]\ncommand={test_child} exit 1\nstartsecs=1\nstartretries=0\n",
    )?;
    host.daemon()?.wait_state("fatal", "FATAL")?;
    let params = [Value::Text("bad".to_owned()), Value::Bool(false)];
    host.daemon()?
        .call("supervisor.startProcess", &params)
        .map_err(|error| error.to_string())?;
    for _ in 0..3 {
        host.daemon()?.wait_state("bad", "BACKOFF")?;
        upgrade(&host)?;
    }
    host.daemon()?.wait_state("bad", "FATAL")?;
    host.daemon()?.wait_state("none", "FATAL")?;
    expect(
        host.daemon()?.state("fatal") == "FATAL",
        "not fatal any more",
    )?;
    let log = host.place.read("log");
    let count = |text: &str| log.matches(text).count();
    let counts = (
        count("spawned: 'bad'"),
        count("gave up: bad "),
        count("gave up: none "),
    );
    expect(counts == (4, 1, 1), format!("{counts:?}\n{log}"))?;
    host.expect_well()?;
    Ok(Outcome::Passed)
}

/// Processes exit all the time, some of them between two images.
fn short() -> Result<Outcome, String> {
    let mut host = Host::start(
        "[program:short]\ncommand={test_child} sleep %(process_num)d00 exit 0\nprocess_name=s%(process_num)d\nnumprocs=12\n\
         numprocs_start=1\nstartsecs=0\nautorestart=true\n",
    )?;
    for _ in 0..10 {
        upgrade(&host)?;
    }
    let log_before = host.place.read("log").matches("exited: ").count();
    // The daemon knows all of them: each one exits again and again.
    for number in 1..=12 {
        let line = format!("exited: s{number} ");
        let seen = host.place.read("log").matches(&line).count();
        wait_lines(&host, &line, seen + 2)?;
    }
    host.expect_ctl(&["stop", "short:*"], 0, &[])?;
    // The last exits are in the log a moment after the answer.
    let mut log = String::new();
    let count = |log: &str, text: &str| log.matches(text).count();
    let spawned = |log: &str| count(log, "spawned: 's");
    let ended = |log: &str| count(log, "exited: s") + count(log, "stopped: s");
    wait_for("each start has its end in the log", LIMIT, || {
        log = host.place.read("log");
        spawned(&log) == ended(&log)
    })
    .map_err(|why| format!("{why}: {} spawned, {} ended", spawned(&log), ended(&log)))?;
    expect(
        log_before > 0 && count(&log, "terminated by") <= 12,
        "unknown ends",
    )?;
    expect(
        count(&log, "reaped unknown") == 0,
        "a process belonged to no program",
    )?;
    host.expect_well()?;
    Ok(Outcome::Passed)
}

fn fcgi() -> Result<Outcome, String> {
    let mut host = Host::start(
        "[fcgi-program:app]\ncommand={test_child} forever\nprocess_name=app%(process_num)d\nnumprocs=2\n\
         socket=unix://{dir}/app.sock\nstartsecs=0\nautorestart=true\n",
    )?;
    let names = ["app:app0", "app:app1"];
    for name in names {
        host.daemon()?.wait_state(name, "RUNNING")?;
    }
    let socket = |name: &str| {
        let pid = host.daemon()?.pid_of(name);
        let link = fs::read_link(format!("/proc/{pid}/fd/0")).map_err(|e| e.to_string())?;
        Ok::<_, String>(link.display().to_string())
    };
    let first = socket(names[0])?;
    expect(first.starts_with("socket:"), first.clone())?;
    for (round, name) in names.into_iter().enumerate() {
        upgrade(&host)?;
        let pid = host.daemon()?.pid_of(name);
        kill(Pid::from_raw(pid), Signal::SIGKILL).map_err(|error| error.to_string())?;
        wait_for("it restarts", LIMIT, || {
            host.daemon()
                .is_ok_and(|daemon| ![0, pid].contains(&daemon.pid_of(name)))
        })?;
        for name in names {
            // A child before its exec still has the daemon's program.
            wait_for(&format!("{name} has the socket"), LIMIT, || {
                socket(name).as_ref() == Ok(&first)
            })
            .map_err(|why| format!("round {round}: {why}, but {:?}", socket(name)))?;
        }
    }
    upgrade(&host)?;
    let closed = || {
        host.place
            .read("log")
            .matches("INFO Closing socket")
            .count()
    };
    let before = closed();
    host.expect_ctl(&["stop", names[0]], 0, &["stopped"])?;
    expect(closed() == before, "closed though one has it")?;
    upgrade(&host)?;
    host.expect_ctl(&["stop", names[1]], 0, &["stopped"])?;
    wait_for("the last one's end closes it", LIMIT, || {
        closed() == before + 1
    })?;
    host.expect_ctl(&["start", names[0]], 0, &["started"])?;
    host.expect_well()?;
    Ok(Outcome::Passed)
}

/// One of the two images handles each signal during an upgrade. `UPGRADE_SEED` replays.
fn signals() -> Result<Outcome, String> {
    let seed = std::env::var("UPGRADE_SEED")
        .ok()
        .and_then(|text| text.parse().ok());
    let mut random: u64 = seed.unwrap_or_else(|| {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        now.map_or(1, |now| now.subsec_nanos().into())
    });
    let seed = random;
    let mut next = move |below: u64| {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) % below
    };
    let told = |why: String| format!("UPGRADE_SEED={seed}: {why}");
    let mut host = Host::start(
        "[program:one]\ncommand={test_child} forever\nstartsecs=0\n[program:two]\ncommand={test_child} on TERM touch,{dir}/asked,exit,0 forever\n\
         startsecs=0\n",
    )?;
    host.daemon()?.wait_state("two", "RUNNING")?;
    let asked = |host: &Host| {
        let answer = host.daemon()?.call("supervisord.upgrade", &[]);
        answer.map(drop).map_err(|error| error.to_string())
    };
    for count in 1..=12 {
        asked(&host).map_err(told)?;
        std::thread::sleep(Duration::from_micros(next(60_000)));
        host.daemon()?.signal(Signal::SIGUSR2);
        wait_lines(
            &host,
            "received SIGUSR2 indicating log reopen request",
            count,
        )
        .map_err(told)?;
        wait_lines(&host, "re-executed: version", count).map_err(told)?;
    }
    let mut upgrades = 12;
    for count in 1..=4 {
        asked(&host).map_err(told)?;
        std::thread::sleep(Duration::from_micros(next(60_000)));
        let before = host
            .place
            .read("log")
            .matches("supervisord started with pid")
            .count();
        host.daemon()?.signal(Signal::SIGHUP);
        wait_lines(&host, "received SIGHUP indicating restart request", count).map_err(told)?;
        wait_lines(&host, "supervisord started with pid", before + 1).map_err(told)?;
        upgrades += 1;
        host.daemon()?.wait_state("two", "RUNNING").map_err(told)?;
    }
    expect(
        host.place
            .read("log")
            .matches("re-executed: version")
            .count()
            <= upgrades,
        told("too many".to_owned()),
    )?;
    asked(&host).map_err(told)?;
    std::thread::sleep(Duration::from_micros(next(60_000)));
    let daemon = host.daemon.as_mut().ok_or("not started")?;
    daemon.signal(Signal::SIGTERM);
    let code = daemon.wait_exit(LIMIT).map_err(told)?;
    expect(code == 0, told(format!("it ended with {code}")))?;
    expect(
        host.place.join("asked").exists(),
        told("a program was not asked to stop".to_owned()),
    )?;
    for name in ["s", "pid"] {
        expect(
            !host.place.join(name).exists(),
            told(format!("{name} is left")),
        )?;
    }
    wait_for("nothing is left", LIMIT, || host.marked.alive().is_empty())?;
    Ok(Outcome::Passed)
}

/// The daemon started in the background, from another directory, with a relative path. After an upgrade the path means
/// the same.
fn background() -> Result<Outcome, String> {
    let program = "[program:one]\ncommand={test_child} forever\nstartsecs=0\n";
    let host = Host::new(&format!("{program}[supervisord]\ndirectory=/\n"))?;
    let pid = || host.place.read("pid").trim().parse::<i32>().unwrap_or(0);
    let done = host.run(&["-c", "conf"])?;
    expect(done.code == 0, format!("{done:?}"))?;
    let ctl = |args: &[&str], parts: &[&str]| host.expect_ctl(args, 0, parts);
    wait_for("it answers", LIMIT, || {
        host.ctl(&["status", "one"])
            .is_ok_and(|done| done.stdout.contains("RUNNING"))
    })?;
    let own = pid();
    let inode = |name: &str| {
        use std::os::unix::fs::MetadataExt as _;
        fs::metadata(host.place.join(name))
            .map(|meta| meta.ino())
            .unwrap_or(0)
    };
    let socket = inode("s");
    ctl(&["upgrade"], &["Upgraded supervisord, now "])?;
    ctl(&["upgrade"], &["Upgraded supervisord, now "])?;
    expect(pid() == own && proc::alive(own), "another daemon")?;
    expect(inode("s") == socket, "another socket")?;
    ctl(&["reread"], &["No config updates to processes"])?;
    host.configure(&format!(
        "{program}[program:two]\ncommand={{test_child}} forever\nstartsecs=0\n"
    ))?;
    ctl(&["update"], &["two: added process group"])?;
    ctl(&["upgrade"], &["Upgraded supervisord, now "])?;
    ctl(&["status"], &["one", "two"])?;
    ctl(&["reload"], &["Restarted supervisord"])?;
    wait_for("it answers again", LIMIT, || {
        host.ctl(&["status", "two"])
            .is_ok_and(|done| done.stdout.contains("RUNNING"))
    })?;
    expect(pid() == own, "another daemon after reload")?;
    ctl(&["upgrade"], &["Upgraded supervisord, now "])?;
    ctl(&["shutdown"], &["Shut down"])?;
    wait_for("everything has exited", LIMIT, || {
        host.marked.alive().is_empty()
            && ["s", "pid"]
                .iter()
                .all(|name| !host.place.join(name).exists())
    })?;
    Ok(Outcome::Passed)
}
