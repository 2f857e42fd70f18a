//! The page that offers a button in place of a refused action, and the token of its form.

use hyper::StatusCode;
use maud::html;

use super::form::Form;
use super::page;
use super::page_actions::{ActionTarget, PageAction};
use super::page_response::html_page;
use crate::server::http::connection::HttpConnection;
use crate::server::http::response::HandlerResponse;

pub(super) fn has_token(connection: &HttpConnection, form: &Form) -> bool {
    form.get("token")
        .is_some_and(|given| connection.token.matches(given))
}

/// Refuses, gives the reason, and offers the button that does the same. So bookmarks and pages
/// of an earlier run work with one more click.
pub(super) fn confirmation_page(
    connection: &HttpConnection,
    action: &PageAction,
    target: &ActionTarget,
    why: &str,
) -> HandlerResponse {
    let content = html! {
        h1 { (action.label) " " (target.to_phrase()) "?" }
        p { (why) }
        form method="post" action="actions" {
            input type="hidden" name="token" value=(connection.token.text());
            button name="do" value={ (action.name) " " (target.to_text()) } { (action.label) }
            " "
            a href="./" { "Cancel" }
        }
    };
    html_page(
        StatusCode::FORBIDDEN,
        page::render_plain("Supervisor Status", &content),
    )
}
