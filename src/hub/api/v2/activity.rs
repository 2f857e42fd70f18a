//! The activity log as lines.

use std::sync::Arc;

use serde_json::json;

use super::reply::{Reply, done, success};
use crate::hub::activity::ActivityEvent;
use crate::hub::api::call::Call;
use crate::hub::api::visible_records::visible_records;
use crate::hub::server::HubContext;

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
