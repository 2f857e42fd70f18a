//! `supervisord import`: units of systemd → sections of programs. A pure translation, but for the reading of files. It must not
//! know of a daemon that runs.

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
