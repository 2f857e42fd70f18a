//! Real programs under supervision: redis-server, nginx and gunicorn, as other users, reloaded, killed, rotated.

use nix::sys::signal::kill;
use nix::unistd::Pid;

use crate::host::Host;
use crate::programs::{self, Program};
use crate::support::runner::{Outcome, Trial};
use crate::support::{LIMIT, expect, proc, wait_for};

/// The tests of this file.
pub(crate) fn tests() -> Vec<Trial> {
    vec![
        Trial::new("real_programs::redis_runs_as_its_user", redis),
        Trial::new("real_programs::nginx_reloads_and_rotates", nginx),
        Trial::new("real_programs::gunicorn_reloads", gunicorn),
    ]
}

/// A daemon with this program only, once it answers. `None`: the program is not installed.
fn running(
    lay_out: fn(&Host) -> Result<Option<Program>, String>,
) -> Result<Option<(Host, Program)>, String> {
    let mut host = Host::new("")?;
    let Some(program) = lay_out(&host)? else {
        return Ok(None);
    };
    host.configure(&program.section)?;
    host.go()?;
    wait_for(&format!("{} answers", program.name), LIMIT, || {
        program.answers()
    })
    .map_err(|why| format!("{why}; log:\n{}", host.log_end()))?;
    Ok(Some((host, program)))
}

fn missing(name: &str) -> Result<Outcome, String> {
    Ok(Outcome::Skipped(format!("{name} is not installed")))
}

fn runs_as(pid: i32, uid: Option<u32>) -> Result<(), String> {
    let Some(uid) = uid else { return Ok(()) };
    let uids = proc::status(pid, "Uid").unwrap_or_default();
    expect(
        uids.split(' ').all(|field| field == uid.to_string()),
        format!("{pid} runs as {uids}, not as {uid}"),
    )
}

/// Kills the program. It must restart and answer.
fn survives_kills(host: &Host, program: &Program, times: usize) -> Result<(), String> {
    let name = program.name;
    for n in 0..times {
        host.daemon()?.wait_state(name, "RUNNING")?;
        let old = host.daemon()?.pid_of(name);
        let _ = kill(Pid::from_raw(old), program.fatal);
        wait_for(&format!("{name} restarts after kill {n}"), LIMIT, || {
            let new = host.daemon().map(|d| d.pid_of(name)).unwrap_or(0);
            new > 0 && new != old && program.answers()
        })
        .map_err(|why| format!("{why}; log:\n{}", host.log_end()))?;
    }
    Ok(())
}

fn redis() -> Result<Outcome, String> {
    let Some((mut host, program)) = running(programs::redis)? else {
        return missing("redis-server");
    };
    runs_as(host.daemon()?.pid_of("redis"), program.uid)?;
    survives_kills(&host, &program, 3)?;
    host.expect_ctl(&["stop", "redis"], 0, &["redis: stopped"])?;
    host.wait_file("redis.log", "User requested shutdown")?;
    host.expect_ctl(&["status"], 3, &["STOPPED"])?;
    host.expect_well()?;
    Ok(Outcome::Passed)
}

fn nginx() -> Result<Outcome, String> {
    let Some((mut host, program)) = running(programs::nginx)? else {
        return missing("nginx");
    };
    let pid = host.daemon()?.pid_of("nginx");
    let workers = proc::children(pid);
    expect(!workers.is_empty(), "nginx has no workers")?;
    for (worker, _) in workers {
        runs_as(worker, program.uid)?;
    }
    let second = programs::nginx_conf(&program.dir, program.uid.is_some(), "second");
    std::fs::write(program.dir.join("conf"), second).map_err(|e| e.to_string())?;
    host.expect_ctl(&["signal", "HUP", "nginx"], 0, &["nginx: signalled"])?;
    wait_for("the new configuration", LIMIT, || {
        program.ask().contains("second")
    })?;
    expect(
        host.daemon()?.pid_of("nginx") == pid,
        "a reload is no restart",
    )?;
    for _ in 0..300 {
        program.ask();
    }
    wait_for("rotation of the access log", LIMIT, || {
        host.place.join("access.log.2").exists()
    })?;
    survives_kills(&host, &program, 2)?;
    host.expect_ctl(&["stop", "nginx"], 0, &["nginx: stopped"])?;
    wait_for("no worker is left", LIMIT, || program.ask().is_empty())?;
    host.expect_well()?;
    Ok(Outcome::Passed)
}

fn gunicorn() -> Result<Outcome, String> {
    let Some((mut host, program)) = running(programs::gunicorn)? else {
        return missing("gunicorn");
    };
    let pid = host.daemon()?.pid_of("gunicorn");
    runs_as(pid, program.uid)?;
    host.expect_ctl(&["signal", "HUP", "gunicorn"], 0, &["gunicorn: signalled"])?;
    host.wait_file("g.err", "Handling signal: hup")?;
    wait_for("it answers after the reload", LIMIT, || program.answers())?;
    expect(
        host.daemon()?.pid_of("gunicorn") == pid,
        "a reload is no restart",
    )?;
    survives_kills(&host, &program, 2)?;
    host.expect_ctl(
        &["restart", "gunicorn"],
        0,
        &["gunicorn: stopped", "gunicorn: started"],
    )?;
    wait_for("it answers after the restart", LIMIT, || program.answers())?;
    host.expect_ctl(&["stop", "gunicorn"], 0, &["gunicorn: stopped"])?;
    host.expect_well()?;
    Ok(Outcome::Passed)
}
