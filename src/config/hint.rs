//! Suggests what an unknown key, section or value was probably meant to be.

use super::key::{SectionKind, ValueKind};
use crate::domain::Level;

/// Maximum edit distance of a suggestion.
const DISTANCE_MAX: usize = 2;

/// Keys of other process managers and short forms, by the key of program sections that means the same.
const PROGRAM_SYNONYMS: &[(&str, &[&str])] = &[
    (
        "command",
        &["cmd", "exec", "execstart", "exec_start", "run", "script"],
    ),
    ("process_name", &["name"]),
    ("numprocs", &["instances", "processes", "procs", "workers"]),
    (
        "directory",
        &[
            "cwd",
            "dir",
            "chdir",
            "workdir",
            "working_dir",
            "workingdir",
            "working_directory",
            "workingdirectory",
        ],
    ),
    ("environment", &["env", "envs", "environ"]),
    (
        "environment_file",
        &["env_file", "envfile", "environmentfile", "dotenv"],
    ),
    ("autostart", &["start", "enabled", "start_on_boot"]),
    (
        "autorestart",
        &["restart", "respawn", "keepalive", "keep_alive"],
    ),
    (
        "startsecs",
        &["start_secs", "startseconds", "start_seconds"],
    ),
    (
        "startretries",
        &[
            "retries",
            "restarts",
            "maxretries",
            "max_retries",
            "max_restarts",
        ],
    ),
    ("stopsignal", &["killsignal", "kill_signal"]),
    (
        "stopwaitsecs",
        &[
            "stop_timeout",
            "stoptimeout",
            "timeoutstopsec",
            "stopsecs",
            "stopwait",
        ],
    ),
    ("user", &["username", "uid", "run_as", "runas"]),
    ("group", &["gid"]),
    (
        "stdout_logfile",
        &[
            "logfile",
            "log_file",
            "log",
            "stdout",
            "stdout_log",
            "stdout_file",
            "stdout_path",
            "out_file",
            "standardoutput",
        ],
    ),
    (
        "stderr_logfile",
        &[
            "stderr",
            "stderr_log",
            "stderr_file",
            "stderr_path",
            "error_log",
            "errorlog",
            "err_file",
            "error_file",
            "standarderror",
        ],
    ),
    (
        "stdout_logfile_maxbytes",
        &["logfile_maxbytes", "stdout_maxbytes", "maxbytes"],
    ),
    (
        "stdout_logfile_backups",
        &["logfile_backups", "stdout_backups", "backups"],
    ),
    ("stderr_logfile_maxbytes", &["stderr_maxbytes"]),
    ("stderr_logfile_backups", &["stderr_backups"]),
    ("stdout_capture_maxbytes", &["capture_maxbytes"]),
    ("exitcodes", &["successexitstatus", "success_exit_status"]),
    ("watchdogsecs", &["watchdogsec", "watchdog_sec", "watchdog"]),
    (
        "depends_on",
        &[
            "depends",
            "dependencies",
            "requires",
            "wants",
            "after",
            "needs",
        ],
    ),
    ("restart_with", &["partof", "part_of", "bindsto"]),
];

/// The synonyms for `[supervisord]`.
const DAEMON_SYNONYMS: &[(&str, &[&str])] = &[
    ("logfile", &["log", "log_file", "stdout_logfile"]),
    ("logfile_maxbytes", &["maxbytes", "stdout_logfile_maxbytes"]),
    ("logfile_backups", &["backups", "stdout_logfile_backups"]),
    ("loglevel", &["log_level", "level"]),
    ("pidfile", &["pid", "pid_file"]),
    ("nodaemon", &["foreground", "daemon", "daemonize"]),
    (
        "directory",
        &["cwd", "chdir", "workdir", "working_directory"],
    ),
    ("environment", &["env"]),
    ("identifier", &["name", "id"]),
];

/// The synonyms for `[supervisorctl]`.
const CLIENT_SYNONYMS: &[(&str, &[&str])] = &[
    (
        "serverurl",
        &["url", "server_url", "server", "socket", "file"],
    ),
    ("username", &["user"]),
    ("password", &["pass", "passwd"]),
    ("history_file", &["history"]),
];

/// The synonyms for `[unix_http_server]` and `[inet_http_server]`, as far as each has the key.
const SERVER_SYNONYMS: &[(&str, &[&str])] = &[
    ("file", &["socket", "path"]),
    ("port", &["listen", "bind", "address"]),
    ("chmod", &["mode", "socket_mode"]),
    ("chown", &["owner", "socket_owner"]),
    ("username", &["user"]),
    ("password", &["pass", "passwd"]),
];

/// The synonyms for `[include]`.
const INCLUDE_SYNONYMS: &[(&str, &[&str])] = &[("files", &["include", "path", "paths", "conf"])];

/// The synonyms for `[group:x]`.
const GROUP_SYNONYMS: &[(&str, &[&str])] = &[("programs", &["members", "processes"])];

/// The synonyms for `[notify:x]`.
const NOTIFY_SYNONYMS: &[(&str, &[&str])] = &[
    ("on", &["events", "conditions", "when", "states"]),
    ("command", &["cmd", "exec", "run", "url", "webhook"]),
    (
        "programs",
        &["program", "processes", "groups", "on_programs"],
    ),
];

/// Keys of program sections in the Go re-implementation that are not supported here, in lower case.
const NOT_YET: &[&str] = &[
    "killwaitsecs",
    "syslog_facility",
    "syslog_stderr_priority",
    "syslog_stdout_priority",
    "syslog_tag",
];

fn has_programs(kind: SectionKind) -> bool {
    matches!(
        kind,
        SectionKind::Program
            | SectionKind::ProgramDefault
            | SectionKind::Listener
            | SectionKind::Fcgi
    )
}

/// Whether the key (lower case) is an unsupported one of the Go re-implementation.
pub(super) fn is_not_yet(kind: SectionKind, key: &str) -> bool {
    match kind {
        kind if has_programs(kind) => NOT_YET.contains(&key),
        SectionKind::InetServer => key == "remotes",
        _ => false,
    }
}

/// Whether the key (lower case) belongs to another tool that shares the file, such as the event listener
/// supervisord-dependent-startup.
pub(super) fn is_anothers(kind: SectionKind, key: &str) -> bool {
    has_programs(kind) && (key.starts_with("dependent_startup") || key == "depend")
}

/// Suggests a key for an unknown one (lower case). `None`: no suggestion.
pub(super) fn of_key(kind: SectionKind, key: &str) -> Option<String> {
    let synonyms = match kind {
        SectionKind::Daemon => DAEMON_SYNONYMS,
        SectionKind::Client => CLIENT_SYNONYMS,
        SectionKind::UnixServer | SectionKind::InetServer => SERVER_SYNONYMS,
        SectionKind::Include => INCLUDE_SYNONYMS,
        SectionKind::Group => GROUP_SYNONYMS,
        SectionKind::Program
        | SectionKind::ProgramDefault
        | SectionKind::Listener
        | SectionKind::Fcgi => PROGRAM_SYNONYMS,
        SectionKind::Notify => NOTIFY_SYNONYMS,
        SectionKind::Nacos
        | SectionKind::Source
        | SectionKind::RpcInterface
        | SectionKind::CtlPlugin => &[],
    };
    let is_key = |name: &str| kind.keys().any(|known| known.name == name);
    let same = synonyms
        .iter()
        .find(|(name, words)| words.contains(&key) && is_key(name))
        .map(|&(name, _)| name);
    let close = same.or_else(|| closest(key, kind.keys().map(|known| known.name)));
    if let Some(name) = close {
        return Some(format!("did you mean {name}?"));
    }
    let others = SectionKind::with_key(key);
    (!others.is_empty()).then(|| format!("it is a key of {}", others.join(" and ")))
}

/// Suggests a section for an unknown one. `has_command`: it has the key `command`. `None`: no suggestion.
pub(super) fn of_section(name: &str, has_command: bool) -> Option<String> {
    let trimmed = name.trim();
    let (prefix, title) = split(trimmed);
    let meant = |word: &str, title: &str| format!("did you mean [{word}{}]?", title.trim());
    let prefix = prefix.trim_end_matches(':').trim();
    let whole = |word: &str| word.trim_end_matches(':').to_owned();
    // A section with a name after the colon is probably a misspelling of one with a name, and the other way round.
    let words = || SectionKind::prefixes().filter(|word| title.is_empty() || word.ends_with(':'));
    let lower = prefix.to_lowercase();
    // `[program web]`, `[program.web]`.
    let spoken = SectionKind::prefixes()
        .filter(|word| title.is_empty() && word.ends_with(':'))
        .find_map(|word| {
            let rest = lower.strip_prefix(whole(word).as_str())?;
            let title = rest.strip_prefix([' ', '\t', '.', ';', '-', '_', '='])?;
            let title = trimmed.get(trimmed.len().checked_sub(title.len())?..)?;
            (!title.is_empty()).then(|| meant(word, title))
        });
    if spoken.is_some() {
        return spoken;
    }
    let near = words()
        .map(|word| (distance(&lower, &whole(word)), word))
        .filter(|&(edits, word)| edits <= DISTANCE_MAX && edits < word.len())
        .min_by_key(|&(edits, _)| edits);
    if let Some((_, word)) = near {
        return Some(meant(word, title));
    }
    has_command.then(|| meant(SectionKind::Program.prefix(), trimmed))
}

/// Whether an unknown section is probably a misspelling of `section`, which has no name of its own.
pub(super) fn is_close_to(name: &str, section: &str) -> bool {
    closest(name.trim(), SectionKind::prefixes()) == Some(section)
}

/// Suggests a value for a wrong one, or explains why it is not supported. `None`: no suggestion.
pub(super) fn of_value(kind: ValueKind, value: &str) -> Option<String> {
    let value = value.trim();
    let lower = value.to_lowercase();
    match kind {
        ValueKind::Level => {
            let names = Level::ALL.iter().map(|&(_, name, _)| name);
            let meant = match lower.as_str() {
                "err" => Some("error"),
                "crit" | "alert" | "emerg" => Some("critical"),
                "notice" | "information" => Some("info"),
                "verbose" => Some("debug"),
                other => closest(other, names),
            };
            let expected = kind.expected();
            meant.map(|name| format!("did you mean {name}? It is {expected}"))
        }
        ValueKind::Boolean => {
            let words = ["yes", "true", "on", "no", "false", "off"];
            let meant = closest(&lower, words.into_iter().filter(|word| word.len() > 2));
            meant.map(|word| format!("did you mean {word}? It is {}", kind.expected()))
        }
        ValueKind::AutoRestart => {
            let meant = match lower.as_str() {
                "always" => Some("true"),
                "never" => Some("false"),
                "on-failure" | "on_failure" => Some("unexpected"),
                other => closest(other, ["true", "false", "unexpected"].into_iter()),
            };
            meant.map(|word| format!("did you mean {word}? It is {}", kind.expected()))
        }
        ValueKind::ByteSize => {
            let (number, unit) = (
                lower.trim_end_matches(|c: char| c.is_ascii_alphabetic()),
                lower.trim_start_matches(|c: char| c.is_ascii_digit()),
            );
            let unit = match unit {
                "k" | "kib" => "KB",
                "m" | "mib" => "MB",
                "g" | "gib" => "GB",
                "b" => "",
                _ => return None,
            };
            Some(format!("did you mean {number}{unit}?"))
        }
        _ => None,
    }
}

/// A warning about a valid log file that the Go re-implementation interprets differently.
pub(super) fn of_logfile(value: &str) -> Option<&'static str> {
    let lower = value.trim().to_lowercase();
    let rest = lower.strip_prefix("syslog")?;
    let means_server = rest.starts_with([' ', '\t', ':']);
    means_server.then_some("is taken as a file name; write syslog @HOST for a syslog server")
}

/// Splits a section's name after its colon.
fn split(name: &str) -> (&str, &str) {
    match name.find(':') {
        Some(at) => (&name[..=at], &name[at + 1..]),
        None => (name, ""),
    }
}

/// The nearest known word, if its edit distance is at most [`DISTANCE_MAX`].
/// The name that is closest to `name`. `None`: none is close.
pub(super) fn closest_name<'n>(name: &str, known: &'n [String]) -> Option<&'n str> {
    closest(name, known.iter().map(String::as_str))
}

fn closest<'w>(word: &str, known: impl Iterator<Item = &'w str>) -> Option<&'w str> {
    let lower = word.to_lowercase();
    known
        .map(|candidate| (distance(&lower, candidate), candidate))
        .filter(|&(edits, candidate)| edits <= DISTANCE_MAX && edits < candidate.len())
        .min_by_key(|&(edits, _)| edits)
        .map(|(_, candidate)| candidate)
}

/// The nearest of the names that a configuration has. `None`: none is close.
pub fn of_name<'w>(word: &str, known: impl Iterator<Item = &'w str>) -> Option<&'w str> {
    closest(word, known)
}

/// The nearest of names whose case counts, such as those of variables. `None`: none is close.
pub(super) fn of_case<'w>(word: &str, known: impl Iterator<Item = &'w str>) -> Option<&'w str> {
    known
        .map(|candidate| (distance(word, candidate), candidate))
        .filter(|&(edits, candidate)| edits <= DISTANCE_MAX && edits * 2 < candidate.len())
        .min()
        .map(|(_, candidate)| candidate)
}

/// The edit distance of two words: inserted, deleted or replaced letters. Returns at most `DISTANCE_MAX + 1`, and then
/// without the work.
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    if from.chars().count().abs_diff(to.len()) > DISTANCE_MAX {
        return DISTANCE_MAX + 1;
    }
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (index, c) in from.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = index + 1;
        for (column, &other) in to.iter().enumerate() {
            let replaced = diagonal + usize::from(c != other);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hints_for_keys_prefer_meaning_over_spelling() {
        use SectionKind::{Client, Daemon, Fcgi, Group, Include, Program, UnixServer};
        for (kind, key, hint) in [
            (Program, "logfile", Some("did you mean stdout_logfile?")),
            (Program, "restart", Some("did you mean autorestart?")),
            (
                Program,
                "stdout_maxbytes",
                Some("did you mean stdout_logfile_maxbytes?"),
            ),
            (Program, "autostrt", Some("did you mean autostart?")),
            (Program, "loglevel", Some("it is a key of [supervisord]")),
            (
                Program,
                "socket_mode",
                Some("it is a key of [fcgi-program:x]"),
            ),
            (Fcgi, "cwd", Some("did you mean directory?")),
            (Daemon, "stdout_logfile", Some("did you mean logfile?")),
            (Daemon, "autostart", Some("it is a key of [program:x]")),
            (Client, "user", Some("did you mean username?")),
            (
                UnixServer,
                "port",
                Some("it is a key of [inet_http_server]"),
            ),
            (UnixServer, "mode", Some("did you mean chmod?")),
            (Include, "file", Some("did you mean files?")),
            (Group, "members", Some("did you mean programs?")),
            (Program, "nosuchthing", None),
        ] {
            assert_eq!(of_key(kind, key).as_deref(), hint, "{kind:?} {key}");
        }
    }

    #[test]
    fn hints_for_sections_include_their_names() {
        for (name, has_command, hint) in [
            (" program:web", true, Some("did you mean [program:web]?")),
            ("program :api", true, Some("did you mean [program:api]?")),
            ("progam:x", false, Some("did you mean [program:x]?")),
            ("program web", true, Some("did you mean [program:web]?")),
            ("Program.Web", true, Some("did you mean [program:Web]?")),
            ("Supervisord", false, Some("did you mean [supervisord]?")),
            ("supervisor", false, Some("did you mean [supervisord]?")),
            ("web", true, Some("did you mean [program:web]?")),
            ("web", false, None),
            ("includes", false, Some("did you mean [include]?")),
            ("group g", false, Some("did you mean [group:g]?")),
        ] {
            assert_eq!(of_section(name, has_command).as_deref(), hint, "{name}");
        }
    }

    #[test]
    fn hints_for_values_go_by_meaning() {
        for (kind, value, part) in [
            (ValueKind::Level, "wran", "did you mean warn?"),
            (ValueKind::Level, "inof", "did you mean info?"),
            (ValueKind::Boolean, "ture", "did you mean true?"),
            (ValueKind::AutoRestart, "always", "did you mean true?"),
            (ValueKind::ByteSize, "10M", "did you mean 10MB?"),
        ] {
            let hint = of_value(kind, value).unwrap_or_default();
            assert!(hint.contains(part), "{value}: {hint}");
        }
        for (kind, value) in [
            (ValueKind::Level, "loudest"),
            (ValueKind::Signals, "NOSUCH"),
            (ValueKind::User, "nosuch:nogroup"),
            (ValueKind::Integer, "x"),
        ] {
            assert_eq!(of_value(kind, value), None, "{value}");
        }
    }
}
