//! Tests of what dead instances wrote last to standard error.

use super::bench::{Bench, start};
use super::scaling::instance;
use crate::api::{Reply, Request, Ticket};
use crate::config::spec::AutoRestart;
use crate::core::{Fleet, Input};
use crate::domain::{ExitStatus, InstanceId, Now, Seconds, Wall};
use crate::effects::{OutputOutcome, SpawnerOutcome};

/// Ends an instance that wrote this last.
fn end(bench: &mut Bench, at: u64, instance: InstanceId, text: &[u8]) -> Vec<String> {
    let status = ExitStatus::Exited(3);
    bench.give(at, Input::Exited { instance, status });
    wrote(bench, at, instance, text);
    bench.give(at, Input::Output(OutputOutcome::Drained(instance)))
}

fn wrote(bench: &mut Bench, at: u64, instance: InstanceId, text: &[u8]) {
    let data = text.into();
    bench.give(
        at,
        Input::Output(OutputOutcome::LastStderr { instance, data }),
    );
}

/// Starts `cat` on request, with this number of the request.
fn restart(bench: &mut Bench, at: u64, ticket: u64) {
    bench.ask(at, start("cat", false));
    let (ticket, result) = (Ticket(ticket), Ok(()));
    let checked = SpawnerOutcome::Answered { ticket, result };
    let lines = bench.give(at, Input::Spawner(checked));
    assert!(
        lines.iter().any(|line| line.starts_with("resolve")),
        "{lines:?}"
    );
}

/// The lines for `cat`, without the number of the answer.
fn last(bench: &mut Bench, most: u32) -> String {
    let names = vec!["cat".to_owned()];
    let answer = bench.ask(9_000_000, Request::LastStderr { names, most });
    let answer = answer.join("\n");
    answer.splitn(3, ' ').last().unwrap_or_default().to_owned()
}

#[test]
fn the_end_of_stderr_is_kept_for_eight_instances_and_survives_an_upgrade() {
    let mut bench = Bench::up(|spec| {
        spec.startsecs = Seconds(0);
        spec.autorestart = AutoRestart::Never;
    });
    // Nothing is kept of an instance that runs, nor of one that is gone.
    wrote(&mut bench, 5, instance(0, 1), b"too early");
    end(&mut bench, 10, instance(0, 1), b"why 1\tand\n");
    wrote(&mut bench, 20, instance(0, 1), b"too late");
    for count in 2..=10_u64 {
        let at = count * 100;
        restart(&mut bench, at, count - 1);
        bench.bring_up(at, 0, count, 7);
        end(
            &mut bench,
            at,
            instance(0, count),
            format!("why {count}\n").as_bytes(),
        );
    }
    // An instance that wrote nothing hides no other one.
    restart(&mut bench, 2000, 10);
    bench.bring_up(2000, 0, 11, 7);
    end(&mut bench, 2000, instance(0, 11), b"");
    let all = last(&mut bench, 0);
    assert_eq!(all.matches("exit status 3").count(), 8, "{all}");
    assert!(
        all.contains("why 3") && all.contains("why 10") && !all.contains("why 2\\"),
        "{all}"
    );
    let newest = last(&mut bench, 1);
    assert!(
        newest.contains("why 10") && !newest.contains("why 9"),
        "{newest}"
    );

    let now = Now {
        wall: Wall(0),
        ..Bench::now(3000)
    };
    let text = serde_json::to_string(&bench.fleet.snapshot()).expect("written");
    bench.fleet = Fleet::restore(serde_json::from_str(&text).expect("read"), now);
    assert_eq!(last(&mut bench, 0), all);
    let without = text.replace("\"dead\":", "\"formerly\":");
    bench.fleet = Fleet::restore(serde_json::from_str(&without).expect("read"), now);
    assert_eq!(last(&mut bench, 0).matches("exit status").count(), 0);
}

#[test]
fn the_last_line_of_stderr_explains_fatal() {
    for (redirects, told) in [
        (false, "last line of standard error"),
        (true, "last line of output"),
    ] {
        let mut bench = Bench::up(|spec| {
            spec.startretries = 0;
            spec.redirect_stderr = redirects;
        });
        let lines = end(
            &mut bench,
            100,
            instance(0, 1),
            b"first\nno \x1b[1mport\n\n  \n",
        );
        let lines = lines.join("\n");
        let (gave_up, why) = lines.split_once("gave up: cat").expect("FATAL");
        assert!(!gave_up.contains(told), "{lines}");
        assert!(
            why.contains(&format!("cat: {told}: no \\u{{1b}}[1mport")),
            "{lines}"
        );
    }
    // Without output the line is missing.
    let mut bench = Bench::up(|spec| spec.startretries = 0);
    let lines = end(&mut bench, 100, instance(0, 1), b"").join("\n");
    assert!(
        lines.contains("gave up: cat") && !lines.contains("last line"),
        "{lines}"
    );
    let reply = bench
        .fleet
        .last_stderr(&[], 0, &crate::api::AccessScope::All);
    assert_eq!(reply, Ok(Reply::Lines(Vec::new())));
}
