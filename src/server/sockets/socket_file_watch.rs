//! Keeps the files of our unix sockets in place. Cleaners of temporary directories remove them. Clients then cannot
//! reach the daemon, and a second daemon can start beside it (Supervisor#1105, #1238, #1710).

use std::future::pending;
use std::io;
use std::os::fd::{AsFd as _, AsRawFd, RawFd};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::net::UnixListener;
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::{Notify, watch};
use tokio::time::sleep;

use super::listener_copies::{ListenerCopies, ListenerCopy, lock};
use super::socket_file::{SocketFile, SocketFileSpec};
use crate::domain::Line;
use crate::http_server::blocking_pool::run_blocking;
use crate::server::LogFn;
use crate::sys::FileWatch;

/// Delay before a failed re-creation is tried again. It doubles with each failure.
const RETRY_MIN: Duration = Duration::from_secs(1);
/// Maximum delay between two attempts.
const RETRY_MAX: Duration = Duration::from_secs(60);

/// Asks the server to check its socket files. Clones ask the same server.
#[derive(Debug, Clone, Default)]
pub struct SocketCheck(Arc<Notify>);

impl SocketCheck {
    /// Requests a check. Never blocks.
    pub fn request(&self) {
        self.0.notify_one();
    }
}

/// A socket file, and the acceptor of its socket.
pub(in crate::server) struct MonitoredFile {
    /// Index of its socket in [`ListenerCopies`].
    pub(in crate::server) copy: usize,
    pub(in crate::server) spec: SocketFileSpec,
    /// Receives the re-created socket.
    pub(in crate::server) acceptor: UnboundedSender<UnixListener>,
}

/// The state of a file at the last check.
#[derive(Clone, Copy, Default)]
struct SocketFileState {
    is_watched: bool,
    /// Whether a failed re-creation has been reported.
    is_told: bool,
}

/// State shared with the helper thread that works on the files.
struct SocketFileMonitor {
    kept: Vec<MonitoredFile>,
    seen: Mutex<Vec<SocketFileState>>,
    copies: ListenerCopies,
    /// `None`: inotify is not available.
    watch: Option<Arc<FileWatch>>,
    log: LogFn,
}

/// A [`FileWatch`] for [`AsyncFd`].
struct AsyncFileWatch(Arc<FileWatch>);

impl AsRawFd for AsyncFileWatch {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_fd().as_raw_fd()
    }
}

/// Maintains the files until the server stops. Idle while nothing happens to the files.
pub(in crate::server) async fn maintain_socket_files(
    kept: Vec<MonitoredFile>,
    copies: ListenerCopies,
    check: SocketCheck,
    log: LogFn,
    mut stop: watch::Receiver<bool>,
) {
    if kept.is_empty() {
        return;
    }
    // Without inotify the files are checked only on request.
    #[expect(
        deprecated,
        reason = "the number stays open for as long as the value does, which holds the descriptor"
    )]
    let events = FileWatch::new().and_then(|watch| {
        let watch = Arc::new(watch);
        let number = AsyncFileWatch(watch.clone());
        Ok((watch, AsyncFd::with_interest(number, Interest::READABLE)?))
    });
    let (watch, events) = match events {
        Ok((watch, events)) => (Some(watch), Some(events)),
        Err(_) => (None, None),
    };
    let files = Arc::new(SocketFileMonitor {
        seen: Mutex::new(vec![SocketFileState::default(); kept.len()]),
        kept,
        copies,
        watch,
        log,
    });
    let mut retry: Option<Duration> = None;
    loop {
        let looking = files.clone();
        // The directory may be on a file system that hangs, so use a helper thread.
        let look = run_blocking(move || looking.check_files());
        let made = tokio::select! {
            made = look => made.unwrap_or_default(),
            _ = stop.wait_for(|stop| *stop) => return,
        };
        for (place, listener) in made.made {
            if let Ok(listener) = UnixListener::from_std(listener) {
                // An acceptor that has ended needs no socket.
                let _ = files.kept[place].acceptor.send(listener);
            }
        }
        retry = made
            .is_missing
            .then(|| retry.map_or(RETRY_MIN, |last| (last * 2).min(RETRY_MAX)));
        let pause = async {
            match retry {
                Some(pause) => sleep(pause).await,
                None => pending().await,
            }
        };
        tokio::select! {
            () = wait_for_event(events.as_ref()) => {}
            () = check.0.notified() => {}
            () = pause => {}
            _ = stop.wait_for(|stop| *stop) => return,
        }
    }
}

/// Waits for a file event.
async fn wait_for_event(events: Option<&AsyncFd<AsyncFileWatch>>) {
    let ready: Option<io::Result<_>> = match events {
        Some(events) => Some(events.readable().await),
        None => pending().await,
    };
    if let Some(Ok(mut ready)) = ready {
        ready.get_inner().0.drain();
        ready.clear_ready();
    }
}

/// The result of a check.
#[derive(Default)]
struct CheckResult {
    /// Re-created sockets, with the index of their [`MonitoredFile`].
    made: Vec<(usize, std::os::unix::net::UnixListener)>,
    /// Whether a file is missing and could not be re-created.
    is_missing: bool,
}

impl SocketFileMonitor {
    fn check_files(&self) -> CheckResult {
        let mut looked = CheckResult::default();
        let mut all = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        for (place, (kept, seen)) in self.kept.iter().zip(all.iter_mut()).enumerate() {
            let found = match lock(&self.copies).get(kept.copy) {
                Some(copy) => copy.file.as_ref().and_then(SocketFile::open_if_current),
                // The server has stopped and removed the files itself.
                None => return looked,
            };
            match found {
                Some(_) if seen.is_watched => {}
                Some(file) => seen.is_watched = self.watch_file(&file),
                None => match self.recreate_socket(kept) {
                    Ok(None) => return looked,
                    Ok(Some(listener)) => {
                        *seen = SocketFileState {
                            is_watched: self.watch_copy(kept.copy),
                            is_told: false,
                        };
                        looked.made.push((place, listener));
                    }
                    Err(error) => {
                        looked.is_missing = true;
                        if !std::mem::replace(&mut seen.is_told, true) {
                            let path = kept.spec.path().display().to_string();
                            (self.log)(Line::SocketRemoved { path, error });
                        }
                    }
                },
            }
        }
        looked
    }

    fn watch_file(&self, file: &std::os::fd::OwnedFd) -> bool {
        // Without a watch, the file is checked only on request.
        self.watch
            .as_ref()
            .is_some_and(|watch| watch.add(file).is_ok())
    }

    fn watch_copy(&self, copy: usize) -> bool {
        let found = lock(&self.copies)
            .get(copy)
            .and_then(|copy| copy.file.as_ref()?.open_if_current());
        found.is_some_and(|file| self.watch_file(&file))
    }

    /// Creates a socket at the same path. A file that is there now belongs to another process and is left alone.
    /// `None`: the server has stopped meanwhile, and no socket was created.
    fn recreate_socket(
        &self,
        kept: &MonitoredFile,
    ) -> Result<Option<std::os::unix::net::UnixListener>, String> {
        let text = |error: io::Error| error.to_string();
        let (listener, file) = kept.spec.create().map_err(|error| error.to_string())?;
        listener.set_nonblocking(true).map_err(text)?;
        let socket = listener.as_fd().try_clone_to_owned().map_err(text)?;
        let mut copies = lock(&self.copies);
        let Some(copy) = copies.get_mut(kept.copy) else {
            return Ok(None);
        };
        *copy = ListenerCopy {
            socket,
            file: Some(file),
        };
        drop(copies);
        let path = kept.spec.path().display().to_string();
        (self.log)(Line::SocketMadeAgain { path });
        Ok(Some(listener))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stopped_server_does_not_recreate_its_socket() {
        let directory = std::env::temp_dir().join(format!("ended-{}", std::process::id()));
        std::fs::create_dir_all(&directory).expect("made");
        let path = directory.join("s");
        let lines: Arc<Mutex<Vec<Line>>> = Arc::default();
        let log = lines.clone();
        let (acceptor, _made) = tokio::sync::mpsc::unbounded_channel();
        let files = SocketFileMonitor {
            kept: vec![MonitoredFile {
                copy: 0,
                spec: SocketFileSpec::for_test(path.clone()),
                acceptor,
            }],
            seen: Mutex::new(vec![SocketFileState::default()]),
            // The server has stopped, taken its sockets and removed their files.
            copies: ListenerCopies::default(),
            watch: None,
            log: Arc::new(move |line| log.lock().expect("held by nobody").push(line)),
        };
        let looked = files.check_files();
        assert!(looked.made.is_empty() && !looked.is_missing);
        // The same if the server stops while a file is being created.
        let made = files.recreate_socket(&files.kept[0]).expect("no error");
        assert!(made.is_none());
        assert!(!path.exists(), "nobody would accept there");
        assert_eq!(lines.lock().expect("held by nobody").len(), 0);
        std::fs::remove_dir_all(&directory).expect("removed");
    }
}
