//! `GET /api/v1/sd`: the nodes as targets for Prometheus.
//!
//! # Source
//! Prometheus documentation, "http_sd_config".

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;

use super::reply::{Reply, ok};
use super::selector::NodeSelector;
use crate::hub::api::call::Call;
use crate::hub::node::{NodeAddress, NodeKind, NodeView};
use crate::hub::server::HubContext;

/// The path of the metrics of a supervisord.
const METRICS: &str = "/metrics";

/// A target with its labels.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct TargetGroup {
    targets: [String; 1],
    labels: BTreeMap<&'static str, String>,
}

/// `GET /api/v1/sd`. Supervisor in Python has no metrics, and sockets of the hub's host are none that Prometheus reaches.
pub(in crate::hub::api) async fn targets(hub: &Arc<HubContext>, call: Call) -> Reply {
    let nodes = NodeSelector::of_query(&call).nodes(hub, &call);
    let groups: Vec<TargetGroup> = nodes.iter().filter_map(|node| target_of(node)).collect();
    ok(&groups)
}

fn target_of(node: &NodeView) -> Option<TargetGroup> {
    if node.kind == Some(NodeKind::Supervisor) {
        return None;
    }
    let NodeAddress::Web(url) = NodeAddress::parse(&node.address).ok()? else {
        return None;
    };
    let scheme = if url.is_tls { "https" } else { "http" };
    let host = match url.host.contains(':') {
        true => format!("[{}]", url.host),
        false => url.host,
    };
    let labels = BTreeMap::from([
        ("__scheme__", scheme.to_owned()),
        ("__metrics_path__", format!("{}{METRICS}", url.context)),
        ("node", node.name.to_string()),
        ("environment", node.environment.to_string()),
        ("tags", node.tags.join(",")),
    ]);
    Some(TargetGroup {
        targets: [format!("{host}:{}", url.port)],
        labels,
    })
}
