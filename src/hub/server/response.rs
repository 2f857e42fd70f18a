//! Responses.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use hyper::body::{Body, Bytes, Frame, SizeHint};
use hyper::header::{self, HeaderName, HeaderValue};
use hyper::{Response, StatusCode};
use tokio::sync::mpsc;

use crate::http_server::budget::{BusyGuard, ConnectionGuard};

/// Headers of every response. No page may frame it, and no browser guesses its type. What a browser may load is only ours.
const HEADERS: [(HeaderName, &str); 5] = [
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "same-origin"),
    (header::CACHE_CONTROL, "no-store"),
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'self'; frame-ancestors 'none'; form-action 'self'; base-uri 'none'",
    ),
];

/// A response.
#[derive(Debug)]
pub(in crate::hub) struct HubResponse {
    pub(in crate::hub) status: StatusCode,
    pub(in crate::hub) content_type: &'static str,
    /// Headers besides those of every response.
    pub(in crate::hub) headers: Vec<(HeaderName, String)>,
    pub(in crate::hub) body: HubBody,
}

/// The body of a response.
#[derive(Debug)]
pub(in crate::hub) enum HubBody {
    Whole(Bytes),
    /// A body of unknown length. It ends when the sender is dropped.
    Stream(mpsc::Receiver<Bytes>),
}

impl HubResponse {
    /// A response with a whole body.
    pub(in crate::hub) fn new(
        status: StatusCode,
        content_type: &'static str,
        body: impl Into<Bytes>,
    ) -> Self {
        Self {
            status,
            content_type,
            headers: Vec::new(),
            body: HubBody::Whole(body.into()),
        }
    }

    /// Adds a header.
    pub(in crate::hub) fn with_header(mut self, name: HeaderName, value: String) -> Self {
        self.headers.push((name, value));
        self
    }

    /// Builds the response of HTTP. Its body is charged to its client's memory budget; without room it is 503.
    /// `is_head`: only the headers are sent.
    pub(super) fn into_http(
        self,
        guard: &Arc<ConnectionGuard>,
        is_head: bool,
    ) -> Response<HubReply> {
        let mut length = None;
        let mut status = self.status;
        let contents = match self.body {
            HubBody::Whole(body) => {
                let charged = guard.budget_bytes(body);
                if charged.is_none() {
                    status = StatusCode::SERVICE_UNAVAILABLE;
                }
                let body = charged.unwrap_or_default();
                length = Some(body.len());
                HubContents::Whole((!is_head).then_some(body))
            }
            HubBody::Stream(_) if is_head => HubContents::Whole(None),
            HubBody::Stream(chunks) => HubContents::Stream(chunks),
        };
        let mut response = Response::new(HubReply {
            contents,
            _busy: BusyGuard::new(guard),
        });
        *response.status_mut() = status;
        let headers = response.headers_mut();
        for (name, value) in HEADERS {
            headers.insert(name, HeaderValue::from_static(value));
        }
        let content_type = HeaderValue::from_static(self.content_type);
        headers.insert(header::CONTENT_TYPE, content_type);
        for (name, value) in self.headers {
            if let Ok(value) = HeaderValue::from_str(&value) {
                headers.append(name, value);
            }
        }
        // A response without content has no length either (RFC 9110, 8.6).
        let length = length.filter(|_| status != StatusCode::NO_CONTENT);
        if let Some(length) = length {
            headers.insert(header::CONTENT_LENGTH, length.into());
        }
        response
    }
}

/// The body of a response. Its connection counts as busy until the body has been read completely.
pub(super) struct HubReply {
    contents: HubContents,
    _busy: BusyGuard,
}

enum HubContents {
    Whole(Option<Bytes>),
    Stream(mpsc::Receiver<Bytes>),
}

impl Body for HubReply {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let next = match &mut self.contents {
            HubContents::Whole(body) => Poll::Ready(body.take()),
            HubContents::Stream(chunks) => chunks.poll_recv(cx),
        };
        next.map(|chunk| chunk.map(|chunk| Ok(Frame::data(chunk))))
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.contents, HubContents::Whole(None))
    }

    fn size_hint(&self) -> SizeHint {
        match &self.contents {
            HubContents::Whole(body) => {
                SizeHint::with_exact(body.as_ref().map_or(0, |body| body.len() as u64))
            }
            HubContents::Stream(_) => SizeHint::default(),
        }
    }
}
