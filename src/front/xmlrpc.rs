//! XML-RPC over HTTP: a body becomes a call of METHODS, is authorised, asked and rendered.

use std::sync::Arc;

use http_body_util::BodyExt as _;
use hyper::body::{Bytes, Incoming};
use hyper::header::{self, HeaderMap};
use hyper::http::request::Parts;
use hyper::{Method, StatusCode};
use tokio::time::timeout_at;

use super::answer::Answer;
use super::budget::{Busy, Held, Large};
use super::http::{Connection, Pace, is_foreign_page};
use super::logs;
use super::reclaim::Buffer;
use super::view::{self, List, Scratch};
use crate::api::xmlrpc::{self, Call, Value};
use crate::api::{
    Bound, Caller, Columns, Fault, FaultCode, Method as Called, Reply, Request as Ask, WireType,
};
use crate::api::{method, names};
use crate::domain::{FOREIGN_CHARS_MAX, Line, python_repr};

/// The longest body of a request, in bytes.
pub(super) const BODY_MAX: usize = 16 << 20;
/// The memory that a body's values take, in bytes for each byte of the densest body.
const VALUES_FACTOR: usize = 6;
/// Bodies beyond this many bytes are parsed apart, so that nobody else waits for it.
const PARSE_APART: usize = 64 << 10;
/// Arrays of more values than this are rendered apart.
const RENDER_APART: usize = 256;
/// Structs of a list that are written in one turn of the runtime, before other clients have theirs: about 100 µs.
const STRUCTS_PER_TURN: usize = 256;
/// The memory that a value of an answer takes beside its text, in bytes.
const VALUE_BYTES: usize = 64;
/// Results of one multicall together, in bytes, roughly; later calls are refused.
const MULTICALL_RESULTS_MAX: usize = 64 << 20;
/// The same for a client that is not trusted.
const MULTICALL_RESULTS_OTHERS_MAX: usize = 5 << 20;
/// The memory that a result takes, in bytes for each byte of its text.
const RESULT_FACTOR: usize = 3;
/// How much of a bad request the log shows, in characters.
const SHOWN_MAX: usize = FOREIGN_CHARS_MAX;

/// Answers a request to `/RPC2`.
pub(super) async fn answer(
    connection: &Arc<Connection>,
    caller: Caller,
    request: &Parts,
    body: &mut Incoming,
) -> Answer {
    if request.method != Method::POST {
        return Answer::Error(StatusCode::BAD_REQUEST);
    }
    if is_foreign_page(&request.headers, &connection.shared.host_names) {
        return Answer::Fatal(StatusCode::FORBIDDEN);
    }
    let (body, mut room) = match read_body(connection, &request.headers, body, BODY_MAX).await {
        Ok(read) => read,
        Err(status) => return Answer::Fatal(status),
    };
    if !room.grow(body.len() * VALUES_FACTOR) {
        return Answer::Fatal(StatusCode::SERVICE_UNAVAILABLE);
    }
    // From here on an answer is owed; a client that is slow to ask may be sent away.
    let _busy = Busy::new(&connection.place);
    let log = &connection.shared.log;
    let parsed = if body.len() > PARSE_APART {
        let body = body.clone();
        apart(move || xmlrpc::read_call(&body)).await
    } else {
        Some(xmlrpc::read_call(&body))
    };
    let call = match parsed {
        None => return Answer::Error(StatusCode::INTERNAL_SERVER_ERROR),
        Some(Err(_)) => {
            let (data, source) = (shown(&body), caller.source());
            log(Line::Unmarshallable { data, source });
            return Answer::Error(StatusCode::BAD_REQUEST);
        }
        Some(Ok(call)) if call.method.is_empty() => {
            let (data, source) = (shown(&body), caller.source());
            log(Line::NoMethodName { data, source });
            return Answer::Error(StatusCode::BAD_REQUEST);
        }
        Some(Ok(call)) => call,
    };
    drop(body);
    let Call {
        method: name,
        params,
    } = call;
    log(Line::MethodCalled {
        method: name.clone(),
    });
    let (result, large) = match perform(connection, &caller, &name, params).await {
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
        Ok(Answered::List(list)) => {
            let buffer = write_list(connection, &list).await;
            let answer = match connection.place.count(buffer) {
                Some(body) => Answer::Counted("text/xml", body),
                None => Answer::Error(StatusCode::SERVICE_UNAVAILABLE),
            };
            drop(large);
            return answer;
        }
        Ok(Answered::Value(value)) => Ok(value),
        Err(fault) => Err(fault),
    };
    let written = match &result {
        Ok(Value::Array(items)) if items.len() > RENDER_APART => {
            // A thousand results make a tree of values of several megabytes, which nobody needs any more.
            let freed = items.iter().map(memory_of).sum();
            let written = apart(move || {
                let written = xmlrpc::write_response(&result);
                drop(result);
                written
            })
            .await;
            connection.shared.reclaim.freed(freed);
            written
        }
        _ => Some(xmlrpc::write_response(&result)),
    };
    // Counted before the next client's turn.
    let answer = match written {
        Some(bytes) => Answer::Whole("text/xml", bytes.into()).counted(&connection.place),
        None => Answer::Error(StatusCode::INTERNAL_SERVER_ERROR),
    };
    drop(large);
    answer
}

/// Writes a list into one buffer. Other clients have their turn in between.
async fn write_list(connection: &Connection, list: &List) -> Buffer {
    let mut buffer = connection.shared.reclaim.buffer(list.bytes());
    let mut response = list.begin(std::mem::take(&mut buffer.bytes));
    let mut scratch = Scratch::default();
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

/// About how many bytes a value takes in memory.
fn memory_of(value: &Value) -> usize {
    match value {
        Value::Struct(members) => members.len() * 2 * VALUE_BYTES,
        Value::Array(items) => items.len() * VALUE_BYTES,
        _ => VALUE_BYTES,
    }
}

/// What a call has come to.
enum Answered {
    /// A value.
    Value(Value),
    /// A list that is written without values.
    List(List),
}

/// Does something that takes a while, or may block, on another thread; none if it panicked.
pub(super) async fn apart<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    tokio::task::spawn_blocking(work).await.ok()
}

/// The beginning of a request's text, in quotes.
// Differs: Supervisor puts the whole request into the log, however long it is.
fn shown(body: &[u8]) -> String {
    let beginning = &body[..body.len().min(SHOWN_MAX * 4)];
    let text = String::from_utf8_lossy(beginning);
    let cut: String = text.chars().take(SHOWN_MAX).collect();
    python_repr(&cut)
}

/// The whole body, of `max` bytes at most, and its part of the client's budget.
pub(super) async fn read_body(
    connection: &Connection,
    headers: &HeaderMap,
    body: &mut Incoming,
    max: usize,
) -> Result<(Bytes, Held), StatusCode> {
    let chunked = headers.contains_key(header::TRANSFER_ENCODING);
    let length = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.parse::<usize>().ok());
    match length {
        None if !chunked => return Err(StatusCode::LENGTH_REQUIRED),
        Some(length) if length > max => return Err(StatusCode::PAYLOAD_TOO_LARGE),
        Some(length) if !connection.place.could_hold(length) => {
            return Err(StatusCode::SERVICE_UNAVAILABLE);
        }
        _ => {}
    }
    let full = || StatusCode::SERVICE_UNAVAILABLE;
    let mut read = Vec::new();
    let mut room = connection.place.hold(0).ok_or_else(full)?;
    let mut pace = Pace::begin();
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
        // Waiting for room could wait for bodies that wait for us.
        if !room.grow(read.len() + data.len()) {
            return Err(full());
        }
        read.extend_from_slice(data);
        pace.add(data.len());
    }
}

/// One call; a multicall is several, in order. With the permission to make a large answer, if it may be one.
async fn perform(
    connection: &Connection,
    caller: &Caller,
    name: &str,
    params: Vec<Value>,
) -> Result<(Answered, Large), Fault> {
    let (method, bound) = bind(connection, name, params)?;
    let calls = match bound {
        Bound::Multicall(calls) => calls,
        Bound::Engine(request @ (Ask::AllProcessInfo | Ask::AllConfigInfo)) => {
            return list(connection, caller, method, request, None).await;
        }
        Bound::ProcessTable(request, columns) => {
            return list(connection, caller, method, request, Some(columns)).await;
        }
        bound => {
            let large = turn(connection, &bound).await?;
            let value = single(connection, caller, method, bound).await?;
            return Ok((Answered::Value(value), large));
        }
    };
    let max = match connection.place.client.is_trusted() {
        true => MULTICALL_RESULTS_MAX,
        false => MULTICALL_RESULTS_OTHERS_MAX,
    };
    let mut held = connection.place.hold(0).ok_or_else(no_room)?;
    let mut results = Vec::with_capacity(calls.len());
    let mut weight = 0;
    for call in calls {
        let result = if weight > max {
            Err(FaultCode::Failed.of("the results of the previous calls are too long"))
        } else {
            element(connection, caller, call).await
        };
        let mut value =
            result.unwrap_or_else(|fault| Value::fault(fault.code.code(), fault.to_string()));
        let own = weight_of(&value);
        if held.grow((weight + own) * RESULT_FACTOR) {
            weight += own;
        } else {
            let fault = no_room();
            value = Value::fault(fault.code.code(), fault.to_string());
            weight += weight_of(&value);
        }
        results.push(value);
        // Calls that need no engine never wait, and so would hold up every other client.
        tokio::task::yield_now().await;
    }
    Ok((Answered::Value(Value::Array(results)), None))
}

/// A call whose result is a list; with `columns`, as a table.
async fn list(
    connection: &Connection,
    caller: &Caller,
    method: &'static Called,
    request: Ask,
    columns: Option<Columns>,
) -> Result<(Answered, Large), Fault> {
    let large = connection.place.large().await.ok_or_else(no_room)?;
    let control = &connection.shared.control;
    let grant = control.grant(caller, method, &request)?;
    let list = match (control.call(caller.clone(), grant, request).await?, columns) {
        (Reply::Processes(views), None) => List::Processes(views),
        (Reply::Processes(views), Some(columns)) => List::Table(views, columns),
        (Reply::Configs(views), None) => List::Configs(views),
        (reply, _) => {
            let value = rendered(reply, method.returns).await?;
            return Ok((Answered::Value(value), large));
        }
    };
    Ok((Answered::List(list), large))
}

fn no_room() -> Fault {
    FaultCode::Failed.of("too much memory is used by other responses (try again)")
}

/// Waits until this may be answered, if the answer may be large: all processes, or a part of a log.
async fn turn(connection: &Connection, bound: &Bound) -> Result<Large, Fault> {
    match bound {
        Bound::Engine(Ask::AllProcessInfo | Ask::AllConfigInfo)
        | Bound::ProcessTable(..)
        | Bound::ReadLog { .. }
        | Bound::TailLog { .. } => connection.place.large().await.ok_or_else(no_room),
        _ => Ok(None),
    }
}

/// One element of a multicall.
// Differs: an element that is no struct gets a fault of its own; Supervisor answers 500 to the whole.
async fn element(connection: &Connection, caller: &Caller, call: Value) -> Result<Value, Fault> {
    let wrong = || FaultCode::IncorrectParameters.bare();
    let Value::Struct(members) = call else {
        return Err(wrong());
    };
    let (mut name, mut params) = (None, Vec::new());
    for (member, value) in members {
        match (member.as_str(), value) {
            ("methodName", Value::Text(text)) => name = Some(text),
            ("params", Value::Array(items)) => params = items,
            ("methodName" | "params", _) => return Err(wrong()),
            _ => {}
        }
    }
    let name = name.ok_or_else(|| FaultCode::IncorrectParameters.of("No methodName"))?;
    if name == "system.multicall" {
        let text = "Recursive system.multicall forbidden";
        return Err(FaultCode::IncorrectParameters.of(text));
    }
    let (method, bound) = bind(connection, &name, params)?;
    let _large = turn(connection, &bound).await?;
    single(connection, caller, method, bound).await
}

fn bind(
    connection: &Connection,
    name: &str,
    params: Vec<Value>,
) -> Result<(&'static Called, Bound), Fault> {
    let found = method(name)
        .filter(|method| connection.shared.interface.offers(method))
        .ok_or_else(|| FaultCode::UnknownMethod.bare())?;
    connection.shared.interface.permits(found)?;
    Ok((found, found.bind(params)?))
}

async fn single(
    connection: &Connection,
    caller: &Caller,
    called: &'static Called,
    bound: Bound,
) -> Result<Value, Fault> {
    let returns = called.returns;
    let control = &connection.shared.control;
    let most = logs::most_for(connection.place.client);
    let ask = async |request: Ask| -> Result<Reply, Fault> {
        let grant = control.grant(caller, called, &request)?;
        control.call(caller.clone(), grant, request).await
    };
    let texts = |texts: Vec<&str>| Value::Array(texts.into_iter().map(Value::text).collect());
    let described = |name: &str| {
        method(name)
            .filter(|method| connection.shared.interface.offers(method))
            .ok_or_else(|| FaultCode::SignatureUnsupported.bare())
    };
    match bound {
        Bound::Engine(request) => rendered(ask(request).await?, returns).await,
        Bound::Wildcard(request, given) => {
            let reply = ask(request).await.map_err(|fault| match fault.code {
                FaultCode::BadName => FaultCode::BadName.of(given),
                _ => fault,
            })?;
            rendered(reply, returns).await
        }
        // As an element of a multicall.
        Bound::ProcessTable(request, columns) => match ask(request).await? {
            Reply::Processes(views) => Ok(view::table(&views, columns)),
            reply => rendered(reply, returns).await,
        },
        Bound::Constant(text) => {
            // Only the engine knows whether the daemon is stopping, when every method but one faults.
            ask(Ask::State).await?;
            Ok(Value::text(text))
        }
        Bound::ReadLog { of, offset, length } => {
            let source = logs::source(ask(Ask::LogFile(of)).await?);
            logs::read(source, offset, length, most).await
        }
        Bound::TailLog { of, offset, length } => {
            let source = logs::source(ask(Ask::LogFile(of)).await?);
            logs::tail(source, offset, length, most).await
        }
        Bound::ListMethods => Ok(texts(names(&connection.shared.interface))),
        Bound::MethodHelp(name) => described(&name).map(|method| Value::Text(method.help())),
        Bound::MethodSignature(name) => described(&name).map(|method| texts(method.signature())),
        // `element` has refused it, and `perform` has taken it apart.
        Bound::Multicall(_) => Err(FaultCode::IncorrectParameters.bare()),
    }
}

pub(super) async fn rendered(reply: Reply, returns: WireType) -> Result<Value, Fault> {
    let long = match &reply {
        Reply::Processes(views) => views.len() > RENDER_APART,
        Reply::Configs(views) => views.len() > RENDER_APART,
        _ => false,
    };
    if long {
        apart(move || view::reply(reply, returns))
            .await
            .ok_or_else(|| FaultCode::Failed.bare())
    } else {
        Ok(view::reply(reply, returns))
    }
}

/// About how many bytes a value takes on the wire.
fn weight_of(value: &Value) -> usize {
    let own = match value {
        Value::Text(text) | Value::DateTime(text) => text.len(),
        Value::Bytes(bytes) => bytes.len() * 4 / 3,
        Value::Array(items) => items.iter().map(weight_of).sum(),
        Value::Struct(members) => members
            .iter()
            .map(|(name, value)| 60 + name.len() + weight_of(value))
            .sum(),
        Value::Int(_) | Value::Bool(_) | Value::Double(_) => 8,
    };
    own + 32
}
