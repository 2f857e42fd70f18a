//! A file of a list of targets. The thread of its file system writes it (`file_writer.rs`), so that a file that hangs does
//! not stop the other targets.
//!
//! The job that read a chunk waits until the file has it, so that nothing is lost if the daemon is killed: the in-flight
//! log has the chunk until then. A file that is behind for [`HANGS_AFTER`] is not waited for any more. It has a queue
//! with a limit, and drops and counts whole lines beyond the limit until it has caught up.
//!
//! After the end of its stream the writer still writes the queue. If the reader of the file (a FIFO) takes nothing for
//! [`HANGS_AFTER`], the queue is dropped and counted, because each further instance would leave another one.

use std::collections::VecDeque;
use std::os::fd::AsFd as _;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use super::file_sink::FileSink;
use super::file_writer::{FileWork, FileWriter, HANGS_AFTER, ROOM, WorkState};
use super::log_sink::{Connections, LogSink, Pressure, SinkSource};
use super::overflow::Overflow;
use super::sink_health::{SinkHealth, TargetName};
use crate::domain::{Errno, Line, Now, Tick, Wall};
use crate::output::closed_logs::ClosedLogs;
use crate::output::in_flight_log::LogMark;
use crate::output::late_lines;
use crate::output::log_file::LogRules;
use crate::output::output_state::{StreamState, TargetState};
use crate::sys::safe_open::errno;
use crate::sys::{self, Poller};

/// Maximum bytes that wait for a file that hangs.
const QUEUE_BYTES_MAX: usize = 256 << 10;
/// How often a file that is written is checked for having been moved away, in nanoseconds.
const LOOK_NANOS: u64 = 1_000_000_000;
/// A mark that is older than this is renewed, because another process may have changed the file.
const MARK_TIME: Duration = Duration::from_millis(100);

/// What the writer does with a file.
#[derive(Debug)]
enum FileOrder {
    /// The value: for a new instance.
    Open(bool),
    /// The time of the chunk, if it is known.
    Write(Arc<[u8]>, Option<Wall>),
    /// Write what the file lacks of this chunk, which began at this mark.
    Recover(Arc<[u8]>, LogMark),
    /// Continue with the state of a previous daemon.
    Resume(Box<StreamState>),
    SetPid(i32),
    Prepare(Now),
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
    /// Whether the stream has ended.
    has_ended: bool,
    /// Since when the queue is not empty.
    behind_since: Option<Instant>,
    /// When the file last took something, or the queue began.
    moved_at: Option<Instant>,
    overflow: Overflow,
    /// Bytes that were dropped since the last log line about it.
    lost: u64,
    is_told: bool,
    device: Option<u64>,
    next_date: Option<Wall>,
    closed: Option<ClosedLogs>,
    mark: Option<(LogMark, Instant)>,
    cleared: Option<Result<(), Errno>>,
}

impl FileQueueState {
    fn is_empty(&self) -> bool {
        self.orders.is_empty() && self.present.is_none()
    }

    /// Takes over what the sink tells about its file.
    fn learn(&mut self, sink: &mut FileSink) {
        self.mark = sink.mark().map(|mark| (mark, Instant::now()));
        self.device = sink.device();
        self.next_date = sink.next_date();
        self.closed = sink.take_closed().or(self.closed.take());
    }

    fn is_late(&self) -> bool {
        self.behind_since
            .is_some_and(|since| since.elapsed() >= HANGS_AFTER)
    }

    /// Whether nobody would ever take the rest: the stream has ended, and the reader of the file takes nothing.
    fn is_hopeless(&self) -> bool {
        let is_stuck = |moved_at: Instant| moved_at.elapsed() >= HANGS_AFTER;
        self.has_ended && self.is_slow && self.moved_at.is_some_and(is_stuck)
    }

    /// Drops the orders. Returns how many bytes they have, and the bytes that were dropped before and that no log line
    /// reports yet.
    fn drop_orders(&mut self) -> (usize, u64) {
        self.orders.clear();
        self.present = None;
        self.is_slow = false;
        self.is_told = false;
        (
            std::mem::take(&mut self.bytes),
            std::mem::take(&mut self.lost),
        )
    }

    fn push(&mut self, order: FileOrder) {
        if let FileOrder::Write(data, _) | FileOrder::Recover(data, _) = &order {
            self.bytes += data.len();
        }
        if self.behind_since.is_none() {
            self.behind_since = Some(Instant::now());
            self.moved_at = self.behind_since;
        }
        self.orders.push_back(order);
    }
}

/// Writes a chunk, and does a rotation that takes long.
fn write_chunk(sink: &mut FileSink, data: &[u8], time: Option<Wall>, lines: &mut Vec<Line>) {
    if let Some(time) = time {
        sink.set_time(time);
    }
    sink.write(data, lines);
    sink.rotate_now(lines);
    drop(sink.take_replaced());
}

/// The queue of one file, which the sink and the writer share.
#[derive(Debug)]
struct FileQueue {
    state: Mutex<FileQueueState>,
    changed: Condvar,
    /// Only the writer locks it, and holds it while the file system hangs.
    sink: Mutex<FileSink>,
}

/// The queues whose streams have ended before the files had all bytes.
static ENDED: Mutex<Vec<Weak<FileQueue>>> = Mutex::new(Vec::new());

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Waits until the files of ended streams have all bytes, until `limit` at most. Does not wait for slow readers.
pub(in crate::output) fn flush_ended(limit: Duration) {
    let by = Instant::now() + limit;
    let ended = std::mem::take(&mut *lock(&ENDED));
    for queue in ended.iter().filter_map(Weak::upgrade) {
        let mut state = lock(&queue.state);
        while !state.is_empty() && !state.is_slow {
            let left = by.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            let waited = queue.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl FileQueue {
    /// Drops and counts what waits, and closes the file.
    fn give_up(&self, sink: &mut FileSink, lines: &mut Vec<Line>) {
        let (unwritten, lost) = lock(&self.state).drop_orders();
        sink.give_up(unwritten, lost, lines);
    }

    /// Does the next order. `None`: there is none.
    fn step(&self, sink: &mut FileSink, lines: &mut Vec<Line>) -> Option<WorkState> {
        if sink.is_waiting() {
            let waiting = sink.waiting_bytes();
            sink.flush(lines);
            if sink.waiting_bytes() < waiting {
                lock(&self.state).moved_at = Some(Instant::now());
            }
            if sink.is_waiting() && lock(&self.state).is_hopeless() {
                self.give_up(sink, lines);
                return Some(WorkState::Done);
            }
            if sink.is_waiting() {
                return Some(WorkState::Waits);
            }
            lock(&self.state).present = None;
        }
        let order = {
            let mut state = lock(&self.state);
            let order = state.orders.pop_front()?;
            if let FileOrder::Write(data, _) | FileOrder::Recover(data, _) = &order {
                state.bytes -= data.len();
                state.present = Some(data.clone());
            }
            state.moved_at = Some(Instant::now());
            order
        };
        let mut cleared = None;
        match order {
            FileOrder::Open(is_new) => {
                sink.open_now(lines);
                if is_new {
                    sink.close_foreign_line(lines);
                }
            }
            FileOrder::Write(data, time) => write_chunk(sink, &data, time, lines),
            FileOrder::Recover(data, mark) => sink.write_recovered(&data, mark, lines),
            FileOrder::Resume(mut state) => sink.resume(&mut state, lines),
            FileOrder::SetPid(pid) => sink.set_pid(pid),
            FileOrder::Prepare(now) => sink.prepare(now, lines),
            FileOrder::Reopen => sink.reopen(lines),
            FileOrder::Clear => cleared = Some(sink.clear(lines)),
            FileOrder::Close => sink.close(lines),
        }
        let is_waiting = sink.is_waiting();
        let mut state = lock(&self.state);
        state.learn(sink);
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

    fn has_ended(&self) -> bool {
        lock(&self.state).has_ended
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
    /// The lines have another form than the bytes.
    is_rendered: bool,
    recovers: bool,
    /// When the next chunk is read. `None`: not known yet.
    time: Option<Wall>,
    /// When the path was last checked.
    prepared: Tick,
    queue: Arc<FileQueue>,
    /// `None`: no thread could be started, so the caller writes.
    writer: Option<Arc<FileWriter>>,
}

impl QueuedFile {
    /// Opens the file. A file that cannot be opened is no error: each chunk tries again.
    pub(super) fn open(source: &SinkSource<'_>, rules: LogRules, is_new: bool) -> Self {
        let (spec, channel) = (source.spec, source.channel);
        let path = rules.path.clone();
        let target = TargetName::Path(path.clone());
        let mut health = SinkHealth::new(spec.name.clone(), channel, target);
        health.register(&spec.group);
        let sink = FileSink::unopened(source, rules).registered(&spec.group);
        let (is_rendered, recovers) = (sink.is_rendered(), sink.recovers());
        let queue = Arc::new(FileQueue {
            state: Mutex::default(),
            changed: Condvar::new(),
            sink: Mutex::new(sink),
        });
        let writer = FileWriter::of(&path);
        let file = Self {
            health,
            path,
            is_rendered,
            recovers,
            time: None,
            prepared: Tick(0),
            queue,
            writer,
        };
        file.order(FileOrder::Open(is_new));
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
            self.order(FileOrder::Write(Arc::from(admitted), self.time));
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
        write_chunk(&mut sink, data, self.time, lines);
        lock(&self.queue.state).learn(&mut sink);
        let is_waiting = sink.is_waiting();
        drop(sink);
        if is_waiting {
            // The writer waits for the slow reader.
            self.order(FileOrder::Prepare(sys::now()));
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

    /// Looks at the path and the date if the last look is a while ago.
    fn prepare(&mut self, now: Now, _lines: &mut Vec<Line>) {
        self.time = Some(now.wall);
        let is_due = {
            let state = lock(&self.queue.state);
            if !state.is_empty() {
                return;
            }
            let is_old = state.mark.is_some_and(|(_, at)| at.elapsed() >= MARK_TIME);
            is_old || state.next_date.is_some_and(|date| date <= now.wall)
        };
        if is_due || now.mono.nanos_since(self.prepared) >= LOOK_NANOS {
            self.prepared = now.mono;
            self.order(FileOrder::Prepare(now));
            self.wait();
        }
    }

    fn next_date(&self) -> Option<Wall> {
        lock(&self.queue.state).next_date
    }

    fn flush(&mut self, _lines: &mut Vec<Line>) {
        let is_due = {
            let state = lock(&self.queue.state);
            let date = state.next_date.filter(|_| state.is_empty());
            date.is_some_and(|date| date <= sys::now().wall)
        };
        if is_due {
            self.order(FileOrder::Prepare(sys::now()));
            self.wait();
        }
    }

    fn take_closed(&mut self) -> Option<ClosedLogs> {
        lock(&self.queue.state).closed.take()
    }

    fn recovers(&self) -> bool {
        self.recovers
    }

    fn write_recovered(&mut self, data: &[u8], mark: LogMark, _lines: &mut Vec<Line>) {
        self.order(FileOrder::Recover(Arc::from(data), mark));
    }

    fn set_pid(&mut self, pid: i32) {
        if self.is_rendered {
            self.order(FileOrder::SetPid(pid));
        }
    }

    /// `None` also while the file is behind: the bytes that wait for it do not outlast the daemon, so the next daemon
    /// writes the chunk in any case.
    fn mark(&self) -> Option<LogMark> {
        let state = lock(&self.queue.state);
        let (mark, _) = state.mark.filter(|_| state.is_empty())?;
        Some(LogMark {
            rendered_at: self.time.filter(|_| self.is_rendered),
            ..mark
        })
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

    fn close(&mut self, lines: &mut Vec<Line>) {
        lock(&self.queue.state).has_ended = true;
        self.order(FileOrder::Close);
        self.wait();
        let is_hopeless = lock(&self.queue.state).is_hopeless();
        if is_hopeless && let Ok(mut sink) = self.queue.sink.try_lock() {
            self.queue.give_up(&mut sink, lines);
        }
        if !lock(&self.queue.state).is_empty() {
            let mut ended = lock(&ENDED);
            ended.retain(|queue| queue.strong_count() > 0);
            ended.push(Arc::downgrade(&self.queue));
        }
        // It has to look at the queue again even if the file never becomes writable.
        if let Some(writer) = &self.writer {
            writer.wake();
        }
    }

    fn hand_over(&mut self, state: &mut StreamState, to: &mut Connections, lines: &mut Vec<Line>) {
        self.wait();
        let mut raw = Vec::new();
        let mut own = StreamState::default();
        {
            let mut queue = lock(&self.queue.state);
            // A write that hangs may have written a part of the present chunk: the file gets that part twice.
            match self.queue.sink.try_lock() {
                Ok(mut sink) => sink.hand_over(&mut own, to, lines),
                Err(_) => raw.extend(queue.present.iter().flat_map(|data| data.to_vec())),
            }
            for order in std::mem::take(&mut queue.orders) {
                if let FileOrder::Write(data, _) | FileOrder::Recover(data, _) = order {
                    raw.extend_from_slice(&data);
                }
            }
            queue.bytes = 0;
            queue.present = None;
        }
        let path = self.path.display();
        let parts = [("waiting ", own.sink), ("line ", own.line), ("", raw)];
        for (what, bytes) in parts {
            let name = format!("{what}{path}");
            state.targets.extend(TargetState::of(&name, bytes));
        }
    }

    fn resume(&mut self, state: &mut StreamState, _lines: &mut Vec<Line>) {
        let path = self.path.display();
        let own = StreamState {
            sink: state.take_target(&format!("waiting {path}")),
            line: state.take_target(&format!("line {path}")),
            ..StreamState::default()
        };
        let raw = state.take_target(&path);
        if !own.sink.is_empty() || !own.line.is_empty() {
            self.order(FileOrder::Resume(Box::new(own)));
        }
        if !raw.is_empty() {
            self.order(FileOrder::Write(Arc::from(raw), None));
        }
        self.wait();
    }
}

#[cfg(test)]
#[path = "queued_file_tests.rs"]
mod tests;
