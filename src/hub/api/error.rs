//! Errors of the interfaces: Cesi's form below `/api/v2`, problem details elsewhere.

use hyper::StatusCode;
use hyper::header::{self, HeaderName};
use serde_json::json;

use super::json::{self, JSON};
use crate::hub::node::ActionError;
use crate::hub::server::HttpResponse;
use crate::hub::users::{PasswordBusy, StateError, UserStoreError};

/// The content type of problem details.
const PROBLEM: &str = "application/problem+json";

/// An error with its status.
#[derive(Debug)]
pub(in crate::hub) struct ApiError {
    pub(in crate::hub) status: StatusCode,
    pub(in crate::hub) message: String,
    headers: Vec<(HeaderName, String)>,
}

impl ApiError {
    pub(in crate::hub) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self {
            status,
            message: message.into(),
            headers: Vec::new(),
        }
    }

    /// 400.
    pub(in crate::hub) fn wrong(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    /// 404.
    pub(in crate::hub) fn not_found() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "The requested URL was not found on the server. If you entered the URL manually please check your spelling and \
             try again.",
        )
    }

    /// 404, for a thing of ours.
    pub(in crate::hub) fn unknown(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, message)
    }

    /// 403.
    pub(in crate::hub) fn forbidden(message: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, message)
    }

    /// 429, with the seconds after which it is worth another attempt.
    pub(in crate::hub) fn too_many(seconds: u64) -> Self {
        let message = format!("Too many wrong passwords. Try again in {seconds} s");
        Self::new(StatusCode::TOO_MANY_REQUESTS, message)
            .with_header(header::RETRY_AFTER, seconds.to_string())
    }

    pub(in crate::hub) fn with_header(mut self, name: HeaderName, value: String) -> Self {
        self.headers.push((name, value));
        self
    }

    /// The headers of the response.
    pub(in crate::hub) fn into_headers(self) -> Vec<(HeaderName, String)> {
        self.headers
    }

    /// The response. `is_v2`: in Cesi's form.
    pub(in crate::hub) fn into_response(self, is_v2: bool) -> HttpResponse {
        let mut response = match is_v2 {
            true => {
                let body = json!({"status": "error", "message": self.message});
                HttpResponse::new(self.status, JSON, json::cesi_text(&body))
            }
            false => {
                let body = json!({
                    "type": "about:blank",
                    "title": self.status.canonical_reason().unwrap_or("Unknown"),
                    "status": self.status.as_u16(),
                    "detail": self.message,
                });
                HttpResponse::new(self.status, PROBLEM, json::text(&body))
            }
        };
        response.headers = self.headers;
        response
    }
}

impl From<PasswordBusy> for ApiError {
    fn from(PasswordBusy: PasswordBusy) -> Self {
        let status = StatusCode::SERVICE_UNAVAILABLE;
        Self::new(status, "Too many logins at a time. Try again")
            .with_header(header::RETRY_AFTER, "1".to_owned())
    }
}

impl From<StateError> for ApiError {
    fn from(error: StateError) -> Self {
        // The message names a path of this host, which concerns only its administrator.
        eprintln!("supervisord-hub: {error}");
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "The state of the hub cannot be written",
        )
    }
}

impl From<UserStoreError> for ApiError {
    fn from(error: UserStoreError) -> Self {
        match error {
            UserStoreError::Refused(message) => Self::wrong(message),
            UserStoreError::Full => Self::new(StatusCode::CONFLICT, error.to_string()),
            UserStoreError::State(error) => error.into(),
        }
    }
}

impl From<ActionError> for ApiError {
    fn from(error: ActionError) -> Self {
        let status = match &error {
            ActionError::UnknownNode | ActionError::NotConnected { .. } => StatusCode::BAD_REQUEST,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        let message = match &error {
            ActionError::UnknownNode => "Wrong node name".to_owned(),
            ActionError::NotConnected { .. } => "Node is not connected".to_owned(),
            other => other.to_string(),
        };
        Self::new(status, message)
    }
}
