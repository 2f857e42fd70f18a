//! A program whose start is held up before its command runs (by a lease on the command's file, by SIGSTOP of its own
//! user) delays only that user's programs. Others start, stop and shut down, and the start itself survives an upgrade.

use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::unistd::{Pid, User};

use crate::host::Host;
use crate::support::runner::{Outcome, Trial};
use crate::support::wire::Value;
use crate::support::{LIMIT, expect, is_root, wait_for};

/// The tests of this file.
pub(crate) fn tests() -> Vec<Trial> {
    vec![
        Trial::new("trust::b1_a_lease_on_a_command_delays_only_its_user", lease),
        Trial::new(
            "trust::b1_a_child_stopped_before_exec_delays_no_other_program",
            stopped,
        ),
        Trial::new("trust::b1_a_delayed_start_survives_an_upgrade", upgrade),
        Trial::new("trust::b1_a_shutdown_does_not_wait_for_a_start", shutdown),
    ]
}

const PYTHON: &str = "/usr/bin/python3";
/// Holds a write lease on a file until its standard input ends. It ignores the signal of a broken lease.
const HOLD: &str = "
import fcntl, os, signal, sys
signal.signal(signal.SIGIO, signal.SIG_IGN)
file = os.open(sys.argv[1], os.O_RDONLY)
fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_WRLCK)
print('held', flush=True)
sys.stdin.read()
";
/// Stops every process of its user that the daemon has cloned and that has not run its command, repeatedly.
const STOP: &str = "
import os, signal, sys
daemon = sys.argv[1]
print('ready', flush=True)
while True:
    for task in os.listdir(f'/proc/{daemon}/task'):
        try:
            children = open(f'/proc/{daemon}/task/{task}/children').read().split()
        except OSError:
            continue
        for child in children:
            try:
                if os.stat(f'/proc/{child}').st_uid == 0 and open(f'/proc/{child}/comm').read() == 'spawn\\n':
                    os.kill(int(child), signal.SIGSTOP)
            except OSError:
                pass
";

/// Programs of two users. The command's file of `held` belongs to its user.
const CONFIG: &str = "\
[program:held]
command={dir}/bin/held
user=nobody
autostart=false
startsecs=0
autorestart=false
[program:same]
command=/bin/sleep 1000
user=nobody
autostart=false
startsecs=0
[program:other]
command=/bin/sleep 1000
autostart=false
startsecs=0
";

/// A helper of the hostile user, killed on drop.
struct Helper(Child);

impl Drop for Helper {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

struct Bench {
    host: Host,
    nobody: User,
}

impl Bench {
    /// `None`: the test does not run as root, or has no Python.
    fn new() -> Result<Option<Self>, String> {
        if !is_root() || !std::path::Path::new(PYTHON).exists() {
            return Ok(None);
        }
        let nobody = User::from_name("nobody").ok().flatten();
        let nobody = nobody.ok_or("there is no user nobody")?;
        let host = Host::start(CONFIG)?;
        let (directory, file) = (host.place.join("bin"), host.place.join("bin/held"));
        std::fs::create_dir(&directory).map_err(|error| error.to_string())?;
        std::fs::write(&file, "#!/bin/sh\nexec sleep 1000\n").map_err(|error| error.to_string())?;
        for path in [&directory, &file] {
            std::fs::set_permissions(path, PermissionsExt::from_mode(0o755))
                .and_then(|()| chown(path, Some(nobody.uid.as_raw()), None))
                .map_err(|error| error.to_string())?;
        }
        Ok(Some(Self { host, nobody }))
    }

    /// Runs a helper as the hostile user, and waits for its first line.
    fn helper(&self, script: &str, argument: &str) -> Result<Helper, String> {
        let mut command = Command::new(PYTHON);
        command
            .args(["-c", script, argument])
            .uid(self.nobody.uid.as_raw())
            .gid(self.nobody.gid.as_raw())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let child = command.spawn().map_err(|error| error.to_string())?;
        let mut helper = Helper(child);
        let stdout = helper.0.stdout.as_mut().ok_or("no pipe")?;
        let mut first = [0];
        std::io::Read::read_exact(stdout, &mut first)
            .map_err(|error| format!("helper: {error}"))?;
        Ok(helper)
    }

    fn lease(&self) -> Result<Helper, String> {
        self.helper(HOLD, &self.host.place.join("bin/held").to_string_lossy())
    }

    fn start(&self, name: &str) -> Result<(), String> {
        let (name, wait) = (Value::Text(name.to_owned()), Value::Bool(false));
        let started = self
            .host
            .daemon()?
            .call("supervisor.startProcess", &[name, wait]);
        started.map(drop).map_err(|error| error.to_string())
    }

    fn field(&self, name: &str, field: &str) -> String {
        let info = self
            .host
            .daemon()
            .ok()
            .and_then(|daemon| daemon.info(name).ok());
        info.and_then(|info| info.get(field)?.text().map(str::to_owned))
            .unwrap_or_default()
    }

    /// Waits until the status and the log report that the start of a process is held up.
    fn wait_held(&self, name: &str, why: &str) -> Result<(), String> {
        wait_for(&format!("{name} is held up: {why}"), LIMIT, || {
            self.field(name, "spawnerr").contains(why)
                && self.field(name, "description").contains(why)
        })
        .map_err(|error| format!("{error}; log:\n{}", self.host.log_end()))?;
        let line = format!("WARN start of {name} is delayed: ");
        // The output thread writes the line after the core has changed the status.
        self.host.wait_file("log", &line)?;
        let state = self.field(name, "statename");
        expect(state == "STARTING", format!("{name} is {state}"))
    }

    /// Another user's program starts and stops while `held` is held up.
    fn others_go_on(&self) -> Result<(), String> {
        self.start("other")?;
        self.host.daemon()?.wait_state("other", "RUNNING")?;
        let state = self.field("held", "statename");
        expect(state == "STARTING", format!("held is {state} already"))?;
        self.host
            .expect_ctl(&["stop", "other"], 0, &["other: stopped"])
    }
}

fn skipped() -> Result<Outcome, String> {
    Ok(Outcome::Skipped("needs root and python3".to_owned()))
}

fn lease() -> Result<Outcome, String> {
    let Some(mut bench) = Bench::new()? else {
        return skipped();
    };
    let _lease = bench.lease()?;
    bench.start("held")?;
    bench.others_go_on()?;
    bench.wait_held("held", "lease")?;
    // A user who could hold up more threads could hold up all of them.
    bench.start("same")?;
    bench.wait_held("same", "waiting for the start of held")?;
    bench.others_go_on()?;
    bench
        .host
        .expect_ctl(&["stop", "held"], 0, &["held: stopped"])?;
    bench.host.daemon()?.wait_state("same", "RUNNING")?;
    bench.host.expect_well()?;
    Ok(Outcome::Passed)
}

fn stopped() -> Result<Outcome, String> {
    let Some(mut bench) = Bench::new()? else {
        return skipped();
    };
    // The lease extends the moment between setuid and exec as long as the attacker needs.
    let lease = bench.lease()?;
    let script = STOP.replace("== 0 and", &format!("== {} and", bench.nobody.uid));
    let attacker = bench.helper(&script, &bench.host.daemon()?.pid().to_string())?;
    bench.start("held")?;
    bench.others_go_on()?;
    bench.host.wait_file(
        "log",
        "was stopped again before it executed the command; killed it",
    )?;
    bench
        .host
        .wait_file("log", "exited: held (terminated by SIGKILL; not expected)")?;
    drop((attacker, lease));
    bench.host.daemon()?.wait_state("held", "EXITED")?;
    bench.start("held")?;
    bench.host.daemon()?.wait_state("held", "RUNNING")?;
    bench.host.expect_well()?;
    Ok(Outcome::Passed)
}

fn upgrade() -> Result<Outcome, String> {
    let Some(bench) = Bench::new()? else {
        return skipped();
    };
    let lease = bench.lease()?;
    bench.start("held")?;
    bench.wait_held("held", "lease")?;
    bench.start("same")?;
    bench
        .host
        .expect_ctl(&["upgrade"], 0, &["Upgraded supervisord, now "])?;
    // The next image requests the start again, and it is held up again.
    bench.wait_held("held", "lease")?;
    bench.others_go_on()?;
    drop(lease);
    for name in ["held", "same"] {
        bench.host.daemon()?.wait_state(name, "RUNNING")?;
    }
    let pid = bench.host.daemon()?.pid_of("held");
    let alike = crate::support::proc::children(bench.host.daemon()?.pid());
    let alike = alike.iter().filter(|(of, _)| *of == pid).count();
    expect(alike == 1, format!("{alike} processes are {pid}"))?;
    Ok(Outcome::Passed)
}

fn shutdown() -> Result<Outcome, String> {
    let Some(mut bench) = Bench::new()? else {
        return skipped();
    };
    let _lease = bench.lease()?;
    bench.start("other")?;
    bench.start("held")?;
    bench.wait_held("held", "lease")?;
    bench.start("same")?;
    bench.wait_held("same", "waiting for the start of held")?;
    let daemon = bench.host.daemon.as_mut().ok_or("not started")?;
    let children: Vec<i32> = crate::support::proc::children(daemon.pid())
        .into_iter()
        .map(|(pid, _)| pid)
        .collect();
    nix::sys::signal::kill(
        Pid::from_raw(daemon.pid()),
        nix::sys::signal::Signal::SIGTERM,
    )
    .map_err(|error| error.to_string())?;
    // The lease would break after 45 seconds.
    let code = daemon.wait_exit(Duration::from_secs(30))?;
    expect(code == 0, format!("it ended with {code}"))?;
    wait_for("no child is left", LIMIT, || {
        !children.iter().any(|&pid| crate::support::proc::alive(pid))
    })?;
    Ok(Outcome::Passed)
}
