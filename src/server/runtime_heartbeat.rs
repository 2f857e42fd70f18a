//! The heartbeat of the server's runtime. It is idle while the runtime is parked. A runtime that is not parked for long may
//! only have much to do, so it is probed: a task that it does not poll in time is what proves that it is stuck.

use std::cell::RefCell;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::runtime::{Builder, Handle};

use crate::heartbeat::{Heartbeat, Heartbeats, Overdue};

/// How long the runtime may be at work before it is probed.
const PROBE_AFTER: Duration = Duration::from_secs(10);
/// How long the probe may wait for its turn. Every task that was ready before it has one turn meanwhile.
const PROBE_WITHIN: Duration = Duration::from_secs(20);

thread_local! {
    /// Of a thread that reads files for the runtime.
    static HELPER: RefCell<Option<Heartbeat>> = const { RefCell::new(None) };
}

/// The heartbeats of one runtime, as its hooks reach them.
#[derive(Clone, Default)]
pub(super) struct RuntimeHeartbeat(Arc<Mutex<Option<RuntimeBeats>>>);

struct RuntimeBeats {
    /// From unparking to parking.
    awake: Heartbeat,
    /// From the probe's being sent to its being polled.
    probe: Heartbeat,
}

impl RuntimeHeartbeat {
    fn lock(&self) -> MutexGuard<'_, Option<RuntimeBeats>> {
        // Nothing panics while it holds the lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a runtime tell when it parks, and its helper threads that they are there.
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
            // A file on a dead mount is no fault of the thread that reads it, so only its end is watched.
            .on_thread_start(move || {
                HELPER.set(Some(heartbeats.register_end("server-files")));
            })
            .on_thread_stop(|| {
                HELPER.take();
            });
    }

    /// Begins, on the thread that is about to run the runtime.
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
                // The next stretch of work begins here.
                beats.awake.busy();
            }
        });
    }

    /// Ends, before the thread does.
    pub(super) fn stop(&self) {
        self.lock().take();
    }
}
