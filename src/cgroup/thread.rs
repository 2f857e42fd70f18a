//! The thread of cgroups: it empties them, waits for that, and removes them. Killing a thousand processes, or taking
//! memory away from one, keeps the kernel busy for a while, and neither a decision nor a spawn is to wait for it.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::message::{CgroupEmptied, CgroupJob};
use super::process_cgroup::{self, ProcessCgroup};
use crate::domain::{InstanceId, Line, ResourceEvents};
use crate::heartbeat::Heartbeats;
use crate::sys::{Cgroup, Interest, Poller, Population, Waker};

/// Epoll token of the job queue; those of cgroups are above it.
const TOKEN_JOBS: u64 = 0;
/// How often what is being emptied is killed again: a process with the right to may have moved another in.
const KILL_EVERY: Duration = Duration::from_millis(100);
/// How long one is watched that does not become empty, for its processes wait for a dead disk. Whoever asked has stopped
/// waiting long before.
const WATCH: Duration = Duration::from_secs(60);

/// Gives jobs to the thread.
#[derive(Debug)]
pub struct CgroupHandle {
    jobs: Sender<CgroupJob>,
    waker: Waker,
    thread: Option<JoinHandle<()>>,
}

impl CgroupHandle {
    /// Queues a job; never blocks.
    pub fn send(&self, job: CgroupJob) {
        // Not bounded by the channel but by who sends: one job per end of an instance, and one per change of its limits.
        if self.jobs.send(job).is_ok() {
            self.waker.wake();
        }
    }
}

impl Drop for CgroupHandle {
    /// Ends the thread after the jobs that are queued, and waits for its end. What is being emptied is left.
    fn drop(&mut self) {
        self.send(CgroupJob::Stop);
        if let Some(thread) = self.thread.take() {
            // A panic in there has been reported by its own hook.
            let _ = thread.join();
        }
    }
}

/// Starts the thread, whose end `heartbeats` watches. `done` is called on it with each answer, `log` with each line for the activity log; neither may
/// block.
///
/// # Errors
/// No descriptors, memory or threads to be had.
pub fn start(
    heartbeats: Heartbeats,
    done: impl Fn(CgroupEmptied) + Send + 'static,
    log: impl Fn(Line) + Send + 'static,
) -> io::Result<CgroupHandle> {
    let poller = Poller::new()?;
    let waker = Waker::new(&poller, TOKEN_JOBS)?;
    let (jobs, inbox) = channel();
    let mut room = CgroupThread {
        poller,
        emptying: BTreeMap::new(),
        next_token: TOKEN_JOBS + 1,
        done: Box::new(done),
        log: Box::new(log),
    };
    let own = waker.clone();
    let thread = std::thread::Builder::new()
        .name("cgroups".to_owned())
        .spawn(move || {
            let _heartbeat = heartbeats.register_end("cgroups");
            room.run(&inbox, &own);
        })?;
    Ok(CgroupHandle {
        jobs,
        waker,
        thread: Some(thread),
    })
}

/// One that is to become empty.
struct EmptyingCgroup {
    instance: InstanceId,
    process_cgroup: Arc<ProcessCgroup>,
    cgroup: Cgroup,
    population: Population,
    resource_events: ResourceEvents,
    since: Instant,
}

struct CgroupThread {
    poller: Poller,
    emptying: BTreeMap<u64, EmptyingCgroup>,
    next_token: u64,
    done: Box<dyn Fn(CgroupEmptied) + Send>,
    log: Box<dyn Fn(Line) + Send>,
}

impl CgroupThread {
    fn run(&mut self, inbox: &Receiver<CgroupJob>, waker: &Waker) {
        loop {
            waker.reset();
            loop {
                match inbox.try_recv() {
                    Ok(CgroupJob::Empty {
                        instance,
                        process_cgroup,
                        kill,
                    }) => self.start_emptying(instance, process_cgroup, kill),
                    Ok(CgroupJob::Remove(process_cgroup)) => process_cgroup.remove(),
                    Ok(CgroupJob::Limit(process_cgroup, resources)) => {
                        // Gone with its process: nothing is to be limited any more.
                        for (setting, error) in
                            process_cgroup.change_limits(&resources).unwrap_or_default()
                        {
                            (self.log)(process_cgroup::limit_refused(
                                &process_cgroup.process,
                                &setting,
                                &error,
                            ));
                        }
                    }
                    Ok(CgroupJob::Stop) | Err(TryRecvError::Disconnected) => return,
                    Err(TryRecvError::Empty) => break,
                }
            }
            let timeout = (!self.emptying.is_empty()).then_some(KILL_EVERY);
            let Ok(ready) = self.poller.wait(timeout) else {
                return;
            };
            let mut tokens: Vec<u64> = ready.map(|ready| ready.token).collect();
            if tokens.is_empty() {
                tokens.extend(self.emptying.keys());
            }
            for token in tokens {
                self.check_population(token);
            }
        }
    }

    fn answer(&self, instance: InstanceId, resource_events: ResourceEvents) {
        (self.done)(CgroupEmptied {
            instance,
            resource_events,
        });
    }

    fn start_emptying(
        &mut self,
        instance: InstanceId,
        process_cgroup: Arc<ProcessCgroup>,
        kill: bool,
    ) {
        // Gone, with all that was in it: by the hand of an administrator, or with the scope.
        let Ok(cgroup) = process_cgroup.open() else {
            self.answer(instance, ResourceEvents::NONE);
            return;
        };
        // Before the killing, which is no cause of anything.
        let resource_events = process_cgroup.resource_events(&cgroup);
        let population = match cgroup.population() {
            Ok(population) if kill && population.is_populated().unwrap_or(false) => population,
            _ => {
                self.answer(instance, resource_events);
                process_cgroup.remove();
                return;
            }
        };
        (self.log)(Line::LeftBehind {
            name: process_cgroup.process.clone(),
            count: cgroup.count(),
        });
        let token = self.next_token;
        self.next_token += 1;
        // Not watched, it is looked at every now and then all the same.
        let _ = self.poller.add(&population, token, Interest::Change);
        let emptying = EmptyingCgroup {
            instance,
            process_cgroup,
            cgroup,
            population,
            resource_events,
            since: Instant::now(),
        };
        // What the kernel refuses now is tried again.
        let _ = emptying.cgroup.kill();
        self.emptying.insert(token, emptying);
        self.check_population(token);
    }

    /// Goes on with one, if there is one of this token.
    fn check_population(&mut self, token: u64) {
        let Some(one) = self.emptying.get(&token) else {
            return;
        };
        let is_populated = one.population.is_populated().unwrap_or(false);
        let is_over = one.since.elapsed() > WATCH;
        if is_populated && !is_over {
            let _ = one.cgroup.kill();
            return;
        }
        let Some(one) = self.emptying.remove(&token) else {
            return;
        };
        // ENOENT where it could not be added.
        let _ = self.poller.remove(&one.population);
        if !is_populated {
            self.answer(one.instance, one.resource_events);
            one.process_cgroup.remove();
        }
    }
}
