//! Earlier texts of an item, where the server keeps them.

use serde_json::Value;

use super::super::http::HttpAnswer;
use super::super::protocol::{
    FailureKind, HISTORY_ENTRIES_MAX, HistoryEntry, ItemFailure, ItemText, NacosApi, NacosItem,
    WORD_BYTES_MAX,
};
use super::call::NacosCall;
use super::envelope::{content_of, text_of};
use super::failure::{failure, foreign, of_status, one_line};
use super::servers::{FoundApi, NacosClient, NacosServer};
use super::text::{ItemRead, ItemType, check_text};
use super::{v1, v3};

const HISTORY_V1: &str = "/v1/cs/history";
const HISTORY_LIST_V3: &str = "/v3/admin/cs/history/list";
const HISTORY_ENTRY_V3: &str = "/v3/admin/cs/history";

impl NacosClient {
    /// The earlier texts of the item, newest first.
    pub(in super::super) async fn history(
        &self,
        item: &NacosItem,
    ) -> Result<Vec<HistoryEntry>, ItemFailure> {
        let count = HISTORY_ENTRIES_MAX.to_string();
        let page = [("pageNo", "1"), ("pageSize", &*count)];
        let ask = async |server, api| {
            let call = match api {
                FoundApi::V1 => {
                    let fields = [("search", "accurate")].into_iter();
                    let fields = fields.chain(v1::item_fields(item)).chain(page);
                    NacosCall::get(HISTORY_V1, fields.collect())
                }
                FoundApi::V3 => {
                    let fields = v3::item_fields(item).into_iter().chain(page);
                    NacosCall::get(HISTORY_LIST_V3, fields.collect())
                }
            };
            self.ask_for_object(server, api, &call).await
        };
        let (server, page) = self.ask_by_interface(item, "history", ask).await?;
        entries_of(&page).ok_or_else(|| {
            let reason = "it answers without a list of earlier texts";
            failure(FailureKind::Away, &server.url.text, reason)
        })
    }

    /// One earlier text. `entry`: its number in the history.
    pub(in super::super) async fn history_text(
        &self,
        item: &NacosItem,
        entry: &str,
    ) -> Result<ItemText, ItemFailure> {
        let ask = async |server, api| {
            let (path, mut fields) = match api {
                FoundApi::V1 => (HISTORY_V1, v1::item_fields(item)),
                FoundApi::V3 => (HISTORY_ENTRY_V3, v3::item_fields(item)),
            };
            fields.push(("nid", entry));
            let call = NacosCall::get(path, fields);
            self.ask_for_object(server, api, &call).await
        };
        let (server, object) = self.ask_by_interface(item, "history", ask).await?;
        let url = &server.url.text;
        let Some(content) = object.get("content").and_then(Value::as_str) else {
            let reason = format!("the history has no text with the number {entry}");
            return Err(failure(FailureKind::Missing, url, &reason));
        };
        let item_type = ItemType::named(None);
        let text = check_text(url, content.as_bytes().to_vec(), None, item_type);
        text.and_then(ItemRead::into_text)
    }

    /// Asks the first server that answers, first by the interface that it has for reads, then by the other one, because a
    /// server may have only a part of either. `what`: the function, for the failure of a server without it.
    pub(super) async fn ask_by_interface<'a, T>(
        &'a self,
        item: &NacosItem,
        what: &str,
        ask: impl AsyncFn(&'a NacosServer, FoundApi) -> Result<Option<T>, ItemFailure>,
    ) -> Result<(&'a NacosServer, T), ItemFailure> {
        // The read finds a server that answers, and its interface. An item that was deleted has a history too.
        let (server, read) = self.read_anywhere(item).await;
        match read {
            Err(failure)
                if !matches!(failure.kind, FailureKind::Missing | FailureKind::Unusable) =>
            {
                return Err(failure);
            }
            _ => {}
        }
        let order = match Self::api_of(server, item) {
            FoundApi::V1 => [FoundApi::V1, FoundApi::V3],
            FoundApi::V3 => [FoundApi::V3, FoundApi::V1],
        };
        let tried = if item.api == NacosApi::Auto { 2 } else { 1 };
        for api in &order[..tried] {
            if let Some(answer) = ask(server, *api).await? {
                return Ok((server, answer));
            }
        }
        let reason = format!("it has no function {what}");
        Err(failure(FailureKind::Unsupported, &server.url.text, &reason))
    }

    /// Makes a call whose answer is a JSON object. `None`: the server does not have the path.
    pub(super) async fn ask_for_object(
        &self,
        server: &NacosServer,
        api: FoundApi,
        call: &NacosCall<'_>,
    ) -> Result<Option<Value>, ItemFailure> {
        let answer = self.call(server, call).await?;
        let (url, secrets) = (&server.url.text, self.secrets(server));
        match api {
            FoundApi::V1 => judge_v1(url, &answer, &secrets),
            FoundApi::V3 => match v3::judge(url, &answer, &secrets)? {
                // Some servers have no envelope here.
                Some(Value::Null) | None if answer.status == 200 => Ok(content_of(&answer.body)),
                data => Ok(data),
            },
        }
    }
}

/// The object in an answer of v1, which has no envelope but from some servers.
fn judge_v1(
    server: &str,
    answer: &HttpAnswer,
    secrets: &[String],
) -> Result<Option<Value>, ItemFailure> {
    match answer.status {
        200 => match content_of(&answer.body) {
            Some(content) if content.is_object() => Ok(Some(content)),
            _ => Err(foreign(server, answer, secrets)),
        },
        404 | 405 | 410 | 501 => Ok(None),
        _ => Err(of_status(server, answer, secrets)),
    }
}

/// The entries of a page, newest first. `None`: it is no page.
fn entries_of(page: &Value) -> Option<Vec<HistoryEntry>> {
    let word = |object: &Value, names: &[&str]| one_line(&text_of(object, names), WORD_BYTES_MAX);
    let items = page.get("pageItems")?.as_array()?;
    let mut entries: Vec<HistoryEntry> = items
        .iter()
        .map(|item| HistoryEntry {
            id: word(item, &["id", "nid"]),
            operation: word(item, &["opType"]),
            author: word(item, &["srcUser"]),
            time: word(
                item,
                &[
                    "lastModifiedTime",
                    "modifyTime",
                    "createdTime",
                    "createTime",
                ],
            ),
            md5: word(item, &["md5"]),
        })
        .filter(|entry| !entry.id.is_empty())
        .collect();
    // Numbers rise, so they are a clock that cannot be wrong.
    let number = |entry: &HistoryEntry| entry.id.parse::<u64>().ok();
    if entries.iter().all(|entry| number(entry).is_some()) {
        entries.sort_by_key(|entry| std::cmp::Reverse(number(entry)));
    }
    entries.truncate(HISTORY_ENTRIES_MAX);
    Some(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn n27_pages_of_both_interfaces_are_read() {
        let page = serde_json::json!({
            "totalCount": 3, "pageNumber": 1, "pagesAvailable": 1,
            "pageItems": [
                {"id": "9", "opType": "I         ", "srcUser": null, "createdTime": "then"},
                {"id": 10, "opType": "U", "srcUser": "ann\n", "modifyTime": 1700, "md5": "ab"},
                {"opType": "D"},
            ],
        });
        let entry = |id: &str, operation: &str, author: &str, time: &str, md5: &str| HistoryEntry {
            id: id.to_owned(),
            operation: operation.to_owned(),
            author: author.to_owned(),
            time: time.to_owned(),
            md5: md5.to_owned(),
        };
        let expected = vec![
            entry("10", "U", "ann", "1700", "ab"),
            entry("9", "I", "", "then", ""),
        ];
        assert_eq!(entries_of(&page), Some(expected));
        assert_eq!(entries_of(&serde_json::json!({"code": 1})), None);
    }
}
