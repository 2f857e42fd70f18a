//! Writes JSON into the buffer of a response.

use crate::api::xmlrpc::RpcValue;
use crate::api::{MemberSink, TableColumns};

/// The content type of a result, and of a body.
pub(super) const CONTENT_TYPE: &str = "application/json";

/// Appends a text as a string.
pub(super) fn push_text(out: &mut Vec<u8>, text: &str) {
    // Writing to memory does not fail.
    let _ = serde_json::to_writer(out, text);
}

/// Appends a number.
pub(super) fn push_number(out: &mut Vec<u8>, number: i64) {
    let _ = serde_json::to_writer(out, &number);
}

/// Appends the items with a comma between two of them.
pub(super) fn push_separated<T>(
    out: &mut Vec<u8>,
    items: impl IntoIterator<Item = T>,
    mut push: impl FnMut(&mut Vec<u8>, T),
) {
    for (at, item) in items.into_iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        push(out, item);
    }
}

/// Appends a value of XML-RPC.
pub(super) fn push_value(out: &mut Vec<u8>, value: &RpcValue) {
    match value {
        RpcValue::Text(text) | RpcValue::DateTime(text) => push_text(out, text),
        RpcValue::Bytes(bytes) => push_text(out, &String::from_utf8_lossy(bytes)),
        RpcValue::Int(number) => push_number(out, *number),
        RpcValue::Bool(truth) => out.extend_from_slice(if *truth { b"true" } else { b"false" }),
        RpcValue::Double(number) => {
            let _ = serde_json::to_writer(out, number);
        }
        RpcValue::Array(items) => {
            out.push(b'[');
            push_separated(out, items, push_value);
            out.push(b']');
        }
        RpcValue::Struct(members) => {
            out.push(b'{');
            push_separated(out, members, |out, (name, value)| {
                push_text(out, name);
                out.push(b':');
                push_value(out, value);
            });
            out.push(b'}');
        }
    }
}

/// Writes the members of one object.
pub(super) struct ObjectWriter<'a> {
    out: &'a mut Vec<u8>,
    /// The members that are written. `None`: all.
    columns: Option<TableColumns>,
    at: usize,
    is_first: bool,
}

impl<'a> ObjectWriter<'a> {
    /// Starts an object.
    pub(super) fn new(out: &'a mut Vec<u8>, columns: Option<TableColumns>) -> Self {
        out.push(b'{');
        Self {
            out,
            columns,
            at: 0,
            is_first: true,
        }
    }

    /// Starts a member. `None`: the object does not have it.
    fn begin(&mut self, name: &str) -> Option<&mut Vec<u8>> {
        let at = self.at;
        self.at += 1;
        if self.columns.is_some_and(|columns| !columns.has(at)) {
            return None;
        }
        if !std::mem::take(&mut self.is_first) {
            self.out.push(b',');
        }
        push_text(self.out, name);
        self.out.push(b':');
        Some(self.out)
    }

    /// Adds a member with what `write` appends.
    pub(super) fn member(&mut self, name: &str, write: impl FnOnce(&mut Vec<u8>)) {
        if let Some(out) = self.begin(name) {
            write(out);
        }
    }

    /// Finishes the object.
    pub(super) fn finish(self) {
        self.out.push(b'}');
    }
}

impl MemberSink for ObjectWriter<'_> {
    fn text(&mut self, name: &'static str, text: &str) {
        self.member(name, |out| push_text(out, text));
    }

    fn int(&mut self, name: &'static str, number: i64) {
        self.member(name, |out| push_number(out, number));
    }

    fn bool(&mut self, name: &'static str, truth: bool) {
        self.member(name, |out| push_value(out, &RpcValue::Bool(truth)));
    }

    fn ints(&mut self, name: &'static str, numbers: impl Iterator<Item = i64>) {
        self.member(name, |out| {
            out.push(b'[');
            push_separated(out, numbers, push_number);
            out.push(b']');
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_json() {
        let value = RpcValue::Struct(vec![
            ("a\"b".to_owned(), RpcValue::text("x\ny\u{1b}é")),
            (
                "n".to_owned(),
                RpcValue::Array(vec![RpcValue::Int(-5), RpcValue::Double(0.5)]),
            ),
            ("t".to_owned(), RpcValue::Bool(true)),
            ("e".to_owned(), RpcValue::Array(Vec::new())),
        ]);
        let mut out = Vec::new();
        push_value(&mut out, &value);
        assert_eq!(
            String::from_utf8(out).expect("text"),
            r#"{"a\"b":"x\ny\u001bé","n":[-5,0.5],"t":true,"e":[]}"#
        );
    }

    #[test]
    fn an_object_has_the_chosen_members() {
        let write = |columns: Option<TableColumns>| {
            let mut out = Vec::new();
            let mut object = ObjectWriter::new(&mut out, columns);
            object.text("name", "a");
            object.int("group", 1);
            object.ints("start", [1, 2].into_iter());
            object.bool("stop", false);
            object.finish();
            String::from_utf8(out).expect("text")
        };
        assert_eq!(
            write(None),
            r#"{"name":"a","group":1,"start":[1,2],"stop":false}"#
        );
        let columns = TableColumns::of(&["group".to_owned()]).expect("a member");
        assert_eq!(write(Some(columns)), r#"{"group":1}"#);
    }
}
