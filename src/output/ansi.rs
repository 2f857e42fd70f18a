//! Removes terminal escape sequences from each chunk. Pure.

use std::borrow::Cow;

/// The bytes that end a sequence. Any other byte after `ESC [` is removed with it.
const FINAL: &[u8] = b"HfABCDRsuJKhlpm";

/// Returns `chunk` without sequences that start with `ESC [`, up to and including the next final byte.
///
/// Chunks are independent: an unfinished sequence removes the rest of its chunk, and its tail appears in the next
/// chunk, as in Supervisor.
///
/// # Source
/// Supervisor manual, `[supervisord]`, strip_ansi; measured against 4.3.0.
pub(super) fn strip(chunk: &[u8]) -> Cow<'_, [u8]> {
    let Some(first) = find_start(chunk) else {
        return Cow::Borrowed(chunk);
    };
    let mut kept = Vec::with_capacity(chunk.len());
    kept.extend_from_slice(&chunk[..first]);
    let mut rest = &chunk[first..];
    loop {
        // `rest` starts with ESC [ here; the search for a final byte begins after the bracket.
        let Some(end) = rest.iter().skip(2).position(|byte| FINAL.contains(byte)) else {
            return Cow::Owned(kept);
        };
        rest = &rest[end + 3..];
        match find_start(rest) {
            None => {
                kept.extend_from_slice(rest);
                return Cow::Owned(kept);
            }
            Some(next) => {
                kept.extend_from_slice(&rest[..next]);
                rest = &rest[next..];
            }
        }
    }
}

fn find_start(bytes: &[u8]) -> Option<usize> {
    bytes.windows(2).position(|pair| pair == b"\x1b[")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn out_10_strip_ansi_follows_supervisors_rules() {
        for (name, given, expected) in [
            ("nothing to do", &b"plain"[..], &b"plain"[..]),
            ("a colour", b"a\x1b[31mb\x1b[0mc", b"abc"),
            ("unknown final byte swallows on", b"\x1b[3zxyzm!", b"!"),
            ("cut: the head swallows its chunk", b"ab\x1b[3", b"ab"),
            ("cut: the tail shows", b"1mcd", b"1mcd"),
            (
                "other escapes stay",
                b"\x1b]0;title\x07x",
                b"\x1b]0;title\x07x",
            ),
            ("bytes between may be anything", b"\x1b[\xff\n\0Kx", b"x"),
            ("a lone escape", b"x\x1b", b"x\x1b"),
            ("all of it", b"\x1b[m", b""),
            ("an escape inside a sequence", b"\x1b[\x1b[mx", b"x"),
        ] {
            assert_eq!(strip(given).as_ref(), expected, "{name}");
        }
    }

    proptest! {
        #[test]
        fn text_without_escapes_is_untouched(text in proptest::collection::vec(0u8..27, 0..200)) {
            let stripped = strip(&text);
            prop_assert_eq!(&stripped[..], &text[..]);
        }

        #[test]
        fn stripped_text_is_a_subsequence(text in proptest::collection::vec(proptest::sample::select(&b"\x1b[mK3;ax"[..]), 0..60)) {
            let mut left = text.iter();
            for byte in strip(&text).iter() {
                prop_assert!(left.any(|given| given == byte));
            }
        }
    }
}
