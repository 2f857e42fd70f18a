//! A hold: someone works on a process, and the daemon leaves it alone meanwhile.

use serde::{Deserialize, Serialize};

use crate::api::ProcessHold;
use crate::domain::{FOREIGN_CHARS_MAX, Now, Tick};

/// The hold of one process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Hold {
    /// When it ends by itself. [`Tick::NEVER`]: only on request.
    pub(super) until: Tick,
    /// When it began, in seconds since the epoch.
    pub(super) since: i64,
    /// Who requested it.
    pub(super) by: String,
    /// Why, in the words of who requested it. Empty: no reason was given.
    pub(super) reason: String,
}

/// A hold as it was requested.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct HoldOrder {
    /// How long, in seconds. 0: until it is released.
    pub(super) seconds: u32,
    /// Why. Empty: no reason was given.
    pub(super) reason: String,
}

impl HoldOrder {
    /// Creates an order with a reason of one line of limited length.
    pub(super) fn new(seconds: u32, reason: &str) -> Self {
        let plain = |c: char| if c.is_control() { ' ' } else { c };
        Self {
            seconds,
            reason: reason.chars().take(FOREIGN_CHARS_MAX).map(plain).collect(),
        }
    }
}

impl Hold {
    /// Returns the hold as clients see it.
    pub(super) fn view(&self, now: Now) -> ProcessHold {
        let until = (self.until != Tick::NEVER).then(|| {
            let left = i64::try_from(self.until.nanos_since(now.mono)).unwrap_or(i64::MAX);
            now.wall.0.saturating_add(left).div_euclid(1_000_000_000)
        });
        ProcessHold {
            since: self.since,
            until,
            by: self.by.clone(),
            reason: self.reason.clone(),
        }
    }
}
