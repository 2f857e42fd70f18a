//! A running process that the daemon finds at its start. `adopt` takes it over.

use crate::domain::InstanceId;

/// A process that already runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AdoptedProcess {
    /// Its slot comes from [`super::Fleet::slots`]. No other instance has its incarnation.
    pub instance: InstanceId,
    /// The PID.
    pub pid: i32,
    /// Whether the daemon has the read ends of its output pipes.
    pub has_pipes: bool,
    /// Whether the daemon has its notify socket.
    pub is_heard: bool,
}
