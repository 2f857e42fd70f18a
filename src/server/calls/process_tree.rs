//! CPU and memory of a process with all its descendants, read from /proc.

use super::process_stat::{ProcStat, read_stat};

/// Maximum number of descendants that are read of one process.
const DESCENDANTS_MAX: usize = 200;
/// Maximum number of threads of a process whose children are looked for.
const THREADS_MAX: usize = 64;

/// The use of a process with its descendants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TreeStat {
    /// CPU time in clock ticks, that of children that have ended and were waited for included.
    pub(super) ticks: u64,
    /// Resident pages. Pages that several processes share count for each of them.
    pub(super) pages: u64,
    /// Number of descendants that were found.
    pub(super) descendants: usize,
}

/// Reads the use of a process and its descendants. `own`: that of the process.
pub(super) fn read_tree(pid: i32, own: &ProcStat) -> TreeStat {
    sum(pid, own, read_stat, read_children)
}

fn sum(
    pid: i32,
    own: &ProcStat,
    read: impl Fn(i32) -> Option<ProcStat>,
    children: impl Fn(i32, u64) -> Vec<i32>,
) -> TreeStat {
    let mut tree = TreeStat {
        ticks: own.ticks + own.children_ticks,
        pages: own.pages,
        descendants: 0,
    };
    let mut waiting = children(pid, own.threads);
    let mut left = DESCENDANTS_MAX;
    while let Some(pid) = waiting.pop() {
        if left == 0 {
            break;
        }
        left -= 1;
        tree.descendants += 1;
        if let Some(stat) = read(pid) {
            tree.ticks += stat.ticks + stat.children_ticks;
            tree.pages += stat.pages;
            waiting.extend(children(pid, stat.threads));
        }
    }
    tree
}

/// The children of a process with this number of threads. Empty: it has none, or the kernel does not tell
/// (`CONFIG_PROC_CHILDREN`).
///
/// # Source
/// proc_pid_task(5): each thread lists the children that it made.
fn read_children(pid: i32, threads: u64) -> Vec<i32> {
    let of_thread = |thread: &str| {
        let path = format!("/proc/{pid}/task/{thread}/children");
        let text = std::fs::read_to_string(path).unwrap_or_default();
        let words = text.split_ascii_whitespace();
        words
            .filter_map(|word| word.parse().ok())
            .collect::<Vec<i32>>()
    };
    if threads <= 1 {
        return of_thread(&pid.to_string());
    }
    let Ok(entries) = std::fs::read_dir(format!("/proc/{pid}/task")) else {
        return Vec::new();
    };
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    names
        .take(THREADS_MAX)
        .flat_map(|thread| of_thread(&thread))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stat(ticks: u64) -> ProcStat {
        ProcStat {
            began: 1,
            ticks,
            children_ticks: 1,
            threads: 1,
            pages: 10,
        }
    }

    #[test]
    fn descendants_are_summed_and_bounded() {
        let children = |pid: i32, _| match pid {
            1 => vec![2, 3],
            3 => vec![4, 5],
            _ => Vec::new(),
        };
        let read = |pid| (pid != 5).then(|| stat(100));
        let tree = sum(1, &stat(7), read, children);
        let expected = TreeStat {
            ticks: 8 + 3 * 101,
            pages: 40,
            descendants: 4,
        };
        assert_eq!(tree, expected);
        let many = |pid: i32, _| vec![pid + 1, pid + 1];
        let tree = sum(1, &stat(0), |_| Some(stat(0)), many);
        assert_eq!(tree.pages, 10 * (1 + DESCENDANTS_MAX as u64));
    }

    #[test]
    fn a_child_counts_for_its_parent() {
        let own = i32::try_from(std::process::id()).expect("fits");
        let mut child = std::process::Command::new("sleep")
            .arg("1000")
            .spawn()
            .expect("a child");
        let id = i32::try_from(child.id()).expect("fits");
        let threads = read_stat(own).expect("alive").threads;
        let found = read_children(own, threads);
        child.kill().expect("alive");
        child.wait().expect("a status");
        assert!(threads > 1 && found.contains(&id), "{threads} {found:?}");
    }
}
