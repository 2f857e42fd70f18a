//! One HTTP call over a connection of its own, with limits of time and size. Redirects are not followed.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::{HeaderMap, Method, Request, Response};
use hyper_util::rt::TokioIo;
use nix::sys::socket::{setsockopt, sockopt};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, lookup_host};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::server_url::ServerUrl;
use super::tls::{SecureStream, TlsSettings};

/// How long a connection to one address may take, and the TLS handshake.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
/// Maximum number of addresses of a name that are tried.
const ADDRESSES_MAX: usize = 4;
/// Maximum size of the head of an answer in bytes.
pub(super) const HEAD_BYTES_MAX: usize = 64 << 10;
/// Seconds without traffic before the kernel asks the other side whether it lives, and between its questions. A waiting
/// request is silent for half a minute.
const KEEP_ALIVE_SECONDS: u32 = 15;
/// Number of unanswered questions before the connection counts as lost.
const KEEP_ALIVE_QUESTIONS: u32 = 3;
const FORM: &str = "application/x-www-form-urlencoded;charset=UTF-8";
pub(super) const USER_AGENT: &str = concat!("supervisord-agent/", env!("CARGO_PKG_VERSION"));

/// A request, and the limits of its answer.
#[derive(Debug)]
pub(super) struct HttpRequest<'a> {
    pub(super) server: &'a ServerUrl,
    pub(super) method: Method,
    /// The path below the context path, with its slash.
    pub(super) path: &'a str,
    /// The query string, encoded. Empty: none.
    pub(super) query: String,
    pub(super) headers: Vec<(&'static str, String)>,
    /// The body, an encoded form.
    pub(super) form: Option<String>,
    /// Limit of the whole call.
    pub(super) limit: Duration,
    /// Maximum size of the body of the answer in bytes.
    pub(super) body_bytes_max: usize,
}

/// A whole answer.
#[derive(Debug)]
pub(super) struct HttpAnswer {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
}

impl HttpAnswer {
    /// The value of a header. `None`: it is missing or no text.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// Why there is no answer. The texts continue a message that names the server.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum HttpError {
    /// The name of the host cannot be looked up.
    #[error("cannot look up the host: {0}")]
    Lookup(String),
    /// No address of the host accepts connections.
    #[error("cannot connect: {0}")]
    Connect(String),
    /// The TLS handshake failed.
    #[error("{0}")]
    Tls(String),
    /// No whole answer came in time.
    #[error("no answer within {} s", .0.as_secs())]
    TimedOut(Duration),
    /// The body is too large.
    #[error("the answer is larger than {0} bytes")]
    TooLarge(usize),
    /// The connection broke, or the answer is not HTTP.
    #[error("{0}")]
    Broken(String),
}

/// Makes the call.
///
/// # Errors
/// See [`HttpError`].
pub(super) async fn call(
    tls: &TlsSettings,
    request: HttpRequest<'_>,
) -> Result<HttpAnswer, HttpError> {
    let limit = request.limit;
    let exchange = exchange(tls, request);
    match timeout(limit, exchange).await {
        Ok(result) => result,
        Err(_) => Err(HttpError::TimedOut(limit)),
    }
}

async fn exchange(tls: &TlsSettings, request: HttpRequest<'_>) -> Result<HttpAnswer, HttpError> {
    let server = request.server;
    if !server.is_tls {
        let stream = connect(&server.host, server.port).await?;
        return send(stream, request).await;
    }
    let stream = connect_tls(tls, &server.host, server.port).await?;
    send(stream, request).await
}

/// Opens a connection with TLS.
pub(super) async fn connect_tls(
    tls: &TlsSettings,
    host: &str,
    port: u16,
) -> Result<SecureStream, HttpError> {
    let stream = connect(host, port).await?;
    let handshake = tls.connect(host, stream);
    match timeout(CONNECT_LIMIT, handshake).await {
        Ok(stream) => stream.map_err(HttpError::Tls),
        Err(_) => Err(HttpError::Tls(format!(
            "no TLS handshake within {} s",
            CONNECT_LIMIT.as_secs()
        ))),
    }
}

async fn connect(host: &str, port: u16) -> Result<TcpStream, HttpError> {
    let late = || format!("no answer within {} s", CONNECT_LIMIT.as_secs());
    let found = timeout(CONNECT_LIMIT, lookup_host((host, port)))
        .await
        .map_err(|_| HttpError::Lookup(late()))?
        .map_err(|error| HttpError::Lookup(error.to_string()))?;
    let addresses: Vec<SocketAddr> = found.take(ADDRESSES_MAX).collect();
    let mut reason = "the host has no address".to_owned();
    for address in addresses {
        match timeout(CONNECT_LIMIT, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                keep_alive(&stream);
                return Ok(stream);
            }
            Ok(Err(error)) => reason = error.to_string(),
            Err(_) => reason = late(),
        }
    }
    Err(HttpError::Connect(reason))
}

/// Makes the kernel notice a server that vanished while a request waits. The limit of time would notice it too, but later.
fn keep_alive(stream: &TcpStream) {
    // A kernel without these options has worse defaults only.
    let _ = setsockopt(stream, sockopt::KeepAlive, &true);
    let _ = setsockopt(stream, sockopt::TcpKeepIdle, &KEEP_ALIVE_SECONDS);
    let _ = setsockopt(stream, sockopt::TcpKeepInterval, &KEEP_ALIVE_SECONDS);
    let _ = setsockopt(stream, sockopt::TcpKeepCount, &KEEP_ALIVE_QUESTIONS);
    let _ = stream.set_nodelay(true);
}

async fn send<S>(stream: S, request: HttpRequest<'_>) -> Result<HttpAnswer, HttpError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let body_bytes_max = request.body_bytes_max;
    let request = whole_request(request)?;
    let (mut sender, connection) = http1::Builder::new()
        .max_buf_size(HEAD_BYTES_MAX)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|error| broken(&error))?;
    // Dropping the set ends the connection.
    let mut driver = JoinSet::new();
    driver.spawn(connection);
    let response = sender.send_request(request).await;
    let response = response.map_err(|error| broken(&error))?;
    read_answer(response, body_bytes_max).await
}

fn whole_request(request: HttpRequest<'_>) -> Result<Request<Full<Bytes>>, HttpError> {
    let HttpRequest {
        server,
        method,
        path,
        query,
        headers,
        form,
        ..
    } = request;
    let separator = if query.is_empty() { "" } else { "?" };
    let uri = format!("{}{path}{separator}{query}", server.context);
    let mut builder = Request::builder()
        .method(method)
        .uri(uri)
        .header("Host", &server.authority)
        .header("User-Agent", USER_AGENT)
        .header("Connection", "close");
    for (name, value) in headers {
        builder = builder.header(name, value);
    }
    if form.is_some() {
        builder = builder.header("Content-Type", FORM);
    }
    let body = Full::new(Bytes::from(form.unwrap_or_default()));
    let built = builder.body(body);
    // The error names no value.
    built.map_err(|error| HttpError::Broken(format!("the request cannot be sent: {error}")))
}

async fn read_answer(
    response: Response<Incoming>,
    body_bytes_max: usize,
) -> Result<HttpAnswer, HttpError> {
    let (head, mut incoming) = response.into_parts();
    let mut body = Vec::new();
    while let Some(frame) = incoming.frame().await {
        let frame = frame.map_err(|error| broken(&error))?;
        let Ok(data) = frame.into_data() else {
            continue;
        };
        if body.len() + data.len() > body_bytes_max {
            return Err(HttpError::TooLarge(body_bytes_max));
        }
        body.extend_from_slice(&data);
    }
    Ok(HttpAnswer {
        status: head.status.as_u16(),
        headers: head.headers,
        body,
    })
}

pub(super) fn broken(error: &hyper::Error) -> HttpError {
    let source = std::error::Error::source(error);
    let is_cut = source
        .and_then(|source| source.downcast_ref::<io::Error>())
        .is_some_and(|source| source.kind() == io::ErrorKind::UnexpectedEof);
    HttpError::Broken(if error.is_incomplete_message() || is_cut {
        "the connection ended before the answer did".to_owned()
    } else if error.is_parse() {
        "the answer is not HTTP".to_owned()
    } else {
        let reason = source.map_or_else(|| error.to_string(), ToString::to_string);
        format!("the connection broke: {reason}")
    })
}
