//! `/logtail` and `/mainlogtail`: a log as it grows, for as long as the client stays.

use std::path::Path;
use std::sync::Arc;

use hyper::body::Bytes;
use hyper::http::request::Parts;
use hyper::{Method, StatusCode};
use tokio::sync::mpsc;
use tokio::time::{Duration, sleep};

use super::answer::Answer;
use super::budget::Taken;
use super::http::Connection;
use super::logs::{self, Source};
use super::xmlrpc::apart;
use crate::api::{Caller, FaultCode, JournalOf, LogOf, Permission, Request};
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
pub(super) async fn process(
    connection: &Arc<Connection>,
    caller: Caller,
    head: &Parts,
    path: &str,
) -> Answer {
    let method = &head.method;
    let mut parts = path.splitn(3, '/').skip(2);
    let Some(rest) = parts.next() else {
        return only_get(method, Answer::Error(StatusCode::NOT_FOUND));
    };
    let (name, channel) = match rest.split_once('/') {
        None => (rest, Some(Channel::Stdout)),
        Some((name, "stdout")) => (name, Some(Channel::Stdout)),
        Some((name, "stderr")) => (name, Some(Channel::Stderr)),
        Some((name, _)) => (name, None),
    };
    match channel {
        Some(channel) => {
            let of = LogOf::Process(name.to_owned(), channel);
            follow(connection, caller, method, of, from(head)).await
        }
        None => only_get(method, Answer::Error(StatusCode::NOT_FOUND)),
    }
}

/// `/mainlogtail`
pub(super) async fn main(connection: &Arc<Connection>, caller: Caller, head: &Parts) -> Answer {
    follow(connection, caller, &head.method, LogOf::Daemon, from(head)).await
}

/// `?from=⟨bytes⟩`: where a client stands that has read the log's beginning by other means; ours.
fn from(head: &Parts) -> Option<u64> {
    let query = head.uri.query()?;
    query
        .split('&')
        .find_map(|part| part.strip_prefix("from="))?
        .parse()
        .ok()
}

fn only_get(method: &Method, answer: Answer) -> Answer {
    if method == Method::GET {
        answer
    } else {
        Answer::Error(StatusCode::BAD_REQUEST)
    }
}

async fn follow(
    connection: &Arc<Connection>,
    caller: Caller,
    method: &Method,
    of: LogOf,
    from: Option<u64>,
) -> Answer {
    if method != Method::GET {
        return Answer::Error(StatusCode::BAD_REQUEST);
    }
    let main = of == LogOf::Daemon;
    let Ok(grant) = control::grant(&caller, Permission::ReadLogs) else {
        return Answer::Error(StatusCode::FORBIDDEN);
    };
    let control = &connection.shared.control;
    let source = match control.call(caller, grant, Request::LogFile(of)).await {
        Ok(reply) => logs::source(reply),
        Err(fault) if fault.code == FaultCode::ShutdownState => {
            return Answer::Error(StatusCode::SERVICE_UNAVAILABLE);
        }
        Err(_) => Source::Nowhere,
    };
    let path = match source {
        Source::Nowhere => return Answer::Error(StatusCode::NOT_FOUND),
        Source::File(path) => path,
        Source::Journal(of) => return last_of_journal(of).await,
    };
    let Some(place) = connection.shared.followers.take(connection.place.client) else {
        return Answer::Error(StatusCode::SERVICE_UNAVAILABLE);
    };
    match apart(move || open(&path, from)).await.flatten() {
        None => Answer::Error(StatusCode::NOT_FOUND),
        Some((follower, modified)) => {
            // One chunk in hand: what the client does not take is read no further.
            let (sender, chunks) = mpsc::channel(1);
            tokio::spawn(send(connection.clone(), follower, sender, place));
            Answer::Log {
                modified,
                chunks,
                main,
            }
        }
    }
}

/// The end of what is in the journal, and how to follow it there: a reader for each client that stays would be a process
/// for each.
async fn last_of_journal(of: JournalOf) -> Answer {
    let text = apart(move || {
        let read = output::read_journal(&of, JOURNAL_BYTES);
        let mut text = read.unwrap_or_default();
        let hint = format!("==> in the journal: {} <==\n", output::follow_command(&of));
        text.extend_from_slice(hint.as_bytes());
        text
    });
    let (sender, chunks) = mpsc::channel(1);
    // There is room for one, and it is the only one.
    let _ = sender.try_send(text.await.unwrap_or_default().into());
    Answer::Log {
        modified: sys::now().wall.secs(),
        chunks,
        main: false,
    }
}

fn open(path: &Path, from: Option<u64>) -> Option<(Follower, i64)> {
    let follower = match from {
        Some(position) => Follower::open_from(path, position),
        None => Follower::open(path),
    };
    let follower = follower.ok()?;
    let modified = follower.modified().ok()?;
    Some((follower, modified))
}

/// Sends what is appended until the client is gone or the front ends.
async fn send(
    connection: Arc<Connection>,
    mut follower: Follower,
    sender: mpsc::Sender<Bytes>,
    _place: Taken,
) {
    let mut stop = connection.shared.stop.clone();
    loop {
        let polled = apart(move || {
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
            let Some(chunk) = connection.place.count(chunk) else {
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
