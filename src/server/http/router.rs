//! HTTP: checks access, and dispatches by path. This module does not know the XML-RPC methods.

use std::convert::Infallible;
use std::sync::Arc;

use hyper::body::Incoming;
use hyper::header::{self, HeaderMap};
use hyper::http::request::Parts;
use hyper::{Request, Response, StatusCode, Version};
use jiff::Timestamp;

use super::authenticate::authenticate;
use super::connection::HttpConnection;
use super::logtail;
use super::refused_login::audit_refused_login;
use super::response::{self, HandlerResponse};
use crate::domain::Line;
use crate::http_server::budget::BusyGuard;
use crate::http_server::compression::compress_response;
use crate::http_server::percent_encoding::percent_decoded;
use crate::http_server::request_body::drain_body;
use crate::http_server::response::{HttpResponse, ReplyBody};
use crate::server::go_routes::GoRoute;
use crate::server::health::HealthProbe;
use crate::server::{metrics, rest, web, xmlrpc};

/// How much is still read of a refused request: bytes and time.
const DRAIN_MAX: usize = 256 << 20;
/// The number of bytes still read of a request without the password.
const DRAIN_UNKNOWN_MAX: usize = 64 << 10;

/// Handles one request.
pub(in crate::server) async fn handle_request(
    connection: Arc<HttpConnection>,
    request: Request<Incoming>,
) -> Result<Response<ReplyBody>, Infallible> {
    connection.record_client();
    connection.head.head_complete();
    connection.guard.request_started();
    let version = request.version();
    let keep_alive = version == Version::HTTP_10 && asks_to_keep_alive(request.headers());
    let line = format!(
        "{} {} {version:?}",
        request.method(),
        request
            .uri()
            .path_and_query()
            .map_or("*", |target| target.as_str()),
    );
    let (head, mut body) = request.into_parts();
    let answer = route_request(&connection, &head, &mut body).await;
    let refused = match &answer {
        HandlerResponse::Full(..) | HandlerResponse::Budgeted(..) | HandlerResponse::Log { .. } => {
            false
        }
        HandlerResponse::Made(made) => made.status.is_client_error(),
        HandlerResponse::Error(_) | HandlerResponse::Fatal(_) | HandlerResponse::Challenge => true,
    };
    if refused && !head.headers.contains_key(header::EXPECT) {
        let is_unknown = match &answer {
            HandlerResponse::Challenge => true,
            HandlerResponse::Made(made) => made.status == StatusCode::UNAUTHORIZED,
            _ => false,
        };
        let most = if is_unknown {
            DRAIN_UNKNOWN_MAX
        } else {
            DRAIN_MAX
        };
        drain_body(&mut body, most).await;
    }
    let answer = web::with_error_page(answer, &head).with_budget(&connection.guard);
    let busy = BusyGuard::new(&connection.guard);
    let response = response::into_http(answer, version, keep_alive, busy);
    (connection.shared.log)(Line::Access {
        peer: connection.peer.clone(),
        request: line,
        status: response.status().as_u16(),
        bytes: response::wire_size(&response),
        time: Timestamp::now()
            .to_zoned(crate::sys::time_zone())
            .strftime("%d/%b/%Y:%H:%M:%S %z")
            .to_string(),
    });
    // The request may have waited for long, so record the client again.
    connection.record_client();
    connection.head.head_expected();
    Ok(response)
}

fn asks_to_keep_alive(headers: &HeaderMap) -> bool {
    headers
        .get(header::CONNECTION)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| value.trim().eq_ignore_ascii_case("keep-alive"))
}

async fn route_request(
    connection: &Arc<HttpConnection>,
    head: &Parts,
    body: &mut Incoming,
) -> HandlerResponse {
    let path = percent_decoded(head.uri.path());
    let probe = HealthProbe::at(&path);
    let authenticated = authenticate(connection, &head.headers).await;
    if matches!(authenticated, Err(HandlerResponse::Challenge)) {
        audit_refused_login(connection, head);
    }
    let caller = match (authenticated, probe) {
        (Ok(caller), _) => caller,
        (Err(HandlerResponse::Challenge), Some(probe))
            if !head.headers.contains_key(header::AUTHORIZATION) =>
        {
            return probe.answer(connection, None, head).await;
        }
        (Err(refusal), _) if rest::is_below(&path) => return rest::login_problem(refusal),
        (Err(refusal), _) => return refusal,
    };
    if path.starts_with("/RPC2") {
        xmlrpc::handle_rpc(connection, caller, head, body).await
    } else if rest::is_below(&path) {
        compress_answer(
            rest::handle_rest(connection, caller, head, body).await,
            head,
        )
        .await
    } else if let Some(refusal) = web::csrf_refusal(connection, head, &path) {
        refusal
    } else if let Some(probe) = probe {
        probe.answer(connection, Some(&caller), head).await
    } else if path.starts_with("/logtail") {
        logtail::follow_process_log(connection, caller, head, &path).await
    } else if path.starts_with("/mainlogtail") {
        logtail::follow_main_log(connection, caller, head).await
    } else if path == metrics::PATH {
        metrics::answer_scrape(connection, &caller, head).await
    } else if let Some(route) = GoRoute::at(&path) {
        route.answer(connection, caller, head, body).await
    } else {
        let answer = web::handle_page(connection, caller, head, body, &path).await;
        compress_answer(answer, head).await
    }
}

/// Returns the answer, compressed if the client accepts that and it is worth it.
async fn compress_answer(answer: HandlerResponse, head: &Parts) -> HandlerResponse {
    let response = match answer {
        HandlerResponse::Full(content_type, body) => {
            HttpResponse::new(StatusCode::OK, content_type, body)
        }
        HandlerResponse::Made(made) => *made,
        other => return other,
    };
    compress_response(response, &head.method, &head.headers)
        .await
        .into()
}
