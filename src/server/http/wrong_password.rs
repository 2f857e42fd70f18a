//! Delays the answers to wrong passwords as the throttle says, and writes the log lines about them.

use std::sync::Arc;

use hyper::StatusCode;
use tokio::time::{Instant, sleep};

use super::connection::{HttpConnection, ServerContext};
use super::response::HandlerResponse;
use super::throttle::{FailureOutcome, PasswordThrottle, REPORT_EVERY, ThrottledPeer};

/// The peer of a connection.
fn peer_of(connection: &HttpConnection) -> ThrottledPeer {
    if let Some(uid) = connection.caller.uid {
        return ThrottledPeer::User(uid);
    }
    let address = connection.peer.rsplit_once(':').map(|(ip, _)| ip.parse());
    match address {
        Some(Ok(address)) => ThrottledPeer::at(address),
        Some(Err(_)) | None => ThrottledPeer::Unknown,
    }
}

/// A slot among the delayed responses. Dropping it frees the slot, also when the connection is closed.
struct DelayGuard<'a> {
    throttle: &'a PasswordThrottle,
    peer: ThrottledPeer,
}

impl Drop for DelayGuard<'_> {
    fn drop(&mut self) {
        self.throttle.lock().waited(self.peer);
    }
}

/// Records that the connection's peer sent the right password.
pub(super) fn password_accepted(connection: &HttpConnection) {
    connection
        .shared
        .throttle
        .lock()
        .succeeded(peer_of(connection));
}

/// Records that the connection's peer sent a wrong password, and returns `answer` after the delay. While it waits the
/// connection counts as idle, so that it can be evicted.
pub(super) async fn password_failed(
    connection: &Arc<HttpConnection>,
    answer: HandlerResponse,
) -> HandlerResponse {
    let shared = &connection.shared;
    let peer = peer_of(connection);
    let FailureOutcome {
        lines,
        begins_report,
        delay,
    } = shared.throttle.lock().failed(peer, Instant::now());
    for line in lines {
        (shared.log)(line);
    }
    if begins_report {
        tokio::spawn(report(connection.clone(), peer));
    }
    let Some(delay) = delay else {
        return HandlerResponse::Fatal(StatusCode::TOO_MANY_REQUESTS);
    };
    if delay.is_zero() {
        return answer;
    }
    let _waiting = DelayGuard {
        throttle: &shared.throttle,
        peer,
    };
    let mut stop = shared.stop.clone();
    tokio::select! {
        () = sleep(delay) => {}
        _ = stop.wait_for(|stop| *stop) => {}
    }
    answer
}

/// Reports the number of further wrong passwords at the end of the interval.
async fn report(connection: Arc<HttpConnection>, peer: ThrottledPeer) {
    let shared = connection.shared.clone();
    // The report must not keep the connection open.
    drop(connection);
    let mut stop = shared.stop.clone();
    tokio::select! {
        () = sleep(REPORT_EVERY) => {}
        // When the server stops, [`flush_reports`] writes all reports.
        _ = stop.wait_for(|stop| *stop) => return,
    }
    let line = shared.throttle.lock().report(peer);
    if let Some(line) = line {
        (shared.log)(line);
    }
}

/// Writes all pending reports, because the server stops.
pub(in crate::server) fn flush_reports(shared: &ServerContext) {
    let mut peers = shared.throttle.lock();
    let known = peers.peers();
    for line in known.into_iter().filter_map(|peer| peers.report(peer)) {
        (shared.log)(line);
    }
}
