//! Typed asynchronous calls to the engine.

use std::sync::Arc;

use tokio::sync::{Notify, oneshot};

use crate::api::{Caller, Fault, FaultCode, Grant, Method, Reply, Request, audit_line};
use crate::domain::Line;
pub use crate::engine::{EngineGone, RequestMessage};

/// How a question is put into the engine's inbox.
type SendRequest = dyn Fn(RequestMessage) -> Result<(), EngineGone> + Send + Sync;

/// Calls the engine. Clones are cheap.
#[derive(Clone)]
pub struct ControlHandle {
    put: Arc<SendRequest>,
    /// At most this many questions wait in the engine's inbox at once; further callers wait here, costing nobody.
    places: Arc<tokio::sync::Semaphore>,
    log: Arc<dyn Fn(Line) + Send + Sync>,
    /// Processes came to or left a group that stays, of which no event tells.
    reshaped: Arc<Notify>,
}

impl ControlHandle {
    /// Questions in the engine's inbox at once.
    pub const INBOX_QUESTIONS_MAX: usize = 1024;

    /// A handle that puts questions with `put`, and writes to the audit trail with `log`, which must not block.
    pub fn new(
        put: impl Fn(RequestMessage) -> Result<(), EngineGone> + Send + Sync + 'static,
        log: impl Fn(Line) + Send + Sync + 'static,
    ) -> Self {
        Self {
            log: Arc::new(log),
            reshaped: Arc::default(),
            put: Arc::new(put),
            places: Arc::new(tokio::sync::Semaphore::new(Self::INBOX_QUESTIONS_MAX)),
        }
    }

    /// What `caller` is granted of what `method` needs to make `request`. A refusal to change something leaves its audit
    /// line here; what is granted leaves one where it is done, in the core.
    ///
    /// # Errors
    /// FAILED: it is not permitted. BAD_NAME, BAD_SIGNAL: a name in it cannot be one.
    pub fn grant(
        &self,
        caller: &Caller,
        method: &Method,
        request: &Request,
    ) -> Result<Grant, Fault> {
        let named = request.check_names();
        named
            .and_then(|()| super::grant_for(caller, method.permission))
            .inspect_err(|fault| self.audit_refusal(caller, request, fault))
    }

    /// Leaves the audit line of a request that was refused, if it would have changed something.
    pub fn audit_refusal(&self, caller: &Caller, request: &Request, fault: &Fault) {
        if let Some(entry) = request.audit_entry() {
            (self.log)(audit_line(caller, entry, Some(fault)));
        }
    }

    /// Waits until processes have come to or left a group that stays, of which no event tells. For one listener.
    pub async fn groups_changed(&self) {
        self.reshaped.notified().await;
    }

    /// Asks, and waits for the answer. Dropping the future cancels nothing: what was asked happens.
    ///
    /// # Errors
    /// The engine's fault; SHUTDOWN_STATE when it is gone; BAD_NAME, BAD_SIGNAL: a name cannot be one.
    pub async fn call(
        &self,
        caller: Caller,
        grant: Grant,
        request: Request,
    ) -> Result<Reply, Fault> {
        let gone = || FaultCode::ShutdownState.bare();
        // Whatever way a request comes, the engine is not asked about what can be nobody's name.
        request.check_names()?;
        let place = self
            .places
            .clone()
            .acquire_owned()
            .await
            .map_err(|_| gone())?;
        let (answer, answered) = oneshot::channel();
        let reshaped = matches!(
            request,
            Request::AddProgram { .. }
                | Request::RemoveProcess { .. }
                | Request::SetNumprocs { .. }
        )
        .then(|| self.reshaped.clone());
        let asked = RequestMessage {
            caller,
            grant,
            request,
            taken: Box::new(move || drop(place)),
            // Here, since the caller may have left meanwhile.
            answer: Box::new(move |result| {
                if let Some(reshaped) = reshaped {
                    reshaped.notify_one();
                }
                drop(answer.send(result));
            }),
        };
        (self.put)(asked).map_err(|EngineGone| gone())?;
        answered.await.unwrap_or_else(|_| Err(gone()))
    }
}
