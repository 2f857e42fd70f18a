//! Tests of the keys that decide when a process is restarted automatically (row G22 of the checklist).

use super::bench::{Bench, config, exited, program, start, stop};
use crate::config::spec::{AutoRestart, ProcessSpec, UNLIMITED_RETRIES};
use crate::core::Input;
use crate::domain::{ExitStatus, InstanceId, Seconds, SpawnError};
use crate::effects::{LoadReason, LoaderOutcome, OutputOutcome, SpawnerOutcome};

/// Returns the times of the next attempts when `cat` runs for `runs` ms each time.
fn restarts(bench: &mut Bench, runs: &[u64]) -> Vec<u64> {
    let mut at = 0;
    let mut waits = Vec::new();
    for (incarnation, run) in (1..).zip(runs) {
        let slot = 0;
        let instance = InstanceId { slot, incarnation };
        bench.bring_up(at, 0, incarnation, 7);
        let promoted = bench.due().filter(|&due| due <= at + run);
        if let Some(promoted) = promoted {
            bench.give(promoted, Input::DeadlineReached);
        }
        let ended = at + run;
        let status = ExitStatus::Exited(3);
        bench.give(ended, Input::Exited { instance, status });
        bench.give(ended, Input::Output(OutputOutcome::Drained(instance)));
        let Some(due) = bench.fleet.next_deadline() else {
            waits.push(0);
            break;
        };
        let due = due.0.div_ceil(1_000_000);
        waits.push(due - ended);
        at = due;
        bench.give(at, Input::DeadlineReached);
    }
    waits
}

#[test]
fn g22_restartpause_counts_from_the_exit_and_after_failed_starts() {
    let pause = |spec: &mut ProcessSpec| spec.restart.pause = Seconds(7);
    // Exits from RUNNING, and then before startsecs.
    let mut bench = Bench::cat(pause);
    assert_eq!(restarts(&mut bench, &[5000, 100, 100]), [7000, 7000, 7000]);
    let mut bench = Bench::cat(|spec| {
        pause(spec);
        spec.startretries = 20;
    });
    // Supervisor's delay of one second more for each failure goes on above the pause.
    let failures = [100; 9];
    assert_eq!(
        restarts(&mut bench, &failures)[5..],
        [7000, 7000, 8000, 9000]
    );
    // restart_floor counts from the start, restartpause from the exit: the later one counts.
    let mut bench = Bench::cat(|spec| {
        pause(spec);
        spec.restart_floor = Seconds(30);
    });
    assert_eq!(restarts(&mut bench, &[5000, 40_000]), [25_000, 7000]);
}

#[test]
fn g22_delays_grow_until_the_process_was_running_long_enough() {
    let grows = |spec: &mut ProcessSpec| {
        spec.restart.delay = Seconds(2);
        spec.restart.delay_max = Seconds(10);
        spec.restart.reset_after = Seconds(60);
        spec.restart_floor = Seconds(0);
    };
    let mut bench = Bench::cat(grows);
    // Runs from RUNNING, failed starts, and a long run, after which all begins again.
    assert_eq!(
        restarts(&mut bench, &[5000, 100, 100, 5000, 61_500, 5000, 60_500]),
        [2000, 4000, 8000, 10_000, 2000, 4000, 8000]
    );
    // Without restart_reset_after, RUNNING ends the growth at once.
    let mut bench = Bench::cat(|spec| {
        grows(spec);
        spec.restart.reset_after = Seconds(0);
    });
    let runs = [5000, 100, 100, 5000];
    assert_eq!(restarts(&mut bench, &runs), [2000, 4000, 8000, 2000]);
}

#[test]
fn g22_restart_reset_after_counts_tries_over_short_runs() {
    let mut bench = Bench::cat(|spec| {
        spec.startretries = 2;
        spec.restart.pause = Seconds(1);
        spec.restart.reset_after = Seconds(60);
    });
    // Two failed starts, a short run, and the third failure in a row.
    let waits = restarts(&mut bench, &[100, 100, 5000, 100, 100]);
    assert_eq!(waits, [1000, 2000, 1000, 0]);
    assert_eq!(bench.state(), "FATAL");
}

#[test]
fn startretries_unlimited_is_never_fatal() {
    let mut bench = Bench::cat(|spec| {
        spec.startretries = UNLIMITED_RETRIES;
        spec.restart.delay_max = Seconds(3);
    });
    let waits = restarts(&mut bench, &[100; 50]);
    assert_eq!(waits[..4], [1000, 2000, 3000, 3000]);
    assert_eq!(waits[49], 3000);
    assert_eq!(bench.state(), "STARTING");
}

#[test]
fn a_jitter_is_between_its_bounds_and_differs() {
    let jitter = |spec: &mut ProcessSpec| {
        spec.restart.delay = Seconds(10);
        spec.restart.jitter_permille = 500;
    };
    let waits = restarts(&mut Bench::cat(jitter), &[5000; 20]);
    assert!(waits.iter().all(|wait| (10_000..=15_000).contains(wait)));
    let mut different = waits.clone();
    different.sort_unstable();
    different.dedup();
    assert!(different.len() > 10, "{waits:?}");
    // The seed determines it.
    assert_eq!(waits, restarts(&mut Bench::cat(jitter), &[5000; 20]));
}

#[test]
fn the_next_attempt_is_shown_only_for_programs_with_a_key_about_it() {
    let failed = Input::Spawner(SpawnerOutcome::Failed {
        instance: super::bench::CAT,
        error: SpawnError::Empty,
    });
    let mut bench = Bench::cat(|spec| spec.restart.delay = Seconds(12));
    let lines = bench.give(500, failed.clone());
    assert_eq!(
        lines.last().map(String::as_str),
        Some("INFO cat: next attempt in 12000 ms")
    );
    let view = &bench.fleet.view(Bench::now(500))[0];
    assert_eq!(view.next_attempt, Some(1012));
    let mut bench = Bench::cat(|_| {});
    assert!(!bench.give(500, failed).join("").contains("next attempt"));
    assert_eq!(bench.fleet.view(Bench::now(500))[0].next_attempt, None);
}

#[test]
fn a_start_by_hand_begins_the_delays_again() {
    let mut bench = Bench::cat(|spec| {
        spec.restart.delay = Seconds(2);
        spec.restart.delay_max = Seconds(60);
        spec.restart.reset_after = Seconds(60);
    });
    assert_eq!(restarts(&mut bench, &[100, 100, 100]), [2000, 4000, 8000]);
    bench.bring_up(50_000, 0, 4, 7);
    bench.ask(50_100, stop("cat", false));
    let (slot, incarnation) = (0, 4);
    let instance = InstanceId { slot, incarnation };
    let status = ExitStatus::Exited(0);
    bench.give(50_200, Input::Exited { instance, status });
    bench.give(50_200, Input::Output(OutputOutcome::Drained(instance)));
    bench.ask(60_000, start("cat", false));
    let found = SpawnerOutcome::Answered {
        ticket: crate::api::Ticket(2),
        result: Ok(()),
    };
    bench.give(60_000, Input::Spawner(found));
    let error = SpawnError::Empty;
    let incarnation = 5;
    let instance = InstanceId { slot, incarnation };
    let failed = SpawnerOutcome::Failed { instance, error };
    bench.give(60_000, Input::Spawner(failed));
    assert_eq!(bench.due(), Some(62_000));
}

#[test]
fn a_changed_policy_applies_without_a_restart() {
    let mut bench = Bench::up(|_| {});
    bench.give(1000, Input::DeadlineReached);
    let mut spec = program("cat", "cat");
    spec.restart.pause = Seconds(9);
    let result = Ok(config(vec![(999, vec![spec])]));
    bench.ask(2000, crate::api::Request::Reread);
    let loaded = Input::Loader(LoaderOutcome::Loaded {
        reason: LoadReason::Reread(crate::api::Ticket(1)),
        result,
    });
    assert_eq!(bench.give(2000, loaded), ["answer 1 +[] ~[] -[]"]);
    bench.give(3000, exited(3));
    bench.give(
        3000,
        Input::Output(OutputOutcome::Drained(super::bench::CAT)),
    );
    assert_eq!(bench.due(), Some(12_000));
}

/// Two hundred programs that fail at once, and one that is started by hand: nothing waits for the others.
#[test]
fn a_crash_loop_of_two_hundred_programs_starves_nothing() {
    let looping = |number: u32| {
        let mut spec = program(&format!("loop{number}"), "p");
        spec.startretries = UNLIMITED_RETRIES;
        spec.autorestart = AutoRestart::Always;
        spec.restart.delay = Seconds(1);
        spec.restart.jitter_permille = 1000;
        (999, vec![spec])
    };
    let mut quiet = program("quiet", "quiet");
    quiet.autostart = false;
    let mut groups: Vec<_> = (0..200).map(looping).collect();
    groups.push((999, vec![quiet]));
    let mut fleet = crate::core::Fleet::new(
        crate::core::Identity {
            pid: 1,
            daemon_log: None,
            seed: 5,
            event_serial: 0,
        },
        config(groups),
    );
    let mut out = Vec::new();
    fleet.handle(Bench::now(0), Input::DaemonStarted, &mut out);
    let mut attempts = 0_u32;
    let mut times = std::collections::BTreeSet::new();
    let mut now = 0;
    while attempts < 4000 {
        let starting: Vec<InstanceId> = std::mem::take(&mut out)
            .iter()
            .filter_map(|action| match action {
                crate::core::Action::Spawner(crate::effects::SpawnerEffect::Resolve(of, _)) => {
                    Some(*of)
                }
                _ => None,
            })
            .collect();
        attempts += u32::try_from(starting.len()).expect("few");
        for instance in starting {
            let error = SpawnError::Empty;
            let failed = Input::Spawner(SpawnerOutcome::Failed { instance, error });
            fleet.handle(Bench::now(now), failed, &mut out);
        }
        let due = fleet.next_deadline().expect("all of them retry");
        assert!(due > Bench::now(now).mono, "a hot loop");
        now = due.0.div_ceil(1_000_000);
        times.insert(now);
        fleet.handle(Bench::now(now), Input::DeadlineReached, &mut out);
    }
    // The jitter spreads them, and all had their turn: 20 rounds of one to two seconds.
    assert!(times.len() > 1000, "{} different times", times.len());
    assert!((15_000..45_000).contains(&now), "{now} ms");
    let spawned = fleet.view(Bench::now(now)).len();
    assert_eq!(spawned, 201);
}
