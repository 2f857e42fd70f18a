//! The OpenAPI document of the routes, drawn from METHODS.
//!
//! # Source
//! OpenAPI Specification 3.1.1.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::arguments::{BODY_MAX, takes_version};
use super::events;
use super::json::CONTENT_TYPE as JSON;
use super::problem;
use super::process_query::{LIST_PARAMS, ONE_PARAMS};
use super::query::{QueryKind, QueryParam};
use super::routes::{Endpoint, PREFIX, Route, routes};
use super::schemas::{
    ParamPlace, body_schema, components, param_schema, problem_schema, query_schema, result_schema,
};
use crate::api::{FaultCode, METHODS, Method, Param, ParamKind, ResultKind, RpcInterfaces};
use crate::domain::VERSION;

const DESCRIPTION: &str = "Every route calls the method of XML-RPC that its description names. GET changes nothing. Errors are \
problem details (RFC 9457) with the fault of the method.";

/// Returns the document. `schemes`: the ways to log in that the server offers, of HTTP's `basic` and `bearer`. Empty: it
/// asks for none.
pub(super) fn document(interface: &RpcInterfaces, schemes: &[&str]) -> String {
    let has_login = !schemes.is_empty();
    let mut paths: BTreeMap<&str, Map<String, Value>> = BTreeMap::new();
    for route in routes(interface) {
        let operation = operation(&route, has_login);
        let verbs = paths.entry(route.path).or_default();
        verbs.insert(route.verb.to_ascii_lowercase(), operation);
    }
    let mut document = json!({
        "openapi": "3.1.0",
        "info": {"title": "supervisord", "version": VERSION, "description": DESCRIPTION},
        "servers": [{"url": PREFIX}],
        "paths": paths,
        "components": {"schemas": components()},
    });
    for (index, scheme) in schemes.iter().enumerate() {
        document["components"]["securitySchemes"][scheme] =
            json!({"type": "http", "scheme": scheme});
        if index == 0 {
            document["security"] = json!([]);
        }
        if let Some(security) = document["security"].as_array_mut() {
            security.push(json!({ *scheme: [] }));
        }
    }
    document.to_string()
}

fn operation(route: &Route, has_login: bool) -> Value {
    let mut operation = match route.endpoint {
        Endpoint::Call(method) => call(route, method),
        Endpoint::Events => json!({
            "operationId": "streamEvents",
            "description": "Stream all changes as server-sent events. `event` is the type, `data` is JSON. The event `missed` has the number of changes that were lost before it, or null if the daemon is another one.",
            "parameters": event_params(),
            "responses": {"200": {
                "description": "A stream that does not end",
                "content": {"text/event-stream": {"schema": {"type": "string"}}},
            }},
        }),
        Endpoint::Document => json!({
            "operationId": "getDocument",
            "description": "Return this document.",
            "parameters": [],
            "responses": {"200": {
                "description": "The document",
                "content": {JSON: {"schema": {"type": "object"}}},
            }},
        }),
    };
    let tag = route.path.split('/').nth(1).unwrap_or_default();
    operation["tags"] = json!([tag.trim_end_matches(".json")]);
    for (status, faults) in problems(route) {
        operation["responses"][status.to_string()] = json!({
            "description": faults,
            "content": {problem::CONTENT_TYPE: {"schema": problem_schema()}},
        });
    }
    if has_login {
        operation["responses"]["401"] = json!({
            "description": "The login is missing or wrong",
            "content": {problem::CONTENT_TYPE: {"schema": problem_schema()}},
        });
    }
    operation
}

/// The operation of a method, without its problems.
fn call(route: &Route, method: &'static Method) -> Value {
    let name = method.names.first().copied().unwrap_or_default();
    let in_path: Vec<&str> = route.path_params().collect();
    let is_in_path = |param: &&Param| in_path.contains(&param.name);
    let mut params: Vec<Value> = method
        .params
        .iter()
        .filter(is_in_path)
        .map(|param| address_param(param, "path"))
        .collect();
    let others = method.params.iter().filter(|param| !is_in_path(param));
    let mut operation = json!({
        "operationId": operation_id(name),
        "summary": name,
        "description": format!(
            "{}\n\nXML-RPC: `{name}`. Permission: `{}`.", method.doc, method.permission.word()
        ),
        "responses": {"200": {
            "description": method.result,
            "content": {JSON: {"schema": result_schema(method.returns)}},
        }},
    });
    if route.verb == "GET" {
        params.extend(others.map(|param| address_param(param, "query")));
        let more: &[&QueryParam] = match method.returns {
            ResultKind::Processes => &LIST_PARAMS,
            ResultKind::Process => &ONE_PARAMS,
            _ => &[],
        };
        params.extend(more.iter().map(|param| query_param(param)));
    } else if let Some((schema, is_required)) = body(others) {
        operation["requestBody"] = json!({
            "required": is_required,
            "content": {JSON: {"schema": schema}},
        });
        if takes_version(method) {
            params.push(version_param());
        }
    }
    operation["parameters"] = params.into();
    operation
}

/// The header with the version that a change expects.
fn version_param() -> Value {
    json!({
        "name": "If-Match",
        "in": "header",
        "required": false,
        "description": "The same as md5 of the body, in double quotes; * = any",
        "schema": {"type": "string", "pattern": "^(\\*|\"[0-9a-f]{32}\")$"},
    })
}

/// The schema of the body with these parameters, and whether one of them is required. `None`: there is no parameter.
fn body<'a>(params: impl Iterator<Item = &'a Param>) -> Option<(Value, bool)> {
    let mut members = Map::new();
    let mut required = Vec::new();
    for param in params {
        let mut schema = param_schema(param.kind, ParamPlace::Body);
        schema["description"] = param.doc.into();
        members.insert(param.name.to_owned(), schema);
        if !param.optional {
            required.push(param.name);
        }
    }
    let is_required = !required.is_empty();
    (!members.is_empty()).then(|| (body_schema(members, &required), is_required))
}

/// The name of a method without its namespace, unless a method before it has the same name.
fn operation_id(name: &'static str) -> String {
    let short = |name: &'static str| name.split_once('.').map_or(name, |(_, short)| short);
    let first = METHODS
        .iter()
        .filter_map(|method| method.names.first())
        .find(|other| short(other) == short(name));
    match first {
        Some(first) if *first == name => short(name).to_owned(),
        _ => name.replace('.', "_"),
    }
}

fn address_param(param: &Param, place: &str) -> Value {
    let is_path = place == "path";
    let is_list = param.kind == ParamKind::Names;
    let (mut kind, mut doc) = (param.kind, param.doc.to_owned());
    if is_path && is_list {
        // Clients that are generated from a document cannot write a list into a path.
        kind = ParamKind::Word;
        doc.push_str("; in the path, names are separated by commas");
    }
    json!({
        "name": param.name,
        "in": place,
        // A list in a query may be empty.
        "required": is_path || !(param.optional || is_list),
        "description": doc,
        "schema": param_schema(kind, ParamPlace::Address),
    })
}

fn query_param(param: &QueryParam) -> Value {
    let mut described = json!({
        "name": param.name,
        "in": "query",
        "required": false,
        "description": param.doc,
        "schema": query_schema(param.kind),
    });
    if !matches!(param.kind, QueryKind::Switch) {
        described["style"] = "form".into();
        described["explode"] = matches!(param.kind, QueryKind::Texts).into();
    }
    described
}

fn event_params() -> Vec<Value> {
    let mut params: Vec<Value> = events::PARAMS
        .iter()
        .map(|param| query_param(param))
        .collect();
    params.push(json!({
        "name": "Last-Event-ID",
        "in": "header",
        "required": false,
        "description": "The id of the last event that the client has received",
        "schema": {"type": "string", "pattern": events::ID_PATTERN},
    }));
    params
}

/// The statuses of the problems of a route, with their faults.
fn problems(route: &Route) -> BTreeMap<u16, String> {
    let mut found: BTreeMap<u16, Vec<String>> = BTreeMap::new();
    let mut add = |status: u16, text: String| found.entry(status).or_default().push(text);
    let common = [FaultCode::IncorrectParameters, FaultCode::ShutdownState];
    let faults = match route.endpoint {
        Endpoint::Call(method) => {
            // Any request may find too many others before it.
            let failed = [FaultCode::Failed]
                .into_iter()
                .filter(|failed| !method.faults.contains(failed));
            method.faults.iter().copied().chain(failed).collect()
        }
        Endpoint::Events | Endpoint::Document => Vec::new(),
    };
    for fault in common.into_iter().chain(faults) {
        add(
            fault.status(),
            format!("{}: {}", fault.name(), fault.doc().trim()),
        );
    }
    add(
        403,
        "The caller lacks the permission, or the request comes from a page of another server"
            .to_owned(),
    );
    if route.verb != "GET" {
        add(408, "The body arrives too slowly".to_owned());
        add(413, format!("The body is longer than {BODY_MAX} bytes"));
        add(415, "The body is not JSON".to_owned());
    }
    found
        .into_iter()
        .map(|(status, texts)| (status, texts.join("\n\n")))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(schemes: &[&str]) -> Value {
        let all = RpcInterfaces {
            supervisor: true,
            twiddler: Some(Vec::new()),
        };
        serde_json::from_str(&document(&all, schemes)).expect("JSON")
    }

    #[test]
    fn every_route_has_an_operation_with_an_id_of_its_own() {
        let document = read(&[]);
        let paths = document["paths"].as_object().expect("paths");
        let operations: Vec<&Value> = paths
            .values()
            .flat_map(|verbs| verbs.as_object().expect("verbs").values())
            .collect();
        // One route a method, but for multicall; the stream and the document.
        assert_eq!(operations.len(), METHODS.len() - 1 + 2);
        let mut ids: Vec<&str> = operations
            .iter()
            .map(|operation| operation["operationId"].as_str().expect("an id"))
            .collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), operations.len());
        assert!(ids.contains(&"startProcess") && ids.contains(&"twiddler_getAPIVersion"));
        assert!(document.get("security").is_none());
        assert_eq!(
            read(&["basic", "bearer"])["security"],
            json!([{"basic": []}, {"bearer": []}])
        );
    }

    #[test]
    fn operations_have_parameters_bodies_and_problems() {
        let document = read(&["basic"]);
        let set = &document["paths"]["/programs/{name}"]["put"];
        assert_eq!(set["parameters"][1]["name"], "If-Match");
        for status in ["409", "413", "415", "422", "502"] {
            assert!(set["responses"].get(status).is_some(), "{status}");
        }
        let start = &document["paths"]["/processes/{name}/start"]["post"];
        assert_eq!(start["parameters"][0]["name"], "name");
        assert_eq!(start["parameters"][0]["required"], true);
        assert_eq!(start["requestBody"]["required"], false);
        let body = &start["requestBody"]["content"][JSON]["schema"];
        assert_eq!(body["properties"]["wait"]["type"], "boolean");
        for status in [
            "200", "400", "401", "403", "404", "409", "413", "415", "422", "503",
        ] {
            assert!(start["responses"].get(status).is_some(), "{status}");
        }
        let conflict = start["responses"]["409"]["description"].as_str();
        let text = "ALREADY_STARTED: The process is already running.";
        assert_eq!(conflict, Some(text));
        let shutdown = &document["paths"]["/daemon/shutdown"]["post"];
        assert!(shutdown.get("requestBody").is_none());
        let list = &document["paths"]["/processes"]["get"]["parameters"];
        let names: Vec<_> = list
            .as_array()
            .expect("a list")
            .iter()
            .map(|one| &one["name"])
            .collect();
        assert_eq!(names, ["state", "group", "name", "usage"]);
        let restart = &document["paths"]["/processes/{names}/restart"]["post"]["parameters"][0];
        assert_eq!(restart["schema"]["type"], "string");
    }

    #[test]
    fn references_lead_to_schemas() {
        fn walk(value: &Value, schemas: &Value) {
            match value {
                Value::Object(members) => {
                    if let Some(Value::String(target)) = members.get("$ref") {
                        let name = target.rsplit('/').next().expect("a name");
                        assert!(schemas.get(name).is_some(), "{target}");
                    }
                    members.values().for_each(|value| walk(value, schemas));
                }
                Value::Array(items) => items.iter().for_each(|item| walk(item, schemas)),
                _ => {}
            }
        }
        let document = read(&[]);
        walk(&document, &document["components"]["schemas"]);
    }
}
