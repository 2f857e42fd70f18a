//! `/logtail` and `/mainlogtail`: streams what is appended to a log until the client disconnects.

use std::path::Path;
use std::sync::Arc;

use hyper::body::Bytes;
use hyper::http::request::Parts;
use hyper::{Method, StatusCode};
use tokio::sync::mpsc;
use tokio::time::Duration;

use super::connection::HttpConnection;
use super::open_stream::OpenStream;
use super::response::HandlerResponse;
use crate::api::{Caller, FaultCode, JournalMatch, LogRef, Permission, Request};
use crate::domain::Channel;
use crate::http_server::blocking_pool::run_blocking;
use crate::http_server::budget::QuotaPermit;
use crate::output::{self, Chunk, Follower, JournalFollower, JournalSpan, LogFileId};
use crate::server::calls::log_parts::{self, LogSource};
use crate::{control, sys};

/// Maximum number of followed logs, all clients together. Trusted clients have a second quota of the same size.
pub(in crate::server) const FOLLOWERS_MAX: usize = 256;
/// Maximum number of bytes shown of a log in the journal that cannot be followed: the same as of a log file.
const JOURNAL_BYTES: u64 = 1024;
/// Number of entries shown of a log in the journal before what follows.
const JOURNAL_LINES: usize = 10;
/// Pause between two reads of a journalctl that does not follow.
const JOURNAL_PAUSE: Duration = Duration::from_millis(10);
/// Pause between two reads of a log.
const PAUSE: Duration = Duration::from_millis(200);

/// Answers `/logtail/⟨namespec⟩[/stdout|/stderr]`.
// Differs: without a name the answer is 404; Supervisor answers 500.
pub(in crate::server) async fn follow_process_log(
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
            follow_log(connection, caller, head, of).await
        }
        None => only_get(method, HandlerResponse::Error(StatusCode::NOT_FOUND)),
    }
}

/// Answers `/mainlogtail`.
pub(super) async fn follow_main_log(
    connection: &Arc<HttpConnection>,
    caller: Caller,
    head: &Parts,
) -> HandlerResponse {
    follow_log(connection, caller, head, LogRef::Daemon).await
}

/// How far the client has read the log by other means. Supervisor does not have it.
struct ReadPosition {
    /// The offset in `?from=⟨bytes⟩`.
    offset: u64,
    /// The file of `&file=⟨identity⟩`, to which the offset belongs. `None`: the file that the log is now.
    file: Option<LogFileId>,
    /// Whether the address has `&file=`, even if it is empty. The response then names its file and ends with it, so that
    /// the client always knows to which file an offset belongs.
    is_by_file: bool,
}

impl ReadPosition {
    /// `None`: the client has read nothing.
    fn of(head: &Parts) -> Option<Self> {
        let query = head.uri.query()?;
        let value = |name| query.split('&').find_map(|part| part.strip_prefix(name));
        let file = value("file=");
        Some(Self {
            offset: value("from=")?.parse().ok()?,
            file: file.and_then(|text| text.parse().ok()),
            is_by_file: file.is_some(),
        })
    }
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
    head: &Parts,
    of: LogRef,
) -> HandlerResponse {
    if head.method != Method::GET {
        return HandlerResponse::Error(StatusCode::BAD_REQUEST);
    }
    let main = of == LogRef::Daemon;
    let Ok(grant) = control::grant_for(&caller, Permission::ReadLogs) else {
        return HandlerResponse::Error(StatusCode::FORBIDDEN);
    };
    let control = &connection.shared.control;
    let source = match control.call(caller, grant, Request::LogFile(of)).await {
        Ok(reply) => log_parts::log_source(reply),
        Err(fault) if fault.code == FaultCode::ShutdownState => {
            return HandlerResponse::Error(StatusCode::SERVICE_UNAVAILABLE);
        }
        Err(_) => LogSource::Nowhere,
    };
    let path = match source {
        LogSource::Nowhere => return HandlerResponse::Error(StatusCode::NOT_FOUND),
        LogSource::File(path) => path,
        LogSource::Journal(of) => return follow_journal(connection, of, journal_span(head)).await,
    };
    let from = ReadPosition::of(head);
    let Some(place) = connection.shared.followers.acquire(connection.guard.client) else {
        return HandlerResponse::Error(StatusCode::SERVICE_UNAVAILABLE);
    };
    let is_by_file = from.as_ref().is_some_and(|from| from.is_by_file);
    match run_blocking(move || open_follower(&path, from))
        .await
        .flatten()
    {
        None => HandlerResponse::Error(StatusCode::NOT_FOUND),
        Some((follower, modified)) => {
            // The channel holds one chunk, so that the log is read no faster than the client takes it.
            let (sender, chunks) = mpsc::channel(1);
            let file = is_by_file.then(|| follower.id());
            let sending = send_appended(connection.clone(), follower, file, sender, place);
            tokio::spawn(sending);
            HandlerResponse::Log {
                modified,
                chunks,
                main,
                file,
            }
        }
    }
}

/// Which entries of a log in the journal the address asks for: `?lines=⟨count⟩` or `?since=⟨seconds since the epoch⟩`, and
/// `&follow=0` for a response that ends. Supervisor does not have it.
fn journal_span(head: &Parts) -> JournalSpan {
    let query = head.uri.query().unwrap_or_default();
    let value = |name| query.split('&').find_map(|part| part.strip_prefix(name));
    JournalSpan {
        since: value("since=").and_then(|text| text.parse().ok()),
        lines: value("lines=")
            .and_then(|text| text.parse().ok())
            .unwrap_or(JOURNAL_LINES),
        follows: value("follow=") != Some("0"),
    }
}

/// Follows a log that is only in the journal, by a journalctl of its own. If that cannot be started, answers with the end
/// of the log and the command that follows it.
async fn follow_journal(
    connection: &Arc<HttpConnection>,
    of: JournalMatch,
    span: JournalSpan,
) -> HandlerResponse {
    let Some(place) = connection.shared.followers.acquire(connection.guard.client) else {
        return HandlerResponse::Error(StatusCode::SERVICE_UNAVAILABLE);
    };
    let opened = run_blocking({
        let of = of.clone();
        move || JournalFollower::open(&of, span).ok()
    });
    let (sender, chunks) = mpsc::channel(1);
    match opened.await.flatten() {
        Some(follower) => {
            let sending = send_journal(connection.clone(), follower, span.follows, sender, place);
            tokio::spawn(sending);
        }
        None => {
            let text = run_blocking(move || {
                let read = output::read_journal(&of, JOURNAL_BYTES);
                let mut text = read.unwrap_or_default();
                let hint = format!("==> in the journal: {} <==\n", output::follow_command(&of));
                text.extend_from_slice(hint.as_bytes());
                text
            });
            // The channel has room for this single message.
            let _ = sender.try_send(text.await.unwrap_or_default().into());
        }
    }
    HandlerResponse::Log {
        modified: sys::now().wall.secs(),
        chunks,
        main: false,
        file: None,
    }
}

/// Sends what journalctl writes until the client disconnects, the server stops or journalctl ends.
async fn send_journal(
    connection: Arc<HttpConnection>,
    mut follower: JournalFollower,
    follows: bool,
    sender: mpsc::Sender<Bytes>,
    _place: QuotaPermit,
) {
    let mut stream = OpenStream::new(connection, sender);
    // A response that ends is read without pauses.
    let pause = if follows { PAUSE } else { JOURNAL_PAUSE };
    while let Ok(Some(chunk)) = follower.poll() {
        let goes_on = match chunk.is_empty() {
            true => stream.pause(pause).await,
            false => stream.send(chunk).await,
        };
        if !goes_on {
            break;
        }
    }
    // Dropping it kills journalctl and waits for its exit.
    let _ = run_blocking(move || drop(follower)).await;
}

fn open_follower(path: &Path, from: Option<ReadPosition>) -> Option<(Follower, i64)> {
    let follower = match from {
        Some(ReadPosition {
            offset,
            file: Some(file),
            ..
        }) => Follower::resume(path, file, offset),
        Some(from) => Follower::open_from(path, from.offset),
        None => Follower::open(path),
    };
    let follower = follower.ok()?;
    let modified = follower.modified().ok()?;
    Some((follower, modified))
}

/// Sends what is appended to the log until the client disconnects or the server stops. With `only`, also ends at the
/// end of this file, after the log was rotated.
async fn send_appended(
    connection: Arc<HttpConnection>,
    mut follower: Follower,
    only: Option<LogFileId>,
    sender: mpsc::Sender<Bytes>,
    _place: QuotaPermit,
) {
    let mut stream = OpenStream::new(connection, sender);
    loop {
        let polled = run_blocking(move || {
            let chunk = follower.poll();
            (follower, chunk)
        });
        let Some((same, chunk)) = polled.await else {
            return;
        };
        follower = same;
        if only.is_some_and(|file| file != follower.id()) {
            return;
        }
        let chunk = match chunk {
            Ok(Chunk::Nothing) => Bytes::new(),
            Ok(Chunk::Bytes(bytes)) => bytes.into(),
            Ok(Chunk::Truncated) => Chunk::TRUNCATED.into(),
            Err(_) => return,
        };
        let goes_on = match chunk.is_empty() {
            true => stream.pause(PAUSE).await,
            false => stream.send(chunk).await,
        };
        if !goes_on {
            return;
        }
    }
}
