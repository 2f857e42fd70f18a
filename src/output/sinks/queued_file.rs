//! A file of a list of targets. The thread of its file system writes it (`file_writer.rs`), so that a file that hangs does
//! not stop the other targets.
//!
//! The job that read a chunk waits until the file has it, so that nothing is lost if the daemon is killed: the in-flight
//! log has the chunk until then. A file that is behind for [`HANGS_AFTER`] is not waited for any more. It has a queue
//! with a limit, and drops and counts whole lines beyond the limit until it has caught up.

use std::collections::VecDeque;
use std::os::fd::AsFd as _;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::file_sink::FileSink;
use super::file_writer::{FileWork, FileWriter, HANGS_AFTER, ROOM, WorkState};
use super::log_sink::{Connections, LogSink, Pressure, SinkSource};
use super::overflow::Overflow;
use super::sink_health::{SinkHealth, TargetName};
use crate::domain::{Errno, Line};
use crate::output::in_flight_log::LogMark;
use crate::output::late_lines;
use crate::output::log_file::LogRules;
use crate::output::output_state::{StreamState, TargetState};
use crate::sys::Poller;
use crate::sys::safe_open::errno;

/// Maximum bytes that wait for a file that hangs.
const QUEUE_BYTES_MAX: usize = 256 << 10;
/// A mark that is older than this is renewed, because another process may have changed the file.
const MARK_TIME: Duration = Duration::from_millis(100);

/// What the writer does with a file.
#[derive(Debug)]
enum FileOrder {
    Open,
    Write(Arc<[u8]>),
    Mark,
    Reopen,
    Clear,
    Close,
}

#[derive(Debug, Default)]
struct FileQueueState {
    orders: VecDeque<FileOrder>,
    /// The chunk that the writer works on, and that its slow reader has not taken yet.
    present: Option<Arc<[u8]>>,
    /// Bytes in `orders`.
    bytes: usize,
    /// Whether the writer has the queue in its inbox.
    is_scheduled: bool,
    /// Whether the reader of the file is slow.
    is_slow: bool,
    /// Since when the queue is not empty.
    behind_since: Option<Instant>,
    overflow: Overflow,
    /// Bytes that were dropped since the last log line about it.
    lost: u64,
    is_told: bool,
    device: Option<u64>,
    mark: Option<(LogMark, Instant)>,
    cleared: Option<Result<(), Errno>>,
}

impl FileQueueState {
    fn is_empty(&self) -> bool {
        self.orders.is_empty() && self.present.is_none()
    }

    fn is_late(&self) -> bool {
        self.behind_since
            .is_some_and(|since| since.elapsed() >= HANGS_AFTER)
    }

    fn push(&mut self, order: FileOrder) {
        if let FileOrder::Write(data) = &order {
            self.bytes += data.len();
        }
        self.behind_since.get_or_insert_with(Instant::now);
        self.orders.push_back(order);
    }
}

/// The queue of one file, which the sink and the writer share.
#[derive(Debug)]
struct FileQueue {
    state: Mutex<FileQueueState>,
    changed: Condvar,
    /// Only the writer locks it, and holds it while the file system hangs.
    sink: Mutex<FileSink>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl FileQueue {
    /// Does the next order. `None`: there is none.
    fn step(&self, sink: &mut FileSink, lines: &mut Vec<Line>) -> Option<WorkState> {
        if sink.is_waiting() {
            sink.flush(lines);
            if sink.is_waiting() {
                return Some(WorkState::Waits);
            }
            lock(&self.state).present = None;
        }
        let order = {
            let mut state = lock(&self.state);
            let order = state.orders.pop_front()?;
            if let FileOrder::Write(data) = &order {
                state.bytes -= data.len();
                state.present = Some(data.clone());
            }
            order
        };
        let mut cleared = None;
        match order {
            FileOrder::Open => sink.open_now(lines),
            FileOrder::Write(data) => {
                sink.write(&data, lines);
                sink.rotate_now(lines);
                drop(sink.take_replaced());
            }
            FileOrder::Mark => {}
            FileOrder::Reopen => sink.reopen(lines),
            FileOrder::Clear => cleared = Some(sink.clear(lines)),
            FileOrder::Close => sink.close(lines),
        }
        let mark = sink.mark().map(|mark| (mark, Instant::now()));
        let device = sink.device();
        let is_waiting = sink.is_waiting();
        let mut state = lock(&self.state);
        state.mark = mark;
        state.device = device;
        state.cleared = cleared.or(state.cleared);
        if !is_waiting {
            state.present = None;
        }
        Some(match is_waiting {
            true => WorkState::Waits,
            false => WorkState::Done,
        })
    }

    /// Ends a turn of the writer. Returns whether there is more work.
    fn end_turn(&self, sink: &FileSink, work: WorkState, lines: &mut Vec<Line>) -> bool {
        let mut state = lock(&self.state);
        state.is_slow = work == WorkState::Waits;
        let has_more = work == WorkState::Done && !state.orders.is_empty();
        if !has_more && work == WorkState::Done {
            state.is_scheduled = false;
            state.behind_since = None;
            if std::mem::take(&mut state.is_told) {
                let lost = std::mem::take(&mut state.lost);
                lines.push(sink.health().recovered(lost));
            }
        }
        drop(state);
        self.changed.notify_all();
        has_more
    }
}

impl FileWork for FileQueue {
    fn perform(&self) -> WorkState {
        let mut sink = lock(&self.sink);
        loop {
            let mut lines = Vec::new();
            let work = self.step(&mut sink, &mut lines).unwrap_or(WorkState::Done);
            let has_more = self.end_turn(&sink, work, &mut lines);
            late_lines::log(lines);
            if !has_more {
                return work;
            }
        }
    }

    fn add_to(&self, poller: &Poller, token: u64) -> bool {
        let sink = lock(&self.sink);
        let fd = sink.fd();
        fd.is_some_and(|fd| poller.add(fd.as_fd(), token, ROOM).is_ok())
    }

    fn remove_from(&self, poller: &Poller) {
        if let Some(fd) = lock(&self.sink).fd() {
            // It is in the set, because nothing else was done with the file since it was added.
            let _ = poller.remove(fd);
        }
    }
}

/// A file of a list as a target of one stream.
#[derive(Debug)]
pub(super) struct QueuedFile {
    health: SinkHealth,
    path: Arc<Path>,
    queue: Arc<FileQueue>,
    /// `None`: no thread could be started, so the caller writes.
    writer: Option<Arc<FileWriter>>,
}

impl QueuedFile {
    /// Opens the file. A file that cannot be opened is no error: each chunk tries again.
    pub(super) fn open(source: &SinkSource<'_>, rules: LogRules) -> Self {
        let (spec, channel) = (source.spec, source.channel);
        let path = rules.path.clone();
        let target = TargetName::Path(path.clone());
        let mut health = SinkHealth::new(spec.name.clone(), channel, target);
        health.register(&spec.group);
        let sink = FileSink::unopened(spec.name.clone(), channel, rules).registered(&spec.group);
        let queue = Arc::new(FileQueue {
            state: Mutex::default(),
            changed: Condvar::new(),
            sink: Mutex::new(sink),
        });
        let writer = FileWriter::of(&path);
        let file = Self {
            health,
            path,
            queue,
            writer,
        };
        file.order(FileOrder::Open);
        file.wait();
        file
    }

    /// Queues an order.
    fn order(&self, order: FileOrder) {
        let is_new = {
            let mut state = lock(&self.queue.state);
            state.push(order);
            !std::mem::replace(&mut state.is_scheduled, true)
        };
        match &self.writer {
            Some(writer) if is_new => writer.queue(self.queue.clone()),
            Some(_) => {}
            None => {
                self.queue.perform();
            }
        }
    }

    /// Waits until the writer has done all orders, unless the file is slow or hangs.
    fn wait(&self) {
        let Some(writer) = &self.writer else { return };
        let mut state = lock(&self.queue.state);
        while !state.is_empty() && !state.is_slow && !state.is_late() {
            if writer.hangs() {
                return;
            }
            let waited = self.queue.changed.wait_timeout(state, HANGS_AFTER / 10);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl LogSink for QueuedFile {
    fn health(&self) -> &SinkHealth {
        &self.health
    }

    fn pressure(&self) -> Pressure {
        Pressure::Drops
    }

    /// Whether a slow reader has not taken all bytes, for a moment.
    fn holds_reads(&self) -> bool {
        let state = lock(&self.queue.state);
        !state.is_empty() && !state.is_late()
    }

    fn write(&mut self, data: &[u8], _lines: &mut Vec<Line>) {
        let mut state = lock(&self.queue.state);
        let (waiting, is_late) = (state.bytes, state.is_late());
        let admitted = state
            .overflow
            .admit(data, (waiting, QUEUE_BYTES_MAX), is_late);
        let dropped = data.len() - admitted.len();
        if dropped > 0 {
            self.health.count_dropped(dropped);
            state.lost += dropped as u64;
            if !std::mem::replace(&mut state.is_told, true) {
                late_lines::log([self.health.drops()]);
            }
        }
        drop(state);
        if !admitted.is_empty() {
            self.order(FileOrder::Write(Arc::from(admitted)));
        }
    }

    /// Writes in this thread, which saves the change to another thread and a copy.
    fn write_alone(&mut self, data: &[u8], lines: &mut Vec<Line>) {
        let is_idle = {
            let state = lock(&self.queue.state);
            state.is_empty() && !state.is_scheduled
        };
        let Ok(mut sink) = self.queue.sink.try_lock() else {
            return self.write(data, lines);
        };
        if !is_idle {
            drop(sink);
            return self.write(data, lines);
        }
        sink.write(data, lines);
        sink.rotate_now(lines);
        drop(sink.take_replaced());
        let mark = sink.mark().map(|mark| (mark, Instant::now()));
        let is_waiting = sink.is_waiting();
        drop(sink);
        lock(&self.queue.state).mark = mark;
        if is_waiting {
            // The writer waits for the slow reader.
            self.order(FileOrder::Mark);
        }
    }

    fn is_late(&self) -> bool {
        lock(&self.queue.state).is_late()
    }

    fn await_written(&mut self) {
        self.wait();
    }

    fn log_path(&self) -> Option<Arc<Path>> {
        Some(self.path.clone())
    }

    fn device(&self) -> Option<u64> {
        lock(&self.queue.state).device
    }

    /// `None` also while the file is behind: the bytes that wait for it do not outlast the daemon, so the next daemon
    /// writes the chunk in any case.
    fn mark(&self) -> Option<LogMark> {
        let is_old = {
            let state = lock(&self.queue.state);
            if !state.is_empty() {
                return None;
            }
            let (_, at) = state.mark?;
            at.elapsed() >= MARK_TIME
        };
        if is_old {
            self.order(FileOrder::Mark);
            self.wait();
        }
        let state = lock(&self.queue.state);
        state
            .mark
            .filter(|_| state.is_empty())
            .map(|(mark, _)| mark)
    }

    fn reopen(&mut self, _lines: &mut Vec<Line>) {
        self.order(FileOrder::Reopen);
        self.wait();
    }

    fn clear(&mut self, _lines: &mut Vec<Line>) -> Result<(), Errno> {
        lock(&self.queue.state).cleared = None;
        self.order(FileOrder::Clear);
        self.wait();
        let cleared = lock(&self.queue.state).cleared.take();
        cleared.unwrap_or(Err(errno(nix::errno::Errno::EAGAIN)))
    }

    fn close(&mut self, _lines: &mut Vec<Line>) {
        self.order(FileOrder::Close);
        self.wait();
    }

    fn hand_over(
        &mut self,
        state: &mut StreamState,
        _to: &mut Connections,
        _lines: &mut Vec<Line>,
    ) {
        self.wait();
        let mut bytes = Vec::new();
        {
            let mut queue = lock(&self.queue.state);
            // A write that hangs may have written a part of the present chunk: the file gets that part twice.
            let present = match self.queue.sink.try_lock() {
                Ok(mut sink) => Some(sink.take_waiting()),
                Err(_) => queue.present.as_ref().map(|data| data.to_vec()),
            };
            bytes.extend(present.unwrap_or_default());
            for order in std::mem::take(&mut queue.orders) {
                if let FileOrder::Write(data) = order {
                    bytes.extend_from_slice(&data);
                }
            }
            queue.bytes = 0;
            queue.present = None;
        }
        let path = self.path.display();
        state.targets.extend(TargetState::of(&path, bytes));
        self.order(FileOrder::Close);
        self.wait();
    }

    fn resume(&mut self, state: &mut StreamState, _lines: &mut Vec<Line>) {
        let bytes = state.take_target(&self.path.display());
        if !bytes.is_empty() {
            self.order(FileOrder::Write(Arc::from(bytes)));
            self.wait();
        }
    }
}

#[cfg(test)]
#[path = "queued_file_tests.rs"]
mod tests;
