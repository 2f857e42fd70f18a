//! Invariants of processes that send notifications: readiness, watchdog keepalives and extended timeouts.

use std::collections::BTreeMap;
use std::sync::Arc;

use supervisord::api::Request;
use supervisord::config::spec::ProcessSpec;
use supervisord::core::{
    Action, IgnoredNotify, Input, NotifiedState, NotifyMessage, WatchdogNotify,
};
use supervisord::domain::{Change, InstanceId, ProcessState, Signal};
use supervisord::effects::{LineWatchKind, OutputOutcome, SpawnerEffect, SpawnerOutcome};

use crate::rng::Rng;

const SECOND: u64 = 1_000_000_000;
/// The longest extension of a configured timeout.
const EXTENSION: u64 = 3600 * SECOND;
const NEVER: u64 = u64::MAX;

/// One instance that sends notifications, and its deadlines in nanoseconds.
#[derive(Debug)]
struct Notifier {
    spec: Arc<ProcessSpec>,
    state: ProcessState,
    up: bool,
    interval: u64,
    is_ending: bool,
    ready_by: u64,
    beat_by: u64,
    kill_by: u64,
    extend_until: u64,
    /// The instance missed a deadline and was sent a signal.
    failed: bool,
    /// The stop signal was sent. It may be SIGKILL.
    stop_sent: bool,
    killed: bool,
}

impl Notifier {
    fn new(spec: &Arc<ProcessSpec>) -> Self {
        Self {
            spec: Arc::clone(spec),
            state: ProcessState::Starting,
            up: false,
            interval: nanos(spec.notify.watchdog.0),
            is_ending: false,
            ready_by: NEVER,
            beat_by: NEVER,
            kill_by: NEVER,
            extend_until: 0,
            failed: false,
            stop_sent: false,
            killed: false,
        }
    }

    fn restart_watchdog(&mut self, at: u64) {
        self.beat_by = if self.interval == 0 || self.is_ending {
            NEVER
        } else {
            at.saturating_add(self.interval)
        };
    }

    fn begin_stop(&mut self, at: u64) {
        self.kill_by = at + nanos(self.spec.stopwaitsecs.0);
        self.extend_until = self.kill_by + EXTENSION;
    }

    fn note_input(&mut self, at: u64, notice: &NotifyMessage) {
        if let Some(usec) = notice.watchdog_usec {
            self.interval = usec.saturating_mul(1000);
        }
        if let Some(announced) = notice.announced {
            self.is_ending = announced == NotifiedState::Stopping;
        }
        if notice.beat == Some(WatchdogNotify::Alive)
            || notice.watchdog_usec.is_some()
            || self.is_ending
        {
            self.restart_watchdog(at);
        }
        if let Some(usec) = notice.extend_usec {
            let until = at
                .saturating_add(usec.saturating_mul(1000))
                .min(self.extend_until);
            match self.state {
                ProcessState::Starting => self.ready_by = self.ready_by.max(until),
                // A hook before the stop signal has its own limit, which the process cannot extend.
                ProcessState::Stopping if self.stop_sent && !self.killed => {
                    self.kill_by = self.kill_by.max(until);
                }
                _ => {}
            }
        }
    }
}

fn nanos(seconds: i64) -> u64 {
    u64::try_from(seconds).unwrap_or(0) * SECOND
}

#[derive(Debug, Default)]
pub(crate) struct Notifiers {
    instances: BTreeMap<InstanceId, Notifier>,
}

impl Notifiers {
    /// Notes an input before the actions it caused.
    pub(crate) fn note_input(&mut self, at: u64, input: &Input) {
        match input {
            Input::Spawner(SpawnerOutcome::Spawned { instance, .. }) => {
                if let Some(notifier) = self.instances.get_mut(instance) {
                    notifier.up = true;
                    if notifier.state == ProcessState::Stopping {
                        notifier.begin_stop(at);
                    } else if notifier.spec.notify.ready_timeout.0 > 0 {
                        notifier.ready_by = at + nanos(notifier.spec.notify.ready_timeout.0);
                        notifier.extend_until = notifier.ready_by + EXTENSION;
                    } else {
                        notifier.extend_until = NEVER;
                    }
                }
            }
            Input::Exited { instance, .. }
            | Input::Spawner(SpawnerOutcome::Failed { instance, .. }) => {
                self.instances.remove(instance);
            }
            Input::Notified(instance, notice) => {
                if let Some(notifier) = self
                    .instances
                    .get_mut(instance)
                    .filter(|notifier| notifier.up)
                {
                    notifier.note_input(at, notice);
                }
            }
            _ => {}
        }
    }

    pub(crate) fn note_action(&mut self, at: u64, action: &Action, input: &Input) {
        match action {
            Action::Spawner(SpawnerEffect::Resolve(instance, spec)) => {
                // An instance that was called off, or that the core no longer knows.
                self.instances.retain(|other, notifier| {
                    let is_named =
                        notifier.spec.name == spec.name && notifier.spec.group == spec.group;
                    other.slot != instance.slot && !is_named
                });
                if spec.notify.tells_ready() {
                    self.instances.insert(*instance, Notifier::new(spec));
                }
            }
            Action::Publish(event) => {
                let Change::ProcessState {
                    group, process, to, ..
                } = &**event
                else {
                    return;
                };
                let named = |notifier: &Notifier| {
                    notifier.spec.name == *process && notifier.spec.group == *group
                };
                let Some((instance, notifier)) = self
                    .instances
                    .iter_mut()
                    .find(|(_, notifier)| named(notifier))
                else {
                    return;
                };
                notifier.state = *to;
                match to {
                    ProcessState::Running => {
                        let is_checked =
                            notifier.spec.notify.check && matches!(input, Input::Script(_));
                        let is_in_log = notifier.spec.notify.log
                            && matches!(
                                input,
                                Input::Output(OutputOutcome::LineMatched { instance: whose, kind: LineWatchKind::Ready, .. }) if whose == instance
                            );
                        assert!(
                            is_checked
                                || is_in_log
                                || matches!(input, Input::Notified(whose, notice) if whose == instance && notice.announced == Some(NotifiedState::Ready)),
                            "{instance:?} is RUNNING and has not said that it is ready: {input:?}"
                        );
                        notifier.restart_watchdog(at);
                    }
                    ProcessState::Stopping => notifier.begin_stop(at),
                    _ => {}
                }
            }
            Action::Signal {
                instance, signal, ..
            } => self.signal(at, *instance, *signal, input),
            _ => {}
        }
    }

    fn signal(&mut self, at: u64, instance: InstanceId, signal: Signal, input: &Input) {
        let Some(notifier) = self.instances.get_mut(&instance) else {
            return;
        };
        // The signal of a client, which is no stop signal even if it is the same one.
        let is_signal = matches!(
            input,
            Input::Asked {
                request: Request::Signal { .. },
                ..
            }
        );
        let is_asked = matches!(input, Input::Asked { .. });
        if is_signal || (is_asked && notifier.state != ProcessState::Stopping) {
            return;
        }
        let stops = notifier.state == ProcessState::Stopping && signal == notifier.spec.stopsignal;
        if stops && !notifier.stop_sent {
            notifier.stop_sent = true;
            return;
        }
        if notifier.state == ProcessState::Stopping
            && notifier.spec.later_stopsignals.contains(&signal)
        {
            assert!(
                at >= notifier.kill_by || matches!(input, Input::Resumed(_)),
                "{instance:?} has time left before the next stop signal: {at} {notifier:?}"
            );
            notifier.kill_by = at + nanos(notifier.spec.stopwaitsecs.0);
            return;
        }
        let is_polled = matches!(input, Input::NotifyPolled(whose) if *whose == instance);
        if signal == Signal::ABRT {
            let wished = matches!(input, Input::Notified(whose, notice) if *whose == instance && notice.beat == Some(WatchdogNotify::Trigger));
            let late = is_polled
                && notifier.state == ProcessState::Running
                && notifier.interval > 0
                && at >= notifier.beat_by;
            assert!(
                wished || late,
                "{instance:?} is ended by a watchdog that it has fed: {at} {notifier:?}"
            );
            notifier.failed = true;
        } else if notifier.state == ProcessState::Starting && is_polled {
            assert!(
                at >= notifier.ready_by,
                "{instance:?} has time left to be ready: {at} {notifier:?}"
            );
            notifier.failed = true;
        } else if signal == Signal::KILL && notifier.state == ProcessState::Stopping && is_polled {
            assert!(
                at >= notifier.kill_by,
                "{instance:?} has time left to stop: {at} {notifier:?}"
            );
            notifier.killed = true;
        }
    }

    /// Once the shell has read all notifications, the core acts on deadlines that have passed, except on one that began
    /// with this input.
    pub(crate) fn after(&self, at: u64, input: &Input, actions: &[Action]) {
        let Input::NotifyPolled(instance) = input else {
            return;
        };
        let Some(notifier) = self.instances.get(instance) else {
            return;
        };
        if actions.contains(&Action::PollNotify(*instance)) {
            return;
        }
        let is_done = match notifier.state {
            ProcessState::Starting => at < notifier.ready_by || notifier.failed,
            ProcessState::Running => at < notifier.beat_by || notifier.failed,
            // A hook before the stop signal has its own limit.
            ProcessState::Stopping if !notifier.stop_sent && notifier.spec.hooks.is_some() => true,
            ProcessState::Stopping => at < notifier.kill_by || notifier.killed,
            _ => true,
        };
        assert!(is_done, "{instance:?} is let off: {at} {notifier:?}");
    }
}

/// A random notification, valid or not.
pub(crate) fn random_notification(rng: &mut Rng) -> NotifyMessage {
    let mut notice = NotifyMessage::default();
    match rng.below(40) {
        0..=2 => notice.announced = Some(NotifiedState::Ready),
        3 => notice.announced = Some(NotifiedState::Reloading),
        4 if rng.one_in(4) => notice.announced = Some(NotifiedState::Stopping),
        5..=7 => notice.status = Some("s".to_owned()),
        8 => notice.watchdog_usec = Some(rng.pick(&[0, 1, 700_000, u64::MAX])),
        9..=11 => {
            notice.extend_usec = Some(rng.pick(&[0, 1, 2_000_000, u64::MAX]));
        }
        12 => notice.ignored = vec![IgnoredNotify::MainPid, IgnoredNotify::Unknown],
        13 if rng.one_in(4) => notice.beat = Some(WatchdogNotify::Trigger),
        _ => notice.beat = Some(WatchdogNotify::Alive),
    }
    notice
}
