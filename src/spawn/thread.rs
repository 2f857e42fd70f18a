//! The spawn thread: finds commands and makes processes, one after another, so that a file system or a name service that
//! hangs stalls neither the engine nor a log.

use std::io;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

use super::command;
use super::message::{Done, Job};
use super::plan::{Base, Plan};
use crate::domain::{Errno, SpawnError};
use crate::sys::{ChildEnds, Spawner};

/// Starts the thread. `done` is called on it with each answer, in the order of the jobs; it must not block.
///
/// To be called before many descriptors are open and before anybody waits for children of unknown pid (see
/// [`Spawner::new`]).
///
/// # Errors
/// No descriptors, memory or threads to be had.
pub fn start(base: Base, done: impl Fn(Done) + Send + 'static) -> io::Result<SpawnHandle> {
    let spawner = Spawner::new()?;
    // Not bounded by the channel but by who sends: the core has at most one job out per life and one life in the making
    // per slot, and checks are bounded by the questions that the control handle lets into the engine. So `send` need
    // never wait, and the engine never does.
    let (jobs, inbox) = channel();
    let thread = std::thread::Builder::new()
        .name("spawn".to_owned())
        .spawn(move || run(&base, spawner, &inbox, &done))?;
    Ok(SpawnHandle { jobs, thread })
}

/// Gives jobs to the spawn thread.
#[derive(Debug)]
pub struct SpawnHandle {
    jobs: Sender<Job>,
    thread: JoinHandle<()>,
}

impl SpawnHandle {
    /// Queues a job; never blocks. Jobs after [`Job::Stop`] are dropped.
    pub fn send(&self, job: Job) {
        let _ = self.jobs.send(job);
    }

    /// Ends the thread after the jobs that are queued, and waits for its end: as long as the slowest of them.
    pub fn join(self) {
        let _ = self.jobs.send(Job::Stop);
        // A panic in there has been reported by its own hook.
        let _ = self.thread.join();
    }
}

fn run(base: &Base, mut spawner: Spawner, inbox: &Receiver<Job>, done: &dyn Fn(Done)) {
    for job in inbox {
        match job {
            Job::Resolve(life, spec) => done(match Plan::new(base, &spec) {
                Ok(plan) => Done::Resolved(life, Box::new(plan)),
                Err(error) => Done::Failed(life, error),
            }),
            Job::Check(ticket, spec) => {
                done(Done::Checked(ticket, command::find(base, &spec).map(drop)));
            }
            Job::Spawn(life, plan, ends) => done(match spawn(&mut spawner, &plan, ends) {
                Ok((pid, pidfd)) => Done::Spawned(life, pid, pidfd),
                Err(error) => Done::Failed(life, error),
            }),
            Job::Stop => return,
        }
    }
}

fn spawn(
    spawner: &mut Spawner,
    plan: &Plan,
    ends: ChildEnds,
) -> Result<(i32, std::os::fd::OwnedFd), SpawnError> {
    spawner.spawn(&plan.raw, ends).map_err(|error| {
        let name = plan.name.clone();
        match Errno::from(error) {
            Errno(libc::EAGAIN) => SpawnError::TooManyProcesses { name },
            // There was no descriptor for its pidfd.
            Errno(libc::EMFILE) => SpawnError::TooManyFiles { name },
            errno => SpawnError::Fork { name, errno },
        }
    })
}
