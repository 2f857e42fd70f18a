//! The thread that writes diagnostics. It may block; nobody waits for it.

use std::io::{self, Write as _};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender};

use jiff::Timestamp;
use tracing::field::{Value, ValueSet, display};
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id};
use tracing::{Dispatch, Event, Metadata};
use tracing_journald::{Priority, PriorityMappings};
use tracing_subscriber::layer::SubscriberExt as _;

use super::Destination;
use super::capture::Gate;
use super::record::{EventRecord, FieldValue, Fields};

/// `SYSLOG_IDENTIFIER` of the entries.
const IDENTIFIER: &str = "supervisord-diagnostics";

/// What the queue carries.
#[derive(Debug)]
pub(super) enum Message {
    /// Write this event.
    Event(EventRecord),
    /// Answer when everything before this is written.
    Flush(SyncSender<()>),
}

/// Where events are written.
pub(super) enum Sink {
    /// The subscriber of tracing-journald, which only this thread calls.
    Journal(Dispatch),
    Stderr,
}

impl Sink {
    /// Opens the destination. The second value is why it is standard error instead of the journal.
    pub(super) fn open(destination: Destination) -> (Self, Option<String>) {
        if destination == Destination::Stderr {
            return (Self::Stderr, None);
        }
        let layer = match tracing_journald::layer() {
            Ok(layer) => layer,
            Err(error) => return (Self::Stderr, Some(error.to_string())),
        };
        let layer = layer
            .with_syslog_identifier(IDENTIFIER.to_owned())
            // The names of our fields are those of our other entries.
            .with_field_prefix(None)
            .with_priority_mappings(PriorityMappings {
                info: Priority::Informational,
                debug: Priority::Debug,
                ..PriorityMappings::new()
            });
        // Every subscriber takes part in deciding which call sites are on. This one only repeats what passed, so it must
        // ask for none.
        let registry = tracing_subscriber::registry().with(LevelFilter::OFF);
        (Self::Journal(Dispatch::new(registry.with(layer))), None)
    }

    fn write(&self, event: &EventRecord) {
        match self {
            Self::Journal(dispatch) => repeat(dispatch, event),
            Self::Stderr => {
                let time = Timestamp::from_nanosecond(i128::from(event.wall.0)).unwrap_or_default();
                let line = format!("{time:.3} {event}\n");
                // Nothing can be done about an error.
                let _ = io::stderr().lock().write_all(line.as_bytes());
            }
        }
    }
}

/// Starts the thread. It ends with the process, because the subscriber keeps its queue.
///
/// # Errors
/// EAGAIN or ENOMEM.
pub(super) fn start(messages: Receiver<Message>, gate: Arc<Gate>, sink: Sink) -> io::Result<()> {
    let thread = std::thread::Builder::new().name("diagnostics".to_owned());
    thread.spawn(move || run(&messages, &gate, &sink)).map(drop)
}

fn run(messages: &Receiver<Message>, gate: &Gate, sink: &Sink) {
    for message in messages {
        match message {
            Message::Event(event) => sink.write(&event),
            // An error: the caller no longer waits.
            Message::Flush(done) => drop(done.try_send(())),
        }
        let dropped = gate.take_dropped();
        if dropped > 0 {
            // This goes through the queue like any event. If it finds no room either, it is counted and told later.
            tracing::error!(dropped, "events were lost, because the queue was full");
        }
    }
}

/// Passes a copy to a subscriber, with its spans.
pub(super) fn repeat(dispatch: &Dispatch, event: &EventRecord) {
    let mut spans: Vec<Id> = Vec::new();
    for span in &event.spans {
        let id = with_values(span.metadata, &span.fields, |values| {
            dispatch.new_span(&match spans.last() {
                Some(parent) => Attributes::child_of(parent.clone(), span.metadata, values),
                None => Attributes::new_root(span.metadata, values),
            })
        });
        dispatch.enter(&id);
        spans.push(id);
    }
    with_values(event.metadata, &event.fields, |values| {
        dispatch.event(&Event::new(event.metadata, values));
    });
    for id in spans.into_iter().rev() {
        dispatch.exit(&id);
        dispatch.try_close(id);
    }
}

/// Calls `use_values` with the copied values in the form in which tracing passes them.
fn with_values<T>(
    metadata: &'static Metadata<'static>,
    fields: &Fields,
    use_values: impl FnOnce(&ValueSet<'_>) -> T,
) -> T {
    let formatted: Vec<_> = fields
        .0
        .iter()
        .map(|value| match value {
            Some(FieldValue::Formatted(text)) => Some(display(text)),
            _ => None,
        })
        .collect();
    let values: Vec<Option<&dyn Value>> = fields
        .0
        .iter()
        .zip(&formatted)
        .map(|(value, formatted)| match (value, formatted) {
            (Some(FieldValue::Text(text)), _) => Some(text as &dyn Value),
            (_, Some(formatted)) => Some(formatted as &dyn Value),
            _ => None,
        })
        .collect();
    use_values(&metadata.fields().value_set_all(&values))
}
