//! CPU and memory use of processes, read from /proc only when a client asks.

use std::collections::{HashMap, HashSet};
use std::io::Read as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::domain::Tick;
use crate::http_server::blocking_pool::run_blocking;
use crate::sys;

/// A sample younger than this is used again, so that all pages share it.
const AGE_MIN: Duration = Duration::from_millis(1500);
/// Maximum number of samples refreshed per [`AGE_MIN`], oldest first. A large configuration's processes take turns. A
/// sample costs 6 µs; with 1,000 processes a sample is at most 8 seconds old, that of a sleeping one 16 seconds.
const AGAIN_MAX: usize = 250;
/// While the processes take turns, one whose CPU time and memory did not change waits twice as long each time, up to this.
/// Most of a thousand processes sleep, and their samples are what an open page costs.
const QUIET_AGE_MAX: Duration = Duration::from_secs(16);
/// Maximum number of first samples taken at a time.
const FIRST_MAX: usize = 1000;
/// A sample older than this is not compared with: the next one counts as the first.
const AGE_MAX: Duration = Duration::from_secs(120);
/// Maximum number of bytes read of `/proc/⟨pid⟩/stat`; the kernel's line has less than 400.
const STAT_BYTES_MAX: usize = 1024;

/// CPU and memory use of one process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::server) struct ProcessUsage {
    /// CPU time since the previous sample, in thousandths of one CPU. `None`: this is the first sample.
    pub(in crate::server) cpu_permille: Option<u64>,
    /// CPU time since the process was started, in milliseconds.
    pub(in crate::server) cpu_millis: u64,
    /// Resident memory in bytes.
    pub(in crate::server) memory: u64,
}

/// One sample of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct UsageSample {
    at: Tick,
    /// Start time of the process according to the kernel. It tells processes with the same PID apart.
    began: u64,
    /// CPU time so far, in clock ticks.
    ticks: u64,
    usage: ProcessUsage,
    /// How many samples in a row were the same.
    quiet: u32,
}

impl UsageSample {
    /// The age at which it is refreshed, if not all processes can be sampled each time.
    fn refresh_age(&self) -> Duration {
        let factor = 1_u32.checked_shl(self.quiet).unwrap_or(u32::MAX);
        AGE_MIN.saturating_mul(factor).min(QUIET_AGE_MAX)
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
    /// When old samples may be refreshed again.
    next_refresh: Option<Tick>,
}

impl UsageSampler {
    /// Returns the use of the processes `pids` by their last samples. Reads /proc on a helper thread.
    pub(in crate::server) async fn sample_usage(
        self: &Arc<Self>,
        pids: Vec<i32>,
    ) -> HashMap<i32, ProcessUsage> {
        let sampler = self.clone();
        run_blocking(move || sampler.sample_pids(&pids, read_stat))
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

    fn sample_pids(
        &self,
        pids: &[i32],
        read: impl Fn(i32) -> Option<ProcStat>,
    ) -> HashMap<i32, ProcessUsage> {
        let mut inner = self.lock();
        let now = sys::now().mono;
        let wanted: HashSet<i32> = pids.iter().copied().collect();
        inner.last.retain(|pid, _| wanted.contains(pid));
        let mut due: Vec<i32> = pids
            .iter()
            .copied()
            .filter(|pid| !inner.last.contains_key(pid))
            .take(FIRST_MAX)
            .collect();
        if inner
            .next_refresh
            .is_none_or(|again| age(again, now) >= AGE_MIN)
        {
            inner.next_refresh = Some(now);
            let takes_turns = pids.len() > AGAIN_MAX;
            let refresh_age = |sample: &UsageSample| match takes_turns {
                true => sample.refresh_age(),
                false => AGE_MIN,
            };
            let mut old: Vec<(Tick, i32)> = inner
                .last
                .iter()
                .filter(|(_, sample)| age(sample.at, now) >= refresh_age(sample))
                .map(|(&pid, sample)| (sample.at, pid))
                .collect();
            old.sort_unstable();
            due.extend(old.into_iter().take(AGAIN_MAX).map(|(_, pid)| pid));
        }
        for pid in due {
            match read(pid) {
                Some(stat) => {
                    let sample = next_sample(&stat, inner.last.get(&pid));
                    inner.last.insert(pid, sample);
                }
                None => {
                    inner.last.remove(&pid);
                }
            }
        }
        let samples = inner.last.iter();
        samples.map(|(&pid, sample)| (pid, sample.usage)).collect()
    }
}

fn age(at: Tick, now: Tick) -> Duration {
    Duration::from_nanos(now.nanos_since(at))
}

/// The fields read from `/proc/⟨pid⟩/stat`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct ProcStat {
    /// Start time.
    began: u64,
    /// CPU time so far, in clock ticks.
    ticks: u64,
    /// Resident pages.
    pages: u64,
}

fn next_sample(stat: &ProcStat, last: Option<&UsageSample>) -> UsageSample {
    let at = sys::now().mono;
    let (page_bytes, ticks_per_second) = sys::page_and_tick_sizes();
    let cpu_permille = last
        .filter(|sample| sample.began == stat.began && age(sample.at, at) < AGE_MAX)
        .and_then(|sample| {
            let used = stat.ticks.saturating_sub(sample.ticks);
            permille(used, ticks_per_second, at.nanos_since(sample.at))
        });
    let memory = stat.pages.saturating_mul(page_bytes);
    let is_same = |last: &&UsageSample| {
        last.began == stat.began && last.ticks == stat.ticks && last.usage.memory == memory
    };
    UsageSample {
        quiet: last
            .filter(is_same)
            .map_or(0, |last| (last.quiet + 1).min(u32::BITS)),
        at,
        began: stat.began,
        ticks: stat.ticks,
        usage: ProcessUsage {
            cpu_permille,
            cpu_millis: stat.ticks.saturating_mul(1000) / ticks_per_second,
            memory,
        },
    }
}

fn permille(ticks: u64, ticks_per_second: u64, nanos: u64) -> Option<u64> {
    let used = u128::from(ticks) * 1_000_000_000_000 / u128::from(ticks_per_second);
    u64::try_from(used.checked_div(u128::from(nanos))?).ok()
}

fn read_stat(pid: i32) -> Option<ProcStat> {
    let mut text = [0; STAT_BYTES_MAX];
    let mut file = std::fs::File::open(format!("/proc/{pid}/stat")).ok()?;
    // The kernel returns the line in one read.
    let length = file.read(&mut text).ok()?;
    parse_stat(&text[..length])
}

/// # Source
/// proc_pid_stat(5).
fn parse_stat(stat: &[u8]) -> Option<ProcStat> {
    // The name is in parentheses and may contain anything, also parentheses.
    let end = stat.iter().rposition(|&byte| byte == b')')?;
    let rest = std::str::from_utf8(stat.get(end + 1..)?).ok()?;
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    // Fields are counted from 1; `rest` starts with the third.
    let number = |n: usize| fields.get(n - 3)?.parse::<u64>().ok();
    Some(ProcStat {
        began: number(22)?,
        ticks: number(14)? + number(15)?,
        pages: number(24)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stat_is_parsed_for_any_process_name() {
        let line = b"7 (a) b (c) S 1 7 7 0 -1 4194304 100 0 0 0 12 30 0 0 20 0 1 0 5000 9000000 250 18446744073709551615\n";
        let stat = ProcStat {
            began: 5000,
            ticks: 42,
            pages: 250,
        };
        assert_eq!(parse_stat(line), Some(stat));
        assert_eq!(parse_stat(b"7 (a) S 1"), None);
        assert_eq!(parse_stat(b""), None);
    }

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
        let first = sampler.sample_pids(&[own, i32::MAX], read_stat);
        assert!(first[&own].memory > 100_000, "{first:?}");
        assert_eq!(first[&own].cpu_permille, None, "one sample has no span");
        assert!(!first.contains_key(&i32::MAX));
        assert_eq!(
            sampler.sample_pids(&[own], read_stat),
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
        let stat = ProcStat {
            began: 1,
            ticks: 7,
            pages: 1,
        };
        let mut last = next_sample(&stat, None);
        for seconds in [1.5, 3.0, 6.0, 12.0, 16.0, 16.0] {
            assert_eq!(last.refresh_age(), Duration::from_secs_f64(seconds));
            last = next_sample(&stat, Some(&last));
        }
        for _ in 0..40 {
            last = next_sample(&stat, Some(&last));
        }
        assert_eq!(last.refresh_age(), QUIET_AGE_MAX);
        let awake = ProcStat { ticks: 8, ..stat };
        assert_eq!(next_sample(&awake, Some(&last)).refresh_age(), AGE_MIN);
    }

    #[test]
    fn many_processes_are_sampled_in_turn() {
        let stat = ProcStat {
            began: 1,
            ticks: 0,
            pages: 1,
        };
        let asked = std::cell::RefCell::new(Vec::new());
        let read = |pid| {
            asked.borrow_mut().push(pid);
            Some(stat)
        };
        let sampler = UsageSampler::default();
        let pids: Vec<i32> = (1..=2 * i32::try_from(AGAIN_MAX).expect("fits")).collect();
        assert_eq!(
            sampler.sample_pids(&pids, read).len(),
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
            sampler.sample_pids(&pids, read).len(),
            pids.len(),
            "all are known"
        );
        let mut again = asked.take();
        again.sort_unstable();
        assert_eq!(again, pids[AGAIN_MAX..]);
        assert_eq!(sampler.sample_pids(&pids, read).len(), pids.len());
        assert_eq!(asked.take().len(), 0, "only once in a while");
    }
}
