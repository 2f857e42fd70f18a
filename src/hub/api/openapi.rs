//! The OpenAPI document of the table of routes.
//!
//! # Source
//! OpenAPI Specification 3.1.1.

use std::collections::BTreeMap;
use std::sync::Arc;

use hyper::StatusCode;
use serde_json::{Map, Value, json};

use super::error::ApiError;
use super::json::{JSON, text};
use super::route::{Need, Route};
use crate::domain::VERSION;
use crate::hub::server::{HttpResponse, HubContext};

/// `GET /api/v1/openapi.json`.
pub(super) async fn answer(
    hub: &Arc<HubContext>,
    routes: &'static [Route],
) -> Result<HttpResponse, ApiError> {
    let base = hub.settings().base_path.clone();
    Ok(HttpResponse::new(
        StatusCode::OK,
        JSON,
        text(&document(routes, &base)),
    ))
}

fn document(routes: &'static [Route], base_path: &str) -> Value {
    let mut paths: BTreeMap<&str, Map<String, Value>> = BTreeMap::new();
    for route in routes {
        for method in route.methods {
            let operations = paths.entry(route.path).or_default();
            operations.insert(method.to_ascii_lowercase(), operation(route, method));
        }
    }
    let server = if base_path.is_empty() { "/" } else { base_path };
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "supervisord-hub",
            "version": VERSION,
            "description": "Below /api/v2 the interface of Cesi, below /api/v1 our own. Errors are problem details (RFC 9457) \
                below /api/v1, and objects with status and message below /api/v2.",
        },
        "servers": [{"url": server}],
        "paths": paths,
        "components": {"securitySchemes": {
            "session": {"type": "apiKey", "in": "cookie", "name": "session"},
            "token": {"type": "http", "scheme": "bearer"},
        }},
    })
}

/// A name of an operation, such as `get_api_v1_nodes_node`.
fn operation_id(route: &Route, method: &str) -> String {
    let words = route.path.split(|c: char| !c.is_ascii_alphanumeric());
    let words = words.filter(|word| !word.is_empty());
    let words: Vec<&str> = words.collect();
    format!("{}_{}", method.to_ascii_lowercase(), words.join("_"))
}

fn operation(route: &Route, method: &str) -> Value {
    let in_path = route.path_params().map(|name| {
        let kind = if name == "limit" { "integer" } else { "string" };
        json!({"name": name, "in": "path", "required": true, "schema": {"type": kind}})
    });
    let in_query = route.query.iter().map(|(name, doc)| {
        json!({"name": name, "in": "query", "description": doc, "schema": {"type": "string"}})
    });
    let parameters: Vec<Value> = in_path.chain(in_query).collect();
    let mut operation = json!({
        "operationId": operation_id(route, method),
        "summary": route.doc,
        "parameters": parameters,
        "responses": {
            "2XX": {"description": "It was done"},
            "4XX": {"description": "The request is wrong or not permitted"},
            "5XX": {"description": "A node or the hub failed"},
        },
    });
    let Some(members) = operation.as_object_mut() else {
        return operation;
    };
    if let Need::Role(role) = route.need {
        let security = json!([{"session": []}, {"token": []}]);
        members.insert("security".to_owned(), security);
        members.insert("x-role".to_owned(), json!(role));
    }
    if !route.body.is_empty() {
        let properties: Map<String, Value> = route
            .body
            .iter()
            .map(|(name, doc)| ((*name).to_owned(), json!({"description": doc})))
            .collect();
        let schema = json!({"type": "object", "properties": properties});
        let body = json!({"required": true, "content": {JSON: {"schema": schema}}});
        members.insert("requestBody".to_owned(), body);
    }
    operation
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hub::api::routes::ROUTES;
    use std::collections::HashSet;

    #[test]
    fn operations_have_names_of_their_own() {
        let mut names = HashSet::new();
        for route in ROUTES {
            for method in route.methods {
                // A slash at the end distinguishes no name, a version does.
                let name = operation_id(route, method);
                assert!(names.insert(name.clone()), "{name}");
            }
        }
        let document = document(ROUTES, "/sup");
        assert_eq!(document["servers"][0]["url"], "/sup");
        let paths = document["paths"].as_object().expect("paths");
        assert_eq!(paths["/api/v1/users"].as_object().map(Map::len), Some(2));
    }
}
