//! The shell as the core sees it, in virtual time: threads that answer late, processes that exit or do not, clients
//! that send any request.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use supervisord::api::{
    AccessScope, Caller, Grant, LogRef, Permission, Request, RequestTarget, RollingLimits, Ticket,
    Transport,
};
use supervisord::config::spec::{GroupSpec, ProcessSpec};
use supervisord::core::{
    Action, Actions, DaemonOutcome, DaemonSignal, Fleet, Identity, Input, NotifyMessage,
    ResumeKind, Snapshot,
};
use supervisord::domain::{
    Channel, Errno, ExitStatus, InstanceId, Level, ListenerOutput, Namespec, Now, ResourceEvents,
    Signal, SpawnError, SupervisorState, Tick, Verdict, Wall,
};
use supervisord::effects::{
    LineWatchKind, LoadError, LoadReason, LoaderEffect, LoaderOutcome, OutputEffect, OutputOutcome,
    PlannedUpdate, ScriptEffect, ScriptFailure, ScriptOutcome, SpawnerEffect, SpawnerOutcome,
    WatchEffect, WatchId, WatchKind, WatchOutcome,
};

use crate::checkpoint::Checkpoint;
use crate::configs;
use crate::invariants::Invariants;
use crate::notifiers;
use crate::rng::Rng;

const MILLI: u64 = 1_000_000;
const SECOND: u64 = 1000 * MILLI;

/// Threads of the shell. Each answers its requests in order.
#[derive(Clone, Copy)]
enum Thread {
    Spawn,
    Output,
    Loader,
    Cgroups,
    Scripts,
}

/// A process in the world.
struct Alive {
    /// Only SIGKILL ends it.
    stubborn: bool,
    ending: bool,
    /// The interval of its watchdog keepalives in nanoseconds. `None`: it sends no notifications.
    keepalive_interval: Option<u64>,
}

pub(crate) struct World {
    rng: Rng,
    pub(crate) fleet: Fleet,
    now: Now,
    /// Answers and events that are still to arrive, by time.
    coming: BTreeMap<(u64, u64), Input>,
    sequence: u64,
    /// When each thread is free again.
    busy: [u64; 5],
    alive: BTreeMap<InstanceId, Alive>,
    /// Instances that have exited, for inputs that come too late.
    past: Vec<InstanceId>,
    next_ticket: u64,
    size: u64,
    invariants: Invariants,
    finished: Option<DaemonOutcome>,
    /// The watches that the thread has.
    watches: BTreeSet<WatchId>,
    /// Number of group names in use.
    groups: u64,
    /// Percentage of shell operations that fail.
    failing: u64,
    /// Longest time of an answer in milliseconds.
    slow: u64,
    next_pid: i32,
    /// What the next daemon would find after a kill.
    checkpoint: Checkpoint,
    /// The next image has agreed, and takes over when the core allows it.
    agreed: bool,
    /// A handoff is in progress: no process is started any more.
    is_handing_off: bool,
}

impl World {
    pub(crate) fn new(seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let size = match rng.below(40) {
            0 => 1000 + rng.below(4000),
            1..=8 => 20 + rng.below(180),
            _ => 1 + rng.below(12),
        };
        let config = configs::config(&mut rng, size);
        let identity = Identity {
            pid: 1,
            daemon_log: rng
                .percent(80)
                .then(|| Arc::from(std::path::Path::new("/var/log/supervisord.log"))),
            seed,
            event_serial: 0,
        };
        let failing = rng.pick(&[0, 2, 10, 50]);
        let slow = rng.pick(&[0, 1, 50, 3000, 20_000]);
        Self {
            fleet: Fleet::new(identity, config),
            now: Now {
                mono: Tick(rng.below(1000) * SECOND),
                wall: Wall(1_700_000_000_000_000_000),
            },
            coming: BTreeMap::new(),
            sequence: 0,
            busy: [0; 5],
            alive: BTreeMap::new(),
            past: Vec::new(),
            next_ticket: 0,
            size,
            invariants: Invariants::default(),
            finished: None,
            watches: BTreeSet::new(),
            groups: size * 2 + 2,
            failing,
            slow,
            next_pid: 100,
            checkpoint: Checkpoint::default(),
            agreed: false,
            is_handing_off: false,
            rng,
        }
    }

    /// Runs for about `steps` inputs, then stops everything. Returns the number of inputs and what has happened.
    pub(crate) fn run(mut self, steps: u64) -> (u64, BTreeSet<String>) {
        self.feed(Input::DaemonStarted);
        let mut count = 1;
        while self.finished.is_none() {
            assert!(
                count < steps.saturating_mul(4) + 400_000,
                "the stop does not end"
            );
            if count == steps {
                self.feed(Input::Received(DaemonSignal::Exit(Signal::TERM)));
            } else {
                self.advance();
            }
            if self.agreed && self.rng.one_in(4) && self.finished.is_none() {
                self.hand_over();
            }
            count += 1;
        }
        (count, self.invariants.at_the_end(self.finished.as_ref()))
    }

    /// Goes on to the next input: an answer, a deadline, or a request.
    fn advance(&mut self) {
        let mono = self.now.mono.0;
        let deadline = self.fleet.next_deadline().map_or(u64::MAX, |tick| tick.0);
        let answer = self
            .coming
            .first_key_value()
            .map_or(u64::MAX, |(&(at, _), _)| at);
        let random = mono
            + match self.rng.below(4) {
                0 => self.rng.below(5 * MILLI),
                1 => self.rng.below(SECOND),
                _ => self.rng.below(5 * SECOND),
            };
        let run = self.fleet.next_wall_deadline().map_or(u64::MAX, |run| {
            let left = run.0.saturating_sub(self.now.wall.0).max(0);
            mono.saturating_add(left.unsigned_abs())
        });
        let deadline = deadline.min(run);
        let at = deadline.min(answer).min(random).max(mono);
        if self.pass_time(at - mono) {
            // The timer on the wall clock tells it first.
            self.feed(Input::ClockSet);
        } else if at == answer {
            let (_, input) = self.coming.pop_first().expect("there is one");
            if let Input::Exited { instance, .. } = &input {
                self.alive.remove(instance);
                self.past.push(*instance);
            }
            if let Input::Notified(instance, _) = &input {
                self.schedule_notification(*instance);
            }
            self.feed(input);
        } else if at == deadline {
            self.feed(Input::DeadlineReached);
        } else {
            let input = self.random_input();
            self.feed(input);
        }
    }

    /// Another image takes over, if the core allows it: threads finish their jobs, nothing new begins, and waiting
    /// clients are refused.
    fn hand_over(&mut self) {
        self.agreed = false;
        if self.fleet.can_hand_off().is_err() {
            let (ticket, result) = (None, Err("busy".to_owned()));
            return self.feed(Input::SuccessorExamined { ticket, result });
        }
        self.is_handing_off = true;
        let coming = std::mem::take(&mut self.coming);
        for (when, input) in coming {
            let is_worked_off = match &input {
                Input::Spawner(SpawnerOutcome::Resolved(_))
                | Input::Spawner(SpawnerOutcome::Spawned { .. })
                | Input::Spawner(SpawnerOutcome::Failed { .. })
                | Input::Spawner(SpawnerOutcome::Answered { .. })
                | Input::Loader(LoaderOutcome::Loaded { .. })
                | Input::Loader(LoaderOutcome::Planned { .. })
                | Input::Loader(LoaderOutcome::Composed { .. }) => true,
                // The output thread may have answered before the handoff, or not.
                Input::Output(OutputOutcome::Prepared(_))
                | Input::Output(OutputOutcome::Answered { .. }) => self.rng.percent(50),
                _ => {
                    self.coming.insert(when, input);
                    continue;
                }
            };
            if is_worked_off && self.finished.is_none() {
                self.feed(input);
            }
        }
        if self.finished.is_some() {
            return;
        }
        self.is_handing_off = false;
        // Requests of the engine without an answer in time.
        self.coming.retain(|_, input| {
            !matches!(
                input,
                Input::Spawner(SpawnerOutcome::Resolved(_))
                    | Input::Output(OutputOutcome::Prepared(_))
                    | Input::Spawner(SpawnerOutcome::Answered { .. })
                    | Input::Output(OutputOutcome::Answered { .. })
            )
        });
        self.invariants.handed_over();
        self.watches.clear();
        self.fleet = restored(&self.fleet, self.now);
        let successor = self.rng.pick(&[
            ResumeKind::NewImage,
            ResumeKind::NewImage,
            ResumeKind::SameImage,
            ResumeKind::NewDaemon,
        ]);
        self.feed(Input::Resumed(successor));
    }

    /// Lets time pass. Returns whether the wall clock was set too.
    fn pass_time(&mut self, nanos: u64) -> bool {
        self.now.mono.0 += nanos;
        self.now.wall.0 += i64::try_from(nanos).expect("virtual time is short");
        if self.rng.one_in(200) {
            // An administrator sets the clock. Only schedules depend on it.
            let most = self.rng.pick(&[60, 10_000, 10_000, 200_000]) * SECOND;
            let jump = i64::try_from(self.rng.below(most)).expect("fits");
            self.now.wall.0 += jump - i64::try_from(most / 2).expect("fits");
            return true;
        }
        false
    }

    fn feed(&mut self, input: Input) {
        let check_copy = self.rng.one_in(20 + self.size * 4);
        let copy = check_copy.then(|| restored(&self.fleet, self.now));
        self.invariants.before(&input);
        let mut out = Actions::new();
        let wanted = match &input {
            Input::Loader(LoaderOutcome::Composed {
                result: Ok(wanted), ..
            }) => Some((wanted.clone(), self.fleet.view(self.now))),
            _ => None,
        };
        self.fleet.handle(self.now, input.clone(), &mut out);
        if let Some((wanted, before)) = wanted {
            let after = self.fleet.view(self.now);
            self.invariants
                .who_stays_is_not_touched(&wanted, &before, &after, &out);
        }
        if let Some(mut copy) = copy {
            let mut same = Actions::new();
            copy.handle(self.now, input.clone(), &mut same);
            assert_eq!(out, same, "a restored fleet does something else");
            assert_eq!(copy.next_deadline(), self.fleet.next_deadline());
            assert_eq!(copy.snapshot(), self.fleet.snapshot());
            self.fleet = copy;
        }
        self.checkpoint.follow(&mut self.fleet);
        if self.rng.one_in(30 + self.size * 4) {
            self.checkpoint.compare(&self.fleet);
        }
        self.invariants.after(self.now, &input, &out, &self.fleet);
        if self.rng.one_in(10 + self.size) {
            self.invariants
                .compare(&self.fleet, &self.fleet.view(self.now));
            self.invariants.schedules_go_on(self.now, &self.fleet);
        }
        self.perform(out);
    }

    fn perform(&mut self, actions: Actions) {
        let mut signalled = Vec::new();
        for action in actions {
            assert!(
                self.finished.is_none(),
                "nothing follows the end: {action:?}"
            );
            self.perform_one(action, &mut signalled);
        }
        // The engine reports signals at once, after the actions of one input.
        for input in signalled {
            if self.finished.is_none() {
                self.feed(input);
            }
        }
    }

    fn perform_one(&mut self, action: Action, signalled: &mut Vec<Input>) {
        let fails = self.rng.percent(self.failing);
        let error = || SpawnError::NotFound("/bin/p".to_owned());
        match action {
            Action::Spawner(SpawnerEffect::Resolve(..))
            | Action::Output(OutputEffect::Prepare(..))
            | Action::Output(OutputEffect::PrepareNext(..))
            | Action::Spawn(..)
                if self.is_handing_off => {}
            Action::Spawner(SpawnerEffect::Resolve(instance, _)) => self.resolve(instance, fails),
            Action::Output(
                OutputEffect::Prepare(instance, ..) | OutputEffect::PrepareNext(instance, ..),
            ) => self.prepare(instance, fails),
            Action::Spawn(instance, spec) => {
                self.hold_up(instance);
                self.spawn(instance, &spec, fails);
            }
            Action::PollNotify(instance) => {
                // Sometimes the notification was in time and had not been read.
                if self.alive.contains_key(&instance) && self.rng.percent(30) {
                    let notice = notifiers::random_notification(&mut self.rng);
                    signalled.push(Input::Notified(instance, notice));
                }
                signalled.push(Input::NotifyPolled(instance));
            }
            Action::Signal {
                instance, signal, ..
            } => {
                let result = self.signal(instance, signal);
                signalled.push(Input::Signalled {
                    instance,
                    signal,
                    result,
                });
            }
            Action::Output(OutputEffect::Drain(instance)) => {
                // Sometimes a disk stalls for ever.
                if !self.rng.one_in(100) {
                    self.answer(
                        Thread::Output,
                        Input::Output(OutputOutcome::Drained(instance)),
                    );
                }
            }
            Action::Empty { instance, kill } => {
                // Sometimes a remaining process waits for a dead disk.
                if !(kill && self.rng.one_in(50)) {
                    let resource_events = ResourceEvents {
                        pids_max: self.rng.one_in(10),
                        ..ResourceEvents::NONE
                    };
                    self.answer(
                        Thread::Cgroups,
                        Input::Emptied {
                            instance,
                            resource_events,
                        },
                    );
                }
            }
            Action::Spawner(SpawnerEffect::TrySockets(ticket, _)) => {
                let result = if fails { Err(error()) } else { Ok(()) };
                self.answer(
                    Thread::Spawn,
                    Input::Spawner(SpawnerOutcome::Answered { ticket, result }),
                );
            }
            Action::Spawner(SpawnerEffect::Check(ticket, _)) => {
                let result = if fails { Err(error()) } else { Ok(()) };
                self.answer(
                    Thread::Spawn,
                    Input::Spawner(SpawnerOutcome::Answered { ticket, result }),
                );
            }
            Action::Output(OutputEffect::ClearLogs { ticket, .. }) => {
                let result = if fails { Err(Errno(13)) } else { Ok(()) };
                let input = Input::Output(OutputOutcome::Answered { ticket, result });
                self.answer(Thread::Output, input);
            }
            Action::Output(OutputEffect::ClearDaemonLog(ticket)) => {
                let result = if fails { Err(Errno::NOENT) } else { Ok(()) };
                self.answer(
                    Thread::Output,
                    Input::Output(OutputOutcome::Answered { ticket, result }),
                );
            }
            Action::Output(OutputEffect::WriteStdin { ticket, .. }) => {
                let result = if fails { Err(Errno::PIPE) } else { Ok(()) };
                self.answer(
                    Thread::Output,
                    Input::Output(OutputOutcome::Answered { ticket, result }),
                );
            }
            Action::Upgrade(ticket) => {
                self.agreed = !fails;
                let ticket = Some(ticket);
                let result = if fails {
                    Err("cannot".to_owned())
                } else {
                    Ok(())
                };
                signalled.push(Input::SuccessorExamined { ticket, result });
            }
            Action::Loader(LoaderEffect::Load(reason)) => self.load(reason, fails),
            Action::Loader(LoaderEffect::Plan(ticket, active)) => self.plan(ticket, active, fails),
            Action::Loader(LoaderEffect::Compose(ticket, order)) => {
                let result = if fails {
                    Err("broken".to_owned())
                } else {
                    Ok(Box::new(configs::composition(&mut self.rng, &order)))
                };
                self.answer(
                    Thread::Loader,
                    Input::Loader(LoaderOutcome::Composed { ticket, result }),
                );
            }
            Action::Script(effect) => self.script(effect, fails),
            Action::Watch(WatchEffect::Set { id, .. }) => {
                self.watches.insert(id);
            }
            Action::Watch(WatchEffect::Clear(id)) => {
                self.watches.remove(&id);
            }
            Action::Finish(outcome) => self.finished = Some(outcome),
            Action::Output(OutputEffect::Deliver(instance, _)) => self.answer_event(instance),
            Action::Output(OutputEffect::Read(instance, _)) => self.begin_reading(instance),
            Action::Output(OutputEffect::Report(_))
            | Action::Adopt { .. }
            | Action::CallOff(_)
            | Action::Spawner(SpawnerEffect::Release(_))
            | Action::Limit(..)
            | Action::Output(OutputEffect::CreateLogs(_))
            | Action::Output(OutputEffect::ReopenLogs)
            | Action::StoreRuns(..)
            | Action::Log(_)
            | Action::Audit(_)
            | Action::Publish(_)
            | Action::Answer(..) => {}
        }
    }

    /// Runs a script in no time, or lets it hang. A cancelled one was answered already, or hangs for ever.
    fn script(&mut self, effect: ScriptEffect, fails: bool) {
        let ScriptEffect::Run(run) = effect else {
            return;
        };
        if self.is_handing_off || self.rng.one_in(50) {
            return;
        }
        let failure = match (fails, self.rng.one_in(4)) {
            (true, _) => Some(ScriptFailure::NotStarted("no such file".to_owned())),
            (false, true) => Some(ScriptFailure::TimedOut(run.limit)),
            (false, false) => None,
        };
        let outcome = ScriptOutcome::Ended {
            id: run.id,
            failure,
            output: String::new(),
        };
        self.answer(Thread::Scripts, Input::Script(outcome));
    }

    /// A file of a watch changes, or of one that has ended.
    fn changed_file(&mut self) -> Input {
        let place = self.rng.below(self.watches.len() as u64 + 1);
        let known = self.watches.iter().nth(usize::try_from(place).unwrap_or(0));
        let id = known.copied().unwrap_or(WatchId {
            slot: 0,
            slot_generation: place,
        });
        let kind = self.rng.pick(&[WatchKind::Binary, WatchKind::Directory]);
        let path = "/srv/file".to_owned();
        Input::Watch(WatchOutcome::Changed { id, kind, path })
    }

    fn resolve(&mut self, instance: InstanceId, fails: bool) {
        self.hold_up(instance);
        let input = if fails {
            failure(instance)
        } else {
            Input::Spawner(SpawnerOutcome::Resolved(instance))
        };
        self.answer(Thread::Spawn, input);
    }

    fn prepare(&mut self, instance: InstanceId, fails: bool) {
        let input = if fails {
            failure(instance)
        } else {
            Input::Output(OutputOutcome::Prepared(instance))
        };
        self.answer(Thread::Output, input);
    }

    /// Sometimes the job takes long. The thread reports that before its answer.
    fn hold_up(&mut self, instance: InstanceId) {
        if self.rng.percent(5) {
            let why = "the simulation wants it so".to_owned();
            self.answer(
                Thread::Spawn,
                Input::Spawner(SpawnerOutcome::Held { instance, why }),
            );
        }
    }

    fn spawn(&mut self, instance: InstanceId, spec: &ProcessSpec, fails: bool) {
        if fails {
            let error = SpawnError::TooManyProcesses {
                name: "p".to_owned(),
            };
            self.answer(
                Thread::Spawn,
                Input::Spawner(SpawnerOutcome::Failed { instance, error }),
            );
            return;
        }
        self.next_pid += 1;
        let pid = self.next_pid;
        let spawned = self.answer(
            Thread::Spawn,
            Input::Spawner(SpawnerOutcome::Spawned { instance, pid }),
        );
        let stubborn = self.rng.percent(20);
        let alive = Alive {
            stubborn,
            ending: false,
            keepalive_interval: spec.notify.tells_ready().then(|| {
                let watchdog = u64::try_from(spec.notify.watchdog.0).unwrap_or(0);
                watchdog.max(1) * SECOND
            }),
        };
        let keepalive_interval = alive.keepalive_interval;
        self.alive.insert(instance, alive);
        if keepalive_interval.is_some() && self.rng.percent(80) {
            let takes = self.rng.pick(&[0, SECOND / 2, 3 * SECOND, 100 * SECOND]);
            let at = spawned + self.rng.below(takes + 1);
            self.sequence += 1;
            self.coming.insert(
                (at, self.sequence),
                Input::Notified(instance, NotifyMessage::ready()),
            );
        }
        let lasts = match self.rng.below(5) {
            0 => None,
            1 => Some(0),
            2 => Some(self.rng.below(1500 * MILLI)),
            3 => Some(self.rng.below(12 * SECOND)),
            _ => Some(self.rng.below(300 * SECOND)),
        };
        if let Some(lasts) = lasts {
            self.schedule_exit(instance, spawned + lasts, None);
        }
    }

    /// Schedules the next notification of a process, mostly in time for its watchdog.
    fn schedule_notification(&mut self, instance: InstanceId) {
        let alive = self.alive.get(&instance);
        let Some(often) = alive.and_then(|alive| alive.keepalive_interval) else {
            return;
        };
        if self.rng.percent(95) {
            let at = self.now.mono.0 + self.rng.below(often + often / 20 + 1);
            let notice = notifiers::random_notification(&mut self.rng);
            self.sequence += 1;
            self.coming
                .insert((at, self.sequence), Input::Notified(instance, notice));
        }
    }

    /// The output thread begins to read a process. A listener reports READY or breaks the protocol.
    fn begin_reading(&mut self, instance: InstanceId) {
        let said = if self.rng.one_in(50) {
            ListenerOutput::Nonsense
        } else {
            ListenerOutput::Ready
        };
        if self.rng.percent(95) {
            self.schedule_output(
                instance,
                Input::Output(OutputOutcome::ListenerOutput(instance, said)),
            );
        }
    }

    /// A listener gets an event: it answers and is READY again, or breaks the protocol, or hangs.
    fn answer_event(&mut self, instance: InstanceId) {
        match self.rng.below(100) {
            0 => {}
            1 => self.schedule_output(
                instance,
                Input::Output(OutputOutcome::ListenerOutput(
                    instance,
                    ListenerOutput::Nonsense,
                )),
            ),
            2 => self.schedule_output(
                instance,
                Input::Output(OutputOutcome::ListenerOutput(
                    instance,
                    ListenerOutput::BadResult("RESULT".to_owned()),
                )),
            ),
            3 => self.schedule_output(
                instance,
                Input::Output(OutputOutcome::NotDelivered(instance, Errno::PIPE)),
            ),
            4 => self.schedule_output(
                instance,
                Input::Output(OutputOutcome::NotDelivered(instance, Errno::AGAIN)),
            ),
            roll => {
                let verdict = match roll {
                    0..=20 => Verdict::Fail,
                    21..=30 => Verdict::Other,
                    _ => Verdict::Ok,
                };
                self.schedule_output(
                    instance,
                    Input::Output(OutputOutcome::ListenerOutput(
                        instance,
                        ListenerOutput::Result(verdict),
                    )),
                );
                self.schedule_output(
                    instance,
                    Input::Output(OutputOutcome::ListenerOutput(
                        instance,
                        ListenerOutput::Ready,
                    )),
                );
            }
        }
    }

    /// Schedules an input from a process. It arrives before the exit of the process.
    fn schedule_output(&mut self, instance: InstanceId, input: Input) {
        if self.alive.contains_key(&instance) {
            self.answer(Thread::Output, input);
        }
    }

    /// Schedules the exit of `instance` for a time, unless an earlier one is scheduled.
    fn schedule_exit(&mut self, instance: InstanceId, at: u64, signal: Option<Signal>) {
        if let Some(alive) = self.alive.get_mut(&instance) {
            alive.ending = true;
        }
        let earlier = |(_, input): (&(u64, u64), &Input)| matches!(input, Input::Exited { instance: other, .. } if *other == instance);
        let place = self
            .coming
            .iter()
            .find(|&entry| earlier(entry))
            .map(|(&place, _)| place);
        if let Some(place) = place {
            if place.0 <= at {
                return;
            }
            self.coming.remove(&place);
        }
        let status = match (signal, self.rng.below(4)) {
            (Some(signal), _) => ExitStatus::Signalled {
                signal,
                dumped: false,
            },
            (None, 0) => ExitStatus::Exited(0),
            (None, 1) => ExitStatus::Exited(2),
            (None, _) => ExitStatus::Exited(1),
        };
        self.sequence += 1;
        self.coming
            .insert((at, self.sequence), Input::Exited { instance, status });
    }

    fn signal(&mut self, instance: InstanceId, signal: Signal) -> Result<(), Errno> {
        if self.rng.one_in(100) {
            return Err(Errno(1));
        }
        let Some(alive) = self.alive.get(&instance) else {
            return Err(Errno::SRCH);
        };
        if self.rng.one_in(50) {
            // The process has just exited by itself.
            self.schedule_exit(instance, self.now.mono.0, None);
            return Err(Errno::SRCH);
        }
        let kills = signal == Signal::KILL || (signal == Signal::TERM && !alive.stubborn);
        if kills {
            let after = self.rng.below(self.slow * MILLI + MILLI);
            let after = if self.rng.one_in(4) { 0 } else { after };
            self.schedule_exit(instance, self.now.mono.0 + after, Some(signal));
        }
        Ok(())
    }

    fn load(&mut self, reason: LoadReason, fails: bool) {
        let restarts = matches!(reason, LoadReason::Restart(_) | LoadReason::Hangup);
        let result = if fails || (restarts && self.rng.percent(60)) {
            Err(LoadError::of("broken".to_owned()))
        } else if self.rng.percent(30) {
            Ok(Arc::clone(self.fleet.config()))
        } else {
            Ok(configs::config(&mut self.rng, self.size))
        };
        self.answer(
            Thread::Loader,
            Input::Loader(LoaderOutcome::Loaded { reason, result }),
        );
    }

    /// Plans an update. The identifier is one that a client of this world expects in half of the cases.
    fn plan(&mut self, ticket: Ticket, active: Vec<Arc<GroupSpec>>, fails: bool) {
        let result = if fails {
            Err(LoadError::of("broken".to_owned()))
        } else {
            let id = if self.rng.percent(50) {
                "expected"
            } else {
                "other"
            };
            Ok(Box::new(PlannedUpdate {
                config: configs::config(&mut self.rng, self.size),
                active,
                id: id.to_owned(),
                json: "{}".to_owned(),
            }))
        };
        let planned = LoaderOutcome::Planned { ticket, result };
        self.answer(Thread::Loader, Input::Loader(planned));
    }

    /// Schedules the answer of a thread after its earlier answers. Returns when.
    fn answer(&mut self, thread: Thread, input: Input) -> u64 {
        let takes = match self.rng.below(10) {
            0..=4 => 0,
            5..=8 => self.rng.below(self.slow * MILLI / 50 + 1),
            _ => self.rng.below(self.slow * MILLI + 1),
        };
        let busy = &mut self.busy[thread as usize];
        let at = (*busy).max(self.now.mono.0) + takes;
        // The delay of a thread is bounded. Otherwise a long run would only wait.
        *busy = at.min(self.now.mono.0 + 30 * SECOND);
        let at = *busy;
        self.sequence += 1;
        self.coming.insert((at, self.sequence), input);
        at
    }

    fn random_input(&mut self) -> Input {
        if self.fleet.state() != SupervisorState::Running && self.rng.one_in(10) {
            return Input::Received(DaemonSignal::Restart);
        }
        match self.rng.below(200) {
            0 => Input::Received(DaemonSignal::ReopenLogs),
            1 if self.rng.one_in(5) => Input::Received(DaemonSignal::Restart),
            1 => Input::DeadlineReached,
            2 if self.rng.one_in(20) => {
                Input::Received(DaemonSignal::Exit(self.rng.pick(&[Signal::TERM])))
            }
            3..=9 => self.stale(),
            20..=27 => self.changed_file(),
            30..=37 => {
                let place = self.rng.below(self.alive.len() as u64 + 1);
                let living = self.alive.keys().nth(usize::try_from(place).unwrap_or(0));
                let instance = living.copied().unwrap_or_else(|| self.some_instance());
                Input::Output(OutputOutcome::LineMatched {
                    instance,
                    kind: self
                        .rng
                        .pick(&[LineWatchKind::Ready, LineWatchKind::Unhealthy]),
                    line: "a line".to_owned(),
                })
            }
            15..=17 => {
                let place = self.rng.below(self.alive.len() as u64 + 1);
                let living = self.alive.keys().nth(usize::try_from(place).unwrap_or(0));
                let instance = living.copied().unwrap_or_else(|| self.some_instance());
                if self.rng.percent(80) {
                    let (sender, uid) = (1, 0);
                    Input::ForeignNotify {
                        instance,
                        sender,
                        uid,
                    }
                } else {
                    let notice = notifiers::random_notification(&mut self.rng);
                    Input::Notified(instance, notice)
                }
            }
            10..=14 => {
                let instance = self.some_instance();
                Input::Output(OutputOutcome::Wrote {
                    instance,
                    channel: self.rng.pick(&[Channel::Stdout, Channel::Stderr]),
                    data: Arc::from(*b"x"),
                    captured: self.rng.percent(50),
                })
            }
            _ => self.ask(),
        }
    }

    fn some_instance(&mut self) -> InstanceId {
        let place = self.rng.below(self.past.len() as u64 + 1);
        let place = usize::try_from(place).expect("fits");
        self.past.get(place).copied().unwrap_or(InstanceId {
            slot: 7,
            incarnation: u64::MAX,
        })
    }

    /// An input that comes too late.
    fn stale(&mut self) -> Input {
        let instance = self.some_instance();
        match self.rng.below(8) {
            0 => Input::Spawner(SpawnerOutcome::Resolved(instance)),
            6 => Input::Spawner(SpawnerOutcome::Held {
                instance,
                why: "late".to_owned(),
            }),
            1 => Input::Output(OutputOutcome::Prepared(instance)),
            2 => Input::Spawner(SpawnerOutcome::Failed {
                instance,
                error: SpawnError::Empty,
            }),
            3 => Input::Output(OutputOutcome::Drained(instance)),
            4 => Input::Signalled {
                instance,
                signal: Signal::TERM,
                result: Err(Errno(1)),
            },
            5 => Input::Spawner(SpawnerOutcome::Answered {
                ticket: Ticket(0),
                result: Ok(()),
            }),
            _ => Input::Exited {
                instance,
                status: ExitStatus::Exited(0),
            },
        }
    }

    fn name(&mut self) -> (String, String) {
        let group = format!("g{}", self.rng.below(self.groups.min(self.size * 2 + 2)));
        (group, format!("p{}", self.rng.below(5)))
    }

    fn target(&mut self) -> RequestTarget {
        let (group, process) = self.name();
        // A request for all of thousands of processes would take the whole run.
        let all = if self.size > 200 { 1 } else { 8 };
        match self.rng.below(100) {
            n if n < all => RequestTarget::All,
            n if n < 30 => RequestTarget::Group(group),
            _ => {
                let text = format!("{group}:{process}");
                RequestTarget::One(Namespec::parse(&text), text)
            }
        }
    }

    fn ask(&mut self) -> Input {
        let target = self.target();
        let (group, process) = self.name();
        let name = format!("{group}:{process}");
        let wait = self.rng.percent(60);
        let request = match self.rng.below(396) {
            0..=89 => Request::Start { target, wait },
            90..=169 => Request::Stop { target, wait },
            170..=199 => Request::Signal {
                target,
                signal: self.rng.pick(&["HUP", "TERM", "9", "NONSENSE"]).to_owned(),
            },
            200..=214 => Request::ProcessInfo(name),
            215..=224 => Request::ClearLogs(target),
            225..=229 => Request::ClearDaemonLog,
            230..=239 => Request::WriteStdin {
                name,
                data: b"x".to_vec(),
            },
            240..=244 => Request::RemoteEvent {
                kind: "k".to_owned(),
                data: "d".to_owned(),
            },
            245..=249 => Request::LogFile(LogRef::Process(name, Channel::Stdout)),
            250..=254 => Request::Reread,
            255..=274 => Request::AddGroup(group),
            275..=292 => Request::RemoveGroup(group),
            293 => Request::AllConfigInfo,
            294 => Request::AllProcessInfo,
            295 => Request::State,
            296 => Request::Pid,
            297 => Request::Identification,
            298 if self.rng.one_in(20) => Request::Restart,
            299 if self.rng.one_in(20) => Request::Shutdown,
            300..=304 => Request::ResetNumprocs(group),
            305..=324 => Request::SetNumprocs {
                program: self.name().0,
                numprocs: self.rng.pick(&[-1, 0, 1, 2, 3, 5, 8, 100_001]),
            },
            325..=334 => Request::AddProgram {
                group,
                program: self.rng.pick(&["x", "y", "g1"]).to_owned(),
                options: vec![("command".to_owned(), "/bin/p".to_owned())],
            },
            335..=344 => Request::RemoveProcess { group, process },
            345 => Request::GroupNames,
            346 => Request::WriteLog {
                level: Level::Info,
                message: "m".to_owned(),
            },
            347..=359 => Request::RollingRestart {
                targets: vec![target, self.target()],
                limits: RollingLimits {
                    at_once: self.rng.pick(&[1, 1, 2, 100]),
                    max_failures: self.rng.pick(&[0, 0, 1, 3]),
                    healthy: self.rng.percent(40),
                },
            },
            386..=393 => Request::UpdateGroup(group),
            394..=395 => Request::PartialUpdates(vec![group]),
            360..=361 => Request::Upgrade,
            362 => Request::Generation,
            370..=377 => Request::StartAlone { target, wait },
            378..=385 => Request::StopWithDependants { target, wait },
            363..=364 => Request::PlanUpdate,
            365..=368 => Request::RereadIfPlan("expected".to_owned()),
            _ => Request::LogFile(LogRef::Daemon),
        };
        self.next_ticket += 1;
        let scope = if self.rng.percent(90) {
            AccessScope::All
        } else {
            let whole = format!("{}:*", self.name().0);
            let (group, process) = self.name();
            AccessScope::Only(vec![
                Namespec::parse(&whole),
                Namespec::parse(&format!("{group}:{process}")),
            ])
        };
        Input::Asked {
            ticket: Ticket(self.next_ticket),
            caller: Caller {
                transport: Transport::Unix,
                uid: Some(0),
                gid: Some(0),
                pid: None,
                login: None,
                token: None,
                forwarded_user: None,
                bus_name: None,
                access: None,
            },
            grant: Grant {
                permission: Permission::Control,
                scope,
            },
            request,
        }
    }
}

fn failure(instance: InstanceId) -> Input {
    let error = SpawnError::NotFound("/bin/p".to_owned());
    Input::Spawner(SpawnerOutcome::Failed { instance, error })
}

fn restored(fleet: &Fleet, now: Now) -> Fleet {
    let bytes = serde_json::to_vec(&fleet.snapshot()).expect("a snapshot can be written");
    let snapshot: Snapshot = serde_json::from_slice(&bytes).expect("what was written can be read");
    Fleet::restore(snapshot, now)
}
