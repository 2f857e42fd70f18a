//! One stream's log: a file, and what becomes of bytes while it cannot be written.
//!
//! While it fails, bytes are counted as lost and each later chunk tries again. While it is merely slow, they wait here,
//! and whoever feeds it stops reading, so that the process itself feels it.

use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;

use super::file::{LogFile, LogRules, Rotation, WriteStop};
use super::in_flight_log::LogMark;
use crate::domain::{Channel, Errno, Line, ProcessName};
use crate::sys::safe_open::REFUSED;

/// A log and its troubles.
#[derive(Debug)]
pub(super) struct Sink {
    name: ProcessName,
    channel: Channel,
    rules: LogRules,
    /// None: not there yet, e.g. a pipe that nobody reads.
    file: Option<LogFile>,
    /// What the slow reader has not taken yet. Bounded by what is read at once, for nothing is read while it waits; at
    /// the end of an instance, by what its pipe holds.
    waiting: Vec<u8>,
    /// Bytes lost since the last line about it.
    lost: u64,
    failing: bool,
    /// The last rotation failed, and was told.
    stuck: bool,
    /// The file is full, and is rotated before the next chunk is written.
    rotation_due: bool,
    /// The oldest backup, which has no name any more. Closing it takes long.
    replaced: Option<OwnedFd>,
}

impl Sink {
    /// Opens the log.
    ///
    /// # Errors
    /// As open(2). A pipe that nobody reads is none: it is tried again with each chunk.
    pub(super) fn open(
        name: ProcessName,
        channel: Channel,
        rules: LogRules,
        lines: &mut Vec<Line>,
    ) -> Result<Self, Errno> {
        let mut sink = Self::unopened(name, channel, rules);
        match LogFile::open(sink.rules.clone()) {
            Ok(file) => sink.file = Some(file),
            // Differs: the original waits, with all its programs, until somebody reads the pipe.
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

    /// One whose file could not be opened, and is tried again with each chunk.
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

    /// Its name.
    pub(super) fn log_path(&self) -> Arc<Path> {
        self.rules.path.clone()
    }

    /// See [`LogFile::device`].
    pub(super) fn device(&self) -> Option<u64> {
        self.file.as_ref().map(LogFile::device)
    }

    /// Takes out what waits for a slow reader, for a successor.
    pub(super) fn take_waiting(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.waiting)
    }

    /// See [`LogFile::cannot_rotate`].
    pub(super) fn cannot_rotate(&self) -> bool {
        self.file.as_ref().is_some_and(LogFile::cannot_rotate)
    }

    /// The line that says so.
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

    /// The reader is slow, bytes wait.
    pub(super) fn is_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// See [`LogFile::mark`]; none also while it fails, for then it may be another file that the next chunk goes to.
    pub(super) fn mark(&self) -> Option<LogMark> {
        self.file
            .as_ref()
            .filter(|_| !self.failing)
            .and_then(LogFile::mark)
    }

    /// For waiting until there is room.
    pub(super) fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.file.as_ref().map(LogFile::fd)
    }

    /// Takes one chunk.
    pub(super) fn write(&mut self, data: &[u8], lines: &mut Vec<Line>) {
        if self.is_waiting() {
            self.waiting.extend_from_slice(data);
            return;
        }
        if let Some(rest) = self.write_file(data, lines) {
            self.waiting.extend_from_slice(&data[rest..]);
        }
    }

    /// Tries to write what waits.
    pub(super) fn flush(&mut self, lines: &mut Vec<Line>) {
        let data = std::mem::take(&mut self.waiting);
        if let Some(rest) = self.write_file(&data, lines) {
            self.waiting = data;
            self.waiting.drain(..rest);
        }
    }

    /// The file is full, and its rotation takes long: [`Sink::rotate_now`] is to be called before the next chunk comes.
    pub(super) const fn is_rotation_due(&self) -> bool {
        self.rotation_due
    }

    /// Does a rotation that is due.
    pub(super) fn rotate_now(&mut self, lines: &mut Vec<Line>) {
        if std::mem::take(&mut self.rotation_due) {
            self.rotate(lines);
        }
    }

    /// The backup that the last rotation has replaced. It is deleted when it is closed, which may take long.
    pub(super) const fn take_replaced(&mut self) -> Option<OwnedFd> {
        self.replaced.take()
    }

    /// Writes, or counts as lost; returns how many bytes were written if the others must wait.
    fn write_file(&mut self, data: &[u8], lines: &mut Vec<Line>) -> Option<usize> {
        self.rotate_now(lines);
        // After an error the name may mean another file by now, but a full disk does not mend by opening again.
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

    /// Opens the file anew by name; if that fails, the one that is open stays.
    pub(super) fn reopen(&mut self, lines: &mut Vec<Line>) {
        if let Err(error) = self.mend() {
            lines.push(Line::ReopenFailed {
                path: self.path(),
                error,
            });
        }
    }

    /// Removes the file and makes a new one.
    ///
    /// # Errors
    /// As unlink(2), but that there is none is none.
    pub(super) fn clear(&mut self, lines: &mut Vec<Line>) -> Result<(), Errno> {
        super::file::remove(&self.rules.path)?;
        self.reopen(lines);
        Ok(())
    }

    /// Gives up what waits, and tells what was lost.
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
