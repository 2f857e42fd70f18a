//! The results of actions, worded for people.

use crate::hub::api::perform::is_unchanged;
use crate::hub::fleet::ActionResult;
use crate::hub::node::{Action, ActionError};
use crate::web::texts::{Language, Text};

use super::host_row::node_state_text;

/// Why an action failed. What a host says is its own text.
pub(super) fn failure_text(error: &ActionError, language: Language) -> String {
    match error {
        ActionError::UnknownNode => language.say(Text::NoSuchHost).to_owned(),
        ActionError::NotConnected { state, reason } => {
            let state = language.say(node_state_text(*state));
            language.fill(Text::HostNotConnected, &[&state, reason])
        }
        ActionError::TimedOut(limit) => language.fill(Text::NoAnswerWithin, &[&limit.as_secs()]),
        ActionError::Fault { text, .. } | ActionError::NoAnswer(text) => text.clone(),
    }
}

/// How an action on a process ended, and whether it failed. `is_single`: it was the only process.
pub(super) fn result_text(
    action: Action,
    result: &ActionResult,
    is_single: bool,
    language: Language,
) -> (String, bool) {
    match &result.result {
        Ok(()) => (language.say(Text::Succeeded).to_owned(), false),
        result if !is_single && is_unchanged(action, result) => {
            (language.say(Text::Unchanged).to_owned(), false)
        }
        Err(error) => (failure_text(error, language), true),
    }
}
