//! The dependencies as clients see them: a graph of processes, with the times of their last starts.

use super::Fleet;
use super::dependency_index::Target;
use super::rights::Rights;
use crate::api::{DependencyNeed, DependencyView, Reply};
use crate::domain::{Namespec, ProcessState, Tick};

/// Nanoseconds per millisecond.
const MILLI: u64 = 1_000_000;

impl Fleet {
    /// Returns the processes that `names` mean and that have to do with dependencies. Without names: all of those.
    pub(super) fn dependency_views(&self, names: &[String], rights: Rights<'_>) -> Reply {
        let slots = if names.is_empty() {
            let all = self.groups.values().flat_map(|group| &group.by_name);
            all.copied().collect()
        } else {
            self.slots_named(names, rights.scope)
        };
        let views = slots
            .into_iter()
            .filter(|&slot| self.dependencies.is_linked(slot))
            .filter(|&slot| self.may_see(slot, rights))
            .filter_map(|slot| self.dependency_view_of(slot, rights));
        Reply::Dependencies(views.collect())
    }

    fn may_see(&self, slot: u32, rights: Rights<'_>) -> bool {
        self.names_of(slot)
            .is_some_and(|(name, group)| rights.scope.covers(group.as_str(), name.as_str()))
    }

    pub(super) fn dependency_view_of(
        &self,
        slot: u32,
        rights: Rights<'_>,
    ) -> Option<DependencyView> {
        let process = self.slots.get(slot)?;
        let run = &process.run;
        let since = |from: Tick, to: Tick| {
            let nanos = to.nanos_since(from);
            i64::try_from(nanos / MILLI).unwrap_or(i64::MAX)
        };
        let was_started = run.start != 0;
        let is_ready = run.running_at >= run.spawned_at && run.running_at != Tick(0);
        let dependents = self.dependents_of(slot, rights);
        let is_running = |slot: &u32| {
            let process = self.slots.get(*slot);
            process.is_some_and(|process| {
                process.state().is_running() || process.state() == ProcessState::Stopping
            })
        };
        let needs = self.dependencies.needs(slot).iter();
        Some(DependencyView {
            name: process.spec.name.clone(),
            group: process.spec.group.clone(),
            state: process.state(),
            held_up: self.held_up_text(process),
            started_after: was_started.then(|| since(self.daemon.began_at, run.spawned_at)),
            ready_after: (was_started && is_ready).then(|| since(run.spawned_at, run.running_at)),
            needs: needs
                .filter_map(|id| self.dependencies.target(*id))
                .map(|target| self.need_of(target, rights))
                .collect(),
            running_dependents: dependents
                .iter()
                .filter(|slot| is_running(slot))
                .map(|&slot| self.shown(slot))
                .collect(),
        })
    }

    /// The processes that depend on a process directly, each once.
    pub(super) fn dependents_of(&self, slot: u32, rights: Rights<'_>) -> Vec<u32> {
        let member_of = self.dependencies.member_of(slot).iter();
        let targets = member_of.filter_map(|id| self.dependencies.target(*id));
        let mut dependents: Vec<u32> = targets
            .flat_map(|target| target.dependants.iter().copied())
            .filter(|&dependant| self.may_see(dependant, rights))
            .collect();
        dependents.sort_unstable();
        dependents.dedup();
        dependents
    }

    /// The processes that a process depends on directly.
    pub(super) fn needed_by(&self, slot: u32, rights: Rights<'_>) -> Vec<u32> {
        let needs = self.dependencies.needs(slot).iter();
        let targets = needs.filter_map(|id| self.dependencies.target(*id));
        targets
            .flat_map(|target| target.members.iter().copied())
            .filter(|&member| self.may_see(member, rights))
            .collect()
    }

    fn need_of(&self, target: &Target, rights: Rights<'_>) -> DependencyNeed {
        let members = target.members.iter().copied();
        DependencyNeed {
            target: target.name.to_string(),
            condition: target.condition.to_string(),
            is_met: !target.is_absent && self.unmet_members(target).next().is_none(),
            processes: members
                .filter(|&member| self.may_see(member, rights))
                .filter_map(|member| self.names_of(member))
                .map(|(name, group)| Namespec::print(group.as_str(), name.as_str()))
                .collect(),
        }
    }
}
