//! Runs short-lived helper programs of the daemon and reads their output. Helpers are children of the daemon but not
//! supervised processes, so the code that reaps orphans must ask here first.

use std::collections::BTreeSet;
use std::io::{self, Read as _};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError, TryLockError};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::pidfd::{open_pidfd, reap, send_signal};
use crate::domain::Signal;

/// Maximum number of helpers at a time.
const HELPERS_MAX: usize = 8;
/// Number of bytes per read.
const CHUNK_BYTES: usize = 64 << 10;
/// How long a killed helper may take to exit.
const KILL_WAIT: Duration = Duration::from_secs(1);

/// The helpers' PIDs, from before they can be seen to exit until they are reaped.
static RUNNING: Mutex<BTreeSet<i32>> = Mutex::new(BTreeSet::new());

/// Whether `pid` is a helper. `None`: a helper is just being started, so ask again later. Never blocks.
#[must_use]
pub fn is_helper(pid: i32) -> Option<bool> {
    match RUNNING.try_lock() {
        Ok(running) => Some(running.contains(&pid)),
        Err(TryLockError::Poisoned(running)) => Some(running.into_inner().contains(&pid)),
        Err(TryLockError::WouldBlock) => None,
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
    let helper = HelperProcess::start(command, stdin)?;
    let result = last_bytes(helper.stdout, keep, until)
        .and_then(|bytes| wait_for(helper.pidfd.as_fd(), until).map(|()| bytes));
    if result.is_err() {
        // It may have exited by itself meanwhile.
        let _ = send_signal(&helper.pidfd, Signal::KILL);
        let _ = wait_for(helper.pidfd.as_fd(), Instant::now() + KILL_WAIT);
    }
    // The code that reaps orphans may have been faster.
    let _ = reap(&helper.pidfd);
    let mut running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
    running.remove(&helper.pid);
    result
}

struct HelperProcess {
    pid: i32,
    pidfd: OwnedFd,
    stdout: std::process::ChildStdout,
}

impl HelperProcess {
    fn start(command: &mut Command, stdin: Stdio) -> io::Result<Self> {
        command
            .stdin(stdin)
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        // Hold the lock, so that the helper is not reaped as an orphan before its PID is recorded.
        let mut running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
        if running.len() >= HELPERS_MAX {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let mut child = command.spawn()?;
        let pid = i32::try_from(child.id()).map_err(io::Error::other)?;
        let stdout = child.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
        let pidfd = open_pidfd(pid)?;
        running.insert(pid);
        Ok(Self { pid, pidfd, stdout })
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
        let pids = RUNNING.lock().expect("unpoisoned").clone();
        assert!(pids.is_empty(), "{pids:?}");
    }
}
