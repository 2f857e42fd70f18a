//! How the files of a stream's log are written, named and kept, besides Supervisor's keys.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::confinement;
use super::lookup::Lookup;
use super::python::strip;
use super::value;
use crate::domain::{DATE_TOKEN, LogCalendar, LogPeriod, python_repr};

/// Longest key of the time in a JSON line, and longest prefix of a line, in bytes: each line has it.
const TEXT_BYTES_MAX: usize = 256;

/// The options of the files of one stream's log.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct LogOptions {
    /// The form of a line.
    pub form: LogForm,
    /// The name of the program, which the form `json` shows. `None`: the form does not.
    pub program: Option<Arc<str>>,
    /// The text before each line in the form `prefix`. `None`: time, name, stream and PID.
    pub prefix: Option<Arc<str>>,
    /// Whether a line that is a JSON object is merged with the fields of the form `json`.
    pub json_merge: bool,
    /// The name of the field with the time in the form `json`.
    pub json_time_key: Arc<str>,
    /// The mode of a file that the daemon creates. `None`: 0666 less the umask, 0600 for AUTO.
    pub mode: Option<u32>,
    /// The uid of a file that the daemon creates. `None`: its own.
    pub owner: Option<u32>,
    /// The gid of a file that the daemon creates. `None`: its own.
    pub group: Option<u32>,
    /// When a new file begins.
    pub rotate: LogRotate,
    /// The date in a file name, with single percent signs. `None`: that of the period.
    pub date_format: Option<Arc<str>>,
    /// Which closed files stay.
    pub keep: LogKeep,
    /// Whether closed files are compressed.
    pub compress: bool,
    /// Whether dates are in UTC. False: in the time zone of the host.
    pub utc: bool,
}

impl Default for LogOptions {
    fn default() -> Self {
        Self {
            form: LogForm::Plain,
            program: None,
            prefix: None,
            json_merge: false,
            json_time_key: Arc::from("ts"),
            mode: None,
            owner: None,
            group: None,
            rotate: LogRotate::default(),
            date_format: None,
            keep: LogKeep::All,
            compress: false,
            utc: false,
        }
    }
}

impl LogOptions {
    /// Whether a file that the daemon creates gets a mode or an owner.
    #[must_use]
    pub const fn has_owner(&self) -> bool {
        self.mode.is_some() || self.owner.is_some() || self.group.is_some()
    }

    /// These options for a stream. `None`: all are the defaults.
    #[must_use]
    pub fn into_shared(self) -> Option<Arc<Self>> {
        (self != Self::default()).then(|| Arc::new(self))
    }
}

/// The form of the lines in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub enum LogForm {
    /// The bytes as the process wrote them.
    #[default]
    Plain,
    /// Lines with a prefix.
    Prefix,
    /// JSON objects.
    Json,
}

/// When a new file begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct LogRotate {
    /// At the size of `*_logfile_maxbytes`.
    pub by_size: bool,
    /// At the beginning of each period. `None`: no period, but that of a date in the path.
    pub period: Option<LogPeriod>,
}

impl Default for LogRotate {
    fn default() -> Self {
        Self {
            by_size: true,
            period: None,
        }
    }
}

/// Which closed files of a log stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum LogKeep {
    /// All.
    All,
    /// The newest files.
    Files(u32),
    /// Files that were written in the last seconds.
    Seconds(u64),
}

/// Parses `plain`, its alias `raw`, `prefix` or `json`, in any case.
///
/// # Errors
/// Any other word.
pub(super) fn form(text: &str) -> Result<LogForm, String> {
    match &*strip(text).to_lowercase() {
        "plain" | "raw" => Ok(LogForm::Plain),
        "prefix" => Ok(LogForm::Prefix),
        "json" => Ok(LogForm::Json),
        _ => Err(format!("invalid log format {}", python_repr(text))),
    }
}

/// Parses the prefix of a line. An empty text: no prefix of its own.
///
/// # Errors
/// It is too long or has a control character.
pub(super) fn prefix(text: &str) -> Result<Option<Arc<str>>, String> {
    let text = short("log prefix", text)?;
    Ok((!text.is_empty()).then(|| Arc::from(text)))
}

/// Parses the name of a JSON field.
///
/// # Errors
/// It is empty, too long, has a control character, or is the name of another field.
pub(super) fn json_key(text: &str) -> Result<Arc<str>, String> {
    let text = short("JSON key", strip(text))?;
    let others = [
        "program", "group", "process", "pid", "stream", "message", "partial",
    ];
    if text.is_empty() || others.contains(&text) {
        return Err(format!("invalid JSON key {}", python_repr(text)));
    }
    Ok(Arc::from(text))
}

fn short<'a>(what: &str, text: &'a str) -> Result<&'a str, String> {
    match text.len() > TEXT_BYTES_MAX || text.contains(char::is_control) {
        true => Err(format!("invalid {what} {}", python_repr(text))),
        false => Ok(text),
    }
}

/// Parses the mode of a file.
///
/// # Errors
/// It is not octal, or has other bits than permissions.
pub(super) fn mode(text: &str) -> Result<u32, String> {
    let mode = value::octal(text)?;
    match mode <= 0o777 {
        true => Ok(mode),
        false => Err(format!("invalid mode of a log {text}")),
    }
}

/// Parses the group of a file.
///
/// # Errors
/// There is no such group.
pub(super) fn group(text: &str, lookup: &dyn Lookup) -> Result<u32, String> {
    confinement::group(text, lookup).map(|group| group.gid)
}

/// Parses `size`, `hourly`, `daily`, `weekly` or `monthly`, or a period and `size` joined with a plus sign.
///
/// # Errors
/// Any other text.
pub(super) fn rotate(text: &str) -> Result<LogRotate, String> {
    let bad = || format!("invalid log rotation {}", python_repr(text));
    let mut rotate = LogRotate {
        by_size: false,
        period: None,
    };
    for word in strip(text).to_lowercase().split('+') {
        let period = match strip(word) {
            "size" if !rotate.by_size => {
                rotate.by_size = true;
                continue;
            }
            "hourly" => LogPeriod::Hour,
            "daily" => LogPeriod::Day,
            "weekly" => LogPeriod::Week,
            "monthly" => LogPeriod::Month,
            _ => return Err(bad()),
        };
        if rotate.period.replace(period).is_some() {
            return Err(bad());
        }
    }
    Ok(rotate)
}

/// Parses the date format of a file name.
///
/// # Errors
/// It is no such format, or its dates cannot be a part of a file name.
pub(super) fn date_format(text: &str) -> Result<Arc<str>, String> {
    let text = short("date format", strip(text))?;
    LogCalendar::check_format(text)
        .map_err(|why| format!("invalid date format {}: {why}", python_repr(text)))?;
    Ok(Arc::from(text))
}

/// Parses the number of closed files that stay, or their age as a number with the unit h, d or w. 0: all stay.
///
/// # Errors
/// Any other text.
pub(super) fn keep(text: &str) -> Result<LogKeep, String> {
    let bad = || format!("invalid number or age of logs {}", python_repr(text));
    let clean = strip(text).to_lowercase();
    let (digits, unit) = match clean.strip_suffix(['h', 'd', 'w']) {
        Some(digits) => (digits, clean.chars().last()),
        None => (&*clean, None),
    };
    let is_plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let number: u32 = digits.parse().ok().filter(|_| is_plain).ok_or_else(bad)?;
    let hours: u64 = match unit {
        _ if number == 0 => return Ok(LogKeep::All),
        None => return Ok(LogKeep::Files(number)),
        Some('h') => 1,
        Some('d') => 24,
        Some(_) => 7 * 24,
    };
    Ok(LogKeep::Seconds(u64::from(number) * hours * 3600))
}

/// Parses `local` or `UTC`, in any case. True: UTC.
///
/// # Errors
/// Any other word.
pub(super) fn is_utc(text: &str) -> Result<bool, String> {
    match &*strip(text).to_lowercase() {
        "local" => Ok(false),
        "utc" => Ok(true),
        _ => Err(format!("invalid time zone of logs {}", python_repr(text))),
    }
}

/// The part of a path before a date: its directory must exist, since the daemon makes only those that have a date in
/// their names.
pub(super) fn before_date(path: &str) -> &str {
    path.split(DATE_TOKEN).next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rotations_and_ages_are_parsed() {
        let of = |by_size, period| Ok(LogRotate { by_size, period });
        assert_eq!(rotate("size"), of(true, None));
        assert_eq!(rotate("daily"), of(false, Some(LogPeriod::Day)));
        assert_eq!(rotate(" Weekly + SIZE "), of(true, Some(LogPeriod::Week)));
        for bad in ["", "daily+weekly", "size+size", "yearly", "daily+", "+"] {
            assert!(rotate(bad).is_err(), "{bad}");
        }
        assert_eq!(keep("0"), Ok(LogKeep::All));
        assert_eq!(keep("0d"), Ok(LogKeep::All));
        assert_eq!(keep("5"), Ok(LogKeep::Files(5)));
        assert_eq!(keep("14d"), Ok(LogKeep::Seconds(14 * 24 * 3600)));
        assert_eq!(keep("2w"), Ok(LogKeep::Seconds(14 * 24 * 3600)));
        for bad in ["", "d", "-1", "+1", "1.5d", "5m", "99999999999"] {
            assert!(keep(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_key_of_json_is_checked() {
        assert_eq!(json_key("@timestamp").as_deref(), Ok("@timestamp"));
        for bad in ["", "message", "a\u{1}b"] {
            assert!(json_key(bad).is_err(), "{bad}");
        }
        assert_eq!(prefix(""), Ok(None));
        assert!(prefix("a\nb").is_err());
        assert_eq!(form("RAW"), Ok(LogForm::Plain));
        assert!(form("xml").is_err() && mode("1777").is_err() && is_utc("CET").is_err());
    }
}
