//! Listening sockets, made before any thread exists. Knows addresses and files, never what is served on them.

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
use crate::engine::{PassedSocket, SocketFileName};
use crate::sys::safe_open::{self, FileId, SafePath};
use crate::sys::{self, SocketRefusal};

/// Connections that wait to be accepted, per socket.
const BACKLOG: i32 = 1024;
/// How long somebody who listens on our socket may take to answer before we believe that he is alive.
const PROBE_TIMEOUT: Duration = Duration::from_secs(2);
/// How often a socket file is looked at that changes under our hands.
const ATTEMPTS_MAX: u32 = 10;
/// Between two looks.
const ATTEMPT_PAUSE: Duration = Duration::from_millis(300);

/// Why a server cannot listen. The texts are Supervisor's.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Somebody else listens there.
    #[error(
        "Another program is already listening on a port that one of our HTTP servers is configured to use.  Shut this program down first before starting supervisord."
    )]
    InUse,
    /// What the kernel said.
    #[error("Cannot open an HTTP server: socket.error reported errno.{} ({})", .0.name(), .0.0)]
    Kernel(Errno),
    /// What stands at the socket's path is no socket. It is never removed.
    // Differs: the text goes on where Supervisor's ends (phusion/baseimage-docker#227).
    #[error(
        "Cannot open an HTTP server: socket.error reported errno.EEXIST (17): {}: there is {what}, not a socket (remove it, or change the path of the socket in the configuration)",
        path.display()
    )]
    Occupied {
        /// The path.
        path: PathBuf,
        /// What is there.
        what: String,
    },
    /// The host name has no address. The number is EAI_NONAME, which is all that Supervisor says of it.
    #[error("Cannot open an HTTP server: socket.error reported -2")]
    NoAddress(String),
    /// The socket may not be given to that owner.
    #[error(
        "Not permitted to chown {} to uid/gid ({uid}, {gid}); adjust \"sockchown\" value in config file or on command line to values that the current user ({user}) can successfully chown",
        path.display()
    )]
    Chown {
        /// The socket.
        path: PathBuf,
        /// -1: unchanged.
        uid: i64,
        /// -1: unchanged.
        gid: i64,
        /// Whom the daemon runs as.
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

/// A server whose socket is bound and listens; dropping it removes the socket's file, if it is still ours.
#[derive(Debug)]
pub struct BoundServer {
    /// Whom to let in; none: everybody.
    credentials: Option<Credentials>,
    allow: Option<Arc<[AllowRule]>>,
    /// The socket.
    listener: Listener,
    /// The file of a unix socket.
    file: Option<SocketFile>,
    /// How that file is made, if it is ours.
    file_spec: Option<SocketFileSpec>,
    /// The configured name of a TCP server.
    names: Vec<String>,
    /// The place of its socket among those that the service manager passed.
    passed: Option<usize>,
}

/// A listening socket.
#[derive(Debug)]
pub(super) enum Listener {
    /// Stream over IPv4 or IPv6.
    Inet(TcpListener),
    /// Unix stream.
    Unix(UnixListener),
}

impl BoundServer {
    /// Binds one server, or takes the socket with its address among those that a predecessor of ours has opened, or among
    /// those that were passed: mode, owner and file of that are the business of whoever opened it.
    ///
    /// # Errors
    /// See [`BindError`]; nothing is left behind then.
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
                // An empty name stands for all interfaces, and is the name of none.
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
    /// The first server's that cannot be bound.
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

    /// The place of its socket among those that were passed.
    #[must_use]
    pub(super) const fn passed(&self) -> Option<usize> {
        self.passed
    }

    /// The address of a TCP server; its port is the kernel's choice if it was configured as 0.
    #[must_use]
    pub fn inet_address(&self) -> Option<SocketAddr> {
        match &self.listener {
            Listener::Inet(listener) => listener.local_addr().ok(),
            Listener::Unix(_) => None,
        }
    }

    /// Takes the parts apart; the file is removed when it is dropped.
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

/// A [`BoundServer`] taken apart.
pub(super) struct BoundServerParts {
    pub(super) credentials: Option<Credentials>,
    /// Who may do what.
    pub(super) allow: Option<Arc<[AllowRule]>>,
    pub(super) listener: Listener,
    pub(super) file: Option<SocketFile>,
    /// How that file is made, if it is ours.
    pub(super) file_spec: Option<SocketFileSpec>,
    pub(super) passed: Option<usize>,
    /// The configured name of a TCP server.
    pub(super) names: Vec<String>,
}

/// The address that a configured host stands for.
// Differs: literal IPv6 addresses are bound; Supervisor knows IPv4 only and fails with -9.
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
        // Supervisor would take an IPv4 address only.
        found.sort_by_key(SocketAddr::is_ipv6);
        found
            .first()
            .copied()
            .ok_or_else(|| BindError::NoAddress(host.to_owned()))
    }
}

fn bind_inet(host: &str, port: u16) -> Result<TcpListener, BindError> {
    let address = inet_address(host, port)?;
    // std sets SO_REUSEADDR and CLOEXEC, but a shorter queue than we want.
    let listener = TcpListener::bind(address)?;
    sys::listen_on(&listener, BACKLOG)?;
    Ok(listener)
}

/// The file of a unix socket, which goes when this does.
#[derive(Debug)]
pub(super) struct SocketFile(SocketFileName);

impl SocketFile {
    fn id(&self) -> FileId {
        FileId {
            device: self.0.device,
            inode: self.0.inode,
        }
    }

    /// The very file, held open without being opened. None: the name is gone, or stands for another file.
    pub(super) fn open_if_current(&self) -> Option<OwnedFd> {
        let found = SafePath::resolve(&self.0.path)
            .and_then(|place| place.open_path_fd())
            .ok()?;
        (FileId::of(&found) == Ok(self.id())).then_some(found)
    }

    /// Leaves the file to a successor.
    pub(super) fn into_name(self) -> SocketFileName {
        let name = self.0.clone();
        std::mem::forget(self);
        name
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        // Nothing can be done about a file that cannot be removed; the next start finds it stale.
        if let Ok(place) = SafePath::resolve(&self.0.path) {
            place.unlink_if(self.id());
        }
    }
}

/// How the file of a unix socket is made, for the time that it has to be made again.
#[derive(Debug, Clone)]
pub(super) struct SocketFileSpec {
    path: PathBuf,
    mode: u32,
    owner: (Option<u32>, Option<u32>),
}

impl SocketFileSpec {
    /// One that belongs to the process itself.
    #[cfg(test)]
    pub(super) const fn for_test(path: PathBuf) -> Self {
        Self {
            path,
            mode: 0o700,
            owner: (None, None),
        }
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Makes the socket under a name of its own, gives it mode and owner, and only then links it to its path: whoever sees
    /// the path sees a finished socket, and of two daemons only one gets the name. All of that happens in the directory
    /// that was found first, by the rules of [`SafePath`].
    ///
    /// # Errors
    /// See [`BindError`]; EEXIST: something is there. Nothing is left behind then.
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

/// Links a finished socket to its path; a socket that stands there and refuses connections gives way.
///
/// # Source
/// Supervisor's way, and its texts; unlike it, nothing is unlinked but a socket that refuses connections.
fn link_into_place(place: &SafePath, path: &Path, file: &OwnedFd) -> Result<(), BindError> {
    for _ in 0..ATTEMPTS_MAX {
        match place.link_here(file) {
            Ok(()) => return Ok(()),
            Err(Errno::EXIST) => {}
            Err(error) => return Err(error.into()),
        }
        // Differs: what is no socket is never removed; Supervisor unlinks whatever file stands there.
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
                // Only if it is still the one that was just tried.
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
    /// Somebody took the connection and closed it: perhaps a daemon that is ending.
    Closing,
    No,
}

fn check_listening(file: &OwnedFd) -> ListenCheck {
    let fd = match sys::unix_connected(safe_open::fd_path(file).as_ref()) {
        Ok(fd) => fd,
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => return ListenCheck::No,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return ListenCheck::Closing,
        // EAGAIN: a queue so full that nobody need be asked. EACCES and the like: not ours to remove.
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

    /// A directory of one test, removed with what is in it.
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
    fn rpc_06_mode_and_owner_and_no_file_left() {
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
    fn rpc_07_what_is_no_socket_is_left_alone() {
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
    fn a_socket_that_is_no_longer_ours_is_not_removed() {
        let scratch = ScratchDir::new("theirs");
        let path = scratch.0.join("s.sock");
        let server = BoundServer::bind(&unix_spec(&path), &[], &[]).expect("bound");
        // The old file keeps its inode under another name, so that the new one cannot get the same.
        std::fs::rename(&path, scratch.0.join("old")).expect("renamed");
        let _other = UnixListener::bind(&path).expect("bound");
        drop(server);
        assert!(is_socket(&path));
    }

    #[test]
    fn cfg_61_errors_have_supervisors_texts() {
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
    fn cfg_60_hosts() {
        for host in ["", "*", "127.0.0.1", "localhost"] {
            let server = BoundServer::bind(&inet_spec(host, 0), &[], &[]).expect(host);
            assert!(server.inet_address().expect("inet").is_ipv4(), "{host}");
        }
        for host in ["::1", "[::1]"] {
            match BoundServer::bind(&inet_spec(host, 0), &[], &[]) {
                Ok(server) => assert!(server.inet_address().expect("inet").is_ipv6()),
                // A machine without IPv6.
                Err(BindError::Kernel(errno)) => assert!([97, 99].contains(&errno.0), "{errno:?}"),
                Err(error) => panic!("{error}"),
            }
        }
    }
}
