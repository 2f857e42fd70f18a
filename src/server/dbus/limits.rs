//! Limits what one caller may use, so that other callers do not notice: calls in progress, calls per second, dialogs.
//! This module does not know the calls.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::time::{Duration, Instant};

use super::error::BusError;
use super::sender::BusSender;

/// Maximum number of calls in progress of one connection.
pub(super) const SENDER_CALLS_MAX: u32 = 64;
/// Maximum number of calls in progress of all connections of one user. Root and the daemon's own user have no limit.
pub(super) const USER_CALLS_MAX: u32 = 256;
/// Maximum number of calls in progress of all untrusted users.
pub(super) const CALLS_MAX: u32 = 1024;
/// Maximum number of calls whose sender is being looked up, all connections together.
pub(super) const UNKNOWN_MAX: u32 = 4096;
/// Maximum number of bytes of those calls.
pub(super) const UNKNOWN_BYTES_MAX: u32 = 16 << 20;
/// Number of such calls that each connection may have even when these limits are exhausted.
pub(super) const UNKNOWN_GUARANTEED: u32 = 8;
/// Maximum size of such a guaranteed call, in bytes. With the guarantee, others cannot cause a user's first
/// calls to be refused.
pub(super) const UNKNOWN_GUARANTEED_BYTES: u32 = 4 << 10;
/// Maximum number of calls whose sender is being looked up, including guaranteed ones.
const UNKNOWN_ALL_MAX: u32 = 4 * UNKNOWN_MAX;
/// Maximum number of bytes of calls in progress of one untrusted user; [`BYTES_MAX`] is for all of them.
pub(super) const USER_BYTES_MAX: u32 = 8 << 20;
pub(super) const BYTES_MAX: u32 = 32 << 20;
/// Calls per second that an untrusted user may make in the long run.
pub(super) const RATE: u32 = 500;
/// Calls that a user may make at once after a pause.
pub(super) const BURST: u32 = 1000;
/// Refusals per second sent to each user, and to all unknown senders together.
pub(super) const REFUSALS_RATE: u32 = 500;
/// Refusals that may be sent at once. Further calls are dropped without an answer. The bus does not throttle a
/// flooding sender, so its calls must be read faster than they arrive. Otherwise the calls of others queue behind
/// them.
pub(super) const REFUSALS_BURST: u32 = 8192;
/// Maximum number of open polkit dialogs of one user.
pub(super) const DIALOGS_MAX: u32 = 2;
/// Maximum message size, in bytes. Longer data must be sent over XML-RPC.
pub(super) const MESSAGE_BYTES_MAX: usize = 1 << 20;

/// What a counter counts.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum LimitKey {
    /// A connection, by its unique name.
    Sender(String),
    /// A connection whose user is being looked up, by its unique name.
    UnknownSender(String),
    /// Calls of a known user.
    User(u32),
    /// Bytes of a known user's calls.
    UserBytes(u32),
    Dialogs(u32),
    /// Calls of all untrusted users.
    Others,
    OthersBytes,
    /// Calls of all unknown senders.
    Unknown,
    UnknownBytes,
}

/// What is limited by a rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum RateKey {
    /// Calls of a user.
    Calls(u32),
    /// Refusals sent to a user. `None`: to unknown senders.
    Refusals(Option<u32>),
}

impl RateKey {
    /// Rate per second and burst size.
    const fn size(self) -> (u32, u32) {
        match self {
            Self::Calls(_) => (RATE, BURST),
            Self::Refusals(_) => (REFUSALS_RATE, REFUSALS_BURST),
        }
    }
}

/// The counters of one connection to a bus. Clones share them.
#[derive(Debug, Clone, Default)]
pub(super) struct CallLimits(Arc<Mutex<LimitCounts>>);

#[derive(Debug, Default)]
struct LimitCounts {
    taken: HashMap<LimitKey, u32>,
    /// The tokens left, and when they were counted.
    left: HashMap<RateKey, (f64, Instant)>,
}

/// Counts one use of a limit. Dropping it ends the use.
#[derive(Debug)]
pub(super) struct CallPermit {
    limits: CallLimits,
    key: LimitKey,
    amount: u32,
}

impl CallLimits {
    /// A poisoned lock means that another call panicked while it counted. The counters are still consistent.
    fn lock(&self) -> MutexGuard<'_, LimitCounts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn acquire(&self, key: LimitKey, most: u32, what: &str) -> Result<CallPermit, BusError> {
        self.acquire_many(key, 1, most, what)
    }

    fn acquire_many(
        &self,
        key: LimitKey,
        amount: u32,
        most: u32,
        what: &str,
    ) -> Result<CallPermit, BusError> {
        let mut counts = self.lock();
        let taken = counts.taken.get(&key).copied().unwrap_or(0);
        match taken.checked_add(amount) {
            Some(sum) if sum <= most => counts.taken.insert(key.clone(), sum),
            _ => return Err(BusError::limits(format!("limit reached: {most} {what}"))),
        };
        Ok(CallPermit {
            limits: self.clone(),
            key,
            amount,
        })
    }

    fn used(&self, key: &LimitKey) -> u32 {
        self.lock().taken.get(key).copied().unwrap_or(0)
    }

    /// Admits a call of `bytes` bytes from a connection whose user is not known yet.
    pub(super) fn admit_unknown(
        &self,
        sender: &str,
        bytes: u32,
    ) -> Result<Vec<CallPermit>, BusError> {
        let own = LimitKey::UnknownSender(sender.to_owned());
        let is_sure = bytes <= UNKNOWN_GUARANTEED_BYTES && self.used(&own) < UNKNOWN_GUARANTEED;
        let what = "calls from callers not yet identified";
        let mut places = vec![self.acquire(own, SENDER_CALLS_MAX, what)?];
        if is_sure {
            places.push(self.acquire_many(LimitKey::Unknown, 1, UNKNOWN_ALL_MAX, what)?);
        } else {
            places.push(self.acquire(LimitKey::Unknown, UNKNOWN_MAX, what)?);
            let what = "bytes of calls from callers not yet identified";
            places.push(self.acquire_many(
                LimitKey::UnknownBytes,
                bytes,
                UNKNOWN_BYTES_MAX,
                what,
            )?);
        }
        Ok(places)
    }

    /// Admits a call of a known user. `cost`: the tokens that it takes from the user's rate; 1, or more for an
    /// expensive call.
    pub(super) fn admit_known(
        &self,
        sender: &BusSender,
        bytes: u32,
        cost: u32,
        now: Instant,
    ) -> Result<Vec<CallPermit>, BusError> {
        if sender.is_trusted() {
            return Ok(Vec::new());
        }
        let uid = sender.uid;
        let connection = self.acquire(
            LimitKey::Sender(sender.name.clone()),
            SENDER_CALLS_MAX,
            "pending calls of this connection",
        )?;
        let user = self.acquire(
            LimitKey::User(uid),
            USER_CALLS_MAX,
            "pending calls of this user",
        )?;
        if !self.lock().spend_tokens(RateKey::Calls(uid), cost, now) {
            return Err(BusError::limits(format!(
                "limit reached: {RATE} calls per second of this user"
            )));
        }
        let what = "bytes of pending calls of this user";
        let user_bytes =
            self.acquire_many(LimitKey::UserBytes(uid), bytes, USER_BYTES_MAX, what)?;
        let others = self.acquire(LimitKey::Others, CALLS_MAX, "pending calls")?;
        let what = "bytes of pending calls";
        let all_bytes = self.acquire_many(LimitKey::OthersBytes, bytes, BYTES_MAX, what)?;
        Ok(vec![connection, user, user_bytes, others, all_bytes])
    }

    /// Whether a refusal for exceeded limits is sent to the caller.
    pub(super) fn may_send_refusal(&self, uid: Option<u32>, now: Instant) -> bool {
        self.lock().spend_tokens(RateKey::Refusals(uid), 1, now)
    }

    /// Admits one more dialog.
    pub(super) fn acquire_dialog(&self, uid: u32) -> Result<CallPermit, BusError> {
        self.acquire(
            LimitKey::Dialogs(uid),
            DIALOGS_MAX,
            "open dialogs of this user",
        )
    }
}

impl LimitCounts {
    fn spend_tokens(&mut self, key: RateKey, cost: u32, now: Instant) -> bool {
        // A full bucket is the same as none.
        self.left.retain(|key, (_, since)| {
            let (rate, burst) = key.size();
            let refill = Duration::from_secs(u64::from(burst.div_ceil(rate)));
            now.saturating_duration_since(*since) < refill
        });
        let (rate, burst) = key.size();
        let burst = f64::from(burst);
        let (left, since) = self.left.entry(key).or_insert((burst, now));
        let rested = now.saturating_duration_since(*since).as_secs_f64();
        *left = (*left + rested * f64::from(rate)).min(burst);
        *since = now;
        let cost = f64::from(cost);
        let enough = *left >= cost;
        if enough {
            *left -= cost;
        }
        enough
    }
}

impl Drop for CallPermit {
    fn drop(&mut self) {
        let mut counts = self.limits.lock();
        if let Some(taken) = counts.taken.get_mut(&self.key) {
            *taken -= self.amount;
            if *taken == 0 {
                counts.taken.remove(&self.key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_limit<T: std::fmt::Debug>(got: &Result<T, BusError>) -> bool {
        got.as_ref()
            .is_err_and(|refusal| refusal.name == "org.freedesktop.DBus.Error.LimitsExceeded")
    }

    fn user(uid: u32) -> BusSender {
        BusSender::of_user(":1.1", uid)
    }

    #[test]
    fn a_connection_cannot_use_the_quota_of_another() {
        let limits = CallLimits::default();
        let held: Vec<_> = (0..SENDER_CALLS_MAX)
            .map(|_| limits.admit_unknown(":1.1", 100).expect("room"))
            .collect();
        assert!(is_limit(&limits.admit_unknown(":1.1", 100)));
        limits.admit_unknown(":1.2", 100).expect("another one");
        drop(held);
        limits.admit_unknown(":1.1", 100).expect("room again");
        let now = Instant::now();
        let held: Vec<_> = (0..SENDER_CALLS_MAX)
            .map(|_| limits.admit_known(&user(7), 100, 0, now).expect("room"))
            .collect();
        assert!(is_limit(&limits.admit_known(&user(7), 100, 0, now)));
        let other = BusSender::of_user(":1.2", 7);
        limits
            .admit_known(&other, 100, 0, now)
            .expect("another one");
        drop(held);
        assert!(limits.lock().taken.is_empty(), "nothing is kept");
    }

    #[test]
    fn unknown_senders_leave_room_for_first_calls_of_others() {
        let limits = CallLimits::default();
        let mut held = Vec::new();
        for connection in 0..100 {
            let name = format!(":2.{connection}");
            while let Ok(places) = limits.admit_unknown(&name, 100) {
                held.push(places);
            }
            while let Ok(places) = limits.admit_unknown(&name, 1 << 20) {
                held.push(places);
            }
        }
        assert!(limits.used(&LimitKey::UnknownBytes) <= UNKNOWN_BYTES_MAX);
        for _ in 0..UNKNOWN_GUARANTEED {
            held.push(limits.admit_unknown(":1.1", 100).expect("a first call"));
        }
        assert!(is_limit(&limits.admit_unknown(":1.1", 100)));
    }

    #[test]
    fn all_other_users_together_leave_room_for_root() {
        let limits = CallLimits::default();
        let now = Instant::now();
        let mut held = Vec::new();
        let other = |number: u32| BusSender::of_user(&format!(":1.{number}"), 1 + number);
        for number in 0.. {
            match limits.admit_known(&other(number), 100, 1, now) {
                Ok(places) => held.push(places),
                Err(refusal) => {
                    assert!(
                        refusal.text.contains("1024 pending calls"),
                        "{}",
                        refusal.text
                    );
                    break;
                }
            }
        }
        assert_eq!(held.len(), CALLS_MAX as usize);
        for _ in 0..2 * USER_CALLS_MAX {
            held.push(
                limits
                    .admit_known(&user(0), 1 << 20, 50, now)
                    .expect("root"),
            );
        }
    }

    #[test]
    fn a_user_has_one_quota_for_all_connections() {
        let limits = CallLimits::default();
        let now = Instant::now();
        let of = |uid, number| BusSender::of_user(&format!(":1.{number}"), uid);
        let held: Vec<_> = (0..USER_CALLS_MAX)
            .map(|number| {
                limits
                    .admit_known(&of(7, number), 100, 0, now)
                    .expect("room")
            })
            .collect();
        assert!(is_limit(&limits.admit_known(&of(7, 1000), 100, 0, now)));
        limits
            .admit_known(&of(8, 1001), 100, 0, now)
            .expect("another user");
        drop(held);
        let held: Vec<_> = (0..8)
            .map(|number| {
                limits
                    .admit_known(&of(7, number), 1 << 20, 0, now)
                    .expect("room")
            })
            .collect();
        assert!(is_limit(&limits.admit_known(&of(7, 9), 100, 0, now)));
        limits
            .admit_known(&of(8, 10), 100, 0, now)
            .expect("another user");
        drop(held);
        assert!(limits.lock().taken.is_empty(), "nothing is kept");
    }

    #[test]
    fn a_thousand_calls_a_second_are_refused_except_for_root() {
        let limits = CallLimits::default();
        let begin = Instant::now();
        let mut made = [0_u32; 2];
        for number in 0..3000_u64 {
            let now = begin + Duration::from_millis(number);
            for (uid, made) in [0, 1000].into_iter().zip(&mut made) {
                *made += u32::from(limits.admit_known(&user(uid), 100, 1, now).is_ok());
            }
        }
        assert_eq!(made[0], 3000);
        let expected = BURST + 3 * RATE;
        assert!(made[1].abs_diff(expected) <= 1, "{made:?}");
        // Later the limits are full again, and users who made no calls are forgotten.
        let later = begin + Duration::from_secs(6);
        limits
            .admit_known(&user(1001), 100, BURST, later)
            .expect("a burst");
        assert!(is_limit(&limits.admit_known(&user(1001), 100, 1, later)));
        assert_eq!(limits.lock().left.len(), 1);
    }

    #[test]
    fn refusals_are_answered_up_to_a_bound() {
        let limits = CallLimits::default();
        let now = Instant::now();
        let told = |uid| {
            (0..2 * REFUSALS_BURST)
                .filter(|_| limits.may_send_refusal(uid, now))
                .count()
        };
        for uid in [Some(7), Some(8), None] {
            assert_eq!(told(uid), REFUSALS_BURST as usize);
        }
        let later = now + Duration::from_secs(1);
        assert!(limits.may_send_refusal(Some(7), later));
    }

    #[test]
    fn dialogs_are_bounded_per_user() {
        let limits = CallLimits::default();
        let held: Vec<_> = (0..DIALOGS_MAX)
            .map(|_| limits.acquire_dialog(7).expect("room"))
            .collect();
        assert!(is_limit(&limits.acquire_dialog(7)));
        limits.acquire_dialog(8).expect("another user");
        drop(held);
    }
}
