//! Finds the route of a request, checks what the table says about it, and calls its handler.

use std::sync::Arc;

use hyper::body::{Bytes, Incoming};
use hyper::header;
use hyper::{Method, StatusCode};

use super::call::Call;
use super::error::ApiError;
use super::route::{Need, Route};
use super::routes::{Resolved, resolve};
use crate::domain::percent_encoded;
use crate::http_server::compression::compress_response;
use crate::http_server::percent_encoding::percent_decoded;
use crate::http_server::request_body::read_body;
use crate::hub::activity::ActivityEvent;
use crate::hub::pages;
use crate::hub::server::{
    HttpResponse, HubContext, HubRequest, Principal, authenticate, is_foreign_host, is_foreign_site,
};
use crate::web::form::Form;
use crate::web::language::PageRequest;
use crate::web::page_response::{accepts_html, wants_json};

/// Maximum size of a body, in bytes.
const BODY_BYTES_MAX: usize = 1 << 20;

/// Answers a request.
pub(in crate::hub) async fn handle_request(
    hub: Arc<HubContext>,
    request: HubRequest,
    body: Incoming,
) -> HttpResponse {
    let is_v2 = request.path.starts_with("/api/v2/") || request.path == "/api/version";
    let is_page = !request.path.starts_with("/api/");
    let page = PageRequest::new(&request.path, &request.query, &request.headers);
    let (method, headers) = (request.method.clone(), request.headers.clone());
    let response = match answer(&hub, request, body).await {
        Ok(response) => response,
        Err(error) if is_page && wants_json(&headers) => pages::refusal_for_script(error),
        Err(error) if is_page && accepts_html(&headers) => pages::error_page(error, page, &method),
        Err(error) => error.into_response(is_v2),
    };
    compress_response(response, &method, &headers).await
}

async fn answer(
    hub: &Arc<HubContext>,
    request: HubRequest,
    mut body: Incoming,
) -> Result<HttpResponse, ApiError> {
    if is_foreign_host(&request, &hub.host_names()) {
        let message = "this is no name of this host (add it to host_names in [hub])";
        return Err(ApiError::new(StatusCode::MISDIRECTED_REQUEST, message));
    }
    let (route, params) = match resolve(&request.method, &request.path) {
        Resolved::Found(route, params) => (route, params),
        Resolved::WithSlash => return Ok(with_slash(&request)),
        Resolved::WrongMethod(methods) => {
            let status = StatusCode::METHOD_NOT_ALLOWED;
            let message = "The method is not allowed for the requested URL.";
            let error = ApiError::new(status, message);
            return Err(error.with_header(header::ALLOW, methods.join(", ")));
        }
        Resolved::Unknown => return Err(ApiError::not_found()),
    };
    let principal = authenticate(hub, &request);
    check_site(route, principal.as_ref(), &request)?;
    check_permission(hub, route, principal.as_ref(), &request)?;
    let params = params.into_iter();
    let params = params.map(|(name, value)| (name, percent_decoded(value)));
    let params = params.collect();
    let body = body_of(&request, &mut body).await?;
    let call = Call {
        request,
        principal,
        params,
        body,
    };
    if route.is_page && route.changes && matches!(route.need, Need::Role(_)) {
        check_form(hub, &call)?;
    }
    (route.handle)(hub, call).await
}

/// Refuses a form that does not come from a page of the user's session. Requests with a token need none: a browser does not
/// send them by itself.
fn check_form(hub: &HubContext, call: &Call) -> Result<(), ApiError> {
    let user = call.user()?;
    let form = Form::parse("", &call.body);
    let has_token = form.get("token") == Some(user.form_token(hub).as_str());
    match has_token || !user.is_ambient() {
        true => Ok(()),
        false => Err(ApiError::forbidden(
            "the form has no valid token: load the page again",
        )),
    }
}

/// 308 to the path with a slash at its end.
fn with_slash(request: &HubRequest) -> HttpResponse {
    let query = match request.query.as_str() {
        "" => String::new(),
        query => format!("?{query}"),
    };
    // The path is that of a route, so it does not begin with two slashes. What else it contains stays encoded.
    let path = percent_encoded(&request.path, b"/%-._~:@!$&'()*+,;=");
    let location = format!("{}{path}/{query}", request.base_path);
    HttpResponse::new(StatusCode::PERMANENT_REDIRECT, "text/html", "")
        .with_header(header::LOCATION, location)
}

/// Refuses a change that the page of another site causes, whatever the method. A login counts: it would make the user act
/// under another name.
fn check_site(
    route: &Route,
    principal: Option<&Principal>,
    request: &HubRequest,
) -> Result<(), ApiError> {
    let is_ambient = principal.is_none_or(Principal::is_ambient);
    let changes = route.changes || request.method != Method::GET && request.method != Method::HEAD;
    match changes && is_ambient && is_foreign_site(request) {
        true => Err(ApiError::forbidden(
            "a page of another site sent this request",
        )),
        false => Ok(()),
    }
}

fn check_permission(
    hub: &HubContext,
    route: &Route,
    principal: Option<&Principal>,
    request: &HubRequest,
) -> Result<(), ApiError> {
    let Need::Role(role) = route.need else {
        return Ok(());
    };
    let Some(principal) = principal else {
        return Err(ApiError::new(StatusCode::UNAUTHORIZED, "Session expired"));
    };
    let message = if principal.role < role {
        "You are not authorized to do this"
    } else if principal.must_change_password && route.changes && !route.is_for_everybody {
        "The password is the default one. Change it first: PUT /api/v2/profile/password/"
    } else {
        return Ok(());
    };
    let what = format!("{} {}", request.method, percent_decoded(&request.path));
    let address = request.address.to_string();
    hub.record(&principal.name, &address, &ActivityEvent::Denied(what));
    Err(ApiError::forbidden(message))
}

/// The whole body. Empty: there is none.
async fn body_of(request: &HubRequest, body: &mut Incoming) -> Result<Bytes, ApiError> {
    let has_body = request.headers.contains_key(header::CONTENT_LENGTH)
        || request.headers.contains_key(header::TRANSFER_ENCODING);
    if !has_body {
        return Ok(Bytes::new());
    }
    let read = read_body(&request.guard, &request.headers, body, BODY_BYTES_MAX).await;
    let (bytes, _room) = read.map_err(|status| {
        let reason = status.canonical_reason().unwrap_or_default();
        ApiError::new(status, reason).with_header(header::CONNECTION, "close".to_owned())
    })?;
    Ok(bytes)
}
