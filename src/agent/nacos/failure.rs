//! Makes failures from errors and answers, with texts that name the server and have no secrets.

use super::super::http::{HttpAnswer, HttpError};
use super::super::protocol::{FailureKind, ItemFailure, MESSAGE_BYTES_MAX};
use super::envelope::Envelope;

/// Maximum number of characters of an answer in a message.
const EXCERPT_CHARS_MAX: usize = 120;

/// A failure at the server with this base URL.
pub(super) fn failure(kind: FailureKind, server: &str, reason: &str) -> ItemFailure {
    ItemFailure {
        kind,
        message: message_line(&format!("{server}: {reason}")),
    }
}

/// The text as one line that fits into a message.
pub(super) fn message_line(text: &str) -> String {
    one_line(text, MESSAGE_BYTES_MAX)
}

/// The text as one line of at most `bytes_max` bytes, fit for a log.
pub(super) fn one_line(text: &str, bytes_max: usize) -> String {
    const CUT: &str = "...";
    let mut line: String = text
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    if line.len() > bytes_max {
        let mut ends = (0..=bytes_max.saturating_sub(CUT.len())).rev();
        let end = ends.find(|&end| line.is_char_boundary(end));
        line.truncate(end.unwrap_or(0));
        line.push_str(CUT);
    }
    line
}

/// The failure of a call that got no answer.
pub(super) fn no_answer(server: &str, error: &HttpError) -> ItemFailure {
    let kind = match error {
        HttpError::TooLarge(_) => FailureKind::Unusable,
        _ => FailureKind::Away,
    };
    failure(kind, server, &error.to_string())
}

/// The kind of an answer with this HTTP status, which is not 200.
pub(super) const fn kind_of_status(status: u16) -> FailureKind {
    match status {
        401 | 403 => FailureKind::Denied,
        // 409: the item is being written.
        409 | 429 => FailureKind::Away,
        400..500 => FailureKind::Rejected,
        // A redirection leads away from Nacos: to a login page, for example.
        _ => FailureKind::Away,
    }
}

/// The kind of a body with this code, which is not 0.
///
/// # Source
/// `ErrorCode` of Nacos.
pub(super) const fn kind_of_code(code: i64) -> FailureKind {
    match code {
        20004 | 404 => FailureKind::Missing,
        401 | 403 | 10001 => FailureKind::Denied,
        20005 | 409 => FailureKind::Conflict,
        // Data access, and the general errors of servers.
        10002 | 429 | 500..600 | 30000.. => FailureKind::Away,
        _ => FailureKind::Rejected,
    }
}

/// The failure that an answer with another status than 200 is. `secrets`: texts that the message must not contain.
pub(super) fn of_status(server: &str, answer: &HttpAnswer, secrets: &[String]) -> ItemFailure {
    let what = describe_body(answer, secrets);
    let reason = format!("it answered with status {}: {what}", answer.status);
    failure(kind_of_status(answer.status), server, &reason)
}

/// The failure that a body with another code than 0 is.
pub(super) fn of_code(server: &str, envelope: &Envelope, secrets: &[String]) -> ItemFailure {
    let text = excerpt(envelope.message.as_bytes(), secrets);
    let reason = format!("it answered with code {}: {text}", envelope.code);
    failure(kind_of_code(envelope.code), server, &reason)
}

/// The failure of an answer that no Nacos server gives.
pub(super) fn foreign(server: &str, answer: &HttpAnswer, secrets: &[String]) -> ItemFailure {
    let what = describe_body(answer, secrets);
    let reason = format!(
        "it does not answer like Nacos: status {} with {what}",
        answer.status
    );
    failure(FailureKind::Away, server, &reason)
}

/// Whether the body is an HTML page.
pub(super) fn is_html(answer: &HttpAnswer) -> bool {
    let says_so = answer.header("content-type").is_some_and(|kind| {
        kind.trim_start()
            .to_ascii_lowercase()
            .starts_with("text/html")
    });
    let start: Vec<u8> = answer
        .body
        .iter()
        .skip_while(|byte| byte.is_ascii_whitespace())
        .take(9)
        .map(u8::to_ascii_lowercase)
        .collect();
    says_so || start.starts_with(b"<!doctype") || start.starts_with(b"<html")
}

/// What the body is, in words.
fn describe_body(answer: &HttpAnswer, secrets: &[String]) -> String {
    if answer.body.is_empty() {
        "an empty body".to_owned()
    } else if is_html(answer) {
        "an HTML page".to_owned()
    } else {
        excerpt(&answer.body, secrets)
    }
}

/// The beginning of a text of the server, in quotation marks.
fn excerpt(text: &[u8], secrets: &[String]) -> String {
    let text = String::from_utf8_lossy(text);
    let has_secret = secrets.iter().any(|secret| text.contains(secret.as_str()));
    if has_secret {
        return "a text that contains a secret".to_owned();
    }
    let words: Vec<&str> = text.split_whitespace().collect();
    let words = words.join(" ");
    let cut: String = words.chars().take(EXCERPT_CHARS_MAX).collect();
    format!("\"{cut}\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, kind: &str, body: &str) -> HttpAnswer {
        let mut headers = hyper::HeaderMap::new();
        headers.insert("content-type", kind.parse().expect("a value"));
        HttpAnswer {
            status,
            headers,
            body: body.as_bytes().to_vec(),
        }
    }

    #[test]
    fn messages_are_one_short_line() {
        let made = failure(FailureKind::Away, "http://x/nacos", &"é\r\n".repeat(400));
        assert!(made.message.len() <= MESSAGE_BYTES_MAX && made.message.ends_with("..."));
        assert!(!made.message.chars().any(char::is_control));
    }

    #[test]
    fn an_html_page_is_not_nacos_and_the_message_says_what_came() {
        let page = answer(200, "text/html", "<html><b>Sign in</b></html>");
        let made = foreign("http://x/nacos", &page, &[]);
        assert_eq!(made.kind, FailureKind::Away);
        assert_eq!(
            made.message,
            "http://x/nacos: it does not answer like Nacos: status 200 with an HTML page"
        );
        assert!(is_html(&answer(200, "text/plain", "\n<!DOCTYPE HTML>")));
        assert!(!is_html(&answer(200, "text/plain", "[program:x]")));
    }

    #[test]
    fn secrets_that_a_server_repeats_are_not_in_messages() {
        let echo = answer(400, "text/plain", "username=u&password=hunter2");
        let made = of_status("http://x", &echo, &["hunter2".to_owned()]);
        assert!(!made.message.contains("hunter2"), "{}", made.message);
        let made = of_status("http://x", &echo, &["other".to_owned()]);
        assert!(made.message.contains("hunter2"), "{}", made.message);
    }

    #[test]
    fn statuses_and_codes_have_kinds() {
        for (status, kind) in [
            (302, FailureKind::Away),
            (400, FailureKind::Rejected),
            (401, FailureKind::Denied),
            (403, FailureKind::Denied),
            (409, FailureKind::Away),
            (413, FailureKind::Rejected),
            (429, FailureKind::Away),
            (500, FailureKind::Away),
            (503, FailureKind::Away),
        ] {
            assert_eq!(kind_of_status(status), kind, "{status}");
        }
        for (code, kind) in [
            (404, FailureKind::Missing),
            (403, FailureKind::Denied),
            (10000, FailureKind::Rejected),
            (10001, FailureKind::Denied),
            (10002, FailureKind::Away),
            (20002, FailureKind::Rejected),
            (20004, FailureKind::Missing),
            (20005, FailureKind::Conflict),
            (22001, FailureKind::Rejected),
            (30000, FailureKind::Away),
        ] {
            assert_eq!(kind_of_code(code), kind, "{code}");
        }
    }
}
