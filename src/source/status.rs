//! What people see of the source: its text, its server and its last error.

use serde::Serialize;

/// The state of the source.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct SourceStatus {
    /// The kind: `nacos` or `command`.
    pub kind: &'static str,
    /// Namespace, group and data ID, or the command.
    pub item: String,
    /// The MD5 of the text that is applied. Empty: none yet.
    pub md5: String,
    /// The MD5 of the newest text. It differs from `md5` while that is not applied, or was refused.
    pub newest_md5: String,
    /// The server that answered last, or the program. Empty: none yet.
    pub server: String,
    /// Whether the item can be read.
    pub is_up: bool,
    /// Whether the newest text was refused.
    pub is_rejected: bool,
    /// Why the item cannot be read, or why its text was refused. Empty: neither.
    pub last_error: String,
    /// The errors of a text that was refused, with their lines. Empty: none was.
    pub report: String,
    /// When the newest text was read last, in seconds since 1970. 0: not in this run.
    pub read_at: i64,
    /// When the applied text was applied, in seconds since 1970.
    pub applied_at: i64,
    /// Whether the applied text changes what only a restart changes.
    pub needs_restart: bool,
}
