//! Typed asynchronous calls to the engine.

use std::sync::Arc;

use tokio::sync::oneshot;

use crate::api::{Caller, Fault, FaultCode, Grant, Method, Permission, Reply, Request};
use crate::domain::Line;
pub use crate::engine::{Asked, EngineGone};

/// How a question is put into the engine's inbox.
type Put = dyn Fn(Asked) -> Result<(), EngineGone> + Send + Sync;

/// Calls the engine. Clones are cheap.
#[derive(Clone)]
pub struct ControlHandle {
    put: Arc<Put>,
    /// At most this many questions wait in the engine's inbox at once; further callers wait here, costing nobody.
    places: Arc<tokio::sync::Semaphore>,
    log: Arc<dyn Fn(Line) + Send + Sync>,
}

impl ControlHandle {
    /// Questions in the engine's inbox at once.
    pub const INBOX_QUESTIONS_MAX: usize = 1024;

    /// A handle that puts questions with `put`, and writes to the audit trail with `log`, which must not block.
    pub fn new(
        put: impl Fn(Asked) -> Result<(), EngineGone> + Send + Sync + 'static,
        log: impl Fn(Line) + Send + Sync + 'static,
    ) -> Self {
        Self {
            log: Arc::new(log),
            put: Arc::new(put),
            places: Arc::new(tokio::sync::Semaphore::new(Self::INBOX_QUESTIONS_MAX)),
        }
    }

    /// What `caller` is granted of what `method` needs. A refusal to change something leaves its audit line here; what is
    /// granted leaves one where it is done, in the core.
    ///
    /// # Errors
    /// FAILED: it is not permitted.
    pub fn grant(&self, caller: &Caller, method: &Method) -> Result<Grant, Fault> {
        super::grant(caller, method.permission).inspect_err(|fault| {
            let only_looks = matches!(method.permission, Permission::Status | Permission::ReadLogs);
            if !only_looks {
                (self.log)(Line::Audit {
                    who: caller.who(),
                    verb: method.names[0].to_owned(),
                    target: String::new(),
                    result: fault.to_string(),
                });
            }
        })
    }

    /// Asks, and waits for the answer. Dropping the future cancels nothing: what was asked happens.
    ///
    /// # Errors
    /// The engine's fault; SHUTDOWN_STATE when it is gone.
    pub async fn call(
        &self,
        caller: Caller,
        grant: Grant,
        request: Request,
    ) -> Result<Reply, Fault> {
        let gone = || FaultCode::ShutdownState.bare();
        let place = self
            .places
            .clone()
            .acquire_owned()
            .await
            .map_err(|_| gone())?;
        let (answer, answered) = oneshot::channel();
        let asked = Asked {
            caller,
            grant,
            request,
            taken: Box::new(move || drop(place)),
            answer: Box::new(move |result| drop(answer.send(result))),
        };
        (self.put)(asked).map_err(|EngineGone| gone())?;
        answered.await.unwrap_or_else(|_| Err(gone()))
    }
}
