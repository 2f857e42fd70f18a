//! The actions of the web page and the buttons of its forms. They call methods of METHODS with the same authorisation
//! as XML-RPC. [`csrf`](super::csrf) checks the origin of requests before this module sees them.

use std::fmt::Display;
use std::sync::Arc;

use hyper::StatusCode;
use hyper::header;
use hyper::http::request::Parts;

use super::super::budget::QuotaPermit;
use super::super::http::HttpConnection;
use super::super::response::HandlerResponse;
use super::form::{Form, url_quoted};
use crate::api::xmlrpc::RpcValue;
use crate::api::{BoundCall, Caller, Fault, FaultCode, Reply, TargetResult, find_method};
use crate::control::ControlHandle;
use crate::domain::Namespec;

/// Maximum number of concurrent actions, all clients together. Each runs to its end, even if its client disconnects.
pub(super) const ACTIONS_MAX: usize = 256;
/// Maximum number of failed group members that a message names.
const FAILURES_SHOWN_MAX: usize = 5;

/// An action of the page, with its button.
pub(super) struct PageAction {
    /// Its name in forms.
    pub(super) name: &'static str,
    /// Its label on a process or group.
    pub(super) label: &'static str,
    /// Its label on everything.
    pub(super) label_all: &'static str,
    /// Its past participle, for messages.
    past: &'static str,
    /// The methods for one process or group, in the order in which they are called.
    pub(super) one: &'static [&'static str],
    /// The methods for all processes.
    all: &'static [&'static str],
}

/// All actions.
pub(super) const PAGE_ACTIONS: &[PageAction] = &[
    PageAction {
        name: "start",
        label: "Start",
        label_all: "Start all",
        past: "started",
        one: &["supervisor.startProcess"],
        all: &["supervisor.startAllProcesses"],
    },
    PageAction {
        name: "restart",
        label: "Restart",
        label_all: "Restart all",
        past: "restarted",
        one: &["supervisor.stopProcess", "supervisor.startProcess"],
        all: &[
            "supervisor.stopAllProcesses",
            "supervisor.startAllProcesses",
        ],
    },
    PageAction {
        name: "stop",
        label: "Stop",
        label_all: "Stop all",
        past: "stopped",
        one: &["supervisor.stopProcess"],
        all: &["supervisor.stopAllProcesses"],
    },
    PageAction {
        name: "clear",
        label: "Clear",
        label_all: "Clear all logs",
        past: "cleared",
        one: &["supervisor.clearProcessLogs"],
        all: &["supervisor.clearAllProcessLogs"],
    },
];

pub(super) fn find_action(word: &str) -> Option<&'static PageAction> {
    PAGE_ACTIONS.iter().find(|action| action.name == word)
}

/// The target of an action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ActionTarget {
    /// A process: its name as people write it, and its full namespec.
    One {
        shown: String,
        full: String,
    },
    Group(String),
    All,
}

impl ActionTarget {
    /// Reads `group:process`, `group:*`, `process` or `*`.
    pub(super) fn parse(text: &str) -> Self {
        if text == "*" {
            return Self::All;
        }
        let Namespec { group, process } = Namespec::parse(text);
        match process {
            None => Self::Group(group),
            Some(process) => Self::One {
                shown: if group == process {
                    process.clone()
                } else {
                    format!("{group}:{process}")
                },
                full: format!("{group}:{process}"),
            },
        }
    }

    /// The inverse of `parse`.
    pub(super) fn to_text(&self) -> String {
        match self {
            Self::One { full, .. } => full.clone(),
            Self::Group(group) => format!("{group}:*"),
            Self::All => "*".to_owned(),
        }
    }
}

impl ActionTarget {
    /// The target's name within a sentence.
    pub(super) fn to_phrase(&self) -> String {
        match self {
            Self::One { shown, .. } => format!("process {shown}"),
            Self::Group(group) => format!("group {group}"),
            Self::All => "all processes".to_owned(),
        }
    }
}

impl Display for ActionTarget {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::One { shown, .. } => write!(f, "Process {shown}"),
            Self::Group(group) => write!(f, "Group {group}"),
            Self::All => f.write_str("All"),
        }
    }
}

/// The result of an action, for people.
#[derive(Debug, PartialEq, Eq)]
struct ActionOutcome {
    message: String,
    failed: bool,
}

/// Calls a method. The target is passed only if the method takes a namespec.
pub(super) async fn call_method(
    control: &ControlHandle,
    caller: &Caller,
    name: &str,
    target: Option<&str>,
) -> Result<Reply, Fault> {
    let method = find_method(name).ok_or(FaultCode::UnknownMethod.bare())?;
    let bound = method.bind_arguments(target.map(RpcValue::text).into_iter().collect())?;
    let (BoundCall::Engine(request) | BoundCall::Wildcard(request, _)) = bound else {
        return Err(FaultCode::UnknownMethod.bare());
    };
    let grant = control.grant(caller, method, &request)?;
    control.call(caller.clone(), grant, request).await
}

/// Runs `work` to its end, even if the client disconnects meanwhile: a restart that stops halfway would leave the
/// program stopped. `None`: too many actions are running.
pub(super) async fn run_to_completion<T: Send + 'static>(
    place: Option<QuotaPermit>,
    work: impl Future<Output = T> + Send + 'static,
) -> Option<T> {
    let place = place?;
    let task = tokio::spawn(async move {
        let done = work.await;
        drop(place);
        done
    });
    task.await.ok()
}

/// Answers POST of one of our forms: 303 to the page with a message, or JSON for the page's script.
pub(super) async fn handle_form(
    connection: &Arc<HttpConnection>,
    caller: Caller,
    head: &Parts,
    form: &Form,
) -> HandlerResponse {
    let wants_json = head
        .headers
        .get(header::ACCEPT)
        .is_some_and(|accept| accept.as_bytes().starts_with(b"application/json"));
    let asked = form.get("do").and_then(|text| text.split_once(' '));
    let asked =
        asked.and_then(|(word, target)| Some((find_action(word)?, ActionTarget::parse(target))));
    if !has_token(connection, form) {
        let given = form.get("token").unwrap_or("");
        let why = if connection.token.is_of_earlier_run(given) {
            "The daemon was restarted after this page was loaded. Nothing was changed."
        } else {
            "The form has no valid token. Nothing was changed."
        };
        return match asked {
            // The page's script fetches the token of this run and repeats the request.
            _ if wants_json => json_response(StatusCode::FORBIDDEN, why, true),
            // Without a script, offer the user a form that contains the token.
            Some((action, target)) => {
                super::links::confirmation_page(connection, action, &target, why)
            }
            None => super::csrf::forbidden(why),
        };
    }
    let Some((action, target)) = asked else {
        return HandlerResponse::Error(StatusCode::BAD_REQUEST);
    };
    let control = connection.shared.control.clone();
    let place = connection
        .shared
        .live
        .actions
        .acquire(connection.guard.client);
    let work = async move { perform_action(&control, &caller, action, &target).await };
    let Some(done) = run_to_completion(place, work).await else {
        return HandlerResponse::Error(StatusCode::SERVICE_UNAVAILABLE);
    };
    if wants_json {
        json_response(StatusCode::OK, &done.message, done.failed)
    } else {
        let location = format!("./?message={}", url_quoted(&done.message));
        super::redirect(StatusCode::SEE_OTHER, location)
    }
}

fn json_response(status: StatusCode, message: &str, failed: bool) -> HandlerResponse {
    let body = serde_json::json!({ "message": message, "failed": failed }).to_string();
    let headers = super::protection_headers();
    super::custom_response(status, "application/json", headers, body)
}

pub(super) fn has_token(connection: &HttpConnection, form: &Form) -> bool {
    form.get("token")
        .is_some_and(|given| connection.token.matches(given))
}

async fn perform_action(
    control: &ControlHandle,
    caller: &Caller,
    action: &PageAction,
    target: &ActionTarget,
) -> ActionOutcome {
    let result = match target {
        ActionTarget::Group(group) if action.name == "clear" => {
            clear_group(control, caller, group).await
        }
        ActionTarget::One { .. } | ActionTarget::Group(_) => {
            let text = target.to_text();
            call_in_order(control, caller, action.one, Some(&text)).await
        }
        ActionTarget::All => call_in_order(control, caller, action.all, None).await,
    };
    outcome(action, target, &result)
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

fn outcome(
    action: &PageAction,
    target: &ActionTarget,
    result: &Result<Reply, Fault>,
) -> ActionOutcome {
    let mut succeeded = 0;
    let failures: Vec<String> = match result {
        Err(fault) => {
            return ActionOutcome {
                message: format!("ERROR: {target}: {}", fault_text(fault)),
                failed: true,
            };
        }
        Ok(Reply::Results(results)) => {
            succeeded = results
                .iter()
                .filter(|result| result.fault.is_none())
                .count();
            results
                .iter()
                .filter_map(|result| {
                    let fault = result.fault.as_ref()?;
                    Some(format!(
                        "{}: {}",
                        display_name(target, result),
                        fault_text(fault)
                    ))
                })
                .collect()
        }
        Ok(_) => Vec::new(),
    };
    if failures.is_empty() {
        let what = if action.name == "clear" {
            "Log of "
        } else {
            ""
        };
        let target = match target {
            ActionTarget::All if action.name == "clear" => "all".to_owned(),
            ActionTarget::One { shown, .. } if action.name == "clear" => shown.clone(),
            ActionTarget::Group(group) if action.name == "clear" => format!("group {group}"),
            other => other.to_string(),
        };
        return ActionOutcome {
            message: format!("{what}{target} {}", action.past),
            failed: false,
        };
    }
    let more = match failures.len().saturating_sub(FAILURES_SHOWN_MAX) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let shown = failures
        .iter()
        .take(FAILURES_SHOWN_MAX)
        .cloned()
        .collect::<Vec<_>>()
        .join(", ");
    let message = match succeeded {
        0 => format!("ERROR: {target} not {}: {shown}{more}", action.past),
        _ => format!(
            "{succeeded} {}, {} failed: {shown}{more}",
            action.past,
            failures.len()
        ),
    };
    ActionOutcome {
        message,
        failed: true,
    }
}

/// The name of a process in a message about `target`.
fn display_name(target: &ActionTarget, result: &TargetResult) -> String {
    let is_plain = result.group.as_str() == result.process.as_str();
    match target {
        ActionTarget::All if !is_plain => format!("{}:{}", result.group, result.process),
        _ => result.process.to_string(),
    }
}

/// Whether a message from the page's address reports a failure. Only its text can tell.
pub(super) fn is_failure(message: &str) -> bool {
    ["ERROR", "unexpected rpc fault", "No such process"]
        .iter()
        .any(|start| message.starts_with(start))
        || message.contains(" failed: ")
}

/// The text with which Supervisor's page reports a fault.
pub(super) fn fault_text(fault: &Fault) -> String {
    match fault.code {
        FaultCode::NoFile => "no such file".to_owned(),
        FaultCode::NotExecutable => "file not executable".to_owned(),
        FaultCode::AlreadyStarted => "already started".to_owned(),
        FaultCode::SpawnError => "spawn error".to_owned(),
        FaultCode::AbnormalTermination => "abnormal termination".to_owned(),
        FaultCode::NotRunning => "not running".to_owned(),
        FaultCode::BadName => "no such process".to_owned(),
        FaultCode::UnknownMethod
        | FaultCode::IncorrectParameters
        | FaultCode::BadArguments
        | FaultCode::SignatureUnsupported
        | FaultCode::ShutdownState
        | FaultCode::BadSignal
        | FaultCode::Failed
        | FaultCode::Success
        | FaultCode::AlreadyAdded
        | FaultCode::StillRunning
        | FaultCode::CantReread
        | FaultCode::NotInWhitelist => unexpected(fault),
    }
}

pub(super) fn unexpected(fault: &Fault) -> String {
    format!("unexpected rpc fault [{}] {fault}", fault.code.code())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{GroupName, ProcessName};

    #[test]
    fn our_actions_have_their_messages() {
        let result = |name: &str, fault| TargetResult {
            process: ProcessName::parse(name).expect("valid"),
            group: GroupName::parse("g").expect("valid"),
            fault,
        };
        let action = |word| find_action(word).expect("a verb");
        let one = ActionTarget::parse("g:a");
        let group = ActionTarget::parse("g:*");
        let good = Ok(Reply::Done);
        let table = [
            (action("start"), &one, &good, "Process g:a started"),
            (action("clear"), &one, &good, "Log of g:a cleared"),
            (action("clear"), &group, &good, "Log of group g cleared"),
            (
                action("clear"),
                &ActionTarget::All,
                &good,
                "Log of all cleared",
            ),
            (
                action("restart"),
                &ActionTarget::All,
                &good,
                "All restarted",
            ),
            (
                action("stop"),
                &ActionTarget::parse("a"),
                &Err(FaultCode::NotRunning.of("a")),
                "ERROR: Process a: not running",
            ),
        ];
        for (action, target, result, expected) in table {
            assert_eq!(outcome(action, target, result).message, expected);
        }
        let mut results = vec![result("ok", None)];
        for name in ["a", "b", "c", "d", "e", "f", "h"] {
            results.push(result(name, Some(FaultCode::SpawnError.of(name))));
        }
        let done = outcome(action("start"), &group, &Ok(Reply::Results(results)));
        assert_eq!(
            done.message,
            "1 started, 7 failed: a: spawn error, b: spawn error, c: spawn error, d: spawn error, e: spawn error \
             and 2 more"
        );
        assert!(done.failed && is_failure(&done.message));
        let results = vec![result("a", Some(FaultCode::SpawnError.of("a")))];
        let all_failed = super::outcome(action("start"), &group, &Ok(Reply::Results(results)));
        assert_eq!(
            all_failed.message,
            "ERROR: Group g not started: a: spawn error"
        );
        let results = vec![
            result("ok", None),
            result("a", Some(FaultCode::SpawnError.of("a"))),
        ];
        let of_all = super::outcome(
            action("stop"),
            &ActionTarget::All,
            &Ok(Reply::Results(results)),
        );
        assert_eq!(of_all.message, "1 stopped, 1 failed: g:a: spawn error");
        assert!(!is_failure("All started"));
    }

    #[test]
    fn every_page_action_uses_existing_methods() {
        for action in PAGE_ACTIONS {
            for name in action.one.iter().chain(action.all) {
                assert!(find_method(name).is_some(), "{name}");
            }
        }
    }
}
