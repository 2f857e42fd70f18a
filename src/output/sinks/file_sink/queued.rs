//! Steps of a log file that the thread of its file system takes, for a file of a list.

use super::FileSink;
use crate::domain::{Errno, GroupName, Line, Wall};
use crate::output::closed_logs::ClosedLogs;
use crate::output::log_file::LogFile;

impl FileSink {
    /// Uses the counters that clients see.
    pub(in super::super) fn registered(mut self, group: &GroupName) -> Self {
        self.health.register(group);
        self
    }

    /// Opens the file. If that fails, each chunk tries again.
    pub(in super::super) fn open_now(&mut self, lines: &mut Vec<Line>) {
        if let Err(error) = self.try_open() {
            self.health.fail(0, error, lines);
        }
    }

    pub(super) fn try_open(&mut self) -> Result<(), Errno> {
        let file = LogFile::open(self.rules.clone())?;
        self.closed = ClosedLogs::new(&self.rules, file.live());
        self.file = Some(file);
        self.read_end();
        Ok(())
    }

    /// Whether the lines have another form than the bytes.
    pub(in super::super) const fn is_rendered(&self) -> bool {
        self.form.is_some()
    }

    /// Sets the time of the next chunk.
    pub(in super::super) fn set_time(&mut self, time: Wall) {
        self.time = Some(time);
        self.clock = time;
    }
}
