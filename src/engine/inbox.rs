//! What comes into the engine from other threads: one queue for questions, one for everything else, one waker.
//!
//! Questions go first, but one for one: of 200 programs that restart without a pause there are hundreds of messages, and a
//! client that waited behind them would wait for 11 to 43 ms.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};

use super::holder_watch::HolderRestart;
use super::upgrade::REPLACED;
use crate::api::{Caller, Fault, FaultCode, Grant, Reply, Request, Ticket};
use crate::config::spec::{Config, GroupChangeResult};
use crate::core::{LoadError, LoadReason};
use crate::domain::{InstanceId, ResourceEvents};
use crate::output::OutputReport;
use crate::spawn::SpawnAnswer;
use crate::sys::Waker;

/// A question, with the way to answer it.
pub struct RequestMessage {
    /// Who asks.
    pub caller: Caller,
    /// What they may touch.
    pub grant: Grant,
    /// What they want.
    pub request: Request,
    /// Called when the engine has taken the question out of its inbox.
    pub taken: Box<dyn FnOnce() + Send>,
    /// Called exactly once, perhaps much later.
    pub answer: AnswerFn,
}

/// Takes the answer to a question. Must not block.
pub type AnswerFn = Box<dyn FnOnce(Result<Reply, Fault>) + Send>;

/// The engine has ended; nobody will answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EngineGone;

impl RequestMessage {
    /// Answers that this image is at its end.
    pub(super) fn refuse(self) {
        (self.taken)();
        (self.answer)(Err(FaultCode::Failed.of(REPLACED)));
    }
}

/// Whether questions are still taken. Held for the length of a push, so that none can slip in behind the last look.
#[derive(Clone, Default)]
struct InboxGate(Arc<Mutex<bool>>);

impl InboxGate {
    fn is_shut(&self) -> MutexGuard<'_, bool> {
        // Nothing panics while it holds the lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Wakes the engine, by one call for all messages that it has not begun to look at.
#[derive(Clone)]
struct InboxWaker {
    waker: Waker,
    /// Somebody has woken it since it last began to look.
    is_awake: Arc<AtomicBool>,
}

impl InboxWaker {
    /// To be called after the message was queued.
    fn wake(&self) {
        if !self.is_awake.swap(true, Ordering::AcqRel) {
            self.waker.wake();
        }
    }

    fn reset(&self) {
        self.waker.reset();
        // Whoever sends after this wakes again; the message of whoever sent before is seen.
        self.is_awake.swap(false, Ordering::AcqRel);
    }
}

/// One message to the engine.
pub(super) enum EngineMessage {
    /// The output thread reports.
    Output(OutputReport),
    /// The spawn thread answers.
    Spawn(SpawnAnswer),
    /// The thread of cgroups has nothing left to kill.
    Emptied(InstanceId, ResourceEvents),
    /// The loader has read the configuration.
    Loaded(LoadReason, Result<Arc<Config>, LoadError>),
    /// Another image of the daemon can take over, or cannot.
    Examined(Ticket, Result<(), String>),
    /// Another fd holder was started, or not.
    HolderRestarted(HolderRestart),
    /// The loader has made processes, or found what is wrong with them.
    Composed(Ticket, Result<Box<GroupChangeResult>, String>),
}

/// Bytes of event data that may wait in the inbox. What exceeds it is dropped and counted: events may be lost, decisions
/// may not, and a flooding program must not grow the daemon.
const EVENT_BYTES_MAX: usize = 16 << 20;

/// Puts messages into the engine's inbox from any thread; never blocks.
///
/// The queue has no bound of its own, for it needs none: questions are bounded by the control handle, answers of the
/// spawn and output threads by the one command that is outstanding per instance and kind, and event data by
/// `EVENT_BYTES_MAX`.
#[derive(Clone)]
pub struct InboxSender {
    questions: mpsc::Sender<RequestMessage>,
    queue: mpsc::Sender<EngineMessage>,
    waker: InboxWaker,
    door: InboxGate,
    event_bytes: Arc<AtomicUsize>,
    events_dropped: Arc<AtomicU64>,
}

impl InboxSender {
    /// Puts a question. Once the inbox is shut it is answered at once.
    ///
    /// # Errors
    /// The engine has ended.
    pub fn request(&self, asked: RequestMessage) -> Result<(), EngineGone> {
        let is_shut = self.door.is_shut();
        if *is_shut {
            drop(is_shut);
            asked.refuse();
            return Ok(());
        }
        self.questions.send(asked).map_err(|_| EngineGone)?;
        self.waker.wake();
        Ok(())
    }

    /// Puts a report of the output thread.
    pub fn output(&self, report: OutputReport) {
        if let OutputReport::Wrote { data, .. } = &report {
            let waiting = self.event_bytes.fetch_add(data.len(), Ordering::Relaxed);
            if waiting > EVENT_BYTES_MAX {
                self.event_bytes.fetch_sub(data.len(), Ordering::Relaxed);
                self.events_dropped.fetch_add(1, Ordering::Relaxed);
                return;
            }
        }
        self.send(EngineMessage::Output(report));
    }

    /// Puts an answer of the spawn thread.
    pub fn spawn(&self, done: SpawnAnswer) {
        self.send(EngineMessage::Spawn(done));
    }

    /// Puts an answer of the thread of cgroups.
    pub fn emptied(&self, instance: InstanceId, resource_events: ResourceEvents) {
        self.send(EngineMessage::Emptied(instance, resource_events));
    }

    /// Puts a configuration that was read.
    pub fn loaded(&self, reason: LoadReason, result: Result<Arc<Config>, LoadError>) {
        self.send(EngineMessage::Loaded(reason, result));
    }

    /// Puts processes that were made.
    pub fn composed(&self, ticket: Ticket, result: Result<Box<GroupChangeResult>, String>) {
        self.send(EngineMessage::Composed(ticket, result));
    }

    /// Puts the answer of another image of the daemon.
    pub fn examined(&self, ticket: Ticket, result: Result<(), String>) {
        self.send(EngineMessage::Examined(ticket, result));
    }

    /// Puts what has come of starting another fd holder.
    pub(super) fn holder_restarted(&self, result: HolderRestart) {
        self.send(EngineMessage::HolderRestarted(result));
    }

    fn send(&self, message: EngineMessage) {
        // An engine that has ended needs no answers any more.
        if self.queue.send(message).is_ok() {
            self.waker.wake();
        }
    }
}

/// The receiving side.
pub(super) struct Inbox {
    questions: mpsc::Receiver<RequestMessage>,
    queue: mpsc::Receiver<EngineMessage>,
    waker: InboxWaker,
    door: InboxGate,
    event_bytes: Arc<AtomicUsize>,
    events_dropped: Arc<AtomicU64>,
}

impl Inbox {
    pub(super) fn new(waker: Waker) -> (InboxSender, Self) {
        let (asker, questions) = mpsc::channel();
        let (sender, queue) = mpsc::channel();
        let door = InboxGate::default();
        let waker = InboxWaker {
            waker,
            is_awake: Arc::default(),
        };
        let event_bytes = Arc::new(AtomicUsize::new(0));
        let events_dropped = Arc::new(AtomicU64::new(0));
        let inbox = Self {
            questions,
            queue,
            waker: waker.clone(),
            door: door.clone(),
            event_bytes: event_bytes.clone(),
            events_dropped: events_dropped.clone(),
        };
        (
            InboxSender {
                questions: asker,
                queue: sender,
                waker,
                door,
                event_bytes,
                events_dropped,
            },
            inbox,
        )
    }

    /// Takes no questions any more. Those that came before are still there.
    pub(super) fn close(&self) {
        *self.door.is_shut() = true;
    }

    /// Forgets earlier wakes; to be called before [`Inbox::question`] and [`Inbox::take`].
    pub(super) fn reset(&self) {
        self.waker.reset();
    }

    /// How many messages with event data found no place since the last call.
    pub(super) fn events_dropped(&self) -> u64 {
        self.events_dropped.swap(0, Ordering::Relaxed)
    }

    /// Asks for another turn, when a turn left messages behind.
    pub(super) fn wake_again(&self) {
        self.waker.wake();
    }

    /// The next question, if one waits.
    pub(super) fn next_request(&self) -> Option<RequestMessage> {
        self.questions.try_recv().ok()
    }

    /// The next message that is no question, if one waits.
    pub(super) fn next_message(&self) -> Option<EngineMessage> {
        let message = self.queue.try_recv().ok()?;
        if let EngineMessage::Output(OutputReport::Wrote { data, .. }) = &message {
            self.event_bytes.fetch_sub(data.len(), Ordering::Relaxed);
        }
        Some(message)
    }
}
