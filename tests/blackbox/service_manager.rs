//! Messages to a service manager, and sockets that it passes. A fake manager makes these tests run everywhere.
//! `tests/systemd` has the real one.

use std::fs::Permissions;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::host::Host;
use crate::support::daemon::{Daemon, Side, program};
use crate::support::runner::{Outcome, Trial};
use crate::support::wire::Address;
use crate::support::{LIMIT, expect, wait_for};

type Test = fn() -> Result<(), String>;

/// The tests of this file.
pub(crate) fn tests() -> Vec<Trial> {
    let list: &[(&str, Test)] = &[
        ("ready_reload_restart_and_stop_are_sent", told),
        ("ready_when_running_waits_for_programs", running),
        ("variables_of_the_manager_stay_with_the_daemon", variables),
        ("only_the_engine_feeds_the_watchdog", watchdog),
        (
            "a_watchdog_for_another_process_is_not_fed",
            foreign_watchdog,
        ),
        ("a_manager_that_does_not_read_delays_nothing", deaf),
        ("a_long_stop_asks_for_time", long_stop),
        ("a_daemon_in_the_background_sends_messages", background),
        ("passed_sockets_are_used_and_kept", passed),
        ("sockets_passed_to_another_process_are_not_used", foreign),
        ("wrong_variables_are_logged_and_change_nothing", wrong),
    ];
    list.iter()
        .map(|&(name, run)| {
            Trial::new(format!("service_manager::{name}"), move || {
                run().map(|()| Outcome::Passed)
            })
        })
        .collect()
}

/// A fake service manager: a socket, and the messages that came over it.
struct Manager {
    heard: Arc<Mutex<Vec<String>>>,
}

impl Manager {
    fn listen(path: &Path) -> Result<Self, String> {
        let socket = UnixDatagram::bind(path).map_err(|e| format!("{}: {e}", path.display()))?;
        let heard = Arc::new(Mutex::new(Vec::new()));
        let list = Arc::clone(&heard);
        // The thread ends with the test process.
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(count) = socket.recv(&mut buffer) {
                let text = String::from_utf8_lossy(&buffer[..count]).into_owned();
                list.lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push(text);
            }
        });
        Ok(Self { heard })
    }

    fn heard(&self) -> Vec<String> {
        self.heard
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn forget(&self) {
        self.heard
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
    }

    fn count(&self, field: &str) -> usize {
        let heard = self.heard();
        heard
            .iter()
            .flat_map(|text| text.lines())
            .filter(|line| *line == field)
            .count()
    }

    fn wait(&self, field: &str) -> Result<(), String> {
        wait_for(&format!("the manager hears {field}"), LIMIT, || {
            self.count(field) > 0
        })
        .map_err(|why| format!("{why}; received: {:?}", self.heard()))
    }

    /// The value of the first field of this name.
    fn value(&self, name: &str) -> Option<String> {
        let heard = self.heard();
        let mut lines = heard.iter().flat_map(|text| text.lines());
        lines.find_map(|line| {
            line.strip_prefix(name)?
                .strip_prefix('=')
                .map(str::to_owned)
        })
    }

    /// The phases in the order of their messages.
    fn phases(&self) -> Vec<String> {
        let heard = self.heard();
        heard
            .iter()
            .flat_map(|text| text.lines())
            .filter(|line| ["READY=1", "RELOADING=1", "STOPPING=1"].contains(line))
            .map(|line| line.trim_end_matches("=1").to_owned())
            .collect()
    }
}

/// Starts a daemon with these variables, and does not wait.
fn spawn(host: &Host, variables: &[(&str, &str)]) -> Result<Daemon, String> {
    let mut command = host
        .marked
        .command(&program(Side::Ours, "supervisord")?, host.place.path());
    command.args(["-n", "-c", "conf"]);
    for (name, value) in variables {
        command.env(name, host.fill(value));
    }
    Daemon::spawn(
        command,
        host.place.path(),
        Address::Unix(host.place.join("s")),
    )
}

fn start(config: &str, variables: &[(&str, &str)]) -> Result<(Host, Manager), String> {
    let mut host = Host::new(config)?;
    let manager = Manager::listen(&host.place.join("notify"))?;
    let mut all = vec![("NOTIFY_SOCKET", "{dir}/notify")];
    all.extend(variables);
    host.daemon = Some(spawn(&host, &all)?);
    Ok((host, manager))
}

fn end(host: &mut Host) -> Result<(), String> {
    let daemon = host.daemon.as_mut().ok_or("none")?;
    daemon.signal(Signal::SIGTERM);
    let code = daemon.wait_exit(LIMIT)?;
    expect(code == 0, format!("ended with {code}"))
}

const TWO: &str = "[program:good]\ncommand={test_child} forever\nstartsecs=0\n\
                   [program:bad]\ncommand=/no/such/program\nstartretries=1000\n";

fn told() -> Result<(), String> {
    let (mut host, manager) = start(TWO, &[])?;
    manager.wait("READY=1")?;
    // A client may send requests right after the READY message.
    host.expect_ctl(&["status", "good"], 0, &["RUNNING"])?;
    manager.wait("STATUS=1/2 running, backoff: bad")?;
    manager.forget();
    host.expect_ctl(&["reread"], 0, &["No config updates"])?;
    wait_for("reloading and ready", LIMIT, || {
        manager.phases() == ["RELOADING", "READY"]
    })
    .map_err(|why| format!("{why}: {:?}", manager.heard()))?;
    let now = std::fs::read_to_string("/proc/uptime").map_err(|e| e.to_string())?;
    let now: f64 = now
        .split(' ')
        .next()
        .and_then(|s| s.parse().ok())
        .ok_or("uptime")?;
    let then: f64 = manager
        .value("MONOTONIC_USEC")
        .and_then(|text| text.parse().ok())
        .ok_or("RELOADING without MONOTONIC_USEC")?;
    // Boot time and monotonic time differ only by time of sleep, which test machines do not have.
    expect(
        then > 0.0 && then / 1e6 <= now + 1.0,
        format!("{then} at {now}"),
    )?;
    host.configure(&format!(
        "{TWO}[program:more]\ncommand={{test_child}} forever\nstartsecs=0\n"
    ))?;
    host.expect_ctl(&["update"], 0, &["more: added process group"])?;
    manager.wait("STATUS=2/3 running, backoff: bad")?;
    wait_for("ready after the update", LIMIT, || {
        manager
            .phases()
            .last()
            .is_some_and(|phase| phase == "READY")
    })?;
    manager.forget();
    host.expect_ctl(&["reload"], 0, &["Restarted supervisord"])?;
    wait_for("reloading and ready", LIMIT, || {
        manager.phases() == ["RELOADING", "READY"]
    })
    .map_err(|why| format!("{why}: {:?}", manager.heard()))?;
    manager.forget();
    end(&mut host)?;
    wait_for("stopping", LIMIT, || manager.phases() == ["STOPPING"])
        .map_err(|why| format!("{why}: {:?}", manager.heard()))
}

fn running() -> Result<(), String> {
    let config = "[program:slow]\ncommand={test_child} forever\nstartsecs=2\n\
                  [program:bad]\ncommand=/no/such/program\nstartretries=0\n";
    let mut host = Host::new(config)?;
    let text = host
        .place
        .read("conf")
        .replace("[supervisord]\n", "[supervisord]\nready_when=running\n");
    host.place.write("conf", &text)?;
    let manager = Manager::listen(&host.place.join("notify"))?;
    host.daemon = Some(spawn(&host, &[("NOTIFY_SOCKET", "{dir}/notify")])?);
    manager.wait("STATUS=starting, 0/2 running, fatal: bad")?;
    expect(manager.count("READY=1") == 0, "ready before it was")?;
    expect(
        manager.value("EXTEND_TIMEOUT_USEC").is_some(),
        "no time was asked for",
    )?;
    manager.wait("READY=1")?;
    host.expect_ctl(&["status", "slow"], 0, &["RUNNING"])?;
    end(&mut host)
}

fn variables() -> Result<(), String> {
    let names = [
        "NOTIFY_SOCKET",
        "WATCHDOG_PID",
        "WATCHDOG_USEC",
        "LISTEN_PID",
        "LISTEN_FDS",
        "LISTEN_FDNAMES",
        "LISTEN_PIDFDID",
        "JOURNAL_STREAM",
        "INVOCATION_ID",
    ];
    let steps: String = names.iter().map(|name| format!("env {name} ")).collect();
    let config = format!(
        "[program:p]\ncommand={{test_child}} {steps} env KEPT forever\nstdout_logfile={{dir}}/p.log\nstartsecs=0\n"
    );
    let (mut host, _manager) = start(
        &config,
        &[
            ("WATCHDOG_PID", "1"),
            ("WATCHDOG_USEC", "30000000"),
            ("LISTEN_PID", "1"),
            ("LISTEN_FDS", "1"),
            ("LISTEN_FDNAMES", "x"),
            ("LISTEN_PIDFDID", "1"),
            ("JOURNAL_STREAM", "1:2"),
            ("INVOCATION_ID", "abc"),
            ("KEPT", "yes"),
        ],
    )?;
    host.wait_file("p.log", "KEPT=yes")?;
    let seen = host.place.read("p.log");
    for name in names {
        expect(
            seen.contains(&format!("{name}=(unset)\n")),
            format!("{name} in {seen:?}"),
        )?;
    }
    end(&mut host)
}

fn watchdog() -> Result<(), String> {
    // Keepalives every 200 ms.
    let (mut host, manager) = start(TWO, &[("WATCHDOG_USEC", "400000")])?;
    manager.wait("READY=1")?;
    wait_for("three beats", LIMIT, || manager.count("WATCHDOG=1") >= 3)?;
    let held = hold_engine(&host)?;
    // Messages in transit have arrived by now, or arrive before the next message of a daemon that runs again.
    manager.forget();
    let begun = Instant::now();
    wait_for("a second has passed", LIMIT, || {
        begun.elapsed() > Duration::from_secs(1)
    })?;
    expect(
        manager.count("WATCHDOG=1") <= 1,
        format!("{:?}", manager.heard()),
    )?;
    drop(held);
    wait_for("beats again", LIMIT, || manager.count("WATCHDOG=1") >= 3)?;
    // Also between two runs.
    host.expect_ctl(&["reload"], 0, &["Restarted supervisord"])?;
    wait_for("ready again", LIMIT, || {
        manager
            .phases()
            .last()
            .is_some_and(|phase| phase == "READY")
    })?;
    manager.forget();
    wait_for("three beats", LIMIT, || manager.count("WATCHDOG=1") >= 3)?;
    end(&mut host)
}

/// Stops one thread of a process, and no other, until its input ends.
const HOLDER: &str = "
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
thread = int(sys.argv[1])
ATTACH, DETACH = 16, 17
if libc.ptrace(ATTACH, thread, None, None) != 0:
    sys.exit(os.strerror(ctypes.get_errno()))
os.waitpid(thread, 0x40000000)
sys.stdin.read()
libc.ptrace(DETACH, thread, None, None)
";

/// A thread that is stopped until this value drops.
struct Held {
    holder: std::process::Child,
}

impl Drop for Held {
    fn drop(&mut self) {
        drop(self.holder.stdin.take());
        let _ = self.holder.wait();
    }
}

/// Stops the engine, which is the main thread. All others run, also the thread that talks to the manager.
fn hold_engine(host: &Host) -> Result<Held, String> {
    let pid = host.daemon()?.pid();
    let mut command = host
        .marked
        .command(Path::new("/usr/bin/python3"), host.place.path());
    command
        .args(["-c", HOLDER, &pid.to_string()])
        .stdin(std::process::Stdio::piped());
    let mut held = Held {
        holder: command.spawn().map_err(|e| e.to_string())?,
    };
    let main = format!("/proc/{pid}/task/{pid}/stat");
    let mut refused = None;
    wait_for("the engine is held", LIMIT, || {
        refused = held.holder.try_wait().ok().flatten();
        let stat = std::fs::read_to_string(&main).unwrap_or_default();
        let state = stat.rsplit(')').next().map(str::trim_start);
        refused.is_some() || state.is_some_and(|state| state.starts_with('t'))
    })?;
    match refused {
        None => Ok(held),
        Some(status) => Err(format!("no thread can be held here: {status}")),
    }
}

fn foreign_watchdog() -> Result<(), String> {
    let (mut host, manager) = start(TWO, &[("WATCHDOG_USEC", "20000"), ("WATCHDOG_PID", "1")])?;
    manager.wait("READY=1")?;
    // Two seconds of retries, in which the daemon would have sent a hundred keepalives.
    manager.wait("STATUS=1/2 running, backoff: bad")?;
    host.expect_ctl(&["stop", "good"], 0, &["good: stopped"])?;
    manager.wait("STATUS=0/2 running, backoff: bad")?;
    expect(
        manager.count("WATCHDOG=1") == 0,
        format!("{:?}", manager.heard()),
    )?;
    end(&mut host)
}

fn deaf() -> Result<(), String> {
    let mut host = Host::new(TWO)?;
    let path = host.place.join("notify");
    let socket = UnixDatagram::bind(&path).map_err(|e| e.to_string())?;
    let variables = [
        ("NOTIFY_SOCKET", "{dir}/notify"),
        ("WATCHDOG_USEC", "10000"),
    ];
    host.daemon = Some(spawn(&host, &variables)?);
    if host
        .daemon
        .as_mut()
        .ok_or("none")?
        .wait_ready(LIMIT)?
        .is_some()
    {
        return Err("it ended".to_owned());
    }
    // The queue of a datagram socket holds a dozen messages. A keepalive every 5 ms and two phases each fill it.
    for _ in 0..30 {
        host.expect_ctl(&["reread"], 0, &["No config updates"])?;
    }
    host.expect_ctl(&["restart", "good"], 0, &["good: started"])?;
    let mut buffer = [0; 4096];
    socket.set_nonblocking(true).map_err(|e| e.to_string())?;
    let first = socket.recv(&mut buffer).map_err(|e| e.to_string())?;
    expect(first > 0, "nothing was sent at all")?;
    end(&mut host)
}

fn long_stop() -> Result<(), String> {
    let config = "[program:first]\ncommand={test_child} ignore TERM forever\nstartsecs=0\nstopwaitsecs=500\npriority=2\n\
                  [program:last]\ncommand={test_child} ignore TERM forever\nstartsecs=0\nstopwaitsecs=5000\npriority=1\n";
    let (mut host, manager) = start(config, &[])?;
    manager.wait("READY=1")?;
    let (first, last) = (
        host.daemon()?.pid_of("first"),
        host.daemon()?.pid_of("last"),
    );
    expect(
        manager.value("EXTEND_TIMEOUT_USEC").is_none(),
        "time for nothing",
    )?;
    host.daemon()?.signal(Signal::SIGTERM);
    let seconds = |manager: &Manager| {
        let value = manager.value("EXTEND_TIMEOUT_USEC")?;
        value.parse::<u64>().ok().map(|usec| usec / 1_000_000)
    };
    manager.wait("STATUS=stopping, 2 still to stop: first, last")?;
    wait_for("time is asked for", LIMIT, || seconds(&manager).is_some())?;
    let asked = seconds(&manager).unwrap_or(0);
    expect((505..=510).contains(&asked), format!("asked for {asked} s"))?;
    manager.forget();
    kill(Pid::from_raw(first), Signal::SIGKILL).map_err(|e| e.to_string())?;
    manager.wait("STATUS=stopping, 1 still to stop: last")?;
    wait_for("more time is asked for", LIMIT, || {
        seconds(&manager).is_some()
    })?;
    let asked = seconds(&manager).unwrap_or(0);
    expect(
        (5005..=5010).contains(&asked),
        format!("asked for {asked} s"),
    )?;
    kill(Pid::from_raw(last), Signal::SIGKILL).map_err(|e| e.to_string())?;
    let code = host.daemon.as_mut().ok_or("none")?.wait_exit(LIMIT)?;
    expect(code == 0, format!("ended with {code}"))
}

fn background() -> Result<(), String> {
    let host = Host::new(TWO)?;
    let manager = Manager::listen(&host.place.join("notify"))?;
    let mut command = host
        .marked
        .command(&program(Side::Ours, "supervisord")?, host.place.path());
    command
        .args(["-c", "conf"])
        .env("NOTIFY_SOCKET", host.place.join("notify"));
    let mut child = command.spawn().map_err(|e| e.to_string())?;
    let status = crate::support::daemon::wait_exit(&mut child, LIMIT)?;
    expect(status.success(), format!("{status}"))?;
    manager.wait("READY=1")?;
    host.expect_ctl(&["shutdown"], 0, &["Shut down"])?;
    manager.wait("STOPPING=1")?;
    wait_for("it has ended", LIMIT, || host.marked.alive().is_empty())
}

/// Binds the sockets of a manager, and becomes the daemon with them. It is Python because a test must not be unsafe.
const LAUNCHER: &str = "
import os, socket, sys
listeners = []
for address in sys.argv[1].split():
    if address.startswith('/'):
        s = socket.socket(socket.AF_UNIX)
        s.bind(address)
        os.chmod(address, 0o666)
    else:
        host, port = address.split(':')
        s = socket.socket()
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind((host, int(port)))
    s.listen(5)
    listeners.append(s)
# Out of the way first, then to where they are looked for.
high = [os.dup2(s.fileno(), 100 + place) for place, s in enumerate(listeners)]
for place, fd in enumerate(high):
    os.dup2(fd, 3 + place)
    os.close(fd)
os.environ['LISTEN_FDS'] = str(len(high))
os.environ['LISTEN_FDNAMES'] = ':'.join('name%d' % place for place in range(len(high)))
os.environ['LISTEN_PID'] = sys.argv[2] if sys.argv[2] != 'own' else str(os.getpid())
os.execv(sys.argv[3], sys.argv[3:])
";

fn launch(host: &Host, addresses: &str, pid: &str) -> Result<Daemon, String> {
    let mut command = host
        .marked
        .command(Path::new("/usr/bin/python3"), host.place.path());
    command
        .args(["-c", LAUNCHER, &host.fill(addresses), pid])
        .arg(program(Side::Ours, "supervisord")?)
        .args(["-n", "-c", "conf"]);
    Daemon::spawn(
        command,
        host.place.path(),
        Address::Unix(host.place.join("s")),
    )
}

fn ready(host: &mut Host, daemon: Daemon) -> Result<(), String> {
    host.daemon = Some(daemon);
    let ended = host.daemon.as_mut().ok_or("none")?.wait_ready(LIMIT)?;
    match ended {
        None => Ok(()),
        Some(code) => Err(format!("ended with {code}: {}", host.place.read("err"))),
    }
}

fn passed() -> Result<(), String> {
    let mut host = Host::new("[program:p]\ncommand={test_child} forever\nstartsecs=0\n")?;
    // The second socket belongs to the server, the first to nothing.
    let daemon = launch(&host, "{dir}/other {dir}/s", "own")?;
    ready(&mut host, daemon)?;
    let inode = |host: &Host| {
        std::fs::metadata(host.place.join("s"))
            .map(|meta| (meta.ino(), meta.mode() & 0o7777))
            .ok()
    };
    let before = inode(&host);
    expect(
        before.is_some_and(|(_, mode)| mode == 0o666),
        format!("{before:?}"),
    )?;
    let other = host.place.join("other").display().to_string();
    host.wait_file(
        "log",
        &format!("WARN ignored socket 'name0' ({other}) passed by systemd"),
    )?;
    // Programs do not inherit them.
    host.daemon()?.wait_state("p", "RUNNING")?;
    let pid = host.daemon()?.pid_of("p");
    let open = std::fs::read_dir(format!("/proc/{pid}/fd"))
        .map_err(|e| e.to_string())?
        .count();
    expect(open == 3, format!("{open} descriptors in the program"))?;
    // The next run finds it too.
    host.expect_ctl(&["reload"], 0, &["Restarted supervisord"])?;
    wait_for("the program of the next round", LIMIT, || {
        let now = host.daemon().map(|daemon| daemon.pid_of("p")).unwrap_or(0);
        now != 0 && now != pid
    })?;
    expect(inode(&host) == before, "another socket after a reload")?;
    end(&mut host)?;
    expect(inode(&host) == before, "the manager's socket was removed")
}

fn foreign() -> Result<(), String> {
    let mut host = Host::new("")?;
    std::fs::set_permissions(host.place.path(), Permissions::from_mode(0o755))
        .map_err(|e| e.to_string())?;
    let daemon = launch(&host, "{dir}/other", "1")?;
    ready(&mut host, daemon)?;
    expect(
        !host.place.read("log").contains("passed by systemd"),
        host.log_end(),
    )?;
    end(&mut host)
}

fn wrong() -> Result<(), String> {
    let mut host = Host::new("")?;
    let daemon = spawn(
        &host,
        &[("NOTIFY_SOCKET", "{dir}/nobody"), ("WATCHDOG_USEC", "soon")],
    )?;
    ready(&mut host, daemon)?;
    host.wait_file("log", "WARN cannot send status to systemd: ")?;
    end(&mut host)?;
    let daemon = launch(&host, "{dir}/other", "many")?;
    ready(&mut host, daemon)?;
    host.wait_file(
        "log",
        "WARN cannot use the sockets passed by systemd: invalid LISTEN_PID",
    )?;
    end(&mut host)
}
