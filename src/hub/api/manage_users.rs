//! Adds, changes and deletes users: what the interfaces and the pages share.

use std::sync::Arc;

use super::call::Call;
use super::error::ApiError;
use crate::hub::activity::ActivityEvent;
use crate::hub::server::HubContext;
use crate::hub::users::{AccessLimits, PASSWORD_BYTES_MAX, Role, User, is_known_password};

/// An admin could lift the own limits, so they would promise what does not hold.
fn check_limits(role: Role, limits: &AccessLimits) -> Result<(), String> {
    match role == Role::Admin && !limits.is_empty() {
        true => Err("limits: an admin has none".to_owned()),
        false => Ok(()),
    }
}

/// Creates a user.
///
/// # Errors
/// 400: the name is taken, the password too long, or an admin would have limits.
pub(in crate::hub) async fn create_user(
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
    check_limits(role, &limits).map_err(ApiError::wrong)?;
    if password.is_empty() || password.len() > PASSWORD_BYTES_MAX {
        return Err(ApiError::wrong(
            "Please enter valid value for 'password' fields",
        ));
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

/// What to change of a user. `None`: it stays.
pub(in crate::hub) struct UserChange {
    pub(in crate::hub) role: Option<Role>,
    pub(in crate::hub) limits: Option<AccessLimits>,
    pub(in crate::hub) password: Option<String>,
}

/// Changes a user, and returns it as it is now. A new password ends the user's sessions.
///
/// # Errors
/// 404: there is no such user. 400: the password is empty, too long or well known, an admin would have limits, or there would
/// be no admin.
pub(in crate::hub) async fn change_user(
    hub: &Arc<HubContext>,
    call: &Call,
    name: &str,
    change: UserChange,
) -> Result<User, ApiError> {
    if hub.users.user(name).is_none() {
        return Err(ApiError::unknown(format!("there is no user {name}")));
    }
    let hash = match &change.password {
        Some(text) if text.is_empty() || text.len() > PASSWORD_BYTES_MAX => {
            let message = format!("password: expected 1 to {PASSWORD_BYTES_MAX} bytes");
            return Err(ApiError::wrong(message));
        }
        Some(text) if is_known_password(name, text) => {
            return Err(ApiError::wrong("password: everybody knows it"));
        }
        Some(text) => Some(hub.passwords.hash(text).await?),
        None => None,
    };
    let has_password = hash.is_some();
    let changed = hub.users.change(|users| {
        let is_other_admin = |user: &User| user.name != name && user.role == Role::Admin;
        let has_other_admin = users.iter().any(is_other_admin);
        let user = users.iter_mut().find(|user| user.name == name);
        let user = user.ok_or("the user was deleted")?;
        let new_role = change.role.unwrap_or(user.role);
        if new_role != Role::Admin && user.role == Role::Admin && !has_other_admin {
            return Err("role: this is the last admin".to_owned());
        }
        user.role = new_role;
        if let Some(limits) = change.limits {
            user.limits = limits;
        }
        check_limits(user.role, &user.limits)?;
        if let Some(hash) = hash {
            user.password = hash;
            user.must_change_password = false;
        }
        Ok(user.clone())
    });
    let changed = changed.await?;
    if has_password {
        hub.sessions.end_all(name, None).await?;
    }
    call.record(hub, &ActivityEvent::UserChanged(name.to_owned()));
    Ok(changed)
}

/// Deletes a user with all sessions and tokens.
///
/// # Errors
/// 404: there is no such user. 403: it is `admin`, or the last admin.
pub(in crate::hub) async fn remove_user(
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
