//! Numbers that are valid and probably not meant.

use super::super::ini::IniEntry;
use super::super::key::{ConfigKey, SectionKind, ValueKind};
use super::super::problem::SourceSpan;
use super::explained::Explained;
use super::input::{Findings, LintInput, LintProgram};
use super::rule::Rule;

/// Below this number of bytes, a limit of memory stops every program.
const MEMORY_MIN: u64 = 1 << 20;
/// Below this number of bytes, a log is rotated after a few lines.
const LOG_MIN: u64 = 1 << 10;

/// Checks the numbers of all sections.
pub(super) fn check(input: &LintInput<'_>, found: &mut Findings) {
    for section in input.ini.sections() {
        let Some(kind) = SectionKind::of(&section.name) else {
            continue;
        };
        for entry in &section.entries {
            if let Some(row) = ConfigKey::find(kind, &entry.key) {
                found.extend(negative(row, entry));
                found.extend(small(row, entry));
            }
        }
    }
    for program in &input.programs {
        found.extend(no_processes(program));
        found.extend(no_grace(program));
    }
}

type Finding = Option<(SourceSpan, Explained)>;

/// A negative time or number of retries.
fn negative(row: &ConfigKey, entry: &IniEntry) -> Finding {
    let counts = matches!(row.kind, ValueKind::Seconds | ValueKind::Retries);
    let number: i64 = entry
        .value
        .parse()
        .ok()
        .filter(|number| counts && *number < 0)?;
    let text = format!("{}: {number} is negative and counts as 0", row.name);
    let default = row.default.unwrap_or("0");
    let explained = Explained::new(Rule::NegativeNumber, text).key(row.name);
    let remedy = format!("write 0 or a positive number; the default is {default}");
    Some((entry.value_span(), explained.remedy(remedy)))
}

/// A size without a unit that is too small to be meant.
fn small(row: &ConfigKey, entry: &IniEntry) -> Finding {
    let number: u64 = entry.value.parse().ok().filter(|&number| number > 0)?;
    let least = match row.kind {
        ValueKind::Memory => MEMORY_MIN,
        ValueKind::ByteSize if row.name.ends_with("logfile_maxbytes") => LOG_MIN,
        _ => return None,
    };
    if number >= least {
        return None;
    }
    let text = format!("{}: {number} is a number of bytes", row.name);
    let explained = Explained::new(Rule::SmallSize, text).key(row.name);
    let remedy = format!("write {number}MB if megabytes are meant");
    Some((entry.value_span(), explained.remedy(remedy)))
}

/// `numprocs=0`.
fn no_processes(program: &LintProgram<'_>) -> Finding {
    let entry = program.entry("numprocs")?;
    let number: i64 = entry.value.parse().ok().filter(|number| *number <= 0)?;
    let text = format!(
        "numprocs: {number} makes no process of [{}]",
        program.section.name
    );
    let explained = Explained::new(Rule::NoProcesses, text).key("numprocs");
    Some((entry.value_span(), explained))
}

/// A stop without time for the program to clean up.
fn no_grace(program: &LintProgram<'_>) -> Finding {
    let process = program.first()?;
    let (key, text) = match () {
        () if process.stopsignal == crate::domain::Signal::KILL => (
            "stopsignal",
            "stopsignal: KILL ends the program at once, so stopwaitsecs has no effect",
        ),
        () if process.stopwaitsecs.0 <= 0 && program.entry("stopwaitsecs").is_some() => (
            "stopwaitsecs",
            "stopwaitsecs: SIGKILL follows the stop signal at once",
        ),
        () => return None,
    };
    // A negative number is another rule's.
    let is_reported = key == "stopwaitsecs" && process.stopwaitsecs.0 < 0;
    let explained = Explained::new(Rule::NoGrace, text).key(key);
    (!is_reported).then(|| (program.span(key), explained))
}

#[cfg(test)]
mod tests {
    use super::super::super::lookup::Fake;
    use super::super::testing::codes;

    #[test]
    fn numbers_that_are_not_meant_are_found() {
        for (line, code) in [
            ("startsecs=-1", Some("negative-number")),
            ("stopwaitsecs=-5", Some("negative-number")),
            ("startretries=-3", Some("negative-number")),
            ("startsecs=0", None),
            ("memory_max=512", Some("small-size")),
            ("memory_max=512MB", None),
            ("memory_max=infinity", None),
            ("stdout_logfile_maxbytes=50", Some("small-size")),
            ("stdout_logfile_maxbytes=0\nstdout_logfile=NONE", None),
            ("stdout_capture_maxbytes=100", None),
            ("numprocs=0", Some("no-processes")),
            ("stopsignal=KILL", Some("no-grace")),
            ("stopwaitsecs=0", Some("no-grace")),
            ("priority=-1", None),
        ] {
            let machine = Fake::default().with("/bin/a", "\u{0}");
            let text = format!("[program:a]\ncommand=/bin/a\n{line}\n");
            let found = codes(machine, &text);
            let found = found.iter().find(|code| *code != "missing-right");
            assert_eq!(found.map(String::as_str), code, "{line}");
        }
    }
}
