//! Time and sizes. Decisions use only [`Tick`]; [`Wall`] is for timestamps that people and clients read.

use std::ops::Add;

use serde::{Deserialize, Serialize};

/// A point in time on CLOCK_MONOTONIC, in nanoseconds. `Instant` would not do, because it cannot be written out and
/// read back.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Hash, Serialize, Deserialize,
)]
pub struct Tick(pub u64);

impl Tick {
    /// A point in time that never comes.
    pub const NEVER: Self = Self(u64::MAX);

    /// Returns the nanoseconds since `earlier`. 0 if `earlier` is later.
    #[must_use]
    pub const fn nanos_since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// Returns the point in time `ms` milliseconds later.
    #[must_use]
    pub const fn plus_millis(self, ms: u64) -> Self {
        Self(self.0.saturating_add(ms.saturating_mul(1_000_000)))
    }
}

impl Add<Seconds> for Tick {
    type Output = Self;

    /// Adds seconds and saturates at both ends. A negative number goes back in time.
    fn add(self, seconds: Seconds) -> Self {
        let nanos = seconds.0.unsigned_abs().saturating_mul(1_000_000_000);
        Self(if seconds.0 < 0 {
            self.0.saturating_sub(nanos)
        } else {
            self.0.saturating_add(nanos)
        })
    }
}

/// A point in time on the wall clock, in nanoseconds since the epoch. It may be negative.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub struct Wall(pub i64);

impl Wall {
    /// Returns whole seconds since the epoch, rounded down.
    #[must_use]
    pub const fn secs(self) -> i64 {
        self.0.div_euclid(1_000_000_000)
    }
}

/// Both clocks, read together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Now {
    /// The monotonic clock, for decisions.
    pub mono: Tick,
    /// The wall clock, for display.
    pub wall: Wall,
}

/// Seconds of a configuration key. They may be negative, as in Supervisor.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize,
)]
pub struct Seconds(pub i64);

/// Bytes of a configuration key. They may be negative, as in Supervisor. ≤ 0 means no limit.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize,
)]
pub struct Bytes(pub i64);

impl Bytes {
    /// Returns the limit. `None`: no limit.
    #[must_use]
    pub fn limit(self) -> Option<u64> {
        u64::try_from(self.0).ok().filter(|&n| n > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_saturate() {
        assert_eq!(Tick(5) + Seconds(1), Tick(1_000_000_005));
        assert_eq!(Tick(5) + Seconds(-1), Tick(0));
        assert_eq!(Tick(5) + Seconds(i64::MAX), Tick::NEVER);
        assert_eq!(Tick(5) + Seconds(i64::MIN), Tick(0));
        assert_eq!(Wall(-1).secs(), -1);
    }
}
