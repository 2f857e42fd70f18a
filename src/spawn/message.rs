//! The jobs of the spawner threads and their answers.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use super::{SharedSocket, SpawnPlan};
use crate::api::Ticket;
use crate::cgroup::ProcessCgroup;
use crate::config::spec::{CgroupLimits, GroupSpec, ProcessSpec};
use crate::domain::{InstanceId, SpawnError};
use crate::sys::ChildStdio;

/// A job for the spawner threads. Jobs are handled in order, except that spawns precede all others, and that jobs may
/// wait for one that is held up.
#[derive(Debug)]
pub enum SpawnJob {
    /// Make the socket of its program, if it has one and nobody holds it; split the command and find its file; look up
    /// the user's groups; lay out argv and environment. In any case [`SpawnJob::Release`] follows when the instance has
    /// ended.
    Resolve(InstanceId, Arc<ProcessSpec>),
    /// Like `Resolve`, for a client that only wants to know whether it would succeed.
    Check(Ticket, Arc<ProcessSpec>),
    /// Spawn the process, with these limits if it has a cgroup.
    Spawn(InstanceId, Box<SpawnPlan>, ChildStdio, Arc<CgroupLimits>),
    /// The instance has ended: release its program's socket.
    Release(InstanceId),
    /// Make the sockets of a group and close them again.
    TrySockets(Ticket, Arc<GroupSpec>),
    /// Exit, and leave the sockets to the next daemon. Answered with [`SpawnAnswer::HandedOver`].
    HandOver,
    /// Exit.
    Stop,
}

/// An answer of the spawner threads to the engine.
#[derive(Debug)]
pub enum SpawnAnswer {
    /// The plan, for [`SpawnJob::Spawn`].
    Resolved(InstanceId, Box<SpawnPlan>),
    /// Resolving or spawning failed. There is no process.
    Failed(InstanceId, SpawnError),
    /// The result of [`SpawnJob::Check`].
    Checked(Ticket, Result<(), SpawnError>),
    /// The result of [`SpawnJob::TrySockets`].
    SocketsTried(Ticket, Result<(), SpawnError>),
    /// The threads have ended. Their sockets.
    HandedOver(Vec<(SharedSocket, OwnedFd)>),
    /// A job for this instance is held up, for this reason; its answer follows later. Sent again when the reason
    /// changes.
    Held(InstanceId, String),
    /// The process exists. If its exec fails, it exits with status 127. The fields: pid, pidfd, and its cgroup if it
    /// has one.
    Spawned(InstanceId, i32, OwnedFd, Option<ProcessCgroup>),
}
