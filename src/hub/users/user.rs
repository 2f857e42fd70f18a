//! A user, and the tokens of a user.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::access::AccessLimits;
use super::role::Role;
use crate::domain::is_deceptive;
use crate::sys;

/// Maximum length of a user name, in characters.
const NAME_CHARS_MAX: usize = 64;

/// A user, as the file of users keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::hub) struct User {
    /// The unique name.
    pub(in crate::hub) name: String,
    /// What the user may do.
    pub(in crate::hub) role: Role,
    /// Where.
    #[serde(default)]
    pub(in crate::hub) limits: AccessLimits,
    /// The hash of the password: argon2id as a PHC string, or one of Werkzeug until the next login. Empty: the user cannot
    /// log in with a password.
    #[serde(default)]
    pub(in crate::hub) password: String,
    /// The password is one that everybody knows. The user can do nothing before it is changed.
    #[serde(default)]
    pub(in crate::hub) must_change_password: bool,
    /// The tokens.
    #[serde(default)]
    pub(in crate::hub) tokens: Vec<StoredToken>,
}

/// A token for scripts. Only its digest is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::hub) struct StoredToken {
    /// The name, unique among the tokens of the user.
    pub(in crate::hub) name: String,
    /// See [`digest_of`].
    pub(in crate::hub) digest: String,
    /// What requests with it may do at most.
    pub(in crate::hub) role: Role,
    /// When it was created, in seconds since the epoch.
    pub(in crate::hub) created: i64,
    /// When it ends to be valid, in seconds since the epoch. `None`: never.
    #[serde(default)]
    pub(in crate::hub) expires: Option<i64>,
}

/// Checks the name of a user or of a token.
///
/// # Errors
/// What is wrong.
pub(in crate::hub) fn check_user_name(name: &str) -> Result<(), String> {
    let length = name.chars().count();
    if length == 0 || length > NAME_CHARS_MAX {
        return Err(format!("a name has 1 to {NAME_CHARS_MAX} characters"));
    }
    if name.trim() != name || name.chars().any(is_deceptive) {
        return Err("a name has no control characters, and no spaces at its ends".to_owned());
    }
    Ok(())
}

/// A new secret of 256 random bits, for a session or a token.
///
/// # Errors
/// The kernel has no random numbers.
pub(in crate::hub) fn new_secret() -> std::io::Result<String> {
    let mut bytes = [0; 32];
    for part in bytes.chunks_exact_mut(8) {
        part.copy_from_slice(&sys::random_seed()?.to_ne_bytes());
    }
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

/// The SHA-256 of a secret, in hexadecimal digits. A secret of 256 random bits needs no slow hash.
pub(in crate::hub) fn digest_of(secret: &str) -> String {
    let digest = Sha256::digest(secret.as_bytes());
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}
