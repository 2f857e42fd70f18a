//! The policy of automatic restarts: how long a process waits before it is started again, beyond Supervisor's rules.

use serde::{Deserialize, Serialize};

use super::python::{integer, strip};
use crate::domain::{Seconds, python_repr};

/// The value of `startretries` for `unlimited`: the largest number that XML-RPC clients can read. Retries wait a second or
/// more, so their count takes decades to get there.
pub const UNLIMITED_RETRIES: i64 = i32::MAX as i64;

/// When a process is restarted automatically. By default Supervisor's rules apply: at once after an exit, and one more
/// second after each failed start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct RestartPolicy {
    /// Minimum time between an exit and the restart.
    pub pause: Seconds,
    /// The first delay; 0: Supervisor's.
    pub delay: Seconds,
    /// The largest delay, up to which `delay` doubles; 0: `delay` stays the same, and Supervisor's delay has no limit.
    pub delay_max: Seconds,
    /// The largest random addition to a delay, in thousandths of the delay.
    pub jitter_permille: u16,
    /// How long a process must be RUNNING until delays and tries begin again; 0: no time.
    pub reset_after: Seconds,
}

impl RestartPolicy {
    /// Whether Supervisor's rules apply.
    #[must_use]
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// Returns the delay before an automatic restart in nanoseconds.
    ///
    /// `count`: how many restarts and failed starts in a row this one is, from 1. `usual`: Supervisor's delay. `random`: any
    /// number; equal numbers give equal delays.
    #[must_use]
    pub fn wait_nanos(&self, count: u32, usual: Seconds, random: u64) -> u64 {
        let mut delay = usual.0;
        if self.delay.0 > 0 {
            let doubled = count.saturating_sub(1).min(62);
            let grows = self.delay_max.0 > 0;
            let factor = if grows { 1 << doubled } else { 1 };
            delay = self.delay.0.saturating_mul(factor);
        }
        if self.delay_max.0 > 0 {
            delay = delay.min(self.delay_max.0);
        }
        let seconds = u64::try_from(delay.max(self.pause.0)).unwrap_or(0);
        let nanos = seconds.saturating_mul(1_000_000_000);
        // The addition is never negative, so that no restart comes before the configured time.
        let most = u128::from(nanos) * u128::from(self.jitter_permille) / 1000;
        let added = most * u128::from(random) / (u128::from(u64::MAX) + 1);
        nanos.saturating_add(u64::try_from(added).unwrap_or(u64::MAX))
    }
}

/// Parses a number of retries, or `unlimited` in any case.
///
/// # Errors
/// It is neither.
// Differs: Supervisor takes numbers only.
pub fn start_retries(text: &str) -> Result<i64, String> {
    if strip(text).eq_ignore_ascii_case("unlimited") {
        return Ok(UNLIMITED_RETRIES);
    }
    integer(text)
}

/// Parses a percentage such as `20%` or a fraction such as `0.2`. Returns thousandths.
///
/// # Errors
/// It is neither, or more than 100%.
pub fn jitter(text: &str) -> Result<u16, String> {
    let bad = || {
        format!(
            "not a valid restart_jitter: {}: a percentage such as 20% or a fraction such as 0.2 is expected",
            python_repr(text)
        )
    };
    let word = strip(text);
    let (number, whole) = match word.strip_suffix('%') {
        Some(number) => (strip(number), 10.0),
        None => (word, 1000.0),
    };
    let is_plain = number.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    let number: f64 = number.parse().ok().filter(|_| is_plain).ok_or_else(bad)?;
    let permille = (number * whole).round();
    if permille > 1000.0 {
        return Err(bad());
    }
    // At most 1000, and not negative.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    Ok(permille as u16)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn waits(policy: RestartPolicy, usual: i64, counts: &[u32]) -> Vec<u64> {
        let wait = |&count: &u32| policy.wait_nanos(count, Seconds(usual), 0) / SECOND;
        counts.iter().map(wait).collect()
    }

    #[test]
    fn g22_the_delay_doubles_up_to_its_maximum() {
        let none = RestartPolicy::default();
        assert_eq!(waits(none, 0, &[1, 5]), [0, 0]);
        assert_eq!(waits(none, 4, &[4]), [4]);
        let delay = RestartPolicy {
            delay: Seconds(3),
            ..none
        };
        assert_eq!(waits(delay, 9, &[1, 2, 3]), [3, 3, 3]);
        let grows = RestartPolicy {
            delay_max: Seconds(20),
            ..delay
        };
        assert_eq!(waits(grows, 0, &[1, 2, 3, 4, u32::MAX]), [3, 6, 12, 20, 20]);
        let capped = RestartPolicy {
            delay_max: Seconds(5),
            ..none
        };
        assert_eq!(waits(capped, 4, &[4]), [4]);
        assert_eq!(waits(capped, 9, &[9]), [5]);
        let pause = RestartPolicy {
            pause: Seconds(7),
            ..grows
        };
        assert_eq!(waits(pause, 0, &[1, 2, 3]), [7, 7, 12]);
        let huge = RestartPolicy {
            delay: Seconds(i64::MAX),
            delay_max: Seconds(i64::MAX),
            jitter_permille: 1000,
            ..none
        };
        assert_eq!(huge.wait_nanos(9, Seconds(0), u64::MAX), u64::MAX);
    }

    #[test]
    fn jitter_only_adds_time_and_is_bounded() {
        let policy = RestartPolicy {
            delay: Seconds(10),
            jitter_permille: 500,
            ..RestartPolicy::default()
        };
        let wait = |random| policy.wait_nanos(1, Seconds(0), random);
        assert_eq!(wait(0), 10 * SECOND);
        assert_eq!(wait(1 << 63), 12 * SECOND + SECOND / 2);
        assert!((14 * SECOND..15 * SECOND).contains(&wait(u64::MAX)));
    }

    #[test]
    fn a_jitter_is_a_percentage_or_a_fraction() {
        for (text, permille) in [
            ("0", 0),
            ("20%", 200),
            (" 12.5 % ", 125),
            ("0.2", 200),
            (".5", 500),
            ("1", 1000),
            ("100%", 1000),
        ] {
            assert_eq!(jitter(text), Ok(permille), "{text}");
        }
        for text in [
            "", "%", "20", "101%", "-1", "1e-3", "x", "nan", "inf%", "+1",
        ] {
            assert!(jitter(text).is_err(), "{text}");
        }
    }

    #[test]
    fn retries_are_a_number_or_unlimited() {
        assert_eq!(start_retries("7"), Ok(7));
        // As in Supervisor: no retry, and FATAL after the first failure.
        assert_eq!(start_retries("-1"), Ok(-1));
        assert_eq!(start_retries(" Unlimited"), Ok(UNLIMITED_RETRIES));
        assert!(start_retries("infinite").is_err());
    }
}
