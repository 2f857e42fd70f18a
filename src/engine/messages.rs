//! Turns the messages of other threads into inputs of the core.

use super::actor::{Engine, Workers};
use super::inbox::{EngineMessage, RequestMessage};
use crate::core::Input;
use crate::domain::Line;
use crate::effects::{LoaderOutcome, OutputOutcome, SpawnerOutcome};
use crate::output::{OutputCommand, OutputReport};
use crate::spawn::SpawnAnswer;
use crate::sys;

/// Maximum number of messages per turn, and of requests, before the engine checks pidfds and signals again.
const MESSAGES_PER_TURN: usize = 256;

impl Engine {
    /// Handles messages of other threads, a limited number per turn.
    pub(super) fn read_inbox(&mut self, workers: &Workers) {
        self.inbox.reset();
        let count = self.inbox.events_dropped();
        if count > 0 {
            self.log(Line::EventsDropped { count }, workers);
        }
        for _ in 0..MESSAGES_PER_TURN {
            let was_asked = self.handle_one_request(workers);
            let Some(message) = self.inbox.next_message() else {
                if was_asked {
                    continue;
                }
                return;
            };
            match message {
                EngineMessage::Output(report) => self.handle_report(report, workers),
                EngineMessage::Spawner(answer) => self.handle_spawn_answer(answer, workers),
                EngineMessage::Loader(outcome) => self.handle_loader_outcome(outcome, workers),
                EngineMessage::Input(input) => self.feed(input, workers),
                EngineMessage::HolderRestarted(result) => self.holder_restarted(result, workers),
                EngineMessage::Examined(ticket, result) => self.examined(ticket, result, workers),
            }
        }
        self.inbox.wake_again();
    }

    /// Handles one waiting request. Returns whether there was one.
    pub(super) fn handle_one_request(&mut self, workers: &Workers) -> bool {
        let request = self.inbox.next_request();
        let was_asked = request.is_some();
        if let Some(request) = request {
            self.handle_request(request, workers);
        }
        was_asked
    }

    /// Passes a request to the core with a new ticket.
    fn handle_request(&mut self, message: RequestMessage, workers: &Workers) {
        if self.upgrade.is_draining() {
            return message.refuse();
        }
        let RequestMessage {
            caller,
            grant,
            request,
            taken,
            answer,
        } = message;
        taken();
        let ticket = self.clients.insert(answer);
        self.feed(
            Input::Asked {
                ticket,
                caller,
                grant,
                request,
            },
            workers,
        );
    }

    /// Handles a report of the output threads.
    fn handle_report(&mut self, report: OutputReport, workers: &Workers) {
        let outcome = match report {
            OutputReport::Prepared(instance, ends) => {
                self.attempts.prepared(instance, ends);
                OutputOutcome::Prepared(instance)
            }
            OutputReport::Outcome(outcome) => {
                if let OutputOutcome::PrepareFailed(instance, _) = &outcome {
                    self.attempts.drop_parts(*instance);
                    self.close_channel(*instance, workers);
                }
                outcome
            }
        };
        self.feed(Input::Output(outcome), workers);
    }

    /// Handles an answer of the spawner threads.
    fn handle_spawn_answer(&mut self, answer: SpawnAnswer, workers: &Workers) {
        let outcome = match answer {
            SpawnAnswer::Resolved(instance, mut plan) => {
                if let Some(channel) = plan.take_channel() {
                    self.children.channels().insert(instance, channel);
                    self.store_channel(instance, workers);
                }
                self.attempts.resolved(instance, plan);
                SpawnerOutcome::Resolved(instance)
            }
            SpawnAnswer::Spawned(instance, pid, pidfd, process_cgroup) => {
                self.attempts.answered(instance);
                if let Some(process_cgroup) = process_cgroup {
                    self.cgroups.insert(instance, process_cgroup);
                }
                self.watch(instance, pid, pidfd, workers);
                SpawnerOutcome::Spawned { instance, pid }
            }
            SpawnAnswer::Outcome(outcome) => {
                if let SpawnerOutcome::Failed { instance, .. } = &outcome {
                    self.attempts.answered(*instance);
                    self.close_channel(*instance, workers);
                }
                outcome
            }
            SpawnAnswer::HandedOver(sockets) => return self.upgrade.spawner_ended(sockets),
        };
        self.feed(Input::Spawner(outcome), workers);
    }

    /// Handles an outcome of the loader.
    fn handle_loader_outcome(&mut self, outcome: LoaderOutcome, workers: &Workers) {
        self.loader.ended(&self.sender, &workers.output);
        let is_composed = matches!(outcome, LoaderOutcome::Composed { .. });
        if let LoaderOutcome::Loaded {
            result: Ok(config), ..
        } = &outcome
        {
            let strip_ansi = OutputCommand::StripAnsi(config.daemon.strip_ansi);
            workers.output.send(strip_ansi);
        }
        let is_planned = matches!(outcome, LoaderOutcome::Planned { .. });
        self.feed(Input::Loader(outcome), workers);
        if is_planned {
            // The core may have accepted the configuration, or kept the previous one.
            let strip_ansi = self.fleet.config().daemon.strip_ansi;
            workers.output.send(OutputCommand::StripAnsi(strip_ansi));
        }
        if !is_composed {
            sys::trim_heap();
        }
    }
}
