//! Typed asynchronous calls to the engine.

use std::sync::Arc;

use tokio::sync::oneshot;

use crate::api::{Caller, Fault, FaultCode, Grant, Reply, Request};
pub use crate::engine::{Asked, EngineGone};

/// How a question is put into the engine's inbox.
type Put = dyn Fn(Asked) -> Result<(), EngineGone> + Send + Sync;

/// Calls the engine. Clones are cheap.
#[derive(Clone)]
pub struct ControlHandle {
    put: Arc<Put>,
    /// At most this many questions wait in the engine's inbox at once; further callers wait here, costing nobody.
    places: Arc<tokio::sync::Semaphore>,
}

impl ControlHandle {
    /// Questions in the engine's inbox at once.
    pub const INBOX_QUESTIONS_MAX: usize = 1024;

    /// A handle that puts questions with `put`.
    pub fn new(put: impl Fn(Asked) -> Result<(), EngineGone> + Send + Sync + 'static) -> Self {
        Self {
            put: Arc::new(put),
            places: Arc::new(tokio::sync::Semaphore::new(Self::INBOX_QUESTIONS_MAX)),
        }
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
