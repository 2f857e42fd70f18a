//! The serialised form of a [`Handoff`]: JSON in sealed memory, with the names of version 5.0.0. An exec adds the
//! numbers of descriptors that stay open. In the fd holder the descriptors are stored by name beside the memory.
//!
//! Older and newer versions read this. An unknown key is ignored and a new key needs a default, see
//! `src/docs/handoff.md`.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::state::{EngineState, Handoff, PassedSocket, PendingReport, SocketFileName};
use crate::config::spec::Config;
use crate::core::Snapshot;
use crate::domain::{FdName, InstanceId, VERSION};
use crate::output::{InstanceState, OutputState, UnflushedChunk};
use crate::spawn::SharedSocket;
use crate::sys::{self, Limit, NamedFds, Resource};

/// The version of the format of a handoff and of a checkpoint. A program with another version refuses.
pub(super) const FORMAT: u32 = 1;
/// Maximum size of written state in bytes. A thousand programs take one or two million.
pub(super) const STATE_BYTES_MAX: u64 = 1 << 30;

/// A [`Handoff`] in its written form. Its descriptors are beside it, those of servers too.
#[derive(Serialize, Deserialize)]
pub(super) struct WrittenHandoff {
    format: u32,
    pid: u32,
    config: Arc<Config>,
    limits: Vec<(Resource, Limit)>,
    cwd: String,
    #[serde(rename = "legacy")]
    state: WrittenState,
    /// Listening sockets. Those that the service manager passed come first.
    servers: Vec<WrittenServer>,
    passed: usize,
    /// The numbers of descriptors by name. Empty in the fd holder, because numbers are invalid in another process.
    numbers: Vec<(String, i32)>,
}

/// The state of the engine and of the output threads, which share one object.
#[derive(Serialize, Deserialize)]
struct WrittenState {
    snapshot: Snapshot,
    pids: Vec<(InstanceId, i32)>,
    #[serde(rename = "lives")]
    instances: Vec<InstanceState>,
    #[serde(default, rename = "unsettled")]
    unflushed: Vec<UnflushedChunk>,
    early: Vec<PendingReport>,
    #[serde(rename = "leftovers")]
    pending_reports: Vec<PendingReport>,
    is_ready: bool,
    sockets: Vec<SharedSocket>,
}

#[derive(Serialize, Deserialize)]
struct WrittenServer {
    name: String,
    file: Option<SocketFileName>,
}

impl WrittenHandoff {
    /// Splits a handoff into its written form and all its descriptors. [`Self::into_handoff`] is the reverse.
    pub(super) fn of(handoff: Handoff) -> (Self, NamedFds) {
        let Handoff {
            config,
            limits,
            cwd,
            engine,
            output,
            mut fds,
            passed,
            own,
        } = handoff;
        let passed_count = passed.len();
        let mut servers = Vec::with_capacity(passed_count + own.len());
        for (place, server) in passed.into_iter().chain(own).enumerate() {
            let PassedSocket { fd, name, file } = server;
            fds.insert(FdName::Server(place).name(), fd);
            servers.push(WrittenServer { name, file });
        }
        let written = Self {
            format: FORMAT,
            pid: std::process::id(),
            config,
            limits,
            cwd,
            state: WrittenState::of(engine, output),
            servers,
            passed: passed_count,
            numbers: Vec::new(),
        };
        (written, fds)
    }

    /// Joins the written form with the descriptors. A listening socket that is not among them is left out.
    pub(super) fn into_handoff(self, mut fds: NamedFds) -> Handoff {
        let mut passed = Vec::new();
        for (place, server) in self.servers.into_iter().enumerate() {
            if let Some(fd) = fds.remove(&FdName::Server(place).name()) {
                let WrittenServer { name, file } = server;
                passed.push(PassedSocket { fd, name, file });
            }
        }
        let own = passed.split_off(self.passed.min(passed.len()));
        let (engine, output) = self.state.split();
        Handoff {
            config: self.config,
            limits: self.limits,
            cwd: self.cwd,
            engine,
            output,
            fds,
            passed,
            own,
        }
    }

    /// Writes the numbers of descriptors that stay open across an exec.
    pub(super) fn set_numbers(&mut self, numbers: Vec<(String, i32)>) {
        self.numbers = numbers;
    }

    /// Returns the numbers of descriptors that the previous image left open.
    pub(super) fn numbers(&self) -> &[(String, i32)] {
        &self.numbers
    }

    /// Returns whether this process wrote the handoff, before it executed another image.
    pub(super) fn is_of_this_process(&self) -> bool {
        self.pid == std::process::id()
    }

    /// Writes the form into sealed memory.
    ///
    /// # Errors
    /// ENOMEM, EMFILE.
    pub(super) fn to_memory(&self) -> std::io::Result<OwnedFd> {
        sys::sealed_memory("supervisord-handover", &serde_json::to_vec(self)?)
    }

    /// Reads what [`Self::to_memory`] of this or an earlier version wrote.
    ///
    /// # Errors
    /// Why it cannot be read.
    pub(super) fn from_memory(memory: &impl AsFd) -> Result<Self, String> {
        let bytes = sys::read_sealed(memory, STATE_BYTES_MAX)
            .map_err(|error| format!("cannot read the state of the previous daemon: {error}"))?;
        let written = Self::parse(&bytes)
            .map_err(|error| format!("cannot parse the state of the previous daemon: {error}"))?;
        check_format(written.format)?;
        Ok(written)
    }

    /// Parses the bytes without a check of the format's version.
    pub(super) fn parse(bytes: &[u8]) -> serde_json::Result<Self> {
        serde_json::from_slice(bytes)
    }

    /// The version of the format.
    pub(super) const fn format(&self) -> u32 {
        self.format
    }
}

impl WrittenState {
    fn of(engine: EngineState, output: OutputState) -> Self {
        Self {
            snapshot: engine.snapshot,
            pids: engine.pids,
            instances: output.instances,
            unflushed: output.unflushed,
            early: engine.early,
            pending_reports: engine.pending_reports,
            is_ready: engine.is_ready,
            sockets: engine.sockets,
        }
    }

    fn split(self) -> (EngineState, OutputState) {
        let engine = EngineState {
            snapshot: self.snapshot,
            pids: self.pids,
            early: self.early,
            pending_reports: self.pending_reports,
            is_ready: self.is_ready,
            sockets: self.sockets,
        };
        let output = OutputState {
            instances: self.instances,
            unflushed: self.unflushed,
        };
        (engine, output)
    }
}

/// Checks the version of a format.
///
/// # Errors
/// Another version wrote it.
pub(super) fn check_format(format: u32) -> Result<(), String> {
    if format == FORMAT {
        Ok(())
    } else {
        Err(format!(
            "version {VERSION} reads state format {FORMAT}, this state has format {format}"
        ))
    }
}
