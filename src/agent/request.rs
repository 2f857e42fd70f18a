//! Requests of health checks, hooks and notifications over HTTPS. Only the status of the answer is reported.

use std::time::Duration;

use http_body_util::Full;
use hyper::Request;
use hyper::body::Bytes;
use tokio::time::timeout;

use super::http::{HttpError, USER_AGENT, connect_tls, send_built};
use super::protocol::{FailureKind, ItemFailure, MESSAGE_BYTES_MAX, SecureRequest};
use super::tls::TlsSettings;

/// The content type of a body for which none is given.
const FORM: &str = "application/x-www-form-urlencoded";

/// Sends a request and returns the status of its answer. Redirects are not followed, and the body of the answer is not read.
///
/// # Errors
/// There is no answer; the message names the server.
pub(super) async fn send(tls: &TlsSettings, request: SecureRequest) -> Result<u16, ItemFailure> {
    let authority = authority(&request);
    let limit = Duration::from_millis(request.timeout_ms);
    let result = match timeout(limit, exchange(tls, request, &authority)).await {
        Ok(result) => result,
        Err(_) => Err(HttpError::TimedOut(limit)),
    };
    result.map_err(|error| {
        let mut message = format!("https://{authority}: {error}");
        message.retain(|c| !c.is_control());
        let mut end = message.len().min(MESSAGE_BYTES_MAX);
        while !message.is_char_boundary(end) {
            end -= 1;
        }
        message.truncate(end);
        let kind = FailureKind::Away;
        ItemFailure { kind, message }
    })
}

/// Host and port as a URL contains them.
fn authority(request: &SecureRequest) -> String {
    let SecureRequest { host, port, .. } = request;
    match host.contains(':') {
        true => format!("[{host}]:{port}"),
        false => format!("{host}:{port}"),
    }
}

async fn exchange(
    tls: &TlsSettings,
    request: SecureRequest,
    authority: &str,
) -> Result<u16, HttpError> {
    let stream = connect_tls(tls, &request.host, request.port).await?;
    let request = whole_request(request, authority)?;
    Ok(send_built(stream, request).await?.status)
}

fn whole_request(
    request: SecureRequest,
    authority: &str,
) -> Result<Request<Full<Bytes>>, HttpError> {
    let has = |name: &str| {
        let mut headers = request.headers.iter();
        headers.any(|(known, _)| known.eq_ignore_ascii_case(name))
    };
    let mut builder = Request::builder()
        .method(request.method.as_str())
        .uri(&request.target)
        .header("Connection", "close");
    for (name, value) in [("Host", authority), ("User-Agent", USER_AGENT)] {
        if !has(name) {
            builder = builder.header(name, value);
        }
    }
    if !request.body.is_empty() && !has("Content-Type") {
        builder = builder.header("Content-Type", FORM);
    }
    for (name, value) in &request.headers {
        builder = builder.header(name, value);
    }
    let built = builder.body(Full::new(Bytes::from(request.body)));
    // The error names no value.
    built.map_err(|error| HttpError::Broken(format!("the request cannot be sent: {error}")))
}
