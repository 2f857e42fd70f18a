//! `supervisord` from its arguments to its exit status: the order of starting and stopping, as a list.

mod adoption;
pub mod check;
mod fatal;
pub mod machine;
pub mod manual;
mod opening;
mod pidfile;
mod recovery;
mod reload;
mod round;
mod start;
mod succession;
mod watch;

pub use start::run;
