//! The house rules that the compiler does not enforce: floors, homes of packages, `unsafe`, clocks, module docs.

use std::fs;
use std::path::{Path, PathBuf};

/// From the ground up. Rooms of one floor do not use each other.
const FLOORS: &[&[&str]] = &[
    &["domain"],
    &["config", "sys"],
    &["keeper", "heartbeat"],
    &["api", "cgroup"],
    &["core", "spawn", "output", "pidproxy", "import", "service"],
    &["engine"],
    &["control"],
    &["server"],
    &["daemon"],
];

/// What the client may use.
const CTL: &[&str] = &["api", "config", "domain", "ctl"];

/// Rooms without I/O.
const PURE: &[&str] = &["domain", "config", "api", "core"];

/// What a pure room does not name.
const IMPURE: &[&str] = &[
    "tokio",
    "nix::",
    "libc::",
    "std::fs",
    "std::net",
    "std::process",
    "std::thread",
    "std::env",
    "Instant::now",
    "SystemTime",
];

/// Where each outside package may be named: a file, or a room ending in `/`.
const HOMES: &[(&str, &[&str])] = &[
    ("quick_xml", &["api/xmlrpc.rs"]),
    ("tokio", &["control/", "server/", "cgroup/bus.rs"]),
    ("hyper", &["server/"]),
    ("http_body_util", &["server/"]),
    ("ariadne", &["daemon/check.rs"]),
    ("ini", &["import/unit.rs"]),
    ("rustyline", &["ctl/shell.rs"]),
    (
        "nix",
        &[
            "sys/",
            "spawn/",
            "output/",
            "pidproxy/",
            "keeper/",
            "daemon/",
            "ctl/",
            "server/",
        ],
    ),
    ("zbus", &["server/dbus/", "cgroup/bus.rs"]),
    ("sd_notify", &["engine/systemd.rs"]),
    ("subtle", &["control/auth.rs"]),
    ("sha1", &["control/auth.rs", "cgroup/name.rs"]),
    ("maud", &["server/web/"]),
    (
        "jiff",
        &["sys/time_zone.rs", "output/", "server/", "control/"],
    ),
];

fn sources() -> Vec<(String, String)> {
    fn walk(dir: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(dir)
            .expect("readable")
            .map(|entry| entry.expect("entry").path())
        {
            if entry.is_dir() {
                walk(&entry, found);
            } else if entry.extension().is_some_and(|extension| extension == "rs") {
                found.push(entry);
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    walk(&root, &mut files);
    files.sort();
    files
        .into_iter()
        .map(|path| {
            let name = path
                .strip_prefix(&root)
                .expect("below src")
                .display()
                .to_string();
            (name, fs::read_to_string(&path).expect("utf-8"))
        })
        .collect()
}

/// The code of a file before its tests, without comments.
fn code(text: &str) -> String {
    let text = text.split("#[cfg(test)]\nmod ").next().unwrap_or_default();
    text.lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .map(|line| format!("{line}\n"))
        .collect()
}

fn room(file: &str) -> &str {
    file.split('/').next().unwrap_or_default()
}

/// Names behind `crate::` in `code`, those in braces too.
fn rooms_used(code: &str) -> Vec<String> {
    let mut used = Vec::new();
    for part in code.split("crate::").skip(1) {
        if let Some(list) = part.strip_prefix('{') {
            let mut depth = 0;
            let mut word = String::new();
            for c in list.chars() {
                match c {
                    '{' => depth += 1,
                    '}' if depth == 0 => break,
                    '}' => depth -= 1,
                    ',' => word.clear(),
                    c if depth == 0 && (c.is_alphanumeric() || c == '_') => word.push(c),
                    ':' if depth == 0 && !word.is_empty() => used.push(std::mem::take(&mut word)),
                    _ => {}
                }
            }
        } else {
            used.push(
                part.chars()
                    .take_while(|c| c.is_alphanumeric() || *c == '_')
                    .collect(),
            );
        }
    }
    used
}

#[test]
fn floors_hold() {
    let mut wrong = Vec::new();
    for (file, text) in sources() {
        let own = room(&file);
        let allowed: Vec<&str> = if own == "ctl" {
            CTL.to_vec()
        } else if let Some(floor) = FLOORS.iter().position(|rooms| rooms.contains(&own)) {
            FLOORS[..floor]
                .iter()
                .flat_map(|rooms| rooms.iter().copied())
                .chain([own])
                .collect()
        } else {
            continue;
        };
        for used in rooms_used(&code(&text)) {
            let is_room =
                used == "ctl" || FLOORS.iter().any(|rooms| rooms.contains(&used.as_str()));
            if is_room && !allowed.contains(&used.as_str()) {
                wrong.push(format!("{file} uses {used}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn pure_rooms_do_no_io_and_read_no_clock() {
    let mut wrong = Vec::new();
    for (file, text) in sources()
        .into_iter()
        .filter(|(file, _)| PURE.contains(&room(file)))
    {
        for word in IMPURE.iter().filter(|word| code(&text).contains(**word)) {
            wrong.push(format!("{file} names {word}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// jiff is built without the search for the system's zone, and takes UTC for it.
#[test]
fn local_times_have_the_zone_that_sys_finds() {
    let mut wrong = Vec::new();
    for (file, text) in sources() {
        for name in ["TimeZone::system", "TimeZone::try_system", "Zoned::now"] {
            if code(&text).contains(name) {
                wrong.push(format!("{file} names {name}; use sys::time_zone"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_package_has_its_home() {
    let mut wrong = Vec::new();
    for (file, text) in sources() {
        for (package, homes) in HOMES {
            let at_home = homes
                .iter()
                .any(|home| file == *home || (home.ends_with('/') && file.starts_with(home)));
            let named = code(&text)
                .split(|c: char| !c.is_alphanumeric() && c != '_' && c != ':')
                .any(|word| {
                    word.strip_prefix(package)
                        .is_some_and(|rest| rest.starts_with("::"))
                });
            if named && !at_home {
                wrong.push(format!("{file} names {package}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn unsafe_stands_in_sys_only() {
    let wrong: Vec<String> = sources()
        .into_iter()
        .filter(|(file, text)| {
            let words = code(text)
                .split(|c: char| !c.is_alphanumeric() && c != '_')
                .any(|word| word == "unsafe");
            words && room(file) != "sys"
        })
        .map(|(file, _)| file)
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_module_says_what_it_is_for() {
    let wrong: Vec<String> = sources()
        .into_iter()
        .filter(|(_, text)| !text.starts_with("//!"))
        .map(|(file, _)| file)
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn nothing_is_left_unfinished() {
    // Spelled in halves, so that this file does not find itself.
    let words = [
        concat!("TO", "DO"),
        concat!("FIX", "ME"),
        concat!("todo", "!("),
        concat!("unimplemented", "!("),
        concat!("(being ", "built)"),
    ];
    let mut wrong = Vec::new();
    for (file, text) in sources() {
        for word in words.iter().filter(|word| text.contains(**word)) {
            wrong.push(format!("{file}: {word}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
