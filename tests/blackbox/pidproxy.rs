//! `pidproxy` compared with the reference, and with a real daemon that goes into the background.

use std::fs::File;
use std::path::PathBuf;
use std::process::Child;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::host::Host;
use crate::programs::installed;
use crate::support::daemon::{Side, oracle, program, run, wait_exit};
use crate::support::runner::{Outcome, Trial};
use crate::support::{LIMIT, expect, proc, wait_for};

/// The tests of this file.
pub(crate) fn tests() -> Vec<Trial> {
    let mut tests = vec![
        Trial::new(
            "pidproxy::broken_pidfiles_do_no_harm",
            aux_02_broken_pidfiles_do_no_harm,
        ),
        Trial::new(
            "pidproxy::g60_redis_runs_in_the_background",
            aux_02_redis_runs_in_the_background,
        ),
    ];
    for side in [Side::Ours, Side::Reference] {
        tests.push(Trial::new(
            format!("pidproxy::g60_signals_and_statuses::{side:?}"),
            move || aux_02_signals_and_statuses(side),
        ));
    }
    tests
}

/// The program of one side. Ours is the daemon under another name.
fn pidproxy(host: &Host, side: Side) -> Result<PathBuf, String> {
    match side {
        Side::Reference => program(side, "pidproxy"),
        Side::Ours => {
            let link = host.place.join("pidproxy");
            let daemon = program(side, "supervisord")?;
            if !link.exists() {
                std::os::unix::fs::symlink(daemon, &link).map_err(|e| e.to_string())?;
            }
            Ok(link)
        }
    }
}

/// A proxy for a test child that writes a file named after each signal.
struct Running {
    proxy: Child,
    command: i32,
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.proxy.kill());
        drop(self.proxy.wait());
    }
}

const SIGNALS: [&str; 6] = ["HUP", "USR1", "USR2", "TERM", "INT", "QUIT"];

impl Running {
    fn start(host: &Host, side: Side) -> Result<Self, String> {
        let dir = host.place.text();
        for name in SIGNALS.iter().chain(&["ready"]) {
            drop(std::fs::remove_file(host.place.join(name)));
        }
        let me = std::env::current_exe().map_err(|e| e.to_string())?;
        let mut command = host
            .marked
            .command(&pidproxy(host, side)?, host.place.path());
        command.env("PYTHONUNBUFFERED", "1");
        command.args([&format!("{dir}/it.pid"), &me.display().to_string()]);
        command.arg("test_child");
        for name in SIGNALS {
            command.args(["on", name, &format!("touch,{dir}/{name}")]);
        }
        command.args(["touch", &format!("{dir}/ready"), "forever"]);
        let out = File::create(host.place.join("proxy.out")).map_err(|e| e.to_string())?;
        let err = File::create(host.place.join("proxy.err")).map_err(|e| e.to_string())?;
        command.stdout(out).stderr(err);
        let proxy = command.spawn().map_err(|e| e.to_string())?;
        let mut running = Self { proxy, command: 0 };
        let pid = running.pid();
        wait_for("the command is ready", LIMIT, || {
            running.command = proc::children(pid).first().map_or(0, |(pid, _)| *pid);
            running.command > 0 && host.place.join("ready").exists()
        })?;
        Ok(running)
    }

    fn pid(&self) -> i32 {
        i32::try_from(self.proxy.id()).expect("pids fit")
    }

    fn signal(&self, name: &str) -> Result<(), String> {
        let signal: Signal = format!("SIG{name}").parse().map_err(|_| "no signal")?;
        kill(Pid::from_raw(self.pid()), signal).map_err(|e| e.to_string())
    }

    fn exit(&mut self) -> Result<Option<i32>, String> {
        wait_exit(&mut self.proxy, LIMIT).map(|status| status.code())
    }

    fn is_alive(&mut self) -> bool {
        matches!(self.proxy.try_wait(), Ok(None))
    }
}

fn aux_02_signals_and_statuses(side: Side) -> Result<Outcome, String> {
    if side == Side::Reference && oracle().is_none() {
        return Ok(Outcome::Skipped("SUPERVISOR_ORACLE is not set".to_owned()));
    }
    let host = Host::new("")?;
    let program = pidproxy(&host, side)?;
    let it = |args: &[&str]| {
        let mut command = host.marked.command(&program, host.place.path());
        command.args(args);
        run(command, host.place.path(), None, LIMIT)
    };
    let usage = format!(
        "\nUsage: {} <pidfile name> <command> [<cmdarg1> ...]\n\n",
        program.display()
    );
    for args in [&[][..], &["it.pid"]] {
        let got = it(args)?;
        expect(
            got.code == 1 && got.stdout.ends_with(&usage),
            format!("{args:?}: {got:?}"),
        )?;
    }

    // Without a file it prints an error and keeps running. With a file it passes every signal on, and three signals end
    // it.
    for last in ["TERM", "INT", "QUIT"] {
        drop(std::fs::remove_file(host.place.join("it.pid")));
        let mut running = Running::start(&host, side)?;
        let unreadable = format!("Can't read child pidfile {}/it.pid!", host.place.text());
        for (count, name) in [(1, last), (2, "HUP")] {
            running.signal(name)?;
            wait_for("the unreadable file is reported", LIMIT, || {
                host.place.read("proxy.out").matches(&unreadable).count() == count
            })?;
        }
        expect(running.is_alive(), "it stays without a file")?;
        host.place
            .write("it.pid", &format!("{}\n", running.command))?;
        for name in ["HUP", "USR1", "USR2", last] {
            running.signal(name)?;
            wait_for(&format!("{name} is handed on"), LIMIT, || {
                host.place.join(name).exists()
            })?;
            expect(
                name == last || running.is_alive(),
                format!("{name} does not end it"),
            )?;
        }
        expect(
            running.exit()? == Some(0),
            format!("it ends with 0 after {last}"),
        )?;
        expect(
            proc::alive(running.command),
            "the command is not its business",
        )?;
        kill(Pid::from_raw(running.command), Signal::SIGKILL).map_err(|e| e.to_string())?;
    }

    // A process that has exited cannot be stopped.
    let mut running = Running::start(&host, side)?;
    host.place.write("it.pid", "2147483646\n")?;
    running.signal("TERM")?;
    expect(
        running.exit()? == Some(1),
        "it ends with 1 when there is nobody to end",
    )?;
    kill(Pid::from_raw(running.command), Signal::SIGKILL).map_err(|e| e.to_string())?;

    // It exits with its command, with any exit status.
    let mut running = Running::start(&host, side)?;
    kill(Pid::from_raw(running.command), Signal::SIGKILL).map_err(|e| e.to_string())?;
    expect(running.exit()? == Some(0), "it ends with its command")?;
    Ok(Outcome::Passed)
}

fn aux_02_broken_pidfiles_do_no_harm() -> Result<Outcome, String> {
    let host = Host::new("")?;
    let mut running = Running::start(&host, Side::Ours)?;
    let parent = i32::try_from(std::process::id()).map_err(|e| e.to_string())?;
    let mut said = 0;
    for pid in [0, -1, 1, running.pid(), -running.command, parent] {
        host.place.write("it.pid", &pid.to_string())?;
        for name in ["HUP", "TERM"] {
            running.signal(name)?;
            said += 1;
            wait_for(&format!("{pid} is refused"), LIMIT, || {
                let out = host.place.read("proxy.out");
                out.matches("which cannot be the daemon; no signal sent")
                    .count()
                    == said
            })
            .map_err(|why| format!("{why}; {}", host.place.read("proxy.out")))?;
        }
        expect(
            running.is_alive() && proc::alive(running.command),
            format!("{pid} ended something"),
        )?;
    }
    expect(
        !host.place.join("HUP").exists() && !host.place.join("TERM").exists(),
        "a signal reached the command through its group",
    )?;
    // The file is repaired: the next signal is passed on.
    host.place.write("it.pid", &running.command.to_string())?;
    running.signal("TERM")?;
    expect(running.exit()? == Some(0), "the proxy did not exit with 0")?;
    wait_for("TERM is handed on", LIMIT, || {
        host.place.join("TERM").exists()
    })?;

    let mut command = host
        .marked
        .command(&pidproxy(&host, Side::Ours)?, host.place.path());
    command.args(["it.pid", "nosuchcommand"]);
    let got = run(command, host.place.path(), None, LIMIT)?;
    let expected = format!(
        "cannot run {}/nosuchcommand: No such file or directory",
        host.place.text()
    );
    expect(
        got.code == 1 && got.stdout.starts_with(&expected),
        format!("{got:?}"),
    )?;
    Ok(Outcome::Passed)
}

/// Stops the daemon of a pidfile: it has no parent here, and no mark.
struct Background(PathBuf);

impl Background {
    fn pid(&self) -> i32 {
        let text = std::fs::read_to_string(&self.0).unwrap_or_default();
        text.trim().parse().unwrap_or(0)
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        let pid = self.pid();
        let is_ours = std::fs::read_to_string(format!("/proc/{pid}/cmdline"))
            .is_ok_and(|line| line.contains(&*self.0.with_file_name("sock").to_string_lossy()));
        if pid > 1 && is_ours {
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
    }
}

/// A daemon that forks into the background is supervised: stopped, restarted when it dies, signalled.
fn aux_02_redis_runs_in_the_background() -> Result<Outcome, String> {
    let Some(server) = installed("redis-server") else {
        return Ok(Outcome::Skipped("redis-server is not installed".to_owned()));
    };
    let mut host = Host::new("")?;
    let proxy = pidproxy(&host, Side::Ours)?;
    host.configure(&format!(
        "[program:redis]\ncommand={} -exit-daemon-stop {{dir}}/redis.pid {} --daemonize yes --pidfile {{dir}}/redis.pid \
         --port 0 --unixsocket {{dir}}/sock --dir {{dir}} --save \"\" --logfile {{dir}}/redis.log\nautorestart=true\n\
         stdout_logfile={{dir}}/proxy.out\n",
        proxy.display(),
        server.display()
    ))?;
    host.go()?;
    let background = Background(host.place.join("redis.pid"));
    let real = || background.pid();
    let answers = || {
        crate::programs::ask(&host.place.join("sock"), "PING\r\n")
            .is_some_and(|answer| answer.contains("PONG"))
    };
    let up = |not: i32| {
        wait_for("redis answers", LIMIT, || {
            let pid = real();
            pid > 0 && pid != not && proc::alive(pid) && answers()
        })
        .map(|()| real())
        .map_err(|why| {
            format!(
                "{why}; {}\n{}",
                host.place.read("proxy.out"),
                host.log_end()
            )
        })
    };
    let first = up(0)?;
    host.daemon()?.wait_state("redis", "RUNNING")?;
    let proxied = host.daemon()?.pid_of("redis");
    expect(
        proc::stat(first, 4) != Some(proxied.to_string()),
        "redis is in the background, and no child of the proxy",
    )?;

    // Its exit is the program's exit.
    kill(Pid::from_raw(first), Signal::SIGKILL).map_err(|e| e.to_string())?;
    host.wait_file("log", "exited: redis (exit status 1; not expected)")?;
    let second = up(first)?;
    expect(
        host.daemon()?.pid_of("redis") != proxied,
        "another proxy stands for it",
    )?;

    // A stop of the program is a stop of the daemon.
    host.daemon()?.wait_state("redis", "RUNNING")?;
    host.expect_ctl(&["stop", "redis"], 0, &["redis: stopped"])?;
    wait_for("the daemon has ended", LIMIT, || !proc::alive(second))?;
    host.wait_file("redis.log", "User requested shutdown")?;
    host.wait_file("log", "stopped: redis (exit status 0)")?;
    expect(!answers(), "it answers no more")?;

    host.expect_ctl(&["start", "redis"], 0, &["redis: started"])?;
    let third = up(second)?;
    kill(Pid::from_raw(third), Signal::SIGTERM).map_err(|e| e.to_string())?;
    wait_for("the proxy ends", LIMIT, || {
        let log = host.place.read("log");
        log.matches("exited: redis (exit status 1; not expected)")
            .count()
            == 2
    })?;
    up(third)?;
    host.expect_ctl(&["stop", "redis"], 0, &["redis: stopped"])?;
    host.expect_well()?;
    Ok(Outcome::Passed)
}
