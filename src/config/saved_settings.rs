//! The settings file that the page writes: `[nacos]` beside the configuration file.
//!
//! It is our own file, which people do not edit, so it has the dialect of rust-ini: every value is written with escapes and
//! read back unchanged.

use ini::{EscapePolicy, Ini, ParseOption};

use super::key::SectionKind;

/// The name of the file, in the directory of the configuration file.
pub const SETTINGS_FILE: &str = "supervisord.nacos.conf";

/// Writes the keys of the file.
///
/// # Errors
/// The file could not hold a value unchanged: it begins or ends with a blank, or contains a control character.
pub fn render_settings(keys: &[(String, String)]) -> Result<String, String> {
    let mut ini = Ini::new();
    let mut section = ini.with_section(Some(SectionKind::Nacos.prefix()));
    let mut section = &mut section;
    for (key, value) in keys {
        section = section.set(key, value);
    }
    let mut bytes = Vec::new();
    ini.write_to_policy(&mut bytes, EscapePolicy::Everything)
        .map_err(|error| error.to_string())?;
    let text = String::from_utf8(bytes).map_err(|error| error.to_string())?;
    let read = parse_settings(&text);
    for (key, value) in keys {
        let found = read.iter().find(|(known, _)| known == key);
        if found.map(|(_, found)| found) != Some(value) {
            return Err(format!(
                "invalid {key}: it begins or ends with a blank, or contains a control character"
            ));
        }
    }
    Ok(text)
}

/// Reads the keys of the file. A text that is no such file has none.
#[must_use]
pub fn parse_settings(text: &str) -> Vec<(String, String)> {
    let options = ParseOption {
        enabled_quote: false,
        enabled_escape: true,
        ..ParseOption::default()
    };
    let Ok(ini) = Ini::load_from_str_opt(text, options) else {
        return Vec::new();
    };
    let section = ini.section(Some(SectionKind::Nacos.prefix()));
    let keys = section.into_iter().flat_map(|section| section.iter());
    keys.map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn one(value: &str) -> Vec<(String, String)> {
        vec![
            ("server".to_owned(), "127.0.0.1:8848".to_owned()),
            ("password".to_owned(), value.to_owned()),
        ]
    }

    #[test]
    fn every_password_is_read_as_it_was_written_or_refused() {
        for value in [
            "nacos",
            "",
            "a ;b",
            "#x",
            "a=b",
            "50%",
            "%(here)s",
            r"a\nb\",
            "\"q\"",
            "'q'",
            "[x]",
            "密码",
            "a  b",
            "é\u{301}",
        ] {
            let text = render_settings(&one(value)).expect(value);
            assert_eq!(parse_settings(&text), one(value), "{text}");
        }
        for value in [" a", "a ", "\u{1}a\u{2} "] {
            match render_settings(&one(value)) {
                Ok(text) => assert_eq!(parse_settings(&text), one(value)),
                Err(error) => assert!(error.starts_with("invalid password: ")),
            }
        }
        assert!(parse_settings("[other]\na=b\n").is_empty());
        assert!(parse_settings("nonsense\n[").is_empty());
    }

    proptest! {
        #[test]
        fn no_value_becomes_another_one(value in "\\PC{0,20}") {
            if let Ok(text) = render_settings(&one(&value)) {
                prop_assert_eq!(parse_settings(&text), one(&value));
            }
        }
    }
}
