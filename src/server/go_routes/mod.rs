//! The addresses of the Go project, under which its page and its clients control programs. They call methods of METHODS
//! with the same authorisation as XML-RPC. `route` has the addresses; the other files answer them by topic.
//!
//! The keys of JSON texts are those of the Go project, and a failed action is 200 with `success: false`, because its
//! clients read nothing else. The rest is sound: errors say why, logs are read in parts, a list of files has the files of
//! the program only, and a browser changes something only for a page of this server.

mod files;
mod nodes;
mod own_node;
mod programs;
mod reply;
mod route;

use std::sync::Arc;

use hyper::body::Incoming;
use hyper::http::request::Parts;
use hyper::{Method, StatusCode};

use crate::api::Caller;
use crate::http_server::response::HttpBody;
use crate::server::http::connection::HttpConnection;
use crate::server::http::response::{HandlerResponse, method_not_allowed};
use crate::server::web;
pub(in crate::server) use own_node::OwnNode;
use route::GoAction;
pub(in crate::server) use route::GoRoute;

impl GoRoute {
    /// Answers a request.
    pub(in crate::server) async fn answer(
        self,
        connection: &Arc<HttpConnection>,
        caller: Caller,
        head: &Parts,
        body: &mut Incoming,
    ) -> HandlerResponse {
        if !self.has_method(&head.method) {
            return method_not_allowed(self.methods());
        }
        if self.is_change() && !web::may_change(&head.headers) {
            return reply::json_error(
                StatusCode::FORBIDDEN,
                "the request came from another web page",
            );
        }
        let is_head = head.method == Method::HEAD;
        let mut answer = match connection.shared.node.is_named(&self.node) {
            true => perform(self.action, connection, caller, head, body).await,
            false => unknown_node(&self),
        };
        if is_head
            && let HandlerResponse::Made(made) = &mut answer
            && let HttpBody::Whole(body) = &made.body
        {
            made.body = HttpBody::None(Some(body.len()));
        }
        answer
    }
}

async fn perform(
    action: GoAction,
    connection: &Arc<HttpConnection>,
    caller: Caller,
    head: &Parts,
    body: &mut Incoming,
) -> HandlerResponse {
    match action {
        GoAction::ListPrograms => programs::list(connection, &caller).await,
        GoAction::ProgramInfo(name) => programs::info(connection, &caller, &name).await,
        GoAction::Change(change, name) => programs::change(connection, caller, change, name).await,
        GoAction::ChangeMany(change) => {
            programs::change_many(connection, caller, change, head, body).await
        }
        GoAction::ProgramLog(name, channel) => {
            files::program_log(connection, caller, head, &name, channel).await
        }
        GoAction::ListNodes => nodes::list(connection, &caller).await,
        GoAction::Ping => reply::success(Ok(())),
        GoAction::Reload => nodes::reload(connection, caller).await,
        GoAction::Shutdown => nodes::shutdown(connection, &caller).await,
        GoAction::ConfFile(name) => files::conf_file(connection, &caller, &name).await,
        GoAction::LogDirectory(name) => files::log_directory(&name),
        GoAction::LogFiles(name) => files::log_files(connection, &caller, &name).await,
        GoAction::LogFile(name, file) => {
            files::log_file(connection, &caller, head, &name, &file).await
        }
    }
}

/// Answers a request to a node that this one does not know.
fn unknown_node(route: &GoRoute) -> HandlerResponse {
    let node: String = route
        .node
        .chars()
        .take(crate::domain::FOREIGN_CHARS_MAX)
        .collect();
    let why = format!("no node named {node}");
    match route.action {
        GoAction::ProgramInfo(_) => reply::json_error(StatusCode::INTERNAL_SERVER_ERROR, &why),
        GoAction::ProgramLog(..) => reply::json_error(StatusCode::NOT_FOUND, &why),
        _ => reply::success(Err(why)),
    }
}
