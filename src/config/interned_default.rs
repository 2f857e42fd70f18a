//! Settings that most programs leave at their default share one default value.

use std::sync::Arc;

use serde::de::{DeserializeOwned, Deserializer};

/// A part of a program's specification whose default changes nothing.
pub trait InternedDefault: Default + PartialEq + DeserializeOwned {
    /// The shared default value.
    #[must_use]
    fn interned_default() -> Arc<Self>;

    /// Wraps the value in an `Arc`; a default becomes the shared one.
    #[must_use]
    fn into_shared(self) -> Arc<Self> {
        if self == Self::default() {
            Self::interned_default()
        } else {
            Arc::new(self)
        }
    }

    /// Deserializes a value; a default becomes the shared one.
    ///
    /// # Errors
    /// The input is not such a value.
    fn deserialize_shared<'de, D: Deserializer<'de>>(from: D) -> Result<Arc<Self>, D::Error> {
        Self::deserialize(from).map(Self::into_shared)
    }
}
