//! The state that the output threads hand to the next daemon: plain data for each instance, and its descriptors by
//! name. How they are transferred is not known here.
//!
//! Nothing is read from an instance's pipes after its state was taken; the next daemon reads the rest.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::encoded;
use super::in_flight_log::UnflushedChunk;
use super::line_watch::LineWatchState;
use super::protocol::ListenerProtocol;
use crate::config::spec::ProcessSpec;
use crate::domain::{Channel, FdName, InstanceId, ListenerState, LogPaths};
use crate::sys::NamedFds;

/// The streams of one instance.
#[derive(Debug, Serialize, Deserialize)]
pub struct InstanceState {
    /// The id of the instance.
    #[serde(rename = "life")]
    pub instance: InstanceId,
    /// The process has ended: nothing more is read, but bytes still wait to be written.
    pub(super) is_ending: bool,
    /// Bytes that wait for room in standard input.
    #[serde(with = "encoded")]
    pub(super) stdin: Vec<u8>,
    /// Standard output and standard error.
    pub(super) streams: [Option<StreamState>; 2],
}

/// One stream: bytes that were read and not written yet, and the state of its scanners.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct StreamState {
    /// Bytes that wait for the log.
    #[serde(with = "encoded")]
    pub(super) sink: Vec<u8>,
    /// The beginning of a line for a log that gets whole lines.
    #[serde(default, with = "encoded", skip_serializing_if = "Vec::is_empty")]
    pub(super) line: Vec<u8>,
    pub(super) capture: Option<CaptureState>,
    pub(super) journal: Option<EntriesState>,
    pub(super) protocol: Option<Box<ListenerProtocol>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) line_watch: Option<LineWatchState>,
    /// The last bytes, if they are kept.
    #[serde(default, skip_serializing_if = "Vec::is_empty", with = "encoded")]
    pub(super) last: Vec<u8>,
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

/// The state of all instances.
#[derive(Debug, Default)]
pub struct OutputState {
    /// One entry per instance.
    pub instances: Vec<InstanceState>,
    /// Bytes that were read and may not be written, because a log hangs.
    pub unflushed: Vec<UnflushedChunk>,
}

/// Everything that the output threads hand over.
#[derive(Debug, Default)]
pub struct OutputHandoff {
    /// The state as data.
    pub state: OutputState,
    /// Pipe ends, by name.
    pub fds: NamedFds,
}

/// An instance that this daemon takes over, with all state that is left of it.
#[derive(Debug)]
pub struct AdoptedStreams {
    /// The id of the instance.
    pub instance: InstanceId,
    /// Its configuration.
    pub spec: Arc<ProcessSpec>,
    /// The paths of its logs.
    pub logs: LogPaths,
    /// The pid of its process.
    pub pid: i32,
    /// Its state from the handoff. `None`: only its descriptors are known.
    pub instance_state: Option<InstanceState>,
    /// Its bytes that were in flight when the previous daemon was killed.
    pub unflushed: Vec<UnflushedChunk>,
    /// The process has ended, and its last bytes are to be written.
    pub(super) is_ending: bool,
    /// For a listener without state: its protocol state as far as it is known.
    pub(super) listener: Option<ListenerState>,
    pub(super) stdin: Option<OwnedFd>,
    pub(super) pipes: [Option<OwnedFd>; 2],
}

impl AdoptedStreams {
    /// Sets the listener's protocol state as far as the core knows it.
    #[must_use]
    pub fn of_listener(self, listener: Option<ListenerState>) -> Self {
        Self { listener, ..self }
    }

    /// Marks the process as ended.
    #[must_use]
    pub fn of_ended(self) -> Self {
        Self {
            is_ending: true,
            ..self
        }
    }

    /// Whether nothing is left of the instance.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.instance_state.is_none()
            && self.unflushed.is_empty()
            && self.stdin.is_none()
            && self.pipes.iter().all(Option::is_none)
    }

    /// Takes the instance's streams out of the inherited descriptors and state.
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

/// The name under which the read end of a stream is handed over.
pub(super) fn pipe(instance: InstanceId, channel: Channel) -> FdName {
    match channel {
        Channel::Stdout => FdName::Stdout(instance),
        Channel::Stderr => FdName::Stderr(instance),
    }
}
