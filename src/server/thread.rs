//! The thread `server`: starts with its sockets, works until it is stopped, and hands its sockets over.

use std::io;
use std::os::fd::AsFd as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use tokio::net::{TcpListener, UnixListener};
use tokio::runtime::Runtime;
use tokio::sync::mpsc::unbounded_channel;
use tokio::sync::watch;

use super::accept::{AsyncListener, Endpoint, serve_endpoints};
use super::buffer_pool::BufferPool;
use super::dbus::{self, BusContext};
use super::go_routes::OwnNode;
use super::http::connection::ServerContext;
use super::http::logtail::FOLLOWERS_MAX;
use super::http::throttle::PasswordThrottle;
use super::options::{ServerLimits, ServerOptions};
use super::recent_clients::RecentClients;
use super::rest::EventStreams;
use super::runtime_heartbeat::RuntimeHeartbeat;
use super::sockets::bound_server::{BoundServer, Listener};
use super::sockets::listener_copies::{ListenerCopies, ListenerCopy, lock};
use super::sockets::socket_file::SocketFile;
use super::sockets::socket_file_watch::{self, MonitoredFile, SocketCheck};
use super::web::LiveUpdates;
use crate::api::RpcInterfaces;
use crate::control::PageToken;
use crate::handoff::PassedSocket;
use crate::heartbeat::Heartbeats;
use crate::http_server::blocking_pool;
use crate::http_server::budget::ClientQuota;
use crate::http_server::host_names::own_host_names;
use crate::sys;
use crate::web::assets::assets_modified;

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

/// The sockets of the server, ready to accept connections.
#[derive(Default)]
struct ServerSockets {
    endpoints: Vec<Endpoint>,
    /// Duplicates of those that are ours.
    copies: Vec<ListenerCopy>,
    /// The files of those that are ours.
    files: Vec<MonitoredFile>,
    /// Configured host names.
    host_names: Vec<String>,
    /// The first configured name of this node.
    node_name: Option<String>,
}

/// What the thread needs for its work.
struct ServerWork {
    runtime: Runtime,
    pulse: RuntimeHeartbeat,
    heartbeats: Heartbeats,
    endpoints: Vec<Endpoint>,
    copies: ListenerCopies,
    files: Vec<MonitoredFile>,
    host_names: Vec<String>,
    node_name: Option<String>,
    limits: ServerLimits,
    socket_check: SocketCheck,
    is_handing_over: Arc<AtomicBool>,
    bus: Arc<BusContext>,
}

/// Starts the thread `server`, which does nothing before [`ServerHandle::start`]. Clients that connect earlier wait
/// in the sockets' backlogs.
///
/// # Errors
/// The thread or its epoll descriptor cannot be created. The socket files are then removed.
pub fn spawn_thread(options: ServerOptions) -> io::Result<ServerHandle> {
    let pulse = RuntimeHeartbeat::default();
    let mut builder = tokio::runtime::Builder::new_current_thread();
    pulse.install_hooks(&mut builder, &options.heartbeats);
    let runtime = blocking_pool::limit_threads(&mut builder)
        .enable_io()
        .enable_time()
        .build()?;
    let sockets = {
        let _context = runtime.enter();
        prepare_sockets(options.servers)?
    };
    let copies: ListenerCopies = Arc::new(Mutex::new(sockets.copies));
    let (stop, stopped) = watch::channel(false);
    let peers = RecentClients::of_this_process();
    let is_handing_over = Arc::new(AtomicBool::new(false));
    let work = ServerWork {
        runtime,
        pulse,
        heartbeats: options.heartbeats,
        endpoints: sockets.endpoints,
        copies: copies.clone(),
        files: sockets.files,
        host_names: sockets.host_names,
        node_name: sockets.node_name,
        limits: options.limits,
        socket_check: options.socket_check,
        is_handing_over: is_handing_over.clone(),
        bus: Arc::new(BusContext {
            choice: options.dbus,
            control: options.control,
            interface: RpcInterfaces {
                supervisor: options
                    .rpc_interfaces
                    .iter()
                    .any(|name| name == "supervisor"),
                twiddler: options.twiddler,
            },
            feed: options.events,
            log: options.log,
            peers: peers.clone(),
            stop: stopped,
        }),
    };
    let (go, begun) = sync_channel(1);
    let thread = std::thread::Builder::new()
        .name("server".to_owned())
        .spawn(move || {
            // An error means that the handle has been dropped, which stops the server below.
            let _ = begun.recv();
            work.run();
        })?;
    Ok(ServerHandle {
        start_signal: Some(go),
        stop,
        is_handing_over,
        thread: Some(thread),
        sockets: copies,
        peers,
    })
}

/// Prepares bound sockets for tokio, in whose context it must be called.
fn prepare_sockets(servers: Vec<BoundServer>) -> io::Result<ServerSockets> {
    let mut sockets = ServerSockets::default();
    for server in servers {
        let parts = server.into_parts();
        sockets.host_names.extend(parts.names);
        sockets.node_name = sockets.node_name.or(parts.nodename);
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
                sockets.files.push(MonitoredFile {
                    copy: sockets.copies.len(),
                    spec,
                    acceptor,
                });
            }
            sockets.copies.push(ListenerCopy { socket, file });
        }
        let listener = match parts.listener {
            Listener::Inet(listener) => AsyncListener::Inet(TcpListener::from_std(listener)?),
            Listener::Unix(listener) => AsyncListener::Unix(UnixListener::from_std(listener)?),
        };
        sockets.endpoints.push(Endpoint {
            listener,
            recreated,
            logins: Arc::new(parts.logins),
            token: Arc::new(PageToken::new(
                [sys::random_seed()?, sys::random_seed()?],
                jiff::Timestamp::now().as_millisecond(),
            )),
        });
    }
    Ok(sockets)
}

impl ServerWork {
    /// Serves until the server stops.
    fn run(self) {
        let Self {
            runtime,
            pulse,
            heartbeats,
            endpoints,
            copies,
            files,
            host_names,
            node_name,
            limits,
            socket_check,
            is_handing_over,
            bus,
        } = self;
        pulse.start(&heartbeats, runtime.handle());
        let host_names = [own_host_names(), host_names].concat();
        let node_name = node_name.or_else(|| host_names.first().cloned());
        let shared = Arc::new(ServerContext {
            control: bus.control.clone(),
            log: bus.log.clone(),
            interface: bus.interface.clone(),
            host_names,
            node: OwnNode::new(node_name.unwrap_or_default()),
            throttle: PasswordThrottle::default(),
            followers: ClientQuota::new(FOLLOWERS_MAX),
            peers: bus.peers.clone(),
            reclaim: Arc::<BufferPool>::default(),
            live: LiveUpdates::new(bus.feed.clone(), limits.connections_max),
            event_streams: EventStreams::new(bus.feed.clone(), limits.connections_max),
            assets_modified: assets_modified(),
            stop: bus.stop.clone(),
        });
        runtime.block_on(async {
            let bus = tokio::spawn(dbus::stay_connected(bus));
            let pool = shared.reclaim.clone();
            tokio::spawn(pool.reclaim_when_idle(shared.stop.clone()));
            tokio::spawn(socket_file_watch::maintain_socket_files(
                files,
                copies,
                socket_check,
                shared.log.clone(),
                shared.stop.clone(),
            ));
            serve_endpoints(endpoints, shared, limits, is_handing_over).await;
            // An error is a panic, which the panic hook has reported.
            let _ = bus.await;
        });
        // A read of a log on a dead mount must not keep the daemon from exiting.
        runtime.shutdown_background();
        pulse.stop();
    }
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
