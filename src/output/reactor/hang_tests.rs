//! Logs that hang, with real threads.

use super::*;
use crate::effects::OutputEffect;
use crate::output::UnflushedChunk;
use crate::output::testing::Held;

fn instance(slot: u32, incarnation: u64) -> InstanceId {
    InstanceId { slot, incarnation }
}

/// A log path for the instance in this slot.
fn log(bench: &Bench, slot: u32) -> LogPaths {
    LogPaths {
        stdout: Some(bench.dir.path(&format!("log{slot}")).into()),
        stderr: None,
    }
}

fn begun(bench: &Bench, slot: u32) -> std::fs::File {
    let name = format!("cat{slot}");
    bench
        .prepare(
            instance(slot, u64::from(slot)),
            spec(&name),
            log(bench, slot),
        )
        .stdout
}

#[test]
fn logs_of_other_programs_continue_and_nothing_is_lost() {
    let bench = Bench::new("hang-other", Level::Info);
    let (mut one, mut other) = (begun(&bench, 1), begun(&bench, 2));
    let held = Held::new(bench.dir.path("log1"));
    for round in 0..20 {
        one.write_all(format!("one {round}\n").as_bytes())
            .expect("room");
        let text = format!("other {round}\n");
        other.write_all(text.as_bytes()).expect("room");
        bench.sees("log2", &text);
    }
    assert_eq!(bench.read("log1"), "");
    drop(held);
    bench.sees("log1", "one 19\n");
    let expected: String = (0..20).map(|round| format!("one {round}\n")).collect();
    assert_eq!(bench.read("log1"), expected);
}

#[test]
fn the_other_stream_of_the_same_program_continues_afterwards() {
    let bench = Bench::new("hang-stream", Level::Info);
    let mut ends = bench.prepare(INSTANCE, spec("cat"), bench.paths());
    let held = Held::new(bench.dir.path("err"));
    let stderr = ends.stderr.as_mut().expect("of its own");
    stderr.write_all(b"held").expect("room");
    eventually("it is read", || sys::unread(&*stderr).unwrap_or(0) == 0);
    ends.stdout.write_all(b"first ").expect("room");
    // When this command is handled, the earlier event of the pipe is handled too.
    bench.sync();
    bench.sync();
    drop(held);
    bench.sees("err", "held");
    bench.sees("out", "first");
    ends.stdout.write_all(b"second").expect("room");
    bench.sees("out", "first second");
}

#[test]
fn an_exit_is_reported_immediately_and_the_next_instance_waits() {
    let bench = Bench::new("hang-end", Level::Info);
    let mut pipe = begun(&bench, 1);
    let held = Held::new(bench.dir.path("log1"));
    pipe.write_all(b"first\n").expect("room");
    eventually("it is read", || sys::unread(&pipe).unwrap_or(0) == 0);
    pipe.write_all(b"second\n").expect("room");
    bench.drain(instance(1, 1));
    let next = instance(1, 9);
    bench
        .output
        .send(OutputCommand::Effect(OutputEffect::Prepare(
            next,
            Arc::new(spec("cat1")),
            log(&bench, 1),
        )));
    bench.sync();
    assert!(bench.reports.try_recv().is_err(), "it waits for the log");
    drop(held);
    let OutputReport::Prepared(of, ends) = bench.next() else {
        panic!("not prepared");
    };
    assert_eq!(of, next);
    bench
        .output
        .send(OutputCommand::Effect(OutputEffect::Read(next, 42)));
    let mut pipe = std::fs::File::from(ends.stdout);
    pipe.write_all(b"third\n").expect("room");
    bench.sees("log1", "third\n");
    assert_eq!(bench.read("log1"), "first\nsecond\nthird\n");
}

#[test]
fn a_waiting_start_can_be_cancelled() {
    let bench = Bench::new("hang-off", Level::Info);
    let mut pipe = begun(&bench, 1);
    let held = Held::new(bench.dir.path("log1"));
    pipe.write_all(b"first\n").expect("room");
    bench.drain(instance(1, 1));
    let next = instance(1, 9);
    bench
        .output
        .send(OutputCommand::Effect(OutputEffect::Prepare(
            next,
            Arc::new(spec("cat1")),
            log(&bench, 1),
        )));
    bench.drain(next);
    drop(held);
    bench.sees("log1", "first\n");
    bench.sync();
    assert!(bench.reports.try_recv().is_err(), "it was called off");
}

#[test]
fn a_hanging_device_blocks_only_the_programs_that_log_to_it() {
    let shm = std::path::Path::new("/dev/shm");
    if !shm.is_dir() {
        eprintln!("skipped: no second file system");
        return;
    }
    let bench = Bench::new("hang-many", Level::Info);
    let mut pipes: Vec<_> = (1..=12).map(|slot| begun(&bench, slot)).collect();
    let elsewhere = shm.join(format!("supervisord-hang-{}", std::process::id()));
    let paths = LogPaths {
        stdout: Some(elsewhere.as_path().into()),
        stderr: None,
    };
    let mut other = bench.prepare(instance(20, 20), spec("other"), paths).stdout;
    let held: Vec<_> = (1..=12)
        .map(|slot| Held::new(bench.dir.path(&format!("log{slot}"))))
        .collect();
    for pipe in &mut pipes {
        pipe.write_all(b"held\n").expect("room");
    }
    for round in 0..20 {
        let text = format!("other {round}\n");
        other.write_all(text.as_bytes()).expect("room");
        eventually("it is written", || {
            std::fs::read_to_string(&elsewhere).is_ok_and(|now| now.ends_with(&text))
        });
    }
    bench.drain(instance(12, 12));
    drop(held);
    for slot in 1..=12 {
        bench.sees(&format!("log{slot}"), "held\n");
    }
    std::fs::remove_file(elsewhere).expect("there");
}

#[test]
fn a_hanging_activity_log_delays_nothing_and_counts_lost_lines() {
    let bench = Bench::new("hang-activity", Level::Info);
    let mut pipe = begun(&bench, 1);
    let held = Held::new(bench.dir.path("activity"));
    let sent = 60_000;
    for pid in 0..sent {
        bench.output.log(Line::Started { pid });
    }
    pipe.write_all(b"not held\n").expect("room");
    bench.sees("log1", "not held\n");
    bench.drain(instance(1, 1));
    drop(held);
    eventually("all of them are counted", || {
        let text = bench.read("activity");
        let lost: usize = text
            .lines()
            .filter(|line| line.contains("lines of this log were lost here"))
            .filter_map(|line| line.split(' ').nth(3)?.parse::<usize>().ok())
            .sum();
        let written = text.matches("started with pid").count();
        lost > 0 && written + lost >= usize::try_from(sent).expect("small")
    });
}

#[test]
fn data_read_by_a_hanging_thread_is_recovered_by_the_next_daemon() {
    // An even number of letters: `Bench` then has an in-flight log.
    let bench = Bench::new("hang-left-over", Level::Info);
    let mut pipe = begun(&bench, 1);
    pipe.write_all(b"before\n").expect("room");
    bench.sees("log1", "before\n");
    let held = Held::new(bench.dir.path("log1"));
    pipe.write_all(b"under way\n").expect("room");
    eventually("it is read", || sys::unread(&pipe).unwrap_or(0) == 0);
    pipe.write_all(b"in the pipe\n").expect("room");
    let handoff = bench.output.hand_over();
    let [unflushed] = handoff.state.unflushed.as_slice() else {
        panic!("{:?}", handoff.state.unflushed);
    };
    let text = serde_json::to_string(unflushed).expect("can be written");
    let unflushed: UnflushedChunk = serde_json::from_str(&text).expect("can be read");
    let found = handoff.fds.get("o1").expect("its pipe");
    let unread = sys::unread(found).ok();
    let recovered = unflushed.recover(unread, Some(&bench.dir.path("log1")));
    assert_eq!(recovered.missing(), b"under way\n");
    assert_eq!(unread, Some(b"in the pipe\n".len()));
    assert_eq!(recovered.lost, 0);
    drop(held);
}
