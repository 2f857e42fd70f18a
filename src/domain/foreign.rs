//! Rendering of text for log lines: on one line, readable, and short if it comes from outside.

use std::fmt::{self, Write as _};

/// Maximum number of characters of a foreign text in a log line or in a fault.
pub const FOREIGN_CHARS_MAX: usize = 200;
/// The end of a shortened text. It counts towards that maximum.
const CUT: &str = "...";

/// Returns whether a reader, a terminal or a pager could mistake this character for something else: control characters
/// (C0, DEL, C1), Unicode line separators and characters that change the writing direction.
#[must_use]
pub fn is_deceptive(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{61c}'
                | '\u{200e}'
                | '\u{200f}'
                | '\u{2028}'
                | '\u{2029}'
                | '\u{202a}'..='\u{202e}'
                | '\u{2066}'..='\u{2069}'
        )
}

/// Displays a value in full length with escapes for deceptive characters, e.g. `\n` and `\u{9b}`.
#[derive(Debug, Clone, Copy)]
pub struct Escaped<T>(pub T);

/// Displays a value like [`Escaped`], but at most [`FOREIGN_CHARS_MAX`] characters of it.
#[derive(Debug, Clone, Copy)]
pub struct Foreign<T>(pub T);

impl<T: fmt::Display> fmt::Display for Escaped<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            Escaper {
                out: f,
                limit: usize::MAX,
                written: 0,
                end: String::new(),
                is_cut: false,
            },
            "{}",
            self.0
        )
    }
}

impl<T: fmt::Display> fmt::Display for Foreign<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut escaper = Escaper {
            out: f,
            limit: FOREIGN_CHARS_MAX,
            written: 0,
            end: String::new(),
            is_cut: false,
        };
        write!(escaper, "{}", self.0)?;
        escaper.finish()
    }
}

/// Shortens a text to what [`Foreign`] displays, so that waiting texts are limited too.
pub(super) fn shorten(text: &mut String) {
    // Keep one character more than is displayed, so that `Foreign` still notices that the text was shortened.
    if let Some((at, _)) = text.char_indices().nth(FOREIGN_CHARS_MAX + 1) {
        text.truncate(at);
        text.shrink_to_fit();
    }
}

/// A writer that escapes text and stops after a number of characters.
struct Escaper<'a, 'b> {
    out: &'a mut fmt::Formatter<'b>,
    limit: usize,
    /// The number of characters written, including those in `end`.
    written: usize,
    /// Text that is written only if no text follows; otherwise the mark of a shortened text replaces it.
    end: String,
    is_cut: bool,
}

impl Escaper<'_, '_> {
    fn finish(self) -> fmt::Result {
        self.out
            .write_str(if self.is_cut { CUT } else { &self.end })
    }

    /// Writes a unit, such as one escape, as a whole or not at all.
    fn unit(&mut self, unit: &str) -> fmt::Result {
        // An escape is ASCII, so its bytes are its characters. Any other unit is one character.
        let length = if unit.starts_with('\\') {
            unit.len()
        } else {
            1
        };
        if self.is_cut || length > self.limit - self.written {
            self.is_cut = true;
            return Ok(());
        }
        self.written += length;
        if self.end.is_empty() && self.written <= self.limit - CUT.len() {
            self.out.write_str(unit)
        } else {
            self.end.push_str(unit);
            Ok(())
        }
    }
}

impl fmt::Write for Escaper<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        // The fast path: nearly every text is short and needs no escapes.
        let harmless = !text.contains(is_deceptive);
        if harmless && text.len() <= (self.limit - CUT.len()).saturating_sub(self.written) {
            self.written += text.chars().count();
            return self.out.write_str(text);
        }
        for c in text.chars() {
            if is_deceptive(c) {
                self.unit(&c.escape_default().to_string())?;
            } else {
                self.unit(c.encode_utf8(&mut [0; 4]))?;
            }
            if self.is_cut {
                break;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deceptive_characters_are_escaped() {
        for (given, expected) in [
            ("a b:c é", "a b:c é"),
            ("a\r\n\tb\u{1b}[1m", "a\\r\\n\\tb\\u{1b}[1m"),
            ("\u{7f}\u{85}\u{9b}", "\\u{7f}\\u{85}\\u{9b}"),
            ("\u{2028}\u{2029}", "\\u{2028}\\u{2029}"),
            ("\u{61c}\u{200e}\u{200f}", "\\u{61c}\\u{200e}\\u{200f}"),
            (
                "\u{202a}\u{202e}\u{2066}\u{2069}",
                "\\u{202a}\\u{202e}\\u{2066}\\u{2069}",
            ),
        ] {
            assert_eq!(Escaped(given).to_string(), expected);
            assert_eq!(Foreign(given).to_string(), expected);
        }
    }

    #[test]
    fn foreign_text_is_bounded_and_marked_where_cut() {
        let shown = |text: &str| Foreign(text).to_string();
        let whole = "é".repeat(FOREIGN_CHARS_MAX);
        assert_eq!(shown(&whole), whole);
        let cut = format!("{}{CUT}", "é".repeat(FOREIGN_CHARS_MAX - CUT.len()));
        assert_eq!(shown(&format!("{whole}x")), cut);
        assert_eq!(shown(&"é".repeat(1 << 20)), cut);
        // Escapes are never split.
        for length in 190..=210 {
            let text = format!("{}\u{202e}{}", "x".repeat(length), "y".repeat(9));
            let shown = shown(&text);
            assert!(shown.chars().count() <= FOREIGN_CHARS_MAX, "{shown}");
            assert!(shown.ends_with(CUT), "{shown}");
            assert!(
                shown.contains("\\u{202e}") || !shown.contains('\\'),
                "{shown}"
            );
        }
        assert_eq!(Escaped(&whole).to_string().len(), whole.len());
    }

    #[test]
    fn text_written_in_parts_is_cut_as_a_whole() {
        struct Parts(usize);
        impl fmt::Display for Parts {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                (0..self.0).try_for_each(|_| f.write_str("ab\n"))
            }
        }
        assert_eq!(Foreign(Parts(2)).to_string(), "ab\\nab\\n");
        assert_eq!(Foreign(Parts(50)).to_string(), "ab\\n".repeat(50));
        let cut = Foreign(Parts(51)).to_string();
        assert_eq!(cut.chars().count(), FOREIGN_CHARS_MAX, "{cut}");
        assert!(cut.ends_with("\\na..."), "{cut}");
    }

    #[test]
    fn shortened_text_is_shown_like_the_whole() {
        for length in [0, 1, FOREIGN_CHARS_MAX, FOREIGN_CHARS_MAX + 1, 1 << 20] {
            let given = "é".repeat(length);
            let mut short = given.clone();
            shorten(&mut short);
            assert!(short.chars().count() <= FOREIGN_CHARS_MAX + 1);
            assert_eq!(Foreign(&short).to_string(), Foreign(&given).to_string());
        }
    }
}
