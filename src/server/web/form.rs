//! Request parameters: the query string and the urlencoded body of a POST.

use std::collections::HashMap;

use hyper::body::Incoming;
use hyper::http::request::Parts;
use hyper::{Method, StatusCode};

use super::super::http::{HttpConnection, percent_decoded};
use super::super::xmlrpc::read_body;

/// Maximum length of a form's body, in bytes.
pub(super) const FORM_BYTES_MAX: usize = 64 << 10;

/// Request parameters by name. Of repeated names, the first in the query and the last in the body counts; the body
/// overrides the query.
///
/// # Source
/// Supervisor's `web.py`. Blank values count as absent, as in Python's `parse_qs`.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Form(HashMap<String, String>);

impl Form {
    /// Reads the query and the body.
    ///
    /// # Errors
    /// The HTTP status if the body is too long, has no length, or does not arrive.
    // Differs: form bodies longer than 64 KiB are refused (413). Supervisor has no limit.
    pub(super) async fn read(
        connection: &HttpConnection,
        head: &Parts,
        body: &mut Incoming,
    ) -> Result<Self, StatusCode> {
        let mut form = Self::default();
        for (name, value) in pairs(head.uri.query().unwrap_or("")) {
            form.0.entry(name).or_insert(value);
        }
        if head.method == Method::POST {
            let (body, _room) = read_body(connection, &head.headers, body, FORM_BYTES_MAX).await?;
            for (name, value) in pairs(&String::from_utf8_lossy(&body)) {
                form.0.insert(name, value);
            }
        }
        Ok(form)
    }

    /// The value of a parameter. `None`: absent.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }
}

fn pairs(text: &str) -> impl Iterator<Item = (String, String)> {
    text.split('&').filter_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        (!value.is_empty()).then(|| (url_decoded(name), url_decoded(value)))
    })
}

fn url_decoded(text: &str) -> String {
    percent_decoded(&text.replace('+', " "))
}

/// Percent-encodes `text` for a URL: all bytes except letters, digits and `_.-~/`.
///
/// # Source
/// Python's `urllib.parse.quote`, which Supervisor uses for its addresses.
pub(super) fn url_quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for &byte in text.as_bytes() {
        if byte.is_ascii_alphanumeric() || b"_.-~/".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
impl Form {
    pub(super) fn from_query(query: &str) -> Self {
        Self(pairs(query).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn web_02_parameters_are_decoded() {
        let form =
            Form::from_query("processname=a%3Ab&action=start&x=&y&message=all+is%20well%2B&=z");
        assert_eq!(form.get("processname"), Some("a:b"));
        assert_eq!(form.get("action"), Some("start"));
        assert_eq!(form.get("message"), Some("all is well+"));
        assert_eq!(form.get("x"), None);
        assert_eq!(form.get("y"), None);
        assert_eq!(form.get(""), Some("z"));
    }

    #[test]
    fn web_02_strings_are_quoted_as_in_python() {
        let table = [
            ("Process a:b started", "Process%20a%3Ab%20started"),
            ("a/b_c.d-e~f", "a/b_c.d-e~f"),
            ("é&\n", "%C3%A9%26%0A"),
        ];
        for (given, expected) in table {
            assert_eq!(url_quoted(given), expected);
        }
    }
}
