//! Reads the forms that requests carry.

use hyper::body::Incoming;
use hyper::http::request::Parts;
use hyper::{Method, StatusCode};

use crate::http_server::request_body::read_body;
use crate::server::http::connection::HttpConnection;
use crate::web::form::Form;

/// Maximum length of a form's body, in bytes.
const FORM_BYTES_MAX: usize = 64 << 10;

/// Reads the query and the body.
///
/// # Errors
/// The HTTP status if the body is too long, has no length, or does not arrive.
// Differs: form bodies longer than 64 KiB are refused (413). Supervisor has no limit.
pub(super) async fn read_form(
    connection: &HttpConnection,
    head: &Parts,
    body: &mut Incoming,
) -> Result<Form, StatusCode> {
    let query = head.uri.query().unwrap_or("");
    if head.method != Method::POST {
        return Ok(Form::of_query(query));
    }
    let (body, _room) = read_body(&connection.guard, &head.headers, body, FORM_BYTES_MAX).await?;
    Ok(Form::parse(query, &body))
}
