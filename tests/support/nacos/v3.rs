//! The interface v3: every answer is an envelope with a code. It has no listener.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::exchange::{Exchange, Refused};
use super::http::StubResponse;
use super::settings::CompareAndSet;
use super::store::{ItemKey, NacosHistoryEntry, NacosItem};

type Answered = Result<StubResponse, Refused>;

/// The answer to a request below `/nacos/v3/`.
pub(super) fn answer(exchange: &Exchange<'_>) -> Answered {
    let path = exchange.request.path.as_str();
    let path = path.strip_prefix("/nacos/v3").unwrap_or_default();
    match (exchange.request.method.as_str(), path) {
        ("POST", "/auth/user/login") => return Ok(exchange.login()),
        ("GET", "/admin/core/state/readiness" | "/console/health/readiness") => {
            return Ok(readiness(exchange));
        }
        _ => {}
    }
    let handle = match (exchange.request.method.as_str(), path) {
        ("GET", "/client/cs/config") => read_as_client,
        ("GET", "/admin/cs/config") => read_as_admin,
        ("POST", "/admin/cs/config") => publish,
        ("DELETE", "/admin/cs/config") => delete,
        ("GET", "/admin/cs/config/listener") => listeners,
        ("GET", "/admin/cs/history/list") => history_list,
        ("GET", "/admin/cs/history") => history_entry,
        ("GET", "/admin/cs/history/previous") => history_previous,
        _ => return Err(Refused::Missing),
    };
    let is_open = path.starts_with("/client/") && exchange.shared.lock().settings.is_v3_client_open;
    if is_open || exchange.is_authorized() {
        handle(exchange)
    } else {
        Ok(refusal(401, 403, "invalid token", Value::Null))
    }
}

fn success(data: Value) -> StubResponse {
    StubResponse::json(200, &json!({"code": 0, "message": "success", "data": data}))
}

fn refusal(status: u16, code: u16, message: &str, data: impl Into<Value>) -> StubResponse {
    let data: Value = data.into();
    StubResponse::json(
        status,
        &json!({"code": code, "message": message, "data": data}),
    )
}

fn readiness(exchange: &Exchange<'_>) -> StubResponse {
    match exchange.shared.lock().is_ready {
        true => success(json!("ok")),
        false => refusal(500, 30_000, "server error", "Nacos is not ready"),
    }
}

fn missing_field(name: &str) -> StubResponse {
    let why = format!("Required parameter '{name}' type String is not present");
    refusal(400, 10_000, "parameter missing", why)
}

fn key(exchange: &Exchange<'_>) -> Result<ItemKey, Refused> {
    let key = exchange.key("namespaceId", "groupName");
    key.map_err(|name| Refused::With(missing_field(&name)))
}

/// The name of a namespace in answers.
fn namespace_id(key: &ItemKey) -> &str {
    match key.namespace.as_str() {
        "" => "public",
        name => name,
    }
}

fn read_with(
    exchange: &Exchange<'_>,
    render: impl FnOnce(&ItemKey, &NacosItem, String) -> Value,
) -> Answered {
    let key = key(exchange)?;
    let state = exchange.shared.lock();
    Ok(match state.store.items.get(&key) {
        Some(item) => success(render(&key, item, exchange.md5(&item.md5))),
        None => match state.settings.v3_not_found {
            404 => refusal(200, 404, "config not exist", Value::Null),
            code => refusal(200, code, "resource not found", "config data not exist"),
        },
    })
}

fn read_as_client(exchange: &Exchange<'_>) -> Answered {
    read_with(exchange, |_, item, md5| {
        json!({
            "resultCode": 200, "errorCode": 0, "message": null, "requestId": null,
            "content": item.text, "encryptedDataKey": null, "contentType": item.kind, "md5": md5,
            "lastModified": item.modified_ms, "tag": null, "beta": false, "success": true,
        })
    })
}

fn read_as_admin(exchange: &Exchange<'_>) -> Answered {
    read_with(exchange, |key, item, md5| {
        json!({
            "id": item.id.to_string(), "namespaceId": namespace_id(key), "groupName": key.group,
            "dataId": key.dataid, "md5": md5, "type": item.kind, "appName": "",
            "createTime": item.modified_ms, "modifyTime": item.modified_ms, "content": item.text,
            "desc": null, "encryptedDataKey": "", "createUser": item.src_user, "createIp": "",
            "configTags": null,
        })
    })
}

fn publish(exchange: &Exchange<'_>) -> Answered {
    let key = key(exchange)?;
    let publication = exchange.publication("srcUser");
    let size = publication.text.len();
    exchange.shared.change(|state| {
        if size == 0 {
            return Ok(missing_field("content"));
        }
        if size > state.settings.item_max {
            let why = "the content is too long";
            return Ok(refusal(400, 20_002, "parameter validate error", why));
        }
        let loses = exchange.loses_race(state, &key);
        let status = match state.settings.compare_and_set {
            CompareAndSet::Status500 => Some(500),
            CompareAndSet::Status200 => Some(200),
            CompareAndSet::Ignored => None,
        };
        if let Some(status) = status.filter(|_| loses) {
            let why = "Cas publish fail, server md5 may have changed.";
            return Ok(refusal(status, 20_005, "resource conflict", why));
        }
        state.store.publish(key, publication);
        Ok(success(json!(true)))
    })
}

fn delete(exchange: &Exchange<'_>) -> Answered {
    let key = key(exchange)?;
    let publication = exchange.publication("srcUser");
    let shared = exchange.shared;
    shared.change(|state| state.store.delete(&key, &publication));
    Ok(success(json!(true)))
}

/// The hosts that listen to an item, each with the MD5 of the text that it has.
fn listeners(exchange: &Exchange<'_>) -> Answered {
    let key = key(exchange)?;
    let state = exchange.shared.lock();
    let mut hosts: BTreeMap<&str, &str> = BTreeMap::new();
    for waiting in &state.waiting {
        let found = waiting.watched.iter().find(|watched| watched.key == key);
        hosts.extend(found.map(|watched| (waiting.host.as_str(), watched.md5.as_str())));
    }
    let others = state.other_listeners.get(&key).into_iter().flatten();
    hosts.extend(others.map(|(host, md5)| (host.as_str(), md5.as_str())));
    Ok(success(
        json!({"queryType": "config", "listenersStatus": hosts}),
    ))
}

fn entry_json(entry: &NacosHistoryEntry) -> serde_json::Map<String, Value> {
    let entry = json!({
        "id": entry.nid.to_string(), "namespaceId": namespace_id(&entry.key),
        "groupName": entry.key.group, "dataId": entry.key.dataid, "md5": entry.md5, "type": "text",
        "appName": "", "createTime": entry.at_ms, "modifyTime": entry.at_ms, "srcIp": entry.src_ip,
        "srcUser": entry.src_user, "opType": entry.operation.to_string(), "publishType": "formal",
    });
    entry.as_object().cloned().unwrap_or_default()
}

fn entry_with_text(entry: Option<&NacosHistoryEntry>) -> StubResponse {
    let Some(entry) = entry else {
        let why = "certain config history for nid not exist";
        return refusal(404, 20_004, "resource not found", why);
    };
    let mut json = entry_json(entry);
    json.insert("content".to_owned(), json!(entry.text));
    json.insert("encryptedDataKey".to_owned(), json!(""));
    json.insert("grayName".to_owned(), json!(""));
    json.insert("extInfo".to_owned(), json!("{}"));
    success(Value::Object(json))
}

fn history_list(exchange: &Exchange<'_>) -> Answered {
    let key = key(exchange)?;
    let state = exchange.shared.lock();
    let all = state.store.history_of(&key).into_iter();
    let all = all.map(|entry| Value::Object(entry_json(entry))).collect();
    Ok(success(exchange.page(all)))
}

fn history_entry(exchange: &Exchange<'_>) -> Answered {
    let key = key(exchange)?;
    let nid = exchange.field("nid");
    let state = exchange.shared.lock();
    let all = state.store.history_of(&key);
    let found = all.into_iter().find(|entry| entry.nid.to_string() == nid);
    Ok(entry_with_text(found))
}

/// The last text before that of the item with this id.
fn history_previous(exchange: &Exchange<'_>) -> Answered {
    let id = exchange.field("id");
    let state = exchange.shared.lock();
    let mut newest_first = state.store.history.iter().rev();
    let found = newest_first.find(|entry| entry.item_id.to_string() == id);
    Ok(entry_with_text(found))
}
