//! Cesi's REST v2: its paths, answers and statuses. Where an answer of Cesi is broken, a comment says what ours gives.

mod activity;
mod groups;
mod login;
mod nodes;
mod process_json;
mod processes;
mod reply;
mod users;

pub(super) use activity::{activity, clear_activity};
pub(super) use groups::{environments, group, group_on_node, groups};
pub(super) use login::{change_password, login, logout, profile, version};
pub(super) use nodes::{node, nodes, process, processes};
pub(super) use processes::{log, restart, restart_all, start, start_all, stop, stop_all};
pub(super) use users::{add_user, delete_user, users};
