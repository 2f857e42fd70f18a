//! The results of actions, worded for people.

use super::page_actions::{ActionTarget, PageAction};
use super::texts::{Language, Text};

/// Maximum number of failed group members that a message names.
const FAILURES_SHOWN_MAX: usize = 5;

/// The result of an action, for people.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ActionOutcome {
    pub(crate) message: String,
    pub(crate) failed: bool,
    /// The result of each process, if there are several: its name, what happened, and whether it failed.
    pub(crate) results: Vec<ProcessOutcome>,
}

/// The result of an action on one of several processes.
#[derive(Debug, PartialEq, Eq, serde::Serialize)]
pub(crate) struct ProcessOutcome {
    /// `group:process`.
    pub(crate) id: String,
    /// Its name in a message.
    pub(crate) name: String,
    pub(crate) text: String,
    pub(crate) failed: bool,
}

impl ActionOutcome {
    /// The outcome of an action with its results. None: the action has no results of single processes.
    pub(crate) fn new(
        action: &PageAction,
        target: &ActionTarget,
        results: Vec<ProcessOutcome>,
        language: Language,
    ) -> Self {
        let failed = results.iter().any(|result| result.failed);
        let message = match failed {
            true => failure_message(action, target, &results, language),
            false => success_message(action, target, language),
        };
        Self {
            message,
            failed,
            results,
        }
    }

    /// The outcome of an action on nothing.
    pub(crate) fn nothing_selected(language: Language) -> Self {
        Self {
            message: language.say(Text::NothingSelected).to_owned(),
            failed: true,
            results: Vec::new(),
        }
    }
}

fn success_message(action: &PageAction, target: &ActionTarget, language: Language) -> String {
    let [succeeded, ..] = action.messages;
    let subject = match action.name {
        "clear" => target.to_log_owner(language),
        _ => target.to_subject(language),
    };
    language.fill(succeeded, &[&subject])
}

fn failure_message(
    action: &PageAction,
    target: &ActionTarget,
    results: &[ProcessOutcome],
    language: Language,
) -> String {
    let failures: Vec<&ProcessOutcome> = results.iter().filter(|result| result.failed).collect();
    let named = failures.iter().take(FAILURES_SHOWN_MAX);
    let named =
        named.map(|failure| language.fill(Text::OneFailed, &[&failure.name, &failure.text]));
    let mut shown = named
        .collect::<Vec<_>>()
        .join(language.say(Text::Separator));
    if failures.len() > FAILURES_SHOWN_MAX {
        let more = failures.len() - FAILURES_SHOWN_MAX;
        shown.push_str(&language.fill(Text::AndMore, &[&more]));
    }
    let [_, none, some] = action.messages;
    match results.len() - failures.len() {
        0 => language.fill(none, &[&target.to_subject(language), &shown]),
        succeeded => language.fill(some, &[&succeeded, &failures.len(), &shown]),
    }
}

/// The name of a process in a message about `target`.
pub(crate) fn display_name(target: &ActionTarget, group: &str, process: &str) -> String {
    match target {
        ActionTarget::All | ActionTarget::Selected(_) if group != process => {
            format!("{group}:{process}")
        }
        _ => process.to_owned(),
    }
}

/// Whether a message from the page's address reports a failure. Only its text can tell.
pub(crate) fn is_failure(message: &str) -> bool {
    Language::ALL.into_iter().any(|language| {
        [Text::ErrorStart, Text::UnexpectedStart, Text::NoSuchStart]
            .iter()
            .any(|start| message.starts_with(language.say(*start)))
            || message.contains(language.say(Text::FailedMark))
    })
}
