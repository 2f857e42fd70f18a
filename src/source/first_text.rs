//! The text that a start begins with: from the server or the command, or from the snapshot if they do not answer.

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::time::{Duration, Instant};

use super::command::{self, RunLimit};
use super::item_of;
use super::snapshot::{Snapshot, SnapshotFiles};
use crate::agent::protocol::{AgentOrder, AgentReport, FailureKind, ItemFailure, ItemText};
use crate::agent::{AgentOptions, AgentProcess, Pauses};
use crate::config::nacos::NacosSettings;
use crate::config::source::{CommandSettings, RemoteText, SourceOrigin, SourceSettings};
use crate::domain::{Line, Seconds};
use crate::sys;

/// How long a start waits for the exit of a command that it killed.
const EXIT_WAIT: Duration = Duration::from_secs(2);

/// The text of a start.
#[derive(Debug)]
pub struct FirstText {
    /// The text.
    pub remote: Arc<RemoteText>,
    /// Lines for the log.
    pub notes: Vec<Line>,
}

/// Why a start has no text: one line that names the item.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct FirstTextError(pub String);

/// Asks the server for the text or runs the command, and waits as long as the settings say. `agent`: the agent's program.
/// `waiting` is called once with a line for the service manager if there is no answer at once.
///
/// # Errors
/// There is no answer and no usable snapshot; or the server answers that it has no such text.
pub fn fetch_first_text(
    settings: &Arc<SourceSettings>,
    agent: &Path,
    waiting: impl FnOnce(&str),
) -> Result<FirstText, FirstTextError> {
    let described = settings.described();
    let error = |why: &str| FirstTextError(format!("cannot read {described}: {why}"));
    let rules = &settings.rules;
    let (snapshot, damage) = match rules.not_use_cache {
        true => (None, None),
        false => match SnapshotFiles::of(settings).read() {
            Ok(snapshot) => (snapshot, None),
            Err(damage) => (None, Some(damage)),
        },
    };
    let patience = match &snapshot {
        Some(_) => rules.cache_wait,
        None => rules.start_timeout,
    };
    let wait = FirstWait {
        patience: duration(patience),
        has_snapshot: snapshot.is_some(),
        item: settings.item_name(),
    };
    let answer = match &settings.origin {
        SourceOrigin::Nacos(nacos) => ask_server(nacos, agent, &wait, waiting),
        SourceOrigin::Command(command) => run_command(command, &wait, waiting),
    };
    let answer = answer.map(|text| {
        let settings = Arc::clone(settings);
        RemoteText::new(settings, &text.text, text.md5, text.server)
    });
    let why = match answer {
        Ok(remote) => return Ok(FirstText::of_server(Arc::new(remote))),
        Err(ServerSilence::Refused(why)) => return Err(error(&why)),
        Err(ServerSilence::Away(why)) => why,
    };
    match (snapshot, damage) {
        (Some(snapshot), _) => Ok(FirstText::of_snapshot(settings, snapshot, why)),
        (None, Some(damage)) => Err(error(&format!("{why}; the snapshot is not used: {damage}"))),
        (None, None) if rules.not_use_cache => Err(error(&format!(
            "{why} (not_use_cache: the snapshot is not used)"
        ))),
        (None, None) => Err(error(&format!("{why} (there is no snapshot)"))),
    }
}

impl FirstText {
    fn of_server(remote: Arc<RemoteText>) -> Self {
        let line = Line::SourceText {
            item: remote.name.clone(),
            md5: remote.md5.clone(),
            server: remote.server.clone(),
        };
        Self {
            remote,
            notes: vec![line],
        }
    }

    fn of_snapshot(settings: &Arc<SourceSettings>, snapshot: Snapshot, reason: String) -> Self {
        let Snapshot { text, md5, time } = snapshot;
        let remote = RemoteText::new(Arc::clone(settings), &text, md5, String::new());
        let line = Line::SourceSnapshot {
            item: remote.name.clone(),
            reason,
            age: (sys::now().wall.secs() - time).max(0),
        };
        Self {
            remote: Arc::new(remote),
            notes: vec![line],
        }
    }
}

/// Why there is no text from the server.
enum ServerSilence {
    /// No server answered in time.
    Away(String),
    /// A server answered that there is no usable text.
    Refused(String),
}

/// How long a start waits.
struct FirstWait {
    patience: Duration,
    /// An answer that there is no server now ends the waiting.
    has_snapshot: bool,
    item: String,
}

fn ask_server(
    settings: &NacosSettings,
    program: &Path,
    wait: &FirstWait,
    waiting: impl FnOnce(&str),
) -> Result<ItemText, ServerSilence> {
    let until = Instant::now() + wait.patience;
    let broken = |error: std::io::Error| {
        ServerSilence::Away(format!("supervisord-agent: {}: {error}", program.display()))
    };
    let mut agent = AgentProcess::start(program, &AgentOptions::default()).map_err(broken)?;
    let item = item_of(settings);
    let watch = AgentOrder::Watch { item, md5: None };
    agent.send(&watch).map_err(broken)?;
    let mut waiting = Some(waiting);
    let mut last = format!("no answer within {} seconds", wait.patience.as_secs());
    loop {
        let report = agent.receive_until(until).map_err(broken)?;
        match report {
            None => return Err(ServerSilence::Away(last)),
            Some(AgentReport::Text(text)) => return Ok(text),
            Some(AgentReport::Failed(failure)) => match failure.kind {
                FailureKind::Away if wait.has_snapshot => {
                    return Err(ServerSilence::Away(failure.message));
                }
                FailureKind::Away => {
                    if let Some(waiting) = waiting.take() {
                        waiting(&format!("waiting for {}: {}", wait.item, failure.message));
                    }
                    last = failure.message;
                }
                _ => return Err(ServerSilence::Refused(failure.message)),
            },
            Some(
                AgentReport::Ready | AgentReport::Unchanged { .. } | AgentReport::Answer { .. },
            ) => {}
        }
    }
}

/// Runs the command until it succeeds or the patience ends.
fn run_command(
    settings: &CommandSettings,
    wait: &FirstWait,
    waiting: impl FnOnce(&str),
) -> Result<ItemText, ServerSilence> {
    let end = Instant::now() + wait.patience;
    let mut waiting = Some(waiting);
    let mut pauses = Pauses::new();
    loop {
        let timeout = Instant::now() + duration(settings.timeout);
        let failed = match run_within(settings, end.min(timeout), end) {
            Ok(text) => return Ok(text),
            Err(failure) => failure.message,
        };
        let next = Instant::now() + pauses.next_pause();
        if wait.has_snapshot || next >= end {
            return Err(ServerSilence::Away(failed));
        }
        if let Some(waiting) = waiting.take() {
            waiting(&format!("waiting for {}: {failed}", wait.item));
        }
        std::thread::sleep(next.saturating_duration_since(Instant::now()));
    }
}

/// Runs the command once on a thread of its own: a start does not wait for a command in a dead mount.
fn run_within(
    settings: &CommandSettings,
    until: Instant,
    end: Instant,
) -> Result<ItemText, ItemFailure> {
    let failed = |error: std::io::Error| ItemFailure {
        kind: FailureKind::Away,
        message: format!("cannot run the command: {error}"),
    };
    let (limit, _cancel) = RunLimit::until(until).map_err(failed)?;
    let (sender, result) = sync_channel(1);
    let program = settings.program().to_owned();
    let settings = settings.clone();
    let thread = std::thread::Builder::new().name("source-command".to_owned());
    thread
        .spawn(move || {
            // Nobody waits if this fails.
            let _ = sender.send(command::run(&settings, &limit));
        })
        .map_err(failed)?;
    let left = end.saturating_duration_since(Instant::now()) + EXIT_WAIT;
    result.recv_timeout(left).unwrap_or_else(|_| {
        Err(ItemFailure {
            kind: FailureKind::Away,
            message: format!("{program}: it cannot be killed"),
        })
    })
}

fn duration(seconds: Seconds) -> Duration {
    Duration::from_secs(u64::try_from(seconds.0).unwrap_or_default())
}
