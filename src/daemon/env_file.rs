//! `--env-file`: loads variables into the daemon's own environment before it reads its configuration.
//!
//! A file is read once, by the first image of the process. A reload and an upgrade keep the environment, so a file that
//! has vanished since cannot prevent them.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use super::fatal::Fatal;
use crate::config::env_file::{ENV_FILE_BYTES_MAX, parse_daemon_env_file};
use crate::domain::{from_bytes, to_bytes};
use crate::sys;

/// Loads the variables of each file, in this order. Call it before threads exist.
///
/// # Errors
/// A file cannot be read, or has a bad line.
// Differs: the Go re-implementation starts without a file that it cannot read.
pub(super) fn load_env_files(paths: &[String]) -> Result<(), Fatal> {
    for path in paths {
        let bytes = sys::read_small_file(Path::new(path), ENV_FILE_BYTES_MAX)
            .map_err(|error| Fatal::Usage(format!("cannot read --env-file {path}: {error}")))?;
        let variables = parse_daemon_env_file(&from_bytes(&bytes))
            .map_err(|error| Fatal::Usage(format!("{path}:{}: {}", error.line, error.reason)))?;
        for (name, value) in variables {
            sys::set_environment_variable(&name, OsStr::from_bytes(&to_bytes(&value)));
        }
    }
    Ok(())
}
