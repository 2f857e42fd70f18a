//! Typed asynchronous calls to the engine.

use std::fmt::{self, Write as _};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use tokio::sync::{Notify, oneshot};
use tracing::Instrument as _;

use super::call_statistics::CallStatistics;
use super::config_calls::ConfigCalls;
use crate::api::{
    AuditRecord, Caller, Fault, FaultCode, Grant, Method, Permission, RejectedText, Reply, Request,
    RequestEffect, audit_line,
};
use crate::domain::Line;
pub use crate::engine::{EngineGone, RequestMessage};

/// Sends a request to the engine's inbox.
type SendRequest = dyn Fn(RequestMessage) -> Result<(), EngineGone> + Send + Sync;

/// A handle to call the engine. Clones are cheap.
#[derive(Clone)]
pub struct ControlHandle {
    put: Arc<SendRequest>,
    /// Limits the requests in the engine's inbox. Further callers wait here and use no resources of the engine.
    places: Arc<tokio::sync::Semaphore>,
    pub(super) log: Arc<dyn Fn(Line) + Send + Sync>,
    /// What answers calls about the configuration. Empty while the run begins.
    pub(super) config_calls: Arc<OnceLock<Arc<dyn ConfigCalls>>>,
    /// Notified when processes were added to or removed from an active group. No event reports that.
    reshaped: Arc<Notify>,
    /// Notified after each request that changes something.
    changed: Arc<Notify>,
    /// The calls so far.
    statistics: Arc<CallStatistics>,
}

impl ControlHandle {
    /// Maximum number of requests in the engine's inbox.
    pub const INBOX_QUESTIONS_MAX: usize = 1024;

    /// Creates a handle that sends requests with `put` and writes audit lines with `log`, which must not block.
    pub fn new(
        put: impl Fn(RequestMessage) -> Result<(), EngineGone> + Send + Sync + 'static,
        log: impl Fn(Line) + Send + Sync + 'static,
    ) -> Self {
        Self {
            log: Arc::new(log),
            config_calls: Arc::default(),
            reshaped: Arc::default(),
            changed: Arc::default(),
            statistics: Arc::default(),
            put: Arc::new(put),
            places: Arc::new(tokio::sync::Semaphore::new(Self::INBOX_QUESTIONS_MAX)),
        }
    }

    /// Grants `caller` what `method` needs for `request`. If a change is refused, this writes its audit line. For a
    /// granted change the core writes it.
    ///
    /// # Errors
    /// FAILED: not permitted. BAD_NAME, BAD_SIGNAL: the request contains an invalid name.
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

    /// Writes the audit line of a refused request, if the request would have changed something.
    pub fn audit_refusal(&self, caller: &Caller, request: &Request, fault: &Fault) {
        if let Some(entry) = request.audit_entry() {
            (self.log)(audit_line(caller, entry, Some(fault)));
        }
    }

    /// Returns the calls so far.
    #[must_use]
    pub fn statistics(&self) -> &CallStatistics {
        &self.statistics
    }

    /// Waits until processes were added to or removed from an active group. No event reports that. Only one task may
    /// wait.
    pub async fn groups_changed(&self) {
        self.reshaped.notified().await;
    }

    /// Waits until a client has changed something. Only one task may wait.
    pub async fn client_changed(&self) {
        self.changed.notified().await;
    }

    /// Whether the configuration read last has the text of the source with this MD5, and all groups are as in it.
    pub async fn is_text_applied(&self, md5: &str) -> bool {
        self.call_as_daemon(Request::IsTextApplied(md5.to_owned()))
            .await
            .is_ok()
    }

    /// Publishes that a text of the source was refused.
    pub async fn report_rejected(&self, text: RejectedText) {
        // An engine that has ended has no listeners.
        let _ = self.call_as_daemon(Request::TextRejected(text)).await;
    }

    /// Lets the core remember a change that it did not make.
    pub(super) async fn note_audited(&self, record: AuditRecord) {
        // An engine that has ended remembers nothing.
        let _ = self.call_as_daemon(Request::Audited(record)).await;
    }

    /// Sends a request that no method makes.
    async fn call_as_daemon(&self, request: Request) -> Result<Reply, Fault> {
        let grant = super::grant_for(&Caller::DAEMON, Permission::Status)?;
        self.call(Caller::DAEMON, grant, request).await
    }

    /// Asks the engine on behalf of `caller`, who needs the permission of `method`, and counts the call.
    ///
    /// # Errors
    /// A refusal, or the engine's fault.
    pub async fn ask(
        &self,
        caller: &Caller,
        method: &'static Method,
        request: Request,
    ) -> Result<Reply, Fault> {
        let grant = self.grant(caller, method, &request)?;
        let begin = Instant::now();
        let reply = self.call(caller.clone(), grant, request).await;
        self.statistics.record(method, begin.elapsed());
        reply
    }

    /// Sends a request and waits for the answer. Dropping the future does not cancel the request.
    ///
    /// # Errors
    /// The engine's fault; SHUTDOWN_STATE if the engine has ended; BAD_NAME, BAD_SIGNAL if the request contains an
    /// invalid name.
    pub async fn call(
        &self,
        caller: Caller,
        grant: Grant,
        request: Request,
    ) -> Result<Reply, Fault> {
        let span = tracing::info_span!(
            "request",
            request = %VariantName(&request),
            transport = caller.transport.name(),
            uid = caller.uid,
            pid = caller.pid,
        );
        let answered = async {
            let reply = self.send_and_wait(caller, grant, request).await;
            match &reply {
                Ok(_) => tracing::debug!("answered"),
                Err(fault) => tracing::debug!(fault = %fault.code.name(), "answered"),
            }
            reply
        };
        answered.instrument(span).await
    }

    async fn send_and_wait(
        &self,
        caller: Caller,
        grant: Grant,
        request: Request,
    ) -> Result<Reply, Fault> {
        let gone = || FaultCode::ShutdownState.bare();
        // Check names here, so that the engine never gets an invalid one from any endpoint.
        request.check_names()?;
        let place = self
            .places
            .clone()
            .acquire_owned()
            .await
            .map_err(|_| gone())?;
        let (answer, answered) = oneshot::channel();
        let reshaped =
            matches!(request.effect(), RequestEffect::Reshapes(_)).then(|| self.reshaped.clone());
        let changed = (request.effect() != RequestEffect::Reads).then(|| self.changed.clone());
        let asked = RequestMessage {
            caller,
            grant,
            request,
            taken: Box::new(move || drop(place)),
            // Notify here, since the caller may have gone meanwhile.
            answer: Box::new(move |result| {
                if let Some(reshaped) = reshaped {
                    reshaped.notify_one();
                }
                if let Some(changed) = changed {
                    changed.notify_one();
                }
                drop(answer.send(result));
            }),
        };
        (self.put)(asked).map_err(|EngineGone| gone())?;
        answered.await.unwrap_or_else(|_| Err(gone()))
    }
}

/// Displays the name of a request without its arguments, which may contain secrets.
struct VariantName<'a>(&'a Request);

impl fmt::Display for VariantName<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut name = NameWriter(String::new());
        // The error ends the formatting after the name.
        let _ = write!(name, "{:?}", self.0);
        f.write_str(&name.0)
    }
}

/// Keeps the first identifier of what is written.
struct NameWriter(String);

impl fmt::Write for NameWriter {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let is_name = |c: char| c.is_ascii_alphanumeric();
        let name = text.split(|c| !is_name(c)).next().unwrap_or_default();
        self.0.push_str(name);
        match name.len() == text.len() {
            true => Ok(()),
            false => Err(fmt::Error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_name_of_a_request_is_shown() {
        assert_eq!(VariantName(&Request::State).to_string(), "State");
        let info = Request::ProcessInfo("web".to_owned());
        assert_eq!(VariantName(&info).to_string(), "ProcessInfo");
    }
}
