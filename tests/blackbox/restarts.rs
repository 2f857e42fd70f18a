//! Lists of stop signals, pauses before restarts, and programs whose end ends the daemon.

use std::time::Duration;

use nix::sys::signal::Signal;

use crate::host::Host;
use crate::namespace;
use crate::support::runner::{Outcome, Trial};
use crate::support::wire::Value;
use crate::support::{LIMIT, expect, is_root, wait_for};

/// The tests of this file.
pub(crate) fn tests() -> Vec<Trial> {
    vec![
        Trial::new(
            "restarts::g28_stop_signals_come_stopwaitsecs_apart_then_sigkill",
            stop_signals,
        ),
        Trial::new(
            "restarts::g28_an_upgrade_goes_on_with_the_next_stop_signal",
            stop_signals_across_daemons,
        ),
        Trial::new(
            "restarts::g22_restartpause_is_the_least_time_between_exit_and_restart",
            pause,
        ),
        Trial::new(
            "restarts::t02_the_daemon_exits_with_the_status_of_an_essential_program",
            essential,
        ),
        Trial::new(
            "restarts::t02_an_essential_program_survives_reload_and_upgrade_of_the_daemon",
            across_daemons,
        ),
        Trial::new(
            "restarts::t02_a_fatal_program_ends_the_daemon_after_its_client_is_answered",
            fatal,
        ),
        Trial::new("restarts::t03_exit_when_all_have_exited", all_exited),
        Trial::new(
            "restarts::t08_status_shows_restarts_and_the_last_exit",
            details,
        ),
        Trial::new("restarts::t02_pid_one_exits_with_the_status", pid_one),
        Trial::new(
            "restarts::g63_kill_on_supervisor_exit_kills_with_the_daemon",
            killed_daemon,
        ),
        Trial::new("restarts::t02_a_daemon_in_the_background_exits", detached),
    ]
}

/// The time of the first line of the activity log that contains `text`.
fn time_of(log: &str, text: &str) -> Result<Duration, String> {
    let line = log.lines().find(|line| line.contains(text));
    let line = line.ok_or_else(|| format!("no line with {text:?}:\n{log}"))?;
    // 2026-11-30 15:20:47,123 …
    let number = |from: usize, to: usize| -> Result<u64, String> {
        let digits = line.get(from..to).unwrap_or_default();
        digits.parse().map_err(|error| format!("{line}: {error}"))
    };
    let (day, hour, minute) = (number(8, 10)?, number(11, 13)?, number(14, 16)?);
    let seconds = ((day * 24 + hour) * 60 + minute) * 60 + number(17, 19)?;
    Ok(Duration::from_secs(seconds) + Duration::from_millis(number(20, 23)?))
}

/// Times in the log are rounded down to milliseconds.
const ROUNDING: Duration = Duration::from_millis(1);

fn stop_signals() -> Result<Outcome, String> {
    let host = Host::start(
        "[supervisord]\nloglevel=debug\n\
         [program:stubborn]\ncommand={test_child} on TERM say,T on INT say,I on QUIT say,Q say up forever\n\
         stopsignal=TERM, SIGINT 3\nstopwaitsecs=1\nstdout_logfile={dir}/said\n\
         [program:quick]\ncommand={test_child} sleep 20 exit 0\nautorestart=true\nstartsecs=0\nrestart_floor=0\n\
         stdout_logfile=NONE\nstderr_logfile=NONE\n",
    )?;
    host.wait_file("said", "up\n")?;
    host.expect_ctl(&["stop", "stubborn"], 0, &["stubborn: stopped"])?;
    // The exits of the other program, which are many, do not shorten the waits.
    let said = host.place.read("said");
    expect(said == "up\nT\nI\nQ\n", format!("signals: {said:?}"))?;
    host.wait_file("log", "stopped: stubborn (terminated by SIGKILL)")?;
    let log = host.place.read("log");
    expect(log.matches("exited: quick").count() > 3, "quick was slow")?;
    let names = ["SIGTERM", "SIGINT", "SIGQUIT", "SIGKILL"];
    let times: Vec<Duration> = names
        .iter()
        .map(|name| {
            let line = log.lines().find(|line| {
                line.contains("killing stubborn") && line.ends_with(&format!("with signal {name}"))
            });
            time_of(line.unwrap_or_default(), "killing stubborn")
        })
        .collect::<Result<_, _>>()?;
    for pair in times.windows(2) {
        expect(
            pair[1] + ROUNDING >= pair[0] + Duration::from_secs(1),
            format!("signals too close: {times:?}"),
        )?;
    }
    Ok(Outcome::Passed)
}

fn pause() -> Result<Outcome, String> {
    let host = Host::start(
        "[program:ends]\ncommand={test_child} nth {dir}/n 3,- forever\nstartsecs=0\nrestartpause=2\n\
         [program:fails]\ncommand={test_child} nth {dir}/m 3,3,- forever\nstartsecs=1\nrestart_delay=2\n\
         restart_delay_max=3\n[program:plain]\ncommand={test_child} exit 3\nautorestart=false\nstartsecs=0\n",
    )?;
    wait_for("the next attempt is shown", LIMIT, || {
        let shown = host.ctl(&["status", "fails"]).map(|got| got.stdout);
        shown.is_ok_and(|text| {
            text.contains("BACKOFF")
                && text
                    .contains("Exited too quickly (process log may have details), next attempt in ")
        })
    })?;
    host.daemon()?.wait_state("ends", "RUNNING")?;
    host.daemon()?.wait_state("fails", "RUNNING")?;
    let log = host.place.read("log");
    let spawns = |name: &str, nth: usize| {
        let text = format!("spawned: '{name}'");
        let line = log.lines().filter(|line| line.contains(&text)).nth(nth);
        time_of(line.unwrap_or_default(), &text)
    };
    let gap = spawns("ends", 1)?.saturating_sub(time_of(&log, "exited: ends")?);
    expect(
        gap + ROUNDING >= Duration::from_secs(2),
        format!("restarted after {gap:?}"),
    )?;
    let gaps = [
        spawns("fails", 1)?.saturating_sub(spawns("fails", 0)?),
        spawns("fails", 2)?.saturating_sub(spawns("fails", 1)?),
    ];
    let least = [2, 3].map(Duration::from_secs);
    expect(
        gaps[0] + ROUNDING >= least[0] && gaps[1] + ROUNDING >= least[1],
        format!("retried after {gaps:?}"),
    )?;
    let plain = host.ctl(&["status", "plain"])?.stdout;
    expect(!plain.contains("next attempt"), plain)?;
    Ok(Outcome::Passed)
}

/// The programs of the tests: one whose end counts, and one that is stopped then.
fn two(keys: &str, daemon: &str, then: &str) -> String {
    format!(
        "[supervisord]\n{daemon}\n[program:vital]\ncommand={{test_child}} wait {{dir}}/go {then}\nautorestart=false\n\
         startsecs=0\n{keys}\n[program:other]\ncommand={{test_child}} forever\nstartsecs=0\npriority=5\n"
    )
}

/// Lets the program `vital` end.
fn go(host: &Host) -> Result<(), String> {
    host.daemon()?.wait_state("vital", "RUNNING")?;
    host.daemon()?.wait_state("other", "RUNNING")?;
    host.place.write("go", "")?;
    Ok(())
}

fn expect_exit(host: &mut Host, code: i32) -> Result<(), String> {
    let got = host.daemon.as_mut().ok_or("none")?.wait_exit(LIMIT)?;
    let log = host.place.read("log");
    expect(
        got == code,
        format!("exit status {got}, not {code}:\n{log}"),
    )
}

fn essential() -> Result<Outcome, String> {
    for (keys, daemon, then, code) in [
        ("essential=true", "", "exit 3", 3),
        ("essential=true", "", "kill TERM", 143),
        ("essential=true", "", "exit 0", 0),
        ("", "exit_when=vital", "exit 7", 7),
    ] {
        let mut host = Host::start(&two(keys, daemon, then))?;
        // A stop and a restart by hand are wanted.
        host.expect_ctl(&["stop", "vital"], 0, &["vital: stopped"])?;
        host.expect_ctl(&["start", "vital"], 0, &["vital: started"])?;
        go(&host)?;
        expect_exit(&mut host, code)?;
        let log = host.place.read("log");
        let order = [
            "exited: vital",
            "shutting down with exit status",
            "stopped: other",
        ];
        let places = order.map(|text| log.find(text));
        expect(
            places.iter().all(Option::is_some) && places.is_sorted(),
            format!("{order:?} are not in order:\n{log}"),
        )?;
    }
    let mut host = Host::new(&two("", "exit_when=vitl", "exit 0"))?;
    let refused = host.run(&["-n", "-c", "conf"])?;
    expect(
        refused.code == 2 && refused.stderr.contains("did you mean vital?"),
        format!("{refused:?}"),
    )?;
    host.daemon = None;
    Ok(Outcome::Passed)
}

fn across_daemons() -> Result<Outcome, String> {
    let mut host = Host::start(&two("essential=true", "", "exit 4"))?;
    host.daemon()?.wait_state("vital", "RUNNING")?;
    host.expect_ctl(&["reload"], 0, &["Restarted supervisord"])?;
    wait_for("the next run", LIMIT, || {
        host.place.read("log").matches("spawned: 'vital'").count() == 2
    })?;
    host.expect_ctl(&["upgrade"], 0, &["Upgraded supervisord, now "])?;
    go(&host)?;
    expect_exit(&mut host, 4)?;
    Ok(Outcome::Passed)
}

fn fatal() -> Result<Outcome, String> {
    let mut host = Host::start(
        "[program:vital]\ncommand={test_child} exit 3\nautostart=false\nstartretries=0\non_fatal=shutdown\n",
    )?;
    host.expect_ctl(&["start", "vital"], 7, &["vital: ERROR (spawn error)"])?;
    expect_exit(&mut host, 3)?;
    Ok(Outcome::Passed)
}

fn all_exited() -> Result<Outcome, String> {
    let programs = |code: u8| {
        format!(
            "[supervisord]\nexit_when=all-exited\n\
             [program:a]\ncommand={{test_child}} exit 0\nautorestart=false\nstartsecs=0\n\
             [program:b]\ncommand={{test_child}} wait {{dir}}/go exit {code}\nautorestart=false\nstartsecs=0\n\
             [eventlistener:ear]\ncommand={{test_child}} forever\nevents=TICK_60\n\
             [program:never]\ncommand={{test_child}} forever\nautostart=false\n"
        )
    };
    for (code, status) in [(0, 0), (9, 1)] {
        let mut host = Host::start(&programs(code))?;
        host.wait_file("log", "exited: a (exit status 0; expected)")?;
        host.daemon()?.wait_state("b", "RUNNING")?;
        host.place.write("go", "")?;
        expect_exit(&mut host, status)?;
    }
    Ok(Outcome::Passed)
}

fn pid_one() -> Result<Outcome, String> {
    if !is_root() {
        return Ok(Outcome::Skipped("a PID namespace needs root".to_owned()));
    }
    let Some((mut host, _)) = namespace::container(&two("essential=true", "", "exit 5"))? else {
        return Ok(Outcome::Skipped(
            "this machine allows no PID namespaces".to_owned(),
        ));
    };
    host.wait_file("log", "supervisord started with pid 1\n")?;
    go(&host)?;
    // unshare exits with the status of its child.
    expect_exit(&mut host, 5)?;
    // T01: an orderly stop is no failure.
    let Some((mut host, inside)) = namespace::container(&two("essential=true", "", "exit 5"))?
    else {
        return Err("the second namespace is refused".to_owned());
    };
    host.daemon()?.wait_state("vital", "RUNNING")?;
    let pid = nix::unistd::Pid::from_raw(inside);
    nix::sys::signal::kill(pid, Signal::SIGTERM).map_err(|error| error.to_string())?;
    expect_exit(&mut host, 0)?;
    Ok(Outcome::Passed)
}

fn detached() -> Result<Outcome, String> {
    let host = Host::new(&two("essential=true", "", "exit 6"))?;
    let started = host.run(&["-c", "conf"])?;
    expect(started.code == 0, format!("{started:?}"))?;
    host.wait_file("log", "spawned: 'vital'")?;
    host.wait_file("log", "spawned: 'other'")?;
    let pid = host.place.read("pid");
    host.place.write("go", "")?;
    host.wait_file("log", "shutting down with exit status 6")?;
    wait_for("the daemon is gone", LIMIT, || {
        let own: i32 = pid.trim().parse().unwrap_or(1);
        !host.marked.alive().contains(&own)
    })?;
    expect(!host.place.join("pid").exists(), "the pidfile is left")?;
    Ok(Outcome::Passed)
}

fn killed_daemon() -> Result<Outcome, String> {
    let user = if is_root() { "user=nobody\n" } else { "" };
    let mut host = Host::start(&format!(
        "[program:tied]\ncommand=/bin/sleep 1000\nkill_on_supervisor_exit=true\nstartsecs=0\n{user}\
         [program:free]\ncommand=/bin/sleep 1001\nstartsecs=0\n"
    ))?;
    let daemon = host.daemon()?;
    daemon.wait_state("tied", "RUNNING")?;
    daemon.wait_state("free", "RUNNING")?;
    let pid = |name: &str| -> Result<i32, String> {
        let got = host.ctl(&["pid", name])?.stdout;
        got.trim()
            .parse()
            .map_err(|error| format!("{got}: {error}"))
    };
    let (tied, free) = (pid("tied")?, pid("free")?);
    // An upgrade ends the thread that made the process, so it is refused.
    let refused = host.ctl(&["upgrade"])?;
    expect(
        refused.code != 0
            && refused
                .stdout
                .contains("tied has kill_on_supervisor_exit=true and would be killed"),
        format!("{refused:?}"),
    )?;
    expect(pid("tied")? == tied, "another process")?;
    daemon.signal(Signal::SIGKILL);
    wait_for("the tied process is killed", LIMIT, || {
        !host.marked.alive().contains(&tied)
    })?;
    expect(host.marked.alive().contains(&free), "the other one too")?;
    drop(host.daemon.take());
    Ok(Outcome::Passed)
}

fn details() -> Result<Outcome, String> {
    let host = Host::start(
        "[program:again]\ncommand={test_child} nth {dir}/n 3,4,- forever\nautorestart=true\nstartsecs=0\n\
         [program:bad]\ncommand={dir}/nosuch\nstartretries=0\n[program:fine]\ncommand={test_child} forever\nstartsecs=0\n",
    )?;
    wait_for("two restarts", LIMIT, || {
        host.place.read("log").matches("spawned: 'again'").count() == 3
    })?;
    host.daemon()?.wait_state("bad", "FATAL")?;
    let shown = host.ctl(&["status", "-v", "again", "bad"])?.stdout;
    for part in [
        "    restarts: 2\n",
        "    last exit: exit status 4 · ",
        "    last error: can't find command",
    ] {
        expect(shown.contains(part), format!("no {part:?}: {shown}"))?;
    }
    let json = host.ctl(&["status", "-v", "--json", "fine"])?.stdout;
    expect(
        json.contains("\"restarts\":0,\"lastexit\":\"\",\"nextattempt\":0,\"logtargets\":["),
        json,
    )?;
    let plain = host.ctl(&["status", "fine"])?.stdout;
    expect(plain.lines().count() == 1, plain)?;
    Ok(Outcome::Passed)
}

fn stop_signals_across_daemons() -> Result<Outcome, String> {
    let host = Host::start(
        "[program:stubborn]\ncommand={test_child} on TERM say,T on INT say,I on QUIT say,Q,exit,0 say up forever\n\
         stopsignal=TERM INT QUIT\nstopwaitsecs=2\nstdout_logfile={dir}/said\n",
    )?;
    host.wait_file("said", "up\n")?;
    let params = [Value::Text("stubborn".to_owned()), Value::Bool(false)];
    let daemon = host.daemon()?;
    daemon
        .call("supervisor.stopProcess", &params)
        .map_err(|error| error.to_string())?;
    // The second signal is out, so the next daemon must know that the third one is next.
    host.wait_file("said", "T\nI\n")?;
    host.expect_ctl(&["upgrade"], 0, &["Upgraded supervisord, now "])?;
    host.daemon()?.wait_state("stubborn", "STOPPED")?;
    host.wait_file("log", "stopped: stubborn (exit status 0)")?;
    let said = host.place.read("said");
    expect(said == "up\nT\nI\nQ\n", format!("signals: {said:?}"))?;
    Ok(Outcome::Passed)
}
