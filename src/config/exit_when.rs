//! When the end of a program ends the daemon: the keys `exit_when` of the daemon and `on_fatal` of programs.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::python::strip;
use super::script::Script;
use crate::domain::{Namespec, Seconds, python_repr};

/// When the daemon exits by itself.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum ExitWhen {
    /// Never.
    #[default]
    Never,
    /// When every program has exited and none is due to restart.
    AllExited,
    /// When a process is FATAL.
    AnyFatal,
    /// When this process, or one of this group, has exited and does not restart.
    Ended(Namespec),
}

impl ExitWhen {
    /// Parses `never`, `all-exited` or `any-fatal` in any case, or a name.
    ///
    /// # Errors
    /// The text is empty.
    pub fn parse(text: &str) -> Result<Self, String> {
        let word = strip(text);
        match word.to_lowercase().as_str() {
            "" => Err(format!("invalid 'exit_when' value {}", python_repr(text))),
            "never" => Ok(Self::Never),
            "all-exited" => Ok(Self::AllExited),
            "any-fatal" => Ok(Self::AnyFatal),
            _ => Ok(Self::Ended(Namespec::parse(word))),
        }
    }

    /// Whether the value names this process.
    #[must_use]
    pub fn names(&self, group: &str, process: &str) -> bool {
        matches!(self, Self::Ended(named) if named.covers(group, process))
    }
}

/// What the daemon does when a process is FATAL.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub enum OnFatal {
    /// Nothing.
    #[default]
    Nothing,
    /// It stops all programs and exits.
    Shutdown,
    /// It runs this script once.
    Exec(Arc<FatalScript>),
}

/// The script that runs when a process is FATAL.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct FatalScript {
    /// The script.
    pub script: Script,
    /// Its maximum duration: `hook_timeout`.
    pub limit: Seconds,
}

impl OnFatal {
    /// Whether this is the default.
    #[must_use]
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// Parses `none` or `shutdown`, in any case, or `exec:` and a script, whose limit `with_limit` sets.
    ///
    /// # Errors
    /// Any other word, or a script that is wrong.
    pub fn parse(text: &str) -> Result<Self, String> {
        const EXEC: &str = "exec:";
        let word = strip(text);
        if let (Some(prefix), Some(script)) = (word.get(..EXEC.len()), word.get(EXEC.len()..))
            && prefix.eq_ignore_ascii_case(EXEC)
        {
            let script = Script::parse(strip(script))?;
            let limit = Seconds(0);
            return Ok(Self::Exec(Arc::new(FatalScript { script, limit })));
        }
        match strip(text).to_lowercase().as_str() {
            "none" => Ok(Self::Nothing),
            "shutdown" => Ok(Self::Shutdown),
            _ => Err(format!("invalid 'on_fatal' value {}", python_repr(text))),
        }
    }

    /// Sets the maximum duration of the script, if there is one.
    pub(in crate::config) fn with_limit(self, limit: Seconds) -> Self {
        match self {
            Self::Exec(mut script) => {
                Arc::make_mut(&mut script).limit = limit;
                Self::Exec(script)
            }
            other => other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t02_names_of_processes_and_groups() {
        let named = |text: &str, group: &str, process: &str| {
            ExitWhen::parse(text).expect(text).names(group, process)
        };
        assert!(named("web", "web", "web") && named("web", "web", "web_1"));
        assert!(named("g:web", "g", "web") && !named("g:web", "g", "db"));
        assert!(named("g:*", "g", "db") && !named("g:*", "h", "db"));
        assert!(!named("web", "g", "web"));
        assert!(!named("All-Exited", "all-exited", "all-exited"));
        assert!(ExitWhen::parse(" ").is_err());
    }

    #[test]
    fn on_fatal_runs_a_script_within_the_limit_of_hooks() {
        for (text, script) in [
            ("exec:/bin/page me", "/bin/page me"),
            (" EXEC: tcp://localhost:1 ", "tcp://localhost:1"),
        ] {
            let parsed = OnFatal::parse(text).expect(text).with_limit(Seconds(7));
            let script = Script::parse(script).expect(script);
            let limit = Seconds(7);
            let expected = OnFatal::Exec(Arc::new(FatalScript { script, limit }));
            assert_eq!(parsed, expected, "{text}");
        }
        assert_eq!(OnFatal::parse("ShutDown"), Ok(OnFatal::Shutdown));
        for wrong in ["", "exec", "exec:", "exec: ", "exec:'x", "run:x", "ü"] {
            assert!(OnFatal::parse(wrong).is_err(), "{wrong}");
        }
    }
}
