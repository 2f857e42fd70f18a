//! Earlier texts of the item.

use std::sync::Arc;

use serde_json::json;

use super::answer::{DIFF_CONTEXT, TextDiff, conflict, digest_of, reply, unified};
use super::{ConfigEditor, blocking, failure_fault, load_fault};
use crate::api::{Caller, Fault, FaultCode, Reply};
use crate::config::edit::masked_diff;
use crate::config::source::RemoteText;
use crate::control::ConfigAnswer;
use crate::source::snapshot::md5_of;

impl ConfigEditor {
    pub(super) async fn list_versions(&self) -> Result<Reply, Fault> {
        self.present().await?;
        let entries = self.source.history().await;
        let entries = entries.map_err(|failure| failure_fault(&failure))?;
        let versions: Vec<_> = entries
            .iter()
            .map(|entry| {
                json!({
                    "id": entry.id,
                    "operation": entry.operation,
                    "author": entry.author,
                    "time": entry.time,
                    "md5": entry.md5,
                })
            })
            .collect();
        Ok(reply(&json!({"versions": versions})))
    }

    pub(super) async fn get_version(&self, id: String) -> Result<Reply, Fault> {
        check_id(&id)?;
        let present = self.present().await?;
        let text = self.source.history_text(id.clone()).await;
        let text = text.map_err(|failure| failure_fault(&failure))?;
        let diff = difference(&present, &text.text);
        Ok(reply(
            &json!({"id": id, "text": text.text, "md5": text.md5, "present_md5": present.md5, "diff": diff}),
        ))
    }

    pub(super) async fn restore_version(
        &self,
        caller: &Caller,
        id: String,
        md5: String,
    ) -> Result<ConfigAnswer, Fault> {
        check_id(&id)?;
        let _changing = self.changing.lock().await;
        let present = self.present().await?;
        if !md5.is_empty() && md5 != present.md5 {
            return Err(conflict(&present.name, &present.md5, &present.text));
        }
        let earlier = self.source.history_text(id).await;
        let earlier = earlier.map_err(|failure| failure_fault(&failure))?;
        let (jobs, settings) = (self.jobs.clone(), Arc::clone(&present.settings));
        let text = earlier.text.clone();
        blocking(move || {
            let remote = RemoteText::new(settings, &text, md5_of(&text), String::new());
            let checked = (jobs.check)(Some(Arc::new(remote)), Vec::new(), &[]);
            checked.map(drop).map_err(load_fault)
        })
        .await?;
        let diff = difference(&present, &earlier.text);
        self.publish(caller, &present.text, earlier.text).await?;
        let answer = json!({"md5": earlier.md5, "diff": diff});
        Ok(ConfigAnswer {
            digest: digest_of(&answer),
            reply: reply(&answer),
        })
    }

    /// The present text of the item.
    pub(super) async fn present(&self) -> Result<Arc<RemoteText>, Fault> {
        self.newest_remote().await?.ok_or_else(|| {
            FaultCode::Unsupported.of("the configuration does not come from a Nacos server")
        })
    }
}

/// The difference from the present text to another one, without secrets.
fn difference(present: &RemoteText, text: &str) -> String {
    let diff = masked_diff(&present.text, text, DIFF_CONTEXT);
    let file = TextDiff {
        name: &present.name,
        diff: &diff,
        is_removed: false,
    };
    unified(std::iter::once(file))
}

/// Refuses what is no id of a version: servers answer it with an error of their own.
fn check_id(id: &str) -> Result<(), Fault> {
    match !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_digit()) {
        true => Ok(()),
        false => Err(FaultCode::BadName.of(id)),
    }
}
