//! Syslog as a target of one stream. All streams share one connection with one queue.

use super::log_sink::{Connections, LogSink, Pressure, SinkSource};
use super::sink_health::{SinkHealth, TargetName};
use crate::domain::Line;
use crate::output::syslog::SyslogHead;
use crate::sys;

/// The stream's part of syslog.
#[derive(Debug)]
struct SyslogSink {
    health: SinkHealth,
    head: SyslogHead,
}

/// Opens syslog for a stream, if it is configured. The standard output of an event listener never goes there.
pub(super) fn open(source: &SinkSource<'_>) -> Option<Box<dyn LogSink>> {
    if !source.log().named.syslog || source.is_listener_output() {
        return None;
    }
    let name = source.spec.name.clone();
    let form = &source.log().syslog_form;
    let mut health = SinkHealth::new(name.clone(), source.channel, TargetName::Words("syslog"));
    health.register(&source.spec.group);
    Some(Box::new(SyslogSink {
        head: SyslogHead::new(form, name.as_str()),
        health,
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
        let dropped = to.syslog.send(sys::now().wall, &self.head, data);
        self.health
            .count_written(data.len().saturating_sub(dropped));
        self.health.count_dropped(dropped);
    }
}
