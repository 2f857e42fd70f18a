//! Requests over HTTPS. The agent makes them: the daemon contains no TLS. All scripts share one agent, which the first
//! request starts.

use std::path::Path;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::oneshot;

use super::request::{self, SUCCESS};
use crate::agent::protocol::{AgentAnswer, AgentOrder, AgentReport, ItemFailure, SecureRequest};
use crate::agent::{AgentLink, Asker, LinkEvent, find_program, no_agent};
use crate::config::script::{HttpScript, TlsOptions};
use crate::domain::Seconds;
use crate::effects::ScriptFailure;

type Answer = Result<u16, ItemFailure>;

/// A request, and who gets the status.
struct AskedRequest {
    request: SecureRequest,
    answer: oneshot::Sender<Answer>,
}

/// Sends requests to the agent. Clones are cheap.
#[derive(Clone)]
pub(super) struct SecureRequests(UnboundedSender<AskedRequest>);

/// The requests that wait for the agent: at most one per script that runs.
pub(super) struct RequestQueue(UnboundedReceiver<AskedRequest>);

/// Creates both ends.
pub(super) fn secure_requests() -> (SecureRequests, RequestQueue) {
    let (sender, inbox) = unbounded_channel();
    (SecureRequests(sender), RequestQueue(inbox))
}

impl SecureRequests {
    /// Sends a request and waits for the status of its answer.
    ///
    /// # Errors
    /// There is no agent or no answer, or the status is no success.
    pub(super) async fn send(
        &self,
        script: &HttpScript,
        tls: &TlsOptions,
        limit: Seconds,
    ) -> Result<(), ScriptFailure> {
        let body = request::body_of(script).await?;
        let method = if body.is_some() { "POST" } else { "GET" };
        let seconds = u64::try_from(limit.0).unwrap_or_default();
        let request = SecureRequest {
            host: script.server.host.clone(),
            port: script.server.port,
            method: method.to_owned(),
            target: script.target.clone(),
            headers: script.headers.clone(),
            body: body.unwrap_or_default(),
            timeout_ms: seconds.saturating_mul(1000),
            ca_file: tls.ca_file.clone(),
        };
        let (answer, answered) = oneshot::channel();
        // The end of the other side is noticed by `answered`.
        let _ = self.0.send(AskedRequest { request, answer });
        match answered.await.unwrap_or_else(|_| Err(no_agent(""))) {
            Ok(status) if SUCCESS.contains(&status) => Ok(()),
            Ok(status) => Err(ScriptFailure::HttpStatus(status)),
            Err(failure) => Err(ScriptFailure::Connection(failure.message)),
        }
    }
}

/// Who asked the agent.
struct StatusAsker(oneshot::Sender<Answer>);

impl Asker for StatusAsker {
    fn fail(self, failure: ItemFailure) {
        // A script that was cancelled waits no longer.
        let _ = self.0.send(Err(ItemFailure {
            message: format!("https:// needs supervisord-agent: {}", failure.message),
            ..failure
        }));
    }
}

/// Passes requests to the agent for ever.
pub(super) async fn serve(mut queue: RequestQueue) {
    let program = find_program();
    let program = program.unwrap_or_else(|| Path::new("supervisord-agent").to_owned());
    let mut link: AgentLink<StatusAsker> = AgentLink::new(program, false);
    loop {
        tokio::select! {
            asked = queue.0.recv() => match asked {
                Some(asked) => ask(&mut link, asked),
                None => return,
            },
            event = link.next() => if let LinkEvent::Report(AgentReport::Answer { id, result }) = event {
                let Some(StatusAsker(answer)) = link.asker_of(id) else {
                    continue;
                };
                let status = result.and_then(|answer| match answer {
                    AgentAnswer::Status { status } => Ok(status),
                    _ => Err(no_agent("it answers something else")),
                });
                let _ = answer.send(status);
            },
        }
    }
}

fn ask(link: &mut AgentLink<StatusAsker>, asked: AskedRequest) {
    if link.may_start() {
        // The question fails with the same reason, and the script with it.
        let _ = link.start(None);
    }
    let AskedRequest { request, answer } = asked;
    let order = |id| AgentOrder::Request { id, request };
    let _ = link.ask(order, StatusAsker(answer));
}
