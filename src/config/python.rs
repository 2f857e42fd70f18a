//! The rules of Python's strings and numbers that are visible in Supervisor's behaviour.

use crate::domain::python_repr;

/// Whether Python's `str.isspace` accepts the character: Unicode white space, and four ASCII separators.
#[must_use]
pub(super) fn is_space(c: char) -> bool {
    c.is_whitespace() || matches!(c, '\x1c'..='\x1f')
}

/// Removes whitespace at both ends.
#[must_use]
pub(super) fn strip(text: &str) -> &str {
    text.trim_matches(is_space)
}

/// Removes whitespace at the end.
#[must_use]
pub(super) fn rstrip(text: &str) -> &str {
    text.trim_end_matches(is_space)
}

/// Splits at whitespace.
pub(super) fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(is_space).filter(|word| !word.is_empty())
}

/// Parses an integer.
///
/// # Errors
/// Python's message: it is not an integer.
pub fn integer(text: &str) -> Result<i64, String> {
    int(text, 10).ok_or_else(|| {
        format!(
            "invalid literal for int() with base 10: {}",
            python_repr(text)
        )
    })
}

/// Parses an integer like Python's `int(text, radix)`: surrounding whitespace, a sign, single `_` between digits, and
/// for radix 8 the prefix `0o`. `None`: not an integer. A number beyond 64 bits becomes the nearest 64-bit number.
#[must_use]
pub(super) fn int(text: &str, radix: u32) -> Option<i64> {
    let word = strip(text);
    let (negative, mut digits) = match word.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, word.strip_prefix('+').unwrap_or(word)),
    };
    if radix == 8
        && let Some(rest) = digits
            .strip_prefix("0o")
            .or_else(|| digits.strip_prefix("0O"))
    {
        // Python allows one underscore between the prefix and the digits.
        digits = rest.strip_prefix('_').unwrap_or(rest);
    }
    let mut number: i64 = 0;
    let mut after_digit = false;
    for c in digits.chars() {
        if c == '_' && after_digit {
            after_digit = false;
            continue;
        }
        let digit = i64::from(c.to_digit(radix)?);
        // Count downwards: the lowest number has no positive counterpart.
        number = number
            .saturating_mul(i64::from(radix))
            .saturating_sub(digit);
        after_digit = true;
    }
    // There must be digits, and no underscore at the end.
    after_digit.then(|| {
        if negative {
            number
        } else {
            number.saturating_neg()
        }
    })
}

/// Python's message for the first byte that is not UTF-8.
#[must_use]
pub(super) fn undecodable(bytes: &[u8], at: usize, length: Option<usize>) -> String {
    let byte = bytes.get(at).copied().unwrap_or_default();
    let reason = match (length, byte) {
        (None, _) => {
            return if bytes.len() - at == 1 {
                format!(
                    "'utf-8' codec can't decode byte {byte:#04x} in position {at}: unexpected end of data"
                )
            } else {
                format!(
                    "'utf-8' codec can't decode bytes in position {at}-{}: unexpected end of data",
                    bytes.len() - 1
                )
            };
        }
        (Some(_), 0xc2..=0xf4) => "invalid continuation byte",
        (Some(_), _) => "invalid start byte",
    };
    format!("'utf-8' codec can't decode byte {byte:#04x} in position {at}: {reason}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cfg_30_integers_are_pythons() {
        for (text, radix, expected) in [
            ("1", 10, Some(1)),
            (" +1_000\n", 10, Some(1000)),
            ("-5", 10, Some(-5)),
            ("007", 10, Some(7)),
            ("", 10, None),
            ("-", 10, None),
            ("1__0", 10, None),
            ("_1", 10, None),
            ("1_", 10, None),
            ("1.5", 10, None),
            ("- 1", 10, None),
            ("99999999999999999999", 10, Some(i64::MAX)),
            ("-99999999999999999999", 10, Some(i64::MIN)),
            ("022", 8, Some(18)),
            ("0o_22", 8, Some(18)),
            ("8", 8, None),
        ] {
            assert_eq!(int(text, radix), expected, "{text:?}");
        }
    }

    #[test]
    fn cfg_11_blank_is_pythons() {
        assert_eq!(strip("\x1c\u{a0}a b\x1f\n"), "a b");
        assert_eq!(words(" a\x1db \n c").collect::<Vec<_>>(), ["a", "b", "c"]);
    }
}
