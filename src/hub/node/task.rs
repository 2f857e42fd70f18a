//! The task of one node: finds out what answers, keeps the view up to date, and tries again after failures.
//!
//! ```text
//! attempt ──► version ──► our event stream ──► follow ─┐
//!    ▲                └─► no such stream ────► poll ───┤
//!    └──────────── pause of 1 … 30 s ◄──── failure ◄───┘
//! ```

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until};

use super::client::NodeClient;
use super::event_stream::{STREAM_PATH, STREAM_QUERY};
use super::failure::{CallFailure, NodeFailure};
use super::process_row::{ProcessRows, merge, one_line};
use super::shared::{Node, wall_now};
use super::view::{NodeKind, NodeState};
use crate::agent::http::OpenAnswer;
use crate::agent::pauses::{Jitter, Pauses};
use crate::api::xmlrpc::RpcValue;

/// The pause between two questions to a node that nobody looks at.
const IDLE_POLL_INTERVAL: Duration = Duration::from_secs(15);
/// The shortest time between two questions or attempts, however many ask for one.
const ATTEMPTS_APART: Duration = Duration::from_millis(250);
/// The same after a failure, when somebody begins to look at the node.
const RETRIES_APART: Duration = Duration::from_secs(1);
/// Maximum length of a version in characters.
const VERSION_CHARS_MAX: usize = 40;
/// The first version of ours.
const OWN_MAJOR_VERSION: u32 = 5;

/// Keeps the view of a node up to date. Never returns.
pub(in crate::hub) async fn run_node(node: Arc<Node>) {
    let mut task = NodeTask {
        node,
        jitter: Jitter::new(),
        pauses: Pauses::new(),
        last_event: None,
        lacks_details: false,
        followed_since: None,
    };
    loop {
        let failure = match task.attempt().await {
            Ok(never) => match never {},
            Err(failure) => failure,
        };
        // A proxy or a restart ended a stream that worked: whether the node is reachable, the next attempt tells.
        let worked = task
            .followed_since
            .take()
            .is_some_and(|since| since.elapsed() >= RETRIES_APART);
        if worked && failure.state == NodeState::Unreachable {
            sleep(ATTEMPTS_APART).await;
            continue;
        }
        task.node.show_failure(failure);
        task.wait_for_retry().await;
    }
}

/// What a session ends with if it does not fail.
pub(super) enum Never {}

/// The state of the task.
pub(super) struct NodeTask {
    pub(super) node: Arc<Node>,
    pub(super) jitter: Jitter,
    pub(super) pauses: Pauses,
    /// The id of the last event of the stream. `None`: there was none.
    pub(super) last_event: Option<String>,
    /// Events were applied, and what they do not tell was not asked for yet.
    pub(super) lacks_details: bool,
    /// Since when the event stream works. `None`: it does not.
    pub(super) followed_since: Option<Instant>,
}

impl NodeTask {
    pub(super) fn client(&self) -> &NodeClient {
        &self.node.client
    }

    async fn attempt(&mut self) -> Result<Never, NodeFailure> {
        let version = self.ask_version().await?;
        if is_own_version(&version)
            && let Some(stream) = self.open_stream().await?
        {
            return self.follow(stream, &version).await;
        }
        self.last_event = None;
        self.poll(&version).await
    }

    async fn ask_version(&self) -> Result<String, NodeFailure> {
        let limit = self.client().limit();
        let method = "supervisor.getSupervisorVersion";
        let answer = self.client().call(method, Vec::new(), None, limit).await;
        match answer.map_err(CallFailure::into_node_failure)? {
            RpcValue::Text(version) => Ok(one_line(&version, VERSION_CHARS_MAX)),
            _ => Err(NodeFailure::new(
                NodeState::NotASupervisor,
                "its version is no text",
            )),
        }
    }

    /// Opens the event stream. `None`: the node has none.
    async fn open_stream(&self) -> Result<Option<OpenAnswer>, NodeFailure> {
        let last = self.last_event.clone();
        let headers = last.map(|id| ("Last-Event-ID", id)).into_iter().collect();
        let opened = self
            .client()
            .open(STREAM_PATH, STREAM_QUERY.to_owned(), headers)
            .await;
        let answer = opened.map_err(CallFailure::into_node_failure)?;
        let is_stream = answer
            .headers
            .get("content-type")
            .is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream"));
        match answer.status {
            200 if is_stream => Ok(Some(answer)),
            status @ (401 | 403 | 502..=504) => Err(NodeFailure::of_status(status, STREAM_PATH)),
            _ => Ok(None),
        }
    }

    /// Asks for all processes regularly.
    async fn poll(&mut self, version: &str) -> Result<Never, NodeFailure> {
        loop {
            self.ask_processes(version).await?;
            self.pauses.reset();
            self.wait_for_poll().await;
        }
    }

    async fn ask_processes(&self, version: &str) -> Result<(), NodeFailure> {
        let client = self.client();
        let method = "supervisor.getAllProcessInfo";
        let answer = client.call(method, Vec::new(), None, client.limit()).await;
        let value = answer.map_err(CallFailure::into_node_failure)?;
        let rows = ProcessRows::of_value(value)
            .map_err(|reason| NodeFailure::new(NodeState::NotASupervisor, reason))?;
        let kind = match rows.is_of_go() {
            true => NodeKind::Go,
            false => NodeKind::Supervisor,
        };
        self.show_all(&rows, kind, version);
        Ok(())
    }

    /// Shows a whole list of processes.
    pub(super) fn show_all(&self, rows: &ProcessRows, kind: NodeKind, version: &str) {
        let offset = rows.clock_offset(wall_now().div_euclid(1000));
        let merged = {
            let view = self.node.view();
            merge(
                &view.processes,
                &rows.rows,
                &self.client().context().interner,
            )
        };
        self.node.show_connected(kind, version, offset);
        self.node.show_processes(merged, Some(rows.hidden));
    }

    /// Waits until the node is asked again: sooner while somebody looks at it, and at once if somebody wants it.
    async fn wait_for_poll(&mut self) {
        let began = Instant::now();
        let mut watchers = self.node.watchers();
        loop {
            let active = self.client().context().poll_interval;
            let interval = match *watchers.borrow_and_update() {
                0 => active.max(IDLE_POLL_INTERVAL),
                _ => active,
            };
            let until = began + self.jitter.vary(interval);
            tokio::select! {
                () = sleep_until(until) => return,
                () = self.node.refresh_requested() => {
                    sleep_until(began + ATTEMPTS_APART).await;
                    return;
                }
                // The node holds the sender.
                _ = watchers.changed() => {}
            }
        }
    }

    /// Waits after a failure. The pause ends early when a client begins to watch the node.
    async fn wait_for_retry(&mut self) {
        let began = Instant::now();
        let pause = self.pauses.next_pause();
        let until = began + self.jitter.vary(pause);
        let mut watchers = self.node.watchers();
        let mut count = *watchers.borrow_and_update();
        loop {
            tokio::select! {
                () = sleep_until(until) => return,
                () = self.node.refresh_requested() => break,
                _ = watchers.changed() => {
                    let before = std::mem::replace(&mut count, *watchers.borrow_and_update());
                    if before == 0 && count > 0 {
                        break;
                    }
                }
            }
        }
        sleep_until(until.min(began + RETRIES_APART)).await;
    }
}

/// Whether a version may be one of ours, so that the node has an event stream.
fn is_own_version(version: &str) -> bool {
    let major = version
        .split('.')
        .next()
        .and_then(|major| major.parse::<u32>().ok());
    major.is_some_and(|major| major >= OWN_MAJOR_VERSION)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_versions_of_ours_may_have_an_event_stream() {
        for (version, expected) in [
            ("5.0.0", true),
            ("5.1.0-rc1", true),
            ("12.0", true),
            ("4.3.0", false),
            ("3.0", false),
            ("", false),
            ("five", false),
        ] {
            assert_eq!(is_own_version(version), expected, "{version}");
        }
    }
}
