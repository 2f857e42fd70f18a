//! The report of `supervisord --check`: every problem with its line and a caret below it.

use std::io::IsTerminal;

use ariadne::{CharSet, Config, IndexType, Label, Report, ReportKind, sources};

use crate::config::{ConfigErrors, ConfigProblem, ERROR, WARNING};

/// Returns whether a text is coloured on this stream: only on a terminal, and not if NO_COLOR is set.
#[must_use]
pub fn wants_colour(stream: &impl IsTerminal) -> bool {
    stream.is_terminal() && std::env::var_os("NO_COLOR").is_none()
}

/// Returns all errors and warnings as text, ordered by file and line. The last line counts the errors.
#[must_use]
pub fn report(errors: &ConfigErrors, is_coloured: bool) -> String {
    let mut all: Vec<(usize, &ConfigProblem, ReportKind<'static>)> = Vec::new();
    let place = |problem: &ConfigProblem| {
        let mut names = errors.sources.iter().map(|(name, _)| name);
        names.position(|name| *name == problem.file).unwrap_or(0)
    };
    for (problems, kind) in [
        (&errors.all, ReportKind::Error),
        (&errors.warnings, ReportKind::Warning),
    ] {
        all.extend(
            problems
                .iter()
                .map(|problem| (place(problem), problem, kind)),
        );
    }
    all.sort_by_key(|(file, problem, _)| (*file, problem.line, problem.column));
    let mut text = String::new();
    for (_, problem, kind) in all {
        let word = if kind == ReportKind::Error {
            ERROR
        } else {
            WARNING
        };
        text.push_str(
            &drawn(problem, kind, errors, is_coloured)
                .unwrap_or_else(|| format!("{}\n", problem.line(word))),
        );
    }
    let count = errors.all.len();
    let noun = if count == 1 { "problem" } else { "problems" };
    text.push_str(&format!("{count} {noun}\n"));
    text
}

/// Returns the warnings of a configuration without errors, one per line.
#[must_use]
pub fn warnings(warnings: &[ConfigProblem]) -> String {
    warnings
        .iter()
        .map(|problem| format!("warning: {problem}\n"))
        .collect()
}

/// Draws one problem with its line. `None`: there is no line to show.
fn drawn(
    problem: &ConfigProblem,
    kind: ReportKind<'static>,
    errors: &ConfigErrors,
    is_coloured: bool,
) -> Option<String> {
    let (_, source) = errors
        .sources
        .iter()
        .find(|(name, _)| *name == problem.file)?;
    let before = source
        .split_inclusive('\n')
        .take(problem.line.checked_sub(1)?)
        .map(|line| line.chars().count())
        .sum::<usize>();
    let start = before + problem.column.checked_sub(1)?;
    let total = source.chars().count();
    // A caret below a newline would be invisible.
    let end = (start + problem.len).min(total);
    if start >= end {
        return None;
    }
    let span = (problem.file.clone(), start..end);
    let config = Config::default()
        .with_color(is_coloured)
        .with_index_type(IndexType::Char)
        .with_char_set(if is_coloured {
            CharSet::Unicode
        } else {
            CharSet::Ascii
        });
    // The position gets its own line, in the form that editors and people search for.
    let title = problem.message.split('\n').next().unwrap_or_default();
    let mut bytes = Vec::new();
    Report::build(kind, span.clone())
        .with_config(config)
        .with_message(title)
        .with_label(Label::new(span).with_message("here"))
        .finish()
        .write(
            sources([(problem.file.clone(), source.clone())]),
            &mut bytes,
        )
        .ok()?;
    let drawn = String::from_utf8(bytes).ok()?;
    Some(format!(
        "{}:{}:{}:\n{drawn}",
        problem.file, problem.line, problem.column
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_problem_shows_its_line_and_a_caret() {
        let errors = ConfigErrors {
            first: "bad".to_owned(),
            all: vec![
                ConfigProblem {
                    file: "a.conf".to_owned(),
                    line: 2,
                    column: 5,
                    len: 3,
                    message: "not good; expected better".to_owned(),
                },
                ConfigProblem {
                    file: String::new(),
                    line: 0,
                    column: 0,
                    len: 1,
                    message: "could not find config file b.conf".to_owned(),
                },
            ],
            warnings: vec![ConfigProblem {
                file: "a.conf".to_owned(),
                line: 1,
                column: 1,
                len: 3,
                message: "a strange section".to_owned(),
            }],
            sources: vec![("a.conf".to_owned(), "[ä]\nkey=bad\n".to_owned())],
        };
        let text = report(&errors, false);
        assert!(!text.contains('\u{1b}'), "{text}");
        assert!(text.contains("a.conf:2:5:"), "{text}");
        assert!(text.contains("Error: not good; expected better"), "{text}");
        assert!(text.contains("key=bad"), "{text}");
        assert!(
            text.starts_with("error: could not find config file b.conf\n"),
            "{text}"
        );
        assert!(!text.contains(":0:"), "{text}");
        let warning = text.find("Warning: a strange section");
        assert!(
            warning.is_some() && warning < text.find("a.conf:2:5:"),
            "{text}"
        );
        assert!(text.ends_with("2 problems\n"), "{text}");
        assert!(report(&errors, true).contains('\u{1b}'));
    }
}
