//! Calls of METHODS, for every endpoint: which processes and logs a result describes, before an endpoint renders it.

pub(super) mod log_parts;
pub(super) mod process_members;
