//! A call of a Nacos server with its token.
//!
//! The token goes into the header `Authorization: Bearer`, which access logs do not show. A server that refuses a fresh token
//! there gets it once as a field, and if that works, always. A header `accessToken` alone is refused by some servers.

use std::time::{Duration, Instant};

use hyper::Method;

use super::super::http::{self, CallLimits, FORM, HttpAnswer, HttpRequest};
use super::super::protocol::{FRAME_BYTES_MAX, FailureKind, ItemFailure};
use super::super::server_url::encode_fields;
use super::envelope::Envelope;
use super::failure::{failure, kind_of_code, no_answer};
use super::servers::{NacosClient, NacosServer};

/// Limit of a call that the server answers at once.
pub(super) const CALL_LIMIT: Duration = Duration::from_secs(15);

/// A call: GET with its fields in the query string, or POST with them in a form.
#[derive(Debug)]
pub(super) struct NacosCall<'a> {
    pub(super) method: Method,
    /// The path below the context path.
    pub(super) path: &'a str,
    pub(super) fields: Vec<(&'a str, &'a str)>,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) limit: Duration,
}

impl<'a> NacosCall<'a> {
    /// A GET.
    pub(super) fn get(path: &'a str, fields: Vec<(&'a str, &'a str)>) -> Self {
        Self {
            method: Method::GET,
            path,
            fields,
            headers: Vec::new(),
            limit: CALL_LIMIT,
        }
    }

    /// A POST.
    pub(super) fn post(path: &'a str, fields: Vec<(&'a str, &'a str)>) -> Self {
        Self {
            method: Method::POST,
            ..Self::get(path, fields)
        }
    }
}

/// The token for a request.
#[derive(Clone)]
struct Access {
    /// `None`: the request carries none.
    token: Option<String>,
    /// The server has just given it.
    is_fresh: bool,
}

impl Access {
    const NONE: Self = Self {
        token: None,
        is_fresh: false,
    };
}

impl NacosClient {
    /// Makes a call, and logs in before it if need be. An answer of any status but 401 and 403 is returned.
    ///
    /// # Errors
    /// `Away`: no answer. `Denied`: the server refuses the user, or a fresh token. `Unusable`: the answer is too large.
    pub(super) async fn call(
        &self,
        server: &NacosServer,
        call: &NacosCall<'_>,
    ) -> Result<HttpAnswer, ItemFailure> {
        let mut access = self.access(server).await?;
        let answer = self.send(server, call, &access).await?;
        if !is_refused(&answer) {
            return Ok(answer);
        }
        if access.token.is_none() {
            let reason = match self.credentials {
                None => "it requires a user name and a password",
                Some(_) => "it refuses requests, and has no login",
            };
            return Err(failure(FailureKind::Denied, &server.url.text, reason));
        }
        if !access.is_fresh {
            access = self.log_in(server).await?;
            let answer = self.send(server, call, &access).await?;
            if !is_refused(&answer) {
                return Ok(answer);
            }
        }
        if let Some(answer) = self.try_field(server, call, &access).await? {
            return Ok(answer);
        }
        let reason = "it refuses the request of this user (no permission for the item?)";
        Err(failure(FailureKind::Denied, &server.url.text, reason))
    }

    /// Sends a fresh token as a field, once for each token. `None`: it was done before, or is refused too.
    async fn try_field(
        &self,
        server: &NacosServer,
        call: &NacosCall<'_>,
        access: &Access,
    ) -> Result<Option<HttpAnswer>, ItemFailure> {
        {
            let mut state = server.state();
            if state.uses_field {
                return Ok(None);
            }
            match &mut state.token {
                Some(token) if !token.was_field => token.was_field = true,
                _ => return Ok(None),
            }
        }
        let answer = self.send_with(server, call, access, true).await?;
        if is_refused(&answer) {
            return Ok(None);
        }
        server.state().uses_field = true;
        Ok(Some(answer))
    }

    /// The token for a request: the one that is there, or a new one if less than a tenth of its validity is left.
    async fn access(&self, server: &NacosServer) -> Result<Access, ItemFailure> {
        if self.credentials.is_none() {
            return Ok(Access::NONE);
        }
        let (known, has_no_login) = {
            let state = server.state();
            (state.token.clone(), state.has_no_login)
        };
        if has_no_login {
            return Ok(Access::NONE);
        }
        let now = Instant::now();
        let Some(known) = known else {
            return self.log_in(server).await;
        };
        let old = Access {
            token: Some(known.text),
            is_fresh: false,
        };
        if now < known.renew_at {
            return Ok(old);
        }
        match self.log_in(server).await {
            // The old token is valid for a little while still.
            Err(away) if away.kind == FailureKind::Away && now < known.expires_at => Ok(old),
            result => result,
        }
    }

    async fn log_in(&self, server: &NacosServer) -> Result<Access, ItemFailure> {
        let Some(credentials) = &self.credentials else {
            return Ok(Access::NONE);
        };
        let token = self.login(server, credentials).await?;
        let text = token.as_ref().map(|token| token.text.clone());
        let mut state = server.state();
        state.has_no_login = token.is_none();
        state.token = token;
        Ok(Access {
            token: text,
            is_fresh: true,
        })
    }

    async fn send(
        &self,
        server: &NacosServer,
        call: &NacosCall<'_>,
        access: &Access,
    ) -> Result<HttpAnswer, ItemFailure> {
        let uses_field = server.state().uses_field;
        self.send_with(server, call, access, uses_field).await
    }

    async fn send_with(
        &self,
        server: &NacosServer,
        call: &NacosCall<'_>,
        access: &Access,
        as_field: bool,
    ) -> Result<HttpAnswer, ItemFailure> {
        let mut fields = call.fields.clone();
        let mut headers = call.headers.clone();
        match &access.token {
            Some(token) if as_field => fields.push(("accessToken", token)),
            Some(token) => headers.push(("Authorization", format!("Bearer {token}"))),
            None => {}
        }
        let fields = encode_fields(fields);
        let (query, body) = match call.method {
            Method::GET => (fields, None),
            _ => (String::new(), Some((FORM, fields.into_bytes()))),
        };
        let request = HttpRequest {
            server: &server.url,
            method: call.method.clone(),
            path: call.path,
            query,
            headers,
            body,
        };
        let limits = CallLimits {
            time: call.limit,
            body_bytes: FRAME_BYTES_MAX,
        };
        let answer = http::call(&self.tls, request, limits).await;
        answer.map_err(|error| no_answer(&server.url.text, &error))
    }
}

/// Whether the server refuses the token, or asks for one.
fn is_refused(answer: &HttpAnswer) -> bool {
    let by_code = || {
        let code = Envelope::read(&answer.body).map(|envelope| envelope.code);
        code.is_some_and(|code| kind_of_code(code) == FailureKind::Denied)
    };
    match answer.status {
        401 | 403 => true,
        // A configuration text has neither this type nor this form.
        200 => answer.header("content-md5").is_none() && by_code(),
        _ => false,
    }
}
