//! Writes texts in the syntax of our configuration, so that its parser returns them unchanged.

/// Whether the parser accepts the character as whitespace before a comment.
fn is_blank(c: char) -> bool {
    c.is_whitespace() || matches!(c, '\x1c'..='\x1f')
}

/// Words in the syntax of `command`.
///
/// # Errors
/// A word has a character that a configuration cannot contain.
pub(super) fn command_value(words: &[String]) -> Result<String, String> {
    let shown: Vec<String> = words
        .iter()
        .map(|text| quote_word(text))
        .collect::<Result<_, _>>()?;
    Ok(shown.join(" "))
}

/// Quotes one word of a command, for the word splitter and for the parser before it, which ignores quotes: whitespace
/// before `;` or `#` begins a comment, `%` begins an expansion, and whitespace at the beginning of a line is removed.
fn quote_word(text: &str) -> Result<String, String> {
    if let Some(c) = text.chars().find(|c| matches!(c, '\0' | '\r')) {
        return Err(format!(
            "the character {c:?} is not allowed in a configuration"
        ));
    }
    let is_plain = |c: char| {
        c.is_alphanumeric() || c.is_ascii_graphic() && !matches!(c, '"' | '\'' | '\\' | ';' | '#')
    };
    if !text.is_empty() && text.chars().all(is_plain) && !text.contains("%(") {
        return Ok(text.replace('%', "%%"));
    }
    // Inside the quotes of one word, `""` closes and reopens them.
    const SEAM: &str = "\"\"";
    let mut shown = String::from('"');
    let mut before = None;
    for c in text.chars() {
        match c {
            '"' | '\\' => shown.extend(['\\', c]),
            '\n' => shown.push_str("\"\"\n  \"\""),
            ';' | '#' if before.is_some_and(is_blank) => {
                shown.push_str(SEAM);
                shown.push(c);
            }
            // `%(here)s` is replaced even if the percent sign is doubled.
            '(' if before == Some('%') => {
                shown.push_str(SEAM);
                shown.push(c);
            }
            '%' => shown.push_str("%%"),
            c => shown.push(c),
        }
        before = Some(c);
    }
    shown.push('"');
    Ok(shown)
}

/// Writes a text value. `None`: the parser would not return it unchanged.
#[must_use]
pub(super) fn text_value(value: &str) -> Option<String> {
    let mut before = None;
    for c in value.chars() {
        let is_comment = matches!(c, ';' | '#') && before.is_none_or(is_blank);
        if is_comment || matches!(c, '\n' | '\r' | '\0') {
            return None;
        }
        before = Some(c);
    }
    let is_trimmed = !value.starts_with(is_blank) && !value.ends_with(is_blank);
    (is_trimmed && !value.contains("%(here)s")).then(|| value.replace('%', "%%"))
}

/// Writes a pair of `environment`. `None`: the syntax of that key, which has no escapes, cannot express it.
#[must_use]
pub(super) fn variable_pair(name: &str, value: &str) -> Option<String> {
    const QUOTES: [char; 2] = ['"', '\''];
    // Quotes at the ends of a value would be taken for enclosing quotes.
    if value.starts_with(QUOTES) || value.ends_with(QUOTES) {
        return None;
    }
    let quote = QUOTES.into_iter().find(|&quote| !value.contains(quote))?;
    // A text between quotes is never at the beginning or the end of a line.
    text_value(&format!("{quote}{value}{quote}")).map(|value| format!("{name}={value}"))
}

/// Quotes a word for a shell script.
#[must_use]
pub(super) fn shell_quote(text: &str) -> String {
    let is_plain = |c: char| {
        c.is_ascii_alphanumeric()
            || matches!(c, '_' | '-' | '.' | '/' | ':' | ',' | '+' | '@' | '%')
    };
    if !text.is_empty() && text.chars().all(is_plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', "'\\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::environment;

    #[test]
    fn arguments_get_the_quotes_they_need() {
        for (given, expected) in [
            ("a", "a"),
            ("--x=%i/$y", "--x=%%i/$y"),
            ("", "\"\""),
            ("a b", "\"a b\""),
            ("a\"b\\", "\"a\\\"b\\\\\""),
            (";", "\";\""),
            ("a ; b #c", "\"a \"\"; b \"\"#c\""),
            ("%(here)s", "\"%%\"\"(here)s\""),
            ("a\nb", "\"a\"\"\n  \"\"b\""),
            ("é", "é"),
        ] {
            assert_eq!(quote_word(given).as_deref(), Ok(expected), "{given:?}");
        }
        assert!(quote_word("a\rb").is_err());
    }

    #[test]
    fn a_variable_reads_back_or_is_refused() {
        for (value, is_sayable) in [
            ("", true),
            ("a b", true),
            ("it's", true),
            ("a\"b", true),
            ("'x'", false),
            ("a'b\"c", false),
            ("a ;b", false),
            ("a;b#c", true),
            ("#c", true),
            ("50%", true),
            ("a\nb", false),
            (" a ", true),
        ] {
            let pair = variable_pair("X", value);
            assert_eq!(pair.is_some(), is_sayable, "{value:?}");
            if let Some(pair) = pair {
                let read = environment::parse(&pair.replace("%%", "%"));
                assert_eq!(read, Ok(vec![("X".to_owned(), value.to_owned())]));
            }
        }
    }

    #[test]
    fn shell_quoted_arguments_are_literal() {
        assert_eq!(shell_quote("a-b"), "a-b");
        assert_eq!(shell_quote("a b"), "'a b'");
        assert_eq!(shell_quote("it's"), "'it'\\''s'");
        assert_eq!(shell_quote(""), "''");
        assert_eq!(shell_quote("$x"), "'$x'");
    }
}
