//! One output stream of one life: from its pipe through the scanners to its log and to events.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use super::Report;
use super::activity::{Activity, syslog_line};
use super::ansi;
use super::capture::{Piece, Scanner, Store};
use super::entries::Entries;
use super::handover::{CaptureRemains, StreamRemains};
use super::journal::Journal;
use super::ledger::Entry;
use super::ledger::Unsettled;
use super::protocol::Protocol;
use super::sink::Sink;
use super::syslog::Syslog;
use crate::config::spec::LogSpec;
use crate::domain::{
    Channel, Heirloom, Level, Life, Line, OutputEvents, ProcessName, decoded, python_bytes,
};
use crate::keeper::Vault;
use crate::sys;

/// What all streams share.
pub(super) struct Shared {
    pub(super) activity: Activity,
    pub(super) report: Box<dyn Fn(Report) + Send>,
    pub(super) syslog: Syslog,
    pub(super) journal: Journal,
    pub(super) strip_ansi: bool,
    /// Where the ends of pipes are kept for a successor.
    pub(super) vault: Option<Arc<Vault>>,
    /// What somebody listens to.
    pub(super) events: OutputEvents,
}

impl Shared {
    pub(super) fn log(&mut self, line: &Line) {
        self.activity.write(sys::now().wall, line);
    }

    /// Keeps an end of a pipe for a successor.
    pub(super) fn keep(&mut self, heirloom: Heirloom, end: BorrowedFd<'_>) {
        if let Some(vault) = &self.vault
            && let Some(line) = vault.keep(heirloom, &[end])
        {
            self.log(&line);
        }
    }

    /// The life is over.
    pub(super) fn forget(&mut self, life: Life) {
        let Some(vault) = self.vault.clone() else {
            return;
        };
        for heirloom in [
            Heirloom::Stdin(life),
            Heirloom::Stdout(life),
            Heirloom::Stderr(life),
        ] {
            if let Some(line) = vault.forget(heirloom) {
                self.log(&line);
            }
        }
    }

    pub(super) fn log_all(&mut self, lines: Vec<Line>) {
        for line in &lines {
            self.log(line);
        }
    }

    /// Says in the log what has become of the journal.
    fn check_journal(&mut self) {
        if let Some(line) = self.journal.check() {
            self.log(&line);
        }
    }

    /// Says in the log what has become of the system's log.
    pub(super) fn check_syslog(&mut self) {
        if let Some(change) = self.syslog.check() {
            self.log(&syslog_line(change));
        }
    }
}

/// One output stream.
#[derive(Debug)]
pub(super) struct Stream {
    life: Life,
    name: ProcessName,
    channel: Channel,
    /// None: the process has closed it, or its end has come.
    pub(super) pipe: Option<OwnedFd>,
    /// The pipe is in the epoll set.
    pub(super) pipe_polled: bool,
    /// Reading failed, and was told.
    pub(super) read_failed: bool,
    pub(super) sink: Option<Sink>,
    /// The sink is in the epoll set, waiting for room.
    pub(super) sink_polled: bool,
    /// The journal, as its log or besides it.
    pub(super) journal: Option<Box<Entries>>,
    /// It is among those that wait for the journal.
    pub(super) queued: bool,
    syslog: Option<String>,
    events: bool,
    capture: Option<Box<(Scanner, Store)>>,
    /// Standard output of an event listener: what it says is looked at, besides being logged.
    pub(super) protocol: Option<Box<Protocol>>,
}

impl Stream {
    pub(super) fn new(
        life: Life,
        name: &ProcessName,
        channel: Channel,
        spec: &LogSpec,
        pipe: Option<OwnedFd>,
        sink: Option<Sink>,
    ) -> Self {
        Self {
            life,
            name: name.clone(),
            channel,
            pipe,
            pipe_polled: false,
            read_failed: false,
            sink,
            sink_polled: false,
            journal: None,
            queued: false,
            syslog: spec.syslog.then(|| format!("{name} ")),
            events: spec.events,
            capture: spec
                .capture_maxbytes
                .limit()
                .map(|limit| Box::new((Scanner::default(), Store::new(limit)))),
            protocol: None,
        }
    }

    /// The same with the journal, as its log or besides it.
    pub(super) fn with_journal(self, entries: Entries) -> Self {
        Self {
            journal: Some(Box::new(entries)),
            ..self
        }
    }

    /// The same as the standard output of an event listener, which is never captured, published or sent to syslog.
    pub(super) fn of_listener(self) -> Self {
        Self {
            syslog: None,
            events: false,
            capture: None,
            protocol: Some(Box::new(Protocol::new())),
            ..self
        }
    }

    pub(super) fn pipe_fd(&self) -> Option<BorrowedFd<'_>> {
        self.pipe.as_ref().map(AsFd::as_fd)
    }

    /// Its log or the journal waits for a slow reader; nothing should be read until neither does.
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

    /// Tries to send what waits for the journal.
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

    /// Tries to write what waits for the log.
    pub(super) fn flush(&mut self, shared: &mut Shared) {
        if let Some(sink) = &mut self.sink {
            let mut lines = Vec::new();
            sink.flush(&mut lines);
            shared.log_all(lines);
        }
    }

    /// What is written down before the next chunk is read. Its log is named only if the chunk goes there byte for byte.
    pub(super) fn entry(&self, shared: &Shared) -> Entry {
        let as_it_is = self.protocol.is_none() && self.capture.is_none() && !shared.strip_ansi;
        Entry {
            life: self.life,
            channel: self.channel,
            log: self.sink.as_ref().filter(|_| as_it_is).and_then(Sink::mark),
        }
    }

    /// Takes one chunk as it was read.
    pub(super) fn take(&mut self, data: &[u8], shared: &mut Shared) {
        if let Some(mut protocol) = self.protocol.take() {
            self.listen(data, &mut protocol, shared);
            self.protocol = Some(protocol);
            return;
        }
        match self.capture.take() {
            None => self.deliver(data, None, shared),
            Some(mut capture) => {
                let (scanner, store) = &mut *capture;
                scanner.scan(data, &mut |piece| self.piece(piece, store, shared));
                self.capture = Some(capture);
            }
        }
    }

    /// Nothing follows: what was held back is written.
    pub(super) fn finish(&mut self, shared: &mut Shared) {
        if let Some(mut capture) = self.capture.take() {
            let (scanner, store) = &mut *capture;
            scanner.finish(&mut |piece| self.piece(piece, store, shared));
        }
        self.in_journal(shared, Entries::finish);
    }

    /// What is left of it for a successor, and its pipe.
    pub(super) fn hand_over(mut self, shared: &mut Shared) -> (StreamRemains, Option<OwnedFd>) {
        let mut lines = Vec::new();
        let sink = self.sink.as_mut().map(Sink::take_waiting);
        if let Some(sink) = self.sink.take() {
            // Bytes that a failing log has cost are told now; nobody would count them any more.
            sink.close(&mut lines);
        }
        let journal = self
            .journal
            .take()
            .map(|entries| entries.hand_over(&mut shared.journal, &mut lines));
        shared.log_all(lines);
        let remains = StreamRemains {
            sink: sink.unwrap_or_default(),
            capture: self.capture.take().map(|capture| {
                let (scanner, mut store) = *capture;
                let (held, is_inside) = scanner.into_parts();
                CaptureRemains {
                    held,
                    is_inside,
                    captured: store.take(),
                }
            }),
            journal,
            protocol: self.protocol.take(),
        };
        (remains, self.pipe.take())
    }

    /// Bytes of it were under way when the predecessor was killed: what the log has not is written.
    pub(super) fn settle(&mut self, unsettled: Unsettled, shared: &mut Shared) {
        let unread = self.pipe.as_ref().and_then(|pipe| sys::unread(pipe).ok());
        let log = self.sink.as_ref().map(Sink::log_path);
        let is_plain = unsettled.has_log();
        let recovered = unsettled.recover(unread, log.as_deref());
        let missing = recovered.missing();
        if is_plain {
            if let (Some(sink), false) = (&mut self.sink, missing.is_empty()) {
                let mut lines = Vec::new();
                sink.write(missing, &mut lines);
                shared.log_all(lines);
            }
        } else if !missing.is_empty() {
            self.take(missing, shared);
        }
        if recovered.lost > 0 {
            shared.log(&Line::BytesLost {
                name: self.name.clone(),
                channel: self.channel.name().to_owned(),
                lost: recovered.lost,
            });
        }
    }

    /// Goes on where a predecessor has stood. What the configuration has no place for any more is dropped.
    pub(super) fn resume(&mut self, remains: StreamRemains, shared: &mut Shared) {
        if let (Some(sink), false) = (&mut self.sink, remains.sink.is_empty()) {
            let mut lines = Vec::new();
            sink.write(&remains.sink, &mut lines);
            shared.log_all(lines);
        }
        if let (Some(capture), Some(left)) = (&mut self.capture, remains.capture) {
            capture.0 = Scanner::resumed(left.held, left.is_inside);
            capture.1.push(&left.captured);
        }
        if let (Some(entries), Some(left)) = (&mut self.journal, remains.journal) {
            entries.resume(left);
        }
        if let (Some(protocol), Some(left)) = (&mut self.protocol, remains.protocol) {
            *protocol = left;
        }
    }

    /// Gives up its logs, and tells what was lost.
    pub(super) fn close(mut self, shared: &mut Shared) {
        let mut lines = Vec::new();
        if let Some(sink) = self.sink.take() {
            sink.close(&mut lines);
        }
        if let Some(entries) = self.journal.take() {
            entries.close(&mut shared.journal, &mut lines);
        }
        shared.log_all(lines);
        shared.check_journal();
    }

    fn piece(&mut self, piece: Piece<'_>, store: &mut Store, shared: &mut Shared) {
        match piece {
            Piece::Outside(text) => self.deliver(text, None, shared),
            Piece::Inside(text) => self.deliver(text, Some(store), shared),
            Piece::Ended => {
                let data = store.take();
                if shared.events.communications {
                    (shared.report)(Report::Wrote {
                        life: self.life,
                        channel: self.channel,
                        data: data.into(),
                        captured: true,
                    });
                }
                shared.log(&Line::Captured {
                    name: self.name.clone(),
                    channel: self.channel.name().to_owned(),
                });
            }
        }
    }

    /// One chunk of an event listener: to its log, and through the protocol.
    fn listen(&mut self, data: &[u8], protocol: &mut Protocol, shared: &mut Shared) {
        self.echo(shared, || python_bytes(data));
        if shared.strip_ansi {
            self.store(ansi::strip(data).as_ref(), shared);
        } else {
            self.store(data, shared);
        }
        let life = self.life;
        protocol.scan(data, &mut |said| (shared.report)(Report::Said(life, said)));
    }

    /// One piece of text: to the log or the capture, to the activity log, to events.
    fn deliver(&mut self, text: &[u8], capture: Option<&mut Store>, shared: &mut Shared) {
        let stripped;
        let text = if shared.strip_ansi {
            stripped = ansi::strip(text);
            stripped.as_ref()
        } else {
            text
        };
        match capture {
            Some(store) => store.push(text),
            None => {
                self.store(text, shared);
                if let Some(prefix) = &self.syslog {
                    shared.syslog.send(sys::now().wall, prefix, text);
                    shared.check_syslog();
                }
            }
        }
        self.echo(shared, || decoded(text).into_owned());
        if self.events && shared.events.logs {
            (shared.report)(Report::Wrote {
                life: self.life,
                channel: self.channel,
                data: Arc::from(text),
                captured: false,
            });
        }
    }

    fn store(&mut self, text: &[u8], shared: &mut Shared) {
        if let Some(sink) = &mut self.sink {
            let mut lines = Vec::new();
            sink.write(text, &mut lines);
            shared.log_all(lines);
        }
        self.in_journal(shared, |entries, journal, lines| {
            entries.write(text, journal, lines)
        });
    }

    /// What it wrote, as it reads in the activity log at that level.
    fn echo(&self, shared: &mut Shared, text: impl FnOnce() -> String) {
        if shared.activity.enabled(Level::Debug) {
            shared.log(&Line::Output {
                name: self.name.clone(),
                channel: self.channel.name().to_owned(),
                text: text(),
            });
        }
    }

    /// Forgets what was captured so far, and clears the log.
    pub(super) fn clear(&mut self, shared: &mut Shared) -> Result<(), crate::domain::Errno> {
        if let Some(capture) = &mut self.capture {
            capture.1.take();
        }
        let Some(sink) = &mut self.sink else {
            return Ok(());
        };
        let mut lines = Vec::new();
        let result = sink.clear(&mut lines);
        shared.log_all(lines);
        result
    }

    pub(super) fn closed_line(&self, fd: i32) -> Line {
        Line::ChannelClosed {
            fd,
            name: self.name.clone(),
            channel: self.channel.name().to_owned(),
        }
    }

    pub(super) fn failed_line(&self, error: crate::domain::Errno) -> Line {
        Line::PipeFailed {
            name: self.name.clone(),
            channel: self.channel.name().to_owned(),
            error,
        }
    }
}
