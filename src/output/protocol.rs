//! Parses what an event listener writes to its standard output, independent of chunk boundaries. Pure.
//!
//! The listener writes `READY\n`, gets an event, writes `RESULT n\n` and n bytes, and again `READY\n`. Anything else
//! breaks the protocol, and all later output is ignored.
//!
//! # Source
//! Supervisor manual, "Event Listeners", "Event Listener States".

use serde::{Deserialize, Serialize};

use crate::domain::{ListenerOutput, ListenerState, Verdict, decoded};

/// The line with which a listener asks for an event.
const READY: &[u8] = b"READY\n";
/// Number of bytes before the number in a result line. Their content does not matter.
const RESULT_WORD_BYTES: usize = b"RESULT ".len();
/// Maximum length of a result line.
// Differs: Supervisor keeps any amount of bytes while it waits for the newline.
const RESULT_LINE_BYTES_MAX: usize = 4096;
/// The first bytes of a result, which decide its verdict. Further bytes are only counted.
const RESULT_BYTES_KEPT: usize = 5;

/// The state of one listener between chunks.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct ListenerProtocol {
    state: ProtocolState,
    /// Bytes that are not parsed yet.
    held: Vec<u8>,
}

#[derive(Debug, Serialize, Deserialize)]
enum ProtocolState {
    Acknowledged,
    Ready,
    /// The result line is expected.
    Busy,
    /// `left` more bytes of the result are expected; `kept` has its first bytes.
    Gathering {
        left: u64,
        kept: Vec<u8>,
    },
    Unknown,
}

impl ListenerProtocol {
    /// The parser for a listener that was just started.
    pub(super) const fn new() -> Self {
        Self {
            state: ProtocolState::Acknowledged,
            held: Vec::new(),
        }
    }

    /// The parser for a listener in a known state, at the beginning of a line.
    pub(super) const fn standing(at: ListenerState) -> Self {
        let state = match at {
            ListenerState::Acknowledged => ProtocolState::Acknowledged,
            ListenerState::Ready => ProtocolState::Ready,
            ListenerState::Busy => ProtocolState::Busy,
            ListenerState::Unknown => ProtocolState::Unknown,
        };
        Self {
            state,
            held: Vec::new(),
        }
    }

    /// Whether an event may be written. The caller then calls [`ListenerProtocol::event_written`].
    pub(super) const fn is_ready(&self) -> bool {
        matches!(self.state, ProtocolState::Ready)
    }

    /// Records that the listener has an event now.
    pub(super) fn event_written(&mut self) {
        self.state = ProtocolState::Busy;
    }

    /// Parses the next bytes.
    pub(super) fn scan(&mut self, chunk: &[u8], said: &mut dyn FnMut(ListenerOutput)) {
        if matches!(self.state, ProtocolState::Unknown) {
            return;
        }
        let mut all = std::mem::take(&mut self.held);
        let mut data = if all.is_empty() {
            chunk
        } else {
            all.extend_from_slice(chunk);
            &all
        };
        while !data.is_empty() {
            let Some(rest) = self.step(data, said) else {
                self.held = data.to_vec();
                return;
            };
            data = rest;
        }
    }

    /// Parses one item at the front of `data` and returns the rest. `None`: more bytes are needed.
    fn step<'a>(
        &mut self,
        data: &'a [u8],
        said: &mut dyn FnMut(ListenerOutput),
    ) -> Option<&'a [u8]> {
        match &mut self.state {
            ProtocolState::Unknown => Some(&[]),
            ProtocolState::Ready => Some(self.fail(ListenerOutput::Nonsense, said)),
            ProtocolState::Acknowledged if data.len() < READY.len() => None,
            ProtocolState::Acknowledged => match data.strip_prefix(READY) {
                Some(rest) => {
                    self.state = ProtocolState::Ready;
                    said(ListenerOutput::Ready);
                    Some(rest)
                }
                None => Some(self.fail(ListenerOutput::Nonsense, said)),
            },
            ProtocolState::Busy => {
                let Some(end) = data.iter().position(|&byte| byte == b'\n') else {
                    if data.len() <= RESULT_LINE_BYTES_MAX {
                        return None;
                    }
                    let line = decoded(&data[..RESULT_LINE_BYTES_MAX]).into_owned();
                    return Some(self.fail(ListenerOutput::BadResult(line), said));
                };
                let (line, rest) = (&data[..end], &data[end + 1..]);
                match length(line) {
                    Some(left) => {
                        self.state = ProtocolState::Gathering {
                            left,
                            kept: Vec::new(),
                        };
                        // Differs: Supervisor completes an empty result only when more output follows.
                        self.gather(rest, said)
                    }
                    None => {
                        Some(self.fail(ListenerOutput::BadResult(decoded(line).into_owned()), said))
                    }
                }
            }
            ProtocolState::Gathering { .. } => self.gather(data, said),
        }
    }

    /// Takes bytes of a result.
    fn gather<'a>(
        &mut self,
        data: &'a [u8],
        said: &mut dyn FnMut(ListenerOutput),
    ) -> Option<&'a [u8]> {
        let ProtocolState::Gathering { left, kept } = &mut self.state else {
            return Some(data);
        };
        let taken = usize::try_from(*left).map_or(data.len(), |left| left.min(data.len()));
        let room = RESULT_BYTES_KEPT - kept.len();
        kept.extend_from_slice(&data[..taken.min(room)]);
        *left -= taken as u64;
        if *left == 0 {
            let verdict = match kept.as_slice() {
                b"OK" => Verdict::Ok,
                b"FAIL" => Verdict::Fail,
                _ => Verdict::Other,
            };
            self.state = ProtocolState::Acknowledged;
            said(ListenerOutput::Result(verdict));
        }
        Some(&data[taken..])
    }

    fn fail(&mut self, why: ListenerOutput, said: &mut dyn FnMut(ListenerOutput)) -> &'static [u8] {
        self.state = ProtocolState::Unknown;
        said(why);
        &[]
    }
}

/// Parses the length in a result line like Python's `int`: surrounding whitespace, a plus sign, underscores between
/// digits. `None`: not a length.
// Differs: a negative length is an error. Supervisor waits forever for more bytes.
fn length(line: &[u8]) -> Option<u64> {
    let text = line.get(RESULT_WORD_BYTES..)?;
    let text = std::str::from_utf8(text).ok()?.trim();
    let digits = text.strip_prefix('+').unwrap_or(text);
    let apart = digits.split('_').collect::<Vec<_>>();
    if apart.iter().any(|part| part.is_empty()) {
        return None;
    }
    apart.concat().bytes().try_fold(0_u64, |sum, byte| {
        let digit = u64::from(byte.checked_sub(b'0').filter(|digit| *digit < 10)?);
        Some(sum.saturating_mul(10).saturating_add(digit))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Feeds `words` one by one; `!` means that an event was written. Returns the results in a short form.
    fn listen(words: &[&[u8]]) -> String {
        let mut protocol = ListenerProtocol::new();
        let mut heard = Vec::new();
        for word in words {
            if *word == b"!" {
                assert!(protocol.is_ready());
                protocol.event_written();
                continue;
            }
            protocol.scan(word, &mut |said| {
                heard.push(match said {
                    ListenerOutput::Ready => "ready".to_owned(),
                    ListenerOutput::Result(verdict) => format!("{verdict:?}"),
                    ListenerOutput::BadResult(line) => format!("bad {line:?}"),
                    ListenerOutput::Nonsense => "nonsense".to_owned(),
                });
            });
        }
        heard.join(" ")
    }

    #[test]
    fn evt_11_a_ready_line_is_recognized() {
        assert_eq!(listen(&[b"READY\n"]), "ready");
        assert_eq!(listen(&[b"REA", b"DY", b"\n"]), "ready");
        assert_eq!(listen(&[b"READX"]), "");
        assert_eq!(listen(&[b"READX", b"\n"]), "nonsense");
    }

    #[test]
    fn evt_12_other_output_is_invalid() {
        assert_eq!(listen(&[b"hello world\n", b"READY\n"]), "nonsense");
        assert_eq!(listen(&[b"READY\n ", b"READY\n"]), "ready nonsense");
        assert_eq!(listen(&[b"READY\nREADY\n"]), "ready nonsense");
    }

    #[test]
    fn evt_13_results_are_parsed() {
        let of = |words: &[&[u8]]| listen(&[&[&b"READY\n"[..], b"!"], words].concat());
        for (words, expected) in [
            (&[&b"RESULT 2\nOK"[..]][..], "ready Ok"),
            (&[b"RESULT 4\nFAIL"], "ready Fail"),
            (&[b"RESULT 2\nOKREADY\n"], "ready Ok ready"),
            (
                &[b"RES", b"ULT 2", b"\n", b"O", b"K", b"READY\n"],
                "ready Ok ready",
            ),
            (&[b"RESULT 0\n"], "ready Other"),
            (&[b"RESULT 0\nREADY\n"], "ready Other ready"),
            (&[b"RESULT 3\nOK\n"], "ready Other"),
            (
                &[b"RESULT 12\nhello", b" world!READY\n"],
                "ready Other ready",
            ),
            (&[b"1234567 +0_2 \nOK"], "ready Ok"),
            (&[b"RESULT x\nOK"], "ready bad \"RESULT x\""),
            (&[b"RESULT -1\n"], "ready bad \"RESULT -1\""),
            (&[b"RESULT 1__0\n"], "ready bad \"RESULT 1__0\""),
            (&[b"OK\n"], "ready bad \"OK\""),
            (&[b"\n"], "ready bad \"\""),
            (
                &[b"RESULT \xff\n"],
                "ready bad \"Undecodable: b'RESULT \\\\xff'\"",
            ),
        ] {
            assert_eq!(of(words), expected, "{words:?}");
        }
        let long = of(&[&[b'x'; 3000], &[b'x'; 3000], b"\nREADY\n"]);
        assert!(long.starts_with("ready bad \"xxx") && !long.contains("ready ready"));
    }

    #[test]
    fn a_result_of_any_length_is_counted_but_not_stored() {
        let mut protocol = ListenerProtocol::new();
        protocol.scan(b"READY\n", &mut |_| {});
        protocol.event_written();
        protocol.scan(b"RESULT 99999999999999999999999\n", &mut |_| {});
        for _ in 0..1000 {
            protocol.scan(&[b'x'; 65536], &mut |_| panic!("not yet"));
        }
        assert!(protocol.held.is_empty());
    }

    proptest! {
        /// Other chunk boundaries give the same results.
        #[test]
        fn chunk_boundaries_do_not_matter(cuts in prop::collection::vec(0_usize..60, 0..8), junk in "[A-Z0-9 \n]{0,12}") {
            let text = format!("READY\nRESULT 2\nOKREADY\n{junk}");
            let whole = {
                let mut heard = Vec::new();
                let mut protocol = ListenerProtocol::new();
                let (first, rest) = text.as_bytes().split_at(6);
                protocol.scan(first, &mut |said| heard.push(said));
                protocol.event_written();
                protocol.scan(rest, &mut |said| heard.push(said));
                heard
            };
            let mut heard = Vec::new();
            let mut protocol = ListenerProtocol::new();
            let (first, rest) = text.as_bytes().split_at(6);
            protocol.scan(first, &mut |said| heard.push(said));
            protocol.event_written();
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(rest.len())).collect();
            cuts.sort_unstable();
            let mut from = 0;
            for cut in cuts {
                protocol.scan(&rest[from..cut], &mut |said| heard.push(said));
                from = cut;
            }
            protocol.scan(&rest[from..], &mut |said| heard.push(said));
            // Output after an event that was never written is one invalid message, wherever it is cut.
            prop_assert_eq!(heard, whole);
        }

        #[test]
        fn any_bytes_are_handled_without_panic(chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..20)) {
            let mut protocol = ListenerProtocol::new();
            for chunk in chunks {
                protocol.scan(&chunk, &mut |_| {});
                if protocol.is_ready() {
                    protocol.event_written();
                }
                prop_assert!(protocol.held.len() <= RESULT_LINE_BYTES_MAX);
            }
        }
    }
}
