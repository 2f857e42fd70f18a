//! Snapshots: the whole state of the core as data, for the next daemon.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::audit_trail::AuditTrail;
use super::auto_log_names::AutoLogNames;
use super::dead_instances::DeadInstances;
use super::listener_pool::ListenerPool;
use super::notification_state::NotificationState;
use super::pending::Pending;
use super::process::{Process, RunState, is_zero};
use super::schedule::ScheduleState;
use super::script_runs::ScriptRuns;
use super::shutdown_state::ShutdownState;
use super::slots::{Group, SlotEntry, SlotTable, in_added_order};
use super::state_history::StateHistory;
use super::tick::Ticks;
use super::ticket::SignalPurpose;
use super::watch_table::watches_of;
use super::{Fleet, Identity};
use crate::api::Ticket;
use crate::config::spec::{Config, ExitWhen, GroupSpec};
use crate::domain::{
    GroupName, InstanceId, LogPaths, Now, OutputEvents, ProgramRuns, QualifiedName, Signal,
    SupervisorState, Tick, counter,
};

/// The whole state of the core. Only [`Fleet::restore`] reads all of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    identity: Identity,
    pub(super) last_read: Arc<Config>,
    next_config: Option<Arc<Config>>,
    #[serde(rename = "mood")]
    daemon_state: SupervisorState,
    began: bool,
    #[serde(default, skip_serializing_if = "is_zero")]
    began_at: Tick,
    finished: bool,
    generation: u32,
    is_upgrading: bool,
    #[serde(default)]
    exit_when: ExitWhen,
    #[serde(default)]
    exit_status: Option<u8>,
    names: AutoLogNames,
    made: Vec<(GroupName, Vec<LogPaths>)>,
    /// The active groups, in the order in which they were added.
    pub(super) groups: Vec<GroupSnapshot>,
    /// Instances of removed processes that still occupy their slots.
    #[serde(rename = "ghosts")]
    released_orphans: Vec<InstanceId>,
    /// Empty slots. They are used from the end.
    #[serde(deserialize_with = "counter::slots")]
    free: Vec<u32>,
    #[serde(deserialize_with = "counter::counter")]
    serial: u64,
    #[serde(deserialize_with = "counter::counter")]
    #[serde(rename = "lives")]
    pub(super) last_incarnation: u64,
    tickets: Vec<(Ticket, Pending)>,
    signals: VecDeque<(InstanceId, Signal, SignalPurpose)>,
    #[serde(default)]
    scripts: ScriptRuns,
    shutdown_state: Option<ShutdownState>,
    pub(super) pools: Vec<ListenerPool>,
    ticks: Ticks,
    output_events: OutputEvents,
    #[serde(deserialize_with = "counter::counter")]
    pub(super) event_serial: u64,
    server: Arc<str>,
    /// The schedules, by slot.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    schedules: Vec<(u32, ScheduleState)>,
    /// The last runs of programs with schedules.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    runs: Vec<(QualifiedName, ProgramRuns)>,
    /// The notifications, by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    notifications: Vec<(String, NotificationState)>,
    #[serde(default, skip_serializing_if = "AuditTrail::is_empty")]
    audit_trail: AuditTrail,
}

/// The state of one group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct GroupSnapshot {
    pub(super) name: GroupName,
    /// `None`: the same as in the configuration read last. This saves space.
    pub(super) spec: Option<Arc<GroupSpec>>,
    #[serde(deserialize_with = "counter::counter")]
    added: u64,
    pub(super) processes: Vec<ProcessSnapshot>,
}

/// The state of one process. Its configuration is in the group's spec at the same index.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ProcessSnapshot {
    #[serde(deserialize_with = "counter::slot")]
    pub(super) slot: u32,
    #[serde(deserialize_with = "counter::counter")]
    #[serde(rename = "tenure")]
    pub(super) slot_generation: u64,
    logs: LogPaths,
    pub(super) run: RunState,
    #[serde(default, skip_serializing_if = "DeadInstances::is_empty")]
    dead: DeadInstances,
    #[serde(default, skip_serializing_if = "StateHistory::is_empty")]
    history: StateHistory,
}

impl Fleet {
    /// Returns a snapshot of the whole state.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        #[cfg(debug_assertions)]
        self.check_dependencies();
        let shot = |&slot: &u32| {
            let process = self.slots.get(slot)?;
            Some(ProcessSnapshot {
                slot,
                slot_generation: process.slot_generation,
                logs: process.logs.clone(),
                run: process.run.clone(),
                dead: process.dead.clone(),
                history: process.history.clone(),
            })
        };
        let read: BTreeMap<&GroupName, &Arc<GroupSpec>> = self
            .configuration
            .last_read
            .groups
            .iter()
            .map(|group| (&group.name, group))
            .collect();
        let groups = in_added_order(&self.groups)
            .into_iter()
            .map(|group| GroupSnapshot {
                name: group.spec.name.clone(),
                spec: (read.get(&group.spec.name) != Some(&&group.spec))
                    .then(|| Arc::clone(&group.spec)),
                added: group.added,
                processes: group.slots.iter().filter_map(shot).collect(),
            })
            .collect();
        let orphan = |seat: &SlotEntry| match seat {
            SlotEntry::ReleasedOrphan(instance) => Some(*instance),
            SlotEntry::Taken(_) | SlotEntry::Empty => None,
        };
        Snapshot {
            identity: self.daemon.identity.clone(),
            last_read: Arc::clone(&self.configuration.last_read),
            next_config: self.configuration.next.clone(),
            daemon_state: self.daemon.state,
            began: self.daemon.has_begun,
            began_at: self.daemon.began_at,
            finished: self.daemon.is_finished,
            generation: self.daemon.generation,
            is_upgrading: self.daemon.is_upgrading,
            exit_when: self.daemon.exit_when.clone(),
            exit_status: self.daemon.exit_status,
            names: self.configuration.auto_log_names.clone(),
            made: self
                .configuration
                .made
                .iter()
                .map(|(name, made)| (name.clone(), made.clone()))
                .collect(),
            groups,
            released_orphans: self.slots.entries.iter().filter_map(orphan).collect(),
            free: self.slots.free.clone(),
            serial: self.serial,
            last_incarnation: self.last_incarnation,
            tickets: self
                .requests
                .pending
                .iter()
                .map(|(ticket, pending)| (*ticket, pending.clone()))
                .collect(),
            signals: self.requests.signals.clone(),
            scripts: self.requests.scripts.clone(),
            shutdown_state: self.shutdown_state.clone(),
            pools: self.events.pools.clone(),
            ticks: self.events.ticks.clone(),
            output_events: self.events.output_events,
            event_serial: self.events.next_serial,
            server: Arc::clone(&self.events.server),
            schedules: self.schedules.states(),
            runs: self.all_runs(),
            notifications: self.notifications.states(),
            audit_trail: self.audit_trail.clone(),
        }
    }

    /// Creates a fleet from a snapshot. Deadlines that have passed since are handled at the next [`Fleet::handle`].
    #[must_use]
    pub fn restore(snapshot: Snapshot, _now: Now) -> Self {
        let mut fleet = Self::new(snapshot.identity, snapshot.last_read);
        fleet.configuration.next = snapshot.next_config;
        fleet.daemon.state = snapshot.daemon_state;
        fleet.audit_trail = snapshot.audit_trail;
        fleet.daemon.has_begun = snapshot.began;
        fleet.daemon.began_at = snapshot.began_at;
        fleet.daemon.is_finished = snapshot.finished;
        fleet.daemon.generation = snapshot.generation;
        fleet.daemon.is_upgrading = snapshot.is_upgrading;
        fleet.daemon.exit_when = snapshot.exit_when;
        fleet.daemon.exit_status = snapshot.exit_status;
        fleet.configuration.auto_log_names = snapshot.names;
        fleet.configuration.made = snapshot.made.into_iter().collect();
        fleet.serial = snapshot.serial;
        fleet.last_incarnation = snapshot.last_incarnation;
        fleet.requests.pending = snapshot.tickets.into_iter().collect();
        fleet.requests.signals = snapshot.signals;
        fleet.requests.scripts = snapshot.scripts;
        fleet.shutdown_state = snapshot.shutdown_state;
        fleet.events.pools = snapshot.pools;
        fleet.events.ticks = snapshot.ticks;
        fleet.events.output_events = snapshot.output_events;
        fleet.events.next_serial = snapshot.event_serial;
        fleet.events.server = snapshot.server;
        fleet.schedules.restored = snapshot.schedules.into_iter().collect();
        fleet.notifications.restore(snapshot.notifications);
        fleet.schedules.runs = snapshot.runs.into_iter().collect();
        fleet.slots = SlotTable::default();
        for &slot in &snapshot.free {
            fleet.slots.set(slot, SlotEntry::Empty);
        }
        fleet.slots.free = snapshot.free;
        for instance in snapshot.released_orphans {
            fleet
                .slots
                .set(instance.slot, SlotEntry::ReleasedOrphan(instance));
        }
        let read: BTreeMap<GroupName, Arc<GroupSpec>> = fleet
            .configuration
            .last_read
            .groups
            .iter()
            .map(|group| (group.name.clone(), Arc::clone(group)))
            .collect();
        for shot in snapshot.groups {
            // A valid snapshot omits the spec only for groups that are in the configuration.
            if let Some(spec) = shot.spec.or_else(|| read.get(&shot.name).cloned()) {
                for pool in &mut fleet.events.pools {
                    if pool.group == spec.name {
                        pool.renew_subscriptions(&spec);
                    }
                }
                fleet.restore_group(&spec, shot.added, shot.processes);
            }
        }
        fleet.index_dependencies();
        for (name, group) in &fleet.groups {
            let watches = watches_of(group, &fleet.slots);
            if !watches.is_empty() {
                fleet.watches.by_group.insert(name.clone(), watches);
            }
        }
        fleet
    }

    fn restore_group(
        &mut self,
        spec: &Arc<GroupSpec>,
        added: u64,
        processes: Vec<ProcessSnapshot>,
    ) {
        let mut slots = Vec::with_capacity(processes.len());
        let mut unstopped: u32 = 0;
        for (shot, spec) in processes.into_iter().zip(&spec.processes) {
            let mut process = Process::new(Arc::clone(spec), shot.logs, shot.slot_generation);
            process.run = shot.run;
            process.dead = shot.dead;
            process.history = shot.history;
            process.armed = process.deadline();
            self.deadlines
                .replace(shot.slot, Tick::NEVER, process.armed);
            if !process.state().is_stopped() {
                unstopped += 1;
            }
            self.slots.set(shot.slot, SlotEntry::Taken(process));
            slots.push(shot.slot);
            self.add_schedule(shot.slot);
        }
        self.unstopped += unstopped;
        let by_name = self.by_name(&slots);
        self.groups.insert(
            spec.name.clone(),
            Group {
                spec: Arc::clone(spec),
                added,
                slots,
                by_name,
                unstopped,
            },
        );
    }
}
