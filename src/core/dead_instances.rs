//! What dead instances of a process wrote last to standard error. It answers "why?" when the log is not at hand.

use std::collections::VecDeque;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::domain::ExitStatus;

/// Maximum number of dead instances that a process remembers.
pub(super) const INSTANCES_MAX: usize = 8;
/// Maximum number of bytes of a text.
const TEXT_BYTES_MAX: usize = 4 << 10;

/// An instance that has exited after it wrote to standard error.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct DeadInstance {
    /// Its PID.
    pub(super) pid: i32,
    /// When it exited, in seconds since the epoch.
    pub(super) exited: i64,
    pub(super) status: ExitStatus,
    /// The end of its standard error, or of its whole output with `redirect_stderr`.
    pub(super) stderr: Arc<str>,
}

/// The dead instances of one process, the oldest first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct DeadInstances(VecDeque<DeadInstance>);

impl DeadInstances {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds an instance and forgets the oldest ones beyond `most`.
    pub(super) fn push(&mut self, dead: DeadInstance, most: usize) {
        self.0.push_back(dead);
        let surplus = self.0.len().saturating_sub(most);
        self.0.drain(..surplus);
    }

    /// The newest `most` instances, the oldest first.
    pub(super) fn newest(&self, most: usize) -> impl Iterator<Item = &DeadInstance> {
        self.0.iter().skip(self.0.len().saturating_sub(most))
    }
}

/// The text of bytes, of at most [`TEXT_BYTES_MAX`] bytes. The first character may lack its beginning and is left out then.
pub(super) fn text_of(bytes: &[u8]) -> String {
    let is_inside = |byte: &u8| byte & 0b1100_0000 == 0b1000_0000;
    let inside = bytes
        .iter()
        .take(3)
        .take_while(|byte| is_inside(byte))
        .count();
    let text = String::from_utf8_lossy(&bytes[inside..]);
    // Replacement characters are longer than the bytes that they replace.
    let from = text.len().saturating_sub(TEXT_BYTES_MAX);
    let is_whole = |at: &usize| text.is_char_boundary(*at);
    let from = (from..text.len()).find(is_whole).unwrap_or(text.len());
    text[from..].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_bounded_and_begin_with_a_whole_character() {
        let bytes = "é".repeat(3000).into_bytes();
        let text = text_of(&bytes[bytes.len() - 4095..]);
        assert_eq!(text, "é".repeat(2047));
        let text = text_of(&[0xff; 4096]);
        assert!(text.len() <= TEXT_BYTES_MAX && text.ends_with('\u{fffd}'));
        assert_eq!(text_of(b""), "");
        assert_eq!(text_of(b"\x80\x80\x80\x80a"), "\u{fffd}a");
    }

    #[test]
    fn the_oldest_instance_is_forgotten_first() {
        let mut dead = DeadInstances::default();
        for pid in 1..=10 {
            let stderr = format!("{pid}").into();
            let (exited, status) = (0, ExitStatus::Exited(1));
            dead.push(
                DeadInstance {
                    pid,
                    exited,
                    status,
                    stderr,
                },
                3,
            );
        }
        let pids: Vec<i32> = dead.0.iter().map(|dead| dead.pid).collect();
        assert_eq!(pids, [8, 9, 10]);
        dead.push(dead.0[0].clone(), 1);
        assert_eq!(dead.0.len(), 1);
    }
}
