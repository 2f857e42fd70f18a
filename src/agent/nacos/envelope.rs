//! The JSON answers of the v2 and v3 interfaces: `{"code":0,"message":"success","data":…}`.

use serde_json::Value;

/// An answer in JSON with a code.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Envelope {
    /// 0: success.
    pub(super) code: i64,
    /// The server's words. Empty: none.
    pub(super) message: String,
    /// What was asked for. `Null`: nothing.
    pub(super) data: Value,
}

impl Envelope {
    /// Reads an answer. `None`: it is no JSON object with a code.
    pub(super) fn read(body: &[u8]) -> Option<Self> {
        let Value::Object(mut object) = serde_json::from_slice(body).ok()? else {
            return None;
        };
        let code = object.get("code")?.as_i64()?;
        let message = object.get("message").and_then(Value::as_str);
        Some(Self {
            code,
            message: message.unwrap_or_default().to_owned(),
            data: object.remove("data").unwrap_or_default(),
        })
    }
}

/// The object that an answer is about: what is in its envelope, or the whole of an answer without one.
pub(super) fn content_of(body: &[u8]) -> Option<Value> {
    match Envelope::read(body) {
        Some(envelope) => Some(envelope.data),
        None => serde_json::from_slice(body).ok(),
    }
}

/// A field as text: that of a string, or a number's digits. Without blanks at its ends, with which some databases fill
/// columns. Empty: it is missing.
pub(super) fn text_of(object: &Value, names: &[&str]) -> String {
    let found = names.iter().find_map(|name| match object.get(name)? {
        Value::String(text) => Some(text.trim().to_owned()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    });
    found.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_with_a_code_are_read() {
        let read = Envelope::read(br#"{"code":20004,"message":"gone","data":null}"#);
        let expected = Envelope {
            code: 20004,
            message: "gone".to_owned(),
            data: Value::Null,
        };
        assert_eq!(read, Some(expected));
        for foreign in ["", "true", "[1]", "{}", "<html>", r#"{"code":"x"}"#] {
            assert_eq!(Envelope::read(foreign.as_bytes()), None, "{foreign}");
        }
    }

    #[test]
    fn fields_are_texts() {
        let object = serde_json::json!({"id": 7, "opType": "U         ", "none": null});
        assert_eq!(text_of(&object, &["id"]), "7");
        assert_eq!(text_of(&object, &["absent", "opType"]), "U");
        assert_eq!(text_of(&object, &["none"]), "");
    }
}
