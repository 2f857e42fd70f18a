//! Checks the hashes that Cesi stores, which Werkzeug makes, so that its users keep their passwords. A right password is
//! hashed with argon2id at once.

use pbkdf2::hmac::{Hmac, Mac as _};
use sha2::Sha256;
use subtle::ConstantTimeEq as _;

/// Number of rounds of PBKDF2 where the hash names none.
const ROUNDS_DEFAULT: u32 = 150_000;
/// Maximum number of rounds, so that no entry of a foreign database occupies a thread for minutes.
const ROUNDS_MAX: u32 = 10_000_000;
/// Maximum memory of scrypt as 128 × N × r, in bytes.
const SCRYPT_BYTES_MAX: u64 = 128 << 20;
/// Length of a hash of scrypt, in bytes.
const SCRYPT_LENGTH: usize = 64;

/// Whether a password belongs to a hash `method$salt$hash`. `None`: it is no such hash, or one by another method.
pub(super) fn check(password: &str, hash: &str) -> Option<bool> {
    if hash.starts_with('$') {
        return None;
    }
    let mut parts = hash.splitn(3, '$');
    let (method, salt, hash) = (parts.next()?, parts.next()?, parts.next()?);
    let made = derive(password.as_bytes(), method, salt.as_bytes())?;
    let made: String = made.iter().map(|byte| format!("{byte:02x}")).collect();
    Some(made.as_bytes().ct_eq(hash.as_bytes()).into())
}

/// # Source
/// Documentation of `werkzeug.security.generate_password_hash`.
fn derive(password: &[u8], method: &str, salt: &[u8]) -> Option<Vec<u8>> {
    let words: Vec<&str> = method.split(':').collect();
    match words.as_slice() {
        ["sha256"] => {
            // The salt is the key.
            let mut mac = Hmac::<Sha256>::new_from_slice(salt).ok()?;
            mac.update(password);
            Some(mac.finalize().into_bytes().to_vec())
        }
        ["pbkdf2", "sha256", rounds @ ..] => {
            let rounds = match rounds {
                [] => ROUNDS_DEFAULT,
                [rounds] => rounds.parse().ok()?,
                _ => return None,
            };
            if !(1..=ROUNDS_MAX).contains(&rounds) {
                return None;
            }
            let mut made = [0; 32];
            pbkdf2::pbkdf2_hmac::<Sha256>(password, salt, rounds, &mut made);
            Some(made.to_vec())
        }
        ["scrypt", n, r, p] => {
            let (n, r, p): (u64, u32, u32) = (n.parse().ok()?, r.parse().ok()?, p.parse().ok()?);
            let bytes = n.checked_mul(128)?.checked_mul(u64::from(r))?;
            if !n.is_power_of_two() || bytes > SCRYPT_BYTES_MAX || p > 4 {
                return None;
            }
            let log_n = u8::try_from(n.ilog2()).ok()?;
            let params = scrypt::Params::new(log_n, r, p, SCRYPT_LENGTH).ok()?;
            let mut made = [0; SCRYPT_LENGTH];
            scrypt::scrypt(password, salt, &params, &mut made).ok()?;
            Some(made.to_vec())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made with Python's `hashlib` and `hmac`.
    const HASHES: [&str; 3] = [
        "sha256$abcdefgh$f2de341364a7053211d57c61b8f51152439c9a4f42d1bd8028e95bf6bbea3855",
        "pbkdf2:sha256:1000$abcdefgh$18751b39835fcdcff55cfd8c589c50d0e07cdc0b61240e4b24425c27a6a1cc56",
        "scrypt:1024:8:1$abcdefgh$\
         a27db56a5608f1ff31cc5f98ad235ba96090cd22fab87f72ff0f24a9cf72481ddc807c02cad092046ff02505fee9c70bce6fd26885c19b65d1dfa94d806e939d",
    ];

    #[test]
    fn hashes_of_werkzeug_are_checked() {
        for hash in HASHES {
            assert_eq!(check("secret", hash), Some(true), "{hash}");
            assert_eq!(check("Secret", hash), Some(false), "{hash}");
        }
        for other in [
            "",
            "x",
            "md5$a$b",
            "pbkdf2:sha1:1000$a$b",
            "pbkdf2:sha256:0$a$b",
            "pbkdf2:sha256:4000000000$a$b",
            "scrypt:1000:8:1$a$b",
            "scrypt:1048576:8:1$a$b",
            "$argon2id$v=19$m=1024,t=1,p=1$c2FsdA$aGFzaA",
        ] {
            assert_eq!(check("secret", other), None, "{other}");
        }
    }
}
