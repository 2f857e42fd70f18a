//! Ends the output threads: at a stop, or by handing everything over to the next daemon.

use std::time::{Duration, Instant};

use super::{Reactor, ReactorEnd};
use crate::domain::Line;
use crate::output::instance_io::InstanceIo;
use crate::output::output_state::OutputHandoff;

/// How long the threads may take to write everything when the daemon stops.
pub(super) const STOP_WAIT: Duration = Duration::from_secs(1);
/// Extra time at the stop after the reactor has started to close logs that are still not written.
const GIVE_UP_WAIT: Duration = Duration::from_millis(200);
/// How long a full log socket may delay the handoff.
const FLUSH_WAIT: Duration = Duration::from_millis(100);

impl Reactor {
    /// Starts to drain everything, until [`STOP_WAIT`] is over.
    pub(super) fn stop(&mut self) {
        let by = Instant::now() + STOP_WAIT;
        self.ending = Some(ReactorEnd::Stop {
            by,
            gives_up: false,
        });
        for place in self.places.values().copied().collect::<Vec<_>>() {
            self.drain(place);
        }
    }

    /// Continues the exit of the threads. `None`: not finished. `Some`: finished, with the state for the next daemon,
    /// if any.
    pub(in crate::output) fn continue_ending(&mut self) -> Option<Option<OutputHandoff>> {
        let is_quiet = self.shared.activity.is_idle() && !self.shared.connections.is_waiting();
        let now = Instant::now();
        match self.ending.take()? {
            ReactorEnd::Stop { .. } if self.places.is_empty() && is_quiet => Some(None),
            ReactorEnd::Stop { by, gives_up } if by > now => {
                self.ending = Some(ReactorEnd::Stop { by, gives_up });
                None
            }
            ReactorEnd::Stop { gives_up: true, .. } => Some(None),
            ReactorEnd::Stop { .. } => {
                for place in self.places.values().copied().collect::<Vec<_>>() {
                    self.tell_lost(place);
                    self.close(place);
                }
                self.ending = Some(ReactorEnd::Stop {
                    by: now + GIVE_UP_WAIT,
                    gives_up: true,
                });
                None
            }
            ReactorEnd::HandOver { by } => {
                if by > now && self.runs.iter().flatten().any(InstanceIo::is_in_job) {
                    self.ending = Some(ReactorEnd::HandOver { by });
                    return None;
                }
                let handoff = self.hand_over();
                self.ending = Some(ReactorEnd::HandedOver {
                    by: now + FLUSH_WAIT,
                    handoff,
                });
                None
            }
            ReactorEnd::HandedOver { by, handoff } => {
                if by > now && !is_quiet {
                    self.ending = Some(ReactorEnd::HandedOver { by, handoff });
                    return None;
                }
                Some(Some(handoff))
            }
        }
    }

    /// Logs that a job on the logs of this instance hangs and that the daemon no longer waits for it.
    pub(in crate::output) fn tell_lost(&mut self, place: u32) {
        if let Some(run) = &self.runs[place as usize]
            && run.busy
        {
            let name = run.name.clone();
            self.shared.log(Line::LogHangsAtEnd { name });
        }
    }
}
