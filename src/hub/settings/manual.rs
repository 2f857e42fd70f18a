//! The keys for the manual.

use super::hub_table::{CESI_KEYS, HUB_KEYS};
use super::node_table::NODE_KEYS;
use super::table::SettingKey;

/// A key with its default, and what it means.
type KeyEntry = (String, String);

fn entries<T>(keys: &[SettingKey<T>]) -> Vec<KeyEntry> {
    let entries = keys.iter().map(|key| {
        let default = match key.default {
            "" => String::new(),
            default => format!(" Default: {default}."),
        };
        (format!("`{}`", key.name), format!("{}{default}", key.doc))
    });
    entries.collect()
}

/// All keys by table.
pub(in crate::hub) fn key_entries() -> [(&'static str, Vec<KeyEntry>); 3] {
    [
        ("[cesi]", entries(CESI_KEYS)),
        ("[[nodes]]", entries(NODE_KEYS)),
        ("[hub]", entries(HUB_KEYS)),
    ]
}
