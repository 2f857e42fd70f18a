//! Writes XML-RPC messages.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{RpcCall, RpcValue, is_xml_char};
use crate::api::Fault;

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

/// Writes a response with the same bytes as Python's marshaller.
// Differs: characters that XML forbids become U+FFFD. Supervisor sends them, and strict clients reject the whole
// answer. Differs: integers beyond 32 bits are written (the size of a log of more than 2 GiB is one). Supervisor
// answers 500.
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

/// The text before the value of a response that is not a fault.
pub(in crate::api) const RESULT_BEGIN: &str =
    "<?xml version='1.0'?>\n<methodResponse>\n<params>\n<param>\n";
/// The text after that value.
pub(in crate::api) const RESULT_END: &str = "</param>\n</params>\n</methodResponse>\n";

/// How a carriage return in a text is written. An XML reader turns an unescaped one into a line feed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum CarriageReturn {
    /// Unescaped, as Python's marshaller does.
    AsPython,
    /// Escaped, so that it is preserved.
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
            // Python's line length: 57 bytes make 76 characters.
            for line in bytes.chunks(57) {
                STANDARD.encode_string(line, out);
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

/// Appends a text, escaped as in responses.
pub(in crate::api) fn escape_response(text: &str, out: &mut String) {
    escape(text, CarriageReturn::AsPython, out);
}

fn escape(text: &str, carriage_return: CarriageReturn, out: &mut String) {
    // The check has no branch per byte, so that the compiler vectorizes it. Nearly every text is plain.
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
