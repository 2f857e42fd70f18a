//! What the output thread leaves to its successor in the next image of the daemon: plain data for each instance, and its
//! descriptors beside it, by name. It must not know how they travel.
//!
//! Nothing is read after an instance was put down here, so what a pipe holds is read by the successor.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::in_flight_log::UnflushedChunk;
use super::protocol::ListenerProtocol;
use crate::config::spec::ProcessSpec;
use crate::domain::{Channel, FdName, InstanceId, ListenerState, LogPaths};
use crate::sys::NamedFds;

/// One instance's streams.
#[derive(Debug, Serialize, Deserialize)]
pub struct InstanceState {
    /// Whose.
    #[serde(rename = "life")]
    pub instance: InstanceId,
    /// Its process has ended: nothing will be read any more, but something still waits to be written.
    pub(super) is_ending: bool,
    /// Bytes that wait for room in its standard input.
    #[serde(with = "encoded")]
    pub(super) stdin: Vec<u8>,
    /// Standard output and standard error.
    pub(super) streams: [Option<StreamState>; 2],
}

/// One stream: what was read and is not written yet, and where its scanners stand.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct StreamState {
    /// Bytes that wait for the log.
    #[serde(with = "encoded")]
    pub(super) sink: Vec<u8>,
    pub(super) capture: Option<CaptureState>,
    pub(super) journal: Option<EntriesState>,
    pub(super) protocol: Option<Box<ListenerProtocol>>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct CaptureState {
    #[serde(with = "encoded")]
    pub(super) held: Vec<u8>,
    pub(super) is_inside: bool,
    #[serde(with = "encoded")]
    pub(super) captured: Vec<u8>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct EntriesState {
    #[serde(with = "encoded")]
    pub(super) held: Vec<u8>,
    pub(super) continues: Option<u8>,
}

/// Everything that a thread leaves.
#[derive(Debug, Default)]
pub struct OutputState {
    /// By instance.
    pub instances: Vec<InstanceState>,
    /// Ends of pipes, by name.
    pub descriptors: NamedFds,
    /// What was read and is perhaps not written, since a log hangs.
    pub unflushed: Vec<UnflushedChunk>,
}

/// An instance that is taken over, with everything that was left of it.
#[derive(Debug)]
pub struct AdoptedStreams {
    /// Whose.
    pub instance: InstanceId,
    /// Its configuration.
    pub spec: Arc<ProcessSpec>,
    /// Where its streams are written.
    pub logs: LogPaths,
    /// Its process.
    pub pid: i32,
    /// What was written down of it; none: only its descriptors are known.
    pub instance_state: Option<InstanceState>,
    /// Bytes of it that were under way when the predecessor was killed.
    pub unflushed: Vec<UnflushedChunk>,
    /// Its process has ended, and its last bytes are to be written.
    pub(super) is_ending: bool,
    /// For a listener: where it stands as far as is known, if nothing was written down.
    pub(super) listener: Option<ListenerState>,
    pub(super) stdin: Option<OwnedFd>,
    pub(super) pipes: [Option<OwnedFd>; 2],
}

impl AdoptedStreams {
    /// The same of a listener that stands there as far as the core knows.
    #[must_use]
    pub fn of_listener(self, listener: Option<ListenerState>) -> Self {
        Self { listener, ..self }
    }

    /// The same of an instance whose process has ended.
    #[must_use]
    pub fn of_ended(self) -> Self {
        Self {
            is_ending: true,
            ..self
        }
    }

    /// Nothing is left of it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.instance_state.is_none()
            && self.unflushed.is_empty()
            && self.stdin.is_none()
            && self.pipes.iter().all(Option::is_none)
    }

    /// Takes the instance's streams out of what was inherited.
    #[must_use]
    pub fn new(
        (instance, pid): (InstanceId, i32),
        spec: Arc<ProcessSpec>,
        logs: LogPaths,
        instance_state: Option<InstanceState>,
        inherited: &mut NamedFds,
    ) -> Self {
        let mut take = |fd_name: FdName| inherited.remove(&fd_name.name());
        Self {
            instance,
            spec,
            logs,
            pid,
            instance_state,
            unflushed: Vec::new(),
            is_ending: false,
            listener: None,
            stdin: take(FdName::Stdin(instance)),
            pipes: [
                take(FdName::Stdout(instance)),
                take(FdName::Stderr(instance)),
            ],
        }
    }
}

/// The name under which the read end of a stream travels.
pub(super) fn pipe(instance: InstanceId, channel: Channel) -> FdName {
    match channel {
        Channel::Stdout => FdName::Stdout(instance),
        Channel::Stderr => FdName::Stderr(instance),
    }
}

/// Bytes as text, which is three times shorter than a list of numbers.
pub(super) mod encoded {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD_NO_PAD as CODE;
    use serde::{Deserialize as _, Deserializer, Serializer};

    pub(in super::super) fn serialize<S: Serializer>(
        bytes: &[u8],
        to: S,
    ) -> Result<S::Ok, S::Error> {
        to.serialize_str(&CODE.encode(bytes))
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Vec<u8>, D::Error> {
        let text = String::deserialize(from)?;
        CODE.decode(text).map_err(serde::de::Error::custom)
    }
}
