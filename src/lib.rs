//! supervisord, the service manager. Start with the architecture page below.
#![doc = include_str!("docs/architecture.md")]

pub mod api;
pub mod cgroup;
pub mod cli;
pub mod config;
pub mod control;
pub mod core;
pub mod ctl;
pub mod daemon;
pub mod diagnostics;
pub mod docs;
pub mod domain;
pub mod effects;
pub mod engine;
pub mod fd_holder;
pub mod handoff;
pub mod heartbeat;
pub mod import;
pub mod manual;
pub mod output;
pub mod pidproxy;
pub mod scripts;
pub mod server;
pub mod service;
pub mod spawn;
pub mod sys;
