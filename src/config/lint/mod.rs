//! What `supervisord --check` finds beyond the errors and warnings of the daemon: valid configurations that are probably
//! mistakes. Each rule is a row of [`RULES`] and a function in the file of its topic. Nothing here changes how the daemon
//! reads a configuration, and nothing is logged at its start.

mod command;
mod explained;
mod forks;
mod groups;
mod input;
mod logs;
mod numbers;
mod order;
mod plain;
mod python;
mod rule;
mod sections;
mod servers;
mod shell;
mod stop;
#[cfg(test)]
mod testing;
mod words;

pub use explained::Explained;
use input::Findings;
pub(super) use input::LintInput;
pub(super) use plain::{explain, explain_unknown_name};
pub use rule::{RULES, Rule, RuleRow, RuleScope, Severity};

use super::problem::SourceSpan;

/// A topic: it looks for the mistakes of several rules.
type Check = fn(&LintInput<'_>, &mut Findings);

/// Every topic.
const CHECKS: &[Check] = &[
    sections::check,
    command::check,
    shell::check,
    forks::check,
    python::check,
    logs::check,
    numbers::check,
    groups::check,
    order::check,
    stop::check,
    servers::check,
];

/// Everything that the rules find, with its place.
pub(super) fn find_mistakes(input: &LintInput<'_>) -> Vec<(SourceSpan, Explained)> {
    let mut found = Findings::new();
    for check in CHECKS {
        check(input, &mut found);
    }
    found
}
