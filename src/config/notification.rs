//! Notifications: which conditions of programs are reported to people, and how.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::python::strip;
use super::script::Script;
use super::spec::{ProcessSpec, RateLimit};
use crate::domain::{Namespec, Seconds, python_repr};

/// One `[notify:x]` section.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotificationSpec {
    /// The conditions to report, in the order of [`ReportCondition::ALL`].
    pub on: Vec<ReportCondition>,
    /// The programs, groups and processes to report about. Empty: all.
    pub programs: Vec<Namespec>,
    /// What the command reads on standard input.
    pub format: ReportFormat,
    /// The minimum time between two runs of the command.
    pub interval: Seconds,
    /// How many unexpected exits in how much time are flapping.
    pub flapping: FlappingLimit,
    /// A command or an HTTP request.
    pub script: Script,
    /// The maximum duration of a run.
    pub timeout: Seconds,
    /// The user, environment and directory of the command, and the name of the notification.
    pub process: Arc<ProcessSpec>,
}

impl NotificationSpec {
    /// The name of the section without its prefix.
    #[must_use]
    pub fn name(&self) -> &str {
        self.process.name.as_str()
    }

    /// Returns whether this process is one to report about.
    #[must_use]
    pub fn is_about(&self, group: &str, process: &str) -> bool {
        self.programs.is_empty()
            || self.programs.iter().any(|named| {
                // A program may be in a group of another name.
                let is_single = named.process.as_deref() == Some(named.group.as_str());
                named.covers(group, process) || is_single && named.group == process
            })
    }
}

/// Declares the conditions with the words for them.
macro_rules! conditions {
    ($($(#[$about:meta])* $Condition:ident = $word:literal,)*) => {
        /// A condition that a notification reports.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "lowercase")]
        pub enum ReportCondition {
            $($(#[$about])* $Condition,)*
        }

        impl ReportCondition {
            /// All conditions with their words.
            pub const ALL: &[(Self, &str)] = &[$((Self::$Condition, $word),)*];
        }
    };
}

conditions! {
    /// The process is FATAL.
    Fatal = "fatal",
    /// The process exited unexpectedly, before or after it was RUNNING.
    Exited = "exited",
    /// The process is unhealthy.
    Unhealthy = "unhealthy",
    /// The process exits unexpectedly again and again.
    Flapping = "flapping",
    /// The process is RUNNING, healthy and stable again after one of the other conditions was reported.
    Recovered = "recovered",
}

impl ReportCondition {
    /// The word for the condition.
    #[must_use]
    pub fn word(self) -> &'static str {
        let mut all = Self::ALL.iter();
        all.find(|&&(condition, _)| condition == self)
            .map_or("", |&(_, word)| word)
    }
}

/// What the command reads on standard input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ReportFormat {
    /// Lines for people, as in a mail.
    Text,
    /// One JSON object.
    Json,
}

/// How many unexpected exits in how much time are flapping.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlappingLimit {
    /// The number of exits, at least 2.
    pub exits: u32,
    /// The time in seconds, at least 1.
    pub seconds: u32,
}

/// Maximum number of exits of a [`FlappingLimit`]. Their times are kept for each process that exits.
const EXITS_MAX: u32 = 100;

/// Parses the conditions of `on`.
///
/// # Errors
/// There is none, or an unknown word.
pub(super) fn conditions(text: &str) -> Result<Vec<ReportCondition>, String> {
    let mut conditions = Vec::new();
    for word in text.split(',').map(strip).filter(|word| !word.is_empty()) {
        let lower = word.to_lowercase();
        let mut all = ReportCondition::ALL.iter();
        match all.find(|&&(_, known)| known == lower) {
            Some(&(condition, _)) => conditions.push(condition),
            None => return Err(format!("invalid 'on' value {}", python_repr(word))),
        }
    }
    conditions.sort_unstable();
    conditions.dedup();
    if conditions.is_empty() {
        return Err(format!("invalid 'on' value {}", python_repr(text)));
    }
    Ok(conditions)
}

/// Parses `text` or `json`.
///
/// # Errors
/// Any other word.
pub(super) fn format(text: &str) -> Result<ReportFormat, String> {
    match strip(text).to_lowercase().as_str() {
        "text" => Ok(ReportFormat::Text),
        "json" => Ok(ReportFormat::Json),
        _ => Err(format!("invalid 'format' value {}", python_repr(text))),
    }
}

/// Parses `EXITS/TIME`, such as `5/10min`.
///
/// # Errors
/// It is no such rate, a single exit, more than a hundred exits, or less than a second.
pub(super) fn flapping(text: &str) -> Result<FlappingLimit, String> {
    let bad = || format!("invalid 'flapping' value {}", python_repr(text));
    let Ok(Some(RateLimit { lines, interval })) = super::value::rate_limit(text) else {
        return Err(bad());
    };
    let seconds = u32::try_from(interval.as_secs()).map_err(|_| bad())?;
    if !(2..=EXITS_MAX).contains(&lines) || seconds == 0 {
        return Err(bad());
    }
    Ok(FlappingLimit {
        exits: lines,
        seconds,
    })
}

/// Parses the command.
///
/// # Errors
/// It is no script, or a TCP connection, which carries no text.
pub(super) fn command(text: &str) -> Result<Script, String> {
    match Script::parse(text)? {
        Script::Tcp(_) => {
            Err("a TCP connection carries no item (use a command or http://)".to_owned())
        }
        Script::Http(script) if script.body.is_some() => {
            Err("the item is the body of the request (omit -d)".to_owned())
        }
        script => Ok(script),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{GroupName, ProcessName};

    #[test]
    fn conditions_are_words_in_any_case_and_order() {
        use ReportCondition::{Fatal, Recovered, Unhealthy};
        let parsed = conditions(" Recovered,fatal, fatal,UNHEALTHY,");
        assert_eq!(parsed, Ok(vec![Fatal, Unhealthy, Recovered]));
        assert_eq!(
            conditions("fatal,broken"),
            Err("invalid 'on' value 'broken'".to_owned())
        );
        assert!(conditions(" , ").is_err());
        for &(condition, word) in ReportCondition::ALL {
            assert_eq!(conditions(word), Ok(vec![condition]));
            assert_eq!(condition.word(), word);
        }
    }

    #[test]
    fn flapping_needs_two_exits_and_a_second() {
        let limit = |exits, seconds| Ok(FlappingLimit { exits, seconds });
        assert_eq!(flapping("5/10min"), limit(5, 600));
        assert_eq!(flapping("2/1"), limit(2, 1));
        for text in ["1/10", "0", "101/10", "5/999ms", "5", ""] {
            assert!(flapping(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_command_can_carry_the_notice() {
        assert!(command("mail -s x root").is_ok());
        assert!(command("http://h/x -H 'A: b'").is_ok());
        assert!(command("https://h/x").is_ok());
        for text in ["", "tcp://h:1", "http://h/x -d y", "https://h/ -d y"] {
            assert!(command(text).is_err(), "{text}");
        }
    }

    #[test]
    fn names_are_those_of_processes_and_groups() {
        let name = ProcessName::parse("x").expect("valid");
        let group = GroupName::parse("x").expect("valid");
        let mut spec = NotificationSpec {
            on: vec![ReportCondition::Fatal],
            programs: Vec::new(),
            format: ReportFormat::Text,
            interval: Seconds(1),
            flapping: FlappingLimit {
                exits: 5,
                seconds: 600,
            },
            script: Script::Command("x".to_owned()),
            timeout: Seconds(1),
            process: Arc::new(ProcessSpec::new(name, group)),
        };
        assert!(spec.is_about("g", "p"));
        let mut about = |names: &[&str], group: &str, process: &str| {
            spec.programs = names.iter().map(|name| Namespec::parse(name)).collect();
            spec.is_about(group, process)
        };
        assert!(about(&["web"], "web", "web_1") && about(&["web_1"], "web", "web_1"));
        assert!(about(&["x", "web:*"], "web", "web_1") && about(&["web:web_1"], "web", "web_1"));
        assert!(!about(&["web:web_1"], "web", "web_2") && !about(&["db"], "web", "web_1"));
    }
}
