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
pub(in crate::hub) enum Need {
    /// Everybody, also without a login.
    Nothing,
    /// Users with this role or a greater one.
    Role(Role),
}

/// What a handler returns.
pub(in crate::hub) type Answer<'a> =
    Pin<Box<dyn Future<Output = Result<HttpResponse, ApiError>> + Send + 'a>>;

/// One route.
pub(in crate::hub) struct Route {
    /// The methods. A route that changes nothing answers HEAD too.
    pub(in crate::hub) methods: &'static [&'static str],
    /// The path, with parameters in braces.
    pub(in crate::hub) path: &'static str,
    pub(in crate::hub) need: Need,
    /// Whether it changes something, be it with GET.
    pub(in crate::hub) changes: bool,
    /// Whether a user may call it before the default password is changed, although it changes something.
    pub(in crate::hub) is_for_everybody: bool,
    /// Whether it is a page: a form carries its arguments, and errors are pages.
    pub(in crate::hub) is_page: bool,
    pub(in crate::hub) doc: &'static str,
    /// The members of its JSON body with their meanings.
    pub(in crate::hub) body: &'static [(&'static str, &'static str)],
    /// The parameters of its query string with their meanings.
    pub(in crate::hub) query: &'static [(&'static str, &'static str)],
    pub(in crate::hub) handle: Handler,
}

type Handler = for<'a> fn(&'a Arc<HubContext>, Call) -> Answer<'a>;

impl Route {
    pub(in crate::hub) const fn new(
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
            is_page: false,
            doc,
            body: &[],
            query: &[],
            handle,
        }
    }

    /// A route that changes nothing.
    pub(in crate::hub) const fn reads(
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

    pub(in crate::hub) const fn with_body(
        mut self,
        body: &'static [(&'static str, &'static str)],
    ) -> Self {
        self.body = body;
        self
    }

    pub(in crate::hub) const fn with_query(
        mut self,
        query: &'static [(&'static str, &'static str)],
    ) -> Self {
        self.query = query;
        self
    }

    pub(in crate::hub) const fn for_everybody(mut self) -> Self {
        self.is_for_everybody = true;
        self
    }

    pub(in crate::hub) const fn page(mut self) -> Self {
        self.is_page = true;
        self
    }

    pub(in crate::hub) fn answers(&self, method: &Method) -> bool {
        self.methods.contains(&method.as_str()) || (*method == Method::HEAD && !self.changes)
    }

    /// The names of the parameters in the path.
    pub(in crate::hub) fn path_params(&self) -> impl Iterator<Item = &'static str> {
        self.path.split('/').filter_map(braced)
    }
}

/// Returns the parameter name in a segment such as `{name}`. `None`: the segment is literal.
pub(in crate::hub) fn braced(segment: &'static str) -> Option<&'static str> {
    segment.strip_prefix('{')?.strip_suffix('}')
}
