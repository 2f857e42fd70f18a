//! Diagnostics of the daemon itself: `tracing` events with their spans, for the journal or standard error. They never
//! reach the activity log, and lines of the activity log are no diagnostics.
//!
//! They are off by default. Then no subscriber, no thread and no queue exist, and a call site costs one load. When they
//! are on, the thread with the event copies it to a bounded queue (`capture`) and never waits: an event that finds the
//! queue full is counted. One thread writes the copies (`writer`), because journald's socket and standard error can
//! block.

mod capture;
mod record;
mod writer;

use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tracing::Dispatch;
use tracing_subscriber::layer::SubscriberExt as _;

use capture::{CaptureLayer, Gate};
use writer::{Message, Sink};

use crate::domain::DiagnosticsFilter;

/// The environment variable that overrides the key `diagnostics`.
pub const VARIABLE: &str = "SUPERVISORD_DIAGNOSTICS";

/// Maximum number of events that wait for the thread.
const QUEUE_MAX: usize = 4096;
/// How long [`flush`] waits for the thread.
const FLUSH_WITHIN: Duration = Duration::from_millis(500);

/// Where diagnostics go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Destination {
    /// The journal; standard error if there is no journald.
    Journal,
    /// Standard error.
    Stderr,
}

impl Destination {
    /// Returns the destination of this process: the journal if standard error is the journal, or leads nowhere because
    /// the daemon is in the background.
    #[must_use]
    pub fn of_daemon(is_in_background: bool) -> Self {
        match is_in_background || is_stderr_journal() {
            true => Self::Journal,
            false => Self::Stderr,
        }
    }
}

/// Whether standard error is the journal: JOURNAL_STREAM has its device and inode.
///
/// # Source
/// systemd.exec(5), `$JOURNAL_STREAM`.
fn is_stderr_journal() -> bool {
    let Ok(stderr) = std::fs::metadata("/proc/self/fd/2") else {
        return false;
    };
    let own = format!("{}:{}", stderr.dev(), stderr.ino());
    std::env::var("JOURNAL_STREAM").is_ok_and(|stream| stream == own)
}

/// What exists once diagnostics have been on.
struct Running {
    gate: Arc<Gate>,
    queue: SyncSender<Message>,
}

static RUNNING: OnceLock<Running> = OnceLock::new();

/// The filter in the environment variable. `None`: it is not set.
///
/// # Errors
/// Why its value is wrong.
pub fn from_environment() -> Option<Result<DiagnosticsFilter, String>> {
    let text = std::env::var_os(VARIABLE)?;
    let filter = DiagnosticsFilter::parse(&text.to_string_lossy());
    Some(filter.map_err(|error| format!("{VARIABLE}: {error}")))
}

/// Records what `filter` lets pass from now on. The first filter that is not off starts the thread and decides the
/// destination; later ones only change what passes. Call it when the daemon is in the background.
///
/// # Errors
/// The thread cannot be started, or the process has another subscriber.
pub fn apply(filter: &DiagnosticsFilter, destination: Destination) -> io::Result<()> {
    if let Some(running) = RUNNING.get() {
        running.gate.set(filter.clone());
        return Ok(());
    }
    if filter.is_off() {
        return Ok(());
    }
    let (queue, messages) = sync_channel(QUEUE_MAX);
    let gate = Arc::new(Gate::new(filter.clone()));
    let (sink, problem) = Sink::open(destination);
    writer::start(messages, gate.clone(), sink)?;
    let layer = CaptureLayer::new(gate.clone(), queue.clone());
    let dispatch = Dispatch::new(tracing_subscriber::registry().with(layer));
    tracing::dispatcher::set_global_default(dispatch).map_err(io::Error::other)?;
    // This is the only call that sets RUNNING, so it cannot fail.
    let _ = RUNNING.set(Running { gate, queue });
    if let Some(error) = problem {
        tracing::error!(error, "no journald: diagnostics go to standard error");
    }
    Ok(())
}

/// Waits until the thread has written what was recorded so far, at most half a second. Call it before the process ends
/// or executes another image.
pub fn flush() {
    let Some(running) = RUNNING.get() else {
        return;
    };
    let (done, written) = sync_channel(1);
    // A full queue or a thread that has ended: there is nothing to wait for.
    if running.queue.try_send(Message::Flush(done)).is_ok() {
        let _ = written.recv_timeout(FLUSH_WITHIN);
    }
}
