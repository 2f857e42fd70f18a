//! The threads of a run: starts them in order, and stops them in reverse order.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::editing::editor_jobs;
use super::fatal::{Fatal, internal};
use super::first_text::agent_program;
use super::pidfile::Pidfile;
use super::reload::{ConfigReading, compose, options_of};
use super::startup::{DaemonResources, ReservedFds, StartContext};
use super::watch::Watch;
use crate::cgroup::CgroupManager;
use crate::config::spec::Config;
use crate::control::{ControlHandle, EventFeed};
use crate::core::Fleet;
use crate::engine::{Engine, EngineConfig, InboxSender, LoaderJobs, Notifier, RunStore, Workers};
use crate::fd_holder::FdStore;
use crate::handoff::RestoredEngine;
use crate::output::{self, Activity, OutputCommand, OutputHandle};
use crate::server::{self, BoundServer, RecentClients, ServerHandle, SocketCheck};
use crate::source::{ConfigEditor, SourceHandle, SourceOptions};
use crate::spawn::{self, SharedSocket, SpawnBase, SpawnHandle};
use crate::sys::{Limit, Resource, SharedBuffer, SignalReader};

/// The directory for what outlasts a restart of the host: that of the configuration, else the first that systemd made for
/// its unit. `None`: there is none.
pub(super) fn state_directory(config: &Config) -> Option<PathBuf> {
    config.daemon.state_directory.clone().or_else(|| {
        let made = std::env::var_os("STATE_DIRECTORY")?;
        let first = made.to_str()?.split(':').next()?;
        Path::new(first).is_absolute().then(|| PathBuf::from(first))
    })
}

/// The values that the threads of a run have in common.
pub(super) struct Run<'a> {
    pub(super) config: &'a Arc<Config>,
    pub(super) context: &'a StartContext,
    /// The file that an upgrade executes.
    pub(super) program: &'a Arc<Path>,
    pub(super) limits: Vec<(Resource, Limit)>,
    pub(super) daemonized: bool,
    pub(super) fd_store: Option<Arc<FdStore>>,
    pub(super) cgroup_manager: CgroupManager,
    pub(super) events: EventFeed,
    pub(super) socket_check: SocketCheck,
    pub(super) watch: Watch,
    pub(super) source: SourceHandle,
}

impl Run<'_> {
    /// Makes the engine. Its thread is the caller of [`Engine::run`].
    pub(super) fn start_engine(
        &self,
        (fleet, restored): (Fleet, Option<RestoredEngine>),
        signals: SignalReader,
        notifier: Notifier,
    ) -> Result<Engine, Fatal> {
        let options = self.context.options.clone();
        let machine = self.context.machine.clone();
        let to_load = ConfigReading {
            options: options_of(&options, self.config),
            machine: machine.clone(),
            source: self.source.clone(),
            running: self.config.clone(),
        };
        let to_plan = to_load.clone();
        let (events, socket_check) = (self.events.clone(), self.socket_check.clone());
        Engine::new(EngineConfig {
            fleet,
            signals,
            loader: LoaderJobs {
                load: Arc::new(move |reason| to_load.reload(reason)),
                plan: Arc::new(move |active| to_plan.plan(active)),
                compose: Arc::new(move |order| compose(&options, &machine, order)),
            },
            publish: Box::new(move |event| events.publish(event)),
            notifier,
            ready_when: self.config.daemon.ready_when,
            config: self.config.clone(),
            program: self.program.clone(),
            restored,
            fd_store: self.fd_store.clone(),
            cgroup_manager: self.cgroup_manager.clone(),
            heartbeats: self.watch.0.clone(),
            check_sockets: Box::new(move || socket_check.request()),
            run_store: state_directory(self.config).as_deref().map(RunStore::new),
        })
        .map_err(internal("cannot start the engine"))
    }

    /// Starts the output threads.
    pub(super) fn start_output(
        &self,
        activity: Activity,
        in_flight_log: Option<(usize, SharedBuffer)>,
        engine: InboxSender,
    ) -> Result<OutputHandle, Fatal> {
        let options = output::OutputOptions {
            activity,
            strip_ansi: self.config.daemon.strip_ansi,
            fd_store: self.fd_store.clone(),
            in_flight_log,
            heartbeats: self.watch.0.clone(),
        };
        output::start(options, move |report| engine.output(report))
            .map_err(internal("cannot start the output thread"))
    }

    /// Starts the first spawn thread. `sockets`: sockets of a previous daemon.
    pub(super) fn start_spawn(
        &self,
        (sockets, staging): (Vec<(SharedSocket, OwnedFd)>, ReservedFds),
        engine: InboxSender,
        output: OutputHandle,
    ) -> Result<SpawnHandle, Fatal> {
        let server_url = self.config.daemon.server_url.clone();
        let options = spawn::SpawnOptions {
            base: SpawnBase::new(std::env::vars_os(), server_url, self.limits.clone()),
            cgroup_manager: self.cgroup_manager.clone(),
            inherited: sockets,
            fd_store: self.fd_store.clone(),
            heartbeats: self.watch.0.clone(),
            staging,
        };
        spawn::start(
            options,
            move |done| engine.spawn(done),
            move |line| output.log(line),
        )
        .map_err(internal("cannot start the spawn thread"))
    }

    /// Creates the source of the configuration. It begins to work with the server.
    pub(super) fn source_of(config: &Config, watch: &Watch) -> SourceHandle {
        SourceHandle::new(SourceOptions {
            remote: config.remote.clone(),
            agent: agent_program(),
            heartbeats: watch.0.clone(),
        })
    }

    /// Starts the server thread. It accepts connections after [`ServerHandle::start`].
    pub(super) fn start_server(
        &self,
        servers: Vec<BoundServer>,
        engine: InboxSender,
        output: &OutputHandle,
    ) -> Result<ServerHandle, Fatal> {
        let (log, audit, of_source) = (output.clone(), output.clone(), output.clone());
        let control = ControlHandle::new(
            move |asked| engine.request(asked),
            move |line| audit.log(line),
        );
        let log_of_source = Arc::new(move |line| of_source.log(line));
        self.source.start(control.clone(), log_of_source);
        let options = options_of(&self.context.options, self.config);
        let editor = ConfigEditor::new(
            self.source.clone(),
            editor_jobs(&options, &self.context.machine),
        );
        control.answer_config_calls(Arc::new(editor));
        let options = server::ServerOptions {
            servers,
            control,
            events: self.events.clone(),
            log: Arc::new(move |line| log.log(line)),
            rpc_interfaces: self.config.rpc_interfaces.clone(),
            twiddler: self.config.twiddler.clone(),
            dbus: self.config.daemon.dbus,
            limits: server::ServerLimits::of_this_process(),
            socket_check: self.socket_check.clone(),
            heartbeats: self.watch.0.clone(),
        };
        server::spawn_thread(options).map_err(internal("cannot start the server thread"))
    }

    /// Returns the resources that outlast the run.
    pub(super) fn into_resources(
        self,
        signals: SignalReader,
        event_serial: u64,
        notifier: Notifier,
    ) -> DaemonResources {
        DaemonResources {
            signals,
            limits: self.limits,
            daemonized: self.daemonized,
            event_serial,
            fd_store: self.fd_store,
            cgroup_manager: self.cgroup_manager,
            notifier: Some(notifier),
        }
    }
}

/// The threads that outlast the engine of a run, and the pidfile.
pub(super) struct RunThreads {
    pub(super) server: ServerHandle,
    pub(super) workers: Workers,
    pub(super) pidfile: Option<Pidfile>,
}

impl RunThreads {
    /// Stops in reverse order: sends outstanding answers, closes and unlinks sockets, then writes out the rest of the
    /// output. Returns the clients that may still read their answers.
    pub(super) fn stop(self) -> RecentClients {
        let peers = self.server.stop();
        self.workers.spawn.join();
        self.workers.output.send(OutputCommand::Stop);
        self.workers.output.join();
        drop(self.pidfile);
        peers
    }
}
