//! Logging in and out, and the own password: what the interfaces and the pages share.

use std::sync::Arc;
use std::time::Instant;

use super::call::Call;
use super::error::ApiError;
use crate::hub::activity::ActivityEvent;
use crate::hub::server::{HubContext, HubRequest, LoginProof, SESSION_COOKIE};
use crate::hub::users::{PASSWORD_BYTES_MAX, is_known_password};

/// A session that has begun.
pub(in crate::hub) struct LoggedIn {
    /// The value of `Set-Cookie`.
    pub(in crate::hub) cookie: String,
    /// The user can do nothing before the password is changed.
    pub(in crate::hub) must_change_password: bool,
}

/// Why somebody could not log in.
#[derive(Debug)]
pub(in crate::hub) enum LoginError {
    /// The user name or the password is wrong.
    Wrong,
    /// There were too many wrong passwords. It is worth another attempt after so many seconds.
    TooMany(u64),
    /// Something else failed.
    Other(ApiError),
}

/// Why the own password was not changed.
#[derive(Debug)]
pub(in crate::hub) enum PasswordError {
    /// The present password is not the one that was given.
    OldWrong,
    /// The new one is longer than [`PASSWORD_BYTES_MAX`].
    TooLong,
    /// Everybody knows the new one.
    Known,
    /// There were too many wrong passwords. It is worth another attempt after so many seconds.
    TooMany(u64),
    /// Something else failed.
    Other(ApiError),
}

impl LoginError {
    fn other(error: impl Into<ApiError>) -> Self {
        Self::Other(error.into())
    }
}

impl PasswordError {
    fn other(error: impl Into<ApiError>) -> Self {
        Self::Other(error.into())
    }
}

impl From<LoginError> for ApiError {
    fn from(error: LoginError) -> Self {
        match error {
            LoginError::Wrong => Self::forbidden("Invalid username/password"),
            LoginError::TooMany(seconds) => Self::too_many(seconds),
            LoginError::Other(error) => error,
        }
    }
}

impl From<PasswordError> for ApiError {
    fn from(error: PasswordError) -> Self {
        match error {
            PasswordError::OldWrong => Self::wrong("Old password is wrong"),
            PasswordError::TooLong => Self::wrong("The new password is too long"),
            PasswordError::Known => Self::wrong("Everybody knows this password"),
            PasswordError::TooMany(seconds) => Self::too_many(seconds),
            PasswordError::Other(error) => error,
        }
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

/// Begins a session.
///
/// # Errors
/// See [`LoginError`].
pub(in crate::hub) async fn log_in(
    hub: &Arc<HubContext>,
    request: &HubRequest,
    name: &str,
    password: &str,
) -> Result<LoggedIn, LoginError> {
    let (address, now) = (request.address, Instant::now());
    if let Some(seconds) = hub.logins.wait(address, name, now) {
        return Err(LoginError::TooMany(seconds));
    }
    let user = hub.users.user(name);
    let hash = user.as_ref().map(|user| user.password.as_str());
    let is_long = password.len() > PASSWORD_BYTES_MAX;
    let given = if is_long { "" } else { password };
    let verdict = hub
        .passwords
        .check(given, hash)
        .await
        .map_err(LoginError::other)?;
    let (Some(user), true, false) = (user, verdict.is_right, is_long) else {
        hub.logins.failed(address, name, now);
        hub.record(name, &address.to_string(), &ActivityEvent::LoginFailed);
        return Err(LoginError::Wrong);
    };
    hub.logins.succeeded(address, name);
    let must_change = user.must_change_password || is_known_password(name, password);
    if verdict.is_outdated || must_change != user.must_change_password {
        let hash = hub
            .passwords
            .hash(password)
            .await
            .map_err(LoginError::other)?;
        let change = hub.users.change(|users| {
            // Unless the password was changed meanwhile.
            let old = users.iter_mut().find(|old| old.name == name);
            if let Some(old) = old.filter(|old| old.password == user.password) {
                old.password = hash;
                old.must_change_password = must_change;
            }
            Ok(())
        });
        change.await.map_err(LoginError::other)?;
    }
    let hours = hub.settings().session_hours;
    let session = hub.sessions.begin(name, HubContext::now(), hours);
    let session = session.await.map_err(LoginError::other)?;
    hub.record(name, &address.to_string(), &ActivityEvent::LoggedIn);
    Ok(LoggedIn {
        cookie: cookie(request, &session.secret, session.seconds),
        must_change_password: must_change,
    })
}

/// Ends the session of a call. Returns the value of `Set-Cookie`. `None`: the call has no session.
///
/// # Errors
/// The state of the hub cannot be written.
pub(in crate::hub) async fn log_out(
    hub: &Arc<HubContext>,
    call: &Call,
) -> Result<Option<String>, ApiError> {
    let secret = match call.principal.as_ref().map(|user| &user.proof) {
        Some(LoginProof::Session(secret)) => secret.clone(),
        _ => return Ok(None),
    };
    hub.sessions.end(&secret).await?;
    call.record(hub, &ActivityEvent::LoggedOut);
    Ok(Some(cookie(&call.request, "", 0)))
}

/// Changes the password of the user. All other sessions of the user end.
///
/// # Errors
/// See [`PasswordError`].
pub(in crate::hub) async fn change_own_password(
    hub: &Arc<HubContext>,
    call: &Call,
    old: &str,
    new: &str,
) -> Result<(), PasswordError> {
    let principal = call.user().map_err(PasswordError::Other)?;
    let kept = match &principal.proof {
        LoginProof::Session(secret) => Some(secret.clone()),
        LoginProof::Token(_) => {
            let error = ApiError::forbidden("A token cannot do this");
            return Err(PasswordError::Other(error));
        }
        LoginProof::RemoteUser => None,
    };
    let (name, address) = (principal.name.clone(), call.request.address);
    if let Some(seconds) = hub.logins.wait(address, &name, Instant::now()) {
        return Err(PasswordError::TooMany(seconds));
    }
    let user = hub.users.user(&name);
    let user = user.ok_or_else(|| PasswordError::Other(ApiError::not_found()))?;
    let verdict = hub
        .passwords
        .check(old, Some(&user.password))
        .await
        .map_err(PasswordError::other)?;
    if !verdict.is_right {
        hub.logins.failed(address, &name, Instant::now());
        call.record(hub, &ActivityEvent::OldPasswordWrong);
        return Err(PasswordError::OldWrong);
    }
    if new.len() > PASSWORD_BYTES_MAX {
        return Err(PasswordError::TooLong);
    }
    if is_known_password(&name, new) {
        return Err(PasswordError::Known);
    }
    let hash = hub
        .passwords
        .hash(new)
        .await
        .map_err(PasswordError::other)?;
    let change = hub.users.change(|users| {
        let changed = users.iter_mut().find(|changed| changed.name == name);
        let changed = changed.ok_or("The user was deleted")?;
        changed.password = hash;
        changed.must_change_password = false;
        Ok(())
    });
    change.await.map_err(PasswordError::other)?;
    let ended = hub.sessions.end_all(&name, kept.as_deref()).await;
    ended.map_err(PasswordError::other)?;
    call.record(hub, &ActivityEvent::PasswordChanged);
    Ok(())
}
