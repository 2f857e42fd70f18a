//! The interface v3, of Nacos 3.0 and later: reads. It has no listener over HTTP.

use serde_json::Value;

use super::super::http::HttpAnswer;
use super::super::protocol::{FailureKind, ItemFailure, NacosItem};
use super::call::NacosCall;
use super::envelope::{Envelope, text_of};
use super::failure::{failure, foreign, of_code, of_status};
use super::servers::{NacosClient, NacosServer};
use super::text::{ItemRead, ItemType, check_text};

const CLIENT_CONFIG: &str = "/v3/client/cs/config";

/// The namespace for this interface, in which the public one has a name.
pub(super) fn namespace_id(item: &NacosItem) -> &str {
    match item.namespace.as_str() {
        "" => "public",
        namespace => namespace,
    }
}

/// The fields that name the item.
pub(super) fn item_fields(item: &NacosItem) -> Vec<(&str, &str)> {
    vec![
        ("namespaceId", namespace_id(item)),
        ("groupName", &item.group),
        ("dataId", &item.dataid),
    ]
}

/// Reads the item. `None`: the server does not have this interface.
pub(super) async fn read(
    client: &NacosClient,
    server: &NacosServer,
    item: &NacosItem,
) -> Result<Option<ItemRead>, ItemFailure> {
    let call = NacosCall::get(CLIENT_CONFIG, item_fields(item));
    let answer = client.call(server, &call).await?;
    let url = &server.url.text;
    let Some(data) = judge(url, &answer, &client.secrets(server))? else {
        return Ok(None);
    };
    read_data(url, &data).map(Some)
}

/// The data of an answer, by the code in its body. `None`: the server does not have the path.
pub(super) fn judge(
    server: &str,
    answer: &HttpAnswer,
    secrets: &[String],
) -> Result<Option<Value>, ItemFailure> {
    let envelope = Envelope::read(&answer.body);
    match (answer.status, envelope) {
        (200, Some(envelope)) if envelope.code == 0 => Ok(Some(envelope.data)),
        // 20004 is always about the item; 404 only in an answer of status 200.
        (404 | 410, Some(envelope)) if envelope.code != 20004 => Ok(None),
        (404 | 410, None) => Ok(None),
        (429 | 500.., _) => Err(of_status(server, answer, secrets)),
        (_, Some(envelope)) if envelope.code != 0 => Err(of_code(server, &envelope, secrets)),
        (200, None) => Err(foreign(server, answer, secrets)),
        _ => Err(of_status(server, answer, secrets)),
    }
}

/// The text in the data of a read.
fn read_data(server: &str, data: &Value) -> Result<ItemRead, ItemFailure> {
    let content = match data {
        // v2 has the text itself here.
        Value::String(text) => Some(text),
        data => match data.get("content") {
            Some(Value::String(text)) => Some(text),
            _ => None,
        },
    };
    let Some(content) = content else {
        let reason = "it answers success without a text";
        return Err(failure(FailureKind::Unusable, server, reason));
    };
    let md5 = Some(text_of(data, &["md5"])).filter(|md5| !md5.is_empty());
    let item_type = ItemType::named(data.get("contentType").and_then(Value::as_str));
    check_text(
        server,
        content.clone().into_bytes(),
        md5.as_deref(),
        item_type,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(status: u16, body: &str) -> String {
        let answer = HttpAnswer {
            status,
            headers: hyper::HeaderMap::new(),
            body: body.as_bytes().to_vec(),
        };
        let data = match judge("http://x", &answer, &[]) {
            Ok(Some(data)) => data,
            Ok(None) => return "no such path".to_owned(),
            Err(failure) => return format!("{:?}", failure.kind),
        };
        match read_data("http://x", &data).and_then(ItemRead::into_text) {
            Ok(text) => text.text,
            Err(failure) => format!("{:?}", failure.kind),
        }
    }

    #[test]
    fn n22_answers_are_judged_by_their_code() {
        let found =
            r#"{"code":0,"message":"success","data":{"content":"[x]\n","md5":"none","more":1}}"#;
        assert_eq!(read(200, found), "[x]\n");
        for missing in [
            r#"{"code":20004,"message":"config data not exist","data":null}"#,
            r#"{"code":404,"message":"config not exist"}"#,
        ] {
            assert_eq!(read(200, missing), "Missing");
        }
        assert_eq!(read(404, r#"{"code":20004,"message":"x"}"#), "Missing");
        assert_eq!(read(400, r#"{"code":10000,"message":"x"}"#), "Rejected");
        assert_eq!(read(200, r#"{"code":30000,"message":"x"}"#), "Away");
        assert_eq!(read(500, r#"{"code":500,"message":"x"}"#), "Away");
        assert_eq!(read(503, ""), "Away");
    }

    #[test]
    fn n25_a_404_without_a_code_of_the_item_means_that_there_is_no_v3() {
        let gone = r#"{"code":404,"message":"resource not found"}"#;
        for body in ["", "<html></html>", gone] {
            assert_eq!(read(404, body), "no such path");
        }
    }

    #[test]
    fn an_answer_without_a_text_never_means_unchanged() {
        for body in [
            r#"{"code":0,"data":null}"#,
            r#"{"code":0,"data":{}}"#,
            r#"{"code":0,"data":{"content":null}}"#,
            r#"{"code":0,"data":{"content":""}}"#,
        ] {
            assert_eq!(read(200, body), "Unusable", "{body}");
        }
        assert_eq!(read(200, "<html>"), "Away");
        assert_eq!(read(302, ""), "Away");
    }

    #[test]
    fn the_public_namespace_has_a_name() {
        let item = NacosItem::default();
        assert_eq!(item_fields(&item)[0], ("namespaceId", "public"));
    }
}
