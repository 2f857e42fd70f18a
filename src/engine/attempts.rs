//! Start attempts in progress: what the threads have prepared for processes that do not exist yet.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use crate::config::spec::CgroupLimits;
use crate::domain::InstanceId;
use crate::spawn::{SpawnHandle, SpawnJob, SpawnPlan};
use crate::sys::ChildStdio;

/// The parts of start attempts. The spawn job needs both.
#[derive(Default)]
pub(super) struct Attempts {
    /// Plans of instances between Resolved and Spawn.
    plans: HashMap<InstanceId, Box<SpawnPlan>>,
    /// The child's ends of the pipes of instances between Prepared and Spawn.
    ends: HashMap<InstanceId, ChildStdio>,
    /// Spawn jobs without an answer. While there are any, an unknown child may be one of these processes.
    spawning: BTreeSet<InstanceId>,
}

impl Attempts {
    pub(super) fn resolved(&mut self, instance: InstanceId, plan: Box<SpawnPlan>) {
        self.plans.insert(instance, plan);
    }

    pub(super) fn prepared(&mut self, instance: InstanceId, ends: ChildStdio) {
        self.ends.insert(instance, ends);
    }

    /// Returns the job that spawns the process. `None`: its plan or its pipes are missing.
    pub(super) fn spawn(
        &mut self,
        instance: InstanceId,
        limits: Arc<CgroupLimits>,
    ) -> Option<SpawnJob> {
        let (plan, ends) = (self.plans.remove(&instance), self.ends.remove(&instance));
        let (plan, ends) = (plan?, ends?);
        self.spawning.insert(instance);
        Some(SpawnJob::Spawn(instance, plan, ends, limits))
    }

    /// Records that the spawn job of an instance was answered.
    pub(super) fn answered(&mut self, instance: InstanceId) {
        self.spawning.remove(&instance);
    }

    /// Drops the plan and the pipes of an attempt that is over.
    pub(super) fn drop_parts(&mut self, instance: InstanceId) {
        self.plans.remove(&instance);
        self.ends.remove(&instance);
    }

    /// Returns whether the unknown child `pid` may be a process that is being spawned.
    pub(super) fn may_be_spawning(&self, pid: i32, spawner: &SpawnHandle) -> bool {
        !self.spawning.is_empty() && spawner.may_be(&self.spawning, pid)
    }
}
