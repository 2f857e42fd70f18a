//! Times in the log use the zone that TZ names. In a container nothing else sets the zone.

use std::path::Path;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use crate::host::Host;
use crate::support::expect;
use crate::support::runner::{Outcome, Trial};

/// The tests of this file.
pub(crate) fn tests() -> Vec<Trial> {
    [
        ("by_name", "Asia/Kolkata", 330),
        ("by_path", ":/usr/share/zoneinfo/Asia/Kolkata", 330),
        ("by_rule", "XYZ-3", 180),
    ]
    .into_iter()
    .map(|(name, zone, ahead)| {
        Trial::new(format!("time_zone::the_log_uses_tz_{name}"), move || {
            log_goes_by(zone, ahead)
        })
    })
    .collect()
}

/// `ahead`: minutes before UTC, all year.
fn log_goes_by(zone: &str, ahead: i64) -> Result<Outcome, String> {
    let file = Path::new("/usr/share/zoneinfo/Asia/Kolkata");
    if zone.ends_with("Kolkata") && !file.exists() {
        return Ok(Outcome::Skipped(format!("{} is missing", file.display())));
    }
    let mut host = Host::new("")?;
    host.go_with(|command| {
        command.env("TZ", zone);
    })?;
    let log = host.place.read("log");
    let told: DateTime = log
        .get(..19)
        .and_then(|time| time.parse().ok())
        .ok_or_else(|| format!("no time: {log}"))?;
    let told = told.to_zoned(TimeZone::UTC).map_err(|e| e.to_string())?;
    let minutes = (told.timestamp().as_second() - Timestamp::now().as_second()) as f64 / 60.0;
    expect(
        (minutes - ahead as f64).abs() < 2.0,
        format!("{zone} is {minutes} minutes ahead, not {ahead}: {log}"),
    )?;
    Ok(Outcome::Passed)
}
