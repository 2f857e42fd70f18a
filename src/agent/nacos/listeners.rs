//! The hosts that watch an item, where the server tells.

use serde_json::Value;

use super::super::protocol::{FailureKind, ItemFailure, LISTENERS_MAX, NacosItem, WORD_BYTES_MAX};
use super::call::NacosCall;
use super::failure::{failure, one_line};
use super::servers::{FoundApi, NacosClient};
use super::{v1, v3};

const LISTENERS_V1: &str = "/v1/cs/configs/listener";
const LISTENERS_V3: &str = "/v3/admin/cs/config/listener";
/// The names of the list: of v3, and of v1 as servers spell it.
const LISTS: [&str; 3] = [
    "listenersStatus",
    "lisentersGroupkeyStatus",
    "listenersGroupkeyStatus",
];

impl NacosClient {
    /// The hosts that watch the item, each with the MD5 of the text that it has.
    pub(in super::super) async fn listeners(
        &self,
        item: &NacosItem,
    ) -> Result<Vec<(String, String)>, ItemFailure> {
        let ask = async |server, api| {
            let (path, mut fields) = match api {
                FoundApi::V1 => (LISTENERS_V1, v1::item_fields(item)),
                FoundApi::V3 => (LISTENERS_V3, v3::item_fields(item)),
            };
            fields.push(("sampleTime", "1"));
            let call = NacosCall::get(path, fields);
            self.ask_for_object(server, api, &call).await
        };
        let (server, object) = self.ask_by_interface(item, "listeners", ask).await?;
        hosts_of(&object).ok_or_else(|| {
            let reason = "it answers without a list of listeners";
            failure(FailureKind::Away, &server.url.text, reason)
        })
    }
}

/// The hosts in an answer, in order. `None`: it has no list.
fn hosts_of(object: &Value) -> Option<Vec<(String, String)>> {
    let list = LISTS
        .iter()
        .find_map(|name| object.get(name)?.as_object())?;
    let hosts = list.iter().take(LISTENERS_MAX).map(|(host, md5)| {
        let word = |text: &str| one_line(text, WORD_BYTES_MAX);
        (word(host), word(md5.as_str().unwrap_or_default()))
    });
    Some(hosts.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn n27_lists_of_both_interfaces_are_read() {
        let expected = Some(vec![("10.0.0.7".to_owned(), "ab".to_owned())]);
        for name in LISTS {
            let answer = serde_json::json!({"queryType": "config", name: {"10.0.0.7": "ab"}});
            assert_eq!(hosts_of(&answer), expected);
        }
        let none = serde_json::json!({"listenersStatus": {}});
        assert_eq!(hosts_of(&none), Some(Vec::new()));
        assert_eq!(hosts_of(&serde_json::json!({})), None);
    }
}
