//! Decides when to try to connect to a bus: when its socket appears or changes, or when the system bus's rules
//! change. It waits for inotify events, so a daemon without a bus does not wake up. This module does not know how to
//! connect.

use std::future::pending;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::time::{Duration, Instant, sleep, sleep_until};
use zbus::Address;
use zbus::address::transport::{Transport, UnixSocket};

use super::sender::BusKind;
use crate::sys::FileWatch;

/// Pause before the second attempt at an existing socket. It doubles with each attempt, up to [`PAUSE_MAX`].
const PAUSE_MIN: Duration = Duration::from_secs(1);
/// Maximum pause between two attempts.
const PAUSE_MAX: Duration = Duration::from_secs(300);
/// Maximum number of attempts at one socket, for a bus that is slow to listen or to read its rules. The last one is
/// made after 8.5 minutes.
const ATTEMPTS_MAX: u32 = 10;
/// Minimum time between two checks, for directories in which much happens.
const WATCH_PAUSE: Duration = Duration::from_millis(100);
/// Directories with rules of the system bus. The rules may forbid our name and are installed by packages.
const RULES: [&str; 2] = ["/usr/share/dbus-1/system.d", "/etc/dbus-1/system.d"];

/// The identity and change time of a file. `None`: the file does not exist.
type FileStamp = Option<(u64, u64, i64, i64)>;

/// Decides when to try to connect.
pub(super) struct ReconnectWait {
    socket: BusSocket,
    rules: &'static [&'static str],
    /// The files as they were before the last attempt: the socket, then the rules.
    tried: Vec<FileStamp>,
    attempts: u32,
    /// [`PAUSE_MIN`] and [`PAUSE_MAX`].
    pauses: [Duration; 2],
}

/// The address of the bus.
enum BusSocket {
    /// A socket file.
    File(PathBuf),
    /// No address is known, and none will be.
    Nowhere,
    /// Another kind of address, for which inotify has no events.
    Elsewhere,
}

impl ReconnectWait {
    /// Starts without an attempt.
    pub(super) fn new(kind: BusKind, has_address: bool) -> Self {
        let address = match kind {
            BusKind::System => Address::system(),
            BusKind::Session => Address::session(),
        };
        let socket = match address.as_ref().map(Address::transport) {
            _ if !has_address => BusSocket::Nowhere,
            Ok(Transport::Unix(unix)) => match unix.path() {
                UnixSocket::File(path) => BusSocket::File(path.into()),
                _ => BusSocket::Elsewhere,
            },
            _ => BusSocket::Elsewhere,
        };
        Self::at(
            socket,
            match kind {
                BusKind::System => &RULES,
                BusKind::Session => &[],
            },
        )
    }

    fn at(socket: BusSocket, rules: &'static [&'static str]) -> Self {
        Self {
            socket,
            rules,
            tried: Vec::new(),
            attempts: 0,
            pauses: [PAUSE_MIN, PAUSE_MAX],
        }
    }

    /// Records that an attempt starts now.
    pub(super) fn record_attempt(&mut self) {
        self.tried = self.file_stamps();
        self.attempts = self.attempts.saturating_add(1);
    }

    /// Records a successful attempt. The count of attempts restarts.
    pub(super) fn record_success(&mut self) {
        self.attempts = 1;
    }

    /// Returns when the next attempt may succeed.
    pub(super) async fn wait_for_chance(&mut self) {
        let path = match &self.socket {
            BusSocket::Nowhere => return pending().await,
            BusSocket::Elsewhere => return sleep(self.retry_pause()).await,
            BusSocket::File(path) => path.clone(),
        };
        let until = Instant::now() + self.retry_pause();
        loop {
            let Ok(watch) = self.watch(&path) else {
                // The user has too many inotify watches, so only the pause is left.
                return sleep_until(until).await;
            };
            // Changes from before the watch existed have left no event.
            let states = self.file_stamps();
            let is_there = states.first().is_some_and(Option::is_some);
            if is_there && states != self.tried {
                self.attempts = 0;
                return;
            }
            let is_last = !is_there || self.attempts >= ATTEMPTS_MAX;
            tokio::select! {
                _ = watch.readable() => {}
                () = sleep_until(until), if !is_last => return,
            }
            // Changes often come in bursts.
            sleep(WATCH_PAUSE).await;
        }
    }

    /// Pause before the next attempt if nothing changes.
    fn retry_pause(&self) -> Duration {
        let doubled = self.attempts.saturating_sub(1).min(16);
        let [min, max] = self.pauses;
        (min * (1 << doubled)).min(max)
    }

    fn file_stamps(&self) -> Vec<FileStamp> {
        let socket = match &self.socket {
            BusSocket::File(path) => Some(path.as_path()),
            BusSocket::Nowhere | BusSocket::Elsewhere => None,
        };
        let rules = self.rules.iter().map(Path::new);
        socket.into_iter().chain(rules).map(file_stamp).collect()
    }

    /// An inotify watch that becomes readable when a file may have changed. It watches the nearest existing directory
    /// above the socket.
    fn watch(&self, socket: &Path) -> io::Result<AsyncFd<FileWatch>> {
        let watch = FileWatch::new()?;
        for rules in self.rules {
            // Machines without a bus usually lack these directories.
            let _ = watch.add_directory(Path::new(rules));
        }
        let mut error = io::Error::from(io::ErrorKind::NotFound);
        let mut watched = None;
        // The last ancestor is the root or the working directory.
        for directory in socket.ancestors().skip(1) {
            let directory = non_empty(directory);
            match watch.add_directory(directory) {
                Ok(()) => {
                    watched = Some(directory);
                    break;
                }
                Err(found) => error = found,
            }
        }
        let Some(watched) = watched else {
            return Err(error);
        };
        // Directories created meanwhile are nearer to the socket.
        let nearer = socket.ancestors().skip(1).map(non_empty);
        for directory in nearer.take_while(|directory| *directory != watched) {
            let _ = watch.add_directory(directory);
        }
        #[expect(
            deprecated,
            reason = "the descriptor stays open for as long as the value does"
        )]
        let readable = AsyncFd::with_interest(watch, Interest::READABLE)?;
        Ok(readable)
    }
}

fn non_empty(directory: &Path) -> &Path {
    if directory.as_os_str().is_empty() {
        Path::new(".")
    } else {
        directory
    }
}

fn file_stamp(path: &Path) -> FileStamp {
    let known = path.metadata().ok()?;
    Some((known.dev(), known.ino(), known.ctime(), known.ctime_nsec()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;

    use tokio::time::timeout;

    const LIMIT: Duration = Duration::from_secs(20);
    /// Longer than one check takes, and far shorter than a pause.
    const A_WHILE: Duration = Duration::from_millis(400);

    fn run(name: &str, test: impl AsyncFnOnce(PathBuf)) {
        let directory = std::env::temp_dir().join(format!("wait-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&directory).expect("made");
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_all().build().expect("a runtime");
        runtime.block_on(test(directory.clone()));
        std::fs::remove_dir_all(&directory).expect("removed");
    }

    fn waiting(socket: &Path) -> ReconnectWait {
        let mut waiting = ReconnectWait::at(BusSocket::File(socket.into()), &[]);
        waiting.record_attempt();
        waiting
    }

    /// All attempts have been made, so that only a change counts. The pauses are as short as possible.
    fn exhausted(socket: &Path) -> ReconnectWait {
        let mut waiting = waiting(socket);
        waiting.pauses = [Duration::from_millis(1); 2];
        waiting.attempts = ATTEMPTS_MAX;
        waiting
    }

    #[test]
    fn a_new_socket_is_seen_below_new_directories() {
        run("comes", async |place| {
            let socket = place.join("a/b/bus");
            let mut waiting = waiting(&socket);
            let mut chance = std::pin::pin!(waiting.wait_for_chance());
            for directory in ["a", "a/b"] {
                std::fs::create_dir(place.join(directory)).expect("made");
                assert!(timeout(A_WHILE, &mut chance).await.is_err(), "{directory}");
            }
            // Other changes in the directory are no reason to try.
            std::fs::write(place.join("a/b/other"), "").expect("written");
            assert!(timeout(A_WHILE, &mut chance).await.is_err(), "other");
            let _bus = UnixListener::bind(&socket).expect("bound");
            timeout(LIMIT, chance).await.expect("seen");
        });
    }

    #[test]
    fn a_recreated_directory_is_watched_again() {
        run("again", async |place| {
            let (directory, socket) = (place.join("a"), place.join("a/bus"));
            std::fs::create_dir(&directory).expect("made");
            let mut waiting = waiting(&socket);
            let mut chance = std::pin::pin!(waiting.wait_for_chance());
            assert!(timeout(A_WHILE, &mut chance).await.is_err());
            std::fs::remove_dir(&directory).expect("removed");
            assert!(timeout(A_WHILE, &mut chance).await.is_err());
            std::fs::create_dir(&directory).expect("made");
            let _bus = UnixListener::bind(&socket).expect("bound");
            timeout(LIMIT, chance).await.expect("seen");
        });
    }

    #[test]
    fn a_replaced_socket_or_changed_mode_is_retried() {
        run("another", async |place| {
            let socket = place.join("bus");
            let bus = UnixListener::bind(&socket).expect("bound");
            let mut waiting = exhausted(&socket);
            assert!(timeout(A_WHILE, waiting.wait_for_chance()).await.is_err());
            drop(bus);
            std::fs::remove_file(&socket).expect("removed");
            assert!(timeout(A_WHILE, waiting.wait_for_chance()).await.is_err());
            let _bus = UnixListener::bind(&socket).expect("bound");
            timeout(LIMIT, waiting.wait_for_chance())
                .await
                .expect("another");
            waiting = exhausted(&socket);
            let rights = std::os::unix::fs::PermissionsExt::from_mode(0o666);
            std::fs::set_permissions(&socket, rights).expect("changed");
            timeout(LIMIT, waiting.wait_for_chance())
                .await
                .expect("rights");
            assert_eq!(waiting.attempts, 0, "it counts from the beginning");
        });
    }

    #[test]
    fn a_socket_without_listener_is_tried_a_few_times() {
        run("stale", async |place| {
            let socket = place.join("bus");
            drop(UnixListener::bind(&socket).expect("bound"));
            let mut waiting = waiting(&socket);
            let mut seconds = Vec::new();
            for _ in 1..ATTEMPTS_MAX {
                waiting.pauses = [PAUSE_MIN, PAUSE_MAX];
                seconds.push(waiting.retry_pause().as_secs());
                waiting.pauses = [Duration::from_millis(1); 2];
                timeout(LIMIT, waiting.wait_for_chance())
                    .await
                    .expect("a chance");
                waiting.record_attempt();
            }
            assert_eq!(seconds, [1, 2, 4, 8, 16, 32, 64, 128, 256]);
            assert!(timeout(A_WHILE, waiting.wait_for_chance()).await.is_err());
        });
    }

    #[test]
    fn without_an_address_nothing_is_retried() {
        run("nowhere", async |_| {
            let mut waiting = ReconnectWait::at(BusSocket::Nowhere, &[]);
            waiting.pauses = [Duration::from_millis(1); 2];
            assert!(timeout(A_WHILE, waiting.wait_for_chance()).await.is_err());
        });
    }
}
