//! The thread `scripts`: an async runtime with one task for each script that runs. It exists from the first script on.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::{Semaphore, oneshot};
use tokio::task::JoinSet;

use super::command::{self, Command, CommandResult};
use super::request;
use super::secure_request::{self, SecureRequests, secure_requests};
use crate::config::script::Script;
use crate::effects::{ScriptEffect, ScriptFailure, ScriptId, ScriptOutcome, ScriptRun};
use crate::heartbeat::Heartbeats;
use crate::spawn::CommandSender;

/// Maximum number of scripts that run at a time. Others wait; their limit counts from their start.
const RUNNING_MAX: usize = 256;
/// Maximum number of threads that look up host names and read files.
const BLOCKING_THREADS_MAX: usize = 4;

/// Sends effects to the thread.
#[derive(Debug)]
pub struct ScriptsHandle {
    /// `None`: the thread was told to end.
    effects: Option<UnboundedSender<ScriptEffect>>,
    thread: Option<JoinHandle<()>>,
}

impl ScriptsHandle {
    /// Passes an effect on. Never blocks.
    pub fn send(&self, effect: ScriptEffect) {
        if let Some(effects) = &self.effects {
            // The channel is unbounded, but the core has few runs per process. A thread that has ended has killed them.
            let _ = effects.send(effect);
        }
    }
}

impl Drop for ScriptsHandle {
    /// Kills the scripts that run, and waits for the end of the thread. Their answers are not sent.
    fn drop(&mut self) {
        self.effects = None;
        if let Some(thread) = self.thread.take() {
            // The panic hook has already reported a panic.
            let _ = thread.join();
        }
    }
}

/// How long the end of the thread waits for killed scripts.
const END_WAIT: Duration = Duration::from_secs(2);

/// Receives the outcomes. It must not block.
type Done = Arc<dyn Fn(ScriptOutcome) + Send + Sync>;

/// What the tasks of all scripts share.
struct Shared {
    commands: CommandSender,
    running: Semaphore,
    requests: SecureRequests,
    done: Done,
}

/// Starts the thread, whose end `heartbeats` watches. `commands` starts commands; `done` is called with each outcome and
/// must not block.
///
/// # Errors
/// No descriptors, memory or threads.
pub fn start(
    heartbeats: Heartbeats,
    commands: CommandSender,
    done: impl Fn(ScriptOutcome) + Send + Sync + 'static,
) -> io::Result<ScriptsHandle> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .max_blocking_threads(BLOCKING_THREADS_MAX)
        .thread_name("scripts-files")
        .enable_io()
        .enable_time()
        .build()?;
    let (effects, inbox) = unbounded_channel();
    let (requests, queue) = secure_requests();
    let shared = Arc::new(Shared {
        requests,
        commands,
        running: Semaphore::new(RUNNING_MAX),
        done: Arc::new(done),
    });
    let thread = std::thread::Builder::new()
        .name("scripts".to_owned())
        .spawn(move || {
            let _heartbeat = heartbeats.register_end("scripts");
            runtime.block_on(async {
                tokio::select! {
                    () = perform_all(inbox, &shared) => {}
                    // It ends only with the senders, which `shared` has.
                    () = secure_request::serve(queue) => {}
                }
            });
            // A name service that does not respond must not delay the end of the daemon.
            runtime.shutdown_background();
        })?;
    Ok(ScriptsHandle {
        effects: Some(effects),
        thread: Some(thread),
    })
}

/// Performs effects until the handle is dropped, then kills the scripts that run.
async fn perform_all(mut inbox: UnboundedReceiver<ScriptEffect>, shared: &Arc<Shared>) {
    let mut tasks = JoinSet::new();
    let mut cancels: HashMap<ScriptId, oneshot::Sender<()>> = HashMap::new();
    loop {
        tokio::select! {
            effect = inbox.recv() => match effect {
                None => break,
                Some(ScriptEffect::Run(run)) => {
                    let (cancel, cancelled) = oneshot::channel();
                    cancels.insert(run.id, cancel);
                    tasks.spawn(perform(run, cancelled, shared.clone()));
                }
                Some(ScriptEffect::Cancel(id)) => drop(cancels.remove(&id)),
            },
            Some(ended) = tasks.join_next() => {
                if let Ok(id) = ended {
                    cancels.remove(&id);
                }
            }
        }
    }
    cancels.clear();
    let ended = async { while tasks.join_next().await.is_some() {} };
    let _ = tokio::time::timeout(END_WAIT, ended).await;
}

/// Runs one script, and reports its result. It is cancelled when the sender of `cancelled` is dropped.
async fn perform(
    run: Box<ScriptRun>,
    mut cancelled: oneshot::Receiver<()>,
    shared: Arc<Shared>,
) -> ScriptId {
    let permit = tokio::select! {
        // The semaphore is never closed.
        permit = shared.running.acquire() => permit.ok(),
        _ = &mut cancelled => None,
    };
    let (failure, output) = match permit {
        None => (Some(ScriptFailure::Cancelled), Vec::new()),
        Some(_permit) => execute(&run, &shared, cancelled).await,
    };
    (shared.done)(ScriptOutcome::Ended {
        id: run.id,
        failure,
        output: String::from_utf8_lossy(&output).into_owned(),
    });
    run.id
}

async fn execute(
    run: &ScriptRun,
    shared: &Shared,
    cancelled: oneshot::Receiver<()>,
) -> CommandResult {
    let stop = async {
        let limit = Duration::from_secs(u64::try_from(run.limit.0).unwrap_or(0));
        match tokio::time::timeout(limit, cancelled).await {
            Ok(_) => ScriptFailure::Cancelled,
            Err(_) => ScriptFailure::TimedOut(run.limit),
        }
    };
    let failure = match &run.script {
        Script::Command(text) => {
            let command = Command {
                text,
                variables: &run.variables,
                input: &run.input,
            };
            return command::run(&shared.commands, &run.spec, command, stop).await;
        }
        Script::Tcp(server) => tokio::select! {
            connected = request::connect(server) => connected.err(),
            why = stop => Some(why),
        },
        Script::Http(script) => {
            let answered = async {
                match &script.tls {
                    None => request::request(script).await,
                    Some(tls) => shared.requests.send(script, tls, run.limit).await,
                }
            };
            tokio::select! {
                answered = answered => answered.err(),
                why = stop => Some(why),
            }
        }
    };
    (failure, Vec::new())
}

#[cfg(test)]
#[path = "thread_tests.rs"]
mod tests;
