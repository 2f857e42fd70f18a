//! The counters of one sink, and the log lines about its failures and losses.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use crate::domain::{Channel, Errno, Line, ProcessName};

/// The name of a target in log lines.
#[derive(Debug, Clone)]
pub(super) enum TargetName {
    /// The path of a file.
    Path(Arc<Path>),
    /// Words such as "the journal".
    Words(&'static str),
}

impl fmt::Display for TargetName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(path) => path.display().fmt(f),
            Self::Words(words) => f.write_str(words),
        }
    }
}

/// The counters of one sink and its state of failures. `Display`: one line for people.
#[derive(Debug)]
pub(in super::super) struct SinkHealth {
    name: ProcessName,
    channel: Channel,
    target: TargetName,
    /// Bytes that the target took.
    written: u64,
    /// Bytes lost, in all.
    lost: u64,
    /// Bytes lost since the last log line about lost bytes.
    untold: u64,
    /// How often the target began to fail.
    failures: u64,
    is_failing: bool,
}

impl SinkHealth {
    pub(super) const fn new(name: ProcessName, channel: Channel, target: TargetName) -> Self {
        Self {
            name,
            channel,
            target,
            written: 0,
            lost: 0,
            untold: 0,
            failures: 0,
            is_failing: false,
        }
    }

    /// Whether the last attempt failed.
    pub(super) const fn is_failing(&self) -> bool {
        self.is_failing
    }

    /// The channel as log lines name it.
    pub(super) fn channel(&self) -> String {
        self.channel.name().to_owned()
    }

    /// The process as log lines name it.
    pub(super) fn name(&self) -> ProcessName {
        self.name.clone()
    }

    /// The target as log lines name it.
    pub(super) fn target(&self) -> String {
        self.target.to_string()
    }

    /// Counts bytes that the target took.
    pub(super) const fn count_written(&mut self, bytes: usize) {
        self.written = self.written.saturating_add(bytes as u64);
    }

    /// Counts bytes that a failure lost, which the next log line reports. Returns whether the failure is new.
    pub(super) const fn lose(&mut self, bytes: usize) -> bool {
        self.count_lost(bytes);
        let is_new = !self.is_failing;
        self.is_failing = true;
        self.failures += is_new as u64;
        is_new
    }

    const fn count_lost(&mut self, bytes: usize) {
        self.lost = self.lost.saturating_add(bytes as u64);
        self.untold = self.untold.saturating_add(bytes as u64);
    }

    /// Counts further bytes that a failure lost.
    pub(super) const fn fail_more(&mut self, bytes: usize) {
        self.count_lost(bytes);
    }

    /// Counts dropped bytes that log lines of a shared connection report.
    pub(super) const fn count_dropped(&mut self, bytes: usize) {
        self.lost = self.lost.saturating_add(bytes as u64);
    }

    /// Counts lost bytes and a failure. The first failure in a row is logged.
    pub(super) fn fail(&mut self, lost: usize, error: Errno, lines: &mut Vec<Line>) {
        if self.lose(lost) {
            lines.push(Line::SinkFailed {
                name: self.name(),
                channel: self.channel(),
                path: self.target(),
                error,
            });
        }
    }

    /// Ends a failure and logs the bytes that were lost.
    pub(super) fn recover(&mut self, lines: &mut Vec<Line>) {
        self.is_failing = false;
        lines.push(Line::SinkRecovered {
            name: self.name(),
            channel: self.channel(),
            path: self.target(),
            lost: std::mem::take(&mut self.untold),
        });
    }

    /// Ends a failure. Logs the bytes that were lost, if there are any.
    pub(super) fn recover_from_loss(&mut self, lines: &mut Vec<Line>) {
        self.is_failing = false;
        if self.untold > 0 {
            self.recover(lines);
        }
    }

    /// Logs the bytes that were lost and that no line reports yet, at the end of a sink that drops `waiting` bytes.
    pub(super) fn close(&mut self, waiting: usize, lines: &mut Vec<Line>) {
        self.count_lost(waiting);
        if self.untold > 0 {
            lines.push(Line::SinkLost {
                name: self.name(),
                channel: self.channel(),
                path: self.target(),
                lost: std::mem::take(&mut self.untold),
            });
        }
    }

    /// Passes the counters on to subscribers of `tracing`, at the end of a sink.
    pub(super) fn trace(&self) {
        tracing::debug!(
            target: "supervisord::output",
            process = self.name.as_str(),
            written = self.written,
            lost = self.lost,
            failures = self.failures,
            message = %self,
        );
    }
}

impl fmt::Display for SinkHealth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = if self.is_failing { "fails" } else { "works" };
        write!(
            f,
            "{}: {} to {} {state}: {} bytes written, {} lost, {} failures",
            self.name,
            self.channel.name(),
            self.target,
            self.written,
            self.lost,
            self.failures
        )
    }
}
