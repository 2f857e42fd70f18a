//! Helpers for the tests of `output`: temporary directories, and waiting with a limit.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Condvar, Mutex};
use std::time::{Duration, Instant};

/// A directory of its own, removed when dropped.
pub(crate) struct TempDir(PathBuf);

impl TempDir {
    pub(crate) fn new(what: &str) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!(
            "supervisord-{what}-{}-{}",
            std::process::id(),
            NEXT.fetch_add(1, Ordering::Relaxed)
        );
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path).expect("a new directory");
        Self(path)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub(crate) fn root(&self) -> &std::path::Path {
        &self.0
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Waits until `done`. The limit is for what hangs: a busy machine must not reach it.
pub(crate) fn eventually(what: &str, mut done: impl FnMut() -> bool) {
    let limit = Instant::now() + Duration::from_secs(60);
    while !done() {
        assert!(Instant::now() < limit, "in vain: {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

static HELD: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());
static RELEASED: Condvar = Condvar::new();

/// A file that hangs: writes and opens return when this value is dropped.
pub(crate) struct Held(PathBuf);

impl Held {
    pub(crate) fn new(path: PathBuf) -> Self {
        HELD.lock().expect("unpoisoned").insert(path.clone());
        Self(path)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        HELD.lock().expect("unpoisoned").remove(&self.0);
        RELEASED.notify_all();
    }
}

/// Blocks while this file hangs.
pub(crate) fn pass(path: &Path) {
    let mut held = HELD.lock().expect("unpoisoned");
    while held.contains(path) {
        held = RELEASED.wait(held).expect("unpoisoned");
    }
}
