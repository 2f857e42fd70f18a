//! Authorization: the password of a server, and the permissions of a caller for each method.
//!
//! Of HTTP it knows only the value of the `Authorization` header.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use sha1::{Digest, Sha1};
use sha2::Sha256;
use subtle::{Choice, ConstantTimeEq};

use crate::api::{Access, AccessScope, Caller, Fault, FaultCode, Grant, Permission, Transport};
use crate::config::spec::{AllowRule, AllowSubject, Credentials};
use crate::config::tokens::TokenSpec;
use crate::domain::Namespec;
use crate::sys;

/// How a request was authenticated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Login<'a> {
    /// The server requires no authentication.
    Anonymous,
    /// By the user name and the password of the server.
    User(&'a str),
    /// By this token.
    Token(&'a TokenSpec),
}

/// The result of checking the password or the token of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PasswordCheck<'a> {
    /// Accepted.
    Welcome(Login<'a>),
    /// No credentials, or wrong ones.
    Challenge,
    /// The header cannot be decoded.
    Undecodable,
}

/// What a server accepts as proof of identity.
#[derive(Debug, Clone, Copy, Default)]
pub struct ServerLogins<'a> {
    /// The user name and the password. `None`: no password.
    pub credentials: Option<&'a Credentials>,
    /// The tokens. `None`: the server has no tokens file.
    pub tokens: Option<&'a [TokenSpec]>,
}

/// Checks the value of an `Authorization` header: a user name and a password, the name of a token and the token, or a
/// token alone. It takes the same time whether the name or the secret is wrong.
///
/// # Source
/// RFC 7617, RFC 6750.
// Differs: credentials without a colon are challenged. Supervisor answers 500.
#[must_use]
pub fn check_password<'a>(wanted: ServerLogins<'a>, header: Option<&[u8]>) -> PasswordCheck<'a> {
    if wanted.credentials.is_none() && wanted.tokens.is_none() {
        return PasswordCheck::Welcome(Login::Anonymous);
    }
    let Some(header) = header else {
        return PasswordCheck::Challenge;
    };
    let header = header.trim_ascii();
    let (scheme, rest) = match header.iter().position(u8::is_ascii_whitespace) {
        Some(at) => header.split_at(at),
        None => (header, &[][..]),
    };
    let rest = rest.trim_ascii();
    if scheme.eq_ignore_ascii_case(b"bearer") {
        let found = find_token(wanted.tokens.unwrap_or_default(), rest, None);
        return match found {
            Some(token) => PasswordCheck::Welcome(Login::Token(token)),
            None => PasswordCheck::Challenge,
        };
    }
    if !scheme.eq_ignore_ascii_case(b"basic") {
        return PasswordCheck::Challenge;
    }
    let Ok(decoded) = STANDARD.decode(rest) else {
        return PasswordCheck::Undecodable;
    };
    let Some(colon) = decoded.iter().position(|&byte| byte == b':') else {
        return PasswordCheck::Challenge;
    };
    let (user, password) = (&decoded[..colon], &decoded[colon + 1..]);
    let token = find_token(wanted.tokens.unwrap_or_default(), password, Some(user));
    match wanted.credentials {
        Some(wanted) if bool::from(is_right_password(wanted, user, password)) => {
            PasswordCheck::Welcome(Login::User(&wanted.username))
        }
        _ => match token {
            Some(token) => PasswordCheck::Welcome(Login::Token(token)),
            None => PasswordCheck::Challenge,
        },
    }
}

fn is_right_password(wanted: &Credentials, user: &[u8], password: &[u8]) -> Choice {
    let right_user = digests_match(user, wanted.username.as_bytes());
    let right_password = match wanted.password.strip_prefix("{SHA}") {
        Some(hex) => to_hex(&Sha1::digest(password))
            .as_bytes()
            .ct_eq(hex.as_bytes()),
        None => digests_match(password, wanted.password.as_bytes()),
    };
    right_user & right_password
}

/// Compares with all tokens, so that the time does not reveal which one is similar. `name`: the name that the token must
/// have. `None`: any.
fn find_token<'a>(
    tokens: &'a [TokenSpec],
    given: &[u8],
    name: Option<&[u8]>,
) -> Option<&'a TokenSpec> {
    let digest = Sha256::digest(given);
    let mut found = None;
    for token in tokens {
        let has_name = match name {
            Some(name) => digests_match(name, token.name.as_bytes()),
            None => Choice::from(1),
        };
        if bool::from(digest.as_slice().ct_eq(&token.digest) & has_name) {
            found = Some(token);
        }
    }
    found
}

/// Creates a token from 32 random bytes. Returns the token and its digest.
#[must_use]
pub fn new_token(random: [u8; 32]) -> (String, [u8; 32]) {
    let token = URL_SAFE_NO_PAD.encode(random);
    let digest = Sha256::digest(&token).into();
    (token, digest)
}

/// Returns what the rules of a server let a caller do that was authenticated with `login`. `None`: everything. `peer`:
/// the same for the peer of the connection, which a token cannot extend.
#[must_use]
pub fn access_for_login(
    rules: Option<&[AllowRule]>,
    peer: &Caller,
    login: &Login<'_>,
) -> Option<Access> {
    match login {
        Login::Token(token) => {
            let granted = granted_by(&token.permissions, token.processes.as_ref());
            let granted = Access(granted.collect());
            Some(match &peer.access {
                Some(access) => access.intersection(&granted),
                None => granted,
            })
        }
        Login::User(_) | Login::Anonymous if peer.transport == Transport::Inet => {
            let concerned = rules?.iter().filter(|rule| match &rule.who {
                AllowSubject::Everybody => true,
                AllowSubject::Login(name) => {
                    matches!(login, Login::User(user) if name == user)
                }
                AllowSubject::User(_) | AllowSubject::Group(_) => false,
            });
            Some(granted_by_rules(concerned))
        }
        Login::User(_) | Login::Anonymous => peer.access.clone(),
    }
}

/// Compares digests, so that the time does not reveal the length either.
fn digests_match(given: &[u8], wanted: &[u8]) -> Choice {
    Sha1::digest(given).as_slice().ct_eq(&Sha1::digest(wanted))
}

fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The token in the forms of the web page. It proves that a form comes from a page of this server in this run of the
/// daemon. A foreign page cannot read pages of this server, so it does not know the token.
pub struct PageToken(String);

/// 2026-01-01, from which tokens count milliseconds. No run with such tokens is older.
const TOKEN_EPOCH_MS: i64 = 1_767_225_600_000;
/// The greatest value of ten hexadecimal digits.
const TOKEN_MS_MAX: i64 = (1 << 40) - 1;

impl PageToken {
    /// Creates a token from the start time of this run, in milliseconds since the epoch, and 88 random bits.
    ///
    /// The time is not secret. It distinguishes a form of an earlier run from one that never had a token.
    #[must_use]
    pub fn new(random: [u64; 2], began_ms: i64) -> Self {
        let [first, second] = random;
        let began = began_ms
            .saturating_sub(TOKEN_EPOCH_MS)
            .clamp(0, TOKEN_MS_MAX);
        Self(format!("{began:010x}{:06x}{second:016x}", first >> 40))
    }

    /// Returns whether `given` looks like a token of an earlier run. Anyone can construct such a text, so it only
    /// selects a message and permits nothing.
    #[must_use]
    pub fn is_of_earlier_run(&self, given: &str) -> bool {
        let began = |token: &str| -> Option<i64> {
            let is_whole = token.len() == self.0.len()
                && token
                    .bytes()
                    .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
            let digits = token.get(..10).filter(|_| is_whole)?;
            i64::from_str_radix(digits, 16).ok()
        };
        matches!((began(given), began(&self.0)), (Some(then), Some(now)) if 0 < then && then < now)
    }

    /// Returns the text for forms. It must never be logged.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.0
    }

    /// Returns whether `given` is the token, in constant time.
    #[must_use]
    pub fn matches(&self, given: &str) -> bool {
        bool::from(digests_match(given.as_bytes(), self.0.as_bytes()))
    }
}

/// Grants `permission` to `caller` for one call. A caller that passed the file mode and the password of the socket may
/// do everything that the server's permissions allow, as in Supervisor. Finer rules belong into this function.
///
/// # Errors
/// FAILED: the caller lacks the permission. [`Permission::Configure`] needs more than access to the socket.
pub fn grant_for(caller: &Caller, permission: Permission) -> Result<Grant, Fault> {
    grant_as(caller, permission, sys::effective_uid())
}

/// Returns what the rules of a server let this peer do. `None`: everything, for root and the daemon's own user, who
/// could do the same without the daemon.
#[must_use]
pub fn access_for_peer(rules: &[AllowRule], uid: u32, gid: u32, groups: &[u32]) -> Option<Access> {
    if uid == 0 || uid == sys::effective_uid() {
        return None;
    }
    let concerned = rules.iter().filter(|rule| match rule.who {
        AllowSubject::Everybody => true,
        AllowSubject::User(user) => user == uid,
        AllowSubject::Group(group) => group == gid || groups.contains(&group),
        AllowSubject::Login(_) => false,
    });
    Some(granted_by_rules(concerned))
}

fn granted_by_rules<'a>(rules: impl Iterator<Item = &'a AllowRule>) -> Access {
    let granted = rules.flat_map(|rule| granted_by(&rule.permissions, rule.processes.as_ref()));
    Access(granted.collect())
}

fn granted_by<'a>(
    permissions: &'a [Permission],
    processes: Option<&Vec<Namespec>>,
) -> impl Iterator<Item = (Permission, AccessScope)> + use<'a> {
    let scope = match processes {
        None => AccessScope::All,
        Some(names) => AccessScope::Only(names.clone()),
    };
    let permissions = permissions.iter();
    permissions.map(move |&permission| (permission, scope.clone()))
}

/// Says that the rules do not give a permission to a caller, and where they are.
fn missing_permission(caller: &Caller, permission: Permission) -> String {
    let (who, rules) = match (&caller.token, caller.transport, &caller.login) {
        (Some(token), _, _) => (format!("token {token}"), "tokens_file"),
        (None, Transport::Inet, Some(login)) => {
            (format!("user {login}"), "allow= in [inet_http_server]")
        }
        (None, Transport::Inet, None) => ("everybody".to_owned(), "allow= in [inet_http_server]"),
        (None, _, _) => (
            format!("user {}", caller.uid.unwrap_or_default()),
            "allow= in [unix_http_server]",
        ),
    };
    let word = permission.word();
    format!("permission denied: {who} has no permission {word} ({rules})")
}

/// The same as [`grant_for`] for a daemon that runs as the user `own`.
fn grant_as(caller: &Caller, permission: Permission, own: u32) -> Result<Grant, Fault> {
    if let Some(access) = &caller.access {
        // The rules say whom they trust with each permission, including `configure`.
        return match access.scope(permission) {
            Some(scope) => Ok(Grant { permission, scope }),
            None => Err(FaultCode::Failed.of(missing_permission(caller, permission))),
        };
    }
    match permission {
        Permission::Status
        | Permission::ReadLogs
        | Permission::Control
        | Permission::Signal
        | Permission::Update
        | Permission::Shutdown => {}
        Permission::Configure | Permission::ForwardUser if may_configure(caller, own) => {}
        Permission::ForwardUser => {
            return Err(
                FaultCode::Failed.of("permission denied: naming another user needs a login")
            );
        }
        Permission::Configure => {
            return Err(FaultCode::Failed.of(
                "permission denied: changing programs at run time needs root or the user of supervisord on a unix \
                 socket, or a login with the user name and password of the server",
            ));
        }
    }
    Ok(Grant::all(permission))
}

/// Returns whether a caller without rules may add programs. Such a caller can run any command as any user the daemon
/// can become, including root. A file mode often admits a group of people who only operate what is configured. So this
/// needs a password, or a peer that could do the same without the daemon: root or the daemon's own user.
// Differs: the plug-in supervisor_twiddler lets everyone with access to the socket add programs.
fn may_configure(caller: &Caller, own: u32) -> bool {
    let is_known = caller.login.is_some();
    match caller.transport {
        Transport::Unix => is_known || caller.uid.is_some_and(|uid| uid == 0 || uid == own),
        // For other users polkit has decided, and the result is in `access`.
        Transport::Bus => caller.uid.is_some_and(|uid| uid == 0 || uid == own),
        Transport::Inet => is_known,
        Transport::Daemon => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rpc_01_basic_credentials_are_checked() {
        let plain = Credentials {
            username: "u".to_owned(),
            password: "p:é".to_owned(),
        };
        let server = ServerLogins {
            credentials: Some(&plain),
            tokens: None,
        };
        let welcome = || PasswordCheck::Welcome(Login::User("u"));
        let basic = |scheme: &str, text: &str| format!("{scheme} {}", STANDARD.encode(text));
        let table = [
            ("right", basic("Basic", "u:p:é"), welcome()),
            ("scheme in any case", basic("bAsIc", "u:p:é"), welcome()),
            (
                "wrong password",
                basic("Basic", "u:p"),
                PasswordCheck::Challenge,
            ),
            (
                "wrong user",
                basic("Basic", "v:p:é"),
                PasswordCheck::Challenge,
            ),
            ("no colon", basic("Basic", "u"), PasswordCheck::Challenge),
            ("nothing", "Basic".to_owned(), PasswordCheck::Challenge),
            (
                "other scheme",
                basic("Bearer", "u:p:é"),
                PasswordCheck::Challenge,
            ),
            (
                "not base64",
                "Basic !!!".to_owned(),
                PasswordCheck::Undecodable,
            ),
            ("empty", String::new(), PasswordCheck::Challenge),
        ];
        for (name, header, expected) in table {
            assert_eq!(
                check_password(server, Some(header.as_bytes())),
                expected,
                "{name}"
            );
        }
        assert_eq!(check_password(server, None), PasswordCheck::Challenge);
        assert_eq!(
            check_password(ServerLogins::default(), Some(b"Basic !!!")),
            PasswordCheck::Welcome(Login::Anonymous)
        );
    }

    #[test]
    fn tokens_are_checked_alone_and_as_a_password() {
        let plain = Credentials {
            username: "u".to_owned(),
            password: "p".to_owned(),
        };
        let (first, digest) = new_token([7; 32]);
        let (second, other) = new_token([8; 32]);
        assert_eq!(first.len(), 43);
        let spec = |name: &str, digest| TokenSpec {
            name: name.to_owned(),
            digest,
            permissions: vec![Permission::Status],
            processes: None,
        };
        let tokens = [spec("a", digest), spec("b", other)];
        let server = ServerLogins {
            credentials: Some(&plain),
            tokens: Some(&tokens),
        };
        let basic = |text: String| format!("Basic {}", STANDARD.encode(text));
        for (header, expected) in [
            (format!("Bearer {first}"), Some("a")),
            (format!("bEARER  {second} "), Some("b")),
            (basic(format!("b:{second}")), Some("b")),
            (basic("u:p".to_owned()), Some("u")),
            (basic(format!("a:{second}")), None),
            (basic(format!("u:{second}")), None),
            (format!("Bearer {}", &first[1..]), None),
            ("Bearer".to_owned(), None),
            ("Bearer p".to_owned(), None),
            (format!("Token {first}"), None),
        ] {
            let login = match check_password(server, Some(header.as_bytes())) {
                PasswordCheck::Welcome(Login::Token(token)) => Some(token.name.as_str()),
                PasswordCheck::Welcome(Login::User(name)) => Some(name),
                PasswordCheck::Challenge => None,
                other => panic!("{header}: {other:?}"),
            };
            assert_eq!(login, expected, "{header}");
        }
        // A file without a token, or one that cannot be read, opens nothing.
        let empty = ServerLogins {
            credentials: None,
            tokens: Some(&[]),
        };
        for header in [None, Some(&b"Bearer "[..]), Some(b"Basic Og==")] {
            assert_eq!(check_password(empty, header), PasswordCheck::Challenge);
        }
    }

    #[test]
    fn logins_are_bounded_by_rules_and_tokens() {
        use Permission::{Configure, Control, Status};
        let rule = |who, permission| AllowRule {
            who,
            permissions: vec![permission],
            processes: None,
        };
        let rules = [
            rule(AllowSubject::Login("u".to_owned()), Control),
            rule(AllowSubject::Everybody, Status),
        ];
        let token = TokenSpec {
            name: "t".to_owned(),
            digest: [0; 32],
            permissions: vec![Control, Configure],
            processes: None,
        };
        let inet = Caller {
            transport: Transport::Inet,
            ..Caller::DAEMON
        };
        let may = |rules: Option<&[AllowRule]>, peer: &Caller, login: &Login<'_>| {
            let access = access_for_login(rules, peer, login);
            let caller = Caller {
                login: matches!(login, Login::User(_)).then(|| "u".to_owned()),
                access,
                ..peer.clone()
            };
            let all = [Status, Control, Configure].into_iter();
            all.filter(|&permission| grant_as(&caller, permission, 0).is_ok())
                .collect::<Vec<_>>()
        };
        let rules = Some(&rules[..]);
        for (name, rules, peer, login, expected) in [
            (
                "no rules",
                None,
                &inet,
                Login::User("u"),
                &[Status, Control, Configure][..],
            ),
            (
                "open port",
                None,
                &inet,
                Login::Anonymous,
                &[Status, Control],
            ),
            (
                "its rule",
                rules,
                &inet,
                Login::User("u"),
                &[Status, Control],
            ),
            ("another", rules, &inet, Login::User("v"), &[Status]),
            ("nobody", rules, &inet, Login::Anonymous, &[Status]),
            (
                "a token",
                rules,
                &inet,
                Login::Token(&token),
                &[Control, Configure],
            ),
            (
                "a token alone",
                None,
                &inet,
                Login::Token(&token),
                &[Control, Configure],
            ),
        ] {
            assert_eq!(may(rules, peer, &login), expected, "{name}");
        }
        // A token cannot extend what the rules of a unix socket give to the peer.
        let peer = Caller {
            transport: Transport::Unix,
            uid: Some(1000),
            access: Some(Access(vec![
                (Status, AccessScope::All),
                (Control, AccessScope::All),
            ])),
            ..Caller::DAEMON
        };
        assert_eq!(may(None, &peer, &Login::Token(&token)), [Control]);
        assert_eq!(may(None, &peer, &Login::User("u")), [Status, Control]);
        let root = Caller {
            access: None,
            uid: Some(0),
            ..peer
        };
        assert_eq!(
            may(None, &root, &Login::Token(&token)),
            [Control, Configure]
        );
    }

    #[test]
    fn a_page_token_matches_only_itself() {
        let token = PageToken::new([1 << 40, 0xff], TOKEN_EPOCH_MS + 2);
        assert_eq!(token.text(), "000000000200000100000000000000ff");
        assert!(token.matches("000000000200000100000000000000ff"));
        for wrong in [
            "",
            "0",
            "000000000200000100000000000000fe",
            "000000000200000100000000000000FF",
            "00000000020000010000000000000\u{20ac}",
        ] {
            assert!(
                !token.matches(wrong) && !token.is_of_earlier_run(wrong),
                "{wrong}"
            );
        }
        let earlier = PageToken::new([7, 7], TOKEN_EPOCH_MS + 1);
        assert!(token.is_of_earlier_run(earlier.text()));
        assert!(!earlier.is_of_earlier_run(token.text()));
        assert!(!token.is_of_earlier_run(&"0".repeat(32)));
    }

    #[test]
    fn changes_at_run_time_need_more_than_a_file_mode() {
        const OWN: u32 = 33;
        let caller = |front, uid, login: Option<&str>| Caller {
            transport: front,
            uid,
            gid: uid,
            pid: Some(1),
            login: login.map(str::to_owned),
            token: None,
            forwarded_user: None,
            bus_name: None,
            access: None,
        };
        let table = [
            (
                "root on a socket",
                caller(Transport::Unix, Some(0), None),
                true,
            ),
            (
                "our own user",
                caller(Transport::Unix, Some(OWN), None),
                true,
            ),
            (
                "a password",
                caller(Transport::Unix, Some(1000), Some("u")),
                true,
            ),
            (
                "file mode alone",
                caller(Transport::Unix, Some(1000), None),
                false,
            ),
            (
                "nobody knows who",
                caller(Transport::Unix, None, None),
                false,
            ),
            ("root on a bus", caller(Transport::Bus, Some(0), None), true),
            (
                "somebody on a bus",
                caller(Transport::Bus, Some(1000), None),
                false,
            ),
            ("nobody on a bus", caller(Transport::Bus, None, None), false),
            (
                "a port with a password",
                caller(Transport::Inet, None, Some("u")),
                true,
            ),
            ("a port without", caller(Transport::Inet, None, None), false),
            (
                "a port that claims to be root",
                caller(Transport::Inet, Some(0), None),
                false,
            ),
            ("the daemon", Caller::DAEMON, true),
        ];
        for (name, caller, allowed) in table {
            let got = grant_as(&caller, Permission::Configure, OWN);
            assert_eq!(got.is_ok(), allowed, "{name}");
            if let Err(fault) = got {
                assert!(fault.to_string().starts_with("FAILED: permission denied: "));
            }
            for other in [Permission::Status, Permission::Control, Permission::Update] {
                assert!(grant_as(&caller, other, OWN).is_ok(), "{name}");
            }
        }
    }

    #[test]
    fn allow_rules_bound_the_granted_permissions() {
        let rule = |who, permissions: &[Permission], on: Option<&[&str]>| AllowRule {
            who,
            permissions: permissions.to_vec(),
            processes: on.map(|names| names.iter().map(|name| Namespec::parse(name)).collect()),
        };
        use Permission::{Configure, Control, Shutdown, Status};
        let rules = [
            rule(
                AllowSubject::User(1000),
                &[Control, Status],
                Some(&["web:*", "g:b"]),
            ),
            rule(
                AllowSubject::Group(50),
                &[Shutdown, Configure, Status],
                None,
            ),
            rule(AllowSubject::Everybody, &[Status], Some(&["web:*"])),
        ];
        let ask = |uid, gid, groups: &[u32], permission| {
            let caller = Caller {
                transport: Transport::Unix,
                uid: Some(uid),
                gid: Some(gid),
                pid: Some(1),
                login: None,
                token: None,
                forwarded_user: None,
                bus_name: None,
                access: access_for_peer(&rules, uid, gid, groups),
            };
            grant_as(&caller, permission, 0)
                .map(|grant| grant.scope)
                .ok()
        };
        let only = |names: &[&str]| {
            Some(AccessScope::Only(
                names.iter().map(|name| Namespec::parse(name)).collect(),
            ))
        };
        // All rules that match a user add up.
        assert_eq!(ask(1000, 1000, &[], Control), only(&["web:*", "g:b"]));
        assert_eq!(ask(1000, 1000, &[], Shutdown), None);
        assert_eq!(ask(1000, 50, &[], Shutdown), Some(AccessScope::All));
        assert_eq!(ask(1, 1, &[7, 50], Configure), Some(AccessScope::All));
        assert_eq!(ask(1, 1, &[7], Status), only(&["web:*"]));
        assert_eq!(ask(1, 1, &[7], Control), None);
        // Root could do everything without the daemon.
        assert_eq!(ask(0, 0, &[], Shutdown), Some(AccessScope::All));
    }

    #[test]
    fn cfg_63_sha_passwords_are_checked() {
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
            let credentials = with(password);
            let server = ServerLogins {
                credentials: Some(&credentials),
                tokens: None,
            };
            let verdict = check_password(server, Some(given.as_bytes()));
            assert_eq!(verdict != PasswordCheck::Challenge, right, "{password}");
        }
    }
}
