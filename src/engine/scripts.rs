//! The scripts of programs, as the engine starts and ends them.

use super::inbox::InboxSender;
use crate::core::Input;
use crate::effects::{ScriptEffect, ScriptFailure, ScriptOutcome};
use crate::heartbeat::Heartbeats;
use crate::scripts::{self, ScriptsHandle};
use crate::spawn::SpawnHandle;

/// The thread that runs scripts. It starts with the first one.
pub(super) struct Scripts {
    /// `None`: not started yet.
    thread: Option<ScriptsHandle>,
    heartbeats: Heartbeats,
    sender: InboxSender,
}

impl Scripts {
    pub(super) fn new(heartbeats: Heartbeats, sender: InboxSender) -> Self {
        Self {
            thread: None,
            heartbeats,
            sender,
        }
    }

    /// Passes an effect to the thread. Returns the outcome instead if the thread cannot be started.
    pub(super) fn perform(&mut self, effect: ScriptEffect, spawn: &SpawnHandle) -> Option<Input> {
        if self.thread.is_none() && matches!(effect, ScriptEffect::Run(_)) {
            let sender = self.sender.clone();
            let done = move |outcome| sender.input(Input::Script(outcome));
            match scripts::start(self.heartbeats.clone(), spawn.command_sender(), done) {
                Ok(thread) => self.thread = Some(thread),
                Err(error) => return failed(effect, &error),
            }
        }
        if let Some(thread) = &self.thread {
            thread.send(effect);
        }
        None
    }

    /// Kills the scripts that run. The next daemon runs them again if it needs them.
    pub(super) fn stop(&mut self) {
        self.thread = None;
    }
}

fn failed(effect: ScriptEffect, error: &std::io::Error) -> Option<Input> {
    let ScriptEffect::Run(run) = effect else {
        return None;
    };
    Some(Input::Script(ScriptOutcome::Ended {
        id: run.id,
        failure: Some(ScriptFailure::NotStarted(error.to_string())),
        output: String::new(),
    }))
}
