//! The interface v1: items as plain text, and the listener that waits for a change.

use std::time::Duration;

use serde_json::{Value, json};

use super::exchange::{Exchange, Refused};
use super::http::{StubResponse, percent_encoded};
use super::settings::CompareAndSet;
use super::shared::Watched;
use super::store::{ItemKey, NacosHistoryEntry, NacosItem, utc};

type Answered = Result<StubResponse, Refused>;

/// Between the fields of a record of the listener.
const FIELD: char = '\u{2}';
/// After a record of the listener.
const RECORD: char = '\u{1}';
/// Time formats of strftime(3).
const HTTP_TIME: &str = "%a, %d %b %Y %H:%M:%S GMT";
const JSON_TIME: &str = "%Y-%m-%dT%H:%M:%S.000+00:00";

/// The answer to a request below `/nacos/v1/`.
pub(super) fn answer(exchange: &Exchange<'_>) -> Answered {
    let path = exchange.request.path.as_str();
    let path = path.strip_prefix("/nacos/v1").unwrap_or_default();
    match (exchange.request.method.as_str(), path) {
        ("POST", "/auth/login" | "/auth/users/login") => return Ok(exchange.login()),
        ("GET", "/console/health/readiness") => return Ok(readiness(exchange)),
        _ => {}
    }
    let handle = match (exchange.request.method.as_str(), path) {
        ("GET", "/cs/configs") if exchange.request.parameter("search").is_some() => search,
        ("GET", "/cs/configs") => read,
        ("POST", "/cs/configs") => publish,
        ("DELETE", "/cs/configs") => delete,
        ("POST", "/cs/configs/listener") => listen,
        ("GET", "/cs/history") => history,
        ("GET", "/cs/history/previous") => previous,
        ("GET", "/console/namespaces") => namespaces,
        _ => return Err(Refused::Missing),
    };
    if exchange.is_authorized() {
        handle(exchange)
    } else {
        Ok(forbidden(exchange))
    }
}

fn readiness(exchange: &Exchange<'_>) -> StubResponse {
    match exchange.shared.lock().is_ready {
        true => StubResponse::text(200, "OK"),
        false => StubResponse::text(500, "Nacos is not ready"),
    }
}

fn forbidden(exchange: &Exchange<'_>) -> StubResponse {
    let at = utc(jiff::Timestamp::now().as_millisecond(), JSON_TIME);
    StubResponse::json(
        403,
        &json!({
            "timestamp": at, "status": 403, "error": "Forbidden", "message": "user not found!",
            "path": exchange.request.path,
        }),
    )
}

fn key(exchange: &Exchange<'_>) -> Result<ItemKey, Refused> {
    exchange.key("tenant", "group").map_err(|name| {
        let why = format!("caused: Required parameter '{name}' type String is not present;");
        Refused::With(StubResponse::text(400, why))
    })
}

/// The media type of an item.
fn content_type(kind: &str) -> &'static str {
    match kind {
        "json" => "application/json;charset=UTF-8",
        "xml" => "application/xml;charset=UTF-8",
        "html" => "text/html;charset=UTF-8",
        _ => "text/plain;charset=UTF-8",
    }
}

fn read(exchange: &Exchange<'_>) -> Answered {
    let key = key(exchange)?;
    let state = exchange.shared.lock();
    let Some(item) = state.store.items.get(&key) else {
        return Ok(StubResponse::text(404, "config data not exist"));
    };
    let mut response = StubResponse::new(200, content_type(&item.kind), item.text.as_str());
    response.headers.extend([
        ("content-md5", exchange.md5(&item.md5)),
        ("Config-Type", item.kind.clone()),
        ("Last-Modified", utc(item.modified_ms, HTTP_TIME)),
    ]);
    Ok(response)
}

fn publish(exchange: &Exchange<'_>) -> Answered {
    let key = key(exchange)?;
    let publication = exchange.publication("src_user");
    let size = publication.text.len();
    exchange.shared.change(|state| {
        if size == 0 || size > state.settings.item_max {
            let why = match size {
                0 => "caused: Required parameter 'content' type String is not present;",
                _ => "caused: the content is too long;",
            };
            return Ok(StubResponse::text(400, why));
        }
        let loses = exchange.loses_race(state, &key);
        match state.settings.compare_and_set {
            CompareAndSet::Status500 if loses => {
                let why = "Cas publish fail, server md5 may have changed.";
                let body = json!({"code": 20_005, "message": "resource conflict", "data": why});
                return Ok(StubResponse::json(500, &body));
            }
            CompareAndSet::Status200 if loses => return Ok(StubResponse::text(200, "false")),
            _ => {}
        }
        state.store.publish(key, publication);
        Ok(StubResponse::text(200, "true"))
    })
}

fn delete(exchange: &Exchange<'_>) -> Answered {
    let key = key(exchange)?;
    let publication = exchange.publication("src_user");
    let shared = exchange.shared;
    shared.change(|state| state.store.delete(&key, &publication));
    Ok(StubResponse::text(200, "true"))
}

/// Parses the field `Listening-Configs`. The second value of each pair is the answer about a change of the item.
fn records(text: &str) -> Vec<(Watched, String)> {
    let records = text.split(RECORD).filter(|record| !record.is_empty());
    let fields = records.map(|record| record.split(FIELD).collect::<Vec<_>>());
    let parsed = fields.filter_map(|fields| {
        let (dataid, group, md5) = (*fields.first()?, *fields.get(1)?, *fields.get(2)?);
        let tenant = fields.get(3).copied().unwrap_or_default();
        let mut changed = format!("{dataid}{FIELD}{group}");
        if !tenant.is_empty() {
            changed.push(FIELD);
            changed.push_str(tenant);
        }
        changed.push(RECORD);
        let watched = Watched {
            key: ItemKey::new(tenant, group, dataid),
            md5: md5.to_owned(),
        };
        Some((watched, changed))
    });
    parsed.collect()
}

fn listen(exchange: &Exchange<'_>) -> Answered {
    let (watched, answers): (Vec<_>, Vec<_>) = records(&exchange.field("Listening-Configs"))
        .into_iter()
        .unzip();
    if watched.is_empty() {
        return Err(Refused::With(StubResponse::text(
            400,
            "invalid probeModify",
        )));
    }
    let header = |name: &str| exchange.request.header(name);
    let asked = header("Long-Pulling-Timeout").and_then(|value| value.parse().ok());
    let has_no_hangup = header("Long-Pulling-Timeout-No-Hangup") == Some("true");
    let hold = {
        let settings = &exchange.shared.lock().settings;
        match asked.map(Duration::from_millis) {
            None => Duration::ZERO,
            Some(_) if has_no_hangup && settings.has_no_hangup => Duration::ZERO,
            Some(asked) => settings.hold.unwrap_or_else(|| {
                let early = asked.saturating_sub(Duration::from_millis(500));
                early.max(Duration::from_secs(10))
            }),
        }
    };
    let shared = exchange.shared;
    let changed = shared.wait_for_change(exchange.run, exchange.host, &watched, hold);
    let changed = changed.ok_or(Refused::Stopped)?;
    let text: String = changed
        .into_iter()
        .map(|place| percent_encoded(&answers[place]))
        .collect();
    let text = if text.is_empty() { text } else { text + "\n" };
    Ok(StubResponse::text(200, text))
}

fn item_json(key: &ItemKey, item: &NacosItem) -> Value {
    json!({
        "id": item.id.to_string(), "dataId": key.dataid, "group": key.group, "tenant": key.namespace,
        "content": item.text, "md5": item.md5, "type": item.kind, "appName": "",
    })
}

fn search(exchange: &Exchange<'_>) -> Answered {
    let is_blur = exchange.field("search") == "blur";
    let wanted = ItemKey::new(
        &exchange.field("tenant"),
        &exchange.field("group"),
        &exchange.field("dataId"),
    );
    let fits = |wanted: &str, value: &str| match is_blur {
        _ if wanted.is_empty() => true,
        true => value.contains(wanted.trim_matches('*')),
        false => value == wanted,
    };
    let state = exchange.shared.lock();
    let found = state.store.items.iter().filter(|(key, _)| {
        key.namespace == wanted.namespace
            && fits(&wanted.group, &key.group)
            && fits(&wanted.dataid, &key.dataid)
    });
    let found = found.map(|(key, item)| item_json(key, item)).collect();
    Ok(StubResponse::json(200, &exchange.page(found)))
}

/// An entry of the history. The kind of operation has the width of its column in the database.
fn entry_json(entry: &NacosHistoryEntry, has_text: bool) -> Value {
    let at = utc(entry.at_ms, JSON_TIME);
    json!({
        "id": entry.nid.to_string(), "lastId": -1, "dataId": entry.key.dataid, "group": entry.key.group,
        "tenant": entry.key.namespace, "appName": "", "md5": has_text.then_some(&entry.md5),
        "content": has_text.then_some(&entry.text), "srcIp": entry.src_ip, "srcUser": entry.src_user,
        "opType": format!("{:<10}", entry.operation), "createdTime": at, "lastModifiedTime": at,
    })
}

fn history(exchange: &Exchange<'_>) -> Answered {
    let key = key(exchange)?;
    let state = exchange.shared.lock();
    let all = state.store.history_of(&key);
    if let Some(nid) = exchange.request.parameter("nid") {
        let found = all.iter().find(|entry| entry.nid.to_string() == nid);
        return Ok(found.map_or_else(no_entry, |entry| {
            StubResponse::json(200, &entry_json(entry, true))
        }));
    }
    let all = all.iter().map(|entry| entry_json(entry, false)).collect();
    Ok(StubResponse::json(200, &exchange.page(all)))
}

/// The last text before that of the item with this id.
fn previous(exchange: &Exchange<'_>) -> Answered {
    let id = exchange.field("id");
    let state = exchange.shared.lock();
    let mut newest_first = state.store.history.iter().rev();
    let found = newest_first.find(|entry| entry.item_id.to_string() == id);
    Ok(found.map_or_else(no_entry, |entry| {
        StubResponse::json(200, &entry_json(entry, true))
    }))
}

fn no_entry() -> StubResponse {
    StubResponse::text(500, "caused: the history has no such entry;")
}

fn namespaces(exchange: &Exchange<'_>) -> Answered {
    let state = exchange.shared.lock();
    let count = |name: &str| {
        let keys = state.store.items.keys();
        keys.filter(|key| key.namespace == name).count()
    };
    let mut names: Vec<&str> = state
        .store
        .items
        .keys()
        .map(|key| key.namespace.as_str())
        .collect();
    names.push("");
    names.sort_unstable();
    names.dedup();
    let data: Vec<Value> = names
        .into_iter()
        .map(|name| {
            let (shown, kind) = if name.is_empty() {
                ("public", 0)
            } else {
                (name, 2)
            };
            json!({
                "namespace": name, "namespaceShowName": shown, "quota": 200,
                "configCount": count(name), "type": kind,
            })
        })
        .collect();
    let body = json!({"code": 200, "message": null, "data": data});
    Ok(StubResponse::json(200, &body))
}
