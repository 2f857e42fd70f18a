//! The text of the server that a start begins with, for all starts of the daemon.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::machine::Machine;
use crate::config::options::DaemonOptions;
use crate::config::source::SourceSettings;
use crate::config::{self, ConfigErrors};
use crate::source::{FirstText, FirstTextError, fetch_first_text};
use crate::{agent, engine};

/// Returns the program of the agent. If none is installed, its start reports this path.
pub(super) fn agent_program() -> PathBuf {
    agent::find_program().unwrap_or_else(|| Path::new("supervisord-agent").to_owned())
}

/// Reads the text. `waiting`: see [`fetch_first_text`].
pub(super) fn fetch(
    settings: &Arc<SourceSettings>,
    waiting: impl FnOnce(&str),
) -> Result<FirstText, FirstTextError> {
    fetch_first_text(settings, &agent_program(), waiting)
}

/// Why a start has no text of the server.
pub(super) enum NoFirstText {
    /// The settings are wrong.
    Settings(ConfigErrors),
    /// There is no text.
    Text(FirstTextError),
}

/// Adds the text of the server to the options, if the configuration comes from one. Returns lines for the log.
pub(super) fn add_first_text(
    options: &mut DaemonOptions,
    machine: &Machine,
) -> Result<Vec<crate::domain::Line>, NoFirstText> {
    let path = options.config_path.as_deref();
    let settings = config::read_source_settings(path, options, machine);
    let Some(settings) = settings.map_err(NoFirstText::Settings)? else {
        return Ok(Vec::new());
    };
    let first = fetch(&Arc::new(settings), engine::report_waiting);
    let FirstText { remote, notes } = first.map_err(NoFirstText::Text)?;
    options.remote = Some(remote);
    Ok(notes)
}
