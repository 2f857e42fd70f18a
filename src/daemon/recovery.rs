//! Recovery of the state that a previous daemon left with the fd holder, because the service manager restarted it or
//! because it was killed. After a kill, the last snapshot is updated with the records of the processes.

use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use super::written_handoff::{self, Handoff};
use crate::cgroup;
use crate::config::ConfigErrors;
use crate::config::spec::Config;
use crate::core::Snapshot;
use crate::domain::{FdName, InstanceId, Line};
use crate::engine::{self, EngineState, PassedSocket};
use crate::fd_holder::{FdHolder, FdStore};
use crate::output::{IN_FLIGHT_LOG_BYTES, UnflushedChunk};
use crate::spawn::SharedSocket;
use crate::sys::{self, Limit, MemoryFile, NamedFds, SharedBuffer};

/// How long the fd holder may take to list its descriptors. Thousands of them take some hundredths of a second.
const LIST_WITHIN: Duration = Duration::from_secs(10);
/// Maximum number of in-flight logs: the current one and the previous one.
const IN_FLIGHT_LOGS: usize = 2;

/// The fd holder of a previous daemon and its contents.
pub(super) struct RecoverySource {
    pub(super) fd_store: Arc<FdStore>,
    pub(super) left: RecoveredState,
    /// The limit of open files that the daemon was started with. Programs get this limit. The daemon raises its own
    /// limit before it receives descriptors: with a thousand programs there are more than the initial limit allows, and
    /// then it could not open anything.
    pub(super) files: Option<Limit>,
}

/// What a previous daemon left with its fd holder.
pub(super) enum RecoveredState {
    /// The state and the descriptors are complete.
    Whole(Box<Recovery>),
    /// There are descriptors, but no usable state.
    Partial(PartialRecovery),
}

/// What remains without a usable state.
#[derive(Default)]
pub(super) struct PartialRecovery {
    /// Why the state cannot be used. `None`: there is no state.
    pub(super) why: Option<String>,
    /// The descriptors by name.
    pub(super) descriptors: NamedFds,
    /// Sockets of FastCGI programs, without the instances that hold them. Their descriptors are in `descriptors`.
    pub(super) sockets: Vec<SharedSocket>,
    /// Bytes that were being written to logs.
    pub(super) unflushed: Vec<UnflushedChunk>,
}

/// The state of a previous daemon.
pub(super) struct Recovery {
    pub(super) handoff: Handoff,
    /// Bytes that were being written to logs.
    pub(super) unflushed: Vec<UnflushedChunk>,
    /// How the daemon ended, as the log words it.
    pub(super) how: &'static str,
}

impl Recovery {
    /// Returns the cgroups of processes to be adopted.
    pub(super) fn cgroups(&self) -> BTreeSet<String> {
        let snapshot = &self.handoff.engine.snapshot;
        let instances = snapshot.instances().into_iter();
        instances
            .filter_map(|(instance, _)| snapshot.spec_of(instance))
            .map(|spec| cgroup::name(&spec.group, &spec.name))
            .collect()
    }

    /// Returns the configuration to continue with if the file has errors. Programs run, so the daemon must run too.
    pub(super) fn goes_on_with(&self, errors: &ConfigErrors) -> Config {
        let mut config = Config::clone(&self.handoff.config);
        config.notes = errors
            .all
            .iter()
            .map(|problem| Line::ConfigError {
                error: problem.to_string(),
            })
            .collect();
        config
    }
}

/// Finds the state of a previous daemon, if there is one. It uses the descriptor that the service manager stored. If
/// there is none (as after a service has failed), it uses the fd holder in the scope of the programs.
pub(super) fn find_source(kept: Option<OwnedFd>) -> Option<RecoverySource> {
    // An fd holder that was stopped with SIGSTOP would not answer.
    cgroup::continue_holder();
    let holder = kept
        .and_then(|fd| FdHolder::from_fd(fd).ok())
        .map(|(holder, _)| holder)
        .or_else(cgroup::find_holder)?;
    // The list contains all stored descriptors, so raise the limit first.
    let files = sys::raise_own_files().ok();
    let mut predecessor = recover_from(holder, &|snapshot, instance| {
        let spec = snapshot.spec_of(instance)?;
        cgroup::find_orphan(&cgroup::name(&spec.group, &spec.name))
    });
    predecessor.files = files;
    Some(predecessor)
}

/// Finds the process of an instance whose spawn was not recorded. Returns its PID and pidfd, or `None` if there is no
/// process.
pub(super) type FindSpawned<'a> = &'a dyn Fn(&Snapshot, InstanceId) -> Option<(i32, OwnedFd)>;

/// Takes the contents of the fd holder.
pub(super) fn recover_from(holder: FdHolder, find_spawned: FindSpawned<'_>) -> RecoverySource {
    let listed = holder.list(LIST_WITHIN);
    let fd_store = Arc::new(FdStore::new(holder));
    for (name, descriptors) in listed.iter().flatten() {
        fd_store.note_stored(name, descriptors);
    }
    let left = match listed {
        Ok(items) => read_stored(items, &fd_store, find_spawned),
        Err(error) => RecoveredState::Partial(PartialRecovery {
            why: Some(error.to_string()),
            ..PartialRecovery::default()
        }),
    };
    RecoverySource {
        fd_store,
        left,
        files: None,
    }
}

/// Interprets the descriptors that the fd holder listed.
fn read_stored(
    items: Vec<(String, Vec<OwnedFd>)>,
    fd_store: &FdStore,
    find_spawned: FindSpawned<'_>,
) -> RecoveredState {
    let mut kept = split_names(items);
    let mut take = |fd_name: FdName| {
        let descriptors = kept.remove(&fd_name.name()).unwrap_or_default();
        descriptors.into_iter()
    };
    let handoff = take(FdName::Handoff).next();
    let mut state = take(FdName::State);
    let (state, records) = (state.next(), state.next());
    let servers: Vec<String> = kept
        .keys()
        .filter(|name| FdName::is_server(name))
        .cloned()
        .collect();
    for name in &servers {
        // The new daemon has these sockets open from now on if it wants them. Sockets of a killed daemon would be in
        // the way.
        let _ = fd_store.remove_named(name);
    }
    if !servers.is_empty() {
        let _ = fd_store.barrier();
    }
    let sockets = shared_sockets(&kept);
    let is_nobodys = |name: &String| {
        let place = FdName::socket_place_in(name);
        place.is_some_and(|place| sockets.iter().all(|shared| shared.place != place))
    };
    let nobodys: Vec<String> = kept
        .keys()
        .filter(|name| is_nobodys(name))
        .cloned()
        .collect();
    for name in nobodys {
        kept.remove(&name);
        // Remove them now, before their index is used again. If that fails, the next store reports it.
        let _ = fd_store.remove_named(&name);
    }
    // Keep in-flight logs until their bytes are written. There is one for each thread that wrote output. Versions
    // before 5.1 had one thread.
    let unflushed =
        (0..IN_FLIGHT_LOGS).filter_map(|place| kept.get(&FdName::InFlightLog(place).name()));
    let unflushed = unflushed.flatten().filter_map(unflushed_chunk).collect();
    let mut descriptors: NamedFds = kept
        .into_iter()
        .filter_map(|(name, descriptors)| Some((name, descriptors.into_iter().next()?)))
        .collect();
    if handoff.is_none() {
        descriptors.retain(|name, _| !FdName::is_server(name));
    }
    let understood = match (handoff, state) {
        (Some(handoff), _) => written_handoff::read(&handoff).map(|with| {
            let handoff = with(std::mem::take(&mut descriptors));
            Some((handoff, "of a daemon that detached"))
        }),
        (None, Some(state)) => written_handoff::read_state(&state).map(|(config, mut snapshot)| {
            if let Some(records) = records {
                snapshot.apply_records(engine::read_records(&MemoryFile::from_fd(records)));
            }
            let descriptors = std::mem::take(&mut descriptors);
            let handoff =
                handoff_of_crashed(config, snapshot, descriptors, sockets.clone(), find_spawned);
            Some((handoff, "of a daemon that was killed"))
        }),
        (None, None) => Ok(None),
    };
    match understood {
        Ok(Some((handoff, how))) => RecoveredState::Whole(Box::new(Recovery {
            handoff,
            unflushed,
            how,
        })),
        nothing => {
            descriptors.retain(|name, _| !FdName::is_server(name));
            RecoveredState::Partial(PartialRecovery {
                why: nothing.err(),
                descriptors,
                sockets,
                unflushed,
            })
        }
    }
}

/// Splits descriptors of an instance that are stored under one name into separate names.
fn split_names(items: Vec<(String, Vec<OwnedFd>)>) -> BTreeMap<String, Vec<OwnedFd>> {
    let mut kept = BTreeMap::new();
    for (name, descriptors) in items {
        let names = FdName::names_in(&name);
        if names == [name.as_str()] {
            kept.insert(name, descriptors);
        } else {
            // The pidfd may not have been stored yet.
            let each = names.into_iter().zip(descriptors);
            kept.extend(each.map(|(name, fd)| (name, vec![fd])));
        }
    }
    kept
}

/// Returns bytes that were read and may be missing in the log. `None`: there are none, or the in-flight log is damaged.
fn unflushed_chunk(in_flight_log: &OwnedFd) -> Option<UnflushedChunk> {
    let in_flight_log = in_flight_log.try_clone().ok()?;
    let mut in_flight_log = SharedBuffer::open(in_flight_log).ok()?;
    UnflushedChunk::find(&mut in_flight_log).ok().flatten()
}

/// Creates an in-flight log for the output thread and stores it for a successor. Its index differs from that of a
/// recovered one, whose bytes may not be written yet. Returns the index too.
pub(super) fn new_in_flight_log(
    fd_store: &FdStore,
    left: Option<&NamedFds>,
) -> std::io::Result<(usize, SharedBuffer)> {
    let is_free = |&place: &usize| {
        let name = FdName::InFlightLog(place).name();
        left.is_none_or(|left| !left.contains_key(&name))
    };
    let place = (0..IN_FLIGHT_LOGS).find(is_free).unwrap_or(0);
    let in_flight_log = SharedBuffer::new("supervisord-ledger", IN_FLIGHT_LOG_BYTES)?;
    fd_store.store(FdName::InFlightLog(place), &[in_flight_log.file().as_fd()]);
    Ok((place, in_flight_log))
}

/// Returns the sockets of FastCGI programs, which are stored with a description of their program. Which instances hold
/// them is not known yet.
fn shared_sockets(kept: &BTreeMap<String, Vec<OwnedFd>>) -> Vec<SharedSocket> {
    let places = kept.iter().filter_map(|(name, descriptors)| {
        let place = FdName::socket_place_in(name)?;
        let bytes = sys::read_sealed(descriptors.get(1)?, written_handoff::STATE_BYTES_MAX).ok()?;
        let shared: SharedSocket = serde_json::from_slice(&bytes).ok()?;
        (shared.place == place).then_some(shared)
    });
    places.collect()
}

/// Reconstructs a handoff from a snapshot with applied records and the stored descriptors.
fn handoff_of_crashed(
    config: Arc<Config>,
    snapshot: Snapshot,
    mut descriptors: NamedFds,
    mut sockets: Vec<SharedSocket>,
    find_spawned: FindSpawned<'_>,
) -> Handoff {
    let (mut pids, mut spawned, mut gone) = (Vec::new(), Vec::new(), Vec::new());
    for (instance, pid) in snapshot.instances() {
        let name = FdName::Pidfd(instance).name();
        match (pid, descriptors.get(&name)) {
            (0, Some(pidfd)) => {
                // The process was spawned. If it has exited meanwhile, it has no PID.
                pids.push((instance, sys::pid_of(pidfd).unwrap_or(0)));
                spawned.push(instance);
            }
            (pid, Some(_)) => pids.push((instance, pid)),
            (known, None) => match find_spawned(&snapshot, instance) {
                Some((pid, pidfd)) => {
                    pids.push((instance, pid));
                    descriptors.insert(name, pidfd);
                    if known == 0 {
                        spawned.push(instance);
                    }
                }
                // The process exited and was reaped, or was never spawned.
                None => gone.push(instance),
            },
        }
    }
    for shared in &mut sockets {
        // Attempts that start again request the socket again, and instances that are gone release it.
        let instances = snapshot
            .instances()
            .into_iter()
            .map(|(instance, _)| instance);
        let is_its = |instance: &InstanceId| {
            snapshot
                .spec_of(*instance)
                .is_some_and(|spec| shared.is_of(spec))
        };
        shared.instances = instances.filter(is_its).collect();
    }
    Handoff {
        config,
        limits: Vec::new(),
        cwd: String::new(),
        engine: EngineState::recovered(snapshot, pids, &spawned, &gone, sockets),
        descriptors,
        passed: Vec::new(),
        own: Vec::<PassedSocket>::new(),
        failed: None,
    }
}

/// Stores the handoff for the next daemon.
pub(super) fn store_handoff(fd_store: &FdStore, handoff: &Handoff) -> Result<(), String> {
    let state = written_handoff::write(handoff).map_err(|error| error.to_string())?;
    for (place, server) in handoff.own.iter().enumerate() {
        fd_store.store(FdName::Server(place), &[server.fd.as_fd()]);
    }
    fd_store.store(FdName::Handoff, &[state.as_fd()]);
    match fd_store.barrier() {
        None => Ok(()),
        Some(line) => Err(line.to_string()),
    }
}
