//! Refusals and errors as pages, and for scripts of pages.

use hyper::{Method, StatusCode};
use maud::html;
use serde_json::json;

use super::hub_page::{see_other, site_of};
use crate::http_server::percent_encoding::url_quoted;
use crate::hub::api::error::ApiError;
use crate::hub::server::HttpResponse;
use crate::web::frame::Frame;
use crate::web::language::PageRequest;
use crate::web::page_response::HTML;
use crate::web::texts::Text;

/// An error as a page. Who has not logged in is led to the form for it.
pub(in crate::hub) fn error_page(
    error: ApiError,
    mut request: PageRequest,
    method: &Method,
) -> HttpResponse {
    if error.status == StatusCode::UNAUTHORIZED {
        let back = match (*method == Method::GET, request.address.as_str()) {
            (false, _) | (true, "") => String::new(),
            (true, address) => format!("?back={}", url_quoted(address)),
        };
        return see_other(format!("./{}login/{back}", request.root));
    }
    // A page that cannot be shown is nothing to return to.
    request.address.clear();
    let language = request.language;
    let number = error.status.as_u16();
    let why = match number {
        403 => Text::Error403,
        404 => Text::Error404,
        405 => Text::Error405,
        413 => Text::Error413,
        _ => Text::ErrorOther,
    };
    let title = language.fill(Text::ErrorTitle, &[&number]);
    let content = html! {
        h1 { (title) }
        p { (language.say(why)) }
        p.note { (error.message) }
        p { a href={ (request.root) "./" } { (language.say(Text::ToOverview)) } }
    };
    let site = site_of(None);
    let page = Frame::new(&site, &request, title.as_str()).render_plain(&content);
    let mut response = HttpResponse::new(error.status, HTML, page.into_string());
    response.headers = error.into_headers();
    response
}

/// An error for a script of a page.
pub(in crate::hub) fn refusal_for_script(error: ApiError) -> HttpResponse {
    let body = json!({"message": error.message, "failed": true});
    let mut response = HttpResponse::new(error.status, "application/json", body.to_string());
    response.headers = error.into_headers();
    response
}
