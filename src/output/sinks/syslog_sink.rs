//! Syslog as a target of one stream. All streams share one connection with one queue.

use super::log_sink::{Connections, LogSink, Pressure, SinkSource};
use super::sink_health::{SinkHealth, TargetName};
use crate::domain::Line;
use crate::sys;

/// The stream's part of syslog.
#[derive(Debug)]
struct SyslogSink {
    health: SinkHealth,
    /// What each line begins with.
    prefix: String,
}

/// Opens syslog for a stream, if it is configured. The standard output of an event listener never goes there.
pub(super) fn open(source: &SinkSource<'_>) -> Option<Box<dyn LogSink>> {
    if !source.log().named.syslog || source.is_listener_output() {
        return None;
    }
    let name = source.spec.name.clone();
    Some(Box::new(SyslogSink {
        prefix: format!("{name} "),
        health: SinkHealth::new(name, source.channel, TargetName::Words("syslog")),
    }))
}

impl LogSink for SyslogSink {
    fn health(&self) -> &SinkHealth {
        &self.health
    }

    /// The queue of the connection drops lines beyond its limit, and the connection's own log lines count them.
    fn pressure(&self) -> Pressure {
        Pressure::Drops
    }

    fn send(&mut self, data: &[u8], to: &mut Connections, _lines: &mut Vec<Line>) {
        let dropped = to.syslog.send(sys::now().wall, &self.prefix, data);
        self.health
            .count_written(data.len().saturating_sub(dropped));
        self.health.count_dropped(dropped);
    }
}
