//! Programs whose output says that they are ready (`ready_log`) or in trouble (`health_log`).

use std::fs;

use crate::host::Host;
use crate::support::runner::{Outcome, Trial};
use crate::support::{LIMIT, expect, wait_for};

/// The tests of this file.
pub(crate) fn tests() -> Vec<Trial> {
    vec![
        Trial::new(
            "output_lines::g46_a_line_says_that_a_program_is_ready",
            ready,
        ),
        Trial::new("output_lines::an_upgrade_keeps_half_a_line", upgraded),
        Trial::new(
            "output_lines::a_program_without_its_line_is_not_ready",
            never,
        ),
        Trial::new(
            "output_lines::g45_a_line_makes_a_program_unhealthy",
            unhealthy,
        ),
        Trial::new("output_lines::g45_a_line_restarts_a_program", restarted),
    ]
}

const NONE: &str = "stdout_logfile=NONE\nstderr_logfile=NONE\n";

fn touch(host: &Host, name: &str) -> Result<(), String> {
    fs::write(host.place.join(name), "").map_err(|error| format!("{name}: {error}"))
}

fn shows(host: &Host, name: &str, text: &str) -> Result<(), String> {
    let mut last = String::new();
    wait_for(&format!("{name} shows {text:?}"), LIMIT, || {
        last = host
            .ctl(&["status", name])
            .map(|got| got.stdout)
            .unwrap_or_default();
        last.contains(text)
    })
    .map_err(|why| format!("{why} ({last:?}); log:\n{}", host.log_end()))
}

fn ready() -> Result<Outcome, String> {
    // Without a log, with a rotated one, with captured text, and on standard error in the log of standard output. The
    // text comes without the end of its line, and is short enough for the capture scanner to hold it back.
    let lines = "say starting wait {dir}/go part ' is ready: 80' forever";
    let loud = "part xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx";
    let host = Host::start(&format!(
        "[program-default]\nready_log=ready*80\n\
         [program:none]\ncommand={{test_child}} {lines}\n{NONE}\
         [program:rotated]\ncommand={{test_child}} say starting wait {{dir}}/go {loud} {loud} {loud} say x say 'ready at 80' {loud} forever\n\
         stdout_logfile={{dir}}/rotated.log\nstdout_logfile_maxbytes=20\nstdout_logfile_backups=2\n\
         [program:captured]\ncommand={{test_child}} {lines}\n{NONE}stdout_capture_maxbytes=1KB\n\
         [program:error]\ncommand={{test_child}} err starting wait {{dir}}/go err 'ready: 80' forever\n\
         redirect_stderr=true\nstdout_logfile={{dir}}/error.log\n\
         [program:stderr]\ncommand={{test_child}} err starting wait {{dir}}/go err 'ready: 80' forever\n{NONE}"
    ))?;
    let daemon = host.daemon()?;
    let names = ["none", "rotated", "captured", "error", "stderr"];
    for log in ["rotated", "error"] {
        host.wait_file(&format!("{log}.log"), "starting")?;
    }
    for name in names {
        let state = daemon.state(name);
        expect(state == "STARTING", format!("{name} is {state}"))?;
    }
    touch(&host, "go")?;
    for name in names {
        daemon.wait_state(name, "RUNNING")?;
    }
    let log = host.place.read("log");
    let count = log.matches("process has reported that it is ready").count();
    expect(count == names.len(), &log)?;
    Ok(Outcome::Passed)
}

fn upgraded() -> Result<Outcome, String> {
    let host = Host::start(
        "[program:db]\ncommand={test_child} say starting part 'all is ' touch {dir}/half wait {dir}/go part ready forever\n\
         ready_log=all is ready\nstdout_logfile={dir}/db.log\n",
    )?;
    let daemon = host.daemon()?;
    host.wait_file("db.log", "all is ")?;
    let pid = daemon.pid_of("db");
    host.expect_ctl(&["upgrade"], 0, &["Upgraded supervisord, now "])?;
    let state = daemon.state("db");
    expect(state == "STARTING", state)?;
    touch(&host, "go")?;
    daemon.wait_state("db", "RUNNING")?;
    expect(daemon.pid_of("db") == pid, "it was restarted")?;
    Ok(Outcome::Passed)
}

fn never() -> Result<Outcome, String> {
    let host = Host::start(&format!(
        "[program:db]\ncommand={{test_child}} say 'not yet' forever\nready_log=ready\nready_timeout=1\nstartretries=0\n{NONE}"
    ))?;
    host.daemon()?.wait_state("db", "FATAL")?;
    shows(&host, "db", "Readiness timeout (ready_timeout")?;
    Ok(Outcome::Passed)
}

fn unhealthy() -> Result<Outcome, String> {
    let host = Host::start(&format!(
        "[program:web]\ncommand={{test_child}} say fine wait {{dir}}/sick say 'an ERROR: no db' forever\nstartsecs=0\n\
         health_log=ERROR*db\nhealth_interval=2\non_unhealthy=none\n{NONE}\
         [program:other]\ncommand={{test_child}} forever\nstartsecs=0\n{NONE}\
         [eventlistener:ear]\ncommand={{test_child}} listen {{dir}}/events ok\nevents=PROCESS_HEALTH\nstartsecs=0\n{NONE}"
    ))?;
    host.daemon()?.wait_state("ear", "RUNNING")?;
    shows(&host, "web", ", healthy")?;
    touch(&host, "sick")?;
    host.wait_file("log", "unhealthy: web (pid ")?;
    host.wait_file("events", "log line: an ERROR: no db")?;
    // Nothing has matched for two seconds.
    wait_for("web recovers", LIMIT, || {
        host.place
            .read("log")
            .matches("healthy: web passes")
            .count()
            == 2
    })?;
    let shown = host.ctl(&["status", "--json"])?.stdout;
    let told = |name: &str, health: &str| {
        let process = shown
            .split("\"group\":")
            .find(|part| part.contains(&format!("\"name\":\"{name}\"")));
        process.is_some_and(|part| part.contains(&format!("\"health\":\"{health}\"")))
    };
    expect(told("web", "healthy") && told("other", "none"), &shown)?;
    let events = host.place.read("events");
    expect(
        events.contains("eventname:PROCESS_HEALTH_UNHEALTHY"),
        &events,
    )?;
    Ok(Outcome::Passed)
}

fn restarted() -> Result<Outcome, String> {
    let host = Host::start(&format!(
        "[program:web]\ncommand={{test_child}} wait {{dir}}/sick err 'FATAL: lost' forever\nstartsecs=0\nautorestart=false\n\
         health_log=FATAL\nhealth_start_period=0\n{NONE}"
    ))?;
    let daemon = host.daemon()?;
    daemon.wait_state("web", "RUNNING")?;
    let before = daemon.pid_of("web");
    touch(&host, "sick")?;
    host.wait_file("log", "unhealthy: web (pid ")?;
    fs::remove_file(host.place.join("sick")).map_err(|error| error.to_string())?;
    wait_for("web is restarted", LIMIT, || {
        let pid = daemon.pid_of("web");
        pid != 0 && pid != before
    })
    .map_err(|why| format!("{why}; log:\n{}", host.log_end()))?;
    let log = host.place.read("log");
    let reason = "failed its health check: log line: FATAL: lost";
    expect(log.contains(reason), &log)?;
    Ok(Outcome::Passed)
}
