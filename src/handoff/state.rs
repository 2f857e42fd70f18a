//! The tree of what one daemon leaves to the next. [`super::written`] has its serialised form.

use std::collections::BTreeSet;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::cgroup;
use crate::config::ConfigErrors;
use crate::config::spec::Config;
use crate::core::{Input, Snapshot};
use crate::domain::{Channel, Errno, ExitStatus, InstanceId, Line, ListenerOutput, ResourceEvents};
use crate::effects::{LineWatchKind, OutputOutcome, SpawnerOutcome};
use crate::output::OutputState;
use crate::spawn::SharedSocket;
use crate::sys::{Limit, NamedFds, Resource};

/// What a daemon leaves to the next one, or to itself if the exec failed.
pub struct Handoff {
    /// The configuration that the run started with, even if another one was read since.
    pub config: Arc<Config>,
    /// Limits for programs, as determined by the first image. Empty after a kill.
    pub limits: Vec<(Resource, Limit)>,
    /// The working directory of the first image. Empty after a kill.
    pub cwd: String,
    /// The core and what the engine knows of processes.
    pub engine: EngineState,
    /// The streams of processes.
    pub output: OutputState,
    /// Descriptors of processes and FastCGI programs by name ([`crate::domain::FdName`]).
    pub fds: NamedFds,
    /// Listening sockets that the service manager passed.
    pub passed: Vec<PassedSocket>,
    /// Listening sockets that the daemon opened.
    pub own: Vec<PassedSocket>,
}

/// The state of the engine without its descriptors.
#[derive(Debug)]
pub struct EngineState {
    /// The core.
    pub snapshot: Snapshot,
    /// PIDs of processes that run or are not reaped. Their pidfds are separate.
    pub pids: Vec<(InstanceId, i32)>,
    /// Reports that the core handles before it continues.
    pub early: Vec<PendingReport>,
    /// Reports that arrived and were not passed to the core.
    pub pending_reports: Vec<PendingReport>,
    /// Whether the service manager was told that the daemon is ready.
    pub is_ready: bool,
    /// Sockets of FastCGI programs. Their descriptors are separate.
    pub sockets: Vec<SharedSocket>,
}

/// A listening socket that a daemon gets from the service manager or from the previous daemon.
#[derive(Debug)]
pub struct PassedSocket {
    /// The descriptor. It may be something else than a socket.
    pub fd: OwnedFd,
    /// Its `FileDescriptorName=`.
    pub name: String,
    /// The file of a unix socket that the daemon must remove, because a previous daemon opened it. `None`: the service
    /// manager opened it.
    pub file: Option<SocketFileName>,
}

/// The file of a unix socket, by path and identity.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SocketFileName {
    /// Its path.
    pub path: PathBuf,
    /// The device number of its file system.
    pub device: u64,
    /// Its inode number.
    pub inode: u64,
}

/// A report that arrived after the last input of the core.
#[derive(Debug, Serialize, Deserialize)]
pub enum PendingReport {
    /// The process was spawned, and that was not recorded. Contains its PID.
    Spawned(InstanceId, i32),
    /// The process is gone, and its exit status is unknown.
    Gone(InstanceId),
    /// Nothing is left to kill in its cgroup.
    Emptied(InstanceId, ResourceEvents),
    /// The rest of its output is written.
    Drained(InstanceId),
    /// A listener has written a message of the protocol.
    #[serde(rename = "Said")]
    ListenerOutput(InstanceId, ListenerOutput),
    /// An event could not be written to a listener.
    NotDelivered(InstanceId, Errno),
    /// Output for an event. `true`: it was captured.
    Wrote(InstanceId, Channel, Arc<[u8]>, bool),
    /// A line of output that means something.
    LineMatched(InstanceId, LineWatchKind, String),
}

impl Handoff {
    /// Returns the cgroups of processes to be adopted.
    #[must_use]
    pub fn cgroups(&self) -> BTreeSet<String> {
        let snapshot = &self.engine.snapshot;
        let instances = snapshot.instances().into_iter();
        instances
            .filter_map(|(instance, _)| snapshot.spec_of(instance))
            .map(|spec| cgroup::name(&spec.group, &spec.name))
            .collect()
    }

    /// Returns the number of processes.
    #[must_use]
    pub fn process_count(&self) -> u32 {
        u32::try_from(self.engine.pids.len()).unwrap_or(u32::MAX)
    }

    /// Returns the configuration to continue with if the file has errors. Programs run, so the daemon must run too.
    #[must_use]
    pub fn config_despite(&self, errors: &ConfigErrors) -> Config {
        let mut config = Config::clone(&self.config);
        config.notes = errors
            .all
            .iter()
            .map(|problem| Line::ConfigError {
                error: problem.to_string(),
            })
            .collect();
        config
    }
}

impl PendingReport {
    /// `None`: the outcome is not needed after a handoff.
    #[must_use]
    pub fn of(outcome: OutputOutcome) -> Option<Self> {
        match outcome {
            OutputOutcome::Drained(instance) => Some(Self::Drained(instance)),
            OutputOutcome::ListenerOutput(instance, output) => {
                Some(Self::ListenerOutput(instance, output))
            }
            OutputOutcome::NotDelivered(instance, error) => {
                Some(Self::NotDelivered(instance, error))
            }
            OutputOutcome::Wrote {
                instance,
                channel,
                data,
                captured,
            } => Some(Self::Wrote(instance, channel, data, captured)),
            OutputOutcome::LineMatched {
                instance,
                kind,
                line,
            } => Some(Self::LineMatched(instance, kind, line)),
            // Attempts start again, and the clients are gone. The end of standard error is not worth a form that an older
            // daemon cannot read.
            OutputOutcome::LastStderr { .. }
            | OutputOutcome::Prepared(_)
            | OutputOutcome::PrepareFailed(..)
            | OutputOutcome::Answered { .. } => None,
        }
    }

    /// Returns the input of the core that the report would have become.
    #[must_use]
    pub fn into_input(self) -> Input {
        match self {
            Self::Spawned(instance, pid) => {
                Input::Spawner(SpawnerOutcome::Spawned { instance, pid })
            }
            Self::Gone(instance) => Input::Exited {
                instance,
                status: ExitStatus::Unknown(0),
            },
            Self::Emptied(instance, resource_events) => Input::Emptied {
                instance,
                resource_events,
            },
            Self::Drained(instance) => Input::Output(OutputOutcome::Drained(instance)),
            Self::ListenerOutput(instance, output) => {
                Input::Output(OutputOutcome::ListenerOutput(instance, output))
            }
            Self::NotDelivered(instance, error) => {
                Input::Output(OutputOutcome::NotDelivered(instance, error))
            }
            Self::LineMatched(instance, kind, line) => Input::Output(OutputOutcome::LineMatched {
                instance,
                kind,
                line,
            }),
            Self::Wrote(instance, channel, data, captured) => Input::Output(OutputOutcome::Wrote {
                instance,
                channel,
                data,
                captured,
            }),
        }
    }
}
