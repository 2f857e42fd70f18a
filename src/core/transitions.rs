//! The table of transitions: for each kind of stage and each trigger, the stages that the process may enter. It is the
//! truth and not a comment: every change of a stage goes through [`CurrentStage::enter`], which checks the change against
//! the table in debug builds, and a test drives a fleet through every cell. The manual and the list above
//! [`Stage`] are generated from it (`manual`).
//!
//! A change that leads over several stages is several steps, each with its own trigger: a failed attempt enters BACKOFF,
//! and then [`Trigger::RetriesSpent`] leads to FATAL.

use std::ops::Deref;

use serde::{Deserialize, Serialize};

use super::stage::{Stage, StageKind};

/// Something that can change the stage of a process: an input of the core, a request, or a consequence of another step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Trigger {
    /// A client, a group that was added, or a rolling restart starts the process.
    Start,
    /// A client or a rolling restart stops the process.
    Stop,
    /// The shutdown of the daemon reached the process.
    Shutdown,
    /// The command was found.
    Resolved,
    /// Pipes are made and logs are open.
    Prepared,
    /// The process exists.
    Spawned,
    /// A step of the attempt failed.
    SpawnFailed,
    /// The process exited and was reaped.
    Exited,
    /// The processes left in the cgroup were handled.
    Emptied,
    /// The rest of the output was written out.
    Drained,
    /// The kernel accepted a stop signal, or the process was gone.
    SignalSent,
    /// The kernel refused a signal.
    SignalRefused,
    /// The process sent a notify message.
    Notified,
    /// A check of readiness or health has ended, or a line of output counts as one.
    Checked,
    /// A hook that the process waits for has ended.
    HookEnded,
    /// The deadline of the stage was reached, and all earlier notify messages were handled.
    Deadline,
    /// The daemon starts and finds the process running.
    Adopted,
    /// Another daemon has handed over.
    Resumed,
    /// Consequence of a failed attempt: more than `startretries` retries failed.
    RetriesSpent,
    /// Consequence of a change of another process: everything that the process waits for is up.
    DependenciesMet,
    /// Consequence of a change of another process: something that the process waits for will not be up.
    DependencyFailed,
    /// Consequence of a stop before the spawn thread creates the process: no process comes into being.
    Cancelled,
    /// Inputs about a process that change no stage: a step that is held up, a foreign notify message, a client that
    /// waits.
    Other,
}

/// What a trigger does in a stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cell {
    /// The process may enter these stages. It may also stay as it is, depending on its data.
    To(&'static [StageKind]),
    /// The trigger changes nothing. The text says why it comes.
    Ignored(&'static str),
    /// The trigger cannot come for the instance of this stage. The text says why. If it comes, it changes nothing.
    Impossible(&'static str),
}

use Cell::{Ignored, Impossible, To};
use StageKind::{
    AwaitingReady, Backoff, Exited, Fatal, PreStart, PreStop, Preparing, ReapedRunning,
    ReapedStarting, ReapedStopping, ReapedUnknown, ReapedUnpromoted, Resolving, Running, Spawning,
    Starting, StopPending, Stopped, Stopping, TerminatingRunning, TerminatingStarting, Unknown,
    UnknownGone, Waiting,
};

/// Why inputs about an instance do not reach an idle process.
const LATE: Cell = Ignored("the input is about an earlier instance");
/// Why most triggers do not come before a process exists.
const NO_PROCESS: Cell = Ignored("no process exists yet");

/// Returns what `on` does in a stage of the kind `from`.
pub(super) const fn cell(from: StageKind, on: Trigger) -> Cell {
    match on {
        Trigger::Start => on_start(from),
        Trigger::Stop => on_stop(from),
        Trigger::Shutdown => on_shutdown(from),
        Trigger::Resolved => on_resolved(from),
        Trigger::Prepared => on_prepared(from),
        Trigger::Spawned => on_spawned(from),
        Trigger::SpawnFailed => on_spawn_failed(from),
        Trigger::Exited => on_exited(from),
        Trigger::Emptied => on_emptied(from),
        Trigger::Drained => on_drained(from),
        Trigger::SignalSent => on_signal_sent(from),
        Trigger::SignalRefused => on_signal_refused(from),
        Trigger::Notified => on_notified(from),
        Trigger::Checked => match from {
            AwaitingReady => To(&[Running]),
            Running => To(&[TerminatingRunning, PreStop, Stopping]),
            _ => Ignored("the check was about an earlier stage or instance"),
        },
        Trigger::HookEnded => match from {
            PreStart => To(&[Preparing, Backoff]),
            PreStop => To(&[PreStop, Stopping]),
            _ => Ignored("nothing waits for the hook any more"),
        },
        Trigger::Deadline => on_deadline(from),
        Trigger::Adopted => on_adopted(from),
        Trigger::Resumed => on_resumed(from),
        Trigger::RetriesSpent => match from {
            Backoff => To(&[Fatal]),
            _ => Impossible("it follows a failed attempt, which is in BACKOFF"),
        },
        Trigger::DependenciesMet => match from {
            Waiting => To(&[Resolving]),
            _ => Impossible("only a process that waits is told"),
        },
        Trigger::DependencyFailed => match from {
            Waiting => To(&[Stopped]),
            _ => Impossible("only a process that waits is told"),
        },
        Trigger::Cancelled => match from {
            StopPending => To(&[Stopped]),
            _ => Impossible("it follows the stop of an attempt"),
        },
        Trigger::Other => Ignored("such inputs change no stage"),
    }
}

const fn on_start(from: StageKind) -> Cell {
    match from {
        Stopped | Exited | Fatal => To(&[Resolving, Waiting]),
        // Without its dependencies, if the request says so.
        Waiting => To(&[Resolving]),
        Backoff | Resolving | PreStart | Preparing | Spawning | Starting | AwaitingReady
        | Running | TerminatingStarting | TerminatingRunning | ReapedStarting
        | ReapedUnpromoted | ReapedRunning => Ignored("refused: the process is started"),
        StopPending | PreStop | Stopping | ReapedStopping => {
            Ignored("refused: the process is stopping")
        }
        UnknownGone | Unknown | ReapedUnknown => {
            Ignored("refused: a second process may run beside the first")
        }
    }
}

const fn on_stop(from: StageKind) -> Cell {
    match from {
        // The automatic restart is cancelled.
        Exited => To(&[Exited]),
        Backoff | Waiting => To(&[Stopped]),
        Resolving | PreStart | Preparing | Spawning => To(&[StopPending]),
        Starting | AwaitingReady | Running | TerminatingStarting | TerminatingRunning => {
            To(&[PreStop, Stopping])
        }
        // The process is gone. Only the exit that will be published changes.
        ReapedStarting | ReapedUnpromoted | ReapedRunning => To(&[ReapedStopping]),
        Stopped | Fatal => Ignored("refused: the process does not run"),
        UnknownGone | Unknown | ReapedUnknown => Ignored("refused: the state is unknown"),
        StopPending | PreStop | Stopping | ReapedStopping => Ignored("the process stops already"),
    }
}

const fn on_shutdown(from: StageKind) -> Cell {
    match from {
        Backoff => To(&[Fatal]),
        Waiting => To(&[Stopped]),
        Resolving | PreStart | Preparing | Spawning | Starting | AwaitingReady | Running
        | TerminatingStarting | TerminatingRunning | ReapedStarting | ReapedUnpromoted
        | ReapedRunning => on_stop(from),
        StopPending | PreStop | Stopping | ReapedStopping => Ignored("the process stops already"),
        Stopped | Exited | Fatal => Ignored("the process has stopped"),
        UnknownGone | Unknown | ReapedUnknown => Ignored("the daemon does not wait for it"),
    }
}

const fn on_resolved(from: StageKind) -> Cell {
    match from {
        Resolving => To(&[PreStart, Preparing]),
        Stopped | Exited | Fatal | Backoff | Waiting | UnknownGone => LATE,
        PreStart | Preparing | Spawning | Starting | AwaitingReady | Running
        | TerminatingStarting | TerminatingRunning | PreStop | Stopping | Unknown => {
            Impossible("the shell resolves an instance once")
        }
        StopPending => Impossible("the stop of an attempt that resolves leads to STOPPED at once"),
        ReapedStarting | ReapedUnpromoted | ReapedRunning | ReapedStopping | ReapedUnknown => {
            Ignored("it is about the next attempt, which keeps the answer")
        }
    }
}

const fn on_prepared(from: StageKind) -> Cell {
    match from {
        Preparing => To(&[Spawning]),
        Stopped | Exited | Fatal | Backoff | Waiting | UnknownGone => LATE,
        Resolving | PreStart => Ignored("preparing began early, and the attempt keeps the answer"),
        Spawning | Starting | AwaitingReady | Running | TerminatingStarting
        | TerminatingRunning | PreStop | Stopping | Unknown => {
            Impossible("the shell prepares an instance once")
        }
        StopPending => Impossible("the stop of an attempt that prepares leads to STOPPED at once"),
        ReapedStarting | ReapedUnpromoted | ReapedRunning | ReapedStopping | ReapedUnknown => {
            Ignored("it is about the next attempt, which keeps the answer")
        }
    }
}

const fn on_spawned(from: StageKind) -> Cell {
    match from {
        // Preparing: the previous daemon asked for the process and was killed before it wrote that down.
        Preparing | Spawning => To(&[Starting, AwaitingReady, Running]),
        StopPending => To(&[PreStop, Stopping]),
        Stopped | Exited | Fatal | Backoff | Waiting | UnknownGone => {
            Ignored("the process belongs to an attempt that has ended, and is killed")
        }
        Resolving | PreStart => {
            Ignored("not asked for: recovery found a process left in the cgroup")
        }
        Starting | AwaitingReady | Running | TerminatingStarting | TerminatingRunning | PreStop
        | Stopping | Unknown | ReapedStarting | ReapedUnpromoted | ReapedRunning
        | ReapedStopping | ReapedUnknown => Impossible("the shell spawns an instance once"),
    }
}

const fn on_spawn_failed(from: StageKind) -> Cell {
    match from {
        // Resolving: an attempt that began early is repeated with its steps in order.
        Resolving => To(&[Resolving, Backoff]),
        PreStart | Preparing | Spawning => To(&[Backoff]),
        StopPending => To(&[Stopped]),
        Stopped | Exited | Fatal | Backoff | Waiting | UnknownGone => LATE,
        Starting | AwaitingReady | Running | TerminatingStarting | TerminatingRunning | PreStop
        | Stopping | Unknown => Impossible("the shell has spawned the process"),
        ReapedStarting | ReapedUnpromoted | ReapedRunning | ReapedStopping | ReapedUnknown => {
            Ignored("it is about the next attempt, which is repeated later")
        }
    }
}

const fn on_exited(from: StageKind) -> Cell {
    match from {
        Starting => To(&[ReapedStarting, ReapedUnpromoted]),
        AwaitingReady | TerminatingStarting => To(&[ReapedStarting]),
        Running | TerminatingRunning => To(&[ReapedRunning]),
        PreStop | Stopping => To(&[ReapedStopping]),
        Unknown => To(&[ReapedUnknown]),
        Stopped | Exited | Fatal | Backoff | Waiting | UnknownGone => LATE,
        Resolving | PreStart | Preparing | Spawning | StopPending => NO_PROCESS,
        ReapedStarting | ReapedUnpromoted | ReapedRunning | ReapedStopping | ReapedUnknown => {
            Ignored("the previous daemon has reaped the process")
        }
    }
}

const fn on_emptied(from: StageKind) -> Cell {
    match from {
        ReapedStarting => To(&[ReapedStarting]),
        ReapedUnpromoted => To(&[ReapedUnpromoted]),
        ReapedRunning => To(&[ReapedRunning]),
        ReapedStopping => To(&[ReapedStopping]),
        ReapedUnknown => To(&[ReapedUnknown]),
        Stopped | Exited | Fatal | Backoff | Waiting | UnknownGone => LATE,
        Resolving | PreStart | Preparing | Spawning | StopPending => NO_PROCESS,
        Starting | AwaitingReady | Running | TerminatingStarting | TerminatingRunning | PreStop
        | Stopping | Unknown => Impossible("a cgroup is emptied after the exit"),
    }
}

const fn on_drained(from: StageKind) -> Cell {
    match from {
        ReapedStarting => To(&[Backoff]),
        // RUNNING is published before EXITED.
        ReapedUnpromoted => To(&[ReapedRunning]),
        ReapedRunning => To(&[Exited]),
        ReapedStopping => To(&[Stopped]),
        // As in the stage before the refusal.
        ReapedUnknown => To(&[Backoff, Exited, Stopped]),
        Stopped | Exited | Fatal | Backoff | Waiting | UnknownGone => LATE,
        Resolving | PreStart | Preparing | Spawning | StopPending => NO_PROCESS,
        Starting | AwaitingReady | Running | TerminatingStarting | TerminatingRunning | PreStop
        | Stopping | Unknown => Impossible("the output of a process that runs is not drained"),
    }
}

const fn on_signal_sent(from: StageKind) -> Cell {
    match from {
        Stopping => To(&[Stopping]),
        Stopped | Exited | Fatal | Backoff | Waiting | UnknownGone => LATE,
        Resolving | PreStart | Preparing | Spawning | StopPending => NO_PROCESS,
        Starting | AwaitingReady | Running | TerminatingStarting | TerminatingRunning | PreStop
        | Unknown => Ignored("the process does not stop, so its exit tells the rest"),
        ReapedStarting | ReapedUnpromoted | ReapedRunning | ReapedStopping | ReapedUnknown => {
            Ignored("the process has exited since")
        }
    }
}

const fn on_signal_refused(from: StageKind) -> Cell {
    match from {
        Starting | AwaitingReady | Running | TerminatingStarting | TerminatingRunning | PreStop
        | Stopping => To(&[Unknown]),
        Stopped | Exited | Fatal | Backoff | Waiting | UnknownGone => LATE,
        Resolving | PreStart | Preparing | Spawning | StopPending => NO_PROCESS,
        Unknown => Ignored("the process is UNKNOWN already"),
        ReapedStarting | ReapedUnpromoted | ReapedRunning | ReapedStopping | ReapedUnknown => {
            Ignored("the process has exited since")
        }
    }
}

const fn on_notified(from: StageKind) -> Cell {
    match from {
        AwaitingReady => To(&[Running, TerminatingStarting, AwaitingReady]),
        Running => To(&[TerminatingRunning]),
        Stopping => To(&[Stopping]),
        Stopped | Exited | Fatal | Backoff | Waiting | UnknownGone => LATE,
        Resolving | PreStart | Preparing | Spawning | StopPending => NO_PROCESS,
        Starting | TerminatingStarting | TerminatingRunning | PreStop | Unknown => {
            Ignored("no message changes this stage")
        }
        ReapedStarting | ReapedUnpromoted | ReapedRunning | ReapedStopping | ReapedUnknown => {
            Ignored("the process has exited since")
        }
    }
}

const fn on_deadline(from: StageKind) -> Cell {
    match from {
        // The same stage again: the daemon stops, and no process is started any more.
        Exited => To(&[Resolving, Waiting, Exited]),
        Backoff => To(&[Resolving, Waiting, Backoff]),
        Starting => To(&[Running]),
        AwaitingReady => To(&[TerminatingStarting]),
        Running => To(&[TerminatingRunning]),
        // SIGKILL is sent, and the next deadline is set.
        TerminatingStarting => To(&[TerminatingStarting]),
        TerminatingRunning => To(&[TerminatingRunning]),
        PreStop => To(&[PreStop, Stopping]),
        Stopping => To(&[Stopping]),
        // Emptying took too long, so draining begins; or draining took too long, so the exit is published.
        ReapedStarting => To(&[ReapedStarting, Backoff]),
        ReapedUnpromoted => To(&[ReapedUnpromoted, ReapedRunning]),
        ReapedRunning => To(&[ReapedRunning, Exited]),
        ReapedStopping => To(&[ReapedStopping, Stopped]),
        ReapedUnknown => To(&[ReapedUnknown, Backoff, Exited, Stopped]),
        Stopped | Fatal | Waiting | UnknownGone | Resolving | PreStart | Preparing | Spawning
        | StopPending | Unknown => {
            Ignored("the stage has no deadline, but a client may wait for the process")
        }
    }
}

const fn on_adopted(from: StageKind) -> Cell {
    match from {
        Stopped => To(&[Starting]),
        Exited | Fatal | Backoff | Waiting | UnknownGone | Resolving | PreStart | Preparing
        | Spawning | StopPending | Starting | AwaitingReady | Running | TerminatingStarting
        | TerminatingRunning | PreStop | Stopping | Unknown | ReapedStarting | ReapedUnpromoted
        | ReapedRunning | ReapedStopping | ReapedUnknown => {
            Impossible("a daemon adopts before it starts anything")
        }
    }
}

const fn on_resumed(from: StageKind) -> Cell {
    match from {
        // No process exists, so the attempt starts again.
        Resolving | PreStart | Preparing | Spawning => To(&[Resolving]),
        StopPending | UnknownGone => To(&[Stopped]),
        Stopped | Exited | Fatal | Backoff | Waiting => Ignored("there is nothing to take over"),
        // With `ready_log`: its output since is read before the deadline takes effect.
        AwaitingReady => To(&[AwaitingReady]),
        Starting | Running | TerminatingStarting | TerminatingRunning | PreStop | Stopping
        | Unknown => Ignored("the process is adopted in its stage"),
        ReapedStarting | ReapedUnpromoted | ReapedRunning | ReapedStopping | ReapedUnknown => {
            Ignored("the step is asked for again")
        }
    }
}

/// The stage of a process. It can be read like a [`Stage`], and changed only with [`CurrentStage::enter`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct CurrentStage(Stage);

impl CurrentStage {
    /// Returns the stage of a process that was never started, or that another daemon has written down.
    pub(super) const fn restored(stage: Stage) -> Self {
        Self(stage)
    }

    /// Enters the stage `to` because of `on`. Panics in debug builds if the table has no such step.
    pub(super) fn enter(&mut self, to: Stage, on: Trigger) {
        let step = Step {
            from: self.0.kind(),
            on,
            to: to.kind(),
        };
        debug_assert!(
            step.is_allowed(),
            "not in the table of transitions: {step:?}"
        );
        #[cfg(test)]
        trace::STEPS.with_borrow_mut(|steps| steps.push(step));
        self.0 = to;
    }

    /// Panics in debug builds if the table says that `on` cannot come now.
    pub(super) fn expect(&self, on: Trigger) {
        // Unit tests send such inputs on purpose.
        if cfg!(test) {
            return;
        }
        let from = self.0.kind();
        debug_assert!(
            !matches!(cell(from, on), Impossible(_)),
            "impossible according to the table of transitions: {on:?} in {from:?}"
        );
    }
}

impl Deref for CurrentStage {
    type Target = Stage;

    fn deref(&self) -> &Stage {
        &self.0
    }
}

/// One change of a stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Step {
    /// The kind of the stage before.
    pub(super) from: StageKind,
    /// Why it changes.
    pub(super) on: Trigger,
    /// The kind of the stage afterwards.
    pub(super) to: StageKind,
}

impl Step {
    /// Returns whether the table has this step.
    fn is_allowed(&self) -> bool {
        matches!(cell(self.from, self.on), To(stages) if stages.contains(&self.to))
    }

    /// Returns every step of the table, by stage and trigger.
    pub(super) fn all() -> impl Iterator<Item = Self> {
        StageKind::ALL.into_iter().flat_map(|from| {
            Trigger::ALL.into_iter().flat_map(move |on| {
                let to: &[StageKind] = match cell(from, on) {
                    To(stages) => stages,
                    Ignored(_) | Impossible(_) => &[],
                };
                to.iter().map(move |&to| Self { from, on, to })
            })
        })
    }
}

impl Trigger {
    /// Every trigger.
    pub(super) const ALL: [Self; 23] = [
        Self::Start,
        Self::Stop,
        Self::Shutdown,
        Self::Resolved,
        Self::Prepared,
        Self::Spawned,
        Self::SpawnFailed,
        Self::Exited,
        Self::Emptied,
        Self::Drained,
        Self::SignalSent,
        Self::SignalRefused,
        Self::Notified,
        Self::Checked,
        Self::HookEnded,
        Self::Deadline,
        Self::Adopted,
        Self::Resumed,
        Self::RetriesSpent,
        Self::DependenciesMet,
        Self::DependencyFailed,
        Self::Cancelled,
        Self::Other,
    ];
}

/// The steps of this thread, for tests.
#[cfg(test)]
pub(super) mod trace {
    use std::cell::RefCell;

    use super::Step;

    thread_local! {
        pub(super) static STEPS: RefCell<Vec<Step>> = const { RefCell::new(Vec::new()) };
    }

    /// Runs `act` and returns the steps that it made.
    pub(in crate::core) fn of(act: impl FnOnce()) -> Vec<Step> {
        STEPS.take();
        act();
        STEPS.take()
    }
}
