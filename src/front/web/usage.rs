//! What processes use of the machine, read from /proc when somebody looks, and never otherwise.

use std::collections::HashMap;
use std::io::Read as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::super::xmlrpc::apart;
use crate::domain::Tick;
use crate::sys;

/// Samples closer together than this are one: all pages share it.
const AGE_MIN: Duration = Duration::from_millis(1500);
/// What was sampled longer ago than this says nothing about now, so that the next sample begins anew.
const AGE_MAX: Duration = Duration::from_secs(120);
/// The most of `/proc/⟨pid⟩/stat` that is read, in bytes; the kernel's line has less than 400.
const STAT_BYTES_MAX: u64 = 1024;

/// What one process uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Usage {
    /// Thousandths of one processor since the sample before; none: this is its first.
    pub(super) cpu_permille: Option<u64>,
    /// Resident memory in bytes.
    pub(super) memory: u64,
}

/// What was read of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Sample {
    at: Tick,
    /// When it began, by the kernel: tells processes of one number apart.
    began: u64,
    /// Clock ticks of processor time so far.
    ticks: u64,
    usage: Usage,
}

/// The last sample of each process; none is kept of a process that was not asked for the last time.
#[derive(Debug, Default)]
pub(super) struct Sampler {
    last: Mutex<HashMap<i32, Sample>>,
}

impl Sampler {
    /// What the processes of `pids` use, by samples that are fresh. Reads on another thread.
    pub(super) async fn look(self: &Arc<Self>, pids: Vec<i32>) -> HashMap<i32, Usage> {
        let sampler = self.clone();
        apart(move || sampler.sample(&pids))
            .await
            .unwrap_or_default()
    }

    /// Forgets everything: nobody looks any more.
    pub(super) fn forget(&self) {
        // Poison means that reading panicked, which leaves the samples before.
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = HashMap::new();
    }

    fn sample(&self, pids: &[i32]) -> HashMap<i32, Usage> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let samples: HashMap<i32, Sample> = pids
            .iter()
            .filter_map(|&pid| Some((pid, next(pid, last.get(&pid))?)))
            .collect();
        let usages = samples
            .iter()
            .map(|(pid, sample)| (*pid, sample.usage))
            .collect();
        *last = samples;
        usages
    }
}

fn next(pid: i32, last: Option<&Sample>) -> Option<Sample> {
    let at = sys::now().mono;
    let age = |sample: &Sample| Duration::from_nanos(at.nanos_since(sample.at));
    if let Some(fresh) = last.filter(|sample| age(sample) < AGE_MIN) {
        return Some(*fresh);
    }
    let (page_bytes, ticks_per_second) = sys::units();
    let (began, ticks, pages) = read(pid)?;
    let cpu_permille = last
        .filter(|sample| sample.began == began && age(sample) < AGE_MAX)
        .and_then(|sample| {
            let used = ticks.saturating_sub(sample.ticks);
            permille(used, ticks_per_second, at.nanos_since(sample.at))
        });
    Some(Sample {
        at,
        began,
        ticks,
        usage: Usage {
            cpu_permille,
            memory: pages.saturating_mul(page_bytes),
        },
    })
}

fn permille(ticks: u64, ticks_per_second: u64, nanos: u64) -> Option<u64> {
    let used = u128::from(ticks) * 1_000_000_000_000 / u128::from(ticks_per_second);
    u64::try_from(used.checked_div(u128::from(nanos))?).ok()
}

/// When the process began, its processor time in ticks, and its resident pages.
fn read(pid: i32) -> Option<(u64, u64, u64)> {
    let mut text = Vec::with_capacity(512);
    let file = std::fs::File::open(format!("/proc/{pid}/stat")).ok()?;
    file.take(STAT_BYTES_MAX).read_to_end(&mut text).ok()?;
    fields(&text)
}

/// # Source
/// proc_pid_stat(5).
fn fields(stat: &[u8]) -> Option<(u64, u64, u64)> {
    // The name stands in brackets, and may hold anything, brackets too.
    let end = stat.iter().rposition(|&byte| byte == b')')?;
    let rest = std::str::from_utf8(stat.get(end + 1..)?).ok()?;
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    // Fields are counted from 1, and the first one here is the third.
    let number = |n: usize| fields.get(n - 3)?.parse::<u64>().ok();
    Some((number(22)?, number(14)? + number(15)?, number(24)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stat_is_read_whatever_the_name() {
        let line = b"7 (a) b (c) S 1 7 7 0 -1 4194304 100 0 0 0 12 30 0 0 20 0 1 0 5000 9000000 250 18446744073709551615\n";
        assert_eq!(fields(line), Some((5000, 42, 250)));
        assert_eq!(fields(b"7 (a) S 1"), None);
        assert_eq!(fields(b""), None);
    }

    #[test]
    fn shares_are_of_one_processor() {
        assert_eq!(permille(100, 100, 1_000_000_000), Some(1000));
        assert_eq!(permille(50, 100, 2_000_000_000), Some(250));
        assert_eq!(permille(1, 100, 0), None);
    }

    #[test]
    fn we_use_memory_and_are_sampled_once() {
        let own = i32::try_from(std::process::id()).expect("fits");
        let sampler = Sampler::default();
        let first = sampler.sample(&[own, i32::MAX]);
        assert!(first[&own].memory > 100_000, "{first:?}");
        assert_eq!(first[&own].cpu_permille, None, "one sample has no span");
        assert!(!first.contains_key(&i32::MAX));
        assert_eq!(sampler.sample(&[own]), first, "fresh enough");
        let samples = || sampler.last.lock().expect("whole").len();
        assert_eq!(samples(), 1);
        sampler.forget();
        assert_eq!(samples(), 0);
    }
}
