//! What an engine continues with, from whichever source it comes.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;

use super::state::{Handoff, PendingReport};
use crate::core::{Fleet, Input, ResumeKind};
use crate::domain::{FdName, InstanceId};
use crate::output::{InstanceState, UnflushedChunk};
use crate::spawn::SharedSocket;
use crate::sys::{self, NamedFds};

/// The state of the previous daemon that an engine continues with.
#[derive(Debug)]
pub struct RestoredEngine {
    /// PIDs of processes. Their pidfds are in `fds`.
    pub pids: Vec<(InstanceId, i32)>,
    /// The state of their streams.
    pub instances: BTreeMap<InstanceId, InstanceState>,
    /// Bytes that may not be in a log.
    pub unflushed: Vec<UnflushedChunk>,
    /// Reports for the core before its first input.
    pub early: Vec<PendingReport>,
    /// The first input of the core.
    pub first: Input,
    /// Reports for the core after its first input.
    pub pending_reports: Vec<PendingReport>,
    /// Descriptors by name.
    pub fds: NamedFds,
    /// Whether the service manager was told that the daemon is ready.
    pub is_ready: bool,
}

impl Handoff {
    /// Restores the core, and returns the engine's part and the sockets of FastCGI programs beside it. A socket without
    /// its descriptor is left out.
    #[must_use]
    pub fn restore(
        self,
        resume_kind: ResumeKind,
    ) -> (Fleet, RestoredEngine, Vec<(SharedSocket, OwnedFd)>) {
        let Self {
            engine,
            output,
            mut fds,
            ..
        } = self;
        let sockets = engine.sockets.into_iter().filter_map(|shared| {
            let socket = fds.remove(&FdName::FcgiSocket(shared.place).name())?;
            Some((shared, socket))
        });
        let sockets = sockets.collect();
        let fleet = Fleet::restore(engine.snapshot, sys::now());
        let instances = output.instances.into_iter();
        let restored = RestoredEngine {
            pids: engine.pids,
            instances: instances
                .map(|instance_state| (instance_state.instance, instance_state))
                .collect(),
            unflushed: output.unflushed,
            early: engine.early,
            first: Input::Resumed(resume_kind),
            pending_reports: engine.pending_reports,
            fds,
            is_ready: engine.is_ready,
        };
        (fleet, restored, sockets)
    }
}

impl RestoredEngine {
    /// The state for a core that starts by adopting running processes.
    pub(super) fn of_orphans(
        pids: Vec<(InstanceId, i32)>,
        fds: NamedFds,
        unflushed: Vec<UnflushedChunk>,
    ) -> Self {
        Self {
            pids,
            instances: BTreeMap::new(),
            unflushed,
            early: Vec::new(),
            first: Input::DaemonStarted,
            pending_reports: Vec::new(),
            fds,
            is_ready: false,
        }
    }
}
