//! The log targets that have a word, such as `journal`, in place of a path. A `*_logfile` key names them, alone or in a
//! list.
//!
//! [`log_targets`] is the list of all targets. The room `output` takes the module of each sink from the list as well, so
//! that a new target is a row here and the file of its sink.

use serde::{Deserialize, Serialize};

use super::spec::RateLimit;

/// Passes the list of targets to a macro. A row: the field of [`NamedTargets`] and its type, the module of the sink in
/// `output/sinks/`, and the function that adds the target if an item of a `*_logfile` list names it. A chunk reaches the
/// targets in this order. Fields that daemons of older versions do not write need `#[serde(default)]`.
macro_rules! log_targets {
    ($with:ident) => {
        $with! {
            /// Syslog.
            syslog: bool, in syslog_sink, add_syslog;
            /// New: the journal.
            journal: Option<JournalSpec>, in journal_sink, add_journal;
        }
    };
}
pub(crate) use log_targets;

/// Declares [`NamedTargets`].
macro_rules! declare {
    ($($(#[$about:meta])* $field:ident: $settings:ty, in $_module:ident, $add:ident;)*) => {
        /// The targets of one stream besides its log file. The default: none.
        #[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
        pub struct NamedTargets {
            $($(#[$about])* pub $field: $settings,)*
        }

        impl NamedTargets {
            /// Adds the target that an item of a list names. False: it names none, so it is a path or another word.
            pub(super) fn add(&mut self, item: &str) -> bool {
                $($add(&mut self.$field, item))||*
            }
        }
    };
}
log_targets!(declare);

/// The word for syslog. By itself it is Supervisor's deprecated form of `*_syslog=true`.
pub(super) const SYSLOG: &str = "syslog";

fn add_syslog(syslog: &mut bool, item: &str) -> bool {
    let is_named = is_word(item, &[SYSLOG]);
    *syslog |= is_named;
    is_named
}

/// How a stream is written to the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct JournalSpec {
    /// Maximum rate. Further lines are dropped and counted. `None`: no limit by the daemon.
    pub limit: Option<RateLimit>,
}

/// The key `*_journal_limit` sets the limit.
fn add_journal(journal: &mut Option<JournalSpec>, item: &str) -> bool {
    let is_named = is_word(item, &["journal", "journald"]);
    if is_named {
        *journal = Some(JournalSpec { limit: None });
    }
    is_named
}

/// Whether the item is one of these words, which are in lower case. Users may write them in any case.
fn is_word(item: &str, words: &[&str]) -> bool {
    words.contains(&item.to_lowercase().as_str())
}

/// Whether an item of a list names a target.
pub(super) fn is_target(item: &str) -> bool {
    NamedTargets::default().add(item)
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
