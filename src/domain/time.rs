//! Time and sizes. Only [`Tick`] decides anything; [`Wall`] is for timestamps that people and clients read.

use std::ops::Add;

use serde::{Deserialize, Serialize};

/// A point on CLOCK_MONOTONIC, in nanoseconds. Not `Instant`: it must be written out and read back.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Hash, Serialize, Deserialize,
)]
pub struct Tick(pub u64);

impl Tick {
    /// A point that never comes.
    pub const NEVER: Self = Self(u64::MAX);

    /// Nanoseconds from `earlier` to here; 0 if `earlier` is later.
    #[must_use]
    pub const fn nanos_since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// `ms` milliseconds later.
    #[must_use]
    pub const fn plus_millis(self, ms: u64) -> Self {
        Self(self.0.saturating_add(ms.saturating_mul(1_000_000)))
    }
}

impl Add<Seconds> for Tick {
    type Output = Self;

    /// Saturates at both ends; a negative number of seconds goes back.
    fn add(self, seconds: Seconds) -> Self {
        let nanos = seconds.0.unsigned_abs().saturating_mul(1_000_000_000);
        Self(if seconds.0 < 0 {
            self.0.saturating_sub(nanos)
        } else {
            self.0.saturating_add(nanos)
        })
    }
}

/// A point on the wall clock, in nanoseconds since the epoch (may be negative).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub struct Wall(pub i64);

impl Wall {
    /// Whole seconds since the epoch, rounded down.
    #[must_use]
    pub const fn secs(self) -> i64 {
        self.0.div_euclid(1_000_000_000)
    }
}

/// Both clocks, read at one moment by the shell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Now {
    /// What decides.
    pub mono: Tick,
    /// What is shown.
    pub wall: Wall,
}

/// Whole seconds of a configuration key. May be negative: Supervisor accepts that.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub struct Seconds(pub i64);

/// A number of bytes of a configuration key. May be negative: Supervisor accepts that; ≤ 0 means "no limit".
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub struct Bytes(pub i64);

impl Bytes {
    /// The limit, or none if there is none.
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
