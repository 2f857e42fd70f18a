//! The `front` thread: accepts connections and serves them, each as a task of its own.

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

use super::Log;
use super::bind::{BoundServer, Listener, SocketFile};
use super::budget::{Budget, Client, Place, Quota};
use super::buffer_pool::Reclaim;
use super::dbus::{self, Door};
use super::http::{self, Connection, Shared};
use super::logtail::FOLLOWERS_MAX;
use super::recent_clients::Peers;
use super::reject_peer::TurnAway;
use super::runtime_heartbeat::Pulse;
use super::socket_files::{self, Heirs, Kept, SocketCheck, lock};
use super::stream::{Io, Stream};
use super::throttle::{self, Throttle};
use super::web::{self, Live};
use crate::api::{Access, Caller, Front as Entrance, Interfaces};
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
pub struct Limits {
    /// Connections of all servers together. Beyond that the one that was idle longest gives way.
    pub connections_max: usize,
    /// How long a connection may stay without a whole request head, between requests too. Supervisor closes them after
    /// half an hour.
    pub head_within: Duration,
}

impl Limits {
    /// Connections at most, however many descriptors there are.
    pub const CONNECTIONS_MAX: usize = 1000;
    /// Connections at least.
    pub const CONNECTIONS_MIN: usize = 16;

    /// What leaves three quarters of the descriptors to the programs.
    #[must_use]
    pub fn of_this_process() -> Self {
        let files = sys::limit(sys::Resource::Files).map_or(1024, |limit| limit.soft);
        let quarter = usize::try_from(files / 4).unwrap_or(usize::MAX);
        Self {
            connections_max: quarter.clamp(Self::CONNECTIONS_MIN, Self::CONNECTIONS_MAX),
            head_within: Duration::from_secs(30 * 60),
        }
    }
}

/// What the server is made of.
pub struct Options {
    /// Bound sockets.
    pub servers: Vec<BoundServer>,
    /// The way to the engine.
    pub control: ControlHandle,
    /// Where the page hears of changes.
    pub events: EventFeed,
    /// Writes to the activity log. Must not block.
    pub log: Log,
    /// Names of the `[rpcinterface:x]` sections; without `supervisor` there are no `supervisor.*` methods.
    pub rpc_interfaces: Vec<String>,
    /// The whitelist of `[rpcinterface:twiddler]`; none: there are no `twiddler.*` methods.
    pub twiddler: Option<Vec<String>>,
    /// The bus to be on.
    pub dbus: BusChoice,
    /// What clients may use up.
    pub limits: Limits,
    /// Watches the thread.
    pub heartbeats: Heartbeats,
    /// Asks for a look at the files of the sockets.
    pub socket_check: SocketCheck,
}

/// The running server. Dropping it stops it.
#[derive(Debug)]
pub struct Front {
    /// The thread waits for it. `None`: it was told to begin.
    go: Option<SyncSender<()>>,
    stop: watch::Sender<bool>,
    is_handing_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
    /// For a successor; the files are removed when everything has ended.
    sockets: Heirs,
    peers: Peers,
}

/// A listening socket that is ours, once more, and its file.
#[derive(Debug)]
pub(super) struct Heir {
    pub(super) socket: OwnedFd,
    pub(super) file: Option<SocketFile>,
}

/// A socket on which connections are awaited.
enum Accepting {
    Inet(TcpListener),
    Unix(UnixListener),
}

/// A connection of which nothing is known yet.
enum Accepted {
    Inet(TcpStream, SocketAddr),
    Unix(UnixStream),
}

/// One server's part of a connection.
struct Served {
    accepting: Accepting,
    /// Its socket, made again. None: it is not ours to make.
    made_again: Option<UnboundedReceiver<UnixListener>>,
    credentials: Option<Arc<Credentials>>,
    allow: Option<Arc<[AllowRule]>>,
    token: Arc<PageToken>,
}

/// Starts the thread `front`, which does nothing before [`Front::begin`]: clients who connect earlier wait in the queues of
/// the sockets.
///
/// # Errors
/// No thread, or no descriptor for its readiness set; the sockets' files are removed then.
pub fn start(options: Options) -> io::Result<Front> {
    let Options {
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
    let interface = Interfaces {
        supervisor: rpc_interfaces.iter().any(|name| name == "supervisor"),
        twiddler,
    };
    let pulse = Pulse::default();
    let mut builder = tokio::runtime::Builder::new_current_thread();
    pulse.hook(&mut builder, &heartbeats);
    let runtime = builder
        .enable_io()
        .enable_time()
        .max_blocking_threads(BLOCKING_THREADS_MAX)
        .thread_name("front-files")
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
            let mut made_again = None;
            if parts.passed.is_none() {
                let file = parts.file;
                if let (Some(_), Some(spec)) = (&file, parts.file_spec) {
                    let (acceptor, made) = unbounded_channel();
                    made_again = Some(made);
                    kept.push(Kept {
                        heir: sockets.len(),
                        spec,
                        acceptor,
                    });
                }
                sockets.push(Heir { socket, file });
            }
            let accepting = match parts.listener {
                Listener::Inet(listener) => Accepting::Inet(TcpListener::from_std(listener)?),
                Listener::Unix(listener) => Accepting::Unix(UnixListener::from_std(listener)?),
            };
            served.push(Served {
                accepting,
                made_again,
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
    let peers = Peers::of_this_process();
    let door = Arc::new(Door {
        choice: dbus,
        control: control.clone(),
        interface: interface.clone(),
        feed: events.clone(),
        log: log.clone(),
        peers: peers.clone(),
        stop: stopped.clone(),
    });
    let sockets: Heirs = Arc::new(Mutex::new(sockets));
    let heirs = sockets.clone();
    let is_handing_over = Arc::new(AtomicBool::new(false));
    let ends_soon = is_handing_over.clone();
    let of_thread = peers.clone();
    let (go, begun) = sync_channel(1);
    let thread = std::thread::Builder::new()
        .name("front".to_owned())
        .spawn(move || {
            // An error: whoever could tell it is gone, which ends it below.
            let _ = begun.recv();
            pulse.begin(&heartbeats, runtime.handle());
            let mut host_names = web::names_of_this_host();
            host_names.extend(names);
            let shared = Arc::new(Shared {
                control,
                log,
                interface,
                host_names,
                throttle: Throttle::default(),
                followers: Quota::new(FOLLOWERS_MAX),
                peers: of_thread,
                reclaim: Arc::<Reclaim>::default(),
                live: Live::new(events, limits.connections_max),
                assets_modified: web::modified(),
                stop: stopped,
            });
            runtime.block_on(async {
                let bus = tokio::spawn(dbus::keep(door));
                tokio::spawn(shared.reclaim.clone().run(shared.stop.clone()));
                let (log, stop) = (shared.log.clone(), shared.stop.clone());
                tokio::spawn(socket_files::keep(kept, heirs, socket_check, log, stop));
                serve(served, shared, limits, ends_soon).await;
                // An error is a panic, which the hook has reported.
                let _ = bus.await;
            });
            // A log that is read from a dead mount must not keep the daemon from ending.
            runtime.shutdown_background();
            pulse.end();
        })?;
    Ok(Front {
        go: Some(go),
        stop,
        is_handing_over,
        thread: Some(thread),
        sockets,
        peers,
    })
}

impl Front {
    /// Lets the thread begin. The first programs are to be started before that: what a client needs is made on the same
    /// processors.
    pub fn begin(&mut self) {
        if let Some(go) = self.go.take() {
            // An error: the thread has ended, which its heartbeat tells.
            let _ = go.send(());
        }
    }

    /// The same as [`Front::stop`], but sooner, and the sockets stay open and go to a successor.
    #[must_use]
    pub fn hand_over(mut self) -> Vec<PassedSocket> {
        self.is_handing_over.store(true, Ordering::Relaxed);
        self.end();
        let sockets = std::mem::take(&mut *lock(&self.sockets)).into_iter();
        sockets
            .map(|heirs| PassedSocket {
                fd: heirs.socket,
                name: String::new(),
                file: heirs.file.map(SocketFile::keep),
            })
            .collect()
    }

    fn end(&mut self) {
        self.stop.send_replace(true);
        self.begin();
        if let Some(thread) = self.thread.take() {
            // A panic was reported by the hook; the daemon goes on ending.
            let _ = thread.join();
        }
    }

    /// Accepts no more, finishes the answers in flight within a second, closes, and removes the sockets' files. The clients
    /// that were answered last are to be waited for if the process ends.
    pub fn stop(self) -> Peers {
        self.peers.clone()
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        self.end();
        lock(&self.sockets).clear();
    }
}

async fn serve(
    served: Vec<Served>,
    shared: Arc<Shared>,
    limits: Limits,
    is_handing_over: Arc<AtomicBool>,
) {
    let budget = Budget::new(limits.connections_max);
    let turn_away = TurnAway::new(shared.log.clone());
    let mut acceptors = JoinSet::new();
    for one in served {
        let (shared, budget) = (shared.clone(), budget.clone());
        acceptors.spawn(accept(
            one,
            shared,
            budget,
            turn_away.clone(),
            limits,
            is_handing_over.clone(),
        ));
    }
    let mut stop = shared.stop.clone();
    // An error means that the other end is gone, which is as good as a stop.
    let _ = stop.wait_for(|stop| *stop).await;
    while acceptors.join_next().await.is_some() {}
    throttle::finish(&shared);
}

/// Accepts until the server ends, then waits for its connections.
async fn accept(
    served: Served,
    shared: Arc<Shared>,
    budget: Arc<Budget>,
    turn_away: Arc<TurnAway>,
    limits: Limits,
    is_handing_over: Arc<AtomicBool>,
) {
    let Served {
        mut accepting,
        mut made_again,
        credentials,
        allow,
        token,
    } = served;
    // Without a name by now; whoever had connected to it is served.
    let mut nameless: Option<Accepting> = None;
    let mut stop = shared.stop.clone();
    let mut connections: JoinSet<()> = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = accept_one(&accepting) => accepted,
            accepted = accept_any(nameless.as_ref()) => accepted,
            made = take_made(&mut made_again) => {
                nameless = Some(std::mem::replace(&mut accepting, Accepting::Unix(made)));
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
            budget.spare_one();
            sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let Ok((stream, caller, peer, client)) = known(accepted, allow.as_deref()) else {
            continue;
        };
        let stream = match stream {
            Stream::Unix(stream) if caller.access.as_ref().is_some_and(Access::is_empty) => {
                turn_away.answer(stream, &caller);
                continue;
            }
            stream => Arc::new(stream),
        };
        let Some(place) = budget.enter(client, &stream) else {
            continue;
        };
        let place = Arc::new(place);
        let connection = Arc::new(Connection {
            shared: shared.clone(),
            credentials: credentials.clone(),
            token: token.clone(),
            caller,
            peer,
            stream,
            place: place.clone(),
            head: Arc::default(),
        });
        connections.spawn(converse(connection, place, limits));
        // Each is heard once before many others come that it might have to make room for.
        yield_now().await;
    }
    drop((accepting, nameless));
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
async fn take_made(made: &mut Option<UnboundedReceiver<UnixListener>>) -> UnixListener {
    if let Some(made) = made
        && let Some(listener) = made.recv().await
    {
        return listener;
    }
    pending().await
}

/// As [`accept_one`]; never, if there is no such socket.
async fn accept_any(accepting: Option<&Accepting>) -> io::Result<Accepted> {
    match accepting {
        Some(accepting) => accept_one(accepting).await,
        None => pending().await,
    }
}

async fn accept_one(accepting: &Accepting) -> io::Result<Accepted> {
    Ok(match accepting {
        Accepting::Inet(listener) => {
            let (stream, address) = listener.accept().await?;
            Accepted::Inet(stream, address)
        }
        Accepting::Unix(listener) => Accepted::Unix(listener.accept().await?.0),
    })
}

/// The stream, who the transport says is at its other end, how access lines call him, and whose share he uses.
fn known(
    accepted: Accepted,
    rules: Option<&[AllowRule]>,
) -> io::Result<(Stream, Caller, String, Client)> {
    match accepted {
        Accepted::Inet(stream, address) => {
            // Answers are written whole; waiting for more to send would only delay them.
            let _ = stream.set_nodelay(true);
            let caller = Caller {
                front: Entrance::Inet,
                uid: None,
                gid: None,
                pid: None,
                login: None,
                bus_name: None,
                access: None,
            };
            let peer = format!("{}:{}", address.ip(), address.port());
            let client = Client::address(address.ip());
            Ok((Stream::Inet(stream), caller, peer, client))
        }
        Accepted::Unix(stream) => {
            let peer = sys::peer(&stream)?;
            let caller = Caller {
                front: Entrance::Unix,
                uid: Some(peer.uid),
                gid: Some(peer.gid),
                pid: Some(peer.pid),
                login: None,
                bus_name: None,
                access: rules
                    .and_then(|rules| control::access(rules, peer.uid, peer.gid, &peer.groups)),
            };
            let client = Client::user(peer.uid);
            let name = "localhost:0".to_owned();
            Ok((Stream::Unix(stream), caller, name, client))
        }
    }
}

/// Serves one connection to its end.
async fn converse(connection: Arc<Connection>, place: Arc<Place>, limits: Limits) {
    let reclaim = connection.shared.reclaim.clone();
    serve_one(connection, place, limits).await;
    reclaim.freed(CONNECTION_BYTES);
}

async fn serve_one(connection: Arc<Connection>, place: Arc<Place>, limits: Limits) {
    let mut stop = connection.shared.stop.clone();
    let io = TokioIo::new(Io::new(
        connection.stream.clone(),
        place.clone(),
        connection.head.clone(),
    ));
    let service = service_fn(move |request: Request<Incoming>| {
        let connection = connection.clone();
        // In a box of its own, so that a connection without a request is small.
        let handling = move || Box::pin(http::handle(connection, request));
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
