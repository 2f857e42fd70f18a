//! TCP and HTTP checks. They read only as much of an answer as they need.

use std::fmt::Write as _;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;
use nix::sys::stat::Mode;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::config::script::{HostPort, HttpBody, HttpScript};
use crate::effects::ScriptFailure;
use crate::sys::safe_open::safe_open;

/// Maximum size of an answer's status line and header fields, in bytes.
const HEAD_MAX: usize = 64 << 10;
/// Maximum number of header fields.
const FIELDS_MAX: usize = 100;
/// Maximum size of a file that is sent, in bytes.
const BODY_MAX: u64 = 1 << 20;
/// Statuses of success.
pub(super) const SUCCESS: std::ops::RangeInclusive<u16> = 200..=399;

/// Connects to a server and closes the connection.
///
/// # Errors
/// The server does not accept the connection.
pub(super) async fn connect(server: &HostPort) -> Result<TcpStream, ScriptFailure> {
    TcpStream::connect((server.host.as_str(), server.port))
        .await
        .map_err(|error| {
            ScriptFailure::Connection(format!("cannot connect to {}: {error}", server.in_url()))
        })
}

/// Sends a request and reads the status of its answer.
///
/// # Errors
/// There is no answer, it is not HTTP, or its status is no success.
pub(super) async fn request(script: &HttpScript) -> Result<(), ScriptFailure> {
    let body = body_of(script).await?;
    let mut stream = connect(&script.server).await?;
    let head = head(script, body.as_ref().map(Vec::len));
    let lost = |error: std::io::Error| {
        ScriptFailure::Connection(format!("{}: {error}", script.server.in_url()))
    };
    stream.write_all(head.as_bytes()).await.map_err(lost)?;
    stream
        .write_all(&body.unwrap_or_default())
        .await
        .map_err(lost)?;
    let mut answer = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        let bytes = stream.read(&mut chunk).await.map_err(lost)?;
        answer.extend_from_slice(&chunk[..bytes]);
        match status(&mut answer) {
            Ok(Some(status)) if SUCCESS.contains(&status) => return Ok(()),
            Ok(Some(status)) => return Err(ScriptFailure::HttpStatus(status)),
            Ok(None) if bytes > 0 && answer.len() <= HEAD_MAX => {}
            Ok(None) | Err(()) => {
                let server = script.server.in_url();
                let why = format!("{server} did not answer with HTTP");
                return Err(ScriptFailure::Connection(why));
            }
        }
    }
}

/// The body of a request. `None`: it is a GET request.
///
/// # Errors
/// The file cannot be read.
pub(super) async fn body_of(script: &HttpScript) -> Result<Option<Vec<u8>>, ScriptFailure> {
    Ok(match &script.body {
        None => None,
        Some(HttpBody::Text(text)) => Some(text.clone().into_bytes()),
        Some(HttpBody::File(path)) => Some(read_file(path.clone()).await?),
    })
}

/// The head of the request. `body`: the length of the body in bytes.
fn head(script: &HttpScript, body: Option<usize>) -> String {
    let method = if body.is_some() { "POST" } else { "GET" };
    let mut head = format!("{method} {} HTTP/1.1\r\n", script.target);
    let has = |name: &str| {
        let mut headers = script.headers.iter();
        headers.any(|(known, _)| known.eq_ignore_ascii_case(name))
    };
    let mut field = |name: &str, value: &str| {
        let _ = write!(head, "{name}: {value}\r\n");
    };
    if !has("host") {
        field("Host", &script.server.in_url());
    }
    if !has("user-agent") {
        field(
            "User-Agent",
            concat!("supervisord/", env!("CARGO_PKG_VERSION")),
        );
    }
    field("Connection", "close");
    if let Some(length) = body {
        if !has("content-type") {
            field("Content-Type", "application/x-www-form-urlencoded");
        }
        field("Content-Length", &length.to_string());
    }
    for (name, value) in &script.headers {
        field(name, value);
    }
    head.push_str("\r\n");
    head
}

/// Returns the final status, and removes interim answers (1xx) before it. `None`: the head is not complete.
fn status(answer: &mut Vec<u8>) -> Result<Option<u16>, ()> {
    loop {
        let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
        let mut response = httparse::Response::new(&mut fields);
        let parsed = response.parse(answer).map_err(|_| ())?;
        let httparse::Status::Complete(end) = parsed else {
            return Ok(None);
        };
        match response.code {
            Some(100..=199) => drop(answer.drain(..end)),
            code => return Ok(code),
        }
    }
}

/// Reads the file that a request sends. It must be a regular file of limited size.
async fn read_file(path: PathBuf) -> Result<Vec<u8>, ScriptFailure> {
    let shown = path.display().to_string();
    let read = tokio::task::spawn_blocking(move || read_regular(&path)).await;
    match read {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(why)) => Err(ScriptFailure::NotStarted(format!("{shown}: {why}"))),
        Err(_) => Err(ScriptFailure::Cancelled),
    }
}

fn read_regular(path: &Path) -> Result<Vec<u8>, String> {
    let flags = OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
    let file = safe_open(path, flags, Mode::empty()).map_err(|error| error.to_string())?;
    let file = std::fs::File::from(file);
    let metadata = file.metadata().map_err(|error| error.to_string())?;
    if !metadata.is_file() {
        return Err("not a regular file".to_owned());
    }
    let mut bytes = Vec::new();
    file.take(BODY_MAX + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| error.to_string())?;
    if bytes.len() as u64 > BODY_MAX {
        return Err(format!("larger than {BODY_MAX} bytes"));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::script::Script;

    #[test]
    fn the_head_has_each_field_once() {
        let Ok(Script::Http(script)) =
            Script::parse("http://h:81/a -H 'host: web' -H 'X-A: 1' -d x")
        else {
            panic!("valid");
        };
        let agent = concat!("User-Agent: supervisord/", env!("CARGO_PKG_VERSION"));
        assert_eq!(
            head(&script, Some(1)),
            format!(
                "POST /a HTTP/1.1\r\n{agent}\r\nConnection: close\r\n\
                 Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 1\r\n\
                 host: web\r\nX-A: 1\r\n\r\n"
            )
        );
    }

    #[test]
    fn the_status_is_that_of_the_final_answer() {
        let read = |text: &str| status(&mut text.as_bytes().to_vec());
        assert_eq!(
            read("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.0 302 F\r\n\r\nx"),
            Ok(Some(302))
        );
        assert_eq!(read("HTTP/1.1 200 OK\r\nA: b\r\n"), Ok(None));
        assert_eq!(read("SSH-2.0-OpenSSH\r\n"), Err(()));
    }
}
