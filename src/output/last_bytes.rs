//! The last bytes of a stream, for people who ask why an instance has ended.

/// Maximum number of bytes kept.
pub(super) const LAST_BYTES_MAX: usize = 4 << 10;

/// The last [`LAST_BYTES_MAX`] bytes of a stream, in a ring. A silent stream needs no memory.
#[derive(Debug, Default)]
pub(super) struct LastBytes {
    ring: Vec<u8>,
    /// Where the oldest byte is, once the ring is full.
    oldest: usize,
}

impl LastBytes {
    /// The bytes that an earlier daemon kept.
    pub(super) fn resumed(bytes: &[u8]) -> Self {
        let mut last = Self::default();
        last.push(bytes);
        last
    }

    /// Adds a chunk. Copies at most [`LAST_BYTES_MAX`] bytes of it.
    pub(super) fn push(&mut self, chunk: &[u8]) {
        let chunk = &chunk[chunk.len().saturating_sub(LAST_BYTES_MAX)..];
        let room = LAST_BYTES_MAX - self.ring.len();
        let (fits, mut rest) = chunk.split_at(room.min(chunk.len()));
        self.ring.extend_from_slice(fits);
        while !rest.is_empty() {
            let count = rest.len().min(LAST_BYTES_MAX - self.oldest);
            self.ring[self.oldest..self.oldest + count].copy_from_slice(&rest[..count]);
            self.oldest = (self.oldest + count) % LAST_BYTES_MAX;
            rest = &rest[count..];
        }
    }

    /// The bytes in order.
    pub(super) fn bytes(&self) -> Vec<u8> {
        let (newer, older) = self.ring.split_at(self.oldest);
        [older, newer].concat()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_bytes_are_kept_whatever_the_chunks() {
        let text: Vec<u8> = (0..20_000_u32).map(|at| (at % 251) as u8).collect();
        for size in [1, 7, 1000, 4095, 4096, 4097, 9000, 20_000] {
            let mut last = LastBytes::default();
            let mut seen = 0;
            for chunk in text.chunks(size) {
                last.push(chunk);
                seen += chunk.len();
                let from = seen.saturating_sub(LAST_BYTES_MAX);
                assert_eq!(last.bytes(), &text[from..seen], "{size}, {seen}");
            }
            assert_eq!(LastBytes::resumed(&last.bytes()).bytes(), last.bytes());
            assert!(last.ring.capacity() < 2 * LAST_BYTES_MAX);
        }
        let mut silent = LastBytes::default();
        silent.push(b"");
        assert_eq!((silent.bytes().len(), silent.ring.capacity()), (0, 0));
    }
}
