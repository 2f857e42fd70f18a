//! The table of routes of the interfaces: method, path, who may call it, whether it changes something, and what it does.

use hyper::Method;

use super::route::{Need, Route, braced};
use super::{openapi, v1, v2};
use crate::hub::pages;
use crate::hub::users::Role;

const VIEWER: Need = Need::Role(Role::Viewer);
const OPERATOR: Need = Need::Role(Role::Operator);
const ADMIN: Need = Need::Role(Role::Admin);
const POST: &[&str] = &["POST"];
const PUT: &[&str] = &["PUT"];
const PATCH: &[&str] = &["PATCH"];
const DELETE: &[&str] = &["DELETE"];
/// Cesi changes processes with GET. Programs may go on so.
const GET_OR_POST: &[&str] = &["GET", "POST"];

const USERNAME: (&str, &str) = ("username", "The user name");
const PASSWORD: (&str, &str) = ("password", "The password");
const ROLE: (&str, &str) = ("role", "viewer, operator or admin");
const LIMITS: (&str, &str) = (
    "limits",
    "An object with the lists environments and groups of patterns. The user reaches only what matches them",
);
const NODE: (&str, &str) = (
    "node",
    "Only nodes whose name matches one of these patterns",
);
const ENVIRONMENT: (&str, &str) = (
    "environment",
    "Only nodes whose environment matches one of these patterns",
);
const TAG: (&str, &str) = ("tag", "Only nodes with one of these tags");

/// All routes.
pub(super) const ROUTES: &[Route] = &[
    Route::reads("/api/version", Need::Nothing, "The version of the hub", |hub, call| {
        Box::pin(v2::version(hub, call))
    }),
    // Cesi's REST v2.
    Route::new(POST, "/api/v2/auth/login/", Need::Nothing, "Log in; the session is a cookie", |hub, call| {
        Box::pin(v2::login(hub, call))
    })
    .with_body(&[USERNAME, PASSWORD]),
    Route::new(POST, "/api/v2/auth/logout/", Need::Nothing, "Log out", |hub, call| {
        Box::pin(v2::logout(hub, call))
    }),
    Route::reads("/api/v2/profile/", VIEWER, "The user who is logged in", |hub, call| {
        Box::pin(v2::profile(hub, call))
    }),
    Route::new(PUT, "/api/v2/profile/password/", VIEWER, "Change the own password", |hub, call| {
        Box::pin(v2::change_password(hub, call))
    })
    .with_body(&[("oldPassword", "The present password"), ("newPassword", "The new one")])
    .for_everybody(),
    Route::reads("/api/v2/nodes/", VIEWER, "All nodes with their processes", |hub, call| {
        Box::pin(v2::nodes(hub, call))
    }),
    Route::reads("/api/v2/nodes/{node}/", VIEWER, "A node with its processes", |hub, call| {
        Box::pin(v2::node(hub, call))
    }),
    Route::reads("/api/v2/nodes/{node}/processes/", VIEWER, "The processes of a node", |hub, call| {
        Box::pin(v2::processes(hub, call))
    }),
    Route::reads("/api/v2/nodes/{node}/processes/{process}/", VIEWER, "A process, as group:name", |hub, call| {
        Box::pin(v2::process(hub, call))
    }),
    Route::new(GET_OR_POST, "/api/v2/nodes/{node}/processes/{process}/start/", OPERATOR, "Start a process", |hub, call| {
        Box::pin(v2::start(hub, call))
    }),
    Route::new(GET_OR_POST, "/api/v2/nodes/{node}/processes/{process}/stop/", OPERATOR, "Stop a process", |hub, call| {
        Box::pin(v2::stop(hub, call))
    }),
    Route::new(GET_OR_POST, "/api/v2/nodes/{node}/processes/{process}/restart/", OPERATOR, "Restart a process", |hub, call| {
        Box::pin(v2::restart(hub, call))
    }),
    Route::reads("/api/v2/nodes/{node}/processes/{process}/log/", VIEWER, "The last lines of both logs of a process", |hub, call| {
        Box::pin(v2::log(hub, call))
    }),
    Route::new(GET_OR_POST, "/api/v2/nodes/{node}/all-processes/start/", OPERATOR, "Start all processes of a node", |hub, call| {
        Box::pin(v2::start_all(hub, call))
    }),
    Route::new(GET_OR_POST, "/api/v2/nodes/{node}/all-processes/stop/", OPERATOR, "Stop all processes of a node", |hub, call| {
        Box::pin(v2::stop_all(hub, call))
    }),
    Route::new(GET_OR_POST, "/api/v2/nodes/{node}/all-processes/restart/", OPERATOR, "Restart all processes of a node", |hub, call| {
        Box::pin(v2::restart_all(hub, call))
    }),
    Route::reads("/api/v2/environments/", VIEWER, "All environments with their nodes", |hub, call| {
        Box::pin(v2::environments(hub, call))
    }),
    Route::reads("/api/v2/groups/", ADMIN, "The groups of all nodes as a tree", |hub, call| {
        Box::pin(v2::groups(hub, call))
    }),
    Route::reads("/api/v2/groups/{group}/", ADMIN, "A group as a tree", |hub, call| {
        Box::pin(v2::group(hub, call))
    }),
    Route::reads("/api/v2/groups/{group}/node/{node}/", ADMIN, "The processes of a group on a node", |hub, call| {
        Box::pin(v2::group_on_node(hub, call))
    }),
    Route::reads("/api/v2/users/", ADMIN, "All users", |hub, call| Box::pin(v2::users(hub, call))),
    Route::new(POST, "/api/v2/users/", ADMIN, "Add a user", |hub, call| Box::pin(v2::add_user(hub, call)))
        .with_body(&[
            USERNAME,
            PASSWORD,
            ("usertype", "0: admin, 1: operator, 2: viewer"),
        ]),
    Route::new(DELETE, "/api/v2/users/{user}/", ADMIN, "Delete a user", |hub, call| {
        Box::pin(v2::delete_user(hub, call))
    }),
    Route::reads("/api/v2/activitylogs/", VIEWER, "The activity log, the newest line first", |hub, call| {
        Box::pin(v2::activity(hub, call))
    }),
    Route::reads("/api/v2/activitylogs/{limit}/", VIEWER, "The newest lines of the activity log", |hub, call| {
        Box::pin(v2::activity(hub, call))
    }),
    // Differs: in Cesi everybody who is logged in may empty the log, which would hide the own actions.
    Route::new(DELETE, "/api/v2/activitylogs/", ADMIN, "Empty the activity log", |hub, call| {
        Box::pin(v2::clear_activity(hub, call))
    }),
    // Ours.
    Route::reads("/api/v1/openapi.json", VIEWER, "This document", |hub, _| Box::pin(openapi::answer(hub, all_routes()))),
    Route::reads("/api/v1/session", VIEWER, "The user who is logged in, with role and limits", |hub, call| {
        Box::pin(v1::session(hub, call))
    }),
    Route::reads("/api/v1/nodes", VIEWER, "All nodes with their states and numbers of processes", |hub, call| {
        Box::pin(v1::nodes(hub, call))
    })
    .with_query(&[NODE, ENVIRONMENT, TAG]),
    Route::reads("/api/v1/nodes/{node}", VIEWER, "A node with its processes, also the last known ones", |hub, call| {
        Box::pin(v1::node(hub, call))
    }),
    Route::reads("/api/v1/nodes/{node}/processes/{process}/log", VIEWER, "A part of a log of a process", |hub, call| {
        Box::pin(v1::log(hub, call))
    })
    .with_query(&[
        ("stream", "stdout (default) or stderr"),
        ("bytes", "Maximum number of bytes; default 16384"),
        ("offset", "Only what was written after this offset, the end of an earlier part"),
    ]),
    Route::reads("/api/v1/processes", VIEWER, "The processes of all nodes", |hub, call| {
        Box::pin(v1::processes(hub, call))
    })
    .with_query(&[
        NODE,
        ENVIRONMENT,
        TAG,
        (
            "match",
            "Only processes that match one of these patterns: name, group:name, or either with @node",
        ),
        ("state", "Only processes in one of these states, such as RUNNING"),
    ]),
    Route::new(POST, "/api/v1/actions", OPERATOR, "Start, stop or restart processes of many nodes, with a result for each. With Accept: application/x-ndjson, each result is a line that is sent when the action ends", |hub, call| {
        Box::pin(v1::actions(hub, call))
    })
    .with_body(&[
        ("action", "start, stop or restart"),
        ("targets", "Patterns of processes: name, group:name, or either with @node"),
        ("environments", "Only nodes whose environment matches one of these patterns"),
        ("tags", "Only nodes with one of these tags"),
        ("max_parallel", "Maximum number of actions at a time"),
    ]),
    Route::reads("/api/v1/events", VIEWER, "All changes of nodes and processes as server-sent events", |hub, call| {
        Box::pin(v1::events(hub, call))
    })
    .with_query(&[
        NODE,
        ENVIRONMENT,
        TAG,
        ("snapshot", "With true, the present states come first"),
        ("nodes_only", "With true, only nodes are sent, with the numbers of their processes, again when a process has changed"),
    ]),
    Route::reads("/api/v1/activity", VIEWER, "The activity log, the newest record first", |hub, call| {
        Box::pin(v1::activity(hub, call))
    })
    .with_query(&[("limit", "Maximum number of records; default 100")]),
    Route::reads("/api/v1/users", ADMIN, "All users", |hub, call| Box::pin(v1::users(hub, call))),
    Route::new(POST, "/api/v1/users", ADMIN, "Add a user", |hub, call| Box::pin(v1::add_user(hub, call)))
        .with_body(&[
            ("name", "The user name"),
            PASSWORD,
            ROLE,
            LIMITS,
        ]),
    Route::new(PATCH, "/api/v1/users/{user}", ADMIN, "Change role, limits or password of a user", |hub, call| {
        Box::pin(v1::change_user(hub, call))
    })
    .with_body(&[ROLE, LIMITS, PASSWORD]),
    Route::new(DELETE, "/api/v1/users/{user}", ADMIN, "Delete a user with all sessions and tokens", |hub, call| {
        Box::pin(v1::delete_user(hub, call))
    }),
    Route::reads("/api/v1/tokens", VIEWER, "The own tokens", |hub, call| Box::pin(v1::tokens(hub, call))),
    Route::new(POST, "/api/v1/tokens", VIEWER, "Create a token for scripts. Only this answer contains it", |hub, call| {
        Box::pin(v1::add_token(hub, call))
    })
    .with_body(&[
        ("name", "The name, unique among the own tokens"),
        ("role", "What requests with it may do at most; default: the own role"),
        ("expires_days", "Days after which it is not valid any more; default: never"),
    ]),
    Route::new(DELETE, "/api/v1/tokens/{token}", VIEWER, "Delete an own token", |hub, call| {
        Box::pin(v1::delete_token(hub, call))
    }),
    Route::reads("/api/v1/sd", VIEWER, "The nodes as targets for Prometheus (http_sd_config)", |hub, call| {
        Box::pin(v1::targets(hub, call))
    })
    .with_query(&[NODE, ENVIRONMENT, TAG]),
];

/// All routes, for those that the table itself names.
fn all_routes() -> &'static [Route] {
    ROUTES
}

/// The routes with their descriptions, for the manual.
pub(in crate::hub) fn route_entries() -> impl Iterator<Item = (String, String)> {
    ROUTES.iter().map(|route| {
        let need = match route.need {
            Need::Nothing => "everybody".to_owned(),
            Need::Role(role) => format!("{role}"),
        };
        let methods = route.methods.join(", ");
        (
            format!("{methods} `{}`", route.path),
            format!("{}. Needs: {need}.", route.doc),
        )
    })
}

/// A parameter of a path with its value, still percent-encoded.
pub(super) type PathParam<'p> = (&'static str, &'p str);

/// What a method and a path lead to.
pub(super) enum Resolved<'p> {
    Found(&'static Route, Vec<PathParam<'p>>),
    /// The path has a route if a slash is added.
    WithSlash,
    /// The path has other methods.
    WrongMethod(Vec<&'static str>),
    Unknown,
}

/// Finds the route of a path.
pub(super) fn resolve<'p>(method: &Method, path: &'p str) -> Resolved<'p> {
    let mut allowed = Vec::new();
    let mut lacks_slash = false;
    for route in ROUTES.iter().chain(pages::ROUTES) {
        let Some(params) = match_path(route.path, path) else {
            let above = route.path.strip_suffix('/');
            lacks_slash |= above.is_some_and(|above| match_path(above, path).is_some());
            continue;
        };
        if route.answers(method) {
            return Resolved::Found(route, params);
        }
        allowed.extend(route.methods);
        if !route.changes {
            allowed.push("HEAD");
        }
    }
    match (lacks_slash, allowed.is_empty()) {
        (_, false) => Resolved::WrongMethod(allowed),
        (true, true) => Resolved::WithSlash,
        (false, true) => Resolved::Unknown,
    }
}

fn match_path<'p>(route: &'static str, path: &'p str) -> Option<Vec<PathParam<'p>>> {
    let (mut expected, mut given) = (route.split('/'), path.split('/'));
    let mut params = Vec::new();
    loop {
        match (expected.next(), given.next()) {
            (None, None) => return Some(params),
            (Some(segment), Some(given)) => match braced(segment) {
                Some(name) if !given.is_empty() && has_form(name, given) => {
                    params.push((name, given));
                }
                None if segment == given => {}
                Some(_) | None => return None,
            },
            _ => return None,
        }
    }
}

/// Whether a segment can be the value of a parameter: a limit is a number.
fn has_form(name: &str, value: &str) -> bool {
    name != "limit" || value.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_path_leads_to_two_routes() {
        let all: Vec<&Route> = ROUTES.iter().chain(pages::ROUTES).collect();
        for (at, route) in all.iter().enumerate() {
            for other in &all[at + 1..] {
                let is_same_path = route.path == other.path;
                let shares = route
                    .methods
                    .iter()
                    .any(|method| other.methods.contains(method));
                assert!(!(is_same_path && shares), "{}", route.path);
            }
            assert!(
                !route.doc.is_empty() && !route.doc.ends_with('.'),
                "{}",
                route.path
            );
        }
    }

    #[test]
    fn whatever_changes_something_needs_more_than_a_viewer() {
        // A user's own session, password and tokens.
        let own = [
            "/auth/",
            "/profile/",
            "/tokens",
            "/login/",
            "/logout/",
            "/language",
        ];
        let all = || ROUTES.iter().chain(pages::ROUTES);
        for route in all().filter(|route| route.changes) {
            let is_own = own.iter().any(|part| route.path.contains(part));
            assert_eq!(
                !is_own,
                matches!(route.need, Need::Role(role) if role > Role::Viewer),
                "{}",
                route.path
            );
        }
        for route in all().filter(|route| !route.changes) {
            assert_eq!(route.methods, ["GET"], "{}", route.path);
        }
    }

    #[test]
    fn paths_are_found_or_say_what_is_wrong() {
        let find = |method: &Method, path| match resolve(method, path) {
            Resolved::Found(route, params) => format!("{} {params:?}", route.path),
            Resolved::WithSlash => "slash".to_owned(),
            Resolved::WrongMethod(methods) => methods.join(" "),
            Resolved::Unknown => "unknown".to_owned(),
        };
        for (method, path, expected) in [
            (Method::GET, "/api/version", "/api/version []"),
            (Method::HEAD, "/api/version", "/api/version []"),
            (
                Method::GET,
                "/api/v2/nodes/a%2Fb/",
                "/api/v2/nodes/{node}/ [(\"node\", \"a%2Fb\")]",
            ),
            (Method::GET, "/api/v2/nodes/a", "slash"),
            (Method::POST, "/api/v2/auth/login", "slash"),
            (Method::GET, "/api/v2/auth/login/", "POST"),
            (
                Method::HEAD,
                "/api/v2/nodes/a/all-processes/stop/",
                "GET POST",
            ),
            (
                Method::GET,
                "/api/v2/activitylogs/7/",
                "/api/v2/activitylogs/{limit}/ [(\"limit\", \"7\")]",
            ),
            (Method::GET, "/api/v2/activitylogs/x/", "unknown"),
            (Method::GET, "/api/v2/nodes//", "unknown"),
            (Method::GET, "/api/v1/nodes/", "unknown"),
            (Method::GET, "/", "/ []"),
            (Method::GET, "/nodes/a", "slash"),
            (Method::GET, "/nosuch", "unknown"),
        ] {
            assert_eq!(find(&method, path), expected, "{method} {path}");
        }
    }
}
