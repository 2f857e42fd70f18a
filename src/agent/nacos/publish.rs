//! Writes an item if its text is the expected one.
//!
//! The servers' own compare-and-set cannot be relied upon: several ignore its header and answer success. So the item is read
//! before the write and after it, and what it has then decides.

use std::time::Duration;

use tokio::time::sleep;

use super::super::http::HttpAnswer;
use super::super::protocol::{FailureKind, ItemFailure, ItemText, NacosItem, TEXT_BYTES_MAX};
use super::call::NacosCall;
use super::envelope::Envelope;
use super::failure::{failure, foreign, kind_of_code, of_code, of_status};
use super::servers::{FoundApi, NacosClient, NacosServer};
use super::text::{ItemRead, ItemType, md5_of};
use super::{v1, v3};

/// The path of the administration of v3.
const ADMIN_CONFIG: &str = "/v3/admin/cs/config";
/// Pauses before reads after a write, in milliseconds: a server writes to its own cache a little later.
const REREAD_PAUSES_MS: [u64; 8] = [0, 20, 50, 100, 200, 500, 1000, 2000];
/// The words of Java servers for a lost race, which have no code in v1.
const LOST_RACE: &str = "cas publish fail";

/// A new text.
#[derive(Debug, Clone, Copy)]
pub(in super::super) struct NewText<'a> {
    pub(in super::super) text: &'a str,
    /// The MD5 of the text that it replaces. Empty: the item does not exist.
    pub(in super::super) replaced_md5: &'a str,
    /// Who made the change.
    pub(in super::super) author: &'a str,
}

impl NacosClient {
    /// Replaces the text of the item. Returns what the server has then.
    pub(in super::super) async fn publish(
        &self,
        item: &NacosItem,
        new: NewText<'_>,
    ) -> Result<ItemText, ItemFailure> {
        let new_md5 = md5_of(new.text.as_bytes());
        // The read finds a server that answers, and its interface.
        let (server, before) = self.read_anywhere(item).await;
        let url = &server.url.text;
        if !(1..=TEXT_BYTES_MAX).contains(&new.text.len()) {
            let reason = format!("a text has 1 to {TEXT_BYTES_MAX} bytes");
            return Err(failure(FailureKind::Rejected, url, &reason));
        }
        let (md5, item_type) = match before {
            Ok(ItemRead::Text(text, item_type)) => (text.md5, item_type),
            Ok(ItemRead::Unusable { md5, .. }) => (md5, ItemType::named(None)),
            Err(missing) if missing.kind == FailureKind::Missing && new.replaced_md5.is_empty() => {
                (String::new(), ItemType::named(None))
            }
            Err(failure) => return Err(failure),
        };
        if md5 != new.replaced_md5 {
            let reason = "the item has another text than the one to replace";
            return Err(failure(FailureKind::Conflict, url, reason));
        }
        let written = self.write(server, item, new, item_type).await;
        let found = self.reread(server, item, new.replaced_md5).await;
        judge_publish(url, written, found, &new_md5, new.replaced_md5)
    }

    async fn write(
        &self,
        server: &NacosServer,
        item: &NacosItem,
        new: NewText<'_>,
        item_type: ItemType,
    ) -> Result<(), ItemFailure> {
        let (path, mut fields, author) = match Self::api_of(server, item) {
            FoundApi::V1 => (v1::CONFIGS, v1::item_fields(item), "src_user"),
            FoundApi::V3 => (ADMIN_CONFIG, v3::item_fields(item), "srcUser"),
        };
        fields.extend([
            ("content", new.text),
            ("type", item_type.0),
            (author, new.author),
        ]);
        let mut call = NacosCall::post(path, fields);
        if !new.replaced_md5.is_empty() {
            call.headers = vec![("casMd5", new.replaced_md5.to_owned())];
        }
        let answer = self.call(server, &call).await?;
        judge_write(&server.url.text, &answer, &self.secrets(server))
    }

    /// Reads the item after a write, until it has another text than the replaced one.
    async fn reread(
        &self,
        server: &NacosServer,
        item: &NacosItem,
        replaced_md5: &str,
    ) -> Result<ItemText, ItemFailure> {
        let mut found = None;
        for pause in REREAD_PAUSES_MS {
            sleep(Duration::from_millis(pause)).await;
            let read = self.read_from(server, item).await;
            let read = read.and_then(ItemRead::into_text);
            let is_old = match &read {
                Ok(text) => text.md5 == replaced_md5,
                // An item that was just created may be missing for a moment, and the server may be busy.
                Err(failure) => matches!(failure.kind, FailureKind::Missing | FailureKind::Away),
            };
            found = Some(read);
            if !is_old {
                break;
            }
        }
        found.unwrap_or_else(|| {
            let reason = "the item was not read after the write";
            Err(failure(FailureKind::Away, &server.url.text, reason))
        })
    }
}

/// Whether the server says that it wrote the text.
fn judge_write(server: &str, answer: &HttpAnswer, secrets: &[String]) -> Result<(), ItemFailure> {
    let lost = || {
        let reason = "another writer was faster";
        Err(failure(FailureKind::Conflict, server, reason))
    };
    let text = String::from_utf8_lossy(&answer.body);
    let envelope = Envelope::read(&answer.body);
    let code = envelope.as_ref().map(|envelope| envelope.code);
    let is_lost = code.is_some_and(|code| kind_of_code(code) == FailureKind::Conflict)
        || text.to_ascii_lowercase().contains(LOST_RACE);
    if is_lost || matches!(answer.status, 409 | 412) {
        return lost();
    }
    match (answer.status, envelope) {
        (200, Some(envelope)) if envelope.code == 0 => match envelope.data.as_bool() {
            Some(false) => lost(),
            _ => Ok(()),
        },
        (200, Some(envelope)) => Err(of_code(server, &envelope, secrets)),
        (200, None) if text.trim() == "true" => Ok(()),
        (200, None) if text.trim() == "false" => lost(),
        (200, None) => Err(foreign(server, answer, secrets)),
        (400..500, Some(envelope)) if envelope.code != 0 => {
            Err(of_code(server, &envelope, secrets))
        }
        _ => Err(of_status(server, answer, secrets)),
    }
}

/// The result of a publish: what the server has after the write decides, whatever it said.
fn judge_publish(
    server: &str,
    written: Result<(), ItemFailure>,
    found: Result<ItemText, ItemFailure>,
    new_md5: &str,
    replaced_md5: &str,
) -> Result<ItemText, ItemFailure> {
    match (written, found) {
        (_, Ok(text)) if text.md5 == new_md5 => Ok(text),
        // Nothing was written, and this is why.
        (Err(refused), Ok(text)) if text.md5 == replaced_md5 => Err(refused),
        (Err(refused), Err(_)) => Err(refused),
        (Ok(()), Ok(text)) if text.md5 == replaced_md5 => {
            let reason = "it answers success, but the item keeps its text";
            Err(failure(FailureKind::Conflict, server, reason))
        }
        (_, Ok(_)) => {
            let reason = "another writer was faster: the item has a third text";
            Err(failure(FailureKind::Conflict, server, reason))
        }
        (Ok(()), Err(unread)) => Err(unread),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(status: u16, body: &str) -> Option<FailureKind> {
        let answer = HttpAnswer {
            status,
            headers: hyper::HeaderMap::new(),
            body: body.as_bytes().to_vec(),
        };
        judge_write("http://x", &answer, &[])
            .err()
            .map(|failure| failure.kind)
    }

    #[test]
    fn answers_to_writes_are_judged() {
        assert_eq!(write(200, "true"), None);
        assert_eq!(
            write(200, r#"{"code":0,"message":"success","data":true}"#),
            None
        );
        for lost in [
            (200, "false"),
            (200, r#"{"code":20005,"message":"resource conflict"}"#),
            (500, r#"{"code":20005,"message":"resource conflict"}"#),
            (
                500,
                "caused: Cas publish fail, server md5 may have changed.;",
            ),
            (409, ""),
            (200, r#"{"code":0,"data":false}"#),
        ] {
            assert_eq!(
                write(lost.0, lost.1),
                Some(FailureKind::Conflict),
                "{lost:?}"
            );
        }
        assert_eq!(write(500, "content is blank"), Some(FailureKind::Away));
        assert_eq!(
            write(400, r#"{"code":10000,"message":"x"}"#),
            Some(FailureKind::Rejected)
        );
        assert_eq!(write(200, "<html>"), Some(FailureKind::Away));
    }

    #[test]
    fn n24_what_the_server_has_after_the_write_decides() {
        let text = |md5: &str| ItemText {
            text: "x".to_owned(),
            md5: md5.to_owned(),
            server: "http://x".to_owned(),
        };
        let refused = |kind| failure(kind, "http://x", "refused");
        let judge = |written, found| {
            judge_publish("http://x", written, found, "new", "old")
                .map(|text| text.md5)
                .map_err(|failure| failure.kind)
        };
        let away = || refused(FailureKind::Away);
        assert_eq!(judge(Ok(()), Ok(text("new"))), Ok("new".to_owned()));
        assert_eq!(judge(Err(away()), Ok(text("new"))), Ok("new".to_owned()));
        assert_eq!(judge(Ok(()), Ok(text("third"))), Err(FailureKind::Conflict));
        assert_eq!(
            judge(Err(away()), Ok(text("third"))),
            Err(FailureKind::Conflict)
        );
        assert_eq!(judge(Ok(()), Ok(text("old"))), Err(FailureKind::Conflict));
        let rejected = refused(FailureKind::Rejected);
        assert_eq!(
            judge(Err(rejected), Ok(text("old"))),
            Err(FailureKind::Rejected)
        );
        assert_eq!(judge(Ok(()), Err(away())), Err(FailureKind::Away));
    }
}
