//! What a process tells of itself while it lives, and what follows from it: RUNNING once it is ready, an end if that takes
//! too long or if signs of life stay out. It must not know how the words come here, nor whether their sender was genuine.
//!
//! A deadline that the process could have met by a word is a question before it is a verdict: the shell is asked to read
//! what has been said so far ([`Action::Heed`]). A daemon that stood still, or a machine that did, would else end programs
//! that had spoken in time.

use serde::{Deserialize, Serialize};

use super::notice::{Announced, Beat, Ignored, Notice};
use super::process::{Moment, Process};
use super::stage::{Failure, Stage};
use super::{Action, SignalScope};
use crate::domain::{Life, Line, Seconds, Signal, Tick};

/// How much longer than configured a process may take to be ready, or to stop, because it asks for more time.
pub(super) const EXTENSION_MAX: Seconds = Seconds(3600);

/// What is kept of what one life has told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Tidings {
    /// For people; empty: nothing.
    status: String,
    /// What it is at.
    announced: Option<Announced>,
    /// A sign of life must come so often, in nanoseconds; 0: it need not.
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

impl Tidings {
    /// Those of a new life.
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

    /// Those of a life that is RUNNING, of which nobody knows what it has told so far.
    pub(super) fn of_running(watchdog: Seconds, now: Tick) -> Box<Self> {
        let mut tidings = Self::new(watchdog);
        tidings.wind(now);
        tidings
    }

    /// In a few words.
    fn text(&self) -> String {
        let word = match self.announced {
            Some(Announced::Reloading) => "reloading",
            Some(Announced::Stopping) => "stopping",
            Some(Announced::Ready) | None => "",
        };
        match (word.is_empty(), self.status.is_empty()) {
            (true, _) => self.status.clone(),
            (false, true) => word.to_owned(),
            (false, false) => format!("{word}, {}", self.status),
        }
    }

    /// The next sign of life is due so long from `now`.
    fn wind(&mut self, now: Tick) {
        // Who is ending has other things to do.
        let is_off = self.watchdog_nanos == 0 || self.announced == Some(Announced::Stopping);
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
        match (&self.run.tidings, self.run.stage.reachable()) {
            (Some(tidings), Some(_)) => tidings.text(),
            (Some(_), None) | (None, _) => String::new(),
        }
    }

    /// The deadline of its stage or of its watchdog; [`Tick::NEVER`] too while it is being found out whether that is met.
    pub(super) fn told_deadline(&self) -> Tick {
        let deadline = self.run.stage.deadline();
        let Some(tidings) = &self.run.tidings else {
            return deadline;
        };
        match self.run.stage {
            Stage::Waking { .. } | Stage::Running { .. } | Stage::Stopping { .. }
                if tidings.asked =>
            {
                Tick::NEVER
            }
            Stage::Running { .. } => tidings.watchdog_at,
            Stage::Stopped
            | Stage::Exited { .. }
            | Stage::Fatal
            | Stage::Backoff { .. }
            | Stage::Resolving(_)
            | Stage::Preparing(_)
            | Stage::Spawning(_)
            | Stage::Starting { .. }
            | Stage::Waking { .. }
            | Stage::Failing { .. }
            | Stage::Aborting(_)
            | Stage::Stopping { .. }
            | Stage::Dying { .. }
            | Stage::Unknown { .. } => deadline,
        }
    }

    /// It exists; now it has to say that it is ready.
    pub(super) fn await_ready(&mut self, life: Life, pid: i32, moment: &Moment<'_>) {
        let timeout = self.spec.notify.ready_timeout;
        let ready_by = if timeout.0 > 0 {
            moment.now.mono + timeout
        } else {
            Tick::NEVER
        };
        self.run.stage = Stage::Waking {
            life,
            pid,
            ready_by,
        };
        self.allow_extension(ready_by);
    }

    /// A wait until `until` has begun.
    pub(super) fn allow_extension(&mut self, until: Tick) {
        if let Some(tidings) = &mut self.run.tidings {
            tidings.extend_until = until + EXTENSION_MAX;
        }
    }

    /// Before a deadline does what it threatens, the shell reads what has been said. Answers whether it was asked to.
    pub(super) fn ask_first(&mut self, moment: &mut Moment<'_>) -> bool {
        let life = match self.run.stage {
            Stage::Waking { life, .. }
            | Stage::Running { life, .. }
            | Stage::Stopping {
                life,
                killed: false,
                ..
            } => life,
            // Nothing that these could say would change what is due.
            Stage::Stopped
            | Stage::Exited { .. }
            | Stage::Fatal
            | Stage::Backoff { .. }
            | Stage::Resolving(_)
            | Stage::Preparing(_)
            | Stage::Spawning(_)
            | Stage::Starting { .. }
            | Stage::Failing { .. }
            | Stage::Aborting(_)
            | Stage::Stopping { .. }
            | Stage::Dying { .. }
            | Stage::Unknown { .. } => return false,
        };
        match &mut self.run.tidings {
            Some(tidings) if !tidings.asked => {
                tidings.asked = true;
                moment.out.push(Action::Heed(life));
                true
            }
            Some(_) | None => false,
        }
    }

    /// Everything that it had said by now has been told.
    pub(super) fn heeded(&mut self, slot: u32, moment: &mut Moment<'_>) {
        if let Some(tidings) = &mut self.run.tidings {
            tidings.asked = false;
        }
        self.act_on_deadline(slot, moment);
    }

    /// It has said something.
    pub(super) fn notified(&mut self, notice: Notice, moment: &mut Moment<'_>) {
        let now = moment.now.mono;
        let Some(tidings) = &mut self.run.tidings else {
            return;
        };
        let name = self.spec.name.clone();
        for kind in notice.ignored {
            if tidings.ignored & kind.bit() == 0 {
                tidings.ignored |= kind.bit();
                let (name, what) = (name.clone(), kind.text().to_owned());
                Self::log(moment, Line::NoticeIgnored { name, what });
            }
        }
        if let Some(status) = notice.status {
            tidings.status = status;
        }
        if let Some(usec) = notice.watchdog_usec {
            tidings.watchdog_nanos = usec.saturating_mul(1000);
        }
        if notice.announced.is_some() {
            tidings.announced = notice.announced;
        }
        let is_sign = notice.beat == Some(Beat::Alive)
            || notice.watchdog_usec.is_some()
            || notice.announced == Some(Announced::Stopping);
        if is_sign {
            tidings.wind(now);
        }
        if let Some(usec) = notice.extend_usec {
            let wanted = Tick(now.0.saturating_add(usec.saturating_mul(1000)));
            let until = wanted.min(tidings.extend_until);
            match &mut self.run.stage {
                Stage::Waking { ready_by: at, .. }
                | Stage::Stopping {
                    kill_at: at,
                    killed: false,
                    ..
                } => *at = until.max(*at),
                // Nothing is waited for.
                _ => {}
            }
        }
        if notice.announced == Some(Announced::Ready)
            && let Stage::Waking { life, pid, .. } = self.run.stage
        {
            self.ready(life, pid, moment);
        }
        if notice.beat == Some(Beat::Trigger) {
            self.triggered(moment);
        }
    }

    fn ready(&mut self, life: Life, pid: i32, moment: &mut Moment<'_>) {
        self.run.tries = 0;
        self.enter(Stage::Running { life, pid }, pid, false, moment);
        let name = self.spec.name.clone();
        Self::log(moment, Line::Ready { name });
        if let Some(tidings) = &mut self.run.tidings {
            tidings.wind(moment.now.mono);
        }
    }

    /// `ready_timeout` has passed.
    pub(super) fn not_ready(&mut self, life: Life, pid: i32, moment: &mut Moment<'_>) {
        let (name, seconds) = (self.spec.name.clone(), self.spec.notify.ready_timeout.0);
        Self::log(moment, Line::NotReady { name, pid, seconds });
        self.fail(life, pid, Failure::NotReady, moment);
    }

    /// A RUNNING process whose time has passed: its watchdog's.
    pub(super) fn starved(&mut self, life: Life, pid: i32, moment: &mut Moment<'_>) {
        let nanos = self
            .run
            .tidings
            .as_ref()
            .map_or(0, |tidings| tidings.watchdog_nanos);
        let (name, millis) = (self.spec.name.clone(), nanos / 1_000_000);
        Self::log(moment, Line::WatchdogMissed { name, pid, millis });
        self.fail(life, pid, Failure::Starved, moment);
    }

    fn triggered(&mut self, moment: &mut Moment<'_>) {
        let (life, pid, why) = match self.run.stage {
            Stage::Waking { life, pid, .. } => (life, pid, Failure::GaveUp),
            Stage::Running { life, pid } => (life, pid, Failure::Triggered),
            // It is being ended already, or is not there.
            Stage::Stopped
            | Stage::Exited { .. }
            | Stage::Fatal
            | Stage::Backoff { .. }
            | Stage::Resolving(_)
            | Stage::Preparing(_)
            | Stage::Spawning(_)
            | Stage::Starting { .. }
            | Stage::Failing { .. }
            | Stage::Aborting(_)
            | Stage::Stopping { .. }
            | Stage::Dying { .. }
            | Stage::Unknown { .. } => return,
        };
        let name = self.spec.name.clone();
        Self::log(moment, Line::WatchdogTriggered { name, pid });
        self.fail(life, pid, why, moment);
    }

    /// It has not done what it had to: it is ended for that. Its state stays what it was until it has ended.
    fn fail(&mut self, life: Life, pid: i32, why: Failure, moment: &mut Moment<'_>) {
        let (signal, scope) = match why {
            // There is no hurry and nothing is broken: as if somebody stopped it.
            Failure::NotReady => (self.spec.stopsignal, self.stop_scope()),
            // As systemd does: whoever hangs leaves a core dump to find out why.
            Failure::GaveUp | Failure::Starved | Failure::Triggered => {
                (Signal::ABRT, SignalScope::Process)
            }
        };
        self.run.stage = Stage::Failing {
            life,
            pid,
            why,
            kill_at: moment.now.mono + Seconds(self.spec.stopwaitsecs.0.max(0)),
        };
        self.send(life, pid, signal, scope, moment);
    }

    /// Somebody else spoke in its name.
    pub(super) fn impersonated(&mut self, sender: i32, uid: u32, moment: &mut Moment<'_>) {
        let Some(tidings) = &mut self.run.tidings else {
            return;
        };
        tidings.foreign = tidings.foreign.saturating_add(1);
        if tidings.foreign == 1 {
            let name = self.spec.name.clone();
            Self::log(moment, Line::NoticeForeign { name, sender, uid });
        }
    }

    /// Its life is over: how many messages were not its own, if that was not said yet.
    pub(super) fn sum_up(&mut self, moment: &mut Moment<'_>) {
        let count = self
            .run
            .tidings
            .as_ref()
            .map_or(0, |tidings| tidings.foreign);
        if count > 1 {
            let name = self.spec.name.clone();
            Self::log(moment, Line::NoticesForeign { name, count });
        }
    }
}

impl Ignored {
    // The bits of all kinds fit into the set.
    const _FITS: () = assert!((Self::Malformed as u8) < 8);
}
