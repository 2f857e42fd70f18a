//! Splits a command into words like Python's `shlex.split`: POSIX quotes and backslashes, no comments, no globbing, no
//! variables.

/// Unbalanced quotes or backslashes. `Display` gives Python's message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ShlexError {
    /// A quote is not closed.
    #[error("No closing quotation")]
    Quotation,
    /// The last character is a backslash.
    #[error("No escaped character")]
    Escape,
}

/// Splits at whitespace. Unlike in a shell, a backslash before a newline keeps the newline.
///
/// # Errors
/// A quote that is not closed, or a backslash at the end.
///
/// # Source
/// Python library, `shlex`, "Parsing Rules", POSIX mode with `whitespace_split`.
pub fn shlex_split(text: &str) -> Result<Vec<String>, ShlexError> {
    let mut words = Vec::new();
    // The present word. An empty one counts only if it was quoted.
    let mut word: Option<String> = None;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            ' ' | '\t' | '\r' | '\n' => words.extend(word.take()),
            '\'' => {
                let word = word.get_or_insert_default();
                loop {
                    match chars.next().ok_or(ShlexError::Quotation)? {
                        '\'' => break,
                        c => word.push(c),
                    }
                }
            }
            '"' => {
                let word = word.get_or_insert_default();
                loop {
                    match chars.next().ok_or(ShlexError::Quotation)? {
                        '"' => break,
                        '\\' => match chars.next().ok_or(ShlexError::Escape)? {
                            c @ ('"' | '\\') => word.push(c),
                            c => word.extend(['\\', c]),
                        },
                        c => word.push(c),
                    }
                }
            }
            '\\' => {
                let c = chars.next().ok_or(ShlexError::Escape)?;
                word.get_or_insert_default().push(c);
            }
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prc_14_a_command_is_split_as_in_a_posix_shell() {
        let table: &[(&str, Result<&[&str], ShlexError>)] = &[
            ("", Ok(&[])),
            (" \t\r\n", Ok(&[])),
            ("cat", Ok(&["cat"])),
            (" a  b\tc\n", Ok(&["a", "b", "c"])),
            ("'a b' \"c d\"", Ok(&["a b", "c d"])),
            ("a'b'\"c\"d", Ok(&["abcd"])),
            ("'' \"\"", Ok(&["", ""])),
            (r#"'a\b' "a\b\"\\\$""#, Ok(&[r"a\b", r#"a\b"\\$"#])),
            (r"a\ b \'", Ok(&["a b", "'"])),
            ("a\\\nb", Ok(&["a\nb"])),
            (
                "a #b ; c|d & $X *",
                Ok(&["a", "#b", ";", "c|d", "&", "$X", "*"]),
            ),
            ("\u{a0}x\u{c}y", Ok(&["\u{a0}x\u{c}y"])),
            ("'a", Err(ShlexError::Quotation)),
            ("\"a", Err(ShlexError::Quotation)),
            ("\"a\\", Err(ShlexError::Escape)),
            ("a\\", Err(ShlexError::Escape)),
        ];
        for (text, expected) in table {
            let words = shlex_split(text);
            let words = words
                .as_ref()
                .map(|list| list.iter().map(String::as_str).collect::<Vec<_>>());
            let expected = expected.as_ref().map(|list| list.to_vec());
            assert_eq!(words.map_err(|e| *e), expected.map_err(|e| *e), "{text:?}");
        }
    }

    /// Splits random texts here and by the Python that runs the reference.
    #[test]
    fn prc_14_a_command_is_split_as_in_python() {
        use std::io::Write;
        use std::process::{Command, Stdio};

        let Some(oracle) = std::env::var_os("SUPERVISOR_ORACLE") else {
            eprintln!("skipped: SUPERVISOR_ORACLE is not set");
            return;
        };
        const ALPHABET: &[char] = &[
            'a', 'b', ' ', '\t', '\n', '\r', '\'', '"', '\\', '#', ';', 'é', '\u{a0}', '$',
        ];
        // A fixed sequence, so that a failure can be repeated. Lengths up to 15.
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut next = |bound: u64| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            usize::try_from((state >> 33) % bound).expect("small")
        };
        let texts: Vec<String> = (0..50_000)
            .map(|_| {
                (0..next(16))
                    .map(|_| ALPHABET[next(ALPHABET.len() as u64)])
                    .collect()
            })
            .collect();
        const SCRIPT: &str = "
import json, shlex, sys
def split(text):
    try:
        return shlex.split(text)
    except ValueError as error:
        return str(error)
json.dump([split(text) for text in json.load(sys.stdin)], sys.stdout)
";
        let mut python = Command::new(std::path::Path::new(&oracle).join("bin/python"))
            .args(["-c", SCRIPT])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the oracle's python");
        let mut stdin = python.stdin.take().expect("piped");
        stdin
            .write_all(&serde_json::to_vec(&texts).expect("json"))
            .expect("written");
        drop(stdin);
        let output = python.wait_with_output().expect("ended");
        let answers: Vec<serde_json::Value> = serde_json::from_slice(&output.stdout).expect("json");
        assert_eq!(answers.len(), texts.len());
        for (text, answer) in texts.iter().zip(answers) {
            let ours = match shlex_split(text) {
                Ok(words) => serde_json::json!(words),
                Err(error) => serde_json::json!(error.to_string()),
            };
            assert_eq!(ours, answer, "{text:?}");
        }
    }
}
