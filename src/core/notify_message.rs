//! A message of the protocol that services speak with systemd → what it says. Pure, and for any bytes. It must not know
//! who sent it, nor what becomes of it.
//!
//! # Source
//! sd_notify(3).

use serde::{Deserialize, Serialize};

use crate::domain::is_deceptive;

/// Bytes that a message may have; longer ones are dropped whole. As systemd has it (`NOTIFY_BUFFER_MAX`).
pub const NOTIFY_BYTES_MAX: usize = 4096;
/// Characters of `STATUS=` that are kept.
pub const STATUS_CHARS_MAX: usize = 256;

/// What a process is at, by its own word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum NotifiedState {
    /// `READY=1`: it works.
    Ready,
    /// `RELOADING=1`: it reads its configuration, and is to be READY again.
    Reloading,
    /// `STOPPING=1`: it is ending.
    Stopping,
}

/// A watchdog message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum WatchdogNotify {
    /// `WATCHDOG=1`: it is well.
    Alive,
    /// `WATCHDOG=trigger`: it knows that it is not.
    Trigger,
}

/// What has no effect, by kind. Each is worth a line once in an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum IgnoredNotify {
    /// `MAINPID=`, `MAINPIDFD=`: which process is ours to watch is not the program's to say.
    MainPid,
    /// `FDSTORE=` and its kin: we keep no descriptors for programs.
    Store,
    /// `NOTIFYACCESS=`: nor who may speak.
    Access,
    /// A variable that nobody knows, or a known one with a value that makes no sense.
    Unknown,
    /// No message at all: too long, or with a NUL byte.
    Malformed,
}

impl IgnoredNotify {
    /// For the log.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::MainPid => "MAINPID (a program cannot choose which process is supervised)",
            Self::Store => "FDSTORE (file descriptors of programs are not stored)",
            Self::Access => "NOTIFYACCESS (a program cannot choose who may send its notifications)",
            Self::Unknown => "with an unknown variable or value",
            Self::Malformed => "that is too long or not text",
        }
    }

    /// Its place in a set of bits.
    pub(super) const fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// One message. By default it says nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct NotifyMessage {
    /// The last of these words in it.
    pub announced: Option<NotifiedState>,
    /// A line for people: short, without control characters. An empty one takes the last one away.
    pub status: Option<String>,
    /// A watchdog message.
    pub beat: Option<WatchdogNotify>,
    /// From now on a watchdog message must come so often, in microseconds; 0: it need not.
    pub watchdog_usec: Option<u64>,
    /// It needs so long from now on, in microseconds.
    pub extend_usec: Option<u64>,
    /// Kinds of what has no effect.
    pub ignored: Vec<IgnoredNotify>,
}

impl NotifyMessage {
    /// `READY=1` and nothing else: what a newline on `ready_fd` means.
    #[must_use]
    pub fn ready() -> Self {
        Self {
            announced: Some(NotifiedState::Ready),
            ..Self::default()
        }
    }

    /// A message that is none.
    #[must_use]
    pub fn malformed() -> Self {
        Self {
            ignored: vec![IgnoredNotify::Malformed],
            ..Self::default()
        }
    }

    /// Reads a message: lines of `NAME=value`. What is wrong with one of them does not spoil the others.
    #[must_use]
    pub fn parse(message: &[u8]) -> Self {
        if message.len() > NOTIFY_BYTES_MAX || message.contains(&0) {
            return Self::malformed();
        }
        let mut notice = Self::default();
        for line in message.split(|&byte| byte == b'\n') {
            if !line.is_empty()
                && let Err(kind) = notice.parse_line(line)
                && !notice.ignored.contains(&kind)
            {
                notice.ignored.push(kind);
            }
        }
        notice
    }

    fn parse_line(&mut self, line: &[u8]) -> Result<(), IgnoredNotify> {
        let place = line.iter().position(|&byte| byte == b'=');
        let (name, value) = line.split_at(place.ok_or(IgnoredNotify::Unknown)?);
        let value = &value[1..];
        match (name, value) {
            (b"READY", b"1") => self.announced = Some(NotifiedState::Ready),
            (b"RELOADING", b"1") => self.announced = Some(NotifiedState::Reloading),
            (b"STOPPING", b"1") => self.announced = Some(NotifiedState::Stopping),
            (b"STATUS", text) => self.status = Some(clean(text)),
            (b"WATCHDOG", b"1") => self.beat = Some(WatchdogNotify::Alive),
            (b"WATCHDOG", b"trigger") => self.beat = Some(WatchdogNotify::Trigger),
            (b"WATCHDOG_USEC", digits) => self.watchdog_usec = Some(number(digits)?),
            (b"EXTEND_TIMEOUT_USEC", digits) => self.extend_usec = Some(number(digits)?),
            (b"MAINPID" | b"MAINPIDFD" | b"MAINPIDFDID", _) => return Err(IgnoredNotify::MainPid),
            (b"FDSTORE" | b"FDSTOREREMOVE" | b"FDNAME" | b"FDPOLL", _) => {
                return Err(IgnoredNotify::Store);
            }
            (b"NOTIFYACCESS", _) => return Err(IgnoredNotify::Access),
            // The barrier is answered by closing what came with the message. The others are for people who look at a
            // service with systemd's tools, and `X_…` for whoever agreed on it: no effect is the right effect.
            (
                b"BARRIER" | b"ERRNO" | b"BUSERROR" | b"VARLINKERROR" | b"EXIT_STATUS"
                | b"MONOTONIC_USEC" | b"INVOCATION_ID",
                _,
            ) => {}
            ([b'X', b'_', ..], _) => {}
            _ => return Err(IgnoredNotify::Unknown),
        }
        Ok(())
    }
}

fn number(digits: &[u8]) -> Result<u64, IgnoredNotify> {
    let text = std::str::from_utf8(digits).map_err(|_| IgnoredNotify::Unknown)?;
    // `parse` would take a sign.
    if text.starts_with('+') {
        return Err(IgnoredNotify::Unknown);
    }
    text.parse().map_err(|_| IgnoredNotify::Unknown)
}

/// It is shown on terminals and pages among lines of ours, so it must not be able to end its own.
fn clean(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    let mut chars = text.trim().chars();
    let mut clean: String = chars
        .by_ref()
        .take(STATUS_CHARS_MAX)
        .map(|c| if is_deceptive(c) { '?' } else { c })
        .collect();
    if chars.next().is_some() {
        clean.push('…');
    }
    clean
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn words_are_what_sd_notify_says() {
        let is = |change: &dyn Fn(&mut NotifyMessage)| {
            let mut notice = NotifyMessage::default();
            change(&mut notice);
            notice
        };
        let ignored = |kinds: &[IgnoredNotify]| {
            let kinds = kinds.to_vec();
            is(&move |notice| notice.ignored.clone_from(&kinds))
        };
        let table: &[(&str, NotifyMessage)] = &[
            ("", NotifyMessage::default()),
            ("READY=1", NotifyMessage::ready()),
            ("\n\nREADY=1\n", NotifyMessage::ready()),
            (
                "RELOADING=1\nMONOTONIC_USEC=5",
                is(&|n| n.announced = Some(NotifiedState::Reloading)),
            ),
            (
                "STOPPING=1\nSTATUS= bye ",
                is(&|n| {
                    n.announced = Some(NotifiedState::Stopping);
                    n.status = Some("bye".to_owned());
                }),
            ),
            ("STATUS=", is(&|n| n.status = Some(String::new()))),
            (
                "STATUS=a=b\u{1b}[2Jc\td",
                is(&|n| n.status = Some("a=b?[2Jc?d".to_owned())),
            ),
            ("WATCHDOG=1", is(&|n| n.beat = Some(WatchdogNotify::Alive))),
            (
                "WATCHDOG=trigger",
                is(&|n| n.beat = Some(WatchdogNotify::Trigger)),
            ),
            (
                "WATCHDOG_USEC=250000\nEXTEND_TIMEOUT_USEC=7",
                is(&|n| {
                    n.watchdog_usec = Some(250_000);
                    n.extend_usec = Some(7);
                }),
            ),
            ("BARRIER=1\nX_OURS=1\nERRNO=2", NotifyMessage::default()),
            ("MAINPID=1\nMAINPID=2", ignored(&[IgnoredNotify::MainPid])),
            ("FDSTORE=1\nFDNAME=a", ignored(&[IgnoredNotify::Store])),
            ("NOTIFYACCESS=all", ignored(&[IgnoredNotify::Access])),
            ("NONSENSE\nready=1", ignored(&[IgnoredNotify::Unknown])),
            ("READY=2", ignored(&[IgnoredNotify::Unknown])),
            ("WATCHDOG_USEC=+1", ignored(&[IgnoredNotify::Unknown])),
            ("WATCHDOG_USEC=", ignored(&[IgnoredNotify::Unknown])),
            (
                "EXTEND_TIMEOUT_USEC=99999999999999999999",
                ignored(&[IgnoredNotify::Unknown]),
            ),
            ("READY=1\0", NotifyMessage::malformed()),
        ];
        for (message, expected) in table {
            assert_eq!(
                NotifyMessage::parse(message.as_bytes()),
                *expected,
                "{message:?}"
            );
        }
    }

    #[test]
    fn a_bad_line_does_not_spoil_the_others() {
        let notice = NotifyMessage::parse(b"\xff\xfe\nMAINPID=1\nREADY=1\n=x");
        assert_eq!(notice.announced, Some(NotifiedState::Ready));
        assert_eq!(
            notice.ignored,
            [IgnoredNotify::Unknown, IgnoredNotify::MainPid]
        );
    }

    #[test]
    fn what_is_too_long_is_dropped_or_cut() {
        let long = |length: usize| [b"STATUS=".as_slice(), &vec![b'x'; length]].concat();
        let status = NotifyMessage::parse(&long(STATUS_CHARS_MAX + 1)).status;
        let status = status.expect("taken");
        assert_eq!(status.chars().count(), STATUS_CHARS_MAX + 1);
        assert!(status.ends_with('…'));
        assert_eq!(
            NotifyMessage::parse(&long(NOTIFY_BYTES_MAX)),
            NotifyMessage::malformed()
        );
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_and_nothing_shown_can_end_a_line(
            bytes in prop::collection::vec(any::<u8>(), 0..300),
            status in "\\PC{0,20}|.{0,300}",
        ) {
            let mut message = bytes;
            message.extend_from_slice(b"\nSTATUS=");
            message.extend_from_slice(status.as_bytes());
            let notice = NotifyMessage::parse(&message);
            if let Some(status) = notice.status {
                prop_assert!(!status.contains(is_deceptive));
                prop_assert!(status.chars().count() <= STATUS_CHARS_MAX + 1);
            }
        }

        #[test]
        fn numbers_come_through(usec in any::<u64>()) {
            let notice = NotifyMessage::parse(format!("EXTEND_TIMEOUT_USEC={usec}").as_bytes());
            prop_assert_eq!(notice.extend_usec, Some(usec));
        }
    }
}
