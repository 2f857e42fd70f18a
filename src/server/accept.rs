//! Accepts connections, identifies their peers and serves each connection in a task of its own.

use std::convert::Infallible;
use std::future::pending;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::{JoinSet, yield_now};
use tokio::time::{Duration, sleep, timeout};

use super::http::connection::{HttpConnection, ServerContext};
use super::http::endpoint_logins::EndpointLogins;
use super::http::{router, wrong_password};
use super::options::ServerLimits;
use super::reject_peer::PeerRejector;
use crate::api::{Access, Caller, Transport};
use crate::config::spec::AllowRule;
use crate::control::{self, PageToken};
use crate::domain::Line;
use crate::http_server::budget::{Budget, BudgetClient, ConnectionGuard};
use crate::http_server::client_stream::ClientStream;
use crate::http_server::counted_io::CountedIo;
use crate::sys;

/// How long responses in flight may take when the server stops.
const STOP_WITHIN: Duration = Duration::from_secs(1);
/// The same at a handoff to the next daemon. Meanwhile nobody accepts connections, and a client that has sent half a
/// request would delay the handoff.
const HAND_OVER_WITHIN: Duration = Duration::from_millis(100);
/// Pause after `accept` failed for lack of descriptors or memory.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Maximum length of a request head, in bytes.
const HEAD_MAX: usize = 64 << 10;

/// Approximate memory use of a connection, in bytes.
const CONNECTION_BYTES: usize = 16 << 10;

/// A socket that accepts connections.
pub(super) enum AsyncListener {
    Inet(TcpListener),
    Unix(UnixListener),
}

/// A newly accepted connection, before its peer is identified.
enum AcceptedStream {
    Inet(TcpStream, SocketAddr),
    Unix(UnixStream),
}

/// What the acceptor of one server needs.
pub(super) struct Endpoint {
    pub(super) listener: AsyncListener,
    /// Delivers the re-created socket. `None`: the socket is not ours to re-create.
    pub(super) recreated: Option<UnboundedReceiver<UnixListener>>,
    pub(super) logins: Arc<EndpointLogins>,
    pub(super) token: Arc<PageToken>,
}

pub(super) async fn serve_endpoints(
    served: Vec<Endpoint>,
    shared: Arc<ServerContext>,
    limits: ServerLimits,
    is_handing_over: Arc<AtomicBool>,
) {
    let budget = Budget::new(limits.connections_max);
    let rejector = PeerRejector::new(shared.log.clone());
    let mut acceptors = JoinSet::new();
    for one in served {
        let (shared, budget) = (shared.clone(), budget.clone());
        acceptors.spawn(accept_loop(
            one,
            shared,
            budget,
            rejector.clone(),
            limits,
            is_handing_over.clone(),
        ));
    }
    let mut stop = shared.stop.clone();
    // An error means that the sender is gone, which counts as a stop.
    let _ = stop.wait_for(|stop| *stop).await;
    while acceptors.join_next().await.is_some() {}
    wrong_password::flush_reports(&shared);
}

/// Accepts connections until the server stops, then waits for its connections to end.
async fn accept_loop(
    served: Endpoint,
    shared: Arc<ServerContext>,
    budget: Arc<Budget>,
    rejector: Arc<PeerRejector>,
    limits: ServerLimits,
    is_handing_over: Arc<AtomicBool>,
) {
    let Endpoint {
        mut listener,
        mut recreated,
        logins,
        token,
    } = served;
    // The old socket, whose file is gone. Clients in its backlog are still served.
    let mut nameless: Option<AsyncListener> = None;
    let mut stop = shared.stop.clone();
    let mut connections: JoinSet<()> = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = accept_one(&listener) => accepted,
            accepted = accept_any(nameless.as_ref()) => accepted,
            made = recv_recreated(&mut recreated) => {
                nameless = Some(std::mem::replace(&mut listener, AsyncListener::Unix(made)));
                continue;
            }
            Some(ended) = connections.join_next() => {
                if let Err(error) = ended && error.is_panic() {
                    (shared.log)(Line::MethodFailed {
                        data: "(a connection)".to_owned(),
                        error: error.to_string(),
                    });
                }
                continue;
            }
            _ = stop.wait_for(|stop| *stop) => break,
        };
        let Ok(accepted) = accepted else {
            // Retrying at once does not cure EMFILE and the like; for ECONNABORTED the pause costs a tenth of a
            // second.
            budget.evict_one();
            sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let Ok((stream, caller, peer, client)) = identify_peer(accepted, logins.rules.as_deref())
        else {
            continue;
        };
        let stream = match stream {
            ClientStream::Unix(stream) if caller.access.as_ref().is_some_and(Access::is_empty) => {
                rejector.reject(stream, &caller);
                continue;
            }
            stream => Arc::new(stream),
        };
        let Some(place) = budget.admit(client, &stream) else {
            continue;
        };
        let place = Arc::new(place);
        let connection = Arc::new(HttpConnection {
            shared: shared.clone(),
            logins: logins.clone(),
            token: token.clone(),
            caller,
            peer,
            stream,
            guard: place.clone(),
            head: Arc::default(),
        });
        connections.spawn(serve_connection(connection, place, limits));
        // Lets each new connection be read once before further ones arrive and may evict it.
        yield_now().await;
    }
    drop((listener, nameless));
    let within = match is_handing_over.load(Ordering::Relaxed) {
        true => HAND_OVER_WITHIN,
        false => STOP_WITHIN,
    };
    let _ = timeout(within, async {
        while connections.join_next().await.is_some() {}
    })
    .await;
}

/// The next re-created socket. Pending forever if there will be none.
async fn recv_recreated(made: &mut Option<UnboundedReceiver<UnixListener>>) -> UnixListener {
    if let Some(made) = made
        && let Some(listener) = made.recv().await
    {
        return listener;
    }
    pending().await
}

/// Like [`accept_one`]. Pending forever if there is no socket.
async fn accept_any(listener: Option<&AsyncListener>) -> io::Result<AcceptedStream> {
    match listener {
        Some(listener) => accept_one(listener).await,
        None => pending().await,
    }
}

async fn accept_one(listener: &AsyncListener) -> io::Result<AcceptedStream> {
    Ok(match listener {
        AsyncListener::Inet(listener) => {
            let (stream, address) = listener.accept().await?;
            AcceptedStream::Inet(stream, address)
        }
        AsyncListener::Unix(listener) => AcceptedStream::Unix(listener.accept().await?.0),
    })
}

/// Returns the stream, the caller as the transport identifies it, its name in access lines, and the client whose
/// budget it uses.
fn identify_peer(
    accepted: AcceptedStream,
    rules: Option<&[AllowRule]>,
) -> io::Result<(ClientStream, Caller, String, BudgetClient)> {
    match accepted {
        AcceptedStream::Inet(stream, address) => {
            // Responses are written whole, so Nagle's algorithm would only delay them.
            let _ = stream.set_nodelay(true);
            let caller = Caller {
                transport: Transport::Inet,
                uid: None,
                gid: None,
                pid: None,
                login: None,
                token: None,
                forwarded_user: None,
                bus_name: None,
                access: None,
            };
            let peer = format!("{}:{}", address.ip(), address.port());
            let client = BudgetClient::address(address.ip());
            Ok((ClientStream::Inet(stream), caller, peer, client))
        }
        AcceptedStream::Unix(stream) => {
            let peer = sys::peer_credentials(&stream)?;
            let caller = Caller {
                transport: Transport::Unix,
                uid: Some(peer.uid),
                gid: Some(peer.gid),
                pid: Some(peer.pid),
                login: None,
                token: None,
                forwarded_user: None,
                bus_name: None,
                access: rules.and_then(|rules| {
                    control::access_for_peer(rules, peer.uid, peer.gid, &peer.groups)
                }),
            };
            let client = BudgetClient::user(peer.uid);
            let name = "localhost:0".to_owned();
            Ok((ClientStream::Unix(stream), caller, name, client))
        }
    }
}

/// Serves one connection until it closes.
async fn serve_connection(
    connection: Arc<HttpConnection>,
    place: Arc<ConnectionGuard>,
    limits: ServerLimits,
) {
    let reclaim = connection.shared.reclaim.clone();
    serve_http(connection, place, limits).await;
    reclaim.count_freed(CONNECTION_BYTES);
}

async fn serve_http(
    connection: Arc<HttpConnection>,
    place: Arc<ConnectionGuard>,
    limits: ServerLimits,
) {
    let mut stop = connection.shared.stop.clone();
    let io = TokioIo::new(CountedIo::new(
        connection.stream.clone(),
        place.clone(),
        connection.head.clone(),
    ));
    let service = service_fn(move |request: Request<Incoming>| {
        let connection = connection.clone();
        // Boxed, so that a connection without a request needs little memory.
        let handling = move || Box::pin(router::handle_request(connection, request));
        async move { handling().await as Result<_, Infallible> }
    });
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head_within)
        .max_header_size(HEAD_MAX)
        .half_close(true)
        .title_case_headers(true)
        .serve_connection(io, service);
    tokio::pin!(serving);
    tokio::select! {
        // An error on a connection concerns only its client and closes the connection.
        _ = serving.as_mut() => return,
        () = place.evicted.notified() => return,
        _ = stop.wait_for(|stop| *stop) => {}
    }
    serving.as_mut().graceful_shutdown();
    let _ = serving.await;
}
