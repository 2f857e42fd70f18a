//! Edits of the configuration for clients: programs in local files or in the item of the server, and the settings of the
//! server.
//!
//! An edit works on the texts. It is checked by reading the whole new configuration, and written to where the section came
//! from. A local file is then applied like an update of the groups that the edit changes; an item is applied when the
//! server reports the change, so that all hosts take the same path.

mod answer;
mod jobs;
mod listeners;
mod programs;
mod settings;
mod versions;

use std::sync::Arc;

use tokio::sync::Mutex;

pub use jobs::{
    CheckJob, ConfigDocument, ConfigDocuments, EditorJobs, EditorPaths, ParseJob, ReadJob,
    SettingsJob,
};

use super::handle::SourceHandle;
use crate::agent::protocol::{FailureKind, ItemFailure};
use crate::api::{Caller, ConfigCall, Fault, FaultCode};
use crate::config::source::RemoteText;
use crate::control::{ConfigAnswer, ConfigCalls, ConfigReply, ControlHandle, SourceHealth};
use crate::effects::LoadError;

/// Answers calls about the configuration. Clones are cheap.
#[derive(Clone)]
pub struct ConfigEditor {
    source: SourceHandle,
    jobs: EditorJobs,
    /// Held during a change, so that two clients do not write at the same time.
    changing: Arc<Mutex<()>>,
}

impl ConfigEditor {
    /// Creates the editor of a run.
    #[must_use]
    pub fn new(source: SourceHandle, jobs: EditorJobs) -> Self {
        Self {
            source,
            jobs,
            changing: Arc::default(),
        }
    }

    async fn answer(
        self,
        control: ControlHandle,
        caller: Caller,
        call: ConfigCall,
    ) -> Result<ConfigAnswer, Fault> {
        let reply = match call {
            ConfigCall::EditProgram(edit) => {
                return self.edit_program(&control, &caller, edit).await;
            }
            ConfigCall::RestoreVersion { id, md5 } => {
                return self.restore_version(&caller, id, md5).await;
            }
            ConfigCall::ListPrograms => self.list_programs().await,
            ConfigCall::GetProgram(name) => self.get_program(name).await,
            ConfigCall::SourceState => Ok(self.source_state()),
            ConfigCall::GetSource => self.get_settings().await,
            ConfigCall::SaveSource(given) => self.save_settings(given).await,
            ConfigCall::LeaveSource => self.leave().await,
            ConfigCall::TestSource(given) => self.test_settings(given).await,
            ConfigCall::ListVersions => self.list_versions().await,
            ConfigCall::GetVersion(id) => self.get_version(id).await,
            ConfigCall::ListListeners => self.list_listeners().await,
        };
        reply.map(ConfigAnswer::from)
    }

    /// Reads the newest text of the source. `None`: the configuration is in local files.
    async fn newest_remote(&self) -> Result<Option<Arc<RemoteText>>, Fault> {
        let Some(settings) = self.source.settings().cloned() else {
            return Ok(None);
        };
        if settings.nacos().is_none() {
            let source = self.source.clone();
            return blocking(move || {
                let newest = source.newest_text();
                newest.map_err(|error| FaultCode::Unavailable.of(error))
            })
            .await;
        }
        let read = self.source.read_item(&settings).await;
        let read = read.map_err(|failure| failure_fault(&failure))?;
        let remote = RemoteText::new(settings, &read.text, read.md5, read.server);
        Ok(Some(Arc::new(remote)))
    }
}

impl ConfigCalls for ConfigEditor {
    fn source_health(&self) -> Option<SourceHealth> {
        let status = self.source.status()?;
        Some(SourceHealth {
            is_nacos: status.kind == "nacos",
            applied_at: status.applied_at,
            is_up: status.is_up,
            is_rejected: status.is_rejected,
        })
    }

    fn call(&self, control: ControlHandle, caller: Caller, call: ConfigCall) -> ConfigReply {
        Box::pin(self.clone().answer(control, caller, call))
    }
}

/// Runs work that reads files on a helper thread of the server.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Fault> + Send + 'static,
) -> Result<T, Fault> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|_| Err(FaultCode::Failed.of("reading the configuration panicked")))
}

/// The fault for what the server did not do.
fn failure_fault(failure: &ItemFailure) -> Fault {
    let code = match failure.kind {
        FailureKind::Away => FaultCode::Unavailable,
        FailureKind::Missing => FaultCode::BadName,
        FailureKind::Conflict => FaultCode::Conflict,
        FailureKind::Unsupported => FaultCode::Unsupported,
        FailureKind::Unusable => FaultCode::CantReread,
        FailureKind::Denied | FailureKind::Rejected => FaultCode::Failed,
    };
    code.of(failure.message.as_str())
}

/// The fault for a configuration with errors: all of them, each with its file and line.
fn load_fault(error: LoadError) -> Fault {
    FaultCode::CantReread.of(match error.all.is_empty() {
        true => error.sentence,
        false => error.all.join("; "),
    })
}
