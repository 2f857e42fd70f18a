//! The records of the v1 listener: what a client has, and what has changed. Fields end with byte 2, records with byte 1.
//!
//! # Source
//! Nacos documentation, "Listening for configurations". Requests and answers of servers that were run.

use super::super::server_url::percent_decode;

const FIELD_END: char = '\u{2}';
const RECORD_END: char = '\u{1}';

/// The value of the field `Listening-Configs` for one item, before its encoding. `md5`: of the text that the client has;
/// empty: it has none. `tenant`: the namespace; empty: public.
pub(super) fn listening_record(dataid: &str, group: &str, md5: &str, tenant: &str) -> String {
    let mut record = format!("{dataid}{FIELD_END}{group}{FIELD_END}{md5}");
    if !tenant.is_empty() {
        record.push(FIELD_END);
        record.push_str(tenant);
    }
    record.push(RECORD_END);
    record
}

/// Whether the answer of the listener names the item. Only one item is listened to, so every well-formed answer that is
/// not empty names it; the names are compared nevertheless, because a proxy may answer something else. `None`: the answer is
/// not well-formed.
pub(super) fn names_item(body: &[u8], dataid: &str, group: &str) -> Option<bool> {
    let text = std::str::from_utf8(body).ok()?.trim_ascii();
    if text.is_empty() {
        return Some(false);
    }
    let text = percent_decode(text)?;
    let records = text.strip_suffix(RECORD_END)?;
    let mut is_named = false;
    for record in records.split(RECORD_END) {
        let fields: Vec<&str> = record.split(FIELD_END).collect();
        let ([changed, of_group] | [changed, of_group, _]) = fields[..] else {
            return None;
        };
        is_named |= (changed, of_group) == (dataid, group);
    }
    Some(is_named)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn n19_records_have_the_bytes_of_the_interface() {
        let md5 = "0123";
        assert_eq!(
            listening_record("supervisord.conf", "DEFAULT_GROUP", md5, ""),
            "supervisord.conf\u{2}DEFAULT_GROUP\u{2}0123\u{1}"
        );
        assert_eq!(
            listening_record("supervisord.conf", "DEFAULT_GROUP", "", "ns-1"),
            "supervisord.conf\u{2}DEFAULT_GROUP\u{2}\u{2}ns-1\u{1}"
        );
    }

    #[test]
    fn n19_answers_name_the_item_that_changed() {
        let names = |body: &str| names_item(body.as_bytes(), "a.conf", "G");
        assert_eq!(names(""), Some(false));
        assert_eq!(names("\n"), Some(false));
        assert_eq!(names("a.conf%02G%01\n"), Some(true));
        assert_eq!(names("a.conf%02G%02ns-1%01\n"), Some(true));
        assert_eq!(names("b%02G%01a.conf%02G%01"), Some(true));
        assert_eq!(names("b%02G%01"), Some(false));
        for foreign in [
            "<html></html>",
            "a.conf%02G",
            "a.conf%01",
            "%zz",
            "a%02b%02c%02d%01",
            "true",
            r#"{"code":403}"#,
        ] {
            assert_eq!(names(foreign), None, "{foreign}");
        }
        assert_eq!(names_item(b"\xff\xfe", "a.conf", "G"), None);
    }
}
