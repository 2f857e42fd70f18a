//! Finds out who sends a request. All endpoints of HTTP get their caller from here.

use std::sync::Arc;

use hyper::StatusCode;
use hyper::header::{self, HeaderMap, HeaderName};

use super::connection::HttpConnection;
use super::response::HandlerResponse;
use super::wrong_password;
use crate::api::{Caller, Permission};
use crate::control::{self, Login, PasswordCheck, ServerLogins};

/// The header with the user for whom a caller makes a request.
const FORWARDED_USER: HeaderName = HeaderName::from_static("x-supervisor-user");
/// Maximum length of that user's name in characters. A longer one is cut.
const FORWARDED_CHARS_MAX: usize = 64;

/// Returns the caller of a request: the peer as the transport identifies it, with the user name or token of the request.
///
/// # Errors
/// The refusal of a request without the right password or token, after the delay for wrong ones.
pub(super) async fn authenticate(
    connection: &Arc<HttpConnection>,
    headers: &HeaderMap,
) -> Result<Caller, HandlerResponse> {
    let authorization = headers.get(header::AUTHORIZATION);
    let tokens = match &connection.logins.tokens {
        None => None,
        // Without a header the tokens do not matter.
        Some(_) if authorization.is_none() => Some(Arc::default()),
        Some(store) => Some(store.current(&connection.shared.log).await),
    };
    let logins = ServerLogins {
        credentials: connection.logins.credentials.as_ref(),
        tokens: tokens.as_deref(),
    };
    let verdict = control::check_password(logins, authorization.map(|value| value.as_bytes()));
    let login = match verdict {
        PasswordCheck::Welcome(login) => login,
        // Browsers first ask without credentials, to learn that a password is needed.
        PasswordCheck::Challenge if authorization.is_none() => {
            return Err(HandlerResponse::Challenge);
        }
        PasswordCheck::Challenge => {
            let answer = HandlerResponse::Challenge;
            return Err(wrong_password::password_failed(connection, answer).await);
        }
        PasswordCheck::Undecodable => {
            let answer = HandlerResponse::Error(StatusCode::BAD_REQUEST);
            return Err(wrong_password::password_failed(connection, answer).await);
        }
    };
    if login != Login::Anonymous {
        wrong_password::password_accepted(connection);
    }
    let peer = &connection.caller;
    let access = control::access_for_login(connection.logins.rules.as_deref(), peer, &login);
    let (login, token) = match login {
        Login::Anonymous => (None, None),
        Login::User(name) => (Some(name.to_owned()), None),
        Login::Token(token) => (None, Some(token.name.clone())),
    };
    let caller = Caller {
        login,
        token,
        access,
        ..peer.clone()
    };
    Ok(with_forwarded_user(caller, headers))
}

/// Adds the user that the header names, if the caller may name one. The name gives no permission: everything is decided by
/// the caller's own.
fn with_forwarded_user(caller: Caller, headers: &HeaderMap) -> Caller {
    let Some(value) = headers.get(FORWARDED_USER) else {
        return caller;
    };
    let name = std::str::from_utf8(value.as_bytes()).unwrap_or_default();
    if name.is_empty() || control::grant_for(&caller, Permission::ForwardUser).is_err() {
        return caller;
    }
    Caller {
        forwarded_user: Some(name.chars().take(FORWARDED_CHARS_MAX).collect()),
        ..caller
    }
}
