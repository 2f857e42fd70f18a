//! The XML-RPC codec for the daemon and for `supervisorctl`: its values and messages, the `reader` and the `writer`.
//!
//! [`super::METHODS`] declares which method takes which values.
//!
//! # Source
//! The XML-RPC specification, and the layout that Python's `xmlrpc.client` writes.

mod reader;
mod writer;

pub use reader::{CALL_VALUES_MAX, DEPTH_MAX, read_call, read_response, read_response_within};
pub(super) use writer::{RESULT_BEGIN, RESULT_END, escape_response};
pub use writer::{write_call, write_response};

/// An XML-RPC value.
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
    /// `struct`, with the members in order.
    Struct(Vec<(String, RpcValue)>),
}

impl RpcValue {
    /// Returns a text value.
    #[must_use]
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    /// Returns the struct of a fault, for fault responses and results of a multicall.
    #[must_use]
    pub fn fault(code: i32, text: impl Into<String>) -> Self {
        Self::Struct(vec![
            ("faultCode".to_owned(), Self::Int(i64::from(code))),
            ("faultString".to_owned(), Self::text(text)),
        ])
    }

    /// Returns the member of a struct with this name. If the name occurs twice, the last one, as in Python.
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
    /// The name of the method. Empty if it was missing.
    pub method: String,
    /// The arguments. May be empty.
    pub params: Vec<RpcValue>,
}

/// A received fault. [`super::FaultCode`] may not contain its code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WireFault {
    /// `faultCode`.
    pub code: i64,
    /// `faultString`.
    pub text: String,
}

/// An invalid XML-RPC message. The text says where and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct XmlRpcError(pub String);

/// Returns whether XML 1.0 allows this character, escaped or not.
fn is_xml_char(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
}

#[cfg(test)]
mod tests;
