//! The directory that contains the cgroups of all programs: where it can be, and which controllers it has.
//!
//! There are three layouts. As a service of PID 1: a scope beside the service, delegated to the daemon, which outlives
//! the daemon. Without a service manager (in a container): a directory in the daemon's own cgroup, if that is writable.
//! With a service manager that delegated the daemon's own cgroup (`Delegate=`, the only layout for a daemon without
//! root): also a directory there, but without controllers, because with controllers the service could not be restarted
//! while programs of a crashed daemon are in it.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::scope::{EnteredScope, Scope};
use super::scope_holder;
use crate::domain::QualifiedName;
use crate::fd_holder::FdHolder;
use crate::sys::{self, Cgroup};

/// The directory in the daemon's own cgroup. If other daemons have theirs there, a dot and a number are appended.
const DIRECTORY: &str = "supervisord";
/// Maximum number of daemons in one cgroup.
const DAEMONS_MAX: usize = 64;
/// The cgroup that the daemon moves to if its own must have no process.
const OWN_LEAF: &str = ".daemon";
/// Controllers without an effect on cgroups without limits. The others divide CPUs and disks among cgroups instead of
/// processes, so they are enabled only when a program asks for them.
const HARMLESS: [&str; 2] = ["memory", "pids"];

/// The parent of the programs' cgroups.
#[derive(Debug)]
pub(super) struct CgroupRoot {
    /// Held while the scope is made again: one thread at a time.
    making: Mutex<()>,
    /// The directory, once it was opened. It may be gone.
    directory: Mutex<Option<Arc<Cgroup>>>,
    /// Processes whose cgroups stay between their instances: made by this daemon, and without limits.
    kept: Mutex<BTreeSet<QualifiedName>>,
    top: Cgroup,
    /// The path of the directory, relative to `top`.
    pub(super) path: String,
    kind: RootKind,
}

#[derive(Debug)]
enum RootKind {
    /// A scope that PID 1 made for the daemon.
    Scope(Scope),
    /// A directory in the daemon's own cgroup.
    Own {
        /// Reserves the directory for this daemon while it is open.
        _lock: Cgroup,
        /// Whether controllers are available.
        has_limits: bool,
    },
}

/// What the environment says about the service manager.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ServiceManager {
    /// systemd runs this machine.
    pub(super) is_there: bool,
    /// It started the daemon and expects notifications: the unit was written for this daemon.
    pub(super) hears_us: bool,
    /// It started the daemon.
    pub(super) started_us: bool,
}

impl ServiceManager {
    pub(super) fn detect() -> Self {
        let has = |name| std::env::var_os(name).is_some();
        let is_there = Path::new("/run/systemd/system").is_dir();
        Self {
            is_there,
            hears_us: is_there && has("NOTIFY_SOCKET"),
            // A shell in another service inherits the variable too, but has another parent.
            started_us: is_there && has("INVOCATION_ID") && sys::parent_pid() == 1,
        }
    }
}

/// Why no daemon can give programs cgroups on this host, or none with `controller` (empty: no controller is needed).
/// `None`: a daemon can, possibly only as a service. Changes nothing.
#[must_use]
pub fn unavailable_because(controller: &str) -> Option<String> {
    let (top, own) = match Cgroup::own_cgroup() {
        Ok(found) => found,
        Err(error) => return Some(format!("cgroup2 is not mounted ({error})")),
    };
    if !ServiceManager::detect().is_there {
        // Without systemd only the daemon itself can make cgroups.
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

/// Whether the open cgroup, or the parent of a new one, does not exist any more.
#[must_use]
pub(super) fn is_gone(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ENODEV))
}

impl CgroupRoot {
    /// Finds or makes the directory. `in_need`: a program needs a cgroup. Only then does this take steps that need a
    /// reason: dividing a cgroup that others may use, or making a scope beside a unit that was written for Supervisor.
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
                        // A missing controller is reported when a program asks for it.
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
        // Root could write everywhere, but a cgroup that is not delegated belongs to the service manager.
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
        // An earlier image of this daemon may have moved to [`OWN_LEAF`] before its exec.
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

    /// Opens the directory.
    ///
    /// # Errors
    /// ENOENT: it is gone.
    pub(super) fn open(&self) -> io::Result<Cgroup> {
        self.top.open(&self.path)
    }

    /// Opens the directory once and keeps it open. When it is gone, operations in it fail with ENOENT or ENODEV; then
    /// call [`Self::close_directory`].
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

    /// Closes the directory, so that the next call opens its replacement.
    pub(super) fn close_directory(&self) {
        *lock(&self.directory) = None;
    }

    /// Marks the cgroup of this process to stay for the next instance.
    pub(super) fn reuse(&self, process: &QualifiedName) {
        let mut kept = lock(&self.kept);
        if !kept.contains(process) {
            kept.insert(process.clone());
        }
    }

    /// All processes whose cgroups stay.
    pub(super) fn reused(&self) -> BTreeSet<QualifiedName> {
        lock(&self.kept).clone()
    }

    /// Removes the mark of [`Self::reuse`]. Returns whether there was one.
    pub(super) fn stop_reusing(&self, process: &QualifiedName) -> bool {
        lock(&self.kept).remove(process)
    }

    /// Whether the cgroup of this process stays for the next instance.
    pub(super) fn is_reused(&self, process: &QualifiedName) -> bool {
        lock(&self.kept).contains(process)
    }

    /// Whether it is a scope beside the service, which outlives the daemon.
    pub(super) const fn is_scope(&self) -> bool {
        matches!(self.kind, RootKind::Scope(_))
    }

    /// The names of program cgroups that have processes and are not `known`.
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

    /// Removes empty program cgroups that are not `known`, which a previous daemon left.
    pub(super) fn sweep(&self, known: &dyn Fn(&str) -> bool) {
        let Ok(root) = self.open() else {
            return;
        };
        for name in root.names().unwrap_or_default() {
            if name != scope_holder::DIRECTORY && name != OWN_LEAF && !known(&name) {
                // Fails if there is a process in it.
                let _ = root.remove(&name);
            }
        }
    }

    /// Kills the processes in these cgroups.
    pub(super) fn kill(&self, names: &[String]) {
        for name in names {
            // If the kernel refuses, the caller tries again.
            let _ = self
                .open()
                .and_then(|root| root.open(name))
                .and_then(|inside| inside.kill());
        }
    }

    /// Makes the directory again: a scope vanishes with its last process. Returns false if another thread was faster.
    ///
    /// # Errors
    /// Why it cannot be made, for people.
    pub(super) fn recreate(&self) -> Result<bool, String> {
        match &self.kind {
            // A new fd holder has no descriptors yet; the daemon finds it when it misses the old one.
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

    /// Starts another fd holder in the scope, which is made again if it is gone. Also returns whether it was made.
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
            // A missing controller is reported when a program asks for it.
            let _ = entered.cgroup.enable(controller);
        }
        Ok(entered)
    }

    /// The controllers of `wanted` that are not available.
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

    /// Enables a controller for the programs' cgroups.
    ///
    /// # Errors
    /// ENOENT: there is no such controller. EBUSY: other processes are in the way. EOPNOTSUPP: not available in this
    /// layout.
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
                        // A cgroup with enabled controllers must have no process. The only process the daemon may move
                        // is itself.
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

    /// Removes the directory for good, unless processes that must not be killed remain in it.
    pub(super) fn remove(&self) {
        let Ok(root) = self.open() else {
            return;
        };
        match &self.kind {
            RootKind::Scope(_) => scope_holder::end_holders(&root),
            RootKind::Own { .. } => {
                let (parent, name) = self.path.rsplit_once('/').unwrap_or(("", &self.path));
                // Fails if the daemon itself or another process is in it.
                let _ = self.top.open(parent).and_then(|parent| parent.remove(name));
            }
        }
    }
}

/// Locks a mutex. No code panics while it holds one of these.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
