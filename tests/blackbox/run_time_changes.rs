//! Groups that change while their programs run: more and fewer processes, programs that are in no file, rolling
//! restarts.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::time::Duration;

use crate::host::{Host, copy_program};
use crate::support::daemon::{Side, program, run};
use crate::support::runner::{Outcome, Trial};
use crate::support::wire::{self, CallError, Connection, Value};
use crate::support::{LIMIT, expect, is_root, proc, wait_for};

/// The tests of this file.
pub(crate) fn tests() -> Vec<Trial> {
    vec![
        Trial::new(
            "run_time_changes::scaling_keeps_the_remaining_processes",
            scaling,
        ),
        Trial::new(
            "run_time_changes::scaling_uses_the_loaded_configuration",
            template,
        ),
        Trial::new(
            "run_time_changes::scaling_is_refused_with_a_reason",
            refused,
        ),
        Trial::new(
            "run_time_changes::a_pool_that_ignores_sigterm_is_killed",
            stubborn,
        ),
        Trial::new(
            "run_time_changes::programs_can_be_added_and_removed",
            programs,
        ),
        Trial::new(
            "run_time_changes::a_file_mode_does_not_add_programs",
            file_mode,
        ),
        Trial::new(
            "run_time_changes::a_rolling_restart_goes_one_by_one",
            rolling,
        ),
        Trial::new(
            "run_time_changes::a_rolling_restart_ends_at_the_first_failure",
            failing,
        ),
        Trial::new(
            "run_time_changes::a_rolling_restart_continues_without_its_client",
            left_alone,
        ),
    ]
}

const WEB: &str = "[program:web]\ncommand={test_child} forever\nprocess_name=%(program_name)s_%(process_num)02d\n\
                   numprocs=2\nstartsecs=0\nenvironment=PORT=\"80%(process_num)02d\",OF=\"%(numprocs)d\"\n";
const TWIDDLER: &str = "[rpcinterface:twiddler]\nsupervisor.rpcinterface_factory=\
                        supervisor_twiddler.rpcinterface:make_twiddler_rpcinterface\n";

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

/// The PIDs of a group's processes by name.
fn pids(host: &Host, group: &str) -> Result<BTreeMap<String, i64>, String> {
    let all = host
        .daemon()?
        .call("supervisor.getAllProcessInfo", &[])
        .map_err(|error| error.to_string())?;
    let Value::Array(all) = all else {
        return Err(format!("{all}"));
    };
    Ok(all
        .iter()
        .filter(|info| info.get("group").and_then(Value::text) == Some(group))
        .filter_map(|info| {
            let name = info.get("name")?.text()?.to_owned();
            Some((name, info.get("pid")?.int()?))
        })
        .collect())
}

fn all_up(host: &Host, group: &str, count: usize) -> Result<BTreeMap<String, i64>, String> {
    let mut found = BTreeMap::new();
    wait_for(&format!("{count} processes of {group}"), LIMIT, || {
        found = pids(host, group).unwrap_or_default();
        found.len() == count && found.values().all(|&pid| pid != 0)
    })?;
    Ok(found)
}

fn scaling() -> Result<Outcome, String> {
    let mut host = Host::start(WEB)?;
    let two = all_up(&host, "web", 2)?;
    host.expect_ctl(
        &["scale", "web", "4"],
        0,
        &["web:web_02: added\nweb:web_03: added\n"],
    )?;
    let four = all_up(&host, "web", 4)?;
    for (name, pid) in &two {
        expect(four[name] == *pid, format!("{name} is another process"))?;
    }
    let new = proc::environ(host.daemon()?.pid_of("web:web_03"));
    expect(
        new.get("PORT").is_some_and(|port| port == "8003") && new["OF"] == "4",
        format!("{new:?}"),
    )?;
    // They behave like any other process.
    host.expect_ctl(
        &["restart", "web:web_03"],
        0,
        &["web:web_03: stopped\nweb:web_03: started\n"],
    )?;
    host.expect_ctl(
        &["scale", "web:web", "1"],
        0,
        &["web:web_03: removed\nweb:web_02: removed\nweb:web_01: removed\n"],
    )?;
    let one = pids(&host, "web")?;
    expect(
        one == BTreeMap::from([("web_00".to_owned(), two["web_00"])]),
        format!("{one:?}"),
    )?;
    expect(
        !proc::alive(i32::try_from(two["web_01"]).unwrap_or(0)),
        "web_01 lives on",
    )?;
    host.expect_ctl(&["scale", "web", "1"], 0, &["web: no change\n"])?;
    // Its section has not changed, so an update of everything does not touch it. An update of the group itself does.
    host.expect_ctl(&["reread"], 0, &["No config updates to processes\n"])?;
    host.expect_ctl(&["update"], 0, &[])?;
    expect(pids(&host, "web")? == one, "scaling was undone")?;
    host.expect_ctl(
        &["update", "web"],
        0,
        &["web:web_01: added\nweb: updated process group\n"],
    )?;
    let two_again = all_up(&host, "web", 2)?;
    expect(
        two_again["web_00"] == one["web_00"],
        "web_00 is another process",
    )?;
    // To zero, and back.
    host.expect_ctl(&["scale", "web", "0"], 0, &["web:web_01: removed\n"])?;
    expect(pids(&host, "web")?.is_empty(), "some are left")?;
    host.expect_ctl(&["scale", "web", "2"], 0, &["web:web_01: added\n"])?;
    all_up(&host, "web", 2)?;
    host.expect_ctl(&["reread"], 0, &["No config updates to processes\n"])?;
    host.expect_well()?;
    Ok(Outcome::Passed)
}

fn template() -> Result<Outcome, String> {
    let grouped = format!(
        "{WEB}[group:g]\nprograms=web,other\n[program:other]\ncommand={{test_child}} forever\nstartsecs=0\n"
    );
    let mut host = Host::start(&grouped)?;
    all_up(&host, "g", 3)?;
    // This file was not read yet.
    host.configure(&grouped.replace("PORT=", "DOOR="))?;
    host.expect_ctl(&["scale", "web", "3"], 0, &["g:web_02: added\n"])?;
    all_up(&host, "g", 4)?;
    let new = proc::environ(host.daemon()?.pid_of("g:web_02"));
    expect(new.contains_key("PORT"), format!("{new:?}"))?;
    // Read, but not applied.
    host.expect_ctl(&["reread"], 0, &["g: changed\n"])?;
    host.expect_ctl(&["scale", "g:web", "4"], 0, &["g:web_03: added\n"])?;
    all_up(&host, "g", 5)?;
    let new = proc::environ(host.daemon()?.pid_of("g:web_03"));
    expect(new.contains_key("PORT"), format!("{new:?}"))?;
    host.expect_ctl(&["update"], 0, &["g: updated process group\n"])?;
    all_up(&host, "g", 3)?;
    host.expect_ctl(&["scale", "web", "3"], 0, &["g:web_02: added\n"])?;
    all_up(&host, "g", 4)?;
    let new = proc::environ(host.daemon()?.pid_of("g:web_02"));
    expect(new.contains_key("DOOR"), format!("{new:?}"))?;
    // A reload forgets it.
    host.expect_ctl(&["reload"], 0, &["Restarted supervisord\n"])?;
    wait_for("the file's processes", LIMIT, || {
        pids(&host, "g").is_ok_and(|pids| pids.len() == 3 && pids.values().all(|&pid| pid != 0))
    })?;
    host.expect_well()?;
    Ok(Outcome::Passed)
}

fn refused() -> Result<Outcome, String> {
    let mut host = Host::start(
        "[program:one]\ncommand={test_child} forever\nstartsecs=0\n[eventlistener:ear]\ncommand={test_child} forever\n\
         events=EVENT\nprocess_name=ear%(process_num)d\n",
    )?;
    let before = all_up(&host, "one", 1)?;
    for (line, code, said) in [
        (
            "scale one 2",
            1,
            "one: ERROR (%(process_num) must be present within process_name when numprocs > 1 in section 'program:one' \
             (file: 'conf'))\n",
        ),
        ("scale nosuch 2", 1, "nosuch: ERROR (no such program)\n"),
        (
            "scale one:nosuch 2",
            1,
            "one:nosuch: ERROR (no such program)\n",
        ),
        (
            "scale one 100001",
            1,
            "one: ERROR (100001 is out of range (a program has 0 to 100000 processes))\n",
        ),
        (
            "scale one",
            2,
            "Error: scale requires a program name and a number of processes\nscale <program> <count>",
        ),
        (
            "scale one -1",
            2,
            "Error: scale requires a number of processes, not -1\nscale <program>",
        ),
        ("scale ear 2", 0, "ear:ear1: added\n"),
    ] {
        let words: Vec<&str> = line.split(' ').collect();
        host.expect_ctl(&words, code, &[said])?;
    }
    expect(pids(&host, "one")? == before, "something has changed")?;
    host.expect_well()?;
    Ok(Outcome::Passed)
}

fn stubborn() -> Result<Outcome, String> {
    let mut host = Host::start(
        "[program:mule]\ncommand={test_child} ignore TERM forever\nprocess_name=m%(process_num)d\nnumprocs=20\n\
         startsecs=0\nstopwaitsecs=1\n",
    )?;
    let all = all_up(&host, "mule", 20)?;
    host.expect_ctl(&["scale", "mule", "1"], 0, &["mule:m1: removed\n"])?;
    for (name, pid) in all.iter().filter(|(name, _)| *name != "m0") {
        expect(
            !proc::alive(i32::try_from(*pid).unwrap_or(0)),
            format!("{name} keeps running"),
        )?;
    }
    expect(pids(&host, "mule")?["m0"] == all["m0"], "m0 was touched")?;
    host.expect_well()?;
    Ok(Outcome::Passed)
}

fn programs() -> Result<Outcome, String> {
    let mut host = Host::start(&format!("{WEB}{TWIDDLER}"))?;
    let before = all_up(&host, "web", 2)?;
    let options = Value::Struct(BTreeMap::from([
        (
            "command".to_owned(),
            text(&host.fill("{test_child} say hi forever")),
        ),
        ("numprocs".to_owned(), Value::Int(2)),
        (
            "process_name".to_owned(),
            text("%(program_name)s%(process_num)d"),
        ),
        ("startsecs".to_owned(), text("0")),
    ]));
    let added = host.daemon()?.call(
        "twiddler.addProgramToGroup",
        &[text("web"), text("extra"), options],
    );
    expect(matches!(added, Ok(Value::Bool(true))), format!("{added:?}"))?;
    let four = all_up(&host, "web", 4)?;
    expect(
        before.iter().all(|(name, pid)| four[name] == *pid),
        "others were touched",
    )?;
    host.expect_ctl(&["scale", "extra", "3"], 0, &["web:extra2: added\n"])?;
    wait_for("its output", LIMIT, || {
        host.ctl(&["tail", "web:extra2"])
            .is_ok_and(|said| said.stdout.contains("hi"))
    })?;
    let remove = |name: &str| {
        host.daemon()?
            .call(
                "twiddler.removeProcessFromGroup",
                &[text("web"), text(name)],
            )
            .map_err(|error| error.to_string())
    };
    expect(
        remove("extra0").is_err_and(|why| why.contains("STILL_RUNNING: extra0")),
        "a running process was removed",
    )?;
    host.expect_ctl(&["stop", "web:extra0"], 0, &["web:extra0: stopped\n"])?;
    remove("extra0")?;
    host.expect_ctl(&["status", "web:extra0"], 4, &["no such process"])?;
    host.wait_file("log", "removed process 'extra0' from group 'web'")?;
    host.expect_ctl(&["update"], 0, &["web: updated process group\n"])?;
    all_up(&host, "web", 2)?;
    host.expect_well()?;
    Ok(Outcome::Passed)
}

/// Another user of the socket controls existing programs, and cannot add one.
fn file_mode() -> Result<Outcome, String> {
    const NOBODY: u32 = 65_534;
    if !is_root() {
        return Ok(Outcome::Skipped("needs root".to_owned()));
    }
    let config = format!("{WEB}{TWIDDLER}[unix_http_server]\nchmod=0777\n");
    let mut host = Host::start(&config)?;
    all_up(&host, "web", 2)?;
    let open = |path: &std::path::Path, mode| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))
            .map_err(|error| error.to_string())
    };
    open(host.place.path(), 0o755)?;
    let client = host.place.join("supervisorctl");
    copy_program(&program(Side::Ours, "supervisorctl")?, &client)?;
    open(&client, 0o755)?;
    let as_nobody = |more: &[&str], args: &[&str]| {
        let mut command = host.marked.command(&client, host.place.path());
        let url = format!("unix://{}", host.place.join("s").display());
        command.uid(NOBODY).gid(NOBODY).args(["-s", &url]);
        command.args(more).args(args);
        run(command, host.place.path(), None, LIMIT)
    };
    let said = as_nobody(&[], &["status", "web:*"])?;
    expect(said.code == 0, format!("{said:?}"))?;
    let said = as_nobody(&[], &["serialrestart", "web:web_00"])?;
    expect(
        said.stdout == "web:web_00: restarted\n",
        format!("{said:?}"),
    )?;
    let said = as_nobody(&[], &["scale", "web", "3"])?;
    expect(
        said.code == 1 && said.stdout.starts_with("web: ERROR (permission denied: "),
        format!("{said:?}"),
    )?;
    expect(pids(&host, "web")?.len() == 2, "it was scaled")?;
    // The test runs as root.
    host.expect_ctl(&["scale", "web", "3"], 0, &["added"])?;
    // With the password, any user may do it.
    host.configure(&format!("{config}username=u\npassword=p\n"))?;
    host.daemon()?.signal(nix::sys::signal::Signal::SIGHUP);
    let password = ["-u", "u", "-p", "p"];
    wait_for("the new round", LIMIT, || {
        as_nobody(&password, &["status"]).is_ok_and(|said| said.code == 0)
    })?;
    all_up_with(&password, &as_nobody)?;
    let said = as_nobody(&password, &["scale", "web", "3"])?;
    expect(said.stdout == "web:web_02: added\n", format!("{said:?}"))?;
    let said = as_nobody(&["-u", "u", "-p", "wrong"], &["scale", "web", "4"])?;
    expect(said.code != 0, format!("{said:?}"))?;
    let daemon = host.daemon.as_mut().ok_or("not started")?;
    expect(daemon.is_alive(), "the daemon is dead")?;
    Ok(Outcome::Passed)
}

/// Waits for two new instances after the restart.
fn all_up_with(
    password: &[&str],
    ctl: &impl Fn(&[&str], &[&str]) -> Result<crate::support::daemon::Finished, String>,
) -> Result<(), String> {
    wait_for("two processes", LIMIT, || {
        ctl(password, &["status"]).is_ok_and(|said| said.stdout.matches("RUNNING").count() == 2)
    })
}

const POOL: &str = "[program:w]\ncommand={test_child} forever\nprocess_name=w%(process_num)d\nnumprocs=3\nstartsecs=1\n";

/// Stopped (`-`) and started (`+`) processes, in the order of the log.
fn stops_and_starts(log: &str) -> Vec<String> {
    log.lines()
        .filter_map(|line| {
            let (_, line) = line.split_once(' ')?;
            let line = line.split_once(' ')?.1.split_once(' ')?.1;
            let name = |rest: &str| {
                rest.chars()
                    .take_while(|c| c.is_ascii_alphanumeric())
                    .collect::<String>()
            };
            if let Some(rest) = line.strip_prefix("stopped: ") {
                Some(format!("-{}", name(rest)))
            } else {
                let rest = line.strip_prefix("success: ")?;
                Some(format!("+{}", name(rest)))
            }
        })
        .collect()
}

fn rolling() -> Result<Outcome, String> {
    let mut host = Host::start(POOL)?;
    for name in ["w:w0", "w:w1", "w:w2"] {
        host.daemon()?.wait_state(name, "RUNNING")?;
    }
    let before = pids(&host, "w")?;
    let past = stops_and_starts(&host.place.read("log")).len();
    host.expect_ctl(
        &["serialrestart", "w:*"],
        0,
        &["w:w0: restarted\nw:w1: restarted\nw:w2: restarted\n"],
    )?;
    let after = pids(&host, "w")?;
    expect(
        before.iter().all(|(name, pid)| after[name] != *pid),
        format!("{before:?} {after:?}"),
    )?;
    wait_for("the log", LIMIT, || {
        stops_and_starts(&host.place.read("log")).len() == past + 6
    })?;
    let order = stops_and_starts(&host.place.read("log")).split_off(past);
    expect(
        order == ["-w0", "+w0", "-w1", "+w1", "-w2", "+w2"],
        format!("{order:?}"),
    )?;
    // All at once: no process waits for another.
    host.expect_ctl(&["serialrestart", "-n", "3", "w*"], 0, &["restarted\n"])?;
    wait_for("the log", LIMIT, || {
        stops_and_starts(&host.place.read("log")).len() == past + 12
    })?;
    let mut order = stops_and_starts(&host.place.read("log")).split_off(past + 6);
    order[..3].sort();
    expect(order[..3] == ["-w0", "-w1", "-w2"], format!("{order:?}"))?;
    // A stopped process stays stopped, unless it is named.
    host.expect_ctl(&["stop", "w:w1"], 0, &["stopped"])?;
    host.expect_ctl(&["serialrestart", "-n3", "all"], 0, &["w:w0: restarted\n"])?;
    expect(host.daemon()?.state("w:w1") == "STOPPED", "w1 was started")?;
    host.expect_ctl(&["serialrestart", "w:w1"], 0, &["w:w1: restarted\n"])?;
    host.expect_ctl(
        &["serialrestart", "w:w1", "nosuch", "x:*"],
        1,
        &["nosuch: ERROR (no such process)\nx:*: ERROR (no such group)\n"],
    )?;
    host.expect_ctl(
        &["serialrestart"],
        2,
        &["Error: serialrestart requires a process name\nserialrestart <name>"],
    )?;
    host.expect_ctl(
        &["serialrestart", "-n", "0", "all"],
        2,
        &["Error: serialrestart -n requires a number of at least 1, not '0'\n"],
    )?;
    host.expect_well()?;
    Ok(Outcome::Passed)
}

fn failing() -> Result<Outcome, String> {
    // It starts once, and fails as soon as the file exists.
    let mut host = Host::start(
        "[program:w]\ncommand=/bin/sh -c 'test -e {dir}/broken%(process_num)d && exit 3; exec {test_child} forever'\n\
         process_name=w%(process_num)d\nnumprocs=3\nstartsecs=1\nstartretries=0\n",
    )?;
    for name in ["w:w0", "w:w1", "w:w2"] {
        host.daemon()?.wait_state(name, "RUNNING")?;
    }
    let before = pids(&host, "w")?;
    host.place.write("broken1", "")?;
    host.expect_ctl(
        &["serialrestart", "w"],
        7,
        &["w:w0: restarted\nw:w1: ERROR (spawn error: Exited too quickly (process log may have details))\nw:w2: not restarted: w:w1 failed before it\n"],
    )?;
    let after = pids(&host, "w")?;
    expect(
        after["w0"] != before["w0"] && after["w2"] == before["w2"],
        format!("{before:?} {after:?}"),
    )?;
    host.daemon()?.wait_state("w:w1", "FATAL")?;
    host.expect_well()?;
    Ok(Outcome::Passed)
}

fn left_alone() -> Result<Outcome, String> {
    let mut host = Host::start(POOL)?;
    for name in ["w:w0", "w:w1", "w:w2"] {
        host.daemon()?.wait_state(name, "RUNNING")?;
    }
    let before = pids(&host, "w")?;
    let address = host.daemon()?.address.clone();
    let body = wire::body("supervisord.rollingRestart", &[text("all")]);
    let mut client = Connection::open(&address).map_err(|error| error.to_string())?;
    client
        .send(
            format!(
                "POST /RPC2 HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/xml\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            )
            .as_bytes(),
        )
        .map_err(|error| error.to_string())?;
    wait_for("the first process stops", LIMIT, || {
        pids(&host, "w").is_ok_and(|now| now["w0"] != before["w0"])
    })?;
    drop(client);
    // A second one is refused while the first is in progress.
    let second = host
        .daemon()?
        .call("supervisord.rollingRestart", &[text("w:w2")]);
    expect(
        matches!(&second, Err(CallError::Fault(30, why)) if why.contains("already running")),
        format!("{second:?}"),
    )?;
    wait_for("the last is another one", LIMIT, || {
        pids(&host, "w").is_ok_and(|now| now["w2"] != 0 && now["w2"] != before["w2"])
    })?;
    host.daemon()?.wait_state("w:w2", "RUNNING")?;
    let again = wire::call_with(
        &address,
        "supervisord.rollingRestart",
        &[text("w:w2"), Value::Int(1)],
        "",
        Duration::from_secs(30),
    );
    expect(matches!(again, Ok(Value::Array(_))), format!("{again:?}"))?;
    host.expect_well()?;
    Ok(Outcome::Passed)
}
