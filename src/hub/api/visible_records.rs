//! The part of the activity log that a user may see.

use super::call::Call;
use super::error::ApiError;
use crate::hub::activity::ActivityRecord;
use crate::hub::server::HubContext;

/// The newest records that the user may see.
pub(in crate::hub) fn visible_records(
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
