//! Python programs whose output appears late.

use super::super::spec::{LogTarget, NamedTargets, ProcessSpec};
use super::explained::Explained;
use super::input::{Findings, LintInput};
use super::rule::Rule;
use super::words::Executed;

/// The variable that turns buffering off.
const VARIABLE: &str = "PYTHONUNBUFFERED";

/// Checks the commands. A program without a log of standard output, or with an env file, is left out.
pub(super) fn check(input: &LintInput<'_>, found: &mut Findings) {
    for program in &input.programs {
        let Some(process) = program.first().filter(|process| has_log(process)) else {
            continue;
        };
        let mut variables = process.environment.iter();
        if process.env_files.is_some() || variables.any(|(name, _)| name == VARIABLE) {
            continue;
        }
        let words = &program.words;
        let Some(executed) = Executed::of(words).filter(|it| is_python(it.name())) else {
            continue;
        };
        let sets_variable = words.iter().any(|word| word.text.starts_with(VARIABLE));
        let mut options = executed.texts().take_while(|text| text.starts_with('-'));
        if sets_variable || options.any(is_unbuffered) {
            continue;
        }
        let name = executed.name();
        let text = format!("command: {name} buffers its output, so lines appear late in the log");
        let remedy = format!("write {name} -u, or environment={VARIABLE}=\"1\"");
        let explained = Explained::new(Rule::BufferedPython, text).key("command");
        found.push((
            program.span_of_part("command", name),
            explained.remedy(remedy),
        ));
    }
}

fn has_log(process: &ProcessSpec) -> bool {
    let log = &process.stdout;
    let discards = matches!(&log.target, LogTarget::File(path) if path.starts_with("/dev/null"));
    let no_file = matches!(log.target, LogTarget::None | LogTarget::Empty);
    let has_targets = !no_file || log.named != NamedTargets::default();
    has_targets && !discards
}

/// Whether the name is `python`, `python3`, `python3.11` or `pypy`.
fn is_python(name: &str) -> bool {
    let version = name
        .strip_prefix("python")
        .or_else(|| name.strip_prefix("pypy"));
    version.is_some_and(|version| version.chars().all(|c| c.is_ascii_digit() || c == '.'))
}

/// Whether an argument has the option `-u`. `-c` and `-m` end the options.
fn is_unbuffered(argument: &str) -> bool {
    let letters = argument
        .strip_prefix('-')
        .filter(|letters| !letters.starts_with('-'));
    let letters = letters
        .unwrap_or_default()
        .split(['c', 'm', 'W', 'X'])
        .next();
    letters.is_some_and(|letters| letters.contains('u'))
}

#[cfg(test)]
mod tests {
    use super::super::super::lookup::Fake;
    use super::super::testing::codes;

    #[test]
    fn python_without_u_is_noted() {
        for (lines, count) in [
            ("command=/bin/python3 app.py", 1),
            ("command=/bin/python3 -m http.server", 1),
            ("command=/bin/python3 -u app.py", 0),
            ("command=/bin/python3 -Bu app.py", 0),
            ("command=/bin/python3 app.py -u", 1),
            (
                "command=/bin/python3 app.py\nenvironment=PYTHONUNBUFFERED=1",
                0,
            ),
            ("command=/bin/env PYTHONUNBUFFERED=1 /bin/python3 app.py", 0),
            ("command=/bin/python3 app.py\nstdout_logfile=NONE", 0),
            ("command=/bin/python3 app.py\nstdout_logfile=/dev/null", 0),
            ("command=/bin/python-tool x", 0),
        ] {
            let machine = Fake::default()
                .with("/bin/python3", "\u{0}")
                .with("/bin/env", "\u{0}")
                .with("/bin/python-tool", "\u{0}");
            let found = codes(machine, &format!("[program:a]\n{lines}\n"));
            let noted = found.iter().filter(|code| *code == "buffered-python");
            assert_eq!(noted.count(), count, "{lines}: {found:?}");
        }
    }
}
