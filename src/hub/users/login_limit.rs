//! Limits wrong passwords by address and by user. This module does not see the passwords.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Wrong passwords that an address may send at once, and the pause after which it may send another one.
const ADDRESS: (u32, Duration) = (10, Duration::from_secs(6));
/// The same for a user, from all addresses together. It is more, because others must not lock a user out easily.
const USER: (u32, Duration) = (50, Duration::from_secs(2));
/// Maximum number of addresses, and of users, that are remembered. A new one replaces the one with the fewest failures.
const REMEMBERED_MAX: usize = 4096;

/// The wrong passwords of one address or user, which are forgotten one by one.
#[derive(Debug, Clone, Copy)]
struct Failures {
    count: u32,
    since: Instant,
}

/// Counts wrong passwords.
#[derive(Debug, Default)]
pub(in crate::hub) struct LoginLimiter(Mutex<LimiterState>);

#[derive(Debug, Default)]
struct LimiterState {
    addresses: HashMap<IpAddr, Failures>,
    users: HashMap<String, Failures>,
}

impl LoginLimiter {
    fn lock(&self) -> MutexGuard<'_, LimiterState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The seconds that must pass before a password of this address for this user is checked. `None`: it is checked now.
    pub(in crate::hub) fn wait(&self, address: IpAddr, user: &str, now: Instant) -> Option<u64> {
        let state = self.lock();
        let of_address = wait_of(state.addresses.get(&network_of(address)), ADDRESS, now);
        let of_user = wait_of(state.users.get(user), USER, now);
        let wait = of_address.max(of_user);
        (!wait.is_zero()).then(|| wait.as_secs() + 1)
    }

    /// Counts a wrong password.
    pub(in crate::hub) fn failed(&self, address: IpAddr, user: &str, now: Instant) {
        let mut state = self.lock();
        count(&mut state.addresses, network_of(address), ADDRESS.1, now);
        count(&mut state.users, user.to_owned(), USER.1, now);
    }

    /// Handles a right password: those before it were typing errors.
    pub(in crate::hub) fn succeeded(&self, address: IpAddr, user: &str) {
        let mut state = self.lock();
        state.addresses.remove(&network_of(address));
        state.users.remove(user);
    }
}

/// An IPv6 /64 network usually belongs to one machine.
fn network_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::from((u128::from(address) >> 64 << 64).to_be_bytes()),
        address @ IpAddr::V4(_) => address,
    }
}

/// The failures that are not forgotten yet.
fn left(failures: Failures, pause: Duration, now: Instant) -> Failures {
    let passed = now.saturating_duration_since(failures.since).as_millis() / pause.as_millis();
    let passed = u32::try_from(passed).unwrap_or(u32::MAX);
    Failures {
        count: failures.count.saturating_sub(passed),
        since: failures.since + pause * passed.min(failures.count),
    }
}

fn wait_of(failures: Option<&Failures>, (most, pause): (u32, Duration), now: Instant) -> Duration {
    let Some(failures) = failures else {
        return Duration::ZERO;
    };
    let left = left(*failures, pause, now);
    match left.count < most {
        true => Duration::ZERO,
        false => (left.since + pause).saturating_duration_since(now),
    }
}

fn count<K: Hash + Eq + Clone>(
    known: &mut HashMap<K, Failures>,
    key: K,
    pause: Duration,
    now: Instant,
) {
    if !known.contains_key(&key) && known.len() >= REMEMBERED_MAX {
        known.retain(|_, failures| left(*failures, pause, now).count > 0);
        let least = known.iter().min_by_key(|(_, failures)| failures.count);
        let least = least.map(|(key, _)| key.clone());
        if let Some(least) = least
            && known.len() >= REMEMBERED_MAX
        {
            known.remove(&least);
        }
    }
    let fresh = Failures {
        count: 0,
        since: now,
    };
    let before = known.get(&key).map(|failures| left(*failures, pause, now));
    let before = before
        .filter(|failures| failures.count > 0)
        .unwrap_or(fresh);
    let counted = Failures {
        count: before.count.saturating_add(1),
        ..before
    };
    known.insert(key, counted);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn an_address_is_limited_and_others_are_not() {
        let limiter = LoginLimiter::default();
        let (now, bad) = (Instant::now(), address("10.0.0.1"));
        for _ in 0..ADDRESS.0 {
            assert_eq!(limiter.wait(bad, "admin", now), None);
            limiter.failed(bad, "admin", now);
        }
        assert!(limiter.wait(bad, "admin", now).is_some());
        assert!(limiter.wait(bad, "bob", now).is_some(), "another name");
        assert_eq!(limiter.wait(address("10.0.0.2"), "admin", now), None);
        assert_eq!(limiter.wait(bad, "admin", now + ADDRESS.1), None);
        limiter.failed(bad, "admin", now + ADDRESS.1);
        assert!(limiter.wait(bad, "admin", now + ADDRESS.1).is_some());
        limiter.succeeded(bad, "admin");
        assert_eq!(limiter.wait(bad, "admin", now), None);
    }

    #[test]
    fn a_user_is_limited_from_all_addresses_together() {
        let limiter = LoginLimiter::default();
        let now = Instant::now();
        for number in 0..USER.0 {
            limiter.failed(
                IpAddr::from([10, 0, 1, u8::try_from(number).expect("small")]),
                "admin",
                now,
            );
        }
        assert!(limiter.wait(address("10.9.9.9"), "admin", now).is_some());
        assert_eq!(limiter.wait(address("10.9.9.9"), "bob", now), None);
        assert_eq!(
            limiter.wait(address("10.9.9.9"), "admin", now + USER.1),
            None
        );
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let limiter = LoginLimiter::default();
        let now = Instant::now();
        for number in 0..3 * u32::try_from(REMEMBERED_MAX).expect("small") {
            limiter.failed(IpAddr::from(number.to_be_bytes()), &number.to_string(), now);
        }
        let state = limiter.lock();
        assert_eq!(state.addresses.len(), REMEMBERED_MAX);
        assert_eq!(state.users.len(), REMEMBERED_MAX);
    }

    #[test]
    fn a_network_of_ipv6_is_one_address() {
        let limiter = LoginLimiter::default();
        let now = Instant::now();
        for number in 0..ADDRESS.0 {
            limiter.failed(address(&format!("2001:db8::{number}")), "x", now);
        }
        assert!(limiter.wait(address("2001:db8::ffff"), "y", now).is_some());
    }
}
