//! PAGE_ACTIONS: the actions of the page and their buttons. The targets of actions.

use std::fmt::Display;

use crate::domain::Namespec;

/// An action of the page, with its button.
pub(super) struct PageAction {
    /// Its name in forms.
    pub(super) name: &'static str,
    /// Its label on a process or group.
    pub(super) label: &'static str,
    /// Its label on everything.
    pub(super) label_all: &'static str,
    /// Its past participle, for messages.
    pub(super) past: &'static str,
    /// The methods for one process or group, in the order in which they are called.
    pub(super) one: &'static [&'static str],
    /// The methods for all processes.
    pub(super) all: &'static [&'static str],
}

/// All actions.
pub(super) const PAGE_ACTIONS: &[PageAction] = &[
    PageAction {
        name: "start",
        label: "Start",
        label_all: "Start all",
        past: "started",
        one: &["supervisor.startProcess"],
        all: &["supervisor.startAllProcesses"],
    },
    PageAction {
        name: "restart",
        label: "Restart",
        label_all: "Restart all",
        past: "restarted",
        one: &["supervisor.stopProcess", "supervisor.startProcess"],
        all: &[
            "supervisor.stopAllProcesses",
            "supervisor.startAllProcesses",
        ],
    },
    PageAction {
        name: "stop",
        label: "Stop",
        label_all: "Stop all",
        past: "stopped",
        one: &["supervisor.stopProcess"],
        all: &["supervisor.stopAllProcesses"],
    },
    PageAction {
        name: "clear",
        label: "Clear",
        label_all: "Clear all logs",
        past: "cleared",
        one: &["supervisor.clearProcessLogs"],
        all: &["supervisor.clearAllProcessLogs"],
    },
];

pub(super) fn find_action(word: &str) -> Option<&'static PageAction> {
    PAGE_ACTIONS.iter().find(|action| action.name == word)
}

/// The target of an action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ActionTarget {
    /// A process: its name as people write it, and its full namespec.
    One {
        shown: String,
        full: String,
    },
    Group(String),
    All,
}

impl ActionTarget {
    /// Reads `group:process`, `group:*`, `process` or `*`.
    pub(super) fn parse(text: &str) -> Self {
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
    pub(super) fn to_text(&self) -> String {
        match self {
            Self::One { full, .. } => full.clone(),
            Self::Group(group) => format!("{group}:*"),
            Self::All => "*".to_owned(),
        }
    }
}

impl ActionTarget {
    /// The target's name within a sentence.
    pub(super) fn to_phrase(&self) -> String {
        match self {
            Self::One { shown, .. } => format!("process {shown}"),
            Self::Group(group) => format!("group {group}"),
            Self::All => "all processes".to_owned(),
        }
    }
}

impl Display for ActionTarget {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::One { shown, .. } => write!(f, "Process {shown}"),
            Self::Group(group) => write!(f, "Group {group}"),
            Self::All => f.write_str("All"),
        }
    }
}
