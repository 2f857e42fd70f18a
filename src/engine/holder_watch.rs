//! Watches the fd holder by its pidfd. When it has ended, by whatever hand, another one is started on a thread of its own and
//! is given everything that the one before had. Its scope may have ended with it, and is made again then.

use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::Arc;

use super::actor::{Engine, TOKEN_HOLDER, Workers};
use super::systemd::{HOLDER_LOST, store_holder};
use crate::cgroup::CgroupManager;
use crate::domain::{Line, Tick};
use crate::fd_holder::FdStore;
use crate::sys::{self, Interest};

/// After a start that failed, or one whose fd holder has not lasted, the next one is tried after this time, which doubles
/// from start to start, in milliseconds.
const RETRY_FIRST_MS: u64 = 100;
/// The longest of these times, and how long an fd holder must last for the first of them to count again.
const RETRY_MAX_MS: u64 = 10_000;

/// What has come of starting another one.
#[derive(Debug)]
pub(super) struct HolderRestart {
    /// What there is to say of its scope.
    lines: Vec<Line>,
    /// Its PID, and how many names it was given; or why there is none.
    result: Result<(i32, usize), String>,
}

/// The watch over the fd holder.
#[derive(Default)]
pub(super) struct HolderWatch {
    /// In the epoll set.
    process: Option<OwnedFd>,
    retry_at: Option<Tick>,
    /// How long the next start waits, in milliseconds.
    pause_ms: u64,
    /// When the one that runs was started, or seen first.
    runs_since: Option<Tick>,
    /// That none can be started was told.
    is_told: bool,
}

impl HolderWatch {
    /// When [`Engine::start_holder`] is to be called.
    pub(super) fn due(&self) -> Option<Tick> {
        self.retry_at
    }

    /// Another start is due: at once after one that has lasted, else later and later.
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
    /// Watches the fd holder there is now, if there is one.
    pub(super) fn watch_holder(&mut self) {
        let Some(fd_store) = &self.fd_store else {
            return;
        };
        let process = fd_store.client().process().try_clone_to_owned();
        // Without a descriptor it is seen when something is stored, as far as the log goes.
        self.holder.process = process.ok().filter(|process| {
            let added = self.poller.add(process, TOKEN_HOLDER, Interest::Read);
            added.is_ok()
        });
        self.holder.runs_since = Some(sys::now().mono);
    }

    /// The fd holder has ended.
    pub(super) fn holder_ended(&mut self, workers: &Workers) {
        if let Some(process) = self.holder.process.take() {
            let _ = self.poller.remove(&process);
            // If it is a child of ours; else nobody waits for us.
            let _ = sys::reap(&process);
        }
        if let Some(fd_store) = &self.fd_store {
            fd_store.mark_lost();
            self.log(Line::HolderLost {}, workers);
            self.systemd.set_note(HOLDER_LOST);
            self.holder.retry(sys::now().mono);
        }
    }

    /// Starts another one.
    pub(super) fn start_holder(&mut self) {
        self.holder.retry_at = None;
        let Some(fd_store) = self.fd_store.clone() else {
            return;
        };
        let (cgroup_manager, to) = (self.cgroup_manager.clone(), self.sender.clone());
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
    // A manager that does not hear it is no reason to start yet another: the next daemon looks in the scope too.
    let _ = store_holder(client.as_fd());
    Ok((sys::pid_of(&client.process()).unwrap_or(0), count))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn starts_come_later_and_later_until_one_lasts() {
        let mut holder = HolderWatch::default();
        let mut now = Tick(0);
        let mut pauses = Vec::new();
        for _ in 0..9 {
            // Some fail, and some end soon.
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
