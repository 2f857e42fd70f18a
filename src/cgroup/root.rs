//! The directory that holds the cgroups of all programs: where it can be had, and which controllers it has.
//!
//! Three layouts. As a service of PID 1: a scope beside the service, delegated to us, which outlives the daemon. Without
//! a service manager (a container): a directory in our own cgroup, if that can be written. With one that gave us our own
//! cgroup (`Delegate=`, all that there is for a daemon that is not root): the same, but without controllers, for with
//! them the service could not be started again while programs of a crashed daemon are in it.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::scope::{EnteredScope, Scope};
use super::scope_holder;
use crate::domain::QualifiedName;
use crate::fd_holder::FdHolder;
use crate::sys::{self, Cgroup};

/// The directory in a cgroup of ours; behind a dot and a number if other daemons have theirs there.
const DIRECTORY: &str = "supervisord";
/// How many daemons find a place in one cgroup.
const DAEMONS_MAX: usize = 64;
/// Where the daemon itself goes when its own cgroup must have no process.
const OWN_LEAF: &str = ".daemon";
/// Controllers that change nothing for who has no limit. The others, which share processors and disks out among cgroups
/// instead of processes, are enabled when a program asks for them.
const HARMLESS: [&str; 2] = ["memory", "pids"];

/// Where the cgroups of programs are.
#[derive(Debug)]
pub(super) struct CgroupRoot {
    /// Of two threads that miss the scope one makes it again.
    making: Mutex<()>,
    /// The directory, once it was opened. It may be gone.
    directory: Mutex<Option<Arc<Cgroup>>>,
    /// Processes whose cgroups stay between their instances: made here, and without limits.
    kept: Mutex<BTreeSet<QualifiedName>>,
    top: Cgroup,
    /// From there.
    pub(super) path: String,
    kind: RootKind,
}

#[derive(Debug)]
enum RootKind {
    /// A scope that PID 1 made for us.
    Scope(Scope),
    /// A directory in our own cgroup.
    Own {
        /// Ours as long as this is open.
        _lock: Cgroup,
        /// Controllers can be had.
        has_limits: bool,
    },
}

/// What the environment says of who started us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ServiceManager {
    /// systemd runs this machine.
    pub(super) is_there: bool,
    /// It started us and waits for our word: a unit made for us.
    pub(super) hears_us: bool,
    /// It started us.
    pub(super) started_us: bool,
}

impl ServiceManager {
    pub(super) fn detect() -> Self {
        let has = |name| std::env::var_os(name).is_some();
        let is_there = Path::new("/run/systemd/system").is_dir();
        Self {
            is_there,
            hears_us: is_there && has("NOTIFY_SOCKET"),
            // A shell in somebody else's service has inherited the variable, but not the parent.
            started_us: is_there && has("INVOCATION_ID") && sys::parent_pid() == 1,
        }
    }
}

/// Why no daemon could give programs cgroups on this host, or none with `controller` (empty: none is needed). `None`: one
/// could, perhaps as a service only. Changes nothing.
#[must_use]
pub fn unavailable_because(controller: &str) -> Option<String> {
    let (top, own) = match Cgroup::own_cgroup() {
        Ok(found) => found,
        Err(error) => return Some(format!("cgroup2 is not mounted ({error})")),
    };
    if !ServiceManager::detect().is_there {
        // Nobody but us could make one.
        let writable = top.open(&own).and_then(|ours| ours.check_writable());
        if let Err(error) = writable {
            return Some(format!("cannot create cgroups in /{own} ({error})"));
        }
    }
    let has =
        |found: &[String]| controller.is_empty() || found.iter().any(|name| name == controller);
    match top.open("").and_then(|root| root.controllers()) {
        Ok(found) if has(&found) => None,
        Ok(_) => Some(format!("cgroup2 has no controller {controller}")),
        Err(error) => Some(format!("cannot read the cgroup controllers ({error})")),
    }
}

/// The cgroup that was opened, or the one it was to be made in, is there no more.
#[must_use]
pub(super) fn is_gone(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ENODEV))
}

impl CgroupRoot {
    /// Finds or makes it. A program is in need of a cgroup if `in_need`: what only the wish for limits justifies (a part
    /// of a cgroup in which others may be, a scope beside a unit that was written for Supervisor) is not done without.
    ///
    /// # Errors
    /// Why there is none, for people.
    pub(super) fn find(
        manager: ServiceManager,
        in_need: bool,
        is_held: bool,
    ) -> Result<(Self, Option<FdHolder>), String> {
        let (top, own) =
            Cgroup::own_cgroup().map_err(|error| format!("cgroup2 is not mounted ({error})"))?;
        let is_root = sys::effective_uid() == 0;
        let mut why = None;
        if is_root
            && (manager.hears_us || (manager.started_us && in_need))
            && let Some(scope) = Scope::of(&own)
        {
            match scope.enter(&top, is_held) {
                Ok(entered) => {
                    let root = Self {
                        making: Mutex::default(),
                        directory: Mutex::default(),
                        kept: Mutex::default(),
                        top,
                        path: scope.path.clone(),
                        kind: RootKind::Scope(scope),
                    };
                    for controller in HARMLESS {
                        // What is not to be had is told when a program asks for it.
                        let _ = entered.cgroup.enable(controller);
                    }
                    return Ok((root, entered.holder));
                }
                Err(error) => why = Some(format!("systemd created no scope: {error}")),
            }
        }
        if !in_need {
            return Err(why.unwrap_or_else(|| "no program has a key that needs one".to_owned()));
        }
        let name = if own.is_empty() { "/" } else { &own };
        let ours = top
            .open(&own)
            .map_err(|error| format!("cannot open {name} ({error})"))?;
        // Root can write everywhere, but what the service manager has not given away is arranged by it alone.
        if manager.is_there && is_root && !ours.is_delegated() {
            return Err(why.unwrap_or_else(|| format!("{name} is not delegated to supervisord")));
        }
        Self::in_own(top, &own, !manager.is_there)
            .map(|root| (root, None))
            .map_err(|error| {
                why.unwrap_or_else(|| format!("cannot create cgroups in {name} ({error})"))
            })
    }

    fn in_own(top: Cgroup, own: &str, has_limits: bool) -> io::Result<Self> {
        // Before an exec of ourselves we may have moved aside.
        let moved = own
            .strip_suffix(OWN_LEAF)
            .and_then(|own| own.strip_suffix('/'));
        let (parent, first) = match moved {
            Some(base) => base.rsplit_once('/').unwrap_or(("", base)),
            None => (own, DIRECTORY),
        };
        let directory = top.open(parent)?;
        let numbered = (2..=DAEMONS_MAX).map(|number| format!("{DIRECTORY}.{number}"));
        for name in [first.to_owned(), DIRECTORY.to_owned()]
            .into_iter()
            .chain(numbered)
        {
            directory.make(&name)?;
            let lock = directory.open(&name)?;
            lock.check_writable()?;
            if !lock.lock()? {
                continue;
            }
            let slash = if parent.is_empty() { "" } else { "/" };
            let root = Self {
                making: Mutex::default(),
                directory: Mutex::default(),
                kept: Mutex::default(),
                top,
                path: format!("{parent}{slash}{name}"),
                kind: RootKind::Own {
                    _lock: lock,
                    has_limits,
                },
            };
            for controller in HARMLESS {
                let _ = root.enable(controller);
            }
            return Ok(root);
        }
        Err(io::Error::other("too many daemons have cgroups there"))
    }

    /// The directory.
    ///
    /// # Errors
    /// ENOENT: it is gone.
    pub(super) fn open(&self) -> io::Result<Cgroup> {
        self.top.open(&self.path)
    }

    /// The same, opened once and for all. What is done in it fails with ENOENT or ENODEV once it is gone; then
    /// [`Self::close_directory`] helps.
    ///
    /// # Errors
    /// ENOENT: it is gone. EMFILE.
    pub(super) fn directory(&self) -> io::Result<Arc<Cgroup>> {
        let mut directory = lock(&self.directory);
        if let Some(open) = &*directory {
            return Ok(Arc::clone(open));
        }
        let open = Arc::new(self.open()?);
        *directory = Some(Arc::clone(&open));
        Ok(open)
    }

    /// Another directory may have taken its place.
    pub(super) fn close_directory(&self) {
        *lock(&self.directory) = None;
    }

    /// The cgroup of this process stays when its instance has ended, for the next one.
    pub(super) fn reuse(&self, process: &QualifiedName) {
        let mut kept = lock(&self.kept);
        if !kept.contains(process) {
            kept.insert(process.clone());
        }
    }

    /// All of these.
    pub(super) fn reused(&self) -> BTreeSet<QualifiedName> {
        lock(&self.kept).clone()
    }

    /// It does not; answers whether it did.
    pub(super) fn stop_reusing(&self, process: &QualifiedName) -> bool {
        lock(&self.kept).remove(process)
    }

    /// Whether it does.
    pub(super) fn is_reused(&self, process: &QualifiedName) -> bool {
        lock(&self.kept).contains(process)
    }

    /// It is a scope beside our service, and outlives us.
    pub(super) const fn is_scope(&self) -> bool {
        matches!(self.kind, RootKind::Scope(_))
    }

    /// The names of the programs' cgroups with processes in them that are not `known`.
    pub(super) fn populated(&self, known: &dyn Fn(&str) -> bool) -> Vec<String> {
        let Ok(root) = self.open() else {
            return Vec::new();
        };
        let has_processes = |name: &String| {
            let inside = root.open(name).and_then(|inside| inside.is_populated());
            inside.unwrap_or(false)
        };
        let names = root.names().unwrap_or_default().into_iter();
        names
            .filter(|name| name != scope_holder::DIRECTORY && name != OWN_LEAF && !known(name))
            .filter(has_processes)
            .collect()
    }

    /// Removes the programs' cgroups without processes that are not `known`, which a daemon before this one kept.
    pub(super) fn sweep(&self, known: &dyn Fn(&str) -> bool) {
        let Ok(root) = self.open() else {
            return;
        };
        for name in root.names().unwrap_or_default() {
            if name != scope_holder::DIRECTORY && name != OWN_LEAF && !known(&name) {
                // Not if there is a process in it.
                let _ = root.remove(&name);
            }
        }
    }

    /// Kills what is in these.
    pub(super) fn kill(&self, names: &[String]) {
        for name in names {
            // What the kernel refuses is tried again.
            let _ = self
                .open()
                .and_then(|root| root.open(name))
                .and_then(|inside| inside.kill());
        }
    }

    /// Makes it again after it was gone: a scope goes with its last process. Returns whether nobody else had done so.
    ///
    /// # Errors
    /// Why it cannot be had, for people.
    pub(super) fn recreate(&self) -> Result<bool, String> {
        match &self.kind {
            // A new fd holder keeps nothing of what runs; it is found there when the old one is missed.
            RootKind::Scope(scope) => self.reenter(scope).map(|entered| entered.was_made),
            RootKind::Own { .. } => {
                let (parent, name) = self.path.rsplit_once('/').unwrap_or(("", &self.path));
                let parent = self.top.open(parent);
                parent
                    .and_then(|parent| parent.make(name))
                    .map_err(|error| error.to_string())?;
                Ok(true)
            }
        }
    }

    /// Another fd holder in the scope, which is made again if it has gone. Returns also whether it was made.
    ///
    /// # Errors
    /// Why there is none, for people.
    pub(super) fn restart_holder(&self) -> Result<(FdHolder, bool), String> {
        let RootKind::Scope(scope) = &self.kind else {
            return Err("the scope does not exist".to_owned());
        };
        let entered = self.reenter(scope)?;
        let holder = entered.holder.ok_or("the scope has no fd holder")?;
        Ok((holder, entered.was_made))
    }

    fn reenter(&self, scope: &Scope) -> Result<EnteredScope, String> {
        let _making = lock(&self.making);
        let entered = scope.enter(&self.top, false)?;
        for controller in HARMLESS {
            // What is not to be had is told when a program asks for it.
            let _ = entered.cgroup.enable(controller);
        }
        Ok(entered)
    }

    /// Which of these controllers cannot be had.
    pub(super) fn missing_controllers(&self, wanted: &[&'static str]) -> Vec<&'static str> {
        let has = |controller: &str| {
            self.open()
                .and_then(|root| root.controllers())
                .is_ok_and(|found| found.iter().any(|found| found == controller))
        };
        wanted
            .iter()
            .copied()
            .filter(|controller| !has(controller))
            .collect()
    }

    /// Gives the programs' cgroups a controller.
    ///
    /// # Errors
    /// ENOENT: there is no such controller. EBUSY: other processes are in the way. EOPNOTSUPP: not in this layout.
    pub(super) fn enable(&self, controller: &str) -> io::Result<()> {
        let root = self.open()?;
        match &self.kind {
            RootKind::Scope(_) => root.enable(controller),
            RootKind::Own {
                has_limits: false, ..
            } => Err(io::Error::from_raw_os_error(libc::EOPNOTSUPP)),
            RootKind::Own { .. } => {
                let parent = self.path.rsplit_once('/').map_or("", |(parent, _)| parent);
                let parent = self.top.open(parent)?;
                match parent.enable(controller) {
                    Err(error) if error.kind() == io::ErrorKind::ResourceBusy => {
                        // A cgroup that gives controllers on has no process itself: we are the one that we may move.
                        root.make(OWN_LEAF)?;
                        let pid = i32::try_from(std::process::id()).map_err(io::Error::other)?;
                        root.open(OWN_LEAF)?.move_in(pid)?;
                        parent.enable(controller)?;
                    }
                    result => result?,
                }
                root.enable(controller)
            }
        }
    }

    /// Leaves it for good. What programs left behind and nobody was to kill lives on in it.
    pub(super) fn remove(&self) {
        let Ok(root) = self.open() else {
            return;
        };
        match &self.kind {
            RootKind::Scope(_) => scope_holder::end_holders(&root),
            RootKind::Own { .. } => {
                let (parent, name) = self.path.rsplit_once('/').unwrap_or(("", &self.path));
                // Not if we are in there ourselves, or somebody else is.
                let _ = self.top.open(parent).and_then(|parent| parent.remove(name));
            }
        }
    }
}

/// Nothing panics while it holds one of these.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
