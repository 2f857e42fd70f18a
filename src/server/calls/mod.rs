//! Calls of METHODS, the same for every endpoint: an endpoint reads a call, has it executed here, and renders the
//! [`MethodResult`](method_result::MethodResult) in its own format.

pub(super) mod cgroup_usage;
pub(super) mod effective_config;
pub(super) mod execute;
pub(super) mod last_exit;
pub(super) mod log_parts;
pub(super) mod method_result;
pub(super) mod process_list;
pub(super) mod process_members;
pub(super) mod process_report;
mod process_stat;
mod process_tree;
pub(super) mod process_usage;
pub(super) mod secrets;
mod security_report;
pub(super) mod usage_history;
mod usage_lines;
pub(super) mod usage_sources;
