//! Log files: shared, rotated streams, words that are no files, and directories that the daemon cannot write to.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use super::super::hint;
use super::super::key::SectionKind;
use super::super::lookup::FileKind;
use super::super::path::{absolute, dirname};
use super::super::problem::SourceSpan;
use super::super::spec::{LogSpec, LogTarget, ProcessSpec, ServerAddress};
use super::explained::Explained;
use super::input::{Findings, LintInput, LintProgram};
use super::rule::Rule;
use crate::domain::Bytes;

/// Words that are targets of logs.
const WORDS: [&str; 5] = ["NONE", "AUTO", "syslog", "journal", "memory"];
/// Words that are no targets, with what is meant.
const MEANT: &[(&str, &str)] = &[
    ("stdout", "/dev/stdout, and set its maxbytes to 0"),
    ("stderr", "/dev/stderr, and set its maxbytes to 0"),
    ("systemd", "journal"),
    ("console", "/dev/stdout, and set its maxbytes to 0"),
    ("null", "NONE"),
    ("off", "NONE"),
    ("false", "NONE"),
    ("no", "NONE"),
    ("discard", "NONE"),
];
/// Directories of streams and devices, whose files cannot be rotated.
const STREAMS: [&str; 2] = ["/dev/", "/proc/"];
/// Maximum number of directories that are reported as not writable.
const DIRECTORIES_MAX: usize = 50;

/// Both streams with their keys.
fn streams(process: &ProcessSpec) -> [(&'static str, &LogSpec); 2] {
    [
        ("stdout_logfile", &process.stdout),
        ("stderr_logfile", &process.stderr),
    ]
}

/// The files of a log.
fn files(log: &LogSpec) -> impl Iterator<Item = &Path> {
    let first = match &log.target {
        LogTarget::File(path) => Some(&**path),
        _ => None,
    };
    first
        .into_iter()
        .chain(log.more_files.iter().map(|path| &**path))
}

fn is_stream(path: &str) -> bool {
    STREAMS.iter().any(|directory| path.starts_with(directory))
}

/// Checks the logs of programs.
pub(super) fn check(input: &LintInput<'_>, found: &mut Findings) {
    for program in &input.programs {
        check_words(program, found);
        check_rotated_streams(program, found);
    }
    check_shared(input, found);
    check_directories(input, found);
}

/// Finds words that are log files by mistake, and `journald`.
fn check_words(program: &LintProgram<'_>, found: &mut Findings) {
    for key in ["stdout_logfile", "stderr_logfile"] {
        let Some(entry) = program.entry(key) else {
            continue;
        };
        let word = entry.value.as_str();
        let lower = word.to_lowercase();
        let is_word = |word: &str| WORDS.iter().any(|known| known.eq_ignore_ascii_case(word));
        if word.is_empty() || is_word(word) || word.contains(['/', '.', '@', '%', ',', ' ']) {
            continue;
        }
        let meant = MEANT.iter().find(|(known, _)| *known == lower);
        let meant = meant.map(|&(_, meant)| meant.to_owned()).or_else(|| {
            let known = WORDS.map(str::to_lowercase);
            let near = hint::of_case(&lower, known.iter().map(String::as_str))?;
            let known = WORDS.iter().find(|known| known.eq_ignore_ascii_case(near));
            known.map(|known| (*known).to_owned())
        });
        let (text, remedy) = match (lower.as_str(), meant) {
            ("journald", _) => (
                format!(
                    "{key}: {word} is read as journal; Supervisor writes a file with this name"
                ),
                "write journal".to_owned(),
            ),
            (_, Some(meant)) => (
                format!("{key}: {word} is the name of a file in the directory of supervisord"),
                format!("write {meant}"),
            ),
            _ => continue,
        };
        let explained = Explained::new(Rule::LogWord, text).key(key);
        found.push((entry.value_span(), explained.remedy(remedy)));
    }
}

/// Finds streams such as `/dev/stdout` with a size for rotation.
fn check_rotated_streams(program: &LintProgram<'_>, found: &mut Findings) {
    let Some(process) = program.first() else {
        return;
    };
    for (key, log) in streams(process) {
        let LogTarget::File(path) = &log.target else {
            continue;
        };
        let path = path.to_string_lossy();
        if is_stream(&path) && path != "/dev/null" && log.maxbytes > Bytes(0) {
            let size = format!("{key}_maxbytes");
            let text = format!(
                "{key}: {path} cannot be rotated, but {size} is {}",
                log.maxbytes.0
            );
            let explained = Explained::new(Rule::RotatedStream, text).key(key);
            found.push((program.span(key), explained.remedy(format!("add {size}=0"))));
        }
    }
}

/// A log that writes a file, as it was seen first.
struct Writer<'a> {
    program: &'a LintProgram<'a>,
    process: &'a ProcessSpec,
    key: &'static str,
}

/// Finds files that several programs, processes or streams write and rotate.
fn check_shared<'a>(input: &'a LintInput<'a>, found: &mut Findings) {
    let mut writers: HashMap<String, Writer<'a>> = HashMap::new();
    let mut told: HashSet<(String, &str)> = HashSet::new();
    let main = input.daemon.logfile.to_string_lossy().into_owned();
    for program in &input.programs {
        for process in &program.processes {
            for (key, log) in streams(process) {
                let is_rotated = log.maxbytes > Bytes(0);
                for path in files(log).filter(|_| is_rotated) {
                    let path = absolute(&path.to_string_lossy(), input.lookup);
                    if is_stream(&path) {
                        continue;
                    }
                    let text = match writers.get(&path) {
                        _ if path == main => {
                            format!("{key}: {path} is also the log of supervisord")
                        }
                        None => {
                            writers.insert(
                                path,
                                Writer {
                                    program,
                                    process,
                                    key,
                                },
                            );
                            continue;
                        }
                        Some(first) => shared_by(first, program, process, key, &path),
                    };
                    let name = program.section.name.as_str();
                    if !told.insert((path, name)) {
                        continue;
                    }
                    let remedy = match program.processes.len() {
                        0 | 1 => String::new(),
                        _ => format!("write %(process_num)d or %(process_name)s in {key}"),
                    };
                    let explained = Explained::new(Rule::SharedLog, text).key(key);
                    found.push((program.span(key), explained.remedy(remedy)));
                }
            }
        }
    }
}

/// Who shares a file.
fn shared_by(
    first: &Writer<'_>,
    program: &LintProgram<'_>,
    process: &ProcessSpec,
    key: &str,
    path: &str,
) -> String {
    let (own, other) = (&program.section.name, &first.program.section.name);
    if own != other {
        return format!("{key}: [{other}] writes and rotates {path} too");
    }
    match process.name == first.process.name && process.group == first.process.group {
        true => format!(
            "{key}: {} of the same program writes and rotates {path} too",
            first.key
        ),
        false => format!(
            "{key}: all {} processes of [{own}] write and rotate {path}",
            program.processes.len()
        ),
    }
}

/// A file that the daemon writes: its key, its span and its path.
type WrittenFile = (&'static str, SourceSpan, String);

/// The files that the daemon writes.
fn written_files(input: &LintInput<'_>) -> Vec<WrittenFile> {
    let daemon = SectionKind::Daemon.prefix();
    let span = |section: &str, key: &str| {
        let entry = input.entry(section, key);
        entry.map_or_else(SourceSpan::default, |entry| entry.value_span())
    };
    let mut files = vec![(
        "pidfile",
        span(daemon, "pidfile"),
        input.daemon.pidfile.to_string_lossy().into_owned(),
    )];
    if input.daemon.logfile.is_absolute() {
        let path = input.daemon.logfile.to_string_lossy().into_owned();
        files.push(("logfile", span(daemon, "logfile"), path));
    }
    for server in input.servers {
        if let ServerAddress::Unix { path, .. } = &server.address {
            let path = path.to_string_lossy().into_owned();
            files.push(("file", span(&server.section, "file"), path));
        }
    }
    for program in &input.programs {
        let Some(process) = program.first() else {
            continue;
        };
        for (key, log) in streams(process) {
            for path in files_of(log, input) {
                files.push((key, program.span(key), path));
            }
        }
    }
    files
}

fn files_of(log: &LogSpec, input: &LintInput<'_>) -> Vec<String> {
    let paths = files(log).map(|path| absolute(&path.to_string_lossy(), input.lookup));
    paths.filter(|path| !is_stream(path)).collect()
}

/// Finds directories in which the user of the daemon cannot create files. Root can create them everywhere. If another
/// user checks a file that is not its own, the daemon is probably started by root.
fn check_directories(input: &LintInput<'_>, found: &mut Findings) {
    let uid = match &input.daemon.user {
        Some(user) => user.uid,
        None => {
            let main = input
                .files
                .first()
                .and_then(|main| input.lookup.file_facts(main));
            let own = input.lookup.uid();
            if main.is_none_or(|facts| facts.uid != own) {
                return;
            }
            own
        }
    };
    if uid == 0 {
        return;
    }
    let mut groups = input.lookup.groups_of(uid);
    groups.extend(input.daemon.user.as_ref().and_then(|user| user.gid));
    let mut known: HashMap<String, bool> = HashMap::new();
    for (key, span, path) in written_files(input) {
        let directory = dirname(&path).to_owned();
        // Each directory is reported at its first file.
        if known.len() > DIRECTORIES_MAX || known.contains_key(&directory) {
            continue;
        }
        let Some(facts) = input.lookup.file_facts(&directory) else {
            continue;
        };
        let bits = match () {
            () if facts.uid == uid => facts.mode >> 6,
            () if groups.contains(&facts.gid) => facts.mode >> 3,
            () => facts.mode,
        };
        let is_writable = facts.kind != FileKind::Directory || bits & 0o3 == 0o3;
        known.insert(directory.clone(), is_writable);
        if !is_writable {
            let name = input.daemon.user.as_ref().map(|user| user.name.clone());
            let user = name.unwrap_or_else(|| format!("uid {uid}"));
            let text = format!(
                "{key}: supervisord runs as {user}, which cannot create files in {directory}"
            );
            let remedy = format!("run chown {user} {directory}, or name another directory");
            let explained = Explained::new(Rule::UnwritableLog, text).key(key);
            found.push((span, explained.remedy(remedy)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::lookup::Fake;
    use super::super::testing::{codes, reports};

    fn machine() -> Fake {
        Fake::default().with("/bin/a", "\u{0}")
    }

    #[test]
    fn logs_that_several_write_are_found() {
        let b = "[program:b]\ncommand=/bin/a\n";
        for (lines, count) in [
            (format!("stdout_logfile=/var/log/x\n{b}stdout_logfile=/var/log/../log/x\n"), 1),
            (format!("stdout_logfile=/var/log/x\n{b}stdout_logfile=/var/log/y\n"), 0),
            (format!("stdout_logfile=/var/log/x\nstdout_logfile_maxbytes=0\n{b}stdout_logfile=/var/log/x\n"), 0),
            ("stdout_logfile=/var/log/x\nstderr_logfile=/var/log/x\n".to_owned(), 1),
            ("stdout_logfile=/var/log/x\nstderr_logfile=/var/log/x\nredirect_stderr=true\n".to_owned(), 0),
            ("numprocs=3\nprocess_name=%(process_num)d\nstdout_logfile=/var/log/x\n".to_owned(), 1),
            ("numprocs=3\nprocess_name=%(process_num)d\nstdout_logfile=/var/log/%(process_num)d\n".to_owned(), 0),
            ("stdout_logfile=/var/log/s.log\n".to_owned(), 1),
        ] {
            let text = format!("[program:a]\ncommand=/bin/a\n{lines}");
            let found = codes(machine(), &text);
            let shared = found.iter().filter(|code| *code == "shared-log").count();
            assert_eq!(shared, count, "{lines}: {found:?}");
        }
    }

    #[test]
    fn words_and_streams_are_found() {
        for (lines, code) in [
            ("stdout_logfile=journald", Some("log-word")),
            ("stdout_logfile=jounal", Some("log-word")),
            ("stdout_logfile=stdout", Some("log-word")),
            ("stdout_logfile=journal", None),
            ("stdout_logfile=none", None),
            ("stdout_logfile=out", None),
            ("stdout_logfile=/dev/stdout", Some("rotated-stream")),
            (
                "stdout_logfile=/dev/stdout\nstdout_logfile_maxbytes=0",
                None,
            ),
            ("stdout_logfile=/dev/null", None),
        ] {
            let text = format!("[program:a]\ncommand=/bin/a\n{lines}\n");
            let found = codes(machine(), &text);
            assert_eq!(
                found.first().map(String::as_str),
                code,
                "{lines}: {found:?}"
            );
        }
    }

    #[test]
    fn directories_are_checked_for_the_user_of_the_daemon() {
        let mut machine = machine();
        machine.uid = 0;
        for (user, count) in [("", 0), ("user=root\n", 0), ("user=web\n", 1)] {
            // The section of the helper follows, and is merged.
            let text = format!("[supervisord]\n{user}");
            let found = reports(machine.clone(), &text);
            let found = found
                .iter()
                .filter(|it| it.explained.rule.code() == "unwritable-log");
            assert_eq!(found.count(), count, "{user}");
        }
    }
}
