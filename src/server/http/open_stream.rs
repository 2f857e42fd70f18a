//! The sending end of a response that lasts until its client disconnects or the server stops.

use std::sync::Arc;
use std::time::Duration;

use hyper::body::Bytes;
use tokio::sync::{mpsc, watch};
use tokio::time::sleep;

use super::connection::HttpConnection;

/// The sending end of one response. Its methods return whether the response goes on.
pub(in crate::server) struct OpenStream {
    connection: Arc<HttpConnection>,
    sender: mpsc::Sender<Bytes>,
    stop: watch::Receiver<bool>,
}

impl OpenStream {
    pub(in crate::server) fn new(
        connection: Arc<HttpConnection>,
        sender: mpsc::Sender<Bytes>,
    ) -> Self {
        Self {
            stop: connection.shared.stop.clone(),
            connection,
            sender,
        }
    }

    /// Sends a chunk that is charged to the budget of the client. Returns false also if the budget has no room: the client
    /// reads too slowly.
    pub(in crate::server) async fn send(
        &mut self,
        bytes: impl AsRef<[u8]> + Send + 'static,
    ) -> bool {
        match self.connection.guard.budget_bytes(bytes) {
            Some(chunk) => self.send_charged(chunk).await,
            None => false,
        }
    }

    /// Sends a chunk that is charged already, or is small.
    pub(in crate::server) async fn send_charged(&mut self, chunk: Bytes) -> bool {
        tokio::select! {
            sent = self.sender.send(chunk) => if sent.is_err() { return false },
            _ = self.stop.wait_for(|stop| *stop) => return false,
        }
        // A client that closed its side reads nothing more, though writes could succeed for long.
        !self.connection.stream.peer_is_gone()
    }

    /// Waits for `pause` while there is nothing to send. A write would not show meanwhile that the client is gone.
    pub(in crate::server) async fn pause(&mut self, pause: Duration) -> bool {
        if self.connection.stream.peer_is_gone() {
            return false;
        }
        tokio::select! {
            () = sleep(pause) => true,
            () = self.ended() => false,
        }
    }

    /// Waits until the response ends.
    pub(in crate::server) async fn ended(&mut self) {
        tokio::select! {
            () = self.sender.closed() => {},
            _ = self.stop.wait_for(|stop| *stop) => {},
        }
    }
}
