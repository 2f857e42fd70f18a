//! Stores the last runs of programs with schedules in the state directory, one file per process. A thread writes them,
//! because a disk may block; it exists only after a first run. A newer record of a process replaces one that was not
//! written yet, so the queue is bounded by the number of processes.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::actor::{Engine, Workers};
use crate::domain::{Line, ProgramRuns, QualifiedName, percent_encoded};
use crate::output::OutputHandle;
use crate::sys::{read_small_file, replace_small_file};

/// The directory in the state directory.
const DIRECTORY: &str = "runs";
/// The end of the names of files.
const SUFFIX: &str = ".json";
/// Maximum number of files that are read.
const FILES_MAX: usize = 10_000;
/// Maximum size of a file in bytes. 50 runs with the longest results have 13 KiB.
const FILE_BYTES_MAX: usize = 64 << 10;
/// Maximum length of a file name in bytes.
const NAME_BYTES_MAX: usize = 240;
/// The characters of names that file names have as they are.
const KEPT: &[u8] = b"-_.";
/// Records are gathered for this time, so that a program that runs every second is written once a second.
const GATHER: Duration = Duration::from_secs(1);
/// How long the exit of the daemon waits until everything is written.
const FLUSH_WAIT: Duration = Duration::from_secs(2);

/// The content of a file.
#[derive(Serialize, Deserialize)]
struct StoredRuns {
    process: QualifiedName,
    runs: ProgramRuns,
}

/// Reads all stored runs. Files that cannot be read are skipped with a line.
#[must_use]
pub fn read_runs(state_directory: &Path) -> (Vec<(QualifiedName, ProgramRuns)>, Vec<Line>) {
    let directory = state_directory.join(DIRECTORY);
    let (mut found, mut lines) = (Vec::new(), Vec::new());
    let entries = std::fs::read_dir(&directory)
        .into_iter()
        .flatten()
        .flatten();
    for entry in entries.take(FILES_MAX) {
        let path = entry.path();
        if !path.to_string_lossy().ends_with(SUFFIX) {
            continue;
        }
        let read = read_small_file(&path, FILE_BYTES_MAX).map_err(|error| error.to_string());
        let parsed = read.and_then(|bytes| {
            let stored: Result<StoredRuns, _> = serde_json::from_slice(&bytes);
            stored.map_err(|error| error.to_string())
        });
        match parsed {
            Ok(stored) => found.push((stored.process, stored.runs)),
            Err(error) => lines.push(Line::RunsUnreadable {
                path: path.display().to_string(),
                error,
            }),
        }
    }
    (found, lines)
}

impl Engine {
    /// Has the last runs of a process stored, if there is a state directory.
    pub(super) fn store_runs(
        &mut self,
        process: QualifiedName,
        runs: Arc<ProgramRuns>,
        workers: &Workers,
    ) {
        if let Some(run_store) = &mut self.run_store {
            run_store.store(process, runs, &workers.output);
        }
    }
}

/// The thread that writes, as the engine sees it.
#[derive(Debug)]
pub struct RunStore {
    directory: PathBuf,
    /// `None`: no thread was needed yet.
    shared: Option<Arc<Shared>>,
}

#[derive(Debug, Default)]
struct Shared {
    queue: Mutex<Queue>,
    /// Wakes the thread.
    wake: Condvar,
    /// Wakes the end of the daemon.
    done: Condvar,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: BTreeMap<QualifiedName, Arc<ProgramRuns>>,
    is_closing: bool,
    is_done: bool,
}

impl Shared {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        // No code panics while it holds the lock.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl RunStore {
    /// Stores runs in this state directory.
    #[must_use]
    pub fn new(state_directory: &Path) -> Self {
        Self {
            directory: state_directory.join(DIRECTORY),
            shared: None,
        }
    }

    /// Has the runs of a process written soon. `output`: where a failure is logged, once.
    pub(super) fn store(
        &mut self,
        process: QualifiedName,
        runs: Arc<ProgramRuns>,
        output: &OutputHandle,
    ) {
        if self.shared.is_none() {
            let shared = Arc::new(Shared::default());
            let (of_thread, directory) = (shared.clone(), self.directory.clone());
            let output = output.clone();
            let thread = std::thread::Builder::new().name("runs".to_owned());
            if thread
                .spawn(move || write_until_closed(&of_thread, &directory, &output))
                .is_err()
            {
                // The next run tries again.
                return;
            }
            self.shared = Some(shared);
        }
        if let Some(shared) = &self.shared {
            shared.queue().waiting.insert(process, runs);
            shared.wake.notify_one();
        }
    }
}

impl Drop for RunStore {
    /// Waits until everything is written, for a limited time.
    fn drop(&mut self) {
        let Some(shared) = &self.shared else {
            return;
        };
        let mut queue = shared.queue();
        queue.is_closing = true;
        shared.wake.notify_one();
        let waited = shared
            .done
            .wait_timeout_while(queue, FLUSH_WAIT, |queue| !queue.is_done);
        drop(waited);
    }
}

fn write_until_closed(shared: &Shared, directory: &Path, output: &OutputHandle) {
    let mut has_failed = false;
    loop {
        let queue = shared.queue();
        let is_idle = |queue: &mut Queue| queue.waiting.is_empty() && !queue.is_closing;
        let mut queue = shared
            .wake
            .wait_while(queue, is_idle)
            .unwrap_or_else(PoisonError::into_inner);
        let waiting = std::mem::take(&mut queue.waiting);
        let is_closing = queue.is_closing;
        drop(queue);
        for (process, runs) in waiting {
            let path = file_of(directory, &process);
            let result = write_runs(directory, &path, process, &runs);
            if let Err(error) = &result
                && !has_failed
            {
                output.log(Line::RunsUnwritable {
                    path: path.display().to_string(),
                    error: error.to_string(),
                });
            }
            has_failed = result.is_err();
        }
        let queue = shared.queue();
        if is_closing && queue.waiting.is_empty() {
            break;
        }
        let gathered = shared
            .wake
            .wait_timeout_while(queue, GATHER, |queue| !queue.is_closing);
        drop(gathered);
    }
    shared.queue().is_done = true;
    shared.done.notify_all();
}

fn file_of(directory: &Path, process: &QualifiedName) -> PathBuf {
    let mut name = format!(
        "{}:{}",
        percent_encoded(process.group.as_str(), KEPT),
        percent_encoded(process.process.as_str(), KEPT)
    );
    // Encoded names are ASCII.
    name.truncate(NAME_BYTES_MAX);
    directory.join(name + SUFFIX)
}

/// Writes the file of a process.
fn write_runs(
    directory: &Path,
    path: &Path,
    process: QualifiedName,
    runs: &ProgramRuns,
) -> io::Result<()> {
    match std::fs::create_dir(directory) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    let runs = runs.clone();
    let bytes = serde_json::to_vec(&StoredRuns { process, runs })?;
    replace_small_file(path, &bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> QualifiedName {
        let process = crate::domain::ProcessName::expanded(text).expect("a name");
        QualifiedName {
            group: crate::domain::GroupName::from(&process),
            process,
        }
    }

    #[test]
    fn written_runs_are_read_back_and_bad_files_are_named() {
        let dir = std::env::temp_dir().join(format!("supervisord-runs-{}", std::process::id()));
        std::fs::create_dir_all(&dir).expect("made");
        let mut runs = ProgramRuns::default();
        runs.begin(5);
        runs.end(6, "exit status 0".to_owned());
        runs.last = Some(5);
        let below = dir.join(DIRECTORY);
        let names = ["backup", "ü b%c"].map(name);
        for process in &names {
            let path = file_of(&below, process);
            for _ in 0..2 {
                write_runs(&below, &path, process.clone(), &runs).expect("written");
            }
        }
        let long = name(&"x".repeat(255));
        assert!(write_runs(&below, &file_of(&below, &long), long.clone(), &runs).is_ok());
        std::fs::write(below.join("bad.json"), "{").expect("written");
        std::fs::write(below.join("other"), "").expect("written");
        let (mut found, lines) = read_runs(&dir);
        found.sort_by(|a, b| a.0.cmp(&b.0));
        let mut expected: Vec<_> = names.into_iter().chain([long]).collect();
        expected.sort();
        assert_eq!(found.len(), 3);
        for (found, process) in found.iter().zip(&expected) {
            assert_eq!((&found.0, &found.1), (process, &runs));
        }
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(lines[0].to_string().contains("bad.json"), "{}", lines[0]);
        assert!(read_runs(Path::new("/nonexistent")).0.is_empty());
        std::fs::remove_dir_all(&dir).expect("removed");
    }
}
