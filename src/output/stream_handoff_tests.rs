//! Hands instances over from one reactor to the next, in the middle of various operations.

use nix::fcntl::{FcntlArg, OFlag, fcntl};

use super::*;
use crate::config::spec::ProcessSpec;
use crate::domain::{Change, Envelope, GroupName, ListenerOutput, Verdict};
use crate::effects::{OutputEffect, OutputOutcome};
use crate::output::{AdoptedStreams, InstanceState, OutputHandoff};

/// A reactor that replaces earlier ones, and the reports of all of them.
struct Succession {
    dir: TempDir,
    reactor: Reactor,
    reports: Arc<Mutex<Vec<OutputReport>>>,
    spec: Arc<ProcessSpec>,
    paths: LogPaths,
}

fn reactor(dir: &TempDir, reports: &Arc<Mutex<Vec<OutputReport>>>) -> Reactor {
    let activity = Activity::open(&dir.path("activity"), Bytes(0), 0, Level::Debug, false);
    let keep = reports.clone();
    let mut reactor = Reactor::new(
        Poller::new().expect("epoll"),
        activity.expect("opened"),
        false,
        None,
        Box::new(move |report| match report {
            OutputReport::Prepared(_, ends) => PREPARED.set(Some(ends)),
            report => keep.lock().expect("unpoisoned").push(report),
        }),
    );
    tell(
        &mut reactor,
        OutputCommand::Effect(OutputEffect::Report(OutputEvents {
            logs: false,
            communications: true,
        })),
    );
    reactor.shared.connections.journal = Journal::at(&dir.path("socket"));
    reactor
}

impl Succession {
    /// The first reactor, and the ends of one process.
    fn new(what: &str, spec: ProcessSpec) -> (Self, Ends) {
        let dir = TempDir::new(what);
        let reports = Arc::default();
        let reactor = reactor(&dir, &reports);
        let paths = LogPaths {
            stdout: Some(dir.path("out").into()),
            stderr: None,
        };
        let mut line = Self {
            dir,
            reactor,
            reports,
            spec: Arc::new(spec),
            paths,
        };
        let ends = prepared(&mut line.reactor, INSTANCE, &line.spec, &line.paths);
        tell(
            &mut line.reactor,
            OutputCommand::Effect(OutputEffect::Read(INSTANCE, 42)),
        );
        let ends = Ends {
            stdin: ends.stdin.expect("a pipe").into(),
            stdout: ends.stdout.into(),
            stderr: ends.stderr.map(Into::into),
        };
        (line, ends)
    }

    /// Runs turns until `done`.
    fn until(&mut self, what: &str, mut done: impl FnMut(&Self) -> bool) {
        let limit = Instant::now() + Duration::from_secs(10);
        while !done(self) {
            assert!(Instant::now() < limit, "in vain: {what}");
            turn(&mut self.reactor);
        }
    }

    /// Waits until the reactor has read all bytes in the pipe.
    fn read_pipe_empty(&mut self, pipe: &std::fs::File) {
        self.until("it is read", |_| sys::unread(pipe).unwrap_or(0) == 0);
    }

    /// Replaces the reactor; the state goes through its serialized form.
    fn succeed(&mut self) -> InstanceState {
        let OutputHandoff { state, mut fds } = self.reactor.hand_over();
        let text = serde_json::to_string(&state.instances).expect("can be written");
        let read = || serde_json::from_str::<Vec<InstanceState>>(&text).expect("can be read");
        assert_eq!(read().len(), 1, "one life");
        self.reactor = reactor(&self.dir, &self.reports);
        let adoption = AdoptedStreams::new(
            (INSTANCE, 42),
            self.spec.clone(),
            self.paths.clone(),
            read().pop(),
            &mut fds,
        );
        assert!(fds.is_empty(), "left: {fds:?}");
        tell(&mut self.reactor, OutputCommand::Adopt(Box::new(adoption)));
        read().pop().expect("one life")
    }

    fn log(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(self.dir.path("out")).unwrap_or_default())
            .into_owned()
    }

    fn reported(&self) -> Vec<String> {
        let reports = self.reports.lock().expect("unpoisoned");
        let told = |report: &OutputReport| match report {
            OutputReport::Outcome(OutputOutcome::Wrote { data, captured, .. }) => {
                format!("{} {captured}", String::from_utf8_lossy(data))
            }
            OutputReport::Outcome(OutputOutcome::ListenerOutput(_, said)) => format!("{said:?}"),
            other => format!("{other:?}"),
        };
        reports.iter().map(told).collect()
    }
}

#[test]
fn a_capture_continues_after_a_handoff_at_any_byte() {
    let text = b"before it <!--XSUPERVISOR:BEGIN-->inside<!--XSUPERVISOR:END--> and after it, all that is long enough";
    for cut in 0..=text.len() {
        let mut capturing = spec("cat");
        capturing.stdout.capture_maxbytes = Bytes(1000);
        let (mut line, mut ends) = Succession::new("cut", capturing);
        for part in [&text[..cut], &text[cut..]] {
            ends.stdout.write_all(part).expect("room");
            line.read_pipe_empty(&ends.stdout);
            line.succeed();
        }
        drop(ends);
        tell(
            &mut line.reactor,
            OutputCommand::Effect(OutputEffect::Drain(INSTANCE)),
        );
        let after = &text[text.len() - 38..];
        let expected = format!("before it {}", String::from_utf8_lossy(after));
        assert_eq!(line.log(), expected, "cut at {cut}");
        assert_eq!(line.reported()[0], "inside true", "cut at {cut}");
    }
}

/// An event for a listener.
fn event() -> Envelope {
    let ear = GroupName::parse("ear").expect("a name");
    Envelope {
        server: Arc::from("supervisor"),
        pool: ear.clone(),
        serial: 0,
        pool_serial: 0,
        event: Arc::new(Change::GroupAdded(ear)),
    }
}

#[test]
fn a_listener_continues_in_each_of_its_states() {
    let (ready, answer) = (b"READY\n", b"RESULT 4\nFAIL");
    let whole = [&ready[..], answer, ready].concat();
    for cut in 0..=whole.len() {
        let mut listener = spec("ear");
        listener.kind = ProcessKind::Listener;
        let (mut line, mut ends) = Succession::new("listener", listener);
        let mut say = |line: &mut Succession, from: usize, to: usize| {
            // If the cut is in between, write two pieces, the second to another reactor.
            for (from, to) in [(from, cut.clamp(from, to)), (cut.clamp(from, to), to)] {
                ends.stdout.write_all(&whole[from..to]).expect("room");
                line.read_pipe_empty(&ends.stdout);
                if to == cut {
                    line.succeed();
                }
            }
        };
        say(&mut line, 0, ready.len());
        tell(
            &mut line.reactor,
            OutputCommand::Effect(OutputEffect::Deliver(INSTANCE, event())),
        );
        say(&mut line, ready.len(), whole.len());
        let expected = [
            ListenerOutput::Ready,
            ListenerOutput::Result(Verdict::Fail),
            ListenerOutput::Ready,
        ];
        let expected = expected.map(|said| format!("{said:?}"));
        assert_eq!(line.reported(), expected, "cut at {cut}");
        assert_eq!(line.log().as_bytes(), whole, "cut at {cut}");
    }
}

#[test]
fn data_that_waits_for_a_slow_log_is_written_once() {
    let (mut line, ends) = Succession::new("waits", spec("slow"));
    drop(ends);
    tell(
        &mut line.reactor,
        OutputCommand::Effect(OutputEffect::Drain(INSTANCE)),
    );
    line.until("it has ended", |line| !line.reported().is_empty());
    // The same instance again, with a pipe as its log.
    let path = line.dir.path("out");
    std::fs::remove_file(&path).expect("there");
    nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).expect("made");
    let mut reader = std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open(&path)
        .expect("opened");
    fcntl(&reader, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).expect("a pipe");
    let spec = line.spec.clone();
    let ends = prepared(&mut line.reactor, INSTANCE, &spec, &line.paths);
    tell(
        &mut line.reactor,
        OutputCommand::Effect(OutputEffect::Read(INSTANCE, 42)),
    );
    let mut pipe = std::fs::File::from(ends.stdout);
    fcntl(&pipe, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).expect("a pipe");
    let text: Vec<u8> = (0..400_000_u32)
        .map(|n| b"0123456789"[n as usize % 10])
        .collect();
    let mut written = 0;
    // Until both pipes and the buffers between them are full.
    let mut idle = 0;
    while idle < 10 {
        match pipe.write(&text[written..]) {
            Ok(count) if count > 0 => {
                written += count;
                idle = 0;
            }
            _ => idle += 1,
        }
        turn(&mut line.reactor);
    }
    let instance_state = line.succeed();
    let held = instance_state.streams[0]
        .as_ref()
        .map_or(0, |stream| stream.sink.len());
    assert!(held > 0, "nothing was held");
    // The process ends while its last bytes wait, and another reactor takes over.
    drop(pipe);
    line.reports.lock().expect("unpoisoned").clear();
    tell(
        &mut line.reactor,
        OutputCommand::Effect(OutputEffect::Drain(INSTANCE)),
    );
    assert!(line.succeed().is_ending);
    let mut seen = Vec::new();
    let mut buffer = vec![0; 65_536];
    let limit = Instant::now() + Duration::from_secs(10);
    while line.reported().is_empty() && Instant::now() < limit {
        if let Ok(count) = reader.read(&mut buffer) {
            seen.extend_from_slice(&buffer[..count]);
        }
        turn(&mut line.reactor);
    }
    while let Ok(count) = reader.read(&mut buffer) {
        seen.extend_from_slice(&buffer[..count]);
    }
    assert_eq!(seen.len(), written);
    assert!(seen == text[..written], "not the same bytes");
    assert_eq!(line.reported().len(), 1, "{:?}", line.reported());
}

#[test]
fn queued_standard_input_is_handed_off() {
    let (mut line, mut ends) = Succession::new("stdin", spec("cat"));
    let text: Vec<u8> = (0..300_000_u32)
        .map(|n| b"0123456789"[n as usize % 10])
        .collect();
    tell(
        &mut line.reactor,
        OutputCommand::Effect(OutputEffect::WriteStdin {
            ticket: Ticket(1),
            instance: INSTANCE,
            data: text.clone(),
        }),
    );
    let instance_state = line.succeed();
    assert!(!instance_state.stdin.is_empty(), "all of it was taken");
    line.succeed();
    tell(
        &mut line.reactor,
        OutputCommand::Effect(OutputEffect::WriteStdin {
            ticket: Ticket(2),
            instance: INSTANCE,
            data: b"end".to_vec(),
        }),
    );
    let reader = std::thread::spawn(move || {
        let mut seen = vec![0; 300_003];
        ends.stdin.read_exact(&mut seen).expect("all of it");
        seen
    });
    line.until("it is read", |_| reader.is_finished());
    let seen = reader.join().expect("read");
    assert!(seen == [&text[..], b"end"].concat(), "not the same bytes");
}

#[test]
fn an_incomplete_journal_line_becomes_one_entry() {
    let (mut line, mut ends) = Succession::new("entries", with_journal("cat"));
    let journald = FakeJournald::new(&line.dir.path("socket"));
    let mut entries = Vec::new();
    for part in ["half", " of", " a line\nand", " another\n"] {
        ends.stdout.write_all(part.as_bytes()).expect("room");
        line.read_pipe_empty(&ends.stdout);
        line.succeed();
        entries.extend(journald.all());
    }
    let texts: Vec<_> = entries
        .iter()
        .map(|entry| String::from_utf8_lossy(&entry["MESSAGE"]).into_owned())
        .collect();
    assert_eq!(texts, ["half of a line", "and another"]);
    let pids = entries.iter().filter(|entry| entry["OBJECT_PID"] == b"42");
    assert_eq!(pids.count(), 2, "whose they are is known");
}
