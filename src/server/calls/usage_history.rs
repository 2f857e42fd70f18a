//! CPU and memory of processes in the last hour, for the small curves on their pages.
//!
//! A daemon that nobody looks at must not wake up, so nothing is sampled then. A process is sampled every [`INTERVAL`]
//! while its page or the status page is open, and for [`WATCHED_FOR`] after somebody has looked at its details. ADR 38.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use super::process_list::{list_processes, usage_targets};
use super::process_usage::{ProcessUsage, UsageSampler, UsageTarget};
use crate::api::{Caller, ProcessView};
use crate::control::ControlHandle;
use crate::domain::Tick;
use crate::sys;

/// Time between two samples of a process.
pub(in crate::server) const INTERVAL: Duration = Duration::from_secs(30);
/// Minimum time between two looks at the samples that open pages take. They come every two seconds, and each look costs a search
/// for every process.
const RECORD_EVERY: Duration = Duration::from_secs(10);
/// How long a process is sampled after somebody has looked at its details.
const WATCHED_FOR: Duration = Duration::from_secs(3600);
/// The samples of a process: one hour.
const SAMPLES_MAX: usize = 120;
/// Maximum number of processes with samples. One has 2 KiB, so all of them 1 MiB.
const PROCESSES_MAX: usize = 512;
/// Maximum number of processes that are sampled because of a look at their details. Beyond it, the one that was looked at
/// first is given up.
const WATCHED_MAX: usize = 64;

/// The use of a process at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::server) struct PastUsage {
    pub(in crate::server) at: Tick,
    /// CPU since the previous sample, in thousandths of one CPU. `None`: there is no previous one.
    pub(in crate::server) permille: Option<u32>,
    /// Memory in KiB.
    pub(in crate::server) kib: u32,
}

/// The samples of processes, by `group:process`.
#[derive(Debug, Default)]
pub(in crate::server) struct UsageHistory {
    inner: Mutex<HistoryState>,
    /// Its deltas of CPU time are its own, because other users of a sampler ask at other times.
    sampler: Arc<UsageSampler>,
    /// Whether the task runs.
    is_running: AtomicBool,
}

#[derive(Debug, Default)]
struct HistoryState {
    samples: HashMap<String, VecDeque<PastUsage>>,
    /// When somebody last looked at the details of a process.
    watched: HashMap<String, Tick>,
    /// When the samples of a page were added last.
    recorded: Option<Tick>,
}

impl UsageHistory {
    fn lock(&self) -> MutexGuard<'_, HistoryState> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The samples of a process, the oldest first. From now on it is sampled for [`WATCHED_FOR`]. `stop`: whether the
    /// server stops.
    pub(in crate::server) fn look(
        self: &Arc<Self>,
        name: &str,
        control: &ControlHandle,
        stop: &watch::Receiver<bool>,
    ) -> Vec<PastUsage> {
        let samples = self.lock().look(name, sys::now().mono);
        if !self.is_running.swap(true, Ordering::Relaxed) {
            tokio::spawn(sample_watched(self.clone(), control.clone(), stop.clone()));
        }
        samples
    }

    /// The present use of processes.
    pub(in crate::server) async fn sample_now(
        &self,
        targets: Vec<UsageTarget>,
    ) -> HashMap<i32, ProcessUsage> {
        self.sampler.sample_some(targets).await
    }

    /// Adds samples that a page has taken anyway, once in [`RECORD_EVERY`].
    pub(in crate::server) fn record(
        &self,
        views: &[ProcessView],
        usages: &HashMap<i32, ProcessUsage>,
    ) {
        let now = sys::now().mono;
        let mut inner = self.lock();
        let is_early = |last: Tick| now.nanos_since(last) < nanos(RECORD_EVERY);
        if inner.recorded.is_some_and(is_early) {
            return;
        }
        inner.recorded = Some(now);
        inner.record(views, usages, now);
    }
}

impl HistoryState {
    fn look(&mut self, name: &str, now: Tick) -> Vec<PastUsage> {
        if !self.watched.contains_key(name) && self.watched.len() >= WATCHED_MAX {
            let oldest = self.watched.iter().min_by_key(|(_, at)| **at);
            if let Some(oldest) = oldest.map(|(name, _)| name.clone()) {
                self.watched.remove(&oldest);
            }
        }
        self.watched.insert(name.to_owned(), now);
        let samples = self.samples.get(name);
        samples.map_or_else(Vec::new, |samples| samples.iter().copied().collect())
    }

    fn record(&mut self, views: &[ProcessView], usages: &HashMap<i32, ProcessUsage>, now: Tick) {
        let is_old = |at: Tick, age: Duration| now.nanos_since(at) > nanos(age);
        self.samples.retain(|_, samples| {
            samples
                .back()
                .is_some_and(|last| !is_old(last.at, WATCHED_FOR))
        });
        for view in views {
            let Some(usage) = usages.get(&view.pid) else {
                continue;
            };
            let name = format!("{}:{}", view.group, view.name);
            let has_room = self.samples.len() < PROCESSES_MAX;
            let samples = match self.samples.get_mut(&name) {
                Some(samples) => samples,
                None if has_room => self.samples.entry(name).or_default(),
                None => continue,
            };
            // Other samples may come a little early.
            let is_due = samples
                .back()
                .is_none_or(|last| is_old(last.at, INTERVAL / 10 * 9));
            if !is_due {
                continue;
            }
            samples.push_back(PastUsage {
                at: now,
                permille: usage.tree_permille.map(narrow),
                kib: narrow(usage.tree_memory / 1024),
            });
            let surplus = samples.len().saturating_sub(SAMPLES_MAX);
            samples.drain(..surplus);
        }
    }

    /// The processes that are still watched.
    fn watched(&mut self, now: Tick) -> Vec<String> {
        self.watched
            .retain(|_, at| now.nanos_since(*at) <= nanos(WATCHED_FOR));
        self.watched.keys().cloned().collect()
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

fn narrow(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// Samples the watched processes as long as there are any.
async fn sample_watched(
    history: Arc<UsageHistory>,
    control: ControlHandle,
    mut stop: watch::Receiver<bool>,
) {
    loop {
        let watched = history.lock().watched(sys::now().mono);
        if watched.is_empty() {
            break;
        }
        let Ok(mut views) = list_processes(&control, &Caller::DAEMON).await else {
            break;
        };
        views.retain(|view| watched.contains(&format!("{}:{}", view.group, view.name)));
        let usages = history.sample_now(usage_targets(&views)).await;
        history.record(&views, &usages);
        tokio::select! {
            () = tokio::time::sleep(INTERVAL) => {}
            _ = stop.wait_for(|stop| *stop) => break,
        }
    }
    history.sampler.forget();
    history.is_running.store(false, Ordering::Relaxed);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ProcessName;
    use crate::server::calls::process_members::tests::cat;

    fn named(name: &str) -> ProcessView {
        ProcessView {
            name: ProcessName::parse(name).expect("valid"),
            ..cat()
        }
    }

    fn at(seconds: u64) -> Tick {
        Tick(seconds * 1_000_000_000)
    }

    #[test]
    fn samples_are_bounded_and_spaced() {
        let usage = ProcessUsage {
            cpu_permille: None,
            cpu_millis: 0,
            memory: 0,
            tree_permille: Some(250),
            tree_memory: 2048,
        };
        let usages: HashMap<i32, ProcessUsage> = [(7, usage)].into();
        let mut state = HistoryState::default();
        let view = named("p");
        for seconds in 0..10_000 {
            state.record(std::slice::from_ref(&view), &usages, at(seconds));
        }
        let samples = state.look("cat:p", at(10_000));
        assert_eq!(samples.len(), SAMPLES_MAX);
        let last = samples.last().expect("samples");
        assert_eq!((last.permille, last.kib), (Some(250), 2));
        assert!(samples.windows(2).all(|pair| {
            let gap = pair[1].at.nanos_since(pair[0].at);
            (27_000_000_000..=30_000_000_000).contains(&gap)
        }));
        for number in 0..600 {
            let view = named(&format!("q{number}"));
            state.record(&[view], &usages, at(10_001));
        }
        assert_eq!(state.samples.len(), PROCESSES_MAX);
        // An hour without a request.
        state.record(&[], &usages, at(13_700));
        assert!(state.samples.is_empty());
    }

    #[test]
    fn processes_are_watched_for_an_hour() {
        let mut state = HistoryState::default();
        for number in 0..=WATCHED_MAX as u64 {
            assert_eq!(state.look(&format!("g:{number}"), at(number)), []);
        }
        let watched = state.watched(at(100));
        assert_eq!(watched.len(), WATCHED_MAX);
        assert!(!watched.contains(&"g:0".to_owned()));
        assert_eq!(state.watched(at(3_664)), ["g:64"]);
        assert_eq!(state.watched(at(3_665)).len(), 0);
    }
}
