//! The users in memory and in their file. Readers take a snapshot; changes happen one after another, and are in the file
//! before they count.

use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};

use serde::{Deserialize, Serialize};

use super::state_file::{StateDirectory, StateError, read_state, write_state};
use super::user::User;
use crate::http_server::blocking_pool::run_blocking;

/// Maximum number of users.
const USERS_MAX: usize = 10_000;
/// Maximum number of tokens of a user.
const TOKENS_MAX: usize = 100;
/// The name of the file.
const FILE: &str = "users.json";

/// The content of the file.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct UserFile {
    users: Vec<User>,
}

/// Why a change of the users was refused.
#[derive(Debug, thiserror::Error)]
pub(in crate::hub) enum UserStoreError {
    /// The change itself is refused, for this reason.
    #[error("{0}")]
    Refused(String),
    /// There are too many users or tokens.
    #[error("there are too many users or tokens")]
    Full,
    /// The file cannot be written.
    #[error(transparent)]
    State(#[from] StateError),
}

/// All users.
#[derive(Debug)]
pub(in crate::hub) struct UserStore {
    path: PathBuf,
    users: RwLock<Arc<Vec<User>>>,
    /// Held by the change that is being written.
    writing: tokio::sync::Mutex<()>,
}

impl UserStore {
    /// Reads the file. Without a file, the only user is the one that `first` makes.
    ///
    /// # Errors
    /// See [`StateError`].
    pub(in crate::hub) fn open(
        directory: &StateDirectory,
        first: impl FnOnce() -> User,
    ) -> Result<Self, StateError> {
        let path = directory.file(FILE);
        let users = match read_state::<UserFile>(&path)? {
            Some(file) => file.users,
            None => {
                let file = UserFile {
                    users: vec![first()],
                };
                write_state(&path, &file)?;
                file.users
            }
        };
        Ok(Self {
            path,
            users: RwLock::new(Arc::new(users)),
            writing: tokio::sync::Mutex::default(),
        })
    }

    /// All users as they are now, by name.
    pub(in crate::hub) fn all(&self) -> Arc<Vec<User>> {
        let users = self.users.read().unwrap_or_else(PoisonError::into_inner);
        users.clone()
    }

    /// A user. `None`: there is none with this name.
    pub(in crate::hub) fn user(&self, name: &str) -> Option<User> {
        self.all().iter().find(|user| user.name == name).cloned()
    }

    /// Changes the users, and returns when the file is on the disk.
    ///
    /// # Errors
    /// What `change` returns, or that the file cannot be written; the users are then as they were.
    pub(in crate::hub) async fn change<T>(
        &self,
        change: impl FnOnce(&mut Vec<User>) -> Result<T, String>,
    ) -> Result<T, UserStoreError> {
        let _writing = self.writing.lock().await;
        let mut users = self.all().as_ref().clone();
        let result = change(&mut users).map_err(UserStoreError::Refused)?;
        users.sort_by(|one, other| one.name.cmp(&other.name));
        let is_full =
            users.len() > USERS_MAX || users.iter().any(|user| user.tokens.len() > TOKENS_MAX);
        if is_full {
            return Err(UserStoreError::Full);
        }
        let (path, file) = (self.path.clone(), UserFile { users });
        let written = run_blocking(move || write_state(&path, &file).map(|()| file.users)).await;
        let lost = || UserStoreError::Refused("the users cannot be written".to_owned());
        let users = written.ok_or_else(lost)??;
        *self.users.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(users);
        Ok(result)
    }
}
