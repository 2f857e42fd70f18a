//! The interfaces of the hub: Cesi's REST v2 and our own. [`routes`] is the table from which dispatch, permissions and the
//! OpenAPI document derive. The pages of the hub have a table of their own, with the same checks.

pub(in crate::hub) mod call;
mod dispatch;
pub(in crate::hub) mod error;
mod json;
pub(in crate::hub) mod manage_users;
mod openapi;
pub(in crate::hub) mod perform;
pub(in crate::hub) mod process_counts;
pub(in crate::hub) mod route;
mod routes;
pub(in crate::hub) mod session;
mod v1;
mod v2;
pub(in crate::hub) mod visible_records;

pub(in crate::hub) use dispatch::handle_request;
pub(in crate::hub) use routes::route_entries;
