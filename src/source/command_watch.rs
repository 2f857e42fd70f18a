//! Runs the command of a source again and again, one run at a time.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until};

use super::command::{self, RunHandle, RunLimit};
use crate::agent::protocol::{FailureKind, ItemFailure, ItemText};
use crate::agent::{Jitter, Pauses};
use crate::config::source::CommandSettings;

/// The result of a run.
pub(super) type RunResult = Result<ItemText, ItemFailure>;
/// Who waits for a run that begins after the question.
type Asker = SyncSender<Result<(), ItemFailure>>;

/// A run that goes on.
struct CurrentRun {
    result: oneshot::Receiver<RunResult>,
    /// Those who asked before it began.
    askers: Vec<Asker>,
    thread: std::thread::JoinHandle<()>,
    handle: RunHandle,
}

/// The runs of a command. Dropping it ends the run that goes on, and waits for that.
pub(super) struct CommandWatch {
    settings: Arc<CommandSettings>,
    current: Option<CurrentRun>,
    next_at: Instant,
    /// Those who wait for the next run.
    askers: Vec<Asker>,
    pauses: Pauses,
    jitter: Jitter,
}

impl CommandWatch {
    /// The first run begins at once.
    pub(super) fn new(settings: CommandSettings) -> Self {
        Self {
            settings: Arc::new(settings),
            current: None,
            next_at: Instant::now(),
            askers: Vec::new(),
            pauses: Pauses::new(),
            jitter: Jitter::new(),
        }
    }

    /// Has the command run now, or again if a run goes on: that one may have read an older text.
    pub(super) fn ask(&mut self, asker: Asker) {
        self.askers.push(asker);
        self.next_at = Instant::now();
    }

    /// Waits for the end of a run. Can be cancelled at any time without losing one.
    pub(super) async fn next(&mut self) -> (RunResult, Vec<Asker>) {
        loop {
            if let Some(run) = &mut self.current {
                let result = (&mut run.result).await;
                let result = result.unwrap_or_else(|_| Err(not_started("its thread panicked")));
                let askers = std::mem::take(&mut run.askers);
                self.current = None;
                self.plan_next(&result);
                return (result, askers);
            }
            sleep_until(self.next_at).await;
            match start(&self.settings) {
                Ok(run) => {
                    let askers = std::mem::take(&mut self.askers);
                    self.current = Some(CurrentRun { askers, ..run });
                }
                Err(error) => {
                    let result = Err(not_started(&error.to_string()));
                    self.plan_next(&result);
                    return (result, std::mem::take(&mut self.askers));
                }
            }
        }
    }

    fn plan_next(&mut self, result: &RunResult) {
        let interval = u64::try_from(self.settings.interval.0).unwrap_or_default();
        let interval = Duration::from_secs(interval);
        let pause = match result {
            Ok(_) => {
                self.pauses.reset();
                interval
            }
            Err(_) => self.pauses.next_pause().min(interval),
        };
        self.next_at = match self.askers.is_empty() {
            true => Instant::now() + self.jitter.vary(pause),
            false => Instant::now(),
        };
    }
}

impl Drop for CommandWatch {
    fn drop(&mut self) {
        if let Some(run) = self.current.take() {
            drop(run.handle);
            // A command that outlives the run would be a child that the next image does not know.
            let _ = run.thread.join();
        }
    }
}

/// Starts a run on a thread of its own.
fn start(settings: &Arc<CommandSettings>) -> io::Result<CurrentRun> {
    let timeout = u64::try_from(settings.timeout.0).unwrap_or_default();
    let until = std::time::Instant::now() + Duration::from_secs(timeout);
    let (limit, handle) = RunLimit::until(until)?;
    let (sender, result) = oneshot::channel();
    let settings = Arc::clone(settings);
    let thread = std::thread::Builder::new().name("source-command".to_owned());
    let thread = thread.spawn(move || {
        // Nobody waits if this fails.
        let _ = sender.send(command::run(&settings, &limit));
    })?;
    Ok(CurrentRun {
        result,
        askers: Vec::new(),
        thread,
        handle,
    })
}

fn not_started(why: &str) -> ItemFailure {
    ItemFailure {
        kind: FailureKind::Away,
        message: format!("cannot run the command: {why}"),
    }
}
