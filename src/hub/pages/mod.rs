//! The pages of the hub, for people. They work by links and forms without scripts; scripts keep them current. Each shows only
//! what is within the user's limits, and only the buttons that the user's role permits; the table of routes checks both again.

mod about;
mod act;
mod activity;
mod environments;
mod error_page;
mod group;
mod groups;
mod host_row;
mod hub_page;
mod lists;
mod log_follow;
mod logs;
mod node;
mod node_events;
mod node_row;
mod operation_page;
mod outcome;
mod overview;
mod process_list;
mod processes;
mod profile;
mod routes;
mod session;
mod static_files;
mod targets;
mod users;

pub(super) use error_page::{error_page, refusal_for_script};
pub(super) use routes::ROUTES;
