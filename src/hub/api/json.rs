//! Writes JSON: plain, and as Cesi does, with escapes for all characters outside ASCII and a line feed at the end.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::ser::{CompactFormatter, Formatter, Serializer};

/// The content type.
pub(super) const JSON: &str = "application/json";

/// A value as JSON.
pub(super) fn text<T: Serialize>(value: &T) -> Vec<u8> {
    // Values of ours have string keys, and writing to memory cannot fail.
    serde_json::to_vec(value).unwrap_or_default()
}

/// A value as Cesi writes it. The order of keys is that of the value, which sorts them.
pub(super) fn cesi_text<T: Serialize>(value: &T) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut serializer = Serializer::with_formatter(&mut bytes, AsciiFormatter);
    // As above.
    let _ = value.serialize(&mut serializer);
    bytes.push(b'\n');
    bytes
}

/// Writes only ASCII.
struct AsciiFormatter;

impl Formatter for AsciiFormatter {
    fn write_string_fragment<W: ?Sized + Write>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        if fragment.is_ascii() {
            return CompactFormatter.write_string_fragment(writer, fragment);
        }
        for c in fragment.chars() {
            if c.is_ascii() {
                writer.write_all(&[u8::try_from(c).unwrap_or(b'?')])?;
                continue;
            }
            for unit in c.encode_utf16(&mut [0; 2]) {
                write!(writer, "\\u{unit:04x}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn text_is_ascii_as_from_cesi() {
        let value = json!({"b": "内网 \"x\"\n", "a": "😀"});
        let expected = "{\"a\":\"\\ud83d\\ude00\",\"b\":\"\\u5185\\u7f51 \\\"x\\\"\\n\"}\n";
        assert_eq!(
            String::from_utf8(cesi_text(&value)).expect("ASCII"),
            expected
        );
    }
}
