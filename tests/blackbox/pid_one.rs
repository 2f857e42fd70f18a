//! The daemon as PID 1 of a new PID namespace: it reaps orphans, and a client from outside can connect.

use crate::host::Host;
use crate::namespace;
use crate::support::daemon::{Side, program};
use crate::support::runner::{Outcome, Trial};
use crate::support::{LIMIT, expect, is_root, proc, wait_for};

/// The tests of this file.
pub(crate) fn tests() -> Vec<Trial> {
    vec![
        Trial::new(
            "pid_one::log_08_orphans_are_reaped_and_status_works_from_outside",
            container,
        ),
        Trial::new("pid_one::children_inherited_by_exec_are_reaped", inherited),
        Trial::new(
            "pid_one::g58_a_thousand_orphans_take_no_exit_status",
            thousand,
        ),
    ]
}

/// A shell that has children becomes the daemon. Only a walk over all children finds them, and such walks are rare: one
/// child exits before any program runs, and one among programs that restart without a pause.
fn inherited() -> Result<Outcome, String> {
    let mut host = Host::new(
        "[program:quick]\ncommand={test_child} exit 0\nstartsecs=0\nautorestart=true\nrestart_floor=0\n\
         numprocs=3\nprocess_name=%(process_num)d\n",
    )?;
    let own = std::env::current_exe().map_err(|error| error.to_string())?;
    let test_child = format!("{} test_child", own.display());
    let script = format!("{test_child} exit 3 & {test_child} sleep 700 exit 4 & exec \"$@\"");
    let mut command = host
        .marked
        .command(std::path::Path::new("/bin/sh"), host.place.path());
    command
        .args(["-c", &script, "sh"])
        .arg(program(Side::Ours, "supervisord")?)
        .args(["-n", "-c", "conf"]);
    host.go_as(command, "s")?;
    for status in ["exit status 3", "exit status 4"] {
        wait_for("it is reaped", LIMIT, || {
            let log = host.place.read("log");
            let mut lines = log.lines();
            lines.any(|line| line.contains("reaped unknown pid") && line.contains(status))
        })?;
    }
    let unknown = host.place.read("log").matches("reaped unknown pid").count();
    expect(unknown == 2, "a program was reaped as an orphan")?;
    host.expect_ctl(&["shutdown"], 0, &["Shut down"])?;
    host.daemon.as_mut().ok_or("none")?.wait_exit(LIMIT)?;
    Ok(Outcome::Passed)
}

fn container() -> Result<Outcome, String> {
    if !is_root() {
        return Ok(Outcome::Skipped("a PID namespace needs root".to_owned()));
    }
    let Some((mut host, inside)) = namespace::container(
        "[program:maker]\ncommand={test_child} quietchild sleep,300 quietchild sleep,400 sleep 1200 exit 0\n\
         [program:long]\ncommand={test_child} forever\nstartsecs=0\n",
    )?
    else {
        return Ok(Outcome::Skipped(
            "this machine allows no PID namespaces".to_owned(),
        ));
    };
    host.wait_file("log", "supervisord started with pid 1\n")?;
    host.daemon()?.wait_state("long", "RUNNING")?;
    host.wait_file("log", "exited: maker")?;
    host.wait_file("log", "reaped unknown pid")?;
    wait_for("both orphans are reaped", LIMIT, || {
        host.place.read("log").matches("reaped unknown pid").count() == 2
    })?;
    // As `docker exec … supervisorctl status` would.
    expect(proc::zombies(inside) == 0, "zombies are left")?;
    let got = namespace::exec(&host, inside, Side::Ours, &["status", "long"])?;
    expect(
        got.code == 0 && got.stdout.contains("RUNNING"),
        format!("{got:?}"),
    )?;
    host.expect_ctl(&["shutdown"], 0, &["Shut down"])?;
    let code = host.daemon.as_mut().ok_or("none")?.wait_exit(LIMIT)?;
    expect(code == 0, format!("PID 1 ended with {code}"))?;
    Ok(Outcome::Passed)
}

/// The Go implementation loses exit statuses to its own reaper of orphans.
fn thousand() -> Result<Outcome, String> {
    const ORPHANS: usize = 1000;
    const PROGRAMS: usize = 10;
    if !is_root() {
        return Ok(Outcome::Skipped("a PID namespace needs root".to_owned()));
    }
    let exits: String = (0..PROGRAMS)
        .map(|number| {
            format!(
                "[program:p{number}]\ncommand=/bin/sh -c \"sleep 0.1; exit {}\"\nstartsecs=0\nautorestart=true\n\
                 restart_floor=0\n",
                30 + number
            )
        })
        .collect();
    let maker = format!(
        "[program:maker]\ncommand=/bin/sh -c 'i=0; while [ $i -lt {ORPHANS} ]; do (sleep 0.2 &); i=$((i + 1)); done'\n\
         startsecs=0\nautorestart=false\n"
    );
    let Some((mut host, inside)) = namespace::container(&(exits + &maker))? else {
        return Ok(Outcome::Skipped(
            "this machine allows no PID namespaces".to_owned(),
        ));
    };
    let reaped = || host.place.read("log").matches("reaped unknown pid").count();
    wait_for("all orphans are reaped", LIMIT, || reaped() >= ORPHANS)
        .map_err(|why| format!("{why} ({})", reaped()))?;
    host.wait_file("log", "exited: maker (exit status 0; expected)")?;
    let log = host.place.read("log");
    for number in 0..PROGRAMS {
        let exited = format!("exited: p{number} ");
        let exact = format!("{exited}(exit status {}; not expected)", 30 + number);
        let (all, right) = (log.matches(&exited).count(), log.matches(&exact).count());
        expect(
            all > 0 && all == right,
            format!("{right} of {all} statuses of p{number} are right"),
        )?;
    }
    expect(reaped() == ORPHANS, "a program was reaped as an orphan")?;
    expect(
        proc::zombies(inside) <= PROGRAMS,
        "orphans are left as zombies",
    )?;
    host.expect_ctl(&["shutdown"], 0, &["Shut down"])?;
    let code = host.daemon.as_mut().ok_or("none")?.wait_exit(LIMIT)?;
    expect(code == 0, format!("PID 1 ended with {code}"))?;
    Ok(Outcome::Passed)
}
