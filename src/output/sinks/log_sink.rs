//! What a log target does: [`LogSink`], and what it gets to do it.

use std::fmt::Debug;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;

use super::sink_health::SinkHealth;
use crate::config::spec::{LogSpec, ProcessKind, ProcessSpec};
use crate::domain::{Channel, Errno, InstanceId, Line, Now, Wall};
use crate::output::closed_logs::ClosedLogs;
use crate::output::in_flight_log::LogMark;
use crate::output::journal::Journal;
use crate::output::log_file::LogRules;
use crate::output::output_state::StreamState;
use crate::output::syslog::{Syslog, SyslogChange};

/// The stream whose sinks are opened.
#[derive(Debug, Clone, Copy)]
pub(in crate::output) struct SinkSource<'a> {
    pub(in crate::output) instance: InstanceId,
    pub(in crate::output) spec: &'a ProcessSpec,
    pub(in crate::output) channel: Channel,
}

impl<'a> SinkSource<'a> {
    /// The settings of the stream's log.
    pub(in crate::output) const fn log(&self) -> &'a LogSpec {
        match self.channel {
            Channel::Stdout => &self.spec.stdout,
            Channel::Stderr => &self.spec.stderr,
        }
    }

    /// The settings of a file of this stream.
    pub(super) fn rules(&self, path: Arc<Path>) -> LogRules {
        let log = self.log();
        LogRules {
            path,
            maxbytes: log.maxbytes,
            backups: log.backups,
            private: false,
            options: log.options.clone(),
        }
    }

    /// Whether the stream is the standard output of an event listener, which is its protocol.
    pub(in crate::output) fn is_listener_output(&self) -> bool {
        self.channel == Channel::Stdout && self.spec.kind == ProcessKind::Listener
    }
}

#[cfg(test)]
impl<'a> SinkSource<'a> {
    /// The standard output of the first instance of a process.
    pub(in crate::output) const fn of_stdout(spec: &'a ProcessSpec) -> Self {
        Self {
            instance: InstanceId {
                slot: 0,
                incarnation: 1,
            },
            spec,
            channel: Channel::Stdout,
        }
    }
}

/// What a slow target does to the process that writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::output) enum Pressure {
    /// The sink keeps what its target does not take, and loses no byte. Meanwhile nothing is read from the pipe, so
    /// that the process blocks as with a slow disk. The other sinks of the stream have all that was read.
    Holds,
    /// The sink has a queue with a limit, and drops and counts what exceeds the limit. Neither the process nor the
    /// other sinks notice. For targets that are not on this machine.
    Drops,
}

/// One log target of one stream.
pub(in crate::output) trait LogSink: Debug + Send {
    /// The name of the target, the counters, and the state of failures.
    fn health(&self) -> &SinkHealth;

    /// What a slow target does to the process.
    fn pressure(&self) -> Pressure;

    /// Whether bytes wait for a slow target.
    fn is_waiting(&self) -> bool {
        false
    }

    // Step 1, in a job: these may block.

    /// Called before a chunk is read: goes on to the file of another date, or to a new file if the log was moved away.
    fn prepare(&mut self, _now: Now, _lines: &mut Vec<Line>) {}

    /// When [`LogSink::flush`] must be called although nothing is read, because another file begins. `None`: never.
    fn next_date(&self) -> Option<Wall> {
        None
    }

    /// Takes the closed files that are to be compressed or removed.
    fn take_closed(&mut self) -> Option<ClosedLogs> {
        None
    }

    /// Whether [`LogSink::write_recovered`] must write what a previous daemon may not have written.
    fn recovers(&self) -> bool {
        false
    }

    /// Writes the part of a chunk that the log lacks. `mark`: the log before the chunk.
    fn write_recovered(&mut self, _data: &[u8], _mark: LogMark, _lines: &mut Vec<Line>) {}

    /// Writes a chunk to a file, or keeps it for [`LogSink::flush`].
    fn write(&mut self, _data: &[u8], _lines: &mut Vec<Line>) {}

    /// Writes as [`LogSink::write`] does. Called if every other target of the stream is late, so a write that takes long delays
    /// no other target.
    fn write_alone(&mut self, data: &[u8], lines: &mut Vec<Line>) {
        self.write(data, lines);
    }

    /// Whether the target is behind for so long that nobody waits for it.
    fn is_late(&self) -> bool {
        false
    }

    /// Waits until the chunks are in the file, if another thread writes it.
    fn await_written(&mut self) {}

    /// Whether nothing should be read from the pipe for a moment, because another thread still writes.
    fn holds_reads(&self) -> bool {
        false
    }

    /// Tries to write the bytes that wait.
    fn flush(&mut self, _lines: &mut Vec<Line>) {}

    /// The descriptor that becomes writable when waiting bytes can be written. `None`: try again after a while.
    fn fd(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    /// The path of the log. `None`: it is no file.
    fn log_path(&self) -> Option<Arc<Path>> {
        None
    }

    /// The device (`st_dev`) of the log. `None`: it is no file, or the file is not open.
    fn device(&self) -> Option<u64> {
        None
    }

    /// The state of the target before the next chunk, by which the next daemon can tell how much of the chunk the
    /// target got: then each byte is there exactly once even if this daemon is killed. `None`: the next daemon gives
    /// the chunk to all sinks again, so that each byte is there at least once.
    fn mark(&self) -> Option<LogMark> {
        None
    }

    /// Whether a rotation is due that takes long. Then [`LogSink::rotate_now`] must come before the next chunk. Sinks
    /// do quick rotations themselves.
    fn is_rotation_due(&self) -> bool {
        false
    }

    /// Does a rotation that is due.
    fn rotate_now(&mut self, _lines: &mut Vec<Line>) {}

    /// The log line that the settings ask for a rotation but the target cannot rotate. `None`: it can, or none is asked
    /// for.
    fn not_rotated(&self) -> Option<Line> {
        None
    }

    /// Takes a backup that lost its name in a rotation. Closing it deletes it, which may take long.
    fn take_replaced(&mut self) -> Option<OwnedFd> {
        None
    }

    /// Opens the target again by name. If that fails, the old one stays open.
    fn reopen(&mut self, _lines: &mut Vec<Line>) {}

    /// Removes what is in the log.
    ///
    /// # Errors
    /// As unlink(2). A missing log is no error.
    fn clear(&mut self, _lines: &mut Vec<Line>) -> Result<(), Errno> {
        Ok(())
    }

    /// Drops the waiting bytes, reports the loss in `lines`, and closes files.
    fn close(&mut self, _lines: &mut Vec<Line>) {}

    // Step 2, with the reactor's lock: these must not block.

    /// Adds the pid of the process to what is sent from now on. Called before the first chunk.
    fn set_pid(&mut self, _pid: i32) {}

    /// Sends a chunk through a connection, or keeps it for [`LogSink::send_waiting`].
    fn send(&mut self, _data: &[u8], _to: &mut Connections, _lines: &mut Vec<Line>) {}

    /// Tries to send the bytes that wait.
    fn send_waiting(&mut self, _to: &mut Connections, _lines: &mut Vec<Line>) {}

    /// Ends the stream: what is held as the beginning of a line is sent.
    fn finish(&mut self, _to: &mut Connections, _lines: &mut Vec<Line>) {}

    /// Ends the sink: drops the waiting bytes and reports the loss in `lines`.
    fn disconnect(&mut self, _to: &mut Connections, _lines: &mut Vec<Line>) {}

    /// Moves the waiting bytes to the state for the next daemon, and ends the sink.
    fn hand_over(
        &mut self,
        _state: &mut StreamState,
        _to: &mut Connections,
        _lines: &mut Vec<Line>,
    ) {
    }

    /// Takes its part of the state of a previous daemon. May block, as a part of opening.
    fn resume(&mut self, _state: &mut StreamState, _lines: &mut Vec<Line>) {}
}

/// The connections of the daemon that the sinks of all streams share.
#[derive(Debug)]
pub(in crate::output) struct Connections {
    pub(in crate::output) journal: Journal,
    pub(in crate::output) syslog: Syslog,
}

impl Connections {
    /// Connects at the first line.
    pub(in crate::output) fn new() -> Self {
        Self {
            journal: Journal::new(),
            syslog: Syslog::new(),
        }
    }

    /// Whether a queue for sinks that drop bytes is not empty: [`Connections::flush`] should be called soon.
    pub(in crate::output) fn is_waiting(&self) -> bool {
        self.syslog.is_waiting()
    }

    /// Sends as much as possible of these queues.
    pub(in crate::output) fn flush(&mut self) {
        if self.syslog.is_waiting() {
            self.syslog.flush();
        }
    }

    /// Returns log lines about connections whose availability changed since the last call.
    pub(in crate::output) fn check(&mut self) -> impl Iterator<Item = Line> + use<> {
        let journal = self.journal.check();
        journal
            .into_iter()
            .chain(self.syslog.check().map(SyslogChange::line))
    }
}
