//! The activity log as records.

use std::sync::Arc;

use serde_json::json;

use super::reply::{Reply, ok};
use crate::hub::api::call::Call;
use crate::hub::api::error::ApiError;
use crate::hub::api::visible_records::visible_records;
use crate::hub::server::HubContext;

/// Number of records where the client names none.
const RECORDS_DEFAULT: usize = 100;

/// `GET /api/v1/activity`.
pub(in crate::hub::api) async fn activity(hub: &Arc<HubContext>, call: Call) -> Reply {
    let most = match call.query_value("limit") {
        None => RECORDS_DEFAULT,
        Some(text) => text
            .parse()
            .map_err(|_| ApiError::wrong("limit: expected a number"))?,
    };
    let records = visible_records(hub, &call, most)?;
    ok(&json!({"records": records}))
}
