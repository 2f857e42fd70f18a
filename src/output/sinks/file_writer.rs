//! Threads that write the files of lists. Each mounted file system has one, so that a file system that hangs blocks only
//! its own thread. The thread that reads a pipe waits for the writer, but not for long.

use std::collections::{BTreeMap, VecDeque};
use std::ffi::OsString;
use std::fmt::Debug;
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::sys::{Interest, Poller, ReadyFd, Waker};

/// A file that takes nothing for this time hangs: nobody waits for it any more.
pub(super) const HANGS_AFTER: Duration = Duration::from_secs(1);
/// Interval of attempts to write to a file that epoll cannot wait for, and to files of streams that have ended.
const RETRY: Duration = Duration::from_millis(20);
/// The token of the waker. The files that wait have the numbers below.
const WAKER: u64 = u64::MAX;

/// The state of the work on one file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WorkState {
    /// There is no work left.
    Done,
    /// The reader of the file is slow.
    Waits,
}

/// The work on one file.
pub(super) trait FileWork: Debug + Send + Sync {
    /// Does the work that is due. May block for as long as the file system does.
    fn perform(&self) -> WorkState;

    /// Waits in `poller` for room in the file. False: it cannot wait there.
    fn add_to(&self, poller: &Poller, token: u64) -> bool;

    /// Whether the stream of the file has ended, so that the wait is limited.
    fn has_ended(&self) -> bool;

    /// Ends the wait.
    fn remove_from(&self, poller: &Poller);
}

/// The thread of one file system.
#[derive(Debug)]
pub(super) struct FileWriter {
    inbox: Mutex<Inbox>,
    waker: Waker,
}

#[derive(Debug, Default)]
struct Inbox {
    due: VecDeque<Arc<dyn FileWork>>,
    /// Since when the thread does the present work. `None`: it waits for work.
    busy_since: Option<Instant>,
}

/// The writers by mount point.
static WRITERS: Mutex<BTreeMap<PathBuf, Arc<FileWriter>>> = Mutex::new(BTreeMap::new());

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl FileWriter {
    /// Returns the writer of the file system that has this file. `None`: there are no descriptors or no memory for a
    /// thread.
    pub(super) fn of(path: &Path) -> Option<Arc<Self>> {
        let mount = mount_point(path);
        let mut writers = lock(&WRITERS);
        if let Some(writer) = writers.get(&mount) {
            return Some(writer.clone());
        }
        let writer = Self::start().ok()?;
        writers.insert(mount, writer.clone());
        Some(writer)
    }

    fn start() -> std::io::Result<Arc<Self>> {
        let poller = Poller::new()?;
        let writer = Arc::new(Self {
            inbox: Mutex::default(),
            waker: Waker::new(&poller, WAKER)?,
        });
        let own = writer.clone();
        std::thread::Builder::new()
            .name("log-writer".to_owned())
            .spawn(move || own.run(poller))?;
        Ok(writer)
    }

    /// Queues work on a file.
    pub(super) fn queue(&self, work: Arc<dyn FileWork>) {
        lock(&self.inbox).due.push_back(work);
        self.waker.wake();
    }

    /// Has the thread look at all files that wait.
    pub(super) fn wake(&self) {
        self.waker.wake();
    }

    /// Whether the thread hangs.
    pub(super) fn hangs(&self) -> bool {
        let since = lock(&self.inbox).busy_since;
        since.is_some_and(|since| since.elapsed() >= HANGS_AFTER)
    }

    fn next(&self) -> Option<Arc<dyn FileWork>> {
        let mut inbox = lock(&self.inbox);
        let next = inbox.due.pop_front();
        inbox.busy_since = next.is_some().then(Instant::now);
        next
    }

    fn run(&self, mut poller: Poller) {
        // The files that wait for room, and whether epoll does.
        let mut waiting: BTreeMap<u64, (Arc<dyn FileWork>, bool)> = BTreeMap::new();
        let mut last = 0;
        loop {
            while let Some(work) = self.next() {
                if work.perform() == WorkState::Waits
                    && !waiting.values().any(|(other, _)| Arc::ptr_eq(other, &work))
                {
                    last += 1;
                    let is_polled = work.add_to(&poller, last);
                    waiting.insert(last, (work, is_polled));
                }
            }
            let is_retried = waiting
                .values()
                .any(|(work, is_polled)| !is_polled || work.has_ended());
            let mut ready: Vec<u64> = match poller.wait(is_retried.then_some(RETRY)) {
                Ok(events) => events.map(|ReadyFd { token, .. }| token).collect(),
                Err(_) => {
                    std::thread::sleep(RETRY);
                    Vec::new()
                }
            };
            self.waker.reset();
            let retried = waiting
                .iter()
                .filter(|(_, (work, is_polled))| !is_polled || work.has_ended());
            ready.extend(retried.map(|(&token, _)| token));
            for token in ready {
                if let Some((work, is_polled)) = waiting.remove(&token) {
                    if is_polled {
                        work.remove_from(&poller);
                    }
                    lock(&self.inbox).due.push_back(work);
                }
            }
        }
    }
}

/// Returns the mount point of the file system that has `path`, without asking the file system, which may hang.
fn mount_point(path: &Path) -> PathBuf {
    if cfg!(test) {
        // A file that hangs in one test must not stop other tests.
        return path.parent().unwrap_or(path).to_owned();
    }
    let mounts = std::fs::read("/proc/self/mountinfo").unwrap_or_default();
    // A relative path is in the directory of the daemon.
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    longest(&mounts, &path)
}

/// # Source
/// proc_pid_mountinfo(5): the fifth field is the mount point, with octal escapes.
fn longest(mounts: &[u8], path: &Path) -> PathBuf {
    let mut best = PathBuf::from("/");
    for line in mounts.split(|&byte| byte == b'\n') {
        if let Some(field) = line.split(|&byte| byte == b' ').nth(4) {
            let mount = PathBuf::from(OsString::from_vec(unescaped(field)));
            if path.starts_with(&mount) && mount.as_os_str().len() > best.as_os_str().len() {
                best = mount;
            }
        }
    }
    best
}

fn unescaped(field: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(field.len());
    let mut rest = field;
    while let [first, tail @ ..] = rest {
        rest = tail;
        let digit = |at: usize| tail.get(at).filter(|digit| (b'0'..=b'7').contains(digit));
        match (*first == b'\\').then(|| (digit(0), digit(1), digit(2))) {
            Some((Some(a), Some(b), Some(c))) => {
                out.push(((a - b'0') << 6) | ((b - b'0') << 3) | (c - b'0'));
                rest = &tail[3..];
            }
            _ => out.push(*first),
        }
    }
    out
}

/// What a file that epoll can wait for is registered for.
pub(super) const ROOM: Interest = Interest::Write;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn l07_each_file_system_has_its_own_thread() {
        let mounts = b"22 1 0:20 / / rw - ext4 /dev/sda rw\n\
            23 22 0:21 / /mnt/a\\040b rw - nfs x rw\n\
            24 22 0:22 / /mnt rw - tmpfs x rw\n";
        for (path, mount) in [
            ("/mnt/a b/x.log", "/mnt/a b"),
            ("/mnt/ab/x.log", "/mnt"),
            ("/mntx", "/"),
        ] {
            assert_eq!(longest(mounts, Path::new(path)), Path::new(mount), "{path}");
        }
        assert_eq!(longest(b"", Path::new("/x")), Path::new("/"));
    }
}
