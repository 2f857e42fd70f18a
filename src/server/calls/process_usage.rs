//! CPU and memory use of processes, read from /proc only when a client asks.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::cgroup_usage::{CgroupFinder, read_cpu, read_cpu_and_memory};
use super::process_stat::{ProcStat, read_run_nanos, read_stat};
use super::process_tree::read_tree;
use crate::domain::Tick;
use crate::http_server::blocking_pool::run_blocking;
use crate::sys;

/// A sample younger than this is used again, so that all pages share it.
const AGE_MIN: Duration = Duration::from_millis(1500);
/// Maximum number of samples refreshed per [`AGE_MIN`], oldest first. A large configuration's processes take turns. A
/// sample costs 12 to 20 µs; with 1,000 busy processes a sample is at most 16 seconds old.
const AGAIN_MAX: usize = 125;
/// While the processes take turns, one whose CPU time and memory did not change waits twice as long each time, up to this.
/// Most of a thousand processes sleep, and their samples are what an open page costs.
const QUIET_AGE_MAX: Duration = Duration::from_secs(30);
/// One in so many samples of a sleeping process is read whole, in case the kernel took memory from it.
const WHOLE_EVERY: u32 = 8;
/// Maximum number of first samples taken at a time.
const FIRST_MAX: usize = 1000;
/// A sample older than this is not compared with: the next one counts as the first.
const AGE_MAX: Duration = Duration::from_secs(120);

/// CPU and memory use of one process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::server) struct ProcessUsage {
    /// CPU time since the previous sample, in thousandths of one CPU. `None`: this is the first sample.
    pub(in crate::server) cpu_permille: Option<u64>,
    /// CPU time since the process was started, in milliseconds.
    pub(in crate::server) cpu_millis: u64,
    /// Resident memory in bytes.
    pub(in crate::server) memory: u64,
    /// The same as `cpu_permille` with all children.
    pub(in crate::server) tree_permille: Option<u64>,
    /// Memory with all children in bytes: what the cgroup has, or the resident memory of the tree of processes.
    pub(in crate::server) tree_memory: u64,
}

/// A process to sample.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::server) struct UsageTarget {
    pub(in crate::server) pid: i32,
    /// The name of its cgroup. `None`: it has none of its own.
    pub(in crate::server) cgroup: Option<String>,
}

/// A process and its descendants at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Reading {
    stat: ProcStat,
    /// CPU time of the tree in microseconds.
    tree_micros: u64,
    /// Memory of the tree in bytes.
    tree_memory: u64,
    /// See [`UsageSample::run_nanos`].
    run_nanos: Option<u64>,
}

/// One sample of a process.
#[derive(Debug, Clone, PartialEq, Eq)]
struct UsageSample {
    at: Tick,
    /// Start time of the process according to the kernel. It tells processes with the same PID apart.
    began: u64,
    /// CPU time so far, in clock ticks.
    ticks: u64,
    /// CPU time of the tree so far, in microseconds.
    tree_micros: u64,
    /// The path of its cgroup. `None`: it has none of its own.
    cgroup: Option<String>,
    usage: ProcessUsage,
    /// How long a process with one thread and without children has run, as the scheduler counts. `None`: it is no such process,
    /// or was not asked for.
    run_nanos: Option<u64>,
    /// How many samples in a row were the same.
    quiet: u32,
}

impl UsageSample {
    /// The age at which it is refreshed, if not all processes can be sampled each time.
    fn refresh_age(&self) -> Duration {
        let factor = 1_u32.checked_shl(self.quiet).unwrap_or(u32::MAX);
        AGE_MIN.saturating_mul(factor).min(QUIET_AGE_MAX)
    }

    /// The next sample if nothing of the process has run since. That costs one small file instead of three. `None`: it must be
    /// read whole.
    fn still(&self, pid: i32, finder: &CgroupFinder) -> Option<Self> {
        if self.quiet.is_multiple_of(WHOLE_EVERY) {
            return None;
        }
        let slept = match &self.cgroup {
            Some(path) => self.tree_micros == read_cpu(&finder.open(path)?)?,
            None => self.run_nanos? == read_run_nanos(pid)?,
        };
        slept.then(|| Self {
            at: sys::now().mono,
            quiet: self.quiet.saturating_add(1),
            usage: ProcessUsage {
                cpu_permille: Some(0),
                tree_permille: Some(0),
                ..self.usage
            },
            ..self.clone()
        })
    }
}

/// The last sample of each process that was part of the last request.
#[derive(Debug, Default)]
pub(in crate::server) struct UsageSampler {
    inner: Mutex<SamplerState>,
}

#[derive(Debug, Default)]
struct SamplerState {
    last: HashMap<i32, UsageSample>,
    finder: CgroupFinder,
    /// When old samples may be refreshed again.
    next_refresh: Option<Tick>,
}

impl UsageSampler {
    /// Returns the use of processes by their last samples, by PID. Reads the files of the kernel on a helper thread.
    pub(in crate::server) async fn sample_usage(
        self: &Arc<Self>,
        targets: Vec<UsageTarget>,
    ) -> HashMap<i32, ProcessUsage> {
        let sampler = self.clone();
        run_blocking(move || sampler.sample_targets(&targets, read_process))
            .await
            .unwrap_or_default()
    }

    /// The same for some processes, without forgetting the others. Of more than [`FIRST_MAX`] processes, all are forgotten.
    pub(in crate::server) async fn sample_some(
        self: &Arc<Self>,
        targets: Vec<UsageTarget>,
    ) -> HashMap<i32, ProcessUsage> {
        {
            let mut inner = self.lock();
            if inner.last.len() > FIRST_MAX {
                *inner = SamplerState::default();
            }
        }
        let sampler = self.clone();
        run_blocking(move || sampler.sample(&targets, read_process))
            .await
            .unwrap_or_default()
    }

    /// Forgets all samples, because no page is connected.
    pub(in crate::server) fn forget(&self) {
        *self.lock() = SamplerState::default();
    }

    fn lock(&self) -> MutexGuard<'_, SamplerState> {
        // A poisoned lock means that a read panicked. The earlier samples are intact.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn sample_targets(
        &self,
        targets: &[UsageTarget],
        read: impl Fn(i32, Option<&str>, &CgroupFinder, bool) -> Option<Reading>,
    ) -> HashMap<i32, ProcessUsage> {
        let inner = &mut *self.lock();
        let wanted = by_pid(targets);
        inner.last.retain(|pid, _| wanted.contains_key(pid));
        inner.sample(targets, &wanted, read)
    }

    fn sample(
        &self,
        targets: &[UsageTarget],
        read: impl Fn(i32, Option<&str>, &CgroupFinder, bool) -> Option<Reading>,
    ) -> HashMap<i32, ProcessUsage> {
        self.lock().sample(targets, &by_pid(targets), read)
    }
}

fn by_pid(targets: &[UsageTarget]) -> HashMap<i32, &UsageTarget> {
    targets.iter().map(|target| (target.pid, target)).collect()
}

impl SamplerState {
    /// `wanted`: the targets by PID.
    fn sample(
        &mut self,
        targets: &[UsageTarget],
        wanted: &HashMap<i32, &UsageTarget>,
        read: impl Fn(i32, Option<&str>, &CgroupFinder, bool) -> Option<Reading>,
    ) -> HashMap<i32, ProcessUsage> {
        let now = sys::now().mono;
        let mut due: Vec<i32> = targets
            .iter()
            .map(|target| target.pid)
            .filter(|pid| !self.last.contains_key(pid))
            .take(FIRST_MAX)
            .collect();
        if self
            .next_refresh
            .is_none_or(|again| age(again, now) >= AGE_MIN)
        {
            self.next_refresh = Some(now);
            let takes_turns = targets.len() > AGAIN_MAX;
            let refresh_age = |sample: &UsageSample| match takes_turns {
                true => sample.refresh_age(),
                false => AGE_MIN,
            };
            let mut old: Vec<(Tick, i32)> = self
                .last
                .iter()
                .filter(|(pid, sample)| {
                    age(sample.at, now) >= refresh_age(sample) && wanted.contains_key(pid)
                })
                .map(|(&pid, sample)| (sample.at, pid))
                .collect();
            old.sort_unstable();
            due.extend(old.into_iter().take(AGAIN_MAX).map(|(_, pid)| pid));
        }
        for pid in due {
            let last = self.last.remove(&pid);
            let cgroup = match &last {
                Some(last) => last.cgroup.clone(),
                None => {
                    let name = wanted.get(&pid).and_then(|target| target.cgroup.as_deref());
                    name.and_then(|name| self.finder.find(pid, name))
                }
            };
            let quiet = last.as_ref().map_or(0, |last| last.quiet);
            let still = last.as_ref().and_then(|last| last.still(pid, &self.finder));
            let sample = still.or_else(|| {
                let reading = read(pid, cgroup.as_deref(), &self.finder, quiet > 0)?;
                Some(next_sample(&reading, last.as_ref(), cgroup))
            });
            if let Some(sample) = sample {
                self.last.insert(pid, sample);
            }
        }
        let samples = self.last.iter();
        samples.map(|(&pid, sample)| (pid, sample.usage)).collect()
    }
}

fn age(at: Tick, now: Tick) -> Duration {
    Duration::from_nanos(now.nanos_since(at))
}

/// Reads a process with its descendants. `cgroup`: the path of its cgroup. `was_quiet`: it seems to sleep, so the next sample may be
/// a short one.
fn read_process(
    pid: i32,
    cgroup: Option<&str>,
    finder: &CgroupFinder,
    was_quiet: bool,
) -> Option<Reading> {
    // First, so that what runs meanwhile is noticed by the next sample.
    let run_nanos = match was_quiet && cgroup.is_none() {
        true => read_run_nanos(pid),
        false => None,
    };
    let stat = read_stat(pid)?;
    let of_cgroup = cgroup.and_then(|path| read_cpu_and_memory(&finder.open(path)?));
    let mut is_alone = false;
    let (tree_micros, tree_memory) = of_cgroup.unwrap_or_else(|| {
        let tree = read_tree(pid, &stat);
        is_alone = stat.threads == 1 && tree.descendants == 0;
        let (page_bytes, ticks_per_second) = sys::page_and_tick_sizes();
        let micros = tree.ticks.saturating_mul(1_000_000) / ticks_per_second;
        (micros, tree.pages.saturating_mul(page_bytes))
    });
    Some(Reading {
        stat,
        tree_micros,
        tree_memory,
        run_nanos: run_nanos.filter(|_| is_alone),
    })
}

fn next_sample(
    reading: &Reading,
    last: Option<&UsageSample>,
    cgroup: Option<String>,
) -> UsageSample {
    let at = sys::now().mono;
    let (page_bytes, ticks_per_second) = sys::page_and_tick_sizes();
    let stat = &reading.stat;
    let memory = stat.pages.saturating_mul(page_bytes);
    let last = last.filter(|sample| sample.began == stat.began && age(sample.at, at) < AGE_MAX);
    let is_same = |last: &&UsageSample| {
        (last.tree_micros, last.usage.memory) == (reading.tree_micros, memory)
            && (last.ticks, last.usage.tree_memory) == (stat.ticks, reading.tree_memory)
    };
    let cpu_permille = last.and_then(|sample| {
        let used = stat.ticks.saturating_sub(sample.ticks);
        permille(used, ticks_per_second, at.nanos_since(sample.at))
    });
    let tree_permille = last.and_then(|sample| {
        let used = reading.tree_micros.saturating_sub(sample.tree_micros);
        permille(used, 1_000_000, at.nanos_since(sample.at))
    });
    UsageSample {
        quiet: last
            .filter(is_same)
            .map_or(0, |last| last.quiet.saturating_add(1)),
        run_nanos: reading.run_nanos,
        at,
        began: stat.began,
        ticks: stat.ticks,
        tree_micros: reading.tree_micros,
        cgroup,
        usage: ProcessUsage {
            cpu_permille,
            tree_permille,
            tree_memory: reading.tree_memory,
            cpu_millis: stat.ticks.saturating_mul(1000) / ticks_per_second,
            memory,
        },
    }
}

fn permille(ticks: u64, ticks_per_second: u64, nanos: u64) -> Option<u64> {
    let used = u128::from(ticks) * 1_000_000_000_000 / u128::from(ticks_per_second);
    u64::try_from(used.checked_div(u128::from(nanos))?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_shares_are_relative_to_one_cpu() {
        assert_eq!(permille(100, 100, 1_000_000_000), Some(1000));
        assert_eq!(permille(50, 100, 2_000_000_000), Some(250));
        assert_eq!(permille(1, 100, 0), None);
    }

    #[test]
    fn a_process_uses_memory_and_is_sampled_once() {
        let own = i32::try_from(std::process::id()).expect("fits");
        let sampler = UsageSampler::default();
        let targets = |pids: &[i32]| {
            let target = |&pid| UsageTarget { pid, cgroup: None };
            pids.iter().map(target).collect::<Vec<_>>()
        };
        let first = sampler.sample_targets(&targets(&[own, i32::MAX]), read_process);
        assert!(first[&own].memory > 100_000, "{first:?}");
        assert!(first[&own].tree_memory >= first[&own].memory, "{first:?}");
        assert_eq!(first[&own].cpu_permille, None, "one sample has no span");
        assert!(!first.contains_key(&i32::MAX));
        assert_eq!(
            sampler.sample_targets(&targets(&[own]), read_process),
            first,
            "fresh enough"
        );
        let samples = || sampler.lock().last.len();
        assert_eq!(samples(), 1);
        sampler.forget();
        assert_eq!(samples(), 0);
    }

    #[test]
    fn a_sleeping_process_waits_longer_each_time() {
        let asleep = Reading {
            stat: ProcStat {
                began: 1,
                ticks: 7,
                children_ticks: 0,
                threads: 1,
                pages: 1,
            },
            tree_micros: 70_000,
            tree_memory: 4096,
            run_nanos: None,
        };
        let mut last = next_sample(&asleep, None, None);
        for seconds in [1.5, 3.0, 6.0, 12.0, 24.0, 30.0, 30.0] {
            assert_eq!(last.refresh_age(), Duration::from_secs_f64(seconds));
            last = next_sample(&asleep, Some(&last), None);
        }
        for _ in 0..40 {
            last = next_sample(&asleep, Some(&last), None);
        }
        assert_eq!(last.refresh_age(), QUIET_AGE_MAX);
        let stat = ProcStat {
            ticks: 8,
            ..asleep.stat
        };
        let awake = Reading { stat, ..asleep };
        assert_eq!(
            next_sample(&awake, Some(&last), None).refresh_age(),
            AGE_MIN
        );
        let busy_child = Reading {
            tree_micros: 80_000,
            ..asleep
        };
        assert_eq!(
            next_sample(&busy_child, Some(&last), None).refresh_age(),
            AGE_MIN
        );
    }

    #[test]
    fn a_process_that_ran_is_read_whole() {
        use std::io::{Read as _, Write as _};
        let mut cat = std::process::Command::new("cat")
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .expect("cat runs");
        let (mut to, mut from) = (cat.stdin.take().expect("piped"), cat.stdout.take());
        let mut wake = || {
            to.write_all(b"x").expect("cat reads");
            let from = from.as_mut().expect("piped");
            from.read_exact(&mut [0]).expect("cat writes");
        };
        wake();
        let pid = i32::try_from(cat.id()).expect("fits");
        let finder = CgroupFinder::default();
        let look = |was_quiet| read_process(pid, None, &finder, was_quiet).expect("alive");
        let mut last = next_sample(&look(false), None, None);
        assert_eq!(last.still(pid, &finder), None, "nothing is known yet");
        // cat may take a moment to go to sleep.
        let mut still = None;
        for _ in 0..1000 {
            last = next_sample(&look(true), Some(&last), None);
            last.quiet = 1;
            still = last.still(pid, &finder);
            if still.is_some() {
                break;
            }
        }
        let still = still.expect("it sleeps");
        assert_eq!((still.quiet, still.usage.cpu_permille), (2, Some(0)));
        wake();
        assert_eq!(still.still(pid, &finder), None, "it ran");
        drop(to);
        cat.wait().expect("a status");
        assert_eq!(still.still(pid, &finder), None, "it is gone");
    }

    #[test]
    fn many_processes_are_sampled_in_turn() {
        let stat = ProcStat {
            began: 1,
            ticks: 0,
            children_ticks: 0,
            threads: 1,
            pages: 1,
        };
        let asked = std::cell::RefCell::new(Vec::new());
        let read = |pid, _: Option<&str>, _: &CgroupFinder, _: bool| {
            asked.borrow_mut().push(pid);
            Some(Reading {
                stat,
                tree_micros: 0,
                tree_memory: 0,
                run_nanos: None,
            })
        };
        let sampler = UsageSampler::default();
        let pids: Vec<i32> = (1..=2 * i32::try_from(AGAIN_MAX).expect("fits")).collect();
        let targets: Vec<UsageTarget> = pids
            .iter()
            .map(|&pid| UsageTarget { pid, cgroup: None })
            .collect();
        assert_eq!(
            sampler.sample_targets(&targets, read).len(),
            pids.len(),
            "all are new"
        );
        assert_eq!(asked.take().len(), pids.len());
        // As if all had been sampled long ago, the highest PIDs first.
        let make_old = || {
            let mut inner = sampler.lock();
            inner.next_refresh = None;
            for (pid, sample) in &mut inner.last {
                sample.at = Tick(1000 - u64::try_from(*pid).expect("positive"));
            }
        };
        make_old();
        assert_eq!(
            sampler.sample_targets(&targets, read).len(),
            pids.len(),
            "all are known"
        );
        let mut again = asked.take();
        again.sort_unstable();
        assert_eq!(again, pids[AGAIN_MAX..]);
        assert_eq!(sampler.sample_targets(&targets, read).len(), pids.len());
        assert_eq!(asked.take().len(), 0, "only once in a while");
    }
}
