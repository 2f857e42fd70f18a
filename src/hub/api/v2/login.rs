//! Logging in and out, and the own password.

use std::sync::Arc;
use std::time::Instant;

use hyper::header;
use serde_json::{Map, Value, json};

use super::reply::{Reply, done, message, missing, success};
use crate::domain::VERSION;
use crate::hub::activity::ActivityEvent;
use crate::hub::api::call::Call;
use crate::hub::api::error::ApiError;
use crate::hub::server::{HubContext, HubRequest, LoginProof, SESSION_COOKIE};
use crate::hub::users::{PASSWORD_BYTES_MAX, is_known_password};

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

/// The value of `Set-Cookie` for a session.
fn cookie(request: &HubRequest, secret: &str, seconds: i64) -> String {
    let path = match request.base_path.as_str() {
        "" => "/",
        path => path,
    };
    let secure = if request.is_https { "; Secure" } else { "" };
    format!(
        "{SESSION_COOKIE}={secret}; HttpOnly; Path={path}; SameSite=Strict; Max-Age={seconds}{secure}"
    )
}

/// `POST /auth/login/`.
pub(in crate::hub::api) async fn login(hub: &Arc<HubContext>, call: Call) -> Reply {
    let [name, password] = required(&call.members(), ["username", "password"])?;
    let (address, now) = (call.request.address, Instant::now());
    if let Some(seconds) = hub.logins.wait(address, &name, now) {
        return Err(ApiError::too_many(seconds));
    }
    let user = hub.users.user(&name);
    let hash = user.as_ref().map(|user| user.password.as_str());
    let is_long = password.len() > PASSWORD_BYTES_MAX;
    let given = if is_long { "" } else { &password };
    let verdict = hub.passwords.check(given, hash).await?;
    let (Some(user), true, false) = (user, verdict.is_right, is_long) else {
        hub.logins.failed(address, &name, now);
        call.record_as(hub, &name, &ActivityEvent::LoginFailed);
        return Err(ApiError::forbidden("Invalid username/password"));
    };
    hub.logins.succeeded(address, &name);
    let must_change = user.must_change_password || is_known_password(&name, &password);
    if verdict.is_outdated || must_change != user.must_change_password {
        let hash = hub.passwords.hash(&password).await?;
        let change = hub.users.change(|users| {
            // Unless the password was changed meanwhile.
            let old = users.iter_mut().find(|old| old.name == name);
            if let Some(old) = old.filter(|old| old.password == user.password) {
                old.password = hash;
                old.must_change_password = must_change;
            }
            Ok(())
        });
        change.await?;
    }
    let hours = hub.settings().session_hours;
    let session = hub.sessions.begin(&name, HubContext::now(), hours).await?;
    call.record_as(hub, &name, &ActivityEvent::LoggedIn);
    let cookie = cookie(&call.request, &session.secret, session.seconds);
    let answer = message("Valid username/password")?;
    Ok(answer.with_header(header::SET_COOKIE, cookie))
}

/// `POST /auth/logout/`.
pub(in crate::hub::api) async fn logout(hub: &Arc<HubContext>, call: Call) -> Reply {
    let secret = match call.principal.as_ref().map(|user| &user.proof) {
        Some(LoginProof::Session(secret)) => secret.clone(),
        _ => return Err(ApiError::forbidden("You haven't already entered")),
    };
    hub.sessions.end(&secret).await?;
    call.record(hub, &ActivityEvent::LoggedOut);
    let answer = message("Logout")?;
    Ok(answer.with_header(header::SET_COOKIE, cookie(&call.request, "", 0)))
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
    let principal = call.user()?;
    let kept = match &principal.proof {
        LoginProof::Session(secret) => Some(secret.clone()),
        LoginProof::Token(_) => return Err(ApiError::forbidden("A token cannot do this")),
        LoginProof::RemoteUser => None,
    };
    let (name, address) = (principal.name.clone(), call.request.address);
    if let Some(seconds) = hub.logins.wait(address, &name, Instant::now()) {
        return Err(ApiError::too_many(seconds));
    }
    let user = hub.users.user(&name).ok_or_else(ApiError::not_found)?;
    let verdict = hub.passwords.check(&old, Some(&user.password)).await?;
    if !verdict.is_right {
        hub.logins.failed(address, &name, Instant::now());
        call.record(hub, &ActivityEvent::OldPasswordWrong);
        return Err(ApiError::wrong("Old password is wrong"));
    }
    if new.len() > PASSWORD_BYTES_MAX {
        return Err(missing(&["newPassword"]));
    }
    if is_known_password(&name, &new) {
        return Err(ApiError::wrong("Everybody knows this password"));
    }
    let hash = hub.passwords.hash(&new).await?;
    let change = hub.users.change(|users| {
        let changed = users.iter_mut().find(|changed| changed.name == name);
        let changed = changed.ok_or("The user was deleted")?;
        changed.password = hash;
        changed.must_change_password = false;
        Ok(())
    });
    change.await?;
    hub.sessions.end_all(&name, kept.as_deref()).await?;
    call.record(hub, &ActivityEvent::PasswordChanged);
    done()
}
