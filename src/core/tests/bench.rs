//! The test harness: a fleet, a clock in milliseconds, and actions printed as short lines.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::api::{AccessScope, Caller, Grant, Permission, Reply, Request, RequestTarget, Ticket};
use crate::config::key::RESULT_HANDLER;
use crate::config::spec::{
    Config, DaemonSpec, GroupChange, GroupKind, GroupSpec, ProcessKind, ProcessSpec,
};
use crate::core::{Action, Fleet, Identity, Input, Snapshot};
use crate::domain::{
    Change, Envelope, ExitStatus, GroupName, InstanceId, Namespec, Now, Payload, ProcessName,
    Seconds, Tick, Wall,
};
use crate::effects::{
    LoaderEffect, OutputEffect, OutputOutcome, ScriptEffect, SpawnerEffect, SpawnerOutcome,
    WatchEffect,
};

pub(super) use crate::config::testing::program;

/// Returns a configuration with these groups: (priority, processes).
pub(super) fn config(groups: Vec<(i64, Vec<ProcessSpec>)>) -> Arc<Config> {
    let group = |(priority, processes): (i64, Vec<ProcessSpec>)| {
        Arc::new(GroupSpec {
            name: processes[0].group.clone(),
            priority,
            kind: GroupKind::Programs,
            processes: processes.into_iter().map(Arc::new).collect(),
            programs: Vec::new(),
            rolling: 0,
        })
    };
    Arc::new(Config {
        daemon: DaemonSpec {
            logfile: PathBuf::from("/l"),
            pidfile: PathBuf::from("/p"),
            nodaemon: true,
            silent: true,
            childlogdir: PathBuf::from("/tmp"),
            identifier: "supervisor".to_owned(),
            ..DaemonSpec::empty()
        },
        servers: Vec::new(),
        rpc_interfaces: Vec::new(),
        twiddler: None,
        groups: groups.into_iter().map(group).collect(),
        remote: None,
        notes: Vec::new(),
        warnings: Vec::new(),
        listed: Vec::new(),
        is_implied: false,
        notifications: Vec::new(),
    })
}

/// Returns a pool of listeners `NAME0`, `NAME1` …, each RUNNING as soon as it is spawned.
pub(in crate::core) fn pool(
    name: &str,
    events: &[&str],
    buffer_size: i64,
    size: usize,
) -> GroupSpec {
    let processes = (0..size).map(|place| {
        let mut spec = program(name, &format!("{name}{place}"));
        spec.kind = ProcessKind::Listener;
        spec.startsecs = Seconds(0);
        Arc::new(spec)
    });
    GroupSpec {
        programs: Vec::new(),
        name: GroupName::parse(name).expect("valid"),
        priority: -1,
        kind: GroupKind::Listeners {
            events: events.iter().map(|name| (*name).to_owned()).collect(),
            buffer_size,
            result_handler: RESULT_HANDLER.to_owned(),
        },
        processes: processes.collect(),
        rolling: 0,
    }
}

/// A fleet under test. The clock starts at 0 ms, which is 1,000 s since the epoch.
pub(super) struct Bench {
    pub(super) fleet: Fleet,
    ticket: u64,
}

impl Bench {
    pub(super) fn new(config: Arc<Config>) -> Self {
        let identity = Identity {
            pid: 4711,
            daemon_log: Some(Arc::from(Path::new("/l"))),
            seed: 1,
            event_serial: 0,
        };
        Self {
            fleet: Fleet::new(identity, config),
            ticket: 0,
        }
    }

    /// Returns a fleet after `DaemonStarted` with one process `cat` in its own group, changed by `change`.
    pub(super) fn cat(change: impl FnOnce(&mut ProcessSpec)) -> Self {
        let mut spec = program("cat", "cat");
        change(&mut spec);
        let mut bench = Self::new(config(vec![(999, vec![spec])]));
        bench.give(0, Input::DaemonStarted);
        bench
    }

    /// The same, with the process spawned at 0 ms with PID 7.
    pub(super) fn up(change: impl FnOnce(&mut ProcessSpec)) -> Self {
        let mut bench = Self::cat(change);
        bench.bring_up(0, 0, 1, 7);
        bench
    }

    /// Takes one attempt through all steps to a spawned process.
    pub(super) fn bring_up(
        &mut self,
        ms: u64,
        slot: u32,
        incarnation: u64,
        pid: i32,
    ) -> Vec<String> {
        let instance = InstanceId { slot, incarnation };
        self.give(ms, Input::Spawner(SpawnerOutcome::Resolved(instance)));
        self.give(ms, Input::Output(OutputOutcome::Prepared(instance)));
        self.give(
            ms,
            Input::Spawner(SpawnerOutcome::Spawned { instance, pid }),
        )
    }

    pub(super) fn now(ms: u64) -> Now {
        Now {
            mono: Tick(ms * 1_000_000),
            wall: Wall(1_000_000_000_000 + i64::try_from(ms).expect("small") * 1_000_000),
        }
    }

    /// Handles an input and returns the actions as text. Signals are answered at once, as the engine does.
    pub(super) fn give(&mut self, ms: u64, input: Input) -> Vec<String> {
        self.give_at(Self::now(ms), input)
    }

    /// The same, with a wall clock that was set.
    pub(super) fn give_at(&mut self, now: Now, input: Input) -> Vec<String> {
        let mut out = Vec::new();
        self.fleet.handle(now, input, &mut out);
        // A fleet restored from a snapshot must continue in the same way.
        let bytes = serde_json::to_vec(&self.fleet.snapshot()).expect("can be written");
        let snapshot: Snapshot = serde_json::from_slice(&bytes).expect("can be read");
        self.fleet = Fleet::restore(snapshot, now);
        out.iter().map(show).collect()
    }

    /// Returns the next deadline in milliseconds.
    pub(super) fn due(&self) -> Option<u64> {
        self.fleet.next_deadline().map(|tick| tick.0 / 1_000_000)
    }

    /// Sends a request with all permissions. The tickets are 1, 2, 3 …
    pub(super) fn ask(&mut self, ms: u64, request: Request) -> Vec<String> {
        self.ask_within(ms, request, AccessScope::All)
    }

    pub(super) fn ask_within(
        &mut self,
        ms: u64,
        request: Request,
        scope: AccessScope,
    ) -> Vec<String> {
        self.ask_as(ms, Caller::DAEMON, request, scope)
    }

    /// Sends a request as `caller`, which may not see all processes.
    pub(super) fn ask_as(
        &mut self,
        ms: u64,
        caller: Caller,
        request: Request,
        scope: AccessScope,
    ) -> Vec<String> {
        self.ticket += 1;
        let input = Input::Asked {
            ticket: Ticket(self.ticket),
            caller,
            grant: Grant {
                permission: Permission::Control,
                scope,
            },
            request,
        };
        let mut lines = self.give(ms, input);
        // The audit trail has its own tests.
        lines.retain(|line| !line.starts_with("audit"));
        lines
    }

    /// Returns the state of `cat` as clients see it.
    pub(super) fn state(&self) -> String {
        self.fleet.view(Self::now(0))[0].state.to_string()
    }
}

pub(super) const CAT: InstanceId = InstanceId {
    slot: 0,
    incarnation: 1,
};

pub(super) fn one(name: &str) -> RequestTarget {
    RequestTarget::One(Namespec::parse(name), name.to_owned())
}

pub(super) fn start(name: &str, wait: bool) -> Request {
    let target = one(name);
    Request::Start { target, wait }
}

pub(super) fn stop(name: &str, wait: bool) -> Request {
    let target = one(name);
    Request::Stop { target, wait }
}

pub(super) fn exited(code: u8) -> Input {
    Input::Exited {
        instance: CAT,
        status: ExitStatus::Exited(code),
    }
}

fn show(action: &Action) -> String {
    let instance = |instance: &InstanceId| format!("{}.{}", instance.slot, instance.incarnation);
    match action {
        Action::Spawner(SpawnerEffect::Resolve(of, _)) => format!("resolve {}", instance(of)),
        Action::Output(OutputEffect::Prepare(of, ..)) => format!("prepare {}", instance(of)),
        Action::Output(OutputEffect::PrepareNext(of, ..)) => {
            format!("prepare-next {}", instance(of))
        }
        Action::Adopt {
            instance: of, pid, ..
        } => format!("adopt {} {pid}", instance(of)),
        Action::Upgrade(ticket) => format!("upgrade {}", ticket.0),
        Action::Spawn(of, _) => format!("spawn {}", instance(of)),
        Action::CallOff(of) => format!("call-off {}", instance(of)),
        Action::Output(OutputEffect::Report(events)) => format!(
            "report{}{}",
            if events.logs { " logs" } else { "" },
            if events.communications {
                " communications"
            } else {
                ""
            }
        ),
        Action::Output(OutputEffect::Read(of, _)) => format!("read {}", instance(of)),
        Action::Signal {
            instance: of,
            signal,
            scope,
        } => format!("signal {} {signal} {scope:?}", instance(of)),
        Action::PollNotify(of) => format!("heed {}", instance(of)),
        Action::StoreRuns(process, _) => format!("store-runs {process}"),
        Action::Empty { instance: of, kill } => format!("empty {} {kill}", instance(of)),
        Action::Limit(of, _) => format!("limit {}", instance(of)),
        Action::Output(OutputEffect::Drain(of)) => format!("drain {}", instance(of)),
        Action::Spawner(SpawnerEffect::Release(of)) => format!("release {}", instance(of)),
        Action::Spawner(SpawnerEffect::TrySockets(ticket, group)) => {
            format!("try {} {}", ticket.0, group.name)
        }
        Action::Spawner(SpawnerEffect::Check(ticket, spec)) => {
            format!("check {} {}", ticket.0, spec.name)
        }
        Action::Output(OutputEffect::CreateLogs(paths)) => format!("create {paths:?}"),
        Action::Output(OutputEffect::ClearLogs { ticket, slot, .. }) => {
            format!("clear {} {slot}", ticket.0)
        }
        Action::Output(OutputEffect::ClearDaemonLog(ticket)) => format!("clear-log {}", ticket.0),
        Action::Output(OutputEffect::ReopenLogs) => "reopen".to_owned(),
        Action::Output(OutputEffect::WriteStdin { ticket, data, .. }) => {
            format!("stdin {} {:?}", ticket.0, String::from_utf8_lossy(data))
        }
        Action::Script(ScriptEffect::Run(run)) => {
            let variables = run
                .variables
                .iter()
                .map(|(name, value)| format!(" {name}={value}"));
            format!(
                "script {} {:?}{}{}",
                run.id.0,
                run.script,
                variables.collect::<String>(),
                match run.input.is_empty() {
                    true => String::new(),
                    false => format!(" < {:?}", run.input),
                }
            )
        }
        Action::Watch(WatchEffect::Set { id, .. }) => format!("watch {}", id.slot),
        Action::Watch(WatchEffect::Clear(id)) => format!("unwatch {}", id.slot),
        Action::Script(ScriptEffect::Cancel(id)) => format!("cancel {}", id.0),
        Action::Loader(LoaderEffect::Load(reason)) => format!("load {reason:?}"),
        Action::Loader(LoaderEffect::Plan(ticket, active)) => {
            format!("plan {ticket:?} of {} groups", active.len())
        }
        Action::Loader(LoaderEffect::Compose(ticket, order)) => match order {
            GroupChange::Rescale {
                group,
                template,
                numprocs,
            } => format!(
                "compose {} {group}:{} {numprocs}",
                ticket.0,
                template.program()
            ),
            GroupChange::Program {
                group,
                name,
                options,
                ..
            } => format!("compose {} {group}:{name} {options:?}", ticket.0),
        },
        Action::Log(line) => format!("{} {line}", line.level().letters()),
        Action::Audit(line) => {
            let fault = line.fault.as_ref().map(ToString::to_string);
            let fault = fault.unwrap_or_else(|| "ok".to_owned());
            format!("audit {} {} {fault}", line.entry.verb, line.entry.target)
        }
        Action::Publish(change) => match &**change {
            Change::ProcessState {
                process,
                from,
                tries,
                pid,
                expected,
                ..
            } => {
                let more = match change.name() {
                    "PROCESS_STATE_STARTING" | "PROCESS_STATE_BACKOFF" => format!(" tries {tries}"),
                    "PROCESS_STATE_EXITED" => format!(" pid {pid} expected {expected}"),
                    "PROCESS_STATE_FATAL" | "PROCESS_STATE_UNKNOWN" => String::new(),
                    _ => format!(" pid {pid}"),
                };
                let name = change.name().trim_start_matches("PROCESS_STATE_");
                format!("{process} {from}->{name}{more}")
            }
            Change::GroupAdded(group) | Change::GroupRemoved(group) => {
                format!("{} {group}", change.name())
            }
            Change::Tick { when, .. } => format!("{} {when}", change.name()),
            _ => change.name().to_owned(),
        },
        Action::Output(OutputEffect::Deliver(to, envelope)) => {
            format!("deliver {} {}", instance(to), brief(envelope))
        }
        Action::Answer(ticket, answer) => format!(
            "answer {} {}",
            ticket.0,
            match answer {
                Ok(Reply::Results(results)) => {
                    let one = |result: &crate::api::TargetResult| {
                        let fault = result.fault.as_ref().map(ToString::to_string);
                        let fault = fault.unwrap_or_else(|| "OK".to_owned());
                        format!("{}:{} {fault}", result.group, result.process)
                    };
                    format!("{:?}", results.iter().map(one).collect::<Vec<_>>())
                }
                Ok(Reply::Scaled { added, removed, .. }) => {
                    let names = |list: &[ProcessName]| {
                        list.iter()
                            .map(ProcessName::as_str)
                            .collect::<Vec<_>>()
                            .join(" ")
                    };
                    format!("+[{}] -[{}]", names(added), names(removed))
                }
                Ok(Reply::Lines(lines)) => lines.join(" | "),
                Ok(Reply::Names(names)) => {
                    let names: Vec<_> = names.iter().map(GroupName::as_str).collect();
                    names.join(" ")
                }
                Ok(Reply::Diff {
                    added,
                    changed,
                    removed,
                }) => {
                    let names = |list: &[GroupName]| {
                        list.iter()
                            .map(GroupName::as_str)
                            .collect::<Vec<_>>()
                            .join(" ")
                    };
                    format!(
                        "+[{}] ~[{}] -[{}]",
                        names(added),
                        names(changed),
                        names(removed)
                    )
                }
                Ok(reply) => format!("{reply:?}"),
                Err(fault) => format!("fault {fault}"),
            }
        ),
        Action::Finish(outcome) => format!("finish {outcome:?}"),
    }
}

/// Returns the serial numbers and the payload of an event.
fn brief(envelope: &Envelope) -> String {
    format!(
        "{}/{}:{} {} {:?}",
        envelope.serial,
        envelope.pool,
        envelope.pool_serial,
        envelope.event.name(),
        Payload(&envelope.event).to_string()
    )
}

/// Runs a script: at each time in milliseconds, the input leads to these actions, and then this deadline is due.
pub(super) fn play(bench: &mut Bench, script: Vec<(u64, Input, Vec<&str>, Option<u64>)>) {
    for (ms, input, expected, due) in script {
        let told = format!("{ms} ms: {input:?}");
        assert_eq!(bench.give(ms, input), expected, "{told}");
        assert_eq!(bench.due(), due, "{told}");
    }
}
