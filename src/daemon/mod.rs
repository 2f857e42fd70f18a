//! `supervisord` from its arguments to its exit status: the order of starting and stopping, as a list.

pub mod check;
pub mod machine;
mod pidfile;
mod round;
mod start;

pub use start::run;
