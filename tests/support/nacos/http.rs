//! HTTP/1.1 as the stub needs it: requests and answers on one connection, form fields and percent-encoding.

use std::io::{BufRead, Error, ErrorKind, Read, Result, Write};

/// Maximum bytes of a line of the head. Some clients send the whole item in the query.
const LINE_MAX: u64 = 2 << 20;
/// Maximum bytes of a body.
const BODY_MAX: usize = 64 << 20;

/// A request that the stub received.
#[derive(Debug, Clone, Default)]
pub struct StubRequest {
    /// `GET`, `POST` or `DELETE`.
    pub method: String,
    /// The path without the query.
    pub path: String,
    /// The query as it came, without the question mark.
    pub query: String,
    /// In the order of the wire.
    pub headers: Vec<(String, String)>,
    /// The body as it came.
    pub body: Vec<u8>,
    /// The status of the answer. `None`: none was sent so far.
    pub status: Option<u16>,
    is_http_1_0: bool,
}

impl StubRequest {
    /// The first header of this name, in any case of letters.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        let found = headers.find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    /// The decoded fields of the query, then those of the form.
    pub fn parameters(&self) -> Vec<(String, String)> {
        let mut all = form_fields(self.query.as_bytes());
        let kind = self.header("content-type").unwrap_or_default();
        if kind.starts_with("application/x-www-form-urlencoded") {
            all.extend(form_fields(&self.body));
        }
        all
    }

    /// The decoded field of the query or of the form. `None`: it is missing.
    pub fn parameter(&self, name: &str) -> Option<String> {
        let mut all = self.parameters().into_iter();
        all.find(|(key, _)| key == name).map(|(_, value)| value)
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Whether the client keeps the connection for more requests.
    pub(super) fn keeps_alive(&self) -> bool {
        let says = |word: &str| {
            self.header("connection")
                .is_some_and(|value| value.to_ascii_lowercase().contains(word))
        };
        match self.is_http_1_0 {
            true => says("keep-alive"),
            false => !says("close"),
        }
    }
}

/// An answer of the stub.
#[derive(Debug, Clone)]
pub(super) struct StubResponse {
    pub(super) status: u16,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: Vec<u8>,
}

impl StubResponse {
    /// An answer with a body of this type.
    pub(super) fn new(status: u16, kind: &str, body: impl Into<Vec<u8>>) -> Self {
        Self {
            status,
            headers: vec![("Content-Type", kind.to_owned())],
            body: body.into(),
        }
    }

    /// An answer in plain text.
    pub(super) fn text(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self::new(status, "text/plain;charset=UTF-8", body)
    }

    /// An answer in JSON.
    pub(super) fn json(status: u16, body: &serde_json::Value) -> Self {
        Self::new(status, "application/json;charset=UTF-8", body.to_string())
    }

    /// The bytes on the wire.
    pub(super) fn bytes(&self, keeps_alive: bool) -> Vec<u8> {
        let mut head = format!("HTTP/1.1 {} {}\r\n", self.status, reason(self.status));
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        let connection = if keeps_alive { "keep-alive" } else { "close" };
        head.push_str(&format!(
            "Content-Length: {}\r\nConnection: {connection}\r\n\r\n",
            self.body.len()
        ));
        [head.as_bytes(), &self.body].concat()
    }
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        409 => "Conflict",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        503 => "Service Unavailable",
        _ => "Other",
    }
}

/// Reads one request. `writer` gets the interim answer that some clients wait for before they send a body. `None`: the
/// client has closed the connection.
pub(super) fn read_request(
    reader: &mut impl BufRead,
    writer: &mut impl Write,
) -> Result<Option<StubRequest>> {
    let first = match read_line(reader)? {
        Some(line) if !line.is_empty() => line,
        _ => return Ok(None),
    };
    let mut words = first.split(' ');
    let mut word = || words.next().unwrap_or_default().to_owned();
    let (method, target, version) = (word(), word(), word());
    let (path, query) = target.split_once('?').unwrap_or((target.as_str(), ""));
    let mut request = StubRequest {
        method,
        path: path.to_owned(),
        query: query.to_owned(),
        is_http_1_0: version == "HTTP/1.0",
        ..StubRequest::default()
    };
    loop {
        let line = read_line(reader)?.ok_or_else(|| broken("end of the head"))?;
        if line.is_empty() {
            break;
        }
        let (name, value) = line.split_once(':').ok_or_else(|| broken("header"))?;
        request
            .headers
            .push((name.to_owned(), value.trim().to_owned()));
    }
    if request
        .header("expect")
        .is_some_and(|value| value.eq_ignore_ascii_case("100-continue"))
    {
        writer.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
    }
    request.body = read_body(reader, &request)?;
    Ok(Some(request))
}

fn read_body(reader: &mut impl BufRead, request: &StubRequest) -> Result<Vec<u8>> {
    let mut body = Vec::new();
    if request.header("transfer-encoding").is_some() {
        loop {
            let line = read_line(reader)?.unwrap_or_default();
            let size = line.split(';').next().unwrap_or_default().trim().to_owned();
            let size = usize::from_str_radix(&size, 16).map_err(|_| broken("chunk"))?;
            read_more(reader, &mut body, size)?;
            let _ = read_line(reader)?;
            if size == 0 {
                return Ok(body);
            }
        }
    }
    if let Some(length) = request.header("content-length") {
        let length = length.parse().map_err(|_| broken("length"))?;
        read_more(reader, &mut body, length)?;
    }
    Ok(body)
}

fn read_more(reader: &mut impl BufRead, body: &mut Vec<u8>, size: usize) -> Result<()> {
    let begin = body.len();
    if size > BODY_MAX - begin {
        return Err(broken("body"));
    }
    body.resize(begin + size, 0);
    reader.read_exact(&mut body[begin..])
}

/// A line without its end. `None`: there are no more bytes.
fn read_line(reader: &mut impl BufRead) -> Result<Option<String>> {
    let mut line = Vec::new();
    reader.take(LINE_MAX).read_until(b'\n', &mut line)?;
    if line.is_empty() {
        return Ok(None);
    }
    match line.pop() {
        Some(b'\n') => {}
        _ => return Err(broken("line")),
    }
    if line.last() == Some(&b'\r') {
        line.pop();
    }
    Ok(Some(String::from_utf8_lossy(&line).into_owned()))
}

fn broken(what: &str) -> Error {
    Error::new(ErrorKind::InvalidData, format!("invalid {what}"))
}

/// The fields of a query or form, decoded.
pub(super) fn form_fields(bytes: &[u8]) -> Vec<(String, String)> {
    bytes
        .split(|byte| *byte == b'&')
        .filter(|field| !field.is_empty())
        .map(|field| {
            let mut parts = field.splitn(2, |byte| *byte == b'=');
            let mut part = || percent_decoded(parts.next().unwrap_or_default());
            (part(), part())
        })
        .collect()
}

fn percent_decoded(bytes: &[u8]) -> String {
    let digit = |byte: Option<&u8>| char::from(*byte?).to_digit(16);
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let pair = (digit(bytes.get(at + 1)), digit(bytes.get(at + 2)));
        match (bytes[at], pair) {
            (b'%', (Some(high), Some(low))) => {
                out.push(u8::try_from(high * 16 + low).expect("two digits"));
                at += 2;
            }
            (b'+', _) => out.push(b' '),
            (byte, _) => out.push(byte),
        }
        at += 1;
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// The text with everything percent-encoded but the characters that a form field may contain.
pub fn percent_encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'-' | b'_' | b'*' => {
                out.push(char::from(byte));
            }
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}
