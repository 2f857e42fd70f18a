//! The changes of the rows of one host as server-sent events, in the form that the script of the daemon's table knows.

use std::sync::Arc;

use hyper::StatusCode;
use hyper::body::Bytes;
use hyper::header::HeaderName;
use serde::Serialize;
use tokio::sync::mpsc;
use tokio::time::{Duration, Instant, sleep, sleep_until};

use super::hub_page::{HubPage, Reply};
use super::node::node_of;
use super::node_row::node_rows;
use crate::http_server::budget::QuotaPermit;
use crate::hub::api::call::Call;
use crate::hub::fleet::{FleetChange, FleetItem, FleetSubscription};
use crate::hub::node::{NodeState, WatchGuard};
use crate::hub::server::{HttpBody, HttpResponse, HubContext, Principal};
use crate::web::row::ProcessRow;
use crate::web::texts::Language;

/// Maximum silence of the stream. A page that receives nothing for `SILENCE` (in `status.js`) shows itself as stale. As often, the
/// login of the user is checked again.
const KEEP_ALIVE: Duration = Duration::from_secs(3);
/// Minimum time between two messages.
const GAP: Duration = Duration::from_millis(250);
/// How long a browser waits before it reconnects, in milliseconds.
const RETRY_MS: u32 = 2000;

/// `GET /nodes/{node}/events`.
pub(super) async fn events(hub: &Arc<HubContext>, call: Call) -> Reply {
    let page = HubPage::new(hub, &call);
    let node = node_of(&page)?;
    let permit = page.stream_permit()?;
    let stream = RowStream {
        hub: hub.clone(),
        principal: call.user()?.clone(),
        name: node.name.clone(),
        language: page.language(),
        changes: hub.fleet.subscribe(),
        rows: Vec::new(),
        state: node.state,
        _look: hub.fleet.watch(&node.name),
        _permit: permit,
    };
    let (parts, body) = mpsc::channel(1);
    tokio::spawn(stream.run(parts));
    Ok(HttpResponse {
        status: StatusCode::OK,
        content_type: "text/event-stream",
        headers: vec![(
            HeaderName::from_static("x-accel-buffering"),
            "no".to_owned(),
        )],
        body: HttpBody::Growing(body),
    })
}

/// One stream.
struct RowStream {
    hub: Arc<HubContext>,
    principal: Principal,
    name: Arc<str>,
    language: Language,
    changes: FleetSubscription,
    /// What the page shows.
    rows: Vec<ProcessRow>,
    state: NodeState,
    _look: Option<WatchGuard>,
    _permit: QuotaPermit,
}

fn event<T: Serialize>(name: &str, data: &T) -> Bytes {
    // JSON has no line feeds of its own.
    let data = serde_json::to_string(data).unwrap_or_default();
    Bytes::from(format!("event: {name}\ndata: {data}\n\n"))
}

impl RowStream {
    /// Sends until the client or the hub goes away, or the login ends.
    async fn run(mut self, parts: mpsc::Sender<Bytes>) {
        let mut stop = self.hub.stop.clone();
        self.rows = self.present_rows().unwrap_or_default();
        let first = event("all", &self.rows);
        let first = [format!("retry: {RETRY_MS}\n\n").as_bytes(), &first].concat();
        if parts.send(first.into()).await.is_err() {
            return;
        }
        let mut looked = Instant::now();
        loop {
            let is_changed = tokio::select! {
                changed = self.next_change() => changed,
                () = sleep(KEEP_ALIVE) => Some(false),
                () = parts.closed() => return,
                _ = stop.wait_for(|stop| *stop) => return,
            };
            let message = match is_changed {
                None => return,
                Some(false) => {
                    let Some(principal) = self.principal.renewed(&self.hub) else {
                        return;
                    };
                    self.principal = principal;
                    Some(event("alive", &()))
                }
                Some(true) => {
                    sleep_until(looked + GAP).await;
                    looked = Instant::now();
                    self.difference()
                }
            };
            if let Some(message) = message
                && parts.send(message).await.is_err()
            {
                return;
            }
        }
    }

    /// Waits until something of the host changes. `None`: the hub ends. Cancel safe.
    async fn next_change(&mut self) -> Option<bool> {
        loop {
            let is_here = match self.changes.next().await? {
                FleetItem::Lost(_) => true,
                FleetItem::Change(change) => match change {
                    FleetChange::Node(node) | FleetChange::Processes(node) => {
                        node.name == self.name
                    }
                    FleetChange::NodeRemoved(node) => node == self.name,
                    FleetChange::Process { node, .. }
                    | FleetChange::ProcessRemoved { node, .. } => node == self.name,
                },
            };
            if is_here {
                return Some(true);
            }
        }
    }

    /// The rows of the host as it is now. `None`: it has been removed, or is outside the user's limits.
    fn present_rows(&mut self) -> Option<Vec<ProcessRow>> {
        let limits = &self.principal.limits;
        let node = self.hub.fleet.node(&self.name);
        let node = node.filter(|node| limits.has_environment(&node.environment))?;
        self.state = node.state;
        Some(node_rows(&node, limits, self.language))
    }

    /// The message that brings the page up to date. `None`: it is.
    fn difference(&mut self) -> Option<Bytes> {
        // What has arrived is in the fleet's memory already.
        while self.changes.try_next().is_some() {}
        let state = self.state;
        let Some(rows) = self.present_rows() else {
            return Some(event("layout", &()));
        };
        let is_same_list = rows.len() == self.rows.len()
            && rows
                .iter()
                .zip(&self.rows)
                .all(|(row, old)| row.id == old.id);
        let message = match is_same_list && state == self.state {
            false => Some(event("layout", &())),
            true => {
                let pairs = rows.iter().zip(&self.rows);
                let changed = pairs.filter(|(row, old)| !row.is_covered_by(old));
                let changed: Vec<&ProcessRow> = changed.map(|(row, _)| row).collect();
                (!changed.is_empty()).then(|| event("rows", &changed))
            }
        };
        self.rows = rows;
        message
    }
}
