//! The settings of the server: shown, saved, removed and tried.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

use super::answer::reply;
use super::{ConfigEditor, blocking, failure_fault, load_fault};
use crate::api::{Fault, FaultCode, Reply};
use crate::config::key::{ConfigKey, SectionKind};
use crate::config::saved_settings::{parse_settings, render_settings};
use crate::config::source::RemoteText;
use crate::source::status::SourceStatus;
use crate::sys::{self, SmallFileError};

/// The keys that clients set and see, in this order.
const KEYS: [&str; 5] = ["server", "dataid", "namespace", "group", "username"];
const PASSWORD: &str = "password";
const NOT_USE_CACHE: &str = "not_use_cache";
/// Maximum size of the settings file in bytes.
const FILE_BYTES_MAX: usize = 64 << 10;

/// The texts of settings, by key.
type SettingTexts = BTreeMap<String, String>;

impl ConfigEditor {
    /// The state of the source, without what only those may see who edit it.
    pub(super) fn source_state(&self) -> Reply {
        let status = self.source.status().unwrap_or_default();
        let kind = if status.kind.is_empty() {
            "files"
        } else {
            status.kind
        };
        reply(&json!({
            "kind": kind,
            "item": status.item,
            "server": status.server,
            "md5": status.md5,
            "newest_md5": status.newest_md5,
            "up": status.is_up || status.kind.is_empty(),
            "rejected": status.is_rejected,
            "error": status.last_error,
            "read_at": status.read_at,
            "applied_at": status.applied_at,
            "now": sys::now().wall.secs(),
            "needs_restart": status.needs_restart,
        }))
    }

    pub(super) async fn get_settings(&self) -> Result<Reply, Fault> {
        let (jobs, source) = (self.jobs.clone(), self.source.clone());
        blocking(move || {
            let texts: SettingTexts = (jobs.settings)()
                .into_iter()
                .map(|(key, text)| (key.to_owned(), text))
                .collect();
            let text = |key: &str| texts.get(key).cloned().unwrap_or_default();
            let mut value = json!({});
            for key in KEYS {
                let row = ConfigKey::find(SectionKind::Nacos, key);
                let default = row.and_then(|row| row.default).unwrap_or_default();
                let text = texts.get(key).map_or(default, String::as_str);
                value[key] = Value::String(text.to_owned());
            }
            let status = source.status();
            let path = jobs.paths.settings.as_deref();
            value["has_password"] =
                (texts.contains_key(PASSWORD) || texts.contains_key("password_file")).into();
            value[NOT_USE_CACHE] = is_true(&text(NOT_USE_CACHE)).into();
            let is_nacos = |status: &SourceStatus| status.kind == "nacos";
            value["active"] = status.as_ref().is_some_and(is_nacos).into();
            value["saved"] = path.is_some_and(std::path::Path::exists).into();
            let status = status.unwrap_or_default();
            value["kind"] = status.kind.into();
            value["item"] = status.item.into();
            value["report"] = status.report.into();
            value["md5"] = status.md5.into();
            value["newest_md5"] = status.newest_md5.into();
            value["up"] = status.is_up.into();
            value["rejected"] = status.is_rejected.into();
            value["error"] = status.last_error.into();
            value["applied_at"] = status.applied_at.into();
            value["needs_restart"] = status.needs_restart.into();
            Ok(reply(&value))
        })
        .await
    }

    pub(super) async fn save_settings(&self, given: Vec<(String, String)>) -> Result<Reply, Fault> {
        let _changing = self.changing.lock().await;
        let jobs = self.jobs.clone();
        blocking(move || {
            let path = jobs.paths.settings.clone().ok_or_else(no_file)?;
            let mut texts: SettingTexts = given.into_iter().collect();
            if !texts.contains_key(PASSWORD)
                && let Some(password) = saved(&path)?.remove(PASSWORD)
            {
                texts.insert(PASSWORD.to_owned(), password);
            }
            let keys: Vec<(String, String)> = texts.into_iter().collect();
            let parsed = (jobs.parse_settings)(&keys);
            parsed.map_err(|error| FaultCode::IncorrectParameters.of(error))?;
            let text = render_settings(&keys);
            let text = text.map_err(|error| FaultCode::IncorrectParameters.of(error))?;
            sys::replace_secret_file(&path, text.as_bytes()).map_err(|error| {
                FaultCode::Failed.of(format!("cannot write {}: {error}", path.display()))
            })
        })
        .await?;
        self.get_settings().await
    }

    pub(super) async fn leave(&self) -> Result<Reply, Fault> {
        let _changing = self.changing.lock().await;
        let jobs = self.jobs.clone();
        blocking(move || {
            let path = jobs.paths.settings.clone().ok_or_else(no_file)?;
            match std::fs::remove_file(&path) {
                Ok(()) => Ok(Reply::Done),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Reply::Done),
                Err(error) => {
                    let text = format!("cannot remove {}: {error}", path.display());
                    Err(FaultCode::Failed.of(text))
                }
            }
        })
        .await
    }

    pub(super) async fn test_settings(&self, given: Vec<(String, String)>) -> Result<Reply, Fault> {
        let jobs = self.jobs.clone();
        let settings = blocking(move || {
            let mut texts: SettingTexts = (jobs.settings)()
                .into_iter()
                .map(|(key, text)| (key.to_owned(), text))
                .collect();
            texts.extend(given);
            let keys: Vec<(String, String)> = texts.into_iter().collect();
            let parsed = (jobs.parse_settings)(&keys);
            parsed.map_err(|error| FaultCode::IncorrectParameters.of(error))
        })
        .await?;
        let settings = Arc::new(settings);
        let read = self.source.read_item(&settings).await;
        let read = read.map_err(|failure| failure_fault(&failure))?;
        let jobs = self.jobs.clone();
        blocking(move || {
            let size = read.text.len();
            let remote = RemoteText::new(settings, &read.text, read.md5, read.server);
            let (md5, server) = (remote.md5.clone(), remote.server.clone());
            let checked = (jobs.check)(Some(Arc::new(remote)), Vec::new(), &[]);
            checked.map_err(load_fault)?;
            Ok(reply(
                &json!({"md5": md5, "size": size, "server": server, "problems": []}),
            ))
        })
        .await
    }
}

fn no_file() -> Fault {
    FaultCode::Failed.of(
        "the daemon was started without a configuration file beside which the settings could be saved (use the command line)",
    )
}

fn is_true(text: &str) -> bool {
    crate::config::value::boolean(text).unwrap_or(false)
}

/// The saved settings.
fn saved(path: &std::path::Path) -> Result<SettingTexts, Fault> {
    match sys::read_secret_file(path, FILE_BYTES_MAX, None) {
        Ok(read) => {
            let bytes = read.map(|(_, bytes)| bytes).unwrap_or_default();
            Ok(parse_settings(&String::from_utf8_lossy(&bytes))
                .into_iter()
                .collect())
        }
        Err(SmallFileError::Missing) => Ok(SettingTexts::new()),
        Err(error) => Err(FaultCode::Failed.of(format!("{}: {error}", path.display()))),
    }
}
