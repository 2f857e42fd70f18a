//! Kills processes at every step between a pipe and a log, and checks what the next process recovers.
//!
//! The killed process is this test binary again, with its task in the environment (see [`test_child`]). It opens the
//! pipe and the memory of the process that started it through /proc.

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::process::{Child, Command, Stdio};

use nix::fcntl::{FcntlArg, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{getpid, read};

use super::super::log_file::{LogFile, LogRules};
use super::super::read_buffer::ReadBuffer;
use super::super::testing::{TempDir, eventually};
use super::*;
use crate::domain::Bytes;

/// The environment variable with the task of a test child: `STEP PID PIPE MEMORY LOG`.
const ORDER: &str = "SUPERVISORD_LEDGER_PUPPET";
const INSTANCE: InstanceId = InstanceId {
    slot: 7,
    incarnation: u64::MAX - 3,
};
/// The steps after which a test child is killed, in order.
const STEPS: [&str; 7] = [
    "begun", "marked", "taken", "read", "half", "written", "settled",
];

fn rules(path: &Path, maxbytes: i64, backups: i64) -> LogRules {
    LogRules {
        path: path.into(),
        maxbytes: Bytes(maxbytes),
        backups,
        private: false,
        options: None,
    }
}

fn memory() -> SharedBuffer {
    SharedBuffer::new("ledger", IN_FLIGHT_LOG_BYTES).expect("made")
}

fn command(step: &str, pipe: &io::PipeReader, memory: &SharedBuffer, log: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("exists"));
    let order = format!(
        "{step} {} {} {} {}",
        std::process::id(),
        pipe.as_raw_fd(),
        memory.file().as_fd().as_raw_fd(),
        log.display()
    );
    command
        .args(["--exact", "output::in_flight_log::tests::test_child"])
        .env(ORDER, order)
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    command
}

/// The entry point of test children. Does nothing without a task.
#[test]
fn test_child() {
    let Ok(order) = std::env::var(ORDER) else {
        return;
    };
    let words: Vec<&str> = order.splitn(5, ' ').collect();
    let [step, pid, pipe, memory, log] = words.try_into().expect("an order");
    let open = |number: &str, write: bool| -> OwnedFd {
        let path = format!("/proc/{pid}/fd/{number}");
        let mut options = OpenOptions::new();
        options.read(true).write(write);
        options.open(path).expect("opened").into()
    };
    let (pipe, log) = (open(pipe, false), Path::new(log));
    let buffer = SharedBuffer::open(open(memory, true)).expect("mapped");
    if step == "work" {
        return work(&pipe, buffer, log);
    }
    let die_after = |now: &str| {
        if now == step {
            kill(getpid(), Signal::SIGKILL).expect("killed");
        }
    };
    let mut file = LogFile::open(rules(log, 0, 0)).expect("opened");
    let mut in_flight_log = InFlightLog::new(buffer).expect("begun");
    die_after("begun");
    let entry = InFlightEntry {
        instance: INSTANCE,
        channel: Channel::Stderr,
        log: file.mark(),
    };
    let count = sys::unread(&pipe).expect("told");
    in_flight_log.mark_reading(&entry, count, false);
    die_after("marked");
    let took = read(&pipe, &mut in_flight_log.bytes()[..count]).expect("read");
    die_after("taken");
    in_flight_log.mark_read(took);
    die_after("read");
    let half = took / 2;
    assert_eq!(file.write(&in_flight_log.bytes()[..half]), (half, None));
    die_after("half");
    assert_eq!(
        file.write(&in_flight_log.bytes()[half..took]),
        (took - half, None)
    );
    die_after("written");
    in_flight_log.mark_flushed();
    die_after("settled");
}

/// Handles one pipe forever, like the output thread: recovers, then reads and writes.
fn work(pipe: &OwnedFd, mut buffer: SharedBuffer, log: &Path) {
    let mut file = LogFile::open(rules(log, 3000, 1000)).expect("opened");
    let mut put = |data: &[u8]| {
        assert_eq!(file.write(data), (data.len(), None));
        file.rotate_if_due().expect("rotated");
        file.mark()
    };
    match UnflushedChunk::find(&mut buffer) {
        Err(InFlightError::None) | Ok(None) => {}
        Ok(Some(unflushed)) => {
            assert_eq!(
                (unflushed.instance, unflushed.channel),
                (INSTANCE, Channel::Stdout)
            );
            let recovered = unflushed.recover(sys::unread(pipe).ok(), Some(log));
            assert_eq!(recovered.lost, 0);
            put(recovered.missing());
        }
        Err(error) => panic!("{error}"),
    }
    let mut mark = put(b"");
    let mut read_buffer = ReadBuffer::Kept(InFlightLog::new(buffer).expect("begun"));
    loop {
        let mut ask = [PollFd::new(pipe.as_fd(), PollFlags::POLLIN)];
        poll(&mut ask, PollTimeout::NONE).expect("asked");
        let entry = InFlightEntry {
            instance: INSTANCE,
            channel: Channel::Stdout,
            log: mark,
        };
        match read_buffer
            .read(pipe, IN_FLIGHT_LOG_BYTES, || entry)
            .expect("read")
        {
            0 => return,
            count => mark = put(read_buffer.data(count)),
        }
        read_buffer.mark_flushed();
    }
}

#[test]
fn a_crash_at_any_step_leaves_every_byte_in_the_log_once() {
    let dir = TempDir::new("ledger");
    let log = dir.path("log");
    for size in [1, 2, 15, 16, 17, 31, 32, 33, 5000, 60_000] {
        let (reader, mut writer) = io::pipe().expect("pipe");
        let mut memory = memory();
        // Old content of the buffer.
        memory.parts().1.fill(b'#');
        let mut expected = b"before\n".to_vec();
        std::fs::write(&log, &expected).expect("written");
        for (turn, step) in STEPS.into_iter().enumerate() {
            let chunk: Vec<u8> = (b'a'..=b'z').cycle().skip(turn).take(size).collect();
            writer.write_all(&chunk).expect("room");
            expected.extend(&chunk);
            let status = command(step, &reader, &memory, &log).status().expect("run");
            let signal = std::os::unix::process::ExitStatusExt::signal(&status);
            assert_eq!(signal, Some(9), "{step}: {status}");
            let unread = sys::unread(&reader).ok();
            let recover = |memory: &mut SharedBuffer| {
                let unflushed = UnflushedChunk::find(memory).expect("a ledger")?;
                assert_eq!(
                    (unflushed.instance, unflushed.channel),
                    (INSTANCE, Channel::Stderr)
                );
                Some(unflushed.recover(unread, Some(&log)))
            };
            let Some(recovered) = recover(&mut memory) else {
                assert!(["begun", "settled"].contains(&step), "{step}");
                finish(step, &reader, &log);
                continue;
            };
            assert_eq!(recovered.lost, 0);
            let missing = recovered.missing().to_vec();
            let expected_missing = match step {
                "marked" => 0,
                "taken" | "read" => size,
                "half" => size - size / 2,
                _ => 0,
            };
            assert_eq!(missing.len(), expected_missing, "{size} {step}");
            // The next process is killed before it has written everything; the one after it recovers again.
            let mut file = OpenOptions::new().append(true).open(&log).expect("opened");
            file.write_all(&missing[..missing.len() / 3]).expect("room");
            let again = recover(&mut memory).expect("not settled yet");
            assert_eq!(
                again.missing(),
                &missing[missing.len() / 3..],
                "{size} {step}"
            );
            file.write_all(again.missing()).expect("room");
            finish(step, &reader, &log);
        }
        let found = std::fs::read(&log).expect("read");
        assert!(
            found == expected,
            "{size}: {} of {}",
            found.len(),
            expected.len()
        );
    }
}

/// Appends what the test child has not read, as the next process would.
fn finish(step: &str, reader: &io::PipeReader, log: &Path) {
    let left = sys::unread(reader).expect("told");
    assert_eq!(left > 0, ["begun", "marked"].contains(&step), "{step}");
    let mut data = vec![0; left];
    let mut pipe = reader;
    pipe.read_exact(&mut data).expect("read");
    let mut file = OpenOptions::new().append(true).open(log).expect("opened");
    file.write_all(&data).expect("room");
}

#[test]
fn many_kills_at_any_moment_lose_or_repeat_no_line() {
    const LINES: u32 = 200_000;
    const KILLS: u64 = 40;
    let dir = TempDir::new("ledger");
    let log = dir.path("log");
    let (reader, mut writer) = io::pipe().expect("pipe");
    // A small pipe, so that it takes many reads.
    fcntl(&writer, FcntlArg::F_SETPIPE_SZ(4096)).expect("smaller");
    let mut memory = memory();
    let feeder = std::thread::spawn(move || {
        for number in 1..=LINES {
            writer
                .write_all(format!("{number}\n").as_bytes())
                .expect("it is kept open");
        }
    });
    let turn = |memory: &mut SharedBuffer| memory.parts().0[word::TURN].load(Ordering::Acquire);
    let mut killed = 0;
    for round in 0..KILLS {
        let until = turn(&mut memory) + 1 + round % 13;
        let mut child: Child = command("work", &reader, &memory, &log)
            .spawn()
            .expect("run");
        let mut ended = None;
        eventually("it works", || {
            ended = child.try_wait().expect("ours");
            turn(&mut memory) >= until || ended.is_some()
        });
        if let Some(status) = ended {
            assert!(status.success(), "{status}");
            break;
        }
        child.kill().expect("killed");
        child.wait().expect("reaped");
        killed += 1;
    }
    assert!(killed > 10, "{killed}");
    let status = command("work", &reader, &memory, &log)
        .status()
        .expect("run");
    assert!(status.success(), "{status}");
    feeder.join().expect("no panic");
    assert_eq!(UnflushedChunk::find(&mut memory), Ok(None));
    let mut found = String::new();
    // A kill during a rotation leaves an unused backup number, which moves on with the others.
    let backups = (1..=1000).map(|number| dir.path(&format!("log.{number}")));
    let mut files: Vec<_> = backups.filter(|path| path.exists()).collect();
    assert!(files.len() > 10, "it was rotated");
    files.reverse();
    files.push(log);
    for path in files {
        File::open(path)
            .expect("there")
            .read_to_string(&mut found)
            .expect("text");
    }
    let expected: String = (1..=LINES).map(|number| format!("{number}\n")).collect();
    let different = found
        .lines()
        .zip(expected.lines())
        .find(|(one, two)| one != two);
    assert!(found == expected, "{different:?}, {} bytes", found.len());
}

/// An in-flight log whose writer was killed at a read of `data` into a range marked for `count`.
fn left(count: usize, data: &[u8], guessed: bool, log: Option<LogMark>) -> SharedBuffer {
    let buffer = memory();
    let copy = buffer.file().as_fd().try_clone_to_owned().expect("room");
    let mut in_flight_log = InFlightLog::new(buffer).expect("begun");
    in_flight_log.bytes().fill(b'#');
    let entry = InFlightEntry {
        instance: INSTANCE,
        channel: Channel::Stdout,
        log,
    };
    in_flight_log.mark_reading(&entry, count, guessed);
    in_flight_log.bytes()[..data.len()].copy_from_slice(data);
    SharedBuffer::open(copy).expect("mapped")
}

fn recovered(
    memory: &mut SharedBuffer,
    unread: Option<usize>,
    log: Option<&Path>,
) -> RecoveredChunk {
    let unflushed = UnflushedChunk::find(memory).expect("a ledger");
    unflushed.expect("something").recover(unread, log)
}

#[test]
fn data_still_in_the_pipe_is_not_recovered() {
    let nothing = RecoveredChunk {
        data: Vec::new(),
        written: 0,
        lost: 0,
    };
    for (count, unread) in [
        (1, Some(1)),
        (100, Some(100)),
        (100, Some(5000)),
        (100, None),
    ] {
        let result = recovered(&mut left(count, b"", false, None), unread, None);
        assert_eq!(result, nothing, "{count} {unread:?}");
    }
    // The bytes look like the marks, but the pipe has lost bytes: they were read.
    let result = recovered(&mut left(1, b"", false, None), Some(0), None);
    assert_eq!(result.data.len(), 1);
    // A pipe that was empty before cannot have lost bytes.
    let result = recovered(&mut left(1, b"", true, None), Some(0), None);
    assert_eq!(result, nothing);
    let result = recovered(&mut left(1, b"x", true, None), Some(0), None);
    assert_eq!(result.missing(), b"x");
}

#[test]
fn packet_mode_recovers_no_foreign_data() {
    // Short: the bytes end where the marks begin.
    let result = recovered(&mut left(12, b"packet", false, None), Some(6), None);
    assert_eq!((result.missing(), result.lost), (&b"packet"[..], 0));
    // Long: the end is unknown, and the rest of the buffer is old content.
    for count in [17, 33, 5000] {
        let result = recovered(&mut left(count, b"packet", false, None), Some(6), None);
        assert_eq!(
            (result.missing(), result.lost),
            (&b""[..], count),
            "{count}"
        );
    }
    // When the read is complete, its length is known.
    let (reader, writer) = nix::unistd::pipe2(OFlag::O_DIRECT).expect("pipe");
    for _ in 0..2 {
        nix::unistd::write(&writer, b"packet").expect("room");
    }
    let buffer = memory();
    let copy = buffer.file().as_fd().try_clone_to_owned().expect("room");
    let mut read_buffer = ReadBuffer::Kept(InFlightLog::new(buffer).expect("begun"));
    let entry = InFlightEntry {
        instance: INSTANCE,
        channel: Channel::Stdout,
        log: None,
    };
    assert_eq!(
        read_buffer.read(&reader, IN_FLIGHT_LOG_BYTES, || entry),
        Ok(6)
    );
    assert_eq!(read_buffer.data(6), b"packet");
    let mut memory = SharedBuffer::open(copy).expect("mapped");
    assert_eq!(recovered(&mut memory, Some(6), None).missing(), b"packet");
    read_buffer.mark_flushed();
    assert_eq!(UnflushedChunk::find(&mut memory), Ok(None));
}

#[test]
fn recovery_finds_the_log_and_its_written_bytes() {
    let dir = TempDir::new("ledger");
    let log = dir.path("log");
    let data = b"0123456789abcdefXYZ";
    // The state of the log at recovery, and how many of the bytes it is found to have.
    let append = |path: &Path, text: &[u8]| {
        let mut file = OpenOptions::new().append(true).open(path).expect("opened");
        file.write_all(text).expect("room");
    };
    let backup = |path: &Path| PathBuf::from(format!("{}.1", path.display()));
    type Case<'a> = (&'a str, &'a dyn Fn(&Path), usize);
    let cases: [Case<'_>; 8] = [
        ("as it was", &|_| (), 0),
        ("partly", &|path| append(path, &data[..4]), 4),
        ("wholly", &|path| append(path, data), 19),
        (
            "others after it",
            &|path| append(path, b"0123456789abcdefXYZ, more"),
            19,
        ),
        ("others before it", &|path| append(path, b"0123, more"), 4),
        (
            "rotated",
            &|path| {
                append(path, data);
                std::fs::rename(path, backup(path)).expect("renamed");
                std::fs::write(path, b"").expect("written");
            },
            19,
        ),
        (
            "cut",
            &|path| std::fs::write(path, b"").expect("written"),
            19,
        ),
        (
            "gone",
            &|path| std::fs::remove_file(path).expect("removed"),
            0,
        ),
    ];
    for (what, change, expected) in cases {
        let _ = std::fs::remove_file(backup(&log));
        std::fs::write(&log, b"before\n").expect("written");
        let mark = LogFile::open(rules(&log, 0, 0)).expect("opened").mark();
        assert_eq!(mark.expect("a plain file").length, 7);
        let mut memory = left(data.len(), data, false, mark);
        change(&log);
        let result = recovered(&mut memory, Some(0), Some(&log));
        assert_eq!(result.written, expected, "{what}");
        assert_eq!(result.missing(), &data[expected..], "{what}");
        assert_eq!(recovered(&mut memory, Some(0), None).written, 0);
    }
    assert!(
        LogFile::open(rules(Path::new("/dev/null"), 0, 0))
            .expect("opened")
            .mark()
            .is_none()
    );
}

#[test]
fn a_malformed_in_flight_log_is_refused() {
    let mut memory = memory();
    assert_eq!(UnflushedChunk::find(&mut memory), Err(InFlightError::None));
    let put = |memory: &mut SharedBuffer, place: usize, value: u64| {
        memory.parts().0[place].store(value, Ordering::Release);
    };
    for version in [1, MAGIC + 1, u64::MAX] {
        put(&mut memory, word::MAGIC, version);
        assert_eq!(
            UnflushedChunk::find(&mut memory),
            Err(InFlightError::Version)
        );
    }
    put(&mut memory, word::MAGIC, MAGIC);
    assert_eq!(UnflushedChunk::find(&mut memory), Ok(None));
    for (state, count) in [
        (READ, 0),
        (READ, IN_FLIGHT_LOG_BYTES as u64 + 1),
        (READING, u64::MAX),
        (3, 5),
        (u64::MAX, 5),
    ] {
        put(&mut memory, word::STATE, state);
        put(&mut memory, word::COUNT, count);
        assert_eq!(
            UnflushedChunk::find(&mut memory),
            Err(InFlightError::Nonsense)
        );
    }
}

#[test]
fn marks_are_never_valid_utf_8() {
    let mut seen = BTreeSet::new();
    for chance in 0..50_u64 {
        let mark = mark(chance.wrapping_mul(0x9e37_79b9_7f4a_7c15), !chance << 7);
        for byte in mark {
            assert!(std::str::from_utf8(&[b'a', byte]).is_err());
            assert!(std::str::from_utf8(&[byte, 0x80, 0x80, 0x80]).is_err());
            seen.insert(byte);
        }
        let halves = halves(&mark).map(u64::to_le_bytes).concat();
        assert_eq!(halves, mark);
    }
    assert_eq!(seen.len(), NEVER_TEXT.len());
}
