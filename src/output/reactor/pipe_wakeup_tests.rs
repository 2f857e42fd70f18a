//! Which pipes wake the reactor, in a reactor without its thread.

use super::*;

#[test]
fn a_running_program_with_closed_output_causes_no_wakeups() {
    // Regression test for Supervisor#807 (and pull request 589).
    let dir = TempDir::new("closed");
    let (mut reactor, drained) = in_hand(&dir);
    let paths = LogPaths::default();
    let ends = prepared(&mut reactor, INSTANCE, &Arc::new(spec("mongod")), &paths);
    tell(
        &mut reactor,
        OutputCommand::Effect(OutputEffect::Read(INSTANCE, 42)),
    );
    drop((ends.stdout, ends.stderr));
    assert_eq!(turn(&mut reactor), 2, "both ends are seen once");
    assert_eq!(turn(&mut reactor), 0);
    assert_eq!(reactor.timeout(), None, "nothing is waited for");
    assert!(
        drained.lock().expect("unpoisoned").is_empty(),
        "it lives on"
    );
    let text = std::fs::read_to_string(dir.path("activity")).expect("written");
    assert!(
        text.contains("closed, stopped monitoring <stdout of mongod>"),
        "{text}"
    );
}

/// While a command that may be missing is being resolved.
#[test]
fn no_log_is_created_early() {
    let dir = TempDir::new("early");
    let (mut reactor, _) = in_hand(&dir);
    let log = dir.path("log");
    let paths = LogPaths {
        stdout: Some(Arc::from(log.as_path())),
        stderr: None,
    };
    let prepare = || {
        OutputCommand::Effect(OutputEffect::PrepareNext(
            INSTANCE,
            Arc::new(spec("cat")),
            paths.clone(),
        ))
    };
    tell(&mut reactor, prepare());
    assert!(PREPARED.take().is_none() && !log.exists());
    assert!(reactor.places.is_empty(), "nothing is left of it");
    std::fs::write(&log, "before\n").expect("written");
    tell(&mut reactor, prepare());
    assert!(PREPARED.take().is_some());
    assert_eq!(std::fs::read_to_string(&log).expect("read"), "before\n");
    let told = std::fs::read_to_string(dir.path("activity")).unwrap_or_default();
    assert_eq!(told, "", "a failure that is not the last word is told");
}

#[test]
fn a_flooding_program_does_not_starve_another() {
    let dir = TempDir::new("fair");
    let (mut reactor, _) = in_hand(&dir);
    let log = dir.path("quiet");
    let quiet = InstanceId {
        slot: 1,
        incarnation: 2,
    };
    let paths = LogPaths {
        stdout: Some(log.as_path().into()),
        stderr: None,
    };
    let loud_ends = prepared(
        &mut reactor,
        INSTANCE,
        &Arc::new(spec("loud")),
        &LogPaths::default(),
    );
    tell(
        &mut reactor,
        OutputCommand::Effect(OutputEffect::Read(INSTANCE, 42)),
    );
    let quiet_ends = prepared(&mut reactor, quiet, &Arc::new(spec("quiet")), &paths);
    tell(
        &mut reactor,
        OutputCommand::Effect(OutputEffect::Read(quiet, 42)),
    );
    let mut loud = std::fs::File::from(loud_ends.stdout);
    let mut soft = std::fs::File::from(quiet_ends.stdout);
    fcntl(&loud, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).expect("a pipe");
    for round in 1..20 {
        while loud.write(&[b'x'; 4096]).is_ok() {}
        soft.write_all(b"x").expect("room");
        assert!(turn(&mut reactor) >= 2, "both had their turn");
        assert_eq!(std::fs::metadata(&log).expect("there").len(), round);
    }
}

/// An instance with one log, whose pipe is paused because its program writes many short lines.
fn paused(dir: &TempDir) -> (Reactor, Drained, std::fs::File, usize) {
    let (mut reactor, drained) = in_hand(dir);
    reactor.pauses = true;
    let paths = LogPaths {
        stdout: Some(dir.path("out").as_path().into()),
        stderr: None,
    };
    let mut spec = spec("cat");
    spec.redirect_stderr = true;
    let ends = prepared(&mut reactor, INSTANCE, &Arc::new(spec), &paths);
    tell(
        &mut reactor,
        OutputCommand::Effect(OutputEffect::Read(INSTANCE, 42)),
    );
    let mut stdout = std::fs::File::from(ends.stdout);
    let mut lines = 0;
    eventually("it is paused", || {
        let run = reactor.runs[0].as_mut().expect("prepared");
        run.reads[0].reset();
        // Record all but one of the close reads by hand, so that a slow machine cannot break the streak.
        for _ in 0..STREAK {
            assert_eq!(run.reads[0].after_read(Instant::now(), 5), None);
        }
        stdout.write_all(b"line\n").expect("room");
        lines += 1;
        turn(&mut reactor);
        let run = reactor.runs[0].as_ref().expect("prepared");
        run.reads[0].is_paused()
    });
    (reactor, drained, stdout, lines)
}

#[test]
fn a_paused_pipe_causes_no_wakeup_and_is_read_after_the_pause() {
    let dir = TempDir::new("paused");
    let (mut reactor, _, mut stdout, lines) = paused(&dir);
    assert!(!reactor.runs[0].as_ref().expect("prepared").polled[0]);
    assert!(reactor.timeout().expect("a pause") < Duration::from_millis(1));
    stdout.write_all(b"line\n").expect("room");
    let ready = reactor.poller.wait(Some(Duration::ZERO)).expect("wait");
    assert_eq!(ready.count(), 0, "it is not in the set");
    // An update of the other stream does not return it to the set either.
    reactor.update_poll(0, Channel::Stdout);
    assert!(!reactor.runs[0].as_ref().expect("prepared").polled[0]);
    let expected = "line\n".repeat(lines + 1);
    eventually("it is written", || {
        turn(&mut reactor);
        std::fs::read(dir.path("out")).is_ok_and(|data| data == expected.as_bytes())
    });
    eventually("the pipe is back in the set", || {
        turn(&mut reactor);
        reactor.runs[0].as_ref().expect("prepared").polled[0]
    });
    assert_eq!(reactor.timeout(), None, "no pause goes on");
}

#[test]
fn a_paused_pipe_is_written_before_the_exit_is_reported() {
    let dir = TempDir::new("paused-end");
    let (mut reactor, drained, mut stdout, lines) = paused(&dir);
    stdout.write_all(b"last\n").expect("room");
    drop(stdout);
    tell(
        &mut reactor,
        OutputCommand::Effect(OutputEffect::Drain(INSTANCE)),
    );
    assert_eq!(drained.lock().expect("unpoisoned").get(&INSTANCE), Some(&1));
    let text = std::fs::read_to_string(dir.path("out")).expect("there");
    assert_eq!(text, "line\n".repeat(lines) + "last\n");
    std::thread::sleep(Duration::from_millis(1));
    turn(&mut reactor);
    assert_eq!(reactor.timeout(), None, "the pause went with the life");
}

#[test]
fn only_a_bounded_number_of_full_pipes_grow() {
    let dir = TempDir::new("grown");
    let (mut reactor, _) = in_hand(&dir);
    let spec = Arc::new(spec("loud"));
    let mut pipes = Vec::new();
    for slot in 0..=GROWN_PIPES_MAX {
        let instance = InstanceId {
            slot: u32::try_from(slot).expect("small"),
            incarnation: 1,
        };
        let ends = prepared(&mut reactor, instance, &spec, &LogPaths::default());
        tell(
            &mut reactor,
            OutputCommand::Effect(OutputEffect::Read(instance, 42)),
        );
        let mut pipe = std::fs::File::from(ends.stdout);
        pipe.write_all(&[b'x'; 60_000]).expect("room");
        turn(&mut reactor);
        pipes.push((instance, pipe));
    }
    let size = |at: usize| fcntl(&pipes[at].1, FcntlArg::F_GETPIPE_SZ).expect("a pipe");
    if size(0) == 64 << 10 {
        eprintln!("skipped: this user has too many pipes");
        return;
    }
    assert_eq!(size(0), 256 << 10);
    assert_eq!(size(GROWN_PIPES_MAX - 1), 256 << 10);
    assert_eq!(size(GROWN_PIPES_MAX), 64 << 10, "one too many");
    // When one of them is gone, another pipe may grow.
    tell(
        &mut reactor,
        OutputCommand::Effect(OutputEffect::Drain(pipes[0].0)),
    );
    assert!(reactor.may_grow_pipe());
}

#[test]
fn an_unreadable_pipe_is_read_again_after_a_pause() {
    // Regression test for Supervisor#1554.
    let dir = TempDir::new("unreadable");
    let (mut reactor, _) = in_hand(&dir);
    let log = dir.path("out");
    let paths = LogPaths {
        stdout: Some(log.as_path().into()),
        stderr: None,
    };
    let ends = prepared(&mut reactor, INSTANCE, &Arc::new(spec("cat")), &paths);
    tell(
        &mut reactor,
        OutputCommand::Effect(OutputEffect::Read(INSTANCE, 42)),
    );
    // Reading a directory fails: it replaces the pipe, which waits in `aside`.
    let broken = std::fs::File::open(dir.root()).expect("there");
    let swap = |reactor: &mut Reactor, pipe: Option<Arc<OwnedFd>>| {
        let run = reactor.runs[0].as_mut().expect("prepared");
        std::mem::replace(&mut run.pipes[0], pipe)
    };
    let run = reactor.runs[0].as_mut().expect("prepared");
    unpoll_pipe(&reactor.poller, run, Channel::Stdout);
    let aside = swap(&mut reactor, Some(Arc::new(broken.into())));
    for _ in 0..2 {
        reactor.on_data(0, Channel::Stdout);
        work_off(&mut reactor);
    }
    assert!(reactor.timeout().is_some_and(|wait| wait <= READ_RETRY));
    drop(swap(&mut reactor, aside));
    let mut stdout = std::fs::File::from(ends.stdout);
    stdout.write_all(b"still heard").expect("room");
    eventually("it is read again", || {
        turn(&mut reactor);
        std::fs::read(&log).is_ok_and(|data| data == b"still heard")
    });
    let text = std::fs::read_to_string(dir.path("activity")).expect("written");
    assert_eq!(text.matches("cat: cannot read stdout").count(), 1, "{text}");
}

#[test]
fn an_event_of_an_earlier_instance_is_ignored() {
    let dir = TempDir::new("stale");
    let (mut reactor, drained) = in_hand(&dir);
    let spec = Arc::new(spec("cat"));
    let ends = prepared(&mut reactor, INSTANCE, &spec, &LogPaths::default());
    tell(
        &mut reactor,
        OutputCommand::Effect(OutputEffect::Read(INSTANCE, 42)),
    );
    let old = token(0, reactor.generation, FdRole::Pipe(Channel::Stdout));
    assert!(reactor.find(old).is_some());
    tell(
        &mut reactor,
        OutputCommand::Effect(OutputEffect::Drain(INSTANCE)),
    );
    tell(
        &mut reactor,
        OutputCommand::Effect(OutputEffect::Drain(INSTANCE)),
    );
    drop(ends);
    let next = InstanceId {
        slot: 3,
        incarnation: 2,
    };
    let _ends = prepared(&mut reactor, next, &spec, &LogPaths::default());
    tell(
        &mut reactor,
        OutputCommand::Effect(OutputEffect::Read(next, 42)),
    );
    assert_eq!(reactor.places.get(&next), Some(&0), "the same place");
    assert_eq!(reactor.find(old), None);
    let drained = drained.lock().expect("unpoisoned").clone();
    assert_eq!(
        drained.get(&INSTANCE),
        Some(&2),
        "an unknown life is drained"
    );
    assert_eq!(drained.get(&next), None);
}
