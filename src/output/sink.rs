//! The log of one stream: its file, and the bytes that wait or are lost while the file cannot be written.
//!
//! While writes fail, bytes are counted as lost and each later chunk tries again. While the reader is slow, bytes wait
//! here and the caller stops reading the pipe, so that the process blocks.

use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;

use super::in_flight_log::LogMark;
use super::log_file::{LogFile, LogRules, Rotation, WriteStop};
use crate::domain::{Channel, Errno, Line, ProcessName};
use crate::sys::safe_open::REFUSED;

/// The log file of a stream, with its failure state.
#[derive(Debug)]
pub(super) struct Sink {
    name: ProcessName,
    channel: Channel,
    rules: LogRules,
    /// `None`: the file could not be opened yet, for example a pipe without a reader.
    file: Option<LogFile>,
    /// Bytes that the slow reader has not taken yet. Bounded by one read, because nothing is read while they wait. At
    /// the end of an instance, the content of its pipe is added.
    waiting: Vec<u8>,
    /// Bytes lost since the last line about lost bytes.
    lost: u64,
    failing: bool,
    /// Whether the last rotation failed and was logged.
    stuck: bool,
    /// Whether the file is full and must be rotated before the next chunk is written.
    rotation_due: bool,
    /// The oldest backup, which has no name any more. Closing it deletes it, which takes long.
    replaced: Option<OwnedFd>,
}

impl Sink {
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
                sink.fail(0, error, lines);
            }
            Err(error) => {
                if error == REFUSED {
                    lines.push(Line::LogRefused { path: sink.path() });
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
        sink.fail(0, error, lines);
        sink
    }

    const fn unopened(name: ProcessName, channel: Channel, rules: LogRules) -> Self {
        Self {
            name,
            channel,
            rules,
            file: None,
            waiting: Vec::new(),
            lost: 0,
            failing: false,
            stuck: false,
            rotation_due: false,
            replaced: None,
        }
    }

    /// The path of the log.
    pub(super) fn log_path(&self) -> Arc<Path> {
        self.rules.path.clone()
    }

    /// See [`LogFile::device`].
    pub(super) fn device(&self) -> Option<u64> {
        self.file.as_ref().map(LogFile::device)
    }

    /// Takes the bytes that wait for a slow reader, for the next daemon.
    pub(super) fn take_waiting(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.waiting)
    }

    /// See [`LogFile::cannot_rotate`].
    pub(super) fn cannot_rotate(&self) -> bool {
        self.file.as_ref().is_some_and(LogFile::cannot_rotate)
    }

    /// The log line that this log cannot rotate.
    pub(super) fn not_rotated(&self) -> Line {
        Line::NotRotated {
            name: self.name.clone(),
            channel: self.channel.name().to_owned(),
            path: self.path(),
        }
    }

    fn path(&self) -> String {
        self.rules.path.display().to_string()
    }

    /// Whether bytes wait for a slow reader.
    pub(super) fn is_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// See [`LogFile::mark`]. `None` also while writes fail, because the next chunk may go to another file.
    pub(super) fn mark(&self) -> Option<LogMark> {
        self.file
            .as_ref()
            .filter(|_| !self.failing)
            .and_then(LogFile::mark)
    }

    /// The descriptor, to wait for room.
    pub(super) fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.file.as_ref().map(LogFile::fd)
    }

    /// Writes one chunk, or queues it.
    pub(super) fn write(&mut self, data: &[u8], lines: &mut Vec<Line>) {
        if self.is_waiting() {
            self.waiting.extend_from_slice(data);
            return;
        }
        if let Some(rest) = self.write_file(data, lines) {
            self.waiting.extend_from_slice(&data[rest..]);
        }
    }

    /// Tries to write the waiting bytes.
    pub(super) fn flush(&mut self, lines: &mut Vec<Line>) {
        let data = std::mem::take(&mut self.waiting);
        if let Some(rest) = self.write_file(&data, lines) {
            self.waiting = data;
            self.waiting.drain(..rest);
        }
    }

    /// Whether the file is full and its rotation is slow. Then call [`Sink::rotate_now`] before the next chunk.
    pub(super) const fn is_rotation_due(&self) -> bool {
        self.rotation_due
    }

    /// Does a rotation that is due.
    pub(super) fn rotate_now(&mut self, lines: &mut Vec<Line>) {
        if std::mem::take(&mut self.rotation_due) {
            self.rotate(lines);
        }
    }

    /// Takes the backup that the last rotation replaced. Closing it deletes it, which may take long.
    pub(super) const fn take_replaced(&mut self) -> Option<OwnedFd> {
        self.replaced.take()
    }

    /// Writes bytes or counts them as lost. Returns the number of written bytes if the remaining ones must wait.
    fn write_file(&mut self, data: &[u8], lines: &mut Vec<Line>) -> Option<usize> {
        self.rotate_now(lines);
        // After an error the path may mean another file by now. A full disk needs no reopen.
        if self.failing
            && let Err(error) = self.mend()
        {
            self.fail(data.len(), error, lines);
            return None;
        }
        let Some(file) = &mut self.file else {
            self.fail(data.len(), Errno(nix::errno::Errno::ENXIO as i32), lines);
            return None;
        };
        let (written, stop) = file.write(data);
        if let Some(WriteStop::Failed(error)) = stop {
            self.fail(data.len() - written, error, lines);
            return None;
        }
        if self.failing {
            self.failing = false;
            lines.push(Line::SinkRecovered {
                name: self.name.clone(),
                channel: self.channel.name().to_owned(),
                path: self.path(),
                lost: std::mem::take(&mut self.lost),
            });
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
                        name: self.name.clone(),
                        channel: self.channel.name().to_owned(),
                        path: self.path(),
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

    fn fail(&mut self, lost: usize, error: Errno, lines: &mut Vec<Line>) {
        self.lost = self.lost.saturating_add(lost as u64);
        if !std::mem::replace(&mut self.failing, true) {
            lines.push(Line::SinkFailed {
                name: self.name.clone(),
                channel: self.channel.name().to_owned(),
                path: self.path(),
                error,
            });
        }
    }

    /// Opens the file again by name. If that fails, the old file stays open.
    pub(super) fn reopen(&mut self, lines: &mut Vec<Line>) {
        if let Err(error) = self.mend() {
            lines.push(Line::ReopenFailed {
                path: self.path(),
                error,
            });
        }
    }

    /// Removes the file and creates a new one.
    ///
    /// # Errors
    /// As unlink(2). A missing file is no error.
    pub(super) fn clear(&mut self, lines: &mut Vec<Line>) -> Result<(), Errno> {
        super::log_file::remove(&self.rules.path)?;
        self.reopen(lines);
        Ok(())
    }

    /// Drops the waiting bytes and reports the loss in `lines`.
    pub(super) fn close(mut self, lines: &mut Vec<Line>) {
        self.lost = self.lost.saturating_add(self.waiting.len() as u64);
        if self.lost > 0 {
            lines.push(Line::SinkLost {
                name: self.name.clone(),
                channel: self.channel.name().to_owned(),
                path: self.path(),
                lost: self.lost,
            });
        }
    }
}
