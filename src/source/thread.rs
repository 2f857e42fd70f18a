//! The thread `source`: watches the item through the agent, or runs the command, and has changed texts applied.

use std::future::pending;
use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::time::Duration;

use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until};

use super::command_watch::CommandWatch;
use super::handle::{QuestionKind, ServerQuestion, SourceOrder, SourcePeers, SourceShared, lock};
use super::item_of;
use super::snapshot::SnapshotFiles;
use crate::agent::protocol::{
    AgentAnswer, AgentOrder, AgentReport, FailureKind, ItemFailure, ItemText,
};
use crate::agent::{AgentLink, Asker, LinkEvent, no_agent};
use crate::api::{Caller, Fault, RejectedText, Reply};
use crate::config::source::{OnChange, RemoteText, SourceOrigin, SourceSettings};
use crate::control::UpdateSteps;
use crate::domain::Line;
use crate::heartbeat::Heartbeats;
use crate::sys;

/// Changes within this time are applied together.
const COALESCE: Duration = Duration::from_millis(500);
/// A text of a server that was read within this time is the newest one.
const FRESH: Duration = Duration::from_secs(1);
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
        let settings = remote.as_ref().map(|remote| Arc::clone(&remote.settings));
        let command = match settings.as_ref().map(|settings| &settings.origin) {
            Some(SourceOrigin::Command(command)) => Some(CommandWatch::new(command.clone())),
            _ => None,
        };
        let is_watching = settings.as_ref().is_some_and(|it| it.nacos().is_some());
        let mut source = SourceThread {
            settings,
            link: AgentLink::new(agent, is_watching),
            command,
            shared,
            peers,
            failed_as: None,
            read_at: None,
            apply_at: None,
            update: None,
            is_pending: false,
        };
        source.begin(remote);
        runtime.block_on(source.run(inbox));
        // The agent and the command end with the value; then those who wait may go on.
        drop(source);
        drop(running);
    })?;
    Ok(())
}

/// Who gets the answer to an order of the agent.
enum AnswerTo {
    /// The text is the newest one, or there is none.
    Refresh(SyncSender<Result<(), ItemFailure>>),
    /// Whatever the agent answers.
    Asker(oneshot::Sender<Result<AgentAnswer, ItemFailure>>),
}

impl Asker for AnswerTo {
    fn fail(self, failure: ItemFailure) {
        answer(self, Err(failure));
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
            let _ = asker.send(result.and_then(|answer| answer.ok_or_else(|| no_agent(""))));
        }
    }
}

struct SourceThread {
    /// The settings of the watched source. `None`: nothing is watched.
    settings: Option<Arc<SourceSettings>>,
    link: AgentLink<AnswerTo>,
    /// `None`: the source is no command.
    command: Option<CommandWatch>,
    shared: Arc<SourceShared>,
    peers: SourcePeers,
    /// The kind of the last failure. `None`: the last attempt succeeded.
    failed_as: Option<FailureKind>,
    /// When the newest text was read.
    read_at: Option<Instant>,
    /// When the newest text is applied. `None`: nothing is to apply.
    apply_at: Option<Instant>,
    /// The update that is running.
    update: Option<Pin<Box<dyn Future<Output = UpdateResult>>>>,
    /// Clients have read a text that is not known to be applied.
    is_pending: bool,
}

impl SourceThread {
    /// Works until the handle is stopped.
    async fn run(&mut self, mut inbox: UnboundedReceiver<SourceOrder>) {
        let control = self.peers.control.clone();
        loop {
            tokio::select! {
                order = inbox.recv() => match order {
                    Some(order) => self.perform(order),
                    None => return,
                },
                event = self.link.next() => match event {
                    LinkEvent::Report(report) => self.receive(report),
                    LinkEvent::Lost(error) => (self.peers.log)(Line::AgentFailed { error }),
                    LinkEvent::StartDue => self.start_agent(),
                },
                (result, askers) = next_run(self.command.as_mut()) => self.end_run(result, askers),
                () = at(self.apply_at.filter(|_| self.update.is_none())) => self.begin_update(),
                result = finished(&mut self.update) => self.end_update(result),
                () = control.client_changed(), if self.is_pending => self.check_pending().await,
            }
        }
    }

    /// Stores the text of the running configuration, which is applied.
    fn begin(&self, remote: Option<Arc<RemoteText>>) {
        let Some(applied) = remote else {
            return;
        };
        let rules = &applied.settings.rules;
        if rules.pinned_users.is_empty()
            && rules.allow_sections.is_empty()
            && sys::effective_uid() == 0
        {
            let item = applied.settings.item_name();
            (self.peers.log)(Line::SourceUnbounded { item });
        }
        if !applied.server.is_empty() {
            self.store_snapshot(&applied);
        }
    }

    fn start_agent(&mut self) {
        let item = self.settings.as_ref().and_then(|settings| settings.nacos());
        let newest = lock(&self.shared.newest);
        let watch = item.map(|item| AgentOrder::Watch {
            item: item_of(item),
            md5: newest.as_ref().map(|remote| remote.md5.clone()),
        });
        drop(newest);
        if let Err(error) = self.link.start(watch.as_ref()) {
            (self.peers.log)(Line::AgentFailed { error });
        }
    }

    fn perform(&mut self, order: SourceOrder) {
        match order {
            SourceOrder::Refresh(reply) => self.refresh(reply),
            SourceOrder::Loaded => self.note_loaded(),
            SourceOrder::Ask(question, asker) => self.ask(*question, AnswerTo::Asker(asker)),
        }
    }

    /// Answers when the newest text was read.
    fn refresh(&mut self, reply: SyncSender<Result<(), ItemFailure>>) {
        let is_fresh = match self.command {
            // An update reads the text that began it. A command that prints another text each time must not run without a
            // pause.
            Some(_) => self.update.is_some(),
            None => self.read_at.is_some_and(|at| at.elapsed() < FRESH),
        };
        if is_fresh {
            answer(AnswerTo::Refresh(reply), Ok(None));
        } else if let Some(command) = &mut self.command {
            command.ask(reply);
        } else if let Some(item) = self.settings.as_ref().and_then(|it| it.nacos()) {
            let (item, kind) = (item_of(item), QuestionKind::Read);
            self.ask(ServerQuestion { item, kind }, AnswerTo::Refresh(reply));
        }
    }

    /// Sends a question to the agent.
    fn ask(&mut self, question: ServerQuestion, to: AnswerTo) {
        let ServerQuestion { item, kind } = question;
        if self.link.may_start() {
            self.start_agent();
        }
        let order = |id| match kind {
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
        if let Err(error) = self.link.ask(order, to) {
            (self.peers.log)(Line::AgentFailed { error });
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
                let Some(to) = self.link.asker_of(id) else {
                    return;
                };
                if let (AnswerTo::Refresh(_), Ok(AgentAnswer::Text(text))) = (&to, &result) {
                    self.take_text(text.clone());
                }
                answer(to, result.map(Some));
            }
        }
    }

    /// Handles the end of a run of the command.
    fn end_run(
        &mut self,
        result: Result<ItemText, ItemFailure>,
        askers: Vec<SyncSender<Result<(), ItemFailure>>>,
    ) {
        let answer_all = |result: Result<(), ItemFailure>| {
            for asker in &askers {
                // The asker has given up if this fails.
                let _ = asker.send(result.clone());
            }
        };
        match result {
            Ok(text) => {
                self.take_text(text);
                answer_all(Ok(()));
            }
            Err(failure) => {
                self.note_failure(&failure);
                answer_all(Err(failure));
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
        match settings.rules.on_change {
            OnChange::Apply => {
                (self.peers.log)(Line::SourceChanged { item, md5 });
                let splay = u64::try_from(settings.rules.splay.0).unwrap_or_default();
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
        status.read_at = sys::now().wall.secs();
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
                let control = self.peers.control.clone();
                let text = RejectedText {
                    item: item.clone(),
                    md5: md5.clone(),
                    error: error.clone(),
                };
                tokio::spawn(async move { control.report_rejected(text).await });
                (self.peers.log)(Line::SourceRefused { item, md5, error });
            }
        }
    }

    /// Handles a reading of the configuration on request of a client. What was only read is not applied: the listening
    /// update of this thread applies it, or the client does.
    fn note_loaded(&mut self) {
        let loaded = lock(&self.shared.loaded).clone();
        let md5 = &lock(&self.shared.status).md5;
        self.is_pending = self.update.is_none()
            && self.apply_at.is_none()
            && loaded.is_some_and(|loaded| loaded.md5 != *md5);
    }

    /// Finds out whether a client has applied the text that was read last.
    async fn check_pending(&mut self) {
        let Some(loaded) = lock(&self.shared.loaded).clone() else {
            return;
        };
        if self.peers.control.is_text_applied(&loaded.md5).await {
            self.is_pending = false;
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

/// Waits for the end of a run. `None`: for ever.
async fn next_run(
    command: Option<&mut CommandWatch>,
) -> (
    Result<ItemText, ItemFailure>,
    Vec<SyncSender<Result<(), ItemFailure>>>,
) {
    match command {
        Some(command) => command.next().await,
        None => pending().await,
    }
}
