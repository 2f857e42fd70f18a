//! The processes that a page shows.

use hyper::StatusCode;

use crate::api::{Caller, Fault, FaultCode, Permission, ProcessView, Reply, Request};
use crate::control::{self, ControlHandle};
use crate::server::http::response::HandlerResponse;

/// All processes that `caller` may see.
pub(super) async fn list_processes(
    control: &ControlHandle,
    caller: &Caller,
) -> Result<Vec<ProcessView>, Fault> {
    let grant = control::grant_for(caller, Permission::Status)?;
    match control
        .call(caller.clone(), grant, Request::AllProcessInfo)
        .await?
    {
        Reply::Processes(views) => Ok(views),
        _ => Err(FaultCode::Failed.bare()),
    }
}

/// The PIDs of the running processes.
pub(super) fn pids(views: &[ProcessView]) -> Vec<i32> {
    views
        .iter()
        .map(|view| view.pid)
        .filter(|&pid| pid != 0)
        .collect()
}

// Differs: while the daemon is stopping, Supervisor's pages answer 500.
pub(super) fn fault_response(fault: &Fault) -> HandlerResponse {
    HandlerResponse::Error(match fault.code {
        FaultCode::ShutdownState => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::FORBIDDEN,
    })
}
