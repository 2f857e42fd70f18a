//! Copies events to the queue, on the thread that has them.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, PoisonError, RwLock};

use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::Interest;
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

use super::record::{EventRecord, Fields, SpanRecord};
use super::writer::Message;
use crate::domain::{DiagnosticsFilter, DiagnosticsLevel};
use crate::sys;

/// What passes, and how many events did not find room in the queue.
#[derive(Debug)]
pub(super) struct Gate {
    filter: RwLock<DiagnosticsFilter>,
    dropped: AtomicU64,
}

impl Gate {
    pub(super) const fn new(filter: DiagnosticsFilter) -> Self {
        Self {
            filter: RwLock::new(filter),
            dropped: AtomicU64::new(0),
        }
    }

    /// Changes what passes.
    pub(super) fn set(&self, filter: DiagnosticsFilter) {
        *self.filter.write().unwrap_or_else(PoisonError::into_inner) = filter;
        tracing::callsite::rebuild_interest_cache();
    }

    fn lets_pass(&self, metadata: &Metadata<'_>) -> bool {
        let filter = self.filter.read().unwrap_or_else(PoisonError::into_inner);
        *metadata.level() <= level_filter(filter.level_of(metadata.target()))
    }

    fn highest(&self) -> LevelFilter {
        let filter = self.filter.read().unwrap_or_else(PoisonError::into_inner);
        level_filter(filter.highest())
    }

    /// Counts an event that did not find room.
    pub(super) fn count_dropped(&self) {
        self.dropped.fetch_add(1, Ordering::Relaxed);
    }

    /// Takes the number of events that were lost since the last call.
    pub(super) fn take_dropped(&self) -> u64 {
        self.dropped.swap(0, Ordering::Relaxed)
    }
}

const fn level_filter(level: DiagnosticsLevel) -> LevelFilter {
    match level {
        DiagnosticsLevel::Off => LevelFilter::OFF,
        DiagnosticsLevel::Error => LevelFilter::from_level(Level::ERROR),
        DiagnosticsLevel::Warn => LevelFilter::from_level(Level::WARN),
        DiagnosticsLevel::Info => LevelFilter::from_level(Level::INFO),
        DiagnosticsLevel::Debug => LevelFilter::from_level(Level::DEBUG),
        DiagnosticsLevel::Trace => LevelFilter::from_level(Level::TRACE),
    }
}

/// The layer that copies.
pub(super) struct CaptureLayer {
    gate: Arc<Gate>,
    queue: SyncSender<Message>,
}

impl CaptureLayer {
    pub(super) const fn new(gate: Arc<Gate>, queue: SyncSender<Message>) -> Self {
        Self { gate, queue }
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for CaptureLayer {
    /// tracing remembers the answer for each call site, until the filter changes.
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        match self.gate.lets_pass(metadata) {
            true => Interest::always(),
            false => Interest::never(),
        }
    }

    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        self.gate.lets_pass(metadata)
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(self.gate.highest())
    }

    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let Some(span) = context.span(id) else {
            return;
        };
        let mut fields = Fields::new(attributes.metadata());
        attributes.record(&mut fields);
        let metadata = attributes.metadata();
        span.extensions_mut()
            .insert(Arc::new(SpanRecord { metadata, fields }));
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let Some(span) = context.span(id) else {
            return;
        };
        if let Some(copy) = span.extensions_mut().get_mut::<Arc<SpanRecord>>() {
            values.record(&mut Arc::make_mut(copy).fields);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut fields = Fields::new(event.metadata());
        event.record(&mut fields);
        let scope = context.event_scope(event).into_iter();
        let spans = scope.flat_map(|scope| scope.from_root());
        let record = EventRecord {
            wall: sys::now().wall,
            metadata: event.metadata(),
            fields,
            spans: spans
                .filter_map(|span| span.extensions().get::<Arc<SpanRecord>>().cloned())
                .collect(),
        };
        if self.queue.try_send(Message::Event(record)).is_err() {
            self.gate.count_dropped();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, sync_channel};

    use tracing::Dispatch;
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::super::writer::repeat;
    use super::*;

    fn capture(filter: &str, room: usize) -> (Dispatch, Arc<Gate>, Receiver<Message>) {
        let filter = DiagnosticsFilter::parse(filter).expect("valid");
        let gate = Arc::new(Gate::new(filter));
        let (queue, messages) = sync_channel(room);
        let layer = CaptureLayer::new(gate.clone(), queue);
        let dispatch = Dispatch::new(tracing_subscriber::registry().with(layer));
        (dispatch, gate, messages)
    }

    fn events(messages: &Receiver<Message>) -> Vec<EventRecord> {
        let events = messages.try_iter().map(|message| match message {
            Message::Event(event) => event,
            Message::Flush(_) => panic!("nobody flushes"),
        });
        events.collect()
    }

    const TARGET: &str = module_path!();

    #[test]
    fn events_are_copied_with_their_spans_and_can_be_repeated() {
        let (dispatch, _, messages) = capture("debug", 8);
        tracing::dispatcher::with_default(&dispatch, || {
            let outer = tracing::info_span!("request", uid = 7, answer = tracing::field::Empty);
            outer.in_scope(|| {
                tracing::info_span!("instance", supervisor_process = "we\"b").in_scope(|| {
                    outer.record("answer", "no");
                    tracing::debug!(pid = 5, why = %"a\nb", "it {}", "ran\u{1b}");
                    tracing::trace!("too low");
                });
            });
            tracing::warn!(target: "zbus::connection", "of another crate");
            tracing::error!(is_last = true);
        });
        let events = events(&messages);
        let shown: Vec<String> = events.iter().map(ToString::to_string).collect();
        let expected = [
            format!(
                "DEBUG {TARGET}: request{{uid=7 answer=\"no\"}}: instance{{supervisor_process=\"we\\\"b\"}}: \
                 it ran\\u{{1b}} pid=5 why=a\\nb"
            ),
            format!("ERROR {TARGET}: is_last=true"),
        ];
        assert_eq!(shown, expected);
        // A subscriber of another thread gets the same.
        let (other, _, messages) = capture("trace", 8);
        for event in &events {
            repeat(&other, event);
        }
        let again: Vec<String> = self::events(&messages)
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(again, expected);
    }

    #[test]
    fn events_without_room_in_the_queue_are_counted() {
        let (dispatch, gate, messages) = capture("info", 2);
        tracing::dispatcher::with_default(&dispatch, || {
            for number in 0..5 {
                tracing::info!(number, "event");
            }
        });
        assert_eq!(events(&messages).len(), 2);
        assert_eq!((gate.take_dropped(), gate.take_dropped()), (3, 0));
    }

    #[test]
    fn the_filter_can_change() {
        let (dispatch, gate, messages) = capture("off,diagnostics=trace", 8);
        let event = || tracing::trace!("event");
        tracing::dispatcher::with_default(&dispatch, || {
            event();
            gate.set(DiagnosticsFilter::default());
            event();
            gate.set(DiagnosticsFilter::parse("trace").expect("valid"));
            event();
        });
        assert_eq!(events(&messages).len(), 2);
    }
}
