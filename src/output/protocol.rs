//! What an event listener says on its standard output, however it is cut into chunks. Pure.
//!
//! It says `READY\n`, gets an event, says `RESULT n\n` and n bytes, and again `READY\n`. Anything else breaks the protocol,
//! and nothing that follows is looked at.
//!
//! # Source
//! Supervisor manual, "Event Listeners", "Event Listener States".

use serde::{Deserialize, Serialize};

use crate::domain::{ListenerOutput, ListenerState, Verdict, decoded};

/// What a listener says when it waits for an event.
const READY: &[u8] = b"READY\n";
/// Bytes before the number of a result line. Which bytes does not matter.
const RESULT_WORD_BYTES: usize = b"RESULT ".len();
/// The longest line in which a number is looked for.
// Differs: Supervisor looks for the end of the line in any amount of bytes, which it keeps.
const RESULT_LINE_BYTES_MAX: usize = 4096;
/// So many bytes of a result tell what it says; the others are counted only.
const RESULT_BYTES_KEPT: usize = 5;

/// The state between chunks of one listener.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct ListenerProtocol {
    state: ProtocolState,
    /// Bytes that cannot be told yet.
    held: Vec<u8>,
}

#[derive(Debug, Serialize, Deserialize)]
enum ProtocolState {
    Acknowledged,
    Ready,
    /// The result's line is to come.
    Busy,
    /// So many bytes of the result are to come; its first ones are kept.
    Gathering {
        left: u64,
        kept: Vec<u8>,
    },
    Unknown,
}

impl ListenerProtocol {
    /// Of a listener that was just started.
    pub(super) const fn new() -> Self {
        Self {
            state: ProtocolState::Acknowledged,
            held: Vec::new(),
        }
    }

    /// Of a listener that stands there, at the beginning of a line.
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

    /// An event may be written to the listener; to be told with [`Protocol::event_written`].
    pub(super) const fn is_ready(&self) -> bool {
        matches!(self.state, ProtocolState::Ready)
    }

    /// The listener has an event now.
    pub(super) fn event_written(&mut self) {
        self.state = ProtocolState::Busy;
    }

    /// Looks at the next bytes.
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

    /// Takes what can be told off the front of `data`; none: more bytes are needed.
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
                        // Differs: in Supervisor an empty result is complete only when something follows it.
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

/// The length that a result line tells, as Python's `int` reads it: blanks around it, a plus sign, underscores between
/// digits. None: it tells none.
// Differs: a negative length is none; Supervisor then waits for more bytes than there will ever be.
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

    /// Gives `words` one by one; `!` means that an event was written. Answers what was said, in short.
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
    fn evt_11_ready() {
        assert_eq!(listen(&[b"READY\n"]), "ready");
        assert_eq!(listen(&[b"REA", b"DY", b"\n"]), "ready");
        assert_eq!(listen(&[b"READX"]), "");
        assert_eq!(listen(&[b"READX", b"\n"]), "nonsense");
    }

    #[test]
    fn evt_12_spurious_output() {
        assert_eq!(listen(&[b"hello world\n", b"READY\n"]), "nonsense");
        assert_eq!(listen(&[b"READY\n ", b"READY\n"]), "ready nonsense");
        assert_eq!(listen(&[b"READY\nREADY\n"]), "ready nonsense");
    }

    #[test]
    fn evt_13_results() {
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
    fn a_result_of_any_length_is_counted_not_kept() {
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
        /// Cutting it otherwise changes nothing of what is heard.
        #[test]
        fn chunks_do_not_matter(cuts in prop::collection::vec(0_usize..60, 0..8), junk in "[A-Z0-9 \n]{0,12}") {
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
            // What follows an event that was never written is one piece of nonsense, wherever it is cut.
            prop_assert_eq!(heard, whole);
        }

        #[test]
        fn any_bytes_are_survived(chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..20)) {
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
