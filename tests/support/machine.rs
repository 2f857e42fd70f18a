//! One machine with systemd for the whole run. It boots for the first test that needs it, and one test at a time uses
//! it. A second machine has its own kernel with all controllers of cgroup2, for tests that need them.
//!
//! `SYSTEMD_HOST` names a program with the verbs `boot -n NAME [--vm] [--bind-ro HOST:GUEST]`, `run -n NAME -- COMMAND…` (as root;
//! input, output and exit code pass through) and `down -n NAME`.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use super::daemon::{Side, program};
use super::runner::{Outcome, Trial};
use super::{LIMIT, is_root, wait_for};

/// The directory of our binaries inside the machine.
pub(crate) const BINARIES: &str = "/opt/supervisord";

/// A running machine.
pub(crate) struct Machine {
    host: PathBuf,
    name: String,
}

/// The result of a command inside the machine.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

type Booted = Result<Mutex<Machine>, Unmade>;

/// Why something is missing: a reason to skip, or an error.
pub(crate) type Unmade = Result<String, String>;

static MACHINE: OnceLock<Booted> = OnceLock::new();
static VIRTUAL: OnceLock<Booted> = OnceLock::new();

/// A test that has the machine to itself.
pub(crate) fn trial(
    name: impl Into<String>,
    test: impl FnOnce(&Machine) -> Result<(), String> + Send + 'static,
) -> Trial {
    let test = |machine: &Machine| test(machine).map(|()| Outcome::Passed);
    on(&MACHINE, || boot(false), name, test)
}

/// The same where the machine may lack `what`. If the script `probe` fails, the test is skipped with that name.
pub(crate) fn trial_with(
    what: &'static str,
    probe: &'static str,
    name: impl Into<String>,
    test: impl FnOnce(&Machine) -> Result<(), String> + Send + 'static,
) -> Trial {
    let test = move |machine: &Machine| {
        if machine.run(&["/bin/sh", "-c", probe])?.code == 0 {
            test(machine).map(|()| Outcome::Passed)
        } else {
            Ok(Outcome::Skipped(format!("the machine has no {what}")))
        }
    };
    on(&MACHINE, || boot(false), name, test)
}

/// The same on the machine with its own kernel, which is slow.
pub(crate) fn virtual_trial(
    name: impl Into<String>,
    test: impl FnOnce(&Machine) -> Result<(), String> + Send + 'static,
) -> Trial {
    let test = |machine: &Machine| test(machine).map(|()| Outcome::Passed);
    on(&VIRTUAL, || boot(true), name, test)
}

fn on(
    machine: &'static OnceLock<Booted>,
    boot: fn() -> Booted,
    name: impl Into<String>,
    test: impl FnOnce(&Machine) -> Result<Outcome, String> + Send + 'static,
) -> Trial {
    Trial::new(name, move || match machine.get_or_init(boot) {
        Ok(machine) => {
            let machine: MutexGuard<'_, Machine> =
                machine.lock().unwrap_or_else(PoisonError::into_inner);
            test(&machine)
        }
        Err(Ok(why)) => Ok(Outcome::Skipped(why.clone())),
        Err(Err(error)) => Err(error.clone()),
    })
}

/// Removes the machines, if there are any. Call it after all tests.
pub(crate) fn down() {
    for machine in [&MACHINE, &VIRTUAL] {
        if let Some(Ok(machine)) = machine.get() {
            machine
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .take_down();
        }
    }
}

/// A test with its own machine, which it may shut down. A directory of the host is writable as /shared in it.
pub(crate) fn trial_alone(
    name: impl Into<String>,
    test: impl FnOnce(&Machine, &Path) -> Result<(), String> + Send + 'static,
) -> Trial {
    Trial::new(name, move || {
        let shared = Scratch::new()?;
        let bind = format!("{}:/shared", shared.0.display());
        once(boot_with("alone-", &["--bind", &bind]), |machine| {
            test(machine, &shared.0).map(|()| Outcome::Passed)
        })
    })
}

/// A test with its own machine without our programs, with the network of the host. The host's directory `shown` is
/// /shown in it.
pub(crate) fn trial_bare(
    name: &'static str,
    shown: impl FnOnce() -> Result<PathBuf, Unmade> + Send + 'static,
    test: impl FnOnce(&Machine) -> Result<Outcome, String> + Send + 'static,
) -> Trial {
    Trial::new(name, move || {
        // Setting this up takes minutes, so it happens only for a chosen test.
        if let Err(why) = host_program() {
            return Ok(Outcome::Skipped(why));
        }
        let shown = match shown() {
            Ok(shown) => shown,
            Err(Ok(why)) => return Ok(Outcome::Skipped(why)),
            Err(Err(error)) => return Err(error),
        };
        let bind = format!("{}:/shown", shown.display());
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let kind = format!("bare{}-", NUMBER.fetch_add(1, Ordering::Relaxed));
        let binaries = binaries()?;
        let flags = ["--host-net", "--bind-ro", &bind, "--bind-ro", &binaries];
        once(boot_bare(&kind, &flags), test)
    })
}

/// Runs one test in a machine, and removes the machine.
fn once(
    booted: Booted,
    test: impl FnOnce(&Machine) -> Result<Outcome, String>,
) -> Result<Outcome, String> {
    match booted {
        Ok(machine) => {
            let machine = machine.into_inner().unwrap_or_else(PoisonError::into_inner);
            let result = test(&machine);
            machine.take_down();
            result
        }
        Err(Ok(why)) => Ok(Outcome::Skipped(why)),
        Err(Err(error)) => Err(error),
    }
}

/// A directory that is removed on drop.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Result<Self, String> {
        let path = std::env::temp_dir().join(format!("supervisord-alone-{}", std::process::id()));
        std::fs::create_dir_all(&path).map_err(|error| error.to_string())?;
        Ok(Self(path))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn boot(is_virtual: bool) -> Booted {
    if is_virtual {
        boot_with("vm-", &["--vm"])
    } else {
        boot_with("", &[])
    }
}

/// A machine with the built binaries where a package installs them.
fn boot_with(kind: &str, more: &[&str]) -> Booted {
    let binaries = binaries().map_err(Err)?;
    let machine = boot_bare(kind, &[&["--bind-ro", &binaries], more].concat())?;
    machine
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .sh(&format!(
            "ln -s {BINARIES}/supervisord {BINARIES}/supervisorctl /usr/bin/ && mkdir -p /etc/supervisor"
        ))
        .map_err(Err)?;
    Ok(machine)
}

/// The directory of the built binaries, and its path inside the machine.
fn binaries() -> Result<String, String> {
    let binaries = program(Side::Ours, "supervisord")?;
    let directory = binaries.parent().unwrap_or(Path::new("/")).display();
    Ok(format!("{directory}:{BINARIES}"))
}

/// The program that starts machines, or why there is none.
fn host_program() -> Result<PathBuf, String> {
    let Some(host) = std::env::var_os("SYSTEMD_HOST").map(PathBuf::from) else {
        return Err("SYSTEMD_HOST names no program that makes machines with systemd".to_owned());
    };
    if is_root() {
        Ok(host)
    } else {
        Err("a machine with systemd needs root".to_owned())
    }
}

fn boot_bare(kind: &str, more: &[&str]) -> Booted {
    let machine = Machine {
        host: host_program().map_err(Ok)?,
        name: format!("supervisord-{kind}{}", std::process::id()),
    };
    let arguments = [&["boot", "-n", &machine.name], more].concat();
    let done = machine.host(&arguments, "").map_err(Err)?;
    if done.code != 0 {
        machine.take_down();
        // A user-mode kernel cannot restore the registers of CPUs that are newer than it, and ends at its first process.
        if more.contains(&"--vm") && done.stderr.contains("fatal_sigsegv") {
            let why = "the emulated kernel crashes on this CPU before it runs a process";
            return Err(Ok(why.to_owned()));
        }
        return Err(Err(format!("no machine: {done:?}")));
    }
    Ok(Mutex::new(machine))
}

impl Machine {
    fn host(&self, arguments: &[&str], input: &str) -> Result<Done, String> {
        let mut command = Command::new(&self.host);
        command
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|e| format!("{command:?}: {e}"))?;
        if let Some(mut stdin) = child.stdin.take() {
            // A command that does not read its input ignores it.
            let _ = stdin.write_all(input.as_bytes());
        }
        let output = child.wait_with_output().map_err(|e| e.to_string())?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ok(Done {
            code: output.status.code().unwrap_or(-1),
            stdout: text(&output.stdout),
            stderr: text(&output.stderr),
        })
    }

    fn take_down(&self) {
        if let Err(why) = self.host(&["down", "-n", &self.name], "") {
            eprintln!("{why}");
        }
    }

    /// Runs a command inside.
    pub(crate) fn run(&self, command: &[&str]) -> Result<Done, String> {
        let mut arguments = vec!["run", "-n", &self.name, "--"];
        arguments.extend(command);
        self.host(&arguments, "")
    }

    /// Runs a shell script inside and returns its output. The script must succeed.
    pub(crate) fn sh(&self, script: &str) -> Result<String, String> {
        let done = self.run(&["/bin/sh", "-ec", script])?;
        if done.code == 0 {
            Ok(done.stdout)
        } else {
            Err(format!("{script}: {done:?}"))
        }
    }

    /// Runs supervisorctl and returns its output, with any exit status.
    pub(crate) fn ctl(&self, arguments: &str) -> Result<String, String> {
        let script =
            format!("supervisorctl -c /etc/supervisor/supervisord.conf {arguments} || true");
        self.sh(&script)
    }

    /// Writes a file inside.
    pub(crate) fn write(&self, path: &str, text: &str) -> Result<(), String> {
        let script = format!("mkdir -p $(dirname {path}) && cat > {path}");
        let arguments = ["run", "-n", &self.name, "--", "/bin/sh", "-ec", &script];
        let done = self.host(&arguments, text)?;
        if done.code == 0 {
            Ok(())
        } else {
            Err(format!("{path}: {done:?}"))
        }
    }

    /// A property of a unit.
    pub(crate) fn property(&self, unit: &str, name: &str) -> Result<String, String> {
        let done = self.run(&["systemctl", "show", "--value", "-p", name, unit])?;
        Ok(done.stdout.trim().to_owned())
    }

    /// Waits for a value of a property of a unit.
    pub(crate) fn wait_property(&self, unit: &str, name: &str, value: &str) -> Result<(), String> {
        let mut last = String::new();
        wait_for(&format!("{name} of {unit} is {value:?}"), LIMIT, || {
            last = self.property(unit, name).unwrap_or_default();
            last == value
        })
        .map_err(|why| format!("{why} (it is {last:?})\n{}", self.story(unit)))
    }

    /// systemd's description of a unit, for failure reports.
    pub(crate) fn story(&self, unit: &str) -> String {
        let script =
            format!("systemctl status --no-pager -l {unit}; journalctl -n 40 --no-pager -u {unit}");
        self.run(&["/bin/sh", "-c", &script])
            .map(|done| done.stdout)
            .unwrap_or_default()
    }
}
