//! `pidproxy`: a supervised program that represents a daemon which puts itself into the background. It runs the command
//! that starts the daemon, and forwards signals to the process that the daemon's pidfile names.

mod completion;
pub mod manual;
mod run;
mod target;

pub use completion::complete;
pub use run::run_proxy;
