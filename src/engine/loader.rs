//! The loader: reads the configuration or makes processes of one section on a short-lived thread, because name services
//! and file systems may block. It runs one job at a time; the others wait.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use super::descriptors::reserve_descriptors;
use super::inbox::InboxSender;
use crate::config::spec::{Config, GroupChange, GroupChangeResult, GroupSpec};
use crate::domain::Line;
use crate::effects::{LoadError, LoadReason, LoaderEffect, LoaderOutcome, PlannedUpdate};
use crate::heartbeat::{Heartbeats, Overdue};
use crate::output::OutputHandle;

/// After this time the log reports a slow reading. Nothing but the requests for it waits for a reading.
const SLOW: Duration = Duration::from_secs(30);

/// Reads the configuration. The reason says why.
pub type Load = dyn Fn(&LoadReason) -> Result<Config, LoadError> + Send + Sync;
/// Reads the configuration and plans an update of the active groups.
pub type Plan = dyn Fn(Vec<Arc<GroupSpec>>) -> Result<PlannedUpdate, LoadError> + Send + Sync;
/// Makes processes from a section. The error is the message about the section.
pub type Compose = dyn Fn(&GroupChange) -> Result<GroupChangeResult, String> + Send + Sync;

/// The work of the loader thread.
#[derive(Clone)]
pub struct LoaderJobs {
    /// Reads the configuration.
    pub load: Arc<Load>,
    /// Plans an update.
    pub plan: Arc<Plan>,
    /// Makes processes of a section.
    pub compose: Arc<Compose>,
}

/// The loader with its waiting jobs: at most one per ticket, and one hangup.
pub(super) struct Loader {
    jobs: LoaderJobs,
    waiting: VecDeque<LoaderEffect>,
    busy: bool,
    heartbeats: Heartbeats,
}

impl Loader {
    pub(super) fn new(jobs: LoaderJobs, heartbeats: Heartbeats) -> Self {
        Self {
            jobs,
            waiting: VecDeque::new(),
            busy: false,
            heartbeats,
        }
    }

    /// Returns whether no job runs or waits.
    pub(super) fn is_idle(&self) -> bool {
        !self.busy && self.waiting.is_empty()
    }

    /// Queues a job.
    pub(super) fn perform(
        &mut self,
        effect: LoaderEffect,
        inbox: &InboxSender,
        log: &OutputHandle,
    ) {
        // Several SIGHUPs that wait are handled as one.
        let is_hangup = effect == LoaderEffect::Load(LoadReason::Hangup);
        if is_hangup && self.waiting.contains(&effect) {
            return;
        }
        self.waiting.push_back(effect);
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
        let Some(effect) = self.waiting.pop_front() else {
            return;
        };
        let jobs = self.jobs.clone();
        let (to, kept) = (inbox.clone(), effect.clone());
        let thread = std::thread::Builder::new().name("loader".to_owned());
        let (heartbeats, log) = (self.heartbeats.clone(), log.clone());
        let started = thread.spawn(move || {
            let seconds = SLOW.as_secs();
            let slow = move || log.log(Line::LoadingSlowly { seconds });
            let heartbeat = heartbeats.register("loader", SLOW, Overdue::Call(Box::new(slow)));
            heartbeat.busy();
            let perform = std::panic::AssertUnwindSafe(|| match effect.clone() {
                LoaderEffect::Load(reason) => {
                    let result = (jobs.load)(&reason).map(Arc::new);
                    if let Ok(config) = &result {
                        // Done on this thread, where it delays only the requests that wait for the reading.
                        reserve_descriptors(config);
                    }
                    LoaderOutcome::Loaded { reason, result }
                }
                LoaderEffect::Plan(ticket, active) => LoaderOutcome::Planned {
                    ticket,
                    result: (jobs.plan)(active).map(Box::new),
                },
                LoaderEffect::Compose(ticket, change) => LoaderOutcome::Composed {
                    ticket,
                    result: (jobs.compose)(&change).map(Box::new),
                },
            });
            let outcome = std::panic::catch_unwind(perform).unwrap_or_else(|_| {
                failed(effect, "reading the configuration panicked".to_owned())
            });
            to.loader(outcome);
        });
        self.busy = true;
        if let Err(error) = started {
            let sentence = format!("cannot start the loader thread: {error}");
            inbox.loader(failed(kept, sentence));
        }
    }
}

/// Returns the outcome of an effect that failed for an internal reason.
fn failed(effect: LoaderEffect, sentence: String) -> LoaderOutcome {
    match effect {
        LoaderEffect::Load(reason) => LoaderOutcome::Loaded {
            reason,
            result: Err(LoadError::of(sentence)),
        },
        LoaderEffect::Plan(ticket, _) => LoaderOutcome::Planned {
            ticket,
            result: Err(LoadError::of(sentence)),
        },
        LoaderEffect::Compose(ticket, _) => LoaderOutcome::Composed {
            ticket,
            result: Err(sentence),
        },
    }
}
