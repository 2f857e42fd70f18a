//! Processes that tell of themselves: the laws about readiness, watchdog messages and more time, seen from outside.

use std::collections::BTreeMap;
use std::sync::Arc;

use supervisord::config::spec::ProcessSpec;
use supervisord::core::{
    Action, IgnoredNotify, Input, NotifiedState, NotifyMessage, WatchdogNotify,
};
use supervisord::domain::{EventKind, InstanceId, ProcessState, Signal};

use crate::chance::Chance;

const SECOND: u64 = 1_000_000_000;
/// What a process may ask for beyond what is configured.
const EXTENSION: u64 = 3600 * SECOND;
const NEVER: u64 = u64::MAX;

/// One instance that tells of itself, and what it may count on. Times are nanoseconds.
#[derive(Debug)]
struct Speaker {
    spec: Arc<ProcessSpec>,
    state: ProcessState,
    up: bool,
    interval: u64,
    is_ending: bool,
    ready_by: u64,
    beat_by: u64,
    kill_by: u64,
    extend_until: u64,
    /// It was sent a signal for what it has not done.
    failed: bool,
    /// The stop signal is out, which may be SIGKILL itself.
    stop_sent: bool,
    killed: bool,
}

impl Speaker {
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

    fn wind(&mut self, at: u64) {
        self.beat_by = if self.interval == 0 || self.is_ending {
            NEVER
        } else {
            at.saturating_add(self.interval)
        };
    }

    fn begin_to_stop(&mut self, at: u64) {
        self.kill_by = at + nanos(self.spec.stopwaitsecs.0);
        self.extend_until = self.kill_by + EXTENSION;
    }

    fn hear(&mut self, at: u64, notice: &NotifyMessage) {
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
            self.wind(at);
        }
        if let Some(usec) = notice.extend_usec {
            let until = at
                .saturating_add(usec.saturating_mul(1000))
                .min(self.extend_until);
            match self.state {
                ProcessState::Starting => self.ready_by = self.ready_by.max(until),
                ProcessState::Stopping if !self.killed => self.kill_by = self.kill_by.max(until),
                _ => {}
            }
        }
    }
}

fn nanos(seconds: i64) -> u64 {
    u64::try_from(seconds).unwrap_or(0) * SECOND
}

#[derive(Debug, Default)]
pub(crate) struct Speakers {
    instances: BTreeMap<InstanceId, Speaker>,
}

impl Speakers {
    /// Before the actions that came of it.
    pub(crate) fn hear(&mut self, at: u64, input: &Input) {
        match input {
            Input::Spawned { instance, .. } => {
                if let Some(speaker) = self.instances.get_mut(instance) {
                    speaker.up = true;
                    if speaker.state == ProcessState::Stopping {
                        speaker.begin_to_stop(at);
                    } else if speaker.spec.notify.ready_timeout.0 > 0 {
                        speaker.ready_by = at + nanos(speaker.spec.notify.ready_timeout.0);
                        speaker.extend_until = speaker.ready_by + EXTENSION;
                    } else {
                        speaker.extend_until = NEVER;
                    }
                }
            }
            Input::Exited { instance, .. } | Input::SpawnFailed { instance, .. } => {
                self.instances.remove(instance);
            }
            Input::Notified(instance, notice) => {
                if let Some(speaker) = self
                    .instances
                    .get_mut(instance)
                    .filter(|speaker| speaker.up)
                {
                    speaker.hear(at, notice);
                }
            }
            _ => {}
        }
    }

    pub(crate) fn note(&mut self, at: u64, action: &Action, input: &Input) {
        match action {
            Action::Resolve(instance, spec) => {
                // An instance that was called off, or one that nobody knows any more.
                self.instances.retain(|other, speaker| {
                    let is_named =
                        speaker.spec.name == spec.name && speaker.spec.group == spec.group;
                    other.slot != instance.slot && !is_named
                });
                if spec.notify.tells_ready() {
                    self.instances.insert(*instance, Speaker::new(spec));
                }
            }
            Action::Publish(event) => {
                let EventKind::ProcessState { to, .. } = &event.kind else {
                    return;
                };
                let named = |speaker: &Speaker| {
                    Some(&speaker.spec.name) == event.process.as_ref()
                        && Some(&speaker.spec.group) == event.group.as_ref()
                };
                let Some((instance, speaker)) = self
                    .instances
                    .iter_mut()
                    .find(|(_, speaker)| named(speaker))
                else {
                    return;
                };
                speaker.state = *to;
                match to {
                    ProcessState::Running => {
                        assert!(
                            matches!(input, Input::Notified(whose, notice) if whose == instance && notice.announced == Some(NotifiedState::Ready)),
                            "{instance:?} is RUNNING and has not said that it is ready: {input:?}"
                        );
                        speaker.wind(at);
                    }
                    ProcessState::Stopping => speaker.begin_to_stop(at),
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
        let Some(speaker) = self.instances.get_mut(&instance) else {
            return;
        };
        if matches!(input, Input::Asked { .. }) && speaker.state != ProcessState::Stopping {
            // A client's.
            return;
        }
        let stops = speaker.state == ProcessState::Stopping && signal == speaker.spec.stopsignal;
        if stops && !speaker.stop_sent {
            speaker.stop_sent = true;
            return;
        }
        let is_heeded = matches!(input, Input::NotifyPolled(whose) if *whose == instance);
        if signal == Signal::ABRT {
            let wished = matches!(input, Input::Notified(whose, notice) if *whose == instance && notice.beat == Some(WatchdogNotify::Trigger));
            let late = is_heeded
                && speaker.state == ProcessState::Running
                && speaker.interval > 0
                && at >= speaker.beat_by;
            assert!(
                wished || late,
                "{instance:?} is ended by a watchdog that it has fed: {at} {speaker:?}"
            );
            speaker.failed = true;
        } else if speaker.state == ProcessState::Starting && is_heeded {
            assert!(
                at >= speaker.ready_by,
                "{instance:?} has time left to be ready: {at} {speaker:?}"
            );
            speaker.failed = true;
        } else if signal == Signal::KILL && speaker.state == ProcessState::Stopping && is_heeded {
            assert!(
                at >= speaker.kill_by,
                "{instance:?} has time left to stop: {at} {speaker:?}"
            );
            speaker.killed = true;
        }
    }

    /// Once the shell has read everything, what is due is done; unless what is due now began only now.
    pub(crate) fn after(&self, at: u64, input: &Input, actions: &[Action]) {
        let Input::NotifyPolled(instance) = input else {
            return;
        };
        let Some(speaker) = self.instances.get(instance) else {
            return;
        };
        if actions.contains(&Action::PollNotify(*instance)) {
            return;
        }
        let is_done = match speaker.state {
            ProcessState::Starting => at < speaker.ready_by || speaker.failed,
            ProcessState::Running => at < speaker.beat_by || speaker.failed,
            ProcessState::Stopping => at < speaker.kill_by || speaker.killed,
            _ => true,
        };
        assert!(is_done, "{instance:?} is let off: {at} {speaker:?}");
    }
}

/// What a process may say, well or badly.
pub(crate) fn notice(chance: &mut Chance) -> NotifyMessage {
    let mut notice = NotifyMessage::default();
    match chance.below(40) {
        0..=2 => notice.announced = Some(NotifiedState::Ready),
        3 => notice.announced = Some(NotifiedState::Reloading),
        4 if chance.one_in(4) => notice.announced = Some(NotifiedState::Stopping),
        5..=7 => notice.status = Some("s".to_owned()),
        8 => notice.watchdog_usec = Some(chance.pick(&[0, 1, 700_000, u64::MAX])),
        9..=11 => {
            notice.extend_usec = Some(chance.pick(&[0, 1, 2_000_000, u64::MAX]));
        }
        12 => notice.ignored = vec![IgnoredNotify::MainPid, IgnoredNotify::Unknown],
        13 if chance.one_in(4) => notice.beat = Some(WatchdogNotify::Trigger),
        _ => notice.beat = Some(WatchdogNotify::Alive),
    }
    notice
}
