//! The log targets of one stream behind one trait, [`LogSink`]. `config/log_target.rs` has the list of all targets besides
//! the log file, of which [`open_targets`] is made.
//!
//! A chunk reaches the sinks in two steps, because a file may block for as long as its file system does:
//!
//! 1. In a job, on the thread that read the chunk and without the reactor's lock: [`LogSink::write`] and the methods
//!    about files. Only a job that hangs on its own file waits (`output/hub.rs`).
//! 2. Afterwards, with the reactor's lock and the [`Connections`] that all streams share: [`LogSink::send`] and the
//!    methods after it. They must not block.
//!
//! A sink implements the methods of one step; the others do nothing by default. No sink waits for another one. A sink
//! that cannot take a chunk keeps it, or drops and counts it: see [`Pressure`].

mod file_recovery;
mod file_sink;
mod file_writer;
mod log_sink;
mod memory_sink;
mod overflow;
mod queued_file;
mod sink_health;

use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;

use file_sink::FileSink;
pub(super) use journal_sink::LINE_BYTES_MAX;
pub(super) use log_sink::{Connections, LogSink, Pressure, SinkSource};
use queued_file::QueuedFile;
pub(super) use queued_file::flush_ended;

use super::closed_logs::ClosedLogs;
use super::in_flight_log::{LogMarks, written};
use super::log_file::LogRules;
use super::output_state::StreamState;
use crate::config::log_target::log_targets;
use crate::domain::{Errno, Line, Now, Wall};

/// Declares the module of each target's sink and opens the targets of a stream without blocking. `open` in such a module
/// returns the sinks for its target: an `Option`, or a list if the stream can go to several of them.
macro_rules! declare {
    ($($(#[$_about:meta])* $_field:ident: $_settings:ty, in $module:ident, $_add:ident;)*) => {
        $(mod $module;)*

        fn open_targets(source: &SinkSource<'_>) -> Vec<Box<dyn LogSink>> {
            let mut sinks: Vec<_> = memory_sink::open(source).into_iter().collect();
            $(sinks.extend($module::open(source));)*
            sinks
        }
    };
}
log_targets!(declare);

/// The sinks of one stream.
#[derive(Debug, Default)]
pub(super) struct Sinks {
    /// The log file. Most streams have this sink and no other one, so a chunk for it costs neither an allocation nor a
    /// call through a table of functions.
    file: Option<FileSink>,
    /// The other targets, see [`open_targets`].
    others: Vec<Box<dyn LogSink>>,
}

impl Sinks {
    /// Opens the sinks of a stream. `rules`: the settings of the log file; `None`: there is no file.
    ///
    /// # Errors
    /// As [`FileSink::open`].
    pub(super) fn open(
        source: &SinkSource<'_>,
        rules: Option<LogRules>,
        lines: &mut Vec<Line>,
    ) -> Result<Self, Errno> {
        if source.log().is_list() {
            return Ok(Self::of_list(source, rules, true));
        }
        let rules = rules.or_else(|| Self::only_file(source));
        let mut file = rules
            .map(|rules| FileSink::open(source, rules, lines))
            .transpose()?;
        if let Some(file) = &mut file {
            file.close_foreign_line(lines);
        }
        Ok(Self::with_file(source, file))
    }

    /// Like [`Sinks::open`], but a log file that cannot be opened is no error: each chunk tries again.
    pub(super) fn open_or_fail(
        source: &SinkSource<'_>,
        rules: Option<LogRules>,
        lines: &mut Vec<Line>,
    ) -> Self {
        if source.log().is_list() {
            return Self::of_list(source, rules, false);
        }
        let rules = rules.or_else(|| Self::only_file(source));
        let file = rules.map(|rules| {
            FileSink::open(source, rules.clone(), lines)
                .unwrap_or_else(|error| FileSink::failing(source, rules, error, lines))
        });
        Self::with_file(source, file)
    }

    fn with_file(source: &SinkSource<'_>, file: Option<FileSink>) -> Self {
        Self {
            file: file.map(|file| file.registered(&source.spec.group)),
            others: open_targets(source),
        }
    }

    /// The only file of a list whose other items name no target, such as `/dev/stdout, /dev/null`.
    fn only_file(source: &SinkSource<'_>) -> Option<LogRules> {
        let path = source.log().more_files.first()?;
        Some(source.rules(path.clone()))
    }

    /// Opens a list of targets, none of which waits for another one. `is_new`: of a new instance.
    fn of_list(source: &SinkSource<'_>, rules: Option<LogRules>, is_new: bool) -> Self {
        let more = source.log().more_files.iter();
        let more = more.map(|path| source.rules(path.clone()));
        let files = rules.into_iter().chain(more);
        let files = files
            .map(|rules| -> Box<dyn LogSink> { Box::new(QueuedFile::open(source, rules, is_new)) });
        Self {
            file: None,
            others: files.chain(open_targets(source)).collect(),
        }
    }

    /// All sinks.
    fn each(&self) -> impl Iterator<Item = &dyn LogSink> {
        let file = self.file.iter().map(|file| -> &dyn LogSink { file });
        file.chain(self.others.iter().map(|sink| -> &dyn LogSink { &**sink }))
    }

    /// All sinks.
    fn each_mut(&mut self) -> impl Iterator<Item = &mut dyn LogSink> {
        let file = self.file.iter_mut();
        let file = file.map(|file| -> &mut dyn LogSink { file });
        let others = self.others.iter_mut();
        file.chain(others.map(|sink| -> &mut dyn LogSink { &mut **sink }))
    }

    /// Whether a log file waits for a slow reader.
    pub(super) fn file_waits(&self) -> bool {
        self.file.as_ref().is_some_and(LogSink::is_waiting)
            || self.others.iter().any(|sink| sink.holds_reads())
    }

    /// Whether a sink waits for a connection and exerts back-pressure.
    pub(super) fn connection_waits(&self) -> bool {
        self.others
            .iter()
            .any(|sink| sink.pressure() == Pressure::Holds && sink.is_waiting())
    }

    /// Whether a sink has bytes for a connection that is slow.
    pub(super) fn wants_connection(&self) -> bool {
        self.others.iter().any(|sink| sink.is_waiting())
    }

    /// Whether any sink needs step 2.
    pub(super) const fn are_sent(&self) -> bool {
        !self.others.is_empty()
    }

    /// See [`LogSink::fd`].
    pub(super) fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.file.as_ref().and_then(LogSink::fd)
    }

    /// The path of the log file, if there is one.
    pub(super) fn log_path(&self) -> Option<Arc<Path>> {
        self.each().find_map(LogSink::log_path)
    }

    /// See [`LogSink::device`].
    pub(super) fn device(&self) -> Option<u64> {
        self.each().find_map(LogSink::device)
    }

    /// See [`LogSink::mark`]. In the order of the files.
    pub(super) fn marks(&self) -> LogMarks {
        let mut marks = LogMarks::default();
        let files = self.each().filter(|sink| sink.log_path().is_some());
        for (place, sink) in marks.iter_mut().zip(files) {
            *place = sink.mark();
        }
        marks
    }

    /// See [`LogSink::prepare`].
    pub(super) fn prepare(&mut self, now: Now, lines: &mut Vec<Line>) {
        self.each_mut().for_each(|sink| sink.prepare(now, lines));
    }

    /// See [`LogSink::next_date`].
    pub(super) fn next_date(&self) -> Option<Wall> {
        self.each().filter_map(LogSink::next_date).min()
    }

    /// See [`LogSink::take_closed`].
    pub(super) fn take_closed(&mut self) -> Vec<ClosedLogs> {
        self.each_mut().filter_map(LogSink::take_closed).collect()
    }

    /// Whether a sink must find out itself what it lacks: see [`LogSink::recovers`].
    pub(super) fn recovers(&self) -> bool {
        self.each().any(LogSink::recovers)
    }

    /// Writes to each file what it lacks of a chunk that was in flight when these were the marks. The other sinks get the
    /// whole chunk.
    pub(super) fn write_missing(&mut self, data: &[u8], marks: &LogMarks, lines: &mut Vec<Line>) {
        let mut marks = marks.iter().copied();
        for sink in self.each_mut() {
            let Some(path) = sink.log_path() else {
                sink.write(data, lines);
                continue;
            };
            match marks.next().flatten() {
                Some(mark) if sink.recovers() => sink.write_recovered(data, mark, lines),
                mark => {
                    let has = mark.and_then(|mark| written(mark, &path, data));
                    let missing = &data[has.unwrap_or(0)..];
                    if !missing.is_empty() {
                        sink.write(missing, lines);
                    }
                }
            }
        }
        self.others.iter_mut().for_each(|sink| sink.await_written());
    }

    /// Writes a chunk: step 1.
    pub(super) fn write(&mut self, data: &[u8], lines: &mut Vec<Line>) {
        if let Some(file) = &mut self.file {
            file.write(data, lines);
        }
        let is_alone = self.file.is_none()
            && self.others.len() > 1
            && self.others.iter().filter(|sink| !sink.is_late()).count() == 1;
        for sink in &mut self.others {
            match is_alone && !sink.is_late() {
                true => sink.write_alone(data, lines),
                false => sink.write(data, lines),
            }
        }
        for sink in &mut self.others {
            sink.await_written();
        }
    }

    /// Tries to write the bytes that wait for a file.
    pub(super) fn flush(&mut self, lines: &mut Vec<Line>) {
        self.each_mut().for_each(|sink| sink.flush(lines));
    }

    /// See [`LogSink::is_rotation_due`].
    pub(super) fn is_rotation_due(&self) -> bool {
        self.file.as_ref().is_some_and(LogSink::is_rotation_due)
    }

    /// Does a rotation that is due.
    pub(super) fn rotate_now(&mut self, lines: &mut Vec<Line>) {
        self.each_mut().for_each(|sink| sink.rotate_now(lines));
    }

    /// See [`LogSink::not_rotated`].
    pub(super) fn not_rotated(&self) -> Option<Line> {
        self.each().find_map(LogSink::not_rotated)
    }

    /// See [`LogSink::take_replaced`].
    pub(super) fn take_replaced(&mut self) -> Option<OwnedFd> {
        self.file.as_mut().and_then(LogSink::take_replaced)
    }

    /// See [`LogSink::reopen`].
    pub(super) fn reopen(&mut self, lines: &mut Vec<Line>) {
        self.each_mut().for_each(|sink| sink.reopen(lines));
    }

    /// See [`LogSink::clear`].
    ///
    /// # Errors
    /// As unlink(2). The first error of all sinks.
    pub(super) fn clear(&mut self, lines: &mut Vec<Line>) -> Result<(), Errno> {
        let mut result = Ok(());
        for sink in self.each_mut() {
            // All of them are cleared, whatever became of the one before.
            result = result.and(sink.clear(lines));
        }
        result
    }

    /// Closes the log file.
    pub(super) fn close(&mut self, lines: &mut Vec<Line>) {
        self.each_mut().for_each(|sink| sink.close(lines));
        if let Some(file) = self.file.take() {
            file.health().trace();
        }
    }

    /// See [`LogSink::set_pid`].
    pub(super) fn set_pid(&mut self, pid: i32) {
        self.each_mut().for_each(|sink| sink.set_pid(pid));
    }

    /// Calls `act` for each sink of step 2.
    pub(super) fn each_sent(&mut self, mut act: impl FnMut(&mut dyn LogSink)) {
        for sink in &mut self.others {
            act(&mut **sink);
        }
    }

    /// Ends the sinks of step 2.
    pub(super) fn disconnect(&mut self, to: &mut Connections, lines: &mut Vec<Line>) {
        for mut sink in std::mem::take(&mut self.others) {
            sink.disconnect(to, lines);
            sink.health().trace();
        }
    }

    /// Moves the state of all sinks to `state` and ends them.
    pub(super) fn hand_over(
        mut self,
        state: &mut StreamState,
        to: &mut Connections,
        lines: &mut Vec<Line>,
    ) {
        for sink in self.each_mut() {
            sink.hand_over(state, to, lines);
            sink.health().trace();
        }
    }

    /// Gives each sink its part of the state of a previous daemon. The part of a target that the configuration does not
    /// name any more is dropped.
    pub(super) fn resume(&mut self, state: &mut StreamState, lines: &mut Vec<Line>) {
        self.each_mut().for_each(|sink| sink.resume(state, lines));
    }
}

#[cfg(test)]
#[path = "sinks_tests.rs"]
mod tests;
