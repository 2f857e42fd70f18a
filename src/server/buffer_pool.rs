//! Buffers for large responses. They are reused while such responses follow one another. After a second without one,
//! the buffers are freed and the allocator returns its free memory to the kernel.
//!
//! A new buffer of a megabyte costs 270 page faults. `malloc_trim` after each response holds the lock that every
//! thread's allocations need: with eight clients that took 39 % of the time.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, watch};
use tokio::time::{Duration, sleep};

use crate::sys;

/// Maximum size of all unused buffers in the pool, in bytes.
const WAITING_BYTES_MAX: usize = 8 << 20;
/// How long no large response may have been made before memory is freed.
const IDLE: Duration = Duration::from_secs(1);
/// Minimum number of bytes freed by small allocations for which `malloc_trim` is worth its time.
const TRIM_BYTES: usize = 256 << 10;

/// The pool of buffers, and the count of memory to trim.
#[derive(Debug, Default)]
pub(super) struct BufferPool {
    inner: Mutex<BufferPoolState>,
    used: Notify,
}

#[derive(Debug, Default)]
struct BufferPoolState {
    waiting: Vec<Vec<u8>>,
    waiting_bytes: usize,
    /// Counts responses, to detect a pause.
    answers: u64,
    /// Bytes of small allocations freed since the last `malloc_trim`.
    freed: usize,
}

/// A buffer that returns to its pool when dropped.
#[derive(Debug)]
pub(super) struct PooledBuffer {
    pub(super) bytes: Vec<u8>,
    pool: Arc<BufferPool>,
}

impl AsRef<[u8]> for PooledBuffer {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for PooledBuffer {
    fn drop(&mut self) {
        self.pool.return_buffer(std::mem::take(&mut self.bytes));
    }
}

impl BufferPool {
    /// No code panics while it holds the lock.
    fn lock(&self) -> MutexGuard<'_, BufferPoolState> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns an empty buffer of at least this capacity.
    pub(super) fn acquire_buffer(self: &Arc<Self>, capacity: usize) -> PooledBuffer {
        let mut inner = self.lock();
        let fitting = inner
            .waiting
            .iter()
            .rposition(|buffer| buffer.capacity() >= capacity);
        let bytes = fitting.map(|at| {
            let bytes = inner.waiting.swap_remove(at);
            inner.waiting_bytes -= bytes.capacity();
            bytes
        });
        drop(inner);
        PooledBuffer {
            bytes: bytes.unwrap_or_else(|| Vec::with_capacity(capacity)),
            pool: self.clone(),
        }
    }

    fn return_buffer(&self, mut bytes: Vec<u8>) {
        let mut inner = self.lock();
        inner.answers += 1;
        if inner.waiting_bytes + bytes.capacity() <= WAITING_BYTES_MAX {
            bytes.clear();
            inner.waiting_bytes += bytes.capacity();
            inner.waiting.push(bytes);
        }
        drop(inner);
        self.used.notify_one();
    }

    /// Records that small allocations of about this many bytes in total were freed.
    pub(super) fn count_freed(&self, bytes: usize) {
        let mut inner = self.lock();
        inner.answers += 1;
        inner.freed += bytes;
        let is_due = inner.freed >= TRIM_BYTES;
        drop(inner);
        if is_due {
            self.used.notify_one();
        }
    }

    /// Frees all unused buffers. Returns whether `malloc_trim` is worth its time.
    fn free_buffers(&self) -> bool {
        let mut inner = self.lock();
        inner.waiting = Vec::new();
        inner.waiting_bytes = 0;
        let is_due = inner.freed >= TRIM_BYTES;
        if is_due {
            inner.freed = 0;
        }
        is_due
    }

    /// Frees memory after each pause, until the server stops. Idle while no large response is made.
    pub(super) async fn reclaim_when_idle(self: Arc<Self>, mut stop: watch::Receiver<bool>) {
        loop {
            tokio::select! {
                () = self.used.notified() => {}
                _ = stop.wait_for(|stop| *stop) => return,
            }
            loop {
                let before = self.lock().answers;
                tokio::select! {
                    () = sleep(IDLE) => {}
                    _ = stop.wait_for(|stop| *stop) => return,
                }
                if self.lock().answers == before {
                    break;
                }
            }
            if self.free_buffers() {
                sys::trim_heap();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_enough_buffer_is_reused() {
        let reclaim = Arc::new(BufferPool::default());
        let mut first = reclaim.acquire_buffer(1 << 20);
        first.bytes.extend_from_slice(b"secret");
        let at = first.bytes.as_ptr();
        drop(first);
        let larger = reclaim.acquire_buffer(2 << 20);
        assert_ne!(larger.bytes.as_ptr(), at);
        let again = reclaim.acquire_buffer(1 << 19);
        assert_eq!((again.bytes.as_ptr(), again.bytes.len()), (at, 0));
        assert_eq!(reclaim.lock().waiting_bytes, 0);
    }

    #[test]
    fn waiting_buffers_are_bounded_and_freed() {
        let reclaim = Arc::new(BufferPool::default());
        let many: Vec<PooledBuffer> = (0..20).map(|_| reclaim.acquire_buffer(1 << 20)).collect();
        drop(many);
        assert_eq!(reclaim.lock().waiting_bytes, WAITING_BYTES_MAX);
        assert!(!reclaim.free_buffers(), "no small allocation was freed");
        let inner = reclaim.lock();
        assert_eq!((inner.waiting.len(), inner.waiting_bytes), (0, 0));
    }

    #[test]
    fn small_freed_allocations_add_up_to_a_trim() {
        let reclaim = BufferPool::default();
        reclaim.count_freed(TRIM_BYTES - 1);
        assert!(!reclaim.free_buffers());
        reclaim.count_freed(1);
        assert!(reclaim.free_buffers());
        assert!(!reclaim.free_buffers(), "they are given back once");
    }

    #[test]
    fn memory_is_freed_while_no_answer_is_rendered() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .expect("a runtime");
        runtime.block_on(async {
            let (sender, stop) = watch::channel(false);
            let reclaim = Arc::new(BufferPool::default());
            let task = tokio::spawn(reclaim.clone().reclaim_when_idle(stop));
            drop(reclaim.acquire_buffer(1 << 20));
            assert_ne!(reclaim.lock().waiting_bytes, 0);
            while reclaim.lock().waiting_bytes != 0 {
                sleep(Duration::from_millis(10)).await;
            }
            sender.send_replace(true);
            task.await.expect("ended");
        });
    }
}
