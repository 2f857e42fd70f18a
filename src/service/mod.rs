//! `supervisord service`: the daemon as a service of systemd where no package made it one. It must not know of a daemon that
//! runs: whatever is done to one, systemd does.

mod error;
mod run;
mod unit;
mod unit_files;

pub use run::run_service;
