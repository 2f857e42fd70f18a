//! Which thread does which job: queued work becomes jobs for the owner of the reactor and for helper threads.

use super::{Reactor, ReactorEnd, ReactorTask};
use crate::output::instance_io::index;
use crate::output::job::{JobSettings, LongRotation, OutputJob, StreamAct};
use crate::output::pipe_reads::READ_BYTES;
use crate::output::stalls::StallSubject;

/// Maximum size of one read while more than [`CROWD`] descriptors are ready, so that each gets its turn soon.
const CROWDED_READ_BYTES: usize = 64 << 10;
/// Number of ready descriptors above which reads are limited to [`CROWDED_READ_BYTES`].
const CROWD: usize = 8;

impl Reactor {
    fn next_rotation(&self) -> Option<usize> {
        let is_free =
            |(_, rotation): &(u32, LongRotation)| !self.rotating.contains(&rotation.device);
        self.rotations.iter().position(is_free)
    }

    /// Returns the next job for the owner of the reactor. Work that may hang goes to other threads. Lines of the
    /// activity log are collected until `turn_ends`.
    pub(in crate::output) fn next_job(
        &mut self,
        thread: usize,
        turn_ends: bool,
    ) -> Option<OutputJob> {
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
    pub(in crate::output) fn next_slow_job(&mut self, thread: usize) -> Option<OutputJob> {
        if self.slow_activity && self.shared.activity.is_due() {
            return self.activity_job(thread, true);
        }
        // Under load, one job of a slow instance follows the other. The next daemon goes on with what they read.
        if matches!(self.ending, Some(ReactorEnd::HandOver { .. })) {
            return None;
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
        if !self.tidies
            && let Some(closed) = self.closed.pop_front()
        {
            self.tidies = true;
            self.stalls.begin(thread, StallSubject::Paths, [0; 2], true);
            return Some(OutputJob::Tidy(closed));
        }
        None
    }

    /// Whether [`Reactor::next_slow_job`] has work.
    pub(in crate::output) fn wants_help(&self) -> bool {
        (!self.slow.is_empty() && !matches!(self.ending, Some(ReactorEnd::HandOver { .. })))
            || (self.slow_activity && self.shared.activity.is_due())
            || self.next_rotation().is_some()
            || (!self.deletes && !self.replaced.is_empty())
            || (!self.tidies && !self.closed.is_empty())
    }

    /// Whether the owner has work that no epoll event announces.
    pub(in crate::output) fn wants_turn(&self) -> bool {
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
            ReactorTask::RemoveLogs(_, logs) => self.stalls.devices_of(logs),
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
            ReactorTask::RemoveLogs(ticket, logs) => {
                (StallSubject::Paths, OutputJob::RemoveLogs(ticket, logs))
            }
        };
        self.stalls.begin(thread, subject, devices, apart);
        Some(job)
    }

    /// Returns the settings of the next job.
    pub(in crate::output) fn settings(&self) -> JobSettings {
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
    pub(in crate::output) fn take_over(&mut self) {
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
}
