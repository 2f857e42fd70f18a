//! `pidproxy`: a program under supervision that stands for a daemon which puts itself into the background. It runs the
//! command that starts the daemon, and hands the signals that it is sent on to the process that the daemon's pidfile names.
//! It must not know what supervises it.

mod completion;
pub mod manual;
mod run;
mod target;

pub use completion::complete;
pub use run::run_proxy;
