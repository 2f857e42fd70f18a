//! `/healthz` and `/readyz`: whether the daemon works, and whether its programs do. Both need no password, because
//! load balancers and container engines send none, and reveal nothing but numbers to a client without it.

use std::sync::Arc;

use hyper::header;
use hyper::http::request::Parts;
use hyper::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::time::{Duration, timeout};

use crate::api::{Caller, Fault, FaultCode, Grant, Permission, ProcessView, Reply, Request};
use crate::control::{self, ControlHandle};
use crate::http_server::response::HttpBody;
use crate::server::http::connection::HttpConnection;
use crate::server::http::response::{HandlerResponse, custom_response, method_not_allowed};

/// How long the engine may take to answer. Only a daemon that does not work takes longer.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// Maximum number of processes that a response names.
const NAMED_MAX: usize = 100;

/// The two checks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::server) enum HealthProbe {
    /// `/healthz`: the engine answers.
    Alive,
    /// `/readyz`: the processes that start with the daemon are ready.
    Ready,
}

impl HealthProbe {
    /// The probe at this path. `None`: another endpoint.
    pub(in crate::server) fn at(path: &str) -> Option<Self> {
        match path {
            "/healthz" => Some(Self::Alive),
            "/readyz" => Some(Self::Ready),
            _ => None,
        }
    }

    /// Answers GET and HEAD. `caller`: `None` for a client without the password of the server.
    pub(in crate::server) async fn answer(
        self,
        connection: &Arc<HttpConnection>,
        caller: Option<&Caller>,
        head: &Parts,
    ) -> HandlerResponse {
        let is_head = match head.method {
            Method::GET => false,
            Method::HEAD => true,
            _ => return method_not_allowed("GET, HEAD"),
        };
        let control = &connection.shared.control;
        let asked = async {
            match self {
                Self::Alive => is_alive(control).await,
                Self::Ready => is_ready(control, caller).await,
            }
        };
        let (is_good, body) = match timeout(ANSWER_WITHIN, asked).await {
            Ok(found) => found,
            Err(_) => (false, json!({ "error": "the daemon does not answer" })),
        };
        let status = match is_good {
            true => StatusCode::OK,
            false => StatusCode::SERVICE_UNAVAILABLE,
        };
        let text = format!("{body}\n");
        let headers = vec![
            (header::CACHE_CONTROL, "no-store".to_owned()),
            (header::X_CONTENT_TYPE_OPTIONS, "nosniff".to_owned()),
        ];
        let length = text.len();
        let mut answer = custom_response(status, "application/json", headers, text);
        if is_head && let HandlerResponse::Made(made) = &mut answer {
            made.body = HttpBody::None(Some(length));
        }
        answer
    }
}

/// Asks the engine for anything. While the daemon stops, its answer is a fault, and it still works.
async fn is_alive(control: &ControlHandle) -> (bool, Value) {
    let grant = Grant::all(Permission::Status);
    match control.call(Caller::DAEMON, grant, Request::State).await {
        Ok(Reply::State(state)) => (true, json!({ "status": "ok", "state": state.name() })),
        Err(Fault {
            code: FaultCode::ShutdownState,
            ..
        }) => (true, json!({ "status": "stopping" })),
        Ok(_) | Err(_) => (false, json!({ "status": "failed" })),
    }
}

async fn is_ready(control: &ControlHandle, caller: Option<&Caller>) -> (bool, Value) {
    let grant = Grant::all(Permission::Status);
    let state = control.call(Caller::DAEMON, grant.clone(), Request::State);
    let is_stopping = state.await.is_err();
    // The engine answers this request of the daemon itself also while it stops.
    let processes = match control
        .call(Caller::DAEMON, grant, Request::AllProcessInfo)
        .await
    {
        Ok(Reply::Processes(processes)) => processes,
        Ok(_) | Err(_) => return (false, json!({ "status": "stopping" })),
    };
    let expected = processes.iter().filter(|view| view.ready.is_some()).count();
    let late: Vec<&ProcessView> = processes
        .iter()
        .filter(|view| view.ready == Some(false))
        .collect();
    let is_good = late.is_empty() && !is_stopping;
    let status = match (is_stopping, is_good) {
        (true, _) => "stopping",
        (false, true) => "ready",
        (false, false) => "not ready",
    };
    let mut body = json!({ "status": status, "processes": expected, "not_ready": late.len() });
    if let Some(names) = caller.and_then(|caller| named(caller, &late)) {
        body["names"] = names;
    }
    (is_good, body)
}

/// The processes that are not ready, as far as the caller may see them. `None`: the caller may see no states.
fn named(caller: &Caller, late: &[&ProcessView]) -> Option<Value> {
    let grant = control::grant_for(caller, Permission::Status).ok()?;
    let sees = caller.visible_scope();
    let covered = late.iter().filter(|view| {
        let (group, name) = (view.group.as_str(), view.name.as_str());
        grant.scope.covers(group, name) && sees.covers(group, name)
    });
    let shown = covered.take(NAMED_MAX).map(|view| {
        json!({
            "group": view.group.as_str(),
            "name": view.name.as_str(),
            "state": view.state.name(),
            "health": view.health.name(),
        })
    });
    Some(shown.collect())
}
