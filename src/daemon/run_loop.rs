//! The runs of the daemon: each goes from a configuration to the exit of everything it started. `reload` starts another
//! run in the same process. An upgrade starts one in another image of the process, while all programs keep running.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use super::fatal::{Fatal, internal};
use super::run_threads::{Run, RunThreads, state_directory};
use super::startup::{
    DaemonResources, ReservedFds, StartContext, Started, cold_start, init_process, reserve,
    resume_start,
};
use super::watch::Watch;
use crate::config::lookup::Lookup as _;
use crate::config::spec::{Config, DaemonSpec};
use crate::control::EventFeed;
use crate::core::DaemonOutcome;
use crate::diagnostics::{self, Destination};
use crate::engine::{self, Engine, EngineExit, EngineHandoff, Notifier, StoppedEngine, Workers};
use crate::handoff::{self, Handoff, RecoverySource};
use crate::server::{RecentClients, SocketCheck};
use crate::sys;

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
    /// The daemon exits with this status.
    Shutdown(u8),
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
            RunEnd::Shutdown(status) => {
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
                return Ok(ExitCode::from(status));
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
    engine::reserve_descriptors(config);
    let Started {
        servers,
        activity,
        pidfile,
        auto_logs: _auto_logs,
        resources: own,
        mut fleet,
        restored,
        sockets,
        in_flight_log,
    } = started;
    // The daemon is in the background now, so threads may be started.
    apply_diagnostics(&config.daemon);
    let adopted = restored.as_ref().map_or(0, |restored| restored.pids.len());
    tracing::info!(adopted, "run started");
    let notifier = start_notifier(own.notifier)?;
    let watch = Watch::begin(config.daemon.logfile.clone(), config.daemon.loglevel)?;
    let run = Run {
        config,
        context,
        program,
        limits: own.limits,
        daemonized: own.daemonized,
        fd_store: own.fd_store,
        cgroup_manager: own.cgroup_manager,
        events: EventFeed::new(),
        socket_check: SocketCheck::default(),
        source: Run::source_of(config, &watch),
        watch,
    };
    let (runs, lines) =
        state_directory(config).map_or_else(Default::default, |path| engine::read_runs(&path));
    fleet.add_runs(runs);
    let engine = run.start_engine((fleet, restored), own.signals, notifier)?;
    let sender = engine.sender();
    let output = run.start_output(activity, in_flight_log, sender.clone())?;
    lines.into_iter().for_each(|line| output.log(line));
    let spawn = run.start_spawn((sockets, staging), sender.clone(), output.clone())?;
    let mut server = run.start_server(servers, sender, &output)?;

    let workers = Workers { spawn, output };
    let ended = engine.run(&workers, || {
        server.start();
        if config.groups.len() >= LARGE_GROUPS {
            // The text of the configuration and the memory that parsing it took.
            sys::trim_heap();
        }
    });
    run.source.stop();
    let threads = RunThreads {
        server,
        workers,
        pidfile,
    };
    match ended {
        Ok(EngineExit::HandedOff(engine)) => hand_over(run, threads, *engine, resources),
        Ok(EngineExit::Stopped(mut stopped)) => {
            stopped.notifier.send_keepalive(sys::now().mono);
            let peers = threads.stop();
            Ok(end_run(run, stopped, &peers, resources))
        }
        Err(error) => {
            threads.stop();
            Err(internal("the engine thread failed")(error))
        }
    }
}

/// Starts the thread that sends to the service manager, or continues with that of the last run.
fn start_notifier(last: Option<Notifier>) -> Result<Notifier, Fatal> {
    match last {
        Some(mut notifier) => {
            notifier.send_keepalive(sys::now().mono);
            Ok(notifier)
        }
        None => Notifier::start().map_err(internal("cannot start the systemd thread")),
    }
}

/// Ends a run whose programs keep running: returns the state for the next image, or stores it and detaches.
fn hand_over(
    run: Run<'_>,
    threads: RunThreads,
    engine: Engine,
    resources: &mut Option<DaemonResources>,
) -> Result<RunEnd, Fatal> {
    // Keep the sockets open, so that new clients just wait. Do not write out anything that a successor continues with.
    let detaches = engine.detaches();
    let own = threads.server.hand_over();
    threads.workers.spawn.join();
    let EngineHandoff {
        state,
        output,
        fds,
        signals,
        mut notifier,
    } = engine.hand_over(threads.workers.output.hand_over());
    if let Some(pidfile) = threads.pidfile {
        pidfile.leave_in_place();
    }
    let handoff = Handoff {
        config: run.config.clone(),
        limits: run.limits.clone(),
        cwd: run.context.machine.cwd(),
        engine: state,
        output,
        fds,
        passed: Vec::new(),
        own,
    };
    if let (true, Some(fd_store)) = (detaches, &run.fd_store) {
        let _span = tracing::info_span!("handoff", to = "fd holder").entered();
        let descriptors = handoff.fds.len();
        handoff::store_handoff(fd_store, handoff).map_err(Fatal::Internal)?;
        tracing::info!(descriptors, "stored");
        notifier.finish();
        return Ok(RunEnd::Detached);
    }
    notifier.reloading();
    *resources = Some(run.into_resources(signals, 0, notifier));
    Ok(RunEnd::HandOver(Box::new(handoff)))
}

/// Ends a run whose threads and programs have stopped.
fn end_run(
    run: Run<'_>,
    stopped: StoppedEngine,
    peers: &RecentClients,
    resources: &mut Option<DaemonResources>,
) -> RunEnd {
    let end = match stopped.outcome {
        DaemonOutcome::Shutdown => RunEnd::Shutdown(0),
        DaemonOutcome::ShutdownWith(status) => RunEnd::Shutdown(status),
        // The core always returns the configuration that it accepted. The fallback is the current one.
        DaemonOutcome::Restart => {
            RunEnd::Restart(stopped.next_config.unwrap_or_else(|| run.config.clone()))
        }
    };
    if matches!(end, RunEnd::Shutdown(_)) {
        // Do this last: the client that requested the shutdown prints the answer meanwhile.
        peers.wait_for_exit();
    }
    *resources = Some(run.into_resources(stopped.signals, stopped.event_serial, stopped.notifier));
    end
}
