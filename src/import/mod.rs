//! `supervisord import`: translates systemd units to program sections. Apart from reading files it is pure, and it does
//! not touch a running daemon.

mod find;
mod form;
mod run;
mod section;
#[cfg(test)]
mod tests;
mod translate;
mod unit;
mod value;
mod words;

pub use run::run_import;
