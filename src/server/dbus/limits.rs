//! What one caller may use up, so that nobody else feels it: calls under way, calls in a second, dialogs. It must not know
//! what is called.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::time::{Duration, Instant};

use super::bus::BusSender;
use super::error::BusError;

/// Calls that one connection may have under way.
pub(super) const SENDER_CALLS_MAX: u32 = 64;
/// Calls that all connections of one user may have under way; root and the daemon's own user may have any number.
pub(super) const USER_CALLS_MAX: u32 = 256;
/// Calls under way, of everybody but root.
pub(super) const CALLS_MAX: u32 = 1024;
/// Calls whose caller is being looked up, of everybody …
pub(super) const UNKNOWN_MAX: u32 = 4096;
/// … and their bytes. When these are used up, each connection still has …
pub(super) const UNKNOWN_BYTES_MAX: u32 = 16 << 20;
/// … so many calls …
pub(super) const UNKNOWN_GUARANTEED: u32 = 8;
/// … of so many bytes, so that nobody's first calls are refused because of others.
pub(super) const UNKNOWN_GUARANTEED_BYTES: u32 = 4 << 10;
/// Calls whose caller is being looked up, whatever they are.
const UNKNOWN_ALL_MAX: u32 = 4 * UNKNOWN_MAX;
/// Bytes of messages that one user may have under way, and everybody but root.
pub(super) const USER_BYTES_MAX: u32 = 8 << 20;
pub(super) const BYTES_MAX: u32 = 32 << 20;
/// Calls that a user other than root may make in a second, in the long run …
pub(super) const RATE: u32 = 500;
/// … and at once after a time of rest.
pub(super) const BURST: u32 = 1000;
/// Refusals for want of places that are told in a second, to each user and to everybody who is not known yet …
pub(super) const REFUSALS_RATE: u32 = 500;
/// … and at once. Further calls are dropped without an answer: the bus holds up nobody who floods, so they must be read
/// faster than they come, or the calls of others wait behind them.
pub(super) const REFUSALS_BURST: u32 = 8192;
/// Dialogs of polkit that one user may have open.
pub(super) const DIALOGS_MAX: u32 = 2;
/// The longest message, in bytes; what the daemon takes by XML-RPC and is longer than this has no place on a bus.
pub(super) const MESSAGE_BYTES_MAX: usize = 1 << 20;

/// Whom a count is for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum LimitKey {
    /// A connection, by its unique name.
    Sender(String),
    /// A connection whose user is being looked up.
    UnknownSender(String),
    /// A user's calls that are known to be his.
    User(u32),
    /// The bytes of a user's calls.
    UserBytes(u32),
    Dialogs(u32),
    /// Everybody but root.
    Others,
    OthersBytes,
    /// Everybody who is not known yet.
    Unknown,
    UnknownBytes,
}

/// What is counted by time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum RateKey {
    /// Calls of a user.
    Calls(u32),
    /// Refusals that are told to a user; `None`: to those who are not known yet.
    Refusals(Option<u32>),
}

impl RateKey {
    /// What comes in a second, and what it holds.
    const fn size(self) -> (u32, u32) {
        match self {
            Self::Calls(_) => (RATE, BURST),
            Self::Refusals(_) => (REFUSALS_RATE, REFUSALS_BURST),
        }
    }
}

/// The counts of one connection to a bus. Clones share them.
#[derive(Debug, Clone, Default)]
pub(super) struct CallLimits(Arc<Mutex<LimitCounts>>);

#[derive(Debug, Default)]
struct LimitCounts {
    taken: HashMap<LimitKey, u32>,
    /// What each user has left of the burst, and since when.
    left: HashMap<RateKey, (f64, Instant)>,
}

/// A place that is given back when dropped.
#[derive(Debug)]
pub(super) struct CallPermit {
    limits: CallLimits,
    key: LimitKey,
    amount: u32,
}

impl CallLimits {
    /// Poison means that another call panicked while it counted, which leaves nothing half done.
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

    /// A call of so many bytes arrives, from a connection whose user is not known yet.
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

    /// The user is known by now. `cost` is what this call counts for in his rate: 1, or more where it is much work.
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

    /// Whether a call that was refused for want of places is told so.
    pub(super) fn may_send_refusal(&self, uid: Option<u32>, now: Instant) -> bool {
        self.lock().spend_tokens(RateKey::Refusals(uid), 1, now)
    }

    /// A dialog is about to open.
    pub(super) fn acquire_dialog(&self, uid: u32) -> Result<CallPermit, BusError> {
        self.acquire(
            LimitKey::Dialogs(uid),
            DIALOGS_MAX,
            "open dialogs of this user",
        )
    }
}

impl LimitCounts {
    fn spend_tokens(&mut self, purse: RateKey, cost: u32, now: Instant) -> bool {
        // Who has rested long enough is as if he had never been here.
        self.left.retain(|purse, (_, since)| {
            let (rate, burst) = purse.size();
            let refill = Duration::from_secs(u64::from(burst.div_ceil(rate)));
            now.saturating_duration_since(*since) < refill
        });
        let (rate, burst) = purse.size();
        let burst = f64::from(burst);
        let (left, since) = self.left.entry(purse).or_insert((burst, now));
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
    fn one_connection_cannot_take_the_place_of_another() {
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
    fn whoever_is_not_known_yet_leaves_room_for_first_calls_of_others() {
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
    fn everybody_else_together_leaves_room_for_root() {
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
    fn a_user_has_one_purse_for_all_connections() {
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
    fn a_thousand_calls_in_a_second_are_too_many_but_not_for_root() {
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
        // Two seconds later all is well, and nobody is remembered who does not call.
        let later = begin + Duration::from_secs(6);
        limits
            .admit_known(&user(1001), 100, BURST, later)
            .expect("a burst");
        assert!(is_limit(&limits.admit_known(&user(1001), 100, 1, later)));
        assert_eq!(limits.lock().left.len(), 1);
    }

    #[test]
    fn refusals_are_told_until_there_are_too_many() {
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
    fn dialogs_are_few() {
        let limits = CallLimits::default();
        let held: Vec<_> = (0..DIALOGS_MAX)
            .map(|_| limits.acquire_dialog(7).expect("room"))
            .collect();
        assert!(is_limit(&limits.acquire_dialog(7)));
        limits.acquire_dialog(8).expect("another user");
        drop(held);
    }
}
