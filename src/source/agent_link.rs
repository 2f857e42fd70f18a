//! The agent of a run: started when it is needed, started again after a pause, and asked questions.

use std::collections::HashMap;
use std::future::pending;
use std::io;
use std::os::fd::AsFd as _;
use std::path::PathBuf;
use std::sync::mpsc::SyncSender;
use std::time::Duration;

use tokio::io::Interest;
use tokio::net::UnixStream;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until};

use super::handle::no_agent;
use crate::agent::protocol::{AgentAnswer, AgentOrder, AgentReport, ItemFailure};
use crate::agent::{AgentOptions, AgentProcess};

/// The pause before the first restart of the agent. It doubles up to [`RESTART_MAX`].
const RESTART_FIRST: Duration = Duration::from_millis(200);
const RESTART_MAX: Duration = Duration::from_secs(30);
/// An agent that ran this long begins with the first pause again.
const STABLE: Duration = Duration::from_secs(60);

/// Who gets the answer to an order of the agent.
pub(super) enum AnswerTo {
    /// The text is the newest one, or there is none.
    Refresh(SyncSender<Result<(), ItemFailure>>),
    /// Whatever the agent answers.
    Asker(oneshot::Sender<Result<AgentAnswer, ItemFailure>>),
}

/// What happened to the agent.
pub(super) enum LinkEvent {
    /// It reported.
    Report(AgentReport),
    /// It is gone, or cannot be started.
    Lost(String),
    /// The pause after its end is over.
    StartDue,
}

struct RunningAgent {
    process: AgentProcess,
    /// A duplicate of its descriptor, which the runtime waits for.
    readiness: UnixStream,
    since: Instant,
}

/// The agent.
pub(super) struct AgentLink {
    program: PathBuf,
    /// Sent first to each agent. `None`: nothing is watched, so an agent exists only while there are questions.
    is_watching: bool,
    agent: Option<RunningAgent>,
    /// Not before this time another agent is started.
    start_at: Instant,
    pause: Duration,
    answers: HashMap<u64, AnswerTo>,
    next_id: u64,
    /// Why the last agent ended.
    last_error: String,
}

impl AgentLink {
    /// Without an agent. `is_watching`: one is started as soon as possible, and after each end.
    pub(super) fn new(program: PathBuf, is_watching: bool) -> Self {
        Self {
            program,
            is_watching,
            agent: None,
            start_at: Instant::now(),
            pause: RESTART_FIRST,
            answers: HashMap::new(),
            next_id: 1,
            last_error: String::new(),
        }
    }

    /// Waits for an event. Can be cancelled at any time without losing one.
    pub(super) async fn next(&mut self) -> LinkEvent {
        match &mut self.agent {
            Some(agent) => match next_report(agent).await {
                Ok(report) => LinkEvent::Report(report),
                Err(error) => LinkEvent::Lost(self.lose(&error)),
            },
            None if self.is_watching => {
                sleep_until(self.start_at).await;
                LinkEvent::StartDue
            }
            None => pending().await,
        }
    }

    /// Starts an agent with this order. The error is a line for the log.
    pub(super) fn start(&mut self, first: Option<&AgentOrder>) -> Result<(), String> {
        let started =
            AgentProcess::start(&self.program, &AgentOptions::default()).and_then(|mut process| {
                if let Some(order) = first {
                    process.send(order)?;
                }
                let duplicate = process.as_fd().try_clone_to_owned()?;
                let readiness = UnixStream::from_std(duplicate.into())?;
                Ok(RunningAgent {
                    process,
                    readiness,
                    since: Instant::now(),
                })
            });
        match started {
            Ok(agent) => {
                self.agent = Some(agent);
                Ok(())
            }
            Err(error) => Err(self.lose(&error)),
        }
    }

    /// Whether a question needs another agent, and may start it now.
    pub(super) fn may_start(&self) -> bool {
        self.agent.is_none() && Instant::now() >= self.start_at
    }

    /// Sends a question. `order` makes it of its number. The error is a line for the log.
    pub(super) fn ask(
        &mut self,
        order: impl FnOnce(u64) -> AgentOrder,
        to: AnswerTo,
    ) -> Result<(), String> {
        let Some(agent) = &mut self.agent else {
            answer(to, Err(no_agent(&self.last_error)));
            return Ok(());
        };
        let id = self.next_id;
        self.next_id += 1;
        match agent.process.send(&order(id)) {
            Ok(()) => {
                self.answers.insert(id, to);
                Ok(())
            }
            Err(error) => {
                let line = self.lose(&error);
                answer(to, Err(no_agent(&self.last_error)));
                Err(line)
            }
        }
    }

    /// Who asked the question with this number. `None`: nobody.
    pub(super) fn asker_of(&mut self, id: u64) -> Option<AnswerTo> {
        self.answers.remove(&id)
    }

    /// Handles the end of the agent. Returns a line for the log.
    fn lose(&mut self, error: &io::Error) -> String {
        let lasted = self.agent.take().map(|agent| agent.since.elapsed());
        if lasted.is_some_and(|lasted| lasted > STABLE) {
            self.pause = RESTART_FIRST;
        }
        self.start_at = Instant::now() + self.pause;
        self.pause = (self.pause * 2).min(RESTART_MAX);
        self.last_error = format!("{}: {error}", self.program.display());
        for (_, to) in self.answers.drain() {
            answer(to, Err(no_agent(&self.last_error)));
        }
        self.last_error.clone()
    }
}

/// Sends an answer. `Ok(None)`: nothing but success.
pub(super) fn answer(to: AnswerTo, result: Result<Option<AgentAnswer>, ItemFailure>) {
    match to {
        // The asker has given up if this fails.
        AnswerTo::Refresh(reply) => {
            let _ = reply.send(result.map(drop));
        }
        AnswerTo::Asker(asker) => {
            let _ = asker.send(result.and_then(|answer| answer.ok_or_else(|| no_agent(""))));
        }
    }
}

async fn next_report(agent: &mut RunningAgent) -> io::Result<AgentReport> {
    loop {
        agent.readiness.readable().await?;
        let process = &mut agent.process;
        let received = agent.readiness.try_io(Interest::READABLE, || {
            let report = process.try_receive()?;
            report.ok_or_else(|| io::ErrorKind::WouldBlock.into())
        });
        match received {
            Ok(report) => return Ok(report),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
}
