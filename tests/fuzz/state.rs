//! The handoff of one daemon to the next: the core written, damaged, and read back; and in-flight logs.
//!
//! Only the daemon can write this memory, so it is no way to attack. But the next daemon must refuse or accept a state
//! of another version and a damaged one. It must not crash, or each new daemon would crash.

use std::collections::VecDeque;
use std::sync::Arc;

use supervisord::core::{
    Action, Actions, DaemonSignal, Fleet, Identity, Input, ProcessRecord, ResumeKind, Snapshot,
};
use supervisord::domain::{ExitStatus, Now, ResourceEvents, Signal, Tick, Wall};
use supervisord::effects::{OutputEffect, OutputOutcome, SpawnerEffect, SpawnerOutcome};
use supervisord::output::{IN_FLIGHT_LOG_BYTES, UnflushedChunk};
use supervisord::sys::SharedBuffer;

use crate::configs;
use crate::mutate;
use crate::rng::Rng;
use crate::session::{Budget, run};

/// Largest number of inputs before the state is written.
const INPUTS_BEFORE: u64 = 60;
/// Inputs after the state was read back.
const INPUTS_AFTER: u64 = 40;
/// Largest number of inputs that wait for the core. A damaged state may request one thing again and again.
const WAITING_MAX: usize = 1000;

/// The shortest possible shell: threads answer at once, processes exit at random.
struct Shell {
    now: Now,
    waiting: VecDeque<Input>,
}

impl Shell {
    fn new() -> Self {
        Self {
            now: Now {
                mono: Tick(1_000_000_000),
                wall: Wall(1_700_000_000_000_000_000),
            },
            waiting: VecDeque::new(),
        }
    }

    fn give(&mut self, fleet: &mut Fleet, input: Input, rng: &mut Rng) {
        let mut actions = Actions::new();
        fleet.handle(self.now, input, &mut actions);
        for action in actions {
            let input = match action {
                Action::Spawner(SpawnerEffect::Resolve(instance, _)) => {
                    Input::Spawner(SpawnerOutcome::Resolved(instance))
                }
                Action::Output(
                    OutputEffect::Prepare(instance, ..) | OutputEffect::PrepareNext(instance, ..),
                ) => Input::Output(OutputOutcome::Prepared(instance)),
                Action::Spawn(instance, _) => {
                    if rng.one_in(3) {
                        let status = ExitStatus::Exited(u8::from(rng.one_in(2)));
                        self.waiting.push_back(Input::Exited { instance, status });
                    }
                    Input::Spawner(SpawnerOutcome::Spawned { instance, pid: 77 })
                }
                Action::Signal {
                    instance, signal, ..
                } => {
                    if signal == Signal::KILL || rng.one_in(2) {
                        let dumped = false;
                        let status = ExitStatus::Signalled { signal, dumped };
                        self.waiting.push_back(Input::Exited { instance, status });
                    }
                    let result = Ok(());
                    Input::Signalled {
                        instance,
                        signal,
                        result,
                    }
                }
                Action::Output(OutputEffect::Drain(instance)) => {
                    Input::Output(OutputOutcome::Drained(instance))
                }
                Action::Empty { instance, .. } => {
                    let resource_events = ResourceEvents::NONE;
                    Input::Emptied {
                        instance,
                        resource_events,
                    }
                }
                _ => continue,
            };
            if self.waiting.len() < WAITING_MAX {
                // An answer of a thread comes before later inputs of a process.
                self.waiting.push_front(input);
            }
        }
    }

    fn go_on(&mut self, fleet: &mut Fleet, inputs: u64, rng: &mut Rng) {
        for _ in 0..inputs {
            let input = match self.waiting.pop_front() {
                Some(input) => input,
                None if rng.one_in(20) => Input::Received(DaemonSignal::ReopenLogs),
                None => match fleet.next_deadline() {
                    Some(at) if at != Tick::NEVER => {
                        self.now.mono = Tick(at.0.max(self.now.mono.0));
                        Input::DeadlineReached
                    }
                    _ => return,
                },
            };
            self.give(fleet, input, rng);
        }
    }
}

fn snapshot(rng: &mut Rng) -> Snapshot {
    fleet(rng).snapshot()
}

fn fleet(rng: &mut Rng) -> Fleet {
    let size = 1 + rng.below(6);
    let config = configs::config(rng, size);
    let identity = Identity {
        pid: 1,
        daemon_log: Some(Arc::from(std::path::Path::new("/var/log/supervisord.log"))),
        seed: rng.next(),
        event_serial: 0,
    };
    let mut fleet = Fleet::new(identity, config);
    let mut shell = Shell::new();
    shell.give(&mut fleet, Input::DaemonStarted, rng);
    let inputs = rng.below(INPUTS_BEFORE);
    shell.go_on(&mut fleet, inputs, rng);
    fleet
}

/// Records of processes, damaged as bytes, applied to a state.
pub(crate) fn records(budget: Budget) -> Result<u64, String> {
    let mut taken = 0_u64;
    let cases = run("records", budget, |rng, shown| {
        let mut fleet = fleet(rng);
        let snapshot = fleet.snapshot();
        let mut records = Vec::new();
        for slot in fleet.take_changed() {
            let most = rng.pick(&[64, 200, usize::MAX]);
            let Some(bytes) = fleet.record_bytes(slot, most) else {
                continue;
            };
            if ProcessRecord::decode(&bytes).is_none() {
                return Err(format!("it cannot read what it wrote: {bytes:?}"));
            }
            let bytes = mutate::bytes(rng, bytes, 3);
            shown.note(&bytes);
            records.extend(ProcessRecord::decode(&bytes));
        }
        taken += u64::from(!records.is_empty());
        let mut spoilt = snapshot;
        spoilt.apply_records(records);
        go_on_with(spoilt, rng)
    })?;
    if cases > 1000 && taken < cases / 50 {
        return Err(format!(
            "records of only {taken} of {cases} cases were taken"
        ));
    }
    Ok(cases)
}

/// A core with a state that may be damaged runs, stops, and writes a state that can be read.
fn go_on_with(snapshot: Snapshot, rng: &mut Rng) -> Result<(), String> {
    let mut shell = Shell::new();
    let mut fleet = Fleet::restore(snapshot, shell.now);
    let successor = rng.pick(&[
        ResumeKind::NewImage,
        ResumeKind::NewDaemon,
        ResumeKind::SameImage,
    ]);
    shell.give(&mut fleet, Input::Resumed(successor), rng);
    shell.go_on(&mut fleet, INPUTS_AFTER, rng);
    let stop = Input::Received(DaemonSignal::Exit(Signal::TERM));
    shell.give(&mut fleet, stop, rng);
    shell.go_on(&mut fleet, INPUTS_AFTER, rng);
    let _ = fleet.view(shell.now);
    let again = serde_json::to_vec(&fleet.snapshot()).map_err(|error| error.to_string())?;
    serde_json::from_slice::<Snapshot>(&again)
        .map_err(|error| format!("it cannot read what it wrote: {error}"))?;
    Ok(())
}

/// The core's state, damaged as JSON and as bytes.
pub(crate) fn snapshots(budget: Budget) -> Result<u64, String> {
    let mut taken = 0_u64;
    let cases = run("snapshots", budget, |rng, shown| {
        let bytes = serde_json::to_vec(&snapshot(rng)).map_err(|error| error.to_string())?;
        let bytes = if rng.one_in(4) {
            mutate::bytes(rng, bytes, 3)
        } else {
            let mut value = serde_json::from_slice(&bytes).map_err(|error| error.to_string())?;
            for _ in 0..=rng.below(3) {
                mutate::json(rng, &mut value);
            }
            serde_json::to_vec(&value).map_err(|error| error.to_string())?
        };
        shown.note(&bytes);
        let Ok(snapshot) = serde_json::from_slice::<Snapshot>(&bytes) else {
            return Ok(());
        };
        taken += 1;
        go_on_with(snapshot, rng)
    })?;
    if cases > 1000 && taken < cases / 50 {
        return Err(format!("only {taken} of {cases} states were taken"));
    }
    Ok(cases)
}

/// Memory of an in-flight log with any content.
pub(crate) fn in_flight(budget: Budget) -> Result<u64, String> {
    run("in_flight", budget, |rng, shown| {
        let mut buffer =
            SharedBuffer::new("fuzz", IN_FLIGHT_LOG_BYTES).map_err(|error| error.to_string())?;
        let (words, bytes) = buffer.parts();
        let mut said = Vec::new();
        // The word that identifies the memory has only one valid value.
        let magic = 0x5356_4c45_4447_0001;
        for (place, word) in words.iter().enumerate() {
            let value = match (place, rng.below(5)) {
                (0, 1..) => magic,
                (_, 0) => rng.next(),
                (_, 1) => u64::MAX - rng.below(3),
                (_, 2) => IN_FLIGHT_LOG_BYTES as u64 + rng.below(3) - 1,
                _ => rng.below(4),
            };
            word.store(value, std::sync::atomic::Ordering::Release);
            said.extend_from_slice(&value.to_le_bytes());
        }
        for _ in 0..rng.below(200) {
            let place = usize::try_from(rng.below(bytes.len() as u64)).expect("fits");
            bytes[place] = u8::try_from(rng.below(256)).expect("a byte");
        }
        shown.note(&said);
        if let Ok(Some(unflushed)) = UnflushedChunk::find(&mut buffer) {
            let log = std::env::temp_dir().join("no-such-log");
            let unread = rng
                .one_in(2)
                .then(|| usize::try_from(rng.next() >> 40).expect("fits"));
            let recovered = unflushed.recover(unread, rng.one_in(2).then_some(log.as_path()));
            if recovered.written > recovered.data.len()
                || recovered.missing().len() > IN_FLIGHT_LOG_BYTES
            {
                return Err(format!("more than there is: {recovered:?}"));
            }
        }
        Ok(())
    })
}
