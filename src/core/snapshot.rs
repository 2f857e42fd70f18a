//! The whole of the core written out and read back, for a successor of the daemon. It must not know where it is kept.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::auto::Names;
use super::group::{Group, Seat, Seats, in_added_order};
use super::pool::Pool;
use super::process::{Process, Run};
use super::tick::Ticks;
use super::ticket::{Pending, Purpose};
use super::wind_down::WindDown;
use super::{Fleet, Identity};
use crate::api::Ticket;
use crate::config::spec::{Config, GroupSpec};
use crate::domain::{
    GroupName, Life, LogPaths, Now, OutputEvents, Signal, SupervisorState, Tick, counter,
};

/// Everything the core knows. Opaque: only [`Fleet::restore`] reads it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    identity: Identity,
    pub(super) last_read: Arc<Config>,
    next_config: Option<Arc<Config>>,
    mood: SupervisorState,
    began: bool,
    finished: bool,
    generation: u32,
    is_upgrading: bool,
    names: Names,
    made: Vec<(GroupName, Vec<LogPaths>)>,
    /// In the order in which they were added.
    pub(super) groups: Vec<GroupShot>,
    /// Lives of removed processes, with their slots.
    ghosts: Vec<Life>,
    /// Empty slots, in the order in which they will be used from the end.
    #[serde(deserialize_with = "counter::slots")]
    free: Vec<u32>,
    #[serde(deserialize_with = "counter::counter")]
    serial: u64,
    #[serde(deserialize_with = "counter::counter")]
    pub(super) lives: u64,
    tickets: Vec<(Ticket, Pending)>,
    signals: VecDeque<(Life, Signal, Purpose)>,
    winding_down: Option<WindDown>,
    pub(super) pools: Vec<Pool>,
    ticks: Ticks,
    output_events: OutputEvents,
    #[serde(deserialize_with = "counter::counter")]
    pub(super) event_serial: u64,
    server: Arc<str>,
}

/// One group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct GroupShot {
    pub(super) name: GroupName,
    /// None: as in the configuration read last, which spares the bytes.
    pub(super) spec: Option<Arc<GroupSpec>>,
    #[serde(deserialize_with = "counter::counter")]
    added: u64,
    pub(super) processes: Vec<ProcessShot>,
}

/// One process; its configuration is the group's at the same place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ProcessShot {
    #[serde(deserialize_with = "counter::slot")]
    pub(super) slot: u32,
    #[serde(deserialize_with = "counter::counter")]
    pub(super) tenure: u64,
    logs: LogPaths,
    pub(super) run: Run,
}

impl Fleet {
    /// Writes everything out.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let shot = |&slot: &u32| {
            let process = self.seats.get(slot)?;
            Some(ProcessShot {
                slot,
                tenure: process.tenure,
                logs: process.logs.clone(),
                run: process.run.clone(),
            })
        };
        let read: BTreeMap<&GroupName, &Arc<GroupSpec>> = self
            .last_read
            .groups
            .iter()
            .map(|group| (&group.name, group))
            .collect();
        let groups = in_added_order(&self.groups)
            .into_iter()
            .map(|group| GroupShot {
                name: group.spec.name.clone(),
                spec: (read.get(&group.spec.name) != Some(&&group.spec))
                    .then(|| Arc::clone(&group.spec)),
                added: group.added,
                processes: group.slots.iter().filter_map(shot).collect(),
            })
            .collect();
        let ghost = |seat: &Seat| match seat {
            Seat::Ghost(life) => Some(*life),
            Seat::Taken(_) | Seat::Empty => None,
        };
        Snapshot {
            identity: self.identity.clone(),
            last_read: Arc::clone(&self.last_read),
            next_config: self.next_config.clone(),
            mood: self.mood,
            began: self.began,
            finished: self.finished,
            generation: self.generation,
            is_upgrading: self.is_upgrading,
            names: self.names.clone(),
            made: self
                .made
                .iter()
                .map(|(name, made)| (name.clone(), made.clone()))
                .collect(),
            groups,
            ghosts: self.seats.seats.iter().filter_map(ghost).collect(),
            free: self.seats.free.clone(),
            serial: self.serial,
            lives: self.lives,
            tickets: self
                .tickets
                .iter()
                .map(|(ticket, pending)| (*ticket, pending.clone()))
                .collect(),
            signals: self.signals.clone(),
            winding_down: self.winding_down.clone(),
            pools: self.pools.clone(),
            ticks: self.ticks.clone(),
            output_events: self.output_events,
            event_serial: self.event_serial,
            server: Arc::clone(&self.server),
        }
    }

    /// The fleet that was written out. What has become due since is done at its next [`Fleet::handle`].
    #[must_use]
    pub fn restore(snapshot: Snapshot, _now: Now) -> Self {
        let mut fleet = Self::new(snapshot.identity, snapshot.last_read);
        fleet.next_config = snapshot.next_config;
        fleet.mood = snapshot.mood;
        fleet.began = snapshot.began;
        fleet.finished = snapshot.finished;
        fleet.generation = snapshot.generation;
        fleet.is_upgrading = snapshot.is_upgrading;
        fleet.names = snapshot.names;
        fleet.made = snapshot.made.into_iter().collect();
        fleet.serial = snapshot.serial;
        fleet.lives = snapshot.lives;
        fleet.tickets = snapshot.tickets.into_iter().collect();
        fleet.signals = snapshot.signals;
        fleet.winding_down = snapshot.winding_down;
        fleet.pools = snapshot.pools;
        fleet.ticks = snapshot.ticks;
        fleet.output_events = snapshot.output_events;
        fleet.event_serial = snapshot.event_serial;
        fleet.server = snapshot.server;
        fleet.seats = Seats::default();
        for &slot in &snapshot.free {
            fleet.seats.put(slot, Seat::Empty);
        }
        fleet.seats.free = snapshot.free;
        for life in snapshot.ghosts {
            fleet.seats.put(life.slot, Seat::Ghost(life));
        }
        let read: BTreeMap<GroupName, Arc<GroupSpec>> = fleet
            .last_read
            .groups
            .iter()
            .map(|group| (group.name.clone(), Arc::clone(group)))
            .collect();
        for shot in snapshot.groups {
            // A snapshot is what `snapshot` made: a group without a spec is in the configuration.
            if let Some(spec) = shot.spec.or_else(|| read.get(&shot.name).cloned()) {
                fleet.reseat(&spec, shot.added, shot.processes);
            }
        }
        fleet
    }

    fn reseat(&mut self, spec: &Arc<GroupSpec>, added: u64, processes: Vec<ProcessShot>) {
        let mut slots = Vec::with_capacity(processes.len());
        let mut unstopped: u32 = 0;
        for (shot, spec) in processes.into_iter().zip(&spec.processes) {
            let mut process = Process::new(Arc::clone(spec), shot.logs, shot.tenure);
            process.run = shot.run;
            process.armed = process.deadline();
            if process.armed != Tick::NEVER {
                self.timers.insert((process.armed, shot.slot));
            }
            if !process.state().is_stopped() {
                unstopped += 1;
            }
            self.seats.put(shot.slot, Seat::Taken(process));
            slots.push(shot.slot);
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
