//! Recovery of the state that a previous daemon left with the fd holder, because the service manager restarted it or
//! because it was killed. After a kill, the checkpoint is updated with the records of the processes.

use std::collections::BTreeMap;
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use super::checkpoint::{Checkpoint, read_records};
use super::state::{EngineState, Handoff, PendingReport};
use super::written::{STATE_BYTES_MAX, WrittenHandoff};
use crate::cgroup;
use crate::core::Snapshot;
use crate::domain::{FdName, InstanceId};
use crate::fd_holder::{FdHolder, FdStore};
use crate::output::{IN_FLIGHT_LOG_BYTES, OutputState, UnflushedChunk};
use crate::spawn::SharedSocket;
use crate::sys::{self, Limit, MemoryFile, NamedFds, SharedBuffer};

/// How long the fd holder may take to list its descriptors. Thousands of them take some hundredths of a second.
const LIST_WITHIN: Duration = Duration::from_secs(10);
/// Maximum number of in-flight logs: the current one and the previous one.
const IN_FLIGHT_LOGS: usize = 2;

/// The fd holder of a previous daemon and what was recovered from it.
pub struct RecoverySource {
    /// The client of the fd holder.
    pub fd_store: Arc<FdStore>,
    /// What the fd holder had.
    pub recovered: RecoveredState,
    /// The limit of open files that the daemon was started with. Programs get this limit. The daemon raises its own
    /// limit before it receives descriptors: with a thousand programs there are more than the initial limit allows, and
    /// then it could not open anything.
    pub files: Option<Limit>,
}

/// What a previous daemon left with its fd holder.
pub enum RecoveredState {
    /// The state and the descriptors are complete.
    Whole(Box<Handoff>, PreviousEnd),
    /// There are descriptors, but no usable state.
    Partial(PartialRecovery),
}

/// How the previous daemon ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PreviousEnd {
    /// It detached, and wrote a handoff.
    Detached,
    /// It was killed. The checkpoint and the records have its state.
    Killed,
}

impl PreviousEnd {
    /// Returns the words of the log.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Detached => "of a daemon that detached",
            Self::Killed => "of a daemon that was killed",
        }
    }
}

/// What remains without a usable state.
#[derive(Default)]
pub struct PartialRecovery {
    /// Why the state cannot be used. `None`: there is no state.
    pub why: Option<String>,
    /// The descriptors by name.
    pub fds: NamedFds,
    /// Sockets of FastCGI programs, without the instances that hold them. Their descriptors are in `fds`.
    pub sockets: Vec<SharedSocket>,
    /// Bytes that were being written to logs.
    pub unflushed: Vec<UnflushedChunk>,
}

impl RecoverySource {
    /// Returns the whole handoff. `None`: there is none.
    #[must_use]
    pub fn handoff(&self) -> Option<&Handoff> {
        match &self.recovered {
            RecoveredState::Whole(handoff, _) => Some(handoff),
            RecoveredState::Partial(_) => None,
        }
    }
}

/// Finds the state of a previous daemon, if there is one. It uses the descriptor that the service manager stored. If
/// there is none (as after a service has failed), it uses the fd holder in the scope of the programs.
#[must_use]
pub fn find_source(stored: Option<OwnedFd>) -> Option<RecoverySource> {
    // An fd holder that was stopped with SIGSTOP would not answer.
    cgroup::continue_holder();
    let holder = stored
        .and_then(|fd| FdHolder::from_fd(fd).ok())
        .map(|(holder, _)| holder)
        .or_else(cgroup::find_holder)?;
    // The list contains all stored descriptors, so raise the limit first.
    let files = sys::raise_own_files().ok();
    let mut source = recover_from(holder, &|snapshot, instance| {
        let spec = snapshot.spec_of(instance)?;
        cgroup::find_orphan(&cgroup::name(&spec.group, &spec.name))
    });
    source.files = files;
    Some(source)
}

/// Finds the process of an instance whose spawn was not recorded. Returns its PID and pidfd, or `None` if there is no
/// process.
type FindSpawned<'a> = &'a dyn Fn(&Snapshot, InstanceId) -> Option<(i32, OwnedFd)>;

/// Takes the contents of the fd holder.
fn recover_from(holder: FdHolder, find_spawned: FindSpawned<'_>) -> RecoverySource {
    let listed = holder.list(LIST_WITHIN);
    let fd_store = Arc::new(FdStore::new(holder));
    for (name, descriptors) in listed.iter().flatten() {
        fd_store.note_stored(name, descriptors);
    }
    let recovered = match listed {
        Ok(items) => read_stored(items, &fd_store, find_spawned),
        Err(error) => RecoveredState::Partial(PartialRecovery {
            why: Some(error.to_string()),
            ..PartialRecovery::default()
        }),
    };
    RecoverySource {
        fd_store,
        recovered,
        files: None,
    }
}

/// Interprets the descriptors that the fd holder listed, and removes those that nobody needs any more.
fn read_stored(
    items: Vec<(String, Vec<OwnedFd>)>,
    fd_store: &FdStore,
    find_spawned: FindSpawned<'_>,
) -> RecoveredState {
    let mut stored = split_names(items);
    let servers: Vec<&String> = stored.keys().filter(|name| is_server(name)).collect();
    for name in &servers {
        // The new daemon has these sockets open from now on if it wants them. Sockets of a killed daemon would be in
        // the way.
        let _ = fd_store.remove_named(name);
    }
    if !servers.is_empty() {
        let _ = fd_store.barrier();
    }
    let sockets = shared_sockets(&stored);
    let is_nobodys = |name: &String| {
        let place = FdName::socket_place_in(name);
        place.is_some_and(|place| sockets.iter().all(|shared| shared.place != place))
    };
    let nobodys: Vec<String> = stored
        .keys()
        .filter(|name| is_nobodys(name))
        .cloned()
        .collect();
    for name in nobodys {
        stored.remove(&name);
        // Remove them now, before their index is used again. If that fails, the next store reports it.
        let _ = fd_store.remove_named(&name);
    }
    restore_state(stored, sockets, find_spawned)
}

/// Restores the tree from descriptors by name: from the handoff of a daemon that detached, or else from the checkpoint
/// and the records.
pub(super) fn restore_state(
    mut stored: BTreeMap<String, Vec<OwnedFd>>,
    sockets: Vec<SharedSocket>,
    find_spawned: FindSpawned<'_>,
) -> RecoveredState {
    let mut take = |fd_name: FdName| {
        let descriptors = stored.remove(&fd_name.name()).unwrap_or_default();
        descriptors.into_iter()
    };
    let handoff = take(FdName::Handoff).next();
    let mut state = take(FdName::State);
    let (state, records) = (state.next(), state.next());
    let unflushed = unflushed_chunks(&stored);
    let mut fds: NamedFds = stored
        .into_iter()
        .filter_map(|(name, descriptors)| Some((name, descriptors.into_iter().next()?)))
        .collect();
    if handoff.is_none() {
        fds.retain(|name, _| !is_server(name));
    }
    let restored = match (handoff, state) {
        (Some(handoff), _) => WrittenHandoff::from_memory(&handoff).map(|written| {
            let handoff = written.into_handoff(std::mem::take(&mut fds));
            Some((handoff, PreviousEnd::Detached))
        }),
        (None, Some(state)) => Checkpoint::read(&state).map(|mut checkpoint| {
            if let Some(records) = records {
                let records = read_records(&MemoryFile::from_fd(records));
                checkpoint.snapshot.apply_records(records);
            }
            let fds = std::mem::take(&mut fds);
            let handoff = handoff_of_killed(checkpoint, fds, sockets.clone(), find_spawned);
            Some((handoff, PreviousEnd::Killed))
        }),
        (None, None) => Ok(None),
    };
    match restored {
        Ok(Some((mut handoff, end))) => {
            // A daemon that detached has handed over some of these bytes itself.
            let known = &handoff.output.unflushed;
            let new: Vec<_> = unflushed
                .into_iter()
                .filter(|chunk| !known.contains(chunk))
                .collect();
            handoff.output.unflushed.extend(new);
            RecoveredState::Whole(Box::new(handoff), end)
        }
        nothing => {
            fds.retain(|name, _| !is_server(name));
            RecoveredState::Partial(PartialRecovery {
                why: nothing.err(),
                fds,
                sockets,
                unflushed,
            })
        }
    }
}

fn is_server(name: &str) -> bool {
    FdName::server_place_in(name).is_some()
}

/// Splits descriptors of an instance that are stored under one name into separate names.
fn split_names(items: Vec<(String, Vec<OwnedFd>)>) -> BTreeMap<String, Vec<OwnedFd>> {
    let mut stored = BTreeMap::new();
    for (name, descriptors) in items {
        let names = FdName::names_in(&name);
        if names == [name.as_str()] {
            stored.insert(name, descriptors);
        } else {
            // The pidfd may not have been stored yet.
            let each = names.into_iter().zip(descriptors);
            stored.extend(each.map(|(name, fd)| (name, vec![fd])));
        }
    }
    stored
}

/// Returns bytes that were being written to logs. The in-flight logs stay stored until these bytes are written. There
/// is one for each thread that wrote output. Versions before 5.1 had one thread.
fn unflushed_chunks(stored: &BTreeMap<String, Vec<OwnedFd>>) -> Vec<UnflushedChunk> {
    let logs =
        (0..IN_FLIGHT_LOGS).filter_map(|place| stored.get(&FdName::InFlightLog(place).name()));
    logs.flatten().filter_map(unflushed_chunk).collect()
}

/// Returns bytes that were read and may be missing in the log. `None`: there are none, or the in-flight log is damaged.
fn unflushed_chunk(in_flight_log: &OwnedFd) -> Option<UnflushedChunk> {
    let in_flight_log = in_flight_log.try_clone().ok()?;
    let mut in_flight_log = SharedBuffer::open(in_flight_log).ok()?;
    UnflushedChunk::find(&mut in_flight_log).ok().flatten()
}

/// Creates an in-flight log for the output thread and stores it for a successor. Its index differs from that of a
/// recovered one, whose bytes may not be written yet. Returns the index too.
///
/// # Errors
/// EMFILE, ENOMEM.
pub fn new_in_flight_log(
    fd_store: &FdStore,
    recovered: Option<&NamedFds>,
) -> std::io::Result<(usize, SharedBuffer)> {
    let is_free = |&place: &usize| {
        let name = FdName::InFlightLog(place).name();
        recovered.is_none_or(|fds| !fds.contains_key(&name))
    };
    let place = (0..IN_FLIGHT_LOGS).find(is_free).unwrap_or(0);
    let in_flight_log = SharedBuffer::new("supervisord-ledger", IN_FLIGHT_LOG_BYTES)?;
    fd_store.store(FdName::InFlightLog(place), &[in_flight_log.file().as_fd()]);
    Ok((place, in_flight_log))
}

/// Returns the sockets of FastCGI programs, which are stored with a description of their program. Which instances hold
/// them is not known yet.
fn shared_sockets(stored: &BTreeMap<String, Vec<OwnedFd>>) -> Vec<SharedSocket> {
    let places = stored.iter().filter_map(|(name, descriptors)| {
        let place = FdName::socket_place_in(name)?;
        let bytes = sys::read_sealed(descriptors.get(1)?, STATE_BYTES_MAX).ok()?;
        let shared: SharedSocket = serde_json::from_slice(&bytes).ok()?;
        (shared.place == place).then_some(shared)
    });
    places.collect()
}

/// Reconstructs a handoff from a checkpoint with applied records and the stored descriptors.
fn handoff_of_killed(
    checkpoint: Checkpoint,
    mut fds: NamedFds,
    mut sockets: Vec<SharedSocket>,
    find_spawned: FindSpawned<'_>,
) -> Handoff {
    let Checkpoint { config, snapshot } = checkpoint;
    let (mut pids, mut spawned, mut gone) = (Vec::new(), Vec::new(), Vec::new());
    for (instance, pid) in snapshot.instances() {
        let name = FdName::Pidfd(instance).name();
        match (pid, fds.get(&name)) {
            (0, Some(pidfd)) => {
                // The process was spawned. If it has exited meanwhile, it has no PID.
                let pid = sys::pid_of(pidfd).unwrap_or(0);
                pids.push((instance, pid));
                spawned.push(PendingReport::Spawned(instance, pid));
            }
            (pid, Some(_)) => pids.push((instance, pid)),
            (known, None) => match find_spawned(&snapshot, instance) {
                Some((pid, pidfd)) => {
                    pids.push((instance, pid));
                    fds.insert(name, pidfd);
                    if known == 0 {
                        spawned.push(PendingReport::Spawned(instance, pid));
                    }
                }
                // The process exited and was reaped, or was never spawned.
                None => gone.push(PendingReport::Gone(instance)),
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
        engine: EngineState {
            snapshot,
            pids,
            early: spawned,
            pending_reports: gone,
            // The service manager has forgotten the status of the killed daemon.
            is_ready: false,
            sockets,
        },
        output: OutputState::default(),
        fds,
        passed: Vec::new(),
        own: Vec::new(),
    }
}
