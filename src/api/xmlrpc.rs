//! The one XML-RPC codec, for the daemon and for `supervisorctl`; the only file that knows quick-xml.
//!
//! It knows messages and values, never methods: which method takes what stands in [`super::METHODS`].
//!
//! # Source
//! The XML-RPC specification, and the layout that Python's `xmlrpc.client` writes.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use base64::engine::{DecodePaddingMode, general_purpose};
use quick_xml::Reader;
use quick_xml::events::Event;

use super::Fault;

/// How deep values may be nested in a message. Supervisor's own messages need five.
pub const DEPTH_MAX: usize = 64;
/// How many values a request may hold. The longest sensible multicall needs some thousands.
pub const CALL_VALUES_MAX: usize = 1 << 18;

/// A value on the wire.
#[derive(Debug, Clone, PartialEq)]
pub enum RpcValue {
    /// `int`, `i4`, `i8`.
    Int(i64),
    /// `boolean`.
    Bool(bool),
    /// `double`.
    Double(f64),
    /// `string`, or bare text.
    Text(String),
    /// `dateTime.iso8601`, as written.
    DateTime(String),
    /// `base64`, decoded.
    Bytes(Vec<u8>),
    /// `array`.
    Array(Vec<RpcValue>),
    /// `struct`, in order.
    Struct(Vec<(String, RpcValue)>),
}

impl RpcValue {
    /// A text value.
    #[must_use]
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    /// The struct that stands for a fault, in fault responses and in results of a multicall.
    #[must_use]
    pub fn fault(code: i32, text: impl Into<String>) -> Self {
        Self::Struct(vec![
            ("faultCode".to_owned(), Self::Int(i64::from(code))),
            ("faultString".to_owned(), Self::text(text)),
        ])
    }

    /// The member of a struct with this name; the last one, as in Python, if it stands there twice.
    #[must_use]
    pub fn member(&self, name: &str) -> Option<&Self> {
        match self {
            Self::Struct(members) => members
                .iter()
                .rev()
                .find(|(known, _)| known == name)
                .map(|(_, value)| value),
            _ => None,
        }
    }
}

/// A request.
#[derive(Debug, Clone, PartialEq)]
pub struct RpcCall {
    /// Empty if it was missing.
    pub method: String,
    /// May be empty.
    pub params: Vec<RpcValue>,
}

/// A fault on the wire; the code may be one that [`super::FaultCode`] does not know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WireFault {
    /// `faultCode`.
    pub code: i64,
    /// `faultString`.
    pub text: String,
}

/// Bytes that are no XML-RPC message; says where and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct XmlRpcError(pub String);

/// Reads a request.
///
/// # Errors
/// Anything that a strict parser refuses: bytes that are not UTF-8, control characters, a document type or an entity of
/// its own, values nested deeper than [`DEPTH_MAX`] or more of them than [`CALL_VALUES_MAX`], an unknown type.
pub fn read_call(bytes: &[u8]) -> Result<RpcCall, XmlRpcError> {
    let text = utf8(bytes)?;
    if let Some(at) = text.find(|c| !is_xml_char(c)) {
        return Err(XmlRpcError(format!("byte {at}: a control character")));
    }
    let mut parser = XmlRpcParser::new(text, CharRefs::Strict, CALL_VALUES_MAX);
    parser.root("methodCall")?;
    let mut call = RpcCall {
        method: String::new(),
        params: Vec::new(),
    };
    while let Some(name) = parser.child()? {
        match name.as_ref() {
            "methodName" => call.method = parser.text()?,
            "params" => call.params = parser.params()?,
            _ => return Err(parser.unexpected(&name)),
        }
    }
    parser.end()?;
    Ok(call)
}

/// Reads a response. More forgiving than [`read_call`]: a reference Supervisor sends control characters as they are.
///
/// # Errors
/// Bytes that are no XML-RPC response.
pub fn read_response(bytes: &[u8]) -> Result<Result<RpcValue, WireFault>, XmlRpcError> {
    let text = String::from_utf8_lossy(bytes);
    let mut parser = XmlRpcParser::new(&text, CharRefs::Any, usize::MAX);
    parser.root("methodResponse")?;
    let mut found = None;
    while let Some(name) = parser.child()? {
        let answer = match name.as_ref() {
            "params" => match <[RpcValue; 1]>::try_from(parser.params()?) {
                Ok([value]) => Ok(value),
                Err(_) => return Err(parser.error("not exactly one result")),
            },
            "fault" => {
                let value = parser.only_value()?;
                match (value.member("faultCode"), value.member("faultString")) {
                    (Some(RpcValue::Int(code)), Some(RpcValue::Text(text))) => Err(WireFault {
                        code: *code,
                        text: text.clone(),
                    }),
                    _ => return Err(parser.error("a fault without code or text")),
                }
            }
            _ => return Err(parser.unexpected(&name)),
        };
        if found.replace(answer).is_some() {
            return Err(parser.error("more than one result"));
        }
    }
    parser.end()?;
    found.ok_or_else(|| parser.error("no result"))
}

/// Writes a request.
#[must_use]
pub fn write_call(call: &RpcCall) -> Vec<u8> {
    let mut out = String::from("<?xml version='1.0'?>\n<methodCall>\n<methodName>");
    escape(&call.method, CarriageReturn::Keep, &mut out);
    out.push_str("</methodName>\n<params>\n");
    for param in &call.params {
        out.push_str("<param>\n");
        write_value(param, CarriageReturn::Keep, &mut out);
        out.push_str("</param>\n");
    }
    out.push_str("</params>\n</methodCall>\n");
    out.into_bytes()
}

/// Writes a response, byte for byte as Python's marshaller lays it out.
// Differs: characters that XML forbids become U+FFFD; Supervisor sends them, and strict clients refuse the whole answer.
// Differs: integers beyond 32 bits are written (a log of more than 2 GiB has such a size); Supervisor answers 500.
#[must_use]
pub fn write_response(answer: &Result<RpcValue, Fault>) -> Vec<u8> {
    let mut out;
    match answer {
        Ok(value) => {
            out = String::from(RESULT_BEGIN);
            write_value(value, CarriageReturn::AsPython, &mut out);
            out.push_str(RESULT_END);
        }
        Err(fault) => {
            out = String::from("<?xml version='1.0'?>\n<methodResponse>\n<fault>\n");
            let value = RpcValue::fault(fault.code.code(), fault.to_string());
            write_value(&value, CarriageReturn::AsPython, &mut out);
            out.push_str("</fault>\n</methodResponse>\n");
        }
    }
    out.into_bytes()
}

/// What stands before the value of a response that is no fault.
pub(super) const RESULT_BEGIN: &str =
    "<?xml version='1.0'?>\n<methodResponse>\n<params>\n<param>\n";
/// What stands behind it.
pub(super) const RESULT_END: &str = "</param>\n</params>\n</methodResponse>\n";

/// What becomes of a carriage return in a text. Unescaped, the reader makes a line feed of it, as XML wants.
#[derive(Clone, Copy, PartialEq, Eq)]
enum CarriageReturn {
    /// Unescaped, as Python's marshaller has it.
    AsPython,
    /// Escaped, so that it arrives.
    Keep,
}

fn write_value(value: &RpcValue, carriage_return: CarriageReturn, out: &mut String) {
    out.push_str("<value>");
    match value {
        RpcValue::Int(number) => {
            out.push_str("<int>");
            out.push_str(&number.to_string());
            out.push_str("</int>");
        }
        RpcValue::Bool(yes) => {
            out.push_str("<boolean>");
            out.push(if *yes { '1' } else { '0' });
            out.push_str("</boolean>");
        }
        RpcValue::Double(number) => {
            out.push_str("<double>");
            out.push_str(&format!("{number:?}"));
            out.push_str("</double>");
        }
        RpcValue::Text(text) => {
            out.push_str("<string>");
            escape(text, carriage_return, out);
            out.push_str("</string>");
        }
        RpcValue::DateTime(text) => {
            out.push_str("<dateTime.iso8601>");
            escape(text, carriage_return, out);
            out.push_str("</dateTime.iso8601>");
        }
        RpcValue::Bytes(bytes) => {
            out.push_str("<base64>\n");
            // Python's lines: 57 bytes make 76 characters.
            for line in bytes.chunks(57) {
                general_purpose::STANDARD.encode_string(line, out);
                out.push('\n');
            }
            out.push_str("</base64>");
        }
        RpcValue::Array(items) => {
            out.push_str("<array><data>\n");
            for item in items {
                write_value(item, carriage_return, out);
            }
            out.push_str("</data></array>");
        }
        RpcValue::Struct(members) => {
            out.push_str("<struct>\n");
            for (name, member) in members {
                out.push_str("<member>\n<name>");
                escape(name, carriage_return, out);
                out.push_str("</name>\n");
                write_value(member, carriage_return, out);
                out.push_str("</member>\n");
            }
            out.push_str("</struct>");
        }
    }
    out.push_str("</value>\n");
}

/// Appends a text as responses have it.
pub(super) fn escape_response(text: &str, out: &mut String) {
    escape(text, CarriageReturn::AsPython, out);
}

fn escape(text: &str, carriage_return: CarriageReturn, out: &mut String) {
    // Without a branch for each byte, so that it is done sixteen bytes at a time. Nearly every text is plain.
    let is_plain = |byte: u8| (b' '..0x7f).contains(&byte) & !matches!(byte, b'&' | b'<' | b'>');
    if text.bytes().fold(true, |all, byte| all & is_plain(byte)) {
        out.push_str(text);
        return;
    }
    let special = |c: char| matches!(c, '&' | '<' | '>' | '\r') || !is_xml_char(c);
    let mut rest = text;
    while let Some(at) = rest.find(special) {
        let (plain, from) = rest.split_at(at);
        out.push_str(plain);
        let mut chars = from.chars();
        match chars.next() {
            Some('&') => out.push_str("&amp;"),
            Some('<') => out.push_str("&lt;"),
            Some('>') => out.push_str("&gt;"),
            Some('\r') if carriage_return == CarriageReturn::Keep => out.push_str("&#13;"),
            Some('\r') => out.push('\r'),
            _ => out.push(char::REPLACEMENT_CHARACTER),
        }
        rest = chars.as_str();
    }
    out.push_str(rest);
}

/// Whether XML 1.0 allows this character at all, escaped or not.
fn is_xml_char(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
}

fn utf8(bytes: &[u8]) -> Result<&str, XmlRpcError> {
    std::str::from_utf8(bytes)
        .map_err(|error| XmlRpcError(format!("byte {}: not UTF-8", error.valid_up_to())))
}

/// Base64 as Python reads it: without regard to missing padding.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// Which numeric character references are accepted.
#[derive(Clone, Copy, PartialEq, Eq)]
enum CharRefs {
    /// Those that XML allows.
    Strict,
    /// All.
    Any,
}

/// A name or a text: most are known, and then cost no allocation. A listing of a thousand processes has a hundred thousand
/// of them.
type InternedStr = Cow<'static, str>;

/// The names of XML-RPC's elements, and the text between them as Python and we lay it out; by how often they come.
fn intern(text: &str) -> Option<InternedStr> {
    Some(Cow::Borrowed(match text {
        "\n" => "\n",
        "value" => "value",
        "member" => "member",
        "name" => "name",
        "string" => "string",
        "int" => "int",
        "struct" => "struct",
        "boolean" => "boolean",
        "data" => "data",
        "array" => "array",
        "param" => "param",
        "params" => "params",
        _ => return None,
    }))
}

/// What the parser sees of a document.
enum XmlToken {
    Open(InternedStr),
    Close,
    Text(InternedStr),
    End,
}

/// A descent through the few elements that XML-RPC has.
struct XmlRpcParser<'a> {
    reader: Reader<&'a [u8]>,
    chars: CharRefs,
    /// How many more values may come.
    values_left: usize,
}

impl<'a> XmlRpcParser<'a> {
    fn new(text: &'a str, chars: CharRefs, values_left: usize) -> Self {
        let mut reader = Reader::from_str(text);
        reader.config_mut().expand_empty_elements = true;
        Self {
            reader,
            chars,
            values_left,
        }
    }

    fn error(&self, why: &str) -> XmlRpcError {
        XmlRpcError(format!("byte {}: {why}", self.reader.buffer_position()))
    }

    fn unexpected(&self, name: &str) -> XmlRpcError {
        let name: String = name.chars().take(40).collect();
        self.error(&format!("unexpected <{name}>"))
    }

    /// The next token; comments and processing instructions are passed over.
    fn token(&mut self) -> Result<XmlToken, XmlRpcError> {
        loop {
            let event = self
                .reader
                .read_event()
                .map_err(|error| self.error(&error.to_string()))?;
            return Ok(match event {
                Event::Start(tag) => {
                    let name = tag.local_name();
                    XmlToken::Open(
                        intern(name.as_ref())
                            .unwrap_or_else(|| Cow::Owned(name.as_ref().to_owned())),
                    )
                }
                Event::End(_) => XmlToken::Close,
                Event::Text(text) => {
                    let content = text.xml10_content();
                    XmlToken::Text(
                        intern(&content).unwrap_or_else(|| Cow::Owned(content.into_owned())),
                    )
                }
                Event::CData(text) => XmlToken::Text(Cow::Owned(text.xml10_content().into_owned())),
                Event::GeneralRef(reference) => {
                    XmlToken::Text(Cow::Owned(self.resolve(&reference)?.to_string()))
                }
                Event::Decl(_) | Event::PI(_) | Event::Comment(_) => continue,
                // Nobody's XML-RPC needs one, and every trick with entities begins with one.
                Event::DocType(_) => return Err(self.error("a document type")),
                Event::Empty(tag) => {
                    return Err(self.unexpected(tag.local_name().as_ref()));
                }
                Event::Eof => XmlToken::End,
            });
        }
    }

    fn resolve(&self, reference: &quick_xml::events::BytesRef<'_>) -> Result<char, XmlRpcError> {
        let known = match &**reference {
            "amp" => Some('&'),
            "lt" => Some('<'),
            "gt" => Some('>'),
            "quot" => Some('"'),
            "apos" => Some('\''),
            _ => reference
                .resolve_char_ref()
                .map_err(|error| self.error(&error.to_string()))?
                .filter(|&c| self.chars == CharRefs::Any || is_xml_char(c)),
        };
        known.ok_or_else(|| self.error("an unknown entity"))
    }

    /// Enters the root element, which must have this name.
    fn root(&mut self, name: &str) -> Result<(), XmlRpcError> {
        match self.child()? {
            Some(found) if found == name => Ok(()),
            Some(found) => Err(self.unexpected(&found)),
            None => Err(self.error("an end tag without a start tag")),
        }
    }

    /// Makes sure that nothing follows the root element.
    fn end(&mut self) -> Result<(), XmlRpcError> {
        loop {
            match self.token()? {
                XmlToken::End => return Ok(()),
                XmlToken::Text(text) if is_blank(&text) => {}
                _ => return Err(self.error("data after the end")),
            }
        }
    }

    /// Enters the next child element and tells its name, or leaves the parent. Blanks between are passed over.
    fn child(&mut self) -> Result<Option<InternedStr>, XmlRpcError> {
        loop {
            match self.token()? {
                XmlToken::Open(name) => return Ok(Some(name)),
                XmlToken::Close => return Ok(None),
                XmlToken::Text(text) if is_blank(&text) => {}
                XmlToken::Text(_) => return Err(self.error("unexpected text")),
                XmlToken::End => return Err(self.error("unexpected end")),
            }
        }
    }

    /// The text of an element just entered, which it leaves.
    fn text(&mut self) -> Result<String, XmlRpcError> {
        let mut out = String::new();
        loop {
            match self.token()? {
                XmlToken::Text(text) if out.is_empty() => out = text.into_owned(),
                XmlToken::Text(text) => out.push_str(&text),
                XmlToken::Close => return Ok(out),
                XmlToken::Open(name) => return Err(self.unexpected(&name)),
                XmlToken::End => return Err(self.error("unexpected end")),
            }
        }
    }

    /// Leaves the element; nothing else may stand in it.
    fn leave(&mut self) -> Result<(), XmlRpcError> {
        match self.child()? {
            None => Ok(()),
            Some(name) => Err(self.unexpected(&name)),
        }
    }

    /// The contents of `<params>`.
    fn params(&mut self) -> Result<Vec<RpcValue>, XmlRpcError> {
        let mut params = Vec::new();
        while let Some(name) = self.child()? {
            if name != "param" {
                return Err(self.unexpected(&name));
            }
            params.push(self.only_value()?);
        }
        Ok(params)
    }

    /// The one `<value>` of an element just entered, which it leaves.
    fn only_value(&mut self) -> Result<RpcValue, XmlRpcError> {
        match self.child()?.as_deref() {
            Some("value") => {}
            Some(name) => return Err(self.unexpected(name)),
            None => return Err(self.error("a value is missing")),
        }
        let value = self.value(0)?;
        self.leave()?;
        Ok(value)
    }

    /// The contents of a `<value>` just entered, which it leaves.
    fn value(&mut self, depth: usize) -> Result<RpcValue, XmlRpcError> {
        if depth >= DEPTH_MAX {
            return Err(self.error("values are nested too deep"));
        }
        self.values_left = self
            .values_left
            .checked_sub(1)
            .ok_or_else(|| self.error("too many values"))?;
        let mut bare = String::new();
        loop {
            match self.token()? {
                XmlToken::Text(text) => bare.push_str(&text),
                XmlToken::Close => return Ok(RpcValue::Text(bare)),
                XmlToken::End => return Err(self.error("unexpected end")),
                XmlToken::Open(_) if !is_blank(&bare) => {
                    return Err(self.error("text next to a type element"));
                }
                XmlToken::Open(name) => {
                    let value = self.typed(&name, depth)?;
                    self.leave()?;
                    return Ok(value);
                }
            }
        }
    }

    /// The contents of a type's element just entered, which it leaves.
    fn typed(&mut self, name: &str, depth: usize) -> Result<RpcValue, XmlRpcError> {
        match name {
            "int" | "i4" | "i8" => {
                let text = self.text()?;
                let number = text.trim().parse().ok();
                number
                    .map(RpcValue::Int)
                    .ok_or_else(|| self.error("not an integer of 64 bits"))
            }
            "boolean" => match self.text()?.trim() {
                "1" | "true" => Ok(RpcValue::Bool(true)),
                "0" | "false" => Ok(RpcValue::Bool(false)),
                _ => Err(self.error("not a boolean")),
            },
            "double" => {
                let text = self.text()?;
                let number = text.trim().parse().ok();
                number
                    .map(RpcValue::Double)
                    .ok_or_else(|| self.error("not a number"))
            }
            "string" => self.text().map(RpcValue::Text),
            "dateTime.iso8601" => self.text().map(RpcValue::DateTime),
            "base64" => {
                let mut text = self.text()?;
                text.retain(|c| !c.is_ascii_whitespace());
                BASE64
                    .decode(text)
                    .map(RpcValue::Bytes)
                    .map_err(|_| self.error("not base64"))
            }
            "array" => self.array(depth),
            "struct" => self.members(depth),
            _ => Err(self.unexpected(name)),
        }
    }

    fn array(&mut self, depth: usize) -> Result<RpcValue, XmlRpcError> {
        let mut items = Vec::new();
        match self.child()?.as_deref() {
            Some("data") => {
                while let Some(name) = self.child()? {
                    if name != "value" {
                        return Err(self.unexpected(&name));
                    }
                    items.push(self.value(depth + 1)?);
                }
                self.leave()?;
            }
            Some(name) => return Err(self.unexpected(name)),
            None => {}
        }
        Ok(RpcValue::Array(items))
    }

    fn members(&mut self, depth: usize) -> Result<RpcValue, XmlRpcError> {
        let mut members = Vec::new();
        while let Some(name) = self.child()? {
            if name != "member" {
                return Err(self.unexpected(&name));
            }
            let (mut name, mut value) = (None, None);
            while let Some(part) = self.child()? {
                match part.as_ref() {
                    "name" => name = Some(self.text()?),
                    "value" => value = Some(self.value(depth + 1)?),
                    _ => return Err(self.unexpected(&part)),
                }
            }
            match (name, value) {
                (Some(name), Some(value)) => members.push((name, value)),
                _ => return Err(self.error("a member without name or value")),
            }
        }
        Ok(RpcValue::Struct(members))
    }
}

fn is_blank(text: &str) -> bool {
    text.bytes()
        .all(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r'))
}

#[cfg(test)]
#[path = "xmlrpc_tests.rs"]
mod tests;
