//! The listening sockets of FastCGI programs. A socket is made for the first process of its program, shared by all of
//! them, and closed when the last one has ended; while it is open, it is also stored for the next daemon.
//! [`PendingSocket`] makes a socket without the lock, because name services and file systems may block.

use std::collections::{HashMap, HashSet};
use std::io;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::Path;
use std::sync::Arc;

use nix::fcntl::{AT_FDCWD, AtFlags};
use nix::sys::stat::{FchmodatFlags, Mode, SFlag, fchmodat, fstat};
use nix::unistd::{Gid, Uid, fchownat};
use serde::{Deserialize, Serialize};

use crate::config::spec::{FcgiSocket, GroupSpec, ProcessKind, ProcessSpec};
use crate::domain::{Errno, FdName, GroupName, InstanceId, Line, SpawnError};
use crate::fd_holder::FdStore;
use crate::sys::safe_open::{self, SafePath};
use crate::sys::{self, ChildStdio};

/// The default backlog. The kernel reduces it to `net.core.somaxconn`.
const BACKLOG: i32 = i32::MAX;

/// Identifies a socket. Programs never share one, even with equal addresses.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
struct SocketKey {
    group: GroupName,
    program: Arc<str>,
    /// Part of the key: after a program was removed and added with another address, an old process may still hold the
    /// old socket.
    url: String,
}

impl SocketKey {
    fn new(group: &GroupName, socket: &FcgiSocket) -> Self {
        Self {
            group: group.clone(),
            program: socket.program.clone(),
            url: socket.url.clone(),
        }
    }
}

/// An open socket.
#[derive(Debug)]
struct OpenSocket {
    socket: OwnedFd,
    /// Number of instances that hold it, at least one.
    holders: usize,
    /// The number under which it is stored, unique among open sockets.
    place: usize,
}

/// Why a socket cannot be made. Kernel errors have Python's text.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
enum SocketRefusal {
    #[error("{}", python(*.0))]
    Kernel(Errno),
    #[error("[Errno -2] Name or service not known")]
    NoAddress,
    #[error("Could not change ownership of socket file: {}: {}", python(*.0), crate::domain::python_repr(.1))]
    Owner(Errno, String),
    #[error("Could not change permissions of socket file: {}: {}", python(*.0), crate::domain::python_repr(.1))]
    Mode(Errno, String),
    #[error("{0} is not a socket")]
    NoSocket(String),
    #[error(
        "permission denied: a symbolic link in {0} belongs to a user who has no rights over its target"
    )]
    Link(String),
    #[error("{0} was replaced while the socket was created")]
    Exchanged(String),
    #[error("program {program} of group {group} uses it")]
    Taken { program: String, group: String },
}

/// A kernel error as Python prints it.
fn python(errno: Errno) -> String {
    let text = nix::errno::Errno::from_raw(errno.0).desc();
    format!("[Errno {}] {text}", errno.0)
}

impl From<Errno> for SocketRefusal {
    fn from(errno: Errno) -> Self {
        Self::Kernel(errno)
    }
}

impl From<io::Error> for SocketRefusal {
    fn from(error: io::Error) -> Self {
        Self::Kernel(Errno::from(error))
    }
}

/// All open sockets and their holders.
#[derive(Debug, Default)]
pub(super) struct FcgiSockets {
    open: HashMap<SocketKey, OpenSocket>,
    instances: HashMap<InstanceId, SocketKey>,
    /// Sockets that are being made.
    making: HashSet<SocketKey>,
    /// Where sockets are stored for the next daemon. `None`: they are not stored.
    fd_store: Option<Arc<FdStore>>,
    /// Whether the sockets were handed over: sockets made after that are closed.
    is_closed: bool,
}

/// How an instance gets the socket of its program.
#[derive(Debug)]
pub(super) enum SocketStep {
    /// The instance holds it already.
    Held,
    /// Make the socket, then pass it to [`FcgiSockets::made`].
    Make(PendingSocket),
}

/// A socket that must be made.
#[derive(Debug)]
pub(super) struct PendingSocket {
    key: SocketKey,
    socket: Arc<FcgiSocket>,
    /// The program and group that use its address.
    taken: Option<(String, String)>,
}

/// A socket that was made.
#[derive(Debug)]
pub(super) struct MadeSocket {
    socket: OwnedFd,
    url: String,
}

impl MadeSocket {
    /// Closes the socket.
    pub(super) fn close(self, log: &mut dyn FnMut(Line)) {
        log(Line::ClosingSocket { url: self.url });
    }
}

impl PendingSocket {
    /// Makes the socket. May block.
    ///
    /// # Errors
    /// [`SpawnError::Socket`].
    pub(super) fn make(&self, log: &mut dyn FnMut(Line)) -> Result<MadeSocket, SpawnError> {
        let url = self.key.url.clone();
        log(Line::CreatingSocket { url: url.clone() });
        // Differs: of two programs with one unix socket, Supervisor takes it away from the first one.
        let made = match &self.taken {
            Some((program, group)) => Err(SocketRefusal::Taken {
                program: program.clone(),
                group: group.clone(),
            }),
            None => listening(&self.socket),
        };
        match made {
            Ok(socket) => Ok(MadeSocket { socket, url }),
            Err(refusal) => Err(SpawnError::Socket {
                url,
                reason: refusal.to_string(),
            }),
        }
    }
}

impl FcgiSockets {
    /// Gives `instance` a hold on the socket of its program, if it is open; otherwise returns that it must be made. In
    /// any case [`Self::release`] must follow.
    ///
    /// # Errors
    /// [`SpawnError::Socket`]: it is being created for another process at this moment.
    pub(super) fn hold(
        &mut self,
        instance: InstanceId,
        group: &GroupName,
        socket: &Arc<FcgiSocket>,
    ) -> Result<SocketStep, SpawnError> {
        if self.instances.contains_key(&instance) {
            return Ok(SocketStep::Held);
        }
        let key = SocketKey::new(group, socket);
        if let Some(open) = self.open.get_mut(&key) {
            open.holders += 1;
            self.instances.insert(instance, key);
            return Ok(SocketStep::Held);
        }
        let making = self.making(key, socket);
        if !self.making.insert(making.key.clone()) {
            return Err(SpawnError::Socket {
                url: making.key.url,
                reason: "it is being created".to_owned(),
            });
        }
        Ok(SocketStep::Make(making))
    }

    /// Records the result of making a socket for `instance`.
    ///
    /// # Errors
    /// [`SpawnError::Socket`]: it cannot be made. The instance then holds nothing.
    pub(super) fn made(
        &mut self,
        instance: InstanceId,
        making: &PendingSocket,
        made: Result<MadeSocket, SpawnError>,
        log: &mut dyn FnMut(Line),
    ) -> Result<(), SpawnError> {
        self.making.remove(&making.key);
        let made = made?;
        if self.is_closed {
            return Ok(());
        }
        let is_free = |place: &usize| self.open.values().all(|open| open.place != *place);
        let open = OpenSocket {
            socket: made.socket,
            holders: 1,
            place: (0..).find(is_free).unwrap_or_default(),
        };
        let key = making.key.clone();
        // Store it before a process has it: a process that outlives the daemon must not lose it.
        self.store_socket(&key, &open, log);
        self.open.insert(key.clone(), open);
        self.instances.insert(instance, key);
        Ok(())
    }

    fn making(&self, key: SocketKey, socket: &Arc<FcgiSocket>) -> PendingSocket {
        let mut others = self.open.keys().chain(&self.making);
        let owner = others.find(|other| other.url == key.url && **other != key);
        PendingSocket {
            taken: owner.map(|owner| (owner.program.to_string(), owner.group.to_string())),
            socket: Arc::clone(socket),
            key,
        }
    }

    /// Puts the socket that `instance` holds in place of its standard input.
    ///
    /// # Errors
    /// EMFILE.
    pub(super) fn lend(&self, instance: InstanceId, ends: &mut ChildStdio) -> io::Result<()> {
        if let Some(open) = self
            .instances
            .get(&instance)
            .and_then(|key| self.open.get(key))
        {
            ends.stdin = Some(open.socket.try_clone()?);
        }
        Ok(())
    }

    /// The instance has ended. The last release closes the socket; the file of a unix socket stays, as in Supervisor.
    pub(super) fn release(&mut self, instance: InstanceId, log: &mut dyn FnMut(Line)) {
        let Some(key) = self.instances.remove(&instance) else {
            return;
        };
        let Some(open) = self.open.get_mut(&key) else {
            return;
        };
        open.holders -= 1;
        if open.holders == 0 {
            log(Line::ClosingSocket {
                url: key.url.clone(),
            });
            let place = open.place;
            self.open.remove(&key);
            self.remove_stored(place, log);
        }
    }

    /// Stores a socket for the next daemon, with a description of its program. The next daemon finds out which instances
    /// hold it.
    fn store_socket(&self, key: &SocketKey, open: &OpenSocket, log: &mut dyn FnMut(Line)) {
        let Some(fd_store) = &self.fd_store else {
            return;
        };
        let shared = SharedSocket {
            key: key.clone(),
            place: open.place,
            instances: Vec::new(),
        };
        let whose = serde_json::to_vec(&shared)
            .map_err(io::Error::from)
            .and_then(|bytes| sys::sealed_memory("supervisord-socket", &bytes));
        let complaint = match whose {
            Ok(whose) => fd_store.store(
                FdName::FcgiSocket(open.place),
                &[open.socket.as_fd(), whose.as_fd()],
            ),
            Err(error) => Some(Line::KeeperFailed {
                error: (&error).into(),
            }),
        };
        complaint.into_iter().for_each(log);
    }

    fn remove_stored(&self, place: usize, log: &mut dyn FnMut(Line)) {
        let fd_store = self.fd_store.iter();
        fd_store
            .filter_map(|fd_store| fd_store.remove(FdName::FcgiSocket(place)))
            .for_each(log);
    }

    /// Every socket of a group, to make and close it in order to detect errors early.
    pub(super) fn to_try(&self, group: &GroupSpec) -> Vec<PendingSocket> {
        let mut tried = HashSet::new();
        let mut all = Vec::new();
        for process in &group.processes {
            let ProcessKind::Fcgi(socket) = &process.kind else {
                continue;
            };
            let key = SocketKey::new(&process.group, socket);
            if tried.insert(key.clone()) {
                // An open socket occupies its own address.
                let mut making = self.making(key.clone(), socket);
                if self.open.contains_key(&key) {
                    making.taken = Some((key.program.to_string(), key.group.to_string()));
                }
                all.push(making);
            }
        }
        all
    }
}

/// An open socket of a FastCGI program, for the next daemon. Its descriptor is handed over beside this.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SharedSocket {
    key: SocketKey,
    /// The number of the descriptor: see [`FdName::FcgiSocket`].
    pub place: usize,
    /// The instances that hold it.
    #[serde(rename = "lives")]
    pub instances: Vec<InstanceId>,
}

impl SharedSocket {
    /// Whether this is the socket of the process's program.
    #[must_use]
    pub fn is_of(&self, spec: &ProcessSpec) -> bool {
        match &spec.kind {
            ProcessKind::Fcgi(socket) => self.key == SocketKey::new(&spec.group, socket),
            ProcessKind::Program | ProcessKind::Listener => false,
        }
    }
}

impl FcgiSockets {
    /// Continues with the sockets of a previous daemon, each with a number of its own. A socket that no instance holds
    /// is closed.
    pub(super) fn resumed(
        inherited: Vec<(SharedSocket, OwnedFd)>,
        fd_store: Option<Arc<FdStore>>,
        log: &mut dyn FnMut(Line),
    ) -> Self {
        let mut sockets = Self {
            fd_store,
            ..Self::default()
        };
        for (
            SharedSocket {
                key,
                place,
                instances,
            },
            socket,
        ) in inherited
        {
            let holders = instances.len();
            if holders == 0 {
                sockets.remove_stored(place, log);
                log(Line::ClosingSocket { url: key.url });
                continue;
            }
            let instances = instances
                .into_iter()
                .map(|instance| (instance, key.clone()));
            sockets.instances.extend(instances);
            let open = OpenSocket {
                socket,
                holders,
                place,
            };
            // The fd holder may have changed.
            sockets.store_socket(&key, &open, log);
            sockets.open.insert(key, open);
        }
        sockets
    }

    /// Stops holding sockets: those made from now on are closed.
    pub(super) fn close(&mut self) {
        self.is_closed = true;
    }

    /// Takes all sockets, for the next daemon.
    pub(super) fn hand_over(&mut self) -> Vec<(SharedSocket, OwnedFd)> {
        self.is_closed = true;
        let (open, instances) = (
            std::mem::take(&mut self.open),
            std::mem::take(&mut self.instances),
        );
        let with_instances = |(key, open): (SocketKey, OpenSocket)| {
            let holders = instances.iter().filter(|(_, held)| **held == key);
            let instances = holders.map(|(instance, _)| *instance).collect();
            let place = open.place;
            (
                SharedSocket {
                    key,
                    place,
                    instances,
                },
                open.socket,
            )
        };
        open.into_iter().map(with_instances).collect()
    }
}

/// Makes every socket of these groups and closes it again, before any process of theirs runs.
///
/// # Errors
/// [`SpawnError::Socket`]: the first that cannot be made.
pub fn try_sockets(groups: &[Arc<GroupSpec>], mut log: impl FnMut(Line)) -> Result<(), SpawnError> {
    let none = FcgiSockets::default();
    let all = groups.iter().flat_map(|group| none.to_try(group));
    all.into_iter()
        .try_for_each(|making| making.make(&mut log).map(|made| made.close(&mut log)))
}

fn listening(socket: &FcgiSocket) -> Result<OwnedFd, SocketRefusal> {
    let backlog = socket
        .backlog
        .and_then(|backlog| i32::try_from(backlog).ok())
        .unwrap_or(BACKLOG);
    let made = match socket.url.strip_prefix("unix://") {
        Some(path) => unix(Path::new(path), socket)?,
        None => inet(socket.url.strip_prefix("tcp://").unwrap_or_default())?.into(),
    };
    sys::listen_on(&made, backlog)?;
    Ok(made)
}

/// std sets SO_REUSEADDR and CLOEXEC. The backlog is changed afterwards.
fn inet(address: &str) -> Result<TcpListener, SocketRefusal> {
    let mut found: Vec<_> = address
        .to_socket_addrs()
        .map_err(|_| SocketRefusal::NoAddress)?
        .collect();
    // Supervisor would use an IPv4 address only.
    found.sort_by_key(SocketAddr::is_ipv6);
    let address = found.first().ok_or(SocketRefusal::NoAddress)?;
    Ok(TcpListener::bind(address)?)
}

/// Makes a bound unix socket with the configured owner and mode. Clients cannot connect before it listens, so its
/// permissions are never too wide.
///
/// The directory may belong to another user, who can replace its entries at any time. So the old file is removed
/// relative to the opened directory, by the rules of [`SafePath`], and owner and mode are set by descriptor, never by
/// name.
// Differs: Supervisor removes any file at the path, and follows symbolic links when it sets owner and mode.
fn unix(path: &Path, socket: &FcgiSocket) -> Result<OwnedFd, SocketRefusal> {
    let shown = || path.display().to_string();
    let place = SafePath::resolve(path).map_err(|errno| match errno {
        safe_open::REFUSED => SocketRefusal::Link(shown()),
        errno => SocketRefusal::Kernel(errno),
    })?;
    let is_socket =
        |fd: &OwnedFd| fstat(fd).is_ok_and(|stat| safe_open::kind(&stat) == SFlag::S_IFSOCK);
    match place.open_path_fd() {
        Err(Errno::NOENT) => {}
        Err(errno) => return Err(errno.into()),
        // Do not check for a listener: it may be a process that outlived the previous daemon.
        Ok(old) if is_socket(&old) => place.unlink()?,
        Ok(_) => return Err(SocketRefusal::NoSocket(shown())),
    }
    // Bind by the full path, which `ss` and the program itself show.
    let made = sys::unix_bound(path)?;
    let file = place.open_path_fd()?;
    let stat = fstat(&file).map_err(safe_open::errno)?;
    let is_ours = is_socket(&file) && stat.st_uid == sys::effective_uid() && stat.st_nlink == 1;
    if !is_ours {
        return Err(SocketRefusal::Exchanged(shown()));
    }
    let set = set_owner_and_mode(&file, socket, &shown());
    if set.is_err() {
        // If the removal fails, the next start replaces the file.
        let _ = place.unlink();
    }
    set.map(|()| made)
}

fn set_owner_and_mode(
    file: &OwnedFd,
    socket: &FcgiSocket,
    shown: &str,
) -> Result<(), SocketRefusal> {
    use std::os::fd::AsRawFd as _;
    let (uid, gid) = socket.owner;
    if uid.is_some() || gid.is_some() {
        let (uid, gid) = (uid.map(Uid::from_raw), gid.map(Gid::from_raw));
        fchownat(file, "", uid, gid, AtFlags::AT_EMPTY_PATH)
            .map_err(|error| SocketRefusal::Owner(safe_open::errno(error), shown.to_owned()))?;
    }
    if let Some(mode) = socket.mode {
        // fchmod(2) refuses an O_PATH descriptor; its name in /proc refers to the same file.
        let name = format!("/proc/self/fd/{}", file.as_raw_fd());
        let mode = Mode::from_bits_truncate(mode);
        fchmodat(AT_FDCWD, name.as_str(), mode, FchmodatFlags::FollowSymlink)
            .map_err(|error| SocketRefusal::Mode(safe_open::errno(error), shown.to_owned()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpStream;
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt, symlink};
    use std::os::unix::net::{UnixListener, UnixStream};
    use std::path::PathBuf;

    use super::super::testing::fcgi;
    use super::*;

    /// A directory of one test, removed with its content when dropped.
    struct Scratch(PathBuf);

    impl Scratch {
        fn new(name: &str) -> Self {
            let path =
                std::env::temp_dir().join(format!("spawn-sockets-{name}-{}", std::process::id()));
            let _ = std::fs::remove_dir_all(&path);
            std::fs::create_dir(&path).expect("created");
            Self(path)
        }

        fn url(&self, name: &str) -> String {
            format!("unix://{}", self.0.join(name).display())
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    fn instance(slot: u32) -> InstanceId {
        InstanceId {
            slot,
            incarnation: 1,
        }
    }

    fn socket(url: &str) -> FcgiSocket {
        match fcgi("g", url, "c").kind {
            ProcessKind::Fcgi(socket) => (*socket).clone(),
            other => panic!("{other:?}"),
        }
    }

    /// Sockets, and the lines they logged.
    #[derive(Default)]
    struct Bench {
        sockets: FcgiSockets,
        lines: Vec<String>,
    }

    impl Bench {
        fn hold(&mut self, slot: u32, group: &str, url: &str) -> Result<(), String> {
            let group = GroupName::parse(group).expect("valid");
            let lines = &mut self.lines;
            let mut log = |line: Line| lines.push(line.to_string());
            let socket = Arc::new(socket(url));
            let held = match self.sockets.hold(instance(slot), &group, &socket) {
                Ok(SocketStep::Held) => Ok(()),
                Ok(SocketStep::Make(making)) => {
                    let made = making.make(&mut log);
                    self.sockets.made(instance(slot), &making, made, &mut log)
                }
                Err(error) => Err(error),
            };
            held.map_err(|error| error.to_string())
        }

        fn release(&mut self, slot: u32) {
            let lines = &mut self.lines;
            self.sockets
                .release(instance(slot), &mut |line| lines.push(line.to_string()));
        }
    }

    #[test]
    fn cfg_59_a_socket_is_created_for_the_first_process_and_closed_after_the_last() {
        let scratch = Scratch::new("count");
        let url = scratch.url("s");
        let path = scratch.0.join("s");
        let mut bench = Bench::default();
        bench.hold(1, "g", &url).expect("made");
        UnixStream::connect(&path).expect("it listens");
        bench.hold(2, "g", &url).expect("shared");
        bench
            .hold(2, "g", &url)
            .expect("held once, however often asked for");
        bench.release(1);
        UnixStream::connect(&path).expect("one still has it");
        bench.release(2);
        bench.release(2);
        assert!(UnixStream::connect(&path).is_err());
        assert!(path.exists(), "the file stays");
        bench.hold(1, "g", &url).expect("made anew");
        UnixStream::connect(&path).expect("it listens");
        let made = format!("Creating socket {url}");
        assert_eq!(
            bench.lines,
            [made.as_str(), &format!("Closing socket {url}"), &made]
        );
    }

    #[test]
    fn a_socket_is_not_created_twice_or_held_after_a_handoff() {
        let scratch = Scratch::new("making");
        let url = scratch.url("s");
        let socket = Arc::new(socket(&url));
        let group = |name| GroupName::parse(name).expect("valid");
        let mut bench = Bench::default();
        let mut hold = |slot, name| bench.sockets.hold(instance(slot), &group(name), &socket);
        let Ok(SocketStep::Make(making)) = hold(1, "g") else {
            panic!("it is there already");
        };
        let error = hold(2, "g").expect_err("made twice").to_string();
        assert!(error.ends_with("it is being created"), "{error}");
        let Ok(SocketStep::Make(other)) = hold(3, "h") else {
            panic!("it is there already");
        };
        let error = other.make(&mut |_| {}).expect_err("taken").to_string();
        assert!(error.ends_with("program web of group g uses it"), "{error}");
        assert!(bench.sockets.hand_over().is_empty());
        let made = making.make(&mut |_| {});
        let held = bench.sockets.made(instance(1), &making, made, &mut |_| {});
        assert_eq!(held, Ok(()));
        assert!(bench.sockets.hand_over().is_empty());
        assert!(UnixStream::connect(scratch.0.join("s")).is_err(), "open");
    }

    #[test]
    fn cfg_59_a_new_daemon_adopts_sockets_in_use() {
        let scratch = Scratch::new("resumed");
        let (used, idle) = (scratch.url("used"), scratch.url("idle"));
        let mut bench = Bench::default();
        bench.hold(1, "g", &used).expect("made");
        bench.hold(2, "h", &idle).expect("made");
        bench.hold(3, "g", &used).expect("shared");
        let mut inherited = std::mem::take(&mut bench.sockets).hand_over();
        let places: HashSet<usize> = inherited.iter().map(|(shared, _)| shared.place).collect();
        assert_eq!(places, HashSet::from([0, 1]));
        for (shared, _) in &mut inherited {
            // This instance ended in between.
            shared.instances.retain(|&held| held != instance(2));
        }
        bench.lines.clear();
        let lines = &mut bench.lines;
        let mut log = |line: Line| lines.push(line.to_string());
        bench.sockets = FcgiSockets::resumed(inherited, None, &mut log);
        assert_eq!(bench.lines, [format!("Closing socket {idle}")]);
        UnixStream::connect(scratch.0.join("idle")).expect_err("closed");
        // Another socket gets a free number, and the holders of the first one keep it.
        bench.hold(4, "i", &scratch.url("new")).expect("made");
        bench.release(1);
        UnixStream::connect(scratch.0.join("used")).expect("one has it");
        let places = bench.sockets.open.values().map(|open| open.place);
        assert_eq!(places.collect::<HashSet<_>>(), HashSet::from([0, 1]));
        bench.release(3);
        UnixStream::connect(scratch.0.join("used")).expect_err("nobody has it");
    }

    #[test]
    fn cfg_59_a_process_gets_its_socket_as_stdin() {
        let scratch = Scratch::new("lend");
        let url = scratch.url("s");
        let mut bench = Bench::default();
        bench.hold(1, "g", &url).expect("made");
        let null = || std::fs::File::open("/dev/null").expect("there").into();
        let mut ends = ChildStdio {
            stdin: None,
            stdout: null(),
            stderr: None,
            ready: None,
        };
        bench
            .sockets
            .lend(instance(2), &mut ends)
            .expect("nothing to lend");
        assert!(ends.stdin.is_none());
        bench.sockets.lend(instance(1), &mut ends).expect("lent");
        let listener = UnixListener::from(ends.stdin.expect("lent"));
        let mut client = UnixStream::connect(scratch.0.join("s")).expect("connected");
        client.write_all(b"x").expect("written");
        let (mut server, _) = listener.accept().expect("blocks until somebody is there");
        server.read_exact(&mut [0]).expect("read");
    }

    #[test]
    fn cfg_59_programs_do_not_share_an_address() {
        let scratch = Scratch::new("apart");
        let url = scratch.url("s");
        let mut bench = Bench::default();
        bench.hold(1, "g", &url).expect("made");
        let refused =
            format!("Could not create FastCGI socket {url}: program web of group g uses it");
        assert_eq!(bench.hold(2, "h", &url), Err(refused));
        bench.release(2);
        UnixStream::connect(scratch.0.join("s")).expect("the first is left alone");
        bench.release(1);
        bench.hold(2, "h", &url).expect("free again");
    }

    #[test]
    fn cfg_59_a_socket_has_the_configured_mode_and_owner() {
        let scratch = Scratch::new("mode");
        let path = scratch.0.join("s");
        let me = std::fs::metadata(&scratch.0).expect("stat");
        let mut spec = socket(&scratch.url("s"));
        spec.mode = Some(0o666);
        // Root can give the socket away; others only to themselves.
        let uid = if me.uid() == 0 { 33 } else { me.uid() };
        spec.owner = (Some(uid), Some(me.gid()));
        let _open = listening(&spec).expect("made");
        let found = std::fs::symlink_metadata(&path).expect("there");
        assert_eq!(
            found.mode() & 0o7777,
            0o666,
            "not what the umask leaves of it"
        );
        assert_eq!((found.uid(), found.gid()), (uid, me.gid()));
    }

    #[test]
    fn cfg_59_a_failed_chown_leaves_no_socket() {
        if sys::effective_uid() == 0 {
            // Root can give it to any user.
            return;
        }
        let scratch = Scratch::new("owner");
        let mut spec = socket(&scratch.url("s"));
        spec.owner = (Some(0), None);
        let path = scratch.0.join("s").display().to_string();
        assert_eq!(
            listening(&spec).expect_err("refused").to_string(),
            format!(
                "Could not change ownership of socket file: [Errno 1] Operation not permitted: '{path}'"
            )
        );
        assert!(!scratch.0.join("s").exists());
    }

    #[test]
    fn cfg_59_only_a_stale_socket_is_replaced() {
        let scratch = Scratch::new("stale");
        let path = scratch.0.join("s");
        let spec = socket(&scratch.url("s"));
        // A stale socket, then one that a process which outlived the daemon still has.
        drop(UnixListener::bind(&path).expect("bound"));
        let first = listening(&spec).expect("replaced");
        let second = listening(&spec).expect("replaced");
        UnixStream::connect(&path).expect("it listens");
        drop((first, second));
        std::fs::remove_file(&path).expect("there");

        std::fs::write(&path, "precious").expect("written");
        let shown = path.display().to_string();
        assert_eq!(
            listening(&spec).expect_err("refused"),
            SocketRefusal::NoSocket(shown.clone())
        );
        assert_eq!(std::fs::read(&path).expect("there"), b"precious");
        std::fs::remove_file(&path).expect("there");

        // A symbolic link is not a socket, whatever its target: the target keeps its mode.
        let target = scratch.0.join("target");
        let _live = UnixListener::bind(&target).expect("bound");
        std::fs::set_permissions(&target, PermissionsExt::from_mode(0o640)).expect("mode");
        symlink(&target, &path).expect("linked");
        assert_eq!(
            listening(&spec).expect_err("refused"),
            SocketRefusal::NoSocket(shown)
        );
        assert_eq!(
            std::fs::metadata(&target).expect("there").mode() & 0o7777,
            0o640
        );
        UnixStream::connect(&target).expect("it is left alone");
    }

    #[test]
    fn cfg_59_a_directory_link_of_another_user_is_refused() {
        if sys::effective_uid() != 0 {
            // Only a daemon with more privileges than the link's owner is at risk.
            return;
        }
        let scratch = Scratch::new("link");
        let real = scratch.0.join("real");
        std::fs::create_dir(&real).expect("created");
        let link = scratch.0.join("link");
        symlink(&real, &link).expect("linked");
        std::os::unix::fs::lchown(&link, Some(33), Some(33)).expect("given away");
        let spec = socket(&scratch.url("link/s"));
        assert_eq!(
            listening(&spec).expect_err("refused").to_string(),
            format!(
                "permission denied: a symbolic link in {} belongs to a user who has no rights over its target",
                link.join("s").display()
            )
        );
        assert_eq!(std::fs::read_dir(&real).expect("there").count(), 0);
        // Root's own links are followed.
        std::os::unix::fs::lchown(&link, Some(0), Some(0)).expect("taken back");
        let _open = listening(&spec).expect("made");
        assert!(real.join("s").exists());
    }

    #[test]
    fn cfg_59_tcp_listens_and_errors_have_pythons_messages() {
        let probe = TcpListener::bind("127.0.0.1:0").expect("free");
        let address = probe.local_addr().expect("bound");
        let url = format!("tcp://{address}");
        let mut bench = Bench::default();
        assert_eq!(
            bench.hold(1, "g", &url),
            Err(format!(
                "Could not create FastCGI socket {url}: [Errno 98] Address already in use"
            ))
        );
        drop(probe);
        bench.hold(1, "g", &url).expect("made");
        TcpStream::connect(address).expect("it listens");
        let scratch = Scratch::new("errors");
        let url = scratch.url("none/s");
        assert_eq!(
            bench.hold(2, "g", &url),
            Err(format!(
                "Could not create FastCGI socket {url}: [Errno 2] No such file or directory"
            ))
        );
        let url = scratch.url(&"n".repeat(120));
        assert!(
            bench
                .hold(2, "g", &url)
                .is_err_and(|error| error.ends_with("[Errno 36] File name too long"))
        );
    }

    #[test]
    fn cfg_59_a_check_creates_and_closes_each_socket_once() {
        let scratch = Scratch::new("trial");
        let (good, bad) = (scratch.url("s"), scratch.url("none/s"));
        let group = |url: &str| {
            let process = Arc::new(fcgi("g", url, "c"));
            Arc::new(GroupSpec {
                programs: Vec::new(),
                name: process.group.clone(),
                priority: 999,
                kind: crate::config::spec::GroupKind::Programs,
                processes: vec![process.clone(), process],
                rolling: 0,
            })
        };
        let mut lines = Vec::new();
        let error = try_sockets(&[group(&good), group(&bad), group(&good)], |line| {
            lines.push(line.to_string());
        })
        .expect_err("the second cannot be made");
        assert!(error.to_string().contains(&bad));
        assert_eq!(
            lines,
            [
                format!("Creating socket {good}"),
                format!("Closing socket {good}"),
                format!("Creating socket {bad}"),
            ]
        );
        assert!(UnixStream::connect(scratch.0.join("s")).is_err());
    }
}
