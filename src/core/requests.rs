//! The requests in progress.

use std::collections::{BTreeMap, VecDeque};

use super::pending::Pending;
use super::script_runs::ScriptRuns;
use super::ticket::SignalPurpose;
use crate::api::Ticket;
use crate::domain::{InstanceId, Signal};

/// Maximum number of requests that wait for their answer. Further ones are refused. The servers allow far fewer.
const PENDING_MAX: usize = 16_384;

/// The requests that wait for their answer, and the signals that wait for their result.
#[derive(Debug, Default)]
pub(super) struct Requests {
    pub(super) pending: BTreeMap<Ticket, Pending>,
    /// Requests that can continue because something they waited for has happened. Empty between two inputs.
    pub(super) runnable: Vec<Ticket>,
    /// Signals that were sent and not answered yet. The shell answers at once and in order, so the list is short.
    pub(super) signals: VecDeque<(InstanceId, Signal, SignalPurpose)>,
    /// The scripts that run.
    pub(super) scripts: ScriptRuns,
}

impl Requests {
    /// Returns whether no further request is accepted.
    pub(super) fn is_full(&self) -> bool {
        self.pending.len() >= PENDING_MAX
    }

    /// Removes a request if `take` returns what it needs of it, and keeps it otherwise.
    pub(super) fn take<T>(
        &mut self,
        ticket: Ticket,
        take: impl FnOnce(Pending) -> Result<T, Pending>,
    ) -> Option<T> {
        match take(self.pending.remove(&ticket)?) {
            Ok(taken) => Some(taken),
            Err(other) => {
                self.pending.insert(ticket, other);
                None
            }
        }
    }

    /// Forgets everything. The previous daemon has answered its clients.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}
