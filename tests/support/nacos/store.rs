//! The items of the stub and their history.

use std::collections::BTreeMap;

use md5::{Digest, Md5};

/// The MD5 of a text in lower-case hexadecimal digits.
pub fn md5_of(text: &str) -> String {
    format!("{:x}", Md5::digest(text.as_bytes()))
}

/// Identifies an item.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ItemKey {
    /// Empty: the public namespace.
    pub(super) namespace: String,
    pub(super) group: String,
    pub(super) dataid: String,
}

impl ItemKey {
    /// The namespace `public` is the empty one.
    pub(super) fn new(namespace: &str, group: &str, dataid: &str) -> Self {
        let namespace = if namespace == "public" { "" } else { namespace };
        Self {
            namespace: namespace.to_owned(),
            group: group.to_owned(),
            dataid: dataid.to_owned(),
        }
    }
}

/// A stored item.
#[derive(Debug, Clone)]
pub struct NacosItem {
    /// A number that the item keeps until it is deleted.
    pub id: u64,
    /// The content.
    pub text: String,
    /// The MD5 of the content.
    pub md5: String,
    /// `text`, `properties` and others.
    pub kind: String,
    /// Who published it last, as the client says.
    pub src_user: String,
    /// When, in milliseconds since 1970.
    pub modified_ms: i64,
}

/// A change in the history. The text is that before the change; of an insertion it is the new text.
#[derive(Debug, Clone)]
pub struct NacosHistoryEntry {
    /// Number of the change.
    pub nid: u64,
    /// The item's number.
    pub item_id: u64,
    /// The content before the change.
    pub text: String,
    /// The MD5 of `text`.
    pub md5: String,
    /// `I`: inserted, `U`: updated, `D`: deleted.
    pub operation: char,
    /// Who made the change, as the client says.
    pub src_user: String,
    /// The address of that client.
    pub src_ip: String,
    /// When, in milliseconds since 1970.
    pub at_ms: i64,
    pub(super) key: ItemKey,
}

/// What a client says when it publishes.
#[derive(Debug, Clone, Default)]
pub(super) struct Publication {
    pub(super) text: String,
    pub(super) kind: String,
    pub(super) src_user: String,
    pub(super) src_ip: String,
}

/// All items.
#[derive(Debug, Default)]
pub(super) struct Store {
    pub(super) items: BTreeMap<ItemKey, NacosItem>,
    pub(super) history: Vec<NacosHistoryEntry>,
    revisions: BTreeMap<ItemKey, u64>,
    last_id: u64,
}

impl Store {
    /// The MD5 of an item, empty if there is none.
    pub(super) fn md5(&self, key: &ItemKey) -> String {
        let item = self.items.get(key);
        item.map(|item| item.md5.clone()).unwrap_or_default()
    }

    /// The number of changes of an item's content.
    pub(super) fn revision(&self, key: &ItemKey) -> u64 {
        self.revisions.get(key).copied().unwrap_or(0)
    }

    /// Inserts or updates an item.
    pub(super) fn publish(&mut self, key: ItemKey, publication: Publication) {
        let old = self.items.remove(&key);
        let id = old.as_ref().map_or_else(|| self.next_id(), |old| old.id);
        let md5 = md5_of(&publication.text);
        let (operation, before) = match &old {
            Some(old) => ('U', old.text.clone()),
            None => ('I', publication.text.clone()),
        };
        self.remember(operation, &key, id, before, &publication);
        if old.is_none_or(|old| old.md5 != md5) {
            *self.revisions.entry(key.clone()).or_default() += 1;
        }
        let kind = match publication.kind.as_str() {
            "" => "text".to_owned(),
            _ => publication.kind,
        };
        let item = NacosItem {
            id,
            text: publication.text,
            md5,
            kind,
            src_user: publication.src_user,
            modified_ms: now_ms(),
        };
        self.items.insert(key, item);
    }

    /// Deletes an item. Nothing happens if there is none.
    pub(super) fn delete(&mut self, key: &ItemKey, publication: &Publication) {
        if let Some(old) = self.items.remove(key) {
            self.remember('D', key, old.id, old.text, publication);
            *self.revisions.entry(key.clone()).or_default() += 1;
        }
    }

    /// Removes all items and the history, as if the server had lost its disk.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// The changes of an item, the newest first.
    pub(super) fn history_of(&self, key: &ItemKey) -> Vec<&NacosHistoryEntry> {
        let changes = self.history.iter().rev();
        changes.filter(|entry| entry.key == *key).collect()
    }

    fn remember(
        &mut self,
        operation: char,
        key: &ItemKey,
        item_id: u64,
        text: String,
        publication: &Publication,
    ) {
        let nid = self.next_id();
        self.history.push(NacosHistoryEntry {
            nid,
            item_id,
            md5: md5_of(&text),
            text,
            operation,
            src_user: publication.src_user.clone(),
            src_ip: publication.src_ip.clone(),
            at_ms: now_ms(),
            key: key.clone(),
        });
    }

    fn next_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }
}

fn now_ms() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

/// A time in a format of strftime(3), in UTC.
pub(super) fn utc(at_ms: i64, format: &str) -> String {
    let at = jiff::Timestamp::from_millisecond(at_ms).unwrap_or_default();
    at.strftime(format).to_string()
}
