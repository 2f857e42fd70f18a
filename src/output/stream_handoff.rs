//! Hands the instances over to the next daemon, and adopts those of a previous one.

use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::Arc;

use super::in_flight_log::UnflushedChunk;
use super::instance_io::{CHANNELS, InstanceIo, index, remove_pipes};
use super::job::StreamAct;
use super::output_state::{self, AdoptedStreams, InstanceState, OutputHandoff};
use super::reactor::Reactor;
use super::stdin::Stdin;
use crate::domain::FdName;
use crate::sys::SharedBuffer;

impl Reactor {
    /// Collects the state of all instances. From now on nothing is read; held bytes are part of the state.
    pub(super) fn hand_over(&mut self) -> OutputHandoff {
        let mut handoff = OutputHandoff::default();
        for place in self.places.values().copied().collect::<Vec<_>>() {
            let is_begun = |run: &InstanceIo| run.reading || run.drain_asked.is_some();
            let Some(mut run) = self.runs[place as usize].take_if(|run| is_begun(run)) else {
                // Its process was not started yet. The next daemon repeats that attempt.
                self.discard(place);
                continue;
            };
            self.places.remove(&run.instance);
            remove_pipes(&self.poller, &mut run);
            if run.is_in_job() {
                self.save_hanging(&run, &mut handoff);
            }
            let instance_state = self.instance_state(run, &mut handoff);
            handoff.state.instances.push(instance_state);
        }
        self.draining.clear();
        self.todo.clear();
        self.parked.clear();
        handoff
    }

    /// Saves the bytes of an instance whose job hangs. The job ends with the daemon, but its in-flight log has the
    /// bytes it read.
    fn save_hanging(&mut self, run: &InstanceIo, handoff: &mut OutputHandoff) {
        let mut is_found = false;
        for in_flight_log in &self.in_flight_logs {
            let buffer = in_flight_log.try_clone().and_then(SharedBuffer::open);
            if let Ok(mut buffer) = buffer
                && let Ok(Some(unflushed)) = UnflushedChunk::find(&mut buffer)
                && unflushed.instance == run.instance
            {
                handoff.state.unflushed.push(unflushed);
                is_found = true;
            }
        }
        if !is_found {
            let name = run.name.clone();
            self.shared.log(crate::domain::Line::LogHangsAtEnd { name });
        }
    }

    fn instance_state(&mut self, run: InstanceIo, handoff: &mut OutputHandoff) -> InstanceState {
        let instance = run.instance;
        let is_ending = run.drain_asked.is_some();
        let (pipe, queue) = run.stdin.into_parts();
        if let Some(pipe) = pipe.and_then(owned) {
            handoff.fds.insert(FdName::Stdin(instance).name(), pipe);
        }
        for (channel, pipe) in CHANNELS.into_iter().zip(run.pipes) {
            // The fd holder and a hanging job may have a duplicate too. If `owned` returns `None`, the next daemon goes
            // on without this pipe.
            if let Some(pipe) = pipe
                && let Some(pipe) = owned(pipe)
            {
                let name = output_state::pipe(instance, channel).name();
                handoff.fds.insert(name, pipe);
            }
        }
        let mut streams = [None, None];
        for (channel, stream) in CHANNELS.into_iter().zip(run.streams) {
            streams[index(channel)] = stream.map(|stream| stream.hand_over(&mut self.shared));
        }
        InstanceState {
            instance,
            is_ending,
            stdin: queue,
            streams,
        }
    }

    /// Adopts an instance of a previous daemon.
    pub(super) fn adopt(&mut self, mut adoption: AdoptedStreams) {
        let (instance, spec) = (adoption.instance, adoption.spec.clone());
        let place = self.insert(instance, &spec, &adoption.logs);
        let mut is_ending = adoption.is_ending;
        let mut queue = Vec::new();
        if let Some(instance_state) = &mut adoption.instance_state {
            is_ending |= instance_state.is_ending;
            queue = std::mem::take(&mut instance_state.stdin);
        }
        if let Some(run) = &mut self.runs[place as usize] {
            let [stdout, stderr] = adoption.pipes.each_mut().map(Option::take);
            run.pipes = [
                stdout.map(Arc::new),
                stderr.filter(|_| !spec.redirect_stderr).map(Arc::new),
            ];
            run.reading = true;
            if let Some(pipe) = adoption.stdin.take() {
                run.stdin = Stdin::new(pipe).with_queue(queue);
            }
        }
        self.start(place, StreamAct::Adopt(Box::new(adoption)));
        if is_ending {
            self.drain(place);
        }
    }
}

fn owned(pipe: Arc<OwnedFd>) -> Option<OwnedFd> {
    match Arc::try_unwrap(pipe) {
        Ok(pipe) => Some(pipe),
        Err(shared) => shared.as_fd().try_clone_to_owned().ok(),
    }
}
