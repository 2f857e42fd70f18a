//! `supervisorctl`: the command-line client. It makes blocking calls to the daemon, one at a time, without an async
//! runtime.

mod access;
mod action;
mod actions;
mod client;
mod completion;
mod daemon;
mod dependencies;
mod editor;
mod error;
mod exit;
mod file;
mod follow;
mod followed_log;
mod go_actions;
mod group;
mod http;
mod line_output;
mod log;
mod log_feed;
mod log_lines;
mod log_prefix;
mod logs;
pub mod manual;
mod options;
mod plan;
mod printable;
mod problems;
mod process;
mod program;
mod program_words;
mod render;
mod reply;
mod rolling;
mod run;
mod run_line;
mod schedule;
mod session;
mod shell;
mod status;
mod terminal;

pub use completion::complete_subcommand;
pub use run::{run, run_subcommand};
