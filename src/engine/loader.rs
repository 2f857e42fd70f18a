//! The loader: reads the configuration or makes processes of one section on a short-lived thread, because name services
//! and file systems may block. It runs one job at a time; the others wait.

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

/// After this time the log reports a slow reading. Nothing but the requests for it waits for a reading.
const SLOW: Duration = Duration::from_secs(30);

/// Reads the configuration. The reason says why.
pub type Load = dyn Fn(&LoadReason) -> Result<Config, LoadError> + Send + Sync;
/// Makes processes from a section. The error is the message about the section.
pub type Compose = dyn Fn(&GroupChange) -> Result<GroupChangeResult, String> + Send + Sync;

/// A job of the loader.
#[derive(Debug, Clone, PartialEq)]
enum LoadRequest {
    Load(LoadReason),
    Compose(Ticket, Arc<GroupChange>),
}

/// The loader with its waiting jobs: at most one per ticket, and one hangup.
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

    /// Returns whether no job runs or waits.
    pub(super) fn is_idle(&self) -> bool {
        !self.busy && self.waiting.is_empty()
    }

    /// Requests a reading of the configuration.
    pub(super) fn load(&mut self, reason: LoadReason, inbox: &InboxSender, log: &OutputHandle) {
        let is_hangup = reason == LoadReason::Hangup;
        let wish = LoadRequest::Load(reason);
        // Several SIGHUPs that wait are handled as one.
        if is_hangup && self.waiting.contains(&wish) {
            return;
        }
        self.waiting.push_back(wish);
        self.next(inbox, log);
    }

    /// Requests processes.
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

    /// Continues with the next job after one has ended.
    pub(super) fn ended(&mut self, inbox: &InboxSender, log: &OutputHandle) {
        self.busy = false;
        self.next(inbox, log);
    }

    /// Starts the next waiting job if none runs.
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
                        // Done on this thread, where it delays only the requests that wait for the reading.
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

/// The result of a job.
enum LoadResult {
    Loaded(Result<Arc<Config>, LoadError>),
    Composed(Result<Box<GroupChangeResult>, String>),
}

/// Reports that a job failed for an internal reason.
fn report_failure(wish: LoadRequest, sentence: String, to: &InboxSender) {
    match wish {
        LoadRequest::Load(reason) => to.loaded(reason, Err(LoadError::of(sentence))),
        LoadRequest::Compose(ticket, _) => to.composed(ticket, Err(sentence)),
    }
}
