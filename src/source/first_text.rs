//! The text that a start begins with: from the server, or from the snapshot if the server does not answer.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::item_of;
use super::snapshot::{Snapshot, SnapshotFiles};
use crate::agent::protocol::{AgentOrder, AgentReport, FailureKind};
use crate::agent::{AgentOptions, AgentProcess};
use crate::config::nacos::{NacosSettings, RemoteText};
use crate::domain::{Line, Seconds};
use crate::sys;

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

/// Asks the server for the text and waits for it, as long as the settings say. `agent`: the agent's program. `waiting` is
/// called once with a line for the service manager if the server does not answer at once.
///
/// # Errors
/// The server does not answer and there is no usable snapshot; or the server answers that it has no such text.
pub fn fetch_first_text(
    settings: &Arc<NacosSettings>,
    agent: &Path,
    waiting: impl FnOnce(&str),
) -> Result<FirstText, FirstTextError> {
    let item = settings.item_name();
    let error = |why: &str| FirstTextError(format!("cannot read nacos item {item}: {why}"));
    let (snapshot, damage) = match settings.not_use_cache {
        true => (None, None),
        false => match SnapshotFiles::of(settings).read() {
            Ok(snapshot) => (snapshot, None),
            Err(damage) => (None, Some(damage)),
        },
    };
    let patience = match &snapshot {
        Some(_) => settings.cache_wait,
        None => settings.start_timeout,
    };
    let answer = ask_server(
        settings,
        agent,
        duration(patience),
        snapshot.is_some(),
        waiting,
    );
    let why = match answer {
        Ok(remote) => return Ok(FirstText::of_server(Arc::new(remote))),
        Err(ServerSilence::Refused(why)) => return Err(error(&why)),
        Err(ServerSilence::Away(why)) => why,
    };
    match (snapshot, damage) {
        (Some(snapshot), _) => Ok(FirstText::of_snapshot(settings, snapshot, why)),
        (None, Some(damage)) => Err(error(&format!("{why}; the snapshot is not used: {damage}"))),
        (None, None) if settings.not_use_cache => Err(error(&format!(
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

    fn of_snapshot(settings: &Arc<NacosSettings>, snapshot: Snapshot, reason: String) -> Self {
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

fn ask_server(
    settings: &Arc<NacosSettings>,
    program: &Path,
    patience: Duration,
    has_snapshot: bool,
    waiting: impl FnOnce(&str),
) -> Result<RemoteText, ServerSilence> {
    let until = Instant::now() + patience;
    let broken = |error: std::io::Error| {
        ServerSilence::Away(format!("supervisord-agent: {}: {error}", program.display()))
    };
    let mut agent = AgentProcess::start(program, &AgentOptions::default()).map_err(broken)?;
    let item = item_of(settings);
    let watch = AgentOrder::Watch { item, md5: None };
    agent.send(&watch).map_err(broken)?;
    let mut waiting = Some(waiting);
    let mut last = format!("no answer within {} seconds", patience.as_secs());
    loop {
        let report = agent.receive_until(until).map_err(broken)?;
        match report {
            None => return Err(ServerSilence::Away(last)),
            Some(AgentReport::Text(text)) => {
                let settings = Arc::clone(settings);
                return Ok(RemoteText::new(settings, &text.text, text.md5, text.server));
            }
            Some(AgentReport::Failed(failure)) => match failure.kind {
                FailureKind::Away if has_snapshot => {
                    return Err(ServerSilence::Away(failure.message));
                }
                FailureKind::Away => {
                    if let Some(waiting) = waiting.take() {
                        waiting(&format!(
                            "waiting for {}: {}",
                            settings.item_name(),
                            failure.message
                        ));
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

fn duration(seconds: Seconds) -> Duration {
    Duration::from_secs(u64::try_from(seconds.0).unwrap_or_default())
}
