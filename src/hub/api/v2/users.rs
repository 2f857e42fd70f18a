//! Users, for admins.

use std::sync::Arc;

use serde_json::{Value, json};

use super::login::required;
use super::reply::{Reply, done, message, missing, success};
use crate::hub::activity::ActivityEvent;
use crate::hub::api::call::Call;
use crate::hub::api::error::ApiError;
use crate::hub::server::HubContext;
use crate::hub::users::{
    AccessLimits, PASSWORD_BYTES_MAX, Role, User, check_user_name, is_known_password,
};

/// `GET /users/`.
// Differs: in Cesi every user may read and delete users.
pub(in crate::hub::api) async fn users(hub: &Arc<HubContext>, _: Call) -> Reply {
    let users = hub.users.all();
    let users: Vec<Value> = users
        .iter()
        .map(|user| json!({"name": user.name, "type": user.role.user_type()}))
        .collect();
    success(&json!({"status": "success", "users": users}))
}

/// `POST /users/`.
// Differs: in Cesi one name that is taken makes all later calls about users fail.
pub(in crate::hub::api) async fn add_user(hub: &Arc<HubContext>, call: Call) -> Reply {
    let members = call.members();
    let [name, password, user_type] = required(&members, ["username", "password", "usertype"])?;
    let role = user_type.trim().parse().ok().and_then(Role::of_user_type);
    let role = role.ok_or_else(|| missing(&["usertype"]))?;
    if check_user_name(&name).is_err() {
        return Err(missing(&["username"]));
    }
    create_user(hub, &call, &name, &password, role, AccessLimits::default()).await?;
    message("User added")
}

/// Creates a user.
///
/// # Errors
/// 400: the name is taken, or the password too long.
pub(in crate::hub::api) async fn create_user(
    hub: &Arc<HubContext>,
    call: &Call,
    name: &str,
    password: &str,
    role: Role,
    limits: AccessLimits,
) -> Result<(), ApiError> {
    let taken = || format!("'{name}' username is not available. Please select different username");
    if hub.users.user(name).is_some() {
        return Err(ApiError::wrong(taken()));
    }
    if password.is_empty() || password.len() > PASSWORD_BYTES_MAX {
        return Err(missing(&["password"]));
    }
    let user = User {
        name: name.to_owned(),
        role,
        limits,
        password: hub.passwords.hash(password).await?,
        must_change_password: is_known_password(name, password),
        tokens: Vec::new(),
    };
    let change = hub.users.change(|users| {
        if users.iter().any(|other| other.name == user.name) {
            return Err(taken());
        }
        users.push(user);
        Ok(())
    });
    change.await?;
    call.record(hub, &ActivityEvent::UserAdded(name.to_owned()));
    Ok(())
}

/// `DELETE /users/U/`.
pub(in crate::hub::api) async fn delete_user(hub: &Arc<HubContext>, call: Call) -> Reply {
    remove_user(hub, &call, call.param("user")).await?;
    done()
}

/// Deletes a user with all sessions and tokens.
///
/// # Errors
/// 404: there is no such user. 403: it is `admin`, or the last admin.
pub(in crate::hub::api) async fn remove_user(
    hub: &Arc<HubContext>,
    call: &Call,
    name: &str,
) -> Result<(), ApiError> {
    const KEPT: &str = "Admin can't be deleted";
    if hub.users.user(name).is_none() {
        return Err(ApiError::not_found());
    }
    if name == "admin" {
        return Err(ApiError::forbidden(KEPT));
    }
    let change = hub.users.change(|users| {
        let is_admin = |user: &User| user.role == Role::Admin;
        let others = users.iter().filter(|user| user.name != name);
        let is_last = others.clone().count() < users.len() && !others.clone().any(is_admin);
        if is_last {
            return Ok(false);
        }
        users.retain(|user| user.name != name);
        Ok(true)
    });
    if !change.await? {
        return Err(ApiError::forbidden(KEPT));
    }
    hub.sessions.end_all(name, None).await?;
    call.record(hub, &ActivityEvent::UserDeleted(name.to_owned()));
    Ok(())
}
