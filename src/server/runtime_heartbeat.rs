//! The heartbeat of the server's async runtime, which is idle while the runtime is parked. A runtime that does not
//! park for long may just have much to do. It is therefore probed: if it does not poll a new task in time, it is
//! stuck.

use std::cell::RefCell;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::runtime::{Builder, Handle};

use crate::heartbeat::{Heartbeat, Heartbeats, Overdue};

/// How long the runtime may run without parking before it is probed.
const PROBE_AFTER: Duration = Duration::from_secs(10);
/// How long the probe may wait to be polled. Every task that was ready before it is polled once in that time.
const PROBE_WITHIN: Duration = Duration::from_secs(20);

thread_local! {
    /// The heartbeat of a thread that reads files for the runtime.
    static HELPER: RefCell<Option<Heartbeat>> = const { RefCell::new(None) };
}

/// The heartbeats of one runtime, shared with the runtime's hooks.
#[derive(Clone, Default)]
pub(super) struct RuntimeHeartbeat(Arc<Mutex<Option<RuntimeBeats>>>);

struct RuntimeBeats {
    /// Busy from unparking to parking.
    awake: Heartbeat,
    /// Busy from sending the probe until it is polled.
    probe: Heartbeat,
}

impl RuntimeHeartbeat {
    fn lock(&self) -> MutexGuard<'_, Option<RuntimeBeats>> {
        // No code panics while it holds the lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Installs the hooks: the runtime reports when it parks and unparks, and its blocking threads register
    /// themselves.
    pub(super) fn install_hooks(&self, builder: &mut Builder, heartbeats: &Heartbeats) {
        let (parking, unparking) = (self.clone(), self.clone());
        let heartbeats = heartbeats.clone();
        builder
            .on_thread_park(move || {
                if let Some(beats) = &*parking.lock() {
                    beats.awake.idle();
                }
            })
            .on_thread_unpark(move || {
                if let Some(beats) = &*unparking.lock() {
                    beats.awake.busy();
                }
            })
            // A file on a dead mount may block this thread for long, so only the thread's end is watched.
            .on_thread_start(move || {
                HELPER.set(Some(heartbeats.register_end("server-files")));
            })
            .on_thread_stop(|| {
                HELPER.take();
            });
    }

    /// Registers the heartbeats. Call it on the thread that runs the runtime.
    pub(super) fn start(&self, heartbeats: &Heartbeats, runtime: &Handle) {
        let (pulse, runtime) = (self.clone(), runtime.clone());
        let call = move || pulse.send_probe(&runtime);
        let awake = heartbeats.register("server", PROBE_AFTER, Overdue::Call(Box::new(call)));
        let probe = heartbeats.register("server", PROBE_WITHIN, Overdue::Fatal);
        awake.busy();
        *self.lock() = Some(RuntimeBeats { awake, probe });
    }

    fn send_probe(&self, runtime: &Handle) {
        if let Some(beats) = &*self.lock() {
            beats.probe.busy();
        }
        let pulse = self.clone();
        runtime.spawn(async move {
            if let Some(beats) = &*pulse.lock() {
                beats.probe.idle();
                // The next busy interval starts here.
                beats.awake.busy();
            }
        });
    }

    /// Unregisters the heartbeats, before the thread ends.
    pub(super) fn stop(&self) {
        self.lock().take();
    }
}
