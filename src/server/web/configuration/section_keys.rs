//! The keys of a section as people see and change them.

use crate::config::ini::Ini;

/// The texts of the keys in a section, as written.
pub(super) fn key_texts(section: &str) -> Vec<(String, String)> {
    let mut ini = Ini::default();
    // The daemon has read it before; a broken line has no key.
    let _ = ini.read("", 0, section);
    let entries = ini.sections().iter().flat_map(|section| &section.entries);
    entries
        .map(|entry| (entry.key.to_string(), entry.value.clone()))
        .collect()
}
