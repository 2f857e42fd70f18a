//! The processes that a page or a scrape shows.

use super::process_usage::UsageTarget;
use crate::api::{Caller, Fault, FaultCode, Permission, ProcessView, Reply, Request};
use crate::cgroup;
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

/// The running processes, for a sample of what they use.
pub(in crate::server) fn usage_targets(views: &[ProcessView]) -> Vec<UsageTarget> {
    let running = views.iter().filter(|view| view.pid != 0);
    running
        .map(|view| UsageTarget {
            pid: view.pid,
            cgroup: view
                .has_cgroup
                .then(|| cgroup::name(&view.group, &view.name)),
        })
        .collect()
}
