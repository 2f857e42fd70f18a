//! One request for a page of the configuration: its caller, form and language, and the calls and answers that all pages use.

use std::sync::Arc;

use hyper::StatusCode;
use maud::html;
use serde_json::Value;

use super::super::form::Form;
use super::super::language::PageRequest;
use super::super::page::{Frame, PROGRAMS};
use super::super::page_response::{html_page, redirect};
use super::super::texts::Text;
use crate::api::{Caller, ConfigCall, Fault, FaultCode, PERMISSION_DENIED, Reply, find_method};
use crate::http_server::percent_encoding::url_quoted;
use crate::server::http::connection::HttpConnection;
use crate::server::http::response::HandlerResponse;

/// One request for a page of the configuration.
pub(super) struct ConfigRequest<'a> {
    pub(super) connection: &'a Arc<HttpConnection>,
    pub(super) caller: Caller,
    pub(super) request: PageRequest,
    pub(super) form: &'a Form,
}

impl ConfigRequest<'_> {
    pub(super) fn say(&self, text: Text) -> &'static str {
        self.request.language.say(text)
    }

    /// Calls a method.
    pub(super) async fn call(&self, method: &str, call: ConfigCall) -> Result<Value, Fault> {
        let method = find_method(method).ok_or_else(|| FaultCode::UnknownMethod.bare())?;
        let control = &self.connection.shared.control;
        match control.ask_about_config(&self.caller, method, call).await? {
            Reply::Text(json) => serde_json::from_str(&json)
                .map_err(|_| FaultCode::Failed.of("the answer is no JSON")),
            _ => Ok(Value::Null),
        }
    }

    pub(super) fn frame(&self, title: &str) -> Frame<'_> {
        Frame::new(&self.request, title)
    }

    /// Returns to a page with a message.
    pub(super) fn back_to(&self, page: &str, message: &str) -> HandlerResponse {
        let location = format!("{page}?message={}", url_quoted(message));
        redirect(StatusCode::SEE_OTHER, location)
    }

    /// The page for a refusal or an error.
    pub(super) fn fault_page(&self, fault: &Fault) -> HandlerResponse {
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
pub(super) fn fault_text(fault: &Fault) -> String {
    match &fault.extra {
        Some(extra) => extra.clone(),
        None => fault.code.name().to_owned(),
    }
}

/// A member of an answer as text.
pub(super) fn text_of<'a>(value: &'a Value, member: &str) -> &'a str {
    value[member].as_str().unwrap_or_default()
}
