//! The zone of local times, found as the C library finds it. It reads one file and searches no directory.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::File;
use std::io::Read as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use jiff::tz::TimeZone;

use super::now;
use crate::domain::{CronZone, Seconds, Tick};

/// The zone file of a host without TZ.
const LOCALTIME: &str = "/etc/localtime";
/// The directory of zone files with a relative name, unless TZDIR names another.
const ZONES: &str = "/usr/share/zoneinfo";
/// Maximum size of a zone file in bytes. The largest one today has 3 KiB.
const FILE_BYTES_MAX: u64 = 1 << 20;
/// Default rules for summer time, for a TZ that has none, such as `EST5EDT`.
const RULES: &str = ",M3.2.0,M11.1.0";
/// The zone is read again after this time, so that a change on the host takes effect without a restart.
const READ_AGAIN: Seconds = Seconds(300);

/// The zone for times in the log and in responses: that of TZ, else that of `/etc/localtime`, else UTC.
///
/// # Source
/// tzset(3).
#[must_use]
pub fn time_zone() -> TimeZone {
    static KNOWN: Mutex<Option<(Tick, TimeZone)>> = Mutex::new(None);
    let now = now().mono;
    // No code panics while it holds the lock.
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

/// The zone for a value of TZ. `None`: TZ is not set.
fn zone_of(tz: Option<&OsStr>, directory: &Path) -> TimeZone {
    let Some(tz) = tz else {
        return of_file(Path::new(LOCALTIME)).unwrap_or(TimeZone::UTC);
    };
    let name = tz.as_bytes();
    let name = name.strip_prefix(b":").unwrap_or(name);
    if name.is_empty() {
        return TimeZone::UTC;
    }
    // `join` leaves an absolute path unchanged.
    let path: PathBuf = directory.join(OsStr::from_bytes(name));
    of_file(&path)
        .or_else(|| of_rules(std::str::from_utf8(name).ok()?))
        .unwrap_or(TimeZone::UTC)
}

/// Zones of schedules that were read, by name. `None`: the host's own zone.
static CRON_ZONES: Mutex<BTreeMap<Option<String>, CronZone>> = Mutex::new(BTreeMap::new());

/// Reads the zone of a schedule, now. `None` for `name`: that of [`time_zone`]. Returns `None` if there is no such zone.
#[must_use]
pub fn read_cron_zone(name: Option<&str>) -> Option<CronZone> {
    let zone = match name {
        None => time_zone(),
        Some("Local") => time_zone(),
        Some("UTC") => TimeZone::UTC,
        Some(name) => {
            let is_below = !name.starts_with('/') && !name.split('/').any(|part| part == "..");
            let directory = std::env::var_os("TZDIR").unwrap_or_else(|| ZONES.into());
            of_file(&Path::new(&directory).join(name))
                .filter(|_| is_below)
                .or_else(|| of_rules(name))?
        }
    };
    let zone = CronZone::from(zone);
    let mut known = CRON_ZONES.lock().unwrap_or_else(PoisonError::into_inner);
    known.insert(name.map(str::to_owned), zone.clone());
    Some(zone)
}

/// The zone of a schedule as it was read last, so that the engine reads no file. A daemon that takes over reads it once.
/// An unknown zone is UTC.
#[must_use]
pub fn cron_zone(name: Option<&str>) -> CronZone {
    let known = CRON_ZONES.lock().unwrap_or_else(PoisonError::into_inner);
    let found = known.get(&name.map(str::to_owned)).cloned();
    drop(known);
    found
        .or_else(|| read_cron_zone(name))
        .unwrap_or(CronZone::UTC)
}

/// Reads a zone file. `None`: the file does not exist or is not a zone file.
fn of_file(path: &Path) -> Option<TimeZone> {
    if !path.metadata().ok()?.is_file() {
        return None;
    }
    let mut data = Vec::new();
    let file = File::open(path).ok()?;
    file.take(FILE_BYTES_MAX).read_to_end(&mut data).ok()?;
    // The name does not matter: times are printed with their offset only.
    TimeZone::tzif("local", &data).ok()
}

/// Parses POSIX rules. `None`: the text is not valid.
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
    fn tz_is_a_file_or_rules_and_otherwise_utc() {
        let directory = std::env::temp_dir().join(format!("zones-{}", std::process::id()));
        std::fs::create_dir_all(directory.join("Some")).expect("made");
        let file = directory.join("Some/Where");
        // A zone file that contains only rules in its last line.
        let mut data = Vec::new();
        for _ in 0..2 {
            data.extend_from_slice(b"TZif2");
            data.extend_from_slice(&[0; 15]);
            // The counts of: UTC and standard flags, leap seconds, transitions, types, bytes of names.
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
            // No zone file has that name, so the text is parsed as rules.
            ("CET-1", [3600, 3600]),
            ("EST5EDT", [-18000, -14400]),
            ("EST5EDT,M3.2.0,M11.1.0", [-18000, -14400]),
            ("<+0530>-5:30", [19800, 19800]),
            ("", [0, 0]),
            (":", [0, 0]),
            // Neither a directory nor a missing file is a zone.
            ("Some", [0, 0]),
            ("Some/Where/Else", [0, 0]),
            ("\u{1}", [0, 0]),
        ] {
            assert_eq!(offsets(tz, &directory), expected, "{tz:?}");
        }
        std::fs::remove_dir_all(&directory).expect("removed");
    }
}
