//! The daemon that the core runs in: who it is and how far its run is.

use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::api::Reply;
use crate::config::spec::ExitWhen;
use crate::domain::SupervisorState;

/// What the core knows of the daemon that it runs in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The PID of the daemon.
    pub pid: i32,
    /// The path of the daemon's activity log. `None`: it is not a file.
    pub daemon_log: Option<Arc<Path>>,
    /// The seed for generated log names. It should differ at each start.
    pub seed: u64,
    /// The serial number of the next event. It continues after a reload.
    pub event_serial: u64,
}

/// The state of the daemon itself.
#[derive(Debug)]
pub(super) struct DaemonRun {
    pub(super) identity: Identity,
    pub(super) state: SupervisorState,
    /// The groups of the configuration were added.
    pub(super) has_begun: bool,
    /// Everything has stopped and the engine was told to finish.
    pub(super) is_finished: bool,
    /// How many times the state was handed over from one image of the daemon to the next.
    pub(super) generation: u32,
    /// A successor was examined and will take over.
    pub(super) is_upgrading: bool,
    /// When the daemon exits by itself. A new value applies after a restart of the daemon, as for all of `[supervisord]`.
    pub(super) exit_when: ExitWhen,
    /// The exit status, if the daemon exits because a program has ended. `None`: no such program has ended.
    pub(super) exit_status: Option<u8>,
}

impl DaemonRun {
    pub(super) const fn new(identity: Identity, exit_when: ExitWhen) -> Self {
        Self {
            identity,
            state: SupervisorState::Running,
            has_begun: false,
            is_finished: false,
            generation: 0,
            is_upgrading: false,
            exit_when,
            exit_status: None,
        }
    }

    /// Returns the answer to [`Request::Generation`](crate::api::Request::Generation).
    pub(super) const fn generation(&self) -> Reply {
        Reply::Generation {
            generation: self.generation,
            is_upgrading: self.is_upgrading,
        }
    }
}
