//! Performs actions of the page. They call methods of METHODS with the same authorisation as XML-RPC.

use std::time::Duration;

use tokio::task::JoinSet;

use super::action_outcome::outcome;
use crate::api::xmlrpc::RpcValue;
use crate::api::{BoundCall, Caller, Fault, FaultCode, Reply, TargetResult, find_method};
use crate::control::ControlHandle;
use crate::domain::{GroupName, Namespec, ProcessName};
use crate::server::http::connection::HttpConnection;
use crate::web::action_outcome::ActionOutcome;
use crate::web::page_actions::{ActionTarget, PageAction};
use crate::web::texts::Language;

/// The methods of an action.
pub(super) struct ActionMethods {
    /// For one process or group, in the order in which they are called.
    pub(super) one: &'static [&'static str],
    /// For all processes.
    pub(super) all: &'static [&'static str],
}

/// The methods of an action of the page.
pub(super) fn methods_of(action: &PageAction) -> ActionMethods {
    let (one, all): (&[&str], &[&str]) = match action.name {
        "start" => (
            &["supervisor.startProcess"],
            &["supervisor.startAllProcesses"],
        ),
        "restart" => (
            &["supervisor.stopProcess", "supervisor.startProcess"],
            &[
                "supervisor.stopAllProcesses",
                "supervisor.startAllProcesses",
            ],
        ),
        "stop" => (
            &["supervisor.stopProcess"],
            &["supervisor.stopAllProcesses"],
        ),
        _ => (
            &["supervisor.clearProcessLogs"],
            &["supervisor.clearAllProcessLogs"],
        ),
    };
    ActionMethods { one, all }
}

/// Maximum number of selected processes on which an action works at the same time.
const AT_ONCE: usize = 1024;

/// How long a page waits for the end of an action that may take long. The action goes on afterwards.
pub(super) const ANSWER_WAIT: Duration = Duration::from_secs(10);

/// Calls a method. The target is passed only if the method takes a namespec.
pub(super) async fn call_method(
    control: &ControlHandle,
    caller: &Caller,
    name: &str,
    target: Option<&str>,
) -> Result<Reply, Fault> {
    let arguments = target.map(RpcValue::text).into_iter().collect();
    call_with(control, caller, name, arguments).await
}

/// Calls a method with these arguments.
pub(super) async fn call_with(
    control: &ControlHandle,
    caller: &Caller,
    name: &str,
    arguments: Vec<RpcValue>,
) -> Result<Reply, Fault> {
    let method = find_method(name).ok_or(FaultCode::UnknownMethod.bare())?;
    let bound = method.bind_arguments(arguments)?;
    let (BoundCall::Engine(request) | BoundCall::Wildcard(request, _)) = bound else {
        return Err(FaultCode::UnknownMethod.bare());
    };
    control.ask(caller, method, request).await
}

/// Runs `work` to its end, even if the client disconnects meanwhile: a restart that stops halfway would leave the
/// program stopped. `None`: too many actions are running.
pub(in crate::server) async fn run_to_completion<T: Send + 'static>(
    connection: &HttpConnection,
    work: impl Future<Output = T> + Send + 'static,
) -> Option<T> {
    let quota = &connection.shared.live.actions;
    let place = quota.acquire(connection.guard.client)?;
    let task = tokio::spawn(async move {
        let done = work.await;
        drop(place);
        done
    });
    task.await.ok()
}

pub(super) async fn perform_action(
    control: &ControlHandle,
    caller: &Caller,
    action: &PageAction,
    target: &ActionTarget,
    language: Language,
) -> ActionOutcome {
    let result = match target {
        ActionTarget::Group(group) if action.name == "clear" => {
            clear_group(control, caller, group).await
        }
        ActionTarget::One { .. } | ActionTarget::Group(_) => {
            let text = target.to_text();
            call_in_order(control, caller, methods_of(action).one, Some(&text)).await
        }
        ActionTarget::All => call_in_order(control, caller, methods_of(action).all, None).await,
        ActionTarget::Selected(names) => Ok(Reply::Results(
            perform_on(control, caller, action, names).await,
        )),
    };
    outcome(action, target, &result, language)
}

/// Performs an action on each process, many at a time. The results have the order of the names.
async fn perform_on(
    control: &ControlHandle,
    caller: &Caller,
    action: &PageAction,
    names: &[String],
) -> Vec<TargetResult> {
    let mut results = Vec::new();
    for part in names.chunks(AT_ONCE) {
        let mut tasks = JoinSet::new();
        for (at, name) in part.iter().enumerate() {
            let (control, caller, name) = (control.clone(), caller.clone(), name.clone());
            let methods = methods_of(action).one;
            tasks.spawn(async move {
                let done = call_in_order(&control, &caller, methods, Some(&name)).await;
                (at, results_of(&name, done))
            });
        }
        let mut done = tasks.join_all().await;
        done.sort_by_key(|(at, _)| *at);
        results.extend(done.into_iter().flat_map(|(_, results)| results));
    }
    results
}

/// The results of an action on the process or the group that `name` means.
fn results_of(name: &str, done: Result<Reply, Fault>) -> Vec<TargetResult> {
    let fault = match done {
        Ok(Reply::Results(results)) => return results,
        Ok(_) => None,
        Err(fault) => Some(fault),
    };
    let Namespec { group, process } = Namespec::parse(name);
    let process = process.unwrap_or_else(|| group.clone());
    // Names that no process can have: another page made them up.
    let (Ok(process), Ok(group)) = (ProcessName::parse(&process), GroupName::parse(&group)) else {
        return Vec::new();
    };
    vec![TargetResult {
        process,
        group,
        fault,
    }]
}

/// Calls the methods in order. Returns the result of the last one, with the failures of those before it. Stopping a
/// process that does not run is no failure.
async fn call_in_order(
    control: &ControlHandle,
    caller: &Caller,
    names: &[&str],
    target: Option<&str>,
) -> Result<Reply, Fault> {
    let mut last: Result<Reply, Fault> = Ok(Reply::Done);
    let mut failed: Vec<TargetResult> = Vec::new();
    for name in names {
        if let Err(fault) = &last
            && fault.code != FaultCode::NotRunning
        {
            break;
        }
        if let Ok(Reply::Results(results)) = &mut last {
            let is_failure = |result: &TargetResult| {
                let fault = result.fault.as_ref();
                fault.is_some_and(|fault| fault.code != FaultCode::NotRunning)
            };
            failed.extend(results.drain(..).filter(is_failure));
        }
        last = call_method(control, caller, name, target).await;
    }
    if let Ok(Reply::Results(results)) = &mut last {
        let is_told = |one: &TargetResult| {
            let same =
                |other: &TargetResult| (&other.group, &other.process) == (&one.group, &one.process);
            failed.iter().any(same)
        };
        // A process that failed to stop is still running, so its start fails only because of that. Report the first
        // failure only.
        results.retain(|result| !is_told(result));
        results.append(&mut failed);
    }
    last
}

/// Clears the logs of a group. METHODS has no method for that, so each member is cleared in turn.
async fn clear_group(
    control: &ControlHandle,
    caller: &Caller,
    group: &str,
) -> Result<Reply, Fault> {
    let Reply::Processes(views) =
        call_method(control, caller, "supervisor.getAllProcessInfo", None).await?
    else {
        return Err(FaultCode::Failed.bare());
    };
    let mut results = Vec::new();
    for view in views.iter().filter(|view| view.group.as_str() == group) {
        let name = format!("{}:{}", view.group, view.name);
        let cleared =
            call_method(control, caller, "supervisor.clearProcessLogs", Some(&name)).await;
        results.push(TargetResult {
            process: view.name.clone(),
            group: view.group.clone(),
            fault: cleared.err(),
        });
    }
    if results.is_empty() {
        return Err(FaultCode::BadName.of(group));
    }
    Ok(Reply::Results(results))
}
