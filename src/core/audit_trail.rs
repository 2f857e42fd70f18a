//! The last changes that clients requested. They answer "who did what?" without the activity log, which has all of them.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::api::AuditRecord;
use crate::domain::Namespec;

/// Maximum number of changes that are remembered. A record has at most four texts of 200 characters.
pub(super) const RECORDS_MAX: usize = 500;

/// The last changes, the oldest first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct AuditTrail(VecDeque<AuditRecord>);

impl AuditTrail {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds a change and forgets the oldest ones beyond [`RECORDS_MAX`].
    pub(super) fn push(&mut self, record: AuditRecord) {
        self.0.push_back(record);
        let surplus = self.0.len().saturating_sub(RECORDS_MAX);
        self.0.drain(..surplus);
    }

    /// All changes, the oldest first.
    pub(super) fn records(&self) -> impl DoubleEndedIterator<Item = &AuditRecord> {
        self.0.iter()
    }
}

/// Whether a change concerns a process or a group. A word without a colon may be the name of either.
pub(super) fn is_about(record: &AuditRecord, spec: &Namespec) -> bool {
    if record.target.is_empty() {
        return matches!(&*record.verb, "shutdown" | "restart" | "upgrade");
    }
    let is_bare = |spec: &Namespec| spec.process.as_ref() == Some(&spec.group);
    let mut words = record.target.split(' ').filter(|word| !word.is_empty());
    words.any(|word| {
        let named = Namespec::parse(word);
        word == "all"
            || named.group == spec.group
                && (named.process == spec.process
                    || named.process.is_none()
                    || spec.process.is_none()
                    || is_bare(&named)
                    || is_bare(spec))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(verb: &str, target: &str) -> AuditRecord {
        AuditRecord {
            at: 1,
            who: "unix uid=7".to_owned(),
            verb: verb.to_owned(),
            target: target.to_owned(),
            result: "accepted".to_owned(),
        }
    }

    #[test]
    fn a_change_concerns_the_processes_that_it_names() {
        for (verb, target, name, expected) in [
            ("stop", "web", "web", true),
            ("stop", "web", "db", false),
            ("stop", "g:a", "g:a", true),
            ("stop", "g:a", "g:b", false),
            ("stop", "g:a", "g:*", true),
            ("stop", "g:*", "g:b", true),
            ("add", "g", "g:b", true),
            ("stop", "all", "g:b", true),
            ("rolling-restart", "x g:b", "g:b", true),
            ("restart", "", "g:b", true),
            ("clear-log", "", "g:b", false),
        ] {
            let found = is_about(&record(verb, target), &Namespec::parse(name));
            assert_eq!(found, expected, "{verb} {target}: {name}");
        }
    }

    #[test]
    fn the_oldest_change_is_forgotten_first() {
        let mut trail = AuditTrail::default();
        assert!(trail.is_empty());
        for number in 0..RECORDS_MAX + 3 {
            trail.push(record("stop", &number.to_string()));
        }
        assert_eq!(trail.0.len(), RECORDS_MAX);
        assert_eq!(trail.0[0].target, "3");
    }
}
