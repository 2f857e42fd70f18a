//! The zone of local times, found where the C library finds it: one file is read, and no directory is searched.

use std::ffi::OsStr;
use std::fs::File;
use std::io::Read as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use jiff::tz::TimeZone;

use super::now;
use crate::domain::{Seconds, Tick};

/// The zone of a host whose TZ says nothing.
const LOCALTIME: &str = "/etc/localtime";
/// The home of zone files that have a relative name, unless TZDIR names another.
const ZONES: &str = "/usr/share/zoneinfo";
/// A file that is larger is no zone; the largest one of today has 3 KiB.
const FILE_BYTES_MAX: u64 = 1 << 20;
/// When summer time begins and ends in the zone of a TZ that does not say it, such as `EST5EDT`.
const RULES: &str = ",M3.2.0,M11.1.0";
/// A zone is read again after this time, so that a change of the host's zone is seen without a restart.
const READ_AGAIN: Seconds = Seconds(300);

/// The zone in which the log and the clients are shown times: that of TZ, else that of `/etc/localtime`, else UTC.
///
/// # Source
/// tzset(3).
#[must_use]
pub fn time_zone() -> TimeZone {
    static KNOWN: Mutex<Option<(Tick, TimeZone)>> = Mutex::new(None);
    let now = now().mono;
    // Nothing panics while it holds the lock.
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    match &*known {
        Some((until, zone)) if now < *until => zone.clone(),
        _ => {
            let name = std::env::var_os("TZ");
            let directory = std::env::var_os("TZDIR").unwrap_or_else(|| ZONES.into());
            let zone = zone_of(name.as_deref(), Path::new(&directory));
            *known = Some((now + READ_AGAIN, zone.clone()));
            zone
        }
    }
}

/// The zone that a value of TZ means. `None`: TZ is not set.
fn zone_of(tz: Option<&OsStr>, directory: &Path) -> TimeZone {
    let Some(tz) = tz else {
        return of_file(Path::new(LOCALTIME)).unwrap_or(TimeZone::UTC);
    };
    let name = tz.as_bytes();
    let name = name.strip_prefix(b":").unwrap_or(name);
    if name.is_empty() {
        return TimeZone::UTC;
    }
    // An absolute path stays as it is.
    let path: PathBuf = directory.join(OsStr::from_bytes(name));
    of_file(&path)
        .or_else(|| of_rules(std::str::from_utf8(name).ok()?))
        .unwrap_or(TimeZone::UTC)
}

/// `None`: there is no such file, or it holds no zone.
fn of_file(path: &Path) -> Option<TimeZone> {
    if !path.metadata().ok()?.is_file() {
        return None;
    }
    let mut data = Vec::new();
    let file = File::open(path).ok()?;
    file.take(FILE_BYTES_MAX).read_to_end(&mut data).ok()?;
    // Times are printed with their offset, never with the name of the zone.
    TimeZone::tzif("local", &data).ok()
}

/// `None`: these are no rules as POSIX has them.
fn of_rules(text: &str) -> Option<TimeZone> {
    TimeZone::posix(text)
        .or_else(|_| TimeZone::posix(&format!("{text}{RULES}")))
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::Timestamp;

    /// Seconds east of Greenwich in winter and in summer.
    fn offsets(tz: &str, directory: &Path) -> [i32; 2] {
        let zone = zone_of(Some(OsStr::new(tz)), directory);
        [1_768_435_200, 1_784_073_600].map(|second| {
            let time = Timestamp::from_second(second).expect("a time");
            zone.to_offset(time).seconds()
        })
    }

    #[test]
    fn tz_is_a_file_or_rules_and_utc_where_it_is_neither() {
        let directory = std::env::temp_dir().join(format!("zones-{}", std::process::id()));
        std::fs::create_dir_all(directory.join("Some")).expect("made");
        let file = directory.join("Some/Where");
        // A zone file that has nothing but rules in its last line.
        let mut data = Vec::new();
        for _ in 0..2 {
            data.extend_from_slice(b"TZif2");
            data.extend_from_slice(&[0; 15]);
            // How many of each: UTC and standard flags, leap seconds, transitions, types, bytes of names.
            for count in [0_u32, 0, 0, 0, 1, 4] {
                data.extend_from_slice(&count.to_be_bytes());
            }
            data.extend_from_slice(&3600_u32.to_be_bytes());
            data.extend_from_slice(&[0, 0]);
            data.extend_from_slice(b"CET\0");
        }
        data.extend_from_slice(b"\nCET-1CEST,M3.5.0,M10.5.0/3\n");
        std::fs::write(&file, &data).expect("written");
        std::fs::write(directory.join("CET-1"), "no zone").expect("written");
        let absolute = file.display().to_string();
        for (tz, expected) in [
            ("Some/Where", [3600, 7200]),
            (":Some/Where", [3600, 7200]),
            (&absolute, [3600, 7200]),
            // No zone in the file of that name, so it is taken as rules.
            ("CET-1", [3600, 3600]),
            ("EST5EDT", [-18000, -14400]),
            ("EST5EDT,M3.2.0,M11.1.0", [-18000, -14400]),
            ("<+0530>-5:30", [19800, 19800]),
            ("", [0, 0]),
            (":", [0, 0]),
            // Neither a directory nor what is not there is a zone.
            ("Some", [0, 0]),
            ("Some/Where/Else", [0, 0]),
            ("\u{1}", [0, 0]),
        ] {
            assert_eq!(offsets(tz, &directory), expected, "{tz:?}");
        }
        std::fs::remove_dir_all(&directory).expect("removed");
    }
}
