//! Processes that write to the journal.

use super::*;

#[test]
fn a_stalled_journal_blocks_only_the_programs_that_use_it() {
    let dir = TempDir::new("journal-felt");
    let (mut reactor, drained) = in_hand(&dir);
    let journald = FakeJournald::new(&dir.path("socket"));
    reactor.shared.connections.journal = Journal::at(&dir.path("socket"));
    let of = |slot| InstanceId {
        slot,
        incarnation: u64::from(slot),
    };
    let file = |name: &str| LogPaths {
        stdout: Some(dir.path(name).into()),
        stderr: None,
    };
    let mut pipes = Vec::new();
    for (slot, spec) in [
        (1, with_journal("a")),
        (2, with_journal("b")),
        (3, spec("c")),
    ] {
        let name = spec.name.as_str().to_owned();
        let ends = prepared(&mut reactor, of(slot), &Arc::new(spec), &file(&name));
        tell(
            &mut reactor,
            OutputCommand::Effect(OutputEffect::Read(of(slot), 42)),
        );
        let pipe = std::fs::File::from(ends.stdout);
        fcntl(&pipe, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).expect("a pipe");
        pipes.push(pipe);
    }
    // Each writes as much as it can; the journal is read only when no write succeeds.
    let mut written = [0_usize; 3];
    let mut write = |reactor: &mut Reactor, rounds: usize| {
        let mut idle = 0;
        while idle < 3 && rounds > 0 {
            idle += 1;
            for (pipe, count) in pipes.iter_mut().zip(&mut written) {
                if *count < 30_000 * rounds
                    && pipe.write_all(format!("{count:07}\n").as_bytes()).is_ok()
                {
                    *count += 1;
                    idle = 0;
                }
            }
            turn(reactor);
        }
        written
    };
    let stalled = write(&mut reactor, 1);
    assert_eq!(stalled[2], 30_000, "the other one was not held up");
    assert!(stalled[0] < 30_000 && stalled[1] < 30_000, "{stalled:?}");
    let mut come = BTreeMap::<Vec<u8>, Vec<u8>>::new();
    let take = |come: &mut BTreeMap<Vec<u8>, Vec<u8>>| {
        for entry in journald.all() {
            assert_eq!(entry["OBJECT_PID"], b"42");
            let text = come.entry(entry["SUPERVISOR_PROCESS"].clone()).or_default();
            text.extend_from_slice(&entry["MESSAGE"]);
            text.push(b'\n');
        }
    };
    take(&mut come);
    let mut all = stalled;
    while all != [30_000; 3] {
        all = write(&mut reactor, 1);
        take(&mut come);
    }
    eventually("the journal has caught up", || {
        turn(&mut reactor);
        take(&mut come);
        reactor.queue.is_empty()
    });
    tell(
        &mut reactor,
        OutputCommand::Effect(OutputEffect::Drain(of(1))),
    );
    tell(
        &mut reactor,
        OutputCommand::Effect(OutputEffect::Drain(of(2))),
    );
    eventually("both are drained", || {
        turn(&mut reactor);
        take(&mut come);
        drained.lock().expect("unpoisoned").len() == 2
    });
    take(&mut come);
    let expected: Vec<u8> = (0..30_000)
        .flat_map(|number| format!("{number:07}\n").into_bytes())
        .collect();
    for name in ["a", "b"] {
        assert!(
            come[name.as_bytes()] == expected,
            "{name}: the journal has all, in order"
        );
        assert!(
            std::fs::read(dir.path(name)).expect("there") == expected,
            "{name}: so has the file"
        );
    }
    assert!(reactor.queue.is_empty());
    let text = std::fs::read_to_string(dir.path("activity")).expect("written");
    assert!(!text.contains("lost"), "{text}");
}

#[test]
fn a_restarted_journal_loses_no_data_that_was_read() {
    let dir = TempDir::new("journal-goes");
    let (mut reactor, _) = in_hand(&dir);
    let path = dir.path("socket");
    let journald = FakeJournald::new(&path);
    reactor.shared.connections.journal = Journal::at(&path);
    let ends = prepared(
        &mut reactor,
        INSTANCE,
        &Arc::new(with_journal("cat")),
        &LogPaths::default(),
    );
    tell(
        &mut reactor,
        OutputCommand::Effect(OutputEffect::Read(INSTANCE, 42)),
    );
    let mut pipe = std::fs::File::from(ends.stdout);
    pipe.write_all(b"one\n").expect("room");
    eventually("it came", || {
        turn(&mut reactor);
        journald.all().len() == 1
    });
    drop(journald);
    pipe.write_all(b"two\n").expect("room");
    turn(&mut reactor);
    pipe.write_all(b"three\n").expect("room");
    turn(&mut reactor);
    assert!(
        reactor.timeout().is_some_and(|wait| wait <= RETRY),
        "it is looked for"
    );
    let journald = FakeJournald::new(&path);
    let mut come = Vec::new();
    eventually("it goes on", || {
        turn(&mut reactor);
        come.extend(
            journald
                .all()
                .into_iter()
                .map(|mut entry| entry.remove("MESSAGE")),
        );
        come.len() == 2
    });
    assert_eq!(come, [Some(b"two".to_vec()), Some(b"three".to_vec())]);
    assert_eq!(reactor.timeout(), None, "nothing is waited for");
}

#[test]
fn without_a_journal_the_program_continues_and_lost_lines_are_counted() {
    let dir = TempDir::new("journal-absent");
    let (mut reactor, drained) = in_hand(&dir);
    reactor.shared.connections.journal = Journal::at(&dir.path("socket"));
    for slot in [1, 2] {
        let instance = InstanceId {
            slot,
            incarnation: 1,
        };
        let ends = prepared(
            &mut reactor,
            instance,
            &Arc::new(with_journal("cat")),
            &LogPaths::default(),
        );
        tell(
            &mut reactor,
            OutputCommand::Effect(OutputEffect::Read(instance, 42)),
        );
        let mut pipe = std::fs::File::from(ends.stdout);
        pipe.write_all(b"12345\n").expect("room");
        turn(&mut reactor);
        tell(
            &mut reactor,
            OutputCommand::Effect(OutputEffect::Drain(instance)),
        );
    }
    eventually("both are drained", || {
        drained.lock().expect("unpoisoned").len() == 2
    });
    let text = std::fs::read_to_string(dir.path("activity")).expect("written");
    assert_eq!(
        text.matches("WARN cannot send to the journal").count(),
        1,
        "{text}"
    );
    assert_eq!(
        text.matches("ERRO cat: 6 bytes of stdout for the journal were lost")
            .count(),
        2,
        "{text}"
    );
}
