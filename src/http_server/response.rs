//! A response with a status and headers of its own, and the body that hyper sends.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use hyper::StatusCode;
use hyper::body::{Body, Bytes, Frame, SizeHint};
use hyper::header::HeaderName;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use tokio::sync::mpsc;

use super::budget::BusyGuard;

/// A response.
#[derive(Debug)]
pub(crate) struct HttpResponse {
    pub(crate) status: StatusCode,
    pub(crate) content_type: &'static str,
    /// Headers besides those of every response.
    pub(crate) headers: Vec<(HeaderName, String)>,
    pub(crate) body: HttpBody,
}

/// The body of a response.
#[derive(Debug)]
pub(crate) enum HttpBody {
    Whole(Bytes),
    /// No body: a response to HEAD, with the length that GET would have, or 304.
    None(Option<usize>),
    /// A body of unknown length. It ends when the sender is dropped.
    Growing(mpsc::Receiver<Bytes>),
}

impl HttpResponse {
    /// A response with a whole body.
    pub(crate) fn new(
        status: StatusCode,
        content_type: &'static str,
        body: impl Into<Bytes>,
    ) -> Self {
        Self {
            status,
            content_type,
            headers: Vec::new(),
            body: HttpBody::Whole(body.into()),
        }
    }

    /// Adds a header.
    pub(crate) fn with_header(mut self, name: HeaderName, value: String) -> Self {
        self.headers.push((name, value));
        self
    }

    /// The response to HEAD: the same without its body.
    pub(crate) fn without_body(mut self) -> Self {
        self.body = HttpBody::None(self.body.length());
        self
    }
}

impl HttpBody {
    /// The value of `Content-Length`. `None`: unknown.
    pub(crate) fn length(&self) -> Option<usize> {
        match self {
            Self::Whole(body) => Some(body.len()),
            Self::None(length) => *length,
            Self::Growing(_) => None,
        }
    }
}

/// Formats a time in seconds since the epoch as an HTTP date (RFC 1123).
pub(crate) fn http_date(seconds: i64) -> String {
    Timestamp::from_second(seconds)
        .unwrap_or(Timestamp::UNIX_EPOCH)
        .to_zoned(TimeZone::UTC)
        .strftime("%a, %d %b %Y %H:%M:%S GMT")
        .to_string()
}

/// The body that is sent. Its connection counts as busy until the body has been read completely.
pub(crate) struct ReplyBody {
    /// `None`: all of it has been read.
    contents: Option<HttpBody>,
    _busy: BusyGuard,
}

impl ReplyBody {
    pub(crate) fn new(body: HttpBody, busy: BusyGuard) -> Self {
        Self {
            contents: Some(body),
            _busy: busy,
        }
    }
}

impl Body for ReplyBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let next = match &mut self.contents {
            Some(HttpBody::Growing(chunks)) => chunks.poll_recv(cx),
            other => Poll::Ready(match other.take() {
                Some(HttpBody::Whole(body)) => Some(body),
                _ => None,
            }),
        };
        next.map(|chunk| chunk.map(|chunk| Ok(Frame::data(chunk))))
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.contents, None | Some(HttpBody::None(_)))
    }

    fn size_hint(&self) -> SizeHint {
        match &self.contents {
            Some(HttpBody::Whole(body)) => SizeHint::with_exact(body.len() as u64),
            Some(HttpBody::Growing(_)) => SizeHint::default(),
            None | Some(HttpBody::None(_)) => SizeHint::with_exact(0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_have_the_http_format() {
        assert_eq!(http_date(1_795_203_928), "Fri, 20 Nov 2026 19:45:28 GMT");
        assert_eq!(http_date(i64::MAX), "Thu, 01 Jan 1970 00:00:00 GMT");
    }
}
