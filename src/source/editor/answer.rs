//! The answers as JSON.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::api::{Fault, FaultCode, PRESENT_VERSION, Reply};
use crate::config::edit::LineDiff;
use crate::config::plan::UpdatePlan;
use crate::source::snapshot::md5_of;

/// Maximum length of a difference in an answer, in bytes.
const DIFF_BYTES_MAX: usize = 256 << 10;

/// How many equal lines a difference shows before and after each change.
pub(super) const DIFF_CONTEXT: usize = 3;

/// An answer.
pub(super) fn reply(value: &Value) -> Reply {
    Reply::Text(value.to_string())
}

/// The MD5 of the difference in an answer, which names the change in the audit line. The difference has no secrets, so none
/// can be guessed from it. `None`: nothing differs.
pub(super) fn digest_of(answer: &Value) -> Option<String> {
    let diff = answer["diff"].as_str()?;
    (!diff.is_empty()).then(|| md5_of(diff))
}

/// The plan as a value.
pub(super) fn plan_value(plan: &UpdatePlan) -> Result<Value, Fault> {
    serde_json::to_value(plan).map_err(|error| FaultCode::Failed.of(error.to_string()))
}

/// One text and its difference to the text that follows.
pub(super) struct TextDiff<'a> {
    pub(super) name: &'a str,
    /// Without secrets.
    pub(super) diff: &'a LineDiff,
    /// The file will be removed.
    pub(super) is_removed: bool,
}

/// The differences of files in unified form. A long one is cut and says so.
pub(super) fn unified<'a>(files: impl Iterator<Item = TextDiff<'a>>) -> String {
    let mut text = String::new();
    for TextDiff {
        name,
        diff,
        is_removed,
    } in files
    {
        let after = if is_removed { "/dev/null" } else { name };
        // Writing to a string does not fail.
        let _ = write!(text, "--- {name}\n+++ {after}\n{diff}");
    }
    if text.len() > DIFF_BYTES_MAX {
        let mut end = DIFF_BYTES_MAX;
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
        text.push_str("\n(cut)\n");
    }
    text
}

/// The fault of an edit of a text that has another version than the caller has seen. It contains the present text.
pub(super) fn conflict(name: &str, md5: &str, text: &str) -> Fault {
    let value = json!({"md5": md5, "text": text});
    FaultCode::Conflict.of(format!(
        "{name} was changed by another writer since it was read, and nothing was written{PRESENT_VERSION}{value}"
    ))
}
