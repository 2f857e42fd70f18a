//! Aborts the daemon if one of its threads has exited or hangs. A daemon without one of its threads looks alive and
//! does only half of its work. After an abort the service manager starts a new daemon, which takes over the running
//! programs.

use std::path::{Path, PathBuf};
use std::sync::Once;
use std::sync::mpsc::channel;
use std::time::Duration;

use super::fatal::{Fatal, internal};
use crate::domain::{Bytes, Level, Line};
use crate::heartbeat::{Heartbeats, ThreadProblem};
use crate::output::Activity;
use crate::sys;

/// How long writing the final message may take. The log itself may be what hangs.
const LAST_WORDS_WITHIN: Duration = Duration::from_secs(1);

/// The heartbeats of one run. Dropping it stops the monitor.
pub(super) struct Watch(pub(super) Heartbeats);

impl Watch {
    /// Starts the monitor.
    ///
    /// # Errors
    /// The monitor cannot be started.
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

/// Returns free memory to the kernel when all threads are idle, and the first time also the code pages of the start.
fn release_memory() {
    static STARTED: Once = Once::new();
    STARTED.call_once(sys::unmap_code);
    sys::trim_heap();
}

/// Writes the reason to standard error and, if possible in time, to the activity log. Then it ends the process with
/// SIGABRT.
fn abort(trouble: &ThreadProblem, logfile: &Path, level: Level) {
    let line = Line::ThreadFailed {
        trouble: trouble.to_string(),
    };
    let logfile = logfile.to_owned();
    let (done, said) = channel::<()>();
    // Both writes may block, on a full pipe or a dead mount, so another thread does them.
    let thread = std::thread::Builder::new().spawn(move || {
        eprintln!("supervisord: {line}");
        // Open the log again, because the open one belongs to a thread that may have exited.
        if let Ok(mut activity) = Activity::open(&logfile, Bytes(0), 0, level, false) {
            activity.write(sys::now().wall, &line);
            activity.flush();
        }
        drop(done);
    });
    if thread.is_ok() {
        // Whether the message was written in time makes no difference.
        let _ = said.recv_timeout(LAST_WORDS_WITHIN);
    }
    std::process::abort();
}
