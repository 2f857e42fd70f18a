//! `supervisord service`: installs the daemon as a systemd service where no package did. It does not touch a running
//! daemon; systemd does that.

mod error;
mod run;
mod unit;
mod unit_files;

pub use run::run_service;
