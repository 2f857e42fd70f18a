//! The headers of all pages, and what a request accepts.

use hyper::header::{self, HeaderMap, HeaderName};

/// The content type of pages.
pub(crate) const HTML: &str = "text/html;charset=utf-8";

/// Content security policy: load only from this server, nothing inline, never shown in a frame.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
                                       connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// The headers that protect against clickjacking, type guessing and injected content.
// Differs: Supervisor sends none of them, so any site may show its page in a frame.
pub(crate) const PROTECTION: [(HeaderName, &str); 4] = [
    (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    // For browsers that do not know frame-ancestors.
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "same-origin"),
];

/// Whether a client asks for HTML, which only browsers do.
pub(crate) fn accepts_html(headers: &HeaderMap) -> bool {
    let accept = headers.get(header::ACCEPT);
    accept
        .and_then(|accept| accept.to_str().ok())
        .is_some_and(|accept| {
            let kinds = accept
                .split(',')
                .map(|kind| kind.split(';').next().unwrap_or(""));
            kinds.map(str::trim).any(|kind| kind == "text/html")
        })
}

/// Whether a script of a page asks for JSON.
pub(crate) fn wants_json(headers: &HeaderMap) -> bool {
    let accept = headers.get(header::ACCEPT);
    accept.is_some_and(|accept| accept.as_bytes().starts_with(b"application/json"))
}
