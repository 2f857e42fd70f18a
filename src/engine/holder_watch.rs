//! Watches the fd holder by its pidfd. If it exits, a short-lived thread starts another one and stores all descriptors
//! in it again. The scope of the fd holder may have ended with it; then the thread also creates a new scope.

use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::Arc;

use super::actor::{Engine, TOKEN_HOLDER, Workers};
use super::systemd::{HOLDER_LOST, store_holder};
use crate::cgroup::CgroupManager;
use crate::domain::{Line, Tick};
use crate::fd_holder::FdStore;
use crate::sys::{self, Interest};

/// The first delay before another start, in milliseconds. It applies after a failed start or an fd holder that soon
/// exited, and doubles with each further start.
const RETRY_FIRST_MS: u64 = 100;
/// The longest delay, in milliseconds. An fd holder that ran this long resets the delay.
const RETRY_MAX_MS: u64 = 10_000;

/// The result of starting another fd holder.
#[derive(Debug)]
pub(super) struct HolderRestart {
    /// Log lines about its scope.
    lines: Vec<Line>,
    /// Its PID and the number of names stored in it, or why it could not be started.
    result: Result<(i32, usize), String>,
}

/// The watch over the fd holder.
#[derive(Default)]
pub(super) struct HolderWatch {
    /// The pidfd in the epoll set. `None`: there is no fd holder, or it cannot be watched.
    process: Option<OwnedFd>,
    retry_at: Option<Tick>,
    /// The delay before the next start, in milliseconds.
    pause_ms: u64,
    /// When the current fd holder was started or first seen.
    runs_since: Option<Tick>,
    /// The failure to start one was logged already.
    is_told: bool,
}

impl HolderWatch {
    /// Returns when to call [`Engine::start_holder`].
    pub(super) fn due(&self) -> Option<Tick> {
        self.retry_at
    }

    /// Schedules another start: at once if the last fd holder ran long enough, else after a growing delay.
    fn retry(&mut self, now: Tick) {
        let since = self.runs_since.take();
        if since.is_some_and(|since| now >= since.plus_millis(RETRY_MAX_MS)) {
            self.pause_ms = 0;
        }
        self.retry_at = Some(now.plus_millis(self.pause_ms));
        self.pause_ms = (self.pause_ms * 2).clamp(RETRY_FIRST_MS, RETRY_MAX_MS);
    }
}

impl Engine {
    /// Watches the current fd holder, if there is one.
    pub(super) fn watch_holder(&mut self) {
        let Some(fd_store) = &self.fd_store else {
            return;
        };
        let process = fd_store.client().process().try_clone_to_owned();
        // Without this descriptor the exit is noticed when something is stored, and only logged.
        self.holder.process = process.ok().filter(|process| {
            let added = self.poller.add(process, TOKEN_HOLDER, Interest::Read);
            added.is_ok()
        });
        self.holder.runs_since = Some(sys::now().mono);
    }

    /// Handles the exit of the fd holder.
    pub(super) fn holder_ended(&mut self, workers: &Workers) {
        if let Some(process) = self.holder.process.take() {
            let _ = self.poller.remove(&process);
            // This fails if it was not a child of this daemon, and then its parent reaps it.
            let _ = sys::reap(&process);
        }
        if let Some(fd_store) = &self.fd_store {
            fd_store.mark_lost();
            self.log(Line::HolderLost {}, workers);
            self.systemd.set_note(HOLDER_LOST);
            self.holder.retry(sys::now().mono);
        }
    }

    /// Starts another fd holder.
    pub(super) fn start_holder(&mut self) {
        self.holder.retry_at = None;
        let Some(fd_store) = self.fd_store.clone() else {
            return;
        };
        let (cgroup_manager, to) = (self.cgroups.manager().clone(), self.sender.clone());
        let heartbeats = self.heartbeats.clone();
        let thread = std::thread::Builder::new().name("fd-holder".to_owned());
        let started = thread.spawn(move || {
            let _heartbeat = heartbeats.register_end("fd-holder");
            let mut lines = Vec::new();
            let result = restart_holder(&fd_store, &cgroup_manager, &mut |line| lines.push(line));
            to.holder_restarted(HolderRestart { lines, result });
        });
        if let Err(error) = started {
            self.sender.holder_restarted(HolderRestart {
                lines: Vec::new(),
                result: Err(format!("cannot start a thread: {error}")),
            });
        }
    }

    /// Handles the result of starting another fd holder.
    pub(super) fn holder_restarted(&mut self, restarted: HolderRestart, workers: &Workers) {
        for line in restarted.lines {
            self.log(line, workers);
        }
        match restarted.result {
            Ok((pid, count)) => {
                self.holder.is_told = false;
                self.watch_holder();
                self.log(Line::HolderRestarted { pid, count }, workers);
                self.systemd.set_note("fd holder restarted");
            }
            Err(error) => {
                self.holder.retry(sys::now().mono);
                if !std::mem::replace(&mut self.holder.is_told, true) {
                    self.log(Line::HolderMissing { error }, workers);
                }
            }
        }
    }
}

/// Starts an fd holder and stores all descriptors in it. Returns its PID and the number of names. It may block.
fn restart_holder(
    fd_store: &Arc<FdStore>,
    cgroup_manager: &CgroupManager,
    log: &mut dyn FnMut(Line),
) -> Result<(i32, usize), String> {
    let holder = cgroup_manager.restart_holder(log)?;
    let count = fd_store
        .replace(holder)
        .map_err(|error| error.to_string())?;
    let client = fd_store.client();
    // If the service manager does not store it, the next daemon still finds the fd holder through its scope.
    let _ = store_holder(client.as_fd());
    Ok((sys::pid_of(&client.process()).unwrap_or(0), count))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn start_pauses_grow_until_an_fd_holder_lasts() {
        let mut holder = HolderWatch::default();
        let mut now = Tick(0);
        let mut pauses = Vec::new();
        for _ in 0..9 {
            // Some starts fail, and some fd holders exit soon.
            holder.runs_since = pauses.len().is_multiple_of(2).then_some(now);
            holder.retry(now);
            let due = holder.due().expect("due");
            pauses.push((due.0 - now.0) / 1_000_000);
            now = due;
        }
        assert_eq!(pauses, [0, 100, 200, 400, 800, 1600, 3200, 6400, 10_000]);
        holder.runs_since = Some(now);
        now = now.plus_millis(RETRY_MAX_MS);
        holder.retry(now);
        assert_eq!(holder.due(), Some(now));
    }
}
