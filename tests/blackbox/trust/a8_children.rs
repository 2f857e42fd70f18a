//! Programs do not inherit from the daemon: its terminal, its session keyring, and the variables that the service
//! manager set for it.

use std::os::unix::fs::PermissionsExt;

use crate::host::Host;
use crate::support::daemon::{Side, program};
use crate::support::runner::{Outcome, Trial};
use crate::support::{LIMIT, expect, is_root, proc, wait_for};

/// The tests of this file.
pub(crate) fn tests() -> Vec<Trial> {
    vec![
        Trial::new(
            "trust::a8_programs_cannot_type_into_the_daemons_terminal",
            terminal,
        ),
        Trial::new(
            "trust::a8_another_users_program_has_its_own_session",
            session,
        ),
        Trial::new(
            "trust::a8_another_users_program_has_its_own_keyring",
            keyring,
        ),
        Trial::new(
            "trust::a8_variables_of_the_daemons_service_stay_with_it",
            variables,
        ),
    ]
}

const PYTHON: &str = "/usr/bin/python3";

/// System calls about keys, by number.
const KEYS: &str = "
import ctypes, os, platform, sys
arm = platform.machine() == 'aarch64'
ADD_KEY, KEYCTL = (217, 219) if arm else (248, 250)
SESSION = -3
call = ctypes.CDLL(None, use_errno=True).syscall
def keyctl(*args):
    return call(KEYCTL, *args)
";

/// Runs the daemon in a new session with a terminal, whose other end is read, and with a key in its session keyring.
/// The arguments are the daemon's.
const AROUND: &str = "
import pty, signal
if keyctl(1, None) >= 0:
    call(ADD_KEY, b'user', b'a8-secret', b'hidden', 6, SESSION)
pid, master = pty.fork()
if pid == 0:
    os.execv(DAEMON, [DAEMON] + sys.argv[1:])
for number in (signal.SIGTERM, signal.SIGINT):
    signal.signal(number, lambda number, _: os.kill(pid, number))
while True:
    try:
        if not os.read(master, 4096):
            break
    except InterruptedError:
        pass
    except OSError:
        break
_, status = os.waitpid(pid, 0)
sys.exit(os.waitstatus_to_exitcode(status))
";

/// Tries to type into the terminal of its session, and prints the result.
const TYPES: &str = "
import fcntl, os, sys, termios, time
try:
    terminal = os.open('/dev/tty', os.O_RDWR)
    try:
        fcntl.ioctl(terminal, termios.TIOCSTI, b'x')
        said = 'typed'
    except OSError as error:
        said = 'opened'
except OSError as error:
    said = f'none {error.errno}'
print(said, flush=True)
time.sleep(1000)
";

/// Searches for the key, and prints the result.
const LOOKS: &str = "
import time
found = keyctl(10, SESSION, b'user', b'a8-secret', 0)
print('keys', 'found' if found > 0 else f'none {ctypes.get_errno()}', flush=True)
time.sleep(1000)
";

/// A daemon with a terminal and a key. `None`: the test does not run as root, or has no Python.
fn with_terminal(config: &str, scripts: &[(&str, String)]) -> Result<Option<Host>, String> {
    if !is_root() || !std::path::Path::new(PYTHON).exists() {
        return Ok(None);
    }
    let mut host = Host::new(config)?;
    for (name, text) in scripts {
        host.place.write(name, text)?;
    }
    let daemon = program(Side::Ours, "supervisord")?;
    let around = format!(
        "#!{PYTHON}\n{KEYS}DAEMON = {:?}\n{AROUND}",
        daemon.display().to_string()
    );
    let around = host.place.write("around", &around)?;
    std::fs::set_permissions(&around, PermissionsExt::from_mode(0o755))
        .map_err(|error| error.to_string())?;
    host.go_from(&around, |_| {})?;
    Ok(Some(host))
}

fn skipped() -> Result<Outcome, String> {
    Ok(Outcome::Skipped("needs root and python3".to_owned()))
}

fn terminal() -> Result<Outcome, String> {
    let config = "\
[program:root]
command=/usr/bin/python3 {dir}/types
stdout_logfile={dir}/root.out
[program:other]
command=/usr/bin/python3 {dir}/types
user=nobody
stdout_logfile={dir}/other.out
";
    let Some(host) = with_terminal(config, &[("types", TYPES.to_owned())])? else {
        return skipped();
    };
    for file in ["root.out", "other.out"] {
        wait_for("the program has tried", LIMIT, || {
            !host.place.read(file).is_empty()
        })
        .map_err(|why| format!("{why}; log:\n{}", host.log_end()))?;
        let said = host.place.read(file);
        expect(
            said == format!("none {}\n", nix::libc::ENXIO),
            format!("{file}: {said}"),
        )?;
    }
    Ok(Outcome::Passed)
}

fn session() -> Result<Outcome, String> {
    if !is_root() {
        return Ok(Outcome::Skipped("needs root".to_owned()));
    }
    let sleep =
        "command=/bin/sh -c 'sleep 1000 & exec sleep 1000'\nstartsecs=0\nstopasgroup=true\n";
    let mut host = Host::start(&format!(
        "[program:own]\n{sleep}[program:other]\n{sleep}user=nobody\n"
    ))?;
    let stat = |pid: i32, number: usize| proc::stat(pid, number).unwrap_or_default();
    let mut pids = Vec::new();
    for (name, leads) in [("own", false), ("other", true)] {
        let daemon = host.daemon()?;
        daemon.wait_state(name, "RUNNING")?;
        let pid = daemon.pid_of(name);
        let (group, session) = (stat(pid, 5), stat(pid, 6));
        expect(
            group == pid.to_string(),
            format!("group of {name} is {group}"),
        )?;
        // The daemon of a test has no terminal, unless the test has one.
        let daemons = stat(daemon.pid(), 6);
        let is_its_own = session == pid.to_string();
        let has_terminal = stat(daemon.pid(), 7) != "0";
        expect(
            is_its_own == (leads || has_terminal) && (is_its_own || session == daemons),
            format!("session of {name} is {session}, the daemon's {daemons}"),
        )?;
        let mut child = None;
        wait_for("the child of the program", LIMIT, || {
            child = proc::children(pid).first().map(|(pid, _)| *pid);
            child.is_some()
        })?;
        pids.extend([pid, child.unwrap_or_default()]);
    }
    // A signal for the group reaches the whole group as before.
    host.expect_ctl(&["stop", "all"], 0, &["own: stopped", "other: stopped"])?;
    wait_for("the groups have ended", LIMIT, || {
        !pids.iter().any(|&pid| proc::alive(pid))
    })?;
    host.expect_well()?;
    Ok(Outcome::Passed)
}

fn keyring() -> Result<Outcome, String> {
    let config = "\
[program:root]
command=/usr/bin/python3 {dir}/looks
stdout_logfile={dir}/root.out
[program:other]
command=/usr/bin/python3 {dir}/looks
user=nobody
stdout_logfile={dir}/other.out
";
    let Some(host) = with_terminal(config, &[("looks", format!("{KEYS}{LOOKS}"))])? else {
        return skipped();
    };
    let said = |file: &str| -> Result<String, String> {
        wait_for("the program has looked", LIMIT, || {
            !host.place.read(file).is_empty()
        })
        .map_err(|why| format!("{why}; log:\n{}", host.log_end()))?;
        Ok(host.place.read(file))
    };
    let own = said("root.out")?;
    if own != "keys found\n" {
        return Ok(Outcome::Skipped(format!("no keys on this machine: {own}")));
    }
    let other = said("other.out")?;
    expect(other.starts_with("keys none "), format!("nobody: {other}"))?;
    Ok(Outcome::Passed)
}

const VARIABLES: &[&str] = &[
    "NOTIFY_SOCKET",
    "WATCHDOG_USEC",
    "LISTEN_FDNAMES",
    "JOURNAL_STREAM",
    "INVOCATION_ID",
    "CREDENTIALS_DIRECTORY",
    "STATE_DIRECTORY",
    "RUNTIME_DIRECTORY",
    "CACHE_DIRECTORY",
    "LOGS_DIRECTORY",
    "CONFIGURATION_DIRECTORY",
    "MEMORY_PRESSURE_WATCH",
    "MEMORY_PRESSURE_WRITE",
    "MAINPID",
    "MANAGERPID",
    "SYSTEMD_EXEC_PID",
    "MONITOR_SERVICE_RESULT",
    "MONITOR_UNIT",
];

fn variables() -> Result<Outcome, String> {
    let mut host = Host::new(
        "[program:a]\ncommand=/bin/sleep 1000\nstartsecs=0\n\
         environment=MAINPID=\"mine\",RUN=\"%(ENV_RUNTIME_DIRECTORY)s\"\n",
    )?;
    host.go_with(|command| {
        for name in VARIABLES {
            // A socket without a listener does not prevent the start.
            command.env(name, "/nonexistent/a8");
        }
        command.env("STATE_DIRECTORY_OF_MINE", "kept");
    })?;
    let daemon = host.daemon()?;
    daemon.wait_state("a", "RUNNING")?;
    let found = proc::environ(daemon.pid_of("a"));
    let leaked: Vec<_> = VARIABLES
        .iter()
        .filter(|name| found.get(**name).is_some_and(|value| value != "mine"))
        .collect();
    expect(leaked.is_empty(), format!("{leaked:?}"))?;
    for (name, value) in [
        ("MAINPID", "mine"),
        ("RUN", "/nonexistent/a8"),
        ("STATE_DIRECTORY_OF_MINE", "kept"),
    ] {
        let found = found.get(name).map(String::as_str);
        expect(found == Some(value), format!("{name} is {found:?}"))?;
    }
    host.expect_well()?;
    Ok(Outcome::Passed)
}
