//! One process and its transitions: what happened and what is wanted, to the next [`Stage`] and to actions. It must not
//! know groups, clients or timers; those are the fleet's.

use std::collections::VecDeque;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::stage::{Stage, Was};
use super::ticket::{Purpose, Waiter};
use super::{Action, Actions, SignalScope};
use crate::api::ProcessView;
use crate::config::spec::{AutoRestart, ProcessSpec};
use crate::domain::{
    Event, EventKind, ExitStatus, Life, Line, LogPaths, Now, ProcessState, Seconds, Signal,
    SpawnError, Tick,
};

/// Seconds that the output of an ended process may take to be written out before its exit is reported without it.
pub(super) const DRAIN_SECS_MAX: Seconds = Seconds(10);
/// Seconds between two SIGKILLs, at least, however small `stopwaitsecs` is.
const KILL_AGAIN_SECS_MIN: i64 = 1;
/// Seconds between two "waiting for … to stop" lines of one process.
const STOP_REPORT_SECS: Seconds = Seconds(2);

/// One moment in which processes change: the clocks, the place for actions, and what the fleet lends.
pub(super) struct Moment<'a> {
    /// Both clocks.
    pub(super) now: Now,
    /// Where actions go, in order.
    pub(super) out: &'a mut Actions,
    /// The number of the life made last.
    pub(super) lives: &'a mut u64,
    /// Signals on their way.
    pub(super) signals: &'a mut VecDeque<(Life, Signal, Purpose)>,
    /// Starts are allowed: the daemon is not stopping.
    pub(super) may_start: bool,
}

/// Why the last start is not a clean one; what `spawnerr` says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Trouble {
    /// It could not be spawned.
    NotSpawned(Box<SpawnError>),
    /// It ended before `startsecs`.
    TooQuick,
    /// It ended by itself with this unexpected code.
    BadExit(i32),
}

impl std::fmt::Display for Trouble {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NotSpawned(error) => error.fmt(f),
            Self::TooQuick => f.write_str("Exited too quickly (process log may have details)"),
            Self::BadExit(code) => write!(f, "Bad exit code {code}"),
        }
    }
}

/// What changes while a process is supervised; the part of it that a successor of the daemon must be told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Run {
    /// Where it stands.
    pub(super) stage: Stage,
    /// Failed attempts since it last was RUNNING.
    pub(super) tries: u32,
    /// Why the last start is not a clean one.
    pub(super) trouble: Option<Trouble>,
    /// The last exit code, -1 after a signal, 0 if there is none.
    pub(super) exit_status: i32,
    /// Seconds since the epoch of the last attempt; 0: never.
    pub(super) start: i64,
    /// Seconds since the epoch of the last exit; 0: never.
    pub(super) stop: i64,
    /// When it was spawned last, on the clock that decides.
    pub(super) spawned_at: Tick,
    /// When the next "waiting for … to stop" line is due; [`Tick::NEVER`] while nobody waits.
    pub(super) report_at: Tick,
    /// Clients that wait for this process.
    pub(super) waiters: Vec<Waiter>,
}

/// One supervised process.
#[derive(Debug)]
pub(super) struct Process {
    /// Its configuration when its group was added.
    pub(super) spec: Arc<ProcessSpec>,
    /// Where its streams are written.
    pub(super) logs: LogPaths,
    /// Tells the occupants of one slot apart; never used again.
    pub(super) tenure: u64,
    /// What changes.
    pub(super) run: Run,
    /// The deadline that the fleet's timer list holds for it.
    pub(super) armed: Tick,
}

impl Process {
    /// A process that was never started.
    pub(super) fn new(spec: Arc<ProcessSpec>, logs: LogPaths, tenure: u64) -> Self {
        Self {
            spec,
            logs,
            tenure,
            run: Run {
                stage: Stage::Stopped,
                tries: 0,
                trouble: None,
                exit_status: 0,
                start: 0,
                stop: 0,
                spawned_at: Tick(0),
                report_at: Tick::NEVER,
                waiters: Vec::new(),
            },
            armed: Tick::NEVER,
        }
    }

    /// The state that clients see.
    pub(super) const fn state(&self) -> ProcessState {
        self.run.stage.state()
    }

    /// Bytes for its standard input are taken: it lives and nobody has asked it to stop.
    pub(super) fn takes_stdin(&self) -> bool {
        self.state() != ProcessState::Stopping && self.run.stage.reachable().is_some()
    }

    /// When something happens by itself.
    pub(super) fn deadline(&self) -> Tick {
        self.run.stage.deadline().min(self.run.report_at)
    }

    /// As clients see it.
    pub(super) fn view(&self, now: Now) -> ProcessView {
        let nanos = now.mono.nanos_since(self.run.spawned_at);
        ProcessView {
            name: self.spec.name.clone(),
            group: self.spec.group.clone(),
            state: self.state(),
            start: self.run.start,
            stop: self.run.stop,
            now: now.wall.secs(),
            uptime: nanos / 1_000_000_000,
            spawn_error: self
                .run
                .trouble
                .as_ref()
                .map(ToString::to_string)
                .unwrap_or_default(),
            exit_status: self.run.exit_status,
            pid: self.run.stage.pid(),
            stdout_logfile: self.logs.stdout.clone(),
            stderr_logfile: self.logs.stderr.clone(),
        }
    }

    /// Enters `to` and tells subscribers, if that is another state. `pid` and `expected` are for the event.
    fn enter(&mut self, to: Stage, pid: i32, expected: bool, moment: &mut Moment<'_>) {
        let from = self.state();
        self.run.stage = to;
        self.publish(from, self.state(), pid, expected, moment);
    }

    fn publish(
        &self,
        from: ProcessState,
        to: ProcessState,
        pid: i32,
        expected: bool,
        moment: &mut Moment<'_>,
    ) {
        if from == to {
            return;
        }
        moment.out.push(Action::Publish(Event {
            group: Some(self.spec.group.clone()),
            process: Some(self.spec.name.clone()),
            kind: EventKind::ProcessState {
                from,
                to,
                tries: self.run.tries,
                pid,
                expected,
            },
        }));
    }

    fn log(moment: &mut Moment<'_>, line: Line) {
        moment.out.push(Action::Log(line));
    }

    /// Begins an attempt. Only from a stage in which nothing lives and the shell owes nothing.
    pub(super) fn start(&mut self, slot: u32, moment: &mut Moment<'_>) {
        match self.run.stage {
            Stage::Stopped | Stage::Exited { .. } | Stage::Fatal | Stage::Backoff { .. } => {}
            // Admission refuses these, and nothing else asks: a second life beside the first must never be.
            Stage::Resolving(_)
            | Stage::Preparing(_)
            | Stage::Spawning(_)
            | Stage::Starting { .. }
            | Stage::Running { .. }
            | Stage::Aborting(_)
            | Stage::Stopping { .. }
            | Stage::Dying { .. }
            | Stage::Unknown { .. } => return,
        }
        *moment.lives += 1;
        let life = Life {
            slot,
            incarnation: *moment.lives,
        };
        self.run.trouble = None;
        self.run.exit_status = 0;
        self.run.start = moment.now.wall.secs();
        self.run.spawned_at = moment.now.mono;
        self.enter(Stage::Resolving(life), 0, false, moment);
        moment
            .out
            .push(Action::Resolve(life, Arc::clone(&self.spec)));
    }

    /// The command was found.
    pub(super) fn resolved(&mut self, moment: &mut Moment<'_>) {
        match self.run.stage {
            Stage::Resolving(life) => {
                self.run.stage = Stage::Preparing(life);
                moment.out.push(Action::Prepare(
                    life,
                    Arc::clone(&self.spec),
                    self.logs.clone(),
                ));
            }
            // The shell says it once per life.
            Stage::Stopped
            | Stage::Exited { .. }
            | Stage::Fatal
            | Stage::Backoff { .. }
            | Stage::Preparing(_)
            | Stage::Spawning(_)
            | Stage::Starting { .. }
            | Stage::Running { .. }
            | Stage::Aborting(_)
            | Stage::Stopping { .. }
            | Stage::Dying { .. }
            | Stage::Unknown { .. } => {}
        }
    }

    /// Pipes and logs are there.
    pub(super) fn prepared(&mut self, moment: &mut Moment<'_>) {
        match self.run.stage {
            Stage::Preparing(life) => {
                self.run.stage = Stage::Spawning(life);
                moment.out.push(Action::Keep(life));
                moment.out.push(Action::Spawn(life, Arc::clone(&self.spec)));
            }
            // The shell says it once per life, after it resolved.
            Stage::Stopped
            | Stage::Exited { .. }
            | Stage::Fatal
            | Stage::Backoff { .. }
            | Stage::Resolving(_)
            | Stage::Spawning(_)
            | Stage::Starting { .. }
            | Stage::Running { .. }
            | Stage::Aborting(_)
            | Stage::Stopping { .. }
            | Stage::Dying { .. }
            | Stage::Unknown { .. } => {}
        }
    }

    /// The process exists.
    pub(super) fn spawned(&mut self, pid: i32, moment: &mut Moment<'_>) {
        match self.run.stage {
            Stage::Spawning(life) => {
                self.note_spawn(pid, moment);
                let startsecs = self.spec.startsecs;
                if startsecs.0 > 0 {
                    self.run.stage = Stage::Starting {
                        life,
                        pid,
                        promote_at: moment.now.mono + startsecs,
                    };
                } else {
                    self.promote(life, pid, moment);
                }
            }
            Stage::Aborting(life) => {
                self.note_spawn(pid, moment);
                self.send_stop(life, pid, moment);
            }
            // The shell says it once per life, and only after it was asked to spawn.
            Stage::Stopped
            | Stage::Exited { .. }
            | Stage::Fatal
            | Stage::Backoff { .. }
            | Stage::Resolving(_)
            | Stage::Preparing(_)
            | Stage::Starting { .. }
            | Stage::Running { .. }
            | Stage::Stopping { .. }
            | Stage::Dying { .. }
            | Stage::Unknown { .. } => {}
        }
    }

    fn note_spawn(&mut self, pid: i32, moment: &mut Moment<'_>) {
        self.run.start = moment.now.wall.secs();
        self.run.spawned_at = moment.now.mono;
        Self::log(
            moment,
            Line::Spawned {
                name: self.spec.name.clone(),
                pid,
            },
        );
    }

    fn promote(&mut self, life: Life, pid: i32, moment: &mut Moment<'_>) {
        self.run.tries = 0;
        self.enter(Stage::Running { life, pid }, pid, false, moment);
        Self::log(
            moment,
            Line::Success {
                name: self.spec.name.clone(),
                startsecs: self.spec.startsecs.0,
            },
        );
    }

    /// No process came of the attempt.
    pub(super) fn spawn_failed(&mut self, error: SpawnError, moment: &mut Moment<'_>) {
        match self.run.stage {
            Stage::Resolving(_) | Stage::Preparing(_) => self.note_failure(error, moment),
            Stage::Spawning(life) => {
                moment.out.push(Action::Drain(life));
                self.note_failure(error, moment);
            }
            Stage::Aborting(life) => {
                moment.out.push(Action::Drain(life));
                Self::log(
                    moment,
                    Line::SpawnFailed {
                        error: error.to_string(),
                    },
                );
                self.run.trouble = Some(Trouble::NotSpawned(Box::new(error)));
                self.enter(Stage::Stopped, 0, false, moment);
            }
            // An attempt fails only while it is made.
            Stage::Stopped
            | Stage::Exited { .. }
            | Stage::Fatal
            | Stage::Backoff { .. }
            | Stage::Starting { .. }
            | Stage::Running { .. }
            | Stage::Stopping { .. }
            | Stage::Dying { .. }
            | Stage::Unknown { .. } => {}
        }
    }

    fn note_failure(&mut self, error: SpawnError, moment: &mut Moment<'_>) {
        Self::log(
            moment,
            Line::SpawnFailed {
                error: error.to_string(),
            },
        );
        self.run.trouble = Some(Trouble::NotSpawned(Box::new(error)));
        self.back_off(moment);
        self.give_up_if_spent(moment);
    }

    fn back_off(&mut self, moment: &mut Moment<'_>) {
        self.run.tries = self.run.tries.saturating_add(1);
        let retry_at = if moment.may_start {
            moment.now.mono + Seconds(i64::from(self.run.tries))
        } else {
            Tick::NEVER
        };
        self.enter(Stage::Backoff { retry_at }, 0, false, moment);
    }

    fn give_up_if_spent(&mut self, moment: &mut Moment<'_>) {
        if i64::from(self.run.tries) > self.spec.startretries {
            self.give_up(moment);
            Self::log(
                moment,
                Line::GaveUp {
                    name: self.spec.name.clone(),
                },
            );
        }
    }

    /// BACKOFF becomes FATAL, without a line: what a stop of the daemon does.
    pub(super) fn give_up(&mut self, moment: &mut Moment<'_>) {
        if matches!(self.run.stage, Stage::Backoff { .. }) {
            self.run.tries = 0;
            self.enter(Stage::Fatal, 0, false, moment);
        }
    }

    /// It was reaped. What becomes of it is decided when its output is written out.
    pub(super) fn exited(&mut self, status: ExitStatus, moment: &mut Moment<'_>) {
        let (life, pid, was) = match self.run.stage {
            Stage::Starting { life, pid, .. } => {
                // Differs: the original may promote a process that is dead already, since it looks at the clock before
                // it reaps. Here the reap decides, by the monotonic clock.
                let due = self.run.spawned_at + self.spec.startsecs;
                let was = if moment.now.mono < due {
                    Was::TooQuick
                } else {
                    Was::Unpromoted
                };
                (life, pid, was)
            }
            Stage::Running { life, pid } => (life, pid, Was::Running),
            Stage::Stopping { life, pid, .. } => (life, pid, Was::Stopping),
            Stage::Unknown {
                alive: Some((life, pid)),
            } => (life, pid, Was::Unknown),
            // Nothing lives here, or it was reaped before.
            Stage::Unknown { alive: None }
            | Stage::Stopped
            | Stage::Exited { .. }
            | Stage::Fatal
            | Stage::Backoff { .. }
            | Stage::Resolving(_)
            | Stage::Preparing(_)
            | Stage::Spawning(_)
            | Stage::Aborting(_)
            | Stage::Dying { .. } => return,
        };
        self.run.stop = moment.now.wall.secs();
        self.run.stage = Stage::Dying {
            life,
            pid,
            status,
            was,
            drain_by: moment.now.mono + DRAIN_SECS_MAX,
        };
        moment.out.push(Action::Drain(life));
    }

    /// Everything it wrote is in its logs (or has taken too long to get there): its end is told.
    pub(super) fn drained(&mut self, moment: &mut Moment<'_>) {
        match self.run.stage {
            Stage::Dying {
                life,
                pid,
                status,
                was,
                ..
            } => match was {
                Was::TooQuick => {
                    self.run.exit_status = 0;
                    self.run.trouble = Some(Trouble::TooQuick);
                    self.back_off(moment);
                    self.log_exit(status, false, moment);
                    self.give_up_if_spent(moment);
                }
                Was::Unpromoted => {
                    self.run.tries = 0;
                    self.enter(Stage::Running { life, pid }, pid, false, moment);
                    self.end(pid, status, moment);
                }
                Was::Running => self.end(pid, status, moment),
                Was::Stopping => {
                    self.run.exit_status = status.code();
                    self.enter(Stage::Stopped, pid, false, moment);
                    let name = self.spec.name.clone();
                    Self::log(
                        moment,
                        if self.expects(status) {
                            Line::StoppedExpected { name, status }
                        } else {
                            Line::StoppedUnexpected { name, status }
                        },
                    );
                }
                // Differs: the original fails an assertion here. UNKNOWN is never left, but the end is worth a line.
                Was::Unknown => {
                    self.run.exit_status = status.code();
                    self.run.stage = Stage::Unknown { alive: None };
                    self.log_exit(status, self.expects(status), moment);
                }
            },
            // Only a dying process is drained; the undoing of an attempt is not waited for.
            Stage::Stopped
            | Stage::Exited { .. }
            | Stage::Fatal
            | Stage::Backoff { .. }
            | Stage::Resolving(_)
            | Stage::Preparing(_)
            | Stage::Spawning(_)
            | Stage::Starting { .. }
            | Stage::Running { .. }
            | Stage::Aborting(_)
            | Stage::Stopping { .. }
            | Stage::Unknown { .. } => {}
        }
    }

    fn expects(&self, status: ExitStatus) -> bool {
        match status {
            ExitStatus::Exited(code) => self.spec.exitcodes.contains(&code),
            ExitStatus::Signalled { .. } | ExitStatus::Unknown(_) => false,
        }
    }

    fn log_exit(&self, status: ExitStatus, expected: bool, moment: &mut Moment<'_>) {
        let name = self.spec.name.clone();
        Self::log(
            moment,
            if expected {
                Line::ExitedExpected { name, status }
            } else {
                Line::ExitedUnexpected { name, status }
            },
        );
    }

    /// RUNNING → EXITED, and whether and when it starts again by itself.
    fn end(&mut self, pid: i32, status: ExitStatus, moment: &mut Moment<'_>) {
        let expected = self.expects(status);
        self.run.tries = 0;
        self.run.exit_status = status.code();
        if !expected {
            self.run.trouble = Some(Trouble::BadExit(status.code()));
        }
        let again = match self.spec.autorestart {
            AutoRestart::Always => true,
            AutoRestart::Never => false,
            AutoRestart::Unexpected => !expected,
        };
        let now = moment.now.mono;
        let restart_at = if again && moment.may_start {
            now.max(self.run.spawned_at + self.spec.restart_floor)
        } else {
            Tick::NEVER
        };
        self.enter(Stage::Exited { restart_at }, pid, expected, moment);
        self.log_exit(status, expected, moment);
        // Differs: the original starts it again at its next look, which its one-second lag keeps from being a hot loop.
        if restart_at != Tick::NEVER && restart_at > now {
            Self::log(
                moment,
                Line::RestartFloored {
                    name: self.spec.name.clone(),
                    millis: restart_at.nanos_since(now) / 1_000_000,
                },
            );
        }
    }

    /// Asks it to stop. Answers whether that is a change: a process that is not running, or is stopping already, stays.
    pub(super) fn stop(&mut self, moment: &mut Moment<'_>) {
        match self.run.stage {
            // No process yet, and none will come: the answer of the shell will be stale.
            Stage::Resolving(_) => self.cancel(moment),
            Stage::Preparing(life) => {
                moment.out.push(Action::Drain(life));
                self.cancel(moment);
            }
            Stage::Spawning(life) => self.enter(Stage::Aborting(life), 0, false, moment),
            Stage::Starting { life, pid, .. } | Stage::Running { life, pid } => {
                self.send_stop(life, pid, moment);
            }
            Stage::Backoff { .. } => {
                Self::log(
                    moment,
                    Line::KillInBackoff {
                        name: self.spec.name.clone(),
                    },
                );
                self.enter(Stage::Stopped, 0, false, moment);
            }
            Stage::Dying {
                life,
                pid,
                status,
                was: Was::TooQuick | Was::Unpromoted | Was::Running,
                drain_by,
            } => {
                // It is reaped: its number may belong to somebody else. It only has to be told as stopped.
                let to = Stage::Dying {
                    life,
                    pid,
                    status,
                    was: Was::Stopping,
                    drain_by,
                };
                self.enter(to, pid, false, moment);
            }
            Stage::Exited { .. } => self.forget_restart(moment),
            Stage::Stopped
            | Stage::Fatal
            | Stage::Aborting(_)
            | Stage::Stopping { .. }
            | Stage::Dying {
                was: Was::Stopping | Was::Unknown,
                ..
            }
            | Stage::Unknown { .. } => {}
        }
    }

    /// Calls an automatic restart off that waits for its time.
    ///
    /// Differs: the original answers a stop of such a process with "not running" and starts it again a moment later.
    /// With a restart floor that moment is long, and a looping program could hardly be stopped: the wish is kept.
    pub(super) fn forget_restart(&mut self, _: &mut Moment<'_>) {
        if let Stage::Exited { restart_at } = &mut self.run.stage {
            *restart_at = Tick::NEVER;
        }
    }

    /// STARTING → STOPPING → STOPPED at once: both are told, so that subscribers see no new kind of step.
    fn cancel(&mut self, moment: &mut Moment<'_>) {
        self.publish(
            ProcessState::Starting,
            ProcessState::Stopping,
            0,
            false,
            moment,
        );
        self.run.stage = Stage::Stopped;
        self.publish(
            ProcessState::Stopping,
            ProcessState::Stopped,
            0,
            false,
            moment,
        );
    }

    fn send_stop(&mut self, life: Life, pid: i32, moment: &mut Moment<'_>) {
        let (signal, scope) = (self.spec.stopsignal, scope(self.spec.stopasgroup));
        self.log_killing(pid, signal, scope, moment);
        let to = Stage::Stopping {
            life,
            pid,
            kill_at: moment.now.mono + Seconds(self.spec.stopwaitsecs.0.max(0)),
            sent: false,
        };
        self.enter(to, pid, false, moment);
        Self::signal(life, signal, scope, moment);
    }

    fn log_killing(&self, pid: i32, signal: Signal, scope: SignalScope, moment: &mut Moment<'_>) {
        let group = match scope {
            SignalScope::Process => String::new(),
            SignalScope::Group => "process group ".to_owned(),
        };
        Self::log(
            moment,
            Line::Killing {
                name: self.spec.name.clone(),
                pid,
                group,
                signal,
            },
        );
    }

    /// The stop signal (or SIGKILL) has reached the kernel, which took it or knows the process no more.
    pub(super) fn stop_sent(&mut self) {
        if let Stage::Stopping { sent, .. } = &mut self.run.stage {
            *sent = true;
        }
    }

    /// The kernel refused a signal: nothing is known any more.
    pub(super) fn refused(&mut self, moment: &mut Moment<'_>) {
        match self.run.stage {
            Stage::Starting { life, pid, .. }
            | Stage::Running { life, pid }
            | Stage::Stopping { life, pid, .. } => {
                self.run.report_at = Tick::NEVER;
                let alive = Some((life, pid));
                self.enter(Stage::Unknown { alive }, pid, false, moment);
            }
            // It ended before the refusal arrived, which then says nothing; or it is unknown already.
            Stage::Dying { .. } | Stage::Unknown { .. } => {}
            // There is nothing that a signal was sent to.
            Stage::Stopped
            | Stage::Exited { .. }
            | Stage::Fatal
            | Stage::Backoff { .. }
            | Stage::Resolving(_)
            | Stage::Preparing(_)
            | Stage::Spawning(_)
            | Stage::Aborting(_) => {}
        }
    }

    /// A client waits for the stop: says so now, and again until it has happened.
    pub(super) fn report_stop(&mut self, moment: &mut Moment<'_>) {
        let waited_for = self.run.waiters.iter().any(Waiter::reports);
        if !waited_for || self.state() != ProcessState::Stopping {
            self.run.report_at = Tick::NEVER;
            return;
        }
        if self.run.report_at == Tick::NEVER || self.run.report_at <= moment.now.mono {
            Self::log(
                moment,
                Line::WaitingToStop {
                    name: self.spec.name.clone(),
                },
            );
            self.run.report_at = moment.now.mono + STOP_REPORT_SECS;
        }
    }

    /// What is due by itself at this moment.
    pub(super) fn deadline_reached(&mut self, slot: u32, moment: &mut Moment<'_>) {
        let now = moment.now.mono;
        if self.run.report_at <= now {
            self.report_stop(moment);
        }
        if self.run.stage.deadline() > now {
            return;
        }
        match self.run.stage {
            Stage::Exited { .. } if moment.may_start => self.start(slot, moment),
            Stage::Exited { .. } => {
                self.run.stage = Stage::Exited {
                    restart_at: Tick::NEVER,
                };
            }
            Stage::Backoff { .. } if moment.may_start => self.start(slot, moment),
            Stage::Backoff { .. } => {
                self.run.stage = Stage::Backoff {
                    retry_at: Tick::NEVER,
                };
            }
            Stage::Starting { life, pid, .. } => self.promote(life, pid, moment),
            Stage::Stopping {
                life, pid, sent, ..
            } => self.kill(life, pid, sent, moment),
            Stage::Dying { .. } => {
                Self::log(
                    moment,
                    Line::DrainLate {
                        name: self.spec.name.clone(),
                        seconds: DRAIN_SECS_MAX.0,
                    },
                );
                self.drained(moment);
            }
            // These have no deadline.
            Stage::Stopped
            | Stage::Fatal
            | Stage::Resolving(_)
            | Stage::Preparing(_)
            | Stage::Spawning(_)
            | Stage::Running { .. }
            | Stage::Aborting(_)
            | Stage::Unknown { .. } => {}
        }
    }

    fn kill(&mut self, life: Life, pid: i32, sent: bool, moment: &mut Moment<'_>) {
        Self::log(
            moment,
            Line::KillingNow {
                name: self.spec.name.clone(),
                pid,
            },
        );
        let scope = scope(self.spec.killasgroup);
        self.log_killing(pid, Signal::KILL, scope, moment);
        let again = self.spec.stopwaitsecs.0.max(KILL_AGAIN_SECS_MIN);
        self.run.stage = Stage::Stopping {
            life,
            pid,
            kill_at: moment.now.mono + Seconds(again),
            sent,
        };
        Self::signal(life, Signal::KILL, scope, moment);
    }

    fn signal(life: Life, signal: Signal, scope: SignalScope, moment: &mut Moment<'_>) {
        moment.signals.push_back((life, signal, Purpose::Stop));
        moment.out.push(Action::Signal {
            life,
            signal,
            scope,
        });
    }
}

const fn scope(as_group: bool) -> SignalScope {
    if as_group {
        SignalScope::Group
    } else {
        SignalScope::Process
    }
}
