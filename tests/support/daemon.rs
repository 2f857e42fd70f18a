//! Daemons and clients as processes, of the reference and ours. Every process is marked and killed at the end.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::proc;
use super::wire::{self, Address, CallError, Value};
use super::{LIMIT, wait_for};

/// The program under test: the reference's or ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Supervisor 4.3.0, found through `SUPERVISOR_ORACLE`.
    Reference,
    /// This package.
    Ours,
}

/// The venv with the reference program.
pub fn oracle() -> Option<PathBuf> {
    let venv = PathBuf::from(std::env::var_os("SUPERVISOR_ORACLE")?);
    venv.join("bin/supervisord").exists().then_some(venv)
}

/// The path of a program of one side: `supervisord`, `supervisorctl`, `supervisord-agent`, `echo_supervisord_conf`.
pub fn program(side: Side, name: &str) -> Result<PathBuf, String> {
    match (side, name) {
        (Side::Reference, name) => oracle()
            .map(|venv| venv.join("bin").join(name))
            .ok_or_else(|| "SUPERVISOR_ORACLE is not set".to_owned()),
        (Side::Ours, "supervisorctl") => Ok(std::env::var_os("SUPERVISORCTL")
            .map_or_else(|| env!("CARGO_BIN_EXE_supervisorctl").into(), Into::into)),
        (Side::Ours, "supervisord") => Ok(std::env::var_os("SUPERVISORD")
            .map_or_else(|| env!("CARGO_BIN_EXE_supervisord").into(), Into::into)),
        (Side::Ours, "supervisord-agent") => Ok(std::env::var_os("SUPERVISORD_AGENT").map_or_else(
            || env!("CARGO_BIN_EXE_supervisord-agent").into(),
            Into::into,
        )),
        (Side::Ours, other) => Err(format!("no program of ours is called {other}")),
    }
}

static NEXT_MARK: AtomicU32 = AtomicU32::new(0);

/// Kills all processes with the mark when it drops, also after a panic.
pub struct Marked {
    mark: String,
}

impl Marked {
    /// A fresh mark.
    pub fn new() -> Self {
        let number = NEXT_MARK.fetch_add(1, Ordering::Relaxed);
        Self {
            mark: format!("{}-{number}", std::process::id()),
        }
    }

    /// A command with the environment of the tests: minimal, the same everywhere, and marked.
    pub fn command(&self, program: &Path, dir: &Path) -> Command {
        let mut command = Command::new(program);
        command
            .current_dir(dir)
            .env_clear()
            .env(
                "PATH",
                "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            )
            .env("HOME", dir)
            .env("LANG", "C.UTF-8")
            .env("TZ", "UTC")
            .env(proc::MARK, &self.mark)
            .stdin(Stdio::null());
        command
    }

    /// The running processes with this mark.
    pub fn alive(&self) -> Vec<i32> {
        proc::marked(&self.mark)
    }
}

impl Drop for Marked {
    fn drop(&mut self) {
        proc::kill_marked(&self.mark);
    }
}

/// The result of a finished program.
#[derive(Debug, Clone)]
pub struct Finished {
    /// Its exit code, or -1 after a signal.
    pub code: i32,
    /// Everything on stdout.
    pub stdout: String,
    /// Everything on stderr.
    pub stderr: String,
}

/// Waits with a limit until a child exits.
pub fn wait_exit(child: &mut Child, limit: Duration) -> Result<ExitStatus, String> {
    let mut status = None;
    wait_for("the end of the program", limit, || {
        status = child.try_wait().ok().flatten();
        status.is_some()
    })?;
    status.ok_or_else(|| "no status".to_owned())
}

/// Runs a command until it exits, with `stdin` on its stdin. Output goes through files, so that a process that keeps
/// running cannot block the test.
pub fn run(
    mut command: Command,
    scratch: &Path,
    stdin: Option<&str>,
    limit: Duration,
) -> Result<Finished, String> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let out = scratch.join(format!(".out{number}"));
    let err = scratch.join(format!(".err{number}"));
    let open = |path: &Path| File::create(path).map_err(|e| format!("{}: {e}", path.display()));
    command.stdout(open(&out)?).stderr(open(&err)?);
    if stdin.is_some() {
        command.stdin(Stdio::piped());
    }
    let mut child = command.spawn().map_err(|e| format!("{command:?}: {e}"))?;
    if let (Some(text), Some(mut pipe)) = (stdin, child.stdin.take()) {
        drop(pipe.write_all(text.as_bytes()));
    }
    let status = wait_exit(&mut child, limit);
    if status.is_err() {
        drop(child.kill());
        drop(child.wait());
    }
    let read = |path: &Path| {
        let text = String::from_utf8_lossy(&std::fs::read(path).unwrap_or_default()).into_owned();
        drop(std::fs::remove_file(path));
        text
    };
    let (stdout, stderr) = (read(&out), read(&err));
    let status = status.map_err(|why| format!("{why}; stdout {stdout:?}, stderr {stderr:?}"))?;
    Ok(Finished {
        code: status.code().unwrap_or(-1),
        stdout,
        stderr,
    })
}

/// A daemon in the foreground.
pub struct Daemon {
    /// The process, which this value reaps.
    pub child: Child,
    /// The address where it answers.
    pub address: Address,
}

impl Daemon {
    /// Starts `command` with stdout and stderr in `dir`/out and `dir`/err, and does not wait.
    pub fn spawn(mut command: Command, dir: &Path, address: Address) -> Result<Self, String> {
        let open = |name: &str| {
            File::options()
                .create(true)
                .append(true)
                .open(dir.join(name))
                .map_err(|e| format!("{name}: {e}"))
        };
        command.stdout(open("out")?).stderr(open("err")?);
        let child = command.spawn().map_err(|e| format!("{command:?}: {e}"))?;
        Ok(Self { child, address })
    }

    /// Its pid.
    pub fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).expect("pids fit")
    }

    /// Waits until the daemon answers getState, or exits: then returns its exit code.
    pub fn wait_ready(&mut self, limit: Duration) -> Result<Option<i32>, String> {
        let mut ended = None;
        let address = self.address.clone();
        wait_for("the daemon answers", limit, || {
            ended = self.child.try_wait().ok().flatten();
            ended.is_some() || answers(&address)
        })?;
        Ok(ended.map(|status| status.code().unwrap_or(-1)))
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        let _ = kill(Pid::from_raw(self.pid()), signal);
    }

    /// Waits until it exits.
    pub fn wait_exit(&mut self, limit: Duration) -> Result<i32, String> {
        wait_exit(&mut self.child, limit).map(|status| status.code().unwrap_or(-1))
    }

    /// Whether it is running.
    pub fn is_alive(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Calls a method.
    pub fn call(&self, method: &str, params: &[Value]) -> Result<Value, CallError> {
        wire::call(&self.address, method, params)
    }

    /// `getProcessInfo`.
    pub fn info(&self, name: &str) -> Result<Value, CallError> {
        self.call("supervisor.getProcessInfo", &[Value::Text(name.to_owned())])
    }

    /// The name of the state of a process.
    pub fn state(&self, name: &str) -> String {
        self.info(name)
            .ok()
            .and_then(|info| info.get("statename")?.text().map(str::to_owned))
            .unwrap_or_default()
    }

    /// The PID of a process, 0 if it does not run.
    pub fn pid_of(&self, name: &str) -> i32 {
        self.info(name)
            .ok()
            .and_then(|info| info.get("pid")?.int())
            .and_then(|pid| i32::try_from(pid).ok())
            .unwrap_or(0)
    }

    /// Waits for a state.
    pub fn wait_state(&self, name: &str, state: &str) -> Result<(), String> {
        let mut last = String::new();
        wait_for(&format!("{name} is {state}"), LIMIT, || {
            last = self.state(name);
            last == state
        })
        .map_err(|why| format!("{why} (it is {last:?})"))
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // Children are found by parent too: a program that writes its title over its environment (redis) has lost the
        // mark.
        let children = i32::try_from(self.child.id())
            .map(proc::children)
            .unwrap_or_default();
        drop(self.child.kill());
        drop(self.child.wait());
        for (pid, _) in children {
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
    }
}

/// Whether a daemon answers getState (also with 401) at the address.
pub fn answers(address: &Address) -> bool {
    match wire::call_with(
        address,
        "supervisor.getState",
        &[],
        "",
        Duration::from_secs(5),
    ) {
        Ok(_) | Err(CallError::Fault(..) | CallError::Status(_)) => true,
        Err(CallError::Broken(_)) => false,
    }
}
