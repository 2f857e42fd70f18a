//! Reads the configuration on a thread of its own, because name services and file systems may stall: one reading at a
//! time, the others wait their turn.

use std::collections::VecDeque;
use std::sync::Arc;

use super::inbox::InboxSender;
use crate::config::spec::Config;
use crate::core::{LoadError, LoadReason};

/// Reads the configuration afresh, for this reason.
pub type Load = dyn Fn(&LoadReason) -> Result<Config, LoadError> + Send + Sync;

/// The loader and those who wait for it.
pub(super) struct Loader {
    load: Arc<Load>,
    waiting: VecDeque<LoadReason>,
    busy: bool,
}

impl Loader {
    pub(super) fn new(load: Arc<Load>) -> Self {
        Self {
            load,
            waiting: VecDeque::new(),
            busy: false,
        }
    }

    /// Asks for a reading.
    pub(super) fn ask(&mut self, reason: LoadReason, inbox: &InboxSender) {
        // Signals that come while one of their kind waits are one.
        if reason == LoadReason::Hangup && self.waiting.contains(&reason) {
            return;
        }
        self.waiting.push_back(reason);
        self.next(inbox);
    }

    /// A reading has ended.
    pub(super) fn ended(&mut self, inbox: &InboxSender) {
        self.busy = false;
        self.next(inbox);
    }

    fn next(&mut self, inbox: &InboxSender) {
        if self.busy {
            return;
        }
        let Some(reason) = self.waiting.pop_front() else {
            return;
        };
        let (load, to, kept) = (self.load.clone(), inbox.clone(), reason.clone());
        let thread = std::thread::Builder::new().name("loader".to_owned());
        let started = thread.spawn(move || {
            let read = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| load(&reason)));
            let result = read
                .unwrap_or_else(|_| Err(internal("reading the configuration panicked".to_owned())));
            to.loaded(reason, result.map(Arc::new));
        });
        self.busy = true;
        if let Err(error) = started {
            inbox.loaded(
                kept,
                Err(internal(format!("cannot start the loader thread: {error}"))),
            );
        }
    }
}

fn internal(sentence: String) -> LoadError {
    LoadError {
        all: vec![sentence.clone()],
        sentence,
    }
}
