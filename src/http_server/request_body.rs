//! Reads request bodies: bounded in length and in time, and counted for the client.

use std::sync::Arc;

use http_body_util::BodyExt as _;
use hyper::StatusCode;
use hyper::body::{Bytes, Incoming};
use hyper::header::{self, HeaderMap};
use tokio::time::{Duration, Instant, timeout_at};

use super::budget::{ConnectionGuard, ReservedBytes};

const DRAIN_WITHIN: Duration = Duration::from_secs(20);
/// Maximum time for a whole body.
const BODY_WITHIN: Duration = Duration::from_secs(60);
/// How long a body may take beyond the time that [`BODY_RATE`] allows for its bytes.
const BODY_GRACE: Duration = Duration::from_secs(20);
/// Minimum transfer rate of a body, in bytes per second.
const BODY_RATE: usize = 16 << 10;

/// Measures how fast a body arrives.
pub(crate) struct BodyPace {
    begin: Instant,
    read: usize,
}

impl BodyPace {
    pub(crate) fn start() -> Self {
        Self {
            begin: Instant::now(),
            read: 0,
        }
    }

    /// Deadline for the next part of the body.
    pub(crate) fn deadline(&self) -> Instant {
        let earned = Duration::from_secs((self.read / BODY_RATE) as u64);
        self.begin + (BODY_GRACE + earned).min(BODY_WITHIN)
    }

    pub(crate) fn add(&mut self, bytes: usize) {
        self.read += bytes;
    }
}

/// Reads and discards the rest of a request. Many clients read the response only after they have sent everything, and
/// closing the connection earlier would reset it.
pub(crate) async fn drain_body(body: &mut Incoming, most: usize) {
    let mut pace = BodyPace::start();
    let last = pace.begin + DRAIN_WITHIN;
    while pace.read <= most
        && let Ok(Some(Ok(frame))) = timeout_at(pace.deadline().min(last), body.frame()).await
    {
        pace.add(frame.data_ref().map_or(0, Bytes::len));
    }
}

/// Reads the whole body, at most `max` bytes, and returns it with its reservation of the client's budget.
pub(crate) async fn read_body(
    guard: &Arc<ConnectionGuard>,
    headers: &HeaderMap,
    body: &mut Incoming,
    max: usize,
) -> Result<(Bytes, ReservedBytes), StatusCode> {
    let chunked = headers.contains_key(header::TRANSFER_ENCODING);
    let length = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.parse::<usize>().ok());
    match length {
        None if !chunked => return Err(StatusCode::LENGTH_REQUIRED),
        Some(length) if length > max => return Err(StatusCode::PAYLOAD_TOO_LARGE),
        Some(length) if !guard.could_reserve(length) => {
            return Err(StatusCode::SERVICE_UNAVAILABLE);
        }
        _ => {}
    }
    let full = || StatusCode::SERVICE_UNAVAILABLE;
    let mut read = Vec::new();
    let mut room = guard.reserve_bytes(0).ok_or_else(full)?;
    let mut pace = BodyPace::start();
    loop {
        let frame = match timeout_at(pace.deadline(), body.frame()).await {
            Err(_) => return Err(StatusCode::REQUEST_TIMEOUT),
            Ok(None) => return Ok((read.into(), room)),
            Ok(Some(Err(_))) => return Err(StatusCode::BAD_REQUEST),
            Ok(Some(Ok(frame))) => frame,
        };
        let Some(data) = frame.data_ref() else {
            continue;
        };
        if read.len() + data.len() > max {
            return Err(StatusCode::PAYLOAD_TOO_LARGE);
        }
        // Do not wait for room: bodies that wait for each other's room would deadlock.
        if !room.grow_to(read.len() + data.len()) {
            return Err(full());
        }
        read.extend_from_slice(data);
        pace.add(data.len());
    }
}
