//! What the cgroups of processes use, read only when a client asks.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::api::ProcessView;
use crate::cgroup;
use crate::http_server::blocking_pool::run_blocking;
use crate::sys::Cgroup;

/// The use of one cgroup: of its process with all children. `None`: the kernel does not count it, or the controller is not
/// enabled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in crate::server) struct CgroupUsage {
    /// CPU time in microseconds.
    pub(in crate::server) cpu_micros: Option<u64>,
    /// Memory in bytes.
    pub(in crate::server) memory: Option<u64>,
    /// The most memory that it has used, in bytes. Linux 5.19.
    pub(in crate::server) memory_peak: Option<u64>,
    /// Bytes read from block devices.
    pub(in crate::server) read_bytes: Option<u64>,
    /// Bytes written to block devices.
    pub(in crate::server) written_bytes: Option<u64>,
    /// Number of processes and threads.
    pub(in crate::server) pids: Option<u64>,
    /// Microseconds in which some thread waited for CPU, memory and I/O, in the order of [`PRESSURES`].
    pub(in crate::server) pressures: [Option<u64>; 3],
}

/// The resources with pressure, and the files that tell it.
pub(in crate::server) const PRESSURES: [(&str, &str); 3] = [
    ("cpu", "cpu.pressure"),
    ("memory", "memory.pressure"),
    ("io", "io.pressure"),
];

/// A process: its PID and its start time in seconds since the epoch.
type Instance = (i32, i64);

/// The cgroups that are known, so that finding them costs once per instance.
#[derive(Debug, Default)]
pub(in crate::server) struct CgroupSampler {
    known: Mutex<KnownCgroups>,
}

/// Finds the cgroups of processes.
#[derive(Debug, Default)]
pub(super) struct CgroupFinder {
    /// The root of the hierarchy. One descriptor serves all processes. `None`: no cgroup was found yet.
    top: Option<Cgroup>,
}

impl CgroupFinder {
    /// The path of the cgroup of a process below the root. `None`: the process is gone, or its cgroup has another name.
    pub(super) fn find(&mut self, pid: i32, name: &str) -> Option<String> {
        let (top, path) = Cgroup::cgroup_of(pid).ok()?;
        self.top.get_or_insert(top);
        // A process that moved to another cgroup shares that with others.
        (path.rsplit('/').next() == Some(name)).then_some(path)
    }

    /// Opens the cgroup at a path. `None`: it is gone.
    pub(super) fn open(&self, path: &str) -> Option<Cgroup> {
        self.top.as_ref()?.open(path).ok()
    }
}

#[derive(Debug, Default)]
struct KnownCgroups {
    finder: CgroupFinder,
    /// Paths below the root. `None`: the process has no cgroup of its own.
    paths: HashMap<Instance, Option<String>>,
}

impl CgroupSampler {
    /// Returns what the cgroups of these processes use, by PID. Processes without a cgroup of their own are left out. Reads
    /// the files of the kernel on a helper thread.
    pub(in crate::server) async fn sample(
        self: &Arc<Self>,
        processes: &[ProcessView],
    ) -> HashMap<i32, CgroupUsage> {
        let wanted: Vec<(Instance, String)> = processes
            .iter()
            .filter(|view| view.has_cgroup && view.pid > 0)
            .map(|view| {
                let name = cgroup::name(&view.group, &view.name);
                ((view.pid, view.start), name)
            })
            .collect();
        let sampler = Arc::clone(self);
        if wanted.is_empty() {
            *sampler.lock() = KnownCgroups::default();
            return HashMap::new();
        }
        let sampled = run_blocking(move || sampler.lock().sample(&wanted)).await;
        sampled.unwrap_or_default()
    }

    fn lock(&self) -> MutexGuard<'_, KnownCgroups> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl KnownCgroups {
    fn sample(&mut self, wanted: &[(Instance, String)]) -> HashMap<i32, CgroupUsage> {
        let mut before = std::mem::take(&mut self.paths);
        let mut usages = HashMap::with_capacity(wanted.len());
        for (instance, name) in wanted {
            let path = match before.remove(instance) {
                Some(path) => path,
                None => self.finder.find(instance.0, name),
            };
            if let Some(path) = &path
                && let Some(cgroup) = self.finder.open(path)
            {
                usages.insert(instance.0, read(&cgroup));
            }
            self.paths.insert(*instance, path);
        }
        usages
    }
}

fn read(cgroup: &Cgroup) -> CgroupUsage {
    let read = |file: &str| cgroup.read(file).ok();
    let number = |file: &str| read(file)?.trim().parse().ok();
    let io = read("io.stat");
    CgroupUsage {
        cpu_micros: read("cpu.stat").and_then(|text| field(&text, "usage_usec ")),
        memory: number("memory.current"),
        memory_peak: number("memory.peak"),
        read_bytes: io.as_deref().map(|text| sum(text, "rbytes=")),
        written_bytes: io.as_deref().map(|text| sum(text, "wbytes=")),
        pids: number("pids.current"),
        pressures: PRESSURES.map(|(_, file)| some_total(&read(file)?)),
    }
}

/// CPU time in microseconds of a cgroup.
pub(super) fn read_cpu(cgroup: &Cgroup) -> Option<u64> {
    field(&cgroup.read("cpu.stat").ok()?, "usage_usec ")
}

/// CPU time in microseconds and memory in bytes of a cgroup.
pub(super) fn read_cpu_and_memory(cgroup: &Cgroup) -> Option<(u64, u64)> {
    let memory = cgroup.read("memory.current").ok()?;
    Some((read_cpu(cgroup)?, memory.trim().parse().ok()?))
}

/// The number on the line that begins with `name`.
fn field(text: &str, name: &str) -> Option<u64> {
    let mut lines = text.lines();
    lines.find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
}

/// The sum of the numbers after `name` on all lines: one line per device.
fn sum(text: &str, name: &str) -> u64 {
    let words = text.split_ascii_whitespace();
    let numbers = words.filter_map(|word| word.strip_prefix(name)?.parse::<u64>().ok());
    numbers.fold(0, u64::saturating_add)
}

/// The total of the line `some` of a pressure file.
fn some_total(text: &str) -> Option<u64> {
    let line = text.lines().find(|line| line.starts_with("some "))?;
    let mut words = line.split_ascii_whitespace();
    words.find_map(|word| word.strip_prefix("total=")?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_of_the_kernel_are_read() {
        assert_eq!(
            field("usage_usec 1500\nuser_usec 3\n", "usage_usec "),
            Some(1500)
        );
        assert_eq!(field("x 1\n", "usage_usec "), None);
        let io = "8:0 rbytes=10 wbytes=20 rios=1\n8:16 rbytes=5 wbytes=x\n";
        assert_eq!((sum(io, "rbytes="), sum(io, "wbytes=")), (15, 20));
        let pressure = "some avg10=0.00 avg60=0.00 avg300=0.00 total=77\nfull avg10=0.00 total=5\n";
        assert_eq!(some_total(pressure), Some(77));
        assert_eq!(some_total("full total=5\n"), None);
    }
}
