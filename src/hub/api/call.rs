//! A call of a route: the request, who sends it, and its arguments.

use hyper::body::Bytes;
use serde_json::{Map, Value};

use super::error::ApiError;
use crate::http_server::percent_encoding::percent_decoded;
use crate::hub::activity::ActivityEvent;
use crate::hub::node::{HubUser, NodeView};
use crate::hub::server::{HubContext, HubRequest, Principal};
use crate::hub::users::AccessLimits;

/// A call.
pub(in crate::hub) struct Call {
    pub(in crate::hub) request: HubRequest,
    /// `None`: the route needs no login, and there is none.
    pub(in crate::hub) principal: Option<Principal>,
    /// The parameters of the path, decoded.
    pub(in crate::hub) params: Vec<(&'static str, String)>,
    pub(in crate::hub) body: Bytes,
}

impl Call {
    /// A parameter of the path.
    pub(in crate::hub) fn param(&self, name: &str) -> &str {
        let found = self.params.iter().find(|(key, _)| *key == name);
        found.map_or("", |(_, value)| value)
    }

    /// The user.
    ///
    /// # Errors
    /// 401: there is none, which dispatch refuses before for routes that need one.
    pub(in crate::hub) fn user(&self) -> Result<&Principal, ApiError> {
        let status = hyper::StatusCode::UNAUTHORIZED;
        let principal = self.principal.as_ref();
        principal.ok_or_else(|| ApiError::new(status, "Session expired"))
    }

    /// The user for the audit lines of nodes.
    pub(in crate::hub) fn hub_user(&self) -> HubUser {
        HubUser::new(self.principal.as_ref().map_or("", |user| &user.name))
    }

    /// What the user may reach.
    pub(in crate::hub) fn limits(&self) -> AccessLimits {
        let principal = self.principal.as_ref();
        principal.map_or_else(AccessLimits::default, |user| user.limits.clone())
    }

    /// Records that the user did something.
    pub(in crate::hub) fn record(&self, hub: &HubContext, event: &ActivityEvent) {
        let name = self.principal.as_ref().map_or("", |user| &user.name);
        self.record_as(hub, name, event);
    }

    /// The same for a user who is not logged in.
    pub(in crate::hub) fn record_as(&self, hub: &HubContext, name: &str, event: &ActivityEvent) {
        hub.record(name, &self.request.address.to_string(), event);
    }

    /// The members of the body. Empty: it is no JSON object, or not marked as JSON.
    pub(in crate::hub) fn members(&self) -> Map<String, Value> {
        let kind = self.request.header("content-type").unwrap_or_default();
        let kind = kind.split(';').next().unwrap_or_default().trim();
        if !kind.eq_ignore_ascii_case("application/json") {
            return Map::new();
        }
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// The members of the body of a route of ours.
    ///
    /// # Errors
    /// 400: it is no JSON object, or has another member than these.
    pub(in crate::hub) fn checked_members(
        &self,
        known: &[&str],
    ) -> Result<Map<String, Value>, ApiError> {
        let members: Map<String, Value> = serde_json::from_slice(&self.body)
            .map_err(|error| ApiError::wrong(format!("the body is no JSON object: {error}")))?;
        let unknown = members.keys().find(|name| !known.contains(&name.as_str()));
        match unknown {
            None => Ok(members),
            Some(name) => Err(ApiError::wrong(format!("{name}: unknown member"))),
        }
    }

    /// The values of a parameter of the query string, decoded.
    pub(in crate::hub) fn query_values(&self, name: &str) -> Vec<String> {
        let pairs = self.request.query.split('&');
        let pairs = pairs.filter_map(|pair| pair.split_once('='));
        let own = pairs.filter(|(key, _)| *key == name);
        own.map(|(_, value)| percent_decoded(&value.replace('+', " ")))
            .collect()
    }

    /// The value of a parameter of the query string. `None`: it is missing.
    pub(in crate::hub) fn query_value(&self, name: &str) -> Option<String> {
        self.query_values(name).pop()
    }

    /// Whether the user may see a node.
    pub(in crate::hub) fn sees(&self, node: &NodeView) -> bool {
        self.limits().has_environment(&node.environment)
    }
}

/// A member that is a string.
///
/// # Errors
/// 400: it is something else. `None`: it is missing.
pub(in crate::hub) fn text_member(
    members: &Map<String, Value>,
    name: &str,
) -> Result<Option<String>, ApiError> {
    match members.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(ApiError::wrong(format!("{name}: expected a string"))),
    }
}

/// A member that is a list of strings, or one string.
///
/// # Errors
/// 400: it is something else.
pub(in crate::hub) fn list_member(
    members: &Map<String, Value>,
    name: &str,
) -> Result<Vec<String>, ApiError> {
    let wrong = || ApiError::wrong(format!("{name}: expected a list of strings"));
    match members.get(name) {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::String(text)) => Ok(vec![text.clone()]),
        Some(Value::Array(items)) => {
            let items = items.iter().map(|item| item.as_str().map(str::to_owned));
            items.collect::<Option<_>>().ok_or_else(wrong)
        }
        Some(_) => Err(wrong()),
    }
}
