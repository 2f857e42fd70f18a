//! The thread that writes diagnostics. It may block; nobody waits for it.

use std::io::{self, Write as _};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use jiff::Timestamp;
use tracing::field::{Value, ValueSet, display};
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id};
use tracing::{Dispatch, Event, Metadata};
use tracing_journald::{Priority, PriorityMappings};
use tracing_subscriber::layer::SubscriberExt as _;

use super::Destination;
use super::capture::{CaptureLayer, Gate};
use super::record::{EventRecord, FieldValue, Fields};

/// `SYSLOG_IDENTIFIER` of the entries.
const IDENTIFIER: &str = "supervisord-diagnostics";
/// Maximum number of messages after which lost events are reported while the queue does not empty.
const BATCH_MAX: usize = 256;

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
    thread.spawn(move || run(&messages, gate, &sink)).map(drop)
}

fn run(messages: &Receiver<Message>, gate: Arc<Gate>, sink: &Sink) {
    let reporter = LossReporter::new(gate);
    while let Ok(first) = messages.recv() {
        let more = messages.try_iter().take(BATCH_MAX);
        for message in std::iter::once(first).chain(more) {
            match message {
                Message::Event(event) => sink.write(&event),
                // An error: the caller no longer waits.
                Message::Flush(done) => drop(done.try_send(())),
            }
        }
        if let Some(event) = reporter.report() {
            sink.write(&event);
        }
    }
}

/// Reports lost events past the queue, which is full when events are lost.
struct LossReporter {
    gate: Arc<Gate>,
    /// A subscriber for this thread alone. It copies the report to `reports`.
    dispatch: Dispatch,
    reports: Receiver<Message>,
}

impl LossReporter {
    fn new(gate: Arc<Gate>) -> Self {
        let (queue, reports) = sync_channel(1);
        let layer = CaptureLayer::new(gate.clone(), queue);
        Self {
            gate,
            dispatch: Dispatch::new(tracing_subscriber::registry().with(layer)),
            reports,
        }
    }

    /// Returns an event with the number of events that were lost since the last call. `None`: none were lost, or
    /// diagnostics are off now.
    fn report(&self) -> Option<EventRecord> {
        let dropped = self.gate.take_dropped();
        if dropped == 0 {
            return None;
        }
        tracing::dispatcher::with_default(&self.dispatch, || {
            tracing::error!(dropped, "events were lost, because the queue was full");
        });
        match self.reports.try_recv() {
            Ok(Message::Event(event)) => Some(event),
            _ => None,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::DiagnosticsFilter;

    #[test]
    fn lost_events_are_reported_once_and_never_when_off() {
        let filter = |text| DiagnosticsFilter::parse(text).expect("valid");
        let gate = Arc::new(Gate::new(filter("off,engine=debug")));
        let reporter = LossReporter::new(gate.clone());
        assert!(reporter.report().is_none());
        gate.count_dropped();
        gate.count_dropped();
        let event = reporter.report().expect("a report");
        let target = "supervisord::diagnostics::writer";
        let text = "events were lost, because the queue was full dropped=2";
        assert_eq!(event.to_string(), format!("ERROR {target}: {text}"));
        assert!(reporter.report().is_none());
        gate.count_dropped();
        gate.set(filter("off"));
        assert!(reporter.report().is_none());
    }
}
