//! Executes calls of XML-RPC: single calls, lists and multicalls.

use super::list_reply::ListReply;
use super::render;
use crate::api::xmlrpc::RpcValue;
use crate::api::{
    BoundCall, Caller, Fault, FaultCode, Method as Called, Reply, Request as Ask, TableColumns,
    WireType, find_method,
};
use crate::http_server::blocking_pool::run_blocking;
use crate::http_server::budget::LargePermit;
use crate::server::calls::execute::CallContext;
use crate::server::calls::method_result::MethodResult;
use crate::server::http::connection::HttpConnection;

/// Arrays with more values are rendered on a helper thread.
pub(super) const RENDER_BLOCKING_VALUES: usize = 256;
/// Approximate maximum size of all results of one multicall, in bytes. Later calls are refused.
const MULTICALL_RESULTS_MAX: usize = 64 << 20;
/// The same for an untrusted client.
const MULTICALL_RESULTS_OTHERS_MAX: usize = 5 << 20;
/// Memory used by a result, in bytes per byte of its text.
const RESULT_FACTOR: usize = 3;

/// The result of a call.
pub(super) enum CallResult {
    /// A value.
    Value(RpcValue),
    /// A list that is written without a tree of values.
    List(ListReply),
}

/// Executes one call, or the calls of a multicall in order. Returns the result with the permission to render a large
/// response, if it needed one.
pub(super) async fn perform_call(
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
    let reply = connection
        .shared
        .control
        .ask(caller, method, request)
        .await?;
    let list = match (reply, columns) {
        (Reply::Processes(views), None) => ListReply::Processes(views),
        (Reply::Processes(views), Some(columns)) => ListReply::Table(views, columns),
        (Reply::Configs(views), None) => ListReply::Configs(views),
        (reply, _) => {
            let value = render_value(MethodResult::Reply(reply), method.returns.wire()).await?;
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
    let context = CallContext {
        control: &connection.shared.control,
        interface: &connection.shared.interface,
        caller,
        client: connection.guard.client,
        usage: Some((&connection.shared.live.usage, &connection.shared.stop)),
    };
    let result = context.execute(called, bound).await?;
    render_value(result, called.returns.wire()).await
}

/// Renders a result, on a helper thread if that takes long.
async fn render_value(result: MethodResult, returns: WireType) -> Result<RpcValue, Fault> {
    let long = match &result {
        MethodResult::Reply(Reply::Processes(views)) => views.len() > RENDER_BLOCKING_VALUES,
        MethodResult::Reply(Reply::Configs(views)) => views.len() > RENDER_BLOCKING_VALUES,
        _ => false,
    };
    if long {
        run_blocking(move || render::render_result(result, returns))
            .await
            .ok_or_else(|| FaultCode::Failed.bare())
    } else {
        Ok(render::render_result(result, returns))
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
