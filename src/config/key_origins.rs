//! Where the keys of a section are written.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// The places of the options of a section, in their order. They are no part of what the section means: two sections that
/// differ only in them are equal.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct KeyOrigins {
    /// The files, each once.
    files: Arc<[Arc<str>]>,
    /// For each option the index of its file and its line.
    places: Arc<[(u16, u32)]>,
}

impl KeyOrigins {
    /// Creates the places from files and lines.
    #[must_use]
    pub fn new(places: Vec<(Arc<str>, usize)>) -> Self {
        let mut files: Vec<Arc<str>> = Vec::new();
        let mut found = Vec::with_capacity(places.len());
        for (file, line) in places {
            let index = files.iter().position(|known| *known == file);
            let index = index.unwrap_or_else(|| {
                files.push(file);
                files.len() - 1
            });
            let index = u16::try_from(index).unwrap_or(u16::MAX);
            found.push((index, u32::try_from(line).unwrap_or(u32::MAX)));
        }
        Self {
            files: Arc::from(files),
            places: Arc::from(found),
        }
    }

    /// Whether no place is known: the section was made at run time, or by an older daemon.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// The file and the line of the option at an index. `None`: not known.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<(&str, u32)> {
        let (file, line) = *self.places.get(index)?;
        Some((self.files.get(usize::from(file))?, line))
    }
}

impl PartialEq for KeyOrigins {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for KeyOrigins {}

impl Hash for KeyOrigins {
    fn hash<H: Hasher>(&self, _: &mut H) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_kept_and_count_for_nothing() {
        let origins = KeyOrigins::new(vec![("a".into(), 3), ("b".into(), 1), ("a".into(), 4)]);
        assert_eq!(origins.get(0), Some(("a", 3)));
        assert_eq!(origins.get(1), Some(("b", 1)));
        assert_eq!(origins.get(2), Some(("a", 4)));
        assert_eq!(origins.get(3), None);
        assert_eq!(origins.files.len(), 2);
        assert_eq!(origins, KeyOrigins::default());
        assert!(KeyOrigins::default().is_empty());
    }
}
