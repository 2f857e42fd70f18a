//! Parser for the messages of systemd's notification protocol. It accepts any bytes. The sender and the effect of a
//! message are not part of this module.
//!
//! # Source
//! sd_notify(3).

use serde::{Deserialize, Serialize};

use crate::domain::is_deceptive;

/// Maximum length of a message in bytes, as in systemd (`NOTIFY_BUFFER_MAX`). Longer messages are dropped whole.
pub const NOTIFY_BYTES_MAX: usize = 4096;
/// Maximum length of `STATUS=` in characters. The rest is cut off.
pub const STATUS_CHARS_MAX: usize = 256;

/// The state that a process reports of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum NotifiedState {
    /// `READY=1`: the process is ready.
    Ready,
    /// `RELOADING=1`: the process reads its configuration and will report READY again.
    Reloading,
    /// `STOPPING=1`: the process is exiting.
    Stopping,
}

/// A watchdog message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum WatchdogNotify {
    /// `WATCHDOG=1`: the process works.
    Alive,
    /// `WATCHDOG=trigger`: the process has failed.
    Trigger,
}

/// Kinds of messages that have no effect. Each kind is logged once per instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum IgnoredNotify {
    /// `MAINPID=`, `MAINPIDFD=`: a program cannot choose which process the daemon watches.
    MainPid,
    /// `FDSTORE=` and related: the daemon stores no descriptors for programs.
    Store,
    /// `NOTIFYACCESS=`: a program cannot choose who may send messages for it.
    Access,
    /// An unknown variable, or a known variable with an invalid value.
    Unknown,
    /// Not a message: too long, or with a NUL byte.
    Malformed,
}

impl IgnoredNotify {
    /// Returns the text for the log.
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

    /// Returns the bit of this kind in a set.
    pub(super) const fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// One parsed message. The default value has no effect.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct NotifyMessage {
    /// The last state in the message.
    pub announced: Option<NotifiedState>,
    /// A short line for people, without control characters. Empty: clears the previous status.
    pub status: Option<String>,
    /// The last watchdog message in the message.
    pub beat: Option<WatchdogNotify>,
    /// The new watchdog interval in microseconds. 0: turns the watchdog off.
    pub watchdog_usec: Option<u64>,
    /// How long the process needs from now on, in microseconds.
    pub extend_usec: Option<u64>,
    /// Kinds of variables in the message that have no effect.
    pub ignored: Vec<IgnoredNotify>,
}

impl NotifyMessage {
    /// Returns a message with only `READY=1`. A newline on `ready_fd` means this.
    #[must_use]
    pub fn ready() -> Self {
        Self {
            announced: Some(NotifiedState::Ready),
            ..Self::default()
        }
    }

    /// Returns the result for bytes that are not a message.
    #[must_use]
    pub fn malformed() -> Self {
        Self {
            ignored: vec![IgnoredNotify::Malformed],
            ..Self::default()
        }
    }

    /// Parses a message: lines of `NAME=value`. An invalid line does not affect the others.
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
            // BARRIER is answered by closing the descriptor that came with the message. The others inform people who
            // look at a service with systemd's tools, and `X_…` is reserved for private use. None of them needs an
            // effect or a log line.
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
    // `parse` accepts a sign.
    if text.starts_with('+') {
        return Err(IgnoredNotify::Unknown);
    }
    text.parse().map_err(|_| IgnoredNotify::Unknown)
}

/// Replaces characters that could break out of the line in which the text is shown, on terminals and web pages.
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
    fn fields_are_those_of_sd_notify() {
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
    fn an_invalid_line_does_not_affect_the_others() {
        let notice = NotifyMessage::parse(b"\xff\xfe\nMAINPID=1\nREADY=1\n=x");
        assert_eq!(notice.announced, Some(NotifiedState::Ready));
        assert_eq!(
            notice.ignored,
            [IgnoredNotify::Unknown, IgnoredNotify::MainPid]
        );
    }

    #[test]
    fn long_messages_are_dropped_and_long_fields_cut() {
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
        fn any_bytes_are_parsed_and_no_shown_text_breaks_a_line(
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
        fn numbers_are_parsed_within_bounds(usec in any::<u64>()) {
            let notice = NotifyMessage::parse(format!("EXTEND_TIMEOUT_USEC={usec}").as_bytes());
            prop_assert_eq!(notice.extend_usec, Some(usec));
        }
    }
}
