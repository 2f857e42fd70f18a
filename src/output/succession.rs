//! How the output threads leave their instances to a successor, and take over those of a predecessor.

use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use super::handover::{self, Adoption, Estate, Remains};
use super::job::Act;
use super::ledger::Unsettled;
use super::reactor::Reactor;
use super::run::{CHANNELS, Run, index, remove_pipes};
use super::stdin::Stdin;
use crate::domain::Heirloom;
use crate::sys::SharedBuffer;

/// How long a full socket of a log may hold the hand-over up.
pub(super) const FLUSH_WAIT: Duration = Duration::from_millis(100);

impl Reactor {
    /// Puts everything down. Nothing is read from now on, and what is held back goes along.
    pub(super) fn hand_over(&mut self) -> Estate {
        let mut estate = Estate::default();
        for place in self.places.values().copied().collect::<Vec<_>>() {
            let is_begun = |run: &Run| run.reading || run.drain_asked.is_some();
            let Some(mut run) = self.runs[place as usize].take_if(|run| is_begun(run)) else {
                // Its process was never made; the successor begins that attempt anew.
                self.discard(place);
                continue;
            };
            self.places.remove(&run.instance);
            remove_pipes(&self.poller, &mut run);
            if run.busy {
                self.leave_hanging(&run, &mut estate);
            }
            let remains = self.remains(run, &mut estate);
            estate.instances.push(remains);
        }
        self.draining.clear();
        self.todo.clear();
        self.parked.clear();
        estate
    }

    /// A job with the streams of this instance hangs. The threads end with us; what it has read is in its ledger.
    fn leave_hanging(&mut self, run: &Run, estate: &mut Estate) {
        let mut is_found = false;
        for ledger in &self.ledgers {
            let buffer = ledger.try_clone().and_then(SharedBuffer::open);
            if let Ok(mut buffer) = buffer
                && let Ok(Some(unsettled)) = Unsettled::find(&mut buffer)
                && unsettled.instance == run.instance
            {
                estate.unsettled.push(unsettled);
                is_found = true;
            }
        }
        if !is_found {
            let name = run.name.clone();
            self.shared.log(crate::domain::Line::LogHangsAtEnd { name });
        }
    }

    fn remains(&mut self, run: Run, estate: &mut Estate) -> Remains {
        let instance = run.instance;
        let is_ending = run.drain_asked.is_some();
        let (pipe, queue) = run.stdin.into_parts();
        if let Some(pipe) = pipe.and_then(owned) {
            estate
                .descriptors
                .insert(Heirloom::Stdin(instance).name(), pipe);
        }
        for (channel, pipe) in CHANNELS.into_iter().zip(run.pipes) {
            // The fd holder's copies and a job that hangs have it too. `None` to be had: it goes on without.
            if let Some(pipe) = pipe
                && let Some(pipe) = owned(pipe)
            {
                let name = handover::pipe(instance, channel).name();
                estate.descriptors.insert(name, pipe);
            }
        }
        let mut streams = [None, None];
        for (channel, stream) in CHANNELS.into_iter().zip(run.streams) {
            streams[index(channel)] = stream.map(|stream| stream.hand_over(&mut self.shared));
        }
        Remains {
            instance,
            is_ending,
            stdin: queue,
            streams,
        }
    }

    /// Takes an instance over.
    pub(super) fn adopt(&mut self, mut adoption: Adoption) {
        let (instance, spec) = (adoption.instance, adoption.spec.clone());
        let place = self.seat(instance, &spec, &adoption.logs);
        let mut is_ending = adoption.is_ending;
        let mut queue = Vec::new();
        if let Some(remains) = &mut adoption.remains {
            is_ending |= remains.is_ending;
            queue = std::mem::take(&mut remains.stdin);
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
        self.start(place, Act::Adopt(Box::new(adoption)));
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
