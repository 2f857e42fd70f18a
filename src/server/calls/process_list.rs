//! The processes that a page or a scrape shows.

use crate::api::{Caller, Fault, FaultCode, Permission, ProcessView, Reply, Request};
use crate::control::{self, ControlHandle};

/// All processes that `caller` may see.
pub(in crate::server) async fn list_processes(
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
pub(in crate::server) fn pids(views: &[ProcessView]) -> Vec<i32> {
    views
        .iter()
        .map(|view| view.pid)
        .filter(|&pid| pid != 0)
        .collect()
}
