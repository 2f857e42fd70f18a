//! Errors as problem details.

use hyper::StatusCode;
use hyper::header::{self, HeaderName};
use serde_json::json;

use crate::api::{Fault, FaultCode};
use crate::server::http::response::{CHALLENGE, HandlerResponse, custom_response};

/// The content type.
pub(in crate::server) const CONTENT_TYPE: &str = "application/problem+json";

/// The identifier of a kind of problem: that of a fault.
pub(super) fn fault_type(code: FaultCode) -> String {
    format!("urn:supervisord:fault:{}", code.name())
}

/// An error as its client sees it.
///
/// # Source
/// RFC 9457.
pub(super) struct Problem {
    status: StatusCode,
    detail: String,
    /// The fault of the method. `None`: no method was called.
    code: Option<FaultCode>,
    headers: Vec<(HeaderName, String)>,
}

impl Problem {
    /// A problem of HTTP, before any method was called.
    pub(super) fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self {
            status,
            detail: detail.into(),
            code: None,
            headers: Vec::new(),
        }
    }

    /// Adds a header.
    pub(super) fn with_header(mut self, name: HeaderName, value: String) -> Self {
        self.headers.push((name, value));
        self
    }

    /// Closes the connection after the response, because the rest of the request has not been read.
    pub(super) fn and_close(self) -> Self {
        self.with_header(header::CONNECTION, "close".to_owned())
    }

    /// The body of the response.
    fn text(&self) -> String {
        let number = self.status.as_u16();
        let body = match self.code {
            None => json!({
                "type": "about:blank",
                "title": self.status.canonical_reason().unwrap_or("Unknown"),
                "status": number,
                "detail": self.detail,
            }),
            Some(code) => json!({
                "type": fault_type(code),
                "title": code.doc().trim(),
                "status": number,
                "detail": self.detail,
                "fault": code.name(),
                "code": code.code(),
            }),
        };
        body.to_string()
    }

    /// The response.
    pub(super) fn into_response(self) -> HandlerResponse {
        let text = self.text();
        custom_response(self.status, CONTENT_TYPE, self.headers, text)
    }
}

impl From<Fault> for Problem {
    fn from(fault: Fault) -> Self {
        Self {
            status: StatusCode::from_u16(fault.status())
                .unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
            detail: fault.to_string(),
            code: Some(fault.code),
            headers: Vec::new(),
        }
    }
}

/// The body of a response about a fault.
pub(in crate::server) fn fault_text(fault: &Fault) -> String {
    Problem::from(fault.clone()).text()
}

/// The response to a request without the right password or token: `refusal` as a problem.
pub(in crate::server) fn login_problem(refusal: HandlerResponse) -> HandlerResponse {
    let problem = match refusal {
        HandlerResponse::Challenge => {
            let detail = "a user name with a password, or a token, is required and must be right";
            let realm = CHALLENGE.to_owned();
            let problem = Problem::new(StatusCode::UNAUTHORIZED, detail);
            problem
                .with_header(header::WWW_AUTHENTICATE, realm)
                .and_close()
        }
        HandlerResponse::Error(status @ StatusCode::BAD_REQUEST) => Problem::new(
            status,
            "the header Authorization is malformed (write Basic or Bearer)",
        ),
        HandlerResponse::Fatal(status @ StatusCode::TOO_MANY_REQUESTS) => {
            Problem::new(status, "too many wrong passwords (try again later)").and_close()
        }
        other => return other,
    };
    problem.into_response()
}

/// The response if a client has used up its share of the memory or of the connections.
pub(super) fn no_room(what: &str) -> Problem {
    Problem::new(
        StatusCode::SERVICE_UNAVAILABLE,
        format!("{what} (try again)"),
    )
    .with_header(header::RETRY_AFTER, "1".to_owned())
}
