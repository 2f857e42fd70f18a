//! Patterns for lines of output.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// A pattern. A line matches if it contains the pattern's text; `*` matches any text in between.
///
/// Other characters have no special meaning. Brackets, for example, are common in logs.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LinePattern(Arc<str>);

impl LinePattern {
    /// Parses a pattern.
    ///
    /// # Errors
    /// The pattern is empty, or has more than one line.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err("the pattern is empty".to_owned());
        }
        if text.contains(['\n', '\r']) {
            return Err(format!("the pattern {text:?} has more than one line"));
        }
        Ok(Self(Arc::from(text)))
    }

    /// Returns whether a line matches: it contains the parts between the `*`, in their order.
    #[must_use]
    pub fn matches(&self, line: &[u8]) -> bool {
        let mut rest = line;
        let mut parts = self.0.split('*').filter(|part| !part.is_empty());
        parts.all(|part| match find(rest, part.as_bytes()) {
            Some(at) => {
                rest = &rest[at + part.len()..];
                true
            }
            None => false,
        })
    }
}

/// Returns where `part` begins in `text`. `part` is not empty.
fn find(text: &[u8], part: &[u8]) -> Option<usize> {
    let mut from = 0;
    loop {
        let at = from + text[from..].iter().position(|byte| *byte == part[0])?;
        if text[at..].starts_with(part) {
            return Some(at);
        }
        from = at + 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_is_a_part_of_a_line() {
        for (pattern, line, expected) in [
            ("ready", "server is ready", true),
            ("ready", "read", false),
            ("ready", "rereready to go", true),
            ("[ERROR]", "E", false),
            ("[ERROR] a?", "12:00 [ERROR] a?", true),
            ("listening*:80", "listening on port 0.0.0.0:8080", true),
            ("listening*:80", ":80 listening", false),
            ("aa*a", "aa", false),
            ("*ready*", "is ready", true),
            ("*", "", true),
            ("é*", "caf\u{e9}", true),
        ] {
            let parsed = LinePattern::parse(pattern).expect("valid");
            assert_eq!(
                parsed.matches(line.as_bytes()),
                expected,
                "{pattern} {line}"
            );
        }
        let ready = LinePattern::parse("ready").expect("valid");
        assert!(ready.matches(b"\xff ready \xff"));
        assert!(LinePattern::parse("").is_err() && LinePattern::parse("a\nb").is_err());
    }
}
