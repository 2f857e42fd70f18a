//! What `update` would do: the differences between the active groups and a configuration, with the changed keys.

use std::collections::{BTreeMap, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher as _};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::diff::{
    GroupAction, PartialUpdate, compare, is_rescaled, is_same_process, partial_update,
};
use super::ini::{Ini, IniEntry};
use super::key::{ConfigKey, SectionKind};
use super::spec::{GroupSpec, ProcessSpec, ProgramSpec, ProgramTemplate};
use crate::domain::{GroupName, ProcessName};

/// What `update` would do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpdatePlan {
    /// A hash of all groups that differ, as they are and as they would be. Two plans with this identifier do the same.
    pub id: String,
    /// The groups that differ or were scaled: first those of the configuration, in its order, then removed ones.
    pub groups: Vec<GroupPlan>,
    /// The other groups.
    pub unchanged: Vec<GroupName>,
}

/// What `update` would do with a group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupPlan {
    /// Its name.
    pub name: GroupName,
    /// What `update` would do.
    pub action: GroupAction,
    /// The group was scaled. If `update` gets its name, it gives the group its configured processes.
    pub scaled: bool,
    /// How many processes are restarted at a time, each time waiting until they are ready. 0: all.
    #[serde(default)]
    pub rolling: u32,
    /// Changed keys of the group itself.
    pub keys: Vec<KeyChange>,
    /// The programs of the group.
    pub programs: Vec<ProgramPlan>,
}

/// What `update` would do with the processes of a program.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProgramPlan {
    /// The whole name of its section, such as `program:web`.
    pub section: String,
    /// What `update` would do.
    pub action: GroupAction,
    /// The reason for the action besides the keys. `None`: the keys are the reason.
    pub reason: Option<String>,
    /// Changed keys.
    pub keys: Vec<KeyChange>,
}

/// A key whose value changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyChange {
    /// The key.
    pub key: String,
    /// The section that has it.
    pub section: String,
    /// The old value as written. `None`: the key was not set, or its value is hidden.
    pub old: Option<String>,
    /// The new value as written. `None`: the key is not set, or its value is hidden.
    pub new: Option<String>,
    /// The value may contain a secret and is not shown.
    pub hidden: bool,
    /// The change needs no restart.
    pub live: bool,
    /// Where the new value is, as `file:line`. `None`: nowhere.
    pub place: Option<String>,
}

impl UpdatePlan {
    /// Whether `update` would change anything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let mut actions = self.groups.iter().map(|group| group.action);
        actions.all(|action| action == GroupAction::Nothing)
    }
}

/// The text of a configuration, in which the places of its keys are looked up.
#[derive(Debug, Clone)]
pub struct KeyPlaces {
    pub(super) ini: Ini,
    /// Names of the files, by their index in spans.
    pub(super) files: Vec<String>,
    /// The directory of the main file, absolute.
    pub(super) here: String,
}

impl KeyPlaces {
    /// The names of the files, in the order of reading; the main file is the first.
    #[must_use]
    pub fn files(&self) -> &[String] {
        &self.files
    }

    /// The names of the files, in the order of reading.
    pub fn file_names(&self) -> impl Iterator<Item = &String> {
        self.files.iter()
    }

    /// The names of all `[program:x]` sections, in the order in which they first appear.
    #[must_use]
    pub fn program_names(&self) -> Vec<String> {
        let sections = self.ini.sections().iter();
        let prefix = SectionKind::Program.prefix();
        let names = sections.filter_map(|section| section.name.strip_prefix(prefix));
        names.map(|name| name.trim().to_owned()).collect()
    }

    /// Where the value of a key is, as `file:line`. `None`: the section does not set it.
    fn find(&self, section: &str, key: &str) -> Option<String> {
        let section = self.ini.section(section)?;
        let entry: &IniEntry = self.ini.entry_of(Some(section), key)?;
        let span = entry.value_span();
        let file = self.files.get(span.file).map_or("", String::as_str);
        Some(format!("{file}:{}", span.line))
    }
}

/// Plans the update of the active groups to those that were read. `places`: the text that was read.
#[must_use]
pub fn plan(active: &[Arc<GroupSpec>], read: &[Arc<GroupSpec>], places: &KeyPlaces) -> UpdatePlan {
    let mut hasher = DefaultHasher::new();
    let (mut groups, mut unchanged) = (Vec::new(), Vec::new());
    for group in compare(active, read) {
        let Some(spec) = group.read.or(group.active) else {
            continue;
        };
        let rolling = match (group.active, group.read) {
            (Some(active), Some(read))
                if partial_update(active, read) == Some(PartialUpdate::Rolling) =>
            {
                read.rolling
            }
            _ => 0,
        };
        let scaled = match (group.active, group.read) {
            (Some(active), Some(read)) => is_rescaled(active, read),
            _ => false,
        };
        if group.action == GroupAction::Nothing && !scaled {
            unchanged.push(spec.name.clone());
            continue;
        }
        for side in [group.active, group.read] {
            side.map(|group| meaning(group)).hash(&mut hasher);
        }
        group.action.hash(&mut hasher);
        let changes = Changes {
            active: group.active,
            read: group.read,
            action: group.action,
            is_rolling: rolling > 0,
            places,
        };
        let programs = changes.programs();
        groups.push(GroupPlan {
            name: spec.name.clone(),
            action: group.action,
            scaled,
            rolling,
            keys: changes.group_keys(&programs),
            programs,
        });
    }
    UpdatePlan {
        id: format!("{:016x}", hasher.finish()),
        groups,
        unchanged,
    }
}

/// What a group does. The sections are left out, because they only made the processes.
fn meaning(group: &GroupSpec) -> impl Hash {
    let GroupSpec {
        name,
        priority,
        kind,
        processes,
        programs: _,
        rolling,
    } = group;
    (name, *priority, kind, processes, *rolling)
}

/// One group that changes.
struct Changes<'a> {
    active: Option<&'a Arc<GroupSpec>>,
    read: Option<&'a Arc<GroupSpec>>,
    action: GroupAction,
    /// Only the processes that changed restart.
    is_rolling: bool,
    places: &'a KeyPlaces,
}

impl Changes<'_> {
    /// The programs of the group: first those of the read one, then removed ones.
    fn programs(&self) -> Vec<ProgramPlan> {
        fn of(group: Option<&Arc<GroupSpec>>) -> &[ProgramSpec] {
            group.map_or(&[], |group| &group.programs)
        }
        fn find<'p>(programs: &'p [ProgramSpec], like: &ProgramSpec) -> Option<&'p ProgramSpec> {
            let mut programs = programs.iter();
            programs.find(|program| program.template.section == like.template.section)
        }
        let (old, new) = (of(self.active), of(self.read));
        let processes = [self.active, self.read].map(processes);
        let read = new.iter().map(|program| match find(old, program) {
            Some(before) => self.program(before, program, &processes),
            None => whole(program, GroupAction::Add),
        });
        let gone = old.iter().filter(|program| find(new, program).is_none());
        read.chain(gone.map(|program| whole(program, GroupAction::Remove)))
            .collect()
    }

    /// A program in both groups.
    fn program(
        &self,
        old: &ProgramSpec,
        new: &ProgramSpec,
        [active, read]: &[HashMap<&ProcessName, &Arc<ProcessSpec>>; 2],
    ) -> ProgramPlan {
        let keys = self.keys(&old.template, &new.template);
        let is_same = old.members == new.members
            && new.members.iter().all(|name| {
                let (active, read) = (active.get(name), read.get(name));
                active
                    .zip(read)
                    .is_some_and(|(active, read)| is_same_process(active, read))
            });
        let has_live = new.members.iter().any(|name| {
            let (active, read) = (active.get(name), read.get(name));
            active
                .zip(read)
                .is_some_and(|(active, read)| active.resources != read.resources)
        });
        let action = match self.action {
            GroupAction::Live if !has_live => GroupAction::Nothing,
            GroupAction::Rescale if is_same => GroupAction::Nothing,
            GroupAction::Restart if is_same && self.is_rolling => GroupAction::Nothing,
            action => action,
        };
        let reason = match action {
            GroupAction::Restart if is_same => Some("its group restarts"),
            GroupAction::Restart | GroupAction::Live if keys.is_empty() => Some(
                "the text is the same, but a variable, user or host name in it has another value",
            ),
            GroupAction::Rescale if keys.is_empty() => Some("the program was scaled"),
            _ => None,
        };
        ProgramPlan {
            section: new.template.section.to_string(),
            action,
            reason: reason.map(str::to_owned),
            keys,
        }
    }

    /// The keys of a section that changed, and the variables that `[supervisord]` gives to all programs.
    fn keys(&self, old: &ProgramTemplate, new: &ProgramTemplate) -> Vec<KeyChange> {
        let section = &*new.section;
        let kind = SectionKind::of(section).unwrap_or(SectionKind::Program);
        let mut keys: Vec<KeyChange> = changed_options(&old.options, &new.options)
            .into_iter()
            .filter_map(|(key, values)| {
                let row = ConfigKey::find(kind, key)?;
                Some(self.change(section, row, values))
            })
            .collect();
        if old.environment != new.environment {
            let daemon = SectionKind::Daemon.prefix();
            let row = ConfigKey::find(SectionKind::Daemon, "environment");
            keys.extend(row.map(|row| self.change(daemon, row, [None, None])));
        }
        keys
    }

    fn change(&self, section: &str, row: &ConfigKey, values: [Option<&str>; 2]) -> KeyChange {
        let hidden = row.is_secret;
        let [old, new] = values.map(|value| value.filter(|_| !hidden).map(str::to_owned));
        KeyChange {
            key: row.name.to_owned(),
            section: section.to_owned(),
            old,
            new,
            hidden,
            live: row.is_live,
            place: self.places.find(section, row.name),
        }
    }

    /// The keys of `[group:x]` that changed. The group of a single program has its priority.
    fn group_keys(&self, programs: &[ProgramPlan]) -> Vec<KeyChange> {
        const PRIORITY: &str = "priority";
        let (Some(active), Some(read)) = (self.active, self.read) else {
            return Vec::new();
        };
        let mut keys = programs.iter().flat_map(|program| &program.keys);
        if active.priority == read.priority || keys.any(|change| change.key == PRIORITY) {
            return Vec::new();
        }
        let section = format!("{}{}", SectionKind::Group.prefix(), read.name);
        vec![KeyChange {
            key: PRIORITY.to_owned(),
            place: self.places.find(&section, PRIORITY),
            section,
            old: Some(active.priority.to_string()),
            new: Some(read.priority.to_string()),
            hidden: false,
            live: false,
        }]
    }
}

/// The keys whose values differ, sorted, each with its old and its new value. Keys of one list are different.
fn changed_options<'a>(
    old: &'a [(Arc<str>, Arc<str>)],
    new: &'a [(Arc<str>, Arc<str>)],
) -> Vec<(&'a str, [Option<&'a str>; 2])> {
    // Most sections have the same keys in the same order.
    let mut changed: Vec<(&str, [Option<&str>; 2])> = Vec::new();
    let is_aligned = old.len() == new.len()
        && old
            .iter()
            .zip(new)
            .all(|((old_key, _), (new_key, _))| old_key == new_key);
    if is_aligned {
        for ((key, before), (_, after)) in old.iter().zip(new) {
            if before != after {
                changed.push((key, [Some(before), Some(after)]));
            }
        }
    } else {
        let mut both: BTreeMap<&str, [Option<&str>; 2]> = BTreeMap::new();
        for (side, options) in [old, new].into_iter().enumerate() {
            for (key, value) in options {
                both.entry(key).or_default()[side] = Some(value);
            }
        }
        changed.extend(both.into_iter().filter(|(_, [old, new])| old != new));
    }
    changed.sort_unstable_by_key(|(key, _)| *key);
    changed
}

/// A program that is added or removed as a whole.
fn whole(program: &ProgramSpec, action: GroupAction) -> ProgramPlan {
    ProgramPlan {
        section: program.template.section.to_string(),
        action,
        reason: None,
        keys: Vec::new(),
    }
}

/// The processes of a group by name.
fn processes(group: Option<&Arc<GroupSpec>>) -> HashMap<&ProcessName, &Arc<ProcessSpec>> {
    let processes = group.into_iter().flat_map(|group| &group.processes);
    processes.map(|process| (&process.name, process)).collect()
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
