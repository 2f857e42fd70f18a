//! Whether programs have cgroups, found out once: at the start of the daemon, or when the first program asks for it.

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

/// How long what is killed at the start may take to die.
const CLEAR_WAIT: Duration = Duration::from_secs(10);
/// How often it is looked at meanwhile.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// The scope of the programs of a daemon that was the service that we are, if it is there still.
fn scope_of_predecessor() -> Option<(Cgroup, Scope)> {
    let manager = ServiceManager::detect();
    if !(manager.hears_us || manager.started_us) || sys::effective_uid() != 0 {
        return None;
    }
    let (top, own) = Cgroup::own_cgroup().ok()?;
    Some((top, Scope::of(&own)?))
}

/// The fd holder of a daemon that was here before.
#[must_use]
pub fn find_holder() -> Option<FdHolder> {
    let (top, scope) = scope_of_predecessor()?;
    scope.holder(&top)
}

/// Lets the fd holder of a daemon that was here before go on, if somebody has stopped it.
pub fn continue_holder() {
    if let Some((top, scope)) = scope_of_predecessor()
        && let Ok(found) = top.open(&scope.path)
    {
        scope_holder::signal_all(&found, Signal::CONT);
    }
}

/// A process that was made for the cgroup of this name by a daemon that was here before, the oldest that is in there: its
/// pid and pidfd. One that was held up before it ran its command, and so outlived the daemon's spawn of it, is killed: its
/// start begins anew.
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
    // The number may have become another's before it was opened, but not since.
    cgroup.all_pids().contains(&pid).then_some((pid, pidfd))
}

/// The processes in each cgroup of a program that a daemon that was here before has left, where there are any.
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

/// The process that was made first. Numbers begin anew when all were used, so they say little; they decide where the clock
/// of the kernel, which has hundredths of a second, does not.
fn oldest(pids: Vec<i32>) -> Option<i32> {
    let begun = |pid: i32| {
        let stat = std::fs::read(format!("/proc/{pid}/stat")).ok()?;
        Some((start_ticks(&stat)?, pid))
    };
    pids.into_iter().filter_map(begun).min().map(|(_, pid)| pid)
}

/// When a process was made, by the text that the kernel has of it.
///
/// # Source
/// proc_pid_stat(5): the 22nd field; the second, a name in parentheses, may hold anything.
fn start_ticks(stat: &[u8]) -> Option<u64> {
    let end = stat.iter().rposition(|&byte| byte == b')')?;
    let rest = std::str::from_utf8(stat.get(end + 1..)?).ok()?;
    rest.split_ascii_whitespace().nth(19)?.parse().ok()
}

/// The way to the cgroups of programs. Clones are the same; it lasts from run to run of the daemon. It is used by one
/// thread at a time: before the spawn thread begins, by that, and after it has ended.
#[derive(Debug, Clone, Default)]
pub struct CgroupManager(Arc<ManagerShared>);

#[derive(Debug, Default)]
struct ManagerShared {
    /// Locked while the service manager is waited for, too.
    state: Mutex<ManagerState>,
    /// That of the state, for who must not wait.
    root: OnceLock<Arc<CgroupRoot>>,
}

#[derive(Debug, Default)]
struct ManagerState {
    root: Option<Arc<CgroupRoot>>,
    /// The fd holder that holds it, until somebody takes it.
    holder: Option<FdHolder>,
    /// It was looked for on behalf of a program in need, so that looking again would find the same.
    has_searched: bool,
    /// What was told of programs whose limits are refused, so that a restart does not tell it again.
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

    /// The cgroup of a process that is supervised no more, if it was kept for its next instance. Never waits.
    #[must_use]
    pub fn take_reused(&self, process: &QualifiedName) -> Option<ProcessCgroup> {
        let root = self.0.root.get()?;
        root.stop_reusing(process)
            .then(|| ProcessCgroup::new(root, process))
    }

    /// Looks for a place at the start of a run, where an fd holder that we know is already if `is_held`, and says what was found if it matters. Waits for the service manager,
    /// for seconds at the most.
    pub fn find(&self, config: &Config, is_held: bool, log: &mut dyn FnMut(Line)) {
        let mut state = self.state();
        if let Some(root) = &state.root {
            // After a reload other programs may be configured.
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

    /// Kills what a daemon before this one left in our scope, but for the cgroups of `known` processes, and waits for it:
    /// whatever nobody knows would run twice otherwise. Where there is no scope nothing is done: there, orphans live on
    /// as they do with Supervisor.
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

    /// A cgroup for a process that is about to be spawned; none: there are none here, or it cannot be had, which was told
    /// if the process needs it.
    ///
    /// # Errors
    /// EAGAIN: the tree has a bound here. EMFILE, ENFILE, ENOMEM: as for the process itself.
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
            // Another thread may have made it again.
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

    /// Another fd holder for the scope, which has lost its own: the scope may have gone with it. Waits for the service
    /// manager, for seconds at the most.
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

    /// The fd holder that holds the place, once.
    #[must_use]
    pub fn take_fd_store(&self) -> Option<Arc<FdStore>> {
        let holder = self.state().holder.take()?;
        Some(Arc::new(FdStore::new(holder)))
    }

    /// The cgroup of a process that a predecessor has spawned, if it is there. What it met of its limits counts from the
    /// making of the cgroup, which in general was then.
    #[must_use]
    pub fn reopen(&self, process: &QualifiedName) -> Option<ProcessCgroup> {
        let root = self.state().root.clone()?;
        process_cgroup::find_cgroup(&root, process).ok()
    }

    /// Ends what holds the place, when the daemon ends for good.
    pub fn remove(&self) {
        if let Some(root) = self.state().root.take() {
            root.remove();
        }
    }
}

/// There is too little of something for another process. Spawning is tried again later then; outside of its cgroup, in that of
/// the daemon, a process would not outlive the daemon.
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
        // Nobody asked, and nobody would miss them.
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
    fn the_oldest_is_the_one_that_was_made_first() {
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
        // Who is gone was made by nobody any more.
        assert_eq!(oldest(vec![young]), None);
        assert_eq!(oldest(Vec::new()), None);
    }

    #[test]
    fn a_process_can_be_called_anything() {
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
