//! The `server` thread: accepts connections and serves each in a task of its own.

use std::convert::Infallible;
use std::future::pending;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::sync::watch;
use tokio::task::{JoinSet, yield_now};
use tokio::time::{Duration, sleep, timeout};

use super::LogFn;
use super::bind::{BoundServer, Listener, SocketFile};
use super::budget::{Budget, BudgetClient, ClientQuota, ConnectionGuard};
use super::buffer_pool::BufferPool;
use super::dbus::{self, BusContext};
use super::http::{self, HttpConnection, ServerContext};
use super::logtail::FOLLOWERS_MAX;
use super::recent_clients::RecentClients;
use super::reject_peer::PeerRejector;
use super::runtime_heartbeat::RuntimeHeartbeat;
use super::socket_files::{self, ListenerCopies, MonitoredFile, SocketCheck, lock};
use super::stream::{ClientStream, CountedIo};
use super::throttle::{self, PasswordThrottle};
use super::web::{self, LiveUpdates};
use crate::api::{Access, Caller, RpcInterfaces, Transport};
use crate::config::spec::{AllowRule, BusChoice, Credentials};
use crate::control::{self, ControlHandle, EventFeed, PageToken};
use crate::domain::Line;
use crate::handoff::PassedSocket;
use crate::heartbeat::Heartbeats;
use crate::sys;

/// How long responses in flight may take when the server stops.
const STOP_WITHIN: Duration = Duration::from_secs(1);
/// The same at a handoff to the next daemon. Meanwhile nobody accepts connections, and a client that has sent half a
/// request would delay the handoff.
const HAND_OVER_WITHIN: Duration = Duration::from_millis(100);
/// Pause after `accept` failed for lack of descriptors or memory.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Maximum number of threads that read log files and render long responses.
const BLOCKING_THREADS_MAX: usize = 4;
/// Maximum length of a request head, in bytes.
const HEAD_MAX: usize = 64 << 10;

/// Approximate memory use of a connection, in bytes.
const CONNECTION_BYTES: usize = 16 << 10;

/// Limits on what clients may use.
#[derive(Debug, Clone, Copy)]
pub struct ServerLimits {
    /// Maximum number of connections of all servers together. Beyond it the longest idle connection is closed.
    pub connections_max: usize,
    /// How long a connection may stay without a complete request head, also between requests. Supervisor closes such
    /// connections after half an hour.
    pub head_within: Duration,
}

impl ServerLimits {
    /// Upper bound of `connections_max`, however many descriptors are available.
    pub const CONNECTIONS_MAX: usize = 1000;
    /// Lower bound of `connections_max`.
    pub const CONNECTIONS_MIN: usize = 16;

    /// The limits that leave three quarters of the descriptors to the programs.
    #[must_use]
    pub fn of_this_process() -> Self {
        let files = sys::get_limit(sys::Resource::Files).map_or(1024, |limit| limit.soft);
        let quarter = usize::try_from(files / 4).unwrap_or(usize::MAX);
        Self {
            connections_max: quarter.clamp(Self::CONNECTIONS_MIN, Self::CONNECTIONS_MAX),
            head_within: Duration::from_secs(30 * 60),
        }
    }
}

/// Options of [`spawn_thread`].
pub struct ServerOptions {
    /// The bound sockets.
    pub servers: Vec<BoundServer>,
    /// The handle with which the server calls the engine.
    pub control: ControlHandle,
    /// The feed from which the web page learns of changes.
    pub events: EventFeed,
    /// Writes to the activity log. Must not block.
    pub log: LogFn,
    /// Names of the `[rpcinterface:x]` sections. Without `supervisor` there are no `supervisor.*` methods.
    pub rpc_interfaces: Vec<String>,
    /// The whitelist of `[rpcinterface:twiddler]`. `None`: there are no `twiddler.*` methods.
    pub twiddler: Option<Vec<String>>,
    /// The D-Bus bus to connect to.
    pub dbus: BusChoice,
    /// Limits on what clients may use.
    pub limits: ServerLimits,
    /// Where the thread registers its heartbeats.
    pub heartbeats: Heartbeats,
    /// Requests a check of the socket files.
    pub socket_check: SocketCheck,
}

/// The running server. Dropping it stops it.
#[derive(Debug)]
pub struct ServerHandle {
    /// Starts the thread's work. `None`: it has been started.
    start_signal: Option<SyncSender<()>>,
    stop: watch::Sender<bool>,
    is_handing_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
    /// Sockets for the next run. The files are removed after the server has stopped.
    sockets: ListenerCopies,
    peers: RecentClients,
}

/// A duplicate of one of our listening sockets, and its file.
#[derive(Debug)]
pub(super) struct ListenerCopy {
    pub(super) socket: OwnedFd,
    pub(super) file: Option<SocketFile>,
}

/// A socket that accepts connections.
enum AsyncListener {
    Inet(TcpListener),
    Unix(UnixListener),
}

/// A newly accepted connection, before its peer is identified.
enum AcceptedStream {
    Inet(TcpStream, SocketAddr),
    Unix(UnixStream),
}

/// What the acceptor of one server needs.
struct Endpoint {
    listener: AsyncListener,
    /// Delivers the re-created socket. `None`: the socket is not ours to re-create.
    recreated: Option<UnboundedReceiver<UnixListener>>,
    credentials: Option<Arc<Credentials>>,
    allow: Option<Arc<[AllowRule]>>,
    token: Arc<PageToken>,
}

/// Starts the thread `server`, which does nothing before [`ServerHandle::start`]. Clients that connect earlier wait
/// in the sockets' backlogs.
///
/// # Errors
/// The thread or its epoll descriptor cannot be created. The socket files are then removed.
pub fn spawn_thread(options: ServerOptions) -> io::Result<ServerHandle> {
    let ServerOptions {
        servers,
        control,
        events,
        log,
        rpc_interfaces,
        twiddler,
        dbus,
        limits,
        heartbeats,
        socket_check,
    } = options;
    let interface = RpcInterfaces {
        supervisor: rpc_interfaces.iter().any(|name| name == "supervisor"),
        twiddler,
    };
    let pulse = RuntimeHeartbeat::default();
    let mut builder = tokio::runtime::Builder::new_current_thread();
    pulse.install_hooks(&mut builder, &heartbeats);
    let runtime = builder
        .enable_io()
        .enable_time()
        .max_blocking_threads(BLOCKING_THREADS_MAX)
        .thread_name("server-files")
        .build()?;
    let (mut sockets, mut kept) = (Vec::new(), Vec::new());
    let mut served = Vec::new();
    let mut names = Vec::new();
    {
        let _context = runtime.enter();
        for server in servers {
            let parts = server.into_parts();
            names.extend(parts.names);
            let socket = match &parts.listener {
                Listener::Inet(listener) => listener.as_fd().try_clone_to_owned()?,
                Listener::Unix(listener) => listener.as_fd().try_clone_to_owned()?,
            };
            let mut recreated = None;
            if parts.passed.is_none() {
                let file = parts.file;
                if let (Some(_), Some(spec)) = (&file, parts.file_spec) {
                    let (acceptor, made) = unbounded_channel();
                    recreated = Some(made);
                    kept.push(MonitoredFile {
                        copy: sockets.len(),
                        spec,
                        acceptor,
                    });
                }
                sockets.push(ListenerCopy { socket, file });
            }
            let listener = match parts.listener {
                Listener::Inet(listener) => AsyncListener::Inet(TcpListener::from_std(listener)?),
                Listener::Unix(listener) => AsyncListener::Unix(UnixListener::from_std(listener)?),
            };
            served.push(Endpoint {
                listener,
                recreated,
                credentials: parts.credentials.map(Arc::new),
                allow: parts.allow,
                token: Arc::new(PageToken::new(
                    [sys::random_seed()?, sys::random_seed()?],
                    jiff::Timestamp::now().as_millisecond(),
                )),
            });
        }
    }
    let (stop, stopped) = watch::channel(false);
    let peers = RecentClients::of_this_process();
    let context = Arc::new(BusContext {
        choice: dbus,
        control: control.clone(),
        interface: interface.clone(),
        feed: events.clone(),
        log: log.clone(),
        peers: peers.clone(),
        stop: stopped.clone(),
    });
    let sockets: ListenerCopies = Arc::new(Mutex::new(sockets));
    let copies = sockets.clone();
    let is_handing_over = Arc::new(AtomicBool::new(false));
    let ends_soon = is_handing_over.clone();
    let of_thread = peers.clone();
    let (go, begun) = sync_channel(1);
    let thread = std::thread::Builder::new()
        .name("server".to_owned())
        .spawn(move || {
            // An error means that the handle has been dropped, which stops the server below.
            let _ = begun.recv();
            pulse.start(&heartbeats, runtime.handle());
            let mut host_names = web::own_host_names();
            host_names.extend(names);
            let shared = Arc::new(ServerContext {
                control,
                log,
                interface,
                host_names,
                throttle: PasswordThrottle::default(),
                followers: ClientQuota::new(FOLLOWERS_MAX),
                peers: of_thread,
                reclaim: Arc::<BufferPool>::default(),
                live: LiveUpdates::new(events, limits.connections_max),
                assets_modified: web::assets_modified(),
                stop: stopped,
            });
            runtime.block_on(async {
                let bus = tokio::spawn(dbus::stay_connected(context));
                tokio::spawn(
                    shared
                        .reclaim
                        .clone()
                        .reclaim_when_idle(shared.stop.clone()),
                );
                let (log, stop) = (shared.log.clone(), shared.stop.clone());
                tokio::spawn(socket_files::maintain_socket_files(
                    kept,
                    copies,
                    socket_check,
                    log,
                    stop,
                ));
                serve_endpoints(served, shared, limits, ends_soon).await;
                // An error is a panic, which the panic hook has reported.
                let _ = bus.await;
            });
            // A read of a log on a dead mount must not keep the daemon from exiting.
            runtime.shutdown_background();
            pulse.stop();
        })?;
    Ok(ServerHandle {
        start_signal: Some(go),
        stop,
        is_handing_over,
        thread: Some(thread),
        sockets,
        peers,
    })
}

impl ServerHandle {
    /// Starts the thread's work. Call it after the first programs have been started, because both compete for the
    /// same CPUs.
    pub fn start(&mut self) {
        if let Some(go) = self.start_signal.take() {
            // An error means that the thread has ended, which its heartbeat reports.
            let _ = go.send(());
        }
    }

    /// Like [`ServerHandle::stop`], but with a shorter timeout. The sockets stay open and are returned for the next
    /// daemon.
    #[must_use]
    pub fn hand_over(mut self) -> Vec<PassedSocket> {
        self.is_handing_over.store(true, Ordering::Relaxed);
        self.join_thread();
        let sockets = std::mem::take(&mut *lock(&self.sockets)).into_iter();
        sockets
            .map(|copy| PassedSocket {
                fd: copy.socket,
                name: String::new(),
                file: copy.file.map(SocketFile::into_name),
            })
            .collect()
    }

    fn join_thread(&mut self) {
        self.stop.send_replace(true);
        self.start();
        if let Some(thread) = self.thread.take() {
            // The panic hook has reported the panic. The daemon continues its shutdown.
            let _ = thread.join();
        }
    }

    /// Stops accepting, finishes responses in flight within a second, closes all connections and removes the socket
    /// files. Returns the recent clients, for which the process should wait before it exits.
    pub fn stop(self) -> RecentClients {
        self.peers.clone()
    }
}

impl Drop for ServerHandle {
    fn drop(&mut self) {
        self.join_thread();
        lock(&self.sockets).clear();
    }
}

async fn serve_endpoints(
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
    throttle::flush_reports(&shared);
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
        credentials,
        allow,
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
        let Ok((stream, caller, peer, client)) = identify_peer(accepted, allow.as_deref()) else {
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
            credentials: credentials.clone(),
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
        let handling = move || Box::pin(http::handle_request(connection, request));
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
