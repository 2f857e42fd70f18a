//! The tokens of the user who is logged in.

use std::sync::Arc;

use serde_json::{Value, json};

use super::reply::{Reply, created, done, ok};
use crate::hub::activity::ActivityEvent;
use crate::hub::api::call::{Call, text_member};
use crate::hub::api::error::ApiError;
use crate::hub::server::{HubContext, LoginProof};
use crate::hub::users::{Role, StoredToken, check_user_name, digest_of, new_secret};

/// Maximum number of days that a token is valid.
const DAYS_MAX: i64 = 3650;
const DAY_SECONDS: i64 = 86_400;

fn token_json(token: &StoredToken) -> Value {
    json!({
        "name": token.name,
        "role": token.role,
        "created": token.created,
        "expires": token.expires,
    })
}

/// `GET /api/v1/tokens`.
pub(in crate::hub::api) async fn tokens(hub: &Arc<HubContext>, call: Call) -> Reply {
    let user = hub.users.user(&call.user()?.name);
    let tokens = user.map(|user| user.tokens).unwrap_or_default();
    let tokens: Vec<Value> = tokens.iter().map(token_json).collect();
    ok(&json!({"tokens": tokens}))
}

/// Refuses a token: one that leaked must not make others, which outlive it.
fn check_proof(call: &Call) -> Result<(), ApiError> {
    match call.user()?.proof {
        LoginProof::Token(_) => Err(ApiError::forbidden("a token cannot change tokens")),
        LoginProof::Session(_) | LoginProof::RemoteUser => Ok(()),
    }
}

/// `POST /api/v1/tokens`.
pub(in crate::hub::api) async fn add_token(hub: &Arc<HubContext>, call: Call) -> Reply {
    check_proof(&call)?;
    let members = call.checked_members(&["name", "role", "expires_days"])?;
    let name = text_member(&members, "name")?.unwrap_or_default();
    check_user_name(&name).map_err(|error| ApiError::wrong(format!("name: {error}")))?;
    let user = call.user()?;
    let role = match text_member(&members, "role")? {
        None => user.role,
        Some(word) => {
            let role = Role::named(&word).filter(|role| *role <= user.role);
            role.ok_or_else(|| ApiError::wrong("role: expected one that is not above the own one"))?
        }
    };
    let now = HubContext::now();
    let expires = match members.get("expires_days") {
        None | Some(Value::Null) => None,
        Some(days) => {
            let days = days.as_i64().filter(|days| (1..=DAYS_MAX).contains(days));
            let wrong = || format!("expires_days: expected a number from 1 to {DAYS_MAX}");
            let days = days.ok_or_else(|| ApiError::wrong(wrong()))?;
            Some(now + days * DAY_SECONDS)
        }
    };
    let secret = new_secret().map_err(|error| {
        let status = hyper::StatusCode::INTERNAL_SERVER_ERROR;
        ApiError::new(status, format!("no random numbers: {error}"))
    })?;
    let token = StoredToken {
        name: name.clone(),
        digest: digest_of(&secret),
        role,
        created: now,
        expires,
    };
    let mut answer = token_json(&token);
    let owner = user.name.clone();
    let change = hub.users.change(|users| {
        let user = users.iter_mut().find(|user| user.name == owner);
        let user = user.ok_or("only users of the hub have tokens")?;
        if user.tokens.iter().any(|other| other.name == token.name) {
            return Err("name: another token has it".to_owned());
        }
        user.tokens.push(token);
        Ok(())
    });
    change.await?;
    call.record(hub, &ActivityEvent::TokenAdded(name));
    if let Some(members) = answer.as_object_mut() {
        members.insert("token".to_owned(), Value::String(secret));
    }
    created(&answer)
}

/// `DELETE /api/v1/tokens/{token}`.
pub(in crate::hub::api) async fn delete_token(hub: &Arc<HubContext>, call: Call) -> Reply {
    check_proof(&call)?;
    let (owner, name) = (call.user()?.name.clone(), call.param("token").to_owned());
    let change = hub.users.change(|users| {
        let user = users.iter_mut().find(|user| user.name == owner);
        let Some(user) = user else {
            return Ok(false);
        };
        let before = user.tokens.len();
        user.tokens.retain(|token| token.name != name);
        Ok(user.tokens.len() < before)
    });
    if !change.await? {
        return Err(ApiError::unknown(format!("there is no token {name}")));
    }
    call.record(hub, &ActivityEvent::TokenDeleted(name));
    done()
}
