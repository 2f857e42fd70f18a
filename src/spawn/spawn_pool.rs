//! The job queue and the spawner threads. One thread works; the others are set aside with jobs that are held up, or are
//! spare.
//!
//! ```text
//!             ┌──────── next job ────────┐
//! queue ──→ active ──comes back in time──┘          (spawns before everything else)
//!             │ not back within HELD_AFTER: a spare thread, or a new one, becomes the active one
//!             ▼
//!           aside ──comes back late──→ spare
//! ```
//!
//! A job is parked while another job of its [`JobOwner`] is held up. So a user holds up one thread at most, and delays
//! only its own jobs.

use std::collections::{BTreeSet, VecDeque};
use std::fmt;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::held_worker::{HeldSubject, HeldWorker};
use super::message::{SpawnAnswer, SpawnJob};
use super::owner::{FOREIGN_MAX, JobOwner, OWN_MAX};
use super::plan::SpawnBase;
use super::sockets::FcgiSockets;
use super::worker::{self, SpawnWorker};
use crate::cgroup::CgroupManager;
use crate::domain::{InstanceId, Line, SpawnError, Tick};
use crate::effects::{SpawnerEffect, SpawnerOutcome};
use crate::heartbeat::Heartbeats;
use crate::sys::{self, FdTableMode, Spawner, StagingFds};

/// A job that takes longer is held up. The monitor notices that within twice this time, and other jobs must start
/// within one second.
pub(super) const HELD_AFTER: Duration = Duration::from_millis(400);
/// After this number of jobs, free memory is returned to the kernel at the next idle moment.
const GIVE_BACK_JOBS: usize = 256;
/// How long a handoff waits for the exit of children that are held up, in milliseconds.
const LEAVE_MS: u64 = 1_000;
/// Interval of checks during that time.
const LEAVE_LOOK: Duration = Duration::from_millis(10);

/// The state that all spawner threads share.
pub(super) struct SpawnPool {
    state: Mutex<PoolState>,
    /// Signalled when [`PoolState::is_over`] becomes true.
    over: Condvar,
    /// Locked briefly, never while a socket is made.
    sockets: Mutex<FcgiSockets>,
    pub(super) base: SpawnBase,
    pub(super) cgroup_manager: CgroupManager,
    pub(super) heartbeats: Heartbeats,
    /// Called with each answer. Never blocks. May be called while the state is locked.
    done: Box<dyn Fn(SpawnAnswer) + Send + Sync>,
    log: Box<dyn Fn(Line) + Send + Sync>,
}

/// Jobs that wait for the active worker. Spawns precede all others, because a spawn completes a start: with one FIFO,
/// the first of 1,000 programs started after 1,000 commands had been resolved, at 37 ms instead of 16 ms. Spawns cannot
/// starve the others, because each of them follows a job of the other kind.
#[derive(Default)]
struct JobQueue {
    spawns: VecDeque<SpawnJob>,
    others: VecDeque<SpawnJob>,
    /// [`SpawnJob::Stop`] or [`SpawnJob::HandOver`] was queued. Later jobs are dropped.
    is_closed: bool,
}

impl JobQueue {
    fn push(&mut self, job: SpawnJob) {
        if self.is_closed {
            return;
        }
        self.is_closed = matches!(job, SpawnJob::Stop | SpawnJob::HandOver);
        self.jobs_like(&job).push_back(job);
    }

    fn jobs_like(&mut self, job: &SpawnJob) -> &mut VecDeque<SpawnJob> {
        match job {
            SpawnJob::Spawn(..) => &mut self.spawns,
            SpawnJob::Effect(_) | SpawnJob::Command(_) | SpawnJob::HandOver | SpawnJob::Stop => {
                &mut self.others
            }
        }
    }

    fn pop(&mut self) -> Option<SpawnJob> {
        self.spawns.pop_front().or_else(|| self.others.pop_front())
    }

    /// Puts jobs before all others of their kind.
    fn put_back(&mut self, jobs: VecDeque<SpawnJob>) {
        for job in jobs.into_iter().rev() {
            self.jobs_like(&job).push_front(job);
        }
    }

    fn iter(&self) -> impl Iterator<Item = &SpawnJob> {
        self.spawns.iter().chain(&self.others)
    }

    fn clear(&mut self) {
        self.spawns.clear();
        self.others.clear();
    }
}

/// The workers and their jobs.
struct PoolState {
    queue: JobQueue,
    /// Jobs that wait for one that is held up, in their order.
    parked: VecDeque<SpawnJob>,
    /// Instances whose spawn was cancelled while its job was queued or running.
    called_off: BTreeSet<InstanceId>,
    /// `None`: no thread could be created. The next job tries again.
    active: Option<SpawnWorker>,
    /// The job of the active worker, and when it began.
    current: Option<(HeldSubject, Tick)>,
    spares: Vec<SpawnWorker>,
    aside: Vec<HeldWorker>,
    next_id: u64,
    /// The spawner for the next worker, made early so that its descriptors are low.
    spawner: Option<Spawner>,
    table: FdTableMode,
    /// Set during a handoff: no job starts any more, and children that are held up may exit until then.
    leaving_until: Option<Tick>,
    /// Whether workers must end.
    is_over: bool,
}

/// The next step of the active worker.
enum NextJob {
    Job(Box<SpawnJob>),
    Nothing,
    Leave,
    End,
}

impl SpawnPool {
    /// # Errors
    /// No descriptors, memory or threads.
    pub(super) fn start(
        base: SpawnBase,
        cgroup_manager: CgroupManager,
        sockets: FcgiSockets,
        heartbeats: Heartbeats,
        [first, second]: [StagingFds; 2],
        done: Box<dyn Fn(SpawnAnswer) + Send + Sync>,
        log: Box<dyn Fn(Line) + Send + Sync>,
    ) -> io::Result<Arc<Self>> {
        let spawner = Spawner::staged_in(first)?;
        let table = spawner.table();
        let spare = Spawner::with(table, second)?;
        let pool = Arc::new(Self {
            state: Mutex::new(PoolState {
                queue: JobQueue::default(),
                parked: VecDeque::new(),
                called_off: BTreeSet::new(),
                active: None,
                current: None,
                spares: Vec::new(),
                aside: Vec::new(),
                next_id: 0,
                spawner: Some(spawner),
                table,
                leaving_until: None,
                is_over: false,
            }),
            over: Condvar::new(),
            sockets: Mutex::new(sockets),
            base,
            cgroup_manager,
            heartbeats,
            done,
            log,
        });
        let mut state = pool.state();
        state.active = Some(pool.start_worker(&mut state)?);
        state.spawner = Some(spare);
        drop(state);
        Ok(pool)
    }

    fn state(&self) -> MutexGuard<'_, PoolState> {
        // No code panics while it holds the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn sockets(&self) -> MutexGuard<'_, FcgiSockets> {
        self.sockets.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn log(&self, line: Line) {
        (self.log)(line);
    }

    fn start_worker(self: &Arc<Self>, state: &mut PoolState) -> io::Result<SpawnWorker> {
        let spawner = match state.spawner.take() {
            Some(spawner) => spawner,
            None => Spawner::with_table(state.table)?,
        };
        let id = state.next_id;
        state.next_id += 1;
        worker::start(self, id, spawner)
    }

    /// Makes a worker the active one if there is none.
    fn ensure_active(self: &Arc<Self>, state: &mut PoolState) {
        if state.active.is_none() {
            let spare = state.spares.pop();
            state.active = spare.or_else(|| self.start_worker(state).ok());
        }
        if let Some(active) = &state.active {
            active.thread.unpark();
        }
    }

    /// Queues a job.
    pub(super) fn send(self: &Arc<Self>, job: SpawnJob) {
        let mut state = self.state();
        if state.is_over {
            return;
        }
        state.queue.push(job);
        let active = match &state.active {
            Some(active) => active.thread.clone(),
            None => return self.ensure_active(&mut state),
        };
        // Unlock first; otherwise the worker would find the state locked.
        drop(state);
        active.unpark();
    }

    /// Waits until the queued jobs are done or held up and all workers that can end have ended.
    pub(super) fn stop(self: &Arc<Self>) {
        let mut state = self.state();
        if !state.is_over {
            state.queue.push(SpawnJob::Stop);
            self.ensure_active(&mut state);
            if state.active.is_none() {
                self.end(&mut state);
            }
        }
        while !state.is_over {
            state = self
                .over
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Cancels the spawn of `instance`, which may already have started. Its job is answered in any case.
    pub(super) fn call_off(self: &Arc<Self>, instance: InstanceId) {
        let mut state = self.state();
        let is_its = |job: &SpawnJob| matches!(job, SpawnJob::Spawn(of, ..) if *of == instance);
        if let Some(place) = state.parked.iter().position(is_its) {
            if let Some(job) = state.parked.remove(place) {
                self.answer_called_off(&HeldSubject::of(&job));
            }
            return;
        }
        let now = sys::now().mono;
        match state
            .aside
            .iter_mut()
            .find(|aside| aside.subject.instance() == Some(instance))
        {
            Some(aside) => aside.call_off(now),
            None => {
                let is_current = matches!(
                    &state.current,
                    Some((HeldSubject::Spawn(of, _), _)) if *of == instance
                );
                if is_current || state.queue.iter().any(is_its) {
                    state.called_off.insert(instance);
                }
            }
        }
        self.ensure_active(&mut state);
    }

    fn answer_called_off(&self, subject: &HeldSubject) {
        if let (Some(instance), Some(owner)) = (subject.instance(), subject.owner()) {
            let name = owner.name.as_str().to_owned();
            (self.done)(SpawnAnswer::Outcome(SpawnerOutcome::Failed {
                instance,
                error: SpawnError::CalledOff { name },
            }));
        }
    }

    /// Whether the unknown child `pid` may be the process of one of these instances, whose spawn was requested and
    /// whose answer was not read yet.
    pub(super) fn may_be(&self, instances: &BTreeSet<InstanceId>, pid: i32) -> bool {
        let state = self.state();
        let has_none = |instance: &InstanceId| {
            let is_its = |job: &SpawnJob| matches!(job, SpawnJob::Spawn(of, ..) if of == instance);
            state.queue.iter().chain(&state.parked).any(is_its)
        };
        let is_another = |instance: &InstanceId| {
            let mut aside = state.aside.iter();
            aside
                .find(|aside| aside.subject.instance() == Some(*instance))
                .and_then(|aside| aside.worker.child.pid())
                .is_some_and(|known| known != pid)
        };
        // The active worker's pid will be known soon, when its answer arrives.
        !instances
            .iter()
            .all(|instance| has_none(instance) || is_another(instance))
    }

    /// Returns the next job of the worker `id`. `None`: the worker must end.
    pub(super) fn next(self: &Arc<Self>, id: u64, jobs_since: &mut usize) -> Option<SpawnJob> {
        loop {
            let mut state = self.state();
            if state.is_over {
                return None;
            }
            if !state.is_active(id) {
                drop(state);
                std::thread::park();
                continue;
            }
            let due = self.look_at_asides(&mut state);
            match self.find(&mut state) {
                NextJob::Job(job) => {
                    state.current = Some((HeldSubject::of(&job), sys::now().mono));
                    *jobs_since += 1;
                    return Some(*job);
                }
                NextJob::Nothing => {
                    drop(state);
                    // The plans of a thousand starts leave 2.5 MB of free memory in fragments.
                    if *jobs_since >= GIVE_BACK_JOBS {
                        *jobs_since = 0;
                        sys::trim_heap();
                    } else if due == Tick::NEVER {
                        std::thread::park();
                    } else {
                        let nanos = due.nanos_since(sys::now().mono);
                        std::thread::park_timeout(Duration::from_nanos(nanos));
                    }
                }
                NextJob::Leave => {
                    let is_late = state.leaving_until <= Some(sys::now().mono);
                    if is_late || !state.aside.iter().any(HeldWorker::has_child) {
                        let sockets = self.sockets().hand_over();
                        (self.done)(SpawnAnswer::HandedOver(sockets));
                        self.end(&mut state);
                    } else {
                        drop(state);
                        std::thread::park_timeout(LEAVE_LOOK);
                    }
                }
                NextJob::End => self.end(&mut state),
            }
        }
    }

    /// Finds the first job that need not wait.
    fn find(&self, state: &mut PoolState) -> NextJob {
        if state.leaving_until.is_some() {
            return NextJob::Leave;
        }
        while let Some(job) = state.queue.pop() {
            match job {
                SpawnJob::Stop => return NextJob::End,
                SpawnJob::HandOver => {
                    let now = sys::now().mono;
                    state.leaving_until = Some(now.plus_millis(LEAVE_MS));
                    // The next daemon repeats these starts, so none of them may succeed now.
                    for aside in &mut state.aside {
                        aside.abandon(now);
                    }
                    return NextJob::Leave;
                }
                job => match state.obstacle(&job, &state.parked) {
                    None => return NextJob::Job(Box::new(job)),
                    Some(why) => self.park(job, &why, state),
                },
            }
        }
        NextJob::Nothing
    }

    /// Parks a job until the job it waits for is over, and reports its instance as held up.
    fn park(&self, job: SpawnJob, why: &str, state: &mut PoolState) {
        let subject = HeldSubject::of(&job);
        if let Some(instance) = subject.instance()
            && state.called_off.remove(&instance)
        {
            return self.answer_called_off(&subject);
        }
        if let Some(held) = subject.held(why) {
            (self.done)(held);
        }
        if !subject.is_answered_early() {
            state.parked.push_back(job);
        }
    }

    /// Examines the held-up jobs if that is due. Returns when to do so again.
    fn look_at_asides(&self, state: &mut PoolState) -> Tick {
        if state.aside.is_empty() {
            return Tick::NEVER;
        }
        let now = sys::now().mono;
        let mut due = Tick::NEVER;
        for aside in &mut state.aside {
            if let Some(told) = aside.check_job(now) {
                (self.done)(told);
            }
            due = due.min(aside.look_at());
        }
        due
    }

    /// Sets the worker `id` aside because its job takes too long. Called on the monitor's thread.
    pub(super) fn set_aside(self: &Arc<Self>, id: u64) {
        let mut state = self.state();
        let now = sys::now().mono;
        let is_late = |since: Tick| Duration::from_nanos(now.nanos_since(since)) >= HELD_AFTER;
        // It may have finished in the meantime and begun another job.
        if !state.is_active(id) || !matches!(&state.current, Some((_, since)) if is_late(*since)) {
            return;
        }
        let (Some(worker), Some((subject, _))) = (state.active.take(), state.current.take()) else {
            return;
        };
        let mut aside = HeldWorker::new(worker, subject, now);
        let why = aside.first_look(now);
        if let Some(held) = aside.subject.held(why) {
            (self.done)(held);
        }
        if let Some(instance) = aside.subject.instance()
            && state.called_off.remove(&instance)
        {
            aside.call_off(now);
        }
        state.aside.push(aside);
        self.ensure_active(&mut state);
    }

    /// Records that the worker `id` has done its job, in time or late.
    pub(super) fn finished(self: &Arc<Self>, id: u64, answer: Option<SpawnAnswer>) {
        let mut state = self.state();
        if state.is_active(id) {
            // From here on its child is not examined any more.
            let current = state.current.take();
            if !state.called_off.is_empty()
                && let Some(instance) = current.and_then(|(subject, _)| subject.instance())
            {
                state.called_off.remove(&instance);
            }
            drop(state);
            if let Some(answer) = answer {
                (self.done)(answer);
            }
            return;
        }
        let is_its = |aside: &HeldWorker| aside.worker.id == id;
        let is_abandoned = state
            .aside
            .iter()
            .any(|aside| is_its(aside) && aside.is_abandoned);
        match answer {
            Some(SpawnAnswer::Spawned(_, _, pidfd, _)) if is_abandoned => {
                drop(state);
                // The child was killed already, and its answer is not wanted. Until it has exited, the next start of
                // its user waits.
                sys::end_child(&pidfd);
                state = self.state();
            }
            Some(answer) if !is_abandoned => (self.done)(answer),
            Some(_) | None => {}
        }
        let Some(place) = state.aside.iter().position(is_its) else {
            return;
        };
        let worker = state.aside.swap_remove(place).worker;
        state.spares.push(worker);
        state.unpark();
        self.ensure_active(&mut state);
    }

    fn end(&self, state: &mut PoolState) {
        state.is_over = true;
        state.queue.clear();
        state.parked.clear();
        let now = sys::now().mono;
        for aside in &mut state.aside {
            aside.abandon(now);
        }
        self.sockets().close();
        for spare in &state.spares {
            spare.thread.unpark();
        }
        self.over.notify_all();
    }
}

impl PoolState {
    fn is_active(&self, id: u64) -> bool {
        self.active.as_ref().is_some_and(|worker| worker.id == id)
    }

    /// Returns what a job waits for, as text for the log. `parked`: the parked jobs before it. `None`: it need not
    /// wait.
    fn obstacle(&self, job: &SpawnJob, parked: &VecDeque<SpawnJob>) -> Option<String> {
        if self.aside.is_empty() {
            return None;
        }
        if let SpawnJob::Effect(SpawnerEffect::Release(instance)) = job {
            let is_its = |of: Option<InstanceId>| of == Some(*instance);
            let mut aside = self.aside.iter();
            let is_held = aside.any(|aside| is_its(aside.subject.instance()))
                || parked
                    .iter()
                    .any(|job| is_its(HeldSubject::of(job).instance()));
            return is_held.then(String::new);
        }
        let subject = HeldSubject::of(job);
        let owner = subject.owner()?;
        let others = || self.aside.iter().filter_map(|aside| aside.subject.owner());
        if let Some(other) = others().find(|other| owner.waits_behind(other)) {
            return Some(format!("waiting for the start of {}", other.name));
        }
        let is_of_kind = |other: &&JobOwner| other.is_own() == owner.is_own();
        let max = if owner.is_own() { OWN_MAX } else { FOREIGN_MAX };
        let is_full = others().filter(is_of_kind).count() >= max;
        is_full.then(|| format!("waiting for one of {max} other starts"))
    }

    /// Returns jobs that need not wait any more to the front of their queues, in their order.
    fn unpark(&mut self) {
        let (mut ready, mut waiting) = (VecDeque::new(), VecDeque::new());
        for job in std::mem::take(&mut self.parked) {
            match self.obstacle(&job, &waiting) {
                None => ready.push_back(job),
                Some(_) => waiting.push_back(job),
            }
        }
        self.parked = waiting;
        self.queue.put_back(ready);
    }
}

impl fmt::Debug for SpawnPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").finish_non_exhaustive()
    }
}

#[cfg(test)]
#[path = "spawn_pool_tests.rs"]
mod tests;
