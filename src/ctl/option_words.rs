//! Takes options and their values out of the words of an action.

/// Takes a flag out of the words. Returns whether it was there.
pub(super) fn take_flag(words: &mut Vec<&str>, name: &str) -> bool {
    let before = words.len();
    words.retain(|word| *word != name);
    words.len() != before
}

/// Takes an option with its value out of the words: `-n 5`, `-n5`, `--for 2h` or `--for=2h`. `None`: it is not there.
///
/// # Errors
/// The option has no value.
pub(super) fn take_value<'a>(
    words: &mut Vec<&'a str>,
    name: &str,
) -> Result<Option<&'a str>, String> {
    let is_long = name.starts_with("--");
    let joined = |word: &'a str| -> Option<&'a str> {
        let rest = word.strip_prefix(name)?;
        if is_long {
            rest.strip_prefix('=')
        } else {
            Some(rest)
        }
    };
    let Some(at) = words
        .iter()
        .position(|word| *word == name || joined(word).is_some())
    else {
        return Ok(None);
    };
    let word = words.remove(at);
    let value = match joined(word).filter(|value| !value.is_empty()) {
        Some(value) => Some(value),
        None if at < words.len() => Some(words.remove(at)),
        None => None,
    };
    match value {
        Some(value) => Ok(Some(value)),
        None => Err(format!("{name} requires a value")),
    }
}

/// Parses a number of entries, at least 1.
///
/// # Errors
/// What is wrong.
pub(super) fn count(name: &str, value: &str) -> Result<u32, String> {
    match value.parse() {
        Ok(count @ 1..) if i32::try_from(count).is_ok() => Ok(count),
        _ => Err(format!("{name} requires a number from 1, not {value}")),
    }
}

/// Parses a time such as `90`, `90s`, `10m`, `2h`, `1h30m` or `1d`, in seconds.
///
/// # Errors
/// What is wrong.
pub(super) fn seconds(name: &str, value: &str) -> Result<i64, String> {
    let wrong = || format!("{name} requires a time such as 30s, 10m, 2h or 1d, not {value}");
    let mut total: i64 = 0;
    let mut rest = value;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit());
        let (digits, after) = rest.split_at(end.unwrap_or(rest.len()));
        let number: i64 = digits.parse().map_err(|_| wrong())?;
        let mut unit = after.chars();
        let factor = match unit.next() {
            // A number without a unit is the whole value.
            None if digits.len() == value.len() => 1,
            Some('s') => 1,
            Some('m') => 60,
            Some('h') => 3600,
            Some('d') => 86_400,
            _ => return Err(wrong()),
        };
        total = number
            .checked_mul(factor)
            .and_then(|part| total.checked_add(part))
            .ok_or_else(wrong)?;
        rest = unit.as_str();
    }
    // The interface has numbers of 32 bits.
    match i32::try_from(total) {
        Ok(1..) => Ok(total),
        _ => Err(wrong()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_taken_with_their_values() {
        let mut words = vec!["web", "--for", "2h", "--all", "db"];
        assert_eq!(take_value(&mut words, "--for"), Ok(Some("2h")));
        assert!(take_flag(&mut words, "--all") && !take_flag(&mut words, "--all"));
        assert_eq!(take_value(&mut words, "--for"), Ok(None));
        assert_eq!(words, ["web", "db"]);
        let mut words = vec!["-n5", "--for=1m", "--form"];
        assert_eq!(take_value(&mut words, "-n"), Ok(Some("5")));
        assert_eq!(take_value(&mut words, "--for"), Ok(Some("1m")));
        assert_eq!(words, ["--form"]);
        assert!(take_value(&mut vec!["-n"], "-n").is_err());
        assert!(take_value(&mut vec!["--for="], "--for").is_err());
    }

    #[test]
    fn times_have_units() {
        for (text, expected) in [
            ("90", Some(90)),
            ("90s", Some(90)),
            ("10m", Some(600)),
            ("1h30m", Some(5400)),
            ("1d", Some(86_400)),
            ("", None),
            ("0", None),
            ("h", None),
            ("1h5", None),
            ("2w", None),
            ("-1", None),
            ("99999999999999999999s", None),
            ("99999d", None),
        ] {
            assert_eq!(seconds("--for", text).ok(), expected, "{text}");
        }
        assert_eq!(count("-n", "3"), Ok(3));
        assert!(count("-n", "0").is_err() && count("-n", "x").is_err());
    }
}
