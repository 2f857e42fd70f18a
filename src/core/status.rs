//! What a service manager is told of the whole: whether it is ready, what it is at, and how long it may need. It must not
//! know who is told, nor how.

use super::Fleet;
use super::process::Process;
use super::stage::Stage;
use super::ticket::Pending;
use crate::config::spec::ReadyWhen;
use crate::domain::{Namespec, ProcessState, SupervisorState, Tick};

/// How many names of one state the status line has at most.
const NAMES_MAX: usize = 5;
/// How many characters of a name it has at most.
const NAME_CHARS_MAX: usize = 64;

/// What a service manager distinguishes. Within one run, from a start to the end of everything:
///
/// ```text
/// Starting ─ready→ Ready ⇄ Reloading
///     └───────────────┴────────┴→ Reloading (a restart) or Stopping
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Not yet what `ready_when` asks for.
    Starting,
    /// Up.
    Ready,
    /// The configuration is being read, groups that were added start, or everything stops to begin anew.
    Reloading,
    /// Everything stops for good.
    Stopping,
}

/// The whole at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FleetStatus {
    /// What it is at.
    pub phase: Phase,
    /// The same in a line for people: short, without control characters.
    pub status: String,
    /// Until when what a service manager waits for may take, as far as that is known; [`Tick`] 0: nothing is known.
    pub busy_until: Tick,
}

impl Fleet {
    /// Looks at everything, given what phase it was in at the last look ([`Phase::Starting`] at the first one). Costs a walk
    /// over all processes, so it is not for every change.
    #[must_use]
    pub fn status_report(&self, ready_when: ReadyWhen, before: Phase) -> FleetStatus {
        let all = || self.groups.values().flat_map(|group| &group.by_name);
        let processes = || all().filter_map(|&slot| self.slots.get(slot));
        let phase = match self.daemon_state {
            SupervisorState::Shutdown => Phase::Stopping,
            SupervisorState::Restarting => Phase::Reloading,
            SupervisorState::Running | SupervisorState::Fatal => match before {
                Phase::Starting if !self.began => Phase::Starting,
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
        let is_winding_down = self.winding_down.is_some();
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

    /// A client has asked for the configuration to be read, and it is not read yet.
    fn is_reading(&self) -> bool {
        self.tickets
            .values()
            .any(|pending| matches!(pending, Pending::Reread | Pending::Restart))
    }

    fn status<'a, P>(&self, phase: Phase, processes: impl Fn() -> P) -> String
    where
        P: Iterator<Item = &'a Process>,
    {
        let in_state = |states: &'static [ProcessState]| {
            processes().filter(move |process| states.contains(&process.state()))
        };
        if self.winding_down.is_some() {
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

/// Whether readiness waits for it.
fn is_awaited(process: &Process, ready_when: ReadyWhen) -> bool {
    match ready_when {
        ReadyWhen::Started => is_at_first_attempt(process),
        ReadyWhen::Running => {
            process.spec.autostart
                && match process.state() {
                    ProcessState::Starting | ProcessState::Backoff => true,
                    // One that has ended was RUNNING; one that somebody stops is not waited for.
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

/// Whether it was started with its group, and that attempt has come to nothing yet, neither a process nor a failure.
fn is_at_first_attempt(process: &Process) -> bool {
    process.spec.autostart
        && process.run.spawns == 0
        && process.run.tries == 0
        && match process.run.stage {
            Stage::Resolving(_) | Stage::Preparing(_) | Stage::Spawning(_) => true,
            Stage::Stopped
            | Stage::Exited { .. }
            | Stage::Fatal
            | Stage::Backoff { .. }
            | Stage::Starting { .. }
            | Stage::AwaitingReady { .. }
            | Stage::Terminating { .. }
            | Stage::Running { .. }
            | Stage::StopPending(_)
            | Stage::Stopping { .. }
            | Stage::Reaped { .. }
            | Stage::Unknown { .. } => false,
        }
}

/// Until when it may go on with what is waited for; [`Tick`] 0: nobody waits, or nobody knows.
fn busy_until(process: &Process, is_starting: bool, is_winding_down: bool) -> Tick {
    match process.run.stage {
        Stage::Starting { promote_at, .. } if is_starting => promote_at,
        Stage::AwaitingReady { ready_by, .. } if is_starting && ready_by != Tick::NEVER => ready_by,
        Stage::Terminating { kill_at, .. } if is_starting => kill_at,
        Stage::Backoff { retry_at } if is_starting && retry_at != Tick::NEVER => retry_at,
        // Once SIGKILL is out, more time helps nobody: what does not die of it is the kernel's to answer for.
        Stage::Stopping {
            kill_at,
            killed: false,
            ..
        } if is_winding_down => kill_at,
        Stage::Reaped { drain_by, .. } if is_winding_down => drain_by,
        Stage::Stopped
        | Stage::Exited { .. }
        | Stage::Fatal
        | Stage::Backoff { .. }
        | Stage::Resolving(_)
        | Stage::Preparing(_)
        | Stage::Spawning(_)
        | Stage::Starting { .. }
        | Stage::AwaitingReady { .. }
        | Stage::Terminating { .. }
        | Stage::Running { .. }
        | Stage::StopPending(_)
        | Stage::Stopping { .. }
        | Stage::Reaped { .. }
        | Stage::Unknown { .. } => Tick(0),
    }
}

/// The names of some processes, the first few in full.
fn names<'a>(processes: impl Iterator<Item = &'a Process>) -> String {
    let mut text = String::new();
    let mut count = 0;
    for process in processes {
        if count < NAMES_MAX {
            let name = Namespec::print(process.spec.group.as_str(), process.spec.name.as_str());
            if count > 0 {
                text.push_str(", ");
            }
            // A line break would begin another message, in our name.
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
