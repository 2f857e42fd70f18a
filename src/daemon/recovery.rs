//! What a daemon that is no more has left with the keeper: by intent, when the service manager restarts it, or because it
//! was killed. Then the whole as it was last written down is brought up to date by the records of each process.

use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use super::succession::{self, Handover};
use crate::cgroup;
use crate::config::ConfigErrors;
use crate::config::spec::Config;
use crate::core::Snapshot;
use crate::domain::{Heirloom, Life, Line};
use crate::engine::{self, Legacy, PassedSocket};
use crate::keeper::{Keeper, Vault};
use crate::output::{LEDGER_BYTES, Unsettled};
use crate::spawn::SharedSocket;
use crate::sys::{self, Descriptors, Limit, MemoryFile, SharedBuffer};

/// How long the keeper may take to list what it keeps: thousands of descriptors take some hundredths of a second.
const LIST_WITHIN: Duration = Duration::from_secs(10);
/// A ledger, and the one before.
const LEDGERS: usize = 2;

/// The keeper of a daemon that is no more, and what was in there.
pub(super) struct Predecessor {
    pub(super) vault: Arc<Vault>,
    pub(super) left: Left,
    /// The limit of open files that we were started with, which programs are to have. Ours is raised from the moment that
    /// descriptors are taken over: with a thousand programs there are more of them than it allows, and nothing could be
    /// opened any more.
    pub(super) files: Option<Limit>,
}

/// What a daemon that is no more has left with its keeper.
pub(super) enum Left {
    /// All of it can be understood.
    Legacy(Box<Recovery>),
    /// Descriptors, but no state that says what they are for.
    Remnants(Remnants),
}

/// What is left of a legacy that cannot be understood.
#[derive(Default)]
pub(super) struct Remnants {
    /// Why; none: there is no state at all.
    pub(super) why: Option<String>,
    /// By name.
    pub(super) descriptors: Descriptors,
    /// Sockets of FastCGI programs, without who has them. They are among the descriptors.
    pub(super) sockets: Vec<SharedSocket>,
    /// Bytes of logs that were under way.
    pub(super) unsettled: Vec<Unsettled>,
}

/// A daemon's legacy.
pub(super) struct Recovery {
    pub(super) handover: Handover,
    /// Bytes of logs that were under way.
    pub(super) unsettled: Vec<Unsettled>,
    /// How it was left, as it reads in the log.
    pub(super) how: &'static str,
}

impl Recovery {
    /// The cgroups of processes that are taken over.
    pub(super) fn cgroups(&self) -> BTreeSet<String> {
        let snapshot = &self.handover.legacy.snapshot;
        let lives = snapshot.lives().into_iter();
        lives
            .filter_map(|(life, _)| snapshot.whose(life))
            .map(|spec| cgroup::name(&spec.group, &spec.name))
            .collect()
    }

    /// The configuration to go on with where the file has errors: programs run, so the daemon does too.
    pub(super) fn goes_on_with(&self, errors: &ConfigErrors) -> Config {
        let mut config = Config::clone(&self.handover.config);
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
/// or, where it keeps nothing any more (a service that was given up on), through the keeper that is where programs are.
pub(super) fn find(kept: Option<OwnedFd>) -> Option<Predecessor> {
    // One that somebody has stopped would not answer.
    cgroup::resume_holder();
    let keeper = kept
        .and_then(|fd| Keeper::from_fd(fd).ok())
        .map(|(keeper, _)| keeper)
        .or_else(cgroup::keeper_left_behind)?;
    // A list has as many descriptors as there are.
    let files = sys::raise_own_files().ok();
    let mut predecessor = recover(keeper, &|snapshot, life| {
        let spec = snapshot.whose(life)?;
        cgroup::process_left_behind(&cgroup::name(&spec.group, &spec.name))
    });
    predecessor.files = files;
    Some(predecessor)
}

/// Finds the process of a life that was made though nobody wrote that down, if there is one: its pid and pidfd.
pub(super) type FindSpawned<'a> = &'a dyn Fn(&Snapshot, Life) -> Option<(i32, OwnedFd)>;

/// Takes out of the keeper what is in there.
pub(super) fn recover(keeper: Keeper, find_spawned: FindSpawned<'_>) -> Predecessor {
    let listed = keeper.list(LIST_WITHIN);
    let vault = Arc::new(Vault::new(keeper));
    for (name, descriptors) in listed.iter().flatten() {
        vault.remember(name, descriptors);
    }
    let left = match listed {
        Ok(items) => look(items, &vault, find_spawned),
        Err(error) => Left::Remnants(Remnants {
            why: Some(error.to_string()),
            ..Remnants::default()
        }),
    };
    Predecessor {
        vault,
        left,
        files: None,
    }
}

fn look(items: Vec<(String, Vec<OwnedFd>)>, vault: &Vault, find_spawned: FindSpawned<'_>) -> Left {
    let mut kept = apart(items);
    let mut take = |heirloom: Heirloom| {
        let descriptors = kept.remove(&heirloom.name()).unwrap_or_default();
        descriptors.into_iter()
    };
    let handover = take(Heirloom::Handover).next();
    let mut state = take(Heirloom::State);
    let (state, records) = (state.next(), state.next());
    let servers: Vec<String> = kept
        .keys()
        .filter(|name| Heirloom::is_server(name))
        .cloned()
        .collect();
    for name in &servers {
        // Ours are open here from now on, if they are wanted; those of a daemon that was killed would be in our way.
        let _ = vault.forget_named(name);
    }
    if !servers.is_empty() {
        let _ = vault.settle();
    }
    let sockets = shared_sockets(&kept);
    let is_nobodys = |name: &String| {
        let place = Heirloom::socket_place_in(name);
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
        let _ = vault.forget_named(&name);
    }
    // They stay until what is in them is written.
    // One ledger of each thread that wrote output. Versions before 5.1 had one thread.
    let unsettled = (0..LEDGERS).filter_map(|place| kept.get(&Heirloom::Ledger(place).name()));
    let unsettled = unsettled.flatten().filter_map(under_way).collect();
    let mut descriptors: Descriptors = kept
        .into_iter()
        .filter_map(|(name, descriptors)| Some((name, descriptors.into_iter().next()?)))
        .collect();
    if handover.is_none() {
        descriptors.retain(|name, _| !Heirloom::is_server(name));
    }
    let understood = match (handover, state) {
        (Some(handover), _) => succession::read(&handover).map(|with| {
            let handover = with(std::mem::take(&mut descriptors));
            Some((handover, "of a daemon that detached"))
        }),
        (None, Some(state)) => succession::read_state(&state).map(|(config, mut snapshot)| {
            if let Some(records) = records {
                snapshot.overlay(engine::read_records(&MemoryFile::from_fd(records)));
            }
            let descriptors = std::mem::take(&mut descriptors);
            let handover = crashed(config, snapshot, descriptors, sockets.clone(), find_spawned);
            Some((handover, "of a daemon that was killed"))
        }),
        (None, None) => Ok(None),
    };
    match understood {
        Ok(Some((handover, how))) => Left::Legacy(Box::new(Recovery {
            handover,
            unsettled,
            how,
        })),
        nothing => {
            descriptors.retain(|name, _| !Heirloom::is_server(name));
            Left::Remnants(Remnants {
                why: nothing.err(),
                descriptors,
                sockets,
                unsettled,
            })
        }
    }
}

/// Descriptors by the names of each, where those of a life are stored under one name.
fn apart(items: Vec<(String, Vec<OwnedFd>)>) -> BTreeMap<String, Vec<OwnedFd>> {
    let mut kept = BTreeMap::new();
    for (name, descriptors) in items {
        let names = Heirloom::names_in(&name);
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

/// What was read and may not be in its log; a ledger that cannot be understood has nothing that could be saved.
fn under_way(ledger: &OwnedFd) -> Option<Unsettled> {
    let ledger = ledger.try_clone().ok()?;
    let mut ledger = SharedBuffer::open(ledger).ok()?;
    Unsettled::find(&mut ledger).ok().flatten()
}

/// Memory for the output thread to read into, which a successor finds too. Another than the one that was kept before: what
/// is in there may not be written yet. Returns its place, too.
pub(super) fn new_ledger(
    vault: &Vault,
    left: Option<&Descriptors>,
) -> std::io::Result<(usize, SharedBuffer)> {
    let is_free = |&place: &usize| {
        let name = Heirloom::Ledger(place).name();
        left.is_none_or(|left| !left.contains_key(&name))
    };
    let place = (0..LEDGERS).find(is_free).unwrap_or(0);
    let ledger = SharedBuffer::new("supervisord-ledger", LEDGER_BYTES)?;
    vault.keep(Heirloom::Ledger(place), &[ledger.file().as_fd()]);
    Ok((place, ledger))
}

/// Sockets of FastCGI programs: each has a description of whose it is beside it. Who has them is not known yet.
fn shared_sockets(kept: &BTreeMap<String, Vec<OwnedFd>>) -> Vec<SharedSocket> {
    let places = kept.iter().filter_map(|(name, descriptors)| {
        let place = Heirloom::socket_place_in(name)?;
        let bytes = sys::read_sealed(descriptors.get(1)?, succession::STATE_BYTES_MAX).ok()?;
        let shared: SharedSocket = serde_json::from_slice(&bytes).ok()?;
        (shared.place == place).then_some(shared)
    });
    places.collect()
}

fn crashed(
    config: Arc<Config>,
    snapshot: Snapshot,
    mut descriptors: Descriptors,
    mut sockets: Vec<SharedSocket>,
    find_spawned: FindSpawned<'_>,
) -> Handover {
    let (mut pids, mut spawned, mut gone) = (Vec::new(), Vec::new(), Vec::new());
    for (life, pid) in snapshot.lives() {
        let name = Heirloom::Pidfd(life).name();
        match (pid, descriptors.get(&name)) {
            (0, Some(pidfd)) => {
                // The kernel was asked for it, and it came. It may be gone again, and then it has no number.
                pids.push((life, sys::pid_of(pidfd).unwrap_or(0)));
                spawned.push(life);
            }
            (pid, Some(_)) => pids.push((life, pid)),
            (known, None) => match find_spawned(&snapshot, life) {
                Some((pid, pidfd)) => {
                    pids.push((life, pid));
                    descriptors.insert(name, pidfd);
                    if known == 0 {
                        spawned.push(life);
                    }
                }
                // It had ended and was reaped, or there was none yet.
                None => gone.push(life),
            },
        }
    }
    for shared in &mut sockets {
        // An attempt that begins anew asks for it again, and what is gone gives it back.
        let lives = snapshot.lives().into_iter().map(|(life, _)| life);
        let is_its = |life: &Life| snapshot.whose(*life).is_some_and(|spec| shared.is_of(spec));
        shared.lives = lives.filter(is_its).collect();
    }
    Handover {
        config,
        limits: Vec::new(),
        cwd: String::new(),
        legacy: Legacy::recovered(snapshot, pids, &spawned, &gone, sockets),
        descriptors,
        passed: Vec::new(),
        own: Vec::<PassedSocket>::new(),
        failed: None,
    }
}

/// Puts everything down for the next daemon.
pub(super) fn leave(vault: &Vault, handover: &Handover) -> Result<(), String> {
    let state = succession::write(handover).map_err(|error| error.to_string())?;
    for (place, server) in handover.own.iter().enumerate() {
        vault.keep(Heirloom::Server(place), &[server.fd.as_fd()]);
    }
    vault.keep(Heirloom::Handover, &[state.as_fd()]);
    match vault.settle() {
        None => Ok(()),
        Some(line) => Err(line.to_string()),
    }
}
