//! Binds the listening sockets, before any thread exists. This module knows addresses and socket files, not what is
//! served on them.

use std::io::{self, Read as _, Write as _};
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use nix::sys::stat::{SFlag, fstat};

use super::bind_error::BindError;
use super::bound_server::{BoundServer, Listener};
use super::inet_address::inet_address;
use super::socket_activation;
use super::socket_file::{BACKLOG, SocketFile, SocketFileSpec};
use crate::config::spec::{ServerAddress, ServerSpec};
use crate::domain::Errno;
use crate::handoff::PassedSocket;
use crate::server::http::endpoint_logins::EndpointLogins;
use crate::server::http::token_store::TokenStore;
use crate::sys;
use crate::sys::safe_open::{self, FileId, SafePath};

/// How long a process that listens on our socket may take to answer before it counts as alive.
const PROBE_TIMEOUT: Duration = Duration::from_secs(2);
/// Maximum number of attempts to link a socket file that changes meanwhile.
const ATTEMPTS_MAX: u32 = 10;
/// Pause between two attempts.
const ATTEMPT_PAUSE: Duration = Duration::from_millis(300);

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
            logins: EndpointLogins {
                credentials: spec.credentials.clone(),
                tokens: spec.tokens_file.clone().map(TokenStore::open).map(Arc::new),
                rules: spec.allow.clone(),
            },
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
            nodename: spec.nodename.clone(),
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
}

fn bind_inet(host: &str, port: u16) -> Result<TcpListener, BindError> {
    let address = inet_address(host, port)?;
    // std sets SO_REUSEADDR and CLOEXEC, but its accept queue is too short.
    let listener = TcpListener::bind(address)?;
    sys::listen_on(&listener, BACKLOG)?;
    Ok(listener)
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
pub(in crate::server) mod tests {
    use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};

    use super::*;
    use std::os::unix::net::UnixListener;
    use std::path::PathBuf;

    fn is_socket(path: &Path) -> bool {
        std::fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket())
    }

    /// A test's directory. Dropping it removes the directory with its contents.
    pub(in crate::server) struct ScratchDir(pub(in crate::server) PathBuf);

    impl ScratchDir {
        pub(in crate::server) fn new(name: &str) -> Self {
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

    pub(in crate::server) fn unix_spec(path: &Path) -> ServerSpec {
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
            tokens_file: None,
            nodename: None,
        }
    }

    pub(in crate::server) fn inet_spec(host: &str, port: u16) -> ServerSpec {
        ServerSpec {
            section: "inet_http_server".to_owned(),
            address: ServerAddress::Inet {
                host: host.to_owned(),
                port,
            },
            credentials: None,
            allow: None,
            hosts: Vec::new(),
            tokens_file: None,
            nodename: None,
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
