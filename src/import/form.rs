//! Texts → the forms in which a configuration of ours holds them, so that they come out of it unchanged. Knows no unit.

/// Blank, as the configuration's reader means it where a comment may begin.
fn is_blank(c: char) -> bool {
    c.is_whitespace() || matches!(c, '\x1c'..='\x1f')
}

/// Words as the value of `command`.
///
/// # Errors
/// A word has a character that no configuration can hold.
pub(super) fn command_value(words: &[String]) -> Result<String, String> {
    let shown: Vec<String> = words
        .iter()
        .map(|text| quote_word(text))
        .collect::<Result<_, _>>()?;
    Ok(shown.join(" "))
}

/// One word of a command, with the quotes that it needs: for the splitter of words, and against what the reader of the file
/// does before that, which knows no quotes: a blank before `;` or `#` begins a comment, `%` an expansion, blanks at the
/// beginning of a line go.
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
    // Inside the quotes of one word, `""` ends them and begins them anew.
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
            // `%(here)s` is replaced even where the percent sign is doubled.
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

/// A value that is a text; none if it would not come out of the file as it is.
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

/// A pair of `environment`; none if that key's little language, which has no escapes, cannot say it.
#[must_use]
pub(super) fn variable_pair(name: &str, value: &str) -> Option<String> {
    const QUOTES: [char; 2] = ['"', '\''];
    // Quotes at the ends of a value are taken for those around it.
    if value.starts_with(QUOTES) || value.ends_with(QUOTES) {
        return None;
    }
    let quote = QUOTES.into_iter().find(|&quote| !value.contains(quote))?;
    // What stands between the quotes is never at the beginning of a line, nor at its end.
    text_value(&format!("{quote}{value}{quote}")).map(|value| format!("{name}={value}"))
}

/// A word of a shell's script.
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
    fn words_get_the_quotes_they_need() {
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
    fn pairs_come_out_as_they_went_in_or_not_at_all() {
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
    fn a_shell_takes_its_words_as_they_are() {
        assert_eq!(shell_quote("a-b"), "a-b");
        assert_eq!(shell_quote("a b"), "'a b'");
        assert_eq!(shell_quote("it's"), "'it'\\''s'");
        assert_eq!(shell_quote(""), "''");
        assert_eq!(shell_quote("$x"), "'$x'");
    }
}
