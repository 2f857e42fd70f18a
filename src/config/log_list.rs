//! Parses the `*_logfile` keys of a program: one target, or a list of targets.

use std::path::Path;
use std::sync::Arc;

use super::log_target::{self, NamedTargets, SyslogServer};
use super::lookup::Lookup;
use super::value::{LogfileValue, list, logfile};

/// The daemon's own streams. They are log targets that cannot be read back.
const OWN_STREAMS: [&str; 2] = ["/dev/stdout", "/dev/stderr"];
/// Discards what it gets.
const DISCARD: &str = "/dev/null";

/// All targets of a `*_logfile` key of a program.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogTargets {
    /// The target that the `tail` and `read` methods read, or one of the words.
    pub file: LogfileValue,
    /// Further files of a list, and the daemon's own streams in a list.
    pub more_files: Vec<Arc<Path>>,
    /// The other targets, but not the word `syslog` by itself.
    pub named: NamedTargets,
}

/// Parses what [`logfile`] takes, the word of another target such as `journal`, or a list of targets: files (paths or
/// AUTO) and words of targets, each at most once. A text with commas is a list if one of its items is the word of a
/// target, or if each item has a slash and the text as a whole is no path in an existing directory. Otherwise it is one
/// path, because a path may contain commas.
///
/// # Errors
/// A directory that does not exist, or a syslog server that is not valid; in a list: an empty item, NONE, or a target
/// that is named twice.
// Differs: Supervisor takes both for file names.
pub fn log_targets(text: &str, lookup: &dyn Lookup) -> Result<LogTargets, String> {
    let mut targets = LogTargets::default();
    let items = list(text);
    if items.len() < 2 || !is_list(text, &items, lookup) {
        if let Some(Err(why)) = SyslogServer::parse(text) {
            return Err(why);
        }
        if text.eq_ignore_ascii_case(log_target::MEMORY) {
            targets.file = LogfileValue::Memory;
        } else if text.eq_ignore_ascii_case(log_target::SYSLOG) || !targets.named.add(text) {
            targets.file = logfile(text, lookup)?;
        }
        return Ok(targets);
    }
    let mut seen: Vec<String> = Vec::new();
    for item in &items {
        let name = add_item(&mut targets, item, lookup, text)?;
        if seen.contains(&name) {
            return Err(format!("the list {text} names {name} twice"));
        }
        seen.push(name);
    }
    Ok(targets)
}

fn is_list(text: &str, items: &[String], lookup: &dyn Lookup) -> bool {
    items.iter().any(|item| log_target::is_target(item))
        || (items.iter().all(|item| item.contains('/')) && logfile(text, lookup).is_err())
}

/// Adds the target of an item. Returns the name by which the target is known to be the same as another one.
fn add_item(
    targets: &mut LogTargets,
    item: &str,
    lookup: &dyn Lookup,
    text: &str,
) -> Result<String, String> {
    if let Some(server) = SyslogServer::parse(item) {
        let server = server?;
        let name = server.to_string();
        targets.named.servers.push(server);
        return Ok(name);
    }
    if targets.named.add(item) {
        let lower = item.to_lowercase();
        return Ok(if lower == "journald" {
            "journal".to_owned()
        } else {
            lower
        });
    }
    let file = match item.eq_ignore_ascii_case(log_target::MEMORY) {
        true => LogfileValue::Memory,
        false => logfile(item, lookup)?,
    };
    let name = match &file {
        LogfileValue::None | LogfileValue::Syslog => {
            return Err(format!("{item} is not allowed in the list {text}"));
        }
        LogfileValue::File(path) if path.is_empty() => {
            return Err(format!("the list {text} has an empty item"));
        }
        LogfileValue::Auto => "AUTO".to_owned(),
        LogfileValue::Memory => log_target::MEMORY.to_owned(),
        LogfileValue::File(path) => path.clone(),
    };
    let is_free = targets.file == LogfileValue::None;
    match file {
        LogfileValue::File(path) if path == DISCARD => {}
        LogfileValue::File(path) if OWN_STREAMS.contains(&path.as_str()) || !is_free => {
            targets.more_files.push(Arc::from(Path::new(&path)));
        }
        LogfileValue::Memory if !is_free => {}
        LogfileValue::Auto if !is_free => {
            return Err(format!(
                "AUTO is not the first file of the list {text}, which is the one that can be read"
            ));
        }
        file => targets.file = file,
    }
    Ok(name)
}

#[cfg(test)]
mod tests {
    use super::super::log_target::JournalSpec;
    use super::super::lookup::Fake;
    use super::*;

    #[test]
    fn a_log_accepts_files_journal_and_syslog() {
        let machine = Fake::default();
        let with_journal = |journal: bool| NamedTargets {
            journal: journal.then_some(JournalSpec { limit: None }),
            ..NamedTargets::default()
        };
        let of = |file, journal, syslog| {
            Ok(LogTargets {
                file,
                more_files: Vec::new(),
                named: NamedTargets {
                    syslog,
                    ..with_journal(journal)
                },
            })
        };
        let file = |path: &str| LogfileValue::File(path.to_owned());
        for (text, expected) in [
            ("journal", of(LogfileValue::None, true, false)),
            ("Journald", of(LogfileValue::None, true, false)),
            ("syslog", of(LogfileValue::Syslog, false, false)),
            ("journal, ~/x.log", of(file("/home/me/x.log"), true, false)),
            ("AUTO,journald", of(LogfileValue::Auto, true, false)),
            ("x.log,syslog,journal", of(file("x.log"), true, true)),
            // No item is a keyword, so the value is one path, as in Supervisor.
            ("a,b.log", of(file("a,b.log"), false, false)),
            ("a,journal.log", of(file("a,journal.log"), false, false)),
            ("auto,none", of(file("auto,none"), false, false)),
            ("./journal", of(file("./journal"), false, false)),
            ("journal,", Err("the list journal, has an empty item")),
            (
                "journal, OFF",
                Err("OFF is not allowed in the list journal, OFF"),
            ),
            (
                "a.log,journal,AUTO",
                Err(
                    "AUTO is not the first file of the list a.log,journal,AUTO, which is the one that can be read",
                ),
            ),
            (
                "journal,~/no/x",
                Err("The directory named as part of the path ~/no/x does not exist"),
            ),
        ] {
            let expected: Result<LogTargets, &str> = expected;
            assert_eq!(
                log_targets(text, &machine),
                expected.map_err(str::to_owned),
                "{text}"
            );
        }
    }

    #[test]
    fn g40_a_list_has_any_number_of_targets() {
        let machine = Fake::default();
        let parsed = |text: &str| log_targets(text, &machine).expect("valid");
        let of = |text: &str| {
            let targets = parsed(text);
            let more = targets
                .more_files
                .iter()
                .map(|path| path.display().to_string());
            (targets.file, more.collect::<Vec<_>>())
        };
        let file = |path: &str| LogfileValue::File(path.to_owned());
        let strings = |paths: &[&str]| {
            paths
                .iter()
                .map(|&path| path.to_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(
            of("./a.log , ./b.log"),
            (file("./a.log"), strings(&["./b.log"]))
        );
        assert_eq!(
            of("/dev/stdout,memory,./a.log,/dev/null"),
            (LogfileValue::Memory, strings(&["/dev/stdout", "./a.log"]))
        );
        assert_eq!(
            of("/dev/stderr, ./test.log"),
            (file("./test.log"), strings(&["/dev/stderr"]))
        );
        assert_eq!(of("memory").0, LogfileValue::Memory);
        assert_eq!(of("/dev/stdout").0, file("/dev/stdout"));
        // Supervisor's reading of a path with a comma stays.
        assert_eq!(of("/var/log/a,b"), (file("/var/log/a,b"), Vec::new()));
        assert_eq!(of("syslog.log").0, file("syslog.log"));
        let all = parsed("syslog, syslog @tcp:h, syslog@udp:h:1, journald, ./x");
        assert!(all.named.syslog && all.named.journal.is_some());
        assert_eq!(all.named.servers.len(), 2);
        for (text, error) in [
            (
                "./a.log,./a.log",
                "the list ./a.log,./a.log names ./a.log twice",
            ),
            (
                "syslog @h, syslog @udp:h:514",
                "the list syslog @h, syslog @udp:h:514 names syslog @udp:h:514 twice",
            ),
            (
                "journal,journald",
                "the list journal,journald names journal twice",
            ),
            (
                "./a,syslog @",
                "syslog @: no valid host (write syslog @[udp:|tcp:]HOST[:PORT])",
            ),
            (
                "syslog @h:99999",
                "syslog @h:99999: 99999 is not a port from 1 to 65535",
            ),
        ] {
            assert_eq!(log_targets(text, &machine), Err(error.to_owned()), "{text}");
        }
    }
}
