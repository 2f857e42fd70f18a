//! The descriptors that the fd holder holds.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::os::fd::OwnedFd;

use super::wire::{NAME_BYTES_MAX, RefusalReason, STORE_DESCRIPTORS_MAX};

/// Maximum number of names. Each needs at least one open file, so the limit of open files is usually reached first.
const NAMES_MAX: usize = 1 << 16;

/// Descriptors by name.
#[derive(Debug, Default)]
pub(super) struct FdTable(BTreeMap<Box<[u8]>, Box<[OwnedFd]>>);

impl FdTable {
    /// Stores the descriptors under this name and closes those it had. If refused, those it had stay.
    pub(super) fn store(
        &mut self,
        name: &[u8],
        descriptors: Vec<OwnedFd>,
    ) -> Result<(), RefusalReason> {
        check(name)?;
        if descriptors.is_empty() || descriptors.len() > STORE_DESCRIPTORS_MAX {
            return Err(RefusalReason::Descriptors);
        }
        if let Some(old) = self.0.get_mut(name) {
            *old = descriptors.into();
            return Ok(());
        }
        if self.0.len() >= NAMES_MAX {
            return Err(RefusalReason::Names);
        }
        self.0.insert(name.into(), descriptors.into());
        Ok(())
    }

    /// Closes the descriptors of this name.
    pub(super) fn remove(&mut self, name: &[u8]) -> Result<(), RefusalReason> {
        check(name)?;
        self.0.remove(name);
        Ok(())
    }

    /// The number of names.
    pub(super) fn count(&self) -> usize {
        self.0.len()
    }

    /// The first name after this one, with its descriptors. `None` for `name`: the first of all.
    pub(super) fn after(&self, name: Option<&[u8]>) -> Option<(&[u8], &[OwnedFd])> {
        let from = name.map_or(Bound::Unbounded, Bound::Excluded);
        let (name, descriptors) = self.0.range::<[u8], _>((from, Bound::Unbounded)).next()?;
        Some((name, descriptors))
    }
}

fn check(name: &[u8]) -> Result<(), RefusalReason> {
    let fits = (1..=NAME_BYTES_MAX).contains(&name.len()) && std::str::from_utf8(name).is_ok();
    if fits {
        Ok(())
    } else {
        Err(RefusalReason::Name)
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::{self, Read as _};

    use super::*;

    fn null() -> OwnedFd {
        File::open("/dev/null").expect("there").into()
    }

    #[test]
    fn names_are_stored_replaced_removed_and_iterated() {
        let mut kept = FdTable::default();
        let (mut reader, writer) = io::pipe().expect("pipe");
        kept.store(b"b", vec![writer.into()]).expect("kept");
        kept.store(b"a", vec![null(), null()]).expect("kept");
        kept.store(b"ab", vec![null()]).expect("kept");
        let mut walked = Vec::new();
        let mut last: Option<Vec<u8>> = None;
        while let Some((name, descriptors)) = kept.after(last.as_deref()) {
            walked.push((name.to_vec(), descriptors.len()));
            last = Some(name.to_vec());
        }
        let expected = [("a", 2), ("ab", 1), ("b", 1)];
        let expected = expected.map(|(name, count)| (name.as_bytes().to_vec(), count));
        assert_eq!(walked, expected);
        kept.store(b"b", vec![null()]).expect("replaced");
        assert_eq!(reader.read(&mut [0]).expect("closed"), 0);
        assert_eq!(kept.count(), 3);
        kept.remove(b"b").expect("removed");
        kept.remove(b"b").expect("nothing to do");
        assert_eq!(kept.count(), 2);
    }

    #[test]
    fn a_refused_request_changes_nothing() {
        let mut kept = FdTable::default();
        kept.store(b"a", vec![null()]).expect("kept");
        for name in [&b""[..], &[b'x'; 33], b"\xff"] {
            assert_eq!(kept.store(name, vec![null()]), Err(RefusalReason::Name));
            assert_eq!(kept.remove(name), Err(RefusalReason::Name));
        }
        assert_eq!(
            kept.store(b"a", Vec::new()),
            Err(RefusalReason::Descriptors)
        );
        let many = (0..=STORE_DESCRIPTORS_MAX).map(|_| null()).collect();
        assert_eq!(kept.store(b"a", many), Err(RefusalReason::Descriptors));
        let (_, descriptors) = kept.after(None).expect("still there");
        assert_eq!((kept.count(), descriptors.len()), (1, 1));
    }
}
