//! Feeds the same random chunks to the reference's classes and to ours.
//!
//! Skipped unless the environment variable `SUPERVISOR_ORACLE` names a virtual environment with Supervisor 4.3.0.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use super::activity_queue::ActivityQueue;
use super::log_file::{LogFile, LogRules};
use super::message::OutputReport;
use super::sinks::{Connections, SinkSource, Sinks};
use super::stream::{Shared, Stream};
use super::testing::TempDir;
use super::{Activity, tail};
use crate::config::spec::{LogSpec, LogTarget, NamedTargets};
use crate::config::testing::program;
use crate::domain::{Bytes, Channel, InstanceId, Level, OutputEvents};
use crate::effects::OutputOutcome;

/// Reads one case per line and answers with one line each. All values are hexadecimal or numbers.
const ORACLE: &str = r"
import os, sys, shutil
from supervisor import dispatchers, events, loggers, options
from supervisor.datatypes import Automatic

class Quiet:
    def debug(self, *a, **k): pass
    def log(self, *a, **k): pass

class Options:
    loglevel = 20
    logger = Quiet()
    def __init__(self, strip): self.strip_ansi = strip; self.feed = []
    def getLogger(self, *a, **k): return loggers.getLogger(*a, **k)
    def readfd(self, fd): return self.feed.pop(0)

class Thing: pass

def stream(strip, capture, chunks, path):
    process = Thing(); process.pid = 1
    c = process.config = Thing()
    c.name = 'x'; c.options = Options(strip)
    for channel in ('stdout', 'stderr'):
        setattr(c, channel + '_logfile', path)
        setattr(c, channel + '_logfile_maxbytes', 0)
        setattr(c, channel + '_logfile_backups', 0)
        setattr(c, channel + '_capture_maxbytes', capture)
        setattr(c, channel + '_events_enabled', True)
        setattr(c, channel + '_syslog', False)
    seen = []
    events.clear()
    events.subscribe(events.ProcessCommunicationEvent, lambda e: seen.append('C' + e.data.hex()))
    events.subscribe(events.ProcessLogEvent, lambda e: seen.append('L' + e.data.hex()))
    d = dispatchers.POutputDispatcher(process, events.ProcessCommunicationStdoutEvent, 0)
    for chunk in chunks:
        c.options.feed.append(chunk)
        d.handle_read_event()
    with open(path, 'rb') as f: log = f.read()
    os.remove(path)
    return log.hex() + ' ' + ','.join(seen)

def rotate(maxbytes, backups, chunks, path):
    logger = loggers.getLogger()
    loggers.handle_file(logger, filename=path, fmt='%(message)s', rotating=not not maxbytes, maxbytes=maxbytes, backups=backups)
    for chunk in chunks: logger.info(chunk)
    logger.close()
    out = []
    folder = os.path.dirname(path)
    for name in sorted(os.listdir(folder)):
        full = os.path.join(folder, name)
        with open(full, 'rb') as f: out.append(name + '=' + f.read().hex())
        os.remove(full)
    return ','.join(out)

def tailing(data, offset, length, path):
    with open(path, 'wb') as f: f.write(data)
    a = options.tailFile(path, offset, length)
    try: b = options.readFile(path, offset, length); b = b if isinstance(b, str) else b.decode()
    except ValueError as e: b = '!' + e.args[0]
    os.remove(path)
    return '%s|%d|%d|%s' % (a[0], a[1], a[2], b)

folder = sys.argv[1]
path = os.path.join(folder, 'log')
for line in sys.stdin:
    kind, a, b, chunks = line.rstrip('\n').split(' ')
    a = int(a); b = int(b)
    chunks = [bytes.fromhex(c) for c in chunks.split(',') if c]
    if kind == 'stream': print(stream(bool(a), b, chunks, path))
    elif kind == 'rotate': print(rotate(a, b, chunks, path))
    else: print(tailing(chunks[0], a, b, path))
";

struct Case {
    kind: &'static str,
    a: i64,
    b: i64,
    chunks: Vec<Vec<u8>>,
}

fn hex(data: &[u8]) -> String {
    data.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The answers of the reference. `None`: it is not installed.
fn ask(cases: &[Case]) -> Option<Vec<String>> {
    let Some(oracle) = std::env::var_os("SUPERVISOR_ORACLE") else {
        eprintln!("skipped: SUPERVISOR_ORACLE is not set");
        return None;
    };
    let dir = TempDir::new("oracle");
    let mut python = Command::new(PathBuf::from(oracle).join("bin/python"))
        .args(["-W", "ignore", "-c", ORACLE])
        .arg(dir.root())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the oracle has a python");
    let mut stdin = python.stdin.take().expect("piped");
    let text: String = cases
        .iter()
        .map(|case| {
            let chunks: Vec<_> = case.chunks.iter().map(|chunk| hex(chunk)).collect();
            format!("{} {} {} {}\n", case.kind, case.a, case.b, chunks.join(","))
        })
        .collect();
    let writer = std::thread::spawn(move || stdin.write_all(text.as_bytes()));
    let output = python.wait_with_output().expect("it ends");
    writer.join().expect("no panic").expect("it reads");
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).expect("text");
    let answers: Vec<_> = text.lines().map(str::to_owned).collect();
    assert_eq!(answers.len(), cases.len());
    Some(answers)
}

/// A small generator with a fixed sequence (Knuth's MMIX).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

fn ours(case: &Case) -> String {
    let dir = TempDir::new("ours");
    let log = dir.path("log");
    let reported: Arc<Mutex<Vec<String>>> = Arc::default();
    let keep = reported.clone();
    let activity = Activity::open(Path::new("/dev/null"), Bytes(0), 0, Level::Info, false);
    let mut shared = Shared {
        activity: ActivityQueue::new(activity.expect("opened")),
        report: Box::new(move |report| {
            if let OutputReport::Outcome(OutputOutcome::Wrote { data, captured, .. }) = report {
                let kind = if captured { 'C' } else { 'L' };
                let mut keep = keep.lock().expect("unpoisoned");
                keep.push(format!("{kind}{}", hex(&data)));
            }
        }),
        connections: Connections::new(),
        strip_ansi: case.a == 1,
        fd_store: None,
        events: OutputEvents {
            logs: true,
            communications: true,
        },
    };
    let mut spec = program("x", "x");
    spec.stdout = LogSpec {
        target: LogTarget::None,
        maxbytes: Bytes(0),
        backups: 0,
        capture_maxbytes: Bytes(case.b),
        events: true,
        named: NamedTargets::default(),
        options: None,
    };
    let rules = LogRules {
        path: log.as_path().into(),
        maxbytes: Bytes(0),
        backups: 0,
        private: false,
        options: None,
    };
    let source = SinkSource {
        instance: InstanceId {
            slot: 0,
            incarnation: 0,
        },
        spec: &spec,
        channel: Channel::Stdout,
    };
    let sinks = Sinks::open(&source, Some(rules), &mut Vec::new()).expect("opened");
    let mut stream = Stream::new(&source, sinks);
    for chunk in &case.chunks {
        let parts = stream.write(chunk, shared.strip_ansi, &mut Vec::new());
        stream.publish(chunk, parts, &mut shared);
    }
    let text = std::fs::read(&log).expect("there");
    let reported = reported.lock().expect("unpoisoned").join(",");
    format!("{} {reported}", hex(&text))
}

#[test]
fn out_10_out_13_out_14_streams_match_the_reference() {
    let mut random = Random(1);
    let words: [&[u8]; 12] = [
        b"<!--XSUPERVISOR:BEGIN-->",
        b"<!--XSUPERVISOR:END-->",
        b"<!--XSUPERVISOR:",
        b"<!",
        b"text ",
        b"a longer stretch of text, longer than a token\n",
        b"\n",
        b"\x1b[31m",
        b"\x1b[",
        b"K;5",
        b"\x1b",
        b"\xff",
    ];
    let cases: Vec<Case> = (0..3000)
        .map(|_| {
            let mut text = Vec::new();
            for _ in 0..random.below(12) {
                let word = usize::try_from(random.below(12)).expect("small");
                text.extend_from_slice(words[word]);
            }
            let mut chunks = Vec::new();
            while !text.is_empty() {
                let cut = usize::try_from(random.below(60) + 1).expect("small");
                let rest = text.split_off(cut.min(text.len()));
                chunks.push(text);
                text = rest;
            }
            Case {
                kind: "stream",
                a: i64::try_from(random.below(2)).expect("small"),
                b: [0, 1, 20, 1000][usize::try_from(random.below(4)).expect("small")],
                chunks,
            }
        })
        .collect();
    let Some(answers) = ask(&cases) else { return };
    for (case, answer) in cases.iter().zip(answers) {
        assert_eq!(
            ours(case),
            answer,
            "{} {} {:?}",
            case.a,
            case.b,
            case.chunks
        );
    }
}

#[test]
fn out_04_out_05_rotation_matches_the_reference() {
    let mut random = Random(2);
    let cases: Vec<Case> = (0..400)
        .map(|_| Case {
            kind: "rotate",
            // Not negative: Supervisor then opens the file in text mode and loses every byte.
            a: i64::try_from(random.below(50)).expect("small"),
            b: i64::try_from(random.below(5)).expect("small") - 1,
            chunks: (0..random.below(20))
                .map(|_| {
                    let size = usize::try_from(random.below(40) + 1).expect("small");
                    vec![u8::try_from(random.below(26)).expect("small") + b'a'; size]
                })
                .collect(),
        })
        .collect();
    let Some(answers) = ask(&cases) else { return };
    for (case, answer) in cases.iter().zip(answers) {
        let dir = TempDir::new("ours");
        let mut file = LogFile::open(LogRules {
            path: dir.path("log").into(),
            maxbytes: Bytes(case.a),
            backups: case.b,
            private: false,
            options: None,
        })
        .expect("opened");
        for chunk in &case.chunks {
            assert_eq!(file.write(chunk), (chunk.len(), None));
            file.rotate_if_due().expect("rotated or not");
        }
        let mut names: Vec<_> = std::fs::read_dir(dir.root())
            .expect("there")
            .flatten()
            .map(|entry| entry.file_name().into_string().expect("text"))
            .collect();
        names.sort();
        let found: Vec<_> = names
            .iter()
            .map(|name| {
                let data = std::fs::read(dir.path(name)).expect("there");
                format!("{name}={}", hex(&data))
            })
            .collect();
        assert_eq!(found.join(","), answer, "{} {}", case.a, case.b);
    }
}

#[test]
fn rpc_26_rpc_27_reads_match_the_reference() {
    let mut random = Random(3);
    let cases: Vec<Case> = (0..2000)
        .map(|_| {
            let size = usize::try_from(random.below(20) + 1).expect("small");
            Case {
                kind: "tail",
                a: i64::try_from(random.below(60)).expect("small") - 30,
                b: i64::try_from(random.below(60)).expect("small") - 30,
                chunks: vec![(b'a'..).take(size).collect()],
            }
        })
        .collect();
    let Some(answers) = ask(&cases) else { return };
    let dir = TempDir::new("reading");
    let path = dir.path("log");
    for (case, answer) in cases.iter().zip(answers) {
        std::fs::write(&path, &case.chunks[0]).expect("written");
        let (data, size, overflow) = tail::tail(&path, case.a, case.b);
        let read = match tail::read(&path, case.a, case.b) {
            Ok(data) => String::from_utf8(data).expect("text"),
            Err(tail::ReadError::BadArguments) => "!BAD_ARGUMENTS".to_owned(),
            Err(error) => panic!("{error}"),
        };
        let data = String::from_utf8(data).expect("text");
        let found = format!("{data}|{size}|{}|{read}", u8::from(overflow));
        assert_eq!(
            found, answer,
            "({}, {}) of {:?}",
            case.a, case.b, case.chunks
        );
    }
}
