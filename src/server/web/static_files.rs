//! Answers for the static files of the page.

use std::sync::Arc;

use hyper::http::request::Parts;
use hyper::{Method, StatusCode, header};

use super::page_response::redirect;
use crate::server::http::connection::HttpConnection;
use crate::server::http::response::HandlerResponse;
use crate::web::assets::{find_asset, is_asset_directory};

/// Answers GET and HEAD of a file or directory.
///
/// # Source
/// Supervisor's `default_handler`: 400 for other methods, 301 for a directory without its slash, 304.
pub(super) fn serve_asset(
    connection: &Arc<HttpConnection>,
    head: &Parts,
    path: &str,
) -> HandlerResponse {
    if head.method != Method::GET && head.method != Method::HEAD {
        return HandlerResponse::Error(StatusCode::BAD_REQUEST);
    }
    if is_asset_directory(path) {
        // Differs: Supervisor leaves out the port, so that its redirect leads nowhere.
        let host = head.headers.get(header::HOST);
        let host = host
            .and_then(|host| host.to_str().ok())
            .unwrap_or("localhost");
        let location = format!("http://{host}/{path}/");
        return redirect(StatusCode::MOVED_PERMANENTLY, location);
    }
    let modified = connection.shared.assets_modified;
    match find_asset(path, &head.headers, modified) {
        Some(file) => file.into(),
        None => HandlerResponse::Error(StatusCode::NOT_FOUND),
    }
}
