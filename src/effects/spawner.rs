//! Effects of the spawner threads: commands, sockets and new processes.

use std::sync::Arc;

use crate::api::Ticket;
use crate::config::spec::{GroupSpec, ProcessSpec};
use crate::domain::{InstanceId, SpawnError};

/// An effect of the spawner threads. The creation of a process is [`Action::Spawn`] instead, because the engine adds
/// the plan and the descriptors.
///
/// [`Action::Spawn`]: crate::core::Action::Spawn
#[derive(Debug, Clone, PartialEq)]
pub enum SpawnerEffect {
    /// Make the socket of the program, if it has one and nobody holds it; split the command and find its file; look up
    /// the user's groups; lay out argv and environment. Answered with [`SpawnerOutcome::Resolved`] or `Failed`. In any
    /// case `Release` follows when an instance with a socket has ended.
    Resolve(InstanceId, Arc<ProcessSpec>),
    /// Like `Resolve`, for a client that only wants to know whether it would succeed. Answered with
    /// [`SpawnerOutcome::Answered`].
    Check(Ticket, Arc<ProcessSpec>),
    /// Make the sockets of a group and close them again. Answered with [`SpawnerOutcome::Answered`].
    TrySockets(Ticket, Arc<GroupSpec>),
    /// The instance has exited and its exit was published: close its socket if no other instance holds it. Sent only
    /// for instances that have a socket.
    Release(InstanceId),
}

/// What the spawner threads answer.
#[derive(Debug, Clone, PartialEq)]
pub enum SpawnerOutcome {
    /// The command was found and may be executed.
    Resolved(InstanceId),
    /// Resolving or spawning takes long. Its result follows. Sent again when the reason changes.
    Held {
        /// The instance.
        instance: InstanceId,
        /// Why, as the log shows it.
        why: String,
    },
    /// Resolving or spawning failed. No process exists.
    Failed {
        /// The instance.
        instance: InstanceId,
        /// Why it failed.
        error: SpawnError,
    },
    /// The process exists. If its exec fails, it exits with status 127.
    Spawned {
        /// The instance.
        instance: InstanceId,
        /// The PID.
        pid: i32,
    },
    /// The result of an effect for a client.
    Answered {
        /// The request.
        ticket: Ticket,
        /// Whether it succeeded, or would succeed.
        result: Result<(), SpawnError>,
    },
}
