//! The binary format of a [`ProcessRecord`]: numbers of fixed width in the order of [`encode`], little endian. Values
//! that few processes have follow as JSON. A compact format matters because each step of a process writes a record, so
//! a restart writes several.
//!
//! Versions before 5.1 wrote only JSON, which starts with a brace. [`decode`] reads both formats.

use serde::{Deserialize, Serialize};

use super::change_state::ChangeState;
use super::health_state::HealthState;
use super::hold_state::Hold;
use super::listener_stage::ListenerStage;
use super::notify_state::NotifyState;
use super::process::{LastError, Process, RunState, is_false, is_zero};
use super::process_record::ProcessRecord;
use super::record_bytes::{Reader, Writer};
use super::restart_progress::RestartProgress;
use super::stage_codes::{code_of_stage_at_exit, stage_at_exit_of_code};
use super::stage_record::StageRecord;
use super::transitions::CurrentStage;
use crate::domain::{ExitCounts, ExitReason, ResourceEvents, Tick, counter};
use crate::effects::ScriptId;

/// The first byte of a record: the version of the format.
const FORM: u8 = 2;
/// The version without counts of exits.
const FORM_WITHOUT_EXITS: u8 = 1;
/// The first byte of a JSON record.
const BRACE: u8 = b'{';
/// The code of an absent value.
const NONE: u8 = 0;
/// The code of a value that is in the JSON part.
const ELSEWHERE: u8 = u8::MAX;

/// Values without a fixed width. Most processes have none of them.
#[derive(Default, Serialize, Deserialize)]
struct Rest {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[serde(rename = "trouble")]
    last_error: Option<LastError>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[serde(rename = "ending")]
    exit_reason: Option<ExitReason>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[serde(rename = "hearing")]
    listener: Option<ListenerStage>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[serde(rename = "tidings")]
    notify_state: Option<Box<NotifyState>>,
    #[serde(default, skip_serializing_if = "is_zero")]
    running_at: Tick,
    #[serde(default, skip_serializing_if = "is_false")]
    stop_held: bool,
    #[serde(default, skip_serializing_if = "is_false")]
    starts_again: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    health: Option<Box<HealthState>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    last_hook: Option<String>,
    #[serde(default, skip_serializing_if = "RestartProgress::is_default")]
    restart: RestartProgress,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    changes: Option<Box<ChangeState>>,
    #[serde(default, skip_serializing_if = "is_false")]
    restart_after_change: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    fatal_script: Option<ScriptId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    hold: Option<Box<Hold>>,
}

impl Rest {
    fn is_empty(&self) -> bool {
        self.last_error.is_none()
            && is_zero(&self.running_at)
            && !self.stop_held
            && !self.starts_again
            && self.exit_reason.is_none()
            && self.listener.is_none()
            && self.notify_state.is_none()
            && self.health.is_none()
            && self.last_hook.is_none()
            && self.restart.is_default()
            && self.changes.is_none()
            && !self.restart_after_change
            && self.fatal_script.is_none()
            && self.hold.is_none()
    }
}

/// Counters of the fleet that each record contains.
#[derive(Debug, Clone, Copy)]
pub(super) struct Counts {
    pub(super) last_incarnation: u64,
    pub(super) event_serial: u64,
}

/// Encodes the record of a process. If it is longer than `most` bytes, it omits the last exit reason and the event that
/// a listener holds. Such a listener becomes UNKNOWN.
pub(super) fn encode(slot: u32, process: &Process, counts: Counts, most: usize) -> Vec<u8> {
    let bytes = encoded(slot, process, counts, false);
    if bytes.len() <= most {
        return bytes;
    }
    encoded(slot, process, counts, true)
}

/// Encodes a record. `is_short`: without the values that [`encode`] may omit.
fn encoded(slot: u32, process: &Process, counts: Counts, is_short: bool) -> Vec<u8> {
    // Waiting clients do not survive the daemon. A successor starts the next attempt again.
    let RunState {
        stage,
        next: _,
        stage_before_unknown: refused,
        tries,
        restart,
        last_error,
        exit_status,
        start,
        stop,
        spawned_at,
        running_at,
        stop_held,
        starts_again,
        report_at,
        spawns,
        exit_reason,
        exits,
        resource_events,
        relimit,
        waiters: _,
        listener,
        notify_state,
        health,
        hook: _,
        last_hook,
        fatal_script,
        changes,
        restart_after_change,
        hold,
    } = &process.run;
    let mut rest = Rest {
        running_at: *running_at,
        stop_held: *stop_held,
        starts_again: *starts_again,
        ..Rest::default()
    };
    let mut to = Writer(Vec::with_capacity(160));
    to.u8(FORM);
    to.u32(slot);
    to.u64(process.slot_generation);
    to.u64(counts.last_incarnation);
    to.u64(counts.event_serial);
    StageRecord::from(**stage).write(&mut to);
    match refused {
        None => to.u8(NONE),
        Some(at_exit) => to.u8(1 + code_of_stage_at_exit(*at_exit)),
    }
    to.u32(*tries);
    to.i32(*exit_status);
    to.i64(*start);
    to.i64(*stop);
    to.u64(spawned_at.0);
    to.u64(report_at.0);
    to.u64(*spawns);
    to.u8(code_of_resource_events(*resource_events));
    to.u8(u8::from(*relimit));
    for count in exits.0 {
        to.u32(count);
    }
    rest.last_error = write_last_error(&mut to, last_error.as_ref(), is_short);
    rest.exit_reason = write_exit_reason(&mut to, exit_reason.as_ref(), is_short);
    rest.listener = write_listener(&mut to, listener.as_ref(), is_short);
    rest.notify_state.clone_from(notify_state);
    rest.health.clone_from(health);
    rest.last_hook.clone_from(last_hook);
    rest.restart = *restart;
    rest.changes.clone_from(changes);
    rest.restart_after_change = *restart_after_change;
    rest.fatal_script = *fatal_script;
    rest.hold.clone_from(hold);
    if !rest.is_empty() {
        // Serializing strings and numbers cannot fail.
        to.0.extend(serde_json::to_vec(&rest).unwrap_or_default());
    }
    to.0
}

/// Declares how values are written and read: the code of each variant, and the type of its field. Variants after `json`
/// have no fixed width and belong in the JSON part. A short record has the code after `short` instead of them.
macro_rules! codes {
    (
        $Type:ident by $write:ident and $read:ident:
        $($code:literal = $Variant:ident $(($field:ident))?,)*
        json $($Long:ident)|+, short $short:expr
    ) => {
        /// Writes the value. Returns it if it belongs in the JSON part.
        fn $write(to: &mut Writer, value: Option<&$Type>, is_short: bool) -> Option<$Type> {
            match value {
                None => to.u8(NONE),
                $(Some($Type::$Variant $(($field))?) => {
                    to.u8($code);
                    $(to.$field(*$field);)?
                })*
                Some($($Type::$Long(_))|+) if is_short => to.u8($short),
                Some($($Type::$Long(_))|+) => {
                    to.u8(ELSEWHERE);
                    return value.cloned();
                }
            }
            None
        }

        fn $read(from: &mut Reader<'_>) -> Option<Coded<$Type>> {
            Some(Coded::Here(Some(match from.u8()? {
                NONE => return Some(Coded::Here(None)),
                $($code => $Type::$Variant $((from.$field()?))?,)*
                ELSEWHERE => return Some(Coded::Elsewhere),
                _ => return None,
            })))
        }
    };
}

codes! {
    LastError by write_last_error and read_last_error:
    1 = TooQuick,
    2 = Unready,
    3 = NotReady,
    4 = NotifiedFailure,
    5 = WatchdogTimeout,
    6 = WatchdogTrigger,
    7 = BadExit(i32),
    json NotSpawned | HeldUp | Dependency | Unhealthy, short NONE
}

codes! {
    ExitReason by write_exit_reason and read_exit_reason:
    1 = TooQuick(status),
    2 = Unready(status),
    3 = NotReady(status),
    4 = Watchdog(status),
    5 = ByItself(status),
    6 = OnRequest(status),
    7 = Unhealthy(status),
    json NotSpawned, short NONE
}

codes! {
    ListenerStage by write_listener and read_listener:
    1 = Acknowledged,
    2 = Ready,
    3 = StdinClosed,
    4 = Unknown,
    json Busy, short 4
}

/// A value that is either in the binary part of a record or in the JSON part.
enum Coded<T> {
    /// In the binary part. `None`: the value is absent.
    Here(Option<T>),
    Elsewhere,
}

impl<T> Coded<T> {
    /// Returns the value. `json`: the value in the JSON part. `None`: the code and the JSON part contradict each other.
    fn resolve(self, json: Option<T>) -> Option<Option<T>> {
        match (self, json) {
            (Self::Here(value), None) => Some(value),
            (Self::Elsewhere, Some(value)) => Some(Some(value)),
            (Self::Here(_), Some(_)) | (Self::Elsewhere, None) => None,
        }
    }
}

/// Decodes the bytes that [`encode`] or a version before 5.1 wrote. `None`: they are invalid or contain counters out of
/// range.
pub(super) fn decode(bytes: &[u8]) -> Option<ProcessRecord> {
    if bytes.first() == Some(&BRACE) {
        return serde_json::from_slice(bytes).ok();
    }
    let mut from = Reader(bytes);
    let form = from.u8()?;
    if !matches!(form, FORM | FORM_WITHOUT_EXITS) {
        return None;
    }
    let slot = counter::checked_slot(from.u32()?)?;
    let slot_generation = counter::checked(from.u64()?)?;
    let last_incarnation = counter::checked(from.u64()?)?;
    let event_serial = counter::checked(from.u64()?)?;
    let stage = CurrentStage::restored(StageRecord::read(&mut from)?.into());
    let refused = match from.u8()? {
        NONE => None,
        code => Some(stage_at_exit_of_code(code - 1)?),
    };
    let tries = counter::checked_small(from.u32()?)?;
    let exit_status = from.i32()?;
    let (start, stop) = (from.i64()?, from.i64()?);
    let (spawned_at, report_at) = (from.tick()?, from.tick()?);
    let spawns = counter::checked(from.u64()?)?;
    let resource_events = resource_events_of_code(from.u8()?)?;
    let relimit = from.bool()?;
    let mut exits = ExitCounts::default();
    if form == FORM {
        for count in &mut exits.0 {
            *count = from.u32()?;
        }
    }
    let last_error = read_last_error(&mut from)?;
    let exit_reason = read_exit_reason(&mut from)?;
    let listener = read_listener(&mut from)?;
    let rest: Rest = match from.0 {
        [] => Rest::default(),
        json => serde_json::from_slice(json).ok()?,
    };
    let run = RunState {
        stage,
        next: None,
        stage_before_unknown: refused,
        tries,
        restart: rest.restart,
        last_error: last_error.resolve(rest.last_error)?,
        exit_status,
        start,
        stop,
        spawned_at,
        running_at: rest.running_at,
        stop_held: rest.stop_held,
        starts_again: rest.starts_again,
        report_at,
        spawns,
        exit_reason: exit_reason.resolve(rest.exit_reason)?,
        exits,
        resource_events,
        relimit,
        waiters: Vec::new(),
        listener: listener.resolve(rest.listener)?,
        notify_state: rest.notify_state,
        health: rest.health,
        hook: None,
        last_hook: rest.last_hook,
        fatal_script: rest.fatal_script,
        changes: rest.changes,
        restart_after_change: rest.restart_after_change,
        hold: rest.hold,
    };
    Some(ProcessRecord {
        slot,
        slot_generation,
        run,
        last_incarnation,
        event_serial,
    })
}

fn code_of_resource_events(resource_events: ResourceEvents) -> u8 {
    let ResourceEvents {
        oom_kill,
        pids_max,
        memory_high,
    } = resource_events;
    u8::from(oom_kill) | (u8::from(pids_max) << 1) | (u8::from(memory_high) << 2)
}

fn resource_events_of_code(code: u8) -> Option<ResourceEvents> {
    (code < 8).then_some(ResourceEvents {
        oom_kill: code & 1 != 0,
        pids_max: code & 2 != 0,
        memory_high: code & 4 != 0,
    })
}
