//! The message by which a listener gets an event: a header line, then the payload.
//!
//! # Source
//! Supervisor manual, "Event Listeners", "Event Notification Protocol".

use std::fmt::Write as _;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Change, GroupName, Payload};

/// The reserved space for the header, in bytes. Most headers are shorter.
const HEADER_BYTES: usize = 256;
/// The reserved space for the payload without its data, in bytes.
const PAYLOAD_BYTES: usize = 128;

/// An event for one pool of listeners.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Envelope {
    /// The identifier of the daemon.
    pub server: Arc<str>,
    /// The name of the pool.
    pub pool: GroupName,
    /// The number of the event among those that any pool subscribes to, from 0. It continues after a reload.
    pub serial: u64,
    /// The number of the event in the pool, from 0.
    pub pool_serial: u64,
    /// The change that the event is about.
    pub event: Arc<Change>,
}

impl Envelope {
    /// Returns header and payload. `len` counts characters, not bytes, because clients written for Supervisor read
    /// characters.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::with_capacity(HEADER_BYTES + PAYLOAD_BYTES + self.event.size());
        // Writing to a string does not fail.
        let _ = write!(text, "{}", Payload(&self.event));
        let Self {
            server,
            pool,
            serial,
            pool_serial,
            event,
        } = self;
        let header = format!(
            "ver:3.0 server:{server} serial:{serial} pool:{pool} poolserial:{pool_serial} eventname:{} len:{}\n",
            event.name(),
            text.chars().count(),
        );
        // Insert the header in place: a captured payload may have many megabytes, and a second copy would need as much
        // memory again.
        text.insert_str(0, &header);
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Channel, ProcessName};

    #[test]
    fn evt_09_the_header_counts_characters() {
        let envelope = Envelope {
            server: Arc::from("super visor"),
            pool: GroupName::parse("pool").expect("valid"),
            serial: 12,
            pool_serial: 3,
            event: Arc::new(Change::ProcessLog {
                group: GroupName::parse("cats").expect("valid"),
                process: ProcessName::parse("cat_00").expect("valid"),
                channel: Channel::Stdout,
                pid: 7,
                data: Arc::from("é\n".as_bytes()),
            }),
        };
        assert_eq!(
            envelope.text(),
            "ver:3.0 server:super visor serial:12 pool:pool poolserial:3 eventname:PROCESS_LOG_STDOUT len:57\n\
             processname:cat_00 groupname:cats pid:7 channel:stdout\né\n"
        );
    }
}
