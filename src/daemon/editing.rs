//! What the editor of the configuration needs of the daemon: reads all texts, and checks changed ones.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use super::machine::Machine;
use super::reload::{load_error, refuse_empty};
use crate::config::edited_files::EditedFiles;
use crate::config::lookup::{Lookup as _, LookupError};

use crate::config::options::DaemonOptions;
use crate::config::plan::UpdatePlan;
use crate::config::saved_settings::SETTINGS_FILE;
use crate::config::source::{RemoteText, SourceSettings};
use crate::config::spec::GroupSpec;
use crate::config::{self};
use crate::effects::LoadError;
use crate::source::{ConfigDocument, ConfigDocuments, EditorJobs, EditorPaths};

/// The work of the daemon for the editor.
pub(super) fn editor_jobs(options: &DaemonOptions, machine: &Arc<Machine>) -> EditorJobs {
    let reading = Reading {
        options: options.clone(),
        machine: machine.clone(),
    };
    let (to_check, to_set, to_parse) = (reading.clone(), reading.clone(), reading.clone());
    let path = options.config_path.as_deref();
    let settings = path.map(|path| {
        let main = PathBuf::from(config::absolute(path, &**machine));
        main.with_file_name(SETTINGS_FILE)
    });
    EditorJobs {
        read: Arc::new(move |remote| reading.documents(remote)),
        check: Arc::new(move |remote, files, groups| to_check.check(remote, files, groups)),
        settings: Arc::new(move || to_set.settings()),
        parse_settings: Arc::new(move |keys| to_parse.parse_settings(keys)),
        paths: EditorPaths { settings },
    }
}

#[derive(Clone)]
struct Reading {
    options: DaemonOptions,
    machine: Arc<Machine>,
}

impl Reading {
    fn path(&self) -> String {
        self.options.config_path.clone().unwrap_or_default()
    }

    fn options_with(&self, remote: Option<Arc<RemoteText>>) -> DaemonOptions {
        DaemonOptions {
            remote,
            ..self.options.clone()
        }
    }

    /// Reads all texts of the configuration.
    fn documents(&self, remote: Option<Arc<RemoteText>>) -> Result<ConfigDocuments, LoadError> {
        let options = self.options_with(remote.clone());
        let loaded = config::load_with_places(&self.path(), &options, &*self.machine);
        let (config, places) = loaded.map_err(load_error)?;
        let mut documents = Vec::new();
        for name in places.file_names() {
            documents.push(match &remote {
                Some(remote) if *name == remote.name => ConfigDocument {
                    name: name.clone(),
                    path: None,
                    text: remote.text.to_string(),
                },
                _ => self.document(name)?,
            });
        }
        let is_writable = |text: &Arc<RemoteText>| text.settings.nacos().is_some();
        Ok(ConfigDocuments {
            is_remote_writable: remote.as_ref().is_some_and(is_writable),
            documents,
            places,
            groups: config.groups,
        })
    }

    fn document(&self, name: &str) -> Result<ConfigDocument, LoadError> {
        let refuse = |why: &str| LoadError::of(format!("{name}: {why}"));
        let bytes = self.machine.read(name).map_err(|error| {
            let (LookupError::Missing(why) | LookupError::Unreadable(why)) = error;
            refuse(if why.is_empty() {
                "the file does not exist"
            } else {
                &why
            })
        })?;
        let text = String::from_utf8(bytes).map_err(|_| refuse("it is not UTF-8"))?;
        let path = PathBuf::from(config::absolute(name, &*self.machine));
        Ok(ConfigDocument {
            name: name.to_owned(),
            path: Some(path),
            text,
        })
    }

    /// Reads the configuration with changed texts, and plans the update from `groups` to it.
    fn check(
        &self,
        remote: Option<Arc<RemoteText>>,
        files: Vec<(String, String)>,
        groups: &[Arc<GroupSpec>],
    ) -> Result<UpdatePlan, LoadError> {
        let absolute = |path: &str| config::absolute(path, &*self.machine);
        let files: BTreeMap<String, String> = files
            .into_iter()
            .map(|(path, text)| (absolute(&path), text))
            .collect();
        let edited = EditedFiles::new(&*self.machine, files);
        let options = self.options_with(remote);
        let loaded = config::load_with_places(&self.path(), &options, &edited);
        let (config, places) = loaded.map_err(load_error)?;
        refuse_empty(&config)?;
        Ok(config::plan::plan(groups, &config.groups, &places))
    }

    /// The texts of the keys of `[nacos]` with which the next start would begin.
    fn settings(&self) -> Vec<(&'static str, String)> {
        let path = self.options.config_path.as_deref();
        config::read_nacos_texts(path, &self.options, &*self.machine)
    }

    fn parse_settings(&self, keys: &[(String, String)]) -> Result<SourceSettings, String> {
        config::parse_nacos_keys(keys, &*self.machine)
    }
}
