//! Writes one stream to the journal: splits bytes into lines, makes each line an entry, and applies the rate limit.
//!
//! While journald does not read, bytes wait here and the caller stops reading the pipe, so that the process blocks as
//! with a slow disk.

use std::time::Instant;

use super::file_writer::HANGS_AFTER;
use super::log_sink::{Connections, LogSink, Pressure, SinkSource};
use super::overflow::Overflow;
use super::sink_health::{SinkHealth, TargetName};
use crate::config::spec::{JournalSpec, RateLimit};
use crate::domain::Line;
use crate::output::fields;
use crate::output::journal::{Journal, SendResult, field, field_of};
use crate::output::output_state::{EntriesState, StreamState};

/// Maximum length of a line in bytes. A longer line becomes several entries; all but the last have
/// `SUPERVISOR_LINE_BREAK=line-max`. This is also the maximum that an unfinished line occupies.
pub(in super::super) const LINE_BYTES_MAX: usize = 1 << 20;
/// Capacity of the line buffer that is kept while it is empty.
const ROOM_KEPT: usize = 4 << 10;
/// The default priority of a line on either stream: informational.
const PRIORITY: u8 = 6;
/// The priority of the daemon's own entries in a stream: warning.
const OURS: u8 = 4;

/// The journal as a target of one stream.
#[derive(Debug)]
struct JournalSink {
    health: SinkHealth,
    /// The encoded fields that every entry has.
    head: Vec<u8>,
    /// Bytes of an unfinished line, or that could not be sent yet. Bounded by one line and one read, because nothing is
    /// read while it waits. At the end of an instance, the content of its pipe is added.
    held: Vec<u8>,
    /// Number of bytes at the start of `held` that contain no newline.
    scanned: usize,
    /// Whether `held` waits for journald.
    waiting: bool,
    /// The journal is one of several targets. `None`: journald may hold up the process.
    lag: Option<JournalLag>,
    /// Whether the stream has ended: the remaining bytes are a line.
    ended: bool,
    /// The priority of the entry with which the present line began, if the line was split. `None`: a new line.
    continues: Option<u8>,
    limiter: Option<Limiter>,
    entry: Vec<u8>,
}

/// Opens the journal for a stream, if it is configured.
pub(super) fn open(source: &SinkSource<'_>) -> Option<Box<dyn LogSink>> {
    let journal = source.log().named.journal?;
    Some(Box::new(JournalSink::new(source, journal)))
}

impl JournalSink {
    fn new(source: &SinkSource<'_>, journal: JournalSpec) -> Self {
        let SinkSource {
            instance,
            spec,
            channel,
        } = *source;
        let target = TargetName::Words("the journal");
        let mut health = SinkHealth::new(spec.name.clone(), channel, target);
        health.register(&spec.group);
        let mut head = Vec::new();
        let (name, group) = (spec.name.as_str(), spec.group.as_str());
        field(&mut head, fields::IDENTIFIER, name.as_bytes());
        field(&mut head, fields::GROUP, group.as_bytes());
        field(&mut head, fields::PROCESS, name.as_bytes());
        field(&mut head, fields::STREAM, channel.name().as_bytes());
        field_of(&mut head, fields::INCARNATION, &instance.incarnation);
        Self {
            health,
            head,
            held: Vec::new(),
            scanned: 0,
            waiting: false,
            lag: source.log().is_list().then(JournalLag::default),
            ended: false,
            continues: None,
            limiter: journal.limit.map(Limiter::new),
            entry: Vec::new(),
        }
    }

    /// Takes one chunk.
    fn send_chunk(&mut self, data: &[u8], journal: &mut Journal, lines: &mut Vec<Line>) {
        let data = match &mut self.lag {
            Some(lag) => lag.admit(data, self.held.len(), &mut self.health, lines),
            None => data,
        };
        if !self.held.is_empty() {
            self.held.extend_from_slice(data);
            if !self.waiting {
                self.send_held(journal, lines);
            }
            return;
        }
        let used = self.send_lines(data, journal, lines);
        self.held.extend_from_slice(&data[used..]);
        self.note_lag();
    }

    /// Notes whether journald is behind.
    fn note_lag(&mut self) {
        if let Some(lag) = &mut self.lag {
            match self.waiting {
                true => _ = lag.since.get_or_insert_with(Instant::now),
                false => lag.since = None,
            }
        }
    }

    /// Sends as much as possible.
    fn send_held(&mut self, journal: &mut Journal, lines: &mut Vec<Line>) {
        let mut held = std::mem::take(&mut self.held);
        let used = self.send_lines(&held, journal, lines);
        held.drain(..used);
        if held.capacity() > ROOM_KEPT && held.len() <= ROOM_KEPT {
            held.shrink_to(ROOM_KEPT);
        }
        self.held = held;
        self.note_lag();
    }

    /// Sends the lines of `data`. Returns how many of its bytes are processed.
    fn send_lines(&mut self, data: &[u8], journal: &mut Journal, lines: &mut Vec<Line>) -> usize {
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
            // The missing journal is logged once for all streams, by the caller of `Connections::check`.
            SendResult::Lost => {
                self.health.lose(bytes);
            }
            SendResult::Done => {
                self.health.count_written(bytes);
                self.health.recover_from_loss(lines);
            }
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

impl LogSink for JournalSink {
    fn health(&self) -> &SinkHealth {
        &self.health
    }

    fn pressure(&self) -> Pressure {
        match &self.lag {
            Some(lag) if lag.is_late() => Pressure::Drops,
            _ => Pressure::Holds,
        }
    }

    /// Whether journald is slow or briefly away.
    fn is_waiting(&self) -> bool {
        self.waiting
    }

    fn set_pid(&mut self, pid: i32) {
        field_of(&mut self.head, fields::PID, &pid);
    }

    fn send(&mut self, data: &[u8], to: &mut Connections, lines: &mut Vec<Line>) {
        self.send_chunk(data, &mut to.journal, lines);
    }

    fn send_waiting(&mut self, to: &mut Connections, lines: &mut Vec<Line>) {
        self.send_held(&mut to.journal, lines);
    }

    fn finish(&mut self, to: &mut Connections, lines: &mut Vec<Line>) {
        self.ended = true;
        if !self.waiting {
            self.send_held(&mut to.journal, lines);
        }
    }

    fn disconnect(&mut self, to: &mut Connections, lines: &mut Vec<Line>) {
        self.finish(to, lines);
        let held = std::mem::take(&mut self.held);
        self.health.close(held.len(), lines);
    }

    /// Reports suppressed lines first, because their count is not a part of the state. If the journal is full, only
    /// that count is lost.
    fn hand_over(&mut self, state: &mut StreamState, to: &mut Connections, lines: &mut Vec<Line>) {
        self.tell_suppressed(None, &mut to.journal, lines);
        state.journal = Some(EntriesState {
            held: std::mem::take(&mut self.held),
            continues: self.continues,
        });
    }

    fn resume(&mut self, state: &mut StreamState, _lines: &mut Vec<Line>) {
        if let Some(left) = state.journal.take() {
            self.waiting = left.held.contains(&b'\n');
            self.held = left.held;
            self.continues = left.continues;
        }
    }
}

/// How far the journal is behind as one of several targets, none of which may hold up the process for long.
#[derive(Debug, Default)]
struct JournalLag {
    /// Since when bytes wait. `None`: none do.
    since: Option<Instant>,
    overflow: Overflow,
}

impl JournalLag {
    fn is_late(&self) -> bool {
        self.since
            .is_some_and(|since| since.elapsed() >= HANGS_AFTER)
    }

    /// Returns the part of `data` that is kept, and counts the rest.
    fn admit<'a>(
        &mut self,
        data: &'a [u8],
        held: usize,
        health: &mut SinkHealth,
        lines: &mut Vec<Line>,
    ) -> &'a [u8] {
        let is_late = self.is_late();
        let admitted = self.overflow.admit(data, (held, LINE_BYTES_MAX), is_late);
        let dropped = data.len() - admitted.len();
        if dropped > 0 && health.lose(dropped) {
            lines.push(health.drops());
        }
        admitted
    }
}

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
#[path = "journal_sink_tests.rs"]
mod tests;
