//! The one XML-RPC codec, for the daemon and for `supervisorctl`; the only file that knows quick-xml.
//!
//! # Source
//! The XML-RPC specification, and the layout that Python's `xmlrpc.client` writes.

/// A value on the wire.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// `int`, `i4`.
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
    Array(Vec<Value>),
    /// `struct`, in order.
    Struct(Vec<(String, Value)>),
}

/// A request.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    /// Empty if it was missing.
    pub method: String,
    /// May be empty.
    pub params: Vec<Value>,
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
pub struct Malformed(pub String);
