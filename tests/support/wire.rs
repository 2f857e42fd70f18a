//! A client of the protocols that does not use the daemon's codec: hand-written HTTP and XML-RPC.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Where a server listens.
#[derive(Clone, Debug)]
pub enum Address {
    /// A unix socket.
    Unix(PathBuf),
    /// A port on 127.0.0.1.
    Port(u16),
}

trait Stream: Read + Write + Send {
    fn limit(&self, limit: Duration);
}
impl Stream for UnixStream {
    fn limit(&self, limit: Duration) {
        drop(self.set_read_timeout(Some(limit)));
        drop(self.set_write_timeout(Some(limit)));
    }
}
impl Stream for TcpStream {
    fn limit(&self, limit: Duration) {
        drop(self.set_read_timeout(Some(limit)));
        drop(self.set_write_timeout(Some(limit)));
    }
}

/// One connection.
pub struct Connection {
    stream: Box<dyn Stream>,
    buffer: Vec<u8>,
}

/// One answer.
#[derive(Debug, Clone)]
pub struct Answer {
    /// `HTTP/1.1 200 OK`.
    pub status: String,
    /// In the order of the wire.
    pub headers: Vec<(String, String)>,
    /// The content.
    pub body: Vec<u8>,
}

impl Answer {
    /// A header by name, in any case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// The number in the status line.
    pub fn code(&self) -> u16 {
        self.status
            .split(' ')
            .nth(1)
            .and_then(|code| code.parse().ok())
            .unwrap_or(0)
    }
}

impl Connection {
    /// Connects.
    pub fn open(address: &Address) -> std::io::Result<Self> {
        let stream: Box<dyn Stream> = match address {
            Address::Unix(path) => Box::new(UnixStream::connect(path)?),
            Address::Port(port) => Box::new(TcpStream::connect(("127.0.0.1", *port))?),
        };
        stream.limit(Duration::from_secs(60));
        Ok(Self {
            stream,
            buffer: Vec::new(),
        })
    }

    /// Changes how long one read may take.
    pub fn limit(&self, limit: Duration) {
        self.stream.limit(limit);
    }

    /// Sends bytes.
    pub fn send(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.stream.write_all(bytes)?;
        self.stream.flush()
    }

    fn more(&mut self) -> std::io::Result<bool> {
        let mut piece = [0; 65536];
        let n = loop {
            match self.stream.read(&mut piece) {
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
                other => break other?,
            }
        };
        self.buffer.extend_from_slice(&piece[..n]);
        Ok(n > 0)
    }

    /// Reads until it finds `wanted`, or the other side closes or is silent for `limit`. Returns all bytes.
    pub fn read_until(&mut self, wanted: &[u8], limit: Duration) -> Vec<u8> {
        self.limit(Duration::from_millis(100));
        let end = Instant::now() + limit;
        while !contains(&self.buffer, wanted) && Instant::now() < end {
            match self.more() {
                Ok(true) => {}
                Ok(false) => break,
                Err(e)
                    if matches!(
                        e.kind(),
                        std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut
                    ) => {}
                Err(_) => break,
            }
        }
        std::mem::take(&mut self.buffer)
    }

    /// Reads up to about `most` bytes, and less if no more come within `limit`.
    pub fn read_at_most(&mut self, most: usize, limit: Duration) -> Vec<u8> {
        self.limit(Duration::from_millis(100));
        let end = Instant::now() + limit;
        while self.buffer.len() < most && Instant::now() < end && self.more().unwrap_or(false) {}
        std::mem::take(&mut self.buffer)
    }

    /// Whether the other side closes (true) or keeps the connection open for `limit` (false).
    pub fn is_closed_within(&mut self, limit: Duration) -> bool {
        self.limit(limit);
        loop {
            match self.more() {
                Ok(true) => {}
                Ok(false) => return true,
                Err(e) => {
                    return !matches!(
                        e.kind(),
                        std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut
                    );
                }
            }
        }
    }

    /// Reads one answer, by its length or until the end of the stream. `None`: the connection ends before a head.
    pub fn answer(&mut self) -> std::io::Result<Option<Answer>> {
        let head_end = loop {
            if let Some(at) = find(&self.buffer, b"\r\n\r\n") {
                break at;
            }
            if !self.more()? {
                return Ok(None);
            }
        };
        let head = String::from_utf8_lossy(&self.buffer[..head_end]).into_owned();
        self.buffer.drain(..head_end + 4);
        let mut lines = head.split("\r\n");
        let status = lines.next().unwrap_or_default().to_owned();
        let headers: Vec<(String, String)> = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(key, value)| (key.to_owned(), value.trim().to_owned()))
            .collect();
        let mut answer = Answer {
            status,
            headers,
            body: Vec::new(),
        };
        if let Some(length) = answer
            .header("content-length")
            .and_then(|text| text.parse::<usize>().ok())
        {
            while self.buffer.len() < length {
                if !self.more()? {
                    break;
                }
            }
            let length = length.min(self.buffer.len());
            answer.body = self.buffer.drain(..length).collect();
        } else if answer.code() != 304 {
            while self.more()? {}
            answer.body = std::mem::take(&mut self.buffer);
        }
        Ok(Some(answer))
    }
}

/// The position of `needle`.
pub fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack
        .windows(needle.len())
        .position(|window| window == needle)
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    !needle.is_empty() && find(haystack, needle).is_some()
}

/// A value of XML-RPC.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// int or i4
    Int(i64),
    /// boolean
    Bool(bool),
    /// string
    Text(String),
    /// double
    Double(String),
    /// array
    Array(Vec<Value>),
    /// struct; the order of members has no meaning
    Struct(BTreeMap<String, Value>),
}

impl Value {
    /// A member of a struct.
    pub fn get(&self, name: &str) -> Option<&Self> {
        match self {
            Self::Struct(members) => members.get(name),
            _ => None,
        }
    }

    /// The number. `None`: another type.
    pub fn int(&self) -> Option<i64> {
        match self {
            Self::Int(n) => Some(*n),
            _ => None,
        }
    }

    /// The string. `None`: another type.
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    fn encode(&self, out: &mut String) {
        out.push_str("<value>");
        match self {
            Self::Int(n) => out.push_str(&format!("<int>{n}</int>")),
            Self::Bool(b) => out.push_str(&format!("<boolean>{}</boolean>", u8::from(*b))),
            Self::Text(text) => out.push_str(&format!("<string>{}</string>", escape(text))),
            Self::Double(text) => out.push_str(&format!("<double>{text}</double>")),
            Self::Array(values) => {
                out.push_str("<array><data>");
                for value in values {
                    value.encode(out);
                }
                out.push_str("</data></array>");
            }
            Self::Struct(members) => {
                out.push_str("<struct>");
                for (name, value) in members {
                    out.push_str(&format!("<member><name>{}</name>", escape(name)));
                    value.encode(out);
                    out.push_str("</member>");
                }
                out.push_str("</struct>");
            }
        }
        out.push_str("</value>");
    }

    /// Parses JSON, as a step of a scenario contains it.
    pub fn from_json(json: &serde_json::Value) -> Self {
        match json {
            serde_json::Value::Null => Self::Text(String::new()),
            serde_json::Value::Bool(b) => Self::Bool(*b),
            serde_json::Value::Number(n) => n
                .as_i64()
                .map_or_else(|| Self::Double(n.to_string()), Self::Int),
            serde_json::Value::String(text) => Self::Text(text.clone()),
            serde_json::Value::Array(values) => {
                Self::Array(values.iter().map(Self::from_json).collect())
            }
            serde_json::Value::Object(members) => Self::Struct(
                members
                    .iter()
                    .map(|(k, v)| (k.clone(), Self::from_json(v)))
                    .collect(),
            ),
        }
    }
}

/// Numbers that differ between runs print as N unless they are 0.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Int(n) => write!(f, "{n}"),
            Self::Bool(b) => write!(f, "{b}"),
            Self::Double(text) => write!(f, "{text}"),
            Self::Text(text) => write!(f, "{text:?}"),
            Self::Array(values) => {
                write!(f, "[")?;
                for (i, value) in values.iter().enumerate() {
                    if i > 0 {
                        write!(f, ", ")?;
                    }
                    write!(f, "{value}")?;
                }
                write!(f, "]")
            }
            Self::Struct(members) => {
                write!(f, "{{")?;
                for (i, (name, value)) in members.iter().enumerate() {
                    if i > 0 {
                        write!(f, ", ")?;
                    }
                    let varies = ["now", "start", "stop", "pid"].contains(&name.as_str());
                    match value {
                        Self::Int(n) if varies && *n != 0 => write!(f, "{name}: N")?,
                        value => write!(f, "{name}: {value}")?,
                    }
                }
                write!(f, "}}")
            }
        }
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

/// The body of a call.
pub fn body(method: &str, params: &[Value]) -> String {
    let mut out = format!(
        "<?xml version='1.0'?>\n<methodCall>\n<methodName>{}</methodName>\n<params>\n",
        escape(method)
    );
    for param in params {
        out.push_str("<param>");
        param.encode(&mut out);
        out.push_str("</param>\n");
    }
    out.push_str("</params>\n</methodCall>\n");
    out
}

/// Why a call returned no value.
#[derive(Debug, Clone, PartialEq)]
pub enum CallError {
    /// A fault of XML-RPC.
    Fault(i64, String),
    /// Another status than 200.
    Status(String),
    /// No answer.
    Broken(String),
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fault(code, text) => write!(f, "fault {code} {text:?}"),
            Self::Status(status) => write!(f, "{status}"),
            Self::Broken(why) => write!(f, "broken: {why}"),
        }
    }
}

/// Posts a body to /RPC2.
pub fn post(
    address: &Address,
    body: &[u8],
    headers: &str,
    limit: Duration,
) -> std::io::Result<Option<Answer>> {
    let mut connection = Connection::open(address)?;
    connection.limit(limit);
    let mut request = format!(
        "POST /RPC2 HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/xml\r\n{headers}Content-Length: {}\r\n\r\n",
        body.len()
    )
    .into_bytes();
    request.extend_from_slice(body);
    connection.send(&request)?;
    connection.answer()
}

/// Calls a method.
pub fn call(address: &Address, method: &str, params: &[Value]) -> Result<Value, CallError> {
    call_with(address, method, params, "", Duration::from_secs(60))
}

/// Calls a method with more headers and a limit.
pub fn call_with(
    address: &Address,
    method: &str,
    params: &[Value],
    headers: &str,
    limit: Duration,
) -> Result<Value, CallError> {
    let answer = post(address, body(method, params).as_bytes(), headers, limit)
        .map_err(|e| CallError::Broken(e.to_string()))?
        .ok_or_else(|| CallError::Broken("closed".to_owned()))?;
    if answer.code() != 200 {
        return Err(CallError::Status(answer.status));
    }
    parse(&String::from_utf8_lossy(&answer.body))
}

/// The value or fault in a reply.
pub fn parse(text: &str) -> Result<Value, CallError> {
    let mut reader = Reader { text, at: 0 };
    let bad = |what: &str| CallError::Broken(format!("{what} in {text:?}"));
    let fault = text.contains("<fault>");
    let start = text.find("<value>").ok_or_else(|| bad("no value"))?;
    reader.at = start;
    let value = reader.value().ok_or_else(|| bad("bad XML"))?;
    if fault {
        let code = value.get("faultCode").and_then(Value::int);
        let string = value.get("faultString").and_then(Value::text);
        return match (code, string) {
            (Some(code), Some(string)) => Err(CallError::Fault(code, string.to_owned())),
            _ => Err(bad("bad fault")),
        };
    }
    Ok(value)
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl Reader<'_> {
    fn blank(&mut self) {
        let rest = &self.text[self.at..];
        self.at += rest.len() - rest.trim_start().len();
    }

    fn eat(&mut self, token: &str) -> bool {
        if self.text[self.at..].starts_with(token) {
            self.at += token.len();
            true
        } else {
            false
        }
    }

    fn until(&mut self, token: &str) -> Option<String> {
        let end = self.text[self.at..].find(token)?;
        let found = self.text[self.at..self.at + end].to_owned();
        self.at += end + token.len();
        Some(unescape(&found))
    }

    fn value(&mut self) -> Option<Value> {
        self.blank();
        if self.eat("<value/>") {
            return Some(Value::Text(String::new()));
        }
        if !self.eat("<value>") {
            return None;
        }
        let before = self.at;
        self.blank();
        let value = if self.eat("<int>") {
            Value::Int(self.until("</int>")?.trim().parse().ok()?)
        } else if self.eat("<i4>") {
            Value::Int(self.until("</i4>")?.trim().parse().ok()?)
        } else if self.eat("<boolean>") {
            Value::Bool(self.until("</boolean>")?.trim() == "1")
        } else if self.eat("<string/>") {
            Value::Text(String::new())
        } else if self.eat("<string>") {
            Value::Text(self.until("</string>")?)
        } else if self.eat("<double>") {
            Value::Double(self.until("</double>")?)
        } else if self.eat("<array>") {
            let mut values = Vec::new();
            self.blank();
            if !self.eat("<data/>") {
                if !self.eat("<data>") {
                    return None;
                }
                loop {
                    self.blank();
                    if self.eat("</data>") {
                        break;
                    }
                    values.push(self.value()?);
                }
            }
            self.blank();
            if !self.eat("</array>") {
                return None;
            }
            Value::Array(values)
        } else if self.eat("<struct>") {
            let mut members = BTreeMap::new();
            loop {
                self.blank();
                if self.eat("</struct>") {
                    break;
                }
                if !self.eat("<member>") {
                    return None;
                }
                self.blank();
                if !self.eat("<name>") {
                    return None;
                }
                let name = self.until("</name>")?;
                let value = self.value()?;
                self.blank();
                if !self.eat("</member>") {
                    return None;
                }
                members.insert(name, value);
            }
            Value::Struct(members)
        } else {
            self.at = before;
            return Some(Value::Text(self.until("</value>")?));
        };
        self.blank();
        self.eat("</value>").then_some(value)
    }
}

fn unescape(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let Some(end) = rest.find(';') else { break };
        let name = &rest[1..end];
        match name {
            "lt" => out.push('<'),
            "gt" => out.push('>'),
            "amp" => out.push('&'),
            "quot" => out.push('"'),
            "apos" => out.push('\''),
            _ => {
                let code = name
                    .strip_prefix("#x")
                    .and_then(|hex| u32::from_str_radix(hex, 16).ok())
                    .or_else(|| name.strip_prefix('#').and_then(|n| n.parse().ok()));
                out.push(code.and_then(char::from_u32).unwrap_or('\u{fffd}'));
            }
        }
        rest = &rest[end + 1..];
    }
    out.push_str(rest);
    out
}
