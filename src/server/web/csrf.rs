//! Protects the page against cross-site requests. It tells apart a program, a browser that shows our own page, and a
//! browser that shows a foreign page. A foreign page may only link to our page; it may do nothing else.
//!
//! Browsers attach the stored password to every request to us, whichever page causes it, so a foreign page could
//! press our buttons. Three rules prevent that:
//!
//! 1. A browser can change something only with a form that has our token, and a foreign page cannot read our forms.
//! 2. A request that the browser marks as cross-site is refused, whatever it contains.
//! 3. Without a password, the name in `Host` must be one of our own. Otherwise an attacker's DNS name that resolves
//!    to our address (DNS rebinding) would make the attacker's page same-origin for the browser.
//!
//! # Source
//! Fetch Metadata Request Headers (W3C); RFC 6454 for `Origin`.

use std::sync::Arc;

use hyper::header::{self, HeaderMap, HeaderName};
use hyper::http::request::Parts;
use hyper::{Method, StatusCode};
use maud::html;

use super::page::{frame, page_request};
use super::page_response::html_page;
use crate::api::Transport;
use crate::http_server::origin::{host_without_port, is_own_name, is_same_authority};
use crate::server::http::connection::HttpConnection;
use crate::server::http::response::HandlerResponse;
use crate::web::language::PageRequest;
use crate::web::texts::Text;

/// The origin of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RequestOrigin {
    /// Not a browser: a script, a monitor, another daemon.
    Program,
    /// A browser, for our own page, or because its user typed the address or used a bookmark. Browsers that send no
    /// origin count here too, so this value alone never permits a change.
    OwnPage,
    /// A browser, for a foreign page.
    ForeignPage,
}

impl RequestOrigin {
    /// The origin that the headers show.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let text = |name: HeaderName| {
            headers
                .get(name)
                .map(|value| value.to_str().unwrap_or("").to_owned())
        };
        // Only the browser sets this header. Behind a proxy that rewrites `Host` it is more reliable than our
        // comparison.
        if let Some(site) = text(HeaderName::from_static("sec-fetch-site")) {
            return match site.as_str() {
                "same-origin" | "none" => Self::OwnPage,
                _ => Self::ForeignPage,
            };
        }
        let host = text(header::HOST).unwrap_or_default();
        if let Some(whence) = text(header::ORIGIN).or_else(|| text(header::REFERER)) {
            return if is_same_authority(&whence, &host) {
                Self::OwnPage
            } else {
                Self::ForeignPage
            };
        }
        // Over plain HTTP to another machine a browser sends none of these for an image whose page forbids a Referer.
        // It always sends its user agent and language, though.
        let agent = text(header::USER_AGENT).unwrap_or_default();
        let is_browser = agent.starts_with("Mozilla/")
            || headers.contains_key(header::ACCEPT_LANGUAGE)
            || headers.contains_key(header::UPGRADE_INSECURE_REQUESTS)
            || headers.keys().any(|name| name.as_str().starts_with("sec-"));
        if is_browser {
            Self::OwnPage
        } else {
            Self::Program
        }
    }
}

/// Refuses requests that none of our pages could have caused. The health check reveals nothing and is always allowed;
/// XML-RPC has its own check.
// Differs: Supervisor answers browsers whatever page or host name the request comes from.
pub(in crate::server) fn csrf_refusal(
    connection: &Arc<HttpConnection>,
    head: &Parts,
    path: &str,
) -> Option<HandlerResponse> {
    if path == "/ok.html" {
        return None;
    }
    let visitor = RequestOrigin::of(&head.headers);
    let is_open_port =
        connection.caller.transport == Transport::Inet && !connection.logins.are_required();
    if visitor != RequestOrigin::Program && is_open_port {
        let host = head.headers.get(header::HOST);
        let host = host_without_port(host.and_then(|host| host.to_str().ok()).unwrap_or(""));
        if !is_own_name(&host, &connection.shared.host_names) {
            let request = page_request(head);
            let why = request.language.fill(Text::NotOurName, &[&host]);
            return Some(forbidden(&request, &why));
        }
    }
    let mode = head.headers.get("sec-fetch-mode");
    let is_navigation = mode.is_none_or(|mode| mode.as_bytes() == b"navigate");
    // A link from elsewhere to the page is allowed, because the page only shows things.
    if visitor == RequestOrigin::ForeignPage && !(is_navigation && head.method == Method::GET) {
        let request = page_request(head);
        let why = request.language.say(Text::OtherPage);
        return Some(forbidden(&request, why));
    }
    None
}

/// Whether a request without a form of ours may change something: it comes from a program, or a browser says that one of
/// our pages sent it. Browsers say so with each POST and PUT.
pub(in crate::server) fn may_change(headers: &HeaderMap) -> bool {
    match RequestOrigin::of(headers) {
        RequestOrigin::Program => true,
        RequestOrigin::OwnPage => {
            let site = headers.get("sec-fetch-site");
            site.is_some_and(|site| site.as_bytes() == b"same-origin")
                || site.is_none() && headers.contains_key(header::ORIGIN)
        }
        RequestOrigin::ForeignPage => false,
    }
}

/// A refusal with its reason.
pub(super) fn forbidden(request: &PageRequest, why: &str) -> HandlerResponse {
    let language = request.language;
    let content = html! {
        h1 { (language.say(Text::Refused)) }
        p { (why) }
        p { a href={ (request.root) "./" } { (language.say(Text::ToStatusPage)) } }
    };
    let frame = frame(request, language.say(Text::Refused));
    html_page(StatusCode::FORBIDDEN, frame.render_plain(&content))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn visitor(given: &[(&'static str, &'static str)]) -> RequestOrigin {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, header::HeaderValue::from_static("box:9001"));
        for (name, value) in given {
            headers.insert(*name, header::HeaderValue::from_static(value));
        }
        RequestOrigin::of(&headers)
    }

    #[test]
    fn programs_own_pages_and_foreign_pages_are_distinguished() {
        use RequestOrigin::{ForeignPage, OwnPage, Program};
        let table: &[(&[(&str, &str)], RequestOrigin)] = &[
            (&[], Program),
            (&[("user-agent", "curl/8.5.0"), ("accept", "*/*")], Program),
            (&[("user-agent", "Python-urllib/3.11")], Program),
            (&[("authorization", "Basic dTpw")], Program),
            (&[("sec-fetch-site", "same-origin")], OwnPage),
            (&[("sec-fetch-site", "none")], OwnPage),
            (&[("sec-fetch-site", "same-site")], ForeignPage),
            (&[("sec-fetch-site", "cross-site")], ForeignPage),
            (&[("sec-fetch-site", "")], ForeignPage),
            // Behind a proxy that replaces `Host`.
            (
                &[
                    ("sec-fetch-site", "same-origin"),
                    ("origin", "https://public.example"),
                ],
                OwnPage,
            ),
            (&[("origin", "http://box:9001")], OwnPage),
            (&[("origin", "http://BOX:9001")], OwnPage),
            (&[("origin", "http://box")], ForeignPage),
            (&[("origin", "http://box:9001.evil.example")], ForeignPage),
            (&[("origin", "null")], ForeignPage),
            (&[("referer", "http://box:9001/?message=x")], OwnPage),
            (&[("referer", "http://evil.example/box:9001")], ForeignPage),
            (&[("referer", "")], ForeignPage),
            // An image of a page that forbids a Referer, from a browser without fetch metadata.
            (&[("user-agent", "Mozilla/5.0 (X11; Linux)")], OwnPage),
            (&[("accept-language", "de")], OwnPage),
            (&[("upgrade-insecure-requests", "1")], OwnPage),
            (&[("sec-ch-ua", "\"x\"")], OwnPage),
        ];
        for (given, expected) in table {
            assert_eq!(visitor(given), *expected, "{given:?}");
        }
    }

    #[test]
    fn only_programs_and_our_pages_may_change_something() {
        for (given, may) in [
            (&[][..], true),
            (&[("user-agent", "curl/8.5.0")], true),
            (&[("sec-fetch-site", "same-origin")], true),
            (
                &[("origin", "http://box:9001"), ("accept-language", "de")],
                true,
            ),
            // An address that was typed, or a browser that does not say where the request comes from.
            (&[("sec-fetch-site", "none")], false),
            (&[("user-agent", "Mozilla/5.0")], false),
            (&[("referer", "http://box:9001/")], false),
            (&[("sec-fetch-site", "cross-site")], false),
            (&[("origin", "http://evil.example")], false),
            (&[("origin", "null")], false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, header::HeaderValue::from_static("box:9001"));
            for (name, value) in given {
                headers.insert(*name, header::HeaderValue::from_static(value));
            }
            assert_eq!(may_change(&headers), may, "{given:?}");
        }
    }
}
