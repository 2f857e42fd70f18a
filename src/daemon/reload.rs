//! Reads the configuration for a running daemon, which goes on as it was if anything is wrong with it.

use super::machine::Machine;
use crate::config;
use crate::config::options::DaemonOptions;
use crate::config::spec::{Config, GroupChange, GroupChangeResult};
use crate::core::{LoadError, LoadReason};
use crate::sys;

/// The options with which a daemon that runs with `config` reads again.
///
/// A file that had `[supervisord]` and has it no more was emptied or cut: taking it for a file that needs no such section would
/// remove programs that run.
pub(super) fn options_of(options: &DaemonOptions, config: &Config) -> DaemonOptions {
    DaemonOptions {
        needs_section: !config.is_implied,
        ..options.clone()
    }
}

/// Reads the configuration afresh, for a running daemon.
pub(super) fn reload(
    options: &DaemonOptions,
    machine: &Machine,
    reason: &LoadReason,
) -> Result<Config, LoadError> {
    let path = options.config_path.clone().unwrap_or_default();
    let config = config::load(&path, options, machine).map_err(|errors| LoadError {
        sentence: errors.first.clone(),
        all: errors.all.iter().map(ToString::to_string).collect(),
        lines: errors.lines(),
    })?;
    // What the next run would die of, said while nothing is lost yet.
    let begins_anew = matches!(reason, LoadReason::Restart(_) | LoadReason::Hangup);
    if let Some(sentence) = user_refused(&config).filter(|_| begins_anew) {
        return Err(LoadError::of(sentence));
    }
    Ok(config)
}

/// Makes the processes of a section for a group that is active.
pub(super) fn compose(
    options: &DaemonOptions,
    machine: &Machine,
    order: &GroupChange,
) -> Result<GroupChangeResult, String> {
    let path = options.config_path.clone().unwrap_or_default();
    // The sentence alone, as for every fault about a configuration.
    config::build_group_change(&path, order, machine).map_err(|errors| errors.first)
}

/// Why the daemon cannot become the user of `config`, if it cannot.
fn user_refused(config: &Config) -> Option<String> {
    let user = config.daemon.user.as_ref()?;
    let own = sys::effective_uid();
    (own != 0 && own != user.uid).then(|| "Can't drop privilege as nonroot user".to_owned())
}
