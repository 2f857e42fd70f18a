//! The state of the output threads: the pipes and logs of every process, and the commands of the engine.
//!
//! Each turn reads every ready descriptor once and handles a bounded number of commands, so that one flooding process
//! cannot starve the others. A pipe leaves the epoll set while its log waits for a slow reader.
//!
//! The reactor never touches a file. It queues work on files in `todo`; a thread does that work without the reactor's
//! lock (`output/job.rs`), and `finish.rs` applies the result. `hub.rs` decides which thread does what.
//!
//! A token names an instance, not a descriptor, and a descriptor leaves the epoll set before it is closed. Therefore an
//! event can never reach a descriptor or an instance that was created later (Supervisor#807).

mod commands;
mod drain;
mod ending;
mod finish;
mod jobs;
mod prepare;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::activity_queue::{ActivityQueue, Order};
use super::closed_logs::ClosedLogs;
use super::instance_io::{
    CHANNELS, FdRole, InstanceIo, close_stdin, index, is_waiting, settle_stdin, token, unpoll_pipe,
    unpoll_sink,
};
use super::job::{LongRotation, StreamAct};
use super::late_lines;
use super::output_state::OutputHandoff;
use super::sinks::Connections;
use super::stalls::{StallSubject, Stalls, TOLD_AFTER};
use super::stream::Shared;
use super::{Activity, OutputReport};
use crate::domain::{Channel, InstanceId, Line, LogPaths, OutputEvents, Wall};
use crate::fd_holder::FdStore;
use crate::sys::{self, Interest, Poller, ReadyFd};

/// Maximum number of pipes that are grown to [`READ_BYTES`](super::pipe_reads::READ_BYTES). It limits the kernel memory that programs can occupy and
/// leaves a part of the user's pipe quota free (/proc/sys/fs/pipe-user-pages-soft).
const GROWN_PIPES_MAX: usize = 64;
/// After this time the reactor reports an instance as drained although its log still lags. The rest is still written.
const TELL_AFTER: Duration = Duration::from_millis(50);
/// Delay before the next read of a pipe whose read failed.
const READ_RETRY: Duration = Duration::from_secs(1);
/// Interval of retries for descriptors that epoll cannot wait for.
pub(super) const RETRY: Duration = Duration::from_millis(50);

/// Interval of looks at a log that another thread writes.
const WRITER_RETRY: Duration = Duration::from_millis(5);

/// The epoll token of the journal's socket. No instance has this token.
const JOURNAL: u64 = u64::MAX - 1;

/// Queued work on files.
#[derive(Debug)]
pub(super) enum ReactorTask {
    /// Work on the streams of the instance at this index of [`Reactor::runs`]. The instance is busy until it is done.
    InstanceId(u32, StreamAct),
    CreateLogs(Vec<Arc<std::path::Path>>),
    RemoveLogs(crate::api::Ticket, LogPaths),
}

/// How the threads exit.
#[derive(Debug)]
pub(super) enum ReactorEnd {
    /// Write everything, until `by` at the latest.
    Stop { by: Instant, gives_up: bool },
    /// Hand everything over to the next daemon as soon as no job runs, or at `by`.
    HandOver { by: Instant },
    /// The state is collected. The activity log may still be written until `by`.
    HandedOver { by: Instant, handoff: OutputHandoff },
}

/// The state that the owner of the reactor works with.
pub(super) struct Reactor {
    pub(super) poller: Poller,
    pub(super) shared: Shared,
    pub(super) runs: Vec<Option<InstanceIo>>,
    pub(super) free: Vec<u32>,
    pub(super) places: BTreeMap<InstanceId, u32>,
    pub(super) generation: u32,
    /// Indexes of instances that are being drained.
    pub(super) draining: Vec<u32>,
    /// When to retry which token: pipes that are paused or whose read failed, and logs that epoll cannot wait for.
    pub(super) resting: Vec<(Instant, u64)>,
    /// Streams (slot, is stderr) whose log cannot rotate and whose warning is logged, so that not every spawn logs it.
    pub(super) told: std::collections::BTreeSet<(u32, bool)>,
    /// Tokens of streams that wait for the journal, in the order in which they may send.
    pub(super) queue: VecDeque<u64>,
    /// Work on files.
    pub(super) todo: VecDeque<ReactorTask>,
    /// Work of instances whose last job took long. Other threads than the owner do it.
    slow: VecDeque<ReactorTask>,
    /// Work on devices that hang.
    pub(super) parked: Vec<ReactorTask>,
    /// Rotations for other threads than the owner. Their instances are busy until the rotation is done.
    rotations: VecDeque<(u32, LongRotation)>,
    /// Devices on which a rotation runs. Each device has one rotation at a time.
    pub(super) rotating: Vec<u64>,
    /// Replaced backups that another thread deletes by closing them.
    pub(super) replaced: Vec<OwnedFd>,
    /// Logs with closed files that another thread compresses and removes.
    pub(super) closed: VecDeque<ClosedLogs>,
    /// Whether a thread does that.
    pub(super) tidies: bool,
    /// When the log of which token goes on to the file of another date.
    pub(super) dates: BinaryHeap<Reverse<(Instant, u64)>>,
    /// When the activity log goes on to the file of another date. `None`: never, or it is asked to.
    pub(super) activity_date: Option<Instant>,
    /// Whether a thread is deleting replaced backups.
    pub(super) deletes: bool,
    pub(super) stalls: Stalls,
    /// Whether the last job on the activity log took long.
    pub(super) slow_activity: bool,
    pub(super) ending: Option<ReactorEnd>,
    /// Number of descriptors that were ready in this turn.
    pub(super) ready: usize,
    /// Whether pipes may be paused. False if the kernel's epoll knows only timeouts of whole milliseconds.
    pub(super) pauses: bool,
    /// The in-flight logs of all threads. They hold what a hanging job has read.
    pub(super) in_flight_logs: Vec<OwnedFd>,
}

/// Longest wait for a date. The wall clock may be set, or the machine may sleep.
const DATE_WAIT: Duration = Duration::from_secs(300);

/// The moment at which a date begins, or an earlier one at which the clock is read again.
fn when(date: Wall) -> Instant {
    let wait = date.0.saturating_sub(sys::now().wall.0);
    let wait = Duration::from_nanos(wait.max(0).unsigned_abs());
    Instant::now() + wait.min(DATE_WAIT)
}

impl Reactor {
    pub(super) fn new(
        poller: Poller,
        activity: Activity,
        strip_ansi: bool,
        fd_store: Option<Arc<FdStore>>,
        report: Box<dyn Fn(OutputReport) + Send>,
    ) -> Self {
        Self {
            poller,
            activity_date: activity.next_date().map(when),
            shared: Shared {
                activity: ActivityQueue::new(activity),
                report,
                connections: Connections::new(),
                strip_ansi,
                fd_store,
                events: OutputEvents::default(),
            },
            runs: Vec::new(),
            free: Vec::new(),
            places: BTreeMap::new(),
            generation: 0,
            draining: Vec::new(),
            resting: Vec::new(),
            told: std::collections::BTreeSet::new(),
            queue: VecDeque::new(),
            todo: VecDeque::new(),
            slow: VecDeque::new(),
            parked: Vec::new(),
            rotations: VecDeque::new(),
            rotating: Vec::new(),
            replaced: Vec::new(),
            closed: VecDeque::new(),
            tidies: false,
            dates: BinaryHeap::new(),
            deletes: false,
            stalls: Stalls::default(),
            slow_activity: false,
            ending: None,
            ready: 0,
            pauses: Poller::is_precise(),
            in_flight_logs: Vec::new(),
        }
    }

    /// Returns the time until the next timed work. `None`: nothing is scheduled.
    pub(super) fn timeout(&self) -> Option<Duration> {
        let connections = &self.shared.connections;
        let looking = !self.queue.is_empty() && !connections.journal.polled;
        if looking || self.shared.activity.waits() || connections.is_waiting() {
            return Some(RETRY);
        }
        let now = Instant::now();
        let ends = self.draining.iter().filter_map(|&place| {
            let run = self.runs[place as usize].as_ref()?;
            let told_by = run.drain_asked.filter(|_| !run.told);
            let by = run.draining.filter(|_| !run.busy);
            let both = [
                told_by.map(|asked| asked + TELL_AFTER),
                by.map(|draining| draining.by),
            ];
            both.into_iter().flatten().min()
        });
        let ending = self.ending.as_ref().map(|ending| match ending {
            ReactorEnd::Stop { by, .. }
            | ReactorEnd::HandOver { by }
            | ReactorEnd::HandedOver { by, .. } => *by,
        });
        let rests = self.resting.iter().map(|&(when, _)| when);
        let date = self.dates.peek().map(|&Reverse((when, _))| when);
        ends.chain(rests)
            .chain(date)
            .chain(self.activity_date)
            .chain(ending)
            .chain(self.stalls.next_untold())
            .min()
            .map(|when| when.saturating_duration_since(now))
    }

    /// Does all timed work that is due.
    pub(super) fn on_time(&mut self) {
        if self.shared.activity.waits() {
            self.shared.activity.order(Order::Flush);
        }
        if self.shared.connections.is_waiting() {
            self.shared.connections.flush();
            self.shared.check_connections();
        }
        self.shared.log_all(late_lines::take());
        self.await_journal();
        for subject in self.stalls.take_untold() {
            self.tell_stall(subject);
        }
        self.begin_dates();
        if self.draining.is_empty() && self.resting.is_empty() {
            return;
        }
        let now = Instant::now();
        for place in self.draining.clone() {
            let Some(run) = &self.runs[place as usize] else {
                continue;
            };
            let is_late = run.draining.is_some_and(|draining| draining.by <= now);
            if run
                .drain_asked
                .is_some_and(|asked| asked + TELL_AFTER <= now)
            {
                self.tell_end(place);
            }
            if is_late {
                self.close(place);
            }
        }
        let due: Vec<_> = self
            .resting
            .extract_if(.., |&mut (when, _)| when <= now)
            .collect();
        for (_, token) in due {
            match self.find(token) {
                Some((place, FdRole::Pipe(channel))) => self.on_rested(place, channel),
                Some((place, FdRole::Sink(channel))) => {
                    if let Some(run) = &mut self.runs[place as usize] {
                        run.sink_rests[index(channel)] = false;
                    }
                    self.on_room(place, channel);
                }
                Some((_, FdRole::Stdin)) | None => {}
            }
        }
    }

    /// Lets logs go on to the file of another date.
    fn begin_dates(&mut self) {
        if self.dates.is_empty() && self.activity_date.is_none() {
            return;
        }
        let now = Instant::now();
        if self.activity_date.take_if(|when| *when <= now).is_some() {
            self.shared.activity.order(Order::BeginDate);
        }
        while let Some(&Reverse((when, token))) = self.dates.peek()
            && when <= now
        {
            self.dates.pop();
            let Some((place, FdRole::Sink(channel))) = self.find(token) else {
                continue;
            };
            let Some(run) = &mut self.runs[place as usize] else {
                continue;
            };
            if run.busy {
                // The job has the log.
                self.dates.push(Reverse((now + RETRY, token)));
                continue;
            }
            if let Some(stream) = &mut run.streams[index(channel)] {
                // The end of the job waits for the next date.
                stream.next_date = None;
                self.on_room(place, channel);
            }
        }
    }

    fn tell_stall(&mut self, subject: StallSubject) {
        let seconds = TOLD_AFTER.as_secs();
        let StallSubject::InstanceId(place) = subject else {
            // The activity log itself hangs, so a line in it would reach nobody.
            return;
        };
        if let Some(run) = &self.runs[place as usize] {
            let name = run.name.clone();
            self.shared.log(Line::LogHangs { name, seconds });
        }
    }

    /// Returns the instance and the role of `token`. `None`: another instance has that place by now.
    pub(super) fn find(&self, token: u64) -> Option<(u32, FdRole)> {
        let place = u32::try_from(token & u64::from(u32::MAX)).ok()?;
        let run = self.runs.get(place as usize)?.as_ref()?;
        let role = FdRole::ALL
            .into_iter()
            .find(|&role| self::token(place, run.generation, role) == token)?;
        Some((place, role))
    }

    /// If streams wait for the journal: waits for room in its socket, or reconnects if there is no socket to wait for.
    fn await_journal(&mut self) {
        let journal = &mut self.shared.connections.journal;
        if self.queue.is_empty() || journal.polled {
            return;
        }
        if journal.is_full()
            && let Some(fd) = journal.fd()
            && self.poller.add(fd, JOURNAL, Interest::Write).is_ok()
        {
            journal.polled = true;
            return;
        }
        self.serve_journal();
    }

    /// Lets the waiting streams send to the journal, each in its turn, until the journal is full again.
    fn serve_journal(&mut self) {
        let journal = &mut self.shared.connections.journal;
        if std::mem::take(&mut journal.polled)
            && let Some(fd) = journal.fd()
        {
            let _ = self.poller.remove(fd);
        }
        for _ in 0..self.queue.len() {
            let Some(token) = self.queue.pop_front() else {
                return;
            };
            let Some((place, FdRole::Pipe(channel))) = self.find(token) else {
                continue;
            };
            let mut waits = false;
            if let Some(run) = &mut self.runs[place as usize]
                && let Some(stream) = &mut run.streams[index(channel)]
            {
                stream.queued = false;
                stream.send_waiting(&mut self.shared);
                waits = stream.sinks.wants_connection();
            }
            self.update_poll(place, channel);
            if waits {
                return;
            }
        }
    }

    pub(super) fn on_ready(&mut self, event: ReadyFd) {
        if event.token == JOURNAL {
            return self.serve_journal();
        }
        match self.find(event.token) {
            None => {}
            Some((place, FdRole::Pipe(channel))) => self.on_data(place, channel),
            Some((place, FdRole::Sink(channel))) => self.on_room(place, channel),
            Some((place, FdRole::Stdin)) => {
                if let Some(run) = &mut self.runs[place as usize] {
                    if run.stdin.flush().is_err() {
                        close_stdin(&self.poller, run);
                    }
                    settle_stdin(&self.poller, place, run);
                }
            }
        }
    }

    /// Handles a pipe that has data or has ended.
    fn on_data(&mut self, place: u32, channel: Channel) {
        let Some(run) = &mut self.runs[place as usize] else {
            return;
        };
        if run.busy {
            // A job of this instance hangs. The pipe returns to the epoll set when the job is done.
            return unpoll_pipe(&self.poller, run, channel);
        }
        self.start(place, StreamAct::Read(channel));
    }

    /// Handles the end of a pause: reads the pipe again.
    fn on_rested(&mut self, place: u32, channel: Channel) {
        if let Some(run) = &mut self.runs[place as usize]
            && run.reads[index(channel)].end_pause()
            && run.reading
            && run.draining.is_none()
            && run.pipes[index(channel)].is_some()
            && !is_waiting(run)
        {
            // The pipe probably has data, so skip epoll and read at once.
            return self.on_data(place, channel);
        }
        self.update_poll(place, channel);
    }

    /// Takes a pipe out of the epoll set until `until`.
    pub(super) fn pause(&mut self, place: u32, channel: Channel, until: Instant) {
        if let Some(run) = &mut self.runs[place as usize] {
            unpoll_pipe(&self.poller, run, channel);
            let token = token(place, run.generation, FdRole::Pipe(channel));
            self.resting.push((until, token));
        }
    }

    /// Whether another pipe may be grown (see [`GROWN_PIPES_MAX`]).
    pub(super) fn may_grow_pipe(&self) -> bool {
        let grown = |run: &InstanceIo| {
            let pipes = run.pipes.iter().zip(&run.reads);
            pipes
                .filter(|(pipe, reads)| pipe.is_some() && reads.is_grown())
                .count()
        };
        self.runs.iter().flatten().map(grown).sum::<usize>() < GROWN_PIPES_MAX
    }

    /// Handles a slow log that has room again, or whose retry is due.
    fn on_room(&mut self, place: u32, channel: Channel) {
        if self.runs[place as usize]
            .as_ref()
            .is_some_and(|run| !run.busy)
        {
            self.start(place, StreamAct::Flush(channel));
        }
    }

    /// Queues a job for the streams of an instance. The instance must not be busy.
    pub(super) fn start(&mut self, place: u32, act: StreamAct) {
        let Some(run) = &mut self.runs[place as usize] else {
            return;
        };
        run.busy = true;
        // The write may reopen the log with another descriptor.
        for channel in CHANNELS {
            unpoll_sink(&self.poller, run, channel);
        }
        self.todo.push_back(ReactorTask::InstanceId(place, act));
    }

    /// Queues a rotation for another thread, since it would delay all other instances. The instance must not be busy.
    pub(super) fn start_rotation(&mut self, place: u32, rotation: LongRotation) {
        let Some(run) = &mut self.runs[place as usize] else {
            return;
        };
        run.busy = true;
        for channel in CHANNELS {
            unpoll_sink(&self.poller, run, channel);
        }
        self.rotations.push_back((place, rotation));
    }

    /// Updates the epoll set for one stream: waits for its pipe, or for room in its log.
    pub(super) fn update_poll(&mut self, place: u32, channel: Channel) {
        let Some(run) = &mut self.runs[place as usize] else {
            return;
        };
        if run.busy {
            return;
        }
        let (generation, reading) = (run.generation, run.reading);
        let token = |role| token(place, generation, role);
        if let Some(stream) = &mut run.streams[index(channel)] {
            if stream.sinks.wants_connection() && !std::mem::replace(&mut stream.queued, true) {
                self.queue.push_back(token(FdRole::Pipe(channel)));
            }
            if stream.sinks.file_waits() && !stream.sink_polled {
                let fd = stream.sinks.fd();
                let has_fd = fd.is_some();
                let role = token(FdRole::Sink(channel));
                stream.sink_polled =
                    fd.is_some_and(|fd| self.poller.add(fd, role, Interest::Write).is_ok());
                if !stream.sink_polled
                    && !std::mem::replace(&mut run.sink_rests[index(channel)], true)
                {
                    // epoll cannot wait for this descriptor, or another thread waits for it: retry on a timer.
                    let retry = if has_fd { RETRY } else { WRITER_RETRY };
                    self.resting.push((Instant::now() + retry, role));
                }
            }
            let (file_waits, waits) = (stream.sinks.file_waits(), stream.is_waiting());
            if !file_waits {
                unpoll_sink(&self.poller, run, channel);
            }
            if waits {
                unpoll_pipe(&self.poller, run, channel);
            } else if reading
                && run.draining.is_none()
                && !run.polled[index(channel)]
                && !run.reads[index(channel)].is_paused()
                && let Some(pipe) = &run.pipes[index(channel)]
            {
                let role = token(FdRole::Pipe(channel));
                match self.poller.add(pipe, role, Interest::Read) {
                    Ok(()) => run.polled[index(channel)] = true,
                    Err(_) => self.resting.push((Instant::now() + READ_RETRY, role)),
                }
            }
        }
        if run.draining.is_some_and(|draining| draining.is_read) && !is_waiting(run) {
            self.close(place);
        }
    }
}

#[cfg(test)]
#[path = "reactor_tests.rs"]
mod tests;
