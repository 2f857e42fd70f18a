//! Users, and the user who is logged in.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::reply::{Reply, created, done, ok};
use crate::hub::api::call::{Call, text_member};
use crate::hub::api::error::ApiError;
use crate::hub::api::manage_users::{self, UserChange, create_user, remove_user};
use crate::hub::server::HubContext;
use crate::hub::users::{AccessLimits, Role, User, check_user_name};

/// `GET /api/v1/session`.
pub(in crate::hub::api) async fn session(_: &Arc<HubContext>, call: Call) -> Reply {
    let user = call.user()?;
    ok(&json!({
        "name": user.name,
        "role": user.role,
        "limits": user.limits,
        "must_change_password": user.must_change_password,
    }))
}

fn user_json(user: &User) -> Value {
    json!({
        "name": user.name,
        "role": user.role,
        "limits": user.limits,
        "must_change_password": user.must_change_password,
        "tokens": user.tokens.len(),
    })
}

/// `GET /api/v1/users`.
pub(in crate::hub::api) async fn users(hub: &Arc<HubContext>, _: Call) -> Reply {
    let users = hub.users.all();
    let users: Vec<Value> = users.iter().map(user_json).collect();
    ok(&json!({"users": users}))
}

fn role_member(members: &Map<String, Value>) -> Result<Option<Role>, ApiError> {
    let word = text_member(members, "role")?;
    let role = word.map(|word| {
        let wrong = || ApiError::wrong("role: expected viewer, operator or admin");
        Role::named(&word).ok_or_else(wrong)
    });
    role.transpose()
}

fn limits_member(members: &Map<String, Value>) -> Result<Option<AccessLimits>, ApiError> {
    let Some(value) = members.get("limits") else {
        return Ok(None);
    };
    let wrong = |error: &str| ApiError::wrong(format!("limits: {error}"));
    let limits: AccessLimits =
        serde_json::from_value(value.clone()).map_err(|error| wrong(&error.to_string()))?;
    limits.check().map_err(|error| wrong(&error))?;
    Ok(Some(limits))
}

/// `POST /api/v1/users`.
pub(in crate::hub::api) async fn add_user(hub: &Arc<HubContext>, call: Call) -> Reply {
    let members = call.checked_members(&["name", "password", "role", "limits"])?;
    let needed = |name: &str| {
        let text = text_member(&members, name)?;
        text.ok_or_else(|| ApiError::wrong(format!("{name}: is missing")))
    };
    let (name, password) = (needed("name")?, needed("password")?);
    check_user_name(&name).map_err(|error| ApiError::wrong(format!("name: {error}")))?;
    let role = role_member(&members)?.ok_or_else(|| ApiError::wrong("role: is missing"))?;
    let limits = limits_member(&members)?.unwrap_or_default();
    create_user(hub, &call, &name, &password, role, limits).await?;
    let user = hub.users.user(&name);
    created(&user.as_ref().map(user_json))
}

/// `PATCH /api/v1/users/{user}`. A new password ends the user's sessions.
pub(in crate::hub::api) async fn change_user(hub: &Arc<HubContext>, call: Call) -> Reply {
    let members = call.checked_members(&["role", "limits", "password"])?;
    let change = UserChange {
        role: role_member(&members)?,
        limits: limits_member(&members)?,
        password: text_member(&members, "password")?,
    };
    let changed = manage_users::change_user(hub, &call, call.param("user"), change).await?;
    ok(&user_json(&changed))
}

/// `DELETE /api/v1/users/{user}`.
pub(in crate::hub::api) async fn delete_user(hub: &Arc<HubContext>, call: Call) -> Reply {
    remove_user(hub, &call, call.param("user")).await?;
    done()
}
