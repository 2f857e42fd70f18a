//! The name of a process's cgroup, `group:process`. The kernel's own files there contain no colon, so the name cannot
//! collide with one.

use std::fmt::Write as _;

use sha1::{Digest as _, Sha1};

use crate::domain::{GroupName, ProcessName};

/// Maximum length of a name in bytes.
const BYTES_MAX: usize = 255;
/// Bytes that are kept of a name that is too long, before its checksum.
const KEPT_BYTES: usize = 200;

/// The name of the directory. If it exceeds the kernel's limit, it is cut, and a checksum of the full name is appended.
#[must_use]
pub fn name(group: &GroupName, process: &ProcessName) -> String {
    let full = format!("{}:{}", escaped(group.as_str()), escaped(process.as_str()));
    if full.len() <= BYTES_MAX {
        return full;
    }
    let mut end = KEPT_BYTES;
    while !full.is_char_boundary(end) {
        end -= 1;
    }
    let mut short = format!("{}~", &full[..end]);
    for byte in Sha1::digest(full.as_bytes()) {
        // Writing to a String cannot fail.
        let _ = write!(short, "{byte:02x}");
    }
    short
}

/// Escapes characters with a meaning for the kernel or for readers of the tree as `\x` and two digits.
fn escaped(text: &str) -> String {
    let mut result = String::new();
    for c in text.chars() {
        if matches!(c, '/' | ':' | '\\' | '~') || c.is_ascii_control() {
            let _ = write!(result, "\\x{:02x}", u32::from(c));
        } else {
            result.push(c);
        }
    }
    result
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn named(group: &str, process: &str) -> String {
        name(
            &GroupName::parse(group).expect("valid"),
            &ProcessName::parse(process).expect("valid"),
        )
    }

    /// Reverses [`escaped`], for names that are not cut.
    fn unescaped(text: &str) -> Option<(String, String)> {
        let one = |text: &str| {
            let mut parts = text.split("\\x");
            let mut result = parts.next()?.to_owned();
            for part in parts {
                let code = u8::from_str_radix(part.get(..2)?, 16).ok()?;
                result.push(char::from(code));
                result.push_str(&part[2..]);
            }
            Some(result)
        };
        let (group, process) = text.split_once(':')?;
        Some((one(group)?, one(process)?))
    }

    #[test]
    fn names_are_readable_and_stay_in_their_directory() {
        assert_eq!(named("web", "web_00"), "web:web_00");
        assert_eq!(named(".hold", ".."), ".hold:..");
        assert_eq!(named("cgroup.procs", "a~b\\"), "cgroup.procs:a\\x7eb\\x5c");
        let long = "x".repeat(300);
        let (first, second) = (named(&long, "a"), named(&long, "b"));
        assert!(first != second && first.len() <= BYTES_MAX && first.starts_with("xxx"));
        assert!(first.contains('~'));
        let wide = "ä".repeat(200);
        assert!(named(&wide, "a").len() <= BYTES_MAX);
    }

    proptest! {
        #[test]
        fn a_cgroup_name_gives_back_group_and_process(group in "[^/:[:space:]]{1,40}", process in "[^/:[:space:]]{1,40}") {
            let (Ok(group), Ok(process)) = (GroupName::parse(&group), ProcessName::parse(&process)) else {
                return Ok(());
            };
            let made = name(&group, &process);
            prop_assert!(!made.contains('/') && !made.contains('\n') && made.contains(':'));
            if !made.contains('~') {
                let expected = (group.as_str().to_owned(), process.as_str().to_owned());
                prop_assert_eq!(unescaped(&made), Some(expected));
            }
        }
    }

    #[test]
    fn the_colon_between_names_is_the_only_one() {
        let names: BTreeSet<String> = [("a", "b"), ("a\\x3ab", "c"), ("a", "b\\x3ac")]
            .iter()
            .map(|(group, process)| named(group, process))
            .collect();
        assert_eq!(names.len(), 3);
    }
}
