//! Rejects peers of a unix socket that no rule of `allow=` names. The server reads only the beginning of their
//! request, sends a refusal and closes the connection. Rejected peers have a quota of their own, so they take no
//! connection from other clients.

use std::collections::HashMap;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::UnixStream;
use tokio::time::{Duration, Instant, timeout};

use super::LogFn;
use super::rest;
use crate::api::xmlrpc::write_response;
use crate::api::{Caller, Fault, FaultCode};
use crate::domain::Line;
use crate::http_server::budget::{BudgetClient, ClientQuota};

/// Maximum number of rejected peers being answered at a time. One user may have half of them.
const REJECTED_PEERS_MAX: usize = 32;
/// Maximum time for one rejected peer, from accepting the connection to closing it.
const REJECT_TIMEOUT: Duration = Duration::from_secs(2);
/// Maximum number of bytes read of the request before the connection is closed.
const READ_MAX: usize = 64 << 10;
/// Minimum time between two log lines about the same user.
const LINE_EVERY: Duration = Duration::from_secs(60);
/// Maximum number of users remembered for [`LINE_EVERY`].
const USERS_MAX: usize = 64;

/// Answers rejected peers.
pub(super) struct PeerRejector {
    log: LogFn,
    quota: Arc<ClientQuota>,
    told: Mutex<HashMap<u32, Instant>>,
}

impl PeerRejector {
    pub(super) fn new(log: LogFn) -> Arc<Self> {
        Arc::new(Self {
            log,
            quota: ClientQuota::new(REJECTED_PEERS_MAX),
            told: Mutex::default(),
        })
    }

    /// Sends the refusal to the peer. Beyond [`REJECTED_PEERS_MAX`] the connection is closed without an answer.
    pub(super) fn reject(self: &Arc<Self>, stream: UnixStream, caller: &Caller) {
        let uid = caller.uid.unwrap_or_default();
        let fault = FaultCode::Failed.of(format!(
            "permission denied: user {uid} has no permission (allow= in [unix_http_server])"
        ));
        self.log_rejection(uid, caller, &fault.to_string());
        let Some(place) = self.quota.acquire(BudgetClient::User(uid)) else {
            return;
        };
        tokio::spawn(async move {
            // A peer that is slow or disconnects does not get its answer.
            let _ = timeout(REJECT_TIMEOUT, send_refusal(stream, &fault)).await;
            drop(place);
        });
    }

    /// Writes at most one audit line per user and [`LINE_EVERY`].
    fn log_rejection(&self, uid: u32, caller: &Caller, why: &str) {
        let now = Instant::now();
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.retain(|_, at| now.saturating_duration_since(*at) < LINE_EVERY);
        if told.contains_key(&uid) || told.len() >= USERS_MAX {
            return;
        }
        told.insert(uid, now);
        (self.log)(Line::Audit {
            who: caller.identity(),
            verb: "connect".to_owned(),
            target: String::new(),
            result: why.to_owned(),
        });
    }
}

/// Reads the beginning of a request, sends the refusal, and reads on for a moment. Closing a socket with unread bytes
/// resets the connection, so the client would not see the refusal.
async fn send_refusal(mut stream: UnixStream, fault: &Fault) -> std::io::Result<()> {
    let mut buffer = [0; 512];
    // No request with a shorter first line is valid.
    let mut first = [0; b"GET / HTTP/1.1\r\n".len()];
    let mut length = 0;
    while length < first.len() {
        let count = read(&mut stream, &mut first[length..]).await?;
        if count == 0 {
            return Ok(());
        }
        length += count;
    }
    let (status, kind, body) = refusal_for(&first, fault);
    let head = format!(
        "HTTP/1.1 {status}\r\nServer: Medusa/1.12\r\nConnection: close\r\nContent-Type: {kind}\r\n\
         Content-Length: {}\r\n\r\n",
        body.len()
    );
    let answer = [head.as_bytes(), &body].concat();
    let mut sent = 0;
    while sent < answer.len() {
        let rest = &answer[sent..];
        sent += poll_fn(|cx| Pin::new(&mut stream).poll_write(cx, rest)).await?;
    }
    poll_fn(|cx| Pin::new(&mut stream).poll_shutdown(cx)).await?;
    let mut left = READ_MAX;
    while left > 0 {
        match read(&mut stream, &mut buffer).await? {
            0 => break,
            count => left = left.saturating_sub(count),
        }
    }
    Ok(())
}

/// The status, the content type and the body for a request that begins with `first`.
fn refusal_for(first: &[u8], fault: &Fault) -> (&'static str, &'static str, Vec<u8>) {
    const FORBIDDEN: &str = "403 Forbidden";
    let path = first
        .split(|&byte| byte == b' ')
        .nth(1)
        .map(String::from_utf8_lossy)
        .unwrap_or_default();
    if first.starts_with(b"POST /RPC2") {
        ("200 OK", "text/xml", write_response(&Err(fault.clone())))
    } else if rest::is_below(&path) {
        let body = rest::fault_text(fault);
        (FORBIDDEN, rest::PROBLEM_TYPE, body.into_bytes())
    } else {
        (FORBIDDEN, "text/plain", b"permission denied\n".to_vec())
    }
}

async fn read(stream: &mut UnixStream, buffer: &mut [u8]) -> std::io::Result<usize> {
    let mut buffer = ReadBuf::new(buffer);
    poll_fn(|cx| Pin::new(&mut *stream).poll_read(cx, &mut buffer)).await?;
    Ok(buffer.filled().len())
}
