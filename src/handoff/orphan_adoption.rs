//! Adoption of programs that run without a usable state: it was lost with its fd holder, belongs to another version, or
//! is damaged. Their cgroups and the names of stored descriptors identify them. The daemon adopts those that the
//! configuration knows, and stops none of them for this reason.

use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::OwnedFd;
use std::sync::Arc;

use super::recovery::PartialRecovery;
use super::restored::RestoredEngine;
use crate::cgroup;
use crate::config::spec::{Config, GroupSpec};
use crate::core::{AdoptedProcess, Fleet, Identity};
use crate::domain::{FdName, InstanceId};
use crate::spawn::SharedSocket;
use crate::sys::{self, NamedFds};

/// Running programs that were matched with a newly read configuration.
pub struct OrphanAdoption {
    config: Arc<Config>,
    found: Vec<AdoptedProcess>,
    partial: PartialRecovery,
    /// The greatest incarnation of any earlier instance.
    last_incarnation: u64,
}

/// Finds the process that was started in a cgroup. Returns its PID and pidfd.
type FindProcess<'a> = &'a dyn Fn(&str) -> Option<(i32, OwnedFd)>;

/// Looks for running programs.
#[must_use]
pub fn find_orphans(config: &Arc<Config>, partial: PartialRecovery) -> OrphanAdoption {
    let running = cgroup::list_orphans();
    find(config, partial, &running, &cgroup::find_orphan)
}

/// Matches the processes in cgroups with the configuration and the stored descriptors.
fn find(
    config: &Arc<Config>,
    mut partial: PartialRecovery,
    running: &BTreeMap<String, Vec<i32>>,
    find_process: FindProcess<'_>,
) -> OrphanAdoption {
    let kept = &mut partial.fds;
    let incarnations = kept.keys().filter_map(|name| FdName::incarnation_in(name));
    let mut last_incarnation = incarnations.max().unwrap_or(0);
    let pidfds = pidfds_alive(kept);
    let mut found = Vec::new();
    for (slot, spec) in Fleet::slots(config) {
        let name = cgroup::name(&spec.group, &spec.name);
        let Some(pids) = running.get(&name) else {
            continue;
        };
        // The newest instance that the fd holder knows and that is in this cgroup.
        let known = pidfds.iter().rev().find(|(_, pid)| pids.contains(pid));
        let (incarnation, pid) = match known {
            Some(&(incarnation, pid)) => (incarnation, pid),
            None => {
                // The process is just exiting or cannot be identified, so it is not adopted.
                let Some((pid, pidfd)) = find_process(&name) else {
                    continue;
                };
                last_incarnation += 1;
                let instance = InstanceId {
                    slot,
                    incarnation: last_incarnation,
                };
                kept.insert(FdName::Pidfd(instance).name(), pidfd);
                (last_incarnation, pid)
            }
        };
        let instance = InstanceId { slot, incarnation };
        let has = |fd_name: FdName| kept.contains_key(&fd_name.name());
        found.push(AdoptedProcess {
            instance,
            pid,
            has_pipes: has(FdName::Stdout(instance)) || has(FdName::Stderr(instance)),
            is_heard: has(FdName::NotifySocket(instance)),
        });
    }
    OrphanAdoption {
        config: config.clone(),
        found,
        partial,
        last_incarnation,
    }
}

/// Returns incarnations with stored pidfds and the PIDs of their processes, in the order in which they were started.
/// Exited processes are left out.
fn pidfds_alive(kept: &NamedFds) -> Vec<(u64, i32)> {
    let mut living: Vec<(u64, i32)> = kept
        .iter()
        .filter_map(|(name, pidfd)| {
            let incarnation = FdName::incarnation_in(name)?;
            let instance = InstanceId {
                slot: 0,
                incarnation,
            };
            let is_pidfd = *name == FdName::Pidfd(instance).name();
            is_pidfd.then_some((incarnation, sys::pid_of(pidfd)?))
        })
        .collect();
    living.sort_unstable();
    living
}

impl OrphanAdoption {
    /// Returns the stored descriptors by name.
    #[must_use]
    pub const fn descriptors(&self) -> &NamedFds {
        &self.partial.fds
    }

    /// Returns the cgroups of processes to be adopted.
    #[must_use]
    pub fn cgroups(&self) -> BTreeSet<String> {
        let found: BTreeSet<u32> = self.found.iter().map(|found| found.instance.slot).collect();
        Fleet::slots(&self.config)
            .filter(|(slot, _)| found.contains(slot))
            .map(|(_, spec)| cgroup::name(&spec.group, &spec.name))
            .collect()
    }

    /// Returns the groups without running processes, whose sockets can be tried.
    #[must_use]
    pub fn idle_groups(&self) -> Vec<Arc<GroupSpec>> {
        let taken = self.cgroups();
        let is_idle = |group: &&Arc<GroupSpec>| {
            let mut processes = group.processes.iter();
            processes.all(|spec| !taken.contains(&cgroup::name(&spec.group, &spec.name)))
        };
        self.config.groups.iter().filter(is_idle).cloned().collect()
    }

    /// Creates a fleet that adopts the processes, and the engine state and sockets for it. Descriptors that belong to
    /// none of them are closed.
    #[must_use]
    pub fn restore(
        self,
        identity: Identity,
    ) -> (Fleet, RestoredEngine, Vec<(SharedSocket, OwnedFd)>) {
        let Self {
            config,
            found,
            partial,
            last_incarnation,
        } = self;
        let PartialRecovery {
            mut fds,
            sockets,
            mut unflushed,
            ..
        } = partial;
        let specs: BTreeMap<u32, _> = Fleet::slots(&config).collect();
        let with_instances = |mut shared: SharedSocket| {
            let socket = fds.remove(&FdName::FcgiSocket(shared.place).name())?;
            let its = |found: &&AdoptedProcess| {
                let spec = specs.get(&found.instance.slot);
                spec.is_some_and(|spec| shared.is_of(spec))
            };
            shared.instances = found
                .iter()
                .filter(its)
                .map(|found| found.instance)
                .collect();
            Some((shared, socket))
        };
        let sockets = sockets.into_iter().filter_map(with_instances).collect();
        // The bytes were read for another slot.
        for bytes in &mut unflushed {
            let mut instances = found.iter().map(|found| found.instance);
            if let Some(instance) =
                instances.find(|instance| instance.incarnation == bytes.instance.incarnation)
            {
                bytes.instance = instance;
            }
        }
        let pids = found
            .iter()
            .map(|found| (found.instance, found.pid))
            .collect();
        let restored = RestoredEngine::of_orphans(pids, fds, unflushed);
        let fleet = Fleet::new(identity, config).with_adopted(last_incarnation, found);
        (fleet, restored, sockets)
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd as _;
    use std::process::{Child, Command, Stdio};

    use super::*;
    use crate::cli::options;
    use crate::config;
    use crate::daemon::machine::Machine;
    use crate::spawn::SharedSocket;

    const PROGRAMS: &str = "[supervisord]\n[program:idle]\ncommand=/bin/cat\n\
        [program:cat]\ncommand=/bin/cat\nnumprocs=3\nprocess_name=%(process_num)d\nautostart=false\n\
        [fcgi-program:web]\ncommand=/bin/cat\nsocket=tcp://127.0.0.1:7701\n";

    fn configured(name: &str) -> Arc<Config> {
        let path = std::env::temp_dir().join(format!("adoption-{name}-{}", std::process::id()));
        std::fs::write(&path, PROGRAMS).expect("written");
        let machine = Machine::new().expect("a directory");
        let path = path.display().to_string();
        let options = options::parse_options(&["-c".to_owned(), path.clone()], &machine);
        let config = config::load(&path, &options.expect("right"), &machine);
        std::fs::remove_file(&path).expect("there");
        Arc::new(config.map_err(|errors| errors.first).expect("right"))
    }

    fn cat() -> (Child, i32) {
        let mut command = Command::new("/bin/cat");
        let child = command.stdin(Stdio::piped()).spawn().expect("spawned");
        let pid = i32::try_from(child.id()).expect("small");
        (child, pid)
    }

    fn end(mut child: Child) {
        drop(child.stdin.take());
        child.wait().expect("ended");
    }

    fn null() -> OwnedFd {
        std::fs::File::open("/dev/null").expect("there").into()
    }

    fn running(list: &[(&str, &[i32])]) -> BTreeMap<String, Vec<i32>> {
        list.iter()
            .map(|&(name, pids)| (name.to_owned(), pids.to_vec()))
            .collect()
    }

    #[test]
    fn orphans_are_found_by_stored_pidfds_and_cgroups() {
        let config = configured("lives");
        let ((first, first_pid), (second, second_pid), (past, past_pid)) = (cat(), cat(), cat());
        let own = |pid: i32| sys::open_pidfd(pid).expect("it lives");
        let mut partial = PartialRecovery::default();
        let kept = &mut partial.fds;
        kept.insert("p7".to_owned(), own(first_pid));
        // An earlier instance whose process is gone, and descriptors of an unknown instance.
        kept.insert("p6".to_owned(), own(past_pid));
        kept.insert("e12".to_owned(), null());
        kept.insert("o7".to_owned(), null());
        kept.insert("n7".to_owned(), null());
        kept.insert("state".to_owned(), null());
        end(past);
        let running = running(&[
            ("cat:0", &[second_pid, first_pid]),
            ("cat:1", &[second_pid]),
            // The process exits while it is examined.
            ("cat:2", &[past_pid]),
            // The configuration does not contain this process.
            ("gone:gone", &[second_pid]),
        ]);
        let find_process = |name: &str| (name == "cat:1").then(|| (second_pid, own(second_pid)));
        let adoption = find(&config, partial, &running, &find_process);
        let slot = |process: &str| {
            let mut slots = Fleet::slots(&config);
            slots.find(|(_, spec)| spec.name.as_str() == process)
        };
        let instance = |process: &str, incarnation| InstanceId {
            slot: slot(process).expect("configured").0,
            incarnation,
        };
        let expected = [
            AdoptedProcess {
                instance: instance("0", 7),
                pid: first_pid,
                has_pipes: true,
                is_heard: true,
            },
            AdoptedProcess {
                instance: instance("1", 13),
                pid: second_pid,
                has_pipes: false,
                is_heard: false,
            },
        ];
        assert_eq!(adoption.found, expected);
        assert_eq!(adoption.last_incarnation, 13);
        let pidfd = &adoption.descriptors()["p13"];
        assert_eq!(sys::pid_of(pidfd), Some(second_pid));
        // The configuration does not contain the other processes in the scope.
        let cgroups: Vec<String> = adoption.cgroups().into_iter().collect();
        assert_eq!(cgroups, ["cat:0", "cat:1"]);
        let idle = adoption.idle_groups();
        let mut idle: Vec<&str> = idle.iter().map(|group| group.name.as_str()).collect();
        idle.sort_unstable();
        assert_eq!(idle, ["idle", "web"]);
        end(first);
        end(second);
    }

    #[test]
    fn a_stored_socket_returns_to_its_program_and_others_are_closed() {
        let config = configured("sockets");
        let (child, pid) = cat();
        let (slot, spec) = Fleet::slots(&config)
            .find(|(_, spec)| spec.name.as_str() == "web")
            .expect("configured");
        let described = |program: &str, place: usize| -> SharedSocket {
            let url = "tcp://127.0.0.1:7701";
            let key = serde_json::json!({"group": "web", "program": program, "url": url});
            let whole = serde_json::json!({"key": key, "place": place, "lives": []});
            serde_json::from_value(whole).expect("a description")
        };
        assert!(described("web", 0).is_of(spec) && !described("other", 0).is_of(spec));
        let mut partial = PartialRecovery::default();
        let kept = &mut partial.fds;
        kept.insert("p4".to_owned(), sys::open_pidfd(pid).expect("it lives"));
        kept.insert("f0".to_owned(), null());
        kept.insert("f2".to_owned(), null());
        partial.sockets = vec![
            described("other", 0),
            described("web", 2),
            described("web", 5),
        ];
        let running = running(&[("web:web", &[pid])]);
        let adoption = find(&config, partial, &running, &|_| None);
        let identity = Identity {
            pid: 1,
            daemon_log: None,
            seed: 1,
            event_serial: 0,
        };
        let (_, _, sockets) = adoption.restore(identity);
        let holders: Vec<(usize, Vec<InstanceId>)> = sockets
            .iter()
            .map(|(shared, socket)| {
                assert!(socket.as_fd().try_clone_to_owned().is_ok());
                (shared.place, shared.instances.clone())
            })
            .collect();
        let instance = InstanceId {
            slot,
            incarnation: 4,
        };
        assert_eq!(holders, [(0, Vec::new()), (2, vec![instance])]);
        end(child);
    }
}
