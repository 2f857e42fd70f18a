//! Users: roles, what each may reach, passwords, tokens, and the file that keeps them.

mod access;
mod cesi_database;
mod cesi_password;
mod first_user;
mod login_limit;
mod password;
mod role;
mod sessions;
mod state_file;
mod store;
mod user;

pub use access::AccessLimits;
pub(in crate::hub) use cesi_database::import_database;
pub(in crate::hub) use first_user::{first_user, is_known_password};
pub(in crate::hub) use login_limit::LoginLimiter;
pub(in crate::hub) use password::{PASSWORD_BYTES_MAX, PasswordBusy, PasswordHasher};
pub use role::Role;
pub(in crate::hub) use sessions::SessionStore;
pub(in crate::hub) use state_file::{StateDirectory, StateError};
pub(in crate::hub) use store::{UserStore, UserStoreError};
pub(in crate::hub) use user::{StoredToken, User, check_user_name, digest_of, new_secret};
