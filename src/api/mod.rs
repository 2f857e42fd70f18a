//! The words of control: plain data that every server translates to and from.

mod argument;
mod audit;
mod caller;
mod fault;
pub mod manual;
mod members;
mod method;
mod methods;
mod request;
pub mod xmlrpc;

pub use argument::{NAMES_MAX, OPTIONS_BYTES_MAX};
pub use audit::{AuditEntry, NAME_CHARS_MAX, audit_line};
pub use caller::{Access, Caller, Front, Grant, Permission, Scope, Ticket};
pub use fault::{Fault, FaultCode};
pub use members::{Columns, ListResponse, Members, PROCESS_MEMBERS, Table, push_int, read_table};
pub use method::{Bound, Interfaces, Method, Param, ParamKind, WireType, method, names};
pub use methods::METHODS;
pub use request::{
    ConfigView, JournalOf, LogOf, ProcessView, Reply, Request, Target, TargetResult,
};
