//! Where the configuration comes from besides local files: an item of a Nacos server, or the output of a command.
//!
//! A start gets the text with [`fetch_first_text`], before the daemon has threads. From then on the thread `source` watches
//! the item through the agent, or runs the command again and again, has changed texts applied like an update, and stores each applied text as the snapshot of
//! the next start. Every reading of the configuration, also one that a client asks for, gets the newest text first
//! ([`SourceHandle::newest_text`]).

mod command;
mod command_watch;
mod editor;
mod first_text;
mod handle;
mod snapshot;
mod status;
mod thread;

pub use editor::{
    CheckJob, ConfigDocument, ConfigDocuments, ConfigEditor, EditorJobs, EditorPaths, ParseJob,
    ReadJob, SettingsJob,
};
pub use first_text::{FirstText, FirstTextError, fetch_first_text};
pub use handle::{SourceHandle, SourceOptions};
pub use snapshot::md5_of;
pub use status::SourceStatus;

use crate::agent::protocol::NacosItem;
use crate::config::nacos::NacosSettings;

/// The item of these settings, as the agent needs it.
fn item_of(settings: &NacosSettings) -> NacosItem {
    let milliseconds = |seconds: crate::domain::Seconds| {
        u64::try_from(seconds.0)
            .unwrap_or_default()
            .saturating_mul(1000)
    };
    NacosItem {
        servers: settings.servers.clone(),
        dataid: settings.dataid.clone(),
        namespace: settings.namespace.clone(),
        group: settings.group.clone(),
        username: settings.username.clone(),
        password: settings.password.clone(),
        api: settings.api,
        poll_timeout_ms: milliseconds(settings.poll_timeout),
        poll_interval_ms: milliseconds(settings.poll_interval),
        tls_ca: settings.tls_ca.clone(),
    }
}
