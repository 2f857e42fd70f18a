//! Rolling restarts that wait for health, updates that replace some processes at a time, and updates of `numprocs`.

use std::collections::BTreeMap;

use crate::host::Host;
use crate::support::runner::{Outcome, Trial};
use crate::support::wire::Value;
use crate::support::{LIMIT, expect, wait_for};

/// The tests of this file.
pub(crate) fn tests() -> Vec<Trial> {
    vec![
        Trial::new(
            "rolling::a_restart_waits_until_each_process_is_healthy",
            healthy,
        ),
        Trial::new(
            "rolling::a_restart_goes_on_until_too_many_have_failed",
            failures,
        ),
        Trial::new(
            "rolling::an_update_of_numprocs_touches_only_the_difference",
            numprocs,
        ),
        Trial::new(
            "rolling::an_update_replaces_some_processes_at_a_time",
            update,
        ),
        Trial::new(
            "rolling::an_update_halts_at_the_first_failure_and_the_next_one_goes_on",
            halted,
        ),
        Trial::new("rolling::a_halted_update_survives_an_upgrade", survives),
    ]
}

/// The PIDs of all processes by name.
fn pids(host: &Host) -> Result<BTreeMap<String, i64>, String> {
    let answer = host
        .daemon()?
        .call("supervisor.getAllProcessInfo", &[])
        .map_err(|error| error.to_string())?;
    let Value::Array(processes) = answer else {
        return Err(format!("{answer}"));
    };
    Ok(processes
        .iter()
        .filter_map(|process| {
            let name = process.get("name")?.text()?.to_owned();
            Some((name, process.get("pid")?.int()?))
        })
        .collect())
}

/// Waits until processes of the group `w` are RUNNING.
fn up(host: &Host, names: &[&str]) -> Result<(), String> {
    for name in names {
        host.daemon()?.wait_state(&format!("w:{name}"), "RUNNING")?;
    }
    Ok(())
}

/// A program of several processes. A process fails its start if the file `broken…` with its number exists, and is
/// healthy unless the file `sick…` exists.
fn pool(numprocs: u32, more: &str) -> String {
    format!(
        "[program:w]\nprocess_name=w%(process_num)d\nnumprocs={numprocs}\nstartsecs=1\nstartretries=0\n\
         command=/bin/sh -c 'test -e {{dir}}/broken%(process_num)d && exit 3; exec {{test_child}} forever'\n{more}"
    )
}

const CHECK: &str = "health_command=test ! -e {dir}/sick%(process_num)d\nhealth_interval=1\nhealth_retries=2\non_unhealthy=none\n";

fn healthy() -> Result<Outcome, String> {
    let mut host = Host::start(&pool(3, CHECK))?;
    up(&host, &["w0", "w1", "w2"])?;
    let before = pids(&host)?;
    host.place.write("sick1", "")?;
    // Ready is enough by default.
    host.expect_ctl(&["restart", "--rolling", "w:w1"], 0, &["w:w1: restarted\n"])?;
    host.expect_ctl(
        &["restart", "--rolling", "--wait", "healthy", "w"],
        1,
        &[
            "w:w0: restarted\nw:w1: ERROR (unhealthy: exit status 1)\n",
            "w:w2: not restarted: w:w1 failed before it\n",
        ],
    )?;
    let after = pids(&host)?;
    expect(
        after["w0"] != before["w0"] && after["w2"] == before["w2"],
        format!("{before:?} {after:?}"),
    )?;
    std::fs::remove_file(host.place.join("sick1")).map_err(|error| error.to_string())?;
    host.expect_ctl(
        &["restart", "--rolling", "-n", "2", "--wait=healthy", "w:*"],
        0,
        &[
            "w:w0: restarted\n",
            "w:w1: restarted\n",
            "w:w2: restarted\n",
        ],
    )?;
    let shown = host.ctl(&["status"])?.stdout;
    expect(shown.matches("healthy").count() == 3, &shown)?;
    for (args, why) in [
        (
            ["restart", "--rolling", "--wait", "soon", "w"].as_slice(),
            "Error: restart --wait requires ready or healthy, not 'soon'\n",
        ),
        (
            &["restart", "--rolling"],
            "Error: restart requires a process name\n",
        ),
    ] {
        host.expect_ctl(args, 2, &[why])?;
    }
    host.expect_well()?;
    Ok(Outcome::Passed)
}

fn failures() -> Result<Outcome, String> {
    let mut host = Host::start(&pool(4, ""))?;
    up(&host, &["w0", "w1", "w2", "w3"])?;
    let before = pids(&host)?;
    for name in ["broken0", "broken2"] {
        host.place.write(name, "")?;
    }
    host.expect_ctl(
        &["restart", "--rolling", "--max-failures", "1", "w"],
        7,
        &[
            "w:w0: ERROR (spawn error: Exited too quickly (process log may have details))\nw:w1: restarted\n",
            "w:w2: ERROR (spawn error: Exited too quickly (process log may have details))\n",
            "w:w3: not restarted: w:w0, w:w2 failed before it\n",
        ],
    )?;
    let after = pids(&host)?;
    expect(
        after["w1"] != before["w1"] && after["w3"] == before["w3"],
        format!("{before:?} {after:?}"),
    )?;
    host.expect_well()?;
    Ok(Outcome::Passed)
}

fn numprocs() -> Result<Outcome, String> {
    let mut host = Host::start(&pool(3, ""))?;
    up(&host, &["w0", "w1", "w2"])?;
    let three = pids(&host)?;
    host.configure(&pool(5, ""))?;
    let parts = ["w: rescale\n", "    numprocs: \"3\" -> \"5\" ("];
    host.expect_ctl(&["plan"], 2, &parts)?;
    host.expect_ctl(
        &["update"],
        0,
        &["w:w3: added\nw:w4: added\nw: updated process group\n"],
    )?;
    up(&host, &["w3", "w4"])?;
    let five = pids(&host)?;
    expect(
        three.iter().all(|(name, pid)| five[name] == *pid) && five.len() == 5,
        format!("{three:?} {five:?}"),
    )?;
    host.expect_ctl(&["plan"], 0, &["nothing to do"])?;
    host.configure(&pool(3, "essential=false\nrestartpause=2\n"))?;
    host.expect_ctl(
        &["update"],
        0,
        &["w:w4: removed\nw:w3: removed\nw: updated process group\n"],
    )?;
    expect(pids(&host)? == three, format!("{three:?}"))?;
    // The key that needs no restart applies to those that stayed.
    host.expect_ctl(&["plan"], 0, &["nothing to do"])?;
    // A process that sees the number is another one.
    let counts = "environment=COUNT=\"%(numprocs)d\"\n";
    host.configure(&pool(3, counts))?;
    host.expect_ctl(&["update"], 0, &["w: stopped\nw: updated process group\n"])?;
    up(&host, &["w0", "w1", "w2"])?;
    let before = pids(&host)?;
    host.configure(&pool(2, counts))?;
    host.expect_ctl(&["plan"], 2, &["w: restart\n"])?;
    host.expect_ctl(&["update"], 0, &["w: stopped\nw: updated process group\n"])?;
    up(&host, &["w0", "w1"])?;
    let after = pids(&host)?;
    expect(
        after.len() == 2 && after["w0"] != before["w0"],
        format!("{before:?} {after:?}"),
    )?;
    host.expect_well()?;
    Ok(Outcome::Passed)
}

fn update() -> Result<Outcome, String> {
    let config = |more: &str| pool(3, &format!("{CHECK}rolling=1\n{more}"));
    let mut host = Host::start(&config(""))?;
    up(&host, &["w0", "w1", "w2"])?;
    let before = pids(&host)?;
    host.configure(&config("stopwaitsecs=9\n"))?;
    host.expect_ctl(
        &["plan"],
        2,
        &[
            "w: restart (1 at a time)\n",
            "    stopwaitsecs: default \"10\" -> \"9\" (",
        ],
    )?;
    host.expect_ctl(
        &["update"],
        0,
        &["w:w0: updated\nw:w1: updated\nw:w2: updated\nw: updated process group\n"],
    )?;
    let after = pids(&host)?;
    expect(
        before.iter().all(|(name, pid)| after[name] != *pid),
        format!("{before:?} {after:?}"),
    )?;
    // Each process stopped when the one before was up and healthy.
    let log = host.place.read("log");
    let place = |text: &str| log.rfind(text).ok_or_else(|| format!("no {text:?}: {log}"));
    let mut order = Vec::new();
    for name in ["w0", "w1", "w2"] {
        order.push(place(&format!("stopped: {name} "))?);
        order.push(place(&format!("healthy: {name} passes"))?);
    }
    expect(order.is_sorted(), format!("{order:?}: {log}"))?;
    host.expect_ctl(&["plan"], 0, &["nothing to do"])?;
    // Other numbers: new processes come one by one, and the others stay.
    host.configure(&pool(4, &format!("{CHECK}rolling=1\nstopwaitsecs=9\n")))?;
    host.expect_ctl(
        &["update"],
        0,
        &["w:w3: updated\nw: updated process group\n"],
    )?;
    let more = pids(&host)?;
    expect(
        after.iter().all(|(name, pid)| more[name] == *pid) && more.len() == 4,
        format!("{after:?} {more:?}"),
    )?;
    // A [group:x] has the key for all its programs. A change of its priority restarts nothing.
    let group = |priority: u32| {
        format!(
            "{}[program:other]\ncommand={{test_child}} forever\nstartsecs=0\n[group:g]\nprograms=w,other\nrolling=2\npriority={priority}\n",
            pool(2, "")
        )
    };
    host.configure(&group(5))?;
    host.expect_ctl(&["update"], 0, &["g: added process group\n"])?;
    host.daemon()?.wait_state("g:w1", "RUNNING")?;
    let before = pids(&host)?;
    host.configure(&group(6))?;
    host.expect_ctl(
        &["plan"],
        2,
        &["g: restart (2 at a time)\n  priority: \"5\" -> \"6\""],
    )?;
    host.expect_ctl(&["update"], 0, &["g: updated process group\n"])?;
    expect(pids(&host)? == before, format!("{before:?}"))?;
    host.configure(&group(6).replace("startsecs=0", "startsecs=0\nstopwaitsecs=8"))?;
    host.expect_ctl(
        &["update"],
        0,
        &["g:other: updated\ng: updated process group\n"],
    )?;
    let after = pids(&host)?;
    expect(
        after["w0"] == before["w0"] && after["other"] != before["other"],
        format!("{before:?} {after:?}"),
    )?;
    host.expect_ctl(&["plan"], 0, &["nothing to do"])?;
    host.expect_well()?;
    Ok(Outcome::Passed)
}

fn halted() -> Result<Outcome, String> {
    let config = |more: &str| pool(3, &format!("rolling=1\n{more}"));
    let mut host = Host::start(&config(""))?;
    up(&host, &["w0", "w1", "w2"])?;
    let before = pids(&host)?;
    let wrong = config("environment=A=1\n").replace("&& exit 3", "|| exit 4");
    host.configure(&wrong)?;
    let reason = "Exited too quickly (process log may have details)";
    let halted = [
        format!("w:w0: ERROR (spawn error: {reason})\n"),
        "w:w1: not updated: w:w0 failed before it\nw:w2: not updated: w:w0 failed before it\n"
            .to_owned(),
    ];
    let parts: Vec<&str> = halted.iter().map(String::as_str).collect();
    host.expect_ctl(&["update"], 7, &parts)?;
    let left = |host: &Host| -> Result<bool, String> {
        let now = pids(host)?;
        Ok(now["w1"] == before["w1"] && now["w2"] == before["w2"])
    };
    expect(left(&host)?, "the others were restarted")?;
    host.wait_file(
        "log",
        "update of group 'w' halted: w:w0 failed: w:w0: Exited too quickly (process log may have details); 2 processes keep their previous configuration",
    )?;
    host.daemon()?.wait_state("w:w0", "FATAL")?;
    // The rest is still to be done, and the same configuration gets no further.
    host.expect_ctl(
        &["plan"],
        2,
        &["w: restart (1 at a time)\n", "    command: \""],
    )?;
    host.expect_ctl(&["update"], 7, &parts)?;
    expect(left(&host)?, "the second update went on")?;
    // A command that does not exist stops nobody.
    host.configure(&config("environment=A=1\n").replace("command=/bin/sh", "command=/no/such"))?;
    let got = host.ctl(&["update"])?;
    expect(got.code != 0 && left(&host)?, format!("{got:?}"))?;
    // A correct one is applied to all, beginning with the process that failed.
    host.configure(&config("environment=A=2\n"))?;
    host.expect_ctl(
        &["update"],
        0,
        &["w:w0: updated\nw:w1: updated\nw:w2: updated\nw: updated process group\n"],
    )?;
    up(&host, &["w0", "w1", "w2"])?;
    expect(!left(&host)?, "the others were not restarted")?;
    host.expect_ctl(&["plan"], 0, &["nothing to do"])?;
    // The previous configuration is a way back too: only the process that failed restarts.
    let before = pids(&host)?;
    host.configure(&wrong)?;
    host.expect_ctl(&["update"], 7, &["w:w0: ERROR (spawn error"])?;
    host.configure(&config("environment=A=2\n"))?;
    host.expect_ctl(
        &["update"],
        0,
        &["w:w0: updated\nw: updated process group\n"],
    )?;
    let after = pids(&host)?;
    expect(
        after["w1"] == before["w1"] && after["w2"] == before["w2"],
        format!("{before:?} {after:?}"),
    )?;
    // Without `rolling` a method refuses.
    let answer = host.daemon()?.call(
        "supervisord.updateProcessGroup",
        &[Value::Text("nosuch".to_owned())],
    );
    expect(answer.is_err(), format!("{answer:?}"))?;
    host.expect_well()?;
    Ok(Outcome::Passed)
}

fn survives() -> Result<Outcome, String> {
    let config = |more: &str| pool(3, &format!("rolling=1\n{more}"));
    let mut host = Host::start(&config(""))?;
    up(&host, &["w0", "w1", "w2"])?;
    let before = pids(&host)?;
    host.place.write("broken1", "")?;
    host.configure(&config("environment=A=1\n"))?;
    host.expect_ctl(
        &["update"],
        7,
        &[
            "w:w0: updated\nw:w1: ERROR (spawn error",
            "w:w2: not updated: w:w1 failed before it\n",
        ],
    )?;
    host.expect_ctl(&["upgrade"], 0, &["Upgraded supervisord, now "])?;
    let plan = ["w: restart (1 at a time)\n", "    environment: changed"];
    host.expect_ctl(&["plan"], 2, &plan)?;
    let after = pids(&host)?;
    expect(
        after["w2"] == before["w2"] && after["w0"] != before["w0"],
        format!("{before:?} {after:?}"),
    )?;
    std::fs::remove_file(host.place.join("broken1")).map_err(|error| error.to_string())?;
    host.expect_ctl(
        &["update"],
        0,
        &["w:w1: updated\nw:w2: updated\nw: updated process group\n"],
    )?;
    expect(pids(&host)?["w0"] == after["w0"], "the first was restarted")?;
    wait_for("nothing to do", LIMIT, || {
        host.ctl(&["plan"]).is_ok_and(|got| got.code == 0)
    })?;
    host.expect_well()?;
    Ok(Outcome::Passed)
}
