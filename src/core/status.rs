//! The status report for the service manager: whether the daemon is ready, a status line, and how long the current
//! operation may take.

use super::Fleet;
use super::pending::Pending;
use super::process::Process;
use super::stage::{AlivePhase, Idle, Stage};
use crate::config::spec::ReadyWhen;
use crate::domain::{Namespec, ProcessState, SupervisorState, Tick};

/// Maximum number of process names in the status line.
const NAMES_MAX: usize = 5;
/// Maximum length of a name in the status line, in characters.
const NAME_CHARS_MAX: usize = 64;

/// The phases that a service manager distinguishes within one run:
///
/// ```text
/// Starting ─ready→ Ready ⇄ Reloading
///     └───────────────┴────────┴→ Reloading (a restart) or Stopping
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// The condition of `ready_when` is not met yet.
    Starting,
    /// The daemon is up.
    Ready,
    /// The daemon reads the configuration, starts added groups, or stops everything to restart.
    Reloading,
    /// The daemon stops everything and exits.
    Stopping,
}

/// The status at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FleetStatus {
    /// The phase.
    pub phase: Phase,
    /// The phase as a short line for people, without control characters.
    pub status: String,
    /// Until when the operation that the service manager waits for may take, as far as known. [`Tick`] 0: unknown.
    pub busy_until: Tick,
}

impl Fleet {
    /// Returns the current status. `before` is the phase of the previous report ([`Phase::Starting`] for the first). It
    /// walks over all processes, so it should not be called after every change.
    #[must_use]
    pub fn status_report(&self, ready_when: ReadyWhen, before: Phase) -> FleetStatus {
        let all = || self.groups.values().flat_map(|group| &group.by_name);
        let processes = || all().filter_map(|&slot| self.slots.get(slot));
        let phase = match self.daemon.state {
            SupervisorState::Shutdown => Phase::Stopping,
            SupervisorState::Restarting => Phase::Reloading,
            SupervisorState::Running | SupervisorState::Fatal => match before {
                Phase::Starting if !self.daemon.has_begun => Phase::Starting,
                Phase::Starting if processes().any(|process| is_awaited(process, ready_when)) => {
                    Phase::Starting
                }
                Phase::Ready | Phase::Reloading | Phase::Stopping
                    if self.is_reading() || processes().any(is_at_first_attempt) =>
                {
                    Phase::Reloading
                }
                Phase::Starting | Phase::Ready | Phase::Reloading | Phase::Stopping => Phase::Ready,
            },
        };
        let is_starting = phase == Phase::Starting;
        let is_winding_down = self.shutdown_state.is_some();
        let busy_until = processes()
            .map(|process| busy_until(process, is_starting, is_winding_down))
            .max()
            .unwrap_or(Tick(0));
        FleetStatus {
            phase,
            status: self.status(phase, processes),
            busy_until,
        }
    }

    /// Returns whether a client has requested to read the configuration and the reading is in progress.
    fn is_reading(&self) -> bool {
        self.requests
            .pending
            .values()
            .any(|pending| matches!(pending, Pending::Reread | Pending::Restart))
    }

    /// Returns the status line.
    fn status<'a, P>(&self, phase: Phase, processes: impl Fn() -> P) -> String
    where
        P: Iterator<Item = &'a Process>,
    {
        let in_state = |states: &'static [ProcessState]| {
            processes().filter(move |process| states.contains(&process.state()))
        };
        if self.shutdown_state.is_some() {
            let word = match phase {
                Phase::Stopping => "stopping",
                Phase::Starting | Phase::Ready | Phase::Reloading => "restarting",
            };
            let left = || processes().filter(|process| !process.state().is_stopped());
            return match left().count() {
                0 => word.to_owned(),
                count => format!("{word}, {count} still to stop: {}", names(left())),
            };
        }
        let mut text = match phase {
            Phase::Starting => "starting, ".to_owned(),
            Phase::Reloading => "reloading, ".to_owned(),
            Phase::Ready | Phase::Stopping => String::new(),
        };
        let (running, total) = (
            in_state(&[ProcessState::Running]).count(),
            processes().count(),
        );
        text.push_str(&format!("{running}/{total} running"));
        let mut separator = ", ";
        for (word, states) in [
            ("fatal", &[ProcessState::Fatal]),
            ("backoff", &[ProcessState::Backoff]),
            ("unknown", &[ProcessState::Unknown]),
        ] {
            if in_state(states).next().is_some() {
                text.push_str(&format!("{separator}{word}: {}", names(in_state(states))));
                separator = "; ";
            }
        }
        text
    }
}

/// Returns whether the readiness of the daemon waits for the process.
fn is_awaited(process: &Process, ready_when: ReadyWhen) -> bool {
    match ready_when {
        ReadyWhen::Started => is_at_first_attempt(process),
        ReadyWhen::Running => {
            process.spec.starts_with_group()
                && match process.state() {
                    ProcessState::Starting | ProcessState::Backoff => true,
                    ProcessState::Stopped if is_waiting(process) => true,
                    // An exited process was RUNNING before. A process that a client stops is not waited for.
                    ProcessState::Running
                    | ProcessState::Exited
                    | ProcessState::Fatal
                    | ProcessState::Stopping
                    | ProcessState::Stopped
                    | ProcessState::Unknown => false,
                }
        }
    }
}

/// Returns whether the process waits for what it depends on.
fn is_waiting(process: &Process) -> bool {
    *process.run.stage == Stage::Idle(Idle::Waiting)
}

/// Returns whether the process was started with its group and its first attempt has led neither to a process nor to a
/// failure yet.
fn is_at_first_attempt(process: &Process) -> bool {
    process.spec.starts_with_group()
        && process.run.spawns == 0
        && process.run.tries == 0
        && process.state() == ProcessState::Starting
        && matches!(*process.run.stage, Stage::Attempt { .. })
}

/// Returns when the operation in progress ends at the latest. [`Tick`] 0: there is none, or the time is unknown.
fn busy_until(process: &Process, is_starting: bool, is_winding_down: bool) -> Tick {
    let stage = &process.run.stage;
    let is_waited_for = match **stage {
        Stage::Idle(Idle::Backoff { .. }) => is_starting,
        Stage::Idle(_) | Stage::Attempt { .. } => false,
        Stage::Alive { phase, .. } => match phase {
            // After SIGKILL more time does not help: only the kernel can end the process.
            AlivePhase::Stopping { killed, .. } => is_winding_down && !killed,
            _ => is_starting,
        },
        Stage::Reaped { .. } => is_winding_down,
    };
    match process.killed_by().unwrap_or_else(|| stage.deadline()) {
        Tick::NEVER => Tick(0),
        deadline if is_waited_for => deadline,
        _ => Tick(0),
    }
}

/// Returns the names of processes. Names after the first [`NAMES_MAX`] are only counted.
fn names<'a>(processes: impl Iterator<Item = &'a Process>) -> String {
    let mut text = String::new();
    let mut count = 0;
    for process in processes {
        if count < NAMES_MAX {
            let name = Namespec::print(process.spec.group.as_str(), process.spec.name.as_str());
            if count > 0 {
                text.push_str(", ");
            }
            // A line break would start another field of the notify message.
            text.extend(
                name.chars()
                    .take(NAME_CHARS_MAX)
                    .map(|c| if c.is_control() { '?' } else { c }),
            );
        }
        count += 1;
    }
    if count > NAMES_MAX {
        text.push_str(&format!(" and {} more", count - NAMES_MAX));
    }
    text
}
