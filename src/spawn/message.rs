//! What the spawner threads are asked, and what they answer.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use super::{SharedSocket, SpawnPlan};
use crate::api::Ticket;
use crate::cgroup::ProcessCgroup;
use crate::config::spec::{CgroupLimits, GroupSpec, ProcessSpec};
use crate::domain::{InstanceId, SpawnError};
use crate::sys::ChildStdio;

/// What the spawner threads are asked. Handled in order, but for spawns, which go before everything else, and for jobs that
/// wait for one that is held up.
#[derive(Debug)]
pub enum SpawnJob {
    /// Make the socket of its program if it has one and nobody holds it; split the command, find it, look the user's
    /// groups up, lay out argv and environment. Whatever comes of it, [`Job::Release`] follows when the instance has ended.
    Resolve(InstanceId, Arc<ProcessSpec>),
    /// The same for a client that only wants to know whether it would work.
    Check(Ticket, Arc<ProcessSpec>),
    /// Run it, within these limits if it has a cgroup.
    Spawn(InstanceId, Box<SpawnPlan>, ChildStdio, Arc<CgroupLimits>),
    /// The instance has ended: what was made for it when it was resolved may go.
    Release(InstanceId),
    /// Make the sockets of a group and close them again.
    TrySockets(Ticket, Arc<GroupSpec>),
    /// End, and leave the sockets to a successor; answered with [`Done::EngineHandoff`].
    HandOver,
    /// End.
    Stop,
}

/// What the spawn thread answers to the engine.
#[derive(Debug)]
pub enum SpawnAnswer {
    /// A plan, to be handed back with [`Job::Spawn`].
    Resolved(InstanceId, Box<SpawnPlan>),
    /// Resolving or spawning failed; no process exists.
    Failed(InstanceId, SpawnError),
    /// See [`Job::Check`].
    Checked(Ticket, Result<(), SpawnError>),
    /// See [`Job::TrySockets`].
    SocketsTried(Ticket, Result<(), SpawnError>),
    /// The thread has ended, and these are its sockets.
    HandedOver(Vec<(SharedSocket, OwnedFd)>),
    /// What was asked for this instance takes long, for this reason. Its answer comes yet. Told again when the reason changes.
    Held(InstanceId, String),
    /// It runs (or is about to fail its exec, which then shows as an exit with status 127).
    Spawned(InstanceId, i32, OwnedFd, Option<ProcessCgroup>),
}
