//! What a daemon that is no more has left with the fd holder: by intent, when the service manager restarts it, or because it
//! was killed. Then the whole as it was last written down is brought up to date by the records of each process.

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

/// How long the fd holder may take to list what it keeps: thousands of descriptors take some hundredths of a second.
const LIST_WITHIN: Duration = Duration::from_secs(10);
/// An in-flight log, and the one before.
const IN_FLIGHT_LOGS: usize = 2;

/// The fd holder of a daemon that is no more, and what was in there.
pub(super) struct RecoverySource {
    pub(super) fd_store: Arc<FdStore>,
    pub(super) left: RecoveredState,
    /// The limit of open files that we were started with, which programs are to have. Ours is raised from the moment that
    /// descriptors are taken over: with a thousand programs there are more of them than it allows, and nothing could be
    /// opened any more.
    pub(super) files: Option<Limit>,
}

/// What a daemon that is no more has left with its fd holder.
pub(super) enum RecoveredState {
    /// All of it can be understood.
    Whole(Box<Recovery>),
    /// Descriptors, but no state that says what they are for.
    Partial(PartialRecovery),
}

/// What is left of a state that cannot be understood.
#[derive(Default)]
pub(super) struct PartialRecovery {
    /// Why; none: there is no state at all.
    pub(super) why: Option<String>,
    /// By name.
    pub(super) descriptors: NamedFds,
    /// Sockets of FastCGI programs, without who has them. They are among the descriptors.
    pub(super) sockets: Vec<SharedSocket>,
    /// Bytes of logs that were under way.
    pub(super) unflushed: Vec<UnflushedChunk>,
}

/// A daemon's state.
pub(super) struct Recovery {
    pub(super) handoff: Handoff,
    /// Bytes of logs that were under way.
    pub(super) unflushed: Vec<UnflushedChunk>,
    /// How it was left, as it reads in the log.
    pub(super) how: &'static str,
}

impl Recovery {
    /// The cgroups of processes that are taken over.
    pub(super) fn cgroups(&self) -> BTreeSet<String> {
        let snapshot = &self.handoff.engine.snapshot;
        let instances = snapshot.instances().into_iter();
        instances
            .filter_map(|(instance, _)| snapshot.spec_of(instance))
            .map(|spec| cgroup::name(&spec.group, &spec.name))
            .collect()
    }

    /// The configuration to go on with where the file has errors: programs run, so the daemon does too.
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

/// Finds what a daemon that was here before has left, if there was one: through what the service manager has kept for us,
/// or, where it keeps nothing any more (a service that was given up on), through the fd holder that is where programs are.
pub(super) fn find_source(kept: Option<OwnedFd>) -> Option<RecoverySource> {
    // One that somebody has stopped would not answer.
    cgroup::continue_holder();
    let holder = kept
        .and_then(|fd| FdHolder::from_fd(fd).ok())
        .map(|(holder, _)| holder)
        .or_else(cgroup::find_holder)?;
    // A list has as many descriptors as there are.
    let files = sys::raise_own_files().ok();
    let mut predecessor = recover_from(holder, &|snapshot, instance| {
        let spec = snapshot.spec_of(instance)?;
        cgroup::find_orphan(&cgroup::name(&spec.group, &spec.name))
    });
    predecessor.files = files;
    Some(predecessor)
}

/// Finds the process of an instance that was made though nobody wrote that down, if there is one: its pid and pidfd.
pub(super) type FindSpawned<'a> = &'a dyn Fn(&Snapshot, InstanceId) -> Option<(i32, OwnedFd)>;

/// Takes out of the fd holder what is in there.
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
        // Ours are open here from now on, if they are wanted; those of a daemon that was killed would be in our way.
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
        // Now, before its place is another's. Who cannot forget it will be found out by who keeps something.
        let _ = fd_store.remove_named(&name);
    }
    // They stay until what is in them is written.
    // One in-flight log of each thread that wrote output. Versions before 5.1 had one thread.
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

/// Descriptors by the names of each, where those of an instance are stored under one name.
fn split_names(items: Vec<(String, Vec<OwnedFd>)>) -> BTreeMap<String, Vec<OwnedFd>> {
    let mut kept = BTreeMap::new();
    for (name, descriptors) in items {
        let names = FdName::names_in(&name);
        if names == [name.as_str()] {
            kept.insert(name, descriptors);
        } else {
            // Its pidfd may not have come yet.
            let each = names.into_iter().zip(descriptors);
            kept.extend(each.map(|(name, fd)| (name, vec![fd])));
        }
    }
    kept
}

/// What was read and may not be in its log; an in-flight log that cannot be understood has nothing that could be saved.
fn unflushed_chunk(in_flight_log: &OwnedFd) -> Option<UnflushedChunk> {
    let in_flight_log = in_flight_log.try_clone().ok()?;
    let mut in_flight_log = SharedBuffer::open(in_flight_log).ok()?;
    UnflushedChunk::find(&mut in_flight_log).ok().flatten()
}

/// Memory for the output thread to read into, which a successor finds too. Another than the one that was kept before: what
/// is in there may not be written yet. Returns its place, too.
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

/// Sockets of FastCGI programs: each has a description of whose it is beside it. Who has them is not known yet.
fn shared_sockets(kept: &BTreeMap<String, Vec<OwnedFd>>) -> Vec<SharedSocket> {
    let places = kept.iter().filter_map(|(name, descriptors)| {
        let place = FdName::socket_place_in(name)?;
        let bytes = sys::read_sealed(descriptors.get(1)?, written_handoff::STATE_BYTES_MAX).ok()?;
        let shared: SharedSocket = serde_json::from_slice(&bytes).ok()?;
        (shared.place == place).then_some(shared)
    });
    places.collect()
}

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
                // The kernel was asked for it, and it came. It may be gone again, and then it has no number.
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
                // It had ended and was reaped, or there was none yet.
                None => gone.push(instance),
            },
        }
    }
    for shared in &mut sockets {
        // An attempt that begins anew asks for it again, and what is gone gives it back.
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

/// Puts everything down for the next daemon.
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
