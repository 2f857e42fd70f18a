//! How bytes of a process read in the activity log. Pure.

/// `data` as text: itself if it is UTF-8, else the word `Undecodable` and Python's notation for bytes.
pub(super) fn text(data: &[u8]) -> String {
    match std::str::from_utf8(data) {
        Ok(text) => text.to_owned(),
        Err(_) => format!("Undecodable: {}", python_bytes(data)),
    }
}

/// `b'…'` as Python's `repr` writes bytes.
fn python_bytes(data: &[u8]) -> String {
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
    fn log_09_bytes_read_as_python_writes_them() {
        for (given, expected) in [
            (&b"plain\n"[..], "plain\n"),
            ("é".as_bytes(), "é"),
            (b"\xff\n", "Undecodable: b'\\xff\\n'"),
            (b"\xff'", "Undecodable: b\"\\xff'\""),
            (b"\xff'\"\\", "Undecodable: b'\\xff\\'\"\\\\'"),
            (b"\xff\0\x7f", "Undecodable: b'\\xff\\x00\\x7f'"),
        ] {
            assert_eq!(text(given), expected);
        }
    }
}
