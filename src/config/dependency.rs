//! What a program depends on: the types and their parsers. Names are kept as written, because processes come and go at
//! run time. The core finds the processes that a name means.

use std::fmt;
use std::sync::{Arc, LazyLock};

use serde::{Deserialize, Serialize};

use super::interned_default::InternedDefault;
use crate::domain::{ProcessState, python_repr};

/// The keys of a program about other programs. Every default changes nothing.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct Dependencies {
    /// `depends_on`.
    pub depends_on: Vec<Dependency>,
    /// `restart_with`: what restarts the program when it restarts. Each is a dependency too.
    pub restart_with: Vec<DependencyTarget>,
    /// `dependent_startup`, a key of the plug-in supervisord-dependent-startup: the program starts with the daemon
    /// although `autostart` is false, and waits for `wait_for`.
    #[serde(rename = "dependent_startup")]
    pub starts_with_plugin: bool,
    /// `dependent_startup_wait_for`. It counts only with `dependent_startup`, as in the plug-in.
    #[serde(rename = "dependent_startup_wait_for")]
    pub wait_for: Vec<Dependency>,
}

impl InternedDefault for Dependencies {
    fn interned_default() -> Arc<Self> {
        static NONE: LazyLock<Arc<Dependencies>> = LazyLock::new(Arc::default);
        Arc::clone(&NONE)
    }
}

impl Dependencies {
    /// Returns everything that the program waits for, by key in the order written. A target of `restart_with` that
    /// `depends_on` does not name follows with the default condition.
    pub fn all(&self) -> impl Iterator<Item = Dependency> + '_ {
        let restart_with = self.restart_with.iter().filter(|target| {
            let mut named = self.depends_on.iter();
            !named.any(|dependency| dependency.target == **target)
        });
        let restart_with = restart_with.map(|target| Dependency {
            target: target.clone(),
            condition: DependencyCondition::Up,
        });
        let wait_for = self.wait_for.iter().filter(|_| self.starts_with_plugin);
        let depends_on = self.depends_on.iter().cloned();
        depends_on.chain(restart_with).chain(wait_for.cloned())
    }

    /// Returns whether the program waits for nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.depends_on.is_empty()
            && self.restart_with.is_empty()
            && (self.wait_for.is_empty() || !self.starts_with_plugin)
    }
}

/// One dependency of a program.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Dependency {
    /// The processes that the program waits for.
    pub target: DependencyTarget,
    /// What each of them must have reached.
    pub condition: DependencyCondition,
}

/// The processes that a dependency names.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum DependencyTarget {
    /// `NAME`: all processes of the program of this name, and of the group of this name.
    Name(Arc<str>),
    /// `GROUP:*`: all processes of the group.
    Group(Arc<str>),
    /// `GROUP:PROCESS`: one process.
    Process(Arc<str>, Arc<str>),
}

impl fmt::Display for DependencyTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Group(group) => write!(f, "{group}:*"),
            Self::Process(group, process) => write!(f, "{group}:{process}"),
        }
    }
}

/// What a dependency must have reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum DependencyCondition {
    /// No condition is written: RUNNING, or EXITED with an expected status, as a one-shot preparation job does.
    Up,
    /// `started`: the process exists, or has existed since its last start.
    Started,
    /// `ready`: RUNNING. A process that reports readiness is RUNNING when it is ready.
    Ready,
    /// `healthy`: ready, and its health checks succeed.
    Healthy,
    /// `exited-ok`: EXITED with an expected status.
    ExitedOk,
    /// One of the states that `dependent_startup_wait_for` lists.
    States(StateSet),
}

impl DependencyCondition {
    /// The conditions with a word.
    pub const WORDS: [(&'static str, Self); 4] = [
        ("started", Self::Started),
        ("ready", Self::Ready),
        ("healthy", Self::Healthy),
        ("exited-ok", Self::ExitedOk),
    ];
}

impl fmt::Display for DependencyCondition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Up => f.write_str("up"),
            Self::States(states) => states.fmt(f),
            Self::Started | Self::Ready | Self::Healthy | Self::ExitedOk => {
                let word = Self::WORDS.iter().find(|(_, condition)| condition == self);
                f.write_str(word.map_or("", |(word, _)| word))
            }
        }
    }
}

/// A set of states of a process.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct StateSet(u8);

impl StateSet {
    /// Returns the set with these states.
    #[must_use]
    pub fn of(states: &[ProcessState]) -> Self {
        let bit = |state: &ProcessState| {
            let place = ProcessState::ALL.iter().position(|other| other == state);
            place.map_or(0, |place| 1 << place)
        };
        Self(states.iter().map(bit).fold(0, |set, bit| set | bit))
    }

    /// Returns whether the state is in the set.
    #[must_use]
    pub fn contains(self, state: ProcessState) -> bool {
        self.0 & Self::of(&[state]).0 != 0
    }
}

impl fmt::Display for StateSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for state in ProcessState::ALL {
            if self.contains(state) {
                write!(f, "{separator}{}", state.name().to_lowercase())?;
                separator = ",";
            }
        }
        Ok(())
    }
}

/// Parses `depends_on`: `TARGET[:CONDITION]`, separated by commas or blanks.
///
/// # Errors
/// A target is not `NAME`, `GROUP:*` or `GROUP:PROCESS`.
pub fn depends_on(text: &str) -> Result<Vec<Dependency>, String> {
    let one = |word: &str| {
        let (target, condition) = split_condition(word);
        Ok(Dependency {
            target: parse_target(target).ok_or_else(|| invalid("depends_on", word))?,
            condition,
        })
    };
    words(text).map(one).collect()
}

/// Parses `restart_with`: targets without conditions, separated by commas or blanks.
///
/// # Errors
/// A target is not `NAME`, `GROUP:*` or `GROUP:PROCESS`.
pub fn restart_with(text: &str) -> Result<Vec<DependencyTarget>, String> {
    let one = |word: &str| parse_target(word).ok_or_else(|| invalid("restart_with", word));
    words(text).map(one).collect()
}

/// Parses `dependent_startup_wait_for`: `PROGRAM[:STATE[,STATE…]]`, separated by blanks. Without a state, the program
/// must be RUNNING.
///
/// # Errors
/// A state does not exist, or a name is empty.
///
/// # Source
/// The description of supervisord-dependent-startup, "Process config".
pub fn wait_for(text: &str) -> Result<Vec<Dependency>, String> {
    const KEY: &str = "dependent_startup_wait_for";
    let one = |word: &str| {
        let (target, states) = word.rsplit_once(':').unwrap_or((word, "running"));
        let target = parse_target(target).ok_or_else(|| invalid(KEY, word))?;
        let states: Result<Vec<ProcessState>, String> = states
            .split(',')
            .map(|state| {
                let mut all = ProcessState::ALL.into_iter();
                let found = all.find(|known| known.name().eq_ignore_ascii_case(state));
                found.ok_or_else(|| format!("unknown state {} in {KEY}", python_repr(state)))
            })
            .collect();
        Ok(Dependency {
            target,
            condition: DependencyCondition::States(StateSet::of(&states?)),
        })
    };
    text.split_whitespace().map(one).collect()
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| c == ',' || c.is_whitespace())
        .filter(|word| !word.is_empty())
}

fn invalid(key: &str, word: &str) -> String {
    format!("invalid {key} value {}", python_repr(word))
}

/// Splits a condition off if the text after the last colon is one.
fn split_condition(word: &str) -> (&str, DependencyCondition) {
    let split = word.rsplit_once(':').and_then(|(target, last)| {
        let mut words = DependencyCondition::WORDS.into_iter();
        words
            .find(|(word, _)| *word == last)
            .map(|(_, condition)| (target, condition))
    });
    split.unwrap_or((word, DependencyCondition::Up))
}

fn parse_target(word: &str) -> Option<DependencyTarget> {
    match word.split_once(':') {
        None => (!word.is_empty() && word != "*").then(|| DependencyTarget::Name(word.into())),
        Some(("", _) | (_, "")) => None,
        Some((group, "*")) => Some(DependencyTarget::Group(group.into())),
        Some((_, process)) if process.contains(':') => None,
        Some((group, process)) => Some(DependencyTarget::Process(group.into(), process.into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(dependencies: &[Dependency]) -> String {
        let texts = dependencies.iter().map(|dependency| {
            let Dependency { target, condition } = dependency;
            format!("{target}={condition}")
        });
        texts.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn g29_a_list_has_targets_with_conditions() {
        for (text, expected) in [
            ("", ""),
            ("db", "db=up"),
            ("db, cache\n  web", "db=up cache=up web=up"),
            ("db:ready,cache:healthy", "db=ready cache=healthy"),
            ("g:*", "g:*=up"),
            ("g:*:started", "g:*=started"),
            ("g:w_0:exited-ok", "g:w_0=exited-ok"),
            // The last word is a condition if it can be one.
            ("g:ready", "g=ready"),
            ("g:readyness", "g:readyness=up"),
        ] {
            let parsed = depends_on(text).expect(text);
            assert_eq!(shown(&parsed), expected, "{text}");
        }
        for (text, word) in [
            ("a b:c:d", "b:c:d"),
            (":a", ":a"),
            ("a:", "a:"),
            ("*", "*"),
            ("a::ready", "a::ready"),
        ] {
            let error = depends_on(text).expect_err(text);
            assert_eq!(error, format!("invalid depends_on value '{word}'"));
        }
        assert_eq!(
            restart_with("a, g:*").expect("valid"),
            [
                DependencyTarget::Name("a".into()),
                DependencyTarget::Group("g".into())
            ]
        );
    }

    #[test]
    fn g71_the_plugins_list_has_states() {
        for (text, expected) in [
            ("rsyslogd:running", "rsyslogd=running"),
            ("a:running  b:exited", "a=running b=exited"),
            ("a:EXITED,stopped", "a=stopped,exited"),
            ("a", "a=running"),
        ] {
            assert_eq!(shown(&wait_for(text).expect(text)), expected, "{text}");
        }
        assert_eq!(
            wait_for("a:runing").expect_err("no state"),
            "unknown state 'runing' in dependent_startup_wait_for"
        );
    }

    #[test]
    fn wait_for_counts_only_with_dependent_startup() {
        let mut keys = Dependencies {
            wait_for: wait_for("a:running").expect("valid"),
            ..Dependencies::default()
        };
        assert!(keys.is_empty());
        assert_eq!(keys.all().count(), 0);
        keys.starts_with_plugin = true;
        assert!(!keys.is_empty());
        assert_eq!(keys.all().count(), 1);
    }

    #[test]
    fn restart_with_is_a_dependency_too() {
        let keys = Dependencies {
            depends_on: depends_on("a:started").expect("valid"),
            restart_with: restart_with("a b").expect("valid"),
            ..Dependencies::default()
        };
        assert_eq!(shown(&keys.all().collect::<Vec<_>>()), "a=started b=up");
    }
}
