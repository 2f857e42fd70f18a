//! Percent-encoding of texts in URLs.

/// Percent-encodes all bytes of `text` except ASCII letters, digits and the bytes in `kept`.
///
/// # Source
/// RFC 3986, 2.1.
#[must_use]
pub fn percent_encoded(text: &str, kept: &[u8]) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || kept.contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}
