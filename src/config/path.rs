//! Path operations on texts, by Python's rules, without access to the file system.

use super::lookup::Lookup;

/// The part before the last slash, without trailing slashes unless it consists of slashes only.
#[must_use]
pub(super) fn dirname(path: &str) -> &str {
    let head = path.rfind('/').map_or("", |at| &path[..=at]);
    match head.trim_end_matches('/') {
        "" => head,
        trimmed => trimmed,
    }
}

/// The part after the last slash.
#[must_use]
pub(super) fn basename(path: &str) -> &str {
    path.rfind('/').map_or(path, |at| &path[at + 1..])
}

/// Joins `path` to `base`. An absolute `path` is returned unchanged.
#[must_use]
pub(super) fn join(base: &str, path: &str) -> String {
    if path.starts_with('/') || base.is_empty() {
        path.to_owned()
    } else if base.ends_with('/') {
        format!("{base}{path}")
    } else {
        format!("{base}/{path}")
    }
}

/// Removes `.`, `..` and repeated slashes. Exactly two leading slashes are kept, as POSIX demands.
#[must_use]
pub fn normalize(path: &str) -> String {
    let root = match path.len() - path.trim_start_matches('/').len() {
        0 => "",
        2 => "//",
        _ => "/",
    };
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => match parts.last() {
                Some(&last) if last != ".." => {
                    parts.pop();
                }
                None if !root.is_empty() => {}
                _ => parts.push(".."),
            },
            part => parts.push(part),
        }
    }
    let joined = format!("{root}{}", parts.join("/"));
    if joined.is_empty() {
        ".".to_owned()
    } else {
        joined
    }
}

/// Makes a path absolute, relative to the working directory, and normalizes it.
#[must_use]
pub fn absolute(path: &str, lookup: &dyn Lookup) -> String {
    normalize(&join(&lookup.cwd(), path))
}

/// Replaces `~` or `~user` at the start. If there is no such user, returns the path unchanged.
#[must_use]
pub fn expand_user(path: &str, lookup: &dyn Lookup) -> String {
    let Some(rest) = path.strip_prefix('~') else {
        return path.to_owned();
    };
    let (user, tail) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    match lookup.home((!user.is_empty()).then_some(user)) {
        None => path.to_owned(),
        Some(home) => match format!("{}{tail}", home.trim_end_matches('/')) {
            path if path.is_empty() => "/".to_owned(),
            path => path,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::super::lookup::Fake;
    use super::*;

    #[test]
    fn paths_are_pythons() {
        for (path, expected) in [
            ("/a/../b//c/.", "/b/c"),
            ("../a/../..", "../.."),
            ("/..", "/"),
            ("//a", "//a"),
            ("///a", "/a"),
            ("", "."),
        ] {
            assert_eq!(normalize(path), expected, "{path}");
        }
        for (path, expected) in [
            ("a", ""),
            ("/a", "/"),
            ("a//b", "a"),
            ("//x", "//"),
            ("a/b/", "a/b"),
        ] {
            assert_eq!(dirname(path), expected, "{path}");
        }
    }

    #[test]
    fn cfg_33_tilde_is_the_home_directory() {
        let machine = Fake::default();
        for (path, expected) in [
            ("~", "/home/me"),
            ("~/x", "/home/me/x"),
            ("~web/x", "/srv/web/x"),
            ("~nosuch/x", "~nosuch/x"),
            ("a~", "a~"),
        ] {
            assert_eq!(expand_user(path, &machine), expected, "{path}");
        }
        assert_eq!(absolute("x/../y", &machine), "/start/y");
    }
}
