//! Hides values that look like secrets. It protects people who show their screen. Permissions decide
//! who may see the configuration.

use crate::config::edit::MASK;

/// Parts of the names of variables and options whose values are secrets, in upper case.
const SECRET_PARTS: [&str; 12] = [
    "PASS",
    "PWD",
    "SECRET",
    "TOKEN",
    "KEY",
    "CRED",
    "PRIVATE",
    "AUTH",
    "COOKIE",
    "SALT",
    "DSN",
    "SIGNATURE",
];

/// Whether the value of a variable or an option with this name is a secret.
pub(in crate::server) fn is_secret_name(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    SECRET_PARTS.iter().any(|part| name.contains(part))
}

/// A text of a configuration without what looks like a secret: passwords in URLs, and the values of words such as
/// `--password=x` and `API_KEY=x`.
pub(in crate::server) fn without_secrets(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for word in text.split_inclusive(|c: char| c.is_whitespace() || c == ',' || c == ';') {
        let inner = word.trim_end_matches(|c: char| c.is_whitespace() || c == ',' || c == ';');
        let end = &word[inner.len()..];
        match inner.split_once('=') {
            Some((name, value)) if is_secret_name(name) && !value.is_empty() => {
                shown.push_str(name);
                shown.push('=');
                shown.push_str(MASK);
            }
            _ => shown.push_str(&without_password(inner)),
        }
        shown.push_str(end);
    }
    shown
}

/// A word without the password of a URL, as in `http://user:password@host`.
fn without_password(word: &str) -> String {
    let masked = || {
        let (scheme, rest) = word.split_once("://")?;
        let authority = rest.split(['/', '?', '#']).next()?;
        let (login, _) = authority.rsplit_once('@')?;
        let (user, password) = login.split_once(':')?;
        let after = &rest[login.len()..];
        (!password.is_empty()).then(|| format!("{scheme}://{user}:{MASK}{after}"))
    };
    masked().unwrap_or_else(|| word.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_hidden_and_other_words_are_not() {
        for (given, expected) in [
            ("/bin/app --port=80", "/bin/app --port=80"),
            ("app --password=x y", "app --password=******** y"),
            ("A=1,API_KEY=\"z\",B=2", "A=1,API_KEY=********,B=2"),
            (
                "redis://me:se:cret@host:1/0",
                "redis://me:********@host:1/0",
            ),
            ("http://me@host/", "http://me@host/"),
            ("http://host/a:b@c", "http://host/a:b@c"),
            ("  two\n lines ", "  two\n lines "),
            ("", ""),
        ] {
            assert_eq!(without_secrets(given), expected);
        }
        assert!(is_secret_name("db_Password") && !is_secret_name("LANG"));
    }
}
