//! Writes the last output of an instance whose process has ended, and closes its pipes and logs.

use std::time::{Duration, Instant};

use super::Reactor;
use crate::domain::{Channel, InstanceId};
use crate::effects::{OutputEffect, OutputOutcome};
use crate::output::instance_io::{CHANNELS, DrainState, close_stdin, index, shut, unpoll_pipe};
use crate::output::job::StreamAct;
use crate::output::{OutputCommand, OutputReport};
use crate::sys;

/// How long the log of an exited instance may wait for a slow reader. Then the rest is dropped.
const DRAIN_WAIT: Duration = Duration::from_millis(if cfg!(test) { 500 } else { 5000 });

impl Reactor {
    /// Reads what the pipes hold at this moment, then closes them. It does not wait for end-of-file: a grandchild may
    /// hold the pipe open or never stop writing.
    pub(in crate::output) fn drain(&mut self, place: u32) {
        let Some(run) = &mut self.runs[place as usize] else {
            return;
        };
        let instance = run.instance;
        close_stdin(&self.poller, run);
        if run.drain_asked.is_none() {
            run.drain_asked = Some(Instant::now());
            self.draining.push(place);
        }
        if run.busy {
            run.queue
                .push_back(OutputCommand::Effect(OutputEffect::Drain(instance)));
            if run.slow || self.stalls.is_used_up(run.devices) {
                self.tell_end(place);
            }
            return;
        }
        if run.draining.is_none() {
            let mut left = [0; 2];
            for channel in CHANNELS {
                unpoll_pipe(&self.poller, run, channel);
                run.reads[index(channel)].reset();
                let pipe = run.pipes[index(channel)].as_ref();
                left[index(channel)] = pipe.map_or(0, |pipe| sys::unread(pipe).unwrap_or(1));
            }
            run.draining = Some(DrainState {
                by: Instant::now() + DRAIN_WAIT,
                left,
                is_read: false,
            });
            self.drain_on(place);
        }
        for channel in CHANNELS {
            self.update_poll(place, channel);
        }
    }

    /// Continues a drain with its next step.
    pub(in crate::output) fn drain_on(&mut self, place: u32) {
        let Some(run) = &mut self.runs[place as usize] else {
            return;
        };
        let Some(draining) = run.draining else { return };
        for channel in CHANNELS {
            if run.pipes[index(channel)].is_some() && draining.left[index(channel)] > 0 {
                return self.start(place, StreamAct::Read(channel));
            }
        }
        for channel in CHANNELS {
            if self.end_stream(place, channel) {
                return;
            }
        }
        if let Some(run) = &mut self.runs[place as usize]
            && let Some(draining) = &mut run.draining
        {
            draining.is_read = true;
        }
    }

    /// Ends a stream after its last read. Returns true if the capture scanner still holds bytes that must be written
    /// first.
    pub(in crate::output) fn end_stream(&mut self, place: u32, channel: Channel) -> bool {
        let Some(run) = &mut self.runs[place as usize] else {
            return false;
        };
        if let Some(stream) = &mut run.streams[index(channel)] {
            if stream.has_capture() {
                self.start(place, StreamAct::WriteRest(channel));
                return true;
            }
            stream.finish(Vec::new(), &mut self.shared);
        }
        shut(&self.poller, run, channel, &mut self.shared);
        false
    }

    /// Reports the instance as drained, once. Its last bytes may still wait for a log that hangs.
    pub(in crate::output) fn tell_end(&mut self, place: u32) {
        if let Some(run) = &mut self.runs[place as usize]
            && !std::mem::replace(&mut run.told, true)
        {
            let last = run.streams.iter().flatten();
            let last = last.filter_map(|stream| stream.last_bytes()).next();
            if let Some(data) = last.filter(|data| !data.is_empty()) {
                (self.shared.report)(OutputReport::Outcome(OutputOutcome::LastStderr {
                    instance: run.instance,
                    data: data.into(),
                }));
            }
            (self.shared.report)(OutputReport::Outcome(OutputOutcome::Drained(run.instance)));
        }
    }

    /// Closes the logs of an instance, unless a job has them; the job's end closes them then.
    pub(in crate::output) fn close(&mut self, place: u32) {
        if self.runs[place as usize]
            .as_ref()
            .is_some_and(|run| !run.busy)
        {
            self.start(place, StreamAct::Close);
        }
    }

    /// Drains an instance that the core no longer tracks. Reports nothing.
    pub(in crate::output) fn abandon(&mut self, place: u32) {
        if let Some(run) = &mut self.runs[place as usize] {
            run.told = true;
            if run.busy {
                // The queued commands name the old instance; no new instance has its id.
                run.queue.clear();
            }
        }
        self.drain(place);
    }

    /// Drops a queued start that waits for the drain of the previous instance.
    pub(super) fn call_off(&mut self, instance: InstanceId) {
        let is_its = |command: &OutputCommand| match command {
            OutputCommand::Effect(OutputEffect::Prepare(of, ..))
            | OutputCommand::Effect(OutputEffect::PrepareNext(of, ..)) => *of == instance,
            _ => false,
        };
        for &place in &self.draining {
            if let Some(run) = &mut self.runs[place as usize] {
                run.queue.retain(|command| !is_its(command));
            }
        }
    }
}
