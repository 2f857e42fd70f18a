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
#[path = "rotation_tests.rs"]
mod rotation;
#[path = "../stream_handoff_tests.rs"]
mod stream_handoff;

const INSTANCE: InstanceId = InstanceId {
    slot: 3,
    incarnation: 1,
};

fn spec(name: &str) -> ProcessSpec {
    program(name, name)
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

#[test]
fn out_07_a_thousand_reopens_leak_no_descriptor() {
    let bench = Bench::new("reopen", Level::Info);
    let mut ends = bench.prepare(INSTANCE, spec("cat"), bench.paths());
    // Only files in this test's directory: other tests open files at the same time.
    let count = || {
        std::fs::read_dir("/proc/self/fd")
            .expect("proc")
            .flatten()
            .filter(|entry| {
                std::fs::read_link(entry.path())
                    .is_ok_and(|target| target.starts_with(bench.dir.root()))
            })
            .count()
    };
    bench.sync();
    let before = count();
    for cycle in 0..1000 {
        if cycle % 10 == 0 {
            std::fs::rename(bench.dir.path("out"), bench.dir.path("rotated")).expect("there");
        }
        bench
            .output
            .send(OutputCommand::Effect(OutputEffect::ReopenLogs));
        bench.sync();
        assert!(bench.dir.path("out").exists());
    }
    // The first count may include a file that another thread was about to close.
    assert!(count() <= before, "{} files, {before} before", count());
    ends.stdout.write_all(b"after").expect("room");
    bench.sees("out", "after");
}

#[test]
fn out_08_clearing_empties_and_leaves_backups() {
    let bench = Bench::new("clear", Level::Info);
    let mut ends = bench.prepare(INSTANCE, spec("cat"), bench.paths());
    ends.stdout.write_all(b"old").expect("room");
    bench.sees("out", "old");
    std::fs::write(bench.dir.path("out.1"), "backup").expect("written");
    let clear = || {
        bench
            .output
            .send(OutputCommand::Effect(OutputEffect::ClearLogs {
                ticket: Ticket(9),
                slot: INSTANCE.slot,
                logs: bench.paths(),
            }));
        let report = bench.next();
        assert!(
            matches!(
                report,
                OutputReport::Outcome(OutputOutcome::Answered {
                    ticket: Ticket(9),
                    result: Ok(())
                })
            ),
            "{report:?}"
        );
    };
    clear();
    assert_eq!(
        std::fs::read(bench.dir.path("out")).expect("made anew"),
        b""
    );
    ends.stdout.write_all(b"new").expect("room");
    bench.sees("out", "new");
    assert_eq!(bench.read("out"), "new");
    assert_eq!(bench.read("out.1"), "backup");
    drop(ends);
    bench.drain(INSTANCE);
    clear();
    assert!(!bench.dir.path("out").exists(), "a stopped process's too");
    clear();
}

#[test]
fn rpc_28_the_daemons_log_can_be_cleared() {
    let bench = Bench::new("clear-daemon", Level::Info);
    bench.output.log(Line::Started { pid: 1 });
    bench.sees("activity", "pid 1");
    bench
        .output
        .send(OutputCommand::Effect(OutputEffect::ClearDaemonLog(Ticket(
            4,
        ))));
    assert!(matches!(
        bench.next(),
        OutputReport::Outcome(OutputOutcome::Answered {
            ticket: Ticket(4),
            result: Ok(())
        })
    ));
    assert_eq!(bench.read("activity"), "");
    std::fs::remove_file(bench.dir.path("activity")).expect("there");
    bench
        .output
        .send(OutputCommand::Effect(OutputEffect::ClearDaemonLog(Ticket(
            5,
        ))));
    assert!(matches!(
        bench.next(),
        OutputReport::Outcome(OutputOutcome::Answered {
            ticket: Ticket(5),
            result: Err(Errno::NOENT)
        })
    ));
}

#[test]
fn a_log_that_cannot_be_opened_is_a_spawn_error() {
    let bench = Bench::new("spawnerr", Level::Info);
    let mut paths = bench.paths();
    paths.stderr = Some(bench.dir.path("no/such").into());
    bench
        .output
        .send(OutputCommand::Effect(OutputEffect::Prepare(
            INSTANCE,
            Arc::new(spec("cat")),
            paths,
        )));
    let OutputReport::Outcome(OutputOutcome::PrepareFailed(instance, error)) = bench.next() else {
        panic!("it cannot be opened");
    };
    assert_eq!(instance, INSTANCE);
    assert_eq!(
        error.to_string(),
        "unknown error making dispatchers for 'cat': ENOENT"
    );
    assert_eq!(
        spawn_error(&spec("cat"), errno(nix::errno::Errno::EMFILE)).to_string(),
        "too many open files to spawn 'cat'"
    );
}

#[test]
fn a_full_disk_is_logged_once_and_the_program_continues() {
    // Regression test for Supervisor#87, #1648, #402 and #1311.
    let bench = Bench::new("full", Level::Info);
    let link = bench.dir.path("out");
    std::os::unix::fs::symlink("/dev/full", &link).expect("linked");
    let mut ends = bench.prepare(INSTANCE, spec("cat"), bench.paths());
    for _ in 0..10 {
        ends.stdout.write_all(&[b'x'; 10_000]).expect("it is read");
    }
    bench.sees("activity", "ERRO cat: cannot write stdout to");
    // The disk has room again.
    bench.settled(&ends.stdout);
    std::fs::remove_file(&link).expect("there");
    ends.stdout.write_all(b"works").expect("it is read");
    bench.sees("activity", "works again; 100000 bytes were lost");
    assert_eq!(bench.read("out"), "works");
    let told = bench.read("activity").matches("cannot write").count();
    assert_eq!(told, 1);
}

#[test]
fn a_real_full_disk_loses_only_excess_data() {
    let bench = Bench::new("tmpfs", Level::Info);
    let disk = bench.dir.path("disk");
    std::fs::create_dir(&disk).expect("made");
    let mount = std::process::Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=64k", "none"])
        .arg(&disk)
        .stderr(std::process::Stdio::null())
        .status();
    if !mount.is_ok_and(|status| status.success()) {
        eprintln!("skipped: mounting a small file system needs root");
        return;
    }
    struct Mounted(std::path::PathBuf);
    impl Drop for Mounted {
        fn drop(&mut self) {
            let _ = std::process::Command::new("umount")
                .args(["-l".as_ref(), self.0.as_os_str()])
                .status();
        }
    }
    let mounted = Mounted(disk.clone());
    let ballast = disk.join("ballast");
    std::fs::write(&ballast, [b'b'; 32 << 10]).expect("room");
    let log = disk.join("log");
    let paths = LogPaths {
        stdout: Some(log.as_path().into()),
        stderr: None,
    };
    let mut ends = bench.prepare(INSTANCE, spec("cat"), paths);
    let mut text = Vec::new();
    for number in 0..10_000 {
        text.extend_from_slice(format!("line {number:5}\n").as_bytes());
    }
    ends.stdout.write_all(&text).expect("it is read");
    bench.sees("activity", "No space left on device");
    bench.settled(&ends.stdout);
    std::fs::remove_file(&ballast).expect("there");
    ends.stdout.write_all(b"works").expect("it is read");
    bench.sees("activity", "works again; ");
    let found = std::fs::read(&log).expect("there");
    let kept = found.len() - b"works".len();
    assert!(found[..kept] == text[..kept], "{}", bench.read("activity"));
    let lost = format!("{} bytes were lost", text.len() - kept);
    let activity = bench.read("activity");
    assert!(activity.contains(&lost), "{lost}: {activity}");
    drop(ends);
    bench.drain(INSTANCE);
    drop(mounted);
}

#[test]
fn a_slow_log_blocks_only_its_own_program_and_loses_nothing() {
    let bench = Bench::new("slow", Level::Info);
    let path = bench.dir.path("out");
    nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).expect("made");
    let mut reader = std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open(&path)
        .expect("opened");
    let mut rotating = spec("slow");
    rotating.stdout.maxbytes = Bytes(10);
    let mut ends = bench.prepare(INSTANCE, rotating, bench.paths());
    bench.sees("activity", "INFO slow: stdout log ");
    let all = 1 << 20;
    let writer = std::thread::spawn(move || {
        let text: Vec<u8> = (0..all).map(|n| b"0123456789"[n % 10]).collect();
        ends.stdout.write_all(&text).expect("at last");
        ends
    });
    // Another program is not delayed.
    let other = InstanceId {
        slot: 4,
        incarnation: 2,
    };
    let paths = LogPaths {
        stdout: Some(bench.dir.path("other").into()),
        stderr: None,
    };
    let mut quick = bench.prepare(other, spec("quick"), paths);
    quick.stdout.write_all(b"quick").expect("room");
    bench.sees("other", "quick");
    let mut seen = 0;
    let mut buffer = vec![0; 5000];
    while seen < all {
        let count = reader.read(&mut buffer).expect("read");
        for (offset, byte) in buffer[..count].iter().enumerate() {
            assert_eq!(*byte, b"0123456789"[(seen + offset) % 10]);
        }
        seen += count;
    }
    drop(writer.join().expect("written"));
    bench.drain(INSTANCE);
}

#[test]
fn an_exit_waits_for_a_slow_log_up_to_a_limit() {
    let bench = Bench::new("slow-end", Level::Info);
    let path = bench.dir.path("out");
    nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).expect("made");
    let mut reader = std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open(&path)
        .expect("opened");
    let mut ends = bench.prepare(INSTANCE, spec("slow"), bench.paths());
    let flags = OFlag::O_NONBLOCK;
    fcntl(&ends.stdout, FcntlArg::F_SETFL(flags)).expect("a pipe");
    let mut written = 0;
    // Until both pipes are full and one read waits between them.
    eventually("all is full", || {
        while let Ok(count) = ends.stdout.write(&[b'x'; 4096]) {
            written += count;
        }
        written > 2 * (64 << 10)
    });
    drop(ends);
    bench
        .output
        .send(OutputCommand::Effect(OutputEffect::Drain(INSTANCE)));
    let mut buffer = vec![0; 64 << 10];
    let mut seen = 0;
    while seen < written {
        seen += reader.read(&mut buffer).expect("read");
    }
    assert!(matches!(
        bench.next(),
        OutputReport::Outcome(OutputOutcome::Drained(INSTANCE))
    ));
    // And without any reader.
    let instance = InstanceId {
        slot: 3,
        incarnation: 2,
    };
    let mut ends = bench.prepare(instance, spec("slow"), bench.paths());
    fcntl(&ends.stdout, FcntlArg::F_SETFL(flags)).expect("a pipe");
    eventually("all is full", || {
        while let Ok(count) = ends.stdout.write(&[b'x'; 4096]) {
            written += count;
        }
        written - seen > 2 * (64 << 10)
    });
    bench.drain(instance);
    bench.sees("activity", "bytes of stdout for");
}

#[test]
fn a_log_pipe_without_reader_does_not_stop_the_program() {
    let bench = Bench::new("unread", Level::Info);
    let path = bench.dir.path("out");
    nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).expect("made");
    let mut ends = bench.prepare(INSTANCE, spec("cat"), bench.paths());
    ends.stdout.write_all(b"lost").expect("it is read");
    bench.sees("activity", "cat: cannot write stdout to");
    bench.settled(&ends.stdout);
    let mut reader = std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open(&path)
        .expect("opened");
    ends.stdout.write_all(b"found").expect("room");
    let mut buffer = [0; 10];
    let count = reader.read(&mut buffer).expect("read");
    assert_eq!(&buffer[..count], b"found");
    bench.sees("activity", "works again; 4 bytes were lost");
}

#[test]
fn standard_input_is_queued_within_a_bound_and_its_closing_is_reported() {
    let bench = Bench::new("stdin", Level::Info);
    let ends = bench.prepare(INSTANCE, spec("cat"), bench.paths());
    let write = |data: Vec<u8>| {
        bench
            .output
            .send(OutputCommand::Effect(OutputEffect::WriteStdin {
                ticket: Ticket(1),
                instance: INSTANCE,
                data,
            }));
        match bench.next() {
            OutputReport::Outcome(OutputOutcome::Answered {
                ticket: Ticket(1),
                result,
            }) => result,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(write(vec![b'a'; 900_000]), Ok(()));
    assert_eq!(write(vec![b'b'; 100_000]), Ok(()));
    assert_eq!(
        write(vec![b'c'; 900_000]),
        Err(errno(nix::errno::Errno::EAGAIN))
    );
    let mut stdin = ends.stdin;
    let mut data = vec![0; 1_000_000];
    stdin.read_exact(&mut data).expect("all of it");
    assert!(data[..900_000].iter().all(|&byte| byte == b'a'));
    assert!(data[900_000..].iter().all(|&byte| byte == b'b'));
    assert_eq!(write(vec![b'd'; 3_000_000]), Ok(()), "one long message");
    drop(stdin);
    let gone = Err(errno(nix::errno::Errno::EPIPE));
    assert_eq!(write(b"e".to_vec()), gone);
    assert_eq!(write(b"f".to_vec()), gone);
    bench.drain(INSTANCE);
    assert_eq!(write(b"g".to_vec()), gone, "of a life that is over");
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
fn cfg_59_a_process_with_a_socket_has_no_pipe_for_standard_input() {
    let bench = Bench::new("socket", Level::Info);
    let mut spec = spec("cat");
    spec.kind = ProcessKind::Fcgi(Arc::new(FcgiSocket {
        program: Arc::from("cat"),
        url: "unix:///x".to_owned(),
        mode: None,
        owner: (None, None),
        backlog: None,
    }));
    bench
        .output
        .send(OutputCommand::Effect(OutputEffect::Prepare(
            INSTANCE,
            Arc::new(spec),
            bench.paths(),
        )));
    match bench.next() {
        OutputReport::Prepared(INSTANCE, ends) => assert!(ends.stdin.is_none()),
        other => panic!("not prepared: {other:?}"),
    }
    bench
        .output
        .send(OutputCommand::Effect(OutputEffect::WriteStdin {
            ticket: Ticket(1),
            instance: INSTANCE,
            data: b"x".to_vec(),
        }));
    match bench.next() {
        OutputReport::Outcome(OutputOutcome::Answered {
            ticket: Ticket(1),
            result,
        }) => {
            assert_eq!(result, Err(errno(nix::errno::Errno::EPIPE)));
        }
        other => panic!("{other:?}"),
    }
    bench.drain(INSTANCE);
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

/// A program that writes to both the journal and a file.
fn with_journal(name: &str) -> ProcessSpec {
    let mut spec = spec(name);
    spec.stdout.named.journal = Some(JournalSpec { limit: None });
    spec
}

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
