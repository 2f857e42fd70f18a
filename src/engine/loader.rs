//! Reads the configuration, or makes processes of one section, on a thread of its own, because name services and file
//! systems may stall: one reading at a time, the others wait their turn.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use super::descriptors::reserve_descriptors;
use super::inbox::InboxSender;
use crate::api::Ticket;
use crate::config::spec::{Config, GroupChange, GroupChangeResult};
use crate::core::{LoadError, LoadReason};
use crate::domain::Line;
use crate::heartbeat::{Heartbeats, Overdue};
use crate::output::OutputHandle;

/// After this time the log says that a reading is slow. Nothing else waits for it.
const SLOW: Duration = Duration::from_secs(30);

/// Reads the configuration afresh, for this reason.
pub type Load = dyn Fn(&LoadReason) -> Result<Config, LoadError> + Send + Sync;
/// Makes processes of a section; an error is the sentence for what is wrong with it.
pub type Compose = dyn Fn(&GroupChange) -> Result<GroupChangeResult, String> + Send + Sync;

/// What the loader is asked for.
#[derive(Debug, Clone, PartialEq)]
enum LoadRequest {
    Load(LoadReason),
    Compose(Ticket, Arc<GroupChange>),
}

/// The loader and those who wait for it: no more than there are tickets, and one hangup.
pub(super) struct Loader {
    load: Arc<Load>,
    compose: Arc<Compose>,
    waiting: VecDeque<LoadRequest>,
    busy: bool,
    heartbeats: Heartbeats,
}

impl Loader {
    pub(super) fn new(load: Arc<Load>, compose: Arc<Compose>, heartbeats: Heartbeats) -> Self {
        Self {
            load,
            compose,
            waiting: VecDeque::new(),
            busy: false,
            heartbeats,
        }
    }

    /// Nothing is being read, and nobody waits for it.
    pub(super) fn is_idle(&self) -> bool {
        !self.busy && self.waiting.is_empty()
    }

    /// Asks for a reading.
    pub(super) fn load(&mut self, reason: LoadReason, inbox: &InboxSender, log: &OutputHandle) {
        let is_hangup = reason == LoadReason::Hangup;
        let wish = LoadRequest::Load(reason);
        // Signals that come while one of their kind waits are one.
        if is_hangup && self.waiting.contains(&wish) {
            return;
        }
        self.waiting.push_back(wish);
        self.next(inbox, log);
    }

    /// Asks for processes.
    pub(super) fn compose(
        &mut self,
        ticket: Ticket,
        order: GroupChange,
        inbox: &InboxSender,
        log: &OutputHandle,
    ) {
        self.waiting
            .push_back(LoadRequest::Compose(ticket, Arc::new(order)));
        self.next(inbox, log);
    }

    /// A reading has ended.
    pub(super) fn ended(&mut self, inbox: &InboxSender, log: &OutputHandle) {
        self.busy = false;
        self.next(inbox, log);
    }

    fn next(&mut self, inbox: &InboxSender, log: &OutputHandle) {
        if self.busy {
            return;
        }
        let Some(wish) = self.waiting.pop_front() else {
            return;
        };
        let (load, compose) = (self.load.clone(), self.compose.clone());
        let (to, kept) = (inbox.clone(), wish.clone());
        let thread = std::thread::Builder::new().name("loader".to_owned());
        let (heartbeats, log) = (self.heartbeats.clone(), log.clone());
        let started = thread.spawn(move || {
            let seconds = SLOW.as_secs();
            let slow = move || log.log(Line::LoadingSlowly { seconds });
            let heartbeat = heartbeats.register("loader", SLOW, Overdue::Call(Box::new(slow)));
            heartbeat.busy();
            let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| match &wish {
                LoadRequest::Load(reason) => LoadResult::Loaded(load(reason).map(Arc::new)),
                LoadRequest::Compose(_, order) => {
                    LoadResult::Composed(compose(order).map(Box::new))
                }
            }));
            match (done, wish) {
                (Ok(LoadResult::Loaded(result)), LoadRequest::Load(reason)) => {
                    if let Ok(config) = &result {
                        // Here, where it stalls nobody who need not wait for it anyway.
                        reserve_descriptors(config);
                    }
                    to.loaded(reason, result);
                }
                (Ok(LoadResult::Composed(result)), LoadRequest::Compose(ticket, _)) => {
                    to.composed(ticket, result);
                }
                (_, wish) => {
                    report_failure(wish, "reading the configuration panicked".to_owned(), &to)
                }
            }
        });
        self.busy = true;
        if let Err(error) = started {
            report_failure(
                kept,
                format!("cannot start the loader thread: {error}"),
                inbox,
            );
        }
    }
}

/// What came of a wish.
enum LoadResult {
    Loaded(Result<Arc<Config>, LoadError>),
    Composed(Result<Box<GroupChangeResult>, String>),
}

/// Tells that a wish came to nothing for a reason of ours.
fn report_failure(wish: LoadRequest, sentence: String, to: &InboxSender) {
    match wish {
        LoadRequest::Load(reason) => to.loaded(reason, Err(LoadError::of(sentence))),
        LoadRequest::Compose(ticket, _) => to.composed(ticket, Err(sentence)),
    }
}
