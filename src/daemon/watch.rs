//! What the daemon does when one of its threads has ended or is stuck: it aborts. A daemon without one of its threads looks
//! alive and does half of its work; one that is gone is started again and takes over what runs.

use std::path::{Path, PathBuf};
use std::sync::Once;
use std::sync::mpsc::channel;
use std::time::Duration;

use super::fatal::{Fatal, internal};
use crate::domain::{Bytes, Level, Line};
use crate::heartbeat::{Heartbeats, ThreadProblem};
use crate::output::Activity;
use crate::sys;

/// How long the last words may take. The log may be what is stuck.
const LAST_WORDS_WITHIN: Duration = Duration::from_secs(1);

/// The heartbeats of one run. Dropping it ends their monitor.
pub(super) struct Watch(pub(super) Heartbeats);

impl Watch {
    /// Starts the monitor.
    ///
    /// # Errors
    /// It cannot be started.
    pub(super) fn begin(logfile: PathBuf, level: Level) -> Result<Self, Fatal> {
        Heartbeats::start_with(
            move |trouble| abort(trouble, &logfile, level),
            release_memory,
        )
        .map(Self)
        .map_err(internal("cannot start the heartbeat thread"))
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.0.stop();
    }
}

/// Gives memory back when all threads are idle; the first time, that of the start's code too.
fn release_memory() {
    static STARTED: Once = Once::new();
    STARTED.call_once(sys::unmap_code);
    sys::trim_heap();
}

/// Says why on standard error and, if it can be done in time, in the activity log; then ends the process with SIGABRT.
fn abort(trouble: &ThreadProblem, logfile: &Path, level: Level) {
    let line = Line::ThreadFailed {
        trouble: trouble.to_string(),
    };
    let logfile = logfile.to_owned();
    let (done, said) = channel::<()>();
    // Each of the two may block: a full pipe, a dead mount.
    let thread = std::thread::Builder::new().spawn(move || {
        eprintln!("supervisord: {line}");
        // Opened again: the one that is open belongs to a thread that may be the one that has ended.
        if let Ok(mut activity) = Activity::open(&logfile, Bytes(0), 0, level, false) {
            activity.write(sys::now().wall, &line);
            activity.flush();
        }
        drop(done);
    });
    if thread.is_ok() {
        // Said, or given up on: the end is the same.
        let _ = said.recv_timeout(LAST_WORDS_WITHIN);
    }
    std::process::abort();
}
