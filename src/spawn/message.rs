//! The jobs of the spawner threads and their answers.

use std::fmt;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use super::{SharedSocket, SpawnPlan};
use crate::cgroup::ProcessCgroup;
use crate::config::spec::{CgroupLimits, ProcessSpec};
use crate::domain::{InstanceId, SpawnError};
use crate::effects::{SpawnerEffect, SpawnerOutcome};
use crate::sys::{ChildStdio, RegisteredChild};

/// A job for the spawner threads. Jobs are handled in order, except that spawns precede all others, and that jobs may
/// wait for one that is held up.
#[derive(Debug)]
pub enum SpawnJob {
    /// An effect of the core.
    Effect(SpawnerEffect),
    /// Spawn the process, with these limits if it has a cgroup.
    Spawn(InstanceId, Box<SpawnPlan>, ChildStdio, Arc<CgroupLimits>),
    /// Run a command of a program beside its processes.
    Command(Box<CommandJob>),
    /// Exit, and leave the sockets to the next daemon. Answered with [`SpawnAnswer::HandedOver`].
    HandOver,
    /// Exit.
    Stop,
}

/// A command that runs beside the processes of a program, such as a hook.
pub struct CommandJob {
    /// The process whose user, environment, directory, limits and cgroup the command gets. Its command is the one to
    /// run.
    pub spec: Arc<ProcessSpec>,
    /// The ends of its pipes.
    pub stdio: ChildStdio,
    /// Called once with the PID and the pidfd, unless the threads end before. It must not block. The caller reaps the
    /// child.
    pub started: CommandStarted,
}

/// Receives the result of a [`CommandJob`]. The registration makes sure that the child is not taken for an orphan.
pub type CommandStarted =
    Box<dyn FnOnce(Result<(RegisteredChild, i32, OwnedFd), SpawnError>) + Send>;

impl fmt::Debug for CommandJob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CommandJob").finish_non_exhaustive()
    }
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
