//! Hints for misspelt names and actions. This module performs no I/O.

use crate::config::closest_known;
use crate::domain::Namespec;

/// Maximum number of names in a hint.
const NAMES_MAX: usize = 3;

/// Words of other programs, and the actions that do the same.
const FOREIGN: &[(&str, &str)] = &[
    ("ps", "status"),
    ("ls", "status"),
    ("list", "status"),
    ("show", "status"),
    ("info", "status"),
    ("log", "logs"),
    ("cat", "tail"),
    ("journal", "logs"),
    ("follow", "logs -f"),
    ("up", "start"),
    ("run-all", "start all"),
    ("down", "stop"),
    ("kill", "stop"),
    ("term", "stop"),
    ("reboot", "restart"),
    ("halt", "shutdown"),
    ("daemon-reload", "update"),
    ("apply", "update"),
    ("delete", "remove"),
    ("attach", "fg"),
    ("bye", "exit"),
    ("q", "quit"),
];

/// The action that `word` may mean. `None`: none is close.
pub(super) fn action_for(word: &str, actions: &[&'static str]) -> Option<&'static str> {
    let lower = word.to_lowercase();
    if let Some((_, meant)) = FOREIGN.iter().find(|(foreign, _)| *foreign == lower) {
        return Some(meant);
    }
    // A beginning such as `stat` is closer than a word with as many letters.
    let begun = actions
        .iter()
        .filter(|action| lower.len() > 1 && action.starts_with(&lower))
        .min_by_key(|action| action.len());
    begun
        .copied()
        .or_else(|| closest_known(&lower, actions.iter().copied()))
}

/// The names that `word` may mean, as people write them. `known`: group and name of each process.
pub(super) fn names_for(word: &str, known: &[(String, String)]) -> Vec<String> {
    let lower = word.to_lowercase();
    let print = |(group, name): &(String, String)| Namespec::print(group, name);
    // The name of a process without its group.
    let mut exact = known
        .iter()
        .filter(|(_, name)| name.to_lowercase() == lower)
        .map(print);
    let mut found: Vec<String> = exact.by_ref().take(NAMES_MAX).collect();
    if !found.is_empty() {
        return found;
    }
    let (group, name) = word.split_once(':').unwrap_or((word, word));
    // A process of the named group.
    if word.contains(':') {
        let mut members = known.iter().filter(|(of, _)| of == group).peekable();
        if members.peek().is_some() {
            let names: Vec<&str> = members.map(|(_, name)| name.as_str()).collect();
            let closest = closest_known(name, names.into_iter());
            return closest
                .map(|name| Namespec::print(group, name))
                .into_iter()
                .collect();
        }
    }
    let written: Vec<String> = known.iter().map(print).collect();
    let full = closest_known(word, written.iter().map(String::as_str));
    found.extend(full.map(str::to_owned));
    if found.is_empty() {
        let closest = closest_known(word, known.iter().map(|(_, name)| name.as_str()));
        let same = |(_, name): &&(String, String)| Some(name.as_str()) == closest;
        found.extend(known.iter().filter(same).map(print).take(NAMES_MAX));
    }
    if found.is_empty() {
        let groups = known.iter().map(|(group, _)| group.as_str());
        found.extend(closest_known(group, groups).map(|group| format!("{group}:*")));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_action_is_found_by_its_beginning_its_spelling_or_a_foreign_word() {
        let actions = ["logs", "restart", "start", "status", "stop", "tail"];
        for (word, expected) in [
            ("stat", Some("status")),
            ("STATUS", Some("status")),
            ("ps", Some("status")),
            ("log", Some("logs")),
            ("sotp", Some("stop")),
            ("restrat", Some("restart")),
            ("frobnicate", None),
        ] {
            assert_eq!(action_for(word, &actions), expected, "{word}");
        }
    }

    #[test]
    fn a_name_is_found_without_its_group_or_by_its_spelling() {
        let known: Vec<(String, String)> = [
            ("web", "web"),
            ("worker", "worker_00"),
            ("worker", "worker_01"),
            ("jobs", "mail"),
        ]
        .map(|(group, name)| (group.to_owned(), name.to_owned()))
        .into();
        for (word, expected) in [
            ("worker_00", &["worker:worker_00"][..]),
            ("wbe", &["web"]),
            ("Web", &["web"]),
            ("worker:worker_0", &["worker:worker_00"]),
            ("jbos:mail", &["jobs:mail"]),
            ("wroker", &["worker:*"]),
            ("nothing-like-it", &[]),
        ] {
            assert_eq!(names_for(word, &known), expected, "{word}");
        }
    }
}
