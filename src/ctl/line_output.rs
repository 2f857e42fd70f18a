//! Writes lines of logs for `logs`. A terminal that is too slow, or stopped, loses lines instead of the client's attention
//! for its other logs and for Ctrl-C; a pipe and a file get every line. This module does not know the server.

use std::collections::VecDeque;
use std::io::{self, IsTerminal, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Maximum number of bytes that wait for the terminal.
const WAITING_BYTES_MAX: usize = 1 << 20;

/// What the writing thread and its user share.
#[derive(Debug, Default)]
struct Waiting {
    lines: VecDeque<Vec<u8>>,
    bytes: usize,
    /// Lines that were dropped since the last line that waits.
    dropped: u64,
    /// Whether a line is being written.
    is_writing: bool,
    /// Writing failed.
    failed: bool,
    closed: bool,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: Mutex<Waiting>,
    changed: Condvar,
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        // No code panics while it holds the lock.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a line, or counts it if too many wait.
    fn push(&self, line: Vec<u8>) {
        let mut waiting = self.lock();
        if waiting.bytes + line.len() > WAITING_BYTES_MAX {
            waiting.dropped += 1;
            return;
        }
        waiting.note_dropped();
        waiting.bytes += line.len();
        waiting.lines.push_back(line);
        self.changed.notify_all();
    }

    /// Writes lines until the queue is closed and empty.
    fn write_all(&self, to: &mut impl Write) {
        loop {
            let mut waiting = self.lock();
            waiting.is_writing = false;
            self.changed.notify_all();
            let line = loop {
                if waiting.lines.is_empty() {
                    waiting.note_dropped();
                }
                match waiting.lines.pop_front() {
                    Some(line) => break line,
                    None if waiting.closed => return,
                    None => {
                        waiting = self
                            .changed
                            .wait(waiting)
                            .unwrap_or_else(PoisonError::into_inner);
                    }
                }
            };
            waiting.bytes -= line.len();
            waiting.is_writing = true;
            drop(waiting);
            if to.write_all(&line).and_then(|()| to.flush()).is_err() {
                let mut waiting = self.lock();
                waiting.failed = true;
                waiting.is_writing = false;
                self.changed.notify_all();
                return;
            }
        }
    }

    /// Waits until everything is written, or until the deadline.
    fn wait_written(&self, limit: Duration) {
        let until = Instant::now() + limit;
        let mut waiting = self.lock();
        while (!waiting.lines.is_empty() || waiting.is_writing || waiting.dropped > 0)
            && !waiting.failed
        {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            let result = self.changed.wait_timeout(waiting, left);
            (waiting, _) = result.unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Waiting {
    /// Adds the line that tells how many lines were dropped.
    fn note_dropped(&mut self) {
        if self.dropped > 0 {
            let dropped = std::mem::take(&mut self.dropped);
            let what = if dropped == 1 { "line" } else { "lines" };
            let note = format!("==> {dropped} {what} dropped: the terminal is too slow <==\n");
            self.bytes += note.len();
            self.lines.push_back(note.into_bytes());
        }
    }
}

/// Where lines are written.
#[derive(Debug)]
pub(super) enum LineOutput {
    /// A terminal, by another thread.
    Terminal(Arc<OpenQueue>),
    /// Anything else.
    Direct,
}

/// Closes the queue when the last user is gone.
#[derive(Debug)]
pub(super) struct OpenQueue(Arc<Queue>);

impl Drop for OpenQueue {
    fn drop(&mut self) {
        self.0.lock().closed = true;
        self.0.changed.notify_all();
    }
}

impl LineOutput {
    /// Standard output.
    ///
    /// # Errors
    /// The thread cannot be started.
    pub(super) fn stdout() -> io::Result<Self> {
        if !io::stdout().is_terminal() {
            return Ok(Self::Direct);
        }
        let queue = Arc::new(Queue::default());
        let of_thread = Arc::clone(&queue);
        std::thread::Builder::new()
            .name("lines".to_owned())
            .spawn(move || of_thread.write_all(&mut io::stdout()))?;
        Ok(Self::Terminal(Arc::new(OpenQueue(queue))))
    }

    /// Writes a line with its end.
    ///
    /// # Errors
    /// Standard output is closed.
    pub(super) fn write(&self, line: Vec<u8>) -> io::Result<()> {
        match self {
            Self::Terminal(queue) => {
                if queue.0.lock().failed {
                    return Err(io::ErrorKind::BrokenPipe.into());
                }
                queue.0.push(line);
                Ok(())
            }
            Self::Direct => io::stdout().write_all(&line),
        }
    }

    /// Flushes what was written. A terminal gets at most `limit` for it.
    ///
    /// # Errors
    /// Standard output is closed.
    pub(super) fn flush(&self, limit: Duration) -> io::Result<()> {
        match self {
            Self::Terminal(queue) => {
                queue.0.wait_written(limit);
                Ok(())
            }
            Self::Direct => io::stdout().flush(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_reader_gets_the_number_of_dropped_lines() {
        let queue = Queue::default();
        let line = |number: usize| format!("{number:0>1023}\n").into_bytes();
        let fitting = WAITING_BYTES_MAX / 1024;
        for number in 0..fitting + 7 {
            queue.push(line(number));
        }
        queue.lock().closed = true;
        let mut written = Vec::new();
        queue.write_all(&mut written);
        let text = String::from_utf8(written).expect("text");
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), fitting + 1);
        assert_eq!(
            lines[fitting],
            "==> 7 lines dropped: the terminal is too slow <=="
        );
        assert!(lines[fitting - 1].ends_with(&format!("{}", fitting - 1)));
        assert_eq!(queue.lock().bytes, 0);
    }

    #[test]
    fn a_stopped_reader_delays_nobody_for_long() {
        let queue = Arc::new(Queue::default());
        queue.push(b"never read\n".to_vec());
        queue.wait_written(Duration::from_millis(10));
        assert_eq!(queue.lock().lines.len(), 1);
    }
}
