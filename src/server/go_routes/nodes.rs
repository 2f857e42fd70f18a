//! `/supervisor/…`: the nodes, and actions on the daemon.

use hyper::StatusCode;
use serde_json::json;

use super::own_node::{parse_cpu, parse_memory, percent};
use super::reply::{json_response, refusal, success};
use crate::api::{Caller, Fault, FaultCode, Permission, Request, find_method};
use crate::control::UpdateSteps;
use crate::control::{self, ControlHandle};
use crate::http_server::blocking_pool::run_blocking;
use crate::server::http::connection::HttpConnection;
use crate::server::http::response::HandlerResponse;
use crate::server::web::run_to_completion;

/// Answers `/supervisor/listNodes`.
pub(super) async fn list(connection: &HttpConnection, caller: &Caller) -> HandlerResponse {
    if let Err(fault) = control::grant_for(caller, Permission::Status) {
        return refusal(&fault);
    }
    let read = |path: &'static str| {
        run_blocking(move || std::fs::read_to_string(path).unwrap_or_default())
    };
    let stat = read("/proc/stat").await.unwrap_or_default();
    let meminfo = read("/proc/meminfo").await.unwrap_or_default();
    let node = &connection.shared.node;
    let (total, available) = parse_memory(&meminfo);
    let used = total.saturating_sub(available);
    let own = json!({
        "name": node.name,
        "status": "ONLINE",
        "cpu_percent": node.cpu_percent(parse_cpu(&stat)),
        "mem_total": total,
        "mem_used": used,
        "mem_used_percent": percent(used, total),
    });
    json_response(StatusCode::OK, &json!([own]))
}

/// Answers `/supervisor/reload`: applies the configuration, as `supervisorctl update` does.
pub(super) async fn reload(connection: &HttpConnection, caller: Caller) -> HandlerResponse {
    let permission = control::grant_for(&caller, Permission::Update);
    let control = connection.shared.control.clone();
    let work = async move {
        let steps = UpdateSteps {
            control: &control,
            caller: &caller,
        };
        steps.update_groups(&[], &[]).await.map(|_| ())
    };
    match run_to_completion(connection, work).await {
        Some(outcome) => answer(permission, outcome),
        None => success(Err("too many requests".to_owned())),
    }
}

/// Answers `/supervisor/shutdown`.
pub(super) async fn shutdown(connection: &HttpConnection, caller: &Caller) -> HandlerResponse {
    let permission = control::grant_for(caller, Permission::Shutdown);
    let outcome = ask(
        &connection.shared.control,
        caller,
        "supervisor.shutdown",
        Request::Shutdown,
    );
    answer(permission, outcome.await)
}

async fn ask(
    control: &ControlHandle,
    caller: &Caller,
    method: &str,
    request: Request,
) -> Result<(), Fault> {
    let method = find_method(method).ok_or(FaultCode::UnknownMethod.bare())?;
    control.ask(caller, method, request).await.map(|_| ())
}

fn answer<T>(permission: Result<T, Fault>, outcome: Result<(), Fault>) -> HandlerResponse {
    match permission {
        Ok(_) => success(outcome.map_err(|fault| fault.to_string())),
        Err(fault) => refusal(&fault),
    }
}
