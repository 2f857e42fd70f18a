//! The activity log as lines.

use std::sync::Arc;

use serde_json::json;

use super::reply::{Reply, done, success};
use crate::hub::activity::{ActivityEvent, ActivityRecord};
use crate::hub::api::call::Call;
use crate::hub::api::error::ApiError;
use crate::hub::server::HubContext;

/// The newest records that the user may see.
pub(in crate::hub::api) fn visible_records(
    hub: &HubContext,
    call: &Call,
    most: usize,
) -> Result<Vec<ActivityRecord>, ApiError> {
    let user = call.user()?;
    let limits = &user.limits;
    let is_visible = |record: &ActivityRecord| {
        if limits.is_empty() || record.user == user.name {
            return true;
        }
        let node = record.node.as_deref().and_then(|node| hub.fleet.node(node));
        let group = record
            .process
            .as_deref()
            .and_then(|name| name.split_once(':'));
        node.is_some_and(|node| limits.has_environment(&node.environment))
            && group.is_some_and(|(group, _)| limits.has_group(group))
    };
    Ok(hub.activity.newest(most, is_visible))
}

/// `GET /activitylogs/` and `GET /activitylogs/LIMIT/`.
pub(in crate::hub::api) async fn activity(hub: &Arc<HubContext>, call: Call) -> Reply {
    let most = match call.param("limit") {
        "" => usize::MAX,
        limit => limit.parse().unwrap_or(usize::MAX),
    };
    let records = visible_records(hub, &call, most)?;
    let lines: Vec<String> = records
        .iter()
        .map(|record| format!("{}\n", record.line()))
        .collect();
    success(&json!({"logs": lines, "status": "success"}))
}

/// `DELETE /activitylogs/`.
pub(in crate::hub::api) async fn clear_activity(hub: &Arc<HubContext>, call: Call) -> Reply {
    hub.activity.clear();
    call.record(hub, &ActivityEvent::LogCleared);
    done()
}
