//! The login: which path the server has, and the token that it gives.

use std::time::{Duration, Instant};

use hyper::Method;
use serde_json::Value;

use super::super::http::{self, CallLimits, FORM, HttpAnswer, HttpRequest};
use super::super::protocol::{FailureKind, ItemFailure};
use super::super::server_url::encode_fields;
use super::envelope::Envelope;
use super::failure::{failure, foreign, kind_of_code, no_answer, of_status};
use super::servers::{Credentials, NacosClient, NacosServer};

/// The paths of the login, in the order in which they are tried: Nacos 3, and two spellings of earlier versions.
const PATHS: [&str; 3] = [
    "/v3/auth/user/login",
    "/v1/auth/login",
    "/v1/auth/users/login",
];
/// Limit of a login.
const LOGIN_LIMIT: Duration = Duration::from_secs(10);
/// Maximum size of the answer in bytes.
const LOGIN_BYTES_MAX: usize = 64 << 10;
/// Maximum length of a token in bytes, which is sent with each request.
const TOKEN_BYTES_MAX: usize = 8 << 10;
/// The validity of a token whose answer does not state it, in seconds: that of Java servers.
const DEFAULT_TTL_SECONDS: u64 = 18_000;
/// The longest validity that is believed.
const TTL_SECONDS_MAX: u64 = 30 * 24 * 3600;

/// A token of a server.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) text: String,
    /// When a tenth of its validity is left.
    pub(super) renew_at: Instant,
    pub(super) expires_at: Instant,
    /// It was sent as a field once, because the header was refused.
    pub(super) was_field: bool,
}

impl Token {
    fn new(text: String, ttl: Duration, now: Instant) -> Self {
        Self {
            text,
            renew_at: now + ttl * 9 / 10,
            expires_at: now + ttl,
            was_field: false,
        }
    }
}

impl NacosClient {
    /// Logs in at a server. `None`: it has no login, so its requests need no token.
    pub(super) async fn login(
        &self,
        server: &NacosServer,
        credentials: &Credentials,
    ) -> Result<Option<Token>, ItemFailure> {
        let url = &server.url.text;
        let mut strange = None;
        for path in PATHS {
            let form = encode_fields([
                ("username", &*credentials.username),
                ("password", &*credentials.password),
            ]);
            let request = HttpRequest {
                server: &server.url,
                method: Method::POST,
                path,
                query: String::new(),
                headers: Vec::new(),
                body: Some((FORM, form.into_bytes())),
            };
            let limits = CallLimits {
                time: LOGIN_LIMIT,
                body_bytes: LOGIN_BYTES_MAX,
            };
            let answer = http::call(&self.tls, request, limits).await;
            let answer = answer.map_err(|error| no_answer(url, &error))?;
            match judge_login(&answer) {
                LoginAnswer::Token(text, ttl) => {
                    return Ok(Some(Token::new(text, ttl, Instant::now())));
                }
                LoginAnswer::NoSuchPath => {}
                LoginAnswer::Foreign => strange = Some(answer),
                LoginAnswer::Denied => {
                    let reason = "it refuses the user name and the password";
                    return Err(failure(FailureKind::Denied, url, reason));
                }
                LoginAnswer::Failed => return Err(of_status(url, &answer, &self.secrets(server))),
            }
        }
        match strange {
            Some(answer) => Err(foreign(url, &answer, &self.secrets(server))),
            None => Ok(None),
        }
    }
}

/// What an answer to a login means.
#[derive(Debug, PartialEq, Eq)]
enum LoginAnswer {
    Token(String, Duration),
    Denied,
    NoSuchPath,
    /// Status 200 without a token, such as the page that some servers give for each path.
    Foreign,
    Failed,
}

fn judge_login(answer: &HttpAnswer) -> LoginAnswer {
    match answer.status {
        200 => {}
        401 | 403 => return LoginAnswer::Denied,
        404 | 405 | 410 | 501 => return LoginAnswer::NoSuchPath,
        _ => return LoginAnswer::Failed,
    }
    let body: Option<Value> = serde_json::from_slice(&answer.body).ok();
    let token = body.as_ref().and_then(|body| {
        let data = body.get("data").filter(|data| data.is_object());
        [Some(body), data].into_iter().flatten().find_map(token_in)
    });
    if let Some((token, ttl)) = token {
        return LoginAnswer::Token(token, ttl);
    }
    match Envelope::read(&answer.body).map(|envelope| kind_of_code(envelope.code)) {
        Some(FailureKind::Denied) => LoginAnswer::Denied,
        Some(FailureKind::Missing) => LoginAnswer::NoSuchPath,
        _ => LoginAnswer::Foreign,
    }
}

fn token_in(object: &Value) -> Option<(String, Duration)> {
    let token = object.get("accessToken")?.as_str()?;
    // It becomes the value of a header.
    let is_usable = (1..=TOKEN_BYTES_MAX).contains(&token.len())
        && token.bytes().all(|byte| byte.is_ascii_graphic());
    let ttl = object.get("tokenTtl").and_then(Value::as_u64);
    let ttl = ttl.unwrap_or(DEFAULT_TTL_SECONDS).clamp(1, TTL_SECONDS_MAX);
    is_usable.then(|| (token.to_owned(), Duration::from_secs(ttl)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(status: u16, body: &str) -> LoginAnswer {
        judge_login(&HttpAnswer {
            status,
            headers: hyper::HeaderMap::new(),
            body: body.as_bytes().to_vec(),
        })
    }

    #[test]
    fn n23_plain_and_enveloped_tokens_are_accepted() {
        let expected = |seconds| LoginAnswer::Token("t.1".to_owned(), Duration::from_secs(seconds));
        let plain = r#"{"accessToken":"t.1","tokenTtl":60,"globalAdmin":true,"username":"nacos"}"#;
        assert_eq!(judge(200, plain), expected(60));
        let enveloped =
            r#"{"code":0,"message":"success","data":{"accessToken":"t.1","tokenTtl":5}}"#;
        assert_eq!(judge(200, enveloped), expected(5));
        let without = r#"{"accessToken":"t.1"}"#;
        assert_eq!(judge(200, without), expected(DEFAULT_TTL_SECONDS));
    }

    #[test]
    fn n23_other_answers_are_refusals_or_other_paths() {
        assert_eq!(judge(403, "unknown user!"), LoginAnswer::Denied);
        assert_eq!(
            judge(200, r#"{"code":403,"message":"x"}"#),
            LoginAnswer::Denied
        );
        assert_eq!(judge(404, ""), LoginAnswer::NoSuchPath);
        let gone = r#"{"code":404,"message":"resource not found"}"#;
        assert_eq!(judge(200, gone), LoginAnswer::NoSuchPath);
        assert_eq!(judge(200, "<html>"), LoginAnswer::Foreign);
        assert_eq!(judge(500, ""), LoginAnswer::Failed);
        // A token that would break the header.
        assert_eq!(
            judge(200, "{\"accessToken\":\"a\\r\\nX: y\"}"),
            LoginAnswer::Foreign
        );
    }

    #[test]
    fn a_token_is_renewed_when_a_tenth_of_its_validity_is_left() {
        let now = Instant::now();
        let token = Token::new("t".to_owned(), Duration::from_secs(100), now);
        assert_eq!(token.renew_at - now, Duration::from_secs(90));
        assert_eq!(token.expires_at - now, Duration::from_secs(100));
    }
}
