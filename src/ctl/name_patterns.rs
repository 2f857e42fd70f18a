//! Patterns such as `web*`, `jobs:*` and `*:api` in the names that an action takes.

use std::collections::BTreeSet;

use super::action::{ArgKind, CtlAction};
use super::error::CtlError;
use super::exit;
use super::reply::{self, ConfigInfo, ProcessInfo};
use super::session::CtlSession;
use super::status::{all_processes, matches_process};
use crate::config::matches_name;
use crate::domain::Namespec;

/// Actions that stop or start the processes of a group together.
const ON_GROUPS: [&str; 6] = ["reload", "restart", "run", "signal", "start", "stop"];

/// The arguments after patterns were replaced.
pub(super) enum ExpandedArguments {
    /// There are no patterns, or they match nothing: the action itself reports unknown names.
    Unchanged,
    /// With names instead of patterns.
    Changed(String),
    /// A pattern matches several processes, but the action takes one, which was reported.
    Refused,
}

/// Replaces the patterns among the names of an action by what they match.
pub(super) fn expand_patterns(
    session: &mut CtlSession,
    action: &CtlAction,
    arguments: &str,
) -> Result<ExpandedArguments, CtlError> {
    if action.reads_quotes {
        return Ok(ExpandedArguments::Unchanged);
    }
    let words: Vec<&str> = arguments.split_whitespace().collect();
    let expands_groups = !ON_GROUPS.contains(&action.name)
        && !matches!(action.name, "status" | "serialrestart")
        && !action.is_ours
        // Differs: without a terminal, `pid group:*` and the like are the errors of Supervisor.
        && (session.screen.is_for_people || session.json);
    let at: Vec<usize> = name_positions(action, &words)
        .into_iter()
        .filter(|&at| is_pattern(words[at], expands_groups))
        .collect();
    if at.is_empty() {
        return Ok(ExpandedArguments::Unchanged);
    }
    let known = known_names(session, action.takes)?;
    let mut expanded: Vec<String> = Vec::new();
    for (index, word) in words.iter().enumerate() {
        let found = match at.contains(&index) {
            true => known.matching(word, ON_GROUPS.contains(&action.name)),
            false => Vec::new(),
        };
        if found.len() > 1 && matches!(action.takes, ArgKind::Process | ArgKind::Log) {
            let names = shortened(&found);
            session.refuse(&format!(
                "{word}: ERROR (matches {} processes: {names}; {} takes one)",
                found.len(),
                action.name
            ))?;
            session.exit = exit::GENERIC;
            return Ok(ExpandedArguments::Refused);
        }
        match found.is_empty() {
            true => expanded.push((*word).to_owned()),
            false => expanded.extend(found),
        }
    }
    Ok(ExpandedArguments::Changed(expanded.join(" ")))
}

/// The first names of a list.
fn shortened(names: &[String]) -> String {
    const SHOWN_MAX: usize = 5;
    match names.len() {
        0..=SHOWN_MAX => names.join(", "),
        _ => format!("{}, …", names[..SHOWN_MAX].join(", ")),
    }
}

/// Whether a word is a pattern. `expands_groups`: also `group:*`, which other actions know as a whole group. A bare `*` is
/// none: a shell may have left it by accident, and `all` says the same.
fn is_pattern(word: &str, expands_groups: bool) -> bool {
    let has_wildcard = |text: &str| text.contains(['*', '?', '[']);
    match word.strip_suffix(":*") {
        _ if word == "*" => false,
        Some(group) if !has_wildcard(group) => expands_groups,
        _ => has_wildcard(word),
    }
}

/// The positions of names among the words.
fn name_positions(action: &CtlAction, words: &[&str]) -> Vec<usize> {
    let mut positions = Vec::new();
    let mut skips = 0;
    for (at, word) in words.iter().enumerate() {
        if skips > 0 {
            skips -= 1;
            continue;
        }
        if word.starts_with('-') {
            let mut flags = action.flags.iter();
            skips += usize::from(flags.any(|flag| flag.argument && flag.name == *word));
            continue;
        }
        positions.push(at);
    }
    match action.takes {
        ArgKind::Processes | ArgKind::Groups => positions,
        ArgKind::Signal => positions.into_iter().skip(1).collect(),
        ArgKind::Process | ArgKind::Log => positions.into_iter().take(1).collect(),
        ArgKind::Nothing | ArgKind::Topic | ArgKind::Group | ArgKind::ProgramVerb => Vec::new(),
    }
}

/// What patterns can match.
enum KnownNames {
    /// Group and name of each process.
    Processes(Vec<(String, String)>),
    Groups(BTreeSet<String>),
}

fn known_names(session: &mut CtlSession, takes: ArgKind) -> Result<KnownNames, CtlError> {
    let processes = all_processes(session)?.into_iter();
    if takes != ArgKind::Groups {
        let pair = |process: ProcessInfo| (process.group, process.name);
        return Ok(KnownNames::Processes(processes.map(pair).collect()));
    }
    let mut groups: BTreeSet<String> = processes.map(|process| process.group).collect();
    // Groups that are not active yet. A caller without the permission gets only the active ones.
    if let Ok(answer) = session.call("supervisor.getAllConfigInfo", Vec::new()) {
        let configs = reply::all(&answer, ConfigInfo::read)?.into_iter();
        groups.extend(configs.map(|config| config.group));
    }
    Ok(KnownNames::Groups(groups))
}

impl KnownNames {
    /// The names that a pattern matches. `whole_groups`: a group of which it matches all processes is one name.
    fn matching(&self, pattern: &str, whole_groups: bool) -> Vec<String> {
        let processes = match self {
            Self::Groups(groups) => {
                let fitting = groups.iter().filter(|group| matches_name(pattern, group));
                return fitting.cloned().collect();
            }
            Self::Processes(processes) => processes,
        };
        let fits = |(group, name): &(String, String)| matches_process(pattern, group, name);
        let mut found: Vec<String> = Vec::new();
        let mut rest = processes.as_slice();
        while let Some((group, _)) = rest.first() {
            let size = rest.iter().take_while(|(of, _)| of == group).count();
            let (members, others) = rest.split_at(size);
            rest = others;
            let is_whole = whole_groups && size > 1 && members.iter().all(fits);
            if is_whole {
                found.push(format!("{group}:*"));
                continue;
            }
            let fitting = members.iter().filter(|member| fits(member));
            found.extend(fitting.map(|(group, name)| Namespec::print(group, name)));
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::super::actions::find_action;
    use super::*;

    #[test]
    fn patterns_match_names_as_they_are_printed() {
        let known = KnownNames::Processes(
            [
                ("api", "api"),
                ("jobs", "api"),
                ("jobs", "mail"),
                ("web1", "web1"),
                ("web2", "web2"),
                ("worker", "worker_00"),
                ("worker", "worker_01"),
            ]
            .map(|(group, name)| (group.to_owned(), name.to_owned()))
            .into(),
        );
        for (pattern, whole_groups, expected) in [
            ("web*", true, &["web1", "web2"][..]),
            ("*:api", true, &["api", "jobs:api"]),
            ("worker:worker_0?", true, &["worker:*"]),
            (
                "worker:worker_0?",
                false,
                &["worker:worker_00", "worker:worker_01"],
            ),
            ("jobs:m*", true, &["jobs:mail"]),
            ("x*", true, &[]),
        ] {
            assert_eq!(known.matching(pattern, whole_groups), expected, "{pattern}");
        }
    }

    #[test]
    fn only_names_can_be_patterns() {
        for (line, expected) in [
            ("stop web* -x all g:*", &["web*"][..]),
            ("signal * web*", &["web*"]),
            ("update w* --if-plan a*", &["w*"]),
            ("tail -f w* std*", &["w*"]),
            ("scale w* 3", &[]),
        ] {
            let mut words: Vec<&str> = line.split(' ').collect();
            let action = find_action(words.remove(0)).expect("there");
            let positions = name_positions(action, &words);
            let found: Vec<&str> = positions
                .into_iter()
                .map(|at| words[at])
                .filter(|word| is_pattern(word, false))
                .collect();
            assert_eq!(found, expected, "{line}");
        }
        assert!(is_pattern("g:*", true) && !is_pattern("*", true));
    }
}
