//! Percent escapes in addresses.

use crate::domain::percent_encoded;

/// Decodes percent escapes such as `%41`. An invalid escape is left unchanged, as in Python's `unquote`.
pub(crate) fn percent_decoded(path: &str) -> String {
    let hex = |byte: Option<&u8>| byte.and_then(|&byte| char::from(byte).to_digit(16));
    let bytes = path.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        match (byte, hex(bytes.get(at + 1)), hex(bytes.get(at + 2))) {
            (b'%', Some(high), Some(low)) => {
                out.push(u8::try_from(high * 16 + low).unwrap_or(b'?'));
                at += 3;
            }
            _ => {
                out.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// Percent-encodes `text` for a URL: all bytes except letters, digits and `_.-~/`.
///
/// # Source
/// Python's `urllib.parse.quote`, which Supervisor uses for its addresses.
pub(crate) fn url_quoted(text: &str) -> String {
    percent_encoded(text, b"_.-~/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_decoded_as_in_python() {
        let table = [
            ("/logtail/c%61t%3Ax", "/logtail/cat:x"),
            ("/a%2", "/a%2"),
            ("/%zz%", "/%zz%"),
            ("/%c3%A9", "/é"),
            ("/%ff", "/\u{fffd}"),
        ];
        for (given, expected) in table {
            assert_eq!(percent_decoded(given), expected);
        }
    }

    #[test]
    fn web_02_strings_are_quoted_as_in_python() {
        let table = [
            ("Process a:b started", "Process%20a%3Ab%20started"),
            ("a/b_c.d-e~f", "a/b_c.d-e~f"),
            ("é&\n", "%C3%A9%26%0A"),
        ];
        for (given, expected) in table {
            assert_eq!(url_quoted(given), expected);
        }
    }
}
