//! The form in which output goes to a log file: each line with a prefix, or as a JSON object.
//!
//! A line is written as far as it has come: its beginning and what follows the message are separate pieces. So the file
//! itself is the record of a line that is not complete, a daemon that is killed loses no part of it, and the next daemon
//! learns from the end of the file how to go on ([`LineState::of_tail`]). For the same reason the bytes written for a
//! chunk depend on nothing but the chunk, its time and the end of the file before it, so that the next daemon can tell
//! how much of a chunk is written.

use std::io::Write as _;
use std::sync::Arc;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::config::log_options::{LogForm, LogOptions};
use crate::config::spec::ProcessSpec;
use crate::domain::{Channel, Wall};

/// Maximum bytes of the message of one JSON object before escapes. A longer line is divided; all its parts but the last
/// say so.
pub(super) const LINE_BYTES_MAX: usize = 16 << 10;
/// How much of the end of a file [`LineState::of_tail`] needs: one object. An escape has six bytes.
pub(super) const TAIL_BYTES: usize = 8 * LINE_BYTES_MAX;
/// U+FFFD, the replacement for bytes that are not valid UTF-8.
const REPLACEMENT: &[u8] = "\u{fffd}".as_bytes();
/// Bytes that are rendered before they are written. More would leave the processor's cache.
pub(super) const PIECE_BYTES: usize = 64 << 10;

/// What is before the next byte in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct LineState {
    /// Bytes of the incomplete line at the end of the file. 0: the next byte begins a line.
    length: usize,
    /// `None`: the file does not end in the middle of a UTF-8 character. Only in the form `json`.
    torn: Option<TornCharacter>,
}

/// A UTF-8 character whose beginning is in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct TornCharacter {
    /// The number of bytes that are missing.
    needs: u8,
    /// The least and the greatest value of the next byte. Those after it are from 0x80 to 0xbf.
    next: (u8, u8),
}

/// The values of a byte inside a UTF-8 character.
const INSIDE: (u8, u8) = (0x80, 0xbf);

impl LineState {
    /// The state of an empty file.
    pub(super) const START: Self = Self {
        length: 0,
        torn: None,
    };

    /// The state after a file that ends with `tail`.
    pub(super) fn of_tail(tail: &[u8]) -> Self {
        let begin = tail.iter().rposition(|&byte| byte == b'\n');
        let line = &tail[begin.map_or(0, |at| at + 1)..];
        Self {
            length: line.len(),
            torn: torn_end(line),
        }
    }

    /// The state after bytes that are written as they are.
    pub(super) fn of_plain(data: &[u8], before: Self) -> Self {
        let end = data.iter().rposition(|&byte| byte == b'\n');
        let length = match end {
            Some(at) => data.len() - at - 1,
            None => before.length + data.len(),
        };
        Self { length, torn: None }
    }

    /// Bytes of the incomplete line at the end of the file.
    pub(super) const fn length(self) -> usize {
        self.length
    }

    /// Whether the file ends with an incomplete line.
    pub(super) const fn is_open(self) -> bool {
        self.length > 0
    }
}

/// The character in the middle of which `bytes` end.
fn torn_end(bytes: &[u8]) -> Option<TornCharacter> {
    let from = bytes.len().saturating_sub(3);
    let lead = bytes[from..].iter().rposition(|&byte| byte >= 0xc0)? + from;
    let end = &bytes[lead..];
    if std::str::from_utf8(end).err()?.error_len().is_some() {
        return None;
    }
    let size = match end[0] {
        0xf0.. => 4,
        0xe0.. => 3,
        _ => 2,
    };
    let next = match end {
        [0xe0] => (0xa0, 0xbf),
        [0xed] => (0x80, 0x9f),
        [0xf0] => (0x90, 0xbf),
        [0xf4] => (0x80, 0x8f),
        _ => INSIDE,
    };
    Some(TornCharacter {
        needs: u8::try_from(size - end.len()).unwrap_or(0),
        next,
    })
}

/// The form of one stream's lines.
#[derive(Debug)]
pub(super) struct LineForm {
    is_json: bool,
    merges: bool,
    /// The zone of the times. `None`: UTC.
    zone: Option<TimeZone>,
    /// The text before each line, if it has no time.
    fixed: Option<Arc<str>>,
    /// The parts of a line's beginning around the PID, after the time.
    names: [String; 2],
    /// The same as fields of an object of the program.
    merged_names: [String; 2],
    time_key: String,
    pid: i32,
    /// The beginning of a line at `head_time`, rendered.
    head: Vec<u8>,
    head_time: Option<Wall>,
    /// The same with the names of the fields as in an object of the program.
    merged_head: Vec<u8>,
}

impl LineForm {
    /// The form of a stream. `None`: its bytes are written as they are.
    pub(super) fn new(
        spec: &ProcessSpec,
        channel: Channel,
        options: &LogOptions,
        zone: impl FnOnce() -> TimeZone,
    ) -> Option<Self> {
        let is_json = match options.form {
            LogForm::Plain => return None,
            LogForm::Prefix => false,
            LogForm::Json => true,
        };
        let (name, group) = (spec.name.as_str(), spec.group.as_str());
        let stream = channel.name();
        let program = options.program.as_deref().unwrap_or(name);
        let fields = |under: &str| {
            let [program, group, name] = [program, group, name].map(quoted);
            [
                format!(
                    "\"{under}program\":{program},\"{under}group\":{group},\"{under}process\":{name},\"{under}pid\":"
                ),
                format!(",\"{under}stream\":\"{stream}\""),
            ]
        };
        let names = match is_json {
            true => fields(""),
            false => [format!("{name} {stream} "), ": ".to_owned()],
        };
        Some(Self {
            is_json,
            merges: is_json && options.json_merge,
            zone: (!options.utc).then(zone),
            fixed: options.prefix.clone().filter(|_| !is_json),
            names,
            merged_names: fields("supervisor."),
            time_key: options.json_time_key.to_string(),
            pid: 0,
            head: Vec::new(),
            head_time: None,
            merged_head: Vec::new(),
        })
    }

    /// The PID of the process.
    pub(super) fn set_pid(&mut self, pid: i32) {
        self.pid = pid;
        self.head_time = None;
    }

    /// Renders a part of `data`, which was read at `time`, until about [`PIECE_BYTES`] are in `out`. Returns how many
    /// bytes of `data` that was.
    pub(super) fn render(
        &mut self,
        state: &mut LineState,
        time: Wall,
        data: &[u8],
        out: &mut Vec<u8>,
    ) -> usize {
        self.set_time(time);
        let mut rest = data;
        while !rest.is_empty() && out.len() < PIECE_BYTES {
            let end = find_newline(rest);
            let line = &rest[..end.unwrap_or(rest.len())];
            let is_complete = end.is_some();
            let used = if !state.is_open() && is_complete && self.is_merged(line) {
                self.merge(line, out);
                *state = LineState::START;
                line.len()
            } else {
                self.part(state, line, is_complete, out)
            };
            rest = &rest[used..];
            // The newline, unless the line was divided.
            if is_complete && used == line.len() {
                rest = &rest[1..];
            }
        }
        data.len() - rest.len()
    }

    /// Ends the incomplete line at the end of the file.
    pub(super) fn finish(&self, state: &mut LineState, out: &mut Vec<u8>) {
        if self.is_json {
            complete(state.torn, out);
            out.extend_from_slice(b"\"}");
        }
        out.push(b'\n');
        *state = LineState::START;
    }

    /// Ends an incomplete line at the end of the file, which ends with `tail`. The line may have had another form.
    pub(super) fn close_foreign(&self, tail: &[u8], out: &mut Vec<u8>) {
        let begin = tail.iter().rposition(|&byte| byte == b'\n');
        let line = &tail[begin.map_or(0, |at| at + 1)..];
        match self.is_json && line.starts_with(b"{\"") {
            true => self.finish(&mut LineState::of_tail(tail), out),
            false => out.push(b'\n'),
        }
    }

    /// Renders as much of a line as fits. Returns how many bytes that was; the newline is not counted.
    fn part(&self, state: &mut LineState, line: &[u8], ends: bool, out: &mut Vec<u8>) -> usize {
        let before = out.len();
        if !state.is_open() {
            out.extend_from_slice(&self.head);
        }
        if !self.is_json {
            out.extend_from_slice(line);
            state.length += out.len() - before;
            if ends {
                out.push(b'\n');
                *state = LineState::START;
            }
            return line.len();
        }
        // The bytes in the file count, so that the next daemon divides the line at the same place.
        let room = LINE_BYTES_MAX.saturating_sub(state.length).max(4);
        let used = whole_characters(line, room);
        let is_last = used == line.len();
        escape(state, &line[..used], ends || !is_last, out);
        state.length += out.len() - before;
        if ends || !is_last {
            out.extend_from_slice(if is_last {
                &b"\"}\n"[..]
            } else {
                b"\",\"partial\":true}\n"
            });
            *state = LineState::START;
        }
        used
    }

    /// Whether a line is a JSON object to which the fields are added.
    fn is_merged(&self, line: &[u8]) -> bool {
        self.merges
            && line.len() <= LINE_BYTES_MAX
            && line.trim_ascii_start().starts_with(b"{")
            && line.trim_ascii_end().ends_with(b"}")
            && serde_json::from_slice::<serde::de::IgnoredAny>(line).is_ok()
    }

    /// Writes an object of the program with our fields first.
    fn merge(&self, line: &[u8], out: &mut Vec<u8>) {
        let line = line.trim_ascii();
        let inside = line[1..].trim_ascii_start();
        out.extend_from_slice(&self.merged_head);
        if !inside.starts_with(b"}") {
            out.push(b',');
        }
        out.extend_from_slice(inside);
        out.push(b'\n');
    }

    /// Renders the beginning of lines at this time.
    fn set_time(&mut self, time: Wall) {
        if self.head_time == Some(time) {
            return;
        }
        self.head_time = Some(time);
        self.head.clear();
        self.merged_head.clear();
        if let Some(fixed) = &self.fixed {
            self.head.extend_from_slice(fixed.as_bytes());
            self.head.push(b' ');
            return;
        }
        let time = shown(time, self.zone.as_ref());
        let [before, after] = &self.names;
        let pid = self.pid;
        // A write to a Vec does not fail.
        if self.is_json {
            let key = quoted(&self.time_key);
            let _ = write!(
                self.head,
                "{{{key}:\"{time}\",{before}{pid}{after},\"message\":\""
            );
        } else {
            let _ = write!(self.head, "{time} {before}{pid}{after}");
        }
        if self.merges {
            let key = quoted(&format!("supervisor.{}", self.time_key));
            let [before, after] = &self.merged_names;
            let _ = write!(self.merged_head, "{{{key}:\"{time}\",{before}{pid}{after}");
        }
    }
}

/// Escapes a part of a message. `ends`: the message ends with it.
fn escape(state: &mut LineState, mut text: &[u8], ends: bool, out: &mut Vec<u8>) {
    if let Some(torn) = state.torn {
        // The rest of a character whose beginning is in the file.
        let count = usize::from(torn.needs).min(text.len());
        let is_rest = text[..count].iter().enumerate().all(|(at, byte)| {
            let (least, most) = if at == 0 { torn.next } else { INSIDE };
            (least..=most).contains(byte)
        });
        if is_rest && count > 0 {
            out.extend_from_slice(&text[..count]);
            text = &text[count..];
            let needs = torn.needs - u8::try_from(count).unwrap_or(torn.needs);
            state.torn = (needs > 0).then_some(TornCharacter {
                needs,
                next: INSIDE,
            });
        }
        if state.torn.is_some() && (!is_rest || ends) {
            complete(state.torn.take(), out);
        }
    }
    while !text.is_empty() {
        let error = match std::str::from_utf8(text) {
            Ok(valid) => return escape_valid(valid.as_bytes(), out),
            Err(error) => error,
        };
        let (valid, after) = text.split_at(error.valid_up_to());
        escape_valid(valid, out);
        match error.error_len() {
            Some(length) => {
                out.extend_from_slice(REPLACEMENT);
                text = &after[length..];
            }
            None if ends => return out.extend_from_slice(REPLACEMENT),
            None => {
                // The next chunk has the rest of the character.
                out.extend_from_slice(after);
                state.torn = torn_end(after);
                return;
            }
        }
    }
}

/// RFC 3339 with milliseconds and the offset of the zone.
fn shown(time: Wall, zone: Option<&TimeZone>) -> String {
    let stamp = Timestamp::from_nanosecond(i128::from(time.0)).unwrap_or_default();
    match zone {
        None => stamp.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string(),
        Some(zone) => {
            let zoned = stamp.to_zoned(zone.clone());
            zoned.strftime("%Y-%m-%dT%H:%M:%S.%3f%:z").to_string()
        }
    }
}

/// A JSON string.
fn quoted(text: &str) -> String {
    serde_json::to_string(text).unwrap_or_default()
}

/// Completes a character that its rest did not follow, since a byte in the file cannot be taken back, and marks the place.
fn complete(torn: Option<TornCharacter>, out: &mut Vec<u8>) {
    if let Some(torn) = torn {
        for at in 0..torn.needs {
            out.push(if at == 0 { torn.next.0 } else { INSIDE.0 });
        }
        out.extend_from_slice(REPLACEMENT);
    }
}

/// The number of bytes at the beginning of `line` that fit into `room`, without a part of a UTF-8 character at the end,
/// if that leaves any.
fn whole_characters(line: &[u8], room: usize) -> usize {
    if line.len() <= room {
        return line.len();
    }
    let mut used = room;
    while used > room.saturating_sub(3) && line[used] & 0xc0 == 0x80 {
        used -= 1;
    }
    if used == 0 { room } else { used }
}

/// The escape of each ASCII character in a JSON string. Empty: the character needs none.
static ESCAPES: [&[u8]; 128] = escapes();

const fn escapes() -> [&'static [u8]; 128] {
    const CONTROLS: [&[u8]; 32] = [
        b"\\u0000", b"\\u0001", b"\\u0002", b"\\u0003", b"\\u0004", b"\\u0005", b"\\u0006",
        b"\\u0007", b"\\b", b"\\t", b"\\n", b"\\u000b", b"\\f", b"\\r", b"\\u000e", b"\\u000f",
        b"\\u0010", b"\\u0011", b"\\u0012", b"\\u0013", b"\\u0014", b"\\u0015", b"\\u0016",
        b"\\u0017", b"\\u0018", b"\\u0019", b"\\u001a", b"\\u001b", b"\\u001c", b"\\u001d",
        b"\\u001e", b"\\u001f",
    ];
    let mut all: [&'static [u8]; 128] = [b""; 128];
    let mut at = 0;
    while at < CONTROLS.len() {
        all[at] = CONTROLS[at];
        at += 1;
    }
    all[b'"' as usize] = b"\\\"";
    all[b'\\' as usize] = b"\\\\";
    all[0x7f] = b"\\u007f";
    all
}

/// Whether one of eight bytes needs an escape. Each byte of the result is zero exactly if none does.
const fn needs_escape(word: u64) -> bool {
    const ONES: u64 = u64::MAX / 255;
    const HIGHS: u64 = ONES << 7;
    /// Zero bytes of `word` give a set high bit; other bits may be set above such a byte only.
    const fn zeros(word: u64) -> u64 {
        word.wrapping_sub(ONES) & !word & HIGHS
    }
    let controls = word.wrapping_sub(ONES * 0x20) & !word & HIGHS;
    let quotes = zeros(word ^ (ONES * b'"' as u64));
    let backslashes = zeros(word ^ (ONES * b'\\' as u64));
    let deletes = zeros(word ^ (ONES * 0x7f));
    (controls | quotes | backslashes | deletes) != 0
}

/// Copies valid UTF-8 in runs between characters that need an escape.
fn escape_valid(text: &[u8], out: &mut Vec<u8>) {
    let mut copied = 0;
    let mut at = 0;
    while at < text.len() {
        if let Some(eight) = text[at..].first_chunk::<8>()
            && !needs_escape(u64::from_le_bytes(*eight))
        {
            at += 8;
            continue;
        }
        let end = text.len().min(at + 8);
        while at < end {
            if let Some(escape) = ESCAPES.get(usize::from(text[at]))
                && !escape.is_empty()
            {
                out.extend_from_slice(&text[copied..at]);
                out.extend_from_slice(escape);
                copied = at + 1;
            }
            at += 1;
        }
    }
    out.extend_from_slice(&text[copied..]);
}

/// The place of the first newline.
fn find_newline(bytes: &[u8]) -> Option<usize> {
    const ONES: u64 = u64::MAX / 255;
    let mut at = 0;
    while let Some(eight) = bytes[at..].first_chunk::<8>() {
        let word = u64::from_le_bytes(*eight) ^ (ONES * b'\n' as u64);
        let zeros = word.wrapping_sub(ONES) & !word & (ONES << 7);
        if zeros != 0 {
            return Some(at + zeros.trailing_zeros() as usize / 8);
        }
        at += 8;
    }
    let rest = bytes[at..].iter().position(|&byte| byte == b'\n')?;
    Some(at + rest)
}

#[cfg(test)]
#[path = "line_form_tests.rs"]
mod tests;
