//! Finds out who sends a request. All endpoints of HTTP get their caller from here.

use std::sync::Arc;

use hyper::StatusCode;
use hyper::header::{self, HeaderMap};

use super::connection::HttpConnection;
use super::response::HandlerResponse;
use super::wrong_password;
use crate::api::Caller;
use crate::control::{self, Login, PasswordCheck, ServerLogins};

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
    Ok(Caller {
        login,
        token,
        access,
        ..peer.clone()
    })
}
