//! Text and bytes in Python's notation. The log, faults and events use it where Supervisor prints a value.

use super::byte_of;
use std::borrow::Cow;

/// Returns bytes as text: unchanged if they are UTF-8, else the word `Undecodable` and Python's notation for bytes. The
/// activity log and event payloads show program output this way.
#[must_use]
pub fn decoded(data: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(data) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => Cow::Owned(format!("Undecodable: {}", python_bytes(data))),
    }
}

/// Returns a text in quotes like Python's `repr`: in single quotes unless it contains only those, with control
/// characters escaped.
#[must_use]
pub fn python_repr(text: &str) -> String {
    let quote = if text.contains('\'') && !text.contains('"') {
        '"'
    } else {
        '\''
    };
    let mut out = String::with_capacity(text.len() + 2);
    out.push(quote);
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c == quote => {
                out.push('\\');
                out.push(c);
            }
            c if (c as u32) < 0x20 || (0x7f..0xa1).contains(&(c as u32)) || c as u32 == 0xad => {
                out.push_str(&format!("\\x{:02x}", c as u32));
            }
            // A byte that is not UTF-8. Python represents it as a lone surrogate.
            c if byte_of(c).is_some() => {
                out.push_str(&format!("\\udc{:02x}", byte_of(c).unwrap_or_default()));
            }
            c if is_unprintable(c) => match c as u32 {
                code @ ..=0xffff => out.push_str(&format!("\\u{code:04x}")),
                code => out.push_str(&format!("\\U{code:08x}")),
            },
            c => out.push(c),
        }
    }
    out.push(quote);
    out
}

/// Returns whether Python escapes this character beyond Latin-1: spaces, format characters and private use areas.
/// Unassigned characters count as printable.
const fn is_unprintable(c: char) -> bool {
    let is_format = matches!(
        c,
        '\u{600}'..='\u{605}'
            | '\u{61c}'
            | '\u{6dd}'
            | '\u{70f}'
            | '\u{180e}'
            | '\u{200b}'..='\u{200f}'
            | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{e0001}'..='\u{e007f}'
    );
    let is_private = matches!(c, '\u{e000}'..='\u{f8ff}' | '\u{f0000}'..='\u{10ffff}');
    c != ' ' && (c.is_whitespace() || is_format || is_private)
}

/// Returns bytes like Python's `repr`: `b'…'`.
#[must_use]
pub fn python_bytes(data: &[u8]) -> String {
    let quote = if data.contains(&b'\'') && !data.contains(&b'"') {
        b'"'
    } else {
        b'\''
    };
    let mut out = String::with_capacity(data.len() + 3);
    out.push('b');
    out.push(char::from(quote));
    for &byte in data {
        match byte {
            b'\\' => out.push_str("\\\\"),
            b'\n' => out.push_str("\\n"),
            b'\r' => out.push_str("\\r"),
            b'\t' => out.push_str("\\t"),
            _ if byte == quote => {
                out.push('\\');
                out.push(char::from(byte));
            }
            0x20..=0x7e => out.push(char::from(byte)),
            _ => out.push_str(&format!("\\x{byte:02x}")),
        }
    }
    out.push(char::from(quote));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repr_equals_pythons() {
        for (text, repr) in [
            ("a", "'a'"),
            ("it's", "\"it's\""),
            ("'\"", "'\\'\"'"),
            ("a\\b\n", "'a\\\\b\\n'"),
            ("\u{1}é", "'\\x01é'"),
            (" \u{feff}\u{2028}\u{f0000}", "' \\ufeff\\u2028\\U000f0000'"),
        ] {
            assert_eq!(python_repr(text), repr);
        }
    }

    #[test]
    fn log_09_evt_08_invalid_utf_8_is_shown_as_in_python() {
        for (given, expected) in [
            (&b"plain\n"[..], "plain\n"),
            ("é".as_bytes(), "é"),
            (b"\xff\n", "Undecodable: b'\\xff\\n'"),
            (b"\xff'", "Undecodable: b\"\\xff'\""),
        ] {
            assert_eq!(decoded(given), expected);
        }
    }

    #[test]
    fn bytes_are_shown_as_in_python() {
        for (given, expected) in [
            (&b"a\n"[..], "b'a\\n'"),
            (b"it's", "b\"it's\""),
            (b"'\"\\", "b'\\'\"\\\\'"),
            (b"\xff\0\x7f", "b'\\xff\\x00\\x7f'"),
        ] {
            assert_eq!(python_bytes(given), expected);
        }
    }
}
