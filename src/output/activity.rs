//! The activity log: the daemon's own log lines, in Supervisor's format.
//!
//! It works before the output threads exist, and then moves into them.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::Path;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Serialize;

use super::activity_journal::ActivityJournal;
use super::closed_logs::ClosedLogs;
use super::journal;
use super::log_dates::live_path;
use super::log_file::{LogFile, LogRules, Rotation, WriteStop, remove};
use super::syslog::{Syslog, SyslogChange, SyslogHead};
use crate::config::spec::DaemonSpec;
use crate::domain::{Bytes, Errno, Level, Line, Wall};
use crate::sys::{self, safe_open::REFUSED};

/// Maximum bytes that wait for a slow reader (a terminal, a pipe). Further lines are dropped and counted.
const WAITING_BYTES_MAX: usize = 256 << 10;
/// Maximum size of a batch of lines, in bytes, without its last line.
const BATCH_BYTES: usize = 32 << 10;

/// The activity log.
#[derive(Debug)]
pub struct Activity {
    level: Level,
    target: ActivityTarget,
    /// The copy of every line to standard output, in the foreground.
    copy: Option<Copied>,
    clock: Clock,
    /// The buffer in which a line is formatted. It is kept for its capacity.
    scratch: String,
}

#[derive(Debug)]
enum ActivityTarget {
    File(ActivityOutlet),
    Syslog(Box<Syslog>),
    Journal(Box<ActivityJournal>),
}

/// A copy of the log on standard output.
#[derive(Debug)]
enum Copied {
    Stdout(ActivityOutlet),
    /// Standard output is the journal: the copy has structured fields.
    Journal(Box<ActivityJournal>),
}

/// A file that receives whole lines.
#[derive(Debug)]
struct ActivityOutlet {
    file: LogFile,
    /// Whether lines are collected in `batch` and written together.
    batches: bool,
    batch: Vec<u8>,
    /// Size at which the batch is written: the file may have to rotate after exactly that line.
    batch_max: usize,
    waiting: Vec<u8>,
    /// Lines lost since the last line about lost lines.
    lost: u64,
    failing: bool,
    /// Closed files to compress or remove.
    closed: Option<Box<ClosedLogs>>,
}

impl Activity {
    /// Opens the log of `[supervisord]`. In the foreground it is also copied to standard output, unless `silent` is set.
    ///
    /// # Errors
    /// As open(2).
    pub fn of_daemon(spec: &DaemonSpec) -> io::Result<Self> {
        let rules = LogRules {
            path: spec.logfile.as_path().into(),
            maxbytes: spec.logfile_maxbytes,
            backups: spec.logfile_backups,
            private: false,
            options: spec.logfile_options.clone().into_shared(),
        };
        Self::with(rules, spec.loglevel, spec.nodaemon && !spec.silent)
    }

    /// Opens the log: a file, which rotates at `maxbytes` (≤ 0: never) and keeps `backups` old files, or one of the
    /// words `syslog` and `journal`. Lines below `level` are not written. `copy_to_stdout`: standard output gets every
    /// line too, if it is open. If standard output is the journal, the copy has structured fields; if the log is the
    /// journal too, there is no copy. A path with a date means the file that was written last.
    ///
    /// # Errors
    /// As open(2).
    ///
    /// # Source
    /// Supervisor manual, `[supervisord]`, logfile and the keys after it.
    pub fn open(
        target: &Path,
        maxbytes: Bytes,
        backups: i64,
        level: Level,
        copy_to_stdout: bool,
    ) -> io::Result<Self> {
        let rules = LogRules {
            path: live_path(target).into(),
            maxbytes,
            backups,
            private: false,
            options: None,
        };
        Self::with(rules, level, copy_to_stdout)
    }

    fn with(rules: LogRules, level: Level, copy_to_stdout: bool) -> io::Result<Self> {
        let target = rules.path.clone();
        let is_utc = rules.options.as_ref().is_some_and(|options| options.utc);
        let mut target = if *target == *Path::new("syslog") {
            ActivityTarget::Syslog(Box::new(Syslog::new()))
        } else if *target == *Path::new("journal") {
            ActivityTarget::Journal(Box::new(ActivityJournal::new()))
        } else {
            let file = LogFile::open(rules);
            ActivityTarget::File(ActivityOutlet::new(file.map_err(|error| {
                if error == REFUSED {
                    let line = Line::LogRefused {
                        path: target.display().to_string(),
                    };
                    return io::Error::other(line.to_string());
                }
                io::Error::from_raw_os_error(error.0)
            })?))
        };
        // The daemon starts although standard output is closed.
        let copy = match (copy_to_stdout, journal::is_stdout()) {
            (false, _) => None,
            (true, true) if matches!(target, ActivityTarget::Journal(_)) => None,
            (true, true) => Some(Copied::Journal(Box::new(ActivityJournal::new()))),
            (true, false) => LogFile::stdout()
                .ok()
                .map(|file| Copied::Stdout(ActivityOutlet::new(file))),
        };
        if copy.is_none()
            && let ActivityTarget::Journal(activity_journal) = &mut target
            && let Some(line) = activity_journal.connect()
        {
            // There is no other place to report this, and standard error may be unread too.
            let _ = writeln!(io::stderr(), "{line}");
        }
        Ok(Self {
            level,
            target,
            copy,
            clock: Clock::new(match is_utc {
                true => TimeZone::UTC,
                false => sys::time_zone(),
            }),
            scratch: String::new(),
        })
    }

    /// Whether lines of this level are written.
    #[must_use]
    pub fn enabled(&self, level: Level) -> bool {
        level >= self.level
    }

    /// The lowest level that is written.
    #[must_use]
    pub fn level(&self) -> Level {
        self.level
    }

    /// Writes one line with the timestamp `wall`, unless its level is too low. Never blocks on a reader. Lines that
    /// cannot be written are counted, and the log reports the count where they are missing.
    pub fn write(&mut self, wall: Wall, line: &Line) {
        if !self.enabled(line.level()) {
            return;
        }
        self.begin_date(wall);
        self.format(wall, line);
        let text = self.scratch.as_bytes();
        match &mut self.target {
            ActivityTarget::Syslog(syslog) => {
                syslog.send(wall, &SyslogHead::daemon(), text);
            }
            ActivityTarget::File(outlet) => outlet.put_line(text, wall, &mut self.clock),
            ActivityTarget::Journal(activity_journal) => activity_journal.send(line),
        }
        match &mut self.copy {
            None => {}
            Some(Copied::Stdout(outlet)) => outlet.put_line(text, wall, &mut self.clock),
            Some(Copied::Journal(activity_journal)) => activity_journal.send(line),
        }
        self.tell_troubles(wall);
    }

    /// Reports failures of one destination to the other one.
    fn tell_troubles(&mut self, wall: Wall) {
        let of_target = match &mut self.target {
            ActivityTarget::File(_) => None,
            ActivityTarget::Syslog(syslog) => syslog.check().map(SyslogChange::line),
            ActivityTarget::Journal(activity_journal) => activity_journal.check(),
        };
        if let Some(line) = of_target {
            self.format(wall, &line);
            match &mut self.copy {
                None => {}
                Some(Copied::Stdout(outlet)) => {
                    outlet.put_line(self.scratch.as_bytes(), wall, &mut self.clock);
                }
                Some(Copied::Journal(activity_journal)) => activity_journal.send(&line),
            }
        }
        let of_copy = match &mut self.copy {
            None | Some(Copied::Stdout(_)) => None,
            Some(Copied::Journal(activity_journal)) => activity_journal.check(),
        };
        if let Some(line) = of_copy {
            self.format(wall, &line);
            let text = self.scratch.as_bytes();
            match &mut self.target {
                ActivityTarget::File(outlet) => outlet.put_line(text, wall, &mut self.clock),
                ActivityTarget::Syslog(syslog) => {
                    syslog.send(wall, &SyslogHead::daemon(), text);
                }
                // The journal never gets a second copy.
                ActivityTarget::Journal(_) => {}
            }
        }
    }

    fn format(&mut self, wall: Wall, line: &Line) {
        self.scratch.clear();
        self.clock.write(wall, line, &mut self.scratch);
    }

    /// When the log goes on to the file of another date. `None`: never.
    pub(super) fn next_date(&self) -> Option<Wall> {
        match &self.target {
            ActivityTarget::File(outlet) => outlet.file.next_date(),
            ActivityTarget::Syslog(_) | ActivityTarget::Journal(_) => None,
        }
    }

    /// Goes on to the file of another date if that of `now` is another one. After an error, the next attempt comes with
    /// the next date.
    pub(super) fn begin_date(&mut self, now: Wall) {
        if let ActivityTarget::File(outlet) = &mut self.target
            && let Err(error) = outlet.begin_date(now)
        {
            let path = outlet.file.path().display().to_string();
            self.write(now, &Line::ReopenFailed { path, error });
        }
    }

    /// Takes the closed files that must be compressed or removed.
    pub(super) fn take_closed(&mut self) -> Option<ClosedLogs> {
        match &mut self.target {
            ActivityTarget::File(outlet) => outlet.closed.take().map(|closed| *closed),
            ActivityTarget::Syslog(_) | ActivityTarget::Journal(_) => None,
        }
    }

    /// Whether lines wait for a slow reader: [`Activity::flush`] should be called soon.
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        let target = match &self.target {
            ActivityTarget::File(outlet) => !outlet.waiting.is_empty(),
            ActivityTarget::Syslog(syslog) => syslog.is_waiting(),
            ActivityTarget::Journal(activity_journal) => activity_journal.is_waiting(),
        };
        let copy = match &self.copy {
            None => false,
            Some(Copied::Stdout(outlet)) => !outlet.waiting.is_empty(),
            Some(Copied::Journal(activity_journal)) => activity_journal.is_waiting(),
        };
        target || copy
    }

    /// Collects lines if `batches`; setting it back to false writes them. Meanwhile only [`Activity::write`] may be
    /// called.
    pub(super) fn set_batches(&mut self, batches: bool) {
        if let ActivityTarget::File(outlet) = &mut self.target {
            outlet.set_batches(batches);
        }
        if let Some(Copied::Stdout(outlet)) = &mut self.copy {
            outlet.set_batches(batches);
        }
    }

    /// Writes as many of the waiting lines as possible.
    pub fn flush(&mut self) {
        match &mut self.target {
            ActivityTarget::File(outlet) => outlet.flush(),
            ActivityTarget::Syslog(syslog) => syslog.flush(),
            ActivityTarget::Journal(activity_journal) => activity_journal.flush(),
        }
        match &mut self.copy {
            None => {}
            Some(Copied::Stdout(outlet)) => outlet.flush(),
            Some(Copied::Journal(activity_journal)) => activity_journal.flush(),
        }
    }

    /// Closes the file and opens it again by name.
    pub(super) fn reopen(&mut self, wall: Wall) {
        if let ActivityTarget::File(outlet) = &mut self.target
            && let Err(error) = outlet.file.reopen()
        {
            let path = outlet.file.path().display().to_string();
            self.write(wall, &Line::ReopenFailed { path, error });
        }
    }

    /// Removes the file and opens a new one. The last line of the old file says so. Supervisor writes that line once
    /// for the copy on standard output and once for the file.
    ///
    /// # Errors
    /// As unlink(2). ENOENT: there was no file.
    pub(super) fn clear(&mut self, wall: Wall) -> Result<(), Errno> {
        let path = match &self.target {
            ActivityTarget::Syslog(_) | ActivityTarget::Journal(_) => return Err(Errno::NOENT),
            ActivityTarget::File(outlet) => outlet.file.live().clone(),
        };
        std::fs::metadata(&path).map_err(Errno::from)?;
        remove(&path)?;
        let handlers = 1 + usize::from(self.copy.is_some());
        for _ in 0..handlers {
            self.write(wall, &Line::LogFileReopened {});
        }
        self.reopen(wall);
        Ok(())
    }
}

impl ActivityOutlet {
    fn new(file: LogFile) -> Self {
        Self {
            // A daemon that was killed may have left some unfinished.
            closed: ClosedLogs::new(file.rules(), file.live()).map(Box::new),
            file,
            batches: false,
            batch: Vec::new(),
            batch_max: 0,
            waiting: Vec::new(),
            lost: 0,
            failing: false,
        }
    }

    fn set_batches(&mut self, batches: bool) {
        self.batches = batches;
        if !batches {
            self.write_batch();
        }
    }

    /// Adds a line to the batch. False: the file fails or is slow, so lines are written one by one.
    fn put_in_batch(&mut self, text: &[u8]) -> bool {
        if !self.batches || self.lost > 0 || self.failing || !self.waiting.is_empty() {
            return false;
        }
        if self.batch.is_empty() {
            let left = self.file.bytes_until_rotation().unwrap_or(u64::MAX);
            self.batch_max =
                usize::try_from(left).map_or(BATCH_BYTES, |left| left.min(BATCH_BYTES));
        }
        self.batch.extend_from_slice(text);
        if self.batch.len() >= self.batch_max {
            self.write_batch();
        }
        true
    }

    /// Goes on to the file of another date if that of `now` is another one.
    fn begin_date(&mut self, now: Wall) -> Result<(), Errno> {
        if !self.file.is_date_over(now) {
            return Ok(());
        }
        self.write_batch();
        self.file.next_file(now)?;
        self.closed = ClosedLogs::new(self.file.rules(), self.file.live()).map(Box::new);
        Ok(())
    }

    /// Rotates the file if it has reached its limit. If that fails, the log grows: there is no better place to report
    /// that.
    fn rotate(&mut self) {
        if matches!(self.file.rotate_if_due(), Ok(Rotation::Done(_))) {
            self.closed = ClosedLogs::new(self.file.rules(), self.file.live()).map(Box::new);
        }
    }

    fn write_batch(&mut self) {
        if self.batch.is_empty() {
            return;
        }
        let batch = std::mem::take(&mut self.batch);
        match self.file.write(&batch) {
            (written, Some(WriteStop::Failed(_))) => {
                let lines = batch[written..]
                    .iter()
                    .filter(|&&byte| byte == b'\n')
                    .count();
                self.lost = self.lost.saturating_add(lines as u64);
                self.failing = true;
            }
            (written, Some(WriteStop::Full)) => self.waiting.extend_from_slice(&batch[written..]),
            (_, None) => self.rotate(),
        }
        // Keep the buffer for its capacity.
        self.batch = batch;
        self.batch.clear();
    }

    fn put_line(&mut self, text: &[u8], wall: Wall, clock: &mut Clock) {
        if self.put_in_batch(text) {
            return;
        }
        self.flush();
        if self.lost > 0 {
            let line = Line::LinesDropped { lost: self.lost };
            let mut told = String::new();
            clock.write(wall, &line, &mut told);
            if !self.write_text(told.as_bytes()) {
                self.lost += 1;
                return;
            }
            self.lost = 0;
        }
        if !self.write_text(text) {
            self.lost += 1;
        }
    }

    /// Writes the line or queues it. False: it is lost.
    fn write_text(&mut self, text: &[u8]) -> bool {
        if self.waiting.len() + text.len() > WAITING_BYTES_MAX && !self.waiting.is_empty() {
            return false;
        }
        if !self.waiting.is_empty() {
            self.waiting.extend_from_slice(text);
            return true;
        }
        if self.failing {
            // The name may mean a working file by now. If the reopen fails, try the open file again.
            let _ = self.file.reopen();
        }
        match self.file.write(text) {
            (_, Some(WriteStop::Failed(_))) => {
                self.failing = true;
                false
            }
            (written, Some(WriteStop::Full)) => {
                self.waiting.extend_from_slice(&text[written..]);
                true
            }
            (_, None) => {
                self.failing = false;
                self.rotate();
                true
            }
        }
    }

    fn flush(&mut self) {
        if self.waiting.is_empty() {
            return;
        }
        match self.file.write(&self.waiting) {
            (_, Some(WriteStop::Failed(_))) => {
                let lines = self.waiting.iter().filter(|&&byte| byte == b'\n').count();
                self.lost = self.lost.saturating_add(lines as u64);
                self.failing = true;
                self.waiting.clear();
            }
            (written, _) => {
                self.waiting.drain(..written);
            }
        }
    }
}

/// Formats wall time, once per second.
#[derive(Debug)]
struct Clock {
    /// Each line is a JSON object.
    is_json: bool,
    zone: TimeZone,
    second: Option<i64>,
    text: String,
}

impl Clock {
    fn new(zone: TimeZone) -> Self {
        Self {
            is_json: std::env::var_os(FORMAT).is_some_and(|format| format == "json"),
            zone,
            second: None,
            text: String::new(),
        }
    }

    /// Appends a line of the log, with its newline.
    fn write(&mut self, wall: Wall, line: &Line, out: &mut String) {
        // Writing to a String cannot fail.
        if self.is_json {
            let text = serde_json::to_string(&JsonLine::new(wall, line)).unwrap_or_default();
            let _ = writeln!(out, "{text}");
            return;
        }
        self.stamp(wall, out);
        let _ = writeln!(out, " {} {line}", line.level().letters());
    }

    /// Appends `YYYY-MM-DD HH:MM:SS,mmm`.
    fn stamp(&mut self, wall: Wall, out: &mut String) {
        let second = wall.secs();
        if self.second != Some(second) {
            let time = self
                .zone
                .to_datetime(Timestamp::from_second(second).unwrap_or_default());
            self.text.clear();
            let _ = write!(
                self.text,
                "{:04}-{:02}-{:02} {:02}:{:02}:{:02}",
                time.year(),
                time.month(),
                time.day(),
                time.hour(),
                time.minute(),
                time.second()
            );
            self.second = Some(second);
        }
        let millis = wall.0.rem_euclid(1_000_000_000) / 1_000_000;
        let _ = write!(out, "{},{millis:03}", self.text);
    }
}

/// The environment variable of the Go re-implementation. With `json` each line of the log is a JSON object.
const FORMAT: &str = "LOG_FORMAT";

/// A line of the log as a JSON object.
#[derive(Serialize)]
struct JsonLine<'a> {
    ts: String,
    level: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    group: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    process: Option<&'a str>,
    message: String,
}

impl<'a> JsonLine<'a> {
    fn new(wall: Wall, line: &'a Line) -> Self {
        let time = Timestamp::from_nanosecond(wall.0.into()).unwrap_or_default();
        Self {
            ts: time.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string(),
            level: line.level().name(),
            group: line.group().map(|group| group.as_str()),
            process: line.process().map(|process| process.as_str()),
            message: line.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::journal::tests::FakeJournald;
    use crate::output::testing::{TempDir, eventually};

    fn open(path: &Path, maxbytes: i64, backups: i64, level: Level) -> Activity {
        Activity::open(path, Bytes(maxbytes), backups, level, false).expect("opened")
    }

    #[test]
    fn log_01_lines_have_supervisors_format() {
        let zone = TimeZone::fixed(jiff::tz::offset(2));
        let mut clock = Clock::new(zone);
        let mut text = String::new();
        for (wall, expected) in [
            (0, "1970-01-01 02:00:00,000"),
            (1_234_567_890_123_456_789, "2009-02-14 01:31:30,123"),
            (1_234_567_890_999_999_999, "2009-02-14 01:31:30,999"),
            (-1, "1970-01-01 01:59:59,999"),
        ] {
            text.clear();
            clock.stamp(Wall(wall), &mut text);
            assert_eq!(text, expected);
        }
    }

    #[test]
    fn g61_each_line_is_a_json_object() {
        let mut clock = Clock::new(TimeZone::UTC);
        clock.is_json = true;
        let mut text = String::new();
        let line = Line::ReopenFailed {
            path: "/a \"b\"\n".to_owned(),
            error: Errno::NOENT,
        };
        clock.write(Wall(1_500_000_000), &line, &mut text);
        assert!(text.ends_with("}\n") && text.lines().count() == 1, "{text}");
        let read: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(read["ts"], "1970-01-01T00:00:01.500Z");
        assert_eq!(
            (&read["level"], &read["message"]),
            (&"error".into(), &line.to_string().into())
        );
    }

    #[test]
    fn an_unreachable_journal_is_logged_once_in_the_file() {
        let dir = TempDir::new("activity-journal");
        let mut log = open(&dir.path("log"), 0, 0, Level::Info);
        let activity_journal = ActivityJournal::at(&dir.path("socket"));
        log.copy = Some(Copied::Journal(Box::new(activity_journal)));
        log.write(Wall(0), &Line::Started { pid: 7 });
        log.write(Wall(0), &Line::Started { pid: 8 });
        let text = std::fs::read_to_string(dir.path("log")).expect("written");
        let lines: Vec<_> = text.lines().map(|line| &line[24..]).collect();
        assert_eq!(lines[0], "INFO supervisord started with pid 7");
        assert!(
            lines[1].starts_with("WARN cannot send to the journal: "),
            "{text}"
        );
        assert_eq!(lines[2..], ["INFO supervisord started with pid 8"]);
        let journald = FakeJournald::new(&dir.path("socket"));
        eventually("it is found", || {
            log.write(Wall(0), &Line::Started { pid: 9 });
            journald.read().is_some()
        });
        let text = std::fs::read_to_string(dir.path("log")).expect("written");
        assert_eq!(
            text.matches("WARN sending to the journal works again")
                .count(),
            1,
            "{text}"
        );
    }

    #[test]
    fn log_02_lines_below_the_level_are_not_written() {
        let dir = TempDir::new("activity");
        let path = dir.path("log");
        let mut log = open(&path, 0, 0, Level::Info);
        log.write(Wall(0), &Line::ReceivedChild {});
        log.write(Wall(0), &Line::Started { pid: 7 });
        log.write(Wall(0), &Line::ReceivedHangup {});
        let text = std::fs::read_to_string(&path).expect("written");
        let lines: Vec<_> = text.lines().map(|line| &line[23..]).collect();
        assert_eq!(
            lines,
            [
                " INFO supervisord started with pid 7",
                " WARN received SIGHUP indicating restart request"
            ]
        );
    }

    #[test]
    fn the_log_rotates() {
        let dir = TempDir::new("activity-rotates");
        let path = dir.path("log");
        let mut log = open(&path, 100, 2, Level::Info);
        for pid in 0..10 {
            log.write(Wall(0), &Line::Started { pid });
        }
        let size = |name: &str| std::fs::metadata(dir.path(name)).map(|meta| meta.len());
        assert_eq!(size("log.1").expect("rotated"), 120);
        assert_eq!(size("log.2").expect("rotated"), 120);
        assert!(size("log.3").is_err());
    }

    #[test]
    fn a_date_that_cannot_begin_is_reported_once_in_the_old_file() {
        let dir = TempDir::new("activity-date");
        std::fs::create_dir(dir.path("logs")).expect("made");
        let mut spec = DaemonSpec::empty();
        spec.logfile = dir.path("logs/{date}/log");
        spec.logfile_options.utc = true;
        let mut log = Activity::of_daemon(&spec).expect("opened");
        std::fs::rename(dir.path("logs"), dir.path("moved")).expect("renamed");
        let later = Wall(log.next_date().expect("a date").0 + 1);
        for pid in [7, 8] {
            log.write(later, &Line::Started { pid });
        }
        let entry = std::fs::read_dir(dir.path("moved")).expect("there").next();
        let old = entry.expect("a date").expect("read").path().join("log");
        let text = std::fs::read_to_string(old).expect("written");
        let starts: Vec<_> = text.lines().map(|line| &line[24..44]).collect();
        let expected = [
            "ERRO cannot reopen /",
            "INFO supervisord sta",
            "INFO supervisord sta",
        ];
        assert_eq!(starts, expected, "{text}");
        std::fs::rename(dir.path("moved"), dir.path("logs")).expect("renamed");
        let again = Wall(log.next_date().expect("a date").0 + 1);
        log.write(again, &Line::Started { pid: 9 });
        let count = std::fs::read_dir(dir.path("logs")).map(Iterator::count);
        assert_eq!(count.expect("there"), 2, "the next date works");
        assert!(log.next_date() > Some(again));
    }

    #[test]
    fn a_batch_of_lines_rotates_after_the_same_line() {
        let dir = TempDir::new("activity-batch");
        let lines = |log: &mut Activity, pids: std::ops::Range<i32>| {
            for pid in pids {
                log.write(Wall(0), &Line::Started { pid });
            }
        };
        let mut one_by_one = open(&dir.path("one"), 100, 9, Level::Info);
        lines(&mut one_by_one, 0..17);
        let mut together = open(&dir.path("all"), 100, 9, Level::Info);
        lines(&mut together, 0..1);
        together.set_batches(true);
        lines(&mut together, 1..16);
        together.set_batches(false);
        lines(&mut together, 16..17);
        let read = |name: String| std::fs::read_to_string(dir.path(&name)).ok();
        assert_eq!(read("one".to_owned()), read("all".to_owned()));
        for number in 1..=9 {
            let backup = read(format!("all.{number}"));
            assert_eq!(read(format!("one.{number}")), backup, "{number}");
        }
        assert!(read("all.5".to_owned()).is_some());
    }

    #[test]
    fn every_lost_line_of_a_batch_is_counted() {
        let mut log = open(Path::new("/dev/full"), 0, 0, Level::Info);
        log.set_batches(true);
        for pid in 0..10 {
            log.write(Wall(0), &Line::Started { pid });
        }
        log.set_batches(false);
        let ActivityTarget::File(outlet) = &mut log.target else {
            panic!("a file");
        };
        assert_eq!(outlet.lost, 10);
        log.set_batches(true);
        log.write(Wall(0), &Line::Started { pid: 10 });
        log.set_batches(false);
        let ActivityTarget::File(outlet) = &mut log.target else {
            panic!("a file");
        };
        assert_eq!(outlet.lost, 11, "and the next one, which is tried alone");
    }

    #[test]
    fn clearing_leaves_an_empty_log_and_a_missing_log_is_an_error() {
        let dir = TempDir::new("activity-clear");
        let path = dir.path("log");
        let mut log = open(&path, 0, 0, Level::Info);
        log.write(Wall(0), &Line::Started { pid: 7 });
        assert_eq!(log.clear(Wall(0)), Ok(()));
        assert_eq!(std::fs::read(&path).expect("new"), b"");
        std::fs::remove_file(&path).expect("there");
        assert_eq!(log.clear(Wall(0)), Err(Errno::NOENT));
    }

    #[test]
    fn a_full_disk_is_survived_and_logged() {
        let mut log = open(Path::new("/dev/full"), 0, 0, Level::Info);
        log.write(Wall(0), &Line::Started { pid: 7 });
        log.write(Wall(0), &Line::Started { pid: 8 });
        let ActivityTarget::File(outlet) = &mut log.target else {
            panic!("a file");
        };
        assert_eq!(outlet.lost, 2);
        let dir = TempDir::new("activity-full");
        let path = dir.path("log");
        outlet.file = LogFile::open(LogRules {
            path: path.as_path().into(),
            maxbytes: Bytes(0),
            backups: 0,
            private: false,
            options: None,
        })
        .expect("opened");
        log.write(Wall(0), &Line::Started { pid: 9 });
        let text = std::fs::read_to_string(&path).expect("written");
        assert!(
            text.contains("WARN 2 lines of this log were lost here"),
            "{text}"
        );
        assert!(text.ends_with("started with pid 9\n"), "{text}");
    }

    #[test]
    fn a_pipe_without_reader_does_not_block() {
        let dir = TempDir::new("activity-fifo");
        let path = dir.path("log");
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).expect("made");
        let mut reader = std::fs::OpenOptions::new()
            .read(true)
            .write(true)
            .open(&path)
            .expect("opened");
        let mut log = open(&path, 1, 1, Level::Info);
        for pid in 0..20_000 {
            log.write(Wall(0), &Line::Started { pid });
        }
        assert!(log.is_waiting());
        // Only whole lines, and a count of the missing ones.
        let mut seen = Vec::new();
        let mut buffer = [0; 65536];
        while log.is_waiting() {
            let count = io::Read::read(&mut reader, &mut buffer).expect("read");
            seen.extend_from_slice(&buffer[..count]);
            log.flush();
        }
        log.write(Wall(0), &Line::Started { pid: -1 });
        while !seen.ends_with(b"pid -1\n") {
            let count = io::Read::read(&mut reader, &mut buffer).expect("read");
            seen.extend_from_slice(&buffer[..count]);
            log.flush();
        }
        let text = String::from_utf8(seen).expect("text");
        let told: Vec<_> = text
            .lines()
            .filter(|line| line.contains("lost here"))
            .collect();
        assert_eq!(told.len(), 1);
        let lost: usize = told[0]
            .split(' ')
            .nth(3)
            .and_then(|word| word.parse().ok())
            .expect("a number");
        assert_eq!(text.lines().count() - 1 + lost, 20_001);
    }
}
