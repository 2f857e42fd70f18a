//! What the first run of a daemon continues with: the state that a previous daemon left, or its running programs.

use std::collections::BTreeSet;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use super::fatal::{Fatal, internal};
use super::startup::{DaemonResources, daemon_log, own_pid};
use crate::config::spec::{Config, GroupSpec};
use crate::core::{Fleet, Identity, ResumeKind};
use crate::domain::Line;
use crate::handoff::{
    self, Handoff, OrphanAdoption, PartialRecovery, PassedSocket, PreviousEnd, RecoveredState,
    RecoverySource, RestoredEngine,
};
use crate::output::Activity;
use crate::spawn::SharedSocket;
use crate::sys::{self, NamedFds};

/// What a previous daemon left.
pub(super) enum PreviousDaemon {
    /// Its whole state.
    Recovered(Box<Handoff>, PreviousEnd),
    /// No usable state. Its programs may run.
    Orphans(Box<OrphanAdoption>),
    /// Nothing: a reload has stopped all programs.
    None,
}

impl PreviousDaemon {
    /// Finds what a previous daemon left. Its fd holder becomes that of this daemon.
    pub(super) fn find(
        config: &Arc<Config>,
        source: Option<RecoverySource>,
        is_first: bool,
        resources: &mut DaemonResources,
        notes: &mut Vec<Line>,
    ) -> Self {
        let mut partial = PartialRecovery::default();
        if let Some(source) = source {
            resources.fd_store = Some(source.fd_store);
            match source.recovered {
                RecoveredState::Whole(handoff, end) => return Self::Recovered(handoff, end),
                RecoveredState::Partial(found) => partial = found,
            }
        }
        let why = partial.why.take();
        notes.extend(why.map(|error| Line::CannotRecover { error }));
        // Programs of a previous daemon can only exist before the first run.
        if is_first {
            Self::Orphans(Box::new(handoff::find_orphans(config, partial)))
        } else {
            Self::None
        }
    }

    pub(super) const fn is_recovered(&self) -> bool {
        matches!(self, Self::Recovered(..))
    }

    /// Takes the listening sockets that the previous daemon left.
    pub(super) fn take_sockets(&mut self) -> Vec<PassedSocket> {
        match self {
            Self::Recovered(handoff, _) => std::mem::take(&mut handoff.own),
            Self::Orphans(_) | Self::None => Vec::new(),
        }
    }

    /// Returns the groups whose sockets can be tried. The sockets of running groups are in use.
    pub(super) fn groups_to_try(&self, config: &Config) -> Vec<Arc<GroupSpec>> {
        match self {
            Self::Recovered(..) => Vec::new(),
            Self::Orphans(adoption) => adoption.idle_groups(),
            Self::None => config.groups.clone(),
        }
    }

    /// Returns the names of the cgroups whose processes this daemon adopts.
    pub(super) fn cgroups(&self) -> BTreeSet<String> {
        match self {
            Self::Recovered(handoff, _) => handoff.cgroups(),
            Self::Orphans(adoption) => adoption.cgroups(),
            Self::None => BTreeSet::new(),
        }
    }

    /// Returns the recovered descriptors.
    pub(super) fn descriptors(&self) -> Option<&NamedFds> {
        match self {
            Self::Recovered(handoff, _) => Some(&handoff.fds),
            Self::Orphans(adoption) => Some(adoption.descriptors()),
            Self::None => None,
        }
    }

    /// Makes the core, with what the engine and the spawn threads restore. `event_serial`: the serial number of the
    /// next event, if nothing was recovered.
    pub(super) fn restore(
        self,
        config: &Arc<Config>,
        event_serial: u64,
        activity: &mut Activity,
    ) -> Result<RestoredParts, Fatal> {
        match self {
            Self::Recovered(handoff, end) => {
                let (count, how) = (handoff.process_count(), end.name().to_owned());
                activity.write(sys::now().wall, &Line::Recovered { count, how });
                let (mut fleet, restored, sockets) = handoff.restore(ResumeKind::NewDaemon);
                fleet.set_identity(own_pid(), daemon_log(&config.daemon));
                Ok((fleet, Some(restored), sockets))
            }
            Self::Orphans(adoption) => {
                let identity = new_identity(config, event_serial)?;
                let (fleet, restored, sockets) = adoption.restore(identity);
                Ok((fleet, Some(restored), sockets))
            }
            Self::None => {
                let identity = new_identity(config, event_serial)?;
                Ok((Fleet::new(identity, config.clone()), None, Vec::new()))
            }
        }
    }
}

/// Returns the identity of a core that continues no other one.
fn new_identity(config: &Config, event_serial: u64) -> Result<Identity, Fatal> {
    Ok(Identity {
        pid: own_pid(),
        daemon_log: daemon_log(&config.daemon),
        seed: sys::random_seed().map_err(internal("cannot get random bytes"))?,
        event_serial,
    })
}

/// A core, what the engine restores with it, and the sockets of fcgi programs that exist already.
pub(super) type RestoredParts = (Fleet, Option<RestoredEngine>, Vec<(SharedSocket, OwnedFd)>);
