//! The notify state of a process: readiness, watchdog and status text. `notify` changes it.

use serde::{Deserialize, Serialize};

use super::notify_message::{IgnoredNotify, NotifiedState};
use crate::domain::{Seconds, Tick};

/// What one instance has reported so far.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct NotifyState {
    /// The status text for people. Empty: none.
    pub(super) status: String,
    /// The last reported state. `None`: no report yet.
    pub(super) announced: Option<NotifiedState>,
    /// The watchdog interval in nanoseconds. 0: no watchdog.
    pub(super) watchdog_nanos: u64,
    /// When the next watchdog message is due. Valid only while the process is RUNNING.
    pub(super) watchdog_at: Tick,
    /// The latest deadline that the process can get by asking for more time.
    pub(super) extend_until: Tick,
    /// Kinds of ignored messages that were logged, as bits.
    pub(super) ignored: u8,
    /// Messages that other processes sent on this channel.
    pub(super) foreign: u64,
    /// The shell was asked to read pending messages and has not answered yet.
    pub(super) asked: bool,
}

impl NotifyState {
    /// Returns the state of a new instance.
    pub(super) fn new(watchdog: Seconds) -> Box<Self> {
        Box::new(Self {
            status: String::new(),
            announced: None,
            watchdog_nanos: (Tick(0) + watchdog).0,
            watchdog_at: Tick::NEVER,
            extend_until: Tick(0),
            ignored: 0,
            foreign: 0,
            asked: false,
        })
    }

    /// Returns the state of an adopted instance that is RUNNING and whose earlier messages are unknown.
    pub(super) fn of_running(watchdog: Seconds, now: Tick) -> Box<Self> {
        let mut notify_state = Self::new(watchdog);
        notify_state.rearm_watchdog(now);
        notify_state
    }

    /// Returns the status as a short text.
    pub(super) fn text(&self) -> String {
        let word = match self.announced {
            Some(NotifiedState::Reloading) => "reloading",
            Some(NotifiedState::Stopping) => "stopping",
            Some(NotifiedState::Ready) | None => "",
        };
        match (word.is_empty(), self.status.is_empty()) {
            (true, _) => self.status.clone(),
            (false, true) => word.to_owned(),
            (false, false) => format!("{word}, {}", self.status),
        }
    }

    /// Sets the next watchdog deadline, counted from `now`.
    pub(super) fn rearm_watchdog(&mut self, now: Tick) {
        // A process that reported STOPPING no longer has to send watchdog messages.
        let is_off = self.watchdog_nanos == 0 || self.announced == Some(NotifiedState::Stopping);
        self.watchdog_at = if is_off {
            Tick::NEVER
        } else {
            Tick(now.0.saturating_add(self.watchdog_nanos))
        };
    }
}

impl IgnoredNotify {
    // All kinds fit into the set of bits.
    const _FITS: () = assert!((Self::Malformed as u8) < 8);
}
