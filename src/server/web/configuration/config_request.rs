//! One request for a page about the configuration or one process: its caller, form and language, and the calls and answers that all pages use.

use std::sync::Arc;

use hyper::StatusCode;
use hyper::http::request::Parts;
use maud::html;
use serde_json::Value;

use super::super::confirmation::has_token;
use super::super::page::{PROGRAMS, frame, page_request};
use super::super::page_response::{html_page, redirect};
use crate::api::{Caller, ConfigCall, Fault, FaultCode, PERMISSION_DENIED, Reply, find_method};
use crate::http_server::percent_encoding::url_quoted;
use crate::server::http::connection::HttpConnection;
use crate::server::http::response::HandlerResponse;
use crate::web::form::Form;
use crate::web::frame::Frame;
use crate::web::language::PageRequest;
use crate::web::texts::Text;

/// One request for a page about the configuration or about one process.
pub(in crate::server) struct ConfigRequest<'a> {
    pub(in crate::server) connection: &'a Arc<HttpConnection>,
    pub(in crate::server) caller: Caller,
    pub(in crate::server) request: PageRequest,
    pub(in crate::server) form: &'a Form,
}

impl<'a> ConfigRequest<'a> {
    pub(in crate::server) fn of(
        connection: &'a Arc<HttpConnection>,
        caller: Caller,
        head: &Parts,
        form: &'a Form,
    ) -> Self {
        Self {
            connection,
            caller,
            request: page_request(head),
            form,
        }
    }
}

impl ConfigRequest<'_> {
    /// Why the form of a POST is refused. `None`: it has the token of this run.
    pub(in crate::server) fn missing_token(&self) -> Option<Text> {
        if has_token(self.connection, self.form) {
            return None;
        }
        let given = self.form.get("token").unwrap_or("");
        Some(match self.connection.token.is_of_earlier_run(given) {
            true => Text::OldForm,
            false => Text::NoToken,
        })
    }

    pub(in crate::server) fn say(&self, text: Text) -> &'static str {
        self.request.language.say(text)
    }

    /// Calls a method.
    pub(in crate::server) async fn call(
        &self,
        method: &str,
        call: ConfigCall,
    ) -> Result<Value, Fault> {
        let method = find_method(method).ok_or_else(|| FaultCode::UnknownMethod.bare())?;
        let control = &self.connection.shared.control;
        match control.ask_about_config(&self.caller, method, call).await? {
            Reply::Text(json) => serde_json::from_str(&json)
                .map_err(|_| FaultCode::Failed.of("the answer is no JSON")),
            _ => Ok(Value::Null),
        }
    }

    pub(in crate::server) fn frame(&self, title: &str) -> Frame<'_> {
        frame(&self.request, title)
    }

    /// Returns to a page with a message.
    pub(in crate::server) fn back_to(&self, page: &str, message: &str) -> HandlerResponse {
        let location = format!("{page}?message={}", url_quoted(message));
        redirect(StatusCode::SEE_OTHER, location)
    }

    /// The page for a refusal or an error.
    pub(in crate::server) fn fault_page(&self, fault: &Fault) -> HandlerResponse {
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
pub(in crate::server) fn text_of<'a>(value: &'a Value, member: &str) -> &'a str {
    value[member].as_str().unwrap_or_default()
}
