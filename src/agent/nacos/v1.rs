//! The interface v1, of Nacos 1.x to 3.1: reads and listens.

use std::time::Duration;

use super::super::http::HttpAnswer;
use super::super::protocol::{FailureKind, ItemFailure, NacosItem};
use super::call::NacosCall;
use super::failure::{failure, foreign, is_html, of_status};
use super::listening_record::{listening_record, names_item};
use super::servers::{NacosClient, NacosServer};
use super::text::{ItemRead, ItemType, check_text};

/// The path of items.
pub(super) const CONFIGS: &str = "/v1/cs/configs";
const LISTENER: &str = "/v1/cs/configs/listener";
/// The body of an answer about an item that does not exist. A server without this interface answers 404 with another one.
const MISSING: &str = "config data not exist";
/// How often an item that is being written is read again, and after which pause.
const WRITTEN_TRIES: u32 = 5;
const WRITTEN_PAUSE: Duration = Duration::from_millis(200);
/// How much longer than the server may hold a request the client waits.
const HOLD_EXTRA: Duration = Duration::from_secs(15);

/// What the server said about the item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Listened {
    /// It has another MD5 than the one that was sent.
    Changed,
    /// It did not change while the server held the request.
    Unchanged,
}

/// The namespace for this interface. Empty: public.
pub(super) fn tenant(item: &NacosItem) -> &str {
    match item.namespace.as_str() {
        "public" => "",
        namespace => namespace,
    }
}

/// The fields that name the item, with `tenant` only if it is not public.
pub(super) fn item_fields(item: &NacosItem) -> Vec<(&str, &str)> {
    let mut fields = vec![("dataId", &*item.dataid), ("group", &*item.group)];
    if !tenant(item).is_empty() {
        fields.push(("tenant", tenant(item)));
    }
    fields
}

/// Reads the item. `None`: the server does not have this interface.
pub(super) async fn read(
    client: &NacosClient,
    server: &NacosServer,
    item: &NacosItem,
) -> Result<Option<ItemRead>, ItemFailure> {
    let call = NacosCall::get(CONFIGS, item_fields(item));
    let mut tries = 0;
    let answer = loop {
        let answer = client.call(server, &call).await?;
        tries += 1;
        if answer.status != 409 || tries == WRITTEN_TRIES {
            break answer;
        }
        tokio::time::sleep(WRITTEN_PAUSE).await;
    };
    judge_read(&server.url.text, answer, &client.secrets(server))
}

fn judge_read(
    server: &str,
    answer: HttpAnswer,
    secrets: &[String],
) -> Result<Option<ItemRead>, ItemFailure> {
    match answer.status {
        // An item may contain HTML, but its server states the MD5.
        200 if is_html(&answer) && answer.header("content-md5").is_none() => {
            Err(foreign(server, &answer, secrets))
        }
        200 => {
            let stated = answer.header("content-md5").map(str::to_owned);
            let item_type = ItemType::named(answer.header("config-type"));
            check_text(server, answer.body, stated.as_deref(), item_type).map(Some)
        }
        404 if answer.body.trim_ascii() == MISSING.as_bytes() => {
            let reason = "the item does not exist";
            Err(failure(FailureKind::Missing, server, reason))
        }
        404 | 410 => Ok(None),
        _ => Err(of_status(server, &answer, secrets)),
    }
}

/// Waits until the item has another MD5 than `md5`, or the server's time is over. `md5` empty: until it exists.
pub(super) async fn listen(
    client: &NacosClient,
    server: &NacosServer,
    item: &NacosItem,
    md5: &str,
) -> Result<Listened, ItemFailure> {
    let record = listening_record(&item.dataid, &item.group, md5, tenant(item));
    let mut call = NacosCall::post(LISTENER, vec![("Listening-Configs", &record)]);
    call.headers = vec![("Long-Pulling-Timeout", item.poll_timeout_ms.to_string())];
    call.limit = Duration::from_millis(item.poll_timeout_ms).saturating_add(HOLD_EXTRA);
    let answer = client.call(server, &call).await?;
    let (url, secrets) = (&server.url.text, client.secrets(server));
    if answer.status != 200 {
        return Err(of_status(url, &answer, &secrets));
    }
    match names_item(&answer.body, &item.dataid, &item.group) {
        Some(true) => Ok(Listened::Changed),
        Some(false) => Ok(Listened::Unchanged),
        None => Err(foreign(url, &answer, &secrets)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(status: u16, header: Option<(&'static str, &str)>, body: &str) -> String {
        let mut headers = hyper::HeaderMap::new();
        if let Some((name, value)) = header {
            headers.insert(name, value.parse().expect("a value"));
        }
        let answer = HttpAnswer {
            status,
            headers,
            body: body.as_bytes().to_vec(),
        };
        match judge_read("http://x", answer, &[]) {
            Ok(None) => "no such path".to_owned(),
            Ok(Some(ItemRead::Text(text, kind))) => format!("{} ({})", text.text, kind.0),
            Ok(Some(ItemRead::Unusable { failure, .. })) | Err(failure) => {
                format!("{:?}", failure.kind)
            }
        }
    }

    #[test]
    fn answers_to_reads_are_judged() {
        assert_eq!(judge(200, None, "[x]"), "[x] (text)");
        let properties = Some(("config-type", "properties"));
        assert_eq!(judge(200, properties, "[x]"), "[x] (properties)");
        assert_eq!(judge(200, None, ""), "Unusable");
        assert_eq!(judge(404, None, "config data not exist"), "Missing");
        assert_eq!(judge(404, None, "config data not exist\n"), "Missing");
        assert_eq!(judge(409, None, "busy"), "Away");
        assert_eq!(judge(500, None, ""), "Away");
        assert_eq!(judge(400, None, "wrong"), "Rejected");
    }

    #[test]
    fn n25_a_404_of_another_kind_means_that_there_is_no_v1() {
        for body in [
            "",
            "<html><body>404</body></html>",
            r#"{"code":404,"message":"resource not found"}"#,
            r#"{"status":404,"error":"Not Found"}"#,
        ] {
            assert_eq!(judge(404, None, body), "no such path", "{body}");
        }
    }

    #[test]
    fn html_is_an_item_only_with_its_md5() {
        let page = "<html>x</html>";
        assert_eq!(judge(200, None, page), "Away");
        assert_eq!(judge(200, Some(("content-type", "text/html")), "x"), "Away");
        let md5 = super::super::text::md5_of(page.as_bytes());
        let expected = format!("{page} (text)");
        assert_eq!(judge(200, Some(("content-md5", &md5)), page), expected);
    }

    #[test]
    fn the_public_namespace_is_not_sent() {
        let item = |namespace: &str| NacosItem {
            dataid: "d".to_owned(),
            group: "g".to_owned(),
            namespace: namespace.to_owned(),
            ..NacosItem::default()
        };
        for public in ["", "public"] {
            let item = item(public);
            assert_eq!(item_fields(&item), [("dataId", "d"), ("group", "g")]);
        }
        let item = item("ns-1");
        assert_eq!(item_fields(&item)[2], ("tenant", "ns-1"));
    }
}
