//! Opens the streams of an instance: a new one, or one that a previous daemon started.

use std::sync::Arc;

use super::instance_io::{CHANNELS, Pipes, Streams, index};
use super::log_dates::live_path;
use super::log_file::LogRules;
use super::output_state::AdoptedStreams;
use super::protocol::ListenerProtocol;
use super::sinks::{SinkSource, Sinks};
use super::stream::{Part, Stream};
use crate::config::spec::{LogTarget, ProcessSpec};
use crate::domain::{Channel, Errno, InstanceId, Line, LogPaths};
use crate::sys::{self, ChildStdio};

/// The settings of a new instance.
#[derive(Debug)]
pub(super) struct Opening {
    pub(super) spec: Arc<ProcessSpec>,
    pub(super) paths: LogPaths,
    /// The child's ends of the pipes.
    pub(super) ends: ChildStdio,
    /// Whether the command was [`OutputEffect::PrepareNext`](crate::effects::OutputEffect::PrepareNext).
    pub(super) is_early: bool,
}

/// Opens the logs of a new instance.
pub(super) fn open(
    instance: InstanceId,
    opening: &Opening,
    lines: &mut Vec<Line>,
) -> Result<Streams, Errno> {
    let Opening { spec, paths, .. } = opening;
    let mut streams = Streams::default();
    for channel in CHANNELS {
        if channel == Channel::Stderr && spec.redirect_stderr {
            continue;
        }
        let rules = rules(spec, channel, paths);
        if let Some(rules) = rules.as_ref().filter(|_| opening.is_early) {
            std::fs::metadata(live_path(&rules.path)).map_err(|error| Errno::from(&error))?;
        }
        let source = SinkSource {
            instance,
            spec,
            channel,
        };
        let sinks = Sinks::open(&source, rules, lines)?;
        streams[index(channel)] = Some(Box::new(Stream::new(&source, sinks)));
    }
    Ok(streams)
}

/// Recovered bytes: the stream, the bytes as read, and their parts.
pub(super) type Published = Vec<(Channel, Vec<u8>, Option<Vec<Part>>)>;

/// Opens the streams of an instance that a previous daemon started. A log that cannot be opened is no error: each chunk
/// tries again.
pub(super) fn adopt(
    adoption: AdoptedStreams,
    pipes: &Pipes,
    strip: bool,
    lines: &mut Vec<Line>,
) -> (Streams, Published) {
    let AdoptedStreams {
        instance,
        spec,
        logs,
        pid,
        instance_state,
        unflushed,
        listener,
        ..
    } = adoption;
    let mut left = instance_state.map_or([None, None], |instance_state| instance_state.streams);
    let mut streams = Streams::default();
    let mut published = Vec::new();
    for channel in CHANNELS {
        if channel == Channel::Stderr && spec.redirect_stderr {
            continue;
        }
        let source = SinkSource {
            instance,
            spec: &spec,
            channel,
        };
        let sinks = Sinks::open_or_fail(&source, rules(&spec, channel, &logs), lines);
        let mut stream = Stream::new(&source, sinks);
        stream.sinks.set_pid(pid);
        if let (Some(protocol), Some(at)) = (&mut stream.protocol, listener) {
            **protocol = ListenerProtocol::standing(at);
        }
        if let Some(left) = left[index(channel)].take() {
            stream.resume(left, lines);
        }
        let pipe = pipes[index(channel)].as_ref();
        for unflushed in unflushed.iter().filter(|bytes| bytes.channel == channel) {
            let unread = pipe.and_then(|pipe| sys::unread(pipe).ok());
            if let Some((data, parts)) =
                stream.write_unflushed(unflushed.clone(), unread, strip, lines)
            {
                published.push((channel, data, parts));
            }
        }
        stream.sinks.rotate_now(lines);
        streams[index(channel)] = Some(Box::new(stream));
    }
    (streams, published)
}

/// The settings of a stream's log file. `None`: the stream has no log file.
fn rules(spec: &ProcessSpec, channel: Channel, paths: &LogPaths) -> Option<LogRules> {
    let (log, path) = match channel {
        Channel::Stdout => (&spec.stdout, &paths.stdout),
        Channel::Stderr => (&spec.stderr, &paths.stderr),
    };
    path.as_ref().map(|path| LogRules {
        path: path.clone(),
        maxbytes: log.maxbytes,
        backups: log.backups,
        private: log.target == LogTarget::Auto,
        options: log.options.clone(),
    })
}
