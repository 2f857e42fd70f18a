//! The blocking connection to the server, kept open between calls. This module knows no actions.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine as _;
use nix::poll::{PollFd, PollFlags, PollTimeout};

use super::error::CtlError;
use super::http::ResponseDecoder;
use crate::api::xmlrpc::{self, RpcCall, RpcValue};
use crate::domain::percent_encoded;

/// Timeout for connecting to one TCP address. Calls have no timeout, because a start waits as long as the program
/// needs.
const CONNECT_MAX: Duration = Duration::from_secs(30);
/// Maximum size of a response in bytes, large enough for a whole log read by `tail -0`.
const RESPONSE_MAX: usize = 1 << 30;
/// Number of bytes per read.
const READ_SIZE: usize = 64 << 10;

/// A connection to the server.
#[derive(Debug)]
pub(super) enum ServerStream {
    Unix(UnixStream),
    Tcp(TcpStream),
}

impl Read for ServerStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Unix(stream) => stream.read(buffer),
            Self::Tcp(stream) => stream.read(buffer),
        }
    }
}

impl Write for ServerStream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Unix(stream) => stream.write(bytes),
            Self::Tcp(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl AsFd for ServerStream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Unix(stream) => stream.as_fd(),
            Self::Tcp(stream) => stream.as_fd(),
        }
    }
}

/// The address of a server.
#[derive(Debug, PartialEq, Eq)]
enum ServerUrl {
    Unix(PathBuf),
    Tcp { host: String, port: u16 },
}

impl ServerUrl {
    fn of(url: &str) -> Result<Self, CtlError> {
        if let Some(path) = url.strip_prefix("unix://") {
            return Ok(Self::Unix(PathBuf::from(path)));
        }
        let Some(rest) = url.strip_prefix("http://") else {
            return Err(CtlError::Value(format!(
                "Unknown protocol for serverurl {url}"
            )));
        };
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let authority = authority.rsplit('@').next().unwrap_or_default();
        let (host, port) = match authority.strip_prefix('[') {
            Some(literal) => match literal.split_once(']') {
                Some((host, rest)) => (host, rest.strip_prefix(':').unwrap_or_default()),
                None => return Err(CtlError::Value("Invalid IPv6 URL".to_owned())),
            },
            None => authority.split_once(':').unwrap_or((authority, "")),
        };
        if host.is_empty() {
            return Err(CtlError::Value(format!("no host in serverurl {url}")));
        }
        let port = if port.is_empty() {
            80
        } else if port.bytes().all(|byte| byte.is_ascii_digit()) {
            port.parse()
                .map_err(|_| CtlError::Value("Port out of range 0-65535".to_owned()))?
        } else {
            return Err(CtlError::Value(format!(
                "Port could not be cast to integer value as {}",
                crate::domain::python_repr(port)
            )));
        };
        Ok(Self::Tcp {
            host: host.to_owned(),
            port,
        })
    }

    fn connect(&self) -> Result<ServerStream, CtlError> {
        match self {
            Self::Unix(path) => UnixStream::connect(path)
                .map(ServerStream::Unix)
                .map_err(CtlError::Io),
            Self::Tcp { host, port } => {
                let addresses = (host.as_str(), *port)
                    .to_socket_addrs()
                    .map_err(|error| CtlError::Resolve(resolver_text(&error)))?;
                let mut last =
                    CtlError::Resolve("[Errno -5] No address associated with hostname".to_owned());
                for address in addresses {
                    match TcpStream::connect_timeout(&address, CONNECT_MAX) {
                        Ok(stream) => {
                            // Requests are small and the client waits for each response, so Nagle's algorithm would
                            // only delay them.
                            let _ = stream.set_nodelay(true);
                            return Ok(ServerStream::Tcp(stream));
                        }
                        Err(error) if error.kind() == io::ErrorKind::TimedOut => {
                            last = CtlError::Io(io::Error::from_raw_os_error(
                                nix::errno::Errno::ETIMEDOUT as i32,
                            ));
                        }
                        Err(error) => last = CtlError::Io(error),
                    }
                }
                Err(last)
            }
        }
    }

    /// The value of the `Host` field.
    fn host(&self) -> String {
        match self {
            Self::Unix(_) => "localhost".to_owned(),
            Self::Tcp { host, port } if host.contains(':') => format!("[{host}]:{port}"),
            Self::Tcp { host, port } => format!("{host}:{port}"),
        }
    }
}

/// The resolver's message, with the number that Python shows, if it is known.
fn resolver_text(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text
        .strip_prefix("failed to lookup address information: ")
        .unwrap_or(&text);
    match text {
        "Name or service not known" => format!("[Errno -2] {text}"),
        "Temporary failure in name resolution" => format!("[Errno -3] {text}"),
        "No address associated with hostname" => format!("[Errno -5] {text}"),
        _ => text.to_owned(),
    }
}

/// A client for one server and user. It does not implement `Debug`, because it holds a password.
pub(super) struct RpcClient {
    url: String,
    credentials: Option<(String, String)>,
    open: Option<ServerStream>,
}

impl RpcClient {
    /// Creates a client without connecting. `credentials`: user name and password.
    pub(super) fn new(url: &str, credentials: Option<(String, String)>) -> Self {
        Self {
            url: url.to_owned(),
            credentials,
            open: None,
        }
    }

    /// A client for the same server and user, with a connection of its own.
    pub(super) fn again(&self) -> Self {
        Self::new(&self.url, self.credentials.clone())
    }

    /// The path of the server's unix socket. `None`: not a unix socket.
    pub(super) fn socket(&self) -> Option<&Path> {
        self.url.strip_prefix("unix://").map(Path::new)
    }

    /// The server's URL, as the user wrote it.
    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// Whether it has a user name and a password.
    pub(super) const fn has_credentials(&self) -> bool {
        self.credentials.is_some()
    }

    /// Creates a client for the same server and user, with its own connection.
    pub(super) fn new_connection(&self) -> Self {
        Self::new(&self.url, self.credentials.clone())
    }

    /// Switches to another server.
    pub(super) fn set_url(&mut self, url: &str) {
        self.url = url.to_owned();
        self.open = None;
    }

    /// Sets the user name and password.
    pub(super) fn set_credentials(&mut self, username: String, password: String) {
        self.credentials = Some((username, password));
    }

    /// Calls `method` and waits for its result, without a timeout.
    ///
    /// # Errors
    /// [`CtlError::Fault`] from the server, and any error of the connection. A request is never sent twice.
    pub(super) fn call(
        &mut self,
        method: &str,
        params: Vec<RpcValue>,
    ) -> Result<RpcValue, CtlError> {
        let place = ServerUrl::of(&self.url)?;
        let body = xmlrpc::write_call(&RpcCall {
            method: method.to_owned(),
            params,
        });
        let mut request = self.request("POST /RPC2", &place);
        request.push_str("Content-Type: text/xml\r\nAccept: text/xml\r\nContent-Length: ");
        request.push_str(&body.len().to_string());
        request.push_str("\r\n\r\n");
        let mut request = request.into_bytes();
        request.extend_from_slice(&body);

        let mut stream = match self.open.take() {
            Some(stream) if is_idle(&stream) => stream,
            _ => place.connect()?,
        };
        // If the server responds and closes the connection without reading the whole request, the write fails. The
        // response counts all the same.
        let written = stream.write_all(&request);
        let mut decoder = ResponseDecoder::new();
        let answer = match read_response_body(&mut stream, &mut decoder) {
            Err(CtlError::Closed { midway: false } | CtlError::Io(_)) if written.is_err() => {
                written.map_err(CtlError::Io)?;
                Vec::new()
            }
            answer => answer?,
        };
        let head = decoder
            .head()
            .ok_or(CtlError::Closed { midway: false })?
            .clone();
        if head.keep {
            self.open = Some(stream);
        }
        if head.status != 200 {
            return Err(CtlError::Http {
                status: head.status,
                reason: head.reason,
            });
        }
        let answer =
            xmlrpc::read_response(&answer).map_err(|error| CtlError::Garbage(error.to_string()))?;
        Ok(answer?)
    }

    /// Requests `path` on a new connection. The caller reads the response. `query`: empty, or what follows the question mark.
    ///
    /// # Errors
    /// Connecting or sending failed.
    pub(super) fn get(&self, path: &str, query: &str) -> Result<ServerStream, CtlError> {
        let place = ServerUrl::of(&self.url)?;
        let mark = if query.is_empty() { "" } else { "?" };
        let line = format!("GET {}{mark}{query}", encoded(path));
        let mut request = self.request(&line, &place);
        request.push_str("Accept: */*\r\n\r\n");
        let mut stream = place.connect()?;
        stream.write_all(request.as_bytes()).map_err(CtlError::Io)?;
        Ok(stream)
    }

    /// The request line and the header fields that every request has.
    fn request(&self, line: &str, place: &ServerUrl) -> String {
        let mut request = format!(
            "{line} HTTP/1.1\r\nHost: {}\r\nUser-Agent: supervisorctl/{}\r\n",
            place.host(),
            env!("CARGO_PKG_VERSION")
        );
        if let Some((username, password)) = &self.credentials {
            let token =
                base64::engine::general_purpose::STANDARD.encode(format!("{username}:{password}"));
            request.push_str("Authorization: Basic ");
            request.push_str(&token);
            request.push_str("\r\n");
        }
        request
    }
}

/// Whether a kept connection is still open and has no unexpected data.
fn is_idle(stream: &ServerStream) -> bool {
    let mut fds = [PollFd::new(stream.as_fd(), PollFlags::POLLIN)];
    matches!(nix::poll::poll(&mut fds, PollTimeout::ZERO), Ok(0))
}

/// Reads one whole response and returns its body.
fn read_response_body(
    stream: &mut ServerStream,
    decoder: &mut ResponseDecoder,
) -> Result<Vec<u8>, CtlError> {
    let mut answer = Vec::new();
    let mut buffer = vec![0; READ_SIZE];
    while !decoder.is_whole() {
        match stream.read(&mut buffer) {
            Ok(0) if decoder.close() => break,
            Ok(0) => {
                return Err(CtlError::Closed {
                    midway: decoder.has_begun(),
                });
            }
            Ok(count) => decoder
                .feed(&buffer[..count], &mut answer)
                .map_err(|why| CtlError::Garbage(why.to_owned()))?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(CtlError::Io(error)),
        }
        if answer.len() > RESPONSE_MAX {
            return Err(CtlError::Garbage("it is too long".to_owned()));
        }
    }
    Ok(answer)
}

/// Percent-encodes the characters of `path` that could end or change it. Characters that are common in process names
/// are kept.
fn encoded(path: &str) -> String {
    percent_encoded(path, b"/-._~:*!$&'()+,;=@")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ctl_01_server_urls_are_parsed() {
        let tcp = |host: &str, port| {
            Ok(ServerUrl::Tcp {
                host: host.to_owned(),
                port,
            })
        };
        let table = [
            (
                "unix:///run/x.sock",
                Ok(ServerUrl::Unix(PathBuf::from("/run/x.sock"))),
            ),
            ("http://localhost:9001", tcp("localhost", 9001)),
            ("http://localhost", tcp("localhost", 80)),
            ("http://localhost:", tcp("localhost", 80)),
            ("http://h:1/path?x", tcp("h", 1)),
            ("http://u:p@h:1", tcp("h", 1)),
            ("http://[::1]:9001", tcp("::1", 9001)),
            ("http://[::1]", tcp("::1", 80)),
            (
                "ftp://x",
                Err("<class 'ValueError'>, Unknown protocol for serverurl ftp://x"),
            ),
            (
                "http://h:foo",
                Err("<class 'ValueError'>, Port could not be cast to integer value as 'foo'"),
            ),
            (
                "http://h:99999",
                Err("<class 'ValueError'>, Port out of range 0-65535"),
            ),
            (
                "http://:1",
                Err("<class 'ValueError'>, no host in serverurl http://:1"),
            ),
        ];
        for (url, expected) in table {
            assert_eq!(
                ServerUrl::of(url).map_err(|failure| failure.to_string()),
                expected.map_err(str::to_owned),
                "{url}"
            );
        }
    }

    #[test]
    fn paths_are_percent_encoded() {
        assert_eq!(encoded("/logtail/g:p_00/stdout"), "/logtail/g:p_00/stdout");
        assert_eq!(encoded("/a b\r\n?#%é"), "/a%20b%0D%0A%3F%23%25%C3%A9");
    }
}
