//! The hosts that use the item.

use serde_json::json;

use super::answer::reply;
use super::{ConfigEditor, failure_fault};
use crate::api::{Fault, Reply};

impl ConfigEditor {
    pub(super) async fn list_listeners(&self) -> Result<Reply, Fault> {
        let present = self.present().await?;
        let hosts = self.source.listeners().await;
        let hosts = hosts.map_err(|failure| failure_fault(&failure))?;
        let hosts: Vec<_> = hosts
            .iter()
            .map(|(address, md5)| {
                json!({
                    "address": address,
                    "md5": md5,
                    "current": md5.eq_ignore_ascii_case(&present.md5),
                })
            })
            .collect();
        Ok(reply(&json!({"hosts": hosts, "md5": present.md5})))
    }
}
