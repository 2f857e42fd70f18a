//! What `--check` says about a problem, beside the message of the daemon.

use super::rule::{Rule, Severity};

/// The rule of a problem, and its explanation in plain English.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Explained {
    /// The rule.
    pub rule: Rule,
    /// How serious it is.
    pub severity: Severity,
    /// The key that it is about. Empty: it is not about one key.
    pub key: String,
    /// What is wrong. Empty: the message of the daemon says it.
    pub plain: String,
    /// What to do.
    pub remedy: String,
}

impl From<Rule> for Explained {
    fn from(rule: Rule) -> Self {
        Self {
            rule,
            severity: rule.row().severity,
            key: String::new(),
            plain: String::new(),
            remedy: rule.row().remedy.to_owned(),
        }
    }
}

impl Explained {
    /// A problem of this rule with its own explanation.
    #[must_use]
    pub fn new(rule: Rule, plain: impl Into<String>) -> Self {
        Self {
            plain: plain.into(),
            ..Self::from(rule)
        }
    }

    /// Sets the key.
    #[must_use]
    pub fn key(mut self, key: &str) -> Self {
        key.clone_into(&mut self.key);
        self
    }

    /// Sets what to do. An empty text keeps the remedy of the rule.
    #[must_use]
    pub fn remedy(mut self, remedy: impl Into<String>) -> Self {
        let remedy = remedy.into();
        if !remedy.is_empty() {
            self.remedy = remedy;
        }
        self
    }

    /// Makes it an error.
    #[must_use]
    pub const fn error(mut self) -> Self {
        self.severity = Severity::Error;
        self
    }
}
