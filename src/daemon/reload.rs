//! Reads the configuration for a running daemon. On an error the daemon continues unchanged.

use std::sync::Arc;

use super::machine::Machine;
use crate::config::options::DaemonOptions;
use crate::config::spec::{Config, GroupChange, GroupChangeResult, GroupSpec};
use crate::config::{self, ConfigErrors};
use crate::effects::{LoadError, LoadReason, PlannedUpdate};
use crate::sys;

/// Returns the options with which a daemon that runs with `config` reads the file again.
///
/// If the file had `[supervisord]` and lacks it now, it was emptied or truncated. Accepting it as a file that needs no
/// such section would remove running programs.
pub(super) fn options_of(options: &DaemonOptions, config: &Config) -> DaemonOptions {
    DaemonOptions {
        needs_section: !config.is_implied,
        ..options.clone()
    }
}

/// Reads the configuration for a running daemon.
pub(super) fn reload(
    options: &DaemonOptions,
    machine: &Machine,
    reason: &LoadReason,
) -> Result<Config, LoadError> {
    let path = options.config_path.clone().unwrap_or_default();
    let config = config::load(&path, options, machine).map_err(load_error)?;
    // Check what would end the next run while everything still works.
    let begins_anew = matches!(reason, LoadReason::Restart(_) | LoadReason::Hangup);
    if let Some(sentence) = user_refused(&config).filter(|_| begins_anew) {
        return Err(LoadError::of(sentence));
    }
    Ok(config)
}

/// Reads the configuration and plans an update of the active groups.
pub(super) fn plan(
    options: &DaemonOptions,
    machine: &Machine,
    active: Vec<Arc<GroupSpec>>,
) -> Result<PlannedUpdate, LoadError> {
    let path = options.config_path.clone().unwrap_or_default();
    let (config, places) = config::load_with_places(&path, options, machine).map_err(load_error)?;
    let plan = config::plan::plan(&active, &config.groups, &places);
    let json = serde_json::to_string(&plan).map_err(|error| LoadError::of(error.to_string()))?;
    Ok(PlannedUpdate {
        config: Arc::new(config),
        active,
        id: plan.id,
        json,
    })
}

fn load_error(errors: ConfigErrors) -> LoadError {
    LoadError {
        all: errors.all.iter().map(ToString::to_string).collect(),
        lines: errors.lines(),
        sentence: errors.first,
    }
}

/// Makes the processes of a section for an active group.
pub(super) fn compose(
    options: &DaemonOptions,
    machine: &Machine,
    order: &GroupChange,
) -> Result<GroupChangeResult, String> {
    let path = options.config_path.clone().unwrap_or_default();
    // Return only the message, as for all faults about a configuration.
    config::build_group_change(&path, order, machine).map_err(|errors| errors.first)
}

/// Returns why the daemon cannot become the user of `config`. `None`: it can.
fn user_refused(config: &Config) -> Option<String> {
    let user = config.daemon.user.as_ref()?;
    let own = sys::effective_uid();
    (own != 0 && own != user.uid).then(|| "Can't drop privilege as nonroot user".to_owned())
}
