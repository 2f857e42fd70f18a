//! Sends records to the journal, if systemd started the hub. It never waits: the file has all records.

use std::fmt::Write as _;
use std::os::unix::net::UnixDatagram;

use super::record::ActivityRecord;

/// The socket of the journal.
///
/// # Source
/// systemd.io, "Native Journal Protocol".
const SOCKET: &str = "/run/systemd/journal/socket";

/// The connection to the journal.
#[derive(Debug)]
pub(super) struct JournalSender(UnixDatagram);

impl JournalSender {
    /// Connects. `None`: systemd did not start this process, or there is no journal.
    pub(super) fn connect() -> Option<Self> {
        std::env::var_os("JOURNAL_STREAM")?;
        let socket = UnixDatagram::unbound().ok()?;
        socket.connect(SOCKET).ok()?;
        socket.set_nonblocking(true).ok()?;
        Some(Self(socket))
    }

    /// Sends a record, if the journal accepts it at once.
    pub(super) fn send(&self, record: &ActivityRecord) {
        // An error means that the journal is busy or restarts.
        let _ = self.0.send(entry(record).as_bytes());
    }
}

/// The fields of an entry. Each value is on one line.
fn entry(record: &ActivityRecord) -> String {
    let priority = record.level.priority().to_string();
    let fields = [
        ("MESSAGE", Some(record.text.as_str())),
        ("PRIORITY", Some(&priority)),
        ("SYSLOG_IDENTIFIER", Some("supervisord-hub")),
        ("SUPERVISOR_HUB_USER", Some(&record.user)),
        ("SUPERVISOR_HUB_ADDRESS", Some(&record.address)),
        ("SUPERVISOR_HUB_EVENT", Some(&record.event)),
        ("SUPERVISOR_HUB_NODE", record.node.as_deref()),
        ("SUPERVISOR_HUB_PROCESS", record.process.as_deref()),
        ("SUPERVISOR_HUB_RESULT", Some(&record.result)),
    ];
    let mut entry = String::new();
    for (name, value) in fields {
        if let Some(value) = value {
            // Writing to a string cannot fail. A record has no line feed; one from an old file might.
            let _ = writeln!(entry, "{name}={}", value.replace('\n', " "));
        }
    }
    entry
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hub::activity::event::ActivityEvent;
    use jiff::Timestamp;

    #[test]
    fn an_entry_has_a_field_a_line() {
        let event = ActivityEvent::LogRead {
            node: "n".to_owned(),
            process: "g:p\nPRIORITY=0".to_owned(),
        };
        let record = ActivityRecord::new("u", "::1", &event, Timestamp::UNIX_EPOCH);
        let entry = entry(&record);
        let names: Vec<&str> = entry
            .lines()
            .filter_map(|line| Some(line.split_once('=')?.0))
            .collect();
        assert_eq!(names.len(), 9);
        assert_eq!(names.iter().filter(|name| **name == "PRIORITY").count(), 1);
    }
}
