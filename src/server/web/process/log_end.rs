//! The last lines of the log of the process, with a link to its log page.

use maud::{Markup, html};

use super::super::configuration::ConfigRequest;
use super::process_page::ProcessPage;
use crate::api::{LogRef, Permission, Reply, Request};
use crate::control;
use crate::domain::Channel;
use crate::http_server::percent_encoding::url_quoted;
use crate::server::calls::log_parts;
use crate::web::texts::Text;

/// Number of bytes that are read.
const BYTES: i64 = 8 << 10;
/// Number of lines that are shown.
const LINES: usize = 20;
/// Number of bytes that the link asks for.
const LINK_BYTES: u64 = 65536;

pub(super) async fn log_end(request: &ConfigRequest<'_>, page: &ProcessPage<'_>) -> Markup {
    if !page.rights.logs {
        return html! {};
    }
    let mut shown = (
        Channel::Stdout,
        read(request, page.name, Channel::Stdout).await,
    );
    if shown.1.is_empty() {
        let stderr = read(request, page.name, Channel::Stderr).await;
        if !stderr.is_empty() {
            shown = (Channel::Stderr, stderr);
        }
    }
    let (channel, text) = shown;
    let address = format!(
        "tail.html?processname={}&limit={LINK_BYTES}",
        url_quoted(page.name)
    );
    html! {
        section #logend.live-part aria-labelledby="log-title" {
            h2 #log-title {
                (page.say(Text::Log))
                @if channel == Channel::Stderr { " (stderr)" }
                " " a.more #openlog href=(address) { (page.say(Text::WholeLog)) }
            }
            @if text.is_empty() {
                p.note { (page.say(Text::LogEmpty)) }
            } @else {
                pre.part tabindex="0" { "\n" (text) }
            }
        }
    }
}

/// The last lines. Empty: there is none, or the log cannot be read.
async fn read(request: &ConfigRequest<'_>, name: &str, channel: Channel) -> String {
    let Ok(grant) = control::grant_for(&request.caller, Permission::ReadLogs) else {
        return String::new();
    };
    let of = LogRef::Process(name.to_owned(), channel);
    let connection = request.connection;
    let control = &connection.shared.control;
    let caller = request.caller.clone();
    let Ok(reply @ (Reply::LogFile(_) | Reply::Journal(_))) =
        control.call(caller, grant, Request::LogFile(of)).await
    else {
        return String::new();
    };
    let source = log_parts::log_source(reply);
    let most = log_parts::read_limit(connection.guard.client);
    let tail = log_parts::tail_log(source, 0, BYTES, most).await;
    let tail = tail.unwrap_or_default();
    last_lines(&tail.text, tail.overflow).to_owned()
}

/// The last lines of a text. `is_part`: it may begin within a line.
fn last_lines(text: &str, is_part: bool) -> &str {
    let text = match text.split_once('\n') {
        Some((_, rest)) if is_part => rest,
        _ => text,
    };
    let breaks = text.trim_end_matches('\n').rmatch_indices('\n');
    let from = breaks.map(|(at, _)| at + 1).nth(LINES - 1).unwrap_or(0);
    &text[from..]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_are_whole() {
        assert_eq!(last_lines("", true), "");
        assert_eq!(last_lines("a\nb\n", false), "a\nb\n");
        assert_eq!(last_lines("a\nb\n", true), "b\n");
        assert_eq!(last_lines("a", true), "a");
        let many: String = (0..30).map(|number| format!("{number}\n")).collect();
        let shown = last_lines(&many, false);
        assert_eq!(shown.lines().count(), LINES);
        assert!(shown.starts_with("10\n") && shown.ends_with("29\n"));
    }
}
