//! Parameters and texts that several methods share.

use super::super::method::{BoundCall, Param, ParamKind};
use super::super::{FaultCode, Request, RequestTarget};
use crate::domain::Namespec;

/// Creates a required parameter.
pub(super) const fn param(name: &'static str, kind: ParamKind, doc: &'static str) -> Param {
    Param {
        name,
        kind,
        optional: false,
        doc,
    }
}

/// Creates an optional parameter.
pub(super) const fn optional(name: &'static str, kind: ParamKind, doc: &'static str) -> Param {
    Param {
        name,
        kind,
        optional: true,
        doc,
    }
}

pub(super) const GROUP_NAME: Param =
    param("group_name", ParamKind::Word, "Name of an active group");
pub(super) const PROCESS: Param = param(
    "name",
    ParamKind::Namespec,
    "Process, as `process` or `group:process`",
);
pub(super) const NAME_OF_PROCESS: Param = param(
    "name",
    ParamKind::Namespec,
    "Name of a process, as `process` or `group:process`",
);
pub(super) const PROCESS_OR_GROUP: Param = param(
    "name",
    ParamKind::Namespec,
    "Process, as `process` or `group:process`; `group:*` for all processes of a group",
);
/// Processes of an answer about several.
pub(super) const PROCESS_NAMES: Param = param(
    "names",
    ParamKind::Names,
    "`process`, `group:process`, `group:*`, or an array of those; empty: all processes. A word that names no process means the group of that name",
);
pub(super) const GROUP: Param = param("name", ParamKind::Word, "Name of the group");
pub(super) const SIGNAL: Param = param(
    "signal",
    ParamKind::Word,
    "Name or number of the signal: `HUP`, `SIGHUP`, `1`",
);
pub(super) const OFFSET: Param = param(
    "offset",
    ParamKind::Int,
    "First byte to read; a negative offset, with length 0, counts from the end",
);
pub(super) const LENGTH: Param = param(
    "length",
    ParamKind::Int,
    "Number of bytes to read; 0 = to the end",
);
pub(super) const TAIL_OFFSET: Param = param(
    "offset",
    ParamKind::Int,
    "First byte to read, such as the offset of the previous result",
);
pub(super) const TAIL_LENGTH: Param =
    param("length", ParamKind::Int, "Maximum number of bytes to read");
pub(super) const START_WAIT: Param = Param {
    name: "wait",
    kind: ParamKind::Truth,
    optional: true,
    doc: "Return only after the start has succeeded or failed",
};
pub(super) const STOP_WAIT: Param = Param {
    name: "wait",
    kind: ParamKind::Truth,
    optional: true,
    doc: "Return only after all processes have stopped",
};

pub(super) const DONE: &str = "Always true";
pub(super) const RESULTS: &str =
    "One struct per process: name, group, status (a fault code; 80 is success), description";
pub(super) const LOG_TEXT: &str = "The text; bytes that are not UTF-8 are replaced";
pub(super) const TAIL_RESULT: &str =
    "[text, size of the log, true if the log has more bytes than requested]";

/// The faults of a method that starts one process.
pub(super) const START_FAULTS: &[FaultCode] = &[
    FaultCode::BadName,
    FaultCode::NoFile,
    FaultCode::NotExecutable,
    FaultCode::AlreadyStarted,
    FaultCode::SpawnError,
    FaultCode::AbnormalTermination,
    FaultCode::Failed,
];

/// Creates a call for one process or, if `text` is a wildcard, for its group.
pub(super) fn target_request(
    text: String,
    request: impl FnOnce(RequestTarget) -> Request,
) -> BoundCall {
    let namespec = Namespec::parse(&text);
    if namespec.process.is_some() {
        BoundCall::Engine(request(RequestTarget::One(namespec, text)))
    } else {
        BoundCall::Wildcard(request(RequestTarget::Group(namespec.group)), text)
    }
}
