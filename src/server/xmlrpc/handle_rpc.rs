//! XML-RPC over HTTP: parses the body into a call of METHODS, authorises it, asks the engine and renders the reply.

use std::sync::Arc;

use hyper::body::{Bytes, Incoming};
use hyper::http::request::Parts;
use hyper::{Method, StatusCode};

use super::list_reply::ListReply;
use super::perform_call::{CallResult, RENDER_BLOCKING_VALUES, perform_call};
use crate::api::xmlrpc::{self, RpcCall, RpcValue};
use crate::api::{Caller, Fault};
use crate::domain::{FOREIGN_CHARS_MAX, Line, python_repr};
use crate::http_server::blocking_pool::run_blocking;
use crate::http_server::budget::BusyGuard;
use crate::http_server::origin::is_foreign_page;
use crate::http_server::request_body::read_body;
use crate::server::LogFn;
use crate::server::buffer_pool::PooledBuffer;
use crate::server::calls::process_members::RenderScratch;
use crate::server::http::connection::HttpConnection;
use crate::server::http::response::HandlerResponse;

/// Maximum length of a request body, in bytes.
pub(in crate::server) const BODY_MAX: usize = 16 << 20;
/// Memory used by parsed values, in bytes per byte of the densest possible body.
const VALUES_FACTOR: usize = 6;
/// Longer bodies, in bytes, are parsed on a helper thread, so that other clients do not wait.
const PARSE_BLOCKING_BYTES: usize = 64 << 10;
/// Number of structs of a list that are written before other clients get their turn: about 100 µs.
const STRUCTS_PER_TURN: usize = 256;
/// Memory used by one value of a response besides its text, in bytes.
const VALUE_BYTES: usize = 64;
/// How much of an invalid request the log shows, in characters.
const SHOWN_MAX: usize = FOREIGN_CHARS_MAX;

/// Answers a request to `/RPC2`.
pub(in crate::server) async fn handle_rpc(
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
    let (body, mut room) =
        match read_body(&connection.guard, &request.headers, body, BODY_MAX).await {
            Ok(read) => read,
            Err(status) => return HandlerResponse::Fatal(status),
        };
    if !room.grow_to(body.len() * VALUES_FACTOR) {
        return HandlerResponse::Fatal(StatusCode::SERVICE_UNAVAILABLE);
    }
    // From here on a response is pending. Until here the connection of a slow client may be closed to make room.
    let _busy = BusyGuard::new(&connection.guard);
    let log = &connection.shared.log;
    let RpcCall {
        method: name,
        params,
    } = match parse_call(body, &caller, log).await {
        Ok(call) => call,
        Err(status) => return HandlerResponse::Error(status),
    };
    log(Line::MethodCalled {
        method: name.clone(),
    });
    let result = perform_call(connection, &caller, &name, params).await;
    log(match &result {
        Ok(_) => Line::MethodReturned { method: name },
        Err(fault) => Line::MethodFaulted {
            method: name,
            code: fault.code.code(),
            text: fault.to_string(),
        },
    });
    // The permission for a large response is kept until the response is written.
    match result {
        Ok((CallResult::List(list), _large)) => {
            let buffer = write_list(connection, &list).await;
            match connection.guard.budget_bytes(buffer) {
                Some(body) => HandlerResponse::Budgeted("text/xml", body),
                None => HandlerResponse::Error(StatusCode::SERVICE_UNAVAILABLE),
            }
        }
        Ok((CallResult::Value(value), _large)) => write_value(connection, Ok(value)).await,
        Err(fault) => write_value(connection, Err(fault)).await,
    }
}

/// Parses a request, on a helper thread if it is long. What is no call is logged.
///
/// # Errors
/// The status of the response.
async fn parse_call(body: Bytes, caller: &Caller, log: &LogFn) -> Result<RpcCall, StatusCode> {
    let parsed = if body.len() > PARSE_BLOCKING_BYTES {
        let body = body.clone();
        run_blocking(move || xmlrpc::read_call(&body)).await
    } else {
        Some(xmlrpc::read_call(&body))
    };
    match parsed {
        None => Err(StatusCode::INTERNAL_SERVER_ERROR),
        Some(Err(_)) => {
            let (data, source) = (excerpt(&body), caller.rate_limit_key());
            log(Line::Unmarshallable { data, source });
            Err(StatusCode::BAD_REQUEST)
        }
        Some(Ok(call)) if call.method.is_empty() => {
            let (data, source) = (excerpt(&body), caller.rate_limit_key());
            log(Line::NoMethodName { data, source });
            Err(StatusCode::BAD_REQUEST)
        }
        Some(Ok(call)) => Ok(call),
    }
}

/// Writes a value or a fault, on a helper thread if it is long.
async fn write_value(
    connection: &HttpConnection,
    result: Result<RpcValue, Fault>,
) -> HandlerResponse {
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
    match written {
        Some(bytes) => {
            HandlerResponse::Full("text/xml", bytes.into()).with_budget(&connection.guard)
        }
        None => HandlerResponse::Error(StatusCode::INTERNAL_SERVER_ERROR),
    }
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

/// The beginning of a request, quoted.
// Differs: Supervisor writes the whole request to the log, whatever its length.
fn excerpt(body: &[u8]) -> String {
    let beginning = &body[..body.len().min(SHOWN_MAX * 4)];
    let text = String::from_utf8_lossy(beginning);
    let cut: String = text.chars().take(SHOWN_MAX).collect();
    python_repr(&cut)
}
