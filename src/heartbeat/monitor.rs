//! The monitor thread: sees jobs that last too long and threads that have ended.

use std::fmt;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use super::slot::{Heartbeat, HeartbeatSlot, SlotState, nanos};
use crate::domain::Tick;
use crate::sys::{self, Interest, Poller, Timer, Waker};

/// The name of the monitor's thread.
const NAME: &str = "heartbeat";
/// Token of the waker.
const ALARM: u64 = 0;
/// Token of the timer; tokens of threads begin behind it.
const TIMER: u64 = 1;
/// [`Alarm::looks_at`]: the monitor sleeps until it is woken.
const ASLEEP: u64 = u64::MAX;
/// A thread that watches the shortest bound is looked at no more often than this. A job that begins is looked at after this
/// time for the first time.
pub(super) const PERIOD_MIN: Duration = Duration::from_millis(5);
/// The longest time between two looks while a thread is at work.
const PERIOD_MAX: Duration = Duration::from_secs(5);
/// All threads are quiet when they were idle for this time.
const QUIET_AFTER: Duration = Duration::from_secs(10);

/// What happens when one job of a thread lasts longer than its bound.
pub enum Overdue {
    /// The daemon cannot go on: [`Heartbeats::start`]'s `fatal` is called.
    Fatal,
    /// This is called, once for each such job, on the monitor's thread. It must not block.
    Call(Box<dyn Fn() + Send + Sync>),
}

/// Why the daemon cannot go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ThreadProblem {
    /// The thread of this name has ended without having been told to.
    Ended(&'static str),
    /// One job of the thread of this name lasts longer than it may.
    Overdue(&'static str, Duration),
}

impl fmt::Display for ThreadProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ended(name) => write!(f, "thread {name} has exited"),
            Self::Overdue(name, bound) => write!(
                f,
                "thread {name} has not finished its job within {} s",
                bound.as_secs()
            ),
        }
    }
}

/// How threads wake the monitor.
///
/// Threads that begin jobs set its timer; they do not wake it. A wake-up for each burst of jobs was a third of what a restart
/// cost: it begins a dozen short jobs in five threads.
pub(super) struct Alarm {
    waker: Waker,
    timer: Timer,
    /// When the monitor looks next, in nanoseconds of CLOCK_MONOTONIC. [`ASLEEP`]: not before it is woken.
    looks_at: AtomicU64,
}

impl Alarm {
    /// Makes the monitor look by `at` (nanoseconds of CLOCK_MONOTONIC).
    pub(super) fn expect_by(&self, at: u64) {
        if self.looks_at.fetch_min(at, Ordering::SeqCst) <= at {
            return;
        }
        let mut at = at;
        loop {
            self.timer.set(Tick(at));
            // Another thread that wanted an earlier look may have set the timer before we did.
            let earliest = self.looks_at.load(Ordering::SeqCst);
            if earliest >= at {
                return;
            }
            at = earliest;
        }
    }

    pub(super) fn ring(&self) {
        self.waker.wake();
    }
}

struct MonitorShared {
    alarm: Arc<Alarm>,
    slots: Mutex<Vec<Arc<HeartbeatSlot>>>,
    stop: AtomicBool,
    thread: Mutex<Option<JoinHandle<()>>>,
    /// The ID of the monitor's thread; 0 until it runs.
    monitor: AtomicI32,
    /// Says that it runs. `None`: that was waited for.
    runs: Mutex<Option<Receiver<()>>>,
    fatal: Box<dyn Fn(&ThreadProblem) + Send + Sync>,
    quiet: Box<dyn Fn() + Send + Sync>,
    quiet_after: Duration,
}

impl MonitorShared {
    fn slots(&self) -> MutexGuard<'_, Vec<Arc<HeartbeatSlot>>> {
        // Nothing panics while it holds the lock.
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The heartbeats of all threads. Clones share them; [`Heartbeats::stop`] ends the monitor.
#[derive(Clone)]
pub struct Heartbeats(Arc<MonitorShared>);

impl Heartbeats {
    /// Starts the monitor. `fatal` is called on its thread when the daemon cannot go on; it is not expected to return.
    ///
    /// # Errors
    /// EMFILE, ENOMEM, EAGAIN.
    pub fn start(fatal: impl Fn(&ThreadProblem) + Send + Sync + 'static) -> io::Result<Self> {
        Self::start_with(fatal, || {})
    }

    /// The same. `quiet` is called on the monitor's thread, once, when all threads have been idle for ten seconds after they
    /// were at work. It must not block.
    ///
    /// # Errors
    /// EMFILE, ENOMEM, EAGAIN.
    pub fn start_with(
        fatal: impl Fn(&ThreadProblem) + Send + Sync + 'static,
        quiet: impl Fn() + Send + Sync + 'static,
    ) -> io::Result<Self> {
        Self::start_after(QUIET_AFTER, fatal, quiet)
    }

    fn start_after(
        quiet_after: Duration,
        fatal: impl Fn(&ThreadProblem) + Send + Sync + 'static,
        quiet: impl Fn() + Send + Sync + 'static,
    ) -> io::Result<Self> {
        let poller = Poller::new()?;
        let waker = Waker::new(&poller, ALARM)?;
        let (tell, told) = channel();
        let timer = Timer::new()?;
        poller.add(&timer, TIMER, Interest::Read)?;
        let shared = Arc::new(MonitorShared {
            alarm: Arc::new(Alarm {
                waker,
                timer,
                looks_at: AtomicU64::new(ASLEEP),
            }),
            slots: Mutex::default(),
            stop: AtomicBool::new(false),
            thread: Mutex::default(),
            monitor: AtomicI32::new(0),
            runs: Mutex::new(Some(told)),
            fatal: Box::new(fatal),
            quiet: Box::new(quiet),
            quiet_after,
        });
        let watched = shared.clone();
        let thread = std::thread::Builder::new()
            .name(NAME.to_owned())
            .spawn(move || {
                // Its own slot has no bound that matters: it is there so that others see whether this thread exists.
                let own = HeartbeatSlot::new(NAME, Duration::MAX, Overdue::Fatal);
                watched.monitor.store(own.thread, Ordering::SeqCst);
                watched.slots().push(Arc::new(own));
                // An error: nobody will ask.
                let _ = tell.send(());
                Monitor {
                    shared: watched,
                    poller,
                    watched: Vec::new(),
                    next_token: TIMER + 1,
                }
                .run();
            })?;
        *shared.thread.lock().unwrap_or_else(PoisonError::into_inner) = Some(thread);
        Ok(Self(shared))
    }

    /// The ones of all unit tests, which are many in one process: each monitor has descriptors of its own.
    #[cfg(test)]
    pub(crate) fn of_tests() -> Self {
        static SHARED: std::sync::OnceLock<Heartbeats> = std::sync::OnceLock::new();
        SHARED
            .get_or_init(|| Self::start(|_| {}).expect("started"))
            .clone()
    }

    /// The heartbeat of one kind of job of the calling thread, which may have several. `bound`: how long one job may last.
    #[must_use]
    pub fn register(&self, name: &'static str, bound: Duration, overdue: Overdue) -> Heartbeat {
        self.add(HeartbeatSlot::new(name, bound, overdue))
    }

    /// Watches for the end of the calling thread, which has no jobs that could last too long.
    #[must_use]
    pub fn register_end(&self, name: &'static str) -> Heartbeat {
        self.register(name, Duration::MAX, Overdue::Fatal)
    }

    /// Watches for the end of the thread with the ID `thread`, which lives longer than this monitor.
    #[must_use]
    pub fn register_end_of(&self, name: &'static str, thread: i32) -> Heartbeat {
        self.add(HeartbeatSlot::of_thread(
            name,
            thread,
            Duration::MAX,
            Overdue::Fatal,
        ))
    }

    fn add(&self, slot: HeartbeatSlot) -> Heartbeat {
        let slot = Arc::new(slot);
        self.0.slots().push(slot.clone());
        self.0.alarm.ring();
        Heartbeat {
            slot,
            alarm: self.0.alarm.clone(),
        }
    }

    /// Why no watchdog message may be given now. `None`: every thread is there, and idle or within the bound of its job (of
    /// those whose overdue jobs are [`Overdue::Fatal`]).
    #[must_use]
    pub fn problem(&self) -> Option<ThreadProblem> {
        self.0.slots().iter().find_map(|slot| {
            if slot.is_retired() {
                return None;
            }
            if !sys::has_thread(slot.thread) {
                return Some(ThreadProblem::Ended(slot.name));
            }
            let is_fatal = matches!(slot.overdue, Overdue::Fatal);
            slot.busy_for()
                .filter(|busy| is_fatal && *busy > slot.bound)
                .map(|_| ThreadProblem::Overdue(slot.name, slot.bound))
        })
    }

    /// A descriptor that is readable once the monitor has ended, for a thread that it watches: nobody else would see that
    /// end. Then [`Heartbeats::monitor_ended`] is to be called.
    ///
    /// # Errors
    /// EINVAL: the kernel is older than 6.9. EMFILE, ENOMEM.
    pub fn watch_monitor(&self) -> io::Result<OwnedFd> {
        let runs = self.0.runs.lock();
        if let Some(runs) = runs.unwrap_or_else(PoisonError::into_inner).take() {
            // It began to run while other threads were started. An error: it has ended already, which the one that asks for
            // trouble will find.
            let _ = runs.recv();
        }
        sys::open_thread(self.0.monitor.load(Ordering::SeqCst))
    }

    /// Calls `fatal` since the monitor cannot.
    pub fn monitor_ended(&self) {
        (self.0.fatal)(&ThreadProblem::Ended(NAME));
    }

    /// Ends the monitor and waits for that. Threads may end unwatched from here on.
    pub fn stop(&self) {
        self.0.stop.store(true, Ordering::SeqCst);
        self.0.alarm.ring();
        let thread = self
            .0
            .thread
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(thread) = thread {
            // A panic has already been printed by the thread itself.
            let _ = thread.join();
        }
    }
}

impl fmt::Debug for Heartbeats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Heartbeats").finish_non_exhaustive()
    }
}

/// A slot, and what the monitor remembers of it.
struct WatchedThread {
    slot: Arc<HeartbeatSlot>,
    /// Readable once the thread has ended, with its token. `None`: the kernel is older than 6.9.
    end: Option<(u64, OwnedFd)>,
    /// That is not enough: the kernel is asked for the thread at each look.
    is_asked_for: bool,
    /// At the last look.
    seen: SlotState,
    /// It was at work at the last look, or had been since the one before.
    is_active: bool,
    /// How long the job that is under way has been seen to last.
    lasted: Duration,
    has_called: bool,
}

struct Monitor {
    shared: Arc<MonitorShared>,
    poller: Poller,
    watched: Vec<WatchedThread>,
    next_token: u64,
}

impl Monitor {
    fn run(&mut self) {
        let mut period: Option<Duration> = None;
        // For how long all threads have been idle. `None`: since before the last call of `quiet`.
        let mut idle_for: Option<Duration> = None;
        let mut ended: Vec<u64> = Vec::new();
        let mut looked = sys::now().mono;
        loop {
            // The kernel has nothing else to say than that it is time, that somebody woke us, or that a thread has ended.
            ended.clear();
            if let Ok(ready) = self.poller.wait(None) {
                let tokens = ready.map(|ready| ready.token);
                ended.extend(tokens.filter(|&token| token > TIMER));
            }
            let alarm = self.shared.alarm.clone();
            alarm.waker.reset();
            alarm.timer.reset();
            if self.shared.stop.load(Ordering::SeqCst) {
                return;
            }
            let now = sys::now().mono;
            let passed = Duration::from_nanos(now.nanos_since(looked));
            looked = now;
            // A longer wait than was asked for means that this thread stood still too.
            let passed = period.map_or(Duration::ZERO, |period| passed.min(period * 2));
            self.add_new();
            for trouble in self.check(passed, &ended) {
                (self.shared.fatal)(&trouble);
            }
            period = self.next_period();
            if period.is_some() {
                idle_for = Some(Duration::ZERO);
            } else if let Some(idle) = &mut idle_for {
                *idle += passed;
                match self.shared.quiet_after.checked_sub(*idle) {
                    Some(rest) if !rest.is_zero() => period = Some(rest),
                    _ => {
                        idle_for = None;
                        (self.shared.quiet)();
                    }
                }
            }
            alarm.looks_at.store(ASLEEP, Ordering::SeqCst);
            if let Some(period) = period {
                alarm.expect_by(now.0.saturating_add(nanos(period)));
            }
            // A job that began after the look and before that store has set the timer, and we may have set it later.
            let is_new = |one: &WatchedThread| one.slot.state().jobs != one.seen.jobs;
            if self.watched.iter().any(is_new) {
                alarm.expect_by(now.0.saturating_add(nanos(PERIOD_MIN)));
            }
        }
    }

    /// Takes slots that are new, and drops those that are not needed any more.
    fn add_new(&mut self) {
        let mut slots = self.shared.slots();
        slots.retain(|slot| !slot.is_retired());
        let new = slots
            .iter()
            .filter(|slot| !self.watched.iter().any(|one| Arc::ptr_eq(&one.slot, slot)));
        let new: Vec<Arc<HeartbeatSlot>> = new.cloned().collect();
        drop(slots);
        let poller = &self.poller;
        self.watched.retain(|one| {
            let is_needed = !one.slot.is_retired();
            if let (false, Some((_, end))) = (is_needed, &one.end) {
                let _ = poller.remove(end);
            }
            is_needed
        });
        for slot in new {
            let token = self.next_token;
            self.next_token += 1;
            let end = sys::open_thread(slot.thread).ok();
            let end = end.filter(|end| self.poller.add(end, token, Interest::Read).is_ok());
            // While other threads live, kernels since 6.15 do not tell the end of the main one.
            let is_main = u32::try_from(slot.thread) == Ok(std::process::id());
            self.watched.push(WatchedThread {
                is_asked_for: is_main || end.is_none(),
                // As a slot that has done nothing, so that the next look sees its first job begin.
                seen: SlotState::default(),
                is_active: false,
                slot,
                end: end.map(|end| (token, end)),
                lasted: Duration::ZERO,
                has_called: false,
            });
        }
    }

    /// Looks at all slots after `passed`, and answers what the daemon cannot go on with. `ended` are tokens of threads that
    /// have ended.
    fn check(&mut self, passed: Duration, ended: &[u64]) -> Vec<ThreadProblem> {
        let mut troubles = Vec::new();
        for one in &mut self.watched {
            let is_told = one
                .end
                .as_ref()
                .is_some_and(|(token, _)| ended.contains(token));
            let may_have_ended = is_told || one.is_asked_for;
            if may_have_ended && !sys::has_thread(one.slot.thread) && !one.slot.is_retired() {
                troubles.push(ThreadProblem::Ended(one.slot.name));
                // Level-triggered: it would wake us for ever.
                if let Some((_, end)) = one.end.take() {
                    let _ = self.poller.remove(&end);
                }
                continue;
            }
            let now = one.slot.state();
            let before = std::mem::replace(&mut one.seen, now);
            one.is_active = now.is_busy || now.jobs != before.jobs;
            if now.is_busy && now == before {
                one.lasted += passed;
            } else {
                one.lasted = Duration::ZERO;
                one.has_called = false;
            }
            if now.is_busy && one.lasted >= one.slot.bound && !one.has_called {
                one.has_called = true;
                match &one.slot.overdue {
                    Overdue::Call(call) => call(),
                    Overdue::Fatal => {
                        troubles.push(ThreadProblem::Overdue(one.slot.name, one.slot.bound));
                    }
                }
            }
        }
        troubles
    }

    /// How long to wait before the next look: as long as the shortest bound of a thread that is at work, or was since the
    /// last look. `None`: all are idle.
    fn next_period(&self) -> Option<Duration> {
        let active = self
            .watched
            .iter()
            .filter(|one| one.is_active && !one.has_called);
        active
            .map(|one| one.slot.bound.clamp(PERIOD_MIN, PERIOD_MAX))
            .min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::Receiver;

    const LIMIT: Duration = Duration::from_secs(20);
    const BOUND: Duration = Duration::from_millis(20);

    fn started() -> (Heartbeats, Receiver<ThreadProblem>) {
        let (tell, troubles) = channel();
        let fatal = move |trouble: &ThreadProblem| {
            let _ = tell.send(trouble.clone());
        };
        let beats = Heartbeats::start_after(BOUND, fatal, || {});
        (beats.expect("started"), troubles)
    }

    #[test]
    fn a_job_that_lasts_too_long_is_told_once() {
        let (beats, troubles) = started();
        let (called, calls) = channel();
        let call = Overdue::Call(Box::new(move || {
            let _ = called.send(());
        }));
        let heartbeat = beats.register("worker", BOUND, call);
        for _ in 0..2 {
            heartbeat.busy();
            calls.recv_timeout(LIMIT).expect("told");
            // Other looks must not tell it again.
            let other = beats.register("other", BOUND, Overdue::Fatal);
            other.busy();
            let trouble = troubles.recv_timeout(LIMIT).expect("told");
            assert_eq!(trouble, ThreadProblem::Overdue("other", BOUND));
            assert!(calls.try_recv().is_err(), "told twice");
            heartbeat.idle();
        }
        beats.stop();
    }

    #[test]
    fn short_jobs_are_well_however_many_there_are() {
        let (beats, troubles) = started();
        let heartbeat = beats.register("worker", LIMIT, Overdue::Fatal);
        for _ in 0..1000 {
            heartbeat.busy();
            assert_eq!(beats.problem(), None);
            heartbeat.idle();
        }
        beats.stop();
        assert!(troubles.try_recv().is_err());
    }

    #[test]
    fn a_thread_that_ends_unasked_is_trouble_and_one_that_retires_is_not() {
        let (beats, troubles) = started();
        let theirs = beats.clone();
        let retires = std::thread::spawn(move || {
            drop(theirs.register("retiring", LIMIT, Overdue::Fatal));
        });
        retires.join().expect("joined");
        let theirs = beats.clone();
        let ends = std::thread::spawn(move || {
            // Its end without a word is what a kill of the thread looks like.
            std::mem::forget(theirs.register("ending", LIMIT, Overdue::Fatal));
        });
        ends.join().expect("joined");
        // Where the kernel cannot tell the end of a thread, the next look sees it.
        let heartbeat = beats.register("worker", BOUND, Overdue::Fatal);
        heartbeat.busy();
        heartbeat.idle();
        let trouble = troubles.recv_timeout(LIMIT).expect("told");
        assert_eq!(trouble, ThreadProblem::Ended("ending"));
        assert_eq!(beats.problem(), Some(ThreadProblem::Ended("ending")));
        beats.stop();
    }

    #[test]
    fn a_thread_that_panics_is_trouble() {
        let (beats, troubles) = started();
        let theirs = beats.clone();
        let panics = std::thread::spawn(move || {
            let _heartbeat = theirs.register_end("panicking");
            std::panic::resume_unwind(Box::new(()));
        });
        panics.join().expect_err("panicked");
        // Where the kernel cannot tell the end of a thread, the next look sees it.
        let heartbeat = beats.register("worker", BOUND, Overdue::Fatal);
        heartbeat.busy();
        heartbeat.idle();
        let trouble = troubles.recv_timeout(LIMIT).expect("told");
        assert_eq!(trouble, ThreadProblem::Ended("panicking"));
        assert_eq!(beats.problem(), Some(ThreadProblem::Ended("panicking")));
        beats.stop();
    }

    #[test]
    fn that_all_are_quiet_is_told_once_for_each_stretch_of_work() {
        let (tell, told) = channel();
        let quiet = move || {
            let _ = tell.send(());
        };
        let beats = Heartbeats::start_after(BOUND, |_| {}, quiet).expect("started");
        let heartbeat = beats.register("worker", BOUND, Overdue::Fatal);
        let asleep = || {
            let limit = std::time::Instant::now() + LIMIT;
            while heartbeat.alarm.looks_at.load(Ordering::SeqCst) != ASLEEP {
                assert!(std::time::Instant::now() < limit, "it goes on looking");
                std::thread::yield_now();
            }
        };
        // Nothing was at work yet.
        asleep();
        assert!(told.try_recv().is_err(), "nothing was at work");
        for _ in 0..2 {
            heartbeat.busy();
            heartbeat.idle();
            told.recv_timeout(LIMIT).expect("told");
            asleep();
            assert!(told.try_recv().is_err(), "told twice");
        }
        beats.stop();
    }

    #[test]
    fn the_monitor_sleeps_while_all_are_idle() {
        let (beats, _troubles) = started();
        let heartbeat = beats.register("worker", BOUND, Overdue::Fatal);
        heartbeat.busy();
        heartbeat.idle();
        let limit = std::time::Instant::now() + LIMIT;
        while heartbeat.alarm.looks_at.load(Ordering::SeqCst) != ASLEEP {
            assert!(std::time::Instant::now() < limit, "it goes on looking");
            std::thread::yield_now();
        }
        beats.stop();
    }
}
