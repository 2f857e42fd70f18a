//! Binds the listening sockets, before any thread exists. This module knows addresses and socket files, not what is
//! served on them.

use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, ToSocketAddrs as _};
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use nix::sys::stat::{SFlag, fstat};

use super::socket_activation;
use crate::config::spec::{AllowRule, Credentials, ServerAddress, ServerSpec};
use crate::domain::Errno;
use crate::handoff::{PassedSocket, SocketFileName};
use crate::sys::safe_open::{self, FileId, SafePath};
use crate::sys::{self, SocketRefusal};

/// Length of the accept queue, per socket.
const BACKLOG: i32 = 1024;
/// How long a process that listens on our socket may take to answer before it counts as alive.
const PROBE_TIMEOUT: Duration = Duration::from_secs(2);
/// Maximum number of attempts to link a socket file that changes meanwhile.
const ATTEMPTS_MAX: u32 = 10;
/// Pause between two attempts.
const ATTEMPT_PAUSE: Duration = Duration::from_millis(300);

/// Why a server cannot listen. The texts of the errors are Supervisor's.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Another program listens on the address.
    #[error(
        "Another program is already listening on a port that one of our HTTP servers is configured to use.  Shut this program down first before starting supervisord."
    )]
    InUse,
    /// A system call failed.
    #[error("Cannot open an HTTP server: socket.error reported errno.{} ({})", .0.name(), .0.0)]
    Kernel(Errno),
    /// The file at the socket's path is not a socket. It is never removed.
    // Differs: the text goes on where Supervisor's ends (phusion/baseimage-docker#227).
    #[error(
        "Cannot open an HTTP server: socket.error reported errno.EEXIST (17): {}: there is {what}, not a socket (remove it, or change the path of the socket in the configuration)",
        path.display()
    )]
    Occupied {
        /// The socket's path.
        path: PathBuf,
        /// The kind of file found there.
        what: String,
    },
    /// The host name has no address. Supervisor shows only the number of EAI_NONAME.
    #[error("Cannot open an HTTP server: socket.error reported -2")]
    NoAddress(String),
    /// The owner of the socket cannot be changed.
    #[error(
        "Not permitted to chown {} to uid/gid ({uid}, {gid}); adjust \"sockchown\" value in config file or on command line to values that the current user ({user}) can successfully chown",
        path.display()
    )]
    Chown {
        /// The socket's path.
        path: PathBuf,
        /// The wanted owner. -1: unchanged.
        uid: i64,
        /// The wanted group. -1: unchanged.
        gid: i64,
        /// The user as whom the daemon runs.
        user: String,
    },
}

impl From<Errno> for BindError {
    fn from(error: Errno) -> Self {
        match error.0 {
            libc::EADDRINUSE => Self::InUse,
            number => Self::Kernel(Errno(number)),
        }
    }
}

impl From<io::Error> for BindError {
    fn from(error: io::Error) -> Self {
        match error.raw_os_error() {
            Some(number) if number == libc::EADDRINUSE => Self::InUse,
            Some(number) => Self::Kernel(Errno(number)),
            None => Self::Kernel(Errno(libc::EINVAL)),
        }
    }
}

/// A server whose socket is bound and listening. Dropping it removes the socket's file, if the file is still ours.
#[derive(Debug)]
pub struct BoundServer {
    /// Credentials that clients must send. `None`: no password.
    credentials: Option<Credentials>,
    allow: Option<Arc<[AllowRule]>>,
    /// The listening socket.
    listener: Listener,
    /// The file of a unix socket.
    file: Option<SocketFile>,
    /// How the file is created. `None`: the file is not ours.
    file_spec: Option<SocketFileSpec>,
    /// Configured host names of the server.
    names: Vec<String>,
    /// Index of its socket among those passed by the service manager.
    passed: Option<usize>,
}

/// A listening socket.
#[derive(Debug)]
pub(super) enum Listener {
    /// A TCP listener over IPv4 or IPv6.
    Inet(TcpListener),
    /// A unix stream listener.
    Unix(UnixListener),
}

impl BoundServer {
    /// Binds one server, or reuses the socket with its address: one that the daemon's previous run opened, or one
    /// that the service manager passed. Mode, owner and file of a passed socket are left as they are.
    ///
    /// # Errors
    /// See [`BindError`]. Nothing is left behind then.
    pub fn bind(
        spec: &ServerSpec,
        passed: &[PassedSocket],
        own: &[PassedSocket],
    ) -> Result<Self, BindError> {
        let inherited = socket_activation::find_passed_socket(&spec.address, own)?;
        let found = match &inherited {
            Some(_) => None,
            None => socket_activation::find_passed_socket(&spec.address, passed)?,
        };
        let place = found.as_ref().map(|&(place, _)| place);
        let (listener, file) = match (inherited.or(found), &spec.address) {
            (Some((of, listener)), _) if place.is_none() => {
                (listener, own[of].file.clone().map(SocketFile))
            }
            (Some((_, listener)), _) => (listener, None),
            (None, ServerAddress::Inet { host, port }) => {
                (Listener::Inet(bind_inet(host, *port)?), None)
            }
            (
                None,
                ServerAddress::Unix {
                    path,
                    mode,
                    uid,
                    gid,
                },
            ) => {
                let spec = SocketFileSpec {
                    path: path.clone(),
                    mode: *mode,
                    owner: (*uid, *gid),
                };
                let linked = |place: &SafePath, file: &OwnedFd| link_into_place(place, path, file);
                let (listener, file) = spec.create_with(linked)?;
                (Listener::Unix(listener), Some(file))
            }
        };
        match &listener {
            Listener::Inet(listener) => listener.set_nonblocking(true)?,
            Listener::Unix(listener) => listener.set_nonblocking(true)?,
        }
        let file_spec = match &spec.address {
            ServerAddress::Unix {
                path,
                mode,
                uid,
                gid,
            } if file.is_some() => Some(SocketFileSpec {
                path: path.clone(),
                mode: *mode,
                owner: (*uid, *gid),
            }),
            ServerAddress::Unix { .. } | ServerAddress::Inet { .. } => None,
        };
        Ok(Self {
            credentials: spec.credentials.clone(),
            allow: spec.allow.clone(),
            listener,
            file,
            file_spec,
            names: match &spec.address {
                // An empty name means all interfaces and is no host name.
                ServerAddress::Inet { host, .. } if !host.is_empty() => {
                    [std::slice::from_ref(host), &spec.hosts].concat()
                }
                ServerAddress::Inet { .. } | ServerAddress::Unix { .. } => spec.hosts.clone(),
            },
            passed: place,
        })
    }

    /// Binds all servers, or none.
    ///
    /// # Errors
    /// The error of the first server that cannot be bound.
    pub fn bind_all(
        specs: &[ServerSpec],
        passed: &[PassedSocket],
        own: &[PassedSocket],
    ) -> Result<Vec<Self>, BindError> {
        specs
            .iter()
            .map(|spec| Self::bind(spec, passed, own))
            .collect()
    }

    /// Index of its socket among the passed ones. `None`: not passed.
    #[must_use]
    pub(super) const fn passed(&self) -> Option<usize> {
        self.passed
    }

    /// The address of a TCP server, with the port that the kernel chose if 0 was configured. `None`: a unix server.
    #[must_use]
    pub fn inet_address(&self) -> Option<SocketAddr> {
        match &self.listener {
            Listener::Inet(listener) => listener.local_addr().ok(),
            Listener::Unix(_) => None,
        }
    }

    /// Splits the server into its parts. Dropping the file part removes the file.
    pub(super) fn into_parts(self) -> BoundServerParts {
        BoundServerParts {
            credentials: self.credentials,
            allow: self.allow,
            listener: self.listener,
            file: self.file,
            file_spec: self.file_spec,
            passed: self.passed,
            names: self.names,
        }
    }
}

/// The parts of a [`BoundServer`].
pub(super) struct BoundServerParts {
    pub(super) credentials: Option<Credentials>,
    /// Permissions by user. `None`: no restriction.
    pub(super) allow: Option<Arc<[AllowRule]>>,
    pub(super) listener: Listener,
    pub(super) file: Option<SocketFile>,
    /// How the file is created. `None`: the file is not ours.
    pub(super) file_spec: Option<SocketFileSpec>,
    pub(super) passed: Option<usize>,
    /// Configured host names of the server.
    pub(super) names: Vec<String>,
}

/// Resolves a configured host to an address.
// Differs: IPv6 literals are supported. Supervisor knows IPv4 only and fails with -9.
pub(super) fn inet_address(host: &str, port: u16) -> Result<SocketAddr, BindError> {
    let literal = host.trim_start_matches('[').trim_end_matches(']');
    if host.is_empty() || host == "*" {
        Ok(SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)))
    } else if let Ok(ip) = literal.parse() {
        Ok(SocketAddr::new(ip, port))
    } else {
        let mut found: Vec<_> = (host, port)
            .to_socket_addrs()
            .map_err(|_| BindError::NoAddress(host.to_owned()))?
            .collect();
        // Supervisor would use only an IPv4 address, so IPv4 comes first.
        found.sort_by_key(SocketAddr::is_ipv6);
        found
            .first()
            .copied()
            .ok_or_else(|| BindError::NoAddress(host.to_owned()))
    }
}

fn bind_inet(host: &str, port: u16) -> Result<TcpListener, BindError> {
    let address = inet_address(host, port)?;
    // std sets SO_REUSEADDR and CLOEXEC, but its accept queue is too short.
    let listener = TcpListener::bind(address)?;
    sys::listen_on(&listener, BACKLOG)?;
    Ok(listener)
}

/// The file of a unix socket. Dropping it removes the file.
#[derive(Debug)]
pub(super) struct SocketFile(SocketFileName);

impl SocketFile {
    fn id(&self) -> FileId {
        FileId {
            device: self.0.device,
            inode: self.0.inode,
        }
    }

    /// Opens the file with O_PATH. `None`: the path is gone or names another file.
    pub(super) fn open_if_current(&self) -> Option<OwnedFd> {
        let found = SafePath::resolve(&self.0.path)
            .and_then(|place| place.open_path_fd())
            .ok()?;
        (FileId::of(&found) == Ok(self.id())).then_some(found)
    }

    /// Returns the name without removing the file, for the next run.
    pub(super) fn into_name(self) -> SocketFileName {
        let name = self.0.clone();
        std::mem::forget(self);
        name
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        // A file that cannot be removed is stale at the next start, which removes it.
        if let Ok(place) = SafePath::resolve(&self.0.path) {
            place.unlink_if(self.id());
        }
    }
}

/// How to create the file of a unix socket, now or after somebody removes it.
#[derive(Debug, Clone)]
pub(super) struct SocketFileSpec {
    path: PathBuf,
    mode: u32,
    owner: (Option<u32>, Option<u32>),
}

impl SocketFileSpec {
    /// A file owned by the test's own user.
    #[cfg(test)]
    pub(super) const fn for_test(path: PathBuf) -> Self {
        Self {
            path,
            mode: 0o700,
            owner: (None, None),
        }
    }

    /// The path of the file.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Creates the socket under a temporary name, sets its mode and owner, and then links it to its path. So the path
    /// always names a finished socket, and only one of two daemons gets it. All steps use the directory resolved
    /// first, by the rules of [`SafePath`].
    ///
    /// # Errors
    /// See [`BindError`]; EEXIST: the path exists. Nothing is left behind then.
    pub(super) fn create(&self) -> Result<(UnixListener, SocketFile), BindError> {
        self.create_with(|place, file| Ok(place.link_here(file)?))
    }

    fn create_with(
        &self,
        link: impl FnOnce(&SafePath, &OwnedFd) -> Result<(), BindError>,
    ) -> Result<(UnixListener, SocketFile), BindError> {
        let place = SafePath::resolve(&self.path)?;
        let made = sys::listen_at(&place, self.mode, self.owner, BACKLOG).map_err(|refusal| {
            let (uid, gid) = self.owner;
            match refusal {
                SocketRefusal::Owner(Errno(libc::EPERM)) => BindError::Chown {
                    path: self.path.clone(),
                    uid: uid.map_or(-1, i64::from),
                    gid: gid.map_or(-1, i64::from),
                    user: sys::own_user_name(),
                },
                SocketRefusal::Owner(error) | SocketRefusal::Other(error) => error.into(),
            }
        })?;
        link(&place, &made.file)?;
        let file = SocketFile(SocketFileName {
            path: self.path.clone(),
            device: made.id.device,
            inode: made.id.inode,
        });
        Ok((UnixListener::from(made.socket), file))
    }
}

/// Links a finished socket to its path. Replaces an existing socket that refuses connections.
///
/// # Source
/// Supervisor's steps and messages. Unlike Supervisor, it unlinks nothing but sockets that refuse connections.
fn link_into_place(place: &SafePath, path: &Path, file: &OwnedFd) -> Result<(), BindError> {
    for _ in 0..ATTEMPTS_MAX {
        match place.link_here(file) {
            Ok(()) => return Ok(()),
            Err(Errno::EXIST) => {}
            Err(error) => return Err(error.into()),
        }
        // Differs: a file that is not a socket is never removed. Supervisor unlinks any file there.
        let found = match place.open_path_fd() {
            Ok(found) => found,
            Err(Errno::NOENT) => continue,
            Err(error) => return Err(error.into()),
        };
        let kind = fstat(&found).map_or(SFlag::empty(), |stat| safe_open::kind(&stat));
        if kind != SFlag::S_IFSOCK {
            return Err(BindError::Occupied {
                path: path.to_owned(),
                what: safe_open::describe_target(path, kind),
            });
        }
        match check_listening(&found) {
            ListenCheck::Yes => return Err(BindError::InUse),
            ListenCheck::Closing => std::thread::sleep(ATTEMPT_PAUSE),
            ListenCheck::No => {
                // Only if it is still the socket that was just checked.
                if place.unlink_if(FileId::of(&found)?) {
                    // A closed standard error is no reason not to start.
                    let _ = writeln!(io::stderr(), "Unlinking stale socket {}", path.display());
                }
            }
        }
    }
    Err(BindError::InUse)
}

enum ListenCheck {
    Yes,
    /// The peer closed the connection, so it may be a daemon that is exiting.
    Closing,
    No,
}

fn check_listening(file: &OwnedFd) -> ListenCheck {
    let fd = match sys::unix_connected(safe_open::fd_path(file).as_ref()) {
        Ok(fd) => fd,
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => return ListenCheck::No,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return ListenCheck::Closing,
        // EAGAIN: the accept queue is full, so a process listens. EACCES and the like: the socket is not ours to
        // remove.
        Err(_) => return ListenCheck::Yes,
    };
    let mut stream = UnixStream::from(fd);
    let asked = stream
        .set_nonblocking(false)
        .and_then(|()| stream.set_read_timeout(Some(PROBE_TIMEOUT)))
        .and_then(|()| stream.set_write_timeout(Some(PROBE_TIMEOUT)))
        .and_then(|()| stream.write_all(b"GET / HTTP/1.0\r\n\r\n"))
        .and_then(|()| stream.read(&mut [0; 1]));
    match asked {
        Ok(0) => ListenCheck::Closing,
        Ok(_) => ListenCheck::Yes,
        Err(error) => match error.kind() {
            io::ErrorKind::BrokenPipe
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::NotConnected => ListenCheck::Closing,
            _ => ListenCheck::Yes,
        },
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};

    use super::*;

    fn is_socket(path: &Path) -> bool {
        std::fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket())
    }

    /// A test's directory. Dropping it removes the directory with its contents.
    pub(in super::super) struct ScratchDir(pub(in super::super) PathBuf);

    impl ScratchDir {
        pub(in super::super) fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("bind-{name}-{}", std::process::id()));
            let _ = std::fs::remove_dir_all(&path);
            std::fs::create_dir(&path).expect("created");
            Self(path)
        }
    }

    impl Drop for ScratchDir {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    pub(in super::super) fn unix_spec(path: &Path) -> ServerSpec {
        ServerSpec {
            section: "unix_http_server".to_owned(),
            address: ServerAddress::Unix {
                path: path.to_owned(),
                mode: 0o700,
                uid: None,
                gid: None,
            },
            credentials: None,
            allow: None,
            hosts: Vec::new(),
        }
    }

    pub(in super::super) fn inet_spec(host: &str, port: u16) -> ServerSpec {
        ServerSpec {
            section: "inet_http_server".to_owned(),
            address: ServerAddress::Inet {
                host: host.to_owned(),
                port,
            },
            credentials: None,
            allow: None,
            hosts: Vec::new(),
        }
    }

    fn names(directory: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(directory).expect("read");
        entries
            .map(|entry| {
                entry
                    .expect("entry")
                    .file_name()
                    .to_string_lossy()
                    .into_owned()
            })
            .collect()
    }

    #[test]
    fn rpc_06_a_socket_has_its_mode_and_owner_and_is_removed_at_the_end() {
        let scratch = ScratchDir::new("mode");
        let path = scratch.0.join("s.sock");
        let mut spec = unix_spec(&path);
        let me = std::fs::metadata(&scratch.0).expect("stat");
        spec.address = ServerAddress::Unix {
            path: path.clone(),
            mode: 0o640,
            uid: Some(me.uid()),
            gid: Some(me.gid()),
        };
        let server = BoundServer::bind(&spec, &[], &[]).expect("bound");
        let found = std::fs::symlink_metadata(&path).expect("there");
        assert_eq!(found.mode() & 0o7777, 0o640);
        assert!(found.file_type().is_socket());
        assert_eq!(names(&scratch.0), ["s.sock"]);
        UnixStream::connect(&path).expect("listens");
        drop(server);
        assert!(names(&scratch.0).is_empty());
    }

    #[test]
    fn rpc_07_a_stale_socket_is_replaced() {
        let scratch = ScratchDir::new("stale");
        let path = scratch.0.join("s.sock");
        drop(UnixListener::bind(&path).expect("bound"));
        let server = BoundServer::bind(&unix_spec(&path), &[], &[]).expect("bound");
        UnixStream::connect(&path).expect("listens");
        drop(server);
    }

    #[test]
    fn rpc_07_a_live_socket_is_left_alone() {
        let scratch = ScratchDir::new("live");
        let path = scratch.0.join("s.sock");
        let other = UnixListener::bind(&path).expect("bound");
        let thread = std::thread::spawn(move || {
            let (mut stream, _) = other.accept().expect("accepted");
            stream.write_all(b"H").expect("written");
            other
        });
        let error = BoundServer::bind(&unix_spec(&path), &[], &[]).expect_err("in use");
        assert!(
            error
                .to_string()
                .starts_with("Another program is already listening on a port")
        );
        let _other = thread.join().expect("joined");
        assert_eq!(names(&scratch.0), ["s.sock"]);
    }

    #[test]
    fn rpc_07_a_file_that_is_no_socket_is_left_alone() {
        let scratch = ScratchDir::new("file");
        let target = scratch.0.join("target");
        let path = scratch.0.join("s.sock");
        let refused = |what: &str| {
            let error = BoundServer::bind(&unix_spec(&path), &[], &[]).expect_err("refused");
            assert_eq!(
                error.to_string(),
                format!(
                    "Cannot open an HTTP server: socket.error reported errno.EEXIST (17): {}: there is {what}, not a socket \
                     (remove it, or change the path of the socket in the configuration)",
                    path.display()
                )
            );
        };
        std::fs::write(&path, "precious").expect("written");
        refused("a regular file");
        assert_eq!(std::fs::read(&path).expect("read"), b"precious");
        std::fs::remove_file(&path).expect("removed");
        drop(UnixListener::bind(&target).expect("bound"));
        std::os::unix::fs::symlink(&target, &path).expect("linked");
        refused(&format!("a symbolic link to {}", target.display()));
        assert!(is_socket(&target));
        std::fs::remove_file(&path).expect("removed");
        std::fs::create_dir(&path).expect("created");
        refused("a directory");
    }

    #[test]
    fn a_replaced_socket_is_not_removed() {
        let scratch = ScratchDir::new("theirs");
        let path = scratch.0.join("s.sock");
        let server = BoundServer::bind(&unix_spec(&path), &[], &[]).expect("bound");
        // The old file keeps its inode under another name, so that the new file cannot get the same inode.
        std::fs::rename(&path, scratch.0.join("old")).expect("renamed");
        let _other = UnixListener::bind(&path).expect("bound");
        drop(server);
        assert!(is_socket(&path));
    }

    #[test]
    fn cfg_61_errors_have_supervisors_messages() {
        let scratch = ScratchDir::new("texts");
        let error =
            BoundServer::bind(&unix_spec(&scratch.0.join("no/s.sock")), &[], &[]).expect_err("no");
        assert_eq!(
            error.to_string(),
            "Cannot open an HTTP server: socket.error reported errno.ENOENT (2)"
        );
        let taken = BoundServer::bind(&inet_spec("127.0.0.1", 0), &[], &[]).expect("bound");
        let port = taken.inet_address().expect("inet").port();
        let error = BoundServer::bind(&inet_spec("127.0.0.1", port), &[], &[]).expect_err("taken");
        assert!(matches!(error, BindError::InUse));
        let error = BindError::Chown {
            path: PathBuf::from("/s"),
            uid: 1,
            gid: -1,
            user: "me".to_owned(),
        };
        assert!(
            error
                .to_string()
                .starts_with("Not permitted to chown /s to uid/gid (1, -1); adjust")
        );
    }

    #[test]
    fn cfg_60_hosts_are_ipv4_or_ipv6() {
        for host in ["", "*", "127.0.0.1", "localhost"] {
            let server = BoundServer::bind(&inet_spec(host, 0), &[], &[]).expect(host);
            assert!(server.inet_address().expect("inet").is_ipv4(), "{host}");
        }
        for host in ["::1", "[::1]"] {
            match BoundServer::bind(&inet_spec(host, 0), &[], &[]) {
                Ok(server) => assert!(server.inet_address().expect("inet").is_ipv6()),
                // The machine has no IPv6.
                Err(BindError::Kernel(errno)) => assert!([97, 99].contains(&errno.0), "{errno:?}"),
                Err(error) => panic!("{error}"),
            }
        }
    }
}
