//! `/logtail` and `/mainlogtail`: a log as it grows, for as long as the client stays.

use std::path::Path;
use std::sync::Arc;

use hyper::body::Bytes;
use hyper::http::request::Parts;
use hyper::{Method, StatusCode};
use tokio::sync::mpsc;
use tokio::time::{Duration, sleep};

use super::budget::QuotaPermit;
use super::http::HttpConnection;
use super::logs::{self, LogSource};
use super::response::HandlerResponse;
use super::xmlrpc::run_blocking;
use crate::api::{Caller, FaultCode, JournalMatch, LogRef, Permission, Request};
use crate::control;
use crate::domain::Channel;
use crate::output::{self, Chunk, Follower};
use crate::sys;

/// Logs that are followed at once, by all clients together; the trusted may follow as many besides.
pub(super) const FOLLOWERS_MAX: usize = 256;
/// What is shown of a log in the journal, as much as of one in a file.
const JOURNAL_BYTES: u64 = 1024;
/// How long until the log is looked at again.
const PAUSE: Duration = Duration::from_millis(200);

/// `/logtail/⟨namespec⟩[/stdout|/stderr]`
// Differs: without a name it is 404; Supervisor answers 500.
pub(super) async fn follow_process_log(
    connection: &Arc<HttpConnection>,
    caller: Caller,
    head: &Parts,
    path: &str,
) -> HandlerResponse {
    let method = &head.method;
    let mut parts = path.splitn(3, '/').skip(2);
    let Some(rest) = parts.next() else {
        return only_get(method, HandlerResponse::Error(StatusCode::NOT_FOUND));
    };
    let (name, channel) = match rest.split_once('/') {
        None => (rest, Some(Channel::Stdout)),
        Some((name, "stdout")) => (name, Some(Channel::Stdout)),
        Some((name, "stderr")) => (name, Some(Channel::Stderr)),
        Some((name, _)) => (name, None),
    };
    match channel {
        Some(channel) => {
            let of = LogRef::Process(name.to_owned(), channel);
            follow_log(connection, caller, method, of, start_offset(head)).await
        }
        None => only_get(method, HandlerResponse::Error(StatusCode::NOT_FOUND)),
    }
}

/// `/mainlogtail`
pub(super) async fn follow_main_log(
    connection: &Arc<HttpConnection>,
    caller: Caller,
    head: &Parts,
) -> HandlerResponse {
    follow_log(
        connection,
        caller,
        &head.method,
        LogRef::Daemon,
        start_offset(head),
    )
    .await
}

/// `?from=⟨bytes⟩`: where a client stands that has read the log's beginning by other means; ours.
fn start_offset(head: &Parts) -> Option<u64> {
    let query = head.uri.query()?;
    query
        .split('&')
        .find_map(|part| part.strip_prefix("from="))?
        .parse()
        .ok()
}

fn only_get(method: &Method, answer: HandlerResponse) -> HandlerResponse {
    if method == Method::GET {
        answer
    } else {
        HandlerResponse::Error(StatusCode::BAD_REQUEST)
    }
}

async fn follow_log(
    connection: &Arc<HttpConnection>,
    caller: Caller,
    method: &Method,
    of: LogRef,
    from: Option<u64>,
) -> HandlerResponse {
    if method != Method::GET {
        return HandlerResponse::Error(StatusCode::BAD_REQUEST);
    }
    let main = of == LogRef::Daemon;
    let Ok(grant) = control::grant_for(&caller, Permission::ReadLogs) else {
        return HandlerResponse::Error(StatusCode::FORBIDDEN);
    };
    let control = &connection.shared.control;
    let source = match control.call(caller, grant, Request::LogFile(of)).await {
        Ok(reply) => logs::log_source(reply),
        Err(fault) if fault.code == FaultCode::ShutdownState => {
            return HandlerResponse::Error(StatusCode::SERVICE_UNAVAILABLE);
        }
        Err(_) => LogSource::Nowhere,
    };
    let path = match source {
        LogSource::Nowhere => return HandlerResponse::Error(StatusCode::NOT_FOUND),
        LogSource::File(path) => path,
        LogSource::Journal(of) => return journal_tail(of).await,
    };
    let Some(place) = connection.shared.followers.acquire(connection.guard.client) else {
        return HandlerResponse::Error(StatusCode::SERVICE_UNAVAILABLE);
    };
    match run_blocking(move || open_follower(&path, from))
        .await
        .flatten()
    {
        None => HandlerResponse::Error(StatusCode::NOT_FOUND),
        Some((follower, modified)) => {
            // One chunk in hand: what the client does not take is read no further.
            let (sender, chunks) = mpsc::channel(1);
            tokio::spawn(send_appended(connection.clone(), follower, sender, place));
            HandlerResponse::Log {
                modified,
                chunks,
                main,
            }
        }
    }
}

/// The end of what is in the journal, and how to follow it there: a reader for each client that stays would be a process
/// for each.
async fn journal_tail(of: JournalMatch) -> HandlerResponse {
    let text = run_blocking(move || {
        let read = output::read_journal(&of, JOURNAL_BYTES);
        let mut text = read.unwrap_or_default();
        let hint = format!("==> in the journal: {} <==\n", output::follow_command(&of));
        text.extend_from_slice(hint.as_bytes());
        text
    });
    let (sender, chunks) = mpsc::channel(1);
    // There is room for one, and it is the only one.
    let _ = sender.try_send(text.await.unwrap_or_default().into());
    HandlerResponse::Log {
        modified: sys::now().wall.secs(),
        chunks,
        main: false,
    }
}

fn open_follower(path: &Path, from: Option<u64>) -> Option<(Follower, i64)> {
    let follower = match from {
        Some(position) => Follower::open_from(path, position),
        None => Follower::open(path),
    };
    let follower = follower.ok()?;
    let modified = follower.modified().ok()?;
    Some((follower, modified))
}

/// Sends what is appended until the client is gone or the server ends.
async fn send_appended(
    connection: Arc<HttpConnection>,
    mut follower: Follower,
    sender: mpsc::Sender<Bytes>,
    _place: QuotaPermit,
) {
    let mut stop = connection.shared.stop.clone();
    loop {
        let polled = run_blocking(move || {
            let chunk = follower.poll();
            (follower, chunk)
        });
        let Some((same, chunk)) = polled.await else {
            return;
        };
        follower = same;
        let chunk = match chunk {
            Ok(Chunk::Nothing) => Bytes::new(),
            Ok(Chunk::Bytes(bytes)) => bytes.into(),
            Ok(Chunk::Truncated) => Chunk::TRUNCATED.into(),
            Err(_) => return,
        };
        let idle = chunk.is_empty();
        if !idle {
            // Without room for it, whoever follows is a slow reader like those that have it.
            let Some(chunk) = connection.guard.budget_bytes(chunk) else {
                return;
            };
            tokio::select! {
                sent = sender.send(chunk) => if sent.is_err() { return },
                _ = stop.wait_for(|stop| *stop) => return,
            }
        }
        // A client that ended its side would never be noticed while the log is silent.
        if connection.stream.peer_is_gone() {
            return;
        }
        if idle {
            tokio::select! {
                () = sleep(PAUSE) => {},
                () = sender.closed() => return,
                _ = stop.wait_for(|stop| *stop) => return,
            }
        }
    }
}
