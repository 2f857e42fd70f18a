//! Tests of what clients see of the next thing that happens to a process.

use super::bench::{Bench, CAT, exited, stop};
use crate::core::Input;
use crate::domain::{Errno, Seconds, Signal};
use crate::effects::OutputOutcome;

/// The progress of the only process at this time.
fn progress(bench: &Bench, ms: u64) -> String {
    bench.fleet.view(Bench::now(ms))[0].progress.to_string()
}

#[test]
fn each_wait_of_a_process_has_its_progress() {
    let mut bench = Bench::cat(|spec| {
        spec.startsecs = Seconds(10);
        spec.startretries = 3;
        spec.stopwaitsecs = Seconds(7);
    });
    bench.bring_up(0, 0, 1, 7);
    assert_eq!(progress(&bench, 4_200), "for 4 s of 10 s");
    bench.give(5_000, exited(1));
    bench.give(5_000, Input::Output(OutputOutcome::Drained(CAT)));
    assert_eq!(bench.state(), "BACKOFF");
    assert_eq!(progress(&bench, 5_000), "retry 1 of 3 in 1 s");

    let mut bench = Bench::up(|spec| spec.stopwaitsecs = Seconds(7));
    bench.give(1_000, Input::DeadlineReached);
    assert_eq!(progress(&bench, 1_000), "");
    bench.ask(5_000, stop("cat", true));
    let sent = Input::Signalled {
        instance: CAT,
        signal: Signal::TERM,
        result: Ok::<(), Errno>(()),
    };
    bench.give(5_000, sent);
    // Rounded up, so that it is 0 only when it is due.
    assert_eq!(progress(&bench, 5_500), "SIGKILL in 7 s");
    assert_eq!(progress(&bench, 11_999), "SIGKILL in 1 s");
    while bench.due().is_some_and(|due| due <= 12_000) {
        let due = bench.due().unwrap_or(12_000);
        bench.give(due, Input::DeadlineReached);
        if progress(&bench, due) == "SIGKILL sent" {
            break;
        }
    }
    assert_eq!(progress(&bench, 12_000), "SIGKILL sent");
}

#[test]
fn an_automatic_restart_has_its_progress() {
    let mut bench = Bench::up(|spec| spec.restart.pause = Seconds(5));
    bench.give(1_000, Input::DeadlineReached);
    bench.give(20_000, exited(3));
    bench.give(20_000, Input::Output(OutputOutcome::Drained(CAT)));
    assert_eq!(bench.state(), "EXITED");
    assert_eq!(progress(&bench, 21_500), "restart in 4 s");
}
