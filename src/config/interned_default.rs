//! Values that hardly any program changes: the one that changes nothing is kept once for all of them.

use std::sync::Arc;

use serde::de::{DeserializeOwned, Deserializer};

/// A part of a program's specification whose default changes nothing.
pub trait InternedDefault: Default + PartialEq + DeserializeOwned {
    /// That of all programs that have no such key: one value for all of them.
    #[must_use]
    fn interned_default() -> Arc<Self>;

    /// Itself for several processes; nothing is kept twice where it changes nothing.
    #[must_use]
    fn into_shared(self) -> Arc<Self> {
        if self == Self::default() {
            Self::interned_default()
        } else {
            Arc::new(self)
        }
    }

    /// Reads one back.
    ///
    /// # Errors
    /// What was written is no such thing.
    fn deserialize_shared<'de, D: Deserializer<'de>>(from: D) -> Result<Arc<Self>, D::Error> {
        Self::deserialize(from).map(Self::into_shared)
    }
}
