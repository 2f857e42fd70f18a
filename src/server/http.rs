//! HTTP: checks access, and dispatches by path. This module does not know the XML-RPC methods.

use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;

use http_body_util::BodyExt as _;
use hyper::body::{Bytes, Incoming};
use hyper::header::{self, HeaderMap};
use hyper::http::request::Parts;
use hyper::{Request, Response, StatusCode, Version};
use jiff::Timestamp;
use tokio::sync::watch;
use tokio::time::{Duration, Instant, timeout_at};

use super::LogFn;
use super::budget::{BudgetClient, BusyGuard, ClientQuota, ConnectionGuard};
use super::buffer_pool::BufferPool;
use super::recent_clients::RecentClients;
use super::response::{self, HandlerResponse, ReplyBody};
use super::stream::{ClientStream, HeadCounter};
use super::throttle::{self, PasswordThrottle};
use super::web::{self, LiveUpdates};
use super::{logtail, xmlrpc};
use crate::api::{Caller, RpcInterfaces};
use crate::config::spec::Credentials;
use crate::control::{self, ControlHandle, PageToken, PasswordCheck};
use crate::domain::Line;

/// How much is still read of a refused request: bytes and time.
const DRAIN_MAX: usize = 256 << 20;
const DRAIN_WITHIN: Duration = Duration::from_secs(20);
/// The number of bytes still read of a request without the password.
const DRAIN_UNKNOWN_MAX: usize = 64 << 10;
/// Maximum time for a whole body.
const BODY_WITHIN: Duration = Duration::from_secs(60);
/// How long a body may take beyond the time that [`BODY_RATE`] allows for its bytes.
const BODY_GRACE: Duration = Duration::from_secs(20);
/// Minimum transfer rate of a body, in bytes per second.
const BODY_RATE: usize = 16 << 10;

/// State shared by all connections.
pub(super) struct ServerContext {
    pub(super) control: ControlHandle,
    pub(super) log: LogFn,
    pub(super) interface: RpcInterfaces,
    /// Host names besides addresses and `localhost` under which a browser may address us.
    pub(super) host_names: Vec<String>,
    /// Throttles wrong passwords.
    pub(super) throttle: PasswordThrottle,
    /// Quota of followed logs.
    pub(super) followers: Arc<ClientQuota>,
    /// Recent clients, for which a daemon that is PID 1 waits before it exits.
    pub(super) peers: RecentClients,
    /// Buffers for large responses.
    pub(super) reclaim: Arc<BufferPool>,
    /// Live updates for open pages.
    pub(super) live: Arc<LiveUpdates>,
    /// When the page's static files were last changed, in seconds since the epoch.
    pub(super) assets_modified: i64,
    /// True when the server stops.
    pub(super) stop: watch::Receiver<bool>,
}

/// One HTTP connection.
pub(super) struct HttpConnection {
    pub(super) shared: Arc<ServerContext>,
    pub(super) credentials: Option<Arc<Credentials>>,
    /// The token in the forms of this server's page.
    pub(super) token: Arc<PageToken>,
    /// The caller as the transport identifies it. The user name comes with each request.
    pub(super) caller: Caller,
    /// The client's name in access lines.
    pub(super) peer: String,
    pub(super) stream: Arc<ClientStream>,
    pub(super) guard: Arc<ConnectionGuard>,
    pub(super) head: Arc<HeadCounter>,
}

impl HttpConnection {
    fn record_client(&self) {
        match self.guard.client {
            BudgetClient::Address(address) if address.is_loopback() => {
                self.shared.peers.record_loopback()
            }
            _ => self.shared.peers.record(self.caller.pid),
        }
    }
}

/// Measures how fast a body arrives.
pub(super) struct BodyPace {
    begin: Instant,
    read: usize,
}

impl BodyPace {
    pub(super) fn start() -> Self {
        Self {
            begin: Instant::now(),
            read: 0,
        }
    }

    /// Deadline for the next part of the body.
    pub(super) fn deadline(&self) -> Instant {
        let earned = Duration::from_secs((self.read / BODY_RATE) as u64);
        self.begin + (BODY_GRACE + earned).min(BODY_WITHIN)
    }

    pub(super) fn add(&mut self, bytes: usize) {
        self.read += bytes;
    }
}

/// Handles one request.
pub(super) async fn handle_request(
    connection: Arc<HttpConnection>,
    request: Request<Incoming>,
) -> Result<Response<ReplyBody>, Infallible> {
    connection.record_client();
    connection.head.head_complete();
    connection.guard.request_started();
    let version = request.version();
    let keep_alive = version == Version::HTTP_10 && asks_to_keep_alive(request.headers());
    let line = format!(
        "{} {} {version:?}",
        request.method(),
        request
            .uri()
            .path_and_query()
            .map_or("*", |target| target.as_str()),
    );
    let (head, mut body) = request.into_parts();
    let answer = route_request(&connection, &head, &mut body).await;
    let refused = match &answer {
        HandlerResponse::Full(..) | HandlerResponse::Budgeted(..) | HandlerResponse::Log { .. } => {
            false
        }
        HandlerResponse::Made(made) => made.status.is_client_error(),
        HandlerResponse::Error(_) | HandlerResponse::Fatal(_) | HandlerResponse::Challenge => true,
    };
    if refused && !head.headers.contains_key(header::EXPECT) {
        let most = match answer {
            HandlerResponse::Challenge => DRAIN_UNKNOWN_MAX,
            _ => DRAIN_MAX,
        };
        drain_body(&mut body, most).await;
    }
    let answer = answer.with_budget(&connection.guard);
    let busy = BusyGuard::new(&connection.guard);
    let response = response::into_http(answer, version, keep_alive, busy);
    (connection.shared.log)(Line::Access {
        peer: connection.peer.clone(),
        request: line,
        status: response.status().as_u16(),
        bytes: response::wire_size(&response),
        time: Timestamp::now()
            .to_zoned(crate::sys::time_zone())
            .strftime("%d/%b/%Y:%H:%M:%S %z")
            .to_string(),
    });
    // The request may have waited for long, so record the client again.
    connection.record_client();
    connection.head.head_expected();
    Ok(response)
}

fn asks_to_keep_alive(headers: &HeaderMap) -> bool {
    headers
        .get(header::CONNECTION)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| value.trim().eq_ignore_ascii_case("keep-alive"))
}

/// Reads and discards the rest of a request. Many clients read the response only after they have sent everything, and
/// closing the connection earlier would reset it.
async fn drain_body(body: &mut Incoming, most: usize) {
    let mut pace = BodyPace::start();
    let last = pace.begin + DRAIN_WITHIN;
    while pace.read <= most
        && let Ok(Some(Ok(frame))) = timeout_at(pace.deadline().min(last), body.frame()).await
    {
        pace.add(frame.data_ref().map_or(0, Bytes::len));
    }
}

async fn route_request(
    connection: &Arc<HttpConnection>,
    head: &Parts,
    body: &mut Incoming,
) -> HandlerResponse {
    let authorization = head.headers.get(header::AUTHORIZATION);
    let verdict = control::check_password(
        connection.credentials.as_deref(),
        authorization.map(|value| value.as_bytes()),
    );
    let login = match verdict {
        PasswordCheck::Welcome(login) => login,
        // Browsers first ask without credentials, to learn that a password is needed.
        PasswordCheck::Challenge if authorization.is_none() => return HandlerResponse::Challenge,
        PasswordCheck::Challenge => {
            return throttle::password_failed(connection, HandlerResponse::Challenge).await;
        }
        PasswordCheck::Undecodable => {
            let answer = HandlerResponse::Error(StatusCode::BAD_REQUEST);
            return throttle::password_failed(connection, answer).await;
        }
    };
    if login.is_some() {
        throttle::password_accepted(connection);
    }
    let caller = Caller {
        login,
        ..connection.caller.clone()
    };
    let path = percent_decoded(head.uri.path());
    if path.starts_with("/RPC2") {
        xmlrpc::handle_rpc(connection, caller, head, body).await
    } else if let Some(refusal) = web::csrf_refusal(connection, head, &path) {
        refusal
    } else if path.starts_with("/logtail") {
        logtail::follow_process_log(connection, caller, head, &path).await
    } else if path.starts_with("/mainlogtail") {
        logtail::follow_main_log(connection, caller, head).await
    } else {
        web::handle_page(connection, caller, head, body, &path).await
    }
}

/// Decodes percent escapes such as `%41`. An invalid escape is left unchanged, as in Python's `unquote`.
pub(super) fn percent_decoded(path: &str) -> String {
    let hex = |byte: Option<&u8>| byte.and_then(|&byte| char::from(byte).to_digit(16));
    let bytes = path.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        match (byte, hex(bytes.get(at + 1)), hex(bytes.get(at + 2))) {
            (b'%', Some(high), Some(low)) => {
                out.push(u8::try_from(high * 16 + low).unwrap_or(b'?'));
                at += 3;
            }
            _ => {
                out.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// Whether a browser sends this request on behalf of a foreign page. Programs send no `Origin`.
///
/// With DNS rebinding, an attacker's name is equal in `Origin` and `Host`, so the name must also be one of our own.
// Differs: Supervisor accepts calls from any page that is open in a browser on the host.
pub(super) fn is_foreign_page(headers: &HeaderMap, own_names: &[String]) -> bool {
    let text = |name| {
        headers
            .get(name)
            .map(|value: &header::HeaderValue| value.to_str().unwrap_or(""))
    };
    if let Some(site) = text(header::HeaderName::from_static("sec-fetch-site"))
        && !matches!(site, "same-origin" | "none")
    {
        return true;
    }
    let Some(origin) = text(header::ORIGIN) else {
        return false;
    };
    let host = text(header::HOST).unwrap_or("");
    !is_same_authority(origin, host) || !is_own_name(&host_without_port(host), own_names)
}

/// Whether the URL in `Origin` or `Referer` has the same authority as `Host`.
pub(super) fn is_same_authority(url: &str, host: &str) -> bool {
    let Some((scheme, rest)) = url.split_once("://") else {
        return false;
    };
    let default_port = if scheme == "https" { ":443" } else { ":80" };
    let plain = |authority: &str| {
        authority
            .trim_end_matches(default_port)
            .to_ascii_lowercase()
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or("");
    plain(authority) == plain(host)
}

/// Removes the port and the brackets from `host:port` or `[::1]:port`.
pub(super) fn host_without_port(authority: &str) -> String {
    let host = match authority.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or(""),
        None => authority.split(':').next().unwrap_or(""),
    };
    host.to_ascii_lowercase()
}

/// Whether `host` can only mean this machine: an IP address, `localhost`, or one of `own_names`.
pub(super) fn is_own_name(host: &str, own_names: &[String]) -> bool {
    host == "localhost"
        || host.parse::<IpAddr>().is_ok()
        || own_names.iter().any(|name| name == host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_decoded_as_in_python() {
        let table = [
            ("/logtail/c%61t%3Ax", "/logtail/cat:x"),
            ("/a%2", "/a%2"),
            ("/%zz%", "/%zz%"),
            ("/%c3%A9", "/é"),
            ("/%ff", "/\u{fffd}"),
        ];
        for (given, expected) in table {
            assert_eq!(percent_decoded(given), expected);
        }
    }

    #[test]
    fn foreign_pages_are_recognized() {
        let own = ["box".to_owned()];
        let table = [
            (&[][..], false),
            (&[("host", "127.0.0.1:9001")], false),
            (
                &[
                    ("host", "127.0.0.1:9001"),
                    ("origin", "http://127.0.0.1:9001"),
                ],
                false,
            ),
            (&[("host", "Box:80"), ("origin", "http://box")], false),
            (
                &[("host", "[::1]:9001"), ("origin", "http://[::1]:9001")],
                false,
            ),
            (
                &[
                    ("host", "127.0.0.1:9001"),
                    ("origin", "http://127.0.0.1:9002"),
                ],
                true,
            ),
            (
                &[
                    ("host", "127.0.0.1:9001"),
                    ("origin", "https://evil.example"),
                ],
                true,
            ),
            (&[("host", "127.0.0.1:9001"), ("origin", "null")], true),
            (
                &[
                    ("host", "evil.example:9001"),
                    ("origin", "http://evil.example:9001"),
                ],
                true,
            ),
            (&[("origin", "http://127.0.0.1")], true),
            (&[("host", "box"), ("sec-fetch-site", "cross-site")], true),
            (&[("host", "box"), ("sec-fetch-site", "same-origin")], false),
        ];
        for (given, expected) in table {
            let mut headers = HeaderMap::new();
            for (name, value) in given {
                headers.insert(*name, header::HeaderValue::from_static(value));
            }
            assert_eq!(is_foreign_page(&headers, &own), expected, "{given:?}");
        }
    }
}
