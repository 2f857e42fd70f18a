//! The order that dependencies give: what must start before what, and what must stop before what.

use std::collections::{BTreeMap, BTreeSet};

use super::Fleet;
use super::dependency_index::TargetId;
use super::slots::in_start_order;
use super::stage::{Idle, Stage};
use crate::domain::GroupName;

/// The direction of a walk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Direction {
    /// To what a process depends on.
    Down,
    /// To what depends on a process.
    Up,
}

/// What a walk visits at a process.
struct Visit {
    slot: u32,
    targets: Vec<TargetId>,
    /// Neighbours that are not visited yet, the next one last.
    neighbours: Vec<u32>,
}

impl Fleet {
    /// Returns the slots in their order, except that what a process depends on comes before it.
    pub(super) fn dependencies_first(&self, slots: Vec<u32>) -> Vec<u32> {
        self.ordered(slots, Direction::Down)
    }

    /// Returns the slots in their order, except that what depends on a process comes before it.
    pub(super) fn dependants_first(&self, slots: Vec<u32>) -> Vec<u32> {
        self.ordered(slots, Direction::Up)
    }

    fn ordered(&self, slots: Vec<u32>, direction: Direction) -> Vec<u32> {
        if self.dependencies.is_empty() {
            return slots;
        }
        let wanted: BTreeSet<u32> = slots.iter().copied().collect();
        let mut order = Vec::with_capacity(slots.len());
        let mut walk = Walk::new(self, direction, |_, _| true);
        for slot in slots {
            walk.visit(slot, &mut |slot| {
                if wanted.contains(&slot) {
                    order.push(slot);
                }
            });
        }
        order
    }

    /// Returns the processes and everything that they depend on, directly or not.
    pub(super) fn reached_from(&self, slots: impl Iterator<Item = u32>) -> Vec<u32> {
        let mut reached = Vec::new();
        let mut walk = Walk::new(self, Direction::Down, |_, _| true);
        for slot in slots {
            walk.visit(slot, &mut |slot| reached.push(slot));
        }
        reached
    }

    /// Returns a process with everything that runs and depends on it, directly or not, dependants first.
    pub(super) fn with_dependants(&self, slots: &[u32]) -> Vec<u32> {
        let mut order = Vec::new();
        let mut walk = Walk::new(self, Direction::Up, |fleet, slot| {
            let process = fleet.slots.get(slot);
            process.is_some_and(|process| {
                process.state().is_running() || *process.run.stage == Stage::Idle(Idle::Waiting)
            })
        });
        for &slot in slots {
            walk.visit(slot, &mut |slot| order.push(slot));
        }
        order
    }

    /// Returns the groups in their order, except that what depends on a group comes before it.
    pub(super) fn groups_in_stop_order(&self, names: Vec<GroupName>) -> Vec<GroupName> {
        if self.dependencies.is_empty() {
            return names;
        }
        let slots = |name: &GroupName| self.groups.get(name).map(|group| group.slots.clone());
        let all = names.iter().filter_map(slots).flatten().collect();
        let mut ordered: Vec<GroupName> = Vec::with_capacity(names.len());
        let mut known = BTreeSet::new();
        let of_slots = self.dependants_first(all).into_iter();
        let of_slots = of_slots.filter_map(|slot| Some(self.names_of(slot)?.1));
        // Groups without processes come last.
        for name in of_slots.chain(names) {
            if known.insert(name.clone()) {
                ordered.push(name);
            }
        }
        ordered
    }

    /// Returns the processes that must be started so that `slot` can start, what a process depends on first. `slot`
    /// itself is not among them. `may_start` says whether an idle process is started on demand.
    pub(super) fn demanded(&self, slot: u32, may_start: &dyn Fn(&Self, u32) -> bool) -> Vec<u32> {
        let mut order = Vec::new();
        let mut walk = Walk::new(self, Direction::Down, |fleet, slot| may_start(fleet, slot));
        walk.only_unmet = true;
        walk.visit(slot, &mut |slot| order.push(slot));
        order.pop();
        order
    }

    /// Returns the priority at which each process stops, if that is higher than the priority of its group: a process
    /// stops at the latest with what it depends on.
    pub(super) fn raised_levels(&self) -> BTreeMap<u32, i64> {
        let mut raised = BTreeMap::new();
        if self.dependencies.is_empty() {
            return raised;
        }
        let groups = in_start_order(&self.groups);
        let slots = groups.iter().flat_map(|group| group.slots.iter().copied());
        let own: BTreeMap<u32, i64> = groups
            .iter()
            .flat_map(|group| group.slots.iter().map(|&slot| (slot, group.spec.priority)))
            .collect();
        let level = |raised: &BTreeMap<u32, i64>, slot: &u32| {
            let raised = raised.get(slot).or_else(|| own.get(slot));
            raised.copied().unwrap_or(i64::MIN)
        };
        // The highest level of the members of each target.
        let mut highest: BTreeMap<TargetId, i64> = BTreeMap::new();
        for slot in self.dependencies_first(slots.collect()) {
            let mut needed = level(&raised, &slot);
            for id in self.dependencies.needs(slot) {
                let of_target = *highest.entry(*id).or_insert_with(|| {
                    let target = self.dependencies.target(*id);
                    let members = target.into_iter().flat_map(|target| &target.members);
                    let levels = members.map(|member| level(&raised, member));
                    levels.max().unwrap_or(i64::MIN)
                });
                needed = needed.max(of_target);
            }
            if needed > level(&raised, &slot) {
                raised.insert(slot, needed);
            }
        }
        raised
    }
}

/// A depth-first walk over the dependencies with a stack of its own, because a chain may be long. Each process and each
/// target is visited once, so all visits of one walk cost as many steps as there are edges.
struct Walk<'f, F> {
    fleet: &'f Fleet,
    direction: Direction,
    /// Whether to enter a process that is not the start of a visit.
    enters: F,
    /// Follow only targets and members that are not met.
    only_unmet: bool,
    processes: BTreeSet<u32>,
    targets: BTreeSet<TargetId>,
}

impl<'f, F: Fn(&Fleet, u32) -> bool> Walk<'f, F> {
    fn new(fleet: &'f Fleet, direction: Direction, enters: F) -> Self {
        Self {
            fleet,
            direction,
            enters,
            only_unmet: false,
            processes: BTreeSet::new(),
            targets: BTreeSet::new(),
        }
    }

    fn begin(&self, slot: u32) -> Visit {
        let index = &self.fleet.dependencies;
        let targets = match self.direction {
            Direction::Down => index.needs(slot),
            Direction::Up => index.member_of(slot),
        };
        Visit {
            slot,
            targets: targets.iter().rev().copied().collect(),
            neighbours: Vec::new(),
        }
    }

    /// Visits a process and all that were not visited before. `leave` gets each when all behind it were left.
    fn visit(&mut self, slot: u32, leave: &mut dyn FnMut(u32)) {
        if !self.processes.insert(slot) {
            return;
        }
        let mut path = vec![self.begin(slot)];
        while let Some(visit) = path.last_mut() {
            if let Some(next) = visit.neighbours.pop() {
                if (self.enters)(self.fleet, next) && self.processes.insert(next) {
                    let next = self.begin(next);
                    path.push(next);
                }
            } else if let Some(id) = visit.targets.pop() {
                if self.targets.insert(id) {
                    visit.neighbours = self.neighbours(id);
                }
            } else {
                leave(visit.slot);
                path.pop();
            }
        }
    }

    /// The processes behind a target, the first one last.
    fn neighbours(&self, id: TargetId) -> Vec<u32> {
        let Some(target) = self.fleet.dependencies.target(id) else {
            return Vec::new();
        };
        match self.direction {
            Direction::Up => target.dependants.iter().rev().copied().collect(),
            Direction::Down if self.only_unmet => {
                let unmet = self.fleet.unmet_members(target);
                let mut unmet: Vec<u32> = unmet.map(|(&slot, _)| slot).collect();
                unmet.reverse();
                unmet
            }
            Direction::Down => target.members.iter().rev().copied().collect(),
        }
    }
}
