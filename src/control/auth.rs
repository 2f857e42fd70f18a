//! Who may do what: the password of a server, and the grant for each method.
//!
//! It knows nothing of HTTP but the value of one header.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest, Sha1};
use subtle::{Choice, ConstantTimeEq};

use crate::api::{Caller, Fault, Grant, Permission};
use crate::config::spec::Credentials;

/// What becomes of a request at the door.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Let in, under this user name if the server asks for one.
    Welcome(Option<String>),
    /// No credentials, or wrong ones.
    Challenge,
    /// The header cannot be decoded.
    Undecodable,
}

/// Checks the value of an `Authorization` header. Takes the same time whether the user or the password is wrong.
///
/// # Source
/// RFC 7617.
// Differs: credentials without a colon are challenged; Supervisor answers 500.
#[must_use]
pub fn check(wanted: Option<&Credentials>, header: Option<&[u8]>) -> Verdict {
    let Some(wanted) = wanted else {
        return Verdict::Welcome(None);
    };
    let Some(header) = header else {
        return Verdict::Challenge;
    };
    let header = header.trim_ascii();
    let (scheme, rest) = match header.iter().position(u8::is_ascii_whitespace) {
        Some(at) => header.split_at(at),
        None => (header, &[][..]),
    };
    if !scheme.eq_ignore_ascii_case(b"basic") {
        return Verdict::Challenge;
    }
    let Ok(decoded) = STANDARD.decode(rest.trim_ascii()) else {
        return Verdict::Undecodable;
    };
    let Some(colon) = decoded.iter().position(|&byte| byte == b':') else {
        return Verdict::Challenge;
    };
    let (user, password) = (&decoded[..colon], &decoded[colon + 1..]);
    let right_user = same(user, wanted.username.as_bytes());
    let right_password = match wanted.password.strip_prefix("{SHA}") {
        Some(hex) => hex_of(&Sha1::digest(password))
            .as_bytes()
            .ct_eq(hex.as_bytes()),
        None => same(password, wanted.password.as_bytes()),
    };
    if bool::from(right_user & right_password) {
        Verdict::Welcome(Some(wanted.username.clone()))
    } else {
        Verdict::Challenge
    }
}

/// Compares digests, so that not even the length shows in the time.
fn same(given: &[u8], wanted: &[u8]) -> Choice {
    Sha1::digest(given).as_slice().ct_eq(&Sha1::digest(wanted))
}

fn hex_of(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What a form of the page carries, so that only a page that was read from this server, in this round of the daemon, can
/// change anything: a page of somebody else cannot read ours, and so does not know it.
pub struct PageToken(String);

impl PageToken {
    /// A token of random bits.
    #[must_use]
    pub fn new(random: [u64; 2]) -> Self {
        Self(random.map(|part| format!("{part:016x}")).concat())
    }

    /// The text that forms carry. Never to be logged.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.0
    }

    /// Whether `given` is the token; takes the same time whatever is wrong with it.
    #[must_use]
    pub fn is(&self, given: &str) -> bool {
        bool::from(same(given.as_bytes(), self.0.as_bytes()))
    }
}

/// What `caller` is granted of `permission`, for one call. Whoever the socket's mode and the password let in may do
/// everything, as in Supervisor; rules of finer grain belong here, and nowhere else.
///
/// # Errors
/// None yet.
pub fn grant(_caller: &Caller, permission: Permission) -> Result<Grant, Fault> {
    Ok(Grant::all(permission))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rpc_01_basic_credentials() {
        let plain = Credentials {
            username: "u".to_owned(),
            password: "p:é".to_owned(),
        };
        let welcome = || Verdict::Welcome(Some("u".to_owned()));
        let basic = |scheme: &str, text: &str| format!("{scheme} {}", STANDARD.encode(text));
        let table = [
            ("right", basic("Basic", "u:p:é"), welcome()),
            ("scheme in any case", basic("bAsIc", "u:p:é"), welcome()),
            ("wrong password", basic("Basic", "u:p"), Verdict::Challenge),
            ("wrong user", basic("Basic", "v:p:é"), Verdict::Challenge),
            ("no colon", basic("Basic", "u"), Verdict::Challenge),
            ("nothing", "Basic".to_owned(), Verdict::Challenge),
            ("other scheme", basic("Bearer", "u:p:é"), Verdict::Challenge),
            ("not base64", "Basic !!!".to_owned(), Verdict::Undecodable),
            ("empty", String::new(), Verdict::Challenge),
        ];
        for (name, header, expected) in table {
            assert_eq!(
                check(Some(&plain), Some(header.as_bytes())),
                expected,
                "{name}"
            );
        }
        assert_eq!(check(Some(&plain), None), Verdict::Challenge);
        assert_eq!(check(None, Some(b"Basic !!!")), Verdict::Welcome(None));
    }

    #[test]
    fn a_page_token_is_itself_and_nothing_else() {
        let token = PageToken::new([1, 0xff]);
        assert_eq!(token.text(), "000000000000000100000000000000ff");
        assert!(token.is("000000000000000100000000000000ff"));
        for wrong in [
            "",
            "0",
            "000000000000000100000000000000fe",
            "000000000000000100000000000000FF",
        ] {
            assert!(!token.is(wrong), "{wrong}");
        }
    }

    #[test]
    fn cfg_63_sha_passwords() {
        let with = |password: &str| Credentials {
            username: "u".to_owned(),
            password: password.to_owned(),
        };
        let given = format!("Basic {}", STANDARD.encode("u:abc"));
        let table = [
            ("{SHA}a9993e364706816aba3e25717850c26c9cd0d89d", true),
            ("{SHA}A9993E364706816ABA3E25717850C26C9CD0D89D", false),
            ("{SHA}a9993e364706816aba3e25717850c26c9cd0d89", false),
            ("{SHA}", false),
            ("{sha}a9993e364706816aba3e25717850c26c9cd0d89d", false),
        ];
        for (password, right) in table {
            let verdict = check(Some(&with(password)), Some(given.as_bytes()));
            assert_eq!(verdict != Verdict::Challenge, right, "{password}");
        }
    }
}
