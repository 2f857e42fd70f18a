//! Watches the fd holder by its pidfd. When it has ended, by whatever hand, another one is started on a thread of its own and
//! is given everything that the one before had. Its scope may have ended with it, and is made again then.

use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::Arc;

use super::actor::{Engine, Hands, TOKEN_HOLDER};
use super::systemd::{HOLDER_LOST, have_kept};
use crate::cgroup::Lodging;
use crate::domain::{Line, Tick};
use crate::keeper::Vault;
use crate::sys::{self, Interest};

/// After a start that failed, the next one is tried after this time, in milliseconds.
const RETRY_MS: u64 = 10_000;

/// What has come of starting another one: its PID, and how many names it was given; or why there is none.
pub(super) type Restarted = Result<(i32, usize), String>;

/// The watch over the fd holder.
#[derive(Default)]
pub(super) struct Holder {
    /// In the epoll set.
    process: Option<OwnedFd>,
    retry_at: Option<Tick>,
    /// That none can be started was told.
    is_told: bool,
}

impl Holder {
    /// When [`Engine::start_holder`] is to be called.
    pub(super) fn due(&self) -> Option<Tick> {
        self.retry_at
    }
}

impl Engine {
    /// Watches the fd holder there is now, if there is one.
    pub(super) fn watch_holder(&mut self) {
        let Some(vault) = &self.vault else { return };
        let process = vault.client().process().try_clone_to_owned();
        // Without a descriptor it is seen when something is stored, as far as the log goes.
        self.holder.process = process.ok().filter(|process| {
            let added = self.poller.add(process, TOKEN_HOLDER, Interest::Read);
            added.is_ok()
        });
    }

    /// The fd holder has ended.
    pub(super) fn holder_ended(&mut self, hands: &Hands) {
        if let Some(process) = self.holder.process.take() {
            let _ = self.poller.remove(&process);
            // If it is a child of ours; else nobody waits for us.
            let _ = sys::reap(&process);
        }
        if let Some(vault) = &self.vault {
            vault.lost();
            self.log(Line::HolderLost {}, hands);
            self.systemd.set_note(HOLDER_LOST);
            self.start_holder();
        }
    }

    /// Starts another one.
    pub(super) fn start_holder(&mut self) {
        self.holder.retry_at = None;
        let Some(vault) = self.vault.clone() else {
            return;
        };
        let (lodging, to) = (self.lodging.clone(), self.sender.clone());
        let heartbeats = self.heartbeats.clone();
        let thread = std::thread::Builder::new().name("fd-holder".to_owned());
        let started = thread.spawn(move || {
            let _heartbeat = heartbeats.register_end("fd-holder");
            to.holder_restarted(restart(&vault, &lodging));
        });
        if let Err(error) = started {
            let error = format!("cannot start a thread: {error}");
            self.sender.holder_restarted(Err(error));
        }
    }

    pub(super) fn holder_restarted(&mut self, result: Restarted, hands: &Hands) {
        match result {
            Ok((pid, count)) => {
                self.holder.is_told = false;
                self.watch_holder();
                self.log(Line::HolderRestarted { pid, count }, hands);
                self.systemd.set_note("fd holder restarted");
            }
            Err(error) => {
                self.holder.retry_at = Some(sys::now().mono.plus_millis(RETRY_MS));
                if !std::mem::replace(&mut self.holder.is_told, true) {
                    self.log(Line::HolderMissing { error }, hands);
                }
            }
        }
    }
}

fn restart(vault: &Arc<Vault>, lodging: &Lodging) -> Restarted {
    let keeper = lodging.hold_again()?;
    let count = vault.replace(keeper).map_err(|error| error.to_string())?;
    let client = vault.client();
    // A manager that does not hear it is no reason to start yet another: the next daemon looks in the scope too.
    let _ = have_kept(client.as_fd());
    Ok((sys::pid_of(&client.process()).unwrap_or(0), count))
}
