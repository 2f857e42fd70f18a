//! The hub's own interface: JSON, errors as problem details, changes by POST, PATCH and DELETE only.

mod actions;
mod activity;
mod events;
mod node_json;
mod nodes;
mod reply;
mod selector;
mod targets;
mod tokens;
mod users;

pub(super) use actions::actions;
pub(super) use activity::activity;
pub(super) use events::events;
pub(super) use nodes::{log, node, nodes, processes};
pub(super) use targets::targets;
pub(super) use tokens::{add_token, delete_token, tokens};
pub(super) use users::{add_user, change_user, delete_user, session, users};
