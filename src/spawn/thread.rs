//! The interface of the spawner threads, which find commands and make processes one after another. A file system, a
//! name service or a user that holds up one of them delays neither the engine nor a log nor other users' programs.

use std::collections::BTreeSet;
use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;

use super::command::{command_places, resolve_command};
use super::env_files::configured_variables;
use super::message::{CommandJob, SpawnAnswer, SpawnJob};
use super::plan::SpawnBase;
use super::sockets::{FcgiSockets, SharedSocket};
use super::spawn_pool::SpawnPool;
use crate::cgroup::CgroupManager;
use crate::config::spec::ProcessSpec;
use crate::domain::{InstanceId, Line, SpawnError};
use crate::fd_holder::FdStore;
use crate::heartbeat::Heartbeats;
use crate::sys::StagingFds;

/// The start options of the threads.
#[derive(Debug)]
pub struct SpawnOptions {
    /// What all processes inherit.
    pub base: SpawnBase,
    /// The cgroups of processes.
    pub cgroup_manager: CgroupManager,
    /// Sockets of a previous daemon.
    pub inherited: Vec<(SharedSocket, OwnedFd)>,
    /// Where sockets are stored for the next daemon. `None`: they are lost with this one.
    pub fd_store: Option<Arc<FdStore>>,
    /// The monitor of the threads.
    pub heartbeats: Heartbeats,
    /// Descriptors for the first two spawners, reserved before many others were open.
    pub staging: [StagingFds; 2],
}

/// Starts the first thread. `done` is called with each answer, `log` with each line for the activity log; neither may
/// block. Answers come in the order of the jobs, except that spawns precede all others, and that jobs may be held up or
/// wait for such a job.
///
/// Must be called before any thread waits for children of unknown pid (see [`crate::sys::Spawner::staged_in`]).
///
/// # Errors
/// No descriptors, memory or threads.
pub fn start(
    options: SpawnOptions,
    done: impl Fn(SpawnAnswer) + Send + Sync + 'static,
    log: impl Fn(Line) + Send + Sync + 'static,
) -> io::Result<SpawnHandle> {
    let SpawnOptions {
        base,
        cgroup_manager,
        inherited,
        fd_store,
        heartbeats,
        staging,
    } = options;
    let sockets = FcgiSockets::resumed(inherited, fd_store, &mut |line| log(line));
    // The queue is unbounded, but its senders are not: the core has at most one job per instance and one starting
    // instance per slot, and the control handle limits checks. So `send` and the engine never wait.
    let pool = SpawnPool::start(
        base,
        cgroup_manager,
        sockets,
        heartbeats,
        staging,
        Box::new(done),
        Box::new(log),
    )?;
    Ok(SpawnHandle(pool))
}

/// Sends jobs to the spawner threads.
#[derive(Debug)]
pub struct SpawnHandle(Arc<SpawnPool>);

impl SpawnHandle {
    /// Queues a job. Never blocks. Jobs after [`SpawnJob::Stop`] and [`SpawnJob::HandOver`] are dropped.
    pub fn send(&self, job: SpawnJob) {
        self.0.send(job);
    }

    /// Cancels the spawn of `instance`, which was already requested. A spawn that is held up then ends soon; any other
    /// continues. It is answered in any case. Never blocks.
    pub fn call_off(&self, instance: InstanceId) {
        self.0.call_off(instance);
    }

    /// Whether the unknown child `pid` may be the process of one of `instances`, whose spawn was requested and whose
    /// answer was not read yet. Never blocks.
    #[must_use]
    pub fn may_be(&self, instances: &BTreeSet<InstanceId>, pid: i32) -> bool {
        self.0.may_be(instances, pid)
    }

    /// Returns a sender of commands, for another thread.
    #[must_use]
    pub fn command_sender(&self) -> CommandSender {
        CommandSender(self.0.clone())
    }

    /// Returns what finds the executables of commands, for another thread.
    #[must_use]
    pub fn command_finder(&self) -> CommandFinder {
        CommandFinder(self.0.base.clone())
    }

    /// Ends the threads after the queued jobs, and waits until each of these is done or known to be held up. Held-up
    /// children are killed and not waited for.
    pub fn join(self) {
        self.0.stop();
    }
}

/// Sends the commands of scripts to the spawner threads.
#[derive(Debug, Clone)]
pub struct CommandSender(Arc<SpawnPool>);

impl CommandSender {
    /// Queues a command. Never blocks. It is dropped if the threads have ended.
    pub fn send(&self, job: CommandJob) {
        self.0.send(SpawnJob::Command(Box::new(job)));
    }
}

/// Finds the executables of commands as the spawner threads do.
#[derive(Debug, Clone)]
pub struct CommandFinder(SpawnBase);

impl CommandFinder {
    /// Returns the executable of a process. May block on the file system.
    ///
    /// # Errors
    /// There is no such executable, or an env file cannot be read.
    pub fn find(&self, spec: &ProcessSpec) -> Result<PathBuf, SpawnError> {
        let variables = configured_variables(spec, &mut |_| {})?;
        let found = resolve_command(&self.0, spec, &variables)?;
        Ok(found.path)
    }

    /// Returns the files that decide which one is executed, in the order of the search path. The last one exists, if any
    /// of them does. May block on the file system.
    #[must_use]
    pub fn places(&self, spec: &ProcessSpec) -> Vec<PathBuf> {
        let variables = configured_variables(spec, &mut |_| {});
        variables.map_or_else(
            |_| Vec::new(),
            |variables| command_places(&self.0, spec, &variables),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{fcgi, spec};
    use super::super::worker::spawn_refused;
    use super::*;
    use crate::api::Ticket;
    use crate::domain::{Errno, ExitStatus, SpawnError};
    use crate::effects::{SpawnerEffect, SpawnerOutcome};
    use crate::sys::{ChildStdio, Interest, Poller, reap};
    use std::io::Read;
    use std::sync::OnceLock;
    use std::sync::mpsc::{Receiver, channel};
    use std::time::Duration;

    const LIMIT: Duration = Duration::from_secs(20);

    /// One monitor for all tests.
    fn beats() -> Heartbeats {
        static BEATS: OnceLock<Heartbeats> = OnceLock::new();
        let beats = BEATS.get_or_init(|| Heartbeats::start(|_| {}).expect("started"));
        beats.clone()
    }

    fn options(base: SpawnBase) -> SpawnOptions {
        SpawnOptions {
            base,
            cgroup_manager: CgroupManager::default(),
            inherited: Vec::new(),
            fd_store: None,
            heartbeats: beats(),
            staging: std::array::from_fn(|_| StagingFds::reserve().expect("reserved")),
        }
    }

    /// Starts the threads. Returns the handle and the answers.
    fn started(environ: &[(&str, &str)]) -> (SpawnHandle, Receiver<SpawnAnswer>) {
        let (answers, outbox) = channel();
        let environ = environ
            .iter()
            .map(|&(name, value)| (name.into(), value.into()));
        let handle = start(
            options(SpawnBase::new(environ, None, Vec::new())),
            move |done| {
                let _ = answers.send(done);
            },
            |_| {},
        );
        (handle.expect("started"), outbox)
    }

    fn instance(slot: u32) -> InstanceId {
        InstanceId {
            slot,
            incarnation: 1,
        }
    }

    #[test]
    fn a_command_becomes_a_process_and_exits() {
        let (handle, answers) = started(&[("GREETING", "hello")]);
        let next = || answers.recv_timeout(LIMIT).expect("an answer in time");
        handle.send(SpawnJob::Effect(SpawnerEffect::Resolve(
            instance(1),
            Arc::new(spec("sh -c 'read x; echo $GREETING $x; exit 3'", &[])),
        )));
        let SpawnAnswer::Resolved(resolved, plan) = next() else {
            panic!("not resolved");
        };
        assert_eq!(resolved, instance(1));
        let (stdin, mut to_child) = std::io::pipe().expect("pipe");
        let (mut from_child, stdout) = std::io::pipe().expect("pipe");
        let ends = ChildStdio {
            stdin: Some(stdin.into()),
            stdout: stdout.into(),
            stderr: None,
            ready: None,
        };
        handle.send(SpawnJob::Spawn(instance(1), plan, ends, Arc::default()));
        let SpawnAnswer::Spawned(spawned, pid, pidfd, _) = next() else {
            panic!("not spawned");
        };
        assert_eq!(spawned, instance(1));
        std::io::Write::write_all(&mut to_child, b"you\n").expect("written");
        let mut text = String::new();
        from_child.read_to_string(&mut text).expect("read");
        assert_eq!(text, "hello you\n");
        let mut poller = Poller::new().expect("epoll");
        poller.add(&pidfd, 1, Interest::Read).expect("added");
        assert_eq!(poller.wait(Some(LIMIT)).expect("waited").count(), 1);
        assert_eq!(
            reap(&pidfd).expect("reaped"),
            Some((pid, ExitStatus::Exited(3)))
        );
        handle.join();
        assert!(answers.try_recv().is_err());
    }

    #[test]
    fn answers_come_in_the_order_of_jobs_and_before_stop() {
        let (handle, answers) = started(&[]);
        handle.send(SpawnJob::Effect(SpawnerEffect::Resolve(
            instance(1),
            Arc::new(spec("/nonexistent", &[])),
        )));
        handle.send(SpawnJob::Effect(SpawnerEffect::Check(
            Ticket(7),
            Arc::new(spec("/bin/sh", &[])),
        )));
        handle.send(SpawnJob::Effect(SpawnerEffect::Check(
            Ticket(8),
            Arc::new(spec("", &[])),
        )));
        handle.send(SpawnJob::Effect(SpawnerEffect::Resolve(
            instance(2),
            Arc::new(spec("/bin/sh", &[])),
        )));
        handle.join();
        let answers: Vec<SpawnAnswer> = answers.iter().collect();
        let missing = SpawnError::NotFound("/nonexistent".to_owned());
        assert!(
            matches!(&answers[0], SpawnAnswer::Outcome(SpawnerOutcome::Failed { instance: of, error }) if *of == instance(1) && *error == missing)
        );
        assert!(matches!(
            &answers[1],
            SpawnAnswer::Outcome(SpawnerOutcome::Answered {
                ticket: Ticket(7),
                result: Ok(())
            })
        ));
        assert!(matches!(
            &answers[2],
            SpawnAnswer::Outcome(SpawnerOutcome::Answered {
                ticket: Ticket(8),
                result: Err(SpawnError::Empty)
            })
        ));
        assert!(matches!(&answers[3], SpawnAnswer::Resolved(of, _) if *of == instance(2)));
        assert_eq!(answers.len(), 4);
    }

    #[test]
    fn cfg_59_a_process_has_its_socket_as_standard_input_until_it_is_released() {
        let path = std::env::temp_dir().join(format!("spawn-thread-{}", std::process::id()));
        let url = format!("unix://{}", path.display());
        let (answers, outbox) = channel();
        let (lines, log) = channel();
        let handle = start(
            options(SpawnBase::new([], None, Vec::new())),
            move |done| {
                let _ = answers.send(done);
            },
            move |line| {
                let _ = lines.send(line.to_string());
            },
        )
        .expect("started");
        let next = || outbox.recv_timeout(LIMIT).expect("an answer in time");
        // A missing command is reported after the socket was made; its hold on the socket is released.
        let missing = Arc::new(fcgi("g", &url, "/nonexistent"));
        handle.send(SpawnJob::Effect(SpawnerEffect::Resolve(
            instance(1),
            missing,
        )));
        assert!(
            matches!(next(), SpawnAnswer::Outcome(SpawnerOutcome::Failed { instance: of, error: SpawnError::NotFound(_) }) if of == instance(1))
        );
        handle.send(SpawnJob::Effect(SpawnerEffect::Release(instance(1))));
        let command = "sh -c 'readlink /proc/$$/fd/0'";
        handle.send(SpawnJob::Effect(SpawnerEffect::Resolve(
            instance(2),
            Arc::new(fcgi("g", &url, command)),
        )));
        let SpawnAnswer::Resolved(_, plan) = next() else {
            panic!("not resolved");
        };
        let (mut from_child, stdout) = std::io::pipe().expect("pipe");
        let ends = ChildStdio {
            stdin: None,
            stdout: stdout.into(),
            stderr: None,
            ready: None,
        };
        handle.send(SpawnJob::Spawn(instance(2), plan, ends, Arc::default()));
        let SpawnAnswer::Spawned(..) = next() else {
            panic!("not spawned");
        };
        let mut text = String::new();
        from_child.read_to_string(&mut text).expect("read");
        assert!(text.starts_with("socket:["), "{text}");
        std::os::unix::net::UnixStream::connect(&path).expect("it listens");
        handle.send(SpawnJob::Effect(SpawnerEffect::Release(instance(2))));
        handle.join();
        let (made, closed) = (
            format!("Creating socket {url}"),
            format!("Closing socket {url}"),
        );
        let lines: Vec<String> = log.iter().collect();
        assert_eq!(lines, [&made, &closed, &made, &closed].map(String::clone));
        std::fs::remove_file(&path).expect("the file stays");
    }

    #[test]
    fn jobs_after_stop_are_dropped_with_their_descriptors() {
        let (handle, answers) = started(&[]);
        handle.send(SpawnJob::Stop);
        handle.send(SpawnJob::Effect(SpawnerEffect::Check(
            Ticket(1),
            Arc::new(spec("/bin/sh", &[])),
        )));
        handle.join();
        assert_eq!(answers.iter().count(), 0);
    }

    #[test]
    fn prc_13_kernel_errors_have_supervisors_messages() {
        let name = || "x".to_owned();
        for (errno, text) in [
            (
                libc::EAGAIN,
                "Too many processes in process table to spawn 'x'",
            ),
            (libc::EMFILE, "too many open files to spawn 'x'"),
            (libc::ENOMEM, "unknown error during fork for 'x': ENOMEM"),
        ] {
            assert_eq!(spawn_refused(name(), Errno(errno)).to_string(), text);
        }
    }
}
