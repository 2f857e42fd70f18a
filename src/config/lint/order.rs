//! Programs that wait for others by sleeping, and dependencies that can never be fulfilled.

use std::collections::HashMap;

use super::super::dependency::{Dependency, DependencyCondition, DependencyTarget};
use super::super::path::basename;
use super::super::spec::{AutoRestart, ProcessSpec};
use super::explained::Explained;
use super::input::{Findings, LintInput, LintProgram};
use super::rule::Rule;
use super::words::{Executed, shell_text};

/// Scripts that wait until an address answers.
const WAITERS: [&str; 6] = [
    "wait-for-it",
    "wait-for-it.sh",
    "wait-for",
    "wait-for.sh",
    "wait4x",
    "dockerize",
];
/// Beginnings of texts for a shell that wait for something.
const LOOPS: [&str; 4] = ["until ", "while ! ", "while ! nc", "sleep "];

/// Checks the order of programs.
pub(super) fn check(input: &LintInput<'_>, found: &mut Findings) {
    let several = input.programs.len() > 1;
    let names = input.programs.iter().enumerate();
    // The first section of a name counts, as in a dependency.
    let names = names.rev().map(|(at, program)| (program.name(), at));
    let programs: HashMap<&str, usize> = names.collect();
    for program in &input.programs {
        if several {
            waits_by_sleep(program, found);
        }
        if let Some(process) = program.first() {
            unreachable(input, &programs, program, process, found);
        }
    }
}

/// A program that waits although it has a `priority`, which is a sign that the latter was taken for a dependency. A
/// `priority` alone is no sign: it often only sorts the programs.
fn waits_by_sleep(program: &LintProgram<'_>, found: &mut Findings) {
    let depends = program
        .first()
        .is_none_or(|process| !process.dependencies.is_empty());
    if depends || program.entry("priority").is_none() {
        return;
    }
    let words = &program.words;
    let text = shell_text(words).map(str::trim_start);
    let by_shell = text.and_then(|text| {
        let begins = LOOPS.iter().find(|begin| text.starts_with(**begin))?;
        // `sleep 1000` alone is a program, and so is a loop.
        let goes_on = text.contains("exec ") || text.contains("&&") || text.contains(';');
        goes_on.then(|| begins.trim_end().to_owned())
    });
    let executed = Executed::of(words).map(|executed| basename(executed.name()));
    let by_script = executed
        .filter(|name| WAITERS.contains(name))
        .map(str::to_owned);
    let Some(part) = by_shell.or(by_script) else {
        return;
    };
    let text = format!(
        "command: {part} waits for another program; priority orders the starts, but waits for nothing"
    );
    let explained = Explained::new(Rule::WaitsBySleep, text).key("command");
    found.push((program.span_of_part("command", &part), explained));
}

/// Finds dependencies of a process that no process of this configuration can fulfil.
fn unreachable(
    input: &LintInput<'_>,
    programs: &HashMap<&str, usize>,
    program: &LintProgram<'_>,
    process: &ProcessSpec,
    found: &mut Findings,
) {
    for dependency in &process.dependencies.depends_on {
        let Some(targets) = targets(input, programs, &dependency.target) else {
            continue;
        };
        let name = &dependency.target;
        let (text, remedy) = match reason(dependency, &targets) {
            Some(reason) => reason,
            None => continue,
        };
        let text = format!("depends_on: {name} {text}");
        let explained = Explained::new(Rule::UnreachableDependency, text).key("depends_on");
        let span = program.span_of_part("depends_on", &name.to_string());
        found.push((
            span,
            explained.remedy(remedy.replace("NAME", &name.to_string())),
        ));
    }
}

/// The processes that a target names. `None`: it is unknown, which is an error already.
fn targets<'a>(
    input: &LintInput<'a>,
    programs: &HashMap<&str, usize>,
    target: &DependencyTarget,
) -> Option<Vec<&'a ProcessSpec>> {
    let of_group = |name: &str| {
        let group = input.group(name)?;
        Some(group.processes.iter().map(|process| &**process).collect())
    };
    match target {
        DependencyTarget::Name(name) => {
            let program = programs.get(&**name).map(|&at| &input.programs[at]);
            program
                .map(|program| program.processes.clone())
                .or_else(|| of_group(name))
        }
        DependencyTarget::Group(name) => of_group(name),
        DependencyTarget::Process(group, name) => {
            let processes: Vec<&ProcessSpec> = of_group(group)?;
            let named = processes
                .into_iter()
                .filter(|process| process.name.as_str() == &**name);
            let named: Vec<&ProcessSpec> = named.collect();
            (!named.is_empty()).then_some(named)
        }
    }
}

/// Why the condition cannot become true, and the remedy.
fn reason(
    dependency: &Dependency,
    targets: &[&ProcessSpec],
) -> Option<(&'static str, &'static str)> {
    if targets.is_empty() {
        return Some((
            "has no processes, so there is nothing to wait for",
            "set numprocs of NAME to at least 1",
        ));
    }
    match dependency.condition {
        DependencyCondition::ExitedOk
            if targets
                .iter()
                .any(|target| target.autorestart == AutoRestart::Always) =>
        {
            Some((
                "is always restarted, so it does not stay EXITED",
                "set autorestart=unexpected or false for NAME, or write NAME:ready",
            ))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::lookup::Fake;
    use super::super::testing::codes;

    fn found(text: &str) -> Vec<String> {
        let machine = Fake::default()
            .with("/bin/a", "\u{0}")
            .with("/bin/sh", "\u{0}")
            .with("/bin/wait-for-it", "\u{0}");
        let mut found = codes(machine, text);
        found.retain(|code| *code != "no-processes");
        found
    }

    #[test]
    fn a_program_that_sleeps_for_another_one_is_noted() {
        let other = "[program:db]\ncommand=/bin/a\npriority=1\n";
        for (command, count) in [
            ("/bin/sh -c 'sleep 5; exec web'", 1),
            ("/bin/sh -c 'sleep 5 && web'", 1),
            (
                "/bin/sh -c 'until nc -z db 1; do sleep 1; done; exec web'",
                1,
            ),
            ("/bin/wait-for-it db:1 -- web", 1),
            ("/bin/sh -c 'sleep 1000'", 0),
            ("/bin/sh -c 'while true; do date; sleep 1; done'", 0),
            ("/bin/a", 0),
        ] {
            let text = format!("{other}[program:web]\npriority=2\ncommand={command}\n");
            assert_eq!(found(&text).len(), count, "{command}");
        }
    }

    #[test]
    fn dependencies_that_cannot_be_fulfilled_are_found() {
        for (dependency, more, count) in [
            ("db", "", 0),
            ("db", "numprocs=0", 1),
            ("db:exited-ok", "autorestart=true", 1),
            ("db:exited-ok", "autorestart=false", 0),
            ("db:*", "numprocs=0", 1),
            ("db:ready", "autostart=false", 0),
        ] {
            let text = format!(
                "[program:web]\ncommand=/bin/a\ndepends_on={dependency}\n[program:db]\ncommand=/bin/a\n{more}\n"
            );
            let found = found(&text);
            assert_eq!(found.len(), count, "{dependency} {more}: {found:?}");
        }
    }
}
