//! `GET /api/v1/events`: all changes as server-sent events. A client that reconnects asks for the present states again,
//! because they are all that the hub knows.
//!
//! # Source
//! HTML Living Standard, "Server-sent events".

use std::collections::BTreeSet;
use std::sync::Arc;

use hyper::StatusCode;
use hyper::body::Bytes;
use hyper::header::{self, HeaderName};
use serde::Serialize;
use serde_json::json;
use tokio::sync::mpsc;
use tokio::time::{Duration, MissedTickBehavior, interval, sleep};

use super::node_json::{NodeJson, ProcessJson};
use super::reply::Reply;
use super::selector::NodeSelector;
use crate::http_server::budget::QuotaPermit;
use crate::hub::api::call::Call;
use crate::hub::api::error::ApiError;
use crate::hub::api::json;
use crate::hub::api::perform::visible;
use crate::hub::fleet::{FleetChange, FleetItem, FleetSubscription};
use crate::hub::node::{NodeView, ProcessView, WatchGuard};
use crate::hub::server::{HttpBody, HttpResponse, HubContext, Principal};

/// Maximum silence of a stream. The comment that ends it shows proxies and clients that the connection is alive. As
/// often, the login of the client is checked again.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// How long a client waits before it reconnects, in milliseconds.
const RETRY_MS: u32 = 2000;
/// How long changes are gathered for a client that wants only nodes.
const GATHER: Duration = Duration::from_millis(200);
/// Number of parts that wait for a slow client.
const PARTS_WAITING: usize = 16;
/// Length at which a part of the stream is sent, in bytes.
const PART_BYTES: usize = 32 << 10;
/// Maximum number of nodes that count as looked at by one stream. More are an overview.
const LOOKS_MAX: usize = 16;

/// `GET /api/v1/events`.
pub(in crate::hub::api) async fn events(hub: &Arc<HubContext>, call: Call) -> Reply {
    let full = || {
        let status = StatusCode::SERVICE_UNAVAILABLE;
        let error = ApiError::new(status, "there are too many streams of events (try again)");
        error.with_header(header::RETRY_AFTER, "1".to_owned())
    };
    let permit = hub.streams.acquire(call.request.guard.client);
    let permit = permit.ok_or_else(full)?;
    let has = |name| call.query_value(name).is_some_and(|value| value == "true");
    let selector = NodeSelector::of_query(&call);
    let is_narrow = !selector.names.is_empty();
    let nodes = selector.nodes(hub, &call);
    let looked_at = nodes.iter().take(LOOKS_MAX).filter(|_| is_narrow);
    let stream = EventStream {
        hub: hub.clone(),
        principal: call.user()?.clone(),
        selector,
        changes: hub.fleet.subscribe(),
        _looks: looked_at
            .filter_map(|node| hub.fleet.watch(&node.name))
            .collect(),
        _permit: permit,
        text: format!("retry: {RETRY_MS}\n\n").into_bytes(),
        changed_nodes: has("nodes_only").then(BTreeSet::new),
    };
    let with_snapshot = has("snapshot");
    let (parts, body) = mpsc::channel(PARTS_WAITING);
    tokio::spawn(stream.run(parts, with_snapshot));
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
struct EventStream {
    hub: Arc<HubContext>,
    principal: Principal,
    selector: NodeSelector,
    changes: FleetSubscription,
    _looks: Vec<WatchGuard>,
    _permit: QuotaPermit,
    /// What is not sent yet.
    text: Vec<u8>,
    /// The nodes of which something has changed, for a client that wants only nodes. `None`: it wants everything.
    changed_nodes: Option<BTreeSet<Arc<str>>>,
}

#[derive(Serialize)]
struct ProcessesJson<'n> {
    node: &'n str,
    processes: Vec<ProcessJson<'n>>,
}

impl EventStream {
    /// Sends until the client or the hub goes away, or the login ends.
    async fn run(mut self, parts: mpsc::Sender<Bytes>, with_snapshot: bool) {
        if with_snapshot {
            for node in self.hub.fleet.nodes() {
                self.node(&node);
                if self.changed_nodes.is_none() {
                    self.processes(&node);
                }
                if self.text.len() >= PART_BYTES && !self.send(&parts).await {
                    return;
                }
            }
        }
        // What came before it belongs to the present states.
        self.event("ready", &json!({}));
        let mut stop = self.hub.stop.clone();
        let mut beat = interval(HEARTBEAT);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        beat.reset();
        loop {
            if !self.send(&parts).await {
                return;
            }
            tokio::select! {
                item = self.changes.next() => {
                    let Some(item) = item else { return };
                    self.item(item);
                }
                _ = beat.tick() => {
                    let Some(principal) = self.principal.renewed(&self.hub) else { return };
                    self.principal = principal;
                    self.text.extend_from_slice(b":\n\n");
                }
                () = parts.closed() => return,
                _ = stop.wait_for(|stop| *stop) => return,
            }
            if self
                .changed_nodes
                .as_ref()
                .is_some_and(|nodes| !nodes.is_empty())
            {
                sleep(GATHER).await;
            }
            while self.text.len() < PART_BYTES
                && let Some(item) = self.changes.try_next()
            {
                self.item(item);
            }
            self.changed_nodes();
        }
    }

    /// Sends what is written. Returns whether the client is still there.
    async fn send(&mut self, parts: &mpsc::Sender<Bytes>) -> bool {
        match self.text.is_empty() {
            true => true,
            false => parts
                .send(Bytes::from(std::mem::take(&mut self.text)))
                .await
                .is_ok(),
        }
    }

    fn event<T: Serialize>(&mut self, name: &str, data: &T) {
        self.text
            .extend_from_slice(format!("event: {name}\ndata: ").as_bytes());
        // JSON has no line feeds of its own.
        self.text.extend_from_slice(&json::text(data));
        self.text.extend_from_slice(b"\n\n");
    }

    fn sees(&self, node: &NodeView) -> bool {
        self.principal.limits.has_environment(&node.environment) && self.selector.selects(node)
    }

    fn node(&mut self, node: &NodeView) {
        if self.sees(node) {
            let limits = self.principal.limits.clone();
            self.event("node", &NodeJson::new(node, &limits));
        }
    }

    fn processes(&mut self, node: &NodeView) {
        if self.sees(node) {
            let limits = self.principal.limits.clone();
            let processes = visible(node, &limits);
            let processes = processes.map(|process| ProcessJson::new(node, process));
            let data = ProcessesJson {
                node: &node.name,
                processes: processes.collect(),
            };
            self.event("processes", &data);
        }
    }

    fn process(&mut self, name: &str, node: &str, process: &ProcessView) {
        let Some(node) = self.hub.fleet.node(node) else {
            return;
        };
        if self.sees(&node) && self.principal.limits.has_group(&process.group) {
            self.event(name, &ProcessJson::new(&node, process));
        }
    }

    /// Sends the nodes of which something has changed, each once.
    fn changed_nodes(&mut self) {
        let names = self.changed_nodes.as_mut().map(std::mem::take);
        for name in names.unwrap_or_default() {
            if let Some(node) = self.hub.fleet.node(&name) {
                self.node(&node);
            }
        }
    }

    fn item(&mut self, item: FleetItem) {
        if let Some(changed) = &mut self.changed_nodes
            && let FleetItem::Change(change) = &item
            && let Some(name) = changed_node(change)
        {
            changed.insert(name);
            return;
        }
        match item {
            FleetItem::Lost(count) => self.event("missed", &json!({"count": count})),
            FleetItem::Change(FleetChange::Node(node)) => self.node(&node),
            FleetItem::Change(FleetChange::Processes(node)) => {
                self.node(&node);
                self.processes(&node);
            }
            FleetItem::Change(FleetChange::Process { node, process }) => {
                self.process("process", &node, &process);
            }
            FleetItem::Change(FleetChange::ProcessRemoved { node, process }) => {
                self.process("process_removed", &node, &process);
            }
            FleetItem::Change(FleetChange::NodeRemoved(node)) => {
                // Only users who see all nodes may learn its name now.
                if self.principal.limits.environments.is_empty() {
                    self.event("node_removed", &json!({"node": &*node}));
                }
            }
        }
    }
}

/// The node of which a change tells. `None`: it is gone.
fn changed_node(change: &FleetChange) -> Option<Arc<str>> {
    match change {
        FleetChange::Node(node) | FleetChange::Processes(node) => Some(node.name.clone()),
        FleetChange::Process { node, .. } | FleetChange::ProcessRemoved { node, .. } => {
            Some(node.clone())
        }
        FleetChange::NodeRemoved(_) => None,
    }
}
