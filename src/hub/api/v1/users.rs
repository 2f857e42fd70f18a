//! Users, and the user who is logged in.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::reply::{Reply, created, done, ok};
use crate::hub::activity::ActivityEvent;
use crate::hub::api::call::{Call, text_member};
use crate::hub::api::error::ApiError;
use crate::hub::api::v2::{create_user, remove_user};
use crate::hub::server::HubContext;
use crate::hub::users::{
    AccessLimits, PASSWORD_BYTES_MAX, Role, User, check_user_name, is_known_password,
};

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

/// An admin could lift the own limits, so they would promise what does not hold.
fn check_limits(role: Role, limits: &AccessLimits) -> Result<(), String> {
    match role == Role::Admin && !limits.is_empty() {
        true => Err("limits: an admin has none".to_owned()),
        false => Ok(()),
    }
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
    check_limits(role, &limits).map_err(ApiError::wrong)?;
    create_user(hub, &call, &name, &password, role, limits).await?;
    let user = hub.users.user(&name);
    created(&user.as_ref().map(user_json))
}

/// `PATCH /api/v1/users/{user}`. A new password ends the user's sessions.
pub(in crate::hub::api) async fn change_user(hub: &Arc<HubContext>, call: Call) -> Reply {
    let members = call.checked_members(&["role", "limits", "password"])?;
    let (role, limits) = (role_member(&members)?, limits_member(&members)?);
    let name = call.param("user").to_owned();
    if hub.users.user(&name).is_none() {
        return Err(ApiError::unknown(format!("there is no user {name}")));
    }
    let password = text_member(&members, "password")?;
    let hash = match &password {
        Some(text) if text.is_empty() || text.len() > PASSWORD_BYTES_MAX => {
            let message = format!("password: expected 1 to {PASSWORD_BYTES_MAX} bytes");
            return Err(ApiError::wrong(message));
        }
        Some(text) if is_known_password(&name, text) => {
            return Err(ApiError::wrong("password: everybody knows it"));
        }
        Some(text) => Some(hub.passwords.hash(text).await?),
        None => None,
    };
    let has_password = hash.is_some();
    let change = hub.users.change(|users| {
        let is_other_admin = |user: &User| user.name != name && user.role == Role::Admin;
        let has_other_admin = users.iter().any(is_other_admin);
        let user = users.iter_mut().find(|user| user.name == name);
        let user = user.ok_or("the user was deleted")?;
        let new_role = role.unwrap_or(user.role);
        if new_role != Role::Admin && user.role == Role::Admin && !has_other_admin {
            return Err("role: this is the last admin".to_owned());
        }
        user.role = new_role;
        if let Some(limits) = limits {
            user.limits = limits;
        }
        check_limits(user.role, &user.limits)?;
        if let Some(hash) = hash {
            user.password = hash;
            user.must_change_password = false;
        }
        Ok(user_json(user))
    });
    let changed = change.await?;
    if has_password {
        hub.sessions.end_all(&name, None).await?;
    }
    call.record(hub, &ActivityEvent::UserChanged(name));
    ok(&changed)
}

/// `DELETE /api/v1/users/{user}`.
pub(in crate::hub::api) async fn delete_user(hub: &Arc<HubContext>, call: Call) -> Reply {
    remove_user(hub, &call, call.param("user")).await?;
    done()
}
