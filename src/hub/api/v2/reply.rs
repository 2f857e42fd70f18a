//! Answers in Cesi's form.

use hyper::StatusCode;
use serde::Serialize;

use crate::hub::api::error::ApiError;
use crate::hub::api::json::{JSON, cesi_text};
use crate::hub::server::HttpResponse;

/// The result of a handler.
pub(super) type Reply = Result<HttpResponse, ApiError>;

/// 200 with a value, whose `status` must be `success`.
pub(super) fn success<T: Serialize>(value: &T) -> Reply {
    Ok(HttpResponse::new(StatusCode::OK, JSON, cesi_text(value)))
}

/// 200 with a message.
pub(super) fn message(text: &str) -> Reply {
    success(&serde_json::json!({"message": text, "status": "success"}))
}

/// 200 without a message.
pub(super) fn done() -> Reply {
    success(&serde_json::json!({"status": "success"}))
}

/// 400: these members of the body are missing.
pub(super) fn missing(fields: &[&str]) -> ApiError {
    let list = fields.join(",");
    ApiError::wrong(format!("Please enter valid value for '{list}' fields"))
}
