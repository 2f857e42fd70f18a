//! `supervisord` from its arguments to its exit status: the steps of starting, running, handing over and stopping.

pub mod check;
mod editing;
mod env_file;
mod fatal;
mod first_text;
mod healthcheck;
mod init;
pub mod machine;
pub mod manual;
mod pidfile;
mod previous_daemon;
mod print;
mod reload;
mod run_loop;
mod run_threads;
mod start;
mod startup;
mod token;
mod watch;

pub use start::run;
