//! What kind of server the stub is, and the faults it makes on demand.

use std::time::Duration;

/// The interfaces that exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Families {
    /// Only v1, as servers before 3.0.
    V1,
    /// Only v3, as servers since 3.2.
    V3,
    /// Both, as servers 3.0 and 3.1.
    Both,
}

/// The 404 for a path that does not exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MissingPage {
    /// No body.
    Empty,
    /// `{"code":404,"message":"resource not found"}`.
    Json,
    /// A page of a web server.
    Html,
}

/// What the server does with the header `casMd5`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CompareAndSet {
    /// A lost race is answered by status 500 with code 20005.
    Status500,
    /// A lost race is answered by status 200: v3 with code 20005, v1 with `false`.
    Status200,
    /// The header has no effect, and every publish succeeds.
    Ignored,
}

/// What kind of server the stub is.
#[derive(Debug, Clone)]
pub struct NacosSettings {
    /// The port on 127.0.0.1. 0: a free one.
    pub port: u16,
    /// The interfaces that exist.
    pub families: Families,
    /// The answer to other paths.
    pub missing_page: MissingPage,
    /// Paths of the interfaces that do not exist all the same, such as `/nacos/v3/auth/user/login`.
    pub missing_paths: Vec<&'static str>,
    /// User and password. `None`: everybody may do everything.
    pub account: Option<(&'static str, &'static str)>,
    /// How long a token is valid.
    pub token_ttl: Duration,
    /// The answer to a login has the token in `data` instead of at the top.
    pub login_is_enveloped: bool,
    /// A token in the header `Authorization: Bearer` is accepted.
    pub accepts_bearer: bool,
    /// A token in the field `accessToken` of the query or form is accepted.
    pub accepts_token_field: bool,
    /// The fields `username` and `password` are accepted in every request.
    pub accepts_password: bool,
    /// The v3 path for clients needs no user.
    pub is_v3_client_open: bool,
    /// How long a listener waits. `None`: half a second less than the client asks for, and ten seconds at least.
    pub hold: Option<Duration>,
    /// The header `Long-Pulling-Timeout-No-Hangup` has its effect.
    pub has_no_hangup: bool,
    /// The effect of `casMd5`.
    pub compare_and_set: CompareAndSet,
    /// The code in the v3 answer about a missing item.
    pub v3_not_found: u16,
    /// Maximum bytes of an item.
    pub item_max: usize,
}

impl Default for NacosSettings {
    fn default() -> Self {
        Self {
            port: 0,
            families: Families::Both,
            missing_page: MissingPage::Empty,
            missing_paths: Vec::new(),
            account: None,
            token_ttl: Duration::from_secs(18_000),
            login_is_enveloped: false,
            accepts_bearer: true,
            accepts_token_field: true,
            accepts_password: false,
            is_v3_client_open: false,
            hold: None,
            has_no_hangup: true,
            compare_and_set: CompareAndSet::Status500,
            v3_not_found: 20_004,
            item_max: 10 << 20,
        }
    }
}

/// A fault of one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// This status instead of an answer. The request has no effect.
    Status(u16),
    /// Status 200 with a page of a web server. The request has no effect.
    Html,
    /// The answer comes later.
    Delay(Duration),
    /// No answer, and the connection stays open. The request has no effect.
    BlackHole,
    /// Half of the answer, then a reset of the connection.
    Reset,
    /// The connection is closed after half of the answer.
    Truncated,
    /// The answer names an MD5 that is not that of the text.
    WrongMd5,
    /// Status 200 with this many bytes of text. The request has no effect.
    BodyOf(usize),
    /// Status 200 with text in chunks that never end. The request has no effect.
    EndlessBody,
}
