//! Single HTTP requests.

use crate::support::wire::{Address, Answer, Connection};

/// Sends one request and reads the answer. `headers`: whole lines.
pub(crate) fn fetch(
    address: &Address,
    method: &str,
    path: &str,
    headers: &str,
    body: &str,
) -> Result<Answer, String> {
    let asked = || {
        let mut connection = Connection::open(address)?;
        let length = match method {
            "GET" | "HEAD" => String::new(),
            _ => format!("Content-Length: {}\r\n", body.len()),
        };
        // 1.0, so that no chunks are sent.
        let request =
            format!("{method} {path} HTTP/1.0\r\nHost: localhost\r\n{length}{headers}\r\n{body}");
        connection.send(request.as_bytes())?;
        connection.answer()
    };
    asked()
        .map_err(|error| format!("{method} {path}: {error}"))?
        .ok_or_else(|| format!("{method} {path}: no answer"))
}

/// Calls a method with texts as arguments, and returns the XML of the answer.
pub(crate) fn call(
    address: &Address,
    headers: &str,
    method: &str,
    params: &[&str],
) -> Result<String, String> {
    let params: String = params
        .iter()
        .map(|text| format!("<param><value><string>{text}</string></value></param>"))
        .collect();
    let body = format!(
        "<methodCall><methodName>{method}</methodName><params>{params}</params></methodCall>"
    );
    let headers = format!("Content-Type: text/xml\r\n{headers}");
    let answer = fetch(address, "POST", "/RPC2", &headers, &body)?;
    Ok(String::from_utf8_lossy(&answer.body).into_owned())
}

/// Calls the REST interface, and returns the status and the JSON of the answer. `path`: what follows `/api/v1`.
pub(crate) fn rest(
    address: &Address,
    line: (&str, &str),
    headers: &str,
    body: &serde_json::Value,
) -> Result<(u16, serde_json::Value), String> {
    let (method, path) = line;
    let text = match body.is_null() {
        true => String::new(),
        false => body.to_string(),
    };
    let headers = match text.is_empty() {
        true => headers.to_owned(),
        false => format!("Content-Type: application/json\r\n{headers}"),
    };
    let answer = fetch(address, method, &format!("/api/v1{path}"), &headers, &text)?;
    let value = serde_json::from_slice(&answer.body);
    let value = value.map_err(|error| format!("{method} {path}: {error}: {answer:?}"))?;
    Ok((answer.code(), value))
}

/// As [`rest`], with the expected status.
pub(crate) fn expect_rest(
    address: &Address,
    line: (&str, &str),
    headers: &str,
    body: &serde_json::Value,
    status: u16,
) -> Result<serde_json::Value, String> {
    let (code, value) = rest(address, line, headers, body)?;
    match code == status {
        true => Ok(value),
        false => Err(format!(
            "{line:?} {headers:?} {body}: expected {status}, got {code}: {value}"
        )),
    }
}

/// The header `If-Match` for a version.
pub(crate) fn if_match(md5: &serde_json::Value) -> String {
    format!("If-Match: \"{}\"\r\n", md5.as_str().unwrap_or_default())
}
