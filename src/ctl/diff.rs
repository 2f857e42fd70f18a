//! The action `diff`: how the configuration files differ from what runs, key by key.

use serde::Serialize;

use super::error::CtlError;
use super::plan::{UpdateWords, ask_plan};
use super::session::CtlSession;
use super::{exit, render};
use crate::config::diff::GroupAction;
use crate::config::plan::{GroupPlan, KeyChange, UpdatePlan};
use crate::domain::{Escaped, Foreign};

/// A difference of one section.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct SectionDiff<'a> {
    section: &'a str,
    /// `added`, `removed` or `changed`.
    change: &'static str,
    /// Why the processes differ, besides the keys. `None`: the keys are the reason.
    reason: Option<&'a str>,
    keys: Vec<&'a KeyChange>,
}

/// The action `diff [group…]`.
pub(super) fn diff(session: &mut CtlSession, arguments: &str) -> Result<(), CtlError> {
    #[derive(Serialize)]
    struct DiffJson<'a> {
        sections: Vec<SectionDiff<'a>>,
    }
    let Ok(words) = UpdateWords::parse(arguments) else {
        return session.usage("Error: diff: -o is not json", exit::INVALID_ARGUMENTS);
    };
    session.json = words.json;
    let Some(plan) = ask_plan(session, &words)? else {
        return Ok(());
    };
    let sections = sections_of(&plan);
    if !sections.is_empty() {
        session.exit = exit::PLAN_HAS_CHANGES;
    }
    if session.json {
        return session.say(&render::json(&DiffJson { sections }));
    }
    if sections.is_empty() {
        return session.say("no differences");
    }
    for line in sections.iter().flat_map(lines_of) {
        session.say(&line)?;
    }
    Ok(())
}

/// The sections that differ: of each group its own, then its programs.
fn sections_of(plan: &UpdatePlan) -> Vec<SectionDiff<'_>> {
    let mut sections: Vec<SectionDiff<'_>> = Vec::new();
    for group in &plan.groups {
        if group.action == GroupAction::Nothing {
            continue;
        }
        let own = &group.keys;
        if let Some(first) = own.first() {
            sections.push(SectionDiff {
                section: &first.section,
                change: word(group.action),
                reason: None,
                keys: own.iter().collect(),
            });
        }
        sections.extend(programs_of(group));
        if own.is_empty() && group.programs.is_empty() {
            sections.push(SectionDiff {
                section: group.name.as_str(),
                change: word(group.action),
                reason: None,
                keys: Vec::new(),
            });
        }
    }
    sections
}

fn programs_of(group: &GroupPlan) -> impl Iterator<Item = SectionDiff<'_>> {
    let differs = |program: &&crate::config::plan::ProgramPlan| {
        program.action != GroupAction::Nothing || !program.keys.is_empty()
    };
    let programs = group.programs.iter().filter(differs);
    programs.map(|program| SectionDiff {
        section: &program.section,
        change: word(program.action),
        reason: program.reason.as_deref(),
        keys: program.keys.iter().collect(),
    })
}

const fn word(action: GroupAction) -> &'static str {
    match action {
        GroupAction::Add => "added",
        GroupAction::Remove => "removed",
        GroupAction::Restart | GroupAction::Rescale | GroupAction::Live | GroupAction::Nothing => {
            "changed"
        }
    }
}

/// The lines of a section: `-` is what runs, `+` what the files say.
fn lines_of(section: &SectionDiff<'_>) -> Vec<String> {
    let reason = section
        .reason
        .map(|reason| format!(" ({})", Foreign(reason)));
    let mut lines = vec![format!(
        "[{}] {}{}",
        Foreign(section.section),
        section.change,
        reason.unwrap_or_default()
    )];
    for change in &section.keys {
        let place = change.place.as_ref();
        let place = place.map_or(String::new(), |place| format!("  ({})", Foreign(place)));
        let key = Foreign(&change.key);
        if change.hidden {
            lines.push(format!("-{key}=********"));
            lines.push(format!("+{key}=********{place}"));
            continue;
        }
        if let Some(old) = &change.old {
            lines.push(format!("-{key}={}", Escaped(old)));
        }
        if let Some(new) = &change.new {
            lines.push(format!("+{key}={}{place}", Escaped(new)));
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_shows_both_values_and_hides_secrets() {
        let change = |key: &str, old: Option<&str>, new: Option<&str>| KeyChange {
            key: key.to_owned(),
            section: "program:web".to_owned(),
            old: old.map(str::to_owned),
            new: new.map(str::to_owned),
            hidden: false,
            live: false,
            place: new.map(|_| "/c:3".to_owned()),
        };
        let mut secret = change("environment", None, None);
        secret.hidden = true;
        secret.place = Some("/c:4".to_owned());
        let (one, two) = (
            change("stopwaitsecs", Some("1"), Some("2")),
            change("user", Some("a\n"), None),
        );
        let section = SectionDiff {
            section: "program:web",
            change: "changed",
            reason: Some("why"),
            keys: vec![&one, &two, &secret],
        };
        assert_eq!(
            lines_of(&section),
            [
                "[program:web] changed (why)",
                "-stopwaitsecs=1",
                "+stopwaitsecs=2  (/c:3)",
                "-user=a\\n",
                "-environment=********",
                "+environment=********  (/c:4)",
            ]
        );
    }
}
