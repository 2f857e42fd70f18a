//! Files of lists: one that hangs, one with a slow reader, and their state in a handoff.

use std::io::Read as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;

use super::super::Sinks;
use super::*;
use crate::config::spec::{LogTarget, ProcessSpec};
use crate::config::testing::program;
use crate::domain::{Bytes, Channel};
use crate::output::in_flight_log::{InFlightEntry, InFlightLog, UnflushedChunk};
use crate::output::target_stats;
use crate::output::testing::{Held, TempDir, eventually};
use crate::sys::SharedBuffer;

fn rules(path: &Path) -> LogRules {
    LogRules {
        path: path.into(),
        maxbytes: Bytes(0),
        backups: 0,
        private: false,
        options: None,
    }
}

/// A program whose standard output goes to these files. Its name is that of the directory, for counters of its own.
fn spec(dir: &TempDir, files: &[PathBuf]) -> ProcessSpec {
    let name = dir.root().file_name().expect("a name").to_string_lossy();
    let mut spec = program("files", &name);
    spec.stdout.target = LogTarget::File(files[0].as_path().into());
    spec.stdout.more_files = files[1..]
        .iter()
        .map(|path| path.as_path().into())
        .collect();
    spec
}

fn source(spec: &ProcessSpec) -> SinkSource<'_> {
    SinkSource::of_stdout(spec)
}

fn opened(spec: &ProcessSpec) -> Sinks {
    let LogTarget::File(path) = &spec.stdout.target else {
        panic!("a file");
    };
    Sinks::open(&source(spec), Some(rules(path)), &mut Vec::new()).expect("opened")
}

fn dropped(spec: &ProcessSpec, path: &Path) -> u64 {
    let stats = target_stats::target_stats(&spec.group, &spec.name);
    let of = stats
        .iter()
        .find(|of| of.target == path.display().to_string());
    of.expect("counted").dropped
}

#[test]
fn g40_each_file_of_a_list_has_all_bytes() {
    let dir = TempDir::new("list");
    let files = [dir.path("a"), dir.path("b"), dir.path("c")];
    let spec = spec(&dir, &files);
    let mut sinks = opened(&spec);
    let mut lines = Vec::new();
    for number in 0..100 {
        sinks.write(format!("{number}\n").as_bytes(), &mut lines);
    }
    assert_eq!(sinks.marks().iter().flatten().count(), 3);
    let text = |path: &PathBuf| std::fs::read_to_string(path).expect("there");
    let expected: String = (0..100).map(|number| format!("{number}\n")).collect();
    // No wait: a chunk is in the files when the write returns.
    assert!(files.iter().all(|path| text(path) == expected));
    sinks.clear(&mut lines).expect("cleared");
    sinks.write(b"new\n", &mut lines);
    assert!(files.iter().all(|path| text(path) == "new\n"));
    std::fs::rename(&files[1], dir.path("moved")).expect("moved");
    sinks.reopen(&mut lines);
    sinks.write(b"after\n", &mut lines);
    assert_eq!(text(&files[1]), "after\n");
    sinks.close(&mut lines);
    assert_eq!(lines, []);
    let stats = target_stats::target_stats(&spec.group, &spec.name);
    assert_eq!(stats.len(), 3);
    assert!(
        stats.iter().all(|of| (of.written, of.dropped) == (300, 0)),
        "{stats:?}"
    );
}

/// `maxbytes` counts for each file of a list, and `backups=0` keeps none.
#[test]
fn g42_rotation_keys_apply_to_each_file_of_a_list() {
    let dir = TempDir::new("list-rotated");
    let files = [dir.path("a"), dir.path("b")];
    let mut spec = spec(&dir, &files);
    (spec.stdout.maxbytes, spec.stdout.backups) = (Bytes(10), 1);
    let path: Arc<Path> = files[0].as_path().into();
    let of = |spec: &ProcessSpec| source(spec).rules(path.clone());
    let mut sinks = Sinks::open(&source(&spec), Some(of(&spec)), &mut Vec::new()).expect("opened");
    for text in ["0123456789\n", "new\n"] {
        sinks.write(text.as_bytes(), &mut Vec::new());
    }
    for path in &files {
        let backup = path.with_extension("1");
        assert_eq!(std::fs::read(path).expect("there"), b"new\n");
        assert_eq!(std::fs::read(backup).expect("there"), b"0123456789\n");
    }
}

#[test]
fn l07_a_file_that_hangs_drops_whole_lines_and_stops_no_other_target() {
    let dir = TempDir::new("list-hangs");
    let fifo = dir.path("slow");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::from_bits_truncate(0o600)).expect("made");
    let flags = nix::fcntl::OFlag::O_NONBLOCK.bits();
    let reader = std::fs::OpenOptions::new()
        .read(true)
        .custom_flags(flags)
        .open(&fifo);
    let mut reader = reader.expect("opened");
    let files = [fifo.clone(), dir.path("healthy")];
    let spec = spec(&dir, &files);
    let mut sinks = opened(&spec);
    let mut lines = Vec::new();
    let line = [&[b'x'; 999][..], b"\n"].concat();
    let chunk = line.repeat(64);
    let mut count = 0;
    let mut write = |sinks: &mut Sinks| {
        sinks.write(&chunk, &mut lines);
        count += chunk.len();
    };
    write(&mut sinks);
    write(&mut sinks);
    assert!(sinks.file_waits(), "the reader may be slow for a moment");
    eventually("the reader hangs", || !sinks.file_waits());
    while dropped(&spec, &fifo) == 0 {
        write(&mut sinks);
    }
    for _ in 0..10 {
        write(&mut sinks);
    }
    let healthy = std::fs::metadata(&files[1]).expect("there").len();
    assert_eq!(healthy, count as u64, "the other file has all");
    // The reader goes on: whole lines, and each byte is there or counted.
    let mut text = Vec::new();
    let mut piece = vec![0; 1 << 16];
    eventually("the rest is read", || {
        if let Ok(count) = reader.read(&mut piece) {
            text.extend_from_slice(&piece[..count]);
        }
        text.len() as u64 + dropped(&spec, &fifo) == count as u64
    });
    assert!(text.chunks(1000).all(|one| one == line));
    eventually("it has caught up", || !sinks.file_waits());
    sinks.write(b"again\n", &mut Vec::new());
    eventually("it works again", || {
        reader.read(&mut piece).is_ok_and(|count| count == 6)
    });
}

/// After the end of the stream nothing stays in a queue that nobody takes, and each byte is counted.
#[test]
fn l07_the_queue_of_an_ended_stream_is_written_or_counted() {
    let dir = TempDir::new("list-ended");
    let fifo = dir.path("slow");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::from_bits_truncate(0o600)).expect("made");
    let both = std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open(&fifo);
    let _reader = both.expect("opened");
    let files = [fifo.clone(), dir.path("healthy")];
    let spec = spec(&dir, &files);
    let counted = || {
        let stats = target_stats::target_stats(&spec.group, &spec.name);
        let all = stats.iter().map(|of| (of.written + of.dropped, of.dropped));
        all.collect::<Vec<_>>()
    };
    let chunk = [&[b'x'; 999][..], b"\n"].concat().repeat(100);
    // The first stream ends before the file is late, the second one afterwards.
    for round in 1..=2 {
        let mut sinks = opened(&spec);
        let mut lines = Vec::new();
        sinks.write(&chunk, &mut lines);
        if round == 2 {
            eventually("the reader hangs", || !sinks.file_waits());
        }
        sinks.close(&mut lines);
        let count = (round * chunk.len()) as u64;
        eventually("each byte is counted", || {
            counted().iter().all(|&(all, _)| all == count)
        });
    }
    let dropped: Vec<bool> = counted().iter().map(|&(_, dropped)| dropped > 0).collect();
    assert_eq!(dropped.iter().filter(|&&is| is).count(), 1, "only the FIFO");
    flush_ended(Duration::ZERO);
}

/// After kill -9 the next daemon gives each file what it lacks.
#[test]
fn g40_each_file_of_a_list_has_its_own_mark() {
    let dir = TempDir::new("list-killed");
    let files = [dir.path("a"), dir.path("b"), dir.path("c")];
    let spec = spec(&dir, &files);
    let mut sinks = opened(&spec);
    let mut lines = Vec::new();
    sinks.write(b"one\n", &mut lines);
    let buffer = SharedBuffer::new("test", 4096).expect("memory");
    let same = buffer.file().try_clone().expect("a descriptor");
    let mut in_flight = InFlightLog::new(buffer).expect("begun");
    let entry = InFlightEntry {
        instance: source(&spec).instance,
        channel: Channel::Stdout,
        logs: sinks.marks(),
    };
    in_flight.mark_reading(&entry, 4, false);
    in_flight.bytes()[..4].copy_from_slice(b"two\n");
    in_flight.mark_read(4);
    sinks.close(&mut lines);
    // The daemon is killed when the first file has all, the second a part, and the third nothing.
    for (path, text) in files.iter().zip(["two\n", "tw", ""]) {
        let mut file = std::fs::OpenOptions::new()
            .append(true)
            .open(path)
            .expect("there");
        std::io::Write::write_all(&mut file, text.as_bytes()).expect("written");
    }
    let mut buffer = SharedBuffer::open(same).expect("the same");
    let chunk = UnflushedChunk::find(&mut buffer)
        .expect("valid")
        .expect("in flight");
    // A daemon that hands its state over writes it as text.
    let chunk = serde_json::to_string(&chunk).expect("written");
    let chunk: UnflushedChunk = serde_json::from_str(&chunk).expect("read");
    let marks = chunk.marks();
    let recovered = chunk.recover(Some(0), Some(&files[0]));
    let mut sinks = opened(&spec);
    sinks.write_missing(&recovered.data, &marks, &mut lines);
    for path in &files {
        let text = std::fs::read_to_string(path).expect("there");
        assert_eq!(text, "one\ntwo\n", "{}", path.display());
    }
    assert_eq!(lines, []);
}

#[test]
fn l07_a_dead_file_system_is_waited_for_once() {
    let dir = TempDir::new("list-dead");
    let files = [dir.path("dead"), dir.path("b")];
    let spec = spec(&dir, &files);
    let mut sinks = opened(&spec);
    sinks.write(b"one\n", &mut Vec::new());
    let held = Held::new(files[0].clone());
    let mut writes = 0;
    // The first write waits, and a mark is not given for a file that is behind.
    eventually("it is given up", || {
        sinks.write(b"two\n", &mut Vec::new());
        writes += 1;
        sinks.marks().iter().flatten().count() == 0 && !sinks.file_waits()
    });
    let mut state = StreamState::default();
    sinks.hand_over(&mut state, &mut Connections::new(), &mut Vec::new());
    let left = state.take_target(&files[0].display());
    assert_eq!(left, b"two\n".repeat(writes), "the next daemon writes them");
    drop(held);
}
