//! An emptied, cut or misspelt main file takes no program down.

use nix::sys::signal::Signal;

use crate::host::Host;
use crate::support::daemon::{Finished, Side, program, run};
use crate::support::runner::{Outcome, Trial};
use crate::support::{LIMIT, expect, wait_for};

/// All of them.
pub(crate) fn tests() -> Vec<Trial> {
    vec![
        Trial::new(
            "trust::c1_an_emptied_cut_or_misspelt_file_stops_nothing",
            running,
        ),
        Trial::new(
            "trust::c1_a_daemon_does_not_start_from_an_emptied_file",
            at_start,
        ),
        Trial::new(
            "trust::c1_a_file_of_programs_alone_still_starts_and_can_be_emptied",
            programs_alone,
        ),
    ]
}

const PROGRAMS: &str = "[program:a]\ncommand={test_child} forever\nstartsecs=0\n[program:b]\ncommand={test_child} forever\n\
                        startsecs=0\n";
const REFUSED: &str = ".ini file does not include supervisord section";

/// What an editor, a full disk or a deployment may leave of the file.
fn accidents(host: &Host) -> Vec<(&'static str, String)> {
    let whole = host.place.read("conf");
    let programs = whole.find("[program:a]").unwrap_or(whole.len());
    vec![
        ("emptied", String::new()),
        ("comments only", "; nothing is left\n\n# here\n".to_owned()),
        (
            "cut at the end",
            whole[..whole.find("[supervisord]").unwrap_or(0)].to_owned(),
        ),
        ("cut at the head", whole[programs..].to_owned()),
        ("misspelt", whole.replace("[supervisord]", "[supervisor]")),
        (
            "in another case",
            whole.replace("[supervisord]", "[Supervisord]"),
        ),
    ]
}

/// Runs the client with a file of its own.
fn client(host: &Host, action: &str) -> Result<Finished, String> {
    let mut command = host
        .marked
        .command(&program(Side::Ours, "supervisorctl")?, host.place.path());
    command.args(["-c", "ctl.conf", action]);
    run(command, host.place.path(), None, LIMIT)
}

fn running() -> Result<Outcome, String> {
    let host = Host::start(PROGRAMS)?;
    let daemon = host.daemon()?;
    daemon.wait_state("a", "RUNNING")?;
    daemon.wait_state("b", "RUNNING")?;
    let pids = [daemon.pid_of("a"), daemon.pid_of("b")];
    let whole = host.place.read("conf");
    // The client reads its own section from the file too.
    host.place.write("ctl.conf", &whole)?;
    for (name, text) in accidents(&host) {
        host.place.write("conf", &text)?;
        for action in ["reread", "update", "reload"] {
            let got = client(&host, action)?;
            expect(
                got.code != 0 && got.stdout.contains(REFUSED),
                format!("{name}: {action}: {got:?}"),
            )?;
        }
        let refusals = || host.place.read("log").matches("restart refused").count();
        let before = refusals();
        daemon.signal(Signal::SIGHUP);
        wait_for("HUP is refused", LIMIT, || refusals() > before)?;
        let now = [daemon.pid_of("a"), daemon.pid_of("b")];
        expect(now == pids, format!("{name}: {pids:?} became {now:?}"))?;
    }
    host.place.write("conf", &whole)?;
    host.expect_ctl(&["update"], 0, &[])?;
    let now = [daemon.pid_of("a"), daemon.pid_of("b")];
    expect(now == pids, format!("{pids:?} became {now:?}"))?;
    Ok(Outcome::Passed)
}

fn at_start() -> Result<Outcome, String> {
    let host = Host::new(PROGRAMS)?;
    for (name, text) in accidents(&host) {
        // Programs alone are a file of the Go re-implementation.
        if name == "cut at the head" {
            continue;
        }
        host.place.write("broken", &text)?;
        let got = host.run(&["-n", "-c", "broken"])?;
        expect(
            got.code == 2 && got.stderr.starts_with(&format!("Error: {REFUSED}\n")),
            format!("{name}: {got:?}"),
        )?;
    }
    Ok(Outcome::Passed)
}

fn programs_alone() -> Result<Outcome, String> {
    let host = Host::new("")?;
    let text = host.fill(&format!(
        "[unix_http_server]\nfile={{dir}}/s\n[supervisorctl]\nserverurl=unix://{{dir}}/s\n{PROGRAMS}"
    ));
    host.place.write("conf", &text)?;
    let mut host = host;
    host.go_with(|command| {
        command.args(["-l", "log", "-j", "pid"]);
    })?;
    let daemon = host.daemon()?;
    daemon.wait_state("a", "RUNNING")?;
    let pid = daemon.pid_of("a");
    host.place.write("ctl.conf", &text)?;
    host.place.write("conf", "")?;
    let got = client(&host, "update")?;
    expect(
        got.code != 0 && got.stdout.contains(REFUSED) && daemon.pid_of("a") == pid,
        format!("{got:?}"),
    )?;
    Ok(Outcome::Passed)
}
