//! The first user of a hub without users.

use super::access::AccessLimits;
use super::password::hash_now;
use super::role::Role;
use super::user::User;
use crate::hub::settings::CesiSettings;

/// The user name and the password that everybody knows from Cesi's documentation.
const KNOWN: (&str, &str) = ("admin", "admin");

/// The admin whom `admin_username` and `admin_password` describe.
// Differs: Cesi ignores both keys, and its first user is always admin with the password admin.
pub(in crate::hub) fn first_user(settings: &CesiSettings) -> User {
    let login = (
        settings.admin_username.as_str(),
        settings.admin_password.as_str(),
    );
    User {
        name: login.0.to_owned(),
        role: Role::Admin,
        limits: AccessLimits::default(),
        // Without random numbers nobody can log in.
        password: hash_now(login.1).unwrap_or_default(),
        must_change_password: is_known_password(login.0, login.1),
        tokens: Vec::new(),
    }
}

/// Whether everybody knows the password of this user.
pub(in crate::hub) fn is_known_password(name: &str, password: &str) -> bool {
    (name, password) == KNOWN
}
