//! Diagnostics of the daemon on standard error. `tests/systemd` has those in the journal.

use crate::host::Host;
use crate::support::runner::{Outcome, Trial};
use crate::support::{LIMIT, expect, wait_for};

type Test = fn() -> Result<(), String>;

/// The tests of this file.
pub(crate) fn tests() -> Vec<Trial> {
    let list: &[(&str, Test)] = &[
        ("standard_error_gets_them_and_the_log_does_not", on),
        ("off_there_is_nothing", off),
        ("a_wrong_variable_is_ignored", wrong),
    ];
    list.iter()
        .map(|&(name, run)| {
            Trial::new(format!("diagnostics::{name}"), move || {
                run().map(|()| Outcome::Passed)
            })
        })
        .collect()
}

const SLEEPER: &str = "[program:web]\ncommand=/bin/sleep 1000\n";

/// Every line of diagnostics has a target.
const TARGET: &str = "supervisord::";

fn on() -> Result<(), String> {
    let mut host = Host::new(&format!(
        "[supervisord]\ndiagnostics=info,spawn=debug,control=debug\n{SLEEPER}"
    ))?;
    host.go()?;
    host.daemon()?.wait_state("web", "RUNNING")?;
    let instance = "DEBUG supervisord::spawn::worker: instance{supervisor_group=\"web\" supervisor_process=\"web\" \
         supervisor_incarnation=";
    for told in [
        "INFO supervisord::daemon::run_loop: the run begins is_successor=false",
        instance,
        "}: cloned object_pid=",
        "DEBUG supervisord::control::handle: request{request=ProcessInfo transport=\"unix\" uid=",
    ] {
        host.wait_file("err", told)?;
    }
    let err = host.place.read("err");
    expect(
        !err.contains("supervisord::engine::bus"),
        format!("debug is on for two modules only: {err}"),
    )?;
    host.expect_ctl(&["upgrade"], 0, &[])?;
    host.wait_file(
        "err",
        "handoff{to=\"next image\"}: executing the image descriptors=",
    )?;
    host.wait_file("err", "the run begins is_successor=true")?;
    for file in ["log", "out"] {
        let text = host.place.read(file);
        expect(
            text.contains("success: web entered RUNNING state") && !text.contains(TARGET),
            format!("{file}: {text}"),
        )?;
    }
    expect(
        !host.place.read("err").contains("success: web"),
        "the log does not reach diagnostics",
    )?;
    host.expect_well()
}

/// The names of the daemon's threads.
fn threads(host: &Host) -> Result<Vec<String>, String> {
    let tasks = format!("/proc/{}/task", host.daemon()?.pid());
    let entries = std::fs::read_dir(&tasks).map_err(|error| format!("{tasks}: {error}"))?;
    let names = entries.flatten().map(|entry| {
        let name = std::fs::read_to_string(entry.path().join("comm"));
        name.unwrap_or_default().trim().to_owned()
    });
    Ok(names.collect())
}

fn off() -> Result<(), String> {
    for (key, variable) in [("", None), ("diagnostics=trace\n", Some("off"))] {
        let mut host = Host::new(&format!("[supervisord]\n{key}{SLEEPER}"))?;
        host.go_with(|command| {
            if let Some(text) = variable {
                command.env("SUPERVISORD_DIAGNOSTICS", text);
            }
        })?;
        host.daemon()?.wait_state("web", "RUNNING")?;
        let names = threads(&host)?;
        expect(
            names.iter().any(|name| name == "server")
                && !names.iter().any(|name| name == "diagnostics"),
            format!("{names:?}"),
        )?;
        let err = host.place.read("err");
        expect(!err.contains(TARGET), err)?;
    }
    Ok(())
}

fn wrong() -> Result<(), String> {
    let mut host = Host::new(SLEEPER)?;
    host.go_with(|command| {
        command.env("SUPERVISORD_DIAGNOSTICS", "loud");
    })?;
    host.wait_file(
        "err",
        "SUPERVISORD_DIAGNOSTICS: bad diagnostics level \"loud\" (the variable is ignored)",
    )?;
    // A change of the key takes effect with a reload.
    let mut host = Host::new(SLEEPER)?;
    host.go()?;
    host.configure(&format!("[supervisord]\ndiagnostics=debug\n{SLEEPER}"))?;
    host.expect_ctl(&["reload"], 0, &[])?;
    host.wait_file("err", "supervisord::engine::bus: published serial=")?;
    host.configure(SLEEPER)?;
    host.expect_ctl(&["reload"], 0, &[])?;
    wait_for("silence after the second reload", LIMIT, || {
        let before = host.place.read("err").len();
        // A request is an event.
        let asked =
            ["pid", "status"].map(|action| host.ctl(&[action]).is_ok_and(|got| got.code == 0));
        asked == [true; 2] && host.place.read("err").len() == before
    })
}
