//! Parses the file of `tokens_file=`: who may do what with a token. One token per line:
//!
//! ```text
//! NAME sha256:DIGEST VERB… [on PROCESS…]
//!
//! # a dashboard, which reads everything
//! grafana sha256:836e13ca2df0f504f8eb517bdbd24b24a4c8d390ca350741c28294c0b15aae27 status logs
//! # a pipeline, which restarts one group
//! ci sha256:c89d2e3f752676a3451ecd4b631300887bf2107465b1dff9694348823dc124ed control on web:*
//! ```
//!
//! The file has only the digest of a token, so that a copy of the file is no use to its reader. A token is 32 random
//! bytes, which nobody can guess, so a digest without salt and stretching is enough. Verbs and processes are those of
//! `allow=`.

use std::collections::HashSet;

use super::allow::{self, AllowedActions};
use crate::domain::{Namespec, Permission};

/// Maximum size of a tokens file in bytes.
pub const TOKENS_BYTES_MAX: usize = 256 << 10;
/// Maximum number of tokens of a server.
const TOKENS_MAX: usize = 1000;
/// Maximum length of a token's name.
const NAME_MAX: usize = 64;

/// One token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenSpec {
    /// Its name, which is also its user name in basic authentication.
    pub name: String,
    /// The SHA-256 digest of the token.
    pub digest: [u8; 32],
    /// What its bearer may do.
    pub permissions: Vec<Permission>,
    /// The processes and groups that the permissions are about. `None`: all, and the daemon itself.
    pub processes: Option<Vec<Namespec>>,
}

/// What is wrong with a tokens file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokensError {
    /// The line, from 1.
    pub line: usize,
    /// The reason. It contains no part of a digest.
    pub reason: String,
}

/// Parses a tokens file.
///
/// # Errors
/// The first bad line.
pub fn parse(text: &str) -> Result<Vec<TokenSpec>, TokensError> {
    let mut names = HashSet::new();
    let mut tokens: Vec<TokenSpec> = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        let error = |reason| TokensError {
            line: number + 1,
            reason,
        };
        let token = parse_line(line).map_err(error)?;
        if !names.insert(token.name.clone()) {
            return Err(error(format!("there are two tokens named {}", token.name)));
        }
        if tokens.len() == TOKENS_MAX {
            return Err(error(format!("too many tokens (maximum {TOKENS_MAX})")));
        }
        tokens.push(token);
    }
    Ok(tokens)
}

fn parse_line(line: &str) -> Result<TokenSpec, String> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let (name, digest, rest) = match words[..] {
        [name, digest, ref rest @ ..] => (name, digest, rest),
        _ => return Err("expected NAME sha256:DIGEST VERB... [on PROCESS...]".to_owned()),
    };
    check_token_name(name)?;
    let digest = parse_digest(digest).ok_or(
        "the second word is not sha256: and 64 hexadecimal digits (`supervisord token` prints whole lines)",
    )?;
    let AllowedActions {
        permissions,
        processes,
    } = allow::allowed_actions(name, rest)?;
    Ok(TokenSpec {
        name: name.to_owned(),
        digest,
        permissions,
        processes,
    })
}

/// Checks the name of a token: letters, digits and `.-_@`, at most 64.
///
/// # Errors
/// What is wrong with it.
pub fn check_token_name(name: &str) -> Result<(), String> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '@');
    if name.is_empty() || name.len() > NAME_MAX || !name.chars().all(is_plain) {
        let shown: String = name.chars().take(NAME_MAX).collect();
        return Err(format!(
            "invalid name {shown:?}: a name has 1 to {NAME_MAX} letters, digits and .-_@"
        ));
    }
    Ok(())
}

/// Checks the words `VERB… [on PROCESS…]` of a token.
///
/// # Errors
/// What is wrong with them.
pub fn check_token_actions(name: &str, words: &[&str]) -> Result<(), String> {
    allow::allowed_actions(name, words).map(|_| ())
}

/// Returns the line of a token.
#[must_use]
pub fn token_line(name: &str, digest: &[u8; 32], words: &[&str]) -> String {
    let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{name} sha256:{digest} {}", words.join(" "))
}

fn parse_digest(word: &str) -> Option<[u8; 32]> {
    let digits = word.strip_prefix("sha256:")?;
    if digits.len() != 64 || !digits.is_ascii() {
        return None;
    }
    let mut digest = [0; 32];
    for (byte, at) in digest.iter_mut().zip((0..).step_by(2)) {
        // `from_str_radix` accepts a sign.
        let pair = digits.get(at..at + 2)?;
        if !pair.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return None;
        }
        *byte = u8::from_str_radix(pair, 16).ok()?;
    }
    Some(digest)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGITS: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191A1B1C1D1E1F";

    #[test]
    fn tokens_are_read() {
        let text = format!(
            "# comment\n\n  a sha256:{DIGITS} status logs\n; x\nb.c-d@e sha256:{DIGITS}\tall on web:* x\r\n"
        );
        let tokens = parse(&text).expect("valid");
        let digest: [u8; 32] = std::array::from_fn(|at| u8::try_from(at).expect("small"));
        use Permission::{ReadLogs, Status};
        assert_eq!(
            tokens[0],
            TokenSpec {
                name: "a".to_owned(),
                digest,
                permissions: vec![Status, ReadLogs, Status],
                processes: None
            }
        );
        assert_eq!(tokens[1].processes.as_ref().map(Vec::len), Some(2));
        assert_eq!(tokens[1].permissions.len(), Permission::ALL.len() + 1);
        let line = token_line("a", &digest, &["status", "logs"]);
        assert_eq!(
            parse(&line).expect("valid"),
            parse(&format!("a sha256:{DIGITS} status logs")).expect("valid")
        );
        assert_eq!(parse(""), Ok(Vec::new()));
    }

    #[test]
    fn bad_lines_are_named() {
        let long = "n".repeat(65);
        let (sign, short) = ("+1".repeat(32), "0".repeat(63));
        for (text, line, part) in [
            ("\nword".to_owned(), 2, "expected NAME sha256:DIGEST"),
            (
                format!("a:b sha256:{DIGITS} all"),
                1,
                "invalid name \"a:b\"",
            ),
            (format!("{long} sha256:{DIGITS} all"), 1, "invalid name"),
            (format!("a {DIGITS} all"), 1, "not sha256:"),
            (format!("a sha256:{sign} all"), 1, "not sha256:"),
            (format!("a sha256:{short} all"), 1, "not sha256:"),
            (format!("a sha256:{short}é all"), 1, "not sha256:"),
            (format!("a sha256:{DIGITS}"), 1, "no verb after a"),
            (format!("a sha256:{DIGITS} dance"), 1, "unknown verb dance"),
            (format!("a sha256:{DIGITS} all on"), 1, "must follow \"on\""),
            (
                format!("a sha256:{DIGITS} all\na sha256:{DIGITS} status"),
                2,
                "two tokens named a",
            ),
        ] {
            let error = parse(&text).expect_err(&text);
            assert_eq!(error.line, line, "{text}");
            assert!(error.reason.contains(part), "{text}: {}", error.reason);
            assert!(!error.reason.contains("0001"), "{}", error.reason);
        }
    }
}
