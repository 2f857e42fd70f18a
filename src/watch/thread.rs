//! The thread `watch`. It exists from the first watch on.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::time::Duration;

use super::binary::BinaryWatcher;
use super::directories::Directories;
use super::tree::TreeWatcher;
use crate::config::spec::{ProcessSpec, WatchSpec};
use crate::domain::{Line, ProcessName, Tick, from_bytes};
use crate::effects::{WatchEffect, WatchId, WatchKind, WatchOutcome};
use crate::heartbeat::Heartbeats;
use crate::spawn::CommandFinder;
use crate::sys::{self, Interest, Poller, Waker};

/// The epoll token of the effects.
const TOKEN_EFFECTS: u64 = 0;
/// The epoll token of inotify.
const TOKEN_EVENTS: u64 = 1;
/// The pause after changes. Many changes at a time then cost one report.
const PAUSE: Duration = Duration::from_millis(50);

/// Sends effects to the thread. Dropping it ends the thread, without waiting: a file system that does not respond may
/// block the thread.
#[derive(Debug)]
pub struct WatchHandle {
    /// `None`: the thread was told to end.
    effects: Option<Sender<WatchEffect>>,
    waker: Waker,
}

impl WatchHandle {
    /// Passes an effect on. Never blocks.
    pub fn send(&self, effect: WatchEffect) {
        if let Some(effects) = &self.effects
            // The channel is unbounded, but the core sends effects only when groups change.
            && effects.send(effect).is_ok()
        {
            self.waker.wake();
        }
    }
}

impl Drop for WatchHandle {
    fn drop(&mut self) {
        self.effects = None;
        self.waker.wake();
    }
}

/// Starts the thread, whose end `heartbeats` watches. `done` is called with each outcome, `log` with each line for the
/// activity log; neither may block.
///
/// # Errors
/// No descriptors, memory or threads.
pub fn start(
    heartbeats: Heartbeats,
    finder: CommandFinder,
    done: impl Fn(WatchOutcome) + Send + 'static,
    log: impl Fn(Line) + Send + 'static,
) -> io::Result<WatchHandle> {
    let poller = Poller::new()?;
    let waker = Waker::new(&poller, TOKEN_EFFECTS)?;
    // Without inotify, stamps of files are compared.
    let directories = Directories::new().ok();
    if let Some(directories) = &directories {
        poller.add(directories, TOKEN_EVENTS, Interest::Read)?;
    }
    let (effects, inbox) = channel();
    let mut room = WatchThread {
        poller,
        directories,
        watches: BTreeMap::new(),
        finder,
        done: Box::new(done),
        log: Box::new(log),
    };
    let own = waker.clone();
    std::thread::Builder::new()
        .name("watch".to_owned())
        .spawn(move || {
            let _heartbeat = heartbeats.register_end("watch");
            room.run(&inbox, &own);
        })?;
    Ok(WatchHandle {
        effects: Some(effects),
        waker,
    })
}

/// One watch.
struct Watched {
    name: ProcessName,
    binary: Option<BinaryWatcher>,
    tree: Option<TreeWatcher>,
}

struct WatchThread {
    poller: Poller,
    /// `None`: the user has too many inotify instances.
    directories: Option<Directories>,
    watches: BTreeMap<WatchId, Watched>,
    finder: CommandFinder,
    done: Box<dyn Fn(WatchOutcome) + Send>,
    log: Box<dyn Fn(Line) + Send>,
}

/// The changes of one turn: one file for each watch and kind.
type Changes = BTreeMap<(WatchId, WatchKind), PathBuf>;

fn now() -> Tick {
    sys::now().mono
}

fn shown(path: &Path) -> String {
    from_bytes(path.as_os_str().as_bytes())
}

impl WatchThread {
    /// Runs until the handle is dropped.
    fn run(&mut self, inbox: &Receiver<WatchEffect>, waker: &Waker) {
        loop {
            waker.reset();
            loop {
                match inbox.try_recv() {
                    Ok(effect) => self.perform(effect),
                    Err(TryRecvError::Disconnected) => return,
                    Err(TryRecvError::Empty) => break,
                }
            }
            let timeout = self.timeout();
            let Ok(ready) = self.poller.wait(timeout) else {
                return;
            };
            let has_events = ready.map(|ready| ready.token).any(|it| it == TOKEN_EVENTS);
            let mut changes = Changes::new();
            if has_events {
                self.handle_events(&mut changes);
            }
            self.look_at_due(&mut changes);
            self.log_limits();
            if changes.is_empty() {
                continue;
            }
            for ((id, kind), path) in changes {
                let path = shown(&path);
                (self.done)(WatchOutcome::Changed { id, kind, path });
            }
            std::thread::sleep(PAUSE);
        }
    }

    fn timeout(&self) -> Option<Duration> {
        let due = self.watches.values().flat_map(|watch| {
            let binary = watch.binary.as_ref().map(|binary| binary.due);
            binary
                .into_iter()
                .chain(watch.tree.as_ref().map(|tree| tree.due))
        });
        let first = due.filter(|&due| due != Tick::NEVER).min()?;
        Some(Duration::from_nanos(first.nanos_since(now())))
    }

    fn perform(&mut self, effect: WatchEffect) {
        match effect {
            WatchEffect::Set { id, watch, spec } => {
                self.clear(id);
                self.set(id, &watch, spec);
            }
            WatchEffect::Clear(id) => self.clear(id),
        }
    }

    fn clear(&mut self, id: WatchId) {
        self.watches.remove(&id);
        if let Some(directories) = &mut self.directories {
            directories.remove_all((id, WatchKind::Binary));
            directories.remove_all((id, WatchKind::Directory));
        }
    }

    fn set(&mut self, id: WatchId, watch: &WatchSpec, spec: Arc<ProcessSpec>) {
        let name = spec.name.clone();
        let binary = watch.binary.as_ref().map(|_| {
            let owner = (id, WatchKind::Binary);
            let mut binary = BinaryWatcher::new(owner, spec, self.finder.clone());
            binary.look(&mut self.directories, now());
            binary
        });
        let tree = watch.directory.as_ref().map(|directory| {
            let mut tree = TreeWatcher::new((id, WatchKind::Directory), directory);
            tree.begin(&mut self.directories, now);
            tree
        });
        let paths = binary.iter().map(BinaryWatcher::shown);
        for path in paths.chain(tree.iter().map(TreeWatcher::shown)) {
            (self.log)(Line::Watching {
                name: name.clone(),
                path: shown(&path),
            });
        }
        self.watches.insert(id, Watched { name, binary, tree });
        self.log_limits();
    }

    fn handle_events(&mut self, changes: &mut Changes) {
        let events = match &mut self.directories {
            Some(directories) => directories.read(),
            None => return,
        };
        let mut binaries = BTreeSet::new();
        for event in events {
            let Some(event) = event else {
                self.begin_again(changes);
                continue;
            };
            let (id, kind) = event.owner;
            let Some(watch) = self.watches.get_mut(&id) else {
                continue;
            };
            match kind {
                WatchKind::Binary => {
                    let is_concerned = |binary: &BinaryWatcher| binary.is_concerned(&event);
                    if watch.binary.as_ref().is_some_and(is_concerned) {
                        binaries.insert(id);
                    }
                }
                WatchKind::Directory => {
                    let directories = &mut self.directories;
                    let tree = watch.tree.as_mut();
                    let changed = tree.and_then(|tree| tree.handle(&event, directories, now));
                    if let Some(path) = changed {
                        changes.entry((id, kind)).or_insert(path);
                    }
                }
            }
        }
        for id in binaries {
            self.look_at_binary(id, changes);
        }
    }

    /// Begins all watches again after the kernel has dropped events. Files of directories count as changed. The executables
    /// can be compared.
    fn begin_again(&mut self, changes: &mut Changes) {
        let ids: Vec<WatchId> = self.watches.keys().copied().collect();
        for id in ids {
            self.look_at_binary(id, changes);
            if let Some(Watched {
                tree: Some(tree), ..
            }) = self.watches.get_mut(&id)
            {
                tree.begin(&mut self.directories, now);
                let path = tree.shown();
                changes.entry((id, WatchKind::Directory)).or_insert(path);
            }
        }
    }

    fn look_at_binary(&mut self, id: WatchId, changes: &mut Changes) {
        let Some(Watched {
            binary: Some(binary),
            ..
        }) = self.watches.get_mut(&id)
        else {
            return;
        };
        if let Some(path) = binary.look(&mut self.directories, now()) {
            changes.entry((id, WatchKind::Binary)).or_insert(path);
        }
    }

    /// Looks at the files whose changes the kernel does not report, if it is time.
    fn look_at_due(&mut self, changes: &mut Changes) {
        let at = now();
        let mut binaries = Vec::new();
        for (&id, watch) in &mut self.watches {
            if watch.binary.as_ref().is_some_and(|binary| binary.due <= at) {
                binaries.push(id);
            }
            if let Some(tree) = watch.tree.as_mut().filter(|tree| tree.due <= at)
                && let Some(path) = tree.look(&mut self.directories, now)
            {
                changes.entry((id, WatchKind::Directory)).or_insert(path);
            }
        }
        for id in binaries {
            self.look_at_binary(id, changes);
        }
    }

    fn log_limits(&mut self) {
        for watch in self.watches.values_mut() {
            if let Some(tree) = &mut watch.tree
                && let Some(reason) = tree.limit.take()
            {
                (self.log)(Line::WatchLimited {
                    name: watch.name.clone(),
                    path: shown(&tree.shown()),
                    reason,
                });
            }
        }
    }
}
