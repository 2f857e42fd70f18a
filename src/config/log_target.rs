//! The log targets that have a word, such as `journal`, in place of a path. A `*_logfile` key names them, alone or in a
//! list.

use serde::{Deserialize, Serialize};

use super::spec::RateLimit;

/// The word for syslog. By itself it is Supervisor's deprecated form of `*_syslog=true`.
pub(super) const SYSLOG: &str = "syslog";

/// One target.
struct TargetRow {
    /// The words that name it, in lower case. Users may write them in any case.
    words: &'static [&'static str],
    /// Adds it to the targets of a stream, with the default of its settings.
    add: fn(&mut NamedTargets),
}

/// All targets. `output/sinks/mod.rs` has their implementations.
const TARGETS: &[TargetRow] = &[
    TargetRow {
        words: &["journal", "journald"],
        add: |targets| targets.journal = Some(JournalSpec { limit: None }),
    },
    TargetRow {
        words: &[SYSLOG],
        add: |targets| targets.syslog = true,
    },
];

/// The targets of one stream besides its log file. The default: none.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct NamedTargets {
    /// Syslog.
    pub syslog: bool,
    /// New: the journal.
    pub journal: Option<JournalSpec>,
}

/// How a stream is written to the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct JournalSpec {
    /// Maximum rate. Further lines are dropped and counted. `None`: no limit by the daemon.
    pub limit: Option<RateLimit>,
}

impl NamedTargets {
    /// Adds the target that `word` names, in any case. False: it names none, so it is a path or another word.
    pub(super) fn add(&mut self, word: &str) -> bool {
        let word = word.to_lowercase();
        let row = TARGETS
            .iter()
            .find(|row| row.words.contains(&word.as_str()));
        if let Some(row) = row {
            (row.add)(self);
        }
        row.is_some()
    }
}

/// Whether this is the word of a target, in any case.
pub(super) fn is_target(word: &str) -> bool {
    NamedTargets::default().add(word)
}

#[cfg(test)]
mod tests {
    use super::super::spec::{LogSpec, LogTarget};
    use super::super::testing::log_spec;
    use super::*;

    #[test]
    fn words_name_targets_in_any_case() {
        let mut named = NamedTargets::default();
        assert!(!named.add("none") && !named.add("") && !is_target("./journal"));
        assert_eq!(named, NamedTargets::default());
        assert!(named.add("JournalD") && named.journal.is_some() && !named.syslog);
        assert!(named.add("Syslog") && named.syslog);
    }

    #[test]
    fn every_row_adds_a_target_of_its_own() {
        let mut named = NamedTargets::default();
        for row in TARGETS {
            let before = named.clone();
            (row.add)(&mut named);
            assert_ne!(named, before, "{:?}", row.words);
        }
    }

    /// Daemons of other versions read and write this.
    #[test]
    fn the_written_form_stays() {
        let mut spec = log_spec(LogTarget::None);
        spec.named.add("journal");
        let text = serde_json::to_string(&spec).expect("written");
        assert_eq!(
            text,
            r#"{"target":"None","maxbytes":0,"backups":0,"capture_maxbytes":0,"events":false,"syslog":false,"journal":{"limit":null}}"#
        );
        let read: LogSpec = serde_json::from_str(&text).expect("read");
        assert_eq!(read, spec);
    }
}
