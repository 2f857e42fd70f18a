//! Children of the daemon that are no supervised processes: short-lived helper programs, whose output it reads, and the
//! commands of scripts. The code that reaps orphans must ask here first.

use std::collections::BTreeMap;
use std::io::{self, Read as _};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::{Duration, Instant};

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::pidfd::{open_pidfd, reap, reap_stranger, send_signal};
use crate::domain::{ExitStatus, Signal};

/// Maximum number of helpers at a time.
const HELPERS_MAX: usize = 8;
/// Maximum number of helpers at a time whose output is read as it comes. They run for as long as somebody reads.
const FOLLOWED_MAX: usize = 16;
/// Number of bytes per read.
const CHUNK_BYTES: usize = 64 << 10;
/// How long a killed helper may take to exit.
const KILL_WAIT: Duration = Duration::from_secs(1);

/// The children that are no supervised processes.
struct Registry {
    /// Number of children that are being started and whose PIDs are not known yet.
    starting: usize,
    /// The PIDs, from before the children can be seen to exit until somebody has read their status. The value is the
    /// status of a child that the code that reaps orphans has reaped.
    children: BTreeMap<i32, Option<ExitStatus>>,
}

static REGISTRY: Mutex<Registry> = Mutex::new(Registry {
    starting: 0,
    children: BTreeMap::new(),
});

fn registry() -> MutexGuard<'static, Registry> {
    // No code panics while it holds the lock.
    REGISTRY.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What [`reap_orphan`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OrphanReap {
    /// Nothing: the child may be one that is just being started. Ask again later.
    Undecided,
    /// It was a helper or the command of a script. Its status is kept for the code that started it.
    Helper,
    /// It was an orphan, with this status.
    Orphan(ExitStatus),
    /// Nothing: it was reaped by other code.
    Gone,
}

/// Reaps a child that has exited and that is no supervised process. Never blocks.
#[must_use]
pub fn reap_orphan(pid: i32) -> OrphanReap {
    let mut registry = match REGISTRY.try_lock() {
        Ok(registry) => registry,
        Err(TryLockError::Poisoned(registry)) => registry.into_inner(),
        Err(TryLockError::WouldBlock) => return OrphanReap::Undecided,
    };
    let is_starting = registry.starting > 0;
    match registry.children.get_mut(&pid) {
        Some(status) => {
            if let Ok(Some(reaped)) = reap_stranger(pid) {
                *status = Some(reaped);
            }
            OrphanReap::Helper
        }
        None if is_starting => OrphanReap::Undecided,
        None => match reap_stranger(pid) {
            Ok(Some(status)) => OrphanReap::Orphan(status),
            Ok(None) | Err(_) => OrphanReap::Gone,
        },
    }
}

/// A child that is started elsewhere and is no supervised process, from before its start. Dropping it forgets the child.
#[derive(Debug)]
pub struct RegisteredChild {
    /// `None`: it is not started yet.
    pid: Option<i32>,
}

impl RegisteredChild {
    /// Announces the start of a child.
    #[must_use]
    pub fn announce() -> Self {
        registry().starting += 1;
        Self { pid: None }
    }

    /// Records its PID.
    pub fn started(&mut self, pid: i32) {
        let mut registry = registry();
        if self.pid.replace(pid).is_none() {
            registry.starting -= 1;
        }
        registry.children.insert(pid, None);
    }

    /// Reaps the child if it has exited. `None`: it runs. A status that nobody knows is [`ExitStatus::Unknown`].
    #[must_use]
    pub fn reap(&self, pidfd: &OwnedFd) -> Option<ExitStatus> {
        let registry = registry();
        let kept = self.pid.and_then(|pid| registry.children.get(&pid));
        if let Some(Some(status)) = kept {
            return Some(*status);
        }
        match reap(pidfd) {
            Ok(result) => result.map(|(_, status)| status),
            Err(_) => Some(ExitStatus::Unknown(0)),
        }
    }
}

impl Drop for RegisteredChild {
    fn drop(&mut self) {
        let mut registry = registry();
        match self.pid {
            Some(pid) => drop(registry.children.remove(&pid)),
            None => registry.starting -= 1,
        }
    }
}

/// Runs `command` with `stdin` as its standard input, and returns the last `keep` bytes of its standard output.
/// Blocks until it exits, at most for `limit`, after which it is killed.
///
/// # Errors
/// The errors of spawning a process. `WouldBlock`: too many helpers run already. `TimedOut`: it took too long.
pub fn output_of(
    command: &mut Command,
    stdin: Stdio,
    keep: usize,
    limit: Duration,
) -> io::Result<Vec<u8>> {
    let until = Instant::now() + limit;
    let slot = HelperSlot::take(&HELPERS, HELPERS_MAX)?;
    let helper = HelperProcess::start(command, stdin, slot)?;
    let result = last_bytes(helper.stdout, keep, until)
        .and_then(|bytes| wait_for(helper.pidfd.as_fd(), until).map(|()| bytes));
    if result.is_err() {
        // It may have exited by itself meanwhile.
        let _ = send_signal(&helper.pidfd, Signal::KILL);
        let _ = wait_for(helper.pidfd.as_fd(), Instant::now() + KILL_WAIT);
    }
    let _ = helper.child.reap(&helper.pidfd);
    result
}

/// A helper whose output is read as it comes. Dropping it kills the helper and waits for its end.
#[derive(Debug)]
pub struct FollowedHelper(HelperProcess);

impl FollowedHelper {
    /// Starts `command` without standard input.
    ///
    /// # Errors
    /// The errors of spawning a process. `WouldBlock`: too many such helpers run already.
    pub fn start(command: &mut Command) -> io::Result<Self> {
        let slot = HelperSlot::take(&FOLLOWED, FOLLOWED_MAX)?;
        let helper = HelperProcess::start(command, Stdio::null(), slot)?;
        set_nonblocking(helper.stdout.as_fd())?;
        Ok(Self(helper))
    }

    /// Reads what the helper has written, at most `most` bytes, without waiting. Empty: nothing new. `None`: the helper
    /// has closed its output.
    ///
    /// # Errors
    /// As read(2).
    pub fn read_available(&mut self, most: usize) -> io::Result<Option<Vec<u8>>> {
        let mut data = vec![0; most];
        match self.0.stdout.read(&mut data) {
            Ok(0) => Ok(None),
            Ok(count) => {
                data.truncate(count);
                Ok(Some(data))
            }
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
                ) =>
            {
                Ok(Some(Vec::new()))
            }
            Err(error) => Err(error),
        }
    }
}

impl Drop for FollowedHelper {
    fn drop(&mut self) {
        let helper = &self.0;
        // It may have exited by itself.
        let _ = send_signal(&helper.pidfd, Signal::KILL);
        let _ = wait_for(helper.pidfd.as_fd(), Instant::now() + KILL_WAIT);
        let _ = helper.child.reap(&helper.pidfd);
    }
}

fn set_nonblocking(fd: BorrowedFd<'_>) -> io::Result<()> {
    let flags = OFlag::from_bits_retain(fcntl(fd, FcntlArg::F_GETFL)?);
    fcntl(fd, FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK))?;
    Ok(())
}

/// One of the helpers that may run at a time.
#[derive(Debug)]
struct HelperSlot(&'static AtomicUsize);

static HELPERS: AtomicUsize = AtomicUsize::new(0);
static FOLLOWED: AtomicUsize = AtomicUsize::new(0);

impl HelperSlot {
    /// Takes one of `most`, which `taken` counts.
    fn take(count: &'static AtomicUsize, most: usize) -> io::Result<Self> {
        let taken = count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |helpers| {
            (helpers < most).then_some(helpers + 1)
        });
        taken
            .map(|_| Self(count))
            .map_err(|_| io::ErrorKind::WouldBlock.into())
    }
}

impl Drop for HelperSlot {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[derive(Debug)]
struct HelperProcess {
    child: RegisteredChild,
    pidfd: OwnedFd,
    stdout: std::process::ChildStdout,
    _slot: HelperSlot,
}

impl HelperProcess {
    fn start(command: &mut Command, stdin: Stdio, slot: HelperSlot) -> io::Result<Self> {
        command
            .stdin(stdin)
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let mut child = RegisteredChild::announce();
        let mut spawned = command.spawn()?;
        let pid = i32::try_from(spawned.id()).map_err(io::Error::other)?;
        child.started(pid);
        Ok(Self {
            child,
            pidfd: open_pidfd(pid)?,
            stdout: spawned.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?,
            _slot: slot,
        })
    }
}

fn wait_for(fd: BorrowedFd<'_>, until: Instant) -> io::Result<()> {
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let wait = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
        match poll(&mut [PollFd::new(fd, PollFlags::POLLIN)], wait) {
            Ok(0) => return Err(io::ErrorKind::TimedOut.into()),
            Ok(_) => return Ok(()),
            Err(nix::errno::Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

fn last_bytes(
    mut from: std::process::ChildStdout,
    keep: usize,
    until: Instant,
) -> io::Result<Vec<u8>> {
    let mut kept = Vec::new();
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        wait_for(from.as_fd(), until)?;
        let count = from.read(&mut chunk)?;
        kept.extend_from_slice(&chunk[..count]);
        // Not after each read, so that each byte is moved at most twice.
        if kept.len() > keep && (count == 0 || kept.len() > keep + keep.max(CHUNK_BYTES)) {
            kept.drain(..kept.len() - keep);
        }
        if count == 0 {
            return Ok(kept);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(program: &str, arguments: &[&str], keep: usize, limit: Duration) -> io::Result<Vec<u8>> {
        output_of(
            Command::new(program).args(arguments),
            Stdio::null(),
            keep,
            limit,
        )
    }

    #[test]
    fn the_last_output_is_returned_and_no_child_remains() {
        let long = Duration::from_secs(20);
        assert_eq!(run("echo", &["abcdef"], 4, long).expect("run"), b"def\n");
        assert_eq!(run("echo", &["abc"], 4, long).expect("run"), b"abc\n");
        let much = run("seq", &["1000000"], 8, long).expect("run");
        assert_eq!(
            much,
            b"\n1000000"[1..]
                .iter()
                .chain(b"\n")
                .copied()
                .collect::<Vec<u8>>()
        );
        let begun = Instant::now();
        let late = run("sleep", &["1000"], 4, Duration::from_millis(50));
        assert_eq!(
            late.map_err(|error| error.kind()),
            Err(io::ErrorKind::TimedOut)
        );
        assert!(
            begun.elapsed() < Duration::from_secs(10),
            "it was not waited for"
        );
        assert!(run("/nosuch/program", &[], 4, long).is_err());
        assert_eq!(HELPERS.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn a_followed_helper_ends_with_its_reader() {
        let script = "echo one; sleep 0.05; echo two; exec sleep 1000";
        let started = FollowedHelper::start(Command::new("sh").args(["-c", script]));
        let mut helper = started.expect("started");
        let mut text = Vec::new();
        let until = Instant::now() + Duration::from_secs(20);
        while text != b"one\ntwo\n" {
            assert!(Instant::now() < until, "{text:?}");
            text.extend(helper.read_available(100).expect("read").expect("open"));
        }
        let begun = Instant::now();
        drop(helper);
        assert!(begun.elapsed() < Duration::from_secs(10), "it was killed");
        let started = FollowedHelper::start(&mut Command::new("true"));
        let mut helper = started.expect("started");
        while helper.read_available(100).expect("read").is_some() {
            assert!(Instant::now() < until, "its output stays open");
        }
        drop(helper);
        assert_eq!(FOLLOWED.load(Ordering::Relaxed), 0);
    }
}
