//! Finds what answers a path: a method of METHODS, the stream of events, or the document.

use hyper::Method as HttpMethod;

use crate::api::{METHODS, Method, RpcInterfaces};

/// The path above all routes.
pub(super) const PREFIX: &str = "/api/v1";
/// The path of the OpenAPI document.
pub(super) const DOCUMENT: &str = "/openapi.json";
/// The path of the stream of events.
pub(super) const EVENTS: &str = "/events";

/// Whether the REST interface answers this path.
pub(in crate::server) fn is_below(path: &str) -> bool {
    path.strip_prefix(PREFIX)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// What answers a request.
#[derive(Clone, Copy)]
pub(super) enum Endpoint {
    /// A method.
    Call(&'static Method),
    /// The stream of events.
    Events,
    /// The OpenAPI document.
    Document,
}

/// One route.
#[derive(Clone, Copy)]
pub(super) struct Route {
    /// GET, or what changes something: POST, PUT, PATCH, DELETE. A route with GET answers HEAD too.
    pub(super) verb: &'static str,
    /// The path below [`PREFIX`], with parameters in braces.
    pub(super) path: &'static str,
    pub(super) endpoint: Endpoint,
}

impl Route {
    /// The route of a method. `None`: it has none.
    pub(super) fn of(method: &'static Method) -> Option<Self> {
        let (verb, path) = method.route.split_once(' ')?;
        Some(Self {
            verb,
            path,
            endpoint: Endpoint::Call(method),
        })
    }

    /// The names of the parameters in the path.
    pub(super) fn path_params(&self) -> impl Iterator<Item = &'static str> {
        self.path.split('/').filter_map(braced)
    }

    fn answers(&self, verb: &HttpMethod) -> bool {
        verb == self.verb || (verb == HttpMethod::HEAD && self.verb == "GET")
    }
}

/// All routes of the namespaces that are enabled.
pub(super) fn routes(interface: &RpcInterfaces) -> impl Iterator<Item = Route> {
    let own = [(DOCUMENT, Endpoint::Document), (EVENTS, Endpoint::Events)];
    let own = own.map(|(path, endpoint)| Route {
        verb: "GET",
        path,
        endpoint,
    });
    METHODS
        .iter()
        .filter(|method| interface.offers(method))
        .filter_map(Route::of)
        .chain(own)
}

/// A parameter of the path with its value, still percent-encoded.
pub(super) type PathParam<'p> = (&'static str, &'p str);

/// What a verb and a path lead to.
pub(super) enum Resolved<'p> {
    Found(Endpoint, Vec<PathParam<'p>>),
    /// The path has other verbs.
    WrongMethod(Vec<&'static str>),
    Unknown,
}

/// Finds the route of a path, which is relative to [`PREFIX`] and percent-encoded.
pub(super) fn resolve<'p>(
    interface: &RpcInterfaces,
    verb: &HttpMethod,
    path: &'p str,
) -> Resolved<'p> {
    let mut allowed = Vec::new();
    for route in routes(interface) {
        let Some(params) = match_path(route.path, path) else {
            continue;
        };
        if route.answers(verb) {
            return Resolved::Found(route.endpoint, params);
        }
        allowed.push(route.verb);
        if route.verb == "GET" {
            allowed.push("HEAD");
        }
    }
    match allowed.is_empty() {
        true => Resolved::Unknown,
        false => Resolved::WrongMethod(allowed),
    }
}

/// Returns the parameter name in a route segment such as `{name}`. `None`: the segment is literal.
fn braced(segment: &'static str) -> Option<&'static str> {
    segment.strip_prefix('{')?.strip_suffix('}')
}

fn match_path<'p>(route: &'static str, path: &'p str) -> Option<Vec<PathParam<'p>>> {
    let (mut expected, mut given) = (route.split('/'), path.split('/'));
    let mut params = Vec::new();
    loop {
        match (expected.next(), given.next()) {
            (None, None) => return Some(params),
            (Some(segment), Some(given)) => match braced(segment) {
                Some(name) if !given.is_empty() => params.push((name, given)),
                None if segment == given => {}
                Some(_) | None => return None,
            },
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::api::{BoundCall, ParamKind};

    const ALL: RpcInterfaces = RpcInterfaces {
        supervisor: true,
        twiddler: Some(Vec::new()),
    };

    #[test]
    fn every_method_but_multicall_has_a_route() {
        let without = METHODS.iter().filter(|method| Route::of(method).is_none());
        let names: Vec<_> = without.map(|method| method.names[0]).collect();
        // A client of HTTP sends several requests.
        assert_eq!(names, ["system.multicall"]);
    }

    #[test]
    fn only_methods_that_change_nothing_have_get() {
        for method in METHODS {
            let Some(route) = Route::of(method) else {
                continue;
            };
            let samples = method.params.iter().map(|param| {
                let list = || crate::api::xmlrpc::RpcValue::Array(Vec::new());
                Some(match param.kind {
                    ParamKind::Int | ParamKind::Count => crate::api::xmlrpc::RpcValue::Int(1),
                    ParamKind::Names => list(),
                    ParamKind::Level => crate::api::xmlrpc::RpcValue::text("INFO"),
                    ParamKind::Options => crate::api::xmlrpc::RpcValue::Struct(Vec::new()),
                    ParamKind::Flag => crate::api::xmlrpc::RpcValue::Bool(false),
                    _ => crate::api::xmlrpc::RpcValue::text("x"),
                })
            });
            let bound: BoundCall = method
                .bind_optional_arguments(samples.collect())
                .expect("valid arguments");
            let changes = bound
                .request()
                .is_some_and(|request| request.effect().audit_verb().is_some());
            let changes = changes
                || matches!(&bound, BoundCall::Configuration(call) if call.audit_entry().is_some());
            // A test sends settings with a password.
            let is_test = method.names[0] == "supervisord.testNacos";
            assert_eq!(
                route.verb != "GET",
                changes || is_test,
                "{}",
                method.names[0]
            );
        }
    }

    #[test]
    fn parameters_of_paths_are_required_parameters() {
        for method in METHODS {
            let Some(route) = Route::of(method) else {
                continue;
            };
            assert!(route.path.starts_with('/'), "{}", route.path);
            for name in route.path_params() {
                let param = method.params.iter().find(|param| param.name == name);
                assert!(param.is_some_and(|param| !param.optional), "{name}");
            }
        }
    }

    #[test]
    fn no_path_leads_to_two_routes() {
        let all: Vec<Route> = routes(&ALL).collect();
        let mut seen = HashSet::new();
        for route in &all {
            assert!(seen.insert((route.verb, route.path)), "{}", route.path);
            for other in &all {
                // A literal segment must not be a value of a parameter in the same place.
                let both = match_path(other.path, route.path).is_some();
                assert!(!both || other.path == route.path, "{}", route.path);
            }
        }
    }

    #[test]
    fn paths_are_found_or_name_their_verbs() {
        let find = |verb: &HttpMethod, path| match resolve(&ALL, verb, path) {
            Resolved::Found(Endpoint::Call(method), params) => {
                format!("{} {params:?}", method.names[0])
            }
            Resolved::Found(Endpoint::Events, _) => "events".to_owned(),
            Resolved::Found(Endpoint::Document, _) => "document".to_owned(),
            Resolved::WrongMethod(allowed) => format!("not {}", allowed.join(", ")),
            Resolved::Unknown => "unknown".to_owned(),
        };
        for (verb, path, expected) in [
            (
                HttpMethod::GET,
                "/processes",
                "supervisor.getAllProcessInfo []",
            ),
            (
                HttpMethod::HEAD,
                "/processes",
                "supervisor.getAllProcessInfo []",
            ),
            (
                HttpMethod::GET,
                "/processes/a%2Fb",
                "supervisor.getProcessInfo [(\"name\", \"a%2Fb\")]",
            ),
            (HttpMethod::DELETE, "/processes", "not GET, HEAD"),
            (HttpMethod::GET, "/all/start", "not POST"),
            (HttpMethod::PUT, "/events", "not POST, GET, HEAD"),
            (HttpMethod::GET, "/events", "events"),
            (HttpMethod::GET, "/openapi.json", "document"),
            (HttpMethod::GET, "/processes/", "unknown"),
            (HttpMethod::GET, "/processes//stdout", "unknown"),
            (HttpMethod::GET, "", "unknown"),
            (HttpMethod::GET, "/", "unknown"),
        ] {
            assert_eq!(find(&verb, path), expected, "{verb} {path}");
        }
        let without = RpcInterfaces {
            supervisor: true,
            twiddler: None,
        };
        let found = resolve(&without, &HttpMethod::GET, "/twiddler/groups");
        assert!(matches!(found, Resolved::Unknown));
        assert!(is_below("/api/v1") && is_below("/api/v1/x") && !is_below("/api/v11"));
    }
}
