//! Reads the configuration for a running daemon. On an error the daemon continues unchanged.

use std::sync::Arc;

use super::check;
use super::machine::Machine;
use crate::config::options::DaemonOptions;
use crate::config::spec::{Config, GroupChange, GroupChangeResult, GroupSpec};
use crate::config::{self, CheckReport, ConfigErrors};
use crate::effects::{LoadError, LoadReason, PlannedUpdate};
use crate::source::SourceHandle;
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

/// What a running daemon needs to read its configuration again.
#[derive(Clone)]
pub(super) struct ConfigReading {
    /// The command line, as [`options_of`] returns it.
    pub(super) options: DaemonOptions,
    pub(super) machine: Arc<Machine>,
    pub(super) source: SourceHandle,
    /// The configuration of this run.
    pub(super) running: Arc<Config>,
}

impl ConfigReading {
    /// Reads the configuration.
    pub(super) fn reload(&self, reason: &LoadReason) -> Result<Config, LoadError> {
        let path = self.options.config_path.clone().unwrap_or_default();
        // Check what would end the next run while everything still works.
        let begins_anew = matches!(reason, LoadReason::Restart(_) | LoadReason::Hangup);
        let options = match begins_anew {
            true => self.options_of_next_run()?,
            false => self.newest_options()?,
        };
        let config = config::load(&path, &options, &*self.machine).map_err(|errors| {
            if options.remote.is_some() {
                let report =
                    CheckReport::new(&errors.all, &errors.warnings, errors.sources.clone());
                self.source.refused(&check::report(&path, &report, false));
            }
            load_error(errors)
        })?;
        if let Some(sentence) = user_refused(&config).filter(|_| begins_anew) {
            return Err(LoadError::of(sentence));
        }
        refuse_empty(&config).inspect_err(|error| self.source.refused(&error.sentence))?;
        self.note_loaded(&config);
        Ok(config)
    }

    /// Reads the configuration and plans an update of the active groups.
    pub(super) fn plan(&self, active: Vec<Arc<GroupSpec>>) -> Result<PlannedUpdate, LoadError> {
        let path = self.options.config_path.clone().unwrap_or_default();
        let options = self.newest_options()?;
        let loaded = config::load_with_places(&path, &options, &*self.machine);
        let (config, places) = loaded.map_err(load_error)?;
        let plan = config::plan::plan(&active, &config.groups, &places);
        let json =
            serde_json::to_string(&plan).map_err(|error| LoadError::of(error.to_string()))?;
        Ok(PlannedUpdate {
            config: Arc::new(config),
            active,
            id: plan.id,
            json,
        })
    }

    /// The options with the newest text of the server.
    fn newest_options(&self) -> Result<DaemonOptions, LoadError> {
        let newest = self.source.newest_text();
        Ok(DaemonOptions {
            remote: newest.map_err(LoadError::of)?,
            ..self.options.clone()
        })
    }

    /// The options of a run that begins with this reading: the settings of the server may be others.
    fn options_of_next_run(&self) -> Result<DaemonOptions, LoadError> {
        let path = self.options.config_path.as_deref();
        let settings = config::read_source_settings(path, &self.options, &*self.machine);
        let settings = settings.map_err(load_error)?;
        if settings.as_ref() == self.source.settings().map(|settings| &**settings) {
            return self.newest_options();
        }
        let mut options = self.options.clone();
        options.remote = match settings {
            None => None,
            Some(settings) => {
                let first = super::first_text::fetch(&Arc::new(settings), |_| {});
                Some(
                    first
                        .map_err(|error| LoadError::of(error.to_string()))?
                        .remote,
                )
            }
        };
        Ok(options)
    }

    fn note_loaded(&self, config: &Config) {
        let running = &self.running;
        let needs_restart = running.daemon != config.daemon || running.servers != config.servers;
        self.source.loaded(config.remote.as_ref(), needs_restart);
    }
}

/// Refuses a text of a server that would remove all programs: more likely an accident than intended.
pub(super) fn refuse_empty(config: &Config) -> Result<(), LoadError> {
    match &config.remote {
        Some(remote) if config.groups.is_empty() && !remote.settings.rules.allow_empty => {
            let (name, section) = (&remote.name, remote.settings.section());
            Err(LoadError::of(format!(
                "{name} would remove all programs (allow_empty=true in [{section}], or --{section}-allow-empty, permits that)"
            )))
        }
        _ => Ok(()),
    }
}

pub(super) fn load_error(errors: ConfigErrors) -> LoadError {
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
