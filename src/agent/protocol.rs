//! The messages between the daemon and its agent, and their frames.
//!
//! A frame is its length in bytes (four bytes, little-endian) and a JSON value. The daemon sends [`AgentOrder`]s, the agent
//! sends [`AgentReport`]s. Each side trusts the other no further than this file goes: a frame has at most [`FRAME_BYTES_MAX`]
//! bytes, and a side that receives something else closes the connection.

use std::fmt;
use std::io::{self, Read, Write};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

pub use crate::config::nacos::NacosApi;

/// Maximum length of the JSON of a frame in bytes: the largest text with all of its bytes escaped, and its envelope.
pub const FRAME_BYTES_MAX: usize = 6 * TEXT_BYTES_MAX + (64 << 10);
/// Maximum length of a configuration text in bytes.
pub const TEXT_BYTES_MAX: usize = 1 << 20;

/// Maximum length of [`ItemFailure::message`] in bytes.
pub const MESSAGE_BYTES_MAX: usize = 500;
/// Maximum number of entries of [`AgentAnswer::History`].
pub const HISTORY_ENTRIES_MAX: usize = 100;
/// Maximum number of hosts of [`AgentAnswer::Listeners`].
pub const LISTENERS_MAX: usize = 10_000;
/// Maximum length of a server's words in history entries and listeners, in bytes.
pub const WORD_BYTES_MAX: usize = 256;

/// One item of a Nacos server, and how to reach it. Its `Debug` form hides the password.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct NacosItem {
    /// Base URLs with scheme, host, port and context path, e.g. `http://127.0.0.1:8848/nacos`. Never empty.
    pub servers: Vec<String>,
    /// The data ID.
    pub dataid: String,
    /// The namespace ID. Empty: public.
    pub namespace: String,
    /// The group.
    pub group: String,
    /// The user. `None`: requests carry no token.
    pub username: Option<String>,
    /// The password. Not empty only with a user.
    pub password: String,
    /// The interface to use.
    pub api: NacosApi,
    /// How long the server may hold a listening request, in milliseconds. At least 10,000.
    pub poll_timeout_ms: u64,
    /// Pause between two reads of a server without listening, in milliseconds.
    pub poll_interval_ms: u64,
    /// A file with the certificates of authorities in PEM. `None`: those of the system.
    pub tls_ca: Option<String>,
}

impl fmt::Debug for NacosItem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("NacosItem");
        shown.field("servers", &self.servers);
        shown.field("dataid", &self.dataid);
        shown.field("namespace", &self.namespace);
        shown.field("group", &self.group);
        shown.field("username", &self.username);
        shown.field("api", &self.api);
        shown.finish_non_exhaustive()
    }
}

/// A message from the daemon. The answer to one with an `id` is an [`AgentReport::Answer`] with that number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "order", rename_all = "snake_case")]
pub enum AgentOrder {
    /// Read the item now and report each change from here on. It replaces an earlier order of this kind. Reports do not
    /// name their item, and one on the earlier item may be under way: to watch another item, start another agent.
    Watch {
        /// The item.
        item: NacosItem,
        /// The MD5 of the text that the daemon has. `None`: it has none.
        md5: Option<String>,
    },
    /// Read an item once.
    Read {
        /// The number of the answer.
        id: u64,
        /// The item.
        item: NacosItem,
    },
    /// Replace the text of an item if its MD5 is `md5`.
    Publish {
        /// The number of the answer.
        id: u64,
        /// The item.
        item: NacosItem,
        /// The new text. Never empty.
        text: String,
        /// The MD5 of the text that the new one replaces.
        md5: String,
        /// The user who made the change, for the server's history.
        author: String,
    },
    /// List earlier texts, newest first.
    History {
        /// The number of the answer.
        id: u64,
        /// The item.
        item: NacosItem,
    },
    /// Read one earlier text.
    HistoryText {
        /// The number of the answer.
        id: u64,
        /// The item.
        item: NacosItem,
        /// [`HistoryEntry::id`].
        entry: String,
    },
    /// List the hosts that watch the item.
    Listeners {
        /// The number of the answer.
        id: u64,
        /// The item.
        item: NacosItem,
    },
    /// Send a request over HTTPS and return the status of its answer.
    Request {
        /// The number of the answer.
        id: u64,
        /// The request.
        request: SecureRequest,
    },
}

/// A request of a health check, a hook or a notification. Its `Debug` form hides headers and body, which may have secrets.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecureRequest {
    /// The host, an IPv6 address without its brackets.
    pub host: String,
    /// The port.
    pub port: u16,
    /// The method.
    pub method: String,
    /// The path with its query. It begins with `/`.
    pub target: String,
    /// Header fields, in their order.
    pub headers: Vec<(String, String)>,
    /// The body. Empty: none.
    pub body: Vec<u8>,
    /// Limit of the whole request in milliseconds.
    pub timeout_ms: u64,
    /// A file with the certificates of authorities in PEM. `None`: those of the system.
    pub ca_file: Option<String>,
}

impl fmt::Debug for SecureRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("SecureRequest");
        shown.field("host", &self.host);
        shown.field("port", &self.port);
        shown.field("method", &self.method);
        shown.finish_non_exhaustive()
    }
}

/// A message from the agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "report", rename_all = "snake_case")]
pub enum AgentReport {
    /// The agent is ready. The first report.
    Ready,
    /// The watched item has a text with another MD5 than the one known so far. Sent for the first read in any case.
    Text(ItemText),
    /// The watched item has the text that is known already. Sent once after a connection came back.
    Unchanged {
        /// The MD5 of the text.
        md5: String,
        /// The server that answered.
        server: String,
    },
    /// The watched item cannot be read. Sent once per reason, not per attempt.
    Failed(ItemFailure),
    /// The answer to an order with this number.
    Answer {
        /// The number.
        id: u64,
        /// What the server answered.
        result: Result<AgentAnswer, ItemFailure>,
    },
}

/// What the server answered to an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "snake_case")]
pub enum AgentAnswer {
    /// To `Read`, `HistoryText`, and `Publish`: there the text that the server has now, read after the write.
    Text(ItemText),
    /// To `History`.
    History {
        /// The entries, newest first, at most 100.
        entries: Vec<HistoryEntry>,
    },
    /// To `Listeners`.
    Listeners {
        /// Each host, and the MD5 of the text that it has.
        hosts: Vec<(String, String)>,
    },
    /// To `Request`. Headers and body of the answer stay with the agent.
    Status {
        /// The HTTP status.
        status: u16,
    },
}

/// The text of an item.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ItemText {
    /// The text, at most [`TEXT_BYTES_MAX`] bytes.
    pub text: String,
    /// The MD5 of its UTF-8 in lower-case hexadecimal digits, computed by the agent.
    pub md5: String,
    /// The server that answered, as in [`NacosItem::servers`].
    pub server: String,
}

/// Why an item could not be read or written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ItemFailure {
    /// The kind, which decides what the daemon does.
    pub kind: FailureKind,
    /// One line in plain English without secrets, at most 500 bytes. It names the server.
    pub message: String,
}

/// The kinds of failures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    /// No server can be reached, or all are out of order: connection errors, 5xx, 429, and answers that are not Nacos'.
    Away,
    /// A server answered that the item does not exist.
    Missing,
    /// A server refused user name and password, or the token: 401, 403.
    Denied,
    /// A server refused the request: 400, or a value that it does not accept.
    Rejected,
    /// The text is empty, larger than [`TEXT_BYTES_MAX`] or not UTF-8.
    Unusable,
    /// `Publish`: the item's text is not the one with the given MD5. Nothing was written, or another writer won.
    Conflict,
    /// The server does not have this function (history, listeners).
    Unsupported,
}

/// One earlier text of an item.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistoryEntry {
    /// The server's number of the entry.
    pub id: String,
    /// `I`, `U` or `D`: inserted, updated, deleted.
    pub operation: String,
    /// The user, as the server names it. Empty: unknown.
    pub author: String,
    /// The server's text for the time.
    pub time: String,
    /// The MD5 of the text. Empty: unknown.
    pub md5: String,
}

impl AgentReport {
    /// Whether it keeps the limits that this file states. The daemon ends an agent whose reports do not.
    #[must_use]
    pub fn is_within_limits(&self) -> bool {
        match self {
            Self::Ready => true,
            Self::Text(text) => text.is_within_limits(),
            Self::Unchanged { md5, server } => is_md5(md5) && is_line(server, MESSAGE_BYTES_MAX),
            Self::Failed(failure) => failure.is_within_limits(),
            Self::Answer { result, .. } => match result {
                Ok(answer) => answer.is_within_limits(),
                Err(failure) => failure.is_within_limits(),
            },
        }
    }
}

impl AgentAnswer {
    fn is_within_limits(&self) -> bool {
        let is_word = |word: &String| is_line(word, WORD_BYTES_MAX);
        match self {
            Self::Text(text) => text.is_within_limits(),
            Self::Status { status } => (100..1000).contains(status),
            Self::History { entries } => {
                entries.len() <= HISTORY_ENTRIES_MAX
                    && entries.iter().all(|entry| {
                        let HistoryEntry {
                            id,
                            operation,
                            author,
                            time,
                            md5,
                        } = entry;
                        [id, operation, author, time, md5].into_iter().all(is_word)
                    })
            }
            Self::Listeners { hosts } => {
                hosts.len() <= LISTENERS_MAX
                    && hosts
                        .iter()
                        .all(|(host, md5)| is_word(host) && is_word(md5))
            }
        }
    }
}

impl ItemText {
    fn is_within_limits(&self) -> bool {
        self.text.len() <= TEXT_BYTES_MAX
            && is_md5(&self.md5)
            && is_line(&self.server, MESSAGE_BYTES_MAX)
    }
}

impl ItemFailure {
    fn is_within_limits(&self) -> bool {
        is_line(&self.message, MESSAGE_BYTES_MAX)
    }
}

/// Whether `text` is an MD5 in lower-case hexadecimal digits.
fn is_md5(text: &str) -> bool {
    let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    text.len() == 32 && text.bytes().all(is_digit)
}

/// Whether `text` is one line of at most `bytes` bytes, fit for a log.
fn is_line(text: &str, bytes: usize) -> bool {
    text.len() <= bytes && !text.chars().any(char::is_control)
}

/// Writes a frame.
///
/// # Errors
/// As write(2). `InvalidData`: the frame would be too long.
pub fn write_frame(to: &mut impl Write, message: &impl Serialize) -> io::Result<()> {
    let json = serde_json::to_vec(message).map_err(io::Error::from)?;
    let length = u32::try_from(json.len()).ok();
    let length = length.filter(|_| json.len() <= FRAME_BYTES_MAX);
    let length = length.ok_or(io::ErrorKind::InvalidData)?;
    let mut frame = length.to_le_bytes().to_vec();
    frame.extend_from_slice(&json);
    to.write_all(&frame)
}

/// Reads a frame. `None`: the other side closed the connection between two frames.
///
/// # Errors
/// As read(2). `InvalidData`: the frame is too long or is no such message. `UnexpectedEof`: it is cut.
pub fn read_frame<M: DeserializeOwned>(from: &mut impl Read) -> io::Result<Option<M>> {
    let mut length = [0; 4];
    let first = loop {
        match from.read(&mut length) {
            Ok(count) => break count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    };
    if first == 0 {
        return Ok(None);
    }
    from.read_exact(&mut length[first..])?;
    let length = u32::from_le_bytes(length) as usize;
    if length > FRAME_BYTES_MAX {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut json = vec![0; length];
    from.read_exact(&mut json)?;
    serde_json::from_slice(&json)
        .map(Some)
        .map_err(|_| io::ErrorKind::InvalidData.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> AgentReport {
        AgentReport::Answer {
            id: 7,
            result: Err(ItemFailure {
                kind: FailureKind::Missing,
                message: "http://127.0.0.1:8848/nacos: the item does not exist".to_owned(),
            }),
        }
    }

    #[test]
    fn frames_are_read_as_they_were_written() {
        let mut bytes = Vec::new();
        write_frame(&mut bytes, &report()).expect("fits");
        write_frame(&mut bytes, &AgentReport::Ready).expect("fits");
        let mut from = bytes.as_slice();
        assert_eq!(read_frame(&mut from).expect("whole"), Some(report()));
        assert_eq!(
            read_frame(&mut from).expect("whole"),
            Some(AgentReport::Ready)
        );
        assert_eq!(read_frame::<AgentReport>(&mut from).expect("end"), None);
    }

    #[test]
    fn frames_that_are_cut_long_or_foreign_are_errors() {
        let kind = |mut bytes: &[u8]| {
            read_frame::<AgentReport>(&mut bytes)
                .expect_err("wrong")
                .kind()
        };
        let mut whole = Vec::new();
        write_frame(&mut whole, &report()).expect("fits");
        for length in 1..whole.len() {
            assert_eq!(kind(&whole[..length]), io::ErrorKind::UnexpectedEof);
        }
        assert_eq!(kind(&u32::MAX.to_le_bytes()), io::ErrorKind::InvalidData);
        assert_eq!(kind(b"\x02\0\0\0{}"), io::ErrorKind::InvalidData);
        assert_eq!(kind(b"\x02\0\0\0\xff\xff"), io::ErrorKind::InvalidData);
    }

    #[test]
    fn reports_over_the_limits_are_recognized() {
        let failed = |message: String| {
            AgentReport::Failed(ItemFailure {
                kind: FailureKind::Away,
                message,
            })
        };
        assert!(report().is_within_limits() && failed("x".repeat(500)).is_within_limits());
        assert!(!failed("x".repeat(501)).is_within_limits());
        assert!(!failed("two\nlines".to_owned()).is_within_limits());
        let text = |length, md5: &str| {
            AgentReport::Text(ItemText {
                text: "x".repeat(length),
                md5: md5.to_owned(),
                server: String::new(),
            })
        };
        let md5 = "0123456789abcdef0123456789abcdef";
        assert!(text(TEXT_BYTES_MAX, md5).is_within_limits());
        assert!(!text(TEXT_BYTES_MAX + 1, md5).is_within_limits());
        assert!(!text(1, &md5.to_uppercase()).is_within_limits());
        let hosts = vec![("\u{1b}[2J".to_owned(), md5.to_owned())];
        let answer = AgentAnswer::Listeners { hosts };
        let answer = AgentReport::Answer {
            id: 1,
            result: Ok(answer),
        };
        assert!(!answer.is_within_limits());
    }

    #[test]
    fn the_password_is_not_in_the_debug_form() {
        let item = NacosItem {
            password: "hunter2".to_owned(),
            ..NacosItem::default()
        };
        let order = AgentOrder::Read { id: 1, item };
        assert!(!format!("{order:?}").contains("hunter2"));
    }

    #[test]
    fn the_largest_text_fits_into_a_frame() {
        let text = ItemText {
            text: "\u{1}".repeat(TEXT_BYTES_MAX),
            md5: "0".repeat(32),
            server: "http://127.0.0.1:8848/nacos".to_owned(),
        };
        let mut bytes = Vec::new();
        write_frame(&mut bytes, &AgentReport::Text(text)).expect("fits");
    }
}
