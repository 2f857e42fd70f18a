//! The log targets that have a word, such as `journal`, in place of a path. A `*_logfile` key names them, alone or in a
//! list.
//!
//! [`log_targets`] is the list of all targets. The room `output` takes the module of each sink from the list as well, so
//! that a new target is a row here and the file of its sink.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::python::strip;
use super::spec::RateLimit;

/// Passes the list of targets to a macro. A row: the field of [`NamedTargets`] and its type, the module of the sink in
/// `output/sinks/`, and the function that adds the target if an item of a `*_logfile` list names it. A chunk reaches the
/// targets in this order. Fields that daemons of older versions do not write need `#[serde(default)]`.
macro_rules! log_targets {
    ($with:ident) => {
        $with! {
            /// Syslog.
            syslog: bool, in syslog_sink, add_syslog;
            /// New: the journal.
            journal: Option<JournalSpec>, in journal_sink, add_journal;
            /// New: syslog servers.
            #[serde(default, skip_serializing_if = "Vec::is_empty")]
            servers: Vec<SyslogServer>, in syslog_server_sink, add_server;
        }
    };
}
pub(crate) use log_targets;

/// Declares [`NamedTargets`].
macro_rules! declare {
    ($($(#[$about:meta])* $field:ident: $settings:ty, in $_module:ident, $add:ident;)*) => {
        /// The targets of one stream besides its log file. The default: none.
        #[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
        pub struct NamedTargets {
            $($(#[$about])* pub $field: $settings,)*
        }

        impl NamedTargets {
            /// Adds the target that an item of a list names. False: it names none, so it is a path or another word.
            pub(super) fn add(&mut self, item: &str) -> bool {
                $($add(&mut self.$field, item))||*
            }
        }
    };
}
log_targets!(declare);

/// The word for syslog. By itself it is Supervisor's deprecated form of `*_syslog=true`.
pub(super) const SYSLOG: &str = "syslog";

fn add_syslog(syslog: &mut bool, item: &str) -> bool {
    let is_named = is_word(item, &[SYSLOG]);
    *syslog |= is_named;
    is_named
}

/// How a stream is written to the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct JournalSpec {
    /// Maximum rate. Further lines are dropped and counted. `None`: no limit by the daemon.
    pub limit: Option<RateLimit>,
}

/// The key `*_journal_limit` sets the limit.
fn add_journal(journal: &mut Option<JournalSpec>, item: &str) -> bool {
    let is_named = is_word(item, &["journal", "journald"]);
    if is_named {
        *journal = Some(JournalSpec { limit: None });
    }
    is_named
}

/// A syslog server: `syslog @[udp:|tcp:]HOST[:PORT]` in a list.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SyslogServer {
    /// How messages get there.
    pub transport: SyslogTransport,
    /// A name or an address, without brackets.
    pub host: Arc<str>,
    /// Not 0.
    pub port: u16,
}

/// How messages get to a syslog server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum SyslogTransport {
    /// One datagram per message.
    Udp,
    /// One stream of all messages.
    Tcp,
}

impl SyslogTransport {
    /// The word in a configuration.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
        }
    }

    /// The port of a server that is configured without one. TCP: that of syslog over TLS, as in the Go
    /// re-implementation.
    const fn default_port(self) -> u16 {
        match self {
            Self::Udp => 514,
            Self::Tcp => 6514,
        }
    }
}

/// As an item of a list, such as `syslog @udp:loghost:514`.
impl fmt::Display for SyslogServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (transport, port) = (self.transport.name(), self.port);
        match self.host.contains(':') {
            true => write!(f, "syslog @{transport}:[{}]:{port}", self.host),
            false => write!(f, "syslog @{transport}:{}:{port}", self.host),
        }
    }
}

impl SyslogServer {
    /// Parses an item of a list. `None`: it is not `syslog` and `@`, so it is no server.
    ///
    /// # Errors
    /// It has no host, or a part is not valid.
    pub(super) fn parse(item: &str) -> Option<Result<Self, String>> {
        let word = item.get(..SYSLOG.len())?;
        let rest = strip(&item[word.len()..]).strip_prefix('@')?;
        word.eq_ignore_ascii_case(SYSLOG)
            .then(|| Self::parse_address(strip(rest)).map_err(|why| format!("{item}: {why}")))
    }

    fn parse_address(text: &str) -> Result<Self, String> {
        const FORM: &str = "write syslog @[udp:|tcp:]HOST[:PORT]";
        let lower = text.to_ascii_lowercase();
        let (transport, address) = if lower.starts_with("udp:") {
            (SyslogTransport::Udp, &text[4..])
        } else if lower.starts_with("tcp:") {
            (SyslogTransport::Tcp, &text[4..])
        } else {
            (SyslogTransport::Udp, text)
        };
        let (host, port) = match address.strip_prefix('[') {
            Some(rest) => {
                let (host, port) = rest
                    .split_once(']')
                    .ok_or_else(|| format!("the address has no ] ({FORM})"))?;
                match port.strip_prefix(':') {
                    None if !port.is_empty() => {
                        return Err(format!("unexpected {port} after the address ({FORM})"));
                    }
                    port => (host, port),
                }
            }
            None => match address.split_once(':') {
                Some((host, port)) if port.contains(':') => {
                    return Err(format!(
                        "{host} is no protocol; {FORM}, and an IPv6 address in brackets"
                    ));
                }
                Some((host, port)) => (host, Some(port)),
                None => (address, None),
            },
        };
        if host.is_empty() || host.contains(|c: char| c.is_whitespace() || c == '@') {
            return Err(format!("no valid host ({FORM})"));
        }
        let port = match port {
            None => transport.default_port(),
            Some(port) => port
                .parse()
                .ok()
                .filter(|&port| port != 0)
                .ok_or_else(|| format!("{port} is not a port from 1 to 65535"))?,
        };
        Ok(Self {
            transport,
            host: Arc::from(host),
            port,
        })
    }
}

fn add_server(servers: &mut Vec<SyslogServer>, item: &str) -> bool {
    let server = SyslogServer::parse(item).and_then(Result::ok);
    let is_server = server.is_some();
    servers.extend(server);
    is_server
}

/// The form of the messages for syslog, of the keys `syslog_*`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct SyslogForm {
    /// `None`: USER for the local syslog, as Supervisor, and LOCAL0 for a server, as the Go re-implementation.
    pub facility: Option<u8>,
    /// `None`: INFO for the local syslog, and NOTICE for a server.
    pub severity: Option<u8>,
    /// `None`: the name of the process.
    pub tag: Option<Arc<str>>,
    /// The form of a message for a server.
    pub format: SyslogFormat,
    /// Where a message ends that goes to a server through TCP.
    pub framing: SyslogFraming,
}

impl SyslogForm {
    /// Whether no key is set.
    pub(super) fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// The form of a message for a syslog server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub enum SyslogFormat {
    /// RFC 3164, with the date of RFC 3339.
    #[default]
    Rfc3164,
    /// RFC 5424.
    Rfc5424,
}

/// Where a message in a TCP stream ends (RFC 6587).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub enum SyslogFraming {
    /// At a newline.
    #[default]
    Newline,
    /// The length comes before the message.
    OctetCounting,
}

/// The facilities with their codes (RFC 5424, section 6.2.1).
const FACILITIES: &[(&str, u8)] = &[
    ("KERN", 0),
    ("USER", 1),
    ("MAIL", 2),
    ("DAEMON", 3),
    ("AUTH", 4),
    ("SYSLOG", 5),
    ("LPR", 6),
    ("NEWS", 7),
    ("UUCP", 8),
    ("CRON", 9),
    ("AUTHPRIV", 10),
    ("FTP", 11),
    ("LOCAL0", 16),
    ("LOCAL1", 17),
    ("LOCAL2", 18),
    ("LOCAL3", 19),
    ("LOCAL4", 20),
    ("LOCAL5", 21),
    ("LOCAL6", 22),
    ("LOCAL7", 23),
    ("KERNEL", 0),
];

/// The severities with their codes.
const SEVERITIES: &[(&str, u8)] = &[
    ("EMERG", 0),
    ("ALERT", 1),
    ("CRIT", 2),
    ("ERR", 3),
    ("WARNING", 4),
    ("NOTICE", 5),
    ("INFO", 6),
    ("DEBUG", 7),
    ("CRITICAL", 2),
    ("ERROR", 3),
    ("WARN", 4),
];

fn code(what: &str, table: &[(&str, u8)], text: &str) -> Result<u8, String> {
    let upper = strip(text).to_ascii_uppercase();
    let word = upper.strip_prefix("LOG_").unwrap_or(&upper);
    let found = table.iter().find(|(name, _)| *name == word);
    found.map(|&(_, code)| code).ok_or_else(|| {
        let names: Vec<&str> = table.iter().map(|&(name, _)| name).collect();
        format!("{text} is no {what}; write one of {}", names.join(", "))
    })
}

/// Parses a facility, in any case, with or without `LOG_`.
///
/// # Errors
/// It is no facility.
// Differs: the Go re-implementation takes LOCAL0 for an unknown word.
pub(super) fn facility(text: &str) -> Result<u8, String> {
    code("syslog facility", FACILITIES, text)
}

/// Parses a priority, in any case, with or without `LOG_`.
///
/// # Errors
/// It is no priority.
// Differs: the Go re-implementation takes INFO for an unknown word.
pub(super) fn severity(text: &str) -> Result<u8, String> {
    code("syslog priority", SEVERITIES, text)
}

/// Parses a tag.
///
/// # Errors
/// It is empty, has a character that ends a tag, or is too long.
pub(super) fn tag(text: &str) -> Result<Arc<str>, String> {
    const TAG_CHARS_MAX: usize = 48;
    let is_valid = |c: char| c.is_ascii_graphic() && !":[]".contains(c);
    if text.is_empty() || text.len() > TAG_CHARS_MAX || !text.chars().all(is_valid) {
        return Err(format!(
            "{text:?} is no syslog tag; write 1 to {TAG_CHARS_MAX} printable ASCII characters other than space, :, [ and ]"
        ));
    }
    Ok(Arc::from(text))
}

/// Parses `rfc3164` or `rfc5424`.
///
/// # Errors
/// It is neither.
pub(super) fn syslog_format(text: &str) -> Result<SyslogFormat, String> {
    match text.to_ascii_lowercase().as_str() {
        "rfc3164" => Ok(SyslogFormat::Rfc3164),
        "rfc5424" => Ok(SyslogFormat::Rfc5424),
        _ => Err(format!(
            "{text} is no syslog format; write rfc3164 or rfc5424"
        )),
    }
}

/// Parses `newline` or `octet-counting`.
///
/// # Errors
/// It is neither.
pub(super) fn syslog_framing(text: &str) -> Result<SyslogFraming, String> {
    match text.to_ascii_lowercase().as_str() {
        "newline" => Ok(SyslogFraming::Newline),
        "octet-counting" => Ok(SyslogFraming::OctetCounting),
        _ => Err(format!(
            "{text} is no syslog framing; write newline or octet-counting"
        )),
    }
}

/// The word for a log in memory.
pub(super) const MEMORY: &str = "memory";

/// Whether the item is one of these words, which are in lower case. Users may write them in any case.
fn is_word(item: &str, words: &[&str]) -> bool {
    words.contains(&item.to_lowercase().as_str())
}

/// Whether an item of a list names a target.
pub(super) fn is_target(item: &str) -> bool {
    NamedTargets::default().add(item)
        || item.eq_ignore_ascii_case(MEMORY)
        || SyslogServer::parse(item).is_some()
}

#[cfg(test)]
mod tests {
    use super::super::spec::{LogSpec, LogTarget};
    use super::super::testing::log_spec;
    use super::*;

    #[test]
    fn words_name_targets_in_any_case() {
        let mut named = NamedTargets::default();
        assert!(!named.add("none") && !named.add("") && !is_target("./journal"));
        assert_eq!(named, NamedTargets::default());
        assert!(named.add("JournalD") && named.journal.is_some() && !named.syslog);
        assert!(named.add("Syslog") && named.syslog);
    }

    #[test]
    fn g39_a_server_has_a_protocol_a_host_and_a_port() {
        for (item, server) in [
            ("syslog @loghost", "syslog @udp:loghost:514"),
            ("SYSLOG@ UDP:loghost:5140", "syslog @udp:loghost:5140"),
            ("syslog  @  tcp:10.0.0.1", "syslog @tcp:10.0.0.1:6514"),
            ("syslog @tcp:[::1]:601", "syslog @tcp:[::1]:601"),
            ("syslog @[fe80::2]", "syslog @udp:[fe80::2]:514"),
        ] {
            let parsed = SyslogServer::parse(item).expect("a server").expect("valid");
            assert_eq!(parsed.to_string(), server);
        }
        for item in ["syslog", "syslog.log", "syslog host", "/syslog @x", "sys"] {
            assert_eq!(SyslogServer::parse(item), None, "{item}");
        }
        for (item, error) in [
            ("syslog @", "no valid host"),
            ("syslog @tcp:", "no valid host"),
            ("syslog @h:0", "0 is not a port from 1 to 65535"),
            ("syslog @h:syslog", "syslog is not a port"),
            ("syslog @tls:h:6514", "tls is no protocol"),
            ("syslog @[::1", "has no ]"),
            ("syslog @[::1]514", "unexpected 514"),
        ] {
            let parsed = SyslogServer::parse(item).expect("a server");
            let why = parsed.expect_err("not valid");
            assert!(why.starts_with(item) && why.contains(error), "{why}");
        }
    }

    #[test]
    fn g41_facilities_and_priorities_are_words_in_any_case() {
        assert_eq!(facility("log_local7"), Ok(23));
        assert_eq!(facility("Kernel"), Ok(0));
        assert_eq!(severity("LOG_Warn"), Ok(4));
        assert_eq!(severity("error"), Ok(3));
        for (name, code) in FACILITIES {
            assert_eq!(facility(&format!("LOG_{name}")), Ok(*code));
        }
        let unknown = facility("local8").expect_err("unknown");
        assert!(
            unknown.starts_with("local8 is no syslog facility; write one of KERN, USER"),
            "{unknown}"
        );
        assert!(severity("loud").is_err() && tag("a b").is_err() && tag("").is_err());
    }

    /// Daemons of other versions read and write this.
    #[test]
    fn the_written_form_stays() {
        let mut spec = log_spec(LogTarget::None);
        spec.named.add("journal");
        let text = serde_json::to_string(&spec).expect("written");
        assert_eq!(
            text,
            r#"{"target":"None","maxbytes":0,"backups":0,"capture_maxbytes":0,"events":false,"syslog":false,"journal":{"limit":null}}"#
        );
        let read: LogSpec = serde_json::from_str(&text).expect("read");
        assert_eq!(read, spec);
    }
}
