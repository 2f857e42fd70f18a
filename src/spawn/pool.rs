//! The jobs and the spawner threads: one thread works, the others are set aside with jobs that are held up, or are spare.
//!
//! ```text
//!             ┌──────── next job ────────┐
//! queue ──→ active ──comes back in time──┘          (spawns before everything else)
//!             │ not back within HELD_AFTER: a spare thread, or a new one, becomes the active one
//!             ▼
//!           aside ──comes back late──→ spare
//! ```
//!
//! A job whose [`Owner`] has one that is held up is parked until that one is over. So a user holds up one thread at most,
//! and nobody but itself.

use std::collections::{BTreeSet, VecDeque};
use std::fmt;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::aside::{Aside, Subject};
use super::message::{Done, Job};
use super::owner::{FOREIGN_MAX, OWN_MAX, Owner};
use super::plan::Base;
use super::sockets::Sockets;
use super::worker::{self, Worker};
use crate::cgroup::Lodging;
use crate::domain::{Life, Line, SpawnError, Tick};
use crate::heartbeat::Heartbeats;
use crate::sys::{self, Spawner, Staging, Table};

/// A job that takes longer is held up. The monitor sees that within twice this time, and others are to start within one
/// second.
pub(super) const HELD_AFTER: Duration = Duration::from_millis(400);
/// Jobs after which free memory is given back, at the next moment without a job.
const GIVE_BACK_JOBS: usize = 256;
/// How long a handover waits for children that are held up to end, in milliseconds.
const LEAVE_MS: u64 = 1_000;
/// How often it looks at them.
const LEAVE_LOOK: Duration = Duration::from_millis(10);

/// What all spawner threads share.
pub(super) struct Pool {
    state: Mutex<State>,
    /// [`State::is_over`] has become true.
    over: Condvar,
    /// Locked for moments only, never while a socket is made.
    sockets: Mutex<Sockets>,
    pub(super) base: Base,
    pub(super) lodging: Lodging,
    pub(super) heartbeats: Heartbeats,
    /// Called with each answer. Never blocks, and may be called while the state is locked.
    done: Box<dyn Fn(Done) + Send + Sync>,
    log: Box<dyn Fn(Line) + Send + Sync>,
}

/// Jobs that nobody does yet. Spawns go before all others: whoever waits for a process waits longest, and with FIFO the first
/// of 1,000 programs ran after 1,000 commands had been looked up, at 37 ms instead of 16 ms. Nothing can wait for ever behind
/// spawns, for each of them follows a job of the other kind.
#[derive(Default)]
struct Queue {
    spawns: VecDeque<Job>,
    others: VecDeque<Job>,
    /// [`Job::Stop`] or [`Job::HandOver`] has come: what comes after it is dropped.
    is_closed: bool,
}

impl Queue {
    fn push(&mut self, job: Job) {
        if self.is_closed {
            return;
        }
        self.is_closed = matches!(job, Job::Stop | Job::HandOver);
        self.jobs_like(&job).push_back(job);
    }

    fn jobs_like(&mut self, job: &Job) -> &mut VecDeque<Job> {
        match job {
            Job::Spawn(..) => &mut self.spawns,
            Job::Resolve(..)
            | Job::Check(..)
            | Job::Release(_)
            | Job::TrySockets(..)
            | Job::HandOver
            | Job::Stop => &mut self.others,
        }
    }

    fn pop(&mut self) -> Option<Job> {
        self.spawns.pop_front().or_else(|| self.others.pop_front())
    }

    /// Puts jobs before all others of their kind.
    fn put_back(&mut self, jobs: VecDeque<Job>) {
        for job in jobs.into_iter().rev() {
            self.jobs_like(&job).push_front(job);
        }
    }

    fn iter(&self) -> impl Iterator<Item = &Job> {
        self.spawns.iter().chain(&self.others)
    }

    fn clear(&mut self) {
        self.spawns.clear();
        self.others.clear();
    }
}

/// Who does what.
struct State {
    queue: Queue,
    /// Jobs that wait for one that is held up, in the order in which they came.
    parked: VecDeque<Job>,
    /// Lives whose spawn was called off while its job was in the queue or under way.
    called_off: BTreeSet<Life>,
    /// `None`: no thread could be had for it. The next job tries again.
    active: Option<Worker>,
    /// What the active worker does, and since when.
    current: Option<(Subject, Tick)>,
    spares: Vec<Worker>,
    aside: Vec<Aside>,
    next_id: u64,
    /// For the next worker: made early, so that its descriptors are low.
    spawner: Option<Spawner>,
    table: Table,
    /// Handing over: no job is begun any more, and children that are held up are waited for until then.
    leaving_until: Option<Tick>,
    /// Workers end.
    is_over: bool,
}

/// What the active worker finds.
enum Found {
    Job(Box<Job>),
    Nothing,
    Leave,
    End,
}

impl Pool {
    /// # Errors
    /// No descriptors, memory or threads to be had.
    pub(super) fn start(
        base: Base,
        lodging: Lodging,
        sockets: Sockets,
        heartbeats: Heartbeats,
        [first, second]: [Staging; 2],
        done: Box<dyn Fn(Done) + Send + Sync>,
        log: Box<dyn Fn(Line) + Send + Sync>,
    ) -> io::Result<Arc<Self>> {
        let spawner = Spawner::staged_in(first)?;
        let table = spawner.table();
        let spare = Spawner::with(table, second)?;
        let pool = Arc::new(Self {
            state: Mutex::new(State {
                queue: Queue::default(),
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
            lodging,
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

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it holds the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn sockets(&self) -> MutexGuard<'_, Sockets> {
        self.sockets.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn log(&self, line: Line) {
        (self.log)(line);
    }

    fn start_worker(self: &Arc<Self>, state: &mut State) -> io::Result<Worker> {
        let spawner = match state.spawner.take() {
            Some(spawner) => spawner,
            None => Spawner::with_table(state.table)?,
        };
        let id = state.next_id;
        state.next_id += 1;
        worker::start(self, id, spawner)
    }

    /// Sees to it that somebody works.
    fn ensure_active(self: &Arc<Self>, state: &mut State) {
        if state.active.is_none() {
            let spare = state.spares.pop();
            state.active = spare.or_else(|| self.start_worker(state).ok());
        }
        if let Some(active) = &state.active {
            active.thread.unpark();
        }
    }

    /// Queues a job.
    pub(super) fn send(self: &Arc<Self>, job: Job) {
        let mut state = self.state();
        if state.is_over {
            return;
        }
        state.queue.push(job);
        let active = match &state.active {
            Some(active) => active.thread.clone(),
            None => return self.ensure_active(&mut state),
        };
        // It would only find the state locked.
        drop(state);
        active.unpark();
    }

    /// Waits until the jobs that are queued are done or held up, and all workers that can end do so.
    pub(super) fn stop(self: &Arc<Self>) {
        let mut state = self.state();
        if !state.is_over {
            state.queue.push(Job::Stop);
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

    /// The process of `life` is not wanted any more, though the kernel may have been asked for it. Its job is answered in
    /// any case.
    pub(super) fn call_off(self: &Arc<Self>, life: Life) {
        let mut state = self.state();
        let is_its = |job: &Job| matches!(job, Job::Spawn(of, ..) if *of == life);
        if let Some(place) = state.parked.iter().position(is_its) {
            if let Some(job) = state.parked.remove(place) {
                self.answer_called_off(&Subject::of(&job));
            }
            return;
        }
        let now = sys::now().mono;
        match state
            .aside
            .iter_mut()
            .find(|aside| aside.subject.life() == Some(life))
        {
            Some(aside) => aside.call_off(now),
            None => {
                let is_current = matches!(
                    &state.current,
                    Some((Subject::Spawn(of, _), _)) if *of == life
                );
                if is_current || state.queue.iter().any(is_its) {
                    state.called_off.insert(life);
                }
            }
        }
        self.ensure_active(&mut state);
    }

    fn answer_called_off(&self, subject: &Subject) {
        if let (Some(life), Some(owner)) = (subject.life(), subject.owner()) {
            let name = owner.name.as_str().to_owned();
            (self.done)(Done::Failed(life, SpawnError::CalledOff { name }));
        }
    }

    /// Whether the child `pid`, whom nobody knows, may be the process of one of these lives, whose spawn was asked for and
    /// whose answer has not been read.
    pub(super) fn may_be(&self, lives: &BTreeSet<Life>, pid: i32) -> bool {
        let state = self.state();
        let has_none = |life: &Life| {
            let is_its = |job: &Job| matches!(job, Job::Spawn(of, ..) if of == life);
            state.queue.iter().chain(&state.parked).any(is_its)
        };
        let is_another = |life: &Life| {
            let mut aside = state.aside.iter();
            aside
                .find(|aside| aside.subject.life() == Some(*life))
                .and_then(|aside| aside.worker.child.pid())
                .is_some_and(|known| known != pid)
        };
        // Of the active one that is known in a moment, like the answer that is on its way.
        !lives.iter().all(|life| has_none(life) || is_another(life))
    }

    /// The next job of the worker `id`. `None`: it is to end.
    pub(super) fn next(self: &Arc<Self>, id: u64, jobs_since: &mut usize) -> Option<Job> {
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
                Found::Job(job) => {
                    state.current = Some((Subject::of(&job), sys::now().mono));
                    *jobs_since += 1;
                    return Some(*job);
                }
                Found::Nothing => {
                    drop(state);
                    // The plans of a thousand starts leave 2.5 MB of holes behind.
                    if *jobs_since >= GIVE_BACK_JOBS {
                        *jobs_since = 0;
                        sys::give_back();
                    } else if due == Tick::NEVER {
                        std::thread::park();
                    } else {
                        let nanos = due.nanos_since(sys::now().mono);
                        std::thread::park_timeout(Duration::from_nanos(nanos));
                    }
                }
                Found::Leave => {
                    let is_late = state.leaving_until <= Some(sys::now().mono);
                    if is_late || !state.aside.iter().any(Aside::has_child) {
                        let sockets = self.sockets().hand_over();
                        (self.done)(Done::HandedOver(sockets));
                        self.end(&mut state);
                    } else {
                        drop(state);
                        std::thread::park_timeout(LEAVE_LOOK);
                    }
                }
                Found::End => self.end(&mut state),
            }
        }
    }

    /// The first job that need not wait.
    fn find(&self, state: &mut State) -> Found {
        if state.leaving_until.is_some() {
            return Found::Leave;
        }
        while let Some(job) = state.queue.pop() {
            match job {
                Job::Stop => return Found::End,
                Job::HandOver => {
                    let now = sys::now().mono;
                    state.leaving_until = Some(now.plus_millis(LEAVE_MS));
                    // Whoever goes on begins these starts anew, so none of them may come to anything.
                    for aside in &mut state.aside {
                        aside.abandon(now);
                    }
                    return Found::Leave;
                }
                job => match state.obstacle(&job, &state.parked) {
                    None => return Found::Job(Box::new(job)),
                    Some(why) => self.park(job, &why, state),
                },
            }
        }
        Found::Nothing
    }

    /// Puts a job off until what it waits for is over, and tells whoever it is for.
    fn park(&self, job: Job, why: &str, state: &mut State) {
        let subject = Subject::of(&job);
        if let Some(life) = subject.life()
            && state.called_off.remove(&life)
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

    /// Looks at what is held up, if that is due; answers when it is next.
    fn look_at_asides(&self, state: &mut State) -> Tick {
        if state.aside.is_empty() {
            return Tick::NEVER;
        }
        let now = sys::now().mono;
        let mut due = Tick::NEVER;
        for aside in &mut state.aside {
            if let Some(told) = aside.look(now) {
                (self.done)(told);
            }
            due = due.min(aside.look_at());
        }
        due
    }

    /// The worker `id` has not come back in time. Called on the monitor's thread.
    pub(super) fn set_aside(self: &Arc<Self>, id: u64) {
        let mut state = self.state();
        let now = sys::now().mono;
        let is_late = |since: Tick| Duration::from_nanos(now.nanos_since(since)) >= HELD_AFTER;
        // It may have come back meanwhile, and have begun another.
        if !state.is_active(id) || !matches!(&state.current, Some((_, since)) if is_late(*since)) {
            return;
        }
        let (Some(worker), Some((subject, _))) = (state.active.take(), state.current.take()) else {
            return;
        };
        let mut aside = Aside::new(worker, subject, now);
        let why = aside.first_look(now);
        if let Some(held) = aside.subject.held(why) {
            (self.done)(held);
        }
        if let Some(life) = aside.subject.life()
            && state.called_off.remove(&life)
        {
            aside.call_off(now);
        }
        state.aside.push(aside);
        self.ensure_active(&mut state);
    }

    /// The worker `id` has done its job, in time or not.
    pub(super) fn finished(self: &Arc<Self>, id: u64, answer: Option<Done>) {
        let mut state = self.state();
        if state.is_active(id) {
            // From here on nobody looks at its child any more.
            let current = state.current.take();
            if !state.called_off.is_empty()
                && let Some(life) = current.and_then(|(subject, _)| subject.life())
            {
                state.called_off.remove(&life);
            }
            drop(state);
            if let Some(answer) = answer {
                (self.done)(answer);
            }
            return;
        }
        let is_its = |aside: &Aside| aside.worker.id == id;
        let is_abandoned = state
            .aside
            .iter()
            .any(|aside| is_its(aside) && aside.is_abandoned);
        match answer {
            Some(Done::Spawned(_, _, pidfd, _)) if is_abandoned => {
                drop(state);
                // Killed already, and nobody's. Until it has ended its user's next start waits.
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

    fn end(&self, state: &mut State) {
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

impl State {
    fn is_active(&self, id: u64) -> bool {
        self.active.as_ref().is_some_and(|worker| worker.id == id)
    }

    /// What a job waits for, as it reads in the log. `parked` are jobs before it.
    fn obstacle(&self, job: &Job, parked: &VecDeque<Job>) -> Option<String> {
        if self.aside.is_empty() {
            return None;
        }
        if let Job::Release(life) = job {
            let is_its = |of: Option<Life>| of == Some(*life);
            let mut aside = self.aside.iter();
            let is_held = aside.any(|aside| is_its(aside.subject.life()))
                || parked.iter().any(|job| is_its(Subject::of(job).life()));
            return is_held.then(String::new);
        }
        let subject = Subject::of(job);
        let owner = subject.owner()?;
        let others = || self.aside.iter().filter_map(|aside| aside.subject.owner());
        if let Some(other) = others().find(|other| owner.waits_behind(other)) {
            return Some(format!("waiting for the start of {}", other.name));
        }
        let is_of_kind = |other: &&Owner| other.is_own() == owner.is_own();
        let max = if owner.is_own() { OWN_MAX } else { FOREIGN_MAX };
        let is_full = others().filter(is_of_kind).count() >= max;
        is_full.then(|| format!("waiting for one of {max} other starts"))
    }

    /// Puts jobs that need not wait any more back before those of their kind, in their order.
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

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").finish_non_exhaustive()
    }
}

#[cfg(test)]
#[path = "pool_tests.rs"]
mod tests;
