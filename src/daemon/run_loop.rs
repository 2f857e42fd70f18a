//! The runs of the daemon: each goes from a configuration to the exit of everything it started. `reload` starts another
//! run in the same process. An upgrade starts one in another image of the process, while all programs keep running.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use super::fatal::{Fatal, internal};
use super::reload::{compose, options_of, reload};
use super::startup::{
    DaemonResources, ReservedFds, StartContext, Started, cold_start, init_process, reserve,
    resume_start,
};
use super::watch::Watch;
use crate::config::lookup::Lookup as _;
use crate::config::spec::{Config, DaemonSpec};
use crate::control::{ControlHandle, EventFeed};
use crate::core::DaemonOutcome;
use crate::diagnostics::{self, Destination};
use crate::engine::{self, Engine, EngineConfig, EngineExit, EngineHandoff, Notifier, Workers};
use crate::handoff::{self, Handoff, RecoverySource};
use crate::output::{self, OutputCommand};
use crate::server;
use crate::spawn::{self, SpawnBase};
use crate::sys::{self};

/// The number of groups from which the start calls malloc_trim, because reading such a configuration frees much memory.
/// After a smaller one the heartbeat monitor calls it once all threads are idle.
const LARGE_GROUPS: usize = 64;

/// The input of a run.
enum RunStart {
    /// A cold start, or recovery of what a previous daemon left.
    Anew(Arc<Config>, Option<Box<RecoverySource>>),
    /// Continuation after another image, or after the previous run of this image because of `exec_error`.
    Succeeding {
        handoff: Box<Handoff>,
        exec_error: Option<String>,
    },
}

/// How a run ended.
enum RunEnd {
    /// The daemon exits.
    Shutdown,
    /// Everything has stopped. The next run starts with this configuration.
    Restart(Arc<Config>),
    /// Everything keeps running. The next image takes over.
    HandOver(Box<Handoff>),
    /// Everything keeps running without this daemon until another one takes over.
    Detached,
}

/// Runs the daemon until a run ends with a shutdown or a detach.
pub(super) fn run_all(
    first: Config,
    context: StartContext,
    source: Option<RecoverySource>,
    reserved: ReservedFds,
) -> Result<ExitCode, Fatal> {
    init_process()?;
    let begin = RunStart::Anew(Arc::new(first), source.map(Box::new));
    let result = run_until_shutdown(begin, context, reserved);
    diagnostics::flush();
    result
}

/// Runs the daemon as the successor of an earlier image of this process.
pub(super) fn resume(
    handoff: Handoff,
    context: StartContext,
    reserved: ReservedFds,
) -> Result<ExitCode, Fatal> {
    init_process()?;
    let begin = RunStart::Succeeding {
        handoff: Box::new(handoff),
        exec_error: None,
    };
    let result = run_until_shutdown(begin, context, reserved);
    diagnostics::flush();
    result
}

/// Performs one run after another until one ends the daemon.
fn run_until_shutdown(
    mut begin: RunStart,
    mut context: StartContext,
    reserved: ReservedFds,
) -> Result<ExitCode, Fatal> {
    let program = own_program();
    let mut resources: Option<DaemonResources> = None;
    let mut reserved = Some(reserved);
    loop {
        // The descriptors of the last run are free again, except those of a spawn thread that is held up.
        let staging = reserved.take().map_or_else(reserve, Ok)?;
        match run_once(begin, &context, &program, staging, &mut resources)? {
            RunEnd::Shutdown => {
                if let Some(resources) = resources {
                    // Do this last: the scope of the programs ends together with the fd holder that holds it.
                    if let Some(fd_store) = resources.fd_store {
                        fd_store.quit();
                    }
                    resources.cgroup_manager.remove();
                    if let Some(notifier) = resources.notifier {
                        notifier.finish();
                    }
                }
                return Ok(ExitCode::SUCCESS);
            }
            RunEnd::Detached => return Ok(ExitCode::SUCCESS),
            RunEnd::Restart(config) => begin = RunStart::Anew(config, None),
            RunEnd::HandOver(mut handoff) => {
                handoff.passed = std::mem::take(&mut context.passed);
                let fd_store = resources
                    .as_ref()
                    .and_then(|resources| resources.fd_store.clone());
                let span = tracing::info_span!("handoff", to = "next image").entered();
                tracing::info!(descriptors = handoff.fds.len(), "executing the image");
                diagnostics::flush();
                let (mut handoff, error) =
                    handoff::exec_successor(&program, *handoff, fd_store.as_deref());
                tracing::error!(error, "the image cannot be executed");
                drop(span);
                context.passed = std::mem::take(&mut handoff.passed);
                begin = RunStart::Succeeding {
                    handoff: Box::new(handoff),
                    exec_error: Some(error),
                };
            }
        }
    }
}

/// Without /proc an upgrade is impossible. Its exec will report that.
fn own_program() -> Arc<Path> {
    handoff::own_program().map_or_else(|_| Path::new("").into(), Arc::from)
}

/// Performs one run.
fn run_once(
    begin: RunStart,
    context: &StartContext,
    program: &Arc<Path>,
    staging: ReservedFds,
    resources: &mut Option<DaemonResources>,
) -> Result<RunEnd, Fatal> {
    match begin {
        RunStart::Anew(config, source) => {
            let source = source.map(|boxed| *boxed);
            let started = cold_start(&config, context, resources.take(), source)?;
            run(&config, context, program, (started, staging), resources)
        }
        RunStart::Succeeding {
            handoff,
            exec_error,
        } => {
            let config = handoff.config.clone();
            let started = resume_start(*handoff, exec_error, context, resources.take())?;
            run(&config, context, program, (started, staging), resources)
        }
    }
}

/// Starts or changes the diagnostics. The daemon also runs without them.
fn apply_diagnostics(spec: &DaemonSpec) {
    let of_environment = diagnostics::from_environment().and_then(Result::ok);
    let filter = of_environment.unwrap_or_else(|| spec.diagnostics.clone());
    let destination = Destination::of_daemon(!spec.nodaemon);
    if let Err(error) = diagnostics::apply(&filter, destination) {
        eprintln!("supervisord: cannot record diagnostics: {error}");
    }
}

/// Performs a run from its first thread to its last.
fn run(
    config: &Arc<Config>,
    context: &StartContext,
    program: &Arc<Path>,
    (started, staging): (Started, ReservedFds),
    resources: &mut Option<DaemonResources>,
) -> Result<RunEnd, Fatal> {
    let spec = &config.daemon;
    engine::reserve_descriptors(config);
    let Started {
        servers,
        activity,
        pidfile,
        auto_logs: _auto_logs,
        resources:
            DaemonResources {
                signals,
                limits,
                daemonized,
                event_serial: _,
                fd_store,
                cgroup_manager,
                notifier,
            },
        fleet,
        restored,
        sockets,
        in_flight_log,
    } = started;
    // The daemon is in the background now, so threads may be started.
    apply_diagnostics(spec);
    let adopted = restored.as_ref().map_or(0, |restored| restored.pids.len());
    tracing::info!(adopted, "run started");
    let notifier = match notifier {
        Some(mut notifier) => {
            notifier.send_keepalive(sys::now().mono);
            notifier
        }
        None => Notifier::start().map_err(internal("cannot start the systemd thread"))?,
    };
    let (options, machine) = (context.options.clone(), context.machine.clone());
    let for_reading = options_of(&options, config);
    let its_own = machine.clone();
    let (logfile, loglevel) = (spec.logfile.clone(), spec.loglevel);
    let heartbeats = Watch::begin(logfile, loglevel)?;
    let feed = EventFeed::new();
    let socket_check = server::SocketCheck::default();
    let check_sockets = socket_check.clone();
    let publisher = feed.clone();
    let (for_programs, its_machine) = (options, machine);
    let engine = Engine::new(EngineConfig {
        fleet,
        signals,
        load: Arc::new(move |reason| reload(&for_reading, &its_own, reason)),
        publish: Box::new(move |event| publisher.publish(event)),
        compose: Arc::new(move |order| compose(&for_programs, &its_machine, order)),
        notifier,
        ready_when: spec.ready_when,
        config: config.clone(),
        program: program.clone(),
        restored,
        fd_store: fd_store.clone(),
        cgroup_manager: cgroup_manager.clone(),
        heartbeats: heartbeats.0.clone(),
        check_sockets: Box::new(move || check_sockets.request()),
    })
    .map_err(internal("cannot start the engine"))?;

    let sender = engine.sender();
    let reports = sender.clone();
    let output_options = output::OutputOptions {
        activity,
        strip_ansi: spec.strip_ansi,
        fd_store: fd_store.clone(),
        in_flight_log,
        heartbeats: heartbeats.0.clone(),
    };
    let output = output::start(output_options, move |report| reports.output(report))
        .map_err(internal("cannot start the output thread"))?;
    let answers = sender.clone();
    let base = SpawnBase::new(std::env::vars_os(), spec.server_url.clone(), limits.clone());
    let log = output.clone();
    let spawn_options = spawn::SpawnOptions {
        base,
        cgroup_manager: cgroup_manager.clone(),
        inherited: sockets,
        fd_store: fd_store.clone(),
        heartbeats: heartbeats.0.clone(),
        staging,
    };
    let spawn = spawn::start(
        spawn_options,
        move |done| answers.spawn(done),
        move |line| log.log(line),
    )
    .map_err(internal("cannot start the spawn thread"))?;
    let (log, audit) = (output.clone(), output.clone());
    let options = server::ServerOptions {
        servers,
        control: ControlHandle::new(
            move |asked| sender.request(asked),
            move |line| audit.log(line),
        ),
        events: feed,
        log: Arc::new(move |line| log.log(line)),
        rpc_interfaces: config.rpc_interfaces.clone(),
        twiddler: config.twiddler.clone(),
        dbus: spec.dbus,
        limits: server::ServerLimits::of_this_process(),
        socket_check,
        heartbeats: heartbeats.0.clone(),
    };
    let mut server =
        server::spawn_thread(options).map_err(internal("cannot start the server thread"))?;

    let workers = Workers { spawn, output };
    let mut ended = engine.run(&workers, || {
        server.start();
        if config.groups.len() >= LARGE_GROUPS {
            // The text of the configuration and the memory that parsing it took.
            sys::trim_heap();
        }
    });
    if let Ok(EngineExit::Stopped(stopped)) = &mut ended {
        stopped.notifier.send_keepalive(sys::now().mono);
    }
    // Stop in reverse order: send outstanding answers, close and unlink sockets, then write out the rest of the output.
    match ended {
        Ok(EngineExit::HandedOff(engine)) => {
            // Keep the sockets open, so that new clients just wait. Do not write out anything that a successor
            // continues with.
            let detaches = engine.detaches();
            let own = server.hand_over();
            workers.spawn.join();
            let EngineHandoff {
                state,
                output,
                fds,
                signals,
                mut notifier,
            } = engine.hand_over(workers.output.hand_over());
            if let Some(pidfile) = pidfile {
                pidfile.leave_in_place();
            }
            let handoff = Handoff {
                config: config.clone(),
                limits: limits.clone(),
                cwd: context.machine.cwd(),
                engine: state,
                output,
                fds,
                passed: Vec::new(),
                own,
            };
            if let (true, Some(fd_store)) = (detaches, &fd_store) {
                let _span = tracing::info_span!("handoff", to = "fd holder").entered();
                let descriptors = handoff.fds.len();
                handoff::store_handoff(fd_store, handoff).map_err(Fatal::Internal)?;
                tracing::info!(descriptors, "stored");
                notifier.finish();
                return Ok(RunEnd::Detached);
            }
            notifier.reloading();
            *resources = Some(DaemonResources {
                signals,
                limits,
                daemonized,
                event_serial: 0,
                fd_store,
                cgroup_manager,
                notifier: Some(notifier),
            });
            Ok(RunEnd::HandOver(Box::new(handoff)))
        }
        ended => {
            let peers = server.stop();
            workers.spawn.join();
            workers.output.send(OutputCommand::Stop);
            workers.output.join();
            drop(pidfile);
            match ended.map_err(internal("the engine thread failed"))? {
                EngineExit::HandedOff(_) => Ok(RunEnd::Shutdown),
                EngineExit::Stopped(stopped) => {
                    *resources = Some(DaemonResources {
                        signals: stopped.signals,
                        limits,
                        daemonized,
                        event_serial: stopped.event_serial,
                        fd_store,
                        cgroup_manager,
                        notifier: Some(stopped.notifier),
                    });
                    Ok(match stopped.outcome {
                        DaemonOutcome::Shutdown => {
                            // Do this last: the client that requested the shutdown prints the answer meanwhile.
                            peers.wait_for_exit();
                            RunEnd::Shutdown
                        }
                        // The core always returns the configuration that it accepted. The fallback is the current one.
                        DaemonOutcome::Restart => {
                            RunEnd::Restart(stopped.next_config.unwrap_or_else(|| config.clone()))
                        }
                    })
                }
            }
        }
    }
}
