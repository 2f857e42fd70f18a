//! Heartbeats: every long-lived thread tells when it begins and ends a job. One thread, the monitor, sees jobs that last too
//! long and threads that have ended. It must not know what a job is.
//!
//! A thread calls [`Heartbeat::busy`] before a job and [`Heartbeat::idle`] after it; each costs one atomic store and one
//! load. The monitor sleeps without a timer while all threads are idle, so an idle daemon is never woken. Before that it says
//! once that all is quiet, which is the time to give memory back.
//!
//! The monitor counts only time that it saw pass itself, a bounded amount for each of its own waits. A daemon that was
//! stopped as a whole (SIGSTOP, a debugger, a suspended machine) therefore never looks overdue when it goes on.

mod monitor;
mod slot;

pub use monitor::{Heartbeats, Overdue, ThreadProblem};
pub use slot::Heartbeat;
