//! One run of the command that prints the configuration: without privileges, within limits of time and size, and whole or
//! not at all.
//!
//! The daemon starts it itself, because the agent cannot become another user; it parses nothing of it but UTF-8. The
//! thread of a run may block in a dead mount like the command, and nobody waits for it for long.

use std::ffi::{OsStr, OsString};
use std::io::{self, PipeReader, PipeWriter, Read as _};
use std::os::fd::AsFd as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};

use super::snapshot::md5_of;
use crate::agent::protocol::{FailureKind, ItemFailure, ItemText, MESSAGE_BYTES_MAX};
use crate::config::source::CommandSettings;
use crate::domain::{ExitStatus, Signal};
use crate::sys::{self, ChildIds, ChildStdio, StartedProgram, UnprivilegedProgram};

/// The variables of the daemon that the command gets.
const VARIABLES: [&str; 5] = ["PATH", "TZ", "SSL_CERT_FILE", "SSL_CERT_DIR", "LANG"];
/// The search path if neither the daemon nor the settings have one.
const DEFAULT_PATH: &str = "/bin:/usr/bin:/usr/local/bin";
/// UID and GID of a command without `user` if the daemon is root: `nobody`, without groups.
const NOBODY: u32 = 65534;
/// Maximum number of open files of the command.
const FILES_MAX: u64 = 1024;
/// How long a killed command may take to exit. A process that waits for a dead disk takes longer.
const KILL_WAIT: Duration = Duration::from_secs(1);
/// Number of bytes per read.
const CHUNK_BYTES: usize = 64 << 10;
/// How much of the end of its standard error is kept, in bytes.
const ERROR_BYTES_MAX: usize = 4 << 10;

/// Ends a run early: drop it. The run kills its command then.
pub(super) struct RunHandle {
    _cancel: PipeWriter,
}

/// What a run waits for besides its command.
pub(super) struct RunLimit {
    /// Is at its end when the run is cancelled.
    cancelled: PipeReader,
    until: Instant,
}

impl RunLimit {
    /// The limit of a run that ends at `until`, and the handle that ends it earlier.
    pub(super) fn until(until: Instant) -> io::Result<(Self, RunHandle)> {
        let (cancelled, cancel) = io::pipe()?;
        let handle = RunHandle { _cancel: cancel };
        Ok((Self { cancelled, until }, handle))
    }
}

/// Runs the command and returns its output. Blocks.
///
/// # Errors
/// It cannot be started, its exit status is not 0, or it took too long: the text is away. Its output is too large, empty,
/// no UTF-8, or not known to be whole: the text is unusable.
pub(super) fn run(settings: &CommandSettings, limit: &RunLimit) -> Result<ItemText, ItemFailure> {
    let failure = |kind, what: &str| ItemFailure {
        kind,
        message: one_line(&format!("{}: {what}", settings.program())),
    };
    let away = |what: &str| failure(FailureKind::Away, what);
    let unusable = |what: &str| failure(FailureKind::Unusable, what);
    let ended = RunningCommand::start(settings).and_then(|mut command| {
        let cause = command.wait(settings.maxbytes, limit);
        cause.map(|cause| (cause, command))
    });
    let (cause, mut command) = ended.map_err(|error| away(&error.to_string()))?;
    let hint = command.last_error_line();
    match cause {
        RunEnd::Exited(ExitStatus::Exited(0)) => {}
        RunEnd::Exited(ExitStatus::Exited(status)) => {
            return Err(away(&format!("exit status {status}{hint}")));
        }
        RunEnd::Exited(status) => return Err(away(&format!("it ended with {status:?}{hint}"))),
        RunEnd::TimedOut => {
            let seconds = settings.timeout.0;
            return Err(away(&format!(
                "killed, because it did not end within {seconds} seconds{hint}"
            )));
        }
        RunEnd::Cancelled => return Err(away("cancelled")),
        RunEnd::TooLarge => {
            let most = settings.maxbytes;
            return Err(unusable(&format!(
                "its output is larger than {most} bytes (maxbytes in [source])"
            )));
        }
        RunEnd::NotWhole => {
            return Err(unusable(
                "it exited, but a process that it started keeps its output open",
            ));
        }
    }
    let text = String::from_utf8(std::mem::take(&mut command.output))
        .map_err(|_| unusable("its output is not UTF-8"))?;
    if text.trim().is_empty() {
        return Err(unusable(&format!("it printed nothing{hint}")));
    }
    Ok(ItemText {
        md5: md5_of(&text),
        text,
        server: settings.program().to_owned(),
    })
}

/// Why a run is over.
enum RunEnd {
    Exited(ExitStatus),
    TimedOut,
    Cancelled,
    TooLarge,
    /// The command exited with status 0, but its output has another writer.
    NotWhole,
}

struct RunningCommand {
    started: StartedProgram,
    /// `None`: it was read to its end.
    stdout: Option<PipeReader>,
    /// As `stdout`.
    stderr: Option<PipeReader>,
    output: Vec<u8>,
    /// The end of what it wrote to standard error.
    errors: Vec<u8>,
    /// `None`: it was not reaped yet.
    status: Option<ExitStatus>,
}

impl RunningCommand {
    fn start(settings: &CommandSettings) -> io::Result<Self> {
        let identity = CommandIdentity::of(settings)?;
        let environment = environment(settings, &identity);
        let path = find_program(settings.program(), &environment);
        let argv: Vec<&OsStr> = settings.argv.iter().map(OsStr::new).collect();
        let (stdout, of_stdout) = io::pipe()?;
        let (stderr, of_stderr) = io::pipe()?;
        for reader in [&stdout, &stderr] {
            fcntl(reader, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
        }
        let program = UnprivilegedProgram {
            path: &path,
            argv: &argv,
            environment: &environment,
            ids: identity.ids,
            keeps_privileges: identity.keeps_privileges,
            umask: 0o022,
            files_max: FILES_MAX,
        };
        let started = program.start(ChildStdio {
            stdin: None,
            stdout: of_stdout.into(),
            stderr: Some(of_stderr.into()),
            ready: None,
        })?;
        Ok(Self {
            started,
            stdout: Some(stdout),
            stderr: Some(stderr),
            output: Vec::new(),
            errors: Vec::new(),
            status: None,
        })
    }

    /// Reads until the command has exited and, if it succeeded, its output has ended. On any other end its process group is
    /// killed.
    fn wait(&mut self, maxbytes: usize, limit: &RunLimit) -> io::Result<RunEnd> {
        loop {
            read_chunk(&mut self.stdout, &mut self.output)?;
            if self.output.len() > maxbytes {
                self.kill();
                return Ok(RunEnd::TooLarge);
            }
            self.read_errors()?;
            let has_exited = self.has_exited();
            // A process that is not reaped keeps the ID of its group, so that the group can be killed.
            if has_exited && (self.stdout.is_none() || !self.has_succeeded()) {
                self.reap();
            }
            match self.status {
                // The code that reaps orphans was faster.
                Some(ExitStatus::Exited(0)) if self.stdout.is_some() => {}
                Some(status) => {
                    // The rest of its messages: a pipe holds one chunk.
                    self.read_errors()?;
                    return Ok(RunEnd::Exited(status));
                }
                None => {}
            }
            let is_cancelled = self.wait_for_news(limit, has_exited)?;
            if is_cancelled || Instant::now() >= limit.until {
                self.kill();
                return Ok(match has_exited {
                    _ if is_cancelled => RunEnd::Cancelled,
                    true => RunEnd::NotWhole,
                    false => RunEnd::TimedOut,
                });
            }
        }
    }

    fn read_errors(&mut self) -> io::Result<()> {
        read_chunk(&mut self.stderr, &mut self.errors)?;
        let excess = self.errors.len().saturating_sub(ERROR_BYTES_MAX);
        self.errors.drain(..excess);
        Ok(())
    }

    /// Waits for output, the exit, the cancellation or the end of the time. Returns whether the run was cancelled.
    fn wait_for_news(&self, limit: &RunLimit, has_exited: bool) -> io::Result<bool> {
        let mut fds = vec![PollFd::new(limit.cancelled.as_fd(), PollFlags::POLLIN)];
        let pipes = [&self.stdout, &self.stderr].into_iter().flatten();
        fds.extend(pipes.map(|pipe| PollFd::new(pipe.as_fd(), PollFlags::POLLIN)));
        if !has_exited {
            fds.push(PollFd::new(self.started.pidfd.as_fd(), PollFlags::POLLIN));
        }
        let left = limit.until.saturating_duration_since(Instant::now());
        // Rounded up, so that the last millisecond is not spent in a loop.
        let left = left + Duration::from_micros(999);
        match poll(
            &mut fds,
            PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX),
        ) {
            Ok(_) => Ok(fds[0].any().unwrap_or(false)),
            Err(nix::errno::Errno::EINTR) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    fn has_exited(&self) -> bool {
        let mut fds = [PollFd::new(self.started.pidfd.as_fd(), PollFlags::POLLIN)];
        poll(&mut fds, PollTimeout::ZERO).is_ok_and(|ready| ready > 0)
    }

    /// Whether it has exited with status 0. It is not reaped.
    fn has_succeeded(&self) -> bool {
        let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
        let seen = waitid(Id::PIDFd(self.started.pidfd.as_fd()), flags);
        matches!(seen, Ok(WaitStatus::Exited(_, 0)))
    }

    fn reap(&mut self) {
        if self.status.is_none() {
            self.status = self.started.child.reap(&self.started.pidfd);
        }
    }

    /// Kills the process group, and waits a little for the exit of the command.
    fn kill(&mut self) {
        let StartedProgram { pid, pidfd, .. } = &self.started;
        // ESRCH: the code that reaps orphans was faster.
        let _ = sys::send_group_signal(pidfd, *pid, Signal::KILL);
        let until = Instant::now() + KILL_WAIT;
        while self.status.is_none() && Instant::now() < until {
            let mut fds = [PollFd::new(self.started.pidfd.as_fd(), PollFlags::POLLIN)];
            let _ = poll(&mut fds, PollTimeout::from(100u8));
            self.reap();
        }
    }

    /// The last line of its messages, for the end of a sentence. Empty: there is none.
    fn last_error_line(&self) -> String {
        let text = String::from_utf8_lossy(&self.errors);
        let mut lines = text.lines().rev().map(str::trim);
        lines
            .find(|line| !line.is_empty())
            .map_or(String::new(), |line| format!(": {line}"))
    }
}

impl Drop for RunningCommand {
    fn drop(&mut self) {
        if self.status.is_none() {
            self.kill();
        }
    }
}

/// Reads once. At the end of the pipe it becomes `None`.
fn read_chunk(pipe: &mut Option<PipeReader>, to: &mut Vec<u8>) -> io::Result<()> {
    let Some(reader) = pipe else {
        return Ok(());
    };
    let mut chunk = [0; CHUNK_BYTES];
    match reader.read(&mut chunk) {
        Ok(0) => *pipe = None,
        Ok(count) => to.extend_from_slice(&chunk[..count]),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
        Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
        Err(error) => return Err(error),
    }
    Ok(())
}

/// Who runs the command.
struct CommandIdentity {
    uid: u32,
    ids: ChildIds,
    keeps_privileges: bool,
}

impl CommandIdentity {
    fn of(settings: &CommandSettings) -> io::Result<Self> {
        let own = sys::effective_uid();
        let become_nobody = || ChildIds::Become {
            uid: NOBODY,
            gid: NOBODY,
            groups: Vec::new(),
        };
        let Some(user) = &settings.user else {
            return Ok(match own {
                0 => Self {
                    uid: NOBODY,
                    ids: become_nobody(),
                    keeps_privileges: false,
                },
                own => Self {
                    uid: own,
                    ids: ChildIds::Keep,
                    keeps_privileges: false,
                },
            });
        };
        if user.uid == own && user.gid.is_none() {
            return Ok(Self {
                uid: own,
                ids: ChildIds::Keep,
                keeps_privileges: own == 0,
            });
        }
        let groups = match user.gid {
            Some(gid) => Some((gid, vec![gid])),
            None => sys::account(user.uid, None)?.map(|found| (found.gid, found.groups)),
        };
        let (gid, groups) =
            groups.ok_or_else(|| io::Error::other(format!("user {} does not exist", user.name)))?;
        Ok(Self {
            uid: user.uid,
            ids: ChildIds::Become {
                uid: user.uid,
                gid,
                groups,
            },
            keeps_privileges: false,
        })
    }
}

/// The variables of the command. Those of the settings win.
fn environment(
    settings: &CommandSettings,
    identity: &CommandIdentity,
) -> Vec<(OsString, OsString)> {
    let mut variables: Vec<(OsString, OsString)> = VARIABLES
        .iter()
        .filter_map(|name| Some((OsString::from(name), std::env::var_os(name)?)))
        .collect();
    // A name service that does not answer costs the names only.
    if let Ok(Some(login)) = sys::login_of(identity.uid) {
        let name = OsString::from(login.name);
        variables.push(("HOME".into(), login.home.into()));
        variables.push(("USER".into(), name.clone()));
        variables.push(("LOGNAME".into(), name));
    }
    for (name, value) in &settings.environment {
        variables.retain(|(known, _)| known != name.as_str());
        variables.push((name.into(), value.into()));
    }
    variables
}

/// The file of a program: the first one with its name in the search path. If there is none, its start fails.
fn find_program(program: &str, environment: &[(OsString, OsString)]) -> PathBuf {
    let direct = PathBuf::from(program);
    if program.contains('/') {
        return direct;
    }
    let path = environment.iter().find(|(name, _)| name == "PATH");
    let path = path.map_or(DEFAULT_PATH.as_bytes(), |(_, value)| value.as_bytes());
    let directories = path.split(|&byte| byte == b':');
    let mut files =
        directories.map(|directory| Path::new(OsStr::from_bytes(directory)).join(program));
    files.find(|file| file.is_file()).unwrap_or(direct)
}

/// A message fit for a log and the limits of a failure.
fn one_line(text: &str) -> String {
    let mut line: String = text
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    let mut end = line.len().min(MESSAGE_BYTES_MAX);
    while !line.is_char_boundary(end) {
        end -= 1;
    }
    line.truncate(end);
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Seconds;

    const LONG: Duration = Duration::from_secs(60);

    fn settings(script: &str) -> CommandSettings {
        CommandSettings {
            argv: ["/bin/sh", "-c", script].map(str::to_owned).to_vec(),
            user: None,
            environment: vec![("GIVEN".to_owned(), "it is".to_owned())],
            interval: Seconds(1),
            timeout: Seconds(1),
            maxbytes: 100_000,
        }
    }

    fn run_for(script: &str, time: Duration) -> Result<ItemText, ItemFailure> {
        let (limit, _handle) = RunLimit::until(Instant::now() + time).expect("pipe");
        run(&settings(script), &limit)
    }

    #[test]
    fn the_text_is_the_whole_output_of_a_command_without_privileges() {
        let text = run_for("echo \"$GIVEN\"; (sleep 0.05; echo late) &", LONG).expect("text");
        assert_eq!(text.text, "it is\nlate\n");
        assert_eq!(
            (text.md5.as_str(), text.server.as_str()),
            (&*md5_of(&text.text), "/bin/sh")
        );
        let status = run_for("cat /proc/self/status; env", LONG)
            .expect("text")
            .text;
        let value = |name: &str| {
            let line = status.lines().find(|line| line.starts_with(name));
            line.map(|line| {
                line.split_whitespace()
                    .skip(1)
                    .collect::<Vec<_>>()
                    .join(" ")
            })
        };
        assert_eq!(value("NoNewPrivs:").as_deref(), Some("1"));
        assert_eq!(value("CapPrm:").as_deref(), Some("0000000000000000"));
        if sys::effective_uid() == 0 {
            assert_eq!(value("Uid:").as_deref(), Some("65534 65534 65534 65534"));
        }
        assert!(
            !status.contains("CARGO"),
            "it has variables of this process"
        );
    }

    #[test]
    fn a_run_that_fails_has_a_precise_reason() {
        use FailureKind::{Away, Unusable};
        for (script, kind, reason) in [
            (
                "echo a; echo no etcd >&2; exit 3",
                Away,
                "exit status 3: no etcd",
            ),
            ("kill -9 $$", Away, "it ended with"),
            ("yes", Unusable, "larger than 100000 bytes"),
            ("printf '\\377'", Unusable, "its output is not UTF-8"),
            ("echo", Unusable, "it printed nothing"),
        ] {
            let failure = run_for(script, LONG).expect_err(script);
            assert_eq!(failure.kind, kind, "{failure:?}");
            let message = &failure.message;
            assert!(
                message.starts_with("/bin/sh: ") && message.contains(reason),
                "{message}"
            );
        }
        let absent = CommandSettings {
            argv: vec!["/nosuch/etcdctl".to_owned()],
            ..settings("")
        };
        let (limit, _handle) = RunLimit::until(Instant::now() + LONG).expect("pipe");
        let failure = run(&absent, &limit).expect_err("absent");
        assert!(
            failure.message.starts_with("/nosuch/etcdctl: No such file"),
            "{failure:?}"
        );
    }

    #[test]
    fn the_process_group_is_killed_at_the_limit() {
        let begun = Instant::now();
        let script = "sleep 1000 & echo $! >&2; wait";
        let failure = run_for(script, Duration::from_millis(300)).expect_err("late");
        assert!(
            failure.message.contains("killed, because it did not end"),
            "{failure:?}"
        );
        assert!(begun.elapsed() < Duration::from_secs(30));
        let pid = failure.message.rsplit(' ').next().expect("PID").to_owned();
        let gone = Instant::now() + LONG;
        // A zombie of another parent has an empty command line.
        while std::fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| !line.is_empty()) {
            assert!(Instant::now() < gone, "{pid} is alive");
            std::thread::sleep(Duration::from_millis(5));
        }
        let failure = run_for("sleep 1000 2>&- & exit 0", Duration::from_millis(300));
        let failure = failure.expect_err("open");
        assert!(
            failure.message.contains("keeps its output open"),
            "{failure:?}"
        );
    }

    #[test]
    fn a_cancelled_run_ends_at_once() {
        let (limit, handle) = RunLimit::until(Instant::now() + LONG).expect("pipe");
        drop(handle);
        let failure = run(&settings("sleep 1000"), &limit).expect_err("cancelled");
        assert!(failure.message.ends_with("cancelled"), "{failure:?}");
    }
}
