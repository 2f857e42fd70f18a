//! Rotations and deletions of backups on other threads.

use super::*;
use crate::effects::OutputEffect;
use crate::output::job::OutputJob;

/// More backups than the owner of the reactor renames itself.
const MANY: i64 = 17;

fn instance(slot: u32) -> InstanceId {
    InstanceId {
        slot,
        incarnation: 1,
    }
}

/// An instance with one log that rotates at ten bytes.
fn begun(reactor: &mut Reactor, dir: &TempDir, slot: u32, backups: i64) -> std::fs::File {
    let mut spec = spec("cat");
    spec.stdout.maxbytes = Bytes(10);
    spec.stdout.backups = backups;
    let paths = LogPaths {
        stdout: Some(dir.path(&format!("log{slot}")).as_path().into()),
        stderr: None,
    };
    let ends = prepared(reactor, instance(slot), &Arc::new(spec), &paths);
    tell(
        reactor,
        OutputCommand::Effect(OutputEffect::Read(instance(slot), 42)),
    );
    ends.stdout.into()
}

/// Does a job like a helper thread.
fn help(reactor: &mut Reactor, thread: usize, job: OutputJob) {
    let mut read_buffer = ReadBuffer::Own(vec![0; READ_BYTES]);
    let done = job.run(&mut read_buffer, &reactor.settings());
    reactor.finish(thread, done, &mut read_buffer);
    work_off(reactor);
}

fn read(dir: &TempDir, name: &str) -> Option<String> {
    std::fs::read_to_string(dir.path(name)).ok()
}

#[test]
fn a_long_rotation_delays_only_its_own_program() {
    let dir = TempDir::new("long-rotation");
    let (mut reactor, _) = in_hand(&dir);
    let mut one = begun(&mut reactor, &dir, 1, MANY);
    let mut other = begun(&mut reactor, &dir, 2, 1);
    std::fs::write(dir.path("log1.1"), "older").expect("written");
    one.write_all(b"0123456789").expect("room");
    turn(&mut reactor);
    assert_eq!(read(&dir, "log1").as_deref(), Some("0123456789"));
    assert!(reactor.wants_help(), "for the rotation");
    one.write_all(b"later").expect("room");
    other.write_all(b"0123456789").expect("room");
    turn(&mut reactor);
    assert_eq!(read(&dir, "log2.1").as_deref(), Some("0123456789"), "few");
    assert_eq!(read(&dir, "log1").as_deref(), Some("0123456789"), "full");
    let job = reactor.next_slow_job(1).expect("the rotation");
    assert!(!reactor.wants_help());
    help(&mut reactor, 1, job);
    turn(&mut reactor);
    assert_eq!(read(&dir, "log1.2").as_deref(), Some("older"));
    assert_eq!(read(&dir, "log1.1").as_deref(), Some("0123456789"));
    assert_eq!(read(&dir, "log1").as_deref(), Some("later"));
    assert!(!reactor.wants_help());
}

#[test]
fn a_device_has_one_long_rotation_at_a_time() {
    let dir = TempDir::new("long-rotations");
    let (mut reactor, _) = in_hand(&dir);
    let mut pipes: Vec<_> = (1..=3)
        .map(|slot| begun(&mut reactor, &dir, slot, MANY))
        .collect();
    for pipe in &mut pipes {
        pipe.write_all(b"0123456789").expect("room");
    }
    turn(&mut reactor);
    for slot in 1..=3 {
        let job = reactor.next_slow_job(1).expect("a rotation");
        assert!(!reactor.wants_help(), "the others wait");
        assert!(reactor.next_slow_job(2).is_none());
        help(&mut reactor, 1, job);
        let backup = read(&dir, &format!("log{slot}.1"));
        assert_eq!(backup.as_deref(), Some("0123456789"), "in their order");
    }
    assert!(!reactor.wants_help());
}

#[test]
fn an_exit_during_a_long_rotation_loses_nothing() {
    let dir = TempDir::new("rotation-end");
    let (mut reactor, drained) = in_hand(&dir);
    let mut pipe = begun(&mut reactor, &dir, 1, MANY);
    pipe.write_all(b"0123456789").expect("room");
    turn(&mut reactor);
    pipe.write_all(b"9876543210").expect("room");
    drop(pipe);
    tell(
        &mut reactor,
        OutputCommand::Effect(OutputEffect::Drain(instance(1))),
    );
    assert!(drained.lock().expect("unpoisoned").is_empty(), "not yet");
    let job = reactor.next_slow_job(1).expect("the rotation");
    help(&mut reactor, 1, job);
    // The chunk that was read then fills the log again.
    let job = reactor.next_slow_job(1).expect("another rotation");
    help(&mut reactor, 1, job);
    assert_eq!(
        drained.lock().expect("unpoisoned").get(&instance(1)),
        Some(&1)
    );
    assert_eq!(read(&dir, "log1.2").as_deref(), Some("0123456789"));
    assert_eq!(read(&dir, "log1.1").as_deref(), Some("9876543210"));
    assert_eq!(read(&dir, "log1").as_deref(), Some(""));
}

#[test]
fn another_thread_deletes_a_bounded_number_of_large_backups() {
    let dir = TempDir::new("deletion");
    let (mut reactor, _) = in_hand(&dir);
    let mut spec = spec("cat");
    spec.stdout.maxbytes = Bytes(1 << 20);
    spec.stdout.backups = 1;
    let paths = LogPaths {
        stdout: Some(dir.path("log").as_path().into()),
        stderr: None,
    };
    let ends = prepared(&mut reactor, INSTANCE, &Arc::new(spec), &paths);
    tell(
        &mut reactor,
        OutputCommand::Effect(OutputEffect::Read(INSTANCE, 42)),
    );
    let mut pipe = std::fs::File::from(ends.stdout);
    let mut fill = |reactor: &mut Reactor| {
        for _ in 0..32 {
            pipe.write_all(&[b'x'; 32 << 10]).expect("room");
            turn(reactor);
        }
    };
    fill(&mut reactor);
    assert!(!reactor.wants_help(), "there was no backup before");
    fill(&mut reactor);
    assert!(reactor.wants_help(), "one has lost its name");
    assert_eq!(reactor.replaced.len(), 1);
    let links = nix::sys::stat::fstat(&reactor.replaced[0]).expect("open");
    assert_eq!((links.st_nlink, links.st_size), (0, 1 << 20));
    fill(&mut reactor);
    assert_eq!(
        reactor.replaced.len(),
        1,
        "the next one was deleted at once"
    );
    let job = reactor.next_slow_job(1).expect("the deletion");
    assert!(!reactor.wants_help());
    fill(&mut reactor);
    assert!(!reactor.wants_help(), "one thread at a time");
    help(&mut reactor, 1, job);
    assert!(reactor.wants_help());
    let job = reactor.next_slow_job(1).expect("the deletion");
    help(&mut reactor, 1, job);
    assert!(reactor.replaced.is_empty());
    let backup = std::fs::metadata(dir.path("log.1")).expect("rotated");
    assert_eq!(backup.len(), 1 << 20);
}

#[test]
fn threads_do_long_rotations_and_no_line_is_lost() {
    let bench = Bench::new("rotations", Level::Info);
    let mut spec = spec("cat");
    spec.stdout.maxbytes = Bytes(1000);
    spec.stdout.backups = 500;
    let mut ends = bench.prepare(INSTANCE, spec, bench.paths());
    let mut text = String::new();
    for number in 0..10_000 {
        let line = format!("{number:9}\n");
        ends.stdout.write_all(line.as_bytes()).expect("it is read");
        text.push_str(&line);
    }
    drop(ends);
    bench.drain(INSTANCE);
    let mut found = String::new();
    for number in (1..=500).rev() {
        found.push_str(&bench.read(&format!("out.{number}")));
    }
    found.push_str(&bench.read("out"));
    assert!(found == text, "{} of {} bytes", found.len(), text.len());
    assert!(bench.dir.path("out.1").exists(), "it was rotated");
}
