//! The log file of one stream, and the bytes that wait or are lost while the file cannot be written. The file may be
//! any path: a plain file, a pipe, a terminal, `/dev/stdout`.
//!
//! While writes fail, bytes are counted as lost and each later chunk tries again. While the reader is slow, bytes wait
//! here and the caller stops reading the pipe, so that the process blocks.

mod queued;

use std::cell::RefCell;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;

use super::file_recovery::{end_of, missing_part};
use super::log_sink::{Connections, LogSink, Pressure, SinkSource};
use super::sink_health::{SinkHealth, TargetName};
use crate::domain::{Errno, Line, Now, Tick, Wall};
use crate::output::closed_logs::ClosedLogs;
use crate::output::in_flight_log::LogMark;
use crate::output::line_form::{LINE_BYTES_MAX, LineForm, LineState, PIECE_BYTES, TAIL_BYTES};
use crate::output::log_dates;
use crate::output::log_file::{self, LogFile, LogRules, Rotation, WriteStop};
use crate::output::output_state::StreamState;
use crate::sys;
use crate::sys::safe_open::REFUSED;

/// How often a log that is written is checked for having been moved away, in nanoseconds.
const LOOK_NANOS: u64 = 1_000_000_000;
/// A file goes on to the next one at the end of a line, unless the line is longer than this number of bytes.
const OPEN_LINE_BYTES_MAX: usize = 1 << 20;

thread_local! {
    /// The lines that are being rendered.
    static PIECE: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// The log file of a stream, with its failure state.
#[derive(Debug)]
pub(super) struct FileSink {
    health: SinkHealth,
    rules: LogRules,
    /// `None`: the file could not be opened yet, for example a pipe without a reader.
    file: Option<LogFile>,
    /// Bytes that the slow reader has not taken yet. Bounded by one read, because nothing is read while they wait. At
    /// the end of an instance, the content of its pipe is added.
    waiting: Vec<u8>,
    /// Whether the last rotation failed and was logged.
    stuck: bool,
    /// Whether the file is full and must be rotated before the next chunk is written.
    rotation_due: bool,
    /// The oldest backup, which has no name any more. Closing it deletes it, which takes long.
    replaced: Option<OwnedFd>,
    /// `None`: the bytes are written as they are.
    form: Option<Box<LineForm>>,
    /// Whether the file depends on the date.
    is_dated: bool,
    /// The end of the file. Only maintained for a form or for dates, see [`FileSink::has_lines`].
    line: LineState,
    /// The size of the file, if its last line is incomplete.
    end: u64,
    /// The beginning of a line for a target that gets whole lines: one that is not a plain file.
    held: Vec<u8>,
    /// The time of the next chunk. `None`: it is not known yet.
    time: Option<Wall>,
    /// The last known time.
    clock: Wall,
    /// When the path was last checked.
    looked: Tick,
    /// Whether another file begins after the line that is incomplete now.
    is_over: bool,
    closed: Option<ClosedLogs>,
}

impl FileSink {
    /// Opens the log.
    ///
    /// # Errors
    /// As open(2). A pipe without a reader is no error: each chunk tries again.
    pub(super) fn open(
        source: &SinkSource<'_>,
        rules: LogRules,
        lines: &mut Vec<Line>,
    ) -> Result<Self, Errno> {
        let mut sink = Self::unopened(source, rules);
        match sink.try_open() {
            Ok(()) => {}
            // Differs: Supervisor and all its programs wait until the pipe has a reader.
            Err(error) if error.0 == nix::errno::Errno::ENXIO as i32 => {
                sink.health.fail(0, error, lines);
            }
            Err(error) => {
                if error == REFUSED {
                    let path = sink.health.target();
                    lines.push(Line::LogRefused { path });
                }
                return Err(error);
            }
        }
        Ok(sink)
    }

    /// A sink whose file could not be opened. Each chunk tries again.
    pub(super) fn failing(
        source: &SinkSource<'_>,
        rules: LogRules,
        error: Errno,
        lines: &mut Vec<Line>,
    ) -> Self {
        let mut sink = Self::unopened(source, rules);
        sink.health.fail(0, error, lines);
        sink
    }

    pub(super) fn unopened(source: &SinkSource<'_>, rules: LogRules) -> Self {
        let target = TargetName::Path(rules.path.clone());
        let options = rules.options.as_deref();
        let form = options.and_then(|options| {
            LineForm::new(source.spec, source.channel, options, log_dates::zone)
        });
        let period = options.and_then(|options| options.rotate.period);
        Self {
            is_dated: period.is_some() || log_dates::has_date(&rules.path),
            health: SinkHealth::new(source.spec.name.clone(), source.channel, target),
            form: form.map(Box::new),
            line: LineState::START,
            end: 0,
            held: Vec::new(),
            time: None,
            clock: Wall(0),
            looked: Tick(0),
            is_over: false,
            closed: None,
            rules,
            file: None,
            waiting: Vec::new(),
            stuck: false,
            rotation_due: false,
            replaced: None,
        }
    }

    /// Writes bytes or counts them as lost. Returns the number of written bytes if the remaining ones must wait.
    fn write_file(&mut self, data: &[u8], lines: &mut Vec<Line>) -> Option<usize> {
        self.rotate_now(lines);
        // After an error the path may mean another file by now. A full disk needs no reopen.
        if self.health.is_failing()
            && let Err(error) = self.mend()
        {
            self.health.fail(data.len(), error, lines);
            return None;
        }
        let Some(file) = &mut self.file else {
            let error = Errno(nix::errno::Errno::ENXIO as i32);
            self.health.fail(data.len(), error, lines);
            return None;
        };
        let (written, stop) = file.write(data);
        self.health.count_written(written);
        if let Some(WriteStop::Failed(error)) = stop {
            self.health.fail(data.len() - written, error, lines);
            return None;
        }
        if self.health.is_failing() {
            self.health.recover(lines);
        }
        if stop == Some(WriteStop::Full) {
            return Some(written);
        }
        if self.has_lines() {
            return None;
        }
        if self.file.as_ref().is_some_and(LogFile::rotates_slowly) {
            self.rotation_due = self.file.as_ref().is_some_and(LogFile::is_rotation_due);
        } else {
            self.rotate(lines);
        }
        None
    }

    fn rotate(&mut self, lines: &mut Vec<Line>) {
        let Some(file) = &mut self.file else { return };
        match file.rotate_if_due() {
            Ok(Rotation::Done(replaced)) => {
                self.stuck = false;
                self.replaced = replaced;
                self.closed = ClosedLogs::new(&self.rules, file.live());
            }
            Ok(Rotation::NotDue) => {}
            Err(error) => self.tell_stuck(error, lines),
        }
    }

    fn tell_stuck(&mut self, error: Errno, lines: &mut Vec<Line>) {
        if !std::mem::replace(&mut self.stuck, true) {
            lines.push(Line::RotateFailed {
                name: self.health.name(),
                channel: self.health.channel(),
                path: self.health.target(),
                error,
            });
        }
    }

    fn mend(&mut self) -> Result<(), Errno> {
        match &mut self.file {
            Some(file) => file.reopen()?,
            None => self.file = Some(LogFile::open(self.rules.clone())?),
        }
        self.read_end();
        Ok(())
    }

    /// Whether the sink knows where lines begin: for a form, and for a file that goes on to another one at the end of a
    /// line.
    fn has_lines(&self) -> bool {
        self.form.is_some() || self.is_dated
    }

    /// Learns from the file whether its last line is complete.
    fn read_end(&mut self) {
        let file = self.file.as_ref().filter(|_| self.has_lines());
        (self.line, self.end) = file.map_or((LineState::START, 0), end_of);
    }

    /// Completes a line that an instance before this one left in the file.
    pub(super) fn close_foreign_line(&mut self, lines: &mut Vec<Line>) {
        let (Some(form), Some(file)) = (&self.form, &self.file) else {
            return;
        };
        if !self.line.is_open() {
            return;
        }
        let mut end = Vec::new();
        match file.tail(self.end, TAIL_BYTES) {
            Ok(tail) => form.close_foreign(&tail, &mut end),
            Err(_) => end.push(b'\n'),
        }
        self.line = LineState::START;
        self.write_file(&end, lines);
    }

    /// Writes a chunk in lines: see [`FileSink::has_lines`].
    fn write_lines(&mut self, data: &[u8], lines: &mut Vec<Line>) {
        let time = self.time.take().unwrap_or_else(|| sys::now().wall);
        self.clock = time;
        if self.health.is_failing()
            && !self.is_waiting()
            && let Err(error) = self.mend()
        {
            self.health.fail(data.len(), error, lines);
            return;
        }
        let Some(mut form) = self.form.take() else {
            self.write_piece(data, lines);
            self.line = LineState::of_plain(data, self.line);
            return self.end_chunk(lines);
        };
        let is_plain = self.file.as_ref().is_some_and(LogFile::is_plain);
        let mut joined = std::mem::take(&mut self.held);
        let mut rest = data;
        if !is_plain {
            // A whole line, so that the lines of several programs do not mix.
            joined.extend_from_slice(data);
            let whole = joined.iter().rposition(|&byte| byte == b'\n');
            let whole = whole.map_or(0, |at| at + 1);
            if joined.len() - whole <= LINE_BYTES_MAX {
                self.held = joined.split_off(whole);
            }
            rest = &joined;
        }
        PIECE.with_borrow_mut(|piece| {
            while !rest.is_empty() {
                piece.clear();
                let used = form.render(&mut self.line, time, rest, piece);
                rest = &rest[used..];
                if !self.write_piece(piece, lines) {
                    self.health.fail_more(rest.len());
                    break;
                }
            }
            // One line may be much longer than a piece.
            piece.clear();
            piece.shrink_to(2 * PIECE_BYTES);
        });
        self.form = Some(form);
        self.end_chunk(lines);
    }

    /// Writes a part of a chunk. False: it was lost.
    fn write_piece(&mut self, piece: &[u8], lines: &mut Vec<Line>) -> bool {
        let mut rest = piece;
        if self.is_over
            && !self.is_waiting()
            && let Some(end) = piece.iter().position(|&byte| byte == b'\n')
        {
            let (line, after) = piece.split_at(end + 1);
            self.write_file(line, lines);
            self.next_file(lines);
            rest = after;
        }
        if self.is_waiting() {
            self.waiting.extend_from_slice(rest);
            return true;
        }
        if !rest.is_empty()
            && let Some(written) = self.write_file(rest, lines)
        {
            self.waiting.extend_from_slice(&rest[written..]);
        }
        !self.health.is_failing()
    }

    /// Goes on to another file because of the date or the size.
    fn next_file(&mut self, lines: &mut Vec<Line>) {
        self.is_over = false;
        let Some(file) = &mut self.file else { return };
        let now = self.clock;
        if !file.is_date_over(now) {
            return self.rotate(lines);
        }
        match file.next_file(now) {
            Ok(()) => {
                self.stuck = false;
                self.closed = ClosedLogs::new(&self.rules, file.live());
            }
            Err(error) => self.tell_stuck(error, lines),
        }
    }

    /// After a chunk: rotates the file if it is full, at the end of a line.
    fn end_chunk(&mut self, lines: &mut Vec<Line>) {
        let Some(file) = self.file.as_ref().filter(|_| !self.is_waiting()) else {
            return;
        };
        if file.is_rotation_due() {
            self.is_over = true;
        }
        if self.line.is_open() {
            self.end = file.size().unwrap_or(0);
        }
        // The date may be over as well, and is checked before the next chunk.
        if self.is_over && !self.line.is_open() && file.rotates_slowly() {
            self.is_over = false;
            self.rotation_due = true;
            return;
        }
        if self.is_over && (!self.line.is_open() || self.line.length() > OPEN_LINE_BYTES_MAX) {
            self.next_file(lines);
        }
    }

    /// Writes the rest of the last line, and ends it, at the end of the process.
    fn end_line(&mut self, lines: &mut Vec<Line>) {
        if self.health.is_failing() {
            return;
        }
        let held = std::mem::take(&mut self.held);
        let Some(mut form) = self.form.take() else {
            return;
        };
        let mut end = Vec::new();
        let now = sys::now().wall;
        let mut rest = &held[..];
        while !rest.is_empty() {
            let used = form.render(&mut self.line, now, rest, &mut end);
            rest = &rest[used..];
        }
        if self.line.is_open() {
            form.finish(&mut self.line, &mut end);
        }
        if !end.is_empty() {
            self.write_piece(&end, lines);
        }
    }

    /// Number of bytes that wait for a slow reader.
    pub(super) const fn waiting_bytes(&self) -> usize {
        self.waiting.len()
    }

    /// Closes the file without the rest of the output: `unwritten` bytes that the sink did not get, and `told_late` bytes
    /// that are counted already, but that no log line reports.
    pub(super) fn give_up(&mut self, unwritten: usize, told_late: u64, lines: &mut Vec<Line>) {
        self.health.give_up(unwritten, told_late);
        self.shut(lines);
    }

    /// Closes the file. What waits is lost.
    fn shut(&mut self, lines: &mut Vec<Line>) {
        let waiting = std::mem::take(&mut self.waiting);
        let held = std::mem::take(&mut self.held);
        self.health.close(waiting.len() + held.len(), lines);
        if let Some(mut file) = self.file.take() {
            file.finish();
        }
    }
}

impl LogSink for FileSink {
    fn health(&self) -> &SinkHealth {
        &self.health
    }

    fn pressure(&self) -> Pressure {
        Pressure::Holds
    }

    fn is_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    fn prepare(&mut self, now: Now, lines: &mut Vec<Line>) {
        self.time = Some(now.wall);
        self.clock = now.wall;
        if self.is_waiting() || self.health.is_failing() {
            return;
        }
        let Some(file) = &self.file else { return };
        if now.mono.nanos_since(self.looked) >= LOOK_NANOS {
            self.looked = now.mono;
            if file.is_moved_away() {
                self.reopen(lines);
            }
        }
        if !self.has_lines() {
            return;
        }
        // Another program has written to the file or has truncated it.
        if self.line.is_open() && self.file.as_ref().and_then(LogFile::size) != Some(self.end) {
            self.read_end();
        }
        if self
            .file
            .as_mut()
            .is_some_and(|file| file.is_date_over(now.wall))
        {
            self.is_over = true;
            if !self.line.is_open() {
                self.next_file(lines);
            }
        }
    }

    fn next_date(&self) -> Option<Wall> {
        let is_free = !self.is_over && !self.health.is_failing();
        self.file
            .as_ref()
            .filter(|_| is_free)
            .and_then(LogFile::next_date)
    }

    fn take_closed(&mut self) -> Option<ClosedLogs> {
        self.closed.take()
    }

    fn recovers(&self) -> bool {
        self.has_lines()
    }

    fn write_recovered(&mut self, data: &[u8], mark: LogMark, lines: &mut Vec<Line>) {
        if data.is_empty() {
            return;
        }
        let file = self.file.as_ref();
        let missing =
            file.and_then(|file| missing_part(file, self.form.as_deref_mut(), data, mark));
        let Some(missing) = missing else {
            self.time = mark.rendered_at;
            return self.write(data, lines);
        };
        if !missing.is_empty()
            && let Some(waits) = self.write_file(&missing, lines)
        {
            self.waiting.extend_from_slice(&missing[waits..]);
        }
        self.read_end();
        self.end_chunk(lines);
    }

    fn set_pid(&mut self, pid: i32) {
        if let Some(form) = &mut self.form {
            form.set_pid(pid);
        }
    }

    fn write(&mut self, data: &[u8], lines: &mut Vec<Line>) {
        if self.has_lines() {
            return self.write_lines(data, lines);
        }
        if self.is_waiting() {
            self.waiting.extend_from_slice(data);
            return;
        }
        if let Some(rest) = self.write_file(data, lines) {
            self.waiting.extend_from_slice(&data[rest..]);
        }
    }

    fn flush(&mut self, lines: &mut Vec<Line>) {
        if !self.is_waiting() && self.has_lines() {
            self.prepare(sys::now(), lines);
            self.time = None;
            return;
        }
        let data = std::mem::take(&mut self.waiting);
        if let Some(rest) = self.write_file(&data, lines) {
            self.waiting = data;
            self.waiting.drain(..rest);
        }
    }

    fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.file.as_ref().map(LogFile::fd)
    }

    fn log_path(&self) -> Option<Arc<Path>> {
        Some(self.rules.path.clone())
    }

    fn device(&self) -> Option<u64> {
        self.file.as_ref().map(LogFile::device)
    }

    /// See [`LogFile::mark`]. `None` also while writes fail, because the next chunk may go to another file.
    fn mark(&self) -> Option<LogMark> {
        let is_rendered = self.form.is_some();
        let file = self.file.as_ref();
        let file = file.filter(|_| !self.health.is_failing());
        let file = file.filter(|file| !is_rendered || file.is_plain());
        let mark = file.and_then(LogFile::mark)?;
        Some(LogMark {
            rendered_at: self.time.filter(|_| is_rendered),
            ..mark
        })
    }

    fn is_rotation_due(&self) -> bool {
        self.rotation_due
    }

    fn rotate_now(&mut self, lines: &mut Vec<Line>) {
        if std::mem::take(&mut self.rotation_due) {
            self.rotate(lines);
        }
    }

    fn not_rotated(&self) -> Option<Line> {
        let file = self.file.as_ref()?;
        file.cannot_rotate().then(|| Line::NotRotated {
            name: self.health.name(),
            channel: self.health.channel(),
            path: self.health.target(),
        })
    }

    fn take_replaced(&mut self) -> Option<OwnedFd> {
        self.replaced.take()
    }

    fn reopen(&mut self, lines: &mut Vec<Line>) {
        if let Err(error) = self.mend() {
            lines.push(Line::ReopenFailed {
                path: self.health.target(),
                error,
            });
        }
    }

    /// Removes the file and creates a new one.
    fn clear(&mut self, lines: &mut Vec<Line>) -> Result<(), Errno> {
        log_file::remove(&self.rules.path)?;
        self.reopen(lines);
        Ok(())
    }

    fn close(&mut self, lines: &mut Vec<Line>) {
        self.end_line(lines);
        self.shut(lines);
    }

    /// Logs the lost bytes now, because their count is not a part of the state.
    fn hand_over(&mut self, state: &mut StreamState, _to: &mut Connections, lines: &mut Vec<Line>) {
        let held = self.file.as_mut().map_or_else(Vec::new, LogFile::take_held);
        state.sink = [held, std::mem::take(&mut self.waiting)].concat();
        state.line = std::mem::take(&mut self.held);
        self.shut(lines);
    }

    fn resume(&mut self, state: &mut StreamState, lines: &mut Vec<Line>) {
        // It is rendered already.
        let waiting = std::mem::take(&mut state.sink);
        if !waiting.is_empty()
            && let Some(rest) = self.write_file(&waiting, lines)
        {
            self.waiting = waiting;
            self.waiting.drain(..rest);
        }
        self.held = std::mem::take(&mut state.line);
        self.read_end();
    }
}

#[cfg(test)]
#[path = "file_sink_tests.rs"]
mod tests;
