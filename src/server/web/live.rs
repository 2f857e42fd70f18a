//! What open pages hear: server-sent events, made once for all of them.
//!
//! While at least one page listens, one task waits for changes of the engine and looks at the machine every two seconds; it
//! sends what differs from what it sent before, at most four times a second, however much happens. When the last page has
//! gone the task ends, and nothing runs.

use std::cell::LazyCell;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use hyper::body::Bytes;
use hyper::{StatusCode, header};
use jiff::tz::TimeZone;
use tokio::sync::{broadcast, mpsc, watch};
use tokio::time::{Duration, Instant, sleep, sleep_until};

use super::super::budget::{Quota, Taken};
use super::super::http::Connection;
use super::super::response::{Answer, Made, MadeBody};
use super::super::xmlrpc::apart;
use super::actions::ACTIONS_MAX;
use super::row::{Row, is_same};
use super::status::{pids, processes};
use super::usage::{Sampler, Usage};
use crate::api::{Caller, FaultCode, Permission, ProcessView, Request, Scope};
use crate::control::{self, ControlHandle, EventFeed};

/// Pages that listen at once, of all clients together; and never more than a quarter of the connections, for they stay.
const STREAMS_MAX: usize = 64;
/// Messages that wait for a page that does not take them; then it loses the oldest, and is sent everything anew.
const WAITING_MAX: usize = 16;
/// How long changes are gathered before the first message of a burst.
const GATHER: Duration = Duration::from_millis(30);
/// The least time between two messages.
const GAP: Duration = Duration::from_millis(250);
/// How often the use of processor and memory is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// How long a stream may be silent. A page that hears nothing for `SILENCE` of `status.js` calls itself stale.
const KEEP_ALIVE: Duration = Duration::from_secs(3);
/// How long a browser waits before it comes again, in milliseconds.
const RETRY_MS: u32 = 2000;

/// The memory that a row takes, roughly.
const ROW_BYTES: usize = 600;

/// What all pages share.
pub(in super::super) struct Live {
    feed: EventFeed,
    messages: broadcast::Sender<Bytes>,
    /// The task is there.
    running: AtomicBool,
    streams: Arc<Quota>,
    /// Actions that pages may have under way.
    pub(super) actions: Arc<Quota>,
    pub(super) sampler: Arc<Sampler>,
}

impl Live {
    /// For a server that has room for so many connections.
    pub(in super::super) fn new(feed: EventFeed, connections_max: usize) -> Arc<Self> {
        let streams = STREAMS_MAX.min(connections_max / 4).max(1);
        Arc::new(Self {
            feed,
            messages: broadcast::channel(WAITING_MAX).0,
            running: AtomicBool::new(false),
            streams: Quota::new(streams),
            actions: Quota::new(ACTIONS_MAX),
            sampler: Arc::default(),
        })
    }
}

/// Answers `/events`.
pub(super) async fn stream(connection: &Arc<Connection>, caller: &Caller) -> Answer {
    // What is made once for all is for those only who may see all.
    match control::grant(caller, Permission::Status) {
        Ok(grant) if grant.scope == Scope::All => {}
        _ => return Answer::Error(StatusCode::FORBIDDEN),
    }
    let live = &connection.shared.live;
    let Some(place) = live.streams.take(connection.place.client) else {
        return Answer::Error(StatusCode::SERVICE_UNAVAILABLE);
    };
    // First the ears, then the look: what changes in between is heard.
    let messages = live.messages.subscribe();
    if !live.running.swap(true, Ordering::Relaxed) {
        let control = connection.shared.control.clone();
        tokio::spawn(tell(live.clone(), control, connection.shared.stop.clone()));
    }
    // One message in hand: what the client does not take waits, and is lost, in its subscription.
    let (sender, chunks) = mpsc::channel(1);
    tokio::spawn(send(connection.clone(), messages, sender, place));
    let mut headers = vec![
        (header::CACHE_CONTROL, "no-store".to_owned()),
        (
            header::HeaderName::from_static("x-accel-buffering"),
            "no".to_owned(),
        ),
    ];
    headers.extend(super::protection());
    Answer::Made(Box::new(Made {
        status: StatusCode::OK,
        content_type: "text/event-stream",
        headers,
        body: MadeBody::Growing(chunks),
    }))
}

/// Sends everything, and then every message, until the client is gone or the server ends.
async fn send(
    connection: Arc<Connection>,
    mut messages: broadcast::Receiver<Bytes>,
    sender: mpsc::Sender<Bytes>,
    _place: Taken,
) {
    let mut stop = connection.shared.stop.clone();
    let mut next = Some(Bytes::from(format!("retry: {RETRY_MS}\n\n")));
    let mut owes_all = true;
    let mut tells_phase = true;
    loop {
        let message = match next.take() {
            Some(message) => message,
            None if owes_all => {
                owes_all = false;
                let Some(_large) = connection.place.large().await else {
                    return;
                };
                let rows = rows(&connection.shared.live, &connection.shared.control).await;
                if let Some(rows) = &rows {
                    connection.shared.reclaim.freed(rows.len() * ROW_BYTES);
                }
                let message = rows.and_then(|rows| connection.place.count(event("all", &rows)));
                match message {
                    Some(message) => message,
                    None => return,
                }
            }
            None if tells_phase => {
                tells_phase = false;
                phase(&connection.shared.control).await
            }
            None => tokio::select! {
                heard = messages.recv() => match heard {
                    Ok(message) => message,
                    Err(broadcast::error::RecvError::Lagged(count)) => {
                        owes_all = true;
                        event("lost", &count)
                    }
                    Err(broadcast::error::RecvError::Closed) => return,
                },
                () = sleep(KEEP_ALIVE) => event("alive", &()),
                () = sender.closed() => return,
                _ = stop.wait_for(|stop| *stop) => return,
            },
        };
        tokio::select! {
            sent = sender.send(message) => if sent.is_err() { return },
            _ = stop.wait_for(|stop| *stop) => return,
        }
        // A client that ended its side takes nothing more, though we could write for long.
        if connection.stream.peer_is_gone() {
            return;
        }
    }
}

/// One event. JSON has no line breaks outside of its texts, and escapes them within.
fn event(name: &str, data: &impl serde::Serialize) -> Bytes {
    let data = serde_json::to_string(data).unwrap_or_default();
    Bytes::from(format!("event: {name}\ndata: {data}\n\n"))
}

/// The event that tells whether the daemon stops.
async fn phase(control: &ControlHandle) -> Bytes {
    match is_stopping(control).await {
        true => event("stopping", &()),
        false => event("alive", &()),
    }
}

/// Whether the daemon stops: then it refuses what it answers at any other time.
async fn is_stopping(control: &ControlHandle) -> bool {
    let Ok(grant) = control::grant(&Caller::DAEMON, Permission::Status) else {
        return false;
    };
    let state = control.call(Caller::DAEMON, grant, Request::State).await;
    state.is_err_and(|fault| fault.code == FaultCode::ShutdownState)
}

/// What pages show.
#[derive(Default)]
struct Shown {
    views: Vec<ProcessView>,
    usages: HashMap<i32, Usage>,
    rows: Vec<Row>,
}

/// All rows, also while the daemon stops. `None`: the engine has ended.
async fn rows(live: &Live, control: &ControlHandle) -> Option<Vec<Row>> {
    let look = look(live, control, Shown::default()).await;
    look.map(|(shown, _)| shown.rows)
}

/// What there is to show now, and the message that makes pages that show `before` show it; rows that are the same are not
/// made again. `None`: the engine has ended.
async fn look(
    live: &Live,
    control: &ControlHandle,
    before: Shown,
) -> Option<(Shown, Option<Bytes>)> {
    // The stream is for those only who may see everything, so the daemon itself looks, once for all of them.
    let views = processes(control, &Caller::DAEMON).await.ok()?;
    let usages = live.sampler.look(pids(&views)).await;
    apart(move || differing(before, views, usages, crate::sys::time_zone)).await
}

fn differing(
    before: Shown,
    views: Vec<ProcessView>,
    usages: HashMap<i32, Usage>,
    zone: impl FnOnce() -> TimeZone,
) -> (Shown, Option<Bytes>) {
    let same_processes = before.views.len() == views.len()
        && before
            .views
            .iter()
            .zip(&views)
            .all(|(before, now)| before.name == now.name && before.group == now.group);
    // Made for the first row that needs it.
    let zone = LazyCell::new(zone);
    let make = |view: &ProcessView| Row::new(view, usages.get(&view.pid).copied(), &zone);
    if !same_processes {
        let rows = views.iter().map(make).collect();
        let shown = Shown {
            views,
            usages,
            rows,
        };
        return (shown, Some(event("layout", &())));
    }
    let mut rows = before.rows;
    let mut changed = Vec::new();
    for (at, (old, now)) in before.views.iter().zip(&views).enumerate() {
        let usage = |usages: &HashMap<i32, Usage>| usages.get(&now.pid).copied();
        if is_same(old, now) && usage(&before.usages) == usage(&usages) {
            continue;
        }
        let row = make(now);
        if !row.is_shown_by(&rows[at]) {
            changed.push(at);
        }
        rows[at] = row;
    }
    let message = (!changed.is_empty()).then(|| {
        let changed: Vec<&Row> = changed.iter().map(|&at| &rows[at]).collect();
        event("rows", &changed)
    });
    let shown = Shown {
        views,
        usages,
        rows,
    };
    (shown, message)
}

/// Tells all pages what changes, for as long as there are any.
async fn tell(live: Arc<Live>, control: ControlHandle, mut stop: watch::Receiver<bool>) {
    let mut changes = live.feed.subscribe();
    let mut shown = Shown::default();
    let mut is_first = true;
    let mut is_told = false;
    loop {
        while changes.waiting().is_some() {}
        let looked = Instant::now();
        let Some((now, message)) = look(&live, &control, std::mem::take(&mut shown)).await else {
            break;
        };
        shown = now;
        if !is_told && is_stopping(&control).await {
            is_told = true;
            let _ = live.messages.send(event("stopping", &()));
        }
        if !is_first && let Some(message) = message {
            // An error means that no page listens.
            let _ = live.messages.send(message);
        }
        is_first = false;
        if live.messages.receiver_count() == 0 {
            break;
        }
        let heard = tokio::select! {
            heard = changes.next() => heard.map(|_| true),
            () = sleep(LOOK_EVERY) => Some(false),
            _ = stop.wait_for(|stop| *stop) => None,
        };
        match heard {
            Some(true) => sleep_until((Instant::now() + GATHER).max(looked + GAP)).await,
            Some(false) => {}
            None => break,
        }
    }
    // All tasks of the server share one thread: nobody has subscribed since the count above.
    live.running.store(false, Ordering::Relaxed);
    live.sampler.forget();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::render::tests::cat;

    fn view(pid: i32, uptime: u64) -> ProcessView {
        ProcessView {
            pid,
            uptime,
            ..cat()
        }
    }

    fn after(before: Shown, views: Vec<ProcessView>, usages: &[(i32, u64)]) -> (Shown, String) {
        let usage = |&(pid, memory)| {
            let cpu_permille = None;
            let usage = Usage {
                cpu_permille,
                memory,
            };
            (pid, usage)
        };
        let usages = usages.iter().map(usage).collect();
        let (shown, told) = differing(before, views, usages, || TimeZone::UTC);
        let told = told.map(|told| String::from_utf8(told.to_vec()).expect("text"));
        (shown, told.unwrap_or_default())
    }

    #[test]
    fn only_what_differs_is_told() {
        let layout = "event: layout\ndata: null\n\n";
        let (shown, told) = after(Shown::default(), vec![view(7, 1)], &[]);
        assert_eq!(told, layout);
        let (shown, told) = after(shown, vec![view(7, 2)], &[]);
        assert_eq!(told, "");
        let (shown, told) = after(shown, vec![view(8, 2)], &[]);
        assert!(
            told.starts_with("event: rows\ndata: [{\"n\":\"cat:cat\",\"s\":\"running\""),
            "{told}"
        );
        assert!(told.ends_with("}]\n\n"), "{told}");
        assert_eq!(shown.rows[0].pid, 8);
        // The row of a process that stays the same has the uptime of when it was made; pages count on by themselves.
        let (shown, told) = after(shown, vec![view(8, 9)], &[(8, 1 << 20)]);
        assert!(
            told.contains("\"u\":9") && told.contains("1.0 MiB"),
            "{told}"
        );
        let (shown, told) = after(shown, vec![view(8, 10)], &[(8, (1 << 20) + 1)]);
        assert_eq!(told, "", "it looks the same");
        let (shown, told) = after(shown, vec![], &[]);
        assert_eq!(told, layout);
        assert!(shown.rows.is_empty());
    }
}
