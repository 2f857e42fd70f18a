//! One output stream of one instance: from its pipe through the scanners to its log, the journal, syslog and events.
//!
//! A chunk takes two steps. Methods without [`Shared`] write to the log, which may block, so a job on files calls them.
//! Methods with [`Shared`] send the same chunk everywhere else and never block.

use std::borrow::Cow;
use std::sync::Arc;

use super::OutputReport;
use super::activity::syslog_line;
use super::activity_queue::ActivityQueue;
use super::ansi;
use super::capture::{CapturePiece, CaptureScanner, CaptureStore};
use super::entries::Entries;
use super::in_flight_log::InFlightEntry;
use super::in_flight_log::UnflushedChunk;
use super::journal::Journal;
use super::output_state::{CaptureState, StreamState};
use super::protocol::ListenerProtocol;
use super::sink::Sink;
use super::syslog::Syslog;
use crate::config::spec::LogSpec;
use crate::domain::{
    Channel, Errno, InstanceId, Level, Line, OutputEvents, ProcessName, decoded, python_bytes,
};
use crate::fd_holder::FdStore;
use crate::sys;

/// The state that all streams share.
pub(super) struct Shared {
    pub(super) activity: ActivityQueue,
    pub(super) report: Box<dyn Fn(OutputReport) + Send>,
    pub(super) syslog: Syslog,
    pub(super) journal: Journal,
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

    /// Logs changes of the journal's availability.
    pub(super) fn check_journal(&mut self) {
        if let Some(line) = self.journal.check() {
            self.log(line);
        }
    }

    /// Logs changes of syslog's availability.
    pub(super) fn check_syslog(&mut self) {
        if let Some(change) = self.syslog.check() {
            self.log(syslog_line(change));
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
    pub(super) sink: Option<Sink>,
    /// Whether the sink is in the epoll set, waiting for room.
    pub(super) sink_polled: bool,
    /// The journal, if the stream writes to it (instead of a log file or in addition to one).
    pub(super) journal: Option<Box<Entries>>,
    /// Whether the stream is in [`Reactor`](super::reactor::Reactor)'s queue for the journal.
    pub(super) queued: bool,
    syslog: Option<String>,
    events: bool,
    capture: Option<Box<(CaptureScanner, CaptureStore)>>,
    /// The protocol parser of an event listener's standard output. `None`: not a listener.
    pub(super) protocol: Option<Box<ListenerProtocol>>,
}

impl Stream {
    pub(super) fn new(
        instance: InstanceId,
        name: &ProcessName,
        channel: Channel,
        spec: &LogSpec,
        sink: Option<Sink>,
    ) -> Self {
        Self {
            instance,
            name: name.clone(),
            channel,
            sink,
            sink_polled: false,
            journal: None,
            queued: false,
            syslog: spec.syslog.then(|| format!("{name} ")),
            events: spec.events,
            capture: spec
                .capture_maxbytes
                .limit()
                .map(|limit| Box::new((CaptureScanner::default(), CaptureStore::new(limit)))),
            protocol: None,
        }
    }

    /// Adds the journal as a destination.
    pub(super) fn with_journal(self, entries: Entries) -> Self {
        Self {
            journal: Some(Box::new(entries)),
            ..self
        }
    }

    /// Makes the stream the standard output of an event listener, which is never captured, published as events or sent
    /// to syslog.
    pub(super) fn of_listener(self) -> Self {
        Self {
            syslog: None,
            events: false,
            capture: None,
            protocol: Some(Box::new(ListenerProtocol::new())),
            ..self
        }
    }

    /// Whether the log or the journal waits for a slow reader. Nothing should be read from the pipe while it does.
    pub(super) fn is_waiting(&self) -> bool {
        self.sink_waits() || self.journal_waits()
    }

    pub(super) fn sink_waits(&self) -> bool {
        self.sink.as_ref().is_some_and(Sink::is_waiting)
    }

    pub(super) fn journal_waits(&self) -> bool {
        self.journal
            .as_ref()
            .is_some_and(|entries| entries.is_waiting())
    }

    /// Tries to send the entries that wait for the journal.
    pub(super) fn flush_journal(&mut self, shared: &mut Shared) {
        self.in_journal(shared, Entries::flush);
    }

    fn in_journal(
        &mut self,
        shared: &mut Shared,
        act: impl FnOnce(&mut Entries, &mut Journal, &mut Vec<Line>),
    ) {
        if let Some(entries) = &mut self.journal {
            let mut lines = Vec::new();
            act(entries, &mut shared.journal, &mut lines);
            shared.log_all(lines);
            shared.check_journal();
        }
    }

    /// Tries to write the bytes that wait for the log.
    pub(super) fn flush(&mut self, lines: &mut Vec<Line>) {
        if let Some(sink) = &mut self.sink {
            sink.flush(lines);
        }
    }

    /// Whether the log must be rotated before the next chunk is read.
    pub(super) fn is_rotation_due(&self) -> bool {
        self.sink.as_ref().is_some_and(Sink::is_rotation_due)
    }

    /// Does a rotation that is due.
    pub(super) fn rotate_now(&mut self, lines: &mut Vec<Line>) {
        if let Some(sink) = &mut self.sink {
            sink.rotate_now(lines);
        }
    }

    /// Returns the in-flight entry for the next chunk. It names the log only if the chunk goes there byte for byte.
    pub(super) fn entry(&self, strip: bool) -> InFlightEntry {
        let as_it_is = self.protocol.is_none() && self.capture.is_none() && !strip;
        InFlightEntry {
            instance: self.instance,
            channel: self.channel,
            log: self.sink.as_ref().filter(|_| as_it_is).and_then(Sink::mark),
        }
    }

    /// Writes one chunk, as read, to the log. Returns the chunk's parts, if it has any, for [`Stream::publish`].
    pub(super) fn write(
        &mut self,
        data: &[u8],
        strip: bool,
        lines: &mut Vec<Line>,
    ) -> Option<Vec<Part>> {
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

    fn write_text(&mut self, text: &[u8], lines: &mut Vec<Line>) {
        if let Some(sink) = &mut self.sink {
            sink.write(text, lines);
        }
    }

    /// Whether the stream has a capture scanner, which may hold bytes back.
    pub(super) const fn has_capture(&self) -> bool {
        self.capture.is_some()
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
        self.in_journal(shared, Entries::finish);
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
        let sink = self.sink.as_mut().map(Sink::take_waiting);
        if let Some(sink) = self.sink.take() {
            // Log the lost bytes now: their count is not part of the state.
            sink.close(&mut lines);
        }
        let journal = self
            .journal
            .take()
            .map(|entries| entries.hand_over(&mut shared.journal, &mut lines));
        shared.log_all(lines);
        StreamState {
            sink: sink.unwrap_or_default(),
            capture: self.capture.take().map(|capture| {
                let (scanner, mut store) = *capture;
                let (held, is_inside) = scanner.into_parts();
                CaptureState {
                    held,
                    is_inside,
                    captured: store.take_text(),
                }
            }),
            journal,
            protocol: self.protocol.take(),
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
        let log = self.sink.as_ref().map(Sink::log_path);
        let is_plain = unflushed.has_log();
        let recovered = unflushed.recover(unread, log.as_deref());
        let missing = recovered.missing();
        let mut published = None;
        if !missing.is_empty() {
            if is_plain {
                self.write_text(missing, lines);
            } else {
                let parts = self.write(missing, strip, lines);
                published = Some((missing.to_vec(), parts));
            }
        }
        if recovered.lost > 0 {
            lines.push(Line::BytesLost {
                name: self.name.clone(),
                channel: self.channel.name().to_owned(),
                lost: recovered.lost,
            });
        }
        published
    }

    /// Continues with the state of a previous daemon. State for which the configuration has no place any more is
    /// dropped.
    pub(super) fn resume(&mut self, instance_state: StreamState, lines: &mut Vec<Line>) {
        if !instance_state.sink.is_empty() {
            self.write_text(&instance_state.sink, lines);
        }
        if let (Some(capture), Some(left)) = (&mut self.capture, instance_state.capture) {
            capture.0 = CaptureScanner::resumed(left.held, left.is_inside);
            capture.1.push(&left.captured);
        }
        if let (Some(entries), Some(left)) = (&mut self.journal, instance_state.journal) {
            entries.resume(left);
        }
        if let (Some(protocol), Some(left)) = (&mut self.protocol, instance_state.protocol) {
            *protocol = left;
        }
    }

    /// Closes the log and reports lost bytes in `lines`.
    pub(super) fn close_log(&mut self, lines: &mut Vec<Line>) {
        if let Some(sink) = self.sink.take() {
            sink.close(lines);
        }
    }

    /// Closes the journal and logs lost bytes.
    pub(super) fn close_journal(&mut self, shared: &mut Shared) {
        if let Some(entries) = self.journal.take() {
            let mut lines = Vec::new();
            entries.close(&mut shared.journal, &mut lines);
            shared.log_all(lines);
            shared.check_journal();
        }
    }

    fn report_capture(&self, data: Vec<u8>, shared: &mut Shared) {
        if shared.events.communications {
            (shared.report)(OutputReport::Wrote {
                instance: self.instance,
                channel: self.channel,
                data: data.into(),
                captured: true,
            });
        }
        shared.log(Line::Captured {
            name: self.name.clone(),
            channel: self.channel.name().to_owned(),
        });
    }

    /// Sends one chunk of an event listener to the journal and through the protocol parser.
    fn listen(&mut self, data: &[u8], protocol: &mut ListenerProtocol, shared: &mut Shared) {
        self.echo(shared, || python_bytes(data));
        if self.journal.is_some() {
            self.write_journal(&stripped(data, shared.strip_ansi), shared);
        }
        let instance = self.instance;
        protocol.scan(data, &mut |said| {
            (shared.report)(OutputReport::ListenerOutput(instance, said))
        });
    }

    /// Whether any destination besides the log needs the text.
    fn is_published(&self, shared: &Shared) -> bool {
        self.journal.is_some()
            || self.syslog.is_some()
            || (self.events && shared.events.logs)
            || shared.activity.enabled(Level::Debug)
    }

    /// Sends text to the journal, syslog, the activity log and events.
    fn publish_text(&mut self, text: &[u8], shared: &mut Shared) {
        self.write_journal(text, shared);
        if let Some(prefix) = &self.syslog {
            shared.syslog.send(sys::now().wall, prefix, text);
            shared.check_syslog();
        }
        self.echo(shared, || decoded(text).into_owned());
        self.report_text(text, shared);
    }

    fn report_text(&self, text: &[u8], shared: &Shared) {
        if self.events && shared.events.logs {
            (shared.report)(OutputReport::Wrote {
                instance: self.instance,
                channel: self.channel,
                data: Arc::from(text),
                captured: false,
            });
        }
    }

    fn write_journal(&mut self, text: &[u8], shared: &mut Shared) {
        self.in_journal(shared, |entries, journal, lines| {
            entries.write(text, journal, lines)
        });
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
        match &mut self.sink {
            Some(sink) => sink.clear(lines),
            None => Ok(()),
        }
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
