//! One output stream of one instance: from its pipe through the scanners to its sinks and to events.
//!
//! A chunk takes two steps (see `sinks/mod.rs`). Methods without [`Shared`] write to the log file, which may block, so a
//! job on files calls them. Methods with [`Shared`] send the same chunk everywhere else and never block.

use std::borrow::Cow;
use std::sync::Arc;

use super::OutputReport;
use super::activity_queue::ActivityQueue;
use super::ansi;
use super::capture::{CapturePiece, CaptureScanner, CaptureStore};
use super::in_flight_log::InFlightEntry;
use super::in_flight_log::UnflushedChunk;
use super::last_bytes::LastBytes;
use super::line_watch::LineWatch;
use super::output_state::{CaptureState, StreamState};
use super::protocol::ListenerProtocol;
use super::sinks::{Connections, LogSink, SinkSource, Sinks};
use crate::domain::{
    Channel, Errno, InstanceId, Level, Line, OutputEvents, ProcessName, Wall, decoded, python_bytes,
};
use crate::effects::OutputOutcome;
use crate::fd_holder::FdStore;
use crate::sys;

/// The state that all streams share.
pub(super) struct Shared {
    pub(super) activity: ActivityQueue,
    pub(super) report: Box<dyn Fn(OutputReport) + Send>,
    pub(super) connections: Connections,
    pub(super) strip_ansi: bool,
    /// Where pipe ends are stored for the next daemon. `None`: they are not stored.
    pub(super) fd_store: Option<Arc<FdStore>>,
    /// Which events have subscribers.
    pub(super) events: OutputEvents,
}

impl Shared {
    pub(super) fn log(&mut self, line: Line) {
        self.activity.log(sys::now().wall, line);
    }

    pub(super) fn log_all(&mut self, lines: Vec<Line>) {
        for line in lines {
            self.log(line);
        }
    }

    /// Logs changes of the availability of connections.
    pub(super) fn check_connections(&mut self) {
        for line in self.connections.check() {
            self.log(line);
        }
    }
}

/// One piece of a process's output, outside or inside capture tokens. Escape sequences are removed if `strip_ansi` is
/// set.
#[derive(Debug)]
pub(super) enum Part {
    Outside(Vec<u8>),
    Inside(Vec<u8>),
    Ended,
}

impl Part {
    fn new(piece: CapturePiece<'_>, strip: bool) -> Self {
        match piece {
            CapturePiece::Outside(text) => Self::Outside(stripped(text, strip).into_owned()),
            CapturePiece::Inside(text) => Self::Inside(stripped(text, strip).into_owned()),
            CapturePiece::Ended => Self::Ended,
        }
    }
}

fn stripped(text: &[u8], strip: bool) -> Cow<'_, [u8]> {
    if strip {
        ansi::strip(text)
    } else {
        Cow::Borrowed(text)
    }
}

/// One output stream.
#[derive(Debug)]
pub(super) struct Stream {
    instance: InstanceId,
    name: ProcessName,
    channel: Channel,
    pub(super) sinks: Sinks,
    /// Whether the log file is in the epoll set, waiting for room.
    pub(super) sink_polled: bool,
    /// The date for which the reactor waits to change the log file. `None`: it does not.
    pub(super) next_date: Option<Wall>,
    /// Whether the stream is in the reactor's queue for the journal.
    pub(super) queued: bool,
    events: bool,
    capture: Option<Box<(CaptureScanner, CaptureStore)>>,
    /// The protocol parser of an event listener's standard output. `None`: not a listener.
    pub(super) protocol: Option<Box<ListenerProtocol>>,
    /// `None`: no line of the stream means anything to the daemon.
    line_watch: Option<Box<LineWatch>>,
    /// The end of standard error, or of the whole output with `redirect_stderr`. `None`: another stream has it.
    last: Option<LastBytes>,
}

impl Stream {
    /// A stream according to its configuration. `sinks`: its sinks, which are open.
    pub(super) fn new(source: &SinkSource<'_>, sinks: Sinks) -> Self {
        let stream = Self::of_program(source, sinks);
        match source.is_listener_output() {
            true => stream.of_listener(),
            false => stream,
        }
    }

    fn of_program(source: &SinkSource<'_>, sinks: Sinks) -> Self {
        let log = source.log();
        Self {
            instance: source.instance,
            name: source.spec.name.clone(),
            channel: source.channel,
            sinks,
            sink_polled: false,
            next_date: None,
            queued: false,
            events: log.events,
            capture: log
                .capture_maxbytes
                .limit()
                .map(|limit| Box::new((CaptureScanner::default(), CaptureStore::new(limit)))),
            protocol: None,
            line_watch: LineWatch::new(source.instance, source.spec),
            last: (source.channel == Channel::Stderr || source.spec.redirect_stderr)
                .then(LastBytes::default),
        }
    }

    /// Makes the stream the standard output of an event listener, which is never captured or published as events.
    fn of_listener(self) -> Self {
        Self {
            events: false,
            capture: None,
            protocol: Some(Box::new(ListenerProtocol::new())),
            ..self
        }
    }

    /// Whether the log or the journal waits for a slow reader. Nothing should be read from the pipe while it does.
    pub(super) fn is_waiting(&self) -> bool {
        self.sinks.file_waits() || self.sinks.connection_waits()
    }

    /// Tries to send the bytes that wait for a connection.
    pub(super) fn send_waiting(&mut self, shared: &mut Shared) {
        self.each_sent(shared, |sink, to, lines| sink.send_waiting(to, lines));
    }

    fn each_sent(
        &mut self,
        shared: &mut Shared,
        mut act: impl FnMut(&mut dyn LogSink, &mut Connections, &mut Vec<Line>),
    ) {
        self.sinks.each_sent(|sink| {
            let mut lines = Vec::new();
            act(sink, &mut shared.connections, &mut lines);
            shared.log_all(lines);
            shared.check_connections();
        });
    }

    /// Returns the in-flight entry for the next chunk. It names the log only if the chunk goes there byte for byte.
    pub(super) fn entry(&self, strip: bool) -> InFlightEntry {
        let as_it_is = self.protocol.is_none() && self.capture.is_none() && !strip;
        InFlightEntry {
            instance: self.instance,
            channel: self.channel,
            log: match as_it_is {
                true => self.sinks.mark(),
                false => None,
            },
        }
    }

    /// Writes one chunk, as read, to the log. Returns the chunk's parts, if it has any, for [`Stream::publish`].
    pub(super) fn write(
        &mut self,
        data: &[u8],
        strip: bool,
        lines: &mut Vec<Line>,
    ) -> Option<Vec<Part>> {
        if let Some(watch) = &mut self.line_watch {
            watch.scan(data);
        }
        if self.protocol.is_none()
            && let Some(capture) = &mut self.capture
        {
            let mut parts = Vec::new();
            capture
                .0
                .scan(data, &mut |piece| parts.push(Part::new(piece, strip)));
            self.write_parts(&parts, lines);
            return Some(parts);
        }
        self.write_text(&stripped(data, strip), lines);
        None
    }

    /// Writes the bytes that the capture scanner still holds to the log, at the end of the stream.
    pub(super) fn write_rest(&mut self, strip: bool, lines: &mut Vec<Line>) -> Vec<Part> {
        let mut parts = Vec::new();
        if let Some(capture) = &mut self.capture {
            capture
                .0
                .finish(&mut |piece| parts.push(Part::new(piece, strip)));
        }
        self.write_parts(&parts, lines);
        parts
    }

    fn write_parts(&mut self, parts: &[Part], lines: &mut Vec<Line>) {
        for part in parts {
            if let Part::Outside(text) = part {
                self.write_text(text, lines);
            }
        }
    }

    /// Writes a text to the log, and keeps its end.
    fn write_text(&mut self, text: &[u8], lines: &mut Vec<Line>) {
        if let Some(last) = &mut self.last {
            last.push(text);
        }
        self.sinks.write(text, lines);
    }

    /// The last bytes that the stream wrote to its log. `None`: another stream of the instance has what counts.
    pub(super) fn last_bytes(&self) -> Option<Vec<u8>> {
        self.last.as_ref().map(LastBytes::bytes)
    }

    /// Whether the stream has a capture scanner, which may hold bytes back.
    pub(super) const fn has_capture(&self) -> bool {
        self.capture.is_some()
    }

    /// Reports the lines that were found. Returns whether the process has become ready.
    pub(super) fn report_lines(&mut self, shared: &Shared) -> bool {
        let watch = self.line_watch.as_mut();
        let report = |outcome| (shared.report)(OutputReport::Outcome(outcome));
        watch.is_some_and(|watch| watch.report(&report))
    }

    /// Ends the watch for readiness.
    pub(super) fn end_ready_watch(&mut self) {
        self.line_watch.take_if(|watch| watch.end_ready());
    }

    /// Sends one chunk, as read, everywhere but to the log.
    pub(super) fn publish(&mut self, data: &[u8], parts: Option<Vec<Part>>, shared: &mut Shared) {
        if let Some(mut protocol) = self.protocol.take() {
            self.listen(data, &mut protocol, shared);
            self.protocol = Some(protocol);
            return;
        }
        match parts {
            Some(parts) => self.publish_parts(parts, shared),
            None if self.is_published(shared) => {
                self.publish_text(&stripped(data, shared.strip_ansi), shared);
            }
            None => {}
        }
    }

    /// Ends the stream: sends the parts that [`Stream::write_rest`] returned everywhere but to the log.
    pub(super) fn finish(&mut self, parts: Vec<Part>, shared: &mut Shared) {
        self.publish_parts(parts, shared);
        self.capture = None;
        self.each_sent(shared, |sink, to, lines| sink.finish(to, lines));
    }

    fn publish_parts(&mut self, parts: Vec<Part>, shared: &mut Shared) {
        let Some(mut capture) = self.capture.take() else {
            return;
        };
        for part in parts {
            match part {
                Part::Outside(text) => self.publish_text(&text, shared),
                Part::Inside(text) => {
                    capture.1.push(&text);
                    self.echo(shared, || decoded(&text).into_owned());
                    self.report_text(&text, shared);
                }
                Part::Ended => self.report_capture(capture.1.take_text(), shared),
            }
        }
        self.capture = Some(capture);
    }

    /// Turns the stream into its state for the next daemon.
    pub(super) fn hand_over(mut self, shared: &mut Shared) -> StreamState {
        let mut lines = Vec::new();
        let last = self.last_bytes().unwrap_or_default();
        let mut state = StreamState::default();
        self.sinks
            .hand_over(&mut state, &mut shared.connections, &mut lines);
        shared.log_all(lines);
        StreamState {
            capture: self.capture.take().map(|capture| {
                let (scanner, mut store) = *capture;
                let (held, is_inside) = scanner.into_parts();
                CaptureState {
                    held,
                    is_inside,
                    captured: store.take_text(),
                }
            }),
            protocol: self.protocol.take(),
            line_watch: self.line_watch.take().map(|watch| watch.hand_over()),
            last,
            ..state
        }
    }

    /// Writes bytes that were in flight when the previous daemon was killed, as far as the log lacks them. `unread`:
    /// bytes in the pipe now; `None`: the pipe is gone. Returns the bytes to publish, with their parts.
    pub(super) fn write_unflushed(
        &mut self,
        unflushed: UnflushedChunk,
        unread: Option<usize>,
        strip: bool,
        lines: &mut Vec<Line>,
    ) -> Option<(Vec<u8>, Option<Vec<Part>>)> {
        let log = self.sinks.log_path();
        let is_plain = unflushed.has_log();
        if let Some(mark) = unflushed.mark()
            && self.sinks.recovers()
        {
            let recovered = unflushed.recover(unread, None);
            if let Some(watch) = &mut self.line_watch {
                watch.scan(&recovered.data);
            }
            self.sinks.write_recovered(&recovered.data, mark, lines);
            self.tell_lost(recovered.lost, lines);
            return None;
        }
        let recovered = unflushed.recover(unread, log.as_deref());
        let missing = recovered.missing();
        let mut published = None;
        // The previous daemon may have been killed before its core knew of the line.
        if let Some(watch) = &mut self.line_watch {
            watch.scan(&recovered.data[..recovered.data.len() - missing.len()]);
            if is_plain {
                watch.scan(missing);
            }
        }
        if !missing.is_empty() {
            if is_plain {
                self.write_text(missing, lines);
            } else {
                let parts = self.write(missing, strip, lines);
                published = Some((missing.to_vec(), parts));
            }
        }
        self.tell_lost(recovered.lost, lines);
        published
    }

    fn tell_lost(&self, lost: usize, lines: &mut Vec<Line>) {
        if lost > 0 {
            lines.push(Line::BytesLost {
                name: self.name.clone(),
                channel: self.channel.name().to_owned(),
                lost,
            });
        }
    }

    /// Continues with the state of a previous daemon. State for which the configuration has no place any more is
    /// dropped.
    pub(super) fn resume(&mut self, mut state: StreamState, lines: &mut Vec<Line>) {
        self.sinks.resume(&mut state, lines);
        if let (Some(capture), Some(left)) = (&mut self.capture, state.capture) {
            capture.0 = CaptureScanner::resumed(left.held, left.is_inside);
            capture.1.push(&left.captured);
        }
        if let Some(last) = &mut self.last {
            *last = LastBytes::resumed(&state.last);
        }
        if let (Some(watch), Some(left)) = (&mut self.line_watch, state.line_watch) {
            watch.resume(left);
        }
        if let (Some(protocol), Some(left)) = (&mut self.protocol, state.protocol) {
            *protocol = left;
        }
    }

    /// Ends the sinks that use connections and logs lost bytes.
    pub(super) fn disconnect(&mut self, shared: &mut Shared) {
        if self.sinks.are_sent() {
            let mut lines = Vec::new();
            self.sinks.disconnect(&mut shared.connections, &mut lines);
            shared.log_all(lines);
            shared.check_connections();
        }
    }

    fn report_capture(&self, data: Vec<u8>, shared: &mut Shared) {
        if shared.events.communications {
            (shared.report)(OutputReport::Outcome(OutputOutcome::Wrote {
                instance: self.instance,
                channel: self.channel,
                data: data.into(),
                captured: true,
            }));
        }
        shared.log(Line::Captured {
            name: self.name.clone(),
            channel: self.channel.name().to_owned(),
        });
    }

    /// Sends one chunk of an event listener to its sinks and through the protocol parser.
    fn listen(&mut self, data: &[u8], protocol: &mut ListenerProtocol, shared: &mut Shared) {
        self.echo(shared, || python_bytes(data));
        if self.sinks.are_sent() {
            self.send_text(&stripped(data, shared.strip_ansi), shared);
        }
        let instance = self.instance;
        protocol.scan(data, &mut |said| {
            (shared.report)(OutputReport::Outcome(OutputOutcome::ListenerOutput(
                instance, said,
            )))
        });
    }

    /// Whether any destination besides the log needs the text.
    fn is_published(&self, shared: &Shared) -> bool {
        self.sinks.are_sent()
            || (self.events && shared.events.logs)
            || shared.activity.enabled(Level::Debug)
    }

    /// Sends text to the sinks that use connections, to the activity log and to events.
    fn publish_text(&mut self, text: &[u8], shared: &mut Shared) {
        self.send_text(text, shared);
        self.echo(shared, || decoded(text).into_owned());
        self.report_text(text, shared);
    }

    fn report_text(&self, text: &[u8], shared: &Shared) {
        if self.events && shared.events.logs {
            (shared.report)(OutputReport::Outcome(OutputOutcome::Wrote {
                instance: self.instance,
                channel: self.channel,
                data: Arc::from(text),
                captured: false,
            }));
        }
    }

    fn send_text(&mut self, text: &[u8], shared: &mut Shared) {
        self.each_sent(shared, |sink, to, lines| sink.send(text, to, lines));
    }

    /// Copies the output to the activity log at level debug.
    fn echo(&self, shared: &mut Shared, text: impl FnOnce() -> String) {
        if shared.activity.enabled(Level::Debug) {
            shared.log(Line::Output {
                name: self.name.clone(),
                channel: self.channel.name().to_owned(),
                text: text(),
            });
        }
    }

    /// Drops the text captured so far, and clears the log.
    pub(super) fn clear(&mut self, lines: &mut Vec<Line>) -> Result<(), Errno> {
        if let Some(capture) = &mut self.capture {
            capture.1.take_text();
        }
        self.sinks.clear(lines)
    }

    pub(super) fn closed_line(&self, fd: i32) -> Line {
        Line::ChannelClosed {
            fd,
            name: self.name.clone(),
            channel: self.channel.name().to_owned(),
        }
    }

    pub(super) fn failed_line(&self, error: Errno) -> Line {
        Line::PipeFailed {
            name: self.name.clone(),
            channel: self.channel.name().to_owned(),
            error,
        }
    }
}
