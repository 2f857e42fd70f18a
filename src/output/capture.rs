//! Finds the text between capture tokens, independent of chunk boundaries. Pure.
//!
//! The scanner separates plain text from captured text and finds the end of each capture. It does not store captured
//! text.

/// The token that starts a capture.
const BEGIN: &[u8] = b"<!--XSUPERVISOR:BEGIN-->";
/// The token that ends a capture.
const END: &[u8] = b"<!--XSUPERVISOR:END-->";

/// What the scanner found, in order.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum CapturePiece<'a> {
    /// Text outside tokens. May be empty.
    Outside(&'a [u8]),
    /// Text after a begin token. May be empty.
    Inside(&'a [u8]),
    /// An end token.
    Ended,
}

/// The state of one stream between chunks.
#[derive(Debug, Default)]
pub(super) struct CaptureScanner {
    /// Bytes that are not classified yet, at most the length of a token.
    held: Vec<u8>,
    inside: bool,
}

impl CaptureScanner {
    /// A scanner with the state of a previous daemon: the held bytes, and whether they are inside a capture.
    pub(super) const fn resumed(held: Vec<u8>, inside: bool) -> Self {
        Self { held, inside }
    }

    /// The held bytes, and whether they are inside a capture.
    pub(super) fn into_parts(self) -> (Vec<u8>, bool) {
        (self.held, self.inside)
    }

    /// Scans the next bytes.
    ///
    /// Data that is not longer than the expected token is held back, and so is a possible beginning of a token at the
    /// end. These are Supervisor's rules; they are visible in the timing of logs.
    pub(super) fn scan(&mut self, chunk: &[u8], found: &mut dyn FnMut(CapturePiece<'_>)) {
        if self.held.is_empty() {
            let kept = self.step(chunk, false, found);
            self.held.extend_from_slice(kept);
        } else {
            let mut all = std::mem::take(&mut self.held);
            all.extend_from_slice(chunk);
            let kept = self.step(&all, false, found).len();
            all.drain(..all.len() - kept);
            self.held = all;
        }
    }

    /// Ends the stream: passes the held bytes on. A capture without an end token is dropped.
    // Differs: Supervisor loses the held bytes, up to the last 24 bytes of a program's output.
    pub(super) fn finish(&mut self, found: &mut dyn FnMut(CapturePiece<'_>)) {
        let held = std::mem::take(&mut self.held);
        let kept = self.step(&held, true, found);
        if !self.inside && !kept.is_empty() {
            found(CapturePiece::Outside(kept));
        }
        self.inside = false;
    }

    /// Classifies as much of `data` as possible and returns the rest. `last`: no more bytes follow, so short data is
    /// searched too.
    fn step<'a>(
        &mut self,
        mut data: &'a [u8],
        last: bool,
        found: &mut dyn FnMut(CapturePiece<'_>),
    ) -> &'a [u8] {
        loop {
            let token = if self.inside { END } else { BEGIN };
            if data.len() <= token.len() && !last {
                return data;
            }
            match find(data, token) {
                Some(at) => {
                    self.tell(&data[..at], found);
                    if self.inside {
                        found(CapturePiece::Ended);
                    }
                    self.inside = !self.inside;
                    data = &data[at + token.len()..];
                    if data.is_empty() {
                        return data;
                    }
                }
                None if last => return data,
                None => {
                    let kept = prefix_at_end(data, token);
                    let (told, kept) = data.split_at(data.len() - kept);
                    self.tell(told, found);
                    return kept;
                }
            }
        }
    }

    fn tell(&self, text: &[u8], found: &mut dyn FnMut(CapturePiece<'_>)) {
        if !text.is_empty() {
            found(if self.inside {
                CapturePiece::Inside(text)
            } else {
                CapturePiece::Outside(text)
            });
        }
    }
}

fn find(data: &[u8], token: &[u8]) -> Option<usize> {
    let mut from = 0;
    while let Some(at) = data[from..].iter().position(|&byte| byte == token[0]) {
        if data[from + at..].starts_with(token) {
            return Some(from + at);
        }
        from += at + 1;
    }
    None
}

/// The length of the longest proper prefix of `token` with which the data ends.
fn prefix_at_end(data: &[u8], token: &[u8]) -> usize {
    (1..token.len())
        .rev()
        .find(|&length| data.ends_with(&token[..length]))
        .unwrap_or(0)
}

/// Captured text, bounded about as in Supervisor.
#[derive(Debug)]
pub(super) struct CaptureStore {
    bytes: Vec<u8>,
    limit: usize,
}

impl CaptureStore {
    /// A store of about `limit` bytes.
    pub(super) fn new(limit: u64) -> Self {
        Self {
            bytes: Vec::new(),
            limit: usize::try_from(limit).unwrap_or(usize::MAX),
        }
    }

    /// Adds `text`. If it does not fit, first drops as many bytes as `text` has from the front. So the store may exceed
    /// its limit by one chunk.
    pub(super) fn push(&mut self, text: &[u8]) {
        if self.bytes.len().saturating_add(text.len()) > self.limit {
            self.bytes.drain(..text.len().min(self.bytes.len()));
        }
        self.bytes.extend_from_slice(text);
    }

    /// Returns the captured text and empties the store.
    pub(super) fn take_text(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The results of the chunks: (log, finished captures, content of an unfinished capture).
    fn run(chunks: &[&[u8]], finish: bool) -> (Vec<u8>, Vec<Vec<u8>>) {
        let mut scanner = CaptureScanner::default();
        let (mut log, mut open, mut captures) = (Vec::new(), Vec::new(), Vec::new());
        let mut found = |piece: CapturePiece<'_>| match piece {
            CapturePiece::Outside(text) => log.extend_from_slice(text),
            CapturePiece::Inside(text) => open.extend_from_slice(text),
            CapturePiece::Ended => captures.push(std::mem::take(&mut open)),
        };
        for chunk in chunks {
            scanner.scan(chunk, &mut found);
        }
        if finish {
            scanner.finish(&mut found);
        }
        (log, captures)
    }

    #[test]
    fn out_13_tokens_are_found_and_dropped() {
        let both = [
            b"log one\n",
            BEGIN,
            b"data",
            END,
            b"log two, longer than a token\n",
        ]
        .concat();
        assert_eq!(
            run(&[&both], false),
            (
                b"log one\nlog two, longer than a token\n".to_vec(),
                vec![b"data".to_vec()]
            )
        );
        let twice = [BEGIN, b"1", END, BEGIN, b"2", END].concat();
        assert_eq!(
            run(&[&twice], false),
            (Vec::new(), vec![b"1".to_vec(), b"2".to_vec()])
        );
    }

    #[test]
    fn short_text_is_held_back_and_written_at_exit() {
        assert_eq!(run(&[b"short"], false).0, b"");
        assert_eq!(run(&[b"short"], true).0, b"short");
        assert_eq!(run(&[&[b'x'; 24]], false).0, b"");
        assert_eq!(run(&[&[b'x'; 25]], false).0, [b'x'; 25]);
        let partial = [&[b'x'; 30][..], &BEGIN[..10]].concat();
        assert_eq!(run(&[&partial], false).0, [b'x'; 30]);
        assert_eq!(run(&[&partial], true).0, partial);
    }

    #[test]
    fn a_token_held_back_alone_counts_at_exit() {
        let started = [BEGIN, b"long enough to be told at once"].concat();
        assert_eq!(
            run(&[&started, END], true).1,
            [b"long enough to be told at once".to_vec()]
        );
    }

    #[test]
    fn a_capture_without_end_token_is_discarded() {
        let open = [
            b"before, which is long enough",
            BEGIN,
            b"never ended, and long",
        ]
        .concat();
        assert_eq!(
            run(&[&open], true),
            (b"before, which is long enough".to_vec(), Vec::new())
        );
    }

    #[test]
    fn out_14_the_limit_is_soft() {
        let mut store = CaptureStore::new(20);
        store.push(&[b'a'; 15]);
        store.push(&[b'b'; 10]);
        assert_eq!(store.take_text(), [&[b'a'; 5][..], &[b'b'; 10]].concat());
        store.push(&[b'c'; 30]);
        assert_eq!(store.take_text().len(), 30, "a long chunk is kept whole");
    }

    proptest! {
        #[test]
        fn chunk_boundaries_do_not_matter(
            parts in proptest::collection::vec(0usize..5, 0..12),
            cuts in proptest::collection::vec(1usize..40, 0..40),
        ) {
            let words: [&[u8]; 5] = [BEGIN, END, b"some words", b"<!--XSUPER", b"\n"];
            let text: Vec<u8> = parts.iter().flat_map(|&part| words[part].to_vec()).collect();
            let mut chunks = Vec::new();
            let mut rest = &text[..];
            for cut in cuts {
                let (head, tail) = rest.split_at(cut.min(rest.len()));
                chunks.push(head);
                rest = tail;
            }
            chunks.push(rest);
            prop_assert_eq!(run(&chunks, true), run(&[&text], true));
        }
    }
}
