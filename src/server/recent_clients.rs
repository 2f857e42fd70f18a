//! Remembers the processes of recent clients, for a daemon that is PID 1. When PID 1 exits, the kernel kills every
//! process of its PID namespace, also a client that has not yet printed its answer. Such a daemon therefore waits for
//! its recent clients before it exits.

use std::collections::VecDeque;
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::{Arc, Mutex, PoisonError};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use tokio::time::{Duration, Instant};

use crate::sys;

/// Maximum number of remembered clients.
const RECENT_CLIENTS_MAX: usize = 64;
/// Clients answered longer ago than this are not waited for.
const RECENT: Duration = Duration::from_secs(2);
/// Maximum time to wait for all clients together.
const WAIT_MAX: Duration = Duration::from_secs(1);

/// Interval for checking the processes that may be clients over TCP.
const POLL_INTERVAL: Duration = Duration::from_millis(10);

/// Clients that were answered recently. Clones share one list.
#[derive(Debug, Clone, Default)]
pub struct RecentClients(Option<Arc<Mutex<RecentState>>>);

#[derive(Debug, Default)]
struct RecentState {
    /// Clients whose PID the kernel reported, oldest first.
    peers: VecDeque<RecentClient>,
    /// When a client over the loopback interface was last answered. The process of such a client is unknown.
    loopback: Option<Instant>,
}

#[derive(Debug)]
struct RecentClient {
    pid: i32,
    pidfd: OwnedFd,
    at: Instant,
}

impl RecentClients {
    /// Creates the list for this process. If the process is not PID 1, nothing is ever recorded.
    pub(super) fn of_this_process() -> Self {
        Self((std::process::id() == 1).then(Arc::default))
    }

    /// Records that a client asked or was answered. `None` or 0: the client is outside our PID namespace and survives
    /// us.
    pub(super) fn record(&self, pid: Option<i32>) {
        let (Some(recent), Some(pid @ 1..)) = (&self.0, pid) else {
            return;
        };
        let mut recent = recent.lock().unwrap_or_else(PoisonError::into_inner);
        let peers = &mut recent.peers;
        let at = Instant::now();
        // The PID may belong to a new process by now. One descriptor per request is cheap enough to open it again.
        peers.retain(|peer| peer.pid != pid && at.duration_since(peer.at) < RECENT);
        if peers.len() >= RECENT_CLIENTS_MAX {
            peers.pop_front();
        }
        // An error means that the process has already exited.
        if let Ok(pidfd) = sys::open_pidfd(pid) {
            peers.push_back(RecentClient { pid, pidfd, at });
        }
    }

    /// Records that a client over the loopback interface asked or was answered.
    pub(super) fn record_loopback(&self) {
        if let Some(recent) = &self.0 {
            let mut recent = recent.lock().unwrap_or_else(PoisonError::into_inner);
            recent.loopback = Some(Instant::now());
        }
    }

    /// Waits until the recent clients have exited, for at most one second.
    pub fn wait_for_exit(&self) {
        self.wait_within(WAIT_MAX);
    }

    fn wait_within(&self, within: Duration) {
        let Some(recent) = &self.0 else {
            return;
        };
        let mut recent = recent.lock().unwrap_or_else(PoisonError::into_inner);
        let begin = Instant::now();
        let by_loopback = recent
            .loopback
            .is_some_and(|at| begin.duration_since(at) < RECENT);
        if by_loopback {
            while has_outside_processes() && begin.elapsed() < within {
                std::thread::sleep(POLL_INTERVAL);
            }
        }
        let peers = &mut recent.peers;
        peers.retain(|peer| begin.duration_since(peer.at) < RECENT);
        while !peers.is_empty() {
            let left = within.saturating_sub(begin.elapsed());
            let Ok(timeout) = PollTimeout::try_from(left) else {
                return;
            };
            let mut fds: Vec<_> = peers
                .iter()
                .map(|peer| PollFd::new(peer.pidfd.as_fd(), PollFlags::POLLIN))
                .collect();
            match poll(&mut fds, timeout) {
                Err(nix::errno::Errno::EINTR) => continue,
                Err(_) | Ok(0) => return,
                Ok(_) => {}
            }
            let mut ended = fds.iter().map(|fd| fd.any() == Some(true));
            let ended: Vec<bool> = ended.by_ref().collect();
            let mut ended = ended.into_iter();
            peers.retain(|_| ended.next() != Some(true));
        }
    }
}

/// Whether a process was started in our PID namespace from outside, such as by `docker exec`. Such a process has the
/// parent PID 0, because its parent is not visible here.
fn has_outside_processes() -> bool {
    let Ok(entries) = std::fs::read_dir("/proc") else {
        return false;
    };
    entries.flatten().any(|entry| {
        let name = entry.file_name();
        let pid: Option<u32> = name.to_str().and_then(|name| name.parse().ok());
        pid.is_some_and(|pid| pid != 1)
            && std::fs::read_to_string(entry.path().join("stat"))
                .is_ok_and(|stat| is_outside_process(&stat))
    })
}

/// Whether a line of `/proc/PID/stat` describes such a process. Zombies do not count.
fn is_outside_process(stat: &str) -> bool {
    let mut fields = stat
        .rsplit_once(')')
        .map_or("", |(_, fields)| fields)
        .split_ascii_whitespace();
    let (state, parent) = (fields.next(), fields.next());
    parent == Some("0") && !matches!(state, Some("Z" | "X"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guest_is_recognized_by_its_parent() {
        for (stat, expected) in [
            ("7 (a b) c) S 0 7 7", true),
            ("7 (sh) S 1 7 7", false),
            ("7 (sh) Z 0 7 7", false),
            ("", false),
        ] {
            assert_eq!(is_outside_process(stat), expected, "{stat}");
        }
    }

    #[test]
    fn the_exit_waits_for_clients_up_to_a_limit() {
        let peers = RecentClients(Some(Arc::default()));
        peers.record(None);
        peers.record(Some(0));
        peers.wait_for_exit();
        let mut child = std::process::Command::new("sleep")
            .arg("0.1")
            .spawn()
            .expect("started");
        let pid = i32::try_from(child.id()).expect("a number");
        peers.record(Some(pid));
        peers.record(Some(pid));
        peers.wait_within(Duration::from_secs(60));
        assert!(child.try_wait().expect("ours").is_some(), "it has ended");
        let mut child = std::process::Command::new("sleep")
            .arg("60")
            .spawn()
            .expect("started");
        peers.record(Some(i32::try_from(child.id()).expect("a number")));
        let begin = Instant::now();
        let limit = Duration::from_millis(100);
        peers.wait_within(limit);
        // poll(2) counts in whole milliseconds.
        assert!(begin.elapsed() + Duration::from_millis(1) >= limit);
        assert!(child.try_wait().expect("ours").is_none(), "it goes on");
        child.kill().expect("ours");
        child.wait().expect("ours");
    }
}
