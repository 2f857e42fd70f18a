//! Creates the streams of an instance: makes its pipes, has its logs opened, and adds it to the reactor's table.

use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::Arc;

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::unistd::pipe2;

use super::Reactor;
use crate::config::spec::{ProcessKind, ProcessSpec};
use crate::domain::{Errno, InstanceId, LogPaths, SpawnError};
use crate::effects::{OutputEffect, OutputOutcome};
use crate::output::instance_io::{GENERATIONS, InstanceIo, Pipes};
use crate::output::job::StreamAct;
use crate::output::open_streams::Opening;
use crate::output::stdin::Stdin;
use crate::output::{OutputCommand, OutputReport};
use crate::sys::ChildStdio;
use crate::sys::safe_open::errno;

impl Reactor {
    /// Makes the pipes and queues the job that opens the logs. `is_early`: see [`OutputEffect::PrepareNext`].
    pub(in crate::output) fn prepare(
        &mut self,
        instance: InstanceId,
        spec: Arc<ProcessSpec>,
        paths: LogPaths,
        is_early: bool,
    ) {
        if let Some(place) = self.places.remove(&instance) {
            self.abandon(place);
        }
        if let Some(before) = self.instance_before(instance, &paths) {
            // The previous instance must finish its output to the same files first.
            let command = match is_early {
                true => OutputCommand::Effect(OutputEffect::PrepareNext(instance, spec, paths)),
                false => OutputCommand::Effect(OutputEffect::Prepare(instance, spec, paths)),
            };
            before.queue.push_back(command);
            return;
        }
        let made = match make_pipes(&spec) {
            Ok(made) => made,
            Err(error) => {
                let report = OutputReport::Outcome(OutputOutcome::PrepareFailed(
                    instance,
                    spawn_error(&spec, error),
                ));
                return (self.shared.report)(report);
            }
        };
        let place = self.insert(instance, &spec, &paths);
        if let Some(run) = &mut self.runs[place as usize] {
            run.pipes = made.pipes;
            run.stdin = made.stdin;
        }
        let ends = made.ends;
        let opening = Opening {
            spec,
            paths,
            ends,
            is_early,
        };
        self.start(place, StreamAct::Open(Box::new(opening)));
    }

    /// Returns the index of a previous instance that is ending and still writes to one of these logs.
    fn instance_before(
        &mut self,
        instance: InstanceId,
        paths: &LogPaths,
    ) -> Option<&mut InstanceIo> {
        let runs = &self.runs;
        let is_one = |&&place: &&u32| {
            let run = runs[place as usize].as_ref();
            run.is_some_and(|run| run.instance.slot == instance.slot && run.shares_log_with(paths))
        };
        let place = *self.draining.iter().find(is_one)?;
        self.runs[place as usize].as_mut()
    }

    /// Adds an instance to the table and returns its index.
    pub(in crate::output) fn insert(
        &mut self,
        instance: InstanceId,
        spec: &ProcessSpec,
        paths: &LogPaths,
    ) -> u32 {
        self.generation = (self.generation + 1) % GENERATIONS;
        let place = match self.free.pop() {
            Some(place) => place,
            None => {
                self.runs.push(None);
                // The number of instances is limited by descriptors, whose numbers have 31 bits.
                u32::try_from(self.runs.len() - 1).unwrap_or(u32::MAX)
            }
        };
        let mut run = InstanceIo::new(instance, spec.name.clone(), paths.clone(), self.generation);
        run.devices = self.stalls.devices_of(paths);
        self.places.insert(instance, place);
        self.runs[place as usize] = Some(run);
        place
    }
}

/// Both ends of the pipes of an instance.
struct NewPipes {
    pipes: Pipes,
    stdin: Stdin,
    ends: ChildStdio,
}

fn make_pipes(spec: &ProcessSpec) -> Result<NewPipes, Errno> {
    let (stdin, stdin_theirs) = match spec.kind {
        // An fcgi program has its socket in place of standard input. Writing to it fails as if it were closed, as in
        // Supervisor.
        ProcessKind::Fcgi(_) => (Stdin::closed(), None),
        ProcessKind::Program | ProcessKind::Listener => {
            let (theirs, ours) = pipe2(OFlag::O_CLOEXEC).map_err(errno)?;
            not_blocking(&ours)?;
            (Stdin::new(ours), Some(theirs))
        }
    };
    let output = || {
        let (ours, theirs) = pipe2(OFlag::O_CLOEXEC).map_err(errno)?;
        not_blocking(&ours)?;
        Ok::<_, Errno>((Arc::new(ours), theirs))
    };
    let (stdout, stdout_theirs) = output()?;
    let (stderr, stderr_theirs) = match spec.redirect_stderr {
        true => None,
        false => Some(output()?),
    }
    .unzip();
    Ok(NewPipes {
        pipes: [Some(stdout), stderr],
        stdin,
        ends: ChildStdio {
            stdin: stdin_theirs,
            stdout: stdout_theirs,
            stderr: stderr_theirs,
            ready: None,
        },
    })
}

fn not_blocking(fd: &OwnedFd) -> Result<(), Errno> {
    fcntl(fd.as_fd(), FcntlArg::F_SETFL(OFlag::O_NONBLOCK))
        .map(drop)
        .map_err(errno)
}

pub(in crate::output) fn spawn_error(spec: &ProcessSpec, error: Errno) -> SpawnError {
    let name = spec.name.as_str().to_owned();
    if error.0 == nix::errno::Errno::EMFILE as i32 {
        SpawnError::TooManyFiles { name }
    } else {
        SpawnError::Dispatchers { name, errno: error }
    }
}
