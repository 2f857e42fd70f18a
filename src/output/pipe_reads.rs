//! Paces the reads of one pipe: how long the pipe is paused, and whether it should grow.
//!
//! A program that writes short unbuffered lines wakes its reader for each line, and both switch contexts for a hundred
//! bytes. If many short reads follow each other closely, the pipe is paused: it leaves the epoll set for about
//! [`PAUSE`], lines collect in it, and one read takes all of them. The writer gains too, because its writes wake
//! nobody. Network cards moderate their interrupts for the same reason.
//!
//! Pure: the caller provides the time.

use std::time::{Duration, Instant};

/// Maximum size of one read in bytes: the capacity of a grown pipe.
pub(super) const READ_BYTES: usize = 256 << 10;
/// A read of fewer bytes is short.
const SHORT_BYTES: usize = 16 << 10;
/// Reads with less time between them follow each other closely.
const CLOSE: Duration = Duration::from_micros(100);
/// Number of short, close reads after which a pipe is paused.
pub(super) const STREAK: usize = 16;
/// Maximum pause. It delays a line by at most that time plus one turn of the thread.
const PAUSE: Duration = Duration::from_micros(150);
/// A shorter pause costs more than it saves.
const PAUSE_MIN: Duration = Duration::from_micros(20);
/// Default capacity of a pipe in bytes (pipe(7)).
const PIPE_BYTES: usize = 64 << 10;

/// The read statistics of one pipe.
#[derive(Debug)]
pub(super) struct PipeReads {
    last: Option<Instant>,
    /// The number of short, close reads in a row, and their total bytes.
    streak: usize,
    streak_bytes: usize,
    /// The pause before the next read. `None`: the pipe is in the epoll set.
    pause: Option<Duration>,
    /// Whether the pipe is paused now.
    is_paused: bool,
    /// The capacity of the pipe in bytes.
    capacity: usize,
    may_grow: bool,
}

impl PipeReads {
    pub(super) const fn new() -> Self {
        Self {
            last: None,
            streak: 0,
            streak_bytes: 0,
            pause: None,
            is_paused: false,
            capacity: PIPE_BYTES,
            may_grow: true,
        }
    }

    /// Records a read of `count` bytes. Returns how long to pause the pipe. `None`: wait for data with epoll.
    pub(super) fn after_read(&mut self, now: Instant, count: usize) -> Option<Duration> {
        let elapsed = self.last.replace(now).map(|last| now.duration_since(last));
        let elapsed = elapsed.unwrap_or(Duration::MAX);
        if let Some(pause) = self.pause.take() {
            // If the pause collected no more than two reads did without it, the writer is as slow as the reader.
            if count / 2 >= self.streak_bytes / STREAK {
                self.pause = self.next_pause(pause, elapsed, count);
            }
        } else if count < SHORT_BYTES && elapsed < CLOSE {
            self.streak += 1;
            self.streak_bytes += count;
            if self.streak < STREAK {
                return None;
            }
            self.pause = Some(PAUSE);
        }
        if self.pause.is_none() {
            self.streak = 0;
            self.streak_bytes = 0;
        }
        self.is_paused = self.pause.is_some();
        self.pause
    }

    /// Computes the pause after which the pipe is half full at the present rate. A writer that finds the pipe full
    /// sleeps, which costs more than a read.
    fn next_pause(&self, pause: Duration, elapsed: Duration, count: usize) -> Option<Duration> {
        let overhead = elapsed.saturating_sub(pause);
        let half = self.capacity / 2;
        let wanted = elapsed.as_nanos().saturating_mul(half as u128) / (count.max(1) as u128);
        let wanted = Duration::from_nanos(u64::try_from(wanted).unwrap_or(u64::MAX));
        let next = wanted.saturating_sub(overhead).min(PAUSE);
        (next >= PAUSE_MIN).then_some(next)
    }

    /// Records a read without data: wait with epoll again.
    pub(super) const fn reset(&mut self) {
        self.last = None;
        self.pause = None;
        self.is_paused = false;
        self.streak = 0;
        self.streak_bytes = 0;
    }

    /// Whether the pipe is paused and must stay out of the epoll set.
    pub(super) const fn is_paused(&self) -> bool {
        self.is_paused
    }

    /// Ends the pause. False: there was none.
    pub(super) const fn end_pause(&mut self) -> bool {
        std::mem::replace(&mut self.is_paused, false)
    }

    /// Whether the pipe should grow: a read of `count` bytes found it nearly full, so the writer may have waited for
    /// the reader. A pipe of 64 KiB is full with fewer bytes, because a write does not always fill the last page of the
    /// previous one.
    pub(super) const fn wants_to_grow(&self, count: usize) -> bool {
        self.may_grow && count >= PIPE_BYTES / 4 * 3
    }

    /// Records the new capacity. `None`: the pipe cannot grow.
    pub(super) fn grown(&mut self, capacity: Option<usize>) {
        self.may_grow = false;
        self.capacity = capacity.unwrap_or(PIPE_BYTES);
    }

    /// Whether the pipe is larger than the default.
    pub(super) const fn is_grown(&self) -> bool {
        self.capacity > PIPE_BYTES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Reader {
        reads: PipeReads,
        now: Instant,
    }

    impl Reader {
        fn new() -> Self {
            Self {
                reads: PipeReads::new(),
                now: Instant::now(),
            }
        }

        fn read(&mut self, after_micros: u64, count: usize) -> Option<Duration> {
            self.now += Duration::from_micros(after_micros);
            self.reads.after_read(self.now, count)
        }

        /// Reads one line after another until the pipe is paused.
        fn paused() -> Self {
            let mut reader = Self::new();
            for _ in 0..STREAK {
                assert_eq!(reader.read(5, 100), None);
                assert!(!reader.reads.is_paused());
            }
            assert_eq!(reader.read(5, 100), Some(PAUSE));
            assert!(reader.reads.is_paused());
            assert!(reader.reads.end_pause());
            assert!(!reader.reads.end_pause());
            reader
        }
    }

    #[test]
    fn many_short_reads_in_a_row_pause_the_pipe() {
        let mut reader = Reader::paused();
        assert_eq!(reader.read(160, 5_000), Some(PAUSE), "it goes on so");
    }

    #[test]
    fn rare_or_long_reads_do_not_pause_the_pipe() {
        let mut reader = Reader::new();
        for _ in 0..10 * STREAK {
            assert_eq!(reader.read(101, 100), None);
        }
        for _ in 0..10 * STREAK {
            assert_eq!(reader.read(5, SHORT_BYTES), None);
        }
        // A read that is not close restarts the streak.
        for turn in 0..10 * STREAK {
            let after = if turn % STREAK == 0 { 1_000 } else { 5 };
            assert_eq!(reader.read(after, 100), None);
        }
    }

    #[test]
    fn a_pause_that_gathers_nothing_ends_the_pauses() {
        let mut reader = Reader::paused();
        assert_eq!(reader.read(160, 199), None);
        for _ in 1..STREAK {
            assert_eq!(reader.read(5, 100), None, "and a new streak is needed");
        }
        let mut reader = Reader::paused();
        reader.reads.reset();
        assert_eq!(reader.read(5, 100), None);
    }

    #[test]
    fn a_fast_writer_finds_the_pipe_half_full() {
        let mut reader = Reader::paused();
        // 10 µs pass besides the pause. At this rate the pipe is full after 140 µs.
        let pause = reader.read(160, PIPE_BYTES * 160 / 140);
        assert_eq!(pause, Some(Duration::from_micros(60)));
        // Full: the writer has slept for an unknown time.
        let pause = reader.read(70, PIPE_BYTES);
        assert_eq!(pause, Some(Duration::from_micros(25)));
        assert_eq!(reader.read(35, PIPE_BYTES), None, "too short to gain");
        // A larger pipe holds more than a pause collects.
        let mut reader = Reader::paused();
        reader.reads.grown(Some(4 * PIPE_BYTES));
        assert_eq!(reader.read(160, PIPE_BYTES), Some(PAUSE));
    }

    #[test]
    fn a_pipe_grows_once() {
        let mut reads = PipeReads::new();
        assert!(!reads.wants_to_grow(16_384));
        assert!(reads.wants_to_grow(64_000), "full of lines of 100 bytes");
        reads.grown(None);
        assert!(!reads.wants_to_grow(64_000), "refused");
        assert!(!reads.is_grown());
        let mut reads = PipeReads::new();
        reads.grown(Some(256 << 10));
        assert!(!reads.wants_to_grow(256 << 10));
        assert!(reads.is_grown());
    }
}
