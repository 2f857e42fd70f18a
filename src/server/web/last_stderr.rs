//! The part of a log page with what ended instances of the process wrote last to standard error.

use std::sync::Arc;

use maud::{Markup, html};

use crate::api::{Caller, Permission, Reply, Request, unescape_member};
use crate::server::http::connection::HttpConnection;
use crate::web::log_lines::ShownLines;
use crate::web::row_text::format_time;
use crate::web::styled_text::StyledText;
use crate::web::texts::{Language, Text};
use crate::{control, sys};

/// The part for a process. `None`: no instance has ended after it wrote anything, or the caller may not read logs.
pub(super) async fn last_stderr(
    connection: &Arc<HttpConnection>,
    caller: Caller,
    name: &str,
    language: Language,
) -> Option<Markup> {
    let grant = control::grant_for(&caller, Permission::ReadLogs).ok()?;
    let names = vec![name.to_owned()];
    let request = Request::LastStderr { names, most: 0 };
    let reply = connection.shared.control.call(caller, grant, request).await;
    let Ok(Reply::Lines(lines)) = reply else {
        return None;
    };
    let ended: Vec<EndedInstance<'_>> = lines
        .iter()
        .rev()
        .filter_map(|line| EndedInstance::read(line))
        .collect();
    (!ended.is_empty()).then(|| render(&ended, language))
}

/// An instance that has ended.
struct EndedInstance<'a> {
    pid: &'a str,
    /// When it exited, in seconds since the epoch.
    exited: i64,
    exit: &'a str,
    text: String,
}

impl<'a> EndedInstance<'a> {
    /// Reads a line of `supervisord.getLastStderr`.
    fn read(line: &'a str) -> Option<Self> {
        let members: Vec<&str> = line.split('\t').collect();
        let [_, pid, exited, exit, text] = *members.as_slice() else {
            return None;
        };
        Some(Self {
            pid,
            exited: exited.parse().ok()?,
            exit,
            text: unescape_member(text)?.into_owned(),
        })
    }
}

fn render(ended: &[EndedInstance<'_>], language: Language) -> Markup {
    let zone = sys::time_zone();
    let when = |seconds: i64| format_time(seconds, Text::ExitTimeSeconds, &zone, language);
    html! {
        section #ended {
            h2 { (language.say(Text::EndedInstances)) }
            @for (at, instance) in ended.iter().enumerate() {
                details open[at == 0] {
                    summary {
                        (language.fill(Text::EndedPid, &[&instance.pid, &instance.exit]))
                        @if let Some(when) = when(instance.exited) { (language.fill(Text::EndedAt, &[&when])) }
                    }
                    pre.part tabindex="0" { "\n" (ShownLines::new(&StyledText::parse(&instance.text), "").markup) }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hostile_text_stays_a_text() {
        let line = "g:p\t7\t0\texit status 3\t<script>\\n\\\\x</script>";
        let ended = EndedInstance::read(line).expect("five members");
        assert_eq!(ended.text, "<script>\n\\x</script>");
        let html = render(&[ended], Language::English).into_string();
        assert!(
            html.contains("&lt;script&gt;\n\\x&lt;/script&gt;"),
            "{html}"
        );
        assert!(html.contains("PID 7, exit status 3, "), "{html}");
        assert!(EndedInstance::read("a\tb").is_none());
    }
}
