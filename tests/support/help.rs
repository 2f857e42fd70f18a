//! The text of `supervisorctl help`.

/// Removes the list of actions that Supervisor does not have, from its heading to the empty line below it.
pub(crate) fn without_own_actions(text: &str) -> String {
    const HEADING: &str = "\nsupervisord commands (type help <topic>):\n";
    let mut parts = text.split(HEADING);
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |kept, part| {
        kept + part.split_once("\n\n").map_or("", |(_, behind)| behind)
    })
}
