//! Tests of processes left in a cgroup, and of limits that change at run time.

use std::sync::Arc;

use super::bench::{Bench, CAT, config, exited, play, program, stop};
use crate::api::Ticket;
use crate::config::spec::{CgroupLimits, InternedDefault as _, KillMode, LimitAmount, ProcessSpec};
use crate::core::Input;
use crate::domain::{ResourceEvents, Seconds};
use crate::effects::{LoadReason, LoaderOutcome, OutputOutcome, SpawnerOutcome};

fn control_group(spec: &mut ProcessSpec) {
    spec.startsecs = Seconds(0);
    spec.resources = Arc::new(CgroupLimits {
        kill_mode: KillMode::ControlGroup,
        ..CgroupLimits::default()
    });
}

const EMPTIED: Input = Input::Emptied {
    instance: CAT,
    resource_events: ResourceEvents::NONE,
};
const OUT_OF_MEMORY: ResourceEvents = ResourceEvents {
    oom_kill: true,
    ..ResourceEvents::NONE
};

#[test]
fn a_process_is_stopped_when_its_cgroup_is_empty() {
    let mut bench = Bench::up(control_group);
    bench.ask(100, stop("cat", true));
    play(
        &mut bench,
        vec![
            (200, exited(0), vec!["empty 0.1 true"], Some(2100)),
            (
                2100,
                Input::DeadlineReached,
                vec!["INFO waiting for cat to stop"],
                Some(4100),
            ),
            (2200, EMPTIED, vec!["drain 0.1"], Some(4100)),
            (
                2300,
                Input::Output(OutputOutcome::Drained(CAT)),
                vec![
                    "cat STOPPING->STOPPED pid 7",
                    "INFO stopped: cat (exit status 0)",
                    "answer 1 Done",
                ],
                None,
            ),
        ],
    );
}

#[test]
fn a_restart_waits_at_most_ten_seconds_for_orphans() {
    let mut bench = Bench::up(control_group);
    bench.give(100, exited(1));
    assert_eq!(bench.due(), Some(10_100));
    assert_eq!(
        bench.give(10_100, Input::DeadlineReached),
        [
            "ERRO cat: orphan processes still run 10 s after SIGKILL; no longer waiting for their exit",
            "drain 0.1",
            "prepare-next 0.2",
            "resolve 0.2",
        ]
    );
    let lines = bench.give(10_200, Input::Output(OutputOutcome::Drained(CAT)));
    let starting = "cat EXITED->STARTING tries 0";
    assert_eq!(lines.last().map(String::as_str), Some(starting));
    // The processes are gone now. This late input does not affect the next instance.
    assert_eq!(bench.give(10_300, EMPTIED), [""; 0]);
}

#[test]
fn a_program_without_kill_mode_does_not_wait_for_its_cgroup() {
    let mut bench = Bench::up(|_| {});
    assert_eq!(bench.give(1100, exited(0)), ["drain 0.1"]);
    assert_eq!(bench.give(1100, EMPTIED), [""; 0]);
}

#[test]
fn resource_events_are_part_of_the_exit() {
    let mut bench = Bench::up(|spec| {
        spec.startsecs = Seconds(0);
        spec.autorestart = crate::config::spec::AutoRestart::Never;
        spec.resources = Arc::new(CgroupLimits {
            memory_max: Some(LimitAmount(Some(1 << 20))),
            ..CgroupLimits::default()
        });
    });
    assert_eq!(bench.give(2000, exited(1)), ["empty 0.1 false"]);
    bench.give(
        2000,
        Input::Emptied {
            instance: CAT,
            resource_events: OUT_OF_MEMORY,
        },
    );
    assert_eq!(
        bench.give(2000, Input::Output(OutputOutcome::Drained(CAT))),
        [
            "cat RUNNING->EXITED pid 7 expected false",
            "WARN exited: cat (exit status 1; not expected)",
            "WARN cat: resource limits reached: killed by the OOM killer",
        ]
    );
    let view = bench.fleet.view(Bench::now(2000)).remove(0);
    assert_eq!(view.resource_events, OUT_OF_MEMORY);
    assert_eq!(
        view.spawn_error,
        "Bad exit code 1, killed by the OOM killer"
    );
    // The next instance starts without resource events.
    let asked = bench.ask(3000, super::bench::start("cat", false));
    assert_eq!(asked, ["check 1 cat"]);
    let (ticket, result) = (Ticket(1), Ok(()));
    bench.give(
        3000,
        Input::Spawner(SpawnerOutcome::Answered { ticket, result }),
    );
    assert!(
        bench.fleet.view(Bench::now(3000))[0]
            .resource_events
            .is_none()
    );
}

#[test]
fn limits_change_while_a_process_runs() {
    let specs = |limit: Option<u64>, command: &str| {
        let mut specs = [program("cat", "cat"), program("dog", "dog")];
        for spec in &mut specs {
            spec.startsecs = Seconds(0);
            spec.autostart = spec.name.as_str() == "cat";
            spec.resources = CgroupLimits {
                pids_max: limit.map(|limit| LimitAmount(Some(limit))),
                ..CgroupLimits::default()
            }
            .into_shared();
        }
        specs[1].command = Arc::from(command);
        config(specs.map(|spec| (999, vec![spec])).into())
    };
    let mut bench = Bench::new(specs(None, "a"));
    bench.give(0, Input::DaemonStarted);
    let read = |bench: &mut Bench, ms, config| {
        let asked = bench.ask(ms, crate::api::Request::Reread);
        assert_eq!(asked.len(), 1, "{asked:?}");
        let ticket = asked[0]
            .split(['(', ')'])
            .nth(2)
            .and_then(|text| text.parse().ok());
        let reason = LoadReason::Reread(Ticket(ticket.expect("a number")));
        bench.give(
            ms,
            Input::Loader(LoaderOutcome::Loaded {
                reason,
                result: Ok(config),
            }),
        )
    };
    // Limits cannot be applied while the process is being spawned.
    bench.give(0, Input::Spawner(SpawnerOutcome::Resolved(CAT)));
    bench.give(0, Input::Output(OutputOutcome::Prepared(CAT)));
    let lines = read(&mut bench, 10, specs(Some(5), "a"));
    assert_eq!(lines.len(), 1, "{lines:?}");
    let lines = bench.give(
        20,
        Input::Spawner(SpawnerOutcome::Spawned {
            instance: CAT,
            pid: 7,
        }),
    );
    assert!(lines.contains(&"limit 0.1".to_owned()), "{lines:?}");
    // Without a change nothing happens.
    assert_eq!(read(&mut bench, 30, specs(Some(5), "a")).len(), 1);
    // Other changes wait until the process is started again.
    let lines = read(&mut bench, 40, specs(Some(6), "b"));
    assert_eq!(
        lines[1..],
        [
            "limit 0.1".to_owned(),
            "INFO cat: applied new limits to the running process".to_owned()
        ]
    );
    assert!(lines[0].contains("dog"), "{lines:?}");
}
