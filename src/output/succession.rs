//! How the output thread leaves its lives to a successor, and takes over those of a predecessor.

use std::time::{Duration, Instant};

use super::handover::{self, Adoption, Estate, Remains};
use super::prepare::{assembled, rules};
use super::protocol::Protocol;
use super::reactor::Reactor;
use super::run::{Run, index, remove_pipes, settle_stdin, unpoll_sink};
use super::sink::Sink;
use super::stdin::Stdin;
use super::stream::Stream;
use crate::domain::{Channel, Heirloom};

/// How long a full socket of a log may hold the hand-over up.
const FLUSH_WAIT: Duration = Duration::from_millis(100);

const CHANNELS: [Channel; 2] = [Channel::Stdout, Channel::Stderr];

impl Reactor {
    /// Puts everything down. Nothing is read from now on, and what is held back goes along.
    pub(super) fn hand_over(&mut self) -> Estate {
        let mut estate = Estate::default();
        for place in self.places.values().copied().collect::<Vec<_>>() {
            let is_begun = |run: &Run| run.reading || run.draining.is_some();
            if !self.runs[place as usize].as_ref().is_some_and(is_begun) {
                // Its process was never made; the successor begins that attempt anew.
                self.discard(place);
                continue;
            }
            let Some(mut run) = self.runs[place as usize].take() else {
                continue;
            };
            self.places.remove(&run.life);
            remove_pipes(&self.poller, &mut run);
            let remains = self.remains(run, &mut estate);
            estate.lives.push(remains);
        }
        let limit = Instant::now() + FLUSH_WAIT;
        while (self.shared.activity.is_waiting() || self.shared.syslog.is_waiting())
            && Instant::now() < limit
        {
            self.shared.activity.flush();
            self.shared.syslog.flush();
            std::thread::sleep(Duration::from_millis(1));
        }
        estate
    }

    fn remains(&mut self, run: Run, estate: &mut Estate) -> Remains {
        let life = run.life;
        let (pipe, queue) = run.stdin.into_parts();
        if let Some(pipe) = pipe {
            estate
                .descriptors
                .insert(Heirloom::Stdin(life).name(), pipe);
        }
        let mut streams = [None, None];
        for (channel, stream) in CHANNELS.into_iter().zip(run.streams) {
            let Some(stream) = stream else { continue };
            let (remains, pipe) = stream.hand_over(&mut self.shared);
            if let Some(pipe) = pipe {
                let name = handover::pipe(life, channel).name();
                estate.descriptors.insert(name, pipe);
            }
            streams[index(channel)] = Some(remains);
        }
        Remains {
            life,
            is_ending: run.draining.is_some(),
            stdin: queue,
            streams,
        }
    }

    /// Takes a life over. A log that cannot be opened is no reason to leave it: it is tried again with each chunk.
    pub(super) fn adopt(&mut self, adoption: Adoption) {
        let Adoption {
            life,
            spec,
            logs,
            pid,
            remains,
            unsettled,
            listener,
            stdin,
            pipes,
        } = adoption;
        let (is_ending, queue, left) = match remains {
            Some(remains) => (remains.is_ending, remains.stdin, remains.streams),
            None => (false, Vec::new(), [None, None]),
        };
        let mut streams: [Option<Stream>; 2] = [None, None];
        for ((channel, pipe), left) in CHANNELS.into_iter().zip(pipes).zip(left) {
            if channel == Channel::Stderr && spec.redirect_stderr {
                continue;
            }
            let mut lines = Vec::new();
            let sink = rules(&spec, channel, &logs).map(|rules| {
                let name = spec.name.clone();
                Sink::open(name.clone(), channel, rules.clone(), &mut lines)
                    .unwrap_or_else(|error| Sink::failing(name, channel, rules, error, &mut lines))
            });
            self.shared.log_all(lines);
            let mut stream = assembled(life, &spec, channel, pipe, sink);
            if let Some(entries) = &mut stream.journal {
                entries.of_pid(pid);
            }
            if let (Some(protocol), Some(at)) = (&mut stream.protocol, listener) {
                **protocol = Protocol::standing(at);
            }
            if let Some(left) = left {
                stream.resume(left, &mut self.shared);
            }
            for unsettled in unsettled.iter().filter(|bytes| bytes.channel == channel) {
                stream.settle(unsettled.clone(), &mut self.shared);
            }
            streams[index(channel)] = Some(stream);
        }
        let stdin = stdin.map_or_else(Stdin::closed, |pipe| Stdin::new(pipe).with_queue(queue));
        let place = self.seat(|generation| Run {
            life,
            generation,
            streams,
            reading: true,
            stdin,
            stdin_polled: false,
            draining: None,
        });
        if let Some(run) = &mut self.runs[place as usize] {
            settle_stdin(&self.poller, place, run);
            for stream in run.streams.iter_mut().flatten() {
                unpoll_sink(&self.poller, stream);
                stream.flush_journal(&mut self.shared);
            }
        }
        self.keep(place);
        if is_ending {
            return self.drain(place);
        }
        for channel in CHANNELS {
            self.settle(place, channel);
        }
    }
}
