//! Reads the monotonic and the real-time clock.
#![expect(
    unsafe_code,
    reason = "clock_gettime, for std's Instant cannot be written out"
)]

use crate::domain::{Now, Tick, Wall};

/// Reads both clocks.
///
/// # Source
/// clock_gettime(2), CLOCK_MONOTONIC and CLOCK_REALTIME.
#[must_use]
pub fn now() -> Now {
    let (secs, nanos) = read(libc::CLOCK_MONOTONIC);
    // This clock has no negative parts.
    let mono = secs.unsigned_abs().saturating_mul(1_000_000_000);
    let (wall_secs, wall_nanos) = read(libc::CLOCK_REALTIME);
    Now {
        mono: Tick(mono.saturating_add(nanos.unsigned_abs())),
        wall: Wall(
            wall_secs
                .saturating_mul(1_000_000_000)
                .saturating_add(wall_nanos),
        ),
    }
}

fn read(clock: libc::clockid_t) -> (i64, i64) {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the struct is live and writable. Both clocks exist on every kernel, so the call cannot fail.
    unsafe { libc::clock_gettime(clock, &raw mut time) };
    #[allow(
        clippy::useless_conversion,
        reason = "the fields are narrower on 32-bit machines"
    )]
    (i64::from(time.tv_sec), i64::from(time.tv_nsec))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{SystemTime, UNIX_EPOCH};

    #[test]
    fn the_clocks_match_the_systems() {
        let one = now();
        let system = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .expect("after 1970");
        let two = now();
        assert!(two.mono > one.mono && one.mono > Tick(0));
        let system = i64::try_from(system.as_nanos()).expect("before 2262");
        assert!((one.wall.0..=two.wall.0).contains(&system));
    }
}
