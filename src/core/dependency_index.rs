//! The index of dependencies: who waits for whom, as counters that change with the processes. A change of a process
//! costs one step for each target that it belongs to, and one for each process that names a target whose condition
//! changed. No change walks over the fleet.
//!
//! A *target* is a name with a condition, such as `db:ready`. Its members are the processes that the name means, and its
//! dependants are the processes that wait for it. A thousand processes that depend on a group of a thousand so need two
//! thousand edges, not a million. Everything here is derived from the configuration and the stages, so a daemon that
//! takes over makes it again.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::dependency_facts::DependencyFacts;
use crate::config::spec::{Dependency, DependencyCondition, DependencyTarget};

/// The number of a target in the index.
pub(super) type TargetId = usize;

/// A name with a condition.
#[derive(Debug)]
pub(super) struct Target {
    /// The name.
    pub(super) name: DependencyTarget,
    /// What each member must have reached.
    pub(super) condition: DependencyCondition,
    /// The processes that the name means.
    pub(super) members: BTreeSet<u32>,
    /// The processes that wait for it.
    pub(super) dependants: BTreeSet<u32>,
    /// No active program, group or process has the name.
    pub(super) is_absent: bool,
    /// Members that do not meet the condition.
    unmet: u32,
    /// Members that will not meet the condition by themselves.
    failed: u32,
    /// Dependants that are being stopped.
    stopping: u32,
}

impl Target {
    fn is_met(&self) -> bool {
        self.unmet == 0 && !self.is_absent
    }
}

/// What the index knows about one process.
#[derive(Debug)]
struct Links {
    facts: DependencyFacts,
    /// The targets that it depends on, in the order written.
    needs: Vec<TargetId>,
    /// Those of them whose restart restarts it.
    restart_with: Vec<TargetId>,
    /// The targets that it is a member of.
    member_of: Vec<TargetId>,
    /// Targets that it depends on and that are not met.
    unmet: u32,
}

/// A consequence for another process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Due {
    /// Everything that the process waits for is up.
    Met(u32),
    /// The process waits for a target that has failed.
    Failed(u32, TargetId),
    /// The process waits for a target that nobody starts.
    Blocked(u32),
    /// The processes that depend on the process are gone, so it can be stopped.
    Stop(u32),
    /// The process has stopped, and starts again.
    StartAgain(u32),
    /// The second process has become ready. The first one restarts if it is older.
    RestartWith(u32, u32),
}

/// Who waits for whom.
#[derive(Debug, Default)]
pub(super) struct DependencyIndex {
    targets: BTreeMap<TargetId, Target>,
    next_target: TargetId,
    by_name: BTreeMap<DependencyTarget, Vec<TargetId>>,
    links: BTreeMap<u32, Links>,
    due: VecDeque<Due>,
}

impl DependencyIndex {
    /// Returns whether no process depends on another.
    pub(super) fn is_empty(&self) -> bool {
        self.targets.is_empty()
    }

    /// Returns the target with this number.
    pub(super) fn target(&self, id: TargetId) -> Option<&Target> {
        self.targets.get(&id)
    }

    /// Returns the targets that a process depends on.
    pub(super) fn needs(&self, slot: u32) -> &[TargetId] {
        self.links.get(&slot).map_or(&[], |links| &links.needs)
    }

    /// Returns the targets that a process is a member of.
    pub(super) fn member_of(&self, slot: u32) -> &[TargetId] {
        self.links.get(&slot).map_or(&[], |links| &links.member_of)
    }

    /// Returns the targets with these names.
    pub(super) fn named(&self, name: &DependencyTarget) -> &[TargetId] {
        self.by_name.get(name).map_or(&[], |ids| ids)
    }

    /// Returns whether the process is a member of a target, or depends on one.
    pub(super) fn is_linked(&self, slot: u32) -> bool {
        self.links.contains_key(&slot)
    }

    /// Returns whether the process must not start now: it depends on something that is not up.
    pub(super) fn must_wait(&self, slot: u32) -> bool {
        self.links.get(&slot).is_some_and(|links| links.unmet > 0)
    }

    /// Returns whether no process that depends on this one is being stopped.
    pub(super) fn may_stop(&self, slot: u32) -> bool {
        let member_of = self.member_of(slot).iter();
        member_of
            .filter_map(|id| self.targets.get(id))
            .all(|target| target.stopping == 0)
    }

    /// Returns the targets that a process depends on and that are not met.
    pub(super) fn unmet(&self, slot: u32) -> impl Iterator<Item = &Target> {
        let needs = self.needs(slot).iter();
        needs
            .filter_map(|id| self.targets.get(id))
            .filter(|target| !target.is_met())
    }

    /// Returns the facts about a process. `None`: it has nothing to do with dependencies.
    pub(super) fn facts(&self, slot: u32) -> Option<DependencyFacts> {
        self.links.get(&slot).map(|links| links.facts)
    }

    /// Takes the next consequence.
    pub(super) fn take_due(&mut self) -> Option<Due> {
        self.due.pop_front()
    }

    /// Adds a consequence.
    pub(super) fn push_due(&mut self, due: Due) {
        self.due.push_back(due);
    }

    /// Adds what a process depends on. `members` finds the processes of a target that is new, with their facts, and says
    /// whether the target is absent.
    pub(super) fn add_needs(
        &mut self,
        slot: u32,
        facts: DependencyFacts,
        needs: impl Iterator<Item = Dependency>,
        restart_with: &[DependencyTarget],
        mut members: impl FnMut(&DependencyTarget) -> (Vec<(u32, DependencyFacts)>, bool),
    ) {
        for Dependency { target, condition } in needs {
            let id = match self.find(&target, condition) {
                Some(id) => id,
                None => {
                    let (found, is_absent) = members(&target);
                    let id = self.add_target(target.clone(), condition, is_absent);
                    for (member, facts) in found {
                        self.join(member, facts, id);
                    }
                    id
                }
            };
            let Some(target) = self.targets.get_mut(&id) else {
                continue;
            };
            if !target.dependants.insert(slot) {
                continue;
            }
            let (is_met, name) = (target.is_met(), target.name.clone());
            let links = self.links_of(slot, facts);
            links.needs.push(id);
            links.unmet += u32::from(!is_met);
            if restart_with.contains(&name) {
                links.restart_with.push(id);
            }
            if links.facts.is_stopping
                && let Some(target) = self.targets.get_mut(&id)
            {
                target.stopping += 1;
            }
        }
    }

    /// Makes a process a member of all targets with one of these names, and of no other.
    pub(super) fn set_member(
        &mut self,
        slot: u32,
        facts: DependencyFacts,
        names: &[DependencyTarget],
    ) {
        for id in self.member_of(slot).to_vec() {
            let target = self.targets.get(&id);
            if target.is_some_and(|target| !names.contains(&target.name)) {
                self.leave(slot, id);
            }
        }
        for name in names {
            for id in self.named(name).to_vec() {
                self.join(slot, facts, id);
            }
        }
    }

    /// Sets whether a program, group or process with this name is active.
    pub(super) fn set_absent(&mut self, name: &DependencyTarget, is_absent: bool) {
        for id in self.named(name).to_vec() {
            self.change_target(id, |target| target.is_absent = is_absent);
            if !is_absent {
                continue;
            }
            let dependants = self.targets.get(&id).map(|target| &target.dependants);
            for dependant in dependants.cloned().unwrap_or_default() {
                if self.is_waiting(dependant) {
                    self.due.push_back(Due::Failed(dependant, id));
                }
            }
        }
    }

    /// Removes a process that is stopped.
    pub(super) fn remove(&mut self, slot: u32) {
        let Some(links) = self.links.remove(&slot) else {
            return;
        };
        for id in links.member_of {
            let condition = self.targets.get(&id).map(|target| target.condition);
            let Some(condition) = condition else {
                continue;
            };
            self.change_target(id, |target| {
                target.members.remove(&slot);
                target.unmet -= u32::from(!links.facts.meets(condition));
                target.failed -= u32::from(links.facts.fails(condition));
            });
        }
        for id in links.needs {
            let Some(target) = self.targets.get_mut(&id) else {
                continue;
            };
            target.dependants.remove(&slot);
            target.stopping -= u32::from(links.facts.is_stopping);
            if target.dependants.is_empty() {
                self.remove_target(id);
            }
        }
    }

    /// Takes over the facts about a process that may have changed, and finds the consequences.
    pub(super) fn update(&mut self, slot: u32, after: DependencyFacts) {
        let Some(links) = self.links.get_mut(&slot) else {
            return;
        };
        let before = std::mem::replace(&mut links.facts, after);
        if before == after {
            return;
        }
        if after.is_waiting && !before.is_waiting {
            self.begins_to_wait(slot);
        }
        if after.starts_again {
            self.due.push_back(Due::StartAgain(slot));
        }
        if after.is_stop_held && !after.is_stopping {
            // It went down by itself. An automatic start is called off.
            self.due.push_back(Due::Stop(slot));
        }
        if before.is_stopping != after.is_stopping {
            self.count_stopping(slot, after.is_stopping);
        }
        for id in self.member_of(slot).to_vec() {
            self.member_changed(slot, id, before, after);
        }
    }

    fn is_waiting(&self, slot: u32) -> bool {
        let links = self.links.get(&slot);
        links.is_some_and(|links| links.facts.is_waiting)
    }

    fn find(&self, name: &DependencyTarget, condition: DependencyCondition) -> Option<TargetId> {
        let ids = self.named(name).iter().copied();
        ids.into_iter()
            .find(|id| self.targets.get(id).map(|target| target.condition) == Some(condition))
    }

    fn links_of(&mut self, slot: u32, facts: DependencyFacts) -> &mut Links {
        self.links.entry(slot).or_insert_with(|| Links {
            facts,
            needs: Vec::new(),
            restart_with: Vec::new(),
            member_of: Vec::new(),
            unmet: 0,
        })
    }

    fn add_target(
        &mut self,
        name: DependencyTarget,
        condition: DependencyCondition,
        is_absent: bool,
    ) -> TargetId {
        let id = self.next_target;
        self.next_target += 1;
        self.by_name.entry(name.clone()).or_default().push(id);
        let target = Target {
            name,
            condition,
            members: BTreeSet::new(),
            dependants: BTreeSet::new(),
            is_absent,
            unmet: 0,
            failed: 0,
            stopping: 0,
        };
        self.targets.insert(id, target);
        id
    }

    /// Removes a target that nobody waits for any more.
    fn remove_target(&mut self, id: TargetId) {
        let Some(target) = self.targets.remove(&id) else {
            return;
        };
        if let Some(ids) = self.by_name.get_mut(&target.name) {
            ids.retain(|&other| other != id);
            if ids.is_empty() {
                self.by_name.remove(&target.name);
            }
        }
        for member in target.members {
            if let Some(links) = self.links.get_mut(&member) {
                links.member_of.retain(|&other| other != id);
                if links.member_of.is_empty() && links.needs.is_empty() {
                    self.links.remove(&member);
                }
            }
        }
    }

    fn join(&mut self, slot: u32, facts: DependencyFacts, id: TargetId) {
        self.links_of(slot, facts);
        let (targets, links) = (&self.targets, self.links.get_mut(&slot));
        let Some(links) = links.filter(|links| !links.member_of.contains(&id)) else {
            return;
        };
        links.member_of.push(id);
        let facts = links.facts;
        // The order must not depend on when a target was made, because a daemon that takes over makes all again.
        links.member_of.sort_by(|a, b| {
            let key = |id| {
                targets
                    .get(id)
                    .map(|target| (&target.name, target.condition))
            };
            key(a).cmp(&key(b))
        });
        let condition = self.targets.get(&id).map(|target| target.condition);
        let Some(condition) = condition else {
            return;
        };
        self.change_target(id, |target| {
            target.members.insert(slot);
            target.unmet += u32::from(!facts.meets(condition));
            target.failed += u32::from(facts.fails(condition));
        });
    }

    fn leave(&mut self, slot: u32, id: TargetId) {
        let condition = self.targets.get(&id).map(|target| target.condition);
        let (Some(condition), Some(links)) = (condition, self.links.get_mut(&slot)) else {
            return;
        };
        links.member_of.retain(|&other| other != id);
        let facts = links.facts;
        if links.member_of.is_empty() && links.needs.is_empty() {
            self.links.remove(&slot);
        }
        self.change_target(id, |target| {
            target.members.remove(&slot);
            target.unmet -= u32::from(!facts.meets(condition));
            target.failed -= u32::from(facts.fails(condition));
        });
    }

    /// Changes a target, and counts for its dependants whether it is met.
    fn change_target(&mut self, id: TargetId, change: impl FnOnce(&mut Target)) {
        let Some(target) = self.targets.get_mut(&id) else {
            return;
        };
        let was_met = target.is_met();
        change(target);
        let is_met = target.is_met();
        if was_met == is_met {
            return;
        }
        for dependant in &target.dependants {
            let Some(links) = self.links.get_mut(dependant) else {
                continue;
            };
            if !is_met {
                links.unmet += 1;
                continue;
            }
            links.unmet -= 1;
            if links.unmet == 0 && links.facts.is_waiting {
                self.due.push_back(Due::Met(*dependant));
            }
        }
    }

    /// Finds whether a process that has begun to wait waits in vain.
    fn begins_to_wait(&mut self, slot: u32) {
        for id in self.needs(slot).to_vec() {
            let target = self.targets.get(&id);
            if target.is_some_and(|target| target.failed > 0 || target.is_absent) {
                self.due.push_back(Due::Failed(slot, id));
            }
        }
    }

    /// Counts a process that has begun to stop, or is down, for what it depends on.
    fn count_stopping(&mut self, slot: u32, is_stopping: bool) {
        for id in self.needs(slot).to_vec() {
            let Some(target) = self.targets.get_mut(&id) else {
                continue;
            };
            if is_stopping {
                target.stopping += 1;
                continue;
            }
            target.stopping -= 1;
            if target.stopping > 0 {
                continue;
            }
            for member in &target.members {
                let links = self.links.get(member);
                if links.is_some_and(|links| links.facts.is_stop_held) {
                    self.due.push_back(Due::Stop(*member));
                }
            }
        }
    }

    /// Counts a changed member of a target, and finds the consequences for those who wait for the target.
    fn member_changed(
        &mut self,
        slot: u32,
        id: TargetId,
        before: DependencyFacts,
        after: DependencyFacts,
    ) {
        let Some(condition) = self.targets.get(&id).map(|target| target.condition) else {
            return;
        };
        let (was_met, is_met) = (before.meets(condition), after.meets(condition));
        let (had_failed, has_failed) = (before.fails(condition), after.fails(condition));
        if was_met != is_met || had_failed != has_failed {
            self.change_target(id, |target| {
                target.unmet = target.unmet + u32::from(!is_met) - u32::from(!was_met);
                target.failed = target.failed + u32::from(has_failed) - u32::from(had_failed);
            });
        }
        let is_blocked = !is_met && !has_failed && after.is_inert() && !before.is_inert();
        let is_back = after.is_ready && !before.is_ready;
        let tells_failure = has_failed && !had_failed;
        if !(tells_failure || is_blocked || is_back) {
            return;
        }
        let Some(target) = self.targets.get(&id) else {
            return;
        };
        for &dependant in &target.dependants {
            let Some(links) = self.links.get(&dependant) else {
                continue;
            };
            if tells_failure && links.facts.is_waiting {
                self.due.push_back(Due::Failed(dependant, id));
            }
            if is_blocked && links.facts.is_waiting {
                self.due.push_back(Due::Blocked(dependant));
            }
            if is_back && links.restart_with.contains(&id) {
                self.due.push_back(Due::RestartWith(dependant, slot));
            }
        }
    }

    /// Looks again at processes that wait for something that is not active, because the configuration has changed.
    pub(super) fn recheck_absent(&mut self) {
        // In the order of `resume`, so that a daemon which takes over tells the same of several reasons.
        let slots: Vec<u32> = self.links.keys().copied().collect();
        for slot in slots {
            if self.is_waiting(slot) {
                self.begins_to_wait(slot);
            }
        }
    }

    /// Forgets consequences that need not be drawn.
    pub(super) fn forget_due(&mut self) {
        self.due.clear();
    }

    /// Adds the consequences that a daemon which takes over must draw first.
    pub(super) fn resume(&mut self) {
        let slots: Vec<u32> = self.links.keys().copied().collect();
        for slot in slots {
            let Some(links) = self.links.get(&slot) else {
                continue;
            };
            let (facts, unmet) = (links.facts, links.unmet);
            if facts.is_waiting && unmet == 0 {
                self.due.push_back(Due::Met(slot));
            } else if facts.is_waiting {
                self.begins_to_wait(slot);
            }
            if facts.is_stop_held && (!facts.is_stopping || self.may_stop(slot)) {
                self.due.push_back(Due::Stop(slot));
            }
            if facts.starts_again {
                self.due.push_back(Due::StartAgain(slot));
            }
        }
    }

    /// Panics if a counter differs from what it counts, or if the facts differ from those of `facts`.
    #[cfg(debug_assertions)]
    pub(super) fn check(&self, facts: impl Fn(u32) -> Option<DependencyFacts>) {
        for (slot, links) in &self.links {
            assert_eq!(Some(links.facts), facts(*slot), "facts of {slot}");
            let key = |id: &TargetId| {
                let target = self.targets.get(id);
                target.map(|target| (&target.name, target.condition))
            };
            assert!(links.member_of.is_sorted_by_key(key), "targets of {slot}");
            assert_eq!(
                links.unmet as usize,
                self.unmet(*slot).count(),
                "unmet of {slot}"
            );
        }
        for target in self.targets.values() {
            let facts = |slots: &BTreeSet<u32>| -> Vec<DependencyFacts> {
                slots.iter().filter_map(|slot| self.facts(*slot)).collect()
            };
            let members = facts(&target.members);
            let count =
                |is: &dyn Fn(&DependencyFacts) -> bool| members.iter().filter(|f| is(f)).count();
            let condition = target.condition;
            assert_eq!(target.unmet as usize, count(&|f| !f.meets(condition)));
            assert_eq!(target.failed as usize, count(&|f| f.fails(condition)));
            let dependants = facts(&target.dependants);
            let stopping = dependants.iter().filter(|facts| facts.is_stopping);
            assert_eq!(target.stopping as usize, stopping.count());
        }
    }
}
