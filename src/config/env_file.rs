//! Parses env files: `KEY=VALUE` lines as users of the Go re-implementation have them. Values are never expanded,
//! because secrets contain `$`, and no message contains one.

use std::iter::Peekable;
use std::str::Chars;

/// Maximum size of an env file in bytes.
pub const ENV_FILE_BYTES_MAX: usize = 1 << 20;

/// The variables of one file.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct EnvFile {
    /// Names and values in the order written. A later variable of the same name wins.
    pub variables: Vec<(String, String)>,
    /// Lines in which the Go re-implementation cuts the value at a `#` without a blank before it.
    pub cut_by_go: Vec<usize>,
}

impl std::fmt::Debug for EnvFile {
    /// Omits the values, which may be secrets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<&str> = self.variables.iter().map(|(name, _)| &**name).collect();
        f.debug_tuple("EnvFile").field(&names).finish()
    }
}

/// A line that cannot be parsed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{line}: {reason}")]
pub struct EnvFileError {
    /// The line, from 1.
    pub line: usize,
    /// Why. It contains no part of a value.
    pub reason: String,
}

/// Parses the text of an env file.
///
/// # Errors
/// The first line that is not `KEY=VALUE`, or a quote that is not closed.
pub fn parse_env_file(text: &str) -> Result<EnvFile, EnvFileError> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut file = EnvFile::default();
    let mut lines = (1..).zip(text.split('\n'));
    while let Some((number, line)) = lines.next() {
        let fail = |reason: &str| EnvFileError {
            line: number,
            reason: reason.to_owned(),
        };
        let Some((name, written)) = assignment(line).map_err(|reason| fail(&reason))? else {
            continue;
        };
        let mut value = EnvValue::new(written);
        while !value.read_line().map_err(fail)? {
            // Differs: the Go re-implementation refuses a quoted value with a newline.
            let (_, next) = lines
                .next()
                .ok_or_else(|| fail("the quote is not closed"))?;
            value.rest = next.chars().peekable();
        }
        if value.text.contains('\0') {
            return Err(fail("a value cannot contain a NUL byte"));
        }
        if value.is_cut_by_go {
            file.cut_by_go.push(number);
        }
        file.variables.push((name.to_owned(), value.text));
    }
    Ok(file)
}

/// Parses a file of `--env-file`, in which a value is the trimmed rest of its line: quotes and `#` belong to it. As in the
/// Go re-implementation, an empty value sets nothing.
///
/// # Errors
/// The first line that is not `KEY=VALUE`.
pub fn parse_daemon_env_file(text: &str) -> Result<Vec<(String, String)>, EnvFileError> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut variables = Vec::new();
    for (line, written) in (1..).zip(text.split('\n')) {
        let fail = |reason| EnvFileError { line, reason };
        let Some((name, value)) = assignment(written).map_err(fail)? else {
            continue;
        };
        if value.contains('\0') {
            return Err(fail("a value cannot contain a NUL byte".to_owned()));
        }
        let value = value.trim();
        if !value.is_empty() {
            variables.push((name.to_owned(), value.to_owned()));
        }
    }
    Ok(variables)
}

/// The name in a line, and the text after its `=`. `None`: the line is blank or a comment.
fn assignment(line: &str) -> Result<Option<(&str, &str)>, String> {
    let line = line.trim();
    if line.is_empty() || line.starts_with('#') {
        return Ok(None);
    }
    let line = match line.strip_prefix("export") {
        Some(rest) if rest.starts_with([' ', '\t']) => rest.trim_start(),
        _ => line,
    };
    let (name, value) = line
        .split_once('=')
        .ok_or("expected KEY=VALUE, and there is no =")?;
    let name = name.trim_end();
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    if name.is_empty() || !name.chars().all(is_name) {
        return Err("expected KEY=VALUE, and the text before the = is not a name".to_owned());
    }
    Ok(Some((name, value)))
}

/// A value that is being read.
struct EnvValue<'a> {
    /// The rest of the line.
    rest: Peekable<Chars<'a>>,
    text: String,
    /// The quote that was opened at the beginning of the value and is not closed yet.
    quote: Option<char>,
    is_cut_by_go: bool,
}

impl<'a> EnvValue<'a> {
    fn new(line: &'a str) -> Self {
        let mut rest = line.trim_start().chars().peekable();
        let has_blank = line.starts_with([' ', '\t']);
        if has_blank && rest.peek() == Some(&'#') {
            rest = "".chars().peekable();
        }
        let quote = rest.next_if(|c| matches!(c, '"' | '\''));
        Self {
            rest,
            text: String::new(),
            quote,
            is_cut_by_go: false,
        }
    }

    /// Reads the rest of a line. Returns whether the value ends there.
    fn read_line(&mut self) -> Result<bool, &'static str> {
        if let Some(quote) = self.quote {
            if !self.quoted(quote)? {
                self.text.push('\n');
                return Ok(false);
            }
            self.quote = None;
        }
        // Trailing blanks do not belong to the value, unless they are quoted.
        let mut length = self.text.len();
        while let Some(c) = self.rest.next() {
            match c {
                '#' if self.text.ends_with([' ', '\t']) && self.text.len() > length => break,
                '"' | '\'' => {
                    if !self.quoted(c)? {
                        return Err("the quote is not closed");
                    }
                    length = self.text.len();
                    continue;
                }
                '#' => self.is_cut_by_go = true,
                _ => {}
            }
            self.text.push(c);
            if !c.is_whitespace() {
                length = self.text.len();
            }
        }
        self.text.truncate(length);
        Ok(true)
    }

    /// Reads up to the closing quote. Returns whether the line has it.
    fn quoted(&mut self, quote: char) -> Result<bool, &'static str> {
        while let Some(c) = self.rest.next() {
            match c {
                c if c == quote => return Ok(true),
                '\\' if quote == '"' => self.escape()?,
                c => self.text.push(c),
            }
        }
        // A line that ends in CR LF.
        if self.text.ends_with('\r') {
            self.text.pop();
        }
        Ok(false)
    }

    /// Reads what follows a backslash in double quotes. An unknown escape stays as it is.
    fn escape(&mut self) -> Result<(), &'static str> {
        let known = match self.rest.next() {
            Some('n') => '\n',
            Some('r') => '\r',
            Some('t') => '\t',
            Some('b') => '\u{8}',
            Some('f') => '\u{c}',
            Some('u') => self.code_point()?,
            Some(c @ ('"' | '\'' | '\\' | '/' | '$' | '`')) => c,
            Some(other) => {
                self.text.push('\\');
                other
            }
            // The backslash ends the line, whose newline is part of the value.
            None => '\\',
        };
        self.text.push(known);
        Ok(())
    }

    fn code_point(&mut self) -> Result<char, &'static str> {
        let mut code = 0;
        for _ in 0..4 {
            let digit = self.rest.next().and_then(|c| c.to_digit(16));
            code = code * 16 + digit.ok_or("\\u needs four hexadecimal digits")?;
        }
        char::from_u32(code).ok_or("\\u names no character")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(line: &str) -> String {
        match parse_env_file(line) {
            Ok(file) => {
                let shown = file.variables.iter();
                let shown: Vec<String> = shown
                    .map(|(name, value)| format!("{name}→{value}"))
                    .collect();
                shown.join("|")
            }
            Err(error) => format!("! {error}"),
        }
    }

    #[test]
    fn g66_every_line_of_the_syntax_table() {
        for (line, expected) in [
            ("F=a#b", "F→a#b"),
            ("G=a #b", "G→a"),
            ("H=", "H→"),
            ("H= # nothing", "H→"),
            ("N=$A-${B}", "N→$A-${B}"),
            ("D=\"a \\n \\\" $A\" # c", "D→a \n \" $A"),
            ("E='\\n $A'", "E→\\n $A"),
            ("V=\"one\ntwo\" # c\nW=3", "V→one\ntwo|W→3"),
            ("V='one\r\n two '\r\nW=3\r\n", "V→one\n two |W→3"),
            ("M", "! 1: expected KEY=VALUE, and there is no ="),
            ("A=1\nL: yaml", "! 2: expected KEY=VALUE, and there is no ="),
            (
                "L: yaml=1",
                "! 1: expected KEY=VALUE, and the text before the = is not a name",
            ),
            (
                "=1",
                "! 1: expected KEY=VALUE, and the text before the = is not a name",
            ),
            ("export B=2", "B→2"),
            ("export\tB=2", "B→2"),
            ("exportB=2", "exportB→2"),
            ("C = x ", "C→x"),
            ("  C=x y", "C→x y"),
            ("K.k=d", "K.k→d"),
            ("U=Größe", "U→Größe"),
            ("Q=\"x\"y", "Q→xy"),
            ("Q=x\"y  z\"  ", "Q→xy  z"),
            ("Q=\"x \" y", "Q→x  y"),
            ("Q=\"x \"#y", "Q→x #y"),
            ("P=a=b", "P→a=b"),
            ("P=C:\\new", "P→C:\\new"),
            ("P=\"a\\d\\u00e9\\$\"", "P→a\\dé$"),
            ("# comment\n\n \t\nA=1", "A→1"),
            ("\u{feff}A=1", "A→1"),
            ("A=1\nA=2", "A→1|A→2"),
            ("A=it's\nB='x'", "! 1: the quote is not closed"),
            ("A=1\nB=\"x\ny\nz", "! 2: the quote is not closed"),
            ("A=\"\\u12\"", "! 1: \\u needs four hexadecimal digits"),
            ("A=\"\\ud800\"", "! 1: \\u names no character"),
            ("A=a\0b", "! 1: a value cannot contain a NUL byte"),
            ("", ""),
        ] {
            assert_eq!(value(line), expected, "{line:?}");
        }
    }

    #[test]
    fn g66_values_that_go_cuts_are_noted() {
        let file = parse_env_file("A=a#b\nB=a #b\nC=\"a#b\"\nD=#fff\n").expect("valid");
        assert_eq!(file.cut_by_go, [1, 4]);
    }

    #[test]
    fn g04_values_of_the_daemons_file_are_lines() {
        let text = "# c\n\nexport A=b\n B = x y \nQ=\"a #b\"\nE=\nL=last";
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(
            parse_daemon_env_file(text),
            Ok(vec![
                pair("A", "b"),
                pair("B", "x y"),
                pair("Q", "\"a #b\""),
                pair("L", "last")
            ])
        );
        let error = parse_daemon_env_file("A=1\nhidden\n").expect_err("no =");
        assert_eq!(
            error.to_string(),
            "2: expected KEY=VALUE, and there is no ="
        );
    }

    #[test]
    fn secrets_are_not_shown() {
        let file = parse_env_file("KEY=hidden").expect("valid");
        assert_eq!(format!("{file:?}"), "EnvFile([\"KEY\"])");
        for text in ["KEY=\"hidden", "KEY=hid'den", "hidden: x", "hid den=1"] {
            let error = parse_env_file(text).expect_err(text);
            assert!(!error.to_string().contains("hid"), "{error}");
        }
    }
}
