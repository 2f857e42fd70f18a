//! The table of pages: method, path, who may call it, and what it does. The paths have the words of Cesi's pages, so that
//! bookmarks such as `#/groups` lead to the same page here.

use super::{
    about, act, activity, environments, group, groups, log_follow, logs, node, node_events,
    operation_page, overview, processes, profile, session, static_files, users,
};
use crate::hub::api::route::{Need, Route};
use crate::hub::users::Role;

const VIEWER: Need = Need::Role(Role::Viewer);
const OPERATOR: Need = Need::Role(Role::Operator);
const ADMIN: Need = Need::Role(Role::Admin);
const POST: &[&str] = &["POST"];

/// All pages.
#[rustfmt::skip]
pub(in crate::hub) const ROUTES: &[Route] = &[
    Route::reads("/stylesheets/{file}", Need::Nothing, "The style sheet", |hub, call| {
        Box::pin(static_files::style_sheet(hub, call))
    }).page(),
    Route::reads("/scripts/{file}", Need::Nothing, "A script", |hub, call| {
        Box::pin(static_files::script(hub, call))
    }).page(),
    Route::reads("/images/{file}", Need::Nothing, "An image", |hub, call| {
        Box::pin(static_files::image(hub, call))
    }).page(),
    Route::new(POST, "/language", Need::Nothing, "Choose the language", |hub, call| {
        Box::pin(static_files::language(hub, call))
    }).page(),
    Route::reads("/login/", Need::Nothing, "The form to log in", |hub, call| {
        Box::pin(session::login_page(hub, call))
    }).page(),
    Route::new(POST, "/login/", Need::Nothing, "Log in", |hub, call| {
        Box::pin(session::log_in(hub, call))
    }).page(),
    Route::new(POST, "/logout/", VIEWER, "Log out", |hub, call| {
        Box::pin(session::log_out(hub, call))
    }).page().for_everybody(),
    Route::reads("/profile/", VIEWER, "The own password and tokens", |hub, call| {
        Box::pin(profile::page(hub, call))
    }).page(),
    Route::reads("/profile/change_password/", VIEWER, "The same, where Cesi has it", |hub, call| {
        Box::pin(profile::page(hub, call))
    }).page(),
    Route::new(POST, "/profile/", VIEWER, "Change the own password", |hub, call| {
        Box::pin(profile::change_password(hub, call))
    }).page().for_everybody(),
    Route::reads("/", VIEWER, "All hosts", |hub, call| Box::pin(overview::page(hub, call))).page(),
    Route::reads("/dashboard/", VIEWER, "The same, where Cesi has it", |hub, call| {
        Box::pin(overview::page(hub, call))
    }).page(),
    Route::reads("/nodes/", VIEWER, "The same, where Cesi has it", |hub, call| {
        Box::pin(overview::page(hub, call))
    }).page(),
    Route::reads("/nodes/{node}/", VIEWER, "The processes of a host", |hub, call| {
        Box::pin(node::page(hub, call))
    }).page(),
    Route::new(POST, "/nodes/{node}/actions", OPERATOR, "Act on processes of a host", |hub, call| {
        Box::pin(act::on_node(hub, call))
    }).page(),
    Route::reads("/nodes/{node}/events", VIEWER, "Changes of the rows of a host", |hub, call| {
        Box::pin(node_events::events(hub, call))
    }).page(),
    Route::reads("/nodes/{node}/tail.html", VIEWER, "The log of a process", |hub, call| {
        Box::pin(logs::page(hub, call))
    }).page(),
    Route::reads("/nodes/{node}/logfile", VIEWER, "The end of a log as a file", |hub, call| {
        Box::pin(logs::download(hub, call))
    }).page(),
    Route::reads("/nodes/{node}/logtail/{process}/{stream}", VIEWER, "A log as it grows", |hub, call| {
        Box::pin(log_follow::follow(hub, call))
    }).page(),
    Route::reads("/environments/", VIEWER, "All environments", |hub, call| {
        Box::pin(environments::page(hub, call))
    }).page(),
    Route::new(POST, "/environments/actions", OPERATOR, "Act on all processes of an environment", |hub, call| {
        Box::pin(act::on_environment(hub, call))
    }).page(),
    Route::reads("/groups/", VIEWER, "The groups of all hosts", |hub, call| {
        Box::pin(groups::page(hub, call))
    }).page(),
    Route::reads("/groups/{group}/", VIEWER, "A group on all its hosts", |hub, call| {
        Box::pin(group::page(hub, call))
    }).page(),
    Route::new(POST, "/groups/{group}/actions", OPERATOR, "Act on a group on all or some of its hosts", |hub, call| {
        Box::pin(act::on_group(hub, call))
    }).page(),
    Route::reads("/processes/", VIEWER, "The processes of all hosts", |hub, call| {
        Box::pin(processes::page(hub, call))
    }).page(),
    Route::new(POST, "/processes/actions", OPERATOR, "Act on processes of many hosts", |hub, call| {
        Box::pin(act::on_processes(hub, call))
    }).page(),
    Route::reads("/operations/", VIEWER, "The own actions on many processes", |hub, call| {
        Box::pin(operation_page::list(hub, call))
    }).page(),
    Route::reads("/operations/{operation}/", VIEWER, "The progress and the results of an action", |hub, call| {
        Box::pin(operation_page::page(hub, call))
    }).page(),
    Route::new(POST, "/operations/{operation}/stop", OPERATOR, "Keep further actions from beginning", |hub, call| {
        Box::pin(operation_page::stop(hub, call))
    }).page(),
    Route::reads("/activity/", VIEWER, "Who did what", |hub, call| {
        Box::pin(activity::page(hub, call))
    }).page(),
    Route::new(POST, "/activity/clear", ADMIN, "Empty the activity log", |hub, call| {
        Box::pin(activity::clear(hub, call))
    }).page(),
    Route::reads("/users/", ADMIN, "All users", |hub, call| Box::pin(users::page(hub, call))).page(),
    Route::new(POST, "/users/", ADMIN, "Add, change or delete a user", |hub, call| {
        Box::pin(users::change(hub, call))
    }).page(),
    Route::reads("/about/", VIEWER, "The version, and where to read more", |hub, call| {
        Box::pin(about::page(hub, call))
    }).page(),
];
