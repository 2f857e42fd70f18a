//! `/api/v1/events`: all changes as server-sent events, with numbers, from which a client goes on after a lost
//! connection.
//!
//! All clients read one history at their own pace. A client that is too slow, or away for too long, misses changes and
//! gets their number.
//!
//! # Source
//! HTML Living Standard, "Server-sent events".

use std::sync::Arc;

use hyper::body::Bytes;
use hyper::header::{self, HeaderName};
use hyper::http::request::Parts;
use hyper::{Method as HttpMethod, StatusCode};
use serde_json::{Map, Value, json};
use tokio::sync::mpsc;
use tokio::time::{Duration, sleep};

use super::problem::{Problem, no_room};
use super::process_query::names_process;
use super::query::{Query, QueryKind, QueryParam};
use crate::api::{AccessScope, Caller, Fault, FaultCode, Permission};
use crate::control::{self, ChangeBatch, ChangeHistory, NumberedChange};
use crate::domain::{Change, ChangeValue, EVENTS, EventType};
use crate::http_server::budget::QuotaPermit;
use crate::http_server::response::{HttpBody, HttpResponse};
use crate::server::http::connection::HttpConnection;
use crate::server::http::open_stream::OpenStream;
use crate::server::http::response::HandlerResponse;

/// Maximum silence of a stream. The comment that ends it shows proxies and clients that the connection is alive, and
/// shows us that a client has gone.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// How long a client waits before it reconnects, in milliseconds.
const RETRY_MS: u32 = 2000;
/// Maximum number of changes that are read at once.
const BATCH_MAX: usize = 64;
/// Length at which a part of the stream is sent, in bytes.
const CHUNK_BYTES: usize = 32 << 10;
/// The event that says how many changes were missed.
const MISSED: &str = "missed";

/// The header with the number of the last event that a client has received.
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// Its form, for the document.
pub(super) const ID_PATTERN: &str = "^[0-9]{1,18}-[0-9]{1,18}$";

const TYPES: QueryParam = QueryParam {
    name: "types",
    kind: QueryKind::Words(type_names),
    doc: "Only events of one of these types or of their subtypes",
};
const NAME: QueryParam = QueryParam {
    name: "name",
    kind: QueryKind::Texts,
    doc: "Only events about processes whose name matches one of these patterns with `*`, `?` and `[abc]`. A pattern with a colon is compared with `group:process`",
};

/// The parameters of the stream.
pub(super) const PARAMS: [&QueryParam; 2] = [&TYPES, &NAME];

fn type_names() -> Vec<&'static str> {
    EVENTS.iter().map(|event| event.name).collect()
}

/// Which changes a client gets.
struct EventFilter {
    /// What the caller may see.
    sees: AccessScope,
    /// Of which processes the caller may read output. `None`: of none.
    reads_logs: Option<AccessScope>,
    types: Vec<String>,
    names: Vec<String>,
}

impl EventFilter {
    /// # Errors
    /// A parameter is unknown or has a wrong value, or the caller may not see any state.
    fn new(caller: &Caller, mut query: Query) -> Result<Self, Fault> {
        let granted = |permission| control::grant_for(caller, permission).map(|grant| grant.scope);
        let filter = Self {
            sees: granted(Permission::Status)?,
            reads_logs: granted(Permission::ReadLogs).ok(),
            types: query.take_checked(&TYPES)?,
            names: query.take_checked(&NAME)?,
        };
        query.finish()?;
        Ok(filter)
    }

    fn passes(&self, change: &Change) -> bool {
        self.permits(change) && self.wants(change)
    }

    /// Whether the caller may know of the change.
    fn permits(&self, change: &Change) -> bool {
        let scope = match change {
            Change::ProcessLog { .. } | Change::ProcessCommunication { .. } => &self.reads_logs,
            // Any client may have sent it, about anything.
            // A text may mention any program.
            Change::RemoteCommunication { .. } | Change::ConfigRejected { .. } => {
                return self.sees == AccessScope::All;
            }
            _ => &Some(self.sees.clone()),
        };
        let Some(scope) = scope else {
            return false;
        };
        match (change.group(), change.process()) {
            (Some(group), Some(process)) => scope.covers(group.as_str(), process.as_str()),
            (Some(group), None) => scope.touches(group.as_str()),
            (None, _) => true,
        }
    }

    fn wants(&self, change: &Change) -> bool {
        let is_a = |event: &EventType| self.types.iter().any(|name| event.is_a(name));
        let is_type = self.types.is_empty() || is_a(&EVENTS[change.event_index()]);
        let is_named = self.names.is_empty()
            || match (change.group(), change.process()) {
                (Some(group), Some(process)) => self
                    .names
                    .iter()
                    .any(|pattern| names_process(pattern, group.as_str(), process.as_str())),
                _ => false,
            };
        is_type && is_named
    }
}

/// Answers `/api/v1/events`.
///
/// # Errors
/// A parameter or the header is wrong, the caller may not see any state, or there are too many streams.
pub(super) fn stream_events(
    connection: &Arc<HttpConnection>,
    caller: &Caller,
    head: &Parts,
    query: Query,
) -> Result<HandlerResponse, Problem> {
    let filter = EventFilter::new(caller, query)?;
    let last = match head.headers.get(LAST_EVENT_ID) {
        None => None,
        Some(text) => Some(text.to_str().ok().and_then(parse_id).ok_or_else(|| {
            let text = "the header Last-Event-ID is not the id of an event";
            FaultCode::IncorrectParameters.of(text)
        })?),
    };
    let streams = &connection.shared.event_streams;
    let permit = streams
        .quota
        .acquire(connection.guard.client)
        .ok_or_else(|| {
            no_room("this client or all clients together have too many streams of events")
        })?;
    let (sender, chunks) = mpsc::channel(1);
    if head.method != HttpMethod::HEAD {
        // The history begins before the response does, so no change after it is lost.
        let cursor = Cursor::new(streams.feed.history(), last);
        tokio::spawn(send_events(
            connection.clone(),
            filter,
            cursor,
            sender,
            permit,
        ));
    }
    Ok(HandlerResponse::Made(Box::new(HttpResponse {
        status: StatusCode::OK,
        content_type: "text/event-stream",
        headers: vec![
            (header::CACHE_CONTROL, "no-store".to_owned()),
            (
                HeaderName::from_static("x-accel-buffering"),
                "no".to_owned(),
            ),
            (header::X_CONTENT_TYPE_OPTIONS, "nosniff".to_owned()),
        ],
        body: HttpBody::Growing(chunks),
    })))
}

/// Parses an id: when the history began, and the number of an event.
fn parse_id(text: &str) -> Option<(i64, u64)> {
    let (began, number) = text.split_once('-')?;
    let digits = |text: &str| {
        (1..=18).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
    };
    (digits(began) && digits(number))
        .then(|| Some((began.parse().ok()?, number.parse().ok()?)))
        .flatten()
}

/// How far a client has read.
struct Cursor {
    /// The number of the next change.
    next: u64,
    /// The client comes from the history of another daemon, so the number of missed changes is not known.
    is_foreign: bool,
}

impl Cursor {
    /// `last`: the id of the last event that the client has received.
    fn new(history: &ChangeHistory, last: Option<(i64, u64)>) -> Self {
        let next = history.next_number();
        match last {
            None => Self {
                next,
                is_foreign: false,
            },
            // The id before the first event is that of no event, and has the greatest number.
            Some((began, number)) if began == history.began() && number <= next => Self {
                next: number,
                is_foreign: false,
            },
            Some(_) => Self {
                next,
                is_foreign: true,
            },
        }
    }

    /// The id with which a client goes on after what it has received.
    fn id(&self, history: &ChangeHistory) -> String {
        format!("id: {}-{}\n", history.began(), self.next)
    }
}

/// Appends what a client gets of a batch, up to [`CHUNK_BYTES`], and moves the cursor behind it.
fn push_batch(
    text: &mut String,
    batch: &ChangeBatch,
    filter: &EventFilter,
    history: &ChangeHistory,
    cursor: &mut Cursor,
) {
    let missed = match std::mem::take(&mut cursor.is_foreign) {
        true => Some(Value::Null),
        false => (batch.missed > 0).then(|| batch.missed.into()),
    };
    cursor.next += batch.missed;
    if let Some(count) = missed {
        push_event(
            text,
            &cursor.id(history),
            MISSED,
            &json!({ "count": count }),
        );
    }
    for one in &batch.changes {
        cursor.next = one.number + 1;
        if filter.passes(&one.change) {
            push_event(text, &cursor.id(history), one.change.name(), &data(one));
            if text.len() >= CHUNK_BYTES {
                return;
            }
        }
    }
}

/// Appends one event. JSON escapes line breaks within strings and has none elsewhere.
fn push_event(text: &mut String, id: &str, name: &str, data: &Value) {
    text.push_str(&format!("{id}event: {name}\ndata: {data}\n\n"));
}

/// The data of an event: its type and time, group and process, and the fields of the change.
fn data(one: &NumberedChange) -> Value {
    let change = &one.change;
    let mut data = Map::new();
    data.insert("event".to_owned(), change.name().into());
    data.insert("time_ms".to_owned(), one.when.into());
    if let Some(group) = change.group() {
        data.insert("group".to_owned(), group.as_str().into());
    }
    if let Some(process) = change.process() {
        data.insert("process".to_owned(), process.as_str().into());
    }
    change.each_field(|name, value| {
        let value = match value {
            ChangeValue::Text(text) => text.into(),
            ChangeValue::Int(number) => number.into(),
            ChangeValue::Truth(truth) => truth.into(),
            ChangeValue::Words(words) => words.into(),
        };
        data.insert(name.to_owned(), value);
    });
    Value::Object(data)
}

/// Sends events until the client disconnects or the server stops. It wakes only for a change and for the heartbeat.
async fn send_events(
    connection: Arc<HttpConnection>,
    filter: EventFilter,
    mut cursor: Cursor,
    sender: mpsc::Sender<Bytes>,
    _permit: QuotaPermit,
) {
    let feed = connection.shared.event_streams.feed.clone();
    let history = feed.history();
    let mut changes = history.watch();
    let mut stream = OpenStream::new(connection, sender);
    // A client that reconnects before the first event goes on from here.
    let mut text = format!("retry: {RETRY_MS}\n{}\n", cursor.id(history));
    loop {
        if text.is_empty() {
            changes.mark_unchanged();
            let batch = history.read(cursor.next, BATCH_MAX);
            if !cursor.is_foreign && batch == ChangeBatch::default() {
                tokio::select! {
                    changed = changes.changed() => if changed.is_err() { return },
                    () = sleep(HEARTBEAT) => {
                        text = format!(": heartbeat\n{}\n", cursor.id(history));
                    }
                    () = stream.ended() => return,
                }
            } else {
                push_batch(&mut text, &batch, &filter, history, &mut cursor);
                // A batch without any event for this client is no wait, so others get their turn.
                tokio::task::yield_now().await;
            }
            continue;
        }
        if !stream.send(std::mem::take(&mut text)).await {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::EventFeed;
    use crate::domain::{GroupName, Namespec, ProcessName, ProcessState, ResourceEvents};

    fn exited(group: &str, process: &str) -> Change {
        Change::ProcessState {
            group: GroupName::parse(group).expect("valid"),
            process: ProcessName::parse(process).expect("valid"),
            from: ProcessState::Running,
            to: ProcessState::Exited,
            tries: 0,
            pid: 7,
            expected: true,
            resource_events: ResourceEvents::NONE,
        }
    }

    fn filter(query: &str) -> EventFilter {
        EventFilter::new(&Caller::DAEMON, Query::read(query)).expect("valid")
    }

    #[test]
    fn a_stream_has_the_events_that_the_query_means() {
        let change = exited("web", "a");
        for (query, expected) in [
            ("", true),
            ("types=PROCESS_STATE", true),
            ("types=PROCESS_STATE_EXITED,TICK", true),
            ("types=PROCESS_STATE_FATAL", false),
            ("types=EVENT&name=a", true),
            ("name=web:*", true),
            ("name=b*", false),
        ] {
            assert_eq!(filter(query).passes(&change), expected, "{query}");
        }
        let added = Change::GroupAdded(GroupName::parse("web").expect("valid"));
        assert!(filter("").passes(&added) && !filter("name=*").passes(&added));
        for wrong in ["types=process_state", "type=TICK", "types="] {
            assert!(EventFilter::new(&Caller::DAEMON, Query::read(wrong)).is_err());
        }
    }

    #[test]
    fn a_restricted_caller_learns_nothing_of_others() {
        let only = AccessScope::Only(vec![Namespec::parse("web:*")]);
        let restricted = EventFilter {
            sees: only.clone(),
            reads_logs: None,
            ..filter("")
        };
        let group = |name: &str| GroupName::parse(name).expect("valid");
        let output = |name: &str| Change::ProcessLog {
            group: group(name),
            process: ProcessName::parse("a").expect("valid"),
            channel: crate::domain::Channel::Stdout,
            pid: 1,
            data: Arc::from(&b"x"[..]),
        };
        let message = Change::RemoteCommunication {
            kind: "k".to_owned(),
            data: "d".to_owned(),
        };
        assert!(restricted.passes(&exited("web", "a")));
        assert!(restricted.passes(&Change::GroupRemoved(group("web"))));
        for hidden in [
            exited("db", "a"),
            Change::GroupAdded(group("db")),
            output("web"),
            message.clone(),
        ] {
            assert!(!restricted.passes(&hidden), "{hidden:?}");
        }
        let reader = EventFilter {
            sees: only.clone(),
            reads_logs: Some(only),
            ..filter("")
        };
        assert!(reader.passes(&output("web")) && !reader.passes(&output("db")));
        assert!(filter("").passes(&message) && filter("").passes(&output("db")));
    }

    #[test]
    fn ids_are_two_numbers() {
        assert_eq!(parse_id("12-0"), Some((12, 0)));
        for wrong in ["", "-", "1-", "-1", "1-x", "+1-1", "1-1-1", " 1-1"] {
            assert_eq!(parse_id(wrong), None, "{wrong}");
        }
        assert_eq!(parse_id(&format!("1-{}", "9".repeat(19))), None);
    }

    #[test]
    fn a_client_goes_on_after_its_last_event() {
        let feed = EventFeed::new();
        let history = feed.history();
        let read = |cursor: &mut Cursor| {
            let mut text = String::new();
            let batch = history.read(cursor.next, BATCH_MAX);
            push_batch(&mut text, &batch, &filter(""), history, cursor);
            text
        };
        let mut fresh = Cursor::new(history, None);
        feed.publish(&exited("web", "a"));
        let text = read(&mut fresh);
        let began = history.began();
        assert!(
            text.starts_with(&format!(
                "id: {began}-1\nevent: PROCESS_STATE_EXITED\ndata: {{"
            )),
            "{text}"
        );
        assert!(
            text.contains(r#""from":"RUNNING""#) && text.ends_with("}\n\n"),
            "{text}"
        );
        assert_eq!(read(&mut fresh), "");
        let mut again = Cursor::new(history, Some((began, 1)));
        assert_eq!(read(&mut again), "");
        let mut before = Cursor::new(history, Some((began, 0)));
        assert_eq!(read(&mut before), text);
        // Ids of another daemon, and numbers that do not exist yet.
        for last in [(began - 1, 1), (began, 2)] {
            let mut foreign = Cursor::new(history, Some(last));
            let expected = format!("id: {began}-1\nevent: missed\ndata: {{\"count\":null}}\n\n");
            assert_eq!(read(&mut foreign), expected);
        }
        for _ in 0..5000 {
            feed.publish(&exited("web", "a"));
        }
        let text = read(&mut before);
        assert!(
            text.starts_with(&format!(
                "id: {began}-905\nevent: missed\ndata: {{\"count\":904}}\n\n"
            )),
            "{}",
            &text[..200]
        );
    }
}
