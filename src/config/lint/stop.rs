//! The time that stopping all programs may take, against the timeout of the unit.

use std::collections::BTreeMap;

use super::explained::Explained;
use super::input::{Findings, LintInput};
use super::rule::Rule;

/// `TimeoutStopSec=` of supervisord.service, in seconds. A test compares it with the unit.
const UNIT_STOP_SECS: i64 = 30;

/// Checks the programs. Programs of one group and priority stop at the same time; priorities one after another.
pub(super) fn check(input: &LintInput<'_>, found: &mut Findings) {
    let mut by_priority: BTreeMap<(i64, i64), i64> = BTreeMap::new();
    let mut longest: Option<(i64, &str)> = None;
    for program in &input.programs {
        let Some(process) = program.first() else {
            continue;
        };
        let signals = i64::try_from(process.later_stopsignals.len()).unwrap_or(i64::MAX);
        let secs = process
            .stopwaitsecs
            .0
            .saturating_mul(signals.saturating_add(1));
        let group = input.group(process.group.as_str());
        let priority = (group.map_or(0, |group| group.priority), process.priority);
        let slowest = by_priority.entry(priority).or_default();
        *slowest = secs.max(*slowest);
        if longest.is_none_or(|(known, _)| secs > known) {
            longest = Some((secs, program.section.name.as_str()));
        }
    }
    let total = by_priority
        .values()
        .fold(0_i64, |sum, secs| sum.saturating_add(*secs));
    let Some((secs, section)) = longest.filter(|_| total > UNIT_STOP_SECS) else {
        return;
    };
    // Many short times are not worth a note at each of them.
    let Some(program) = input
        .programs
        .iter()
        .find(|program| program.section.name == section)
    else {
        return;
    };
    if program.entry("stopwaitsecs").is_none() && program.entry("stopsignal").is_none() {
        return;
    }
    let text = format!(
        "stopwaitsecs: stopping all programs may take {total} seconds, of which [{section}] takes {secs}; TimeoutStopSec of supervisord.service is {UNIT_STOP_SECS}, and the daemon asks systemd for more time"
    );
    let key = match program.entry("stopwaitsecs") {
        Some(_) => "stopwaitsecs",
        None => "stopsignal",
    };
    found.push((
        program.span(key),
        Explained::new(Rule::StopTime, text).key(key),
    ));
}

#[cfg(test)]
mod tests {
    use super::super::super::lookup::Fake;
    use super::super::testing::codes;

    #[test]
    fn the_timeout_is_that_of_the_unit() {
        let unit = include_str!("../../../systemd/supervisord.service");
        assert!(unit.contains(&format!("\nTimeoutStopSec={}\n", super::UNIT_STOP_SECS)));
    }

    #[test]
    fn long_stops_are_noted_once() {
        for (a, b, count) in [
            ("", "", 0),
            ("stopwaitsecs=30", "", 0),
            ("stopwaitsecs=60", "stopwaitsecs=40", 1),
            ("stopwaitsecs=20\nstopsignal=INT TERM", "", 1),
            (
                "stopwaitsecs=20\npriority=1",
                "stopwaitsecs=20\npriority=2",
                1,
            ),
            ("stopwaitsecs=20", "stopwaitsecs=20", 0),
        ] {
            let machine = Fake::default().with("/bin/a", "\u{0}");
            let text =
                format!("[program:a]\ncommand=/bin/a\n{a}\n[program:b]\ncommand=/bin/a\n{b}\n");
            assert_eq!(codes(machine, &text).len(), count, "{a} {b}");
        }
    }
}
