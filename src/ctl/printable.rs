//! What a terminal may be shown of a log: a program must not be able to move the cursor of whoever reads it, or worse. Knows
//! no server.

/// Makes text of bytes as they come. A character that is cut in two by a piece is put together again.
#[derive(Debug, Default)]
pub(super) struct PrintableDecoder {
    /// The beginning of a character whose end has not come yet.
    cut: Vec<u8>,
}

impl PrintableDecoder {
    /// The next piece, without control characters: `tail` shows U+FFFD for those that XML cannot carry, and so does this.
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

    /// What is left when nothing follows.
    pub(super) fn end(&mut self) -> &'static str {
        if std::mem::take(&mut self.cut).is_empty() {
            ""
        } else {
            "\u{fffd}"
        }
    }
}

/// All of `text`.
pub(super) fn all(text: &str) -> String {
    text.chars().map(shown).collect()
}

/// The character as a terminal gets it: C0, C1 and DEL are commands to it, but for those that lay out text.
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
    fn a8_commands_to_the_terminal_become_replacement_characters() {
        let mut printable = PrintableDecoder::default();
        let bytes = "a\u{1b}]0;x\u{7} \u{9b}2J\tb\r\n\u{7f}é".as_bytes();
        assert_eq!(
            printable.next(bytes),
            "a\u{fffd}]0;x\u{fffd} \u{fffd}2J\tb\r\n\u{fffd}é"
        );
        // A byte that is CSI for terminals of eight bits, and no UTF-8.
        assert_eq!(printable.next(b"x\x9b2J"), "x\u{fffd}2J");
    }

    #[test]
    fn a8_pieces_do_not_tear_characters() {
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
