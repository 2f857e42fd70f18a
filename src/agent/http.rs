//! HTTP calls over a connection of their own, with limits of time and size: whole answers, and answers that are read bit by
//! bit. Redirects are not followed.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::{HeaderMap, Method, Request};
use hyper_util::rt::TokioIo;
use nix::sys::socket::{setsockopt, sockopt};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, lookup_host};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::server_url::ServerUrl;
use super::tls::{SecureStream, TlsSettings};

/// How long a connection of [`call`] to one address may take, and the TLS handshake.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
/// Maximum number of addresses of a name that are tried.
const ADDRESSES_MAX: usize = 4;
/// Maximum size of the head of an answer in bytes.
const HEAD_BYTES_MAX: usize = 64 << 10;
/// Seconds without traffic before the kernel asks the other side whether it lives, and between its questions. A waiting
/// request is silent for half a minute.
const KEEP_ALIVE_SECONDS: u32 = 15;
/// Number of unanswered questions before the connection counts as lost.
const KEEP_ALIVE_QUESTIONS: u32 = 3;
/// The content type of an encoded form.
pub(super) const FORM: &str = "application/x-www-form-urlencoded;charset=UTF-8";
pub(super) const USER_AGENT: &str = concat!("supervisord-agent/", env!("CARGO_PKG_VERSION"));

/// A request.
#[derive(Debug)]
pub(crate) struct HttpRequest<'a> {
    pub(crate) server: &'a ServerUrl,
    pub(crate) method: Method,
    /// The path below the context path, with its slash.
    pub(crate) path: &'a str,
    /// The query string, encoded. Empty: none.
    pub(crate) query: String,
    pub(crate) headers: Vec<(&'static str, String)>,
    /// The content type and the body.
    pub(crate) body: Option<(&'static str, Vec<u8>)>,
}

/// The limits of a call that reads a whole answer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CallLimits {
    /// Limit of the whole call.
    pub(crate) time: Duration,
    /// Maximum size of the body of the answer in bytes.
    pub(crate) body_bytes: usize,
}

/// A whole answer.
#[derive(Debug)]
pub(crate) struct HttpAnswer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl HttpAnswer {
    /// The value of a header. `None`: it is missing or no text.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// An answer whose body is read bit by bit. Dropping it closes the connection.
#[derive(Debug)]
pub(crate) struct OpenAnswer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    body: Incoming,
    _connection: JoinSet<Result<(), hyper::Error>>,
}

impl OpenAnswer {
    /// The next part of the body. `None`: the body has ended. Cancel safe.
    ///
    /// # Errors
    /// `NotHttp`, `Broken`.
    pub(crate) async fn next_part(&mut self) -> Result<Option<Bytes>, HttpError> {
        while let Some(frame) = self.body.frame().await {
            let frame = frame.map_err(|error| broken(&error))?;
            if let Ok(data) = frame.into_data() {
                return Ok(Some(data));
            }
        }
        Ok(None)
    }

    /// Reads the rest of the body.
    ///
    /// # Errors
    /// `TooLarge`, `NotHttp`, `Broken`.
    async fn read_whole(mut self, body_bytes_max: usize) -> Result<HttpAnswer, HttpError> {
        let mut body = Vec::new();
        while let Some(data) = self.next_part().await? {
            if body.len() + data.len() > body_bytes_max {
                return Err(HttpError::TooLarge(body_bytes_max));
            }
            body.extend_from_slice(&data);
        }
        Ok(HttpAnswer {
            status: self.status,
            headers: self.headers,
            body,
        })
    }
}

/// Why there is no answer. The texts continue a message that names the server.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum HttpError {
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
    /// The answer is not HTTP.
    #[error("the answer is not HTTP")]
    NotHttp,
    /// The connection broke.
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
    limits: CallLimits,
) -> Result<HttpAnswer, HttpError> {
    let exchange = async {
        let ServerUrl { host, port, .. } = request.server;
        let answer = match request.server.is_tls {
            false => send(connect_to(host, *port).await?, request).await?,
            true => send(connect_tls(tls, host, *port).await?, request).await?,
        };
        answer.read_whole(limits.body_bytes).await
    };
    match timeout(limits.time, exchange).await {
        Ok(result) => result,
        Err(_) => Err(HttpError::TimedOut(limits.time)),
    }
}

async fn connect_to(host: &str, port: u16) -> Result<TcpStream, HttpError> {
    let addresses = look_up(host, port, CONNECT_LIMIT).await?;
    connect(&addresses, CONNECT_LIMIT).await
}

/// Opens a connection with TLS.
///
/// # Errors
/// `Lookup`, `Connect`, `Tls`.
pub(super) async fn connect_tls(
    tls: &TlsSettings,
    host: &str,
    port: u16,
) -> Result<SecureStream, HttpError> {
    let stream = connect_to(host, port).await?;
    secure(tls, host, stream, CONNECT_LIMIT).await
}

fn late(limit: Duration) -> String {
    format!("no answer within {} s", limit.as_secs())
}

/// Looks up the addresses of a host, at least one. An address needs no look-up and no thread.
///
/// # Errors
/// `Lookup`.
pub(crate) async fn look_up(
    host: &str,
    port: u16,
    limit: Duration,
) -> Result<Vec<SocketAddr>, HttpError> {
    let found = timeout(limit, lookup_host((host, port)))
        .await
        .map_err(|_| HttpError::Lookup(late(limit)))?
        .map_err(|error| HttpError::Lookup(error.to_string()))?;
    let addresses: Vec<SocketAddr> = found.take(ADDRESSES_MAX).collect();
    match addresses.is_empty() {
        true => Err(HttpError::Lookup("the host has no address".to_owned())),
        false => Ok(addresses),
    }
}

/// Connects to the first of the addresses that accepts. `limit`: for each of them.
///
/// # Errors
/// `Connect`, with the reason of the last address.
pub(crate) async fn connect(
    addresses: &[SocketAddr],
    limit: Duration,
) -> Result<TcpStream, HttpError> {
    let mut reason = "the host has no address".to_owned();
    for address in addresses {
        match timeout(limit, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                keep_alive(&stream);
                return Ok(stream);
            }
            Ok(Err(error)) => reason = error.to_string(),
            Err(_) => reason = late(limit),
        }
    }
    Err(HttpError::Connect(reason))
}

/// Makes a TLS connection over `stream`.
///
/// # Errors
/// `Tls`.
pub(crate) async fn secure(
    tls: &TlsSettings,
    host: &str,
    stream: TcpStream,
    limit: Duration,
) -> Result<SecureStream, HttpError> {
    match timeout(limit, tls.connect(host, stream)).await {
        Ok(stream) => stream.map_err(HttpError::Tls),
        Err(_) => Err(HttpError::Tls(format!(
            "no TLS handshake within {} s",
            limit.as_secs()
        ))),
    }
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

/// Sends a request over a connection, and returns the answer when its head has arrived.
///
/// # Errors
/// `NotHttp`, `Broken`.
pub(crate) async fn send<S>(stream: S, request: HttpRequest<'_>) -> Result<OpenAnswer, HttpError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    send_built(stream, whole_request(request)?).await
}

/// Sends a request that is complete with all its headers. Otherwise as [`send`].
///
/// # Errors
/// `NotHttp`, `Broken`.
pub(super) async fn send_built<S>(
    stream: S,
    request: Request<Full<Bytes>>,
) -> Result<OpenAnswer, HttpError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
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
    let (head, body) = response.into_parts();
    Ok(OpenAnswer {
        status: head.status.as_u16(),
        headers: head.headers,
        body,
        _connection: driver,
    })
}

fn whole_request(request: HttpRequest<'_>) -> Result<Request<Full<Bytes>>, HttpError> {
    let HttpRequest {
        server,
        method,
        path,
        query,
        headers,
        body,
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
    let bytes = match body {
        Some((kind, bytes)) => {
            builder = builder.header("Content-Type", kind);
            bytes
        }
        None => Vec::new(),
    };
    let built = builder.body(Full::new(Bytes::from(bytes)));
    // The error names no value.
    built.map_err(|error| HttpError::Broken(format!("the request cannot be sent: {error}")))
}

fn broken(error: &hyper::Error) -> HttpError {
    let source = std::error::Error::source(error);
    let is_cut = source
        .and_then(|source| source.downcast_ref::<io::Error>())
        .is_some_and(|source| source.kind() == io::ErrorKind::UnexpectedEof);
    let reason = source.map_or_else(|| error.to_string(), ToString::to_string);
    // A server that speaks before it was asked. hyper has no other sign of this error than its text, in the error or its source.
    let is_unasked = reason.contains("unexpected message");
    if error.is_incomplete_message() || is_cut {
        HttpError::Broken("the connection ended before the answer did".to_owned())
    } else if error.is_parse() || is_unasked {
        HttpError::NotHttp
    } else {
        HttpError::Broken(format!("the connection broke: {reason}"))
    }
}
