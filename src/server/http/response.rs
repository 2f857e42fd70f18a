//! HTTP responses: status, headers and bodies as Supervisor's clients see them.

use std::sync::Arc;

use hyper::body::{Body as _, Bytes};
use hyper::header::{self, HeaderName, HeaderValue};
use hyper::{Response, StatusCode, Version};
use jiff::Timestamp;
use tokio::sync::mpsc;

use crate::api::{Fault, FaultCode};
use crate::http_server::budget::{BusyGuard, ConnectionGuard};
use crate::http_server::response::{HttpBody, HttpResponse, ReplyBody, http_date};
use crate::output::LogFileId;

/// The value of `WWW-Authenticate`.
pub(in crate::server) const CHALLENGE: &str = "Basic realm=\"default\"";

/// The result of a request handler.
pub(in crate::server) enum HandlerResponse {
    /// An error with its error page.
    Error(StatusCode),
    /// An error after which the connection is closed, because the rest of the request has not been read.
    Fatal(StatusCode),
    /// 401: asks the client for its credentials.
    Challenge,
    /// A content type and a complete body.
    Full(&'static str, Bytes),
    /// A complete body that is charged to its client's memory budget.
    Budgeted(&'static str, Bytes),
    /// A response of the web page, with a status and headers of its own.
    Made(Box<HttpResponse>),
    /// A log that is followed.
    Log {
        /// When the log last changed, in seconds since the epoch.
        modified: i64,
        /// The chunks of the body. The body ends when the sender is dropped.
        chunks: mpsc::Receiver<Bytes>,
        /// Whether this is the daemon's log rather than a process's.
        main: bool,
        /// The file that the chunks come from, for a client that asked by file.
        file: Option<LogFileId>,
    },
}

impl HandlerResponse {
    /// The error page for a fault that a list of processes ended with.
    // Differs: while the daemon is stopping, Supervisor's pages answer 500.
    pub(in crate::server) fn fault(fault: &Fault) -> Self {
        Self::Error(match fault.code {
            FaultCode::ShutdownState => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::FORBIDDEN,
        })
    }

    /// Returns the same response with its body charged to the client's memory budget until it is sent. If the budget
    /// has no room, the response is 503.
    pub(in crate::server) fn with_budget(self, place: &Arc<ConnectionGuard>) -> Self {
        let counted = match self {
            Self::Full(kind, body) => place
                .budget_bytes(body)
                .map(|body| Self::Budgeted(kind, body)),
            Self::Made(mut made) => {
                let body = match made.body {
                    HttpBody::Whole(body) => place.budget_bytes(body).map(HttpBody::Whole),
                    other => Some(other),
                };
                match body {
                    Some(body) => {
                        made.body = body;
                        Some(Self::Made(made))
                    }
                    None => None,
                }
            }
            other => Some(other),
        };
        counted.unwrap_or(Self::Error(StatusCode::SERVICE_UNAVAILABLE))
    }
}

impl From<HttpResponse> for HandlerResponse {
    fn from(response: HttpResponse) -> Self {
        Self::Made(Box::new(response))
    }
}

/// A response with a status and headers of its own.
pub(in crate::server) fn custom_response(
    status: StatusCode,
    content_type: &'static str,
    headers: Vec<(HeaderName, String)>,
    body: impl Into<Bytes>,
) -> HandlerResponse {
    HttpResponse {
        headers,
        ..HttpResponse::new(status, content_type, body)
    }
    .into()
}

/// 405, with the methods that the address has.
pub(in crate::server) fn method_not_allowed(methods: &str) -> HandlerResponse {
    let status = StatusCode::METHOD_NOT_ALLOWED;
    let headers = vec![(header::ALLOW, methods.to_owned())];
    custom_response(status, "text/html", headers, error_page(status))
}

/// The error page of `status`.
pub(in crate::server) fn error_page(status: StatusCode) -> Bytes {
    let reason = status.canonical_reason().unwrap_or("Unknown");
    let number = status.as_u16();
    let lines = [
        "<head>",
        "<title>Error response</title>",
        "</head>",
        "<body>",
        "<h1>Error response</h1>",
        &format!("<p>Error code {number}."),
        &format!("<p>Message: {reason}."),
        "</body>",
        "",
    ];
    Bytes::from(lines.join("\r\n"))
}

/// What a response says besides the headers that every response has.
struct ResponseParts {
    status: StatusCode,
    content_type: &'static str,
    contents: HttpBody,
    headers: Vec<(HeaderName, String)>,
}

impl ResponseParts {
    fn error(status: StatusCode, headers: Vec<(HeaderName, String)>) -> Self {
        Self {
            status,
            content_type: "text/html",
            contents: HttpBody::Whole(error_page(status)),
            headers,
        }
    }

    fn of(answer: HandlerResponse) -> Self {
        let close = || (header::CONNECTION, "close".to_owned());
        match answer {
            HandlerResponse::Error(status) => Self::error(status, vec![]),
            HandlerResponse::Fatal(status) => Self::error(status, vec![close()]),
            HandlerResponse::Challenge => {
                let headers = vec![close(), (header::WWW_AUTHENTICATE, CHALLENGE.to_owned())];
                Self::error(StatusCode::UNAUTHORIZED, headers)
            }
            HandlerResponse::Made(made) => {
                let HttpResponse {
                    status,
                    content_type,
                    headers,
                    body,
                } = *made;
                Self {
                    status,
                    content_type,
                    contents: body,
                    headers,
                }
            }
            HandlerResponse::Full(content_type, body)
            | HandlerResponse::Budgeted(content_type, body) => Self {
                status: StatusCode::OK,
                content_type,
                contents: HttpBody::Whole(body),
                headers: vec![],
            },
            HandlerResponse::Log {
                modified,
                chunks,
                main,
                file,
            } => Self {
                status: StatusCode::OK,
                content_type: "text/plain;charset=utf-8",
                contents: HttpBody::Growing(chunks),
                headers: log_headers(modified, main, file),
            },
        }
    }
}

/// The headers of a log that is followed.
fn log_headers(modified: i64, main: bool, file: Option<LogFileId>) -> Vec<(HeaderName, String)> {
    let mut headers = vec![(header::LAST_MODIFIED, http_date(modified))];
    if !main {
        let name = HeaderName::from_static("x-accel-buffering");
        headers.push((name, "no".to_owned()));
    }
    if let Some(file) = file {
        headers.push((HeaderName::from_static("x-log-file"), file.to_string()));
    }
    // Differs: forbids browsers from guessing the type, so that program output is never interpreted as a page.
    // Supervisor allows it.
    headers.push((header::X_CONTENT_TYPE_OPTIONS, "nosniff".to_owned()));
    headers
}

/// Builds the HTTP response. `keep_alive`: an HTTP/1.0 client asked to keep the connection open.
pub(super) fn into_http(
    answer: HandlerResponse,
    version: Version,
    keep_alive: bool,
    busy: BusyGuard,
) -> Response<ReplyBody> {
    let ResponseParts {
        status,
        content_type,
        contents,
        headers,
    } = ResponseParts::of(answer);
    let length = contents.length();
    let mut response = Response::new(ReplyBody::new(contents, busy));
    *response.status_mut() = status;
    *response.version_mut() = version;
    let mut put = |name: HeaderName, value: String| {
        if let Ok(value) = HeaderValue::from_str(&value) {
            response.headers_mut().insert(name, value);
        }
    };
    put(header::SERVER, "Medusa/1.12".to_owned());
    put(header::DATE, http_date(Timestamp::now().as_second()));
    for (name, value) in headers {
        put(name, value);
    }
    put(header::CONTENT_TYPE, content_type.to_owned());
    if let Some(length) = length {
        put(header::CONTENT_LENGTH, length.to_string());
        if keep_alive && !response.headers().contains_key(header::CONNECTION) {
            let value = HeaderValue::from_static("Keep-Alive");
            response.headers_mut().insert(header::CONNECTION, value);
        }
    }
    response
}

/// Number of bytes sent over the wire, for the access log. Of a followed log only the header counts.
pub(super) fn wire_size(response: &Response<ReplyBody>) -> u64 {
    let reason = response.status().canonical_reason().unwrap_or("");
    let status_line = "HTTP/1.1 200 \r\n".len() + reason.len();
    let headers: usize = response
        .headers()
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len() + ": \r\n".len())
        .sum();
    let head = (status_line + headers + "\r\n".len()) as u64;
    head + response.body().size_hint().exact().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rpc_05_the_error_page_is_supervisors() {
        assert_eq!(
            error_page(StatusCode::NOT_FOUND),
            "<head>\r\n<title>Error response</title>\r\n</head>\r\n<body>\r\n<h1>Error response</h1>\r\n\
             <p>Error code 404.\r\n<p>Message: Not Found.\r\n</body>\r\n"
        );
        assert_eq!(error_page(StatusCode::LENGTH_REQUIRED).len(), 140);
    }
}
