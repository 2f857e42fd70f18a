//! What a process tells of itself while it lives, and what follows from it: RUNNING once it is ready, an end if that takes
//! too long or if watchdog messages stay out. It must not know how the words come here, nor whether their sender was authentic.
//!
//! A deadline that the process could have met by a word is a question before it is a verdict: the shell is asked to read
//! what has been said so far ([`Action::PollNotify`]). A daemon that stood still, or a machine that did, would else end programs
//! that had spoken in time.

use serde::{Deserialize, Serialize};

use super::notify_message::{IgnoredNotify, NotifiedState, NotifyMessage, WatchdogNotify};
use super::process::{Ctx, Process};
use super::stage::{Stage, TerminationReason};
use super::{Action, SignalScope};
use crate::domain::{InstanceId, Line, Seconds, Signal, Tick};

/// How much longer than configured a process may take to be ready, or to stop, because it asks for more time.
pub(super) const EXTENSION_MAX: Seconds = Seconds(3600);

/// What is kept of what one instance has told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct NotifyState {
    /// For people; empty: nothing.
    status: String,
    /// What it is at.
    announced: Option<NotifiedState>,
    /// A watchdog message must come so often, in nanoseconds; 0: it need not.
    watchdog_nanos: u64,
    /// When the next one must be here. Means something while it is RUNNING.
    watchdog_at: Tick,
    /// It cannot ask for more time than until then.
    extend_until: Tick,
    /// Kinds of what was ignored, and said to be.
    ignored: u8,
    /// Messages that others sent in its name.
    foreign: u64,
    /// The shell was asked to read, and answers at once.
    asked: bool,
}

impl NotifyState {
    /// Those of a new instance.
    pub(super) fn new(watchdog: Seconds) -> Box<Self> {
        Box::new(Self {
            status: String::new(),
            announced: None,
            watchdog_nanos: (Tick(0) + watchdog).0,
            watchdog_at: Tick::NEVER,
            extend_until: Tick(0),
            ignored: 0,
            foreign: 0,
            asked: false,
        })
    }

    /// Those of an instance that is RUNNING, of which nobody knows what it has told so far.
    pub(super) fn of_running(watchdog: Seconds, now: Tick) -> Box<Self> {
        let mut notify_state = Self::new(watchdog);
        notify_state.rearm_watchdog(now);
        notify_state
    }

    /// In a few words.
    fn text(&self) -> String {
        let word = match self.announced {
            Some(NotifiedState::Reloading) => "reloading",
            Some(NotifiedState::Stopping) => "stopping",
            Some(NotifiedState::Ready) | None => "",
        };
        match (word.is_empty(), self.status.is_empty()) {
            (true, _) => self.status.clone(),
            (false, true) => word.to_owned(),
            (false, false) => format!("{word}, {}", self.status),
        }
    }

    /// The next watchdog message is due so long from `now`.
    fn rearm_watchdog(&mut self, now: Tick) {
        // Who is ending has other things to do.
        let is_off = self.watchdog_nanos == 0 || self.announced == Some(NotifiedState::Stopping);
        self.watchdog_at = if is_off {
            Tick::NEVER
        } else {
            Tick(now.0.saturating_add(self.watchdog_nanos))
        };
    }
}

impl Process {
    /// What it tells of itself, for people; empty: nothing.
    pub(super) fn status_text(&self) -> String {
        match (&self.run.notify_state, self.run.stage.reachable()) {
            (Some(notify_state), Some(_)) => notify_state.text(),
            (Some(_), None) | (None, _) => String::new(),
        }
    }

    /// The deadline of its stage or of its watchdog; [`Tick::NEVER`] too while it is being found out whether that is met.
    pub(super) fn stage_deadline(&self) -> Tick {
        let deadline = self.run.stage.deadline();
        let Some(notify_state) = &self.run.notify_state else {
            return deadline;
        };
        match self.run.stage {
            Stage::AwaitingReady { .. } | Stage::Running { .. } | Stage::Stopping { .. }
                if notify_state.asked =>
            {
                Tick::NEVER
            }
            Stage::Running { .. } => notify_state.watchdog_at,
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
            | Stage::StopPending(_)
            | Stage::Stopping { .. }
            | Stage::Reaped { .. }
            | Stage::Unknown { .. } => deadline,
        }
    }

    /// It exists; now it has to say that it is ready.
    pub(super) fn await_ready(&mut self, instance: InstanceId, pid: i32, ctx: &Ctx<'_>) {
        let timeout = self.spec.notify.ready_timeout;
        let ready_by = if timeout.0 > 0 {
            ctx.now.mono + timeout
        } else {
            Tick::NEVER
        };
        self.run.stage = Stage::AwaitingReady {
            instance,
            pid,
            ready_by,
        };
        self.allow_extension(ready_by);
    }

    /// A wait until `until` has begun.
    pub(super) fn allow_extension(&mut self, until: Tick) {
        if let Some(notify_state) = &mut self.run.notify_state {
            notify_state.extend_until = until + EXTENSION_MAX;
        }
    }

    /// Before a deadline does what it threatens, the shell reads what has been said. Answers whether it was asked to.
    pub(super) fn poll_notify_first(&mut self, ctx: &mut Ctx<'_>) -> bool {
        let instance = match self.run.stage {
            Stage::AwaitingReady { instance, .. }
            | Stage::Running { instance, .. }
            | Stage::Stopping {
                instance,
                killed: false,
                ..
            } => instance,
            // Nothing that these could say would change what is due.
            Stage::Stopped
            | Stage::Exited { .. }
            | Stage::Fatal
            | Stage::Backoff { .. }
            | Stage::Resolving(_)
            | Stage::Preparing(_)
            | Stage::Spawning(_)
            | Stage::Starting { .. }
            | Stage::Terminating { .. }
            | Stage::StopPending(_)
            | Stage::Stopping { .. }
            | Stage::Reaped { .. }
            | Stage::Unknown { .. } => return false,
        };
        match &mut self.run.notify_state {
            Some(notify_state) if !notify_state.asked => {
                notify_state.asked = true;
                ctx.out.push(Action::PollNotify(instance));
                true
            }
            Some(_) | None => false,
        }
    }

    /// Everything that it had said by now has been told.
    pub(super) fn notify_polled(&mut self, slot: u32, ctx: &mut Ctx<'_>) {
        if let Some(notify_state) = &mut self.run.notify_state {
            notify_state.asked = false;
        }
        self.act_on_deadline(slot, ctx);
    }

    /// It has said something.
    pub(super) fn notified(&mut self, notice: NotifyMessage, ctx: &mut Ctx<'_>) {
        let now = ctx.now.mono;
        let Some(notify_state) = &mut self.run.notify_state else {
            return;
        };
        let name = self.spec.name.clone();
        for kind in notice.ignored {
            if notify_state.ignored & kind.bit() == 0 {
                notify_state.ignored |= kind.bit();
                let (name, what) = (name.clone(), kind.text().to_owned());
                Self::log(ctx, Line::NoticeIgnored { name, what });
            }
        }
        if let Some(status) = notice.status {
            notify_state.status = status;
        }
        if let Some(usec) = notice.watchdog_usec {
            notify_state.watchdog_nanos = usec.saturating_mul(1000);
        }
        if notice.announced.is_some() {
            notify_state.announced = notice.announced;
        }
        let is_sign = notice.beat == Some(WatchdogNotify::Alive)
            || notice.watchdog_usec.is_some()
            || notice.announced == Some(NotifiedState::Stopping);
        if is_sign {
            notify_state.rearm_watchdog(now);
        }
        if let Some(usec) = notice.extend_usec {
            let wanted = Tick(now.0.saturating_add(usec.saturating_mul(1000)));
            let until = wanted.min(notify_state.extend_until);
            match &mut self.run.stage {
                Stage::AwaitingReady { ready_by: at, .. }
                | Stage::Stopping {
                    kill_at: at,
                    killed: false,
                    ..
                } => *at = until.max(*at),
                // Nothing is waited for.
                _ => {}
            }
        }
        if notice.announced == Some(NotifiedState::Ready)
            && let Stage::AwaitingReady { instance, pid, .. } = self.run.stage
        {
            self.ready(instance, pid, ctx);
        }
        if notice.beat == Some(WatchdogNotify::Trigger) {
            self.watchdog_trigger(ctx);
        }
    }

    fn ready(&mut self, instance: InstanceId, pid: i32, ctx: &mut Ctx<'_>) {
        self.run.tries = 0;
        self.enter_stage(Stage::Running { instance, pid }, pid, false, ctx);
        let name = self.spec.name.clone();
        Self::log(ctx, Line::Ready { name });
        if let Some(notify_state) = &mut self.run.notify_state {
            notify_state.rearm_watchdog(ctx.now.mono);
        }
    }

    /// `ready_timeout` has passed.
    pub(super) fn not_ready(&mut self, instance: InstanceId, pid: i32, ctx: &mut Ctx<'_>) {
        let (name, seconds) = (self.spec.name.clone(), self.spec.notify.ready_timeout.0);
        Self::log(ctx, Line::NotReady { name, pid, seconds });
        self.terminate(instance, pid, TerminationReason::NotReady, ctx);
    }

    /// A RUNNING process whose time has passed: its watchdog's.
    pub(super) fn watchdog_timeout(&mut self, instance: InstanceId, pid: i32, ctx: &mut Ctx<'_>) {
        let nanos = self
            .run
            .notify_state
            .as_ref()
            .map_or(0, |notify_state| notify_state.watchdog_nanos);
        let (name, millis) = (self.spec.name.clone(), nanos / 1_000_000);
        Self::log(ctx, Line::WatchdogMissed { name, pid, millis });
        self.terminate(instance, pid, TerminationReason::WatchdogTimeout, ctx);
    }

    fn watchdog_trigger(&mut self, ctx: &mut Ctx<'_>) {
        let (instance, pid, why) = match self.run.stage {
            Stage::AwaitingReady { instance, pid, .. } => {
                (instance, pid, TerminationReason::NotifiedFailure)
            }
            Stage::Running { instance, pid } => (instance, pid, TerminationReason::WatchdogTrigger),
            // It is being ended already, or is not there.
            Stage::Stopped
            | Stage::Exited { .. }
            | Stage::Fatal
            | Stage::Backoff { .. }
            | Stage::Resolving(_)
            | Stage::Preparing(_)
            | Stage::Spawning(_)
            | Stage::Starting { .. }
            | Stage::Terminating { .. }
            | Stage::StopPending(_)
            | Stage::Stopping { .. }
            | Stage::Reaped { .. }
            | Stage::Unknown { .. } => return,
        };
        let name = self.spec.name.clone();
        Self::log(ctx, Line::WatchdogTriggered { name, pid });
        self.terminate(instance, pid, why, ctx);
    }

    /// It has not done what it had to: it is ended for that. Its state stays what it was until it has ended.
    fn terminate(
        &mut self,
        instance: InstanceId,
        pid: i32,
        why: TerminationReason,
        ctx: &mut Ctx<'_>,
    ) {
        let (signal, scope) = match why {
            // There is no hurry and nothing is broken: as if somebody stopped it.
            TerminationReason::NotReady => (self.spec.stopsignal, self.stop_scope()),
            // As systemd does: whoever hangs leaves a core dump to find out why.
            TerminationReason::NotifiedFailure
            | TerminationReason::WatchdogTimeout
            | TerminationReason::WatchdogTrigger => (Signal::ABRT, SignalScope::Process),
        };
        self.run.stage = Stage::Terminating {
            instance,
            pid,
            why,
            kill_at: ctx.now.mono + Seconds(self.spec.stopwaitsecs.0.max(0)),
        };
        self.send_signal(instance, pid, signal, scope, ctx);
    }

    /// Somebody else spoke in its name.
    pub(super) fn foreign_notify(&mut self, sender: i32, uid: u32, ctx: &mut Ctx<'_>) {
        let Some(notify_state) = &mut self.run.notify_state else {
            return;
        };
        notify_state.foreign = notify_state.foreign.saturating_add(1);
        if notify_state.foreign == 1 {
            let name = self.spec.name.clone();
            Self::log(ctx, Line::NoticeForeign { name, sender, uid });
        }
    }

    /// Its instance has ended: how many messages were not its own, if that was not said yet.
    pub(super) fn log_foreign_count(&mut self, ctx: &mut Ctx<'_>) {
        let count = self
            .run
            .notify_state
            .as_ref()
            .map_or(0, |notify_state| notify_state.foreign);
        if count > 1 {
            let name = self.spec.name.clone();
            Self::log(ctx, Line::NoticesForeign { name, count });
        }
    }
}

impl IgnoredNotify {
    // The bits of all kinds fit into the set.
    const _FITS: () = assert!((Self::Malformed as u8) < 8);
}
