//! The `server` thread: accepts connections and serves each in a task of its own.

use std::io;
use std::os::fd::AsFd as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use tokio::net::{TcpListener, UnixListener};
use tokio::sync::mpsc::unbounded_channel;
use tokio::sync::watch;

use super::accept::{AsyncListener, Endpoint, serve_endpoints};
use super::blocking_pool::BLOCKING_THREADS_MAX;
use super::budget::ClientQuota;
use super::buffer_pool::BufferPool;
use super::dbus::{self, BusContext};
use super::http::connection::ServerContext;
use super::http::logtail::FOLLOWERS_MAX;
use super::http::throttle::PasswordThrottle;
use super::options::ServerOptions;
use super::recent_clients::RecentClients;
use super::runtime_heartbeat::RuntimeHeartbeat;
use super::sockets::bound_server::Listener;
use super::sockets::listener_copies::{ListenerCopies, ListenerCopy, lock};
use super::sockets::socket_file::SocketFile;
use super::sockets::socket_file_watch::{self, MonitoredFile};
use super::web::{self, LiveUpdates};
use crate::api::RpcInterfaces;
use crate::control::PageToken;
use crate::engine::PassedSocket;
use crate::sys;

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
                tokio::spawn(socket_file_watch::maintain_socket_files(
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
