//! Bytes that are not UTF-8 inside of strings. The configuration consists of strings, but environment variables that it
//! refers to may contain any bytes, and programs must get them unchanged.
//!
//! Python represents such a byte as a lone surrogate (PEP 383), which a Rust string cannot hold. Here it is one of the
//! last 128 characters of the private use area, which normal texts do not contain.

use std::borrow::Cow;

/// The character for the byte 0. Only those for 0x80 to 0xff are used.
const BASE: u32 = 0x10_ff00;

/// Returns the character that represents a byte above 0x7f.
fn replacement_char(byte: u8) -> char {
    char::from_u32(BASE + u32::from(byte)).unwrap_or(char::REPLACEMENT_CHARACTER)
}

/// Returns the byte that a character represents. `None`: it is an ordinary character.
#[must_use]
pub fn byte_of(c: char) -> Option<u8> {
    let offset = (c as u32).checked_sub(BASE)?;
    u8::try_from(offset).ok().filter(|byte| *byte >= 0x80)
}

/// Returns a string that represents these bytes. [`to_bytes`] returns the same bytes, whatever they are.
#[must_use]
pub fn from_bytes(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            if byte_of(c).is_some() {
                let mut buffer = [0; 4];
                text.extend(c.encode_utf8(&mut buffer).bytes().map(replacement_char));
            } else {
                text.push(c);
            }
        }
        text.extend(chunk.invalid().iter().copied().map(replacement_char));
    }
    text
}

/// Returns the bytes that a string represents.
#[must_use]
pub fn to_bytes(text: &str) -> Cow<'_, [u8]> {
    if !text.chars().any(|c| byte_of(c).is_some()) {
        return Cow::Borrowed(text.as_bytes());
    }
    let mut bytes = Vec::with_capacity(text.len());
    for c in text.chars() {
        match byte_of(c) {
            Some(byte) => bytes.push(byte),
            None => bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    Cow::Owned(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_bytes_are_read_back() {
        let all: Vec<u8> = (0..=255).collect();
        let texts: [&[u8]; 6] = [
            b"",
            b"plain",
            "\u{e9}\u{1f600}".as_bytes(),
            b"a\xffb\xe9",
            // The representing characters, encoded as bytes.
            "\u{10ff80}x\u{10ffff}".as_bytes(),
            &all,
        ];
        for bytes in texts {
            assert_eq!(*to_bytes(&from_bytes(bytes)), *bytes);
        }
        assert_eq!(from_bytes("\u{e9}".as_bytes()), "\u{e9}");
        assert!(matches!(to_bytes("caf\u{e9}"), Cow::Borrowed(_)));
    }
}
