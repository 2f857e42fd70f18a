//! The core in virtual time, with random configurations, failures, clients and clocks. A failing test prints the seed
//! of its world: `SIM_SEED=n` runs only that world, `SIM_STEPS=n` sets the total number of inputs,
//! `SIM_FIRST=n` the first world.

mod checkpoint;
mod configs;
mod dependencies;
mod ends;
mod invariants;
mod listeners;
mod notifiers;
mod restarts;
mod rng;
mod schedules;
mod scripts;
mod watches;
mod world;

use std::collections::BTreeSet;

use world::World;

/// Default total number of inputs.
const STEPS: u64 = 300_000;
/// Inputs of one world before it is stopped.
const STEPS_PER_WORLD: u64 = 4_000;

fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().expect("a number"))
}

/// What must happen in a run of the default length. Otherwise the invariants about it were not tested.
const MUST_HAPPEN: &[&str] = &[
    "ABNORMAL_TERMINATION",
    "ALREADY_ADDED",
    "ALREADY_STARTED",
    "AlreadyRunning",
    "BAD_NAME",
    "BAD_SIGNAL",
    "CANT_REREAD",
    "DependencyFailed",
    "DrainLate",
    "FAILED",
    "EventNotSent",
    "EventProcessed",
    "EventRejected",
    "GaveUp",
    "INCORRECT_PARAMETERS",
    "IgnoredHangup",
    "KillInBackoff",
    "KillingNow",
    "KillProblem",
    "ListenerUnknown",
    "NO_FILE",
    "NoticeForeign",
    "NoticeIgnored",
    "NoticesForeign",
    "NotReady",
    "NOT_RUNNING",
    "PROCESS_GROUP_ADDED",
    "PROCESS_GROUP_REMOVED",
    "PROCESS_STATE_BACKOFF",
    "PROCESS_STATE_EXITED",
    "PROCESS_STATE_FATAL",
    "PROCESS_STATE_RUNNING",
    "PROCESS_STATE_STARTING",
    "PROCESS_STATE_STOPPED",
    "PROCESS_STATE_STOPPING",
    "PROCESS_STATE_UNKNOWN",
    "PoolOverflow",
    "PrepareNext saved time",
    "a check",
    "a cancelled check",
    "a cancelled hook",
    "a hook",
    "a reaction",
    "a report",
    "a cancelled report",
    "NotificationLost",
    "a healthy process",
    "an unhealthy process",
    "a restart after a change",
    "FileChanged",
    "FatalScriptDone",
    "ProcessUpdated",
    "UpdateHalted",
    "PrepareNext was in vain",
    "ProcessAdded",
    "ProcessRemoved",
    "Ready",
    "Release",
    "Restart",
    "RestartFloored",
    "RestartRefused",
    "RestartedWith",
    "RunMadeUp",
    "RunMissed",
    "RunQueued",
    "RunReplaces",
    "RunSkipped",
    "SHUTDOWN_STATE",
    "SPAWN_ERROR",
    "STILL_RUNNING",
    "SendProblem",
    "Shutdown",
    "SignalMissed",
    "StartedFor",
    "StopHeld",
    "TICK_3600",
    "TICK_5",
    "TICK_60",
    "UpgradeRefused",
    "Upgraded",
    "WaitingFor",
    "WaitingToDie",
    "WaitingToStop",
    "WatchdogMissed",
    "WatchdogTriggered",
    "a schedule ran",
    "clock set",
    "AllEnded",
    "ProgramEnded",
    "delay that has grown",
    "end of an essential program",
    "later stop signal",
    "NextAttempt",
    "reset after a long run",
    "result ABNORMAL_TERMINATION",
    "result BAD_SIGNAL",
    "result FAILED",
    "result NO_FILE",
    "result SPAWN_ERROR",
    "rolling restart ended early",
    "scaled down",
    "scaled to what it was",
    "scaled up",
];

#[test]
fn every_invariant_holds_in_random_worlds() {
    let steps = number("SIM_STEPS").unwrap_or(STEPS);
    let only = number("SIM_SEED");
    let mut seed = only.or(number("SIM_FIRST")).unwrap_or(1);
    let mut done = 0;
    let mut seen = BTreeSet::new();
    while done < steps {
        println!("SIM_SEED={seed}");
        let (count, happened) = World::new(seed).run(STEPS_PER_WORLD);
        done += count;
        seen.extend(happened);
        seed = seed.wrapping_add(1);
        if only.is_some() {
            return;
        }
    }
    let missing: Vec<_> = MUST_HAPPEN
        .iter()
        .filter(|what| !seen.contains(**what))
        .collect();
    assert!(
        steps < STEPS || missing.is_empty(),
        "never happened: {missing:?}"
    );
}
