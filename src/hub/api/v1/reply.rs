//! Answers as JSON.

use hyper::StatusCode;
use serde::Serialize;

use crate::hub::api::error::ApiError;
use crate::hub::api::json::{JSON, text};
use crate::hub::server::HttpResponse;

/// The result of a handler.
pub(super) type Reply = Result<HttpResponse, ApiError>;

/// 200 with a value.
pub(super) fn ok<T: Serialize>(value: &T) -> Reply {
    Ok(HttpResponse::new(StatusCode::OK, JSON, text(value)))
}

/// 201 with a value.
pub(super) fn created<T: Serialize>(value: &T) -> Reply {
    Ok(HttpResponse::new(StatusCode::CREATED, JSON, text(value)))
}

/// 204.
pub(super) fn done() -> Reply {
    Ok(HttpResponse::new(StatusCode::NO_CONTENT, JSON, ""))
}
