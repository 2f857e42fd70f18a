//! Writes one stream to the journal: splits bytes into lines, makes each line an entry, and applies the rate limit.
//!
//! While journald does not read, bytes wait here and the caller stops reading the pipe, so that the process blocks as
//! with a slow disk.

use std::time::Instant;

use super::fields;
use super::journal::{Journal, SendResult, field, field_of};
use super::output_state::EntriesState;
use crate::config::spec::{JournalSpec, ProcessSpec, RateLimit};
use crate::domain::{Channel, InstanceId, Line, ProcessName};

/// Maximum length of a line in bytes. A longer line becomes several entries; all but the last have
/// `SUPERVISOR_LINE_BREAK=line-max`. This is also the maximum that an unfinished line occupies.
pub(super) const LINE_BYTES_MAX: usize = 1 << 20;
/// Capacity of the line buffer that is kept while it is empty.
const ROOM_KEPT: usize = 4 << 10;
/// The default priority of a line on either stream: informational.
const PRIORITY: u8 = 6;
/// The priority of the daemon's own entries in a stream: warning.
const OURS: u8 = 4;

/// The journal as the log of one stream.
#[derive(Debug)]
pub(super) struct Entries {
    name: ProcessName,
    channel: Channel,
    /// The encoded fields that every entry has.
    head: Vec<u8>,
    /// Bytes of an unfinished line, or that could not be sent yet. Bounded by one line and one read, because nothing is
    /// read while it waits. At the end of an instance, the content of its pipe is added.
    held: Vec<u8>,
    /// Number of bytes at the start of `held` that contain no newline.
    scanned: usize,
    /// Whether `held` waits for journald.
    waiting: bool,
    /// Whether the stream has ended: the remaining bytes are a line.
    ended: bool,
    /// The priority of the entry with which the present line began, if the line was split. `None`: a new line.
    continues: Option<u8>,
    limiter: Option<Limiter>,
    /// Bytes lost since the last line about lost bytes.
    lost: u64,
    entry: Vec<u8>,
}

impl Entries {
    pub(super) fn new(
        instance: InstanceId,
        spec: &ProcessSpec,
        channel: Channel,
        journal: JournalSpec,
    ) -> Self {
        let mut head = Vec::new();
        let (name, group) = (spec.name.as_str(), spec.group.as_str());
        field(&mut head, fields::IDENTIFIER, name.as_bytes());
        field(&mut head, fields::GROUP, group.as_bytes());
        field(&mut head, fields::PROCESS, name.as_bytes());
        field(&mut head, fields::STREAM, channel.name().as_bytes());
        field_of(&mut head, fields::INCARNATION, &instance.incarnation);
        Self {
            name: spec.name.clone(),
            channel,
            head,
            held: Vec::new(),
            scanned: 0,
            waiting: false,
            ended: false,
            continues: None,
            limiter: journal.limit.map(Limiter::new),
            lost: 0,
            entry: Vec::new(),
        }
    }

    /// Adds the pid of the process to all entries. Call it before the first write.
    pub(super) fn of_pid(&mut self, pid: i32) {
        field_of(&mut self.head, fields::PID, &pid);
    }

    /// Turns the entries into their state for the next daemon. Reports suppressed lines first: their count is not part
    /// of the state.
    pub(super) fn hand_over(
        mut self,
        journal: &mut Journal,
        lines: &mut Vec<Line>,
    ) -> EntriesState {
        // If the journal is full, only this count is lost.
        self.tell_suppressed(None, journal, lines);
        EntriesState {
            held: self.held,
            continues: self.continues,
        }
    }

    /// Continues with the state of a previous daemon.
    pub(super) fn resume(&mut self, instance_state: EntriesState) {
        self.waiting = instance_state.held.contains(&b'\n');
        self.held = instance_state.held;
        self.continues = instance_state.continues;
    }

    /// Whether journald is slow or briefly away. Nothing should be read from the pipe while it is.
    pub(super) fn is_waiting(&self) -> bool {
        self.waiting
    }

    /// Takes one chunk.
    pub(super) fn write(&mut self, data: &[u8], journal: &mut Journal, lines: &mut Vec<Line>) {
        if !self.held.is_empty() {
            self.held.extend_from_slice(data);
            if !self.waiting {
                self.flush(journal, lines);
            }
            return;
        }
        let used = self.send(data, journal, lines);
        self.held.extend_from_slice(&data[used..]);
    }

    /// Sends as much as possible.
    pub(super) fn flush(&mut self, journal: &mut Journal, lines: &mut Vec<Line>) {
        let mut held = std::mem::take(&mut self.held);
        let used = self.send(&held, journal, lines);
        held.drain(..used);
        if held.capacity() > ROOM_KEPT && held.len() <= ROOM_KEPT {
            held.shrink_to(ROOM_KEPT);
        }
        self.held = held;
    }

    /// Ends the stream: an unfinished line becomes an entry.
    pub(super) fn finish(&mut self, journal: &mut Journal, lines: &mut Vec<Line>) {
        self.ended = true;
        if !self.waiting {
            self.flush(journal, lines);
        }
    }

    /// Drops the waiting bytes and reports the loss in `lines`.
    pub(super) fn close(mut self, journal: &mut Journal, lines: &mut Vec<Line>) {
        self.finish(journal, lines);
        self.lost = self.lost.saturating_add(self.held.len() as u64);
        if self.lost > 0 {
            lines.push(Line::SinkLost {
                name: self.name,
                channel: self.channel.name().to_owned(),
                path: JOURNAL.to_owned(),
                lost: self.lost,
            });
        }
    }

    /// Sends the lines of `data`. Returns how many of its bytes are processed.
    fn send(&mut self, data: &[u8], journal: &mut Journal, lines: &mut Vec<Line>) -> usize {
        let mut used = 0;
        self.waiting = false;
        loop {
            let rest = &data[used..];
            let from = std::mem::take(&mut self.scanned).min(rest.len());
            let reach = rest.len().min(LINE_BYTES_MAX + 1);
            let end = rest[from.min(reach)..reach]
                .iter()
                .position(|&byte| byte == b'\n')
                .map(|at| from.min(reach) + at);
            // The length of the line, the bytes it uses up with its newline, and why it was split.
            let (length, taken, broken) = match end {
                Some(at) => (at, at + 1, None),
                None if rest.len() > LINE_BYTES_MAX => {
                    (LINE_BYTES_MAX, LINE_BYTES_MAX, Some("line-max"))
                }
                None if self.ended && !rest.is_empty() => (rest.len(), rest.len(), Some("eof")),
                None => {
                    self.scanned = rest.len();
                    if self.ended && !self.tell_suppressed(None, journal, lines) {
                        self.waiting = true;
                    }
                    return used;
                }
            };
            let now = Instant::now();
            if !self.tell_suppressed(Some(now), journal, lines) {
                self.waiting = true;
                return used;
            }
            if let Some(limiter) = &mut self.limiter
                && !limiter.has_room()
            {
                limiter.suppressed += 1;
                self.continues = broken.filter(|&why| why == "line-max").map(|_| PRIORITY);
                used += taken;
                continue;
            }
            let (priority, message) = match self.continues {
                Some(priority) => (priority, &rest[..length]),
                None => prefixed(&rest[..length]),
            };
            let sent = self.entry(priority, message, broken, journal);
            if !self.count_sent(sent, taken, lines) {
                self.waiting = true;
                return used;
            }
            if let Some(limiter) = &mut self.limiter {
                limiter.taken += 1;
            }
            self.continues = broken.filter(|&why| why == "line-max").map(|_| priority);
            used += taken;
        }
    }

    fn entry(
        &mut self,
        priority: u8,
        message: &[u8],
        broken: Option<&str>,
        journal: &mut Journal,
    ) -> SendResult {
        self.entry.clear();
        field(&mut self.entry, fields::MESSAGE, message);
        field_of(&mut self.entry, fields::PRIORITY, &priority);
        if let Some(why) = broken {
            field(&mut self.entry, fields::LINE_BREAK, why.as_bytes());
        }
        self.entry.extend_from_slice(&self.head);
        let sent = journal.send(&self.entry);
        if self.entry.capacity() > ROOM_KEPT {
            self.entry = Vec::new();
        }
        sent
    }

    /// Counts a lost entry, or reports that the journal works again. False: the entry must be sent again later.
    fn count_sent(&mut self, sent: SendResult, bytes: usize, lines: &mut Vec<Line>) -> bool {
        match sent {
            SendResult::Later => return false,
            SendResult::Lost => {
                // The missing journal is logged once for all streams, by the caller of `Journal::check`.
                self.lost = self.lost.saturating_add(bytes as u64);
            }
            SendResult::Done if self.lost > 0 => lines.push(Line::SinkRecovered {
                name: self.name.clone(),
                channel: self.channel.name().to_owned(),
                path: JOURNAL.to_owned(),
                lost: std::mem::take(&mut self.lost),
            }),
            SendResult::Done => {}
        }
        true
    }

    /// Starts a new interval if the present one is over at `now`; `None`: ends the last interval. Sends an entry about
    /// the suppressed lines. False: that entry must be sent again later.
    fn tell_suppressed(
        &mut self,
        now: Option<Instant>,
        journal: &mut Journal,
        lines: &mut Vec<Line>,
    ) -> bool {
        let Some(limiter) = &mut self.limiter else {
            return true;
        };
        if now.is_some_and(|now| !limiter.is_over(now)) {
            return true;
        }
        let (suppressed, limit) = (limiter.suppressed, limiter.limit);
        if suppressed > 0 {
            let text = format!("{suppressed} lines suppressed (rate limit {limit})");
            let sent = self.entry(OURS, text.as_bytes(), None, journal);
            if !self.count_sent(sent, 0, lines) {
                return false;
            }
        }
        if let Some(limiter) = &mut self.limiter {
            limiter.begin(now);
        }
        true
    }
}

/// The path in log lines about the journal.
const JOURNAL: &str = "the journal";

/// Splits the priority prefix off a line.
///
/// # Source
/// sd-daemon(3): `<0>` to `<7>`.
fn prefixed(line: &[u8]) -> (u8, &[u8]) {
    match line {
        [b'<', digit @ b'0'..=b'7', b'>', rest @ ..] => (digit - b'0', rest),
        _ => (PRIORITY, line),
    }
}

/// Counts lines per interval. An interval starts with the first line after the end of the previous one.
#[derive(Debug)]
struct Limiter {
    limit: RateLimit,
    begun: Option<Instant>,
    taken: u32,
    suppressed: u64,
}

impl Limiter {
    fn new(limit: RateLimit) -> Self {
        Self {
            limit,
            begun: None,
            taken: 0,
            suppressed: 0,
        }
    }

    fn is_over(&self, now: Instant) -> bool {
        self.begun
            .is_none_or(|begun| now.duration_since(begun) >= self.limit.interval)
    }

    fn begin(&mut self, now: Option<Instant>) {
        self.begun = now;
        self.taken = 0;
        self.suppressed = 0;
    }

    fn has_room(&self) -> bool {
        self.taken < self.limit.lines
    }
}

#[cfg(test)]
#[path = "entries_tests.rs"]
mod tests;
