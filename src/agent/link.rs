//! The agent in an async runtime: started when it is needed, started again after a pause, and asked questions.

use std::collections::HashMap;
use std::future::pending;
use std::io;
use std::os::fd::AsFd as _;
use std::path::PathBuf;
use std::time::Duration;

use tokio::io::Interest;
use tokio::net::UnixStream;
use tokio::time::{Instant, sleep_until};

use super::client::{AgentOptions, AgentProcess};
use super::protocol::{AgentOrder, AgentReport, FailureKind, ItemFailure};

/// The pause before the first restart of the agent. It doubles up to [`RESTART_MAX`].
const RESTART_FIRST: Duration = Duration::from_millis(200);
const RESTART_MAX: Duration = Duration::from_secs(30);
/// An agent that ran this long begins with the first pause again.
const STABLE: Duration = Duration::from_secs(60);

/// Who asked a question.
pub trait Asker {
    /// The question is not answered.
    fn fail(self, failure: ItemFailure);
}

/// What happened to the agent.
pub enum LinkEvent {
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

/// The agent, and those who asked it: `A`.
pub struct AgentLink<A> {
    program: PathBuf,
    /// An agent is started as soon as possible, and after each end. Else the first question starts one.
    is_watching: bool,
    agent: Option<RunningAgent>,
    /// Not before this time another agent is started.
    start_at: Instant,
    pause: Duration,
    answers: HashMap<u64, A>,
    next_id: u64,
    /// Why the last agent ended.
    last_error: String,
}

impl<A: Asker> AgentLink<A> {
    /// Without an agent. `is_watching`: one is started as soon as possible, and after each end.
    #[must_use]
    pub fn new(program: PathBuf, is_watching: bool) -> Self {
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
    pub async fn next(&mut self) -> LinkEvent {
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

    /// Starts an agent, and sends it this order first.
    ///
    /// # Errors
    /// A line for the log: why there is none.
    pub fn start(&mut self, first: Option<&AgentOrder>) -> Result<(), String> {
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
    #[must_use]
    pub fn may_start(&self) -> bool {
        self.agent.is_none() && Instant::now() >= self.start_at
    }

    /// Sends a question. `order` makes it of its number. Without an agent the question fails.
    ///
    /// # Errors
    /// A line for the log: the agent is gone.
    pub fn ask(&mut self, order: impl FnOnce(u64) -> AgentOrder, to: A) -> Result<(), String> {
        let Some(agent) = &mut self.agent else {
            to.fail(no_agent(&self.last_error));
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
                to.fail(no_agent(&self.last_error));
                Err(line)
            }
        }
    }

    /// Who asked the question with this number. `None`: nobody.
    pub fn asker_of(&mut self, id: u64) -> Option<A> {
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
            to.fail(no_agent(&self.last_error));
        }
        self.last_error.clone()
    }
}

/// The failure of a question that no agent answers. `why`: why there is none. Empty: it is not known.
#[must_use]
pub fn no_agent(why: &str) -> ItemFailure {
    let message = match why {
        "" => "supervisord-agent does not answer".to_owned(),
        why => format!("supervisord-agent does not answer: {why}"),
    };
    let kind = FailureKind::Away;
    ItemFailure { kind, message }
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
