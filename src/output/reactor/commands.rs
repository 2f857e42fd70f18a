//! Performs the commands of the engine.

use std::time::Instant;

use super::ending::STOP_WAIT;
use super::{Reactor, ReactorEnd, ReactorTask};
use crate::domain::{Channel, Envelope, Errno, InstanceId, LogPaths};
use crate::effects::{OutputEffect, OutputOutcome};
use crate::output::activity_queue::Order;
use crate::output::instance_io::{CHANNELS, InstanceIo, close_stdin, index, settle_stdin};
use crate::output::job::StreamAct;
use crate::output::{OutputCommand, OutputReport};
use crate::sys::safe_open::errno;

impl Reactor {
    pub(in crate::output) fn on_command(&mut self, command: OutputCommand) {
        match command {
            OutputCommand::Effect(OutputEffect::Prepare(instance, spec, paths)) => {
                self.prepare(instance, spec, paths, false)
            }
            OutputCommand::Effect(OutputEffect::PrepareNext(instance, spec, paths)) => {
                self.prepare(instance, spec, paths, true)
            }
            OutputCommand::Effect(OutputEffect::Read(instance, pid)) => self.read(instance, pid),
            OutputCommand::Effect(OutputEffect::Drain(instance)) => {
                match self.places.get(&instance) {
                    Some(&place) => self.drain(place),
                    None => {
                        self.call_off(instance);
                        (self.shared.report)(OutputReport::Outcome(OutputOutcome::Drained(
                            instance,
                        )));
                    }
                }
            }
            OutputCommand::Effect(OutputEffect::CreateLogs(paths)) => {
                if !paths.is_empty() {
                    self.todo.push_back(ReactorTask::CreateLogs(paths));
                }
            }
            OutputCommand::Effect(OutputEffect::ClearLogs { ticket, slot, logs }) => {
                self.clear_logs(ticket, slot, logs)
            }
            OutputCommand::Effect(OutputEffect::ClearDaemonLog(ticket)) => {
                self.shared.activity.order(Order::Clear(ticket))
            }
            OutputCommand::Effect(OutputEffect::ReopenLogs) => {
                self.shared.activity.order(Order::Reopen);
                for place in self.places.values().copied().collect::<Vec<_>>() {
                    self.reopen(place);
                }
            }
            OutputCommand::Effect(OutputEffect::WriteStdin {
                ticket,
                instance,
                data,
            }) => {
                let result = self.write_stdin(instance, data);
                (self.shared.report)(OutputReport::Outcome(OutputOutcome::Answered {
                    ticket,
                    result,
                }));
            }
            OutputCommand::Effect(OutputEffect::Deliver(instance, envelope)) => {
                self.deliver(instance, envelope)
            }
            OutputCommand::Effect(OutputEffect::Report(events)) => self.shared.events = events,
            OutputCommand::Log(wall, line) => self.shared.activity.log(wall, line),
            OutputCommand::StripAnsi(on) => self.shared.strip_ansi = on,
            OutputCommand::Adopt(adoption) => self.adopt(*adoption),
            OutputCommand::Stop => self.stop(),
            OutputCommand::HandOver => {
                let by = Instant::now() + STOP_WAIT;
                self.ending = Some(ReactorEnd::HandOver { by });
            }
        }
    }

    /// Returns the instance if it is not busy. Otherwise queues `command` until it is not.
    fn free_run(
        &mut self,
        place: u32,
        command: impl FnOnce() -> OutputCommand,
    ) -> Option<&mut InstanceIo> {
        let run = self.runs[place as usize].as_mut()?;
        if run.busy {
            run.queue.push_back(command());
            return None;
        }
        Some(run)
    }

    fn read(&mut self, instance: InstanceId, pid: i32) {
        let Some(&place) = self.places.get(&instance) else {
            return;
        };
        let Some(run) = self.free_run(place, || {
            OutputCommand::Effect(OutputEffect::Read(instance, pid))
        }) else {
            return;
        };
        run.reading = true;
        for stream in run.streams.iter_mut().flatten() {
            stream.sinks.set_pid(pid);
        }
        for channel in CHANNELS {
            self.update_poll(place, channel);
        }
    }

    /// Removes the logs of a slot.
    // Differs: Supervisor does nothing if the process does not run, and reports success.
    fn clear_logs(&mut self, ticket: crate::api::Ticket, slot: u32, logs: LogPaths) {
        // A previous instance may still have bytes to write, but this file is about to lose its name anyway.
        let Some(place) = self.places_of(slot).pop() else {
            return self.todo.push_back(ReactorTask::RemoveLogs(ticket, logs));
        };
        let command = || OutputCommand::Effect(OutputEffect::ClearLogs { ticket, slot, logs });
        if self.free_run(place, command).is_some() {
            self.start(place, StreamAct::Clear(ticket));
        }
    }

    fn places_of(&self, slot: u32) -> Vec<u32> {
        let first = InstanceId {
            slot,
            incarnation: 0,
        };
        let last = InstanceId {
            slot,
            incarnation: u64::MAX,
        };
        self.places
            .range(first..=last)
            .map(|(_, &place)| place)
            .collect()
    }

    pub(in crate::output) fn reopen(&mut self, place: u32) {
        // Keep at most one queued reopen for a busy instance.
        if let Some(run) = &mut self.runs[place as usize] {
            run.queue.retain(|command| {
                !matches!(command, OutputCommand::Effect(OutputEffect::ReopenLogs))
            });
        }
        if self
            .free_run(place, || OutputCommand::Effect(OutputEffect::ReopenLogs))
            .is_some()
        {
            self.start(place, StreamAct::Reopen);
        }
    }

    fn write_stdin(&mut self, instance: InstanceId, data: Vec<u8>) -> Result<(), Errno> {
        let gone = errno(nix::errno::Errno::EPIPE);
        let &place = self.places.get(&instance).ok_or(gone)?;
        let run = self.runs[place as usize].as_mut().ok_or(gone)?;
        let result = run.stdin.queue(data);
        if result == Err(gone) {
            close_stdin(&self.poller, run);
        }
        settle_stdin(&self.poller, place, run);
        result
    }

    /// Writes an event to a listener. Fails with EPIPE if the listener has broken the protocol meanwhile.
    fn deliver(&mut self, instance: InstanceId, envelope: Envelope) {
        let gone = errno(nix::errno::Errno::EPIPE);
        let mut result = Err(gone);
        if let Some(&place) = self.places.get(&instance) {
            let text = envelope.text().into_bytes();
            let Some(run) = self.free_run(place, || {
                OutputCommand::Effect(OutputEffect::Deliver(instance, envelope))
            }) else {
                return;
            };
            let stdout = run.streams[index(Channel::Stdout)].as_ref();
            let protocol = stdout.and_then(|stream| stream.protocol.as_ref());
            if protocol.is_some_and(|protocol| protocol.is_ready()) {
                result = self.write_stdin(instance, text);
                if result.is_ok()
                    && let Some(run) = &mut self.runs[place as usize]
                    && let Some(stream) = &mut run.streams[index(Channel::Stdout)]
                    && let Some(protocol) = &mut stream.protocol
                {
                    protocol.event_written();
                }
            }
        }
        if let Err(error) = result {
            (self.shared.report)(OutputReport::Outcome(OutputOutcome::NotDelivered(
                instance, error,
            )));
        }
    }
}
