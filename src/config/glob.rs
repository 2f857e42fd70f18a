//! Matches the file name patterns of `[include] files`, like Python's `glob` without recursion.

use super::lookup::Lookup;
use super::path::{basename, dirname, join};

/// Returns the paths that match `pattern`, in bytewise order.
///
/// # Source
/// Python's `glob` and `fnmatch`: `*`, `?`, `[abc]`, `[!abc]`; only a leading dot matches a leading dot.
#[must_use]
pub(super) fn glob(pattern: &str, lookup: &dyn Lookup) -> Vec<String> {
    let mut found = matching(pattern, lookup, false);
    found.sort_unstable();
    found
}

/// The directories whose entries `pattern` matches against. A file added to one of them may be read, whether or not
/// anything matches now.
#[must_use]
pub(super) fn listed(pattern: &str, lookup: &dyn Lookup) -> Vec<String> {
    let dir = dirname(pattern);
    let shown = |dir: &str| if dir.is_empty() { "." } else { dir }.to_owned();
    if !has_magic(dir) || dir == pattern {
        return vec![shown(dir)];
    }
    let mut found = listed(dir, lookup);
    let mut inner = matching(dir, lookup, true);
    inner.sort_unstable();
    found.extend(inner.iter().map(|dir| shown(dir)));
    found
}

fn has_magic(pattern: &str) -> bool {
    pattern.contains(['*', '?', '['])
}

fn matching(pattern: &str, lookup: &dyn Lookup, directories: bool) -> Vec<String> {
    let (dir, name) = (dirname(pattern), basename(pattern));
    if !has_magic(pattern) {
        let there = if name.is_empty() {
            lookup.is_dir(dir)
        } else {
            lookup.is_entry(pattern)
        };
        return if there {
            vec![pattern.to_owned()]
        } else {
            Vec::new()
        };
    }
    let dirs = if has_magic(dir) && dir != pattern {
        matching(dir, lookup, true)
    } else {
        vec![dir.to_owned()]
    };
    let mut found = Vec::new();
    for dir in dirs {
        if has_magic(name) {
            let names = lookup.list(if dir.is_empty() { "." } else { &dir });
            found.extend(
                names
                    .iter()
                    .filter(|entry| !entry.starts_with('.') || name.starts_with('.'))
                    .filter(|entry| matches_name(name, entry))
                    .map(|entry| join(&dir, entry))
                    .filter(|path| !directories || lookup.is_dir(path)),
            );
        } else {
            let path = join(&dir, name);
            let there = if name.is_empty() {
                lookup.is_dir(&dir)
            } else {
                lookup.is_entry(&path)
            };
            if there {
                found.push(path);
            }
        }
    }
    found
}

enum GlobToken {
    Any,
    One,
    Literal(char),
    Class {
        not: bool,
        ranges: Vec<(char, char)>,
    },
}

fn tokens(pattern: &str) -> Vec<GlobToken> {
    let text: Vec<char> = pattern.chars().collect();
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(&c) = text.get(at) {
        at += 1;
        match c {
            '*' => {
                // Several `*` in a row match the same as one, which is faster.
                if !matches!(tokens.last(), Some(GlobToken::Any)) {
                    tokens.push(GlobToken::Any);
                }
            }
            '?' => tokens.push(GlobToken::One),
            '[' => {
                let not = text.get(at) == Some(&'!');
                let start = at + usize::from(not);
                // A bracket at the start of a set is a member of the set.
                let from = start + usize::from(text.get(start) == Some(&']'));
                let end = text
                    .get(from..)
                    .and_then(|rest| rest.iter().position(|&c| c == ']'))
                    .map(|offset| from + offset);
                match end {
                    None => tokens.push(GlobToken::Literal('[')),
                    Some(end) => {
                        tokens.push(GlobToken::Class {
                            not,
                            ranges: ranges(&text[start..end]),
                        });
                        at = end + 1;
                    }
                }
            }
            c => tokens.push(GlobToken::Literal(c)),
        }
    }
    tokens
}

fn ranges(mut class: &[char]) -> Vec<(char, char)> {
    let mut ranges = Vec::new();
    loop {
        match class {
            [] => return ranges,
            [first, '-', last, rest @ ..] => {
                ranges.push((*first, *last));
                class = rest;
            }
            [one, rest @ ..] => {
                ranges.push((*one, *one));
                class = rest;
            }
        }
    }
}

/// Whether `name` matches `pattern`. Needs linear memory, and backtracks to the last `*` only, so no pattern takes
/// exponential time.
#[must_use]
pub fn matches_name(pattern: &str, name: &str) -> bool {
    let tokens = tokens(pattern);
    let name: Vec<char> = name.chars().collect();
    let (mut token, mut at) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    while at < name.len() {
        let c = name[at];
        let one = match tokens.get(token) {
            Some(GlobToken::Any) => {
                retry = Some((token + 1, at));
                token += 1;
                continue;
            }
            Some(GlobToken::One) => true,
            Some(GlobToken::Literal(literal)) => *literal == c,
            Some(GlobToken::Class { not, ranges }) => {
                ranges
                    .iter()
                    .any(|&(first, last)| (first..=last).contains(&c))
                    != *not
            }
            None => false,
        };
        if one {
            token += 1;
            at += 1;
        } else if let Some((after, start)) = retry {
            retry = Some((after, start + 1));
            token = after;
            at = start + 1;
        } else {
            return false;
        }
    }
    tokens[token..]
        .iter()
        .all(|token| matches!(token, GlobToken::Any))
}

#[cfg(test)]
mod tests {
    use super::super::lookup::Fake;
    use super::*;

    #[test]
    fn cfg_26_patterns_match_as_in_python() {
        for (pattern, name, expected) in [
            ("*.conf", "a.conf", true),
            ("*.conf", "a.conf~", false),
            ("a?c", "abc", true),
            ("[a-c]x", "bx", true),
            ("[!a-c]x", "bx", false),
            ("[]a]", "]", true),
            ("[a", "[a", true),
            ("[c-a]", "b", false),
            ("*a*b*c", "xxaxxbxxc", true),
            ("**", "x", true),
            ("", "", true),
        ] {
            assert_eq!(matches_name(pattern, name), expected, "{pattern} {name}");
        }
    }

    #[test]
    fn cfg_26_matches_are_sorted_and_hidden_files_stay_hidden() {
        let machine = Fake::default()
            .with("/etc/d/b.conf", "")
            .with("/etc/d/a.conf", "")
            .with("/etc/d/.h.conf", "")
            .with("/etc/e/c.conf", "");
        for (pattern, expected) in [
            ("/etc/d/*.conf", vec!["/etc/d/a.conf", "/etc/d/b.conf"]),
            (
                "/etc/*/*.conf",
                vec!["/etc/d/a.conf", "/etc/d/b.conf", "/etc/e/c.conf"],
            ),
            ("/etc/d/.*", vec!["/etc/d/.h.conf"]),
            ("/etc/?/c.conf", vec!["/etc/e/c.conf"]),
            ("/etc/d/a.conf", vec!["/etc/d/a.conf"]),
            ("/etc/d/nosuch", vec![]),
            ("/etc/*/", vec!["/etc/d/", "/etc/e/"]),
            ("/etc/d/a.conf/*", vec![]),
        ] {
            assert_eq!(glob(pattern, &machine), expected, "{pattern}");
        }
    }
}
