//! Keeps the index of dependencies up to date with the groups, and says what a process waits for.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::Fleet;
use super::dependency_facts::DependencyFacts;
use super::dependency_index::{Target, TargetId};
use super::process::Process;
use super::slots::Group;
use super::stage::{Idle, Stage};
use crate::api::{Fault, FaultCode};
use crate::config::spec::{
    Dependency, DependencyTarget, GroupChangeResult, GroupSpec, ProcessSpec,
};
use crate::domain::{GroupName, Namespec, ProcessName, ProcessState};

/// Maximum number of processes that a description names.
const NAMES_MAX: usize = 5;
/// Maximum length of a reason, in characters. The middle of a longer one is left out, since its end names the cause.
const REASON_CHARS_MAX: usize = 300;

impl Fleet {
    /// Makes the index of dependencies from the active groups. [`Fleet::resumed`] draws the consequences. Linear in the
    /// number of processes and dependencies.
    pub(super) fn index_dependencies(&mut self) {
        let mut groups = self.groups.values();
        let is_none = |group: &Group| {
            let mut processes = group.spec.processes.iter();
            processes.all(|process| process.dependencies.is_empty())
        };
        if groups.all(is_none) {
            return;
        }
        let slots: Vec<u32> = self
            .groups
            .values()
            .flat_map(|group| &group.slots)
            .copied()
            .collect();
        // First all targets without their members, then the members, so that no target has to look for them.
        for &slot in &slots {
            self.add_needs(slot, false);
        }
        let names: Vec<GroupName> = self.groups.keys().cloned().collect();
        for name in names {
            self.add_members(&name);
        }
        // Targets were met for a moment while they got their members.
        self.dependencies.forget_due();
    }

    /// Adds new processes of an active group to the index. `None`: all its processes.
    pub(super) fn index_processes(&mut self, group: &GroupName, slots: Option<&[u32]>) {
        let all = || self.groups.get(group).map(|group| group.slots.clone());
        let own = slots.map_or_else(|| all().unwrap_or_default(), <[u32]>::to_vec);
        // A change of the programs may concern the other processes too.
        self.add_members(group);
        for slot in own {
            self.add_needs(slot, true);
        }
    }

    /// Adds what a process depends on. `finds`: look for the members of new targets, which are complete otherwise.
    fn add_needs(&mut self, slot: u32, finds: bool) {
        let Some(process) = self.slots.get(slot) else {
            return;
        };
        let dependencies = &process.spec.dependencies;
        if dependencies.is_empty() {
            return;
        }
        let (groups, slots) = (&self.groups, &self.slots);
        let facts = |&slot: &u32| Some((slot, DependencyFacts::of(slots.get(slot)?)));
        self.dependencies.add_needs(
            slot,
            DependencyFacts::of(process),
            dependencies.all(),
            &dependencies.restart_with,
            |name| {
                if !finds {
                    return (Vec::new(), true);
                }
                let (found, is_there) = members(groups, slots, name);
                (found.iter().filter_map(facts).collect(), !is_there)
            },
        );
    }

    /// Makes the processes of a group members of the targets that mean them.
    pub(super) fn add_members(&mut self, name: &GroupName) {
        if self.dependencies.is_empty() {
            return;
        }
        let Some(group) = self.groups.get(name) else {
            return;
        };
        let spec = std::sync::Arc::clone(&group.spec);
        let titles = titles(&spec);
        let slots = group.slots.clone();
        for name in names_of_group(&spec) {
            self.dependencies.set_absent(&name, false);
        }
        for slot in slots {
            let Some(process) = self.slots.get(slot) else {
                continue;
            };
            let own = titles.get(&process.spec.name).map_or(&[][..], |own| own);
            let names = names_of_process(name, &process.spec.name, own);
            let facts = DependencyFacts::of(process);
            self.dependencies.set_member(slot, facts, &names);
            let own = names.last().expect("a process has a name");
            self.dependencies.set_absent(own, false);
        }
    }

    /// Removes a process from the index.
    pub(super) fn unindex_process(&mut self, slot: u32, process: &Process) {
        if self.dependencies.is_empty() {
            return;
        }
        self.dependencies.remove(slot);
        let (group, name) = (process.spec.group.as_str(), process.spec.name.as_str());
        let own = DependencyTarget::Process(group.into(), name.into());
        self.dependencies.set_absent(&own, true);
    }

    /// Notes that a group is not active any more.
    pub(super) fn unindex_group(&mut self, spec: &GroupSpec) {
        if self.dependencies.is_empty() {
            return;
        }
        for name in names_of_group(spec) {
            if self.dependencies.named(&name).is_empty() {
                continue;
            }
            let (_, is_there) = members(&self.groups, &self.slots, &name);
            if !is_there {
                self.dependencies.set_absent(&name, true);
            }
        }
    }

    /// Checks that a group which is going to be active makes no cycle with groups that were read before it changed. One
    /// configuration has none.
    ///
    /// # Errors
    /// It would.
    pub(super) fn check_new_group(&self, spec: &GroupSpec) -> Result<(), Fault> {
        let group = &spec.name;
        let names = spec.processes.iter().map(|process| {
            DependencyTarget::Process(group.as_str().into(), process.name.as_str().into())
        });
        let names: Vec<DependencyTarget> = names_of_group(spec).into_iter().chain(names).collect();
        let mut processes = spec.processes.iter();
        if processes.any(|process| self.leads_back(process, &names)) {
            return Err(FaultCode::Failed.of(format!(
                "dependencies would form a cycle through {group} (update all groups together)"
            )));
        }
        Ok(())
    }

    /// Checks what a program depends on that is going to be added to an active group.
    ///
    /// # Errors
    /// Something that it depends on does not exist, or depends on it.
    pub(super) fn check_new_program(
        &self,
        group: &GroupName,
        made: &GroupChangeResult,
    ) -> Result<(), Fault> {
        for process in &made.processes {
            let names = names_of_process(group, &process.name, &[made.template.program()]);
            for Dependency { target, .. } in process.dependencies.all() {
                let (_, is_there) = members(&self.groups, &self.slots, &target);
                if names.contains(&target) {
                    let text = format!("{} would depend on itself", process.name);
                    return Err(FaultCode::IncorrectParameters.of(text));
                }
                if !is_there && !self.is_configured(&target) {
                    let text = format!("{} depends on unknown {target}", process.name);
                    return Err(FaultCode::IncorrectParameters.of(text));
                }
            }
            if self.leads_back(process, &names) {
                let text = format!("dependencies would form a cycle through {}", process.name);
                return Err(FaultCode::IncorrectParameters.of(text));
            }
        }
        Ok(())
    }

    /// Returns whether something active that `process` depends on depends on one of `names`.
    fn leads_back(&self, process: &ProcessSpec, names: &[DependencyTarget]) -> bool {
        if process.dependencies.is_empty() {
            return false;
        }
        let ids = names.iter().flat_map(|name| self.dependencies.named(name));
        let own: BTreeSet<TargetId> = ids.copied().collect();
        if own.is_empty() {
            return false;
        }
        let needed = process
            .dependencies
            .all()
            .flat_map(|needed| members(&self.groups, &self.slots, &needed.target).0);
        let reached = self.reached_from(needed);
        reached.into_iter().any(|slot| {
            let mut needs = self.dependencies.needs(slot).iter();
            needs.any(|id| own.contains(id))
        })
    }

    /// Panics if the index does not say what the processes are.
    #[cfg(debug_assertions)]
    pub(super) fn check_dependencies(&self) {
        let facts = |slot| self.slots.get(slot).map(DependencyFacts::of);
        self.dependencies.check(facts);
    }

    /// Returns whether the configuration read last has processes of this name.
    pub(super) fn is_configured(&self, name: &DependencyTarget) -> bool {
        let groups = self.configuration.last_read.groups.iter();
        groups.into_iter().any(|group| match name {
            DependencyTarget::Process(own, process) => {
                group.name.as_str() == &**own
                    && group
                        .processes
                        .iter()
                        .any(|spec| spec.name.as_str() == &**process)
            }
            DependencyTarget::Name(_) | DependencyTarget::Group(_) => {
                names_of_group(group).contains(name)
            }
        })
    }

    /// Returns what a waiting process waits for, such as `db (STARTING), cache (STOPPED)`.
    pub(super) fn waited_for(&self, slot: u32) -> String {
        let mut names: Vec<String> = Vec::new();
        let mut more = 0;
        for target in self.dependencies.unmet(slot) {
            if target.members.is_empty() {
                names.push(format!("{} (not active)", target.name));
            }
            for (&member, facts) in self.unmet_members(target) {
                if names.len() < NAMES_MAX {
                    let what = if facts.is_waiting {
                        "waiting"
                    } else {
                        facts.state.name()
                    };
                    names.push(format!("{} ({what})", self.shown(member)));
                } else {
                    more += 1;
                }
            }
        }
        let mut text = names.join(", ");
        if more > 0 {
            text.push_str(&format!(" and {more} more"));
        }
        text
    }

    /// Returns the members of a target that do not meet its condition.
    pub(super) fn unmet_members<'a>(
        &'a self,
        target: &'a Target,
    ) -> impl Iterator<Item = (&'a u32, DependencyFacts)> {
        let members = target.members.iter();
        members
            .filter_map(|slot| Some((slot, self.dependencies.facts(*slot)?)))
            .filter(|(_, facts)| !facts.meets(target.condition))
    }

    /// Returns the name of a process for messages.
    pub(super) fn shown(&self, slot: u32) -> String {
        self.slots.get(slot).map_or_else(String::new, |process| {
            Namespec::print(process.spec.group.as_str(), process.spec.name.as_str())
        })
    }

    /// Returns the description of a process that a dependency holds up. Empty: none does.
    pub(super) fn dependency_text(&self, process: &Process) -> Option<String> {
        if *process.run.stage != Stage::Idle(Idle::Waiting) {
            return None;
        }
        let (group, name) = (process.spec.group.as_str(), process.spec.name.as_str());
        let slot = self.find(group, name)?;
        Some(format!("waiting for {}", self.waited_for(slot)))
    }

    /// Returns what a process waits for, or why a dependency ended its start. Empty: it is not held up.
    pub(super) fn held_up_text(&self, process: &Process) -> String {
        self.dependency_text(process)
            .unwrap_or_else(|| process.dependency_error().to_owned())
    }

    /// Says why a target will not be met. `None`: it may be met later.
    pub(super) fn failure_of(&self, target: &Target) -> Option<String> {
        if target.is_absent && !self.is_configured(&target.name) {
            return Some(format!("dependency {} was removed", target.name));
        }
        let (slot, facts) = self
            .unmet_members(target)
            .find(|(_, facts)| facts.fails(target.condition))?;
        let process = self.slots.get(*slot)?;
        let mut text = format!("dependency {} is {}", self.shown(*slot), facts.state.name());
        if let Some(error) = &process.run.last_error {
            text.push_str(&format!(": {error}"));
        } else if facts.state == ProcessState::Exited {
            text.push_str(&format!(" (needed: {})", target.condition));
        }
        Some(shortened(&text))
    }
}

/// Returns the text without its middle if it is long.
fn shortened(text: &str) -> String {
    let count = text.chars().count();
    if count <= REASON_CHARS_MAX {
        return text.to_owned();
    }
    let half = REASON_CHARS_MAX / 2;
    let first: String = text.chars().take(half).collect();
    let last: String = text.chars().skip(count - half).collect();
    format!("{first} ... {last}")
}

/// The names that mean all processes of a group, or all of one of its programs.
fn names_of_group(spec: &GroupSpec) -> Vec<DependencyTarget> {
    let group = spec.name.as_str();
    let mut names = vec![
        DependencyTarget::Name(group.into()),
        DependencyTarget::Group(group.into()),
    ];
    let titles = spec
        .programs
        .iter()
        .map(|program| program.template.program());
    names.extend(
        titles
            .filter(|title| *title != group)
            .map(|title| DependencyTarget::Name(title.into())),
    );
    names
}

/// The names that mean a process. The last one means only this process.
fn names_of_process(
    group: &GroupName,
    process: &ProcessName,
    titles: &[&str],
) -> Vec<DependencyTarget> {
    let group = group.as_str();
    let mut names = vec![
        DependencyTarget::Name(group.into()),
        DependencyTarget::Group(group.into()),
    ];
    let others = titles.iter();
    names.extend(
        others
            .filter(|title| **title != group)
            .map(|title| DependencyTarget::Name((*title).into())),
    );
    names.push(DependencyTarget::Process(
        group.into(),
        process.as_str().into(),
    ));
    names
}

/// The programs of each process of a group. A program that was added at run time can have a process of another one.
fn titles(spec: &GroupSpec) -> HashMap<&ProcessName, Vec<&str>> {
    let mut titles: HashMap<&ProcessName, Vec<&str>> = HashMap::new();
    for program in &spec.programs {
        for member in &program.members {
            titles
                .entry(member)
                .or_default()
                .push(program.template.program());
        }
    }
    titles
}

/// The processes that a name means, and whether something active has the name.
fn members(
    groups: &BTreeMap<GroupName, Group>,
    slots: &super::slots::SlotTable,
    name: &DependencyTarget,
) -> (Vec<u32>, bool) {
    let of_group = |name: &str| groups.get(name).map(|group| group.slots.clone());
    let named = |group: &Group, is: &dyn Fn(&ProcessName) -> bool| -> Vec<u32> {
        let own = group.slots.iter().copied();
        own.filter(|&slot| {
            slots
                .get(slot)
                .is_some_and(|process| is(&process.spec.name))
        })
        .collect()
    };
    match name {
        DependencyTarget::Group(group) => match of_group(group) {
            Some(slots) => (slots, true),
            None => (Vec::new(), false),
        },
        DependencyTarget::Process(group, process) => {
            let group = groups.get(&**group);
            let found = group.map(|group| named(group, &|name| name.as_str() == &**process));
            let found = found.unwrap_or_default();
            let is_there = !found.is_empty();
            (found, is_there)
        }
        DependencyTarget::Name(text) => {
            let whole = of_group(text);
            let mut is_there = whole.is_some();
            let mut found = whole.unwrap_or_default();
            for group in groups.values() {
                for program in &group.spec.programs {
                    if program.template.program() != &**text {
                        continue;
                    }
                    is_there = true;
                    if group.spec.name.as_str() != &**text {
                        let own: std::collections::HashSet<&ProcessName> =
                            program.members.iter().collect();
                        found.extend(named(group, &|name| own.contains(name)));
                    }
                }
            }
            (found, is_there)
        }
    }
}
