//! The thread `source`: watches the item through the agent and has changed texts applied.

use std::collections::HashMap;
use std::future::pending;
use std::io;
use std::os::fd::AsFd as _;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::time::Duration;

use tokio::io::Interest;
use tokio::net::UnixStream;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until};

use super::handle::{
    QuestionKind, ServerQuestion, SourceOrder, SourcePeers, SourceShared, lock, no_agent,
};
use super::item_of;
use super::snapshot::SnapshotFiles;
use crate::agent::protocol::{
    AgentAnswer, AgentOrder, AgentReport, FailureKind, ItemFailure, ItemText,
};
use crate::agent::{AgentOptions, AgentProcess};
use crate::api::{Caller, Fault, Reply};
use crate::config::nacos::{NacosSettings, OnChange, RemoteText};
use crate::control::UpdateSteps;
use crate::domain::Line;
use crate::heartbeat::Heartbeats;
use crate::sys;

/// Changes within this time are applied together.
const COALESCE: Duration = Duration::from_millis(500);
/// A text that was read within this time is the newest one.
const FRESH: Duration = Duration::from_secs(1);
/// The pause before the first restart of the agent. It doubles up to [`RESTART_MAX`].
const RESTART_FIRST: Duration = Duration::from_millis(200);
const RESTART_MAX: Duration = Duration::from_secs(30);
/// An agent that ran this long begins with the first pause again.
const STABLE: Duration = Duration::from_secs(60);

type UpdateResult = Result<Reply, Fault>;

/// Starts the thread. `remote`: the text of the running configuration; `None`: the thread only answers questions. `running`
/// is dropped when the thread and the agent have ended.
///
/// # Errors
/// No descriptors, memory or threads.
pub(super) fn spawn_thread(
    remote: Option<Arc<RemoteText>>,
    agent: PathBuf,
    heartbeats: Heartbeats,
    (shared, peers): (Arc<SourceShared>, SourcePeers),
    (inbox, running): (UnboundedReceiver<SourceOrder>, SyncSender<()>),
) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .build()?;
    let thread = std::thread::Builder::new().name("source".to_owned());
    thread.spawn(move || {
        let _heartbeat = heartbeats.register_end("source");
        let mut source = SourceThread {
            settings: remote.as_ref().map(|remote| Arc::clone(&remote.settings)),
            program: agent,
            shared,
            peers,
            agent: None,
            start_agent_at: Some(Instant::now()),
            pause: RESTART_FIRST,
            answers: HashMap::new(),
            next_id: 1,
            failed_as: None,
            read_at: None,
            apply_at: None,
            update: None,
            applied: remote,
        };
        runtime.block_on(source.run(inbox));
        // The agent ends with the value; then those who wait may go on.
        drop(source);
        drop(running);
    })?;
    Ok(())
}

/// The agent with its descriptor in the runtime.
struct RunningAgent {
    process: AgentProcess,
    /// A duplicate of its descriptor, which the runtime waits for.
    readiness: UnixStream,
    since: Instant,
}

/// Who gets the answer to an order of the agent.
enum AnswerTo {
    Refresh(SyncSender<Result<(), ItemFailure>>),
    Asker(oneshot::Sender<Result<AgentAnswer, ItemFailure>>),
}

struct SourceThread {
    /// The settings of the watched item. `None`: no item is watched.
    settings: Option<Arc<NacosSettings>>,
    program: PathBuf,
    shared: Arc<SourceShared>,
    peers: SourcePeers,
    agent: Option<RunningAgent>,
    /// When the agent is started. `None`: it runs.
    start_agent_at: Option<Instant>,
    /// The pause before the next restart of the agent.
    pause: Duration,
    answers: HashMap<u64, AnswerTo>,
    next_id: u64,
    /// The kind of the last failure. `None`: the last attempt succeeded.
    failed_as: Option<FailureKind>,
    /// When the newest text was read.
    read_at: Option<Instant>,
    /// When the newest text is applied. `None`: nothing is to apply.
    apply_at: Option<Instant>,
    /// The update that is running.
    update: Option<Pin<Box<dyn Future<Output = UpdateResult>>>>,
    /// The text that is applied.
    applied: Option<Arc<RemoteText>>,
}

impl SourceThread {
    /// Works until the handle is stopped.
    async fn run(&mut self, mut inbox: UnboundedReceiver<SourceOrder>) {
        self.begin();
        loop {
            tokio::select! {
                order = inbox.recv() => match order {
                    Some(order) => self.perform(order),
                    None => return,
                },
                report = next_report(self.agent.as_mut()) => match report {
                    Ok(report) => self.receive(report),
                    Err(error) => self.lose_agent(&error),
                },
                () = at(self.start_agent_at) => self.start_agent(),
                () = at(self.apply_at.filter(|_| self.update.is_none())) => self.begin_update(),
                result = finished(&mut self.update) => self.end_update(result),
            }
        }
    }

    /// Stores the text of the running configuration, which is applied.
    fn begin(&mut self) {
        let Some(applied) = self.applied.clone() else {
            return;
        };
        let settings = &applied.settings;
        if settings.pinned_users.is_empty()
            && settings.allow_sections.is_empty()
            && sys::effective_uid() == 0
        {
            let item = settings.item_name();
            (self.peers.log)(Line::SourceUnbounded { item });
        }
        if !applied.server.is_empty() {
            self.store_snapshot(&applied);
        }
    }

    fn start_agent(&mut self) {
        self.start_agent_at = None;
        let started =
            AgentProcess::start(&self.program, &AgentOptions::default()).and_then(|mut process| {
                if let Some(settings) = &self.settings {
                    let newest = lock(&self.shared.newest);
                    process.send(&AgentOrder::Watch {
                        item: item_of(settings),
                        md5: newest.as_ref().map(|remote| remote.md5.clone()),
                    })?;
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
            Ok(agent) => self.agent = Some(agent),
            Err(error) => self.lose_agent(&error),
        }
    }

    /// Handles the end of the agent: it is started again after a pause.
    fn lose_agent(&mut self, error: &io::Error) {
        let lasted = self.agent.take().map(|agent| agent.since.elapsed());
        if lasted.is_some_and(|lasted| lasted > STABLE) {
            self.pause = RESTART_FIRST;
        }
        let error = format!("{}: {error}", self.program.display());
        (self.peers.log)(Line::AgentFailed { error });
        self.start_agent_at = Some(Instant::now() + self.pause);
        self.pause = (self.pause * 2).min(RESTART_MAX);
        for (_, to) in self.answers.drain() {
            answer(to, Err(no_agent()));
        }
    }

    fn perform(&mut self, order: SourceOrder) {
        match order {
            SourceOrder::Refresh(reply) => {
                if self.read_at.is_some_and(|at| at.elapsed() < FRESH) {
                    answer(AnswerTo::Refresh(reply), Ok(None));
                } else if let Some(settings) = self.settings.clone() {
                    let kind = QuestionKind::Read;
                    self.ask(ServerQuestion { settings, kind }, AnswerTo::Refresh(reply));
                }
            }
            SourceOrder::Loaded => self.note_loaded(),
            SourceOrder::Ask(question, asker) => self.ask(*question, AnswerTo::Asker(asker)),
        }
    }

    /// Sends a question to the agent.
    fn ask(&mut self, question: ServerQuestion, to: AnswerTo) {
        let id = self.next_id;
        self.next_id += 1;
        let item = item_of(&question.settings);
        let order = match question.kind {
            QuestionKind::Read => AgentOrder::Read { id, item },
            QuestionKind::Publish { text, md5, author } => AgentOrder::Publish {
                id,
                item,
                text,
                md5,
                author,
            },
            QuestionKind::History => AgentOrder::History { id, item },
            QuestionKind::HistoryText(entry) => AgentOrder::HistoryText { id, item, entry },
            QuestionKind::Listeners => AgentOrder::Listeners { id, item },
        };
        if self.agent.is_none() {
            self.start_agent();
        }
        let Some(agent) = &mut self.agent else {
            return answer(to, Err(no_agent()));
        };
        match agent.process.send(&order) {
            Ok(()) => {
                self.answers.insert(id, to);
            }
            Err(error) => {
                answer(to, Err(no_agent()));
                self.lose_agent(&error);
            }
        }
    }

    fn receive(&mut self, report: AgentReport) {
        match report {
            AgentReport::Ready => {}
            AgentReport::Text(text) => self.take_text(text),
            AgentReport::Unchanged { server, .. } => {
                self.read_at = Some(Instant::now());
                self.note_up(&server);
            }
            AgentReport::Failed(failure) => self.note_failure(&failure),
            AgentReport::Answer { id, result } => {
                let Some(to) = self.answers.remove(&id) else {
                    return;
                };
                if let (AnswerTo::Refresh(_), Ok(AgentAnswer::Text(text))) = (&to, &result) {
                    self.take_text(text.clone());
                }
                answer(to, result.map(Some));
            }
        }
    }

    /// Handles a text of the item: applies it if it is another one.
    fn take_text(&mut self, text: ItemText) {
        let Some(settings) = self.settings.clone() else {
            return;
        };
        self.read_at = Some(Instant::now());
        self.note_up(&text.server);
        let known = lock(&self.shared.newest)
            .as_ref()
            .map(|remote| remote.md5.clone());
        if known.as_ref() == Some(&text.md5) {
            return;
        }
        let remote = RemoteText::new(Arc::clone(&settings), &text.text, text.md5, text.server);
        let (item, md5) = (remote.name.clone(), remote.md5.clone());
        lock(&self.shared.status).newest_md5.clone_from(&md5);
        *lock(&self.shared.newest) = Some(Arc::new(remote));
        match settings.on_change {
            OnChange::Apply => {
                (self.peers.log)(Line::SourceChanged { item, md5 });
                let splay = u64::try_from(settings.splay.0).unwrap_or_default();
                let delay = match splay {
                    0 => Duration::ZERO,
                    splay => Duration::from_millis(
                        sys::random_seed().unwrap_or_default() % (splay * 1000),
                    ),
                };
                self.apply_at = Some(Instant::now() + COALESCE + delay);
            }
            OnChange::Notify => (self.peers.log)(Line::SourceNotified { item, md5 }),
            OnChange::Ignore => {}
        }
    }

    fn note_up(&mut self, server: &str) {
        self.failed_as = None;
        let mut status = lock(&self.shared.status);
        let was_down = !status.is_up;
        status.is_up = true;
        server.clone_into(&mut status.server);
        if !status.is_rejected {
            status.last_error.clear();
        }
        let item = status.item.clone();
        drop(status);
        if was_down {
            let server = server.to_owned();
            (self.peers.log)(Line::SourceBack { item, server });
        }
    }

    /// Records why the item cannot be read. Programs go on.
    fn note_failure(&mut self, failure: &ItemFailure) {
        let is_known = self.failed_as.replace(failure.kind) == Some(failure.kind);
        let mut status = lock(&self.shared.status);
        status.is_up = false;
        status.last_error.clone_from(&failure.message);
        let (item, reason) = (status.item.clone(), failure.message.clone());
        drop(status);
        // An outage has other reasons from time to time, which the status shows.
        if !is_known {
            (self.peers.log)(Line::SourceFailed { item, reason });
        }
    }

    /// Begins an update with the newest text.
    fn begin_update(&mut self) {
        self.apply_at = None;
        let control = self.peers.control.clone();
        self.update = Some(Box::pin(async move {
            let steps = UpdateSteps {
                control: &control,
                caller: &Caller::DAEMON,
            };
            steps.update_groups(&[], &[]).await
        }));
    }

    fn end_update(&mut self, result: UpdateResult) {
        self.update = None;
        let loaded = lock(&self.shared.loaded).clone();
        let newest = lock(&self.shared.newest).clone();
        let (Some(loaded), Some(newest)) = (loaded, newest) else {
            return;
        };
        match result {
            Ok(reply) => {
                let count = |names: &Vec<_>| u32::try_from(names.len()).unwrap_or(u32::MAX);
                let [added, changed, removed] = match &reply {
                    Reply::Diff {
                        added,
                        changed,
                        removed,
                    } => [count(added), count(changed), count(removed)],
                    _ => [0; 3],
                };
                (self.peers.log)(Line::SourceApplied {
                    item: loaded.name.clone(),
                    md5: loaded.md5.clone(),
                    added,
                    changed,
                    removed,
                });
                self.note_applied(&loaded);
            }
            Err(fault) => {
                let error = fault.to_string();
                let mut status = lock(&self.shared.status);
                status.is_rejected = loaded.md5 != newest.md5;
                status.last_error.clone_from(&error);
                drop(status);
                let (item, md5) = (newest.name.clone(), newest.md5.clone());
                (self.peers.log)(Line::SourceRefused { item, md5, error });
            }
        }
    }

    /// Handles a reading of the configuration on request of a client. The listening update applies it as well if the
    /// settings want that; else the client does.
    fn note_loaded(&mut self) {
        let loaded = lock(&self.shared.loaded).clone();
        if let Some(loaded) = loaded
            && self.update.is_none()
            && self.apply_at.is_none()
            && loaded.settings.on_change != OnChange::Apply
        {
            self.note_applied(&loaded);
        }
    }

    fn note_applied(&mut self, loaded: &Arc<RemoteText>) {
        let mut status = lock(&self.shared.status);
        status.md5.clone_from(&loaded.md5);
        status.is_rejected = false;
        status.applied_at = sys::now().wall.secs();
        if status.is_up {
            status.last_error.clear();
        }
        let needs_restart = status.needs_restart;
        drop(status);
        if needs_restart {
            let item = loaded.name.clone();
            (self.peers.log)(Line::SourceNeedsRestart { item });
        }
        self.store_snapshot(loaded);
        self.applied = Some(Arc::clone(loaded));
    }

    fn store_snapshot(&self, remote: &RemoteText) {
        let files = SnapshotFiles::of(&remote.settings);
        let time = sys::now().wall.secs();
        if let Err(error) = files.write(&remote.text, &remote.server, time) {
            let path = files.path().display().to_string();
            let error = error.to_string();
            (self.peers.log)(Line::SnapshotFailed { path, error });
        }
    }
}

/// Sends an answer. `Ok(None)`: nothing but success.
fn answer(to: AnswerTo, result: Result<Option<AgentAnswer>, ItemFailure>) {
    match to {
        // The asker has given up if this fails.
        AnswerTo::Refresh(reply) => {
            let _ = reply.send(result.map(drop));
        }
        AnswerTo::Asker(asker) => {
            let _ = asker.send(result.and_then(|answer| answer.ok_or_else(no_agent)));
        }
    }
}

/// Waits until the time. `None`: for ever.
async fn at(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => pending().await,
    }
}

/// Waits for the end of the update. `None`: for ever.
async fn finished(
    update: &mut Option<Pin<Box<dyn Future<Output = UpdateResult>>>>,
) -> UpdateResult {
    match update {
        Some(update) => update.as_mut().await,
        None => pending().await,
    }
}

/// Waits for a report of the agent. `None`: for ever.
async fn next_report(agent: Option<&mut RunningAgent>) -> io::Result<AgentReport> {
    let Some(agent) = agent else {
        return pending().await;
    };
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
