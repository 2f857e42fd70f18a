//! Tests of programs that depend on others. A small shell answers at once, so that only the decisions of the core are
//! seen: the changes of states, and the signals.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;

use super::bench::{Bench, config, one, program};
use crate::api::{AccessScope, Caller, Grant, Permission, Reply, Request, RequestTarget, Ticket};
use crate::config::dependency::{depends_on, restart_with, wait_for};
use crate::config::spec::{
    AutoRestart, Config, Dependencies, KeyOrigins, NotifySpec, ProcessSpec, ProgramSpec,
    ProgramTemplate,
};
use crate::core::{
    Action, DaemonSignal, Fleet, Identity, Input, NotifyMessage, ProcessRecord, ResumeKind,
};
use crate::domain::{Change, ExitStatus, InstanceId, Line, Namespec, Seconds, Signal, SpawnError};
use crate::effects::{OutputEffect, OutputOutcome, SpawnerEffect, SpawnerOutcome};

/// A program in its own group that depends on others.
pub(super) fn depending(name: &str, on: &str) -> ProcessSpec {
    let mut spec = program(name, name);
    spec.dependencies = Arc::new(Dependencies {
        depends_on: depends_on(on).expect("valid"),
        ..Dependencies::default()
    });
    spec
}

fn changed(mut spec: ProcessSpec, change: impl FnOnce(&mut ProcessSpec)) -> ProcessSpec {
    change(&mut spec);
    spec
}

/// Programs in their own groups, with the sections that they were made of.
fn programs(specs: Vec<ProcessSpec>) -> Arc<Config> {
    let mut whole = config(
        specs
            .into_iter()
            .map(|spec| (spec.priority, vec![spec]))
            .collect(),
    );
    for group in &mut Arc::make_mut(&mut whole).groups {
        let group = Arc::make_mut(group);
        let spec = &group.processes[0];
        group.programs = vec![ProgramSpec {
            template: Arc::new(ProgramTemplate {
                section: Arc::from(format!("program:{}", group.name)),
                file: Arc::from("/s.conf"),
                here: Arc::from("/"),
                options: Arc::from([]),
                origins: KeyOrigins::default(),
                environment: Arc::from([]),
                kind: spec.kind.clone(),
            }),
            members: vec![spec.name.clone()],
            scaled: false,
        }];
    }
    whole
}

/// A fleet with a shell that does everything at once.
struct Shell {
    fleet: Fleet,
    ms: u64,
    ticket: u64,
    next_pid: i32,
    /// Changes of states, signals, answers and the log lines about dependencies since the last look.
    seen: Vec<String>,
    /// Processes that ignore every signal but SIGKILL.
    stubborn: Vec<&'static str>,
    /// Commands that do not exist.
    missing: Vec<&'static str>,
}

impl Shell {
    fn new(config: Arc<Config>) -> Self {
        let identity = Identity {
            pid: 4711,
            daemon_log: Some(Arc::from(Path::new("/l"))),
            seed: 1,
            event_serial: 0,
        };
        let mut shell = Self {
            fleet: Fleet::new(identity, config),
            ms: 1000,
            ticket: 0,
            next_pid: 100,
            seen: Vec::new(),
            stubborn: Vec::new(),
            missing: Vec::new(),
        };
        shell.give(Input::DaemonStarted);
        shell
    }

    fn with(specs: Vec<ProcessSpec>) -> Self {
        Self::new(programs(specs))
    }

    fn name_of(&self, instance: InstanceId) -> String {
        self.fleet.shown(instance.slot)
    }

    /// Handles an input and everything that follows from it without the passing of time.
    fn give(&mut self, input: Input) {
        let mut inputs = VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            let mut out = Vec::new();
            self.fleet.handle(Bench::now(self.ms), input, &mut out);
            // A fleet restored from a snapshot goes on in the same way.
            let snapshot = self.fleet.snapshot();
            self.fleet = Fleet::restore(snapshot, Bench::now(self.ms));
            for action in out {
                self.perform(action, &mut inputs);
            }
        }
    }

    fn perform(&mut self, action: Action, inputs: &mut VecDeque<Input>) {
        match action {
            Action::Spawner(SpawnerEffect::Resolve(instance, _)) => {
                inputs.push_back(Input::Spawner(SpawnerOutcome::Resolved(instance)));
            }
            Action::Output(
                OutputEffect::Prepare(instance, ..) | OutputEffect::PrepareNext(instance, ..),
            ) => inputs.push_back(Input::Output(OutputOutcome::Prepared(instance))),
            Action::Spawn(instance, _) => {
                if self.missing.contains(&&*self.name_of(instance)) {
                    let error = SpawnError::NotFound("/bin/cat".to_owned());
                    inputs.push_back(Input::Spawner(SpawnerOutcome::Failed { instance, error }));
                    return;
                }
                let pid = self.next_pid;
                self.next_pid += 1;
                inputs.push_back(Input::Spawner(SpawnerOutcome::Spawned { instance, pid }));
            }
            Action::Output(OutputEffect::Drain(instance)) => {
                inputs.push_back(Input::Output(OutputOutcome::Drained(instance)));
            }
            Action::Spawner(SpawnerEffect::Check(ticket, _)) => {
                let result = Ok(());
                inputs.push_back(Input::Spawner(SpawnerOutcome::Answered { ticket, result }));
            }
            Action::Signal {
                instance, signal, ..
            } => {
                let name = self.name_of(instance);
                let result = Ok(());
                inputs.push_back(Input::Signalled {
                    instance,
                    signal,
                    result,
                });
                let signal_name = signal.to_string();
                let short = signal_name.trim_start_matches("SIG");
                self.seen.push(format!("{short} {name}"));
                if signal == Signal::KILL || !self.stubborn.contains(&&*name) {
                    let status = ExitStatus::Exited(0);
                    inputs.push_back(Input::Exited { instance, status });
                }
            }
            Action::Publish(change) => {
                if let Change::ProcessState { process, to, .. } = &*change {
                    self.seen.push(format!("{process} {to}"));
                }
            }
            Action::Log(
                line @ (Line::DependencyFailed { .. }
                | Line::WaitingFor { .. }
                | Line::StartedFor { .. }
                | Line::RestartedWith { .. }
                | Line::StopHeld { .. }),
            ) => self.seen.push(line.to_string()),
            Action::Answer(ticket, answer) => {
                let answer = match answer {
                    Ok(Reply::Results(results)) => {
                        let one = |result: &crate::api::TargetResult| match &result.fault {
                            None => result.process.to_string(),
                            Some(fault) => format!("{} {fault}", result.process),
                        };
                        results.iter().map(one).collect::<Vec<_>>().join(", ")
                    }
                    Ok(Reply::Done) => "ok".to_owned(),
                    Ok(reply) => format!("{reply:?}"),
                    Err(fault) => fault.to_string(),
                };
                self.seen.push(format!("answer {}: {answer}", ticket.0));
            }
            Action::Finish(outcome) => self.seen.push(format!("{outcome:?}")),
            _ => {}
        }
    }

    fn ask(&mut self, request: Request) {
        self.ask_within(request, AccessScope::All);
    }

    fn ask_within(&mut self, request: Request, scope: AccessScope) {
        self.ticket += 1;
        self.give(Input::Asked {
            ticket: Ticket(self.ticket),
            caller: Caller::DAEMON,
            grant: Grant {
                permission: Permission::Control,
                scope,
            },
            request,
        });
    }

    fn start(&mut self, name: &str) {
        let target = one(name);
        self.ask(Request::Start { target, wait: true });
    }

    fn stop(&mut self, name: &str) {
        let target = one(name);
        self.ask(Request::Stop { target, wait: true });
    }

    /// Lets time pass, with all deadlines in between.
    fn pass(&mut self, ms: u64) {
        let until = self.ms + ms;
        while let Some(due) = self.fleet.next_deadline() {
            let due = due.0.div_ceil(1_000_000);
            if due > until {
                break;
            }
            self.ms = self.ms.max(due);
            self.give(Input::DeadlineReached);
        }
        self.ms = until;
    }

    fn slot(&self, name: &str) -> u32 {
        let spec = Namespec::parse(name);
        let process = spec.process.expect("a process");
        self.fleet.find(&spec.group, &process).expect("known")
    }

    fn exit(&mut self, name: &str, code: u8) {
        let instance = self.instance(name);
        let status = ExitStatus::Exited(code);
        self.give(Input::Exited { instance, status });
    }

    fn instance(&self, name: &str) -> InstanceId {
        let process = self.fleet.slots.get(self.slot(name)).expect("known");
        process.run.stage.instance().expect("it runs")
    }

    /// Returns what was seen since the last call.
    fn take(&mut self) -> String {
        std::mem::take(&mut self.seen).join("; ")
    }

    /// Returns a process with its state and what holds it up.
    fn look(&self, name: &str) -> String {
        let slot = self.slot(name);
        let process = self.fleet.slots.get(slot).expect("known");
        let view = self.fleet.view_process(slot, process, Bench::now(self.ms));
        match &*view.dependency_text {
            "" => view.state.to_string(),
            text => format!("{} {text}", view.state),
        }
    }
}

#[test]
fn g29_a_process_starts_when_its_dependencies_are_running() {
    let mut shell = Shell::with(vec![
        depending("a", "b c"),
        program("b", "b"),
        changed(program("c", "c"), |spec| spec.startsecs = Seconds(3)),
    ]);
    assert_eq!(
        shell.take(),
        "starting b: a depends on it; b STARTING; starting c: a depends on it; c STARTING; a is waiting for b \
         (STARTING), c (STARTING)"
    );
    assert_eq!(
        shell.look("a"),
        "STOPPED waiting for b (STARTING), c (STARTING)"
    );
    shell.pass(1000);
    assert_eq!(shell.take(), "b RUNNING");
    assert_eq!(shell.look("a"), "STOPPED waiting for c (STARTING)");
    shell.pass(2000);
    assert_eq!(shell.take(), "c RUNNING; a STARTING");
    shell.pass(1000);
    assert_eq!(shell.take(), "a RUNNING");
}

#[test]
fn g29_each_condition_has_its_moment() {
    for (condition, expected) in [
        ("started", "b STARTING; a STARTING"),
        ("ready", "b RUNNING; a STARTING"),
        ("healthy", "b RUNNING; a STARTING"),
        ("exited-ok", "b EXITED; a STARTING"),
    ] {
        let on = format!("b:{condition}");
        let mut shell = Shell::with(vec![
            depending("a", &on),
            changed(program("b", "b"), |spec| {
                spec.autorestart = AutoRestart::Never
            }),
        ]);
        shell.pass(1000);
        if condition == "exited-ok" {
            assert_eq!(shell.look("a"), "STOPPED waiting for b (RUNNING)");
            shell.exit("b", 0);
        }
        let seen = shell.take();
        let expected: Vec<&str> = expected.split("; ").collect();
        let place = |what: &str| {
            seen.find(what)
                .unwrap_or_else(|| panic!("{what} in {seen}"))
        };
        assert!(
            place(expected[0]) < place(expected[1]),
            "{condition}: {seen}"
        );
    }
}

#[test]
fn g29_readiness_decides_where_a_process_reports_it() {
    let mut shell = Shell::with(vec![
        depending("a", "b"),
        changed(program("b", "b"), |spec| {
            spec.notify = NotifySpec {
                socket: true,
                ready_fd: None,
                check: false,
                log: false,
                ready_timeout: Seconds(90),
                watchdog: Seconds(0),
            };
        }),
    ]);
    shell.pass(5000);
    assert_eq!(shell.look("a"), "STOPPED waiting for b (STARTING)");
    let instance = shell.instance("b");
    shell.give(Input::Notified(instance, NotifyMessage::parse(b"READY=1")));
    assert_eq!(shell.look("a"), "STARTING");
}

#[test]
fn g29_a_one_shot_that_exits_as_expected_satisfies_without_a_condition() {
    let job = |code: u8| {
        let mut shell = Shell::with(vec![
            depending("a", "job"),
            depending("strict", "job:ready"),
            changed(program("job", "job"), |spec| {
                spec.autorestart = AutoRestart::Never;
                spec.exitcodes = Arc::from([0]);
                spec.startsecs = Seconds(5);
                spec.startretries = 0;
            }),
        ]);
        // It exits after `startsecs`, but before it was made RUNNING.
        shell.ms += 5000;
        shell.exit("job", code);
        (shell.look("a"), shell.look("strict"))
    };
    let (a, strict) = job(0);
    assert_eq!(a, "STARTING");
    assert_eq!(strict, "STOPPED dependency job is EXITED (needed: ready)");
    let (a, _) = job(3);
    assert_eq!(a, "STOPPED dependency job is EXITED: Bad exit code 3");
}

#[test]
fn g29_a_failure_reaches_all_dependants_with_the_chain() {
    let mut shell = Shell::with(vec![
        depending("a", "b"),
        depending("b", "c"),
        changed(program("c", "c"), |spec| spec.startretries = 0),
    ]);
    shell.start("a");
    shell.take();
    shell.exit("c", 1);
    assert_eq!(
        shell.take(),
        "c BACKOFF; c FATAL; b is not started: dependency c is FATAL: Exited too quickly (process log may have \
         details); a is not started: dependency b is STOPPED: dependency c is FATAL: Exited too quickly (process log \
         may have details); answer 1: ABNORMAL_TERMINATION: dependency b is STOPPED: dependency c is FATAL: Exited too \
         quickly (process log may have details)"
    );
    assert_eq!(
        shell.look("a"),
        "STOPPED dependency b is STOPPED: dependency c is FATAL: Exited too quickly (process log may have details)"
    );
    let process = shell.fleet.slots.get(shell.slot("a")).expect("known");
    assert_eq!(process.run.tries, 0, "waiting uses up no retry");
    // A start by hand tries everything again.
    shell.start("a");
    assert_eq!(
        shell.take(),
        "starting c: a depends on it; c STARTING; starting b: a depends on it; b is waiting for c (STARTING); a is \
         waiting for b (waiting)"
    );
    shell.pass(3000);
    assert!(shell.take().ends_with("a RUNNING; answer 2: ok"));
}

#[test]
fn g29_backoff_of_a_dependency_is_waited_for() {
    let mut shell = Shell::with(vec![depending("a", "b"), program("b", "b")]);
    shell.exit("b", 1);
    assert_eq!(shell.look("a"), "STOPPED waiting for b (BACKOFF)");
    shell.pass(2000);
    assert_eq!(shell.look("a"), "STARTING");
}

#[test]
fn g29_a_start_starts_what_is_needed_and_no_deps_does_not() {
    let manual = |name: &str, on: &str| changed(depending(name, on), |spec| spec.autostart = false);
    let specs = || vec![manual("a", "b"), manual("b", "c"), manual("c", "")];
    let mut shell = Shell::with(specs());
    assert_eq!(shell.take(), "");
    shell.start("a");
    assert!(
        shell
            .take()
            .starts_with("starting c: a depends on it; c STARTING; starting b")
    );
    shell.pass(3000);
    assert!(shell.take().ends_with("a RUNNING; answer 1: ok"));

    let mut shell = Shell::with(specs());
    let target = one("a");
    shell.ask(Request::StartAlone { target, wait: true });
    shell.pass(1000);
    assert_eq!(shell.take(), "a STARTING; a RUNNING; answer 1: ok");
    assert_eq!(shell.look("b"), "STOPPED");
}

#[test]
fn g29_an_autostart_program_starts_a_manual_one() {
    let mut shell = Shell::with(vec![
        depending("a", "b"),
        changed(program("b", "b"), |spec| spec.autostart = false),
    ]);
    shell.pass(2000);
    assert_eq!(shell.look("b"), "RUNNING");
    assert_eq!(shell.look("a"), "RUNNING");
}

#[test]
fn g29_a_caller_starts_only_what_it_may() {
    let manual = |name: &str, on: &str| changed(depending(name, on), |spec| spec.autostart = false);
    let mut shell = Shell::with(vec![manual("a", "b"), manual("b", "")]);
    let scope = AccessScope::Only(vec![Namespec::parse("a")]);
    let target = one("a");
    shell.ask_within(Request::Start { target, wait: true }, scope);
    assert_eq!(
        shell.take(),
        "a is waiting for b (STOPPED); answer 1: ABNORMAL_TERMINATION: dependency b is STOPPED"
    );
    shell.start("b");
    shell.pass(1000);
    assert_eq!(shell.look("a"), "STARTING");
}

#[test]
fn g29_waiting_ends_by_a_stop() {
    let mut shell = Shell::with(vec![depending("a", "b"), program("b", "b")]);
    shell.take();
    shell.stop("a");
    assert_eq!(shell.take(), "answer 1: ok");
    assert_eq!(shell.look("a"), "STOPPED");
    shell.pass(2000);
    assert_eq!(shell.look("a"), "STOPPED");
}

#[test]
fn g29_a_dependency_stopped_while_waited_for_tells_the_client() {
    let mut shell = Shell::with(vec![
        changed(depending("a", "b"), |spec| spec.autostart = false),
        depending("b", "c"),
        program("c", "c"),
    ]);
    shell.start("a");
    shell.take();
    shell.stop("c");
    assert_eq!(
        shell.take(),
        "c STOPPING; TERM c; c STOPPED; answer 2: ok; answer 1: ABNORMAL_TERMINATION: dependency b is waiting in vain"
    );
    assert_eq!(shell.look("b"), "STOPPED waiting for c (STOPPED)");
    // Whoever starts it lets the others go on.
    shell.start("c");
    shell.pass(3000);
    assert_eq!(shell.look("a"), "RUNNING");
}

#[test]
fn g29_an_automatic_restart_waits_and_starts_no_stopped_dependency() {
    let mut shell = Shell::with(vec![
        changed(depending("a", "b"), |spec| spec.restart_floor = Seconds(0)),
        program("b", "b"),
    ]);
    shell.pass(3000);
    shell.stop("b");
    shell.take();
    shell.exit("a", 1);
    assert_eq!(shell.take(), "a EXITED; a STOPPED");
    assert_eq!(shell.look("a"), "STOPPED waiting for b (STOPPED)");
    shell.pass(60_000);
    assert_eq!(shell.take(), "");
    shell.start("b");
    shell.pass(2000);
    assert_eq!(shell.look("a"), "RUNNING");
}

#[test]
fn g31_stop_is_the_reverse_of_the_start() {
    let mut shell = Shell::with(vec![
        depending("a", "b"),
        depending("b", "c"),
        program("c", "c"),
    ]);
    shell.pass(5000);
    shell.stubborn = vec!["a"];
    shell.take();
    let target = RequestTarget::All;
    shell.ask(Request::Stop { target, wait: true });
    assert_eq!(
        shell.take(),
        "a STOPPING; TERM a; b stops after a; c stops after b"
    );
    // A client does not get the others down meanwhile, and a crash of one is no restart.
    shell.exit("c", 1);
    assert_eq!(shell.take(), "c EXITED");
    shell.pass(10_000);
    assert_eq!(
        shell.take(),
        "KILL a; a STOPPED; b STOPPING; TERM b; b STOPPED; answer 1: c, a, b"
    );
}

#[test]
fn g31_a_stop_of_one_process_stops_only_that_one() {
    let mut shell = Shell::with(vec![
        depending("a", "b"),
        depending("b", "c"),
        program("c", "c"),
    ]);
    shell.pass(5000);
    shell.take();
    shell.stop("c");
    assert_eq!(shell.take(), "c STOPPING; TERM c; c STOPPED; answer 1: ok");
    shell.start("c");
    shell.pass(2000);
    shell.take();
    let target = one("b");
    shell.ask(Request::StopWithDependants { target, wait: true });
    assert_eq!(
        shell.take(),
        "a STOPPING; TERM a; b stops after a; a STOPPED; b STOPPING; TERM b; b STOPPED; answer 3: a, b"
    );
    assert_eq!(shell.look("c"), "RUNNING");
}

#[test]
fn g31_a_shutdown_follows_the_dependencies_across_priorities() {
    // By priority alone, db would stop first and web last.
    let mut shell = Shell::with(vec![
        changed(depending("web", "db"), |spec| spec.priority = 1),
        changed(program("db", "db"), |spec| spec.priority = 900),
        changed(program("other", "other"), |spec| spec.priority = 500),
    ]);
    shell.pass(5000);
    shell.stubborn = vec!["web"];
    shell.take();
    shell.give(Input::Received(DaemonSignal::Exit(Signal::TERM)));
    assert_eq!(shell.take(), "web STOPPING; TERM web; db stops after web");
    shell.pass(10_000);
    assert_eq!(
        shell.take(),
        "KILL web; web STOPPED; db STOPPING; TERM db; db STOPPED; other STOPPING; TERM other; other STOPPED; Shutdown"
    );
}

#[test]
fn g31_a_shutdown_ends_what_waits() {
    let mut shell = Shell::with(vec![depending("a", "b"), program("b", "b")]);
    shell.start("a");
    shell.take();
    shell.give(Input::Received(DaemonSignal::Exit(Signal::TERM)));
    let seen = shell.take();
    assert!(
        seen.starts_with("answer 1: ABNORMAL_TERMINATION: a"),
        "{seen}"
    );
    assert!(seen.ends_with("Shutdown"), "{seen}");
}

#[test]
fn a_restart_of_a_dependency_restarts_only_who_says_so() {
    let mut with = depending("with", "b");
    Arc::make_mut(&mut with.dependencies).restart_with = restart_with("b").expect("valid");
    let mut shell = Shell::with(vec![
        with,
        depending("without", "b"),
        depending("top", "with"),
        program("b", "b"),
    ]);
    shell.pass(5000);
    shell.take();
    shell.stop("b");
    shell.start("b");
    shell.pass(1000);
    assert_eq!(
        shell.take(),
        "b STOPPING; TERM b; b STOPPED; answer 1: ok; b STARTING; b RUNNING; answer 2: ok; restarting with: its \
         dependency b was restarted (restart_with); with STOPPING; TERM with; with STOPPED; with STARTING"
    );
    // A crash counts too.
    shell.pass(1000);
    shell.exit("b", 1);
    shell.pass(2000);
    assert!(shell.take().contains("restarting with"));
    assert_eq!(shell.look("without"), "RUNNING");
    // A stop by hand wins over the restart.
    shell.pass(5000);
    shell.stubborn = vec!["with"];
    shell.exit("b", 1);
    shell.pass(2000);
    assert_eq!(shell.look("with"), "STOPPING");
    shell.stop("with");
    shell.pass(20_000);
    assert_eq!(shell.look("with"), "STOPPED");
}

#[test]
fn a_dependency_that_is_removed_fails_who_waits_for_it() {
    let whole = programs(vec![
        changed(depending("a", "b"), |spec| spec.autostart = false),
        changed(program("b", "b"), |spec| spec.startretries = 0),
    ]);
    let mut shell = Shell::new(Arc::clone(&whole));
    shell.missing = vec!["b"];
    let scope = AccessScope::Only(vec![Namespec::parse("a")]);
    shell.stop("b");
    let target = one("a");
    shell.ask_within(
        Request::Start {
            target,
            wait: false,
        },
        scope,
    );
    assert_eq!(shell.look("a"), "STOPPED waiting for b (STOPPED)");
    // It is still configured, as between the two steps of an update.
    shell.ask(Request::RemoveGroup("b".to_owned()));
    assert_eq!(shell.look("a"), "STOPPED waiting for b (not active)");
    shell.missing.clear();
    shell.ask(Request::AddGroup("b".to_owned()));
    assert_eq!(shell.look("a"), "STOPPED waiting for b (STARTING)");
    // Now it is not.
    let mut without = whole;
    Arc::make_mut(&mut without)
        .groups
        .retain(|group| group.name.as_str() == "a");
    shell.fleet.configuration.last_read = without;
    shell.stop("b");
    shell.take();
    shell.ask(Request::RemoveGroup("b".to_owned()));
    assert_eq!(
        shell.take(),
        "answer 6: ok; a is not started: dependency b was removed"
    );
    assert_eq!(shell.look("a"), "STOPPED dependency b was removed");
}

#[test]
fn g30_groups_of_two_configurations_form_no_cycle() {
    let mut shell = Shell::with(vec![depending("a", "b"), program("b", "b")]);
    shell.pass(3000);
    // The next configuration has it the other way round, and only one of the groups is updated.
    shell.fleet.configuration.last_read = programs(vec![program("a", "a"), depending("b", "a")]);
    shell.stop("b");
    shell.ask(Request::RemoveGroup("b".to_owned()));
    shell.take();
    shell.ask(Request::AddGroup("b".to_owned()));
    assert_eq!(
        shell.take(),
        "answer 3: FAILED: dependencies would form a cycle through b (update all groups together)"
    );
    shell.stop("a");
    shell.ask(Request::RemoveGroup("a".to_owned()));
    shell.ask(Request::AddGroup("b".to_owned()));
    shell.ask(Request::AddGroup("a".to_owned()));
    shell.pass(3000);
    assert_eq!(shell.look("b"), "RUNNING");
}

#[test]
fn a_group_is_all_its_processes_also_when_it_grows() {
    let specs = |names: &[&str]| -> Vec<ProcessSpec> {
        names.iter().map(|name| program("g", name)).collect()
    };
    let mut whole = config(vec![
        (
            1,
            vec![changed(depending("a", "g:*"), |spec| {
                spec.startsecs = Seconds(0)
            })],
        ),
        (999, specs(&["x", "y"])),
    ]);
    Arc::make_mut(&mut whole);
    let mut shell = Shell::new(whole);
    assert_eq!(
        shell.look("a"),
        "STOPPED waiting for g:x (STARTING), g:y (STARTING)"
    );
    let name = crate::domain::GroupName::parse("g").expect("valid");
    let mut out = Vec::new();
    let more = [Arc::new(program("g", "z"))];
    shell
        .fleet
        .add_process(&name, &more, Bench::now(shell.ms), &mut out);
    assert!(
        shell.look("a").ends_with("g:z (STARTING)"),
        "{}",
        shell.look("a")
    );
    let slot = shell.slot("g:z");
    shell.pass(1000);
    assert_eq!(shell.look("a"), "STOPPED waiting for g:z (STARTING)");
    // Its shell never answered, so it is stopped and removed.
    shell.stop("g:z");
    let mut out = Vec::new();
    shell.fleet.remove_process(slot, &mut out);
    shell.give(Input::DeadlineReached);
    assert_eq!(shell.look("a"), "RUNNING");
}

#[test]
fn g71_the_plugins_keys_start_a_manual_program() {
    let plugin = |name: &str, on: &str| {
        let mut spec = program(name, name);
        spec.autostart = false;
        spec.dependencies = Arc::new(Dependencies {
            starts_with_plugin: true,
            wait_for: wait_for(on).expect("valid"),
            ..Dependencies::default()
        });
        spec
    };
    let one_shot = |mut spec: ProcessSpec| {
        spec.startsecs = Seconds(0);
        spec.autorestart = AutoRestart::Never;
        spec
    };
    let mut shell = Shell::with(vec![
        plugin("swss", "start:exited"),
        one_shot(plugin("start", "rsyslogd:running")),
        plugin("rsyslogd", ""),
        changed(program("manual", "manual"), |spec| spec.autostart = false),
    ]);
    shell.pass(2000);
    assert_eq!(shell.look("swss"), "STOPPED waiting for start (RUNNING)");
    // The plug-in does not ask how it exited.
    shell.exit("start", 1);
    shell.pass(2000);
    assert_eq!(shell.look("swss"), "RUNNING");
    assert_eq!(shell.look("manual"), "STOPPED");
}

#[test]
fn waiting_and_held_stops_survive_a_crash() {
    let mut shell = Shell::with(vec![
        depending("a", "b"),
        depending("b", "c"),
        program("c", "c"),
    ]);
    shell.pass(1500);
    assert_eq!(shell.look("a"), "STOPPED waiting for b (STARTING)");
    let crash = |shell: &mut Shell| {
        let mut whole = shell.fleet.snapshot();
        let slots = [shell.slot("a"), shell.slot("b"), shell.slot("c")];
        let records = slots.map(|slot| {
            let bytes = shell
                .fleet
                .record_bytes(slot, usize::MAX)
                .expect("a process");
            ProcessRecord::decode(&bytes).expect("valid")
        });
        whole.apply_records(records.into());
        shell.fleet = Fleet::restore(whole, Bench::now(shell.ms));
        shell.give(Input::Resumed(ResumeKind::NewDaemon));
    };
    crash(&mut shell);
    assert_eq!(shell.look("a"), "STOPPED waiting for b (STARTING)");
    shell.pass(2000);
    assert_eq!(shell.look("a"), "RUNNING");
    shell.stubborn = vec!["a"];
    let target = RequestTarget::All;
    shell.ask(Request::Stop {
        target,
        wait: false,
    });
    crash(&mut shell);
    shell.take();
    shell.pass(11_000);
    assert_eq!(
        shell.take(),
        "KILL a; a STOPPED; b STOPPING; TERM b; b STOPPED; c STOPPING; TERM c; c STOPPED"
    );
}

#[test]
fn a_chain_and_a_star_of_a_thousand_cost_their_edges() {
    let name = |number: usize| format!("p{number:04}");
    let chain = (0..1000).map(|number| {
        let on = if number == 0 {
            String::new()
        } else {
            name(number - 1)
        };
        changed(depending(&name(number), &on), |spec| {
            spec.startsecs = Seconds(0)
        })
    });
    let star = (0..1000).map(|number| {
        let on = if number == 0 { String::new() } else { name(0) };
        changed(depending(&name(number), &on), |spec| {
            spec.startsecs = Seconds(0)
        })
    });
    for specs in [chain.collect::<Vec<_>>(), star.collect()] {
        let identity = Identity {
            pid: 1,
            daemon_log: None,
            seed: 1,
            event_serial: 0,
        };
        let mut fleet = Fleet::new(identity, programs(specs));
        let mut inputs = VecDeque::from([Input::DaemonStarted]);
        let mut pid = 100;
        while let Some(input) = inputs.pop_front() {
            let mut out = Vec::new();
            fleet.handle(Bench::now(1), input, &mut out);
            for action in out {
                match action {
                    Action::Spawner(SpawnerEffect::Resolve(instance, _)) => {
                        inputs.push_back(Input::Spawner(SpawnerOutcome::Resolved(instance)));
                    }
                    Action::Output(OutputEffect::Prepare(instance, ..)) => {
                        inputs.push_back(Input::Output(OutputOutcome::Prepared(instance)));
                    }
                    Action::Spawn(instance, _) => {
                        pid += 1;
                        inputs.push_back(Input::Spawner(SpawnerOutcome::Spawned { instance, pid }));
                    }
                    _ => {}
                }
            }
        }
        let views = fleet.view(Bench::now(2));
        assert!(views.iter().all(|view| view.state.name() == "RUNNING"));
    }
}
