//! Sessions of users who have logged in. The browser holds the secret, the hub only its digest, in a file that outlives a
//! restart.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

use super::state_file::{StateDirectory, StateError, read_state, write_state};
use super::user::{digest_of, new_secret};
use crate::http_server::blocking_pool::run_blocking;

/// Maximum number of sessions. A further one ends the oldest.
const SESSIONS_MAX: usize = 10_000;
/// Maximum number of sessions of one user. A further one ends the user's oldest.
const SESSIONS_PER_USER_MAX: usize = 50;
/// The name of the file.
const FILE: &str = "sessions.json";

/// One session.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Session {
    user: String,
    /// Seconds since the epoch.
    begun: i64,
    /// Seconds since the epoch.
    expires: i64,
}

/// The sessions, by the digest of their secret.
type SessionTable = HashMap<String, Session>;

/// A session that has just begun.
#[derive(Debug)]
pub(in crate::hub) struct NewSession {
    /// The secret, which only the browser keeps.
    pub(in crate::hub) secret: String,
    /// Seconds until it ends.
    pub(in crate::hub) seconds: i64,
}

/// All sessions.
#[derive(Debug)]
pub(in crate::hub) struct SessionStore {
    path: PathBuf,
    sessions: Mutex<SessionTable>,
    /// Held while the file is written.
    writing: tokio::sync::Mutex<()>,
}

impl SessionStore {
    /// Reads the file.
    ///
    /// # Errors
    /// See [`StateError`].
    pub(in crate::hub) fn open(directory: &StateDirectory) -> Result<Self, StateError> {
        let path = directory.file(FILE);
        Ok(Self {
            sessions: Mutex::new(read_state(&path)?.unwrap_or_default()),
            path,
            writing: tokio::sync::Mutex::default(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, SessionTable> {
        // Each change of the table is one call, so it is whole even after a panic.
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The user of a session. `None`: it is unknown or has ended. `now`: seconds since the epoch.
    pub(in crate::hub) fn user_of(&self, secret: &str, now: i64) -> Option<String> {
        let sessions = self.lock();
        let session = sessions.get(&digest_of(secret))?;
        (now < session.expires).then(|| session.user.clone())
    }

    /// Begins a session, and returns when it is in the file.
    ///
    /// # Errors
    /// The file cannot be written, or the kernel has no random numbers.
    pub(in crate::hub) async fn begin(
        &self,
        user: &str,
        now: i64,
        hours: u64,
    ) -> Result<NewSession, StateError> {
        let secret = new_secret().map_err(|error| StateError::Io(self.path.clone(), error))?;
        let seconds = i64::try_from(hours).unwrap_or(1).saturating_mul(3600);
        {
            let mut sessions = self.lock();
            sessions.retain(|_, session| now < session.expires);
            make_room(&mut sessions, Some(user), SESSIONS_PER_USER_MAX);
            make_room(&mut sessions, None, SESSIONS_MAX);
            let session = Session {
                user: user.to_owned(),
                begun: now,
                expires: now.saturating_add(seconds),
            };
            sessions.insert(digest_of(&secret), session);
        }
        self.write().await?;
        Ok(NewSession { secret, seconds })
    }

    /// Ends a session. Returns whether there was one.
    ///
    /// # Errors
    /// The file cannot be written; until the next restart the session has ended all the same.
    pub(in crate::hub) async fn end(&self, secret: &str) -> Result<bool, StateError> {
        let was_there = self.lock().remove(&digest_of(secret)).is_some();
        self.write().await?;
        Ok(was_there)
    }

    /// Ends all sessions of a user, but for the one with the secret `kept`.
    ///
    /// # Errors
    /// As [`SessionStore::end`].
    pub(in crate::hub) async fn end_all(
        &self,
        user: &str,
        kept: Option<&str>,
    ) -> Result<(), StateError> {
        let kept = kept.map(digest_of);
        self.lock().retain(|digest, session| {
            session.user != user || kept.as_ref().is_some_and(|kept| kept == digest)
        });
        self.write().await
    }

    async fn write(&self) -> Result<(), StateError> {
        let _writing = self.writing.lock().await;
        // The newest state: several changes may share one write.
        let (path, sessions) = (self.path.clone(), self.lock().clone());
        let written = run_blocking(move || write_state(&path, &sessions)).await;
        written.unwrap_or(Ok(()))
    }
}

/// Ends the oldest sessions, until there is room for one more among those of `user`. `None`: among all.
fn make_room(sessions: &mut SessionTable, user: Option<&str>, most: usize) {
    let mut own: Vec<(i64, String)> = sessions
        .iter()
        .filter(|(_, session)| user.is_none_or(|user| session.user == user))
        .map(|(digest, session)| (session.begun, digest.clone()))
        .collect();
    let surplus = (own.len() + 1).saturating_sub(most);
    own.sort_unstable();
    for (_, digest) in own.into_iter().take(surplus) {
        sessions.remove(&digest);
    }
}
