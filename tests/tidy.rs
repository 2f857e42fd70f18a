//! The house rules that the compiler does not enforce: floors, homes of packages, `unsafe`, clocks, module docs; circles
//! and lengths in `structure`.

#[path = "tidy/structure.rs"]
mod structure;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The floors of rooms, from the lowest. A room uses only rooms of lower floors.
const FLOORS: &[&[&str]] = &[
    &["domain"],
    &["config", "sys"],
    &[
        "agent",
        "cli",
        "diagnostics",
        "fd_holder",
        "heartbeat",
        "http_server",
    ],
    &["api", "cgroup", "web"],
    &["effects"],
    &["core", "spawn", "output", "pidproxy", "import", "service"],
    &["handoff", "manual", "scripts", "watch"],
    &["engine"],
    &["control"],
    &["source"],
    &["server", "ctl"],
    &["daemon", "hub"],
];

/// The rooms that the client may use.
const CTL: &[&str] = &["api", "cli", "config", "domain", "ctl"];

/// The rooms that the hub may use: nothing of the daemon.
const HUB: &[&str] = &[
    "agent",
    "api",
    "config",
    "domain",
    "http_server",
    "hub",
    "sys",
    "web",
];

/// Rooms without I/O.
const PURE: &[&str] = &[
    "domain", "config", "cli", "api", "effects", "core", "manual",
];

/// Names that a pure room must not contain.
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

/// The home of each outside package: files, and rooms that end in `/`.
const HOMES: &[(&str, &[&str])] = &[
    ("quick_xml", &["api/xmlrpc/reader.rs"]),
    (
        "tokio",
        &[
            "agent/",
            "control/",
            "http_server/",
            "hub/",
            "scripts/",
            "server/",
            "source/",
            "cgroup/bus.rs",
        ],
    ),
    ("tokio_rustls", &["agent/http.rs", "agent/tls.rs"]),
    ("rustls", &["agent/tls.rs"]),
    ("rustls_native_certs", &["agent/tls.rs"]),
    ("md5", &["agent/nacos/text.rs", "source/snapshot.rs"]),
    (
        "hyper",
        &["agent/", "http_server/", "hub/", "server/", "web/"],
    ),
    ("ini", &["config/saved_settings.rs"]),
    (
        "hyper_util",
        &["agent/http.rs", "hub/server/accept.rs", "server/"],
    ),
    ("http_body_util", &["agent/", "http_server/", "server/"]),
    ("ariadne", &["daemon/check.rs"]),
    ("caps", &["sys/own_capabilities.rs"]),
    (
        "clap",
        &[
            "agent/command_line.rs",
            "cli/subcommand/",
            "hub/command_line.rs",
        ],
    ),
    ("httparse", &["ctl/http.rs", "scripts/request.rs"]),
    ("tracing_journald", &["diagnostics/"]),
    ("tracing_subscriber", &["diagnostics/"]),
    ("regex_lite", &["ctl/log_lines.rs"]),
    ("ratatui", &["ctl/top/"]),
    ("rustix", &["ctl/screen.rs"]),
    ("rustyline", &["ctl/shell.rs"]),
    ("unicode_width", &["ctl/screen.rs"]),
    ("signal_hook", &["ctl/top/"]),
    (
        "nix",
        &[
            "sys/",
            "agent/",
            "spawn/",
            "output/",
            "pidproxy/",
            "fd_holder/",
            "daemon/",
            "hub/",
            "ctl/",
            "scripts/",
            "server/",
            "source/command.rs",
            "watch/",
        ],
    ),
    ("croner", &["domain/cron.rs"]),
    (
        "flate2",
        &["output/closed_logs.rs", "http_server/compression.rs"],
    ),
    ("zbus", &["server/dbus/", "cgroup/bus.rs"]),
    ("sd_notify", &["engine/systemd.rs", "hub/program.rs"]),
    ("argon2", &["hub/users/password.rs"]),
    ("pbkdf2", &["hub/users/cesi_password.rs"]),
    ("scrypt", &["hub/users/cesi_password.rs"]),
    ("toml", &["hub/settings/"]),
    ("subtle", &["control/auth.rs", "hub/users/cesi_password.rs"]),
    ("sha1", &["control/auth.rs", "cgroup/name.rs"]),
    (
        "sha2",
        &[
            "control/auth.rs",
            "hub/users/cesi_password.rs",
            "hub/users/user.rs",
        ],
    ),
    ("maud", &["hub/pages/", "server/web/", "web/"]),
    (
        "jiff",
        &[
            "domain/cron.rs",
            "domain/log_calendar.rs",
            "sys/time_zone.rs",
            "output/",
            "server/",
            "control/",
            "diagnostics/",
            "http_server/",
            "hub/",
            "web/",
        ],
    ),
];

/// The files at `path`, or below it, in order. Panics if there are none.
fn files_below(path: &Path) -> Vec<PathBuf> {
    fn walk(path: PathBuf, found: &mut Vec<PathBuf>) {
        if path.is_dir() {
            for entry in fs::read_dir(path).expect("readable") {
                walk(entry.expect("entry").path(), found);
            }
        } else {
            found.push(path);
        }
    }
    let mut files = Vec::new();
    walk(path.to_owned(), &mut files);
    assert!(!files.is_empty(), "{} has no files", path.display());
    files.sort();
    files
}

fn is_rust(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "rs")
}

fn sources() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    files_below(&root)
        .into_iter()
        .filter(|path| is_rust(path))
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
fn rooms_use_only_lower_floors() {
    let mut wrong = Vec::new();
    for (file, text) in sources() {
        let own = room(&file);
        let allowed: Vec<&str> = if own == "ctl" {
            CTL.to_vec()
        } else if own == "hub" {
            HUB.to_vec()
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

/// Our build of jiff does not search for the system's zone, and would use UTC.
#[test]
fn local_times_use_the_zone_from_sys() {
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
fn every_package_is_used_only_in_its_home() {
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
fn unsafe_code_is_in_sys_only() {
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
fn the_top_level_has_only_what_belongs_there() {
    const ENTRIES: &str = ".cargo .ci .editorconfig .gitignore CHANGELOG.md CONTRIBUTING.md Cargo.lock Cargo.toml LICENSE README.md README.zh-CN.md debian \
        man packaging proptest-regressions rustfmt.toml src systemd tests";
    let listed = std::process::Command::new("git")
        .args(["ls-files"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output();
    let listed = match listed {
        Ok(output) if output.status.success() => String::from_utf8(output.stdout).expect("utf-8"),
        // A tarball has no list of its files.
        _ => return,
    };
    let entries: BTreeSet<&str> = listed
        .lines()
        .map(|file| file.split_once('/').map_or(file, |(first, _)| first))
        .collect();
    assert_eq!(entries, ENTRIES.split_whitespace().collect());
}

#[test]
fn every_module_has_documentation() {
    let wrong: Vec<String> = sources()
        .into_iter()
        .filter(|(_, text)| !text.starts_with("//!"))
        .map(|(file, _)| file)
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn no_code_is_unfinished() {
    // Written in two parts, so that the test does not find this file.
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

/// Retired words with their replacements. Three forms:
/// - in lower case (`heirloom`): the word by itself, or as a part of an identifier or of a file name (`StoredHeirloom`,
///   `heirloom_of`, `heirlooms.rs`);
/// - with a capital letter or an underscore (`Legacy`, `let_go`): exactly this identifier;
/// - with a dot (`succession.rs`): exactly this file name.
///
/// String literals are not searched: names on the wire and on disk stay as they are.
const RETIRED: &[(&str, &str)] = &[
    ("heirloom", "FdName"),
    ("keeper", "fd holder, FdHolder"),
    ("vault", "FdStore"),
    ("life", "instance, InstanceId"),
    ("tenure", "slot_generation"),
    ("ledger", "in-flight log, InFlightLog"),
    ("lodging", "CgroupManager"),
    ("tidings", "NotifyState"),
    ("legacy", "EngineState"),
    ("remnants", "PartialRecovery"),
    ("chronicle", "checkpoint"),
    ("heed", "PollNotify"),
    ("heeded", "NotifyPolled"),
    ("impersonated", "ForeignNotify"),
    ("diary", "ActivityJournal"),
    ("Waking", "AwaitingReady"),
    ("Failing", "Terminating"),
    ("Dying", "Reaped"),
    ("Aborting", "StopPending"),
    ("Rite", "ReapStep"),
    ("Was", "StageAtExit"),
    ("Starved", "WatchdogTimeout"),
    ("Triggered", "WatchdogTrigger"),
    ("Trouble", "LastError, ThreadProblem"),
    ("Ending", "ExitReason"),
    ("Causes", "ResourceEvents"),
    ("Hearing", "ListenerStage"),
    ("Moment", "Ctx"),
    ("Trail", "AuditContext"),
    ("Seat", "SlotEntry, ProcessCgroup"),
    ("Seats", "SlotTable"),
    ("Way", "Transport"),
    ("Estate", "OutputState"),
    ("Remains", "InstanceState"),
    ("Predecessor", "RecoverySource"),
    ("Leftover", "PendingReport"),
    ("Unsettled", "UnflushedChunk"),
    ("Lasting", "DaemonResources"),
    ("Ground", "StartContext"),
    ("open_anew", "cold_start"),
    ("open_again", "resume_start"),
    ("settle_in", "init_process"),
    ("lay_ghost", "release_orphan"),
    ("let_go", "detach"),
    ("lets_go", "detaches"),
    ("succession.rs", "handoff.rs"),
    ("affairs.rs", "daemon_control.rs"),
    ("roster.rs", "groups.rs"),
    ("survey.rs", "status.rs"),
    ("notice.rs", "notify_message.rs"),
    ("begin.rs", "start.rs"),
    ("halt.rs", "stop.rs"),
    ("end.rs", "exit.rs"),
    ("found.rs", "adopt.rs"),
    ("compose.rs", "scale.rs"),
    ("wind_down.rs", "shutdown.rs"),
    ("round.rs", "run_loop.rs"),
    ("opening.rs", "startup.rs"),
    ("intake.rs", "read_buffer.rs"),
    ("recall.rs", "journal_reader.rs"),
    ("setting.rs", "process_setup.rs"),
    ("puppet", "test child"),
    ("genuine", "reference"),
    ("errand", "SubcommandRun"),
    ("Front", "Transport, ServerHandle"),
    ("Heir", "ListenerCopy"),
    ("Door", "BusContext"),
    ("Purse", "RateKey"),
    ("Refusal", "BusError, SocketFileError"),
    ("Spoken", "ParsedArgs"),
    ("Verb", "Subcommand, PageAction"),
    ("Cast", "Sides"),
    ("stand_in", "fake_server"),
    ("keep_little", "tune_malloc"),
    ("give_back", "trim_heap"),
    ("letting_go", "detach_signal"),
    ("door.rs", "dbus/connection.rs"),
    ("refusal.rs", "error.rs"),
    ("guard.rs", "csrf.rs"),
    ("passed.rs", "passed_fds.rs, socket_activation.rs"),
    ("forked.rs", "test_fork.rs"),
    ("memory.rs", "malloc.rs"),
    ("Laws", "Invariants"),
    ("Speakers", "Notifiers"),
    ("Chance", "Rng"),
    ("laws.rs", "invariants.rs"),
    ("speakers.rs", "notifiers.rs"),
    ("chance.rs", "rng.rs"),
];

/// Exceptions from [`RETIRED`]: a log line whose name is a field in the journal.
const ALLOWED: &[&str] = &["KeeperFailed"];

/// Files, and directories that end in `/`, that must not contain [`RETIRED`] words. Relative to the root of the repository.
const ROOMS_DONE: &[&str] = &[
    "src/domain/",
    "src/core/",
    "src/fd_holder/",
    "src/cgroup/",
    "src/heartbeat/",
    "src/spawn/",
    "src/output/",
    "src/engine/",
    "src/handoff/",
    "src/http_server/",
    "src/hub/",
    "src/daemon/",
    "src/diagnostics/",
    "tests/fd_holder/",
    "tests/spawn/",
    "src/api/",
    "src/cli/",
    "src/config/",
    "src/control/",
    "src/ctl/",
    "src/import/",
    "src/pidproxy/",
    "src/server/",
    "src/service/",
    "src/sys/",
    "tests/blackbox/",
    "tests/compat/",
    "tests/config/",
    "tests/ctl/",
    "tests/fuzz/",
    "tests/hub/",
    "tests/manual/",
    "tests/packages/",
    "tests/sim/",
    "tests/support/",
    "tests/systemd/",
    "tests/web/",
];

/// The text without the contents of string literals. Comments stay.
fn without_strings(text: &str) -> String {
    let bytes: Vec<char> = text.chars().collect();
    let at = |place: usize| bytes.get(place).copied().unwrap_or('\0');
    let mut out = String::with_capacity(text.len());
    let mut place = 0;
    while place < bytes.len() {
        let c = at(place);
        let after_name = place > 0 && (at(place - 1).is_alphanumeric() || at(place - 1) == '_');
        if c == '/' && at(place + 1) == '/' {
            while place < bytes.len() && at(place) != '\n' {
                out.push(at(place));
                place += 1;
            }
            continue;
        }
        // A raw string: r"…" or r#"…"#, also with b or c before.
        let mut hashes = place + 1;
        while c == 'r' && at(hashes) == '#' {
            hashes += 1;
        }
        let is_prefixed = !after_name || matches!(at(place.wrapping_sub(1)), 'b' | 'c');
        if c == 'r' && is_prefixed && at(hashes) == '"' {
            let count = hashes - place - 1;
            place = hashes + 1;
            let ends = |place: usize| at(place) == '"' && (1..=count).all(|n| at(place + n) == '#');
            while place < bytes.len() && !ends(place) {
                place += 1;
            }
            place += count + 1;
            continue;
        }
        if c == '"' {
            place += 1;
            while place < bytes.len() && at(place) != '"' {
                place += if at(place) == '\\' { 2 } else { 1 };
            }
            place += 1;
            continue;
        }
        // A character literal; otherwise a lifetime.
        if c == '\'' && (at(place + 1) == '\\' || at(place + 2) == '\'') {
            place += if at(place + 1) == '\\' { 3 } else { 2 };
            while place < bytes.len() && at(place) != '\'' {
                place += 1;
            }
            place += 1;
            continue;
        }
        out.push(c);
        place += 1;
    }
    out
}

/// The words of an identifier in lower case: `StoredFdName` and `stored_fd_name` are `stored`, `fd`, `name`.
fn humps(identifier: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut before = ' ';
    for c in identifier.chars() {
        let begins = c == '_' || (c.is_uppercase() && !before.is_uppercase());
        if begins && words.last().is_some_and(|word| !word.is_empty()) {
            words.push(String::new());
        }
        if c != '_'
            && let Some(word) = words.last_mut()
        {
            word.extend(c.to_lowercase());
        }
        before = c;
    }
    words
}

/// Documents that must not contain retired words: files, and directories that end in `/`.
const TEXTS: &[&str] = &[
    "README.md",
    "README.zh-CN.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "man/",
    "packaging/README.md",
    "src/docs/",
    "systemd/",
    "tests/bench/README.md",
    "tests/compat/ROWS.md",
];
/// Words that are retired in documents only.
const RETIRED_IN_TEXTS: &[&str] = &["anew", "whoever"];

/// The entry of [`RETIRED`] that an identifier or a word of a comment matches. `None`: the word is allowed.
fn retired(identifier: &str) -> Option<&'static (&'static str, &'static str)> {
    if ALLOWED.contains(&identifier) {
        return None;
    }
    let humps = humps(identifier);
    RETIRED.iter().find(|(word, _)| {
        if word.contains(|c: char| c.is_uppercase() || c == '_') {
            identifier == *word
        } else {
            humps
                .iter()
                .any(|hump| hump == word || hump.strip_suffix('s') == Some(word))
        }
    })
}

#[test]
fn rooms_use_no_retired_word() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut wrong = Vec::new();
    for place in ROOMS_DONE {
        let mut files = files_below(&root.join(place));
        files.retain(|file| is_rust(file));
        assert!(!files.is_empty(), "{place} has no files");
        for file in files {
            let shown = file.strip_prefix(root).expect("below the root").display();
            let name = file.file_name().unwrap_or_default().to_string_lossy();
            let stem = name.trim_end_matches(".rs");
            let of_file = RETIRED.iter().find(|(word, _)| *word == name);
            if let Some((word, instead)) = of_file.or_else(|| retired(stem)) {
                wrong.push(format!(
                    "{shown}: the name of the file has {word}: {instead}"
                ));
            }
            let text = fs::read_to_string(&file).expect("utf-8");
            let text = without_strings(&text);
            let words: BTreeSet<&str> = text
                .split(|c: char| !c.is_alphanumeric() && c != '_')
                .collect();
            let found: BTreeSet<_> = words.into_iter().filter_map(retired).collect();
            for (word, instead) in found {
                wrong.push(format!("{shown}: {word}: {instead}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn texts_use_no_retired_word() {
    // Retired names of types are ordinary words at the beginning of a sentence, so they are allowed here.
    let is_word = |word: &&str| word.chars().all(|c| c.is_ascii_lowercase());
    let banned: Vec<&str> = RETIRED
        .iter()
        .map(|(word, _)| *word)
        .filter(is_word)
        .chain(RETIRED_IN_TEXTS.iter().copied())
        .collect();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut wrong = Vec::new();
    for place in TEXTS {
        for file in files_below(&root.join(place)) {
            let text = fs::read_to_string(&file).expect("utf-8");
            for (number, line) in text.lines().enumerate() {
                let lower = line.to_lowercase();
                let mut words = lower.split(|c: char| !c.is_alphanumeric() && c != '_');
                if let Some(word) = words.find(|word| banned.contains(word)) {
                    let shown = file.strip_prefix(root).expect("below the root").display();
                    wrong.push(format!("{shown}:{}: {word}", number + 1));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn retired_words_are_found_in_every_form() {
    for found in [
        "heirloom",
        "Heirlooms",
        "of_heirloom",
        "StoredHeirloom",
        "HEIRLOOM_MAX",
        "Life",
    ] {
        assert!(retired(found).is_some(), "{found}");
    }
    for other in ["moment", "lifetime", "Lifetime", "FdName"] {
        assert!(retired(other).is_none(), "{other}");
    }
    let text = "a('\"', \"b\\\"c\", r#\"d\"e\"#, '\\'', f::<'g>); // \"h\"\n\"i\"";
    let left = without_strings(text);
    let words: String = left.chars().filter(|c| c.is_alphabetic()).collect();
    assert_eq!(words, "afgh");
}
