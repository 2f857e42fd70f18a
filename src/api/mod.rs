//! Requests to the daemon and their replies as plain data, the table of methods, and the XML-RPC codec. Every server
//! translates to and from these types.

mod argument;
mod audit;
mod caller;
mod config_call;
mod fault;
pub mod manual;
mod members;
mod method;
mod methods;
mod process_details;
mod progress;
mod request;
mod result_kind;
mod subject;
pub mod xmlrpc;

pub use argument::{NAMES_MAX, OPTIONS_BYTES_MAX};
pub use audit::{AuditEntry, AuditRecord, audit_line};
pub use caller::{Access, AccessScope, Caller, Grant, Permission, Ticket, Transport};
pub use config_call::{ConfigCall, ProgramChange, ProgramEdit};
pub use fault::{Fault, FaultCode, PERMISSION_DENIED, PRESENT_VERSION};
pub use members::{
    DETAIL_MEMBERS, ListResponse, MemberSink, PROCESS_MEMBERS, TableColumns, TableWriter,
    escape_member, push_int, read_table, unescape_member,
};
pub use method::{
    BoundCall, Method, Param, ParamKind, RpcInterfaces, WireType, find_method, method_names,
};
pub use methods::METHODS;
pub use process_details::{AttemptEnd, EndedInstance, ProcessDetails, StateEntry};
pub use progress::ProcessProgress;
pub use request::{
    ConfigView, DependencyNeed, DependencyView, JournalMatch, LogRef, ProcessHold, ProcessView,
    RejectedText, Reply, Request, RequestEffect, RequestTarget, RollingLimits, TargetResult,
};
pub use result_kind::ResultKind;
pub use subject::{NAME_CHARS_MAX, RequestSubject};
