//! The memory of the daemon as a target of one stream.

use std::path::Path;
use std::sync::Arc;

use super::log_sink::{Connections, LogSink, Pressure, SinkSource};
use super::sink_health::{SinkHealth, TargetName};
use crate::config::spec::LogTarget;
use crate::domain::{Errno, Line, memory_log as memory_log_name};
use crate::output::memory_log::{self, MemoryLog};
use crate::output::output_state::{StreamState, TargetState};

/// The log in memory of one stream.
#[derive(Debug)]
struct MemorySink {
    health: SinkHealth,
    name: Arc<Path>,
    /// `None`: there were no descriptors. Each chunk tries again.
    log: Option<Arc<MemoryLog>>,
}

/// Opens the log in memory of a stream, if it is configured.
pub(super) fn open(source: &SinkSource<'_>) -> Option<Box<dyn LogSink>> {
    if source.log().target != LogTarget::Memory {
        return None;
    }
    let (spec, channel) = (source.spec, source.channel);
    let mut health = SinkHealth::new(spec.name.clone(), channel, TargetName::Words("memory"));
    health.register(&spec.group);
    let name = memory_log_name(&spec.group, &spec.name, channel);
    Some(Box::new(MemorySink {
        health,
        log: memory_log::find_or_create(&name).ok(),
        name,
    }))
}

impl LogSink for MemorySink {
    fn health(&self) -> &SinkHealth {
        &self.health
    }

    fn pressure(&self) -> Pressure {
        Pressure::Drops
    }

    fn write(&mut self, data: &[u8], lines: &mut Vec<Line>) {
        let written = match &self.log {
            Some(log) => log.append(data),
            None => memory_log::find_or_create(&self.name).and_then(|log| {
                self.log = Some(log.clone());
                log.append(data)
            }),
        };
        match written {
            Ok(()) => {
                self.health.count_written(data.len());
                self.health.recover_from_loss(lines);
            }
            Err(error) => self.health.fail(data.len(), Errno::from(&error), lines),
        }
    }

    fn clear(&mut self, _lines: &mut Vec<Line>) -> Result<(), Errno> {
        match &self.log {
            Some(log) => log.clear().map_err(|error| Errno::from(&error)),
            None => Ok(()),
        }
    }

    fn hand_over(
        &mut self,
        state: &mut StreamState,
        _to: &mut Connections,
        _lines: &mut Vec<Line>,
    ) {
        let last = self.log.as_ref().map_or_else(Vec::new, |log| log.last());
        state
            .targets
            .extend(TargetState::of(&self.name.display(), last));
    }

    fn resume(&mut self, state: &mut StreamState, lines: &mut Vec<Line>) {
        let last = state.take_target(&self.name.display());
        if !last.is_empty() {
            self.write(&last, lines);
        }
    }
}
