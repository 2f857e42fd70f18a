//! The spawn thread: finds commands and makes processes, one after another, so that a file system or a name service that
//! hangs stalls neither the engine nor a log.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvError, Sender, TryRecvError, channel};
use std::thread::JoinHandle;

use super::command;
use super::message::{Done, Job};
use super::plan::{Base, Plan};
use super::sockets::{SharedSocket, Sockets};
use crate::cgroup::{Lodging, Seat};
use crate::config::spec::{ProcessKind, Resources};
use crate::domain::{Errno, Line, SpawnError};
use crate::heartbeat::Heartbeats;
use crate::keeper::Vault;
use crate::sys::{self, ChildEnds, Spawner};

/// Starts the thread, with the sockets that a predecessor has left; `vault` keeps those that are open for a successor.
/// `done` is called on it with each answer, in the order of the jobs, `log` with each line for the activity log; neither may
/// block.
///
/// To be called before many descriptors are open and before anybody waits for children of unknown pid (see
/// [`Spawner::new`]).
///
/// # Errors
/// No descriptors, memory or threads to be had.
pub fn start(
    base: Base,
    lodging: Lodging,
    inherited: Vec<(SharedSocket, OwnedFd)>,
    vault: Option<Arc<Vault>>,
    heartbeats: Heartbeats,
    done: impl Fn(Done) + Send + 'static,
    mut log: impl FnMut(Line) + Send + 'static,
) -> io::Result<SpawnHandle> {
    let spawner = Spawner::new()?;
    // Not bounded by the channel but by who sends: the core has at most one job out per life and one life in the making
    // per slot, and checks are bounded by the questions that the control handle lets into the engine. So `send` need
    // never wait, and the engine never does.
    let (jobs, inbox) = channel();
    let thread = std::thread::Builder::new()
        .name("spawn".to_owned())
        .spawn(move || {
            let _heartbeat = heartbeats.register_end("spawn");
            let sockets = Sockets::resumed(inherited, vault, &mut log);
            run(&base, &lodging, spawner, sockets, &inbox, &done, &mut log);
        })?;
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

/// Jobs after which free memory is given back, at the next moment without a job.
const GIVE_BACK_JOBS: usize = 256;

fn run(
    base: &Base,
    lodging: &Lodging,
    mut spawner: Spawner,
    mut sockets: Sockets,
    inbox: &Receiver<Job>,
    done: &dyn Fn(Done),
    log: &mut dyn FnMut(Line),
) {
    let mut jobs_since = 0;
    loop {
        let job = match inbox.try_recv() {
            Ok(job) => job,
            Err(TryRecvError::Disconnected) => return,
            Err(TryRecvError::Empty) => {
                // The plans of a thousand starts leave 2.5 MB of holes behind.
                if jobs_since >= GIVE_BACK_JOBS {
                    jobs_since = 0;
                    sys::give_back();
                }
                match inbox.recv() {
                    Ok(job) => job,
                    Err(RecvError) => return,
                }
            }
        };
        jobs_since += 1;
        match job {
            Job::Resolve(life, spec) => {
                let held = match &spec.kind {
                    // First, as in Supervisor: a command that is missing is told after the socket was made.
                    ProcessKind::Fcgi(socket) => sockets.hold(life, &spec.group, socket, log),
                    ProcessKind::Program | ProcessKind::Listener => Ok(()),
                };
                done(match held.and_then(|()| Plan::new(base, &spec)) {
                    Ok(plan) => Done::Resolved(life, Box::new(plan)),
                    Err(error) => Done::Failed(life, error),
                });
            }
            Job::Check(ticket, spec) => {
                done(Done::Checked(ticket, command::find(base, &spec).map(drop)));
            }
            Job::Spawn(life, mut plan, mut ends, resources) => {
                ends.ready = plan.ready.take();
                let refused = |error| refusal(plan.name.clone(), Errno::from(error));
                let lent = sockets.lend(life, &mut ends).map_err(refused);
                let mut spawn = |()| {
                    let spawned = spawn(&mut spawner, lodging, &plan, &ends, &resources, log);
                    spawned.map_err(refused)
                };
                done(match lent.and_then(&mut spawn) {
                    Ok((pid, pidfd, seat)) => Done::Spawned(life, pid, pidfd, seat),
                    Err(error) => Done::Failed(life, error),
                });
            }
            Job::Release(life) => sockets.release(life, log),
            Job::TrySockets(ticket, group) => {
                done(Done::SocketsTried(ticket, sockets.try_group(&group, log)));
            }
            Job::HandOver => return done(Done::HandedOver(sockets.hand_over())),
            Job::Stop => return,
        }
    }
}

/// Spawns it in its cgroup, where there are any. That may be gone at any moment (with its scope, or because the thread of
/// cgroups has just removed what the last life left): then it is made again, once. A cgroup that takes no process, as its
/// own program can make it, keeps no program from running.
fn spawn(
    spawner: &mut Spawner,
    lodging: &Lodging,
    plan: &Plan,
    ends: &ChildEnds,
    resources: &Resources,
    log: &mut dyn FnMut(Line),
) -> io::Result<(i32, OwnedFd, Option<Seat>)> {
    let mut last = None;
    for _ in 0..2 {
        let Some((seat, cgroup)) = lodging.seat(&plan.cgroup, resources, log)? else {
            break;
        };
        match spawner.spawn_in(&plan.raw, ends, Some(&cgroup)) {
            Ok((pid, pidfd)) => return Ok((pid, pidfd, Some(seat))),
            Err(error) => match error.raw_os_error() {
                Some(
                    libc::ENOENT | libc::ENODEV | libc::EBUSY | libc::EOPNOTSUPP | libc::EACCES,
                ) => last = Some(error),
                _ => return Err(error),
            },
        }
    }
    if let Some(error) = last {
        log(Line::SpawnedOutside {
            name: plan.name.clone(),
            error: Errno::from(&error),
        });
    }
    let (pid, pidfd) = spawner.spawn_in(&plan.raw, ends, None)?;
    Ok((pid, pidfd, None))
}

fn refusal(name: String, errno: Errno) -> SpawnError {
    match errno.0 {
        libc::EAGAIN => SpawnError::TooManyProcesses { name },
        // There was no descriptor for its pidfd.
        libc::EMFILE => SpawnError::TooManyFiles { name },
        _ => SpawnError::Fork { name, errno },
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{fcgi, spec};
    use super::*;
    use crate::api::Ticket;
    use crate::domain::{ExitStatus, Life};
    use crate::sys::{Interest, Poller, reap};
    use std::io::Read;
    use std::time::Duration;

    const LIMIT: Duration = Duration::from_secs(20);

    /// A thread, and its answers.
    fn started(environ: &[(&str, &str)]) -> (SpawnHandle, Receiver<Done>) {
        let (answers, outbox) = channel();
        let environ = environ
            .iter()
            .map(|&(name, value)| (name.into(), value.into()));
        let base = Base::new(environ, None, Vec::new());
        let handle = start(
            base,
            Lodging::default(),
            Vec::new(),
            None,
            Heartbeats::of_tests(),
            move |done| {
                let _ = answers.send(done);
            },
            |_| {},
        );
        (handle.expect("started"), outbox)
    }

    fn life(slot: u32) -> Life {
        Life {
            slot,
            incarnation: 1,
        }
    }

    #[test]
    fn a_command_becomes_a_process_and_ends() {
        let (handle, answers) = started(&[("GREETING", "hello")]);
        let next = || answers.recv_timeout(LIMIT).expect("an answer in time");
        handle.send(Job::Resolve(
            life(1),
            Arc::new(spec("sh -c 'read x; echo $GREETING $x; exit 3'", &[])),
        ));
        let Done::Resolved(resolved, plan) = next() else {
            panic!("not resolved");
        };
        assert_eq!(resolved, life(1));
        let (stdin, mut to_child) = std::io::pipe().expect("pipe");
        let (mut from_child, stdout) = std::io::pipe().expect("pipe");
        let ends = ChildEnds {
            stdin: Some(stdin.into()),
            stdout: stdout.into(),
            stderr: None,
            ready: None,
        };
        handle.send(Job::Spawn(life(1), plan, ends, Arc::default()));
        let Done::Spawned(spawned, pid, pidfd, _) = next() else {
            panic!("not spawned");
        };
        assert_eq!(spawned, life(1));
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
    fn answers_come_in_the_order_of_the_jobs_and_all_before_the_end() {
        let (handle, answers) = started(&[]);
        handle.send(Job::Resolve(life(1), Arc::new(spec("/nonexistent", &[]))));
        handle.send(Job::Check(Ticket(7), Arc::new(spec("/bin/sh", &[]))));
        handle.send(Job::Check(Ticket(8), Arc::new(spec("", &[]))));
        handle.send(Job::Resolve(life(2), Arc::new(spec("/bin/sh", &[]))));
        handle.join();
        let answers: Vec<Done> = answers.iter().collect();
        let missing = SpawnError::NotFound("/nonexistent".to_owned());
        assert!(
            matches!(&answers[0], Done::Failed(of, error) if *of == life(1) && *error == missing)
        );
        assert!(matches!(&answers[1], Done::Checked(Ticket(7), Ok(()))));
        assert!(matches!(
            &answers[2],
            Done::Checked(Ticket(8), Err(SpawnError::Empty))
        ));
        assert!(matches!(&answers[3], Done::Resolved(of, _) if *of == life(2)));
        assert_eq!(answers.len(), 4);
    }

    #[test]
    fn cfg_59_a_process_has_its_socket_as_standard_input_until_it_is_released() {
        let path = std::env::temp_dir().join(format!("spawn-thread-{}", std::process::id()));
        let url = format!("unix://{}", path.display());
        let (answers, outbox) = channel();
        let (lines, log) = channel();
        let handle = start(
            Base::new([], None, Vec::new()),
            Lodging::default(),
            Vec::new(),
            None,
            Heartbeats::of_tests(),
            move |done| {
                let _ = answers.send(done);
            },
            move |line| {
                let _ = lines.send(line.to_string());
            },
        )
        .expect("started");
        let next = || outbox.recv_timeout(LIMIT).expect("an answer in time");
        // A command that is missing is told after the socket was made; what it held goes back.
        let missing = Arc::new(fcgi("g", &url, "/nonexistent"));
        handle.send(Job::Resolve(life(1), missing));
        assert!(matches!(next(), Done::Failed(of, SpawnError::NotFound(_)) if of == life(1)));
        handle.send(Job::Release(life(1)));
        let command = "sh -c 'readlink /proc/$$/fd/0'";
        handle.send(Job::Resolve(life(2), Arc::new(fcgi("g", &url, command))));
        let Done::Resolved(_, plan) = next() else {
            panic!("not resolved");
        };
        let (mut from_child, stdout) = std::io::pipe().expect("pipe");
        let ends = ChildEnds {
            stdin: None,
            stdout: stdout.into(),
            stderr: None,
            ready: None,
        };
        handle.send(Job::Spawn(life(2), plan, ends, Arc::default()));
        let Done::Spawned(..) = next() else {
            panic!("not spawned");
        };
        let mut text = String::new();
        from_child.read_to_string(&mut text).expect("read");
        assert!(text.starts_with("socket:["), "{text}");
        std::os::unix::net::UnixStream::connect(&path).expect("it listens");
        handle.send(Job::Release(life(2)));
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
        handle.send(Job::Stop);
        handle.send(Job::Check(Ticket(1), Arc::new(spec("/bin/sh", &[]))));
        handle.join();
        assert_eq!(answers.iter().count(), 0);
    }

    #[test]
    fn prc_13_refusals_of_the_kernel_have_their_texts() {
        let name = || "x".to_owned();
        for (errno, text) in [
            (
                libc::EAGAIN,
                "Too many processes in process table to spawn 'x'",
            ),
            (libc::EMFILE, "too many open files to spawn 'x'"),
            (libc::ENOMEM, "unknown error during fork for 'x': ENOMEM"),
        ] {
            assert_eq!(refusal(name(), Errno(errno)).to_string(), text);
        }
    }
}
