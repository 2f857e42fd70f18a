//! Tracks which file systems hang, and limits how many threads each may block.
//!
//! A device is identified by its `st_dev` once a log on it is open. Before that, the directory of a log identifies it,
//! because asking for the device may hang too.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::domain::LogPaths;

/// Maximum number of threads that one device may block. Further work for it is parked until one of them returns.
pub(super) const SHARE: u32 = 4;
/// After this time a hanging job is logged.
pub(super) const TOLD_AFTER: Duration = Duration::from_secs(if cfg!(test) { 1 } else { 5 });

/// What a job on files works on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum StallSubject {
    /// The logs of the instance at this index of the reactor's table.
    InstanceId(u32),
    /// The activity log.
    Activity,
    /// Logs of processes that do not run.
    Paths,
}

/// A running job on files.
#[derive(Debug)]
struct HangingCall {
    devices: [u64; 2],
    subject: StallSubject,
    /// Since when the reactor goes on without it. `None`: the owner of the reactor runs it.
    apart: Option<Instant>,
    told: bool,
}

/// The running jobs, and the devices that they block.
#[derive(Debug, Default)]
pub(super) struct Stalls {
    /// Indexed by thread number.
    calls: Vec<Option<HangingCall>>,
    /// The number of threads that each device blocks.
    waiting: BTreeMap<u64, u32>,
    /// The device of each directory, or a placeholder number while the device is unknown.
    directories: BTreeMap<PathBuf, u64>,
    unknown: u64,
}

/// Numbers above this are placeholders (`st_dev` uses only 32 bits).
const UNKNOWN: u64 = 1 << 63;

impl Stalls {
    /// Returns the devices of the logs. 0: there is no log.
    pub(super) fn devices_of(&mut self, paths: &LogPaths) -> [u64; 2] {
        [&paths.stdout, &paths.stderr].map(|path| {
            let directory = path.as_deref().and_then(Path::parent);
            directory.map_or(0, |directory| self.device_of(directory))
        })
    }

    pub(super) fn device_of(&mut self, directory: &Path) -> u64 {
        if let Some(&device) = self.directories.get(directory) {
            return device;
        }
        self.unknown += 1;
        let device = UNKNOWN | self.unknown;
        self.directories.insert(directory.to_owned(), device);
        device
    }

    /// Records the device of an open log for its directory.
    pub(super) fn learn(&mut self, log: &Path, device: u64) {
        if let Some(directory) = log.parent()
            && self.directories.get(directory) != Some(&device)
        {
            self.directories.insert(directory.to_owned(), device);
        }
    }

    /// Whether a device blocks as many threads as it may.
    pub(super) fn is_used_up(&self, devices: [u64; 2]) -> bool {
        let used_up = |device: &u64| {
            self.waiting
                .get(device)
                .is_some_and(|&count| count >= SHARE)
        };
        devices.iter().any(used_up)
    }

    /// Records that a thread begins a job. `apart`: the reactor goes on meanwhile.
    pub(super) fn begin(
        &mut self,
        thread: usize,
        subject: StallSubject,
        devices: [u64; 2],
        apart: bool,
    ) {
        if self.calls.len() <= thread {
            self.calls.resize_with(thread + 1, || None);
        }
        self.calls[thread] = Some(HangingCall {
            devices,
            subject,
            apart: None,
            told: false,
        });
        if apart {
            self.set_apart(thread);
        }
    }

    /// Records that the reactor goes on without the threads that are in a job. Returns what these jobs work on.
    pub(super) fn take_over(&mut self) -> Vec<StallSubject> {
        let is_owned = |call: &HangingCall| call.apart.is_none();
        let threads = 0..self.calls.len();
        let owned = threads.filter(|&thread| self.calls[thread].as_ref().is_some_and(is_owned));
        let owned: Vec<usize> = owned.collect();
        for &thread in &owned {
            self.set_apart(thread);
        }
        let calls = owned
            .into_iter()
            .filter_map(|thread| self.calls[thread].as_ref());
        calls.map(|call| call.subject).collect()
    }

    fn set_apart(&mut self, thread: usize) {
        let Some(Some(call)) = self.calls.get_mut(thread) else {
            return;
        };
        call.apart = Some(Instant::now());
        for device in distinct(call.devices) {
            *self.waiting.entry(device).or_default() += 1;
        }
    }

    /// Records that a job is done. `None`: the owner of the reactor did it. Otherwise: how long the reactor went on
    /// without it, and whether its hang was logged.
    pub(super) fn end(&mut self, thread: usize) -> Option<(Duration, bool)> {
        let call = self.calls.get_mut(thread)?.take()?;
        let since = call.apart?;
        for device in distinct(call.devices) {
            if let Some(count) = self.waiting.get_mut(&device) {
                *count -= 1;
                if *count == 0 {
                    self.waiting.remove(&device);
                }
            }
        }
        Some((since.elapsed(), call.told))
    }

    /// Returns jobs that hang for [`TOLD_AFTER`], each once.
    pub(super) fn take_untold(&mut self) -> Vec<StallSubject> {
        let is_due = |call: &&mut HangingCall| {
            let late = |since: Instant| since.elapsed() >= TOLD_AFTER;
            !call.told && call.apart.is_some_and(late)
        };
        let due = self.calls.iter_mut().flatten().filter(is_due);
        due.map(|call| {
            call.told = true;
            call.subject
        })
        .collect()
    }

    /// When [`Stalls::take_untold`] has its next result. `None`: no job hangs.
    pub(super) fn next_untold(&self) -> Option<Instant> {
        let untold = self.calls.iter().flatten().filter(|call| !call.told);
        let since = untold.filter_map(|call| call.apart).min()?;
        Some(since + TOLD_AFTER)
    }
}

fn distinct([one, other]: [u64; 2]) -> impl Iterator<Item = u64> {
    let other = if other == one { 0 } else { other };
    [one, other].into_iter().filter(|&device| device != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(stdout: &str) -> LogPaths {
        LogPaths {
            stdout: Some(Path::new(stdout).into()),
            stderr: None,
        }
    }

    #[test]
    fn a_device_costs_a_bounded_number_of_threads() {
        let mut stalls = Stalls::default();
        let (nfs, disk) = (
            stalls.devices_of(&paths("/nfs/a.log")),
            stalls.devices_of(&paths("/var/log/a.log")),
        );
        assert_ne!(nfs, disk);
        assert_eq!(nfs, stalls.devices_of(&paths("/nfs/b.log")));
        for thread in 0..SHARE as usize {
            assert!(!stalls.is_used_up(nfs));
            stalls.begin(thread, StallSubject::InstanceId(7), nfs, false);
            assert!(!stalls.is_used_up(nfs));
            assert_eq!(stalls.take_over(), [StallSubject::InstanceId(7)]);
        }
        assert!(stalls.is_used_up(nfs));
        assert!(!stalls.is_used_up(disk));
        assert!(stalls.end(0).is_some());
        assert!(!stalls.is_used_up(nfs));
    }

    #[test]
    fn an_expected_wait_is_no_stall() {
        let mut stalls = Stalls::default();
        let disk = stalls.devices_of(&paths("/var/log/a.log"));
        stalls.begin(0, StallSubject::Activity, disk, false);
        assert_eq!(stalls.next_untold(), None);
        assert!(stalls.end(0).is_none());
    }

    #[test]
    fn a_directory_is_on_the_device_of_its_logs() {
        let mut stalls = Stalls::default();
        stalls.learn(Path::new("/a/x.log"), 5);
        stalls.learn(Path::new("/b/x.log"), 5);
        let both = LogPaths {
            stdout: Some(Path::new("/a/y.log").into()),
            stderr: Some(Path::new("/b/y.log").into()),
        };
        assert_eq!(stalls.devices_of(&both), [5, 5]);
        stalls.begin(0, StallSubject::Paths, [5, 5], true);
        assert_eq!(stalls.waiting[&5], 1, "one thread waits, for both");
    }
}
