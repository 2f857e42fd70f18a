//! The engine's part of an upgrade or a detach: it examines the successor, gives outstanding work a moment to finish,
//! and collects the state for the handoff. Replacing the image is not part of this module.
//!
//! ```text
//! none ─asked→ Examining ─agrees→ Waiting ─all answered, or timeout→ Draining ─threads idle→ handed over
//!   ↑              │ refuses         │ something goes on that cannot be interrupted
//!   └──────────────┴─────────────────┘
//! ```

use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;

use super::actor::{Engine, Workers};
use super::inbox::EngineMessage;
use super::inherited::Inherited;
use super::systemd::Notifier;
use crate::api::{FaultCode, Ticket};
use crate::config::spec::Config;
use crate::core::Input;
use crate::domain::{FdName, InstanceId, Line, Tick};
use crate::handoff::{self, EngineState, PendingReport, RestoredEngine};
use crate::output::{
    AdoptedStreams, InstanceState, OutputCommand, OutputHandoff, OutputReport, OutputState,
};
use crate::spawn::{SharedSocket, SpawnJob};
use crate::sys::{self, NamedFds, SignalReader};

/// How long waiting clients can delay an upgrade, in milliseconds.
const ANSWERS_MS_MAX: u64 = 5_000;
/// The same for a restart by the service manager, which waits for the daemon to exit.
const DETACH_MS_MAX: u64 = 500;
/// The fault for clients that still wait then, and for requests after that.
pub(super) const REPLACED: &str = "the daemon is being re-executed (try again in a moment)";

/// The step of an upgrade.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum UpgradeStep {
    /// No upgrade.
    None,
    /// The successor is examining the state.
    Examining,
    /// The successor can take over. Until the given time, outstanding answers are waited for.
    Waiting(Tick),
    /// No process is started any more. The spawn thread finishes its jobs.
    Draining,
}

/// The upgrade or detach in progress.
pub(super) struct Upgrade {
    step: UpgradeStep,
    /// The program of the next image.
    program: Arc<Path>,
    /// The configuration of the run.
    config: Arc<Config>,
    /// The daemon is detaching from all processes, so that another daemon can take them over.
    detaches: bool,
    /// The sockets of fcgi programs that the spawner threads returned when they ended. `None`: they still run.
    sockets: Option<Vec<(SharedSocket, OwnedFd)>>,
    /// Reports that arrived after the last input of the core. They are part of the handoff.
    pending_reports: Vec<PendingReport>,
}

impl Upgrade {
    pub(super) fn new(program: Arc<Path>, config: Arc<Config>) -> Self {
        Self {
            step: UpgradeStep::None,
            program,
            config,
            detaches: false,
            sockets: None,
            pending_reports: Vec::new(),
        }
    }

    /// Returns whether no process may be started any more, because the successor will do it.
    pub(super) fn is_draining(&self) -> bool {
        self.step == UpgradeStep::Draining
    }

    /// Returns when [`Engine::advance_upgrade`] must be called without an event.
    pub(super) fn due(&self) -> Option<Tick> {
        match self.step {
            UpgradeStep::Waiting(until) => Some(until),
            UpgradeStep::None | UpgradeStep::Examining | UpgradeStep::Draining => None,
        }
    }

    /// Records that the spawner threads have ended, and their sockets.
    pub(super) fn spawner_ended(&mut self, sockets: Vec<(SharedSocket, OwnedFd)>) {
        self.sockets = Some(sockets);
    }
}

/// Everything that an engine hands over.
pub struct EngineHandoff {
    /// The state as data.
    pub state: EngineState,
    /// The state of the output threads.
    pub output: OutputState,
    /// The descriptors by name.
    pub fds: NamedFds,
    /// The signals, for another run of this image.
    pub signals: SignalReader,
    /// The connection to the service manager, for another run of this image.
    pub notifier: Notifier,
}

impl Engine {
    /// Takes over the state and continues.
    pub(super) fn resume(&mut self, restored: RestoredEngine, workers: &Workers) {
        self.inherited = Inherited {
            streams: restored.instances,
            fds: restored.fds,
            unflushed: restored.unflushed,
        };
        if restored.is_ready {
            self.systemd.resume();
        }
        for (instance, pid) in restored.pids {
            if let Some(pidfd) = self.inherited.fds.remove(&FdName::Pidfd(instance).name()) {
                let channels = self.children.channels();
                channels.restore(instance, &mut self.inherited.fds);
                self.store_channel(instance, workers);
                self.watch(instance, pid, pidfd, workers);
            }
        }
        for early in restored.early {
            self.feed(early.into_input(), workers);
        }
        self.feed(restored.first, workers);
        for pending_report in restored.pending_reports {
            self.feed(pending_report.into_input(), workers);
        }
        self.adopt_ended(workers);
        // Remaining descriptors belong to unknown instances.
        let left = self.inherited.clear();
        if let Some(fd_store) = &self.fd_store {
            let done = [FdName::Handoff.name()].into_iter();
            for name in done.chain(left) {
                if let Some(line) = fd_store.remove_named(&name) {
                    self.log(line, workers);
                }
            }
        }
    }

    /// Passes the streams of an instance to the output threads, if the previous daemon handed any over.
    pub(super) fn adopt(
        &mut self,
        instance: InstanceId,
        workers: &Workers,
        adoption: impl FnOnce(Option<InstanceState>, &mut NamedFds) -> AdoptedStreams,
    ) {
        if let Some(adoption) = self.inherited.take_streams(instance, adoption) {
            let adopt = OutputCommand::Adopt(Box::new(adoption));
            workers.output.send(adopt);
        }
    }

    /// Passes on streams of instances that have exited while their logs were blocked: their last bytes are still to be
    /// written.
    fn adopt_ended(&mut self, workers: &Workers) {
        for instance in self.inherited.instances() {
            if let Some((spec, logs)) = self.fleet.logs_of(instance.slot) {
                self.adopt(instance, workers, |streams, inherited| {
                    AdoptedStreams::new((instance, 0), spec, logs, streams, inherited).of_ended()
                });
            }
        }
    }

    /// Examines the successor, on a short-lived thread.
    pub(super) fn examine(&mut self, ticket: Ticket) {
        self.upgrade.step = UpgradeStep::Examining;
        let snapshot = self.fleet.snapshot();
        let (program, config) = (self.upgrade.program.clone(), self.upgrade.config.clone());
        let to = self.sender.clone();
        let thread = std::thread::Builder::new().name("upgrade".to_owned());
        let heartbeats = self.heartbeats.clone();
        let started = thread.spawn(move || {
            let _heartbeat = heartbeats.register_end("upgrade");
            let examine = || handoff::ask_successor(&program, &config, &snapshot);
            let examine = std::panic::AssertUnwindSafe(examine);
            let result = std::panic::catch_unwind(examine)
                .unwrap_or_else(|_| Err("checking the new program panicked".to_owned()));
            to.examined(ticket, result);
        });
        if let Err(error) = started {
            let reason = format!("cannot start a thread: {error}");
            self.sender.examined(ticket, Err(reason));
        }
    }

    /// Handles the result of the examination.
    pub(super) fn examined(
        &mut self,
        ticket: Ticket,
        result: Result<(), String>,
        workers: &Workers,
    ) {
        self.upgrade.step = match result {
            // The daemon detaches, so the result no longer matters.
            _ if self.upgrade.detaches => self.upgrade.step,
            Ok(()) => UpgradeStep::Waiting(sys::now().mono.plus_millis(ANSWERS_MS_MAX)),
            Err(_) => UpgradeStep::None,
        };
        let ticket = Some(ticket);
        self.feed(Input::SuccessorExamined { ticket, result }, workers);
    }

    /// Advances an upgrade. Returns whether the handoff can start.
    pub(super) fn advance_upgrade(&mut self, workers: &Workers) -> bool {
        match self.upgrade.step {
            UpgradeStep::None | UpgradeStep::Examining => false,
            // A stop requested after the restart takes precedence.
            UpgradeStep::Waiting(_) if self.upgrade.detaches && self.fleet.is_stopping() => {
                self.upgrade.detaches = false;
                self.upgrade.step = UpgradeStep::None;
                false
            }
            UpgradeStep::Waiting(until) => {
                let is_over = until <= sys::now().mono;
                if self.fleet.has_waiting_clients() && !is_over {
                    return false;
                }
                match self.fleet.can_hand_off() {
                    // A detach cannot be refused. Outstanding operations are aborted and their clients get a fault.
                    Err(_) if self.upgrade.detaches && is_over => {
                        self.upgrade.step = UpgradeStep::Draining;
                        workers.spawn.send(SpawnJob::HandOver);
                    }
                    Ok(()) => {
                        self.upgrade.step = UpgradeStep::Draining;
                        workers.spawn.send(SpawnJob::HandOver);
                    }
                    Err(what) if is_over => {
                        self.upgrade.step = UpgradeStep::None;
                        let result = Err(format!("not while {what}"));
                        let ticket = None;
                        self.feed(Input::SuccessorExamined { ticket, result }, workers);
                    }
                    Err(_) => {}
                }
                false
            }
            UpgradeStep::Draining => self.upgrade.sockets.is_some() && self.loader.is_idle(),
        }
    }

    /// Starts to detach for a restart by the service manager. Returns false if the fd holder does not work or
    /// everything is being stopped.
    pub(super) fn detach(&mut self, workers: &Workers) -> bool {
        let is_kept = self
            .fd_store
            .as_ref()
            .is_some_and(|fd_store| fd_store.is_healthy());
        if !is_kept || self.fleet.is_stopping() {
            return false;
        }
        self.log(Line::LettingGo {}, workers);
        self.upgrade.detaches = true;
        if self.upgrade.step != UpgradeStep::Draining {
            self.upgrade.step = UpgradeStep::Waiting(sys::now().mono.plus_millis(DETACH_MS_MAX));
        }
        true
    }

    /// Returns whether another daemon takes over, rather than another image in this process.
    #[must_use]
    pub fn detaches(&self) -> bool {
        self.upgrade.detaches
    }

    /// Closes the inbox and answers all waiting clients with a fault. The operations that they started continue.
    pub(super) fn close_inbox(&mut self) {
        self.inbox.close();
        self.collect_pending();
        self.clients.refuse_all(&FaultCode::Failed.of(REPLACED));
    }

    /// Empties the inbox after the last input of the core.
    fn collect_pending(&mut self) {
        while let Some(asked) = self.inbox.next_request() {
            asked.refuse();
        }
        while let Some(message) = self.inbox.next_message() {
            match message {
                EngineMessage::Output(OutputReport::Outcome(outcome)) => {
                    self.upgrade
                        .pending_reports
                        .extend(PendingReport::of(outcome));
                }
                EngineMessage::Input(Input::Emptied {
                    instance,
                    resource_events,
                }) => {
                    let report = PendingReport::Emptied(instance, resource_events);
                    self.upgrade.pending_reports.push(report);
                }
                // Attempts start again. The spawner threads have no jobs left, and no configuration is being read.
                EngineMessage::Output(OutputReport::Prepared(..))
                | EngineMessage::Input(_)
                | EngineMessage::Spawner(_)
                | EngineMessage::Loader(_)
                | EngineMessage::HolderRestarted(_)
                | EngineMessage::Examined(..) => {}
            }
        }
    }

    /// Collects the state after all other threads have ended. `output` is what the output threads handed over.
    #[must_use]
    pub fn hand_over(mut self, output: OutputHandoff) -> EngineHandoff {
        self.collect_pending();
        let OutputHandoff {
            state: output,
            mut fds,
        } = output;
        if let Some(fd_store) = &self.fd_store {
            // Channels of attempts that the successor starts again with new channels.
            for fd_name in self.children.attempt_channels() {
                let _ = fd_store.remove(fd_name);
            }
        }
        let pids = self.children.hand_over(&mut fds);
        let living = self.fleet.instances();
        let mut sockets = Vec::new();
        for (mut shared, socket) in self.upgrade.sockets.unwrap_or_default() {
            // An instance may have exited since the last message to the spawn thread.
            shared
                .instances
                .retain(|instance| living.contains(instance));
            let fd_name = FdName::FcgiSocket(shared.place);
            if !shared.instances.is_empty() {
                fds.insert(fd_name.name(), socket);
                sockets.push(shared);
            } else if let Some(fd_store) = &self.fd_store {
                // An fd store that fails has already logged that.
                let _ = fd_store.remove(fd_name);
            }
        }
        let state = EngineState {
            snapshot: self.fleet.snapshot(),
            pids,
            early: Vec::new(),
            pending_reports: self.upgrade.pending_reports,
            is_ready: self.systemd.is_ready(),
            sockets,
        };
        EngineHandoff {
            state,
            output,
            fds,
            signals: self.signals,
            notifier: self.systemd.into_notifier(),
        }
    }

    /// Logs which program takes over. A detach has its own line.
    pub(super) fn log_handoff(&self, workers: &Workers) {
        if self.upgrade.detaches {
            return;
        }
        let program = self.upgrade.program.display().to_string();
        self.log(Line::UpgradeBegun { program }, workers);
    }
}
