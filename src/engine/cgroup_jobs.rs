//! The cgroups of running processes and the jobs of the `cgroups` thread.

use std::collections::HashMap;
use std::sync::Arc;

use super::inbox::InboxSender;
use crate::cgroup::{self, CgroupHandle, CgroupJob, CgroupManager, ProcessCgroup};
use crate::config::spec::CgroupLimits;
use crate::core::Input;
use crate::domain::{InstanceId, QualifiedName};
use crate::heartbeat::Heartbeats;
use crate::output::OutputHandle;

/// The cgroups of processes, and the thread that handles them.
pub(super) struct Cgroups {
    manager: CgroupManager,
    /// The cgroups of instances between Spawned and their exit.
    by_instance: HashMap<InstanceId, Arc<ProcessCgroup>>,
    /// `None`: not started yet.
    thread: Option<CgroupHandle>,
    heartbeats: Heartbeats,
    sender: InboxSender,
}

impl Cgroups {
    pub(super) fn new(manager: CgroupManager, heartbeats: Heartbeats, sender: InboxSender) -> Self {
        Self {
            manager,
            by_instance: HashMap::new(),
            thread: None,
            heartbeats,
            sender,
        }
    }

    pub(super) fn manager(&self) -> &CgroupManager {
        &self.manager
    }

    /// Records the cgroup of a new process.
    pub(super) fn insert(&mut self, instance: InstanceId, process_cgroup: ProcessCgroup) {
        self.by_instance.insert(instance, Arc::new(process_cgroup));
    }

    /// Finds the cgroup of an adopted process, if it has one.
    pub(super) fn reopen(&mut self, instance: InstanceId, process: &QualifiedName) {
        if let Some(process_cgroup) = self.manager.reopen(process) {
            self.insert(instance, process_cgroup);
        }
    }

    /// Applies limits to a running process.
    pub(super) fn limit(
        &mut self,
        instance: InstanceId,
        limits: Arc<CgroupLimits>,
        log: &OutputHandle,
    ) {
        if let Some(process_cgroup) = self.by_instance.get(&instance) {
            let process_cgroup = Arc::clone(process_cgroup);
            self.send(CgroupJob::Limit(process_cgroup, limits), log);
        }
    }

    /// Starts to empty the cgroup of a process that has exited. Returns whether an answer will come.
    pub(super) fn empty(&mut self, instance: InstanceId, kill: bool, log: &OutputHandle) -> bool {
        let Some(process_cgroup) = self.by_instance.remove(&instance) else {
            return false;
        };
        let job = CgroupJob::Empty {
            instance,
            process_cgroup,
            kill,
        };
        self.send(job, log)
    }

    /// Removes the cgroup of a process that has exited, unless the next instance uses it too.
    pub(super) fn remove(&mut self, instance: InstanceId, log: &OutputHandle) {
        if let Some(process_cgroup) = self.by_instance.remove(&instance)
            && !process_cgroup.is_reused()
        {
            self.send(CgroupJob::Remove(process_cgroup), log);
        }
    }

    /// Removes the reused cgroup of a process that was removed from the configuration.
    pub(super) fn remove_reused(&mut self, process: &QualifiedName, log: &OutputHandle) {
        if let Some(process_cgroup) = self.manager.take_reused(process) {
            self.send(CgroupJob::Remove(Arc::new(process_cgroup)), log);
        }
    }

    /// Sends a job to the thread and starts the thread for the first job. Returns whether it runs.
    fn send(&mut self, job: CgroupJob, log: &OutputHandle) -> bool {
        if self.thread.is_none() {
            let (sender, log) = (self.sender.clone(), log.clone());
            // Without the thread, cgroups stay as they are. The next job tries to start it again.
            self.thread = cgroup::start(
                self.heartbeats.clone(),
                move |done| {
                    sender.input(Input::Emptied {
                        instance: done.instance,
                        resource_events: done.resource_events,
                    });
                },
                move |line| log.log(line),
            )
            .ok();
        }
        if let Some(thread) = &self.thread {
            thread.send(job);
        }
        self.thread.is_some()
    }
}
