//! The event stream of a supervisord of ours: blocks of server-sent events, and what they mean for the hub.
//!
//! # Source
//! HTML Living Standard, "Server-sent events"; `src/server/rest/events.rs`.

use serde::Deserialize;

use crate::domain::ProcessState;

/// The path of the stream.
pub(super) const STREAM_PATH: &str = "/api/v1/events";
/// The query of the stream: what changes the memory of the hub. Without output of programs and ticks.
pub(super) const STREAM_QUERY: &str =
    "types=PROCESS_STATE&types=PROCESS_HEALTH&types=PROCESS_GROUP&types=SUPERVISOR_STATE_CHANGE";
/// Maximum size of a block in bytes.
const BLOCK_BYTES_MAX: usize = 64 << 10;
/// Maximum length of an id in bytes.
const ID_BYTES_MAX: usize = 64;

/// One block of the stream: the lines before an empty line.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct StreamBlock {
    /// With what the stream goes on after this block. `None`: the block has none.
    pub(super) id: Option<String>,
    /// The type of the event. Empty: none.
    event: String,
    data: String,
}

/// Cuts a stream into blocks.
#[derive(Debug, Default)]
pub(super) struct StreamReader {
    line: Vec<u8>,
    block: StreamBlock,
    block_bytes: usize,
}

/// A block or a line that is too long, or an id that is none.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("its event stream is none: {0}")]
pub(super) struct StreamError(&'static str);

impl StreamReader {
    /// Reads what has arrived, and appends the blocks that are whole.
    ///
    /// # Errors
    /// A block is too long, or its id cannot be sent back.
    pub(super) fn read(
        &mut self,
        bytes: &[u8],
        blocks: &mut Vec<StreamBlock>,
    ) -> Result<(), StreamError> {
        for part in bytes.split_inclusive(|&byte| byte == b'\n') {
            self.block_bytes += part.len();
            if self.block_bytes > BLOCK_BYTES_MAX {
                return Err(StreamError("an event is too long"));
            }
            self.line.extend_from_slice(part);
            if self.line.pop_if(|byte| *byte == b'\n').is_some() {
                let line = std::mem::take(&mut self.line);
                self.end_line(&line, blocks)?;
            }
        }
        Ok(())
    }

    fn end_line(&mut self, line: &[u8], blocks: &mut Vec<StreamBlock>) -> Result<(), StreamError> {
        let line = String::from_utf8_lossy(line.strip_suffix(b"\r").unwrap_or(line));
        if line.is_empty() {
            self.block_bytes = 0;
            blocks.push(std::mem::take(&mut self.block));
            return Ok(());
        }
        let (field, value) = line.split_once(':').unwrap_or((&line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "id" => {
                let is_plain = value
                    .bytes()
                    .all(|byte| byte.is_ascii_digit() || byte == b'-');
                if value.len() > ID_BYTES_MAX || !is_plain {
                    return Err(StreamError("the id of an event is no pair of numbers"));
                }
                self.block.id = Some(value.to_owned());
            }
            "event" => value.clone_into(&mut self.block.event),
            "data" => self.block.data.push_str(value),
            // A comment, or `retry`.
            _ => {}
        }
        Ok(())
    }
}

/// What a block means for the hub.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum StreamEvent {
    /// A process changed state.
    State(StateEvent),
    /// The health of a process changed.
    Health {
        group: String,
        process: String,
        is_healthy: bool,
    },
    /// Changes were missed, or the set of processes changed: only the whole list tells.
    Unknown,
    /// Nothing.
    Silent,
}

/// A process changed state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct StateEvent {
    pub(super) group: String,
    pub(super) process: String,
    pub(super) to: ProcessState,
    /// 0: none.
    pub(super) pid: i32,
    /// Seconds since the epoch by the node's clock.
    pub(super) when: i64,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct EventData {
    time_ms: i64,
    group: String,
    process: String,
    to: String,
    pid: i32,
    is_healthy: bool,
}

impl StreamBlock {
    /// What the block means. An event that cannot be read is [`StreamEvent::Unknown`].
    pub(super) fn meaning(&self) -> StreamEvent {
        if self.event.is_empty() || self.event.starts_with("SUPERVISOR_STATE_CHANGE") {
            return StreamEvent::Silent;
        }
        let Ok(data) = serde_json::from_str::<EventData>(&self.data) else {
            return StreamEvent::Unknown;
        };
        if self.event.starts_with("PROCESS_HEALTH_") {
            return StreamEvent::Health {
                group: data.group,
                process: data.process,
                is_healthy: data.is_healthy,
            };
        }
        let state = ProcessState::ALL
            .into_iter()
            .find(|state| state.name() == data.to);
        match state {
            Some(to) if self.event.starts_with("PROCESS_STATE_") => {
                StreamEvent::State(StateEvent {
                    group: data.group,
                    process: data.process,
                    to,
                    pid: data.pid,
                    when: data.time_ms.div_euclid(1000),
                })
            }
            Some(_) | None => StreamEvent::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: &str = "retry: 2000\nid: 5-0\n\n: heartbeat\nid: 5-1\n\nid: 5-2\nevent: PROCESS_STATE_RUNNING\n\
        data: {\"event\":\"PROCESS_STATE_RUNNING\",\"from\":\"STARTING\",\"group\":\"web\",\"pid\":12,\"process\":\"a:b\",\
        \"time_ms\":1796118146751,\"to\":\"RUNNING\",\"tries\":0}\n\nid: 5-3\r\nevent: missed\r\ndata: {\"count\":null}\r\n\r\n";

    #[test]
    fn a_stream_has_the_same_blocks_however_it_is_cut() {
        let mut whole = Vec::new();
        StreamReader::default()
            .read(STREAM.as_bytes(), &mut whole)
            .expect("valid");
        for size in 1..40 {
            let (mut reader, mut blocks) = (StreamReader::default(), Vec::new());
            for part in STREAM.as_bytes().chunks(size) {
                reader.read(part, &mut blocks).expect("valid");
            }
            assert_eq!(blocks, whole, "{size}");
        }
        let ids: Vec<_> = whole
            .iter()
            .map(|block| block.id.as_deref().unwrap_or(""))
            .collect();
        assert_eq!(ids, ["5-0", "5-1", "5-2", "5-3"]);
        let meanings: Vec<_> = whole.iter().map(StreamBlock::meaning).collect();
        let running = StreamEvent::State(StateEvent {
            group: "web".to_owned(),
            process: "a:b".to_owned(),
            to: ProcessState::Running,
            pid: 12,
            when: 1_796_118_146,
        });
        let silent = StreamEvent::Silent;
        assert_eq!(
            meanings,
            [silent.clone(), silent, running, StreamEvent::Unknown]
        );
    }

    #[test]
    fn hostile_streams_end() {
        let read = |text: &[u8]| StreamReader::default().read(text, &mut Vec::new());
        assert!(read(&vec![b'x'; BLOCK_BYTES_MAX + 1]).is_err());
        assert!(read(&b"data: x\n".repeat(BLOCK_BYTES_MAX / 8 + 1)).is_err());
        assert!(read(b"id: 1\tx\n").is_err());
        assert!(read(format!("id: {}\n", "1".repeat(ID_BYTES_MAX + 1)).as_bytes()).is_err());
        assert!(read(b"\xff\xfe\n\n\n\n").is_ok());
        let mut blocks = Vec::new();
        let text = b"event: PROCESS_STATE_RUNNING\ndata: {\"to\":7}\n\nevent: PROCESS_STATE_X\ndata: {\"to\":\"X\"}\n\n";
        StreamReader::default()
            .read(text, &mut blocks)
            .expect("valid");
        assert!(
            blocks
                .iter()
                .all(|block| block.meaning() == StreamEvent::Unknown)
        );
    }
}
