//! A syslog server as a target of one stream: splits bytes into lines and makes each line a message. The queue of the
//! server and its thread are in `output/syslog_server.rs`.

use std::sync::Arc;

use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};
use nix::unistd::gethostname;

use super::log_sink::{Connections, LogSink, Pressure, SinkSource};
use super::sink_health::{SinkHealth, TargetName};
use crate::config::spec::{SyslogForm, SyslogFormat, SyslogFraming, SyslogServer, SyslogTransport};
use crate::domain::Line;
use crate::output::output_state::{StreamState, TargetState};
use crate::output::syslog_server::SyslogQueue;
use crate::sys;

/// Maximum size of a datagram in bytes, which each receiver should accept (RFC 5426, section 3.2).
const DATAGRAM_BYTES_MAX: usize = 2048;
/// What a line ends with whose end did not fit into its datagram.
const CUT: &[u8] = b"[...]";
/// Maximum length of a line in bytes. A longer line becomes several messages. This is also the maximum that an unfinished
/// line occupies.
const LINE_BYTES_MAX: usize = 8 << 10;
/// Facility LOCAL0, as the Go re-implementation.
const FACILITY: u8 = 16;
/// Priority NOTICE, as the Go re-implementation.
const SEVERITY: u8 = 5;

/// A server as target of one stream.
#[derive(Debug)]
struct SyslogServerSink {
    health: SinkHealth,
    server: SyslogServer,
    queue: Arc<SyslogQueue>,
    head: MessageHead,
    framing: SyslogFraming,
    /// The beginning of a line.
    held: Vec<u8>,
}

/// Opens the servers of a stream. The standard output of an event listener never goes there.
pub(super) fn open(source: &SinkSource<'_>) -> Vec<Box<dyn LogSink>> {
    if source.is_listener_output() {
        return Vec::new();
    }
    let log = source.log();
    let sink = |server: &SyslogServer| -> Box<dyn LogSink> {
        let target = TargetName::Server(server.clone());
        let mut health = SinkHealth::new(source.spec.name.clone(), source.channel, target);
        health.register(&source.spec.group);
        Box::new(SyslogServerSink {
            health,
            server: server.clone(),
            queue: SyslogQueue::of(server),
            head: MessageHead::new(&log.syslog_form, source.spec.name.as_str()),
            framing: log.syslog_form.framing,
            held: Vec::new(),
        })
    };
    log.named.servers.iter().map(sink).collect()
}

/// What a message has before its text, apart from the time.
#[derive(Debug)]
struct MessageHead {
    format: SyslogFormat,
    priority: u8,
    host: String,
    tag: Arc<str>,
    /// The PID of the daemon, as in the Go re-implementation.
    daemon: u32,
    /// The PID of the process. 0: unknown.
    pid: i32,
    zone: TimeZone,
}

impl MessageHead {
    fn new(form: &SyslogForm, name: &str) -> Self {
        let host = gethostname().ok().and_then(|host| host.into_string().ok());
        let facility = form.facility.unwrap_or(FACILITY);
        Self {
            format: form.format,
            priority: facility * 8 + form.severity.unwrap_or(SEVERITY),
            host: host
                .filter(|host| !host.is_empty())
                .unwrap_or_else(|| "-".to_owned()),
            tag: form.tag.clone().unwrap_or_else(|| Arc::from(name)),
            daemon: std::process::id(),
            pid: 0,
            zone: sys::time_zone(),
        }
    }

    /// # Source
    /// RFC 3164 with the time of RFC 3339, as the Go re-implementation writes it; RFC 5424, section 6.
    fn text(&self, now: Timestamp) -> String {
        let now = Zoned::new(now, self.zone.clone());
        let offset = now.strftime("%:z").to_string();
        let offset = if offset == "+00:00" { "Z" } else { &offset };
        let Self {
            priority,
            host,
            tag,
            ..
        } = self;
        match self.format {
            SyslogFormat::Rfc3164 => {
                let time = now.strftime("%Y-%m-%dT%H:%M:%S");
                format!("<{priority}>{time}{offset} {host} {tag}[{}]: ", self.daemon)
            }
            SyslogFormat::Rfc5424 => {
                let time = now.strftime("%Y-%m-%dT%H:%M:%S.%6f");
                let tag: String = tag.chars().take(48).map(printable).collect();
                match self.pid {
                    0 => format!("<{priority}>1 {time}{offset} {host} {tag} - - - "),
                    pid => format!("<{priority}>1 {time}{offset} {host} {tag} {pid} - - "),
                }
            }
        }
    }
}

/// The names of RFC 5424 have printable ASCII characters only.
const fn printable(c: char) -> char {
    if c.is_ascii_graphic() { c } else { '_' }
}

impl SyslogServerSink {
    /// Sends one line without its newline.
    fn send_line(&mut self, line: &[u8]) {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let mut message = self.head.text(Timestamp::now()).into_bytes();
        let mut output = line.len();
        let is_udp = self.server.transport == SyslogTransport::Udp;
        let ends = self.head.format == SyslogFormat::Rfc3164 || !is_udp;
        let is_counted = !is_udp && self.framing == SyslogFraming::OctetCounting;
        let ends = ends && !is_counted;
        let room = DATAGRAM_BYTES_MAX.saturating_sub(message.len() + usize::from(ends));
        if is_udp && line.len() > room {
            output = room.saturating_sub(CUT.len());
            message.extend_from_slice(&line[..output]);
            message.extend_from_slice(CUT);
            self.health.count_dropped(line.len() - output);
        } else {
            message.extend_from_slice(line);
        }
        if ends {
            message.push(b'\n');
        }
        if is_counted {
            let length = format!("{} ", message.len());
            message.splice(..0, length.into_bytes());
        }
        self.queue.push(message, output, self.health.counters());
    }
}

impl LogSink for SyslogServerSink {
    fn health(&self) -> &SinkHealth {
        &self.health
    }

    /// The queue of the server drops its oldest lines, and its own log lines count them.
    fn pressure(&self) -> Pressure {
        Pressure::Drops
    }

    fn set_pid(&mut self, pid: i32) {
        self.head.pid = pid;
    }

    fn send(&mut self, data: &[u8], _to: &mut Connections, _lines: &mut Vec<Line>) {
        let mut rest = data;
        while !rest.is_empty() {
            let room = LINE_BYTES_MAX - self.held.len();
            let reach = &rest[..rest.len().min(room)];
            match reach.iter().position(|&byte| byte == b'\n') {
                Some(end) => {
                    self.held.extend_from_slice(&rest[..end]);
                    rest = &rest[end + 1..];
                }
                None => {
                    self.held.extend_from_slice(reach);
                    rest = &rest[reach.len()..];
                    if self.held.len() < LINE_BYTES_MAX {
                        return;
                    }
                }
            }
            let line = std::mem::take(&mut self.held);
            self.send_line(&line);
        }
    }

    fn finish(&mut self, _to: &mut Connections, _lines: &mut Vec<Line>) {
        let line = std::mem::take(&mut self.held);
        if !line.is_empty() {
            self.send_line(&line);
        }
    }

    fn disconnect(&mut self, to: &mut Connections, lines: &mut Vec<Line>) {
        self.finish(to, lines);
    }

    /// The next daemon continues the unfinished line. Whole lines that the server has not taken yet are not a part of
    /// the state.
    fn hand_over(
        &mut self,
        state: &mut StreamState,
        _to: &mut Connections,
        _lines: &mut Vec<Line>,
    ) {
        let waiting = std::mem::take(&mut self.held);
        state.targets.extend(TargetState::of(&self.server, waiting));
    }

    fn resume(&mut self, state: &mut StreamState, _lines: &mut Vec<Line>) {
        let mut held = state.take_target(&self.server);
        held.truncate(LINE_BYTES_MAX - 1);
        self.held = held;
    }
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;

    use super::*;
    use crate::config::spec::ProcessSpec;
    use crate::config::testing::program;

    fn spec(port: u16, form: SyslogForm) -> ProcessSpec {
        let mut spec = program("web", "cat");
        spec.stdout.named.servers = vec![SyslogServer {
            transport: SyslogTransport::Udp,
            host: Arc::from("127.0.0.1"),
            port,
        }];
        spec.stdout.syslog_form = form;
        spec
    }

    /// Sends chunks to a socket. Returns `count` datagrams.
    fn received(form: SyslogForm, chunks: &[&[u8]], count: usize) -> Vec<String> {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("bound");
        let spec = spec(socket.local_addr().expect("bound").port(), form);
        let source = SinkSource::of_stdout(&spec);
        let mut sinks = open(&source);
        let (mut to, mut lines) = (Connections::new(), Vec::new());
        let sink = &mut sinks[0];
        sink.set_pid(77);
        for chunk in chunks {
            sink.send(chunk, &mut to, &mut lines);
        }
        sink.finish(&mut to, &mut lines);
        let mut buffer = [0; 4096];
        (0..count)
            .map(|_| {
                let count = socket.recv(&mut buffer).expect("received");
                String::from_utf8_lossy(&buffer[..count]).into_owned()
            })
            .collect()
    }

    #[test]
    fn g39_whole_lines_have_the_form_of_the_go_reimplementation() {
        let form = SyslogForm::default();
        let got = received(form, &[b"one\ntw", b"o\r\n\nthr", b"ee"], 4);
        let host = gethostname().expect("a host").into_string().expect("text");
        let pid = std::process::id();
        for (message, text) in got.iter().zip(["one", "two", "", "three"]) {
            let rest = message.strip_prefix("<133>").expect("LOCAL0, NOTICE");
            let (time, rest) = rest.split_once(' ').expect("a time");
            assert!(time.parse::<Timestamp>().is_ok(), "{time}");
            assert_eq!(rest, format!("{host} cat[{pid}]: {text}\n"));
        }
    }

    #[test]
    fn g41_the_keys_decide_priority_tag_and_format() {
        let form = SyslogForm {
            facility: Some(3),
            severity: Some(3),
            tag: Some(Arc::from("shop")),
            format: SyslogFormat::Rfc5424,
            ..SyslogForm::default()
        };
        let got = received(form, &[b"one\n"], 1);
        let fields: Vec<&str> = got[0].splitn(8, ' ').collect();
        assert_eq!(
            (fields[0], &fields[3..]),
            ("<27>1", &["shop", "77", "-", "-", "one"][..])
        );
        assert!(fields[1].parse::<Timestamp>().is_ok(), "{got:?}");
    }

    #[test]
    fn g39_a_long_line_is_cut_in_a_datagram_and_counted() {
        let long = vec![b'x'; 3000];
        let got = received(SyslogForm::default(), &[&long, b"\n"], 1);
        assert_eq!(got[0].len(), DATAGRAM_BYTES_MAX);
        assert!(got[0].ends_with("x[...]\n"), "{got:?}");
    }
}
