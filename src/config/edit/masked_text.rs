//! The text of a configuration without its secrets, for people who compare texts. Its lines are those of the original, so a
//! difference of the originals is shown with the lines of the masked texts.
//!
//! Masked are the values of keys that may contain a secret (`.secret()` in their row), of keys of other programs whose name
//! says so, and each value in `environment`. The names of variables stay, so that one sees which of them changed. What a
//! `command` contains is shown.

use super::super::key::is_secret_key;
use super::super::line_role::LineRole;
use super::file_lines::{FileLines, indentation, is_disabled_key, split_end};
use super::line_diff::LineDiff;

/// Stands for a value.
pub const MASK: &str = "********";

/// Words in the name of a key that say that its value is a secret.
const SECRET_WORDS: [&str; 7] = [
    "password",
    "passwd",
    "secret",
    "token",
    "credential",
    "api_key",
    "private_key",
];
/// The ending of the name of a key whose value is the path of a file.
const FILE_ENDING: &str = "_file";

/// How the value of a key is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shown {
    Whole,
    /// Names of variables only. The value: whether the text is within one, and its quote.
    Variables(VariableScan),
    Nothing,
}

/// Where in a list of variables the text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct VariableScan {
    is_in_value: bool,
    quote: Option<char>,
}

impl Shown {
    fn of(key: &str) -> Self {
        let key = key.to_lowercase();
        if key == "environment" {
            return Self::Variables(VariableScan::default());
        }
        let says_so = SECRET_WORDS.iter().any(|word| key.contains(word));
        match is_secret_key(&key) || says_so && !key.ends_with(FILE_ENDING) {
            true => Self::Nothing,
            false => Self::Whole,
        }
    }

    /// A part of the value, which ends with its line.
    fn apply(&mut self, text: &str) -> String {
        match self {
            Self::Whole => text.to_owned(),
            Self::Nothing if text.trim().is_empty() => text.to_owned(),
            Self::Nothing => MASK.to_owned(),
            Self::Variables(scan) => scan.apply(text),
        }
    }
}

impl VariableScan {
    /// Masks the values in a part of a list such as `A="x",B=y`. What is not surely a name counts as a value.
    fn apply(&mut self, text: &str) -> String {
        let mut shown = String::new();
        let mut rest = text;
        while !rest.is_empty() {
            if !self.is_in_value {
                let trimmed = rest.trim_start();
                shown.push_str(&rest[..rest.len() - trimmed.len()]);
                let end = trimmed
                    .find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
                    .unwrap_or(trimmed.len());
                let (name, after) = trimmed.split_at(end);
                let blank = after.len() - after.trim_start().len();
                self.is_in_value = true;
                self.quote = None;
                if let Some(value) = after[blank..].strip_prefix('=')
                    && !name.is_empty()
                {
                    shown.push_str(name);
                    shown.push('=');
                    rest = value;
                    if rest.is_empty() {
                        break;
                    }
                } else if trimmed.is_empty() {
                    self.is_in_value = false;
                    break;
                } else {
                    rest = trimmed;
                }
            }
            shown.push_str(MASK);
            let end = self.value_end(rest);
            rest = &rest[end..];
            if let Some(after) = rest.strip_prefix(',') {
                shown.push(',');
                self.is_in_value = false;
                rest = after;
            }
        }
        shown
    }

    /// The length of the value at the beginning of a text: up to a comma outside quotes.
    fn value_end(&mut self, text: &str) -> usize {
        let mut is_escaped = false;
        for (at, c) in text.char_indices() {
            if std::mem::take(&mut is_escaped) {
                continue;
            }
            match (self.quote, c) {
                (Some('\''), '\\') => {}
                (_, '\\') => is_escaped = true,
                (Some(quote), _) if c == quote => self.quote = None,
                (None, '"' | '\'') => self.quote = Some(c),
                (None, ',') => return at,
                _ => {}
            }
        }
        text.len()
    }
}

/// Returns the text with its secrets masked.
#[must_use]
pub fn masked_text(text: &str) -> String {
    let file = FileLines::new(text);
    let mut shown = Shown::Whole;
    let mut masked = String::with_capacity(text.len());
    for line in &file.lines {
        let (content, end) = split_end(line.text);
        match &line.role {
            LineRole::Key(parts) => {
                shown = Shown::of(parts.key);
                masked.push_str(&masked_pair(content, &mut shown));
            }
            LineRole::Continuation => {
                let indent = indentation(line.text);
                masked.push_str(indent);
                masked.push_str(&shown.apply(&content[indent.len()..]));
            }
            // A key that somebody commented out still has its value.
            LineRole::Comment if is_disabled_key(content) => {
                let text = content.trim_start_matches([';', '#', ' ', '\t']);
                let key = text.split('=').next().unwrap_or_default();
                let mut shown = Shown::of(key.trim());
                masked.push_str(&masked_pair(content, &mut shown));
            }
            // A line that cannot be read may be the rest of a secret.
            LineRole::Bad if shown != Shown::Whole => masked.push_str(MASK),
            LineRole::Header(_) => {
                shown = Shown::Whole;
                masked.push_str(content);
            }
            LineRole::Blank | LineRole::Comment | LineRole::Bad | LineRole::Homeless => {
                masked.push_str(content);
            }
        }
        masked.push_str(end);
    }
    masked
}

/// A line with a key and its value.
fn masked_pair(line: &str, shown: &mut Shown) -> String {
    let Some(at) = line.find(['=', ':']) else {
        return line.to_owned();
    };
    let (key, value) = line.split_at(at + 1);
    let blank = value.len() - value.trim_start().len();
    format!("{key}{}{}", &value[..blank], shown.apply(&value[blank..]))
}

/// Compares two texts, and shows the difference without their secrets. A line with another secret is a changed line.
#[must_use]
pub fn masked_diff(old: &str, new: &str, context: usize) -> LineDiff {
    let (masked_old, masked_new) = (masked_text(old), masked_text(new));
    LineDiff::new(old, new, context).with_lines_of(&masked_old, &masked_new)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn section(line: &str) -> String {
        let masked = masked_text(&format!("[program:x]\n{line}\n"));
        let masked = masked.strip_prefix("[program:x]\n").expect("a header");
        masked.strip_suffix('\n').expect("a line end").to_owned()
    }

    #[test]
    fn secrets_are_masked_and_all_else_stays() {
        for (line, expected) in [
            ("command = run --x ; comment", "command = run --x ; comment"),
            ("password=hunter2", "password=********"),
            ("password : hunter2 ; x", "password : ********"),
            ("PassWord=hunter2", "PassWord=********"),
            ("password=", "password="),
            ("password_file=/etc/x", "password_file=/etc/x"),
            ("nacos_token=abc", "nacos_token=********"),
            ("serverurl=http://u:p@h", "serverurl=********"),
            (";password=hunter2", ";password=********"),
            ("# db_secret = x", "# db_secret = ********"),
            ("#db_secret=x", "#db_secret=********"),
            ("environment=A=1", "environment=A=********"),
            (
                "environment=A=\"x,y\", B = 'it=1,2' ,C=%(ENV_P)s",
                "environment=A=********, B=********,C=********",
            ),
            (
                "environment=A=\"a\\\",B=b\",C=c",
                "environment=A=********,C=********",
            ),
            ("environment=no pairs", "environment=********"),
            ("environment=A=1,", "environment=A=********,"),
            ("environment=", "environment="),
            (
                "environment=\n    A=\"1\",\n    B=\"2\n    C=3\",\n    D=4",
                "environment=\n    A=********,\n    B=********\n    ********,\n    D=********",
            ),
            (
                "password=a\n  b=c\n  d",
                "password=********\n  ********\n  ********",
            ),
        ] {
            assert_eq!(section(line), expected, "{line}");
        }
    }

    #[test]
    fn masked_texts_have_the_same_lines() {
        let text = "\u{feff}; one\r\n[nacos]\r\npassword=x\r\n\r\n[program:a]\r\ncommand=a";
        let masked = masked_text(text);
        assert_eq!(masked.matches('\n').count(), text.matches('\n').count());
        assert!(masked.contains("password=********\r\n"), "{masked}");
        assert!(masked.ends_with("command=a"), "{masked}");
    }

    #[test]
    fn a_difference_of_secrets_is_one_of_masked_lines() {
        let old = "[program:a]\ncommand=a\nenvironment=P=\"old\"\nuser=x\n";
        let new = "[program:a]\ncommand=b\nenvironment=P=\"new\"\nuser=x\n";
        assert_eq!(
            masked_diff(old, new, 3).to_string(),
            "@@ -1,4 +1,4 @@\n [program:a]\n-command=a\n-environment=P=********\n+command=b\n+environment=P=********\n user=x\n"
        );
        assert!(masked_diff(old, old, 3).is_empty());
    }
}
