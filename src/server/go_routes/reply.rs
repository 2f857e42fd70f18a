//! Responses of the Go project's addresses.

use hyper::header;
use hyper::{StatusCode, header::HeaderName};
use serde_json::{Value, json};

use crate::api::{Fault, FaultCode};
use crate::server::http::response::{HandlerResponse, custom_response};

/// The headers of all responses.
pub(super) fn headers() -> Vec<(HeaderName, String)> {
    vec![
        (header::CACHE_CONTROL, "no-store".to_owned()),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff".to_owned()),
    ]
}

/// A JSON text.
// Differs: the Go project sends JSON as text/plain.
pub(super) fn json_response(status: StatusCode, body: &Value) -> HandlerResponse {
    let text = format!("{body}\n");
    custom_response(status, "application/json", headers(), text)
}

/// A JSON text with an error.
pub(super) fn json_error(status: StatusCode, why: &str) -> HandlerResponse {
    json_response(status, &json!({ "error": why }))
}

/// A text.
pub(super) fn text_response(
    status: StatusCode,
    text: impl Into<hyper::body::Bytes>,
) -> HandlerResponse {
    custom_response(status, "text/plain;charset=utf-8", headers(), text)
}

/// The response to a failed request for something: 404 if it does not exist.
pub(super) fn fault_response(fault: &Fault) -> HandlerResponse {
    let status = match fault.code {
        FaultCode::BadName | FaultCode::NoFile => StatusCode::NOT_FOUND,
        FaultCode::BadArguments => StatusCode::BAD_REQUEST,
        FaultCode::ShutdownState => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    };
    json_error(status, &fault.to_string())
}

/// The response for a caller without the permission.
pub(super) fn refusal(fault: &Fault) -> HandlerResponse {
    json_error(StatusCode::FORBIDDEN, &fault.to_string())
}

/// Whether an action succeeded. The Go project's clients read the member `success` and not the status.
pub(super) fn success(outcome: Result<(), String>) -> HandlerResponse {
    let body = match outcome {
        Ok(()) => json!({ "success": true }),
        Err(why) => json!({ "success": false, "error": why }),
    };
    json_response(StatusCode::OK, &body)
}
