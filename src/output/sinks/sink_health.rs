//! The counters of one sink, and the log lines about its failures and losses.

use std::fmt;
use std::sync::Arc;

use crate::domain::{Channel, Errno, GroupName, Line, ProcessName};
pub(super) use crate::output::target_stats::TargetName;
use crate::output::target_stats::{self, TargetCounters};

/// The counters of one sink and its state of failures. `Display`: one line for people.
#[derive(Debug)]
pub(in super::super) struct SinkHealth {
    name: ProcessName,
    channel: Channel,
    target: TargetName,
    /// Bytes that the target took, and bytes lost.
    counters: Arc<TargetCounters>,
    /// Bytes lost since the last log line about lost bytes.
    untold: u64,
    /// How often the target began to fail.
    failures: u64,
    is_failing: bool,
}

impl SinkHealth {
    pub(super) fn new(name: ProcessName, channel: Channel, target: TargetName) -> Self {
        Self {
            name,
            channel,
            target,
            counters: Arc::default(),
            untold: 0,
            failures: 0,
            is_failing: false,
        }
    }

    /// Uses the counters that clients see.
    pub(super) fn register(&mut self, group: &GroupName) {
        let process = (group, &self.name);
        self.counters = target_stats::register(process, self.channel, self.target.clone());
    }

    /// The counters, for a thread that writes to the target.
    pub(super) fn counters(&self) -> &Arc<TargetCounters> {
        &self.counters
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
    pub(super) fn count_written(&mut self, bytes: usize) {
        self.counters.count_written(bytes);
    }

    /// Counts bytes that a failure lost, which the next log line reports. Returns whether the failure is new.
    pub(super) fn lose(&mut self, bytes: usize) -> bool {
        self.count_lost(bytes);
        let is_new = !self.is_failing;
        self.set_failing(true);
        self.failures += is_new as u64;
        is_new
    }

    fn set_failing(&mut self, is_failing: bool) {
        self.is_failing = is_failing;
        self.counters.set_failing(is_failing);
    }

    fn count_lost(&mut self, bytes: usize) {
        self.counters.count_dropped(bytes);
        self.untold = self.untold.saturating_add(bytes as u64);
    }

    /// Counts further bytes that a failure lost.
    pub(super) fn fail_more(&mut self, bytes: usize) {
        self.count_lost(bytes);
    }

    /// Counts bytes that are given up. The next log line reports them, and `told_late` bytes that are counted already.
    pub(super) fn give_up(&mut self, bytes: usize, told_late: u64) {
        self.count_lost(bytes);
        self.untold = self.untold.saturating_add(told_late);
    }

    /// Counts dropped bytes that log lines of a shared connection report.
    pub(super) fn count_dropped(&mut self, bytes: usize) {
        self.counters.count_dropped(bytes);
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
        self.set_failing(false);
        lines.push(Line::SinkRecovered {
            name: self.name(),
            channel: self.channel(),
            path: self.target(),
            lost: std::mem::take(&mut self.untold),
        });
    }

    /// Ends a failure. Logs the bytes that were lost, if there are any.
    pub(super) fn recover_from_loss(&mut self, lines: &mut Vec<Line>) {
        self.set_failing(false);
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

    /// The log line that output is dropped because the target is too slow.
    pub(super) fn drops(&self) -> Line {
        Line::TargetDrops {
            name: self.name(),
            channel: self.channel(),
            path: self.target(),
        }
    }

    /// The log line that the target has caught up.
    pub(super) fn recovered(&self, lost: u64) -> Line {
        Line::SinkRecovered {
            name: self.name(),
            channel: self.channel(),
            path: self.target(),
            lost,
        }
    }

    /// Passes the counters on to subscribers of `tracing`, at the end of a sink.
    pub(super) fn trace(&self) {
        tracing::debug!(
            target: "supervisord::output",
            process = self.name.as_str(),
            written = self.counters.written(),
            lost = self.counters.dropped(),
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
            self.counters.written(),
            self.counters.dropped(),
            self.failures
        )
    }
}
