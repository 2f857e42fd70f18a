//! Reads XML-RPC messages. Only this file uses quick-xml.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use quick_xml::Reader;
use quick_xml::events::Event;

use super::{RpcCall, RpcValue, WireFault, XmlRpcError, is_xml_char};

/// Maximum nesting depth of values in a message. Supervisor's own messages need five.
pub const DEPTH_MAX: usize = 64;
/// Maximum number of values in a request. The longest sensible multicall needs some thousands.
pub const CALL_VALUES_MAX: usize = 1 << 18;

/// Reads a request.
///
/// # Errors
/// Everything that a strict parser rejects: bytes that are not UTF-8, control characters, a document type or custom
/// entities, values nested deeper than [`DEPTH_MAX`], more values than [`CALL_VALUES_MAX`], an unknown type.
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

/// Reads a response. It accepts more than [`read_call`], since a reference Supervisor sends control characters
/// unescaped.
///
/// # Errors
/// The bytes are not an XML-RPC response.
pub fn read_response(bytes: &[u8]) -> Result<Result<RpcValue, WireFault>, XmlRpcError> {
    read_response_within(bytes, usize::MAX)
}

/// Like [`read_response`], for the response of a server that may be hostile.
///
/// # Errors
/// The bytes are not an XML-RPC response, or have more than `values_max` values.
pub fn read_response_within(
    bytes: &[u8],
    values_max: usize,
) -> Result<Result<RpcValue, WireFault>, XmlRpcError> {
    let text = String::from_utf8_lossy(bytes);
    let mut parser = XmlRpcParser::new(&text, CharRefs::Any, values_max);
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

fn utf8(bytes: &[u8]) -> Result<&str, XmlRpcError> {
    std::str::from_utf8(bytes)
        .map_err(|error| XmlRpcError(format!("byte {}: not UTF-8", error.valid_up_to())))
}

/// Base64 as Python reads it: missing padding is ignored.
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

/// A name or a text. Most are known and need no allocation. A list of a thousand processes has a hundred thousand of
/// them.
type InternedStr = Cow<'static, str>;

/// Returns the static string for names of XML-RPC elements and for the whitespace between them. The most frequent come
/// first. `None`: the text is not one of them.
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

/// A token of the document.
enum XmlToken {
    Open(InternedStr),
    Close,
    Text(InternedStr),
    End,
}

/// A recursive descent parser for the few elements of XML-RPC.
struct XmlRpcParser<'a> {
    reader: Reader<&'a [u8]>,
    chars: CharRefs,
    /// How many more values are allowed.
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

    /// Returns the next token. Comments and processing instructions are skipped.
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
                // XML-RPC needs no document type, and every attack with entities needs one.
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

    /// Checks that nothing follows the root element.
    fn end(&mut self) -> Result<(), XmlRpcError> {
        loop {
            match self.token()? {
                XmlToken::End => return Ok(()),
                XmlToken::Text(text) if is_blank(&text) => {}
                _ => return Err(self.error("data after the end")),
            }
        }
    }

    /// Enters the next child element and returns its name, or leaves the parent and returns `None`. White space between
    /// elements is skipped.
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

    /// Returns the text of the current element and leaves it.
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

    /// Leaves the current element, which must have no more children.
    fn leave(&mut self) -> Result<(), XmlRpcError> {
        match self.child()? {
            None => Ok(()),
            Some(name) => Err(self.unexpected(&name)),
        }
    }

    /// Returns the contents of `<params>`.
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

    /// Returns the only `<value>` of the current element and leaves the element.
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

    /// Returns the contents of the current `<value>` and leaves it.
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

    /// Returns the contents of the current type element and leaves it.
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
