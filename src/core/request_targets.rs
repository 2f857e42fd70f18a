//! Finds the processes, groups and logs that a request names, as far as its caller may see them.

use super::Fleet;
use super::rights::Rights;
use super::slots::in_start_order;
use super::ticket::BatchMember;
use crate::api::{AccessScope, ConfigView, Fault, FaultCode, JournalMatch, Reply, RequestTarget};
use crate::domain::{Channel, InstanceId, Namespec, Now};

impl Fleet {
    /// Returns the slot of the process that `text` names.
    pub(super) fn one(&self, text: &str, rights: Rights<'_>) -> Result<u32, Fault> {
        let spec = Namespec::parse(text);
        let slot = spec
            .process
            .as_deref()
            .and_then(|process| self.find(&spec.group, process))
            .ok_or_else(|| FaultCode::BadName.of(text))?;
        let name = spec.process.as_deref().unwrap_or_default();
        rights.process(&spec.group, name, text)?;
        Ok(slot)
    }

    /// Returns the slots of the processes that `names` mean and `scope` covers, each once, ordered by group and process
    /// name. A name without a process means the whole group.
    pub(super) fn slots_named(&self, names: &[String], scope: &AccessScope) -> Vec<u32> {
        let mut found: Vec<u32> = Vec::new();
        for name in names {
            let spec = Namespec::parse(name);
            if let Some(process) = spec.process.as_deref() {
                let slot = self
                    .find(&spec.group, process)
                    .filter(|_| scope.covers(&spec.group, process));
                if let Some(slot) = slot {
                    found.push(slot);
                    continue;
                }
            }
            if (spec.process.is_none() || !name.contains(':'))
                && let Some(group) = self.groups.get(spec.group.as_str())
            {
                let covered = |slot: &&u32| {
                    let process = self.slots.get(**slot);
                    process.is_some_and(|process| {
                        scope.covers(&spec.group, process.spec.name.as_str())
                    })
                };
                found.extend(group.by_name.iter().filter(covered));
            }
        }
        found.sort_by_cached_key(|&slot| {
            self.names_of(slot).map(|(process, group)| (group, process))
        });
        found.dedup();
        found
    }

    /// Returns the slots of the processes that `names` mean and `scope` covers, as [`Fleet::slots_named`]; without names, of
    /// all processes.
    pub(super) fn slots_asked(&self, names: &[String], scope: &AccessScope) -> Vec<u32> {
        if !names.is_empty() {
            return self.slots_named(names, scope);
        }
        let all = self.groups.values().flat_map(|group| group.by_name.clone());
        let is_seen = |slot: &u32| {
            self.slots.get(*slot).is_some_and(|process| {
                scope.covers(process.spec.group.as_str(), process.spec.name.as_str())
            })
        };
        all.filter(is_seen).collect()
    }

    /// Returns the instance that accepts standard input for the process `name`.
    pub(super) fn stdin_of(&self, name: &str, rights: Rights<'_>) -> Result<InstanceId, Fault> {
        let slot = self.one(name, rights)?;
        self.slots
            .get(slot)
            .filter(|process| process.takes_stdin())
            .and_then(|process| process.run.stage.reachable())
            .map(|(instance, _)| instance)
            .ok_or_else(|| FaultCode::NotRunning.of(name))
    }

    /// Returns the process that occupies `slot` now as a member of a batch.
    pub(super) fn member(&self, slot: u32) -> Option<BatchMember> {
        let process = self.slots.get(slot)?;
        Some(BatchMember {
            slot,
            slot_generation: process.slot_generation,
            process: process.spec.name.clone(),
            group: process.spec.group.clone(),
        })
    }

    /// Returns the slots of the target that the caller may see, in ascending order of priority, and the text of the
    /// target if it names a single process.
    pub(super) fn targets(
        &self,
        target: RequestTarget,
        rights: Rights<'_>,
    ) -> Result<(Vec<u32>, Option<String>), Fault> {
        match target {
            RequestTarget::One(
                Namespec {
                    group,
                    process: Some(process),
                },
                text,
            ) => {
                let slot = self.find(&group, &process);
                let slot = slot.ok_or_else(|| FaultCode::BadName.of(text.as_str()))?;
                rights.process(&group, &process, &text)?;
                Ok((vec![slot], Some(text)))
            }
            RequestTarget::Group(group)
            | RequestTarget::One(
                Namespec {
                    group,
                    process: None,
                },
                _,
            ) => {
                let found = self.groups.get(group.as_str());
                let found = found.ok_or_else(|| FaultCode::BadName.of(group.as_str()))?;
                rights.some_of_group(&group)?;
                Ok((self.visible_slots(&found.slots, rights), None))
            }
            RequestTarget::All => Ok((
                in_start_order(&self.groups)
                    .into_iter()
                    .flat_map(|group| self.visible_slots(&group.slots, rights))
                    .collect(),
                None,
            )),
        }
    }

    /// Returns those of `slots` whose processes the caller may see.
    fn visible_slots(&self, slots: &[u32], rights: Rights<'_>) -> Vec<u32> {
        let is_seen = |slot: &u32| {
            self.names_of(*slot)
                .is_some_and(|(name, group)| rights.sees.covers(group.as_str(), name.as_str()))
        };
        match rights.sees {
            AccessScope::All => slots.to_vec(),
            AccessScope::Only(_) => slots.iter().copied().filter(is_seen).collect(),
        }
    }

    /// Returns the configured processes that `scope` covers, of the configuration read last.
    pub(super) fn config_views(&self, scope: &AccessScope) -> Vec<ConfigView> {
        let mut views = Vec::new();
        for group in &self.configuration.last_read.groups {
            let in_use = self.groups.contains_key(&group.name);
            let made = self.configuration.made.get(&group.name);
            for (place, process) in group.processes.iter().enumerate() {
                if !scope.covers(group.name.as_str(), process.name.as_str()) {
                    continue;
                }
                let made = made.and_then(|made| made.get(place));
                views.push(ConfigView {
                    group: group.clone(),
                    process: process.clone(),
                    in_use,
                    stdout_auto: made.and_then(|made| made.stdout.clone()),
                    stderr_auto: made.and_then(|made| made.stderr.clone()),
                });
            }
        }
        views.sort_by(|a, b| a.process.name.cmp(&b.process.name));
        views
    }

    /// Returns the processes in these slots as clients see them.
    pub(super) fn views(&self, slots: &[u32], now: Now) -> Reply {
        let processes = slots
            .iter()
            .filter_map(|&slot| Some((slot, self.slots.get(slot)?)));
        let views = processes.map(|(slot, process)| self.view_process(slot, process, now));
        Reply::Processes(views.collect())
    }

    /// Returns the processes that `names` mean and `scope` covers as clients see them.
    pub(super) fn named_views(&self, names: &[String], scope: &AccessScope, now: Now) -> Reply {
        self.views(&self.slots_named(names, scope), now)
    }

    /// Returns where the log of a process is.
    pub(super) fn log_file(&self, slot: u32, channel: Channel) -> Reply {
        let Some(process) = self.slots.get(slot) else {
            return Reply::LogFile(None);
        };
        let (file, log) = match channel {
            Channel::Stdout => (&process.logs.stdout, &process.spec.stdout),
            Channel::Stderr => (&process.logs.stderr, &process.spec.stderr),
        };
        match file {
            None if log.named.journal.is_some() => Reply::Journal(JournalMatch {
                group: process.spec.group.clone(),
                process: process.spec.name.clone(),
                channel,
            }),
            file => Reply::LogFile(file.clone()),
        }
    }
}
