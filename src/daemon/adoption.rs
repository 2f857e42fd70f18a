//! Programs that run though no state says what they are: it was lost with its keeper, or is another version's, or torn. By
//! their cgroups and the names of what was kept they are taken over as far as the configuration knows them, and never ended
//! for it. It must not know where the keeper is.

use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::OwnedFd;
use std::sync::Arc;

use super::recovery::Remnants;
use crate::cgroup;
use crate::config::spec::{Config, GroupSpec};
use crate::core::{Fleet, Found, Identity};
use crate::domain::{Heirloom, Life};
use crate::engine::Inherited;
use crate::spawn::SharedSocket;
use crate::sys::{self, Descriptors};

/// What was found of a daemon that is no more, by a configuration that was read afresh.
pub(super) struct Adoption {
    config: Arc<Config>,
    found: Vec<Found>,
    remnants: Remnants,
    /// No life before had a greater number.
    lives: u64,
}

/// Finds the process that was made for a cgroup: its pid and pidfd.
type FindProcess<'a> = &'a dyn Fn(&str) -> Option<(i32, OwnedFd)>;

/// Looks for what runs already.
pub(super) fn look(config: &Arc<Config>, remnants: Remnants) -> Adoption {
    let running = cgroup::processes_left_behind();
    find(config, remnants, &running, &cgroup::process_left_behind)
}

fn find(
    config: &Arc<Config>,
    mut remnants: Remnants,
    running: &BTreeMap<String, Vec<i32>>,
    find_process: FindProcess<'_>,
) -> Adoption {
    let kept = &mut remnants.descriptors;
    let incarnations = kept
        .keys()
        .filter_map(|name| Heirloom::incarnation_in(name));
    let mut lives = incarnations.max().unwrap_or(0);
    let pidfds = living(kept);
    let mut found = Vec::new();
    for (slot, spec) in Fleet::slots(config) {
        let name = cgroup::name(&spec.group, &spec.name);
        let Some(pids) = running.get(&name) else {
            continue;
        };
        // The last life of those that are known to have been made here.
        let known = pidfds.iter().rev().find(|(_, pid)| pids.contains(pid));
        let (incarnation, pid) = match known {
            Some(&(incarnation, pid)) => (incarnation, pid),
            None => {
                // It ends at this very moment, or hides: nothing to be taken over.
                let Some((pid, pidfd)) = find_process(&name) else {
                    continue;
                };
                lives += 1;
                let life = Life {
                    slot,
                    incarnation: lives,
                };
                kept.insert(Heirloom::Pidfd(life).name(), pidfd);
                (lives, pid)
            }
        };
        let life = Life { slot, incarnation };
        let has = |heirloom: Heirloom| kept.contains_key(&heirloom.name());
        found.push(Found {
            life,
            pid,
            has_pipes: has(Heirloom::Stdout(life)) || has(Heirloom::Stderr(life)),
            is_heard: has(Heirloom::NotifySocket(life)),
        });
    }
    Adoption {
        config: config.clone(),
        found,
        remnants,
        lives,
    }
}

/// The incarnations whose pidfds were kept, with the numbers of their processes, in the order in which they were made. Those
/// that have ended have none.
fn living(kept: &Descriptors) -> Vec<(u64, i32)> {
    let mut living: Vec<(u64, i32)> = kept
        .iter()
        .filter_map(|(name, pidfd)| {
            let incarnation = Heirloom::incarnation_in(name)?;
            let life = Life {
                slot: 0,
                incarnation,
            };
            let is_pidfd = *name == Heirloom::Pidfd(life).name();
            is_pidfd.then_some((incarnation, sys::pid_of(pidfd)?))
        })
        .collect();
    living.sort_unstable();
    living
}

impl Adoption {
    /// What was kept, by name.
    pub(super) const fn descriptors(&self) -> &Descriptors {
        &self.remnants.descriptors
    }

    /// The cgroups of processes that are taken over.
    pub(super) fn cgroups(&self) -> BTreeSet<String> {
        let found: BTreeSet<u32> = self.found.iter().map(|found| found.life.slot).collect();
        Fleet::slots(&self.config)
            .filter(|(slot, _)| found.contains(slot))
            .map(|(_, spec)| cgroup::name(&spec.group, &spec.name))
            .collect()
    }

    /// Groups of which nothing runs, so that their sockets can be tried.
    pub(super) fn idle_groups(&self) -> Vec<Arc<GroupSpec>> {
        let taken = self.cgroups();
        let is_idle = |group: &&Arc<GroupSpec>| {
            let mut processes = group.processes.iter();
            processes.all(|spec| !taken.contains(&cgroup::name(&spec.group, &spec.name)))
        };
        self.config.groups.iter().filter(is_idle).cloned().collect()
    }

    /// The core that begins with what was found, and what goes with it. What belongs to nobody is closed in the course of it.
    pub(super) fn begin(
        self,
        identity: Identity,
    ) -> (Fleet, Inherited, Vec<(SharedSocket, OwnedFd)>) {
        let Self {
            config,
            found,
            remnants,
            lives,
        } = self;
        let Remnants {
            mut descriptors,
            sockets,
            mut unsettled,
            ..
        } = remnants;
        let specs: BTreeMap<u32, _> = Fleet::slots(&config).collect();
        let with_lives = |mut shared: SharedSocket| {
            let socket = descriptors.remove(&Heirloom::FcgiSocket(shared.place).name())?;
            let its = |found: &&Found| {
                let spec = specs.get(&found.life.slot);
                spec.is_some_and(|spec| shared.is_of(spec))
            };
            shared.lives = found.iter().filter(its).map(|found| found.life).collect();
            Some((shared, socket))
        };
        let sockets = sockets.into_iter().filter_map(with_lives).collect();
        // They were read in another slot.
        for bytes in &mut unsettled {
            let mut lives = found.iter().map(|found| found.life);
            if let Some(life) = lives.find(|life| life.incarnation == bytes.life.incarnation) {
                bytes.life = life;
            }
        }
        let pids = found.iter().map(|found| (found.life, found.pid)).collect();
        let inherited = Inherited::found(pids, descriptors, unsettled);
        let fleet = Fleet::new(identity, config).with_found(lives, found);
        (fleet, inherited, sockets)
    }
}
