//! Decides whether programs have cgroups, once: at the start of the daemon, or when the first program needs one.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::process_cgroup::{self, ProcessCgroup};
use super::root::{CgroupRoot, ServiceManager, is_gone};
use super::scope::Scope;
use super::scope_holder;
use crate::config::spec::{CgroupLimits, Config};
use crate::domain::{Errno, Line, QualifiedName, Signal};
use crate::fd_holder::{FdHolder, FdStore};
use crate::sys::{self, Cgroup};

/// How long processes killed at the start may take to exit.
const CLEAR_WAIT: Duration = Duration::from_secs(10);
/// Interval of checks during that time.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// The scope of a previous daemon of the same service, if it still exists.
fn scope_of_predecessor() -> Option<(Cgroup, Scope)> {
    let manager = ServiceManager::detect();
    if !(manager.hears_us || manager.started_us) || sys::effective_uid() != 0 {
        return None;
    }
    let (top, own) = Cgroup::own_cgroup().ok()?;
    Some((top, Scope::of(&own)?))
}

/// Finds the fd holder of a previous daemon.
#[must_use]
pub fn find_holder() -> Option<FdHolder> {
    let (top, scope) = scope_of_predecessor()?;
    scope.holder(&top)
}

/// Sends SIGCONT to the fd holder of a previous daemon, in case it was stopped.
pub fn continue_holder() {
    if let Some((top, scope)) = scope_of_predecessor()
        && let Ok(found) = top.open(&scope.path)
    {
        scope_holder::signal_all(&found, Signal::CONT);
    }
}

/// The oldest process that a previous daemon made in the cgroup of this name: its pid and pidfd. A process that was
/// held up before its exec, and so outlived the spawn, is killed: its start is repeated.
#[must_use]
pub fn find_orphan(name: &str) -> Option<(i32, OwnedFd)> {
    let (top, scope) = scope_of_predecessor()?;
    let cgroup = top
        .open(&scope.path)
        .and_then(|found| found.open(name))
        .ok()?;
    let mut pids = cgroup.all_pids();
    pids.retain(|&pid| {
        let is_held_up = sys::is_before_exec(pid);
        if is_held_up
            && let Ok(pidfd) = sys::open_pidfd(pid)
            && sys::is_before_exec(pid)
        {
            let _ = sys::send_signal(&pidfd, Signal::KILL);
        }
        !is_held_up
    });
    let pid = oldest(pids)?;
    let pidfd = sys::open_pidfd(pid).ok()?;
    // The pid may have been reused before the pidfd was opened, but not since.
    cgroup.all_pids().contains(&pid).then_some((pid, pidfd))
}

/// The processes in each non-empty program cgroup of a previous daemon, by cgroup name.
#[must_use]
pub fn list_orphans() -> BTreeMap<String, Vec<i32>> {
    let Some((top, scope)) = scope_of_predecessor() else {
        return BTreeMap::new();
    };
    let Ok(found) = top.open(&scope.path) else {
        return BTreeMap::new();
    };
    let names = found.names().unwrap_or_default().into_iter();
    let names = names.filter(|name| name != scope_holder::DIRECTORY);
    let with_pids = names.filter_map(|name| {
        let pids = found.open(&name).ok()?.all_pids();
        (!pids.is_empty()).then_some((name, pids))
    });
    with_pids.collect()
}

/// The process that was made first. Start times decide; pids, which wrap around, decide only between equal times, which
/// have a resolution of 10 ms.
fn oldest(pids: Vec<i32>) -> Option<i32> {
    let begun = |pid: i32| {
        let stat = std::fs::read(format!("/proc/{pid}/stat")).ok()?;
        Some((start_ticks(&stat)?, pid))
    };
    pids.into_iter().filter_map(begun).min().map(|(_, pid)| pid)
}

/// The start time of a process from /proc/PID/stat, in clock ticks.
///
/// # Source
/// proc_pid_stat(5): the 22nd field; the second, a name in parentheses, may contain any bytes.
fn start_ticks(stat: &[u8]) -> Option<u64> {
    let end = stat.iter().rposition(|&byte| byte == b')')?;
    let rest = std::str::from_utf8(stat.get(end + 1..)?).ok()?;
    rest.split_ascii_whitespace().nth(19)?.parse().ok()
}

/// The access to the cgroups of programs. Clones are the same manager. It lasts over all runs of the daemon. Only one
/// thread uses it at a time: the spawner threads, or the main thread before they start and after they have ended.
#[derive(Debug, Clone, Default)]
pub struct CgroupManager(Arc<ManagerShared>);

#[derive(Debug, Default)]
struct ManagerShared {
    /// Also locked during waits for the service manager.
    state: Mutex<ManagerState>,
    /// The root of the state, for callers that must not wait.
    root: OnceLock<Arc<CgroupRoot>>,
}

#[derive(Debug, Default)]
struct ManagerState {
    root: Option<Arc<CgroupRoot>>,
    /// The fd holder that holds the scope, until it is taken.
    holder: Option<FdHolder>,
    /// Whether a search for a program that needs a cgroup already failed, so that another would fail too.
    has_searched: bool,
    /// Refused limits that were logged, so that a restart does not log them again.
    told: BTreeSet<(QualifiedName, &'static str)>,
}

impl CgroupManager {
    fn state(&self) -> MutexGuard<'_, ManagerState> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn find_root(
        &self,
        state: &mut ManagerState,
        all: &[&CgroupLimits],
        is_held: bool,
        log: &mut dyn FnMut(Line),
    ) {
        find_root(state, all, is_held, log);
        if let Some(root) = &state.root {
            let _ = self.0.root.set(Arc::clone(root));
        }
    }

    /// Takes the cgroup of a process that is not supervised any more, if it was kept for a next instance. Never waits.
    #[must_use]
    pub fn take_reused(&self, process: &QualifiedName) -> Option<ProcessCgroup> {
        let root = self.0.root.get()?;
        root.stop_reusing(process)
            .then(|| ProcessCgroup::new(root, process))
    }

    /// Looks for a place for cgroups at the start of a run, and logs the result if it matters. `is_held`: a known fd
    /// holder is already there. Waits for the service manager, for some seconds at most.
    pub fn find(&self, config: &Config, is_held: bool, log: &mut dyn FnMut(Line)) {
        let mut state = self.state();
        if let Some(root) = &state.root {
            // After a reload the configuration may have other programs.
            let is_configured = |process: &QualifiedName| {
                let mut groups = config.groups.iter();
                let group = groups.find(|group| group.name == process.group);
                group.is_some_and(|group| {
                    let mut names = group.processes.iter().map(|spec| &spec.name);
                    names.any(|name| *name == process.process)
                })
            };
            for process in root.reused() {
                if !is_configured(&process) {
                    ProcessCgroup::new(root, &process).remove();
                }
            }
            return;
        }
        let processes = config.groups.iter().flat_map(|group| &group.processes);
        let all: Vec<&CgroupLimits> = processes.map(|process| &*process.resources).collect();
        self.find_root(&mut state, &all, is_held, log);
    }

    /// Kills processes that a previous daemon left in the scope, except in the cgroups of `known` processes, and waits
    /// for their exit; otherwise they would run twice. Without a scope it does nothing: orphans keep running, as with
    /// Supervisor.
    pub fn kill_orphans(&self, known: impl Fn(&str) -> bool, log: &mut dyn FnMut(Line)) {
        let root = self.state().root.clone();
        let Some(root) = root.filter(|root| root.is_scope()) else {
            return;
        };
        root.sweep(&known);
        let path = format!("/{}", root.path);
        let mut names = root.populated(&known);
        if names.is_empty() {
            return;
        }
        names.sort_unstable();
        let told = names.join(", ");
        let until = Instant::now() + CLEAR_WAIT;
        while !names.is_empty() {
            if Instant::now() >= until {
                let names = names.join(", ");
                log(Line::StraysStay { path, names });
                return;
            }
            root.kill(&names);
            sleep(LOOK_EVERY);
            names = root.populated(&known);
        }
        log(Line::StraysKilled { path, names: told });
    }

    /// Makes the cgroup for a process before its spawn. `None`: programs have no cgroups here, or it cannot be made,
    /// which is logged if the process needs it.
    ///
    /// # Errors
    /// EAGAIN: the tree has a limit here. EMFILE, ENFILE, ENOMEM: as for the process itself.
    pub fn create(
        &self,
        process: &QualifiedName,
        resources: &CgroupLimits,
        log: &mut dyn FnMut(Line),
    ) -> io::Result<Option<(ProcessCgroup, Cgroup)>> {
        let mut state = self.state();
        if state.root.is_none() && resources.is_some() && !state.has_searched {
            self.find_root(&mut state, &[resources], false, log);
        }
        let Some(root) = state.root.clone() else {
            return Ok(None);
        };
        let mut refused = Vec::new();
        let mut result = process_cgroup::create_cgroup(&root, process, resources, &mut refused);
        if result.as_ref().is_err_and(is_gone) {
            // Another thread may have made the directory again.
            root.close_directory();
            refused.clear();
            result = process_cgroup::create_cgroup(&root, process, resources, &mut refused);
        }
        for (setting, error) in refused {
            if state.told.insert((process.clone(), setting.key)) {
                log(process_cgroup::limit_refused(process, &setting, &error));
            }
        }
        match result {
            Ok(made) => Ok(Some(made)),
            Err(error) if is_gone(&error) => {
                let made = root.recreate();
                root.close_directory();
                let path = root.path.clone();
                let again = made.and_then(|was_made| {
                    if was_made {
                        log(Line::ScopeMadeAgain { path });
                    }
                    process_cgroup::create_cgroup(&root, process, resources, &mut Vec::new())
                        .map_err(|error| error.to_string())
                });
                Ok(match again {
                    Ok(made) => Some(made),
                    Err(why) => {
                        log(no_cgroups_line(why, &resources.keys()));
                        None
                    }
                })
            }
            Err(error) if is_out_of_resources(&error) => Err(error),
            Err(error) => {
                log(Line::SpawnedOutside {
                    name: process.clone(),
                    error: Errno::from(&error),
                });
                Ok(None)
            }
        }
    }

    /// Starts another fd holder for the scope, which has lost its own and may be gone. Waits for the service manager,
    /// for some seconds at most.
    ///
    /// # Errors
    /// Why there is none, for people.
    pub fn restart_holder(&self, log: &mut dyn FnMut(Line)) -> Result<FdHolder, String> {
        let root = self.state().root.clone();
        let root = root.ok_or("programs no longer have cgroups")?;
        let (holder, was_made) = root.restart_holder()?;
        if was_made {
            let path = root.path.clone();
            log(Line::ScopeMadeAgain { path });
        }
        Ok(holder)
    }

    /// Takes the fd holder of the scope, once.
    #[must_use]
    pub fn take_fd_store(&self) -> Option<Arc<FdStore>> {
        let holder = self.state().holder.take()?;
        Some(Arc::new(FdStore::new(holder)))
    }

    /// The cgroup of a process that a previous daemon spawned, if it exists. Its resource events count from the making
    /// of the cgroup, usually at that spawn.
    #[must_use]
    pub fn reopen(&self, process: &QualifiedName) -> Option<ProcessCgroup> {
        let root = self.state().root.clone()?;
        process_cgroup::find_cgroup(&root, process).ok()
    }

    /// Removes the place for cgroups when the daemon exits for good.
    pub fn remove(&self) {
        if let Some(root) = self.state().root.take() {
            root.remove();
        }
    }
}

/// Whether the error is a shortage. Then the spawn is retried later: in the daemon's own cgroup, the process would not
/// outlive the daemon.
fn is_out_of_resources(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::EAGAIN | libc::EMFILE | libc::ENFILE | libc::ENOMEM)
    )
}

fn no_cgroups_line(why: String, keys: &[&'static str]) -> Line {
    if keys.is_empty() {
        Line::NoCgroups { why }
    } else {
        let keys = keys.join(", ");
        Line::NoCgroupsFor { why, keys }
    }
}

fn find_root(
    state: &mut ManagerState,
    all: &[&CgroupLimits],
    is_held: bool,
    log: &mut dyn FnMut(Line),
) {
    let mut keys: Vec<&'static str> = all.iter().flat_map(|one| one.keys()).collect();
    keys.sort_unstable();
    keys.dedup();
    let in_need = all.iter().any(|one| one.is_some());
    let manager = ServiceManager::detect();
    match CgroupRoot::find(manager, in_need, is_held) {
        Ok((root, holder)) => {
            state.holder = holder;
            let path = format!("/{}", root.path);
            let settings: Vec<_> = all.iter().flat_map(|one| one.settings()).collect();
            let wanted =
                |setting: &&crate::config::resources::CgroupSetting| setting.value.is_some();
            let mut controllers: Vec<_> = settings
                .iter()
                .filter(wanted)
                .map(|setting| setting.controller)
                .collect();
            controllers.sort_unstable();
            controllers.dedup();
            let lacking = root.missing_controllers(&controllers);
            let mut mute: Vec<_> = settings
                .iter()
                .filter(wanted)
                .filter(|setting| lacking.contains(&setting.controller))
                .map(|setting| setting.key)
                .collect();
            mute.sort_unstable();
            mute.dedup();
            log(if mute.is_empty() {
                Line::CgroupsAt { path }
            } else {
                Line::CgroupsWithout {
                    path,
                    missing: format!("without the controllers {}", lacking.join(", ")),
                    keys: mute.join(", "),
                }
            });
            state.root = Some(Arc::new(root));
        }
        // No program uses a cgroup key, so there is nothing to warn about.
        Err(_) if !in_need && !manager.hears_us => {}
        Err(why) => {
            state.has_searched = in_need;
            log(no_cgroups_line(why, &keys));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn oldest_returns_the_process_that_started_first() {
        let own = i32::try_from(std::process::id()).expect("small");
        let mut child = std::process::Command::new("/bin/cat")
            .stdin(std::process::Stdio::piped())
            .spawn()
            .expect("spawned");
        let young = i32::try_from(child.id()).expect("small");
        assert_eq!(oldest(vec![young, own]), Some(own));
        assert_eq!(oldest(vec![own, young]), Some(own));
        drop(child.stdin.take());
        child.wait().expect("ended");
        // A process that is gone has no start time.
        assert_eq!(oldest(vec![young]), None);
        assert_eq!(oldest(Vec::new()), None);
    }

    #[test]
    fn any_process_name_gives_a_cgroup_name() {
        let fields = "S 1 1 1 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 4242 1 1";
        for name in ["cat", "a) S 1", "", "\u{fc}) ("] {
            let stat = format!("7 ({name}) {fields}");
            assert_eq!(start_ticks(stat.as_bytes()), Some(4242), "{name}");
        }
        for stat in ["", "7", "7 (cat)", "7 (cat) S 1 2"] {
            assert_eq!(start_ticks(stat.as_bytes()), None, "{stat}");
        }
    }
}
