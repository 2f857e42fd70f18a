//! The actions of the web page and the buttons of its forms. They call methods of METHODS with the same authorisation
//! as XML-RPC. [`csrf`](super::csrf) checks the origin of requests before this module sees them.

use std::sync::Arc;

use hyper::StatusCode;
use hyper::http::request::Parts;

use super::confirmation::{confirmation_page, has_token};
use super::csrf::forbidden;
use super::page::page_request;
use super::page_response::{json_response, redirect};
use super::perform_action::{perform_action, run_to_completion};
use crate::api::Caller;
use crate::http_server::percent_encoding::url_quoted;
use crate::server::http::connection::HttpConnection;
use crate::server::http::response::HandlerResponse;
use crate::web::form::Form;
use crate::web::page_actions::{ActionTarget, find_action};
use crate::web::page_response::wants_json;
use crate::web::texts::Text;

/// Answers POST of one of our forms: 303 to the page with a message, or JSON for the page's script.
pub(super) async fn handle_form(
    connection: &Arc<HttpConnection>,
    caller: Caller,
    head: &Parts,
    form: &Form,
) -> HandlerResponse {
    let wants_json = wants_json(&head.headers);
    let request = page_request(head);
    let language = request.language;
    let asked = form.get("do").and_then(|text| text.split_once(' '));
    let asked = asked.and_then(|(word, target)| {
        let target = ActionTarget::parse_with(target, form.all("selected"));
        Some((find_action(word)?, target))
    });
    if !has_token(connection, form) {
        let given = form.get("token").unwrap_or("");
        let why = if connection.token.is_of_earlier_run(given) {
            Text::OldForm
        } else {
            Text::NoToken
        };
        return match asked {
            // The page's script fetches the token of this run and repeats the request.
            _ if wants_json => refused_json(language.say(why)),
            // Without a script, offer the user a form that contains the token.
            Some((action, target)) => confirmation_page(connection, &request, action, &target, why),
            None => forbidden(&request, language.say(why)),
        };
    }
    let Some((action, target)) = asked else {
        return HandlerResponse::Error(StatusCode::BAD_REQUEST);
    };
    let control = connection.shared.control.clone();
    let work = async move { perform_action(&control, &caller, action, &target, language).await };
    let Some(done) = run_to_completion(connection, work).await else {
        return HandlerResponse::Error(StatusCode::SERVICE_UNAVAILABLE);
    };
    if wants_json {
        let body = serde_json::json!({
            "message": done.message,
            "failed": done.failed,
            "results": done.results,
        });
        json_response(StatusCode::OK, &body)
    } else {
        let mut location = format!("./?message={}", url_quoted(&done.message));
        // The page stays as it was: filtered, sorted, folded.
        for name in ["filter", "sort", "fold"] {
            if let Some(value) = form.get(name) {
                location.push_str(&format!("&{name}={}", url_quoted(value)));
            }
        }
        redirect(StatusCode::SEE_OTHER, location)
    }
}

fn refused_json(why: &str) -> HandlerResponse {
    let body = serde_json::json!({ "message": why, "failed": true });
    json_response(StatusCode::FORBIDDEN, &body)
}
