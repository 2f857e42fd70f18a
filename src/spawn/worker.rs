//! One spawner thread: it takes jobs one after another, does them and delivers their results.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::thread::Thread;

use super::command;
use super::env_files::configured_variables;
use super::message::{CommandJob, SpawnAnswer, SpawnJob};
use super::plan::SpawnPlan;
use super::sockets::SocketStep;
use super::spawn_pool::{HELD_AFTER, SpawnPool};
use crate::cgroup::ProcessCgroup;
use crate::config::spec::{CgroupLimits, FcgiSocket, ProcessKind, ProcessSpec};
use crate::domain::{Errno, InstanceId, Line, SpawnError};
use crate::effects::{SpawnerEffect, SpawnerOutcome};
use crate::heartbeat::Overdue;
use crate::sys::{ChildStdio, PendingChild, RegisteredChild, SPAWNER_THREAD, Spawner};

/// A spawner thread, as the pool sees it.
#[derive(Debug)]
pub(super) struct SpawnWorker {
    pub(super) id: u64,
    pub(super) thread: Thread,
    /// The child that it is making.
    pub(super) child: PendingChild,
}

/// Starts a spawner thread.
///
/// It never ends before the pool, even if it is idle: a program that requested a signal at its parent's death
/// (`PR_SET_PDEATHSIG`) gets that signal when the thread that made it ends.
///
/// # Errors
/// EAGAIN or ENOMEM.
pub(super) fn start(pool: &Arc<SpawnPool>, id: u64, spawner: Spawner) -> io::Result<SpawnWorker> {
    let child = spawner.pending_child();
    let pool = pool.clone();
    let thread = std::thread::Builder::new()
        .name(SPAWNER_THREAD.to_owned())
        .spawn(move || run(&pool, id, spawner))?;
    Ok(SpawnWorker {
        id,
        thread: thread.thread().clone(),
        child,
    })
}

fn run(pool: &Arc<SpawnPool>, id: u64, mut spawner: Spawner) {
    let watched = Arc::downgrade(pool);
    let overdue = Overdue::Call(Box::new(move || {
        if let Some(pool) = watched.upgrade() {
            pool.set_aside(id);
        }
    }));
    let heartbeat = pool
        .heartbeats
        .register(SPAWNER_THREAD, HELD_AFTER, overdue);
    let mut jobs_since = 0;
    while let Some(job) = pool.next(id, &mut jobs_since) {
        heartbeat.busy();
        let answer = perform(pool, &mut spawner, job);
        heartbeat.idle();
        pool.finished(id, answer);
    }
}

/// Does a job. May block for as long as file systems, name services and users make it.
fn perform(pool: &SpawnPool, spawner: &mut Spawner, job: SpawnJob) -> Option<SpawnAnswer> {
    let _span = span_of(&job).entered();
    let answer = answer(pool, spawner, job);
    match &answer {
        Some(SpawnAnswer::Resolved(..)) => tracing::debug!("resolved"),
        Some(SpawnAnswer::Spawned(_, pid, ..)) => tracing::debug!(object_pid = pid, "cloned"),
        Some(SpawnAnswer::Outcome(SpawnerOutcome::Failed { error, .. })) => {
            tracing::debug!(%error, "failed");
        }
        _ => {}
    }
    answer
}

/// The span of the instance that a job is about, for diagnostics.
fn span_of(job: &SpawnJob) -> tracing::Span {
    let (instance, group, process) = match job {
        SpawnJob::Effect(SpawnerEffect::Resolve(instance, spec)) => {
            (instance, spec.group.as_str(), spec.name.as_str())
        }
        SpawnJob::Spawn(instance, plan, ..) => {
            let name = &plan.process;
            (instance, name.group.as_str(), name.process.as_str())
        }
        _ => return tracing::Span::none(),
    };
    tracing::info_span!(
        "instance",
        supervisor_group = group,
        supervisor_process = process,
        supervisor_incarnation = instance.incarnation,
    )
}

fn answer(pool: &SpawnPool, spawner: &mut Spawner, job: SpawnJob) -> Option<SpawnAnswer> {
    Some(match job {
        SpawnJob::Effect(SpawnerEffect::Resolve(instance, spec)) => {
            let held = match &spec.kind {
                // The socket first, as in Supervisor: a missing command is reported after the socket was made.
                ProcessKind::Fcgi(socket) => hold_socket(pool, instance, &spec, socket),
                ProcessKind::Program | ProcessKind::Listener => Ok(()),
            };
            let mut log = |line| pool.log(line);
            match held.and_then(|()| SpawnPlan::new(&pool.base, &spec, &mut log)) {
                Ok(plan) => SpawnAnswer::Resolved(instance, Box::new(plan)),
                Err(error) => SpawnAnswer::Outcome(SpawnerOutcome::Failed { instance, error }),
            }
        }
        SpawnJob::Effect(SpawnerEffect::Check(ticket, spec)) => {
            SpawnAnswer::Outcome(SpawnerOutcome::Answered {
                ticket,
                result: check(pool, &spec),
            })
        }
        SpawnJob::Spawn(instance, mut plan, mut ends, resources) => {
            ends.ready = plan.ready.take();
            let refused = |error| spawn_refused(plan.name.clone(), Errno::from(error));
            let lent = pool.sockets().lend(instance, &mut ends).map_err(refused);
            let mut spawn = |()| {
                let spawned = spawn(pool, spawner, &plan, &ends, &resources);
                spawned.map_err(refused)
            };
            match lent.and_then(&mut spawn) {
                Ok((pid, pidfd, process_cgroup)) => {
                    SpawnAnswer::Spawned(instance, pid, pidfd, process_cgroup)
                }
                Err(error) => SpawnAnswer::Outcome(SpawnerOutcome::Failed { instance, error }),
            }
        }
        SpawnJob::Effect(SpawnerEffect::Release(instance)) => {
            pool.sockets().release(instance, &mut |line| pool.log(line));
            return None;
        }
        SpawnJob::Effect(SpawnerEffect::TrySockets(ticket, group)) => {
            let mut log = |line| pool.log(line);
            let tried = pool.sockets().to_try(&group);
            let tried = tried
                .into_iter()
                .try_for_each(|making| making.make(&mut log).map(|made| made.close(&mut log)));
            SpawnAnswer::Outcome(SpawnerOutcome::Answered {
                ticket,
                result: tried,
            })
        }
        SpawnJob::Command(job) => {
            run_command(pool, spawner, *job);
            return None;
        }
        // The pool handles these itself.
        SpawnJob::HandOver | SpawnJob::Stop => return None,
    })
}

/// Starts a command in the cgroup of its process.
fn run_command(pool: &SpawnPool, spawner: &mut Spawner, job: CommandJob) {
    let CommandJob {
        spec,
        stdio,
        started,
    } = job;
    let mut log = |line| pool.log(line);
    started(
        SpawnPlan::new(&pool.base, &spec, &mut log).and_then(|plan| {
            let mut child = RegisteredChild::announce();
            let (pid, pidfd, _) = spawn(pool, spawner, &plan, &stdio, &spec.resources)
                .map_err(|error| spawn_refused(plan.name.clone(), Errno::from(error)))?;
            child.started(pid);
            Ok((child, pid, pidfd))
        }),
    );
}

/// Checks that the command of a process can be executed. What is wrong with its env files is a spawn error of the start
/// that follows, and says nothing about the command.
fn check(pool: &SpawnPool, spec: &ProcessSpec) -> Result<(), SpawnError> {
    let Ok(variables) = configured_variables(spec, &mut |_| {}) else {
        return Ok(());
    };
    command::resolve_command(&pool.base, spec, &variables).map(drop)
}

/// Gives an instance a hold on the socket of its program. The sockets are not locked while one is made, which may
/// block.
fn hold_socket(
    pool: &SpawnPool,
    instance: InstanceId,
    spec: &ProcessSpec,
    socket: &Arc<FcgiSocket>,
) -> Result<(), SpawnError> {
    let step = pool.sockets().hold(instance, &spec.group, socket)?;
    match step {
        SocketStep::Held => Ok(()),
        SocketStep::Make(making) => {
            let mut log = |line| pool.log(line);
            let made = making.make(&mut log);
            pool.sockets().made(instance, &making, made, &mut log)
        }
    }
}

/// Spawns the process in its cgroup, if programs have cgroups. The cgroup may vanish at any time (with its scope, or
/// because the cgroup thread removes what the last instance left); then it is made again, once. A program may make its
/// cgroup unusable for new processes; that must not prevent its start.
fn spawn(
    pool: &SpawnPool,
    spawner: &mut Spawner,
    plan: &SpawnPlan,
    ends: &ChildStdio,
    resources: &CgroupLimits,
) -> io::Result<(i32, OwnedFd, Option<ProcessCgroup>)> {
    let mut log = |line| pool.log(line);
    let mut last = None;
    for _ in 0..2 {
        let Some((process_cgroup, cgroup)) =
            pool.cgroup_manager
                .create(&plan.process, resources, &mut log)?
        else {
            break;
        };
        match spawner.spawn_in(&plan.raw, ends, Some(&cgroup)) {
            Ok((pid, pidfd)) => return Ok((pid, pidfd, Some(process_cgroup))),
            Err(error) => match error.raw_os_error() {
                Some(
                    libc::ENOENT | libc::ENODEV | libc::EBUSY | libc::EOPNOTSUPP | libc::EACCES,
                ) => {
                    // If the old cgroup is empty, the next attempt makes a new one.
                    process_cgroup.remove();
                    last = Some(error);
                }
                _ => return Err(error),
            },
        }
    }
    if let Some(error) = last {
        log(Line::SpawnedOutside {
            name: plan.process.clone(),
            error: Errno::from(&error),
        });
    }
    let (pid, pidfd) = spawner.spawn_in(&plan.raw, ends, None)?;
    Ok((pid, pidfd, None))
}

pub(super) fn spawn_refused(name: String, errno: Errno) -> SpawnError {
    match errno.0 {
        libc::EAGAIN => SpawnError::TooManyProcesses { name },
        // No descriptor for its pidfd.
        libc::EMFILE => SpawnError::TooManyFiles { name },
        _ => SpawnError::Fork { name, errno },
    }
}
