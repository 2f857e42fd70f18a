//! Drives a fleet through every cell of the table of transitions: each stage, with each trigger, in all configurations
//! that make a difference. The steps that happen must be exactly those of the table.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::bench::{Bench, CAT, config, program, start, stop};
use crate::api::{AccessScope, Caller, Grant, Permission, Request, Ticket};
use crate::config::dependency::depends_on;
use crate::config::spec::{
    AutoRestart, Dependencies, HealthAction, HealthCheck, HealthSpec, Hooks, NotifySpec,
    ProcessSpec, Script,
};
use crate::core::dependency_index::DependencyIndex;
use crate::core::notify_state::NotifyState;
use crate::core::process::{NextAttempt, Process};
use crate::core::script_runs::ScriptPurpose;
use crate::core::stage::{
    AlivePhase, AttemptStep, Idle, PreStopStep, ReapStep, Stage, StageAtExit, StageKind,
    TerminationReason,
};
use crate::core::ticket::SignalPurpose;
use crate::core::transitions::{Cell, CurrentStage, Step, Trigger, cell, trace};
use crate::core::{
    AdoptedProcess, DaemonSignal, Fleet, Input, NotifyMessage, ResumeKind, Snapshot,
};
use crate::domain::{
    Errno, ExitStatus, InstanceId, LinePattern, ResourceEvents, Seconds, Signal, SpawnError,
    SupervisorState, Tick,
};
use crate::effects::{OutputOutcome, ScriptFailure, ScriptId, ScriptOutcome, SpawnerOutcome};

/// When the deadlines of the stages are, in milliseconds.
const DUE: u64 = 5000;
const PID: i32 = 7;
/// The instance of the next attempt.
const NEXT: InstanceId = InstanceId {
    slot: 0,
    incarnation: 2,
};

/// Returns every stage, with the data that makes a difference.
fn stages() -> Vec<Stage> {
    let at = Tick(DUE * 1_000_000);
    let mut stages = vec![
        Stage::STOPPED,
        Stage::Idle(Idle::Exited { restart_at: at }),
        Stage::Idle(Idle::Fatal),
        Stage::Idle(Idle::Backoff { retry_at: at }),
        Stage::Idle(Idle::Waiting),
        Stage::Idle(Idle::UnknownGone),
    ];
    let steps = [
        AttemptStep::Resolving,
        AttemptStep::PreStart,
        AttemptStep::Preparing,
        AttemptStep::Spawning,
        AttemptStep::StopPending,
    ];
    stages.extend(steps.map(|step| Stage::attempt(CAT, step)));
    let reasons = [
        TerminationReason::NotReady,
        TerminationReason::NotifiedFailure,
        TerminationReason::WatchdogTimeout,
        TerminationReason::WatchdogTrigger,
        TerminationReason::Unhealthy,
    ];
    let mut phases = vec![
        AlivePhase::Starting { promote_at: at },
        AlivePhase::AwaitingReady { ready_by: at },
        AlivePhase::Running,
        AlivePhase::Unknown,
        AlivePhase::PreStop {
            step: PreStopStep::Hook,
            until: at,
        },
        AlivePhase::PreStop {
            step: PreStopStep::Command,
            until: at,
        },
    ];
    phases.extend(reasons.map(|why| AlivePhase::Terminating { why, kill_at: at }));
    phases.extend([false, true].map(|killed| AlivePhase::Stopping {
        kill_at: at,
        sent: killed,
        killed,
        signal_index: 0,
    }));
    stages.extend(phases.iter().map(|&phase| Stage::alive(CAT, PID, phase)));
    let mut exits = vec![StageAtExit::TooQuick];
    exits.extend(phases.iter().map(|phase| phase.at_exit(false)));
    for reap_step in [ReapStep::Emptying, ReapStep::Draining] {
        stages.extend(exits.iter().map(|&at_exit| Stage::Reaped {
            instance: CAT,
            pid: PID,
            status: ExitStatus::Exited(0),
            at_exit,
            reap_step,
            drain_by: at,
        }));
    }
    stages
}

/// A health check whose first failure counts.
fn health(on_unhealthy: HealthAction) -> HealthSpec {
    HealthSpec {
        check: HealthCheck::Script(Script::Command("check".to_owned())),
        initial_delay: Seconds(0),
        first_period: Seconds(1),
        period: Seconds(1),
        timeout: Seconds(5),
        start_period: Seconds(0),
        success_threshold: 1,
        failure_threshold: 1,
        on_healthy: None,
        on_unhealthy,
    }
}

/// Hooks before the start and before the stop.
fn hooks(is_required: bool) -> Hooks {
    let script = || Some(Script::Command("hook".to_owned()));
    Hooks {
        pre_start: script(),
        pre_start_required: is_required,
        pre_stop: script(),
        stop_command: script().filter(|_| is_required),
        timeout: Seconds(5),
        ..Hooks::default()
    }
}

type Configure = fn(&mut ProcessSpec);

/// Configurations that lead to different stages.
const CONFIGURATIONS: &[Configure] = &[
    |_| {},
    |spec| {
        spec.startsecs = Seconds(0);
        spec.autorestart = AutoRestart::Always;
    },
    |spec| spec.startretries = 0,
    |spec| {
        spec.notify = NotifySpec {
            socket: true,
            ready_fd: None,
            ready_timeout: Seconds(5),
            watchdog: Seconds(5),
            check: false,
            log: false,
        };
    },
    |spec| {
        spec.notify.log = true;
        spec.ready_log = LinePattern::parse("ready").ok();
    },
    // The group of that name is configured and not active, so the process waits for it.
    |spec| {
        spec.dependencies = Arc::new(Dependencies {
            depends_on: depends_on("db").expect("valid"),
            ..Dependencies::default()
        });
    },
    |spec| {
        spec.notify.check = true;
        spec.ready_check = Some(Arc::new(Script::Command("ready".to_owned())));
        spec.health = Some(Arc::new(health(HealthAction::Restart)));
    },
    |spec| {
        spec.notify.check = true;
        spec.ready_check = Some(Arc::new(Script::Command("ready".to_owned())));
        spec.health = Some(Arc::new(health(HealthAction::Stop)));
    },
    |spec| spec.hooks = Some(Arc::new(hooks(false))),
    |spec| {
        spec.hooks = Some(Arc::new(hooks(true)));
        spec.health = Some(Arc::new(health(HealthAction::Stop)));
    },
];

/// What the process has besides its stage.
#[derive(Debug, Clone, Copy)]
struct Extras {
    may_start: bool,
    /// The next attempt, which began early.
    next: Option<InstanceId>,
    /// The stage before a signal was refused.
    before_unknown: Option<StageAtExit>,
}

/// Returns the extras that make a difference in `stage`.
fn extras(stage: &Stage) -> Vec<Extras> {
    let befores: &[Option<StageAtExit>] = match stage.kind() {
        StageKind::Unknown | StageKind::ReapedUnknown => &[
            None,
            Some(StageAtExit::TooQuick),
            Some(StageAtExit::Unpromoted),
            Some(StageAtExit::Running),
        ],
        _ => &[None],
    };
    let early = match stage {
        Stage::Attempt { .. } => CAT,
        Stage::Idle(_) | Stage::Alive { .. } | Stage::Reaped { .. } => NEXT,
    };
    let mut extras = Vec::new();
    for &before_unknown in befores {
        for next in [None, Some(early)] {
            extras.extend([false, true].map(|may_start| Extras {
                may_start,
                next,
                before_unknown,
            }));
        }
    }
    extras
}

/// Returns a fleet whose only process is in `stage`.
fn fleet(base: &Snapshot, stage: Stage, extras: Extras) -> Fleet {
    let now = Bench::now(0);
    let mut fleet = Fleet::restore(base.clone(), now);
    fleet.last_incarnation = NEXT.incarnation;
    if !extras.may_start {
        fleet.daemon.state = SupervisorState::Shutdown;
    }
    let process = fleet.slots.get_mut(0).expect("cat");
    let notify = process.spec.notify;
    process.run.stage = CurrentStage::restored(stage);
    process.run.stage_before_unknown = extras.before_unknown;
    process.run.notify_state = notify
        .tells_ready()
        .then(|| NotifyState::of_running(notify.watchdog, now.mono));
    process.begin_check_1(now);
    process.run.hook =
        matches!(stage.kind(), StageKind::PreStart | StageKind::PreStop).then_some(ScriptId(1));
    process.run.next = extras.next.map(|instance| {
        Box::new(NextAttempt {
            instance,
            is_resolved: false,
            is_prepared: false,
            held_up: None,
        })
    });
    fleet.dependencies = DependencyIndex::default();
    Fleet::restore(fleet.snapshot(), now)
}

fn ask(request: Request) -> Input {
    Input::Asked {
        ticket: Ticket(1),
        caller: Caller::DAEMON,
        grant: Grant {
            permission: Permission::Control,
            scope: AccessScope::All,
        },
        request,
    }
}

/// Returns the inputs that a trigger stands for, each with the time in milliseconds. Some consist of two inputs.
fn inputs(on: Trigger) -> Vec<(u64, Vec<Input>)> {
    let both =
        |input: fn(InstanceId) -> Input| [CAT, NEXT].map(|it| (10, vec![input(it)])).to_vec();
    let signal = Signal::TERM;
    match on {
        Trigger::Start => {
            let (ticket, result) = (Ticket(1), Ok(()));
            let found = Input::Spawner(SpawnerOutcome::Answered { ticket, result });
            vec![(10, vec![ask(start("cat", false)), found])]
        }
        Trigger::Stop => vec![(10, vec![ask(stop("cat", false))])],
        Trigger::Shutdown => vec![(10, vec![Input::Received(DaemonSignal::Exit(signal))])],
        Trigger::Resolved => both(|instance| Input::Spawner(SpawnerOutcome::Resolved(instance))),
        Trigger::Prepared => both(|instance| Input::Output(OutputOutcome::Prepared(instance))),
        Trigger::Spawned => {
            both(|instance| Input::Spawner(SpawnerOutcome::Spawned { instance, pid: PID }))
        }
        Trigger::SpawnFailed => both(|instance| {
            Input::Spawner(SpawnerOutcome::Failed {
                instance,
                error: SpawnError::Empty,
            })
        }),
        Trigger::Exited => [10, 1500]
            .map(|ms| {
                let (instance, status) = (CAT, ExitStatus::Exited(0));
                (ms, vec![Input::Exited { instance, status }])
            })
            .to_vec(),
        Trigger::Emptied => both(|instance| Input::Emptied {
            instance,
            resource_events: ResourceEvents::NONE,
        }),
        Trigger::Drained => [10, 1500]
            .map(|ms| (ms, vec![Input::Output(OutputOutcome::Drained(CAT))]))
            .to_vec(),
        Trigger::SignalSent | Trigger::SignalRefused => {
            let result = match on {
                Trigger::SignalSent => Ok(()),
                _ => Err(Errno(1)),
            };
            let instance = CAT;
            let answer = Input::Signalled {
                instance,
                signal,
                result,
            };
            vec![(10, vec![answer])]
        }
        Trigger::Notified => ["READY=1", "WATCHDOG=trigger", "EXTEND_TIMEOUT_USEC=9"]
            .map(|text| {
                let message = NotifyMessage::parse(text.as_bytes());
                (10, vec![Input::Notified(CAT, message)])
            })
            .to_vec(),
        Trigger::Checked | Trigger::HookEnded => [None, Some(ScriptFailure::HttpStatus(500))]
            .map(|failure| {
                let (id, output) = (ScriptId(1), String::new());
                let ended = ScriptOutcome::Ended {
                    id,
                    failure,
                    output,
                };
                (10, vec![Input::Script(ended)])
            })
            .to_vec(),
        Trigger::Deadline => {
            let polled = Input::NotifyPolled(CAT);
            vec![(DUE, vec![Input::DeadlineReached, polled])]
        }
        Trigger::Resumed => vec![(10, vec![Input::Resumed(ResumeKind::NewDaemon)])],
        Trigger::Other => {
            let (instance, why) = (CAT, String::new());
            let (sender, uid) = (8, 0);
            let foreign = Input::ForeignNotify {
                instance,
                sender,
                uid,
            };
            vec![(
                10,
                vec![
                    Input::Spawner(SpawnerOutcome::Held { instance, why }),
                    foreign,
                ],
            )]
        }
        // No input stands for these.
        Trigger::Adopted
        | Trigger::RetriesSpent
        | Trigger::DependenciesMet
        | Trigger::DependencyFailed
        | Trigger::Cancelled => vec![(10, vec![])],
    }
}

/// Lets the trigger happen and returns the steps that it led to.
fn steps(fleet: &mut Fleet, on: Trigger, ms: u64, inputs: Vec<Input>) -> Vec<Step> {
    let now = Bench::now(ms);
    let mut out = Vec::new();
    let purpose = match on {
        Trigger::HookEnded => ScriptPurpose::Hook,
        _ => ScriptPurpose::Check,
    };
    let generation = fleet.slots.get(0).map(|process| process.slot_generation);
    let generation = generation.expect("cat");
    fleet.requests.scripts.insert_1(0, generation, purpose);
    let purpose = SignalPurpose::Stop;
    fleet
        .requests
        .signals
        .push_back((CAT, Signal::TERM, purpose));
    trace::of(|| {
        match on {
            Trigger::Adopted => {
                fleet.found = vec![AdoptedProcess {
                    instance: CAT,
                    pid: PID,
                    has_pipes: true,
                    is_heard: false,
                }];
                fleet.adopt_all(now, &mut out);
            }
            Trigger::RetriesSpent => {
                fleet.update_process(0, on, now, &mut out, Process::give_up);
            }
            Trigger::DependenciesMet => fleet.dependencies_met(0, now, &mut out),
            Trigger::DependencyFailed => {
                fleet.update_process(0, on, now, &mut out, |process, ctx| {
                    process.dependency_failed("db is FATAL".to_owned(), ctx);
                });
            }
            Trigger::Cancelled => {
                fleet.update_process(0, on, now, &mut out, Process::cancelled);
            }
            _ => {}
        }
        for input in inputs {
            fleet.handle(now, input, &mut out);
        }
    })
}

#[test]
fn the_table_of_transitions_is_what_happens() {
    let mut seen = BTreeSet::new();
    let mut kinds = BTreeSet::new();
    for configure in CONFIGURATIONS {
        let bench = Bench::cat(|spec| {
            spec.autostart = false;
            configure(spec);
        });
        let mut whole = bench.fleet;
        let last_read = Arc::make_mut(&mut whole.configuration.last_read);
        let db = config(vec![(999, vec![program("db", "db")])]);
        last_read.groups.extend(db.groups.iter().cloned());
        let base = whole.snapshot();
        for stage in stages() {
            let kind = stage.kind();
            kinds.insert(kind);
            for extras in extras(&stage) {
                for on in Trigger::ALL {
                    for (ms, inputs) in inputs(on) {
                        let told = format!("{stage:?} {extras:?} {on:?} {inputs:?} at {ms} ms");
                        let mut fleet = fleet(&base, stage, extras);
                        let steps = steps(&mut fleet, on, ms, inputs);
                        let first = steps.first().map(|first| (first.from, first.on));
                        match cell(kind, on) {
                            Cell::To(_) => {
                                let is_it = first.is_none_or(|first| first == (kind, on));
                                assert!(is_it, "{told}: {steps:?}");
                            }
                            Cell::Ignored(why) | Cell::Impossible(why) => {
                                assert!(!why.is_empty());
                                assert_eq!(first, None, "{told}: {steps:?}");
                            }
                        }
                        seen.extend(steps);
                    }
                }
            }
        }
    }
    assert_eq!(kinds, StageKind::ALL.into_iter().collect());
    let table: BTreeSet<Step> = Step::all().collect();
    let never: Vec<&Step> = table.difference(&seen).collect();
    let unknown: Vec<&Step> = seen.difference(&table).collect();
    assert!(
        never.is_empty() && unknown.is_empty(),
        "these steps never happen: {never:#?}, and these are not in the table: {unknown:#?}"
    );
}

#[cfg(debug_assertions)]
#[test]
#[should_panic(expected = "not in the table of transitions")]
fn a_step_that_the_table_does_not_have_is_noticed() {
    let mut stage = CurrentStage::restored(Stage::STOPPED);
    stage.enter(Stage::Idle(Idle::Fatal), Trigger::Stop);
}
