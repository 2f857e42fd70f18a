//! One copy of each text: the nodes of a fleet run the same programs, so their names and paths repeat.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

/// Number of texts below which unused ones are not looked for.
const TEXTS_MIN: usize = 1024;

/// The texts of a fleet.
#[derive(Debug)]
pub(in crate::hub) struct Interner(Mutex<InternedTexts>);

#[derive(Debug)]
struct InternedTexts {
    texts: HashSet<Arc<str>>,
    /// The number of texts at which those that nobody uses are removed.
    clean_at: usize,
}

impl Interner {
    pub(in crate::hub) fn new() -> Self {
        Self(Mutex::new(InternedTexts {
            texts: HashSet::new(),
            clean_at: TEXTS_MIN,
        }))
    }

    /// Returns the copy of a text.
    pub(in crate::hub) fn intern(&self, text: &str) -> Arc<str> {
        let mut interned = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = interned.texts.get(text) {
            return known.clone();
        }
        if interned.texts.len() >= interned.clean_at {
            interned.texts.retain(|text| Arc::strong_count(text) > 1);
            interned.clean_at = TEXTS_MIN.max(interned.texts.len() * 2);
        }
        let text: Arc<str> = text.into();
        interned.texts.insert(text.clone());
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_has_one_copy_and_unused_ones_are_removed() {
        let interner = Interner::new();
        let web = interner.intern("web");
        assert!(Arc::ptr_eq(&web, &interner.intern("web")));
        for number in 0..10 * TEXTS_MIN {
            interner.intern(&number.to_string());
        }
        let count = interner.0.lock().expect("lock").texts.len();
        assert!(count <= TEXTS_MIN, "{count}");
        assert!(Arc::ptr_eq(&web, &interner.intern("web")));
    }
}
