//! KEYS: every key of every section, declared once. The parser's defaults, the command line, the hints for misspelled
//! keys, the manual page and the sample configuration derive from these rows.

mod daemon;
mod nacos;
mod notify;
mod program;
mod row;
mod section;
mod small;
mod source;
mod table;
mod value_kind;
mod values;

use std::sync::OnceLock;

pub(super) use nacos::NacosValues;
pub(super) use notify::NotificationValues;
pub use row::{ConfigKey, ExpandScope, KeyFlag, Topic};
use section::SECTIONS;
pub use section::SectionKind;
pub use small::{CTL_FACTORY, MAIN_INTERFACE, RESULT_HANDLER, RPC_FACTORY, TWIDDLER_INTERFACE};
pub(super) use small::{ClientValues, FcgiValues, GroupValues, ListenerValues, ServerValues};
pub(super) use source::SourceValues;
pub(super) use table::KeyTable;
pub use value_kind::ValueKind;
pub(super) use values::{DaemonValues, ProgramValues, SectionValues, StreamValues};

/// Every key with its section.
#[must_use]
pub fn all() -> &'static [(SectionKind, &'static ConfigKey)] {
    static ALL: OnceLock<Vec<(SectionKind, &'static ConfigKey)>> = OnceLock::new();
    ALL.get_or_init(|| {
        SECTIONS
            .iter()
            .flat_map(|&(kind, ..)| kind.rows().iter().map(move |key| (kind, key)))
            .collect()
    })
}

/// Whether a key of this name, in lower case, may contain a secret in any section.
#[must_use]
pub fn is_secret_key(name: &str) -> bool {
    static SECRET: OnceLock<Vec<&'static str>> = OnceLock::new();
    let secret = SECRET.get_or_init(|| {
        let rows = all().iter().filter(|(_, row)| row.is_secret);
        rows.map(|(_, row)| row.name).collect()
    });
    secret.contains(&name)
}

#[cfg(test)]
mod tests {
    use super::values::Field;
    use super::*;

    #[test]
    fn cfg_14_a_section_kind_is_recognized_by_its_prefix() {
        for (name, kind) in [
            ("supervisord", Some(SectionKind::Daemon)),
            ("Supervisord", None),
            ("supervisord2", None),
            ("unix_http_server:a", Some(SectionKind::UnixServer)),
            ("program:x", Some(SectionKind::Program)),
            ("progam:x", None),
        ] {
            assert_eq!(SectionKind::of(name), kind, "{name}");
        }
    }

    #[test]
    fn each_key_has_one_row_and_a_one_line_description() {
        for &(kind, key) in all() {
            let same = kind.rows().iter().filter(|other| other.name == key.name);
            assert_eq!(same.count(), 1, "{kind:?} {}", key.name);
            assert!(!key.doc.is_empty() && !key.doc.contains('\n') && !key.doc.contains(" ;"));
            // The one name of the Go re-implementation with a capital letter.
            assert!(key.name == key.name.to_lowercase() || key.name == "envFiles");
        }
        assert_eq!(
            ConfigKey::find(SectionKind::Listener, "priority").and_then(|key| key.default),
            Some("-1")
        );
    }

    #[test]
    fn the_reading_order_names_every_key_of_supervisor() {
        for &(kind, ..) in SECTIONS {
            let order = kind.order();
            for name in order {
                let same = order.iter().filter(|other| *other == name);
                assert_eq!(same.count(), 1, "{name}");
                let is_known = all().iter().any(|(_, key)| key.name == *name);
                assert!(is_known, "{name}");
            }
            let rows = kind.rows().iter().filter(|key| !key.ours);
            let rows = rows.filter(|_| kind != SectionKind::Group);
            for key in rows.filter(|key| !matches!(key.field, Field::Step | Field::Ignored)) {
                assert!(order.contains(&key.name), "{}", key.name);
            }
        }
    }

    #[test]
    fn only_these_rows_have_no_setter() {
        let steps = all()
            .iter()
            .filter(|(_, key)| matches!(key.field, Field::Step));
        let names: Vec<String> = steps
            .map(|(kind, key)| format!("{} {}", kind.display(), key.name))
            .collect();
        assert_eq!(
            names,
            [
                // These depend on the environment, on the number of the process or on other files.
                "[supervisord] environment",
                "[include] files",
                "[program:x] command",
                "[program:x] process_name",
                "[program:x] environment",
                "[notify:x] environment",
                // Sections that accept any key.
                "[rpcinterface:x] supervisor.rpcinterface_factory",
                "[ctlplugin:x] supervisor.ctl_factory",
            ]
        );
    }

    #[test]
    fn defaults_of_rows_with_a_setter_need_no_expansion() {
        for (kind, key) in all() {
            let default = key.default.unwrap_or_default();
            let is_plain = matches!(key.field, Field::Step) || !default.contains('%');
            assert!(is_plain, "{kind:?} {}", key.name);
        }
    }

    #[test]
    fn a_section_has_topics_for_all_its_keys_or_none() {
        for &(kind, ..) in SECTIONS {
            let topics = kind.rows().iter().filter(|key| key.topic.is_some());
            assert!([0, kind.rows().len()].contains(&topics.count()), "{kind:?}");
        }
    }
}
