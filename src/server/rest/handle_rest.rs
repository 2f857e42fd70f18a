//! Answers a request: finds its route, binds its arguments, executes the call and renders the result.

use std::sync::Arc;

use hyper::body::{Bytes, Incoming};
use hyper::header::{self, HeaderMap};
use hyper::http::request::Parts;
use hyper::{Method as HttpMethod, StatusCode};

use super::arguments::{self, BODY_MAX, BodyObject};
use super::json::CONTENT_TYPE as JSON;
use super::problem::{Problem, no_room};
use super::process_query::ProcessQuery;
use super::process_writer::{ProcessList, push_process};
use super::query::Query;
use super::render;
use super::routes::{self, Endpoint, PREFIX, PathParam, Resolved};
use super::{document, events};
use crate::api::{BoundCall, Caller, Fault, Method, Reply, Request, ResultKind};
use crate::http_server::blocking_pool::run_blocking;
use crate::http_server::budget::BusyGuard;
use crate::http_server::origin::is_foreign_page;
use crate::http_server::request_body::read_body;
use crate::http_server::response::{HttpBody, HttpResponse};
use crate::server::calls::execute::CallContext;
use crate::server::calls::process_members::RenderScratch;
use crate::server::http::connection::HttpConnection;
use crate::server::http::response::{HandlerResponse, custom_response};
use crate::server::web;

/// Memory used by parsed values, in bytes per byte of the densest possible body.
const VALUES_FACTOR: usize = 12;
/// Longer bodies, in bytes, are parsed on a helper thread, so that other clients do not wait.
const PARSE_BLOCKING_BYTES: usize = 64 << 10;

/// Answers a request below `/api/v1`.
pub(in crate::server) async fn handle_rest(
    connection: &Arc<HttpConnection>,
    caller: Caller,
    head: &Parts,
    body: &mut Incoming,
) -> HandlerResponse {
    let answered = respond(connection, &caller, head, body).await;
    let response = answered.unwrap_or_else(Problem::into_response);
    match head.method == HttpMethod::HEAD {
        true => without_body(response),
        false => response,
    }
}

async fn respond(
    connection: &Arc<HttpConnection>,
    caller: &Caller,
    head: &Parts,
    body: &mut Incoming,
) -> Result<HandlerResponse, Problem> {
    let whole = head.uri.path();
    // Unlike the page, which is only shown, nothing here is for a link on a foreign page.
    if is_foreign_page(&head.headers, &connection.shared.host_names)
        || web::csrf_refusal(connection, head, whole).is_some()
    {
        return Err(Problem::new(
            StatusCode::FORBIDDEN,
            "the request comes from a page of another server, or its host is no name of this host (add the name to hosts= of the server)",
        ));
    }
    // A prefix with percent escapes is none of ours.
    let path = whole.strip_prefix(PREFIX).unwrap_or_default();
    let interface = &connection.shared.interface;
    match routes::resolve(interface, &head.method, path) {
        Resolved::Unknown => Err(Problem::new(
            StatusCode::NOT_FOUND,
            "no such path (all paths: /api/v1/openapi.json)",
        )),
        Resolved::WrongMethod(allowed) => {
            let allowed = allowed.join(", ");
            let detail = format!("this path has {allowed}");
            let problem = Problem::new(StatusCode::METHOD_NOT_ALLOWED, detail);
            Err(problem.with_header(header::ALLOW, allowed))
        }
        Resolved::Found(Endpoint::Document, _) => {
            read_query(head).finish()?;
            let logins = &connection.logins;
            let mut schemes = Vec::new();
            schemes.extend(logins.credentials.is_some().then_some("basic"));
            schemes.extend(logins.tokens.is_some().then_some("bearer"));
            let text = document::document(interface, &schemes);
            Ok(HandlerResponse::Full(JSON, text.into()))
        }
        Resolved::Found(Endpoint::Events, _) => {
            events::stream_events(connection, caller, head, read_query(head))
        }
        Resolved::Found(Endpoint::Call(method), params) => {
            call(connection, caller, method, &params, head, body).await
        }
    }
}

fn read_query(head: &Parts) -> Query {
    Query::read(head.uri.query().unwrap_or_default())
}

/// Calls a method.
async fn call(
    connection: &Arc<HttpConnection>,
    caller: &Caller,
    method: &'static Method,
    params: &[PathParam<'_>],
    head: &Parts,
    body: &mut Incoming,
) -> Result<HandlerResponse, Problem> {
    let mut query = read_query(head);
    let process_query = match method.returns {
        ResultKind::Processes => ProcessQuery::take_list(&mut query)?,
        ResultKind::Process => ProcessQuery::take_one(&mut query)?,
        _ => ProcessQuery::default(),
    };
    let members = match head.method == HttpMethod::GET || head.method == HttpMethod::HEAD {
        true => None,
        false => {
            let members = read_object(connection, &head.headers, body).await?;
            Some(members.with_version(method, head.headers.get(header::IF_MATCH))?)
        }
    };
    // From here on a response is pending. Until here the connection of a slow client may be closed to make room.
    let _busy = BusyGuard::new(&connection.guard);
    connection.shared.interface.permits(method)?;
    let bound = arguments::bind(method, params, query, members)?;
    let control = &connection.shared.control;
    let _large = match &bound {
        BoundCall::Engine(Request::AllProcessInfo | Request::AllConfigInfo)
        | BoundCall::ProcessTable(..)
        | BoundCall::ReadLog { .. }
        | BoundCall::TailLog { .. } => match connection.guard.acquire_large().await {
            Some(large) => large,
            None => return Err(no_memory()),
        },
        _ => None,
    };
    let list = match bound {
        BoundCall::Engine(request @ Request::ProcessInfo(_)) => {
            let views = processes(control.ask(caller, method, request).await?)?;
            let usages = process_query.usages(connection, &views).await;
            let view = views.first().ok_or_else(internal)?;
            let mut out = Vec::new();
            push_process(
                &mut out,
                view,
                usages.as_ref(),
                &mut RenderScratch::default(),
            );
            return Ok(HandlerResponse::Full(JSON, out.into()));
        }
        BoundCall::Engine(request @ Request::AllProcessInfo) => {
            let views = processes(control.ask(caller, method, request).await?)?;
            // Samples are kept for those that are asked about, so ask about all.
            let usages = process_query.usages(connection, &views).await;
            let views = process_query.filter(views).await.ok_or_else(internal)?;
            ProcessList::Processes(views, usages)
        }
        BoundCall::ProcessTable(request, columns) => {
            let views = processes(control.ask(caller, method, request).await?)?;
            ProcessList::Table(views, columns)
        }
        BoundCall::Engine(request @ Request::AllConfigInfo) => {
            match control.ask(caller, method, request).await? {
                Reply::Configs(views) => ProcessList::Configs(views),
                _ => return Err(internal()),
            }
        }
        bound => return execute(connection, caller, method, bound).await,
    };
    let written = list.written(connection).await;
    let body = connection
        .guard
        .budget_bytes(written)
        .ok_or_else(no_memory)?;
    Ok(HandlerResponse::Budgeted(JSON, body))
}

fn processes(reply: Reply) -> Result<Vec<crate::api::ProcessView>, Problem> {
    match reply {
        Reply::Processes(views) => Ok(views),
        _ => Err(internal()),
    }
}

fn internal() -> Problem {
    Problem::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        "the result cannot be rendered",
    )
}

fn no_memory() -> Problem {
    no_room("too much memory is used by other responses")
}

/// Executes a call whose result is a value.
async fn execute(
    connection: &Arc<HttpConnection>,
    caller: &Caller,
    method: &'static Method,
    bound: BoundCall,
) -> Result<HandlerResponse, Problem> {
    let context = CallContext {
        control: &connection.shared.control,
        interface: &connection.shared.interface,
        caller,
        client: connection.guard.client,
        usage: Some((&connection.shared.live.usage, &connection.shared.stop)),
    };
    let result = context.execute(method, bound).await?;
    let kind = method.returns;
    let body = match render::is_long(&result) {
        true => run_blocking(move || render::render(result, kind))
            .await
            .ok_or_else(internal)?,
        false => render::render(result, kind),
    };
    let body = connection.guard.budget_bytes(body).ok_or_else(no_memory)?;
    Ok(HandlerResponse::Budgeted(JSON, body))
}

/// Reads the JSON object in a body. No body is an empty object.
async fn read_object(
    connection: &HttpConnection,
    headers: &HeaderMap,
    body: &mut Incoming,
) -> Result<BodyObject, Problem> {
    let has_body = headers.contains_key(header::CONTENT_LENGTH)
        || headers.contains_key(header::TRANSFER_ENCODING);
    // A form of a foreign page cannot have this type. So the type is checked even if the body is empty.
    match headers.get(header::CONTENT_TYPE) {
        Some(kind) if !kind.to_str().is_ok_and(is_json) => return Err(wrong_type()),
        _ => {}
    }
    if !has_body {
        return Ok(BodyObject::default());
    }
    let read = read_body(&connection.guard, headers, body, BODY_MAX).await;
    let (bytes, mut room) = read.map_err(|status| {
        let detail = match status {
            StatusCode::PAYLOAD_TOO_LARGE => format!("the body is longer than {BODY_MAX} bytes"),
            StatusCode::REQUEST_TIMEOUT => "the body arrives too slowly".to_owned(),
            StatusCode::SERVICE_UNAVAILABLE => {
                "too much memory is used by other requests (try again)".to_owned()
            }
            _ => "the body cannot be read".to_owned(),
        };
        Problem::new(status, detail).and_close()
    })?;
    if bytes.is_empty() {
        return Ok(BodyObject::default());
    }
    if !headers.contains_key(header::CONTENT_TYPE) {
        return Err(wrong_type());
    }
    if !room.grow_to(bytes.len() * VALUES_FACTOR) {
        return Err(no_memory());
    }
    Ok(parse_object(bytes).await?)
}

async fn parse_object(bytes: Bytes) -> Result<BodyObject, Fault> {
    match bytes.len() > PARSE_BLOCKING_BYTES {
        true => run_blocking(move || BodyObject::parse(&bytes))
            .await
            .unwrap_or_else(|| Ok(BodyObject::default())),
        false => BodyObject::parse(&bytes),
    }
}

fn wrong_type() -> Problem {
    Problem::new(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "the body must be JSON (Content-Type: application/json)",
    )
    .with_header(header::ACCEPT, JSON.to_owned())
}

/// Whether a content type is JSON in UTF-8.
fn is_json(kind: &str) -> bool {
    let mut parts = kind.split(';').map(str::trim);
    let is_json = parts
        .next()
        .is_some_and(|kind| kind.eq_ignore_ascii_case(JSON));
    is_json
        && parts.all(|parameter| match parameter.split_once('=') {
            Some((name, value)) if name.trim().eq_ignore_ascii_case("charset") => {
                value.trim_matches('"').eq_ignore_ascii_case("utf-8")
            }
            Some(_) | None => true,
        })
}

/// Turns a response into the response to HEAD: the same without its body.
fn without_body(response: HandlerResponse) -> HandlerResponse {
    match response {
        HandlerResponse::Full(kind, body) | HandlerResponse::Budgeted(kind, body) => {
            let mut made = custom_response(StatusCode::OK, kind, Vec::new(), Bytes::new());
            if let HandlerResponse::Made(made) = &mut made {
                made.body = HttpBody::None(Some(body.len()));
            }
            made
        }
        HandlerResponse::Made(made) => HandlerResponse::Made(Box::new(HttpResponse {
            body: HttpBody::None(match &made.body {
                HttpBody::Whole(body) => Some(body.len()),
                HttpBody::None(length) => *length,
                HttpBody::Growing(_) => None,
            }),
            ..*made
        })),
        other => other,
    }
}

impl From<StatusCode> for Problem {
    fn from(status: StatusCode) -> Self {
        Self::new(status, status.canonical_reason().unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_json_in_utf_8_is_json() {
        for (kind, expected) in [
            ("application/json", true),
            ("Application/JSON; charset=UTF-8", true),
            ("application/json; charset=\"utf-8\"", true),
            ("application/json; charset=latin-1", false),
            ("application/json; profile=x", true),
            ("text/plain", false),
            ("application/jsonx", false),
            ("application/x-www-form-urlencoded", false),
            ("", false),
        ] {
            assert_eq!(is_json(kind), expected, "{kind}");
        }
    }
}
