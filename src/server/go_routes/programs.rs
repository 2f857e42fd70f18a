//! `/program/list`, `/program/info`, and the actions on processes.

use std::collections::HashSet;
use std::sync::Arc;

use hyper::StatusCode;
use hyper::body::Incoming;
use hyper::http::request::Parts;
use serde_json::{Map, Value};
use tokio::task::JoinSet;

use super::reply::{fault_response, json_error, json_response, refusal, success, text_response};
use super::route::ProgramChange;
use crate::api::xmlrpc::RpcValue;
use crate::api::{
    BoundCall, Caller, Fault, FaultCode, MemberSink, Permission, ProcessView, Reply, find_method,
};
use crate::control::{self, ControlHandle};
use crate::domain::{Namespec, ProcessState};
use crate::http_server::blocking_pool::run_blocking;
use crate::http_server::request_body::read_body;
use crate::server::calls::process_list::list_processes;
use crate::server::calls::process_members::{RenderScratch, write_process};
use crate::server::http::connection::HttpConnection;
use crate::server::http::response::HandlerResponse;
use crate::server::web::run_to_completion;

/// Maximum length of a list of programs in a body, in bytes.
const LIST_BYTES_MAX: usize = 1 << 20;
/// How many programs of such a list are changed at the same time.
const AT_ONCE: usize = 64;
/// Approximate memory use of a process while it is rendered, in bytes.
const PROCESS_BYTES: usize = 1 << 10;

impl ProgramChange {
    /// The methods that are called in order. The fault of one that means that nothing is to do.
    const fn methods(self) -> &'static [(&'static str, FaultCode)] {
        const START: (&str, FaultCode) = ("supervisor.startProcess", FaultCode::AlreadyStarted);
        const STOP: (&str, FaultCode) = ("supervisor.stopProcess", FaultCode::NotRunning);
        match self {
            Self::Start => &[START],
            Self::Stop => &[STOP],
            Self::Restart => &[STOP, START],
        }
    }
}

/// The members of a process as a JSON object.
#[derive(Default)]
struct JsonMembers(Map<String, Value>);

impl MemberSink for JsonMembers {
    fn text(&mut self, name: &'static str, text: &str) {
        self.0.insert(name.to_owned(), text.into());
    }

    fn int(&mut self, name: &'static str, number: i64) {
        self.0.insert(name.to_owned(), number.into());
    }

    fn bool(&mut self, name: &'static str, truth: bool) {
        self.0.insert(name.to_owned(), truth.into());
    }

    fn ints(&mut self, name: &'static str, numbers: impl Iterator<Item = i64>) {
        self.0.insert(name.to_owned(), numbers.collect());
    }
}

/// The object of a process: the members of `getProcessInfo` and the node.
fn object(view: &ProcessView, node: &str, scratch: &mut RenderScratch) -> Value {
    let mut members = JsonMembers::default();
    write_process(view, scratch, &mut members);
    let JsonMembers(mut members) = members;
    members.insert("node".to_owned(), node.into());
    // As in the Go project. For Supervisor it is the end of the instance before.
    if matches!(
        view.state,
        ProcessState::Starting | ProcessState::Running | ProcessState::Stopping
    ) {
        members.insert("stop".to_owned(), 0.into());
    }
    members.into()
}

/// Answers `/program/list`.
pub(super) async fn list(connection: &Arc<HttpConnection>, caller: &Caller) -> HandlerResponse {
    let Some(_large) = connection.guard.acquire_large().await else {
        return json_error(StatusCode::SERVICE_UNAVAILABLE, "too many requests");
    };
    if let Err(fault) = control::grant_for(caller, Permission::Status) {
        return refusal(&fault);
    }
    let mut views = match list_processes(&connection.shared.control, caller).await {
        Ok(views) => views,
        Err(fault) => return fault_response(&fault),
    };
    let node = connection.shared.node.name.clone();
    let count = views.len();
    let rendered = run_blocking(move || {
        views.sort_by(|one, other| (&one.name, &one.group).cmp(&(&other.name, &other.group)));
        let mut scratch = RenderScratch::default();
        let objects = views.iter().map(|view| object(view, &node, &mut scratch));
        objects.collect::<Value>()
    });
    let list = rendered.await;
    connection.shared.reclaim.count_freed(count * PROCESS_BYTES);
    match list {
        Some(list) => json_response(StatusCode::OK, &list),
        None => HandlerResponse::Error(StatusCode::INTERNAL_SERVER_ERROR),
    }
}

/// Answers `/program/info`. Its clients expect 500 for a name that does not exist.
pub(super) async fn info(
    connection: &Arc<HttpConnection>,
    caller: &Caller,
    name: &str,
) -> HandlerResponse {
    if let Err(fault) = control::grant_for(caller, Permission::Status) {
        return refusal(&fault);
    }
    let control = &connection.shared.control;
    match call(control, caller, "supervisor.getProcessInfo", name).await {
        Ok(Reply::Processes(views)) if views.len() == 1 => {
            let mut scratch = RenderScratch::default();
            let shown = object(&views[0], &connection.shared.node.name, &mut scratch);
            json_response(StatusCode::OK, &shown)
        }
        Ok(_) => unknown(name),
        Err(fault) if fault.code == FaultCode::BadName => unknown(name),
        Err(fault) => json_error(StatusCode::INTERNAL_SERVER_ERROR, &fault.to_string()),
    }
}

fn unknown(name: &str) -> HandlerResponse {
    let shown: String = name
        .chars()
        .take(crate::domain::FOREIGN_CHARS_MAX)
        .collect();
    let why = format!("BAD_NAME no process named {shown}");
    json_error(StatusCode::INTERNAL_SERVER_ERROR, &why)
}

/// Answers an action on one process or group.
pub(super) async fn change(
    connection: &Arc<HttpConnection>,
    caller: Caller,
    change: ProgramChange,
    name: String,
) -> HandlerResponse {
    let permission = control::grant_for(&caller, Permission::Control);
    let control = connection.shared.control.clone();
    let work = async move { change_one(&control, &caller, change, &name).await };
    let Some(outcome) = run_to_completion(connection, work).await else {
        return json_error(StatusCode::SERVICE_UNAVAILABLE, "too many requests");
    };
    match permission {
        Ok(_) => success(outcome),
        // The action has failed, and the audit line says why.
        Err(fault) => refusal(&fault),
    }
}

/// Answers an action on the programs in the body.
pub(super) async fn change_many(
    connection: &Arc<HttpConnection>,
    caller: Caller,
    change: ProgramChange,
    head: &Parts,
    body: &mut Incoming,
) -> HandlerResponse {
    let (bytes, _room) =
        match read_body(&connection.guard, &head.headers, body, LIST_BYTES_MAX).await {
            Ok(read) => read,
            Err(status) => return HandlerResponse::Fatal(status),
        };
    let Some(programs) = programs_in(&bytes) else {
        return text_response(StatusCode::BAD_REQUEST, "not a valid request");
    };
    if let Err(fault) = control::grant_for(&caller, Permission::Control) {
        return refusal(&fault);
    }
    let views = match list_processes(&connection.shared.control, &caller).await {
        Ok(views) => views,
        Err(fault) => return fault_response(&fault),
    };
    // Differs: the Go project reports success and ignores unknown names.
    let unknown = unknown_programs(&programs, &views, &connection.shared.node.name);
    if !unknown.is_empty() {
        let text = format!("unknown programs: {}", unknown.join(", "));
        return text_response(StatusCode::BAD_REQUEST, text);
    }
    let control = connection.shared.control.clone();
    let work = async move { change_in_parts(&control, &caller, change, programs).await };
    let Some(failed) = run_to_completion(connection, work).await else {
        return json_error(StatusCode::SERVICE_UNAVAILABLE, "too many requests");
    };
    let verb = match change {
        ProgramChange::Start => "start",
        ProgramChange::Stop => "stop",
        ProgramChange::Restart => "restart",
    };
    let text = match failed.is_empty() {
        true => format!("Success to {verb} the programs"),
        false => format!("Failed to {verb} the programs: {}", failed.join("; ")),
    };
    text_response(StatusCode::OK, text)
}

/// A program in a body: its node, empty for this one, and its name.
type ListedProgram = (String, String);

/// Reads `["name", …]` or `[{"node": …, "program": …}, …]`. `None`: it is neither.
fn programs_in(body: &[u8]) -> Option<Vec<ListedProgram>> {
    let list: Vec<Value> = serde_json::from_slice(body).ok()?;
    let programs = list.iter().map(|item| match item {
        Value::String(name) => Some((String::new(), name.clone())),
        Value::Object(members) => {
            let text = |name| members.get(name).and_then(Value::as_str);
            let node = match members.get("node") {
                None => "",
                Some(node) => node.as_str()?,
            };
            Some((node.to_owned(), text("program")?.to_owned()))
        }
        _ => None,
    });
    programs.collect()
}

/// The programs that do not exist, or are on a node that does not.
fn unknown_programs(
    programs: &[ListedProgram],
    views: &[ProcessView],
    own_node: &str,
) -> Vec<String> {
    let groups: HashSet<&str> = views.iter().map(|view| view.group.as_str()).collect();
    let names: HashSet<(&str, &str)> = views
        .iter()
        .map(|view| (view.group.as_str(), view.name.as_str()))
        .collect();
    let is_known = |(node, name): &&ListedProgram| {
        let Namespec { group, process } = Namespec::parse(name);
        let exists = match &process {
            None => groups.contains(group.as_str()),
            Some(process) => names.contains(&(group.as_str(), process.as_str())),
        };
        exists && (node.is_empty() || node == own_node)
    };
    let unknown = programs.iter().filter(|program| !is_known(program));
    let shown = unknown.map(|(node, name)| match node.as_str() {
        "" => format!("{name:?}"),
        node => format!("{name:?} on node {node:?}"),
    });
    shown.take(AT_ONCE).collect()
}

/// Changes all programs, many at a time. Returns the failures.
async fn change_in_parts(
    control: &ControlHandle,
    caller: &Caller,
    change: ProgramChange,
    programs: Vec<ListedProgram>,
) -> Vec<String> {
    let mut failed = Vec::new();
    for part in programs.chunks(AT_ONCE) {
        let mut tasks = JoinSet::new();
        for (_, name) in part {
            let (control, caller, name) = (control.clone(), caller.clone(), name.clone());
            tasks.spawn(async move { change_one(&control, &caller, change, &name).await });
        }
        for outcome in tasks.join_all().await {
            failed.extend(outcome.err());
        }
    }
    failed
}

/// Calls the methods of a change. The error names the processes that failed.
async fn change_one(
    control: &ControlHandle,
    caller: &Caller,
    change: ProgramChange,
    name: &str,
) -> Result<(), String> {
    for &(method, harmless) in change.methods() {
        match call(control, caller, method, name).await {
            Ok(Reply::Results(results)) => {
                let failures: Vec<String> = results
                    .iter()
                    .filter_map(|result| {
                        let fault = result.fault.as_ref()?;
                        let name = Namespec::print(result.group.as_str(), result.process.as_str());
                        (fault.code != harmless).then(|| format!("{name}: {fault}"))
                    })
                    .collect();
                if !failures.is_empty() {
                    return Err(failures.join(", "));
                }
            }
            Ok(_) => {}
            Err(fault) if fault.code == harmless => {}
            Err(fault) => return Err(fault.to_string()),
        }
    }
    Ok(())
}

/// Calls a method that takes one name.
async fn call(
    control: &ControlHandle,
    caller: &Caller,
    method: &str,
    name: &str,
) -> Result<Reply, Fault> {
    let method = find_method(method).ok_or(FaultCode::UnknownMethod.bare())?;
    match method.bind_arguments(vec![RpcValue::text(name)])? {
        BoundCall::Engine(request) => control.ask(caller, method, request).await,
        BoundCall::Wildcard(request, given) => {
            control
                .ask(caller, method, request)
                .await
                .map_err(|fault| match fault.code {
                    FaultCode::BadName => FaultCode::BadName.of(given),
                    _ => fault,
                })
        }
        _ => Err(FaultCode::UnknownMethod.bare()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::calls::process_members::tests::cat;

    #[test]
    fn g53_lists_of_names_and_of_objects_are_read() {
        let local = |name: &str| (String::new(), name.to_owned());
        for (body, expected) in [
            (r#"["a","g:b"]"#, Some(vec![local("a"), local("g:b")])),
            (
                r#"[{"node":"n","program":"a"},{"program":"b","x":1},"c"]"#,
                Some(vec![
                    ("n".to_owned(), "a".to_owned()),
                    local("b"),
                    local("c"),
                ]),
            ),
            ("[]", Some(vec![])),
            (r#"{"node":"n","program":"a"}"#, None),
            (r#"[{"node":"n"}]"#, None),
            (r#"[{"node":1,"program":"a"}]"#, None),
            ("[1]", None),
            ("", None),
            ("[\"a\"", None),
        ] {
            assert_eq!(programs_in(body.as_bytes()), expected, "{body}");
        }
    }

    #[test]
    fn g52_unknown_programs_and_nodes_are_named() {
        let views = [cat()];
        let program = |node: &str, name: &str| (node.to_owned(), name.to_owned());
        let programs = [
            program("", "cat"),
            program("me", "cat:*"),
            program("", "cat:cat"),
            program("you", "cat"),
            program("", "dog"),
            program("", "dog:*"),
        ];
        assert_eq!(
            unknown_programs(&programs, &views, "me"),
            ["\"cat\" on node \"you\"", "\"dog\"", "\"dog:*\""]
        );
    }

    #[test]
    fn g68_the_object_of_a_process_has_the_go_projects_keys() {
        let mut scratch = RenderScratch::default();
        let mut view = cat();
        view.stop = 5;
        let shown = object(&view, "me", &mut scratch);
        let mut keys: Vec<&str> = shown
            .as_object()
            .expect("an object")
            .keys()
            .map(String::as_str)
            .collect();
        keys.sort_unstable();
        let mut expected: Vec<&str> =
            "node name group description start stop now state statename spawnerr exitstatus \
                                       logfile stdout_logfile stderr_logfile pid"
                .split(' ')
                .collect();
        expected.sort_unstable();
        assert_eq!(keys, expected);
        assert_eq!(shown["stop"], 0);
        assert_eq!(shown["state"], 20);
        assert_eq!(shown["statename"], "RUNNING");
        assert_eq!(shown["logfile"], "");
        view.state = ProcessState::Exited;
        assert_eq!(object(&view, "me", &mut scratch)["stop"], 5);
    }
}
