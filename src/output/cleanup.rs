//! Removes AUTO logs that an earlier life of the daemon left.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::domain::Line;

/// Removes, from `dir`, plain files of our own with the name of an AUTO log of `identifier`, but those that are `live`.
/// Returns what is to be said of it. To be called only when it is certain that no other instance runs.
///
/// # Source
/// Supervisor manual, `[supervisord]`, nocleanup.
// Differs: only plain files of our own user, for the directory is often /tmp; and the identifier is no pattern.
pub fn clean_up(dir: &Path, identifier: &str, live: impl Fn(&Path) -> bool) -> Vec<Line> {
    let Ok(entries) = std::fs::read_dir(dir) else {
        return vec![Line::CannotClearLogDir {}];
    };
    let ours = nix::unistd::geteuid().as_raw();
    let mut lines = Vec::new();
    for entry in entries.flatten() {
        let name = entry.file_name();
        if !name
            .to_str()
            .is_some_and(|name| is_auto_log(name, identifier))
        {
            continue;
        }
        let path = dir.join(&name);
        if live(&path) {
            continue;
        }
        // Of the link itself, if it is one.
        let Ok(meta) = path.symlink_metadata() else {
            continue;
        };
        if !meta.is_file() || meta.uid() != ours {
            continue;
        }
        if let Err(error) = std::fs::remove_file(&path)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            lines.push(Line::CannotCleanUp {
                path: path.display().to_string(),
            });
        }
    }
    lines
}

/// `NAME---IDENTIFIER-RANDOM.log`, with or without a number or anything else behind it.
fn is_auto_log(name: &str, identifier: &str) -> bool {
    let marker = format!("---{identifier}-");
    name.match_indices(&marker).any(|(at, _)| {
        let (before, rest) = (&name[..at], &name[at + marker.len()..]);
        let solid = rest.find(char::is_whitespace).unwrap_or(rest.len());
        !before.is_empty()
            && !before.contains('\n')
            && rest[..solid].rfind(".log").is_some_and(|dot| dot > 0)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::testing::TempDir;

    #[test]
    fn dmn_20_names_of_auto_logs() {
        for (name, expected) in [
            ("cat-stdout---supervisor-abcd1234.log", true),
            ("cat-stdout---supervisor-abcd1234.log.1", true),
            ("cat-stdout---supervisor-abcd1234.logs.txt", true),
            ("---supervisor-abcd1234.log", false),
            ("cat-stdout---supervisor-.log", false),
            ("cat-stdout---supervisor-ab cd.log", false),
            ("cat-stdout---other-abcd1234.log", false),
            ("cat-stdout---supervisor-abcd1234.txt", false),
            ("a b-stdout---supervisor-abcd1234.log", true),
        ] {
            assert_eq!(is_auto_log(name, "supervisor"), expected, "{name}");
        }
        assert!(!is_auto_log("cat---axb-abcd.log", "a.b"), "no pattern");
    }

    #[test]
    fn dmn_21_old_auto_logs_are_removed_and_nothing_else() {
        let dir = TempDir::new("cleanup");
        let file = |name: &str| {
            let path = dir.path(name);
            std::fs::write(&path, "x").expect("written");
            path
        };
        let old = file("cat-stdout---me-aaaaaaaa.log");
        let backup = file("cat-stdout---me-aaaaaaaa.log.1");
        let live = file("cat-stdout---me-bbbbbbbb.log");
        let other = file("cat-stdout---you-aaaaaaaa.log");
        let link = dir.path("cat-stdout---me-cccccccc.log");
        std::os::unix::fs::symlink(&other, &link).expect("linked");
        let directory = dir.path("cat-stdout---me-dddddddd.log");
        std::fs::create_dir(&directory).expect("made");
        assert_eq!(clean_up(dir.root(), "me", |path| path == live), []);
        assert!(!old.exists() && !backup.exists());
        assert!(live.exists() && other.exists() && directory.exists());
        assert!(link.is_symlink());
        assert_eq!(
            clean_up(&dir.path("none"), "me", |_| false),
            [Line::CannotClearLogDir {}]
        );
    }

    #[test]
    fn dmn_21_strangers_files_stay() {
        if !nix::unistd::geteuid().is_root() {
            eprintln!("skipped: only root can make a file of another user");
            return;
        }
        let dir = TempDir::new("cleanup-strangers");
        let path = dir.path("cat-stdout---me-aaaaaaaa.log");
        std::fs::write(&path, "x").expect("written");
        std::os::unix::fs::chown(&path, Some(12345), None).expect("root may");
        clean_up(dir.root(), "me", |_| false);
        assert!(path.exists());
    }
}
