//! The actions that tell what is configured and what happened: `config`, `diff`, `history`, `why`.

use serde_json::Value as Json;

use crate::host::Host;
use crate::support::runner::{Outcome, Trial};
use crate::support::{LIMIT, daemon::Finished};
use crate::support::{expect, wait_for};
use crate::trust::terminal::Terminal;

/// The tests of this file.
pub(crate) fn tests() -> Vec<Trial> {
    vec![
        Trial::new(
            "inquiries::a_configuration_is_shown_and_compared",
            configuration,
        ),
        Trial::new("inquiries::requests_and_ends_are_told", past),
        Trial::new("inquiries::a_process_on_hold_is_left_alone", holds),
    ]
}

const PROGRAMS: &str = "[program:web]\ncommand=sleep 1000\nstartsecs=0\nenvironment=API_KEY=\"s3cret\",LANG=\"C\"\n\
    [program:many]\ncommand=sleep 100%(process_num)d\nprocess_name=%(process_num)d\nnumprocs=2\nstartsecs=0\n\
    [program:bad]\ncommand=sh -c \"echo broken >&2; exit 14\"\nautostart=false\nstartretries=2\n";

fn json(got: &Finished) -> Result<Json, String> {
    expect(
        got.stdout.trim_end().lines().count() == 1,
        format!("{got:?}"),
    )?;
    let value: Json =
        serde_json::from_str(&got.stdout).map_err(|error| format!("{error}: {got:?}"))?;
    expect(value["schema"] == 1, format!("{got:?}"))?;
    Ok(value)
}

fn configuration() -> Result<Outcome, String> {
    let host = Host::start(PROGRAMS)?;
    host.daemon()?.wait_state("web", "RUNNING")?;
    let got = host.ctl(&["config", "web", "many:1"])?;
    for part in [
        "web: [program:web]\ncommand=sleep 1000  (",
        "(conf:12)\n",
        "API_KEY=********",
        "many:1: [program:many], one of 2 processes\n",
        "    -> sleep 1001\n",
    ] {
        expect(got.stdout.contains(part), format!("{part:?}: {got:?}"))?;
    }
    expect(
        got.code == 0 && !got.stdout.contains("s3cret") && !got.stdout.contains("stopwaitsecs"),
        format!("{got:?}"),
    )?;
    host.expect_ctl(
        &["config", "--all", "web"],
        0,
        &["stopwaitsecs=10  (default)\n"],
    )?;
    let shown = json(&host.ctl(&["config", "web", "--json"])?)?;
    let keys = shown["processes"][0]["keys"].as_array().ok_or("no keys")?;
    let command = keys.iter().find(|key| key["key"] == "command");
    expect(
        command.is_some_and(|key| key["line"] == 12),
        shown.to_string(),
    )?;
    host.expect_ctl(
        &["config", "nosuch"],
        1,
        &["nosuch: ERROR (no such process)"],
    )?;
    host.expect_ctl(&["config"], 2, &["Error: config requires a process name"])?;
    host.expect_ctl(
        &["config", "--al", "web"],
        2,
        &["config has no option --al"],
    )?;

    host.expect_ctl(&["diff"], 0, &["no differences\n"])?;
    let changed = PROGRAMS
        .replace("s3cret", "n3wer")
        .replace("numprocs=2\n", "numprocs=2\nstopwaitsecs=7\n")
        .replace("[program:bad]", "[program:good]");
    host.configure(&changed)?;
    let got = host.ctl(&["diff"])?;
    for part in [
        "[program:web] changed\n-environment=********\n+environment=********  (",
        "[program:many] changed\n+stopwaitsecs=7  (",
        "[program:good] added\n",
        "[program:bad] removed\n",
    ] {
        expect(got.stdout.contains(part), format!("{part:?}: {got:?}"))?;
    }
    expect(
        got.code == 2 && !got.stdout.contains("s3cret") && !got.stdout.contains("n3wer"),
        format!("{got:?}"),
    )?;
    let got = host.ctl(&["diff", "web", "--json"])?;
    let sections = json(&got)?["sections"].clone();
    expect(
        got.code == 2
            && sections[0]["section"] == "program:web"
            && sections[0]["keys"][0]["hidden"] == true
            && sections[1].is_null(),
        format!("{got:?}"),
    )?;
    host.expect_ctl(&["diff", "nosuch"], 1, &["ERROR: no such group: nosuch"])?;
    host.configure("[program:web]\n")?;
    host.expect_ctl(&["diff"], 1, &["error: CANT_REREAD: "])?;
    Ok(Outcome::Passed)
}

fn past() -> Result<Outcome, String> {
    let mut host = Host::start(PROGRAMS)?;
    host.daemon()?.wait_state("web", "RUNNING")?;
    host.expect_ctl(&["start", "bad"], 7, &["bad: ERROR"])?;
    host.expect_ctl(&["stop", "many:*"], 0, &["many:0: stopped"])?;
    host.expect_ctl(&["signal", "HUP", "many:1"], 7, &[])?;
    host.daemon()?.wait_state("bad", "FATAL")?;

    let me = format!(" by unix uid={}", nix::unistd::getuid());
    let got = host.ctl(&["history"])?;
    let lines: Vec<&str> = got.stdout.lines().collect();
    let is_right = |line: &&str, text: &str| line.contains(&format!("  {text}{me}"));
    expect(
        got.code == 0
            && lines.len() == 3
            && lines
                .iter()
                .zip(["start bad", "stop many:*", "signal many:1"])
                .all(|(line, text)| is_right(line, text))
            && lines[2].ends_with(": NOT_RUNNING"),
        format!("{got:?}"),
    )?;
    let got = host.ctl(&["history", "bad"])?;
    expect(got.stdout.lines().count() == 1, format!("{got:?}"))?;
    let got = host.ctl(&["history", "many:0"])?;
    expect(
        got.stdout.lines().count() == 1 && got.stdout.contains("stop many:*"),
        format!("{got:?}"),
    )?;
    let got = json(&host.ctl(&["history", "-n", "1", "--json"])?)?;
    expect(
        got["requests"][0]["verb"] == "signal" && got["requests"][1].is_null(),
        got.to_string(),
    )?;
    host.expect_ctl(&["history", "-n", "0"], 2, &["-n requires a number from 1"])?;

    // The first words on a terminal, without it, and as JSON.
    let mut terminal = Terminal::start(&host, &["why", "bad"])?;
    terminal.wait("last stderr, of pid ")?;
    expect(terminal.end()? == 0, terminal.screen())?;
    let got = host.ctl(&["why", "bad"])?;
    let request = format!("  request   start bad{me}");
    for part in [
        "bad: FATAL  Exited too quickly",
        &request,
        "STARTING",
        "  BACKOFF   exited before startsecs, exit status 14, after ",
        ", the same end 3 times since ",
        "  FATAL\n",
        "(exit status 14, ",
        "\n  broken\n",
    ] {
        expect(got.stdout.contains(part), format!("{part:?}: {got:?}"))?;
    }
    let order = ["request", "BACKOFF", "FATAL\n"].map(|part| got.stdout.rfind(part));
    expect(got.code == 0 && order.is_sorted(), format!("{got:?}"))?;
    let told = json(&host.ctl(&["why", "bad", "many:1", "--json"])?)?;
    let bad = &told["processes"][0];
    expect(
        bad["exits"]["too-quick"] == 3
            && bad["timeline"][0]["what"] == "request"
            && bad["laststderr"][0]["stderr"] == "broken\n",
        told.to_string(),
    )?;
    host.expect_ctl(
        &["why", "many:1"],
        0,
        &["stopped on request, terminated by SIGTERM"],
    )?;
    host.expect_ctl(&["why", "nosuch"], 1, &["nosuch: ERROR (no such process)"])?;
    host.expect_ctl(&["why"], 2, &["Error: why requires a process name"])?;

    // An upgrade keeps both.
    host.expect_ctl(&["upgrade"], 0, &[])?;
    wait_for("the new image answers", LIMIT, || {
        host.expect_ctl(&["history", "bad"], 0, &["start bad"])
            .is_ok()
    })?;
    host.expect_ctl(&["history"], 0, &["  upgrade by unix"])?;
    host.expect_ctl(&["why", "bad"], 0, &["the same end 3 times since "])?;
    host.expect_well()?;
    Ok(Outcome::Passed)
}

/// Kills a process and waits until the daemon knows.
fn kill_and_wait(host: &Host, name: &str) -> Result<(), String> {
    let pid = host.daemon()?.pid_of(name);
    let _ = nix::sys::signal::kill(
        nix::unistd::Pid::from_raw(pid),
        nix::sys::signal::Signal::SIGKILL,
    );
    wait_for("the end is known", LIMIT, || {
        host.daemon().is_ok_and(|daemon| daemon.pid_of(name) != pid)
    })
}

fn holds() -> Result<Outcome, String> {
    let mut host = Host::start(
        "[program:web]\ncommand=sleep 1000\nstartsecs=0\nautorestart=true\nrestart_floor=0\n\
         [program:other]\ncommand=sleep 1000\nstartsecs=0\n",
    )?;
    host.daemon()?.wait_state("web", "RUNNING")?;
    host.expect_ctl(
        &["hold", "--reason", "disk is full", "web", "--for", "2h"],
        0,
        &["web: on hold\n"],
    )?;
    host.expect_ctl(
        &["status", "web"],
        0,
        &[", on hold until ", " (disk is full)\n"],
    )?;
    kill_and_wait(&host, "web")?;
    host.daemon()?.wait_state("web", "EXITED")?;
    // The other program dies and comes back meanwhile, so the daemon had the time for both.
    kill_and_wait(&host, "other")?;
    host.daemon()?.wait_state("other", "RUNNING")?;
    host.expect_ctl(&["status", "web"], 3, &["EXITED", ", on hold until "])?;

    host.expect_ctl(&["upgrade"], 0, &[])?;
    host.expect_ctl(&["status", "web"], 3, &["EXITED", " (disk is full)\n"])?;
    let details = host
        .daemon()?
        .call(
            "supervisord.getProcessDetails",
            &[crate::support::wire::Value::Text("web".to_owned())],
        )
        .map_err(|error| format!("{error:?}"))?;
    let details: Json = details
        .text()
        .and_then(|text| serde_json::from_str(text).ok())
        .ok_or("no details")?;
    let hold = &details["hold"];
    expect(
        hold["reason"] == "disk is full"
            && hold["until"].as_i64() > hold["since"].as_i64()
            && hold["by"]
                .as_str()
                .is_some_and(|by| by.starts_with("unix uid=")),
        hold.to_string(),
    )?;
    let got = json(&host.ctl(&["release", "web", "--json"])?)?;
    expect(
        got["results"][0]["name"] == "web" && got["results"][0]["ok"] == true,
        got.to_string(),
    )?;
    host.daemon()?.wait_state("web", "RUNNING")?;
    host.expect_ctl(
        &["history", "web"],
        0,
        &["  hold web by ", "  release web by "],
    )?;

    // A hold of a second ends by itself, and the restart that it held back happens.
    host.expect_ctl(&["hold", "--for=1", "web:*"], 0, &["web: on hold\n"])?;
    kill_and_wait(&host, "web")?;
    host.daemon()?.wait_state("web", "RUNNING")?;
    host.wait_file("log", "web: no longer on hold")?;

    host.expect_ctl(&["hold", "nosuch"], 1, &["nosuch: ERROR (no such process)"])?;
    host.expect_ctl(
        &["hold", "--for", "x", "web"],
        2,
        &["--for requires a time"],
    )?;
    host.expect_ctl(&["hold", "--fro", "web"], 2, &["hold has no option --fro"])?;
    host.expect_ctl(&["release"], 2, &["release requires a process name"])?;
    host.expect_well()?;
    Ok(Outcome::Passed)
}
