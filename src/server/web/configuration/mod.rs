//! The pages of the configuration: programs in their texts, and the Nacos server. They work by links and forms without
//! scripts: a form, the page with the changes, and the list again.
//!
//! They call the same methods as the REST interface, with the same permissions and audit lines.

mod config_request;
mod conflict;
mod edit_form;
mod item_hosts;
mod nacos;
mod preview;
mod programs;
mod section_form;
mod section_keys;
mod versions;

use std::sync::Arc;

use hyper::Method;
use hyper::http::request::Parts;

use super::csrf::forbidden;
use super::page::{NACOS, PROGRAM, VERSIONS};
use crate::api::Caller;
use crate::server::http::connection::HttpConnection;
use crate::server::http::response::HandlerResponse;
use crate::web::form::Form;
pub(super) use config_request::ConfigRequest;

/// Answers a request. `page`: one of the addresses above.
pub(super) async fn handle_page(
    connection: &Arc<HttpConnection>,
    caller: Caller,
    head: &Parts,
    form: &Form,
    page: &str,
) -> HandlerResponse {
    let request = ConfigRequest::of(connection, caller, head, form);
    let is_post = head.method == Method::POST;
    if is_post && let Some(why) = request.missing_token() {
        return forbidden(&request.request, request.say(why));
    }
    let answered = match (page, is_post) {
        (NACOS, false) => nacos::show(&request, None).await,
        (NACOS, true) => nacos::handle(&request).await,
        (VERSIONS, false) => versions::show(&request).await,
        (VERSIONS, true) => versions::handle(&request).await,
        (PROGRAM, false) => edit_form::show(&request).await,
        (PROGRAM, true) => preview::handle(&request).await,
        _ => programs::show(&request).await,
    };
    answered.unwrap_or_else(|fault| request.fault_page(&fault))
}
