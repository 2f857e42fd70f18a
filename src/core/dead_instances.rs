//! What dead instances of a process wrote last to standard error. It answers "why?" when the log is not at hand.

use std::collections::VecDeque;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::Fleet;
use super::process::Process;
use super::stage::Stage;
use crate::api::{AccessScope, Fault, FaultCode, Reply, escape_member};
use crate::domain::{ExitStatus, InstanceId, Namespec};

/// Maximum number of dead instances that a process remembers.
const INSTANCES_MAX: usize = 8;
/// About how many dead instances all processes remember together, at least one each: 16 MiB of text.
const ALL_INSTANCES_MAX: usize = 4096;
/// Maximum number of bytes of a text.
const TEXT_BYTES_MAX: usize = 4 << 10;
/// Maximum number of bytes of one answer.
const ANSWER_BYTES_MAX: usize = 8 << 20;

/// An instance that has exited after it wrote to standard error.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct DeadInstance {
    /// Its PID.
    pid: i32,
    /// When it exited, in seconds since the epoch.
    exited: i64,
    status: ExitStatus,
    /// The end of its standard error, or of its whole output with `redirect_stderr`.
    stderr: Arc<str>,
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
    fn push(&mut self, dead: DeadInstance, most: usize) {
        self.0.push_back(dead);
        let surplus = self.0.len().saturating_sub(most);
        self.0.drain(..surplus);
    }
}

/// The text of bytes, of at most [`TEXT_BYTES_MAX`] bytes. The first character may lack its beginning and is left out then.
fn text_of(bytes: &[u8]) -> String {
    let is_inside = |byte: &u8| byte & 0b1100_0000 == 0b1000_0000;
    let inside = bytes
        .iter()
        .take(3)
        .take_while(|byte| is_inside(byte))
        .count();
    let text = String::from_utf8_lossy(&bytes[inside..]);
    // Replacement characters are longer than the bytes that they replace.
    let from = text.len().saturating_sub(TEXT_BYTES_MAX);
    text[text.ceil_char_boundary(from)..].to_owned()
}

impl Fleet {
    /// Keeps what an instance wrote last. Its process has exited, and its exit is not published yet.
    pub(super) fn keep_last_stderr(&mut self, instance: InstanceId, data: &[u8]) {
        let most = ALL_INSTANCES_MAX / self.slots.entries.len().max(1);
        let Some(process) = self.slots.get_mut(instance.slot) else {
            return;
        };
        let Stage::Reaped {
            instance: reaped,
            pid,
            status,
            ..
        } = *process.run.stage
        else {
            return;
        };
        let stderr = text_of(data);
        if reaped == instance && !stderr.is_empty() {
            let dead = DeadInstance {
                pid,
                exited: process.run.stop,
                status,
                stderr: stderr.into(),
            };
            process.dead.push(dead, most.clamp(1, INSTANCES_MAX));
        }
    }

    /// Returns the newest `most` (0: all) dead instances of each process that `names` mean, one per line. No names: all
    /// processes.
    ///
    /// # Errors
    /// FAILED: the answer would be too large.
    pub(super) fn last_stderr_lines(
        &self,
        names: &[String],
        most: usize,
        scope: &AccessScope,
    ) -> Result<Reply, Fault> {
        let mut lines = Vec::new();
        let mut bytes = 0;
        let most = if most == 0 { INSTANCES_MAX } else { most };
        for slot in self.slots_asked(names, scope) {
            let Some(process) = self.slots.get(slot) else {
                continue;
            };
            let (group, name) = (process.spec.group.as_str(), process.spec.name.as_str());
            let dead = &process.dead.0;
            for dead in dead.iter().skip(dead.len().saturating_sub(most)) {
                let line = format!(
                    "{}\t{}\t{}\t{}\t{}",
                    Namespec::print(group, name),
                    dead.pid,
                    dead.exited,
                    dead.status,
                    escape_member(&dead.stderr),
                );
                bytes += line.len();
                lines.push(line);
            }
            if bytes > ANSWER_BYTES_MAX {
                return Err(FaultCode::Failed.of("too much output (name fewer processes)"));
            }
        }
        Ok(Reply::Lines(lines))
    }
}

impl Process {
    /// The last line with text that the last instance wrote to standard error, as written. `None`: it wrote none.
    pub(super) fn last_stderr_line(&self) -> Option<&str> {
        let dead = self.dead.0.back()?;
        let is_last = dead.exited == self.run.stop;
        let mut lines = dead.stderr.lines().rev().map(str::trim);
        lines.find(|line| !line.is_empty()).filter(|_| is_last)
    }
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
