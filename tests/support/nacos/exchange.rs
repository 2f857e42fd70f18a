//! One request and its answer: the interface that the path belongs to, the rights, and what both interfaces have in common.

use std::time::{Duration, Instant};

use serde_json::json;

use super::http::{StubRequest, StubResponse};
use super::settings::{Families, MissingPage};
use super::shared::{Shared, State};
use super::store::{ItemKey, Publication};
use super::{v1, v3};

/// One request, and what its answer needs.
pub(super) struct Exchange<'a> {
    pub(super) shared: &'a Shared,
    pub(super) run: u64,
    /// The client's address without the port.
    pub(super) host: &'a str,
    pub(super) request: &'a StubRequest,
    /// The fault that falsifies the MD5 of an answer.
    pub(super) has_wrong_md5: bool,
}

/// Why an answer is not the one that was asked for.
pub(super) enum Refused {
    /// The path does not exist.
    Missing,
    /// This answer instead.
    With(StubResponse),
    /// The run ended: none.
    Stopped,
}

impl Exchange<'_> {
    /// The answer. `None`: none, since the run ended.
    pub(super) fn answer(&self) -> Option<StubResponse> {
        let path = self.request.path.as_str();
        let (families, is_missing) = {
            let state = self.shared.lock();
            let missing = &state.settings.missing_paths;
            (state.settings.families, missing.contains(&path))
        };
        let result = if is_missing {
            Err(Refused::Missing)
        } else if path.starts_with("/nacos/v1/") && families != Families::V3 {
            v1::answer(self)
        } else if path.starts_with("/nacos/v3/") && families != Families::V1 {
            v3::answer(self)
        } else {
            Err(Refused::Missing)
        };
        match result {
            Ok(response) | Err(Refused::With(response)) => Some(response),
            Err(Refused::Missing) => Some(self.missing_page()),
            Err(Refused::Stopped) => None,
        }
    }

    fn missing_page(&self) -> StubResponse {
        let kind = self.shared.lock().settings.missing_page;
        match kind {
            MissingPage::Empty => StubResponse {
                status: 404,
                headers: Vec::new(),
                body: Vec::new(),
            },
            MissingPage::Json => StubResponse::json(
                404,
                &json!({"code": 404, "message": "resource not found", "data": null}),
            ),
            MissingPage::Html => StubResponse::new(
                404,
                "text/html;charset=utf-8",
                "<!doctype html><html><head><title>HTTP Status 404 – Not Found</title></head></html>",
            ),
        }
    }

    /// A field of the query or form, empty if it is missing.
    pub(super) fn field(&self, name: &str) -> String {
        self.request.parameter(name).unwrap_or_default()
    }

    /// The item that the fields name. The error is the name of a missing field.
    pub(super) fn key(&self, namespace: &str, group: &str) -> Result<ItemKey, String> {
        let required = |name: &str| match self.field(name) {
            value if value.is_empty() => Err(name.to_owned()),
            value => Ok(value),
        };
        Ok(ItemKey::new(
            &self.field(namespace),
            &required(group)?,
            &required("dataId")?,
        ))
    }

    /// What the fields say about a text to publish. `user` is the name of the field with the author.
    pub(super) fn publication(&self, user: &str) -> Publication {
        Publication {
            text: self.field("content"),
            kind: self.field("type"),
            src_user: self.field(user),
            src_ip: self.host.to_owned(),
        }
    }

    /// The MD5 for an answer.
    pub(super) fn md5(&self, md5: &str) -> String {
        match self.has_wrong_md5 {
            true => md5.chars().rev().collect(),
            false => md5.to_owned(),
        }
    }

    /// Whether the header `casMd5` forbids to publish. An empty one has no effect.
    pub(super) fn loses_race(&self, state: &State, key: &ItemKey) -> bool {
        let expected = self.request.header("casMd5").unwrap_or_default();
        !expected.is_empty() && state.store.md5(key) != expected
    }

    /// Whether the request has the rights of the account. A header `accessToken` is none, as on some servers.
    pub(super) fn is_authorized(&self) -> bool {
        let state = self.shared.lock();
        let settings = &state.settings;
        let Some((user, password)) = settings.account else {
            return true;
        };
        if settings.accepts_password
            && self.field("username") == user
            && self.field("password") == password
        {
            return true;
        }
        let bearer = self.request.header("authorization");
        let bearer = bearer.and_then(|value| value.strip_prefix("Bearer "));
        let bearer = bearer.filter(|_| settings.accepts_bearer);
        let field = self.request.parameter("accessToken");
        let field = field.filter(|_| settings.accepts_token_field);
        let now = Instant::now();
        [bearer.map(str::to_owned), field]
            .into_iter()
            .flatten()
            .any(|token| state.tokens.get(&token).is_some_and(|end| now < *end))
    }

    /// A login, by the fields `username` and `password`.
    pub(super) fn login(&self) -> StubResponse {
        let (given_user, given_password) = (self.field("username"), self.field("password"));
        let mut state = self.shared.lock();
        let account = state.settings.account;
        let (token, ttl, user) = match account {
            // As a server does that has no authentication.
            None => (
                "AUTH_DISABLED".to_owned(),
                Duration::from_secs(18_000),
                given_user,
            ),
            Some((user, password)) if given_user == user && given_password == password => {
                let number = state.next_number();
                let ttl = state.settings.token_ttl;
                let token = format!("stub-token.{number}.{:x}", number.wrapping_mul(0x9e37_79b9));
                state.tokens.insert(token.clone(), Instant::now() + ttl);
                (token, ttl, given_user)
            }
            Some(_) => return StubResponse::text(403, "unknown user!"),
        };
        let data = json!({
            "accessToken": token, "tokenTtl": ttl.as_secs(), "globalAdmin": true, "username": user,
        });
        match state.settings.login_is_enveloped {
            true => {
                StubResponse::json(200, &json!({"code": 0, "message": "success", "data": data}))
            }
            false => StubResponse::json(200, &data),
        }
    }

    /// The page of a list that the fields `pageNo` and `pageSize` select.
    pub(super) fn page(&self, all: Vec<serde_json::Value>) -> serde_json::Value {
        let number = |name: &str, default: usize| match self.field(name).parse() {
            Ok(number) if number > 0 => number,
            _ => default,
        };
        let (page, size) = (number("pageNo", 1), number("pageSize", 100));
        let (count, pages) = (all.len(), all.len().div_ceil(size));
        let items: Vec<_> = all.into_iter().skip((page - 1) * size).take(size).collect();
        json!({"totalCount": count, "pageNumber": page, "pagesAvailable": pages, "pageItems": items})
    }
}
