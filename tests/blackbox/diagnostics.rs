//! Diagnostics of the daemon on standard error. `tests/systemd` has those in the journal.

use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::OpenOptionsExt as _;

use nix::fcntl::OFlag;
use nix::sys::stat::Mode;

use crate::host::Host;
use crate::support::daemon::{Side, program};
use crate::support::runner::{Outcome, Trial};
use crate::support::wire::Value;
use crate::support::{LIMIT, expect, wait_for};

type Test = fn() -> Result<(), String>;

/// The tests of this file.
pub(crate) fn tests() -> Vec<Trial> {
    let list: &[(&str, Test)] = &[
        ("standard_error_gets_them_and_the_log_does_not", on),
        ("off_there_is_nothing", off),
        ("a_wrong_variable_is_ignored", wrong),
        ("lost_events_are_counted", lost),
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
        "INFO supervisord::daemon::run_loop: run started adopted=0",
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
    host.wait_file("err", "run started adopted=1")?;
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

/// Standard error is a pipe that is not read. The thread blocks and the queue fills, but the daemon still answers.
fn lost() -> Result<(), String> {
    let mut host = Host::new("[supervisord]\ndiagnostics=debug\n")?;
    let fifo = host.place.join("fifo");
    nix::unistd::mkfifo(&fifo, Mode::S_IRWXU).map_err(|error| error.to_string())?;
    // Open for reading and writing, so that neither side waits for the other.
    let mut reader = File::options()
        .read(true)
        .write(true)
        .custom_flags(OFlag::O_NONBLOCK.bits())
        .open(&fifo)
        .map_err(|error| format!("fifo: {error}"))?;
    let mut command = host.marked.command("/bin/sh".as_ref(), host.place.path());
    command
        .args(["-c", "exec \"$0\" -n -c conf 2>fifo"])
        .arg(program(Side::Ours, "supervisord")?);
    host.go_as(command, "s")?;
    let members = [
        ("methodName", Value::Text("supervisor.getState".to_owned())),
        ("params", Value::Array(Vec::new())),
    ];
    let call = Value::Struct(members.map(|(name, value)| (name.to_owned(), value)).into());
    // A pipe has room for some hundred lines, the queue for 4096 events.
    for _ in 0..60 {
        let calls = Value::Array(vec![call.clone(); 100]);
        host.daemon()?
            .call("system.multicall", &[calls])
            .map_err(|error| format!("{error:?}"))?;
    }
    let mut text = String::new();
    let mut buffer = vec![0; 64 << 10];
    wait_for("6000 requests are written or counted", LIMIT, || {
        while let Ok(count) = reader.read(&mut buffer) {
            text.push_str(&String::from_utf8_lossy(&buffer[..count]));
        }
        let written = text.matches("request{request=State").count() as u64;
        let lost = lost_count(&text);
        lost > 0 && written + lost >= 6000
    })
}

/// The sum of the numbers of lost events in `text`.
fn lost_count(text: &str) -> u64 {
    let told = text.split("events were lost, because the queue was full dropped=");
    let numbers = told.skip(1).filter_map(|rest| rest.split_once('\n'));
    numbers
        .filter_map(|(number, _)| number.parse::<u64>().ok())
        .sum()
}
