//! Pauses between attempts: they double from one second to half a minute, and differ from host to host.

use std::time::Duration;

use crate::sys;

/// The first pause after a failure.
const FIRST: Duration = Duration::from_secs(1);
/// The longest pause.
const LONGEST: Duration = Duration::from_secs(30);
/// By how much a pause is shortened or prolonged at most, as a divisor: a fifth.
const JITTER_DIVISOR: u32 = 5;

/// Changes a pause by at most a fifth, so that hosts that lost a server together do not come back together.
#[derive(Debug)]
pub(crate) struct Jitter(u64);

impl Jitter {
    /// With a seed from the kernel, or from the PID where that fails.
    pub(crate) fn new() -> Self {
        let fallback = || u64::from(std::process::id()) << 32 | 1;
        Self(sys::random_seed().unwrap_or_else(|_| fallback()) | 1)
    }

    /// A duration from 80 % to 120 % of `pause`.
    pub(crate) fn vary(&mut self, pause: Duration) -> Duration {
        // xorshift64; the quality does not matter.
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        let range = pause / JITTER_DIVISOR * 2;
        let share = range.mul_f64((self.0 >> 11) as f64 / (1_u64 << 53) as f64);
        pause - pause / JITTER_DIVISOR + share
    }
}

/// The pauses after attempts that failed in a row.
#[derive(Debug)]
pub(crate) struct Pauses {
    failures: u32,
    first: Duration,
}

impl Pauses {
    /// Pauses of 1, 2, 4 … 30 seconds.
    pub(crate) const fn new() -> Self {
        Self::from_first(FIRST)
    }

    /// Pauses that begin with `first` and double up to 30 seconds.
    pub(crate) const fn from_first(first: Duration) -> Self {
        Self { failures: 0, first }
    }

    /// The pause after one more failure, without jitter.
    pub(crate) fn next_pause(&mut self) -> Duration {
        let factor = 1_u32.checked_shl(self.failures).unwrap_or(u32::MAX);
        self.failures = self.failures.saturating_add(1).min(31);
        self.first.saturating_mul(factor).min(LONGEST)
    }

    /// Begins again with the first pause, because an attempt succeeded.
    pub(crate) const fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_to_half_a_minute_and_begin_again() {
        let mut pauses = Pauses::new();
        let mut next = || pauses.next_pause().as_secs();
        let first: [u64; 8] = std::array::from_fn(|_| next());
        assert_eq!(first, [1, 2, 4, 8, 16, 30, 30, 30]);
        assert!((0..100).all(|_| next() == 30));
        pauses.reset();
        assert_eq!(pauses.next_pause(), FIRST);
    }

    #[test]
    fn jitter_is_a_fifth_at_most_and_varies() {
        let mut jitter = Jitter::new();
        let pauses: Vec<Duration> = (0..1000)
            .map(|_| jitter.vary(Duration::from_secs(5)))
            .collect();
        let (low, high) = (Duration::from_secs(4), Duration::from_secs(6));
        assert!(pauses.iter().all(|pause| (low..=high).contains(pause)));
        let below = pauses.iter().filter(|pause| pause.as_secs() < 5).count();
        assert!((300..700).contains(&below), "{below}");
    }
}
