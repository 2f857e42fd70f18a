//! Streams into a fake journald: lines, priorities, limits, failures.

use std::time::Duration;

use super::*;
use crate::config::testing::program;
use crate::domain::{Channel, InstanceId};
use crate::output::journal::tests::{Entry, FakeJournald};
use crate::output::testing::{TempDir, eventually};

struct Bench {
    dir: TempDir,
    journald: Option<FakeJournald>,
    connections: Connections,
    lines: Vec<Line>,
}

impl Bench {
    fn new(what: &str) -> Self {
        let dir = TempDir::new(what);
        let path = dir.path("socket");
        Self {
            journald: Some(FakeJournald::new(&path)),
            connections: Connections {
                journal: Journal::at(&path),
                ..Connections::new()
            },
            dir,
            lines: Vec::new(),
        }
    }

    fn read(&self) -> Vec<Entry> {
        self.journald.as_ref().expect("there").all()
    }

    fn write(&mut self, log: &mut JournalSink, data: &[u8]) {
        log.send(data, &mut self.connections, &mut self.lines);
    }
}

fn sink(limit: Option<(u32, Duration)>) -> JournalSink {
    let instance = InstanceId {
        slot: 1,
        incarnation: 9,
    };
    let limit = limit.map(|(lines, interval)| RateLimit { lines, interval });
    let spec = program("pets", "dog");
    let source = SinkSource {
        instance,
        spec: &spec,
        channel: Channel::Stderr,
    };
    JournalSink::new(&source, JournalSpec { limit })
}

fn text(entry: &Entry, name: &str) -> String {
    String::from_utf8_lossy(entry.get(name).map_or(&[], Vec::as_slice)).into_owned()
}

#[test]
fn lines_become_entries() {
    let long = vec![b'y'; 2 * LINE_BYTES_MAX + 3];
    let long_line = [long.as_slice(), b"\n"].concat();
    let exact = [&long[..LINE_BYTES_MAX], b"\nx\n"].concat();
    let parts = "yyy".to_owned();
    // (chunks that are written; then message, priority and break of each entry)
    type Expected<'a> = (&'a [u8], &'a str, &'a str);
    let cases: &[(&[&[u8]], &[Expected<'_>])] = &[
        (&[b"one\ntwo\n"], &[(b"one", "6", ""), (b"two", "6", "")]),
        (
            &[b"o", b"n", b"e\nt", b"wo\n"],
            &[(b"one", "6", ""), (b"two", "6", "")],
        ),
        (
            &[b"<3>bad\n<7>\n<8>x\n<3\n"],
            &[
                (b"bad", "3", ""),
                (b"", "7", ""),
                (b"<8>x", "6", ""),
                (b"<3", "6", ""),
            ],
        ),
        (&[b"<", b"4>late\n"], &[(b"late", "4", "")]),
        (&[b"\n\r\n"], &[(b"", "6", ""), (b"\r", "6", "")]),
        (&[b"\0\xff\xfe=\n"], &[(b"\0\xff\xfe=", "6", "")]),
        (&[b"<5>no end"], &[(b"no end", "5", "eof")]),
        (
            &[b"<2>", &long_line],
            &[
                (&long[..LINE_BYTES_MAX - 3], "2", "line-max"),
                (&long[..LINE_BYTES_MAX], "2", "line-max"),
                (&long[..6], "2", ""),
            ],
        ),
        (
            &[&exact],
            &[(&long[..LINE_BYTES_MAX], "6", ""), (b"x", "6", "")],
        ),
        (
            &[&long, b"\n<1>"],
            &[
                (&long[..LINE_BYTES_MAX], "6", "line-max"),
                (&long[..LINE_BYTES_MAX], "6", "line-max"),
                (parts.as_bytes(), "6", ""),
                (b"", "1", "eof"),
            ],
        ),
    ];
    for (number, (chunks, expected)) in cases.iter().enumerate() {
        let mut bench = Bench::new("entries");
        let mut log = sink(None);
        log.set_pid(42);
        let mut come = Vec::new();
        for chunk in *chunks {
            bench.write(&mut log, chunk);
            come.extend(bench.read());
        }
        log.finish(&mut bench.connections, &mut bench.lines);
        assert!(!log.is_waiting() && log.held.is_empty(), "{number}");
        come.extend(bench.read());
        assert_eq!(come.len(), expected.len(), "{number}");
        for (entry, (message, priority, broken)) in come.iter().zip(*expected) {
            assert!(entry["MESSAGE"] == *message, "{number}");
            assert_eq!(text(entry, "PRIORITY"), *priority, "{number}");
            assert_eq!(text(entry, "SUPERVISOR_LINE_BREAK"), *broken, "{number}");
            for (name, value) in [
                ("SYSLOG_IDENTIFIER", "dog"),
                ("SUPERVISOR_GROUP", "pets"),
                ("SUPERVISOR_PROCESS", "dog"),
                ("SUPERVISOR_STREAM", "stderr"),
                ("SUPERVISOR_INCARNATION", "9"),
                ("OBJECT_PID", "42"),
            ] {
                assert_eq!(text(entry, name), value, "{number}");
            }
        }
        assert_eq!(bench.lines, []);
    }
}

#[test]
fn a_line_that_grows_byte_by_byte_is_scanned_once() {
    let mut bench = Bench::new("entries-slow");
    let mut log = sink(None);
    for _ in 0..10_000 {
        bench.write(&mut log, b"x");
    }
    assert_eq!(log.scanned, 10_000, "none of it again");
    bench.write(&mut log, b"\n");
    assert_eq!(bench.read()[0]["MESSAGE"].len(), 10_000);
    assert!(log.held.capacity() <= ROOM_KEPT);
}

#[test]
fn unsent_entries_wait_in_order() {
    let mut bench = Bench::new("entries-stalled");
    let mut log = sink(None);
    let mut written = 0;
    while !log.is_waiting() {
        bench.write(&mut log, format!("{written}\n").as_bytes());
        written += 1;
    }
    bench.write(&mut log, b"half");
    log.finish(&mut bench.connections, &mut bench.lines);
    let mut come: Vec<String> = Vec::new();
    while log.is_waiting() {
        come.extend(bench.read().iter().map(|entry| text(entry, "MESSAGE")));
        log.send_waiting(&mut bench.connections, &mut bench.lines);
    }
    come.extend(bench.read().iter().map(|entry| text(entry, "MESSAGE")));
    let mut expected: Vec<String> = (0..written).map(|number| number.to_string()).collect();
    expected.push("half".to_owned());
    assert_eq!(come, expected);
    log.disconnect(&mut bench.connections, &mut bench.lines);
    assert_eq!(bench.lines, [], "nothing was lost");
}

#[test]
fn a_restart_of_journald_loses_nothing_and_its_final_exit_is_counted() {
    let mut bench = Bench::new("entries-restart");
    let mut log = sink(None);
    bench.write(&mut log, b"one\n");
    assert_eq!(bench.read().len(), 1);
    bench.journald = None;
    bench.write(&mut log, b"two\nthree\n");
    assert!(log.is_waiting());
    bench.journald = Some(FakeJournald::new(&bench.dir.path("socket")));
    eventually("it is back", || {
        log.send_waiting(&mut bench.connections, &mut bench.lines);
        !log.is_waiting()
    });
    let come: Vec<_> = bench
        .read()
        .iter()
        .map(|entry| text(entry, "MESSAGE"))
        .collect();
    assert_eq!(come, ["two", "three"]);
    bench.journald = None;
    bench.write(&mut log, b"four\n");
    eventually("it is given up", || {
        log.send_waiting(&mut bench.connections, &mut bench.lines);
        !log.is_waiting()
    });
    bench.write(&mut log, b"5\n");
    assert_eq!(bench.lines, []);
    bench.journald = Some(FakeJournald::new(&bench.dir.path("socket")));
    eventually("it is back", || {
        bench.write(&mut log, b"6\n");
        !bench.lines.is_empty()
    });
    let Line::SinkRecovered { lost, path, .. } = &bench.lines[0] else {
        panic!("{:?}", bench.lines);
    };
    assert_eq!(path, "the journal");
    assert!(*lost >= 7, "{lost}");
}

#[test]
fn entries_that_still_wait_at_the_exit_are_counted() {
    let mut bench = Bench::new("entries-end");
    let mut log = sink(None);
    while !log.is_waiting() {
        bench.write(&mut log, b"x\n");
    }
    bench.write(&mut log, b"12345");
    log.disconnect(&mut bench.connections, &mut bench.lines);
    assert!(
        matches!(&bench.lines[..], [Line::SinkLost { lost: 7, .. }]),
        "{:?}",
        bench.lines
    );
}

#[test]
fn lines_beyond_the_limit_are_dropped_and_counted() {
    let mut bench = Bench::new("entries-limit");
    let mut log = sink(Some((3, Duration::from_secs(3600))));
    for number in 0..10 {
        bench.write(&mut log, format!("<2>{number}\n").as_bytes());
    }
    log.finish(&mut bench.connections, &mut bench.lines);
    let come = bench.read();
    let texts: Vec<_> = come.iter().map(|entry| text(entry, "MESSAGE")).collect();
    assert_eq!(
        texts,
        ["0", "1", "2", "7 lines suppressed (rate limit 3/3600s)"]
    );
    assert_eq!(text(&come[3], "PRIORITY"), "4");
    assert_eq!(text(&come[3], "SUPERVISOR_PROCESS"), "dog");
    log.disconnect(&mut bench.connections, &mut bench.lines);
    assert_eq!(bench.read().len(), 0, "said once");
    assert_eq!(bench.lines, [], "left out is not lost");
}

#[test]
fn a_new_interval_admits_lines_and_reports_the_last() {
    let mut bench = Bench::new("entries-interval");
    let mut log = sink(Some((1, Duration::from_millis(20))));
    let mut texts = Vec::new();
    let mut number = 0;
    let report = |text: &String| text.contains("suppressed");
    // On a loaded machine an interval may end before its second line.
    eventually("a report between two lines", || {
        for _ in 0..3 {
            bench.write(&mut log, format!("{number}\n").as_bytes());
            number += 1;
        }
        texts.extend(bench.read().iter().map(|entry| text(entry, "MESSAGE")));
        let reported = texts.iter().position(report);
        reported.is_some_and(|at| at + 1 < texts.len())
    });
    let at = texts.iter().position(report).expect("found");
    let line = |at: usize| texts[at].parse::<u32>().expect("a number");
    assert_eq!(texts[0], "0");
    let suppressed = line(at + 1) - line(at - 1) - 1;
    assert_eq!(
        texts[at],
        format!("{suppressed} lines suppressed (rate limit 1/20ms)")
    );
}
