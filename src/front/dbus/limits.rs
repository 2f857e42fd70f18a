//! What one caller may use up, so that nobody else feels it: calls under way, calls in a second, dialogs. It must not know
//! what is called.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::time::{Duration, Instant};

use super::refusal::Refusal;

/// Calls that one connection may have under way.
pub(super) const SENDER_CALLS_MAX: u32 = 64;
/// Calls that all connections of one user may have under way.
pub(super) const USER_CALLS_MAX: u32 = 256;
/// Calls under way, of everybody but root.
pub(super) const CALLS_MAX: u32 = 1024;
/// Calls whose caller is being looked up, of everybody.
pub(super) const UNKNOWN_MAX: u32 = 4096;
/// Calls that a user other than root may make in a second, in the long run …
pub(super) const RATE: u32 = 500;
/// … and at once after a time of rest.
pub(super) const BURST: u32 = 1000;
/// Dialogs of polkit that one user may have open.
pub(super) const DIALOGS_MAX: u32 = 2;
/// The longest message, in bytes; what the daemon takes by XML-RPC and is longer than this has no place on a bus.
pub(super) const MESSAGE_BYTES_MAX: usize = 1 << 20;

/// Whom a count is for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Whom {
    /// A connection, by its unique name.
    Sender(String),
    /// A user's calls that are known to be his.
    User(u32),
    Dialogs(u32),
    /// Everybody but root.
    Others,
    /// Everybody who is not known yet.
    Unknown,
}

/// The counts of one connection to a bus. Clones share them.
#[derive(Debug, Clone, Default)]
pub(super) struct Limits(Arc<Mutex<Counts>>);

#[derive(Debug, Default)]
struct Counts {
    taken: HashMap<Whom, u32>,
    /// What each user has left of the burst, and since when.
    left: HashMap<u32, (f64, Instant)>,
}

/// A place that is given back when dropped.
#[derive(Debug)]
pub(super) struct Place {
    limits: Limits,
    whom: Whom,
}

impl Limits {
    /// Poison means that another call panicked while it counted, which leaves nothing half done.
    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self, whom: Whom, most: u32, what: &str) -> Result<Place, Refusal> {
        let mut counts = self.lock();
        let taken = counts.taken.entry(whom.clone()).or_default();
        if *taken >= most {
            return Err(Refusal::limits(format!("more than {most} {what}")));
        }
        *taken += 1;
        Ok(Place {
            limits: self.clone(),
            whom,
        })
    }

    /// A call arrives; who sent it is known by a connection only.
    pub(super) fn arrive(&self, sender: &str) -> Result<[Place; 2], Refusal> {
        let own = self.take(
            Whom::Sender(sender.to_owned()),
            SENDER_CALLS_MAX,
            "calls of this connection are under way",
        )?;
        let unknown = self.take(Whom::Unknown, UNKNOWN_MAX, "calls wait to be looked at")?;
        Ok([own, unknown])
    }

    /// The user is known by now. `cost` is what this call counts for in his rate: 1, or more where it is much work.
    pub(super) fn admit(&self, uid: u32, cost: u32, now: Instant) -> Result<Vec<Place>, Refusal> {
        let own = self.take(
            Whom::User(uid),
            USER_CALLS_MAX,
            "calls of this user are under way",
        )?;
        if uid == 0 {
            return Ok(vec![own]);
        }
        if !self.lock().spend(uid, cost, now) {
            return Err(Refusal::limits(format!(
                "more than {RATE} calls of this user in a second"
            )));
        }
        let others = self.take(Whom::Others, CALLS_MAX, "calls are under way")?;
        Ok(vec![own, others])
    }

    /// A dialog is about to open.
    pub(super) fn dialog(&self, uid: u32) -> Result<Place, Refusal> {
        self.take(
            Whom::Dialogs(uid),
            DIALOGS_MAX,
            "dialogs of this user are open",
        )
    }
}

impl Counts {
    fn spend(&mut self, uid: u32, cost: u32, now: Instant) -> bool {
        let burst = f64::from(BURST);
        let refill = Duration::from_secs(u64::from(BURST.div_ceil(RATE)));
        // Who has rested long enough is as if he had never been here.
        self.left
            .retain(|_, (_, since)| now.saturating_duration_since(*since) < refill);
        let (left, since) = self.left.entry(uid).or_insert((burst, now));
        let rested = now.saturating_duration_since(*since).as_secs_f64();
        *left = (*left + rested * f64::from(RATE)).min(burst);
        *since = now;
        let cost = f64::from(cost);
        let enough = *left >= cost;
        if enough {
            *left -= cost;
        }
        enough
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.limits.lock();
        if let Some(taken) = counts.taken.get_mut(&self.whom) {
            *taken -= 1;
            if *taken == 0 {
                counts.taken.remove(&self.whom);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_limit<T: std::fmt::Debug>(got: &Result<T, Refusal>) -> bool {
        got.as_ref()
            .is_err_and(|refusal| refusal.name == "org.freedesktop.DBus.Error.LimitsExceeded")
    }

    #[test]
    fn one_connection_cannot_take_the_place_of_another() {
        let limits = Limits::default();
        let held: Vec<_> = (0..SENDER_CALLS_MAX)
            .map(|_| limits.arrive(":1.1").expect("room"))
            .collect();
        assert!(is_limit(&limits.arrive(":1.1")));
        limits.arrive(":1.2").expect("another one");
        drop(held);
        limits.arrive(":1.1").expect("room again");
        assert!(limits.lock().taken.is_empty(), "nothing is kept");
    }

    #[test]
    fn everybody_else_together_leaves_room_for_root() {
        let limits = Limits::default();
        let now = Instant::now();
        let mut held = Vec::new();
        for uid in 1.. {
            match limits.admit(uid, 1, now) {
                Ok(places) => held.push(places),
                Err(refusal) => {
                    assert!(refusal.text.contains("1024 calls are"), "{}", refusal.text);
                    break;
                }
            }
        }
        assert_eq!(held.len(), CALLS_MAX as usize);
        limits.admit(0, 1, now).expect("root");
    }

    #[test]
    fn a_user_has_one_purse_for_all_connections() {
        let limits = Limits::default();
        let held: Vec<_> = (0..USER_CALLS_MAX)
            .map(|_| limits.admit(7, 0, Instant::now()).expect("room"))
            .collect();
        assert!(is_limit(&limits.admit(7, 0, Instant::now())));
        limits.admit(8, 0, Instant::now()).expect("another user");
        drop(held);
    }

    #[test]
    fn a_thousand_calls_in_a_second_are_too_many_but_not_for_root() {
        let limits = Limits::default();
        let begin = Instant::now();
        let mut made = [0_u32; 2];
        for number in 0..3000_u64 {
            let now = begin + Duration::from_millis(number);
            for (uid, made) in [0, 1000].into_iter().zip(&mut made) {
                *made += u32::from(limits.admit(uid, 1, now).is_ok());
            }
        }
        assert_eq!(made[0], 3000);
        let expected = BURST + 3 * RATE;
        assert!(made[1].abs_diff(expected) <= 1, "{made:?}");
        // Two seconds later all is well, and nobody is remembered who does not call.
        let later = begin + Duration::from_secs(6);
        limits.admit(1001, BURST, later).expect("a burst");
        assert!(is_limit(&limits.admit(1001, 1, later)));
        assert_eq!(limits.lock().left.len(), 1);
    }

    #[test]
    fn dialogs_are_few() {
        let limits = Limits::default();
        let held: Vec<_> = (0..DIALOGS_MAX)
            .map(|_| limits.dialog(7).expect("room"))
            .collect();
        assert!(is_limit(&limits.dialog(7)));
        limits.dialog(8).expect("another user");
        drop(held);
    }
}
