//! Error pages for people: in the frame of our pages and in their language. Programs get Supervisor's error pages.

use hyper::header;
use hyper::http::request::Parts;
use hyper::{Method, StatusCode};
use maud::html;

use super::page::{frame, page_request};
use super::page_response::html_page;
use crate::http_server::response::HttpResponse;
use crate::server::http::response::HandlerResponse;
use crate::web::page_response::accepts_html;
use crate::web::texts::Text;

/// Replaces the error page of `answer` for a browser. Other answers, and those to programs, stay as they are.
pub(in crate::server) fn with_error_page(answer: HandlerResponse, head: &Parts) -> HandlerResponse {
    if !accepts_html(&head.headers) || head.method == Method::HEAD {
        return answer;
    }
    match answer {
        HandlerResponse::Error(status) => render(status, head, Vec::new()),
        HandlerResponse::Fatal(status) => {
            let close = (header::CONNECTION, "close".to_owned());
            render(status, head, vec![close])
        }
        // An error of its own page has another type.
        HandlerResponse::Made(made) if is_plain_error(&made) => {
            render(made.status, head, made.headers)
        }
        other => other,
    }
}

/// Whether this is an error page of Supervisor with headers of its own, such as 405.
fn is_plain_error(made: &HttpResponse) -> bool {
    made.content_type == "text/html"
        && (made.status.is_client_error() || made.status.is_server_error())
}

fn render(
    status: StatusCode,
    head: &Parts,
    headers: Vec<(header::HeaderName, String)>,
) -> HandlerResponse {
    let mut request = page_request(head);
    // A page that cannot be shown is nothing to return to.
    request.address.clear();
    let language = request.language;
    let number = status.as_u16();
    let why = match number {
        400 => Text::Error400,
        403 => Text::Error403,
        404 => Text::Error404,
        405 => Text::Error405,
        413 => Text::Error413,
        500 => Text::Error500,
        503 => Text::Error503,
        _ => Text::ErrorOther,
    };
    let title = language.fill(Text::ErrorTitle, &[&number]);
    let content = html! {
        h1 { (title) }
        p { (language.say(why)) }
        p.note { (status.canonical_reason().unwrap_or_default()) }
        p { a href={ (request.root) "./" } { (language.say(Text::ToStatusPage)) } }
    };
    let page = frame(&request, title.as_str()).render_plain(&content);
    let mut answer = html_page(status, page);
    if let HandlerResponse::Made(made) = &mut answer {
        made.headers.extend(headers);
    }
    answer
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http_server::response::HttpBody;
    use crate::server::http::response::method_not_allowed;

    fn answer_to(accept: &str, answer: HandlerResponse) -> HandlerResponse {
        let request = hyper::Request::get("/a/b").header(header::ACCEPT, accept);
        let head = request.body(()).expect("valid").into_parts().0;
        with_error_page(answer, &head)
    }

    #[test]
    fn only_browsers_get_our_error_pages() {
        let browser = "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8";
        let not_found = || HandlerResponse::Error(StatusCode::NOT_FOUND);
        for accept in ["*/*", "", "application/json", "text/htmlx"] {
            let answer = answer_to(accept, not_found());
            assert!(matches!(answer, HandlerResponse::Error(_)), "{accept}");
        }
        let HandlerResponse::Made(made) = answer_to(browser, not_found()) else {
            panic!("no page");
        };
        let HttpBody::Whole(body) = &made.body else {
            panic!("no body");
        };
        let body = String::from_utf8_lossy(body);
        assert!(body.contains("href=\"../stylesheets/"), "{body}");
        assert_eq!(made.status, StatusCode::NOT_FOUND);
        let HandlerResponse::Made(made) = answer_to(browser, method_not_allowed("GET")) else {
            panic!("no page");
        };
        let allow = made.headers.iter().find(|(name, _)| name == header::ALLOW);
        assert_eq!(allow.map(|(_, methods)| methods.as_str()), Some("GET"));
        let HandlerResponse::Made(made) = answer_to(
            browser,
            HandlerResponse::Fatal(StatusCode::PAYLOAD_TOO_LARGE),
        ) else {
            panic!("no page");
        };
        assert!(
            made.headers
                .iter()
                .any(|(name, _)| name == header::CONNECTION)
        );
    }
}
