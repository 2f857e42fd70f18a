//! Parses the syntax inside values: words with quotes and escapes, specifiers, variables, files of variables; and
//! command lines made of them.

use super::form;

/// Why a text cannot be split into words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum UnitWordsError {
    #[error("missing closing quote")]
    Quote,
    #[error("it ends with a backslash")]
    Backslash,
    #[error("an escape makes it invalid UTF-8")]
    Utf8,
    #[error("it contains no command")]
    Empty,
}

/// One word, and whether it is an unquoted `;`.
#[derive(Debug, PartialEq, Eq)]
struct UnitWord {
    text: String,
    ends_command: bool,
}

/// Whitespace between words.
const BLANKS: [char; 4] = [' ', '\t', '\n', '\r'];

/// Splits at whitespace. Quotes of both kinds may begin anywhere in a word; escapes work inside and outside of quotes;
/// an invalid escape is kept unchanged.
///
/// # Source
/// systemd.service(5), "Command Lines"; systemd.syntax(7), "Quoting".
fn split_words(text: &str) -> Result<Vec<UnitWord>, UnitWordsError> {
    let mut found = Vec::new();
    let mut rest = text.trim_start_matches(BLANKS);
    while !rest.is_empty() {
        let end = rest.find(BLANKS).unwrap_or(rest.len());
        let bare = match &rest[..end] {
            ";" => Some(true),
            "\\;" => Some(false),
            _ => None,
        };
        if let Some(ends_command) = bare {
            found.push(UnitWord {
                text: ";".to_owned(),
                ends_command,
            });
            rest = rest[end..].trim_start_matches(BLANKS);
            continue;
        }
        let (text, tail) = word(rest)?;
        found.push(UnitWord {
            text,
            ends_command: false,
        });
        rest = tail.trim_start_matches(BLANKS);
    }
    Ok(found)
}

/// Returns the first word and the text after it.
fn word(text: &str) -> Result<(String, &str), UnitWordsError> {
    let mut bytes = Vec::new();
    let mut quote = None;
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let after = &rest[c.len_utf8()..];
        match (quote, c) {
            (None, c) if BLANKS.contains(&c) => break,
            (None, '"' | '\'') => quote = Some(c),
            (Some(open), c) if open == c => quote = None,
            (_, '\\') => {
                if after.is_empty() {
                    return Err(UnitWordsError::Backslash);
                }
                rest = escape(after, &mut bytes);
                continue;
            }
            _ => bytes.extend(c.encode_utf8(&mut [0; 4]).bytes()),
        }
        rest = after;
    }
    if quote.is_some() {
        return Err(UnitWordsError::Quote);
    }
    let word = String::from_utf8(bytes).map_err(|_| UnitWordsError::Utf8)?;
    Ok((word, rest))
}

/// Parses an escape after its backslash. Returns the text after it.
fn escape<'a>(text: &'a str, out: &mut Vec<u8>) -> &'a str {
    let mut chars = text.chars();
    let simple = match chars.next() {
        Some('a') => Some(7),
        Some('b') => Some(8),
        Some('f') => Some(12),
        Some('n') => Some(b'\n'),
        Some('r') => Some(b'\r'),
        Some('t') => Some(b'\t'),
        Some('v') => Some(11),
        Some('s') => Some(b' '),
        Some('\\') => Some(b'\\'),
        Some('"') => Some(b'"'),
        Some('\'') => Some(b'\''),
        _ => None,
    };
    if let Some(byte) = simple {
        out.push(byte);
        return chars.as_str();
    }
    // (length of the escape, length of its prefix, radix)
    let (len, skip, radix) = match text.as_bytes().first() {
        Some(b'x') => (3, 1, 16),
        Some(b'u') => (5, 1, 16),
        Some(b'U') => (9, 1, 16),
        Some(b'0'..=b'7') => (3, 0, 8),
        _ => (0, 0, 16),
    };
    let number = text
        .get(skip..len)
        .filter(|digits| !digits.is_empty() && digits.chars().all(|c| c.is_digit(radix)))
        .and_then(|digits| u32::from_str_radix(digits, radix).ok())
        .filter(|&number| number != 0);
    let is_byte = len == 3;
    let taken = match number {
        Some(number) if is_byte => u8::try_from(number).ok().map(|byte| out.push(byte)),
        Some(number) => {
            char::from_u32(number).map(|c| out.extend(c.encode_utf8(&mut [0; 4]).bytes()))
        }
        None => None,
    };
    match taken {
        Some(()) => &text[len..],
        // Not an escape: keep the backslash, and parse the next character normally.
        None => {
            out.push(b'\\');
            let first = text.chars().next().map_or(0, char::len_utf8);
            out.extend(text[..first].bytes());
            &text[first..]
        }
    }
}

/// Splits a list such as that of `Environment=` into words.
///
/// # Errors
/// A quote is not closed, or an escape makes the text invalid UTF-8.
pub(super) fn list(text: &str) -> Result<Vec<String>, UnitWordsError> {
    let mut words = Vec::new();
    let mut rest = text.trim_start_matches(BLANKS);
    while !rest.is_empty() {
        let (text, tail) = word(rest)?;
        words.push(text);
        rest = tail.trim_start_matches(BLANKS);
    }
    Ok(words)
}

/// The prefix characters of a command, by their meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct ExecPrefixes {
    /// `-`: a failure is ignored.
    pub(super) may_fail: bool,
    /// `@`: the second word becomes argv\[0\].
    pub(super) has_name: bool,
    /// `:`: variables are not replaced.
    pub(super) is_literal: bool,
    /// `+`, `!` or `!!`: it keeps privileges.
    pub(super) is_privileged: bool,
    /// `|`: a shell runs it.
    pub(super) is_for_a_shell: bool,
}

/// One command of an `Exec…=` directive. Specifiers are replaced, variables are not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ExecCommand {
    /// Its prefix characters.
    pub(super) prefixes: ExecPrefixes,
    /// The program and its arguments.
    pub(super) words: Vec<String>,
    /// argv\[0\], if it differs from the program.
    pub(super) name: Option<String>,
}

/// Parses the commands of a directive's value.
///
/// # Errors
/// See [`UnitWordsError`].
pub(super) fn commands(text: &str) -> Result<Vec<ExecCommand>, UnitWordsError> {
    let mut all = Vec::new();
    let found = split_words(text)?;
    for part in found.split(|word| word.ends_command) {
        let mut words = part.iter().map(|word| word.text.clone());
        let Some(first) = words.next() else {
            // systemd accepts a separator at the end.
            continue;
        };
        let mut prefixes = ExecPrefixes::default();
        let mut path = first.as_str();
        while let Some(letter) = path.chars().next() {
            match letter {
                '-' => prefixes.may_fail = true,
                '@' => prefixes.has_name = true,
                ':' => prefixes.is_literal = true,
                '+' | '!' => prefixes.is_privileged = true,
                '|' => prefixes.is_for_a_shell = true,
                _ => break,
            }
            path = &path[letter.len_utf8()..];
        }
        if path.is_empty() {
            return Err(UnitWordsError::Empty);
        }
        let name = if prefixes.has_name {
            words.next()
        } else {
            None
        };
        all.push(ExecCommand {
            prefixes,
            words: std::iter::once(path.to_owned()).chain(words).collect(),
            name,
        });
    }
    if all.is_empty() {
        return Err(UnitWordsError::Empty);
    }
    Ok(all)
}

/// Replaces specifiers. `of` returns the value of a letter. An unknown specifier stays unchanged.
#[must_use]
pub(super) fn expand_specifiers(text: &str, mut of: impl FnMut(char) -> Option<String>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        match chars.next() {
            Some('%') => out.push('%'),
            Some(letter) => match of(letter) {
                Some(value) => out.push_str(&value),
                None => out.extend(['%', letter]),
            },
            None => out.push('%'),
        }
    }
    out
}

/// What is known about a variable before the program runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum VariableValue {
    /// Its value.
    Known(String),
    /// It is not set.
    Unset,
    /// Its value is known only when the program starts.
    Late,
}

/// A word of a command line with variables replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum CommandItem {
    /// A literal word.
    Text(String),
    /// A piece of a shell script, because it has variables whose values are known only at the start.
    Script(String),
}

/// Replaces variables in the arguments of a command, not in its path: `$X` as a whole word becomes the words of its
/// value, `${X}` becomes its value as one text, `$$` a dollar sign.
///
/// # Source
/// systemd.service(5), "Command Lines".
#[must_use]
pub(super) fn substitute(
    exec: &ExecCommand,
    mut of: impl FnMut(&str) -> VariableValue,
) -> Vec<CommandItem> {
    let mut items = Vec::new();
    for (index, word) in exec.words.iter().enumerate() {
        if index == 0 || exec.prefixes.is_literal || !word.contains('$') {
            items.push(CommandItem::Text(word.clone()));
            continue;
        }
        let whole = word
            .strip_prefix('$')
            .filter(|name| !name.starts_with(['{', '$']));
        match whole {
            Some(name) => match of(name) {
                VariableValue::Known(value) => {
                    items.extend(value_words(&value).map(CommandItem::Text))
                }
                VariableValue::Late => items.push(CommandItem::Script(format!("${name}"))),
                VariableValue::Unset => {}
            },
            None => items.push(expand_embedded(word, &mut of)),
        }
    }
    items
}

/// Replaces `${X}` and `$$` inside a word.
fn expand_embedded(word: &str, of: &mut impl FnMut(&str) -> VariableValue) -> CommandItem {
    let mut text = String::new();
    let mut script = String::new();
    let mut rest = word;
    while let Some(at) = rest.find('$') {
        text.push_str(&rest[..at]);
        let after = &rest[at + 1..];
        if let Some(tail) = after.strip_prefix('$') {
            text.push('$');
            rest = tail;
        } else if let Some((name, tail)) = after
            .strip_prefix('{')
            .and_then(|inner| inner.split_once('}'))
        {
            match of(name) {
                VariableValue::Known(value) => text.push_str(&value),
                VariableValue::Unset => {}
                VariableValue::Late => {
                    if !text.is_empty() {
                        script.push_str(&form::shell_quote(&text));
                        text.clear();
                    }
                    script.push_str(&format!("\"${{{name}}}\""));
                }
            }
            rest = tail;
        } else {
            text.push('$');
            rest = after;
        }
    }
    text.push_str(rest);
    if script.is_empty() {
        return CommandItem::Text(text);
    }
    if !text.is_empty() {
        script.push_str(&form::shell_quote(&text));
    }
    CommandItem::Script(script)
}

/// Splits a variable's value into words: quotes are removed, a backslash keeps the next character, and nothing is an
/// error.
fn value_words(value: &str) -> impl Iterator<Item = String> {
    let mut words: Vec<String> = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut chars = value.chars();
    while let Some(c) = chars.next() {
        match (quote, c) {
            (None, c) if BLANKS.contains(&c) => words.extend(word.take()),
            (None, '"' | '\'') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (Some(open), c) if open == c => quote = None,
            (_, '\\') => word
                .get_or_insert_default()
                .push(chars.next().unwrap_or('\\')),
            (_, c) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words.into_iter()
}

/// Whether the name is valid for a shell variable.
#[must_use]
pub(super) fn is_variable_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes
        .next()
        .is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// Parses a file for `EnvironmentFile=`.
///
/// # Source
/// systemd.exec(5), `EnvironmentFile=`.
#[must_use]
pub(super) fn variables(text: &str) -> Vec<(String, String)> {
    let mut found: Vec<(String, String)> = Vec::new();
    let mut chars = text.chars().peekable();
    while let Some(&c) = chars.peek() {
        if c.is_whitespace() {
            chars.next();
            continue;
        }
        if matches!(c, '#' | ';') {
            skip_comment(&mut chars);
            continue;
        }
        let mut key = String::new();
        let mut is_assignment = false;
        for c in chars.by_ref() {
            match c {
                '=' => {
                    is_assignment = true;
                    break;
                }
                '\n' | '\r' => break,
                c => key.push(c),
            }
        }
        if !is_assignment {
            continue;
        }
        let value = file_value(&mut chars);
        let key = key.trim_end();
        if is_variable_name(key) {
            match found.iter_mut().find(|(known, _)| known == key) {
                Some((_, old)) => *old = value,
                None => found.push((key.to_owned(), value)),
            }
        }
    }
    found
}

type CharIter<'a> = std::iter::Peekable<std::str::Chars<'a>>;

fn skip_comment(chars: &mut CharIter<'_>) {
    while let Some(c) = chars.next() {
        match c {
            // A backslash continues the comment in the next line.
            '\\' => {
                chars.next();
            }
            '\n' | '\r' => break,
            _ => {}
        }
    }
}

/// Parses a value up to the end of the line. Unquoted whitespace at its ends and around quotes is removed.
fn file_value(chars: &mut CharIter<'_>) -> String {
    let mut value = String::new();
    // Length of the value that trailing whitespace removal must keep.
    let mut kept = 0;
    let mut is_bare = false;
    while let Some(c) = chars.next() {
        match c {
            '\n' | '\r' => break,
            '\\' => {
                if let Some(next) = chars.next()
                    && next != '\n'
                {
                    value.push(next);
                    kept = value.len();
                }
                is_bare = true;
            }
            // Inside an unquoted value, quotes are ordinary characters.
            '\'' if !is_bare => {
                value.extend(chars.by_ref().take_while(|&c| c != '\''));
                kept = value.len();
            }
            '"' if !is_bare => {
                while let Some(c) = chars.next().filter(|&c| c != '"') {
                    match c {
                        '\\' => match chars.next() {
                            Some(c @ ('"' | '\\' | '`' | '$')) => value.push(c),
                            Some('\n') | None => {}
                            Some(c) => value.extend(['\\', c]),
                        },
                        c => value.push(c),
                    }
                }
                kept = value.len();
            }
            c if c.is_whitespace() && !is_bare => {}
            c => {
                is_bare = true;
                value.push(c);
                if !c.is_whitespace() {
                    kept = value.len();
                }
            }
        }
    }
    value.truncate(kept);
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Result<Vec<String>, UnitWordsError> {
        commands(text).map(|mut all| all.remove(0).words)
    }

    #[test]
    fn a_command_is_split_as_in_systemd() {
        let table: &[(&str, Result<&[&str], UnitWordsError>)] = &[
            ("/bin/a b  c", Ok(&["/bin/a", "b", "c"])),
            ("/bin/a 'b c' \"d e\"", Ok(&["/bin/a", "b c", "d e"])),
            ("/bin/a x'y z'w", Ok(&["/bin/a", "xy zw"])),
            (r"/bin/a '\x41\t' \101", Ok(&["/bin/a", "A\t", "A"])),
            (r"/bin/a \u00e9 \U0001F600", Ok(&["/bin/a", "é", "😀"])),
            (r#"/bin/a "\"" '\'' \s"#, Ok(&["/bin/a", "\"", "'", " "])),
            (
                r"/bin/a \d \xz \x00 \é",
                Ok(&["/bin/a", r"\d", r"\xz", r"\x00", r"\é"]),
            ),
            ("/bin/a \\; b", Ok(&["/bin/a", ";", "b"])),
            ("/bin/a ';' b;c", Ok(&["/bin/a", ";", "b;c"])),
            ("/bin/a ''", Ok(&["/bin/a", ""])),
            ("/bin/a 'b", Err(UnitWordsError::Quote)),
            ("/bin/a b\\", Err(UnitWordsError::Backslash)),
            (r"/bin/a \xff", Err(UnitWordsError::Utf8)),
            ("", Err(UnitWordsError::Empty)),
            ("-", Err(UnitWordsError::Empty)),
            (";", Err(UnitWordsError::Empty)),
        ];
        for (text, expected) in table {
            let expected =
                expected.map(|list| list.iter().map(|word| (*word).to_owned()).collect());
            assert_eq!(words(text), expected, "{text}");
        }
    }

    #[test]
    fn prefixes_of_a_command_are_removed() {
        let exec = &commands("-@:/bin/a name b").expect("valid")[0];
        assert!(exec.prefixes.may_fail && exec.prefixes.is_literal);
        assert_eq!(exec.words, ["/bin/a", "b"]);
        assert_eq!(exec.name.as_deref(), Some("name"));
        assert!(
            commands("!!/bin/a").expect("valid")[0]
                .prefixes
                .is_privileged
        );
        let several = commands("/bin/a b ; -/bin/c ;").expect("valid");
        assert_eq!(several.len(), 2);
        assert!(several[1].prefixes.may_fail);
    }

    #[test]
    fn unknown_specifiers_stay() {
        let of = |letter| (letter == 'i').then(|| "x".to_owned());
        assert_eq!(expand_specifiers("%i-%%i-%z-%", of), "x-%i-%z-%");
    }

    fn items(text: &str) -> Vec<CommandItem> {
        let exec = &commands(text).expect("valid")[0];
        substitute(exec, |name| match name {
            "ONE" => VariableValue::Known("one".to_owned()),
            "TWO" => VariableValue::Known(" a  'b c' \\d ".to_owned()),
            "LATE" => VariableValue::Late,
            _ => VariableValue::Unset,
        })
    }

    #[test]
    fn variables_are_replaced_as_in_systemd() {
        let text = |words: &[&str]| -> Vec<CommandItem> {
            words
                .iter()
                .map(|word| CommandItem::Text((*word).to_owned()))
                .collect()
        };
        for (given, expected) in [
            ("$ONE $TWO", &["$ONE", "a", "b c", "d"][..]),
            ("/a ${TWO}", &["/a", " a  'b c' \\d "]),
            ("/a x$ONE $$ONE $", &["/a", "x$ONE", "$ONE"]),
            ("/a x${ONE}y${NO}z", &["/a", "xoneyz"]),
            ("/a $NO ${NO}", &["/a", ""]),
            ("/a ${ONE", &["/a", "${ONE"]),
            (":/a $ONE", &["/a", "$ONE"]),
        ] {
            assert_eq!(items(given), text(expected), "{given}");
        }
        assert_eq!(
            items("/a $LATE it's'${LATE}${ONE}")[1..],
            [
                CommandItem::Script("$LATE".to_owned()),
                CommandItem::Script("its\"${LATE}\"one".to_owned())
            ]
        );
    }

    #[test]
    fn environment_files_are_read_as_in_systemd() {
        let text = "# c\nA=1\n ; c\\\n still\nB = x y  \nC='a b' \"c\"d\nD=\"q\\\"\\$\\n\"\nE=a\\\nb\nnothing\nexport F=1\nG=\n\
                    H='two\nlines'\nI=it's\nA=2";
        let pairs: Vec<String> = variables(text)
            .into_iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        assert_eq!(
            pairs,
            [
                "A=2",
                "B=x y",
                "C=a bcd",
                "D=q\"$\\n",
                "E=ab",
                "G=",
                "H=two\nlines",
                "I=it's"
            ]
        );
    }
}
