//! The state of the output threads: the pipes and logs of every process, and the commands of the engine.
//!
//! Each turn reads every ready descriptor once and handles a bounded number of commands, so that one flooding process
//! cannot starve the others. A pipe leaves the epoll set while its log waits for a slow reader.
//!
//! The reactor never touches a file. It queues work on files in `todo`; a thread does that work without the reactor's
//! lock (`job.rs`), and `finish.rs` applies the result. `hub.rs` decides which thread does what.
//!
//! A token names an instance, not a descriptor, and a descriptor leaves the epoll set before it is closed. Therefore an
//! event can never reach a descriptor or an instance that was created later (Supervisor#807).

use std::collections::{BTreeMap, VecDeque};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::activity_queue::{ActivityQueue, Order};
use super::instance_io::{
    CHANNELS, DrainState, FdRole, InstanceIo, close_stdin, index, is_waiting, settle_stdin, shut,
    token, unpoll_pipe, unpoll_sink,
};
use super::job::{JobSettings, LongRotation, OutputJob, StreamAct};
use super::journal::Journal;
use super::output_state::OutputHandoff;
use super::sink::Sink;
use super::stalls::{StallSubject, Stalls, TOLD_AFTER};
use super::stream::Shared;
use super::syslog::Syslog;
use super::{Activity, OutputCommand, OutputReport};
use crate::domain::{Channel, Envelope, Errno, InstanceId, Line, LogPaths, OutputEvents};
use crate::fd_holder::FdStore;
use crate::sys::safe_open::errno;
use crate::sys::{self, Interest, Poller, ReadyFd};

/// Maximum size of one read: the capacity of a grown pipe (see `pipe_reads.rs`).
pub(super) const READ_BYTES: usize = 256 << 10;
/// Maximum size of one read while more than [`CROWD`] descriptors are ready, so that each gets its turn soon.
const CROWDED_READ_BYTES: usize = 64 << 10;
/// Number of ready descriptors above which reads are limited to [`CROWDED_READ_BYTES`].
const CROWD: usize = 8;
/// Maximum number of pipes that are grown to [`READ_BYTES`]. It limits the kernel memory that programs can occupy and
/// leaves a part of the user's pipe quota free (/proc/sys/fs/pipe-user-pages-soft).
const GROWN_PIPES_MAX: usize = 64;
/// How long the log of an exited instance may wait for a slow reader. Then the rest is dropped.
const DRAIN_WAIT: Duration = Duration::from_millis(if cfg!(test) { 500 } else { 5000 });
/// After this time the reactor reports an instance as drained although its log still lags. The rest is still written.
const TELL_AFTER: Duration = Duration::from_millis(50);
/// How long the threads may take to write everything when the daemon stops.
pub(super) const STOP_WAIT: Duration = Duration::from_secs(1);
/// Extra time at the stop after the reactor has started to close logs that are still not written.
const GIVE_UP_WAIT: Duration = Duration::from_millis(200);
/// Interval of retries for descriptors that epoll cannot wait for.
pub(super) const RETRY: Duration = Duration::from_millis(50);
/// Delay before the next read of a pipe whose read failed.
pub(super) const READ_RETRY: Duration = Duration::from_secs(1);

/// The epoll token of the journal's socket. No instance has this token.
const JOURNAL: u64 = u64::MAX - 1;

/// Queued work on files.
#[derive(Debug)]
pub(super) enum ReactorTask {
    /// Work on the streams of the instance at this index of [`Reactor::runs`]. The instance is busy until it is done.
    InstanceId(u32, StreamAct),
    CreateLogs(Vec<Arc<std::path::Path>>),
    RemoveLogs(crate::api::Ticket, u32, LogPaths),
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
            shared: Shared {
                activity: ActivityQueue::new(activity),
                report,
                syslog: Syslog::new(),
                journal: Journal::new(),
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
        let looking = !self.queue.is_empty() && !self.shared.journal.polled;
        if looking || self.shared.activity.waits() || self.shared.syslog.is_waiting() {
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
        ends.chain(rests)
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
        if self.shared.syslog.is_waiting() {
            self.shared.syslog.flush();
            self.shared.check_syslog();
        }
        self.await_journal();
        for subject in self.stalls.take_untold() {
            self.tell_stall(subject);
        }
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
                Some((place, FdRole::Sink(channel))) => self.on_room(place, channel),
                Some((_, FdRole::Stdin)) | None => {}
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
        let journal = &mut self.shared.journal;
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
        let journal = &mut self.shared.journal;
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
                stream.flush_journal(&mut self.shared);
                waits = stream.journal_waits();
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

    fn next_rotation(&self) -> Option<usize> {
        let is_free =
            |(_, rotation): &(u32, LongRotation)| !self.rotating.contains(&rotation.device);
        self.rotations.iter().position(is_free)
    }

    /// Returns the next job for the owner of the reactor. Work that may hang goes to other threads. Lines of the
    /// activity log are collected until `turn_ends`.
    pub(super) fn next_job(&mut self, thread: usize, turn_ends: bool) -> Option<OutputJob> {
        while let Some(task) = self.todo.pop_front() {
            if self.is_slow(&task) {
                self.slow.push_back(task);
                continue;
            }
            let devices = self.devices(&task);
            if self.stalls.is_used_up(devices) {
                self.parked.push(task);
                continue;
            }
            if let Some(job) = self.job(thread, task, devices, false) {
                return Some(job);
            }
        }
        let is_due = turn_ends || self.shared.activity.is_long();
        if is_due && !self.slow_activity && self.shared.activity.is_due() {
            return self.activity_job(thread, false);
        }
        None
    }

    /// Returns the next job for a helper thread, which may take long.
    pub(super) fn next_slow_job(&mut self, thread: usize) -> Option<OutputJob> {
        if self.slow_activity && self.shared.activity.is_due() {
            return self.activity_job(thread, true);
        }
        while let Some(task) = self.slow.pop_front() {
            let devices = self.devices(&task);
            if self.stalls.is_used_up(devices) {
                self.parked.push(task);
                continue;
            }
            if let Some(job) = self.job(thread, task, devices, true) {
                return Some(job);
            }
        }
        // Rotations and deletions do not count for a device's limit: each device has one rotation at a time, and there
        // is one deletion.
        if let Some(at) = self.next_rotation()
            && let Some((place, rotation)) = self.rotations.remove(at)
        {
            self.rotating.push(rotation.device);
            return self.job(
                thread,
                ReactorTask::InstanceId(place, StreamAct::Rotate(rotation)),
                [0; 2],
                true,
            );
        }
        if !self.deletes && !self.replaced.is_empty() {
            self.deletes = true;
            self.stalls.begin(thread, StallSubject::Paths, [0; 2], true);
            return Some(OutputJob::Delete(std::mem::take(&mut self.replaced)));
        }
        None
    }

    /// Whether [`Reactor::next_slow_job`] has work.
    pub(super) fn wants_help(&self) -> bool {
        !self.slow.is_empty()
            || (self.slow_activity && self.shared.activity.is_due())
            || self.next_rotation().is_some()
            || (!self.deletes && !self.replaced.is_empty())
    }

    /// Whether the owner has work that no epoll event announces.
    pub(super) fn wants_turn(&self) -> bool {
        !self.todo.is_empty() || (!self.slow_activity && self.shared.activity.is_due())
    }

    fn activity_job(&mut self, thread: usize, apart: bool) -> Option<OutputJob> {
        let (activity, orders) = self.shared.activity.take_job()?;
        self.stalls
            .begin(thread, StallSubject::Activity, [0; 2], apart);
        Some(OutputJob::Activity(activity, orders))
    }

    fn is_slow(&self, task: &ReactorTask) -> bool {
        match task {
            ReactorTask::InstanceId(place, _) => {
                let run = self.runs[*place as usize].as_ref();
                run.is_some_and(|run| run.slow)
            }
            ReactorTask::CreateLogs(_) | ReactorTask::RemoveLogs(..) => false,
        }
    }

    fn devices(&mut self, task: &ReactorTask) -> [u64; 2] {
        match task {
            ReactorTask::InstanceId(place, act) => {
                let run = self.runs[*place as usize].as_ref();
                let devices = run.map_or([0; 2], |run| run.devices);
                match act.channel() {
                    Some(channel) => [devices[index(channel)], 0],
                    None => devices,
                }
            }
            ReactorTask::CreateLogs(paths) => {
                let directory = paths.first().and_then(|path| path.parent());
                [directory.map_or(0, |it| self.stalls.device_of(it)), 0]
            }
            ReactorTask::RemoveLogs(_, _, logs) => self.stalls.devices_of(logs),
        }
    }

    fn job(
        &mut self,
        thread: usize,
        task: ReactorTask,
        devices: [u64; 2],
        apart: bool,
    ) -> Option<OutputJob> {
        let (subject, job) = match task {
            ReactorTask::InstanceId(place, act) => {
                let run = self.runs[place as usize].as_mut()?;
                let is_kept = matches!(act, StreamAct::Open(_) | StreamAct::Adopt(_));
                let stdin = run
                    .stdin
                    .shared()
                    .filter(|_| is_kept && self.shared.fd_store.is_some());
                let job = OutputJob::Streams {
                    place,
                    instance: run.instance,
                    stdin,
                    streams: std::mem::take(&mut run.streams),
                    pipes: run.pipes.clone(),
                    act,
                };
                (StallSubject::InstanceId(place), job)
            }
            ReactorTask::CreateLogs(paths) => (StallSubject::Paths, OutputJob::CreateLogs(paths)),
            ReactorTask::RemoveLogs(ticket, slot, logs) => (
                StallSubject::Paths,
                OutputJob::RemoveLogs(ticket, slot, logs),
            ),
        };
        self.stalls.begin(thread, subject, devices, apart);
        Some(job)
    }

    /// Returns the settings of the next job.
    pub(super) fn settings(&self) -> JobSettings {
        JobSettings {
            strip_ansi: self.shared.strip_ansi,
            read_bytes: match self.ready > CROWD {
                true => CROWDED_READ_BYTES,
                false => READ_BYTES,
            },
            leaves_deletion: self.replaced.is_empty(),
            fd_store: self.shared.fd_store.clone(),
        }
    }

    /// Called by a new owner. The previous owner hangs in a job, or there was none yet.
    pub(super) fn take_over(&mut self) {
        for subject in self.stalls.take_over() {
            match subject {
                StallSubject::InstanceId(place) => {
                    if let Some(run) = &mut self.runs[place as usize] {
                        run.slow = true;
                        if run.drain_asked.is_some() {
                            self.tell_end(place);
                        }
                    }
                }
                StallSubject::Activity => self.slow_activity = true,
                StallSubject::Paths => {}
            }
        }
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
            if stream.journal_waits() && !std::mem::replace(&mut stream.queued, true) {
                self.queue.push_back(token(FdRole::Pipe(channel)));
            }
            if stream.sink_waits() && !stream.sink_polled {
                let fd = stream.sink.as_ref().and_then(Sink::fd);
                let role = token(FdRole::Sink(channel));
                stream.sink_polled =
                    fd.is_some_and(|fd| self.poller.add(fd, role, Interest::Write).is_ok());
                if !stream.sink_polled {
                    // epoll cannot wait for this descriptor: retry on a timer.
                    self.resting.push((Instant::now() + RETRY, role));
                }
            }
            let (sink_waits, waits) = (stream.sink_waits(), stream.is_waiting());
            if !sink_waits {
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

    pub(super) fn on_command(&mut self, command: OutputCommand) {
        match command {
            OutputCommand::Prepare(instance, spec, paths) => {
                self.prepare(instance, spec, paths, false)
            }
            OutputCommand::PrepareNext(instance, spec, paths) => {
                self.prepare(instance, spec, paths, true)
            }
            OutputCommand::Read(instance, pid) => self.read(instance, pid),
            OutputCommand::Drain(instance) => match self.places.get(&instance) {
                Some(&place) => self.drain(place),
                None => {
                    self.call_off(instance);
                    (self.shared.report)(OutputReport::Drained(instance));
                }
            },
            OutputCommand::CreateLogs(paths) => {
                if !paths.is_empty() {
                    self.todo.push_back(ReactorTask::CreateLogs(paths));
                }
            }
            OutputCommand::ClearLogs { ticket, slot, logs } => self.clear_logs(ticket, slot, logs),
            OutputCommand::ClearDaemonLog(ticket) => {
                self.shared.activity.order(Order::Clear(ticket))
            }
            OutputCommand::ReopenLogs => {
                self.shared.activity.order(Order::Reopen);
                for place in self.places.values().copied().collect::<Vec<_>>() {
                    self.reopen(place);
                }
            }
            OutputCommand::WriteStdin {
                ticket,
                instance,
                data,
            } => {
                let result = self.write_stdin(instance, data);
                (self.shared.report)(OutputReport::StdinTaken(ticket, result));
            }
            OutputCommand::Deliver(instance, envelope) => self.deliver(instance, envelope),
            OutputCommand::Report(events) => self.shared.events = events,
            OutputCommand::Log(wall, line) => self.shared.activity.log(wall, line),
            OutputCommand::StripAnsi(on) => self.shared.strip_ansi = on,
            OutputCommand::Adopt(adoption) => self.adopt(*adoption),
            OutputCommand::Stop => self.stop(),
            OutputCommand::HandOver => {
                let by = Instant::now() + STOP_WAIT;
                self.ending = Some(ReactorEnd::HandOver { by });
            }
        }
    }

    /// Returns the instance if it is not busy. Otherwise queues `command` until it is not.
    fn free_run(
        &mut self,
        place: u32,
        command: impl FnOnce() -> OutputCommand,
    ) -> Option<&mut InstanceIo> {
        let run = self.runs[place as usize].as_mut()?;
        if run.busy {
            run.queue.push_back(command());
            return None;
        }
        Some(run)
    }

    fn read(&mut self, instance: InstanceId, pid: i32) {
        let Some(&place) = self.places.get(&instance) else {
            return;
        };
        let Some(run) = self.free_run(place, || OutputCommand::Read(instance, pid)) else {
            return;
        };
        run.reading = true;
        for stream in run.streams.iter_mut().flatten() {
            if let Some(entries) = &mut stream.journal {
                entries.of_pid(pid);
            }
        }
        for channel in CHANNELS {
            self.update_poll(place, channel);
        }
    }

    /// Reads what the pipes hold at this moment, then closes them. It does not wait for end-of-file: a grandchild may
    /// hold the pipe open or never stop writing.
    pub(super) fn drain(&mut self, place: u32) {
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
            run.queue.push_back(OutputCommand::Drain(instance));
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
    pub(super) fn drain_on(&mut self, place: u32) {
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
    pub(super) fn end_stream(&mut self, place: u32, channel: Channel) -> bool {
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
    pub(super) fn tell_end(&mut self, place: u32) {
        if let Some(run) = &mut self.runs[place as usize]
            && !std::mem::replace(&mut run.told, true)
        {
            (self.shared.report)(OutputReport::Drained(run.instance));
        }
    }

    /// Closes the logs of an instance, unless a job has them; the job's end closes them then.
    pub(super) fn close(&mut self, place: u32) {
        if self.runs[place as usize]
            .as_ref()
            .is_some_and(|run| !run.busy)
        {
            self.start(place, StreamAct::Close);
        }
    }

    /// Drains an instance that the core no longer tracks. Reports nothing.
    pub(super) fn abandon(&mut self, place: u32) {
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
    fn call_off(&mut self, instance: InstanceId) {
        let is_its = |command: &OutputCommand| match command {
            OutputCommand::Prepare(of, ..) | OutputCommand::PrepareNext(of, ..) => *of == instance,
            _ => false,
        };
        for &place in &self.draining {
            if let Some(run) = &mut self.runs[place as usize] {
                run.queue.retain(|command| !is_its(command));
            }
        }
    }

    /// Removes the logs of a slot.
    // Differs: Supervisor does nothing if the process does not run, and reports success.
    fn clear_logs(&mut self, ticket: crate::api::Ticket, slot: u32, logs: LogPaths) {
        // A previous instance may still have bytes to write, but this file is about to lose its name anyway.
        let Some(place) = self.places_of(slot).pop() else {
            return self
                .todo
                .push_back(ReactorTask::RemoveLogs(ticket, slot, logs));
        };
        let command = || OutputCommand::ClearLogs { ticket, slot, logs };
        if self.free_run(place, command).is_some() {
            self.start(place, StreamAct::Clear(ticket, slot));
        }
    }

    fn places_of(&self, slot: u32) -> Vec<u32> {
        let first = InstanceId {
            slot,
            incarnation: 0,
        };
        let last = InstanceId {
            slot,
            incarnation: u64::MAX,
        };
        self.places
            .range(first..=last)
            .map(|(_, &place)| place)
            .collect()
    }

    pub(super) fn reopen(&mut self, place: u32) {
        // Keep at most one queued reopen for a busy instance.
        if let Some(run) = &mut self.runs[place as usize] {
            run.queue
                .retain(|command| !matches!(command, OutputCommand::ReopenLogs));
        }
        if self.free_run(place, || OutputCommand::ReopenLogs).is_some() {
            self.start(place, StreamAct::Reopen);
        }
    }

    fn write_stdin(&mut self, instance: InstanceId, data: Vec<u8>) -> Result<(), Errno> {
        let gone = errno(nix::errno::Errno::EPIPE);
        let &place = self.places.get(&instance).ok_or(gone)?;
        let run = self.runs[place as usize].as_mut().ok_or(gone)?;
        let result = run.stdin.queue(data);
        if result == Err(gone) {
            close_stdin(&self.poller, run);
        }
        settle_stdin(&self.poller, place, run);
        result
    }

    /// Writes an event to a listener. Fails with EPIPE if the listener has broken the protocol meanwhile.
    fn deliver(&mut self, instance: InstanceId, envelope: Envelope) {
        let gone = errno(nix::errno::Errno::EPIPE);
        let mut result = Err(gone);
        if let Some(&place) = self.places.get(&instance) {
            let text = envelope.text().into_bytes();
            let Some(run) = self.free_run(place, || OutputCommand::Deliver(instance, envelope))
            else {
                return;
            };
            let stdout = run.streams[index(Channel::Stdout)].as_ref();
            let protocol = stdout.and_then(|stream| stream.protocol.as_ref());
            if protocol.is_some_and(|protocol| protocol.is_ready()) {
                result = self.write_stdin(instance, text);
                if result.is_ok()
                    && let Some(run) = &mut self.runs[place as usize]
                    && let Some(stream) = &mut run.streams[index(Channel::Stdout)]
                    && let Some(protocol) = &mut stream.protocol
                {
                    protocol.event_written();
                }
            }
        }
        if let Err(error) = result {
            (self.shared.report)(OutputReport::NotDelivered(instance, error));
        }
    }

    /// Starts to drain everything, until [`STOP_WAIT`] is over.
    fn stop(&mut self) {
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
    pub(super) fn continue_ending(&mut self) -> Option<Option<OutputHandoff>> {
        let is_quiet = self.shared.activity.is_idle() && !self.shared.syslog.is_waiting();
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
                let is_busy = |run: &InstanceIo| run.busy;
                if by > now && self.runs.iter().flatten().any(is_busy) {
                    self.ending = Some(ReactorEnd::HandOver { by });
                    return None;
                }
                let handoff = self.hand_over();
                self.ending = Some(ReactorEnd::HandedOver {
                    by: now + super::stream_handoff::FLUSH_WAIT,
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
    pub(super) fn tell_lost(&mut self, place: u32) {
        if let Some(run) = &self.runs[place as usize]
            && run.busy
        {
            let name = run.name.clone();
            self.shared.log(Line::LogHangsAtEnd { name });
        }
    }
}

#[cfg(test)]
#[path = "reactor_tests.rs"]
mod tests;
