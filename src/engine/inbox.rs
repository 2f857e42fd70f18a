//! The inbox of the engine for messages from other threads: a queue for requests, a queue for all other messages, and
//! one waker.
//!
//! The engine handles one request for each other message. When 200 programs restart in a loop there are hundreds of
//! messages, and a client whose request waited behind them would wait 11 to 43 ms.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};

use super::holder_watch::HolderRestart;
use super::upgrade::REPLACED;
use crate::api::{Caller, Fault, FaultCode, Grant, Reply, Request, Ticket};
use crate::core::Input;
use crate::effects::{LoaderOutcome, OutputOutcome};
use crate::output::OutputReport;
use crate::spawn::SpawnAnswer;
use crate::sys::Waker;

/// A request and the functions to call for it.
pub struct RequestMessage {
    /// The caller.
    pub caller: Caller,
    /// What the caller may act on.
    pub grant: Grant,
    /// The request.
    pub request: Request,
    /// Called when the engine takes the request out of its inbox.
    pub taken: Box<dyn FnOnce() + Send>,
    /// Called exactly once with the answer, possibly much later.
    pub answer: AnswerFn,
}

/// Receives the answer to a request. It must not block.
pub type AnswerFn = Box<dyn FnOnce(Result<Reply, Fault>) + Send>;

/// The engine has ended, so no answer will come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EngineGone;

impl RequestMessage {
    /// Answers that this daemon is being replaced.
    pub(super) fn refuse(self) {
        (self.taken)();
        (self.answer)(Err(FaultCode::Failed.of(REPLACED)));
    }
}

/// Whether the inbox is closed for requests. The lock is held while a request is pushed, so that none is pushed after
/// the last read.
#[derive(Clone, Default)]
struct InboxGate(Arc<Mutex<bool>>);

impl InboxGate {
    fn is_shut(&self) -> MutexGuard<'_, bool> {
        // No code panics while it holds the lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Wakes the engine, with one system call for all messages that the engine has not started to read.
#[derive(Clone)]
struct InboxWaker {
    waker: Waker,
    /// A message was sent since the engine last reset the waker.
    is_awake: Arc<AtomicBool>,
}

impl InboxWaker {
    /// Wakes the engine. Call it after the message was queued.
    fn wake(&self) {
        if !self.is_awake.swap(true, Ordering::AcqRel) {
            self.waker.wake();
        }
    }

    fn reset(&self) {
        self.waker.reset();
        // A message sent after this wakes the engine again. A message sent before is seen by the following read.
        self.is_awake.swap(false, Ordering::AcqRel);
    }
}

/// One message to the engine.
pub(super) enum EngineMessage {
    /// A report of the output threads.
    Output(OutputReport),
    /// An answer of the spawner threads.
    Spawner(SpawnAnswer),
    /// An outcome of the loader.
    Loader(LoaderOutcome),
    /// An input of the core from a thread that adds nothing to it.
    Input(Input),
    /// Whether another image of the daemon can take over.
    Examined(Ticket, Result<(), String>),
    /// Whether another fd holder was started.
    HolderRestarted(HolderRestart),
}

/// Maximum bytes of event data that wait in the inbox. Data beyond it is dropped and counted. Events may be lost,
/// decisions may not, and a flooding program must not grow the daemon.
const EVENT_BYTES_MAX: usize = 16 << 20;

/// Sends messages to the engine from any thread. It never blocks.
///
/// The queues need no limit of their own. The control handle limits requests, the spawn and output threads have one
/// outstanding command per instance and kind, and `EVENT_BYTES_MAX` limits event data.
#[derive(Clone)]
pub struct InboxSender {
    questions: mpsc::Sender<RequestMessage>,
    queue: mpsc::Sender<EngineMessage>,
    waker: InboxWaker,
    gate: InboxGate,
    event_bytes: Arc<AtomicUsize>,
    events_dropped: Arc<AtomicU64>,
}

impl InboxSender {
    /// Sends a request. If the inbox is closed, the request is answered at once.
    ///
    /// # Errors
    /// The engine has ended.
    pub fn request(&self, asked: RequestMessage) -> Result<(), EngineGone> {
        let is_shut = self.gate.is_shut();
        if *is_shut {
            drop(is_shut);
            asked.refuse();
            return Ok(());
        }
        self.questions.send(asked).map_err(|_| EngineGone)?;
        self.waker.wake();
        Ok(())
    }

    /// Sends a report of the output thread.
    pub fn output(&self, report: OutputReport) {
        if let OutputReport::Outcome(OutputOutcome::Wrote { data, .. }) = &report {
            let waiting = self.event_bytes.fetch_add(data.len(), Ordering::Relaxed);
            if waiting > EVENT_BYTES_MAX {
                self.event_bytes.fetch_sub(data.len(), Ordering::Relaxed);
                self.events_dropped.fetch_add(1, Ordering::Relaxed);
                return;
            }
        }
        self.send(EngineMessage::Output(report));
    }

    /// Sends an answer of the spawner threads.
    pub fn spawn(&self, answer: SpawnAnswer) {
        self.send(EngineMessage::Spawner(answer));
    }

    /// Sends an outcome of the loader.
    pub(super) fn loader(&self, outcome: LoaderOutcome) {
        self.send(EngineMessage::Loader(outcome));
    }

    /// Sends an input of the core.
    pub(super) fn input(&self, input: Input) {
        self.send(EngineMessage::Input(input));
    }

    /// Sends the result of examining another image of the daemon.
    pub fn examined(&self, ticket: Ticket, result: Result<(), String>) {
        self.send(EngineMessage::Examined(ticket, result));
    }

    /// Sends the result of starting another fd holder.
    pub(super) fn holder_restarted(&self, result: HolderRestart) {
        self.send(EngineMessage::HolderRestarted(result));
    }

    fn send(&self, message: EngineMessage) {
        // An engine that has ended needs no messages.
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
    gate: InboxGate,
    event_bytes: Arc<AtomicUsize>,
    events_dropped: Arc<AtomicU64>,
}

impl Inbox {
    pub(super) fn new(waker: Waker) -> (InboxSender, Self) {
        let (asker, questions) = mpsc::channel();
        let (sender, queue) = mpsc::channel();
        let gate = InboxGate::default();
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
            gate: gate.clone(),
            event_bytes: event_bytes.clone(),
            events_dropped: events_dropped.clone(),
        };
        (
            InboxSender {
                questions: asker,
                queue: sender,
                waker,
                gate,
                event_bytes,
                events_dropped,
            },
            inbox,
        )
    }

    /// Closes the inbox for requests. Requests sent before can still be read.
    pub(super) fn close(&self) {
        *self.gate.is_shut() = true;
    }

    /// Resets the waker. Call it before [`Inbox::next_request`] and [`Inbox::next_message`].
    pub(super) fn reset(&self) {
        self.waker.reset();
    }

    /// Returns how many messages with event data were dropped since the last call.
    pub(super) fn events_dropped(&self) -> u64 {
        self.events_dropped.swap(0, Ordering::Relaxed)
    }

    /// Wakes the engine for another turn, if a turn left messages unread.
    pub(super) fn wake_again(&self) {
        self.waker.wake();
    }

    /// Returns the next waiting request.
    pub(super) fn next_request(&self) -> Option<RequestMessage> {
        self.questions.try_recv().ok()
    }

    /// Returns the next waiting message that is not a request.
    pub(super) fn next_message(&self) -> Option<EngineMessage> {
        let message = self.queue.try_recv().ok()?;
        if let EngineMessage::Output(OutputReport::Outcome(OutputOutcome::Wrote { data, .. })) =
            &message
        {
            self.event_bytes.fetch_sub(data.len(), Ordering::Relaxed);
        }
        Some(message)
    }
}
