//! Several sinks of one stream: slow and dead targets beside working ones.

use super::*;
use crate::config::testing::program;
use crate::domain::{Bytes, Channel, ProcessName};
use crate::output::testing::TempDir;
use sink_health::{SinkHealth, TargetName};

/// A target that takes no more than `room` bytes. What exceeds that waits or is dropped.
#[derive(Debug)]
struct Slow {
    health: SinkHealth,
    pressure: Pressure,
    room: usize,
    waiting: Vec<u8>,
}

impl LogSink for Slow {
    fn health(&self) -> &SinkHealth {
        &self.health
    }

    fn pressure(&self) -> Pressure {
        self.pressure
    }

    fn is_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    fn send(&mut self, data: &[u8], _to: &mut Connections, _lines: &mut Vec<Line>) {
        let taken = data.len().min(self.room);
        self.room -= taken;
        self.health.count_written(taken);
        match self.pressure {
            Pressure::Holds => self.waiting.extend_from_slice(&data[taken..]),
            Pressure::Drops => self.health.count_dropped(data.len() - taken),
        }
    }
}

fn health() -> SinkHealth {
    let name = ProcessName::parse("cat").expect("valid");
    SinkHealth::new(name, Channel::Stdout, TargetName::Words("the example"))
}

fn slow(pressure: Pressure, room: usize) -> Box<dyn LogSink> {
    Box::new(Slow {
        health: health(),
        pressure,
        room,
        waiting: Vec::new(),
    })
}

/// Sends five bytes twice to a log file and to these other targets. Returns the sinks, and what the file has.
fn written(others: Vec<Box<dyn LogSink>>) -> (Sinks, String) {
    let dir = TempDir::new("sinks");
    let path = dir.path("log");
    let spec = program("cat", "cat");
    let source = SinkSource::of_stdout(&spec);
    let rules = LogRules {
        path: path.as_path().into(),
        maxbytes: Bytes(0),
        backups: 0,
        private: false,
        options: None,
    };
    let mut lines = Vec::new();
    let mut sinks = Sinks::open(&source, Some(rules), &mut lines).expect("opened");
    assert!(!sinks.are_sent(), "only the file is configured");
    sinks.others = others;
    let mut connections = Connections::new();
    for chunk in [b"1234\n", b"5678\n"] {
        sinks.write(chunk, &mut lines);
        sinks.each_sent(|sink| sink.send(chunk, &mut connections, &mut lines));
    }
    assert_eq!(lines, []);
    (sinks, std::fs::read_to_string(path).expect("there"))
}

fn counters(sinks: &Sinks) -> Vec<String> {
    let each = sinks.each().map(|sink| sink.health().to_string());
    each.map(|text| text[text.find("works").expect("works")..].to_owned())
        .collect()
}

#[test]
fn a_dead_target_that_drops_is_noticed_by_nobody() {
    let (sinks, text) = written(vec![slow(Pressure::Drops, 3), slow(Pressure::Drops, 99)]);
    assert_eq!(text, "1234\n5678\n");
    assert!(!sinks.file_waits() && !sinks.connection_waits());
    assert_eq!(
        counters(&sinks),
        [
            "works: 10 bytes written, 0 lost, 0 failures",
            "works: 3 bytes written, 7 lost, 0 failures",
            "works: 10 bytes written, 0 lost, 0 failures",
        ]
    );
}

#[test]
fn a_slow_target_that_holds_stops_the_reads_but_no_other_target() {
    let (sinks, text) = written(vec![slow(Pressure::Holds, 3), slow(Pressure::Drops, 99)]);
    assert_eq!(text, "1234\n5678\n");
    assert!(!sinks.file_waits() && sinks.connection_waits());
    assert_eq!(
        counters(&sinks)[1..],
        [
            "works: 3 bytes written, 0 lost, 0 failures",
            "works: 10 bytes written, 0 lost, 0 failures",
        ]
    );
}

#[test]
fn failures_in_a_row_are_logged_once_and_losses_completely() {
    let mut health = health();
    let mut lines = Vec::new();
    health.fail(3, Errno::NOENT, &mut lines);
    health.fail(4, Errno::NOENT, &mut lines);
    assert!(matches!(&lines[..], [Line::SinkFailed { .. }]), "{lines:?}");
    assert_eq!(
        health.to_string(),
        "cat: stdout to the example fails: 0 bytes written, 7 lost, 1 failures"
    );
    lines.clear();
    health.recover_from_loss(&mut lines);
    assert!(
        matches!(&lines[..], [Line::SinkRecovered { lost: 7, .. }]),
        "{lines:?}"
    );
    lines.clear();
    health.recover_from_loss(&mut lines);
    health.close(0, &mut lines);
    assert_eq!(lines, [], "all is told");
    health.lose(2);
    health.close(5, &mut lines);
    assert!(
        matches!(&lines[..], [Line::SinkLost { lost: 7, .. }]),
        "{lines:?}"
    );
    assert!(
        health.to_string().ends_with("14 lost, 2 failures"),
        "{health}"
    );
}
