//! The `server` thread: accepts connections and serves them, each as a task of its own.

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
use crate::engine::PassedSocket;
use crate::heartbeat::Heartbeats;
use crate::sys;

/// How long answers in flight may take when the server ends.
const STOP_WITHIN: Duration = Duration::from_secs(1);
/// The same when a successor takes over: meanwhile nobody answers, and whoever has sent half a request would hold that up.
const HAND_OVER_WITHIN: Duration = Duration::from_millis(100);
/// Pause after `accept` failed for want of descriptors or memory.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Threads that read log files and render long answers.
const BLOCKING_THREADS_MAX: usize = 4;
/// The longest head of a request, in bytes.
const HEAD_MAX: usize = 64 << 10;

/// The memory of a connection, roughly.
const CONNECTION_BYTES: usize = 16 << 10;

/// What a client may use up.
#[derive(Debug, Clone, Copy)]
pub struct ServerLimits {
    /// Connections of all servers together. Beyond that the one that was idle longest gives way.
    pub connections_max: usize,
    /// How long a connection may stay without a whole request head, between requests too. Supervisor closes them after
    /// half an hour.
    pub head_within: Duration,
}

impl ServerLimits {
    /// Connections at most, however many descriptors there are.
    pub const CONNECTIONS_MAX: usize = 1000;
    /// Connections at least.
    pub const CONNECTIONS_MIN: usize = 16;

    /// What leaves three quarters of the descriptors to the programs.
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

/// What the server is made of.
pub struct ServerOptions {
    /// Bound sockets.
    pub servers: Vec<BoundServer>,
    /// The way to the engine.
    pub control: ControlHandle,
    /// Where the page hears of changes.
    pub events: EventFeed,
    /// Writes to the activity log. Must not block.
    pub log: LogFn,
    /// Names of the `[rpcinterface:x]` sections; without `supervisor` there are no `supervisor.*` methods.
    pub rpc_interfaces: Vec<String>,
    /// The whitelist of `[rpcinterface:twiddler]`; none: there are no `twiddler.*` methods.
    pub twiddler: Option<Vec<String>>,
    /// The bus to be on.
    pub dbus: BusChoice,
    /// What clients may use up.
    pub limits: ServerLimits,
    /// Watches the thread.
    pub heartbeats: Heartbeats,
    /// Asks for a look at the files of the sockets.
    pub socket_check: SocketCheck,
}

/// The running server. Dropping it stops it.
#[derive(Debug)]
pub struct ServerHandle {
    /// The thread waits for it. `None`: it was told to begin.
    start_signal: Option<SyncSender<()>>,
    stop: watch::Sender<bool>,
    is_handing_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
    /// For a successor; the files are removed when everything has ended.
    sockets: ListenerCopies,
    peers: RecentClients,
}

/// A listening socket that is ours, once more, and its file.
#[derive(Debug)]
pub(super) struct ListenerCopy {
    pub(super) socket: OwnedFd,
    pub(super) file: Option<SocketFile>,
}

/// A socket on which connections are awaited.
enum AsyncListener {
    Inet(TcpListener),
    Unix(UnixListener),
}

/// A connection of which nothing is known yet.
enum AcceptedStream {
    Inet(TcpStream, SocketAddr),
    Unix(UnixStream),
}

/// One server's part of a connection.
struct Endpoint {
    listener: AsyncListener,
    /// Its socket, made again. None: it is not ours to make.
    recreated: Option<UnboundedReceiver<UnixListener>>,
    credentials: Option<Arc<Credentials>>,
    allow: Option<Arc<[AllowRule]>>,
    token: Arc<PageToken>,
}

/// Starts the thread `server`, which does nothing before [`ServerHandle::start`]: clients who connect earlier wait in the queues of
/// the sockets.
///
/// # Errors
/// No thread, or no descriptor for its readiness set; the sockets' files are removed then.
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
            // An error: whoever could tell it is gone, which ends it below.
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
                // An error is a panic, which the hook has reported.
                let _ = bus.await;
            });
            // A log that is read from a dead mount must not keep the daemon from ending.
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
    /// Lets the thread begin. The first programs are to be started before that: what a client needs is made on the same
    /// processors.
    pub fn start(&mut self) {
        if let Some(go) = self.start_signal.take() {
            // An error: the thread has ended, which its heartbeat tells.
            let _ = go.send(());
        }
    }

    /// The same as [`ServerHandle::stop`], but sooner, and the sockets stay open and go to a successor.
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
            // A panic was reported by the hook; the daemon goes on ending.
            let _ = thread.join();
        }
    }

    /// Accepts no more, finishes the answers in flight within a second, closes, and removes the sockets' files. The clients
    /// that were answered last are to be waited for if the process ends.
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
    // An error means that the other end is gone, which is as good as a stop.
    let _ = stop.wait_for(|stop| *stop).await;
    while acceptors.join_next().await.is_some() {}
    throttle::flush_reports(&shared);
}

/// Accepts until the server ends, then waits for its connections.
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
    // Without a name by now; whoever had connected to it is served.
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
            // EMFILE and the like do not go away by trying at once; ECONNABORTED costs a tenth of a second.
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
        // Each is heard once before many others come that it might have to make room for.
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

/// The next socket that was made again; never, if there will be none.
async fn recv_recreated(made: &mut Option<UnboundedReceiver<UnixListener>>) -> UnixListener {
    if let Some(made) = made
        && let Some(listener) = made.recv().await
    {
        return listener;
    }
    pending().await
}

/// As [`accept_one`]; never, if there is no such socket.
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

/// The stream, who the transport says is at its other end, how access lines call him, and whose share he uses.
fn identify_peer(
    accepted: AcceptedStream,
    rules: Option<&[AllowRule]>,
) -> io::Result<(ClientStream, Caller, String, BudgetClient)> {
    match accepted {
        AcceptedStream::Inet(stream, address) => {
            // Answers are written whole; waiting for more to send would only delay them.
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

/// Serves one connection to its end.
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
        // In a box of its own, so that a connection without a request is small.
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
        // What goes wrong on a connection is the client's business, and ends it.
        _ = serving.as_mut() => return,
        () = place.evicted.notified() => return,
        _ = stop.wait_for(|stop| *stop) => {}
    }
    serving.as_mut().graceful_shutdown();
    let _ = serving.await;
}
