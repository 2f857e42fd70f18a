//! The result of a method, before an endpoint renders it. It knows no format: each endpoint renders it with its own types,
//! and writes processes through [`process_members`](super::process_members).

use super::log_parts::LogTail;
use crate::api::{FaultCode, ProcessView, Reply, TableColumns, TargetResult};
use crate::domain::{GroupName, Namespec, ProcessName};

/// The result of a method.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::server) enum MethodResult {
    /// The engine's reply, or one that the server itself can give.
    Reply(Reply),
    /// The end of a log.
    Tail(LogTail),
    /// Processes, as one text with these columns.
    Table(Vec<ProcessView>, TableColumns),
}

/// The status code of a result for one process, and its text: `OK`, or the fault's.
pub(in crate::server) fn target_status(result: &TargetResult) -> (i32, String) {
    match &result.fault {
        None => (FaultCode::Success.code(), "OK".to_owned()),
        Some(fault) => (fault.code.code(), fault.to_string()),
    }
}

/// The full names of processes of a group.
pub(in crate::server) fn namespecs(
    group: &GroupName,
    names: &[ProcessName],
) -> impl Iterator<Item = String> {
    names
        .iter()
        .map(|name| Namespec::print(group.as_str(), name.as_str()))
}
