//! The watches of files, as the engine starts and ends them.

use super::inbox::InboxSender;
use crate::core::Input;
use crate::domain::Line;
use crate::effects::WatchEffect;
use crate::heartbeat::Heartbeats;
use crate::output::OutputHandle;
use crate::spawn::SpawnHandle;
use crate::watch::{self, WatchHandle};

/// The thread that watches files. It starts with the first watch.
pub(super) struct Watches {
    /// `None`: not started yet.
    thread: Option<WatchHandle>,
    heartbeats: Heartbeats,
    sender: InboxSender,
}

impl Watches {
    pub(super) fn new(heartbeats: Heartbeats, sender: InboxSender) -> Self {
        Self {
            thread: None,
            heartbeats,
            sender,
        }
    }

    /// Passes an effect to the thread. If the thread cannot be started, the files of this watch are not watched.
    pub(super) fn perform(&mut self, effect: WatchEffect, spawn: &SpawnHandle, log: &OutputHandle) {
        if self.thread.is_none()
            && let WatchEffect::Set { spec, .. } = &effect
        {
            let sender = self.sender.clone();
            let lines = log.clone();
            let started = watch::start(
                self.heartbeats.clone(),
                spawn.command_finder(),
                move |outcome| sender.input(Input::Watch(outcome)),
                move |line| lines.log(line),
            );
            match started {
                Ok(thread) => self.thread = Some(thread),
                Err(error) => log.log(Line::WatchFailed {
                    name: spec.name.clone(),
                    reason: error.to_string(),
                }),
            }
        }
        if let Some(thread) = &self.thread {
            thread.send(effect);
        }
    }

    /// Ends the thread.
    pub(super) fn stop(&mut self) {
        self.thread = None;
    }
}
