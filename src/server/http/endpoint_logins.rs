//! Who has access to a server.

use std::sync::Arc;

use super::token_store::TokenStore;
use crate::config::spec::{AllowRule, Credentials};

/// Who has access to one server.
#[derive(Debug, Default)]
pub(in crate::server) struct EndpointLogins {
    /// `None`: no password.
    pub(in crate::server) credentials: Option<Credentials>,
    /// `None`: no tokens.
    pub(in crate::server) tokens: Option<Arc<TokenStore>>,
    /// Permissions by user. `None`: no restriction.
    pub(in crate::server) rules: Option<Arc<[AllowRule]>>,
}

impl EndpointLogins {
    /// Whether a request needs a password or a token.
    pub(in crate::server) fn are_required(&self) -> bool {
        self.credentials.is_some() || self.tokens.is_some()
    }
}
