//! Signals: their numbers, the names that users write and the names that the log prints.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A signal number, 0 to 64. 0 is valid in the configuration, as in Supervisor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Signal(u8);

/// A text that names no signal. The texts are Supervisor's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSignal {
    /// The name is unknown.
    #[error("value '{0}' is not a valid signal name")]
    Name(String),
    /// The number is not that of a signal.
    #[error("value '{0}' is not a valid signal number")]
    Number(String),
}

/// Names without `SIG`, by number. If a number has several names, the first is printed. The order is that of Python's
/// `signal` module (SIGPOLL before SIGIO, SIGCHLD before SIGCLD, SIGABRT before SIGIOT).
const NAMES: &[(u8, &str)] = &[
    (1, "HUP"),
    (2, "INT"),
    (3, "QUIT"),
    (4, "ILL"),
    (5, "TRAP"),
    (6, "ABRT"),
    (6, "IOT"),
    (7, "BUS"),
    (8, "FPE"),
    (9, "KILL"),
    (10, "USR1"),
    (11, "SEGV"),
    (12, "USR2"),
    (13, "PIPE"),
    (14, "ALRM"),
    (15, "TERM"),
    (16, "STKFLT"),
    (17, "CHLD"),
    (17, "CLD"),
    (18, "CONT"),
    (19, "STOP"),
    (20, "TSTP"),
    (21, "TTIN"),
    (22, "TTOU"),
    (23, "URG"),
    (24, "XCPU"),
    (25, "XFSZ"),
    (26, "VTALRM"),
    (27, "PROF"),
    (28, "WINCH"),
    (29, "POLL"),
    (29, "IO"),
    (30, "PWR"),
    (31, "SYS"),
    (34, "RTMIN"),
    (64, "RTMAX"),
];

impl Signal {
    /// SIGKILL, which cannot be caught.
    pub const KILL: Self = Self(9);
    /// SIGCONT, which continues a stopped process.
    pub const CONT: Self = Self(18);
    /// SIGABRT.
    pub const ABRT: Self = Self(6);
    /// SIGTERM, the default `stopsignal`.
    pub const TERM: Self = Self(15);

    /// Returns the signal with this number. `None`: there is none.
    #[must_use]
    pub fn from_number(number: i64) -> Option<Self> {
        // The C library reserves 32 and 33. Python has no names for them and rejects them.
        u8::try_from(number)
            .ok()
            .filter(|n| matches!(n, 0..=31 | 34..=64))
            .map(Self)
    }

    /// Returns the signal that killed a process, according to the kernel. This includes the two reserved ones, which
    /// cannot be configured.
    #[must_use]
    pub fn from_kernel(number: i32) -> Option<Self> {
        u8::try_from(number)
            .ok()
            .filter(|n| matches!(n, 1..=64))
            .map(Self)
    }

    /// Parses a number, or a name with or without `SIG`, in any case.
    ///
    /// # Errors
    /// The text names no signal.
    pub fn parse(text: &str) -> Result<Self, InvalidSignal> {
        let word = text.trim();
        if let Ok(number) = word.parse::<i64>() {
            return Self::from_number(number).ok_or_else(|| InvalidSignal::Number(text.to_owned()));
        }
        let upper = word.to_uppercase();
        let name = upper.strip_prefix("SIG").unwrap_or(&upper);
        NAMES
            .iter()
            .find(|(_, known)| *known == name)
            .map(|&(number, _)| Self(number))
            .ok_or_else(|| InvalidSignal::Name(text.to_owned()))
    }

    /// Returns all names without `SIG` and their numbers. Of several names for one number it returns the printed one.
    pub fn names() -> impl Iterator<Item = (&'static str, u8)> {
        let mut last = 0;
        NAMES.iter().filter_map(move |&(number, name)| {
            (std::mem::replace(&mut last, number) != number).then_some((name, number))
        })
    }

    /// Returns the number for the kernel.
    #[must_use]
    pub const fn number(self) -> i32 {
        self.0 as i32
    }
}

impl fmt::Display for Signal {
    /// Writes `SIGTERM`, or `signal 35` for a number without a name.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match NAMES.iter().find(|(number, _)| *number == self.0) {
            Some((_, name)) => write!(f, "SIG{name}"),
            None => write!(f, "signal {}", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cfg_31_names_with_and_without_sig_and_numbers() {
        for (text, number) in [
            ("TERM", 15),
            ("sigterm", 15),
            (" 15 ", 15),
            ("RTMIN", 34),
            ("0", 0),
            ("IO", 29),
        ] {
            assert_eq!(
                Signal::parse(text).map(Signal::number),
                Ok(number),
                "{text}"
            );
        }
        let error = |text: &str| Signal::parse(text).expect_err(text).to_string();
        assert_eq!(error("FOO"), "value 'FOO' is not a valid signal name");
        assert_eq!(error("99"), "value '99' is not a valid signal number");
    }

    #[test]
    fn printed_signal_names_are_supervisors() {
        for (number, name) in [
            (6, "SIGABRT"),
            (17, "SIGCHLD"),
            (29, "SIGPOLL"),
            (34, "SIGRTMIN"),
            (64, "SIGRTMAX"),
            (35, "signal 35"),
        ] {
            assert_eq!(Signal(number).to_string(), name);
        }
    }
}
