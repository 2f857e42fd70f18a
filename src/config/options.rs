//! The settings of the daemon's command line, which reading a configuration applies. `cli::options` parses them.

use std::sync::Arc;

use super::key::SectionKind;
use super::source::RemoteText;
use crate::domain::{Bytes, Level};

/// Values from the command line that replace those of the file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Overrides {
    /// `-l`.
    pub logfile: Option<String>,
    /// `-y`.
    pub logfile_maxbytes: Option<Bytes>,
    /// `-z`.
    pub logfile_backups: Option<i64>,
    /// `-e`.
    pub loglevel: Option<Level>,
    /// `-j`.
    pub pidfile: Option<String>,
    /// `-m`.
    pub umask: Option<u32>,
    /// `-n`. `--daemon` sets it to false.
    pub nodaemon: Option<bool>,
    /// `-s`.
    pub silent: Option<bool>,
    /// `-a`.
    pub minfds: Option<i64>,
    /// `--minprocs`.
    pub minprocs: Option<i64>,
    /// `-k`.
    pub nocleanup: Option<bool>,
    /// `-q`.
    pub childlogdir: Option<String>,
    /// `-u`, not yet looked up.
    pub user: Option<String>,
    /// `-d`.
    pub directory: Option<String>,
    /// `-t`.
    pub strip_ansi: Option<bool>,
    /// `-i`.
    pub identifier: Option<String>,
}

/// The daemon's command line.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DaemonOptions {
    /// `-c`, as given.
    pub config_path: Option<String>,
    /// `--env-file`, as given. A later file wins.
    pub env_files: Vec<String>,
    /// Values that replace those of the file.
    pub overrides: Overrides,
    /// `-h`: print the help and exit. Later arguments are not parsed.
    pub help: bool,
    /// `-v`: print the version and exit. Later arguments are not parsed.
    pub version: bool,
    /// `--check`: report on the configuration and exit.
    pub check: bool,
    /// `--json`: print the report of `--check` as JSON.
    pub json: bool,
    /// `--any-host`: the report of `--check` leaves out what depends on this host.
    pub any_host: bool,
    /// `--strict`: unknown keys and sections, and Python plug-ins, are errors.
    pub strict: bool,
    /// Whether the configuration was found by search. Root then refuses a file that others can write.
    pub is_found: bool,
    /// Whether `[supervisord]` is required even if it could be implied: on a reread, because the file had the section
    /// before.
    pub needs_section: bool,
    /// `--nacos-KEY` and `--source-KEY`: keys of `[nacos]` and `[source]` with their texts, in the order given.
    pub source: Vec<(SectionKind, &'static str, String)>,
    /// The text that is read after the local files. `None`: there is none.
    pub remote: Option<Arc<RemoteText>>,
    /// `--profile_options`: accepted, without effect.
    pub profile_options: Option<Vec<String>>,
}
