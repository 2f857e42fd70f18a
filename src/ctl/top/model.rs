//! What the screen shows: processes in a tree by group, filtered, ordered, with a selected row. It performs no I/O.

use std::collections::BTreeSet;

use serde::Serialize;

use crate::domain::{Namespec, ProcessState};

/// One process with its use.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(super) struct TopProcess {
    pub(super) group: String,
    pub(super) name: String,
    pub(super) namespec: String,
    pub(super) state: String,
    pub(super) statecode: i64,
    pub(super) pid: i64,
    pub(super) description: String,
    /// Thousandths of a core. `None`: not known.
    pub(super) cpu_permille: Option<u64>,
    /// `None`: not known.
    pub(super) memory_bytes: Option<u64>,
    /// Processes and threads in its cgroup. `None`: it has no cgroup of its own.
    pub(super) pids: Option<u64>,
    /// The share of time, in thousandths, in which some thread waited for CPU, memory and I/O. `None`: not known.
    pub(super) pressure_permille: [Option<u64>; 3],
}

/// By what processes are ordered within their group, and groups among each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum TopOrder {
    #[default]
    Name,
    Cpu,
    Memory,
}

impl TopOrder {
    /// The next one, when the key is pressed.
    pub(super) const fn next(self) -> Self {
        match self {
            Self::Name => Self::Cpu,
            Self::Cpu => Self::Memory,
            Self::Memory => Self::Name,
        }
    }

    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Cpu => "CPU",
            Self::Memory => "memory",
        }
    }
}

/// One row of the tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum TopRow {
    /// A group with more than one process, or whose process has another name.
    Group(GroupRow),
    /// A process, by its index.
    Process {
        index: usize,
        /// Whether it is below the row of its group.
        is_member: bool,
    },
}

/// The sums of a group.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct GroupRow {
    pub(super) name: String,
    pub(super) members: usize,
    pub(super) running: usize,
    pub(super) cpu_permille: u64,
    pub(super) memory_bytes: u64,
    pub(super) is_collapsed: bool,
}

/// Identifies a row across changes.
#[derive(Debug, Clone, PartialEq, Eq)]
enum RowKey {
    Group(String),
    Process(String, String),
}

/// Everything that the table shows.
#[derive(Debug, Default)]
pub(super) struct TopModel {
    processes: Vec<TopProcess>,
    rows: Vec<TopRow>,
    filter: String,
    order: TopOrder,
    collapsed: BTreeSet<String>,
    selected: usize,
    /// The first visible row.
    first: usize,
}

impl TopModel {
    /// Replaces the processes. The selection stays at its row, or near it.
    pub(super) fn set_processes(&mut self, processes: Vec<TopProcess>) {
        self.change(|model| model.processes = processes);
    }

    pub(super) fn set_filter(&mut self, filter: &str) {
        let filter = filter.to_lowercase();
        self.change(|model| model.filter = filter);
    }

    pub(super) fn filter(&self) -> &str {
        &self.filter
    }

    pub(super) fn next_order(&mut self) {
        self.change(|model| model.order = model.order.next());
    }

    pub(super) const fn order(&self) -> TopOrder {
        self.order
    }

    /// Collapses the group of the selected row, or expands it.
    pub(super) fn toggle_group(&mut self) {
        let group = match self.selected_row() {
            Some(TopRow::Group(group)) => group.name.clone(),
            Some(TopRow::Process {
                index,
                is_member: true,
            }) => self.processes[*index].group.clone(),
            _ => return,
        };
        let at = self
            .rows
            .iter()
            .position(|row| matches!(row, TopRow::Group(other) if other.name == group));
        self.selected = at.unwrap_or(self.selected);
        self.change(|model| {
            if !model.collapsed.remove(&group) {
                model.collapsed.insert(group);
            }
        });
    }

    /// Moves the selection by a number of rows.
    pub(super) fn move_by(&mut self, rows: isize) {
        let last = self.rows.len().saturating_sub(1);
        self.selected = self.selected.saturating_add_signed(rows).min(last);
    }

    /// Returns the visible rows of a table of this height, with the position of the selected one among them.
    pub(super) fn visible(&mut self, height: usize) -> (&[TopRow], usize) {
        let height = height.max(1);
        let most = self.rows.len().saturating_sub(height);
        let lowest = (self.selected + 1).saturating_sub(height);
        self.first = self.first.clamp(lowest, self.selected).min(most);
        let end = (self.first + height).min(self.rows.len());
        (&self.rows[self.first..end], self.selected - self.first)
    }

    pub(super) fn selected_row(&self) -> Option<&TopRow> {
        self.rows.get(self.selected)
    }

    pub(super) fn process(&self, index: usize) -> &TopProcess {
        &self.processes[index]
    }

    /// The selected process. `None`: a group is selected, or nothing.
    pub(super) fn selected_process(&self) -> Option<&TopProcess> {
        match self.selected_row()? {
            TopRow::Process { index, .. } => self.processes.get(*index),
            TopRow::Group(_) => None,
        }
    }

    /// The name of what is selected, as actions take it: of a process, or `group:*`. `None`: nothing is selected.
    pub(super) fn selected_name(&self) -> Option<String> {
        Some(match self.selected_row()? {
            TopRow::Group(group) => format!("{}:*", group.name),
            TopRow::Process { index, .. } => self.processes[*index].namespec.clone(),
        })
    }

    pub(super) fn processes(&self) -> &[TopProcess] {
        &self.processes
    }

    pub(super) fn rows(&self) -> &[TopRow] {
        &self.rows
    }

    /// Makes a change, and keeps the selected row selected.
    fn change(&mut self, make: impl FnOnce(&mut Self)) {
        let key = self.selected_row().map(|row| self.key_of(row));
        make(self);
        self.rows = self.tree();
        let same = key.and_then(|key| self.rows.iter().position(|row| self.key_of(row) == key));
        let last = self.rows.len().saturating_sub(1);
        self.selected = same.unwrap_or(self.selected).min(last);
    }

    fn key_of(&self, row: &TopRow) -> RowKey {
        match row {
            TopRow::Group(group) => RowKey::Group(group.name.clone()),
            TopRow::Process { index, .. } => {
                let process = self.processes.get(*index);
                process.map_or(RowKey::Group(String::new()), |process| {
                    RowKey::Process(process.group.clone(), process.name.clone())
                })
            }
        }
    }

    /// The rows: each group with its processes.
    fn tree(&self) -> Vec<TopRow> {
        let is_shown = |process: &TopProcess| {
            self.filter.is_empty()
                || process.namespec.to_lowercase().contains(&self.filter)
                || process.state.to_lowercase().contains(&self.filter)
        };
        let mut groups: Vec<(GroupRow, Vec<usize>)> = Vec::new();
        for (index, process) in self.processes.iter().enumerate() {
            if !is_shown(process) {
                continue;
            }
            if groups
                .last()
                .is_none_or(|(group, _)| group.name != process.group)
            {
                let group = GroupRow {
                    name: process.group.clone(),
                    is_collapsed: self.collapsed.contains(&process.group),
                    ..GroupRow::default()
                };
                groups.push((group, Vec::new()));
            }
            if let Some((group, members)) = groups.last_mut() {
                group.members += 1;
                group.running += usize::from(is_running(process));
                group.cpu_permille += process.cpu_permille.unwrap_or(0);
                group.memory_bytes += process.memory_bytes.unwrap_or(0);
                members.push(index);
            }
        }
        let weight = |cpu: u64, memory: u64| match self.order {
            TopOrder::Name => 0,
            TopOrder::Cpu => cpu,
            TopOrder::Memory => memory,
        };
        groups.sort_by_key(|(group, _)| {
            std::cmp::Reverse(weight(group.cpu_permille, group.memory_bytes))
        });
        let mut rows = Vec::new();
        for (group, mut members) in groups {
            members.sort_by_key(|&index| {
                let process = &self.processes[index];
                let (cpu, memory) = (process.cpu_permille, process.memory_bytes);
                std::cmp::Reverse(weight(cpu.unwrap_or(0), memory.unwrap_or(0)))
            });
            let is_alone =
                matches!(members.as_slice(), [index] if self.processes[*index].name == group.name);
            let is_collapsed = group.is_collapsed && !is_alone;
            if !is_alone {
                rows.push(TopRow::Group(group));
            }
            let shown = members.into_iter().filter(|_| !is_collapsed);
            rows.extend(shown.map(|index| TopRow::Process {
                index,
                is_member: !is_alone,
            }));
        }
        rows
    }
}

/// Whether a process is RUNNING.
pub(super) fn is_running(process: &TopProcess) -> bool {
    ProcessState::from_code(process.statecode) == Some(ProcessState::Running)
}

/// Sorts processes as the tree needs them: by group, then by name.
pub(super) fn sort(processes: &mut [TopProcess]) {
    processes.sort_by(|one, other| (&one.group, &one.name).cmp(&(&other.group, &other.name)));
}

/// The name as people write it.
pub(super) fn namespec(group: &str, name: &str) -> String {
    Namespec::print(group, name)
}

/// Thousandths of a core as percent: `0.3`, `12.5`, `250`.
pub(super) fn percent(permille: Option<u64>) -> String {
    match permille {
        None => String::new(),
        Some(permille @ 0..1000) => format!("{}.{}", permille / 10, permille % 10),
        Some(permille) => (permille / 10).to_string(),
    }
}

/// A number of bytes with three digits: `512K`, `1.5M`, `12G`.
pub(super) fn size(bytes: Option<u64>) -> String {
    let Some(bytes) = bytes else {
        return String::new();
    };
    let units = ["K", "M", "G", "T", "P"];
    // In tenths of the unit.
    let mut tenths = bytes.saturating_mul(10) / 1024;
    let mut at = 0;
    while tenths >= 10_240 && at + 1 < units.len() {
        tenths /= 1024;
        at += 1;
    }
    match tenths {
        0..100 => format!("{}.{}{}", tenths / 10, tenths % 10, units[at]),
        _ => format!("{}{}", tenths / 10, units[at]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(group: &str, name: &str, cpu: u64, memory: u64) -> TopProcess {
        TopProcess {
            group: group.to_owned(),
            name: name.to_owned(),
            namespec: namespec(group, name),
            state: "RUNNING".to_owned(),
            statecode: 20,
            cpu_permille: Some(cpu),
            memory_bytes: Some(memory),
            ..TopProcess::default()
        }
    }

    fn model() -> TopModel {
        let mut model = TopModel::default();
        model.set_processes(vec![
            process("api", "api", 5, 10),
            process("jobs", "a", 1, 1),
            process("jobs", "b", 9, 2),
            process("web", "web_0", 2, 900),
        ]);
        model
    }

    fn names(model: &TopModel) -> Vec<String> {
        let rows = model.rows().iter();
        rows.map(|row| match row {
            TopRow::Group(group) => format!("{} {}", group.name, group.members),
            TopRow::Process { index, .. } => model.process(*index).namespec.clone(),
        })
        .collect()
    }

    #[test]
    fn processes_are_a_tree_that_is_filtered_and_ordered() {
        let mut model = model();
        assert_eq!(
            names(&model),
            ["api", "jobs 2", "jobs:a", "jobs:b", "web 1", "web:web_0"]
        );
        model.next_order();
        assert_eq!(model.order(), TopOrder::Cpu);
        assert_eq!(
            names(&model),
            ["jobs 2", "jobs:b", "jobs:a", "api", "web 1", "web:web_0"]
        );
        model.next_order();
        assert_eq!(names(&model)[..2], ["web 1", "web:web_0"]);
        model.next_order();
        model.set_filter("JOBS:B");
        assert_eq!(names(&model), ["jobs 1", "jobs:b"]);
        model.set_filter("nothing");
        assert!(names(&model).is_empty() && model.selected_name().is_none());
        assert_eq!(model.visible(5).0.len(), 0);
    }

    #[test]
    fn the_selection_stays_at_its_row() {
        let mut model = model();
        model.move_by(3);
        assert_eq!(model.selected_name().as_deref(), Some("jobs:b"));
        model.next_order();
        assert_eq!(model.selected_name().as_deref(), Some("jobs:b"));
        // A process that is gone leaves its place to the next one.
        model.set_processes(vec![process("api", "api", 5, 10)]);
        assert_eq!(model.selected_name().as_deref(), Some("api"));
        model.move_by(-5);
        model.move_by(100);
        assert_eq!(model.selected_name().as_deref(), Some("api"));
    }

    #[test]
    fn a_group_is_collapsed_from_any_of_its_rows() {
        let mut model = model();
        model.move_by(3);
        model.toggle_group();
        assert_eq!(names(&model), ["api", "jobs 2", "web 1", "web:web_0"]);
        assert_eq!(model.selected_name().as_deref(), Some("jobs:*"));
        model.toggle_group();
        assert_eq!(names(&model).len(), 6);
        // A process without a row of its group has nothing to collapse.
        model.move_by(-10);
        model.toggle_group();
        assert_eq!(names(&model).len(), 6);
    }

    #[test]
    fn a_thousand_rows_scroll_with_the_selection() {
        let mut model = TopModel::default();
        let all = (0..1000)
            .map(|number| process(&format!("p{number:04}"), &format!("p{number:04}"), 0, 0));
        model.set_processes(all.collect());
        let (rows, at) = model.visible(20);
        assert_eq!((rows.len(), at), (20, 0));
        model.move_by(500);
        let (rows, at) = model.visible(20);
        assert_eq!((rows.len(), at), (20, 19));
        model.move_by(-5);
        assert_eq!(model.visible(20).1, 14);
        model.move_by(10_000);
        assert_eq!(model.visible(20).1, 19);
        // A higher window shows no rows below the last one.
        let (rows, at) = model.visible(50);
        assert_eq!((rows.len(), at), (50, 49));
    }

    #[test]
    fn figures_are_short() {
        for (bytes, text) in [
            (0, "0.0K"),
            (1536, "1.5K"),
            (10_240, "10K"),
            (1_048_576, "1.0M"),
            (3 << 30, "3.0G"),
        ] {
            assert_eq!(size(Some(bytes)), text);
        }
        for (permille, text) in [(3, "0.3"), (125, "12.5"), (2500, "250")] {
            assert_eq!(percent(Some(permille)), text);
        }
        assert_eq!(percent(None), "");
    }
}
