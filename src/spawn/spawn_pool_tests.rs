//! Starts that are held up. A write lease on the command file holds them up.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, channel};

use super::*;
use crate::api::Ticket;
use crate::config::spec::{ConfiguredUser, ProcessSpec};
use crate::domain::{ProcessName, Signal};
use crate::effects::{SpawnerEffect, SpawnerOutcome};
use crate::spawn::testing::spec;
use crate::sys::ChildStdio;
use crate::sys::lease::FileLease;

const LIMIT: Duration = Duration::from_secs(20);

/// A command file that a lease can hold up, removed when dropped.
struct Script(PathBuf);

impl Script {
    fn new(name: &str) -> Self {
        let name = format!("spawn-pool-{name}-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::write(&path, "#!/bin/sh\nexit 7\n").expect("written");
        fs::set_permissions(&path, Permissions::from_mode(0o755)).expect("mode");
        Self(path)
    }

    fn lease(&self) -> FileLease {
        // Forks of other tests may have the file open for a moment.
        let limit = std::time::Instant::now() + LIMIT;
        loop {
            match FileLease::acquire(&self.0) {
                Ok(lease) => return lease,
                Err(error) => {
                    assert!(std::time::Instant::now() < limit, "no lease: {error}");
                    std::thread::yield_now();
                }
            }
        }
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

struct Bench {
    pool: Arc<SpawnPool>,
    answers: Receiver<SpawnAnswer>,
}

impl Bench {
    fn new() -> Self {
        let (answers, outbox) = channel();
        let pool = SpawnPool::start(
            SpawnBase::new([], None, Vec::new()),
            CgroupManager::default(),
            FcgiSockets::default(),
            Heartbeats::start(|_| {}).expect("started"),
            std::array::from_fn(|_| StagingFds::reserve().expect("reserved")),
            Box::new(move |done| {
                let _ = answers.send(done);
            }),
            Box::new(|_| {}),
        );
        Self {
            pool: pool.expect("started"),
            answers: outbox,
        }
    }

    /// Ends the threads.
    fn stop(&self) {
        self.pool.stop();
        self.pool.heartbeats.stop();
    }

    fn next(&self) -> SpawnAnswer {
        self.answers.recv_timeout(LIMIT).expect("an answer in time")
    }

    fn resolve(&self, slot: u32, spec: ProcessSpec) -> Box<crate::spawn::SpawnPlan> {
        self.pool.send(SpawnJob::Effect(SpawnerEffect::Resolve(
            instance(slot),
            Arc::new(spec),
        )));
        match self.next() {
            SpawnAnswer::Resolved(of, plan) if of == instance(slot) => plan,
            other => panic!("{other:?}"),
        }
    }

    fn spawn(&self, slot: u32, plan: Box<crate::spawn::SpawnPlan>) {
        let (_, stdout) = io::pipe().expect("pipe");
        let ends = ChildStdio {
            stdin: None,
            stdout: stdout.into(),
            stderr: None,
            ready: None,
        };
        let job = SpawnJob::Spawn(instance(slot), plan, ends, Arc::default());
        self.pool.send(job);
    }

    /// Expects that the process of `slot` was spawned.
    fn spawned(&self, slot: u32) -> std::os::fd::OwnedFd {
        match self.next() {
            SpawnAnswer::Spawned(of, _, pidfd, _) if of == instance(slot) => pidfd,
            other => panic!("{other:?}"),
        }
    }

    /// Expects that the start of `slot` is held up.
    fn held(&self, slot: u32) -> String {
        match self.next() {
            SpawnAnswer::Outcome(SpawnerOutcome::Held { instance: of, why })
                if of == instance(slot) =>
            {
                why
            }
            other => panic!("{other:?}"),
        }
    }

    fn child_of(&self, slot: u32) -> crate::sys::PendingChild {
        let state = self.pool.state();
        let mut aside = state.aside.iter();
        let found = aside.find(|aside| aside.subject.instance() == Some(instance(slot)));
        found.expect("set aside").worker.child.clone()
    }
}

fn instance(slot: u32) -> InstanceId {
    InstanceId {
        slot,
        incarnation: 1,
    }
}

/// The process `name` of another user (`uid`), or of the daemon's.
fn of(name: &str, uid: Option<u32>, command: &str) -> ProcessSpec {
    ProcessSpec {
        name: ProcessName::parse(name).expect("valid"),
        user: uid.map(|uid| ConfiguredUser {
            name: uid.to_string(),
            uid,
            gid: None,
        }),
        ..spec(command, &[])
    }
}

fn path(script: &Script) -> &str {
    script.0.to_str().expect("utf-8")
}

/// The jobs of a queue in order, as short words.
fn emptied(queue: &mut JobQueue) -> Vec<String> {
    let word = |job: SpawnJob| match job {
        SpawnJob::Effect(SpawnerEffect::Resolve(instance, _)) => {
            format!("resolve {}", instance.slot)
        }
        SpawnJob::Spawn(instance, ..) => format!("spawn {}", instance.slot),
        SpawnJob::Effect(SpawnerEffect::Release(instance)) => format!("release {}", instance.slot),
        SpawnJob::Effect(SpawnerEffect::Check(..)) => "check".to_owned(),
        SpawnJob::Effect(SpawnerEffect::TrySockets(..)) => "try".to_owned(),
        SpawnJob::Command(_) => "command".to_owned(),
        SpawnJob::HandOver => "hand over".to_owned(),
        SpawnJob::Stop => "stop".to_owned(),
    };
    std::iter::from_fn(|| queue.pop()).map(word).collect()
}

#[test]
fn spawns_go_first_and_no_job_follows_a_handoff() {
    let resolve = |slot| {
        SpawnJob::Effect(SpawnerEffect::Resolve(
            instance(slot),
            Arc::new(of("a", None, "/bin/true")),
        ))
    };
    let spawn = |slot| {
        let base = SpawnBase::new([], None, Vec::new());
        let plan = crate::spawn::SpawnPlan::new(&base, &of("a", None, "/bin/true"), &mut |_| {});
        let ends = ChildStdio {
            stdin: None,
            stdout: io::pipe().expect("pipe").1.into(),
            stderr: None,
            ready: None,
        };
        let plan = Box::new(plan.expect("planned"));
        SpawnJob::Spawn(instance(slot), plan, ends, Arc::default())
    };
    let mut queue = JobQueue::default();
    for job in [
        resolve(1),
        resolve(2),
        spawn(3),
        SpawnJob::Effect(SpawnerEffect::Release(instance(4))),
        spawn(5),
    ] {
        queue.push(job);
    }
    // Parked jobs return before all others of their kind, in their order.
    queue.put_back([spawn(6), resolve(7), spawn(8), resolve(9)].into());
    queue.push(SpawnJob::HandOver);
    for job in [spawn(10), resolve(11), SpawnJob::Stop] {
        queue.push(job);
    }
    assert_eq!(
        emptied(&mut queue),
        [
            "spawn 6",
            "spawn 8",
            "spawn 3",
            "spawn 5",
            "resolve 7",
            "resolve 9",
            "resolve 1",
            "resolve 2",
            "release 4",
            "hand over",
        ]
    );
}

#[test]
fn a_delayed_spawn_delays_only_its_own_process() {
    let script = Script::new("waits");
    let bench = Bench::new();
    let held = bench.resolve(1, of("a", None, path(&script)));
    let same = bench.resolve(2, of("a", None, "/bin/true"));
    let other = bench.resolve(3, of("b", None, "/bin/true"));
    let lease = script.lease();
    bench.spawn(1, held);
    assert!(bench.held(1).contains("lease"));
    bench.spawn(2, same);
    assert_eq!(bench.held(2), "waiting for the start of a");
    bench.spawn(3, other);
    sys::end_child(&bench.spawned(3));
    // A check is answered at once.
    bench.pool.send(SpawnJob::Effect(SpawnerEffect::Check(
        Ticket(1),
        Arc::new(of("a", None, path(&script))),
    )));
    assert!(matches!(
        bench.next(),
        SpawnAnswer::Outcome(SpawnerOutcome::Answered {
            ticket: Ticket(1),
            result: Ok(())
        })
    ));
    // An unknown child does not match, unless it has exactly that pid.
    let pid = bench.child_of(1).pid().expect("made");
    let instances = BTreeSet::from([instance(1), instance(2)]);
    assert!(bench.pool.may_be(&instances, pid));
    assert!(!bench.pool.may_be(&instances, pid + 1));
    assert!(bench.pool.may_be(&BTreeSet::from([instance(9)]), pid + 1));
    drop(lease);
    let first = bench.spawned(1);
    let second = bench.spawned(2);
    for pidfd in [first, second] {
        sys::end_child(&pidfd);
    }
    bench.stop();
}

#[test]
fn a_stopped_child_is_continued_and_then_killed() {
    let script = Script::new("stopped");
    let bench = Bench::new();
    let plan = bench.resolve(1, of("a", None, path(&script)));
    let lease = script.lease();
    bench.spawn(1, plan);
    assert!(bench.held(1).contains("lease"));
    let stop = Signal::from_number(19).expect("a signal");
    bench.child_of(1).signal(stop).expect("sent");
    assert!(bench.held(1).contains("SIGCONT"));
    bench.child_of(1).signal(stop).expect("sent");
    assert!(bench.held(1).contains("killed"));
    let pidfd = bench.spawned(1);
    drop(lease);
    // The spawner continues when the child releases its memory, shortly before the child can be reaped.
    let limit = std::time::Instant::now() + LIMIT;
    let status = loop {
        if let Some((_, status)) = crate::sys::reap(&pidfd).expect("ours") {
            break status;
        }
        assert!(std::time::Instant::now() < limit, "it lives");
        std::thread::yield_now();
    };
    assert_eq!(status.to_string(), "terminated by SIGKILL");
    bench.stop();
}

#[test]
fn a_cancelled_spawn_ends() {
    let script = Script::new("called-off");
    let bench = Bench::new();
    let first = bench.resolve(1, of("a", None, path(&script)));
    let second = bench.resolve(2, of("a", None, "/bin/true"));
    let _lease = script.lease();
    bench.spawn(1, first);
    // Before the start is known to be held up, and after a job was parked.
    bench.pool.call_off(instance(1));
    bench.held(1);
    sys::end_child(&bench.spawned(1));
    let first = bench.resolve(3, of("a", None, path(&script)));
    bench.spawn(3, first);
    bench.held(3);
    bench.spawn(2, second);
    bench.held(2);
    bench.pool.call_off(instance(2));
    assert!(matches!(
        bench.next(),
        SpawnAnswer::Outcome(SpawnerOutcome::Failed { instance: of, error: SpawnError::CalledOff { .. } }) if of == instance(2)
    ));
    bench.stop();
}

#[test]
fn a_handoff_and_a_stop_leave_no_child() {
    for job in [SpawnJob::HandOver, SpawnJob::Stop] {
        let script = Script::new("leaves");
        let bench = Bench::new();
        let plan = bench.resolve(1, of("a", None, path(&script)));
        let _lease = script.lease();
        bench.spawn(1, plan);
        bench.held(1);
        let pid = bench.child_of(1).pid().expect("made");
        let is_handover = matches!(job, SpawnJob::HandOver);
        bench.pool.send(job);
        bench.stop();
        if is_handover {
            assert!(matches!(bench.next(), SpawnAnswer::HandedOver(_)));
        }
        let limit = std::time::Instant::now() + LIMIT;
        while fs::exists(format!("/proc/{pid}")).expect("asked") {
            assert!(std::time::Instant::now() < limit, "it is there");
            std::thread::yield_now();
        }
        assert!(bench.answers.try_recv().is_err(), "it was told");
    }
}

#[test]
fn delayed_starts_are_bounded() {
    let script = Script::new("bounded");
    let bench = Bench::new();
    let count = u32::try_from(OWN_MAX).expect("small");
    let plans: Vec<_> = (0..=count)
        .map(|slot| bench.resolve(slot, of(&format!("p{slot}"), None, path(&script))))
        .collect();
    let lease = script.lease();
    for (slot, plan) in (0..).zip(plans) {
        bench.spawn(slot, plan);
    }
    for slot in 0..count {
        assert!(bench.held(slot).contains("lease"));
    }
    assert_eq!(bench.held(count), "waiting for one of 8 other starts");
    // Jobs of other users have a separate limit.
    bench.resolve(100, of("other", Some(1), "/bin/true"));
    drop(lease);
    let mut ended = 0;
    while ended <= count {
        if let SpawnAnswer::Spawned(_, _, pidfd, _) = bench.next() {
            sys::end_child(&pidfd);
            ended += 1;
        }
    }
    bench.stop();
}
