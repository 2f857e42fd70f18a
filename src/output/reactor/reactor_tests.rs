//! The output threads with real pipes and real files.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use nix::fcntl::{FcntlArg, OFlag, fcntl};

use super::prepare::spawn_error;
use super::*;
use crate::api::Ticket;
use crate::config::spec::{FcgiSocket, JournalSpec, ProcessKind, ProcessSpec};
use crate::config::testing::program;
use crate::domain::{Bytes, Errno, Level};
use crate::effects::{OutputEffect, OutputOutcome};
use crate::heartbeat::Heartbeats;
use crate::output::journal::Journal;
use crate::output::journal::tests::FakeJournald;
use crate::output::pipe_reads::{READ_BYTES, STREAK};
use crate::output::read_buffer::ReadBuffer;
use crate::output::testing::{TempDir, eventually};
use crate::output::{IN_FLIGHT_LOG_BYTES, OutputCommand, OutputHandle, OutputOptions, start};
use crate::sys::SharedBuffer;
use crate::sys::safe_open::errno;
use crate::sys::{self, ChildStdio};

#[path = "hang_tests.rs"]
mod hang;
#[path = "journal_tests.rs"]
mod journal;
#[path = "log_file_tests.rs"]
mod log_files;
#[path = "pipe_wakeup_tests.rs"]
mod pipe_wakeups;
#[path = "rotation_tests.rs"]
mod rotation;
#[path = "stdin_tests.rs"]
mod stdin;
#[path = "../stream_handoff_tests.rs"]
mod stream_handoff;

const INSTANCE: InstanceId = InstanceId {
    slot: 3,
    incarnation: 1,
};

fn spec(name: &str) -> ProcessSpec {
    program(name, name)
}

/// A program that writes to both the journal and a file.
fn with_journal(name: &str) -> ProcessSpec {
    let mut spec = spec(name);
    spec.stdout.named.journal = Some(JournalSpec { limit: None });
    spec
}

/// The content of one `OutputOutcome::Wrote`: channel, bytes, captured.
type Wrote = (Channel, Vec<u8>, bool);

fn heartbeats() -> Heartbeats {
    Heartbeats::start(|trouble| panic!("{trouble}")).expect("started")
}

/// Running output threads, with their reports and their activity log.
struct Bench {
    dir: TempDir,
    output: OutputHandle,
    reports: Receiver<OutputReport>,
    wrote: Arc<Mutex<Vec<Wrote>>>,
}

impl Bench {
    fn new(what: &str, level: Level) -> Self {
        let dir = TempDir::new(what);
        let activity = Activity::open(&dir.path("activity"), Bytes(0), 0, level, false);
        let (sender, reports) = mpsc::channel();
        let wrote: Arc<Mutex<Vec<Wrote>>> = Arc::default();
        let keep = wrote.clone();
        let options = OutputOptions {
            activity: activity.expect("opened"),
            strip_ansi: false,
            fd_store: None,
            // Some tests have an in-flight log and some have none, always the same ones.
            in_flight_log: what.len().is_multiple_of(2).then(|| {
                (
                    0,
                    SharedBuffer::new("ledger", IN_FLIGHT_LOG_BYTES).expect("made"),
                )
            }),
            heartbeats: heartbeats(),
        };
        let output = start(options, move |report| match report {
            OutputReport::Outcome(OutputOutcome::Wrote {
                channel,
                data,
                captured,
                ..
            }) => keep
                .lock()
                .expect("unpoisoned")
                .push((channel, data.to_vec(), captured)),
            other => sender.send(other).expect("somebody listens"),
        });
        let output = output.expect("started");
        output.send(OutputCommand::Effect(OutputEffect::Report(OutputEvents {
            logs: true,
            communications: true,
        })));
        Self {
            dir,
            output,
            reports,
            wrote,
        }
    }

    fn next(&self) -> OutputReport {
        self.reports
            .recv_timeout(Duration::from_secs(20))
            .expect("a report in time")
    }

    fn paths(&self) -> LogPaths {
        LogPaths {
            stdout: Some(self.dir.path("out").into()),
            stderr: Some(self.dir.path("err").into()),
        }
    }

    fn prepare(&self, instance: InstanceId, spec: ProcessSpec, paths: LogPaths) -> Ends {
        self.output
            .send(OutputCommand::Effect(OutputEffect::Prepare(
                instance,
                Arc::new(spec),
                paths,
            )));
        let ends = match self.next() {
            OutputReport::Prepared(of, ends) if of == instance => Ends {
                stdin: ends.stdin.expect("a pipe").into(),
                stdout: ends.stdout.into(),
                stderr: ends.stderr.map(Into::into),
            },
            other => panic!("not prepared: {other:?}"),
        };
        self.output
            .send(OutputCommand::Effect(OutputEffect::Read(instance, 42)));
        ends
    }

    fn drain(&self, instance: InstanceId) {
        self.output
            .send(OutputCommand::Effect(OutputEffect::Drain(instance)));
        let report = self.next();
        assert!(
            matches!(report, OutputReport::Outcome(OutputOutcome::Drained(of)) if of == instance),
            "{report:?}"
        );
    }

    /// Waits until all earlier commands and reads are handled.
    fn sync(&self) {
        self.output
            .send(OutputCommand::Effect(OutputEffect::WriteStdin {
                ticket: Ticket(77),
                instance: INSTANCE,
                data: Vec::new(),
            }));
        let report = self.next();
        assert!(
            matches!(
                report,
                OutputReport::Outcome(OutputOutcome::Answered {
                    ticket: Ticket(77),
                    ..
                })
            ),
            "{report:?}"
        );
    }

    /// Waits until everything in the pipe is written or lost.
    fn settled(&self, pipe: &std::fs::File) {
        eventually("it is read", || sys::unread(pipe).unwrap_or(0) == 0);
        self.sync();
    }

    fn read(&self, name: &str) -> String {
        let data = std::fs::read(self.dir.path(name)).unwrap_or_default();
        String::from_utf8_lossy(&data).into_owned()
    }

    fn sees(&self, name: &str, text: &str) {
        eventually(&format!("{text:?} in {name}"), || {
            self.read(name).contains(text)
        });
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        self.output.send(OutputCommand::Stop);
        self.output.join();
    }
}

struct Ends {
    stdin: std::fs::File,
    stdout: std::fs::File,
    stderr: Option<std::fs::File>,
}

#[test]
fn out_01_bytes_are_written_raw_and_at_once() {
    let bench = Bench::new("raw", Level::Info);
    let mut ends = bench.prepare(INSTANCE, spec("cat"), bench.paths());
    ends.stdout
        .write_all(b"no newline \xff\x1b[m")
        .expect("room");
    eventually("it is there", || {
        std::fs::read(bench.dir.path("out")).is_ok_and(|data| data == b"no newline \xff\x1b[m")
    });
    let stderr = ends.stderr.as_mut().expect("of its own");
    stderr.write_all(b"error").expect("room");
    bench.sees("err", "error");
}

#[test]
fn out_02_the_rest_of_the_pipe_is_written_before_drained() {
    let bench = Bench::new("drain", Level::Info);
    for incarnation in 0..50 {
        let instance = InstanceId {
            slot: 0,
            incarnation,
        };
        let mut ends = bench.prepare(instance, spec("cat"), bench.paths());
        ends.stdout.write_all(&[b'x'; 60_000]).expect("room");
        drop(ends);
        bench.drain(instance);
        let size = std::fs::metadata(bench.dir.path("out"))
            .expect("there")
            .len();
        assert_eq!(size, 60_000 * (incarnation + 1));
    }
}

#[test]
fn out_02_a_grandchild_that_floods_the_pipe_does_not_delay_drained() {
    let bench = Bench::new("grandchild", Level::Info);
    let mut ends = bench.prepare(INSTANCE, spec("cat"), bench.paths());
    let flood = std::thread::spawn(move || {
        let mut written = 0;
        while let Ok(count) = ends.stdout.write(&[b'x'; 4096]) {
            written += count;
        }
        written
    });
    // Do not read the content: a file that grows as fast as it is read has no end.
    let bytes = || {
        let out = std::fs::metadata(bench.dir.path("out"));
        usize::try_from(out.expect("there").len()).expect("bounded")
    };
    eventually("it floods", || bytes() > 100_000);
    bench.drain(INSTANCE);
    let written = flood.join().expect("EPIPE ends it");
    assert!(bytes() <= written);
}

#[test]
fn out_12_redirected_stderr_has_no_pipe_of_its_own() {
    let bench = Bench::new("redirect", Level::Info);
    let mut redirected = spec("cat");
    redirected.redirect_stderr = true;
    let ends = bench.prepare(INSTANCE, redirected, bench.paths());
    assert!(ends.stderr.is_none());
    assert!(!bench.dir.path("err").exists());
}

#[test]
fn out_13_captures_become_events_and_leave_the_log() {
    let bench = Bench::new("capture", Level::Debug);
    let mut capturing = spec("cat");
    capturing.stdout.capture_maxbytes = Bytes(1000);
    capturing.stdout.events = true;
    let mut ends = bench.prepare(INSTANCE, capturing, bench.paths());
    ends.stdout
        .write_all(b"before\n<!--XSUPERVISOR:BEGIN-->data<!--XSUPERVISOR:END-->after\n")
        .expect("room");
    bench.sees("activity", "DEBG 'cat' stdout emitted a comm event\n");
    assert_eq!(bench.read("out"), "before\n", "the rest is held back");
    drop(ends);
    bench.drain(INSTANCE);
    assert_eq!(bench.read("out"), "before\nafter\n");
    let wrote = bench.wrote.lock().expect("unpoisoned").clone();
    let expected: [(&[u8], bool); 4] = [
        (b"before\n", false),
        (b"data", false),
        (b"data", true),
        (b"after\n", false),
    ];
    assert_eq!(wrote.len(), expected.len());
    for ((channel, data, captured), (text, whether)) in wrote.iter().zip(expected) {
        assert_eq!(
            (*channel, &data[..], *captured),
            (Channel::Stdout, text, whether)
        );
    }
}

#[test]
fn log_09_output_is_echoed_at_debug_only() {
    for (level, echoed) in [(Level::Debug, true), (Level::Info, false)] {
        let bench = Bench::new("echo", level);
        let mut ends = bench.prepare(INSTANCE, spec("cat"), bench.paths());
        ends.stdout.write_all(b"hello\xff\n").expect("room");
        drop(ends);
        bench.drain(INSTANCE);
        bench.output.send(OutputCommand::Stop);
        bench.output.join();
        let line = "DEBG 'cat' stdout output:\nUndecodable: b'hello\\xff\\n'\n";
        assert_eq!(bench.read("activity").contains(line), echoed);
    }
}

#[test]
fn out_10_strip_ansi_can_be_switched() {
    let bench = Bench::new("strip", Level::Info);
    let mut ends = bench.prepare(INSTANCE, spec("cat"), bench.paths());
    ends.stdout.write_all(b"\x1b[1ma").expect("room");
    bench.sees("out", "a");
    bench.output.send(OutputCommand::StripAnsi(true));
    bench.sync();
    ends.stdout.write_all(b"\x1b[1mb").expect("room");
    bench.sees("out", "b");
    assert_eq!(bench.read("out"), "\x1b[1mab");
}

/// How often the end of each instance was reported.
type Drained = Arc<Mutex<BTreeMap<InstanceId, usize>>>;

/// A reactor without its thread, so that its turns can be counted.
fn in_hand(dir: &TempDir) -> (Reactor, Drained) {
    let activity = Activity::open(&dir.path("activity"), Bytes(0), 0, Level::Debug, false);
    let drained = Drained::default();
    let count = drained.clone();
    let reactor = Reactor::new(
        Poller::new().expect("epoll"),
        activity.expect("opened"),
        false,
        None,
        Box::new(move |report| match report {
            OutputReport::Outcome(OutputOutcome::Drained(instance)) => {
                *count
                    .lock()
                    .expect("unpoisoned")
                    .entry(instance)
                    .or_default() += 1;
            }
            OutputReport::Prepared(_, ends) => PREPARED.set(Some(ends)),
            _ => {}
        }),
    );
    (reactor, drained)
}

thread_local! {
    /// The child's ends that the reactor prepared last.
    static PREPARED: std::cell::Cell<Option<ChildStdio>> = const { std::cell::Cell::new(None) };
}

/// Prepares an instance.
fn prepared(
    reactor: &mut Reactor,
    instance: InstanceId,
    spec: &Arc<ProcessSpec>,
    paths: &LogPaths,
) -> ChildStdio {
    tell(
        reactor,
        OutputCommand::Effect(OutputEffect::Prepare(instance, spec.clone(), paths.clone())),
    );
    PREPARED.take().expect("prepared")
}

/// Does all queued jobs on files, like the thread that owns the reactor.
fn work_off(reactor: &mut Reactor) {
    let mut read_buffer = ReadBuffer::Own(vec![0; READ_BYTES]);
    while let Some(job) = reactor.next_job(0, true) {
        let done = job.run(&mut read_buffer, &reactor.settings());
        reactor.finish(0, done, &mut read_buffer);
    }
}

fn tell(reactor: &mut Reactor, command: OutputCommand) {
    reactor.on_command(command);
    work_off(reactor);
}

fn turn(reactor: &mut Reactor) -> usize {
    let ready: Vec<ReadyFd> = reactor
        .poller
        .wait(Some(Duration::ZERO))
        .expect("wait")
        .collect();
    for event in &ready {
        reactor.on_ready(*event);
        work_off(reactor);
    }
    reactor.on_time();
    work_off(reactor);
    ready.len()
}

#[test]
fn lines_beyond_the_bound_are_counted_without_blocking() {
    let bench = Bench::new("lines", Level::Info);
    let sent = 200_000;
    for pid in 0..sent {
        bench.output.log(Line::Started { pid });
    }
    bench.output.log(Line::LogsReopened {});
    bench.sync();
    bench.output.log(Line::LogsReopened {});
    bench.output.send(OutputCommand::Stop);
    bench.output.join();
    let text = bench.read("activity");
    let lost: usize = text
        .lines()
        .filter(|line| line.contains("lines of this log were lost here"))
        .filter_map(|line| line.split(' ').nth(3)?.parse::<usize>().ok())
        .sum();
    let written = text
        .lines()
        .filter(|line| line.contains("started with pid") || line.ends_with("logreopen"))
        .count();
    assert_eq!(written + lost, usize::try_from(sent).expect("small") + 2);
}

#[test]
fn stop_writes_the_rest_of_the_pipes() {
    let bench = Bench::new("stop", Level::Info);
    let mut ends = bench.prepare(INSTANCE, spec("cat"), bench.paths());
    ends.stdout.write_all(b"last words").expect("room");
    bench.output.send(OutputCommand::Stop);
    bench.output.join();
    assert_eq!(bench.read("out"), "last words");
    bench
        .output
        .send(OutputCommand::Effect(OutputEffect::ReopenLogs));
}

#[test]
fn descriptors_close_on_exec_and_only_our_ends_do_not_block() {
    let bench = Bench::new("flags", Level::Info);
    let ends = bench.prepare(INSTANCE, spec("cat"), bench.paths());
    for file in [
        &ends.stdin,
        &ends.stdout,
        ends.stderr.as_ref().expect("own"),
    ] {
        let fd = fcntl(file, FcntlArg::F_GETFD).expect("open");
        assert_eq!(fd & nix::libc::FD_CLOEXEC, nix::libc::FD_CLOEXEC);
        let status = fcntl(file, FcntlArg::F_GETFL).expect("open");
        assert_eq!(status & nix::libc::O_NONBLOCK, 0);
    }
    for entry in std::fs::read_dir("/proc/self/fd").expect("proc").flatten() {
        let ours = std::fs::read_link(entry.path())
            .is_ok_and(|target| target.starts_with(bench.dir.root()));
        if ours {
            let info = std::fs::read_to_string(
                std::path::Path::new("/proc/self/fdinfo").join(entry.file_name()),
            )
            .expect("open");
            let flags = info
                .lines()
                .find_map(|line| line.strip_prefix("flags:"))
                .and_then(|text| i32::from_str_radix(text.trim(), 8).ok())
                .expect("flags");
            assert_ne!(flags & nix::libc::O_CLOEXEC, 0);
        }
    }
}
