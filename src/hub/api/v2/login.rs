//! Logging in and out, and the own password.

use std::sync::Arc;

use hyper::header;
use serde_json::{Map, Value, json};

use super::reply::{Reply, done, message, missing, success};
use crate::domain::VERSION;
use crate::hub::api::call::Call;
use crate::hub::api::error::ApiError;
use crate::hub::api::session::{PasswordError, change_own_password, log_in, log_out};
use crate::hub::server::HubContext;

/// `GET /api/version`.
pub(in crate::hub::api) async fn version(_: &Arc<HubContext>, _: Call) -> Reply {
    success(&json!({"status": "success", "version": VERSION}))
}

/// The members of a body that are texts.
///
/// # Errors
/// 400 with all that are missing or empty.
pub(super) fn required<const COUNT: usize>(
    members: &Map<String, Value>,
    names: [&'static str; COUNT],
) -> Result<[String; COUNT], ApiError> {
    let text = |name: &&str| match members.get(*name) {
        Some(Value::String(text)) if !text.is_empty() => Some(text.clone()),
        // User types may be numbers.
        Some(Value::Number(number)) => Some(number.to_string()),
        _ => None,
    };
    let absent: Vec<&str> = names
        .iter()
        .filter(|name| text(name).is_none())
        .copied()
        .collect();
    match absent.is_empty() {
        true => Ok(names.map(|name| text(&name).unwrap_or_default())),
        false => Err(missing(&absent)),
    }
}

/// `POST /auth/login/`.
pub(in crate::hub::api) async fn login(hub: &Arc<HubContext>, call: Call) -> Reply {
    let [name, password] = required(&call.members(), ["username", "password"])?;
    let logged_in = log_in(hub, &call.request, &name, &password).await?;
    let answer = message("Valid username/password")?;
    Ok(answer.with_header(header::SET_COOKIE, logged_in.cookie))
}

/// `POST /auth/logout/`.
pub(in crate::hub::api) async fn logout(hub: &Arc<HubContext>, call: Call) -> Reply {
    let ended = log_out(hub, &call).await?;
    let cookie = ended.ok_or_else(|| ApiError::forbidden("You haven't already entered"))?;
    Ok(message("Logout")?.with_header(header::SET_COOKIE, cookie))
}

/// `GET /profile/`.
pub(in crate::hub::api) async fn profile(_: &Arc<HubContext>, call: Call) -> Reply {
    let user = call.user()?;
    let user = json!({"name": user.name, "type": user.role.user_type()});
    success(&json!({"status": "success", "user": user}))
}

/// `PUT /profile/password/`. All other sessions of the user end.
pub(in crate::hub::api) async fn change_password(hub: &Arc<HubContext>, call: Call) -> Reply {
    let names = ["oldPassword", "newPassword"];
    let [old, new] = required(&call.members(), names)?;
    match change_own_password(hub, &call, &old, &new).await {
        Ok(()) => done(),
        Err(PasswordError::TooLong) => Err(missing(&["newPassword"])),
        Err(error) => Err(error.into()),
    }
}
