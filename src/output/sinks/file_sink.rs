//! The log file of one stream, and the bytes that wait or are lost while the file cannot be written. The file may be
//! any path: a plain file, a pipe, a terminal, `/dev/stdout`.
//!
//! While writes fail, bytes are counted as lost and each later chunk tries again. While the reader is slow, bytes wait
//! here and the caller stops reading the pipe, so that the process blocks.

use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;

use super::log_sink::{Connections, LogSink, Pressure};
use super::sink_health::{SinkHealth, TargetName};
use crate::domain::{Channel, Errno, GroupName, Line, ProcessName};
use crate::output::in_flight_log::LogMark;
use crate::output::log_file::{self, LogFile, LogRules, Rotation, WriteStop};
use crate::output::output_state::StreamState;
use crate::sys::safe_open::REFUSED;

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
}

impl FileSink {
    /// Opens the log.
    ///
    /// # Errors
    /// As open(2). A pipe without a reader is no error: each chunk tries again.
    pub(super) fn open(
        name: ProcessName,
        channel: Channel,
        rules: LogRules,
        lines: &mut Vec<Line>,
    ) -> Result<Self, Errno> {
        let mut sink = Self::unopened(name, channel, rules);
        match LogFile::open(sink.rules.clone()) {
            Ok(file) => sink.file = Some(file),
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
        name: ProcessName,
        channel: Channel,
        rules: LogRules,
        error: Errno,
        lines: &mut Vec<Line>,
    ) -> Self {
        let mut sink = Self::unopened(name, channel, rules);
        sink.health.fail(0, error, lines);
        sink
    }

    /// Uses the counters that clients see.
    pub(super) fn registered(mut self, group: &GroupName) -> Self {
        self.health.register(group);
        self
    }

    /// Opens the file. If that fails, each chunk tries again.
    pub(super) fn open_now(&mut self, lines: &mut Vec<Line>) {
        match LogFile::open(self.rules.clone()) {
            Ok(file) => self.file = Some(file),
            Err(error) => self.health.fail(0, error, lines),
        }
    }

    /// Takes the bytes that wait for a slow reader.
    pub(super) fn take_waiting(&mut self) -> Vec<u8> {
        let mut bytes = self.file.as_mut().map_or_else(Vec::new, LogFile::take_held);
        bytes.append(&mut self.waiting);
        bytes
    }

    pub(super) fn unopened(name: ProcessName, channel: Channel, rules: LogRules) -> Self {
        let target = TargetName::Path(rules.path.clone());
        Self {
            health: SinkHealth::new(name, channel, target),
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
            }
            Ok(Rotation::NotDue) => {}
            Err(error) => {
                if !std::mem::replace(&mut self.stuck, true) {
                    lines.push(Line::RotateFailed {
                        name: self.health.name(),
                        channel: self.health.channel(),
                        path: self.health.target(),
                        error,
                    });
                }
            }
        }
    }

    fn mend(&mut self) -> Result<(), Errno> {
        match &mut self.file {
            Some(file) => file.reopen(),
            None => LogFile::open(self.rules.clone()).map(|file| self.file = Some(file)),
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

    fn write(&mut self, data: &[u8], lines: &mut Vec<Line>) {
        if self.is_waiting() {
            self.waiting.extend_from_slice(data);
            return;
        }
        if let Some(rest) = self.write_file(data, lines) {
            self.waiting.extend_from_slice(&data[rest..]);
        }
    }

    fn flush(&mut self, lines: &mut Vec<Line>) {
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
        self.file
            .as_ref()
            .filter(|_| !self.health.is_failing())
            .and_then(LogFile::mark)
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
        let waiting = std::mem::take(&mut self.waiting);
        self.health.close(waiting.len(), lines);
        if let Some(mut file) = self.file.take() {
            file.finish();
        }
    }

    /// Logs the lost bytes now, because their count is not a part of the state.
    fn hand_over(&mut self, state: &mut StreamState, _to: &mut Connections, lines: &mut Vec<Line>) {
        state.sink = self.take_waiting();
        self.close(lines);
    }

    fn resume(&mut self, state: &mut StreamState, lines: &mut Vec<Line>) {
        let waiting = std::mem::take(&mut state.sink);
        if !waiting.is_empty() {
            self.write(&waiting, lines);
        }
    }
}
