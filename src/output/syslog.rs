//! Sends lines to syslog through `/dev/log`, without blocking.

use std::collections::VecDeque;
use std::io;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::config::spec::SyslogForm;
use crate::domain::{Errno, Line, Wall};
use crate::sys;

/// Facility USER, priority INFO, which Supervisor gives every line.
const PRIORITY: u8 = 14;
/// The syslog identifier, whatever name the daemon was started by.
const IDENT: &str = "supervisord";
/// What the messages of a stream begin with, apart from the time.
#[derive(Debug)]
pub(super) struct SyslogHead {
    priority: u8,
    ident: String,
}

impl SyslogHead {
    /// The head of the daemon's own messages.
    pub(super) fn daemon() -> Self {
        Self {
            priority: PRIORITY,
            ident: format!("{IDENT}: "),
        }
    }

    /// Without keys: the form of Supervisor. With a tag: the form of the Go re-implementation, with the PID of the
    /// daemon.
    pub(super) fn new(form: &SyslogForm, name: &str) -> Self {
        let facility = form.facility.unwrap_or(PRIORITY / 8);
        let ident = match &form.tag {
            None => format!("{IDENT}: {name} "),
            Some(tag) => format!("{tag}[{}]: ", std::process::id()),
        };
        Self {
            priority: facility * 8 + form.severity.unwrap_or(PRIORITY % 8),
            ident,
        }
    }
}

/// Maximum bytes that wait for syslog. Further lines are dropped and counted.
const QUEUE_BYTES_MAX: usize = 1 << 20;

/// What [`Syslog::check`] reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SyslogChange {
    /// Sending fails.
    Failed(Errno),
    /// Sending works again. The number of lines that were lost.
    Recovered(u64),
}

impl SyslogChange {
    /// The log line about the change.
    pub(super) fn line(self) -> Line {
        match self {
            Self::Failed(error) => Line::SyslogFailed { error },
            Self::Recovered(lost) => Line::SyslogRecovered { lost },
        }
    }
}

/// The connection to syslog.
#[derive(Debug)]
pub(super) struct Syslog {
    path: PathBuf,
    socket: Option<UnixDatagram>,
    zone: TimeZone,
    queue: VecDeque<Vec<u8>>,
    queued_bytes: usize,
    lost: u64,
    failure: Option<Errno>,
    told: bool,
}

impl Syslog {
    /// Connects at the first line.
    pub(super) fn new() -> Self {
        Self::at(Path::new("/dev/log"))
    }

    pub(super) fn at(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            socket: None,
            zone: sys::time_zone(),
            queue: VecDeque::new(),
            queued_bytes: 0,
            lost: 0,
            failure: None,
            told: false,
        }
    }

    /// Sends one record per line of `text`, each with `head`. Ignores newlines at the end. Returns how many bytes of
    /// `text` the queue had no room for.
    pub(super) fn send(&mut self, wall: Wall, head: &SyslogHead, text: &[u8]) -> usize {
        let mut dropped = 0;
        let end = text
            .iter()
            .rposition(|&byte| byte != b'\n')
            .map_or(0, |last| last + 1);
        let SyslogHead { priority, ident } = head;
        let head = format!("<{priority}>{} {ident}", self.stamp(wall));
        for line in text[..end].split(|&byte| byte == b'\n') {
            let mut record = head.clone().into_bytes();
            record.extend_from_slice(line);
            if self.queued_bytes + record.len() > QUEUE_BYTES_MAX {
                self.flush();
            }
            if self.queued_bytes + record.len() > QUEUE_BYTES_MAX {
                self.lost += 1;
                dropped += line.len();
                self.failure
                    .get_or_insert(Errno(nix::errno::Errno::EAGAIN as i32));
                continue;
            }
            self.queued_bytes += record.len();
            self.queue.push_back(record);
        }
        self.flush();
        dropped
    }

    /// Whether lines wait for a slow reader: [`Syslog::flush`] should be called soon.
    pub(super) fn is_waiting(&self) -> bool {
        !self.queue.is_empty()
    }

    /// Sends as much as possible.
    pub(super) fn flush(&mut self) {
        while let Some(record) = self.queue.front() {
            match self.send_now(record) {
                Ok(()) => {
                    if self.failure.is_some() && self.queued_bytes < QUEUE_BYTES_MAX / 2 {
                        self.failure = None;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(_) => {
                    // syslog may have restarted: try once more with a new socket.
                    self.socket = None;
                    let again = self
                        .connect()
                        .and_then(|()| self.send_now(record_of(&self.queue)));
                    match again {
                        Ok(()) => self.failure = None,
                        Err(again) if again.kind() == io::ErrorKind::WouldBlock => return,
                        Err(again) => {
                            self.socket = None;
                            self.lost += 1;
                            self.failure = Some(Errno::from(&again));
                        }
                    }
                }
            }
            if let Some(done) = self.queue.pop_front() {
                self.queued_bytes -= done.len();
            }
        }
    }

    fn send_now(&self, record: &[u8]) -> io::Result<()> {
        match &self.socket {
            None => Err(io::ErrorKind::NotConnected.into()),
            Some(socket) => socket.send(record).map(drop),
        }
    }

    fn connect(&mut self) -> io::Result<()> {
        let socket = UnixDatagram::unbound()?;
        socket.set_nonblocking(true)?;
        socket.connect(&self.path)?;
        self.socket = Some(socket);
        Ok(())
    }

    /// Returns what changed since the last call.
    pub(super) fn check(&mut self) -> Option<SyslogChange> {
        match (self.failure, self.told) {
            (Some(error), false) => {
                self.told = true;
                Some(SyslogChange::Failed(error))
            }
            (None, true) => {
                self.told = false;
                Some(SyslogChange::Recovered(std::mem::take(&mut self.lost)))
            }
            _ => None,
        }
    }

    /// Local time, such as `Nov  5 09:08:07`.
    fn stamp(&self, wall: Wall) -> String {
        const MONTHS: [&str; 12] = [
            "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
        ];
        let time = Timestamp::from_second(wall.secs()).unwrap_or_default();
        let local = self.zone.to_datetime(time);
        let month = usize::try_from(local.month()).map_or(0, |month| month - 1);
        format!(
            "{} {:2} {:02}:{:02}:{:02}",
            MONTHS[month],
            local.day(),
            local.hour(),
            local.minute(),
            local.second()
        )
    }
}

fn record_of(queue: &VecDeque<Vec<u8>>) -> &[u8] {
    queue.front().map_or(&[], Vec::as_slice)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::testing::TempDir;

    /// The head of a stream without keys. With an empty name for tests that do not care.
    fn head(name: &str) -> SyslogHead {
        SyslogHead::new(&SyslogForm::default(), name)
    }

    #[test]
    fn g41_the_keys_change_priority_and_tag_of_the_local_syslog() {
        let form = SyslogForm {
            facility: Some(16),
            severity: Some(3),
            tag: Some("shop".into()),
            ..SyslogForm::default()
        };
        let head = SyslogHead::new(&form, "cat");
        let ident = format!("shop[{}]: ", std::process::id());
        assert_eq!((head.priority, head.ident), (131, ident));
        let only_severity = SyslogForm {
            severity: Some(4),
            ..SyslogForm::default()
        };
        let head = SyslogHead::new(&only_severity, "cat");
        assert_eq!((head.priority, &*head.ident), (12, "supervisord: cat "));
    }

    fn received(socket: &UnixDatagram) -> Vec<String> {
        socket.set_nonblocking(true).expect("a socket");
        let mut buffer = vec![0; 1 << 17];
        std::iter::from_fn(|| {
            let count = socket.recv(&mut buffer).ok()?;
            Some(String::from_utf8_lossy(&buffer[..count]).into_owned())
        })
        .collect()
    }

    #[test]
    fn out_09_each_line_is_one_record() {
        let dir = TempDir::new("syslog");
        let path = dir.path("log");
        let socket = UnixDatagram::bind(&path).expect("bound");
        let mut syslog = Syslog::at(&path);
        syslog.send(Wall(0), &head("cat"), b"one\n\ntwo\xff\n\n");
        syslog.send(Wall(0), &head("cat"), b"\n");
        let lines = received(&socket);
        let texts: Vec<_> = lines
            .iter()
            .map(|line| {
                assert!(line.starts_with("<14>"), "{line}");
                &line["<14>Jan  1 00:00:00 ".len()..]
            })
            .collect();
        assert_eq!(
            texts,
            [
                "supervisord: cat one",
                "supervisord: cat ",
                "supervisord: cat two\u{fffd}",
                "supervisord: cat ",
            ]
        );
    }

    #[test]
    fn a_missing_syslog_and_its_return_are_reported_once() {
        let dir = TempDir::new("syslog-gone");
        let path = dir.path("log");
        let mut syslog = Syslog::at(&path);
        syslog.send(Wall(0), &head("cat"), b"lost");
        assert_eq!(syslog.check(), Some(SyslogChange::Failed(Errno::NOENT)));
        syslog.send(Wall(0), &head("cat"), b"lost too");
        assert_eq!(syslog.check(), None);
        let socket = UnixDatagram::bind(&path).expect("bound");
        syslog.send(Wall(0), &head("cat"), b"found");
        assert_eq!(syslog.check(), Some(SyslogChange::Recovered(2)));
        assert_eq!(received(&socket).len(), 1);
    }

    #[test]
    fn a_stalled_syslog_does_not_block() {
        let dir = TempDir::new("syslog-slow");
        let path = dir.path("log");
        let socket = UnixDatagram::bind(&path).expect("bound");
        let mut syslog = Syslog::at(&path);
        let line = [b'x'; 1000];
        for _ in 0..3000 {
            syslog.send(Wall(0), &head("cat"), &line);
        }
        assert!(syslog.is_waiting());
        assert!(syslog.queued_bytes <= QUEUE_BYTES_MAX);
        assert!(matches!(syslog.check(), Some(SyslogChange::Failed(_))));
        let mut seen = 0;
        while syslog.is_waiting() {
            seen += received(&socket).len();
            syslog.flush();
        }
        seen += received(&socket).len();
        let Some(SyslogChange::Recovered(lost)) = syslog.check() else {
            panic!("it works again");
        };
        assert_eq!(seen + usize::try_from(lost).expect("small"), 3000);
    }
}
