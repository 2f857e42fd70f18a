//! `KEY="value",KEY2=value2`: the little language of `environment`. Expansion has already taken place.

/// Reads pairs. A name given twice keeps its first place and its last value.
///
/// # Errors
/// Supervisor's sentences: a quote that is not closed, or words that are no pairs.
///
/// # Source
/// Supervisor manual, `[supervisord]`, environment; the words are those of Python's `shlex` in its non-POSIX mode, with
/// `/.+-():` among the characters of words.
pub fn parse(text: &str) -> Result<Vec<(String, String)>, String> {
    let words = tokens(text)?;
    let mut pairs: Vec<(String, String)> = Vec::new();
    // Whatever follows a pair is skipped: it is normally the comma.
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
                        // A comment that touches a word does not end it: the word goes on in the next line.
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
    fn cfg_40_words_and_pairs() {
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
    fn cfg_41_sentences() {
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
