//! Applies the results of jobs on files to the reactor.

use std::cmp::Reverse;
use std::time::{Duration, Instant};

use nix::errno::Errno as Nix;

use super::prepare::spawn_error;
use super::{READ_RETRY, Reactor, when};
use crate::domain::{Channel, Line};
use crate::effects::{OutputEffect, OutputOutcome};
use crate::output::instance_io::{
    CHANNELS, FdRole, Streams, close_stdin, index, is_waiting, remove_pipes, settle_stdin, token,
    unpoll_pipe,
};
use crate::output::job::{LongRotation, NextStep, OutputJobDone, OutputJobOutcome, StreamAct};
use crate::output::open_streams::Opening;
use crate::output::read_buffer::ReadBuffer;
use crate::output::stalls::TOLD_AFTER;
use crate::output::stream::Part;
use crate::output::{OutputCommand, OutputReport};
use crate::sys::safe_open::errno;

/// If a helper's job on a slow file is shorter than this, the file works again.
const QUICK: Duration = Duration::from_millis(5);

impl Reactor {
    /// Applies the result of a job of this thread. `read_buffer`: the buffer that the thread reads into. Returns
    /// whether the owner of the reactor may have new work that it does not know of.
    pub(in crate::output) fn finish(
        &mut self,
        thread: usize,
        done: OutputJobDone,
        read_buffer: &mut ReadBuffer,
    ) -> bool {
        let hung = self.stalls.end(thread);
        if hung.is_some() {
            // That device may have a free thread again.
            self.todo.extend(self.parked.drain(..));
        }
        let is_quick = hung.is_none_or(|(time, _)| time < QUICK);
        self.shared.log_all(done.lines);
        self.replaced.extend(done.replaced);
        for closed in done.closed {
            if !self.closed.iter().any(|waiting| waiting.is_same(&closed)) {
                self.closed.push_back(closed);
            }
        }
        match done.result {
            OutputJobOutcome::Activity(activity, cleared) => {
                self.shared.activity.put_back(activity);
                self.activity_date = self.shared.activity.next_date().map(when);
                self.slow_activity &= !is_quick;
                for (ticket, result) in cleared {
                    (self.shared.report)(OutputReport::Outcome(OutputOutcome::Answered {
                        ticket,
                        result,
                    }));
                }
                if let Some((time, _)) = hung
                    && time >= TOLD_AFTER
                {
                    let seconds = time.as_secs();
                    self.shared.log(Line::DaemonLogAnswers { seconds });
                }
            }
            OutputJobOutcome::CreatedLogs => {}
            OutputJobOutcome::Deleted => self.deletes = false,
            OutputJobOutcome::Tidied => self.tidies = false,
            OutputJobOutcome::RemovedLogs(ticket, result) => {
                (self.shared.report)(OutputReport::Outcome(OutputOutcome::Answered {
                    ticket,
                    result,
                }));
            }
            OutputJobOutcome::Streams {
                place,
                streams,
                then,
            } => {
                let told = hung.filter(|&(_, told)| told).map(|(time, _)| time);
                self.return_streams(place, streams, (is_quick, told));
                self.continue_with(place, then, read_buffer);
                self.replay(place);
            }
        }
        hung.is_some()
    }

    /// Returns the streams of an instance from a job.
    fn return_streams(
        &mut self,
        place: u32,
        streams: Streams,
        (is_quick, told): (bool, Option<Duration>),
    ) {
        let Some(run) = &mut self.runs[place as usize] else {
            return;
        };
        run.streams = streams;
        run.busy = false;
        run.slow &= !is_quick;
        let generation = run.generation;
        for channel in CHANNELS {
            if let Some(stream) = &mut run.streams[index(channel)]
                && stream.queued
            {
                // The stream's turn at the journal may have passed during the job.
                let token = token(place, generation, FdRole::Pipe(channel));
                stream.queued = self.queue.contains(&token);
            }
            if let Some(stream) = &mut run.streams[index(channel)] {
                let next = stream.sinks.next_date();
                if next != stream.next_date {
                    stream.next_date = next;
                    let token = token(place, generation, FdRole::Sink(channel));
                    self.dates
                        .extend(next.map(|date| Reverse((when(date), token))));
                }
            }
        }
        if let Some(time) = told {
            let (name, seconds) = (run.name.clone(), time.as_secs());
            self.shared.log(Line::LogAnswers { name, seconds });
        }
    }

    fn continue_with(&mut self, place: u32, then: NextStep, read_buffer: &mut ReadBuffer) {
        match then {
            NextStep::Read(channel, result, parts) => {
                self.have_read((place, channel), result, parts, read_buffer)
            }
            NextStep::Grown(channel, capacity) => {
                if let Some(run) = &mut self.runs[place as usize] {
                    run.reads[index(channel)].grown(capacity);
                }
                self.update_poll_both(place);
            }
            NextStep::Flushed | NextStep::Reopened => self.update_poll_both(place),
            NextStep::WroteRest(channel, parts) => {
                let Some(run) = &mut self.runs[place as usize] else {
                    return;
                };
                if let Some(stream) = &mut run.streams[index(channel)] {
                    stream.finish(parts, &mut self.shared);
                }
                // The capture has ended, so this closes the stream.
                self.end_stream(place, channel);
                self.drain_on(place);
                self.update_poll_both(place);
            }
            NextStep::Rotated(rotation) => {
                self.rotating.retain(|&device| device != rotation.device);
                self.after_read(place, rotation.channel, rotation.result);
            }
            NextStep::Opened(opening, Ok(())) => self.opened(place, *opening),
            NextStep::Opened(opening, Err(error)) => {
                let spec = &opening.spec;
                if let Some(instance) = self.discard(place) {
                    let report = OutputReport::Outcome(OutputOutcome::PrepareFailed(
                        instance,
                        spawn_error(spec, error),
                    ));
                    (self.shared.report)(report);
                }
            }
            NextStep::Adopted(published) => {
                self.learn_device(place);
                if let Some(run) = &mut self.runs[place as usize] {
                    for (channel, data, parts) in published {
                        if let Some(stream) = &mut run.streams[index(channel)] {
                            stream.publish(&data, parts, &mut self.shared);
                        }
                    }
                    run.report_lines(&self.shared);
                    settle_stdin(&self.poller, place, run);
                    for stream in run.streams.iter_mut().flatten() {
                        stream.send_waiting(&mut self.shared);
                    }
                }
                self.update_poll_both(place);
            }
            NextStep::Cleared(ticket, result) => {
                (self.shared.report)(OutputReport::Outcome(OutputOutcome::Answered {
                    ticket,
                    result,
                }));
                self.update_poll_both(place);
            }
            NextStep::Closed => {
                self.tell_end(place);
                self.discard(place);
            }
        }
    }

    fn have_read(
        &mut self,
        (place, channel): (u32, Channel),
        result: nix::Result<usize>,
        parts: Option<Vec<Part>>,
        read_buffer: &mut ReadBuffer,
    ) {
        let Some(run) = &mut self.runs[place as usize] else {
            return read_buffer.mark_flushed();
        };
        if let (Ok(count), Some(stream)) = (result, &mut run.streams[index(channel)])
            && count > 0
        {
            run.read_failed[index(channel)] = false;
            stream.publish(read_buffer.data(count), parts, &mut self.shared);
            let is_ready = stream.report_lines(&self.shared);
            read_buffer.mark_flushed();
            let is_rotation_due = stream.sinks.is_rotation_due();
            if is_ready {
                run.end_ready_watch();
            }
            if is_rotation_due {
                let device = run.devices[index(channel)];
                return self.start_rotation(
                    place,
                    LongRotation {
                        channel,
                        device,
                        result,
                    },
                );
            }
        }
        self.after_read(place, channel, result);
    }

    /// Handles a finished read: schedules the next one.
    fn after_read(&mut self, place: u32, channel: Channel, result: nix::Result<usize>) {
        let Some(run) = &mut self.runs[place as usize] else {
            return;
        };
        let generation = run.generation;
        if let Some(draining) = &mut run.draining {
            let left = &mut draining.left[index(channel)];
            *left = match result {
                Ok(0) => 0,
                Ok(count) => left.saturating_sub(count),
                Err(Nix::EINTR) => *left,
                Err(_) => 0,
            };
            self.drain_on(place);
            return self.update_poll_both(place);
        }
        match result {
            Ok(0) => {
                self.end_stream(place, channel);
                self.update_poll_both(place);
            }
            Ok(count) => {
                let now = Instant::now();
                let reads = &mut run.reads[index(channel)];
                let pause = match self.pauses {
                    true => reads.after_read(now, count),
                    false => None,
                };
                // A pipe that is full because of its slow log would only hold more late data if it grew.
                let wants_to_grow = reads.wants_to_grow(count) && !is_waiting(run);
                if let Some(pause) = pause {
                    self.pause(place, channel, now + pause);
                }
                if wants_to_grow {
                    return self.grow_pipe(place, channel);
                }
                // Both, since the other pipe may have left the set while a job hung.
                self.update_poll_both(place);
            }
            Err(Nix::EAGAIN | Nix::EINTR) => {
                run.reads[index(channel)].reset();
                self.update_poll_both(place);
            }
            Err(error) => {
                // epoll would report the descriptor again at once. Retry later, and never give up (Supervisor#1554).
                if !std::mem::replace(&mut run.read_failed[index(channel)], true)
                    && let Some(stream) = &run.streams[index(channel)]
                {
                    let line = stream.failed_line(errno(error));
                    self.shared.log(line);
                }
                unpoll_pipe(&self.poller, run, channel);
                let token = token(place, generation, FdRole::Pipe(channel));
                self.resting.push((Instant::now() + READ_RETRY, token));
            }
        }
    }

    /// Grows a pipe that its writer fills, unless too many pipes are grown.
    fn grow_pipe(&mut self, place: u32, channel: Channel) {
        if self.may_grow_pipe() {
            return self.start(place, StreamAct::Grow(channel));
        }
        if let Some(run) = &mut self.runs[place as usize] {
            run.reads[index(channel)].grown(None);
        }
        self.update_poll_both(place);
    }

    fn update_poll_both(&mut self, place: u32) {
        for channel in CHANNELS {
            self.update_poll(place, channel);
        }
    }

    fn opened(&mut self, place: u32, opening: Opening) {
        self.learn_device(place);
        let Some(run) = &self.runs[place as usize] else {
            return;
        };
        for channel in CHANNELS {
            let stream = run.streams[index(channel)].as_ref();
            if let Some(line) = stream.and_then(|stream| stream.sinks.not_rotated())
                && self
                    .told
                    .insert((run.instance.slot, channel == Channel::Stderr))
            {
                self.shared.log(line);
            }
        }
        (self.shared.report)(OutputReport::Prepared(run.instance, opening.ends));
    }

    /// Records the devices of the logs that were opened.
    fn learn_device(&mut self, place: u32) {
        let Some(run) = &mut self.runs[place as usize] else {
            return;
        };
        for channel in CHANNELS {
            if let Some(stream) = &run.streams[index(channel)]
                && let (Some(device), Some(path)) = (stream.sinks.device(), stream.sinks.log_path())
            {
                run.devices[index(channel)] = device;
                self.stalls.learn(&path, device);
            }
        }
    }

    /// Runs the commands that were queued while the instance was busy. If it becomes busy again, they are queued again.
    fn replay(&mut self, place: u32) {
        let Some(run) = &mut self.runs[place as usize] else {
            return;
        };
        for command in std::mem::take(&mut run.queue) {
            match command {
                // By its index, since its generation may belong to another instance by now.
                OutputCommand::Effect(OutputEffect::Drain(_)) => self.drain(place),
                OutputCommand::Effect(OutputEffect::ReopenLogs) => self.reopen(place),
                command => self.on_command(command),
            }
        }
    }

    /// Removes an instance from the table. Its logs are closed, or were never opened. Returns its id.
    pub(in crate::output) fn discard(&mut self, place: u32) -> Option<crate::domain::InstanceId> {
        let mut run = self.runs[place as usize].take()?;
        if self.places.get(&run.instance) == Some(&place) {
            self.places.remove(&run.instance);
        }
        self.free.push(place);
        self.draining.retain(|&other| other != place);
        close_stdin(&self.poller, &mut run);
        remove_pipes(&self.poller, &mut run);
        for stream in run.streams.iter_mut().flatten() {
            stream.disconnect(&mut self.shared);
        }
        if !self.queue.is_empty() {
            let ours = CHANNELS.map(|channel| token(place, run.generation, FdRole::Pipe(channel)));
            self.queue.retain(|token| !ours.contains(token));
        }
        // They may be for the next instance.
        for command in run.queue {
            self.on_command(command);
        }
        Some(run.instance)
    }
}
