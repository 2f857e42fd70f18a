//! Programs that send notifications (`notify`, `ready_fd`, `watchdogsecs`), and processes that try to send them for
//! others.

use std::os::unix::process::CommandExt;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::host::Host;
use crate::support::runner::{Outcome, Trial};
use crate::support::wire::Value;
use crate::support::{LIMIT, expect, is_root, notifier, wait_for};

/// The tests of this file.
pub(crate) fn tests() -> Vec<Trial> {
    vec![
        Trial::new("notify::a_program_is_running_after_ready", readiness),
        Trial::new("notify::a_newline_on_ready_fd_is_enough", ready_fd),
        Trial::new("notify::a_readiness_timeout_is_a_failed_start", timeout),
        Trial::new("notify::extend_timeout_extends_the_deadline", extension),
        Trial::new(
            "notify::a_watchdog_timeout_restarts_with_its_reason",
            watchdog,
        ),
        Trial::new(
            "notify::a_stopped_daemon_causes_no_watchdog_timeout",
            frozen,
        ),
        Trial::new("notify::foreign_notifications_are_dropped", forgers),
        Trial::new("notify::ignored_notifications_change_nothing", ignored),
        Trial::new("notify::a_flood_of_notifications_delays_nothing", flood),
        Trial::new("notify::the_real_systemd_notify_works", real_systemd_notify),
        Trial::new("notify::programs_of_other_users_can_notify", other_user),
    ]
}

const QUIET: &str = "stdout_logfile=NONE\nstderr_logfile=NONE\n";

/// The `description` of a process.
fn description(host: &Host, name: &str) -> Result<String, String> {
    let info = host.daemon()?.info(name).map_err(|e| e.to_string())?;
    let text = info.get("description").and_then(|text| text.text());
    Ok(text.unwrap_or_default().to_owned())
}

fn wait_description(host: &Host, name: &str, end: &str) -> Result<(), String> {
    let mut last = String::new();
    wait_for(&format!("{name} reports {end:?}"), LIMIT, || {
        last = description(host, name).unwrap_or_default();
        last.ends_with(end)
    })
    .map_err(|why| format!("{why} (status {last:?}); log:\n{}", host.log_end()))
}

/// The variables of a program that began with `env NOTIFY_SOCKET`.
fn socket_of(host: &Host, log: &str) -> Result<String, String> {
    let mut address = String::new();
    wait_for("the address of a socket", LIMIT, || {
        let text = host.place.read(log);
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix("NOTIFY_SOCKET="));
        address = line.unwrap_or_default().to_owned();
        address.starts_with('@')
    })?;
    Ok(address)
}

fn readiness() -> Result<Outcome, String> {
    let mut host = Host::start(
        "[program:a]\ncommand={test_child} notify STATUS=loading wait {dir}/go notify 'READY=1\\nSTATUS=up\\tand well' \
         barrier wait {dir}/again notify RELOADING=1 wait {dir}/done notify 'READY=1\\nSTATUS=' forever\n\
         notify=true\nautostart=false\nstartsecs=0\nready_timeout=60\nstdout_logfile={dir}/a.log\n\
         [program:b]\ncommand={test_child} env NOTIFY_SOCKET env WATCHDOG_USEC forever\nstdout_logfile={dir}/b.log\n",
    )?;
    let daemon = host.daemon()?;
    daemon.wait_state("b", "RUNNING")?;
    let keys = |name: &str| -> Result<Vec<String>, String> {
        match daemon.info(name).map_err(|e| e.to_string())? {
            Value::Struct(members) => Ok(members.into_keys().collect()),
            other => Err(format!("{other:?}")),
        }
    };
    std::thread::scope(|scope| -> Result<(), String> {
        let start = scope.spawn(|| host.ctl(&["start", "a"]));
        daemon.wait_state("a", "STARTING")?;
        wait_description(&host, "a", "loading")?;
        host.expect_ctl(&["status", "a"], 0, &["STARTING", "loading"])?;
        host.place.write("go", "")?;
        let started = start.join().map_err(|_| "panicked")??;
        expect(started.stdout == "a: started\n", format!("{started:?}"))
    })?;
    expect(daemon.state("a") == "RUNNING", daemon.state("a"))?;
    host.wait_file("a.log", "barrier passed")?;
    wait_description(&host, "a", ", up?and well")?;
    host.expect_ctl(
        &["status", "a"],
        0,
        &["RUNNING", "uptime", ", up?and well\n"],
    )?;
    host.place.write("again", "")?;
    wait_description(&host, "a", ", reloading, up?and well")?;
    expect(daemon.state("a") == "RUNNING", "reloading is RUNNING")?;
    host.place.write("done", "")?;
    wait_for("the description has only the uptime", LIMIT, || {
        description(&host, "a")
            .is_ok_and(|text| text.contains("uptime 0:00:") && text.matches(',').count() == 1)
    })?;
    // No client sees another key.
    expect(keys("a")? == keys("b")?, "the same keys")?;
    let told = host.place.read("b.log");
    expect(
        told == "NOTIFY_SOCKET=(unset)\nWATCHDOG_USEC=(unset)\n",
        told,
    )?;
    host.wait_file(
        "log",
        "success: a entered RUNNING state, process has reported that it is ready",
    )?;
    host.expect_well()?;
    Ok(Outcome::Passed)
}

fn ready_fd() -> Result<Outcome, String> {
    let mut host = Host::start(&format!(
        "[program:a]\ncommand={{test_child}} wait {{dir}}/go newline 5 forever\nready_fd=5\n{QUIET}\
         [program:low]\ncommand={{test_child}} newline 3 forever\nready_fd=3\nstartsecs=0\n{QUIET}\
         [program:high]\ncommand={{test_child}} newline 1023 newline 1023 forever\nready_fd=1023\n{QUIET}\
         [program:never]\ncommand=/bin/sleep 1000\nready_fd=9\nready_timeout=1\nstartretries=0\n{QUIET}"
    ))?;
    let daemon = host.daemon()?;
    daemon.wait_state("low", "RUNNING")?;
    daemon.wait_state("high", "RUNNING")?;
    daemon.wait_state("never", "FATAL")?;
    expect(daemon.state("a") == "STARTING", daemon.state("a"))?;
    host.place.write("go", "")?;
    daemon.wait_state("a", "RUNNING")?;
    for (name, number) in [("a", "5"), ("low", "3"), ("high", "1023")] {
        let pid = daemon.pid_of(name);
        let mut open: Vec<String> = std::fs::read_dir(format!("/proc/{pid}/fd"))
            .map_err(|e| e.to_string())?
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .collect();
        open.sort();
        let mut expected = vec!["0", "1", "2", number];
        expected.sort_unstable();
        expect(open == expected, format!("{name} has {open:?} open"))?;
    }
    host.expect_well()?;
    Ok(Outcome::Passed)
}

fn timeout() -> Result<Outcome, String> {
    let mut host = Host::start(&format!(
        "[program:slow]\ncommand={{test_child}} forever\nnotify=true\nready_timeout=1\nstartretries=0\n{QUIET}\
         [program:bound]\ncommand={{test_child}} forever\nnotify=true\nstartsecs=1\nstartretries=0\n{QUIET}\
         [program:ends]\ncommand={{test_child}} exit 0\nnotify=true\nstartsecs=0\nstartretries=0\n{QUIET}"
    ))?;
    let daemon = host.daemon()?;
    for (name, why) in [
        (
            "slow",
            "Readiness timeout (ready_timeout; process log may have details)",
        ),
        (
            "bound",
            "Readiness timeout (ready_timeout; process log may have details)",
        ),
        (
            "ends",
            "Exited before it was ready (process log may have details)",
        ),
    ] {
        daemon.wait_state(name, "FATAL")?;
        let told = description(&host, name)?;
        expect(told == why, told)?;
    }
    host.wait_file(
        "log",
        ") is not ready after 1 s; stopping it (ready_timeout)",
    )?;
    host.wait_file("log", "exited: slow (terminated by SIGTERM; not expected)")?;
    host.expect_well()?;
    Ok(Outcome::Passed)
}

fn extension() -> Result<Outcome, String> {
    let mut host = Host::start(&format!(
        "[program:a]\ncommand={{test_child}} notify EXTEND_TIMEOUT_USEC=90000000 wait {{dir}}/go notify READY=1 \
         on TERM 'notify+EXTEND_TIMEOUT_USEC=90000000+wait+{{dir}}/bye+exit+0' forever\n\
         notify=true\nready_timeout=1\nstartretries=0\nstopwaitsecs=1\n{QUIET}"
    ))?;
    let daemon = host.daemon()?;
    let lasts = |seconds: i64| {
        let end = Instant::now() + Duration::from_secs(seconds.unsigned_abs());
        wait_for("some time", LIMIT, move || Instant::now() >= end)
    };
    lasts(2)?;
    expect(daemon.state("a") == "STARTING", daemon.state("a"))?;
    host.place.write("go", "")?;
    daemon.wait_state("a", "RUNNING")?;
    std::thread::scope(|scope| -> Result<(), String> {
        let stop = scope.spawn(|| host.ctl(&["stop", "a"]));
        daemon.wait_state("a", "STOPPING")?;
        lasts(2)?;
        expect(daemon.state("a") == "STOPPING", daemon.state("a"))?;
        host.place.write("bye", "")?;
        let stopped = stop.join().map_err(|_| "panicked")??;
        expect(stopped.stdout == "a: stopped\n", format!("{stopped:?}"))
    })?;
    host.wait_file("log", "stopped: a (exit status 0)")?;
    host.expect_well()?;
    Ok(Outcome::Passed)
}

fn watchdog() -> Result<Outcome, String> {
    let mut host = Host::start(&format!(
        "[program:a]\ncommand={{test_child}} env WATCHDOG_USEC env WATCHDOG_PID notify READY=1 beats 200 8 {{dir}}/beats forever\n\
         notify=true\nwatchdogsecs=1\nstdout_logfile={{dir}}/a.log\nstderr_logfile=NONE\n\
         [program:deaf]\ncommand={{test_child}} ignore ABRT notify READY=1 forever\n\
         notify=true\nwatchdogsecs=1\nstopwaitsecs=1\nautorestart=false\n{QUIET}\
         [program:asks]\ncommand={{test_child}} notify READY=1 notify WATCHDOG=trigger forever\n\
         notify=true\nautorestart=false\n{QUIET}"
    ))?;
    host.wait_file(
        "log",
        "sent no keepalive for 1000 ms; killing it with SIGABRT (watchdogsecs)",
    )?;
    wait_for("the reason", LIMIT, || {
        let log = host.place.read("log");
        log.contains("WARN exited: a (terminated by SIGABRT")
            && log.matches("spawned: 'a'").count() >= 2
    })
    .map_err(|why| format!("{why}; log:\n{}", host.log_end()))?;
    // It sent keepalives for longer than that before.
    let beats = host.place.read("beats").len();
    expect(beats >= 8, format!("exited after {beats} keepalives"))?;
    let told = host.place.read("a.log");
    let expected = "WATCHDOG_USEC=1000000\nWATCHDOG_PID=(unset)\n";
    expect(told.starts_with(expected), told)?;
    host.wait_file("log", "exited: deaf (terminated by SIGKILL; not expected)")?;
    host.wait_file("log", "asked to be killed (WATCHDOG=trigger)")?;
    let daemon = host.daemon()?;
    daemon.wait_state("asks", "EXITED")?;
    daemon.wait_state("deaf", "EXITED")?;
    let info = daemon.info("deaf").map_err(|e| e.to_string())?;
    let why = info
        .get("spawnerr")
        .and_then(|text| text.text())
        .unwrap_or_default();
    expect(why == "Watchdog timeout (watchdogsecs)", why)?;
    host.expect_well()?;
    Ok(Outcome::Passed)
}

/// A daemon that was stopped does not blame its programs for missing keepalives.
fn frozen() -> Result<Outcome, String> {
    let mut host = Host::start(&format!(
        "[program:a]\ncommand={{test_child}} notify READY=1 beats 250 1000 {{dir}}/beats\nnotify=true\nwatchdogsecs=1\n{QUIET}\
         [program:b]\ncommand={{test_child}} touch {{dir}}/up wait {{dir}}/go notify READY=1 forever\n\
         notify=true\nready_timeout=2\nstartretries=0\n{QUIET}"
    ))?;
    let daemon = host.daemon()?;
    daemon.wait_state("a", "RUNNING")?;
    let pid = daemon.pid_of("a");
    wait_for("b is up", LIMIT, || host.place.join("up").exists())?;
    let beats = || host.place.read("beats").len();
    daemon.signal(Signal::SIGSTOP);
    host.place.write("go", "")?;
    let before = beats();
    // 2.5 seconds, and room in the queue for ten messages.
    let waited = wait_for("keepalives", LIMIT, || beats() >= before + 10);
    daemon.signal(Signal::SIGCONT);
    waited?;
    daemon.wait_state("b", "RUNNING")?;
    expect(daemon.pid_of("a") == pid, "a has its pid still")?;
    let log = host.place.read("log");
    expect(!log.contains("WARN"), log)?;
    host.expect_well()?;
    Ok(Outcome::Passed)
}

fn forgers() -> Result<Outcome, String> {
    let mut host = Host::start(&format!(
        "[program:a]\ncommand={{test_child}} env NOTIFY_SOCKET wait {{dir}}/go child notify,READY=1,forever forever\n\
         notify=true\nready_timeout=60\nstdout_logfile={{dir}}/a.log\nstderr_logfile=NONE\n\
         [program:b]\ncommand={{test_child}} wait {{dir}}/address join {{dir}}/group notifyto {{dir}}/address READY=1 touch {{dir}}/sent forever\n\
         {QUIET}"
    ))?;
    let address = socket_of(&host, "a.log")?;
    let a = host.daemon()?.pid_of("a");
    // An unrelated process, another program, another user.
    notifier::send(&address, "READY=1").map_err(|e| e.to_string())?;
    host.wait_file(
        "log",
        &format!(
            "a: dropped a notification from process {} (uid {}), which does not belong to a",
            std::process::id(),
            nix::unistd::geteuid()
        ),
    )?;
    // Anybody may join a process group of the session, which all programs share, so the group proves nothing.
    host.place.write("group", &a.to_string())?;
    host.place.write("new", &address)?;
    std::fs::rename(host.place.join("new"), host.place.join("address"))
        .map_err(|e| e.to_string())?;
    wait_for("the other program has sent", LIMIT, || {
        host.place.join("sent").exists()
    })?;
    if is_root() {
        let me = std::env::current_exe().map_err(|e| e.to_string())?;
        let mut command = host.marked.command(&me, host.place.path());
        command
            .args(["test_child", "notify", "READY=1"])
            .env("NOTIFY_SOCKET", &address)
            .current_dir("/")
            .uid(65534)
            .gid(65534);
        let status = command.status().map_err(|e| e.to_string())?;
        expect(status.success(), format!("{status}"))?;
    }
    // Each message is handled before the answer to a later one.
    notifier::send(&address, "MAINPID=1\nSTATUS=mine").map_err(|e| e.to_string())?;
    host.daemon()?
        .call("supervisor.getState", &[])
        .map_err(|e| e.to_string())?;
    expect(host.daemon()?.state("a") == "STARTING", "still STARTING")?;
    expect(
        description(&host, "a")?.is_empty(),
        description(&host, "a")?,
    )?;
    // A descendant may send.
    host.place.write("go", "")?;
    host.daemon()?.wait_state("a", "RUNNING")?;
    expect(host.daemon()?.pid_of("a") == a, "the same process")?;
    host.expect_ctl(&["stop", "a"], 0, &["a: stopped"])?;
    let count = if is_root() { 4 } else { 3 };
    host.wait_file(
        "log",
        &format!("a: dropped {count} notifications from processes that do not belong to a"),
    )?;
    let log = host.place.read("log");
    let lines = log.matches("dropped a notification").count();
    expect(lines == 1, format!("{lines} lines: {log}"))?;
    host.expect_well()?;
    Ok(Outcome::Passed)
}

fn ignored() -> Result<Outcome, String> {
    let mut host = Host::start(
        "[program:a]\ncommand={test_child} notify 'MAINPID=1\\nREADY=1' notify MAINPID=1 notify FDSTORE=1 notify 'WHAT\\nX_A=1' \
         notify NOTIFYACCESS=all notify STATUS=%(program_name)s barrier forever\n\
         notify=true\nstdout_logfile={dir}/a.log\nstderr_logfile=NONE\n",
    )?;
    host.wait_file("a.log", "barrier passed")?;
    let daemon = host.daemon()?;
    daemon.wait_state("a", "RUNNING")?;
    wait_description(&host, "a", ", a")?;
    expect(daemon.pid_of("a") > 1, "its own pid")?;
    let log = host.place.read("log");
    for what in [
        "MAINPID",
        "FDSTORE",
        "with an unknown variable",
        "NOTIFYACCESS",
    ] {
        let line = format!("a: ignored notification {what}");
        let count = log.matches(&line).count();
        expect(count == 1, format!("{count} lines {line:?}: {log}"))?;
    }
    host.expect_well()?;
    Ok(Outcome::Passed)
}

fn flood() -> Result<Outcome, String> {
    let mut host = Host::start(&format!(
        "[program:a]\ncommand={{test_child}} env NOTIFY_SOCKET notify READY=1 floodnotify {{dir}}/enough forever\nnotify=true\n\
         stdout_logfile={{dir}}/a.log\nstderr_logfile=NONE\n\
         [program:b]\ncommand={{test_child}} stream {{dir}}/b.count\nstdout_logfile={{dir}}/b.log\nstderr_logfile=NONE\n\
         [program:c]\ncommand={{test_child}} forever\nstartsecs=0\nautostart=false\n{QUIET}"
    ))?;
    let address = socket_of(&host, "a.log")?;
    host.daemon()?.wait_state("a", "RUNNING")?;
    let enough = host.place.join("enough").display().to_string();
    let result = std::thread::scope(|scope| -> Result<(), String> {
        // An unrelated process floods too.
        let stranger = scope.spawn(|| notifier::flood(&address, &enough));
        let result = (|| {
            wait_description(&host, "a", " flood 999").or_else(|_| {
                let told = description(&host, "a")?;
                expect(told.contains("flood"), told)
            })?;
            let before = host.place.read("b.log").len();
            for _ in 0..20 {
                host.expect_ctl(&["start", "c"], 0, &["c: started"])?;
                host.expect_ctl(&["stop", "c"], 0, &["c: stopped"])?;
            }
            let after = host.place.read("b.log").len();
            expect(after > before, "the output of others flows")
        })();
        host.place.write("enough", "")?;
        stranger.join().map_err(|_| "panicked")?;
        result
    });
    result?;
    host.daemon()?.wait_state("a", "RUNNING")?;
    host.expect_well()?;
    Ok(Outcome::Passed)
}

fn real_systemd_notify() -> Result<Outcome, String> {
    const TOOL: &str = "/usr/bin/systemd-notify";
    if !std::path::Path::new(TOOL).exists() {
        return Ok(Outcome::Skipped(format!("there is no {TOOL}")));
    }
    let mut host = Host::start(&format!(
        "[program:a]\ncommand=/bin/sh -c '{TOOL} --status=\"from a shell\" --ready; while :; do sleep 1000; done'\nnotify=true\n{QUIET}"
    ))?;
    host.daemon()?.wait_state("a", "RUNNING")?;
    wait_description(&host, "a", ", from a shell")?;
    host.expect_well()?;
    Ok(Outcome::Passed)
}

fn other_user() -> Result<Outcome, String> {
    if !is_root() {
        return Ok(Outcome::Skipped("needs root".to_owned()));
    }
    let mut host = Host::start(&format!(
        "[program:a]\ncommand=python3 -c \"{}\"\nuser=nobody\nnotify=true\nready_fd=7\nstartretries=0\n{QUIET}",
        "import os, socket, time; s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); \
         s.sendto(b'READY=1', chr(0) + os.environ['NOTIFY_SOCKET'][1:]); time.sleep(1000)"
    ))?;
    if std::process::Command::new("python3")
        .arg("--version")
        .output()
        .is_err()
    {
        return Ok(Outcome::Skipped("there is no python3".to_owned()));
    }
    host.daemon()?.wait_state("a", "RUNNING")?;
    host.expect_well()?;
    Ok(Outcome::Passed)
}
