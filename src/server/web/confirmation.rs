//! The page that offers a button in place of a refused action, and the token of its form.

use hyper::StatusCode;
use maud::html;

use super::page::frame;
use super::page_response::html_page;
use crate::server::http::connection::HttpConnection;
use crate::server::http::response::HandlerResponse;
use crate::web::form::Form;
use crate::web::language::PageRequest;
use crate::web::page_actions::{ActionTarget, PageAction};
use crate::web::texts::Text;

pub(super) fn has_token(connection: &HttpConnection, form: &Form) -> bool {
    form.get("token")
        .is_some_and(|given| connection.token.matches(given))
}

/// Refuses, gives the reason, and offers the button that does the same. So bookmarks and pages
/// of an earlier run work with one more click.
pub(super) fn confirmation_page(
    connection: &HttpConnection,
    request: &PageRequest,
    action: &PageAction,
    target: &ActionTarget,
    why: Text,
) -> HandlerResponse {
    let language = request.language;
    let label = language.say(action.label);
    let question = language.fill(Text::TargetQuestion, &[&label, &target.to_phrase(language)]);
    let content = html! {
        h1 { (question) }
        p { (language.say(why)) }
        form method="post" action="actions" {
            input type="hidden" name="token" value=(connection.token.text());
            @for name in target.selected() {
                input type="hidden" name="selected" value=(name);
            }
            button name="do" value={ (action.name) " " (target.to_text()) } { (label) }
            " "
            a href="./" { (language.say(Text::Cancel)) }
        }
    };
    let frame = frame(request, language.say(Text::StatusTitle));
    html_page(StatusCode::FORBIDDEN, frame.render_plain(&content))
}
