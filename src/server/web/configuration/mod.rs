//! The pages of the configuration: programs in their texts, and the Nacos server. They work by links and forms without
//! scripts: a form, the page with the changes, and the list again.
//!
//! They call the same methods as the REST interface, with the same permissions and audit lines.

mod edit_form;
mod nacos;
mod preview;
mod programs;

use std::sync::Arc;

use hyper::http::request::Parts;
use hyper::{Method, StatusCode};
use maud::html;
use serde_json::Value;

use super::confirmation::has_token;
use super::csrf::forbidden;
use super::form::Form;
use super::language::PageRequest;
use super::page::Frame;
use super::page_response::{html_page, redirect};
use super::texts::Text;
use crate::api::{Caller, ConfigCall, Fault, FaultCode, PERMISSION_DENIED, Reply, find_method};
use crate::server::http::connection::HttpConnection;
use crate::server::http::percent_encoding::url_quoted;
use crate::server::http::response::HandlerResponse;

/// The address of the list of programs.
pub(super) const PROGRAMS: &str = "programs.html";
/// The address of the form for one program.
pub(super) const PROGRAM: &str = "program.html";
/// The address of the page of the Nacos server.
pub(super) const NACOS: &str = "nacos.html";

/// One request for a page of the configuration.
struct ConfigRequest<'a> {
    connection: &'a Arc<HttpConnection>,
    caller: Caller,
    request: PageRequest,
    form: &'a Form,
}

/// Answers a request. `page`: one of the addresses above.
pub(super) async fn handle_page(
    connection: &Arc<HttpConnection>,
    caller: Caller,
    head: &Parts,
    form: &Form,
    page: &str,
) -> HandlerResponse {
    let request = ConfigRequest {
        connection,
        caller,
        request: PageRequest::of(head),
        form,
    };
    let is_post = head.method == Method::POST;
    if is_post && !has_token(connection, form) {
        let why = match connection
            .token
            .is_of_earlier_run(form.get("token").unwrap_or(""))
        {
            true => Text::OldForm,
            false => Text::NoToken,
        };
        return forbidden(&request.request, request.say(why));
    }
    let answered = match (page, is_post) {
        (NACOS, false) => nacos::show(&request, None).await,
        (NACOS, true) => nacos::handle(&request).await,
        (PROGRAM, false) => edit_form::show(&request).await,
        (PROGRAM, true) => preview::handle(&request).await,
        _ => programs::show(&request).await,
    };
    answered.unwrap_or_else(|fault| request.fault_page(&fault))
}

impl ConfigRequest<'_> {
    fn say(&self, text: Text) -> &'static str {
        self.request.language.say(text)
    }

    /// Calls a method.
    async fn call(&self, method: &str, call: ConfigCall) -> Result<Value, Fault> {
        let method = find_method(method).ok_or_else(|| FaultCode::UnknownMethod.bare())?;
        let control = &self.connection.shared.control;
        match control.ask_about_config(&self.caller, method, call).await? {
            Reply::Text(json) => serde_json::from_str(&json)
                .map_err(|_| FaultCode::Failed.of("the answer is no JSON")),
            _ => Ok(Value::Null),
        }
    }

    fn frame(&self, title: &str) -> Frame<'_> {
        Frame::new(&self.request, title)
    }

    /// Returns to a page with a message.
    fn back_to(&self, page: &str, message: &str) -> HandlerResponse {
        let location = format!("{page}?message={}", url_quoted(message));
        redirect(StatusCode::SEE_OTHER, location)
    }

    /// The page for a refusal or an error.
    fn fault_page(&self, fault: &Fault) -> HandlerResponse {
        let status =
            StatusCode::from_u16(fault.status()).unwrap_or(StatusCode::UNPROCESSABLE_ENTITY);
        let denied = fault.extra.as_deref().unwrap_or_default();
        let title = match denied.starts_with(PERMISSION_DENIED) {
            true => Text::Error403,
            false => Text::NotDone,
        };
        let content = html! {
            h1 { (self.say(title)) }
            pre.problem { (fault_text(fault)) }
            p { a href=(PROGRAMS) { (self.say(Text::Programs)) } " " a href="./" { (self.say(Text::ToStatusPage)) } }
        };
        html_page(status, self.frame(self.say(title)).render_plain(&content))
    }
}

/// The text of a fault without its code.
fn fault_text(fault: &Fault) -> String {
    match &fault.extra {
        Some(extra) => extra.clone(),
        None => fault.code.name().to_owned(),
    }
}

/// A member of an answer as text.
fn text_of<'a>(value: &'a Value, member: &str) -> &'a str {
    value[member].as_str().unwrap_or_default()
}
