//! Writes the daemon's own log lines to the journal, with structured fields.

use std::collections::VecDeque;
#[cfg(test)]
use std::path::Path;

use super::fields;
use super::journal::{Journal, SendResult, field_of};
use crate::domain::{Level, Line};

/// Maximum bytes that wait for journald. Further lines are dropped and counted, because the daemon must not wait.
const QUEUE_BYTES_MAX: usize = 1 << 20;
/// The syslog identifier, whatever name the daemon was started by.
const IDENT: &str = "supervisord";

/// The journal as the activity log.
#[derive(Debug)]
pub(super) struct ActivityJournal {
    journal: Journal,
    queue: VecDeque<Vec<u8>>,
    queued_bytes: usize,
    /// Lines lost since the last line about lost lines.
    lost: u64,
}

impl ActivityJournal {
    /// The system's journal. Connects at the first line.
    pub(super) fn new() -> Self {
        Self::with(Journal::new())
    }

    #[cfg(test)]
    pub(super) fn at(path: &Path) -> Self {
        Self::with(Journal::at(path))
    }

    fn with(journal: Journal) -> Self {
        Self {
            journal,
            queue: VecDeque::new(),
            queued_bytes: 0,
            lost: 0,
        }
    }

    /// Connects now. Returns a log line if the journal is not available.
    pub(super) fn connect(&mut self) -> Option<Line> {
        self.journal.reconnect();
        self.journal.check()
    }

    /// Sends one line, or queues it while journald is slow or briefly away.
    pub(super) fn send(&mut self, line: &Line) {
        let entry = entry(line);
        if self.queued_bytes + entry.len() > QUEUE_BYTES_MAX {
            self.flush();
        }
        if self.queued_bytes + entry.len() > QUEUE_BYTES_MAX && !self.queue.is_empty() {
            self.lost += 1;
            return;
        }
        self.queued_bytes += entry.len();
        self.queue.push_back(entry);
        self.flush();
    }

    /// Whether lines wait: [`ActivityJournal::flush`] should be called soon.
    pub(super) fn is_waiting(&self) -> bool {
        !self.queue.is_empty()
    }

    /// Sends as much as possible.
    pub(super) fn flush(&mut self) {
        while let Some(first) = self.queue.front() {
            match self.journal.send(first) {
                SendResult::Later => return,
                SendResult::Done => {}
                SendResult::Lost => self.lost += 1,
            }
            if let Some(done) = self.queue.pop_front() {
                self.queued_bytes -= done.len();
            }
        }
        // All earlier lines have arrived, so report the lost ones here.
        if self.lost > 0 {
            let told = entry(&Line::LinesDropped { lost: self.lost });
            if self.journal.send(&told) == SendResult::Done {
                self.lost = 0;
            }
        }
    }

    /// Returns a log line for another destination if the journal's availability changed since the last call.
    pub(super) fn check(&mut self) -> Option<Line> {
        self.journal.check()
    }
}

fn entry(line: &Line) -> Vec<u8> {
    let mut entry = Vec::new();
    let mut put = |name, value: Option<&dyn std::fmt::Display>| {
        if let Some(value) = value {
            field_of(&mut entry, name, value);
        }
    };
    put(fields::MESSAGE, Some(line));
    put(fields::PRIORITY, Some(&priority(line.level())));
    put(fields::IDENTIFIER, Some(&IDENT));
    put(fields::LINE, Some(&line.variant()));
    put(fields::PROCESS, line.process().map(display));
    put(fields::GROUP, line.group().map(display));
    put(fields::STATE, line.state().as_ref().map(display));
    put(
        fields::EXIT,
        line.find::<crate::domain::ExitStatus>().map(display),
    );
    put(fields::PID, line.pid().as_ref().map(display));
    entry
}

fn display<T: std::fmt::Display>(value: &T) -> &dyn std::fmt::Display {
    value
}

/// The syslog(3) priority of a level.
fn priority(level: Level) -> u8 {
    match level {
        Level::Critical => 2,
        Level::Error => 3,
        Level::Warn => 4,
        Level::Info => 6,
        Level::Debug | Level::Trace | Level::Blather => 7,
    }
}

#[cfg(test)]
mod tests {
    use super::super::journal::tests::FakeJournald;
    use super::super::testing::{TempDir, eventually};
    use super::*;
    use crate::domain::{ExitStatus, ProcessName};

    fn name() -> ProcessName {
        ProcessName::parse("dog").expect("valid")
    }

    #[test]
    fn the_subject_of_a_line_is_in_fields() {
        let dir = TempDir::new("diary");
        let journald = FakeJournald::new(&dir.path("socket"));
        let mut activity_journal = ActivityJournal::at(&dir.path("socket"));
        let status = ExitStatus::Exited(3);
        let lines = [
            Line::Spawned {
                name: name(),
                pid: 7,
            },
            Line::ExitedUnexpected {
                name: name(),
                status,
            },
            Line::ReceivedHangup {},
            Line::SaidError {
                text: "two\nlines".to_owned(),
            },
        ];
        for line in &lines {
            activity_journal.send(line);
        }
        let come = journald.all();
        assert_eq!(come.len(), lines.len());
        for ((entry, line), expected) in come.iter().zip(&lines).zip([
            &[
                ("PRIORITY", "6"),
                ("SUPERVISOR_PROCESS", "dog"),
                ("SUPERVISOR_STATE", "STARTING"),
                ("OBJECT_PID", "7"),
                ("SUPERVISOR_LINE", "Spawned"),
            ][..],
            &[
                ("PRIORITY", "4"),
                ("SUPERVISOR_PROCESS", "dog"),
                ("SUPERVISOR_STATE", "EXITED"),
                ("SUPERVISOR_EXIT", "exit status 3"),
                ("SUPERVISOR_LINE", "ExitedUnexpected"),
            ],
            &[("PRIORITY", "4"), ("SUPERVISOR_LINE", "ReceivedHangup")],
            &[("PRIORITY", "3"), ("SUPERVISOR_LINE", "SaidError")],
        ]) {
            let mut all = vec![("SYSLOG_IDENTIFIER", "supervisord")];
            all.extend_from_slice(expected);
            for (name, value) in &all {
                assert_eq!(entry[*name], value.as_bytes(), "{line} {name}");
            }
            assert_eq!(entry["MESSAGE"], line.to_string().as_bytes());
            assert_eq!(entry.len(), all.len() + 1, "{entry:?}");
        }
    }

    #[test]
    fn a_stalled_journal_does_not_block_and_lost_lines_are_counted() {
        let dir = TempDir::new("diary-stalled");
        let journald = FakeJournald::new(&dir.path("socket"));
        let mut activity_journal = ActivityJournal::at(&dir.path("socket"));
        let count = 20_000_u64;
        for number in 0..count {
            activity_journal.send(&Line::SaidInfo {
                text: number.to_string(),
            });
        }
        assert!(activity_journal.queued_bytes <= QUEUE_BYTES_MAX);
        let lost = activity_journal.lost;
        assert!(lost > 0, "more than it keeps");
        let mut come = Vec::new();
        eventually("it catches up", || {
            come.extend(journald.all());
            activity_journal.flush();
            !activity_journal.is_waiting() && activity_journal.lost == 0
        });
        come.extend(journald.all());
        assert_eq!(come.len() as u64, count - lost + 1);
        let told = come.pop().expect("one");
        let expected = Line::LinesDropped { lost }.to_string();
        assert_eq!(told["MESSAGE"], expected.as_bytes());
        for (number, entry) in come.iter().enumerate() {
            assert_eq!(entry["MESSAGE"], number.to_string().as_bytes());
        }
    }
}
