//! Programs with `cron`: real runs at real times, and what survives an upgrade and another daemon.

use crate::host::Host;
use crate::support::runner::{Outcome, Trial};
use crate::support::{LIMIT, expect, wait_for};

/// The tests of this file.
pub(crate) fn tests() -> Vec<Trial> {
    vec![
        Trial::new("cron::g43_a_program_runs_at_its_times", runs),
        Trial::new("cron::g43_a_run_that_meets_another", overlap),
        Trial::new("cron::g67_wrong_expressions_refuse_to_load", wrong),
        Trial::new("cron::runs_survive_an_upgrade_and_a_new_daemon", survives),
        Trial::new("cron::missed_runs_are_made_up_for_once", missed),
    ]
}

const QUIET: &str = "stdout_logfile=NONE\nstderr_logfile=NONE\n";

fn lines(host: &Host, name: &str) -> usize {
    host.place.read(name).lines().count()
}

fn runs() -> Result<Outcome, String> {
    let mut host = Host::start(&format!(
        "[program:often]\ncommand=/bin/sh -c \"echo run >> {{dir}}/often\"\ncron=* * * * * *\n{QUIET}\
         [program:daily]\ncommand=/bin/sh -c \"echo run >> {{dir}}/daily\"\ncron=TZ=UTC 0 0 31 12 *\n{QUIET}\
         [program:plain]\ncommand=/bin/sleep 1000\n{QUIET}"
    ))?;
    wait_for("three runs", LIMIT, || lines(&host, "often") >= 3)?;
    expect(
        lines(&host, "daily") == 0,
        "a program with cron starts with the daemon",
    )?;
    // A stop by hand ends the present run only.
    host.expect_ctl(&["stop", "often"], 0, &[])?;
    let before = lines(&host, "often");
    wait_for("more runs", LIMIT, || lines(&host, "often") > before + 1)?;
    host.expect_ctl(
        &["status", "daily"],
        3,
        &["STOPPED   Not started, next run 20"],
    )?;
    let status = host.ctl(&["status", "plain"])?;
    expect(!status.stdout.contains("next run"), format!("{status:?}"))?;
    host.expect_ctl(
        &["next"],
        0,
        &[
            "often",
            "* * * * * *",
            "-12-31 00:00:00   TZ=UTC 0 0 31 12 *",
        ],
    )?;
    host.expect_ctl(&["next", "plain"], 1, &[])?;
    host.expect_ctl(&["run", "plain"], 1, &[])?;
    host.expect_ctl(&["run", "daily"], 0, &["daily: started"])?;
    wait_for("the run", LIMIT, || lines(&host, "daily") == 1)?;
    wait_for("the end of the run", LIMIT, || {
        host.ctl(&["runs", "daily"])
            .is_ok_and(|runs| runs.stdout.contains("exit status 0"))
    })?;
    host.expect_ctl(
        &["next", "--json", "daily"],
        0,
        &["\"namespec\":\"daily\"", "\"skipped\":0"],
    )?;
    host.expect_ctl(
        &["runs", "--json", "daily"],
        0,
        &["\"result\":\"exit status 0\""],
    )?;
    host.expect_ctl(&["runs", "nosuch"], 1, &[])?;
    // A reread replaces the schedule.
    host.configure(&format!(
        "[program:often]\ncommand=/bin/sh -c \"echo run >> {{dir}}/often\"\ncron=@yearly\n{QUIET}\
         [program:clock]\ncommand=/bin/sh -c \"echo run >> {{dir}}/clock\"\ncron=* * * * * *\n{QUIET}"
    ))?;
    host.expect_ctl(&["update"], 0, &["often: updated process group"])?;
    let before = lines(&host, "often");
    host.expect_ctl(&["next"], 0, &["@yearly"])?;
    // Two seconds have passed.
    wait_for("runs of another program", LIMIT, || {
        lines(&host, "clock") >= 3
    })?;
    expect(lines(&host, "often") == before, "the old schedule goes on")?;
    host.expect_well()?;
    Ok(Outcome::Passed)
}

fn overlap() -> Result<Outcome, String> {
    let section = |name: &str, overlap: &str, seconds: &str| {
        format!(
            "[program:{name}]\ncommand=/bin/sh -c \"echo $$ >> {{dir}}/{name}; exec sleep {seconds}\"\n\
             cron=* * * * * *\ncron_overlap={overlap}\nstopwaitsecs=5\n{QUIET}"
        )
    };
    let text = [
        section("skip", "skip", "1000"),
        section("queue", "queue", "2.5"),
        section("kill", "kill", "1000"),
    ]
    .concat();
    let mut host = Host::start(&text)?;
    wait_for("runs after others", LIMIT, || {
        lines(&host, "queue") >= 3 && lines(&host, "kill") >= 3
    })?;
    expect(lines(&host, "skip") == 1, "a run beside another")?;
    for text in [
        "skip: skipped the run of",
        "queue: the run of",
        "kill: stopping the program for the run of",
    ] {
        host.wait_file("log", text)?;
    }
    host.expect_ctl(&["next", "skip"], 0, &[" skipped"])?;
    host.expect_well()?;
    Ok(Outcome::Passed)
}

fn wrong() -> Result<Outcome, String> {
    for (cron, text) in [
        ("0 0 0 31 4 *", "it never occurs"),
        ("@reboot", "there is no such word"),
        ("0 0 22-2 * * *", "invalid cron expression"),
        (
            "TZ=No/Where @daily",
            "there is no time zone No/Where on this host",
        ),
    ] {
        let host = Host::new(&format!("[program:a]\ncommand=/bin/true\ncron={cron}\n"))?;
        let ended = host.run(&["-n", "-c", "conf"])?;
        expect(
            ended.code == 2 && ended.stderr.contains(text),
            format!("{cron}: {ended:?}"),
        )?;
    }
    Ok(Outcome::Passed)
}

/// A daemon with a state directory.
fn with_state(host: &Host, cron: &str) -> Result<(), String> {
    let place = host.place.text();
    let _ = std::fs::create_dir(host.place.join("state"));
    host.place.write(
        "conf",
        &host.fill(&format!(
            "[unix_http_server]\nfile={place}/s\n[supervisord]\nlogfile={place}/log\npidfile={place}/pid\n\
             childlogdir={place}\nstate_directory={place}/state\n[rpcinterface:supervisor]\n\
             supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface\n\
             [supervisorctl]\nserverurl=unix://{place}/s\n\
             [program:job]\ncommand=/bin/sh -c \"echo run >> {place}/job; exit 3\"\n{cron}\n{QUIET}"
        )),
    )?;
    Ok(())
}

fn run_count(host: &Host) -> usize {
    let runs = host.ctl(&["runs", "job"]);
    runs.map_or(0, |runs| runs.stdout.matches("exit status 3").count())
}

fn survives() -> Result<Outcome, String> {
    let mut host = Host::new("")?;
    with_state(&host, "cron=* * * * * *")?;
    host.go()?;
    wait_for("two runs", LIMIT, || run_count(&host) >= 2)?;
    host.expect_ctl(&["upgrade"], 0, &[])?;
    let before = run_count(&host);
    expect(before >= 2, format!("{before} runs after the upgrade"))?;
    wait_for("more runs after the upgrade", LIMIT, || {
        run_count(&host) > before
    })?;
    let before = run_count(&host);
    host.expect_ctl(&["shutdown"], 0, &["Shut down"])?;
    if let Some(daemon) = &mut host.daemon {
        daemon.wait_exit(LIMIT)?;
    }
    host.daemon = None;
    with_state(&host, "cron=@yearly")?;
    host.go()?;
    let after = run_count(&host);
    expect(after >= before, format!("{before} runs, then {after}"))?;
    // A damaged file is named, and the others count.
    std::fs::write(host.place.join("state/runs/bad.json"), "{").map_err(|e| e.to_string())?;
    host.expect_ctl(&["shutdown"], 0, &["Shut down"])?;
    if let Some(daemon) = &mut host.daemon {
        daemon.wait_exit(LIMIT)?;
    }
    host.daemon = None;
    host.go()?;
    host.wait_file("log", "bad.json")?;
    expect(run_count(&host) >= before, "the other files count")?;
    host.expect_well()?;
    Ok(Outcome::Passed)
}

fn missed() -> Result<Outcome, String> {
    let mut host = Host::new("")?;
    with_state(&host, "cron=* * * * * *\ncron_missed=once")?;
    std::fs::create_dir(host.place.join("state/runs")).map_err(|e| e.to_string())?;
    // A daemon of long ago.
    let stored = "{\"process\":{\"group\":\"job\",\"process\":\"job\"},\"runs\":{\"last\":1000000000,\"runs\":[]}}";
    std::fs::write(host.place.join("state/runs/job:job.json"), stored)
        .map_err(|e| e.to_string())?;
    with_state(&host, "cron=@yearly\ncron_missed=once")?;
    host.go()?;
    host.wait_file("log", "job: missed the run of")?;
    wait_for("the run", LIMIT, || lines(&host, "job") == 1)?;
    host.expect_ctl(&["next", "job"], 0, &["1 missed"])?;
    expect(lines(&host, "job") == 1, "one run makes up for all")?;
    host.expect_well()?;
    Ok(Outcome::Passed)
}
