//! Finds out who sends a request: a session, a token, or a user who has logged in at a reverse proxy.

use hyper::header;

use super::context::HubContext;
use super::request::HubRequest;
use crate::domain::is_deceptive;
use crate::hub::users::{AccessLimits, Role, User, check_user_name, digest_of};

/// The name of the cookie of a session, as in Cesi.
pub(in crate::hub) const SESSION_COOKIE: &str = "session";
/// The header with the user who has logged in at a reverse proxy.
const REMOTE_USER: &str = "x-remote-user";

/// How a request was authenticated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::hub) enum LoginProof {
    /// By the secret of a session.
    Session(String),
    /// By a token with this digest.
    Token(String),
    /// By a reverse proxy.
    RemoteUser,
}

/// The user who sends a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::hub) struct Principal {
    pub(in crate::hub) name: String,
    /// What the request may do: the user's role, or less with a token.
    pub(in crate::hub) role: Role,
    pub(in crate::hub) limits: AccessLimits,
    /// The user can do nothing before the password is changed.
    pub(in crate::hub) must_change_password: bool,
    pub(in crate::hub) proof: LoginProof,
}

impl Principal {
    fn new(user: &User, role: Role, proof: LoginProof) -> Self {
        Self {
            name: user.name.clone(),
            role: user.role.min(role),
            limits: user.limits.clone(),
            // A proxy checks passwords itself.
            must_change_password: user.must_change_password && proof != LoginProof::RemoteUser,
            proof,
        }
    }

    /// Whether a browser sends the proof by itself, also for a foreign page.
    pub(in crate::hub) fn is_ambient(&self) -> bool {
        !matches!(self.proof, LoginProof::Token(_))
    }

    /// The token in the forms of the user's pages. A foreign page cannot read it.
    pub(in crate::hub) fn form_token(&self, hub: &HubContext) -> String {
        match &self.proof {
            LoginProof::Session(secret) => digest_of(&format!("form {secret}")),
            LoginProof::Token(_) | LoginProof::RemoteUser => {
                digest_of(&format!("form {} {}", hub.form_key, self.name))
            }
        }
    }

    /// The same principal as it is now. `None`: the login has ended.
    pub(in crate::hub) fn renewed(&self, hub: &HubContext) -> Option<Self> {
        match &self.proof {
            LoginProof::Session(secret) => by_session(hub, secret),
            LoginProof::Token(digest) => by_token(hub, digest),
            // The stream of a user who has logged out at the proxy ends with its connection.
            LoginProof::RemoteUser => by_remote_user(hub, &self.name),
        }
    }
}

/// Returns who sends a request. `None`: nobody who is known.
pub(in crate::hub) fn authenticate(hub: &HubContext, request: &HubRequest) -> Option<Principal> {
    if let Some(value) = request.header(header::AUTHORIZATION.as_str()) {
        let (scheme, token) = value.split_once(' ')?;
        if scheme.eq_ignore_ascii_case("bearer") {
            return by_token(hub, &digest_of(token.trim()));
        }
    }
    if let Some(secret) = request.cookie(SESSION_COOKIE)
        && let Some(principal) = by_session(hub, secret)
    {
        return Some(principal);
    }
    let settings = hub.settings();
    let mut proxies = settings.remote_user_proxies.iter();
    if !proxies.any(|proxy| proxy.contains(request.peer)) {
        return None;
    }
    by_remote_user(hub, request.header(REMOTE_USER)?.trim())
}

fn by_session(hub: &HubContext, secret: &str) -> Option<Principal> {
    let name = hub.sessions.user_of(secret, HubContext::now())?;
    let user = hub.users.user(&name)?;
    let proof = LoginProof::Session(secret.to_owned());
    Some(Principal::new(&user, Role::Admin, proof))
}

/// A digest of 256 random bits tells nothing about another one, so the time of the comparison does not matter.
fn by_token(hub: &HubContext, digest: &str) -> Option<Principal> {
    let users = hub.users.all();
    let now = HubContext::now();
    users.iter().find_map(|user| {
        let token = user.tokens.iter().find(|token| token.digest == digest)?;
        let is_valid = token.expires.is_none_or(|expires| now < expires);
        let proof = LoginProof::Token(digest.to_owned());
        is_valid.then(|| Principal::new(user, token.role, proof))
    })
}

fn by_remote_user(hub: &HubContext, name: &str) -> Option<Principal> {
    if let Some(user) = hub.users.user(name) {
        return Some(Principal::new(&user, Role::Admin, LoginProof::RemoteUser));
    }
    let role = hub.settings().remote_user_role?;
    if check_user_name(name).is_err() || name.chars().any(is_deceptive) {
        return None;
    }
    Some(Principal {
        name: name.to_owned(),
        role,
        limits: AccessLimits::default(),
        must_change_password: false,
        proof: LoginProof::RemoteUser,
    })
}
