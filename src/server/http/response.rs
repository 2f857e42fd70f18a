//! HTTP responses: status, headers and bodies as Supervisor's clients see them.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use hyper::body::{Body, Bytes, Frame, SizeHint};
use hyper::header::{self, HeaderName, HeaderValue};
use hyper::{Response, StatusCode, Version};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use tokio::sync::mpsc;

use crate::api::{Fault, FaultCode};
use crate::http_server::budget::{BusyGuard, ConnectionGuard};
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
    Made(Box<CustomResponse>),
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

/// See [`HandlerResponse::Made`].
pub(in crate::server) struct CustomResponse {
    pub(in crate::server) status: StatusCode,
    pub(in crate::server) content_type: &'static str,
    /// Headers besides those of every response.
    pub(in crate::server) headers: Vec<(HeaderName, String)>,
    pub(in crate::server) body: CustomBody,
}

/// The body of a [`CustomResponse`].
pub(in crate::server) enum CustomBody {
    Whole(Bytes),
    /// No body: a response to HEAD, with the length that GET would have, or 304.
    None(Option<usize>),
    /// A body of unknown length. It ends when the sender is dropped.
    Growing(mpsc::Receiver<Bytes>),
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
                    CustomBody::Whole(body) => place.budget_bytes(body).map(CustomBody::Whole),
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

/// A response with a status and headers of its own.
pub(in crate::server) fn custom_response(
    status: StatusCode,
    content_type: &'static str,
    headers: Vec<(HeaderName, String)>,
    body: impl Into<Bytes>,
) -> HandlerResponse {
    HandlerResponse::Made(Box::new(CustomResponse {
        status,
        content_type,
        headers,
        body: CustomBody::Whole(body.into()),
    }))
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

/// Formats a time as an HTTP date (RFC 1123).
pub(in crate::server) fn http_date(seconds: i64) -> String {
    Timestamp::from_second(seconds)
        .unwrap_or(Timestamp::UNIX_EPOCH)
        .to_zoned(TimeZone::UTC)
        .strftime("%a, %d %b %Y %H:%M:%S GMT")
        .to_string()
}

/// What a response says besides the headers that every response has.
struct ResponseParts {
    status: StatusCode,
    content_type: &'static str,
    contents: ReplyContents,
    headers: Vec<(HeaderName, String)>,
}

impl ResponseParts {
    fn error(status: StatusCode, headers: Vec<(HeaderName, String)>) -> Self {
        Self {
            status,
            content_type: "text/html",
            contents: ReplyContents::Whole(Some(error_page(status))),
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
                let CustomResponse {
                    status,
                    content_type,
                    headers,
                    body,
                } = *made;
                let contents = match body {
                    CustomBody::Whole(body) => ReplyContents::Whole(Some(body)),
                    CustomBody::None(length) => ReplyContents::Absent(length),
                    CustomBody::Growing(chunks) => ReplyContents::Growing(chunks),
                };
                Self {
                    status,
                    content_type,
                    contents,
                    headers,
                }
            }
            HandlerResponse::Full(content_type, body)
            | HandlerResponse::Budgeted(content_type, body) => Self {
                status: StatusCode::OK,
                content_type,
                contents: ReplyContents::Whole(Some(body)),
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
                contents: ReplyContents::Growing(chunks),
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
    let length = match &contents {
        ReplyContents::Whole(body) => Some(body.as_ref().map_or(0, Bytes::len)),
        ReplyContents::Absent(length) => *length,
        ReplyContents::Growing(_) => None,
    };
    let mut response = Response::new(ReplyBody {
        contents,
        _busy: busy,
    });
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

/// The body of a response. Its connection counts as busy until the body has been read completely.
pub(in crate::server) struct ReplyBody {
    contents: ReplyContents,
    _busy: BusyGuard,
}

enum ReplyContents {
    Whole(Option<Bytes>),
    /// No body. The length is that of the body that is not sent, if known.
    Absent(Option<usize>),
    Growing(mpsc::Receiver<Bytes>),
}

impl Body for ReplyBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let next = match &mut self.contents {
            ReplyContents::Whole(body) => Poll::Ready(body.take()),
            ReplyContents::Absent(_) => Poll::Ready(None),
            ReplyContents::Growing(chunks) => chunks.poll_recv(cx),
        };
        next.map(|chunk| chunk.map(|chunk| Ok(Frame::data(chunk))))
    }

    fn is_end_stream(&self) -> bool {
        match &self.contents {
            ReplyContents::Whole(body) => body.is_none(),
            ReplyContents::Absent(_) => true,
            ReplyContents::Growing(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.contents {
            ReplyContents::Whole(body) => {
                SizeHint::with_exact(body.as_ref().map_or(0, |body| body.len() as u64))
            }
            ReplyContents::Absent(_) => SizeHint::with_exact(0),
            ReplyContents::Growing(_) => SizeHint::default(),
        }
    }
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

    #[test]
    fn dates_have_the_http_format() {
        assert_eq!(http_date(1_795_203_928), "Fri, 20 Nov 2026 19:45:28 GMT");
        assert_eq!(http_date(i64::MAX), "Thu, 01 Jan 1970 00:00:00 GMT");
    }
}
