//! Names of log files with a date: the name of the live file, those of closed files, and which of them exist.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::os::fd::AsFd as _;
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use jiff::tz::TimeZone;
use nix::dir::Dir;
use nix::fcntl::AtFlags;
use nix::sys::stat::{FileStat, SFlag, fstatat};

use crate::config::log_options::LogOptions;
use crate::domain::{DATE_TOKEN, Errno, LogCalendar, LogPeriod, Wall};
use crate::sys::{self, safe_open};

/// The suffix of a compressed file.
pub(super) const GZ: &str = ".gz";
/// The suffix of a file that is being compressed.
pub(super) const GZ_TMP: &str = ".gz.tmp";
/// How far the clock may be set back before a log goes back to an earlier date, in nanoseconds.
const SET_BACK: i64 = 60 * 1_000_000_000;

/// The live files of paths with a date, for those who read logs.
static LIVE: Mutex<BTreeMap<PathBuf, Arc<Path>>> = Mutex::new(BTreeMap::new());

/// Whether the file of a path depends on the date.
pub(super) fn has_date(path: &Path) -> bool {
    path.to_str().is_some_and(|path| path.contains(DATE_TOKEN))
}

/// The path with this date.
fn with_date(path: &Path, date: &str) -> Arc<Path> {
    let text = path.to_string_lossy().replace(DATE_TOKEN, date);
    Path::new(&text).into()
}

/// The file that a configured path means now: with a date, the file that was written last.
pub(super) fn live_path(path: &Path) -> Cow<'_, Path> {
    if !has_date(path) || path.exists() {
        return Cow::Borrowed(path);
    }
    let live = LIVE.lock().unwrap_or_else(PoisonError::into_inner);
    let known = live.get(path).map(|live| live.to_path_buf());
    drop(live);
    let newest = || {
        let files = dated_files(path, &|_| true).into_iter();
        let files = files.filter(|file| file.number.is_none() && file.kind == FileKind::Plain);
        files
            .max_by(|one, other| (one.modified, &one.path).cmp(&(other.modified, &other.path)))
            .map(|file| file.path)
    };
    known
        .or_else(newest)
        .map_or(Cow::Borrowed(path), Cow::Owned)
}

/// The dates of one log.
#[derive(Debug)]
pub(super) struct LogDates {
    calendar: LogCalendar,
    /// Whether the path has the token. False: a closed file gets the date as a suffix.
    in_path: bool,
    /// The date of the live file.
    date: String,
    /// When the date was determined.
    since: Wall,
    /// When the next file begins.
    until: Wall,
}

impl LogDates {
    /// The dates of a log with these options. `None`: it has none.
    pub(super) fn new(
        path: &Path,
        options: Option<&LogOptions>,
        zone: impl FnOnce() -> TimeZone,
        now: Wall,
    ) -> Option<Self> {
        let in_path = has_date(path);
        let format = options.and_then(|options| options.date_format.as_deref());
        let of_format = || format.map_or(LogPeriod::Day, LogPeriod::of_date_format);
        let period = options.and_then(|options| options.rotate.period);
        let period = period.or_else(|| in_path.then(of_format))?;
        let zone = match options {
            Some(options) if options.utc => TimeZone::UTC,
            _ => zone(),
        };
        let mut dates = Self {
            calendar: LogCalendar::new(zone, period, format),
            in_path,
            date: String::new(),
            since: now,
            until: now,
        };
        dates.set(now);
        Some(dates)
    }

    /// Sets the date of the live file.
    pub(super) fn set(&mut self, at: Wall) {
        self.date = self.calendar.text(at);
        self.since = at;
        self.until = self.calendar.next_boundary(at);
    }

    /// Whether the path has the token.
    pub(super) const fn in_path(&self) -> bool {
        self.in_path
    }

    /// The date of the live file.
    pub(super) fn date(&self) -> &str {
        &self.date
    }

    /// When the next file begins.
    pub(super) const fn until(&self) -> Wall {
        self.until
    }

    /// Whether another file begins at `now`. A clock that is set back counts as well, since the live file could have a
    /// date of years to come.
    pub(super) fn is_due(&mut self, now: Wall) -> bool {
        if now < self.until && now.0 >= self.since.0.saturating_sub(SET_BACK) {
            return false;
        }
        let is_other = self.calendar.text(now) != self.date;
        if !is_other {
            self.set(now);
        }
        is_other
    }

    /// The live file of `path`.
    pub(super) fn live(&self, path: &Arc<Path>) -> Arc<Path> {
        match self.in_path {
            true => with_date(path, &self.date),
            false => path.clone(),
        }
    }

    /// Makes the directories of the live file that have a date in their names, or are below those. Tells readers which
    /// file is live.
    pub(super) fn prepare(&self, path: &Path, live: &Arc<Path>) -> Result<(), Errno> {
        if !self.in_path {
            return Ok(());
        }
        let mut made = PathBuf::new();
        let mut parts = path.components().zip(live.components()).peekable();
        let mut is_below = false;
        while let Some((pattern, part)) = parts.next() {
            made.push(part);
            is_below |= pattern != part;
            if is_below && parts.peek().is_some() {
                match safe_open::make_directory(&made) {
                    Ok(()) | Err(Errno::EXIST) => {}
                    Err(error) => return Err(error),
                }
            }
        }
        let mut known = LIVE.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert(path.to_owned(), live.clone());
        Ok(())
    }

    /// All files of the log at `path` that have a date.
    pub(super) fn files(&self, path: &Path) -> Vec<DatedFile> {
        let is_date = |text: &str| self.calendar.is_date(text);
        match self.in_path {
            true => dated_files(path, &is_date),
            false => {
                let mut pattern = path.as_os_str().to_owned();
                pattern.push(".");
                pattern.push(DATE_TOKEN);
                dated_files(Path::new(&pattern), &is_date)
            }
        }
    }
}

/// What a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FileKind {
    Plain,
    Compressed,
    /// Being compressed, or left by a daemon that was killed meanwhile.
    Unfinished,
}

/// A file of a log.
#[derive(Debug)]
pub(super) struct DatedFile {
    pub(super) path: PathBuf,
    pub(super) kind: FileKind,
    /// The number of a file that is not the only one with its date.
    pub(super) number: Option<u64>,
    /// When it was last written, in seconds and nanoseconds.
    pub(super) modified: (i64, i64),
    pub(super) device: u64,
    pub(super) inode: u64,
}

/// The plain files that a path with the token can mean, with their numbers and suffixes.
pub(super) fn dated_files(pattern: &Path, is_date: &dyn Fn(&str) -> bool) -> Vec<DatedFile> {
    let parts: Vec<&str> = pattern
        .components()
        .filter_map(|part| match part {
            Component::RootDir => Some("/"),
            other => other.as_os_str().to_str(),
        })
        .collect();
    let mut found = Vec::new();
    search(PathBuf::new(), &parts, None, is_date, &mut found);
    found
}

/// Returns the files of a log whose path has a date: that of each date, their backups, and compressed ones. Each comes
/// with its name below the last directory that has no date. `None`: the path has no date.
#[must_use]
pub fn dated_log_files(path: &Path) -> Option<Vec<(String, PathBuf)>> {
    if !has_date(path) {
        return None;
    }
    let fixed: PathBuf = path
        .components()
        .take_while(|part| !has_date(Path::new(part.as_os_str())))
        .collect();
    let files = dated_files(path, &looks_like_date).into_iter();
    let named = files
        .filter(|file| file.kind != FileKind::Unfinished)
        .filter_map(|file| {
            let name = file.path.strip_prefix(&fixed).ok()?.to_str()?.to_owned();
            Some((name, file.path))
        });
    Some(named.collect())
}

/// Whether a text may be a date, for those who do not know the form of the dates.
fn looks_like_date(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_digit())
        && text
            .chars()
            .all(|c| c.is_ascii_digit() || matches!(c, '-' | '_' | '.' | ':' | 'T'))
}

fn search(
    directory: PathBuf,
    parts: &[&str],
    date: Option<&str>,
    is_date: &dyn Fn(&str) -> bool,
    found: &mut Vec<DatedFile>,
) {
    let [part, rest @ ..] = parts else { return };
    let known = date.map(|date| part.replace(DATE_TOKEN, date));
    let part = known.as_deref().unwrap_or(part);
    let is_last = rest.is_empty();
    if !is_last && !part.contains(DATE_TOKEN) {
        return search(directory.join(part), rest, date, is_date, found);
    }
    for (name, stat) in list(&directory) {
        let (stem, number, kind) = match is_last {
            true => without_suffixes(&name, part),
            false => (&*name, None, FileKind::Plain),
        };
        let text = match date_in(stem, part) {
            Some("") => date,
            Some(text) if is_date(text) => Some(text),
            _ => continue,
        };
        let path = directory.join(&name);
        let wanted = match is_last {
            true => SFlag::S_IFREG,
            false => SFlag::S_IFDIR,
        };
        if safe_open::kind(&stat) != wanted {
            continue;
        }
        if !is_last {
            search(path, rest, text, is_date, found);
            continue;
        }
        found.push(DatedFile {
            path,
            kind,
            number,
            modified: (stat.st_mtime, stat.st_mtime_nsec),
            device: stat.st_dev,
            inode: stat.st_ino,
        });
    }
}

/// The names in a directory.
fn list(directory: &Path) -> Vec<(String, FileStat)> {
    let directory = match directory.as_os_str().is_empty() {
        true => Path::new("."),
        false => directory,
    };
    let Ok(dir) = safe_open::open_directory(directory) else {
        return Vec::new();
    };
    let listing = dir.try_clone().ok().and_then(|dir| Dir::from_fd(dir).ok());
    let Some(mut listing) = listing else {
        return Vec::new();
    };
    let entries = listing.iter().flatten().filter_map(|entry| {
        let name = entry.file_name();
        let stat = fstatat(dir.as_fd(), name, AtFlags::AT_SYMLINK_NOFOLLOW).ok()?;
        Some((name.to_str().ok()?.to_owned(), stat))
    });
    entries.collect()
}

/// The date in a name. Empty: the pattern has no token and equals the name. `None`: the name does not match.
fn date_in<'a>(name: &'a str, pattern: &str) -> Option<&'a str> {
    let Some((before, after)) = pattern.split_once(DATE_TOKEN) else {
        return (name == pattern).then_some("");
    };
    let rest = name.strip_prefix(before)?;
    // A further token in the same name has the same date.
    let count = after.matches(DATE_TOKEN).count() + 1;
    let fixed = after.len() - (count - 1) * DATE_TOKEN.len();
    let length = rest.len().checked_sub(fixed)? / count;
    let date = rest.get(..length).filter(|date| !date.is_empty())?;
    (rest[length..] == after.replace(DATE_TOKEN, date)).then_some(date)
}

/// Splits a name that is longer than the pattern into the name without number and suffix, the number, and the suffix.
fn without_suffixes<'a>(name: &'a str, pattern: &str) -> (&'a str, Option<u64>, FileKind) {
    let (stem, kind) = if let Some(stem) = name.strip_suffix(GZ_TMP) {
        (stem, FileKind::Unfinished)
    } else if let Some(stem) = name.strip_suffix(GZ) {
        (stem, FileKind::Compressed)
    } else {
        (name, FileKind::Plain)
    };
    // A date may end with a dot and digits too, such as %Y.%m.%d; then the whole name is a file without number.
    match stem.rsplit_once('.') {
        Some((before, digits))
            if !digits.is_empty()
                && digits.len() < 10
                && digits.bytes().all(|byte| byte.is_ascii_digit())
                && date_in(before, pattern).is_some() =>
        {
            (before, digits.parse().ok(), kind)
        }
        _ => (stem, None, kind),
    }
}

/// The zone of dates that are not in UTC.
pub(super) fn zone() -> TimeZone {
    sys::time_zone()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::testing::TempDir;

    #[test]
    fn dates_are_found_in_names() {
        assert_eq!(date_in("web-1-x", "web-{date}-x"), Some("1"));
        assert_eq!(date_in("web--x", "web-{date}-x"), None);
        assert_eq!(date_in("1-1", "{date}-{date}"), Some("1"));
        assert_eq!(date_in("1-2", "{date}-{date}"), None);
        assert_eq!(date_in("web", "web"), Some(""));
        assert_eq!(
            without_suffixes("web.2026.7.gz", "web.{date}"),
            ("web.2026", Some(7), FileKind::Compressed)
        );
        assert_eq!(
            without_suffixes("web.2026", "web.{date}"),
            ("web.2026", None, FileKind::Plain)
        );
    }

    #[test]
    fn l02_the_files_of_a_log_are_found_and_no_others() {
        let dir = TempDir::new("dated");
        let calendar = LogCalendar::new(TimeZone::UTC, LogPeriod::Day, None);
        let make = |name: &str| {
            let path = dir.path(name);
            std::fs::create_dir_all(path.parent().expect("a directory")).expect("made");
            std::fs::write(&path, name).expect("written");
        };
        for name in [
            "2026-11-30/web.log",
            "2026-11-30/web.log.1.gz",
            "2026-12-01/web.log.gz.tmp",
            "2026-12-01/other.log",
            "2026-13-01/web.log",
            "x/web.log",
        ] {
            make(name);
        }
        std::os::unix::fs::symlink("web.log", dir.path("2026-11-30/web.log.2")).expect("linked");
        let is_date = |text: &str| calendar.is_date(text);
        let mut found = dated_files(&dir.path("{date}/web.log"), &is_date);
        found.sort_by(|one, other| one.path.cmp(&other.path));
        let found: Vec<_> = found
            .iter()
            .map(|file| (file.path.clone(), file.number, file.kind))
            .collect();
        assert_eq!(
            found,
            [
                (dir.path("2026-11-30/web.log"), None, FileKind::Plain),
                (
                    dir.path("2026-11-30/web.log.1.gz"),
                    Some(1),
                    FileKind::Compressed
                ),
                (
                    dir.path("2026-12-01/web.log.gz.tmp"),
                    None,
                    FileKind::Unfinished
                ),
            ]
        );
        let mut listed = dated_log_files(&dir.path("{date}/web.log")).expect("a date");
        listed.sort();
        let listed: Vec<&str> = listed.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(
            listed,
            [
                "2026-11-30/web.log",
                "2026-11-30/web.log.1.gz",
                "2026-13-01/web.log"
            ],
            "without the form of the dates"
        );
        assert_eq!(dated_log_files(&dir.path("x/web.log")), None);
        assert_eq!(
            live_path(&dir.path("{date}/web.log")).parent(),
            Some(&*dir.path("x")),
            "the newest one, whatever its date"
        );
    }
}
