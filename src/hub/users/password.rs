//! Hashes passwords with argon2id, away from the event loop, and only a few at a time: a flood of logins must neither use
//! all memory nor delay other requests.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use argon2::password_hash::{PasswordHash, PasswordHasher as _, PasswordVerifier as _, SaltString};
use argon2::{Algorithm, Argon2, Params, Version};
use tokio::sync::Semaphore;

use super::cesi_password;
use crate::http_server::blocking_pool::run_blocking;
use crate::sys;

/// Memory of one hash in KiB, its passes and its lanes.
///
/// # Source
/// OWASP Password Storage Cheat Sheet: the least that it recommends for argon2id.
const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
const LANES: u32 = 1;
/// Maximum length of a password, in bytes.
pub(in crate::hub) const PASSWORD_BYTES_MAX: usize = 1024;
/// Maximum number of hashes that are computed at a time. Each needs 19 MiB.
const RUNNING_MAX: usize = 2;
/// Maximum number of logins that wait for their turn.
const WAITING_MAX: usize = 32;
/// A hash of no password, so that an unknown user takes as long as a known one.
const NOBODY: &str = "$argon2id$v=19$m=19456,t=2,p=1$c3VwZXJ2aXNvcmQtaHVi$\
    GwFPzMsRsHsVsIO6ANbfGY3EH0pXR1b3kmh2dBGV0Mw";

/// Too many passwords are being checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::hub) struct PasswordBusy;

/// The result of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::hub) struct PasswordVerdict {
    pub(in crate::hub) is_right: bool,
    /// The hash is not one that [`PasswordHasher::hash`] makes now, so it should be replaced.
    pub(in crate::hub) is_outdated: bool,
}

/// Hashes and checks passwords.
#[derive(Debug)]
pub(in crate::hub) struct PasswordHasher {
    running: Semaphore,
    waiting: AtomicUsize,
}

impl PasswordHasher {
    pub(in crate::hub) fn new() -> Arc<Self> {
        Arc::new(Self {
            running: Semaphore::new(RUNNING_MAX),
            waiting: AtomicUsize::new(0),
        })
    }

    /// Returns the hash of a password.
    ///
    /// # Errors
    /// [`PasswordBusy`].
    pub(in crate::hub) async fn hash(&self, password: &str) -> Result<String, PasswordBusy> {
        let password = password.to_owned();
        self.run(move || hash_now(&password)).await
    }

    /// Checks a password. `hash`: that of the user. `None`: there is no such user.
    ///
    /// # Errors
    /// [`PasswordBusy`].
    pub(in crate::hub) async fn check(
        &self,
        password: &str,
        hash: Option<&str>,
    ) -> Result<PasswordVerdict, PasswordBusy> {
        let (password, hash) = (password.to_owned(), hash.map(str::to_owned));
        self.run(move || Some(check_now(&password, hash.as_deref())))
            .await
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Option<T> + Send + 'static,
    ) -> Result<T, PasswordBusy> {
        if self.waiting.fetch_add(1, Ordering::Relaxed) >= WAITING_MAX + RUNNING_MAX {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            return Err(PasswordBusy);
        }
        let _waiting = WaitingGuard(&self.waiting);
        let _permit = self.running.acquire().await.map_err(|_| PasswordBusy)?;
        run_blocking(work).await.flatten().ok_or(PasswordBusy)
    }
}

struct WaitingGuard<'a>(&'a AtomicUsize);

impl Drop for WaitingGuard<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

fn argon2() -> Option<Argon2<'static>> {
    let params = Params::new(MEMORY_KIB, PASSES, LANES, None).ok()?;
    Some(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

/// Hashes a password at once. `None`: the kernel has no random numbers.
pub(super) fn hash_now(password: &str) -> Option<String> {
    let mut salt = [0; 16];
    for part in salt.chunks_exact_mut(8) {
        part.copy_from_slice(&sys::random_seed().ok()?.to_ne_bytes());
    }
    let salt = SaltString::encode_b64(&salt).ok()?;
    let hash = argon2()?.hash_password(password.as_bytes(), &salt).ok()?;
    Some(hash.to_string())
}

fn check_now(password: &str, hash: Option<&str>) -> PasswordVerdict {
    let (hash, is_known) = match hash {
        Some(hash) if !hash.is_empty() => (hash, true),
        _ => (NOBODY, false),
    };
    if let Some(is_right) = cesi_password::check(password, hash) {
        return PasswordVerdict {
            is_right,
            is_outdated: true,
        };
    }
    let parsed = PasswordHash::new(hash).ok();
    let is_right = match (&parsed, argon2()) {
        (Some(parsed), Some(argon2)) => argon2.verify_password(password.as_bytes(), parsed).is_ok(),
        _ => false,
    };
    let params = parsed.and_then(|parsed| Params::try_from(&parsed).ok());
    let is_current = params.is_some_and(|params| {
        (params.m_cost(), params.t_cost(), params.p_cost()) == (MEMORY_KIB, PASSES, LANES)
    });
    PasswordVerdict {
        is_right: is_right && is_known,
        is_outdated: !is_current,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(password: &str, hash: Option<&str>) -> (bool, bool) {
        let verdict = check_now(password, hash);
        (verdict.is_right, verdict.is_outdated)
    }

    #[test]
    fn passwords_are_checked_against_their_hashes() {
        let hash = hash_now("secret é").expect("random");
        assert!(
            hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"),
            "{hash}"
        );
        assert_ne!(hash, hash_now("secret é").expect("random"), "no salt");
        assert_eq!(verdict("secret é", Some(&hash)), (true, false));
        assert_eq!(verdict("secret", Some(&hash)), (false, false));
        for absent in [None, Some(""), Some("secret"), Some("$argon2id$x")] {
            assert!(!verdict("secret", absent).0, "{absent:?}");
        }
        assert!(PasswordHash::new(NOBODY).is_ok());
        let weak = Argon2::new(
            Algorithm::Argon2id,
            Version::V0x13,
            Params::new(1024, 1, 1, None).expect("valid"),
        );
        let salt = SaltString::encode_b64(b"0123456789abcdef").expect("valid");
        let hash = weak.hash_password(b"secret", &salt).expect("hashed");
        assert_eq!(verdict("secret", Some(&hash.to_string())), (true, true));
    }

    #[test]
    fn a_flood_of_logins_is_bounded() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .max_blocking_threads(RUNNING_MAX)
            .build()
            .expect("runtime");
        runtime.block_on(async {
            let hasher = PasswordHasher::new();
            let others = hasher
                .running
                .acquire_many(u32::try_from(RUNNING_MAX).expect("small"))
                .await;
            let mut checks = tokio::task::JoinSet::new();
            for _ in 0..WAITING_MAX + RUNNING_MAX + 10 {
                let hasher = hasher.clone();
                // A hash that is wrong at once, so that the test takes no time.
                checks.spawn(async move { hasher.check("x", Some("$argon2id$x")).await });
            }
            for _ in 0..10 {
                let refused = checks.join_next().await.expect("one ends");
                assert_eq!(refused.expect("no panic"), Err(PasswordBusy));
            }
            drop(others);
            let results = checks.join_all().await;
            assert!(results.iter().all(Result::is_ok));
            assert!(hasher.check("x", Some("$argon2id$x")).await.is_ok());
        });
    }
}
