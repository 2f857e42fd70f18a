//! The action `plan`, which `update --dry-run` runs too, and the note that `restart` does not apply the configuration.

use std::collections::BTreeSet;

use super::error::CtlError;
use super::problems::report_refusal;
use super::reply::{as_text, unexpected};
use super::session::{CtlSession, is_at_terminal};
use super::{exit, render};
use crate::api::FaultCode;
use crate::config::diff::GroupAction;
use crate::config::key::{ConfigKey, SectionKind};
use crate::config::matches_name;
use crate::config::plan::{GroupPlan, KeyChange, ProgramPlan, UpdatePlan};
use crate::domain::{Escaped, Foreign, Namespec};

/// The action `plan [group… | all]`.
pub(super) fn plan(session: &mut CtlSession, arguments: &str) -> Result<(), CtlError> {
    let Ok(words) = UpdateWords::parse(arguments) else {
        return session.usage(
            "Error: plan: an option lacks its value, or -o is not json",
            exit::GENERIC,
        );
    };
    print_plan(session, &words)
}

/// The words of `update` and `plan`.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct UpdateWords<'a> {
    /// Whether the user does not want to be asked.
    pub(super) is_sure: bool,
    /// Whether to show what the update would do instead of doing it.
    pub(super) is_dry: bool,
    /// The plan that the update must have. `None`: any.
    pub(super) if_plan: Option<&'a str>,
    /// Whether to print JSON.
    pub(super) json: bool,
    /// Names of groups. With `all`: all groups.
    pub(super) names: BTreeSet<&'a str>,
}

impl<'a> UpdateWords<'a> {
    /// Sorts the words.
    ///
    /// # Errors
    /// An option without its value, or another output format than JSON.
    pub(super) fn parse(arguments: &'a str) -> Result<Self, ()> {
        let mut parsed = Self::default();
        let mut words = arguments.split_whitespace();
        while let Some(word) = words.next() {
            let value = |rest: &'a str, words: &mut std::str::SplitWhitespace<'a>| {
                let rest = rest.strip_prefix('=').unwrap_or(rest);
                if rest.is_empty() {
                    words.next()
                } else {
                    Some(rest)
                }
                .ok_or(())
            };
            match word {
                "--yes" => parsed.is_sure = true,
                "--dry-run" => parsed.is_dry = true,
                "--json" => parsed.json = true,
                _ => {
                    if let Some(rest) = word.strip_prefix("--if-plan") {
                        parsed.if_plan = Some(value(rest, &mut words)?);
                    } else if let Some(rest) = word.strip_prefix("-o") {
                        parsed.json = value(rest, &mut words)? == "json";
                        if !parsed.json {
                            return Err(());
                        }
                    } else {
                        parsed.names.insert(word);
                    }
                }
            }
        }
        Ok(parsed)
    }

    /// Whether the words name all groups.
    pub(super) fn is_everything(&self) -> bool {
        self.names.is_empty() || self.names.contains("all")
    }
}

/// Prints what the update would do. The exit status tells whether there is something to do.
pub(super) fn print_plan(
    session: &mut CtlSession,
    words: &UpdateWords<'_>,
) -> Result<(), CtlError> {
    session.json = words.json;
    let Some(plan) = ask_plan(session, words)? else {
        return Ok(());
    };
    if words.json {
        session.say(&render::json(&plan))?;
    } else {
        print_steps(session, &plan)?;
    }
    if !plan.is_empty() {
        session.exit = exit::PLAN_HAS_CHANGES;
    }
    Ok(())
}

/// Asks for the plan of an update of the named groups. `None`: there is none, which was said.
pub(super) fn ask_plan(
    session: &mut CtlSession,
    words: &UpdateWords<'_>,
) -> Result<Option<UpdatePlan>, CtlError> {
    let said = |result: Result<(), CtlError>| result.map(|()| None);
    let mut plan = match read_plan(session) {
        Ok(plan) => plan,
        Err(failure) if failure.is_fault(FaultCode::ShutdownState) => {
            return said(session.refuse("ERROR: already shutting down"));
        }
        Err(failure) if failure.is_fault(FaultCode::UnknownMethod) => {
            session.complain("ERROR: the daemon does not support plans")?;
            session.exit = exit::UNIMPLEMENTED;
            return Ok(None);
        }
        Err(failure) => return said(report_refusal(session, failure)),
    };
    if !words.is_everything() {
        for name in &words.names {
            let mut known = plan.groups.iter().map(|group| &group.name);
            if !known.any(|group| group.as_str() == *name)
                && !plan.unchanged.iter().any(|group| group.as_str() == *name)
            {
                return said(session.refuse(&format!("ERROR: no such group: {name}")));
            }
        }
        plan.unchanged
            .retain(|name| words.names.contains(name.as_str()));
        plan.groups
            .retain(|group| words.names.contains(group.name.as_str()));
        for group in plan.groups.iter_mut().filter(|group| group.scaled) {
            // An update that names a scaled group gives it its configured processes.
            if group.action == GroupAction::Nothing {
                group.action = GroupAction::Rescale;
            }
        }
    }
    Ok(Some(plan))
}

/// Prints the groups that change, and a summary.
pub(super) fn print_steps(session: &mut CtlSession, plan: &UpdatePlan) -> Result<(), CtlError> {
    let is_step = |group: &&GroupPlan| group.action != GroupAction::Nothing;
    for group in plan.groups.iter().filter(is_step) {
        print_group(session, group)?;
    }
    session.say(&summary(plan))
}

fn read_plan(session: &mut CtlSession) -> Result<UpdatePlan, CtlError> {
    let answer = session.call("supervisord.planUpdate", Vec::new())?;
    serde_json::from_str(&as_text(&answer)?).map_err(|_| unexpected("a plan"))
}

/// The number of groups for each action, in one line with the identifier of the plan.
fn summary(plan: &UpdatePlan) -> String {
    const COUNTED: [(GroupAction, &str); 5] = [
        (GroupAction::Add, "to add"),
        (GroupAction::Remove, "to remove"),
        (GroupAction::Restart, "to restart"),
        (GroupAction::Rescale, "to rescale"),
        (GroupAction::Live, "to change without a restart"),
    ];
    let mut counts: Vec<String> = COUNTED
        .iter()
        .map(|(action, words)| {
            let same = plan.groups.iter().filter(|group| group.action == *action);
            (same.count(), words)
        })
        .filter(|(count, _)| *count > 0)
        .map(|(count, words)| format!("{count} {words}"))
        .collect();
    let is_nothing = |group: &&GroupPlan| group.action == GroupAction::Nothing;
    let unchanged = plan.unchanged.len() + plan.groups.iter().filter(is_nothing).count();
    if counts.is_empty() {
        return format!("plan {}: nothing to do, {unchanged} unchanged", plan.id);
    }
    counts.push(format!("{unchanged} unchanged"));
    format!("plan {}: {}", plan.id, counts.join(", "))
}

fn print_group(session: &mut CtlSession, group: &GroupPlan) -> Result<(), CtlError> {
    let rolling = match group.rolling {
        0 => String::new(),
        count => format!(" ({count} at a time)"),
    };
    session.say(&format!("{}: {}{rolling}", group.name, verb(group.action)))?;
    for change in &group.keys {
        session.say(&format!("  {}", change_line(change)))?;
    }
    for program in &group.programs {
        let ProgramPlan {
            section,
            action,
            reason,
            keys,
        } = program;
        if keys.is_empty() && *action == group.action && reason.is_none() {
            continue;
        }
        let why = reason.as_ref().map(|reason| format!(" ({reason})"));
        let why = why.unwrap_or_default();
        session.say(&format!("  [{}] {}{why}", Foreign(section), verb(*action)))?;
        for change in keys {
            session.say(&format!("    {}", change_line(change)))?;
        }
    }
    Ok(())
}

const fn verb(action: GroupAction) -> &'static str {
    match action {
        GroupAction::Add => "add",
        GroupAction::Remove => "remove",
        GroupAction::Restart => "restart",
        GroupAction::Rescale => "rescale",
        GroupAction::Live => "live",
        GroupAction::Nothing => "nothing",
    }
}

/// One changed key: its values, whether it needs a restart, and where it is.
fn change_line(change: &KeyChange) -> String {
    let KeyChange {
        key,
        section,
        old,
        new,
        hidden,
        live,
        place,
    } = change;
    let kind = SectionKind::of(section).unwrap_or(SectionKind::Program);
    let default = ConfigKey::find(kind, key).and_then(|row| row.default);
    let shown = |value: &Option<String>| match (value, default) {
        (Some(value), _) => format!("\"{}\"", Escaped(value)),
        (None, Some(default)) => format!("default \"{default}\""),
        (None, None) => "not set".to_owned(),
    };
    let values = match hidden {
        true => "changed, the value is not shown".to_owned(),
        false => format!("{} -> {}", shown(old), shown(new)),
    };
    let live = if *live { ", live" } else { "" };
    let place = place.as_ref().map(|place| format!(" ({})", Foreign(place)));
    format!(
        "{}: {values}{live}{}",
        Foreign(key),
        place.unwrap_or_default()
    )
}

/// At a terminal, tells on standard error that the configuration of restarted programs has changes, which `restart` does
/// not apply.
// Differs: Supervisor tells nothing.
pub(super) fn note_unapplied(session: &mut CtlSession, names: &[&str]) -> Result<(), CtlError> {
    if !is_at_terminal() {
        return Ok(());
    }
    let plan = match read_plan(session) {
        Ok(plan) => plan,
        Err(failure) if failure.is_fault(FaultCode::CantReread) => {
            return session.warn(
                "note: the configuration files have an error, so the previous configuration was used (see supervisorctl plan)",
            );
        }
        // The caller may not read the configuration, or the daemon has no plans.
        Err(_) => return Ok(()),
    };
    let changed: Vec<&str> = plan
        .groups
        .iter()
        .filter(|group| matches!(group.action, GroupAction::Restart | GroupAction::Remove))
        .map(|group| group.name.as_str())
        .filter(|group| names.iter().any(|name| is_of_group(name, group)))
        .collect();
    if changed.is_empty() {
        return Ok(());
    }
    session.warn(&format!(
        "note: the configuration files have changes of {}, which restart does not apply (see supervisorctl plan and update)",
        changed.join(", ")
    ))
}

/// Whether a name that `restart` accepts means processes of this group.
fn is_of_group(name: &str, group: &str) -> bool {
    name == "all" || matches_name(&Namespec::parse(name).group, group)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_an_update_are_options_and_groups() {
        let words = UpdateWords::parse("web --if-plan 0f --yes -ojson db").expect("valid");
        assert_eq!(words.if_plan, Some("0f"));
        assert!(words.is_sure && words.json && !words.is_dry && !words.is_everything());
        assert_eq!(Vec::from_iter(words.names), ["db", "web"]);
        let words = UpdateWords::parse("--dry-run --if-plan=0f all").expect("valid");
        assert_eq!(words.if_plan, Some("0f"));
        assert!(words.is_dry && words.is_everything());
        for wrong in ["--if-plan", "--if-plan=", "-o", "-o xml"] {
            assert_eq!(UpdateWords::parse(wrong), Err(()), "{wrong}");
        }
    }

    #[test]
    fn a_change_shows_defaults_and_hides_secrets() {
        let mut change = KeyChange {
            key: "stopwaitsecs".to_owned(),
            section: "program:web".to_owned(),
            old: None,
            new: Some("30\n".to_owned()),
            hidden: false,
            live: false,
            place: Some("/etc/x.conf:3".to_owned()),
        };
        assert_eq!(
            change_line(&change),
            format!(
                "stopwaitsecs: default \"10\" -> \"{}\" (/etc/x.conf:3)",
                Escaped("30\n")
            )
        );
        change.hidden = true;
        assert_eq!(
            change_line(&change),
            "stopwaitsecs: changed, the value is not shown (/etc/x.conf:3)"
        );
    }

    #[test]
    fn names_of_restart_mean_groups() {
        for (name, is_of) in [
            ("web", true),
            ("web:a", true),
            ("all", true),
            ("w*", true),
            ("db", false),
        ] {
            assert_eq!(is_of_group(name, "web"), is_of, "{name}");
        }
    }
}
