//! Throttles wrong passwords: the delay grows with each wrong password of a peer, and the log lines about them are
//! limited. The right password is never delayed, so nobody is locked out by another client behind the same address.
//! This module does not see the passwords.

use std::collections::HashMap;
use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::time::{Duration, Instant};

use crate::domain::Line;

/// Wrong passwords of a peer that are not delayed, since people mistype.
const UNDELAYED_FAILURES: u32 = 3;
/// Delay of the first wrong password after those. It doubles with each further one, up to [`DELAY_MAX`].
const FIRST_DELAY: Duration = Duration::from_millis(100);
/// Maximum delay of one wrong password.
const DELAY_MAX: Duration = Duration::from_secs(5);
/// Maximum number of wrong passwords that the right password resets. With more, other clients may share the address,
/// and a client that knows the password must not make their guesses cheap.
const FORGIVEN_MAX: u32 = 10;
/// A peer is forgotten when its last wrong password is older than this.
const FORGET_AFTER: Duration = Duration::from_secs(600);
/// Maximum number of remembered peers. A new peer replaces the one that was seen longest ago.
const PEERS_MAX: usize = 1024;
/// Maximum number of delayed responses per peer. A further one is 429 at once, and its connection is closed.
const WAITING_OF_PEER_MAX: u32 = 64;
/// Maximum number of delayed responses, all peers together.
const WAITING_MAX: u32 = 256;
/// Reporting interval per peer: one line for the first wrong password, and at the end of the interval one line with
/// the number of further ones.
pub(super) const REPORT_EVERY: Duration = Duration::from_secs(60);

/// The sender of a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum ThrottledPeer {
    /// An IPv4 address, or an IPv6 /64 network, which usually belongs to one machine.
    Address(IpAddr),
    /// A user of this machine, by UID.
    User(u32),
    /// The transport does not identify the peer.
    Unknown,
}

impl ThrottledPeer {
    pub(super) fn at(address: IpAddr) -> Self {
        Self::Address(match address.to_canonical() {
            IpAddr::V6(address) if !address.is_loopback() => {
                let network = u128::from(address) & !u128::from(u64::MAX);
                IpAddr::V6(Ipv6Addr::from(network))
            }
            address => address,
        })
    }
}

impl fmt::Display for ThrottledPeer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(IpAddr::V6(network)) if !network.is_loopback() => {
                write!(f, "{network}/64")
            }
            Self::Address(address) => write!(f, "{address}"),
            Self::User(uid) => write!(f, "uid {uid}"),
            Self::Unknown => f.write_str("an unknown peer"),
        }
    }
}

/// What is known of wrong passwords, by peer.
#[derive(Debug, Default)]
pub(in crate::server) struct PasswordThrottle(Mutex<ThrottleState>);

#[derive(Debug, Default)]
pub(super) struct ThrottleState {
    known: HashMap<ThrottledPeer, PeerRecord>,
    waiting: u32,
}

#[derive(Debug)]
struct PeerRecord {
    failures: u32,
    last: Instant,
    waiting: u32,
    /// Wrong passwords since the last line. `None`: no reporting interval is running.
    unreported: Option<u64>,
}

/// The consequences of a wrong password.
#[derive(Debug)]
pub(super) struct FailureOutcome {
    pub(super) lines: Vec<Line>,
    /// Whether a report is due after [`REPORT_EVERY`].
    pub(super) begins_report: bool,
    /// `None`: too many responses are delayed already.
    pub(super) delay: Option<Duration>,
}

impl PasswordThrottle {
    /// A poisoned lock means that another connection panicked while it counted. The counters are still consistent.
    pub(super) fn lock(&self) -> MutexGuard<'_, ThrottleState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ThrottleState {
    /// Counts a wrong password. If the outcome has a delay, the response counts as waiting until
    /// [`ThrottleState::waited`].
    pub(super) fn failed(&mut self, peer: ThrottledPeer, now: Instant) -> FailureOutcome {
        let mut lines = Vec::new();
        if !self.known.contains_key(&peer) && self.known.len() >= PEERS_MAX {
            lines.extend(self.make_room(now));
        }
        let known = self.known.entry(peer).or_insert(PeerRecord {
            failures: 0,
            last: now,
            waiting: 0,
            unreported: None,
        });
        if now.saturating_duration_since(known.last) >= FORGET_AFTER {
            known.failures = 0;
        }
        known.failures = known.failures.saturating_add(1);
        known.last = now;
        let begins_report = known.unreported.is_none();
        match &mut known.unreported {
            Some(count) => *count += 1,
            None => {
                known.unreported = Some(0);
                let peer = peer.to_string();
                lines.push(Line::WrongPassword { peer });
            }
        }
        let delay = delay(known.failures);
        let has_room = known.waiting < WAITING_OF_PEER_MAX && self.waiting < WAITING_MAX;
        let delay = match delay {
            Duration::ZERO => Some(delay),
            _ if has_room => {
                known.waiting += 1;
                self.waiting += 1;
                Some(delay)
            }
            _ => None,
        };
        FailureOutcome {
            lines,
            begins_report,
            delay,
        }
    }

    /// Counts down the delayed responses.
    pub(super) fn waited(&mut self, peer: ThrottledPeer) {
        self.waiting = self.waiting.saturating_sub(1);
        if let Some(known) = self.known.get_mut(&peer) {
            known.waiting = known.waiting.saturating_sub(1);
        }
    }

    /// Handles a right password: forgets the wrong ones before it if they are few.
    pub(super) fn succeeded(&mut self, peer: ThrottledPeer) {
        if let Some(known) = self.known.get_mut(&peer)
            && known.failures <= FORGIVEN_MAX
        {
            known.failures = 0;
        }
    }

    /// All peers that are remembered.
    pub(super) fn peers(&self) -> Vec<ThrottledPeer> {
        self.known.keys().copied().collect()
    }

    /// Ends the reporting interval and returns the line to write. `None`: nothing to report.
    pub(super) fn report(&mut self, peer: ThrottledPeer) -> Option<Line> {
        let count = self.known.get_mut(&peer)?.unreported.take()?;
        let peer = peer.to_string();
        (count > 0).then_some(Line::WrongPasswords { count, peer })
    }

    /// Forgets expired peers. If there are none, forgets the peer that was seen longest ago, and returns its
    /// unwritten report.
    fn make_room(&mut self, now: Instant) -> Option<Line> {
        self.known.retain(|_, known| {
            known.unreported.is_some()
                || known.waiting > 0
                || now.saturating_duration_since(known.last) < FORGET_AFTER
        });
        if self.known.len() < PEERS_MAX {
            return None;
        }
        let (&oldest, _) = self.known.iter().min_by_key(|(_, known)| known.last)?;
        let line = self.report(oldest);
        self.known.remove(&oldest);
        line
    }
}

/// Delay for a peer's `failures`-th wrong password.
pub(super) fn delay(failures: u32) -> Duration {
    let Some(doublings) = failures.checked_sub(UNDELAYED_FAILURES + 1) else {
        return Duration::ZERO;
    };
    let factor = 2_u32.checked_pow(doublings).unwrap_or(u32::MAX);
    FIRST_DELAY.saturating_mul(factor).min(DELAY_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> ThrottledPeer {
        ThrottledPeer::at(text.parse().expect("an address"))
    }

    #[test]
    fn a4_the_delay_grows_and_a_typing_error_costs_nothing() {
        let millis = |failures| delay(failures).as_millis();
        let delays: Vec<_> = (1..=12).map(millis).collect();
        assert_eq!(
            delays,
            [0, 0, 0, 100, 200, 400, 800, 1600, 3200, 5000, 5000, 5000]
        );
        assert_eq!(delay(u32::MAX), DELAY_MAX);
    }

    #[test]
    fn a4_a_success_or_a_pause_resets_the_delay() {
        let mut peers = ThrottleState::default();
        let (now, peer) = (Instant::now(), address("10.0.0.1"));
        let delay = |peers: &mut ThrottleState, now| peers.failed(peer, now).delay.expect("room");
        for _ in 0..UNDELAYED_FAILURES {
            assert!(delay(&mut peers, now).is_zero());
        }
        assert_eq!(delay(&mut peers, now), FIRST_DELAY);
        // Other peers are not delayed.
        let other = peers.failed(address("10.0.0.2"), now);
        assert_eq!(other.delay, Some(Duration::ZERO));
        peers.succeeded(peer);
        assert!(delay(&mut peers, now).is_zero());
        for _ in 0..FORGIVEN_MAX {
            delay(&mut peers, now);
        }
        // Too many failures to be a person's.
        peers.succeeded(peer);
        assert_eq!(delay(&mut peers, now), DELAY_MAX);
        assert!(delay(&mut peers, now + FORGET_AFTER).is_zero());
    }

    #[test]
    fn a4_a_peer_gets_one_line_and_later_a_count() {
        let mut peers = ThrottleState::default();
        let (now, peer) = (Instant::now(), address("10.0.0.1"));
        let mut lines = Vec::new();
        let mut reports = 0;
        for _ in 0..10_000 {
            let failure = peers.failed(peer, now);
            lines.extend(failure.lines);
            reports += u32::from(failure.begins_report);
        }
        lines.extend(peers.report(peer));
        let lines: Vec<_> = lines.iter().map(Line::to_string).collect();
        assert_eq!(
            lines,
            [
                "wrong user name or password from 10.0.0.1",
                "9999 more wrong user names or passwords from 10.0.0.1",
            ]
        );
        assert_eq!(reports, 1);
        assert!(peers.failed(peer, now).begins_report, "the next report");
        assert_eq!(peers.report(peer), None, "nothing more to say");
    }

    #[test]
    fn a4_waiting_answers_are_bounded() {
        let mut peers = ThrottleState::default();
        let now = Instant::now();
        let mut held = 0;
        for number in 0..10 {
            let peer = ThrottledPeer::User(number);
            for _ in 0..200 {
                let failure = peers.failed(peer, now);
                held += u32::from(failure.delay.is_some_and(|delay| !delay.is_zero()));
            }
            assert!(peers.known[&peer].waiting <= WAITING_OF_PEER_MAX);
        }
        assert_eq!((held, peers.waiting), (WAITING_MAX, WAITING_MAX));
        peers.waited(ThrottledPeer::User(0));
        assert_eq!(peers.waiting, WAITING_MAX - 1);
        assert!(peers.failed(ThrottledPeer::User(0), now).delay.is_some());
    }

    #[test]
    fn a4_the_table_is_bounded_and_all_failures_are_counted() {
        let mut peers = ThrottleState::default();
        let begin = Instant::now();
        let mut told = 0;
        for number in 0..3 * PEERS_MAX {
            let now = begin + Duration::from_millis(number as u64);
            let peer = ThrottledPeer::User(u32::try_from(number).expect("small"));
            peers.failed(peer, now);
            let failure = peers.failed(peer, now);
            assert!(failure.lines.is_empty());
            assert!(peers.known.len() <= PEERS_MAX);
            told = number + 1;
        }
        assert_eq!(told, 3 * PEERS_MAX);
        let last = ThrottledPeer::User(u32::try_from(told - 1).expect("small"));
        assert!(
            peers.known.contains_key(&last) && !peers.known.contains_key(&ThrottledPeer::User(0))
        );
        let failure = peers.failed(ThrottledPeer::User(u32::MAX), begin);
        let lines: Vec<_> = failure.lines.iter().map(Line::to_string).collect();
        assert_eq!(
            lines[0],
            format!(
                "1 more wrong user names or passwords from uid {}",
                2 * PEERS_MAX
            )
        );
    }

    #[test]
    fn a4_a_machine_is_one_peer() {
        for (text, shown) in [
            ("10.1.2.3", "10.1.2.3"),
            ("::ffff:10.1.2.3", "10.1.2.3"),
            ("::1", "::1"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ] {
            assert_eq!(address(text).to_string(), shown);
        }
    }
}
