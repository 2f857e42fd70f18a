//! Decides which thread does what.
//!
//! Exactly one thread owns the reactor at a time. For each job on files, the owner releases the reactor's lock and
//! marks itself as being in a call. If the call lasts longer than [`CALL_BOUND`], the heartbeat monitor takes the
//! reactor away, and a standby thread goes on with all other processes. When the call returns, the thread that hung
//! stores its result under the lock and becomes a standby. Go's scheduler treats threads in system calls the same way.
//!
//! ```text
//!              job ends in time
//!            ┌──────────────────┐
//!            ▼                  │
//! standby ─▶ owner ─job begins─▶ in a call ─too long─▶ hangs ─its call returns─▶ standby
//!            ▲                                   │
//!            └────── another standby ◀───────────┘
//! ```
//!
//! An instance whose job hung is slow: a standby ("helper") does its next jobs, so that they do not block the owner
//! again.

use std::mem::ManuallyDrop;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::IN_FLIGHT_LOG_BYTES;
use super::OutputCommand;
use super::in_flight_log::InFlightLog;
use super::job::{JobSettings, OutputJob, OutputJobDone};
use super::orders::{OutputOrders, WAKER};
use super::output_state::OutputHandoff;
use super::pipe_reads::READ_BYTES;
use super::reactor::{RETRY, Reactor};
use super::read_buffer::ReadBuffer;
use super::sinks;
use super::syslog_server;
use crate::domain::{FdName, Line};
use crate::fd_holder::FdStore;
use crate::heartbeat::{Heartbeat, Heartbeats, Overdue};
use crate::sys::{Poller, ReadyFd, SharedBuffer, Waker};

/// How long a call of the owner may last before another thread takes over.
const CALL_BOUND: Duration = Duration::from_millis(10);
/// How long a turn without calls may last. Beyond that the thread is considered stuck.
const TURN_BOUND: Duration = Duration::from_secs(30);
/// Timer slack of the threads, in nanoseconds: how late the kernel may end a wait.
const TIMER_SLACK_NANOS: std::ffi::c_ulong = 5_000;
/// How long the end waits for syslog servers that work.
const FLUSH_TIME: Duration = Duration::from_secs(1);
/// Maximum number of threads. Each device that hangs can block [`super::stalls::SHARE`] of them.
const THREADS_MAX: usize = 32;
/// Commands handled before descriptors get their turn again.
const COMMANDS_PER_TURN: usize = 256;
/// Value of [`Hub::owner`] while no thread owns the reactor.
const NOBODY: u64 = u64::MAX;

/// The state under the reactor's lock.
pub(super) struct HubState {
    pub(super) reactor: Reactor,
    orders: OutputOrders,
}

/// The roles of the threads.
#[derive(Debug, Default)]
struct ThreadRoles {
    /// The reactor has no owner.
    is_vacant: bool,
    /// A slow job needs a helper.
    wants_helper: bool,
    /// Number of standby threads.
    idle: usize,
    threads: usize,
    has_ended: bool,
}

/// The state that all output threads share.
pub(super) struct Hub {
    state: Mutex<HubState>,
    roles: Mutex<ThreadRoles>,
    changed: Condvar,
    /// Twice the number of the thread that owns the reactor, plus one while that thread is in a call.
    owner: AtomicU64,
    waker: Waker,
    beats: Heartbeats,
    /// Where in-flight logs are stored for the next daemon, and the number in their [`FdName`]. `None`: not stored.
    fd_store: Option<(Arc<FdStore>, usize)>,
    has_in_flight_logs: bool,
    /// Held while a thread stores its in-flight log: one thread at a time.
    keeping: Mutex<()>,
    /// Receives the state for the next daemon at the end.
    ended: Mutex<Option<Sender<Option<OutputHandoff>>>>,
}

/// What the first thread starts with.
pub(super) struct HubStart {
    pub(super) reactor: Reactor,
    pub(super) orders: OutputOrders,
    pub(super) waker: Waker,
    pub(super) beats: Heartbeats,
    /// The number in the [`FdName`] of in-flight logs, and the memory of the first thread's.
    pub(super) in_flight_log: Option<(usize, SharedBuffer)>,
    pub(super) ended: Sender<Option<OutputHandoff>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A panic of an output thread ends the daemon: the heartbeat monitor sees that the thread is gone.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Starts the threads.
///
/// # Errors
/// EMFILE, EAGAIN or ENOMEM.
pub(super) fn start(start: HubStart) -> std::io::Result<()> {
    let fd_store = start.reactor.shared.fd_store.clone();
    let place = start.in_flight_log.as_ref().map(|&(place, _)| place);
    let hub = Arc::new(Hub {
        state: Mutex::new(HubState {
            reactor: start.reactor,
            orders: start.orders,
        }),
        roles: Mutex::new(ThreadRoles {
            is_vacant: true,
            threads: 1,
            ..ThreadRoles::default()
        }),
        changed: Condvar::new(),
        owner: AtomicU64::new(NOBODY),
        waker: start.waker,
        beats: start.beats,
        has_in_flight_logs: start.in_flight_log.is_some(),
        fd_store: fd_store.zip(place),
        keeping: Mutex::default(),
        ended: Mutex::new(Some(start.ended)),
    });
    let first = start.in_flight_log.map(|(_, buffer)| buffer);
    hub.spawn(0, first)
}

impl Hub {
    fn spawn(self: &Arc<Self>, number: usize, buffer: Option<SharedBuffer>) -> std::io::Result<()> {
        let hub = self.clone();
        let poller = lock(&self.state).reactor.poller.share();
        std::thread::Builder::new()
            .name("output".to_owned())
            .spawn(move || OutputThread::new(hub, number, poller, buffer).run())?;
        Ok(())
    }

    /// Starts another thread, unless there are [`THREADS_MAX`].
    fn spawn_more(self: &Arc<Self>) {
        let number = {
            let mut roles = lock(&self.roles);
            if roles.threads >= THREADS_MAX || roles.has_ended {
                return;
            }
            roles.threads += 1;
            roles.threads - 1
        };
        if self.spawn(number, None).is_err() {
            // The next call tries again. The number of this thread stays unused.
            lock(&self.roles).threads -= 1;
        }
    }

    /// Returns the buffer into which the thread with this number reads.
    fn read_buffer(&self, buffer: Option<SharedBuffer>) -> ReadBuffer {
        if !self.has_in_flight_logs {
            return ReadBuffer::Own(vec![0; READ_BYTES]);
        }
        let made = match buffer {
            Some(buffer) => Ok(buffer),
            None => SharedBuffer::new("supervisord-ledger", IN_FLIGHT_LOG_BYTES),
        };
        let begun = made.and_then(|buffer| {
            let file = buffer.file().try_clone()?;
            Ok((InFlightLog::new(buffer)?, file))
        });
        let (in_flight_log, file) = match begun {
            Ok(begun) => begun,
            Err(error) => {
                let error = (&error).into();
                lock(&self.state)
                    .reactor
                    .shared
                    .log(Line::KeeperFailed { error });
                return ReadBuffer::Own(vec![0; READ_BYTES]);
            }
        };
        let _one_at_a_time = lock(&self.keeping);
        let all: Vec<_> = {
            let in_flight_logs = &mut lock(&self.state).reactor.in_flight_logs;
            in_flight_logs.push(file);
            in_flight_logs
                .iter()
                .filter_map(|it| it.try_clone().ok())
                .collect()
        };
        if let Some((fd_store, place)) = &self.fd_store {
            let all: Vec<_> = all.iter().map(std::os::fd::AsFd::as_fd).collect();
            if let Some(line) = fd_store.store(FdName::InFlightLog(*place), &all) {
                lock(&self.state).reactor.shared.log(line);
            }
        }
        ReadBuffer::Kept(in_flight_log)
    }

    /// Takes the reactor away from an owner that hangs in a call. The heartbeat monitor calls this; it does not block.
    fn take_away(&self, number: usize) {
        let in_call = in_call(number);
        let taken =
            self.owner
                .compare_exchange(in_call, NOBODY, Ordering::SeqCst, Ordering::SeqCst);
        if taken.is_ok() {
            lock(&self.roles).is_vacant = true;
            self.changed.notify_all();
        }
    }

    /// Requests a helper for a slow job.
    fn call_helper(self: &Arc<Self>) {
        let is_alone = {
            let mut roles = lock(&self.roles);
            roles.wants_helper = true;
            // One standby is always reserved to replace the owner.
            roles.idle < 2
        };
        if is_alone {
            self.spawn_more();
        }
        self.changed.notify_all();
    }
}

const fn in_call(number: usize) -> u64 {
    (number as u64) * 2 + 1
}

const fn working(number: usize) -> u64 {
    (number as u64) * 2
}

/// What a thread does next.
enum ThreadRole {
    Own,
    Help,
    End,
}

/// One output thread.
struct OutputThread {
    hub: Arc<Hub>,
    number: usize,
    poller: Poller,
    read_buffer: ReadBuffer,
    // Dropped only at an orderly end, so that the monitor notices a thread that ends otherwise.
    turn: ManuallyDrop<Heartbeat>,
    call: ManuallyDrop<Heartbeat>,
}

impl OutputThread {
    fn new(hub: Arc<Hub>, number: usize, poller: Poller, buffer: Option<SharedBuffer>) -> Self {
        let turn = hub.beats.register("output", TURN_BOUND, Overdue::Fatal);
        let weak = Arc::downgrade(&hub);
        let take_away = Overdue::Call(Box::new(move || {
            if let Some(hub) = weak.upgrade() {
                hub.take_away(number);
            }
        }));
        let call = hub.beats.register("output", CALL_BOUND, take_away);
        Self {
            read_buffer: hub.read_buffer(buffer),
            hub,
            number,
            poller,
            turn: ManuallyDrop::new(turn),
            call: ManuallyDrop::new(call),
        }
    }

    fn run(mut self) {
        // The default slack of 50 µs is a third of a pause. If the kernel refuses, pauses get that much longer.
        let _ = nix::sys::prctl::set_timerslack(TIMER_SLACK_NANOS);
        loop {
            match self.stand_by() {
                ThreadRole::Own => self.own(),
                ThreadRole::Help => self.help(),
                ThreadRole::End => break,
            }
            self.turn.idle();
        }
        drop(ManuallyDrop::into_inner(self.turn));
        drop(ManuallyDrop::into_inner(self.call));
    }

    fn stand_by(&self) -> ThreadRole {
        let hub = &self.hub;
        let mut roles = lock(&hub.roles);
        roles.idle += 1;
        let role = loop {
            if roles.has_ended {
                break ThreadRole::End;
            }
            if std::mem::take(&mut roles.is_vacant) {
                hub.owner.store(working(self.number), Ordering::SeqCst);
                break ThreadRole::Own;
            }
            if roles.wants_helper && roles.idle >= 2 {
                roles.wants_helper = false;
                break ThreadRole::Help;
            }
            roles = hub
                .changed
                .wait(roles)
                .unwrap_or_else(PoisonError::into_inner);
        };
        roles.idle -= 1;
        let is_last = roles.idle == 0;
        drop(roles);
        if is_last && matches!(role, ThreadRole::Own | ThreadRole::Help) {
            hub.spawn_more();
        }
        role
    }

    /// Does slow jobs until there are none.
    fn help(&mut self) {
        let hub = self.hub.clone();
        loop {
            let mut state = lock(&hub.state);
            let Some(job) = state.reactor.next_slow_job(self.number) else {
                return;
            };
            let settings = state.reactor.settings();
            let wants_more = state.reactor.wants_help();
            drop(state);
            if wants_more {
                hub.call_helper();
            }
            let done = job.run(&mut self.read_buffer, &settings);
            let mut state = lock(&hub.state);
            state
                .reactor
                .finish(self.number, done, &mut self.read_buffer);
            drop(state);
            hub.waker.wake();
        }
    }

    /// Owns the reactor until a call takes too long or the threads end.
    fn own(&mut self) {
        let hub = self.hub.clone();
        let mut ready: Vec<ReadyFd> = Vec::new();
        // The previous owner may have left commands.
        let mut more = true;
        self.turn.busy();
        let mut state = lock(&hub.state);
        state.reactor.take_over();
        loop {
            let Some(mut owned) = self.work_off(&hub, state, true) else {
                return;
            };
            if let Some(left) = owned.reactor.continue_ending() {
                owned.reactor.shared.activity.close();
                drop(owned);
                return end(&hub, left);
            }
            let timeout = if more || !owned.orders.sleep() || owned.reactor.wants_turn() {
                Some(Duration::ZERO)
            } else {
                owned.orders.timeout(owned.reactor.timeout())
            };
            drop(owned);
            self.turn.idle();
            ready.clear();
            match self.poller.wait(timeout) {
                Ok(events) => ready.extend(events),
                // No action of this thread can cause this error; sleep to avoid a busy loop.
                Err(_) => std::thread::sleep(RETRY),
            }
            self.turn.busy();
            state = lock(&hub.state);
            state.orders.stay_awake();
            state.reactor.ready = ready.len();
            for event in &ready {
                if event.token == WAKER {
                    state.orders.reset_waker();
                    continue;
                }
                state.reactor.on_ready(*event);
                match self.work_off(&hub, state, false) {
                    Some(owned) => state = owned,
                    // epoll reports the remaining events again.
                    None => return,
                }
            }
            more = false;
            for turn in 1..=COMMANDS_PER_TURN {
                if state.reactor.ending.is_some() {
                    break;
                }
                let Some(command) = state.orders.next() else {
                    break;
                };
                let lost = state.orders.lines_lost();
                if lost > 0 {
                    state.reactor.shared.activity.tell_lost(lost);
                }
                if matches!(command, OutputCommand::Stop | OutputCommand::HandOver) {
                    let lines = state.orders.refusals(true);
                    state.reactor.shared.log_all(lines);
                }
                state.reactor.on_command(command);
                more = turn == COMMANDS_PER_TURN;
                match self.work_off(&hub, state, false) {
                    Some(owned) => state = owned,
                    None => return,
                }
            }
            let lines = state.orders.refusals(false);
            state.reactor.shared.log_all(lines);
            state.reactor.on_time();
        }
    }

    /// Does the queued jobs. `None`: one of them took too long, and another thread owns the reactor by now.
    fn work_off<'hub>(
        &mut self,
        hub: &'hub Arc<Hub>,
        mut state: MutexGuard<'hub, HubState>,
        turn_ends: bool,
    ) -> Option<MutexGuard<'hub, HubState>> {
        while let Some(job) = state.reactor.next_job(self.number, turn_ends) {
            let settings = state.reactor.settings();
            drop(state);
            let (done, is_owner) = self.call(hub, job, &settings);
            state = lock(&hub.state);
            state
                .reactor
                .finish(self.number, done, &mut self.read_buffer);
            if !is_owner {
                drop(state);
                hub.waker.wake();
                return None;
            }
        }
        if state.reactor.wants_help() {
            drop(state);
            hub.call_helper();
            state = lock(&hub.state);
        }
        Some(state)
    }

    /// Does one job as the owner. False: the reactor was taken away meanwhile.
    fn call(&mut self, hub: &Hub, job: OutputJob, settings: &JobSettings) -> (OutputJobDone, bool) {
        let (working, in_call) = (working(self.number), in_call(self.number));
        self.turn.idle();
        hub.owner.store(in_call, Ordering::SeqCst);
        self.call.busy();
        let done = job.run(&mut self.read_buffer, settings);
        self.call.idle();
        let is_owner =
            hub.owner
                .compare_exchange(in_call, working, Ordering::SeqCst, Ordering::SeqCst);
        self.turn.busy();
        (done, is_owner.is_ok())
    }
}

/// Ends the threads: standbys at once, hanging threads when their calls return.
fn end(hub: &Hub, left: Option<OutputHandoff>) {
    syslog_server::flush_all(FLUSH_TIME);
    sinks::flush_ended(FLUSH_TIME);
    lock(&hub.roles).has_ended = true;
    hub.changed.notify_all();
    if let Some(ended) = lock(&hub.ended).take() {
        // The receiver is gone if the daemon is torn down in another way.
        let _ = ended.send(left);
    }
}
