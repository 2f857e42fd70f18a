//! The interfaces of the hub: Cesi's REST v2 and our own. [`routes`] is the table from which dispatch, permissions and the
//! OpenAPI document derive.

mod call;
mod dispatch;
mod error;
mod json;
mod openapi;
mod perform;
mod route;
mod routes;
mod v1;
mod v2;

pub(in crate::hub) use dispatch::handle_request;
pub(in crate::hub) use routes::route_entries;
