//! XML-RPC over HTTP: parses the body into a call of METHODS, authorises it, asks the engine and renders the reply.

use std::sync::Arc;

use http_body_util::BodyExt as _;
use hyper::body::{Bytes, Incoming};
use hyper::header::{self, HeaderMap};
use hyper::http::request::Parts;
use hyper::{Method, StatusCode};
use tokio::time::timeout_at;

use super::budget::{BusyGuard, LargePermit, ReservedBytes};
use super::buffer_pool::PooledBuffer;
use super::http::{BodyPace, HttpConnection, is_foreign_page};
use super::logs;
use super::render::{self, ListReply, RenderScratch};
use super::response::HandlerResponse;
use crate::api::xmlrpc::{self, RpcCall, RpcValue};
use crate::api::{
    BoundCall, Caller, Fault, FaultCode, Method as Called, Reply, Request as Ask, TableColumns,
    WireType,
};
use crate::api::{find_method, method_names};
use crate::domain::{FOREIGN_CHARS_MAX, Line, python_repr};

/// Maximum length of a request body, in bytes.
pub(super) const BODY_MAX: usize = 16 << 20;
/// Memory used by parsed values, in bytes per byte of the densest possible body.
const VALUES_FACTOR: usize = 6;
/// Longer bodies, in bytes, are parsed on a helper thread, so that other clients do not wait.
const PARSE_BLOCKING_BYTES: usize = 64 << 10;
/// Arrays with more values are rendered on a helper thread.
const RENDER_BLOCKING_VALUES: usize = 256;
/// Number of structs of a list that are written before other clients get their turn: about 100 µs.
const STRUCTS_PER_TURN: usize = 256;
/// Memory used by one value of a response besides its text, in bytes.
const VALUE_BYTES: usize = 64;
/// Approximate maximum size of all results of one multicall, in bytes. Later calls are refused.
const MULTICALL_RESULTS_MAX: usize = 64 << 20;
/// The same for an untrusted client.
const MULTICALL_RESULTS_OTHERS_MAX: usize = 5 << 20;
/// Memory used by a result, in bytes per byte of its text.
const RESULT_FACTOR: usize = 3;
/// How much of an invalid request the log shows, in characters.
const SHOWN_MAX: usize = FOREIGN_CHARS_MAX;

/// Answers a request to `/RPC2`.
pub(super) async fn handle_rpc(
    connection: &Arc<HttpConnection>,
    caller: Caller,
    request: &Parts,
    body: &mut Incoming,
) -> HandlerResponse {
    if request.method != Method::POST {
        return HandlerResponse::Error(StatusCode::BAD_REQUEST);
    }
    if is_foreign_page(&request.headers, &connection.shared.host_names) {
        return HandlerResponse::Fatal(StatusCode::FORBIDDEN);
    }
    let (body, mut room) = match read_body(connection, &request.headers, body, BODY_MAX).await {
        Ok(read) => read,
        Err(status) => return HandlerResponse::Fatal(status),
    };
    if !room.grow_to(body.len() * VALUES_FACTOR) {
        return HandlerResponse::Fatal(StatusCode::SERVICE_UNAVAILABLE);
    }
    // From here on a response is pending. Until here the connection of a slow client may be closed to make room.
    let _busy = BusyGuard::new(&connection.guard);
    let log = &connection.shared.log;
    let parsed = if body.len() > PARSE_BLOCKING_BYTES {
        let body = body.clone();
        run_blocking(move || xmlrpc::read_call(&body)).await
    } else {
        Some(xmlrpc::read_call(&body))
    };
    let call = match parsed {
        None => return HandlerResponse::Error(StatusCode::INTERNAL_SERVER_ERROR),
        Some(Err(_)) => {
            let (data, source) = (excerpt(&body), caller.rate_limit_key());
            log(Line::Unmarshallable { data, source });
            return HandlerResponse::Error(StatusCode::BAD_REQUEST);
        }
        Some(Ok(call)) if call.method.is_empty() => {
            let (data, source) = (excerpt(&body), caller.rate_limit_key());
            log(Line::NoMethodName { data, source });
            return HandlerResponse::Error(StatusCode::BAD_REQUEST);
        }
        Some(Ok(call)) => call,
    };
    drop(body);
    let RpcCall {
        method: name,
        params,
    } = call;
    log(Line::MethodCalled {
        method: name.clone(),
    });
    let (result, large) = match perform_call(connection, &caller, &name, params).await {
        Ok((value, large)) => (Ok(value), large),
        Err(fault) => (Err(fault), None),
    };
    log(match &result {
        Ok(_) => Line::MethodReturned { method: name },
        Err(fault) => Line::MethodFaulted {
            method: name,
            code: fault.code.code(),
            text: fault.to_string(),
        },
    });
    let result = match result {
        Ok(CallResult::List(list)) => {
            let buffer = write_list(connection, &list).await;
            let answer = match connection.guard.budget_bytes(buffer) {
                Some(body) => HandlerResponse::Budgeted("text/xml", body),
                None => HandlerResponse::Error(StatusCode::SERVICE_UNAVAILABLE),
            };
            drop(large);
            return answer;
        }
        Ok(CallResult::Value(value)) => Ok(value),
        Err(fault) => Err(fault),
    };
    let written = match &result {
        Ok(RpcValue::Array(items)) if items.len() > RENDER_BLOCKING_VALUES => {
            // A thousand results are a tree of values of several megabytes. Free it on the helper thread too.
            let freed = items.iter().map(memory_of).sum();
            let written = run_blocking(move || {
                let written = xmlrpc::write_response(&result);
                drop(result);
                written
            })
            .await;
            connection.shared.reclaim.count_freed(freed);
            written
        }
        _ => Some(xmlrpc::write_response(&result)),
    };
    // Charge the response to the budget before the next client's turn.
    let answer = match written {
        Some(bytes) => {
            HandlerResponse::Full("text/xml", bytes.into()).with_budget(&connection.guard)
        }
        None => HandlerResponse::Error(StatusCode::INTERNAL_SERVER_ERROR),
    };
    drop(large);
    answer
}

/// Writes a list into one buffer. Other clients get their turn in between.
async fn write_list(connection: &HttpConnection, list: &ListReply) -> PooledBuffer {
    let mut buffer = connection
        .shared
        .reclaim
        .acquire_buffer(list.estimated_bytes());
    let mut response = list.start_response(std::mem::take(&mut buffer.bytes));
    let mut scratch = RenderScratch::default();
    for begin in (0..list.len()).step_by(STRUCTS_PER_TURN) {
        if begin > 0 {
            tokio::task::yield_now().await;
        }
        let end = list.len().min(begin + STRUCTS_PER_TURN);
        response.write(begin..end, &mut scratch);
    }
    buffer.bytes = response.finish();
    buffer
}

/// Approximate memory use of a value, in bytes.
fn memory_of(value: &RpcValue) -> usize {
    match value {
        RpcValue::Struct(members) => members.len() * 2 * VALUE_BYTES,
        RpcValue::Array(items) => items.len() * VALUE_BYTES,
        _ => VALUE_BYTES,
    }
}

/// The result of a call.
enum CallResult {
    /// A value.
    Value(RpcValue),
    /// A list that is written without a tree of values.
    List(ListReply),
}

/// Runs work that takes long or may block on a helper thread. `None`: it panicked.
pub(super) async fn run_blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    tokio::task::spawn_blocking(work).await.ok()
}

/// The beginning of a request, quoted.
// Differs: Supervisor writes the whole request to the log, whatever its length.
fn excerpt(body: &[u8]) -> String {
    let beginning = &body[..body.len().min(SHOWN_MAX * 4)];
    let text = String::from_utf8_lossy(beginning);
    let cut: String = text.chars().take(SHOWN_MAX).collect();
    python_repr(&cut)
}

/// Reads the whole body, at most `max` bytes, and returns it with its reservation of the client's budget.
pub(super) async fn read_body(
    connection: &HttpConnection,
    headers: &HeaderMap,
    body: &mut Incoming,
    max: usize,
) -> Result<(Bytes, ReservedBytes), StatusCode> {
    let chunked = headers.contains_key(header::TRANSFER_ENCODING);
    let length = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.parse::<usize>().ok());
    match length {
        None if !chunked => return Err(StatusCode::LENGTH_REQUIRED),
        Some(length) if length > max => return Err(StatusCode::PAYLOAD_TOO_LARGE),
        Some(length) if !connection.guard.could_reserve(length) => {
            return Err(StatusCode::SERVICE_UNAVAILABLE);
        }
        _ => {}
    }
    let full = || StatusCode::SERVICE_UNAVAILABLE;
    let mut read = Vec::new();
    let mut room = connection.guard.reserve_bytes(0).ok_or_else(full)?;
    let mut pace = BodyPace::start();
    loop {
        let frame = match timeout_at(pace.deadline(), body.frame()).await {
            Err(_) => return Err(StatusCode::REQUEST_TIMEOUT),
            Ok(None) => return Ok((read.into(), room)),
            Ok(Some(Err(_))) => return Err(StatusCode::BAD_REQUEST),
            Ok(Some(Ok(frame))) => frame,
        };
        let Some(data) = frame.data_ref() else {
            continue;
        };
        if read.len() + data.len() > max {
            return Err(StatusCode::PAYLOAD_TOO_LARGE);
        }
        // Do not wait for room: bodies that wait for each other's room would deadlock.
        if !room.grow_to(read.len() + data.len()) {
            return Err(full());
        }
        read.extend_from_slice(data);
        pace.add(data.len());
    }
}

/// Executes one call, or the calls of a multicall in order. Returns the result with the permission to render a large
/// response, if it needed one.
async fn perform_call(
    connection: &HttpConnection,
    caller: &Caller,
    name: &str,
    params: Vec<RpcValue>,
) -> Result<(CallResult, LargePermit), Fault> {
    let (method, bound) = bind_call(connection, name, params)?;
    let calls = match bound {
        BoundCall::Multicall(calls) => calls,
        BoundCall::Engine(request @ (Ask::AllProcessInfo | Ask::AllConfigInfo)) => {
            return call_list(connection, caller, method, request, None).await;
        }
        BoundCall::ProcessTable(request, columns) => {
            return call_list(connection, caller, method, request, Some(columns)).await;
        }
        bound => {
            let large = acquire_large_turn(connection, &bound).await?;
            let value = call_method(connection, caller, method, bound).await?;
            return Ok((CallResult::Value(value), large));
        }
    };
    let max = match connection.guard.client.is_trusted() {
        true => MULTICALL_RESULTS_MAX,
        false => MULTICALL_RESULTS_OTHERS_MAX,
    };
    let mut held = connection.guard.reserve_bytes(0).ok_or_else(no_room)?;
    let mut results = Vec::with_capacity(calls.len());
    let mut weight = 0;
    for call in calls {
        let result = if weight > max {
            Err(FaultCode::Failed.of("the results of the previous calls are too long"))
        } else {
            multicall_element(connection, caller, call).await
        };
        let mut value =
            result.unwrap_or_else(|fault| RpcValue::fault(fault.code.code(), fault.to_string()));
        let own = wire_size_of(&value);
        if held.grow_to((weight + own) * RESULT_FACTOR) {
            weight += own;
        } else {
            let fault = no_room();
            value = RpcValue::fault(fault.code.code(), fault.to_string());
            weight += wire_size_of(&value);
        }
        results.push(value);
        // Calls that need no engine never wait, so without this they would block every other client.
        tokio::task::yield_now().await;
    }
    Ok((CallResult::Value(RpcValue::Array(results)), None))
}

/// Executes a call that returns a list. With `columns`, the list is a table.
async fn call_list(
    connection: &HttpConnection,
    caller: &Caller,
    method: &'static Called,
    request: Ask,
    columns: Option<TableColumns>,
) -> Result<(CallResult, LargePermit), Fault> {
    let large = connection.guard.acquire_large().await.ok_or_else(no_room)?;
    let control = &connection.shared.control;
    let grant = control.grant(caller, method, &request)?;
    let list = match (control.call(caller.clone(), grant, request).await?, columns) {
        (Reply::Processes(views), None) => ListReply::Processes(views),
        (Reply::Processes(views), Some(columns)) => ListReply::Table(views, columns),
        (Reply::Configs(views), None) => ListReply::Configs(views),
        (reply, _) => {
            let value = render_value(reply, method.returns).await?;
            return Ok((CallResult::Value(value), large));
        }
    };
    Ok((CallResult::List(list), large))
}

fn no_room() -> Fault {
    FaultCode::Failed.of("too much memory is used by other responses (try again)")
}

/// Waits for permission to render if the response may be large: all processes, or a part of a log.
async fn acquire_large_turn(
    connection: &HttpConnection,
    bound: &BoundCall,
) -> Result<LargePermit, Fault> {
    match bound {
        BoundCall::Engine(Ask::AllProcessInfo | Ask::AllConfigInfo)
        | BoundCall::ProcessTable(..)
        | BoundCall::ReadLog { .. }
        | BoundCall::TailLog { .. } => connection.guard.acquire_large().await.ok_or_else(no_room),
        _ => Ok(None),
    }
}

/// Executes one element of a multicall.
// Differs: an element that is not a struct gets a fault of its own. Supervisor answers the whole multicall with 500.
async fn multicall_element(
    connection: &HttpConnection,
    caller: &Caller,
    call: RpcValue,
) -> Result<RpcValue, Fault> {
    let wrong = || FaultCode::IncorrectParameters.bare();
    let RpcValue::Struct(members) = call else {
        return Err(wrong());
    };
    let (mut name, mut params) = (None, Vec::new());
    for (member, value) in members {
        match (member.as_str(), value) {
            ("methodName", RpcValue::Text(text)) => name = Some(text),
            ("params", RpcValue::Array(items)) => params = items,
            ("methodName" | "params", _) => return Err(wrong()),
            _ => {}
        }
    }
    let name = name.ok_or_else(|| FaultCode::IncorrectParameters.of("No methodName"))?;
    if name == "system.multicall" {
        let text = "Recursive system.multicall forbidden";
        return Err(FaultCode::IncorrectParameters.of(text));
    }
    let (method, bound) = bind_call(connection, &name, params)?;
    let _large = acquire_large_turn(connection, &bound).await?;
    call_method(connection, caller, method, bound).await
}

fn bind_call(
    connection: &HttpConnection,
    name: &str,
    params: Vec<RpcValue>,
) -> Result<(&'static Called, BoundCall), Fault> {
    let found = find_method(name)
        .filter(|method| connection.shared.interface.offers(method))
        .ok_or_else(|| FaultCode::UnknownMethod.bare())?;
    connection.shared.interface.permits(found)?;
    Ok((found, found.bind_arguments(params)?))
}

async fn call_method(
    connection: &HttpConnection,
    caller: &Caller,
    called: &'static Called,
    bound: BoundCall,
) -> Result<RpcValue, Fault> {
    let returns = called.returns;
    let control = &connection.shared.control;
    let most = logs::read_limit(connection.guard.client);
    let ask = async |request: Ask| -> Result<Reply, Fault> {
        let grant = control.grant(caller, called, &request)?;
        control.call(caller.clone(), grant, request).await
    };
    let texts = |texts: Vec<&str>| RpcValue::Array(texts.into_iter().map(RpcValue::text).collect());
    let described = |name: &str| {
        find_method(name)
            .filter(|method| connection.shared.interface.offers(method))
            .ok_or_else(|| FaultCode::SignatureUnsupported.bare())
    };
    match bound {
        BoundCall::Engine(request) => render_value(ask(request).await?, returns).await,
        BoundCall::Wildcard(request, given) => {
            let reply = ask(request).await.map_err(|fault| match fault.code {
                FaultCode::BadName => FaultCode::BadName.of(given),
                _ => fault,
            })?;
            render_value(reply, returns).await
        }
        // Only within a multicall.
        BoundCall::ProcessTable(request, columns) => match ask(request).await? {
            Reply::Processes(views) => Ok(render::render_table(&views, columns)),
            reply => render_value(reply, returns).await,
        },
        BoundCall::Constant(text) => {
            // Ask the engine, because while the daemon is stopping all methods but one fail.
            ask(Ask::State).await?;
            Ok(RpcValue::text(text))
        }
        BoundCall::ReadLog { of, offset, length } => {
            let source = logs::log_source(ask(Ask::LogFile(of)).await?);
            logs::read_log(source, offset, length, most).await
        }
        BoundCall::TailLog { of, offset, length } => {
            let source = logs::log_source(ask(Ask::LogFile(of)).await?);
            logs::tail_log(source, offset, length, most).await
        }
        BoundCall::ListMethods => Ok(texts(method_names(&connection.shared.interface))),
        BoundCall::MethodHelp(name) => described(&name).map(|method| RpcValue::Text(method.help())),
        BoundCall::MethodSignature(name) => {
            described(&name).map(|method| texts(method.signature()))
        }
        // `multicall_element` refuses nested multicalls, and `perform_call` handles the outer one.
        BoundCall::Multicall(_) => Err(FaultCode::IncorrectParameters.bare()),
    }
}

pub(super) async fn render_value(reply: Reply, returns: WireType) -> Result<RpcValue, Fault> {
    let long = match &reply {
        Reply::Processes(views) => views.len() > RENDER_BLOCKING_VALUES,
        Reply::Configs(views) => views.len() > RENDER_BLOCKING_VALUES,
        _ => false,
    };
    if long {
        run_blocking(move || render::render_reply(reply, returns))
            .await
            .ok_or_else(|| FaultCode::Failed.bare())
    } else {
        Ok(render::render_reply(reply, returns))
    }
}

/// Approximate size of a value on the wire, in bytes.
fn wire_size_of(value: &RpcValue) -> usize {
    let own = match value {
        RpcValue::Text(text) | RpcValue::DateTime(text) => text.len(),
        RpcValue::Bytes(bytes) => bytes.len() * 4 / 3,
        RpcValue::Array(items) => items.iter().map(wire_size_of).sum(),
        RpcValue::Struct(members) => members
            .iter()
            .map(|(name, value)| 60 + name.len() + wire_size_of(value))
            .sum(),
        RpcValue::Int(_) | RpcValue::Bool(_) | RpcValue::Double(_) => 8,
    };
    own + 32
}
