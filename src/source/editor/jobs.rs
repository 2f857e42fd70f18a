//! What the editor needs of the daemon: the texts of the configuration, a check of changed ones, and paths.

use std::path::PathBuf;
use std::sync::Arc;

use crate::config::plan::{KeyPlaces, UpdatePlan};
use crate::config::source::{RemoteText, SourceSettings};
use crate::config::spec::GroupSpec;
use crate::effects::LoadError;

/// One text of the configuration.
#[derive(Debug, Clone)]
pub struct ConfigDocument {
    /// Its name in messages: the path, or the name of the item.
    pub name: String,
    /// The path. `None`: it is the text of the source.
    pub path: Option<PathBuf>,
    /// The text.
    pub text: String,
}

/// All texts of a configuration, in the order of reading.
#[derive(Debug)]
pub struct ConfigDocuments {
    /// The texts. Their indexes are those of `places`.
    pub documents: Vec<ConfigDocument>,
    /// Where sections and keys are.
    pub places: KeyPlaces,
    /// Whether the text of the source can be written: it is an item of a server.
    pub is_remote_writable: bool,
    /// What the texts mean.
    pub groups: Vec<Arc<GroupSpec>>,
}

impl ConfigDocuments {
    /// The index of the text of the server. `None`: there is none that can be written.
    #[must_use]
    pub fn remote_index(&self) -> Option<usize> {
        let mut documents = self.documents.iter();
        let remote = documents.position(|document| document.path.is_none());
        remote.filter(|_| self.is_remote_writable)
    }
}

/// Reads all texts. The remote text is given.
pub type ReadJob =
    dyn Fn(Option<Arc<RemoteText>>) -> Result<ConfigDocuments, LoadError> + Send + Sync;
/// Reads the configuration with changed texts of files (path and text) and plans the update from `groups` to it.
pub type CheckJob = dyn Fn(
        Option<Arc<RemoteText>>,
        Vec<(String, String)>,
        &[Arc<GroupSpec>],
    ) -> Result<UpdatePlan, LoadError>
    + Send
    + Sync;
/// The texts of `[nacos]` keys of the next start, by key.
pub type SettingsJob = dyn Fn() -> Vec<(&'static str, String)> + Send + Sync;
/// Makes settings from texts of keys. The error is one line.
pub type ParseJob = dyn Fn(&[(String, String)]) -> Result<SourceSettings, String> + Send + Sync;

/// Work that the daemon does for the editor. It may block.
#[derive(Clone)]
pub struct EditorJobs {
    /// See [`ReadJob`].
    pub read: Arc<ReadJob>,
    /// See [`CheckJob`].
    pub check: Arc<CheckJob>,
    /// See [`SettingsJob`].
    pub settings: Arc<SettingsJob>,
    /// See [`ParseJob`].
    pub parse_settings: Arc<ParseJob>,
    /// The paths of files.
    pub paths: EditorPaths,
}

/// The paths of files that the editor writes.
#[derive(Debug, Clone)]
pub struct EditorPaths {
    /// The file with the settings of the server. `None`: there is no configuration file that it could be beside.
    pub settings: Option<PathBuf>,
}
