//! Compares the active groups with the configuration that was read: what `reread` prints and `update` applies.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::spec::{
    ConfiguredGroup, ConfiguredUser, Confinement, FcgiSocket, GroupKind, GroupSpec, LogSpec,
    LogTarget, ProcessKind, ProcessSpec,
};
use crate::domain::{GroupName, ProcessName};

/// What `update` does with a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum GroupAction {
    /// The group is added.
    Add,
    /// The group is stopped and removed.
    Remove,
    /// The group is stopped, removed and added again.
    Restart,
    /// The group was scaled, or only numbers of processes changed. Its processes are made as configured; those that are
    /// equal keep running.
    Rescale,
    /// No process restarts. Changed limits are applied to running processes when the configuration is read.
    Live,
    /// Nothing.
    Nothing,
}

/// A group in the active configuration, in the read one, or in both, and what `update` does with it.
#[derive(Debug)]
pub struct GroupDifference<'a> {
    /// The active group.
    pub active: Option<&'a Arc<GroupSpec>>,
    /// The group that was read.
    pub read: Option<&'a Arc<GroupSpec>>,
    /// What `update` does.
    pub action: GroupAction,
}

/// Compares the active groups with those that were read: first the read groups in their order, then the active groups
/// that are not among them. All steps of an update and its plan use this comparison, so they cannot disagree.
#[must_use]
pub fn compare<'a>(
    active: &'a [Arc<GroupSpec>],
    read: &'a [Arc<GroupSpec>],
) -> Vec<GroupDifference<'a>> {
    fn by_name(groups: &[Arc<GroupSpec>]) -> HashMap<&GroupName, &Arc<GroupSpec>> {
        groups.iter().map(|group| (&group.name, group)).collect()
    }
    let (old, new) = (by_name(active), by_name(read));
    let in_read = read.iter().map(|group| {
        let before = old.get(&group.name).copied();
        GroupDifference {
            active: before,
            read: Some(group),
            action: before.map_or(GroupAction::Add, |before| action(before, group)),
        }
    });
    let gone = active.iter().filter(|group| !new.contains_key(&group.name));
    let removed = gone.map(|group| GroupDifference {
        active: Some(group),
        read: None,
        action: GroupAction::Remove,
    });
    in_read.chain(removed).collect()
}

/// What `update` does with a group that is in both.
fn action(active: &GroupSpec, read: &GroupSpec) -> GroupAction {
    if !is_same(active, read) {
        return match is_rescaled(active, read) || is_resized(active, read) {
            true => GroupAction::Rescale,
            false => GroupAction::Restart,
        };
    }
    // Most groups of a configuration have not changed at all.
    if active.processes == read.processes {
        return GroupAction::Nothing;
    }
    let named = read
        .processes
        .iter()
        .map(|process| (&process.name, process));
    let named: HashMap<_, _> = named.collect();
    let is_live = active.processes.iter().any(|process| {
        let read = named.get(&process.name);
        read.is_some_and(|read| has_live_changes(process, read))
    });
    match is_live {
        true => GroupAction::Live,
        false => GroupAction::Nothing,
    }
}

/// Whether a group was scaled so that the names of its processes differ from the read ones. `update` of this group gives
/// it the read processes.
#[must_use]
pub fn is_rescaled(active: &GroupSpec, read: &GroupSpec) -> bool {
    active.programs.iter().any(|program| program.scaled)
        && active.kind == read.kind
        && active.priority == read.priority
        && names(active) != names(read)
}

/// Whether the programs of a group have other numbers of processes, and the processes that both have are equal.
// Differs: Supervisor restarts the whole group.
#[must_use]
pub fn is_resized(active: &GroupSpec, read: &GroupSpec) -> bool {
    let sections = |group: &GroupSpec| {
        let programs = group.programs.iter();
        let sections = programs.map(|program| Arc::clone(&program.template.section));
        sections.collect::<BTreeSet<_>>()
    };
    if active.priority != read.priority
        || !is_same_kind(&active.kind, &read.kind)
        || sections(active) != sections(read)
        || names(active) == names(read)
    {
        return false;
    }
    let by_name = by_name(&active.processes);
    let find = |name: &ProcessName| {
        let place = by_name.binary_search_by_key(&name, |process| &process.name);
        place.ok().and_then(|place| by_name.get(place))
    };
    let mut common = 0_usize;
    read.processes.iter().all(|read| match find(&read.name) {
        Some(active) => {
            common += 1;
            is_same_process(active, read)
        }
        None => true,
    }) && common > 0
}

/// Whether an update of the group can replace its processes one by one, as `rolling` of the read group asks. A socket that
/// processes share cannot change like this.
#[must_use]
pub fn is_rollable(active: &GroupSpec, read: &GroupSpec) -> bool {
    if read.rolling == 0
        || matches!(read.kind, GroupKind::Listeners { .. })
        || !is_same_kind(&active.kind, &read.kind)
    {
        return false;
    }
    let by_name = by_name(&active.processes);
    read.processes.iter().all(|read| {
        let place = by_name.binary_search_by_key(&&read.name, |process| &process.name);
        let active = place.ok().and_then(|place| by_name.get(place));
        active.is_none_or(|active| match (&active.kind, &read.kind) {
            (ProcessKind::Fcgi(old), ProcessKind::Fcgi(new)) => is_same_socket(old, new),
            (old, new) => old == new,
        })
    })
}

/// How `update` can change a group without stopping all of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PartialUpdate {
    /// Some processes at a time.
    Rolling,
    /// Only the processes that are not in both.
    Rescale,
}

/// How `update` can change an active group to the read one without stopping all of it. `None`: there is nothing to
/// change, or the group changes as a whole.
#[must_use]
pub fn partial_update(active: &GroupSpec, read: &GroupSpec) -> Option<PartialUpdate> {
    let action = action(active, read);
    let is_changed = matches!(action, GroupAction::Restart | GroupAction::Rescale);
    let is_scaled = action == GroupAction::Rescale || is_rescaled(active, read);
    if (is_changed || is_scaled) && is_rollable(active, read) {
        return Some(PartialUpdate::Rolling);
    }
    is_scaled.then_some(PartialUpdate::Rescale)
}

/// The names of the processes of a group.
fn names(group: &GroupSpec) -> BTreeSet<&ProcessName> {
    let names = group.processes.iter().map(|process| &process.name);
    names.collect()
}

/// The differences between two sets of groups.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ConfigDiff {
    /// Groups only in the read configuration, in its order.
    pub added: Vec<GroupName>,
    /// Groups in both that differ, in the order of the read configuration.
    pub changed: Vec<GroupName>,
    /// Groups only in the active configuration, in its order.
    pub removed: Vec<GroupName>,
    /// Groups in both whose changes need no restart, in the order of the read configuration.
    pub live: Vec<GroupName>,
}

/// Sorts the groups by what `update` does with them.
#[must_use]
pub fn diff(active: &[Arc<GroupSpec>], read: &[Arc<GroupSpec>]) -> ConfigDiff {
    let mut difference = ConfigDiff::default();
    for group in compare(active, read) {
        let list = match group.action {
            GroupAction::Add => &mut difference.added,
            GroupAction::Remove => &mut difference.removed,
            GroupAction::Restart | GroupAction::Rescale => &mut difference.changed,
            GroupAction::Live => &mut difference.live,
            GroupAction::Nothing => continue,
        };
        let name = group.read.or(group.active).map(|group| group.name.clone());
        list.extend(name);
    }
    difference
}

fn is_same(active: &GroupSpec, read: &GroupSpec) -> bool {
    let GroupSpec {
        name: _,
        priority,
        kind,
        processes,
        programs: _,
        rolling: _,
    } = read;
    if active.priority != *priority || !is_same_kind(&active.kind, kind) {
        return false;
    }
    if is_only_scaled(active, read) {
        return true;
    }
    // The sections do not matter as long as their processes are the same.
    active.processes.len() == processes.len()
        && by_name(&active.processes)
            .into_iter()
            .zip(by_name(processes))
            .all(|(active, read)| is_same_process(active, read))
}

/// The processes of a group, sorted by name, so that the order of `programs=` does not matter.
// Differs: Supervisor takes another order of `programs=` for a change, which would restart the processes for nothing.
fn by_name(processes: &[Arc<ProcessSpec>]) -> Vec<&ProcessSpec> {
    let mut sorted: Vec<&ProcessSpec> = processes.iter().map(|process| &**process).collect();
    sorted.sort_unstable_by_key(|process| &process.name);
    sorted
}

/// Whether the sections are the same and only the number of processes was changed at run time, which `update` must not
/// undo.
fn is_only_scaled(active: &GroupSpec, read: &GroupSpec) -> bool {
    let mut scaled = active.programs.iter();
    scaled.any(|program| program.scaled)
        && active.programs.len() == read.programs.len()
        && active.programs.iter().all(|program| {
            let mut others = read.programs.iter();
            others.any(|other| other.template == program.template)
        })
        && names(active) != names(read)
}

fn is_same_kind(active: &GroupKind, read: &GroupKind) -> bool {
    match (active, read) {
        (GroupKind::Programs, GroupKind::Programs) => true,
        (
            GroupKind::Listeners {
                events: old,
                buffer_size: old_size,
                result_handler: old_handler,
            },
            GroupKind::Listeners {
                events,
                buffer_size,
                result_handler,
            },
        ) => {
            let sorted = |events: &[String]| {
                let mut events = events.to_vec();
                events.sort_unstable();
                events
            };
            // Supervisor keeps the events in a set, so their order means nothing.
            sorted(old) == sorted(events)
                && old_size == buffer_size
                && old_handler == result_handler
        }
        (GroupKind::Fcgi(old), GroupKind::Fcgi(new)) => is_same_socket(old, new),
        _ => false,
    }
}

/// Whether two sockets are the same. `program` is only a name for messages.
// Differs: Supervisor compares the address alone, so a new mode, owner or backlog takes effect only at its next start.
fn is_same_socket(active: &FcgiSocket, read: &FcgiSocket) -> bool {
    let same = FcgiSocket {
        program: Arc::clone(&read.program),
        ..active.clone()
    };
    same == *read
}

/// Whether the process equals the one that was read, so that it need not restart.
pub(crate) fn is_same_process(active: &ProcessSpec, read: &ProcessSpec) -> bool {
    // Most processes of a configuration have not changed at all.
    active == read || without_small_changes(active, read) == *read
}

/// The active process with the changes that need no restart. A field that is not named here needs one, so a new key
/// needs no line.
fn without_small_changes(active: &ProcessSpec, read: &ProcessSpec) -> ProcessSpec {
    let mut same = ProcessSpec {
        group: read.group.clone(),
        stdout: without_generated_name(&active.stdout, &read.stdout),
        stderr: without_generated_name(&active.stderr, &read.stderr),
        ..active.clone()
    };
    take_live_changes(&mut same, read);
    if let (ProcessKind::Fcgi(old), ProcessKind::Fcgi(new)) = (&active.kind, &read.kind)
        && is_same_socket(old, new)
    {
        same.kind = read.kind.clone();
    }
    let ids = |user: &ConfiguredUser| (user.uid, user.gid);
    if active.user.as_ref().map(ids) == read.user.as_ref().map(ids) {
        same.user = read.user.clone();
    }
    let sorted = |environment: &[(String, String)]| {
        let mut sorted = environment.to_vec();
        sorted.sort_unstable();
        sorted
    };
    if sorted(&active.environment) == sorted(&read.environment) {
        same.environment = Arc::clone(&read.environment);
    }
    if without_names(&active.confinement, &read.confinement) == *read.confinement {
        same.confinement = Arc::clone(&read.confinement);
    }
    same
}

/// Takes over the values that apply to a running process at once. `Fleet::take_over_live_changes` applies them.
pub(crate) fn take_live_changes(active: &mut ProcessSpec, read: &ProcessSpec) {
    active.resources = Arc::clone(&read.resources);
    active.restart = read.restart;
    active.essential = read.essential;
    active.on_fatal.clone_from(&read.on_fatal);
    active.conf_file.clone_from(&read.conf_file);
}

/// Whether the process differs in values that apply to a running process at once.
pub(crate) fn has_live_changes(active: &ProcessSpec, read: &ProcessSpec) -> bool {
    active.resources != read.resources
        || active.restart != read.restart
        || active.essential != read.essential
        || active.on_fatal != read.on_fatal
        || active.conf_file != read.conf_file
}

/// The active confinement with the names of groups that were read, if they are the same groups.
fn without_names(active: &Confinement, read: &Confinement) -> Confinement {
    let mut same = active.clone();
    let gid = |group: &ConfiguredGroup| group.gid;
    if active.group.as_ref().map(gid) == read.group.as_ref().map(gid) {
        same.group.clone_from(&read.group);
    }
    let gids = |groups: &[ConfiguredGroup]| {
        let mut gids: Vec<u32> = groups.iter().map(gid).collect();
        gids.sort_unstable();
        gids
    };
    if gids(&active.extra_groups) == gids(&read.extra_groups) {
        same.extra_groups.clone_from(&read.extra_groups);
    }
    same
}

/// The active log with the target AUTO if AUTO was read, which equals any active target. The reverse does not hold: an
/// active AUTO has a generated name.
fn without_generated_name(active: &LogSpec, read: &LogSpec) -> LogSpec {
    let mut same = active.clone();
    if read.target == LogTarget::Auto {
        same.target = LogTarget::Auto;
    }
    same
}

#[cfg(test)]
mod tests {
    use super::super::load;
    use super::super::lookup::Fake;
    use super::super::options::DaemonOptions;
    use super::*;

    fn groups(text: &str) -> Vec<Arc<GroupSpec>> {
        let machine = Fake::default().with("/etc/s.conf", &format!("[supervisord]\n{text}"));
        load("/etc/s.conf", &DaemonOptions::default(), &machine)
            .expect("valid")
            .groups
    }

    fn shown(active: &str, read: &str) -> String {
        let difference = diff(&groups(active), &groups(read));
        let names = |names: &[GroupName]| {
            names
                .iter()
                .map(GroupName::as_str)
                .collect::<Vec<_>>()
                .join(",")
        };
        format!(
            "+{} ~{} -{}",
            names(&difference.added),
            names(&difference.changed),
            names(&difference.removed)
        )
    }

    #[test]
    fn added_changed_and_removed_groups_are_in_order() {
        let old = "[program:c]\ncommand=c\n[program:b]\ncommand=b\n[program:a]\ncommand=a\n";
        let new = "[program:c]\ncommand=x\n[program:b]\ncommand=y\n[program:z]\ncommand=z\npriority=1\n[program:y]\ncommand=y\n";
        assert_eq!(shown(old, new), "+z,y ~b,c -a");
        assert_eq!(shown(old, old), "+ ~ -");
    }

    fn actions(active: &str, read: &str) -> Vec<GroupAction> {
        let (active, read) = (groups(active), groups(read));
        let compared = compare(&active, &read);
        compared.iter().map(|group| group.action).collect()
    }

    #[test]
    fn a_change_of_numprocs_alone_touches_only_the_difference() {
        let text = |number: u8, command: &str, more: &str| {
            format!(
                "[program:a]\ncommand={command}\nprocess_name=a%(process_num)d\nnumprocs={number}\n{more}"
            )
        };
        let base = text(3, "a", "");
        for (read, action) in [
            (text(5, "a", ""), GroupAction::Rescale),
            (text(1, "a", ""), GroupAction::Rescale),
            // Another window of the same numbers.
            (text(3, "a", "numprocs_start=2\n"), GroupAction::Rescale),
            (text(3, "a", "numprocs_start=9\n"), GroupAction::Restart),
            (text(0, "a", ""), GroupAction::Restart),
            (text(5, "b", ""), GroupAction::Restart),
            (text(5, "a", "priority=3\n"), GroupAction::Restart),
            (text(5, "a", "essential=true\n"), GroupAction::Rescale),
        ] {
            assert_eq!(actions(&base, &read), [action], "{read}");
        }
        let counts = text(2, "a %(numprocs)d", "");
        let more = text(3, "a %(numprocs)d", "");
        assert_eq!(actions(&counts, &more), [GroupAction::Restart]);
        // One program of a group.
        let group = |number| {
            format!(
                "{}[program:b]\ncommand=b\n[group:g]\nprograms=a,b\n",
                text(number, "a", "")
            )
        };
        assert_eq!(actions(&group(2), &group(4)), [GroupAction::Rescale]);
        let without = group(2).replace("programs=a,b", "programs=a");
        assert_eq!(
            actions(&group(2), &without),
            [GroupAction::Add, GroupAction::Restart]
        );
    }

    #[test]
    fn the_same_value_in_another_form_is_no_change() {
        let base = "[program:a]\ncommand=a\n";
        for (old, new) in [
            ("numprocs=1", "stdout_logfile=AUTO"),
            ("notify=false", "startsecs=1"),
            ("user=web", "user=33"),
            ("group=web", "group=33"),
            ("extra_groups=me,web", "extra_groups=33 1000"),
        ] {
            let (old, new) = (format!("{base}{old}\n"), format!("{base}{new}\n"));
            assert_eq!(shown(&old, &new), "+ ~ -", "{new}");
        }
    }

    #[test]
    fn auto_equals_any_active_log_name() {
        let auto = "[program:a]\ncommand=a\n";
        let file = "[program:a]\ncommand=a\nstdout_logfile=/tmp/x\n";
        assert_eq!(shown(file, auto), "+ ~ -");
        assert_eq!(shown(auto, file), "+ ~a -");
    }

    #[test]
    fn kinds_and_keys_of_listeners_and_fcgi_programs_count() {
        let pool = "[eventlistener:a]\ncommand=a\n";
        for (old, new, is_change) in [
            ("events=EVENT,TICK", "events=TICK,EVENT", false),
            ("events=EVENT", "events=TICK", true),
            ("events=EVENT", "events=EVENT\nbuffer_size=3", true),
        ] {
            let expected = if is_change { "+ ~a -" } else { "+ ~ -" };
            assert_eq!(
                shown(&format!("{pool}{old}\n"), &format!("{pool}{new}\n")),
                expected
            );
        }
        let fcgi = "[fcgi-program:a]\ncommand=a\nsocket=unix:///x\n";
        for line in ["socket_mode=0777", "socket_owner=web", "socket_backlog=20"] {
            assert_eq!(shown(fcgi, &format!("{fcgi}{line}\n")), "+ ~a -", "{line}");
        }
        assert_eq!(
            shown(fcgi, "[fcgi-program:a]\ncommand=a\nsocket=tcp://h:1\n"),
            "+ ~a -"
        );
        assert_eq!(shown(fcgi, "[program:a]\ncommand=a\n"), "+ ~a -");
        let member = format!("{fcgi}[group:g]\nprograms=a\n");
        assert_eq!(
            shown(&member, &member.replace("unix:///x", "unix:///y")),
            "+ ~g -"
        );
        assert_eq!(
            shown(
                &member,
                &member.replace("[group", "socket_mode=0777\n[group")
            ),
            "+ ~g -"
        );
    }

    #[test]
    fn the_order_of_programs_does_not_count() {
        let programs = "[program:a]\ncommand=a\n[program:b]\ncommand=b\n";
        let with = |order: &str| format!("{programs}[group:g]\nprograms={order}\n");
        assert_eq!(shown(&with("a,b"), &with("b,a")), "+ ~ -");
    }

    #[test]
    fn the_order_of_variables_does_not_count() {
        assert_eq!(
            shown(
                "[program:a]\ncommand=a\nenvironment=A=1,B=2\n",
                "[program:a]\ncommand=a\nenvironment=B=2,A=1\n"
            ),
            "+ ~ -"
        );
    }
}
