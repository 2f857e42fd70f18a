//! Renders results of methods as JSON: what the result of XML-RPC contains, with names for what is a position there.

use super::json::{ObjectWriter, push_text, push_value};
use super::process_writer::push_names;
use crate::api::{MemberSink as _, Reply, ResultKind};
use crate::server::calls::method_result::MethodResult;
use crate::server::xmlrpc::render::render_result;

/// Longer texts, in bytes, and more results are rendered on a helper thread.
const BLOCKING_BYTES: usize = 64 << 10;
const BLOCKING_RESULTS: usize = 256;

/// Whether the result takes long to render.
pub(super) fn is_long(result: &MethodResult) -> bool {
    match result {
        MethodResult::Reply(Reply::Text(text)) => text.len() > BLOCKING_BYTES,
        MethodResult::Tail(tail) => tail.text.len() > BLOCKING_BYTES,
        MethodResult::Reply(Reply::Results(results)) => results.len() > BLOCKING_RESULTS,
        MethodResult::Reply(Reply::Dependencies(views)) => views.len() > BLOCKING_RESULTS,
        MethodResult::Reply(_) | MethodResult::Table(..) => false,
    }
}

/// Renders a result of this kind.
pub(super) fn render(result: MethodResult, kind: ResultKind) -> Vec<u8> {
    let mut out = Vec::new();
    match result {
        // It is JSON already.
        MethodResult::Reply(Reply::Text(json))
            if matches!(kind, ResultKind::Plan | ResultKind::Json) =>
        {
            return json.into_bytes();
        }
        MethodResult::Reply(Reply::Text(text)) => push_text(&mut out, &text),
        MethodResult::Reply(Reply::Diff {
            added,
            changed,
            removed,
        }) => {
            let mut object = ObjectWriter::new(&mut out, None);
            for (name, groups) in [("added", added), ("changed", changed), ("removed", removed)] {
                object.member(name, |out| {
                    push_names(out, groups.iter().map(|group| group.as_str()));
                });
            }
            object.finish();
        }
        MethodResult::Tail(tail) => {
            let mut object = ObjectWriter::new(&mut out, None);
            object.text("text", &tail.text);
            object.int("offset", tail.size);
            object.bool("overflow", tail.overflow);
            object.finish();
        }
        result => push_value(&mut out, &render_result(result, kind.wire())),
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::GroupName;
    use crate::server::calls::log_parts::LogTail;

    #[test]
    fn positions_have_names() {
        let text = |result, kind| String::from_utf8(render(result, kind)).expect("text");
        let group = |name| GroupName::parse(name).expect("valid");
        let diff = Reply::Diff {
            added: vec![group("a")],
            changed: vec![],
            removed: vec![group("b"), group("c")],
        };
        assert_eq!(
            text(MethodResult::Reply(diff), ResultKind::Diff),
            r#"{"added":["a"],"changed":[],"removed":["b","c"]}"#
        );
        let tail = LogTail {
            text: "x\n".to_owned(),
            size: 9,
            overflow: true,
        };
        assert_eq!(
            text(MethodResult::Tail(tail), ResultKind::Tail),
            r#"{"text":"x\n","offset":9,"overflow":true}"#
        );
        let plain = |text: &str| MethodResult::Reply(Reply::Text(text.to_owned()));
        assert_eq!(text(plain("{}"), ResultKind::Plan), "{}");
        assert_eq!(text(plain("{}"), ResultKind::Text), "\"{}\"");
        assert_eq!(
            text(MethodResult::Reply(Reply::Done), ResultKind::Done),
            "true"
        );
    }
}
