//! PAGE_ACTIONS: the actions of the page, their buttons and messages. The targets of actions.

use super::texts::{Language, Text};
use crate::domain::Namespec;

/// An action of the page, with its button.
pub(crate) struct PageAction {
    /// Its name in forms.
    pub(crate) name: &'static str,
    /// Its label on a process or group.
    pub(crate) label: Text,
    /// Its label on everything.
    pub(crate) label_all: Text,
    /// Its label on what is selected.
    pub(crate) label_selected: Text,
    /// The name of its label on what is shown or selected, which the script counts.
    pub(crate) label_these: Text,
    /// The message that all of it succeeded, that nothing did, and that a part did.
    pub(crate) messages: [Text; 3],
}

/// All actions.
pub(crate) const PAGE_ACTIONS: &[PageAction] = &[
    PageAction {
        name: "start",
        label: Text::Start,
        label_all: Text::StartAll,
        label_selected: Text::StartSelected,
        label_these: Text::StartThese,
        messages: [Text::Started, Text::NotStarted, Text::SomeStarted],
    },
    PageAction {
        name: "restart",
        label: Text::Restart,
        label_all: Text::RestartAll,
        label_selected: Text::RestartSelected,
        label_these: Text::RestartThese,
        messages: [Text::Restarted, Text::NotRestarted, Text::SomeRestarted],
    },
    PageAction {
        name: "stop",
        label: Text::Stop,
        label_all: Text::StopAll,
        label_selected: Text::StopSelected,
        label_these: Text::StopThese,
        messages: [Text::Stopped, Text::NotStopped, Text::SomeStopped],
    },
    PageAction {
        name: "clear",
        label: Text::Clear,
        label_all: Text::ClearAll,
        label_selected: Text::ClearSelected,
        label_these: Text::ClearThese,
        messages: [Text::LogCleared, Text::NotCleared, Text::SomeCleared],
    },
];

pub(crate) fn find_action(word: &str) -> Option<&'static PageAction> {
    PAGE_ACTIONS.iter().find(|action| action.name == word)
}

/// The value of a button that acts on the processes which the form selects. No process has this name.
pub(crate) const SELECTED: &str = ":selected";

/// The target of an action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ActionTarget {
    /// A process: its name as people write it, and its full namespec.
    One {
        shown: String,
        full: String,
    },
    Group(String),
    All,
    /// The processes that the form selects, by their full namespecs.
    Selected(Vec<String>),
}

impl ActionTarget {
    /// Reads `group:process`, `group:*`, `process` or `*`. `selected` are the names that the form selects.
    pub(crate) fn parse_with<'a>(text: &str, selected: impl Iterator<Item = &'a str>) -> Self {
        if text != SELECTED {
            return Self::parse(text);
        }
        let mut names: Vec<String> = Vec::new();
        for name in selected {
            let Namespec { group, process } = Namespec::parse(name);
            let full = format!("{group}:{}", process.unwrap_or_else(|| "*".to_owned()));
            if !names.contains(&full) {
                names.push(full);
            }
        }
        Self::Selected(names)
    }

    /// Reads `group:process`, `group:*`, `process` or `*`.
    pub(crate) fn parse(text: &str) -> Self {
        if text == "*" {
            return Self::All;
        }
        let Namespec { group, process } = Namespec::parse(text);
        match process {
            None => Self::Group(group),
            Some(process) => Self::One {
                shown: if group == process {
                    process.clone()
                } else {
                    format!("{group}:{process}")
                },
                full: format!("{group}:{process}"),
            },
        }
    }

    /// The inverse of `parse`.
    pub(crate) fn to_text(&self) -> String {
        match self {
            Self::One { full, .. } => full.clone(),
            Self::Group(group) => format!("{group}:*"),
            Self::All => "*".to_owned(),
            Self::Selected(_) => SELECTED.to_owned(),
        }
    }

    /// The names that a form must select for this target.
    pub(crate) fn selected(&self) -> &[String] {
        match self {
            Self::Selected(names) => names,
            Self::One { .. } | Self::Group(_) | Self::All => &[],
        }
    }

    /// The target's name within a sentence.
    pub(crate) fn to_phrase(&self, language: Language) -> String {
        match self {
            Self::One { shown, .. } => language.fill(Text::ProcessPhrase, &[shown]),
            Self::Group(group) => language.fill(Text::GroupPhrase, &[group]),
            Self::All => language.say(Text::AllPhrase).to_owned(),
            Self::Selected(names) => language.fill(Text::SelectedPhrase, &[&names.len()]),
        }
    }

    /// The target's name at the beginning of a message.
    pub(crate) fn to_subject(&self, language: Language) -> String {
        match self {
            Self::One { shown, .. } => language.fill(Text::ProcessNamed, &[shown]),
            Self::Group(group) => language.fill(Text::GroupNamed, &[group]),
            Self::All => language.say(Text::AllNamed).to_owned(),
            Self::Selected(names) => language.fill(Text::SelectedNamed, &[&names.len()]),
        }
    }

    /// The target's name in a message about its logs.
    pub(crate) fn to_log_owner(&self, language: Language) -> String {
        match self {
            Self::One { shown, .. } => shown.clone(),
            Self::All => language.say(Text::LogsOfAll).to_owned(),
            Self::Group(_) | Self::Selected(_) => self.to_phrase(language),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_selects_processes_once_each() {
        let parse = |text| ActionTarget::parse_with(text, ["a", "g:b", "a:a", "h:*"].into_iter());
        let names = ["a:a", "g:b", "h:*"].map(str::to_owned).to_vec();
        assert_eq!(parse(":selected"), ActionTarget::Selected(names));
        assert_eq!(parse("*"), ActionTarget::All);
        // A process may have this name.
        assert_eq!(parse("selected"), ActionTarget::parse("selected"));
    }
}
