//! Runs the proxy: starts the command, forwards signals, and waits for the end.

use std::ffi::{OsStr, OsString};
use std::io::{self, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode};
use std::time::{Duration, Instant};

use super::target::{SignalTarget, TargetError};
use crate::domain::{Errno, Signal};
use crate::sys::{self, Interest, Poller, SignalReader};

/// The forwarded signals, and whether the proxy exits after forwarding one.
pub(super) const SIGNALS: [(&str, bool); 6] = [
    ("TERM", true),
    ("INT", true),
    ("QUIT", true),
    ("HUP", false),
    ("USR1", false),
    ("USR2", false),
];

/// The option of the Go re-implementation: keep running after the command has exited, until the daemon exits.
pub(super) const WATCH: &str = "exit-daemon-stop";

/// How long a daemon may take to write its pidfile after its command has exited.
const PIDFILE_WITHIN: Duration = Duration::from_secs(5);
/// Interval of looks at the pidfile during that time.
const PIDFILE_LOOK: Duration = Duration::from_millis(100);
/// Interval of looks at the pidfile later: a daemon that replaces itself writes a new pid there.
const PIDFILE_LOOK_AGAIN: Duration = Duration::from_secs(5);

const TOKEN_SIGNALS: u64 = 0;
const TOKEN_COMMAND: u64 = 1;
const TOKEN_DAEMON: u64 = 2;

/// Exit status if the proxy failed, or if its daemon exited unexpectedly.
const FAILED: u8 = 1;

/// Runs the proxy with `args` (including argv\[0\]).
#[must_use]
pub fn run_proxy(args: &[OsString]) -> ExitCode {
    let Some(order) = ProxyOptions::parse_options(args) else {
        let argv0 = args
            .first()
            .map_or("pidproxy".into(), |arg| arg.to_string_lossy());
        print_stderr(&usage(&argv0));
        return ExitCode::from(FAILED);
    };
    match Proxy::start(order).and_then(Proxy::run_until_exit) {
        Ok(status) => ExitCode::from(status),
        Err(sentence) => {
            print_stderr(&sentence);
            ExitCode::from(FAILED)
        }
    }
}

fn usage(argv0: &str) -> String {
    format!(
        "pidproxy -- run a daemon that forks to the background.\n\n\
         pidproxy runs the command and forwards the signals TERM, INT, QUIT, HUP, USR1 and USR2 to the process whose PID\n\
         the pidfile contains at that moment. It exits with the command. With -{WATCH} before the name of the pidfile,\n\
         it exits with status 1 when the process in the pidfile exits.\n\n\
         Usage: {argv0} <pidfile name> <command> [<cmdarg1> ...]\n"
    )
}

/// Prints a line to standard output. A write error is ignored: the reader may be gone.
fn print_stderr(text: &str) {
    let _ = writeln!(io::stdout(), "{text}");
}

/// The parsed command line.
#[derive(Debug, PartialEq, Eq)]
struct ProxyOptions {
    /// Keep running when the command has exited, until the daemon exits.
    watches: bool,
    pidfile: PathBuf,
    /// The command as written, and its arguments.
    words: Vec<OsString>,
}

impl ProxyOptions {
    fn parse_options(args: &[OsString]) -> Option<Self> {
        let mut rest = args.get(1..)?;
        // With one dash or two, as the Go library accepts it.
        let is_watch = |arg: &OsString| {
            let name = arg.to_str().and_then(|arg| arg.strip_prefix('-'));
            name.is_some_and(|name| name.strip_prefix('-').unwrap_or(name) == WATCH)
        };
        let watches = rest.first().is_some_and(is_watch);
        if watches {
            rest = rest.get(1..)?;
        }
        let (pidfile, words) = rest.split_first()?;
        (!words.is_empty()).then(|| Self {
            watches,
            pidfile: PathBuf::from(pidfile),
            words: words.to_vec(),
        })
    }
}

/// A proxy whose command was started.
struct Proxy {
    order: ProxyOptions,
    poller: Poller,
    signals: SignalReader,
    /// `None` once the command has exited.
    command: Option<(Child, OwnedFd)>,
    daemon: Option<SignalTarget>,
    /// Until when the daemon may take to write its pidfile.
    pidfile_by: Option<Instant>,
}

impl Proxy {
    fn start(order: ProxyOptions) -> Result<Self, String> {
        let broken = |what: &'static str| move |error: io::Error| format!("{what}: {error}");
        let taken: Vec<Signal> = SIGNALS
            .iter()
            .filter_map(|(name, _)| Signal::parse(name).ok())
            .collect();
        // Before the command starts, which could cause signals.
        let signals = SignalReader::new(&taken).map_err(broken("cannot set up signal handling"))?;
        let poller = Poller::new().map_err(broken("cannot wait for processes"))?;
        poller
            .add(&signals, TOKEN_SIGNALS, Interest::Read)
            .map_err(broken("cannot wait for processes"))?;
        let child = start_command(&order.words)?;
        let mut proxy = Self {
            order,
            poller,
            signals,
            command: None,
            daemon: None,
            pidfile_by: None,
        };
        // It is an unreaped child, so its pid cannot have been reused.
        let pid = i32::try_from(child.id()).unwrap_or(0);
        let pidfd = sys::open_pidfd(pid).map_err(broken("cannot watch the command"))?;
        proxy
            .poller
            .add(&pidfd, TOKEN_COMMAND, Interest::Read)
            .map_err(broken("cannot wait for processes"))?;
        proxy.command = Some((child, pidfd));
        Ok(proxy)
    }

    /// Runs until there is nothing left to wait for. Returns the exit status.
    fn run_until_exit(mut self) -> Result<u8, String> {
        loop {
            let timeout = match (self.pidfile_by, &self.daemon) {
                (Some(_), _) => Some(PIDFILE_LOOK),
                (None, Some(_)) => Some(PIDFILE_LOOK_AGAIN),
                (None, None) => None,
            };
            let ready: Vec<u64> = self
                .poller
                .wait(timeout)
                .map_err(|error| format!("cannot wait for processes: {error}"))?
                .map(|ready| ready.token)
                .collect();
            let mut end = None;
            for token in &ready {
                end = match *token {
                    TOKEN_SIGNALS => self.forward_signals(),
                    TOKEN_COMMAND => self.handle_command_exit(),
                    _ => self.handle_daemon_exit(),
                };
                if end.is_some() {
                    break;
                }
            }
            if end.is_none() && !ready.contains(&TOKEN_DAEMON) {
                end = self.find_daemon();
            }
            if let Some(status) = end {
                return Ok(status);
            }
        }
    }

    fn forward_signals(&self) -> Option<u8> {
        for delivered in self.signals.read().unwrap_or_default() {
            let status = self.forward_signal(delivered.signal);
            if status.is_some() {
                return status;
            }
        }
        None
    }

    /// Forwards a signal. Returns the exit status if the proxy must exit after it.
    fn forward_signal(&self, signal: Signal) -> Option<u8> {
        let ends = SIGNALS
            .iter()
            .any(|(name, ends)| *ends && Signal::parse(name) == Ok(signal));
        let sent = match SignalTarget::find_target(&self.order.pidfile) {
            Ok(target) => sys::send_signal(&target.pidfd, signal).map_err(|error| {
                let errno = Errno::from(error);
                format!("cannot send {signal} to process {}: {errno}", target.pid)
            }),
            Err(error @ (TargetError::Gone(..) | TargetError::Kernel(..))) => {
                Err(error.to_string())
            }
            // The file is at fault, not the process: keep running, since it may be corrected before the next signal.
            Err(
                error @ (TargetError::Unreadable(_)
                | TargetError::Never(..)
                | TargetError::Everybodys(_)
                | TargetError::Foreign(..)),
            ) => {
                print_stderr(&error.to_string());
                return None;
            }
        };
        match sent {
            Ok(()) => ends.then_some(0),
            // Differs: Supervisor's pidproxy exits with status 1 even if the signal was not one that ends it.
            Err(sentence) => {
                print_stderr(&sentence);
                ends.then_some(FAILED)
            }
        }
    }

    // Differs: Supervisor's pidproxy checks every five seconds.
    fn handle_command_exit(&mut self) -> Option<u8> {
        let (mut child, pidfd) = self.command.take()?;
        // Neither can fail: the command has exited, and its pidfd is in the epoll set.
        let _ = self.poller.remove(&pidfd);
        let _ = child.wait();
        if !self.order.watches {
            return Some(0);
        }
        self.pidfile_by = Some(Instant::now() + PIDFILE_WITHIN);
        None
    }

    /// After the command has exited: finds the daemon, or checks that it is still the same.
    fn find_daemon(&mut self) -> Option<u8> {
        let watched = self.daemon.as_ref().map(|target| target.pid);
        if watched.is_none() && self.pidfile_by.is_none() {
            return None;
        }
        match SignalTarget::find_target(&self.order.pidfile) {
            Ok(target) if Some(target.pid) != watched => {
                self.watch_daemon(target);
                None
            }
            Ok(_) => None,
            // The pidfile may be removed before the daemon exits.
            Err(_) if watched.is_some() => None,
            Err(error) => {
                let is_late = self.pidfile_by.is_some_and(|by| Instant::now() >= by);
                is_late.then(|| {
                    print_stderr(&format!(
                        "the command has exited and no daemon is running: {error}"
                    ));
                    FAILED
                })
            }
        }
    }

    fn watch_daemon(&mut self, target: SignalTarget) {
        self.unwatch_daemon();
        // If the process cannot be watched, the next look tries again.
        if self
            .poller
            .add(&target.pidfd, TOKEN_DAEMON, Interest::Read)
            .is_ok()
        {
            self.daemon = Some(target);
            self.pidfile_by = None;
        }
    }

    fn unwatch_daemon(&mut self) {
        if let Some(old) = self.daemon.take() {
            let _ = self.poller.remove(&old.pidfd);
        }
    }

    fn handle_daemon_exit(&mut self) -> Option<u8> {
        let ended = self.daemon.as_ref().map(|target| target.pid)?;
        match SignalTarget::find_target(&self.order.pidfile) {
            // Another daemon has replaced it.
            Ok(target) if target.pid != ended => {
                self.watch_daemon(target);
                None
            }
            _ => {
                print_stderr(&format!("process {ended} has exited"));
                Some(FAILED)
            }
        }
    }
}

/// Starts the command. Its first word is a path; PATH is not searched, as in Supervisor.
// Differs: with a command that cannot be run, Supervisor's pidproxy exits with status 0 after some seconds, without a
// message.
fn start_command(words: &[OsString]) -> Result<Child, String> {
    let (word, arguments) = words.split_first().ok_or("no command")?;
    let here = std::env::current_dir()
        .map_err(|error| format!("cannot determine the working directory: {error}"))?;
    let path = here.join(Path::new::<OsStr>(word));
    let mut command = Command::new(&path);
    command.arg0(word).args(arguments);
    sys::start_unblocked(&mut command);
    command
        .spawn()
        .map_err(|error| format!("cannot run {}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(args: &[&str]) -> Option<ProxyOptions> {
        let args: Vec<OsString> = args.iter().map(OsString::from).collect();
        ProxyOptions::parse_options(&args)
    }

    #[test]
    fn aux_02_the_command_line_is_supervisors() {
        let order = |watches, words: &[&str]| {
            Some(ProxyOptions {
                watches,
                pidfile: PathBuf::from("p"),
                words: words.iter().map(OsString::from).collect(),
            })
        };
        for (args, expected) in [
            (&["x"][..], None),
            (&[], None),
            (&["x", "p"], None),
            (&["x", "-exit-daemon-stop", "p"], None),
            (&["x", "-exit-daemon-stop"], None),
            (&["x", "p", "c"], order(false, &["c"])),
            (&["x", "p", "c", "-a", "b"], order(false, &["c", "-a", "b"])),
            (
                &["x", "p", "c", "-exit-daemon-stop"],
                order(false, &["c", "-exit-daemon-stop"]),
            ),
            (&["x", "-exit-daemon-stop", "p", "c"], order(true, &["c"])),
            (&["x", "--exit-daemon-stop", "p", "c"], order(true, &["c"])),
        ] {
            assert_eq!(read(args), expected, "{args:?}");
        }
    }

    #[test]
    fn aux_02_the_usage_message_is_supervisors() {
        assert!(
            usage("/x/pidproxy")
                .ends_with("\nUsage: /x/pidproxy <pidfile name> <command> [<cmdarg1> ...]\n")
        );
    }
}
