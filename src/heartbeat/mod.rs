//! Heartbeats: every long-lived thread reports when it starts and ends a job. The monitor thread detects jobs that take
//! too long and threads that have exited.
//!
//! A thread calls [`Heartbeat::busy`] before a job and [`Heartbeat::idle`] after it. Each call costs one atomic store
//! and one load. The monitor sleeps without a timer while all threads are idle, so it never wakes an idle daemon.
//! Before it sleeps, it calls a function once, which returns free memory to the kernel.
//!
//! The monitor counts only time in which it was running itself, and a bounded amount for each of its waits. So a daemon
//! that was stopped as a whole (SIGSTOP, a debugger, a suspended machine) is not overdue when it continues.

mod monitor;
mod slot;

pub use monitor::{Heartbeats, Overdue, ThreadProblem};
pub use slot::Heartbeat;
