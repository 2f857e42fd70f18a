//! The report of `supervisord --check`: every problem with its line, a caret below it and a remedy; or as JSON.

use std::collections::HashMap;
use std::io::IsTerminal;

use ariadne::{CharSet, Color, Config, Fmt as _, IndexType, Label, Report, ReportKind, Source};
use serde::Serialize;

use crate::config::key::{ConfigKey, all};
use crate::config::lint::Severity;
use crate::config::{CheckReport, ConfigProblem};

/// Returns whether a text is coloured on this stream: only on a terminal, and not if NO_COLOR is set.
#[must_use]
pub fn wants_colour(stream: &impl IsTerminal) -> bool {
    stream.is_terminal() && std::env::var_os("NO_COLOR").is_none()
}

/// The lines of each source, by its name.
type Lines<'r> = HashMap<&'r str, Vec<&'r str>>;

fn lines_of(report: &CheckReport) -> Lines<'_> {
    let sources = report.sources.iter();
    sources
        .map(|(name, text)| (name.as_str(), text.split('\n').collect()))
        .collect()
}

/// Returns the report as text. The last line is about the file as a whole: `FILE: ok`, or the number of problems.
#[must_use]
pub fn report(path: &str, report: &CheckReport, is_coloured: bool) -> String {
    let lines = lines_of(report);
    let mut text = String::new();
    for problem in &report.problems {
        text.push_str(&first_line(problem, is_coloured));
        match drawn(problem, &lines, is_coloured) {
            Some(drawn) => text.push_str(&drawn),
            None => text.push_str(&format!("    {}\n", problem.explained.remedy)),
        }
    }
    text.push_str(&format!("{path}: {}\n", summary(report)));
    text
}

/// How many problems of each severity there are.
fn summary(report: &CheckReport) -> String {
    let counts: Vec<String> = Severity::ALL
        .into_iter()
        .map(|severity| (report.count(severity), severity))
        .filter(|(count, _)| *count > 0)
        .map(|(count, severity)| {
            let noun = match severity {
                Severity::Info => "note",
                severity => severity.word(),
            };
            format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
        })
        .collect();
    match (report.count(Severity::Error), counts.is_empty()) {
        (0, true) => "ok".to_owned(),
        (0, false) => format!("ok, {}", counts.join(", ")),
        _ => counts.join(", "),
    }
}

fn kind_of(severity: Severity) -> (ReportKind<'static>, Color) {
    match severity {
        Severity::Error => (ReportKind::Error, Color::Red),
        Severity::Warning => (ReportKind::Warning, Color::Yellow),
        Severity::Info => (ReportKind::Advice, Color::Blue),
    }
}

/// The place and the problem in one line, in the form that editors and continuous integration search for.
fn first_line(problem: &ConfigProblem, is_coloured: bool) -> String {
    let explained = &problem.explained;
    let word = explained.severity.word();
    let word = match is_coloured {
        true => word.fg(kind_of(explained.severity).1).to_string(),
        false => word.to_owned(),
    };
    let place = match (problem.file.as_str(), problem.line) {
        ("", _) => String::new(),
        (file, 0) => format!("{file}: "),
        (file, line) => format!("{file}:{line}:{}: ", problem.column),
    };
    let code = explained.rule.code();
    format!("{place}{word}: {} [{code}]\n", problem.plain())
}

/// Whether the value of the key may be a secret, which a report does not show.
fn is_secret(key: &str) -> bool {
    let is_row = |row: &ConfigKey| row.is_secret && row.name.eq_ignore_ascii_case(key);
    all().iter().any(|(_, row)| is_row(row))
}

/// Draws the line of a problem, with the remedy below the place. `None`: there is no line to show.
fn drawn(problem: &ConfigProblem, lines: &Lines<'_>, is_coloured: bool) -> Option<String> {
    if is_secret(&problem.explained.key) {
        return None;
    }
    let line = lines
        .get(problem.file.as_str())?
        .get(problem.line.checked_sub(1)?)?;
    let start = problem.column.checked_sub(1)?;
    // A caret behind the line would be invisible.
    let end = (start + problem.len).min(line.chars().count());
    if start >= end {
        return None;
    }
    // Only their number counts: the report shows the line of the problem alone.
    let above = "\n".repeat(problem.line - 1);
    let (start, end) = (start + above.len(), end + above.len());
    let (kind, colour) = kind_of(problem.explained.severity);
    let config = Config::default()
        .with_color(is_coloured)
        .with_index_type(IndexType::Char)
        .with_char_set(if is_coloured {
            CharSet::Unicode
        } else {
            CharSet::Ascii
        });
    let label = Label::new(start..end).with_message(&problem.explained.remedy);
    let mut bytes = Vec::new();
    Report::build(kind, start..end)
        .with_config(config)
        .with_label(label.with_color(colour))
        .finish()
        .write(Source::from(format!("{above}{line}")), &mut bytes)
        .ok()?;
    let drawn = String::from_utf8(bytes).ok()?;
    // The first two lines repeat the place, and the last one only closes the box.
    let inner = drawn.lines().skip(2);
    let mut inner: Vec<&str> = inner.map(str::trim_end).collect();
    inner.pop();
    inner.retain(|line| !line.is_empty());
    Some(inner.iter().map(|line| format!("{line}\n")).collect())
}

/// One problem in JSON. The manual page supervisord(8) documents the fields.
#[derive(Debug, Serialize)]
struct ProblemJson<'r> {
    file: &'r str,
    line: usize,
    column: usize,
    end_column: usize,
    severity: &'static str,
    code: &'static str,
    key: &'r str,
    message: &'r str,
    remedy: &'r str,
}

/// The whole report in JSON.
#[derive(Debug, Serialize)]
struct ReportJson<'r> {
    file: &'r str,
    problems: Vec<ProblemJson<'r>>,
    errors: usize,
    warnings: usize,
    infos: usize,
}

/// Returns the report as one line of JSON.
#[must_use]
pub fn json(path: &str, report: &CheckReport) -> String {
    let problems = report.problems.iter().map(|problem| ProblemJson {
        file: match problem.file.as_str() {
            "" => path,
            file => file,
        },
        line: problem.line,
        column: problem.column,
        end_column: match problem.column {
            0 => 0,
            column => column + problem.len,
        },
        severity: problem.explained.severity.word(),
        code: problem.explained.rule.code(),
        key: &problem.explained.key,
        message: problem.plain(),
        remedy: &problem.explained.remedy,
    });
    let report = ReportJson {
        file: path,
        problems: problems.collect(),
        errors: report.count(Severity::Error),
        warnings: report.count(Severity::Warning),
        infos: report.count(Severity::Info),
    };
    serde_json::to_string(&report).expect("texts and numbers are JSON")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::lint::{Explained, Rule};

    fn problem(file: &str, line: usize, column: usize, explained: Explained) -> ConfigProblem {
        ConfigProblem {
            file: file.to_owned(),
            line,
            column,
            len: 3,
            message: "could not find config file b.conf".to_owned(),
            explained,
        }
    }

    fn example() -> CheckReport {
        let bad = Explained::new(Rule::BadNumber, "key: \"bad\" is not a whole number");
        let bad = bad.key("key").remedy("write 4");
        let errors = vec![
            problem("a.conf", 2, 5, bad),
            problem("", 0, 0, Explained::from(Rule::UnreadableFile)),
        ];
        let strange = Explained::new(Rule::UnknownSection, "a strange section");
        let secret = Explained::new(Rule::BadValue, "wrong").key("password");
        let warnings = vec![
            problem("a.conf", 1, 1, strange),
            problem("a.conf", 3, 10, secret),
        ];
        let text = "[ä]\nkey=bad\npassword=xyz\n".to_owned();
        CheckReport::new(&errors, &warnings, vec![("a.conf".to_owned(), text)])
    }

    #[test]
    fn every_problem_shows_its_line_a_caret_and_a_remedy() {
        let text = report("a.conf", &example(), false);
        assert!(!text.contains('\u{1b}'), "{text}");
        for part in [
            "error: could not find config file b.conf [unreadable-file]\n    create the file",
            "a.conf:1:1: warning: a strange section [unknown-section]\n",
            "a.conf:2:5: error: key: \"bad\" is not a whole number [bad-number]\n",
            " 2 | key=bad\n",
            "`--- write 4\n",
        ] {
            assert!(text.contains(part), "{part:?}: {text}");
        }
        assert!(!text.contains("xyz"), "a secret: {text}");
        assert!(text.starts_with("error: could not find"), "{text}");
        assert!(text.ends_with("a.conf: 3 errors, 1 warning\n"), "{text}");
        assert!(report("a.conf", &example(), true).contains('\u{1b}'));
    }

    #[test]
    fn json_has_the_documented_fields() {
        let found: serde_json::Value =
            serde_json::from_str(&json("a.conf", &example())).expect("JSON");
        assert_eq!(found["errors"], 3);
        assert_eq!(found["warnings"], 1);
        let second = &found["problems"][2];
        for (field, value) in [
            ("file", "a.conf"),
            ("severity", "error"),
            ("code", "bad-number"),
            ("key", "key"),
            ("message", "key: \"bad\" is not a whole number"),
            ("remedy", "write 4"),
        ] {
            assert_eq!(second[field], value, "{found}");
        }
        let place = [("line", 2), ("column", 5), ("end_column", 8)];
        assert!(
            place
                .iter()
                .all(|(field, number)| second[*field] == *number)
        );
    }
}
