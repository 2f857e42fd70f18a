//! Live updates for open pages: server-sent events, made once for all pages of a language.
//!
//! While at least one page is connected, one task waits for changes from the engine and samples CPU and memory every
//! two seconds. It sends the differences, at most four times a second. When the last page disconnects, the task ends.

use std::cell::LazyCell;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use hyper::body::Bytes;
use hyper::{StatusCode, header};
use jiff::tz::TimeZone;
use tokio::sync::{broadcast, mpsc, watch};
use tokio::time::{Duration, Instant, sleep, sleep_until};

use super::live_updates::LiveUpdates;
use super::page_response::protection_headers;
use super::row::{is_same, process_row};
use crate::api::{AccessScope, Caller, FaultCode, Permission, ProcessView, Request};
use crate::control::{self, ControlHandle};
use crate::http_server::blocking_pool::run_blocking;
use crate::http_server::budget::QuotaPermit;
use crate::http_server::response::{HttpBody, HttpResponse};
use crate::server::calls::process_list::{list_processes, usage_targets};
use crate::server::calls::process_usage::ProcessUsage;
use crate::server::http::connection::HttpConnection;
use crate::server::http::open_stream::OpenStream;
use crate::server::http::response::HandlerResponse;
use crate::web::row::ProcessRow;
use crate::web::texts::Language;

/// How long changes are collected before the first message of a burst.
const GATHER: Duration = Duration::from_millis(30);
/// Minimum time between two messages.
const GAP: Duration = Duration::from_millis(250);
/// Interval for sampling CPU and memory.
const USAGE_INTERVAL: Duration = Duration::from_secs(2);
/// How often in a row only CPU and memory are sampled. Then the processes are listed too, in case something changed without
/// an event.
const SAMPLES_MAX: u32 = 9;
/// Maximum silence of a stream. A page that receives nothing for `SILENCE` (in `status.js`) shows itself as stale.
const KEEP_ALIVE: Duration = Duration::from_secs(3);
/// How long a browser waits before it reconnects, in milliseconds.
const RETRY_MS: u32 = 2000;

/// Approximate memory use of a row, in bytes.
const ROW_BYTES: usize = 600;

/// Answers `/events`.
pub(super) async fn stream_events(
    connection: &Arc<HttpConnection>,
    caller: &Caller,
    language: Language,
) -> HandlerResponse {
    // The updates are the same for all pages, so only callers who may see every process get them.
    match control::grant_for(caller, Permission::Status) {
        Ok(grant) if grant.scope == AccessScope::All => {}
        _ => return HandlerResponse::Error(StatusCode::FORBIDDEN),
    }
    let live = &connection.shared.live;
    let Some(place) = live.streams.acquire(connection.guard.client) else {
        return HandlerResponse::Error(StatusCode::SERVICE_UNAVAILABLE);
    };
    // Subscribe before the state is read, so that no change in between is lost.
    let messages = live.messages(language).subscribe();
    if !live.running.swap(true, Ordering::Relaxed) {
        let control = connection.shared.control.clone();
        tokio::spawn(broadcast_changes(
            live.clone(),
            control,
            connection.shared.stop.clone(),
        ));
    }
    // The channel holds one message. A client that does not read loses messages in its broadcast subscription
    // instead.
    let (sender, chunks) = mpsc::channel(1);
    let subscription = Subscription {
        language,
        messages,
        _place: place,
    };
    tokio::spawn(send_updates(connection.clone(), subscription, sender));
    let mut headers = vec![
        (header::CACHE_CONTROL, "no-store".to_owned()),
        (
            header::HeaderName::from_static("x-accel-buffering"),
            "no".to_owned(),
        ),
    ];
    headers.extend(protection_headers());
    HandlerResponse::Made(Box::new(HttpResponse {
        status: StatusCode::OK,
        content_type: "text/event-stream",
        headers,
        body: HttpBody::Growing(chunks),
    }))
}

/// The part of one page in the live updates.
struct Subscription {
    language: Language,
    messages: broadcast::Receiver<Bytes>,
    _place: QuotaPermit,
}

/// Sends the full state and then every message, until the client disconnects or the server stops.
async fn send_updates(
    connection: Arc<HttpConnection>,
    mut subscription: Subscription,
    sender: mpsc::Sender<Bytes>,
) {
    let mut stream = OpenStream::new(connection.clone(), sender);
    let mut next = Some(Bytes::from(format!("retry: {RETRY_MS}\n\n")));
    let mut owes_all = true;
    let mut tells_phase = true;
    loop {
        let message = match next.take() {
            Some(message) => message,
            None if owes_all => {
                owes_all = false;
                let Some(_large) = connection.guard.acquire_large().await else {
                    return;
                };
                let shared = &connection.shared;
                let rows = current_rows(&shared.live, &shared.control, subscription.language).await;
                if let Some(rows) = &rows {
                    connection
                        .shared
                        .reclaim
                        .count_freed(rows.len() * ROW_BYTES);
                }
                let message =
                    rows.and_then(|rows| connection.guard.budget_bytes(sse_event("all", &rows)));
                match message {
                    Some(message) => message,
                    None => return,
                }
            }
            None if tells_phase => {
                tells_phase = false;
                phase_event(&connection.shared.control).await
            }
            None => tokio::select! {
                received = subscription.messages.recv() => match received {
                    Ok(message) => message,
                    Err(broadcast::error::RecvError::Lagged(count)) => {
                        owes_all = true;
                        sse_event("lost", &count)
                    }
                    Err(broadcast::error::RecvError::Closed) => return,
                },
                () = sleep(KEEP_ALIVE) => sse_event("alive", &()),
                () = stream.ended() => return,
            },
        };
        if !stream.send_charged(message).await {
            return;
        }
    }
}

/// Formats one event. JSON escapes line breaks within strings and has none elsewhere.
fn sse_event(name: &str, data: &impl serde::Serialize) -> Bytes {
    let data = serde_json::to_string(data).unwrap_or_default();
    Bytes::from(format!("event: {name}\ndata: {data}\n\n"))
}

/// The event that says whether the daemon is stopping.
async fn phase_event(control: &ControlHandle) -> Bytes {
    match is_stopping(control).await {
        true => sse_event("stopping", &()),
        false => sse_event("alive", &()),
    }
}

/// Whether the daemon is stopping: only then does it refuse this request.
async fn is_stopping(control: &ControlHandle) -> bool {
    let Ok(grant) = control::grant_for(&Caller::DAEMON, Permission::Status) else {
        return false;
    };
    let state = control.call(Caller::DAEMON, grant, Request::State).await;
    state.is_err_and(|fault| fault.code == FaultCode::ShutdownState)
}

/// What pages show at present.
#[derive(Default)]
struct PageState {
    views: Vec<ProcessView>,
    usages: HashMap<i32, ProcessUsage>,
    /// The rows in each language in which a page is open.
    rows: BTreeMap<Language, Vec<ProcessRow>>,
}

/// The message for the pages of each language. None: nothing to tell.
type PageMessages = BTreeMap<Language, Bytes>;

/// All rows, also while the daemon is stopping. `None`: the engine has ended.
async fn current_rows(
    live: &LiveUpdates,
    control: &ControlHandle,
    language: Language,
) -> Option<Vec<ProcessRow>> {
    let look = next_state(live, control, PageState::default(), vec![language], true).await;
    look.map(|(mut shown, _)| shown.rows.remove(&language).unwrap_or_default())
}

/// Returns the current state, and the messages that bring pages in `languages` from `before` to it. Unchanged rows are
/// reused. `is_changed`: the processes may have changed since `before`; if not, only their use of CPU and memory is read.
/// `None`: the engine has ended.
async fn next_state(
    live: &LiveUpdates,
    control: &ControlHandle,
    before: PageState,
    languages: Vec<Language>,
    is_changed: bool,
) -> Option<(PageState, PageMessages)> {
    // Only callers who may see everything get the stream, so the daemon itself reads the state once for all of them.
    let read = match is_changed {
        true => Some(list_processes(control, &Caller::DAEMON).await.ok()?),
        false => None,
    };
    let targets = usage_targets(read.as_deref().unwrap_or(&before.views));
    let usages = live.usage.sampler.sample_usage(targets).await;
    run_blocking(move || diff_rows(before, read, usages, &languages, crate::sys::time_zone)).await
}

/// `read`: the processes. `None`: they are as before.
fn diff_rows(
    mut before: PageState,
    read: Option<Vec<ProcessView>>,
    usages: HashMap<i32, ProcessUsage>,
    languages: &[Language],
    zone: impl FnOnce() -> TimeZone,
) -> (PageState, PageMessages) {
    let old = std::mem::take(&mut before.views);
    let (old, views) = match read {
        Some(views) => (Some(old), views),
        None => (None, old),
    };
    let is_named_so = |(before, now): (&ProcessView, &ProcessView)| {
        before.name == now.name && before.group == now.group
    };
    let same_processes = old
        .as_ref()
        .is_none_or(|old| old.len() == views.len() && old.iter().zip(&views).all(is_named_so));
    // Read for the first row that needs it.
    let zone = LazyCell::new(zone);
    let make = |view: &ProcessView, language| {
        process_row(view, usages.get(&view.pid).copied(), &zone, language)
    };
    let touched: Vec<usize> = if same_processes {
        let is_touched = |at: usize, now: &ProcessView| {
            let is_other = old.as_ref().is_some_and(|old| !is_same(&old[at], now));
            is_other || before.usages.get(&now.pid) != usages.get(&now.pid)
        };
        let views = views.iter().enumerate();
        let touched = views.filter(|(at, now)| is_touched(*at, now));
        touched.map(|(at, _)| at).collect()
    } else {
        Vec::new()
    };
    let mut shown = BTreeMap::new();
    let mut messages = PageMessages::new();
    for &language in languages {
        let kept = before.rows.remove(&language).filter(|_| same_processes);
        let Some(mut rows) = kept else {
            let rows: Vec<ProcessRow> = views.iter().map(|view| make(view, language)).collect();
            let message = match same_processes {
                // The first page in this language.
                true => sse_event("rows", &rows),
                false => sse_event("layout", &()),
            };
            messages.insert(language, message);
            shown.insert(language, rows);
            continue;
        };
        let mut changed = Vec::new();
        for &at in &touched {
            let row = make(&views[at], language);
            if !row.is_covered_by(&rows[at]) {
                changed.push(at);
            }
            rows[at] = row;
        }
        if !changed.is_empty() {
            let changed: Vec<&ProcessRow> = changed.iter().map(|&at| &rows[at]).collect();
            messages.insert(language, sse_event("rows", &changed));
        }
        shown.insert(language, rows);
    }
    let state = PageState {
        views,
        usages,
        rows: shown,
    };
    (state, messages)
}

/// Sends changes to all pages, as long as any page is connected.
async fn broadcast_changes(
    live: Arc<LiveUpdates>,
    control: ControlHandle,
    mut stop: watch::Receiver<bool>,
) {
    let mut changes = live.feed.subscribe();
    let mut shown = PageState::default();
    let mut is_first = true;
    let mut is_told = false;
    // How often only CPU and memory were read since the processes were. Listing a thousand processes costs a millisecond.
    let mut samples = 0;
    let mut is_changed = true;
    loop {
        while changes.try_next().is_some() {}
        let looked = Instant::now();
        let languages = live.languages();
        let before = std::mem::take(&mut shown);
        let lists = is_changed || samples >= SAMPLES_MAX;
        samples = if lists { 0 } else { samples + 1 };
        let next = next_state(&live, &control, before, languages, lists).await;
        let Some((now, messages)) = next else {
            break;
        };
        shown = now;
        live.usage.history.record(&shown.views, &shown.usages);
        if !is_told && is_stopping(&control).await {
            is_told = true;
            for language in Language::ALL {
                let _ = live.messages(language).send(sse_event("stopping", &()));
            }
        }
        if !is_first {
            for (language, message) in messages {
                // An error means that no page is connected.
                let _ = live.messages(language).send(message);
            }
        }
        is_first = false;
        if live.languages().is_empty() {
            break;
        }
        let received = tokio::select! {
            received = changes.next() => received.map(|_| true),
            () = sleep(USAGE_INTERVAL) => Some(false),
            _ = stop.wait_for(|stop| *stop) => None,
        };
        is_changed = received == Some(true);
        match received {
            Some(true) => sleep_until((Instant::now() + GATHER).max(looked + GAP)).await,
            Some(false) => {}
            None => break,
        }
    }
    // All tasks of the server run on one thread, so nobody has subscribed since the check above.
    live.running.store(false, Ordering::Relaxed);
    live.usage.sampler.forget();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::calls::process_members::tests::cat;

    fn view(pid: i32, uptime: u64) -> ProcessView {
        ProcessView {
            pid,
            uptime,
            ..cat()
        }
    }

    fn after(
        before: PageState,
        views: Vec<ProcessView>,
        usages: &[(i32, u64)],
    ) -> (PageState, String) {
        let usage = |&(pid, memory)| {
            let cpu_permille = None;
            let usage = ProcessUsage {
                cpu_permille,
                cpu_millis: 0,
                memory,
                tree_permille: None,
                tree_memory: memory,
            };
            (pid, usage)
        };
        let usages = usages.iter().map(usage).collect();
        let languages = [Language::English];
        let (shown, told) = diff_rows(before, Some(views), usages, &languages, || TimeZone::UTC);
        let told = told.get(&Language::English);
        let told = told.map(|told| String::from_utf8(told.to_vec()).expect("text"));
        (shown, told.unwrap_or_default())
    }

    #[test]
    fn only_differences_are_sent() {
        let layout = "event: layout\ndata: null\n\n";
        let (shown, told) = after(PageState::default(), vec![view(7, 1)], &[]);
        assert_eq!(told, layout);
        let (shown, told) = after(shown, vec![view(7, 2)], &[]);
        assert_eq!(told, "");
        let (shown, told) = after(shown, vec![view(8, 2)], &[]);
        assert!(
            told.starts_with("event: rows\ndata: [{\"n\":\"cat:cat\",\"s\":\"running\""),
            "{told}"
        );
        assert!(told.ends_with("}]\n\n"), "{told}");
        assert_eq!(shown.rows[&Language::English][0].pid, 8);
        // The row of an unchanged process keeps its old uptime; pages count on by themselves.
        let (shown, told) = after(shown, vec![view(8, 9)], &[(8, 1 << 20)]);
        assert!(
            told.contains("\"u\":9") && told.contains("1.0 MiB"),
            "{told}"
        );
        let (shown, told) = after(shown, vec![view(8, 10)], &[(8, (1 << 20) + 1)]);
        assert_eq!(told, "", "it looks the same");
        let (shown, told) = after(shown, vec![], &[]);
        assert_eq!(told, layout);
        assert!(shown.rows[&Language::English].is_empty());
    }

    #[test]
    fn samples_alone_change_the_rows_of_their_processes() {
        let languages = [Language::English];
        let (shown, _) = after(PageState::default(), vec![view(7, 1), view(9, 1)], &[]);
        let usage = ProcessUsage {
            cpu_permille: None,
            cpu_millis: 0,
            memory: 1 << 20,
            tree_permille: None,
            tree_memory: 1 << 20,
        };
        let usages = HashMap::from([(9, usage)]);
        let (shown, told) = diff_rows(shown, None, usages, &languages, || TimeZone::UTC);
        let told = String::from_utf8_lossy(&told[&Language::English]).into_owned();
        assert!(
            told.matches("\"n\":").count() == 1 && told.contains("1.0 MiB"),
            "{told}"
        );
        assert_eq!(shown.views.len(), 2);
    }

    #[test]
    fn the_first_page_in_a_language_makes_all_rows_for_it() {
        let languages = Language::ALL;
        let (shown, _) = after(PageState::default(), vec![view(7, 1)], &[]);
        let views = vec![view(7, 2)];
        let (shown, told) = diff_rows(shown, Some(views), HashMap::new(), &languages, || {
            TimeZone::UTC
        });
        let told: Vec<&Language> = told.keys().collect();
        assert_eq!(told, [&Language::Chinese]);
        assert_eq!(shown.rows[&Language::Chinese][0].state_word, "运行");
        let views = vec![view(8, 2)];
        let (_, told) = diff_rows(shown, Some(views), HashMap::new(), &languages, || {
            TimeZone::UTC
        });
        assert_eq!(told.len(), 2);
    }
}
