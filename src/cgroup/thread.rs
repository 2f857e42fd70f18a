//! The cgroup thread: it empties cgroups, waits for that, and removes them. Killing a thousand processes or reclaiming
//! the memory of one occupies the kernel for a while, and neither the core nor a spawn may wait for that.

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

/// The epoll token of the job queue. Those of cgroups are above it.
const TOKEN_JOBS: u64 = 0;
/// Interval of repeated kills while a cgroup is emptied: a privileged process may have moved another one in.
const KILL_EVERY: Duration = Duration::from_millis(100);
/// How long to watch a cgroup that does not become empty, because its processes wait for a dead disk. The core has
/// stopped waiting long before.
const WATCH: Duration = Duration::from_secs(60);

/// Sends jobs to the thread.
#[derive(Debug)]
pub struct CgroupHandle {
    jobs: Sender<CgroupJob>,
    waker: Waker,
    thread: Option<JoinHandle<()>>,
}

impl CgroupHandle {
    /// Queues a job. Never blocks.
    pub fn send(&self, job: CgroupJob) {
        // The channel is unbounded, but its senders are not: one job per end of an instance, and one per change of its
        // limits.
        if self.jobs.send(job).is_ok() {
            self.waker.wake();
        }
    }
}

impl Drop for CgroupHandle {
    /// Ends the thread after the queued jobs and waits for it. Cgroups that are being emptied are abandoned.
    fn drop(&mut self) {
        self.send(CgroupJob::Stop);
        if let Some(thread) = self.thread.take() {
            // The panic hook has already reported a panic.
            let _ = thread.join();
        }
    }
}

/// Starts the thread, which `heartbeats` watches. `done` is called on it with each answer, `log` with each line for the
/// activity log; neither may block.
///
/// # Errors
/// No descriptors, memory or threads.
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

/// A cgroup that is being emptied.
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
                        // If the cgroup is gone with its process, there is nothing to limit.
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
        // The cgroup is gone with all its processes: an administrator removed it, or the scope vanished.
        let Ok(cgroup) = process_cgroup.open() else {
            self.answer(instance, ResourceEvents::NONE);
            return;
        };
        // Collect before killing, so that the kills do not count.
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
        // If it cannot be watched, the periodic check still notices.
        let _ = self.poller.add(&population, token, Interest::Change);
        let emptying = EmptyingCgroup {
            instance,
            process_cgroup,
            cgroup,
            population,
            resource_events,
            since: Instant::now(),
        };
        // If the kernel refuses, the next round tries again.
        let _ = emptying.cgroup.kill();
        self.emptying.insert(token, emptying);
        self.check_population(token);
    }

    /// Checks whether the cgroup of this token is empty by now.
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
        // ENOENT if it was never added.
        let _ = self.poller.remove(&one.population);
        if !is_populated {
            self.answer(one.instance, one.resource_events);
            one.process_cgroup.remove();
        }
    }
}
