//! The monitor thread: detects jobs that take too long and threads that have exited.

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

/// The name of the monitor thread.
const NAME: &str = "heartbeat";
/// The token of the waker.
const ALARM: u64 = 0;
/// The token of the timer. The tokens of threads start after it.
const TIMER: u64 = 1;
/// [`Alarm::looks_at`]: the monitor sleeps until it is woken.
const ASLEEP: u64 = u64::MAX;
/// The minimum time between two checks, and the maximum time from the start of a job to its first check.
pub(super) const PERIOD_MIN: Duration = Duration::from_millis(5);
/// The maximum time between two checks while a thread is busy.
const PERIOD_MAX: Duration = Duration::from_secs(5);
/// How long all threads must be idle before `quiet` is called.
const QUIET_AFTER: Duration = Duration::from_secs(10);

/// What happens if a job of a thread takes longer than its bound.
pub enum Overdue {
    /// The daemon cannot continue: the monitor calls `fatal` of [`Heartbeats::start`].
    Fatal,
    /// The monitor calls this once for each such job, on its own thread. The function must not block.
    Call(Box<dyn Fn() + Send + Sync>),
}

/// Why the daemon cannot continue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ThreadProblem {
    /// The thread of this name has exited unexpectedly.
    Ended(&'static str),
    /// A job of the thread of this name takes longer than this bound.
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

/// Wakes the monitor.
///
/// Threads that start jobs set its timer rather than wake it. A wake-up for each burst of jobs took a third of the cost
/// of a restart, which starts a dozen short jobs in five threads.
pub(super) struct Alarm {
    waker: Waker,
    timer: Timer,
    /// When the monitor checks next, in nanoseconds of CLOCK_MONOTONIC. [`ASLEEP`]: only when it is woken.
    looks_at: AtomicU64,
}

impl Alarm {
    /// Makes the monitor check at `at` or earlier (nanoseconds of CLOCK_MONOTONIC).
    pub(super) fn expect_by(&self, at: u64) {
        if self.looks_at.fetch_min(at, Ordering::SeqCst) <= at {
            return;
        }
        let mut at = at;
        loop {
            self.timer.set(Tick(at));
            // Another thread that needs an earlier check may have set the timer before this one.
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
    /// The thread ID of the monitor. 0 until it runs.
    monitor: AtomicI32,
    /// Signals that the monitor runs. `None`: a caller has waited for it already.
    runs: Mutex<Option<Receiver<()>>>,
    fatal: Box<dyn Fn(&ThreadProblem) + Send + Sync>,
    quiet: Box<dyn Fn() + Send + Sync>,
    quiet_after: Duration,
}

impl MonitorShared {
    fn slots(&self) -> MutexGuard<'_, Vec<Arc<HeartbeatSlot>>> {
        // No code panics while it holds the lock.
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The heartbeats of all threads. Clones share them. [`Heartbeats::stop`] ends the monitor.
#[derive(Clone)]
pub struct Heartbeats(Arc<MonitorShared>);

impl Heartbeats {
    /// Starts the monitor. It calls `fatal` on its thread when the daemon cannot continue. `fatal` is not expected to
    /// return.
    ///
    /// # Errors
    /// EMFILE, ENOMEM, EAGAIN.
    pub fn start(fatal: impl Fn(&ThreadProblem) + Send + Sync + 'static) -> io::Result<Self> {
        Self::start_with(fatal, || {})
    }

    /// Starts the monitor with another function `quiet`. It calls `quiet` on its thread, once, when all threads have
    /// been idle for ten seconds after work. `quiet` must not block.
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
                // The slot of the monitor itself has no effective bound. It lets other threads check that the monitor
                // exists.
                let own = HeartbeatSlot::new(NAME, Duration::MAX, Overdue::Fatal);
                watched.monitor.store(own.thread, Ordering::SeqCst);
                watched.slots().push(Arc::new(own));
                // An error means that no thread waits for it.
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

    /// Returns the heartbeats shared by all unit tests of the process, since each monitor needs descriptors of its own.
    #[cfg(test)]
    pub(crate) fn of_tests() -> Self {
        static SHARED: std::sync::OnceLock<Heartbeats> = std::sync::OnceLock::new();
        SHARED
            .get_or_init(|| Self::start(|_| {}).expect("started"))
            .clone()
    }

    /// Registers one kind of job of the calling thread, which may have several. `bound`: how long one job may take.
    #[must_use]
    pub fn register(&self, name: &'static str, bound: Duration, overdue: Overdue) -> Heartbeat {
        self.add(HeartbeatSlot::new(name, bound, overdue))
    }

    /// Watches for the exit of the calling thread. Its jobs have no bound.
    #[must_use]
    pub fn register_end(&self, name: &'static str) -> Heartbeat {
        self.register(name, Duration::MAX, Overdue::Fatal)
    }

    /// Watches for the exit of the thread with the ID `thread`, which outlives this monitor.
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

    /// Returns why no keepalive may be sent now. `None`: every thread exists and is idle or within the bound of its
    /// job. Jobs count only if they are [`Overdue::Fatal`].
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

    /// Returns a descriptor that is readable once the monitor has exited. A thread that watches it must then call
    /// [`Heartbeats::monitor_ended`]. No other thread would notice that exit.
    ///
    /// # Errors
    /// EINVAL: the kernel is older than 6.9. EMFILE, ENOMEM.
    pub fn watch_monitor(&self) -> io::Result<OwnedFd> {
        let runs = self.0.runs.lock();
        if let Some(runs) = runs.unwrap_or_else(PoisonError::into_inner).take() {
            // The monitor may still be starting. An error means that it has exited already, which the keepalive check
            // will find.
            let _ = runs.recv();
        }
        sys::open_thread(self.0.monitor.load(Ordering::SeqCst))
    }

    /// Calls `fatal` in place of the monitor, which has exited.
    pub fn monitor_ended(&self) {
        (self.0.fatal)(&ThreadProblem::Ended(NAME));
    }

    /// Stops the monitor and waits for its exit. From then on threads may exit unwatched.
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
            // If the thread panicked, it has printed that itself.
            let _ = thread.join();
        }
    }
}

impl fmt::Debug for Heartbeats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Heartbeats").finish_non_exhaustive()
    }
}

/// A slot and the monitor's data about it.
struct WatchedThread {
    slot: Arc<HeartbeatSlot>,
    /// The token and a descriptor that is readable once the thread has exited. `None`: the kernel is older than 6.9.
    end: Option<(u64, OwnedFd)>,
    /// The descriptor is missing or not sufficient, so each check asks the kernel whether the thread exists.
    is_asked_for: bool,
    /// The state at the last check.
    seen: SlotState,
    /// The thread was busy at the last check or since the one before.
    is_active: bool,
    /// How long the current job has been observed.
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
        // How long all threads have been idle. `None`: `quiet` was called and no thread has been busy since.
        let mut idle_for: Option<Duration> = None;
        let mut ended: Vec<u64> = Vec::new();
        let mut looked = sys::now().mono;
        loop {
            // The wait ends because time has passed, a thread woke the monitor, or a thread has exited.
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
            // A longer wait than requested means that this thread did not run either.
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
            // A job that started between the check and that store has set the timer, and this thread may have set it
            // later again.
            let is_new = |one: &WatchedThread| one.slot.state().jobs != one.seen.jobs;
            if self.watched.iter().any(is_new) {
                alarm.expect_by(now.0.saturating_add(nanos(PERIOD_MIN)));
            }
        }
    }

    /// Adds new slots and removes those that are no longer needed.
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
            // Kernels since 6.15 do not report the exit of the main thread while other threads exist.
            let is_main = u32::try_from(slot.thread) == Ok(std::process::id());
            self.watched.push(WatchedThread {
                is_asked_for: is_main || end.is_none(),
                // Start with the state of an unused slot, so that the next check sees the first job start.
                seen: SlotState::default(),
                is_active: false,
                slot,
                end: end.map(|end| (token, end)),
                lasted: Duration::ZERO,
                has_called: false,
            });
        }
    }

    /// Checks all slots after the time `passed` and returns fatal problems. `ended` are tokens of threads that have
    /// exited.
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
                // The event is level-triggered and would wake the monitor for ever.
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

    /// Returns how long to wait before the next check: the shortest bound of the threads that are busy or were since
    /// the last check. `None`: all are idle.
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
    fn an_overdue_job_is_reported_once() {
        let (beats, troubles) = started();
        let (called, calls) = channel();
        let call = Overdue::Call(Box::new(move || {
            let _ = called.send(());
        }));
        let heartbeat = beats.register("worker", BOUND, call);
        for _ in 0..2 {
            heartbeat.busy();
            calls.recv_timeout(LIMIT).expect("told");
            // Further checks must not report it again.
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
    fn many_short_jobs_are_not_reported() {
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
    fn an_unexpected_thread_exit_is_reported_and_a_retirement_is_not() {
        let (beats, troubles) = started();
        let theirs = beats.clone();
        let retires = std::thread::spawn(move || {
            drop(theirs.register("retiring", LIMIT, Overdue::Fatal));
        });
        retires.join().expect("joined");
        let theirs = beats.clone();
        let ends = std::thread::spawn(move || {
            // Forgetting the heartbeat simulates a thread that was killed.
            std::mem::forget(theirs.register("ending", LIMIT, Overdue::Fatal));
        });
        ends.join().expect("joined");
        // If the kernel cannot report the exit of a thread, the next check finds it.
        let heartbeat = beats.register("worker", BOUND, Overdue::Fatal);
        heartbeat.busy();
        heartbeat.idle();
        let trouble = troubles.recv_timeout(LIMIT).expect("told");
        assert_eq!(trouble, ThreadProblem::Ended("ending"));
        assert_eq!(beats.problem(), Some(ThreadProblem::Ended("ending")));
        beats.stop();
    }

    #[test]
    fn a_panic_of_a_thread_is_reported() {
        let (beats, troubles) = started();
        let theirs = beats.clone();
        let panics = std::thread::spawn(move || {
            let _heartbeat = theirs.register_end("panicking");
            std::panic::resume_unwind(Box::new(()));
        });
        panics.join().expect_err("panicked");
        // If the kernel cannot report the exit of a thread, the next check finds it.
        let heartbeat = beats.register("worker", BOUND, Overdue::Fatal);
        heartbeat.busy();
        heartbeat.idle();
        let trouble = troubles.recv_timeout(LIMIT).expect("told");
        assert_eq!(trouble, ThreadProblem::Ended("panicking"));
        assert_eq!(beats.problem(), Some(ThreadProblem::Ended("panicking")));
        beats.stop();
    }

    #[test]
    fn idleness_is_reported_once_after_each_period_of_work() {
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
        // No thread was busy yet.
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
