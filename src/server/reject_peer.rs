//! Peers of a unix socket whom no rule of `allow=` names. They are answered from the first bytes of their request, before
//! anything is read that could be long, and then the connection is closed. Few of them are there at a time, each for a
//! moment, and none has a place among the connections of others.

use std::collections::HashMap;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::UnixStream;
use tokio::time::{Duration, Instant, timeout};

use super::LogFn;
use super::budget::{BudgetClient, ClientQuota};
use crate::api::xmlrpc::write_response;
use crate::api::{Caller, FaultCode};
use crate::domain::Line;

/// Connections of all such peers that are being answered; half of them of one user.
const REJECTED_PEERS_MAX: usize = 32;
/// How long one of them may take, from its first byte to its end.
const REJECT_TIMEOUT: Duration = Duration::from_secs(2);
/// How much of its request is read, after which the connection is closed.
const READ_MAX: usize = 64 << 10;
/// The time between two lines of the log about the same user.
const LINE_EVERY: Duration = Duration::from_secs(60);
/// Users that are remembered for that.
const USERS_MAX: usize = 64;

/// The place where such peers are answered.
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

    /// Answers the peer. A peer beyond [`REJECTED_PEERS_MAX`] has its connection closed at once.
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
            // A peer that is slow, or goes, loses its answer.
            let _ = timeout(
                REJECT_TIMEOUT,
                send_refusal(stream, &write_response(&Err(fault))),
            )
            .await;
            drop(place);
        });
    }

    /// Leaves one audit line for each user in a while.
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

/// Reads the beginning of a request, answers it, and reads on for a moment: closing a socket that has unread bytes would
/// tell the client nothing but that it was closed.
async fn send_refusal(mut stream: UnixStream, fault: &[u8]) -> std::io::Result<()> {
    const CALL: &[u8] = b"POST /RPC2";
    let mut buffer = [0; 512];
    let mut first = [0; CALL.len()];
    let mut length = 0;
    while length < first.len() {
        let count = read(&mut stream, &mut first[length..]).await?;
        if count == 0 {
            return Ok(());
        }
        length += count;
    }
    let (status, kind, body) = match first == CALL {
        true => ("200 OK", "text/xml", fault),
        false => ("403 Forbidden", "text/plain", &b"permission denied\n"[..]),
    };
    let head = format!(
        "HTTP/1.1 {status}\r\nServer: Medusa/1.12\r\nConnection: close\r\nContent-Type: {kind}\r\n\
         Content-Length: {}\r\n\r\n",
        body.len()
    );
    let answer = [head.as_bytes(), body].concat();
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

async fn read(stream: &mut UnixStream, buffer: &mut [u8]) -> std::io::Result<usize> {
    let mut buffer = ReadBuf::new(buffer);
    poll_fn(|cx| Pin::new(&mut *stream).poll_read(cx, &mut buffer)).await?;
    Ok(buffer.filled().len())
}
