//! Texts → typed values, with Supervisor's sentence for each text that is none. Knows no keys and no places.

use std::time::Duration;

use super::lookup::Lookup;
use super::path::{dirname, expand_user};
use super::python::{int, strip};
use super::spec::{AutoRestart, BusChoice, RateLimit, ReadyWhen};
use crate::domain::{Bytes, Level, Signal, python_repr};

/// Any whole number.
///
/// # Errors
/// It is none.
pub fn integer(text: &str) -> Result<i64, String> {
    int(text, 10).ok_or_else(|| no_integer(text))
}

fn no_integer(text: &str) -> String {
    format!(
        "invalid literal for int() with base 10: {}",
        python_repr(text)
    )
}

/// `yes true on 1` or `no false off 0`, in any case.
///
/// # Errors
/// Another word.
pub fn boolean(text: &str) -> Result<bool, String> {
    truth(&text.to_lowercase())
        .ok_or_else(|| format!("not a valid boolean value: {}", python_repr(text)))
}

fn truth(lower: &str) -> Option<bool> {
    match lower {
        "yes" | "true" | "on" | "1" => Some(true),
        "no" | "false" | "off" | "0" => Some(false),
        _ => None,
    }
}

/// Bytes, or a number with `KB`, `MB` or `GB` (of 1024) in any case.
///
/// # Errors
/// The rest is no whole number.
pub fn byte_size(text: &str) -> Result<Bytes, String> {
    let lower = text.to_lowercase();
    let (number, factor) = [("kb", 1 << 10), ("mb", 1 << 20), ("gb", 1 << 30)]
        .into_iter()
        .find_map(|(suffix, factor)| Some((lower.strip_suffix(suffix)?, factor)))
        .unwrap_or((&lower, 1));
    integer(number).map(|number| Bytes(number.saturating_mul(factor)))
}

/// Octal digits, `0o` before them or not. Negative numbers are taken as the kernel takes them, modulo 2³².
///
/// # Errors
/// It is no octal number.
pub fn octal(text: &str) -> Result<u32, String> {
    let number =
        int(text, 8).ok_or_else(|| format!("{text} can not be converted to an octal type"))?;
    Ok(u32::try_from(number.rem_euclid(1 << 32)).unwrap_or_default())
}

/// A signal's name, with `SIG` or without, or its number.
///
/// # Errors
/// There is no such signal, or none with a name.
pub fn signal(text: &str) -> Result<Signal, String> {
    match int(text, 10) {
        // Only numbers that have a name in Python's `signal` module: 34 and 64, but none between them.
        Some(number) => Some(number)
            .filter(|number| matches!(number, 0..=31 | 34 | 64))
            .and_then(Signal::from_number)
            .ok_or_else(|| format!("value {} is not a valid signal number", python_repr(text))),
        None => Signal::parse(strip(text))
            .map_err(|_| format!("value {} is not a valid signal name", python_repr(text))),
    }
}

/// Numbers from 0 to 255 with commas between them; empty: none.
///
/// # Errors
/// An item is none.
pub fn exit_codes(text: &str) -> Result<Vec<u8>, String> {
    if text.is_empty() {
        return Ok(Vec::new());
    }
    text.split(',')
        .map(|item| int(item, 10).and_then(|number| u8::try_from(number).ok()))
        .collect::<Option<_>>()
        .ok_or_else(|| format!("not a valid list of exit codes: {}", python_repr(text)))
}

/// A directory that is there; `~` is replaced.
///
/// # Errors
/// It is none.
pub fn existing_directory(text: &str, lookup: &dyn Lookup) -> Result<String, String> {
    let path = expand_user(text, lookup);
    if lookup.is_dir(&path) {
        Ok(path)
    } else {
        Err(format!("{text} is not an existing directory"))
    }
}

/// A path whose directory, if it names one, is there; `~` is replaced.
///
/// # Errors
/// The directory is not there.
pub fn existing_dirpath(text: &str, lookup: &dyn Lookup) -> Result<String, String> {
    let path = expand_user(text, lookup);
    let dir = dirname(&path);
    if dir.is_empty() || lookup.is_dir(dir) {
        Ok(path)
    } else {
        Err(format!(
            "The directory named as part of the path {text} does not exist"
        ))
    }
}

/// Whom something runs as: a user that is in the user database, or `UID:GID`, both as numbers, which need not be there.
/// The user, and the group if one is given.
///
/// # Errors
/// It is neither.
// Differs: the original takes `UID:GID` for the name of a user, which none can have.
pub fn run_as(text: &str, lookup: &dyn Lookup) -> Result<(u32, Option<u32>), String> {
    // The last number means "leave it" to the kernel.
    let id = |text: &str| {
        let is_plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let number = text.parse().ok().filter(|&id: &u32| id != u32::MAX);
        number.filter(|_| is_plain)
    };
    if let Some((uid, gid)) = text.split_once(':')
        && let (Some(uid), Some(gid)) = (id(uid), id(gid))
    {
        return Ok((uid, Some(gid)));
    }
    user(text, lookup).map(|uid| (uid, None))
}

/// A level of the activity log, in any case.
///
/// # Errors
/// There is no such level.
pub fn log_level(text: &str) -> Result<Level, String> {
    Level::from_name(text).ok_or_else(|| format!("bad logging level name {}", python_repr(text)))
}

/// A user's name or number that is in the user database.
///
/// # Errors
/// It is not.
pub fn user(text: &str, lookup: &dyn Lookup) -> Result<u32, String> {
    match int(text, 10) {
        Some(number) => u32::try_from(number)
            .ok()
            .and_then(|uid| lookup.user_of(uid))
            .map(|user| user.uid)
            .ok_or_else(|| format!("Invalid user id {text}")),
        None => lookup
            .user(text)
            .map(|user| user.uid)
            .ok_or_else(|| format!("Invalid user name {text}")),
    }
}

/// Who is to own a socket: user and group, each if it is to be changed.
pub type SocketOwner = (Option<u32>, Option<u32>);

/// `user` or `user:group`.
///
/// # Errors
/// One of them is not in its database.
pub fn user_group(text: &str, lookup: &dyn Lookup) -> Result<SocketOwner, String> {
    let bad = || format!("Invalid user:group definition {text}");
    let (owner, group) = match text.split_once(':') {
        Some((owner, group)) => (owner, Some(group)),
        None => (text, None),
    };
    let uid = user(owner, lookup).map_err(|_| bad())?;
    let gid = group
        .map(|group| {
            match int(group, 10) {
                Some(number) => u32::try_from(number)
                    .ok()
                    .filter(|&gid| lookup.is_group(gid)),
                None => lookup.group(group),
            }
            .ok_or_else(bad)
        })
        .transpose()?;
    Ok((Some(uid), gid))
}

/// A number of a port, 1 to 65535.
///
/// # Errors
/// It is none.
pub fn port(text: &str) -> Result<u16, String> {
    bounded(integer(text)?)
}

/// A number within the bounds of ports.
///
/// # Errors
/// It is below 1 or above 65535.
pub fn bounded(number: i64) -> Result<u16, String> {
    match u16::try_from(number) {
        Ok(0) => Err("0 is below lower bound (1)".to_owned()),
        Ok(port) => Ok(port),
        Err(_) if number < 0 => Err(format!("{number} is below lower bound (1)")),
        Err(_) => Err(format!("{number} is above upper bound (65535)")),
    }
}

/// `port`, `host:port`, `*:port` or `:port`; the host in lower case, empty for all.
///
/// # Errors
/// The part after the last colon is no port.
pub fn inet_address(text: &str) -> Result<(String, u16), String> {
    match text.rsplit_once(':') {
        Some((_, "")) => Err("no port number specified in ''".to_owned()),
        Some((host, number)) => {
            let port = port(number)?;
            let host = if host == "*" { "" } else { host };
            Ok((host.to_lowercase(), port))
        }
        None => port(text)
            .map(|port| (String::new(), port))
            .map_err(|_| format!("not a valid port number: {} ", python_repr(text))),
    }
}

/// `started` or `running`, in any case.
///
/// # Errors
/// Another word.
pub fn ready_when(text: &str) -> Result<ReadyWhen, String> {
    match text.to_lowercase().as_str() {
        "started" => Ok(ReadyWhen::Started),
        "running" => Ok(ReadyWhen::Running),
        _ => Err(format!("invalid 'ready_when' value {}", python_repr(text))),
    }
}

/// `auto`, `system`, `session` or `off`, in any case.
///
/// # Errors
/// Another word.
pub fn bus(text: &str) -> Result<BusChoice, String> {
    match text.to_lowercase().as_str() {
        "auto" => Ok(BusChoice::Auto),
        "system" => Ok(BusChoice::System),
        "session" => Ok(BusChoice::Session),
        "off" => Ok(BusChoice::Off),
        _ => Err(format!("invalid 'dbus' value {}", python_repr(text))),
    }
}

/// A boolean word or `unexpected`, in any case.
///
/// # Errors
/// Another word.
pub fn auto_restart(text: &str) -> Result<AutoRestart, String> {
    let lower = text.to_lowercase();
    match truth(&lower) {
        Some(true) => Ok(AutoRestart::Always),
        Some(false) => Ok(AutoRestart::Never),
        None if lower == "unexpected" => Ok(AutoRestart::Unexpected),
        None => Err(format!(
            "invalid 'autorestart' value {}",
            python_repr(&lower)
        )),
    }
}

/// A name of a process or group, trimmed: no blank, colon or slash inside.
///
/// # Errors
/// There is one.
pub fn name(text: &str) -> Result<String, String> {
    let trimmed = strip(text);
    match [' ', ':', '/'].into_iter().find(|&c| trimmed.contains(c)) {
        None => Ok(trimmed.to_owned()),
        Some(character) => Err(format!(
            "Invalid name: {} because of character: '{character}'",
            python_repr(text)
        )),
    }
}

/// Items with commas between them, each trimmed; empty: none.
#[must_use]
pub fn list(text: &str) -> Vec<String> {
    if text.is_empty() {
        return Vec::new();
    }
    text.split(',').map(|item| strip(item).to_owned()).collect()
}

/// Names of hosts with commas between them, in lower case; without ports.
///
/// # Errors
/// What no browser could send as the name of a host.
pub fn host_names(text: &str) -> Result<Vec<String>, String> {
    let names: Vec<String> = list(&text.to_lowercase());
    let is_name = |name: &String| {
        !name.is_empty()
            && name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte))
    };
    match names.iter().find(|name| !is_name(name)) {
        None => Ok(names),
        Some(name) => Err(format!(
            "Invalid hosts value {}: a name without a port is expected",
            python_repr(name)
        )),
    }
}

/// What a `*_logfile` key says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogfileValue {
    /// `NONE` or `OFF`.
    None,
    /// `AUTO`.
    Auto,
    /// `syslog`.
    Syslog,
    /// A path; an empty one is no file either.
    File(String),
}

/// `NONE`, `OFF`, `AUTO`, `syslog` in any case, or a path whose directory is there.
///
/// # Errors
/// The directory is not there.
pub fn logfile(text: &str, lookup: &dyn Lookup) -> Result<LogfileValue, String> {
    match text.to_lowercase().as_str() {
        "none" | "off" => Ok(LogfileValue::None),
        "auto" => Ok(LogfileValue::Auto),
        "syslog" => Ok(LogfileValue::Syslog),
        _ => existing_dirpath(text, lookup).map(LogfileValue::File),
    }
}

/// Everything that a `*_logfile` key of a program names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogTargets {
    /// The file, or the one word that is no list.
    pub file: LogfileValue,
    /// The journal too, or alone.
    pub journal: bool,
    /// Syslog too, by a list.
    pub syslog: bool,
}

/// The word that stands for the journal, in any case.
#[must_use]
pub fn is_journal(text: &str) -> bool {
    matches!(text.to_lowercase().as_str(), "journal" | "journald")
}

/// What [`logfile`] takes, `journal` (or `journald`), or a list of targets: at most one file, AUTO or a path, besides
/// `journal` and `syslog`. A text with commas is a list only if one of those two words stands alone between them, since a
/// path may contain commas.
///
/// # Errors
/// A directory that is not there; an empty item, NONE, or a second file in a list.
// Differs: the original takes both for the names of files.
pub fn log_targets(text: &str, lookup: &dyn Lookup) -> Result<LogTargets, String> {
    let mut targets = LogTargets {
        file: LogfileValue::None,
        journal: is_journal(text),
        syslog: false,
    };
    if targets.journal {
        return Ok(targets);
    }
    let items = list(text);
    let is_word = |item: &String| is_journal(item) || item.eq_ignore_ascii_case("syslog");
    if items.len() < 2 || !items.iter().any(is_word) {
        targets.file = logfile(text, lookup)?;
        return Ok(targets);
    }
    for item in &items {
        if is_journal(item) {
            targets.journal = true;
            continue;
        }
        match logfile(item, lookup)? {
            LogfileValue::Syslog => targets.syslog = true,
            LogfileValue::None => return Err(format!("{item} is not allowed in the list {text}")),
            LogfileValue::File(path) if path.is_empty() => {
                return Err(format!("the list {text} has an empty item"));
            }
            LogfileValue::Auto | LogfileValue::File(_) if targets.file != LogfileValue::None => {
                return Err(format!("the list {text} has more than one file"));
            }
            file @ (LogfileValue::Auto | LogfileValue::File(_)) => targets.file = file,
        }
    }
    Ok(targets)
}

/// `LINES/TIME`, or 0 for none. A time is a number of seconds, or has the unit ms, s, sec, min or h; between a millisecond
/// and a day.
///
/// # Errors
/// It is none.
pub fn rate_limit(text: &str) -> Result<Option<RateLimit>, String> {
    const DAY_MS: u64 = 24 * 60 * 60 * 1000;
    let bad = || format!("not a valid rate limit: {}", python_repr(text));
    let clean = strip(text);
    if clean == "0" {
        return Ok(None);
    }
    let (lines, time) = clean.split_once('/').ok_or_else(bad)?;
    let number = |text: &str| {
        let text = strip(text);
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        if digits {
            text.parse::<u32>().ok()
        } else {
            None
        }
    };
    let time = strip(time);
    let unit = time.trim_start_matches(|c: char| c.is_ascii_digit());
    let factor = match strip(unit) {
        "ms" => 1,
        "" | "s" | "sec" => 1000,
        "min" => 60_000,
        "h" => 3_600_000,
        _ => return Err(bad()),
    };
    let lines = number(lines).filter(|&lines| lines > 0).ok_or_else(bad)?;
    let count = number(&time[..time.len() - unit.len()]).ok_or_else(bad)?;
    let millis = u64::from(count) * factor;
    if (1..=DAY_MS).contains(&millis) {
        let interval = Duration::from_millis(millis);
        Ok(Some(RateLimit { lines, interval }))
    } else {
        Err(bad())
    }
}

/// An address of a server for the client's `-s`: a scheme, and a host or a path after it.
///
/// # Errors
/// It is none.
pub fn url(text: &str) -> Result<String, String> {
    let clean: String = text
        .trim_start_matches(|c: char| c <= ' ')
        .chars()
        .filter(|c| !matches!(c, '\t' | '\r' | '\n'))
        .collect();
    let is_url = clean.split_once(':').is_some_and(|(scheme, rest)| {
        let is_scheme = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'));
        let rest = rest.split(['?', '#']).next().unwrap_or_default();
        // Two slashes announce a host; with none after them there is a path only if a third slash follows.
        is_scheme && !rest.strip_prefix("//").unwrap_or(rest).is_empty()
    });
    if is_url {
        Ok(text.to_owned())
    } else {
        Err(format!("value {} is not a URL", python_repr(text)))
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Debug;

    use super::super::lookup::Fake;
    use super::*;

    fn check<T: Debug + PartialEq>(
        convert: impl Fn(&str) -> Result<T, String>,
        table: &[(&str, Result<T, &str>)],
    ) {
        for (text, expected) in table {
            assert_eq!(
                &convert(text).as_ref().map_err(String::as_str),
                &expected.as_ref().map_err(|text| *text),
                "{text:?}"
            );
        }
    }

    #[test]
    fn cfg_30_numbers_and_booleans() {
        check(
            boolean,
            &[
                ("Yes", Ok(true)),
                ("0", Ok(false)),
                ("2", Err("not a valid boolean value: '2'")),
                ("", Err("not a valid boolean value: ''")),
            ],
        );
        check(
            byte_size,
            &[
                ("50MB", Ok(Bytes(52_428_800))),
                ("1 kb", Ok(Bytes(1024))),
                ("-2Gb", Ok(Bytes(-2_147_483_648))),
                ("7", Ok(Bytes(7))),
                (
                    "1.5MB",
                    Err("invalid literal for int() with base 10: '1.5'"),
                ),
                ("10K", Err("invalid literal for int() with base 10: '10k'")),
                ("KB", Err("invalid literal for int() with base 10: ''")),
            ],
        );
        check(
            octal,
            &[
                ("022", Ok(0o22)),
                ("0o777", Ok(0o777)),
                ("9", Err("9 can not be converted to an octal type")),
            ],
        );
    }

    #[test]
    fn cfg_31_signals() {
        check(
            |text| signal(text).map(Signal::number),
            &[
                ("TERM", Ok(15)),
                (" sigusr1 ", Ok(10)),
                ("1_5", Ok(15)),
                ("0", Ok(0)),
                ("RTMAX", Ok(64)),
                ("40", Err("value '40' is not a valid signal number")),
                ("FOO", Err("value 'FOO' is not a valid signal name")),
                ("", Err("value '' is not a valid signal name")),
            ],
        );
    }

    #[test]
    fn cfg_32_exit_codes() {
        check(
            exit_codes,
            &[
                ("0, 2 ,255", Ok(vec![0, 2, 255])),
                ("", Ok(vec![])),
                ("0,", Err("not a valid list of exit codes: '0,'")),
                ("256", Err("not a valid list of exit codes: '256'")),
                ("-1", Err("not a valid list of exit codes: '-1'")),
            ],
        );
    }

    #[test]
    fn cfg_33_cfg_39_paths() {
        let machine = Fake::default();
        check(
            |text| existing_directory(text, &machine),
            &[
                ("~", Ok("/home/me".to_owned())),
                ("/nosuch", Err("/nosuch is not an existing directory")),
            ],
        );
        check(
            |text| logfile(text, &machine),
            &[
                ("None", Ok(LogfileValue::None)),
                ("auto", Ok(LogfileValue::Auto)),
                ("SYSLOG", Ok(LogfileValue::Syslog)),
                ("x.log", Ok(LogfileValue::File("x.log".to_owned()))),
                (
                    "~/x.log",
                    Ok(LogfileValue::File("/home/me/x.log".to_owned())),
                ),
                ("", Ok(LogfileValue::File(String::new()))),
                (
                    "~/no/x",
                    Err("The directory named as part of the path ~/no/x does not exist"),
                ),
            ],
        );
    }

    #[test]
    fn targets_of_a_log() {
        let machine = Fake::default();
        let of = |file, journal, syslog| {
            Ok(LogTargets {
                file,
                journal,
                syslog,
            })
        };
        let file = |path: &str| LogfileValue::File(path.to_owned());
        check(
            |text| log_targets(text, &machine),
            &[
                ("journal", of(LogfileValue::None, true, false)),
                ("Journald", of(LogfileValue::None, true, false)),
                ("syslog", of(LogfileValue::Syslog, false, false)),
                ("journal, ~/x.log", of(file("/home/me/x.log"), true, false)),
                ("AUTO,journald", of(LogfileValue::Auto, true, false)),
                ("x.log,syslog,journal", of(file("x.log"), true, true)),
                // No word of a list: one path, as ever.
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
                    Err("the list a.log,journal,AUTO has more than one file"),
                ),
                (
                    "journal,~/no/x",
                    Err("The directory named as part of the path ~/no/x does not exist"),
                ),
            ],
        );
    }

    #[test]
    fn limits_of_rates() {
        let limit = |lines, millis| {
            Ok(Some(RateLimit {
                lines,
                interval: Duration::from_millis(millis),
            }))
        };
        check(
            rate_limit,
            &[
                ("0", Ok(None)),
                ("1000/30s", limit(1000, 30_000)),
                (" 5 / 2 ", limit(5, 2000)),
                ("7/1 min", limit(7, 60_000)),
                ("7/24h", limit(7, 86_400_000)),
                ("7/250ms", limit(7, 250)),
                ("7/25h", Err("not a valid rate limit: '7/25h'")),
                ("0/30s", Err("not a valid rate limit: '0/30s'")),
                ("7/0", Err("not a valid rate limit: '7/0'")),
                ("7", Err("not a valid rate limit: '7'")),
                ("-7/3", Err("not a valid rate limit: '-7/3'")),
                ("7/3d", Err("not a valid rate limit: '7/3d'")),
                ("7/1.5s", Err("not a valid rate limit: '7/1.5s'")),
                ("", Err("not a valid rate limit: ''")),
            ],
        );
    }

    #[test]
    fn cfg_34_levels() {
        check(
            log_level,
            &[
                ("TRACE", Ok(Level::Trace)),
                ("blather", Ok(Level::Blather)),
                ("warning", Err("bad logging level name 'warning'")),
            ],
        );
    }

    #[test]
    fn two_numbers_are_a_user_whom_nobody_knows() {
        let machine = Fake::default();
        check(
            |text| run_as(text, &machine),
            &[
                ("web", Ok((33, None))),
                ("33", Ok((33, None))),
                ("4711:4712", Ok((4711, Some(4712)))),
                ("0:33", Ok((0, Some(33)))),
                ("4711", Err("Invalid user id 4711")),
                ("web:33", Err("Invalid user name web:33")),
                ("4711:", Err("Invalid user name 4711:")),
                (":33", Err("Invalid user name :33")),
                ("+1:33", Err("Invalid user name +1:33")),
                ("1:2:3", Err("Invalid user name 1:2:3")),
                ("4294967295:1", Err("Invalid user name 4294967295:1")),
                ("1:4294967296", Err("Invalid user name 1:4294967296")),
            ],
        );
    }

    #[test]
    fn cfg_35_users_and_groups() {
        let machine = Fake::default();
        check(
            |text| user(text, &machine),
            &[
                ("web", Ok(33)),
                ("33", Ok(33)),
                ("nosuch", Err("Invalid user name nosuch")),
                ("4711", Err("Invalid user id 4711")),
                ("-1", Err("Invalid user id -1")),
            ],
        );
        check(
            |text| user_group(text, &machine),
            &[
                ("web", Ok((Some(33), None))),
                ("web:0", Ok((Some(33), Some(0)))),
                (
                    "web:nosuch",
                    Err("Invalid user:group definition web:nosuch"),
                ),
            ],
        );
    }

    #[test]
    fn cfg_36_addresses() {
        check(
            inet_address,
            &[
                ("9001", Ok((String::new(), 9001))),
                ("*:9001", Ok((String::new(), 9001))),
                (":9001", Ok((String::new(), 9001))),
                ("LOCALHOST:1", Ok(("localhost".to_owned(), 1))),
                ("::1:80", Ok(("::1".to_owned(), 80))),
                ("x", Err("not a valid port number: 'x' ")),
                ("0", Err("not a valid port number: '0' ")),
                ("h:0", Err("0 is below lower bound (1)")),
                ("h:70000", Err("70000 is above upper bound (65535)")),
                ("h:x", Err("invalid literal for int() with base 10: 'x'")),
                ("h:", Err("no port number specified in ''")),
            ],
        );
    }

    #[test]
    fn cfg_66_urls() {
        for text in [
            "http://h:1",
            "unix:///x",
            "unix://x",
            "a:b",
            "http:///",
            "x+y.z-1:/",
        ] {
            assert_eq!(url(text), Ok(text.to_owned()));
        }
        for text in [
            "",
            "h",
            "/x",
            "http:",
            "http://",
            "http://?x",
            "1a:b",
            ":b",
            "h h://x",
        ] {
            assert_eq!(url(text), Err(format!("value '{text}' is not a URL")));
        }
    }

    #[test]
    fn cfg_37_cfg_38_words_and_names() {
        check(
            auto_restart,
            &[
                ("TRUE", Ok(AutoRestart::Always)),
                ("off", Ok(AutoRestart::Never)),
                ("Unexpected", Ok(AutoRestart::Unexpected)),
                ("Maybe", Err("invalid 'autorestart' value 'maybe'")),
            ],
        );
        check(
            name,
            &[
                (" x ", Ok("x".to_owned())),
                ("", Ok(String::new())),
                (
                    " a:b ",
                    Err("Invalid name: ' a:b ' because of character: ':'"),
                ),
            ],
        );
    }
}
