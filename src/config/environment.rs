//! Parses the pairs of `environment`: `KEY="value",KEY2=value2`. Expansion is already done.

/// Parses the pairs. A name that is given twice keeps its first position and gets its last value.
///
/// # Errors
/// Supervisor's messages: an unclosed quote, or words that are not pairs.
///
/// # Source
/// Supervisor manual, `[supervisord]`, environment. The words are those of Python's `shlex` in non-POSIX mode, with
/// `/.+-():` as word characters.
pub fn parse(text: &str) -> Result<Vec<(String, String)>, String> {
    let words = tokens(text)?;
    let mut pairs: Vec<(String, String)> = Vec::new();
    // The fourth word is skipped, whatever it is. Normally it is the comma.
    for chunk in words.chunks(4) {
        let [key, equals, value, ..] = chunk else {
            return Err(ended(text));
        };
        if equals != "=" {
            return Err(ended(text));
        }
        let value = value.trim_matches(['\'', '"']).to_owned();
        match pairs.iter_mut().find(|(known, _)| known == key) {
            Some((_, old)) => *old = value,
            None => pairs.push((key.clone(), value)),
        }
    }
    Ok(pairs)
}

fn ended(text: &str) -> String {
    format!("Unexpected end of key/value pairs in value '{text}'")
}

fn in_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '/' | '.' | '+' | '-' | '(' | ')' | ':')
}

fn tokens(text: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            ' ' | '\t' | '\r' | '\n' => {}
            '#' => {
                rest.by_ref().find(|&c| c == '\n');
            }
            '"' | '\'' => {
                let mut word = String::from(c);
                loop {
                    let inner = rest.next().ok_or("No closing quotation")?;
                    word.push(inner);
                    if inner == c {
                        break;
                    }
                }
                words.push(word);
            }
            c if in_word(c) => {
                let mut word = String::from(c);
                while let Some(next) =
                    rest.next_if(|&c| in_word(c) || matches!(c, '"' | '\'' | '#'))
                {
                    if next == '#' {
                        // A comment directly after a word does not end the word: it continues in the next line.
                        rest.by_ref().find(|&c| c == '\n');
                    } else {
                        word.push(next);
                    }
                }
                words.push(word);
            }
            c => words.push(c.to_string()),
        }
    }
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        match parse(text) {
            Ok(pairs) => pairs
                .into_iter()
                .map(|(key, value)| format!("{key}→{value}"))
                .collect::<Vec<_>>()
                .join("|"),
            Err(error) => format!("! {error}"),
        }
    }

    #[test]
    fn cfg_40_environment_is_parsed_into_pairs() {
        for (text, expected) in [
            ("", ""),
            ("A=1,B=2", "A→1|B→2"),
            ("A=\"1\",B='2'", "A→1|B→2"),
            (" A= 1 ,\nB = 2 ", "A→1|B→2"),
            ("A=\"a b\"", "A→a b"),
            ("A=a b", "A→a"),
            ("A=\"\"", "A→"),
            ("A=1,", "A→1"),
            ("A=/x/y.z+q-r():s", "A→/x/y.z+q-r():s"),
            ("A=http://x/?q=1", "A→http://x/|q→1"),
            ("A=\"a'b\"", "A→a'b"),
            ("A=\"'x'\"", "A→x"),
            ("A='q\"'", "A→q"),
            ("A=\"it\"\"s\"", "A→it"),
            ("A=\"a\\nb\"", "A→a\\nb"),
            ("A=\"x \n y\"", "A→x \n y"),
            ("A=*", "A→*"),
            ("A=$HOME", "A→$"),
            ("A-B=1,A.B=2,1A=3", "A-B→1|A.B→2|1A→3"),
            ("A=x\"y z\"", "A→x\"y"),
            ("A=1#c\n2", "A→12"),
            ("A=1,#c\nB=2", "A→1|B→2"),
            ("A=1,B=2,A=3", "A→3|B→2"),
        ] {
            assert_eq!(shown(text), expected, "{text:?}");
        }
    }

    #[test]
    fn cfg_41_environment_errors_have_supervisors_messages() {
        for text in [
            "A=1 B=2", "A=", "A=1,,B=2", ",A=1", "A=a@b", "A=x=y", "A=a~b", "A=#c", "A",
        ] {
            assert_eq!(
                shown(text),
                format!("! Unexpected end of key/value pairs in value '{text}'")
            );
        }
        assert_eq!(shown("A=\"x"), "! No closing quotation");
    }
}
