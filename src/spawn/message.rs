//! The jobs of the spawner threads and their answers.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use super::{SharedSocket, SpawnPlan};
use crate::cgroup::ProcessCgroup;
use crate::config::spec::CgroupLimits;
use crate::domain::InstanceId;
use crate::effects::{SpawnerEffect, SpawnerOutcome};
use crate::sys::ChildStdio;

/// A job for the spawner threads. Jobs are handled in order, except that spawns precede all others, and that jobs may
/// wait for one that is held up.
#[derive(Debug)]
pub enum SpawnJob {
    /// An effect of the core.
    Effect(SpawnerEffect),
    /// Spawn the process, with these limits if it has a cgroup.
    Spawn(InstanceId, Box<SpawnPlan>, ChildStdio, Arc<CgroupLimits>),
    /// Exit, and leave the sockets to the next daemon. Answered with [`SpawnAnswer::HandedOver`].
    HandOver,
    /// Exit.
    Stop,
}

/// An answer of the spawner threads to the engine.
#[derive(Debug)]
pub enum SpawnAnswer {
    /// [`SpawnerOutcome::Resolved`], with the plan for [`SpawnJob::Spawn`].
    Resolved(InstanceId, Box<SpawnPlan>),
    /// [`SpawnerOutcome::Spawned`]: pid, pidfd, and the cgroup of the process if it has one.
    Spawned(InstanceId, i32, OwnedFd, Option<ProcessCgroup>),
    /// Any other outcome.
    Outcome(SpawnerOutcome),
    /// The threads have ended. Their sockets.
    HandedOver(Vec<(SharedSocket, OwnedFd)>),
}
