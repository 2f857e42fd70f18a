//! Parses values. Every error is Supervisor's message. This module knows nothing about keys and files.

use std::time::Duration;

use super::log_options;
use super::lookup::Lookup;
use super::path::{dirname, expand_user};
pub use super::python::integer;
use super::python::{int, strip};
use super::spec::{AutoRestart, BusChoice, ConfiguredUser, READY_FDS, RateLimit, ReadyWhen};
use crate::domain::{Bytes, DATE_TOKEN, Level, Seconds, Signal, python_repr};

/// Parses a number of seconds.
///
/// # Errors
/// It is not an integer.
pub fn seconds(text: &str) -> Result<Seconds, String> {
    integer(text).map(Seconds)
}

/// Parses a number of seconds that is not negative.
///
/// # Errors
/// It is not an integer, or below 0.
pub fn duration(text: &str) -> Result<Seconds, String> {
    match integer(text)? {
        number if number < 0 => Err(format!("{number} is below lower bound (0)")),
        number => Ok(Seconds(number)),
    }
}

/// Parses the number of a file descriptor that is in [`READY_FDS`].
///
/// # Errors
/// It is not.
pub fn ready_fd(text: &str) -> Result<u16, String> {
    let number = integer(text)?;
    match u16::try_from(number) {
        Ok(fd) if READY_FDS.contains(&number) => Ok(fd),
        _ => Err(format!(
            "ready_fd {number} is not from {} to {}",
            READY_FDS.start(),
            READY_FDS.end()
        )),
    }
}

/// Parses `yes true on 1` or `no false off 0`, in any case.
///
/// # Errors
/// Any other word.
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

/// Parses a number of bytes, optionally with `KB`, `MB` or `GB` (powers of 1024) in any case.
///
/// # Errors
/// The number is not an integer.
pub fn byte_size(text: &str) -> Result<Bytes, String> {
    let lower = text.to_lowercase();
    let (number, factor) = [("kb", 1 << 10), ("mb", 1 << 20), ("gb", 1 << 30)]
        .into_iter()
        .find_map(|(suffix, factor)| Some((lower.strip_suffix(suffix)?, factor)))
        .unwrap_or((&lower, 1));
    integer(number).map(|number| Bytes(number.saturating_mul(factor)))
}

/// Parses octal digits with an optional `0o` prefix. A negative number is taken modulo 2³², like in the kernel.
///
/// # Errors
/// It is not an octal number.
pub fn octal(text: &str) -> Result<u32, String> {
    let number =
        int(text, 8).ok_or_else(|| format!("{text} can not be converted to an octal type"))?;
    Ok(u32::try_from(number.rem_euclid(1 << 32)).unwrap_or_default())
}

/// Parses a signal: its name with or without `SIG`, or its number.
///
/// # Errors
/// There is no such signal, or it has no name.
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

/// Maximum number of stop signals of one program.
const STOP_SIGNALS_MAX: usize = 16;

/// Parses one signal, or several separated by blanks or commas. Returns the first one and the others.
///
/// # Errors
/// An item is no signal, or there are too many.
// Differs: for Supervisor a list is one signal name that it does not know.
pub fn stop_signals(text: &str) -> Result<(Signal, Vec<Signal>), String> {
    let is_blank = |c: char| c.is_ascii_whitespace();
    if !strip(text).contains(|c: char| c == ',' || is_blank(c)) {
        return signal(text).map(|only| (only, Vec::new()));
    }
    let mut signals = Vec::new();
    for item in text.split(',') {
        let words: Vec<&str> = item.split(is_blank).filter(|w| !w.is_empty()).collect();
        if words.is_empty() {
            return Err(format!(
                "not a valid list of signals: {}: an item is empty",
                python_repr(text)
            ));
        }
        for word in words {
            signals.push(signal(word)?);
        }
    }
    if signals.len() > STOP_SIGNALS_MAX {
        return Err(format!(
            "not a valid list of signals: {}: more than {STOP_SIGNALS_MAX} signals",
            python_repr(text)
        ));
    }
    let later = signals.split_off(1);
    Ok((signals[0], later))
}

/// Parses numbers from 0 to 255, separated by commas. An empty text gives an empty list.
///
/// # Errors
/// An item is not such a number.
pub fn exit_codes(text: &str) -> Result<Vec<u8>, String> {
    if text.is_empty() {
        return Ok(Vec::new());
    }
    text.split(',')
        .map(|item| int(item, 10).and_then(|number| u8::try_from(number).ok()))
        .collect::<Option<_>>()
        .ok_or_else(|| format!("not a valid list of exit codes: {}", python_repr(text)))
}

/// Checks that a directory exists. Replaces `~`.
///
/// # Errors
/// It is not a directory.
pub fn existing_directory(text: &str, lookup: &dyn Lookup) -> Result<String, String> {
    let path = expand_user(text, lookup);
    if lookup.is_dir(&path) {
        Ok(path)
    } else {
        Err(format!("{text} is not an existing directory"))
    }
}

/// Checks that the directory part of a path exists, if it has one. Replaces `~`.
///
/// # Errors
/// The directory does not exist.
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

/// Parses the user that a process runs as: a user in the user database, with an optional group after a colon; or numeric
/// `UID:GID`, which need not be in a database. Returns the uid, and the gid if one is given.
///
/// # Errors
/// It is none of these.
// Differs: Supervisor takes a text with a colon for a user name, which no user can have.
pub fn run_as(text: &str, lookup: &dyn Lookup) -> Result<(u32, Option<u32>), String> {
    // The highest number means "do not change" to the kernel.
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
    let Some((name, group)) = text.split_once(':') else {
        return user(text, lookup).map(|uid| (uid, None));
    };
    let uid = user(name, lookup).map_err(|_| format!("Invalid user name {text}"))?;
    let gid = group_id(group, lookup).ok_or_else(|| format!("Invalid group name {group}"))?;
    Ok((uid, Some(gid)))
}

/// Like [`run_as`], with the name as configured.
///
/// # Errors
/// See [`run_as`].
pub fn configured_user(text: &str, lookup: &dyn Lookup) -> Result<ConfiguredUser, String> {
    let (uid, gid) = run_as(text, lookup)?;
    Ok(ConfiguredUser {
        name: text.to_owned(),
        uid,
        gid,
    })
}

/// Parses a level of the activity log, in any case. The Go re-implementation has further words for three of them.
///
/// # Errors
/// There is no such level.
// Differs: Supervisor refuses the further words.
pub fn log_level(text: &str) -> Result<Level, String> {
    let name = match &*text.to_lowercase() {
        "warning" => "warn",
        "fatal" | "panic" => "critical",
        _ => text,
    };
    Level::from_name(name).ok_or_else(|| format!("bad logging level name {}", python_repr(text)))
}

/// Parses a user name or a uid that is in the user database.
///
/// # Errors
/// It is not there.
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

/// The owner of a socket: uid and gid. `None`: do not change.
pub type SocketOwner = (Option<u32>, Option<u32>);

/// Parses `user` or `user:group`.
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
        .map(|group| group_id(group, lookup).ok_or_else(bad))
        .transpose()?;
    Ok((Some(uid), gid))
}

/// The gid of a group's name or number in the group database. `None`: it is not there.
fn group_id(group: &str, lookup: &dyn Lookup) -> Option<u32> {
    match int(group, 10) {
        Some(number) => u32::try_from(number)
            .ok()
            .filter(|&gid| lookup.is_group(gid)),
        None => lookup.group(group),
    }
}

/// Parses a number of processes, or `cpus` in any case: the number of CPUs that this process may use.
///
/// # Errors
/// It is neither.
// Differs: Supervisor refuses `cpus`.
pub fn process_count(text: &str, lookup: &dyn Lookup) -> Result<i64, String> {
    if strip(text).eq_ignore_ascii_case("cpus") {
        return Ok(lookup.cpus());
    }
    integer(text)
}

/// Parses paths of env files, separated by commas. Replaces `~`, also after a `-`.
///
/// # Errors
/// An item is empty.
pub fn env_files(text: &str, lookup: &dyn Lookup) -> Result<Vec<String>, String> {
    let path = |item: String| match item.strip_prefix('-') {
        Some("") => Err(format!("the list {text} has an empty item")),
        Some(path) => Ok(format!("-{}", expand_user(path, lookup))),
        None if item.is_empty() => Err(format!("the list {text} has an empty item")),
        None => Ok(expand_user(&item, lookup)),
    };
    list(text).into_iter().map(path).collect()
}

/// Parses a port, 1 to 65535.
///
/// # Errors
/// It is not a port.
pub fn port(text: &str) -> Result<u16, String> {
    bounded(integer(text)?)
}

/// Checks that a number is a port.
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

/// Parses `port`, `host:port`, `*:port` or `:port`. Returns the host in lower case; an empty host means all interfaces.
///
/// # Errors
/// The part after the last colon is not a port.
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

/// Parses `started` or `running`, in any case.
///
/// # Errors
/// Any other word.
pub fn ready_when(text: &str) -> Result<ReadyWhen, String> {
    match text.to_lowercase().as_str() {
        "started" => Ok(ReadyWhen::Started),
        "running" => Ok(ReadyWhen::Running),
        _ => Err(format!("invalid 'ready_when' value {}", python_repr(text))),
    }
}

/// Parses `auto`, `system`, `session` or `off`, in any case.
///
/// # Errors
/// Any other word.
pub fn bus(text: &str) -> Result<BusChoice, String> {
    match text.to_lowercase().as_str() {
        "auto" => Ok(BusChoice::Auto),
        "system" => Ok(BusChoice::System),
        "session" => Ok(BusChoice::Session),
        "off" => Ok(BusChoice::Off),
        _ => Err(format!("invalid 'dbus' value {}", python_repr(text))),
    }
}

/// Parses a boolean word or `unexpected`, in any case.
///
/// # Errors
/// Any other word.
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

/// Checks the name of a process or group: no space, colon or slash inside. Returns it trimmed.
///
/// # Errors
/// It has one of these characters.
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

/// Splits a text at commas and trims each item. An empty text gives an empty list.
#[must_use]
pub fn list(text: &str) -> Vec<String> {
    if text.is_empty() {
        return Vec::new();
    }
    text.split(',').map(|item| strip(item).to_owned()).collect()
}

/// Parses host names separated by commas, without ports. Returns them in lower case.
///
/// # Errors
/// A browser could not send it as a host name.
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

/// The value of a `*_logfile` key.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum LogfileValue {
    /// `NONE` or `OFF`.
    #[default]
    None,
    /// `AUTO`.
    Auto,
    /// `syslog`.
    Syslog,
    /// `memory`, which only a program's log can be.
    Memory,
    /// A path. An empty path means no file.
    File(String),
}

/// Parses `NONE`, `OFF`, `AUTO` or `syslog` in any case, or a path whose directory exists, except for
/// directories with [`DATE_TOKEN`] in their names.
///
/// # Errors
/// The directory does not exist.
pub fn logfile(text: &str, lookup: &dyn Lookup) -> Result<LogfileValue, String> {
    match text.to_lowercase().as_str() {
        "none" | "off" => Ok(LogfileValue::None),
        "auto" => Ok(LogfileValue::Auto),
        "syslog" => Ok(LogfileValue::Syslog),
        _ => log_path(text, lookup).map(LogfileValue::File),
    }
}

/// Parses the path of a log, whose directory exists, except for directories with [`DATE_TOKEN`] in their names.
///
/// # Errors
/// The directory does not exist.
// Differs: in Supervisor, the token is a part of the name.
pub fn log_path(text: &str, lookup: &dyn Lookup) -> Result<String, String> {
    match text.contains(DATE_TOKEN) {
        true => existing_dirpath(log_options::before_date(text), lookup)
            .map(|_| expand_user(text, lookup)),
        false => existing_dirpath(text, lookup),
    }
}

/// Whether this is the word for the journal, in any case.
#[must_use]
pub fn is_journal(text: &str) -> bool {
    matches!(text.to_lowercase().as_str(), "journal" | "journald")
}

/// Parses `LINES/TIME`, or 0 for no limit. The time is a number of seconds or has a unit (ms, s, sec, min, h), and is
/// between a millisecond and a day.
///
/// # Errors
/// It is not such a rate.
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

/// Parses the server address of supervisorctl's `-s`: a scheme, then a host or a path.
///
/// # Errors
/// It is not such an address.
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
        // Two slashes precede a host. An empty host is valid only before a path, that is, a third slash.
        is_scheme && !rest.strip_prefix("//").unwrap_or(rest).is_empty()
    });
    if is_url {
        Ok(text.to_owned())
    } else {
        Err(format!("value {} is not a URL", python_repr(text)))
    }
}

/// Parses `off` in any case, which is 0, or a number of processes of at least 1.
///
/// # Errors
/// It is neither.
pub fn rolling(text: &str) -> Result<u32, String> {
    if strip(text).eq_ignore_ascii_case("off") {
        return Ok(0);
    }
    match integer(text)? {
        number if number < 1 => Err(format!("{number} is below lower bound (1)")),
        number => u32::try_from(number)
            .map_err(|_| format!("{number} is above upper bound ({})", u32::MAX)),
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
    fn cfg_30_numbers_and_booleans_are_parsed_as_in_python() {
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
    fn cfg_31_signals_are_parsed_by_name_and_number() {
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
    fn g28_a_list_of_stop_signals_has_blanks_or_commas() {
        let numbers = |text: &str| {
            stop_signals(text).map(|(first, later)| {
                let all = [vec![first], later].concat();
                all.into_iter().map(Signal::number).collect()
            })
        };
        check(
            numbers,
            &[
                ("TERM", Ok(vec![15])),
                (" sigint ", Ok(vec![2])),
                ("TERM INT QUIT", Ok(vec![15, 2, 3])),
                ("SIGTERM,\tint , 3", Ok(vec![15, 2, 3])),
                ("TERM NOPE", Err("value 'NOPE' is not a valid signal name")),
                ("TERM, 99", Err("value '99' is not a valid signal number")),
                ("NOPE", Err("value 'NOPE' is not a valid signal name")),
                ("", Err("value '' is not a valid signal name")),
                (
                    "TERM,",
                    Err("not a valid list of signals: 'TERM,': an item is empty"),
                ),
            ],
        );
        let many = ["TERM"; STOP_SIGNALS_MAX].join(" ");
        assert!(stop_signals(&many).is_ok());
        assert!(stop_signals(&format!("{many},INT")).is_err());
    }

    #[test]
    fn cfg_32_exit_codes_are_bounded() {
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
    fn cfg_33_cfg_39_paths_are_checked_and_expanded() {
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
    fn rate_limits_are_lines_per_interval() {
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
    fn cfg_34_g20_log_levels_are_supervisors_and_words_of_go() {
        check(
            log_level,
            &[
                ("TRACE", Ok(Level::Trace)),
                ("blather", Ok(Level::Blather)),
                ("Warning", Ok(Level::Warn)),
                ("fatal", Ok(Level::Critical)),
                ("panic", Ok(Level::Critical)),
                ("loud", Err("bad logging level name 'loud'")),
            ],
        );
    }

    #[test]
    fn g47_a_user_may_have_a_group() {
        let machine = Fake::default();
        check(
            |text| run_as(text, &machine),
            &[
                ("web", Ok((33, None))),
                ("33", Ok((33, None))),
                ("4711:4712", Ok((4711, Some(4712)))),
                ("0:33", Ok((0, Some(33)))),
                ("4711", Err("Invalid user id 4711")),
                ("web:33", Ok((33, Some(33)))),
                ("web:root", Ok((33, Some(0)))),
                ("33:root", Ok((33, Some(0)))),
                ("web:nosuch", Err("Invalid group name nosuch")),
                ("web:4712", Err("Invalid group name 4712")),
                ("nosuch:web", Err("Invalid user name nosuch:web")),
                ("4711:web", Err("Invalid user name 4711:web")),
                ("web:", Err("Invalid group name ")),
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
    fn cfg_35_users_and_groups_are_looked_up() {
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
    fn cfg_36_addresses_are_parsed_as_in_supervisor() {
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
    fn cfg_66_server_urls_are_checked() {
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
    fn cfg_37_cfg_38_keywords_and_names_are_checked() {
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
