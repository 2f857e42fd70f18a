//! Makes logs safe for a terminal: a program must not be able to move the reader's cursor or worse. This module does
//! not know the server.

/// Decodes bytes as they arrive. A character split between two pieces is reassembled.
#[derive(Debug, Default)]
pub(super) struct PrintableDecoder {
    /// The beginning of an incomplete character.
    cut: Vec<u8>,
}

impl PrintableDecoder {
    /// Decodes the next piece, without control characters. Like `tail` for characters that XML cannot carry, it shows
    /// U+FFFD instead.
    pub(super) fn next(&mut self, piece: &[u8]) -> String {
        self.cut.extend_from_slice(piece);
        let mut rest = self.cut.as_slice();
        let mut text = String::with_capacity(rest.len());
        loop {
            match std::str::from_utf8(rest) {
                Ok(valid) => {
                    text.extend(valid.chars().map(shown));
                    rest = &[];
                    break;
                }
                Err(error) => {
                    let (valid, invalid) = rest.split_at(error.valid_up_to());
                    let valid = std::str::from_utf8(valid).unwrap_or_default();
                    text.extend(valid.chars().map(shown));
                    rest = invalid;
                    let Some(length) = error.error_len() else {
                        break;
                    };
                    text.push(char::REPLACEMENT_CHARACTER);
                    rest = &rest[length..];
                }
            }
        }
        self.cut = rest.to_vec();
        text
    }

    /// The rest of the text at the end of the input.
    pub(super) fn end(&mut self) -> &'static str {
        if std::mem::take(&mut self.cut).is_empty() {
            ""
        } else {
            "\u{fffd}"
        }
    }
}

/// Makes all of `text` safe.
pub(super) fn all(text: &str) -> String {
    text.chars().map(shown).collect()
}

/// Makes all of `text` safe in one line: line breaks and tabs become blanks.
pub(super) fn line(text: &str) -> String {
    let safe = |c: char| match c {
        '\t' | '\n' | '\r' => ' ',
        c => shown(c),
    };
    text.chars().map(safe).collect()
}

/// The safe form of a character. C0, C1 and DEL control a terminal, except for tabs and line breaks.
fn shown(c: char) -> char {
    match c {
        '\t' | '\n' | '\r' => c,
        c if c.is_control() => char::REPLACEMENT_CHARACTER,
        c => c,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a8_terminal_control_characters_are_replaced() {
        let mut printable = PrintableDecoder::default();
        let bytes = "a\u{1b}]0;x\u{7} \u{9b}2J\tb\r\n\u{7f}é".as_bytes();
        assert_eq!(
            printable.next(bytes),
            "a\u{fffd}]0;x\u{fffd} \u{fffd}2J\tb\r\n\u{fffd}é"
        );
        // A byte that is CSI for 8-bit terminals, and invalid UTF-8.
        assert_eq!(printable.next(b"x\x9b2J"), "x\u{fffd}2J");
    }

    #[test]
    fn a8_characters_split_between_chunks_stay_whole() {
        let text = "aé€😀b";
        for size in 1..text.len() {
            let mut printable = PrintableDecoder::default();
            let mut whole = String::new();
            for piece in text.as_bytes().chunks(size) {
                whole.push_str(&printable.next(piece));
            }
            assert_eq!(whole, text);
            assert_eq!(printable.end(), "");
        }
        let mut printable = PrintableDecoder::default();
        assert_eq!(printable.next(b"a\xe2\x82"), "a");
        assert_eq!(printable.end(), "\u{fffd}");
        assert_eq!(printable.next(b"b"), "b");
    }
}
