//! A route: its method and path, who may call it, and what it does.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use hyper::Method;

use super::call::Call;
use super::error::ApiError;
use crate::hub::server::{HttpResponse, HubContext};
use crate::hub::users::Role;

/// Who may call a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Need {
    /// Everybody, also without a login.
    Nothing,
    /// Users with this role or a greater one.
    Role(Role),
}

/// What a handler returns.
pub(super) type Answer<'a> =
    Pin<Box<dyn Future<Output = Result<HttpResponse, ApiError>> + Send + 'a>>;

/// One route.
pub(super) struct Route {
    /// The methods. A route that changes nothing answers HEAD too.
    pub(super) methods: &'static [&'static str],
    /// The path, with parameters in braces.
    pub(super) path: &'static str,
    pub(super) need: Need,
    /// Whether it changes something, be it with GET.
    pub(super) changes: bool,
    /// Whether a user may call it before the default password is changed, although it changes something.
    pub(super) is_for_everybody: bool,
    pub(super) doc: &'static str,
    /// The members of its JSON body with their meanings.
    pub(super) body: &'static [(&'static str, &'static str)],
    /// The parameters of its query string with their meanings.
    pub(super) query: &'static [(&'static str, &'static str)],
    pub(super) handle: Handler,
}

type Handler = for<'a> fn(&'a Arc<HubContext>, Call) -> Answer<'a>;

impl Route {
    pub(super) const fn new(
        methods: &'static [&'static str],
        path: &'static str,
        need: Need,
        doc: &'static str,
        handle: Handler,
    ) -> Self {
        Self {
            methods,
            path,
            need,
            changes: true,
            is_for_everybody: false,
            doc,
            body: &[],
            query: &[],
            handle,
        }
    }

    /// A route that changes nothing.
    pub(super) const fn reads(
        path: &'static str,
        need: Need,
        doc: &'static str,
        handle: Handler,
    ) -> Self {
        Self {
            changes: false,
            ..Self::new(&["GET"], path, need, doc, handle)
        }
    }

    pub(super) const fn with_body(mut self, body: &'static [(&'static str, &'static str)]) -> Self {
        self.body = body;
        self
    }

    pub(super) const fn with_query(
        mut self,
        query: &'static [(&'static str, &'static str)],
    ) -> Self {
        self.query = query;
        self
    }

    pub(super) const fn for_everybody(mut self) -> Self {
        self.is_for_everybody = true;
        self
    }

    pub(super) fn answers(&self, method: &Method) -> bool {
        self.methods.contains(&method.as_str()) || (*method == Method::HEAD && !self.changes)
    }

    /// The names of the parameters in the path.
    pub(super) fn path_params(&self) -> impl Iterator<Item = &'static str> {
        self.path.split('/').filter_map(braced)
    }
}

/// Returns the parameter name in a segment such as `{name}`. `None`: the segment is literal.
pub(super) fn braced(segment: &'static str) -> Option<&'static str> {
    segment.strip_prefix('{')?.strip_suffix('}')
}
