//! The answers as JSON.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::api::{Fault, FaultCode, PRESENT_VERSION, Reply};
use crate::config::edit::LineDiff;
use crate::config::plan::UpdatePlan;

/// Maximum length of a difference in an answer, in bytes.
const DIFF_BYTES_MAX: usize = 256 << 10;

/// An answer.
pub(super) fn reply(value: &Value) -> Reply {
    Reply::Text(value.to_string())
}

/// The plan as a value.
pub(super) fn plan_value(plan: &UpdatePlan) -> Result<Value, Fault> {
    serde_json::to_value(plan).map_err(|error| FaultCode::Failed.of(error.to_string()))
}

/// The differences of files in unified form. A long one is cut and says so.
pub(super) fn unified<'a>(files: impl Iterator<Item = (&'a str, &'a LineDiff)>) -> String {
    let mut text = String::new();
    for (name, diff) in files {
        // Writing to a string does not fail.
        let _ = write!(text, "--- {name}\n+++ {name}\n{diff}");
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
