//! A job that is held up, and the spawner thread that was set aside with it.

use super::message::{SpawnAnswer, SpawnJob};
use super::owner::JobOwner;
use super::worker::SpawnWorker;
use crate::api::Ticket;
use crate::domain::{InstanceId, Signal, SpawnError, Tick};
use crate::effects::{SpawnerEffect, SpawnerOutcome};

/// Interval of checks of a child that is held up, in milliseconds.
pub(super) const LOOK_MS: u64 = 500;
/// How long a killed child may take to exit before its start is abandoned, in milliseconds.
const END_MS: u64 = 1_000;

/// Why a start is held up, for the log and the status.
const RESOLVING: &str = "a file system or a name service does not respond";
const EXECUTING: &str = "the kernel has not executed the command yet \
    (its file system does not respond, or a process holds a lease on the file)";
const STOPPED: &str = "the process was stopped before it executed the command; sent SIGCONT";
const STOPPED_AGAIN: &str =
    "the process was stopped again before it executed the command; killed it";

/// The kind of a job, with what must be known if it is held up.
#[derive(Debug, Clone)]
pub(super) enum HeldSubject {
    Resolve(InstanceId, JobOwner),
    Spawn(InstanceId, JobOwner),
    Check(Ticket, JobOwner),
    Sockets(Ticket, Option<JobOwner>),
    /// A command of a script. The thread `scripts` stops to wait for it by itself.
    Command(JobOwner),
    /// It cannot be held up.
    Nothing,
}

impl HeldSubject {
    pub(super) fn of(job: &SpawnJob) -> Self {
        match job {
            SpawnJob::Effect(SpawnerEffect::Resolve(instance, spec)) => {
                Self::Resolve(*instance, JobOwner::of(spec))
            }
            SpawnJob::Spawn(instance, plan, ..) => Self::Spawn(*instance, plan.owner.clone()),
            SpawnJob::Effect(SpawnerEffect::Check(ticket, spec)) => {
                Self::Check(*ticket, JobOwner::of(spec))
            }
            SpawnJob::Effect(SpawnerEffect::TrySockets(ticket, group)) => {
                Self::Sockets(*ticket, JobOwner::of_group(group))
            }
            SpawnJob::Command(job) => Self::Command(JobOwner::of(&job.spec)),
            SpawnJob::Effect(SpawnerEffect::Release(_)) | SpawnJob::HandOver | SpawnJob::Stop => {
                Self::Nothing
            }
        }
    }

    pub(super) const fn instance(&self) -> Option<InstanceId> {
        match self {
            Self::Resolve(instance, _) | Self::Spawn(instance, _) => Some(*instance),
            Self::Check(..) | Self::Sockets(..) | Self::Command(_) | Self::Nothing => None,
        }
    }

    pub(super) const fn owner(&self) -> Option<&JobOwner> {
        match self {
            Self::Resolve(_, owner)
            | Self::Spawn(_, owner)
            | Self::Check(_, owner)
            | Self::Command(owner) => Some(owner),
            Self::Sockets(_, owner) => owner.as_ref(),
            Self::Nothing => None,
        }
    }

    /// Whether a child may be held up before its exec.
    const fn makes_child(&self) -> bool {
        matches!(self, Self::Spawn(..) | Self::Command(_))
    }

    /// Whether the requester already got an answer and does not wait.
    pub(super) const fn is_answered_early(&self) -> bool {
        matches!(self, Self::Check(..) | Self::Sockets(..))
    }

    /// The answer to send at once when a job is held up. `why`: the reason.
    pub(super) fn held(&self, why: &str) -> Option<SpawnAnswer> {
        match self {
            Self::Resolve(instance, _) | Self::Spawn(instance, _) => {
                Some(SpawnAnswer::Outcome(SpawnerOutcome::Held {
                    instance: *instance,
                    why: why.to_owned(),
                }))
            }
            // Do not make the client wait; the start itself will show any error.
            Self::Check(ticket, _) => Some(SpawnAnswer::Outcome(SpawnerOutcome::Answered {
                ticket: *ticket,
                result: Ok(()),
            })),
            Self::Sockets(ticket, _) => {
                let error = SpawnError::HeldUp(why.to_owned());
                Some(SpawnAnswer::Outcome(SpawnerOutcome::Answered {
                    ticket: *ticket,
                    result: Err(error),
                }))
            }
            Self::Command(_) | Self::Nothing => None,
        }
    }
}

/// A worker whose job took too long.
#[derive(Debug)]
pub(super) struct HeldWorker {
    pub(super) worker: SpawnWorker,
    pub(super) subject: HeldSubject,
    look_at: Tick,
    /// The child was stopped and got SIGCONT.
    was_continued: bool,
    was_killed: bool,
    /// When the process was no longer wanted.
    called_off_at: Option<Tick>,
    /// Whether the job was already answered as failed. Its late result is destroyed.
    pub(super) is_abandoned: bool,
}

impl HeldWorker {
    pub(super) fn new(worker: SpawnWorker, subject: HeldSubject, now: Tick) -> Self {
        Self {
            worker,
            is_abandoned: subject.is_answered_early(),
            subject,
            look_at: now,
            was_continued: false,
            was_killed: false,
            called_off_at: None,
        }
    }

    /// Whether its child exists and is held up before its exec.
    pub(super) fn has_child(&self) -> bool {
        self.worker.child.is_there()
    }

    /// When to call [`Self::check_job`] next.
    pub(super) const fn look_at(&self) -> Tick {
        self.look_at
    }

    /// The process is no longer wanted: kills its child.
    pub(super) fn call_off(&mut self, now: Tick) {
        if self.subject.makes_child() {
            self.called_off_at.get_or_insert(now);
            self.kill();
            self.look_at = now.plus_millis(END_MS);
        }
    }

    /// Discards the result of the job.
    pub(super) fn abandon(&mut self, now: Tick) {
        self.call_off(now);
        self.is_abandoned = true;
    }

    fn kill(&mut self) {
        // ESRCH: the child does not exist yet.
        let _ = self.worker.child.signal(Signal::KILL);
        self.was_killed = true;
    }

    /// Examines a job that was just set aside. Returns why it is held up.
    pub(super) fn first_look(&mut self, now: Tick) -> &'static str {
        self.look_at = now.plus_millis(LOOK_MS);
        if !self.subject.makes_child() {
            self.look_at = Tick::NEVER;
            RESOLVING
        } else if self.worker.child.is_stopped() {
            self.go_on();
            STOPPED
        } else {
            EXECUTING
        }
    }

    fn go_on(&mut self) {
        let _ = self.worker.child.signal(Signal::CONT);
        self.was_continued = true;
    }

    /// Examines the job again, if that is due. Returns an answer if there is news.
    pub(super) fn check_job(&mut self, now: Tick) -> Option<SpawnAnswer> {
        if self.look_at > now {
            return None;
        }
        let HeldSubject::Spawn(instance, owner) = &self.subject else {
            self.look_at = Tick::NEVER;
            return None;
        };
        let instance = *instance;
        self.look_at = now.plus_millis(LOOK_MS);
        if let Some(at) = self.called_off_at {
            let name = owner.name.as_str().to_owned();
            // Once more: the child may exist by now.
            self.kill();
            if self.is_abandoned || at.plus_millis(END_MS) > now {
                return None;
            }
            self.is_abandoned = true;
            return Some(SpawnAnswer::Outcome(SpawnerOutcome::Failed {
                instance,
                error: SpawnError::CalledOff { name },
            }));
        }
        if self.was_killed || !self.worker.child.is_stopped() {
            return None;
        }
        if self.was_continued {
            self.kill();
            Some(SpawnAnswer::Outcome(SpawnerOutcome::Held {
                instance,
                why: STOPPED_AGAIN.to_owned(),
            }))
        } else {
            self.go_on();
            Some(SpawnAnswer::Outcome(SpawnerOutcome::Held {
                instance,
                why: STOPPED.to_owned(),
            }))
        }
    }
}
