//! What one daemon leaves to the next: the core written out, spoilt, and read back; and the memory of reads under way.
//!
//! The memory that holds them belongs to the daemon, so nobody attacks through it. But a state of another version, or one
//! that a machine has spoilt, must be refused or gone on with; it must not end each new daemon in turn.

use std::collections::VecDeque;
use std::sync::Arc;

use supervisord::core::{
    Action, Actions, DaemonSignal, Fleet, Identity, Input, ProcessRecord, ResumeKind, Snapshot,
};
use supervisord::domain::{ExitStatus, Now, ResourceEvents, Signal, Tick, Wall};
use supervisord::output::{IN_FLIGHT_LOG_BYTES, UnflushedChunk};
use supervisord::sys::SharedBuffer;

use crate::chance::Chance;
use crate::configs;
use crate::mutate;
use crate::session::{Budget, run};

/// Inputs before the state is written out, at most.
const INPUTS_BEFORE: u64 = 60;
/// Inputs after it was read back.
const INPUTS_AFTER: u64 = 40;
/// Inputs that wait for the core at most: a spoilt state may want one thing again and again.
const WAITING_MAX: usize = 1000;

/// The shell as short as it can be: threads answer at once, processes end by chance.
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

    fn give(&mut self, fleet: &mut Fleet, input: Input, chance: &mut Chance) {
        let mut actions = Actions::new();
        fleet.handle(self.now, input, &mut actions);
        for action in actions {
            let input = match action {
                Action::Resolve(instance, _) => Input::Resolved(instance),
                Action::Prepare(instance, ..) => Input::Prepared(instance),
                Action::PrepareNext(instance, ..) => {
                    self.waiting.push_front(Input::Resolved(instance));
                    Input::Prepared(instance)
                }
                Action::Spawn(instance, _) => {
                    if chance.one_in(3) {
                        let status = ExitStatus::Exited(u8::from(chance.one_in(2)));
                        self.waiting.push_back(Input::Exited { instance, status });
                    }
                    Input::Spawned { instance, pid: 77 }
                }
                Action::Signal {
                    instance, signal, ..
                } => {
                    if signal == Signal::KILL || chance.one_in(2) {
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
                Action::Drain(instance) => Input::Drained(instance),
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
                // What a thread answers comes before what a process does later.
                self.waiting.push_front(input);
            }
        }
    }

    fn go_on(&mut self, fleet: &mut Fleet, inputs: u64, chance: &mut Chance) {
        for _ in 0..inputs {
            let input = match self.waiting.pop_front() {
                Some(input) => input,
                None if chance.one_in(20) => Input::Received(DaemonSignal::ReopenLogs),
                None => match fleet.next_deadline() {
                    Some(at) if at != Tick::NEVER => {
                        self.now.mono = Tick(at.0.max(self.now.mono.0));
                        Input::DeadlineReached
                    }
                    _ => return,
                },
            };
            self.give(fleet, input, chance);
        }
    }
}

fn snapshot(chance: &mut Chance) -> Snapshot {
    fleet(chance).snapshot()
}

fn fleet(chance: &mut Chance) -> Fleet {
    let size = 1 + chance.below(6);
    let config = configs::config(chance, size);
    let identity = Identity {
        pid: 1,
        daemon_log: Some(Arc::from(std::path::Path::new("/var/log/supervisord.log"))),
        seed: chance.next(),
        event_serial: 0,
    };
    let mut fleet = Fleet::new(identity, config);
    let mut shell = Shell::new();
    shell.give(&mut fleet, Input::DaemonStarted, chance);
    let inputs = chance.below(INPUTS_BEFORE);
    shell.go_on(&mut fleet, inputs, chance);
    fleet
}

/// Records of processes, spoilt as bytes, laid over a state.
pub(crate) fn records(budget: Budget) -> Result<u64, String> {
    let mut taken = 0_u64;
    let cases = run("records", budget, |chance, shown| {
        let mut fleet = fleet(chance);
        let snapshot = fleet.snapshot();
        let mut records = Vec::new();
        for slot in fleet.take_changed() {
            let most = chance.pick(&[64, 200, usize::MAX]);
            let Some(bytes) = fleet.record_bytes(slot, most) else {
                continue;
            };
            if ProcessRecord::decode(&bytes).is_none() {
                return Err(format!("it cannot read what it wrote: {bytes:?}"));
            }
            let bytes = mutate::bytes(chance, bytes, 3);
            shown.note(&bytes);
            records.extend(ProcessRecord::decode(&bytes));
        }
        taken += u64::from(!records.is_empty());
        let mut spoilt = snapshot;
        spoilt.apply_records(records);
        go_on_with(spoilt, chance)
    })?;
    if cases > 1000 && taken < cases / 50 {
        return Err(format!(
            "records of only {taken} of {cases} cases were taken"
        ));
    }
    Ok(cases)
}

/// A core that begins with a state which may be spoilt goes on, stops, and writes what can be read.
fn go_on_with(snapshot: Snapshot, chance: &mut Chance) -> Result<(), String> {
    let mut shell = Shell::new();
    let mut fleet = Fleet::restore(snapshot, shell.now);
    let successor = chance.pick(&[
        ResumeKind::NewImage,
        ResumeKind::NewDaemon,
        ResumeKind::SameImage,
    ]);
    shell.give(&mut fleet, Input::Resumed(successor), chance);
    shell.go_on(&mut fleet, INPUTS_AFTER, chance);
    let stop = Input::Received(DaemonSignal::Exit(Signal::TERM));
    shell.give(&mut fleet, stop, chance);
    shell.go_on(&mut fleet, INPUTS_AFTER, chance);
    let _ = fleet.view(shell.now);
    let again = serde_json::to_vec(&fleet.snapshot()).map_err(|error| error.to_string())?;
    serde_json::from_slice::<Snapshot>(&again)
        .map_err(|error| format!("it cannot read what it wrote: {error}"))?;
    Ok(())
}

/// The core, spoilt as JSON and as bytes.
pub(crate) fn snapshots(budget: Budget) -> Result<u64, String> {
    let mut taken = 0_u64;
    let cases = run("snapshots", budget, |chance, shown| {
        let bytes = serde_json::to_vec(&snapshot(chance)).map_err(|error| error.to_string())?;
        let bytes = if chance.one_in(4) {
            mutate::bytes(chance, bytes, 3)
        } else {
            let mut value = serde_json::from_slice(&bytes).map_err(|error| error.to_string())?;
            for _ in 0..=chance.below(3) {
                mutate::json(chance, &mut value);
            }
            serde_json::to_vec(&value).map_err(|error| error.to_string())?
        };
        shown.note(&bytes);
        let Ok(snapshot) = serde_json::from_slice::<Snapshot>(&bytes) else {
            return Ok(());
        };
        taken += 1;
        go_on_with(snapshot, chance)
    })?;
    if cases > 1000 && taken < cases / 50 {
        return Err(format!("only {taken} of {cases} states were taken"));
    }
    Ok(cases)
}

/// Memory of a read under way that says anything.
pub(crate) fn in_flight(budget: Budget) -> Result<u64, String> {
    run("in_flight", budget, |chance, shown| {
        let mut buffer =
            SharedBuffer::new("fuzz", IN_FLIGHT_LOG_BYTES).map_err(|error| error.to_string())?;
        let (words, bytes) = buffer.parts();
        let mut said = Vec::new();
        // The word that says what this is has one value that is looked at further.
        let magic = 0x5356_4c45_4447_0001;
        for (place, word) in words.iter().enumerate() {
            let value = match (place, chance.below(5)) {
                (0, 1..) => magic,
                (_, 0) => chance.next(),
                (_, 1) => u64::MAX - chance.below(3),
                (_, 2) => IN_FLIGHT_LOG_BYTES as u64 + chance.below(3) - 1,
                _ => chance.below(4),
            };
            word.store(value, std::sync::atomic::Ordering::Release);
            said.extend_from_slice(&value.to_le_bytes());
        }
        for _ in 0..chance.below(200) {
            let place = usize::try_from(chance.below(bytes.len() as u64)).expect("fits");
            bytes[place] = u8::try_from(chance.below(256)).expect("a byte");
        }
        shown.note(&said);
        if let Ok(Some(unflushed)) = UnflushedChunk::find(&mut buffer) {
            let log = std::env::temp_dir().join("no-such-log");
            let unread = chance
                .one_in(2)
                .then(|| usize::try_from(chance.next() >> 40).expect("fits"));
            let recovered = unflushed.recover(unread, chance.one_in(2).then_some(log.as_path()));
            if recovered.written > recovered.data.len()
                || recovered.missing().len() > IN_FLIGHT_LOG_BYTES
            {
                return Err(format!("more than there is: {recovered:?}"));
            }
        }
        Ok(())
    })
}
